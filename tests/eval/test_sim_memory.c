/* Memory of the simulator: the host's view, every kind of fault with its report, and the counters
 * of known access patterns. */
#include "tests/eval/sim_test.h"

static void fill_index(void *user, uint64_t first, uint64_t len, void *out)
{
    uint8_t *to = out;
    for (uint64_t k = 0; k < len; k++)
        to[k] = (uint8_t)((first + k) * 7 + *(const uint8_t *)user);
    assert_int_equal(first % 16, 0);
}

static void collect_range(void *user, uint64_t first, uint64_t len)
{
    char *text = user;
    size_t at = strlen(text);
    snprintf(text + at, 200 - at, "[%llu+%llu]", (unsigned long long)first,
             (unsigned long long)len);
}

static void host_sees_pages(void **state)
{
    (void)state;
    static uint8_t seven = 7;
    kds_sim_memory *m = kds_sim_memory_create();
    kds_sim_buffer big = {.name = "big",
                          .bytes = UINT64_C(6) << 30,
                          .content = KDS_SIM_DEFINED,
                          .fill = fill_index,
                          .user = &seven};
    uint64_t a = kds_sim_memory_add(m, &big), b = add_buffer(m, "b", 100, KDS_SIM_UNDEFINED, false);
    assert_int_equal(a % 256, 0);
    assert_true(b - (a + big.bytes) >= UINT64_C(1) << 32);
    uint8_t data[8], written[8];
    uint64_t at = (UINT64_C(5) << 30) - 4; /* across two pages */
    assert_true(kds_sim_memory_read(m, a + at, 8, data, written));
    for (int k = 0; k < 8; k++) {
        assert_int_equal(data[k], (uint8_t)((at + (uint64_t)k) * 7 + 7));
        assert_int_equal(written[k], 0);
    }
    assert_true(kds_sim_memory_write(m, a + at + 2, 4, "abcd"));
    assert_true(kds_sim_memory_read(m, a + at, 8, data, written));
    assert_memory_equal(data + 2, "abcd", 4);
    static const uint8_t four[8] = {0, 0, 1, 1, 1, 1, 0, 0};
    assert_memory_equal(written, four, 8);
    assert_true(kds_sim_memory_read(m, b, 4, data, written));
    assert_int_equal(data[3], 0xee);
    assert_false(kds_sim_memory_read(m, b + 96, 5, data, NULL));
    assert_false(kds_sim_memory_write(m, a - 1, 1, "x"));
    assert_false(kds_sim_memory_read(m, 0, 1, data, NULL));
    assert_true(kds_sim_memory_read(m, b + 100, 0, data, NULL));
    kds_sim_memory_free(m);
}

/* A kernel of 32 threads over buffers x (input, 1024 bytes) and y (output, 1024 bytes, undefined).
 * %x and %y are the buffers plus 4 * tid. */
static kds_sim_result run_access(const char *body, uint32_t blocks, char *ranges,
                                 const kds_sim_options *o)
{
    static char text[8192];
    snprintf(text, sizeof text,
             HEADER
             ".visible .entry k(.param .u64 x, .param .u64 y)\n{\n"
             ".reg .pred %%p<4>; .reg .b32 %%r<20>; .reg .b64 %%d<10>; .reg .b32 %%t; .reg .b16 "
             "%%h<4>; .reg .b64 %%x, %%y, %%x0, %%y0, %%o;\n"
             ".shared .align 16 .b8 s[256];\n"
             "ld.param.u64 %%x0, [x]; ld.param.u64 %%y0, [y]; mov.u32 %%t, %%tid.x;\n"
             "mul.wide.u32 %%o, %%t, 4; add.s64 %%x, %%x0, %%o; add.s64 %%y, %%y0, %%o;\n"
             ".loc 1 77 3\n"
             "%s\nret;\n}\n",
             body);
    kds_sim_module *m = load(text);
    const char *missing = kds_sim_module_missing(m, "k");
    if (missing != NULL)
        fail_msg("%s", missing);
    kds_sim_memory *memory = kds_sim_memory_create();
    uint64_t p[2] = {add_buffer(memory, "x", 1024, KDS_SIM_DEFINED, true),
                     add_buffer(memory, "y", 1024, KDS_SIM_UNDEFINED, false)};
    kds_sim_result r = launch(m, "k", blocks, 32, 0, p, sizeof p, memory, o);
    if (ranges != NULL) {
        ranges[0] = '\0';
        kds_sim_memory_each_written(memory, p[1], collect_range, ranges);
    }
    kds_sim_memory_free(memory);
    kds_sim_module_free(m);
    return r;
}

static void faults_are_named_and_placed(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        kds_sim_status status;
        const char *text;
    } cases[] = {
        {"ld.global.u32 %r1, [%x+1000];", KDS_SIM_OUT_OF_BOUNDS,
         "out of bounds: kernel k, block (0, 0, 0), thread (6, 0, 0): ld.global.u32 at PTX line "
         "11: "
         "reads 4 bytes at the end of x (1024 bytes)"},
        {"ld.global.u32 %r1, [%x0+1028];", KDS_SIM_OUT_OF_BOUNDS,
         "thread (0, 0, 0): ld.global.u32 at PTX line 11: reads 4 bytes at 4 bytes past the end of "
         "x "
         "(1024 bytes)"},
        {"ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%x0+-16];", KDS_SIM_OUT_OF_BOUNDS,
         "reads 16 bytes at 16 bytes before the start of x"},
        {"st.global.u16 [%y0+1024], %h1;", KDS_SIM_OUT_OF_BOUNDS, "writes 2 bytes at the end of y"},
        {"add.s64 %d1, %y0, 1048576; st.global.u8 [%d1], %h1;", KDS_SIM_OUT_OF_BOUNDS,
         "writes 1 byte at 1047552 bytes past the end of y"},
        {"ld.global.u32 %r1, [0];", KDS_SIM_OUT_OF_BOUNDS, "at address 0x0, a null pointer"},
        {"ld.global.u32 %r1, [%x0+2];", KDS_SIM_MISALIGNED,
         "misaligned: kernel k, block (0, 0, 0), thread (0, 0, 0): ld.global.u32 at PTX line 11: "
         "reads 4 bytes at byte 2 of x (1024 bytes): not a multiple of 4"},
        {"ld.global.v2.u32 {%r1, %r2}, [%x];", KDS_SIM_MISALIGNED, "thread (1, 0, 0)"},
        {"ld.global.u32 %r1, [%y+8];", KDS_SIM_UNINITIALISED,
         "read of memory that was never written: kernel k, block (0, 0, 0), thread (0, 0, 0): "
         "ld.global.u32 at PTX line 11: reads 4 bytes at byte 8 of y (1024 bytes)"},
        {"st.global.u16 [%y0], %h1; st.global.u8 [%y0+2], %h1; ld.global.u32 %r1, [%y0];",
         KDS_SIM_UNINITIALISED, "byte 0 of y"},
        {"st.global.u32 [%x], %r1;", KDS_SIM_WROTE_INPUT,
         "store to a read-only input: kernel k, block (0, 0, 0), thread (0, 0, 0): st.global.u32 "
         "at "
         "PTX line 11: writes 4 bytes at byte 0 of x"},
        {"atom.global.add.u32 %r1, [%x], 1;", KDS_SIM_WROTE_INPUT, "atom.global.add.u32"},
        {"red.global.add.u32 [%y], 1;", KDS_SIM_UNINITIALISED, "red.global.add.u32"},
        {"red.global.add.v4.f32 [%y0+8], {%r1, %r1, %r1, %r1};", KDS_SIM_MISALIGNED,
         "writes 16 bytes at byte 8 of y (1024 bytes): not a multiple of 16"},
        {"red.global.add.v2.f32 [%y0+1024], {%r1, %r1};", KDS_SIM_OUT_OF_BOUNDS, "the end of y"},
        {"mov.u64 %d1, s; cvta.shared.u64 %d1, %d1; red.add.v2.f32 [%d1], {%r1, %r1};",
         KDS_SIM_OUT_OF_BOUNDS, "red.add.v2.f32"},
        {"mov.u64 %d1, s; add.s64 %d1, %d1, %o; st.shared.u32 [%d1+132], %t;",
         KDS_SIM_OUT_OF_BOUNDS,
         "thread (31, 0, 0): st.shared.u32 at PTX line 11: writes 4 bytes at byte 256 of shared "
         "memory (256 bytes)"},
        {"ld.shared.u32 %r1, [s+-4];", KDS_SIM_OUT_OF_BOUNDS, "shared memory (256 bytes)"},
        {"ld.shared.u32 %r1, [s+16];", KDS_SIM_UNINITIALISED, "byte 16 of shared memory"},
        {"mov.u32 %r1, s; st.shared.v4.u32 [%r1+8], {%r1, %r1, %r1, %r1};", KDS_SIM_MISALIGNED,
         "byte 8 of shared memory"},
        {"ld.param.u64 %d1, [y+8];", KDS_SIM_OUT_OF_BOUNDS, "of the parameters (16 bytes)"},
        {"{ .local .align 4 .b8 l[8]; .reg .b64 %a; mov.u64 %a, l; st.local.u32 [%a+8], %t; }",
         KDS_SIM_OUT_OF_BOUNDS, "at the end of l (8 bytes of local memory)"},
        {"mov.u64 %d1, s; cvta.shared.u64 %d1, %d1; ld.u32 %r1, [%d1+256];", KDS_SIM_OUT_OF_BOUNDS,
         "ld.u32 at PTX line 11: reads 4 bytes at byte 256 of shared memory"},
        {"cp.async.cg.shared.global [s], [%x0+1016], 16;", KDS_SIM_MISALIGNED, "byte 1016 of x"},
        {"cp.async.cg.shared.global [s], [%x0+1024], 16;", KDS_SIM_OUT_OF_BOUNDS, "the end of x"},
    };
    for (int checked = 0; checked < 2; checked++)
        for (size_t k = 0; k < COUNT(cases); k++) {
            kds_sim_options o = {.check_uninitialised = checked != 0};
            kds_sim_result r = run_access(cases[k].body, 2, NULL, &o);
            if (cases[k].status == KDS_SIM_UNINITIALISED && !checked) {
                assert_int_equal(r.status, KDS_SIM_OK);
                continue;
            }
            if (r.status != cases[k].status || strstr(r.report, cases[k].text) == NULL)
                fail_msg("%s\n%s: %s\nwanted %s", cases[k].body, kds_sim_status_name(r.status),
                         r.report, cases[k].text);
            assert_int_equal(r.source_line, 77);
        }
}

static void clean_accesses_pass(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "ld.global.u32 %r1, [%x+896]; st.global.u32 [%y+896], %r1;",
        "st.global.u32 [%y], %t; ld.global.u32 %r1, [%y];",
        "st.global.u32 [%y], %t; red.global.add.u32 [%y], 1; atom.global.exch.b32 %r1, [%y+512], "
        "3;",
        "st.global.v4.u32 [%y0], {%t, %t, %t, %t}; atom.global.add.v4.f32 {%r1, %r2, %r3, %r4}, "
        "[%y0], {%t, %t, %t, %t}; atom.global.sys.xor.b32 %r1, [%y0+8], 1; "
        "red.release.gpu.global.add.noftz.v2.f16x2 [%y0+8], {%r1, %r2};",
        /* Widened loads of 12 bytes: the last 4 are not used. */
        "st.shared.v2.u32 [s], {%t, %t}; st.shared.u32 [s+8], %t; .pragma \"used_bytes_mask 4095\";"
        "ld.shared.v4.u32 {%r1, %r2, %r3, %r4}, [s];",
        "st.global.u32 [%y0], %t; .pragma \"used_bytes_mask 0x0f\";ld.global.v2.u32 {%r1, %r2}, "
        "[%y0];",
        "cp.async.ca.shared.global [s], [%x0+1020], 4; cp.async.commit_group; "
        "cp.async.wait_group 0; ld.shared.u32 %r1, [s]; mov.u32 %r2, 0; "
        "cp.async.cg.shared.global [s], [%x0+4096], 16, %r2; cp.async.wait_all; "
        "ld.shared.u32 %r1, [s+12];",
        "prefetch.global.L2 [%x0+99999]; ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%r1, %r2, "
        "%r3, %r4}, [%x0]; st.global.cs.v2.u32 [%y0], {%r1, %r2};",
        "createpolicy.fractional.L2::evict_first.b64 %d1, 0f3F800000; "
        "ld.global.nc.L2::cache_hint.u32 %r1, [%x0], %d1;",
        "fence.sc.cta; membar.gl; fence.acq_rel.gpu; nanosleep.u32 100; "
        "setmaxnreg.dec.sync.aligned.u32 40; ld.acquire.gpu.global.u32 "
        "%r1, [%x0]; st.release.gpu.global.u32 [%y0], %r1;",
        "isspacep.shared %p1, %x0; @%p1 trap; mov.u64 %d1, s; cvta.shared.u64 %d1, %d1; "
        "isspacep.shared %p1, %d1; @!%p1 trap; cvta.to.shared.u64 %d2, %d1; mov.u64 %d3, s; "
        "setp.ne.u64 %p2, %d2, %d3; @%p2 trap;",
    };
    for (size_t k = 0; k < COUNT(bodies); k++) {
        kds_sim_result r = run_access(bodies[k], 1, NULL, NULL);
        if (r.status != KDS_SIM_OK)
            fail_msg("%s\n%s", bodies[k], r.report);
    }
}

static void stores_are_remembered(void **state)
{
    (void)state;
    char ranges[200];
    run_access("st.global.u32 [%y+128], %t; st.global.u8 [%y0+3], %t;", 1, ranges, NULL);
    assert_string_equal(ranges, "[3+1][128+128]");
    run_access("add.s64 %d1, %y, %o; st.global.v2.u32 [%d1], {%t, %t};", 1, ranges, NULL);
    assert_string_equal(ranges, "[0+256]");
}

static double count(const kds_sim_result *r, kds_sim_counter c)
{
    return r->counters[c];
}

#define EXPECT(name, value)                                                                        \
    do {                                                                                           \
        if (count(&r, KDS_SIM_COUNTER_##name) != (double)(value))                                  \
            fail_msg("%s\n" #name " is %g, not %g", body, count(&r, KDS_SIM_COUNTER_##name),       \
                     (double)(value));                                                             \
    } while (0)

static void global_patterns_are_counted(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        double requests, sectors, unique;
    } cases[] = {
        {"ld.global.u32 %r1, [%x];", 1, 4, 4},
        {"ld.global.u32 %r1, [%x+16];", 1, 5, 5},
        {"ld.global.u32 %r1, [%x0];", 1, 1, 1},
        {"mul.wide.u32 %o, %t, 2; add.s64 %x, %x0, %o; ld.global.u16 %h1, [%x];", 1, 2, 2},
        {"cvt.u64.u32 %o, %t; add.s64 %x, %x0, %o; ld.global.u8 %h1, [%x];", 1, 1, 1},
        {"mul.wide.u32 %o, %t, 8; add.s64 %x, %x0, %o; ld.global.u32 %r1, [%x];", 1, 8, 8},
        {"mul.wide.u32 %o, %t, 32; add.s64 %x, %x0, %o; ld.global.u32 %r1, [%x];", 1, 32, 32},
        {"mul.wide.u32 %o, %t, 16; add.s64 %x, %x0, %o; ld.global.v4.u32 {%r1, %r2, %r3, %r4}, "
         "[%x];",
         1, 16, 16},
        {"mul.wide.u32 %o, %t, 8; add.s64 %x, %x0, %o; ld.global.v2.u32 {%r1, %r2}, [%x]; "
         "ld.global.u64 %d1, [%x];",
         2, 16, 8},
        {"setp.lt.u32 %p1, %t, 8; @%p1 ld.global.u32 %r1, [%x];", 1, 1, 1},
        {"xor.b32 %r2, %t, 31; mul.wide.u32 %o, %r2, 4; add.s64 %x, %x0, %o; ld.global.u32 %r1, "
         "[%x];",
         1, 4, 4},
        {"and.b32 %r2, %t, 1; mul.wide.u32 %o, %r2, 512; add.s64 %x, %x0, %o; ld.global.u32 %r1, "
         "[%x]; ld.global.u32 %r1, [%x];",
         2, 4, 2},
    };
    for (size_t k = 0; k < COUNT(cases); k++) {
        const char *body = cases[k].body;
        kds_sim_result r = run_access(body, 1, NULL, NULL);
        assert_int_equal(r.status, KDS_SIM_OK);
        EXPECT(GLOBAL_LD_REQUESTS, cases[k].requests);
        EXPECT(GLOBAL_LD_SECTORS, cases[k].sectors);
        EXPECT(UNIQUE_LD_SECTORS, cases[k].unique);
        EXPECT(GLOBAL_ST_REQUESTS, 0);
    }
    const char *body = "st.global.u32 [%y], %t; red.global.add.u32 [%y], %t;"
                       "red.global.add.u32 [%y0], %t;";
    kds_sim_result r = run_access(body, 3, NULL, NULL);
    EXPECT(GLOBAL_ST_REQUESTS, 3);
    EXPECT(GLOBAL_ST_SECTORS, 12);
    EXPECT(UNIQUE_ST_SECTORS, 4);
    EXPECT(GLOBAL_RED_REQUESTS, 6);
    EXPECT(GLOBAL_RED_SECTORS, 15);
    EXPECT(BLOCKS, 3);
    EXPECT(WARPS, 3);
}

static void banks_are_counted(void **state)
{
    (void)state;
    /* %r1 = byte offset of each lane, then an access. */
    static const struct {
        const char *offset, *access;
        double loads, conflicts;
    } cases[] = {
        {"shl.b32 %r1, %t, 2;", "ld.shared.u32 %r2, [%r1];", 1, 0},
        {"mov.u32 %r1, 8;", "ld.shared.u32 %r2, [%r1];", 1, 0},
        {"and.b32 %r1, %t, 1; shl.b32 %r1, %r1, 7;", "ld.shared.u32 %r2, [%r1];", 2, 1},
        {"shl.b32 %r1, %t, 3;", "ld.shared.u32 %r2, [%r1];", 2, 1},
        {"mul.lo.u32 %r1, %t, 128;", "ld.shared.u32 %r2, [%r1];", 32, 31},
        {"mul.lo.u32 %r1, %t, 132;", "ld.shared.u32 %r2, [%r1];", 1, 0},
        {"shl.b32 %r1, %t, 1;", "ld.shared.u16 %h1, [%r1];", 1, 0},
        {"mov.u32 %r1, %t;", "ld.shared.u8 %h1, [%r1];", 1, 0},
        {"shl.b32 %r1, %t, 3;", "ld.shared.v2.u32 {%r2, %r3}, [%r1];", 2, 0},
        {"shl.b32 %r1, %t, 4;", "ld.shared.v4.u32 {%r2, %r3, %r4, %r5}, [%r1];", 4, 0},
        {"shl.b32 %r1, %t, 7;", "ld.shared.v4.u32 {%r2, %r3, %r4, %r5}, [%r1];", 32, 28},
        {"xor.b32 %r1, %t, 9; shl.b32 %r1, %r1, 2;", "ld.shared.u32 %r2, [%r1];", 1, 0},
        /* What all lanes together want fits in one. */
        {"mov.u32 %r1, 8;", "ld.shared.v2.u32 {%r2, %r3}, [%r1];", 1, 0},
        {"and.b32 %r1, %t, 7; shl.b32 %r1, %r1, 4;",
         "ld.shared.v4.u32 {%r2, %r3, %r4, %r5}, [%r1];", 1, 0},
    };
    for (size_t k = 0; k < COUNT(cases); k++) {
        static char body[2048];
        snprintf(body, sizeof body,
                 "{ .shared .align 16 .b8 big[8192]; .reg .b32 %%i, %%e; .reg .pred %%z;"
                 "shl.b32 %%i, %%t, 4; INIT: st.shared.v4.u32 [%%i], {%%t, %%t, %%t, %%t};"
                 "add.u32 %%i, %%i, 512; setp.lt.u32 %%z, %%i, 8192; @%%z bra INIT; bar.sync 0;"
                 "mov.u32 %%i, big; %s mov.u32 %%e, 0; AGAIN: %s add.u32 %%e, %%e, 1; setp.lt.u32 "
                 "%%z, %%e, 3; @%%z bra AGAIN; }",
                 cases[k].offset, cases[k].access);
        kds_sim_result r = run_access(body, 1, NULL, NULL);
        if (r.status != KDS_SIM_OK)
            fail_msg("%s\n%s", body, r.report);
        /* Three times: the second and third go through the memory of patterns. */
        EXPECT(SHARED_LD_WAVEFRONTS, 3 * cases[k].loads);
        EXPECT(SHARED_LD_CONFLICTS, 3 * cases[k].conflicts);
        EXPECT(SHARED_ST_WAVEFRONTS, 16 * 4);
        EXPECT(SHARED_ST_CONFLICTS, 0);
    }
}

static void instructions_are_counted(void **state)
{
    (void)state;
    const char *body = "setp.lt.u32 %p1, %t, 10; @%p1 bra L; add.u32 %r1, %t, 1; L: bar.sync 0;";
    kds_sim_result r = run_access(body, 2, NULL, NULL);
    /* 6 at the start, 2 up to the branch, 1 for 22 lanes, bar, ret. */
    EXPECT(WARP_INST, 2 * (6 + 2 + 1 + 2));
    EXPECT(THREAD_INST, 2 * (32 * 8 + 22 + 64));
    EXPECT(BRANCHES, 2);
    EXPECT(BRANCHES_DIVERGENT, 2);
    EXPECT(BARRIERS, 2);
    body = "mov.u32 %r1, 0; L: add.u32 %r1, %r1, 1; setp.lt.u32 %p1, %r1, 50; @%p1 bra L;";
    r = run_access(body, 1, NULL, NULL);
    EXPECT(WARP_INST, 6 + 1 + 150 + 1);
    EXPECT(BRANCHES, 50);
    EXPECT(BRANCHES_DIVERGENT, 0);
    /* Local memory: the same offset in all lanes is 4 sectors a word. */
    body = "{ .local .align 4 .b8 l[8]; .reg .b64 %a; mov.u64 %a, l; st.local.u32 [%a+4], %t; "
           "ld.local.u32 %r1, [%a+4]; }";
    r = run_access(body, 1, NULL, NULL);
    EXPECT(LOCAL_SECTORS, 8);
    EXPECT(GLOBAL_LD_REQUESTS, 0);
}

static void launches_are_checked(void **state)
{
    (void)state;
    kds_sim_module *m =
        load(HEADER ".visible .entry k(.param .u64 a, .param .u32 b)\n.maxntid 64, 1, "
                    "1\n{ .shared .b8 s[1024]; .reg .b64 %d; mov.u64 %d, s; ret; }\n"
                    ".entry odd() .reqntid 8, 4 { ret; }");
    kds_sim_memory *memory = kds_sim_memory_create();
    uint8_t params[16] = {0};
    static const struct {
        const char *kernel;
        uint32_t blocks, threads, shared;
        size_t params;
        const char *text;
    } cases[] = {
        {"nothing", 1, 32, 0, 12, "no kernel 'nothing'"},
        {"k", 0, 32, 0, 12, "grid (0, 1, 1)"},
        {"k", 1, 0, 0, 12, "block (0, 1, 1)"},
        {"k", 1, 1025, 0, 12, "block (1025, 1, 1)"},
        {"k", 1, 96, 0, 12, "96 threads, but it was compiled for at most 64"},
        {"k", 1, 32, 231425, 12, "232449 bytes of shared memory"},
        {"k", 1, 32, 0, 16, "takes 12 bytes of parameters, not 16"},
        {"odd", 1, 32, 0, 0, "requires a block of (8, 4, 1)"},
    };
    for (size_t k = 0; k < COUNT(cases); k++) {
        kds_sim_result r = launch(m, cases[k].kernel, cases[k].blocks, cases[k].threads,
                                  cases[k].shared, params, cases[k].params, memory, NULL);
        assert_int_equal(r.status, KDS_SIM_BAD_LAUNCH);
        if (strstr(r.report, cases[k].text) == NULL)
            fail_msg("%s", r.report);
    }
    kds_sim_result r = launch(m, "k", 1, 33, 231424, params, 12, memory, NULL);
    assert_int_equal(r.status, KDS_SIM_OK);
    static const uint64_t beyond[] = {0, 2};
    kds_sim_options o = {.blocks = beyond, .block_count = 2};
    r = launch(m, "k", 2, 32, 0, params, 12, memory, &o);
    assert_int_equal(r.status, KDS_SIM_BAD_LAUNCH);
    kds_sim_memory_free(memory);
    kds_sim_module_free(m);
}

/* Module variables keep their values from launch to launch within a memory. */
static void module_variables_persist(void **state)
{
    (void)state;
    kds_sim_module *m = load(
        HEADER ".global .align 4 .u32 counter = 3;\n.const .align 4 .f32 table[2] = {0f3F800000, "
               "2.5};\n.global .align 8 .u64 pointer = generic(counter);\n"
               ".visible .entry k(.param .u64 out)\n{ .reg .b64 %o, %c; .reg .b32 %r<4>; .reg "
               ".f32 %f;\nld.param.u64 %o, [out]; ld.global.u64 %c, [pointer]; atom.add.u32 "
               "%r1, [%c], 5; ld.const.f32 %f, [table+4];\nst.global.u32 [%o], %r1; "
               "st.global.f32 [%o+4], %f; ret; }");
    kds_sim_memory *memory = kds_sim_memory_create();
    uint64_t out = add_buffer(memory, "out", 8, KDS_SIM_UNDEFINED, false);
    for (uint32_t k = 0; k < 3; k++) {
        kds_sim_result r = launch(m, "k", 1, 1, 0, &out, 8, memory, NULL);
        if (r.status != KDS_SIM_OK)
            fail_msg("%s", r.report);
        uint32_t got[2];
        assert_true(kds_sim_memory_read(memory, out, 8, got, NULL));
        assert_int_equal(got[0], 3 + 5 * k);
        assert_int_equal(got[1], 0x40200000);
    }
    kds_sim_memory_free(memory);
    kds_sim_module_free(m);
}

/* The dependency timing: a chain costs its latencies, independent work does not, and what the block
 * has read before comes from the L1. A load does not pass a store, nor a branch over one, unless
 * it is of constant data; a branch over little else is as good as none. */
static void traces_follow_dependencies(void **state)
{
    (void)state;
    static const kds_sim_latency l = {.alu = 5,
                                      .fp32 = 4,
                                      .shared = 30,
                                      .global_l1 = 40,
                                      .global_l2 = 200,
                                      .global_dram = 500,
                                      .barrier = 20,
                                      .shuffle = 25};
    static const char *const bodies[] = {
        "",
        "ld.global.u32 %r1, [%x]; add.u32 %r2, %r1, 1;",
        "ld.global.u32 %r1, [%x]; ld.global.u32 %r2, [%x+256]; add.u32 %r3, %r1, %r2;",
        "ld.global.u32 %r1, [%x]; and.b32 %r1, %r1, 0; cvt.u64.u32 %d1, %r1; add.s64 %d2, %x, %d1; "
        "ld.global.u32 %r2, [%d2+256]; add.u32 %r3, %r2, 1;",
        "ld.global.u32 %r1, [%x]; and.b32 %r1, %r1, 0; cvt.u64.u32 %d1, %r1; add.s64 %d2, %x, %d1; "
        "ld.global.u32 %r2, [%d2]; add.u32 %r3, %r2, 1;",
        "ld.global.u32 %r1, [%x]; st.global.u32 [%y], %r1; ld.global.u32 %r2, [%x+256]; add.u32 "
        "%r3, %r2, 1;",
        "ld.global.u32 %r1, [%x]; st.global.u32 [%y], %r1; ld.global.nc.u32 %r2, [%x+256]; add.u32 "
        "%r3, %r2, 1;",
        "ld.global.u32 %r1, [%x]; setp.eq.u32 %p1, %t, 77; add.u32 %r1, %r1, 1; @%p1 bra over; "
        "st.global.u32 [%y], %r1; over: ld.global.nc.u32 %r2, [%x+256]; add.u32 %r3, %r2, 1;",
        "ld.global.u32 %r1, [%x]; setp.eq.u32 %p1, %t, 77; add.u32 %r1, %r1, 1; @%p1 bra over; "
        "add.u32 %r1, %r1, 3; over: ld.global.u32 %r2, [%x+256]; add.u32 %r3, %r2, %r1;",
    };
    static const double least[] = {1, 500, 500, 1000, 540, 1000, 500, 1000, 500};
    static const double most[] = {60, 560, 565, 1080, 620, 1080, 570, 1080, 590};
    kds_sim_options o = {.check_uninitialised = true, .latency = &l};
    for (size_t k = 0; k < COUNT(bodies); k++) {
        double cycles = run_access(bodies[k], 1, NULL, &o).trace_cycles;
        if (!(cycles >= least[k] && cycles <= most[k]))
            fail_msg("%s takes %g cycles, not %g to %g", bodies[k], cycles, least[k], most[k]);
    }
    /* Registers for one load at a time. */
    o.registers = 13;
    assert_true(run_access(bodies[2], 1, NULL, &o).trace_cycles > 1000);
    /* Of a second block, what the first one has read comes from the L2. */
    o = (kds_sim_options){.check_uninitialised = true, .latency = &l, .trace_blocks = 2};
    kds_sim_result both = run_access(bodies[1], 2, NULL, &o);
    assert_true(both.trace_longest > 500 && both.trace_longest <= 560);
    assert_true(fabs(both.trace_cycles - (both.trace_longest - 150)) < 1);
    assert_true(both.l1_loads == 8 && both.l1_misses == 8 && both.l1_again == 0);
    /* 128 bytes side by side are one line, 512 at a stride of 16 are four. */
    assert_true(both.counters[KDS_SIM_COUNTER_LINES] == 2);
    both = run_access("mul.wide.u32 %o, %t, 16; add.s64 %y, %y0, %o; st.global.u32 [%y], %t;", 1,
                      NULL, &o);
    assert_true(both.counters[KDS_SIM_COUNTER_LINES] == 4);
    assert_true(both.counters[KDS_SIM_COUNTER_ST_LINES] == 4);
    /* A lane in four to the same line, out of order: every line once. */
    both = run_access("xor.b32 %r1, %t, 21; mul.wide.u32 %o, %r1, 32; add.s64 %x, %x0, %o; "
                      "ld.global.u32 %r1, [%x];",
                      1, NULL, &o);
    assert_true(both.counters[KDS_SIM_COUNTER_LINES] == 8);
    assert_true(both.l1_loads == 32 && both.l1_misses == 32);
    /* A share of one line: what was read two lines ago is gone. */
    o.l1_lines = 1;
    both = run_access("ld.global.u32 %r1, [%x]; ld.global.u32 %r2, [%x+256]; ld.global.u32 %r3, "
                      "[%x+512]; ld.global.u32 %r4, [%x];",
                      1, NULL, &o);
    assert_true(both.l1_misses == 16 && both.l1_again == 4 && both.again_lines == 3);
    o.latency = NULL;
    assert_true(run_access("", 4, NULL, &o).trace_cycles == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_sees_pages),
        cmocka_unit_test(faults_are_named_and_placed),
        cmocka_unit_test(clean_accesses_pass),
        cmocka_unit_test(stores_are_remembered),
        cmocka_unit_test(global_patterns_are_counted),
        cmocka_unit_test(banks_are_counted),
        cmocka_unit_test(instructions_are_counted),
        cmocka_unit_test(launches_are_checked),
        cmocka_unit_test(module_variables_persist),
        cmocka_unit_test(traces_follow_dependencies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
