/* The rule of a measured duel: its verdicts on made-up rounds, and by simulation how often it is
 * wrong and how much it finds. */
#include "eval/duel_rounds.h"
#include "search/base/random.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char names[3][64] = {"small", "middle", "large"};
static const kds_duel_rule rule = {.margin = 0.0025, .max_regress = 0.02, .hopeless = 0.05};

static kds_duel_rounds *rounds_of(int rows)
{
    static kds_duel_rounds d;
    memset(&d, 0, sizeof d);
    d.row_count = rows;
    d.row_names = names;
    for (int i = 0; i < rows; i++)
        d.weights[i] = 1;
    return &d;
}

/* Adds rounds until the duel is over: all rows `value` apart, with normal noise. */
static kds_duel fight(kds_duel_rounds *d, double value, double noise, kds_random *random)
{
    kds_duel out;
    do {
        assert_true(d->count < KDS_DUEL_ROUNDS);
        for (int i = 0; i < d->row_count; i++)
            d->rows[d->count][i] = value + noise * kds_random_normal(random);
        d->count++;
    } while (!kds_duel_over(&rule, d, &out));
    return out;
}

static void clear_cases(void **state)
{
    (void)state;
    kds_random random = kds_random_stream(1, 1, "duel");
    kds_duel d = fight(rounds_of(2), -0.05, 0.002, &random);
    assert_int_equal(d.verdict, KDS_DUEL_FASTER);
    assert_int_equal(d.rounds, 8);
    assert_true(d.gain > 0.048 && d.gain < 0.055 && d.low < d.gain && d.gain < d.high);
    d = fight(rounds_of(2), 0.10, 0.002, &random);
    assert_int_equal(d.verdict, KDS_DUEL_NOT_FASTER);
    assert_int_equal(d.rounds, KDS_DUEL_SCREEN);
    assert_non_null(strstr(d.why, "hopeless"));
    d = fight(rounds_of(2), 0.01, 0.001, &random);
    assert_int_equal(d.verdict, KDS_DUEL_NOT_FASTER);
    assert_int_equal(d.rounds, KDS_DUEL_FUTILE);
    assert_non_null(strstr(d.why, "in none of 3 rounds"));
    /* Too noisy to tell. */
    d = fight(rounds_of(1), -0.005, 0.05, &random);
    assert_int_equal(d.verdict, KDS_DUEL_UNRESOLVED);
    assert_int_equal(d.rounds, KDS_DUEL_ROUNDS);
}

static void one_slow_row_forbids(void **state)
{
    (void)state;
    kds_duel_rounds *d = rounds_of(3);
    kds_duel out;
    for (d->count = 0; d->count < 8; d->count++)
        for (int i = 0; i < 3; i++)
            d->rows[d->count][i] = i == 1 ? 0.03 : -0.2 - 0.001 * d->count;
    assert_true(kds_duel_over(&rule, d, &out));
    assert_int_equal(out.verdict, KDS_DUEL_NOT_FASTER);
    assert_string_equal(out.worst_row, "middle");
    assert_non_null(strstr(out.why, "row middle is 3.0 % slower"));
    for (int k = 0; k < 8; k++)
        d->rows[k][1] = 0.019;
    assert_true(kds_duel_over(&rule, d, &out));
    assert_int_equal(out.verdict, KDS_DUEL_FASTER);
}

static void rows_count_by_weight(void **state)
{
    (void)state;
    kds_duel_rounds *d = rounds_of(2);
    d->weights[0] = 3;
    d->rows[0][0] = -0.1;
    d->rows[0][1] = 0.1;
    assert_true(fabs(kds_duel_round_value(d, 0) + 0.05) < 1e-15);
}

/* Want of a gain ends a duel after three rounds, unless the estimate is what is wanted; one round
 * with a gain is enough to go on. */
static void no_gain_is_given_up(void **state)
{
    (void)state;
    kds_duel_rounds *d = rounds_of(1);
    kds_duel_rule whole = rule;
    kds_duel out;
    whole.to_the_look = true;
    for (d->count = 0; d->count < 3; d->count++)
        d->rows[d->count][0] = -0.002;
    assert_true(kds_duel_over(&rule, d, &out));
    assert_int_equal(out.verdict, KDS_DUEL_NOT_FASTER);
    assert_true(fabs(out.gain - expm1(0.002)) < 1e-12);
    assert_false(kds_duel_over(&whole, d, &out));
    d->rows[1][0] = -0.003;
    assert_false(kds_duel_over(&rule, d, &out));
}

/* Between looks nothing is decided. */
static void only_planned_looks_decide(void **state)
{
    (void)state;
    kds_duel_rounds *d = rounds_of(1);
    kds_duel out;
    for (d->count = 1; d->count <= 24; d->count++) {
        d->rows[d->count - 1][0] = -0.5 - 0.01 * d->count;
        bool look = d->count == 8 || d->count == 16 || d->count == 24;
        assert_int_equal(kds_duel_over(&rule, d, &out), look);
    }
}

/* Rounds as an H200 gives them: placement 0.2 % per module load, launch noise 0.3 %, and a drift
 * that a pair shares but for what changes between its visits. */
static void simulate(double value, int samples, double *faster, double *mean_rounds)
{
    kds_random random = kds_random_stream(5, (uint64_t)(1e6 * (value + 1)), "duel");
    int won = 0;
    double rounds = 0;
    for (int s = 0; s < samples; s++) {
        kds_duel_rounds *d = rounds_of(1);
        double noise = sqrt(2) * 0.002 + 0.001 * kds_random_unit(&random);
        kds_duel out = fight(d, value, noise, &random);
        won += out.verdict == KDS_DUEL_FASTER;
        rounds += out.rounds;
    }
    *faster = (double)won / samples;
    *mean_rounds = rounds / samples;
}

static void size_and_power(void **state)
{
    (void)state;
    double faster, rounds;
    simulate(-log1p(rule.margin), 4000, &faster, &rounds); /* the worst case: exactly the margin */
    if (faster > 0.014)
        fail_msg("a gain of just the margin is called faster in %.4f", faster);
    simulate(0, 4000, &faster, &rounds);
    if (faster > 0.001)
        fail_msg("an equal child is called faster in %.4f", faster);
    simulate(-0.01, 1000, &faster, &rounds);
    if (faster < 0.99 || rounds > 12)
        fail_msg("a gain of 1 %% is found in %.4f, after %.1f rounds", faster, rounds);
    simulate(0.01, 1000, &faster, &rounds);
    if (faster > 0 || rounds > 9)
        fail_msg("a loss of 1 %% is called faster in %.4f, after %.1f rounds", faster, rounds);
}

/* A round's noise, scaled by `spread`: normal, or Student's t with three degrees of freedom, whose
 * tails are heavy. */
static double noise_of(bool heavy, double spread, kds_random *random)
{
    double z = kds_random_normal(random), sum = 0;
    if (!heavy)
        return spread * z;
    for (int i = 0; i < 3; i++) {
        double x = kds_random_normal(random);
        sum += x * x / 3;
    }
    return spread * z / sqrt(sum);
}

/* How many of 100,000 children that are `value` apart are let go after the screening rounds. */
static int let_go(double value, double spread, bool heavy, double floor)
{
    enum { CHILDREN = 100000 };
    kds_random random = kds_random_stream(6, (uint64_t)(1e6 * (value + spread + 1)), "hopeless");
    kds_duel_rule r = rule;
    kds_duel_rounds *d = rounds_of(1);
    int gone = 0;
    r.hopeless = kds_duel_hopeless(r.margin, floor);
    d->count = KDS_DUEL_SCREEN;
    for (int i = 0; i < CHILDREN; i++) {
        kds_duel out;
        for (int k = 0; k < KDS_DUEL_SCREEN; k++)
            d->rows[k][0] = value + noise_of(heavy, spread, &random);
        gone += kds_duel_over(&r, d, &out);
    }
    return gone;
}

/* Rounds scatter by 0.06 to 0.2 % between equals on an H200, and by up to 0.6 % where an idle
 * kernel lies among them. */
static void clear_losers_alone_are_let_go(void **state)
{
    (void)state;
    static const struct {
        double spread;
        bool heavy;
        double floor;
        int equals, winners; /* at most so many of 100,000 */
    } cases[] = {{0.002, false, 0.0015, 0, 0},
                 {0.002, true, 0.0015, 5, 2},
                 {0.006, false, 0.003, 2, 0},
                 {0.006, true, 0.003, 150, 20},
                 {0.02, false, 0.01, 80, 10}}; /* a noisy machine: its floor widens the bound */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double s = cases[i].spread, f = cases[i].floor;
        int equals = let_go(0, s, cases[i].heavy, f), winners = let_go(-0.01, s, cases[i].heavy, f);
        if (equals > cases[i].equals || winners > cases[i].winners)
            fail_msg("case %zu: of 100000, %d equals and %d that are 1 %% faster are let go", i,
                     equals, winners);
        int slower = let_go(log1p(0.05), s, cases[i].heavy, f);
        if (s < 0.01 && slower < 95000)
            fail_msg("case %zu: of 100000 that are 5 %% slower, %d are let go", i, slower);
    }
    assert_true(kds_duel_hopeless(0.0025, 0.001) == 0.02);
    assert_true(fabs(kds_duel_hopeless(0.01, 0.001) - 0.04) < 1e-15);
    assert_true(fabs(kds_duel_hopeless(0.0025, 0.006) - 0.024) < 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clear_cases),
        cmocka_unit_test(one_slow_row_forbids),
        cmocka_unit_test(rows_count_by_weight),
        cmocka_unit_test(no_gain_is_given_up),
        cmocka_unit_test(only_planned_looks_decide),
        cmocka_unit_test(size_and_power),
        cmocka_unit_test(clear_losers_alone_are_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
