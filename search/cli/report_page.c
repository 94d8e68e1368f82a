/* The page's sections, from the outcome to the evidence. */
#include "search/cli/report.h"

#include "search/base/clock.h"
#include "search/base/text.h"
#include "search/cli/amdahl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_CAP (64u << 20)

static void keep(kds_report *r, kds_code code, const kds_err *err)
{
    if (r->code == KDS_OK && code != KDS_OK) {
        r->code = code;
        r->err = *err;
    }
}

void kds_report_select(kds_report *r, const char *sql, kds_row_fn *fn, void *user)
{
    kds_err err = {0};
    if (r->code == KDS_OK)
        keep(r, kds_ledger_select(r->s.ledger, sql, NULL, fn, user, &err), &err);
}

static void section(kds_report *r, const char *title)
{
    kds_buf_puts(&r->b, "<h2>");
    kds_html_text(&r->b, title);
    kds_buf_puts(&r->b, "</h2>\n");
}

/* ---- Head ---- */

static void tile(kds_report *r, const char *class_name, const char *value, const char *what)
{
    kds_buf_printf(&r->b, "<div%s%s><b>", *class_name ? " class=" : "", class_name);
    kds_html_text(&r->b, value);
    kds_buf_puts(&r->b, "</b>");
    kds_html_text(&r->b, what);
    kds_buf_puts(&r->b, "</div>\n");
}

/* What models cost; by mail, where nobody counts, how often they were asked. */
static void calls(kds_report *r)
{
    const kds_ledger_totals *t = &r->s.totals;
    char value[100], what[300];
    if (t->cost_usd > 0) {
        (void)snprintf(value, sizeof value, "%.2f USD", t->cost_usd);
        (void)snprintf(what, sizeof what, "for %lld model calls, %lld + %lld tokens",
                       (long long)t->requests, (long long)t->prompt_tokens,
                       (long long)t->completion_tokens);
    } else {
        (void)snprintf(value, sizeof value, "%lld", (long long)t->requests);
        (void)snprintf(what, sizeof what, "model calls, %lld + %lld tokens counted",
                       (long long)t->prompt_tokens, (long long)t->completion_tokens);
    }
    tile(r, "", value, what);
}

static void headline(kds_report *r)
{
    const kds_status *s = &r->s;
    char value[100], what[300];
    if (s->confirmed.known) {
        (void)snprintf(value, sizeof value, "%.3fx", s->confirmed.speedup);
        (void)snprintf(
            what, sizeof what,
            "the baseline [%.3f, %.3f], measured in a duel of its own; interval of 98 %%",
            s->confirmed.low, s->confirmed.high);
    } else {
        (void)snprintf(value, sizeof value, "%.3fx", s->best.fitness);
        (void)snprintf(what, sizeof what, "the baseline, %s on %s", r->origin,
                       kds_json_str(s->campaign, "device", ""));
    }
    kds_buf_puts(&r->b, "<div class=hero>\n");
    tile(r, "main", value, what);
    (void)snprintf(value, sizeof value, "%lld", (long long)s->totals.judged);
    (void)snprintf(what, sizeof what, "distinct kernels judged, %lld accepted",
                   (long long)s->totals.accepted);
    tile(r, "", value, what);
    kds_text_format_duration(value, sizeof value, s->totals.run_seconds);
    (void)snprintf(what, sizeof what, "of running time, %lld epoch%s", (long long)s->totals.epochs,
                   s->totals.epochs == 1 ? "" : "s");
    tile(r, "", value, what);
    if (s->gpu_seconds > 0) {
        kds_text_format_duration(value, sizeof value, s->gpu_seconds);
        tile(r, "", value, "of work on GPUs");
    }
    if (s->totals.requests)
        calls(r);
    kds_buf_puts(&r->b, "</div>\n");
}

static void head(kds_report *r)
{
    const cJSON *c = r->s.campaign;
    char now[40];
    kds_clock_format(kds_clock_wall_ms(), now, sizeof now);
    kds_buf_puts(&r->b, "<!doctype html><html lang=en><head><meta charset=utf-8>\n"
                        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; "
                        "style-src 'unsafe-inline'\">\n"
                        "<meta name=viewport content=\"width=device-width\">\n"
                        "<meta name=generator content=kdasearch>\n<title>");
    kds_html_text(&r->b, kds_json_str(c, "task", ""));
    kds_buf_puts(&r->b, " - kdasearch</title>\n<style>\n");
    kds_report_style(&r->b);
    kds_buf_puts(&r->b, "</style></head><body>\n<h1>");
    kds_html_text(&r->b, kds_json_str(c, "task", ""));
    kds_buf_puts(&r->b, "</h1>\n<div class=dim>");
    kds_html_printf(&r->b, "kdasearch %s on %s%s%s; %s; written %s", kds_json_str(c, "version", ""),
                    kds_json_str(c, "device", ""), *kds_json_str(c, "device_model", "") ? ", " : "",
                    kds_json_str(c, "device_model", ""), r->s.phase, now);
    kds_buf_puts(&r->b, "</div>\n");
}

/* ---- Rows of the best ---- */

static const cJSON *row_named(const cJSON *rows, const char *name)
{
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, rows)
    {
        if (strcmp(kds_json_str(row, "row", ""), name) == 0 &&
            strcmp(kds_json_str(row, "set", ""), "production") == 0)
            return row;
    }
    return NULL;
}

static void number(kds_html_table *t, double value)
{
    if (isfinite(value))
        kds_html_cell(t, "%.2f", value);
    else
        kds_html_cell(t, "-");
}

static void row_cells(kds_html_table *t, const char *name, double before, double after,
                      const cJSON *judged)
{
    double bound = kds_json_num(judged, "bound_us", NAN);
    kds_html_cell(t, "%s", name);
    number(t, before);
    number(t, after);
    if (before > 0 && after > 0)
        kds_html_cell(t, "%.3fx", before / after);
    else
        kds_html_cell(t, "-");
    number(t, bound);
    if (bound > 0 && after > 0)
        kds_html_bar(t, bound / after, "%.0f %%", 100 * bound / after);
    else
        kds_html_cell(t, "-");
    kds_html_cell(t, "%s", kds_json_str(judged, "variant", ""));
}

/* Times of the duel that confirmed it; of a modelled campaign those of its judge. */
static void rows(kds_report *r)
{
    char before[60], after[60];
    const char *columns[] = {
        "row", before, after, ">speed-up", ">roofline us", ">of the roofline", "variant", NULL};
    const cJSON *judged = kds_json_at(r->best, "rows"), *row = NULL;
    bool measured = r->s.confirmed.known;
    const cJSON *list = measured ? kds_json_at(r->s.confirmed.record, "rows") : judged;
    kds_html_table t;
    section(r, "The best kernel, row by row");
    (void)snprintf(before, sizeof before, ">baseline us (%s)", r->origin);
    (void)snprintf(after, sizeof after, ">best us (%s)", r->origin);
    kds_html_table_begin(&t, &r->b, columns);
    cJSON_ArrayForEach(row, list)
    {
        const char *name = kds_json_str(row, "row", "");
        if (measured) {
            const cJSON *base = kds_json_at(kds_json_at(row, "incumbent"), "cold"),
                        *child = kds_json_at(kds_json_at(row, "child"), "cold");
            row_cells(&t, name, kds_json_num(base, "device_us", NAN),
                      kds_json_num(child, "device_us", NAN), row_named(judged, name));
        } else if (strcmp(kds_json_str(row, "set", ""), "production") == 0)
            row_cells(&t, name, kds_json_num(row, "baseline_us", NAN),
                      kds_json_num(row, "time_us", NAN), row);
    }
    kds_html_table_end(&t);
    kds_buf_puts(&r->b, "<p class=dim>");
    if (measured)
        kds_html_text(&r->b, "Medians of device time on a cold L2. ");
    kds_html_text(&r->b,
                  "Roofline: the longer of the two, bytes over the device's nominal bandwidth "
                  "and operations over its nominal arithmetic, by the task's formulas.");
    const cJSON *whole = kds_json_at(r->best, "end_to_end");
    if (whole)
        kds_html_printf(&r->b,
                        " End to end %.4fx, derived: the task states that it is %.3g %% of %s.",
                        kds_json_num(whole, "speedup", 1), 100 * kds_json_num(whole, "share", 0),
                        kds_json_str(whole, "share_of", ""));
    kds_buf_puts(&r->b, "</p>\n");
}

static void lineage(kds_report *r)
{
    const char *columns[] = {
        "#", "kernel", "made by", ">speed-up", "what changed", "what came of it", NULL};
    kds_candidate_row *steps = NULL;
    kds_err err = {0};
    kds_html_table t;
    int count = 0;
    section(r, "How it came to be");
    if (r->code == KDS_OK)
        keep(r, kds_ledger_lineage(r->s.ledger, r->s.best.id, &steps, &count, &err), &err);
    kds_html_table_begin(&t, &r->b, columns);
    for (int i = 0; i < count; i++) {
        kds_html_cell(&t, "#%lld", (long long)steps[i].decision);
        kds_html_cell(&t, "%.8s", steps[i].id);
        kds_html_cell(&t, "%s%s%s", steps[i].operator_name, steps[i].model[0] ? ", " : "",
                      steps[i].model);
        if (isfinite(steps[i].fitness))
            kds_html_cell(&t, "%.4fx", steps[i].fitness);
        else
            kds_html_cell(&t, "-");
        kds_html_cell(&t, "%s", steps[i].hypothesis);
        kds_html_cell(&t, "%s", steps[i].why);
    }
    kds_html_table_end(&t);
    free(steps);
}

/* ---- Yield ---- */

static void operators(kds_report *r)
{
    const char *columns[] = {"operator", "model",   ">decisions", ">accepted",
                             ">yield",   ">tokens", ">USD",       NULL};
    const cJSON *row = NULL;
    kds_html_table t;
    section(r, "What brought what");
    kds_html_table_begin(&t, &r->b, columns);
    cJSON_ArrayForEach(row, r->s.operators)
    {
        double commits = kds_json_num(row, "commits", 0), won = kds_json_num(row, "accepted", 0);
        double yield = commits > 0 ? won / commits : 0;
        const char *model = kds_json_str(row, "model", "");
        kds_html_cell(&t, "%s", kds_json_str(row, "operator", ""));
        kds_html_cell(&t, "%s", *model ? model : "-");
        kds_html_cell(&t, "%.0f", kds_json_num(row, "decisions", 0));
        kds_html_cell(&t, "%.0f", won);
        kds_html_bar(&t, yield, "%.1f %%", 100 * yield);
        kds_html_cell(&t, "%.0f", kds_json_num(row, "tokens", 0));
        kds_html_cell(&t, "%.4f", kds_json_num(row, "cost_usd", 0));
    }
    kds_html_table_end(&t);
}

typedef struct counting {
    kds_html_table t;
    double all;
} counting;

static kds_code verdict_row(void *user, const cJSON *row, kds_err *e)
{
    counting *x = user;
    kds_verdict v;
    const char *name = kds_json_str(row, "verdict", "");
    double count = kds_json_num(row, "count", 0);
    (void)e;
    kds_html_cell(&x->t, "%s", name);
    kds_html_cell(&x->t, "%s",
                  strcmp(name, "accepted") == 0 ? "passed every check and took a place of its own"
                  : strcmp(name, "ok") == 0     ? "passed every check, but won no place"
                  : kds_verdict_parse(name, &v) ? kds_verdict_text(v)
                                                : "");
    kds_html_bar(&x->t, count / x->all, "%.0f", count);
    return KDS_OK;
}

static void verdicts(kds_report *r)
{
    const char *columns[] = {"verdict", "", ">kernels", NULL};
    counting x = {.all = r->s.totals.candidates > 0 ? (double)r->s.totals.candidates : 1};
    section(r, "What became of the kernels");
    kds_html_table_begin(&x.t, &r->b, columns);
    kds_report_select(r,
                      "SELECT CASE WHEN accepted THEN 'accepted' ELSE verdict END AS verdict, "
                      "count(*) AS count FROM candidates WHERE verdict != '' GROUP BY 1 ORDER BY 2 "
                      "DESC",
                      verdict_row, &x);
    kds_html_table_end(&x.t);
}

static kds_code failure_row(void *user, const cJSON *row, kds_err *e)
{
    kds_html_table *t = user;
    (void)e;
    kds_html_cell(t, "%s", kds_json_str(row, "stage", ""));
    kds_html_cell(t, "%s", kds_json_str(row, "verdict", ""));
    kds_html_cell(t, "%s", kds_json_str(row, "message", ""));
    kds_html_cell(t, "%.0f", kds_json_num(row, "count", 0));
    return KDS_OK;
}

#define FAILED "FROM evaluations WHERE verdict NOT IN ('ok', 'faster', 'not_faster', 'unresolved')"

static kds_code keep_count(void *user, const cJSON *row, kds_err *e)
{
    (void)e;
    *(int64_t *)user = kds_json_int(row, "count", 0);
    return KDS_OK;
}

static void failures(kds_report *r)
{
    const char *columns[] = {"stage", "verdict", "the message begins", ">times", NULL};
    int64_t count = 0;
    kds_html_table t;
    kds_report_select(r, "SELECT count(*) AS count " FAILED, keep_count, &count);
    if (count == 0)
        return;
    kds_buf_puts(&r->b, "<details><summary>What failed most often</summary>\n");
    kds_html_table_begin(&t, &r->b, columns);
    kds_report_select(r,
                      "SELECT stage, verdict, substr(message, 1, 100) AS message, count(*) AS "
                      "count " FAILED " GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 12",
                      failure_row, &t);
    kds_html_table_end(&t);
    kds_buf_puts(&r->b, "</details>\n");
}

/* ---- Evidence ---- */

static kds_code duel_row(void *user, const cJSON *row, kds_err *e)
{
    kds_html_table *t = user;
    (void)e;
    kds_html_cell(t, "%s", kds_json_str(row, "purpose", ""));
    kds_html_cell(t, "%.0f", kds_json_num(row, "duels", 0));
    kds_html_cell(t, "%.0f", kds_json_num(row, "faster", 0));
    kds_html_cell(t, "%.0f", kds_json_num(row, "slower", 0));
    kds_html_cell(t, "%.0f", kds_json_num(row, "unresolved", 0));
    kds_html_cell(t, "%.1f", kds_json_num(row, "rounds", 0));
    return KDS_OK;
}

static void duels(kds_report *r)
{
    const char *columns[] = {"purpose",     ">duels",  ">faster", ">not faster",
                             ">unresolved", ">rounds", NULL};
    const cJSON *n = r->s.noise;
    kds_html_table t;
    kds_buf_puts(&r->b, "<p>");
    kds_html_printf(
        &r->b,
        "Nothing is accepted without a duel: child and incumbent measured in turn, in one "
        "session. A kernel and its copy differ by up to %.2f %% here; of %lld hidden "
        "duels of equals %lld were called faster; reviews took %lld promotions back.",
        100 * kds_json_num(n, "floor", 0), (long long)kds_json_int(n, "hidden", 0),
        (long long)kds_json_int(n, "hidden_faster", 0), (long long)kds_json_int(n, "retired", 0));
    kds_buf_puts(&r->b, "</p>\n");
    kds_html_table_begin(&t, &r->b, columns);
    kds_report_select(
        r,
        "SELECT json_extract(body, '$.purpose') AS purpose, count(*) AS duels, "
        "total(json_extract(body, '$.verdict') = 'faster') AS faster, total(json_extract(body, "
        "'$.verdict') = 'not_faster') AS slower, total(json_extract(body, '$.verdict') = "
        "'unresolved') AS unresolved, avg(json_extract(body, '$.rounds')) AS rounds FROM events "
        "WHERE kind = 'DUEL' GROUP BY 1 ORDER BY 2 DESC",
        duel_row, &t);
    kds_html_table_end(&t);
}

static kds_code epoch_row(void *user, const cJSON *row, kds_err *e)
{
    kds_html_table *t = user;
    char time[40], took[40] = "-";
    double seconds = kds_json_num(row, "seconds", NAN);
    (void)e;
    kds_clock_format(kds_json_int(row, "time", 0), time, sizeof time);
    if (isfinite(seconds))
        kds_text_format_duration(took, sizeof took, seconds);
    kds_html_cell(t, "%s", time);
    kds_html_cell(t, "%s", kds_json_str(row, "why", ""));
    kds_html_cell(t, "%s", kds_json_str(row, "stop_why", "-"));
    kds_html_cell(t, "%s", took);
    return KDS_OK;
}

static kds_code keep_last(void *user, const cJSON *row, kds_err *e)
{
    cJSON **out = user;
    *out = cJSON_Duplicate(row, true);
    return *out ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

static void evidence(kds_report *r)
{
    const char *columns[] = {"began", "by", "ended", ">took", NULL};
    const cJSON *c = r->s.campaign;
    cJSON *last = NULL;
    kds_html_table t;
    section(r, "Why one may believe it");
    if (r->s.noise)
        duels(r);
    else {
        kds_buf_puts(&r->b, "<p>");
        kds_html_printf(&r->b, "Times are %s; on the simulator a comparison is exact, but a model.",
                        r->origin);
        kds_buf_puts(&r->b, "</p>\n");
    }
    kds_buf_puts(&r->b, "<p>");
    kds_report_select(r, "SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1", keep_last,
                      &last);
    kds_html_printf(&r->b, "Record: %lld events, the last hash ",
                    (long long)kds_json_int(last, "seq", 0));
    kds_buf_puts(&r->b, "<code>");
    kds_html_text(&r->b, kds_json_str(last, "hash", ""));
    kds_buf_puts(&r->b, "</code>; task <code>");
    kds_html_text(&r->b, kds_json_str(c, "task_hash", ""));
    kds_buf_puts(&r->b, "</code>; seed <code>");
    kds_html_text(&r->b, kds_json_str(c, "seed", ""));
    kds_buf_puts(&r->b, "</code>. Anyone who has the archive can prove it:</p>\n<pre>");
    kds_html_text(&r->b, "kdasearch check  ARCHIVE        # every hash\n"
                         "kdasearch replay ARCHIVE        # derive every decision again\n"
                         "kdasearch replay ARCHIVE best   # compile, judge and compare the best "
                         "kernel's lineage again");
    kds_buf_puts(&r->b, "</pre>\n");
    kds_html_table_begin(&t, &r->b, columns);
    kds_report_select(r, "SELECT time, why, stop_why, seconds FROM epochs ORDER BY epoch",
                      epoch_row, &t);
    kds_html_table_end(&t);
    cJSON_Delete(last);
}

static void source(kds_report *r, const char *title, const char *id, bool open)
{
    char *text = NULL;
    size_t len = 0;
    kds_err err = {0};
    kds_id key;
    if (r->code != KDS_OK || !kds_id_parse(id, &key))
        return;
    keep(r, kds_ledger_get(r->s.ledger, key, &text, &len, &err), &err);
    kds_buf_printf(&r->b, "<details%s><summary>", open ? " open" : "");
    kds_html_text(&r->b, title);
    kds_buf_puts(&r->b, "</summary><pre>");
    kds_html_text(&r->b, text ? text : "");
    kds_buf_puts(&r->b, "</pre></details>\n");
    free(text);
}

static void sources(kds_report *r)
{
    kds_candidate_row baseline;
    kds_err none = {0};
    section(r, "Kernels");
    source(r, "The best kernel", r->s.best.id, true);
    if (kds_ledger_find(r->s.ledger, "#0", &baseline, &none) == KDS_OK &&
        strcmp(baseline.id, r->s.best.id) != 0)
        source(r, "The baseline", baseline.id, false);
}

/* ---- The page ---- */

static kds_code load(kds_report *r, const char *dir, kds_err *e)
{
    kds_code code = kds_status_load(&r->s, dir, e);
    if (code == KDS_OK && !r->s.has_best)
        code = kds_fail(e, KDS_NOT_FOUND, "nothing in %s has been accepted yet", dir);
    if (code == KDS_OK)
        code = kds_view_load_report(r->s.ledger, &r->s.best, &r->best, e);
    if (code == KDS_OK && r->best &&
        !kds_amdahl_add(r->best, dir,
                        r->s.confirmed.known ? r->s.confirmed.speedup : r->s.best.fitness))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    r->origin = kds_view_device_origin(kds_json_str(r->s.campaign, "device", ""));
    return code;
}

kds_code kds_report_make(const char *dir, kds_buf *out, kds_err *e)
{
    kds_report r = {.code = KDS_OK};
    kds_buf_init(&r.b, PAGE_CAP);
    kds_code code = load(&r, dir, e);
    if (code == KDS_OK) {
        head(&r);
        headline(&r);
        kds_report_progress(&r);
        rows(&r);
        lineage(&r);
        section(&r, "The grid");
        kds_report_map(&r);
        operators(&r);
        verdicts(&r);
        failures(&r);
        evidence(&r);
        sources(&r);
        kds_buf_puts(&r.b, "</body></html>\n");
        code = r.code;
        if (code != KDS_OK && e)
            *e = r.err;
        if (code == KDS_OK)
            code = kds_buf_check(&r.b, "the report", e);
    }
    if (code == KDS_OK)
        kds_buf_add(out, r.b.data, r.b.len);
    kds_buf_free(&r.b);
    cJSON_Delete(r.best);
    kds_status_free(&r.s);
    return code == KDS_OK ? kds_buf_check(out, "the report", e) : code;
}
