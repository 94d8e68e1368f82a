/* Reports as text. Untrusted parts (messages, hypotheses) were escaped when they were recorded and
 * are escaped again by the table. */
#include "search/cli/view.h"

#include "search/base/text.h"
#include "search/cli/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *kds_view_origin(const cJSON *report)
{
    const cJSON *row = NULL;
    cJSON_ArrayForEach(
        row,
        kds_json_at(report, "rows")) if (kds_json_bool(row, "modelled", false)) return "modelled";
    return "measured";
}

static void number_cell(kds_table *t, const cJSON *row, const char *key, const char *fmt)
{
    char text[40] = "-";
    const cJSON *value = kds_json_at(row, key);
    if (cJSON_IsNumber(value)) {
        if (strcmp(fmt, "%.2e") == 0)
            snprintf(text, sizeof text, "%.2e", value->valuedouble);
        else
            snprintf(text, sizeof text, "%.2f", value->valuedouble);
    }
    kds_table_cell(t, "%s", text);
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

void kds_view_rows(FILE *out, const cJSON *report)
{
    const char *origin = kds_view_origin(report);
    char mine[40], theirs[40];
    snprintf(mine, sizeof mine, ">us (%s)", origin);
    snprintf(theirs, sizeof theirs, ">baseline us (%s)", origin);
    const char *columns[] = {"row",       "set",       "verdict",    theirs,    mine,
                             ">speed-up", ">bound us", ">max error", "variant", NULL};
    kds_table *t = kds_table_create(columns);
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, kds_json_at(report, "rows"))
    {
        double time = kds_json_num(row, "time_us", NAN),
               base = kds_json_num(row, "baseline_us", NAN);
        double error = worst_error(row);
        kds_table_cell(t, "%s", kds_json_str(row, "row", "?"));
        kds_table_cell(t, "%s", kds_json_str(row, "set", ""));
        kds_table_cell(t, "%s%s", kds_json_str(row, "verdict", ""),
                       kds_json_bool(row, "sampled", false) ? " (sampled)" : "");
        number_cell(t, row, "baseline_us", "%.2f");
        number_cell(t, row, "time_us", "%.2f");
        if (isfinite(time) && isfinite(base) && time > 0)
            kds_table_cell(t, "%.3fx", base / time);
        else
            kds_table_cell(t, "-");
        number_cell(t, row, "bound_us", "%.2f");
        if (isfinite(error))
            kds_table_cell(t, "%.2e", error);
        else
            kds_table_cell(t, "-");
        kds_table_cell(t, "%s", kds_json_str(row, "variant", ""));
    }
    kds_table_print(t, out);
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

static void print_values(FILE *out, const char *title, const cJSON *object)
{
    const cJSON *item = NULL;
    if (!cJSON_GetArraySize(object))
        return;
    fprintf(out, "\n%s\n", title);
    cJSON_ArrayForEach(item, object)
    {
        if (cJSON_IsNumber(item))
            fprintf(out, "  %-62s %.6g\n", item->string, item->valuedouble);
        else if (cJSON_IsString(item))
            fprintf(out, "  %-62s %s\n", item->string, item->valuestring);
    }
}

static void print_descriptor(FILE *out, const cJSON *descriptor)
{
    if (!descriptor)
        return;
    char *values = kds_json_print(kds_json_at(descriptor, "values"));
    char *bins = kds_json_print(kds_json_at(descriptor, "bins"));
    fprintf(out, "\ncell %s, bins %s, values %s (descriptor set %lld)\n",
            kds_json_str(descriptor, "cell", "?"), bins ? bins : "?", values ? values : "?",
            (long long)kds_json_int(descriptor, "version", 0));
    free(values);
    free(bins);
}

void kds_view_report(FILE *out, const cJSON *report)
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
    char *flags = kds_json_print(kds_json_at(report, "flags"));
    if (flags && strcmp(flags, "[]") != 0 && strcmp(flags, "null") != 0)
        fprintf(out, "flags    %s\n", flags);
    free(flags);
    if (cJSON_GetArraySize(kds_json_at(report, "rows"))) {
        fprintf(out, "\n");
        kds_view_rows(out, report);
    }
    print_descriptor(out, kds_json_at(report, "descriptor"));
    print_values(out, "facts", kds_json_at(report, "facts"));
    print_values(out, "counters of the profile rows", kds_json_at(report, "counters"));
    print_text(out, "\n", kds_json_str(report, "log", ""));
}

kds_code kds_view_load_report(kds_ledger *l, const kds_candidate_row *row, cJSON **report,
                              kds_err *e)
{
    kds_id id;
    char *text = NULL;
    size_t len = 0;
    if (!kds_id_parse(row->report, &id))
        return KDS_OK;
    kds_code code = kds_ledger_get(l, id, &text, &len, e);
    if (code == KDS_OK && !(*report = kds_json_parse_record(text, len)))
        code = kds_fail(e, KDS_DAMAGED, "the report of %.8s is not JSON", row->id);
    free(text);
    return code;
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
        code = kds_fail(e, KDS_DAMAGED, "the record does not begin with a campaign");
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
