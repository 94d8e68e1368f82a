/* Confinement of a worker by the kernel's own means, each used where it exists: Landlock for files
 * (and TCP, abstract sockets and signals on newer kernels), a seccomp filter against sockets, new
 * programs and new processes, no new privileges, no core files. The calls are made by number, so
 * that one binary runs on old and new kernels; glibc has no wrappers for Landlock. */
#include "eval/worker.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights and scopes of ABIs newer than the header that we are built with (linux/landlock.h,
 * kernel 6.12). */
#define FS_ABI_1 ((UINT64_C(1) << 13) - 1)
#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
#define NET_BIND_CONNECT UINT64_C(3)
#define SCOPE_ABSTRACT_UNIX_AND_SIGNAL UINT64_C(3)

typedef struct landlock_attributes {
    uint64_t fs, net, scoped;
} landlock_attributes;

/* The Landlock ABI of this kernel; 0 if there is none or it is switched off. */
static int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

static kds_code allow(int ruleset, const char *dir, uint64_t rights, kds_err *e)
{
    struct landlock_path_beneath_attr rule = {
        .allowed_access = rights, .parent_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (rule.parent_fd < 0)
        return kds_fail_errno(e, KDS_IO, "cannot open folder '%s' for confinement", dir);
    long result = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    kds_code bad = KDS_OK;
    if (result != 0)
        bad = kds_fail_errno(e, KDS_WORKER, "Landlock does not take folder '%s'", dir);
    close(rule.parent_fd);
    return bad;
}

/* `device_dir` (NULL: none) may be read and written, and its files be asked to do what devices do.
 */
static kds_code restrict_files(const char *const *read_dirs, const char *device_dir, kds_err *e)
{
    int abi = landlock_abi();
    const uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    if (abi == 0)
        return KDS_OK;
    landlock_attributes a = {.fs = FS_ABI_1 | (abi >= 2 ? FS_REFER : 0) |
                                   (abi >= 3 ? FS_TRUNCATE : 0) | (abi >= 5 ? FS_IOCTL_DEV : 0),
                             .net = abi >= 4 ? NET_BIND_CONNECT : 0,
                             .scoped = abi >= 6 ? SCOPE_ABSTRACT_UNIX_AND_SIGNAL : 0};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &a, sizeof a, 0);
    if (ruleset < 0)
        return kds_fail_errno(e, KDS_WORKER, "Landlock ABI %d refuses a ruleset", abi);
    kds_code bad = KDS_OK;
    for (int i = 0; bad == KDS_OK && read_dirs[i]; i++)
        bad = allow(ruleset, read_dirs[i], reading, e);
    if (bad == KDS_OK && device_dir != NULL)
        bad = allow(ruleset, device_dir,
                    reading | LANDLOCK_ACCESS_FS_WRITE_FILE | (abi >= 5 ? FS_IOCTL_DEV : 0), e);
    if (bad == KDS_OK && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        bad = kds_fail_errno(e, KDS_WORKER, "Landlock cannot restrict this process");
    close(ruleset);
    return bad;
}

#if defined(__x86_64__)
#define OUR_AUDIT_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_AUDIT_ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef OUR_AUDIT_ARCH
#define FIELD(name) (uint32_t) offsetof(struct seccomp_data, name)
#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, (what))
#define REFUSE ANSWER(SECCOMP_RET_ERRNO | EPERM)
#define REFUSE_CALL(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), REFUSE

/* Refused are calls that reach other processes, other programs or the network. A thread may still
 * be made, a process not; clone3 hides its flags behind a pointer and answers that it does not
 * exist, on which libc falls back to clone. On x86-64 the 32-bit and x32 call numbers are refused
 * altogether. */
static kds_code restrict_calls(kds_err *e)
{
    struct sock_filter program[] = {
        LOAD(FIELD(arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_AUDIT_ARCH, 1, 0),
        REFUSE,
        LOAD(FIELD(nr)),
#ifdef __x86_64__
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1),
        REFUSE,
        REFUSE_CALL(SYS_fork),
        REFUSE_CALL(SYS_vfork),
#endif
        REFUSE_CALL(SYS_socket),
        REFUSE_CALL(SYS_socketpair),
        REFUSE_CALL(SYS_connect),
        REFUSE_CALL(SYS_bind),
        REFUSE_CALL(SYS_listen),
        REFUSE_CALL(SYS_accept),
        REFUSE_CALL(SYS_accept4),
        REFUSE_CALL(SYS_execve),
        REFUSE_CALL(SYS_execveat),
        REFUSE_CALL(SYS_ptrace),
        REFUSE_CALL(SYS_process_vm_readv),
        REFUSE_CALL(SYS_process_vm_writev),
        REFUSE_CALL(SYS_pidfd_getfd),
        REFUSE_CALL(SYS_bpf),
        REFUSE_CALL(SYS_mount),
        REFUSE_CALL(SYS_unshare),
        REFUSE_CALL(SYS_io_uring_setup),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
        LOAD(FIELD(args[0])), /* the low half: both architectures are little-endian */
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0),
        REFUSE,
        ANSWER(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) != 0 && errno != EINVAL &&
        errno != ENOSYS)
        return kds_fail_errno(e, KDS_WORKER, "seccomp refuses our filter");
    return KDS_OK;
}
#else
static kds_code restrict_calls(kds_err *e)
{
    (void)e;
    return KDS_OK;
}
#endif

#ifdef __SANITIZE_ADDRESS__
/* A confined process cannot look for leaks: that needs /proc and a tracing process. */
static int confined;
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return confined;
}
#endif

static kds_code confine(const char *const *read_dirs, const char *device_dir, kds_err *e)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return kds_fail_errno(e, KDS_WORKER, "cannot forbid core files");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return kds_fail_errno(e, KDS_WORKER, "cannot give up new privileges");
    kds_code bad = restrict_files(read_dirs, device_dir, e);
    if (bad == KDS_OK)
        bad = restrict_calls(e);
#ifdef __SANITIZE_ADDRESS__
    confined = bad == KDS_OK;
#endif
    return bad;
}

kds_code kds_worker_confine(const char *const *read_dirs, kds_err *e)
{
    return confine(read_dirs, NULL, e);
}

kds_code kds_worker_confine_judge(bool with_gpu, kds_err *e)
{
    static const char *const driver_dirs[] = {"/proc", "/sys", "/usr", "/lib", "/lib64", "/etc"};
    const char *dirs[sizeof driver_dirs / sizeof driver_dirs[0] + 1] = {NULL};
    for (size_t i = 0, n = 0; with_gpu && i < sizeof driver_dirs / sizeof driver_dirs[0]; i++)
        if (access(driver_dirs[i], F_OK) == 0)
            dirs[n++] = driver_dirs[i];
    return confine(dirs, with_gpu ? "/dev" : NULL, e);
}

void kds_worker_confinement(char *out, size_t size)
{
    char landlock[48] = "no Landlock (files stay readable)";
    int abi = landlock_abi();
    if (abi > 0)
        snprintf(landlock, sizeof landlock, "Landlock ABI %d", abi);
#ifdef OUR_AUDIT_ARCH
    bool filter = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
#else
    bool filter = false;
#endif
    snprintf(out, size, "%s, %s, no new privileges", landlock,
             filter ? "seccomp filter" : "no seccomp filter");
}
