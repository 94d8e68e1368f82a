/* Races and what orders, instruction by instruction. */
#include "tests/eval/race_test.h"

/* Stores the thread's number at its word, then reads the word `by` bytes on (in %r1). */
#define PUT "st.shared.u32 [%a], %r0;\n"
#define GET(by) "ld.shared.u32 %r1, [%a+" by "];\n"
#define SKIP_LAST(n) "setp.ge.u32 %p1, %t, " n "; @%p1 bra END;\n"

static const race_case within_a_warp[] = {
    {"a neighbour's word",
     PUT SKIP_LAST("31") GET("4") "END:",
     {"thread (1, 0, 0) of the same block wrote", "no __syncwarp()", "at byte 4 of shared memory",
      "thread (0, 0, 0): ld.shared.u32 at PTX line"},
     .blocks = 1,
     .threads = 32},
    {"the same with bar.warp.sync",
     PUT "bar.warp.sync 0xffffffff;\n" SKIP_LAST("31") GET("4") "END:",
     {NULL},
     .blocks = 1,
     .threads = 32},
    {"its own word", PUT GET("0"), {NULL}, .blocks = 1, .threads = 32},
    {"a shuffle orders nothing",
     PUT "shfl.sync.idx.b32 %r2, %r0, 0, 31, -1;\n" SKIP_LAST("31") GET("4") "END:",
     {"no __syncwarp()"},
     .blocks = 1,
     .threads = 32},
    {"a vote orders nothing",
     PUT "setp.eq.s32 %p2, %t, 0; vote.sync.ballot.b32 %r2, %p2, -1;\n" SKIP_LAST("31")
         GET("4") "END:",
     {"no __syncwarp()"},
     .blocks = 1,
     .threads = 32},
    {"volatile accesses of a warp",
     "st.volatile.shared.u32 [%a], %r0;\n" SKIP_LAST(
         "31") "ld.volatile.shared.u32 %r1, [%a+4]; END:",
     {NULL},
     .blocks = 1,
     .threads = 32},
    {"one of the two is volatile",
     "st.volatile.shared.u32 [%a], %r0;\n" SKIP_LAST("31") GET("4") "END:",
     {"one of the two is atomic, volatile or ordered and the other is not"},
     .blocks = 1,
     .threads = 32},
    {"one place, different values",
     "st.shared.u32 [sm], %r0;",
     {"with the same instruction", "writes 4 bytes at byte 0 of shared memory"},
     .blocks = 1,
     .threads = 32},
    {"one place, the same value",
     "mov.u32 %r2, 7; st.shared.u32 [sm], %r2;",
     {NULL},
     .blocks = 1,
     .threads = 32},
    {"pairs at one place, different values",
     "shr.u32 %r3, %t, 1; shl.b32 %r3, %r3, 2; mov.u32 %r4, sm; add.s32 %r3, %r3, %r4;\n"
     "st.shared.u32 [%r3], %r0;",
     {"thread (1, 0, 0)", "thread (0, 0, 0) of the same warp"},
     .blocks = 1,
     .threads = 32},
    {"all read one word that one lane then changes",
     "@%p0 bra END; setp.ne.s32 %p1, %t, 0; @!%p1 st.shared.u32 [sm], %r0; bar.warp.sync -1;\n"
     "ld.shared.u32 %r1, [sm]; @!%p1 st.shared.u32 [sm], %r1; END:",
     {"thread (0, 0, 0): st.shared.u32", "thread (31, 0, 0) of the same block read"},
     .blocks = 1,
     .threads = 32},
    {"and the same in order",
     "setp.ne.s32 %p1, %t, 0; @!%p1 st.shared.u32 [sm], %r0; bar.warp.sync -1;\n"
     "ld.shared.u32 %r1, [sm]; bar.warp.sync -1; @!%p1 st.shared.u32 [sm], %r1;",
     {NULL},
     .blocks = 1,
     .threads = 32},
    {"halves of a warp, each in order",
     "and.b32 %r5, %t, 16; shl.b32 %r6, 65535, %r5; " PUT "bar.warp.sync %r6;\n"
     "xor.b32 %r7, %t, 3; shl.b32 %r7, %r7, 2; mov.u32 %r4, sm; add.s32 %r7, %r7, %r4;\n"
     "ld.shared.u32 %r1, [%r7]; bar.warp.sync %r6; st.shared.u32 [%r7], %r1;",
     {NULL},
     .blocks = 1,
     .threads = 32},
    {"halves of a warp that reach across",
     "and.b32 %r5, %t, 16; shl.b32 %r6, 65535, %r5; " PUT "bar.warp.sync %r6;\n"
     "xor.b32 %r7, %t, 16; shl.b32 %r7, %r7, 2; mov.u32 %r4, sm; add.s32 %r7, %r7, %r4;\n"
     "ld.shared.u32 %r1, [%r7];",
     {"no __syncwarp()"},
     .blocks = 1,
     .threads = 32},
    {"neighbouring bytes",
     "mov.u32 %r4, sm; add.s32 %r4, %r4, %t; cvt.u16.u32 %h1, %t;\n"
     "st.shared.u8 [%r4], %h1; ld.shared.u8 %h2, [%r4]; bar.warp.sync -1;\n"
     "ld.shared.u32 %r5, [sm];",
     {NULL},
     .blocks = 1,
     .threads = 32},
    {"a word over bytes of others",
     "mov.u32 %r4, sm; add.s32 %r4, %r4, %t; cvt.u16.u32 %h1, %t;\n"
     "st.shared.u8 [%r4], %h1; ld.shared.u32 %r5, [sm];",
     {"no __syncwarp()"},
     .blocks = 1,
     .threads = 32},
    {"a lock within a warp",
     "mov.u32 %r9, 0; setp.ne.s32 %p1, %t, 0; @!%p1 st.shared.u32 [sm], %r9;\n"
     "@!%p1 st.shared.u32 [sm+64], %r9; bar.warp.sync -1;\n"
     "TRY: atom.shared.cas.b32 %r1, [sm], 0, 1; setp.ne.s32 %p2, %r1, 0; @%p2 bra TRY;\n"
     "membar.cta; ld.shared.u32 %r2, [sm+64]; add.s32 %r2, %r2, 1; st.shared.u32 [sm+64], %r2;\n"
     "membar.cta; atom.shared.exch.b32 %r1, [sm], 0;",
     {NULL},
     .blocks = 1,
     .threads = 32},
};

/* Two warps. */
#define HALF "setp.ge.u32 %p3, %t, 32;\n"
static const race_case between_warps[] = {
    {"without a barrier",
     PUT SKIP_LAST("32") GET("128") "END:",
     {"thread (3"},
     .blocks = 1,
     .threads = 64},
    {"with a barrier",
     PUT "bar.sync 0;\n" SKIP_LAST("32") GET("128") "END:",
     {NULL},
     .blocks = 1,
     .threads = 64},
    {"bar.warp.sync is not enough",
     PUT "bar.warp.sync -1;\n" SKIP_LAST("32") GET("128") "END:",
     {"no barrier (__syncthreads()) between them"},
     .blocks = 1,
     .threads = 64},
    {"a reduction's barrier orders too",
     PUT "setp.eq.s32 %p4, %t, 0; barrier.red.popc.u32 %r3, 0, %p4;\n" SKIP_LAST("63")
         GET("4") "END:",
     {NULL},
     .blocks = 1,
     .threads = 64},
    {"write after read",
     PUT "bar.sync 0;\n" HALF "@!%p3 ld.shared.u32 %r1, [%a+128]; @%p3 st.shared.u32 [%a], %b;",
     {"thread (32, 0, 0) of the same block wrote", "no barrier (__syncthreads())"},
     .blocks = 1,
     .threads = 64},
    {"write after read, in order",
     PUT "bar.sync 0;\n" HALF
         "@!%p3 ld.shared.u32 %r1, [%a+128]; bar.sync 0; @%p3 st.shared.u32 [%a], %b;",
     {NULL},
     .blocks = 1,
     .threads = 64},
    {"both write, different values",
     "st.shared.u32 [sm], %w;",
     {"thread (32, 0, 0): st.shared.u32"},
     .blocks = 1,
     .threads = 64},
    {"both write the same",
     "mov.u32 %r2, 5; st.shared.u32 [sm], %r2;",
     {NULL},
     .blocks = 1,
     .threads = 64},
    {"atomics and then a barrier",
     "mov.u32 %r9, 0; setp.ne.s32 %p1, %t, 0; @!%p1 st.shared.u32 [sm], %r9; bar.sync 0;\n"
     "red.shared.add.u32 [sm], 1; bar.sync 0; ld.shared.u32 %r1, [sm];",
     {NULL},
     .blocks = 1,
     .threads = 64},
    {"atomics and no barrier",
     "mov.u32 %r9, 0; setp.ne.s32 %p1, %t, 0; @!%p1 st.shared.u32 [sm], %r9; bar.sync 0;\n"
     "red.shared.add.u32 [sm], 1; ld.shared.u32 %r1, [sm];",
     {"one of the two is atomic"},
     .blocks = 1,
     .threads = 64},
    {"atomics before the place is set",
     "mov.u32 %r9, 0; setp.ne.s32 %p1, %t, 0; @!%p1 st.shared.u32 [sm], %r9;\n"
     "red.shared.add.u32 [sm], 1;",
     {"red.shared.add.u32", "no __syncwarp()"},
     .blocks = 1,
     .threads = 64},
    {"producer and consumer by named barriers",
     HALF "@%p3 bra C; " PUT "bar.arrive 1, 64; bar.sync 2, 64; st.shared.u32 [%a], %t; bra END;\n"
          "C: bar.sync 1, 64; ld.shared.u32 %r1, [%a+-128]; bar.arrive 2, 64; END:",
     {NULL},
     .blocks = 1,
     .threads = 64},
    {"the producer does not wait for the consumer",
     HALF "@%p3 bra C; " PUT
          "bar.arrive 1, 64; add.s32 %r0, %r0, 1; st.shared.u32 [%a], %r0; bra END;\n"
          "C: bar.sync 1, 64; ld.shared.u32 %r1, [%a+-128]; END:",
     {"no barrier"},
     .blocks = 1,
     .threads = 64},
    {"a barrier of others orders nothing",
     "setp.ge.u32 %p3, %t, 64; " PUT "@%p3 bra C; bar.sync 1, 64; bra E;\n"
     "C: bar.sync 2, 32; E: setp.ne.s32 %p5, %w, 0; @%p5 bra END; ld.shared.u32 %r1, [%a+256]; "
     "END:",
     {"of the same block wrote", "no barrier"},
     .blocks = 1,
     .threads = 96},
    {"a flag, released and acquired",
     "mov.u32 %r9, 0; setp.ne.s32 %p1, %t, 0; @!%p1 st.shared.u32 [sm+2048], %r9; bar.sync "
     "0;\n" HALF "@%p3 bra C; " PUT "bar.warp.sync -1; setp.ne.s32 %p1, %t, 0;\n"
     "@!%p1 st.release.cta.shared.u32 [sm+2048], 1; bra END;\n"
     "C: ld.acquire.cta.shared.u32 %r1, [sm+2048]; setp.eq.s32 %p2, %r1, 0; @%p2 bra C;\n"
     "ld.shared.u32 %r1, [%a+-128]; END:",
     {NULL},
     .blocks = 1,
     .threads = 64},
    {"a flag with fences",
     "mov.u32 %r9, 0; setp.ne.s32 %p1, %t, 0; @!%p1 st.shared.u32 [sm+2048], %r9; bar.sync "
     "0;\n" HALF "@%p3 bra C; " PUT
     "membar.cta; bar.warp.sync -1; membar.cta; setp.ne.s32 %p1, %t, 0;\n"
     "@!%p1 st.volatile.shared.u32 [sm+2048], 1; bra END;\n"
     "C: ld.volatile.shared.u32 %r1, [sm+2048]; setp.eq.s32 %p2, %r1, 0; @%p2 bra C;\n"
     "membar.cta; ld.shared.u32 %r1, [%a+-128]; END:",
     {NULL},
     .blocks = 1,
     .threads = 64},
    {"a flag without a fence",
     "mov.u32 %r9, 0; setp.ne.s32 %p1, %t, 0; @!%p1 st.shared.u32 [sm+2048], %r9; bar.sync "
     "0;\n" HALF "@%p3 bra C; " PUT "bar.warp.sync -1; setp.ne.s32 %p1, %t, 0;\n"
     "@!%p1 st.volatile.shared.u32 [sm+2048], 1; bra END;\n"
     "C: ld.volatile.shared.u32 %r1, [sm+2048]; setp.eq.s32 %p2, %r1, 0; @%p2 bra C;\n"
     "ld.shared.u32 %r1, [%a+-128]; END:",
     {"thread (32, 0, 0): ld.shared.u32", "thread (0, 0, 0) of the same block wrote"},
     .blocks = 1,
     .threads = 64},
    {"another flag than the one released",
     "mov.u32 %r9, 0; setp.ne.s32 %p1, %t, 0; @!%p1 st.shared.u32 [sm+2048], %r9;\n"
     "@!%p1 st.shared.u32 [sm+3072], %r9; bar.sync 0;\n" HALF "@%p3 bra C; " PUT
     "bar.warp.sync -1; setp.ne.s32 %p1, %t, 0;\n"
     "@!%p1 st.release.cta.shared.u32 [sm+2048], 1; bra END;\n"
     "C: ld.acquire.cta.shared.u32 %r1, [sm+3072]; ld.shared.u32 %r1, [%a+-128]; END:",
     {"no barrier"},
     .blocks = 1,
     .threads = 64},
    {"16-byte rows, read by all",
     "mul.lo.s32 %r4, %t, 16; mov.u32 %r5, sm; add.s32 %r4, %r4, %r5;\n"
     "st.shared.v4.u32 [%r4], {%t, %t, %t, %t}; bar.sync 0;\n"
     "ld.shared.v4.u32 {%r6, %r7, %r8, %r9}, [sm+512]; bar.sync 0; st.shared.v4.u32 [%r4], {%b, "
     "%t, %t, %t};",
     {NULL},
     .blocks = 1,
     .threads = 64},
    {"16-byte rows, and one barrier too few",
     "mul.lo.s32 %r4, %t, 16; mov.u32 %r5, sm; add.s32 %r4, %r4, %r5;\n"
     "st.shared.v4.u32 [%r4], {%t, %t, %t, %t}; bar.sync 0;\n"
     "ld.shared.v4.u32 {%r6, %r7, %r8, %r9}, [sm+512]; st.shared.v4.u32 [%r4], {%b, %t, %t, %t};",
     {"thread (32, 0, 0)", "read"},
     .blocks = 1,
     .threads = 64},
    {"through generic addresses",
     "cvt.u64.u32 %d1, %a; cvta.shared.u64 %d1, %d1; st.u32 [%d1], %t;\n" SKIP_LAST(
         "32") "ld.u32 %r1, [%d1+128]; END:",
     {"at byte 128 of shared memory"},
     .blocks = 1,
     .threads = 64},
    {"several readers in turn, then a writer that knows only the last",
     "setp.ne.s32 %p1, %t, 0; @!%p1 st.shared.u32 [sm], %r0; bar.sync 0; ld.shared.u32 %r1, [sm];\n"
     "setp.eq.s32 %p2, %w, 0; @%p2 bra END; bar.sync 1, 64; setp.eq.s32 %p3, %w, 1; @%p3 bra END;\n"
     "st.shared.u32 [sm], %w; END:",
     {"thread (0, 0, 0) of the same block read"},
     .blocks = 1,
     .threads = 96},
    {"global memory within a block",
     "mul.wide.u32 %d1, %t, 4; add.s64 %d1, %y, %d1; st.global.u32 [%d1], %t;\n" SKIP_LAST(
         "63") "ld.global.u32 %r1, [%d1+4]; END:",
     {"at byte 4 of y (65536 bytes)"},
     .blocks = 1,
     .threads = 64},
    {"global memory within a block, in order",
     "mul.wide.u32 %d1, %t, 4; add.s64 %d1, %y, %d1; st.global.u32 [%d1], %t; bar.sync "
     "0;\n" SKIP_LAST("63") "ld.global.u32 %r1, [%d1+4]; END:",
     {NULL},
     .blocks = 1,
     .threads = 64},
};

/* Two warps, an mbarrier for what is there and one for what may be overwritten. */
#define MBARRIERS                                                                                  \
    "setp.ne.s32 %p1, %t, 0; @%p1 bra READY; mbarrier.init.shared.b64 [sm+3072], 32;\n"            \
    "mbarrier.init.shared.b64 [sm+3080], 32; READY: bar.sync 0; mov.u32 %r5, 0;\n"                 \
    "setp.ge.u32 %p3, %t, 32; @%p3 bra CONSUME;\n"
#define ROUND "add.s32 %r5, %r5, 1; setp.lt.u32 %p4, %r5, 3; and.b32 %r6, %r5, 1;\n"

static const race_case mbarriers[] = {
    {"a ring of one stage",
     MBARRIERS
     "PRODUCE: st.shared.u32 [%a], %r5; mbarrier.arrive.shared.b64 %d1, [sm+3072];\n"
     "and.b32 %r6, %r5, 1; EMPTY: mbarrier.test_wait.parity.shared.b64 %p5, [sm+3080], %r6;\n"
     "@!%p5 bra EMPTY;\n" ROUND "@%p4 bra PRODUCE; bra END;\n"
     "CONSUME: and.b32 %r6, %r5, 1;\n"
     "FULL: mbarrier.test_wait.parity.shared.b64 %p5, [sm+3072], %r6; @!%p5 bra FULL;\n"
     "ld.shared.u32 %r1, [%a+-128]; mbarrier.arrive.shared.b64 %d1, [sm+3080];\n" ROUND
     "@%p4 bra CONSUME; END:",
     {NULL},
     .blocks = 2,
     .threads = 64},
    {"a ring of one stage whose producer does not wait",
     MBARRIERS "PRODUCE: st.shared.u32 [%a], %r5; mbarrier.arrive.shared.b64 %d1, [sm+3072];\n"
               "add.s32 %r7, %r5, 9; st.shared.u32 [%a], %r7; bra END;\n"
               "CONSUME: mov.u32 %r6, 0;\n"
               "FULL: mbarrier.test_wait.parity.shared.b64 %p5, [sm+3072], %r6; @!%p5 bra FULL;\n"
               "ld.shared.u32 %r1, [%a+-128]; END:",
     {"no barrier (__syncthreads())"},
     .blocks = 1,
     .threads = 64},
    {"the other mbarrier than the one that was arrived at",
     MBARRIERS "st.shared.u32 [%a], %r5; mbarrier.arrive.shared.b64 %d1, [sm+3072]; bra END;\n"
               "CONSUME: mbarrier.arrive.shared.b64 %d1, [sm+3080]; mov.u32 %r6, 0;\n"
               "FULL: mbarrier.test_wait.parity.shared.b64 %p5, [sm+3080], %r6; @!%p5 bra FULL;\n"
               "ld.shared.u32 %r1, [%a+-128]; END:",
     {"no barrier (__syncthreads())"},
     .blocks = 1,
     .threads = 64},
    {"a bulk copy, waited for, then overwritten after a barrier",
     MBARRIERS
     "CONSUME: @%p1 bra WAIT;\n"
     "mbarrier.inval.shared.b64 [sm+3072]; mbarrier.init.shared.b64 [sm+3072], 1;\n"
     "mbarrier.arrive.expect_tx.shared.b64 %d1, [sm+3072], 256; mov.u32 %r7, sm; mov.u32 %r8, sm;\n"
     "add.s32 %r8, %r8, 3072;\n"
     "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r7], [%x], 256, [%r8];\n"
     "WAIT: bar.sync 0; mov.u32 %r6, 0;\n"
     "FULL: mbarrier.test_wait.parity.shared.b64 %p5, [sm+3072], %r6; @!%p5 bra FULL;\n"
     "ld.shared.u32 %r1, [%a]; bar.sync 0; st.shared.u32 [%a], %t;",
     {NULL},
     .blocks = 1,
     .threads = 64},
    {"a bulk copy over what others still read",
     MBARRIERS
     "CONSUME: st.shared.u32 [%a], %t; bar.sync 0; bar.sync 0; xor.b32 %r2, %a, 128; ld.shared.u32 "
     "%r1, "
     "[%r2];\n"
     "bar.warp.sync -1; @%p1 bra WAIT;\n"
     "mbarrier.inval.shared.b64 [sm+3072]; mbarrier.init.shared.b64 [sm+3072], 1;\n"
     "mbarrier.arrive.expect_tx.shared.b64 %d1, [sm+3072], 256; mov.u32 %r7, sm; mov.u32 %r8, sm;\n"
     "add.s32 %r8, %r8, 3072;\n"
     "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r7], [%x], 256, [%r8];\n"
     "WAIT: bar.sync 0;",
     {"cp.async.bulk", "of the same block read", "before the copy"},
     .blocks = 1,
     .threads = 64},
};

static void mbarriers_order(void **state)
{
    (void)state;
    race_check_ptx(mbarriers, COUNT(mbarriers));
}

static void lanes_of_a_warp(void **state)
{
    (void)state;
    race_check_ptx(within_a_warp, COUNT(within_a_warp));
}

static void warps_of_a_block(void **state)
{
    (void)state;
    race_check_ptx(between_warps, COUNT(between_warps));
}

static kds_sim_result run_snippet_once(const char *body, uint32_t threads, bool races)
{
    static char text[4096];
    snprintf(text, sizeof text,
             HEADER ".visible .entry k(.param .u64 y)\n{\n.reg .pred %%p<4>; .reg .b32 %%r<9>;\n"
                    ".reg .b64 %%d<9>; .shared .align 4 .b8 sm[512];\n"
                    "mov.u32 %%r1, %%tid.x; shl.b32 %%r2, %%r1, 2; mov.u32 %%r3, sm;\n"
                    "add.s32 %%r2, %%r2, %%r3; ld.param.u64 %%d1, [y];\n%s\nret;\n}\n",
             body);
    kds_sim_module *m = load(text);
    kds_sim_memory *memory = kds_sim_memory_create();
    uint64_t y = add_buffer(memory, "y", 512, KDS_SIM_UNDEFINED, false);
    kds_sim_options o = {.check_uninitialised = true, .check_races = races, .budget = 100000};
    kds_sim_result r = launch(m, "k", 1, threads, 0, &y, 8, memory, &o);
    kds_sim_memory_free(memory);
    kds_sim_module_free(m);
    return r;
}

/* Reading what another thread writes later is a race; what nobody ever writes stays what it was. */
static void what_nobody_wrote(void **state)
{
    (void)state;
    static const struct {
        const char *body, *text;
        kds_sim_status with, without;
    } cases[] = {
        {"ld.shared.u32 %r4, [%r2];", "reads 4 bytes at byte 0 of shared memory",
         KDS_SIM_UNINITIALISED, KDS_SIM_UNINITIALISED},
        {"ld.global.u32 %r4, [%d1+8]; st.global.u32 [%d1+12], %r4;", "at byte 8 of y",
         KDS_SIM_UNINITIALISED, KDS_SIM_UNINITIALISED},
        {"ld.global.u32 %r4, [%d1+8]; st.global.u32 [%d1+512], %r4;", "at byte 8 of y",
         KDS_SIM_UNINITIALISED, KDS_SIM_UNINITIALISED},
        {"st.shared.u32 [%r2], %r1; xor.b32 %r2, %r2, 128; ld.shared.u32 %r4, [%r2];",
         "no barrier (__syncthreads())", KDS_SIM_RACE, KDS_SIM_UNINITIALISED},
        {"st.global.u32 [%d1+512], %r4;", "at the end of y", KDS_SIM_OUT_OF_BOUNDS,
         KDS_SIM_OUT_OF_BOUNDS},
    };
    for (size_t k = 0; k < COUNT(cases); k++)
        for (int races = 0; races < 2; races++) {
            kds_sim_result r = run_snippet_once(cases[k].body, 64, races != 0);
            kds_sim_status want = races != 0 ? cases[k].with : cases[k].without;
            if (r.status != want || ((races != 0 || cases[k].with == cases[k].without) &&
                                     strstr(r.report, cases[k].text) == NULL))
                fail_msg("%s: %s", cases[k].body, r.report);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_of_a_warp),
        cmocka_unit_test(warps_of_a_block),
        cmocka_unit_test(mbarriers_order),
        cmocka_unit_test(what_nobody_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
