/* `bench gpu`: measures kernels of a task on a GPU. */
#include "search/cli/bench.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include "search/base/text.h"
#include "search/engine/gpu_bench.h"

#include <stdlib.h>
#include <string.h>

/* One line for each kernel and row, on stderr. */
static void note(void *user, const kds_gpu_bench_note *n)
{
    kds_buf line;
    (void)user;
    kds_buf_init(&line, 8192);
    if (n->row != NULL)
        kds_buf_printf(&line, "[%d/%d] %s: ", n->done, n->total, n->row);
    kds_buf_printf(&line, "%s%s%s: ", n->file, *n->tune ? " " : "", n->tune);
    if (n->row != NULL && n->verdict == KDS_VERDICT_OK)
        kds_buf_printf(&line, "%.2f us (spread %.2f %%)", n->us, 100 * n->spread);
    else
        kds_buf_printf(&line, "%s: %.600s", kds_verdict_name(n->verdict), n->message);
    char safe[4096];
    (void)kds_text_escape_into(safe, sizeof safe, line.data, line.len, false);
    fprintf(stderr, "%s\n", safe);
    kds_buf_free(&line);
}

/* Of each row the kernels by their times. */
static void show(const cJSON *report)
{
    const char *columns[] = {"row",   ">us",     ">spread %", ">launches", ">sets",
                             ">cold", ">SM MHz", "kernel",    NULL};
    kds_table *t = kds_table_create(columns);
    const cJSON *k = NULL, *r = NULL;
    int failed = 0;
    cJSON_ArrayForEach(k, kds_json_at(report, "kernels"))
    {
        char *tune = kds_json_print(kds_json_at(k, "tune"));
        failed += strcmp(kds_json_str(k, "verdict", ""), "ok") != 0;
        cJSON_ArrayForEach(r, kds_json_at(k, "rows"))
        {
            if (strcmp(kds_json_str(r, "verdict", ""), "ok") != 0) {
                failed++;
                continue;
            }
            kds_table_cell(t, "%s", kds_json_str(r, "row", ""));
            kds_table_cell(t, "%.2f", kds_json_num(r, "us", 0));
            kds_table_cell(t, "%.2f", 100 * kds_json_num(r, "spread", 0));
            kds_table_cell(t, "%.0f", kds_json_num(r, "launches_per_visit", 0));
            kds_table_cell(t, "%.0f", kds_json_num(r, "sets", 0));
            kds_table_cell(t, "%s", kds_json_bool(r, "cold", false) ? "yes" : "no");
            kds_table_cell(t, "%.0f", kds_json_num(r, "sm_mhz", 0));
            kds_table_cell(t, "%s %s", kds_json_str(k, "file", ""), tune != NULL ? tune : "");
        }
        free(tune);
    }
    const cJSON *device = kds_json_at(report, "device");
    printf("%s on %s, driver %s, NVRTC %s\n", kds_json_str(report, "task", ""),
           kds_json_str(device, "name", ""), kds_json_str(device, "driver", ""),
           kds_json_str(report, "nvrtc", ""));
    kds_table_print(t, stdout);
    kds_table_free(t);
    cJSON_ArrayForEach(r, kds_json_at(report, "rows_skipped"))
    {
        printf("row %s was skipped: %s\n", kds_json_str(r, "row", ""),
               kds_json_str(r, "message", ""));
    }
    if (failed > 0)
        printf("%d results are no times: see the lines above, or --json\n", failed);
}

kds_code kds_bench_gpu(const kds_args *args, kds_err *e)
{
    int64_t sweep = 0, seed = 1;
    const char *device = kds_args_flag(args, "device"), *seconds = kds_args_flag(args, "seconds");
    cJSON *report = NULL;
    kds_gpu_bench_options o = {.task_dir = args->operands[1],
                               .device = device != NULL ? device : "cuda:0",
                               .files = &args->operands[2],
                               .file_count = args->operand_count - 2,
                               .rows = kds_args_flag(args, "rows"),
                               .out = kds_args_flag(args, "out"),
                               .note = note};
    kds_code code = kds_bench_number(args, "sweep", 1, 4096, 0, &sweep, e);
    if (code == KDS_OK)
        code = kds_bench_number(args, "seed", 0, INT64_C(1) << 53, 1, &seed, e);
    if (code == KDS_OK && seconds != NULL &&
        (!kds_text_parse_duration(seconds, &o.seconds) || !(o.seconds > 0)))
        code = kds_fail(e, KDS_USAGE, "--seconds: '%s' is no time; 300, 90s or 5m are", seconds);
    if (code != KDS_OK)
        return code;
    o.sweep = (int)sweep;
    o.seed = (uint64_t)seed;
    code = kds_gpu_bench(&o, &report, e);
    if (code == KDS_OK && args->json)
        code = kds_view_json(report, e);
    else if (code == KDS_OK)
        show(report);
    cJSON_Delete(report);
    return code;
}
