/* One row of a task on a GPU: sets of its buffers that together exceed the L2, the outputs that the
 * baseline left, and one program (a plan with its compiled code) run on them. */
#ifndef KDS_EVAL_CUDA_GPU_ROW_H
#define KDS_EVAL_CUDA_GPU_ROW_H

#include "eval/cuda/helpers.h"
#include "eval/plan.h"

#define KDS_GPU_SETS 16384          /* most sets of buffers */
#define KDS_GPU_POISON 0xff         /* what outputs and scratch hold before a run: NaN */
#define KDS_GPU_RUN_SECONDS 10.0    /* a run that takes longer is a timeout */
#define KDS_GPU_INPUT_SEED 20260101 /* of the inputs of every measurement */

typedef struct kds_gpu_row {
    kds_card *card;
    kds_helpers *helpers;
    const kds_task *task;
    int index;
    kds_extent extents[KDS_BUFFERS_MAX];
    kds_filler fillers[KDS_BUFFERS_MAX];
    uint64_t bytes[KDS_BUFFERS_MAX], offsets[KDS_BUFFERS_MAX]; /* in a set */
    uint64_t buffer_bytes, set_bytes; /* without and with what lies between */
    int sets;
    bool has_inout;
    kds_cuda_address arena, want; /* sets; one more set, of the baseline's outputs */
    /* Checksums of what must not change: the inputs and what lies between buffers in set 0, and the
     * outputs that are kept. */
    uint64_t input_hash, gap_hash, want_hash;
} kds_gpu_row;

typedef struct kds_gpu_program {
    kds_gpu_row *row;
    kds_cuda_module module;
    kds_binding *binding;
    const kds_module *compiled;
    kds_cuda_function functions[KDS_PLAN_LAUNCHES];
    const kds_kernel_facts *facts[KDS_PLAN_LAUNCHES];
    kds_cuda_address scratch;                                  /* as many sets as `sets` */
    uint64_t scratch_offsets[KDS_PLAN_SCRATCH], scratch_bytes; /* of one set */
    int sets;                                                  /* that it can run on */
} kds_gpu_program;

/* Makes the sets with their inputs. KDS_NO_MEMORY: the row does not fit. */
KDS_MUST_USE kds_code kds_gpu_row_open(kds_gpu_row **out, kds_card *c, kds_helpers *h,
                                       const kds_task *t, int row, kds_err *e);
void kds_gpu_row_close(kds_gpu_row *r);
/* Inputs as they were, outputs poisoned, in every set. */
KDS_MUST_USE kds_code kds_gpu_row_reset(kds_gpu_row *r, kds_err *e);
/* Other inputs in every set from now on, outputs poisoned; the expectation has to be taken again.
 */
KDS_MUST_USE kds_code kds_gpu_row_reseed(kds_gpu_row *r, uint64_t seed, kds_err *e);
/* Runs the baseline and keeps its outputs. KDS_INVALID: the baseline is at fault. */
KDS_MUST_USE kds_code kds_gpu_row_expect(kds_gpu_row *r, const kds_plan *plan,
                                         const kds_compiled *baseline, kds_err *e);
/* A finding (wrong) if the outputs in a set are not those of the baseline within the task's
 * tolerance; norms of slices are not looked at. */
KDS_MUST_USE kds_code kds_gpu_row_check(kds_gpu_row *r, int set, kds_finding *f, kds_err *e);
/* A finding (changed_input, wrote_outside) if something that must not change has changed. */
KDS_MUST_USE kds_code kds_gpu_row_intact(kds_gpu_row *r, kds_finding *f, kds_err *e);

/* *out is NULL if there is a finding. All is borrowed until unload. */
KDS_MUST_USE kds_code kds_gpu_program_load(kds_gpu_program **out, kds_gpu_row *r,
                                           const kds_plan *plan, const kds_compiled *c,
                                           kds_finding *f, kds_err *e);
void kds_gpu_program_unload(kds_gpu_program *p);
/* Queues the whole plan on one set. False with a finding: launch_failed, plan_invalid, or
 * device_fault, after which the process must end. */
bool kds_gpu_program_queue(kds_gpu_program *p, int set, kds_finding *f);
/* Waits for what was queued. False with a finding: timeout or device_fault, after both of which the
 * process must end. */
bool kds_gpu_program_wait(kds_gpu_program *p, kds_finding *f);

#endif
