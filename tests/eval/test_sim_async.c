/* cp.async: groups of each thread, waits that are missing or too weak, zero fill, and the arrival
 * of copies at an mbarrier. */
#include "tests/eval/async_test.h"

/* %r1: the thread's place in sm; %d1: its place in the input. */
#define PLACES                                                                                     \
    "mov.u32 %r1, sm; shl.b32 %r2, %t, 2; add.s32 %r1, %r1, %r2;\n"                                \
    "mul.wide.u32 %d1, %t, 4; add.s64 %d1, %i, %d1;\n"
/* %r3: the place of the thread at the other end. */
#define MIRROR "mov.u32 %r3, sm; sub.s32 %r3, %r3, %r2; add.s32 %r3, %r3, 508;\n"
#define COPY(stage) "cp.async.ca.shared.global [%r1+" #stage "], [%d1+" #stage "], 4;\n"

/* A pipeline of three stages over twelve tiles; each thread sums what its mirror copied. */
#define PIPELINE(left)                                                                             \
    PLACES MIRROR "cp.async.ca.shared.global [%r1], [%d1], 4; cp.async.commit_group;\n"            \
                  "cp.async.ca.shared.global [%r1+512], [%d1+512], 4; cp.async.commit_group;\n"    \
                  "mov.u32 %r10, 0; mov.u32 %r11, 2;\n"                                            \
                  "LOOP: cp.async.wait_group " left "; bar.sync 0;\n"                              \
                  "setp.ge.u32 %p1, %r11, 12; @%p1 bra FULL;\n"                                    \
                  "rem.u32 %r12, %r11, 3; mad.lo.s32 %r13, %r12, 512, %r1;\n"                      \
                  "mul.wide.u32 %d2, %r11, 512; add.s64 %d2, %d1, %d2;\n"                          \
                  "cp.async.ca.shared.global [%r13], [%d2], 4;\n"                                  \
                  "FULL: cp.async.commit_group;\n"                                                 \
                  "rem.u32 %r12, %r10, 3; mad.lo.s32 %r13, %r12, 512, %r3;\n"                      \
                  "ld.shared.u32 %r14, [%r13]; add.s32 %r0, %r0, %r14;\n"                          \
                  "add.s32 %r10, %r10, 1; add.s32 %r11, %r11, 1;\n"                                \
                  "setp.lt.u32 %p1, %r10, 12; @%p1 bra LOOP;\n"

static void a_pipeline_gives_right_sums(void **state)
{
    (void)state;
    static uint32_t out[2 * ASYNC_THREADS];
    kds_sim_result r = run_async(PIPELINE("1"), 2, 1, out);
    assert_string_equal(r.report, "");
    for (uint32_t t = 0; t < 2 * ASYNC_THREADS; t++) {
        uint32_t want = 0;
        for (uint32_t tile = 0; tile < 12; tile++)
            want += async_input(tile * 128 + 127 - t % 128);
        assert_int_equal(out[t], want);
    }
    /* 12 tiles of 512 bytes and 4 warps, twice; the second block reads the same sectors. */
    assert_int_equal((int)r.counters[KDS_SIM_COUNTER_GLOBAL_LD_REQUESTS], 2 * 12 * 4);
    assert_int_equal((int)r.counters[KDS_SIM_COUNTER_GLOBAL_LD_SECTORS], 2 * 12 * 16);
    assert_int_equal((int)r.counters[KDS_SIM_COUNTER_UNIQUE_LD_SECTORS], 12 * 16);
    assert_int_equal((int)r.counters[KDS_SIM_COUNTER_SHARED_ST_WAVEFRONTS], 2 * 12 * 4);
}

/* One group more left pending than the stages allow: the classic mistake. */
static void waiting_for_one_group_too_few_is_found(void **state)
{
    (void)state;
    kds_sim_result r = run_async(PIPELINE("2"), 1, 1, NULL);
    assert_int_equal(r.status, KDS_SIM_ASYNC);
    assert_non_null(strstr(r.report, "missing wait for an asynchronous copy: kernel k"));
    assert_non_null(strstr(r.report, "ld.shared.u32"));
    assert_non_null(strstr(r.report, "by thread (31, 0, 0) may still write (bytes 124 to 127)"));
}

static void copies_that_are_touched_too_early_are_found(void **state)
{
    (void)state;
    static const async_case cases[] = {
        /* Own and other threads' bytes, read and written. */
        {PLACES COPY(0) "cp.async.commit_group; ld.shared.u32 %r0, [%r1];", KDS_SIM_ASYNC,
         "reads 4 bytes at byte 0 of shared memory"},
        {PLACES COPY(0) "st.shared.u8 [%r1+3], %r2;", KDS_SIM_ASYNC, "writes 1 bytes at byte 3"},
        {PLACES COPY(0) "cp.async.commit_group; bar.sync 0;\n" MIRROR "ld.shared.u32 %r0, [%r3];",
         KDS_SIM_ASYNC, "by thread (31, 0, 0) may still write (bytes 124 to 127)"},
        {PLACES "setp.lt.u32 %p1, %t, 32; @%p1 cp.async.ca.shared.global [%r1], "
                "[%d1], 4; @%p1 cp.async.commit_group; @!%p1 cp.async.wait_all; bar.sync 0;\n"
                "ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [sm+64];",
         KDS_SIM_ASYNC, "thread (16, 0, 0)"},
        /* Atomics, generic accesses, another copy. */
        {PLACES COPY(0) "atom.shared.add.u32 %r0, [sm+8], 1;", KDS_SIM_ASYNC, "atom.shared"},
        {PLACES COPY(0) "mov.u64 %d2, sm; cvta.shared.u64 %d2, %d2; "
                        "ld.u32 %r0, [%d2];",
         KDS_SIM_ASYNC, "ld.u32"},
        {PLACES COPY(0) "cp.async.ca.shared.global [%r1], [%d1+512], 4;", KDS_SIM_ASYNC,
         "cp.async.ca.shared.global"},
        /* Waits that do not cover it. */
        {PLACES COPY(0) "cp.async.wait_group 0; ld.shared.u32 %r0, [%r1];", KDS_SIM_ASYNC,
         "byte 0"},
        {PLACES COPY(0) "cp.async.commit_group;" COPY(
             512) "cp.async.commit_group; "
                  "cp.async.wait_group 1; ld.shared.u32 %r0, [%r1]; ld.shared.u32 %r0, [%r1+512];",
         KDS_SIM_ASYNC, "byte 512"},
        {PLACES COPY(0) "cp.async.commit_group; cp.async.commit_group; cp.async.wait_group 2;\n"
                        "ld.shared.u32 %r0, [%r1];",
         KDS_SIM_ASYNC, "byte 0"},
        {PLACES "setp.eq.u32 %p1, %t, 5;" COPY(
             0) "cp.async.commit_group;\n"
                "@!%p1 cp.async.wait_group 0; @!%p1 ld.shared.u32 %r0, [%r1]; bar.sync 0;\n"
                "ld.shared.u32 %r0, [sm+20];",
         KDS_SIM_ASYNC, "thread (5, 0, 0)"},
        /* Zero fill is a write like any other. */
        {PLACES "cp.async.ca.shared.global [%r1], [%d1], 4, 0; ld.shared.u32 %r0, [%r1];",
         KDS_SIM_ASYNC, "byte 0"},
    };
    check_async(cases, COUNT(cases), 1, 1);
}

static void correct_waits_raise_no_alarm(void **state)
{
    (void)state;
    static const async_case cases[] = {
        {PLACES COPY(0) "cp.async.wait_all; ld.shared.u32 %r0, [%r1];", KDS_SIM_OK, ""},
        {PLACES COPY(0) "cp.async.commit_group; cp.async.wait_group 0; bar.sync 0;\n" MIRROR
                        "ld.shared.u32 %r0, [%r3];",
         KDS_SIM_OK, ""},
        {PLACES COPY(0) "cp.async.commit_group;" COPY(
             512) "cp.async.commit_group; "
                  "cp.async.wait_group 1; ld.shared.u32 %r0, [%r1];",
         KDS_SIM_OK, ""},
        {PLACES COPY(0) "cp.async.commit_group; cp.async.commit_group; cp.async.wait_group 1;\n"
                        "ld.shared.u32 %r0, [%r1];",
         KDS_SIM_OK, ""},
        /* What a copy does not write is free meanwhile; ending with copies under way is allowed. */
        {PLACES COPY(0) "st.shared.u32 [%r1+512], %t; ld.shared.u32 %r0, [%r1+512];", KDS_SIM_OK,
         ""},
        {PLACES COPY(0) COPY(512) "cp.async.commit_group;", KDS_SIM_OK, ""},
        /* Every thread copies the same bytes to the same place. */
        {"cp.async.ca.shared.global [sm], [%i], 16; cp.async.wait_all; bar.sync 0;\n"
         "ld.shared.u32 %r0, [sm+12];",
         KDS_SIM_OK, ""},
    };
    check_async(cases, COUNT(cases), 2, 1);
}

static void bytes_beyond_the_source_size_are_zero(void **state)
{
    (void)state;
    static uint32_t out[ASYNC_THREADS];
    kds_sim_result r = run_async(
        "shl.b32 %r1, %t, 4; mov.u32 %r2, sm; add.s32 %r2, %r2, %r1; mul.wide.u32 %d1, %t, 16;\n"
        "add.s64 %d1, %i, %d1; and.b32 %r3, %t, 15; setp.eq.u32 %p1, %r3, 9;\n"
        "cp.async.cg.shared.global [%r2], [%d1], 16, %r3; cp.async.wait_all;\n"
        "ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [%r2];\n"
        "@%p1 cp.async.cg.shared.global.L2::128B [%r2], [%d1], 16, %p1; cp.async.wait_all;\n"
        "@%p1 ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [%r2];\n"
        "add.s32 %r0, %r4, %r5; add.s32 %r0, %r0, %r6; add.s32 %r0, %r0, %r7;",
        1, 1, out);
    assert_string_equal(r.report, "");
    for (uint32_t t = 0; t < ASYNC_THREADS; t++) {
        uint32_t words[4], left[4] = {0};
        for (uint32_t k = 0; k < 4; k++)
            words[k] = async_input(t * 4 + k);
        memcpy(left, words, t % 16 == 9 ? 0 : t % 16);
        assert_int_equal(out[t], left[0] + left[1] + left[2] + left[3]);
    }
}

#define INIT(count)                                                                                \
    "setp.eq.u32 %p9, %t, 0; @%p9 mbarrier.init.shared::cta.b64 [m0], " count "; bar.sync 0;\n"
#define AWAIT_0 "W: mbarrier.test_wait.parity.shared::cta.b64 %p1, [m0], 0; @!%p1 bra W;\n"

/* Copies tied to an mbarrier: by its own count, or by raising the count for a moment. */
static void copies_arrive_at_an_mbarrier(void **state)
{
    (void)state;
    static uint32_t out[ASYNC_THREADS];
    static const char *const bodies[] = {
        INIT("128")
            PLACES COPY(0) "cp.async.mbarrier.arrive.noinc.shared::cta.b64 [m0];\n" AWAIT_0 MIRROR
                           "ld.shared.u32 %r0, [%r3];",
        INIT("128") PLACES COPY(0) "cp.async.mbarrier.arrive.shared.b64 [m0];\n"
                                   "mbarrier.arrive.shared.b64 %d5, [m0];\n" AWAIT_0 MIRROR
                                   "ld.shared.u32 %r0, [%r3];",
        /* By a generic address, with the token of the arrival. */
        INIT("128") PLACES COPY(0) "mov.u64 %d6, m0; cvta.shared.u64 %d6, %d6;\n"
                                   "cp.async.mbarrier.arrive.b64 [%d6];\n"
                                   "mbarrier.arrive.b64 %d5, [%d6];\n"
                                   "W: mbarrier.try_wait.b64 %p1, [%d6], %d5, 1000;\n"
                                   "@!%p1 bra W;\n" MIRROR "ld.shared.u32 %r0, [%r3];",
    };
    for (size_t k = 0; k < COUNT(bodies); k++) {
        kds_sim_result r = run_async(bodies[k], 1, 1, out);
        assert_string_equal(r.report, "");
        for (uint32_t t = 0; t < ASYNC_THREADS; t++)
            assert_int_equal(out[t], async_input(127 - t));
    }
    static const async_case cases[] = {
        /* An arrival that is not tied to the copies does not wait for them. */
        {INIT("128") PLACES COPY(0) "mbarrier.arrive.shared.b64 %d5, [m0];\n" AWAIT_0 MIRROR
                                    "ld.shared.u32 %r0, [%r3];",
         KDS_SIM_ASYNC, "may still write"},
        /* Nor does one that comes before the copy. */
        {INIT("128") PLACES "cp.async.mbarrier.arrive.noinc.shared.b64 [m0];\n" COPY(0)
             AWAIT_0 MIRROR "ld.shared.u32 %r0, [%r3];",
         KDS_SIM_ASYNC, "may still write"},
        /* Nobody has looked at the mbarrier. */
        {INIT("128") PLACES COPY(0) "cp.async.mbarrier.arrive.noinc.shared.b64 [m0]; bar.sync 0;\n"
                                    "ld.shared.u32 %r0, [%r1];",
         KDS_SIM_ASYNC, "may still write"},
    };
    check_async(cases, COUNT(cases), 1, 1);
}

/* Waiting costs what the copies take; a wait that comes after other work costs the rest of it. */
static void a_wait_takes_the_latency_of_the_copies(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        PLACES COPY(0) "cp.async.wait_all;",
        PLACES COPY(0) "cp.async.commit_group; cp.async.wait_group 1;",
        INIT("128") PLACES COPY(0) "cp.async.mbarrier.arrive.noinc.shared.b64 [m0];\n" AWAIT_0,
    };
    double cycles[COUNT(bodies)];
    for (size_t k = 0; k < COUNT(bodies); k++) {
        static char text[8192];
        snprintf(text, sizeof text,
                 HEADER ".visible .entry k(.param .u64 in)\n{\n.reg .pred %%p<10>; .reg .b32 "
                        "%%r<9>, %%t; .reg .b64 %%d<9>, %%i; .shared .align 16 .b8 sm[1024]; "
                        ".shared .align 8 .b64 m0;\n"
                        "ld.param.u64 %%i, [in]; mov.u32 %%t, %%tid.x;\n%s\nret;\n}\n",
                 bodies[k]);
        kds_sim_module *m = load(text);
        kds_sim_memory *memory = kds_sim_memory_create();
        kds_sim_latency latency = {.alu = 4, .shared = 30, .global_dram = 700, .barrier = 20};
        kds_sim_options o = {.latency = &latency};
        uint64_t in = add_buffer(memory, "in", 4096, KDS_SIM_DEFINED, true);
        kds_sim_result r = launch(m, "k", 1, ASYNC_THREADS, 0, &in, 8, memory, &o);
        assert_string_equal(r.report, "");
        cycles[k] = r.trace_cycles;
        kds_sim_memory_free(memory);
        kds_sim_module_free(m);
    }
    assert_true(cycles[0] > 700 && cycles[0] < 760);
    assert_true(cycles[1] < 60);
    assert_true(cycles[2] > 700 && cycles[2] < 820);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipeline_gives_right_sums),
        cmocka_unit_test(waiting_for_one_group_too_few_is_found),
        cmocka_unit_test(copies_that_are_touched_too_early_are_found),
        cmocka_unit_test(correct_waits_raise_no_alarm),
        cmocka_unit_test(bytes_beyond_the_source_size_are_zero),
        cmocka_unit_test(copies_arrive_at_an_mbarrier),
        cmocka_unit_test(a_wait_takes_the_latency_of_the_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
