/* The state of the fake driver, shared by its files. One device, one context, one thread. */
#ifndef KDS_TESTS_FAKE_CUDA_H
#define KDS_TESTS_FAKE_CUDA_H

#include "eval/compile_parts.h"
#include "eval/cuda/driver.h"
#include "eval/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY(declaration)                                                                         \
    __attribute__((visibility("default"))) declaration;                                            \
    declaration
#define ALLOCATIONS 4096
#define QUEUE 65536
#define SHARED_DEFAULT (48 << 10)

enum {
    OK = 0,
    INVALID_VALUE = 1,
    NO_MEMORY = 2,
    NOT_INITIALISED = 3,
    INVALID_DEVICE = 101,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    ILLEGAL_ADDRESS = 700,
    MISALIGNED = 716,
    ILLEGAL_IN_CAPTURE = 900,
    TRAPPED = 719,
    UNSUPPORTED = 801
};

enum { MODULE = 0x4d4f44, FUNCTION, STREAM, EVENT, GRAPH, EXEC, CONTEXT };

typedef struct operation {
    bool is_launch;
    bool again; /* the same comes before and later in the graph */
    kds_cuda_function function;
    kds_cuda_launch_config config; /* without its attributes */
    uint32_t cluster[3];
    bool cooperative;
    unsigned char parameters[4096];
    size_t parameters_len;
    kds_cuda_address to, from; /* of a set (from 0) or a copy */
    size_t bytes;
    unsigned char value;
} operation;

struct kds_cuda_module_st {
    int magic;
    kds_sim_module *code;
    char *ptx;
    size_t len;
    int functions;
};
struct kds_cuda_function_st {
    int magic;
    kds_cuda_module module;
    kds_kernel_facts facts;
    char name[512];
    int shared_max;
    struct kds_cuda_function_st *next;
};
struct kds_cuda_stream_st {
    int magic;
};
struct kds_cuda_event_st {
    int magic;
    bool recorded;
    double us;
};
struct kds_cuda_graph_st {
    int magic;
    operation *operations;
    int count;
};
struct kds_cuda_exec_st {
    int magic;
    operation *operations;
    int count;
};

typedef struct fake_gpu {
    bool ready, hung;
    int sticky;
    int loads; /* of modules, ever */
    int context, modules, streams, events, graphs, execs;
    kds_sim_memory *memory;
    struct {
        kds_cuda_address at;
        size_t bytes;
    } allocations[ALLOCATIONS];
    bool capturing;
    operation *captured;
    int captured_count, captured_room;
    double us;                              /* invented time of the device */
    double counters[KDS_SIM_COUNTER_COUNT]; /* over all launches, for fake_cupti */
    kds_cuda_function functions;
} fake_gpu;
extern fake_gpu gpu;

#define ENTER()                                                                                    \
    do {                                                                                           \
        if (!gpu.ready)                                                                            \
            return NOT_INITIALISED;                                                                \
        if (gpu.sticky != OK)                                                                      \
            return gpu.sticky;                                                                     \
    } while (0)
#define NOT_IN_CAPTURE()                                                                           \
    do {                                                                                           \
        if (gpu.capturing)                                                                         \
            return ILLEGAL_IN_CAPTURE;                                                             \
    } while (0)
#define CHECK(handle, kind)                                                                        \
    do {                                                                                           \
        if ((handle) == NULL || (handle)->magic != (kind))                                         \
            return INVALID_HANDLE;                                                                 \
    } while (0)

/* Carries out launches of our own kernels that would take the simulator long: guards are megabytes.
 * False: it is not one of them. (tests/eval/test_cuda_abi.c runs them on the simulator.) */
bool do_own_launch(const operation *o);
/* True if all of it lies in one allocation. */
bool inside(kds_cuda_address at, size_t bytes);

#endif
