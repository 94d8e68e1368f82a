/* `lint`: the proof of a task, as tables for people. */
#include "search/cli/command.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include "search/engine/prove_task.h"

#include <string.h>

static void show_kernels(const cJSON *report)
{
    static const char *const columns[] = {"kernel", "verdict", ">speed-up", "because", NULL};
    kds_table *t = kds_table_create(columns);
    const cJSON *k = NULL, *origin = cJSON_GetArrayItem(kds_json_at(report, "kernels"), 0);
    cJSON_ArrayForEach(k, kds_json_at(report, "kernels"))
    {
        const cJSON *fitness = kds_json_at(k, "fitness");
        kds_table_text(t, 40, kds_json_str(k, "file", ""));
        kds_table_text(t, 20, kds_json_str(k, "verdict", ""));
        if (cJSON_IsNumber(fitness))
            kds_table_cell(t, "%.3f", fitness->valuedouble);
        else
            kds_table_cell(t, "-");
        kds_table_text(t, 300, kds_json_str(k, "message", ""));
    }
    printf("Kernels: through the gate on %s%s (times %s)\n", kds_json_str(report, "device", ""),
           kds_json_bool(report, "quick", false) ? ", quick rows only" : "",
           kds_json_bool(report, "quick", false) ? "not taken" : kds_view_origin(origin));
    kds_table_print(t, stdout);
    kds_table_free(t);
}

static void show_mutations(const cJSON *report)
{
    static const char *const columns[] = {"mutation", "refused", "by", "because", NULL};
    const cJSON *all = kds_json_at(report, "mutations"), *m = NULL;
    if (cJSON_GetArraySize(all) == 0)
        return;
    kds_table *t = kds_table_create(columns);
    cJSON_ArrayForEach(m, all)
    {
        kds_table_text(t, 44, kds_json_str(m, "what", ""));
        kds_table_cell(t, "%s", kds_json_bool(m, "refused", false) ? "yes" : "NO");
        kds_table_text(t, 18, kds_json_str(m, "verdict", ""));
        kds_table_text(t, 70, kds_json_str(m, "message", ""));
    }
    printf("\nMutations of the baseline: the gate must refuse each\n");
    kds_table_print(t, stdout);
    kds_table_free(t);
}

static void show_inputs(const cJSON *report)
{
    static const char *const columns[] = {"input", "effect", "changed to", "shown by", NULL};
    const cJSON *all = kds_json_at(report, "inputs"), *x = NULL;
    if (cJSON_GetArraySize(all) == 0)
        return;
    kds_table *t = kds_table_create(columns);
    cJSON_ArrayForEach(x, all)
    {
        const cJSON *effect = kds_json_at(x, "effect");
        kds_table_text(t, 40, kds_json_str(x, "name", ""));
        kds_table_cell(t, "%s",
                       cJSON_IsNull(effect)   ? "size"
                       : cJSON_IsTrue(effect) ? "yes"
                                              : "NO");
        kds_table_text(t, 60, kds_json_str(x, "change", ""));
        if (cJSON_IsTrue(effect))
            kds_table_cell(t, "%.60s, row %.40s", kds_json_str(x, "seen", ""),
                           kds_json_str(x, "row", ""));
        else
            kds_table_cell(t, "%s", cJSON_IsNull(effect) ? "the shapes of the buffers" : "");
    }
    printf("\nInputs: what changes when one is changed (baseline, simulator)\n");
    kds_table_print(t, stdout);
    kds_table_free(t);
}

static void show_outputs(const cJSON *report)
{
    static const char *const columns[] = {"row",   "output", ">elements",          ">min", ">max",
                                          ">mean", ">std",   ">beyond the mean %", NULL};
    kds_table *t = kds_table_create(columns);
    const cJSON *r = NULL, *o = NULL;
    cJSON_ArrayForEach(r, kds_json_at(report, "rows"))
    {
        cJSON_ArrayForEach(o, kds_json_at(r, "outputs"))
        {
            kds_table_text(t, 40, kds_json_str(r, "row", ""));
            kds_table_text(t, 30, kds_json_str(o, "name", ""));
            kds_table_cell(t, "%.0f", kds_json_num(o, "elements", 0));
            kds_table_cell(t, "%.4g", kds_json_num(o, "min", 0));
            kds_table_cell(t, "%.4g", kds_json_num(o, "max", 0));
            kds_table_cell(t, "%.4g", kds_json_num(o, "mean", 0));
            kds_table_cell(t, "%.4g", kds_json_num(o, "std", 0));
            kds_table_cell(t, "%.1f", 100 * kds_json_num(o, "apart", 0));
        }
    }
    printf("\nOutputs on plain inputs, and how many elements their mean would get wrong\n");
    kds_table_print(t, stdout);
    kds_table_free(t);
}

static void show_formulas(const cJSON *report)
{
    static const char *const columns[] = {"row",    ">bytes",    ">touched", ">off %", "judged",
                                          ">flops", ">computed", "by",       NULL};
    kds_table *t = kds_table_create(columns);
    const cJSON *r = NULL;
    cJSON_ArrayForEach(r, kds_json_at(report, "rows"))
    {
        const cJSON *b = kds_json_at(r, "traffic"), *w = kds_json_at(r, "work");
        double formula = kds_json_num(b, "formula", 0), counted = kds_json_num(b, "counted", 0);
        if (!b)
            continue;
        kds_table_text(t, 40, kds_json_str(r, "row", ""));
        kds_table_cell(t, "%.0f", formula);
        kds_table_cell(t, "%.0f", counted);
        kds_table_cell(t, "%+.2f", formula > 0 ? 100 * (counted / formula - 1) : 0);
        kds_table_cell(t, "%s", kds_json_bool(b, "judged", false) ? "yes" : "no");
        kds_table_cell(t, "%.6g",
                       kds_json_num(w, "formula", 0) + kds_json_num(w, "tensor_formula", 0));
        kds_table_cell(t, "%.6g", kds_json_num(w, "least", 0));
        kds_table_text(t, 20, kds_json_str(w, "least_by", ""));
    }
    printf(
        "\nFormulas against what the baseline touched, and what the kernel computed that did with "
        "the least (simulator)\n");
    kds_table_print(t, stdout);
    kds_table_free(t);
}

static void show_findings(const cJSON *report)
{
    const cJSON *f = NULL;
    printf("\n");
    cJSON_ArrayForEach(f, kds_json_at(report, "findings"))
        printf("%-8s %s: %s\n", kds_json_str(f, "level", ""), kds_json_str(f, "where", ""),
               kds_json_str(f, "text", ""));
    int errors = (int)kds_json_int(report, "errors", 0);
    int warnings = (int)kds_json_int(report, "warnings", 0);
    printf("%s: %d error%s, %d warning%s\n", kds_json_str(report, "task", ""), errors,
           errors == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
}

static kds_code read_skip(const char *list, kds_proof_options *o, kds_err *e)
{
    while (list && *list) {
        size_t len = strcspn(list, ",");
        if (len == strlen("mutations") && strncmp(list, "mutations", len) == 0)
            o->skip_mutations = true;
        else if (len == strlen("inputs") && strncmp(list, "inputs", len) == 0)
            o->skip_inputs = true;
        else
            return kds_fail(e, KDS_USAGE, "--skip %.*s: the parts are mutations and inputs",
                            (int)len, list);
        list += len + (list[len] == ',');
    }
    return KDS_OK;
}

static kds_code lint(const kds_args *args, kds_err *e)
{
    kds_task *t = NULL;
    cJSON *report = NULL;
    kds_proof_options o = {.quick = kds_args_flag(args, "quick") != NULL};
    kds_code code = read_skip(kds_args_flag(args, "skip"), &o, e);
    if (code == KDS_OK)
        code = kds_task_load(&t, args->operands[0], e);
    if (code == KDS_OK)
        code = kds_prove_task(t, args->settings, &o, &report, e);
    if (code == KDS_OK && args->json)
        code = kds_view_json(report, e);
    else if (code == KDS_OK) {
        show_kernels(report);
        show_mutations(report);
        show_inputs(report);
        show_outputs(report);
        show_formulas(report);
        show_findings(report);
    }
    int errors = (int)kds_json_int(report, "errors", 0);
    if (code == KDS_OK && errors)
        code = kds_fail(e, KDS_INVALID, "%s has %d error%s", args->operands[0], errors,
                        errors == 1 ? "" : "s");
    cJSON_Delete(report);
    kds_task_free(t);
    return code;
}

const kds_command kds_command_lint = {
    .name = "lint",
    .operands = "TASK",
    .min_operands = 1,
    .max_operands = 1,
    .options = KDS_FOR_EVAL,
    .summary = "prove a task: files, kernels, mutations, inputs, outputs, formulas",
    .help =
        "Checks a task folder and proves it with its own kernels:\n"
        "- the baseline and the seeds pass the gate that every child goes through;\n"
        "- the gate refuses every mistake of bench/mutations.json;\n"
        "- every input buffer and scalar, changed, changes an output beyond tolerance, and "
        "outputs are not\n"
        "  constants (on the simulator, whatever the device);\n"
        "- \"bytes\" is within 2 % of what the baseline touches of its inputs and outputs, and "
        "\"flops\" is no more\n"
        "  than any of the task's kernels computes and more than half of the least on some row, on "
        "rows that the\n"
        "  simulator runs whole.\n"
        "Exits 3 if any of it fails.",
    .flags = {{"quick", 0, NULL, "judge kernels and mutations on the quick rows only"},
              {"skip", 0, "PARTS", "leave out mutations, inputs or both (comma between)"}},
    .run = lint};
