/* The CUDA driver, opened at run time so that one binary runs on machines with and without a GPU:
 * the entry points in use, errors in words, and nothing else. A process that may meet a sticky
 * error must be one that can be thrown away. */
#ifndef KDS_EVAL_CUDA_DRIVER_H
#define KDS_EVAL_CUDA_DRIVER_H

#include "search/base/err.h"

/* Handles of the driver; all are pointers in its ABI. */
typedef struct kds_cuda_context_st *kds_cuda_context;
typedef struct kds_cuda_module_st *kds_cuda_module;
typedef struct kds_cuda_function_st *kds_cuda_function;
typedef struct kds_cuda_stream_st *kds_cuda_stream;
typedef struct kds_cuda_event_st *kds_cuda_event;
typedef struct kds_cuda_graph_st *kds_cuda_graph;
typedef struct kds_cuda_exec_st *kds_cuda_exec; /* an instantiated graph */
typedef unsigned long long kds_cuda_address;    /* CUdeviceptr */
typedef struct kds_cuda_uuid {
    unsigned char bytes[16];
} kds_cuda_uuid;

/* CUlaunchAttribute and CUlaunchConfig of cuda.h. */
typedef struct kds_cuda_launch_attribute {
    int id; /* KDS_CUDA_LAUNCH_... */
    int pad;
    union {
        unsigned char room[64];
        int cooperative;
        unsigned cluster[3];
    } value;
} kds_cuda_launch_attribute;
typedef struct kds_cuda_launch_config {
    unsigned grid[3], block[3];
    unsigned shared_bytes; /* dynamic */
    kds_cuda_stream stream;
    kds_cuda_launch_attribute *attributes;
    unsigned attribute_count;
} kds_cuda_launch_config;

/* Values of cuda.h that are in use; all are part of its ABI (a test compares them). */
enum {
    KDS_CUDA_LAUNCH_COOPERATIVE = 2,
    KDS_CUDA_LAUNCH_CLUSTER = 4,

    KDS_CUDA_DEVICE_CLOCK_KHZ = 13,
    KDS_CUDA_DEVICE_SMS = 16,
    KDS_CUDA_DEVICE_COMPUTE_MODE = 20,
    KDS_CUDA_DEVICE_MEMORY_CLOCK_KHZ = 36,
    KDS_CUDA_DEVICE_MEMORY_BUS_BITS = 37,
    KDS_CUDA_DEVICE_L2_BYTES = 38,
    KDS_CUDA_DEVICE_THREADS_PER_SM = 39,
    KDS_CUDA_DEVICE_MAJOR = 75,
    KDS_CUDA_DEVICE_MINOR = 76,
    KDS_CUDA_DEVICE_SHARED_OPTIN = 97,

    KDS_CUDA_FUNCTION_SHARED_BYTES = 1,
    KDS_CUDA_FUNCTION_LOCAL_BYTES = 3,
    KDS_CUDA_FUNCTION_REGISTERS = 4,
    KDS_CUDA_FUNCTION_MAX_DYNAMIC_SHARED = 8,

    KDS_CUDA_STREAM_NON_BLOCKING = 1,
    KDS_CUDA_CAPTURE_THREAD_LOCAL = 1,
    KDS_CUDA_LIMIT_MALLOC_HEAP = 2,

    KDS_CUDA_SUCCESS = 0,
    KDS_CUDA_OUT_OF_MEMORY = 2,
    KDS_CUDA_NOT_READY = 600
};

/* X(field, symbol, arguments) of every function in use; all return CUresult. The symbols are those
 * that cuda.h maps the plain names to. */
#define KDS_CUDA_FUNCTIONS(X)                                                                      \
    X(init, "cuInit", (unsigned flags))                                                            \
    X(driver_version, "cuDriverGetVersion", (int *version))                                        \
    X(error_name, "cuGetErrorName", (int result, const char **out))                                \
    X(error_text, "cuGetErrorString", (int result, const char **out))                              \
    X(device_count, "cuDeviceGetCount", (int *count))                                              \
    X(device_get, "cuDeviceGet", (int *device, int ordinal))                                       \
    X(device_name, "cuDeviceGetName", (char *out, int size, int device))                           \
    X(device_uuid, "cuDeviceGetUuid_v2", (kds_cuda_uuid * out, int device))                        \
    X(device_pci, "cuDeviceGetPCIBusId", (char *out, int size, int device))                        \
    X(device_memory, "cuDeviceTotalMem_v2", (size_t * bytes, int device))                          \
    X(device_attribute, "cuDeviceGetAttribute", (int *out, int attribute, int device))             \
    X(context_retain, "cuDevicePrimaryCtxRetain", (kds_cuda_context * out, int device))            \
    X(context_release, "cuDevicePrimaryCtxRelease_v2", (int device))                               \
    X(context_set, "cuCtxSetCurrent", (kds_cuda_context context))                                  \
    X(context_limit, "cuCtxSetLimit", (int limit, size_t value))                                   \
    X(memory_info, "cuMemGetInfo_v2", (size_t * free, size_t * total))                             \
    X(memory_alloc, "cuMemAlloc_v2", (kds_cuda_address * out, size_t bytes))                       \
    X(memory_free, "cuMemFree_v2", (kds_cuda_address at))                                          \
    X(copy_to_host, "cuMemcpyDtoH_v2", (void *to, kds_cuda_address from, size_t bytes))            \
    X(copy_to_device, "cuMemcpyHtoD_v2", (kds_cuda_address to, const void *from, size_t bytes))    \
    X(copy, "cuMemcpyDtoDAsync_v2",                                                                \
      (kds_cuda_address to, kds_cuda_address from, size_t bytes, kds_cuda_stream stream))          \
    X(set, "cuMemsetD8Async",                                                                      \
      (kds_cuda_address at, unsigned char value, size_t bytes, kds_cuda_stream stream))            \
    X(module_load, "cuModuleLoadData", (kds_cuda_module * out, const void *image))                 \
    X(module_unload, "cuModuleUnload", (kds_cuda_module module))                                   \
    X(module_function, "cuModuleGetFunction",                                                      \
      (kds_cuda_function * out, kds_cuda_module module, const char *name))                         \
    X(function_get, "cuFuncGetAttribute", (int *out, int attribute, kds_cuda_function function))   \
    X(function_set, "cuFuncSetAttribute", (kds_cuda_function function, int attribute, int value))  \
    X(launch, "cuLaunchKernelEx",                                                                  \
      (const kds_cuda_launch_config *config, kds_cuda_function function, void **parameters,        \
       void **extra))                                                                              \
    X(stream_create, "cuStreamCreate", (kds_cuda_stream * out, unsigned flags))                    \
    X(stream_destroy, "cuStreamDestroy_v2", (kds_cuda_stream stream))                              \
    X(capture_begin, "cuStreamBeginCapture_v2", (kds_cuda_stream stream, int mode))                \
    X(capture_end, "cuStreamEndCapture", (kds_cuda_stream stream, kds_cuda_graph * out))           \
    X(graph_instantiate, "cuGraphInstantiateWithFlags",                                            \
      (kds_cuda_exec * out, kds_cuda_graph graph, unsigned long long flags))                       \
    X(graph_upload, "cuGraphUpload", (kds_cuda_exec exec, kds_cuda_stream stream))                 \
    X(graph_launch, "cuGraphLaunch", (kds_cuda_exec exec, kds_cuda_stream stream))                 \
    X(graph_exec_destroy, "cuGraphExecDestroy", (kds_cuda_exec exec))                              \
    X(graph_destroy, "cuGraphDestroy", (kds_cuda_graph graph))                                     \
    X(event_create, "cuEventCreate", (kds_cuda_event * out, unsigned flags))                       \
    X(event_destroy, "cuEventDestroy_v2", (kds_cuda_event event))                                  \
    X(event_record, "cuEventRecord", (kds_cuda_event event, kds_cuda_stream stream))               \
    X(event_query, "cuEventQuery", (kds_cuda_event event))                                         \
    X(event_elapsed, "cuEventElapsedTime",                                                         \
      (float *milliseconds, kds_cuda_event start, kds_cuda_event end))

typedef struct kds_cuda {
    void *library;
    int version; /* of CUDA that the driver supports: 13000 is 13.0 */
#define KDS_X(field, symbol, arguments) int(*field) arguments;
    KDS_CUDA_FUNCTIONS(KDS_X)
#undef KDS_X
} kds_cuda;

/* Opens libcuda.so.1 and initialises it. KDS_NO_DEVICE: no driver, one that is too old or broken,
 * or no GPU; the message says what to do. */
KDS_MUST_USE kds_code kds_cuda_open(kds_cuda **out, kds_err *e);
void kds_cuda_close(kds_cuda *c);

/* KDS_OK if `result` is success. Else an error: the text, the driver's name and words for it, and
 * what to do where something can be done. KDS_NO_MEMORY, KDS_NO_DEVICE, KDS_DEVICE_LOST (the
 * process cannot use the GPU any more) or KDS_FAILED. */
kds_code kds_cuda_check(const kds_cuda *c, int result, kds_err *e, const char *fmt, ...)
    KDS_PRINTF(4, 5);
/* True if every later call of this process fails too. */
bool kds_cuda_is_sticky(int result);
/* "CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access was encountered)". */
void kds_cuda_describe(const kds_cuda *c, int result, char *out, size_t size);

#endif
