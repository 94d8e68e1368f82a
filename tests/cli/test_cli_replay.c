/* The lineage of one candidate, run once more on the simulator: what must be equal is, what is not
 * is named, and the archive stays as it was. */
#include "tests/cli/cli_test.h"

#include "search/base/file.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int set_up(void **state)
{
    int failed = cli_set_up(state);
    EXPECT(0, "run", cli_source("tests/tasks/scale"), "-o", "one", "--max-evals", "16", "--seed",
           "5");
    return failed;
}

/* A copy of the campaign with one of its derived tables changed. */
static void altered(const char *name, const char *sql)
{
    sqlite3 *db = NULL;
    char path[600];
    kds_err e = {0};
    snprintf(path, sizeof path, "%s", cli_path("one"));
    if (kds_dir_copy(path, cli_path(name), &e) != KDS_OK)
        fail_msg("%s", e.message);
    snprintf(path, sizeof path, "%s/campaign.db", cli_path(name));
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_true(sqlite3_changes(db) > 0);
    sqlite3_close(db);
}

static void test_the_best_is_confirmed(void **state)
{
    (void)state;
    double events = cli_query("one", "SELECT count(*) FROM events");
    cJSON *lineage = JSON("lineage", "one"), *report = JSON("replay", "one", "best");
    const cJSON *steps = kds_json_at(report, "steps"), *step = NULL;
    const cJSON *last = cJSON_GetArrayItem(lineage, cJSON_GetArraySize(lineage) - 1);
    assert_string_equal(kds_json_str(report, "outcome", ""), "confirmed");
    assert_true(kds_json_bool(report, "same_kind", false));
    assert_string_equal(kds_json_str(report, "candidate", ""), kds_json_str(last, "id", "-"));
    assert_true(cJSON_GetArraySize(steps) >= 2);
    assert_int_equal(kds_json_int(cJSON_GetArrayItem(steps, 0), "decision", -1), 0);
    cJSON_ArrayForEach(step, steps)
    {
        const cJSON *before = kds_json_at(step, "recorded"), *now = kds_json_at(step, "replayed");
        assert_string_equal(kds_json_str(step, "program", ""), "same");
        assert_string_equal(kds_json_str(step, "verdict", ""), "same");
        assert_true(kds_json_num(now, "fitness", -1) > 0);
        assert_float_equal(kds_json_num(now, "fitness", -1), kds_json_num(before, "fitness", -2),
                           1e-9);
    }
    cJSON_Delete(lineage);
    cJSON_Delete(report);
    assert_int_equal(cli_query("one", "SELECT count(*) FROM events"), events);
    EXPECT(0, "check", "one");
}

static void test_text(void **state)
{
    (void)state;
    cli_result r = CLI("replay", "one", "best");
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "recorded (modelled)"));
    assert_non_null(strstr(r.out, "now (modelled)"));
    assert_non_null(strstr(r.out, "confirmed: "));
    assert_null(strstr(r.out, "measured"));
    assert_non_null(strstr(r.err, "the same kind of device, the same software"));
    cli_free(&r);
}

/* Another simulated GPU has other times, and nothing has to be equal there; other inputs neither
 * change the compiled code nor what is right. */
static void test_elsewhere(void **state)
{
    (void)state;
    cJSON *report = JSON("replay", "one", "best", "--device", "sim:a100");
    assert_false(kds_json_bool(report, "same_kind", true));
    assert_string_equal(kds_json_str(kds_json_at(report, "replayed"), "device", ""), "sim:a100");
    assert_string_equal(kds_json_str(kds_json_at(report, "recorded"), "device", ""), "sim:h200");
    cJSON_Delete(report);
    report = JSON("replay", "one", "best", "--seed", "99");
    assert_true(kds_json_bool(report, "other_inputs", false));
    assert_string_equal(kds_json_str(report, "outcome", ""), "confirmed");
    cJSON_Delete(report);
}

/* A kernel that was slower than the baseline claims nothing. */
static void test_a_slower_one(void **state)
{
    (void)state;
    char id[40];
    snprintf(id, sizeof id, "#%.0f",
             cli_query("one", "SELECT min(decision) FROM candidates WHERE verdict = 'ok' AND "
                              "decision > 0 AND fitness < 1"));
    cJSON *report = JSON("replay", "one", id);
    assert_string_equal(kds_json_str(report, "outcome", ""), "agrees");
    assert_false(kds_json_bool(kds_json_at(report, "claim"), "made", true));
    cJSON_Delete(report);
}

/* Of one that the campaign did not judge it says so, and claims no agreement. */
static void test_nothing_recorded(void **state)
{
    (void)state;
    altered("flight", "UPDATE candidates SET verdict = '', fitness = NULL WHERE decision = 1");
    cJSON *report = JSON("replay", "flight", "#1");
    assert_string_equal(kds_json_str(report, "outcome", ""), "unrecorded");
    cJSON_Delete(report);
    cli_result r = CLI("replay", "flight", "#1");
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "#1 was not judged in the campaign (in flight); here it is ok"));
    assert_null(strstr(r.out, "agrees"));
    cli_free(&r);
}

static void test_what_differs_is_named(void **state)
{
    (void)state;
    altered("time", "UPDATE candidates SET fitness = fitness * 1.01 WHERE accepted");
    REFUSES(40, "is modelled now", "replay", "time", "best");
    altered("code", "UPDATE candidates SET cubin = '0123456789abcdef0123456789abcdef' WHERE "
                    "decision = 0");
    REFUSES(40, "#0 ", "replay", "code", "best");
    altered("verdict", "UPDATE candidates SET verdict = 'wrong' WHERE decision = 0");
    REFUSES(40, "its verdict is ok now, wrong was recorded", "replay", "verdict", "best");
    cli_result r = CLI("replay", "code", "best", "--json");
    assert_int_equal(r.status, 40);
    cJSON *report = kds_json_parse_record(r.out, strlen(r.out));
    assert_string_equal(kds_json_str(report, "outcome", ""), "diverged");
    assert_string_equal(
        kds_json_str(cJSON_GetArrayItem(kds_json_at(report, "steps"), 0), "program", ""), "other");
    cJSON_Delete(report);
    cli_free(&r);
}

/* Where device or software differ a claim is still held against what it does there. */
static void test_a_claim_is_refused(void **state)
{
    (void)state;
    char id[40];
    altered("boast", "UPDATE candidates SET fitness = 1.5 WHERE decision > 0 AND fitness < 1");
    snprintf(id, sizeof id, "#%.0f",
             cli_query("one", "SELECT decision FROM candidates WHERE verdict = 'ok' AND decision > "
                              "0 ORDER BY fitness LIMIT 1"));
    REFUSES(41, "was recorded as 1.5000x", "replay", "boast", id, "--device", "sim:h100");
}

static void test_wrong_use(void **state)
{
    (void)state;
    kds_err e = {0};
    char one[600];
    snprintf(one, sizeof one, "%s", cli_path("one"));
    REFUSES(2, "replay one best --device", "replay", "one", "--device", "sim");
    REFUSES(2, "--max-evals", "replay", "one", "best", "--max-evals", "3");
    REFUSES(1, "no candidate 'zzz'", "replay", "one", "zzz");
    REFUSES(2, "knows no GPU", "replay", "one", "best", "--device", "sim:z900");
    REFUSES(10, "not an archive", "replay", cli_source("tests/tasks"), "best");
    if (kds_dir_copy(one, cli_path("moved"), &e) != KDS_OK)
        fail_msg("%s", e.message);
    cli_write("moved/task/baseline/kernel.cu", "// another\n", 11);
    REFUSES(12, "was changed after the campaign began", "replay", "moved", "best");
    (void)unlink(cli_path("moved/task/baseline/kernel.cu"));
    REFUSES(3, "the frozen task", "replay", "moved", "best");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_best_is_confirmed),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_elsewhere),
        cmocka_unit_test(test_a_slower_one),
        cmocka_unit_test(test_nothing_recorded),
        cmocka_unit_test(test_what_differs_is_named),
        cmocka_unit_test(test_a_claim_is_refused),
        cmocka_unit_test(test_wrong_use),
    };
    return cmocka_run_group_tests(tests, set_up, cli_tear_down);
}
