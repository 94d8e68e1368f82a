/* Duels in the process that judges: they share card and helpers with the gate, so that one process
 * is all that ever times anything on a GPU. What either keeps on the card is given up when the
 * other needs the room. */
#include "eval/cuda/device_cuda.h"
#include "eval/cuda/gpu_job.h"

bool cuda_duels_drop(cuda_device *d)
{
    bool had = d->duels != NULL;
    if (!d->base.spoilt)
        kds_gpu_duels_close(d->duels);
    d->duels = NULL;
    return had;
}

static kds_code fight(cuda_device *d, const kds_frame *job, const kds_program *baseline,
                      cJSON *reply, bool *spoilt, kds_err *e)
{
    kds_code code = KDS_OK;
    if (d->duels == NULL)
        code = kds_gpu_duels_open(&d->duels, d->card, d->helpers, d->nvml, d->base.task,
                                  baseline->plan, baseline->compiled, e);
    return code == KDS_OK ? kds_gpu_duel_answer(d->duels, job, d->base.task, reply, spoilt, e)
                          : code;
}

kds_code cuda_duel(kds_device *base, const kds_frame *job, const kds_program *baseline,
                   cJSON *reply, kds_err *e)
{
    cuda_device *d = (cuda_device *)base;
    kds_err err = {0};
    bool spoilt = false;
    cuda_stage_drop(d);
    kds_code code = fight(d, job, baseline, reply, &spoilt, &err);
    base->spoilt |= spoilt || code != KDS_OK;
    if (code != KDS_OK && e != NULL)
        *e = err;
    return code;
}
