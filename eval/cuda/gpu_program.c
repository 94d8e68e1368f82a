/* A candidate on one row: its code, scratch for as many sets as memory allows, its launches on a
 * set, and waiting for them. */
#include "eval/cuda/gpu_row.h"

#include <stdlib.h>

#define ALIGN 256u
#define MEMORY_SHARE 0.8

/* Scratch for as many sets as memory allows, poisoned. */
static kds_code make_scratch(kds_gpu_program *p, kds_finding *f, kds_err *e)
{
    const kds_cuda *c = p->row->card->cuda;
    size_t free_bytes = 0, total = 0;
    p->sets = p->row->sets;
    for (int i = 0; i < p->code.binding->scratch_count; i++) {
        const kds_scratch *s = &p->code.binding->scratch[i];
        uint64_t bytes = (uint64_t)s->numel * kds_dtype_size(s->dtype);
        p->scratch_offsets[i] = p->scratch_bytes;
        p->scratch_bytes += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    }
    if (p->scratch_bytes == 0)
        return KDS_OK;
    kds_code code =
        kds_cuda_check(c, c->memory_info(&free_bytes, &total), e, "asking for free memory");
    if (code != KDS_OK)
        return code;
    uint64_t room = (uint64_t)(MEMORY_SHARE * (double)free_bytes) / p->scratch_bytes;
    if (room < 1) {
        kds_finding_set(f, KDS_VERDICT_LIMITS_EXCEEDED, "correctness", 0,
                        "the plan's scratch of %.1f GB does not fit into the %.1f GB that are free",
                        (double)p->scratch_bytes / 1e9, (double)free_bytes / 1e9);
        return KDS_OK;
    }
    if (room < (uint64_t)p->sets)
        p->sets = (int)room;
    size_t bytes = (size_t)((uint64_t)p->sets * p->scratch_bytes);
    code = kds_card_alloc(p->row->card, bytes, "a plan's scratch", &p->scratch, e);
    if (code == KDS_OK)
        code = kds_cuda_check(c, c->set(p->scratch, KDS_GPU_POISON, bytes, p->row->card->stream), e,
                              "poisoning scratch");
    return code;
}

kds_code kds_gpu_program_load(kds_gpu_program **out, kds_gpu_row *r, const kds_plan *plan,
                              const kds_compiled *compiled, kds_finding *f, kds_err *e)
{
    *out = NULL;
    kds_gpu_program *p = calloc(1, sizeof *p);
    if (p == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    p->row = r;
    kds_code code = kds_gpu_code_load(&p->code, r->card, plan, r->index, compiled, f, e);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK)
        code = make_scratch(p, f, e);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK)
        *out = p;
    else
        kds_gpu_program_unload(p);
    return code;
}

void kds_gpu_program_unload(kds_gpu_program *p)
{
    if (p == NULL)
        return;
    kds_card_free(p->row->card, p->scratch);
    kds_gpu_code_unload(&p->code);
    free(p);
}

bool kds_gpu_program_queue(kds_gpu_program *p, int set, kds_finding *f)
{
    const kds_gpu_row *r = p->row;
    uint64_t buffers[KDS_BUFFERS_MAX], scratch[KDS_PLAN_SCRATCH];
    for (int i = 0; i < r->task->buffer_count; i++)
        buffers[i] = r->arena + (uint64_t)set * r->set_bytes + r->offsets[i];
    for (int i = 0; i < p->code.binding->scratch_count; i++)
        scratch[i] =
            p->scratch + (uint64_t)(set % p->sets) * p->scratch_bytes + p->scratch_offsets[i];
    return kds_gpu_code_queue(&p->code, buffers, scratch, f);
}

bool kds_gpu_program_wait(kds_gpu_program *p, kds_finding *f)
{
    kds_err err = {0};
    bool late = false;
    kds_code code = kds_card_wait(p->row->card, KDS_GPU_RUN_SECONDS, &late, &err);
    if (code != KDS_OK)
        kds_finding_set(f, KDS_VERDICT_DEVICE_FAULT, "correctness", 0, "%s", err.message);
    else if (late)
        kds_finding_set(f, KDS_VERDICT_TIMEOUT, "correctness", 0, "it did not end within %.0f s",
                        KDS_GPU_RUN_SECONDS);
    return code == KDS_OK && !late;
}
