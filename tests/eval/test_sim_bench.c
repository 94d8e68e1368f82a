/* The benchmark of the simulator: it runs, its results are right, and its figures hold together. */
#include "eval/sim/bench.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void bench_reports_every_kernel(void **state)
{
    (void)state;
    cJSON *report = NULL;
    kds_err e = {0};
    if (kds_sim_bench(&report, &e) != KDS_OK)
        fail_msg("%s", e.message);
    const cJSON *row, *rows = kds_json_at(report, "kernels");
    assert_int_equal(cJSON_GetArraySize(rows), 5);
    cJSON_ArrayForEach(row, rows)
    {
        double warps = kds_json_num(row, "warp_inst", 0), seconds = kds_json_num(row, "seconds", 0);
        double threads = kds_json_num(row, "thread_inst", 0);
        assert_true(warps > 30000 && seconds > 0);
        assert_true(threads <= 32 * warps && threads > 28 * warps);
        assert_true(kds_json_num(row, "max_error", 9) < 1.1);
        double rate = kds_json_num(row, "million_thread_inst_per_second", 0);
        assert_true(kds_json_num(row, "seconds_with_races", 0) > 0);
        assert_true(kds_json_num(row, "seconds_on_all_cores", 0) > 0);
        assert_true(rate * seconds * 1e6 > 0.999 * threads);
    }
    cJSON_Delete(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bench_reports_every_kernel)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
