/* The one expression evaluator: plans, tasks and knowledge rules. Integers (64-bit) and doubles;
 *   || && | & == != < <= > >= << >> + - * / % unary - ! ?: ( )
 *   min max abs ceil_div align_up next_pow2 log2
 * An operator on two integers is an integer operation (truncating division); with a double it is a
 * double operation. % << >> | & take integers only. Overflow, division by zero, a shift outside
 * 0..63, log2 or next_pow2 of a value <= 0, and a non-finite result are errors, not values. && ||
 * ?: evaluate only what they need. No loops, so evaluation is linear in the text. Names are
 * [A-Za-z_][A-Za-z0-9_.]* (counter names have dots). Integer literals may be hexadecimal and must
 * fit int64; doubles in C syntax. */
#ifndef KDS_BASE_EXPR_H
#define KDS_BASE_EXPR_H

#include "search/base/err.h"

#define KDS_EXPR_TEXT_CAP 4096
#define KDS_EXPR_DEPTH_CAP 64

typedef struct kds_value {
    bool is_double;
    union {
        int64_t i;
        double d;
    };
} kds_value;

typedef struct kds_expr kds_expr; /* immutable, compiled */

/* Compiles `len` bytes of text. KDS_INVALID: the message has the column and a caret-free hint
 * ("expected ')' at column 12, found ','"). */
KDS_MUST_USE kds_code kds_expr_parse(kds_expr **out, const char *text, size_t len, kds_err *e);
void kds_expr_free(kds_expr *x);
/* The text it was compiled from. */
const char *kds_expr_text(const kds_expr *x);
/* Names used, each once, in order of appearance. */
int kds_expr_name_count(const kds_expr *x);
const char *kds_expr_name(const kds_expr *x, int i);

/* Looks a name up; false if it is unknown (which makes the evaluation fail, naming it). */
typedef bool kds_expr_lookup(void *user, const char *name, kds_value *out);
KDS_MUST_USE kds_code kds_expr_eval(const kds_expr *x, kds_expr_lookup *lookup, void *user,
                                    kds_value *out, kds_err *e);
/* The same, demanding an integer (a double without fraction is converted; else KDS_INVALID). */
KDS_MUST_USE kds_code kds_expr_eval_int(const kds_expr *x, kds_expr_lookup *lookup, void *user,
                                        int64_t *out, kds_err *e);
KDS_MUST_USE kds_code kds_expr_eval_double(const kds_expr *x, kds_expr_lookup *lookup, void *user,
                                           double *out, kds_err *e);
/* Truth: not zero. */
KDS_MUST_USE kds_code kds_expr_eval_bool(const kds_expr *x, kds_expr_lookup *lookup, void *user,
                                         bool *out, kds_err *e);

/* A flat scope of named values, the usual lookup. Names are borrowed. */
typedef struct kds_scope_entry {
    const char *name;
    kds_value value;
} kds_scope_entry;
typedef struct kds_scope {
    const kds_scope_entry *entries;
    int count;
    const struct kds_scope *outer; /* searched next; may be NULL */
} kds_scope;
bool kds_scope_lookup(void *scope, const char *name, kds_value *out); /* user = kds_scope * */
kds_value kds_value_int(int64_t i);
kds_value kds_value_double(double d);

#endif
