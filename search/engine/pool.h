/* A pool of worker processes of one kind: jobs are frames, each answered by one frame. The pool
 * starts workers when there is work, replaces those that die, ends those that pass a deadline, and
 * tells the three apart. Single-threaded: the owner polls the descriptors and steps the pool. */
#ifndef KDS_ENGINE_POOL_H
#define KDS_ENGINE_POOL_H

#include "search/base/frame.h"
#include <poll.h>

#define KDS_POOL_WORKERS 512

typedef struct kds_pool kds_pool;

typedef enum kds_job_end {
    KDS_JOB_REPLY,   /* the frame is there */
    KDS_JOB_TIMEOUT, /* the worker was ended at the deadline */
    KDS_JOB_DIED     /* the worker ended or spoke nonsense; `why` says how */
} kds_job_end;

/* A reply with "ending" in its header is the worker's last: it gets no other job and is replaced.
 */
typedef void kds_job_fn(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                        const char *why);

typedef struct kds_pool_options {
    const char *program; /* path of kdasearch */
    const char *command; /* "worker-compile" */
    int workers;
    uint64_t memory_bytes, data_bytes, file_bytes; /* as in kds_spawn_options */
    double job_seconds;                            /* deadline of a job */
    double start_seconds;                          /* deadline of the first frame */
    kds_job_fn *done;
    void *user;
} kds_pool_options;

KDS_MUST_USE kds_code kds_pool_create(kds_pool **out, const kds_pool_options *o, kds_err *e);
/* Ends all workers, at most ~2 s. Jobs in hand are dropped without a call. */
void kds_pool_close(kds_pool *p);
/* A frame that every new worker gets before its first job; encoded bytes are copied. Its answer
 * goes to `done` with tag UINT64_MAX; so does the end of a worker that never answered it, and then
 * the end of its job if it had one. */
KDS_MUST_USE kds_code kds_pool_greet(kds_pool *p, const kds_frame *greeting, kds_err *e);
/* Queues a job; `tag` comes back with its end. */
KDS_MUST_USE kds_code kds_pool_submit(kds_pool *p, uint64_t tag, const kds_frame *job, kds_err *e);
/* Starts waiting jobs on free workers. KDS_WORKER: workers cannot be started. */
KDS_MUST_USE kds_code kds_pool_start(kds_pool *p, kds_err *e);
/* Starts one worker and greets it although there is no job yet, if none runs. */
KDS_MUST_USE kds_code kds_pool_wake(kds_pool *p, kds_err *e);
/* Appends poll entries (at most `room`), returns how many. */
int kds_pool_poll_set(const kds_pool *p, struct pollfd *fds, int room);
/* Milliseconds until the next deadline; -1 if there is none. */
int kds_pool_timeout_ms(const kds_pool *p);
/* Reads, writes and checks deadlines; calls `done` for jobs that ended. */
void kds_pool_step(kds_pool *p);
/* Has all idle workers end, without waiting for them: the next jobs get fresh ones. */
void kds_pool_renew(kds_pool *p);
/* Jobs that ended, and the seconds from handing each to a worker to its end, greetings included. */
void kds_pool_stats(const kds_pool *p, int64_t *jobs, double *seconds);
int kds_pool_waiting(const kds_pool *p);
int kds_pool_workers(const kds_pool *p); /* places, taken or not */
int kds_pool_running(const kds_pool *p);

#endif
