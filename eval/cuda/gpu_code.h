/* A candidate's compiled code on a GPU: the plan bound to one row, its module and kernels, and the
 * launches with addresses that the caller gives. */
#ifndef KDS_EVAL_CUDA_GPU_CODE_H
#define KDS_EVAL_CUDA_GPU_CODE_H

#include "eval/compile.h"
#include "eval/cuda/card.h"

/* Local memory that all threads of the GPU may take together: more is reserved without an error,
 * and nothing is left for anyone. */
#define KDS_GPU_LOCAL_BYTES_MAX (INT64_C(8) << 30)

typedef struct kds_gpu_code {
    kds_card *card;
    kds_cuda_module module;
    kds_binding *binding;
    const kds_module *compiled;
    kds_cuda_function functions[KDS_PLAN_LAUNCHES];
    const kds_kernel_facts *facts[KDS_PLAN_LAUNCHES];
} kds_gpu_code;

/* False with a finding if a driver's result is not success: `what` and `kernel` (may be "") say
 * what it was about. */
bool kds_gpu_accepted(const kds_cuda *c, int result, const char *what, const char *kernel, int line,
                      kds_finding *f);
/* Binds, loads and looks at the limits, all before anything runs. With a finding, or an error, the
 * code holds nothing. Plan and compiled code are borrowed until unload. */
KDS_MUST_USE kds_code kds_gpu_code_load(kds_gpu_code *out, kds_card *card, const kds_plan *plan,
                                        int row, const kds_compiled *compiled, kds_finding *f,
                                        kds_err *e);
void kds_gpu_code_unload(kds_gpu_code *c); /* one that holds nothing is no error */
/* Queues all launches in order; scratch that asks for it is zeroed first. False with a finding. */
bool kds_gpu_code_queue(kds_gpu_code *c, const uint64_t *buffers, const uint64_t *scratch,
                        kds_finding *f);

#endif
