/* Writing a scaffold: nothing that exists is touched, and what is left behind loads as a task. */
#include "search/engine/scaffold_internal.h"

#include "eval/lint.h"
#include "eval/plan.h"
#include "search/base/file.h"
#include "search/engine/import_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct writing {
    const kds_scaffold_options *o;
    kds_guess guess;
    kds_buf source;
    bool made; /* the folder is ours */
    cJSON *report, *files, *notes;
} writing;

static const char *const folders[] = {"baseline", "bench", "docs"};
static const char *const names[] = {"task.json",
                                    "prompt.md",
                                    "baseline/kernel.cu",
                                    "bench/workloads.json",
                                    "bench/mutations.json",
                                    "docs/README.md"};

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

static kds_code write_file(writing *w, const char *name, const kds_buf *text, kds_err *e)
{
    char *path = kds_path_join(w->o->dir, name);
    kds_code code = path ? kds_buf_check(text, name, e) : no_memory(e);
    if (code == KDS_OK)
        code = kds_file_write_atomic(path, text->data, text->len, e);
    free(path);
    return code;
}

static kds_code make_folder(const char *dir, const char *name, kds_err *e)
{
    char *path = kds_path_join(dir, name);
    kds_code code = path ? kds_dir_make(path, e) : no_memory(e);
    free(path);
    return code;
}

/* The folder is new, or there and empty. */
static kds_code claim_folder(writing *w, kds_err *e)
{
    bool empty = false;
    const char *dir = w->o->dir;
    if (!kds_path_exists(dir)) {
        w->made = true;
        return kds_dir_make(dir, e);
    }
    if (!kds_path_is_dir(dir))
        return kds_fail(e, KDS_USAGE, "%s is a file; nothing was written", dir);
    kds_code code = kds_dir_is_empty(dir, &empty, e);
    if (code == KDS_OK && !empty)
        code =
            kds_fail(e, KDS_USAGE, "%s is not empty; nothing was written. Name a new folder", dir);
    return code;
}

static void take_back(const writing *w)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = kds_path_join(w->o->dir, names[i]);
        if (path)
            (void)unlink(path);
        free(path);
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path = kds_path_join(w->o->dir, folders[i]);
        if (path)
            (void)rmdir(path);
        free(path);
    }
    if (w->made)
        (void)rmdir(w->o->dir);
}

static kds_code write_files(writing *w, kds_err *e)
{
    kds_code code = KDS_OK;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && code == KDS_OK; i++)
        code = make_folder(w->o->dir, folders[i], e);
    for (size_t i = 0; i < sizeof names / sizeof *names && code == KDS_OK; i++) {
        kds_buf text;
        kds_buf_init(&text, 1u << 20);
        switch (i) {
        case 0:
            kds_scaffold_task_json(&text, &w->guess);
            break;
        case 1:
            kds_scaffold_card(&text, &w->guess);
            break;
        case 2:
            kds_scaffold_baseline(&text, &w->guess, w->source.data, w->source.len);
            break;
        case 3:
            kds_scaffold_rows_json(&text, &w->guess, NULL);
            break;
        case 4:
            kds_scaffold_mutations_json(&text);
            break;
        default:
            kds_scaffold_docs(&text, &w->guess);
        }
        code = write_file(w, names[i], &text, e);
        if (code == KDS_OK && !cJSON_AddItemToArray(w->files, cJSON_CreateString(names[i])))
            code = no_memory(e);
        kds_buf_free(&text);
    }
    return code;
}

static void note(writing *w, const char *fmt, ...) KDS_PRINTF(2, 3);

static void note(writing *w, const char *fmt, ...)
{
    char text[700];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)cJSON_AddItemToArray(w->notes, cJSON_CreateString(text));
}

/* What the baseline still lacks: a finding is a note, because the folder is there to be mended. */
static kds_code note_findings(writing *w, const kds_task *t, kds_err *e)
{
    kds_finding f;
    kds_plan *plan = NULL;
    kds_finding_clear(&f);
    kds_code code = kds_lint_source(t->baseline, strlen(t->baseline), &f, e);
    if (code == KDS_OK && f.verdict == KDS_VERDICT_OK)
        code = kds_plan_parse(&plan, t, t->baseline, strlen(t->baseline), NULL, &f, e);
    kds_plan_free(plan);
    if (code == KDS_OK && f.verdict != KDS_VERDICT_OK)
        note(w, "baseline/kernel.cu:%d: %s: %.500s", f.line, kds_verdict_name(f.verdict), f.text);
    return code;
}

/* Puts the rows of another project in the place of the examples. */
static kds_code import_rows(writing *w, const kds_task *t, kds_err *e)
{
    cJSON *imported = NULL;
    kds_buf text;
    kds_buf_init(&text, 1u << 20);
    kds_code code = kds_import_rows(t, w->o->rows_path, &imported, e);
    if (code == KDS_OK) {
        kds_scaffold_rows_json(&text, &w->guess, kds_json_at(imported, "rows"));
        code = write_file(w, "bench/workloads.json", &text, e);
    }
    if (code == KDS_OK) {
        kds_task *again = NULL;
        code = kds_task_load(&again, w->o->dir, e);
        kds_task_free(again);
    }
    if (code == KDS_OK) {
        cJSON_AddItemToObject(w->report, "rows", cJSON_DetachItemFromObject(imported, "rows"));
        cJSON_AddItemToObject(w->report, "skipped",
                              cJSON_DetachItemFromObject(imported, "skipped"));
    }
    cJSON_Delete(imported);
    kds_buf_free(&text);
    return code;
}

static kds_code report_params(writing *w, kds_err *e)
{
    const kds_signature *s = &w->guess.s;
    cJSON *list = cJSON_AddArrayToObject(w->report, "params");
    for (int i = 0; i < s->param_count; i++) {
        const kds_param *p = &s->params[i];
        const char *confirm = "";
        char as[120];
        if (p->kind == KDS_PARAM_BUFFER)
            (void)snprintf(as, sizeof as, "%s, %s%s", kds_guess_role(p, &confirm),
                           kds_dtype_name(p->dtype), p->known ? "" : " (a guess)");
        else
            (void)snprintf(as, sizeof as, "%s, %s",
                           kds_guess_shape_index(&w->guess, p->name) >= 0 ? "size" : "value",
                           kds_dtype_name(p->dtype));
        cJSON *o = cJSON_CreateObject();
        if (!list || !o || !cJSON_AddItemToArray(list, o) ||
            !kds_json_add_str(o, "name", p->name) || !kds_json_add_str(o, "type", p->type) ||
            !kds_json_add_str(o, "taken_as", as) || !kds_json_add_str(o, "confirm", confirm))
            return no_memory(e);
    }
    for (int i = 0; i < s->other_count; i++)
        note(w, "the source has another kernel, '%s' (--kernel)", s->others[i]);
    if (w->guess.has_plan)
        note(w, "the source brings its own #pragma kda launch, which was kept");
    return KDS_OK;
}

static kds_code fill_folder(writing *w, kds_err *e)
{
    kds_task *t = NULL;
    kds_code code = write_files(w, e);
    if (code == KDS_OK && (code = kds_task_load(&t, w->o->dir, e)) != KDS_OK)
        code = kds_err_prefix(e, code, "what was guessed from '%s' is no task", w->guess.s.name);
    if (code == KDS_OK && w->o->rows_path)
        code = import_rows(w, t, e);
    if (code == KDS_OK)
        code = note_findings(w, t, e);
    kds_task_free(t);
    return code;
}

kds_code kds_scaffold_write(const kds_scaffold_options *o, cJSON **report, kds_err *e)
{
    writing *w = calloc(1, sizeof *w);
    if (!w)
        return no_memory(e);
    w->o = o;
    w->report = cJSON_CreateObject();
    w->files = w->report ? cJSON_AddArrayToObject(w->report, "files") : NULL;
    w->notes = w->report ? cJSON_AddArrayToObject(w->report, "notes") : NULL;
    kds_buf_init(&w->source, KDS_SOURCE_CAP);
    kds_code code = w->notes && w->files ? kds_file_read(o->source, &w->source, e) : no_memory(e);
    if (code == KDS_OK && (code = kds_guess_make(&w->guess, o->dir, w->source.data, w->source.len,
                                                 o->kernel, e)) != KDS_OK)
        code = kds_err_prefix(e, code, "%s", o->source);
    if (code == KDS_OK)
        code = report_params(w, e);
    if (code == KDS_OK && (code = claim_folder(w, e)) == KDS_OK &&
        (code = fill_folder(w, e)) != KDS_OK)
        take_back(w);
    if (code == KDS_OK && !(kds_json_add_str(w->report, "dir", o->dir) &&
                            kds_json_add_str(w->report, "kernel", w->guess.s.name) &&
                            kds_json_add_int(w->report, "line", w->guess.s.line)))
        code = no_memory(e);
    if (code == KDS_OK)
        *report = w->report;
    else
        cJSON_Delete(w->report);
    kds_buf_free(&w->source);
    free(w);
    return code;
}
