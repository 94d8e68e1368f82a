/* From a file of measured times to samples: every kernel is compiled here from the text that was
 * measured, and simulated on the same inputs. What cannot be simulated is listed, never guessed. */
#include "eval/sim/measured.h"
#include "eval/cuda/gpu_row.h"
#include "search/base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_CAP (512u << 20)
#define POISON 0xff

typedef struct file {
    kds_measured *m;
    const kds_measured_options *o;
    const char *path;
    kds_json_doc *doc;
    const cJSON *root;
    kds_task *task;
    int task_number, first_row; /* its rows are numbered from there on */
    kds_device *device;
    const kds_gpu *gpu;
    kds_bench **benches; /* by row, made when needed */
} file;

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

const char *kds_measured_keep(kds_measured *m, char *text)
{
    if (text == NULL)
        return NULL;
    if (m->name_count == m->name_room) {
        size_t room = m->name_room > 0 ? 2 * m->name_room : 64;
        char **names = realloc(m->names, room * sizeof *names);
        if (names == NULL) {
            free(text);
            return NULL;
        }
        m->names = names;
        m->name_room = room;
    }
    return m->names[m->name_count++] = text;
}

kds_code kds_measured_leave(kds_measured *m, const char *kernel, const char *row, const char *why,
                            kds_err *e)
{
    if (m->left_count == m->left_room) {
        size_t room = m->left_room > 0 ? 2 * m->left_room : 64;
        kds_measured_left *left = realloc(m->left, room * sizeof *left);
        if (left == NULL)
            return no_memory(e);
        m->left = left;
        m->left_room = room;
    }
    kds_measured_left x = {strdup(kernel), strdup(row), strdup(why)};
    if (x.kernel == NULL || x.row == NULL || x.why == NULL) {
        free(x.kernel);
        free(x.row);
        free(x.why);
        return no_memory(e);
    }
    m->left[m->left_count++] = x;
    return KDS_OK;
}

kds_code kds_measured_put(kds_measured *m, const kds_sample *s, kds_err *e)
{
    if (m->count == m->room) {
        size_t room = m->room > 0 ? 2 * m->room : 256;
        kds_sample *samples = realloc(m->samples, room * sizeof *samples);
        if (samples == NULL)
            return no_memory(e);
        m->samples = samples;
        m->room = room;
    }
    m->samples[m->count++] = *s;
    return KDS_OK;
}

static kds_code malformed(const file *f, const cJSON *at, const char *what, kds_err *e)
{
    return kds_json_fail(f->doc, at != NULL ? at : f->root, e,
                         "%s; files for this are written by `kdasearch bench gpu TASK FILE.cu... "
                         "--out FILE.json`",
                         what);
}

static kds_code read_root(file *f, kds_err *e)
{
    kds_code code = kds_json_load(&f->doc, f->path, FILE_CAP, e);
    if (code != KDS_OK)
        return code;
    f->root = kds_json_root(f->doc);
    if (!cJSON_IsObject(f->root) || strcmp(kds_json_str(f->root, "kind", ""), "measured") != 0)
        return malformed(f, NULL, "these are no measured times", e);
    if (kds_json_int(f->root, "format", 0) != 1)
        return malformed(f, kds_json_at(f->root, "format"),
                         "this format is not known here; measure again with this version", e);
    if (!cJSON_IsArray(kds_json_at(f->root, "kernels")))
        return malformed(f, kds_json_at(f->root, "kernels"), "there is no list of kernels", e);
    const cJSON *device = kds_json_at(f->root, "device");
    if (f->m->device[0] == '\0') {
        (void)snprintf(f->m->device, sizeof f->m->device, "%s", kds_json_str(device, "name", "?"));
        (void)snprintf(f->m->driver, sizeof f->m->driver, "%s",
                       kds_json_str(device, "driver", "?"));
    }
    return KDS_OK;
}

/* Tasks of one name are one task, and so are their rows. */
static void number_task(file *f)
{
    for (size_t i = 0; i < f->m->count; i++) {
        const kds_sample *s = &f->m->samples[i];
        const kds_row *row = kds_task_row(f->task, s->row_name);
        if (strcmp(s->task_name, f->task->name) != 0 || row == NULL)
            continue;
        f->task_number = s->task;
        f->first_row = s->row - (int)(row - f->task->rows);
        return;
    }
    f->task_number = f->m->task_count++;
    f->first_row = f->m->row_count;
    f->m->row_count += f->task->row_count;
}

static kds_code open_task(file *f, kds_err *e)
{
    const char *name = kds_json_str(f->root, "task", NULL);
    const char *dir = kds_json_str(f->root, "task_dir", NULL);
    if (name == NULL || *name == '\0' || strchr(name, '/') != NULL || dir == NULL)
        return malformed(f, NULL, "task or task_dir is missing", e);
    char *path = f->o->tasks_dir != NULL ? kds_path_join(f->o->tasks_dir, name) : strdup(dir);
    if (path == NULL)
        return no_memory(e);
    kds_code code = kds_task_load(&f->task, path, e);
    if (code != KDS_OK)
        code = kds_err_prefix(e, code,
                              "%s was measured on task %s, which is looked for at %s (--tasks DIR "
                              "names the folder of all tasks)",
                              f->path, name, path);
    free(path);
    if (code == KDS_OK && strcmp(f->task->name, name) != 0)
        code = kds_fail(e, KDS_INVALID, "%s was measured on task %s, but %s is task %s", f->path,
                        name, f->task->dir, f->task->name);
    if (code == KDS_OK)
        number_task(f);
    if (code == KDS_OK &&
        !(f->benches = calloc((size_t)f->task->row_count + 1, sizeof(kds_bench *))))
        code = no_memory(e);
    if (code == KDS_OK)
        code = kds_device_sim_open(&f->device, f->o->gpu, f->task, 0, "calibration", e);
    f->gpu = kds_gpu_find(f->o->gpu);
    return code;
}

/* Compiles in this process. *out is NULL if there is a finding. */
static kds_code compile(file *f, const char *source, const kds_plan *plan, kds_compiled **out,
                        kds_finding *found, kds_err *e)
{
    kds_frame job, reply;
    kds_frame_init(&job);
    kds_frame_init(&reply);
    kds_code code = kds_compile_job(&job, source, strlen(source), f->gpu->arch, plan, e);
    if (code == KDS_OK)
        code = kds_compile_run(f->o->nvrtc, &job, &reply, e);
    if (code == KDS_OK)
        code = kds_compile_reply(out, &reply, found, e);
    kds_frame_free(&job);
    kds_frame_free(&reply);
    return code;
}

/* Simulates one row as the judge does and keeps what the model was given. */
static kds_code simulate_row(file *f, kds_program *p, int row, double us, const char *kernel,
                             kds_err *e)
{
    kds_finding found;
    kds_run_result run;
    const kds_run_options options = {.poison = POISON, .timed = true};
    kds_code code = KDS_OK;
    kds_finding_clear(&found);
    kds_sim_observed *observed = calloc(1, sizeof *observed);
    if (observed == NULL)
        return no_memory(e);
    if (f->benches[row] == NULL)
        code = f->device->ops->setup(f->device, row, KDS_GPU_INPUT_SEED, 0, &f->benches[row], e);
    kds_device_sim_observe(f->device, observed);
    if (code == KDS_OK)
        code = f->device->ops->run(f->benches[row], p, &options, &run, NULL, &found, e);
    kds_device_sim_observe(f->device, NULL);
    if (code == KDS_OK && found.verdict == KDS_VERDICT_OK && observed->launch_count > 0) {
        kds_sample s = {.task = f->task_number,
                        .row = f->first_row + row,
                        .task_name = kds_measured_keep(f->m, strdup(f->task->name)),
                        .row_name = kds_measured_keep(f->m, strdup(f->task->rows[row].id)),
                        .kernel = kds_measured_keep(f->m, strdup(kernel)),
                        .measured_us = us,
                        .inputs = observed};
        if (s.task_name == NULL || s.row_name == NULL || s.kernel == NULL)
            code = no_memory(e);
        else
            code = kds_measured_put(f->m, &s, e);
        if (code == KDS_OK)
            return KDS_OK;
    }
    free(observed);
    if (code == KDS_OK)
        code = kds_measured_leave(f->m, kernel, f->task->rows[row].id, found.text, e);
    return code;
}

/* The number of a row that was measured, with its time; false if it has none. */
static kds_code read_row(const file *f, const cJSON *r, int *row, double *us, bool *timed,
                         kds_err *e)
{
    const char *id = kds_json_str(r, "row", NULL);
    *timed = false;
    if (!cJSON_IsObject(r) || id == NULL)
        return malformed(f, r, "an entry of rows has no row", e);
    if (strcmp(kds_json_str(r, "verdict", ""), "ok") != 0)
        return KDS_OK;
    *us = kds_json_num(r, "us", 0);
    if (!(*us > 0) || !isfinite(*us))
        return malformed(f, r, "us of a row is no time", e);
    const kds_row *found = kds_task_row(f->task, id);
    if (found == NULL)
        return kds_json_fail(f->doc, r, e,
                             "task %s has no row '%s' by now; measure again with this task",
                             f->task->name, id);
    *row = (int)(found - f->task->rows);
    *timed = true;
    return KDS_OK;
}

static kds_code simulate_rows(file *f, const cJSON *rows, kds_program *p, const char *why,
                              const char *kernel, kds_err *e)
{
    kds_code code = KDS_OK;
    const cJSON *r = NULL;
    cJSON_ArrayForEach(r, rows)
    {
        int row = 0;
        double us = 0;
        bool timed = false;
        if (code == KDS_OK)
            code = read_row(f, r, &row, &us, &timed, e);
        if (code != KDS_OK || !timed)
            continue;
        if (p != NULL)
            code = simulate_row(f, p, row, us, kernel, e);
        else
            code = kds_measured_leave(f->m, kernel, f->task->rows[row].id, why, e);
    }
    return code;
}

static void name_kernel(const cJSON *k, char *out, size_t size)
{
    const cJSON *t = NULL;
    const char *file_name = kds_json_str(k, "file", "?");
    int used = snprintf(out, size, "%s", file_name);
    cJSON_ArrayForEach(t, kds_json_at(k, "tune"))
    {
        if (used > 0 && (size_t)used < size && cJSON_IsNumber(t))
            used +=
                snprintf(out + used, size - (size_t)used, " %s=%.0f", t->string, t->valuedouble);
    }
}

static kds_code add_kernel(file *f, const cJSON *k, kds_err *e)
{
    const char *source = kds_json_str(k, "source", NULL);
    const cJSON *rows = kds_json_at(k, "rows");
    char name[400];
    kds_finding found;
    kds_plan *plan = NULL;
    kds_compiled *compiled = NULL;
    kds_program *program = NULL;
    if (!cJSON_IsObject(k) || source == NULL || !cJSON_IsArray(rows))
        return malformed(f, k, "a kernel has no source or no rows", e);
    kds_finding_clear(&found);
    name_kernel(k, name, sizeof name);
    if (cJSON_GetArraySize(rows) == 0)
        return KDS_OK;
    kds_code code =
        kds_plan_parse(&plan, f->task, source, strlen(source), f->task->baseline, &found, e);
    if (code == KDS_OK && plan != NULL)
        code = compile(f, source, plan, &compiled, &found, e);
    if (code == KDS_OK && compiled != NULL)
        code = f->device->ops->load(f->device, plan, compiled, false, &program, &found, e);
    if (code == KDS_OK)
        code = simulate_rows(f, rows, program, found.text, name, e);
    f->device->ops->unload(program);
    kds_compiled_free(compiled);
    kds_plan_free(plan);
    return code;
}

kds_code kds_measured_add(kds_measured *m, const char *path, const kds_measured_options *o,
                          kds_err *e)
{
    file f = {.m = m, .o = o, .path = path};
    const cJSON *k = NULL;
    int done = 0;
    kds_code code = read_root(&f, e);
    if (code == KDS_OK)
        code = open_task(&f, e);
    const cJSON *kernels = kds_json_at(f.root, "kernels");
    cJSON_ArrayForEach(k, kernels)
    {
        if (code == KDS_OK)
            code = add_kernel(&f, k, e);
        if (code == KDS_OK && o->note != NULL)
            o->note(o->user, path, ++done, cJSON_GetArraySize(kernels));
    }
    for (int i = 0; f.benches != NULL && i < f.task->row_count; i++)
        f.device->ops->teardown(f.benches[i]);
    free(f.benches);
    if (f.device != NULL)
        kds_device_close(f.device);
    kds_task_free(f.task);
    kds_json_free(f.doc);
    return code;
}

void kds_measured_free(kds_measured *m)
{
    for (size_t i = 0; i < m->count; i++)
        free(m->samples[i].inputs);
    for (size_t i = 0; i < m->left_count; i++) {
        free(m->left[i].kernel);
        free(m->left[i].row);
        free(m->left[i].why);
    }
    for (size_t i = 0; i < m->name_count; i++)
        free(m->names[i]);
    free(m->samples);
    free(m->left);
    free(m->names);
    *m = (kds_measured){0};
}
