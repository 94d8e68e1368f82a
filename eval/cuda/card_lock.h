/* One process of ours on a GPU at a time: two that time kernels on it would both be wrong. */
#ifndef KDS_EVAL_CUDA_CARD_LOCK_H
#define KDS_EVAL_CUDA_CARD_LOCK_H

#include "eval/cuda/card.h"

/* Takes the GPU's lock, waiting at most `seconds` for a process that has it; it is held until the
 * descriptor is closed or this process ends. KDS_NO_DEVICE: another process keeps it. */
KDS_MUST_USE kds_code kds_card_lock(const kds_cuda_info *info, double seconds, int *fd, kds_err *e);

#endif
