/* A child becomes the elite of its cell if the cell is empty or if it beats the elite there in a
 * duel: on the simulator one comparison of two reports, elsewhere measured (commit_bouts.c). What
 * is too good to be true (beyond the roofline, above ten times) is neither accepted nor thrown
 * away: it waits for review. */
#include "search/engine/commit_internal.h"

#include "eval/duel.h"
#include "eval/judge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t kds_commit_twin(const kds_state *state, const kds_flight *f)
{
    if (!f->has_candidate)
        return -1;
    int64_t twin = kds_map_get(state->ids, f->candidate);
    if (twin < 0)
        twin = kds_map_get(state->norms, f->norm);
    if (twin < 0 && !kds_id_is_zero(f->program))
        twin = kds_map_get(state->programs, f->program);
    return twin;
}

bool kds_commit_ready(const kds_state *state, const kds_flight *f)
{
    return f->has_verdict || kds_commit_twin(state, f) >= 0;
}

/* The fields that both kinds have. */
static cJSON *start_body(const kds_flight *f, const char *verdict)
{
    cJSON *body = cJSON_CreateObject();
    bool ok = body && kds_json_add_int(body, "decision", f->decision) &&
              kds_json_add_str(body, "operator", f->operator_name);
    if (ok && f->has_candidate)
        ok = kds_json_add_id(body, "candidate", f->candidate);
    else if (ok)
        ok = kds_json_add_str(body, "candidate", NULL);
    if (ok && kds_json_add_str(body, "verdict", verdict))
        return body;
    cJSON_Delete(body);
    return NULL;
}

static kds_code finish(cJSON *body, bool ok, const char *why, cJSON **out, kds_err *e)
{
    if (!body || !ok || !kds_json_add_str(body, "why", why)) {
        cJSON_Delete(body);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    *out = body;
    return KDS_OK;
}

static kds_code reject_duplicate(const kds_selector *s, const kds_flight *f, int64_t twin,
                                 cJSON **out, kds_err *e)
{
    char name[24], why[80];
    kds_candidate_row row;
    snprintf(name, sizeof name, "#%lld", (long long)twin);
    kds_code code = kds_ledger_find(s->ledger, name, &row, e);
    if (code != KDS_OK)
        return code;
    cJSON *body = start_body(f, kds_verdict_name(KDS_VERDICT_DUPLICATE));
    bool ok = body && kds_json_add_str(body, "cell", row.cell[0] ? row.cell : NULL) &&
              kds_json_add_num(body, "fitness", row.fitness) &&
              kds_json_add_str(body, "duplicate_of", row.id);
    snprintf(why, sizeof why, "the same as #%lld (%.8s)", (long long)twin, row.id);
    return finish(body, ok, why, out, e);
}

static kds_code reject(const kds_flight *f, kds_verdict v, const char *cell, double fitness,
                       const char *why, cJSON **out, kds_err *e)
{
    cJSON *body = start_body(f, kds_verdict_name(v));
    bool ok =
        body && kds_json_add_str(body, "cell", cell) && kds_json_add_num(body, "fitness", fitness);
    return finish(body, ok, why, out, e);
}

void kds_kept_reports_free(kds_kept_reports *k)
{
    for (int i = 0; i < KDS_REPORTS_KEPT; i++)
        cJSON_Delete(k->items[i].report);
    *k = (kds_kept_reports){.uses = 0};
}

void kds_keep_report(kds_kept_reports *k, int64_t decision, kds_id id, cJSON *report)
{
    int oldest = 0;
    for (int i = 1; i < KDS_REPORTS_KEPT; i++)
        if (k->items[i].used < k->items[oldest].used)
            oldest = i;
    cJSON_Delete(k->items[oldest].report);
    k->items[oldest].id = id;
    k->items[oldest].decision = decision;
    k->items[oldest].report = report;
    k->items[oldest].used = ++k->uses;
}

/* A report that is named but not there, or not JSON, is damage. */
static kds_code read_report(kds_ledger *ledger, kds_id id, cJSON **out, kds_err *e)
{
    kds_code code = kds_ledger_get_json(ledger, id, out, e);
    if (code == KDS_NOT_FOUND)
        return kds_fail(e, KDS_DAMAGED, "a report that the record names is not in it");
    return code;
}

/* To be given to drop_report. What is kept stays valid while one other is loaded: the one that was
 * not used for longest makes room. */
static kds_code load_report(const kds_selector *s, int64_t decision, kds_id id, cJSON **out,
                            kds_err *e)
{
    kds_kept_reports *k = s->reports;
    for (int i = 0; k && i < KDS_REPORTS_KEPT; i++)
        if (k->items[i].report && k->items[i].decision == decision &&
            kds_id_equal(k->items[i].id, id)) {
            *out = k->items[i].report;
            k->items[i].used = ++k->uses;
            return KDS_OK;
        }
    kds_code code = read_report(s->ledger, id, out, e);
    if (code == KDS_OK && k)
        kds_keep_report(k, decision, id, *out);
    return code;
}

static void drop_report(const kds_selector *s, cJSON *report)
{
    if (!s->reports)
        cJSON_Delete(report);
}

static kds_code keep_report(void *user, const cJSON *row, kds_err *e)
{
    (void)e;
    (void)kds_json_id(row, "report", user);
    return KDS_OK;
}

/* What the judge said in the decision that made the elite. (The candidate's own row is of the first
 * decision that proposed it, which in order of arrival need not be the one that was judged.) */
static kds_code load_elite_report(const kds_selector *s, const kds_cell *cell, cJSON **out,
                                  kds_err *e)
{
    kds_id id = {0, 0};
    cJSON *args = cJSON_CreateArray(), *decision = cJSON_CreateNumber((double)cell->elite_decision);
    if (!args || !decision || !cJSON_AddItemToArray(args, decision)) {
        cJSON_Delete(decision);
        cJSON_Delete(args);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    kds_code code =
        kds_ledger_select(s->ledger,
                          "SELECT report FROM evaluations WHERE decision = ?1 AND "
                          "stage = 'judge' AND report IS NOT NULL ORDER BY seq DESC LIMIT 1",
                          args, keep_report, &id, e);
    cJSON_Delete(args);
    if (code != KDS_OK)
        return code;
    if (kds_id_is_zero(id))
        return kds_fail(e, KDS_DAMAGED, "the elite of decision %lld has no report",
                        (long long)cell->elite_decision);
    return load_report(s, cell->elite_decision, id, out, e);
}

const char *kds_commit_quarantine(const cJSON *report)
{
    static const char *const flags[] = {"beyond_roofline", "above_10x", "production_unchecked",
                                        NULL};
    for (int i = 0; flags[i]; i++)
        if (kds_report_has_flag(report, flags[i]))
            return flags[i];
    return NULL;
}

/* What an ACCEPT says beside the candidate's own numbers. */
typedef struct acceptance {
    const kds_cell *cell; /* NULL: empty */
    bool best;
    const kds_bout *shown; /* of a best one where times are measured: its duel with the baseline */
    const char *why;
} acceptance;

static kds_code accept(const kds_flight *f, const cJSON *report, const acceptance *a, cJSON **out,
                       kds_err *e)
{
    const cJSON *descriptor = kds_json_at(report, "descriptor");
    cJSON *body = start_body(f, kds_verdict_name(f->verdict));
    cJSON *bins = cJSON_Duplicate(kds_json_at(descriptor, "bins"), true);
    bool ok =
        body && bins && kds_json_add_str(body, "cell", kds_json_str(descriptor, "cell", NULL));
    if (ok && cJSON_AddItemToObject(body, "bins", bins))
        bins = NULL;
    ok = ok && !bins && kds_json_add_num(body, "fitness", kds_json_num(report, "fitness", 0)) &&
         kds_json_add_bool(body, "best", a->best);
    if (ok && a->best && a->shown)
        ok = kds_json_add_num(body, "speedup", 1 + a->shown->gain) &&
             kds_json_add_num(body, "speedup_low", 1 + a->shown->low) &&
             kds_json_add_num(body, "speedup_high", 1 + a->shown->high);
    if (ok && a->cell && !kds_id_is_zero(a->cell->elite))
        ok = kds_json_add_id(body, "replaced", a->cell->elite);
    else if (ok)
        ok = kds_json_add_str(body, "replaced", NULL);
    cJSON_Delete(bins);
    return finish(body, ok, a->why, out, e);
}

/* A candidate that competed for its cell and was not faster. From rules 2 on its bins are told:
 * only what competed has them. */
static kds_code reject_beaten(const kds_state *state, const kds_flight *f, const cJSON *descriptor,
                              double fitness, const char *why, cJSON **out, kds_err *e)
{
    cJSON *body = NULL;
    kds_code code =
        reject(f, KDS_VERDICT_OK, kds_json_str(descriptor, "cell", NULL), fitness, why, &body, e);
    if (code != KDS_OK)
        return code;
    cJSON *bins = state->rules >= 2 ? cJSON_Duplicate(kds_json_at(descriptor, "bins"), true) : NULL;
    if (state->rules >= 2 && (!bins || !cJSON_AddItemToObject(body, "bins", bins))) {
        cJSON_Delete(bins);
        cJSON_Delete(body);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    *out = body;
    return KDS_OK;
}

/* By duels that were fought. */
static kds_code commit_measured(const kds_state *state, const kds_flight *f, const cJSON *report,
                                uint64_t key, const char **kind, cJSON **body, kds_err *e)
{
    const cJSON *descriptor = kds_json_at(report, "descriptor");
    double fitness = kds_json_num(report, "fitness", NAN);
    kds_bout_outcome o;
    kds_bouts_walk(state, f, key, fitness, &o);
    if (o.needed)
        return kds_fail(e, KDS_DAMAGED, "decision %lld is to be committed before its duels",
                        (long long)f->decision);
    if (!o.accepted && o.verdict == KDS_VERDICT_OK)
        return reject_beaten(state, f, descriptor, fitness, o.why, body, e);
    if (!o.accepted)
        return reject(f, o.verdict, kds_json_str(descriptor, "cell", NULL), fitness, o.why, body,
                      e);
    *kind = "ACCEPT";
    acceptance a = {kds_state_cell(state, key), o.best, o.shown, o.why};
    return accept(f, report, &a, body, e);
}

/* By the times of two reports. */
static kds_code commit_exact(const kds_selector *s, const kds_state *state, const kds_flight *f,
                             const cJSON *report, uint64_t key, const char **kind, cJSON **body,
                             kds_err *e)
{
    double fitness = kds_json_num(report, "fitness", NAN);
    acceptance a = {.cell = kds_state_cell(state, key), .why = "first in its cell"};
    a.best = kds_id_is_zero(state->best) || fitness > state->best_fitness * (1 + s->task->margin);
    kds_duel duel;
    if (a.cell) {
        cJSON *elite = NULL;
        kds_code code = load_elite_report(s, a.cell, &elite, e);
        if (code == KDS_OK)
            code = kds_duel_exact(report, elite, s->task->margin, s->task->max_regress, &duel, e);
        drop_report(s, elite);
        if (code != KDS_OK)
            return code;
        if (duel.verdict != KDS_DUEL_FASTER)
            return reject_beaten(state, f, kds_json_at(report, "descriptor"), fitness, duel.why,
                                 body, e);
        a.why = duel.why;
    }
    *kind = "ACCEPT";
    return accept(f, report, &a, body, e);
}

/* Why a candidate that passed every check gets no further than its report; false if it does. */
static bool set_aside(const kds_selector *s, const kds_state *state, const cJSON *report, char *why,
                      size_t size)
{
    const cJSON *descriptor = kds_json_at(report, "descriptor");
    const char *flag = kds_commit_quarantine(report);
    if (flag) {
        snprintf(why, size, "kept for review: %s", flag);
        return true;
    }
    if (kds_report_has_flag(report, "screened")) {
        snprintf(why, size, "screened: %.1f %% slower than the baseline, at most %.0f %% allowed",
                 100 * (1 / kds_json_num(report, "fitness", 1) - 1), 100 * s->task->screen);
        return true;
    }
    if (state->measured && kds_json_int(descriptor, "version", -1) != state->descriptor_version) {
        snprintf(why, size, "kept for review: it could not be profiled, so its cell is not known");
        return true;
    }
    return false;
}

/* The cell and the fitness of a report. */
static kds_code read_merit(const kds_flight *f, const cJSON *report, uint64_t *key, double *fitness,
                           kds_err *e)
{
    *fitness = kds_json_num(report, "fitness", NAN);
    if (kds_cell_parse(kds_json_str(kds_json_at(report, "descriptor"), "cell", NULL), key) &&
        isfinite(*fitness))
        return KDS_OK;
    return kds_fail(e, KDS_DAMAGED, "the report of decision %lld has no cell or no fitness",
                    (long long)f->decision);
}

/* The candidate passed every check: into its cell, or not. */
static kds_code commit_judged(const kds_selector *s, const kds_state *state, const kds_flight *f,
                              const cJSON *report, const char **kind, cJSON **body, kds_err *e)
{
    uint64_t key = 0;
    double fitness = NAN;
    char why[240];
    kds_code code = read_merit(f, report, &key, &fitness, e);
    if (code != KDS_OK)
        return code;
    if (set_aside(s, state, report, why, sizeof why))
        return reject(f, f->verdict, kds_json_str(kds_json_at(report, "descriptor"), "cell", NULL),
                      fitness, why, body, e);
    return state->measured ? commit_measured(state, f, report, key, kind, body, e)
                           : commit_exact(s, state, f, report, key, kind, body, e);
}

/* What a model made of the guidance comes into use, unless it was there before. */
static kds_code commit_guidance(const kds_state *state, const kds_flight *f, cJSON **body,
                                kds_err *e)
{
    char hex[KDS_ID_HEX], why[120];
    const kds_guidance *twin = kds_guidance_find(&state->guidances, f->guidance_made);
    kds_id_format(f->guidance_made, hex);
    if (twin)
        snprintf(why, sizeof why, "the same guidance (%.8s) as of #%lld", hex,
                 (long long)twin->decision);
    else
        snprintf(why, sizeof why, "guidance %.8s comes into use", hex);
    return reject(f, twin ? KDS_VERDICT_NO_CHILD : KDS_VERDICT_OK, NULL, NAN, why, body, e);
}

kds_code kds_commit_bout(const kds_selector *s, const kds_state *state, const kds_flight *f,
                         bool *needed, kds_bout_need *out, kds_err *e)
{
    uint64_t key = 0;
    double fitness = NAN;
    char why[240];
    cJSON *report = NULL;
    kds_bout_outcome o = {.needed = false};
    *needed = false;
    if (!state->measured || kds_commit_twin(state, f) >= 0 || f->verdict != KDS_VERDICT_OK ||
        kds_id_is_zero(f->report))
        return KDS_OK;
    kds_code code = load_report(s, f->decision, f->report, &report, e);
    if (code == KDS_OK)
        code = kds_commit_settle(s, state, f, report, e);
    if (code == KDS_OK)
        code = read_merit(f, report, &key, &fitness, e);
    if (code == KDS_OK && !set_aside(s, state, report, why, sizeof why)) {
        kds_bouts_walk(state, f, key, fitness, &o);
        *needed = o.needed;
        *out = o.need;
    }
    drop_report(s, report);
    return code;
}

kds_code kds_commit(const kds_selector *s, const kds_state *state, const kds_flight *f,
                    const char **kind, cJSON **body, kds_err *e)
{
    int64_t twin = kds_commit_twin(state, f);
    *kind = "REJECT";
    if (twin >= 0)
        return reject_duplicate(s, f, twin, body, e);
    if (f->verdict != KDS_VERDICT_OK)
        return reject(f, f->verdict, NULL, NAN, f->message, body, e);
    if (kds_flight_guides(f))
        return commit_guidance(state, f, body, e);
    if (kds_id_is_zero(f->report))
        return kds_fail(e, KDS_DAMAGED, "decision %lld passed every check without a report",
                        (long long)f->decision);
    cJSON *report = NULL;
    kds_code code = load_report(s, f->decision, f->report, &report, e);
    if (code == KDS_OK)
        code = kds_commit_settle(s, state, f, report, e);
    if (code == KDS_OK)
        code = commit_judged(s, state, f, report, kind, body, e);
    drop_report(s, report);
    return code == KDS_OK
               ? KDS_OK
               : kds_err_prefix(e, code, "committing decision %lld", (long long)f->decision);
}
