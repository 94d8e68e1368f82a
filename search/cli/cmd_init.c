/* `init`: a task folder from a kernel, and rows of another project for one. */
#include "search/cli/command.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include "eval/task.h"
#include "search/base/file.h"
#include "search/engine/import_rows.h"
#include "search/engine/scaffold.h"

#include <stdlib.h>
#include <string.h>

/* Rows that could not be taken over; to stderr where stdout is the rows. */
static void show_skipped(FILE *out, const cJSON *report)
{
    const cJSON *s = NULL;
    cJSON_ArrayForEach(s, kds_json_at(report, "skipped")) fprintf(
        out, "  left out: row '%s': %s\n", kds_json_str(s, "row", ""), kds_json_str(s, "why", ""));
}

static void show_scaffold(const cJSON *report)
{
    static const char *const columns[] = {"parameter", "type", "taken as", "confirm", NULL};
    const char *dir = kds_json_str(report, "dir", "");
    kds_table *t = kds_table_create(columns);
    const cJSON *p = NULL;
    printf("%s: a task made from the kernel '%s' (line %d)\n\n", dir,
           kds_json_str(report, "kernel", ""), (int)kds_json_int(report, "line", 0));
    cJSON_ArrayForEach(p, kds_json_at(report, "params"))
    {
        kds_table_text(t, 40, kds_json_str(p, "name", ""));
        kds_table_text(t, 40, kds_json_str(p, "type", ""));
        kds_table_text(t, 40, kds_json_str(p, "taken_as", ""));
        kds_table_text(t, 120, kds_json_str(p, "confirm", ""));
    }
    kds_table_print(t, stdout);
    kds_table_free(t);
    const cJSON *rows = kds_json_at(report, "rows"), *note = NULL;
    if (rows)
        printf("\n%d rows taken over\n", cJSON_GetArraySize(rows));
    show_skipped(stdout, report);
    cJSON_ArrayForEach(note, kds_json_at(report, "notes"))
        printf("\nnote: %s\n", note->valuestring);
    printf("\nNext: put right what says \"confirm\" in %s, beginning with task.json, then\n"
           "  kdasearch lint %s --quick\n",
           dir, dir);
}

static kds_code scaffold(const kds_args *args, const char *from, kds_err *e)
{
    cJSON *report = NULL;
    const kds_scaffold_options o = {.dir = args->operands[0],
                                    .source = from,
                                    .kernel = kds_args_flag(args, "kernel"),
                                    .rows_path = kds_args_flag(args, "rows")};
    kds_code code = kds_scaffold_write(&o, &report, e);
    if (code == KDS_OK && args->json)
        code = kds_view_json(report, e);
    else if (code == KDS_OK)
        show_scaffold(report);
    cJSON_Delete(report);
    return code;
}

/* Rows for a task that is there: printed, not written. */
static kds_code import(const kds_args *args, const char *rows, kds_err *e)
{
    kds_task *t = NULL;
    cJSON *imported = NULL;
    kds_code code = kds_task_load(&t, args->operands[0], e);
    if (code == KDS_OK)
        code = kds_import_rows(t, rows, &imported, e);
    if (code == KDS_OK && args->json) {
        code = kds_view_json(imported, e);
    } else if (code == KDS_OK) {
        const cJSON *row = NULL, *list = kds_json_at(imported, "rows");
        cJSON_ArrayForEach(row, list)
        {
            char *text = kds_json_print(row);
            printf("    %s%s\n", text ? text : "", row->next ? "," : "");
            free(text);
        }
        fprintf(stderr, "%d rows for \"production\" of %s/bench/workloads.json\n",
                cJSON_GetArraySize(list), args->operands[0]);
        show_skipped(stderr, imported);
    }
    cJSON_Delete(imported);
    kds_task_free(t);
    return code;
}

static kds_code init(const kds_args *args, kds_err *e)
{
    const char *from = kds_args_flag(args, "from"), *rows = kds_args_flag(args, "rows");
    if (from)
        return scaffold(args, from, e);
    if (rows && !kds_args_flag(args, "kernel"))
        return import(args, rows, e);
    return kds_fail(e, KDS_USAGE,
                    "init needs --from KERNEL.cu for a new task, or --rows FILE for rows of a task "
                    "that is there");
}

const kds_command kds_command_init = {
    .name = "init",
    .operands = "DIR",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "make a task from a kernel of your own",
    .help =
        "With --from: reads the signature of a __global__ function and makes the task folder DIR "
        "around it. What the\n"
        "signature cannot say (shapes, which buffers are read and written, sizes, tolerances, the "
        "launch) is guessed, and\n"
        "every guess has a comment with the word \"confirm\". DIR must not exist, or be empty.\n"
        "With --rows: production rows of another project, where their keys and shapes map onto the "
        "task's dims; without\n"
        "--from they are printed for the task DIR, and nothing is written. FILE#NAME chooses the "
        "rows of one task in a\n"
        "file with several. Rows that do not map are named with the reason.",
    .flags = {{"from", 0, "KERNEL.cu", "source with the kernel"},
              {"kernel", 0, "NAME", "which kernel of the source; the first one if absent"},
              {"rows", 0, "FILE[#NAME]", "rows to take over"}},
    .run = init};
