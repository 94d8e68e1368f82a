/* Counters of a report: sums over the rows that make the descriptor, and the descriptor. The judge
 * has them where the device counts while it runs (the simulator); on a GPU they are measured in a
 * process of their own, and complete the report afterwards. */
#include "eval/judge_internal.h"

#include <string.h>

bool kds_row_is_profiled(const kds_task *t, int row)
{
    bool any = false;
    for (int i = 0; i < t->row_count; i++)
        any = any || (t->rows[i].set == KDS_ROWS_PRODUCTION && t->rows[i].profile);
    return t->rows[row].set == KDS_ROWS_PRODUCTION && (!any || t->rows[row].profile);
}

bool kds_report_has_flag(const cJSON *report, const char *flag)
{
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, kds_json_at(report, "flags"))
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, flag) == 0)
            return true;
    }
    return false;
}

bool kds_report_flag(cJSON *report, const char *flag)
{
    cJSON *flags = cJSON_GetObjectItemCaseSensitive(report, "flags");
    if (kds_report_has_flag(report, flag))
        return true;
    return cJSON_IsArray(flags) && cJSON_AddItemToArray(flags, cJSON_CreateString(flag));
}

static bool is_mean(const char *counter)
{
    return strstr(counter, "pct") != NULL;
}

/* Sums are weighted by the rows' weights; what is a percentage is a mean over weighted time. */
void kds_counters_sum(const kds_task *t, const double *us, const kds_measures *const *by_row,
                      kds_measures *out)
{
    double time = 0;
    out->count = 0;
    for (int row = 0; row < t->row_count; row++) {
        double weight = t->rows[row].weight;
        if (!kds_row_is_profiled(t, row))
            continue;
        time += weight * us[row];
        for (int i = 0; i < by_row[row]->count; i++) {
            const kds_measure *m = &by_row[row]->items[i];
            double add = m->value * weight * (is_mean(m->name) ? us[row] : 1);
            (void)kds_measures_set(out, m->name, kds_measures_get(out, m->name, 0) + add);
        }
    }
    for (int i = 0; i < out->count; i++)
        if (is_mean(out->items[i].name))
            out->items[i].value = time > 0 ? out->items[i].value / time : 0;
}

static void read_times(const cJSON *report, const kds_task *t, double *us)
{
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, kds_json_at(report, "rows"))
    {
        const kds_row *r = kds_task_row(t, kds_json_str(row, "row", ""));
        if (r != NULL)
            us[r - t->rows] = kds_json_num(row, "time_us", 0);
    }
}

static void read_facts(const cJSON *report, kds_measures *out)
{
    const cJSON *fact = NULL;
    out->count = 0;
    cJSON_ArrayForEach(fact, kds_json_at(report, "facts"))
    {
        if (cJSON_IsNumber(fact))
            (void)kds_measures_set(out, fact->string, fact->valuedouble);
    }
}

static void drop_flag(cJSON *report, const char *flag)
{
    cJSON *flags = cJSON_GetObjectItemCaseSensitive(report, "flags");
    for (int i = cJSON_GetArraySize(flags); i-- > 0;) {
        const cJSON *item = cJSON_GetArrayItem(flags, i);
        if (cJSON_IsString(item) && strcmp(item->valuestring, flag) == 0)
            cJSON_DeleteItemFromArray(flags, i);
    }
}

/* Takes both; false: out of memory. */
static bool replace(cJSON *report, cJSON *counters, cJSON *descriptor)
{
    cJSON_DeleteItemFromObject(report, "counters");
    cJSON_DeleteItemFromObject(report, "descriptor");
    if (counters == NULL || !cJSON_AddItemToObject(report, "counters", counters)) {
        cJSON_Delete(descriptor);
        return false;
    }
    return cJSON_AddItemToObject(report, "descriptor", descriptor);
}

/* Over the rows that are profiled, with the report's own times. */
static void sum_for(const cJSON *report, const kds_task *t, const kds_measures *by_row,
                    kds_measures *out)
{
    const kds_measures *rows[KDS_ROWS_MAX];
    double us[KDS_ROWS_MAX] = {0};
    for (int i = 0; i < t->row_count; i++)
        rows[i] = &by_row[i];
    read_times(report, t, us);
    kds_counters_sum(t, us, rows, out);
}

kds_code kds_report_more_counters(cJSON *report, const kds_task *t, const kds_measures *by_row,
                                  kds_err *e)
{
    kds_measures sums;
    cJSON *counters = cJSON_GetObjectItemCaseSensitive(report, "counters");
    if (!cJSON_IsObject(counters))
        counters = cJSON_AddObjectToObject(report, "counters");
    sum_for(report, t, by_row, &sums);
    for (int i = 0; counters != NULL && i < sums.count; i++)
        if (kds_json_at(counters, sums.items[i].name) == NULL &&
            !kds_json_add_num(counters, sums.items[i].name, sums.items[i].value))
            counters = NULL;
    return counters != NULL ? KDS_OK
                            : kds_fail(e, KDS_NO_MEMORY, "cannot complete a report: out of memory");
}

kds_code kds_report_counters(cJSON *report, const kds_task *t, const kds_measures *by_row,
                             kds_err *e)
{
    kds_measures counters, facts;
    cJSON *descriptor = NULL;
    bool undefined = false;
    read_facts(report, &facts);
    sum_for(report, t, by_row, &counters);
    kds_code code = kds_descriptor_json(t, &counters, &facts, &descriptor, &undefined, e);
    if (code != KDS_OK)
        return code;
    drop_flag(report, "no_counters");
    drop_flag(report, "descriptor_undefined");
    if (!replace(report, kds_measures_json(&counters), descriptor) ||
        (undefined && !kds_report_flag(report, "descriptor_undefined")))
        return kds_fail(e, KDS_NO_MEMORY, "cannot complete a report: out of memory");
    return KDS_OK;
}
