/* Before the first round, on each row: both arms are right when they run alone; then how many runs
 * make a visit, the same number for both, and for a slowed incumbent how long the idle kernel has
 * to be. */
#include "eval/cuda/gpu_duel_internal.h"

#include "eval/stats.h"

#include <math.h>

#define TRIAL_SETS 16     /* most runs of the visits by which the number is found */
#define TRIAL_US 20000.0  /* most work of them, where that leaves a run */
#define TRIALS 3          /* visits, of which the last counts */
#define WARM_UP_US 5000.0 /* work of both arms before the first round */
#define WARM_UP_VISITS 50
#define SLOW_VISIT_US 200000.0 /* most work of the slower arm's visit, where that leaves a run */
#define PAD_VISITS 5
#define PAD_STEPS 4
#define PAD_GUESS_US 1.5 /* what a kernel that does nothing costs in a graph, roughly */

/* Right alone, and nothing written that is not its own. */
static kds_code prove(duel *d, int arm)
{
    kds_gpu_program *p = d->arms[arm].program;
    d->guilty = arm;
    kds_code code = kds_gpu_duel_row_refill(d->r, 0, d->e);
    if (code == KDS_OK && kds_gpu_program_queue(p, 0, &d->f) && kds_gpu_program_wait(p, &d->f))
        code = kds_gpu_row_intact(d->r->row, &d->f, d->e);
    if (code == KDS_OK && !duel_stopped(d))
        code = kds_gpu_row_check(d->r->row, 0, &d->f, d->e);
    return code;
}

/* Time of a run, from short visits. */
static kds_code trial(duel *d, int arm, duel_row *x, double *us)
{
    int late = 0;
    duel_graph g = {.launches = x->launches, .sets = x->sets, .checked = 0};
    kds_code code = x->flushed ? KDS_OK : duel_build(d, arm, &g);
    for (int i = 0; code == KDS_OK && !duel_stopped(d) && i < TRIALS; i++)
        code = duel_visit(d, arm, x, d->o->warm, i % KDS_GPU_VARIANTS, us, &late);
    return code;
}

/* As many as one run of the slower arm lets be tried. */
static kds_code count_trial(duel *d, duel_row *x)
{
    double us = 0, slow = 0;
    int sets = d->r->row->sets, most = sets < TRIAL_SETS && !d->o->warm ? sets : TRIAL_SETS;
    kds_code code = KDS_OK;
    for (int arm = 0; code == KDS_OK && !duel_stopped(d) && arm < 2; arm++) {
        d->guilty = arm;
        code = duel_refresh(d, 0);
        if (code == KDS_OK)
            code = kds_gpu_visit_single(&d->arms[arm].visit, d->arms[arm].program, 0, &us, &d->f,
                                        d->e);
        slow = us > slow ? us : slow;
    }
    double count = slow > 0 ? TRIAL_US / slow : 1;
    x->launches = x->flushed || count < 1 ? 1 : count < most ? (int)count : most;
    return code;
}

static kds_code count_launches(duel *d, duel_row *x)
{
    double us[2] = {0, 0};
    x->sets = d->o->warm ? 1 : d->r->row->sets;
    kds_code code = count_trial(d, x);
    for (int arm = 0; code == KDS_OK && !duel_stopped(d) && arm < 2; arm++)
        code = trial(d, arm, x, &us[arm]);
    if (code != KDS_OK || duel_stopped(d))
        return code;
    double fast = us[0] < us[1] ? us[0] : us[1], slow = us[0] < us[1] ? us[1] : us[0];
    double most = KDS_GPU_VISIT_NODES;
    for (int arm = 0; arm < 2; arm++) {
        double room = KDS_GPU_VISIT_NODES / kds_gpu_visit_nodes(d->arms[arm].program);
        most = room < most ? room : most;
    }
    double count = ceil(1.1 * KDS_GPU_VISIT_US / fast);
    count = count * slow > SLOW_VISIT_US ? floor(SLOW_VISIT_US / slow) : count;
    if (x->flushed && count > DUEL_FLUSHED)
        count = DUEL_FLUSHED;
    count = count < most ? count : most;
    x->launches = count > 1 ? (int)count : 1;
    return KDS_OK;
}

/* Buffers that are changed in place are right for one run only: as many sets as runs. */
static kds_code one_run_a_set(duel *d, duel_row *x)
{
    if (!d->r->row->has_inout || d->o->warm || x->flushed)
        return KDS_OK;
    kds_code code = kds_gpu_duel_row_grow(d->r, x->launches, d->e);
    if (code == KDS_OK)
        code = duel_take_row(d, (int)(x - d->rows));
    if (code == KDS_OK && x->launches > d->r->row->sets)
        x->launches = d->r->row->sets;
    x->sets = d->r->row->sets;
    return code;
}

/* Median of a few visits of the incumbent, us of the whole visit. */
static kds_code median_visit(duel *d, duel_row *x, int64_t pad_ns, double *us)
{
    double samples[PAD_VISITS] = {0};
    int late = 0;
    duel_graph g = {.launches = x->launches, .sets = x->sets, .pad_ns = pad_ns};
    kds_code code = duel_build(d, 0, &g);
    for (int i = 0; code == KDS_OK && !duel_stopped(d) && i < PAD_VISITS; i++)
        code = duel_visit(d, 0, x, d->o->warm, i % KDS_GPU_VARIANTS, &samples[i], &late);
    kds_stats_sort(samples, PAD_VISITS);
    *us = kds_stats_quantile(samples, PAD_VISITS, 0.5) * x->launches;
    return code;
}

static kds_code calibrate_pad(duel *d, duel_row *x)
{
    double plain = 0, padded = 0, again = 0;
    if (d->o->slowdown <= 0)
        return KDS_OK;
    if (x->flushed)
        return kds_fail(d->e, KDS_USAGE,
                        "row %s is measured by flushing the L2, run by run: no slowdown there",
                        d->r->row->task->rows[x->index].id);
    kds_code code = median_visit(d, x, 0, &plain);
    double wanted = d->o->slowdown * plain, ns = 1000 * (wanted - PAD_GUESS_US);
    for (int i = 0; code == KDS_OK && !duel_stopped(d) && i < PAD_STEPS; i++) {
        x->pad_ns = ns > 1 ? (int64_t)ns : 1;
        code = median_visit(d, x, x->pad_ns, &padded);
        if (code == KDS_OK && !duel_stopped(d))
            code = median_visit(d, x, 0, &again);
        x->pad_visit_us = again;
        x->pad_added_us = padded - again;
        wanted = d->o->slowdown * again;
        if (fabs(x->pad_added_us - wanted) < 0.03 * wanted)
            break;
        ns += 1000 * (wanted - x->pad_added_us);
    }
    return code;
}

/* Both arms in turn until the clocks have had time to rise. */
static kds_code warm_up(duel *d, duel_row *x)
{
    double sum = 0, us = 0;
    int late = 0;
    duel_graph g = {.launches = x->launches, .sets = x->sets};
    kds_code code = KDS_OK;
    for (int arm = 0; code == KDS_OK && !x->flushed && !duel_stopped(d) && arm < 2; arm++)
        code = duel_build(d, arm, &g);
    for (int i = 0; code == KDS_OK && !duel_stopped(d) && i < WARM_UP_VISITS && sum < WARM_UP_US;
         i++) {
        code = duel_visit(d, i % 2, x, d->o->warm, i / 2 % KDS_GPU_VARIANTS, &us, &late);
        sum += us * x->launches;
    }
    return code;
}

kds_code duel_prepare(duel *d, int i)
{
    duel_row *x = &d->rows[i];
    kds_code code = duel_take_row(d, i);
    if (code != KDS_OK)
        return code;
    x->flushed = !kds_gpu_duel_row_rotates(d->r) && !d->o->warm;
    code = duel_load(d, NULL);
    for (int arm = 0; code == KDS_OK && !duel_stopped(d) && arm < 2; arm++)
        code = prove(d, arm);
    if (code == KDS_OK && !duel_stopped(d))
        code = count_launches(d, x);
    if (code == KDS_OK && !duel_stopped(d))
        code = one_run_a_set(d, x);
    if (code == KDS_OK && !duel_stopped(d) && i == 0) /* from then on the card stays busy */
        code = warm_up(d, x);
    if (code == KDS_OK && !duel_stopped(d))
        code = calibrate_pad(d, x);
    if (code == KDS_OK && !duel_stopped(d))
        duel_unload(d);
    return code;
}
