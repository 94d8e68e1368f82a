/* A judge's report (fields in eval/judge.h) as Markdown for a model. Names in it may come from a
 * candidate (variants), so every text is escaped and shortened before it is written. */
#include "prompts/prompt_internal.h"
#include "search/base/text.h"

#include <math.h>
#include <string.h>

#define ROWS_SHOWN 32
#define VALUES_SHOWN 60

static bool text_is(const cJSON *object, const char *key, const char *what)
{
    return strcmp(kds_json_str(object, key, ""), what) == 0;
}

/* A short piece of text that cannot break a table. */
static void add_name(kds_buf *out, const char *s)
{
    char name[61];
    kds_text_escape_into(name, sizeof name, s, strlen(s), false);
    for (char *p = name; *p; p++)
        if (*p == '|' || *p == '`')
            *p = ' ';
    kds_buf_puts(out, name);
}

/* A cell with a number, "-" if there is none. */
static void add_cell(kds_buf *out, double value, const char *unit)
{
    if (isfinite(value) && value > 0)
        kds_buf_printf(out, " %.4g%s |", value, unit);
    else
        kds_buf_puts(out, " - |");
}

/* "| id | variant | time | baseline | speed-up | bound | share |" */
static void add_row(kds_buf *out, const cJSON *row)
{
    double time = kds_json_num(row, "time_us", 0), base = kds_json_num(row, "baseline_us", 0);
    double bound = kds_json_num(row, "bound_us", 0);
    const char *variant = kds_json_str(row, "variant", "");
    kds_buf_puts(out, "| ");
    add_name(out, kds_json_str(row, "row", "?"));
    kds_buf_puts(out, " | ");
    add_name(out, *variant ? variant : "-");
    kds_buf_puts(out, " |");
    add_cell(out, time, "");
    add_cell(out, base, "");
    add_cell(out, time > 0 ? base / time : 0, "x");
    add_cell(out, bound, "");
    add_cell(out, time > 0 ? 100 * bound / time : 0, " %");
    kds_buf_putc(out, '\n');
}

static void add_rows(kds_buf *out, const cJSON *rows)
{
    int shown = 0, left = 0;
    bool modelled = false;
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        if (!text_is(row, "set", "production"))
            continue;
        if (shown == 0)
            kds_buf_puts(
                out, "| row | variant | time us | baseline us | speed-up | bound us | of bound |\n"
                     "| --- | --- | --- | --- | --- | --- | --- |\n");
        if (shown < ROWS_SHOWN)
            add_row(out, row);
        else
            left++;
        shown++;
        modelled |= kds_json_bool(row, "modelled", false);
    }
    if (left > 0)
        kds_buf_printf(out, "(and %d more rows)\n", left);
    if (shown > 0)
        kds_buf_printf(out,
                       "%sThe bound is the time for the row's compulsory memory traffic or "
                       "arithmetic on this device.\n\n",
                       modelled ? "All times are modelled, not measured. " : "");
}

/* What rows failed with. Of held-out rows only that they did. */
static void add_failures(kds_buf *out, const cJSON *rows)
{
    const cJSON *row, *error;
    int told = 0;
    bool held_out = false, held_out_failed = false;
    cJSON_ArrayForEach(row, rows)
    {
        bool ok = text_is(row, "verdict", "ok");
        if (text_is(row, "set", "held_out")) {
            held_out = true;
            held_out_failed |= !ok;
            continue;
        }
        if (ok || told++ >= 8)
            continue;
        kds_buf_puts(out, "- row ");
        add_name(out, kds_json_str(row, "row", "?"));
        kds_buf_puts(out, ": ");
        add_name(out, kds_json_str(row, "verdict", "?"));
        cJSON_ArrayForEach(error, kds_json_at(row, "errors"))
        {
            kds_buf_puts(out, "; ");
            add_name(out, kds_json_str(error, "buffer", "?"));
            kds_buf_printf(out, ": max error %.4g (baseline %.4g), relative RMSE %.3g",
                           kds_json_num(error, "max_abs", 0),
                           kds_json_num(error, "baseline_max_abs", 0),
                           kds_json_num(error, "rel_rmse", 0));
        }
        kds_buf_putc(out, '\n');
    }
    if (held_out)
        kds_buf_printf(out, "- sizes that are not shown: %s\n",
                       held_out_failed ? "failed" : "passed");
    if (told > 0 || held_out)
        kds_buf_putc(out, '\n');
}

/* "name = value, name = value" of all numbers in an object that are not zero. */
static void add_values(kds_buf *out, const char *title, const cJSON *object)
{
    int n = 0;
    const cJSON *v;
    cJSON_ArrayForEach(v, object)
    {
        if (!cJSON_IsNumber(v) || v->valuedouble == 0 || n >= VALUES_SHOWN)
            continue;
        kds_buf_puts(out, n++ == 0 ? title : ", ");
        add_name(out, v->string);
        kds_buf_printf(out, " = %.6g", v->valuedouble);
    }
    if (n > 0)
        kds_buf_puts(out, "\n\n");
}

/* One ratio of two counters with what it means; nothing if they are missing. */
static void add_ratio(kds_buf *out, const cJSON *counters, const char *over, const char *under,
                      const char *fmt_name, const char *meaning)
{
    double a = kds_json_num(counters, over, NAN), b = kds_json_num(counters, under, 0);
    if (isfinite(a) && b > 0)
        kds_buf_printf(out, "- %s: %.3g %s\n", fmt_name, a / b, meaning);
}

static void add_ratios(kds_buf *out, const cJSON *counters)
{
    size_t before = out->len;
    add_ratio(out, counters, "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum",
              "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum", "sectors per global load request",
              "(4 bytes per lane and coalesced: 4; 16 bytes per lane: 16)");
    add_ratio(out, counters, "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum",
              "l1tex__t_requests_pipe_lsu_mem_global_op_st.sum", "sectors per global store request",
              "(the same scale)");
    add_ratio(out, counters, "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum",
              "sim__unique_sectors_ld.sum", "times each loaded sector was loaded",
              "(1 is the least)");
    add_ratio(out, counters, "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld.sum",
              "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_ld.sum",
              "bank conflicts per shared load wavefront", "(0 is the least)");
    add_ratio(out, counters, "smsp__inst_executed.sum", "sm__warps_launched.sum",
              "instructions per warp", "");
    add_ratio(out, counters, "smsp__thread_inst_executed.sum", "smsp__inst_executed.sum",
              "active lanes per instruction", "(32 is the most)");
    if (out->len > before)
        kds_buf_putc(out, '\n');
}

void kds_prompt_numbers(kds_buf *out, const cJSON *report)
{
    const cJSON *rows = kds_json_at(report, "rows"), *flag;
    const cJSON *counters = kds_json_at(report, "counters");
    double fitness = kds_json_num(report, "fitness", NAN);
    if (!report)
        return;
    if (!text_is(report, "verdict", "ok") && !text_is(report, "verdict", "")) {
        kds_buf_puts(out, "Verdict: ");
        add_name(out, kds_json_str(report, "verdict", ""));
        kds_buf_puts(out, " at stage ");
        add_name(out, kds_json_str(report, "stage", "?"));
        kds_buf_puts(out, "\n\n");
    }
    if (isfinite(fitness) && fitness > 0)
        kds_buf_printf(out,
                       "Fitness: %.4g (weighted geometric mean of baseline time / its time)\n\n",
                       fitness);
    add_rows(out, rows);
    add_failures(out, rows);
    add_ratios(out, counters);
    add_values(out, "Compiled: ", kds_json_at(report, "facts"));
    add_values(out, "Counters: ", counters);
    int n = 0;
    cJSON_ArrayForEach(flag, kds_json_at(report, "flags"))
    {
        if (!cJSON_IsString(flag))
            continue;
        kds_buf_puts(out, n++ == 0 ? "Flags: " : ", ");
        add_name(out, flag->valuestring);
    }
    if (n > 0)
        kds_buf_putc(out, '\n');
    while (out->len > 0 && out->data[out->len - 1] == '\n')
        out->data[--out->len] = '\0';
}
