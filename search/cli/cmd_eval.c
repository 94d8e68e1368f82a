/* `eval`: a kernel outside any campaign. */
#include "search/cli/command.h"
#include "search/cli/view.h"

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
