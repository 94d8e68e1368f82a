/* `bench duel`: duels of two kernels of a task on a GPU. */
#include "search/cli/bench.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include "search/base/text.h"
#include "search/engine/duel_bench.h"

#include <math.h>
#include <string.h>

/* One line for each duel, on stderr. */
static void note(void *user, const kds_duel_bench_note *n)
{
    kds_buf line;
    const cJSON *d = n->duel, *finding = kds_json_at(d, "finding");
    (void)user;
    kds_buf_init(&line, 8192);
    kds_buf_printf(&line, "[%d/%d] ", n->done, n->total);
    if (finding != NULL)
        kds_buf_printf(&line, "the %s failed: %s: %.600s", kds_json_str(finding, "arm", ""),
                       kds_json_str(finding, "verdict", ""), kds_json_str(finding, "message", ""));
    else
        kds_buf_printf(&line, "%s: %s; %.2f s", kds_json_str(d, "verdict", ""),
                       kds_json_str(d, "why", ""), kds_json_num(d, "seconds", 0));
    char safe[4096];
    (void)kds_text_escape_into(safe, sizeof safe, line.data, line.len, false);
    fprintf(stderr, "%s\n", safe);
    kds_buf_free(&line);
}

#define SHOWN 40 /* duels in the table; all are in the report */

static void show_duels(const cJSON *duels)
{
    const char *columns[] = {"seed",    "verdict",  ">gain %", ">from %", ">to %",
                             ">rounds", ">repeats", ">s",      NULL};
    kds_table *t = kds_table_create(columns);
    const cJSON *d = NULL;
    int count = cJSON_GetArraySize(duels), shown = 0;
    cJSON_ArrayForEach(d, duels)
    {
        if (shown++ == SHOWN)
            break;
        kds_table_cell(t, "%.0f", kds_json_num(d, "seed", 0));
        kds_table_cell(t, "%s", kds_json_str(d, "verdict", "failed"));
        kds_table_cell(t, "%+.3f", 100 * kds_json_num(d, "gain", NAN));
        kds_table_cell(t, "%+.3f", 100 * kds_json_num(d, "low", NAN));
        kds_table_cell(t, "%+.3f", 100 * kds_json_num(d, "high", NAN));
        kds_table_cell(t, "%.0f", kds_json_num(d, "counted", 0));
        kds_table_cell(t, "%.0f", kds_json_num(d, "repeats", 0));
        kds_table_cell(t, "%.2f", kds_json_num(d, "seconds", 0));
    }
    kds_table_print(t, stdout);
    kds_table_free(t);
    if (count > SHOWN)
        printf("and %d more\n", count - SHOWN);
}

/* Times of the rows, from the last duel that has them. */
static void show_rows(const cJSON *duels)
{
    const char *columns[] = {"row",           "arm",       ">cold us", ">cold wall us", ">warm us",
                             ">warm wall us", ">launches", ">sets",    "cold by",       NULL};
    const cJSON *d = NULL, *last = NULL, *row = NULL;
    cJSON_ArrayForEach(d, duels)
    {
        last = kds_json_at(d, "finding") == NULL ? d : last;
    }
    if (last == NULL)
        return;
    kds_table *t = kds_table_create(columns);
    cJSON_ArrayForEach(row, kds_json_at(last, "rows"))
    {
        for (int arm = 0; arm < 2; arm++) {
            const char *name = arm == 0 ? "incumbent" : "child";
            const cJSON *a = kds_json_at(row, name), *cold = kds_json_at(a, "cold"),
                        *warm = kds_json_at(a, "warm");
            kds_table_cell(t, "%s", kds_json_str(row, "row", ""));
            kds_table_cell(t, "%s", name);
            kds_table_cell(t, "%.2f", kds_json_num(cold, "device_us", NAN));
            kds_table_cell(t, "%.2f", kds_json_num(cold, "wall_us", NAN));
            kds_table_cell(t, "%.2f", kds_json_num(warm, "device_us", NAN));
            kds_table_cell(t, "%.2f", kds_json_num(warm, "wall_us", NAN));
            kds_table_cell(t, "%.0f", kds_json_num(row, "launches", 0));
            kds_table_cell(t, "%.0f", kds_json_num(row, "sets", 0));
            kds_table_cell(t, "%s", kds_json_str(row, "cold", ""));
        }
    }
    kds_table_print(t, stdout);
    kds_table_free(t);
}

static void show(const cJSON *report)
{
    const cJSON *device = kds_json_at(report, "device"), *s = kds_json_at(report, "summary"),
                *x = kds_json_at(s, "estimates"), *duels = kds_json_at(report, "duels");
    double n = kds_json_num(s, "duels", 0), each = n > 0 ? 100 / n : 0;
    printf("%s on %s, driver %s, NVRTC %s: %s against %s%s\n", kds_json_str(report, "task", ""),
           kds_json_str(device, "name", ""), kds_json_str(device, "driver", ""),
           kds_json_str(report, "nvrtc", ""),
           kds_json_str(kds_json_at(report, "child"), "file", ""),
           kds_json_str(kds_json_at(report, "incumbent"), "file", ""),
           kds_json_bool(report, "renamed", false) ? " (a renamed copy of itself)" : "");
    show_duels(duels);
    show_rows(duels);
    printf("%.0f duels: faster %.0f (%.2f %%), not_faster %.0f (%.2f %%), unresolved %.0f (%.2f "
           "%%), failed %.0f\n",
           n, kds_json_num(s, "faster", 0), each * kds_json_num(s, "faster", 0),
           kds_json_num(s, "not_faster", 0), each * kds_json_num(s, "not_faster", 0),
           kds_json_num(s, "unresolved", 0), each * kds_json_num(s, "unresolved", 0),
           kds_json_num(s, "failed", 0));
    printf("rounds %.1f and %.3f s a duel; %.0f rounds repeated, %.0f duels ended by disturbance\n",
           kds_json_num(s, "rounds", 0), kds_json_num(s, "seconds", 0),
           kds_json_num(s, "repeats", 0), kds_json_num(s, "disturbed", 0));
    printf(
        "ln(child/incumbent) in %%: mean %+.4f, sd %.4f, p1 %+.4f, median %+.4f, p99 %+.4f; 99th "
        "percentile of its magnitude %.4f\n",
        100 * kds_json_num(x, "mean", 0), 100 * kds_json_num(x, "sd", 0),
        100 * kds_json_num(x, "p1", 0), 100 * kds_json_num(x, "p50", 0),
        100 * kds_json_num(x, "p99", 0), 100 * kds_json_num(x, "floor", 0));
}

/* A share of a flag, from 0 to `most`. */
static kds_code share_flag(const kds_args *args, const char *flag, double most, double *out,
                           kds_err *e)
{
    const char *text = kds_args_flag(args, flag);
    if (text != NULL && (!kds_text_parse_double(text, out) || !(*out >= 0 && *out <= most)))
        return kds_fail(e, KDS_USAGE, "--%s: '%s' is no share from 0 to %g; 0.01 is 1 %%", flag,
                        text, most);
    return KDS_OK;
}

static kds_code take_files(const kds_args *args, kds_duel_bench_options *o, kds_err *e)
{
    const char *aa = kds_args_flag(args, "aa");
    if (args->operand_count != (aa != NULL ? 2 : 4))
        return kds_fail(e, KDS_USAGE,
                        "usage: kdasearch bench duel TASK INCUMBENT.cu CHILD.cu, or TASK --aa "
                        "FILE.cu");
    o->task_dir = args->operands[1];
    o->incumbent = aa != NULL ? aa : args->operands[2];
    o->child = aa != NULL ? NULL : args->operands[3];
    return KDS_OK;
}

kds_code kds_bench_duel(const kds_args *args, kds_err *e)
{
    int64_t duels = 1, seed = 1;
    const char *device = kds_args_flag(args, "device"), *seconds = kds_args_flag(args, "seconds");
    cJSON *report = NULL;
    kds_duel_bench_options o = {.device = device != NULL ? device : "cuda:0",
                                .rows = kds_args_flag(args, "rows"),
                                .warm = kds_args_flag(args, "warm") != NULL,
                                .fresh = kds_args_flag(args, "fresh") != NULL,
                                .out = kds_args_flag(args, "out"),
                                .note = note};
    kds_code code = take_files(args, &o, e);
    if (code == KDS_OK)
        code = kds_bench_number(args, "duels", 1, 100000, 1, &duels, e);
    if (code == KDS_OK)
        code = kds_bench_number(args, "seed", 0, INT64_C(1) << 52, 1, &seed, e);
    if (code == KDS_OK)
        code = share_flag(args, "slowdown", 0.5, &o.slowdown, e);
    if (code == KDS_OK)
        code = share_flag(args, "floor", 0.5, &o.floor, e);
    if (code == KDS_OK && seconds != NULL &&
        (!kds_text_parse_duration(seconds, &o.seconds) || !(o.seconds > 0)))
        code = kds_fail(e, KDS_USAGE, "--seconds: '%s' is no time; 300, 90s or 5m are", seconds);
    if (code != KDS_OK)
        return code;
    o.duels = (int)duels;
    o.seed = (uint64_t)seed;
    code = kds_duel_bench(&o, &report, e);
    if (code == KDS_OK && args->json)
        code = kds_view_json(report, e);
    else if (code == KDS_OK)
        show(report);
    cJSON_Delete(report);
    return code;
}
