/* Forecasts of the safety check: they say in little time what the simulator says in more, of the
 * same kernels, and nothing else of the report changes. */
#include "tests/eval/judge_fixture.h"

#include <math.h>

static double ratio_of(const cJSON *report)
{
    return kds_json_num(kds_json_at(report, "forecast"), "ratio", NAN);
}

/* Of the baseline nothing is expected but its own time; seeds are expected where the judge, on many
 * more blocks, finds them. */
static void test_near_the_judge(void **state)
{
    (void)state;
    static const char *const tasks[] = {"rotary_embedding"};
    const kds_judge_options o = {
        .device = "sim:h100", .gate_seed = 5, .only_safety = true, .forecast = true};
    const kds_judge_options whole = {.device = "sim:h100", .gate_seed = 5};
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        bench_task ahead, full;
        task_open_with(&ahead, tasks[i], &o);
        task_open_with(&full, tasks[i], &whole);
        assert_true(ratio_of(kds_judge_baseline(ahead.judge)) == 0);
        for (int k = 0; k < ahead.task->seed_count; k++) {
            const char *source = ahead.task->seeds[k].source;
            cJSON *guess = judge(&ahead, source), *again = judge(&ahead, source),
                  *known = judge(&full, source);
            assert_string_equal(kds_json_str(kds_json_at(guess, "forecast"), "device", ""),
                                "sim:h100");
            double expected = -log(kds_json_num(known, "fitness", NAN));
            if (!(fabs(ratio_of(guess) - expected) < 0.1))
                fail_msg("%s, seed %d: %g instead of %g", tasks[i], k, ratio_of(guess), expected);
            assert_true(cJSON_Compare(guess, again, true));
            assert_null(kds_json_at(guess, "fitness"));
            cJSON_Delete(guess);
            cJSON_Delete(again);
            cJSON_Delete(known);
        }
        task_close(&ahead);
        task_close(&full);
    }
}

/* What fails, or does not end, has none. */
static void test_none(void **state)
{
    (void)state;
    const kds_judge_options o = {
        .device = "sim", .gate_seed = 5, .only_safety = true, .forecast = true};
    const kds_judge_options plain = {.device = "sim", .gate_seed = 5, .only_safety = true};
    bench_task b;
    const char *wrong = "#pragma kda launch f(x) grid(1) block(32)\n"
                        "__global__ void f(const void *x)\n{\n}\n";
    task_open_with(&b, "rotary_embedding", &o);
    cJSON *report = judge(&b, wrong);
    assert_string_not_equal(kds_json_str(report, "verdict", ""), "ok");
    assert_null(kds_json_at(report, "forecast"));
    cJSON_Delete(report);
    task_close(&b);
    task_open_with(&b, "rotary_embedding", &plain);
    report = judge(&b, b.task->seeds[0].source);
    assert_string_equal(kds_json_str(report, "verdict", ""), "ok");
    assert_null(kds_json_at(report, "forecast")); /* not asked for */
    cJSON_Delete(report);
    task_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_near_the_judge),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
