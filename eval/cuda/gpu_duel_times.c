/* Beside the verdict: the time of a run in the mode that was not fought in, and the time that its
 * host sees, from queueing one run to knowing that it has ended. */
#include "eval/cuda/gpu_duel_internal.h"

#include "eval/stats.h"
#include "search/base/clock.h"

#include <math.h>

static double median(double *values, int count)
{
    kds_stats_sort(values, (size_t)count);
    return count > 0 ? kds_stats_quantile(values, (size_t)count, 0.5) : NAN;
}

/* Host time of one run, with a clean L2 or right after another on the same set. */
static kds_code wall_once(duel *d, int arm, bool warm, int nth, double *us)
{
    kds_gpu_program *p = d->arms[arm].program;
    int set = d->order[warm ? 0 : nth % d->r->row->sets];
    d->guilty = arm;
    kds_code code = duel_refresh(d, nth % KDS_GPU_VARIANTS);
    if (code == KDS_OK && warm)
        (void)kds_gpu_program_queue(p, set, &d->f);
    if (code != KDS_OK || duel_stopped(d) || !kds_gpu_program_wait(p, &d->f))
        return code;
    double from = kds_clock_monotonic();
    if (kds_gpu_program_queue(p, set, &d->f))
        (void)kds_gpu_visit_spin(p, &d->f);
    *us = kds_stats_picoseconds(1e6 * (kds_clock_monotonic() - from));
    return KDS_OK;
}

static kds_code walls(duel *d, duel_row *x, bool warm)
{
    double us[2][DUEL_WALLS] = {{0}};
    kds_code code = KDS_OK;
    for (int i = 0; code == KDS_OK && i < DUEL_WALLS; i++)
        for (int k = 0; code == KDS_OK && !duel_stopped(d) && k < 2; k++) {
            int arm = (i + k) % 2;
            code = wall_once(d, arm, warm, i, &us[arm][i]);
        }
    for (int arm = 0; arm < 2; arm++)
        x->times[arm].wall[warm] = median(us[arm], DUEL_WALLS);
    return code;
}

/* Visits of both arms in the other mode; an arm in turn goes first. */
static kds_code other_mode(duel *d, const duel_row *x, bool warm)
{
    double us[2][DUEL_OTHER] = {{0}};
    int late = 0;
    duel_row y = *x;
    y.sets = warm ? 1 : d->r->row->sets;
    y.flushed = !kds_gpu_duel_row_rotates(d->r);
    if (!warm && (d->r->row->has_inout || y.flushed) && y.launches > y.sets)
        y.launches = y.flushed && y.launches > DUEL_FLUSHED ? DUEL_FLUSHED : y.sets;
    duel_graph g = {.launches = y.launches, .sets = y.sets};
    kds_code code = KDS_OK;
    for (int arm = 0; code == KDS_OK && !duel_stopped(d) && arm < 2; arm++)
        code = duel_build(d, arm, &g);
    for (int i = 0; code == KDS_OK && i < DUEL_OTHER; i++)
        for (int k = 0; code == KDS_OK && !duel_stopped(d) && k < 2; k++) {
            int arm = (i + k) % 2;
            code = duel_visit(d, arm, &y, warm, i % KDS_GPU_VARIANTS, &us[arm][i], &late);
        }
    duel_row *to = &d->rows[x - d->rows];
    for (int arm = 0; arm < 2; arm++)
        to->times[arm].device[warm] = median(us[arm], DUEL_OTHER);
    return code;
}

kds_code duel_measure_times(duel *d, int i)
{
    duel_row *x = &d->rows[i];
    for (int arm = 0; arm < 2; arm++) {
        double us[KDS_DUEL_ROUNDS * DUEL_PAIRS];
        for (int k = 0; k < x->visit_count; k++)
            us[k] = x->us[arm][k];
        x->times[arm] = (duel_times){{NAN, NAN}, {NAN, NAN}};
        x->times[arm].device[d->o->warm] = median(us, x->visit_count);
    }
    bool wanted = d->result.verdict == KDS_DUEL_FASTER || d->o->to_the_look;
    if (!wanted || d->ended_by != KDS_DUEL_CALM) /* a loser is not worth more */
        return KDS_OK;
    kds_code code = duel_take_row(d, i);
    if (code == KDS_OK)
        code = duel_load(d, NULL);
    if (code == KDS_OK && !duel_stopped(d))
        code = other_mode(d, x, !d->o->warm);
    for (int warm = 0; code == KDS_OK && !duel_stopped(d) && warm < 2; warm++)
        code = walls(d, x, warm);
    if (code == KDS_OK && !duel_stopped(d))
        duel_unload(d);
    return code;
}
