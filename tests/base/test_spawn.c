/* Child processes, with real ones: this program starts itself as `--child MODE`. A child (and
 * whoever it starts) holds the far end of a channel, so the end of that stream proves that all of
 * them are gone. */
#include "search/base/buf.h"
#include "search/base/spawn.h"
#include "search/base/text.h"
#include "tests/base/base_test.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static kds_err error;
static char *self;

/* ---- What the children do; each ends by _exit. */

static void tell(const char *fmt, ...) KDS_PRINTF(1, 2);
static void tell(const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (write(3, text, (size_t)n) != n)
        _exit(99);
}

static void sleep_for_ever(void)
{
    for (;;)
        pause();
}

/* Tells the descriptors above 3 that are open, and where 0 and 1 lead. */
static void child_descriptors(void)
{
    char target[2][64] = {"", ""};
    DIR *dir = opendir("/proc/self/fd");
    int more = 0;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        int64_t fd = 0;
        if (kds_text_parse_i64(d->d_name, &fd))
            more += fd > 3 && fd != dirfd(dir);
    }
    for (int i = 0; i < 2; i++) {
        char link[32];
        snprintf(link, sizeof link, "/proc/self/fd/%d", i);
        if (readlink(link, target[i], sizeof target[i] - 1) < 0)
            _exit(98);
    }
    tell("more=%d in=%s out=%s", more, target[0], target[1]);
}

static void child_state(void)
{
    sigset_t mask;
    struct sigaction usr1, xfsz, pipe_action;
    struct rlimit core, cpu, as, fsize;
    int death = 0, blocked = 0;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int sig = 1; sig < 32; sig++)
        blocked += sigismember(&mask, sig) == 1;
    sigaction(SIGUSR1, NULL, &usr1);
    sigaction(SIGXFSZ, NULL, &xfsz);
    sigaction(SIGPIPE, NULL, &pipe_action);
    prctl(PR_GET_PDEATHSIG, &death);
    getrlimit(RLIMIT_CORE, &core);
    getrlimit(RLIMIT_CPU, &cpu);
    getrlimit(RLIMIT_AS, &as);
    getrlimit(RLIMIT_FSIZE, &fsize);
    tell("own_group=%d blocked=%d usr1=%d pipe=%d xfsz=%d death=%d core=%llu cpu=%llu/%llu "
         "as=%llu fsize=%llu",
         getpgrp() == getpid(), blocked, usr1.sa_handler == SIG_DFL,
         pipe_action.sa_handler == SIG_DFL, xfsz.sa_handler == SIG_IGN, death,
         (unsigned long long)core.rlim_cur, (unsigned long long)cpu.rlim_cur,
         (unsigned long long)cpu.rlim_max, (unsigned long long)as.rlim_cur,
         (unsigned long long)fsize.rlim_cur);
}

static void child_environment(void)
{
    const char *path = getenv("PATH"), *secret = getenv("KDS_TEST_SECRET"),
               *cuda = getenv("CUDA_PATH"), *prefix = getenv("PATHX");
    tell("path=%d secret=%s cuda=%s prefix=%d", path != NULL, secret != NULL ? secret : "-",
         cuda != NULL ? cuda : "-", prefix != NULL);
}

static void child_write(const char *path)
{
    char data[4096] = {0};
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    long total = 0;
    ssize_t n = 0;
    while (fd >= 0 && total < 100000 && (n = write(fd, data, sizeof data)) > 0)
        total += n;
    tell("wrote=%ld error=%d", total, n < 0 ? errno : 0);
}

/* A grandchild that no SIGTERM ends; its parent waits, or exits at once. */
static void child_family(bool leave)
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGTERM, SIG_IGN);
        tell("ready");
        sleep_for_ever();
    }
    if (!leave)
        sleep_for_ever();
    struct pollfd never = {.fd = -1};
    poll(&never, 0, 100);
}

static int run_mode(int argc, char **argv)
{
    const char *mode = argv[2];
    int64_t status = 0;
    if (strcmp(mode, "exit") == 0)
        _exit(argc > 3 && kds_text_parse_i64(argv[3], &status) ? (int)status : 0);
    else if (strcmp(mode, "descriptors") == 0)
        child_descriptors();
    else if (strcmp(mode, "state") == 0)
        child_state();
    else if (strcmp(mode, "environment") == 0)
        child_environment();
    else if (strcmp(mode, "write") == 0)
        child_write(argv[3]);
    else if (strcmp(mode, "stderr") == 0)
        fprintf(stderr, "words on stderr\n");
    else if (strcmp(mode, "memory") == 0)
        tell("got=%d", malloc((size_t)1 << 31) != NULL);
    else if (strcmp(mode, "sleep") == 0) {
        tell("ready");
        sleep_for_ever();
    } else if (strcmp(mode, "stubborn") == 0) {
        signal(SIGTERM, SIG_IGN);
        tell("ready");
        sleep_for_ever();
    } else if (strcmp(mode, "family") == 0)
        child_family(false);
    else if (strcmp(mode, "leave") == 0)
        child_family(true);
    else if (strcmp(mode, "burn") == 0) {
        for (volatile unsigned long i = 0;; i++)
            ;
    } else if (strcmp(mode, "parent") == 0) {
        const char *const inner[] = {argv[0], "--child", "stubborn", NULL};
        kds_spawn_options o = {.argv = inner, .channel_fd = 3, .stderr_fd = -1};
        pid_t pid;
        if (kds_spawn(&pid, &o, NULL) != KDS_OK)
            _exit(97);
        sleep_for_ever();
    }
    _exit(0);
}

/* ---- The tests' side. */

/* Starts `--child mode argument` with a channel whose near end is returned in *fd. */
static pid_t start_with(kds_spawn_options *o, const char *mode, const char *argument, int *fd)
{
    const char *const argv[] = {self, "--child", mode, argument, NULL};
    int ends[2];
    pid_t pid = -1;
    o->argv = argv;
    assert_int_equal(kds_channel_pair(ends, &error), KDS_OK);
    o->channel_fd = ends[1];
    if (kds_spawn(&pid, o, &error) != KDS_OK)
        fail_msg("%s", error.message);
    close(ends[1]);
    *fd = ends[0];
    return pid;
}

static pid_t start(const char *mode, int *fd)
{
    kds_spawn_options o = {.stderr_fd = 2, .file_bytes = 1 << 20};
    return start_with(&o, mode, NULL, fd);
}

/* Reads from the near end until the text ends in `until`, or to the end of the stream (NULL). */
static const char *listen_to(int fd, const char *until)
{
    static char text[4096];
    size_t len = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        text[len] = '\0';
        if (until != NULL && kds_text_ends_with(text, until))
            return text;
        if (poll(&p, 1, 20000) != 1)
            fail_msg("the child neither spoke nor ended; so far: '%s'", text);
        ssize_t n = read(fd, text + len, sizeof text - 1 - len);
        if (n <= 0)
            return n == 0 && until == NULL ? text : "(no more)";
        len += (size_t)n;
    }
}

static int wait_status(pid_t pid)
{
    int status = -1;
    for (int i = 0; i < 20000 && !kds_spawn_ended(pid, &status); i++)
        usleep(1000);
    return status;
}

static void expect_words(const char *mode, kds_spawn_options *o, const char *argument,
                         const char *want)
{
    int fd;
    pid_t pid = start_with(o, mode, argument, &fd);
    assert_string_equal(listen_to(fd, NULL), want);
    assert_int_equal(wait_status(pid), 0);
    close(fd);
}

static void tells_how_a_child_ended(void **state)
{
    (void)state;
    char text[100];
    int fd;
    kds_spawn_options o = {.stderr_fd = -1};
    pid_t pid = start_with(&o, "exit", "3", &fd);
    int status = wait_status(pid);
    close(fd);
    kds_spawn_describe(status, text, sizeof text);
    assert_string_equal(text, "exited with status 3");
    pid = start("sleep", &fd);
    (void)listen_to(fd, "ready");
    assert_false(kds_spawn_ended(pid, &status));
    kds_spawn_signal(pid, SIGKILL);
    status = wait_status(pid);
    close(fd);
    kds_spawn_describe(status, text, sizeof text);
    assert_string_equal(text, "killed by signal 9 (Killed)");
    kds_spawn_describe(0x137f, text, sizeof text);
    assert_string_equal(text, "in an unknown state (wait status 0x137f)");
    kds_spawn_describe(63, text, sizeof text);
    assert_string_equal(text, "killed by signal 63 (unknown)");
    /* No longer ours: it has ended, and nothing hangs. */
    assert_true(kds_spawn_ended(pid, &status));
    kds_spawn_describe(status, text, sizeof text);
    assert_string_equal(text, "exited with status 255");
    kds_spawn_end(pid, 1000);
    kds_spawn_end(-1, 1000);
    kds_spawn_end(0, 1000);
    kds_spawn_signal(0, SIGKILL);
    kds_spawn_signal(1, SIGKILL);
    assert_false(kds_spawn_ended(-1, &status));
}

static void reports_what_cannot_be_executed(void **state)
{
    (void)state;
    pid_t pid = 77;
    const char *const none[] = {"/no/such/program", NULL}, *const folder[] = {"/", NULL};
    kds_spawn_options o = {.argv = none, .channel_fd = -1, .stderr_fd = -1};
    assert_int_equal(kds_spawn(&pid, &o, &error), KDS_IO);
    assert_int_equal(error.sys_errno, ENOENT);
    assert_string_equal(error.message, "cannot start '/no/such/program' (executing it): No such "
                                       "file or directory");
    o.argv = folder;
    assert_int_equal(kds_spawn(&pid, &o, &error), KDS_IO);
    assert_int_equal(error.sys_errno, EACCES);
    assert_int_equal(pid, 77);
    o.argv = none;
    o.channel_fd = 9999;
    assert_int_equal(kds_spawn(&pid, &o, &error), KDS_IO);
    assert_int_equal(error.sys_errno, EBADF);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left to be reaped */
    assert_int_equal(errno, ECHILD);
}

static void gives_only_the_descriptors_it_should(void **state)
{
    (void)state;
    int strays[20];
    for (int i = 0; i < 20; i++)
        strays[i] = dup(2); /* without close-on-exec */
    kds_spawn_options o = {.stderr_fd = 2};
    expect_words("descriptors", &o, NULL, "more=0 in=/dev/null out=/dev/null");
    for (int i = 0; i < 20; i++)
        close(strays[i]);

    /* Also when the parent's own low descriptors are closed, so that ours land there. */
    pid_t pid = fork();
    if (pid == 0) {
        int fd, err = fcntl(2, F_DUPFD, 50);
        for (int i = 0; i < 10; i++)
            close(i);
        kds_spawn_options low = {.stderr_fd = err};
        pid_t child = start_with(&low, "descriptors", NULL, &fd);
        bool same = strcmp(listen_to(fd, NULL), "more=0 in=/dev/null out=/dev/null") == 0;
        _exit(!(same && wait_status(child) == 0));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int count_descriptors(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static void leaks_no_descriptors_itself(void **state)
{
    (void)state;
    const char *const none[] = {"/no/such/program", NULL};
    int before = count_descriptors();
    for (int i = 0; i < 5; i++) {
        int fd;
        pid_t pid;
        kds_spawn_options o = {.argv = none, .channel_fd = -1, .stderr_fd = 2};
        assert_int_equal(kds_spawn(&pid, &o, NULL), KDS_IO);
        o.channel_fd = 9999;
        assert_int_equal(kds_spawn(&pid, &o, NULL), KDS_IO);
        kds_spawn_end(start("exit", &fd), 0);
        close(fd);
    }
    assert_int_equal(count_descriptors(), before);
}

static void starts_from_a_clean_state(void **state)
{
    (void)state;
    sigset_t some, before;
    sigemptyset(&some);
    sigaddset(&some, SIGTERM);
    sigaddset(&some, SIGCHLD);
    sigprocmask(SIG_BLOCK, &some, &before);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    char want[300];
#if defined(__SANITIZE_ADDRESS__)
    struct rlimit as;
    getrlimit(RLIMIT_AS, &as);
    unsigned long long memory = as.rlim_cur;
#else
    unsigned long long memory = 1ull << 32;
#endif
    snprintf(want, sizeof want,
             "own_group=1 blocked=0 usr1=1 pipe=1 xfsz=1 death=9 core=0 cpu=7/8 as=%llu fsize=4096",
             memory);
    kds_spawn_options o = {
        .stderr_fd = 2, .memory_bytes = 1ull << 32, .cpu_seconds = 7, .file_bytes = 4096};
    expect_words("state", &o, NULL, want);
    sigset_t now;
    sigprocmask(SIG_SETMASK, &before, &now);
    assert_int_equal(sigismember(&now, SIGTERM), 1); /* the parent's mask was put back */
    assert_int_equal(sigismember(&now, SIGINT), 0);
    signal(SIGUSR1, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
}

static void filters_the_environment(void **state)
{
    (void)state;
    setenv("KDS_TEST_SECRET", "key", 1);
    setenv("CUDA_PATH", "/opt/cuda", 1);
    setenv("PATHX", "x", 1);
    kds_spawn_options o = {.stderr_fd = 2};
    expect_words("environment", &o, NULL, "path=1 secret=- cuda=/opt/cuda prefix=0");
    o.keep_environment = true;
    expect_words("environment", &o, NULL, "path=1 secret=key cuda=/opt/cuda prefix=1");
    unsetenv("KDS_TEST_SECRET");
    unsetenv("CUDA_PATH");
    unsetenv("PATHX");
}

static void limits_files(void **state)
{
    (void)state;
    kds_spawn_options o = {.stderr_fd = -1, .file_bytes = 8192};
    expect_words("write", &o, scratch("f"), "wrote=8192 error=27");
    o.file_bytes = 0;
    expect_words("write", &o, scratch("f"), "wrote=0 error=27");
    o.file_bytes = UINT64_MAX;
    expect_words("write", &o, scratch("f"), "wrote=102400 error=0");
}

static void limits_memory(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    skip();
#else
    kds_spawn_options o = {.stderr_fd = -1, .memory_bytes = 1ull << 30};
    expect_words("memory", &o, NULL, "got=0");
    o.memory_bytes = 0;
    expect_words("memory", &o, NULL, "got=1");
#endif
}

static void limits_cpu_time(void **state)
{
    (void)state;
    char text[100];
    int fd;
    kds_spawn_options o = {.stderr_fd = -1, .cpu_seconds = 1};
    pid_t pid = start_with(&o, "burn", NULL, &fd);
    assert_string_equal(listen_to(fd, NULL), "");
    kds_spawn_describe(wait_status(pid), text, sizeof text);
    assert_string_equal(text, "killed by signal 24 (CPU time limit exceeded)");
    close(fd);
}

static void passes_stderr_on(void **state)
{
    (void)state;
    int file = open(scratch("err"), O_RDWR | O_CREAT | O_CLOEXEC, 0600), fd;
    kds_spawn_options o = {.stderr_fd = file, .file_bytes = 1000};
    pid_t pid = start_with(&o, "stderr", NULL, &fd);
    assert_int_equal(wait_status(pid), 0);
    close(fd);
    close(file);
    assert_string_equal(scratch_text("err"), "words on stderr\n");
}

static void ends_a_child_politely(void **state)
{
    (void)state;
    int fd;
    pid_t pid = start("sleep", &fd);
    (void)listen_to(fd, "ready");
    kds_spawn_end(pid, 20000); /* far longer than this test may take: SIGTERM did it */
    assert_int_equal(kill(pid, 0), -1);
    assert_string_equal(listen_to(fd, NULL), "");
    close(fd);
}

static void ends_a_stubborn_child_at_the_deadline(void **state)
{
    (void)state;
    int fd;
    pid_t pid = start("stubborn", &fd);
    (void)listen_to(fd, "ready");
    kds_spawn_end(pid, 50);
    assert_int_equal(kill(pid, 0), -1);
    assert_string_equal(listen_to(fd, NULL), "");
    close(fd);
}

static void ends_the_whole_group(void **state)
{
    (void)state;
    int fd;
    /* The child ends at SIGTERM; its own child ignores that. */
    pid_t pid = start("family", &fd);
    (void)listen_to(fd, "ready");
    kds_spawn_end(pid, 20000);
    assert_string_equal(listen_to(fd, NULL), "");
    close(fd);
    /* The child ends by itself and leaves one behind. */
    pid = start("leave", &fd);
    (void)listen_to(fd, "ready");
    assert_int_equal(wait_status(pid), 0);
    assert_string_equal(listen_to(fd, NULL), "");
    close(fd);
    pid = start("family", &fd);
    (void)listen_to(fd, "ready");
    kds_spawn_signal(pid, SIGKILL);
    assert_string_equal(listen_to(fd, NULL), "");
    kds_spawn_end(pid, 1000);
    kds_spawn_signal(pid, SIGKILL); /* a group that is gone */
    close(fd);
}

static void dies_with_its_parent(void **state)
{
    (void)state;
    int fd;
    pid_t pid = start("parent", &fd);
    assert_string_equal(listen_to(fd, "ready"), "ready"); /* said by the grandchild */
    assert_int_equal(kill(pid, SIGKILL), 0);              /* the parent alone; no group of ours */
    assert_string_equal(listen_to(fd, NULL), "");
    assert_int_equal(wait_status(pid), SIGKILL);
    close(fd);
}

static void channels_are_set_up(void **state)
{
    (void)state;
    int ends[2];
    char c;
    assert_int_equal(kds_channel_pair(ends, &error), KDS_OK);
    assert_int_equal(fcntl(ends[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(fcntl(ends[1], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(read(ends[0], &c, 1), -1); /* non-blocking: does not wait */
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(write(ends[0], "x", 1), 1);
    assert_int_equal(read(ends[1], &c, 1), 1);
    close(ends[0]);
    close(ends[1]);
}

static void knows_its_own_path(void **state)
{
    (void)state;
    struct stat ours, proc;
    assert_int_equal(stat(self, &ours), 0);
    assert_int_equal(stat("/proc/self/exe", &proc), 0);
    assert_int_equal(ours.st_ino, proc.st_ino);
    assert_int_equal(self[0], '/');
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--child") == 0)
        return run_mode(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_how_a_child_ended),
        cmocka_unit_test(reports_what_cannot_be_executed),
        cmocka_unit_test(gives_only_the_descriptors_it_should),
        cmocka_unit_test(leaks_no_descriptors_itself),
        cmocka_unit_test(starts_from_a_clean_state),
        cmocka_unit_test(filters_the_environment),
        cmocka_unit_test(limits_files),
        cmocka_unit_test(limits_memory),
        cmocka_unit_test(limits_cpu_time),
        cmocka_unit_test(passes_stderr_on),
        cmocka_unit_test(ends_a_child_politely),
        cmocka_unit_test(ends_a_stubborn_child_at_the_deadline),
        cmocka_unit_test(ends_the_whole_group),
        cmocka_unit_test(dies_with_its_parent),
        cmocka_unit_test(channels_are_set_up),
        cmocka_unit_test(knows_its_own_path),
    };
    if (kds_self_path(&self, &error) != KDS_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, scratch_open, scratch_close);
    free(self);
    return failed;
}
