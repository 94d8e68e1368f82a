/* One run of a program on a bench: memory in place, poison, launches, a deadline, outputs kept. A
 * fault or a hang leaves a context that nothing can be done with: the device is spoilt, and its
 * process answers and ends. */
#include "eval/cuda/device_cuda.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A run may take as long as its budget says, but at least and at most this. */
#define RUN_LEAST_SECONDS 2.0
#define RUN_MOST_SECONDS 10.0
#define SCRATCH_SHARE 0.5 /* of the memory that is free, for a plan's scratch */

/* The program's code for a row. A module is loaded once for all runs on a row, so that what it
 * keeps in memory of its own meets other inputs there. */
static kds_code take_code(kds_program *p, int row, kds_finding *f, kds_err *e)
{
    if (p->row == row)
        return KDS_OK;
    if (p->row >= 0)
        kds_gpu_code_unload(&p->code);
    p->row = -1;
    kds_code code = kds_gpu_code_load(&p->code, p->device->card, p->plan, row, p->compiled, f, e);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK)
        p->row = row;
    if (f->verdict == KDS_VERDICT_DEVICE_FAULT)
        p->device->base.spoilt = true;
    return code;
}

/* Scratch beyond what the card can give is the plan's failure, not the machine's. */
static kds_code check_scratch(const cuda_device *d, const kds_program *p, kds_finding *f,
                              kds_err *e)
{
    size_t free_bytes = 0, total = 0;
    uint64_t wanted = 0;
    for (int i = 0; i < p->code.binding->scratch_count; i++)
        wanted += (uint64_t)p->code.binding->scratch[i].numel *
                  kds_dtype_size(p->code.binding->scratch[i].dtype);
    if (wanted == 0)
        return KDS_OK;
    kds_code code = kds_cuda_check(d->cuda, d->cuda->memory_info(&free_bytes, &total), e,
                                   "asking for free memory");
    double room = SCRATCH_SHARE * ((double)free_bytes + (double)d->stage.arena_bytes);
    if (code == KDS_OK && (double)wanted > room)
        kds_finding_set(f, KDS_VERDICT_LIMITS_EXCEEDED, "correctness", 0,
                        "the plan's scratch of %.1f GB does not fit into the %.1f GB that it may "
                        "take",
                        (double)wanted / 1e9, room / 1e9);
    return code;
}

static double deadline(uint64_t budget)
{
    double seconds = budget > 0 ? (double)budget * 1e-9 : RUN_MOST_SECONDS;
    return fmin(fmax(seconds, RUN_LEAST_SECONDS), RUN_MOST_SECONDS);
}

/* Waits for the candidate. False with a finding. */
static bool wait_run(cuda_device *d, double seconds, kds_finding *f)
{
    kds_err err = {0};
    bool late = false;
    kds_code code = kds_card_wait(d->card, seconds, &late, &err);
    if (code != KDS_OK)
        kds_finding_set(f, KDS_VERDICT_DEVICE_FAULT, "correctness", 0, "it faulted: %s",
                        err.message);
    else if (late)
        kds_finding_set(f, KDS_VERDICT_TIMEOUT, "correctness", 0, "it did not end within %.1f s",
                        seconds);
    d->base.spoilt |= code != KDS_OK || late;
    return code == KDS_OK && !late;
}

/* All launches of the row, once. */
static kds_code run_once(cuda_device *d, kds_program *p, double seconds, double *us, kds_finding *f,
                         kds_err *e)
{
    const cuda_stage *s = &d->stage;
    uint64_t addresses[CUDA_PLACES];
    float milliseconds = 0;
    for (int i = 0; i < s->count; i++)
        addresses[i] = s->arena + s->places[i].first;
    kds_code code = kds_cuda_check(d->cuda, d->cuda->event_record(d->card->start, d->card->stream),
                                   e, "recording an event");
    if (code != KDS_OK)
        return code;
    bool queued = kds_gpu_code_queue(&p->code, addresses, addresses + s->buffers, f);
    if (f->verdict == KDS_VERDICT_DEVICE_FAULT)
        d->base.spoilt = true;
    if (!queued && !d->base.spoilt) { /* what was launched before must have ended */
        kds_finding refused = *f;
        if (wait_run(d, seconds, f))
            *f = refused;
    }
    if (!queued)
        return KDS_OK;
    code = kds_cuda_check(d->cuda, d->cuda->event_record(d->card->end, d->card->stream), NULL,
                          "recording an event");
    if (!wait_run(d, seconds, f) || code != KDS_OK)
        return KDS_OK;
    code =
        kds_cuda_check(d->cuda, d->cuda->event_elapsed(&milliseconds, d->card->start, d->card->end),
                       e, "reading the time between two events");
    *us = 1000.0 * (double)milliseconds;
    return code;
}

kds_code cuda_run(kds_bench *base, kds_program *p, const kds_run_options *o, kds_run_result *run,
                  kds_outputs **out, kds_finding *f, kds_err *e)
{
    cuda_device *d = p->device;
    bool is_nan = o->poison == CUDA_POISON_NAN;
    uint64_t poison = 0;
    double us = 0;
    memset(run, 0, sizeof *run);
    run->coverage = run->rewritten = 1;
    if (out != NULL)
        *out = NULL;
    kds_code code = take_code(p, base->row_index, f, e);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
        return code;
    run->variant = p->code.binding->variant_name;
    run->launches = p->code.binding->launch_count;
    code = check_scratch(d, p, f, e);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK)
        code = cuda_stage_set(d, (cuda_bench *)base, p, e);
    for (int i = 0; code == KDS_OK && f->verdict == KDS_VERDICT_OK && i < (o->repeat ? 2 : 1);
         i++) {
        poison = cuda_draw(d);
        code = cuda_stage_poison(d, is_nan, poison, e);
        if (code == KDS_OK)
            code = run_once(d, p, deadline(o->budget), &us, f, e);
    }
    run->work = us > 0 ? (uint64_t)(1000 * us) : 0;
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK && out != NULL)
        code = cuda_outputs_take(d, is_nan, poison, out, e);
    return code;
}

/* A GPU runs every row whole. */
kds_code cuda_cover(kds_bench *b, kds_program *p, const kds_outputs *like, kds_outputs **out,
                    kds_finding *f, kds_err *e)
{
    const kds_run_options o = {.poison = CUDA_POISON_NAN};
    kds_run_result run;
    (void)like;
    return cuda_run(b, p, &o, &run, out, f, e);
}
