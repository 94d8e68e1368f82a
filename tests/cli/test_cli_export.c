/* What an archive gives to other tools: the recorded campaign of examples/lineages, in which a
 * model was asked. */
#include "tests/cli/cli_test.h"

#include "search/base/file.h"
#include "search/base/id.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int set_up(void **state)
{
    kds_err e = {0};
    int failed = cli_set_up(state);
    if (kds_dir_copy(cli_source("examples/lineages/norm_tanh_mul_add-h200"), cli_path("one"), &e) !=
        KDS_OK)
        fail_msg("%s", e.message);
    return failed;
}

/* The folder's kernels: as many as that, each named by its decision and the id of its bytes. */
static void check_kernels(const char *folder, int expected)
{
    char path[700];
    int count = 0;
    snprintf(path, sizeof path, "%s/kernels", cli_path(folder));
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        char file[1000], hex[KDS_ID_HEX];
        size_t len = 0;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        char *text = cli_read(file, &len);
        assert_non_null(text);
        kds_id_format(kds_id_of(text, len), hex);
        assert_int_equal(strlen(entry->d_name), strlen("00016-b8facd3d.cu"));
        assert_int_equal(strncmp(entry->d_name + 6, hex, 8), 0);
        free(text);
        count++;
    }
    closedir(d);
    assert_int_equal(count, expected);
}

/* A file of JSON lines as an array. */
static cJSON *lines_of(const char *path)
{
    cJSON *list = cJSON_CreateArray();
    char *text = cli_read(cli_path(path), NULL);
    assert_non_null(text);
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        cJSON *o = kds_json_parse_record(line, (size_t)(end - line));
        assert_non_null(o);
        cJSON_AddItemToArray(list, o);
    }
    free(text);
    return list;
}

static void test_export(void **state)
{
    (void)state;
    double elites = cli_query("one", "SELECT count(*) FROM cells WHERE elite IS NOT NULL");
    double candidates = cli_query("one", "SELECT count(*) FROM candidates");
    cJSON *told = JSON("export", "one", "-o", "out");
    assert_int_equal(kds_json_int(told, "elites", 0), elites);
    assert_int_equal(kds_json_int(told, "calls", 0), 41);
    cJSON_Delete(told);
    check_kernels("out", (int)elites);

    char *text = cli_read(cli_path("out/kernels.json"), NULL);
    cJSON *list = text ? kds_json_parse_record(text, strlen(text)) : NULL;
    const cJSON *elite = NULL;
    assert_non_null(list);
    free(text);
    cJSON_ArrayForEach(elite, kds_json_at(list, "elites"))
    {
        char path[200];
        snprintf(path, sizeof path, "out/%s", kds_json_str(elite, "file", ""));
        assert_true(kds_path_exists(cli_path(path)));
        assert_int_equal(cJSON_GetArraySize(kds_json_at(elite, "bins")), 3);
        assert_true(kds_json_num(elite, "fitness", 0) > 0);
    }
    char path[200];
    snprintf(path, sizeof path, "out/%s", kds_json_str(list, "best", ""));
    char *best = cli_read(cli_path(path), NULL);
    char *shipped = cli_read(cli_source("kernels/norm_tanh_mul_add/solution/h200/kernel.cu"), NULL);
    assert_string_equal(best, shipped);
    free(best);
    free(shipped);
    cJSON_Delete(list);

    list = lines_of("out/candidates.jsonl");
    assert_int_equal(cJSON_GetArraySize(list), candidates);
    cJSON_Delete(list);
}

/* Every reply that was paid for, with what became of it. */
static void test_calls(void **state)
{
    (void)state;
    int replies = 0, accepted = 0;
    cJSON *list = lines_of("out/calls.jsonl");
    const cJSON *call = NULL;
    assert_int_equal(cJSON_GetArraySize(list), 41);
    cJSON_ArrayForEach(call, list)
    {
        assert_non_null(strstr(kds_json_str(call, "prompt", ""), "#pragma kda"));
        if (!kds_json_str(call, "reply", NULL))
            continue;
        replies++;
        assert_string_equal(kds_json_str(call, "model", ""), "language-model");
        assert_non_null(strstr(kds_json_str(call, "reply", ""), "Hypothesis: "));
        assert_int_equal(strlen(kds_json_str(call, "candidate", "")), 32);
        assert_string_equal(kds_json_str(call, "verdict", ""), "ok");
        accepted += kds_json_int(call, "accepted", 0) != 0;
    }
    assert_int_equal(replies, 40);
    assert_int_equal(accepted, 20);
    cJSON_Delete(list);
}

static void test_all_sources(void **state)
{
    (void)state;
    EXPECT(0, "export", "one", "-o", "all", "--all");
    check_kernels("all", (int)cli_query("one", "SELECT count(*) FROM candidates"));
    cJSON *list = lines_of("all/candidates.jsonl");
    const cJSON *candidate = NULL;
    cJSON_ArrayForEach(candidate, list)
    {
        char path[200];
        snprintf(path, sizeof path, "all/%s", kds_json_str(candidate, "file", "?"));
        assert_true(kds_path_exists(cli_path(path)));
    }
    cJSON_Delete(list);
}

static void test_refusals(void **state)
{
    (void)state;
    REFUSES(2, "is left alone", "export", "one", "-o", "out");
    REFUSES(2, "is left alone", "export", "one", "-o", "one");
    REFUSES(10, "not an archive", "export", cli_source("tests"), "-o", "new");
    assert_false(kds_path_exists(cli_path("new")));
    cli_write("file", "mine", 4);
    REFUSES(1, "file", "export", "one", "-o", "file");
    EXPECT(0, "check", "one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_export),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_all_sources),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, set_up, cli_tear_down);
}
