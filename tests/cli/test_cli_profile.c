/* `bench profile` as its users see it, on the fake driver and the fake CUPTI (tests/fake_cuda). */
#include "tests/cli/fake_gpu.h"

#include <math.h>

#define FILES "copy.cu", "two.cu", "traps.cu", "syntax.cu"

/* Four elements a thread. */
static const char copy[] =
    "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 1024)) block(256)\n"
    "__global__ void f(const float4 *x, float4 *y, int n, float a)\n"
    "{ int i = blockIdx.x * 256 + threadIdx.x; if (4 * i >= n) return; float4 v = x[i];\n"
    "  v.x *= a; v.y *= a; v.z *= a; v.w *= a; y[i] = v; }\n";
/* Two launches and scratch that must be zero. */
static const char two[] =
    "#pragma kda scratch zero part : f32[n]\n"
    "#pragma kda launch first(x, part, n, a) grid(ceil_div(n, 256)) block(256)\n"
    "#pragma kda launch second(part, y, n) grid(ceil_div(n, 256)) block(256)\n"
    "__global__ void first(const float *x, float *part, int n, float a)\n"
    "{ int i = blockIdx.x * 256 + threadIdx.x; if (i < n) part[i] += a * x[i]; }\n"
    "__global__ void second(const float *part, float *y, int n)\n"
    "{ int i = blockIdx.x * 256 + threadIdx.x; if (i < n) y[i] = part[i]; }\n";
static const char traps[] =
    "#pragma kda launch f(x, y, n, a) grid(1) block(32)\n"
    "__global__ void f(const float *x, float *y, int n, float a) { if (n > 2) __trap(); }\n";
static const char syntax[] =
    "#pragma kda launch f(x, y, n, a) grid(1) block(32)\n"
    "__global__ void f(const float *x, float *y, int n, float a) { oops }\n";

/* For residual_rms_norm: what it does depends on what a run before has left in place. */
static const char in_place[] =
    "#pragma kda launch f(x, h, y, M * N) grid(ceil_div(M * N, 128)) block(128)\n"
    "__global__ void f(const unsigned short *x, unsigned short *h, unsigned short *y, int n)\n"
    "{ int i = blockIdx.x * 128 + threadIdx.x; if (i >= n || (h[i] & 0x8000)) return;\n"
    "  h[i] |= 0x8000; y[i] = x[i]; }\n";

#define LD_SECTORS "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum"
#define LD_REQUESTS "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum"
#define ST_REQUESTS "l1tex__t_requests_pipe_lsu_mem_global_op_st.sum"

static const char *task(void)
{
    return cli_source("tests/tasks/scale");
}

static const char *script_path(void)
{
    return cli_path("fake_cupti");
}

/* What the fake CUPTI does from now on; NULL: it works. */
static void script(const char *word)
{
    (void)unlink(script_path());
    if (word == NULL)
        return;
    FILE *f = fopen(script_path(), "w");
    assert_non_null(f);
    assert_true(fputs(word, f) >= 0 && fclose(f) == 0);
}

static int before(void **state)
{
    (void)state;
    script(NULL);
    cli_write("copy.cu", copy, sizeof copy - 1);
    cli_write("two.cu", two, sizeof two - 1);
    cli_write("in_place.cu", in_place, sizeof in_place - 1);
    cli_write("traps.cu", traps, sizeof traps - 1);
    cli_write("syntax.cu", syntax, sizeof syntax - 1);
    return 0;
}

static int after(void **state)
{
    (void)state;
    script(NULL);
    return 0;
}

/* The entry of a kernel's row number `row`. */
static const cJSON *entry(const cJSON *report, int kernel, int row)
{
    const cJSON *k = cJSON_GetArrayItem(kds_json_at(report, "kernels"), kernel);
    const cJSON *r = cJSON_GetArrayItem(kds_json_at(k, "rows"), row);
    if (r == NULL)
        fail_msg("no row %d of kernel %d", row, kernel);
    return r;
}

static double counter(const cJSON *entry, const char *name)
{
    return kds_json_num(kds_json_at(entry, "counters"), name, -1);
}

static void test_counters(void **state)
{
    (void)state;
    cJSON *report =
        JSON("bench", "profile", task(), FILES, "--rows", "quick_4096", "--out", "p.json");
    const cJSON *one = entry(report, 0, 0), *both = entry(report, 1, 0);
    assert_string_equal(kds_json_str(one, "verdict", ""), "ok");
    assert_true(counter(one, LD_SECTORS) == 4096.0 * 4 / 32);
    assert_true(counter(one, LD_REQUESTS) == 4096.0 / 4 / 32);
    assert_true(counter(one, "sm__warps_launched.sum") == 4096.0 / 4 / 32);
    assert_true(counter(one, "dram__bytes_read.sum") == 4096.0 * 4);
    assert_true(counter(one, "dram__bytes.sum") == 2 * 4096.0 * 4);
    assert_true(counter(one, ST_REQUESTS) == -1); /* not in the default set */
    /* Both launches: x and part, then part. */
    assert_true(counter(both, LD_REQUESTS) == 3 * 4096.0 / 32);
    assert_true(counter(both, "sm__ctas_launched.sum") == 2 * 4096.0 / 256);
    assert_int_equal(kds_json_int(report, "passes", 0), 3);
    assert_string_equal(kds_json_str(kds_json_at(report, "device"), "chip", ""), "GH100");
    /* A fault is the kernel's; what does not compile is not run. */
    assert_string_equal(kds_json_str(entry(report, 2, 0), "verdict", ""), "device_fault");
    const cJSON *bad = cJSON_GetArrayItem(kds_json_at(report, "kernels"), 3);
    assert_string_equal(kds_json_str(bad, "verdict", ""), "compile_failed");
    assert_int_equal(cJSON_GetArraySize(kds_json_at(bad, "rows")), 0);
    char *text = cli_read(cli_path("p.json"), NULL);
    cJSON *written = kds_json_parse_record(text, strlen(text));
    assert_true(cJSON_Compare(written, report, true));
    cJSON_Delete(written);
    cJSON_Delete(report);
    free(text);
}

/* Everything that both count is the same, in all passes: the fake GPU is the simulator. */
static void test_against_the_simulator(void **state)
{
    (void)state;
    const char *norm = cli_source("kernels/residual_rms_norm");
    char kernel[1200];
    snprintf(kernel, sizeof kernel, "%s/baseline/kernel.cu", norm);
    cJSON *report = JSON("bench", "profile", norm, kernel, "in_place.cu", "--rows",
                         "quick_5x896,quick_33x64", "--metrics", "all", "--compare-sim");
    for (int i = 0; i < 4; i++) {
        const cJSON *r = entry(report, i / 2, i % 2), *sim = kds_json_at(r, "sim"), *c = NULL;
        int compared = 0;
        assert_false(kds_json_bool(r, "sampled", true));
        cJSON_ArrayForEach(c, sim)
        {
            if (strncmp(c->string, "sim__", 5) == 0 || strstr(c->string, "dram__") != NULL ||
                strstr(c->string, "pct") != NULL)
                continue;
            if (counter(r, c->string) != c->valuedouble)
                fail_msg("%s: %g, simulated %g", c->string, counter(r, c->string), c->valuedouble);
            compared++;
        }
        assert_true(compared > 20);
        assert_true(counter(r, LD_SECTORS) > 0);
        /* Nothing to divide by: left out, not invented. */
        assert_null(kds_json_at(kds_json_at(r, "counters"), "lts__t_sector_hit_rate.pct"));
    }
    cJSON_Delete(report);
    cli_result r = CLI("bench", "profile", norm, kernel, "--rows", "quick_5x896", "--compare-sim",
                       "--self-test");
    if (r.status != 0 || strstr(r.err, "fake_") != NULL || strstr(r.err, "left over") != NULL)
        fail_msg("status %d: %s", r.status, r.err);
    assert_non_null(strstr(r.out, "self-test of the counters"));
    assert_non_null(strstr(r.out, "1.0000"));
    cli_free(&r);
}

static void test_metrics_by_name(void **state)
{
    (void)state;
    cJSON *report = JSON("bench", "profile", task(), "copy.cu", "--rows", "quick_4096", "--metrics",
                         ST_REQUESTS ",sm__bogus.sum,smsp__inst_executed_pipe_fp32.sum");
    const cJSON *r = entry(report, 0, 0);
    assert_true(counter(r, ST_REQUESTS) == 4096.0 / 4 / 32);
    assert_true(counter(r, "smsp__inst_executed_pipe_fp32.sum") >= 4 * 32);
    assert_int_equal(cJSON_GetArraySize(kds_json_at(r, "counters")), 2);
    assert_string_equal(cJSON_GetArrayItem(kds_json_at(report, "missing"), 0)->valuestring,
                        "sm__bogus.sum");
    cJSON_Delete(report);
}

/* Where few counters fit into a pass, the most important ones are taken. */
static void test_passes_are_bounded(void **state)
{
    (void)state;
    script("narrow");
    cJSON *report = JSON("bench", "profile", task(), "copy.cu", "--rows", "quick_4096");
    const cJSON *r = entry(report, 0, 0);
    assert_int_equal(kds_json_int(report, "passes", 0), 3);
    assert_true(counter(r, LD_SECTORS) == 4096.0 * 4 / 32);
    assert_true(counter(r, "dram__bytes.sum") == 2 * 4096.0 * 4);
    assert_true(counter(r, "smsp__inst_executed_pipe_xu.sum") == -1);
    cJSON_Delete(report);
}

static void test_self_test(void **state)
{
    (void)state;
    cJSON *report =
        JSON("bench", "profile", task(), "copy.cu", "--rows", "quick_4096", "--self-test");
    const cJSON *c = NULL, *list = kds_json_at(report, "self_test");
    assert_int_equal(cJSON_GetArraySize(list), 8);
    cJSON_ArrayForEach(c, list)
        assert_true(kds_json_num(c, "got", 0) == kds_json_num(c, "want", 1));
    assert_true(counter(entry(report, 0, 0), LD_SECTORS) > 0);
    cJSON_Delete(report);
    script("off"); /* DRAM's bytes, by a tenth */
    report = JSON("bench", "profile", task(), "copy.cu", "--rows", "quick_4096", "--self-test");
    const cJSON *r = entry(report, 0, 0);
    assert_true(kds_json_bool(r, "no_counters", false));
    assert_null(kds_json_at(r, "counters"));
    assert_non_null(strstr(kds_json_str(r, "reason", ""), "dram__bytes_read.sum"));
    assert_non_null(strstr(kds_json_str(r, "reason", ""), "-10.00 %"));
    assert_string_equal(kds_json_str(report, "no_counters", ""), kds_json_str(r, "reason", ""));
    cJSON_Delete(report);
}

static void test_forbidden(void **state)
{
    (void)state;
    script("forbidden");
    cJSON *report = JSON("bench", "profile", task(), "copy.cu", "--rows", "quick_4096");
    const cJSON *r = entry(report, 0, 0);
    assert_string_equal(kds_json_str(r, "verdict", ""), "ok"); /* not the kernel's fault */
    assert_true(kds_json_bool(r, "no_counters", false));
    assert_non_null(strstr(kds_json_str(r, "reason", ""), "CUPTI_ERROR_INSUFFICIENT_PRIVILEGES"));
    assert_non_null(strstr(kds_json_str(r, "reason", ""), "NVreg_RestrictProfilingToAdminUsers=0"));
    cJSON_Delete(report);
}

static void test_busy(void **state)
{
    (void)state;
    script("busy-twice"); /* a dying profiler lets go of them after a moment */
    cJSON *report = JSON("bench", "profile", task(), "copy.cu", "--rows", "quick_4096");
    assert_true(counter(entry(report, 0, 0), LD_SECTORS) > 0);
    cJSON_Delete(report);
    script("busy");
    report = JSON("bench", "profile", task(), "copy.cu", "--rows", "quick_4096", "--self-test");
    const cJSON *r = entry(report, 0, 0);
    assert_true(kds_json_bool(r, "no_counters", false));
    assert_non_null(strstr(kds_json_str(r, "reason", ""), "cuptiRangeProfilerEnable"));
    assert_non_null(strstr(kds_json_str(r, "reason", ""), "another profiler"));
    cJSON_Delete(report);
}

/* The profiler takes its process with it: the row is tried once more in a fresh one. */
static void test_crash(void **state)
{
    (void)state;
    script("crash-second");
    cJSON *report =
        JSON("bench", "profile", task(), "copy.cu", "two.cu", "--rows", "quick_1000,quick_4096");
    for (int kernel = 0; kernel < 2; kernel++)
        for (int row = 0; row < 2; row++)
            assert_true(counter(entry(report, kernel, row), LD_SECTORS) > 0);
    cJSON_Delete(report);
    script("crash");
    report = JSON("bench", "profile", task(), "copy.cu", "two.cu", "--rows", "quick_4096");
    for (int kernel = 0; kernel < 2; kernel++) {
        const cJSON *r = entry(report, kernel, 0);
        assert_string_equal(kds_json_str(r, "verdict", ""), "ok");
        assert_true(kds_json_bool(r, "no_counters", false));
        assert_non_null(strstr(kds_json_str(r, "reason", ""), "signal 11"));
    }
    cJSON_Delete(report);
}

static void test_refusals(void **state)
{
    (void)state;
    REFUSES(2, "usage: kdasearch bench profile", "bench", "profile", task());
    REFUSES(2, "no row 'nonsense'", "bench", "profile", task(), "copy.cu", "--rows", "nonsense");
    REFUSES(20, "there is no GPU cuda:3", "bench", "profile", task(), "copy.cu", "--device",
            "cuda:3");
    char *list = calloc(1, 9001); /* what the worker refuses ends it all */
    assert_non_null(list);
    memset(list, 'x', 9000);
    REFUSES(2, "longer than", "bench", "profile", task(), "copy.cu", "--metrics", list);
    free(list);
}

static void test_doctor(void **state)
{
    (void)state;
    cJSON *parts = cli_doctor();
    const cJSON *part = kds_json_at(parts, "cupti");
    assert_string_equal(kds_json_str(part, "state", ""), "ok");
    assert_non_null(strstr(kds_json_str(part, "text", ""), "extras/CUPTI/lib64/libcupti.so.13"));
    assert_non_null(kds_json_at(parts, "counters"));
    cJSON_Delete(parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_counters, before, after),
        cmocka_unit_test_setup_teardown(test_against_the_simulator, before, after),
        cmocka_unit_test_setup_teardown(test_metrics_by_name, before, after),
        cmocka_unit_test_setup_teardown(test_passes_are_bounded, before, after),
        cmocka_unit_test_setup_teardown(test_self_test, before, after),
        cmocka_unit_test_setup_teardown(test_forbidden, before, after),
        cmocka_unit_test_setup_teardown(test_busy, before, after),
        cmocka_unit_test_setup_teardown(test_crash, before, after),
        cmocka_unit_test_setup_teardown(test_refusals, before, after),
        cmocka_unit_test_setup_teardown(test_doctor, before, after),
    };
    return cmocka_run_group_tests(tests, fake_gpu_set_up, fake_gpu_tear_down);
}
