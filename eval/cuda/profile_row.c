/* A candidate's plan on one row, under counters. */
#include "eval/cuda/profile.h"

#include <string.h>

typedef struct profiled {
    kds_gpu_row *row;
    kds_gpu_program *program;
    kds_finding *f;
} profiled;

/* Inputs as they were (a kernel may work in place), outputs and scratch poisoned. */
static kds_code prepare(void *user, kds_err *e)
{
    profiled *x = user;
    const kds_cuda *c = x->row->card->cuda;
    kds_code code = kds_gpu_row_reset(x->row, e);
    if (code == KDS_OK && x->program->scratch != 0)
        code = kds_cuda_check(c,
                              c->set(x->program->scratch, KDS_GPU_POISON,
                                     (size_t)x->program->sets * x->program->scratch_bytes,
                                     x->row->card->stream),
                              e, "poisoning scratch");
    return code;
}

static kds_code run(void *user, bool *failed, kds_err *e)
{
    profiled *x = user;
    (void)e;
    *failed =
        !kds_gpu_program_queue(x->program, 0, x->f) || !kds_gpu_program_wait(x->program, x->f);
    return KDS_OK;
}

kds_code kds_profile_row(kds_profiler *p, const kds_metric_set *s, kds_gpu_row *r,
                         const kds_plan *plan, const kds_compiled *c, kds_measures *out,
                         bool *spoilt, kds_finding *f, kds_err *e)
{
    profiled x = {.row = r, .f = f};
    kds_profile_work work = {.prepare = prepare, .run = run, .user = &x};
    bool failed = false;
    out->count = 0;
    kds_code code = kds_gpu_program_load(&x.program, r, plan, c, f, e);
    if (code != KDS_OK || x.program == NULL)
        return code;
    /* Once without counters: the driver loads code at the first launch, and faults are told apart
     * from the profiler's. */
    code = prepare(&x, e);
    if (code == KDS_OK)
        code = run(&x, &failed, e);
    if (code == KDS_OK && !failed)
        code = kds_profiler_run(p, s, &work, out, &failed, e);
    *spoilt =
        failed && f->verdict != KDS_VERDICT_LAUNCH_FAILED && f->verdict != KDS_VERDICT_PLAN_INVALID;
    if (!*spoilt && code != KDS_DEVICE_LOST)
        kds_gpu_program_unload(x.program);
    return code;
}
