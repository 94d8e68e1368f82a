/* What the files behind helpers.h share. */
#ifndef KDS_EVAL_CUDA_HELPERS_INTERNAL_H
#define KDS_EVAL_CUDA_HELPERS_INTERNAL_H

#include "eval/cuda/helpers.h"

#define KDS_HELPERS_THREADS 256 /* of a block of every kernel */

/* What one block of kds_compare and of kds_judge leaves, as helpers.cu has it. */
typedef struct kds_found {
    uint64_t wrong, first, largest, nans;
    double error, want;
} kds_found;
typedef struct kds_judged {
    uint64_t wrong, first, largest;
    double error, want, worst;
    int64_t worst_at;
} kds_judged;

/* What one block of kds_guard_check leaves. */
typedef struct kds_guard_found {
    uint64_t wrong, first, last;
} kds_guard_found;
#define KDS_GUARD_BLOCKS 32 /* for each guard */
#define KDS_GUARD_RESULTS (KDS_GUARDS_MAX * KDS_GUARD_BLOCKS * sizeof(kds_guard_found))

struct kds_helpers {
    kds_card *card;
    kds_cuda_module module;
    kds_cuda_function fill, compare, judge, find, hash, delay, guard_fill, guard_check;
    kds_cuda_address partial; /* results of blocks */
    int blocks;
    size_t partial_bytes;
    void *host; /* partial_bytes of them, fetched */
};

KDS_MUST_USE kds_code kds_helpers_launch(kds_helpers *h, kds_cuda_function function,
                                         const char *name, int64_t blocks, int threads,
                                         void **parameters, kds_err *e);
/* Waits and fetches the first `bytes` of the partial results. */
KDS_MUST_USE kds_code kds_helpers_fetch(kds_helpers *h, size_t bytes, const char *what, kds_err *e);
/* The value of one element on the card. */
KDS_MUST_USE kds_code kds_helpers_element(const kds_helpers *h, kds_dtype type, kds_cuda_address at,
                                          int64_t i, double *out, kds_err *e);

#endif
