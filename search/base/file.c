/* Reading and replacing single files. A write goes to ".NAME.kds-tmp" beside the target, which is
 * locked, synced, renamed over the target, and the folder synced. The temporary name is fixed, so
 * that what a kill leaves behind is used up by the next write instead of piling up. */
#include "search/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads `fd` to its end into `out`. */
static kds_code read_all(int fd, const char *path, kds_buf *out, kds_err *e)
{
    char chunk[32768];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n == 0)
            return KDS_OK;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kds_fail_errno(e, KDS_IO, "cannot read '%s'", path);
        kds_buf_add(out, chunk, (size_t)n);
        if (kds_buf_check(out, path, e) != KDS_OK)
            return out->bad;
    }
}

kds_code kds_file_read(const char *path, kds_buf *out, kds_err *e)
{
    struct stat st;
    kds_code code;
    kds_buf_reset(out);
    /* Non-blocking, so that a FIFO is refused below instead of waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return kds_fail_errno(e, errno == ENOENT || errno == ENOTDIR ? KDS_NOT_FOUND : KDS_IO,
                              "cannot open '%s'", path);
    if (fstat(fd, &st) != 0)
        code = kds_fail_errno(e, KDS_IO, "cannot examine '%s'", path);
    else if (!S_ISREG(st.st_mode))
        code = kds_fail(e, KDS_IO, "cannot read '%s': it is %s, not a regular file", path,
                        S_ISDIR(st.st_mode) ? "a folder" : "a special file");
    else if (st.st_size > 0 && (uint64_t)st.st_size > out->cap)
        code = kds_fail(e, KDS_TOO_LARGE, "'%s' has %lld bytes; at most %zu are allowed", path,
                        (long long)st.st_size, out->cap);
    else
        code = read_all(fd, path, out, e);
    close(fd);
    if (code != KDS_OK)
        kds_buf_reset(out);
    return code;
}

/* The folder that holds `path`, owned by the caller. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static char *temporary_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    int folder = slash == NULL ? 0 : (int)(slash + 1 - path);
    char *out;
    return asprintf(&out, "%.*s.%s.kds-tmp", folder, path, path + folder) < 0 ? NULL : out;
}

/* Opens the temporary file and locks it. When the lock was waited for, its last holder has renamed
 * the file away, so the name is looked up again. Returns -1 with errno. */
static int open_locked(const char *temporary)
{
    for (;;) {
        struct stat open_file, named_file;
        int fd = open(temporary, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
            return -1;
        while (flock(fd, LOCK_EX) != 0 && errno == EINTR)
            ;
        if (fstat(fd, &open_file) == 0 && stat(temporary, &named_file) == 0 &&
            open_file.st_ino == named_file.st_ino && open_file.st_dev == named_file.st_dev)
            return fd;
        close(fd);
    }
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static kds_code replace(const char *path, const void *data, size_t len, bool durable, kds_err *e)
{
    char *temporary = temporary_of(path), *folder = parent_of(path);
    kds_code code = KDS_OK;
    int fd = -1;
    if (temporary == NULL || folder == NULL) {
        code = kds_fail(e, KDS_NO_MEMORY, "cannot write '%s': out of memory", path);
        goto out;
    }
    fd = open_locked(temporary);
    if (fd < 0) {
        code = kds_fail_errno(e, KDS_IO, "cannot create a temporary file for '%s'", path);
        goto out;
    }
    if (ftruncate(fd, 0) != 0 || fchmod(fd, 0644) != 0 || !write_all(fd, data, len) ||
        (durable && fsync(fd) != 0)) {
        code = kds_fail_errno(e, KDS_IO, "cannot write '%s' (the old file, if any, is kept)", path);
        unlink(temporary);
        goto out;
    }
    if (rename(temporary, path) != 0) {
        code = kds_fail_errno(e, KDS_IO, "cannot replace '%s'", path);
        unlink(temporary);
        goto out;
    }
    if (durable)
        code = kds_dir_sync(folder, e);
out:
    if (fd >= 0)
        close(fd);
    free(temporary);
    free(folder);
    return code;
}

kds_code kds_file_write_atomic(const char *path, const void *data, size_t len, kds_err *e)
{
    return replace(path, data, len, true, e);
}

kds_code kds_file_write_unsynced(const char *path, const void *data, size_t len, kds_err *e)
{
    return replace(path, data, len, false, e);
}

char *kds_path_join(const char *a, const char *b)
{
    size_t n = strlen(a);
    while (n > 1 && a[n - 1] == '/')
        n--;
    while (*b == '/')
        b++;
    const char *slash = n == 0 || a[n - 1] == '/' ? "" : "/";
    char *out;
    return asprintf(&out, "%.*s%s%s", (int)n, a, slash, b) < 0 ? NULL : out;
}
