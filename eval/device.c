/* Opening a device by its name. */
#include "eval/device.h"
#include "search/base/text.h"

#include <string.h>

kds_code kds_device_open(kds_device **out, const char *spec, const kds_task *t, uint64_t seed,
                         const char *toolchain, kds_err *e)
{
    if (strcmp(spec, "sim") == 0)
        return kds_device_sim_open(out, "h200", t, seed, toolchain, e);
    if (kds_text_starts_with(spec, "sim:"))
        return kds_device_sim_open(out, spec + strlen("sim:"), t, seed, toolchain, e);
    if (kds_text_starts_with(spec, "cuda:"))
        return kds_fail(e, KDS_NO_DEVICE,
                        "device '%s': this version runs on the simulator only; use sim", spec);
    return kds_fail(e, KDS_USAGE, "no device '%s'; there are sim and sim:GPU (sim:h200)", spec);
}

void kds_device_close(kds_device *d)
{
    if (d != NULL)
        d->ops->close(d);
}
