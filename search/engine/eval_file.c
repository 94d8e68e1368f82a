/* One kernel outside any campaign: the same stages in the same workers, gathered into one report.
 */
#include "search/engine/evaluate.h"

#include "search/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct gathering {
    cJSON *report; /* of the judge, or made here when an earlier stage ended it */
    cJSON *compile;
    bool failed;
} gathering;

static cJSON *kernel_json(const kds_kernel_facts *k, const char *const *defines, int define_count)
{
    cJSON *o = cJSON_CreateObject();
    bool ok = o && kds_json_add_str(o, "kernel", k->name) &&
              kds_json_add_int(o, "registers", k->registers) &&
              kds_json_add_int(o, "spill_store_bytes", k->spill_store_bytes) &&
              kds_json_add_int(o, "spill_load_bytes", k->spill_load_bytes) &&
              kds_json_add_int(o, "stack_bytes", k->stack_bytes) &&
              kds_json_add_int(o, "static_shared_bytes", k->static_shared_bytes) &&
              kds_json_add_int(o, "max_threads", k->max_threads);
    cJSON *list = ok ? cJSON_AddArrayToObject(o, "defines") : NULL;
    for (int i = 0; i < define_count && list; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(defines[i]));
    return o;
}

/* Facts of the compiler: one entry per kernel of each compilation. */
static cJSON *compile_json(const kds_stage *s)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *kernels = o ? cJSON_AddArrayToObject(o, "kernels") : NULL;
    if (!kernels)
        return o;
    (void)kds_json_add_id(o, "program", s->program);
    (void)kds_json_add_int(o, "compilations", s->compiled->module_count);
    (void)kds_json_add_num(o, "seconds", s->seconds);
    (void)kds_json_add_str(o, "log", s->log);
    for (int m = 0; m < s->compiled->module_count; m++) {
        const kds_compile_group *g = kds_plan_group(s->plan, m);
        for (int k = 0; k < s->compiled->modules[m].kernel_count; k++)
            cJSON_AddItemToArray(kernels, kernel_json(&s->compiled->modules[m].kernels[k],
                                                      g->defines, g->define_count));
    }
    return o;
}

static bool gather_stage(void *user, const kds_stage *s)
{
    gathering *g = user;
    if (strcmp(s->stage, "compile") == 0 && s->verdict == KDS_VERDICT_OK) {
        g->compile = compile_json(s);
        return true;
    }
    if (s->verdict == KDS_VERDICT_OK && !s->report)
        return true;
    if (s->report)
        g->report = cJSON_Duplicate(s->report, true);
    else if ((g->report = cJSON_CreateObject()) != NULL) {
        (void)kds_json_add_str(g->report, "verdict", kds_verdict_name(s->verdict));
        (void)kds_json_add_str(g->report, "stage", s->stage);
        (void)kds_json_add_str(g->report, "message", s->message);
        (void)kds_json_add_int(g->report, "line", s->line);
        if (s->log && *s->log)
            (void)kds_json_add_str(g->report, "log", s->log);
    }
    g->failed = g->report == NULL;
    return false;
}

/* Judges the source and gives its report. */
static kds_code judge_source(kds_evaluator *x, gathering *g, const kds_task *t, const char *path,
                             const kds_buf *source, kds_err *e)
{
    kds_code code = kds_evaluator_submit(x, 0, source->data, source->len, t->baseline, e);
    if (code == KDS_OK)
        code = kds_evaluator_finish(x, e);
    if (code == KDS_OK && (g->failed || !g->report))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code != KDS_OK)
        return code;
    (void)kds_json_add_str(g->report, "task", t->name);
    (void)kds_json_add_str(g->report, "file", path);
    (void)kds_json_add_id(g->report, "candidate", kds_id_of(source->data, source->len));
    if (!kds_json_at(g->report, "device"))
        (void)kds_json_add_str(g->report, "device", kds_evaluator_device(x));
    if (g->compile)
        (void)cJSON_AddItemToObject(g->report, "compile", g->compile);
    g->compile = NULL;
    return KDS_OK;
}

kds_code kds_eval_file(const char *task_dir, const char *source_path, const kds_settings *s,
                       char **json, kds_err *e)
{
    kds_task *task = NULL;
    kds_evaluator *x = NULL;
    gathering g = {0};
    kds_buf source;
    const char *seed = kds_settings_text(s, "seed");
    kds_buf_init(&source, 16u << 20); /* far above the cap: the lint says what is too large */
    kds_code code = kds_task_load(&task, task_dir, e);
    if (code == KDS_OK)
        code = kds_file_read(source_path, &source, e);
    kds_evaluator_options o = {.task = task,
                               .settings = s,
                               .gate_seed = kds_hash64(seed, strlen(seed), 0) >> 11,
                               .one_by_one = true,
                               .stage = gather_stage,
                               .user = &g};
    if (code == KDS_OK)
        code = kds_evaluator_create(&x, &o, e);
    if (code == KDS_OK)
        code = kds_evaluator_prepare(x, e);
    if (code == KDS_OK)
        code = judge_source(x, &g, task, source_path, &source, e);
    if (code == KDS_OK && !(*json = kds_json_print(g.report)))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_evaluator_close(x);
    cJSON_Delete(g.report);
    cJSON_Delete(g.compile);
    kds_task_free(task);
    kds_buf_free(&source);
    return code;
}
