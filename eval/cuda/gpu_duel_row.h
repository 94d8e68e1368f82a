/* A row's buffers for duels: sets that can be put anywhere in a larger arena, and two variants of
 * the inputs with what the baseline makes of each, between which visits change. */
#ifndef KDS_EVAL_CUDA_GPU_DUEL_ROW_H
#define KDS_EVAL_CUDA_GPU_DUEL_ROW_H

#include "eval/cuda/gpu_row.h"

#define KDS_GPU_VARIANTS 2

typedef struct kds_gpu_duel_row {
    kds_gpu_row *row;      /* its arena, want and hashes are those in force */
    kds_cuda_address base; /* of the arena */
    kds_cuda_address templates[KDS_GPU_VARIANTS], wants[KDS_GPU_VARIANTS]; /* a set each */
    uint64_t input_hashes[KDS_GPU_VARIANTS], want_hashes[KDS_GPU_VARIANTS];
    int variant;    /* in force */
    uint64_t stamp; /* when it was last used */
} kds_gpu_duel_row;

/* KDS_NO_MEMORY: it does not fit. KDS_INVALID: the baseline is at fault. */
KDS_MUST_USE kds_code kds_gpu_duel_row_open(kds_gpu_duel_row **out, kds_card *c, kds_helpers *h,
                                            const kds_task *t, int row, const kds_plan *plan,
                                            const kds_compiled *baseline, kds_err *e);
void kds_gpu_duel_row_close(kds_gpu_duel_row *r);
/* True if the sets together exceed twice the L2, so that running over them in turn is cold. */
bool kds_gpu_duel_row_rotates(const kds_gpu_duel_row *r);
/* Has at least that many sets if memory allows; else as many as before. */
KDS_MUST_USE kds_code kds_gpu_duel_row_grow(kds_gpu_duel_row *r, int sets, kds_err *e);
/* Puts the first set `offset` bytes into the arena; refill comes next. */
void kds_gpu_duel_row_place(kds_gpu_duel_row *r, int64_t offset);
/* The variant's inputs and poisoned outputs in every set. Queued. */
KDS_MUST_USE kds_code kds_gpu_duel_row_refill(kds_gpu_duel_row *r, int variant, kds_err *e);

#endif
