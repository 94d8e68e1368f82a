/* `eval` and `lint`: kernels and tasks outside any campaign. */
#include "search/cli/command.h"
#include "search/cli/view.h"

#include "eval/task_lint.h"
#include "search/engine/eval_file.h"

#include <stdlib.h>
#include <string.h>

static kds_code eval(const kds_args *args, kds_err *e)
{
    char *json = NULL;
    kds_code code = kds_eval_file(args->operands[0], args->operands[1], args->settings, &json, e);
    if (code != KDS_OK)
        return code;
    cJSON *report = kds_json_parse_record(json, strlen(json));
    if (args->json)
        code = kds_view_json(report, e);
    else
        kds_view_report(stdout, report, NULL, kds_args_flag(args, "rows") != NULL);
    const cJSON *kernels = kds_json_at(kds_json_at(report, "compile"), "kernels"), *k = NULL;
    if (!args->json && cJSON_GetArraySize(kernels))
        printf("\ncompiled kernels\n");
    cJSON_ArrayForEach(k, kernels)
    {
        if (!args->json)
            printf("  %-40s %3.0f registers, %.0f bytes spilled, %.0f bytes static shared memory\n",
                   kds_json_str(k, "kernel", ""), kds_json_num(k, "registers", 0),
                   kds_json_num(k, "spill_store_bytes", 0),
                   kds_json_num(k, "static_shared_bytes", 0));
    }
    cJSON_Delete(report);
    free(json);
    return code;
}

typedef struct linting {
    cJSON *report, *kernels;
    bool json;
    int errors;
} linting;

/* One kernel of the task has been judged. */
static kds_code lint_kernel(void *user, const kds_eval_source *source, const cJSON *report,
                            kds_err *e)
{
    linting *l = user;
    bool ok = strcmp(kds_json_str(report, "verdict", ""), "ok") == 0;
    cJSON *copy = cJSON_Duplicate(report, true);
    if (!copy || !cJSON_AddItemToArray(l->kernels, copy))
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    l->errors += !ok;
    if (l->json)
        return KDS_OK;
    const cJSON *fitness = kds_json_at(report, "fitness");
    if (ok && cJSON_IsNumber(fitness))
        printf("%-8s %-28s %.3fx the baseline (%s)\n", "ok", source->name, fitness->valuedouble,
               kds_view_origin(report));
    else
        printf("%-8s %-28s %s at %s: %.500s\n", "error", source->name,
               kds_json_str(report, "verdict", ""), kds_json_str(report, "stage", ""),
               kds_json_str(report, "message", ""));
    return KDS_OK;
}

static void show_findings(linting *l, const cJSON *findings)
{
    const cJSON *f = NULL;
    cJSON_ArrayForEach(f, findings)
    {
        l->errors += strcmp(kds_json_str(f, "level", ""), "error") == 0;
        if (!l->json)
            printf("%-8s %-28s %s\n", kds_json_str(f, "level", ""), kds_json_str(f, "where", ""),
                   kds_json_str(f, "text", ""));
    }
}

/* Baseline and seeds through the gate that every child goes through. */
static kds_code lint_kernels(linting *l, const kds_task *t, const kds_settings *s, kds_err *e)
{
    kds_eval_source sources[17];
    char names[17][80];
    int n = 0;
    snprintf(names[n], sizeof names[n], "baseline/kernel.cu");
    sources[n] = (kds_eval_source){names[n], t->baseline, strlen(t->baseline)};
    n++;
    for (int i = 0; i < t->seed_count; i++, n++) {
        snprintf(names[n], sizeof names[n], "seeds/%.60s.cu", t->seeds[i].name);
        sources[n] = (kds_eval_source){names[n], t->seeds[i].source, strlen(t->seeds[i].source)};
    }
    return kds_eval_sources(t, s, sources, n, lint_kernel, l, e);
}

static kds_code lint(const kds_args *args, kds_err *e)
{
    kds_task *t = NULL;
    cJSON *findings = NULL;
    linting l = {
        .json = args->json, .kernels = cJSON_CreateArray(), .report = cJSON_CreateObject()};
    kds_code code = kds_task_load(&t, args->operands[0], e);
    if (code == KDS_OK)
        code = kds_task_lint(t, &findings, e);
    if (code == KDS_OK) {
        show_findings(&l, findings);
        code = lint_kernels(&l, t, args->settings, e);
    }
    if (code == KDS_OK && args->json) {
        (void)kds_json_add_str(l.report, "task", t->name);
        (void)kds_json_add_int(l.report, "errors", l.errors);
        cJSON_AddItemToObject(l.report, "findings", findings);
        cJSON_AddItemToObject(l.report, "kernels", l.kernels);
        findings = l.kernels = NULL;
        code = kds_view_json(l.report, e);
    }
    if (code == KDS_OK && l.errors)
        code = kds_fail(e, KDS_INVALID, "%s has %d error%s", args->operands[0], l.errors,
                        l.errors == 1 ? "" : "s");
    cJSON_Delete(findings);
    cJSON_Delete(l.kernels);
    cJSON_Delete(l.report);
    kds_task_free(t);
    return code;
}

const kds_command kds_command_eval = {
    .name = "eval",
    .operands = "TASK FILE.cu",
    .min_operands = 2,
    .max_operands = 2,
    .options = KDS_FOR_EVAL,
    .summary = "judge one kernel outside any campaign",
    .help = "Takes FILE.cu through every stage that a child goes through: lint, plan, compilation, "
            "memory safety,\n"
            "correctness, held-out rows, times, counters, descriptor. Prints verdict, rows, "
            "counters and facts. The\n"
            "exit status is 0 whatever the verdict is; --json has it under \"verdict\".",
    .flags = {{"rows", 0, NULL, "list the quick and held-out rows too"}},
    .run = eval};

const kds_command kds_command_lint = {
    .name = "lint",
    .operands = "TASK",
    .min_operands = 1,
    .max_operands = 1,
    .options = KDS_FOR_EVAL,
    .summary = "prove a task: files, rows, tolerances, its own kernels",
    .help = "Checks a task folder, then takes its baseline and each of its seeds through the gate. "
            "Exits 3 if the task\n"
            "has an error.",
    .run = lint};
