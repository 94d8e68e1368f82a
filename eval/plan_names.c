/* Names and expressions of a plan: what may be named where, and how a wrong name is explained. A
 * name means one thing in a whole plan; what a variant declares is seen only in that variant, after
 * its line. */
#include "eval/plan_parts.h"
#include "search/base/text.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define NAMES_MAX                                                                                  \
    (KDS_DIMS_MAX + KDS_SCALARS_MAX + KDS_BUFFERS_MAX + KDS_TUNABLES + KDS_PLAN_ITEMS + 1)

size_t kds_plan_identifier(const char *s)
{
    size_t n = 0;
    if (!isalpha((unsigned char)s[0]) && s[0] != '_')
        return 0;
    while (isalnum((unsigned char)s[n]) || s[n] == '_')
        n++;
    return n;
}

const char *kds_plan_closing(const char *s)
{
    int depth = 0;
    for (; *s; s++) {
        if (*s == '(' || *s == '[')
            depth++;
        else if (*s == ')' || *s == ']')
            depth--;
        if (depth == 0)
            return s;
    }
    return NULL;
}

bool kds_plan_wrong(kds_plan_parser *x, const char *fmt, ...)
{
    char text[2000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    kds_finding_set(x->f, KDS_VERDICT_PLAN_INVALID, "plan", x->p->inherited ? 0 : x->part->line,
                    "%s'%s': %s", x->p->inherited ? "in the plan inherited from the parent, " : "",
                    x->shown, text);
    return false;
}

/* True if a part declared so far can be seen from the variant that is being read. */
static bool visible(const kds_plan_parser *x, const kds_part *part)
{
    return part != x->part && part->kind != KDS_PART_LAUNCH && part->kind != KDS_PART_VARIANT &&
           (part->variant == KDS_PLAN_SHARED || part->variant == x->variant);
}

static const kds_part *find_part(const kds_plan_parser *x, kds_part_kind kind, const char *name)
{
    for (int i = 0; i < x->p->part_count; i++) {
        const kds_part *part = &x->p->parts[i];
        if (part->kind == kind && visible(x, part) && strcmp(part->name, name) == 0)
            return part;
    }
    return NULL;
}

int kds_plan_find_scratch(const kds_plan_parser *x, const char *name)
{
    const kds_part *part = find_part(x, KDS_PART_SCRATCH, name);
    return part ? (int)(part - x->p->parts) : -1;
}

static bool is_dim(const kds_task *t, const char *name)
{
    for (int i = 0; i < t->dim_count; i++) {
        if (strcmp(t->dims[i], name) == 0)
            return true;
    }
    return false;
}

static bool is_tunable(const kds_plan *p, const char *name)
{
    for (int i = 0; i < p->tunable_count; i++) {
        if (strcmp(p->tunables[i].name, name) == 0)
            return true;
    }
    return false;
}

static bool has_value(const kds_plan_parser *x, const char *name)
{
    const kds_task *t = x->p->task;
    return is_dim(t, name) || kds_task_scalar(t, name) >= 0 || is_tunable(x->p, name) ||
           find_part(x, KDS_PART_DEFINE, name);
}

/* The nearest name that could stand there; buffers and scratch only where `pointers`. */
static const char *suggest(const kds_plan_parser *x, const char *name, bool pointers)
{
    const kds_task *t = x->p->task;
    const char *names[NAMES_MAX];
    int n = 0;
    for (int i = 0; i < t->dim_count; i++)
        names[n++] = t->dims[i];
    for (int i = 0; i < t->scalar_count; i++)
        names[n++] = t->scalars[i].name;
    for (int i = 0; i < x->p->tunable_count; i++)
        names[n++] = x->p->tunables[i].name;
    for (int i = 0; pointers && i < t->buffer_count; i++)
        names[n++] = t->buffers[i].name;
    for (int i = 0; i < x->p->part_count; i++) {
        const kds_part *part = &x->p->parts[i];
        if (visible(x, part) && (pointers || part->kind == KDS_PART_DEFINE))
            names[n++] = part->name;
    }
    names[n] = NULL;
    return kds_text_suggest(name, names);
}

static void list_names(const kds_plan_parser *x, bool pointers, char *out, size_t size)
{
    const kds_task *t = x->p->task;
    kds_buf b;
    kds_buf_init(&b, 1000);
    for (int i = 0; pointers && i < t->buffer_count; i++)
        kds_buf_printf(&b, "%s ", t->buffers[i].name);
    for (int i = 0; i < t->scalar_count; i++)
        kds_buf_printf(&b, "%s ", t->scalars[i].name);
    for (int i = 0; i < t->dim_count; i++) {
        if (kds_task_scalar(t, t->dims[i]) < 0)
            kds_buf_printf(&b, "%s ", t->dims[i]);
    }
    for (int i = 0; i < x->p->tunable_count; i++)
        kds_buf_printf(&b, "%s ", x->p->tunables[i].name);
    for (int i = 0; i < x->p->part_count; i++) {
        const kds_part *part = &x->p->parts[i];
        if (visible(x, part) && (pointers || part->kind == KDS_PART_DEFINE))
            kds_buf_printf(&b, "%s ", part->name);
    }
    snprintf(out, size, "%.*s", b.len ? (int)b.len - 1 : 0, b.data);
    kds_buf_free(&b);
}

static bool unknown_name(kds_plan_parser *x, const char *what, const char *name, bool pointers)
{
    char names[600];
    const char *near = suggest(x, name, pointers);
    if (near)
        return kds_plan_wrong(x, "unknown name '%s' in %s; did you mean '%s'?", name, what, near);
    for (int i = 0; i < x->p->part_count; i++) {
        const kds_part *part = &x->p->parts[i];
        if (part != x->part && part->kind != KDS_PART_VARIANT && strcmp(part->name, name) == 0)
            return kds_plan_wrong(x,
                                  "'%s' in %s belongs to another variant; declare it in this "
                                  "variant, or before the first variant for all of them",
                                  name, what);
    }
    list_names(x, pointers, names, sizeof names);
    return kds_plan_wrong(x, "unknown name '%s' in %s; known here: %s", name, what, names);
}

bool kds_plan_check_new_name(kds_plan_parser *x, const char *what, const char *name)
{
    const kds_task *t = x->p->task;
    if (name[0] == '_' && name[1] == '_')
        return kds_plan_wrong(x, "the %s '%s' may not start with two underscores", what, name);
    const char *taken = kds_task_buffer(t, name) >= 0         ? "a buffer of the task"
                        : kds_task_scalar(t, name) >= 0       ? "a scalar of the task"
                        : is_dim(t, name)                     ? "a dim of the rows"
                        : is_tunable(x->p, name)              ? "a tunable"
                        : find_part(x, KDS_PART_DEFINE, name) ? "already defined"
                        : kds_plan_find_scratch(x, name) >= 0 ? "already a scratch"
                        : strcmp(name, "zero") == 0           ? "a word of the grammar"
                                                              : NULL;
    if (taken)
        return kds_plan_wrong(x, "the %s cannot be called '%s': that is %s; choose another name",
                              what, name, taken);
    return true;
}

bool kds_plan_expr(kds_plan_parser *x, const char *what, const char *text, size_t len,
                   kds_expr **out)
{
    kds_err e;
    kds_expr *expr = NULL;
    kds_code bad = kds_expr_parse(&expr, text, len, &e);
    if (bad == KDS_INVALID)
        return kds_plan_wrong(x, "%s '%.*s': %s", what, (int)(len < 80 ? len : 80), text,
                              e.message);
    if (bad != KDS_OK) {
        x->bad = kds_fail(x->e, bad, "%s", e.message);
        return false;
    }
    *out = expr;
    for (int i = 0; i < kds_expr_name_count(expr); i++) {
        const char *name = kds_expr_name(expr, i);
        if (has_value(x, name))
            continue;
        if (kds_task_buffer(x->p->task, name) >= 0 || kds_plan_find_scratch(x, name) >= 0)
            return kds_plan_wrong(
                x,
                "'%s' is a buffer: it may stand alone as an argument of a launch, "
                "but not in %s",
                name, what);
        return unknown_name(x, what, name,
                            x->part->kind == KDS_PART_LAUNCH && strcmp(what, "an argument") == 0);
    }
    return true;
}
