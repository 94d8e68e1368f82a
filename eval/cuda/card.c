/* GPUs by number, and the context that a device worker lives in. */
#include "eval/cuda/card.h"
#include "search/base/clock.h"
#include "search/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SPIN_SECONDS 0.0002 /* most of what is waited for ends sooner than a pause would */

kds_code kds_cuda_ordinal(const char *spec, int *ordinal, kds_err *e)
{
    int64_t value = 0;
    if (!kds_text_starts_with(spec, "cuda:") ||
        !kds_text_parse_i64(spec + strlen("cuda:"), &value) || value < 0 || value > 1023)
        return kds_fail(e, KDS_USAGE, "'%s' names no GPU; cuda:0 is the first one", spec);
    *ordinal = (int)value;
    return KDS_OK;
}

kds_code kds_cuda_count(const kds_cuda *c, int *count, kds_err *e)
{
    return kds_cuda_check(c, c->device_count(count), e, "counting the GPUs");
}

static kds_code attribute(const kds_cuda *c, int device, int which, const char *what, int *out,
                          kds_err *e)
{
    return kds_cuda_check(c, c->device_attribute(out, which, device), e, "asking for a GPU's %s",
                          what);
}

static void format_uuid(const kds_cuda_uuid *u, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "GPU-");
    for (int i = 0; i < 16 && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%02x",
                                 i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u->bytes[i]);
}

kds_code kds_cuda_look(const kds_cuda *c, int ordinal, kds_cuda_info *out, kds_err *e)
{
    kds_cuda_info info = {.ordinal = ordinal};
    kds_cuda_uuid uuid = {{0}};
    size_t memory = 0;
    int count = 0, major = 0, minor = 0, l2 = 0, shared = 0, khz = 0, memory_khz = 0;
    kds_code code = kds_cuda_count(c, &count, e);
    if (code == KDS_OK && ordinal >= count)
        code = kds_fail(e, KDS_NO_DEVICE, "there is no GPU cuda:%d; the driver shows %d (cuda:0%s)",
                        ordinal, count, count > 1 ? " and up" : " only");
    if (code == KDS_OK)
        code = kds_cuda_check(c, c->device_get(&info.device, ordinal), e, "taking GPU cuda:%d",
                              ordinal);
    if (code == KDS_OK)
        code = kds_cuda_check(c, c->device_name(info.name, sizeof info.name, info.device), e,
                              "asking for a GPU's name");
    if (code == KDS_OK)
        code = kds_cuda_check(c, c->device_uuid(&uuid, info.device), e, "asking for a GPU's UUID");
    if (code == KDS_OK)
        code = kds_cuda_check(c, c->device_pci(info.pci, sizeof info.pci, info.device), e,
                              "asking for a GPU's bus address");
    if (code == KDS_OK)
        code = kds_cuda_check(c, c->device_memory(&memory, info.device), e,
                              "asking for a GPU's memory");
    const struct {
        int which, *to;
        const char *what;
    } facts[] = {{KDS_CUDA_DEVICE_MAJOR, &major, "compute capability"},
                 {KDS_CUDA_DEVICE_MINOR, &minor, "compute capability"},
                 {KDS_CUDA_DEVICE_SMS, &info.sms, "number of multiprocessors"},
                 {KDS_CUDA_DEVICE_THREADS_PER_SM, &info.threads_per_sm, "threads"},
                 {KDS_CUDA_DEVICE_CLOCK_KHZ, &khz, "clock"},
                 {KDS_CUDA_DEVICE_MEMORY_CLOCK_KHZ, &memory_khz, "memory clock"},
                 {KDS_CUDA_DEVICE_L2_BYTES, &l2, "L2 size"},
                 {KDS_CUDA_DEVICE_SHARED_OPTIN, &shared, "shared memory"}};
    for (size_t i = 0; code == KDS_OK && i < sizeof facts / sizeof facts[0]; i++)
        code = attribute(c, info.device, facts[i].which, facts[i].what, facts[i].to, e);
    if (code != KDS_OK)
        return code;
    format_uuid(&uuid, info.uuid, sizeof info.uuid);
    info.capability = major * 10 + minor;
    info.clock_mhz = khz / 1000;
    info.memory_clock_mhz = memory_khz / 1000;
    info.memory_bytes = (int64_t)memory;
    info.l2_bytes = l2;
    info.shared_optin_bytes = shared;
    (void)snprintf(info.arch, sizeof info.arch, "sm_%d", info.capability);
    *out = info;
    return KDS_OK;
}

kds_code kds_card_open(kds_card **out, const kds_cuda *cuda, int ordinal, kds_err *e)
{
    kds_card *c = calloc(1, sizeof *c);
    if (c == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    c->cuda = cuda;
    kds_code code = kds_cuda_look(cuda, ordinal, &c->info, e);
    if (code == KDS_OK && c->info.capability < KDS_CUDA_OLDEST)
        code = kds_fail(e, KDS_NO_DEVICE,
                        "cuda:%d is a %s of compute capability %d.%d; 7.5 or newer is needed",
                        ordinal, c->info.name, c->info.capability / 10, c->info.capability % 10);
    if (code == KDS_OK)
        code = kds_cuda_check(cuda, cuda->context_retain(&c->context, c->info.device), e,
                              "making a context on cuda:%d (%s)", ordinal, c->info.name);
    if (code == KDS_OK)
        code = kds_cuda_check(cuda, cuda->context_set(c->context), e, "entering the context");
    if (code == KDS_OK)
        code = kds_cuda_check(cuda, cuda->stream_create(&c->stream, KDS_CUDA_STREAM_NON_BLOCKING),
                              e, "making a stream");
    if (code == KDS_OK)
        code = kds_cuda_check(cuda, cuda->event_create(&c->start, 0), e, "making an event");
    if (code == KDS_OK)
        code = kds_cuda_check(cuda, cuda->event_create(&c->end, 0), e, "making an event");
    if (code == KDS_OK)
        code = kds_cuda_check(cuda, cuda->event_create(&c->done, 0), e, "making an event");
    if (code == KDS_OK)
        *out = c;
    else
        kds_card_close(c);
    return code;
}

void kds_card_close(kds_card *c)
{
    if (c == NULL)
        return;
    if (c->start != NULL)
        (void)c->cuda->event_destroy(c->start);
    if (c->end != NULL)
        (void)c->cuda->event_destroy(c->end);
    if (c->done != NULL)
        (void)c->cuda->event_destroy(c->done);
    if (c->stream != NULL)
        (void)c->cuda->stream_destroy(c->stream);
    if (c->context != NULL)
        (void)c->cuda->context_release(c->info.device);
    free(c);
}

kds_code kds_card_alloc(kds_card *c, size_t bytes, const char *what, kds_cuda_address *out,
                        kds_err *e)
{
    return kds_cuda_check(c->cuda, c->cuda->memory_alloc(out, bytes > 0 ? bytes : 1), e,
                          "allocating %.1f MB on %s for %s", (double)bytes / 1e6, c->info.name,
                          what);
}

void kds_card_free(kds_card *c, kds_cuda_address at)
{
    if (at != 0)
        (void)c->cuda->memory_free(at);
}

kds_code kds_card_wait(kds_card *c, double seconds, bool *late, kds_err *e)
{
    double now = kds_clock_monotonic(), until = now + seconds, spin = now + SPIN_SECONDS;
    struct timespec pause = {.tv_nsec = 20000};
    int result = c->cuda->event_record(c->done, c->stream);
    *late = false;
    if (result != KDS_CUDA_SUCCESS)
        return kds_cuda_check(c->cuda, result, e, "recording an event");
    while ((result = c->cuda->event_query(c->done)) == KDS_CUDA_NOT_READY) {
        now = kds_clock_monotonic();
        if (now > until) {
            *late = true;
            return KDS_OK;
        }
        if (now < spin)
            continue;
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 1000000)
            pause.tv_nsec *= 2;
    }
    return kds_cuda_check(c->cuda, result, e, "waiting for the GPU");
}

int kds_card_prepare(const kds_card *c, kds_cuda_function function, int64_t shared_bytes)
{
    if (shared_bytes <= 0)
        return KDS_CUDA_SUCCESS;
    return c->cuda->function_set(function, KDS_CUDA_FUNCTION_MAX_DYNAMIC_SHARED, (int)shared_bytes);
}

int kds_card_launch_kernel(const kds_card *c, const kds_card_launch *l)
{
    kds_cuda_launch_attribute attributes[2];
    kds_cuda_launch_config config = {
        .shared_bytes = (unsigned)l->shared_bytes, .stream = c->stream, .attributes = attributes};
    memset(attributes, 0, sizeof attributes);
    for (int i = 0; i < 3; i++) {
        config.grid[i] = (unsigned)l->grid[i];
        config.block[i] = (unsigned)l->block[i];
    }
    if (l->cluster[0] > 1 || l->cluster[1] > 1 || l->cluster[2] > 1) {
        kds_cuda_launch_attribute *a = &attributes[config.attribute_count++];
        a->id = KDS_CUDA_LAUNCH_CLUSTER;
        for (int i = 0; i < 3; i++)
            a->value.cluster[i] = (unsigned)(l->cluster[i] > 1 ? l->cluster[i] : 1);
    }
    if (l->cooperative) {
        kds_cuda_launch_attribute *a = &attributes[config.attribute_count++];
        a->id = KDS_CUDA_LAUNCH_COOPERATIVE;
        a->value.cooperative = 1;
    }
    return c->cuda->launch(&config, l->function, l->parameters, NULL);
}
