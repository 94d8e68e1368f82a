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

/* How the kernel works: each derived number with its meaning and, where its last edit moved it,
 * what it was before. */
static void add_measures(kds_buf *out, const cJSON *report, const cJSON *before)
{
    const kds_knowledge_name *n;
    size_t start = out->len;
    for (int i = 0; (n = kds_knowledge_name_at(i)) != NULL; i++) {
        double value = 0, old = 0;
        if (!kds_knowledge_value(report, 0, n->name, &value) || value == 0)
            continue;
        kds_buf_printf(out, "- %s: %.3g", n->name, value);
        if (kds_knowledge_value(before, 0, n->name, &old) && fabs(value - old) > 0.03 * fabs(old))
            kds_buf_printf(out, " (%.3g before its last edit)", old);
        kds_buf_printf(out, "%s%s%s\n", *n->meaning ? ": " : "", n->meaning,
                       kds_knowledge_is_simulated(report, n->name) ? " (simulated)" : "");
    }
    if (out->len > start)
        kds_buf_putc(out, '\n');
}

/* "Rows are limited by memory (3), latency (2)." */
static void add_limiters(kds_buf *out, const cJSON *rows)
{
    const char *seen[16];
    int counts[16] = {0}, kinds = 0;
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        const char *limiter = kds_json_str(row, "limiter", "");
        int k = 0;
        while (k < kinds && strcmp(seen[k], limiter) != 0)
            k++;
        if (!*limiter || !text_is(row, "set", "production") || (k == kinds && kinds == 16))
            continue;
        kinds += k == kinds;
        seen[k] = limiter;
        counts[k]++;
    }
    for (int k = 0; k < kinds; k++) {
        kds_buf_puts(out, k ? ", " : "What bounds the rows' longest launch, by the time model: ");
        add_name(out, seen[k]);
        kds_buf_printf(out, " (%d)", counts[k]);
    }
    if (kinds)
        kds_buf_puts(out, ".\n\n");
}

/* How far all rows are from their bound, in words, and what the last edit did to it. */
static void add_standing(kds_buf *out, const cJSON *report, const cJSON *before)
{
    double share = 0, old = kds_json_num(before, "fitness", NAN),
           now = kds_json_num(report, "fitness", NAN);
    if (kds_knowledge_value(report, 0, "of_bound", &share) && share > 0)
        kds_buf_printf(out, "On average it reaches %.0f %% of the bound: %s\n\n", 100 * share,
                       share > 0.85 ? "little is left but traffic that need not be."
                       : share > 0.55
                           ? "latency, narrow accesses or instructions still cost a part."
                           : "most of its time is not the compulsory traffic.");
    if (isfinite(old) && isfinite(now) && old > 0)
        kds_buf_printf(out, "Its last edit made it %.3fx as fast as its own parent was.\n\n",
                       now / old);
}

void kds_prompt_numbers(kds_buf *out, const cJSON *report, const cJSON *before)
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
    add_standing(out, report, before);
    add_limiters(out, rows);
    add_measures(out, report, before);
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
