/* One campaign without processes, device or clock: kds_select decides, the scripted model answers
 * through the parser of replies, verdicts come from the judged catalogue, kds_commit decides what
 * becomes of a child, and every event goes to the ledger and to the state. Replies arrive in an
 * order of their own, by latencies that are drawn; with strict replay of that order in the record,
 * `kdasearch replay` derives all of it again. */
#include "search/engine/search_bench_internal.h"

#include "prompts/reply.h"
#include "search/engine/state_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LANES_MAX 256
#define REPLY_SECONDS 20.0 /* at least; another 40 at most */
#define JUDGE_SECONDS 2.0
#define USD_A_CALL 0.01

typedef struct lane {
    int64_t decision;
    double due;
} lane;

typedef struct drive {
    const kds_catalogue *c;
    kds_settings *settings;
    kds_models *models;
    kds_selector selector;
    kds_state *state;
    kds_ledger *ledger;
    lane lanes[LANES_MAX];
    int lane_count;
    double now;
    kds_id prompt;
} drive;

/* Appends and applies an event; takes the body. */
static kds_code record(drive *d, const char *kind, cJSON *body, bool ok, kds_err *e)
{
    kds_code code = body && ok ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK)
        code = kds_ledger_append(d->ledger, kind, body, NULL, e);
    if (code == KDS_OK)
        code = kds_state_apply(d->state, kind, body, e);
    cJSON_Delete(body);
    return code;
}

static kds_code set(kds_settings *s, const char *name, const char *value, kds_err *e)
{
    return value ? kds_settings_set_from(s, name, value, KDS_FROM_FLAG, e) : KDS_OK;
}

/* The settings of the arm; the rest are the defaults. */
static kds_code configure(drive *d, const kds_bench_arm *arm, const char *seed, kds_err *e)
{
    kds_code code = kds_settings_create(&d->settings, e);
    if (code == KDS_OK)
        code = set(d->settings, "proposer", "endpoint", e);
    if (code == KDS_OK)
        code = set(d->settings, "url", "http://127.0.0.1:9/v1", e); /* nothing is sent */
    if (code == KDS_OK)
        code = set(d->settings, "model", "scripted", e);
    if (code == KDS_OK)
        code = set(d->settings, "seed", seed, e);
    if (code == KDS_OK)
        code = set(d->settings, "guidance-every", "0", e); /* a script takes no advice */
    if (code == KDS_OK)
        code = set(d->settings, "parents", arm->parents, e);
    if (code == KDS_OK)
        code = set(d->settings, "operators", arm->operators, e);
    if (code == KDS_OK)
        code = kds_models_read(&d->models, d->settings, e);
    if (code == KDS_OK)
        code = kds_selector_configure(&d->selector, d->settings, d->models, e);
    return code;
}

static kds_code begin(drive *d, const char *seed, kds_err *e)
{
    static const char prompt[] = "(of the scripted model)";
    cJSON *o = cJSON_CreateObject(), *set = o ? cJSON_AddObjectToObject(o, "descriptors") : NULL;
    bool ok = set && kds_json_add_int(set, "version", d->c->task->descriptor_version) &&
              kds_json_add_int(o, "format", KDS_ARCHIVE_FORMAT) &&
              kds_json_add_int(o, "rules", KDS_RULES) &&
              kds_json_add_str(o, "task", d->c->task->name) &&
              kds_json_add_id(o, "task_hash", d->c->task->hash) &&
              kds_json_add_str(o, "seed", seed) && kds_json_add_str(o, "device", d->c->device) &&
              kds_json_add_str(o, "fingerprint", d->c->fingerprint);
    if (ok)
        ok = cJSON_AddItemToObject(o, "settings", kds_settings_json(d->settings));
    kds_code code = record(d, "CAMPAIGN", o, ok, e);
    if (code != KDS_OK)
        return code;
    o = cJSON_CreateObject();
    ok = o && kds_json_add_int(o, "epoch", 0) &&
         cJSON_AddItemToObject(o, "settings", kds_settings_json(d->settings));
    code = record(d, "EPOCH", o, ok, e);
    if (code == KDS_OK)
        code = kds_ledger_put(d->ledger, "prompt", prompt, sizeof prompt - 1, &d->prompt, e);
    return code;
}

/* The next decision, with its child if the engine makes it. */
static kds_code decide(drive *d, bool *made, kds_err *e)
{
    kds_choice choice = {0};
    kds_id id;
    const int64_t decision = d->state->decisions;
    kds_code code = kds_select(&d->selector, d->state, &choice, made, e);
    if (code != KDS_OK || !*made)
        return code;
    const bool asks = choice.candidate == NULL;
    code = record(d, "DECISION", choice.decision, true, e);
    choice.decision = NULL;
    if (code == KDS_OK && !asks) {
        code = kds_ledger_put(d->ledger, "source", choice.source.data, choice.source.len, &id, e);
        if (code == KDS_OK)
            code = record(d, "CANDIDATE", choice.candidate, true, e);
        choice.candidate = NULL;
    }
    kds_choice_free(&choice);
    kds_random r = kds_random_stream(d->state->seed, (uint64_t)decision, "latency");
    d->lanes[d->lane_count++] =
        (lane){decision,
               d->now + JUDGE_SECONDS + (asks ? REPLY_SECONDS * (1 + 2 * kds_random_unit(&r)) : 0)};
    return code;
}

/* The point of a parent; the baseline is taken for the first one, from which it is rewritten. */
static int point_of(const kds_catalogue *c, kds_id id)
{
    int at = kds_catalogue_find(c, id);
    return at < 0 ? 0 : at;
}

static void understand(const kds_catalogue *c, const kds_flight *f, kds_script_ask *ask)
{
    *ask = (kds_script_ask){.operator_name = f->operator_name,
                            .parent = point_of(c, f->parents[0]),
                            .other = f->parent_count > 1 ? point_of(c, f->parents[1]) : -1,
                            .axis = -1};
    cJSON *target = f->target[0] ? kds_json_parse_record(f->target, strlen(f->target)) : NULL;
    for (int i = 0; target && i < c->task->axis_count; i++)
        if (strcmp(c->task->axes[i].name, kds_json_str(target, "axis", "")) == 0) {
            ask->axis = i;
            ask->bin = (int)kds_json_int(target, "to", 0);
        }
    cJSON_Delete(target);
}

static kds_code record_call(drive *d, int64_t decision, int attempt, kds_id reply, kds_err *e)
{
    const int64_t request = d->state->requests;
    cJSON *o = cJSON_CreateObject();
    bool ok = o && kds_json_add_int(o, "request", request) &&
              kds_json_add_int(o, "decision", decision) &&
              kds_json_add_int(o, "attempt", attempt) && kds_json_add_str(o, "api", "mail") &&
              kds_json_add_str(o, "model", "scripted") && kds_json_add_id(o, "prompt", d->prompt);
    kds_code code = record(d, "REQUEST", o, ok, e);
    if (code != KDS_OK)
        return code;
    o = cJSON_CreateObject();
    ok = o && kds_json_add_int(o, "request", request) &&
         kds_json_add_int(o, "decision", decision) && kds_json_add_int(o, "status", 200) &&
         kds_json_add_str(o, "outcome", "ok") && kds_json_add_id(o, "reply", reply) &&
         kds_json_add_num(o, "cost_usd", USD_A_CALL);
    return record(d, "RESPONSE", o, ok, e);
}

static kds_code record_child(drive *d, const kds_flight *f, const kds_buf *source,
                             const char *hypothesis, kds_err *e)
{
    kds_id id;
    cJSON *parents = cJSON_CreateArray();
    for (int i = 0; parents && i < f->parent_count; i++) {
        char hex[KDS_ID_HEX];
        kds_id_format(f->parents[i], hex);
        cJSON_AddItemToArray(parents, cJSON_CreateString(hex));
    }
    kds_code code = kds_ledger_put(d->ledger, "source", source->data, source->len, &id, e);
    if (code == KDS_OK)
        code = record(d, "CANDIDATE",
                      kds_candidate_body(d->state, f->decision, f->operator_name, f->model, parents,
                                         source->data, source->len, hypothesis),
                      parents != NULL, e);
    cJSON_Delete(parents);
    return code;
}

static kds_code record_stage(drive *d, const kds_flight *f, const char *stage, kds_verdict verdict,
                             const char *message, kds_id program, const cJSON *report, kds_err *e)
{
    kds_id id = {0, 0};
    char *text = report ? kds_json_print(report) : NULL;
    kds_code code = report && !text ? kds_fail(e, KDS_NO_MEMORY, "out of memory") : KDS_OK;
    if (text && code == KDS_OK)
        code = kds_ledger_put(d->ledger, "report", text, strlen(text), &id, e);
    free(text);
    if (code != KDS_OK)
        return code;
    cJSON *o = cJSON_CreateObject();
    bool ok = o && kds_json_add_int(o, "decision", f->decision) &&
              kds_json_add_str(o, "stage", stage) &&
              kds_json_add_str(o, "verdict", kds_verdict_name(verdict)) &&
              kds_json_add_str(o, "message", message);
    ok = ok && (f->has_candidate ? kds_json_add_id(o, "candidate", f->candidate)
                                 : kds_json_add_str(o, "candidate", NULL));
    ok = ok && (kds_id_is_zero(program) || kds_json_add_id(o, "cubin", program)) &&
         (kds_id_is_zero(id) || kds_json_add_id(o, "report", id));
    return record(d, "STAGE", o, ok, e);
}

/* Asks the scripted model, and once more if the reply cannot be used, as a campaign does. */
static kds_code ask(drive *d, int64_t decision, kds_err *e)
{
    const kds_flight *f = kds_state_flight(d->state, decision);
    kds_random random = kds_random_stream(d->state->seed, (uint64_t)decision, "script");
    kds_reply read = {0};
    kds_buf reply, source;
    kds_id id;
    kds_script_ask what;
    char *parent = NULL;
    size_t parent_len = 0;
    understand(d->c, f, &what);
    kds_buf_init(&reply, KDS_REPLY_CAP);
    kds_buf_init(&source, KDS_SOURCE_CAP);
    kds_code code = kds_ledger_get(d->ledger, f->parents[0], &parent, &parent_len, e);
    for (int attempt = 1; code == KDS_OK && attempt <= 2; attempt++) {
        kds_buf_reset(&reply);
        kds_script_reply(d->c, &what, &random, &reply);
        if ((code = kds_buf_check(&reply, "a reply", e)) == KDS_OK)
            code = kds_ledger_put(d->ledger, "reply", reply.data, reply.len, &id, e);
        if (code == KDS_OK)
            code = record_call(d, decision, attempt, id, e);
        if (code == KDS_OK)
            code = kds_reply_parse(reply.data, reply.len, parent, parent_len, &source, &read, e);
        if (read.problem == KDS_REPLY_OK)
            break;
    }
    if (code == KDS_OK && read.problem == KDS_REPLY_OK)
        code = record_child(d, f, &source, read.hypothesis, e);
    else if (code == KDS_OK)
        code = record_stage(d, f, "propose", KDS_VERDICT_NO_CHILD, read.message, (kds_id){0, 0},
                            NULL, e);
    kds_buf_free(&reply);
    kds_buf_free(&source);
    free(parent);
    return code;
}

/* The stages of a child, as they were when the catalogue was judged. */
static kds_code judge(drive *d, int64_t decision, kds_err *e)
{
    const kds_flight *f = kds_state_flight(d->state, decision);
    const kds_catalogue *c = d->c;
    static const kds_point none = {.flaw = 0};
    const bool baseline = kds_id_equal(f->candidate, c->baseline_id);
    const int at = baseline ? 0 : kds_catalogue_find(c, f->candidate);
    if (at < 0)
        return kds_fail(e, KDS_INVALID, "decision %lld has a child that is not of the catalogue",
                        (long long)decision);
    const kds_point *p = baseline ? &none : &c->points[at];
    kds_id program = baseline ? c->baseline_program : p->program;
    if (!kds_id_is_zero(program)) {
        kds_code code = record_stage(d, f, "compile", KDS_VERDICT_OK, "", program, NULL, e);
        if (code != KDS_OK || kds_commit_ready(d->state, f))
            return code;
    }
    if (baseline)
        return record_stage(d, f, "judge", KDS_VERDICT_OK, "", (kds_id){0, 0}, c->baseline, e);
    return record_stage(d, f, p->stage, p->verdict, p->message, (kds_id){0, 0}, p->report, e);
}

/* What has come first, to its commit. */
static kds_code finish_one(drive *d, kds_err *e)
{
    const char *kind = NULL;
    cJSON *body = NULL;
    int first = 0;
    for (int i = 1; i < d->lane_count; i++)
        if (d->lanes[i].due < d->lanes[first].due)
            first = i;
    const lane l = d->lanes[first];
    memmove(&d->lanes[first], &d->lanes[first + 1],
            (size_t)(--d->lane_count - first) * sizeof *d->lanes);
    d->now = l.due;
    kds_code code = KDS_OK;
    if (!kds_state_flight(d->state, l.decision)->has_candidate)
        code = ask(d, l.decision, e);
    if (code == KDS_OK && !kds_commit_ready(d->state, kds_state_flight(d->state, l.decision)))
        code = judge(d, l.decision, e);
    if (code == KDS_OK)
        code = kds_commit(&d->selector, d->state, kds_state_flight(d->state, l.decision), &kind,
                          &body, e);
    return code == KDS_OK ? record(d, kind, body, true, e) : code;
}

static kds_code run(drive *d, const kds_search_bench_options *o, kds_bench_run *out, kds_err *e)
{
    const int64_t opening = kds_selector_opening(&d->selector);
    const double aim = o->share * d->c->optimum;
    kds_code code = KDS_OK;
    while (code == KDS_OK && !out->reached && d->state->committed < opening + o->cap) {
        bool made = true;
        while (code == KDS_OK && made && d->lane_count < o->in_flight &&
               (d->state->decisions < opening || d->state->committed >= opening))
            code = decide(d, &made, e);
        if (code != KDS_OK || !d->lane_count)
            break; /* nothing is left to try */
        code = finish_one(d, e);
        out->reached = d->state->best_fitness >= aim;
    }
    out->decisions = d->state->committed - opening;
    out->calls = d->state->requests;
    out->cost = d->state->cost_usd + KDS_USD_A_JUDGE * (double)(d->state->evaluated - opening);
    out->best = d->state->best_fitness;
    out->state = kds_state_hash(d->state);
    return code;
}

kds_code kds_bench_campaign(const kds_catalogue *c, const kds_search_bench_options *o,
                            const kds_bench_arm *arm, uint64_t seed, kds_ledger *ledger,
                            kds_bench_run *out, kds_err *e)
{
    char text[24];
    drive d = {.c = c, .ledger = ledger, .state = kds_state_create()};
    snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
    *out = (kds_bench_run){.reached = false};
    d.selector = (kds_selector){.task = &c->seedless, .ledger = ledger};
    kds_code code =
        d.state ? configure(&d, arm, text, e) : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK)
        code = begin(&d, text, e);
    if (code == KDS_OK)
        code = run(&d, o, out, e);
    kds_state_free(d.state);
    kds_models_free(d.models);
    kds_settings_free(d.settings);
    return code == KDS_OK
               ? code
               : kds_err_prefix(e, code, "%s, arm %s, seed %s", c->task->name, arm->name, text);
}
