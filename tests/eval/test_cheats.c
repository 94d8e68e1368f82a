/* Kernels that are wrong on purpose where a gate might not look: each must get its verdict, or be
 * marked so that it is not promoted. */
#include "judge_fixture.h"

static bench_task rope, rms;

static int open_tasks(void **state)
{
    (void)state;
    task_open(&rope, "rotary_embedding", 11);
    task_open(&rms, "rms_norm", 11);
    return 0;
}

static int close_tasks(void **state)
{
    (void)state;
    task_close(&rope);
    task_close(&rms);
    return 0;
}

static bool has_flag(const cJSON *report, const char *flag)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, kds_json_at(report, "flags"))
    {
        if (strcmp(item->valuestring, flag) == 0)
            return true;
    }
    return false;
}

/* A right kernel on small rows; on production rows `blocks` blocks, and LARGE is 1. */
#define ROPE_LARGE(blocks, body)                                                                   \
    ROPE("#pragma kda variant large when(T > 20000)\n"                                             \
         "#pragma kda define LARGE = 1\n"                                                          \
         "#pragma kda launch k(x, cos, sin, y, T, H, D) grid(" blocks ") block(256)\n"             \
         "#pragma kda variant any\n"                                                               \
         "#pragma kda define LARGE = 0\n" ROPE_PLAN,                                               \
         "", body)
#define ALL_BLOCKS "ceil_div(T * H * D / 2, 256)"

static void work_left_undone_on_production_rows_is_found(void **state)
{
    (void)state;
    static const char *const grids[] = {
        ROPE_LARGE("ceil_div(T * H * D / 2, 512)", ROPE_STORE),
        ROPE_LARGE("ceil_div(T * H * D / 2, 262)", ROPE_STORE), /* 97.7 % */
        ROPE_LARGE("100", ROPE_STORE),
        ROPE_LARGE("1", ROPE_STORE),
    };
    for (size_t i = 0; i < sizeof grids / sizeof grids[0]; i++)
        expect_finding(&rope, grids[i], "wrong", "correctness", "hunyuan_27030");
    expect_finding(&rope, ROPE_LARGE(ALL_BLOCKS, "if (LARGE) return; " ROPE_STORE), "wrong",
                   "correctness", "none of the blocks");
    expect_finding(&rope,
                   ROPE_LARGE(ALL_BLOCKS, "if (LARGE && threadIdx.x >= 192) return; " ROPE_STORE),
                   "wrong", "correctness", "about 75 %");
    expect_finding(&rope,
                   ROPE_LARGE(ALL_BLOCKS, "if (LARGE && blockIdx.x % 8 == 5) return; " ROPE_STORE),
                   "wrong", "correctness", "of an output");
    expect_finding(&rope,
                   ROPE_LARGE(ALL_BLOCKS, "if (LARGE && blockIdx.x == 777) return;"
                                          " if (LARGE && threadIdx.x == 9) return; " ROPE_STORE),
                   "wrong", "correctness", "about 99.6 %");
}

/* The first and the last block are always in the sample: what they do must not stand for others. */
static void blocks_known_to_be_sampled_stand_for_themselves(void **state)
{
    (void)state;
#define HALF_BUT(which, first)                                                                     \
    "#include <cuda_bf16.h>\n"                                                                     \
    "#pragma kda launch k(x, w, y, M, N, eps) grid(ceil_div(M, 4)) block(128)\n"                   \
    "__global__ void k(const __nv_bfloat16 *x, const __nv_bfloat16 *w, __nv_bfloat16 *y, int M,\n" \
    "                  int N, float eps)\n"                                                        \
    "{\n"                                                                                          \
    "    int row = blockIdx.x * 4 + threadIdx.x / 32, end = row + 1;\n"                            \
    "    if (M > 16000 && blockIdx.x != " which " && threadIdx.x >= 64) return;\n"                 \
    "    if (M > 16000 && blockIdx.x == " which ") { row = " first " + threadIdx.x / 32 * 14;"     \
    " end = row + 14; }\n"                                                                         \
    "    for (; row < end && row < M; row++) {\n"                                                  \
    "        const size_t base = (size_t)row * N;\n"                                               \
    "        float sum = 0;\n"                                                                     \
    "        for (int i = threadIdx.x % 32; i < N; i += 32) {\n"                                   \
    "            const float v = __bfloat162float(x[base + i]);\n"                                 \
    "            sum += v * v;\n"                                                                  \
    "        }\n"                                                                                  \
    "        for (int o = 16; o > 0; o /= 2) sum += __shfl_xor_sync(~0u, sum, o);\n"               \
    "        const float r = rsqrtf(sum / N + eps);\n"                                             \
    "        for (int i = threadIdx.x % 32; i < N; i += 32)\n"                                     \
    "            y[base + i] = __float2bfloat16_rn(__bfloat162float(x[base + i]) * r *"            \
    " __bfloat162float(w[i]));\n"                                                                  \
    "    }\n"                                                                                      \
    "}\n"
    expect_finding(&rms, HALF_BUT("gridDim.x - 1", "M - 56"), "wrong", "correctness", "about 50");
    expect_finding(&rms, HALF_BUT("0", "0"), "wrong", "correctness", "about 50");
    expect_finding(&rms, HALF_BUT("-1", "0"), "wrong", "correctness", "about 50");
}

/* Block `at` of a production row does the work of block `of`. */
#define ROPE_BLOCKS(of)                                                                            \
    "#include <cuda_bf16.h>\n"                                                                     \
    "#pragma kda launch k(x, cos, sin, y, T, H, D, T > 20000) grid(" ALL_BLOCKS ") block(256)\n"   \
    "__global__ void k(const __nv_bfloat16 *x, const float *cos, const float *sin,\n"              \
    "                  __nv_bfloat16 *y, int T, int H, int D, int large)\n"                        \
    "{\n"                                                                                          \
    "    const int block = blockIdx.x, blocks = gridDim.x;\n"                                      \
    "    const int i = (large ? (" of ") : block) * 256 + threadIdx.x, half = D / 2;\n"            \
    "    (void)blocks;\n"                                                                          \
    "    if (i >= T * H * half) return;\n"                                                         \
    "    const int at = i / (H * half) * half + i % half;\n"                                       \
    "    const float c = cos[at], s = sin[at];\n"                                                  \
    "    const float a = __bfloat162float(x[2 * i]), b = __bfloat162float(x[2 * i + 1]);\n"        \
    "    " ROPE_STORE "\n"                                                                         \
    "}\n"

/* Two blocks that write the same elements do not make up for those that none writes, be they
 * neighbours (which read from the L2, and would look fast) or far apart. */
static void work_done_twice_is_not_work_done_elsewhere(void **state)
{
    (void)state;
    expect_finding(&rope, ROPE_BLOCKS("block / 2"), "wrong", "correctness", "about 50");
    expect_finding(&rope, ROPE_BLOCKS("block % (blocks / 2)"), "wrong", "correctness", "about 50");
    /* Every block once, in another order. */
    expect_finding(&rope, ROPE_BLOCKS("blocks - 1 - block"), "ok", "", "");
    expect_finding(&rope, ROPE_BLOCKS("block % 2 ? block / 2 : blocks - 1 - block / 2"), "ok", "",
                   "");
}

static void a_grid_larger_than_needed_is_no_fault(void **state)
{
    (void)state;
    cJSON *r = judge(&rope, ROPE_LARGE("3 * ceil_div(T * H * D / 2, 256)", ROPE_STORE));
    assert_string_equal(kds_json_str(r, "verdict", ""), "ok");
    assert_false(has_flag(r, "production_unchecked"));
    cJSON_Delete(r);
}

static void production_rows_meet_all_regimes(void **state)
{
    (void)state;
    expect_finding(&rms, RMS("(gridDim.x > 100000 ? 0.0f : eps)", "N"), "wrong", "correctness",
                   "hunyuan_648720");
}

#define TWO_PASSES(grid_one, grid_two, one, two)                                                   \
    "#include <cuda_bf16.h>\n"                                                                     \
    "#pragma kda scratch scale : f32[M]\n"                                                         \
    "#pragma kda launch first(x, scale, M, N, eps) grid(" grid_one ") block(32)\n"                 \
    "#pragma kda launch second(x, w, scale, y, M, N) grid(" grid_two ") block(32)\n"               \
    "__global__ void first(const __nv_bfloat16 *x, float *scale, int M, int N, float eps)\n"       \
    "{\n"                                                                                          \
    "    " one "\n"                                                                                \
    "    for (int row = blockIdx.x; row < M; row += gridDim.x) {\n"                                \
    "        float sum = 0;\n"                                                                     \
    "        for (int i = threadIdx.x; i < N; i += 32) {\n"                                        \
    "            const float v = __bfloat162float(x[(size_t)row * N + i]);\n"                      \
    "            sum += v * v;\n"                                                                  \
    "        }\n"                                                                                  \
    "        for (int o = 16; o > 0; o /= 2) sum += __shfl_xor_sync(~0u, sum, o);\n"               \
    "        if (threadIdx.x == 0) scale[row] = rsqrtf(sum / N + eps);\n"                          \
    "    }\n"                                                                                      \
    "}\n"                                                                                          \
    "__global__ void second(const __nv_bfloat16 *x, const __nv_bfloat16 *w, const float *scale,\n" \
    "                       __nv_bfloat16 *y, int M, int N)\n"                                     \
    "{\n"                                                                                          \
    "    " two "\n"                                                                                \
    "    for (int i = threadIdx.x; i < N; i += 32) {\n"                                            \
    "        const size_t at = (size_t)blockIdx.x * N + i;\n"                                      \
    "        y[at] = __float2bfloat16_rn(__bfloat162float(x[at]) * scale[blockIdx.x] *\n"          \
    "                                    __bfloat162float(w[i]));\n"                               \
    "    }\n"                                                                                      \
    "}\n"

/* Blocks of a second launch need those of the first. Where both are in the sample the outputs are
 * checked; where they are not, or are wrong, the candidate is marked. */
static void several_launches_are_checked_or_marked(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        bool checked;
    } cases[] = {
        {TWO_PASSES("M", "M", "", ""), true},
        {TWO_PASSES("ceil_div(M, 37)", "M", "", ""), false},
        {TWO_PASSES("M", "M", "if (M > 100000) return;", ""), false},
        {TWO_PASSES("M", "M", "", "if (M > 100000) return;"), false},
        {TWO_PASSES("M", "M", "if (M > 16000) return;", "if (M > 16000) return;"), false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cJSON *r = judge(&rms, cases[i].source);
        assert_string_equal(kds_json_str(r, "verdict", ""), "ok");
        assert_int_equal(has_flag(r, "production_unchecked"), !cases[i].checked);
        cJSON_Delete(r);
    }
}

static void state_that_outlives_a_run_is_refused(void **state)
{
    (void)state;
    expect_finding(&rope,
                   "__device__ int runs;\n" ROPE(
                       ROPE_PLAN, "if (i == 0 && ++runs > 1000000) return;", ROPE_STORE),
                   "stale_output", "safety", "'runs'");
    /* A table is none. */
    expect_finding(&rope,
                   "__device__ const float one[4] = {1, 1, 1, 1};\n" ROPE(
                       ROPE_PLAN, "", "const float o = one[D & 3]; (void)o; " ROPE_STORE),
                   "ok", "", "");
}

static void what_differs_from_place_to_place_is_refused(void **state)
{
    (void)state;
    expect_finding(&rope,
                   ROPE(ROPE_PLAN,
                        "unsigned sm; asm volatile(\"mov.u32 %0, %%smid;\" : \"=r\"(sm));"
                        " if (sm == 77) return;",
                        ROPE_STORE),
                   "nondeterministic", "safety", "%smid");
}

/* An input that no launch is given is read all the same, at the same price. */
static void an_input_that_is_not_passed_is_paid_for(void **state)
{
    (void)state;
#define COPY_ROWS(args, from)                                                                      \
    "#include <cuda_bf16.h>\n"                                                                     \
    "#pragma kda launch k(" args ", cos, sin, y, T, H, D) grid(ceil_div(T * H * D / 2, 256))"      \
    " block(256)\n"                                                                                \
    "__global__ void k(const __nv_bfloat16 *p, const float *cos, const float *sin,\n"              \
    "                  __nv_bfloat16 *y, int T, int H, int D)\n"                                   \
    "{\n"                                                                                          \
    "    const int i = blockIdx.x * blockDim.x + threadIdx.x, half = D / 2;\n"                     \
    "    if (i >= T * H * half) return;\n"                                                         \
    "    const __nv_bfloat16 *x = " from ";\n"                                                     \
    "    const int at = i / (H * half) * half + i % half;\n"                                       \
    "    const float c = cos[at], s = sin[at];\n"                                                  \
    "    const float a = __bfloat162float(x[2 * i]), b = __bfloat162float(x[2 * i + 1]);\n"        \
    "    " ROPE_STORE "\n"                                                                         \
    "}\n"
    cJSON *honest = judge(&rope, COPY_ROWS("x", "p"));
    cJSON *smuggled =
        judge(&rope, COPY_ROWS("y", "(const __nv_bfloat16 *)((const char *)cos - 0x200000000ll)"));
    assert_string_equal(kds_json_str(honest, "verdict", ""), "ok");
    if (strcmp(kds_json_str(smuggled, "verdict", ""), "ok") == 0)
        assert_true(kds_json_num(smuggled, "fitness", 0) <=
                    1.01 * kds_json_num(honest, "fitness", 0));
    cJSON_Delete(honest);
    cJSON_Delete(smuggled);
}

/* D of the held-out rows is smuggled into what fails: no message may have it. */
static void held_out_sizes_do_not_leak(void **state)
{
    (void)state;
    cJSON *r = judge(
        &rope, "#include <cuda_bf16.h>\n"
               "#pragma kda launch k(x, cos, sin, y, T, H, D, D == 1048 ? 1048 * 100000000 : 0)"
               " grid(" ALL_BLOCKS ") block(256)\n"
               "__global__ void k(const __nv_bfloat16 *x, const float *cos, const float *sin,\n"
               "                  __nv_bfloat16 *y, int T, int H, int D, int none)\n"
               "{\n"
               "    const int i = blockIdx.x * 256 + threadIdx.x, half = D / 2;\n"
               "    if (i >= T * H * half) return;\n"
               "    const int at = i / (H * half) * half + i % half;\n"
               "    const float c = cos[at], s = sin[at];\n"
               "    const float a = __bfloat162float(x[2 * i]);\n"
               "    const float b = __bfloat162float(x[2 * i + 1]);\n"
               "    " ROPE_STORE "\n"
               "}\n");
    assert_string_equal(kds_json_str(r, "verdict", ""), "plan_invalid");
    assert_string_equal(kds_json_str(r, "stage", ""), "held_out");
    assert_null(strstr(kds_json_str(r, "message", ""), "1048"));
    cJSON_Delete(r);
}

static void a_failed_compilation_does_not_tell_held_out_sizes(void **state)
{
    (void)state;
    kds_err e;
    kds_finding f;
    kds_frame job, reply;
    kds_plan *plan = NULL;
    kds_compiled *compiled = NULL;
    const char *source = "#pragma kda define SIZE = D == 1048 ? D : 1\n" ROPE(
        ROPE_PLAN, "static_assert(SIZE != 1048, \"refused\");", ROPE_STORE);
    kds_finding_clear(&f);
    kds_frame_init(&job);
    kds_frame_init(&reply);
    check(kds_plan_parse(&plan, rope.task, source, strlen(source), NULL, &f, &e), &e);
    check(kds_compile_job(&job, source, strlen(source), "sm_90", plan, &e), &e);
    check(kds_compile_run(rope.nvrtc, &job, &reply, &e), &e);
    check(kds_compile_reply(&compiled, &reply, &f, &e), &e);
    assert_null(compiled);
    assert_int_equal(f.verdict, KDS_VERDICT_COMPILE_FAILED);
    assert_null(strstr(f.text, "1048"));
    assert_non_null(strstr(f.text, "held-out"));
    kds_frame_free(&job);
    kds_frame_free(&reply);
    kds_plan_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_left_undone_on_production_rows_is_found),
        cmocka_unit_test(blocks_known_to_be_sampled_stand_for_themselves),
        cmocka_unit_test(work_done_twice_is_not_work_done_elsewhere),
        cmocka_unit_test(a_grid_larger_than_needed_is_no_fault),
        cmocka_unit_test(production_rows_meet_all_regimes),
        cmocka_unit_test(several_launches_are_checked_or_marked),
        cmocka_unit_test(state_that_outlives_a_run_is_refused),
        cmocka_unit_test(what_differs_from_place_to_place_is_refused),
        cmocka_unit_test(an_input_that_is_not_passed_is_paid_for),
        cmocka_unit_test(held_out_sizes_do_not_leak),
        cmocka_unit_test(a_failed_compilation_does_not_tell_held_out_sizes),
    };
    return cmocka_run_group_tests(tests, open_tasks, close_tasks);
}
