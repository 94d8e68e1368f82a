/* What a proof demands, from what its workers saw. Everything that is wrong becomes a finding; what
 * could not be seen is a warning, never a silent pass. */
#include "search/engine/prove_internal.h"

#include "eval/task_lint.h"

#include <math.h>
#include <string.h>

#define TRAFFIC_OFF 0.02 /* of the bytes formula */
#define TRAFFIC_LEAST                                                                              \
    65536 /* smaller rows are shown, not judged: chance decides what they read                     \
           */
#define SECTOR 32
#define APART_LEAST 0.1 /* of an output's elements */
/* The work of the kernel that does with the least may be less than so many times the formulas'. A
 * formula that is twice what it should be, or half of it, is found whatever that kernel wastes
 * below this. */
#define WORK_MOST 2.0

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

/* What the kernel computed that did with the least: outside of matrix products, and with them. */
typedef struct work {
    double flops, all;
    const char *by; /* did with the least in all */
} work;

static void take_less(work *least, const cJSON *w, const char *by)
{
    double flops = kds_json_num(w, "counted", 0);
    double all = flops + kds_json_num(w, "tensor_counted", 0);
    least->flops = fmin(least->flops, flops);
    if (all < least->all) {
        least->all = all;
        least->by = by;
    }
}

/* The least over the baseline and the seeds, which joins the row's work. */
static work least_work(kds_proof *p, const cJSON *row)
{
    cJSON *mine = cJSON_GetObjectItemCaseSensitive(row, "work");
    work least = {INFINITY, INFINITY, ""};
    take_less(&least, mine, "baseline");
    const cJSON *w = NULL;
    cJSON_ArrayForEach(w, p->seed_work)
    {
        if (strcmp(kds_json_str(w, "row", ""), kds_json_str(row, "row", "")) == 0)
            take_less(&least, w, kds_json_str(w, "seed", ""));
    }
    (void)kds_json_add_num(mine, "least", least.all);
    (void)kds_json_add_str(mine, "least_by", least.by);
    return least;
}

/* A formula above what some right kernel did with: the bound would be above what must be done. */
static void judge_excess(kds_proof *p, const cJSON *row, const work *least)
{
    const cJSON *w = kds_json_at(row, "work");
    double formula = kds_json_num(w, "formula", 0), tensor = kds_json_num(w, "tensor_formula", 0);
    if (formula > least->flops)
        kds_proof_add(p, "error", kds_json_str(row, "row", ""),
                      "\"flops\" gives %.6g, but a kernel of this task does with %.6g: the bound "
                      "would be above what must be done",
                      formula, least->flops);
    else if (formula + tensor > least->all)
        kds_proof_add(p, "error", kds_json_str(row, "row", ""),
                      "\"flops\" and \"tensor_flops\" give %.6g, but a kernel of this task (%s) "
                      "does with %.6g: the bound would be above what must be done",
                      formula + tensor, least->by, least->all);
}

/* Work is known from above alone, by kernels that run, and small rows waste some; so the formulas
 * must be near it where they fit best. Where chance decides what a row touches, a target that is to
 * be ignored say, it says nothing about them. */
static void judge_work(kds_proof *p)
{
    const cJSON *r = NULL, *nearest = NULL;
    double ratio = INFINITY, fewest = 0;
    if (!p->task->flops && !p->task->tensor_flops)
        return;
    cJSON_ArrayForEach(r, p->rows)
    {
        const cJSON *w = kds_json_at(r, "work");
        if (!w)
            continue;
        work least = least_work(p, r);
        if (kds_json_bool(kds_json_at(r, "traffic"), "varies", false))
            continue;
        double formula = kds_json_num(w, "formula", 0) + kds_json_num(w, "tensor_formula", 0);
        double now = least.all > 0 ? least.all / formula : 1;
        judge_excess(p, r, &least);
        if (!nearest || now < ratio) {
            nearest = r;
            ratio = now;
            fewest = least.all;
        }
    }
    if (nearest && ratio >= WORK_MOST)
        kds_proof_add(
            p, "error", kds_json_str(nearest, "row", ""),
            "\"flops\"%s gives %.6g, but no kernel of this task does with less than %.6g, "
            "and no row is nearer: the formula leaves out some of what must be done, or "
            "a seed is missing that wastes less",
            p->task->tensor_flops ? " with \"tensor_flops\"" : "", fewest / ratio, fewest);
}

/* The shares of the inputs that the baseline reads: on this row where it was counted, else the
 * least of the rows that were, chance apart. Where nothing was counted, all. True: counted on this
 * row. */
static bool read_shares(const kds_proof *p, int row, kds_moved *out)
{
    const cJSON *r = NULL;
    for (int i = 0; i < KDS_BUFFERS_MAX; i++)
        out->read[i] = 1;
    cJSON_ArrayForEach(r, p->rows)
    {
        const cJSON *t = kds_json_at(r, "traffic"), *all = kds_json_at(t, "buffers");
        bool own = strcmp(kds_json_str(r, "row", ""), p->task->rows[row].id) == 0;
        for (int i = 0; t && i < p->task->buffer_count; i++) {
            double read = kds_json_num(named(all, p->task->buffers[i].name), "read", 1);
            if (own || (!kds_json_bool(t, "varies", false) && read < out->read[i]))
                out->read[i] = read;
        }
        if (t && own)
            return true;
    }
    return false;
}

/* Rows that are too large to be counted, or too small to be judged, by what the buffers hold: a
 * formula that forgets one must show there too. */
static void judge_held(kds_proof *p)
{
    for (int row = 0; row < p->task->row_count; row++) {
        kds_scope scope = p->task->rows[row].scope;
        kds_moved shares;
        double formula = 0, moved = 0;
        bool counted = read_shares(p, row, &shares);
        kds_err err = {0};
        if (kds_task_moved(p->task, row, &shares, &moved, &err) != KDS_OK ||
            kds_expr_eval_double(p->task->bytes, kds_scope_lookup, &scope, &formula, &err) !=
                KDS_OK) {
            p->error = p->error.code == KDS_OK ? err : p->error;
            return;
        }
        if (counted) /* what is read of a buffer may end within a sector */
            moved = moved * (1 - TRAFFIC_OFF) - SECTOR * p->task->buffer_count;
        if (formula >= moved)
            continue;
        kds_proof_add(
            p, "warning", p->task->rows[row].id,
            "\"bytes\" gives %.0f, but %.0f of the buffers' bytes must be moved: the bound "
            "would be below that",
            formula, moved);
        return;
    }
}

static void judge_formulas(kds_proof *p)
{
    const cJSON *r = NULL, *worst = NULL;
    choose_judged(p);
    cJSON_ArrayForEach(r, p->rows)
    {
        const cJSON *t = kds_json_at(r, "traffic");
        if (kds_json_bool(t, "judged", false) && fabs(off(t)) > TRAFFIC_OFF &&
            (!worst || fabs(off(t)) > fabs(off(kds_json_at(worst, "traffic")))))
            worst = r;
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
    judge_held(p);
    judge_work(p);
    if (p->error.code != KDS_OK) {
        if (e)
            *e = p->error;
        return p->error.code;
    }
    return count_levels(p) ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
}
