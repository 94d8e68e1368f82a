/* What counts as an operation on floating-point numbers, and by which lanes. */
#include "tests/eval/sim_test.h"

/* Runs instructions between declarations and the end, with `lanes` threads, and counts. */
static kds_sim_result count(const char *body, uint32_t lanes)
{
    char ptx[4000];
    uint64_t out;
    kds_sim_memory *memory = kds_sim_memory_create();
    assert_non_null(memory);
    out = add_buffer(memory, "out", 256, KDS_SIM_DEFINED, false);
    (void)snprintf(ptx, sizeof ptx,
                   HEADER
                   ".visible .entry k(.param .u64 out)\n{\n"
                   ".reg .f32 %%f<9>; .reg .f64 %%d<9>; .reg .b16 %%h<9>; .reg .b32 %%r<99>;\n"
                   ".reg .pred %%p<9>; .reg .b64 %%a<9>;\n"
                   "ld.param.u64 %%a1, [out];\nmov.f32 %%f1, 0f3FC00000;\n"
                   "mov.f64 %%d1, 0d3FF8000000000000;\nmov.b32 %%r1, 0;\n"
                   "mov.u32 %%r9, %%tid.x;\n%s\nret;\n}\n",
                   body);
    kds_sim_module *m = load(ptx);
    kds_sim_result r = launch(m, "k", 1, lanes, 0, &out, sizeof out, memory, NULL);
    if (r.status != KDS_SIM_OK)
        fail_msg("%s", r.report);
    kds_sim_module_free(m);
    kds_sim_memory_free(memory);
    return r;
}

static void test_operations(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        double per_lane;
    } cases[] = {
        {"add.f32 %f2, %f1, %f1; st.global.f32 [%a1], %f2;", 1},
        {"fma.rn.f32 %f2, %f1, %f1, %f1; st.global.f32 [%a1], %f2;", 2},
        {"fma.rn.ftz.f32 %f2, %f1, %f1, %f1; st.global.f32 [%a1], %f2;", 2},
        {"max.f32 %f2, %f1, %f1; ex2.approx.f32 %f3, %f2; div.rn.f32 %f4, %f3, %f1;"
         " rsqrt.approx.f32 %f5, %f4; st.global.f32 [%a1], %f5;",
         4},
        {"fma.rn.f64 %d2, %d1, %d1, %d1; sqrt.rn.f64 %d3, %d2; st.global.f64 [%a1], %d3;", 3},
        {"add.f16x2 %r2, %r1, %r1; fma.rn.f16x2 %r3, %r2, %r2, %r2; st.global.b32 [%a1], %r3;", 6},
        {"mov.b16 %h1, 0; mul.f16 %h2, %h1, %h1; st.global.b16 [%a1], %h2;", 1},
        {"red.global.add.f32 [%a1], %f1; red.global.add.u32 [%a1+4], %r1;", 1},
        /* none of these */
        {"neg.f32 %f2, %f1; abs.f32 %f3, %f2; cvt.rn.f16.f32 %h1, %f3; setp.gt.f32 %p1, %f1, %f3;"
         " selp.f32 %f4, %f1, %f3, %p1; add.s32 %r2, %r1, %r1; mul.lo.s32 %r3, %r2, %r2;"
         " st.global.f32 [%a1], %f4; st.global.u32 [%a1+4], %r3; st.global.b16 [%a1+8], %h1;",
         0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kds_sim_result r = count(cases[i].body, 32);
        if (r.flops != 32 * cases[i].per_lane || r.matrix_flops != 0)
            fail_msg("%s: %g operations, not %g", cases[i].body, r.flops, 32 * cases[i].per_lane);
        assert_true(count(cases[i].body, 5).flops == 5 * cases[i].per_lane);
    }
}

/* Lanes that jump over an instruction do not count. */
static void test_lanes(void **state)
{
    (void)state;
    assert_true(count("setp.gt.u32 %p1, %r9, 2; @%p1 bra over; add.f32 %f2, %f1, %f1;"
                      " st.global.f32 [%a1], %f2; over:",
                      32)
                    .flops == 3);
}

static void test_matrices(void **state)
{
    (void)state;
    kds_sim_result r =
        count("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f2, %f3, %f4, %f5},"
              " {%r1, %r1, %r1, %r1}, {%r1, %r1}, {%f1, %f1, %f1, %f1}; st.global.f32 [%a1], %f2;",
              64);
    assert_true(r.flops == 0);
    assert_true(r.matrix_flops == 2 * 2 * 16 * 8 * 16);
    r = count("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r2, %r3, %r4, %r5},"
              " {%r1, %r1, %r1, %r1}, {%r1, %r1}, {%r1, %r1, %r1, %r1}; st.global.u32 [%a1], %r2;",
              32);
    assert_true(r.matrix_flops == 0); /* of integers */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_lanes),
        cmocka_unit_test(test_matrices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
