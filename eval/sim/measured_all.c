/* Several files of measured times at once: a process each, as many at a time as there are cores.
 * A child writes its samples to a file of its own that has no name; the parent adds them up in the
 * order of the files, so that the result is that of one process. */
#include "eval/sim/measured.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_CAP 4096u

typedef struct child {
    const char *path;
    FILE *out;
    pid_t pid; /* 0: not started, or over */
    int status;
} child;

typedef struct sample_head {
    int task, row;
    double measured_us;
} sample_head;

/* ---- Writing, in the child ---- */

static bool put_text(FILE *to, const char *text)
{
    uint32_t len = (uint32_t)strnlen(text, TEXT_CAP - 1);
    return fwrite(&len, sizeof len, 1, to) == 1 && fwrite(text, 1, len, to) == len;
}

static bool put_all(FILE *to, const kds_measured *m, kds_code code, const char *message)
{
    int32_t result = (int32_t)code;
    uint64_t counts[2] = {m->count, m->left_count};
    bool good = fwrite(&result, sizeof result, 1, to) == 1 && put_text(to, message) &&
                put_text(to, m->device) && put_text(to, m->driver) &&
                fwrite(counts, sizeof counts, 1, to) == 1;
    for (size_t i = 0; good && i < m->count; i++) {
        const kds_sample *s = &m->samples[i];
        const sample_head head = {s->task, s->row, s->measured_us};
        good = fwrite(&head, sizeof head, 1, to) == 1 && put_text(to, s->task_name) &&
               put_text(to, s->row_name) && put_text(to, s->kernel) &&
               fwrite(s->inputs, sizeof *s->inputs, 1, to) == 1;
    }
    for (size_t i = 0; good && i < m->left_count; i++)
        good = put_text(to, m->left[i].kernel) && put_text(to, m->left[i].row) &&
               put_text(to, m->left[i].why);
    return good && fflush(to) == 0;
}

static int run_child(const child *c, const kds_measured_options *o)
{
    kds_measured m = {0};
    kds_err e = {0};
    kds_code code = kds_measured_add(&m, c->path, o, &e);
    bool good = put_all(c->out, &m, code, code != KDS_OK ? e.message : "");
    kds_measured_free(&m);
    return good ? 0 : 1;
}

/* ---- Reading, in the parent ---- */

static char *take_text(FILE *from)
{
    uint32_t len = 0;
    if (fread(&len, sizeof len, 1, from) != 1 || len >= TEXT_CAP)
        return NULL;
    char *text = malloc(len + 1);
    if (text == NULL || fread(text, 1, len, from) != len) {
        free(text);
        return NULL;
    }
    text[len] = '\0';
    return text;
}

static bool take_into(FILE *from, char *to, size_t size)
{
    char *text = take_text(from);
    if (text != NULL && to[0] == '\0')
        (void)snprintf(to, size, "%s", text);
    free(text);
    return text != NULL;
}

/* Tasks of one name are one task, and so are rows of one name of a task. */
static void number(kds_measured *m, kds_sample *s)
{
    s->task = s->row = -1;
    for (size_t i = 0; i < m->count && s->row < 0; i++) {
        const kds_sample *other = &m->samples[i];
        if (strcmp(other->task_name, s->task_name) != 0)
            continue;
        s->task = other->task;
        if (strcmp(other->row_name, s->row_name) == 0)
            s->row = other->row;
    }
    if (s->task < 0)
        s->task = m->task_count++;
    if (s->row < 0)
        s->row = m->row_count++;
}

static bool take_sample(kds_measured *m, FILE *from)
{
    sample_head head;
    kds_sample s = {0};
    bool good = fread(&head, sizeof head, 1, from) == 1;
    s.measured_us = good ? head.measured_us : 0;
    s.task_name = good ? kds_measured_keep(m, take_text(from)) : NULL;
    s.row_name = s.task_name != NULL ? kds_measured_keep(m, take_text(from)) : NULL;
    s.kernel = s.row_name != NULL ? kds_measured_keep(m, take_text(from)) : NULL;
    s.inputs = s.kernel != NULL ? malloc(sizeof *s.inputs) : NULL;
    if (s.inputs == NULL || fread(s.inputs, sizeof *s.inputs, 1, from) != 1) {
        free(s.inputs);
        return false;
    }
    number(m, &s);
    good = kds_measured_put(m, &s, NULL) == KDS_OK;
    if (!good)
        free(s.inputs);
    return good;
}

static bool take_left(kds_measured *m, FILE *from)
{
    char *kernel = take_text(from), *row = take_text(from), *why = take_text(from);
    bool good = kernel != NULL && row != NULL && why != NULL &&
                kds_measured_leave(m, kernel, row, why, NULL) == KDS_OK;
    free(kernel);
    free(row);
    free(why);
    return good;
}

static kds_code take_all(kds_measured *m, const child *c, kds_err *e)
{
    int32_t code = 0;
    uint64_t counts[2] = {0, 0};
    rewind(c->out);
    bool good = fread(&code, sizeof code, 1, c->out) == 1;
    char *message = good ? take_text(c->out) : NULL;
    good = message != NULL && take_into(c->out, m->device, sizeof m->device) &&
           take_into(c->out, m->driver, sizeof m->driver) &&
           fread(counts, sizeof counts, 1, c->out) == 1;
    for (uint64_t i = 0; good && i < counts[0]; i++)
        good = take_sample(m, c->out);
    for (uint64_t i = 0; good && i < counts[1]; i++)
        good = take_left(m, c->out);
    kds_code result = KDS_OK;
    if (!good)
        result = kds_fail(e, KDS_WORKER, "%s: its process ended before its time", c->path);
    else if (code != KDS_OK)
        result = kds_fail(e, (kds_code)code, "%s", message);
    free(message);
    return result;
}

/* ---- All of them ---- */

static kds_code start(child *c, const kds_measured_options *o, kds_err *e)
{
    c->out = tmpfile();
    if (c->out == NULL)
        return kds_fail(e, KDS_IO, "cannot create a temporary file: %s", strerror(errno));
    c->pid = fork();
    if (c->pid < 0)
        return kds_fail(e, KDS_IO, "cannot start a process: %s", strerror(errno));
    if (c->pid == 0)
        _exit(run_child(c, o));
    return KDS_OK;
}

static void wait_for(child *c)
{
    while (c->pid > 0 && waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR)
        continue;
    c->pid = 0;
}

kds_code kds_measured_add_all(kds_measured *m, const char *const *paths, int count,
                              const kds_measured_options *o, kds_err *e)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int most = cores > 1 ? (int)cores : 1, started = 0;
    child *children = calloc((size_t)count + 1, sizeof *children);
    kds_code code = children != NULL ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    for (int i = 0; code == KDS_OK && i < count; i++) {
        for (; code == KDS_OK && started < count && started < i + most; started++) {
            children[started].path = paths[started];
            code = start(&children[started], o, e);
        }
        if (code != KDS_OK)
            break;
        wait_for(&children[i]);
        code = take_all(m, &children[i], e);
    }
    for (int i = 0; children != NULL && i < count; i++) {
        wait_for(&children[i]);
        if (children[i].out != NULL)
            (void)fclose(children[i].out);
    }
    free(children);
    return code;
}
