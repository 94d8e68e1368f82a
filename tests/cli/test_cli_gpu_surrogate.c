/* Forecasts and the budget of GPU time in campaigns on the fake driver. */
#include "tests/cli/fake_gpu.h"

#include <math.h>

#define ROWS                                                                                       \
    "{\"format\": 1, \"production\": ["                                                            \
    "{\"id\": \"large\", \"dims\": {\"n\": 12800, \"a\": 0.5}, \"weight\": 1, \"seed\": 1,"        \
    " \"profile\": true}],"                                                                        \
    "\"quick\": [{\"id\": \"quick\", \"dims\": {\"n\": 1000, \"a\": 2.0}, \"seed\": 3}],"          \
    "\"held_out\": [{\"id\": \"held\", \"dims\": {\"n\": 777, \"a\": 0.25}, \"seed\": 4}]}"

/* A kernel with blocks of `threads`, in a reply that promises something. */
#define REPLY                                                                                      \
    "Hypothesis: h.\nPrediction: %s\n\n```cuda\n"                                                  \
    "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, %d)) block(%d)\n"                           \
    "__global__ void f(const float *x, float *y, int n, float a)\n{\n"                             \
    "    int i = blockIdx.x * %d + threadIdx.x;\n%s"                                               \
    "    if (i < n)\n        y[i] = a * x[i];\n}\n```\n"
/* Work for nothing, which the simulator sees: loads one after the other. */
#define SLOW                                                                                       \
    "    int k = i < n ? i : 0;\n"                                                                 \
    "    for (int j = 0; j < 200; j++)\n"                                                          \
    "        k = (k + (((const volatile float *)x)[k] > 1e30f) * 2 + 37) % n;\n"                   \
    "    if (k < 0)\n        return;\n"

/* Starting points that are faster and slower than the baseline, on the fake driver. */
#define SEED(threads)                                                                              \
    "#pragma kda tune THREADS = " threads "\n"                                                     \
    "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, THREADS)) block(THREADS)\n"                 \
    "__global__ void f(const float *x, float *y, int n, float a)\n{\n"                             \
    "    int i = blockIdx.x * THREADS + threadIdx.x;\n"                                            \
    "    if (i < n)\n        y[i] = a * x[i];\n}\n"

static double gpu_seconds(const char *archive)
{
    cJSON *status = JSON("status", archive);
    double seconds = kds_json_num(status, "gpu_seconds", -1);
    cJSON_Delete(status);
    return seconds;
}

static void must_hold(const char *archive)
{
    cJSON *report = JSON("replay", archive);
    assert_true(kds_json_bool(report, "agrees", false));
    cJSON_Delete(report);
    EXPECT(0, "check", archive);
}

/* The cards' time ends a campaign, is told before, and goes on being counted. */
static void test_gpu_time(void **state)
{
    (void)state;
    cli_result r = CLI("run", "seeded", "-o", "timed", "--device", "cuda:0", "--order", "arrival",
                       "--in-flight", "3", "--max-gpu-time", "0.05s", "--max-evals", "40");
    if (r.status != 0)
        fail_msg("%s%s", r.out, r.err);
    assert_non_null(strstr(r.err, "% of --max-gpu-time used"));
    cli_free(&r);
    cJSON *status = JSON("status", "timed");
    assert_string_equal(kds_json_str(status, "state", ""), "ended: max-gpu-time");
    assert_true(kds_json_int(status, "judged", 99) < 40);
    cJSON_Delete(status);
    double first = gpu_seconds("timed");
    assert_true(first >= 0.05);
    /* Every card's second is of a job that was recorded: no more than the epoch took. */
    assert_true(first <= cli_query("timed", "SELECT total(seconds) FROM epochs"));
    cli_result text = CLI("status", "timed");
    assert_non_null(strstr(text.out, "GPU time    "));
    assert_non_null(strstr(text.out, "max-gpu-time 0.05s"));
    cli_free(&text);
    /* Used up is used up; a larger budget goes on from there. */
    int64_t judged = (int64_t)cli_query("timed", "SELECT committed FROM budget");
    EXPECT(0, "resume", "timed");
    assert_int_equal((int64_t)cli_query("timed", "SELECT committed FROM budget"), judged);
    EXPECT(0, "resume", "timed", "--max-gpu-time", "0", "--max-evals", "6");
    assert_true(gpu_seconds("timed") > first);
    must_hold("timed");
}

/* Every child that was judged had a forecast before, and they are summed up. */
static void test_forecasts(void **state)
{
    (void)state;
    assert_true(cli_query("timed",
                          "SELECT count(*) FROM decisions WHERE fitness IS NOT NULL AND "
                          "duplicate_of IS NULL AND NOT EXISTS (SELECT 1 FROM events e WHERE "
                          "e.kind = 'STAGE' AND json_extract(e.body, '$.decision') = "
                          "decisions.decision AND json_extract(e.body, "
                          "'$.forecast.modelled') IS NOT NULL AND e.seq < commit_seq)") == 0);
    cJSON *o = JSON("show", "timed", "--surrogate");
    int children = (int)kds_json_int(o, "children", 0);
    assert_true(children >= 4);
    assert_false(kds_json_bool(o, "modelled", true));
    const cJSON *list = kds_json_at(o, "forecasts"), *simulator = cJSON_GetArrayItem(list, 1);
    assert_int_equal(cJSON_GetArraySize(list), 4);
    assert_string_equal(kds_json_str(simulator, "forecast", ""), "simulator");
    assert_int_equal(kds_json_int(simulator, "children", 0), children);
    assert_true(kds_json_int(simulator, "pairs", 0) > 0);
    double right = kds_json_num(simulator, "right", -1);
    assert_true(kds_json_num(simulator, "low", 2) <= right && right >= 0 && right <= 1 &&
                kds_json_num(simulator, "high", -1) >= right);
    /* Nobody but the simulator has said anything here. */
    assert_int_equal(kds_json_int(cJSON_GetArrayItem(list, 2), "children", -1), 0);
    cJSON_Delete(o);
    cli_result r = CLI("show", "timed", "--surrogate");
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "with a forecast and a measured time"));
    cli_free(&r);
}

static void answer(const char *id, const char *promise, int threads, const char *extra)
{
    char text[2000], name[200];
    int n = snprintf(text, sizeof text, REPLY, promise, threads, threads, threads, extra);
    snprintf(name, sizeof name, "%s.md", id);
    cli_write(name, text, (size_t)n);
    EXPECT(0, "mailbox", "cut", name);
}

/* What is hopeless by its forecast is set aside where that was asked for: not judged, not mended,
 * not called wrong. */
static void test_cutoff(void **state)
{
    (void)state;
    char ids[4][KDS_MAIL_ID];
    EXPECT(31, "run", "scale", "-o", "cut", "--device", "cuda:0", "--proposer", "mailbox",
           "--mailbox-out", "2", "--in-flight", "2", "--forecast-cutoff", "0.5");
    assert_int_equal(cli_pending("cut", ids, 4), 2);
    answer(ids[0], "20 % slower", 128, SLOW);
    answer(ids[1], "1.3x", 256, "");
    EXPECT(31, "resume", "cut");
    assert_true(cli_query("cut", "SELECT count(*) FROM decisions WHERE verdict = 'set_aside'") ==
                1);
    assert_true(cli_query("cut",
                          "SELECT count(*) FROM evaluations e JOIN decisions d USING (decision) "
                          "WHERE d.verdict = 'set_aside' AND e.stage = 'judge'") == 0);
    assert_true(cli_query("cut", "SELECT count(*) FROM decisions WHERE operator = 'repair'") == 0);
    assert_true(cli_query("cut",
                          "SELECT abs(json_extract(body, '$.forecast.predicted') + ln(1.3)) < "
                          "0.05 FROM events WHERE kind = 'STAGE' AND json_extract(body, "
                          "'$.forecast.predicted') < 0") == 1);
    cJSON *o = JSON("show", "cut", "--surrogate");
    assert_int_equal(kds_json_int(o, "set_aside", 0), 1);
    assert_int_equal(
        kds_json_int(cJSON_GetArrayItem(kds_json_at(o, "forecasts"), 2), "children", 0), 1);
    cJSON_Delete(o);
    cli_result r = CLI("list", "cut", "--verdict", "set_aside");
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "set_aside"));
    cli_free(&r);
    must_hold("cut");
    REFUSES(2, "is fixed when a campaign starts", "resume", "cut", "--forecast-cutoff", "0");
}

/* On the simulator there is no GPU to wait for, and nothing of it to use up. */
static void test_simulator(void **state)
{
    (void)state;
    cli_result r = CLI("run", "scale", "-o", "sim", "--max-gpu-time", "0.01s", "--max-evals", "2");
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.err, "--max-gpu-time has no effect on the simulator"));
    cli_free(&r);
    cJSON *status = JSON("status", "sim");
    assert_string_equal(kds_json_str(status, "state", ""), "ended: max-evals");
    assert_true(kds_json_num(status, "gpu_seconds", -1) == 0);
    cJSON_Delete(status);
    cli_result shown = CLI("show", "sim", "--surrogate");
    assert_int_equal(shown.status, 0);
    assert_non_null(strstr(shown.out, "on the simulator the outcome is modelled itself"));
    cli_free(&shown);
}

static int set_up(void **state)
{
    int failed = fake_gpu_set_up(state);
    fake_gpu_task("tests/tasks/scale", "scale", ROWS);
    fake_gpu_task("tests/tasks/scale", "seeded", ROWS);
    cli_write("seeded/seeds/coarse.cu", SEED("256, 512"), strlen(SEED("256, 512")));
    cli_write("seeded/seeds/fine.cu", SEED("32"), strlen(SEED("32")));
    return failed;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpu_time),
        cmocka_unit_test(test_forecasts),
        cmocka_unit_test(test_cutoff),
        cmocka_unit_test(test_simulator),
    };
    return cmocka_run_group_tests(tests, set_up, fake_gpu_tear_down);
}
