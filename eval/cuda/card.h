/* A GPU: what it is, and a context on it with which memory, kernels, graphs and events are used.
 * Wraps the calls whose arguments or errors need care; the rest is called through `cuda`. */
#ifndef KDS_EVAL_CUDA_CARD_H
#define KDS_EVAL_CUDA_CARD_H

#include "eval/cuda/driver.h"

/* The oldest GPUs that NVRTC 13 compiles for. */
#define KDS_CUDA_OLDEST 75

typedef struct kds_cuda_info {
    int ordinal, device;
    char name[128], uuid[48], pci[32]; /* "GPU-3f..."; "0000:3B:00.0" */
    char arch[16];                     /* "sm_90" */
    int capability;                    /* 90 */
    int sms, clock_mhz, memory_clock_mhz, threads_per_sm;
    int64_t memory_bytes, l2_bytes, shared_optin_bytes;
} kds_cuda_info;

/* "cuda:0" to 0. KDS_USAGE: it is no such name. */
KDS_MUST_USE kds_code kds_cuda_ordinal(const char *spec, int *ordinal, kds_err *e);
/* How many GPUs the driver shows. */
KDS_MUST_USE kds_code kds_cuda_count(const kds_cuda *c, int *count, kds_err *e);
/* Facts of one GPU; makes no context. KDS_NO_DEVICE: there is none of that number, with how many
 * there are. */
KDS_MUST_USE kds_code kds_cuda_look(const kds_cuda *c, int ordinal, kds_cuda_info *out, kds_err *e);

typedef struct kds_card {
    const kds_cuda *cuda;
    kds_cuda_info info;
    kds_cuda_context context;
    kds_cuda_stream stream;
    kds_cuda_event start, end; /* of what is timed */
    kds_cuda_event done;       /* of what is waited for */
} kds_card;

/* The GPU's primary context, current in this thread, with a stream and events. KDS_NO_DEVICE: no
 * such GPU, or one older than compute capability 7.5. */
KDS_MUST_USE kds_code kds_card_open(kds_card **out, const kds_cuda *c, int ordinal, kds_err *e);
void kds_card_close(kds_card *c);

KDS_MUST_USE kds_code kds_card_alloc(kds_card *c, size_t bytes, const char *what,
                                     kds_cuda_address *out, kds_err *e);
void kds_card_free(kds_card *c, kds_cuda_address at); /* 0 is no error */
/* Waits until the stream has done everything, at most `seconds`; *late tells that it has not. The
 * error of a kernel that faulted comes out here. */
KDS_MUST_USE kds_code kds_card_wait(kds_card *c, double seconds, bool *late, kds_err *e);

/* One launch as a plan has it. `parameters` points at each parameter's value. */
typedef struct kds_card_launch {
    const char *name; /* for messages */
    kds_cuda_function function;
    int64_t grid[3], block[3], cluster[3]; /* cluster all 0 or 1: none */
    int64_t shared_bytes;                  /* dynamic */
    bool cooperative;
    void **parameters;
} kds_card_launch;
/* Lets the function have the dynamic shared memory that its launches ask for. Gives CUresult. */
int kds_card_prepare(const kds_card *c, kds_cuda_function function, int64_t shared_bytes);
/* Into the card's stream. Gives CUresult. */
int kds_card_launch_kernel(const kds_card *c, const kds_card_launch *l);

#endif
