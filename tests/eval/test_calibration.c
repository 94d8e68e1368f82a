/* The kernels of tests/calibration: of whatever structure and speed, each is right, and the gate
 * says so. (The tasks' seeds are judged by their lint.) */
#include "judge_fixture.h"
#include "search/base/file.h"

#include <glob.h>

static int judged;

static void expect_ok(bench_task *b, const char *name, const char *source)
{
    cJSON *report = judge(b, source);
    if (strcmp(kds_json_str(report, "verdict", ""), "ok") != 0)
        fail_msg("%s: %s: %s", name, kds_json_str(report, "verdict", ""),
                 kds_json_str(report, "message", ""));
    cJSON_Delete(report);
    judged++;
}

static void expect_all_ok(const char *task)
{
    const kds_judge_options o = {.device = "sim", .gate_seed = 3, .seeds = 1, .only_safety = true};
    bench_task b;
    char pattern[512];
    glob_t found;
    task_open_with(&b, task, &o);
    (void)snprintf(pattern, sizeof pattern, "%s/tests/calibration/%s__*.cu", KDS_SOURCE_DIR, task);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        kds_buf text;
        kds_err e;
        kds_buf_init(&text, 1 << 20);
        check(kds_file_read(found.gl_pathv[i], &text, &e), &e);
        expect_ok(&b, found.gl_pathv[i], text.data);
        kds_buf_free(&text);
    }
    globfree(&found);
    task_close(&b);
}

#define TASK(name)                                                                                 \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        expect_all_ok(#name);                                                                      \
    }
TASK(rms_norm)
TASK(rotary_embedding)
TASK(softmax_rows)
TASK(cross_entropy)
TASK(transpose)
TASK(stencil2d)
TASK(segment_sum)
TASK(gemm_bias_gelu)
TASK(residual_rms_norm)
TASK(silu_mul)

/* Every file of the folder belongs to one of the tasks above. */
static void test_none_is_left_out(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(KDS_SOURCE_DIR "/tests/calibration/*.cu", 0, NULL, &found), 0);
    assert_int_equal(judged, found.gl_pathc);
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rms_norm),         cmocka_unit_test(test_rotary_embedding),
        cmocka_unit_test(test_softmax_rows),     cmocka_unit_test(test_cross_entropy),
        cmocka_unit_test(test_transpose),        cmocka_unit_test(test_stencil2d),
        cmocka_unit_test(test_segment_sum),      cmocka_unit_test(test_gemm_bias_gelu),
        cmocka_unit_test(test_silu_mul),         cmocka_unit_test(test_residual_rms_norm),
        cmocka_unit_test(test_none_is_left_out),
    };
    return cmocka_run_group_tests_name("calibration", tests, NULL, NULL);
}
