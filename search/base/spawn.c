/* Child processes. Everything that can fail or allocate is prepared before the fork, which copies
 * no memory (vfork): until exec the child has its parent's, makes async-signal-safe calls only and
 * writes to nothing but its own part of the stack. A step that fails in the child is reported
 * through a close-on-exec pipe, whose silent end means that the program runs.
 *
 * A group is only ever signalled while its leader is not yet reaped: until then the kernel cannot
 * give its number to anyone else. */
#include "search/base/spawn.h"
#include "search/base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHANNEL_FD 3
#define SAFE_FD 10 /* descriptors are kept at or above this until they are put in place */

#if defined(__SANITIZE_ADDRESS__)
#define LIMIT_MEMORY false /* it reserves terabytes of addresses */
#else
#define LIMIT_MEMORY true
#endif

typedef struct launch {
    const kds_spawn_options *o;
    char **argv, **envp;
    int null_fd, stderr_fd, channel_fd, report_fd;
    pid_t parent;
} launch;

/* What the child tells when a step fails. */
typedef struct report {
    int step, error;
} report;

enum { STEP_GROUP, STEP_PARENT, STEP_LIMITS, STEP_DESCRIPTORS, STEP_EXEC };
static const char *const STEPS[] = {"creating its process group", "tying it to its parent",
                                    "setting its limits", "placing its descriptors",
                                    "executing it"};

/* Lowers a limit, never above the hard limit in force. */
static int limit(int which, uint64_t soft, uint64_t hard)
{
    struct rlimit r;
    if (getrlimit((__rlimit_resource_t)which, &r) != 0)
        return -1;
    if (r.rlim_max == RLIM_INFINITY || hard < r.rlim_max)
        r.rlim_max = hard;
    r.rlim_cur = soft < r.rlim_max ? soft : r.rlim_max;
    return setrlimit((__rlimit_resource_t)which, &r);
}

static int set_limits(const kds_spawn_options *o)
{
    if (limit(RLIMIT_CORE, 0, 0) != 0 || limit(RLIMIT_FSIZE, o->file_bytes, o->file_bytes) != 0)
        return -1;
    if (LIMIT_MEMORY && o->memory_bytes > 0 &&
        limit(RLIMIT_AS, o->memory_bytes, o->memory_bytes) != 0)
        return -1;
    if (LIMIT_MEMORY && o->data_bytes > 0 && limit(RLIMIT_DATA, o->data_bytes, o->data_bytes) != 0)
        return -1;
    /* SIGXCPU first, which tells why; SIGKILL a second later. */
    if (o->cpu_seconds > 0 && limit(RLIMIT_CPU, o->cpu_seconds, o->cpu_seconds + 1) != 0)
        return -1;
    return 0;
}

/* Puts 0 to 3 in place and marks everything above as close-on-exec (it holds the report pipe). */
static int place_descriptors(const launch *l)
{
    unsigned first = CHANNEL_FD;
    if (dup2(l->null_fd, 0) < 0 || dup2(l->null_fd, 1) < 0 ||
        dup2(l->stderr_fd >= 0 ? l->stderr_fd : l->null_fd, 2) < 0)
        return -1;
    if (l->channel_fd >= 0) {
        if (dup2(l->channel_fd, CHANNEL_FD) < 0)
            return -1;
        first++;
    }
    if (close_range(first, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
        return 0;
    /* A kernel before 5.11. */
    struct rlimit r;
    int end = getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < 65536 ? (int)r.rlim_cur : 65536;
    for (int fd = (int)first; fd < end; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return 0;
}

/* Signals as a fresh program expects them; the mask was full until here. */
static void reset_signals(void)
{
    struct sigaction fresh = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int sig = 1; sig < NSIG; sig++)
        (void)sigaction(sig, &fresh, NULL);
    fresh.sa_handler = SIG_IGN; /* a write beyond the limit then fails with EFBIG */
    (void)sigaction(SIGXFSZ, &fresh, NULL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The child's side of the fork; never returns. */
static void run_child(const launch *l)
{
    report r = {.step = STEP_GROUP};
    if (setpgid(0, 0) != 0)
        goto failed;
    r.step = STEP_PARENT;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        goto failed;
    if (getppid() != l->parent)
        _exit(127); /* it died before the line above took effect */
    r.step = STEP_LIMITS;
    if (set_limits(l->o) != 0)
        goto failed;
    r.step = STEP_DESCRIPTORS;
    if (place_descriptors(l) != 0)
        goto failed;
    reset_signals();
    r.step = STEP_EXEC;
    execve(l->argv[0], l->argv, l->envp);
failed:
    r.error = errno;
    (void)!write(l->report_fd, &r, sizeof r);
    _exit(127);
}

/* A function of its own, so that no variable of the caller is changed by the child. */
static pid_t start_child(const launch *l)
{
    pid_t pid = vfork();
    if (pid == 0)
        run_child(l);
    return pid;
}

/* True if a variable ("NAME=value") is among those that every child gets. */
static bool passes(const char *variable)
{
    static const char *const NAMES[] = {"PATH",
                                        "HOME",
                                        "LANG",
                                        "CUDA_PATH",
                                        "CUDA_HOME",
                                        "CUDA_VISIBLE_DEVICES",
                                        "CUDA_DEVICE_ORDER",
                                        "LD_LIBRARY_PATH",
                                        "ASAN_OPTIONS",
                                        "LSAN_OPTIONS",
                                        "UBSAN_OPTIONS"};
    const char *equals = strchr(variable, '=');
    size_t n = equals != NULL ? (size_t)(equals - variable) : 0;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (strlen(NAMES[i]) == n && memcmp(NAMES[i], variable, n) == 0)
            return true;
    }
    return false;
}

/* Prepares arguments and environment: arrays of ours over borrowed texts. */
static bool prepare_texts(launch *l)
{
    size_t argc = 0, variables = 0, kept = 0;
    while (l->o->argv[argc] != NULL)
        argc++;
    while (environ != NULL && environ[variables] != NULL)
        variables++;
    l->argv = calloc(argc + 1, sizeof *l->argv);
    l->envp = calloc(variables + 1, sizeof *l->envp);
    if (l->argv == NULL || l->envp == NULL)
        return false;
    memcpy(l->argv, l->o->argv, argc * sizeof *l->argv);
    for (size_t i = 0; i < variables; i++) {
        if (l->o->keep_environment || passes(environ[i]))
            l->envp[kept++] = environ[i];
    }
    return true;
}

/* A copy out of the way of 0 to 3; -1 stays -1. Returns false if there is none to be had. */
static bool copy_descriptor(int fd, int *out)
{
    if (fd >= 0)
        *out = fcntl(fd, F_DUPFD_CLOEXEC, SAFE_FD);
    return fd < 0 || *out >= 0;
}

static void close_descriptor(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* /dev/null, the copies and the report pipe, whose reading end is *report_in. */
static bool prepare_descriptors(launch *l, int *report_in)
{
    int ends[2];
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0)
        return false;
    bool ok = copy_descriptor(null_fd, &l->null_fd) &&
              copy_descriptor(l->o->stderr_fd, &l->stderr_fd) &&
              copy_descriptor(l->o->channel_fd, &l->channel_fd);
    int saved = errno;
    close(null_fd);
    errno = saved;
    if (!ok || pipe2(ends, O_CLOEXEC) != 0)
        return false;
    *report_in = ends[0];
    ok = copy_descriptor(ends[1], &l->report_fd);
    saved = errno;
    close(ends[1]);
    errno = saved;
    return ok;
}

/* Waits until the child runs its program (true) or has said why it cannot. */
static bool child_runs(int fd, report *r)
{
    ssize_t n;
    do {
        n = read(fd, r, sizeof *r);
    } while (n < 0 && errno == EINTR);
    return n != (ssize_t)sizeof *r;
}

kds_code kds_spawn(pid_t *out, const kds_spawn_options *o, kds_err *e)
{
    launch l = {.o = o, .null_fd = -1, .stderr_fd = -1, .channel_fd = -1, .report_fd = -1};
    int report_in = -1;
    kds_code code = KDS_OK;
    sigset_t all, before;
    report r = {0};
    if (!prepare_texts(&l)) {
        code = kds_fail(e, KDS_NO_MEMORY, "cannot start '%s': out of memory", o->argv[0]);
        goto out;
    }
    if (!prepare_descriptors(&l, &report_in)) {
        code = kds_fail_errno(e, KDS_IO, "cannot start '%s'", o->argv[0]);
        goto out;
    }
    l.parent = getpid();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = start_child(&l);
    int fork_error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close_descriptor(l.report_fd);
    l.report_fd = -1;
    if (pid < 0) {
        errno = fork_error;
        code = kds_fail_errno(e, KDS_IO, "cannot start '%s'", o->argv[0]);
        goto out;
    }
    (void)setpgid(pid, pid); /* whoever of the two comes first */
    if (child_runs(report_in, &r)) {
        *out = pid;
    } else {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        errno = r.error;
        code = kds_fail_errno(e, KDS_IO, "cannot start '%s' (%s)", o->argv[0], STEPS[r.step]);
    }
out:
    close_descriptor(report_in);
    close_descriptor(l.report_fd);
    close_descriptor(l.null_fd);
    close_descriptor(l.stderr_fd);
    close_descriptor(l.channel_fd);
    free(l.argv);
    free(l.envp);
    return code;
}

/* True if the child has ended or is none of ours; it is not reaped. */
static bool has_ended(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        return errno != EINTR;
    return info.si_pid == pid;
}

/* Ends what is left of the group, while the leader still holds its number, and reaps the leader. */
static void reap(pid_t pid, int *status)
{
    pid_t got;
    siginfo_t info;
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        (void)kill(-pid, SIGKILL);
    do {
        got = waitpid(pid, status, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        *status = 255 << 8;
}

bool kds_spawn_ended(pid_t pid, int *status)
{
    if (pid <= 0 || !has_ended(pid))
        return false;
    reap(pid, status);
    return true;
}

void kds_spawn_signal(pid_t pid, int sig)
{
    if (pid > 1)
        (void)kill(-pid, sig);
}

void kds_spawn_end(pid_t pid, int grace_ms)
{
    int status;
    if (pid <= 1)
        return;
    if (!has_ended(pid)) {
        double until = kds_clock_monotonic() + grace_ms / 1000.0;
        struct timespec pause = {.tv_nsec = 1000000};
        kds_spawn_signal(pid, SIGTERM);
        while (!has_ended(pid) && kds_clock_monotonic() < until) {
            nanosleep(&pause, NULL);
            if (pause.tv_nsec < 20000000)
                pause.tv_nsec *= 2;
        }
    }
    reap(pid, &status);
}

void kds_spawn_describe(int status, char *out, size_t size)
{
    if (WIFEXITED(status)) {
        snprintf(out, size, "exited with status %d", WEXITSTATUS(status));
    } else if (WIFSIGNALED(status)) {
        const char *name = sigdescr_np(WTERMSIG(status));
        snprintf(out, size, "killed by signal %d (%s)", WTERMSIG(status),
                 name != NULL ? name : "unknown");
    } else {
        snprintf(out, size, "in an unknown state (wait status %#x)", (unsigned)status);
    }
}

kds_code kds_channel_pair(int fds[2], kds_err *e)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return kds_fail_errno(e, KDS_IO, "cannot create a socket pair");
    int flags = fcntl(ends[0], F_GETFL);
    if (flags < 0 || fcntl(ends[0], F_SETFL, flags | O_NONBLOCK) != 0) {
        kds_code code = kds_fail_errno(e, KDS_IO, "cannot set up a socket pair");
        close(ends[0]);
        close(ends[1]);
        return code;
    }
    fds[0] = ends[0];
    fds[1] = ends[1];
    return KDS_OK;
}

kds_code kds_self_path(char **out, kds_err *e)
{
    static const char LINK[] = "/proc/self/exe";
    for (size_t size = 256; size <= 65536; size *= 2) {
        struct stat st;
        char *path = malloc(size);
        if (path == NULL)
            return kds_fail(e, KDS_NO_MEMORY, "finding the running program: out of memory");
        ssize_t n = readlink(LINK, path, size);
        if (n < 0) {
            free(path);
            return kds_fail_errno(e, KDS_IO, "cannot read %s", LINK);
        }
        if ((size_t)n == size) {
            free(path);
            continue;
        }
        path[n] = '\0';
        /* A program that was replaced or deleted while it runs can still be started by the link. */
        if (stat(path, &st) != 0)
            memcpy(path, LINK, sizeof LINK);
        *out = path;
        return KDS_OK;
    }
    return kds_fail(e, KDS_IO, "the path of the running program is too long");
}
