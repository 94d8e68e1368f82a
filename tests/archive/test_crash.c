/* Kills. A child appends the script and reports each event once it is durable; it is killed with
 * SIGKILL at seeded moments. Nothing reported may be missing afterwards, the rest must be whole,
 * and after all kills the record must be that of a run that nobody interrupted. */
#include "tests/archive/fixture.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#define KILLS 30

static void sleep_us(int64_t us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep(&t, NULL);
}

/* In the child: opens, reports its first event, and appends until it is killed. */
static void append_for_ever(const char *dir, int report)
{
    kds_ledger *l = NULL;
    if (kds_ledger_open(&l, dir, KDS_LEDGER_WRITE, NULL) != KDS_OK)
        _exit(2);
    for (;;) {
        int64_t seq = kds_ledger_last_seq(l);
        if (write(report, &seq, sizeof seq) != sizeof seq ||
            script_append(l, seq + 1, NULL) != KDS_OK)
            _exit(3);
    }
}

/* The last number that the child reported; waits for the first one, then for `us`, then kills. */
static int64_t run_and_kill(const char *dir, int64_t us)
{
    int ends[2], status = 0;
    int64_t seq = -1, last = -1;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        append_for_ever(dir, ends[1]);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &last, sizeof last), sizeof last);
    /* The pipe is read on, or a child that fills it would wait there to be killed. */
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int64_t left = us; left > 0;) {
        struct pollfd p = {.fd = ends[0], .events = POLLIN};
        if (poll(&p, 1, 0) > 0 && read(ends[0], &seq, sizeof seq) == sizeof seq)
            last = seq;
        else
            sleep_us(left < 500 ? left : 500);
        clock_gettime(CLOCK_MONOTONIC, &now);
        left = us - ((now.tv_sec - start.tv_sec) * 1000000 + (now.tv_nsec - start.tv_nsec) / 1000);
    }
    kill(pid, SIGKILL);
    while (read(ends[0], &seq, sizeof seq) == sizeof seq)
        last = seq;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return last;
}

static kds_code add_text(void *user, const kds_ledger_event *event, kds_err *e)
{
    kds_buf *all = user;
    (void)e;
    kds_buf_printf(all, "%" PRId64 " %s %s\n", event->seq, event->kind, event->body);
    return KDS_OK;
}

/* Every event without its time. */
static void read_record(const char *dir, kds_buf *out)
{
    kds_ledger *l = NULL;
    kds_buf_init(out, 64 << 20);
    ASSERT_OK(kds_ledger_open(&l, dir, KDS_LEDGER_READ, e));
    ASSERT_OK(kds_ledger_each_event(l, 1, add_text, out, e));
    kds_ledger_close(l);
}

static void test_kills(void **state)
{
    kds_ledger *l = NULL;
    kds_random r = kds_random_stream(20261121, 0, "kills");
    int64_t upto = 0, moved = 0;
    script_archive(*state, 0);
    for (int i = 0; i < KILLS; i++) {
        int64_t reported = run_and_kill(*state, 200 + (int64_t)kds_random_below(&r, 40000));
        assert_true(reported >= upto);
        assert_whole(*state);
        ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_READ, e));
        upto = kds_ledger_last_seq(l);
        kds_ledger_close(l);
        assert_true(upto >= reported);
        assert_true(upto <= reported + 1);
        moved += upto > reported;
    }
    print_message("%" PRId64 " events, %" PRId64 " of %d kills between commit and report\n", upto,
                  moved, KILLS);
    assert_true(upto > KILLS);
    char straight[512];
    path_in(straight, *state, "straight");
    assert_int_equal(mkdir(straight, 0777), 0);
    script_archive(straight, 0);
    ASSERT_OK(kds_ledger_open(&l, straight, KDS_LEDGER_WRITE, e));
    script_run(l, upto);
    kds_ledger_close(l);
    kds_buf killed, whole;
    read_record(*state, &killed);
    read_record(straight, &whole);
    assert_int_equal(killed.len, whole.len);
    assert_memory_equal(killed.data, whole.data, whole.len);
    kds_buf_free(&killed);
    kds_buf_free(&whole);
}

/* A kill while creating leaves either an archive or none, and creating again works. */
static void test_kills_while_creating(void **state)
{
    kds_random r = kds_random_stream(20261121, 1, "kills");
    int made = 0;
    for (int i = 0; i < 20; i++) {
        char dir[512], name[32];
        kds_ledger *l = NULL;
        kds_err err;
        snprintf(name, sizeof name, "a%d", i);
        path_in(dir, *state, name);
        assert_int_equal(mkdir(dir, 0777), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            if (kds_ledger_create(&l, dir, NULL) != KDS_OK)
                _exit(1);
            pause();
            _exit(0);
        }
        sleep_us((int64_t)kds_random_below(&r, 12000));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        kds_code code = kds_ledger_open(&l, dir, KDS_LEDGER_WRITE, &err);
        if (code == KDS_NOT_ARCHIVE)
            ASSERT_OK(kds_ledger_create(&l, dir, e));
        else if (code != KDS_OK)
            fail_msg("%s: %s", kds_code_name(code), err.message);
        else
            made++;
        script_run(l, 5);
        kds_ledger_close(l);
        assert_whole(dir);
    }
    print_message("%d of 20 were made before the kill\n", made);
}

/* A child of ours that lives on (a worker, say) does not hold the lock of a parent that was killed.
 */
static void test_lock_dies_with_the_writer(void **state)
{
    kds_ledger *l = NULL;
    int ends[2];
    pid_t worker = 0;
    script_archive(*state, 1);
    assert_int_equal(pipe(ends), 0);
    pid_t writer = fork();
    assert_true(writer >= 0);
    if (writer == 0) {
        if (kds_ledger_open(&l, *state, KDS_LEDGER_WRITE, NULL) != KDS_OK)
            _exit(1);
        int execed[2];
        char byte;
        if (pipe2(execed, O_CLOEXEC) != 0)
            _exit(1);
        pid_t child = fork();
        if (child == 0) {
            execl("/bin/sleep", "sleep", "20", (char *)NULL);
            _exit(1);
        }
        close(execed[1]);
        if (read(execed[0], &byte, 1) != 0) /* ends when the child has become sleep */
            _exit(1);
        if (write(ends[1], &child, sizeof child) != sizeof child)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ends[0], &worker, sizeof worker), sizeof worker);
    kill(writer, SIGKILL);
    assert_int_equal(waitpid(writer, NULL, 0), writer);
    assert_int_equal(kill(worker, 0), 0);
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_WRITE, e));
    kds_ledger_close(l);
    kill(worker, SIGKILL);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_kills),
        IN_FOLDER(test_kills_while_creating),
        IN_FOLDER(test_lock_dies_with_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
