/* The time model: occupancy against published values, and that modelled times move the way physics
 * says. */
#include "eval/sim/model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int resident(const char *gpu, int threads, int registers, int shared)
{
    kds_sim_shape s = {
        .blocks = 1000, .threads = threads, .registers = registers, .shared_bytes = shared};
    return kds_gpu_resident_blocks(kds_gpu_find(gpu), &s);
}

/* Values of the CUDA occupancy calculator for compute capability 9.0. */
static void occupancy_matches_published_values(void **state)
{
    (void)state;
    static const struct {
        int threads, registers, shared, blocks;
    } cases[] = {
        {256, 32, 0, 8},                          /* 2048 threads: full */
        {256, 64, 0, 4},                          /* 65536 / (64 * 256) */
        {256, 128, 0, 2},        {256, 33, 0, 6}, /* 40 per thread after rounding: 12 warps a part
                                                   */
        {128, 32, 0, 16},        {32, 16, 0, 32}, /* block limit: half of the warps */
        {64, 32, 0, 32},         {1024, 32, 0, 2},        {1024, 64, 0, 1},
        {1024, 65, 0, 0},                                /* more registers than there are */
        {96, 32, 0, 21},                                 /* 64 / 3 warps */
        {33, 32, 0, 32},                                 /* two warps each */
        {256, 32, 1024, 8},      {256, 32, 28 << 10, 7}, /* 29 KiB with the reserve: 228 / 29 */
        {256, 32, 48 << 10, 4},  {256, 32, 100 << 10, 2}, {256, 32, 113 << 10, 2},
        {256, 32, 114 << 10, 1}, {256, 32, 227 << 10, 1}, {256, 32, (227 << 10) + 1, 0},
        {1025, 32, 0, 0},        {0, 32, 0, 0},           {256, 256, 0, 0},
        {512, 255, 0, 0},        {256, 255, 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(resident("h200", cases[i].threads, cases[i].registers, cases[i].shared),
                         cases[i].blocks);
    assert_int_equal(resident("a100", 256, 32, 54 << 10), 2); /* 164 KiB per SM */
    assert_int_equal(resident("a100", 256, 32, 164 << 10), 0);
}

static void every_gpu_is_found_and_complete(void **state)
{
    (void)state;
    int count = 0;
    for (const char *const *name = kds_gpu_names(); *name != NULL; name++, count++) {
        const kds_gpu *g = kds_gpu_find(*name);
        assert_non_null(g);
        assert_string_equal(g->name, *name);
        const double positive[] = {g->clock_hz,
                                   g->dram_bytes_per_second,
                                   g->l2_bytes,
                                   g->l2_bytes_per_second,
                                   g->l2_write_bytes_per_second,
                                   g->l2_write_sectors_per_second,
                                   g->l2_write_lines_per_second,
                                   g->one_wave_share,
                                   g->soft_latency,
                                   g->blocks_per_cycle,
                                   g->soft_max,
                                   g->issue_per_cycle,
                                   g->fp32_per_cycle,
                                   g->alu_per_cycle,
                                   g->fp16_per_cycle,
                                   g->fp64_per_cycle,
                                   g->xu_per_cycle,
                                   g->lsu_per_cycle,
                                   g->tensor_per_cycle,
                                   g->l1_lines_per_cycle,
                                   g->shared_wavefronts_per_cycle,
                                   g->launch_us,
                                   g->first_launch_us,
                                   g->latency.global_dram};
        for (size_t i = 0; i < sizeof positive / sizeof positive[0]; i++)
            assert_true(positive[i] > 0);
        assert_true(g->latency.global_dram > g->latency.global_l2);
        assert_true(g->latency.global_l2 > g->latency.global_l1);
    }
    assert_true(count >= 2);
    assert_null(kds_gpu_find("h201"));
    /* 132 SMs * 128 lanes * 2 * 1.98 GHz */
    assert_float_equal(kds_gpu_flops(kds_gpu_find("h200")), 66.9e12, 0.1e12);
    for (const char *const *name = kds_gpu_names(); *name != NULL; name++)
        assert_true(kds_gpu_tensor_flops(kds_gpu_find(*name)) > 300e12);
    assert_float_equal(kds_gpu_tensor_flops(kds_gpu_find("h200")), 1070e12, 10e12);
}

/* A launch that copies `bytes` each way with 16-byte accesses in blocks of 256 threads. */
static void copy_counters(double c[KDS_SIM_COUNTER_COUNT], kds_sim_shape *s, double bytes)
{
    memset(c, 0, KDS_SIM_COUNTER_COUNT * sizeof c[0]);
    double requests = bytes / 512, sectors = bytes / 32;
    c[KDS_SIM_COUNTER_GLOBAL_LD_REQUESTS] = c[KDS_SIM_COUNTER_GLOBAL_ST_REQUESTS] = requests;
    c[KDS_SIM_COUNTER_GLOBAL_LD_SECTORS] = c[KDS_SIM_COUNTER_GLOBAL_ST_SECTORS] = sectors;
    c[KDS_SIM_COUNTER_UNIQUE_LD_SECTORS] = c[KDS_SIM_COUNTER_UNIQUE_ST_SECTORS] = sectors;
    c[KDS_SIM_COUNTER_LINES] = 8 * requests;
    c[KDS_SIM_COUNTER_ST_LINES] = 4 * requests;
    c[KDS_SIM_COUNTER_INST_LSU] = 2 * requests;
    c[KDS_SIM_COUNTER_WARP_INST] = 12 * requests;
    c[KDS_SIM_COUNTER_INST_ALU] = 8 * requests;
    *s = (kds_sim_shape){.blocks = (uint64_t)(bytes / 4096),
                         .threads = 256,
                         .registers = 24,
                         .read_footprint = bytes,
                         .write_footprint = bytes};
}

static double traced(const kds_sim_shape *s, const double *c, const kds_sim_trace *trace,
                     kds_sim_time *t)
{
    kds_sim_model(kds_gpu_find("h200"), s, c, trace, t);
    return t->us;
}

/* All blocks take the same cycles, and nothing is in the L1. */
static double modelled(const kds_sim_shape *s, const double *c, double cycles, kds_sim_time *t)
{
    const kds_sim_trace trace = {.cycles = cycles, .longest = cycles, .l1_misses = 1};
    return traced(s, c, &trace, t);
}

static void a_large_copy_runs_at_the_copy_rate(void **state)
{
    (void)state;
    double c[KDS_SIM_COUNTER_COUNT];
    kds_sim_shape s;
    kds_sim_time t;
    copy_counters(c, &s, 166e6);
    double us = modelled(&s, c, 900, &t);
    double copy_us = 2 * 166e6 / 4.25e12 * 1e6;
    assert_true(us >= copy_us);
    /* Latency (38 waves) and the L2 are below the memory's time, but not so far that they are free:
     * 3 and 2 % by the exponents; and 0.73 us until the first data is there. */
    assert_true(us < 1.07 * copy_us);
    assert_string_equal(t.limiter, "memory");
    assert_float_equal(t.dram_read_bytes, 166e6, 1e5);
    assert_float_equal(t.dram_write_bytes, 166e6, 1e5);
    assert_float_equal(t.l2_read_sectors, 166e6 / 32, 1e4);
    assert_float_equal(t.l2_hit_pct, 50, 0.1); /* every store, no load */
    assert_true(t.occupancy_pct > 95 && t.occupancy_pct <= 100);
}

static void time_grows_with_every_demand(void **state)
{
    (void)state;
    static const kds_sim_counter demands[] = {KDS_SIM_COUNTER_WARP_INST,
                                              KDS_SIM_COUNTER_INST_FP32,
                                              KDS_SIM_COUNTER_INST_ALU,
                                              KDS_SIM_COUNTER_INST_FP16,
                                              KDS_SIM_COUNTER_INST_FP64,
                                              KDS_SIM_COUNTER_INST_XU,
                                              KDS_SIM_COUNTER_INST_LSU,
                                              KDS_SIM_COUNTER_INST_TENSOR,
                                              KDS_SIM_COUNTER_LINES,
                                              KDS_SIM_COUNTER_GLOBAL_LD_SECTORS,
                                              KDS_SIM_COUNTER_SHARED_LD_WAVEFRONTS,
                                              KDS_SIM_COUNTER_SHARED_ST_WAVEFRONTS,
                                              KDS_SIM_COUNTER_LOCAL_SECTORS,
                                              KDS_SIM_COUNTER_GLOBAL_ST_SECTORS,
                                              KDS_SIM_COUNTER_ST_LINES};
    static const char *const limiters[] = {"issue",  "fp32",   "alu",    "fp16", "fp64",
                                           "xu",     "lsu",    "tensor", "l1",   "l2",
                                           "shared", "shared", "l1",     "l2",   "l2"};
    for (size_t i = 0; i < sizeof demands / sizeof demands[0]; i++) {
        double c[KDS_SIM_COUNTER_COUNT];
        kds_sim_shape s;
        kds_sim_time t;
        copy_counters(c, &s, 64e6);
        double before = modelled(&s, c, 900, &t);
        c[demands[i]] += 1e9;
        assert_true(modelled(&s, c, 900, &t) > before);
        assert_string_equal(t.limiter, limiters[i]);
    }
}

static void low_occupancy_and_long_blocks_cost_time(void **state)
{
    (void)state;
    double c[KDS_SIM_COUNTER_COUNT];
    kds_sim_shape s;
    kds_sim_time full, thin;
    copy_counters(c, &s, 166e6);
    (void)modelled(&s, c, 2000, &full);
    s.shared_bytes = 200 << 10; /* one block per SM */
    (void)modelled(&s, c, 2000, &thin);
    assert_true(thin.us > 2 * full.us);
    assert_string_equal(thin.limiter, "latency");
    assert_float_equal(thin.occupancy_pct, 12.5, 0.5);
}

static void a_second_wave_is_paid_for(void **state)
{
    (void)state;
    double c[KDS_SIM_COUNTER_COUNT] = {0};
    kds_sim_time one, two;
    kds_sim_shape s = {.blocks = 132 * 8, .threads = 256, .registers = 32};
    (void)modelled(&s, c, 10000, &one);
    s.blocks += 132;
    (void)modelled(&s, c, 10000, &two);
    assert_true(two.us > 1.3 * one.us);
    assert_float_equal(one.occupancy_pct, 100, 0.01);
    assert_true(two.occupancy_pct < 80);
    s.blocks = 66; /* half of the SMs: active ones hold one block each */
    (void)modelled(&s, c, 10000, &two);
    assert_float_equal(two.us, one.us, 0.03); /* of which fewer blocks to start are 0.02 */
    assert_float_equal(two.occupancy_pct, 12.5, 0.01);
}

static void reads_beyond_the_footprint_hit_the_cache(void **state)
{
    (void)state;
    double c[KDS_SIM_COUNTER_COUNT];
    kds_sim_shape s;
    kds_sim_time t;
    copy_counters(c, &s, 100e6);
    c[KDS_SIM_COUNTER_UNIQUE_LD_SECTORS] *= 3;
    (void)modelled(&s, c, 900, &t);
    assert_float_equal(t.dram_read_bytes, 100e6, 1e5);
    s.read_footprint = s.write_footprint = 0; /* no bound known */
    (void)modelled(&s, c, 900, &t);
    assert_float_equal(t.dram_read_bytes, 300e6, 1e5);
}

/* Of blocks that differ, the longest ends last: a grid of one wave takes as long as that one. */
static void the_longest_block_decides(void **state)
{
    (void)state;
    double c[KDS_SIM_COUNTER_COUNT] = {0};
    kds_sim_shape s = {.blocks = 132, .threads = 256, .registers = 32};
    kds_sim_time even, uneven, many;
    (void)modelled(&s, c, 50000, &even);
    const kds_sim_trace trace = {.cycles = 5000, .longest = 50000, .l1_misses = 1};
    (void)traced(&s, c, &trace, &uneven);
    assert_float_equal(uneven.us, even.us, 0.01);
    s.blocks = 132 * 8 * 100; /* a hundred waves of the mean, and what the last adds */
    (void)traced(&s, c, &trace, &many);
    double want = 1e6 * (100 * (5000 + 280) + 45000) / 1.98e9;
    assert_true(many.us > want && many.us < 1.02 * want); /* starting the blocks takes a fifth */
}

/* What all resident warps move through the L2 before they read again decides whether it is there.
 */
static void what_the_l2_has_dropped_is_read_again(void **state)
{
    (void)state;
    double c[KDS_SIM_COUNTER_COUNT];
    kds_sim_shape s;
    kds_sim_time none, near, far;
    kds_sim_trace trace = {.cycles = 900, .longest = 900, .l1_misses = 1};
    copy_counters(c, &s, 100e6);
    c[KDS_SIM_COUNTER_GLOBAL_LD_SECTORS] *= 2; /* everything twice */
    (void)traced(&s, c, &trace, &none);
    trace.l1_again = 0.5;
    trace.again_lines = 4; /* 132 SMs of 64 warps: 4 MiB with the loads, 6 with the stores */
    (void)traced(&s, c, &trace, &near);
    assert_float_equal(near.dram_read_bytes, none.dram_read_bytes, 1e5);
    trace.again_lines = 400;
    (void)traced(&s, c, &trace, &far);
    assert_float_equal(far.dram_read_bytes, 2 * none.dram_read_bytes, 1e6);
    assert_true(far.us > 1.3 * near.us);
    assert_true(far.l2_hit_pct < near.l2_hit_pct);
}

/* A grid whose blocks all run at once has nothing that evens out what each gets of the memory. */
static void a_single_wave_gets_less_of_the_memory(void **state)
{
    (void)state;
    double c[KDS_SIM_COUNTER_COUNT];
    kds_sim_shape s;
    kds_sim_time many, one;
    copy_counters(c, &s, 166e6);
    (void)modelled(&s, c, 900, &many);
    s.blocks = 132 * 8;
    (void)modelled(&s, c, 900, &one);
    assert_float_equal(one.us, 2 * 166e6 / (4.25e6 * 0.92), 2);
    assert_true(one.us > 1.02 * many.us);
}

static void nothing_to_do_still_has_a_time(void **state)
{
    (void)state;
    double c[KDS_SIM_COUNTER_COUNT] = {0};
    kds_sim_shape s = {.blocks = 0, .threads = 32, .registers = 0};
    kds_sim_time t;
    assert_true(modelled(&s, c, 0, &t) > 0);
    assert_true(isfinite(t.us) && isfinite(t.occupancy_pct));
    assert_string_equal(t.limiter, "latency");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(occupancy_matches_published_values),
        cmocka_unit_test(every_gpu_is_found_and_complete),
        cmocka_unit_test(a_large_copy_runs_at_the_copy_rate),
        cmocka_unit_test(time_grows_with_every_demand),
        cmocka_unit_test(low_occupancy_and_long_blocks_cost_time),
        cmocka_unit_test(a_second_wave_is_paid_for),
        cmocka_unit_test(reads_beyond_the_footprint_hit_the_cache),
        cmocka_unit_test(the_longest_block_decides),
        cmocka_unit_test(what_the_l2_has_dropped_is_read_again),
        cmocka_unit_test(a_single_wave_gets_less_of_the_memory),
        cmocka_unit_test(nothing_to_do_still_has_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
