/* The profile worker's messages. `open` comes first and once; then `profile` any number of times. A
 * worker that died, or answered with an error, may be tried once more; then there are no counters.
 */
#ifndef KDS_EVAL_CUDA_PROFILE_JOB_H
#define KDS_EVAL_CUDA_PROFILE_JOB_H

#include "eval/compile.h"
#include "search/base/frame.h"

typedef struct kds_profile_request {
    const char *device; /* "cuda:0" */
    const char *task_dir;
    const char *metrics; /* comma-separated names; "all"; NULL: what the task's axes need, and what
                            else fits into the passes of the default set */
    bool self_test;      /* counters against known kernels first */
} kds_profile_request;
/* The answer has ok, or code and message; then
 * - counters: false if there are none to be had here, or they failed the self-test, with `reason`;
 * - chip, cupti, cupti_path, passes, missing[] (asked for, but not of this chip);
 * - self_test[]{counter, got, want, allowed}, and seconds of the start. */
KDS_MUST_USE kds_code kds_profile_open_job(kds_frame *out, const kds_profile_request *r,
                                           kds_err *e);
#define KDS_PROFILE_ROWS 4 /* of one message */
/* One candidate, known to be right, on some rows. `all`: every counter of the chip, whatever the
 * worker was opened with. The answer has ok, or code and message; then
 * - verdict, stage, line, message: "ok", or what the candidate did wrong;
 * - no_counters, with `reason`: there are none; what is known of the candidate are its compile
 * facts;
 * - rows[]{row, counters{name: value}}, in the order of the message, summed over the plan's
 *   launches; passes, seconds;
 * - spoilt: the worker has ended. */
KDS_MUST_USE kds_code kds_profile_rows_job(kds_frame *out, const int *rows, int count, bool all,
                                           const char *source, size_t len,
                                           const char *parent_source, const kds_compiled *compiled,
                                           kds_err *e);

#endif
