/* The rotated log of JSON lines. One write per line on a descriptor in append mode; a line that was
 * torn (disk full, a crash) is ended before the next one, so that every other line stays whole. */
#include "search/base/log.h"
#include "search/base/clock.h"
#include "search/base/file.h"
#include "search/base/json.h"
#include "search/base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct kds_log {
    char *path; /* NULL: goes nowhere */
    int fd;
    size_t size, max_bytes;
    int keep;
    bool torn; /* the file ends in the middle of a line */
};

/* Opens the file for append. Returns false with errno. */
static bool open_file(kds_log *log)
{
    struct stat st;
    char last = '\n';
    log->fd =
        open(log->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
    if (log->fd < 0)
        return false;
    if (fstat(log->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(log->fd);
        log->fd = -1;
        errno = EINVAL;
        return false;
    }
    log->size = (size_t)st.st_size;
    log->torn = st.st_size > 0 && pread(log->fd, &last, 1, st.st_size - 1) == 1 && last != '\n';
    return true;
}

/* Moves path.1 to path.2 and so on, path to path.1, and begins anew. */
static void rotate(kds_log *log)
{
    size_t room = strlen(log->path) + 16;
    char *from = malloc(room), *to = malloc(room);
    if (from != NULL && to != NULL) {
        close(log->fd);
        if (log->keep == 0)
            unlink(log->path);
        for (int i = log->keep; i > 0; i--) {
            snprintf(to, room, "%s.%d", log->path, i);
            if (i > 1)
                snprintf(from, room, "%s.%d", log->path, i - 1);
            else
                snprintf(from, room, "%s", log->path);
            (void)rename(from, to);
        }
        (void)open_file(log);
    }
    free(from);
    free(to);
}

kds_code kds_log_open(kds_log **out, const char *path, size_t max_bytes, int keep, kds_err *e)
{
    kds_log *log = calloc(1, sizeof *log);
    if (log != NULL && path != NULL)
        log->path = strdup(path);
    if (log == NULL || (path != NULL && log->path == NULL)) {
        free(log);
        return kds_fail(e, KDS_NO_MEMORY, "opening a log: out of memory");
    }
    log->fd = -1;
    log->max_bytes = max_bytes;
    log->keep = keep < 0 ? 0 : keep;
    if (path != NULL && !open_file(log)) {
        kds_code code = kds_fail_errno(e, KDS_IO, "cannot open the log '%s'", path);
        kds_log_close(log);
        return code;
    }
    *out = log;
    return KDS_OK;
}

void kds_log_close(kds_log *log)
{
    if (log == NULL)
        return;
    if (log->fd >= 0)
        close(log->fd);
    free(log->path);
    free(log);
}

/* One line as JSON, newline included; NULL if out of memory. */
static char *make_line(const char *level, const char *text)
{
    char now[32];
    cJSON *object = cJSON_CreateObject();
    char *json = NULL, *line = NULL;
    kds_clock_format(kds_clock_wall_ms(), now, sizeof now);
    if (object != NULL && kds_json_add_str(object, "time", now) &&
        kds_json_add_str(object, "level", level) && kds_json_add_str(object, "text", text))
        json = kds_json_print(object);
    if (json != NULL && asprintf(&line, "%s\n", json) < 0)
        line = NULL;
    free(json);
    cJSON_Delete(object);
    return line;
}

static void append(kds_log *log, const char *line)
{
    size_t len = strlen(line);
    if (log->size > 0 && log->size + len > log->max_bytes)
        rotate(log);
    if (log->fd < 0 && !open_file(log))
        return;
    if (log->torn) {
        if (write(log->fd, "\n", 1) != 1)
            return;
        log->torn = false;
        log->size++;
    }
    ssize_t n = write(log->fd, line, len);
    if (n > 0) {
        log->size += (size_t)n;
        log->torn = (size_t)n < len;
    }
}

void kds_log_write(kds_log *log, const char *level, const char *fmt, ...)
{
    kds_buf raw, safe;
    va_list ap;
    if (log == NULL || log->path == NULL)
        return;
    int saved = errno;
    kds_buf_init(&raw, 4 * KDS_LOG_CAP);
    kds_buf_init(&safe, SIZE_MAX);
    va_start(ap, fmt);
    kds_buf_vprintf(&raw, fmt, ap);
    va_end(ap);
    if (raw.bad == KDS_TOO_LARGE)
        kds_text_escape(&safe, "(text too large for the log)", 28, true);
    else
        kds_text_escape(&safe, raw.data, raw.len, true);
    char *line = safe.bad == KDS_OK ? make_line(level, safe.data) : NULL;
    if (line != NULL)
        append(log, line);
    free(line);
    kds_buf_free(&raw);
    kds_buf_free(&safe);
    errno = saved;
}
