/* The worker processes: `kdasearch worker-compile`, `worker-judge`, `worker-gpu`, `worker-profile`
 * and `worker-prove`. Each reads frames on descriptor 3, answers each with one frame, and ends when
 * the stream ends. The first two confine themselves before reading the first job. */
#ifndef KDS_EVAL_WORKER_H
#define KDS_EVAL_WORKER_H

#include "search/base/frame.h"

#define KDS_WORKER_FD 3

/* Carries out one job of the kind that its header names and adds to the reply. A failure is an
 * answer too. */
typedef kds_code kds_worker_fn(void *worker, const char *kind, const kds_frame *job, cJSON *reply,
                               kds_err *e);
/* Answers each job with what `fn` adds and {"ok": true} or {"ok": false, "code", "message"}, until
 * the stream ends or *ending is set with an answer. */
KDS_MUST_USE kds_code kds_worker_serve(int fd, kds_worker_fn *fn, void *worker, const bool *ending,
                                       kds_err *e);

/* Limits CPU and memory are set by the parent at spawn; the worker drops network and file system
 * (Landlock where the kernel has it: only the toolkit's folders stay readable; no writing at all).
 */
KDS_MUST_USE kds_code kds_worker_compile(int fd, kds_err *e);
KDS_MUST_USE kds_code kds_worker_judge(int fd, kds_err *e);
/* Holds a CUDA context (eval/cuda/gpu_job.h); ends by itself once a candidate has spoilt it. */
KDS_MUST_USE kds_code kds_worker_gpu(int fd, kds_err *e);
/* Holds a CUDA context under the profiler (eval/cuda/profile_job.h). */
KDS_MUST_USE kds_code kds_worker_profile(int fd, kds_err *e);
/* Proves rows of a task on the simulator (eval/prove.h). */
KDS_MUST_USE kds_code kds_worker_prove(int fd, kds_err *e);
/* What the kernel offers for confinement, for `doctor`: "landlock ABI 4, no new privileges". */
void kds_worker_confinement(char *out, size_t size);
/* Confines this process: read-only access to the NULL-terminated folders, nothing else; no new
 * privileges; no core. */
KDS_MUST_USE kds_code kds_worker_confine(const char *const *read_dirs, kds_err *e);
/* The same for a judge: no files at all; or, with a context on a GPU, what the driver needs after
 * it is open (its device files, the system's libraries, what the kernel tells in /proc and /sys)
 * and no network, no new programs, no new processes. Nothing can be read of other processes:
 * Landlock bars them. */
KDS_MUST_USE kds_code kds_worker_confine_judge(bool with_gpu, kds_err *e);

#endif
