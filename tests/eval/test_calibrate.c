/* Calibration on invented samples: times that the model itself makes with other rates are fitted
 * back, what no sample depends on stays, and agreement is counted as documented. */
#include "eval/sim/calibrate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TASKS 4
#define ROWS 3
#define KERNELS 8
#define SAMPLES ((size_t)TASKS * ROWS * KERNELS)

static kds_sample samples[SAMPLES];
static kds_sim_observed inputs[SAMPLES];

/* A launch that loads one resource: memory, integer work, shared memory, or little of anything. */
static void invent(kds_sim_observed *o, int task, int row, int kernel)
{
    double size = 1000.0 * (row + 1) * (kernel + 2);
    kds_sim_shape shape = {
        .blocks = (uint64_t)(200 * (kernel + 1)), .threads = 256, .registers = 32};
    double c[KDS_SIM_COUNTER_COUNT] = {0};
    memset(o, 0, sizeof *o);
    c[KDS_SIM_COUNTER_WARP_INST] = 100 * size;
    if (task == 0)
        c[KDS_SIM_COUNTER_UNIQUE_LD_SECTORS] = 3000 * size / (1 + kernel % 3);
    if (task == 1)
        c[KDS_SIM_COUNTER_INST_ALU] = 8000 * size;
    if (task == 2)
        c[KDS_SIM_COUNTER_SHARED_LD_WAVEFRONTS] = 4000 * size;
    const double cycles = task == 3 ? 3000 : 200;
    const kds_sim_trace trace = {.cycles = cycles, .longest = cycles, .l1_misses = 1};
    kds_sim_observed_add(o, &shape, c, &trace);
}

/* Samples with the times of `truth`, each off by up to `noise` of ln(time). */
static void fill(const kds_gpu *truth, double noise)
{
    size_t n = 0;
    for (int t = 0; t < TASKS; t++)
        for (int r = 0; r < ROWS; r++)
            for (int k = 0; k < KERNELS; k++, n++) {
                static const char *const names[TASKS] = {"memory", "integer", "shared", "small"};
                invent(&inputs[n], t, r, k);
                double wave = sin(12.9898 * (double)(n + 1)); /* in [-1, 1], of no pattern */
                samples[n] = (kds_sample){.task = t,
                                          .row = t * ROWS + r,
                                          .task_name = names[t],
                                          .row_name = "row",
                                          .kernel = "kernel",
                                          .inputs = &inputs[n]};
                samples[n].measured_us =
                    kds_sim_observed_us(truth, &inputs[n], NULL) * exp(noise * wave);
            }
}

static int parameter(const char *name)
{
    for (int i = 0; i < kds_calibrate_parameter_count(); i++)
        if (strcmp(kds_calibrate_parameter_name(i), name) == 0)
            return i;
    fail_msg("no parameter %s", name);
    return -1;
}

static void scale(kds_gpu *g, const char *name, double factor)
{
    int i = parameter(name);
    kds_calibrate_set_parameter(g, i, factor * kds_calibrate_parameter(g, i));
}

static double ratio(const kds_gpu *g, const kds_gpu *to, const char *name)
{
    int i = parameter(name);
    return kds_calibrate_parameter(g, i) / kds_calibrate_parameter(to, i);
}

static void test_parameters_are_those_of_the_table(void **state)
{
    (void)state;
    const kds_gpu *g = kds_gpu_find("h200");
    assert_true(kds_calibrate_parameter(g, parameter("dram_bytes_per_second")) ==
                g->dram_bytes_per_second);
    assert_true(kds_calibrate_parameter(g, parameter("soft_max")) == g->soft_max);
    for (int i = 0; i < kds_calibrate_parameter_count(); i++)
        assert_true(kds_calibrate_parameter(g, i) > 0);
}

static void test_fit_recovers_rates(void **state)
{
    (void)state;
    const kds_gpu *start = kds_gpu_find("h200");
    kds_gpu truth = *start, fitted;
    scale(&truth, "dram_bytes_per_second", 0.8);
    scale(&truth, "alu_per_cycle", 1.4);
    scale(&truth, "shared_wavefronts_per_cycle", 0.7);
    scale(&truth, "launch_us", 1.5);
    fill(&truth, 0.01);
    kds_calibrate_fit(start, samples, SAMPLES, -1, &fitted);
    static const char *const moved[] = {"dram_bytes_per_second", "alu_per_cycle",
                                        "shared_wavefronts_per_cycle"};
    for (size_t i = 0; i < sizeof moved / sizeof *moved; i++)
        if (!(fabs(log(ratio(&fitted, &truth, moved[i]))) < 0.05))
            fail_msg("%s: %.3f of the truth", moved[i], ratio(&fitted, &truth, moved[i]));
    /* Nothing uses double precision or tensor cores here. */
    assert_true(fabs(ratio(&fitted, start, "fp64_per_cycle") - 1) < 1e-9);
    assert_true(fabs(ratio(&fitted, start, "tensor_per_cycle") - 1) < 1e-9);
    assert_true(kds_calibrate_loss(&fitted, start, samples, SAMPLES, -1) <
                0.1 * kds_calibrate_loss(start, start, samples, SAMPLES, -1));
    kds_agreement before, after;
    assert_true(kds_calibrate_agreement(start, samples, SAMPLES, -1, &before));
    assert_true(kds_calibrate_agreement(&fitted, samples, SAMPLES, -1, &after));
    assert_true(after.rms_log < 0.3 * before.rms_log);
    assert_true(after.spearman > 0.99);
}

static void test_bounds_hold_and_outliers_do_not_rule(void **state)
{
    (void)state;
    const kds_gpu *start = kds_gpu_find("h200");
    kds_gpu truth = *start, fitted;
    fill(&truth, 0);
    samples[3].measured_us *= 100; /* one lie among the memory-bound ones */
    kds_calibrate_fit(start, samples, SAMPLES, -1, &fitted);
    assert_true(fabs(log(ratio(&fitted, start, "dram_bytes_per_second"))) < 0.1);
    scale(&truth, "alu_per_cycle", 0.1);
    fill(&truth, 0);
    kds_calibrate_fit(start, samples, SAMPLES, -1, &fitted);
    for (int i = 0; i < kds_calibrate_parameter_count(); i++) {
        double r = kds_calibrate_parameter(&fitted, i) / kds_calibrate_parameter(start, i);
        assert_true(r > 0.4999 && r < 2.0001);
    }
    assert_true(ratio(&fitted, start, "alu_per_cycle") < 0.51);
}

static void test_what_is_left_out_is_not_seen(void **state)
{
    (void)state;
    const kds_gpu *start = kds_gpu_find("h200");
    kds_gpu truth = *start, fitted;
    scale(&truth, "shared_wavefronts_per_cycle", 0.6);
    fill(&truth, 0);
    kds_calibrate_fit(start, samples, SAMPLES, 2, &fitted); /* without the task that uses it */
    assert_true(fabs(ratio(&fitted, start, "shared_wavefronts_per_cycle") - 1) < 0.02);
    kds_agreement a;
    assert_true(kds_calibrate_agreement(&fitted, samples, SAMPLES, 2, &a));
    assert_true(a.median < 0.75); /* and so that task is still off */
    assert_int_equal(a.count, ROWS * KERNELS);
}

static void test_agreement_is_counted(void **state)
{
    (void)state;
    const kds_gpu *g = kds_gpu_find("h200");
    kds_sample s[5];
    kds_agreement a;
    fill(g, 0);
    /* Row 0: three kernels, the model has the last two the wrong way round. Row 1: two kernels, too
     * few for a correlation, within one percent of each other. */
    memcpy(s, samples, 3 * sizeof *s);
    memcpy(s + 3, samples + KERNELS, 2 * sizeof *s);
    double t[5];
    for (int i = 0; i < 5; i++)
        t[i] = kds_sim_observed_us(g, s[i].inputs, NULL);
    int lo = t[0] < t[1] ? (t[0] < t[2] ? 0 : 2) : (t[1] < t[2] ? 1 : 2);
    int hi = t[0] > t[1] ? (t[0] > t[2] ? 0 : 2) : (t[1] > t[2] ? 1 : 2);
    int mid = 3 - lo - hi;
    s[lo].measured_us = 10;
    s[mid].measured_us = 30;
    s[hi].measured_us = 20;
    s[3].measured_us = 50;
    s[4].measured_us = 50.1;
    assert_true(kds_calibrate_agreement(g, s, 5, -1, &a));
    assert_int_equal(a.count, 5);
    assert_int_equal(a.rows, 1);
    assert_true(fabs(a.within - 0.5) < 1e-12); /* 1 - 6 * 2 / (3 * 8) */
    assert_int_equal(a.pairs, 3);
    assert_int_equal(a.ordered, 2);
    assert_true(kds_calibrate_agreement(g, s, 5, 7, &a));
    assert_int_equal(a.count, 0);
    assert_true(isnan(a.spearman));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters_are_those_of_the_table),
        cmocka_unit_test(test_fit_recovers_rates),
        cmocka_unit_test(test_bounds_hold_and_outliers_do_not_rule),
        cmocka_unit_test(test_what_is_left_out_is_not_seen),
        cmocka_unit_test(test_agreement_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
