/* The gate on the simulator with the real tasks: each planted fault gets its verdict, at the stage
 * and with the words that a reader needs. */
#include "judge_fixture.h"

static bench_task rope, rms;

static int open_tasks(void **state)
{
    (void)state;
    task_open(&rope, "rotary_embedding", 7);
    task_open(&rms, "rms_norm", 7);
    return 0;
}

static int close_tasks(void **state)
{
    (void)state;
    task_close(&rope);
    task_close(&rms);
    return 0;
}

static void wrong_values_are_found(void **state)
{
    (void)state;
    expect_finding(&rope,
                   ROPE(ROPE_PLAN, "",
                        "y[2 * i] = __float2bfloat16_rn(fmaf(b, s, a * c));"
                        " y[2 * i + 1] = __float2bfloat16_rn(fmaf(-a, s, b * c));"),
                   "wrong", "correctness", "the reference has");
    expect_finding(&rope,
                   ROPE("#pragma kda launch k(x, cos, sin, y, T, H, D)"
                        " grid(max(1, T * H * D / 2 / 256)) block(256)\n",
                        "", ROPE_STORE),
                   "wrong", "correctness", "was never written");
    expect_finding(&rope, ROPE(ROPE_PLAN, "if (i == 77) return;", ROPE_STORE), "wrong",
                   "correctness", "] was never written");
    /* NaN compares as nothing: it must fail. */
    expect_finding(&rope,
                   ROPE(ROPE_PLAN, "",
                        ROPE_STORE
                        " if (i == 3) y[6] = __float2bfloat16_rn(sqrtf(-1.0f - a * a));"),
                   "wrong", "correctness", "y[0, 0, 6] is nan");
}

static void wrong_eps_and_tail_are_found(void **state)
{
    (void)state;
    expect_finding(&rms, RMS("eps", "N"), "ok", "", "");
    expect_finding(&rms, RMS("0.0f * eps", "N"), "wrong", "correctness", "near_eps");
    expect_finding(&rms, RMS("1e-6f", "N"), "wrong", NULL, ""); /* right for some rows only */
    expect_finding(&rms, RMS("eps", "N / 2 * 2"), "wrong", "correctness", "was never written");
}

static void illegal_accesses_are_found(void **state)
{
    (void)state;
    expect_finding(&rope, ROPE(ROPE_PLAN, "", ROPE_STORE " if (i == n - 1) y[2 * n] = x[0];"),
                   "wrote_outside", "safety", "y");
    expect_finding(&rope, ROPE(ROPE_PLAN, "", ROPE_STORE " if (i == n - 1) y[0] = x[2 * i + 2];"),
                   "unsafe", "safety", "x");
    expect_finding(&rope,
                   ROPE(ROPE_PLAN, "",
                        "const float2 v = *(const float2 *)(cos + at / 2 * 2 + 1);"
                        " y[2 * i] = __float2bfloat16_rn(v.x + v.y);"
                        " y[2 * i + 1] = x[2 * i];"),
                   "unsafe", "safety", "misaligned");
    expect_finding(&rope,
                   ROPE(ROPE_PLAN, "if (i == 0) ((__nv_bfloat16 *)x)[0] = x[1];", ROPE_STORE),
                   "changed_input", "safety", "x");
    expect_finding(
        &rope,
        ROPE(ROPE_PLAN, "",
             "y[2 * i] = __float2bfloat16_rn(a * c + __bfloat162float(y[2 * i]) * 1e-6f);"
             " y[2 * i + 1] = x[2 * i];"),
        "unsafe", "safety", "y");
    expect_finding(&rope,
                   ROPE(ROPE_PLAN,
                        "__shared__ float sh[512]; if (threadIdx.x < 40) sh[threadIdx.x] = 1;"
                        " __syncthreads();",
                        "y[2 * i] = __float2bfloat16_rn(a * c * sh[threadIdx.x + 2]);"
                        " y[2 * i + 1] = x[2 * i];"),
                   "unsafe", "safety", "");
}

static void endless_and_trapping_kernels_end(void **state)
{
    (void)state;
    expect_finding(&rope, ROPE(ROPE_PLAN, "volatile int go = 1; while (go) { }", ROPE_STORE),
                   "timeout", "safety", "");
    expect_finding(&rope, ROPE(ROPE_PLAN, "if (i == 5) __trap();", ROPE_STORE), "launch_failed",
                   "safety", "");
}

static void what_holds_only_for_shown_shapes_fails(void **state)
{
    (void)state;
    cJSON *r = judge(&rope, ROPE(ROPE_PLAN, "", "if (D == 130 && i == 1) return; " ROPE_STORE));
    assert_string_equal(kds_json_str(r, "verdict", ""), "wrong");
    assert_string_equal(kds_json_str(r, "stage", ""), "held_out");
    assert_null(strstr(kds_json_str(r, "message", ""), "130"));
    assert_null(strstr(kds_json_str(r, "message", ""), "y["));
    cJSON_Delete(r);
    /* A variant that only production rows take, wrong in one element of 4096. */
    expect_finding(&rope,
                   ROPE("#pragma kda variant large when(T > 20000)\n"
                        "#pragma kda define LARGE = 1\n" ROPE_PLAN "#pragma kda variant any\n"
                        "#pragma kda define LARGE = 0\n" ROPE_PLAN,
                        "", ROPE_STORE " if (LARGE && i % 2048 == 100) y[2 * i] = x[0];"),
                   "wrong", "correctness", "hunyuan_27030");
    expect_finding(&rope,
                   ROPE("#pragma kda variant large when(T > 20000)\n"
                        "#pragma kda define LARGE = 1\n" ROPE_PLAN "#pragma kda variant any\n"
                        "#pragma kda define LARGE = 0\n" ROPE_PLAN,
                        "if (LARGE) return;", ROPE_STORE),
                   "wrong", "correctness", "none of the blocks");
}

static void state_kept_between_launches_is_found(void **state)
{
    (void)state;
    expect_finding(&rope,
                   "__device__ int done[1 << 20];\n" ROPE(
                       ROPE_PLAN,
                       "if (i < (1 << 20) && done[i]) return; if (i < (1 << 20)) done[i] = 1;",
                       ROPE_STORE),
                   "stale_output", "safety", "'done'");
}

static void a_kernel_that_reads_a_clock_is_not_deterministic(void **state)
{
    (void)state;
    expect_finding(&rope,
                   ROPE(ROPE_PLAN, "",
                        ROPE_STORE " if (clock64() % 2 == 1) y[2 * i] = __float2bfloat16_rn(c);"),
                   "nondeterministic", "safety", "%clock");
}

static void launches_that_do_not_fit_are_told(void **state)
{
    (void)state;
    expect_finding(&rope,
                   ROPE("#pragma kda launch k(x, cos, sin, y, T, H)"
                        " grid(ceil_div(T * H * D / 2, 256)) block(256)\n",
                        "", ROPE_STORE),
                   "plan_invalid", "plan", "6 arguments, but the kernel has 7 parameters");
    expect_finding(&rope,
                   ROPE("#pragma kda launch k(x, cos, sin, y, T, H, 1.5)"
                        " grid(ceil_div(T * H * D / 2, 256)) block(256)\n",
                        "", ROPE_STORE),
                   "plan_invalid", "plan", "argument 7");
    expect_finding(&rope,
                   ROPE("#pragma kda launch k(x, cos, sin, y, x, H, D)"
                        " grid(ceil_div(T * H * D / 2, 256)) block(256)\n",
                        "", ROPE_STORE),
                   "plan_invalid", "plan", "argument 5 of the launch of k is a buffer");
    expect_finding(&rope,
                   "#pragma kda launch k(y) grid(1) block(512)\n"
                   "__global__ void __launch_bounds__(256) k(short *y) { y[0] = 1; }\n",
                   "launch_failed", "safety", "__launch_bounds__");
    expect_finding(&rope,
                   "#pragma kda launch k(y) grid(100000) block(32) cooperative\n"
                   "__global__ void k(short *y) { y[0] = 1; }\n",
                   "launch_failed", "safety", "fit on the GPU at once");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_values_are_found),
        cmocka_unit_test(wrong_eps_and_tail_are_found),
        cmocka_unit_test(illegal_accesses_are_found),
        cmocka_unit_test(endless_and_trapping_kernels_end),
        cmocka_unit_test(what_holds_only_for_shown_shapes_fails),
        cmocka_unit_test(state_kept_between_launches_is_found),
        cmocka_unit_test(a_kernel_that_reads_a_clock_is_not_deterministic),
        cmocka_unit_test(launches_that_do_not_fit_are_told),
    };
    return cmocka_run_group_tests(tests, open_tasks, close_tasks);
}
