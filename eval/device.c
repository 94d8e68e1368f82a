/* Opening a device by its name. */
#include "eval/device.h"
#include "eval/sim/model.h"
#include "search/base/text.h"

#include <stdio.h>
#include <string.h>

kds_code kds_device_open(kds_device **out, const char *spec, const kds_task *t, uint64_t seed,
                         const char *toolchain, kds_err *e)
{
    if (strcmp(spec, "sim") == 0)
        return kds_device_sim_open(out, "h200", t, seed, toolchain, e);
    if (kds_text_starts_with(spec, "sim:"))
        return kds_device_sim_open(out, spec + strlen("sim:"), t, seed, toolchain, e);
    if (kds_text_starts_with(spec, "cuda:"))
        return kds_device_cuda_open(out, spec, t, seed, toolchain, e);
    return kds_fail(e, KDS_USAGE,
                    "no device '%s'; there are sim, sim:GPU (sim:h200) and cuda:N (cuda:0)", spec);
}

bool kds_device_is_gpu(const char *spec)
{
    return kds_text_starts_with(spec, "cuda:") || strcmp(spec, "all") == 0;
}

const char *kds_device_safety(const char *model, const char *arch)
{
    static const char *const known[][2] = {
        {"H200", "sim:h200"}, {"H100", "sim:h100"}, {"A100", "sim:a100"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strstr(model, known[i][0]) != NULL)
            return known[i][1];
    return strcmp(arch, "sm_90") < 0 ? "sim:a100" : "sim:h200";
}

/* An unknown simulated GPU is refused when it is opened. */
kds_code kds_device_arch(const char *spec, char *out, size_t size, kds_err *e)
{
    if (kds_device_is_gpu(spec))
        return kds_device_cuda_arch(spec, out, size, e);
    const char *colon = strchr(spec, ':');
    const kds_gpu *gpu = kds_gpu_find(colon != NULL ? colon + 1 : "h200");
    (void)snprintf(out, size, "%s", gpu != NULL ? gpu->arch : "sm_90");
    return KDS_OK;
}

void kds_device_close(kds_device *d)
{
    if (d != NULL)
        d->ops->close(d);
}
