/* Which large rows nothing is there to compare with, told from the task alone: the blocks of an
 * oracle can be run one by one (sim_cover.c) only where it is a single launch without scratch. That
 * they map to outputs linearly shows when they run. */
#include "eval/sim/device_sim.h"

#include <stdio.h>
#include <string.h>

static kds_code is_sampled(const kds_task *t, int row, bool *sampled, kds_err *e)
{
    uint64_t total = 0;
    kds_code code = KDS_OK;
    for (int i = 0; i < t->buffer_count && code == KDS_OK; i++) {
        kds_extent x;
        code = kds_task_extent(t, &t->rows[row], i, &x, e);
        if (code == KDS_OK)
            total += (uint64_t)x.span * kds_dtype_size(x.dtype);
    }
    *sampled = total > SIM_WHOLE_BYTES;
    return code;
}

/* Why single blocks of the oracle cannot be run on a row; "" if they can. A plan that is wrong is
 * told of elsewhere. */
static kds_code look_at(const kds_plan *plan, int row, char *why, size_t size, kds_err *e)
{
    kds_binding b;
    kds_finding f;
    kds_finding_clear(&f);
    why[0] = '\0';
    kds_code code = kds_plan_bind(plan, row, &b, &f, e);
    if (code != KDS_OK || f.verdict != KDS_VERDICT_OK)
        return code;
    if (b.launch_count > 1)
        (void)snprintf(why, size, "takes %d launches", b.launch_count);
    else if (b.scratch_count > 0)
        (void)snprintf(why, size, "keeps what it computes in scratch");
    return KDS_OK;
}

static kds_code look_at_rows(const kds_task *t, const kds_plan *plan, const char *oracle, char *why,
                             size_t size, kds_err *e)
{
    char first[80] = "";
    int rows = 0, unchecked = 0, at = -1;
    kds_code code = KDS_OK;
    for (int row = 0; row < t->row_count && code == KDS_OK; row++) {
        char now[80] = "";
        bool sampled = false;
        if (t->rows[row].set != KDS_ROWS_PRODUCTION)
            continue;
        rows++;
        code = is_sampled(t, row, &sampled, e);
        if (code == KDS_OK && sampled)
            code = look_at(plan, row, now, sizeof now, e);
        if (code != KDS_OK || now[0] == '\0')
            continue;
        if (unchecked++ == 0) {
            at = row;
            memcpy(first, now, sizeof first);
        }
    }
    if (code == KDS_OK && unchecked > 0)
        (void)snprintf(
            why, size,
            "the %s %s on row %s, of which the simulator runs a sample of the blocks, so "
            "that it has nothing to compare with on %d of %d production rows",
            oracle, first, t->rows[at].id, unchecked, rows);
    return code;
}

kds_code kds_device_unchecked(const char *spec, const kds_task *t, char *why, size_t size,
                              kds_err *e)
{
    bool reference = t->reference != NULL && !t->bitwise;
    const char *source = reference ? t->reference : t->baseline;
    kds_plan *plan = NULL;
    kds_finding f;
    kds_finding_clear(&f);
    why[0] = '\0';
    if (kds_device_is_gpu(spec))
        return KDS_OK;
    kds_code code = kds_plan_parse(&plan, t, source, strlen(source), NULL, &f, e);
    if (code == KDS_OK && plan != NULL)
        code = look_at_rows(t, plan, reference ? "reference" : "baseline", why, size, e);
    kds_plan_free(plan);
    return code;
}
