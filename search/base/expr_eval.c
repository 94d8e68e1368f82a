/* Runs compiled expressions. The stack is of fixed size: the parser bounds what can be pending, and
 * jumps go forward only, so that evaluation is linear in the text. */
#include "search/base/expr_code.h"
#include <math.h>
#include <string.h>

#define SHOWN 80 /* bytes of a subexpression in a message */

typedef struct machine {
    const kds_expr *x;
    kds_value stack[KDS_EXPR_STACK];
    int depth;
} machine;

static kds_code fail_at(const kds_expr *x, const kds_expr_step *s, const char *why, kds_err *e)
{
    int len = s->end - s->start;
    bool cut = len > SHOWN;
    return kds_fail(e, KDS_INVALID, "%s in '%.*s%s' at column %d", why, cut ? SHOWN : len,
                    x->text + s->start, cut ? "..." : "", s->column + 1);
}

static kds_code push_name(machine *m, const kds_expr_step *s, kds_expr_lookup *lookup, void *user,
                          kds_err *e)
{
    const char *name = m->x->names[s->target];
    kds_value v;
    if (!lookup || !lookup(user, name, &v))
        return kds_fail(e, KDS_INVALID, "unknown name '%s' at column %d", name, s->column + 1);
    if (v.is_double && !isfinite(v.d))
        return kds_fail(e, KDS_INVALID, "'%s' at column %d has a value that is not finite", name,
                        s->column + 1);
    m->stack[m->depth++] = v;
    return KDS_OK;
}

/* Executes a jumping step; returns the index of the next one. */
static int jump(machine *m, const kds_expr_step *s, int at)
{
    kds_value *top = &m->stack[m->depth - 1];
    if (s->op == KDS_EXPR_JUMP)
        return s->target;
    bool truth = kds_expr_truth(*top);
    if (s->op == KDS_EXPR_BRANCH_FALSE) {
        m->depth--;
        return truth ? at + 1 : s->target;
    }
    if (truth == (s->op == KDS_EXPR_OR)) {
        *top = kds_value_int(truth);
        return s->target;
    }
    m->depth--;
    return at + 1;
}

kds_code kds_expr_eval(const kds_expr *x, kds_expr_lookup *lookup, void *user, kds_value *out,
                       kds_err *e)
{
    machine m;
    m.x = x;
    m.depth = 0;
    for (int at = 0; at < x->step_count;) {
        const kds_expr_step *s = &x->steps[at];
        const char *why = NULL;
        if (s->op >= KDS_EXPR_AND) {
            at = jump(&m, s, at);
            continue;
        }
        if (s->op == KDS_EXPR_PUSH) {
            m.stack[m.depth++] = s->value;
        } else if (s->op == KDS_EXPR_NAME) {
            kds_code code = push_name(&m, s, lookup, user, e);
            if (code)
                return code;
        } else if (s->op < KDS_EXPR_ADD) {
            why = kds_expr_apply_unary(s->op, m.stack[m.depth - 1], &m.stack[m.depth - 1]);
        } else {
            m.depth--;
            kds_value *left = &m.stack[m.depth - 1];
            why = kds_expr_apply_binary(s->op, *left, m.stack[m.depth], left);
        }
        if (why)
            return fail_at(x, s, why, e);
        at++;
    }
    *out = m.stack[0];
    return KDS_OK;
}

kds_code kds_expr_eval_int(const kds_expr *x, kds_expr_lookup *lookup, void *user, int64_t *out,
                           kds_err *e)
{
    kds_value v;
    kds_code code = kds_expr_eval(x, lookup, user, &v, e);
    if (code)
        return code;
    if (!v.is_double) {
        *out = v.i;
        return KDS_OK;
    }
    if (v.d != trunc(v.d) || v.d >= 9223372036854775808.0 || v.d < -9223372036854775808.0)
        return kds_fail(e, KDS_INVALID, "'%.*s' is %.17g where an integer is needed", SHOWN,
                        x->text, v.d);
    *out = (int64_t)v.d;
    return KDS_OK;
}

kds_code kds_expr_eval_double(const kds_expr *x, kds_expr_lookup *lookup, void *user, double *out,
                              kds_err *e)
{
    kds_value v;
    kds_code code = kds_expr_eval(x, lookup, user, &v, e);
    if (code)
        return code;
    *out = v.is_double ? v.d : (double)v.i;
    return KDS_OK;
}

kds_code kds_expr_eval_bool(const kds_expr *x, kds_expr_lookup *lookup, void *user, bool *out,
                            kds_err *e)
{
    kds_value v;
    kds_code code = kds_expr_eval(x, lookup, user, &v, e);
    if (code)
        return code;
    *out = kds_expr_truth(v);
    return KDS_OK;
}

bool kds_scope_lookup(void *scope, const char *name, kds_value *out)
{
    for (const kds_scope *s = scope; s; s = s->outer) {
        for (int i = 0; i < s->count; i++) {
            if (strcmp(s->entries[i].name, name) == 0) {
                *out = s->entries[i].value;
                return true;
            }
        }
    }
    return false;
}
