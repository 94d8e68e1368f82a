/* Single rows of tasks. Right kernels whose samples of large rows look odd: the ends of a repeating
 * pattern of blocks, and a small grid that runs whole beside a baseline of which a part runs. And
 * buffers that are rewritten in place, beside a reference. */
#include "eval/gate.h"
#include "judge_fixture.h"
#include "search/base/file.h"

static kds_program *load(kds_device *d, bench_task *b, const char *source, bool oracle,
                         kds_plan **plan, kds_compiled **compiled)
{
    kds_err e;
    kds_finding f;
    kds_program *p = NULL;
    kds_finding_clear(&f);
    *compiled = compile(b, source, plan);
    check(d->ops->load(d, *plan, *compiled, oracle, &p, &f, &e), &e);
    assert_non_null(p);
    return p;
}

/* Checks a kernel on one row, as the judge does for each of them; without a source the baseline. */
static void check_row(const char *task, const char *row, const char *source, kds_gate_row *out,
                      kds_finding *f)
{
    kds_err e;
    kds_gate *gate = NULL;
    kds_device *d = NULL;
    kds_plan *plan[3] = {NULL};
    kds_compiled *compiled[3] = {NULL};
    bench_task b = {0};
    char dir[512];
    (void)snprintf(dir, sizeof dir, "%s/kernels/%s", KDS_SOURCE_DIR, task);
    check(kds_nvrtc_open(&b.nvrtc, &e), &e);
    check(kds_task_load(&b.task, dir, &e), &e);
    check(kds_device_open(&d, "sim", b.task, 9, "", &e), &e);
    source = source != NULL ? source : b.task->baseline;
    kds_program *p[3] = {load(d, &b, b.task->baseline, false, &plan[0], &compiled[0]),
                         load(d, &b, b.task->reference, true, &plan[1], &compiled[1]),
                         load(d, &b, source, false, &plan[2], &compiled[2])};
    check(kds_gate_open(&gate, d, b.task, 9, 1, p[0], p[1], &e), &e);
    const kds_row *at = kds_task_row(b.task, row);
    assert_non_null(at);
    check(kds_gate_check(gate, p[2], (int)(at - b.task->rows), out, f, &e), &e);
    kds_gate_close(gate);
    for (int i = 0; i < 3; i++) {
        d->ops->unload(p[i]);
        kds_compiled_free(compiled[i]);
        kds_plan_free(plan[i]);
    }
    kds_device_close(d);
    kds_task_free(b.task);
    kds_nvrtc_close(b.nvrtc);
}

static void expect_ok(const char *task, const char *row, const char *source)
{
    kds_gate_row out;
    kds_finding f;
    check_row(task, row, source, &out, &f);
    if (f.verdict != KDS_VERDICT_OK)
        fail_msg("%s: %s", row, f.text);
    assert_true(out.sampled);
}

/* 4096 maps of 56 x 56 in tiles of 16 columns: three full tiles and a cut one, again and again. */
static void test_a_pattern_that_is_broken_off(void **state)
{
    (void)state;
    expect_ok("stencil2d", "maps_4096x56",
              "#pragma kda launch k(u, v, H, W, pitch, c0, c1, c2) grid(4 * ceil_div(H, 8) * B) "
              "block(16, 8)\n"
              "__global__ void k(const float *u, float *v, int H, int W, long long pitch,\n"
              "                  float c0, float c1, float c2)\n"
              "{\n"
              "    const int j = blockIdx.x % 4 * 16 + threadIdx.x, down = (H + 7) / 8;\n"
              "    const int i = blockIdx.x / 4 % down * 8 + threadIdx.y;\n"
              "    const int batch = blockIdx.x / 4 / down;\n"
              "    if (i >= H || j >= W) return;\n"
              "    const float *a = u + ((size_t)batch * (H + 2) + i) * pitch + j;\n"
              "    const float *b = a + pitch, *c = b + pitch;\n"
              "    v[((size_t)batch * H + i) * W + j] = c0 * b[1] +\n"
              "        c1 * (a[1] + c[1] + b[0] + b[2]) + c2 * (a[0] + a[2] + c[0] + c[2]);\n"
              "}\n");
}

/* 16 blocks for 128 segments, which all run, where a few of the baseline's 4096 do. */
static void test_a_small_grid(void **state)
{
    (void)state;
    kds_err e;
    kds_buf text;
    kds_buf_init(&text, 1 << 20);
    check(kds_file_read(KDS_SOURCE_DIR "/tests/calibration/segment_sum__persistent.cu", &text, &e),
          &e);
    expect_ok("segment_sum", "pooling_262144_256", text.data);
    kds_buf_free(&text);
}

/* The errors are those of one rounding to bf16, of a row that runs whole and of a sampled one. */
static void test_in_place(void **state)
{
    (void)state;
    static const char *const rows[] = {"quick_17x2x3x72_r40", "qwen_4096x24"};
    for (int i = 0; i < 2; i++) {
        kds_gate_row out;
        kds_finding f;
        check_row("qknorm_rope", rows[i], NULL, &out, &f);
        if (f.verdict != KDS_VERDICT_OK)
            fail_msg("%s: %s", rows[i], f.text);
        assert_int_equal(out.sampled, i == 1);
        assert_false(out.unchecked);
        assert_int_equal(out.error_count, 2);
        for (int k = 0; k < 2; k++)
            assert_true(out.errors[k].rel_rmse > 0.0015 && out.errors[k].rel_rmse < 0.0018);
    }
}

/* In place nothing tells an element that was left alone from one that was written, but that the
 * baseline writes them all. */
static void test_in_place_left_alone(void **state)
{
    (void)state;
    static const char token[] = "    const long long token = blockIdx.x / splits;\n";
    kds_err e;
    kds_gate_row out;
    kds_finding f;
    kds_buf text, half;
    kds_buf_init(&text, 1 << 20);
    kds_buf_init(&half, 1 << 20);
    check(kds_file_read(KDS_SOURCE_DIR "/kernels/qknorm_rope/baseline/kernel.cu", &text, &e), &e);
    const char *at = strstr(text.data, token);
    assert_non_null(at);
    kds_buf_printf(&half, "%.*s    if (gridDim.x > 4000 && blockIdx.x %% 2) return;\n%s",
                   (int)(at - text.data), text.data, at);
    check_row("qknorm_rope", "qwen_4096x24", half.data, &out, &f);
    assert_int_equal(f.verdict, KDS_VERDICT_WRONG);
    assert_non_null(strstr(f.text, "rewrite only about 50"));
    kds_buf_free(&text);
    kds_buf_free(&half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pattern_that_is_broken_off),
        cmocka_unit_test(test_a_small_grid),
        cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_in_place_left_alone),
    };
    return cmocka_run_group_tests_name("judge_fair", tests, NULL, NULL);
}
