/* A libnvidia-ml.so.1 that tells what the file $HOME/fake_nvml lists, one item a look and the last
 * one for ever: "1980,1500/4,1980/0/2" are clocks, then the reasons that hold them down, then
 * processes. Without the file there is no NVML. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY(declaration)                                                                         \
    __attribute__((visibility("default"))) declaration;                                            \
    declaration

enum { OK = 0, NO_PERMISSION = 4 };

typedef struct nvml_device_st *nvml_device;

static struct {
    int looks;
    char script[400];
    unsigned mhz, processes;
    unsigned long long throttle;
} now;

ENTRY(int nvmlInit_v2(void))
{
    char path[1000];
    (void)snprintf(path, sizeof path, "%s/fake_nvml", getenv("HOME"));
    FILE *f = fopen(path, "r");
    bool found = f != NULL && fgets(now.script, sizeof now.script, f) != NULL;
    if (f != NULL)
        (void)fclose(f);
    return found ? OK : NO_PERMISSION;
}

ENTRY(int nvmlShutdown(void))
{
    return OK;
}

ENTRY(int nvmlSystemGetDriverVersion(char *out, unsigned size))
{
    (void)snprintf(out, size, "1.2.3");
    return OK;
}

ENTRY(int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, nvml_device *out))
{
    const char *at = now.script, *next;
    for (int i = 0; i < now.looks && (next = strchr(at, ',')) != NULL; i++)
        at = next + 1;
    now.looks++;
    now.throttle = 0;
    now.processes = 1;
    (void)sscanf(at, "%u/%llx/%u", &now.mhz, &now.throttle, &now.processes);
    *out = (nvml_device)&now;
    return pci[0] != '\0' ? OK : NO_PERMISSION;
}

ENTRY(int nvmlDeviceGetClockInfo(nvml_device d, int type, unsigned *mhz))
{
    *mhz = type == 1 ? now.mhz : 3000;
    return d != NULL ? OK : NO_PERMISSION;
}

ENTRY(int nvmlDeviceGetComputeRunningProcesses_v3(nvml_device d, unsigned *count, void *out))
{
    *count = now.processes;
    return d != NULL && out == NULL ? OK : NO_PERMISSION;
}

ENTRY(int nvmlDeviceGetTemperature(nvml_device d, int sensor, unsigned *celsius))
{
    *celsius = 40;
    return d != NULL && sensor == 0 ? OK : NO_PERMISSION;
}

ENTRY(int nvmlDeviceGetCurrentClocksThrottleReasons(nvml_device d, unsigned long long *reasons))
{
    *reasons = now.throttle;
    return d != NULL ? OK : NO_PERMISSION;
}
