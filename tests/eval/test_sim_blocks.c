/* Blocks that need each other: clusters and their shared memory, cooperative launches, blocks that
 * wait for blocks started after them, and those that wait for ever. */
#include "tests/eval/sim_test.h"

#define THREADS 64

/* Runs `body` with %o the output, %t the thread, %b the block, %n the number of blocks; it leaves
 * in %r0 what the thread stores at its place. */
static kds_sim_result run_blocks(const char *body, uint32_t blocks, const kds_sim_options *options,
                                 uint32_t *out)
{
    static char text[16384];
    snprintf(text, sizeof text,
             HEADER
             ".global .align 4 .u32 counter[64];\n.global .align 4 .u32 flags[1024];\n"
             ".visible .entry k(.param .u64 out)\n{\n"
             ".reg .pred %%p<10>; .reg .b32 %%r<30>; .reg .b64 %%d<20>; .reg .b32 %%t, %%b, %%n;\n"
             ".reg .b64 %%o, %%x; .shared .align 16 .b8 sm[1024];\n"
             "ld.param.u64 %%o, [out]; mov.u32 %%t, %%tid.x; mov.u32 %%b, %%ctaid.x;\n"
             "mov.u32 %%n, %%nctaid.x; mov.u32 %%r0, 0;\n"
             "%s\n"
             "mad.lo.s32 %%t, %%b, 64, %%t; mul.wide.u32 %%x, %%t, 4; add.s64 %%o, %%o, %%x;\n"
             "st.global.u32 [%%o], %%r0; ret;\n}\n",
             body);
    kds_sim_module *m = load(text);
    const char *missing = kds_sim_module_missing(m, "k");
    if (missing != NULL)
        fail_msg("%s", missing);
    kds_sim_memory *memory = kds_sim_memory_create();
    uint64_t bytes = (uint64_t)blocks * THREADS * 4;
    uint64_t address = add_buffer(memory, "out", bytes, KDS_SIM_DEFINED, false);
    kds_sim_result r = launch(m, "k", blocks, THREADS, 0, &address, 8, memory, options);
    if (out != NULL)
        assert_true(kds_sim_memory_read(memory, address, bytes, out, NULL));
    kds_sim_memory_free(memory);
    kds_sim_module_free(m);
    return r;
}

static const kds_sim_options patient = {.check_uninitialised = true, .budget = 400000000};

/* Each block writes its number into its shared memory and reads that of the next one. */
#define NEXT_IN_CLUSTER                                                                            \
    "mov.u32 %r1, sm; shl.b32 %r2, %t, 2; add.s32 %r1, %r1, %r2; mad.lo.s32 %r3, %b, 1000, %t;\n"  \
    "st.shared.u32 [%r1], %r3;\n"                                                                  \
    "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;\n"                              \
    "mov.u32 %r4, %cluster_ctarank; mov.u32 %r5, %cluster_nctarank; add.s32 %r4, %r4, 1;\n"        \
    "rem.u32 %r4, %r4, %r5; mapa.shared::cluster.u32 %r6, %r1, %r4;\n"                             \
    "ld.shared::cluster.u32 %r0, [%r6];\n"                                                         \
    "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;\n"

static void clusters_share_memory(void **state)
{
    (void)state;
    static uint32_t out[16 * THREADS];
    static const uint32_t sizes[] = {1, 2, 4, 8, 16};
    for (size_t s = 0; s < COUNT(sizes); s++) {
        kds_sim_options o = patient;
        o.cluster[0] = sizes[s];
        o.cluster[1] = o.cluster[2] = 1;
        kds_sim_result r = run_blocks(NEXT_IN_CLUSTER, 16, &o, out);
        assert_string_equal(r.report, "");
        for (uint32_t i = 0; i < 16 * THREADS; i++) {
            uint32_t b = i / THREADS, first = b / sizes[s] * sizes[s];
            assert_int_equal(out[i], (first + (b - first + 1) % sizes[s]) * 1000 + i % THREADS);
        }
        assert_int_equal((int)r.counters[KDS_SIM_COUNTER_BLOCKS], 16);
    }
}

static void a_sample_of_blocks_takes_whole_clusters(void **state)
{
    (void)state;
    static uint32_t out[16 * THREADS];
    static const uint64_t blocks[] = {1, 2, 9};
    kds_sim_options o = patient;
    o.cluster[0] = 4;
    o.cluster[1] = o.cluster[2] = 1;
    o.blocks = blocks;
    o.block_count = 3;
    kds_sim_result r = run_blocks(NEXT_IN_CLUSTER, 16, &o, out);
    assert_string_equal(r.report, "");
    assert_int_equal((int)r.counters[KDS_SIM_COUNTER_BLOCKS], 8);
    assert_int_equal(out[0], 1000);
    assert_int_equal(out[4 * THREADS], 0);
    assert_int_equal(out[8 * THREADS], 9000);
}

/* Through generic addresses, atomically, and where the rank comes from. */
static void remote_shared_memory_by_generic_address(void **state)
{
    (void)state;
    static uint32_t out[8 * THREADS];
    kds_sim_options o = patient;
    o.cluster[0] = 8;
    o.cluster[1] = o.cluster[2] = 1;
    kds_sim_result r = run_blocks(
        "setp.ne.s32 %p1, %t, 0; mov.u64 %d1, sm; cvta.shared.u64 %d1, %d1;\n"
        "@!%p1 st.shared.u32 [sm], 0;\n"
        "barrier.cluster.arrive; barrier.cluster.wait;\n"
        "mapa.u64 %d2, %d1, 3; getctarank.u64 %r7, %d2; isspacep.shared::cta %p2, %d2;\n"
        "isspacep.shared::cluster %p3, %d2; isspacep.global %p4, %d2;\n"
        "atom.add.u32 %r1, [%d2], 1;\n"
        "barrier.cluster.arrive; barrier.cluster.wait;\n"
        "ld.u32 %r0, [%d2]; mul.lo.s32 %r7, %r7, 10000; add.s32 %r0, %r0, %r7;\n"
        "@%p2 add.s32 %r0, %r0, 100000; @%p3 add.s32 %r0, %r0, 200000; @%p4 mov.u32 %r0, 0;\n"
        "barrier.cluster.arrive; barrier.cluster.wait;\n",
        8, &o, out);
    assert_string_equal(r.report, "");
    for (uint32_t i = 0; i < 8 * THREADS; i++)
        assert_int_equal(out[i], 512 + 30000 + 200000 + (i / THREADS == 3 ? 100000 : 0));
}

static void expect(const kds_sim_result *r, kds_sim_status status, const char *text)
{
    if (r->status != status || strstr(r->report, text) == NULL)
        fail_msg("%s: %s (not %s with '%s')", kds_sim_status_name(r->status), r->report,
                 kds_sim_status_name(status), text);
}

static void faults_in_clusters_are_named(void **state)
{
    (void)state;
    kds_sim_options o = patient;
    o.cluster[0] = 2;
    o.cluster[1] = o.cluster[2] = 1;
    kds_sim_result r =
        run_blocks("mov.u32 %r1, sm; mapa.shared::cluster.u32 %r2, %r1, 2;\n", 4, &o, NULL);
    expect(&r, KDS_SIM_OUT_OF_BOUNDS, "block 2 of a cluster of 2");
    r = run_blocks("mov.u32 %r1, sm; mapa.shared::cluster.u32 %r2, %r1, 1;\n"
                   "st.shared::cluster.u32 [%r2+1024], %r1;\n",
                   4, &o, NULL);
    expect(&r, KDS_SIM_OUT_OF_BOUNDS,
           "at byte 1024 of the shared memory (1024 bytes) of the cluster's block 1");
    r = run_blocks("mov.u32 %r1, sm; mapa.shared::cluster.u32 %r2, %r1, 1;\n"
                   "ld.shared.u32 %r0, [%r2];\n",
                   4, &o, NULL);
    expect(&r, KDS_SIM_OUT_OF_BOUNDS, "reads 4 bytes");
    /* The second block ends before the first one reads its memory. */
    r = run_blocks(
        "setp.eq.s32 %p1, %b, 1; @%p1 bra DONE; mov.u32 %r1, sm; mov.u32 %r9, 0;\n"
        "WAIT: add.s32 %r9, %r9, 1; setp.lt.s32 %p2, %r9, 100000; @%p2 bra WAIT;\n"
        "mapa.shared::cluster.u32 %r2, %r1, 1; ld.shared::cluster.u32 %r0, [%r2]; DONE:\n",
        2, &o, NULL);
    expect(&r, KDS_SIM_OUT_OF_BOUNDS, "which has ended");
    r = run_blocks("barrier.cluster.arrive; barrier.cluster.arrive;\n", 4, &o, NULL);
    expect(&r, KDS_SIM_BARRIER, "arrives twice");
    r = run_blocks("barrier.cluster.wait;\n", 4, &o, NULL);
    expect(&r, KDS_SIM_BARRIER, "without having arrived");
    r = run_blocks("setp.eq.s32 %p1, %b, 1; @%p1 bar.sync 1, 96; barrier.cluster.arrive;\n"
                   "barrier.cluster.wait;\n",
                   2, &o, NULL);
    expect(&r, KDS_SIM_DEADLOCK, "barrier of the cluster");
    r = run_blocks("mov.u32 %r0, 1;\n", 3, &o, NULL);
    expect(&r, KDS_SIM_BAD_LAUNCH, "no multiple of the cluster");
    o.cluster[0] = 17;
    r = run_blocks("mov.u32 %r0, 1;\n", 17, &o, NULL);
    expect(&r, KDS_SIM_BAD_LAUNCH, "above 16 blocks");
}

/* A block that ends at once counts as arrived. */
static void an_ended_block_does_not_hold_up_its_cluster(void **state)
{
    (void)state;
    static uint32_t out[4 * THREADS];
    kds_sim_options o = patient;
    o.cluster[0] = 4;
    o.cluster[1] = o.cluster[2] = 1;
    kds_sim_result r = run_blocks("setp.eq.s32 %p1, %b, 2; @%p1 ret;\n"
                                  "barrier.cluster.arrive; barrier.cluster.wait; mov.u32 %r0, 7;\n",
                                  4, &o, out);
    assert_string_equal(r.report, "");
    assert_int_equal(out[0], 7);
    assert_int_equal(out[2 * THREADS], 0);
    assert_int_equal(out[3 * THREADS], 7);
}

/* A barrier over the grid made of an atomic counter: every block must be let in. */
#define GRID_BARRIER                                                                               \
    "bar.sync 0; setp.ne.s32 %p1, %t, 0; @%p1 bra PAST; mov.u64 %d1, counter;\n"                   \
    "membar.gl; atom.global.add.u32 %r1, [%d1], 1;\n"                                              \
    "POLL: ld.volatile.global.u32 %r2, [%d1]; setp.lt.u32 %p2, %r2, %n; @%p2 bra POLL; PAST:\n"    \
    "bar.sync 0; mov.u64 %d1, counter; ld.volatile.global.u32 %r0, [%d1];\n"

static void blocks_wait_for_blocks_that_start_later(void **state)
{
    (void)state;
    static uint32_t out[300 * THREADS];
    for (int isa = 0; isa < 2; isa++) {
        kds_sim_options o = patient;
        o.isa = instruction_sets()[isa];
        kds_sim_result r = run_blocks(GRID_BARRIER, 300, &o, out);
        assert_string_equal(r.report, "");
        for (uint32_t i = 0; i < 300 * THREADS; i++)
            assert_int_equal(out[i], 300);
    }
}

static void too_many_blocks_for_a_barrier_of_the_grid(void **state)
{
    (void)state;
    kds_sim_options o = patient;
    o.resident = 100;
    kds_sim_result r = run_blocks(GRID_BARRIER, 101, &o, NULL);
    expect(&r, KDS_SIM_DEADLOCK, "no running thread changes any more");
}

/* Each block adds to what the block before it published: in order, and in reverse, when the first
 * block to run needs the last one. */
static void look_back_in_both_directions(void **state)
{
    (void)state;
    static uint32_t out[200 * THREADS];
    static char body[2048];
    for (int reverse = 0; reverse < 2; reverse++) {
        snprintf(body, sizeof body,
                 "mov.u32 %%r8, %%b; %s setp.ne.s32 %%p1, %%t, 0; @%%p1 bra PAST;\n"
                 "mov.u64 %%d1, flags; mul.wide.u32 %%d2, %%r8, 4; add.s64 %%d1, %%d1, %%d2;\n"
                 "mov.u32 %%r2, 1; setp.eq.s32 %%p2, %%r8, 0; @%%p2 bra PUBLISH;\n"
                 "POLL: ld.acquire.gpu.global.u32 %%r3, [%%d1+-4]; setp.eq.s32 %%p3, %%r3, 0;\n"
                 "nanosleep.u32 40; @%%p3 bra POLL; add.s32 %%r2, %%r3, 1;\n"
                 "PUBLISH: st.release.gpu.global.u32 [%%d1], %%r2; mov.u32 %%r0, %%r2; PAST:\n",
                 reverse ? "sub.s32 %r8, %n, %b; sub.s32 %r8, %r8, 1;" : "");
        kds_sim_result r = run_blocks(body, 200, &patient, out);
        assert_string_equal(r.report, "");
        for (uint32_t b = 0; b < 200; b++)
            assert_int_equal(out[b * THREADS], (reverse ? 200 - 1 - b : b) + 1);
    }
}

static void one_warp_waits_for_another(void **state)
{
    (void)state;
    static uint32_t out[THREADS];
    kds_sim_result r = run_blocks(
        "shr.u32 %r1, %t, 5; setp.eq.s32 %p1, %r1, 1; mov.u64 %d1, counter;\n"
        "@%p1 bra GIVE;\n"
        "POLL: ld.volatile.global.u32 %r2, [%d1]; setp.eq.s32 %p2, %r2, 0; @%p2 bra POLL;\n"
        "mov.u32 %r0, %r2; bra PAST;\n"
        "GIVE: mov.u32 %r3, 0; LOOP: add.s32 %r3, %r3, 1; setp.lt.s32 %p3, %r3, 200000;\n"
        "@%p3 bra LOOP; st.volatile.global.u32 [%d1], 5; mov.u32 %r0, 5; PAST:\n",
        1, &patient, out);
    assert_string_equal(r.report, "");
    assert_int_equal(out[0], 5);
    /* Nobody gives. */
    r = run_blocks(
        "mov.u64 %d1, counter;\n"
        "POLL: ld.volatile.global.u32 %r2, [%d1]; setp.eq.s32 %p2, %r2, 0; @%p2 bra POLL;\n",
        2, &patient, NULL);
    expect(&r, KDS_SIM_DEADLOCK, "ld.volatile.global.u32");
}

/* Long work between polls that bring nothing new is no deadlock. */
static void polling_beside_work_is_no_deadlock(void **state)
{
    (void)state;
    static uint32_t out[THREADS];
    kds_sim_result r = run_blocks(
        "mov.u64 %d1, counter; mov.u32 %r3, 0;\n"
        "LOOP: ld.volatile.global.u32 %r2, [%d1]; add.s32 %r0, %r0, %r2; add.s32 %r3, %r3, 1;\n"
        "setp.lt.s32 %p3, %r3, 5000; @%p3 bra LOOP; add.s32 %r0, %r0, %r3;\n",
        1, &patient, out);
    assert_string_equal(r.report, "");
    assert_int_equal(out[5], 5000);
}

static void a_cooperative_launch_needs_room_for_all(void **state)
{
    (void)state;
    static uint32_t out[40 * THREADS];
    kds_sim_options o = patient;
    static const uint64_t some[] = {0, 1};
    o.cooperative = true;
    o.resident = 40;
    kds_sim_result r = run_blocks(
        "mov.u32 %r0, %envreg1; mov.u32 %r1, %envreg2; or.b32 %r0, %r0, %r1;\n", 40, &o, out);
    assert_string_equal(r.report, "");
    assert_int_not_equal(out[0], 0);
    r = run_blocks("mov.u32 %r0, 1;\n", 41, &o, NULL);
    expect(&r, KDS_SIM_BAD_LAUNCH, "at most 40 can be resident");
    o.blocks = some;
    o.block_count = 2;
    r = run_blocks("mov.u32 %r0, 1;\n", 4, &o, NULL);
    expect(&r, KDS_SIM_BAD_LAUNCH, "some blocks of a cooperative launch");
}

/* Work of uneven length; half of the blocks of a word share the bitmaps of one page. */
#define UNEVEN                                                                                     \
    "rem.u32 %r1, %b, 37; mul.lo.s32 %r1, %r1, 20; mov.u32 %r2, 0;\n"                              \
    "LOOP: add.s32 %r0, %r0, %b; xor.b32 %r0, %r0, %r2; add.s32 %r2, %r2, 1;\n"                    \
    "setp.lt.s32 %p1, %r2, %r1; @%p1 bra LOOP;\n"

static void same_results_on_any_number_of_cores(void **state)
{
    (void)state;
    static uint32_t one[500 * THREADS], many[500 * THREADS];
    static const kds_sim_latency latency = {.alu = 4, .global_l2 = 200, .global_dram = 600};
    kds_sim_options o = patient;
    o.latency = &latency;
    o.trace_blocks = 3;
    kds_sim_result want = run_blocks(UNEVEN, 500, &o, one);
    assert_string_equal(want.report, "");
    for (int threads = 2; threads <= 7; threads++) {
        o.threads = threads;
        kds_sim_result got = run_blocks(UNEVEN, 500, &o, many);
        assert_string_equal(got.report, "");
        assert_memory_equal(one, many, sizeof one);
        assert_memory_equal(want.counters, got.counters, sizeof want.counters);
        assert_true(want.trace_cycles == got.trace_cycles);
    }
}

static void the_first_fault_is_reported_on_any_number_of_cores(void **state)
{
    (void)state;
    const char *body = UNEVEN "rem.u32 %r3, %b, 100; setp.eq.s32 %p2, %r3, 71;\n"
                              "mov.u64 %d1, 64; @%p2 st.global.u32 [%d1], %b;\n";
    kds_sim_options o = patient;
    kds_sim_result want = run_blocks(body, 500, &o, NULL);
    expect(&want, KDS_SIM_OUT_OF_BOUNDS, "block (71, 0, 0)");
    for (int n = 0; n < 20; n++) {
        o.threads = 2 + n % 5;
        kds_sim_result got = run_blocks(body, 500, &o, NULL);
        assert_string_equal(got.report, want.report);
    }
    o.budget = 20000;
    want = run_blocks(UNEVEN, 500, &o, NULL);
    expect(&want, KDS_SIM_BUDGET, "the instruction budget is used up");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clusters_share_memory),
        cmocka_unit_test(a_sample_of_blocks_takes_whole_clusters),
        cmocka_unit_test(remote_shared_memory_by_generic_address),
        cmocka_unit_test(faults_in_clusters_are_named),
        cmocka_unit_test(an_ended_block_does_not_hold_up_its_cluster),
        cmocka_unit_test(blocks_wait_for_blocks_that_start_later),
        cmocka_unit_test(too_many_blocks_for_a_barrier_of_the_grid),
        cmocka_unit_test(look_back_in_both_directions),
        cmocka_unit_test(one_warp_waits_for_another),
        cmocka_unit_test(polling_beside_work_is_no_deadlock),
        cmocka_unit_test(a_cooperative_launch_needs_room_for_all),
        cmocka_unit_test(same_results_on_any_number_of_cores),
        cmocka_unit_test(the_first_fault_is_reported_on_any_number_of_cores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
