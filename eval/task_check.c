/* What can only be known with task and rows together: every expression is evaluated for every row,
 * scalars fit their types, buffers have sane extents. After this, kds_task_extent and
 * kds_task_scalar_value cannot fail for a row of the task. */
#include "eval/task_internal.h"
#include <math.h>
#include <string.h>

/* Fails at the expression `x` in task.json, naming the row that has no value for it. */
static kds_code fail_expr(kds_task_loader *l, const kds_expr *x, const kds_row *row,
                          const kds_err *inner)
{
    const struct kds_task_private *own = l->t->own;
    const cJSON *node = NULL;
    for (int i = 0; i < own->expr_count; i++) {
        if (own->exprs[i].x == x)
            node = own->exprs[i].node;
    }
    return kds_json_fail(own->task_doc, node, l->e, "'%s' for row '%s': %s", kds_expr_text(x),
                         row->id, inner->message);
}

static bool same_value(kds_value a, kds_value b)
{
    return (a.is_double ? a.d : (double)a.i) == (b.is_double ? b.d : (double)b.i);
}

/* A value that its type cannot hold would reach the kernel as another one. */
static kds_code check_fits(const kds_scalar_spec *s, kds_value v, kds_err *e)
{
    bool floating = s->dtype == KDS_DTYPE_F32 || s->dtype == KDS_DTYPE_F16 ||
                    s->dtype == KDS_DTYPE_BF16 || s->dtype == KDS_DTYPE_F64;
    if (floating) {
        double d = v.is_double ? v.d : (double)v.i;
        unsigned char bytes[8];
        kds_dtype_store(s->dtype, bytes, d);
        if (isinf(kds_dtype_load(s->dtype, bytes)))
            return kds_fail(e, KDS_INVALID, "%g does not fit %s", d, kds_dtype_name(s->dtype));
        return KDS_OK;
    }
    if (v.is_double)
        return kds_fail(e, KDS_INVALID, "%g is not an integer, as %s needs", v.d,
                        kds_dtype_name(s->dtype));
    if ((s->dtype == KDS_DTYPE_I32 && (v.i < INT32_MIN || v.i > INT32_MAX)) ||
        (s->dtype == KDS_DTYPE_U8 && (v.i < 0 || v.i > UINT8_MAX)))
        return kds_fail(e, KDS_INVALID, "%lld does not fit %s", (long long)v.i,
                        kds_dtype_name(s->dtype));
    return KDS_OK;
}

/* Evaluates the scalars in order and puts those that are no dims into the row's scope. */
static kds_code check_scalars(kds_task_loader *l, kds_row *row)
{
    for (int i = 0; i < l->t->scalar_count; i++) {
        const kds_scalar_spec *s = &l->t->scalars[i];
        kds_err inner = {0};
        kds_value v, dim;
        kds_code code = kds_task_scalar_value(l->t, row, i, &v, &inner);
        if (code == KDS_OK)
            code = check_fits(s, v, &inner);
        kds_scope scope = row->scope;
        if (code == KDS_OK && kds_scope_lookup(&scope, s->name, &dim)) {
            if (same_value(v, dim))
                continue;
            code = kds_fail(&inner, KDS_INVALID,
                            "the scalar '%s' has the name of a dim but not its value", s->name);
        }
        if (code != KDS_OK)
            return fail_expr(l, s->value, row, &inner);
        row->dims[row->scope.count].name = s->name;
        row->dims[row->scope.count].value = v;
        row->scope.count++;
    }
    return KDS_OK;
}

/* Two elements of an output must not share memory. Sufficient: sorted by stride, each one steps
 * over all that the smaller ones span. */
static bool overlaps(const kds_extent *x)
{
    bool used[KDS_RANK_MAX] = {false};
    int64_t reach = 1;
    for (int n = 0; n < x->rank; n++) {
        int next = -1;
        for (int d = 0; d < x->rank; d++) {
            if (!used[d] && (next < 0 || x->strides[d] < x->strides[next]))
                next = d;
        }
        used[next] = true;
        if (x->shape[next] == 1)
            continue;
        if (x->strides[next] < reach)
            return true;
        reach += (x->shape[next] - 1) * x->strides[next];
    }
    return false;
}

/* As many numbers as the buffer has elements, each as the type keeps it. */
static kds_code check_list(const kds_row *row, int buffer, const kds_extent *x, kds_err *e)
{
    if (x->span != x->numel)
        return kds_fail(e, KDS_INVALID, "a listed buffer must be contiguous");
    if (row->lists[buffer].count != x->numel)
        return kds_fail(e, KDS_INVALID, "the row lists %d numbers for %lld elements",
                        row->lists[buffer].count, (long long)x->numel);
    bool floating = x->dtype == KDS_DTYPE_F32 || x->dtype == KDS_DTYPE_F16 ||
                    x->dtype == KDS_DTYPE_BF16 || x->dtype == KDS_DTYPE_F64;
    for (int i = 0; i < row->lists[buffer].count && !floating; i++) {
        double v = row->lists[buffer].values[i];
        unsigned char bytes[8];
        kds_dtype_store(x->dtype, bytes, v);
        if (kds_dtype_load(x->dtype, bytes) != v)
            return kds_fail(e, KDS_INVALID, "%g does not fit %s", v, kds_dtype_name(x->dtype));
    }
    return KDS_OK;
}

/* Whether the type of an input can hold what its fill makes, and its values make sense. */
static kds_code check_fill(const kds_task *t, const kds_row *row, int buffer, const kds_extent *x,
                           kds_err *e)
{
    kds_fill fill;
    kds_code code = kds_task_fill(t, row, buffer, x, &fill, e);
    if (code != KDS_OK)
        return code;
    if (fill.kind == KDS_FILL_LISTED)
        return check_list(row, buffer, x, e);
    int64_t most = x->dtype == KDS_DTYPE_I64   ? INT64_MAX
                   : x->dtype == KDS_DTYPE_I32 ? INT64_C(1) << 31
                                               : 0;
    if (fill.kind == KDS_FILL_PERMUTATION && x->span > most)
        return kds_fail(e, KDS_INVALID,
                        "a permutation needs i32 or i64 and as many elements as it can count");
    if (fill.kind == KDS_FILL_OFFSETS &&
        (x->span < 2 || !(fill.a >= 0 && fill.a <= 0x1p53 && fill.a < (double)most)))
        return kds_fail(e, KDS_INVALID,
                        "offsets need i32 or i64, at least 2 elements and a total that fits");
    if (fill.kind == KDS_FILL_UNIFORM && !(fill.a < fill.b))
        return kds_fail(e, KDS_INVALID, "low must be below high");
    if (fill.kind == KDS_FILL_NORMAL && fill.b < 0)
        return kds_fail(e, KDS_INVALID, "std must not be negative");
    return KDS_OK;
}

static kds_code check_buffer(kds_task_loader *l, const kds_row *row, int i)
{
    const kds_buffer_spec *b = &l->t->buffers[i];
    kds_extent x;
    kds_err inner = {0};
    kds_code code = kds_task_extent(l->t, row, i, &x, &inner);
    if (code == KDS_OK && b->role != KDS_ROLE_IN && overlaps(&x))
        code = kds_fail(&inner, KDS_INVALID, "elements of the output '%s' overlap", b->name);
    if (code != KDS_OK || b->role == KDS_ROLE_OUT)
        return code == KDS_OK ? KDS_OK : fail_expr(l, b->shape[0], row, &inner);
    code = check_fill(l->t, row, i, &x, &inner);
    const kds_expr *at = b->fill_values[0]   ? b->fill_values[0]
                         : b->fill_values[1] ? b->fill_values[1]
                                             : b->shape[0];
    return code == KDS_OK ? KDS_OK : fail_expr(l, at, row, &inner);
}

static kds_code check_positive(kds_task_loader *l, const kds_row *row, const kds_expr *x, bool zero)
{
    kds_scope scope = row->scope;
    kds_err inner = {0};
    double v = 0;
    kds_code code = kds_expr_eval_double(x, kds_scope_lookup, &scope, &v, &inner);
    if (code == KDS_OK && (zero ? v < 0 : v <= 0))
        code = kds_fail(&inner, KDS_INVALID, "is %g, but must be %s 0", v,
                        zero ? "at least" : "above");
    return code == KDS_OK ? KDS_OK : fail_expr(l, x, row, &inner);
}

kds_code kds_task_check_rows(kds_task_loader *l)
{
    kds_code code = KDS_OK;
    for (int r = 0; r < l->t->row_count && code == KDS_OK; r++) {
        kds_row *row = &l->t->rows[r];
        code = check_scalars(l, row);
        for (int i = 0; i < l->t->buffer_count && code == KDS_OK; i++)
            code = check_buffer(l, row, i);
        if (code == KDS_OK)
            code = check_positive(l, row, l->t->bytes, false);
        if (code == KDS_OK)
            code = check_positive(l, row, l->t->flops, true);
        if (code == KDS_OK && l->t->tensor_flops)
            code = check_positive(l, row, l->t->tensor_flops, true);
    }
    return code;
}
