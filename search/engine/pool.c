/* Workers behind sockets. Each has an input and an output buffer, at most one job, and a deadline.
 * A worker that fails is ended and its place is free again: the job's end is reported once,
 * whatever happened. */
#include "search/engine/pool.h"

#include "search/base/clock.h"
#include "search/base/spawn.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WIRE_CAP (4u * KDS_FRAME_CAP + (1u << 16))
#define GREETING UINT64_MAX
#define CLOSED_TRIES 100   /* of 2 ms */
#define ENDING_SECONDS 5.0 /* for a worker that ends */
#define ENDING_MS 20       /* how often such a one is looked at */

typedef struct worker {
    pid_t pid; /* 0: none */
    int fd;
    kds_buf in, out;
    bool busy;
    bool greeted; /* the greeting has been answered, or there is none */
    bool ending;  /* ends, as it said or was told: waited for, then its place is free */
    bool waking;  /* greeted without a job: its answer is awaited under a deadline */
    short ready;  /* in this step: what poll said of it; everything if it was not asked */
    uint64_t tag;
    double deadline, since; /* since: when the job was handed over */
} worker;

typedef struct job {
    uint64_t tag;
    char *wire;
    size_t len;
    struct job *next;
} job;

struct kds_pool {
    kds_pool_options o;
    char *program, *command;
    char *greeting;
    size_t greeting_len;
    worker *workers;
    struct pollfd *fds; /* of a step */
    job *first, **last;
    int waiting;
    int64_t ended; /* jobs */
    double seconds;
};

kds_code kds_pool_create(kds_pool **out, const kds_pool_options *o, kds_err *e)
{
    kds_pool *p = calloc(1, sizeof *p);
    if (!p)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    p->o = *o;
    p->program = strdup(o->program);
    p->command = strdup(o->command);
    p->workers = calloc((size_t)o->workers, sizeof *p->workers);
    p->fds = calloc((size_t)o->workers, sizeof *p->fds);
    p->last = &p->first;
    if (!p->program || !p->command || !p->workers || !p->fds) {
        kds_pool_close(p);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    for (int i = 0; i < o->workers; i++) {
        p->workers[i].fd = -1;
        kds_buf_init(&p->workers[i].in, WIRE_CAP);
        kds_buf_init(&p->workers[i].out, WIRE_CAP);
    }
    *out = p;
    return KDS_OK;
}

static void drop_worker(worker *w, int grace_ms)
{
    if (w->pid)
        kds_spawn_end(w->pid, grace_ms);
    if (w->fd >= 0)
        close(w->fd);
    w->pid = 0;
    w->fd = -1;
    w->busy = w->greeted = w->waking = w->ending = false;
    kds_buf_reset(&w->in);
    kds_buf_reset(&w->out);
}

void kds_pool_close(kds_pool *p)
{
    if (!p)
        return;
    for (int i = 0; p->workers && i < p->o.workers; i++)
        if (p->workers[i].fd >= 0)
            shutdown(p->workers[i].fd, SHUT_WR); /* an idle worker ends by itself */
    for (int i = 0; p->workers && i < p->o.workers; i++) {
        drop_worker(&p->workers[i], p->workers[i].busy ? 0 : 300);
        kds_buf_free(&p->workers[i].in);
        kds_buf_free(&p->workers[i].out);
    }
    while (p->first) {
        job *next = p->first->next;
        free(p->first->wire);
        free(p->first);
        p->first = next;
    }
    free(p->workers);
    free(p->fds);
    free(p->greeting);
    free(p->program);
    free(p->command);
    free(p);
}

static kds_code encode(const kds_frame *f, char **wire, size_t *len, kds_err *e)
{
    kds_buf b;
    kds_buf_init(&b, WIRE_CAP);
    kds_code code = kds_frame_encode(f, &b, e);
    if (code == KDS_OK) {
        *len = b.len;
        if (!(*wire = kds_buf_take(&b)))
            code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    kds_buf_free(&b);
    return code;
}

kds_code kds_pool_greet(kds_pool *p, const kds_frame *greeting, kds_err *e)
{
    free(p->greeting);
    p->greeting = NULL;
    return encode(greeting, &p->greeting, &p->greeting_len, e);
}

kds_code kds_pool_submit(kds_pool *p, uint64_t tag, const kds_frame *frame, kds_err *e)
{
    job *j = calloc(1, sizeof *j);
    if (!j)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    j->tag = tag;
    kds_code code = encode(frame, &j->wire, &j->len, e);
    if (code != KDS_OK) {
        free(j);
        return code;
    }
    *p->last = j;
    p->last = &j->next;
    p->waiting++;
    return KDS_OK;
}

static kds_code start_worker(kds_pool *p, worker *w, kds_err *e)
{
    int fds[2];
    kds_code code = kds_channel_pair(fds, e);
    if (code != KDS_OK)
        return code;
    const char *argv[] = {p->program, p->command, NULL};
    kds_spawn_options o = {.argv = argv,
                           .channel_fd = fds[1],
                           .stderr_fd = STDERR_FILENO,
                           .memory_bytes = p->o.memory_bytes,
                           .data_bytes = p->o.data_bytes,
                           .file_bytes = p->o.file_bytes};
    code = kds_spawn(&w->pid, &o, e);
    close(fds[1]);
    if (code != KDS_OK) {
        close(fds[0]);
        w->pid = 0;
        return kds_err_prefix(e, code, "starting %s", p->command);
    }
    w->fd = fds[0];
    w->greeted = p->greeting == NULL;
    if (p->greeting)
        kds_buf_add(&w->out, p->greeting, p->greeting_len);
    return KDS_OK;
}

static void write_some(worker *w)
{
    while (w->out.len) {
        ssize_t n = send(w->fd, w->out.data, w->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0)
            return; /* a broken connection shows on reading */
        kds_buf_consume(&w->out, (size_t)n);
    }
}

/* Hands the first waiting job to a worker, starting it if need be. The greeting and the job go out
 * together; the deadline runs from the greeting's answer. */
static kds_code assign(kds_pool *p, worker *w, kds_err *e)
{
    if (!w->pid) {
        kds_code code = start_worker(p, w, e);
        if (code != KDS_OK)
            return code;
    }
    job *j = p->first;
    kds_buf_add(&w->out, j->wire, j->len);
    kds_code code = kds_buf_check(&w->out, "what is sent to a worker", e);
    if (code != KDS_OK) {
        drop_worker(w, 0);
        return code;
    }
    p->first = j->next;
    if (!p->first)
        p->last = &p->first;
    p->waiting--;
    w->busy = true;
    w->tag = j->tag;
    w->since = kds_clock_monotonic();
    w->deadline = w->since + (w->greeted ? p->o.job_seconds : p->o.start_seconds);
    free(j->wire);
    free(j);
    write_some(w);
    return KDS_OK;
}

kds_code kds_pool_start(kds_pool *p, kds_err *e)
{
    for (int i = 0; i < p->o.workers && p->first; i++)
        if (p->workers[i].pid && !p->workers[i].busy && !p->workers[i].ending) {
            kds_code code = assign(p, &p->workers[i], e);
            if (code != KDS_OK)
                return code;
        }
    for (int i = 0; i < p->o.workers && p->first; i++)
        if (!p->workers[i].busy && !p->workers[i].ending) {
            kds_code code = assign(p, &p->workers[i], e);
            if (code != KDS_OK)
                return code;
        }
    return KDS_OK;
}

kds_code kds_pool_wake(kds_pool *p, kds_err *e)
{
    worker *w = &p->workers[0];
    if (w->pid)
        return KDS_OK;
    kds_code code = start_worker(p, w, e);
    if (code == KDS_OK) {
        w->waking = true;
        w->deadline = kds_clock_monotonic() + p->o.start_seconds;
    }
    return code;
}

int kds_pool_poll_set(const kds_pool *p, struct pollfd *fds, int room)
{
    int n = 0;
    for (int i = 0; i < p->o.workers && n < room; i++) {
        const worker *w = &p->workers[i];
        if (w->fd >= 0 && !w->ending)
            fds[n++] = (struct pollfd){.fd = w->fd,
                                       .events = (short)(POLLIN | (w->out.len ? POLLOUT : 0))};
    }
    return n;
}

int kds_pool_timeout_ms(const kds_pool *p)
{
    double first = INFINITY;
    bool ending = false;
    for (int i = 0; i < p->o.workers; i++)
        ending = ending || p->workers[i].ending;
    for (int i = 0; i < p->o.workers; i++)
        if ((p->workers[i].busy || p->workers[i].waking) && p->workers[i].deadline < first)
            first = p->workers[i].deadline;
    if (ending && p->first)
        return ENDING_MS;
    if (!isfinite(first))
        return -1;
    double ms = (first - kds_clock_monotonic()) * 1000;
    return ms < 0 ? 0 : ms > 60000 ? 60000 : (int)ms + 1;
}

static void count_job(kds_pool *p, const worker *w)
{
    p->ended++;
    p->seconds += kds_clock_monotonic() - w->since;
}

/* Ends a worker and, if it had a job, reports that job's end. */
static void fail_worker(kds_pool *p, worker *w, kds_job_end end, const char *why)
{
    bool busy = w->busy || w->waking;
    bool unready = w->busy && !w->greeted;
    if (w->busy)
        count_job(p, w);
    uint64_t tag = w->waking && !w->busy ? GREETING : w->tag;
    drop_worker(w, 0);
    if (unready)
        p->o.done(p->o.user, GREETING, end, NULL, why);
    if (busy)
        p->o.done(p->o.user, tag, end, NULL, why);
}

/* A worker whose channel is closed: how it ended. A dying process closes its descriptors a moment
 * before its status is there. */
static void fail_closed(kds_pool *p, worker *w)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    char text[200] = "closed its channel";
    int status = 0;
    for (int i = 0; i < CLOSED_TRIES && w->pid; i++) {
        if (kds_spawn_ended(w->pid, &status)) {
            kds_spawn_describe(status, text, sizeof text);
            w->pid = 0;
        } else
            nanosleep(&pause, NULL);
    }
    fail_worker(p, w, KDS_JOB_DIED, text);
}

/* False at the end of the stream or on an error. */
static bool read_some(worker *w)
{
    char piece[65536];
    for (;;) {
        ssize_t n = recv(w->fd, piece, sizeof piece, MSG_DONTWAIT);
        if (n > 0)
            kds_buf_add(&w->in, piece, (size_t)n);
        else
            return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
        if (w->in.bad != KDS_OK)
            return false;
    }
}

/* Killing a worker that ends is not needed unless it lingers. */
static void end_later(worker *w)
{
    (void)shutdown(w->fd, SHUT_WR); /* an idle one ends at that */
    w->ending = true;
    w->deadline = kds_clock_monotonic() + ENDING_SECONDS;
}

/* A worker that ends has ended, or is ended when its time is up. */
static void step_ending(worker *w, double now)
{
    int status = 0;
    if (kds_spawn_ended(w->pid, &status))
        w->pid = 0;
    if (!w->pid || now > w->deadline)
        drop_worker(w, 0);
}

/* Takes whole frames off the input. The first one answers the greeting. False if the worker says
 * what is no frame, or what nobody asked for: its next answer could be taken for another job's. */
static bool take_frames(kds_pool *p, worker *w)
{
    bool asked = true;
    while (asked) {
        kds_frame f;
        bool got = false;
        kds_frame_init(&f);
        if (kds_frame_decode(&w->in, &f, &got, NULL) != KDS_OK) {
            kds_frame_free(&f);
            return false;
        }
        if (!got) {
            kds_frame_free(&f);
            return true;
        }
        if (!w->greeted) {
            w->greeted = true;
            w->waking = false;
            w->deadline = kds_clock_monotonic() + p->o.job_seconds;
            p->o.done(p->o.user, GREETING, KDS_JOB_REPLY, &f, "");
        } else if (w->busy) {
            w->busy = false;
            count_job(p, w);
            if (kds_json_bool(f.header, "ending", false))
                end_later(w);
            p->o.done(p->o.user, w->tag, KDS_JOB_REPLY, &f, "");
        } else
            asked = false;
        kds_frame_free(&f);
    }
    return false;
}

/* One question for all workers instead of one for each. */
static void find_ready(kds_pool *p)
{
    int count = kds_pool_poll_set(p, p->fds, p->o.workers);
    bool known = count > 0 && poll(p->fds, (nfds_t)count, 0) >= 0; /* else all are tried */
    for (int i = 0, k = 0; i < p->o.workers; i++) {
        worker *w = &p->workers[i];
        bool asked = k < count && w->fd == p->fds[k].fd;
        w->ready = known && asked ? p->fds[k].revents : ~0;
        k += asked;
    }
}

void kds_pool_step(kds_pool *p)
{
    double now = kds_clock_monotonic();
    find_ready(p);
    for (int i = 0; i < p->o.workers; i++) {
        worker *w = &p->workers[i];
        if (w->fd < 0)
            continue;
        if (w->ending) {
            step_ending(w, now);
            continue;
        }
        bool alive = true, sane = true;
        if (w->ready & POLLOUT)
            write_some(w);
        if (w->ready & ~POLLOUT) {
            alive = read_some(w);
            sane = take_frames(p, w);
        }
        if (!sane)
            fail_worker(p, w, KDS_JOB_DIED, "sent something that is not a frame");
        else if (w->ending)
            step_ending(w, now);
        else if (!alive)
            fail_closed(p, w);
        else if ((w->busy || w->waking) && now > w->deadline)
            fail_worker(p, w, w->greeted ? KDS_JOB_TIMEOUT : KDS_JOB_DIED,
                        "did not get ready in time");
    }
}

void kds_pool_renew(kds_pool *p)
{
    for (int i = 0; i < p->o.workers; i++)
        if (!p->workers[i].busy && !p->workers[i].waking && p->workers[i].fd >= 0)
            end_later(&p->workers[i]);
}

void kds_pool_stats(const kds_pool *p, int64_t *jobs, double *seconds)
{
    *jobs = p->ended;
    *seconds = p->seconds;
}

int kds_pool_waiting(const kds_pool *p)
{
    return p->waiting;
}

int kds_pool_running(const kds_pool *p)
{
    int n = 0;
    for (int i = 0; i < p->o.workers; i++)
        n += p->workers[i].busy;
    return n;
}

int kds_pool_workers(const kds_pool *p)
{
    return p->o.workers;
}
