/* Time beside the baseline: rounds, each on inputs of its own (and others in each set of buffers)
 * with both modules loaded afresh, so that what a kernel remembers is of no use to it. A round is
 * four visits, two of each in the order of a coin. One that is clearly slower is not measured
 * again. */
#include "eval/cuda/device_cuda.h"
#include "eval/cuda/gpu_measure.h"
#include "eval/stats.h"

#define ROUNDS 2

typedef struct session {
    cuda_device *device;
    kds_gpu_row *row;
    kds_program *candidate, *baseline;
    kds_finding *f;
} session;

/* Inputs of this round, and what the baseline makes of them. */
static kds_code begin_round(session *s, kds_err *e)
{
    kds_code code = kds_gpu_row_reseed_apart(s->row, cuda_draw(s->device), e);
    if (code == KDS_OK)
        code = kds_gpu_row_expect(s->row, s->baseline->plan, s->baseline->compiled, e);
    return code == KDS_OK && s->row->has_inout ? kds_gpu_row_reset(s->row, e) : code;
}

static kds_code run_round(session *s, double us[2], kds_err *e)
{
    kds_program *const programs[] = {s->candidate, s->baseline};
    kds_gpu_program *loaded[2] = {NULL, NULL};
    kds_finding own;
    kds_finding_clear(&own);
    kds_code code = begin_round(s, e);
    for (int i = 0; code == KDS_OK && s->f->verdict == KDS_VERDICT_OK && i < 2; i++)
        code = kds_gpu_program_load(&loaded[i], s->row, programs[i]->plan, programs[i]->compiled,
                                    i == 0 ? s->f : &own, e);
    if (code == KDS_OK && own.verdict != KDS_VERDICT_OK)
        code = kds_fail(e, KDS_DEVICE_LOST, "the baseline no longer loads: %.500s", own.text);
    if (code == KDS_OK && s->f->verdict == KDS_VERDICT_OK) {
        kds_random draw = kds_random_stream(cuda_draw(s->device), 0, "visits");
        code = kds_gpu_measure_pair(loaded[0], loaded[1], &draw, us, s->f, e);
    }
    kds_verdict v = s->f->verdict;
    s->device->base.spoilt |= v == KDS_VERDICT_TIMEOUT || v == KDS_VERDICT_DEVICE_FAULT ||
                              v == KDS_VERDICT_WROTE_OUTSIDE || code == KDS_DEVICE_LOST;
    for (int i = 0; i < 2 && !s->device->base.spoilt; i++)
        kds_gpu_program_unload(loaded[i]);
    return code;
}

kds_code cuda_time(kds_bench *b, kds_program *p, kds_program *baseline, kds_run_result *run,
                   kds_finding *f, kds_err *e)
{
    cuda_device *d = p->device;
    session s = {.device = d, .candidate = p, .baseline = baseline, .f = f};
    double us[2], sum[2] = {0, 0};
    int rounds = 0;
    const kds_task *t = b->device->task;
    kds_code code = kds_gpu_row_open(&s.row, d->card, d->helpers, t, b->row_index, e);
    if (code == KDS_NO_MEMORY && cuda_duels_drop(d))
        code = kds_gpu_row_open(&s.row, d->card, d->helpers, t, b->row_index, e);
    while (code == KDS_OK && f->verdict == KDS_VERDICT_OK && rounds < ROUNDS) {
        code = run_round(&s, us, e);
        if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
            break;
        sum[0] += us[0];
        sum[1] += us[1];
        rounds++;
        if (us[0] > (1 + t->screen) * us[1])
            break;
    }
    if (!d->base.spoilt)
        kds_gpu_row_close(s.row);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
        return code;
    run->us = kds_stats_picoseconds(sum[0] / rounds);
    run->baseline_us = kds_stats_picoseconds(sum[1] / rounds);
    if (p == baseline)
        run->us = run->baseline_us = (run->us + run->baseline_us) / 2;
    return KDS_OK;
}
