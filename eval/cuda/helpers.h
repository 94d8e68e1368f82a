/* Kernels of ours on the GPU: inputs that are bit for bit those of eval/fill.c, comparison of
 * outputs, checksums, and a delay. They are compiled by NVRTC when a device worker starts and
 * proved against the C code before anything is measured. */
#ifndef KDS_EVAL_CUDA_HELPERS_H
#define KDS_EVAL_CUDA_HELPERS_H

#include "eval/compare.h"
#include "eval/compile.h"
#include "eval/cuda/card.h"

typedef struct kds_helpers kds_helpers;

/* The CUDA C++ of all of them; KDS_TOO_LARGE or KDS_NO_MEMORY in the buffer if it does not fit. */
void kds_helpers_source(kds_buf *out);
/* Compiles them to PTX or, for the card's architecture, to a cubin (NUL-terminated, owned by the
 * caller). `arch` is "sm_90". */
KDS_MUST_USE kds_code kds_helpers_compile(kds_nvrtc *n, const char *arch, bool ptx, char **out,
                                          size_t *len, kds_err *e);

/* Compiles, loads, and compares their fills with eval/fill.c for every kind and type:
 * KDS_SELF_TEST if one bit differs. */
KDS_MUST_USE kds_code kds_helpers_open(kds_helpers **out, kds_card *c, kds_nvrtc *n, kds_err *e);
void kds_helpers_close(kds_helpers *h);
/* A kernel of helpers.cu that only its caller launches (the self-test of counters). */
KDS_MUST_USE kds_code kds_helpers_find(kds_helpers *h, const char *name, kds_cuda_function *out,
                                       kds_err *e);

/* Elements [first, first + count) of a buffer to `to`; `first` is a multiple of 4. Queued. */
KDS_MUST_USE kds_code kds_helpers_fill(kds_helpers *h, const kds_filler *f, int64_t first,
                                       int64_t count, kds_cuda_address to, kds_err *e);
/* Idles on the card for that long before what is queued next. */
KDS_MUST_USE kds_code kds_helpers_delay(kds_helpers *h, int64_t ns, kds_err *e);
/* Reads bytes, so that the L2 holds nothing else (and no dirty lines) if they are many. Queued. */
KDS_MUST_USE kds_code kds_helpers_read(kds_helpers *h, kds_cuda_address at, uint64_t bytes,
                                       kds_err *e);
/* A checksum of bytes, rounded up to whole 4-byte words. Waits. */
KDS_MUST_USE kds_code kds_helpers_hash(kds_helpers *h, kds_cuda_address at, uint64_t bytes,
                                       uint64_t *out, kds_err *e);
/* Compares two buffers of one type over their whole span. Bytes that are equal are right, whatever
 * they are (NaN, gaps between strides); `nan_want` counts the NaNs that are wanted. The first wrong
 * element is given by its offset in the span. Waits. */
typedef struct kds_gpu_errors {
    kds_errors errors; /* without norms of slices */
    int64_t nan_want;
} kds_gpu_errors;
KDS_MUST_USE kds_code kds_helpers_compare(kds_helpers *h, kds_dtype type, int64_t span,
                                          kds_cuda_address got, kds_cuda_address want,
                                          const kds_tolerance *t, bool bitwise, kds_gpu_errors *out,
                                          kds_err *e);

#endif
