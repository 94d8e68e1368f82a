/* What a proof demands, from what its workers saw. Everything that is wrong becomes a finding; what
 * could not be seen is a warning, never a silent pass. */
#include "search/engine/prove_internal.h"

#include <math.h>
#include <string.h>

#define TRAFFIC_OFF 0.02 /* of the bytes formula */
#define TRAFFIC_LEAST                                                                              \
    65536               /* smaller rows are shown, not judged: chance decides what they read       \
                         */
#define APART_LEAST 0.1 /* of an output's elements */

static bool is_ok(const cJSON *o)
{
    return strcmp(kds_json_str(o, "verdict", ""), "ok") == 0;
}

static void judge_kernels(kds_proof *p)
{
    const cJSON *k = NULL;
    cJSON_ArrayForEach(k, p->kernels)
    {
        const char *verdict = kds_json_str(k, "verdict", "");
        if (is_ok(k))
            continue;
        bool unknown = strcmp(verdict, "not_simulated") == 0;
        kds_proof_add(p, unknown ? "warning" : "error", kds_json_str(k, "file", ""),
                      "%s at %s: %.900s%s", verdict, kds_json_str(k, "stage", ""),
                      kds_json_str(k, "message", ""),
                      unknown ? " (not proven; try it on a GPU)" : "");
    }
}

static void judge_mutations(kds_proof *p)
{
    const cJSON *m = NULL;
    if (!p->mutations || p->o.skip_mutations)
        return;
    if (p->mutations->count < KDS_MUTATIONS_LEAST)
        kds_proof_add(
            p, "warning", KDS_MUTATIONS_FILE,
            "%d mutation%s: at least %d mistakes should be listed that the gate must refuse",
            p->mutations->count, p->mutations->count == 1 ? "" : "s", KDS_MUTATIONS_LEAST);
    cJSON_ArrayForEach(m, p->refusals)
    {
        const char *what = kds_json_str(m, "what", "");
        if (kds_json_bool(m, "refused", false))
            continue;
        if (is_ok(m))
            kds_proof_add(p, "error", KDS_MUTATIONS_FILE,
                          "'%s' (number %d) passes the gate: rows, regimes or tolerances are too "
                          "weak%s",
                          what, (int)kds_json_int(m, "number", 0),
                          p->o.quick ? " (of the quick rows)" : "");
        else
            kds_proof_add(p, "error", KDS_MUTATIONS_FILE,
                          "'%s' (number %d) never reached the gate: %s: %.600s", what,
                          (int)kds_json_int(m, "number", 0), kds_json_str(m, "verdict", ""),
                          kds_json_str(m, "message", ""));
    }
}

/* Rows that the simulator could not run, or on which the baseline failed. */
static void judge_rows(kds_proof *p)
{
    const cJSON *r = NULL;
    cJSON_ArrayForEach(r, p->rows)
    {
        const char *verdict = kds_json_str(r, "verdict", "");
        bool quick = strcmp(kds_json_str(r, "set", ""), "quick") == 0;
        if (is_ok(r) || (strcmp(verdict, "timeout") == 0 && !quick)) /* too much to run whole */
            continue;
        bool unknown = strcmp(verdict, "not_simulated") == 0;
        kds_proof_add(p, unknown ? "warning" : "error", kds_json_str(r, "row", ""),
                      "the baseline ends in %s, so nothing is known of its inputs and traffic: "
                      "%.600s",
                      verdict, kds_json_str(r, "message", ""));
    }
}

/* The entry of an array with this name; NULL: none. */
static cJSON *named(const cJSON *array, const char *name)
{
    cJSON *o = NULL;
    cJSON_ArrayForEach(o, array) if (strcmp(kds_json_str(o, "name", ""), name) == 0) return o;
    return NULL;
}

/* One entry per input: that of the first row that shows an effect, else of the first row. */
kds_code kds_proof_join(kds_proof *p, const cJSON *row, kds_err *e)
{
    const cJSON *x = NULL;
    cJSON_ArrayForEach(x, kds_json_at(row, "effects"))
    {
        cJSON *known = named(p->inputs, kds_json_str(x, "name", ""));
        bool shown = kds_json_bool(x, "effect", false);
        if (known && (kds_json_bool(known, "effect", false) || !shown))
            continue;
        cJSON *copy = cJSON_Duplicate(x, true);
        if (!copy || !kds_json_add_str(copy, "row", kds_json_str(row, "row", ""))) {
            cJSON_Delete(copy);
            return kds_fail(e, KDS_NO_MEMORY, "out of memory");
        }
        if (known)
            cJSON_ReplaceItemViaPointer(p->inputs, known, copy);
        else
            cJSON_AddItemToArray(p->inputs, copy);
    }
    return KDS_OK;
}

static void judge_inputs(kds_proof *p)
{
    const cJSON *x = NULL;
    if (p->o.skip_inputs)
        return;
    cJSON_ArrayForEach(x, p->inputs)
    {
        if (cJSON_IsFalse(kds_json_at(x, "effect")))
            kds_proof_add(
                p, "error", "task.json",
                "%s '%s' has no effect: with %s no output changes beyond tolerance, on no "
                "quick row",
                kds_json_str(x, "kind", ""), kds_json_str(x, "name", ""),
                kds_json_str(x, "change", ""));
    }
    if (cJSON_GetArraySize(p->inputs) == 0)
        kds_proof_add(
            p, "warning", "bench/workloads.json",
            "no quick row could be run whole on the simulator, so it is not known whether "
            "outputs depend on every input");
}

/* An output, over all rows: is there one on which a constant would be refused? */
static void judge_output(kds_proof *p, const char *name)
{
    const cJSON *r = NULL;
    double best = -1;
    cJSON_ArrayForEach(r, p->rows)
    {
        const cJSON *o = named(kds_json_at(r, "outputs"), name);
        if (!o)
            continue;
        if (kds_json_num(o, "finite", 0) < kds_json_num(o, "elements", 0))
            kds_proof_add(p, "error", kds_json_str(r, "row", ""),
                          "%.0f of %.0f elements of '%s' are not finite on plain inputs",
                          kds_json_num(o, "elements", 0) - kds_json_num(o, "finite", 0),
                          kds_json_num(o, "elements", 0), name);
        if (kds_json_num(o, "elements", 0) > 1)
            best = fmax(best, kds_json_num(o, "apart", 0));
    }
    if (best >= 0 && best < APART_LEAST)
        kds_proof_add(p, best > 0 ? "warning" : "error", "task.json",
                      "output '%s' is nearly constant: its mean everywhere would be right by the "
                      "tolerance for %.3g %% of the elements, on every row",
                      name, 100 * (1 - best));
}

static double off(const cJSON *traffic)
{
    double formula = kds_json_num(traffic, "formula", 0);
    return formula > 0 ? kds_json_num(traffic, "counted", 0) / formula - 1 : 0;
}

/* Marks the rows of a kind whose traffic counts: those that are large enough, else the largest.
 * Where chance decides what a row touches, it says nothing about a formula. */
static bool choose_among(kds_proof *p, bool production)
{
    const cJSON *r = NULL;
    cJSON *largest = NULL;
    bool any = false;
    cJSON_ArrayForEach(r, p->rows)
    {
        cJSON *t = cJSON_GetObjectItemCaseSensitive(r, "traffic");
        bool timed = strcmp(kds_json_str(r, "set", ""), "production") == 0;
        if (!t || timed != production || kds_json_bool(t, "varies", false))
            continue;
        bool enough = kds_json_num(t, "formula", 0) >= TRAFFIC_LEAST;
        any |= enough;
        if (enough)
            (void)kds_json_add_bool(t, "judged", true);
        if (!largest || kds_json_num(t, "formula", 0) > kds_json_num(largest, "formula", 0))
            largest = t;
    }
    if (!any && largest)
        (void)kds_json_add_bool(largest, "judged", true);
    return any || largest;
}

/* The rows that are timed, where some could be run whole. */
static void choose_judged(kds_proof *p)
{
    if (!choose_among(p, true) && !choose_among(p, false))
        kds_proof_add(p, "warning", "task.json",
                      "\"bytes\" was compared with nothing: no row could be counted whole on the "
                      "simulator, or chance decides what they touch");
}

static void judge_formulas(kds_proof *p)
{
    const cJSON *r = NULL, *worst = NULL;
    choose_judged(p);
    cJSON_ArrayForEach(r, p->rows)
    {
        const cJSON *t = kds_json_at(r, "traffic"), *w = kds_json_at(r, "work");
        if (kds_json_bool(t, "judged", false) && fabs(off(t)) > TRAFFIC_OFF &&
            (!worst || fabs(off(t)) > fabs(off(kds_json_at(worst, "traffic")))))
            worst = r;
        const cJSON *most = kds_json_at(w, "most");
        if (cJSON_IsNumber(most) && kds_json_num(w, "formula", 0) > most->valuedouble)
            kds_proof_add(p, "error", kds_json_str(r, "row", ""),
                          "\"flops\" gives %.6g, but the baseline computed at most %.6g: the bound "
                          "would be above what must be done",
                          kds_json_num(w, "formula", 0), most->valuedouble);
    }
    if (worst) {
        const cJSON *t = kds_json_at(worst, "traffic");
        kds_proof_add(p, "error", kds_json_str(worst, "row", ""),
                      "\"bytes\" gives %.0f, the baseline touches %.0f of its inputs and outputs: "
                      "%+.1f %% (at most %.0f %%)",
                      kds_json_num(t, "formula", 0), kds_json_num(t, "counted", 0), 100 * off(t),
                      100 * TRAFFIC_OFF);
    }
}

static bool count_levels(kds_proof *p)
{
    const cJSON *f = NULL;
    int errors = 0, warnings = 0;
    cJSON_ArrayForEach(f, p->findings)
    {
        bool error = strcmp(kds_json_str(f, "level", ""), "error") == 0;
        errors += error;
        warnings += !error;
    }
    return kds_json_add_int(p->report, "errors", errors) &&
           kds_json_add_int(p->report, "warnings", warnings);
}

kds_code kds_proof_judge(kds_proof *p, kds_err *e)
{
    judge_kernels(p);
    judge_mutations(p);
    judge_rows(p);
    judge_inputs(p);
    for (int i = 0; i < p->task->buffer_count; i++)
        if (p->task->buffers[i].role != KDS_ROLE_IN)
            judge_output(p, p->task->buffers[i].name);
    judge_formulas(p);
    if (p->error.code != KDS_OK) {
        if (e)
            *e = p->error;
        return p->error.code;
    }
    return count_levels(p) ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
}
