/* Loading a task folder: task.json's head, and the order of the steps. Everything is checked here,
 * so that whoever holds a kds_task can rely on it: every name resolves, every expression has a
 * value for every row, every text is UTF-8. An error names file, line and key. */
#include "eval/task_internal.h"
#include "search/base/file.h"
#include "search/base/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool kds_task_is_identifier(const char *s)
{
    if (!s[0] || strlen(s) > 63 || (s[0] >= '0' && s[0] <= '9'))
        return false;
    for (; *s; s++) {
        if (!(*s == '_' || (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') ||
              (*s >= 'A' && *s <= 'Z')))
            return false;
    }
    return true;
}

int kds_task_choose(kds_task_loader *l, const cJSON *node, const char *what, const char *text,
                    const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], text) == 0)
            return i;
    }
    kds_buf list;
    kds_buf_init(&list, 400);
    for (int i = 0; names[i]; i++)
        kds_buf_printf(&list, i ? ", %s" : "%s", names[i]);
    const char *near = kds_text_suggest(text, names);
    if (near)
        (void)kds_json_fail(l->doc, node, l->e, "unknown %s '%s'; did you mean '%s'?", what, text,
                            near);
    else
        (void)kds_json_fail(l->doc, node, l->e, "unknown %s '%s' (known: %s)", what, text,
                            list.data);
    kds_buf_free(&list);
    return -1;
}

static kds_code check_names(kds_task_loader *l, const cJSON *node, const char *const *names,
                            const kds_expr *x)
{
    for (int i = 0; i < kds_expr_name_count(x); i++) {
        const char *name = kds_expr_name(x, i);
        bool known = false;
        for (int k = 0; names[k] && !known; k++)
            known = strcmp(names[k], name) == 0;
        if (known)
            continue;
        const char *near = kds_text_suggest(name, names);
        if (near)
            return kds_json_fail(l->doc, node, l->e,
                                 "unknown name '%s' in '%s'; did you mean '%s'?", name,
                                 kds_expr_text(x), near);
        return kds_json_fail(l->doc, node, l->e, "unknown name '%s' in '%s'", name,
                             kds_expr_text(x));
    }
    return KDS_OK;
}

kds_code kds_task_read_expr(kds_task_loader *l, const cJSON *node, const char *const *names,
                            kds_expr **out)
{
    char number[40];
    const char *text = number;
    if (cJSON_IsNumber(node)) {
        double v = node->valuedouble;
        if (v == floor(v) && fabs(v) <= 9007199254740992.0)
            snprintf(number, sizeof number, "%.0f", v);
        else
            snprintf(number, sizeof number, "%.17g", v);
    } else if (cJSON_IsString(node)) {
        text = node->valuestring;
    } else {
        return kds_json_fail(l->doc, node, l->e, "must be an expression (a string) or a number");
    }
    kds_err inner = {0};
    kds_expr *x;
    kds_code code = kds_expr_parse(&x, text, strlen(text), &inner);
    if (code == KDS_NO_MEMORY)
        return kds_fail(l->e, code, "out of memory");
    if (code != KDS_OK)
        return kds_json_fail(l->doc, node, l->e, "in the expression '%s': %s", text, inner.message);
    struct kds_task_private *own = l->t->own;
    own->exprs[own->expr_count].x = x;
    own->exprs[own->expr_count++].node = node;
    code = check_names(l, node, names, x);
    if (code == KDS_OK)
        *out = x;
    return code;
}

/* A name in lower case, as folders and reports use it. */
static bool is_slug(const char *s)
{
    if (!(s[0] >= 'a' && s[0] <= 'z'))
        return false;
    for (const char *p = s; *p; p++) {
        if (!(*p == '_' || (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z')))
            return false;
    }
    return strlen(s) <= 63;
}

static kds_code read_dims(kds_task_loader *l, const cJSON *array)
{
    int n = cJSON_GetArraySize(array);
    if (n < 1 || n > KDS_DIMS_MAX)
        return kds_json_fail(l->doc, array, l->e, "must name 1 to %d dims", KDS_DIMS_MAX);
    const cJSON *node;
    cJSON_ArrayForEach(node, array)
    {
        if (!cJSON_IsString(node) || !kds_task_is_identifier(node->valuestring))
            return kds_json_fail(l->doc, node, l->e,
                                 "must be a name of letters, digits and _ (at most 63)");
        for (int i = 0; i < l->t->dim_count; i++) {
            if (strcmp(l->t->dims[i], node->valuestring) == 0)
                return kds_json_fail(l->doc, node, l->e, "the dim '%s' is named twice",
                                     node->valuestring);
        }
        l->t->dims[l->t->dim_count++] = node->valuestring;
        l->names[l->name_count++] = node->valuestring;
    }
    return KDS_OK;
}

static kds_code read_scalar(kds_task_loader *l, const cJSON *node)
{
    kds_task *t = l->t;
    kds_json_reader r;
    kds_json_reader_init(&r, l->doc, node, l->e);
    const char *name = kds_json_need_string(&r, "name");
    const char *dtype = kds_json_need_string(&r, "dtype");
    const cJSON *value = kds_json_opt_any(&r, "value");
    kds_code code = kds_json_done(&r);
    if (code != KDS_OK)
        return code;
    if (!kds_task_is_identifier(name))
        return kds_json_fail(l->doc, kds_json_at(node, "name"), l->e,
                             "must be a name of letters, digits and _ (at most 63)");
    if (kds_task_scalar(t, name) >= 0)
        return kds_json_fail(l->doc, kds_json_at(node, "name"), l->e, "the name '%s' is used twice",
                             name);
    int type = kds_task_choose(l, kds_json_at(node, "dtype"), "dtype", dtype, kds_dtype_names);
    if (type < 0)
        return KDS_INVALID;
    if (!value)
        return kds_json_fail(l->doc, node, l->e, "the key 'value' is missing");
    kds_scalar_spec *s = &t->scalars[t->scalar_count];
    code = kds_task_read_expr(l, value, l->names, &s->value);
    if (code != KDS_OK)
        return code;
    s->name = name;
    s->dtype = (kds_dtype)type;
    t->scalar_count++;
    bool is_dim = false;
    for (int i = 0; i < t->dim_count; i++)
        is_dim = is_dim || strcmp(t->dims[i], name) == 0;
    if (!is_dim)
        l->names[l->name_count++] = name;
    return KDS_OK;
}

static kds_code read_scalars(kds_task_loader *l, const cJSON *array)
{
    if (cJSON_GetArraySize(array) > KDS_SCALARS_MAX)
        return kds_json_fail(l->doc, array, l->e, "more than %d scalars", KDS_SCALARS_MAX);
    const cJSON *node;
    kds_code code = KDS_OK;
    cJSON_ArrayForEach(node, array)
    {
        code = read_scalar(l, node);
        if (code != KDS_OK)
            break;
    }
    return code;
}

/* The parts of task.json that have readers of their own. */
typedef struct parts {
    const cJSON *dims, *buffers, *scalars, *regimes, *bytes, *flops, *tensor_flops, *descriptors;
} parts;

/* Order matters: what comes later may use the names of what comes before. */
static kds_code read_parts(kds_task_loader *l, const cJSON *root, const parts *p)
{
    kds_code code = read_dims(l, p->dims);
    if (code == KDS_OK)
        code = read_scalars(l, p->scalars);
    if (code == KDS_OK)
        code = kds_task_read_buffers(l, p->buffers);
    if (code == KDS_OK)
        code = kds_task_read_regimes(l, p->regimes);
    if (code == KDS_OK && (!p->bytes || !p->flops))
        code = kds_json_fail(l->doc, root, l->e, "the key '%s' is missing",
                             p->bytes ? "flops" : "bytes");
    if (code == KDS_OK)
        code = kds_task_read_expr(l, p->bytes, l->names, &l->t->bytes);
    if (code == KDS_OK)
        code = kds_task_read_expr(l, p->flops, l->names, &l->t->flops);
    if (code == KDS_OK && p->tensor_flops)
        code = kds_task_read_expr(l, p->tensor_flops, l->names, &l->t->tensor_flops);
    if (code == KDS_OK)
        code = kds_task_read_axes(l, p->descriptors);
    return code;
}

static kds_code read_task_json(kds_task_loader *l)
{
    kds_task *t = l->t;
    const cJSON *root = kds_json_root(l->doc);
    kds_json_reader r;
    kds_json_reader_init(&r, l->doc, root, l->e);
    parts p;
    (void)kds_json_need_int(&r, "format", 1, 1);
    t->name = kds_json_need_string(&r, "name");
    t->family = kds_json_need_string(&r, "family");
    t->summary = kds_json_need_string(&r, "summary");
    t->function = kds_json_need_string(&r, "function");
    p.dims = kds_json_need_array(&r, "dims");
    p.buffers = kds_json_need_array(&r, "buffers");
    p.scalars = kds_json_opt_array(&r, "scalars");
    t->bitwise = kds_json_opt_bool(&r, "bitwise", false);
    p.regimes = kds_json_opt_array(&r, "regimes");
    p.bytes = kds_json_opt_any(&r, "bytes");
    p.flops = kds_json_opt_any(&r, "flops");
    p.tensor_flops = kds_json_opt_any(&r, "tensor_flops");
    t->max_regress = kds_json_opt_double(&r, "max_regress", 0, 10, 0.02);
    t->screen = kds_json_opt_double(&r, "screen", 0, 10, 0.10);
    t->margin = kds_json_opt_double(&r, "margin", 0, 10, 0.0025);
    t->share = kds_json_opt_double(&r, "share", 0, 1, 0);
    t->share_of = kds_json_opt_string(&r, "share_of", NULL);
    p.descriptors = kds_json_opt_object(&r, "descriptors");
    kds_code code = kds_json_done(&r);
    if (code != KDS_OK)
        return code;
    if ((t->share > 0) != (t->share_of != NULL && t->share_of[0]))
        return kds_json_fail(
            l->doc, kds_json_at(root, t->share_of ? "share_of" : "share"), l->e,
            "\"share\" (above 0, at most 1) and \"share_of\" (of what) go together");
    if (!is_slug(t->name) || !is_slug(t->family))
        return kds_json_fail(l->doc, kds_json_at(root, is_slug(t->name) ? "family" : "name"), l->e,
                             "must begin with a-z and hold only a-z, 0-9 and _ (at most 63)");
    return read_parts(l, root, &p);
}

static kds_code load_document(const kds_task *t, const char *name, kds_json_doc **out, kds_err *e)
{
    char *path = kds_path_join(t->dir, name);
    if (!path)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_code code;
    if (!kds_path_exists(path))
        code =
            kds_fail(e, KDS_INVALID,
                     "%s: no such file; a task folder must have it (see kernels/README.md)", path);
    else
        code = kds_json_load(out, path, KDS_TASK_JSON_CAP, e);
    if (code == KDS_TOO_LARGE)
        code = kds_fail(e, KDS_INVALID, "%s: larger than 1 MiB", path);
    free(path);
    return code;
}

static kds_code load_all(kds_task *t, kds_err *e)
{
    kds_task_loader l = {.t = t, .e = e};
    kds_code code = load_document(t, "task.json", &t->own->task_doc, e);
    if (code != KDS_OK)
        return code;
    l.doc = t->own->task_doc;
    code = read_task_json(&l);
    if (code != KDS_OK)
        return code;
    code = load_document(t, "bench/workloads.json", &t->own->rows_doc, e);
    if (code != KDS_OK)
        return code;
    l.doc = t->own->rows_doc;
    code = kds_task_read_rows(&l);
    if (code == KDS_OK)
        code = kds_task_check_rows(&l);
    return code == KDS_OK ? kds_task_read_files(t, e) : code;
}

kds_code kds_task_load(kds_task **out, const char *dir, kds_err *e)
{
    if (!kds_path_is_dir(dir))
        return kds_fail(e, KDS_INVALID, "%s: no such folder; a task is a folder with a task.json",
                        dir);
    kds_task *t = calloc(1, sizeof *t);
    if (t) {
        t->own = calloc(1, sizeof *t->own);
        t->dir = strdup(dir);
    }
    kds_code code = KDS_OK;
    if (!t || !t->own || !t->dir)
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory while loading the task '%s'", dir);
    if (code == KDS_OK)
        code = load_all(t, e);
    if (code == KDS_OK)
        *out = t;
    else
        kds_task_free(t);
    return code;
}
