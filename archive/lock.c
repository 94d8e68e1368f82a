/* The writer's lock. The truth is the kernel's lock on the open file; the content is written after
 * it was taken and emptied before it is let go, so a content without a lock is a holder that was
 * killed. If that holder ran on this machine (same boot id, or same host name after a reboot) the
 * kernel's word is final and the lock is taken over; if it ran on another host, the file system may
 * simply not carry locks between hosts, so a person has to decide. */
#include "archive/lock.h"
#include "search/base/clock.h"
#include "search/base/file.h"
#include "search/base/json.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTENT_CAP 4096

struct kds_lock {
    int fd;
    char *path;
};

/* Who holds a lock, as its file says; "" and 0 where it does not. */
typedef struct holder {
    char host[256], boot_id[64], started[64];
    int64_t pid;
} holder;

static void read_boot_id(char *out, size_t size)
{
    out[0] = '\0';
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (f == NULL)
        return;
    if (fgets(out, (int)size, f) != NULL)
        out[strcspn(out, "\n")] = '\0';
    fclose(f);
}

static void describe_self(holder *h)
{
    memset(h, 0, sizeof *h);
    if (gethostname(h->host, sizeof h->host - 1) != 0)
        snprintf(h->host, sizeof h->host, "localhost");
    read_boot_id(h->boot_id, sizeof h->boot_id);
    kds_clock_format(kds_clock_wall_ms(), h->started, sizeof h->started);
    h->pid = getpid();
}

/* False if the file holds no description. */
static bool read_holder(int fd, holder *h)
{
    char text[CONTENT_CAP];
    memset(h, 0, sizeof *h);
    ssize_t got = pread(fd, text, sizeof text, 0);
    cJSON *json = got > 0 ? kds_json_parse_record(text, (size_t)got) : NULL;
    if (!cJSON_IsObject(json)) {
        cJSON_Delete(json);
        return false;
    }
    snprintf(h->host, sizeof h->host, "%s", kds_json_str(json, "host", ""));
    snprintf(h->boot_id, sizeof h->boot_id, "%s", kds_json_str(json, "boot_id", ""));
    snprintf(h->started, sizeof h->started, "%s", kds_json_str(json, "started", ""));
    h->pid = kds_json_int(json, "pid", 0);
    cJSON_Delete(json);
    return h->host[0] != '\0';
}

static kds_code write_holder(int fd, const char *path, kds_err *e)
{
    holder self;
    describe_self(&self);
    kds_code code = KDS_OK;
    cJSON *json = cJSON_CreateObject();
    char *text = NULL;
    if (json == NULL || !kds_json_add_str(json, "host", self.host) ||
        !kds_json_add_int(json, "pid", self.pid) ||
        !kds_json_add_str(json, "boot_id", self.boot_id) ||
        !kds_json_add_str(json, "started", self.started) || (text = kds_json_print(json)) == NULL) {
        code = kds_fail(e, KDS_NO_MEMORY, "%s: out of memory", path);
        goto out;
    }
    size_t len = strlen(text);
    text[len] = '\n'; /* in the place of the NUL: the length is known */
    errno = 0;
    if (pwrite(fd, text, len + 1, 0) != (ssize_t)len + 1 || ftruncate(fd, (off_t)len + 1) != 0) {
        if (errno == 0)
            errno = ENOSPC; /* a short write */
        code = kds_fail_errno(e, KDS_IO, "%s: cannot write the lock", path);
    }
out:
    free(text);
    cJSON_Delete(json);
    return code;
}

static kds_code locked_by_other(int fd, const char *dir, kds_err *e)
{
    holder h;
    if (!read_holder(fd, &h))
        return kds_fail(e, KDS_LOCKED, "%s is locked by another process that is just starting",
                        dir);
    return kds_fail(e, KDS_LOCKED,
                    "%s is locked by pid %lld on host %s since %s: wait for it to end, or stop it "
                    "there with `kdasearch stop`",
                    dir, (long long)h.pid, h.host, h.started);
}

/* Refuses a lock that a process of another host left behind, or still holds unseen. */
static kds_code check_stale(int fd, const char *dir, const char *path, kds_err *e)
{
    holder h, self;
    if (!read_holder(fd, &h))
        return KDS_OK;
    describe_self(&self);
    if (strcmp(h.host, self.host) == 0 || strcmp(h.boot_id, self.boot_id) == 0)
        return KDS_OK;
    return kds_fail(e, KDS_LOCKED,
                    "%s was locked by pid %lld on host %s since %s, and this is host %s, which "
                    "cannot see whether that process still runs. Once you are sure that it does "
                    "not, remove %s and try again",
                    dir, (long long)h.pid, h.host, h.started, self.host, path);
}

/* True if `fd` is still the file at `path`: someone may have removed it in between. */
static bool is_current(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* Opens and locks the file at `path`. */
static kds_code open_locked(int *out, const char *dir, const char *path, kds_err *e)
{
    for (int i = 0; i < 10; i++) {
        struct stat st;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
        if (fd < 0)
            return kds_fail_errno(e, KDS_IO, "%s: cannot open the lock file", path);
        if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
            close(fd);
            return kds_fail(e, KDS_IO, "%s: the lock is not a regular file", path);
        }
        struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fcntl(fd, F_OFD_SETLK, &whole) != 0) {
            kds_code code = errno == EAGAIN || errno == EACCES
                                ? locked_by_other(fd, dir, e)
                                : kds_fail_errno(e, KDS_IO, "%s: cannot lock the file", path);
            close(fd);
            return code;
        }
        if (is_current(fd, path)) {
            *out = fd;
            return KDS_OK;
        }
        close(fd);
    }
    return kds_fail(e, KDS_LOCKED, "%s: the lock file keeps being removed by others", path);
}

kds_code kds_lock_take(kds_lock **out, const char *dir, kds_err *e)
{
    int fd = -1;
    kds_code code = KDS_OK;
    kds_lock *lock = calloc(1, sizeof *lock);
    char *path = kds_path_join(dir, "lock");
    if (lock == NULL || path == NULL) {
        code = kds_fail(e, KDS_NO_MEMORY, "%s: out of memory", dir);
        goto out;
    }
    code = open_locked(&fd, dir, path, e);
    if (code == KDS_OK)
        code = check_stale(fd, dir, path, e);
    if (code == KDS_OK)
        code = write_holder(fd, path, e);
    if (code != KDS_OK)
        goto out;
    *lock = (kds_lock){.fd = fd, .path = path};
    *out = lock;
    return KDS_OK;
out:
    if (fd >= 0)
        close(fd);
    free(path);
    free(lock);
    return code;
}

void kds_lock_release(kds_lock *lock)
{
    if (lock == NULL)
        return;
    /* A content that cannot be removed only makes a later message less exact. */
    int ignored = ftruncate(lock->fd, 0);
    (void)ignored;
    close(lock->fd);
    free(lock->path);
    free(lock);
}

void kds_lock_remove(kds_lock *lock)
{
    if (lock == NULL)
        return;
    unlink(lock->path);
    kds_lock_release(lock);
}

/* ---- Reaching the holder ---- */

/* Opens the lock's file and tells whether someone holds the lock. -1: there is none, or *code says
 * why not. */
static int open_held(const char *dir, bool *held, kds_code *code, kds_err *e)
{
    char *path = kds_path_join(dir, "lock");
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    *held = false;
    *code = KDS_OK;
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    if (path == NULL)
        *code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    else if (fd < 0 && errno != ENOENT)
        *code = kds_fail_errno(e, KDS_IO, "%s: cannot open the lock file", path);
    else if (fd >= 0 && fcntl(fd, F_OFD_GETLK, &whole) != 0)
        *code = kds_fail_errno(e, KDS_IO, "%s: cannot look at the lock", path);
    else
        *held = fd >= 0 && whole.l_type != F_UNLCK;
    if (fd >= 0 && *code != KDS_OK) {
        close(fd);
        fd = -1;
    }
    free(path);
    return fd;
}

kds_code kds_lock_holder(const char *dir, int64_t *pid, kds_err *e)
{
    bool held = false;
    holder h;
    kds_code code = KDS_OK;
    int fd = open_held(dir, &held, &code, e);
    *pid = 0;
    if (fd < 0)
        return code;
    if (held && !read_holder(fd, &h))
        code = kds_fail(e, KDS_LOCKED, "%s is locked by a process that is just starting or ending",
                        dir);
    else if (held)
        *pid = h.pid;
    close(fd);
    return code;
}

/* True if the process has the file open: its number alone may mean one in another container. */
static bool has_open(int64_t pid, int fd)
{
    char path[64];
    struct stat mine, theirs;
    bool found = false;
    snprintf(path, sizeof path, "/proc/%lld/fd", (long long)pid);
    DIR *d = fstat(fd, &mine) == 0 ? opendir(path) : NULL;
    for (struct dirent *entry; d != NULL && !found && (entry = readdir(d)) != NULL;)
        found = fstatat(dirfd(d), entry->d_name, &theirs, 0) == 0 && theirs.st_dev == mine.st_dev &&
                theirs.st_ino == mine.st_ino;
    if (d != NULL)
        closedir(d);
    return found;
}

static kds_code out_of_reach(const char *dir, const holder *h, const char *why, kds_err *e)
{
    return kds_fail(e, KDS_LOCKED,
                    "%s is in use by pid %lld on host %s since %s, which cannot be reached from "
                    "here (%s): stop it there, with `kdasearch stop` or `kill -INT %lld`",
                    dir, (long long)h->pid, h->host, h->started, why, (long long)h->pid);
}

kds_code kds_lock_signal(const char *dir, int signal, kds_err *e)
{
    bool held = false;
    holder h, self;
    kds_code code = KDS_OK;
    int fd = open_held(dir, &held, &code, e), process = -1;
    if (code == KDS_OK && !held)
        code = kds_fail(e, KDS_NOT_FOUND, "nothing runs in %s", dir);
    else if (code == KDS_OK && !read_holder(fd, &h))
        code = kds_fail(e, KDS_LOCKED, "%s is locked by a process that is just starting or ending",
                        dir);
    describe_self(&self);
    if (code == KDS_OK && strcmp(h.boot_id, self.boot_id) != 0)
        code = out_of_reach(dir, &h, "it runs on another machine", e);
    if (code == KDS_OK &&
        (h.pid <= 1 || h.pid > INT32_MAX || (process = pidfd_open((pid_t)h.pid, 0)) < 0))
        code = out_of_reach(dir, &h, "there is no such process; is it in another container?", e);
    if (code == KDS_OK && !has_open(h.pid, fd)) /* the process cannot become another one now */
        code = out_of_reach(dir, &h, "another container or user's", e);
    if (code == KDS_OK && pidfd_send_signal(process, signal, NULL, 0) != 0)
        code = out_of_reach(dir, &h, strerror(errno), e);
    if (process >= 0)
        close(process);
    if (fd >= 0)
        close(fd);
    return code;
}
