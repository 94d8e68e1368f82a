/* `eval --device cuda:0` as its users see it, on the fake driver: times measured beside the
 * baseline, four tasks, what the report says of a GPU, and refusals. */
#include "tests/cli/fake_gpu.h"

#include "eval/cuda/card_lock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCALE_ROWS                                                                                 \
    "{\"format\": 1, \"production\": ["                                                            \
    "{\"id\": \"large\", \"dims\": {\"n\": 25600, \"a\": 0.5}, \"weight\": 3, \"seed\": 1,"        \
    " \"profile\": true},"                                                                         \
    "{\"id\": \"small\", \"dims\": {\"n\": 6400, \"a\": 3.0}, \"weight\": 1, \"seed\": 2}],"       \
    "\"quick\": [{\"id\": \"quick\", \"dims\": {\"n\": 1000, \"a\": 2.0}, \"seed\": 3}],"          \
    "\"held_out\": [{\"id\": \"held\", \"dims\": {\"n\": 777, \"a\": 0.25}, \"seed\": 4}]}"
#define GOOD(threads)                                                                              \
    "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, " #threads ")) block(" #threads ")\n"       \
    "__global__ void f(const float *x, float *y, int n, float a)\n{\n"                             \
    "    int i = blockIdx.x * " #threads " + threadIdx.x;\n"                                       \
    "    if (i < n)\n        y[i] = a * x[i];\n}\n"

static void write_source(const char *name, const char *source)
{
    cli_write(name, source, strlen(source));
}

static const cJSON *row_of(const cJSON *report, const char *id)
{
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, kds_json_at(report, "rows"))
    {
        if (strcmp(kds_json_str(row, "row", ""), id) == 0)
            return row;
    }
    fail_msg("no row %s", id);
    return NULL;
}

static bool has_flag(const cJSON *report, const char *flag)
{
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, kds_json_at(report, "flags"))
    {
        if (strcmp(item->valuestring, flag) == 0)
            return true;
    }
    return false;
}

static void expect_us(const cJSON *row, const char *key, double us)
{
    double got = kds_json_num(row, key, 0);
    if (!(fabs(got - us) < 1e-2))
        fail_msg("%s of row %s: %g, not %g", key, kds_json_str(row, "row", ""), got, us);
}

/* The fake's times: 300 us a launch and 1 us a block. */
static void test_times_beside_the_baseline(void **state)
{
    (void)state;
    fake_gpu_task("tests/tasks/scale", "scale", SCALE_ROWS);
    write_source("good.cu", GOOD(256));
    cJSON *report = JSON("eval", "scale", "good.cu", "--device", "cuda:0");
    assert_string_equal(kds_json_str(report, "verdict", ""), "ok");
    assert_string_equal(kds_json_str(report, "device", ""), "cuda:0");
    assert_string_equal(kds_json_str(report, "model", ""), "Simulated GPU");
    assert_false(has_flag(report, "no_counters"));
    assert_false(has_flag(report, "modelled"));
    const cJSON *counters = kds_json_at(report, "counters");
    assert_true(kds_json_num(counters, "sm__warps_launched.sum", 0) == 3 * 100 * 8); /* by weight */
    assert_false(has_flag(report, "sampled"));
    assert_false(has_flag(report, "not_simulated"));
    const cJSON *large = row_of(report, "large"), *small = row_of(report, "small");
    assert_false(kds_json_bool(large, "modelled", true));
    expect_us(large, "time_us", 300 + 100);
    expect_us(large, "baseline_us", 300 + 200);
    expect_us(small, "time_us", 300 + 25);
    expect_us(small, "baseline_us", 300 + 50);
    double fitness = exp((3 * log(50.0 / 40) + log(35.0 / 32.5)) / 4);
    assert_true(fabs(kds_json_num(report, "fitness", 0) - fitness) < 1e-2);
    const cJSON *descriptor = kds_json_at(report, "descriptor");
    assert_int_equal(kds_json_int(descriptor, "version", 0), 1);
    assert_int_equal(cJSON_GetArraySize(kds_json_at(descriptor, "bins")), 3);
    cJSON_Delete(report);
    /* A clear loser is measured as well, and said to be one. */
    write_source("slow.cu", GOOD(32));
    report = JSON("eval", "scale", "slow.cu", "--device", "cuda:0");
    assert_string_equal(kds_json_str(report, "verdict", ""), "ok");
    expect_us(row_of(report, "large"), "time_us", 300 + 800);
    assert_true(has_flag(report, "screened") && has_flag(report, "no_counters"));
    assert_true(kds_json_num(report, "fitness", 9) < 0.6);
    cJSON_Delete(report);
}

#define QKNORM(id, tokens)                                                                         \
    "{\"id\": \"" id "\", \"dims\": {\"T\": " #tokens ", \"Hq\": 3, \"Hk\": 2, \"D\": 128, "       \
    "\"R\": 128, \"rows\": 50, \"pos_bytes\": 4, \"eps\": 1e-6}, "                                 \
    "\"dtypes\": {\"positions\": \"i32\"}, \"seed\": " #tokens
static const struct {
    const char *task, *seed, *rows;
} tasks[] = {
    {"rms_norm",
     "lanes", /* a reference in double, norms of slices, four regimes, an odd row length */
     "{\"format\": 1, \"production\": ["
     "{\"id\": \"p\", \"dims\": {\"M\": 200, \"N\": 128, \"eps\": 1e-6}, \"weight\": 1, \"seed\": "
     "1, \"profile\": true}],"
     "\"quick\": [{\"id\": \"q\", \"dims\": {\"M\": 7, \"N\": 101, \"eps\": 1e-5}, \"seed\": 3}],"
     "\"held_out\": [{\"id\": \"h\", \"dims\": {\"M\": 3, \"N\": 1, \"eps\": 1e-6}, \"seed\": "
     "4}]}"},
    {"gemm_bias_gelu", "mma_sync",
     "{\"format\": 1, \"production\": ["
     "{\"id\": \"p\", \"dims\": {\"M\": 48, \"N\": 72, \"K\": 64}, \"weight\": 1, \"seed\": 1, "
     "\"profile\": true}],"
     "\"quick\": [{\"id\": \"q\", \"dims\": {\"M\": 16, \"N\": 24, \"K\": 40}, \"seed\": 3}],"
     "\"held_out\": [{\"id\": \"h\", \"dims\": {\"M\": 17, \"N\": 64, \"K\": 8}, \"seed\": 4}]}"},
    {"segment_sum", "split", /* offsets among the inputs, plans of several launches with scratch */
     "{\"format\": 1, \"production\": ["
     "{\"id\": \"p\", \"dims\": {\"N\": 600, \"S\": 40, \"D\": 64}, \"weight\": 1, \"seed\": 1, "
     "\"profile\": true}],"
     "\"quick\": [{\"id\": \"q\", \"dims\": {\"N\": 301, \"S\": 33, \"D\": 5}, \"seed\": 3}],"
     "\"held_out\": [{\"id\": \"h\", \"dims\": {\"N\": 777, \"S\": 50, \"D\": 7}, \"seed\": 4}]}"},
    {"qknorm_rope", "groups", /* a reference for buffers that are read and written */
     "{\"format\": 1, \"production\": [" QKNORM(
         "p", 40) ", \"weight\": 1, \"profile\": true}],"
                  "\"quick\": [" QKNORM("q", 2) "}], \"held_out\": [" QKNORM("h", 3) "}]}"},
};

static void test_tasks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        char from[200], seed[300];
        (void)snprintf(from, sizeof from, "kernels/%s", tasks[i].task);
        fake_gpu_task(from, tasks[i].task, tasks[i].rows);
        (void)snprintf(seed, sizeof seed, "%s/seeds/%s.cu", cli_source(from), tasks[i].seed);
        cJSON *report = JSON("eval", tasks[i].task, seed, "--device", "cuda:0");
        if (strcmp(kds_json_str(report, "verdict", ""), "ok") != 0)
            fail_msg("%s: %s: %s", tasks[i].task, kds_json_str(report, "verdict", ""),
                     kds_json_str(report, "message", ""));
        const cJSON *row = row_of(report, "p"), *errors = kds_json_at(row, "errors");
        assert_true(kds_json_num(row, "time_us", 0) > 0 && kds_json_num(row, "baseline_us", 0) > 0);
        assert_true(cJSON_GetArraySize(errors) > 0);
        double rmse = kds_json_num(cJSON_GetArrayItem(errors, 0), "rel_rmse", 9);
        assert_true(rmse < 0.01);
        if (strcmp(tasks[i].task, "qknorm_rope") == 0) /* of one rounding, to bf16 */
            assert_true(rmse > 0.0015 && rmse < 0.0018);
        assert_null(kds_json_at(row_of(report, "h"), "time_us"));
        cJSON_Delete(report);
    }
}

/* What fits neither grid nor memory is the candidate's failure and leaves nothing behind. */
static void test_a_refused_launch(void **state)
{
    (void)state;
    fake_gpu_task("tests/tasks/scale", "scale", SCALE_ROWS);
    write_source("huge.cu", "#pragma kda scratch part : f32[n * 40000]\n"
                            "#pragma kda launch f(x, part, y, n, a) grid(ceil_div(n, 128)) "
                            "block(128)\n"
                            "__global__ void f(const float *x, float *part, float *y, int n, "
                            "float a)\n{\n    int i = blockIdx.x * 128 + threadIdx.x;\n"
                            "    if (i < n)\n        y[i] = a * x[i];\n}\n");
    cJSON *report = JSON("eval", "scale", "huge.cu", "--device", "cuda:0");
    assert_string_equal(kds_json_str(report, "verdict", ""), "limits_exceeded");
    assert_non_null(strstr(kds_json_str(report, "message", ""), "scratch"));
    cJSON_Delete(report);
}

static void test_refusals(void **state)
{
    (void)state;
    fake_gpu_task("tests/tasks/scale", "scale", SCALE_ROWS);
    write_source("good.cu", GOOD(128));
    REFUSES(20, "there is no GPU cuda:3", "eval", "scale", "good.cu", "--device", "cuda:3");
    REFUSES(2, "names no GPU", "eval", "scale", "good.cu", "--device", "cuda:first");
    char *path = strdup(getenv("LD_LIBRARY_PATH"));
    setenv("LD_LIBRARY_PATH", "/nonexistent", 1);
    REFUSES(20, "no CUDA driver here", "eval", "scale", "good.cu", "--device", "cuda:0");
    setenv("LD_LIBRARY_PATH", path, 1);
    free(path);
}

static void test_one_process_on_a_gpu(void **state)
{
    (void)state;
    kds_cuda_info info = {.ordinal = 0, .name = "here"};
    kds_err e = {0};
    int fd = -1;
    fake_gpu_uuid(info.uuid, sizeof info.uuid);
    fake_gpu_task("tests/tasks/scale", "scale", SCALE_ROWS);
    write_source("good.cu", GOOD(128));
    if (kds_card_lock(&info, 10, &fd, &e) != KDS_OK)
        fail_msg("%s", e.message);
    REFUSES(20, "in use by another", "eval", "scale", "good.cu", "--device", "cuda:0");
    close(fd);
    EXPECT(0, "eval", "scale", "good.cu", "--device", "cuda:0", "--gpu-confinement", "off");
}

/* A kernel that multiplies by a little more, or less. */
#define OFF(factor)                                                                                \
    "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 128)) block(128)\n"                         \
    "__global__ void f(const float *x, float *y, int n, float a)\n{\n"                             \
    "    int i = blockIdx.x * 128 + threadIdx.x;\n"                                                \
    "    if (i < n)\n        y[i] = a * x[i] * " factor ";\n}\n"

/* Baseline and child are off to either side of the reference: right beside it, but further apart
 * than its tolerance, which is not what holds between the two, here or after the timed launches. */
static void test_a_tolerance_beside_the_baseline(void **state)
{
    (void)state;
    fake_gpu_task("tests/tasks/scale", "aside", SCALE_ROWS);
    char *task = cli_read(cli_path("aside/task.json"), NULL);
    size_t size = strlen(task) + 200;
    char *changed = malloc(size);
    char *at = strstr(task, "{ \"atol\": 1e-6");
    assert_non_null(changed);
    assert_non_null(at);
    for (int beside = 0; beside < 2; beside++) {
        (void)snprintf(changed, size, "%.*s{ \"atol\": 1e-6, \"rtol\": 0.001%s%s", (int)(at - task),
                       task,
                       beside ? ", \"beside_baseline\": { \"atol\": 1e-6, \"rtol\": 0.002 }" : "",
                       strchr(at, '}') - 1);
        write_source("aside/task.json", changed);
        write_source("aside/baseline/kernel.cu", OFF("0.9991f"));
        write_source("aside.cu", OFF("1.0009f"));
        cJSON *report = JSON("eval", "aside", "aside.cu", "--device", "cuda:0");
        assert_string_equal(kds_json_str(report, "verdict", ""), beside ? "ok" : "wrong");
        cJSON_Delete(report);
    }
    free(changed);
    free(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_beside_the_baseline),
        cmocka_unit_test(test_tasks),
        cmocka_unit_test(test_a_refused_launch),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_one_process_on_a_gpu),
        cmocka_unit_test(test_a_tolerance_beside_the_baseline),
    };
    return cmocka_run_group_tests(tests, fake_gpu_set_up, fake_gpu_tear_down);
}
