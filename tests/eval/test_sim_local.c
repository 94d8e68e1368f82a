/* Local memory: what was never written, places outside of variables, and no alarm about what
 * compilers do with correct code. */
#include "tests/eval/sim_nvrtc.h"

enum { THREADS = 64 };

typedef struct run_options {
    int32_t n;
    uint32_t blocks;
    bool unchecked;
    const char *isa;
} run_options;

static kds_sim_result run(const kds_sim_module *m, int32_t *out, run_options o)
{
    const char *missing = kds_sim_module_missing(m, "k");
    if (missing != NULL)
        fail_msg("%s", missing);
    kds_sim_memory *memory = kds_sim_memory_create();
    size_t bytes = THREADS * 4;
    struct {
        uint64_t out;
        int32_t n;
    } p = {add_buffer(memory, "out", bytes, KDS_SIM_DEFINED, false), o.n};
    kds_sim_options options = {
        .check_uninitialised = !o.unchecked, .isa = o.isa, .budget = 50000000};
    kds_sim_result r =
        launch(m, "k", o.blocks > 0 ? o.blocks : 1, THREADS, 0, &p, 12, memory, &options);
    assert_true(kds_sim_memory_read(memory, p.out, bytes, out, NULL));
    kds_sim_memory_free(memory);
    return r;
}

static void expect(const kds_sim_module *m, const char *what, int32_t n, kds_sim_status status,
                   const char *text)
{
    int32_t out[THREADS];
    for (int isa = 0; isa < 2; isa++) {
        kds_sim_result r = run(m, out, (run_options){.n = n, .isa = instruction_sets()[isa]});
        if (r.status != status || strstr(r.report, text) == NULL)
            fail_msg("%s\n%s: %s, without '%s'", what, kds_sim_status_name(r.status), r.report,
                     text);
    }
}

typedef struct fault_case {
    const char *body;
    int32_t n;
    kds_sim_status status;
    const char *text;
} fault_case;

/* Bodies of a kernel with i = threadIdx.x, in CUDA C++. */
static void faults_of_arrays(void **state)
{
    static const fault_case cases[] = {
        {"float a[8]; for (int j = 0; j < n; j++) a[(j + i) & 7] += j; out[i] = a[n & 7];", 3,
         KDS_SIM_UNINITIALISED, "it was computed from a value never written, read at PTX line"},
        {"float a[8]; for (int j = 0; j < n; j++) a[j] = j;\n"
         "float s = 0; for (int j = 0; j < 8; j++) s += a[j]; out[i] = s;",
         7, KDS_SIM_UNINITIALISED, "at byte 28 of __local_depot"},
        {"int a[4]; for (int j = 0; j < n; j++) a[j] = j; out[a[i & 3]] = 1;", 3,
         KDS_SIM_UNINITIALISED, "its address comes from memory never written, read at PTX line"},
        {"int a[4]; for (int j = 0; j < n; j++) a[j] = j; atomicAdd(out, a[i & 3]);", 3,
         KDS_SIM_UNINITIALISED, "it takes a value never written"},
        {"double a[6]; for (int j = 0; j < n; j++) a[j] = j; double b[6];\n"
         "for (int j = 0; j < 6; j++) b[5 - j] = a[j]; out[i] = (int)(b[i % 6] * 2);",
         5, KDS_SIM_UNINITIALISED, "__local_depot"},
        {"int a[8]; for (int j = 0; j < 8; j++) a[j] = j; a[i + n] = 5; out[i] = a[n];", 4,
         KDS_SIM_OUT_OF_BOUNDS, "writes 4 bytes at the end of __local_depot"},
        {"int a[8]; for (int j = 0; j < 8; j++) a[j] = j; out[i] = a[i + n];", 60,
         KDS_SIM_OUT_OF_BOUNDS, "past the end of __local_depot"},
        {"int a[8]; for (int j = 0; j < 8; j++) a[j] = j; out[i] = a[n - i];", 7,
         KDS_SIM_OUT_OF_BOUNDS, "reads 4 bytes at 4 bytes before the start of __local_depot"},
        {"char a[32]; for (int j = 0; j < 32; j++) a[j] = j; out[i] = *(int *)(a + n);", 5,
         KDS_SIM_MISALIGNED, "not a multiple of 4"},
        {"int a[8]; for (int j = 0; j < 8; j++) a[j] = j; beyond(a, n); out[i] = a[n & 7];", 8,
         KDS_SIM_OUT_OF_BOUNDS, "in function _Z6beyondPii"},
        {"out[i] = deeper(n, i);", 3, KDS_SIM_UNINITIALISED, "in function _Z6deeperii"},
    };
    static char source[4096];
    for (size_t k = 0; k < COUNT(cases); k++) {
        snprintf(source, sizeof source,
                 "__device__ __noinline__ void beyond(int *a, int n) { a[n] = 1; }\n"
                 "__device__ __noinline__ int deeper(int n, int i) { int a[4];\n"
                 "  if (n > 0) { for (int j = 0; j < 4; j++) a[j] = n;\n"
                 "    a[i & 3] += deeper(n - 1, i); }\n"
                 "  return a[i & 3] + a[(i + n) & 3]; }\n"
                 "extern \"C\" __global__ void k(int *out, int n) { int i = threadIdx.x;\n%s }\n",
                 cases[k].body);
        for (size_t a = 0; a < COUNT(archs); a++) {
            kds_sim_module *m = compile(*state, source, archs[a]);
            expect(m, cases[k].body, cases[k].n, cases[k].status, cases[k].text);
            kds_sim_module_free(m);
        }
    }
}

/* Correct code whose compiled form reads bytes that nobody wrote: padding, members that do not
 * count, whole words of bit fields, values read ahead of their condition. */
static void correct_code_is_silent(void **state)
{
    static const char *const cases[] = {
        "pad a[4]; for (int j = 0; j < 4; j++) { a[j].c = i + j; a[j].d = j; }\n"
        "pad b = a[(i + n) & 3]; a[(i + n + 1) & 3] = b; pad c = turn(a[(i + n + 1) & 3]);\n"
        "out[i] = c.c + (int)c.d;",
        "maybe a[4]; for (int j = 0; j < 4; j++) { a[j].has = j & 1; if (j & 1) a[j].v = j * 2; }\n"
        "maybe b[4]; for (int j = 0; j < 4; j++) b[(j + n) & 3] = a[j];\n"
        "int s = 0; for (int j = 0; j < 4; j++) if (b[(j + i) & 3].has) s += b[(j + i) & 3].v;\n"
        "out[i] = s;",
        "bits a[4]; for (int j = 0; j < 4; j++) { a[(j + n) & 3].low = j; a[(j + n) & 3].high = i; "
        "}\n"
        "if (a[i & 3].low > 1) out[i] = a[i & 3].high + a[i & 3].low; else out[i] = 7;",
        "int a[8]; for (int j = 0; j < n; j++) a[j] = j * i;\n"
        "int s = 0; for (int j = 0; j < 8; j++) s += j < n ? a[j] + 1 : 0; out[i] = s;",
        "int a[4]; a[0] = i; a[1] = n; int v = i & 1 ? a[2 - (n & 1)] + 5 : a[0]; out[i] = v;",
        "char a[24]; for (int j = 0; j < 24; j++) if (j % 8 < 5) a[j] = j + i;\n"
        "long long w[3]; memcpy(w, a, 24); memcpy(a, w, 24); out[i] = a[n % 5] + a[8 + n % 5];",
        "both a[2]; a[i & 1].f = i; a[1 - (i & 1)].u = n; both b = a[n & 1];\n"
        "out[i] = (int)(b.u >> 8);",
        "top a[4]; int used = 0; for (int j = 0; j < n; j++) { int at = used;\n"
        "  while (at > 0 && a[at - 1].key < (j * 7 + i) % 11) { if (at < 4) a[at] = a[at - 1];\n"
        "    at--; }\n"
        "  if (at < 4) { a[at].key = (j * 7 + i) % 11; a[at].index = j;\n"
        "    if (used < 4) used++; } }\n"
        "out[i] = a[i % used].index;",
        "out[i] = (int)(1e6f * sinf(1e10f + i * 1e7f)) + (int)(1e6f * cosf(-3e20f * (i + n)));",
        "out[i] = (int)(1e6 * sin(1e18 + i * 1e15)) + (int)(1e6f * tanf(1e9f * (i + 1)));",
        "char b[40]; b[n] = i; if (i == n) out[i] = printf(\"%d\", (int)b[n]);",
    };
    static char source[4096];
    for (size_t k = 0; k < COUNT(cases); k++) {
        snprintf(source, sizeof source,
                 "struct pad { char c; double d; };\nstruct maybe { bool has; float v; };\n"
                 "struct bits { unsigned low : 5, high : 11, rest : 16; };\n"
                 "union both { float f; unsigned u; unsigned char b[4]; };\n"
                 "struct top { int key; short index; };\n"
                 "__device__ __noinline__ pad turn(pad p) { pad q = p; q.d += p.c; return q; }\n"
                 "extern \"C\" __global__ void k(int *out, int n) { int i = threadIdx.x;\n%s }\n",
                 cases[k]);
        for (size_t a = 0; a < COUNT(archs); a++) {
            kds_sim_module *m = compile(*state, source, archs[a]);
            expect(m, cases[k], 5, KDS_SIM_OK, "");
            kds_sim_module_free(m);
        }
    }
}

static void large_sines_are_right(void **state)
{
    for (size_t a = 0; a < COUNT(archs); a++) {
        int32_t out[THREADS];
        kds_sim_module *m =
            compile(*state,
                    "extern \"C\" __global__ void k(int *out, int n) { int i = threadIdx.x;\n"
                    "  float x = (i - 30) * 3.7e7f * n; out[i] = __float_as_int(sinf(x)); }\n",
                    archs[a]);
        kds_sim_result r = run(m, out, (run_options){.n = 100003});
        if (r.status != KDS_SIM_OK)
            fail_msg("%s", r.report);
        for (int i = 0; i < THREADS; i++) {
            float x = (float)(i - 30) * 3.7e7f * 100003.0f, have;
            memcpy(&have, &out[i], 4);
            assert_true(fabs((double)have - sin((double)x)) < 2e-7);
        }
        kds_sim_module_free(m);
    }
}

#define KERNEL(body)                                                                               \
    HEADER ".visible .entry k(.param .u64 out, .param .u32 n)\n{\n.local .align 8 .b8 v[16];\n"    \
           ".reg .b32 %r<9>; .reg .b64 %d<9>; .reg .pred %p<3>;\nld.param.u64 %d0, [out];\n"       \
           "mov.u32 %r0, %tid.x; mul.wide.u32 %d1, %r0, 4; add.s64 %d0, %d0, %d1;\n" body          \
           "\nst.global.u32 [%d0], %r1;\nret;\n}\n"

/* What a block left behind is not there for the next one. */
static void each_block_begins_anew(void **state)
{
    (void)state;
    static const char text[] = KERNEL("mov.u32 %r2, %ctaid.x; setp.ne.u32 %p1, %r2, 0;\n"
                                      "@%p1 bra L; st.local.u32 [v+4], %r0;\n"
                                      "L: ld.local.u32 %r1, [v+4]; add.s32 %r1, %r1, 1;");
    int32_t out[THREADS];
    kds_sim_module *m = load(text);
    assert_int_equal(run(m, out, (run_options){.blocks = 1}).status, KDS_SIM_OK);
    kds_sim_result r = run(m, out, (run_options){.blocks = 2});
    assert_int_equal(r.status, KDS_SIM_UNINITIALISED);
    assert_non_null(strstr(r.report, "block (1, 0, 0)"));
    assert_non_null(
        strstr(r.report, "read at PTX line 12 at byte 4 of v (16 bytes of local memory)"));
    /* Where it is not asked for, nothing is reported, and the bytes are ones: -1 + 1. */
    r = run(m, out, (run_options){.blocks = 2, .unchecked = true});
    assert_int_equal(r.status, KDS_SIM_OK);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(out[i], 0);
    kds_sim_module_free(m);
}

/* Byte by byte, and by the mask of the bytes that are used. */
static void bytes_count(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        kds_sim_status status;
    } cases[] = {
        {KERNEL("st.local.u8 [v+1], %r0; ld.local.u8 %r1, [v]; add.s32 %r1, %r1, 1;"),
         KDS_SIM_UNINITIALISED},
        {KERNEL("st.local.u8 [v+1], %r0; ld.local.u8 %r1, [v+1]; add.s32 %r1, %r1, 1;"),
         KDS_SIM_OK},
        /* A word of which a byte was written. */
        {KERNEL("st.local.u8 [v+1], %r0; ld.local.u32 %r1, [v]; add.s32 %r1, %r1, 1;"), KDS_SIM_OK},
        {KERNEL("st.local.u32 [v], %r0; .pragma \"used_bytes_mask 0xf0\";\n"
                "ld.local.v2.u32 {%r2, %r1}, [v]; add.s32 %r1, %r1, 1;"),
         KDS_SIM_UNINITIALISED},
        {KERNEL("st.local.v2.u32 [v], {%r0, %r0}; ld.local.v4.u32 {%r1, %r2, %r3, %r4}, [v];\n"
                "add.s32 %r1, %r1, %r2;"),
         KDS_SIM_OK},
        /* A copy of what was never written is still that. */
        {KERNEL("ld.local.u32 %r1, [v]; st.local.u32 [v+8], %r1; ld.local.u32 %r2, [v+8];\n"
                "add.s32 %r1, %r2, 1;"),
         KDS_SIM_UNINITIALISED},
        {KERNEL("ld.local.u32 %r1, [v]; st.local.u32 [v+8], %r1; st.local.u32 [v+8], %r0;\n"
                "ld.local.u32 %r2, [v+8]; add.s32 %r1, %r2, 1;"),
         KDS_SIM_OK},
        /* Through a generic address, by some of the lanes. */
        {KERNEL("cvta.local.u64 %d2, %d3; mov.u64 %d3, v; cvta.local.u64 %d2, %d3;\n"
                "setp.lt.u32 %p1, %r0, 40; @%p1 st.u32 [%d2+4], %r0; ld.u32 %r1, [%d2+4];\n"
                "setp.lt.u32 %p1, %r0, 41; mov.u32 %r3, 5; selp.b32 %r1, %r1, %r3, %p1;\n"
                "mul.lo.s32 %r1, %r1, 3;"),
         KDS_SIM_UNINITIALISED},
        {KERNEL("mov.u64 %d3, v; cvta.local.u64 %d2, %d3;\n"
                "setp.lt.u32 %p1, %r0, 40; @%p1 st.u32 [%d2+4], %r0; ld.u32 %r1, [%d2+4];\n"
                "mov.u32 %r3, 5; selp.b32 %r1, %r1, %r3, %p1; mul.lo.s32 %r1, %r1, 3;"),
         KDS_SIM_OK},
    };
    for (size_t k = 0; k < COUNT(cases); k++) {
        kds_sim_module *m = load(cases[k].body);
        expect(m, cases[k].body, 0, cases[k].status,
               cases[k].status == KDS_SIM_OK ? "" : "never written");
        kds_sim_module_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_of_arrays),      cmocka_unit_test(correct_code_is_silent),
        cmocka_unit_test(large_sines_are_right), cmocka_unit_test(each_block_begins_anew),
        cmocka_unit_test(bytes_count),
    };
    return cmocka_run_group_tests(tests, open_compiler, NULL);
}
