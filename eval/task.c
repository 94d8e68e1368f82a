/* A loaded task: look-ups, the shape that a row gives a buffer, and the end of it. Nothing here
 * changes a task. */
#include "eval/task_internal.h"
#include <stdlib.h>
#include <string.h>

const char *kds_row_set_name(kds_row_set s)
{
    static const char *const names[] = {"production", "quick", "held_out"};
    return names[s];
}

const kds_row *kds_task_row(const kds_task *t, const char *id)
{
    for (int i = 0; i < t->row_count; i++) {
        if (strcmp(t->rows[i].id, id) == 0)
            return &t->rows[i];
    }
    return NULL;
}

int kds_task_buffer(const kds_task *t, const char *name)
{
    for (int i = 0; i < t->buffer_count; i++) {
        if (strcmp(t->buffers[i].name, name) == 0)
            return i;
    }
    return -1;
}

int kds_task_scalar(const kds_task *t, const char *name)
{
    for (int i = 0; i < t->scalar_count; i++) {
        if (strcmp(t->scalars[i].name, name) == 0)
            return i;
    }
    return -1;
}

static kds_code row_dtype(const kds_row *row, const kds_buffer_spec *b, kds_dtype *out, kds_err *e)
{
    if (!b->dtype_key) {
        *out = b->dtype;
        return KDS_OK;
    }
    for (int i = 0; i < row->dtype_count; i++) {
        if (strcmp(row->dtypes[i].key, b->dtype_key) == 0) {
            *out = row->dtypes[i].dtype;
            return KDS_OK;
        }
    }
    return kds_fail(e, KDS_INVALID, "\"dtypes\" of the row has no '%s', which buffer '%s' needs",
                    b->dtype_key, b->name);
}

/* Row-major strides where the task gives none. Every stride is >= 0. */
static kds_code read_strides(const kds_buffer_spec *b, kds_scope *scope, kds_extent *x, kds_err *e)
{
    int64_t next = 1;
    for (int i = x->rank - 1; i >= 0; i--) {
        if (!b->strides[0]) {
            x->strides[i] = next;
            next *= x->shape[i];
            continue;
        }
        kds_code code =
            kds_expr_eval_int(b->strides[i], kds_scope_lookup, scope, &x->strides[i], e);
        if (code != KDS_OK)
            return kds_err_prefix(e, code, "stride %d of buffer '%s'", i, b->name);
        if (x->strides[i] < 0)
            return kds_fail(e, KDS_INVALID, "stride %d of buffer '%s' is %lld; strides are >= 0", i,
                            b->name, (long long)x->strides[i]);
    }
    return KDS_OK;
}

/* Elements from the first to one past the last; false beyond int64. */
static bool span_of(const kds_extent *x, int64_t *span)
{
    int64_t last = 0;
    for (int i = 0; i < x->rank; i++) {
        int64_t reach;
        if (__builtin_mul_overflow(x->shape[i] - 1, x->strides[i], &reach) ||
            __builtin_add_overflow(last, reach, &last))
            return false;
    }
    return !__builtin_add_overflow(last, 1, span);
}

kds_code kds_task_extent(const kds_task *t, const kds_row *row, int buffer, kds_extent *out,
                         kds_err *e)
{
    const kds_buffer_spec *b = &t->buffers[buffer];
    kds_scope scope = row->scope;
    kds_extent x = {.rank = b->rank, .numel = 1};
    kds_code code = row_dtype(row, b, &x.dtype, e);
    if (code != KDS_OK)
        return code;
    for (int i = 0; i < x.rank; i++) {
        code = kds_expr_eval_int(b->shape[i], kds_scope_lookup, &scope, &x.shape[i], e);
        if (code != KDS_OK)
            return kds_err_prefix(e, code, "extent %d of buffer '%s'", i, b->name);
        if (x.shape[i] < 1)
            return kds_fail(e, KDS_INVALID,
                            "extent %d of buffer '%s' is %lld; a buffer has at least one element",
                            i, b->name, (long long)x.shape[i]);
        if (__builtin_mul_overflow(x.numel, x.shape[i], &x.numel))
            return kds_fail(e, KDS_INVALID, "buffer '%s' has more than 2^63 elements", b->name);
    }
    code = read_strides(b, &scope, &x, e);
    if (code != KDS_OK)
        return code;
    int64_t size = (int64_t)kds_dtype_size(x.dtype);
    if (!span_of(&x, &x.span) || x.span > KDS_TASK_BYTES_CAP / size)
        return kds_fail(e, KDS_INVALID, "buffer '%s' is larger than 16 GiB", b->name);
    *out = x;
    return KDS_OK;
}

kds_code kds_task_scalar_value(const kds_task *t, const kds_row *row, int scalar, kds_value *out,
                               kds_err *e)
{
    kds_scope scope = row->scope;
    kds_value value;
    kds_code code = kds_expr_eval(t->scalars[scalar].value, kds_scope_lookup, &scope, &value, e);
    if (code != KDS_OK)
        return code;
    kds_dtype dtype = t->scalars[scalar].dtype; /* 2.0 in a JSON file reads as the integer 2 */
    bool real = dtype != KDS_DTYPE_I32 && dtype != KDS_DTYPE_I64 && dtype != KDS_DTYPE_U8;
    *out = real && !value.is_double ? kds_value_double((double)value.i) : value;
    return KDS_OK;
}

kds_code kds_task_fill(const kds_task *t, const kds_row *row, int buffer, const kds_extent *x,
                       kds_fill *out, kds_err *e)
{
    const kds_buffer_spec *b = &t->buffers[buffer];
    kds_fill fill = b->fill;
    double *values[2] = {&fill.a, &fill.b};
    kds_scope scope = row->scope;
    for (int i = 0; i < 2; i++) {
        if (!b->fill_values[i])
            continue;
        kds_code code =
            kds_expr_eval_double(b->fill_values[i], kds_scope_lookup, &scope, values[i], e);
        if (code != KDS_OK)
            return code;
    }
    if (fill.kind == KDS_FILL_OFFSETS && x->span > 1)
        fill.b = 32 * fill.a / (double)(x->span - 1);
    *out = fill;
    return KDS_OK;
}

int64_t kds_extent_distinct(const kds_extent *x)
{
    int64_t count = 1;
    for (int d = 0; d < x->rank; d++)
        count *= x->strides[d] == 0 ? 1 : x->shape[d];
    return count < x->span ? count : x->span;
}

int64_t kds_extent_offset(const kds_extent *x, int64_t i)
{
    int64_t offset = 0;
    for (int d = x->rank - 1; d >= 0; d--) {
        offset += i % x->shape[d] * x->strides[d];
        i /= x->shape[d];
    }
    return offset;
}

void kds_task_free_lists(kds_row *row)
{
    for (int i = 0; i < KDS_BUFFERS_MAX; i++)
        free(row->lists[i].values);
}

void kds_task_free(kds_task *t)
{
    if (!t)
        return;
    if (t->own) {
        for (int i = 0; i < t->own->expr_count; i++)
            kds_expr_free(t->own->exprs[i].x);
        kds_json_free(t->own->task_doc);
        kds_json_free(t->own->rows_doc);
        free(t->own);
    }
    for (int i = 0; i < t->seed_count; i++) {
        free(t->seeds[i].name);
        free(t->seeds[i].source);
    }
    for (int i = 0; i < t->row_count; i++)
        kds_task_free_lists(&t->rows[i]);
    free(t->rows);
    free(t->card);
    free(t->baseline);
    free(t->reference);
    free(t->dir);
    free(t);
}
