/* Descriptors: axes evaluated over counters and facts, bins, cell keys. The key is a hash of
 * little-endian 32-bit numbers, so that it is the same on every machine. */
#include "eval/descriptor.h"
#include "eval/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool kds_measures_set(kds_measures *m, const char *name, double value)
{
    for (int i = 0; i < m->count; i++) {
        if (strcmp(m->items[i].name, name) == 0) {
            m->items[i].value = value;
            return true;
        }
    }
    if (m->count >= KDS_MEASURES_MAX)
        return false;
    kds_measure *item = &m->items[m->count++];
    (void)snprintf(item->name, sizeof item->name, "%s", name);
    item->value = value;
    return true;
}

double kds_measures_get(const kds_measures *m, const char *name, double fallback)
{
    for (int i = 0; i < m->count; i++)
        if (strcmp(m->items[i].name, name) == 0)
            return m->items[i].value;
    return fallback;
}

cJSON *kds_measures_json(const kds_measures *m)
{
    cJSON *json = cJSON_CreateObject();
    for (int i = 0; json != NULL && i < m->count; i++) {
        if (!kds_json_add_num(json, m->items[i].name, m->items[i].value)) {
            cJSON_Delete(json);
            return NULL;
        }
    }
    return json;
}

typedef struct axis_scope {
    const kds_measures *counters, *facts;
} axis_scope;

static bool lookup(void *user, const char *name, kds_value *out)
{
    const axis_scope *scope = user;
    const kds_measures *both[] = {scope->counters, scope->facts};
    for (int b = 0; b < 2; b++) {
        for (int i = 0; i < both[b]->count; i++) {
            if (strcmp(both[b]->items[i].name, name) == 0) {
                *out = kds_value_double(both[b]->items[i].value);
                return true;
            }
        }
    }
    return false;
}

int kds_axis_bin(const kds_axis *a, double value)
{
    int bin = 0;
    while (bin < a->edge_count && a->edges[bin] <= value)
        bin++;
    return bin;
}

static void put_le32(unsigned char *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (unsigned char)(value >> (8 * i));
}

uint64_t kds_cell_key(int descriptor_version, const int *bins, int count)
{
    unsigned char bytes[4 * (KDS_AXES_MAX + 1)];
    if (count > KDS_AXES_MAX)
        count = KDS_AXES_MAX;
    put_le32(bytes, (uint32_t)descriptor_version);
    for (int i = 0; i < count; i++)
        put_le32(bytes + 4 * (i + 1), (uint32_t)bins[i]);
    return kds_hash64(bytes, 4 * ((size_t)count + 1), 0);
}

/* The value of an axis; 0 with *undefined where the expression has none. */
static kds_code axis_value(const kds_axis *a, axis_scope *scope, double *value, bool *undefined,
                           kds_err *e)
{
    for (int i = 0; i < kds_expr_name_count(a->value); i++) {
        kds_value ignored;
        if (!lookup(scope, kds_expr_name(a->value, i), &ignored))
            return kds_fail(e, KDS_INVALID,
                            "descriptor axis '%s' (%s): '%s' is neither a counter nor a fact of "
                            "this device",
                            a->name, kds_expr_text(a->value), kds_expr_name(a->value, i));
    }
    if (kds_expr_eval_double(a->value, lookup, scope, value, NULL) != KDS_OK) {
        *value = 0;
        *undefined = true;
    }
    return KDS_OK;
}

kds_code kds_descriptor_json(const kds_task *t, const kds_measures *counters,
                             const kds_measures *facts, cJSON **out, bool *undefined, kds_err *e)
{
    return kds_descriptor_axes_json(t->descriptor_version, t->axes, t->axis_count, counters, facts,
                                    out, undefined, e);
}

kds_code kds_descriptor_axes_json(int version, const kds_axis *axes, int count,
                                  const kds_measures *counters, const kds_measures *facts,
                                  cJSON **out, bool *undefined, kds_err *e)
{
    axis_scope scope = {counters, facts};
    int bins[KDS_AXES_MAX];
    kds_code code = KDS_OK;
    *undefined = false;
    cJSON *json = cJSON_CreateObject();
    cJSON *values = cJSON_AddArrayToObject(json, "values");
    cJSON *numbers = cJSON_AddArrayToObject(json, "bins");
    if (json == NULL || values == NULL || numbers == NULL ||
        !kds_json_add_int(json, "version", version))
        goto no_memory;
    for (int i = 0; i < count; i++) {
        double value = 0;
        code = axis_value(&axes[i], &scope, &value, undefined, e);
        if (code != KDS_OK)
            goto out;
        bins[i] = kds_axis_bin(&axes[i], value);
        if (!cJSON_AddItemToArray(values, cJSON_CreateNumber(value)) ||
            !cJSON_AddItemToArray(numbers, cJSON_CreateNumber(bins[i])))
            goto no_memory;
    }
    char cell[17];
    (void)snprintf(cell, sizeof cell, "%016llx",
                   (unsigned long long)kds_cell_key(version, bins, count));
    if (!kds_json_add_str(json, "cell", cell))
        goto no_memory;
    *out = json;
    return KDS_OK;
no_memory:
    code = kds_fail(e, KDS_NO_MEMORY, "cannot build the descriptor: out of memory");
out:
    cJSON_Delete(json);
    return code;
}
