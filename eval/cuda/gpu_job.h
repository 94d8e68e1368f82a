/* The GPU worker's messages. `open` comes first and once; then `measure` any number of times, rows
 * of one kind together, because a row is set up when it is first asked for and kept until the next;
 * and `duel`, which keeps its rows from one to the next. */
#ifndef KDS_EVAL_CUDA_GPU_JOB_H
#define KDS_EVAL_CUDA_GPU_JOB_H

#include "eval/cuda/gpu_duel.h"
#include "eval/cuda/gpu_measure.h"
#include "search/base/frame.h"

/* The task and the compiled baseline, for a GPU ("cuda:0"). The answer has ok, or code and message;
 * and nvrtc ("13.0"). */
KDS_MUST_USE kds_code kds_gpu_open_job(kds_frame *out, const char *device, const char *task_dir,
                                       const kds_compiled *baseline, kds_err *e);
/* One candidate on one row. The answer has ok, or code and message (the machine or the task is at
 * fault; row_failed if the row could not be set up); then
 * - verdict, stage, line, message: "ok" if it was right and has been timed;
 * - spoilt: the worker has ended;
 * - us, spread, visits, launches_per_visit, sets, cold, variant, launches, samples[] if ok;
 * - sm_mhz, memory_mhz, temperature, throttled, as NVML told them right after; absent without it.
 */
KDS_MUST_USE kds_code kds_gpu_measure_job(kds_frame *out, int row, const char *source, size_t len,
                                          const char *parent_source, const kds_compiled *compiled,
                                          kds_err *e);

/* One side of a duel. */
typedef struct kds_gpu_duel_side {
    const char *source;
    size_t len;
    const char *parent; /* whose plan it inherits; NULL: none */
    const kds_compiled *compiled;
} kds_gpu_duel_side;
/* A duel; sides[0] is the incumbent. The answer has ok, or code and message; then what kds_gpu_duel
 * tells, and spoilt: the worker has ended. */
KDS_MUST_USE kds_code kds_gpu_duel_job(kds_frame *out, const kds_gpu_duel_side sides[2],
                                       const kds_gpu_duel_options *o, kds_err *e);
/* For the worker: does what the message asks. */
KDS_MUST_USE kds_code kds_gpu_duel_answer(kds_gpu_duels *g, const kds_frame *job, const kds_task *t,
                                          cJSON *reply, bool *spoilt, kds_err *e);

#endif
