/* Mapping foreign rows. A dim gets its value from the row's own words or from the shapes of its
 * buffers, and two sources that disagree are a reason to leave the row out: a row is taken over as
 * it is or not at all. */
#include "search/engine/import_rows.h"

#include "search/base/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_CAP (4u << 20)
#define IMPORTED_MOST 128

typedef struct mapping {
    const kds_task *task;
    const cJSON *row;
    bool known[KDS_DIMS_MAX];
    kds_scope_entry dims[KDS_DIMS_MAX];
    char why[400]; /* why it cannot be mapped; "" so far it can */
} mapping;

static bool fail(mapping *m, const char *fmt, ...) KDS_PRINTF(2, 3);

static bool fail(mapping *m, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(m->why, sizeof m->why, fmt, ap);
    va_end(ap);
    return false;
}

static double number_of(kds_value v)
{
    return v.is_double ? v.d : (double)v.i;
}

static kds_value value_of(double v)
{
    bool whole = v == (double)(int64_t)v && v > -9e15 && v < 9e15;
    return whole ? kds_value_int((int64_t)v) : kds_value_double(v);
}

/* A dim's value from one more source. */
static bool learn(mapping *m, int dim, double v, const char *from)
{
    if (m->known[dim] && number_of(m->dims[dim].value) != v)
        return fail(m, "'%s' would be %g by %.60s and %g before", m->task->dims[dim], v, from,
                    number_of(m->dims[dim].value));
    m->known[dim] = true;
    m->dims[dim].value = value_of(v);
    return true;
}

static int dim_index(const kds_task *t, const char *name)
{
    for (int i = 0; i < t->dim_count; i++)
        if (strcmp(t->dims[i], name) == 0)
            return i;
    return -1;
}

static bool read_named(mapping *m)
{
    const cJSON *places[] = {m->row, kds_json_at(m->row, "dims"), kds_json_at(m->row, "scalars")};
    for (size_t p = 0; p < sizeof places / sizeof *places; p++)
        for (int i = 0; i < m->task->dim_count; i++) {
            const cJSON *v = kds_json_at(places[p], m->task->dims[i]);
            if ((cJSON_IsNumber(v) || cJSON_IsBool(v)) &&
                !learn(m, i, cJSON_IsNumber(v) ? v->valuedouble : cJSON_IsTrue(v), "its own key"))
                return false;
        }
    return true;
}

/* What the row says of a buffer: *shape an array or NULL, *dtype a text or NULL. */
static void find_buffer(const cJSON *row, const char *name, const cJSON **shape, const char **dtype)
{
    char key[100];
    const cJSON *plain = kds_json_at(row, name);
    const cJSON *listed = kds_json_at(kds_json_at(row, "shapes"), name);
    (void)snprintf(key, sizeof key, "%s_shape", name);
    const cJSON *candidates[] = {kds_json_at(row, key), listed, kds_json_at(listed, "shape"),
                                 kds_json_at(plain, "shape"), plain};
    *shape = NULL;
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates && !*shape; i++)
        if (cJSON_IsArray(candidates[i]) && cJSON_IsNumber(cJSON_GetArrayItem(candidates[i], 0)))
            *shape = candidates[i];
    (void)snprintf(key, sizeof key, "%s_dtype", name);
    *dtype = kds_json_str(row, key, NULL);
    if (!*dtype)
        *dtype = kds_json_str(listed, "dtype", NULL);
    if (!*dtype)
        *dtype = kds_json_str(plain, "dtype", NULL);
}

/* The plain dim that an expression is; -1 if it is anything else. */
static int plain_dim(const kds_task *t, const kds_expr *x)
{
    return kds_expr_name_count(x) == 1 && strcmp(kds_expr_text(x), kds_expr_name(x, 0)) == 0
               ? dim_index(t, kds_expr_name(x, 0))
               : -1;
}

/* Element `i` of a shape brought to the task's rank: what leads too much is multiplied. */
static double extent_at(const cJSON *shape, int rank, int i)
{
    int count = cJSON_GetArraySize(shape), more = count - rank;
    double v = cJSON_GetArrayItem(shape, i + more)->valuedouble;
    for (int k = 0; i == 0 && k < more; k++)
        v *= cJSON_GetArrayItem(shape, k)->valuedouble;
    return v;
}

static bool is_shape(const cJSON *shape)
{
    const cJSON *v = NULL;
    cJSON_ArrayForEach(v, shape) if (!cJSON_IsNumber(v)) return false;
    return true;
}

static bool read_shape(mapping *m, const kds_buffer_spec *b, const cJSON *shape)
{
    if (!is_shape(shape))
        return fail(m, "the shape of '%s' is not a list of numbers", b->name);
    if (cJSON_GetArraySize(shape) < b->rank)
        return fail(m, "'%s' has %d dimensions there and %d here", b->name,
                    cJSON_GetArraySize(shape), b->rank);
    for (int i = 0; i < b->rank; i++) {
        int dim = plain_dim(m->task, b->shape[i]);
        char from[100];
        (void)snprintf(from, sizeof from, "the shape of %s", b->name);
        if (dim >= 0 && !learn(m, dim, extent_at(shape, b->rank, i), from))
            return false;
    }
    return true;
}

/* With all dims known: does a buffer have the shape that the row says? */
static bool check_shape(mapping *m, const kds_buffer_spec *b, const cJSON *shape)
{
    kds_scope scope = {m->dims, m->task->dim_count, NULL};
    for (int i = 0; i < b->rank; i++) {
        double v = 0;
        if (kds_expr_eval_double(b->shape[i], kds_scope_lookup, &scope, &v, NULL) != KDS_OK)
            continue; /* over a scalar: the loader checks */
        if (v != extent_at(shape, b->rank, i))
            return fail(m, "'%s' would have %g elements in dimension %d (%s), not %g", b->name, v,
                        i, kds_expr_text(b->shape[i]), extent_at(shape, b->rank, i));
    }
    return true;
}

static bool parse_dtype(const char *name, kds_dtype *out)
{
    static const struct {
        const char *name;
        kds_dtype dtype;
    } others[] = {
        {"fp32", KDS_DTYPE_F32},      {"float32", KDS_DTYPE_F32}, {"float", KDS_DTYPE_F32},
        {"fp16", KDS_DTYPE_F16},      {"float16", KDS_DTYPE_F16}, {"half", KDS_DTYPE_F16},
        {"bfloat16", KDS_DTYPE_BF16}, {"fp64", KDS_DTYPE_F64},    {"float64", KDS_DTYPE_F64},
        {"int32", KDS_DTYPE_I32},     {"int64", KDS_DTYPE_I64},   {"uint8", KDS_DTYPE_U8}};
    if (kds_dtype_parse(name, out))
        return true;
    const char *dot = strrchr(name, '.'); /* "torch.bfloat16" */
    name = dot ? dot + 1 : name;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i].name, name) == 0) {
            *out = others[i].dtype;
            return true;
        }
    return false;
}

/* The type of a buffer: it must be the task's, or becomes the row's. */
static bool read_dtype(mapping *m, const kds_buffer_spec *b, const char *dtype, cJSON *dtypes)
{
    kds_dtype type;
    if (!parse_dtype(dtype, &type))
        return fail(m, "the dtype '%.40s' of '%s' is none of a task's", dtype, b->name);
    if (!b->dtype_key && type != b->dtype)
        return fail(m, "'%s' is %s there and %s here", b->name, kds_dtype_name(type),
                    kds_dtype_name(b->dtype));
    const char *known = b->dtype_key ? kds_json_str(dtypes, b->dtype_key, NULL) : NULL;
    if (known && strcmp(known, kds_dtype_name(type)) != 0)
        return fail(m, "the dtype key '%s' would be %s and %s", b->dtype_key, known,
                    kds_dtype_name(type));
    if (b->dtype_key && !known)
        (void)kds_json_add_str(dtypes, b->dtype_key, kds_dtype_name(type));
    return true;
}

static bool read_buffers(mapping *m, cJSON *dtypes)
{
    const char *general = kds_json_str(m->row, "dtype", NULL);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < m->task->buffer_count; i++) {
            const kds_buffer_spec *b = &m->task->buffers[i];
            const cJSON *shape;
            const char *dtype;
            find_buffer(m->row, b->name, &shape, &dtype);
            if (pass == 0 && shape && !read_shape(m, b, shape))
                return false;
            if (pass == 1 && shape && !check_shape(m, b, shape))
                return false;
            /* "dtype" of a row is that of its first buffer, and of what names its type by the row
             */
            if (!dtype && (i == 0 || b->dtype_key))
                dtype = general;
            if (pass == 0 && dtype && !read_dtype(m, b, dtype, dtypes))
                return false;
        }
        for (int i = 0; pass == 0 && i < m->task->dim_count; i++)
            if (!m->known[i])
                return fail(m,
                            "nothing in it gives '%s': no key of that name, and no shape of a "
                            "buffer that has it as a dimension",
                            m->task->dims[i]);
    }
    return true;
}

/* The row's name as ids are written. */
static void row_id(const cJSON *row, int number, char *out, size_t size)
{
    const char *name = kds_json_str(row, "id", kds_json_str(row, "name", ""));
    size_t n = 0;
    for (; *name && n + 1 < size && n < 55; name++) {
        bool fine = isalnum((unsigned char)*name) || *name == '_' || *name == '-' || *name == '.';
        if (n > 0 || (*name != '-' && *name != '.'))
            out[n++] = fine ? *name : '_';
    }
    out[n] = '\0';
    if (n == 0)
        (void)snprintf(out, size, "row_%d", number);
}

static bool has_id(const cJSON *rows, const kds_task *t, const char *id)
{
    const cJSON *r = NULL;
    cJSON_ArrayForEach(r, rows) if (strcmp(kds_json_str(r, "id", ""), id) == 0) return true;
    const kds_row *own = kds_task_row(t, id);
    return own && own->set != KDS_ROWS_PRODUCTION;
}

/* A mapped row as an object of bench/workloads.json; NULL: out of memory. */
static cJSON *build_row(const mapping *m, cJSON *rows, int number, cJSON *dtypes)
{
    char id[64], own[80];
    row_id(m->row, number, id, sizeof id);
    (void)snprintf(own, sizeof own, "%s", id);
    if (has_id(rows, m->task, id))
        (void)snprintf(own, sizeof own, "%.50s_%d", id, number);
    cJSON *o = cJSON_CreateObject();
    cJSON *dims = o && kds_json_add_str(o, "id", own) ? cJSON_AddObjectToObject(o, "dims") : NULL;
    bool ok = dims != NULL;
    for (int i = 0; i < m->task->dim_count && ok; i++)
        ok = kds_json_add_num(dims, m->task->dims[i], number_of(m->dims[i].value));
    const cJSON *seed = kds_json_at(m->row, "seed");
    bool usable = cJSON_IsNumber(seed) && seed->valuedouble >= 0 && seed->valuedouble < 9e15 &&
                  seed->valuedouble == (double)(int64_t)seed->valuedouble;
    ok = ok && kds_json_add_int(o, "seed",
                                usable ? (int64_t)seed->valuedouble
                                       : (int64_t)(kds_hash64(own, strlen(own), 0) >> 33));
    ok = ok && (cJSON_GetArraySize(rows) > 0 || kds_json_add_bool(o, "profile", true));
    if (ok && cJSON_GetArraySize(dtypes) > 0) {
        cJSON *copy = cJSON_Duplicate(dtypes, true);
        ok = copy && cJSON_AddItemToObject(o, "dtypes", copy);
    }
    const char *note = kds_json_str(m->row, "preset", kds_json_str(m->row, "model", NULL));
    ok = ok && (!note || kds_json_add_str(o, "note", note));
    if (ok)
        return o;
    cJSON_Delete(o);
    return NULL;
}

static kds_code import_row(const kds_task *t, const cJSON *row, int number, cJSON *rows,
                           cJSON *skipped, kds_err *e)
{
    mapping m = {.task = t, .row = row};
    cJSON *dtypes = cJSON_CreateObject(), *o = NULL;
    char id[64];
    row_id(row, number, id, sizeof id);
    for (int i = 0; i < t->dim_count; i++)
        m.dims[i].name = t->dims[i];
    bool mapped = dtypes != NULL;
    if (mapped && !cJSON_IsObject(row))
        mapped = fail(&m, "it is not an object");
    if (mapped && cJSON_IsFalse(kds_json_at(row, "production")))
        mapped = fail(&m, "it says that it is not from production");
    if (mapped && cJSON_GetArraySize(rows) == IMPORTED_MOST)
        mapped = fail(&m, "%d rows are enough", IMPORTED_MOST);
    mapped = mapped && read_named(&m) && read_buffers(&m, dtypes);
    if (mapped)
        o = build_row(&m, rows, number, dtypes);
    cJSON_Delete(dtypes);
    if (mapped && o && cJSON_AddItemToArray(rows, o))
        return KDS_OK;
    cJSON_Delete(o);
    o = m.why[0] ? cJSON_CreateObject() : NULL;
    if (o && kds_json_add_str(o, "row", id) && kds_json_add_str(o, "why", m.why) &&
        cJSON_AddItemToArray(skipped, o))
        return KDS_OK;
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

/* The array of rows in the document; `name` chooses a task of several. */
static kds_code find_rows(const kds_json_doc *doc, const char *path, const char *name,
                          const cJSON **out, kds_err *e)
{
    const cJSON *root = kds_json_root(doc), *tasks = kds_json_at(root, "tasks");
    if (name) {
        root = kds_json_at(tasks, name);
        if (!root)
            return kds_fail(e, KDS_INVALID, "%s has no task '%s' under \"tasks\"", path, name);
    } else if (cJSON_IsObject(tasks)) {
        return kds_fail(e, KDS_INVALID, "%s has rows of several tasks; choose one with %s#%s", path,
                        path, tasks->child ? tasks->child->string : "NAME");
    }
    static const char *const keys[] = {"rows", "workloads", "production"};
    *out = cJSON_IsArray(root) ? root : NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !*out; i++)
        *out = cJSON_IsArray(kds_json_at(root, keys[i])) ? kds_json_at(root, keys[i]) : NULL;
    if (!*out)
        return kds_fail(e, KDS_INVALID,
                        "%s has no array of rows (at the top, or as \"rows\" or "
                        "\"workloads\")",
                        path);
    return KDS_OK;
}

static kds_code import_all(const kds_task *t, const cJSON *list, const char *path, cJSON *out,
                           kds_err *e)
{
    cJSON *rows = cJSON_AddArrayToObject(out, "rows");
    cJSON *skipped = cJSON_AddArrayToObject(out, "skipped");
    const cJSON *row = NULL;
    int number = 0;
    kds_code code = rows && skipped ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    cJSON_ArrayForEach(row, list)
    {
        if (code == KDS_OK)
            code = import_row(t, row, ++number, rows, skipped, e);
    }
    if (code == KDS_OK && cJSON_GetArraySize(rows) == 0) {
        const cJSON *first = cJSON_GetArrayItem(skipped, 0);
        code = kds_fail(e, KDS_INVALID, "%s: none of its %d rows can be a row of '%s'; of '%s': %s",
                        path, number, t->name, kds_json_str(first, "row", "no row"),
                        kds_json_str(first, "why", "there is none"));
    }
    return code;
}

kds_code kds_import_rows(const kds_task *t, const char *path, cJSON **out, kds_err *e)
{
    kds_json_doc *doc = NULL;
    const cJSON *list = NULL;
    char *file = strdup(path);
    char *name = file ? strrchr(file, '#') : NULL;
    if (name)
        *name++ = '\0';
    cJSON *result = cJSON_CreateObject();
    kds_code code = file && result ? kds_json_load(&doc, file, FILE_CAP, e)
                                   : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK)
        code = find_rows(doc, file, name, &list, e);
    if (code == KDS_OK)
        code = import_all(t, list, file, result, e);
    kds_json_free(doc);
    free(file);
    if (code == KDS_OK)
        *out = result;
    else
        cJSON_Delete(result);
    return code;
}
