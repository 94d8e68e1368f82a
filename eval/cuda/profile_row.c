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

/* Once without counters: the driver loads code at the first launch, and faults are told apart from
 * the profiler's. */
static kds_code rehearse(profiled *x, bool *failed, kds_err *e)
{
    kds_code code = prepare(x, e);
    return code == KDS_OK ? run(x, failed, e) : code;
}

kds_code kds_profile_rows(kds_profiler *p, const kds_metric_set *s, kds_gpu_row *const *rows,
                          int count, const kds_plan *plan, const kds_compiled *c, kds_measures *out,
                          bool *spoilt, kds_finding *f, kds_err *e)
{
    profiled x[KDS_PROFILE_WORKS] = {{0}};
    kds_profile_work works[KDS_PROFILE_WORKS];
    bool failed = false;
    kds_code code = KDS_OK;
    for (int i = 0; code == KDS_OK && !failed && i < count; i++) {
        out[i].count = 0;
        x[i] = (profiled){.row = rows[i], .f = f};
        works[i] = (kds_profile_work){.prepare = prepare, .run = run, .user = &x[i]};
        code = kds_gpu_program_load(&x[i].program, rows[i], plan, c, f, e);
        failed = code == KDS_OK && x[i].program == NULL;
        if (code == KDS_OK && !failed)
            code = rehearse(&x[i], &failed, e);
    }
    if (code == KDS_OK && !failed)
        code = kds_profiler_run(p, s, works, count, out, &failed, e);
    *spoilt = f->verdict == KDS_VERDICT_TIMEOUT || f->verdict == KDS_VERDICT_DEVICE_FAULT;
    for (int i = 0; i < count && !*spoilt && code != KDS_DEVICE_LOST; i++)
        kds_gpu_program_unload(x[i].program);
    return code;
}
