/* A guess at how fast a candidate will be on a GPU, made on the simulator before a GPU is free: the
 * time model on a few blocks of the production rows, against the baseline's the same way. It orders
 * candidates and judges none. Rows come by their weight, as many as the baseline gets through with
 * little work, so that the guess costs about as much as the safety check before it. */
#include "eval/judge_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define POISON 0xff
#define BASELINE_WORK 4000000u /* over all rows: 0.1 to 0.2 s of a core */
/* Work that a candidate may take on a row, as a multiple of the baseline's. */
#define BUDGET_FACTOR 16
#define BUDGET_LEAST 4000000u

typedef struct ahead_row {
    int row;
    kds_bench *bench;
    double baseline_us;
    uint64_t work; /* the baseline's */
} ahead_row;

struct kds_judge_ahead {
    ahead_row *rows;
    int count;
};

/* Of the simulator's counters those that no GPU's default set has, and what they are set against:
 * ratios of them say how a kernel works. */
static const char *const told[] = {"sim__unique_sectors_ld.sum",
                                   "sim__global_lines.sum",
                                   "sim__barriers.sum",
                                   "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum",
                                   "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum",
                                   "l1tex__t_requests_pipe_lsu_mem_global_op_st.sum",
                                   "sm__warps_launched.sum",
                                   "smsp__sass_branch_targets.sum",
                                   "smsp__sass_branch_targets_threads_divergent.sum"};

static void add_counters(kds_measures *sums, const kds_measures *row, double weight)
{
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        double value = kds_measures_get(row, told[i], NAN);
        if (isfinite(value))
            (void)kds_measures_set(sums, told[i],
                                   kds_measures_get(sums, told[i], 0) + weight * value);
    }
}

/* *us is 0 if the program could not be run there. `counters` may be NULL. */
static kds_code guess(kds_bench *b, kds_program *p, uint64_t budget, double *us, uint64_t *work,
                      kds_measures *counters, double weight, kds_err *e)
{
    const kds_run_options o = {.poison = POISON, .timed = true, .rough = true, .budget = budget};
    kds_run_result run;
    kds_finding f;
    kds_finding_clear(&f);
    kds_code code = b->device->ops->run(b, p, &o, &run, NULL, &f, e);
    *us = f.verdict == KDS_VERDICT_OK && isfinite(run.us) && run.us > 0 ? run.us : 0;
    *work = run.ran;
    if (code == KDS_OK && *us > 0 && counters != NULL)
        add_counters(counters, &run.counters, weight);
    return code;
}

/* Rows by falling weight, the first of equals first. */
static int heaviest(const kds_task *t, const bool *taken)
{
    int best = -1;
    for (int row = 0; row < t->row_count; row++)
        if (t->rows[row].set == KDS_ROWS_PRODUCTION && !taken[row] && t->rows[row].weight > 0 &&
            (best < 0 || t->rows[row].weight > t->rows[best].weight))
            best = row;
    return best;
}

static kds_code prepare(kds_judge *j, struct kds_judge_ahead *a, bool *taken, kds_err *e)
{
    kds_device *d = j->main.device;
    uint64_t work = 0;
    kds_code code = KDS_OK;
    for (int row = heaviest(j->task, taken); row >= 0 && work < BASELINE_WORK;
         row = heaviest(j->task, taken)) {
        ahead_row x = {.row = row};
        taken[row] = true;
        code = d->ops->setup(d, row, 0, 0, &x.bench, e);
        if (code == KDS_OK)
            code = guess(x.bench, j->main.baseline, 0, &x.baseline_us, &x.work, NULL, 0, e);
        work += x.work;
        if (code == KDS_OK && x.baseline_us > 0)
            a->rows[a->count++] = x;
        else
            d->ops->teardown(x.bench);
        if (code != KDS_OK)
            break;
    }
    return code;
}

static kds_code ahead_open(kds_judge *j, kds_err *e)
{
    size_t rows = (size_t)j->task->row_count;
    bool *taken = calloc(rows, sizeof *taken);
    struct kds_judge_ahead *a = calloc(1, sizeof *a);
    if (a != NULL)
        a->rows = calloc(rows, sizeof *a->rows);
    j->ahead = a;
    kds_code code = taken != NULL && a != NULL && a->rows != NULL
                        ? prepare(j, a, taken, e)
                        : kds_fail(e, KDS_NO_MEMORY, "cannot make a forecast: out of memory");
    free(taken);
    return code;
}

void kds_judge_ahead_close(kds_judge *j)
{
    for (int i = 0; j->ahead != NULL && i < j->ahead->count; i++)
        j->main.device->ops->teardown(j->ahead->rows[i].bench);
    if (j->ahead != NULL)
        free(j->ahead->rows);
    free(j->ahead);
    j->ahead = NULL;
}

kds_code kds_judge_forecast(kds_judge *j, kds_program *p, cJSON *report, kds_err *e)
{
    double sum = 0, weights = 0;
    kds_measures counters = {.count = 0};
    kds_code code = j->ahead == NULL ? ahead_open(j, e) : KDS_OK;
    for (int i = 0; code == KDS_OK && i < j->ahead->count; i++) {
        const ahead_row *x = &j->ahead->rows[i];
        uint64_t budget = x->work * BUDGET_FACTOR, work = 0;
        double us = 0, weight = j->task->rows[x->row].weight;
        code = guess(x->bench, p, budget > BUDGET_LEAST ? budget : BUDGET_LEAST, &us, &work,
                     &counters, weight, e);
        if (code == KDS_OK && us <= 0)
            return KDS_OK; /* nothing is known of it */
        if (code == KDS_OK) {
            sum += weight * log(us / x->baseline_us);
            weights += weight;
        }
    }
    if (code != KDS_OK || !(weights > 0))
        return code;
    cJSON *o = cJSON_AddObjectToObject(report, "forecast");
    if (o == NULL || !kds_json_add_num(o, "ratio", sum / weights) ||
        !kds_json_add_str(o, "device", j->main.device->name) ||
        !cJSON_AddItemToObject(o, "counters", kds_measures_json(&counters)))
        return kds_fail(e, KDS_NO_MEMORY, "cannot make a forecast: out of memory");
    return KDS_OK;
}
