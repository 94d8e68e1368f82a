/* Signed ranks against published tables, against all sign patterns, and by simulation. */
#include "eval/signed_rank.h"
#include "search/base/random.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void near(double got, double want, double by)
{
    if (!(fabs(got - want) <= by))
        fail_msg("%.10g, not %.10g", got, want);
}

/* n values with magnitudes 1 .. n, of which those of `ranks` are positive. */
static double p_of(int n, const int *ranks, int count)
{
    double v[KDS_SIGNED_RANK_MAX];
    for (int i = 0; i < n; i++)
        v[i] = -(i + 1);
    for (int i = 0; i < count; i++)
        v[ranks[i] - 1] = ranks[i];
    return kds_signed_rank_below(v, n, 0);
}

/* Hollander, Wolfe and Chicken, table A.4 (upper tails, by symmetry): P(T+ >= 28 | 7) = .008,
 * P(T+ >= 33 | 8) = .020, P(T+ >= 47 | 10) = .024, P(T+ >= 95 | 15) = .024,
 * P(T+ >= 90 | 15) = .047 */
static void published_tails(void **state)
{
    (void)state;
    near(p_of(7, NULL, 0), 0.008, 0.0005);
    near(p_of(8, (const int[]){3}, 1), 0.020, 0.0005);
    near(p_of(10, (const int[]){8}, 1), 0.024, 0.0005);
    near(p_of(15, (const int[]){15, 10}, 2), 0.024, 0.0005);
    near(p_of(15, (const int[]){15, 14, 1}, 3), 0.047, 0.0005);
}

/* All 2^n sign patterns, ties and zeros among the values. */
static void brute_force(void **state)
{
    (void)state;
    kds_random random = kds_random_stream(7, 1, "signed_rank");
    for (int round = 0; round < 300; round++) {
        int n = 1 + (int)(kds_random_unit(&random) * 10);
        double v[10], rank[10], observed = 0;
        for (int i = 0; i < n; i++)
            v[i] = floor(kds_random_unit(&random) * 9) - 4; /* whole numbers: many ties */
        for (int i = 0; i < n; i++) {
            double below = 0, same = 0;
            for (int k = 0; k < n; k++) {
                below += fabs(v[k]) < fabs(v[i]);
                same += fabs(v[k]) == fabs(v[i]);
            }
            rank[i] = below + (same + 1) / 2;
            observed += v[i] >= 0 ? rank[i] : 0;
        }
        int at_most = 0;
        for (int signs = 0; signs < 1 << n; signs++) {
            double sum = 0;
            for (int i = 0; i < n; i++)
                sum += (signs >> i & 1) != 0 ? rank[i] : 0;
            at_most += sum <= observed;
        }
        near(kds_signed_rank_below(v, n, 0), (double)at_most / (1 << n), 1e-12);
    }
}

static void a_centre_is_subtracted(void **state)
{
    (void)state;
    const double v[] = {-3, -1, 2, -8, -5, 4, -7};
    double shifted[7];
    for (int i = 0; i < 7; i++)
        shifted[i] = v[i] + 0.25;
    assert_true(kds_signed_rank_below(v, 7, -0.25) == kds_signed_rank_below(shifted, 7, 0));
    assert_true(kds_signed_rank_below(v, 0, 0) == 1);
}

/* Hollander, Wolfe and Chicken, example 3.1 (depression scale, differences Y - X): T+ = 5, p = .02
 * one-sided (.0195), estimate -.46, and the interval of 96 % -.786 to -.010. */
static void published_estimate(void **state)
{
    (void)state;
    const double before[] = {1.83, .50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30};
    const double after[] = {.878, .647, .598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29};
    double d[9];
    for (int i = 0; i < 9; i++)
        d[i] = after[i] - before[i];
    near(kds_signed_rank_below(d, 9, 0), 0.0195, 0.0001);
    kds_centre c = kds_signed_rank_centre(d, 9, 0.96);
    assert_true(c.bounded);
    near(c.estimate, -0.46, 0.005);
    near(c.low, -0.786, 0.0005);
    near(c.high, -0.010, 0.0005);
}

static void few_values_have_no_interval(void **state)
{
    (void)state;
    const double v[] = {1, 2, 4};
    kds_centre c = kds_signed_rank_centre(v, 3, 0.95);
    assert_false(c.bounded);
    assert_true(c.low == 1 && c.high == 4);
    near(c.estimate, 2.25, 1e-12);
    c = kds_signed_rank_centre(v, 0, 0.95);
    assert_true(isnan(c.estimate));
    c = kds_signed_rank_centre(v, 1, 0.95);
    assert_true(c.estimate == 1 && !c.bounded);
}

/* 20,000 samples of a heavy-tailed symmetric law: the interval holds the centre as often as it
 * says, and p is small as seldom as it says. */
static void coverage_and_size(void **state)
{
    (void)state;
    kds_random random = kds_random_stream(11, 2, "signed_rank");
    int inside = 0, small = 0;
    const int samples = 20000, n = 12;
    for (int s = 0; s < samples; s++) {
        double v[12];
        for (int i = 0; i < n; i++)
            v[i] = 5 + kds_random_normal(&random) / (0.2 + kds_random_unit(&random));
        kds_centre c = kds_signed_rank_centre(v, n, 0.9);
        inside += c.low <= 5 && 5 <= c.high;
        small += kds_signed_rank_below(v, n, 5) <= 0.05;
    }
    double coverage = (double)inside / samples, size = (double)small / samples;
    if (coverage < 0.895 || coverage > 0.925 || size > 0.053 || size < 0.03)
        fail_msg("coverage %.4f, size %.4f", coverage, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_tails),
        cmocka_unit_test(brute_force),
        cmocka_unit_test(a_centre_is_subtracted),
        cmocka_unit_test(published_estimate),
        cmocka_unit_test(few_values_have_no_interval),
        cmocka_unit_test(coverage_and_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
