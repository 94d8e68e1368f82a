/* Folders. A walk first collects and sorts every path, so that the order is the same on any file
 * system, and refuses what could lead out of the folder or not end: symbolic links, special files,
 * great depth, great numbers. */
#include "search/base/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WALK_DEPTH 8
#define WALK_FILES 10000

kds_code kds_dir_make(const char *path, kds_err *e)
{
    if (mkdir(path, 0777) == 0)
        return KDS_OK;
    if (errno == EEXIST && kds_path_is_dir(path))
        return KDS_OK;
    return kds_fail_errno(e, KDS_IO, "cannot create the folder '%s'", path);
}

kds_code kds_dir_sync(const char *path, kds_err *e)
{
    kds_code code = KDS_OK;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return kds_fail_errno(e, KDS_IO, "cannot open the folder '%s'", path);
    /* EINVAL: a file system that has nothing to sync. */
    if (fsync(fd) != 0 && errno != EINVAL)
        code = kds_fail_errno(e, KDS_IO, "cannot sync the folder '%s'", path);
    close(fd);
    return code;
}

bool kds_path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool kds_path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

kds_code kds_dir_is_empty(const char *path, bool *empty, kds_err *e)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return kds_fail_errno(e, errno == ENOENT ? KDS_NOT_FOUND : KDS_IO,
                              "cannot open the folder '%s'", path);
    struct dirent *entry;
    errno = 0;
    while ((entry = readdir(dir)) != NULL && is_dots(entry->d_name))
        ;
    kds_code code = KDS_OK;
    if (entry == NULL && errno != 0)
        code = kds_fail_errno(e, KDS_IO, "cannot read the folder '%s'", path);
    else
        *empty = entry == NULL;
    closedir(dir);
    return code;
}

typedef struct walk {
    const char *root;
    char **paths;
    size_t count, room;
    kds_err *e;
} walk;

static kds_code keep_path(walk *w, char *path)
{
    if (w->count == WALK_FILES) {
        free(path);
        return kds_fail(w->e, KDS_INVALID, "'%s' holds more than %d files", w->root, WALK_FILES);
    }
    if (w->count == w->room) {
        size_t room = w->room == 0 ? 64 : w->room * 2;
        char **paths = realloc(w->paths, room * sizeof *paths);
        if (paths == NULL) {
            free(path);
            return kds_fail(w->e, KDS_NO_MEMORY, "listing '%s': out of memory", w->root);
        }
        w->paths = paths;
        w->room = room;
    }
    w->paths[w->count++] = path;
    return KDS_OK;
}

static kds_code collect(walk *w, int fd, const char *prefix, int depth);

/* One entry of the folder `fd`, whose path below the root is `path` (taken). */
static kds_code collect_entry(walk *w, int fd, const char *name, char *path, int depth)
{
    struct stat st;
    kds_code code;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        code = kds_fail_errno(w->e, KDS_IO, "cannot examine '%s/%s'", w->root, path);
    } else if (S_ISREG(st.st_mode)) {
        return keep_path(w, path);
    } else if (!S_ISDIR(st.st_mode)) {
        code = kds_fail(w->e, KDS_INVALID,
                        "'%s/%s' is a %s; only regular files and folders are allowed", w->root,
                        path, S_ISLNK(st.st_mode) ? "symbolic link" : "special file");
    } else if (depth == WALK_DEPTH) {
        code = kds_fail(w->e, KDS_INVALID, "'%s/%s': folders are nested deeper than %d", w->root,
                        path, WALK_DEPTH);
    } else {
        int inner = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        code = inner < 0
                   ? kds_fail_errno(w->e, KDS_IO, "cannot open the folder '%s/%s'", w->root, path)
                   : collect(w, inner, path, depth + 1);
    }
    free(path);
    return code;
}

/* Adds everything below the open folder `fd`, which it closes. */
static kds_code collect(walk *w, int fd, const char *prefix, int depth)
{
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return kds_fail_errno(w->e, KDS_IO, "cannot read the folder '%s/%s'", w->root, prefix);
    }
    kds_code code = KDS_OK;
    while (code == KDS_OK) {
        char *path;
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (entry == NULL && errno != 0)
            code = kds_fail_errno(w->e, KDS_IO, "cannot read the folder '%s/%s'", w->root, prefix);
        if (entry == NULL)
            break;
        if (is_dots(entry->d_name))
            continue;
        if (asprintf(&path, "%s%s%s", prefix, *prefix != '\0' ? "/" : "", entry->d_name) < 0)
            code = kds_fail(w->e, KDS_NO_MEMORY, "listing '%s': out of memory", w->root);
        else
            code = collect_entry(w, dirfd(dir), entry->d_name, path, depth);
    }
    closedir(dir);
    return code;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

kds_code kds_dir_walk(const char *dir, kds_file_fn *fn, void *user, kds_err *e)
{
    walk w = {.root = dir, .e = e};
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return kds_fail_errno(e, errno == ENOENT ? KDS_NOT_FOUND : KDS_IO,
                              "cannot open the folder '%s'", dir);
    kds_code code = collect(&w, fd, "", 0);
    if (w.count > 0)
        qsort(w.paths, w.count, sizeof *w.paths, by_bytes);
    for (size_t i = 0; code == KDS_OK && i < w.count; i++)
        code = fn(user, w.paths[i], e);
    for (size_t i = 0; i < w.count; i++)
        free(w.paths[i]);
    free(w.paths);
    return code;
}

typedef struct copy {
    const char *from, *to;
} copy;

/* Makes the folders above `relative` below `root`. */
static kds_code make_parents(const char *root, const char *relative, kds_err *e)
{
    char *path = kds_path_join(root, relative);
    if (path == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "copying '%s': out of memory", relative);
    kds_code code = KDS_OK;
    size_t at = strlen(path) - strlen(relative);
    for (char *slash = strchr(path + at, '/'); slash != NULL && code == KDS_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        code = kds_dir_make(path, e);
        *slash = '/';
    }
    free(path);
    return code;
}

/* Copies the bytes of one open file to another and syncs it. Returns false with errno. */
static bool copy_bytes(int from, int to)
{
    char chunk[32768];
    for (;;) {
        ssize_t n = read(from, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0)
            return fsync(to) == 0;
        for (ssize_t done = 0; done < n;) {
            ssize_t k = write(to, chunk + done, (size_t)(n - done));
            if (k < 0 && errno != EINTR)
                return false;
            done += k > 0 ? k : 0;
        }
    }
}

static kds_code copy_one(void *user, const char *relative, kds_err *e)
{
    const copy *c = user;
    char *source = kds_path_join(c->from, relative), *target = kds_path_join(c->to, relative);
    int in = -1, out = -1;
    kds_code code = make_parents(c->to, relative, e);
    if (code != KDS_OK)
        goto out;
    if (source == NULL || target == NULL) {
        code = kds_fail(e, KDS_NO_MEMORY, "copying '%s': out of memory", relative);
        goto out;
    }
    in = open(source, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0) {
        code = kds_fail_errno(e, KDS_IO, "cannot open '%s'", source);
        goto out;
    }
    out = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (out < 0 || !copy_bytes(in, out))
        code = kds_fail_errno(e, KDS_IO, "cannot copy '%s' to '%s'", source, target);
out:
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    free(source);
    free(target);
    return code;
}

static int sync_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)where;
    return type == FTW_DP && kds_dir_sync(path, NULL) != KDS_OK;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    remove(path);
    return 0;
}

kds_code kds_dir_copy(const char *from, const char *to, kds_err *e)
{
    copy c = {from, to};
    if (mkdir(to, 0777) != 0)
        return kds_fail_errno(e, KDS_IO, "cannot create the folder '%s'", to);
    kds_code code = kds_dir_walk(from, copy_one, &c, e);
    if (code == KDS_OK && nftw(to, sync_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        code = kds_fail_errno(e, KDS_IO, "cannot sync the folder '%s'", to);
    /* Everything below `to` is ours: it was made above. */
    if (code != KDS_OK)
        nftw(to, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return code;
}
