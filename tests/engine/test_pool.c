/* The pool with real child processes: this program itself, started again as a worker of some
 * behaviour. Whatever a worker does, each job's end is told exactly once, and no child is left. */
#include "search/base/spawn.h"
#include "search/engine/pool.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CHANNEL 3
#define ENDS_MAX 128
#define GREETING UINT64_MAX

/* ---- The worker's side ---- */

static void answer(const kds_frame *job, int greetings, int jobs)
{
    kds_frame reply;
    kds_frame_init(&reply);
    reply.header = cJSON_Duplicate(job->header, true);
    kds_json_add_int(reply.header, "pid", getpid());
    kds_json_add_int(reply.header, "greetings", greetings);
    kds_json_add_int(reply.header, "jobs", jobs);
    for (int i = 0; i < job->blob_count; i++)
        (void)kds_frame_add(&reply, job->blobs[i].data, job->blobs[i].len);
    if (kds_frame_write(CHANNEL, &reply, NULL) != KDS_OK)
        _exit(4);
    kds_frame_free(&reply);
}

/* Both answers in one piece, so that they arrive together. */
static void answer_twice(const kds_frame *job)
{
    kds_buf wire;
    kds_buf_init(&wire, 1 << 20);
    for (int i = 0; i < 2; i++)
        if (kds_frame_encode(job, &wire, NULL) != KDS_OK)
            _exit(4);
    if (send(CHANNEL, wire.data, wire.len, 0) != (ssize_t)wire.len)
        _exit(4);
    kds_buf_free(&wire);
}

/* What a worker of this kind does with one frame. */
static void behave(const char *kind, const kds_frame *job, int *greetings, int *jobs)
{
    bool greeting = kds_json_bool(job->header, "greeting", false);
    *greetings += greeting;
    *jobs += !greeting;
    if (strcmp(kind, "worker-exits") == 0)
        _exit(0);
    if (strcmp(kind, "worker-silent") == 0)
        return;
    if (strcmp(kind, "worker-second") == 0 && *jobs == 2)
        kill(getpid(), SIGKILL);
    if (strncmp(kind, "worker-last", 11) == 0 && !greeting) {
        kds_json_add_bool(job->header, "ending", true);
        answer(job, *greetings, *jobs);
        if (strcmp(kind, "worker-last-lingers") == 0)
            pause();   /* longer than a worker that ends may take */
        usleep(50000); /* the next job comes before the end */
        _exit(0);
    }
    if (strcmp(kind, "worker-garbage") == 0) {
        (void)!write(CHANNEL, "Segmentation fault\n", 19);
        pause();
    }
    if (strcmp(kind, "worker-half") == 0) {
        (void)!write(CHANNEL, "KDS1\2\0\0\0", 8);
        _exit(5);
    }
    if (strcmp(kind, "worker-refuses") == 0 && greeting)
        kds_json_add_bool(job->header, "ok", false);
    if (strcmp(kind, "worker-twice") == 0)
        answer_twice(job);
    else
        answer(job, *greetings, *jobs);
}

static int work(const char *kind)
{
    kds_frame job;
    int greetings = 0, jobs = 0;
    if (strcmp(kind, "worker-dies") == 0)
        return 3;
    if (strcmp(kind, "worker-stubborn") == 0) {
        signal(SIGTERM, SIG_IGN);
        for (;;)
            pause();
    }
    while (kds_frame_read(CHANNEL, &job, NULL) == KDS_OK) {
        behave(kind, &job, &greetings, &jobs);
        kds_frame_free(&job);
    }
    return 0;
}

/* ---- The parent's side ---- */

typedef struct ending {
    uint64_t tag;
    kds_job_end end;
    char why[200];
    int64_t job, pid, greetings, jobs;
    size_t blob_len;
    bool blob_good, ok;
} ending;

typedef struct record {
    kds_pool *pool;
    ending ends[ENDS_MAX];
    int count;
} record;

/* A blob whose every byte tells the job and the place. */
static void fill_blob(char *data, size_t len, int64_t job)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(i * 31 + (size_t)job * 7 + i / 251);
}

static bool blob_is(const kds_frame *f, int64_t job)
{
    char *want = malloc(f->blobs[0].len + 1);
    assert_non_null(want);
    fill_blob(want, f->blobs[0].len, job);
    bool same = memcmp(want, f->blobs[0].data, f->blobs[0].len) == 0;
    free(want);
    return same;
}

static void done(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply, const char *why)
{
    record *r = user;
    assert_true(r->count < ENDS_MAX);
    assert_true((end == KDS_JOB_REPLY) == (reply != NULL));
    assert_non_null(why);
    ending *x = &r->ends[r->count++];
    *x = (ending){.tag = tag, .end = end, .job = -1};
    snprintf(x->why, sizeof x->why, "%s", why);
    if (!reply)
        return;
    x->job = kds_json_int(reply->header, "job", -1);
    x->pid = kds_json_int(reply->header, "pid", -1);
    x->greetings = kds_json_int(reply->header, "greetings", -1);
    x->jobs = kds_json_int(reply->header, "jobs", -1);
    x->ok = kds_json_bool(reply->header, "ok", true);
    if (reply->blob_count == 1) {
        x->blob_len = reply->blobs[0].len;
        x->blob_good = blob_is(reply, x->job);
    }
}

static char *self;

/* Deadlines are far away unless a test is about them. */
static record *open_pool(const char *kind, int workers, double job_seconds, double start_seconds)
{
    record *r = calloc(1, sizeof *r);
    assert_non_null(r);
    kds_pool_options o = {.program = self,
                          .command = kind,
                          .workers = workers,
                          .job_seconds = job_seconds,
                          .start_seconds = start_seconds,
                          .done = done,
                          .user = r};
    assert_int_equal(kds_pool_create(&r->pool, &o, NULL), KDS_OK);
    return r;
}

/* After a close this process has no child at all. */
static void close_pool(record *r)
{
    int before = r->count;
    kds_pool_close(r->pool);
    assert_int_equal(r->count, before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    free(r);
}

static void submit(record *r, int64_t job, size_t blob_len)
{
    kds_frame f;
    kds_frame_init(&f);
    f.header = cJSON_CreateObject();
    kds_json_add_int(f.header, "job", job);
    if (blob_len) {
        char *data = malloc(blob_len);
        assert_non_null(data);
        fill_blob(data, blob_len, job);
        assert_int_equal(kds_frame_add(&f, data, blob_len), 0);
        free(data);
    }
    assert_int_equal(kds_pool_submit(r->pool, (uint64_t)job, &f, NULL), KDS_OK);
    kds_frame_free(&f);
}

static void greet(record *r)
{
    kds_frame f;
    kds_frame_init(&f);
    f.header = cJSON_CreateObject();
    kds_json_add_bool(f.header, "greeting", true);
    assert_int_equal(kds_pool_greet(r->pool, &f, NULL), KDS_OK);
    kds_frame_free(&f);
}

static void turn(record *r)
{
    struct pollfd fds[16];
    kds_err e = {0};
    if (kds_pool_start(r->pool, &e) != KDS_OK)
        fail_msg("%s", e.message);
    int n = kds_pool_poll_set(r->pool, fds, 16), ms = kds_pool_timeout_ms(r->pool);
    (void)poll(fds, (nfds_t)n, ms < 0 || ms > 1000 ? 1000 : ms);
    kds_pool_step(r->pool);
}

/* Turns until `count` ends have been told and nothing is left; a pool that loses a job is ended by
 * the alarm. */
static void settle(record *r, int count)
{
    alarm(60);
    while (r->count < count || kds_pool_waiting(r->pool) || kds_pool_running(r->pool))
        turn(r);
    alarm(0);
    assert_int_equal(r->count, count);
}

static const ending *end_of(const record *r, uint64_t tag)
{
    const ending *found = NULL;
    for (int i = 0; i < r->count; i++) {
        if (r->ends[i].tag != tag)
            continue;
        assert_null(found);
        found = &r->ends[i];
    }
    assert_non_null(found);
    return found;
}

static int count_pids(const record *r)
{
    int n = 0;
    for (int i = 0; i < r->count; i++) {
        bool known = r->ends[i].pid <= 0;
        for (int k = 0; k < i && !known; k++)
            known = r->ends[k].pid == r->ends[i].pid;
        n += !known;
    }
    return n;
}

/* Each job gets its own answer, whole, from one of at most three workers. */
static void test_jobs_and_answers(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4096, 70000, 3u << 20};
    record *r = open_pool("worker-echo", 3, 600, 600);
    for (int64_t job = 0; job < 40; job++)
        submit(r, job, sizes[job % 5]);
    assert_int_equal(kds_pool_waiting(r->pool), 40);
    assert_int_equal(kds_pool_timeout_ms(r->pool), -1);
    settle(r, 40);
    for (int64_t job = 0; job < 40; job++) {
        const ending *x = end_of(r, (uint64_t)job);
        assert_int_equal(x->end, KDS_JOB_REPLY);
        assert_int_equal(x->job, job);
        assert_int_equal(x->blob_len, sizes[job % 5]);
        assert_true(x->blob_len == 0 || x->blob_good);
    }
    assert_in_range(count_pids(r), 1, 3);
    assert_int_equal(kds_pool_timeout_ms(r->pool), -1);
    close_pool(r);
}

/* One job is given to a worker that runs before another is started. */
static void test_workers_are_used_again(void **state)
{
    (void)state;
    record *r = open_pool("worker-echo", 4, 600, 600);
    for (int64_t job = 0; job < 6; job++) {
        submit(r, job, 0);
        settle(r, (int)job + 1);
    }
    assert_int_equal(count_pids(r), 1);
    assert_int_equal(end_of(r, 5)->jobs, 6);
    close_pool(r);
}

static void test_greeting_comes_first_and_once(void **state)
{
    (void)state;
    record *r = open_pool("worker-echo", 3, 600, 600);
    greet(r);
    for (int64_t job = 0; job < 12; job++)
        submit(r, job, job % 2 ? 0 : 100000);
    alarm(60);
    int greetings = 0, jobs = 0;
    while (jobs < 12) {
        turn(r);
        greetings = jobs = 0;
        for (int i = 0; i < r->count; i++) {
            greetings += r->ends[i].tag == GREETING;
            jobs += r->ends[i].tag != GREETING;
        }
    }
    alarm(0);
    assert_int_equal(greetings, count_pids(r));
    for (int i = 0; i < r->count; i++) {
        assert_int_equal(r->ends[i].end, KDS_JOB_REPLY);
        assert_int_equal(r->ends[i].greetings, 1);
        assert_true(r->ends[i].tag != GREETING || r->ends[i].jobs == 0);
    }
    close_pool(r);
}

/* A worker can be greeted before there is work, and then does the work. */
static void test_wake(void **state)
{
    (void)state;
    record *r = open_pool("worker-echo", 2, 600, 600);
    greet(r);
    assert_int_equal(kds_pool_wake(r->pool, NULL), KDS_OK);
    assert_int_equal(kds_pool_wake(r->pool, NULL), KDS_OK);
    assert_true(kds_pool_timeout_ms(r->pool) > 0);
    settle(r, 1);
    assert_true(r->ends[0].tag == GREETING);
    submit(r, 7, 0);
    settle(r, 2);
    assert_int_equal(end_of(r, 7)->pid, r->ends[0].pid);
    close_pool(r);
}

/* The owner learns that a worker does not want to work; the answer is one like any other. */
static void test_greeting_refused(void **state)
{
    (void)state;
    record *r = open_pool("worker-refuses", 1, 600, 600);
    greet(r);
    assert_int_equal(kds_pool_wake(r->pool, NULL), KDS_OK);
    settle(r, 1);
    assert_true(r->ends[0].tag == GREETING);
    assert_int_equal(r->ends[0].end, KDS_JOB_REPLY);
    assert_false(r->ends[0].ok);
    close_pool(r);
}

static void test_greeting_without_answer(void **state)
{
    (void)state;
    static const char *const kinds[] = {"worker-dies", "worker-silent", "worker-exits",
                                        "worker-garbage"};
    static const char *const words[] = {"exited with status 3", "did not get ready in time",
                                        "exited with status 0", "not a frame"};
    for (int i = 0; i < 4; i++) {
        record *r = open_pool(kinds[i], 1, 600, i == 1 ? 0.2 : 600);
        greet(r);
        assert_int_equal(kds_pool_wake(r->pool, NULL), KDS_OK);
        settle(r, 1);
        assert_true(r->ends[0].tag == GREETING);
        assert_int_equal(r->ends[0].end, KDS_JOB_DIED);
        assert_non_null(strstr(r->ends[0].why, words[i]));
        close_pool(r);
    }
}

/* A worker that does not get ready is no fault of the job's running time. */
static void test_job_behind_an_unanswered_greeting(void **state)
{
    (void)state;
    record *r = open_pool("worker-silent", 1, 600, 0.2);
    greet(r);
    submit(r, 1, 0);
    settle(r, 2);
    assert_true(r->ends[0].tag == GREETING); /* told first: the job is not to blame */
    assert_int_equal(r->ends[0].end, KDS_JOB_DIED);
    assert_int_equal(end_of(r, 1)->end, KDS_JOB_DIED);
    assert_non_null(strstr(end_of(r, 1)->why, "did not get ready in time"));
    close_pool(r);
}

/* Workers that end in their own ways, each replaced, each job told once with the way. */
static void test_deaths(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *why;
    } cases[] = {
        {"worker-dies", "exited with status 3"},
        {"worker-exits", "exited with status 0"},
        {"worker-half", "exited with status 5"},
        {"worker-garbage", "sent something that is not a frame"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        record *r = open_pool(cases[c].kind, 2, 600, 600);
        for (int64_t job = 0; job < 5; job++)
            submit(r, job, 0);
        settle(r, 5);
        for (int64_t job = 0; job < 5; job++) {
            const ending *x = end_of(r, (uint64_t)job);
            assert_int_equal(x->end, KDS_JOB_DIED);
            assert_string_equal(x->why, cases[c].why);
        }
        close_pool(r);
    }
}

static void test_death_on_the_second_job(void **state)
{
    (void)state;
    record *r = open_pool("worker-second", 1, 600, 600);
    for (int64_t job = 0; job < 6; job++)
        submit(r, job, 0);
    settle(r, 6);
    for (int64_t job = 0; job < 6; job++) {
        const ending *x = end_of(r, (uint64_t)job);
        assert_int_equal(x->end, job % 2 ? KDS_JOB_DIED : KDS_JOB_REPLY);
        if (job % 2)
            assert_non_null(strstr(x->why, "killed by signal 9"));
    }
    assert_int_equal(count_pids(r), 3);
    close_pool(r);
}

/* A worker that says that it ends gets no other job; whoever lingers is ended. */
static void test_last_answers(void **state)
{
    (void)state;
    record *r = open_pool("worker-last", 2, 600, 600);
    for (int64_t job = 0; job < 6; job++)
        submit(r, job, 0);
    settle(r, 6);
    for (int64_t job = 0; job < 6; job++)
        assert_int_equal(end_of(r, (uint64_t)job)->end, KDS_JOB_REPLY);
    assert_int_equal(count_pids(r), 6);
    close_pool(r);
    r = open_pool("worker-last-lingers", 1, 600, 600);
    submit(r, 0, 0);
    submit(r, 1, 0);
    settle(r, 2);
    assert_int_equal(end_of(r, 1)->end, KDS_JOB_REPLY);
    assert_int_equal(count_pids(r), 2);
    close_pool(r);
}

/* Past its deadline a worker is ended, even one that does not listen to SIGTERM. */
static void test_deadline(void **state)
{
    (void)state;
    static const char *const kinds[] = {"worker-silent", "worker-stubborn"};
    for (int i = 0; i < 2; i++) {
        record *r = open_pool(kinds[i], 2, 0.2, 0.2);
        for (int64_t job = 0; job < 4; job++)
            submit(r, job, 0);
        settle(r, 4);
        for (int64_t job = 0; job < 4; job++)
            assert_int_equal(end_of(r, (uint64_t)job)->end, KDS_JOB_TIMEOUT);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        close_pool(r);
    }
}

/* A worker that answers a job twice is not believed any more: no answer goes to another job. */
static void test_an_answer_too_many(void **state)
{
    (void)state;
    record *r = open_pool("worker-twice", 1, 600, 600);
    for (int64_t job = 0; job < 5; job++)
        submit(r, job, 0);
    settle(r, 5);
    for (int64_t job = 0; job < 5; job++) {
        assert_int_equal(end_of(r, (uint64_t)job)->end, KDS_JOB_REPLY);
        assert_int_equal(end_of(r, (uint64_t)job)->job, job);
    }
    close_pool(r);
}

/* Closing ends workers that are idle, busy, or deaf, and drops what waits without a call. */
static void test_close(void **state)
{
    (void)state;
    static const char *const kinds[] = {"worker-echo", "worker-silent", "worker-stubborn"};
    for (int i = 0; i < 3; i++) {
        record *r = open_pool(kinds[i], 2, 600, 600);
        for (int64_t job = 0; job < 5; job++)
            submit(r, job, 1000);
        turn(r);
        close_pool(r);
    }
    record *r = open_pool("worker-echo", 2, 600, 600);
    submit(r, 1, 0);
    settle(r, 1);
    close_pool(r);
    kds_pool_close(NULL);
}

/* What cannot be started is an error of ours; the job still waits. */
static void test_no_program(void **state)
{
    (void)state;
    char *kept = self;
    char missing[] = "/nonexistent/kdasearch";
    kds_err e = {0};
    kds_frame empty;
    self = missing;
    record *r = open_pool("worker-echo", 1, 600, 600);
    self = kept;
    submit(r, 1, 0);
    assert_int_not_equal(kds_pool_start(r->pool, &e), KDS_OK);
    assert_non_null(strstr(e.message, missing));
    assert_non_null(strstr(e.message, "worker-echo"));
    assert_int_equal(kds_pool_waiting(r->pool), 1);
    assert_int_equal(kds_pool_running(r->pool), 0);
    assert_int_not_equal(kds_pool_wake(r->pool, &e), KDS_OK);
    kds_frame_init(&empty);
    assert_int_not_equal(kds_pool_submit(r->pool, 2, &empty, &e), KDS_OK);
    assert_int_not_equal(kds_pool_greet(r->pool, &empty, &e), KDS_OK);
    assert_int_equal(kds_pool_waiting(r->pool), 1);
    close_pool(r);
}

/* No more poll entries are written than there is room for. */
static void test_poll_room(void **state)
{
    (void)state;
    struct pollfd fds[3] = {{.fd = -7}, {.fd = -7}, {.fd = -7}};
    record *r = open_pool("worker-silent", 3, 600, 600);
    assert_int_equal(kds_pool_poll_set(r->pool, fds, 3), 0);
    for (int64_t job = 0; job < 3; job++)
        submit(r, job, 0);
    assert_int_equal(kds_pool_start(r->pool, NULL), KDS_OK);
    assert_int_equal(kds_pool_running(r->pool), 3);
    assert_int_equal(kds_pool_poll_set(r->pool, fds, 2), 2);
    assert_true(fds[0].fd >= 0 && fds[1].fd >= 0);
    assert_int_equal(fds[0].events, POLLIN); /* the job is on its way */
    assert_int_equal(fds[2].fd, -7);
    close_pool(r);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_and_answers),
        cmocka_unit_test(test_workers_are_used_again),
        cmocka_unit_test(test_greeting_comes_first_and_once),
        cmocka_unit_test(test_wake),
        cmocka_unit_test(test_greeting_refused),
        cmocka_unit_test(test_greeting_without_answer),
        cmocka_unit_test(test_job_behind_an_unanswered_greeting),
        cmocka_unit_test(test_deaths),
        cmocka_unit_test(test_death_on_the_second_job),
        cmocka_unit_test(test_last_answers),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_an_answer_too_many),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_no_program),
        cmocka_unit_test(test_poll_room),
    };
    if (argc > 1 && strncmp(argv[1], "worker-", 7) == 0)
        return work(argv[1]);
    if (kds_self_path(&self, NULL) != KDS_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(self);
    return failed;
}
