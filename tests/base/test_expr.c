/* Expressions: values, exactness, every kind of error, and the bounds on text and nesting. */
#include "search/base/expr.h"
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int lookups;

static bool count_lookup(void *scope, const char *name, kds_value *out)
{
    lookups++;
    return kds_scope_lookup(scope, name, out);
}

static kds_code run(const char *text, kds_value *out, kds_err *e)
{
    const kds_scope_entry outer_entries[] = {{"eps", kds_value_double(0.5)},
                                             {"M", kds_value_int(-1)},
                                             {"l1tex__t.sum", kds_value_int(7)}};
    const kds_scope_entry entries[] = {{"M", kds_value_int(6)},
                                       {"N", kds_value_int(4)},
                                       {"big", kds_value_int(INT64_MAX)},
                                       {"nan", kds_value_double(NAN)}};
    kds_scope outer = {outer_entries, 3, NULL}, scope = {entries, 4, &outer};
    kds_expr *x = NULL;
    kds_code code = kds_expr_parse(&x, text, strlen(text), e);
    if (code)
        return code;
    code = kds_expr_eval(x, count_lookup, &scope, out, e);
    kds_expr_free(x);
    return code;
}

static void is_int(const char *text, int64_t want)
{
    kds_value v = {0};
    kds_err e = {0};
    if (run(text, &v, &e))
        fail_msg("%s: %s", text, e.message);
    if (v.is_double || v.i != want)
        fail_msg("%s: got %lld (double: %d, %g), want %lld", text, (long long)v.i, v.is_double,
                 v.is_double ? v.d : 0.0, (long long)want);
}

static void is_double(const char *text, double want)
{
    kds_value v = {0};
    kds_err e = {0};
    if (run(text, &v, &e))
        fail_msg("%s: %s", text, e.message);
    if (!v.is_double || v.d != want)
        fail_msg("%s: got %.17g (double: %d), want %.17g", text, v.d, v.is_double, want);
}

/* The whole message is compared, so that columns are right. */
static void fails(const char *text, const char *message)
{
    kds_value v = kds_value_int(99);
    kds_err e = {0};
    assert_int_equal(run(text, &v, &e), KDS_INVALID);
    assert_string_equal(e.message, message);
    assert_int_equal(v.i, 99); /* out parameters are written only on success */
}

static void test_integers(void **state)
{
    (void)state;
    is_int("1 + 2 * 3", 7);
    is_int("(1 + 2) * 3", 9);
    is_int("10 - 4 - 3", 3);
    is_int("100 / 7 / 2", 7);
    is_int("-7 / 2", -3);
    is_int("-7 % 3", -1);
    is_int("7 % -3", 1);
    is_int("1 << 4 | 1", 17);
    is_int("6 & 3", 2);
    is_int("5 | 2 & 6", 7);
    is_int("1 | 1 == 2", 1);
    is_int("-1 >> 1", -1);
    is_int("1 << 62", INT64_C(1) << 62);
    is_int("-1 << 63", INT64_MIN);
    is_int("0x1F + 0Xa", 41);
    is_int("9223372036854775807", INT64_MAX);
    is_int("-9223372036854775808", INT64_MIN);
    is_int("- 9223372036854775808 + 1", INT64_MIN + 1);
    is_int("--5", 5);
    is_int("!0 + !5 + !!7", 2);
    is_int("-M + N", -2);
    is_int("l1tex__t.sum * 2", 14);
    is_int("\tM\n*\r\nN ", 24);
}

static void test_doubles(void **state)
{
    (void)state;
    is_double("1.5 + 1", 2.5);
    is_double("1 / 2.", 0.5);
    is_double(".5e1", 5.0);
    is_double("1e3 - 1E-3", 1000.0 - 1e-3);
    is_double("2e+2 * 1.0", 200.0);
    is_double("-eps", -0.5);
    is_double("M / 4.0", 1.5);
    is_double("M * 1.0", 6.0);
    is_int("!0.0", 1);
    is_int("!0.1", 0);
    is_double("abs(-2.5)", 2.5);
}

static void test_comparisons_are_exact(void **state)
{
    (void)state;
    is_int("1 < 2", 1);
    is_int("2 <= 1", 0);
    is_int("2 > 1", 1);
    is_int("2 >= 2", 1);
    is_int("1 == 1", 1);
    is_int("1 != 1", 0);
    /* 2^53 + 1 would round to 2^53 */
    is_int("9007199254740993 == 9007199254740992.0", 0);
    is_int("9007199254740993 > 9007199254740992.0", 1);
    is_int("9007199254740992.0 < 9007199254740993", 1);
    is_int("big == 9223372036854775808.0", 0);
    is_int("big < 9223372036854775808.0", 1);
    is_int("-big - 1 == -9223372036854775808.0", 1);
    is_int("-big > -1e300", 1);
    is_int("2 < 2.5", 1);
    is_int("-2 > -2.5", 1);
    is_int("2 == 2.0", 1);
    is_int("2.5 > 2", 1);
    is_int("1.5 < 2.5", 1);
    is_int("2.5 != 2.5", 0);
    is_int("2.5 >= 3.5", 0);
}

static void test_logic_is_lazy(void **state)
{
    (void)state;
    lookups = 0;
    is_int("0 && unknown", 0);
    is_int("3 || unknown / 0", 1);
    is_int("1 ? 2 : unknown", 2);
    is_int("0.0 ? 1 / 0 : 3", 3);
    assert_int_equal(lookups, 0);
    is_int("2 && 3", 1);
    is_int("0 || 0.0", 0);
    is_int("0 || 0.5", 1);
    is_int("1 && 0", 0);
    is_int("0 && 0 || 1", 1);
    is_int("1 || 0 && 0", 1);
    is_int("0 ? 1 : 0 ? 2 : 3", 3);
    is_int("1 ? 0 ? 1 : 2 : 3", 2);
    is_int("M > 5 && N % 4 == 0 ? 10 : 20", 10);
    fails("1 && unknown", "unknown name 'unknown' at column 6");
}

static void test_functions(void **state)
{
    (void)state;
    is_int("min(3, 1, 2)", 1);
    is_int("max(3, 1, 2, 9, 4)", 9);
    is_double("min(1, 2.5)", 1.0);
    is_double("max(1, 2.5)", 2.5);
    is_double("min(2.5, 9007199254740993)", 2.5);
    is_int("abs(-4) + abs(4)", 8);
    is_int("ceil_div(7, 2)", 4);
    is_int("ceil_div(8, 2)", 4);
    is_int("ceil_div(-7, 2)", -3);
    is_int("ceil_div(7, -2)", -3);
    is_int("ceil_div(-7, -2)", 4);
    is_int("ceil_div(0, 5)", 0);
    is_double("ceil_div(7, 2.0)", 4.0);
    is_int("align_up(13, 8)", 16);
    is_int("align_up(16, 8)", 16);
    is_int("align_up(-13, 8)", -8);
    is_double("align_up(1.2, 0.5)", 1.5);
    is_int("next_pow2(1)", 1);
    is_int("next_pow2(5)", 8);
    is_int("next_pow2(64)", 64);
    is_int("next_pow2(4611686018427387904)", INT64_C(1) << 62);
    is_double("next_pow2(0.3)", 0.5);
    is_double("next_pow2(4.0)", 4.0);
    is_int("log2(1)", 0);
    is_int("log2(1023)", 9);
    is_int("log2(big)", 62);
    is_double("log2(0.25)", -2.0);
    is_int("min(max(M, N), ceil_div(M * N, 5))", 5);
}

static void test_what_has_no_value(void **state)
{
    (void)state;
    fails("M / (N - N)", "division by zero in 'M / (N - N)' at column 3");
    fails("1 + M % 0", "division by zero in 'M % 0' at column 7");
    fails("1 / 0.0", "division by zero in '1 / 0.0' at column 3");
    fails("ceil_div(1, 0)", "division by zero in 'ceil_div(1, 0)' at column 1");
    fails("ceil_div(1.0, 0)", "division by zero in 'ceil_div(1.0, 0)' at column 1");
    fails("big + 1", "integer overflow in 'big + 1' at column 5");
    fails("-big - 2", "integer overflow in '-big - 2' at column 6");
    fails("2 * (big * 2)", "integer overflow in 'big * 2' at column 10");
    fails("-(-big - 1)", "integer overflow in '-(-big - 1)' at column 1");
    fails("abs(-big - 1)", "integer overflow in 'abs(-big - 1)' at column 1");
    fails("(-big - 1) / -1", "integer overflow in '(-big - 1) / -1' at column 12");
    fails("(-big - 1) % -1", "integer overflow in '(-big - 1) % -1' at column 12");
    fails("ceil_div(-big - 1, -1)", "integer overflow in 'ceil_div(-big - 1, -1)' at column 1");
    fails("align_up(big, 8)", "integer overflow in 'align_up(big, 8)' at column 1");
    fails("next_pow2(big)", "integer overflow in 'next_pow2(big)' at column 1");
    fails("1 << 63", "integer overflow in '1 << 63' at column 3");
    fails("1 << 64", "a shift outside 0..63 in '1 << 64' at column 3");
    fails("1 << -1", "a shift outside 0..63 in '1 << -1' at column 3");
    fails("1 >> 64", "a shift outside 0..63 in '1 >> 64' at column 3");
    fails("1 >> -1", "a shift outside 0..63 in '1 >> -1' at column 3");
    fails("1.5 % 2", "an operand that is not an integer in '1.5 % 2' at column 5");
    fails("1 | 2.0", "an operand that is not an integer in '1 | 2.0' at column 3");
    fails("1e308 * 10", "a result that is not finite in '1e308 * 10' at column 7");
    fails("align_up(1, 0)",
          "align_up to a value that is not positive in 'align_up(1, 0)' at column 1");
    fails("align_up(1, -0.5)",
          "align_up to a value that is not positive in 'align_up(1, -0.5)' at column 1");
    fails("log2(0)", "log2 of a value that is not positive in 'log2(0)' at column 1");
    fails("log2(-0.5)", "log2 of a value that is not positive in 'log2(-0.5)' at column 1");
    fails("next_pow2(-3)", "next_pow2 of a value that is not positive in 'next_pow2(-3)' at "
                           "column 1");
    fails("next_pow2(0.0)", "next_pow2 of a value that is not positive in 'next_pow2(0.0)' at "
                            "column 1");
    fails("M + K", "unknown name 'K' at column 5");
    fails("1 + nan", "'nan' at column 5 has a value that is not finite");
}

static void test_syntax_errors(void **state)
{
    (void)state;
    fails("", "empty expression");
    fails("  ", "empty expression");
    fails("1 +", "expected a value at column 4, found the end");
    fails("(1, 2)", "expected ')' at column 3, found ','");
    fails("(1", "expected ')' at column 3, found the end");
    fails("1 2", "expected an operator or the end at column 3, found '2'");
    fails("1 ? 2", "expected ':' at column 6, found the end");
    fails("* 2", "expected a value at column 1, found '*'");
    fails("min(1)", "min at column 1 takes 2 arguments or more, not 1");
    fails("abs(1, 2)", "abs at column 1 takes 1 argument, not 2");
    fails("ceil_div(1, 2, 3)", "ceil_div at column 1 takes 2 arguments, not 3");
    fails("min + 1", "expected '(' at column 5, found '+'");
    fails("min()", "expected a value at column 5, found ')'");
    fails("ceildiv(1, 2)", "unknown function 'ceildiv' at column 1; did you mean 'ceil_div'?");
    fails("2 * printf(1)", "unknown function 'printf' at column 5; there are min, max, abs, "
                           "ceil_div, align_up, next_pow2, log2");
    fails("1 = 2", "unexpected character '=' at column 3");
    fails("~1", "unexpected character '~' at column 1");
    fails("1 \x01", "unexpected byte 0x01 at column 3");
    fails("4u", "malformed number '4u' at column 1");
    fails("1.2.3", "malformed number '1.2.' at column 1");
    fails("1e", "malformed number '1e' at column 1");
    fails("1e+", "malformed number '1e' at column 1");
    fails("0x", "malformed number '0x' at column 1");
    fails("0xg", "malformed number '0xg' at column 1");
    fails("010", "number '010' at column 1 starts with 0; there is no octal");
    fails("9223372036854775808", "number '9223372036854775808' at column 1 does not fit 64 bits");
    fails("1 - 9223372036854775808",
          "number '9223372036854775808' at column 5 does not fit 64 bits");
    fails("-9223372036854775809", "number '9223372036854775809' at column 2 does not fit 64 bits");
    fails("99999999999999999999", "number '99999999999999999999' at column 1 does not fit 64 bits");
    fails("0x8000000000000000", "number '0x8000000000000000' at column 1 does not fit 64 bits");
    fails("1e999", "number '1e999' at column 1 is out of range");
}

/* `count` times `piece`, then `middle`, then `count` times `closing`. */
static char *nested(const char *piece, int count, const char *middle, const char *closing)
{
    char *text = calloc(1, 8192);
    size_t at = 0;
    assert_non_null(text);
    for (int i = 0; i < count; i++)
        at += (size_t)snprintf(text + at, 8192 - at, "%s", piece);
    at += (size_t)snprintf(text + at, 8192 - at, "%s", middle);
    for (int i = 0; i < count; i++)
        at += (size_t)snprintf(text + at, 8192 - at, "%s", closing);
    return text;
}

static void test_bounds(void **state)
{
    (void)state;
    const struct {
        const char *piece, *middle, *closing;
        int64_t want;
    } forms[] = {{"(", "1", ")", 1},   {"!", "0", "", 0},     {"-", "3", "", 3},
                 {"1?", "5", ":2", 5}, {"abs(", "4", ")", 4}, {"min(9,", "8", ")", 8}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        kds_value v;
        kds_err e = {0};
        char *deepest = nested(forms[i].piece, 64, forms[i].middle, forms[i].closing);
        char *deeper = nested(forms[i].piece, 65, forms[i].middle, forms[i].closing);
        is_int(deepest, forms[i].want);
        assert_int_equal(run(deeper, &v, &e), KDS_INVALID);
        assert_non_null(strstr(e.message, "nested deeper than 64"));
        free(deepest);
        free(deeper);
    }
    /* the most that can be pending at once */
    char *wide = nested("1|1&1==1<1<<1+1*max(1,", 64, "1", ")");
    is_int(wide, 1 | (1 & (1 == 1)));
    free(wide);
    /* long chains are no nesting */
    char *chain = nested("1+", 2000, "1", "");
    is_int(chain, 2001);
    free(chain);
    chain = nested("M && ", 800, "1", "");
    is_int(chain, 1);
    free(chain);
    char *long_text = nested(" ", 4095, "1", "");
    is_int(long_text, 1);
    free(long_text);
    long_text = nested(" ", 4096, "1", "");
    fails(long_text, "an expression of 4097 bytes; at most 4096 are allowed");
    free(long_text);
    /* a long subexpression is cut where it is quoted */
    kds_value v;
    kds_err e = {0};
    chain = nested("1+", 100, "M/0", "");
    assert_int_equal(run(chain, &v, &e), KDS_INVALID);
    assert_string_equal(e.message, "division by zero in 'M/0' at column 202");
    free(chain);
    chain = nested("1+", 100, "1", "");
    chain = realloc(chain, 8192);
    memmove(chain + 1, chain, strlen(chain) + 1);
    chain[0] = '(';
    snprintf(chain + strlen(chain), 16, ")/0");
    assert_int_equal(run(chain, &v, &e), KDS_INVALID);
    assert_non_null(strstr(e.message, "+1+1...' at column"));
    free(chain);
}

static void test_nul_inside(void **state)
{
    (void)state;
    kds_expr *x = NULL;
    kds_err e = {0};
    assert_int_equal(kds_expr_parse(&x, "1\0+2", 4, &e), KDS_INVALID);
    assert_null(x);
    assert_string_equal(e.message, "unexpected byte 0x00 at column 2");
    assert_int_equal(kds_expr_parse(&x, "1)", 1, &e), KDS_OK); /* only len bytes count */
    assert_string_equal(kds_expr_text(x), "1");
    kds_expr_free(x);
    assert_int_equal(kds_expr_parse(&x, "1 +", 3, NULL), KDS_INVALID);
    kds_expr_free(NULL);
}

static void test_names(void **state)
{
    (void)state;
    kds_expr *x = NULL;
    const char *text = "M + a.b * M - min(N, _x9) + a.b";
    assert_int_equal(kds_expr_parse(&x, text, strlen(text), NULL), KDS_OK);
    assert_int_equal(kds_expr_name_count(x), 4);
    assert_string_equal(kds_expr_name(x, 0), "M");
    assert_string_equal(kds_expr_name(x, 1), "a.b");
    assert_string_equal(kds_expr_name(x, 2), "N");
    assert_string_equal(kds_expr_name(x, 3), "_x9");
    assert_string_equal(kds_expr_text(x), text);
    kds_err e = {0};
    kds_value v;
    assert_int_equal(kds_expr_eval(x, NULL, NULL, &v, &e), KDS_INVALID);
    assert_string_equal(e.message, "unknown name 'M' at column 1");
    kds_expr_free(x);
    /* more names than the first allocation holds */
    char many[1024] = "0";
    for (int i = 0; i < 100; i++)
        snprintf(many + strlen(many), 16, "+n%d", i);
    assert_int_equal(kds_expr_parse(&x, many, strlen(many), NULL), KDS_OK);
    assert_int_equal(kds_expr_name_count(x), 100);
    assert_string_equal(kds_expr_name(x, 99), "n99");
    kds_expr_free(x);
}

static kds_expr *compile(const char *text)
{
    kds_expr *x = NULL;
    assert_int_equal(kds_expr_parse(&x, text, strlen(text), NULL), KDS_OK);
    return x;
}

static void test_typed_results(void **state)
{
    (void)state;
    const struct {
        const char *text;
        kds_code as_int;
        int64_t i;
        double d;
        bool truth;
    } cases[] = {{"6 / 2", KDS_OK, 3, 3.0, true},
                 {"6.0 / 2", KDS_OK, 3, 3.0, true},
                 {"2.5", KDS_INVALID, 0, 2.5, true},
                 {"1e30", KDS_INVALID, 0, 1e30, true},
                 {"-1e30", KDS_INVALID, 0, -1e30, true},
                 {"-9223372036854775808.0", KDS_OK, INT64_MIN, -0x1p63, true},
                 {"0.0", KDS_OK, 0, 0.0, false},
                 {"0", KDS_OK, 0, 0.0, false}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        kds_expr *x = compile(cases[k].text);
        int64_t i = 0;
        double d = -1;
        bool b = !cases[k].truth;
        assert_int_equal(kds_expr_eval_int(x, NULL, NULL, &i, NULL), cases[k].as_int);
        assert_int_equal(i, cases[k].i);
        assert_int_equal(kds_expr_eval_double(x, NULL, NULL, &d, NULL), KDS_OK);
        assert_true(d == cases[k].d);
        assert_int_equal(kds_expr_eval_bool(x, NULL, NULL, &b, NULL), KDS_OK);
        assert_int_equal(b, cases[k].truth);
        kds_expr_free(x);
    }
    kds_expr *x = compile("5 / 2.0");
    kds_err e = {0};
    int64_t i;
    assert_int_equal(kds_expr_eval_int(x, NULL, NULL, &i, &e), KDS_INVALID);
    assert_string_equal(e.message, "'5 / 2.0' is 2.5 where an integer is needed");
    kds_expr_free(x);
    x = compile("1 / 0");
    double d;
    bool b;
    assert_int_equal(kds_expr_eval_int(x, NULL, NULL, &i, NULL), KDS_INVALID);
    assert_int_equal(kds_expr_eval_double(x, NULL, NULL, &d, NULL), KDS_INVALID);
    assert_int_equal(kds_expr_eval_bool(x, NULL, NULL, &b, NULL), KDS_INVALID);
    kds_expr_free(x);
}

/* Integer operators against the same arithmetic in 128 bits, over values that hurt. */
static void test_against_wide_arithmetic(void **state)
{
    (void)state;
    __extension__ typedef __int128 wide;
    const int64_t values[] = {INT64_MIN, INT64_MIN + 1, -4294967297,   -3,       -1, 0, 1, 2,
                              7,         4294967296,    INT64_MAX - 1, INT64_MAX};
    const char *const texts[] = {"a + b", "a - b", "a * b", "a / b", "a % b", "ceil_div(a, b)"};
    for (size_t t = 0; t < 6; t++) {
        kds_expr *x = compile(texts[t]);
        for (size_t k = 0; k < 144; k++) {
            int64_t a = values[k / 12], b = values[k % 12], got;
            kds_scope_entry entries[] = {{"a", kds_value_int(a)}, {"b", kds_value_int(b)}};
            kds_scope scope = {entries, 2, NULL};
            bool valid = t < 3 || b != 0;
            wide w = 0;
            if (t < 3)
                w = t == 0 ? (wide)a + b : t == 1 ? (wide)a - b : (wide)a * b;
            else if (valid)
                w = t == 4 ? (wide)a % b : (wide)a / b;
            if (t == 5 && valid && (wide)a % b != 0 && ((a < 0) == (b < 0)))
                w++;
            /* the remainder of the smallest integer by -1 is refused like the quotient */
            valid =
                valid && w >= INT64_MIN && w <= INT64_MAX && !(t == 4 && a == INT64_MIN && b == -1);
            kds_code code = kds_expr_eval_int(x, kds_scope_lookup, &scope, &got, NULL);
            assert_int_equal(code, valid ? KDS_OK : KDS_INVALID);
            if (valid)
                assert_int_equal(got, (int64_t)w);
        }
        kds_expr_free(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_comparisons_are_exact),
        cmocka_unit_test(test_logic_is_lazy),
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_what_has_no_value),
        cmocka_unit_test(test_syntax_errors),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_nul_inside),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_typed_results),
        cmocka_unit_test(test_against_wide_arithmetic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
