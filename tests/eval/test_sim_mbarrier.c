/* mbarriers: phases by parity and by token, counts, transactions, producers and consumers, and
 * what is wrong with one. */
#include "tests/eval/async_test.h"

#define FIRST(text) "setp.eq.u32 %p9, %t, 0; @%p9 " text "\n"
#define INIT(name, count) FIRST("mbarrier.init.shared::cta.b64 [" #name "], " count ";")
#define SYNC "bar.sync 0;\n"
#define PLACE "mov.u32 %r1, sm; shl.b32 %r2, %t, 2; add.s32 %r1, %r1, %r2;\n"
#define MIRROR "mov.u32 %r3, sm; sub.s32 %r3, %r3, %r2; add.s32 %r3, %r3, 508;\n"

/* A barrier of the block, many times over: every thread reads what its mirror wrote. */
#define ROUNDS(wait)                                                                               \
    INIT(m0, "128")                                                                                \
    PLACE MIRROR SYNC                                                                              \
        "mov.u32 %r10, 0;\n"                                                                       \
        "LOOP: mad.lo.s32 %r11, %r10, 1000, %t; and.b32 %r12, %r10, 1;\n"                          \
        "mad.lo.s32 %r13, %r12, 512, %r1; mad.lo.s32 %r14, %r12, 512, %r3;\n"                      \
        "st.shared.u32 [%r13], %r11;\n"                                                            \
        "mbarrier.arrive.release.cta.shared::cta.b64 %d1, [m0];\n" wait                            \
        "ld.shared.u32 %r15, [%r14]; add.s32 %r0, %r0, %r15; add.s32 %r10, %r10, 1;\n"             \
        "setp.lt.u32 %p1, %r10, 9; @%p1 bra LOOP;\n"

static void phases_follow_each_other(void **state)
{
    (void)state;
    static uint32_t out[2 * ASYNC_THREADS];
    static const char *const bodies[] = {
        ROUNDS("W: mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 %p2, [m0], %r12, 100;\n"
               "@!%p2 bra W;\n"),
        ROUNDS("W: mbarrier.test_wait.shared.b64 %p2, [m0], %d1; @%p2 bra D; bra W; D:\n"),
        ROUNDS("W: mbarrier.try_wait.relaxed.cluster.shared::cta.b64 %p2, [m0], %d1;\n"
               "@%p2 bra.uni D; nanosleep.u32 20; bra.uni W; D:\n"),
        /* Lanes in turn, each by itself. */
        ROUNDS("and.b32 %r20, %t, 3; setp.eq.u32 %p3, %r20, 1; @%p3 bra V;\n"
               "W: mbarrier.test_wait.shared.b64 %p2, [m0], %d1; @!%p2 bra W; bra D;\n"
               "V: mbarrier.try_wait.shared.b64 %p2, [m0], %d1; @!%p2 bra V; D:\n"),
    };
    for (size_t k = 0; k < COUNT(bodies); k++) {
        kds_sim_result r = run_async(bodies[k], 2, 1, out);
        assert_string_equal(r.report, "");
        for (uint32_t t = 0; t < 2 * ASYNC_THREADS; t++)
            assert_int_equal(out[t], 9 * (127 - t % 128) + 36000);
    }
}

/* Warp 0 fills two buffers, the others use them: full and empty barriers over eleven tiles. */
static void a_producer_and_consumers_take_turns(void **state)
{
    (void)state;
    static uint32_t out[ASYNC_THREADS];
    kds_sim_result r = run_async(
        "mov.u32 %r30, m0; mov.u32 %r31, m2;\n" /* full: m0, m1; empty: m2, m3 */
        INIT(m0, "32") INIT(m1, "32") INIT(m2, "96") INIT(m3, "96") SYNC
        "mov.u32 %r10, 0; setp.eq.u32 %p1, %w, 0; @!%p1 bra USE;\n"
        "MAKE: and.b32 %r11, %r10, 1; shr.u32 %r12, %r10, 1; and.b32 %r12, %r12, 1;\n"
        "xor.b32 %r13, %r12, 1; mad.lo.s32 %r14, %r11, 8, %r31; mad.lo.s32 %r15, %r11, 8, %r30;\n"
        "E: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r14], %r13; @!%p2 bra E;\n"
        "mov.u32 %r16, sm; mad.lo.s32 %r16, %r11, 128, %r16; mad.lo.s32 %r16, %t, 4, %r16;\n"
        "mad.lo.s32 %r17, %r10, 100, %t; st.shared.u32 [%r16], %r17;\n"
        "mbarrier.arrive.shared::cta.b64 _, [%r15];\n"
        "add.s32 %r10, %r10, 1; setp.lt.u32 %p2, %r10, 11; @%p2 bra MAKE; bra DONE;\n"
        "USE: and.b32 %r11, %r10, 1; shr.u32 %r12, %r10, 1; and.b32 %r12, %r12, 1;\n"
        "mad.lo.s32 %r14, %r11, 8, %r31; mad.lo.s32 %r15, %r11, 8, %r30;\n"
        "F: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r15], %r12; @!%p2 bra F;\n"
        "mov.u32 %r16, sm; mad.lo.s32 %r16, %r11, 128, %r16; and.b32 %r18, %t, 31;\n"
        "mad.lo.s32 %r16, %r18, 4, %r16; ld.shared.u32 %r17, [%r16]; add.s32 %r0, %r0, %r17;\n"
        "mbarrier.arrive.shared::cta.b64 _, [%r14];\n"
        "add.s32 %r10, %r10, 1; setp.lt.u32 %p2, %r10, 11; @%p2 bra USE;\n"
        "DONE:\n",
        1, 1, out);
    assert_string_equal(r.report, "");
    for (uint32_t t = 0; t < ASYNC_THREADS; t++)
        assert_int_equal(out[t], t < 32 ? 0 : 11 * (t % 32) + 5500);
}

static void counts_and_tokens(void **state)
{
    (void)state;
    static uint32_t out[ASYNC_THREADS];
    /* A phase of 7: 2 at once, 1 dropped, 4 without completing is one too many, so 3, then 1. */
    kds_sim_result r = run_async(
        INIT(m0, "7") SYNC
        "setp.ne.u32 %p1, %t, 0; @%p1 bra END;\n"
        "mbarrier.arrive.shared::cta.b64 %d1, [m0], 2;\n"
        "mbarrier.arrive_drop.shared::cta.b64 %d2, [m0];\n"
        "mbarrier.arrive.noComplete.release.cta.shared::cta.b64 %d3, [m0], 3;\n"
        "mbarrier.test_wait.shared::cta.b64 %p2, [m0], %d1; selp.u32 %r1, 1, 0, %p2;\n"
        "mbarrier.arrive.shared::cta.b64 %d4, [m0];\n"
        "mbarrier.test_wait.shared::cta.b64 %p2, [m0], %d1; selp.u32 %r2, 10, 0, %p2;\n"
        "mbarrier.arrive.shared::cta.b64 %d5, [m0], 6;\n" /* the next phase expects 6 */
        "mbarrier.test_wait.parity.shared::cta.b64 %p2, [m0], 1; selp.u32 %r3, 100, 0, %p2;\n"
        "mbarrier.pending_count.b64 %r4, %d1; mbarrier.pending_count.b64 %r5, %d4;\n"
        "mbarrier.pending_count.b64 %r6, %d5;\n"
        "mad.lo.s32 %r0, %r4, 1000, %r1; add.s32 %r0, %r0, %r2; add.s32 %r0, %r0, %r3;\n"
        "mad.lo.s32 %r0, %r5, 10000, %r0; mad.lo.s32 %r0, %r6, 100000, %r0;\n"
        "mbarrier.inval.shared.b64 [m0]; mbarrier.init.shared.b64 [m0], 1;\n"
        "mbarrier.inval.shared.b64 [m0]; st.shared.u64 [m0], %d1; END:\n",
        1, 1, out);
    assert_string_equal(r.report, "");
    assert_int_equal(out[0], 617110);
}

/* Bytes that are announced and reported by hand. */
static void transactions_hold_a_phase(void **state)
{
    (void)state;
    static uint32_t out[ASYNC_THREADS];
    kds_sim_result r =
        run_async(INIT(m0, "1") SYNC
                  "setp.ne.u32 %p1, %t, 0; @%p1 bra END;\n"
                  "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [m0], 64;\n"
                  "mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 %d1, [m0], 36;\n"
                  "mbarrier.test_wait.shared::cta.b64 %p2, [m0], %d1; selp.u32 %r1, 1, 0, %p2;\n"
                  "mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [m0], 99;\n"
                  "mbarrier.test_wait.shared::cta.b64 %p2, [m0], %d1; selp.u32 %r2, 10, 0, %p2;\n"
                  "mbarrier.complete_tx.shared::cta.b64 [m0], 1;\n"
                  "mbarrier.test_wait.shared::cta.b64 %p2, [m0], %d1; selp.u32 %r3, 100, 0, %p2;\n"
                  "add.s32 %r0, %r1, %r2; add.s32 %r0, %r0, %r3; END:\n",
                  1, 1, out);
    assert_string_equal(r.report, "");
    assert_int_equal(out[0], 100);
}

#define ONE "setp.ne.u32 %p1, %t, 0; @%p1 bra END;\n"
static void misuse_is_named(void **state)
{
    (void)state;
    static const async_case cases[] = {
        {"mbarrier.arrive.shared::cta.b64 %d1, [m0];", KDS_SIM_BARRIER,
         "there is no mbarrier at byte 16384 of shared memory: it was never initialised"},
        {INIT(m0, "1") SYNC ONE "mbarrier.inval.shared.b64 [m0];\n"
                                "mbarrier.test_wait.parity.shared.b64 %p2, [m0], 0; END:",
         KDS_SIM_BARRIER, "it was invalidated"},
        {INIT(m0, "0"), KDS_SIM_BARRIER, "an mbarrier of 0 arrivals: not 1 to 1048575"},
        {INIT(m0, "1048576"), KDS_SIM_BARRIER, "an mbarrier of 1048576 arrivals"},
        {INIT(m0, "1048575"), KDS_SIM_OK, ""},
        {"mbarrier.init.shared.b64 [m0], 4;", KDS_SIM_BARRIER,
         "initialises the mbarrier at byte "
         "16384 again, which lives since"},
        {FIRST("mbarrier.init.shared.b64 [sm+4], 1;"), KDS_SIM_MISALIGNED, "byte 4"},
        {FIRST("mbarrier.init.shared.b64 [sm+65536], 1;"), KDS_SIM_OUT_OF_BOUNDS, "byte 65536"},
        {INIT(m0, "2") SYNC ONE "mbarrier.arrive.shared.b64 %d1, [m0], 3; END:", KDS_SIM_BARRIER,
         "arrives 3 times at the mbarrier at byte 16384, but its phase 0 expects only 2 more of 2"},
        {INIT(m0, "1") SYNC ONE "mbarrier.arrive.expect_tx.shared::cta.b64 %d1, [m0], 16;\n"
                                "mbarrier.arrive.shared.b64 %d1, [m0]; END:",
         KDS_SIM_BARRIER, "expects only 0 more of 1"},
        {INIT(m0, "2") SYNC ONE "mbarrier.arrive.noComplete.shared.b64 %d1, [m0], 2; END:",
         KDS_SIM_BARRIER, "in spite of .noComplete"},
        {INIT(m0, "2") SYNC ONE "mbarrier.arrive.shared.b64 %d1, [m0], 0; END:", KDS_SIM_BARRIER,
         "0 arrivals"},
        {INIT(m0, "1") SYNC ONE "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [m0], 1048575;\n"
                                "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [m0], 1; END:",
         KDS_SIM_BARRIER, "would have 1048576 bytes to come"},
        {INIT(m0, "1") SYNC ONE "mbarrier.arrive.shared.b64 %d1, [m0];\n"
                                "mbarrier.arrive.shared.b64 %d2, [m0];\n"
                                "mbarrier.test_wait.shared.b64 %p2, [m0], %d1; END:",
         KDS_SIM_BARRIER, "asks for phase 0 of the mbarrier at byte 16384, which is in phase 2"},
        {INIT(m0, "1") SYNC "mbarrier.test_wait.parity.shared.b64 %p2, [m0], 2;", KDS_SIM_BARRIER,
         "phase parity 2"},
        /* Ordinary accesses to a living object. */
        {INIT(m0, "1") SYNC "ld.shared.u32 %r0, [m0+4];", KDS_SIM_BARRIER,
         "reads 4 bytes at byte 16388 of shared memory, where an mbarrier lives (initialised at"},
        {INIT(m0, "1") SYNC "st.shared.u8 [m0], %r0;", KDS_SIM_BARRIER, "writes 1 bytes"},
        {INIT(m0, "1") SYNC "atom.shared.exch.b64 %d1, [m0], 0;", KDS_SIM_BARRIER, "atom.shared"},
        {INIT(m0, "1") SYNC "cp.async.ca.shared.global [m0], [%i], 8;", KDS_SIM_BARRIER,
         "mbarrier"},
        /* After it there is nothing to be read. */
        {INIT(m0, "1") SYNC ONE "mbarrier.inval.shared.b64 [m0]; ld.shared.u32 %r0, [m0]; END:",
         KDS_SIM_UNINITIALISED, "byte 16384"},
        {"mbarrier.arrive.b64 %d1, [%i];", KDS_SIM_OUT_OF_BOUNDS, "is no address of shared memory"},
    };
    check_async(cases, COUNT(cases), 1, 1);
}

static void waiting_for_ever_says_what_is_missing(void **state)
{
    (void)state;
    static const async_case cases[] = {
        {INIT(m0, "129") SYNC "mbarrier.arrive.shared.b64 %d1, [m0];\n"
                              "W: mbarrier.try_wait.shared.b64 %p1, [m0], %d1; @!%p1 bra W;",
         KDS_SIM_DEADLOCK,
         "waits for ever for phase 0 of the mbarrier at byte 16384 of shared memory: 1 of 129 "
         "arrivals and 0 bytes of copies are missing"},
        {INIT(m0, "1") SYNC FIRST(
             "mbarrier.arrive.expect_tx.shared::cta.b64 %d1, [m0], 4096;") "W: "
                                                                           "mbarrier.test_wait."
                                                                           "parity.shared.b64 %p1, "
                                                                           "[m0], 0; @!%p1 bra W;",
         KDS_SIM_DEADLOCK, "0 of 1 arrivals and 4096 bytes of copies are missing"},
        /* One lane waits, the rest of its warp has gone on to a barrier. */
        {INIT(m0, "2") SYNC "setp.ne.u32 %p1, %t, 40; @%p1 bra ON;\n"
                            "W: mbarrier.test_wait.parity.shared.b64 %p1, [m0], 0; @!%p1 bra W;\n"
                            "ON: bar.sync 0;",
         KDS_SIM_DEADLOCK, "2 of 2 arrivals"},
    };
    check_async(cases, COUNT(cases), 2, 1);
}

/* Every block of the cluster arrives at the barrier of each of them. */
static void blocks_of_a_cluster_arrive_at_each_other(void **state)
{
    (void)state;
    static uint32_t out[8 * ASYNC_THREADS];
    kds_sim_result r = run_async(
        INIT(
            m0,
            "4") "fence.mbarrier_init.release.cluster;\n"
                 "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;\n"
                 "mov.u32 %r1, m0; mov.u32 %r2, sm; setp.ge.u32 %p1, %t, 4; @%p1 bra WAIT;\n"
                 "mapa.shared::cluster.u32 %r3, %r1, %t; mapa.shared::cluster.u32 %r4, %r2, %t;\n"
                 "mov.u32 %r5, %cluster_ctarank; mad.lo.s32 %r4, %r5, 4, %r4; add.s32 %r6, %b, 1;\n"
                 "st.shared::cluster.u32 [%r4], %r6;\n"
                 "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r3];\n"
                 "WAIT: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p2, [m0], 0;\n"
                 "@!%p2 bra WAIT;\n"
                 "ld.shared.v4.u32 {%r7, %r8, %r9, %r10}, [sm]; add.s32 %r0, %r7, %r8;\n"
                 "mad.lo.s32 %r0, %r9, 100, %r0; mad.lo.s32 %r0, %r10, 1000, %r0;\n"
                 "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;\n",
        8, 4, out);
    assert_string_equal(r.report, "");
    for (uint32_t k = 0; k < 8 * ASYNC_THREADS; k++) {
        uint32_t first = k / ASYNC_THREADS / 4 * 4;
        assert_int_equal(out[k], 2 * first + 3 + 100 * (first + 3) + 1000 * (first + 4));
    }
    static const async_case cases[] = {
        {INIT(m0, "4") "barrier.cluster.arrive; barrier.cluster.wait; mov.u64 %d1, m0;\n"
                       "cvta.shared.u64 %d1, %d1; mapa.u64 %d2, %d1, 1; setp.ne.u32 %p1, %b, 0;\n"
                       "@!%p1 mbarrier.test_wait.parity.b64 %p2, [%d2], 0;\n",
         KDS_SIM_BARRIER, "in the shared memory of block 1 of the cluster"},
        {INIT(m0, "4") "barrier.cluster.arrive; barrier.cluster.wait; mov.u32 %r1, m0;\n"
                       "setp.ne.u32 %p1, %b, 0; @%p1 exit;\n"
                       "W: mbarrier.test_wait.parity.shared.b64 %p2, [m0], 0; @!%p2 bra W;\n",
         KDS_SIM_DEADLOCK, "4 of 4 arrivals"},
    };
    check_async(cases, COUNT(cases), 2, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_follow_each_other),
        cmocka_unit_test(a_producer_and_consumers_take_turns),
        cmocka_unit_test(counts_and_tokens),
        cmocka_unit_test(transactions_hold_a_phase),
        cmocka_unit_test(misuse_is_named),
        cmocka_unit_test(waiting_for_ever_says_what_is_missing),
        cmocka_unit_test(blocks_of_a_cluster_arrive_at_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
