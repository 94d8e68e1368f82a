/* The buffers of task.json with their fills and tolerances, and the value regimes over them. What a
 * role does not use (a tolerance of an input) is refused: it would look as if it were checked. */
#include "eval/task_internal.h"
#include <math.h>
#include <string.h>

#define NUMBER_MAX 1e30

static const char *const role_names[] = {"in", "out", "inout", NULL};

static kds_code read_fill(kds_task_loader *l, const cJSON *node, kds_buffer_spec *b)
{
    static const char *const kinds[] = {"normal",      "uniform", "constant", "iota",
                                        "permutation", "offsets", "listed",   NULL};
    static const char *const keys[][2] = {{"mean", "std"},   {"low", "high"}, {"value", NULL},
                                          {"start", "step"}, {NULL, NULL},    {"total", NULL},
                                          {NULL, NULL}};
    const cJSON *named = kds_json_at(node, "kind");
    if (!cJSON_IsString(named))
        return kds_json_fail(l->doc, named ? named : node, l->e,
                             named ? "must be a string" : "the key 'kind' is missing");
    int kind = kds_task_choose(l, named, "fill", named->valuestring, kinds);
    if (kind < 0)
        return KDS_INVALID;
    kds_json_reader r;
    kds_json_reader_init(&r, l->doc, node, l->e);
    (void)kds_json_need_string(&r, "kind");
    double v[2] = {0, 0};
    const cJSON *text[2];
    for (int i = 0; i < 2; i++) {
        text[i] = keys[kind][i] ? kds_json_at(node, keys[kind][i]) : NULL;
        if (cJSON_IsString(text[i]))
            (void)kds_json_opt_any(&r, keys[kind][i]);
        else if (keys[kind][i])
            v[i] = kds_json_need_double(&r, keys[kind][i], -NUMBER_MAX, NUMBER_MAX);
    }
    kds_code code = kds_json_done(&r);
    for (int i = 0; i < 2 && code == KDS_OK; i++) {
        if (cJSON_IsString(text[i]))
            code = kds_task_read_expr(l, text[i], l->names, &b->fill_values[i]);
    }
    if (code != KDS_OK)
        return code;
    b->fill = (kds_fill){.kind = (kds_fill_kind)kind, .a = v[0], .b = v[1]};
    if (b->fill_values[0] || b->fill_values[1])
        return KDS_OK; /* task_check.c looks at the values of each row */
    if (b->fill.kind == KDS_FILL_UNIFORM && !(v[0] < v[1]))
        return kds_json_fail(l->doc, node, l->e, "low must be below high");
    if (b->fill.kind == KDS_FILL_NORMAL && v[1] < 0)
        return kds_json_fail(l->doc, kds_json_at(node, "std"), l->e, "must not be negative");
    return KDS_OK;
}

/* `beside`: the tolerance beside the baseline, or NULL if that is what is being read. */
static kds_code read_tolerance(kds_task_loader *l, const cJSON *node, kds_tolerance *out,
                               const cJSON **beside)
{
    kds_json_reader r;
    kds_json_reader_init(&r, l->doc, node, l->e);
    kds_tolerance v = {0};
    const cJSON *worse = NULL;
    v.atol = kds_json_need_double(&r, "atol", 0, NUMBER_MAX);
    v.rtol = kds_json_need_double(&r, "rtol", 0, NUMBER_MAX);
    v.rel_rmse = kds_json_opt_double(&r, "rel_rmse", 0, NUMBER_MAX, 0);
    v.slice_rel_rmse = kds_json_opt_double(&r, "slice_rel_rmse", 0, NUMBER_MAX, 0);
    if (beside) {
        worse = kds_json_opt_object(&r, "worse_than_baseline");
        *beside = kds_json_opt_object(&r, "beside_baseline");
    }
    kds_code code = kds_json_done(&r);
    if (code == KDS_OK && worse) {
        kds_json_reader_init(&r, l->doc, worse, l->e);
        v.worse_factor = kds_json_need_double(&r, "factor", 1, NUMBER_MAX);
        v.worse_floor = kds_json_need_double(&r, "floor", 0, NUMBER_MAX);
        code = kds_json_done(&r);
    }
    if (code == KDS_OK)
        *out = v;
    return code;
}

static kds_code read_exprs(kds_task_loader *l, const cJSON *array, kds_expr *out[KDS_RANK_MAX])
{
    int n = 0;
    const cJSON *node;
    kds_code code = KDS_OK;
    cJSON_ArrayForEach(node, array)
    {
        code = kds_task_read_expr(l, node, l->names, &out[n++]);
        if (code != KDS_OK)
            break;
    }
    return code;
}

static kds_code read_shape(kds_task_loader *l, const cJSON *shape, const cJSON *strides,
                           kds_buffer_spec *b)
{
    b->rank = cJSON_GetArraySize(shape);
    if (b->rank < 1 || b->rank > KDS_RANK_MAX)
        return kds_json_fail(l->doc, shape, l->e, "must have 1 to %d extents", KDS_RANK_MAX);
    if (strides && cJSON_GetArraySize(strides) != b->rank)
        return kds_json_fail(l->doc, strides, l->e, "must have as many entries as 'shape': %d",
                             b->rank);
    kds_code code = read_exprs(l, shape, b->shape);
    return code == KDS_OK && strides ? read_exprs(l, strides, b->strides) : code;
}

static kds_code read_dtype(kds_task_loader *l, const cJSON *node, const char *dtype,
                           const char *from, kds_buffer_spec *b)
{
    if (!dtype == !from)
        return kds_json_fail(l->doc, node, l->e, "must have one of 'dtype' and 'dtype_from'");
    b->dtype_key = from;
    if (from)
        return KDS_OK;
    int type = kds_task_choose(l, kds_json_at(node, "dtype"), "dtype", dtype, kds_dtype_names);
    if (type < 0)
        return KDS_INVALID;
    b->dtype = (kds_dtype)type;
    return KDS_OK;
}

static kds_code read_name(kds_task_loader *l, const cJSON *node, const char *name)
{
    const cJSON *at = kds_json_at(node, "name");
    if (!kds_task_is_identifier(name))
        return kds_json_fail(l->doc, at, l->e,
                             "must be a name of letters, digits and _ (at most 63)");
    bool used = kds_task_buffer(l->t, name) >= 0;
    for (int i = 0; l->names[i]; i++)
        used = used || strcmp(l->names[i], name) == 0;
    if (used)
        return kds_json_fail(l->doc, at, l->e, "the name '%s' is used twice", name);
    return KDS_OK;
}

/* `fill` and `tolerance` must be there exactly where the role uses them. */
static kds_code read_use(kds_task_loader *l, const cJSON *node, const cJSON *fill,
                         const cJSON *tolerance, kds_buffer_spec *b)
{
    bool reads = b->role != KDS_ROLE_OUT, writes = b->role != KDS_ROLE_IN;
    const char *role = role_names[b->role];
    if (reads && !fill)
        return kds_json_fail(l->doc, node, l->e, "the key 'fill' is missing (role %s)", role);
    if (!reads && fill)
        return kds_json_fail(l->doc, fill, l->e, "role %s has no fill", role);
    if (!writes && tolerance)
        return kds_json_fail(l->doc, tolerance, l->e, "role %s has no tolerance", role);
    if (writes && !tolerance && !l->t->bitwise)
        return kds_json_fail(l->doc, node, l->e, "the key 'tolerance' is missing (role %s)", role);
    if (tolerance && l->t->bitwise)
        return kds_json_fail(l->doc, tolerance, l->e,
                             "a task with \"bitwise\": true compares for equality; remove it");
    kds_code code = fill ? read_fill(l, fill, b) : KDS_OK;
    const cJSON *beside = NULL;
    if (code == KDS_OK && tolerance)
        code = read_tolerance(l, tolerance, &b->tolerance, &beside);
    b->beside_baseline = b->tolerance;
    if (code == KDS_OK && beside)
        code = read_tolerance(l, beside, &b->beside_baseline, NULL);
    b->has_beside_baseline = beside != NULL;
    return code;
}

static kds_code read_buffer(kds_task_loader *l, const cJSON *node)
{
    kds_json_reader r;
    kds_json_reader_init(&r, l->doc, node, l->e);
    kds_buffer_spec *b = &l->t->buffers[l->t->buffer_count];
    const char *name = kds_json_need_string(&r, "name");
    const char *dtype = kds_json_opt_string(&r, "dtype", NULL);
    const char *from = kds_json_opt_string(&r, "dtype_from", NULL);
    const cJSON *shape = kds_json_need_array(&r, "shape");
    const cJSON *strides = kds_json_opt_array(&r, "strides");
    const char *role = kds_json_need_string(&r, "role");
    const cJSON *fill = kds_json_opt_object(&r, "fill");
    const cJSON *tolerance = kds_json_opt_object(&r, "tolerance");
    kds_code code = kds_json_done(&r);
    if (code == KDS_OK)
        code = read_name(l, node, name);
    if (code == KDS_OK)
        code = read_dtype(l, node, dtype, from, b);
    if (code == KDS_OK)
        code = read_shape(l, shape, strides, b);
    if (code != KDS_OK)
        return code;
    int number = kds_task_choose(l, kds_json_at(node, "role"), "role", role, role_names);
    if (number < 0)
        return KDS_INVALID;
    b->name = name;
    b->role = (kds_role)number;
    code = read_use(l, node, fill, tolerance, b);
    if (code == KDS_OK)
        l->t->buffer_count++;
    return code;
}

kds_code kds_task_read_buffers(kds_task_loader *l, const cJSON *array)
{
    int n = cJSON_GetArraySize(array);
    if (n < 1 || n > KDS_BUFFERS_MAX)
        return kds_json_fail(l->doc, array, l->e, "must have 1 to %d buffers", KDS_BUFFERS_MAX);
    const cJSON *node;
    bool writes = false;
    cJSON_ArrayForEach(node, array)
    {
        kds_code code = read_buffer(l, node);
        if (code != KDS_OK)
            return code;
        writes = writes || l->t->buffers[l->t->buffer_count - 1].role != KDS_ROLE_IN;
    }
    if (!writes)
        return kds_json_fail(l->doc, array, l->e, "no buffer has the role out or inout");
    return KDS_OK;
}

static kds_code read_change(kds_task_loader *l, const cJSON *node, kds_regime *regime)
{
    const char *names[KDS_BUFFERS_MAX + 1] = {NULL};
    int index[KDS_BUFFERS_MAX], n = 0;
    for (int i = 0; i < l->t->buffer_count; i++) {
        const kds_buffer_spec *b = &l->t->buffers[i];
        if (b->role == KDS_ROLE_OUT || b->fill.kind == KDS_FILL_PERMUTATION ||
            b->fill.kind == KDS_FILL_OFFSETS || b->fill.kind == KDS_FILL_LISTED)
            continue;
        index[n] = i;
        names[n++] = b->name;
    }
    int at = kds_task_choose(l, node, "input", node->string, names);
    if (at < 0)
        return KDS_INVALID;
    kds_json_reader r;
    kds_json_reader_init(&r, l->doc, node, l->e);
    double scale = kds_json_opt_double(&r, "scale", -NUMBER_MAX, NUMBER_MAX, 1);
    double shift = kds_json_opt_double(&r, "shift", -NUMBER_MAX, NUMBER_MAX, 0);
    kds_code code = kds_json_done(&r);
    if (code != KDS_OK)
        return code;
    regime->changes[regime->count].buffer = index[at];
    regime->changes[regime->count].scale = scale;
    regime->changes[regime->count++].shift = shift;
    return KDS_OK;
}

static kds_code read_regime(kds_task_loader *l, const cJSON *node)
{
    kds_task *t = l->t;
    kds_regime *regime = &t->regimes[t->regime_count];
    kds_json_reader r;
    kds_json_reader_init(&r, l->doc, node, l->e);
    regime->name = kds_json_need_string(&r, "name");
    const cJSON *changes = kds_json_need_object(&r, "changes");
    kds_code code = kds_json_done(&r);
    if (code != KDS_OK)
        return code;
    if (!kds_task_is_identifier(regime->name))
        return kds_json_fail(l->doc, kds_json_at(node, "name"), l->e,
                             "must be a name of letters, digits and _ (at most 63)");
    for (int i = 0; i < t->regime_count; i++) {
        if (strcmp(t->regimes[i].name, regime->name) == 0)
            return kds_json_fail(l->doc, kds_json_at(node, "name"), l->e,
                                 "the regime '%s' is there twice%s", regime->name,
                                 i == 0 ? " (\"plain\" is always there)" : "");
    }
    const cJSON *change;
    cJSON_ArrayForEach(change, changes)
    {
        code = read_change(l, change, regime);
        if (code != KDS_OK)
            return code;
    }
    t->regime_count++;
    return KDS_OK;
}

kds_code kds_task_read_regimes(kds_task_loader *l, const cJSON *array)
{
    l->t->regimes[0].name = "plain";
    l->t->regime_count = 1;
    if (cJSON_GetArraySize(array) > KDS_REGIMES_MAX - 1)
        return kds_json_fail(l->doc, array, l->e, "more than %d regimes", KDS_REGIMES_MAX - 1);
    const cJSON *node;
    kds_code code = KDS_OK;
    cJSON_ArrayForEach(node, array)
    {
        code = read_regime(l, node);
        if (code != KDS_OK)
            break;
    }
    return code;
}
