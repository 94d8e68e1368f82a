/* `bench search`: how much budget the search needs, against other ways to search. */
#include "search/cli/bench.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include "search/base/text.h"
#include "search/engine/search_bench.h"
#include "search/engine/settings.h"

static void tell(void *user, const char *text)
{
    (void)user;
    (void)fprintf(stderr, "%s\n", text);
}

/* Mean with its interval, and against the arm that the others are compared with: ratio, interval,
 * p. */
static void show_unit(kds_table *t, const cJSON *o, int digits)
{
    kds_table_cell(t, "%.*f (%.*f to %.*f)", digits, kds_json_num(o, "mean", 0), digits,
                   kds_json_num(o, "low", 0), digits, kds_json_num(o, "high", 0));
    if (kds_json_num(o, "ratio", 0) > 0) {
        kds_table_cell(t, "%.2f (%.2f to %.2f)", kds_json_num(o, "ratio", 0),
                       kds_json_num(o, "ratio_low", 0), kds_json_num(o, "ratio_high", 0));
        kds_table_cell(t, "%.2g", kds_json_num(o, "p", 1));
    } else {
        kds_table_cell(t, " ");
        kds_table_cell(t, " ");
    }
}

static void show_arms(const cJSON *list, int64_t campaigns, bool relative)
{
    const char *columns[] = {"arm",    ">reached", ">median", ">decisions (95 %)",
                             ">ratio", ">p",       ">calls",  ">ratio",
                             ">p",     ">USD",     ">ratio",  ">p",
                             NULL};
    kds_table *t = kds_table_create(columns);
    const cJSON *arm = NULL;
    cJSON_ArrayForEach(arm, list)
    {
        const cJSON *d = kds_json_at(arm, "decisions");
        kds_table_cell(t, "%s", kds_json_str(arm, "arm", ""));
        kds_table_cell(t, "%.0f of %lld", kds_json_num(arm, "reached", 0), (long long)campaigns);
        kds_table_cell(t, "%.*f", relative ? 2 : 1, kds_json_num(d, "median", 0));
        show_unit(t, d, relative ? 2 : 1);
        show_unit(t, kds_json_at(arm, "calls"), relative ? 2 : 1);
        show_unit(t, kds_json_at(arm, "cost"), 2);
    }
    kds_table_print(t, stdout);
    kds_table_free(t);
}

static void show(const cJSON *report)
{
    const cJSON *task = NULL, *tasks = kds_json_at(report, "tasks");
    int64_t seeds = kds_json_int(report, "seeds", 0);
    printf("committed decisions until the best has %.0f %% of the optimum's fitness, at most %.0f; "
           "seeds %.0f to %.0f,\n%.0f decisions under way; times are modelled (%s)\n",
           100 * kds_json_num(report, "share", 0), kds_json_num(report, "cap", 0),
           kds_json_num(report, "seed", 0), kds_json_num(report, "seed", 0) + (double)seeds - 1,
           kds_json_num(report, "in_flight", 0), kds_json_str(report, "device", ""));
    cJSON_ArrayForEach(task, tasks)
    {
        printf(
            "\n%s: %.0f kernels (%.0f programs, %.0f with a mistake put in, %.0f pass), %.0f good "
            "enough;\nthe best %.3f times the baseline: %s\n",
            kds_json_str(task, "task", ""), kds_json_num(task, "points", 0),
            kds_json_num(task, "programs", 0), kds_json_num(task, "flawed", 0),
            kds_json_num(task, "ok", 0), kds_json_num(task, "enough", 0),
            kds_json_num(task, "optimum", 0), kds_json_str(task, "optimum_point", ""));
        show_arms(kds_json_at(task, "arms"), seeds, false);
    }
    printf("\nall tasks, each in units of the mean of its first arm\n");
    show_arms(kds_json_at(report, "together"), seeds * cJSON_GetArraySize(tasks), true);
}

static kds_code read_share(const kds_args *args, double *out, kds_err *e)
{
    const char *text = kds_args_flag(args, "share");
    *out = 0.95;
    if (text && (!kds_text_parse_double(text, out) || !(*out > 0) || *out > 1))
        return kds_fail(e, KDS_USAGE, "--share: '%s' is not a number above 0, at most 1", text);
    return KDS_OK;
}

kds_code kds_bench_search(const kds_args *args, kds_err *e)
{
    kds_settings *settings = NULL;
    cJSON *report = NULL;
    const char *workers = kds_args_flag(args, "workers");
    kds_search_bench_options o = {.catalogues = args->operands + 1,
                                  .catalogue_count = args->operand_count - 1,
                                  .verdicts = kds_args_flag(args, "verdicts"),
                                  .arms = kds_args_flag(args, "arms"),
                                  .tell = tell};
    kds_code code = kds_bench_number(args, "seed", 0, 1000000000, 1, &o.seed, e);
    if (code == KDS_OK)
        code = kds_bench_number(args, "seeds", 2, 128, 50, &o.seeds, e);
    if (code == KDS_OK)
        code = kds_bench_number(args, "cap", 10, 100000, 400, &o.cap, e);
    if (code == KDS_OK)
        code = kds_bench_number(args, "in-flight", 1, 256, 8, &o.in_flight, e);
    if (code == KDS_OK)
        code = read_share(args, &o.share, e);
    if (code == KDS_OK)
        code = kds_settings_create(&settings, e);
    if (code == KDS_OK) /* a verdict must not depend on what else the machine does */
        code = kds_settings_set_from(settings, "compile-timeout", "10m", KDS_FROM_FLAG, e);
    if (code == KDS_OK)
        code = kds_settings_set_from(settings, "judge-timeout", "10m", KDS_FROM_FLAG, e);
    if (code == KDS_OK && workers)
        code = kds_settings_set_from(settings, "workers", workers, KDS_FROM_FLAG, e);
    o.settings = settings;
    if (code == KDS_OK)
        code = kds_search_bench(&o, &report, e);
    if (code == KDS_OK && args->json)
        code = kds_view_json(report, e);
    else if (code == KDS_OK)
        show(report);
    cJSON_Delete(report);
    kds_settings_free(settings);
    return code;
}
