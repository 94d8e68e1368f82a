/* Reads that are repeated far apart. Blocks next to each other in x run at about the same time, so
 * what they share comes from the L2. Blocks next to each other in y or z run a whole row or layer
 * of the grid later: what they share is still in the L2 only if less than its size has passed
 * through it since. How much such neighbours share is found by running two of them. */
#include "eval/sim/device_sim.h"

#include <math.h>
#include <string.h>

#define SECTOR 32.0
#define PAIR_BUDGET 50000000u
/* Steepness of the change from hit to miss as the distance passes the L2's size. */
#define STEEPNESS 4.0

/* Sectors that the blocks read and write, each counted once. */
static kds_code run_counting(const sim_launch *l, const uint64_t *blocks, uint64_t count,
                             double *loads, double *stores, kds_finding *f, kds_err *e)
{
    kds_sim_result r;
    kds_code code = sim_launch_blocks(l, blocks, count, PAIR_BUDGET, false, &r, f, e);
    *loads = r.counters[KDS_SIM_COUNTER_UNIQUE_LD_SECTORS];
    *stores = r.counters[KDS_SIM_COUNTER_UNIQUE_ST_SECTORS];
    return code;
}

/* Bytes dropped between blocks `apart` from each other, of which there are `repeats` pairs. */
static kds_code far_pairs(const sim_launch *l, uint64_t apart, double repeats, double *bytes,
                          kds_finding *f, kds_err *e)
{
    double one = 0, both = 0, stored = 0, ignored = 0;
    const uint64_t at = apart / 2;
    const uint64_t pair[2] = {at, at + apart};
    kds_code code = run_counting(l, &at, 1, &one, &stored, f, e);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK)
        code = run_counting(l, pair, 2, &both, &ignored, f, e);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
        return code;
    double shared = 2 * one - both;
    if (!(shared > 0))
        return KDS_OK;
    double distance = (double)apart * (one + stored) * SECTOR;
    double dropped = 1 / (1 + pow(l->program->device->gpu->l2_bytes / distance, STEEPNESS));
    *bytes += shared * SECTOR * repeats * dropped;
    return KDS_OK;
}

kds_code sim_far_bytes(const sim_launch *l, double *bytes, kds_finding *f, kds_err *e)
{
    const int64_t *grid = l->launch->grid;
    const uint64_t row = (uint64_t)grid[0], layer = row * (uint64_t)grid[1];
    sim_memory scratch = {0};
    sim_launch apart = *l;
    *bytes = 0;
    /* One row only, or blocks that depend on others: nothing can be learnt from two. */
    if ((grid[1] < 2 && grid[2] < 2) || l->unit > 1 || !l->check_uninitialised)
        return KDS_OK;
    apart.at = &scratch;
    kds_code code = sim_memory_fill(&scratch, l->bench, l->binding, l->program->oracle, 0, e);
    if (code == KDS_OK && grid[1] > 1)
        code = far_pairs(&apart, row, (double)(layer - row) * (double)grid[2], bytes, f, e);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK && grid[2] > 1)
        code = far_pairs(&apart, layer, (double)layer * (double)(grid[2] - 1), bytes, f, e);
    sim_memory_drop(&scratch);
    return code;
}
