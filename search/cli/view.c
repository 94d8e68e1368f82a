/* Reports as text. Untrusted parts (messages, hypotheses) were escaped when they were recorded and
 * are escaped again by the table. */
#include "search/cli/view.h"

#include "eval/device.h"
#include "search/base/text.h"
#include "search/cli/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *kds_view_device_origin(const char *device)
{
    return kds_device_is_gpu(device) ? "measured" : "modelled";
}

const char *kds_view_archive_origin(kds_ledger *l)
{
    cJSON *campaign = NULL, *stop = NULL;
    const char *origin = "modelled";
    if (kds_view_load_campaign(l, &campaign, &stop, NULL) == KDS_OK)
        origin = kds_view_device_origin(kds_json_str(campaign, "device", ""));
    cJSON_Delete(campaign);
    cJSON_Delete(stop);
    return origin;
}

const char *kds_view_origin(const cJSON *report)
{
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, kds_json_at(report, "flags"))
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, "modelled") == 0)
            return "modelled";
    }
    cJSON_ArrayForEach(item, kds_json_at(report, "rows"))
    {
        if (kds_json_bool(item, "modelled", false))
            return "modelled";
    }
    return "measured";
}

static void number_cell(kds_table *t, const cJSON *row, const char *key)
{
    const cJSON *value = kds_json_at(row, key);
    if (cJSON_IsNumber(value))
        kds_table_cell(t, "%.2f", value->valuedouble);
    else
        kds_table_cell(t, "-");
}

/* Largest error over the outputs of a row. */
static double worst_error(const cJSON *row)
{
    double worst = NAN;
    const cJSON *error = NULL;
    cJSON_ArrayForEach(error, kds_json_at(row, "errors"))
    {
        double a = kds_json_num(error, "max_abs", NAN);
        if (isnan(worst) || a > worst)
            worst = a;
    }
    return worst;
}

static bool row_ok(const cJSON *row)
{
    return strcmp(kds_json_str(row, "verdict", ""), "ok") == 0;
}

static bool row_in(const cJSON *row, const char *set)
{
    return strcmp(kds_json_str(row, "set", ""), set) == 0;
}

static void row_cells(kds_table *t, const cJSON *row, bool all)
{
    double time = kds_json_num(row, "time_us", NAN), base = kds_json_num(row, "baseline_us", NAN);
    double error = worst_error(row);
    kds_table_cell(t, "%s", kds_json_str(row, "row", "?"));
    if (all) {
        kds_table_cell(t, "%s", kds_json_str(row, "set", ""));
        kds_table_cell(t, "%s", kds_json_str(row, "verdict", ""));
    }
    number_cell(t, row, "baseline_us");
    number_cell(t, row, "time_us");
    if (isfinite(time) && isfinite(base) && time > 0)
        kds_table_cell(t, "%.3fx", base / time);
    else
        kds_table_cell(t, "-");
    number_cell(t, row, "bound_us");
    kds_table_cell(t, "%s", kds_json_str(row, "limiter", "-"));
    if (isfinite(error))
        kds_table_cell(t, "%.1e", error);
    else
        kds_table_cell(t, "-");
    kds_table_cell(t, "%s", kds_json_str(row, "variant", ""));
}

/* "rows     5 of 5 production ok (3 sampled), 7 of 7 quick ok, 11 of 11 held-out ok" */
static void print_sets(FILE *out, const cJSON *rows)
{
    static const char *const sets[][2] = {
        {"production", "production"}, {"quick", "quick"}, {"held_out", "held-out"}};
    const char *separator = "rows     ";
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        int count = 0, ok = 0, sampled = 0;
        const cJSON *row = NULL;
        cJSON_ArrayForEach(row, rows)
        {
            if (!row_in(row, sets[i][0]))
                continue;
            count++;
            ok += row_ok(row);
            sampled += kds_json_bool(row, "sampled", false);
        }
        if (!count)
            continue;
        fprintf(out, "%s%d of %d %s ok", separator, ok, count, sets[i][1]);
        if (sampled)
            fprintf(out, " (%d on a sample of its blocks)", sampled);
        separator = ", ";
    }
    fprintf(out, "\n");
}

void kds_view_rows(FILE *out, const cJSON *report, bool all)
{
    const cJSON *rows = kds_json_at(report, "rows"), *row = NULL;
    char mine[40], theirs[40];
    static const char *const order[] = {"production", "quick", "held_out"};
    int shown = 0;
    cJSON_ArrayForEach(row, rows) all |= !row_ok(row);
    snprintf(mine, sizeof mine, ">us (%s)", kds_view_origin(report));
    snprintf(theirs, sizeof theirs, ">baseline us (%s)", kds_view_origin(report));
    const char *full[] = {"row",          "set",        "verdict",    theirs,    mine, ">speed-up",
                          ">roofline us", "limited by", ">max error", "variant", NULL};
    const char *brief[] = {"row",        theirs,       mine,      ">speed-up", ">roofline us",
                           "limited by", ">max error", "variant", NULL};
    kds_table *t = kds_table_create(all ? full : brief);
    for (size_t i = 0; i < (all ? sizeof order / sizeof *order : 1); i++)
        cJSON_ArrayForEach(row, rows)
        {
            if (!row_in(row, order[i]))
                continue;
            row_cells(t, row, all);
            shown++;
        }
    if (shown) {
        kds_table_print(t, out);
        fprintf(out, "\n");
    }
    print_sets(out, rows);
    kds_table_free(t);
}

static void print_text(FILE *out, const char *label, const char *text)
{
    kds_buf safe;
    if (!text || !*text)
        return;
    kds_buf_init(&safe, 1 << 20);
    kds_text_escape(&safe, text, strlen(text), true);
    fprintf(out, "%s%s\n", label, safe.data);
    kds_buf_free(&safe);
}

static void print_values(FILE *out, const char *title, const cJSON *object, bool zeroes_too)
{
    const cJSON *item = NULL;
    int zeroes = 0;
    if (!cJSON_GetArraySize(object))
        return;
    fprintf(out, "\n%s\n", title);
    cJSON_ArrayForEach(item, object)
    {
        if (!zeroes_too && cJSON_IsNumber(item) && item->valuedouble == 0)
            zeroes++;
        else if (cJSON_IsNumber(item))
            fprintf(out, "  %-62s %.6g\n", item->string, item->valuedouble);
        else if (cJSON_IsString(item))
            fprintf(out, "  %-62s %s\n", item->string, item->valuestring);
    }
    if (zeroes)
        fprintf(out, "  (%d more are 0; --json has them)\n", zeroes);
}

/* "cell     5112...: access_width 8 (bin 1), ..."; the names are known if `axes` is given. */
static void print_descriptor(FILE *out, const cJSON *descriptor, const cJSON *axes)
{
    const cJSON *values = kds_json_at(descriptor, "values");
    const cJSON *bins = kds_json_at(descriptor, "bins");
    if (!descriptor)
        return;
    fprintf(out, "cell     %s", kds_json_str(descriptor, "cell", "?"));
    for (int i = 0; i < cJSON_GetArraySize(values); i++) {
        const cJSON *axis = cJSON_GetArrayItem(axes, i);
        const cJSON *bin = cJSON_GetArrayItem(bins, i), *value = cJSON_GetArrayItem(values, i);
        fprintf(out, "%s%s%s%.4g (bin %.0f)", i ? ", " : ": ", kds_json_str(axis, "name", ""),
                axis ? " " : "", cJSON_IsNumber(value) ? value->valuedouble : NAN,
                cJSON_IsNumber(bin) ? bin->valuedouble : NAN);
    }
    fprintf(out, "\n");
}

static void print_flags(FILE *out, const cJSON *flags)
{
    const char *separator = "flags    ";
    const cJSON *flag = NULL;
    cJSON_ArrayForEach(flag, flags)
    {
        fprintf(out, "%s%s", separator, cJSON_IsString(flag) ? flag->valuestring : "?");
        separator = ", ";
    }
    if (cJSON_GetArraySize(flags))
        fprintf(out, "\n");
}

void kds_view_report(FILE *out, const cJSON *report, const cJSON *axes, bool all_rows)
{
    const cJSON *fitness = kds_json_at(report, "fitness");
    fprintf(out, "verdict  %s", kds_json_str(report, "verdict", "?"));
    if (strcmp(kds_json_str(report, "verdict", ""), "ok") != 0)
        fprintf(out, " at stage %s", kds_json_str(report, "stage", "?"));
    if (kds_json_int(report, "line", 0) > 0)
        fprintf(out, ", line %lld", (long long)kds_json_int(report, "line", 0));
    fprintf(out, "\n");
    print_text(out, "", kds_json_str(report, "message", ""));
    if (cJSON_IsNumber(fitness))
        fprintf(
            out,
            "fitness  %.4fx the baseline (%s, weighted geometric mean over the production rows)\n",
            fitness->valuedouble, kds_view_origin(report));
    fprintf(out, "device   %s\n", kds_json_str(report, "device", "?"));
    print_flags(out, kds_json_at(report, "flags"));
    print_descriptor(out, kds_json_at(report, "descriptor"), axes);
    if (cJSON_GetArraySize(kds_json_at(report, "rows"))) {
        fprintf(out, "\n");
        kds_view_rows(out, report, all_rows);
    }
    print_values(out, "facts", kds_json_at(report, "facts"), true);
    print_values(out, "counters of the profile rows", kds_json_at(report, "counters"), false);
    print_text(out, "\n", kds_json_str(report, "log", ""));
}

kds_code kds_view_load_report(kds_ledger *l, const kds_candidate_row *row, cJSON **report,
                              kds_err *e)
{
    kds_id id;
    return kds_id_parse(row->report, &id) ? kds_ledger_get_json(l, id, report, e) : KDS_OK;
}

typedef struct loading {
    cJSON *campaign, *stop;
} loading;

static kds_code keep_event(void *user, const cJSON *row, kds_err *e)
{
    loading *x = user;
    const char *body = kds_json_str(row, "body", "");
    cJSON *parsed = kds_json_parse_record(body, strlen(body));
    cJSON **slot = strcmp(kds_json_str(row, "kind", ""), "CAMPAIGN") == 0 ? &x->campaign : &x->stop;
    if (!parsed)
        return kds_fail(e, KDS_DAMAGED, "an event is not JSON");
    cJSON_Delete(*slot);
    *slot = parsed;
    return KDS_OK;
}

kds_code kds_view_load_campaign(kds_ledger *l, cJSON **campaign, cJSON **stop, kds_err *e)
{
    loading x = {NULL, NULL};
    kds_code code = kds_ledger_select(
        l,
        "SELECT kind, body FROM events WHERE seq = (SELECT min(seq) FROM events WHERE "
        "kind = 'CAMPAIGN') OR seq = (SELECT max(seq) FROM events WHERE kind IN "
        "('STOP', 'EPOCH')) ORDER BY seq",
        NULL, keep_event, &x, e);
    if (code == KDS_OK && !x.campaign)
        code = kds_ledger_no_campaign(l, e);
    if (code != KDS_OK) {
        cJSON_Delete(x.campaign);
        cJSON_Delete(x.stop);
        return code;
    }
    *campaign = x.campaign;
    *stop = x.stop;
    return KDS_OK;
}

kds_code kds_view_json(const cJSON *value, kds_err *e)
{
    char *text = kds_json_print_pretty(value);
    if (!text)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    printf("%s\n", text);
    free(text);
    return KDS_OK;
}

cJSON *kds_view_candidate_json(const kds_candidate_row *r)
{
    cJSON *o = cJSON_CreateObject();
    bool ok =
        o && kds_json_add_str(o, "id", r->id) && kds_json_add_int(o, "decision", r->decision) &&
        kds_json_add_str(o, "parent", r->parent[0] ? r->parent : NULL) &&
        kds_json_add_str(o, "parent2", r->parent2[0] ? r->parent2 : NULL) &&
        kds_json_add_str(o, "operator", r->operator_name) &&
        kds_json_add_str(o, "model", r->model[0] ? r->model : NULL) &&
        kds_json_add_str(o, "verdict", r->verdict[0] ? r->verdict : NULL) &&
        kds_json_add_str(o, "stage", r->stage) && kds_json_add_bool(o, "accepted", r->accepted) &&
        kds_json_add_num(o, "fitness", r->fitness) &&
        kds_json_add_str(o, "cell", r->cell[0] ? r->cell : NULL) &&
        kds_json_add_str(o, "hypothesis", r->hypothesis) && kds_json_add_str(o, "why", r->why) &&
        kds_json_add_str(o, "report", r->report[0] ? r->report : NULL);
    if (ok)
        return o;
    cJSON_Delete(o);
    return NULL;
}
