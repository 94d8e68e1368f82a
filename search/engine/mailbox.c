/* Files in and out of the mailbox. What lies in in/ comes from anywhere: names are escaped before
 * they are shown, links and special files are never opened, sizes are capped before a byte is read,
 * and nothing is executed or deleted; what cannot be taken is moved aside. */
#include "search/engine/mailbox.h"

#include "search/base/file.h"
#include "search/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FRESH_NS INT64_C(2000000000)
#define FILES_MAX 4096 /* looked at in one pass; the rest waits for the next */
#define SAME_NAMES 1000

struct kds_mailbox {
    char *root, *out, *in, *done, *refused;
};

static kds_code out_of_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

/* A real folder, made if asked for. */
static kds_code open_folder(const char *path, bool make, kds_err *e)
{
    struct stat st;
    if (!path)
        return out_of_memory(e);
    if (make && mkdir(path, 0777) != 0 && errno != EEXIST)
        return kds_fail_errno(e, KDS_IO, "cannot make the folder '%s'", path);
    if (lstat(path, &st) != 0)
        return kds_fail_errno(e, errno == ENOENT ? KDS_NOT_FOUND : KDS_IO, "cannot look into '%s'",
                              path);
    return S_ISDIR(st.st_mode)
               ? KDS_OK
               : kds_fail(e, KDS_INVALID, "'%s' is not a folder; move it away", path);
}

kds_code kds_mailbox_open(kds_mailbox **out, const char *archive, bool make, kds_err *e)
{
    kds_mailbox *m = calloc(1, sizeof *m);
    if (!m)
        return out_of_memory(e);
    m->root = kds_path_join(archive, "mailbox");
    m->out = kds_path_join(archive, "mailbox/out");
    m->in = kds_path_join(archive, "mailbox/in");
    m->done = kds_path_join(archive, "mailbox/in/done");
    m->refused = kds_path_join(archive, "mailbox/in/refused");
    const char *const folders[] = {m->root, m->out, m->in, m->done, m->refused};
    kds_code code = KDS_OK;
    /* Carried folders may have lost the empty ones: with the first there, the others are made. */
    for (size_t i = 0; i < sizeof folders / sizeof *folders && code == KDS_OK; i++)
        code = open_folder(folders[i], make || i > 0, e);
    if (code != KDS_OK) {
        kds_mailbox_close(m);
        return code;
    }
    *out = m;
    return KDS_OK;
}

void kds_mailbox_close(kds_mailbox *m)
{
    if (!m)
        return;
    free(m->root);
    free(m->out);
    free(m->in);
    free(m->done);
    free(m->refused);
    free(m);
}

const char *kds_mailbox_path(const kds_mailbox *m)
{
    return m->root;
}

/* dir/<id>.json; NULL if out of memory. */
static char *file_of(const char *dir, const char *id)
{
    char name[KDS_MAIL_ID + 8];
    snprintf(name, sizeof name, "%s.json", id);
    return kds_path_join(dir, name);
}

kds_code kds_mailbox_post(kds_mailbox *m, const char *text, size_t len, kds_err *e)
{
    char id[KDS_MAIL_ID];
    if (!kds_mail_prompt_id(text, len, id))
        return kds_fail(e, KDS_DAMAGED, "a recorded prompt is not one of the mailbox");
    char *path = file_of(m->out, id);
    kds_code code = path ? kds_file_write_atomic(path, text, len, e) : out_of_memory(e);
    free(path);
    return code;
}

void kds_mailbox_unpost(kds_mailbox *m, const char *id)
{
    char *path = file_of(m->out, id);
    if (path)
        (void)unlink(path);
    free(path);
}

/* The id that a name "<id>.<ending>" begins with; false if it has not that form. */
static bool id_of_name(const char *name, char id[KDS_MAIL_ID])
{
    const char *dot = strrchr(name, '.');
    size_t n = dot ? (size_t)(dot - name) : 0;
    if (n == 0 || n >= KDS_MAIL_ID)
        return false;
    memcpy(id, name, n);
    id[n] = '\0';
    return kds_mail_request_of(id) >= 0;
}

kds_code kds_mailbox_tidy(kds_mailbox *m, kds_mailbox_keep_fn *keep, void *user, kds_err *e)
{
    char id[KDS_MAIL_ID];
    DIR *d = opendir(m->out);
    if (!d)
        return kds_fail_errno(e, KDS_IO, "cannot look into '%s'", m->out);
    for (const struct dirent *entry; (entry = readdir(d)) != NULL;)
        if (kds_text_ends_with(entry->d_name, ".json") && id_of_name(entry->d_name, id) &&
            !keep(user, id))
            kds_mailbox_unpost(m, id);
    closedir(d);
    return KDS_OK;
}

static void KDS_PRINTF(2, 3) refuse(kds_mail_file *f, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    if (f->problem[0])
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    kds_text_escape_into(f->problem, sizeof f->problem, text, strlen(text), false);
}

/* Opens without following a link and without waiting for a FIFO. -1: refused. */
static int open_plain(const char *path, kds_mail_file *f)
{
    struct stat st;
    int fd = -1;
    if (lstat(path, &st) != 0)
        refuse(f, "cannot be examined: %s", strerror(errno));
    else if (S_ISLNK(st.st_mode))
        refuse(f, "a symbolic link; only plain files are taken");
    else if (!S_ISREG(st.st_mode))
        refuse(f, "not a plain file");
    else if ((fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) < 0)
        refuse(f, "cannot be opened: %s", strerror(errno));
    else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        refuse(f, "not a plain file");
        close(fd);
        fd = -1;
    }
    f->inode = st.st_ino;
    f->size = (uint64_t)st.st_size;
    f->changed_ns = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
    return fd;
}

static void read_plain(const char *path, kds_mail_file *f, kds_buf *raw)
{
    char chunk[32768];
    int fd = open_plain(path, f);
    if (fd < 0)
        return;
    if (f->size > KDS_MAIL_FILE_CAP)
        refuse(f, "%llu bytes; at most %u are read", (unsigned long long)f->size,
               KDS_MAIL_FILE_CAP);
    for (ssize_t n; !f->problem[0] && (n = read(fd, chunk, sizeof chunk)) != 0;) {
        if (n < 0 && errno != EINTR)
            refuse(f, "cannot be read: %s", strerror(errno));
        if (n > 0)
            kds_buf_add(raw, chunk, (size_t)n);
        if (raw->bad != KDS_OK)
            refuse(f, "more than %u bytes", KDS_MAIL_FILE_CAP);
    }
    close(fd);
}

/* Which prompt a file answers: JSON says so itself, of other files the name does. */
static void find_id(kds_mail_file *f, const char *base)
{
    char named[KDS_MAIL_ID] = "";
    const char *said = f->reply->id;
    bool has_name = id_of_name(base, named);
    if (f->problem[0])
        return;
    if (*said && kds_mail_request_of(said) < 0)
        refuse(f, "its \"id\" is not the id of a prompt");
    else if (*said && has_name && strcmp(said, named) != 0)
        refuse(f, "its name says %s and its \"id\" says %s", named, said);
    else if (*said || has_name)
        snprintf(f->id, sizeof f->id, "%s", *said ? said : named);
    else if (f->reply->json)
        refuse(f, "it has no \"id\", and its name is not the id of a prompt");
    else
        refuse(f, "its name is not <id>.md with the id of a prompt");
}

static kds_code read_file(const char *path, const char *name, kds_mail_file_fn *fn, void *user,
                          kds_err *e)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    bool json = kds_text_ends_with(base, ".json");
    kds_mail_reply reply = {0};
    kds_mail_file f = {.name = name, .reply = &reply};
    struct timespec now;
    kds_buf raw, text;
    struct stat st;
    if (lstat(path, &st) != 0 && errno == ENOENT) /* taken away since it was listed */
        return KDS_OK;
    kds_buf_init(&raw, KDS_MAIL_FILE_CAP);
    kds_buf_init(&text, KDS_REPLY_CAP);
    kds_code code = KDS_OK;
    if (!json && !kds_text_ends_with(base, ".md") && !kds_text_ends_with(base, ".txt"))
        refuse(&f, "its name ends in none of .md, .txt and .json");
    read_plain(path, &f, &raw);
    if (!f.problem[0])
        code = kds_mail_read(raw.data, raw.len, json, &text, &reply, e);
    if (reply.problem[0])
        refuse(&f, "%s", reply.problem);
    find_id(&f, base);
    f.raw = raw.data;
    f.len = raw.len;
    f.text = text.data;
    f.text_len = text.len;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age = now.tv_sec * INT64_C(1000000000) + now.tv_nsec - f.changed_ns;
    bool whole = reply.json && !f.problem[0];
    f.fresh = !whole && age < FRESH_NS && age > -FRESH_NS;
    if (code == KDS_OK)
        code = fn(user, &f, e);
    kds_buf_free(&raw);
    kds_buf_free(&text);
    return code;
}

kds_code kds_mail_file_read(const char *path, kds_mail_file_fn *fn, void *user, kds_err *e)
{
    return read_file(path, path, fn, user, e);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of files that are still being made, by custom. */
static bool is_unfinished(const char *name)
{
    return name[0] == '.' || kds_text_ends_with(name, ".part") ||
           kds_text_ends_with(name, ".tmp") || kds_text_ends_with(name, "~");
}

/* The names in in/ that may be replies, sorted; the caller frees them. */
static kds_code list_names(kds_mailbox *m, char **names, int *count, kds_err *e)
{
    kds_code code = KDS_OK;
    DIR *d = opendir(m->in);
    if (!d)
        return kds_fail_errno(e, KDS_IO, "cannot look into '%s'", m->in);
    for (const struct dirent *entry; code == KDS_OK && (entry = readdir(d)) != NULL;) {
        struct stat st;
        if (is_unfinished(entry->d_name) || *count == FILES_MAX ||
            fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(st.st_mode))
            continue;
        if ((names[*count] = strdup(entry->d_name)) != NULL)
            ++*count;
        else
            code = out_of_memory(e);
    }
    closedir(d);
    qsort(names, (size_t)*count, sizeof *names, by_name);
    return code;
}

kds_code kds_mailbox_each(kds_mailbox *m, kds_mail_file_fn *fn, void *user, kds_err *e)
{
    char **names = calloc(FILES_MAX, sizeof *names);
    int count = 0;
    kds_code code = names ? list_names(m, names, &count, e) : out_of_memory(e);
    for (int i = 0; i < count; i++) {
        char *path = code == KDS_OK ? kds_path_join(m->in, names[i]) : NULL;
        if (code == KDS_OK)
            code = path ? read_file(path, names[i], fn, user, e) : out_of_memory(e);
        free(path);
        free(names[i]);
    }
    free(names);
    return code;
}

/* Whether the name still stands for what was read. */
static bool is_unchanged(const char *path, const kds_mail_file *f)
{
    struct stat st;
    return lstat(path, &st) == 0 && st.st_ino == f->inode && (uint64_t)st.st_size == f->size &&
           st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec == f->changed_ns;
}

/* Moves in/NAME into `folder` under a name that is free there; `to` gets the new path. */
static kds_code move_to(kds_mailbox *m, const char *folder, const kds_mail_file *f, char **to,
                        kds_err *e)
{
    char shown[200];
    char *from = kds_path_join(m->in, f->name), *wanted = kds_path_join(folder, f->name);
    kds_code code = from && wanted ? KDS_OK : out_of_memory(e);
    bool moved = code != KDS_OK || !is_unchanged(from, f);
    for (int i = 0; i < SAME_NAMES && !moved; i++) {
        free(*to);
        *to = NULL;
        if (asprintf(to, i ? "%s.%d" : "%s", wanted, i) < 0) {
            *to = NULL;
            code = out_of_memory(e);
            break;
        }
        moved = renameat2(AT_FDCWD, from, AT_FDCWD, *to, RENAME_NOREPLACE) == 0;
        if (!moved && errno == EINVAL) /* a file system without the flag */
            moved = access(*to, F_OK) != 0 && rename(from, *to) == 0;
        else if (!moved && errno != EEXIST)
            break;
    }
    if (code == KDS_OK && !moved) {
        kds_text_escape_into(shown, sizeof shown, f->name, strlen(f->name), false);
        code =
            kds_fail_errno(e, KDS_IO, "cannot move '%s' from '%s' to '%s'", shown, m->in, folder);
    }
    free(from);
    free(wanted);
    return code;
}

kds_code kds_mailbox_done(kds_mailbox *m, const kds_mail_file *f, kds_err *e)
{
    char *to = NULL;
    kds_code code = move_to(m, m->done, f, &to, e);
    free(to);
    return code;
}

kds_code kds_mailbox_refuse(kds_mailbox *m, const kds_mail_file *f, const char *why, kds_err *e)
{
    char *to = NULL, *note = NULL;
    kds_code code = move_to(m, m->refused, f, &to, e);
    if (code == KDS_OK && to && asprintf(&note, "%s.why", to) >= 0) {
        char text[500];
        int n = snprintf(text, sizeof text, "%s\n", why);
        code = kds_file_write_atomic(note, text, strnlen(text, (size_t)n), e);
    }
    free(note);
    free(to);
    return code;
}

kds_code kds_mailbox_put(kds_mailbox *m, const char *id, const char *model, const char *text,
                         size_t len, kds_err *e)
{
    cJSON *o = cJSON_CreateObject();
    (void)len; /* the text is UTF-8 without NUL bytes: kds_mail_read has seen to it */
    bool ok = o && kds_json_add_str(o, "id", id) &&
              (!model || !*model || kds_json_add_str(o, "model", model)) &&
              kds_json_add_str(o, "reply", text);
    char *json = ok ? kds_json_print_pretty(o) : NULL, *path = file_of(m->in, id);
    kds_code code =
        json && path ? kds_file_write_atomic(path, json, strlen(json), e) : out_of_memory(e);
    free(json);
    free(path);
    cJSON_Delete(o);
    return code;
}
