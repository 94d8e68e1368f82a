/* `bench gpu` and `bench model` as their users see them, on the fake driver (tests/fake_cuda):
 * right kernels are timed, every kind of wrong one is named and spoils nothing, and what was
 * measured can be modelled. */
#include "tests/cli/fake_gpu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAUNCH "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, THREADS)) block(THREADS)\n"
#define HEAD                                                                                       \
    "#pragma kda tune THREADS = 128, 256, 64\n" LAUNCH                                             \
    "__global__ void f(const float *x, float *y, int n, float a)\n{\n"                             \
    "    int i = blockIdx.x * THREADS + threadIdx.x;\n"
#define GOOD HEAD "    if (i < n)\n        y[i] = a * x[i];\n}\n"

static const struct {
    const char *file, *verdict, *words, *source;
} kernels[] = {
    {"good.cu", "ok", "", GOOD},
    {"scratch.cu", "ok", "",
     "#pragma kda scratch zero part : f32[n]\n"
     "#pragma kda launch first(x, part, n, a) grid(ceil_div(n, 256)) block(256)\n"
     "#pragma kda launch second(part, y, n) grid(ceil_div(n, 256)) block(256) smem(65536)\n"
     "__global__ void first(const float *x, float *part, int n, float a)\n"
     "{ int i = blockIdx.x * 256 + threadIdx.x; if (i < n) part[i] += a * x[i]; }\n"
     "__global__ void second(const float *part, float *y, int n)\n"
     "{ int i = blockIdx.x * 256 + threadIdx.x; if (i < n) y[i] = part[i]; }\n"},
    {"cluster.cu", "ok", "",
     "#pragma kda launch f(x, y, n, a) grid(align_up(ceil_div(n, 256), 2)) block(256) "
     "cluster(2)\n"
     "#include <cooperative_groups.h>\n"
     "__global__ void f(const float *x, float *y, int n, float a)\n"
     "{\n"
     "    __shared__ float s[256];\n"
     "    auto c = cooperative_groups::this_cluster();\n"
     "    int i = blockIdx.x * 256 + threadIdx.x;\n"
     "    s[threadIdx.x] = i < n ? x[i] : 0.0f;\n"
     "    c.sync();\n"
     "    i ^= 256;\n"
     "    if (i < n)\n"
     "        y[i] = a * c.map_shared_rank(s, c.block_rank() ^ 1)[threadIdx.x];\n"
     "    c.sync();\n"
     "}\n"},
    {"grid.cu", "ok", "",
     "#pragma kda scratch part : f32[n]\n"
     "#pragma kda launch f(x, part, y, n, a) grid(4) block(256) cooperative\n"
     "#include <cooperative_groups.h>\n"
     "__global__ void f(const float *x, float *part, float *y, int n, float a)\n"
     "{\n"
     "    for (int i = blockIdx.x * 256 + threadIdx.x; i < n; i += 1024)\n"
     "        part[i] = a * x[i];\n"
     "    cooperative_groups::this_grid().sync();\n"
     "    for (int i = blockIdx.x * 256 + threadIdx.x; i < n; i += 1024)\n"
     "        y[n - 1 - i] = part[n - 1 - i];\n"
     "}\n"},
    {"wrong.cu", "wrong", "the baseline has",
     HEAD "    if (i < n)\n        y[i] = i == 700 ? 1.0f : a * x[i];\n}\n"},
    {"nan.cu", "wrong", "nan",
     HEAD "    if (i < n)\n        y[i] = i == 5 ? 0.0f / 0.0f * a : a * x[i];\n}\n"},
    {"lazy.cu", "wrong", "y[3]", HEAD "    if (i < n && i != 3)\n        y[i] = a * x[i];\n}\n"},
    {"traps.cu", "device_fault", "CUDA_ERROR_LAUNCH_FAILED",
     HEAD "    if (i == 2)\n        __trap();\n    if (i < n)\n        y[i] = a * x[i];\n}\n"},
    {"far.cu", "device_fault", "CUDA_ERROR_ILLEGAL_ADDRESS",
     HEAD "    if (i < n)\n        y[i + (1ll << 36)] = a * x[i];\n}\n"},
    {"behind.cu", "wrote_outside", "behind a buffer",
     HEAD "    if (i < n)\n        y[i] = a * x[i];\n    if (i == n)\n        y[i + 1] = 1;\n}\n"},
    {"input.cu", "changed_input", "read-only",
     HEAD "    if (i < n) {\n        y[i] = a * x[i];\n        ((float *)x)[i] = 0;\n    }\n}\n"},
    {"hangs.cu", "timeout", "did not end",
     "#pragma kda launch hangs(x, y, n, a) grid(1) block(32)\n"
     "__global__ void hangs(const float *x, float *y, int n, float a)\n"
     "{ while (*(volatile const float *)x != 12345.0f) ; y[0] = n * a; }\n"},
    {"greedy.cu", "limits_exceeded", "local memory",
     "#pragma kda launch greedy(x, y, n, a) grid(ceil_div(n, 128)) block(128)\n"
     "__global__ void greedy(const float *x, float *y, int n, float a)\n"
     "{ int i = blockIdx.x * 128 + threadIdx.x; if (i < n) y[i] = a * x[i]; }\n"},
    {"syntax.cu", "compile_failed", "undeclared", HEAD "    y[i] = undeclared;\n}\n"},
    {"plan.cu", "plan_invalid", "z",
     "#pragma kda launch f(x, z, n, a) grid(1) block(128)\n"
     "__global__ void f(const float *x, float *y, int n, float a) {}\n"},
};
#define KERNELS (sizeof kernels / sizeof *kernels)

static const char *task(void)
{
    return cli_source("tests/tasks/scale");
}

static void write_kernels(void)
{
    for (size_t i = 0; i < KERNELS; i++)
        cli_write(kernels[i].file, kernels[i].source, strlen(kernels[i].source));
}

static const cJSON *kernel(const cJSON *report, const char *file, int number)
{
    const cJSON *k = NULL;
    cJSON_ArrayForEach(k, kds_json_at(report, "kernels"))
    {
        if (strcmp(kds_json_str(k, "file", ""), file) == 0 && number-- == 0)
            return k;
    }
    fail_msg("no kernel %s in the report", file);
    return NULL;
}

/* The verdict of a kernel's first row, or its own where it never ran. */
static const cJSON *outcome(const cJSON *report, const char *file)
{
    const cJSON *k = kernel(report, file, 0);
    const cJSON *row = cJSON_GetArrayItem(kds_json_at(k, "rows"), 0);
    return row != NULL ? row : k;
}

static void test_every_outcome(void **state)
{
    (void)state;
    const char *args[KERNELS + 12] = {"bench", "gpu", task()};
    size_t n = 3;
    write_kernels();
    for (size_t i = 0; i < KERNELS; i++)
        args[n++] = kernels[i].file;
    args[n++] = "--rows";
    args[n++] = "quick_1000";
    args[n++] = "--out";
    args[n++] = "measured.json";
    cJSON *report = cli_json(args);
    for (size_t i = 0; i < KERNELS; i++) {
        const cJSON *o = outcome(report, kernels[i].file);
        const char *message = kds_json_str(o, "message", "");
        if (strcmp(kds_json_str(o, "verdict", ""), kernels[i].verdict) != 0)
            fail_msg("%s: %s, expected %s (%s)", kernels[i].file, kds_json_str(o, "verdict", ""),
                     kernels[i].verdict, message);
        if (strstr(message, kernels[i].words) == NULL)
            fail_msg("%s: '%s' does not say '%s'", kernels[i].file, message, kernels[i].words);
    }
    assert_string_equal(kds_json_str(kds_json_at(report, "device"), "name", ""), "Simulated GPU");
    assert_string_equal(kds_json_str(kds_json_at(report, "device"), "arch", ""), "sm_90");
    assert_true(cJSON_IsNull(kds_json_at(report, "stopped")));
    /* The file holds the same. */
    char *text = cli_read(cli_path("measured.json"), NULL);
    assert_non_null(text);
    cJSON *written = kds_json_parse_record(text, strlen(text));
    assert_true(cJSON_Compare(written, report, true));
    cJSON_Delete(written);
    cJSON_Delete(report);
    free(text);
}

/* The invented times of the fake driver: 300 us a launch and 1 us a block. */
static void test_times(void **state)
{
    (void)state;
    write_kernels();
    cJSON *report = JSON("bench", "gpu", task(), "good.cu", "scratch.cu", "--rows",
                         "small,quick_1000", "--sweep", "8");
    static const struct {
        int number;
        double threads;
    } points[] = {{0, 128}, {1, 256}, {2, 64}};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        const cJSON *k = kernel(report, "good.cu", points[i].number);
        const cJSON *small = cJSON_GetArrayItem(kds_json_at(k, "rows"), 0);
        const cJSON *quick = cJSON_GetArrayItem(kds_json_at(k, "rows"), 1);
        assert_true(kds_json_num(kds_json_at(k, "tune"), "THREADS", 0) == points[i].threads);
        assert_string_equal(kds_json_str(small, "row", ""), "small");
        assert_true(fabs(kds_json_num(small, "us", 0) - 300 - 65536.0 / points[i].threads) < 1e-3);
        assert_true(kds_json_num(small, "spread", 1) < 1e-3);
        assert_true(kds_json_num(small, "visits", 0) >= 7);
        assert_true(kds_json_bool(small, "cold", false));
        /* At least a millisecond a visit, and sets of 8,000 bytes beyond twice the L2 of 64 KiB. */
        assert_true(kds_json_num(quick, "us", 0) * kds_json_num(quick, "launches_per_visit", 0) >=
                    1000);
        assert_true(kds_json_num(quick, "sets", 0) * 8000 > 2 * 65536);
    }
    /* Two launches and a memset of 1 us. */
    const cJSON *two = cJSON_GetArrayItem(kds_json_at(kernel(report, "scratch.cu", 0), "rows"), 0);
    assert_true(fabs(kds_json_num(two, "us", 0) - (1 + 2 * (300 + 256))) < 0.3);
    assert_int_equal(kds_json_int(two, "launches", 0), 2);
    cJSON_Delete(report);
}

static void test_a_sweep_is_drawn_and_bounded(void **state)
{
    (void)state;
    write_kernels();
    cJSON *report = JSON("bench", "gpu", task(), "good.cu", "--rows", "quick_1000", "--sweep", "2");
    assert_int_equal(cJSON_GetArraySize(kds_json_at(report, "kernels")), 2);
    cJSON_Delete(report);
    /* The same program twice is measured once. */
    cli_write("again.cu", "// again\n" GOOD, strlen("// again\n" GOOD));
    report = JSON("bench", "gpu", task(), "good.cu", "again.cu", "--rows", "quick_1000");
    const cJSON *twin = kernel(report, "again.cu", 0);
    assert_string_equal(kds_json_str(twin, "verdict", ""), "duplicate");
    assert_non_null(strstr(kds_json_str(twin, "message", ""), "good.cu"));
    cJSON_Delete(report);
}

static void test_nothing_is_left_over(void **state)
{
    (void)state;
    write_kernels();
    const char *const args[] = {"bench",   "gpu",    task(),       "good.cu", "scratch.cu",
                                "lazy.cu", "--rows", "quick_1000", NULL};
    cli_result r = cli_run(args);
    if (r.status != 0 || strstr(r.err, "left over") != NULL || strstr(r.err, "fake_") != NULL)
        fail_msg("status %d: %s", r.status, r.err);
    assert_non_null(strstr(r.out, "Simulated GPU"));
    cli_free(&r);
}

static void test_refusals(void **state)
{
    (void)state;
    write_kernels();
    REFUSES(2, "usage: kdasearch bench gpu", "bench", "gpu", task());
    REFUSES(2, "no row 'nonsense'", "bench", "gpu", task(), "good.cu", "--rows", "nonsense");
    REFUSES(20, "there is no GPU cuda:3", "bench", "gpu", task(), "good.cu", "--device", "cuda:3");
    REFUSES(2, "names no GPU", "bench", "gpu", task(), "good.cu", "--device", "sim");
    REFUSES(2, "--sweep", "bench", "gpu", task(), "good.cu", "--sweep", "many");
    REFUSES(2, "--seconds", "bench", "gpu", task(), "good.cu", "--seconds", "soon");
    REFUSES(1, "absent.cu", "bench", "gpu", task(), "absent.cu");
    char *path = strdup(getenv("LD_LIBRARY_PATH"));
    setenv("LD_LIBRARY_PATH", "/nonexistent", 1);
    REFUSES(20, "no CUDA driver here", "bench", "gpu", task(), "good.cu");
    setenv("LD_LIBRARY_PATH", path, 1);
    free(path);
}

static void test_doctor(void **state)
{
    (void)state;
    cJSON *parts = cli_doctor();
    const cJSON *gpu = kds_json_at(parts, "cuda:0");
    assert_string_equal(kds_json_str(gpu, "state", ""), "ok");
    assert_non_null(strstr(kds_json_str(gpu, "text", ""), "Simulated GPU, compute capability 9.0"));
    assert_non_null(strstr(kds_json_str(kds_json_at(parts, "cuda driver"), "text", ""), "13.0"));
    cJSON_Delete(parts);
}

static void test_model(void **state)
{
    (void)state;
    write_kernels();
    EXPECT(0, "bench", "gpu", task(), "good.cu", "scratch.cu", "--rows", "small,quick_4096",
           "--sweep", "8", "--out", "m.json");
    cJSON *report = JSON("bench", "model", "m.json", "--fit");
    const cJSON *all = NULL, *agreement = kds_json_at(report, "agreement");
    assert_int_equal(cJSON_GetArraySize(agreement), 2); /* the task, and all */
    all = cJSON_GetArrayItem(agreement, 1);
    assert_string_equal(kds_json_str(all, "task", ""), "all");
    assert_int_equal(kds_json_int(all, "count", 0), 8);
    assert_true(kds_json_num(all, "spearman", -2) >= -1);
    assert_true(cJSON_GetArraySize(kds_json_at(report, "parameters")) > 10);
    const cJSON *fitted = cJSON_GetArrayItem(kds_json_at(report, "fitted_agreement"), 1);
    assert_true(kds_json_num(fitted, "rms_log", 9) <= kds_json_num(all, "rms_log", 0));
    cJSON_Delete(report);
    cli_result r = CLI("bench", "model", "m.json", "--fit");
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "furthest off"));
    assert_non_null(strstr(r.out, "dram_bytes_per_second"));
    cli_free(&r);
}

static void test_malformed_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } files[] = {
        {"{\"format\": 1,", "bad.json:1"},
        {"[]", "no measured times"},
        {"{\"kind\": \"measured\", \"format\": 2, \"kernels\": []}", "format is not known"},
        {"{\"kind\": \"measured\", \"format\": 1}", "no list of kernels"},
        {"{\"kind\": \"measured\", \"format\": 1, \"kernels\": []}", "task or task_dir"},
        {"{\"kind\": \"measured\", \"format\": 1, \"kernels\": [], \"task\": \"x\", \"task_dir\": "
         "\"nowhere\"}",
         "--tasks DIR"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        cli_write("bad.json", files[i].text, strlen(files[i].text));
        cli_result r = CLI("bench", "model", "bad.json");
        if (r.status == 0 || strstr(r.err, files[i].words) == NULL)
            fail_msg("%s: status %d: %s", files[i].text, r.status, r.err);
        cli_free(&r);
    }
    char text[2000];
    static const struct {
        const char *kernel, *words;
    } bad[] = {
        {"{\"file\": \"k.cu\", \"rows\": []}", "no source"},
        {"{\"file\": \"k.cu\", \"source\": \"x\", \"rows\": [{\"verdict\": \"ok\"}]}", "no row"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text,
                 "{\"kind\": \"measured\", \"format\": 1, \"task\": \"scale\", \"task_dir\": "
                 "\"%s\", \"kernels\": [%s]}",
                 task(), bad[i].kernel);
        cli_write("bad.json", text, strlen(text));
        REFUSES(3, "bad.json:1", "bench", "model", "bad.json");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_outcome),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_a_sweep_is_drawn_and_bounded),
        cmocka_unit_test(test_nothing_is_left_over),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_doctor),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_malformed_files),
    };
    return cmocka_run_group_tests(tests, fake_gpu_set_up, fake_gpu_tear_down);
}
