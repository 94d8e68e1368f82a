/* NVML by dlopen. A function that is missing or refuses leaves its value unknown. */
#include "eval/cuda/nvml.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libnvidia-ml.so.1"
#define INSUFFICIENT_SIZE 7 /* NVML_ERROR_INSUFFICIENT_SIZE: the count is set */

enum { CLOCK_SM = 1, CLOCK_MEMORY = 2, SENSOR_GPU = 0 };

typedef struct nvml_device_st *nvml_device;

/* X(field, symbol, arguments); all return nvmlReturn_t. */
#define NVML_FUNCTIONS(X)                                                                          \
    X(init, "nvmlInit_v2", (void))                                                                 \
    X(shutdown, "nvmlShutdown", (void))                                                            \
    X(driver_version, "nvmlSystemGetDriverVersion", (char *out, unsigned size))                    \
    X(by_pci, "nvmlDeviceGetHandleByPciBusId_v2", (const char *pci, nvml_device *out))             \
    X(clock, "nvmlDeviceGetClockInfo", (nvml_device d, int type, unsigned *mhz))                   \
    X(max_clock, "nvmlDeviceGetMaxClockInfo", (nvml_device d, int type, unsigned *mhz))            \
    X(persistence, "nvmlDeviceGetPersistenceMode", (nvml_device d, int *on))                       \
    X(processes, "nvmlDeviceGetComputeRunningProcesses_v3",                                        \
      (nvml_device d, unsigned *count, void *out))                                                 \
    X(temperature, "nvmlDeviceGetTemperature", (nvml_device d, int sensor, unsigned *celsius))     \
    X(throttle, "nvmlDeviceGetCurrentClocksThrottleReasons",                                       \
      (nvml_device d, unsigned long long *reasons))

struct kds_nvml {
    void *library;
    char driver[80];
#define KDS_X(field, symbol, arguments) int(*field) arguments;
    NVML_FUNCTIONS(KDS_X)
#undef KDS_X
};

kds_code kds_nvml_open(kds_nvml **out, kds_err *e)
{
    kds_nvml *n = calloc(1, sizeof *n);
    void *symbol;
    int result = 0;
    if (n == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    n->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (n->library == NULL) {
        free(n);
        return kds_fail(e, KDS_NOT_FOUND, "no NVML here (%s); it comes with NVIDIA's driver",
                        dlerror());
    }
#define KDS_X(field, name, arguments)                                                              \
    symbol = dlsym(n->library, name);                                                              \
    memcpy(&n->field, &symbol, sizeof symbol);
    NVML_FUNCTIONS(KDS_X)
#undef KDS_X
    if (n->init == NULL || n->by_pci == NULL || (result = n->init()) != 0) {
        (void)dlclose(n->library);
        free(n);
        return kds_fail(e, KDS_NOT_FOUND, "NVML cannot be used (result %d); `nvidia-smi` says more",
                        result);
    }
    if (n->driver_version == NULL || n->driver_version(n->driver, sizeof n->driver) != 0)
        n->driver[0] = '\0';
    n->driver[sizeof n->driver - 1] = '\0';
    *out = n;
    return KDS_OK;
}

void kds_nvml_close(kds_nvml *n)
{
    if (n == NULL)
        return;
    if (n->shutdown != NULL)
        (void)n->shutdown();
    (void)dlclose(n->library);
    free(n);
}

const char *kds_nvml_driver(const kds_nvml *n)
{
    return n != NULL ? n->driver : "";
}

static int clock_mhz(int (*get)(nvml_device, int, unsigned *), nvml_device d, int type)
{
    unsigned mhz = 0;
    return get != NULL && get(d, type, &mhz) == 0 ? (int)mhz : -1;
}

static int count_processes(const kds_nvml *n, nvml_device d)
{
    unsigned count = 0;
    int result = n->processes != NULL ? n->processes(d, &count, NULL) : -1;
    return result == 0 || result == INSUFFICIENT_SIZE ? (int)count : -1;
}

void kds_nvml_look(const kds_nvml *n, const char *pci, kds_nvml_state *out)
{
    nvml_device d = NULL;
    unsigned celsius = 0;
    unsigned long long reasons = 0;
    int on = 0;
    *out = (kds_nvml_state){-1, -1, -1, -1, -1, -1, -1, -1};
    if (n == NULL || n->by_pci(pci, &d) != 0)
        return;
    out->sm_mhz = clock_mhz(n->clock, d, CLOCK_SM);
    out->memory_mhz = clock_mhz(n->clock, d, CLOCK_MEMORY);
    out->sm_max_mhz = clock_mhz(n->max_clock, d, CLOCK_SM);
    out->memory_max_mhz = clock_mhz(n->max_clock, d, CLOCK_MEMORY);
    out->processes = count_processes(n, d);
    if (n->persistence != NULL && n->persistence(d, &on) == 0)
        out->persistence = on;
    if (n->temperature != NULL && n->temperature(d, SENSOR_GPU, &celsius) == 0)
        out->temperature = (int)celsius;
    if (n->throttle != NULL && n->throttle(d, &reasons) == 0)
        out->throttle = (int64_t)reasons;
}

void kds_nvml_throttle_text(int64_t throttle, char *out, size_t size)
{
    static const struct {
        int64_t bit;
        const char *text;
    } reasons[] = {{0x2, "set by an application"},
                   {0x4, "power cap"},
                   {0x8, "hardware slowdown"},
                   {0x10, "sync boost"},
                   {0x20, "temperature (software)"},
                   {0x40, "temperature (hardware)"},
                   {0x80, "power brake"},
                   {0x100, "display clocks"}};
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; throttle > 0 && i < sizeof reasons / sizeof reasons[0]; i++) {
        if ((throttle & reasons[i].bit) == 0 || used >= size)
            continue;
        int n = snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", reasons[i].text);
        used += n > 0 ? (size_t)n : 0;
    }
}
