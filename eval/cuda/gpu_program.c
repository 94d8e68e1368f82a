/* A candidate's compiled code on one row: loading, its launches, waiting for them. What the driver
 * refuses is the candidate's failure and becomes a finding. */
#include "eval/cuda/gpu_row.h"
#include "eval/launch_params.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN 256u
#define MEMORY_SHARE 0.8
/* Local memory that all threads of the GPU may take together: more is reserved without an error,
 * and nothing is left for anyone. */
#define LOCAL_BYTES_MAX (INT64_C(8) << 30)

/* A driver's result as the candidate's failure; false if it is one. */
static bool accepted(const kds_cuda *c, int result, const char *what, const char *kernel, int line,
                     kds_finding *f)
{
    char why[300];
    if (result == KDS_CUDA_SUCCESS)
        return true;
    kds_cuda_describe(c, result, why, sizeof why);
    kds_finding_set(
        f, kds_cuda_is_sticky(result) ? KDS_VERDICT_DEVICE_FAULT : KDS_VERDICT_LAUNCH_FAILED,
        "correctness", line, "%s%s%s: %s", what, *kernel ? " " : "", kernel, why);
    return false;
}

static bool take_kernel(kds_gpu_program *p, int i, kds_finding *f)
{
    const kds_cuda *c = p->row->card->cuda;
    const kds_cuda_info *info = &p->row->card->info;
    const kds_launch *l = &p->binding->launches[i];
    const kds_kernel_facts *k = kds_module_kernel(p->compiled, l->kernel);
    int local = 0;
    if (k == NULL) {
        kds_finding_set(f, KDS_VERDICT_PLAN_INVALID, "plan", l->line, "the source has no kernel %s",
                        l->kernel);
        return false;
    }
    p->facts[i] = k;
    if (!accepted(c, c->module_function(&p->functions[i], p->module, k->lowered),
                  "finding the kernel", l->kernel, l->line, f) ||
        !accepted(c, kds_card_prepare(p->row->card, p->functions[i], l->shared_bytes),
                  "giving dynamic shared memory to", l->kernel, l->line, f) ||
        !accepted(c, c->function_get(&local, KDS_CUDA_FUNCTION_LOCAL_BYTES, p->functions[i]),
                  "asking for the local memory of", l->kernel, l->line, f))
        return false;
    if ((int64_t)local * info->sms * info->threads_per_sm <= LOCAL_BYTES_MAX)
        return true;
    kds_finding_set(f, KDS_VERDICT_LIMITS_EXCEEDED, "correctness", l->line,
                    "%s uses %d bytes of local memory a thread: more than %" PRId64
                    " GiB over the whole GPU",
                    l->kernel, local, LOCAL_BYTES_MAX >> 30);
    return false;
}

/* Scratch for as many sets as memory allows, poisoned. */
static kds_code make_scratch(kds_gpu_program *p, kds_finding *f, kds_err *e)
{
    const kds_cuda *c = p->row->card->cuda;
    size_t free_bytes = 0, total = 0;
    p->sets = p->row->sets;
    for (int i = 0; i < p->binding->scratch_count; i++) {
        const kds_scratch *s = &p->binding->scratch[i];
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
    const kds_cuda *c = r->card->cuda;
    *out = NULL;
    if (compiled->module_count != kds_plan_group_count(plan))
        return kds_fail(e, KDS_PROTOCOL, "%d compilations for a plan that has %d",
                        compiled->module_count, kds_plan_group_count(plan));
    kds_gpu_program *p = calloc(1, sizeof *p);
    if (p == NULL || (p->binding = calloc(1, sizeof *p->binding)) == NULL) {
        free(p);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    p->row = r;
    kds_code code = kds_plan_bind(plan, r->index, p->binding, f, e);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
        goto out;
    p->compiled = &compiled->modules[p->binding->group];
    if (p->compiled->cubin == NULL || p->compiled->cubin_len == 0) {
        code = kds_fail(e, KDS_PROTOCOL, "a compilation has no cubin");
        goto out;
    }
    if (!accepted(c, c->module_load(&p->module, p->compiled->cubin), "loading the code", "", 0, f))
        goto out;
    for (int i = 0; i < p->binding->launch_count; i++)
        if (!take_kernel(p, i, f))
            goto out;
    code = make_scratch(p, f, e);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK) {
        *out = p;
        p = NULL;
    }
out:
    kds_gpu_program_unload(p);
    return code;
}

void kds_gpu_program_unload(kds_gpu_program *p)
{
    if (p == NULL)
        return;
    kds_card_free(p->row->card, p->scratch);
    if (p->module != NULL)
        (void)p->row->card->cuda->module_unload(p->module);
    free(p->binding);
    free(p);
}

static bool queue_launch(kds_gpu_program *p, int i, const uint64_t *buffers,
                         const uint64_t *scratch, kds_finding *f)
{
    const kds_launch *l = &p->binding->launches[i];
    kds_launch_params block;
    void *parameters[KDS_PLAN_ARGS + 1] = {NULL};
    kds_card_launch launch = {.name = l->kernel,
                              .function = p->functions[i],
                              .shared_bytes = l->shared_bytes,
                              .cooperative = l->cooperative,
                              .parameters = parameters};
    if (!kds_launch_params_build(&block, l, p->facts[i], buffers, scratch, f))
        return false;
    for (int a = 0; a < l->arg_count; a++)
        parameters[a] = block.bytes + p->facts[i]->params[a].offset;
    for (int d = 0; d < 3; d++) {
        launch.grid[d] = l->grid[d];
        launch.block[d] = l->block[d];
        launch.cluster[d] = l->cluster[d];
    }
    return accepted(p->row->card->cuda, kds_card_launch_kernel(p->row->card, &launch), "launching",
                    l->kernel, l->line, f);
}

bool kds_gpu_program_queue(kds_gpu_program *p, int set, kds_finding *f)
{
    const kds_cuda *c = p->row->card->cuda;
    const kds_gpu_row *r = p->row;
    uint64_t buffers[KDS_BUFFERS_MAX], scratch[KDS_PLAN_SCRATCH];
    for (int i = 0; i < r->task->buffer_count; i++)
        buffers[i] = r->arena + (uint64_t)set * r->set_bytes + r->offsets[i];
    for (int i = 0; i < p->binding->scratch_count; i++) {
        const kds_scratch *s = &p->binding->scratch[i];
        scratch[i] =
            p->scratch + (uint64_t)(set % p->sets) * p->scratch_bytes + p->scratch_offsets[i];
        if (s->zero && !accepted(c,
                                 c->set(scratch[i], 0, (size_t)s->numel * kds_dtype_size(s->dtype),
                                        r->card->stream),
                                 "zeroing scratch", s->name, 0, f))
            return false;
    }
    for (int i = 0; i < p->binding->launch_count; i++)
        if (!queue_launch(p, i, buffers, scratch, f))
            return false;
    return true;
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
