/* A campaign from the command line: it runs, can be looked at in every way, refuses what it must,
 * and is the same for the same seed. On the small task of tests/tasks/scale. */
#include "tests/cli/cli_test.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *task(void)
{
    return cli_source("tests/tasks/scale");
}

/* Hash over the decisions of an archive, as replay derives it; fails the test if replay does not
 * agree. */
static void decisions_hash(const char *archive, char out[64])
{
    cJSON *report = JSON("replay", archive);
    assert_true(kds_json_bool(report, "agrees", false));
    snprintf(out, 64, "%s", kds_json_str(report, "chain", ""));
    assert_int_equal(strlen(out), 32);
    cJSON_Delete(report);
}

/* Candidates of a list that are no duplicates of others. */
static int judged(const cJSON *list)
{
    int n = 0;
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, list) n += strcmp(kds_json_str(item, "verdict", ""), "duplicate") != 0;
    return n;
}

static void test_run_and_look(void **state)
{
    (void)state;
    cli_result r = CLI("run", task(), "-o", "one", "--max-evals", "24", "--seed", "5");
    if (r.status != 0)
        fail_msg("%s%s", r.out, r.err);
    assert_non_null(strstr(r.out, "champion: one/champion/kernel.cu"));
    assert_non_null(strstr(r.out, "modelled"));
    assert_non_null(strstr(r.out, "kdasearch resume one"));
    cli_free(&r);
    char *champion = cli_read(cli_path("one/champion/kernel.cu"), NULL);
    assert_non_null(champion);
    cli_result source = CLI("show", "one", "best", "--source");
    assert_string_equal(source.out, champion);
    free(champion);
    cli_free(&source);

    cJSON *status = JSON("status", "one");
    assert_int_equal(kds_json_int(status, "judged", 0), 24);
    assert_string_equal(kds_json_str(status, "state", ""), "ended: max-evals");
    assert_true(kds_json_num(kds_json_at(status, "best"), "fitness", 0) > 1);
    cJSON_Delete(status);

    cJSON *list = JSON("list", "one", "--limit", "0", "--sort", "fitness");
    assert_int_equal(judged(list), 24);
    double before = INFINITY;
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, list)
    {
        double fitness = kds_json_num(item, "fitness", -1);
        assert_true(fitness <= before); /* those without one come last, as -1 */
        before = fitness;
    }
    cJSON_Delete(list);

    cJSON *lineage = JSON("lineage", "one");
    int steps = cJSON_GetArraySize(lineage);
    const cJSON *root = cJSON_GetArrayItem(lineage, 0);
    assert_true(steps >= 1);
    assert_true(strcmp(kds_json_str(root, "operator", ""), "seed") == 0 ||
                strcmp(kds_json_str(root, "operator", ""), "baseline") == 0);
    cJSON_Delete(lineage);
    EXPECT(0, "check", "one");
    char chain[64];
    decisions_hash("one", chain);
}

/* Every simulated time that a person sees says so. */
static void test_times_are_called_modelled(void **state)
{
    (void)state;
    const char *commands[][4] = {{"show", "one", "best", NULL},
                                 {"list", "one", NULL, NULL},
                                 {"lineage", "one", NULL, NULL},
                                 {"status", "one", NULL, NULL}};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        cli_result r = cli_run(commands[i]);
        assert_int_equal(r.status, 0);
        assert_non_null(strstr(r.out, "modelled"));
        cli_free(&r);
    }
}

static void test_same_seed_same_decisions(void **state)
{
    (void)state;
    char one[64], two[64], other[64];
    EXPECT(0, "run", task(), "-o", "two", "--max-evals", "24", "--seed", "5", "--workers", "1");
    EXPECT(0, "run", task(), "-o", "other", "--max-evals", "24", "--seed", "6");
    decisions_hash("one", one);
    decisions_hash("two", two);
    decisions_hash("other", other);
    assert_string_equal(one, two);
    assert_string_not_equal(one, other);
}

/* A budget that is raised at resume continues the same sequence. */
static void test_resume_goes_on(void **state)
{
    (void)state;
    cJSON *before = JSON("list", "two", "--limit", "0");
    EXPECT(0, "resume", "two", "--max-evals", "32");
    cJSON *after = JSON("list", "two", "--limit", "0");
    assert_int_equal(judged(after), 32);
    for (int i = 0; i < cJSON_GetArraySize(before); i++)
        assert_true(
            cJSON_Compare(cJSON_GetArrayItem(before, i), cJSON_GetArrayItem(after, i), true));
    cJSON_Delete(before);
    cJSON_Delete(after);
    char chain[64];
    decisions_hash("two", chain);
    EXPECT(0, "check", "two");
}

/* What a campaign must not destroy, and what cannot be right. */
static void test_refusals(void **state)
{
    (void)state;
    assert_int_equal(mkdir(cli_path("full"), 0755), 0);
    cli_write("full/precious.c", "x", 1);
    cli_write("file", "x", 1);
    REFUSES(2, "kdasearch resume one", "run", task(), "-o", "one");
    REFUSES(2, "holds other files", "run", task(), "-o", "full");
    REFUSES(2, "is a file", "run", task(), "-o", "file");
    REFUSES(10, "full", "resume", "full");
    REFUSES(10, "nowhere", "status", "nowhere");
    REFUSES(2, "did you mean 'resume'", "resmue", "one");
    REFUSES(2, "did you mean --max-evals", "run", task(), "--max-evls", "3");
    REFUSES(2, "--seed is fixed when a campaign starts", "resume", "one", "--seed", "9");
    REFUSES(2, "usage: kdasearch run TASK", "run");
    REFUSES(2, "one operand too many", "status", "one", "two");
    REFUSES(2, "needs a value", "run", task(), "--seed");
    REFUSES(3, "task.json", "run", "full", "-o", "never");
    REFUSES(20, "cannot be searched on sim: the reference takes 2 launches", "run",
            cli_source("kernels/group_norm_silu"), "-o", "never");
    assert_int_not_equal(access(cli_path("never"), F_OK), 0);
    char *kept = cli_read(cli_path("full/precious.c"), NULL);
    assert_string_equal(kept, "x");
    free(kept);
}

/* The frozen task is what the archive's results are about. */
static void test_a_changed_task_is_noticed(void **state)
{
    (void)state;
    FILE *f = fopen(cli_path("other/task/baseline/kernel.cu"), "a");
    assert_non_null(f);
    fputs("// changed\n", f);
    fclose(f);
    REFUSES(12, "changed after the campaign began", "resume", "other", "--max-evals", "40");
}

static void test_damage_is_found(void **state)
{
    (void)state;
    size_t len = 0;
    char *db = cli_read(cli_path("other/campaign.db"), &len);
    assert_non_null(db);
    char *at = NULL;
    for (size_t i = 0; i + 20 < len && !at; i++)
        if (memcmp(db + i, "\"operator\":\"tune\"", 17) == 0)
            at = db + i;
    assert_non_null(at);
    at[13] = 'T';
    cli_write("other/campaign.db", db, len);
    cli_result r = CLI("check", "other");
    assert_int_equal(r.status, 12);
    assert_non_null(strstr(r.out, "problem: "));
    cli_free(&r);
    cli_write("other/campaign.db", db, len / 2);
    REFUSES(12, "kdasearch check", "check", "other");
    free(db);
}

/* An archive that a later version wrote is left alone. */
static void test_newer_format(void **state)
{
    (void)state;
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(cli_path("two/campaign.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    REFUSES(13, "99", "resume", "two");
    REFUSES(13, "99", "status", "two");
}

static void test_help_everywhere(void **state)
{
    (void)state;
    static const char *const commands[] = {"run",     "resume", "status", "list", "show",
                                           "lineage", "replay", "check",  "eval", "lint",
                                           "doctor",  "config", "bench",  "init"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        cli_result r = CLI(commands[i], "--help");
        assert_int_equal(r.status, 0);
        assert_non_null(strstr(r.out, "usage: kdasearch "));
        assert_non_null(strstr(r.out, "--json"));
        cli_free(&r);
    }
    cJSON *config = JSON("config");
    assert_non_null(kds_json_at(kds_json_at(config, "options"), "max-evals"));
    cJSON_Delete(config);
    cJSON *doctor = cli_doctor();
    assert_string_equal(kds_json_str(kds_json_at(doctor, "nvrtc"), "state", ""), "ok");
    cJSON_Delete(doctor);
}

/* Devices that cannot be meant leave no trace. */
static void wrong_devices_are_refused(void **state)
{
    (void)state;
    REFUSES(2, "names cuda:0 twice", "run", task(), "-o", "gpu", "--device", "cuda:0,cuda:0");
    REFUSES(2, "cuda:0,cuda:1 or all", "run", task(), "-o", "gpu", "--device", "cuda:0,");
    REFUSES(2, "names no GPU", "run", task(), "-o", "gpu", "--device", "cuda:first");
    REFUSES(2, "no device 'tpu'", "run", task(), "-o", "gpu", "--device", "tpu");
    assert_int_not_equal(access(cli_path("gpu"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_devices_are_refused),
        cmocka_unit_test(test_run_and_look),
        cmocka_unit_test(test_times_are_called_modelled),
        cmocka_unit_test(test_same_seed_same_decisions),
        cmocka_unit_test(test_resume_goes_on),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_a_changed_task_is_noticed),
        cmocka_unit_test(test_damage_is_found),
        cmocka_unit_test(test_newer_format),
        cmocka_unit_test(test_help_everywhere),
    };
    return cmocka_run_group_tests(tests, cli_set_up, cli_tear_down);
}
