/* Binding a plan to a row: values of all expressions, the variant that runs, and CUDA's bounds.
 * Nothing here depends on anything but plan and row. What is wrong for a held-out row is told
 * without its numbers. */
#include "eval/plan_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUES_MAX (KDS_TUNABLES + KDS_SCALARS_MAX + KDS_PLAN_DEFINES)

typedef struct binder {
    const kds_plan *p;
    const kds_row *row;
    kds_binding *out;
    kds_finding *f;
    kds_err *e;
    kds_code bad;
    kds_scope_entry values[VALUES_MAX];
    kds_scope scope;
    const kds_part *part; /* being evaluated */
    int64_t scratch_bytes;
    int scratch_at[KDS_PLAN_ITEMS]; /* part number to index in the binding, -1: not in this row */
} binder;

/* "row 'zimage' (M=4096, N=128)"; nothing of a held-out row. */
static void describe_row(const binder *b, char *out, size_t size)
{
    if (b->row->set == KDS_ROWS_HELD_OUT) {
        snprintf(out, size, "a held-out row (sizes that are not shown, such as odd ones)");
        return;
    }
    kds_buf text;
    kds_buf_init(&text, 400);
    kds_buf_printf(&text, "row '%.80s'", b->row->id);
    for (int i = 0; i < b->row->dim_count; i++) {
        const kds_scope_entry *d = &b->row->dims[i];
        kds_buf_puts(&text, i ? ", " : " (");
        if (d->value.is_double)
            kds_buf_printf(&text, "%s=%g", d->name, d->value.d);
        else
            kds_buf_printf(&text, "%s=%lld", d->name, (long long)d->value.i);
    }
    snprintf(out, size, "%s%s", text.data, b->row->dim_count ? ")" : "");
    kds_buf_free(&text);
}

static bool wrong(binder *b, kds_verdict v, const char *fmt, ...) KDS_PRINTF(3, 4);
static bool wrong(binder *b, kds_verdict v, const char *fmt, ...)
{
    char text[1200], row[500];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    describe_row(b, row, sizeof row);
    kds_finding_set(b->f, v, "plan", b->part && !b->p->inherited ? b->part->line : 0, "%s: for %s",
                    text, row);
    return false;
}

/* Sorts a failed evaluation into a finding or a failure of ours. */
static bool failed(binder *b, kds_code code, const char *what, const kds_expr *expr,
                   const kds_err *e)
{
    if (code != KDS_INVALID) {
        b->bad = kds_fail(b->e, code, "%s", e->message);
        return false;
    }
    bool hidden = b->row->set == KDS_ROWS_HELD_OUT;
    return wrong(b, KDS_VERDICT_PLAN_INVALID, "%s '%.200s' has no value%s%s", what,
                 kds_expr_text(expr), hidden ? "" : ": ", hidden ? "" : e->message);
}

static bool eval_int(binder *b, const char *what, const kds_expr *expr, int64_t *out)
{
    kds_err e;
    kds_code code = kds_expr_eval_int(expr, kds_scope_lookup, &b->scope, out, &e);
    return code == KDS_OK || failed(b, code, what, expr, &e);
}

static bool eval_value(binder *b, const char *what, const kds_expr *expr, kds_value *out)
{
    kds_err e;
    kds_code code = kds_expr_eval(expr, kds_scope_lookup, &b->scope, out, &e);
    return code == KDS_OK || failed(b, code, what, expr, &e);
}

static void add_value(binder *b, const char *name, kds_value value)
{
    b->values[b->scope.count++] = (kds_scope_entry){name, value};
}

static bool add_basics(binder *b)
{
    const kds_task *t = b->p->task;
    b->scope = (kds_scope){b->values, 0, &b->row->scope};
    for (int i = 0; i < b->p->tunable_count; i++)
        add_value(b, b->p->tunables[i].name, kds_value_int(b->p->tunables[i].values[0]));
    for (int i = 0; i < t->scalar_count; i++) {
        kds_value value;
        b->bad = kds_task_scalar_value(t, b->row, i, &value, b->e);
        if (b->bad != KDS_OK)
            return false;
        add_value(b, t->scalars[i].name, value);
    }
    return true;
}

/* One to three extents with their bounds; absent ones are 1. */
static bool bind_extent(binder *b, const char *what, kds_expr *const expr[3], const int64_t most[3],
                        kds_verdict above, int64_t out[3])
{
    bool hidden = b->row->set == KDS_ROWS_HELD_OUT;
    for (int i = 0; i < 3; i++) {
        out[i] = 1;
        if (!expr[i])
            continue;
        if (!eval_int(b, what, expr[i], &out[i]))
            return false;
        if (out[i] >= 1 && out[i] <= most[i])
            continue;
        char is[32] = "";
        if (!hidden)
            snprintf(is, sizeof is, " = %lld", (long long)out[i]);
        return wrong(b, out[i] < 1 ? KDS_VERDICT_PLAN_INVALID : above,
                     "%s.%c '%.200s'%s is outside 1..%lld", what, "xyz"[i], kds_expr_text(expr[i]),
                     is, (long long)most[i]);
    }
    return true;
}

static bool bind_shape(binder *b, const kds_part_launch *l, kds_launch *out)
{
    static const int64_t grid[3] = {2147483647, 65535, 65535}, block[3] = {1024, 1024, 64},
                         cluster[3] = {8, 8, 8};
    if (!bind_extent(b, "grid", l->grid, grid, KDS_VERDICT_PLAN_INVALID, out->grid) ||
        !bind_extent(b, "block", l->block, block, KDS_VERDICT_LIMITS_EXCEEDED, out->block) ||
        !bind_extent(b, "cluster", l->cluster, cluster, KDS_VERDICT_LIMITS_EXCEEDED, out->cluster))
        return false;
    if (out->block[0] * out->block[1] * out->block[2] > 1024)
        return wrong(b, KDS_VERDICT_LIMITS_EXCEEDED,
                     "block(...) has more than 1024 threads in all");
    if (out->cluster[0] * out->cluster[1] * out->cluster[2] > 8)
        return wrong(b, KDS_VERDICT_LIMITS_EXCEEDED, "cluster(...) has more than 8 blocks in all");
    for (int i = 0; i < 3; i++) {
        if (out->grid[i] % out->cluster[i] != 0)
            return wrong(b, KDS_VERDICT_PLAN_INVALID,
                         "grid.%c is not a multiple of cluster.%c; use align_up(...)", "xyz"[i],
                         "xyz"[i]);
    }
    return true;
}

static bool bind_launch(binder *b, const kds_part_launch *l)
{
    static const int64_t shared_most = 227 * 1024;
    kds_launch *out = &b->out->launches[b->out->launch_count];
    *out = (kds_launch){.kernel = l->kernel,
                        .line = b->p->inherited ? 0 : b->part->line,
                        .cooperative = l->cooperative,
                        .arg_count = l->arg_count};
    for (int i = 0; i < l->arg_count; i++) {
        const kds_part_arg *arg = &l->args[i];
        out->args[i] = (kds_arg){.kind = arg->kind, .index = arg->index};
        if (arg->kind == KDS_ARG_SCRATCH)
            out->args[i].index = b->scratch_at[arg->index];
        else if (arg->kind == KDS_ARG_VALUE &&
                 !eval_value(b, "the argument", arg->value, &out->args[i].value))
            return false;
    }
    if (l->shared && !eval_int(b, "smem", l->shared, &out->shared_bytes))
        return false;
    if (out->shared_bytes < 0)
        return wrong(b, KDS_VERDICT_PLAN_INVALID, "smem '%.200s' is negative",
                     kds_expr_text(l->shared));
    if (out->shared_bytes > shared_most)
        return wrong(b, KDS_VERDICT_LIMITS_EXCEEDED,
                     "smem '%.200s' is more than the 232448 bytes (227 KiB) of a block",
                     kds_expr_text(l->shared));
    b->out->launch_count++;
    return bind_shape(b, l, out);
}

static bool bind_scratch(binder *b)
{
    kds_scratch *s = &b->out->scratch[b->out->scratch_count];
    *s = (kds_scratch){.name = b->part->name, .dtype = b->part->dtype, .zero = b->part->zero};
    int64_t size = (int64_t)kds_dtype_size(s->dtype);
    if (!eval_int(b, "the number of elements", b->part->value, &s->numel))
        return false;
    if (s->numel < 1)
        return wrong(b, KDS_VERDICT_PLAN_INVALID, "scratch '%s' has less than one element",
                     s->name);
    if (s->numel > (KDS_PLAN_SCRATCH_BYTES - b->scratch_bytes) / size)
        return wrong(b, KDS_VERDICT_LIMITS_EXCEEDED,
                     "scratch '%s' takes the scratch of the row above 16 GiB", s->name);
    b->scratch_bytes += s->numel * size;
    b->scratch_at[b->part - b->p->parts] = b->out->scratch_count++;
    return true;
}

void kds_plan_format_define(kds_buf *out, const char *name, kds_value value)
{
    if (!value.is_double) {
        kds_buf_printf(out, value.i < 0 ? "%s=(%lld)" : "%s=%lld", name, (long long)value.i);
        return;
    }
    char text[40];
    snprintf(text, sizeof text, "%.17g", value.d);
    kds_buf_printf(out, value.d < 0 ? "%s=(%s%s)" : "%s=%s%s", name, text,
                   strpbrk(text, ".e") ? "" : ".0");
}

static bool bind_define(binder *b, kds_buf *defines)
{
    kds_value value;
    if (!eval_value(b, "the define", b->part->value, &value))
        return false;
    add_value(b, b->part->name, value);
    if (defines) {
        kds_plan_format_define(defines, b->part->name, value);
        kds_buf_putc(defines, '\n');
    }
    return true;
}

/* Takes the variant if it is the first one that holds. */
static bool choose(binder *b)
{
    kds_value holds = kds_value_int(1);
    if (b->out->variant != KDS_PLAN_SHARED)
        return true;
    if (b->part->value && !eval_value(b, "when", b->part->value, &holds))
        return false;
    if (holds.is_double ? holds.d != 0 : holds.i != 0) {
        b->out->variant = b->part->variant;
        b->out->variant_name = b->part->name;
    }
    return true;
}

static bool bind_part(binder *b, kds_buf *defines)
{
    if (b->part->kind == KDS_PART_VARIANT)
        return choose(b);
    if (b->part->variant != KDS_PLAN_SHARED && b->part->variant != b->out->variant)
        return true;
    switch (b->part->kind) {
    case KDS_PART_DEFINE:
        return bind_define(b, defines);
    case KDS_PART_SCRATCH:
        return bind_scratch(b);
    case KDS_PART_LAUNCH:
        return bind_launch(b, &b->p->launches[b->part->launch]);
    case KDS_PART_VARIANT:
        break;
    }
    return true;
}

kds_code kds_plan_bind_row(const kds_plan *p, int row, kds_binding *out, kds_buf *defines,
                           kds_finding *f, kds_err *e)
{
    binder b = {.p = p, .row = &p->task->rows[row], .out = out, .f = f, .e = e};
    kds_finding_clear(f);
    out->launch_count = out->scratch_count = 0; /* their entries are written as they are counted */
    out->group = 0;
    out->variant = KDS_PLAN_SHARED;
    out->variant_name = "";
    memset(b.scratch_at, -1, sizeof b.scratch_at);
    bool good = add_basics(&b);
    for (int i = 0; defines && i < p->tunable_count; i++) {
        kds_plan_format_define(defines, p->tunables[i].name,
                               kds_value_int(p->tunables[i].values[0]));
        kds_buf_putc(defines, '\n');
    }
    for (int i = 0; good && i < p->part_count; i++) {
        b.part = &p->parts[i];
        good = bind_part(&b, defines);
    }
    if (good && out->launch_count == 0) {
        b.part = NULL;
        wrong(&b, KDS_VERDICT_PLAN_INVALID,
              "no variant holds; add a last '#pragma kda variant any' without when(...)");
    }
    return b.bad;
}

kds_code kds_plan_bind(const kds_plan *p, int row, kds_binding *out, kds_finding *f, kds_err *e)
{
    if (row < 0 || row >= p->task->row_count)
        return kds_fail(e, KDS_USAGE, "row %d of a task with %d rows", row, p->task->row_count);
    kds_code bad = kds_plan_bind_row(p, row, out, NULL, f, e);
    if (bad == KDS_OK && f->verdict == KDS_VERDICT_OK)
        out->group = p->row_group[row];
    return bad;
}
