/* Confinement, seen from inside: a forked child gives up what kds_worker_confine takes and then
 * tries all of it. The child reports by its exit status, so that nothing of the test needs what is
 * gone. */
#include "eval/compile.h"
#include "eval/worker.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool have_landlock, have_seccomp;

static int set_up(void **state)
{
    (void)state;
    char words[120];
    kds_worker_confinement(words, sizeof words);
    have_landlock = strstr(words, "Landlock ABI") != NULL;
    have_seccomp = strstr(words, "no seccomp") == NULL;
    printf("# %s\n", words);
    return 0;
}

/* Runs `attempt` in a confined child; 0 if every attempt ended as it should, else its number. */
static int in_confinement(const char *dir, int (*attempt)(const char *dir))
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        const char *dirs[] = {dir, NULL};
        kds_err e;
        _exit(kds_worker_confine(dirs, &e) == KDS_OK ? attempt(dir) : 99);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int try_files(const char *dir)
{
    char path[600];
    snprintf(path, sizeof path, "%s/task.json", dir);
    if (!opens(path, O_RDONLY))
        return 1;
    if (opens(path, O_RDWR))
        return 2;
    snprintf(path, sizeof path, "%s/new-file", dir);
    if (opens(path, O_WRONLY | O_CREAT))
        return 3;
    if (opens("/etc/passwd", O_RDONLY))
        return 4;
    if (opens("/tmp/kdasearch-confined", O_WRONLY | O_CREAT))
        return 5;
    if (opens("/proc/self/environ", O_RDONLY))
        return 6;
    if (opens(KDS_SOURCE_DIR "/CMakeLists.txt", O_RDONLY))
        return 7;
    snprintf(path, sizeof path, "%s/../../CMakeLists.txt", dir);
    if (opens(path, O_RDONLY))
        return 8;
    if (mkdir("/tmp/kdasearch-confined-dir", 0700) == 0)
        return 9;
    return 0;
}

static int try_calls(const char *dir)
{
    (void)dir;
    int fds[2];
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM)
        return 1;
    if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0)
        return 2;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0)
        return 3;
    char *const argv[] = {(char[]){"true"}, NULL};
    execv("/bin/true", argv);
    if (errno != EPERM && errno != EACCES)
        return 4;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    if (child > 0)
        return 5;
    struct rlimit core;
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0)
        return 6;
    return 0;
}

static void *nothing(void *user)
{
    return user;
}

/* What a compiler needs of a process still works: memory, threads, pipes that were open before. */
static int try_ordinary_work(const char *dir)
{
    (void)dir;
    pthread_t thread;
    int given = 0;
    void *memory = malloc(50u << 20), *result = NULL;
    if (!memory)
        return 1;
    memset(memory, 1, 50u << 20);
    free(memory);
    if (pthread_create(&thread, NULL, nothing, &given) != 0)
        return 2;
    if (pthread_join(thread, &result) != 0 || result != &given)
        return 3;
    return 0;
}

static void test_files(void **state)
{
    (void)state;
    if (!have_landlock)
        skip();
    assert_int_equal(in_confinement(KDS_SOURCE_DIR "/kernels/rms_norm", try_files), 0);
}

static void test_calls(void **state)
{
    (void)state;
    if (!have_seccomp)
        skip();
    assert_int_equal(in_confinement(KDS_SOURCE_DIR "/kernels/rms_norm", try_calls), 0);
}

static void test_ordinary_work(void **state)
{
    (void)state;
    assert_int_equal(in_confinement("/usr/lib", try_ordinary_work), 0);
}

static void test_signals(void **state)
{
    (void)state;
    char words[120];
    int abi = 0;
    kds_worker_confinement(words, sizeof words);
    if (sscanf(words, "Landlock ABI %d", &abi) != 1 || abi < 6)
        skip();
    pid_t victim = fork();
    if (victim == 0) {
        pause();
        _exit(0);
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        const char *dirs[] = {NULL};
        if (kds_worker_confine(dirs, NULL) != KDS_OK)
            _exit(99);
        _exit(kill(victim, SIGTERM) == 0 ? 1 : 0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    kill(victim, SIGKILL);
    waitpid(victim, &status, 0);
}

static void test_missing_folder(void **state)
{
    (void)state;
    if (!have_landlock)
        skip();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        const char *dirs[] = {"/no/such/folder", NULL};
        kds_err e;
        kds_code bad = kds_worker_confine(dirs, &e);
        _exit(bad == KDS_IO && strstr(e.message, "/no/such/folder") ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* A process that cannot read the library says what to install and where it looked. */
static int try_nvrtc(const char *dir)
{
    (void)dir;
    kds_nvrtc *n = NULL;
    kds_err e;
    if (kds_nvrtc_open(&n, &e) != KDS_NOT_FOUND)
        return 1;
    if (!strstr(e.message, "CUDA_PATH") || !strstr(e.message, "looked in: "))
        return 2;
    return strstr(e.message, "/usr/local/cuda") ? 0 : 3;
}

static void test_unreadable_toolkit(void **state)
{
    (void)state;
    if (!have_landlock)
        skip();
    assert_int_equal(in_confinement(KDS_SOURCE_DIR "/kernels/rms_norm", try_nvrtc), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),          cmocka_unit_test(test_calls),
        cmocka_unit_test(test_ordinary_work),  cmocka_unit_test(test_signals),
        cmocka_unit_test(test_missing_folder), cmocka_unit_test(test_unreadable_toolkit),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
