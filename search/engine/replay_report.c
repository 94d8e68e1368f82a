/* What a lineage's second run proves. Three questions in turn: is it the same program with the same
 * verdict, where device, software and inputs are the same; does the candidate pass the gate; is it
 * faster than the baseline, as was claimed. */
#include "search/engine/replay_lineage.h"

#include "eval/duel_rounds.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SAME_FITNESS 1e-9 /* relative; a modelled one is exact */

static const char *const matches[] = {"same", "other", "unknown"};

kds_replay_match kds_replay_program(const kds_replay_step *s)
{
    char now[KDS_ID_HEX];
    if (!s->row.cubin[0] || kds_id_is_zero(s->program))
        return KDS_REPLAY_UNKNOWN;
    kds_id_format(s->program, now);
    return strcmp(now, s->row.cubin) == 0 ? KDS_REPLAY_SAME : KDS_REPLAY_OTHER;
}

kds_replay_match kds_replay_verdict(const kds_replay_step *s)
{
    static const char *const unjudged[] = {"", "duplicate", "set_aside", "no_child"};
    for (size_t i = 0; i < sizeof unjudged / sizeof *unjudged; i++)
        if (strcmp(s->row.verdict, unjudged[i]) == 0)
            return KDS_REPLAY_UNKNOWN;
    return strcmp(s->verdict, s->row.verdict) == 0 ? KDS_REPLAY_SAME : KDS_REPLAY_OTHER;
}

/* ---- The claim ---- */

/* A speed-up over the baseline, before and now; NAN where it is not known. */
typedef struct claim {
    double recorded, recorded_low, recorded_high;
    double now, low, high;
    bool made;   /* the record says that it is faster: a duel does, or on the simulator its time */
    bool judged; /* the run of now can tell */
    bool compared; /* by how much, too */
    bool holds;
} claim;

static bool is_faster(const cJSON *duel)
{
    return strcmp(kds_json_str(duel, "verdict", ""), "faster") == 0;
}

static double speedup(const cJSON *duel, const char *key)
{
    return 1 + kds_json_num(duel, key, NAN);
}

/* Where no interval is known, its ends are what they are around. */
static claim weigh(const kds_lineage_replay *r)
{
    const kds_replay_step *last = &r->steps[r->step_count - 1];
    const kds_replay_duel *d = r->claim >= 0 ? &r->duels[r->claim] : NULL;
    bool measures = kds_evaluator_measures(r->evaluator);
    double margin = kds_duel_margin(r->task->margin, r->floor);
    claim c = {.recorded = last->row.fitness,
               .recorded_low = NAN,
               .recorded_high = NAN,
               .now = last->fitness,
               .low = NAN,
               .high = NAN};
    bool ok = strcmp(last->row.verdict, "ok") == 0 && r->step_count > 1;
    c.made = ok && !r->measured && c.recorded > 1;
    if (d && d->recorded) {
        c.made = ok && is_faster(d->recorded);
        c.recorded = speedup(d->recorded, "gain");
        c.recorded_low = speedup(d->recorded, "low");
        c.recorded_high = speedup(d->recorded, "high");
    }
    c.judged = measures || !r->measured; /* no model says what was measured */
    c.holds = c.now > 1;
    if (!measures)
        return c;
    c.now = speedup(d ? d->fought : NULL, "gain");
    c.low = speedup(d ? d->fought : NULL, "low");
    c.high = speedup(d ? d->fought : NULL, "high");
    c.holds = d && is_faster(d->fought);
    /* On the same kind of card it must also be as much as was told, noise apart. */
    c.compared = r->same_kind && isfinite(c.recorded_low);
    if (c.compared)
        c.holds = c.holds && c.high + margin >= c.recorded_low;
    return c;
}

/* ---- Verdict ---- */

static kds_code differs(const kds_replay_step *s, kds_err *e, const char *what)
{
    return kds_fail(e, KDS_DIVERGED,
                    "#%lld %.8s: %s, although device, software and inputs are the same",
                    (long long)s->row.decision, s->row.id, what);
}

/* Verdicts that a busier machine or another limit may change. */
static bool is_slow(const char *verdict)
{
    return strcmp(verdict, "timeout") == 0 || strcmp(verdict, "compile_timeout") == 0;
}

static kds_code compare_step(const kds_lineage_replay *r, const kds_replay_step *s, kds_err *e)
{
    char what[300];
    if (!r->same_kind)
        return KDS_OK;
    if (kds_replay_program(s) == KDS_REPLAY_OTHER)
        return kds_fail(e, KDS_DIVERGED,
                        "#%lld %.8s: the compiled code is not what was recorded, although device "
                        "and software are the same",
                        (long long)s->row.decision, s->row.id);
    if (r->other_inputs)
        return KDS_OK;
    if (kds_replay_verdict(s) == KDS_REPLAY_OTHER && !is_slow(s->verdict) &&
        !is_slow(s->row.verdict)) {
        (void)snprintf(what, sizeof what, "its verdict is %s now, %s was recorded", s->verdict,
                       s->row.verdict);
        return differs(s, e, what);
    }
    if (kds_evaluator_measures(r->evaluator) || !isfinite(s->row.fitness) ||
        kds_replay_verdict(s) != KDS_REPLAY_SAME ||
        fabs(s->fitness - s->row.fitness) <= SAME_FITNESS * s->row.fitness)
        return KDS_OK;
    (void)snprintf(what, sizeof what, "%.6fx the baseline is modelled now, %.6fx was recorded",
                   s->fitness, s->row.fitness);
    return differs(s, e, what);
}

static kds_code confirm(const kds_lineage_replay *r, const claim *c, kds_err *e)
{
    const kds_replay_step *last = &r->steps[r->step_count - 1];
    const kds_replay_duel *d = r->claim >= 0 ? &r->duels[r->claim] : NULL;
    if (strcmp(last->row.verdict, "ok") == 0 && strcmp(last->verdict, "ok") != 0)
        return kds_fail(e, KDS_NOT_CONFIRMED,
                        "#%lld %.8s was recorded as ok; here it is %s: %.600s",
                        (long long)last->row.decision, last->row.id, last->verdict, last->message);
    if (!c->made || !c->judged || c->holds)
        return KDS_OK;
    if (!kds_evaluator_measures(r->evaluator))
        return kds_fail(e, KDS_NOT_CONFIRMED,
                        "#%lld %.8s was recorded as %.4fx the baseline; here it is modelled as "
                        "%.4fx",
                        (long long)last->row.decision, last->row.id, c->recorded, c->now);
    return kds_fail(e, KDS_NOT_CONFIRMED,
                    "#%lld %.8s was recorded as %.4fx the baseline; here its duel says %s: %.400s",
                    (long long)last->row.decision, last->row.id, c->recorded,
                    kds_json_str(d ? d->fought : NULL, "verdict", "nothing"),
                    kds_json_str(d ? d->fought : NULL, "why", ""));
}

/* ---- The report ---- */

static bool add_step(cJSON *list, const kds_replay_step *s)
{
    cJSON *o = cJSON_CreateObject();
    if (!o || !cJSON_AddItemToArray(list, o)) {
        cJSON_Delete(o);
        return false;
    }
    cJSON *before = cJSON_AddObjectToObject(o, "recorded"),
          *now = cJSON_AddObjectToObject(o, "replayed");
    bool ok = before && now && kds_json_add_int(o, "decision", s->row.decision) &&
              kds_json_add_str(o, "candidate", s->row.id) &&
              kds_json_add_str(o, "operator", s->row.operator_name) &&
              kds_json_add_str(before, "verdict", s->row.verdict) &&
              kds_json_add_str(before, "program", s->row.cubin[0] ? s->row.cubin : NULL) &&
              kds_json_add_num(before, "fitness", s->row.fitness) &&
              kds_json_add_str(now, "verdict", s->verdict) &&
              kds_json_add_num(now, "fitness", s->fitness) &&
              kds_json_add_str(now, "stage", s->stage) &&
              kds_json_add_str(now, "message", s->message) &&
              kds_json_add_str(o, "program", matches[kds_replay_program(s)]) &&
              kds_json_add_str(o, "verdict", matches[kds_replay_verdict(s)]);
    return ok && (kds_id_is_zero(s->program) ? kds_json_add_str(now, "program", NULL)
                                             : kds_json_add_id(now, "program", s->program));
}

/* A duel of the record, or one of now: their rounds have different names. */
static bool add_duel_side(cJSON *to, const char *key, const cJSON *duel, const char *rounds)
{
    static const char *const numbers[] = {"gain", "low", "high", "p"};
    cJSON *o = duel ? cJSON_AddObjectToObject(to, key) : cJSON_AddNullToObject(to, key);
    bool ok = o != NULL;
    if (!duel)
        return ok;
    for (size_t i = 0; ok && i < sizeof numbers / sizeof *numbers; i++)
        ok = kds_json_add_num(o, numbers[i], kds_json_num(duel, numbers[i], NAN));
    const cJSON *finding = kds_json_at(duel, "finding");
    return ok && kds_json_add_str(o, "verdict", kds_json_str(duel, "verdict", NULL)) &&
           kds_json_add_int(o, "rounds", kds_json_int(duel, rounds, 0)) &&
           kds_json_add_str(o, "why",
                            finding ? kds_json_str(finding, "message", "")
                                    : kds_json_str(duel, "why", ""));
}

static bool add_duel(cJSON *list, const kds_lineage_replay *r, const kds_replay_duel *d)
{
    const kds_replay_step *s = &r->steps[d->step];
    cJSON *o = cJSON_CreateObject();
    if (!o || !cJSON_AddItemToArray(list, o)) {
        cJSON_Delete(o);
        return false;
    }
    return kds_json_add_int(o, "decision", s->row.decision) &&
           kds_json_add_str(o, "candidate", s->row.id) &&
           kds_json_add_int(o, "against", d->against) &&
           kds_json_add_id(o, "incumbent", d->incumbent) &&
           kds_json_add_str(o, "purpose", d->purpose) &&
           add_duel_side(o, "recorded", d->recorded, "rounds") &&
           add_duel_side(o, "replayed", d->fought, "counted") &&
           kds_json_add_str(o, "device", d->device[0] ? d->device : NULL);
}

static bool add_devices(cJSON *o, const kds_lineage_replay *r)
{
    cJSON *before = cJSON_AddObjectToObject(o, "recorded"),
          *now = cJSON_AddObjectToObject(o, "replayed");
    const cJSON *c = r->campaign;
    return before && now && kds_json_add_str(before, "device", kds_json_str(c, "device", "")) &&
           kds_json_add_str(before, "model", kds_json_str(c, "device_model", "")) &&
           kds_json_add_str(before, "kind", kds_json_str(c, "kind", "")) &&
           kds_json_add_bool(before, "measured", r->measured) &&
           kds_json_add_str(now, "device", kds_evaluator_device(r->evaluator)) &&
           kds_json_add_str(now, "model", kds_evaluator_model(r->evaluator)) &&
           kds_json_add_str(now, "kind", kds_evaluator_kind(r->evaluator)) &&
           kds_json_add_bool(now, "measured", kds_evaluator_measures(r->evaluator)) &&
           kds_json_add_num(now, "floor", r->duel_count ? expm1(r->floor) : NAN) &&
           kds_json_add_bool(o, "same_kind", r->same_kind) &&
           kds_json_add_bool(o, "other_inputs", r->other_inputs);
}

static bool add_claim(cJSON *o, const claim *c)
{
    cJSON *to = cJSON_AddObjectToObject(o, "claim");
    return to && kds_json_add_bool(to, "made", c->made) &&
           kds_json_add_bool(to, "judged", c->judged) &&
           kds_json_add_bool(to, "compared", c->compared) &&
           kds_json_add_num(to, "recorded", c->recorded) &&
           kds_json_add_num(to, "recorded_low", c->recorded_low) &&
           kds_json_add_num(to, "recorded_high", c->recorded_high) &&
           kds_json_add_num(to, "replayed", c->now) && kds_json_add_num(to, "low", c->low) &&
           kds_json_add_num(to, "high", c->high);
}

static const char *outcome(const kds_lineage_replay *r, const claim *c, kds_code code)
{
    if (code != KDS_OK)
        return code == KDS_DIVERGED ? "diverged" : "not_confirmed";
    if (kds_replay_verdict(&r->steps[r->step_count - 1]) == KDS_REPLAY_UNKNOWN)
        return "unrecorded";
    return c->made && c->judged ? "confirmed" : "agrees";
}

static cJSON *make_report(const kds_lineage_replay *r, const claim *c, kds_code code,
                          const kds_err *err)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *steps = o ? cJSON_AddArrayToObject(o, "steps") : NULL,
          *duels = o ? cJSON_AddArrayToObject(o, "duels") : NULL;
    bool ok = steps && duels && kds_json_add_str(o, "task", r->task->name) &&
              kds_json_add_str(o, "candidate", r->steps[r->step_count - 1].row.id) &&
              add_devices(o, r) && add_claim(o, c);
    for (int i = 0; ok && i < r->step_count; i++)
        ok = add_step(steps, &r->steps[i]);
    for (int i = 0; ok && kds_evaluator_measures(r->evaluator) && i < r->duel_count; i++)
        ok = add_duel(duels, r, &r->duels[i]);
    ok = ok && kds_json_add_str(o, "outcome", outcome(r, c, code)) &&
         kds_json_add_str(o, "why", code == KDS_OK ? "" : err->message);
    if (ok)
        return o;
    cJSON_Delete(o);
    return NULL;
}

kds_code kds_replay_judge(const kds_lineage_replay *r, cJSON **report, kds_err *e)
{
    kds_err err = {0};
    claim c = weigh(r);
    kds_code code = KDS_OK;
    for (int i = 0; i < r->step_count && code == KDS_OK; i++)
        code = compare_step(r, &r->steps[i], &err);
    if (code == KDS_OK)
        code = confirm(r, &c, &err);
    *report = make_report(r, &c, code, &err);
    if (!*report)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code != KDS_OK && e)
        *e = err;
    return code;
}
