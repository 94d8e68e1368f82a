/* `bench engine`: how many candidates an hour a machine gets through, and where the time goes. */
#include "search/cli/bench.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include "search/engine/engine_bench.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>

static int remove_entry(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
    (void)sb, (void)type, (void)ftw;
    return remove(path);
}

static void show(const cJSON *r)
{
    const char *columns[] = {"stage", ">workers", ">jobs", ">ms each", ">busy", NULL};
    const cJSON *stage = NULL;
    double seconds = kds_json_num(r, "seconds", 1);
    const char *model = kds_json_str(r, "model", "");
    printf("%s on %s%s%s%s: %.0f candidates and %.0f duels in %.1f s, %.0f candidates an hour\n"
           "%.1f s to get ready; the engine itself %.2f ms a candidate (%.2f ms of a core)\n\n",
           kds_json_str(r, "task", ""), kds_json_str(r, "device", ""), *model ? " (" : "", model,
           *model ? ")" : "", kds_json_num(r, "candidates", 0), kds_json_num(r, "duels", 0),
           seconds, kds_json_num(r, "per_hour", 0), kds_json_num(r, "prepare_seconds", 0),
           kds_json_num(r, "engine_ms", 0), kds_json_num(r, "engine_cpu_ms", 0));
    kds_table *t = kds_table_create(columns);
    cJSON_ArrayForEach(stage, kds_json_at(r, "stages"))
    {
        double jobs = kds_json_num(stage, "jobs", 0), sum = kds_json_num(stage, "seconds", 0);
        double workers = kds_json_num(stage, "workers", 1);
        kds_table_cell(t, "%s", stage->string);
        kds_table_cell(t, "%.0f", workers);
        kds_table_cell(t, "%.0f", jobs);
        kds_table_cell(t, "%.1f", jobs > 0 ? 1e3 * sum / jobs : 0);
        kds_table_cell(t, "%.0f %%", 100 * sum / seconds / workers);
    }
    kds_table_print(t, stdout);
    kds_table_free(t);
}

/* The archive is made in a folder of its own under the working folder, and removed afterwards. */
kds_code kds_bench_engine(const kds_args *args, kds_err *e)
{
    char dir[] = "kdasearch-bench-XXXXXX";
    const char *device = kds_args_flag(args, "device");
    cJSON *report = NULL;
    kds_engine_bench_options o = {
        .task_dir = args->operands[1], .device = device ? device : "cuda:0", .folder = dir};
    kds_code code = kds_bench_number(args, "candidates", 1, 1000000, 200, &o.candidates, e);
    if (code == KDS_OK)
        code = kds_bench_number(args, "in-flight", 1, 256, 0, &o.in_flight, e);
    if (code == KDS_OK)
        code = kds_bench_number(args, "workers", 1, 512, 0, &o.workers, e);
    if (code != KDS_OK)
        return code;
    if (!mkdtemp(dir))
        return kds_fail_errno(e, KDS_IO, "making a folder for the benchmark here");
    code = kds_engine_bench(&o, &report, e);
    (void)nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    if (code == KDS_OK && args->json)
        code = kds_view_json(report, e);
    else if (code == KDS_OK)
        show(report);
    cJSON_Delete(report);
    return code;
}
