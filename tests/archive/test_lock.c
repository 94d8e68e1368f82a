/* One writer at a time, whatever became of the last one; readers need no lock. Each holder is a
 * real process. */
#include "archive/lock.h"
#include "tests/archive/fixture.h"
#include <signal.h>

/* A child that opens `dir` for writing, says so, and holds it until it is told to go (or killed).
 */
typedef struct holder {
    pid_t pid;
    int from, to;
} holder;

static holder start_holder(const char *dir)
{
    int up[2], down[2];
    char byte = 0;
    assert_int_equal(pipe(up), 0);
    assert_int_equal(pipe(down), 0);
    holder h = {.pid = fork(), .from = up[0], .to = down[1]};
    assert_true(h.pid >= 0);
    if (h.pid == 0) {
        kds_ledger *l = NULL;
        close(down[1]);
        byte = kds_ledger_open(&l, dir, KDS_LEDGER_WRITE, NULL) == KDS_OK ? 'y' : 'n';
        if (write(up[1], &byte, 1) != 1 || read(down[0], &byte, 1) < 0)
            _exit(1);
        kds_ledger_close(l);
        _exit(0);
    }
    close(up[1]);
    close(down[0]);
    assert_int_equal(read(h.from, &byte, 1), 1);
    assert_int_equal(byte, 'y');
    return h;
}

static void end_holder(holder h, int sig)
{
    if (sig != 0)
        kill(h.pid, sig);
    else
        assert_int_equal(write(h.to, "g", 1), 1);
    close(h.to);
    assert_int_equal(waitpid(h.pid, NULL, 0), h.pid);
    close(h.from);
}

static void assert_locked(const char *dir, const char *word)
{
    kds_err err;
    kds_ledger *l = NULL;
    kds_code code = kds_ledger_open(&l, dir, KDS_LEDGER_WRITE, &err);
    if (code != KDS_LOCKED || strstr(err.message, word) == NULL)
        fail_msg("%s: %s (expected \"%s\")", kds_code_name(code), err.message, word);
    assert_null(l);
}

static void assert_free(const char *dir)
{
    kds_ledger *l = NULL;
    ASSERT_OK(kds_ledger_open(&l, dir, KDS_LEDGER_WRITE, e));
    kds_ledger_close(l);
}

static void test_two_writers(void **state)
{
    char host[256] = "", word[300];
    kds_ledger *reader = NULL;
    script_archive(*state, 1);
    holder h = start_holder(*state);
    snprintf(word, sizeof word, "pid %d", (int)h.pid);
    assert_locked(*state, word);
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    snprintf(word, sizeof word, "host %s since 20", host);
    assert_locked(*state, word);
    ASSERT_OK(kds_ledger_open(&reader, *state, KDS_LEDGER_READ, e));
    assert_int_equal(kds_ledger_last_seq(reader), SCRIPT_EVENTS(1));
    kds_ledger_close(reader);
    assert_locked(*state, word); /* a reader's end changes nothing */
    end_holder(h, 0);
    assert_free(*state);
}

static void test_killed_writer(void **state)
{
    script_archive(*state, 1);
    end_holder(start_holder(*state), SIGKILL);
    assert_free(*state);
}

static void test_same_process(void **state)
{
    kds_ledger *l = NULL;
    char word[64];
    ASSERT_OK(kds_ledger_create(&l, *state, e));
    snprintf(word, sizeof word, "pid %d", (int)getpid());
    assert_locked(*state, word);
    kds_err err;
    kds_ledger *second = NULL;
    assert_int_equal(kds_ledger_create(&second, *state, &err), KDS_USAGE);
    assert_non_null(strstr(err.message, "kdasearch resume"));
    kds_ledger_close(l);
    assert_free(*state);
}

static void write_lock(const char *dir, const char *host, const char *boot_id)
{
    char text[300];
    snprintf(
        text, sizeof text,
        "{\"host\":\"%s\",\"pid\":4711,\"boot_id\":\"%s\",\"started\":\"2026-01-01T00:00:00Z\"}\n",
        host, boot_id);
    write_file(dir, "lock", text, strlen(text));
}

/* Another host's lock is only ever removed by a person. */
static void test_other_host(void **state)
{
    char path[512];
    script_archive(*state, 1);
    write_lock(*state, "elsewhere.example", "11111111-2222-3333-4444-555555555555");
    assert_locked(*state, "4711");
    assert_locked(*state, "elsewhere.example");
    assert_locked(*state, "remove");
    path_in(path, *state, "lock");
    assert_locked(*state, path);
    assert_int_equal(unlink(path), 0);
    assert_free(*state);
}

/* A reboot of this host, or a container with a new name on the same kernel: the lock is dead. */
static void test_same_machine(void **state)
{
    char host[256] = "", boot_id[64] = "";
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%63s", boot_id), 1);
    fclose(f);
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    script_archive(*state, 1);
    write_lock(*state, host, "11111111-2222-3333-4444-555555555555");
    assert_free(*state);
    write_lock(*state, "old-container", boot_id);
    assert_free(*state);
}

static void test_strange_lock_files(void **state)
{
    char path[512];
    kds_ledger *l = NULL;
    kds_err err;
    script_archive(*state, 1);
    write_file(*state, "lock", "garbage {\x01", 10);
    assert_free(*state);
    path_in(path, *state, "lock");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(kds_ledger_open(&l, *state, KDS_LEDGER_WRITE, &err), KDS_IO);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_int_equal(kds_ledger_open(&l, *state, KDS_LEDGER_WRITE, &err), KDS_IO);
    assert_non_null(strstr(err.message, "lock"));
}

/* A lock that was removed while it was held does not let two writers meet in the new file. */
static void test_removed_lock(void **state)
{
    char path[512];
    script_archive(*state, 1);
    holder first = start_holder(*state);
    path_in(path, *state, "lock");
    assert_int_equal(unlink(path), 0);
    holder second = start_holder(*state);
    assert_locked(*state, "is locked by pid");
    end_holder(first, 0);
    assert_locked(*state, "is locked by pid");
    end_holder(second, 0);
    assert_free(*state);
}

static int64_t held_by(const char *dir)
{
    int64_t pid = -1;
    ASSERT_OK(kds_lock_holder(dir, &pid, e));
    return pid;
}

static kds_code signalled(const char *dir, int sig, const char *word)
{
    kds_err err = {0};
    kds_code code = kds_lock_signal(dir, sig, &err);
    if (strstr(err.message, word) == NULL)
        fail_msg("%s: %s (expected \"%s\")", kds_code_name(code), err.message, word);
    return code;
}

/* A signal reaches whoever holds the lock, and nobody after it has let go. */
static void test_signalled(void **state)
{
    int status = 0;
    script_archive(*state, 1);
    assert_int_equal(held_by(*state), 0);
    assert_int_equal(signalled(*state, SIGTERM, "nothing runs"), KDS_NOT_FOUND);
    holder h = start_holder(*state);
    assert_int_equal(held_by(*state), h.pid);
    assert_int_equal(signalled(*state, SIGTERM, ""), KDS_OK);
    assert_int_equal(waitpid(h.pid, &status, 0), h.pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    close(h.to);
    close(h.from);
    assert_int_equal(held_by(*state), 0);
    assert_int_equal(signalled(*state, SIGTERM, "nothing runs"), KDS_NOT_FOUND);
}

/* A number that means another process here, as one of another container may, is left alone. */
static void test_a_stranger_is_not_signalled(void **state)
{
    char text[300], boot_id[64] = "";
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%63s", boot_id), 1);
    fclose(f);
    script_archive(*state, 1);
    pid_t stranger = fork();
    if (stranger == 0) {
        pause();
        _exit(0);
    }
    holder h = start_holder(*state);
    snprintf(text, sizeof text,
             "{\"host\":\"elsewhere\",\"pid\":%d,\"boot_id\":\"%s\",\"started\":\"2026\"}\n",
             (int)stranger, boot_id);
    write_file(*state, "lock", text, strlen(text));
    assert_int_equal(signalled(*state, SIGKILL, "cannot be reached from here"), KDS_LOCKED);
    snprintf(text, sizeof text,
             "{\"host\":\"elsewhere\",\"pid\":%d,\"boot_id\":\"other\",\"started\":\"2026\"}\n",
             (int)h.pid);
    write_file(*state, "lock", text, strlen(text));
    assert_int_equal(signalled(*state, SIGKILL, "another machine"), KDS_LOCKED);
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text,
                 "{\"host\":\"elsewhere\",\"pid\":%d,\"boot_id\":\"%s\",\"started\":\"2026\"}\n",
                 i - 1, boot_id);
        write_file(*state, "lock", text, strlen(text));
        assert_int_equal(signalled(*state, SIGKILL, "no such process"), KDS_LOCKED);
    }
    assert_int_equal(waitpid(stranger, NULL, WNOHANG), 0);
    assert_int_equal(waitpid(h.pid, NULL, WNOHANG), 0);
    kill(stranger, SIGKILL);
    assert_int_equal(waitpid(stranger, NULL, 0), stranger);
    end_holder(h, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_two_writers),
        IN_FOLDER(test_killed_writer),
        IN_FOLDER(test_same_process),
        IN_FOLDER(test_other_host),
        IN_FOLDER(test_same_machine),
        IN_FOLDER(test_strange_lock_files),
        IN_FOLDER(test_removed_lock),
        IN_FOLDER(test_signalled),
        IN_FOLDER(test_a_stranger_is_not_signalled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
