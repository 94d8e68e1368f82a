/* The recorded campaigns of examples/lineages hold: they derive again, they are whole, and what
 * they crowned is what the task ships. */
#include "tests/cli/cli_test.h"

#include "search/base/file.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_records_hold(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(KDS_SOURCE_DIR "/examples/lineages/*/campaign.db", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        kds_err e = {0};
        char name[40], folder[600];
        snprintf(name, sizeof name, "record%zu", i);
        snprintf(folder, sizeof folder, "%s", found.gl_pathv[i]);
        *strrchr(folder, '/') = '\0';
        if (kds_dir_copy(folder, cli_path(name), &e) != KDS_OK)
            fail_msg("%s", e.message);
        cJSON *report = JSON("replay", name);
        assert_true(kds_json_bool(report, "agrees", false));
        assert_true(kds_json_int(report, "duels", 0) > 0);
        assert_true(kds_json_int(report, "replies", 0) >= 40);
        cJSON_Delete(report);
        EXPECT(0, "check", name);
        cJSON *lineage = JSON("lineage", name);
        assert_true(cJSON_GetArraySize(lineage) >= 2);
        cJSON_Delete(lineage);
        /* Without its GPU the kernels still compile and pass; how fast they are is left open. */
        cJSON *again = JSON("replay", name, "best", "--device", "sim");
        assert_string_equal(kds_json_str(again, "outcome", ""), "agrees");
        assert_true(kds_json_bool(kds_json_at(again, "claim"), "made", false));
        assert_false(kds_json_bool(kds_json_at(again, "claim"), "judged", true));
        cJSON_Delete(again);
        REFUSES(20, "--device sim", "replay", name, "best");
    }
    globfree(&found);
}

static void test_the_shipped_kernel(void **state)
{
    (void)state;
    cli_result r = CLI("show", "record0", "best", "--source");
    assert_int_equal(r.status, 0);
    char *shipped = cli_read(cli_source("kernels/norm_tanh_mul_add/solution/h200/kernel.cu"), NULL);
    assert_non_null(shipped);
    assert_string_equal(r.out, shipped);
    free(shipped);
    cli_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_hold),
        cmocka_unit_test(test_the_shipped_kernel),
    };
    return cmocka_run_group_tests(tests, cli_set_up, cli_tear_down);
}
