/* The fake driver: device, context and memory. */
#include "tests/fake_cuda/fake_cuda.h"
#include "tests/fake_cuda/fake_uuid.h"

#include <unistd.h>

fake_gpu gpu;

bool inside(kds_cuda_address at, size_t bytes)
{
    for (int i = 0; i < ALLOCATIONS; i++)
        if (gpu.allocations[i].at != 0 && at >= gpu.allocations[i].at &&
            at - gpu.allocations[i].at <= gpu.allocations[i].bytes &&
            bytes <= gpu.allocations[i].bytes - (at - gpu.allocations[i].at))
            return true;
    return false;
}

/* ---- Device ---- */

ENTRY(int cuInit(unsigned flags))
{
    gpu.ready = flags == 0;
    return flags == 0 ? OK : INVALID_VALUE;
}

/* NVRTC asks for it; there is nothing to export. */
ENTRY(int cuGetExportTable(const void **table, const kds_cuda_uuid *id))
{
    (void)id;
    *table = NULL;
    return UNSUPPORTED;
}

ENTRY(int cuDriverGetVersion(int *version))
{
    *version = 13000;
    return OK;
}

ENTRY(int cuGetErrorName(int result, const char **out))
{
    static const struct {
        int result;
        const char *name;
    } names[] = {{1, "CUDA_ERROR_INVALID_VALUE"},
                 {2, "CUDA_ERROR_OUT_OF_MEMORY"},
                 {400, "CUDA_ERROR_INVALID_HANDLE"},
                 {500, "CUDA_ERROR_NOT_FOUND"},
                 {700, "CUDA_ERROR_ILLEGAL_ADDRESS"},
                 {715, "CUDA_ERROR_ILLEGAL_INSTRUCTION"},
                 {716, "CUDA_ERROR_MISALIGNED_ADDRESS"},
                 {719, "CUDA_ERROR_LAUNCH_FAILED"},
                 {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].result == result) {
            *out = names[i].name;
            return OK;
        }
    return INVALID_VALUE;
}

ENTRY(int cuGetErrorString(int result, const char **out))
{
    *out = "in words";
    return result > 0 ? OK : INVALID_VALUE;
}

#define FIRST 7

/* As many as $HOME/fake_gpus says. */
static int devices(void)
{
    char path[1000];
    const char *home = getenv("HOME");
    int count = 1;
    (void)snprintf(path, sizeof path, "%s/fake_gpus", home != NULL ? home : "");
    FILE *f = fopen(path, "r");
    if (f != NULL && fscanf(f, "%d", &count) != 1)
        count = 1;
    if (f != NULL)
        (void)fclose(f);
    return count;
}

static int is_device(int device)
{
    return device >= FIRST && device < FIRST + devices();
}

ENTRY(int cuDeviceGetCount(int *count))
{
    ENTER();
    *count = devices();
    return OK;
}

ENTRY(int cuDeviceGet(int *device, int ordinal))
{
    ENTER();
    *device = FIRST + ordinal;
    return is_device(*device) ? OK : INVALID_DEVICE;
}

ENTRY(int cuDeviceGetName(char *out, int size, int device))
{
    (void)snprintf(out, (size_t)size, "Simulated GPU");
    return is_device(device) ? OK : INVALID_DEVICE;
}

ENTRY(int cuDeviceGetUuid_v2(kds_cuda_uuid *out, int device))
{
    char folder[4096];
    if (getcwd(folder, sizeof folder) == NULL)
        return INVALID_VALUE;
    fake_uuid(folder, out);
    out->bytes[15] ^= (unsigned char)(device - FIRST);
    return is_device(device) ? OK : INVALID_DEVICE;
}

ENTRY(int cuDeviceGetPCIBusId(char *out, int size, int device))
{
    (void)snprintf(out, (size_t)size, "0000:17:00.0");
    return is_device(device) ? OK : INVALID_DEVICE;
}

ENTRY(int cuDeviceTotalMem_v2(size_t *bytes, int device))
{
    *bytes = (size_t)1 << 30;
    return is_device(device) ? OK : INVALID_DEVICE;
}

ENTRY(int cuDeviceGetAttribute(int *out, int attribute, int device))
{
    static const int values[][2] = {{KDS_CUDA_DEVICE_CLOCK_KHZ, 1000000},
                                    {KDS_CUDA_DEVICE_SMS, 2},
                                    {KDS_CUDA_DEVICE_COMPUTE_MODE, 0},
                                    {KDS_CUDA_DEVICE_MEMORY_CLOCK_KHZ, 500000},
                                    {KDS_CUDA_DEVICE_MEMORY_BUS_BITS, 6144},
                                    {KDS_CUDA_DEVICE_L2_BYTES, 1 << 16},
                                    {KDS_CUDA_DEVICE_THREADS_PER_SM, 2048},
                                    {KDS_CUDA_DEVICE_MAJOR, 9},
                                    {KDS_CUDA_DEVICE_MINOR, 0},
                                    {KDS_CUDA_DEVICE_SHARED_OPTIN, 232448}};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (values[i][0] == attribute) {
            *out = values[i][1];
            return is_device(device) ? OK : INVALID_DEVICE;
        }
    return INVALID_VALUE;
}

static struct kds_cuda_context_st {
    int magic;
} the_context = {CONTEXT};

ENTRY(int cuDevicePrimaryCtxRetain(kds_cuda_context *out, int device))
{
    ENTER();
    if (!is_device(device) || gpu.memory != NULL)
        return INVALID_DEVICE;
    gpu.memory = kds_sim_memory_create();
    *out = &the_context;
    return gpu.memory != NULL ? OK : NO_MEMORY;
}

ENTRY(int cuDevicePrimaryCtxRelease_v2(int device))
{
    int allocations = 0;
    for (int i = 0; i < ALLOCATIONS; i++)
        allocations += gpu.allocations[i].at != 0;
    if (allocations + gpu.modules + gpu.streams + gpu.events + gpu.graphs + gpu.execs > 0)
        fprintf(stderr,
                "fake_cuda: left over: %d allocations, %d modules, %d streams, %d events, %d "
                "graphs, %d execs\n",
                allocations, gpu.modules, gpu.streams, gpu.events, gpu.graphs, gpu.execs);
    while (gpu.functions != NULL) {
        kds_cuda_function next = gpu.functions->next;
        free(gpu.functions->facts.lowered);
        free(gpu.functions);
        gpu.functions = next;
    }
    kds_sim_memory_free(gpu.memory);
    gpu.memory = NULL;
    return is_device(device) ? OK : INVALID_DEVICE;
}

ENTRY(int cuCtxSetCurrent(kds_cuda_context context))
{
    ENTER();
    CHECK(context, CONTEXT);
    gpu.context = 1;
    return OK;
}

ENTRY(int cuCtxSetLimit(int limit, size_t value))
{
    ENTER();
    return limit >= 0 && value > 0 ? OK : INVALID_VALUE;
}

/* ---- Memory ---- */

ENTRY(int cuMemGetInfo_v2(size_t *free_bytes, size_t *total))
{
    ENTER();
    *total = (size_t)1 << 30;
    *free_bytes = *total;
    for (int i = 0; i < ALLOCATIONS; i++)
        *free_bytes -= gpu.allocations[i].bytes;
    return gpu.context ? OK : NOT_INITIALISED;
}

ENTRY(int cuMemAlloc_v2(kds_cuda_address *out, size_t bytes))
{
    ENTER();
    NOT_IN_CAPTURE();
    if (bytes == 0 || !gpu.context)
        return INVALID_VALUE;
    for (int i = 0; i < ALLOCATIONS; i++) {
        if (gpu.allocations[i].at != 0)
            continue;
        kds_sim_buffer b = {.name = "an allocation", .bytes = bytes, .content = KDS_SIM_DEFINED};
        gpu.allocations[i].at = kds_sim_memory_add(gpu.memory, &b);
        gpu.allocations[i].bytes = bytes;
        *out = gpu.allocations[i].at;
        return *out != 0 ? OK : NO_MEMORY;
    }
    return NO_MEMORY;
}

ENTRY(int cuMemFree_v2(kds_cuda_address at))
{
    ENTER();
    NOT_IN_CAPTURE();
    for (int i = 0; i < ALLOCATIONS; i++)
        if (gpu.allocations[i].at == at && at != 0) {
            gpu.allocations[i].at = 0;
            gpu.allocations[i].bytes = 0;
            return OK;
        }
    return INVALID_VALUE;
}

ENTRY(int cuMemcpyDtoH_v2(void *to, kds_cuda_address from, size_t bytes))
{
    ENTER();
    NOT_IN_CAPTURE();
    return inside(from, bytes) && kds_sim_memory_read(gpu.memory, from, bytes, to, NULL)
               ? OK
               : INVALID_VALUE;
}

ENTRY(int cuMemcpyHtoD_v2(kds_cuda_address to, const void *from, size_t bytes))
{
    ENTER();
    NOT_IN_CAPTURE();
    return inside(to, bytes) && kds_sim_memory_write(gpu.memory, to, bytes, from) ? OK
                                                                                  : INVALID_VALUE;
}
