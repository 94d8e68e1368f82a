/* `bench duel` as its users see it, on the fake driver, whose times are exact: 300 us a launch and
 * 1 us a block. */
#include "tests/cli/fake_gpu.h"

#include "eval/duel_replay.h"

#include <math.h>

#define LAUNCH "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, THREADS)) block(THREADS)\n"
#define HEAD(threads)                                                                              \
    "#pragma kda tune THREADS = " threads "\n" LAUNCH "__device__ unsigned runs;\n"                \
    "__device__ float *seen[65536];\n"                                                             \
    "__global__ void f(const float *x, float *y, int n, float a)\n{\n"                             \
    "    int i = blockIdx.x * THREADS + threadIdx.x;\n"
#define BODY "    if (i < n)\n        y[i] = a * x[i];\n"

static const struct {
    const char *file, *source;
} kernels[] = {
    {"plain.cu", HEAD("128") BODY "}\n"},
    {"fast.cu", HEAD("256") BODY "}\n"},
    {"slow.cu", HEAD("64") BODY "}\n"},
    {"slower.cu", HEAD("120") BODY "}\n"},
    /* Idle once it has run a few times. */
    {"idle.cu",
     HEAD("128") "    if (runs >= 5 * gridDim.x)\n        return;\n"
                 "    if (threadIdx.x == 0)\n        atomicAdd(&runs, 1u);\n" BODY "}\n"},
    /* Idle in every fourth run. */
    {"lapses.cu", HEAD("128") "    __shared__ unsigned mine;\n    if (threadIdx.x == 0)\n"
                              "        mine = atomicAdd(&runs, 1u);\n    __syncthreads();\n"
                              "    if (mine / gridDim.x % 4 == 2)\n        return;\n" BODY "}\n"},
    /* Believes that outputs at an address seen before are still right. */
    {"believes.cu",
     HEAD("128") "    if (i >= n)\n        return;\n"
                 "    float **mine = &seen[((unsigned long long)(y + i) >> 2) % 65536];\n"
                 "    if (*mine == y + i)\n        return;\n    *mine = y + i;\n" BODY "}\n"},
    {"traps.cu", HEAD("128") "    if (i == 2)\n        __trap();\n" BODY "}\n"},
    {"wrong.cu", HEAD("128") BODY "    if (i == 3)\n        y[i] = 1;\n}\n"},
    {"bare.cu", "__global__ void scale(const float *x, float *y, int n, float a)\n{\n"
                "    const int i = blockIdx.x * blockDim.x + threadIdx.x;\n" BODY "}\n"},
};

static const char *task(void)
{
    return cli_source("tests/tasks/scale");
}

static void write_kernels(void)
{
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        cli_write(kernels[i].file, kernels[i].source, strlen(kernels[i].source));
}

static const cJSON *duel_of(const cJSON *report, int i)
{
    const cJSON *d = cJSON_GetArrayItem(kds_json_at(report, "duels"), i);
    assert_non_null(d);
    return d;
}

static void must_be(const cJSON *duel, const char *verdict, int rounds)
{
    if (strcmp(kds_json_str(duel, "verdict", "none"), verdict) != 0 ||
        kds_json_int(duel, "counted", -1) != rounds)
        fail_msg("%s after %d rounds, expected %s after %d: %s",
                 kds_json_str(duel, "verdict", "none"), (int)kds_json_int(duel, "counted", -1),
                 verdict, rounds, kds_json_str(duel, "why", ""));
}

/* 4096 elements: 32 blocks of 128 threads take 332 us. */
static void test_verdicts(void **state)
{
    (void)state;
    static const struct {
        const char *child, *verdict;
        int rounds;
        double blocks;
    } cases[] = {{"fast.cu", "faster", 8, 16},
                 {"slow.cu", "not_faster", 2, 64},
                 {"slower.cu", "not_faster", 3, 35}};
    write_kernels();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cJSON *report =
            JSON("bench", "duel", task(), "plain.cu", cases[i].child, "--rows", "quick_4096");
        const cJSON *d = duel_of(report, 0);
        double expected = log((30 + 0.1 * cases[i].blocks) / 33.2);
        must_be(d, cases[i].verdict, cases[i].rounds);
        if (fabs(kds_json_num(d, "estimate", 9) - expected) > 1e-4)
            fail_msg("%s: %g, expected %g", cases[i].child, kds_json_num(d, "estimate", 9),
                     expected);
        cJSON_Delete(report);
    }
}

static void test_an_equal_kernel_does_not_win(void **state)
{
    (void)state;
    write_kernels();
    cJSON *report = JSON("bench", "duel", task(), "--aa", "plain.cu", "--rows",
                         "quick_1000,quick_4096", "--duels", "3", "--seed", "5");
    const cJSON *s = kds_json_at(report, "summary");
    assert_int_equal(kds_json_int(s, "duels", 0), 3);
    assert_int_equal(kds_json_int(s, "not_faster", 0), 3);
    assert_true(kds_json_num(kds_json_at(s, "estimates"), "floor", 1) < 1e-5);
    for (int i = 0; i < 3; i++) {
        const cJSON *d = duel_of(report, i), *row = NULL;
        must_be(d, "not_faster", 8);
        assert_int_equal(kds_json_int(d, "seed", 0), 5 + i);
        assert_int_equal(cJSON_GetArraySize(kds_json_at(d, "rows")), 2);
        cJSON_ArrayForEach(row, kds_json_at(d, "rows"))
        {
            double us = kds_json_num(kds_json_at(row, "child"), "us", 0);
            assert_true(us * kds_json_num(row, "launches", 0) >= 1000);
            assert_string_equal(kds_json_str(row, "cold", ""), "rotation");
            assert_true(kds_json_num(row, "checked", 0) >= 32);
        }
    }
    /* The copy is another text and another name. */
    const char *ids[2] = {kds_json_str(kds_json_at(report, "incumbent"), "id", ""),
                          kds_json_str(kds_json_at(report, "child"), "id", "")};
    assert_string_not_equal(ids[0], ids[1]);
    cJSON_Delete(report);
}

static void test_a_slowed_incumbent_loses(void **state)
{
    (void)state;
    write_kernels();
    static const char *const modes[] = {"--floor=0.001", "--warm"};
    for (int warm = 0; warm < 2; warm++) {
        cJSON *report = JSON("bench", "duel", task(), "--aa", "plain.cu", "--rows", "quick_4096",
                             "--slowdown", "0.01", modes[warm]);
        const cJSON *d = duel_of(report, 0), *row = cJSON_GetArrayItem(kds_json_at(d, "rows"), 0),
                    *slow = kds_json_at(row, "slowdown");
        must_be(d, "faster", 8);
        assert_true(fabs(kds_json_num(d, "gain", 0) - 0.01) < 3e-4);
        assert_true(fabs(kds_json_num(slow, "added_us", 0) / kds_json_num(slow, "visit_us", 1) -
                         0.01) < 3e-4);
        assert_string_equal(kds_json_str(d, "mode", ""), warm ? "warm" : "cold");
        cJSON_Delete(report);
    }
}

static void test_the_seed_is_the_schedule(void **state)
{
    (void)state;
    write_kernels();
    cJSON *reports[3];
    static const char *const seeds[3] = {"7", "7", "8"};
    for (int i = 0; i < 3; i++)
        reports[i] = JSON("bench", "duel", task(), "plain.cu", "fast.cu", "--rows", "quick_4096",
                          "--seed", seeds[i]);
    int differ[3] = {0};
    for (int i = 1; i < 3; i++)
        for (int k = 0; k < 8; k++) {
            const cJSON *rows[2];
            for (int s = 0; s < 2; s++) {
                const cJSON *rounds = kds_json_at(duel_of(reports[s * i], 0), "rounds");
                rows[s] = cJSON_GetArrayItem(kds_json_at(cJSON_GetArrayItem(rounds, k), "rows"), 0);
            }
            differ[i] += strcmp(kds_json_str(rows[0], "order", ""),
                                kds_json_str(rows[1], "order", "")) != 0 ||
                         kds_json_int(rows[0], "offset", -1) != kds_json_int(rows[1], "offset", -1);
        }
    assert_int_equal(differ[1], 0);
    assert_true(differ[2] >= 7);
    for (int i = 0; i < 3; i++)
        cJSON_Delete(reports[i]);
}

/* An arm's failure is told, ends the worker and spoils no duel after it. */
static void test_failures(void **state)
{
    (void)state;
    static const struct {
        const char *child, *verdict, *words;
    } cases[] = {{"idle.cu", "stale_output", "after timed launches"},
                 {"lapses.cu", "stale_output", "after timed launches"},
                 {"believes.cu", "stale_output", "after timed launches"},
                 {"traps.cu", "device_fault", "CUDA_ERROR_LAUNCH_FAILED"},
                 {"wrong.cu", "wrong", "y[3]"}};
    write_kernels();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cJSON *report = JSON("bench", "duel", task(), "plain.cu", cases[i].child, "--rows",
                             "quick_4096", "--duels", "2");
        assert_int_equal(kds_json_int(kds_json_at(report, "summary"), "failed", 0), 2);
        for (int k = 0; k < 2; k++) {
            const cJSON *f = kds_json_at(duel_of(report, k), "finding");
            if (strcmp(kds_json_str(f, "verdict", ""), cases[i].verdict) != 0 ||
                strstr(kds_json_str(f, "message", ""), cases[i].words) == NULL)
                fail_msg("%s: %s: %s", cases[i].child, kds_json_str(f, "verdict", "nothing"),
                         kds_json_str(f, "message", ""));
            assert_string_equal(kds_json_str(f, "arm", ""), "child");
            assert_true(cJSON_IsNull(kds_json_at(duel_of(report, k), "verdict")));
        }
        cJSON_Delete(report);
    }
    cJSON *report =
        JSON("bench", "duel", task(), "idle.cu", "plain.cu", "--rows", "quick_4096", "--warm");
    const cJSON *f = kds_json_at(duel_of(report, 0), "finding");
    assert_string_equal(kds_json_str(f, "arm", ""), "incumbent");
    assert_string_equal(kds_json_str(f, "verdict", ""), "stale_output");
    cJSON_Delete(report);
}

/* One element: no number of sets exceeds the L2, so it is flushed. */
static void test_small_rows_flush_the_cache(void **state)
{
    (void)state;
    write_kernels();
    cJSON *report = JSON("bench", "duel", task(), "--aa", "plain.cu", "--rows", "held_1");
    const cJSON *d = duel_of(report, 0), *row = cJSON_GetArrayItem(kds_json_at(d, "rows"), 0);
    must_be(d, "not_faster", 8);
    assert_string_equal(kds_json_str(row, "cold", ""), "flush");
    assert_true(kds_json_num(row, "launches", 99) <= 16);
    assert_true(fabs(kds_json_num(kds_json_at(row, "incumbent"), "us", 0) - 301) < 1);
    cJSON_Delete(report);
}

/* Buffers that are changed in place: a set of their own for every run, so that all can be checked.
 */
static void test_in_place(void **state)
{
    (void)state;
    const char *kernel = cli_source("kernels/residual_rms_norm/baseline/kernel.cu");
    cJSON *report = JSON("bench", "duel", cli_source("kernels/residual_rms_norm"), "--aa", kernel,
                         "--rows", "quick_7x100");
    const cJSON *d = duel_of(report, 0), *row = cJSON_GetArrayItem(kds_json_at(d, "rows"), 0);
    must_be(d, "not_faster", 8);
    assert_true(kds_json_num(row, "sets", 0) >= kds_json_num(row, "launches", 1e9));
    assert_true(kds_json_num(row, "checked", 0) == 32);
    cJSON_Delete(report);
}

/* Rounds that the machine disturbed are fought again; too many end the duel. */
static void test_disturbances(void **state)
{
    (void)state;
    static const struct {
        const char *nvml, *verdict, *flag, *ended_by;
        int rounds, repeats;
    } cases[] = {{"1980", "faster", NULL, "", 8, 0},
                 {"1980,1980,1500,1980", "faster", "clock_moved", "", 8, 2},
                 {"1980,1970/1,1980/2", "faster", NULL, "", 8, 0},
                 {"1980,1980/8", "unresolved", "throttled", "throttled", 0, 9},
                 {"1980,1980,1980/0/2", "unresolved", "foreign_process", "foreign_process", 1, 9}};
    write_kernels();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cli_write("fake_nvml", cases[i].nvml, strlen(cases[i].nvml));
        cJSON *report =
            JSON("bench", "duel", task(), "plain.cu", "fast.cu", "--rows", "quick_4096");
        const cJSON *d = duel_of(report, 0), *flags = kds_json_at(d, "flags");
        must_be(d, cases[i].verdict, cases[i].rounds);
        assert_int_equal(kds_json_int(d, "repeats", -1), cases[i].repeats);
        assert_string_equal(kds_json_str(d, "ended_by", ""), cases[i].ended_by);
        assert_int_equal(cJSON_GetArraySize(flags), cases[i].flag != NULL);
        if (cases[i].flag != NULL)
            assert_string_equal(cJSON_GetArrayItem(flags, 0)->valuestring, cases[i].flag);
        assert_int_equal(cJSON_GetArraySize(kds_json_at(d, "rounds")),
                         cases[i].rounds + cases[i].repeats);
        cJSON_Delete(report);
    }
    assert_int_equal(unlink(cli_path("fake_nvml")), 0);
}

/* The file's duels can be derived again; a changed time shows. */
static void test_a_report_replays(void **state)
{
    (void)state;
    kds_duel replayed;
    kds_err err = {0};
    write_kernels();
    EXPECT(0, "bench", "duel", task(), "plain.cu", "fast.cu", "--rows", "quick_4096", "--fresh",
           "--duels", "2", "--out", "duels.json");
    char *text = cli_read(cli_path("duels.json"), NULL);
    assert_non_null(text);
    cJSON *report = kds_json_parse_record(text, strlen(text));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kds_duel_replay(duel_of(report, i), &replayed, &err), KDS_OK);
        assert_int_equal(replayed.verdict, KDS_DUEL_FASTER);
    }
    cJSON *round = cJSON_GetArrayItem(kds_json_at(duel_of(report, 1), "rounds"), 3);
    cJSON *times =
        cJSON_GetObjectItem(cJSON_GetArrayItem(kds_json_at(round, "rows"), 0), "child_us");
    cJSON_SetNumberValue(cJSON_GetArrayItem(times, 0), 3.0);
    assert_int_equal(kds_duel_replay(duel_of(report, 1), &replayed, &err), KDS_INVALID);
    assert_non_null(strstr(err.message, "value"));
    cJSON_Delete(report);
    free(text);
}

static void test_nothing_is_left_over(void **state)
{
    (void)state;
    write_kernels();
    cli_result r = CLI("bench", "duel", task(), "--aa", "plain.cu", "--rows",
                       "quick_1000,quick_4096", "--duels", "2");
    if (r.status != 0 || strstr(r.err, "left over") != NULL || strstr(r.err, "fake_") != NULL)
        fail_msg("status %d: %s", r.status, r.err);
    assert_non_null(strstr(r.out, "a renamed copy of itself"));
    assert_non_null(strstr(r.out, "not_faster 2 (100.00 %)"));
    cli_free(&r);
}

static void test_refusals(void **state)
{
    (void)state;
    write_kernels();
    REFUSES(2, "usage: kdasearch bench duel", "bench", "duel", task(), "plain.cu");
    REFUSES(2, "usage: kdasearch bench duel", "bench", "duel", task(), "plain.cu", "--aa", "x.cu");
    REFUSES(2, "--slowdown", "bench", "duel", task(), "--aa", "plain.cu", "--slowdown", "2");
    REFUSES(2, "--duels", "bench", "duel", task(), "--aa", "plain.cu", "--duels", "0");
    REFUSES(2, "no row 'nonsense'", "bench", "duel", task(), "--aa", "plain.cu", "--rows",
            "nonsense");
    REFUSES(2, "run by run", "bench", "duel", task(), "--aa", "plain.cu", "--rows", "held_1",
            "--slowdown", "0.01");
    REFUSES(3, "no launch line", "bench", "duel", task(), "--aa", "bare.cu", "--rows",
            "quick_4096");
    REFUSES(20, "there is no GPU cuda:3", "bench", "duel", task(), "--aa", "plain.cu", "--device",
            "cuda:3");
}

/* The home folder is the scratch folder: there lies the fake NVML's list. */
static int set_up(void **state)
{
    int result = fake_gpu_set_up(state);
    setenv("HOME", cli_path("."), 1);
    return result;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_an_equal_kernel_does_not_win),
        cmocka_unit_test(test_a_slowed_incumbent_loses),
        cmocka_unit_test(test_the_seed_is_the_schedule),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_small_rows_flush_the_cache),
        cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_disturbances),
        cmocka_unit_test(test_a_report_replays),
        cmocka_unit_test(test_nothing_is_left_over),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, set_up, fake_gpu_tear_down);
}
