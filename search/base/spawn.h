/* Child processes with limits and deadlines. A child runs in its own process group, dies with its
 * parent (PR_SET_PDEATHSIG), inherits only the descriptors it is given, and is ended by SIGTERM,
 * then SIGKILL to the group. */
#ifndef KDS_BASE_SPAWN_H
#define KDS_BASE_SPAWN_H

#include "search/base/err.h"
#include <sys/types.h>

typedef struct kds_spawn_options {
    const char *const *argv; /* argv[0] is the path of the program; NULL-terminated */
    int channel_fd;          /* becomes descriptor 3 of the child; -1 for none */
    int stderr_fd;           /* -1: /dev/null */
    uint64_t memory_bytes;   /* RLIMIT_AS; 0 for none; not under AddressSanitizer */
    uint64_t data_bytes;     /* RLIMIT_DATA: private memory that can be written; 0 for none. For
                                processes that reserve far more addresses than they use, as CUDA
                                does; not under AddressSanitizer */
    uint64_t cpu_seconds;    /* RLIMIT_CPU; 0 for none */
    uint64_t file_bytes;     /* RLIMIT_FSIZE; 0 allows no file writing at all, stderr_fd included if
                                it is a file; writes beyond it fail with EFBIG */
    bool keep_environment;   /* else only PATH, HOME, LANG, LD_LIBRARY_PATH, CUDA_PATH, CUDA_HOME,
                                CUDA_VISIBLE_DEVICES, CUDA_DEVICE_ORDER, ASAN/UBSAN options */
} kds_spawn_options;

/* Starts a child; stdin and stdout are /dev/null, signals are at their defaults (SIGXFSZ ignored).
 * Returns once the program runs: one that cannot be executed is an error here, with its errno. The
 * child dies with the thread that called this. */
KDS_MUST_USE kds_code kds_spawn(pid_t *out, const kds_spawn_options *o, kds_err *e);
/* True if it has ended; then *status is its wait status, it is reaped, and what is left of its
 * group is killed. For a pid that is no (longer a) child: true, with the status of exit code 255.
 */
bool kds_spawn_ended(pid_t pid, int *status);
/* Signals the whole group; a group that is gone is no error. */
void kds_spawn_signal(pid_t pid, int sig);
/* SIGTERM to the group, at most grace_ms for the child to end, SIGKILL to the group, and reaps it.
 */
void kds_spawn_end(pid_t pid, int grace_ms);
/* "exited with status 3", "killed by signal 9 (Killed)". */
void kds_spawn_describe(int status, char *out, size_t size);
/* A connected pair of stream sockets, close-on-exec: [0] for the parent (non-blocking), [1] for the
 * child. */
KDS_MUST_USE kds_code kds_channel_pair(int fds[2], kds_err *e);
/* Path of the running program (/proc/self/exe), owned by the caller. */
KDS_MUST_USE kds_code kds_self_path(char **out, kds_err *e);

#endif
