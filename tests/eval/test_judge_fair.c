/* Right kernels whose samples of large rows look odd: the ends of a repeating pattern of blocks,
 * and a small grid that runs whole beside a baseline of which a part runs. */
#include "judge_fixture.h"
#include "search/base/file.h"

static void expect_ok(const char *task, const char *file, const char *from, const char *to)
{
    const kds_judge_options o = {.device = "sim", .gate_seed = 9, .seeds = 1};
    bench_task b;
    char path[512];
    kds_buf text;
    kds_err e;
    task_open_with(&b, task, &o);
    (void)snprintf(path, sizeof path, "%s/%s", KDS_SOURCE_DIR, file);
    kds_buf_init(&text, 1 << 20);
    check(kds_file_read(path, &text, &e), &e);
    char *at = strstr(text.data, from);
    assert_non_null(at);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
    cJSON *report = judge(&b, text.data);
    if (strcmp(kds_json_str(report, "verdict", ""), "ok") != 0)
        fail_msg("%s: %s", file, kds_json_str(report, "message", ""));
    cJSON_Delete(report);
    kds_buf_free(&text);
    task_close(&b);
}

/* 4096 maps of 56 x 56 in tiles of 16 columns: three full tiles and a cut one, again and again. */
static void test_a_pattern_that_is_broken_off(void **state)
{
    (void)state;
    expect_ok("stencil2d", "kernels/stencil2d/seeds/point.cu", "TX = 32, 16", "TX = 16, 32");
}

/* 16 blocks for 128 segments, which all run, where 26 of the baseline's 256 do. */
static void test_a_small_grid(void **state)
{
    (void)state;
    expect_ok("segment_sum", "tests/calibration/segment_sum__persistent.cu", "even", "even");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pattern_that_is_broken_off),
        cmocka_unit_test(test_a_small_grid),
    };
    return cmocka_run_group_tests_name("judge_fair", tests, NULL, NULL);
}
