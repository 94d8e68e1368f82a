/* Loading and launching a candidate's code. What the driver refuses is the candidate's failure and
 * becomes a finding. */
#include "eval/cuda/gpu_code.h"
#include "eval/launch_params.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool kds_gpu_accepted(const kds_cuda *c, int result, const char *what, const char *kernel, int line,
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

static bool take_kernel(kds_gpu_code *p, int i, kds_finding *f)
{
    const kds_cuda *c = p->card->cuda;
    const kds_cuda_info *info = &p->card->info;
    const kds_launch *l = &p->binding->launches[i];
    const kds_kernel_facts *k = kds_module_kernel(p->compiled, l->kernel);
    int local = 0;
    if (k == NULL) {
        kds_finding_set(f, KDS_VERDICT_PLAN_INVALID, "plan", l->line, "the source has no kernel %s",
                        l->kernel);
        return false;
    }
    p->facts[i] = k;
    if (!kds_gpu_accepted(c, c->module_function(&p->functions[i], p->module, k->lowered),
                          "finding the kernel", l->kernel, l->line, f) ||
        !kds_gpu_accepted(c, kds_card_prepare(p->card, p->functions[i], l->shared_bytes),
                          "giving dynamic shared memory to", l->kernel, l->line, f) ||
        !kds_gpu_accepted(c,
                          c->function_get(&local, KDS_CUDA_FUNCTION_LOCAL_BYTES, p->functions[i]),
                          "asking for the local memory of", l->kernel, l->line, f))
        return false;
    if ((int64_t)local * info->sms * info->threads_per_sm <= KDS_GPU_LOCAL_BYTES_MAX)
        return true;
    kds_finding_set(f, KDS_VERDICT_LIMITS_EXCEEDED, "correctness", l->line,
                    "%s uses %d bytes of local memory a thread: more than %" PRId64
                    " GiB over the whole GPU",
                    l->kernel, local, KDS_GPU_LOCAL_BYTES_MAX >> 30);
    return false;
}

kds_code kds_gpu_code_load(kds_gpu_code *out, kds_card *card, const kds_plan *plan, int row,
                           const kds_compiled *compiled, kds_finding *f, kds_err *e)
{
    const kds_cuda *c = card->cuda;
    *out = (kds_gpu_code){.card = card};
    if (compiled->module_count != kds_plan_group_count(plan))
        return kds_fail(e, KDS_PROTOCOL, "%d compilations for a plan that has %d",
                        compiled->module_count, kds_plan_group_count(plan));
    if ((out->binding = calloc(1, sizeof *out->binding)) == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_code code = kds_plan_bind(plan, row, out->binding, f, e);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
        goto drop;
    out->compiled = &compiled->modules[out->binding->group];
    if (out->compiled->cubin == NULL || out->compiled->cubin_len == 0) {
        code = kds_fail(e, KDS_PROTOCOL, "a compilation has no cubin");
        goto drop;
    }
    if (!kds_gpu_accepted(c, c->module_load(&out->module, out->compiled->cubin), "loading the code",
                          "", 0, f))
        goto drop;
    for (int i = 0; i < out->binding->launch_count; i++)
        if (!take_kernel(out, i, f))
            goto drop;
    return KDS_OK;
drop:
    kds_gpu_code_unload(out);
    return code;
}

void kds_gpu_code_unload(kds_gpu_code *c)
{
    if (c->module != NULL)
        (void)c->card->cuda->module_unload(c->module);
    free(c->binding);
    *c = (kds_gpu_code){.card = c->card};
}

static bool queue_launch(kds_gpu_code *p, int i, const uint64_t *buffers, const uint64_t *scratch,
                         kds_finding *f)
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
    return kds_gpu_accepted(p->card->cuda, kds_card_launch_kernel(p->card, &launch), "launching",
                            l->kernel, l->line, f);
}

bool kds_gpu_code_queue(kds_gpu_code *p, const uint64_t *buffers, const uint64_t *scratch,
                        kds_finding *f)
{
    const kds_cuda *c = p->card->cuda;
    for (int i = 0; i < p->binding->scratch_count; i++) {
        const kds_scratch *s = &p->binding->scratch[i];
        if (s->zero &&
            !kds_gpu_accepted(
                c,
                c->set(scratch[i], 0, (size_t)s->numel * kds_dtype_size(s->dtype), p->card->stream),
                "zeroing scratch", s->name, 0, f))
            return false;
    }
    for (int i = 0; i < p->binding->launch_count; i++)
        if (!queue_launch(p, i, buffers, scratch, f))
            return false;
    return true;
}
