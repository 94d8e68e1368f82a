/* A disk that is full or fails: KDS_IO, nothing half done, and the same append works once there is
 * room. At every single write, sync and read of SQLite by a faulty file system; with a real limit
 * on the size of files; and on a real full file system where the test may mount one. */
#include "tests/archive/fault_vfs.h"
#include "tests/archive/fixture.h"
#include <errno.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

/* Appends the next event of the script although the n-th call of `kind` fails, for n = 1, 2, ...
 * until the fault comes too late. */
static void append_under_faults(const char *dir, kds_ledger *l, fault_kind kind, bool stays)
{
    for (long n = 1;; n++) {
        kds_err err;
        int64_t before = kds_ledger_last_seq(l);
        fault_arm(kind, n, stays);
        kds_code code = script_append(l, before + 1, &err);
        bool late = fault_disarm(kind);
        if (code == KDS_OK) { /* faults while checkpointing are tried again later */
            assert_int_equal(kds_ledger_last_seq(l), before + 1);
            if (late)
                return;
            continue;
        }
        if (code != KDS_IO)
            fail_msg("fault %ld gave %s: %s", n, kds_code_name(code), err.message);
        assert_non_null(strstr(err.message, dir));
        assert_int_equal(kds_ledger_last_seq(l), before);
        assert_whole(dir);
        ASSERT_OK(script_append(l, before + 1, e));
        assert_true(n < 1000);
    }
}

static void test_every_fault(void **state)
{
    kds_ledger *l = NULL;
    ASSERT_OK(kds_ledger_create(&l, *state, e));
    for (int kind = FAULT_WRITE; kind <= FAULT_SYNC; kind++)
        for (int stays = 0; stays < 2; stays++)
            for (int i = 0; i < SCRIPT_PER_DECISION; i++)
                append_under_faults(*state, l, (fault_kind)kind, stays != 0);
    kds_ledger_close(l);
    assert_whole(*state);
}

/* Durable means that the log is synced before append returns, for each append. */
static void test_each_append_is_synced(void **state)
{
    kds_ledger *l = NULL;
    ASSERT_OK(kds_ledger_create(&l, *state, e));
    for (int64_t n = 1; n <= SCRIPT_EVENTS(3); n++) {
        long before = fault.calls[FAULT_SYNC];
        ASSERT_OK(script_append(l, n, e));
        assert_true(fault.calls[FAULT_SYNC] > before);
    }
    kds_ledger_close(l);
}

static kds_code count_event(void *user, const kds_ledger_event *event, kds_err *e)
{
    (void)event, (void)e;
    ++*(int64_t *)user;
    return KDS_OK;
}

/* A disk that cannot be read is an I/O error, not damage, and never a part of the answer. */
static void test_read_faults(void **state)
{
    bool late = false;
    script_archive(*state, 10);
    for (long n = 1; !late; n++) {
        kds_err err;
        kds_ledger *l = NULL;
        int64_t count = 0;
        fault_arm(FAULT_READ, n, true);
        kds_code code = kds_ledger_open(&l, *state, KDS_LEDGER_READ, &err);
        if (code == KDS_OK)
            code = kds_ledger_each_event(l, 1, count_event, &count, &err);
        late = fault_disarm(FAULT_READ);
        if (code == KDS_OK)
            assert_int_equal(count, SCRIPT_EVENTS(10));
        else if (code != KDS_IO)
            fail_msg("fault %ld gave %s: %s", n, kds_code_name(code), err.message);
        kds_ledger_close(l);
        cJSON *report = NULL;
        fault_arm(FAULT_READ, n, true);
        code = kds_ledger_check(*state, &report, &err);
        late = fault_disarm(FAULT_READ) && late;
        assert_true(code == KDS_OK || code == KDS_IO);
        assert_true((report != NULL) == (code == KDS_OK));
        cJSON_Delete(report);
        assert_true(n < 1000);
    }
}

/* Creating fails without a trace, so that it can be tried again in the same folder. */
static void test_create_under_faults(void **state)
{
    for (int kind = FAULT_WRITE; kind <= FAULT_SYNC; kind++) {
        bool late = false;
        for (long n = 1; !late; n++) {
            char dir[512], name[32];
            kds_err err;
            kds_ledger *l = NULL;
            snprintf(name, sizeof name, "%d-%ld", kind, n);
            path_in(dir, *state, name);
            assert_int_equal(mkdir(dir, 0777), 0);
            fault_arm((fault_kind)kind, n, true);
            kds_code code = kds_ledger_create(&l, dir, &err);
            late = fault_disarm((fault_kind)kind);
            if (code != KDS_OK) {
                assert_int_equal(code, KDS_IO);
                assert_int_equal(rmdir(dir), 0); /* it is empty */
                assert_int_equal(mkdir(dir, 0777), 0);
                ASSERT_OK(kds_ledger_create(&l, dir, e));
            }
            kds_ledger_close(l);
            assert_whole(dir);
            remove_tree(dir);
        }
    }
}

/* In a process of its own: files may not grow beyond a limit, which is later lifted. */
static int fill_to_limit(const char *dir)
{
    struct rlimit limit = {.rlim_cur = 300000, .rlim_max = RLIM_INFINITY};
    kds_ledger *l = NULL;
    kds_err err;
    signal(SIGXFSZ, SIG_IGN);
    if (kds_ledger_open(&l, dir, KDS_LEDGER_WRITE, &err) != KDS_OK ||
        getrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    limit.rlim_cur = 300000;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 2;
    int64_t last = 0;
    kds_code code = KDS_OK;
    for (int i = 0; i < 10000 && code == KDS_OK; i++) {
        last = kds_ledger_last_seq(l);
        code = script_append(l, last + 1, &err);
    }
    if (code != KDS_IO || strstr(err.message, "File too large") == NULL)
        return 3;
    if (kds_ledger_last_seq(l) != last || script_append(l, last + 1, &err) != KDS_IO)
        return 4;
    if (run_check(dir, NULL, 0) != KDS_OK)
        return 5;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 6;
    for (int i = 0; i < 50; i++)
        if (script_append(l, kds_ledger_last_seq(l) + 1, &err) != KDS_OK)
            return 7;
    kds_ledger_close(l);
    return 0;
}

static void test_file_size_limit(void **state)
{
    int status = 0;
    script_archive(*state, 1);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fill_to_limit(*state));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_whole(*state);
}

static void test_full_file_system(void **state)
{
    char ballast[512];
    kds_ledger *l = NULL;
    kds_err err;
    kds_code code = KDS_OK;
    if (mount("tmpfs", *state, "tmpfs", 0, "size=3m") != 0) {
        print_message("cannot mount here (%s)\n", strerror(errno));
        skip();
    }
    path_in(ballast, *state, "ballast");
    char *bytes = calloc(1, 1 << 20);
    assert_non_null(bytes);
    write_file(*state, "ballast", bytes, 1 << 20);
    free(bytes);
    ASSERT_OK(kds_ledger_create(&l, *state, e));
    int64_t last = 0;
    while (code == KDS_OK) {
        last = kds_ledger_last_seq(l);
        code = script_append(l, last + 1, &err);
    }
    assert_int_equal(code, KDS_IO);
    assert_non_null(strstr(err.message, "the disk is full"));
    assert_int_equal(kds_ledger_last_seq(l), last);
    assert_int_equal(script_append(l, last + 1, &err), KDS_IO);
    kds_ledger_close(l); /* still full */
    assert_whole(*state);
    assert_int_equal(unlink(ballast), 0);
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_WRITE, e));
    assert_int_equal(kds_ledger_last_seq(l), last);
    script_run(l, last + 20);
    kds_ledger_close(l);
    assert_whole(*state);
}

/* Takes the mount away as well, whatever became of the test. */
static int teardown_mount(void **state)
{
    umount2(*state, MNT_DETACH);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_every_fault),
        IN_FOLDER(test_each_append_is_synced),
        IN_FOLDER(test_read_faults),
        IN_FOLDER(test_create_under_faults),
        IN_FOLDER(test_file_size_limit),
        cmocka_unit_test_setup_teardown(test_full_file_system, setup_folder, teardown_mount),
    };
    fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
