/* The lock is an empty file named by the GPU's UUID in the system's folder of temporary files, so
 * that all users of a machine see the same one; the lock itself goes with the process. */
#include "eval/cuda/card_lock.h"
#include "search/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

static int open_lock(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    return fd;
}

kds_code kds_card_lock(const kds_cuda_info *info, double seconds, int *fd, kds_err *e)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    double until = kds_clock_monotonic() + seconds;
    char path[100];
    (void)snprintf(path, sizeof path, "/tmp/kdasearch-%s.lock", info->uuid);
    int at = open_lock(path);
    if (at < 0)
        return kds_fail_errno(e, KDS_IO, "cannot open the lock %s of cuda:%d", path, info->ordinal);
    while (flock(at, LOCK_EX | LOCK_NB) != 0) {
        bool taken = errno == EWOULDBLOCK;
        if (taken && kds_clock_monotonic() < until) {
            nanosleep(&pause, NULL);
            continue;
        }
        kds_code code =
            taken ? kds_fail(e, KDS_NO_DEVICE,
                             "cuda:%d (%s) is in use by another kdasearch; wait for it, or use "
                             "another GPU (the lock is %s)",
                             info->ordinal, info->name, path)
                  : kds_fail_errno(e, KDS_IO, "cannot lock %s", path);
        close(at);
        return code;
    }
    *fd = at;
    return KDS_OK;
}
