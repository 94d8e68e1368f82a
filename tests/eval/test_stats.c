/* Order statistics and rank correlation against values worked out by hand and published ones. */
#include "eval/stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void near(double got, double want)
{
    if (!(fabs(got - want) < 1e-12))
        fail_msg("%.17g, not %.17g", got, want);
}

static void test_quantiles(void **state)
{
    (void)state;
    double v[] = {5, 1, 4, 2, 3};
    kds_stats_sort(v, 5);
    for (int i = 0; i < 5; i++)
        near(v[i], i + 1);
    near(kds_stats_quantile(v, 5, 0), 1);
    near(kds_stats_quantile(v, 5, 0.5), 3);
    near(kds_stats_quantile(v, 5, 1), 5);
    near(kds_stats_quantile(v, 5, 0.25), 2);
    near(kds_stats_quantile(v, 5, 0.1), 1.4);
    near(kds_stats_quantile(v, 4, 0.5), 2.5);
    near(kds_stats_quantile(v, 1, 0.9), 1);
}

static void test_ranks_share_their_mean(void **state)
{
    (void)state;
    const double v[] = {10, 20, 20, 5, 20, 7};
    double r[6];
    assert_true(kds_stats_ranks(v, 6, r));
    const double want[] = {3, 5, 5, 1, 5, 2};
    for (int i = 0; i < 6; i++)
        near(r[i], want[i]);
    assert_true(kds_stats_ranks(v, 0, NULL));
}

static void test_spearman(void **state)
{
    (void)state;
    const double up[] = {1, 2, 3, 4, 5}, curved[] = {1, 8, 27, 64, 125}, down[] = {9, 7, 5, 3, 1};
    near(kds_stats_spearman(up, curved, 5), 1);
    near(kds_stats_spearman(up, down, 5), -1);
    /* 1 - 6 * sum d^2 / (n (n^2 - 1)) without ties: d = -1, 1, -1, 1, 0. */
    const double swapped[] = {2, 1, 4, 3, 5};
    near(kds_stats_spearman(up, swapped, 5), 1 - 6.0 * 4 / (5 * 24));
    /* The example of IQ and hours of television of many textbooks: rho = -29/165. */
    const double iq[] = {106, 100, 86, 101, 99, 103, 97, 113, 112, 110};
    const double tv[] = {7, 27, 2, 50, 28, 29, 20, 12, 6, 17};
    near(kds_stats_spearman(iq, tv, 10), -29.0 / 165);
}

static void test_spearman_with_ties(void **state)
{
    (void)state;
    /* Ranks 1, 2.5, 2.5, 4 and 1, 2, 3.5, 3.5: deviations -1.5, 0, 0, 1.5 and -1.5, -0.5, 1, 1;
     * products 2.25 + 1.5 = 3.75, squares 4.5 and 4.5. */
    const double x[] = {1, 2, 2, 3}, y[] = {10, 20, 30, 30};
    near(kds_stats_spearman(x, y, 4), 3.75 / 4.5);
    const double same[] = {7, 7, 7, 7};
    assert_true(isnan(kds_stats_spearman(x, same, 4)));
    assert_true(isnan(kds_stats_spearman(x, y, 1)));
    assert_true(isnan(kds_stats_spearman(x, y, 0)));
}

static void test_kendall(void **state)
{
    (void)state;
    const double up[] = {1, 2, 3, 4, 5}, curved[] = {1, 8, 27, 64, 125}, down[] = {9, 7, 5, 3, 1};
    near(kds_stats_kendall(up, curved, 5), 1);
    near(kds_stats_kendall(up, down, 5), -1);
    const double iq[] = {106, 100, 86, 101, 99, 103, 97, 113, 112, 110};
    const double tv[] = {7, 27, 2, 50, 28, 29, 20, 12, 6, 17};
    near(kds_stats_kendall(iq, tv, 10), -5.0 / 45);
    /* Of six pairs one is a tie in x, another in y, and the other four are in order. */
    const double x[] = {1, 2, 2, 3}, y[] = {10, 20, 30, 30}, same[] = {7, 7, 7, 7};
    near(kds_stats_kendall(x, y, 4), 4.0 / 5);
    assert_true(isnan(kds_stats_kendall(x, same, 4)));
    assert_true(isnan(kds_stats_kendall(x, y, 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles), cmocka_unit_test(test_ranks_share_their_mean),
        cmocka_unit_test(test_spearman),  cmocka_unit_test(test_spearman_with_ties),
        cmocka_unit_test(test_kendall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
