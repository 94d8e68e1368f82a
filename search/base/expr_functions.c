/* The arithmetic of expressions: every operator and function on checked 64-bit integers and finite
 * doubles. Nothing here can trap or be undefined; what has no value gives a reason instead.
 * Integers and doubles are compared exactly, without rounding the integer. */
#include "search/base/expr_code.h"
#include <math.h>

static const char overflow[] = "integer overflow";
static const char zero_division[] = "division by zero";
static const char not_finite[] = "a result that is not finite";

kds_value kds_value_int(int64_t i)
{
    return (kds_value){.is_double = false, .i = i};
}

kds_value kds_value_double(double d)
{
    return (kds_value){.is_double = true, .d = d};
}

bool kds_expr_truth(kds_value v)
{
    return v.is_double ? v.d != 0.0 : v.i != 0;
}

static double as_double(kds_value v)
{
    return v.is_double ? v.d : (double)v.i;
}

/* Order of an integer and a finite double: negative, 0 or positive. */
static int compare_mixed(int64_t i, double d)
{
    if (d >= 9223372036854775808.0)
        return -1;
    if (d < -9223372036854775808.0)
        return 1;
    double whole = trunc(d);
    int64_t w = (int64_t)whole;
    if (i != w)
        return i < w ? -1 : 1;
    return whole < d ? -1 : whole > d;
}

static int compare(kds_value a, kds_value b)
{
    if (a.is_double && b.is_double)
        return a.d < b.d ? -1 : a.d > b.d;
    if (a.is_double)
        return -compare_mixed(b.i, a.d);
    if (b.is_double)
        return compare_mixed(a.i, b.d);
    return a.i < b.i ? -1 : a.i > b.i;
}

static const char *give_int(int64_t i, kds_value *out)
{
    *out = kds_value_int(i);
    return NULL;
}

static const char *give_double(double d, kds_value *out)
{
    if (!isfinite(d))
        return not_finite;
    *out = kds_value_double(d);
    return NULL;
}

static const char *next_pow2_int(int64_t a, kds_value *out)
{
    if (a > (INT64_C(1) << 62))
        return overflow;
    int64_t p = 1;
    while (p < a)
        p <<= 1;
    return give_int(p, out);
}

static const char *next_pow2_double(double a, kds_value *out)
{
    int exponent;
    double mantissa = frexp(a, &exponent);
    return give_double(mantissa == 0.5 ? a : ldexp(1.0, exponent), out);
}

static const char *log2_int(int64_t a, kds_value *out)
{
    int64_t bits = 0;
    while (a >>= 1)
        bits++;
    return give_int(bits, out);
}

const char *kds_expr_apply_unary(kds_expr_op op, kds_value a, kds_value *out)
{
    switch (op) {
    case KDS_EXPR_NOT:
        return give_int(!kds_expr_truth(a), out);
    case KDS_EXPR_TRUTH:
        return give_int(kds_expr_truth(a), out);
    case KDS_EXPR_ABS:
        if (a.is_double)
            return give_double(fabs(a.d), out);
        if (a.i >= 0)
            return give_int(a.i, out);
        /* fall through */
    case KDS_EXPR_NEGATE:
        if (a.is_double)
            return give_double(-a.d, out);
        return a.i == INT64_MIN ? overflow : give_int(-a.i, out);
    case KDS_EXPR_NEXT_POW2:
        if (a.is_double ? a.d <= 0 : a.i <= 0)
            return "next_pow2 of a value that is not positive";
        return a.is_double ? next_pow2_double(a.d, out) : next_pow2_int(a.i, out);
    case KDS_EXPR_LOG2:
        if (a.is_double ? a.d <= 0 : a.i <= 0)
            return "log2 of a value that is not positive";
        return a.is_double ? give_double(log2(a.d), out) : log2_int(a.i, out);
    default:
        return "an unknown operator";
    }
}

/* Floor and ceiling differ from truncation by one where there is a remainder. */
static const char *ceil_div_int(int64_t a, int64_t b, kds_value *out)
{
    if (b == 0)
        return zero_division;
    if (a == INT64_MIN && b == -1)
        return overflow;
    int64_t quotient = a / b, rest = a % b;
    if (rest != 0 && (rest > 0) == (b > 0))
        quotient++;
    return give_int(quotient, out);
}

/* The smallest multiple of b that is at least a. */
static const char *align_up_int(int64_t a, int64_t b, kds_value *out)
{
    kds_value quotient;
    int64_t r;
    if (b <= 0)
        return "align_up to a value that is not positive";
    const char *why = ceil_div_int(a, b, &quotient);
    if (why)
        return why;
    return __builtin_mul_overflow(quotient.i, b, &r) ? overflow : give_int(r, out);
}

static const char *apply_int(kds_expr_op op, int64_t a, int64_t b, kds_value *out)
{
    int64_t r;
    switch (op) {
    case KDS_EXPR_ADD:
        return __builtin_add_overflow(a, b, &r) ? overflow : give_int(r, out);
    case KDS_EXPR_SUBTRACT:
        return __builtin_sub_overflow(a, b, &r) ? overflow : give_int(r, out);
    case KDS_EXPR_MULTIPLY:
        return __builtin_mul_overflow(a, b, &r) ? overflow : give_int(r, out);
    case KDS_EXPR_DIVIDE:
    case KDS_EXPR_REMAINDER:
        if (b == 0)
            return zero_division;
        if (a == INT64_MIN && b == -1)
            return overflow;
        return give_int(op == KDS_EXPR_DIVIDE ? a / b : a % b, out);
    case KDS_EXPR_SHIFT_LEFT:
        if (b < 0 || b > 63)
            return "a shift outside 0..63";
        r = (int64_t)((uint64_t)a << b);
        return (r >> b) != a ? overflow : give_int(r, out);
    case KDS_EXPR_SHIFT_RIGHT:
        return b < 0 || b > 63 ? "a shift outside 0..63" : give_int(a >> b, out);
    case KDS_EXPR_BIT_AND:
        return give_int(a & b, out);
    case KDS_EXPR_BIT_OR:
        return give_int(a | b, out);
    case KDS_EXPR_CEIL_DIV:
        return ceil_div_int(a, b, out);
    case KDS_EXPR_ALIGN_UP:
        return align_up_int(a, b, out);
    default:
        return "an unknown operator";
    }
}

static const char *apply_double(kds_expr_op op, double a, double b, kds_value *out)
{
    switch (op) {
    case KDS_EXPR_ADD:
        return give_double(a + b, out);
    case KDS_EXPR_SUBTRACT:
        return give_double(a - b, out);
    case KDS_EXPR_MULTIPLY:
        return give_double(a * b, out);
    case KDS_EXPR_DIVIDE:
        return b == 0 ? zero_division : give_double(a / b, out);
    case KDS_EXPR_CEIL_DIV:
        return b == 0 ? zero_division : give_double(ceil(a / b), out);
    case KDS_EXPR_ALIGN_UP:
        if (b <= 0)
            return "align_up to a value that is not positive";
        return give_double(ceil(a / b) * b, out);
    case KDS_EXPR_REMAINDER:
    case KDS_EXPR_SHIFT_LEFT:
    case KDS_EXPR_SHIFT_RIGHT:
    case KDS_EXPR_BIT_AND:
    case KDS_EXPR_BIT_OR:
        return "an operand that is not an integer";
    default:
        return "an unknown operator";
    }
}

const char *kds_expr_apply_binary(kds_expr_op op, kds_value a, kds_value b, kds_value *out)
{
    switch (op) {
    case KDS_EXPR_EQUAL:
        return give_int(compare(a, b) == 0, out);
    case KDS_EXPR_NOT_EQUAL:
        return give_int(compare(a, b) != 0, out);
    case KDS_EXPR_LESS:
        return give_int(compare(a, b) < 0, out);
    case KDS_EXPR_LESS_EQUAL:
        return give_int(compare(a, b) <= 0, out);
    case KDS_EXPR_GREATER:
        return give_int(compare(a, b) > 0, out);
    case KDS_EXPR_GREATER_EQUAL:
        return give_int(compare(a, b) >= 0, out);
    case KDS_EXPR_MIN:
    case KDS_EXPR_MAX: {
        bool second = op == KDS_EXPR_MIN ? compare(b, a) < 0 : compare(b, a) > 0;
        kds_value chosen = second ? b : a;
        *out = a.is_double || b.is_double ? kds_value_double(as_double(chosen)) : chosen;
        return NULL;
    }
    default:
        if (a.is_double || b.is_double)
            return apply_double(op, as_double(a), as_double(b), out);
        return apply_int(op, a.i, b.i, out);
    }
}
