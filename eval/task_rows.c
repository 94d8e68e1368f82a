/* bench/workloads.json: three sets of rows. A row gives every dim of the task a value and becomes a
 * scope for expressions; scalars join it after the dims. */
#include "eval/task_internal.h"
#include "search/base/text.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_MAX 9007199254740992.0 /* 2^53 */

/* Row ids stand in tables, file names and messages. */
static bool is_row_id(const char *s)
{
    if (!s[0] || s[0] == '-' || s[0] == '.' || strlen(s) > 63)
        return false;
    for (; *s; s++) {
        if (!(*s == '_' || *s == '-' || *s == '.' || (*s >= '0' && *s <= '9') ||
              (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z')))
            return false;
    }
    return true;
}

static kds_code read_dims(kds_task_loader *l, const cJSON *object, kds_row *row)
{
    const kds_task *t = l->t;
    kds_json_reader r;
    kds_json_reader_init(&r, l->doc, object, l->e);
    for (int i = 0; i < t->dim_count; i++) {
        double v = kds_json_need_double(&r, t->dims[i], -1e30, 1e30);
        row->dims[i].name = t->dims[i];
        row->dims[i].value =
            v == floor(v) && fabs(v) <= EXACT_MAX ? kds_value_int((int64_t)v) : kds_value_double(v);
    }
    row->dim_count = t->dim_count;
    row->scope = (kds_scope){.entries = row->dims, .count = row->dim_count, .outer = NULL};
    return kds_json_done(&r);
}

static kds_code read_dtypes(kds_task_loader *l, const cJSON *node, const cJSON *object,
                            kds_row *row)
{
    const kds_task *t = l->t;
    const char *keys[KDS_BUFFERS_MAX + 1] = {NULL};
    int n = 0;
    for (int i = 0; i < t->buffer_count; i++) {
        const char *key = t->buffers[i].dtype_key;
        bool seen = !key;
        for (int k = 0; k < n && !seen; k++)
            seen = strcmp(keys[k], key) == 0;
        if (!seen)
            keys[n++] = key;
    }
    if (n > 0 && !object)
        return kds_json_fail(l->doc, node, l->e,
                             "the key 'dtypes' is missing (task.json takes the type '%s' from it)",
                             keys[0]);
    if (!object)
        return KDS_OK;
    kds_json_reader r;
    kds_json_reader_init(&r, l->doc, object, l->e);
    const char *names[KDS_BUFFERS_MAX];
    for (int k = 0; k < n; k++)
        names[k] = kds_json_need_string(&r, keys[k]);
    kds_code code = kds_json_done(&r);
    for (int k = 0; k < n && code == KDS_OK; k++) {
        int type =
            kds_task_choose(l, kds_json_at(object, keys[k]), "dtype", names[k], kds_dtype_names);
        if (type < 0)
            return KDS_INVALID;
        row->dtypes[row->dtype_count].key = keys[k];
        row->dtypes[row->dtype_count++].dtype = (kds_dtype)type;
    }
    return code;
}

static kds_code read_list(kds_task_loader *l, const cJSON *array, kds_row *row, int buffer)
{
    int n = cJSON_GetArraySize(array), at = 0;
    const cJSON *node;
    if (n < 1 || n > KDS_LISTED_MAX)
        return kds_json_fail(l->doc, array, l->e, "must list 1 to %d numbers", KDS_LISTED_MAX);
    double *values = calloc((size_t)n, sizeof *values);
    if (!values)
        return kds_fail(l->e, KDS_NO_MEMORY, "out of memory");
    row->lists[buffer].values = values;
    cJSON_ArrayForEach(node, array)
    {
        if (!cJSON_IsNumber(node) || !isfinite(node->valuedouble))
            return kds_json_fail(l->doc, node, l->e, "must be a number");
        values[at++] = node->valuedouble;
    }
    row->lists[buffer].count = at;
    return KDS_OK;
}

/* The numbers of every buffer whose fill is "listed", under its name. */
static kds_code read_lists(kds_task_loader *l, const cJSON *node, const cJSON *object, kds_row *row)
{
    const kds_task *t = l->t;
    kds_json_reader r;
    int listed = 0;
    for (int i = 0; i < t->buffer_count; i++)
        listed += t->buffers[i].role != KDS_ROLE_OUT && t->buffers[i].fill.kind == KDS_FILL_LISTED;
    if (listed > 0 && !object)
        return kds_json_fail(l->doc, node, l->e,
                             "the key 'values' is missing (task.json has fills of kind listed)");
    if (!object)
        return KDS_OK;
    kds_json_reader_init(&r, l->doc, object, l->e);
    kds_code code = KDS_OK;
    for (int i = 0; i < t->buffer_count && code == KDS_OK; i++) {
        if (t->buffers[i].role == KDS_ROLE_OUT || t->buffers[i].fill.kind != KDS_FILL_LISTED)
            continue;
        const cJSON *array = kds_json_need_array(&r, t->buffers[i].name);
        if (array)
            code = read_list(l, array, row, i);
    }
    return code == KDS_OK ? kds_json_done(&r) : code;
}

static kds_code read_seed(kds_task_loader *l, const cJSON *node, const cJSON *seed, kds_row *row)
{
    if (!seed)
        return kds_json_fail(l->doc, node, l->e, "the key 'seed' is missing");
    if (cJSON_IsString(seed) && kds_text_parse_u64(seed->valuestring, &row->seed))
        return KDS_OK;
    if (cJSON_IsNumber(seed) && seed->valuedouble >= 0 && seed->valuedouble <= EXACT_MAX &&
        seed->valuedouble == floor(seed->valuedouble)) {
        row->seed = (uint64_t)seed->valuedouble;
        return KDS_OK;
    }
    return kds_json_fail(l->doc, seed, l->e,
                         "must be an integer from 0 to 2^53, or a decimal string below 2^64");
}

static kds_code read_row(kds_task_loader *l, const cJSON *node, kds_row_set set)
{
    kds_task *t = l->t;
    kds_row *row = &t->rows[t->row_count];
    kds_json_reader r;
    kds_json_reader_init(&r, l->doc, node, l->e);
    row->set = set;
    row->id = kds_json_need_string(&r, "id");
    const cJSON *dims = kds_json_need_object(&r, "dims");
    const cJSON *seed = kds_json_opt_any(&r, "seed");
    row->weight = kds_json_opt_double(&r, "weight", 0, 1e6, 1);
    row->profile = kds_json_opt_bool(&r, "profile", false);
    const cJSON *dtypes = kds_json_opt_object(&r, "dtypes");
    const cJSON *lists = kds_json_opt_object(&r, "values");
    (void)kds_json_opt_string(&r, "note", NULL);
    kds_code code = kds_json_done(&r);
    if (code != KDS_OK)
        return code;
    const cJSON *at = kds_json_at(node, "id");
    if (!is_row_id(row->id))
        return kds_json_fail(l->doc, at, l->e,
                             "must be 1 to 63 letters, digits, '_', '-' or '.', not beginning "
                             "with '-' or '.'");
    const kds_row *twin = kds_task_row(t, row->id);
    if (twin)
        return kds_json_fail(l->doc, at, l->e, "the row '%s' is there twice (first in %s)", row->id,
                             kds_row_set_name(twin->set));
    code = read_seed(l, node, seed, row);
    if (code == KDS_OK)
        code = read_dims(l, dims, row);
    if (code == KDS_OK)
        code = read_dtypes(l, node, dtypes, row);
    if (code == KDS_OK)
        code = read_lists(l, node, lists, row);
    if (code == KDS_OK)
        t->row_count++;
    else
        kds_task_free_lists(row);
    return code;
}

static kds_code read_set(kds_task_loader *l, const cJSON *array, kds_row_set set)
{
    if (cJSON_GetArraySize(array) == 0 && set != KDS_ROWS_HELD_OUT)
        return kds_json_fail(l->doc, array, l->e, "must have at least one row");
    const cJSON *node;
    kds_code code = KDS_OK;
    cJSON_ArrayForEach(node, array)
    {
        code = read_row(l, node, set);
        if (code != KDS_OK)
            break;
    }
    return code;
}

kds_code kds_task_read_rows(kds_task_loader *l)
{
    const cJSON *root = kds_json_root(l->doc);
    kds_json_reader r;
    kds_json_reader_init(&r, l->doc, root, l->e);
    (void)kds_json_need_int(&r, "format", 1, 1);
    const cJSON *sets[3];
    int total = 0;
    for (int i = 0; i < 3; i++) {
        sets[i] = kds_json_need_array(&r, kds_row_set_name((kds_row_set)i));
        total += cJSON_GetArraySize(sets[i]);
    }
    kds_code code = kds_json_done(&r);
    if (code != KDS_OK)
        return code;
    if (total > KDS_ROWS_MAX)
        return kds_json_fail(l->doc, root, l->e, "%d rows; at most %d", total, KDS_ROWS_MAX);
    l->t->rows = calloc((size_t)total + 1, sizeof *l->t->rows);
    if (!l->t->rows)
        return kds_fail(l->e, KDS_NO_MEMORY, "out of memory");
    for (int i = 0; i < 3 && code == KDS_OK; i++)
        code = read_set(l, sets[i], (kds_row_set)i);
    return code;
}
