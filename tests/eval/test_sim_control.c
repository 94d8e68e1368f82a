/* Control flow of the simulator: lanes that part and meet again, barriers, exchanges across the
 * warp, atomics, and threads that wait for each other. */
#include "tests/eval/sim_test.h"

/* A kernel that stores one word per thread of a block of `threads`; `body` leaves it in %r0 and has
 * %t = tid.x, %p, %q, %r, %d at hand and the dynamic shared memory `sm`. */
static void run_block(const char *body, uint32_t threads, uint32_t *out, const char *isa,
                      kds_sim_result *result)
{
    static char text[16384];
    snprintf(text, sizeof text,
             HEADER
             ".extern .shared .align 16 .b8 sm[];\n.visible .entry k(.param .u64 out)\n{\n"
             ".reg .pred %%p<10>; .reg .b32 %%r<20>; .reg .b64 %%d<10>; .reg .b32 %%t, %%s;\n"
             ".reg .b64 %%o, %%x; .reg .f32 %%f<10>;\n"
             "ld.param.u64 %%o, [out]; mov.u32 %%t, %%tid.x; mov.u32 %%r0, 0; mov.u32 %%s, sm;\n"
             "%s\n"
             "STORE: mul.wide.u32 %%x, %%t, 4; add.s64 %%o, %%o, %%x; st.global.u32 [%%o], %%r0;\n"
             "ret;\n}\n",
             body);
    kds_sim_module *m = load(text);
    const char *missing = kds_sim_module_missing(m, "k");
    if (missing != NULL)
        fail_msg("%s", missing);
    kds_sim_memory *memory = kds_sim_memory_create();
    uint64_t address = add_buffer(memory, "out", threads * 4, KDS_SIM_DEFINED, false);
    kds_sim_options o = {.check_uninitialised = true, .isa = isa, .budget = 50000000};
    *result = launch(m, "k", 1, threads, 4096, &address, 8, memory, &o);
    assert_true(kds_sim_memory_read(memory, address, threads * 4, out, NULL));
    kds_sim_memory_free(memory);
    kds_sim_module_free(m);
}

typedef uint32_t thread_fn(uint32_t t);

static void check_block(const char *body, uint32_t threads, thread_fn *want)
{
    uint32_t out[1024];
    for (int isa = 0; isa < 2; isa++) {
        kds_sim_result r;
        run_block(body, threads, out, instruction_sets()[isa], &r);
        if (r.status != KDS_SIM_OK)
            fail_msg("%s\n%s", body, r.report);
        for (uint32_t t = 0; t < threads; t++)
            if (out[t] != want(t))
                fail_msg("%s\nthread %u: %u, not %u", body, t, out[t], want(t));
    }
}

static uint32_t want_nested(uint32_t t)
{
    return (t & 1 ? (t & 2 ? 11 : 12) : (t & 4 ? 13 : 14)) + 100;
}
static uint32_t want_trips(uint32_t t)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < t % 7; i++)
        for (uint32_t j = 0; j <= i; j++)
            sum += t + j;
    return sum;
}
static uint32_t want_switch(uint32_t t)
{
    static const uint32_t v[] = {5, 70, 5, 900};
    return v[t & 3];
}
static uint32_t want_early(uint32_t t)
{
    return t % 3 == 0 ? 0 : t * 2;
}
static uint32_t want_guarded(uint32_t t)
{
    return t < 10 ? 1 : t > 50 ? 3 : 2;
}

static void lanes_part_and_meet(void **state)
{
    (void)state;
    check_block(
        "and.b32 %r1, %t, 1; setp.eq.u32 %p1, %r1, 0; @%p1 bra EVEN;\n"
        "and.b32 %r1, %t, 2; setp.eq.u32 %p2, %r1, 0; @%p2 bra A; mov.u32 %r0, 11; bra "
        "JOIN; A: mov.u32 %r0, 12; bra JOIN;\n"
        "EVEN: and.b32 %r1, %t, 4; setp.ne.u32 %p3, %r1, 0; @!%p3 bra B; mov.u32 %r0, 13; "
        "bra JOIN; B: mov.u32 %r0, 14;\n"
        "JOIN: activemask.b32 %r2; popc.b32 %r2, %r2; setp.ne.u32 %p4, %r2, 32; @%p4 trap;\n"
        "add.u32 %r0, %r0, 100;",
        64, want_nested);
    check_block("rem.u32 %r1, %t, 7; mov.u32 %r2, 0;\n"
                "OUTER: setp.ge.u32 %p1, %r2, %r1; @%p1 bra DONE; mov.u32 %r3, 0;\n"
                "INNER: add.u32 %r0, %r0, %t; add.u32 %r0, %r0, %r3; add.u32 %r3, %r3, 1;\n"
                "setp.le.u32 %p2, %r3, %r2; @%p2 bra INNER; add.u32 %r2, %r2, 1; bra OUTER;\n"
                "DONE:",
                96, want_trips);
    check_block("and.b32 %r1, %t, 3;\nts: .branchtargets L0, L1, L0, L3;\nbrx.idx %r1, ts;\n"
                "L0: mov.u32 %r0, 5; bra J; L1: mov.u32 %r0, 70; bra J; L3: mov.u32 %r0, 900; J:",
                64, want_switch);
    check_block("rem.u32 %r1, %t, 3; setp.eq.u32 %p1, %r1, 0; @%p1 exit; add.u32 %r0, %t, %t;", 100,
                want_early);
    check_block("mov.u32 %r0, 2; setp.lt.u32 %p1, %t, 10; @%p1 mov.u32 %r0, 1;\n"
                "setp.gt.u32 %p2, %t, 50; @%p2 mov.u32 %r0, 3; @!%p2 add.u32 %r0, %r0, 0;",
                64, want_guarded);
    /* The same label and register in two scopes of inline assembly. */
    check_block("rem.u32 %r1, %t, 7;\n"
                "{ .reg .pred P; .reg .b32 i; mov.u32 i, 0; LAB: setp.ge.u32 P, i, %r1; @P bra END;"
                "{ .reg .b32 j; mov.u32 j, 0; LAB: add.u32 %r0, %r0, %t; add.u32 %r0, %r0, j;"
                "add.u32 j, j, 1; setp.le.u32 %p2, j, i; @%p2 bra LAB; }"
                "add.u32 i, i, 1; bra.uni LAB; END: }",
                64, want_trips);
}

static uint32_t want_reduced(uint32_t t)
{
    (void)t;
    return 256 * 255 / 2;
}
static uint32_t want_barrier_red(uint32_t t)
{
    (void)t;
    return 100 + 2;
}
static uint32_t want_named(uint32_t t)
{
    return t < 64 ? 0 : 7;
}

static void barriers_order_the_warps(void **state)
{
    (void)state;
    /* Tree reduction; part of a warp skips the addition, all come to the barrier. */
    check_block("shl.b32 %r1, %t, 2; add.u32 %r1, %s, %r1; st.shared.u32 [%r1], %t; bar.sync 0;\n"
                "mov.u32 %r2, 128;\n"
                "LOOP: setp.ge.u32 %p1, %t, %r2; @%p1 bra SKIP; shl.b32 %r3, %r2, 2;\n"
                "add.u32 %r3, %r1, %r3; ld.shared.u32 %r4, [%r3]; ld.shared.u32 %r5, [%r1];\n"
                "add.u32 %r5, %r5, %r4; st.shared.u32 [%r1], %r5;\n"
                "SKIP: bar.sync 0; shr.u32 %r2, %r2, 1; setp.ne.u32 %p2, %r2, 0; @%p2 bra LOOP;\n"
                "ld.shared.u32 %r0, [sm];",
                256, want_reduced);
    /* Threads that have left do not count. */
    check_block("setp.lt.u32 %p1, %t, 100; barrier.sync 0; bar.red.popc.u32 %r1, 0, %p1;\n"
                "bar.red.and.pred %p2, 1, %p1; bar.red.or.pred %p3, 2, %p1;\n"
                "selp.u32 %r2, 1, 0, %p2; selp.u32 %r3, 2, 0, %p3; add.u32 %r0, %r1, %r2;\n"
                "add.u32 %r0, %r0, %r3;",
                128, want_barrier_red);
    /* A producer signals, a consumer waits: the consumer runs first. */
    check_block("setp.ge.u32 %p1, %t, 64; @%p1 bra CONSUMER;\n"
                "st.shared.u32 [sm], 7; bar.arrive 3, 128; bra JOIN;\n"
                "CONSUMER: bar.sync 3, 128; ld.shared.u32 %r0, [sm];\nJOIN:",
                128, want_named);
    check_block("setp.lt.u32 %p1, %t, 64; @%p1 bra PRODUCER;\n"
                "bar.sync 3, 128; ld.shared.u32 %r0, [sm]; bra JOIN;\n"
                "PRODUCER: st.shared.u32 [sm], 7; bar.arrive 3, 128;\nJOIN:",
                128, want_named);
}

static void barriers_that_cannot_open_are_reported(void **state)
{
    (void)state;
    uint32_t out[128];
    kds_sim_result r;
    static const struct {
        const char *body, *text;
        uint32_t threads;
    } cases[] = {
        /* Half of a warp at one barrier, half at another. */
        {"and.b32 %r1, %t, 1; setp.eq.u32 %p1, %r1, 0; @%p1 bra E; bar.sync 0; bra J; E: bar.sync "
         "0; J:",
         "they never meet", 32},
        {"setp.lt.u32 %p1, %t, 32; @%p1 bra J; bar.sync 1, 64; J: bar.sync 0;",
         "barrier 0 is never complete: 1 warps arrived, 2 expected", 64},
        {"bar.sync 2, 64;", "barrier 2 is never complete: 1 warps arrived, 2 expected", 32},
        {"mov.u32 %r1, 16; bar.sync %r1;", "there is no barrier 16", 32},
        {"bar.sync 1, 40;", "not a multiple of 32", 64},
        {"setp.lt.u32 %p1, %t, 8; @%p1 bra A; bra J; A: shfl.sync.bfly.b32 %r0, %t, 1, 31, -1; J: "
         "vote.sync.any.pred %p2, %p1, -1;",
         "they never meet", 32},
        {"setp.lt.u32 %p1, %t, 8; @%p1 shfl.sync.bfly.b32 %r0, %t, 1, 31, -1;",
         "lanes of its member mask do not take part", 32},
        {"shfl.sync.bfly.b32 %r0, %t, 1, 31, 0xff;", "that is not in its member mask 0x000000ff",
         32},
    };
    for (size_t k = 0; k < COUNT(cases); k++) {
        run_block(cases[k].body, cases[k].threads, out, NULL, &r);
        assert_int_equal(r.status, KDS_SIM_BARRIER);
        if (strstr(r.report, cases[k].text) == NULL)
            fail_msg("%s\nreport: %s", cases[k].body, r.report);
    }
}

static uint32_t want_bfly(uint32_t t)
{
    return (t ^ 5) + 1000;
}
static uint32_t want_up(uint32_t t)
{
    return t % 32 >= 3 ? t - 3 : t + 500;
}
static uint32_t want_down_8(uint32_t t)
{
    return t % 8 + 2 < 8 ? t + 2 : t + 500;
}
static uint32_t want_idx(uint32_t t)
{
    return t / 16 * 16 + (t * 3) % 16;
}
static uint32_t want_votes(uint32_t t)
{
    return t < 32 ? 0xffff0000u : 0xffffffffu;
}
static uint32_t want_match(uint32_t t)
{
    uint32_t m = 0;
    for (uint32_t k = 0; k < 32; k++)
        if (k % 5 == t % 32 % 5)
            m |= 1u << k;
    return m;
}
static uint32_t want_redux(uint32_t t)
{
    uint32_t first = t / 32 * 32;
    return (31 * 16 + 32 * first) + (first + 31) + (uint32_t)(0 - (int)(first + 31));
}
static uint32_t want_halves(uint32_t t)
{
    return t % 32 < 16 ? 15 - t % 32 : 200 + (31 - t % 32 + 16);
}
static uint32_t want_elected(uint32_t t)
{
    return t % 32 == 4 ? 5 : t % 32 > 4 ? 4 : 0;
}

/* Sums, ballots, matches and partners within groups of eight lanes. */
static uint32_t want_octets(uint32_t t)
{
    uint32_t at = t & 24, odd = 0xaau << at, even = 0x55u << at;
    return 8 * (t & ~7u) + 28 + 3 * odd + ((t & 1 ? odd : even) ^ t ^ 7);
}
static uint32_t want_rounds(uint32_t t)
{
    return 8 * (1 + t % 32 / 8);
}
static uint32_t want_ticks(uint32_t t)
{
    (void)t;
    return 3;
}

static void lanes_exchange(void **state)
{
    (void)state;
    check_block("add.u32 %r1, %t, 1000; shfl.sync.bfly.b32 %r0|%p1, %r1, 5, 31, 0xffffffff;\n"
                "@!%p1 trap;",
                64, want_bfly);
    check_block("shfl.sync.up.b32 %r1|%p1, %t, 3, 0, -1; add.u32 %r2, %t, 500;\n"
                "selp.u32 %r0, %r1, %r2, %p1;",
                64, want_up);
    check_block("shfl.sync.down.b32 %r1|%p1, %t, 2, 6175, -1; add.u32 %r2, %t, 500;\n"
                "selp.u32 %r0, %r1, %r2, %p1;",
                64, want_down_8);
    check_block("mul.lo.u32 %r1, %t, 3; rem.u32 %r1, %r1, 16;\n"
                "shfl.sync.idx.b32 %r0, %t, %r1, 4127, -1;",
                64, want_idx);
    check_block("setp.ge.u32 %p1, %t, 16; vote.sync.ballot.b32 %r0, %p1, -1;\n"
                "vote.sync.all.pred %p2, %p1, -1; setp.ge.u32 %p3, %t, 32;\n"
                "xor.pred %p4, %p2, %p3; @%p4 trap; vote.sync.any.pred %p5, !%p1, -1;\n"
                "xor.pred %p4, %p5, %p3; @!%p4 trap; vote.sync.uni.pred %p6, %p3, -1; @!%p6 trap;",
                64, want_votes);
    check_block(
        "rem.u32 %r1, %t, 32; rem.u32 %r1, %r1, 5; match.any.sync.b32 %r0, %r1, -1;\n"
        "cvt.u64.u32 %d1, %r1; match.any.sync.b64 %r2, %d1, -1; setp.ne.u32 %p1, %r2, %r0;\n"
        "@%p1 trap; match.all.sync.b32 %r3|%p2, %r1, -1; @%p2 trap;",
        64, want_match);
    check_block("redux.sync.add.s32 %r1, %t, -1; redux.sync.max.u32 %r2, %t, -1; neg.s32 %r3, %t;\n"
                "redux.sync.min.s32 %r4, %r3, -1; add.u32 %r0, %r1, %r2; add.u32 %r0, %r0, %r4;",
                64, want_redux);
    /* Both halves of the warp on their own ways, each with its own member mask. */
    check_block("and.b32 %r1, %t, 31; setp.lt.u32 %p1, %r1, 16; @%p1 bra LOW;\n"
                "add.u32 %r2, %r1, 200; shfl.sync.bfly.b32 %r0, %r2, 15, 31, 0xffff0000; bra J;\n"
                "LOW: shfl.sync.bfly.b32 %r0, %r1, 15, 31, 0x0000ffff;\n"
                "J: bar.warp.sync -1;",
                64, want_halves);
    check_block("and.b32 %r1, %t, 31; setp.lt.u32 %p1, %r1, 4; @%p1 bra J; elect.sync %r2|%p2, "
                "0xfffffff0;\nselp.u32 %r3, 1, 0, %p2; add.u32 %r0, %r2, %r3; J:",
                64, want_elected);
    /* One instruction for lanes that name four masks; then loops of which some end earlier. */
    check_block(
        "and.b32 %r1, %t, 24; mov.u32 %r3, 255; shl.b32 %r3, %r3, %r1; and.b32 %r2, %t, 1;\n"
        "setp.eq.u32 %p1, %r2, 1; redux.sync.add.u32 %r4, %t, %r3;\n"
        "vote.sync.ballot.b32 %r5, %p1, %r3; match.any.sync.b32 %r6, %r2, %r3;\n"
        "shfl.sync.bfly.b32 %r7, %t, 7, 31, %r3; xor.b32 %r6, %r6, %r7;\n"
        "mad.lo.u32 %r0, %r5, 3, %r4; add.u32 %r0, %r0, %r6;",
        64, want_octets);
    check_block(
        "and.b32 %r1, %t, 24; mov.u32 %r3, 255; shl.b32 %r3, %r3, %r1; shr.u32 %r2, %r1, 3;\n"
        "mov.u32 %r0, 0; mov.u32 %r5, 1; L: redux.sync.add.u32 %r4, %r5, %r3;\n"
        "add.u32 %r0, %r0, %r4; setp.gt.u32 %p1, %r2, 0; sub.u32 %r2, %r2, 1; @%p1 bra L;",
        64, want_rounds);
    check_block("mov.u64 %d1, %clock64; mov.u32 %r1, 5; add.u32 %r1, %r1, 1;\n"
                "mov.u64 %d2, %clock64; sub.u64 %d1, %d2, %d1; cvt.u32.u64 %r0, %d1;",
                64, want_ticks);
    /* __syncwarp() of one mask at two places. */
    check_block("and.b32 %r1, %t, 31; setp.lt.u32 %p1, %r1, 16; @%p1 bra LOW;\n"
                "add.u32 %r2, %r1, 200; bar.warp.sync -1; shfl.sync.bfly.b32 %r0, %r2, 15, 31, "
                "0xffff0000; bra J;\n"
                "LOW: bar.warp.sync -1; shfl.sync.bfly.b32 %r0, %r1, 15, 31, 0x0000ffff;\nJ:",
                64, want_halves);
}

static uint32_t want_all(uint32_t t)
{
    (void)t;
    return 128 + 127 + 128 * 127 / 2;
}
static uint32_t want_lock(uint32_t t)
{
    (void)t;
    return 64;
}
static uint32_t want_wrap(uint32_t t)
{
    (void)t;
    return 96 % 11 + 100 * (1000 + 0);
}

static void atomics_work(void **state)
{
    (void)state;
    check_block("setp.ne.u32 %p1, %t, 0; @%p1 bra GO; st.shared.u32 [sm], 0; st.shared.u32 [sm+4], "
                "0; st.shared.f32 [sm+8], 0f00000000; GO: bar.sync 0;\n"
                "atom.shared.add.u32 %r1, [sm], 1; red.shared.max.s32 [sm+4], %t;\n"
                "cvt.rn.f32.u32 %f1, %t; atom.shared.add.f32 %f2, [sm+8], %f1; bar.sync 0;\n"
                "ld.shared.u32 %r0, [sm]; ld.shared.u32 %r1, [sm+4]; ld.shared.f32 %f3, [sm+8];\n"
                "cvt.rzi.u32.f32 %r2, %f3; add.u32 %r0, %r0, %r1; add.u32 %r0, %r0, %r2;",
                128, want_all);
    /* A spin lock taken by every thread, within the warp too, through a generic address. */
    check_block("setp.ne.u32 %p1, %t, 0; @%p1 bra GO; st.shared.u32 [sm], 0; st.shared.u32 [sm+4], "
                "0; GO: bar.sync 0;\n"
                "mov.u64 %d1, sm; cvta.shared.u64 %d1, %d1;\n"
                "SPIN: atom.cas.b32 %r1, [%d1], 0, 1; setp.ne.u32 %p2, %r1, 0; @%p2 bra SPIN;\n"
                "ld.shared.u32 %r2, [sm+4]; add.u32 %r2, %r2, 1; st.shared.u32 [sm+4], %r2;\n"
                "atom.exch.b32 %r3, [%d1], 0; bar.sync 0; ld.shared.u32 %r0, [sm+4];",
                64, want_lock);
    /* One warp waits in a loop for what a later one stores. */
    check_block("setp.ne.u32 %p1, %t, 0; @%p1 bra GO; st.shared.u32 [sm], 0; GO: bar.sync 0;\n"
                "setp.ge.u32 %p2, %t, 32; @%p2 bra PRODUCER;\n"
                "WAIT: ld.volatile.shared.u32 %r0, [sm]; setp.eq.u32 %p3, %r0, 0; @%p3 bra WAIT; "
                "bra J;\nPRODUCER: st.volatile.shared.u32 [sm], 64; mov.u32 %r0, 64; J:",
                64, want_lock);
    check_block("setp.ne.u32 %p1, %t, 0; @%p1 bra GO; st.shared.u32 [sm], 0; st.shared.u32 [sm+4], "
                "1096; GO: bar.sync 0; atom.shared.inc.u32 %r1, [sm], 10;\n"
                "atom.shared.dec.u32 %r2, [sm+4], 5000; bar.sync 0; ld.shared.u32 %r3, [sm];\n"
                "ld.shared.u32 %r4, [sm+4]; mad.lo.u32 %r0, %r4, 100, %r3;",
                96, want_wrap);
}

static uint32_t want_local(uint32_t t)
{
    return t * 10 + 3 + (t & 7);
}

static void local_memory_is_private(void **state)
{
    (void)state;
    check_block("{ .local .align 16 .b8 depot[64]; .reg .b64 %L, %G; mov.u64 %L, depot; "
                "cvta.local.u64 %G, %L;\n"
                "mul.lo.u32 %r1, %t, 10; add.u32 %r2, %r1, 1; add.u32 %r3, %r1, 2; add.u32 %r4, "
                "%r1, 3;\n"
                "st.local.v4.u32 [%L+16], {%r1, %r2, %r3, %r4}; and.b32 %r5, %t, 7; \n"
                "cvt.u64.u32 %d1, %r5; add.s64 %d2, %L, %d1; st.local.u8 [%d2], %r5;\n"
                "ld.u32 %r6, [%G+28]; add.s64 %d3, %G, %d1; ld.u8 %r7, [%d3]; add.u32 %r0, %r6, "
                "%r7; }",
                64, want_local);
}

static void endless_loops_end(void **state)
{
    (void)state;
    uint32_t out[64];
    kds_sim_result r;
    run_block("L: add.u32 %r0, %r0, 1; bra L;", 32, out, NULL, &r);
    assert_int_equal(r.status, KDS_SIM_BUDGET);
    assert_non_null(strstr(r.report, "endless loop"));
    run_block("setp.eq.u32 %p1, %t, 5; @%p1 trap;", 32, out, NULL, &r);
    assert_int_equal(r.status, KDS_SIM_TRAP);
    assert_non_null(strstr(r.report, "thread (5, 0, 0): trap at PTX line"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_part_and_meet),
        cmocka_unit_test(barriers_order_the_warps),
        cmocka_unit_test(barriers_that_cannot_open_are_reported),
        cmocka_unit_test(lanes_exchange),
        cmocka_unit_test(atomics_work),
        cmocka_unit_test(local_memory_is_private),
        cmocka_unit_test(endless_loops_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
