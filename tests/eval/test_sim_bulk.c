/* Bulk copies: into shared memory of one or several blocks, between blocks, out of it, and
 * reductions; their waits and fences, right and wrong. */
#include "tests/eval/async_test.h"

#define FIRST(text) "setp.eq.u32 %p9, %t, 0; @%p9 " text "\n"
#define ONLY(text) "@%p9 " text "\n"
#define INIT(name, count)                                                                          \
    FIRST("mbarrier.init.shared::cta.b64 [" #name "], " count ";")                                 \
    "@%p9 fence.mbarrier_init.release.cluster; bar.sync 0;\n"
#define LOAD(to, from, size, name)                                                                 \
    ONLY("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [" to "], [" from      \
         "], " size ", [" #name "];")
#define EXPECT(name, size)                                                                         \
    ONLY("mbarrier.arrive.expect_tx.shared::cta.b64 _, [" #name "], " size ";")
#define AWAIT(label, name, parity)                                                                 \
    label ": mbarrier.try_wait.parity.shared::cta.b64 %p1, [" #name "], " parity                   \
          "; @!%p1 bra " label ";\n"
#define PLACE "mov.u32 %r1, sm; shl.b32 %r2, %t, 2; add.s32 %r1, %r1, %r2;\n"
#define STORE(size)                                                                                \
    ONLY("cp.async.bulk.global.shared::cta.bulk_group [%o], [sm], " size ";")                      \
    ONLY("cp.async.bulk.commit_group;")
/* The output is written by the copy alone, at the thread's place by nobody else. */
#define END_HERE "@%p9 cp.async.bulk.wait_group 0; exit;\n"

static void a_tile_comes_in(void **state)
{
    (void)state;
    static uint32_t out[2 * ASYNC_THREADS];
    static const char *const bodies[] = {
        INIT(m0, "1") PLACE EXPECT(m0, "512") LOAD("sm", "%i", "512", m0)
            AWAIT("W", m0, "0") "ld.shared.u32 %r0, [%r1];",
        /* The copy before what it is to be waited by, and in two parts. */
        INIT(m0, "1") PLACE "add.s64 %d1, %i, 256;\n" LOAD("sm", "%i", "256", m0)
            LOAD("sm+256", "%d1", "256", m0) EXPECT(m0, "512")
                AWAIT("W", m0, "0") "ld.shared.u32 %r0, [%r1];",
        /* One thread waits, the others are told by the block's barrier. */
        INIT(m0, "1") PLACE EXPECT(m0, "512") LOAD("sm", "%i", "512", m0) "@!%p9 bra T;\n" AWAIT(
            "W", m0, "0") "T: bar.sync 0; ld.shared.u32 %r0, [%r1];",
    };
    for (size_t k = 0; k < COUNT(bodies); k++) {
        kds_sim_result r = run_async(bodies[k], 2, 1, out);
        assert_string_equal(r.report, "");
        for (uint32_t t = 0; t < 2 * ASYNC_THREADS; t++)
            assert_int_equal(out[t], async_input(t % 128));
        assert_int_equal((int)r.counters[KDS_SIM_COUNTER_GLOBAL_LD_REQUESTS], k == 1 ? 4 : 2);
        assert_int_equal((int)r.counters[KDS_SIM_COUNTER_GLOBAL_LD_SECTORS], 32);
        assert_int_equal((int)r.counters[KDS_SIM_COUNTER_SHARED_ST_WAVEFRONTS], 8);
    }
}

/* Warp 0's first lane loads fifteen tiles into two stages; three warps sum them up. */
static void a_pipeline_of_bulk_loads(void **state)
{
    (void)state;
    static uint32_t out[ASYNC_THREADS];
    kds_sim_result r = run_async(
        "mov.u32 %r30, m0; mov.u32 %r31, m2;\n" FIRST(
            "mbarrier.init.shared::cta.b64 [m0], 1;") ONLY("mbarrier.init.shared::cta.b64 [m1], 1;")
            ONLY("mbarrier.init.shared::cta.b64 [m2], 96;") ONLY(
                "mbarrier.init.shared::cta.b64 [m3], 96;") "fence.proxy.async.shared::cta; "
                                                           "bar.sync 0;\n"
                                                           "mov.u32 %r10, 0; setp.eq.u32 %p3, %w, "
                                                           "0; @!%p3 bra USE; @!%p9 bra DONE;\n"
                                                           "MAKE: and.b32 %r11, %r10, 1; shr.u32 "
                                                           "%r12, %r10, 1; and.b32 %r12, %r12, 1;\n"
                                                           "xor.b32 %r13, %r12, 1; mad.lo.s32 "
                                                           "%r14, %r11, 8, %r31; mad.lo.s32 %r15, "
                                                           "%r11, 8, %r30;\n"
                                                           "E: "
                                                           "mbarrier.try_wait.parity.shared::cta."
                                                           "b64 %p2, [%r14], %r13; @!%p2 bra E;\n"
                                                           "mbarrier.arrive.expect_tx.shared::cta."
                                                           "b64 _, [%r15], 384;\n"
                                                           "mov.u32 %r16, sm; mad.lo.s32 %r16, "
                                                           "%r11, 384, %r16; mul.wide.u32 %d1, "
                                                           "%r10, 384;\n"
                                                           "add.s64 %d1, %i, %d1;\n"
                                                           "cp.async.bulk.shared::cluster.global."
                                                           "mbarrier::complete_tx::bytes [%r16], "
                                                           "[%d1], 384, "
                                                           "[%r15];\n"
                                                           "add.s32 %r10, %r10, 1; setp.lt.u32 "
                                                           "%p2, %r10, 15; @%p2 bra MAKE; bra "
                                                           "DONE;\n"
                                                           "USE: and.b32 %r11, %r10, 1; shr.u32 "
                                                           "%r12, %r10, 1; and.b32 %r12, %r12, 1;\n"
                                                           "mad.lo.s32 %r14, %r11, 8, %r31; "
                                                           "mad.lo.s32 %r15, %r11, 8, %r30;\n"
                                                           "F: "
                                                           "mbarrier.try_wait.parity.shared::cta."
                                                           "b64 %p2, [%r15], %r12; @!%p2 bra F;\n"
                                                           "mov.u32 %r16, sm; mad.lo.s32 %r16, "
                                                           "%r11, 384, %r16; sub.s32 %r18, %t, "
                                                           "32;\n"
                                                           "mad.lo.s32 %r16, %r18, 4, %r16; "
                                                           "ld.shared.u32 %r17, [%r16]; add.s32 "
                                                           "%r0, %r0, %r17;\n"
                                                           "mbarrier.arrive.shared::cta.b64 _, "
                                                           "[%r14];\n"
                                                           "add.s32 %r10, %r10, 1; setp.lt.u32 "
                                                           "%p2, %r10, 15; @%p2 bra USE;\n"
                                                           "DONE:\n",
        1, 1, out);
    assert_string_equal(r.report, "");
    for (uint32_t t = 32; t < ASYNC_THREADS; t++) {
        uint32_t want = 0;
        for (uint32_t tile = 0; tile < 15; tile++)
            want += async_input(tile * 96 + t - 32);
        assert_int_equal(out[t], want);
    }
}

/* Block 0 loads for all four; then each hands its tile to the next one. */
static void copies_go_to_other_blocks(void **state)
{
    (void)state;
    static uint32_t out[4 * ASYNC_THREADS];
    kds_sim_result r = run_async(
        INIT(m0, "1") ONLY("mbarrier.init.shared::cta.b64 [m1], 1;") PLACE EXPECT(m0, "512") EXPECT(
            m1, "512") "barrier.cluster.arrive; barrier.cluster.wait;\n"
                       "mov.u32 %r9, %cluster_ctarank; setp.eq.and.u32 %p2, %r9, 0, %p9; mov.u16 "
                       "%h1, 15;\n"
                       "@%p2 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"
                       ".multicast::cluster [sm], [%i], 512, [m0], %h1;\n" AWAIT(
                           "W", m0, "0") "ld.shared.u32 %r3, [%r1]; add.s32 %r3, %r3, %r9; "
                                         "st.shared.u32 [%r1+1024], %r3;\n"
                                         "fence.proxy.async.shared::cta; bar.sync 0;\n"
                                         "add.s32 %r4, %r9, 1; and.b32 %r4, %r4, 3; mov.u32 %r5, "
                                         "sm; mov.u32 %r6, m1;\n"
                                         "add.s32 %r8, %r5, 1024; add.s32 %r5, %r5, 2048;\n"
                                         "mapa.shared::cluster.u32 %r5, %r5, %r4; "
                                         "mapa.shared::cluster.u32 %r6, %r6, %r4;\n"
                                         "@%p9 "
                                         "cp.async.bulk.shared::cluster.shared::cta.mbarrier::"
                                         "complete_tx::bytes [%r5], [%r8], "
                                         "512, [%r6];\n" AWAIT(
                                             "V", m1,
                                             "0") "ld.shared.u32 %r0, [%r1+2048]; "
                                                  "barrier.cluster.arrive; barrier.cluster.wait;\n",
        4, 4, out);
    assert_string_equal(r.report, "");
    for (uint32_t k = 0; k < 4 * ASYNC_THREADS; k++)
        assert_int_equal(out[k], async_input(k % 128) + (k / 128 + 3) % 4);
    assert_int_equal((int)r.counters[KDS_SIM_COUNTER_GLOBAL_LD_SECTORS], 16);
}

static void stores_at_another_block_are_awaited(void **state)
{
    (void)state;
    static uint32_t out[2 * ASYNC_THREADS];
    kds_sim_result r = run_async(
        INIT(m0, "1") PLACE EXPECT(
            m0, "2048") "barrier.cluster.arrive; barrier.cluster.wait;\n"
                        "mov.u32 %r9, %cluster_ctarank; xor.b32 %r10, %r9, 1; shl.b32 %r3, %t, 4;\n"
                        "mov.u32 %r4, sm; add.s32 %r4, %r4, %r3; mov.u32 %r5, m0;\n"
                        "mapa.shared::cluster.u32 %r6, %r4, %r10; mapa.shared::cluster.u32 %r7, "
                        "%r5, %r10;\n"
                        "add.s32 %r8, %t, %b;\n"
                        "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%r6], "
                        "{%r8, %t, %b, "
                        "%r10}, [%r7];\n" AWAIT(
                            "W", m0, "0") "ld.shared.v4.u32 {%r11, %r12, %r13, %r14}, [%r4]; "
                                          "mad.lo.s32 %r0, %r12, 1000, %r11;\n"
                                          "mad.lo.s32 %r0, %r13, 1000000, %r0; "
                                          "barrier.cluster.arrive; barrier.cluster.wait;\n",
        2, 2, out);
    assert_string_equal(r.report, "");
    for (uint32_t k = 0; k < 2 * ASYNC_THREADS; k++) {
        uint32_t t = k % 128, from = 1 - k / 128;
        assert_int_equal(out[k], from * 1000000 + t * 1000 + t + from);
    }
}

static void a_tile_goes_out(void **state)
{
    (void)state;
    static uint32_t out[4 * ASYNC_THREADS];
    kds_sim_result r = run_async(
        "setp.eq.u32 %p9, %t, 0;\n" PLACE "mul.lo.s32 %r3, %t, %t; st.shared.u32 [%r1], %r3;\n"
        "fence.proxy.async.shared::cta; bar.sync 0;\n" STORE("512") END_HERE,
        1, 1, out);
    assert_string_equal(r.report, "");
    for (uint32_t t = 0; t < ASYNC_THREADS; t++)
        assert_int_equal(out[t], t * t);
    assert_int_equal((int)r.counters[KDS_SIM_COUNTER_GLOBAL_ST_REQUESTS], 1);
    assert_int_equal((int)r.counters[KDS_SIM_COUNTER_GLOBAL_ST_SECTORS], 16);
    assert_int_equal((int)r.counters[KDS_SIM_COUNTER_UNIQUE_ST_SECTORS], 16);
    /* Four blocks add up at one place, and take the larger. */
    r = run_async(
        "setp.eq.u32 %p9, %t, 0;\n" PLACE "add.s32 %r3, %t, %b; st.shared.u32 [%r1], %r3;\n"
        "fence.proxy.async; bar.sync 0;\n"
        "@%p9 cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%o], [sm], 256;\n"
        "add.s64 %d1, %o, 256; mov.u32 %r4, sm; add.s32 %r4, %r4, 256;\n"
        "@%p9 cp.reduce.async.bulk.global.shared::cta.bulk_group.max.s32 [%d1], [%r4], "
        "256;\n@%p9 cp.async.bulk.commit_group;\n" END_HERE,
        4, 1, out);
    assert_string_equal(r.report, "");
    for (uint32_t t = 0; t < ASYNC_THREADS; t++)
        assert_int_equal(out[t], t < 64 ? 4 * t + 6 : t + 3);
    assert_int_equal((int)r.counters[KDS_SIM_COUNTER_GLOBAL_RED_SECTORS], 4 * 16);
}

#define FILLED "setp.eq.u32 %p9, %t, 0;\n" PLACE "st.shared.u32 [%r1], %t;\n"
#define FENCED "fence.proxy.async.shared::cta; bar.sync 0;\n"

static void misuse_of_bulk_copies_is_found(void **state)
{
    (void)state;
    static const async_case cases[] = {
        {INIT(m0, "1") EXPECT(m0, "24") LOAD("sm", "%i", "24", m0), KDS_SIM_MISALIGNED,
         "a bulk copy of 24 bytes: not a multiple of 16"},
        {INIT(m0, "1") LOAD("sm+8", "%i", "16", m0), KDS_SIM_MISALIGNED,
         "byte 8 of shared memory as the target of a copy: not a multiple of 16"},
        {INIT(m0, "1") "add.s64 %d1, %i, 4;" LOAD("sm", "%d1", "16", m0), KDS_SIM_MISALIGNED,
         "byte 4 of in"},
        {INIT(m0, "1") "add.s64 %d1, %i, 32752;" LOAD("sm", "%d1", "32", m0), KDS_SIM_OUT_OF_BOUNDS,
         "at byte 32752 of in (32768 bytes), 16 past its end"},
        {INIT(m0, "1") LOAD("sm+16368", "%i", "64", m0), KDS_SIM_OUT_OF_BOUNDS,
         "byte 16368 of shared memory"},
        {INIT(m0, "1") LOAD("sm", "%i", "64", m1), KDS_SIM_BARRIER, "it was never initialised"},
        /* Over the mbarrier itself. */
        {INIT(m0, "1") LOAD("m0", "%i", "16", m0), KDS_SIM_BARRIER, "where an mbarrier lives"},
        /* Nobody waited; or for the phase before; or not for all bytes. */
        {INIT(m0, "1") PLACE EXPECT(m0, "512")
             LOAD("sm", "%i", "512", m0) "bar.sync 0; ld.shared.u32 %r0, [%r1];",
         KDS_SIM_ASYNC, "by thread (0, 0, 0) may still write (bytes 0 to 511)"},
        {INIT(m0, "1") PLACE EXPECT(m0, "512") LOAD("sm", "%i", "512", m0) "bar.sync 0;\n" AWAIT(
             "W", m0, "1") "ld.shared.u32 %r0, [%r1];",
         KDS_SIM_ASYNC, "may still write (bytes 0 to 511)"},
        {INIT(m0, "1") PLACE ONLY("mbarrier.arrive.shared::cta.b64 _, [m0];")
             LOAD("sm", "%i", "512", m0) AWAIT("W", m0, "0") "ld.shared.u32 %r0, [%r1];",
         KDS_SIM_ASYNC, "may still write"},
        {INIT(m0, "1") EXPECT(m0, "1024") LOAD("sm", "%i", "512", m0) AWAIT("W", m0, "0"),
         KDS_SIM_DEADLOCK, "0 of 1 arrivals and 512 bytes of copies are missing"},
        {INIT(m0, "1") EXPECT(m0, "512") LOAD("sm", "%i", "512", m0)
             LOAD("sm+256", "%i", "512", m0),
         KDS_SIM_ASYNC, "may still write (bytes 0 to 511)"},
        {INIT(m0, "1") LOAD("sm", "%i", "512", m0) ONLY("mbarrier.inval.shared.b64 [m0];"),
         KDS_SIM_ASYNC, "at which 1 copies still have to arrive"},
        /* Out of shared memory. */
        {"setp.eq.u32 %p9, %t, 0;\n" STORE("512") END_HERE, KDS_SIM_UNINITIALISED,
         "reads 512 bytes"},
        {FILLED "bar.sync 0;\n" STORE("512") END_HERE, KDS_SIM_ASYNC,
         "copies byte 0 of shared memory, which warp 0 stored with no fence.proxy.async since"},
        {FILLED ONLY("fence.proxy.async;") "bar.sync 0;\n"
                                           "setp.eq.u32 %p9, %t, 64; @%p9 "
                                           "cp.async.bulk.global.shared::cta.bulk_group [%o], "
                                           "[sm], 512;\n" END_HERE,
         KDS_SIM_ASYNC, "with no fence.proxy.async since"},
        {FILLED FENCED "add.s64 %o, %o, 16;" STORE("512") END_HERE, KDS_SIM_OUT_OF_BOUNDS,
         "of out"},
        {FILLED FENCED "mov.u64 %o, %i;" STORE("512") END_HERE, KDS_SIM_WROTE_INPUT, "of in"},
        {FILLED FENCED STORE("512") "bar.sync 0; st.shared.u32 [%r1], %t; exit;", KDS_SIM_ASYNC,
         "by thread (0, 0, 0) may still read (bytes 0 to 511)"},
        {FILLED FENCED STORE("512") STORE("256") "@%p9 cp.async.bulk.wait_group.read 1; bar.sync 0;"
                                                 "st.shared.u32 [%r1], %t; exit;",
         KDS_SIM_ASYNC, "may still read (bytes 0 to 255)"},
        {FILLED FENCED "@%p9 cp.async.bulk.global.shared::cta.bulk_group [%o], [sm], 512;\n"
                       "@%p9 cp.async.bulk.wait_group.read 0; bar.sync 0; st.shared.u32 [%r1], %t;",
         KDS_SIM_ASYNC, "may still read"},
    };
    check_async(cases, COUNT(cases), 1, 1);
    static const async_case clustered[] = {
        {INIT(m0, "1") "mov.u16 %h1, 5;\n"
                       "@%p9 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"
                       ".multicast::cluster [sm], [%i], 512, [m0], %h1;\n",
         KDS_SIM_OUT_OF_BOUNDS, "a multicast to blocks 0x5 of a cluster of 2"},
        {INIT(m0, "1") "barrier.cluster.arrive; barrier.cluster.wait; mov.u32 %r1, sm;\n"
                       "mapa.shared::cluster.u32 %r2, %r1, 1; setp.eq.and.u32 %p2, %b, 0, %p9;\n"
                       "@%p2 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
                       "[%r2], [%i], 16, [m0];\n"
                       "barrier.cluster.arrive; barrier.cluster.wait;\n",
         KDS_SIM_BARRIER, "goes to block 1 of the cluster, but its mbarrier is in block 0"},
    };
    check_async(clustered, COUNT(clustered), 2, 2);
}

static void correct_bulk_copies_raise_no_alarm(void **state)
{
    (void)state;
    static const async_case cases[] = {
        /* The issuer fences after the block's barrier. */
        {FILLED "bar.sync 0; fence.proxy.async;\n" STORE("512") END_HERE, KDS_SIM_OK, ""},
        {FILLED "fence.proxy.async::generic.release.sync_restrict::shared::cta.cluster; bar.sync "
                "0;\n" STORE("512") END_HERE,
         KDS_SIM_OK, ""},
        /* Reading what a copy reads; writing after the wait. */
        {FILLED FENCED STORE("512") "ld.shared.u32 %r3, [%r1]; @%p9 cp.async.bulk.wait_group.read "
                                    "0; bar.sync 0; st.shared.u32 [%r1], %r3; exit;",
         KDS_SIM_OK, ""},
        {FILLED FENCED STORE("256") STORE("256") "@%p9 cp.async.bulk.wait_group.read 1;\n"
                                                 "bar.sync 0; st.shared.u32 [sm+256], %t; @%p9 "
                                                 "cp.async.bulk.wait_group.read 0;\n"
                                                 "bar.sync 0; st.shared.u32 [%r1], %t; exit;",
         KDS_SIM_OK, ""},
        /* What a bulk load brought may leave without a fence. */
        {INIT(m0, "1") EXPECT(m0, "512") LOAD("sm", "%i", "512", m0) AWAIT("W", m0, "0")
             STORE("512") END_HERE,
         KDS_SIM_OK, ""},
        /* A prefetch far outside, a copy of nothing, an end with copies under way. */
        {INIT(m0, "1") "cp.async.bulk.prefetch.L2.global [%i+1048576], 4096;\n" EXPECT(m0, "512")
             LOAD("sm", "%i", "0", m0) LOAD("sm", "%i", "512", m0),
         KDS_SIM_OK, ""},
        /* With a cache policy. */
        {INIT(m0, "1") "createpolicy.fractional.L2::evict_first.b64 %d1, 1.0;\n" PLACE EXPECT(
             m0, "512") "@%p9 "
                        "cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes.L2::cache_"
                        "hint [sm], "
                        "[%i], 512, [m0], %d1;\n" AWAIT("W", m0, "0") "ld.shared.u32 %r0, [%r1];",
         KDS_SIM_OK, ""},
    };
    check_async(cases, COUNT(cases), 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tile_comes_in),
        cmocka_unit_test(a_pipeline_of_bulk_loads),
        cmocka_unit_test(copies_go_to_other_blocks),
        cmocka_unit_test(stores_at_another_block_are_awaited),
        cmocka_unit_test(a_tile_goes_out),
        cmocka_unit_test(misuse_of_bulk_copies_is_found),
        cmocka_unit_test(correct_bulk_copies_raise_no_alarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
