/* Numeric comparison: special values, tolerances, norms, strides, what is said about it. */
#include "eval/compare.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static kds_extent flat(int64_t n)
{
    return (kds_extent){
        .dtype = KDS_DTYPE_F32, .rank = 1, .shape = {n}, .strides = {1}, .numel = n, .span = n};
}

static kds_extent matrix(int64_t rows, int64_t cols, int64_t stride)
{
    return (kds_extent){.dtype = KDS_DTYPE_F32,
                        .rank = 2,
                        .shape = {rows, cols},
                        .strides = {stride, 1},
                        .numel = rows * cols,
                        .span = (rows - 1) * stride + cols};
}

/* Compares f32 against f64, as a child against a reference. */
static kds_errors compare(const kds_extent *x, const float *got, const double *want,
                          const kds_tolerance *t)
{
    kds_comparison c;
    kds_comparison_begin(&c, x, KDS_DTYPE_F32, KDS_DTYPE_F64, t, false);
    kds_comparison_add(&c, 0, x->span, got, want);
    kds_comparison_end(&c);
    return c.errors;
}

static void single_elements(void **state)
{
    (void)state;
    static const struct {
        float got;
        double want, atol, rtol;
        bool passes;
    } cases[] = {
        {1, 1, 0, 0, true},
        {1, 1.5, 0.5, 0, true},
        {1, 1.51, 0.5, 0, false},
        {11, 10, 0, 0.1, true},
        {11.5f, 10, 0, 0.1, false},
        {-11, -10, 0, 0.1, true}, /* of the magnitude */
        {11.5f, 10, 0.5, 0.1, true},
        {0.0f, -0.0, 0, 0, true},
        {0, 1e-40, 1e-39, 0, true}, /* subnormals are numbers */
        {1e-39f, 0, 0, 0.5, false}, /* nothing wanted: rtol gives nothing */
        {NAN, 1, 1e30, 1, false},
        {1, NAN, 1e30, 1, false},
        {NAN, NAN, 0, 0, true},
        {INFINITY, INFINITY, 0, 0, true},
        {-INFINITY, INFINITY, 1e30, 1, false},
        {INFINITY, 1, 1e30, 1, false},
        {1, INFINITY, 1e30, 1, false}, /* inf allowed would be inf: still wrong */
        {INFINITY, NAN, 0, 0, false},
        {INFINITY, 1e39, 0, 0, true}, /* beyond f32: rounds to infinity */
        {INFINITY, -1e39, 0, 0, false},
    };
    kds_extent x = flat(1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kds_tolerance t = {.atol = cases[i].atol, .rtol = cases[i].rtol};
        kds_errors e = compare(&x, &cases[i].got, &cases[i].want, &t);
        if (e.wrong != !cases[i].passes)
            fail_msg("case %zu: got %g, want %g", i, (double)cases[i].got, cases[i].want);
        assert_int_equal(e.checked, 1);
        assert_int_equal(e.first_wrong, cases[i].passes ? -1 : 0);
        assert_true(isfinite(e.max_abs));
    }
}

static void first_wrong_is_named_and_all_are_counted(void **state)
{
    (void)state;
    float got[12] = {0};
    double want[12] = {0};
    kds_extent x = matrix(3, 4, 4);
    kds_tolerance t = {.atol = 0.25};
    kds_finding f;
    got[5] = 3;
    got[11] = NAN;
    want[5] = 1;
    kds_errors e = compare(&x, got, want, &t);
    assert_int_equal(e.wrong, 2);
    assert_int_equal(e.first_wrong, 5);
    assert_float_equal(e.max_abs, 2, 0);
    kds_finding_clear(&f);
    assert_false(kds_errors_judge(&e, NULL, &t, &x, "y", "reference", true, false, &f));
    assert_int_equal(f.verdict, KDS_VERDICT_WRONG);
    assert_non_null(strstr(f.text, "y[1, 1] is 3, the reference has 1"));
    assert_non_null(strstr(f.text, "at most 0.25"));
    assert_non_null(strstr(f.text, "2 of 12"));
}

static void norms_catch_what_elements_allow(void **state)
{
    (void)state;
    float got[8];
    double want[8];
    kds_extent x = matrix(2, 4, 4);
    kds_finding f;
    for (int i = 0; i < 8; i++) {
        want[i] = i < 4 ? 100 : 1;
        got[i] = i < 4 ? 100 : 1.5f;
    }
    kds_tolerance t = {.atol = 1};
    kds_errors e = compare(&x, got, want, &t);
    assert_int_equal(e.wrong, 0);
    assert_float_equal(e.rel_rmse, 1 / sqrt(40004.0), 1e-9);
    assert_float_equal(e.worst_slice, 0.5, 1e-12);
    assert_int_equal(e.worst_slice_at, 1);
    kds_finding_clear(&f);
    t.rel_rmse = 0.01;
    assert_true(kds_errors_judge(&e, NULL, &t, &x, "y", "reference", true, false, &f));
    t.slice_rel_rmse = 0.4;
    assert_false(kds_errors_judge(&e, NULL, &t, &x, "y", "reference", true, false, &f));
    assert_non_null(strstr(f.text, "slice 1"));
    kds_finding_clear(&f);
    assert_true(kds_errors_judge(&e, NULL, &t, &x, "y", "baseline", false, false, &f));
    t.rel_rmse = 0.001;
    assert_false(kds_errors_judge(&e, NULL, &t, &x, "y", "reference", true, false, &f));
    assert_non_null(strstr(f.text, "relative error norm against the reference"));
}

static void nothing_wanted_allows_no_error(void **state)
{
    (void)state;
    float got[2] = {1e-6f, 0};
    double want[2] = {0, 0};
    kds_extent x = flat(2);
    kds_tolerance t = {.atol = 1, .rel_rmse = 0.5};
    kds_finding f;
    kds_errors e = compare(&x, got, want, &t);
    assert_true(isinf(e.rel_rmse));
    assert_false(kds_errors_judge(&e, NULL, &t, &x, "y", "reference", true, false, &f));
    got[0] = 0;
    e = compare(&x, got, want, &t);
    assert_float_equal(e.rel_rmse, 0, 0);
}

static void worse_than_the_baseline(void **state)
{
    (void)state;
    float got[1] = {1.5f};
    double want[1] = {1};
    kds_extent x = flat(1);
    kds_tolerance t = {.atol = 1, .worse_factor = 4, .worse_floor = 0.125};
    kds_errors base = {.max_abs = 0.1}, e = compare(&x, got, want, &t);
    kds_finding f;
    kds_finding_clear(&f);
    assert_true(kds_errors_judge(&e, &base, &t, &x, "y", "reference", true, false, &f));
    base.max_abs = 0.09;
    assert_false(kds_errors_judge(&e, &base, &t, &x, "y", "reference", true, false, &f));
    assert_non_null(strstr(f.text, "the baseline's own is 0.09"));
    t.worse_factor = 0;
    assert_true(kds_errors_judge(&e, &base, &t, &x, "y", "reference", true, false, &f));
}

static void bitwise_compares_bytes(void **state)
{
    (void)state;
    float got[4] = {1, -0.0f, NAN, 2}, want[4] = {1, 0.0f, NAN, 2};
    kds_extent x = flat(4);
    kds_comparison c;
    kds_finding f;
    kds_tolerance t = {0};
    kds_comparison_begin(&c, &x, KDS_DTYPE_F32, KDS_DTYPE_F32, &t, true);
    kds_comparison_add(&c, 0, 4, got, want);
    kds_comparison_end(&c);
    assert_int_equal(c.errors.wrong, 1); /* -0 is not 0; the same NaN is itself */
    assert_int_equal(c.errors.first_wrong, 1);
    assert_false(kds_errors_judge(&c.errors, NULL, &t, &x, "y", "baseline", true, true, &f));
    assert_non_null(strstr(f.text, "bitwise"));
}

static void without_tolerance_only_norms_are_taken(void **state)
{
    (void)state;
    float got[2] = {5, NAN};
    double want[2] = {1, 1};
    kds_extent x = flat(2);
    kds_errors e = compare(&x, got, want, NULL);
    assert_int_equal(e.wrong, 1); /* NaN fails whatever is allowed */
    assert_float_equal(e.max_abs, 4, 0);
}

static void strides_leave_gaps_out(void **state)
{
    (void)state;
    float got[8] = {1, 2, 99, 3, 4, 99, 5, 6};
    double want[8] = {1, 2, 0, 3, 4, 0, 5, 7};
    kds_extent x = matrix(3, 2, 3);
    kds_tolerance t = {.atol = 0.5};
    char name[64];
    kds_errors e = compare(&x, got, want, &t);
    assert_int_equal(e.checked, 6);
    assert_int_equal(e.wrong, 1);
    assert_int_equal(e.first_wrong, 5);
    kds_extent_name(&x, "y", e.first_wrong, name, sizeof name);
    assert_string_equal(name, "y[2, 1]");
    kds_extent_name(&x, "y", e.first_wrong, name, 5); /* cut, not overrun */
    assert_string_equal(name, "y[2,");
    assert_int_equal(kds_extent_index(&x, 2), -1);
    assert_int_equal(kds_extent_index(&x, 3), 2);
    assert_int_equal(kds_extent_index(&x, -1), -1);
    assert_int_equal(kds_extent_index(&x, 8), -1);
}

/* Column-major and with an axis of one element: indices are those of the shape, not of memory. */
static void index_follows_the_shape(void **state)
{
    (void)state;
    kds_extent x = {.dtype = KDS_DTYPE_F32,
                    .rank = 3,
                    .shape = {2, 1, 3},
                    .strides = {1, 100, 2},
                    .numel = 6,
                    .span = 6};
    x.span = 7; /* one more than is used: not contiguous */
    assert_int_equal(kds_extent_index(&x, 0), 0);
    assert_int_equal(kds_extent_index(&x, 1), 3);
    assert_int_equal(kds_extent_index(&x, 2), 1);
    assert_int_equal(kds_extent_index(&x, 5), 5);
    assert_int_equal(kds_extent_index(&x, 6), -1);
}

static void scalars_have_a_name_too(void **state)
{
    (void)state;
    kds_extent x = {.dtype = KDS_DTYPE_F32, .rank = 0, .numel = 1, .span = 1};
    char name[16];
    float got = 1;
    double want = 2;
    kds_tolerance t = {.atol = 0.5};
    kds_errors e = compare(&x, &got, &want, &t);
    assert_int_equal(e.wrong, 1);
    kds_extent_name(&x, "s", 0, name, sizeof name);
    assert_string_equal(name, "s[]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_elements),
        cmocka_unit_test(first_wrong_is_named_and_all_are_counted),
        cmocka_unit_test(norms_catch_what_elements_allow),
        cmocka_unit_test(nothing_wanted_allows_no_error),
        cmocka_unit_test(worse_than_the_baseline),
        cmocka_unit_test(bitwise_compares_bytes),
        cmocka_unit_test(without_tolerance_only_norms_are_taken),
        cmocka_unit_test(strides_leave_gaps_out),
        cmocka_unit_test(index_follows_the_shape),
        cmocka_unit_test(scalars_have_a_name_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
