/* The lint of a task folder: every finding, and silence for a right one. */
#include "tests/eval/task_test.h"

#include "eval/task_lint.h"

/* The findings of root/t, one "level where: text" per line; owned by the caller. */
static char *lint_text(void)
{
    kds_task *t = load_ok();
    cJSON *findings = NULL;
    kds_err e = {0};
    assert_int_equal(kds_task_lint(t, &findings, &e), KDS_OK);
    kds_buf b;
    kds_buf_init(&b, 1 << 16);
    const cJSON *f;
    cJSON_ArrayForEach(f, findings)
        kds_buf_printf(&b, "%s %s: %s\n", kds_json_str(f, "level", ""),
                       kds_json_str(f, "where", ""), kds_json_str(f, "text", ""));
    cJSON_Delete(findings);
    kds_task_free(t);
    char *out = kds_buf_take(&b);
    assert_non_null(out);
    return out;
}

static void lint_case(const char *file, const char *text, const char *from, const char *to,
                      const char *want)
{
    make_task();
    char *changed = from ? replaced(text, from, to) : strdup(to);
    put(file, changed);
    free(changed);
    char *got = lint_text();
    assert_string_equal(got, want);
    free(got);
}

static void test_lint(void **state)
{
    (void)state;
    make_task();
    char *clean = lint_text();
    assert_string_equal(clean, "");
    free(clean);
    lint_case(
        "prompt.md", NULL, NULL, " \n",
        "error prompt.md: the task card is empty; it is all that a model knows of the task\n");
    lint_case("baseline/kernel.cu", NULL, NULL, "",
              "error baseline/kernel.cu: the baseline is empty\n");
    lint_case("reference/kernel.cu", NULL, NULL, "",
              "error reference/kernel.cu: the reference is empty\n");
    lint_case(
        "task.json", task_json, "\"atol\": 0.01, \"rtol\": 0.02", "\"atol\": 0, \"rtol\": 0",
        "error task.json: atol and rtol of 'y' are both 0: a kernel that is right passes only by "
        "luck; use \"bitwise\": true for equality\n");
    lint_case(
        "task.json", task_json, "\"kind\": \"normal\", \"mean\": 0, \"std\": 1",
        "\"kind\": \"constant\", \"value\": 1",
        "warning task.json: input 'x' is constant: a kernel that does not read it would pass\n");
    lint_case("task.json", task_json, "{\"x\": {\"scale\": 100, \"shift\": 1}}", "{}",
              "warning task.json: regime 'large' changes nothing\n");
    lint_case("task.json", task_json,
              ",\n    {\"name\": \"launches\", \"value\": \"launches\", \"edges\": [2]}", "",
              "error task.json: the descriptor has 1 axis; a map needs at least 2\n");
    lint_case("task.json", task_json, "\"role\": \"out\"",
              "\"role\": \"inout\", \"fill\": {\"kind\": \"uniform\", \"low\": 0, \"high\": 1}",
              "");
}

static double moved(const char *row, const kds_moved *shares)
{
    kds_task *t = load_ok();
    kds_err e = {0};
    double bytes = -1;
    int at = (int)(kds_task_row(t, row) - t->rows);
    assert_int_equal(kds_task_moved(t, at, shares, &bytes, &e), KDS_OK);
    kds_task_free(t);
    return bytes;
}

/* What a row moves: each element once, what is both twice, inputs as far as they are read. */
static void test_moved(void **state)
{
    (void)state;
    const kds_moved half = {{0.5, 1}};
    make_task();
    assert_true(moved("big", NULL) == 2 * 64 * 12 + 4 * 64 + 2 * 64 * 12);
    assert_true(moved("big", &half) == 64 * 12 + 4 * 64 + 2 * 64 * 12);
    char *once = replaced(task_json, "\"shape\": [\"M\", \"N\"], \"role\": \"in\",",
                          "\"shape\": [\"M\", \"N\"], \"strides\": [0, 1], \"role\": \"in\",");
    put("task.json", once);
    free(once);
    assert_true(moved("big", NULL) == 2 * 12 + 4 * 64 + 2 * 64 * 12);
    char *both = replaced(task_json, "\"role\": \"out\"",
                          "\"role\": \"inout\", \"fill\": {\"kind\": \"uniform\", \"low\": 0, "
                          "\"high\": 1}");
    put("task.json", both);
    free(both);
    assert_true(moved("tiny", NULL) == 4 + 4 + 2 * 2);
}

static void test_lint_rows(void **state)
{
    (void)state;
    static const char *const odd =
        "{\"M\": 3, \"N\": 5, \"eps\": 1}, \"seed\": 4, \"dtypes\": {\"in\": \"f32\"}";
    lint_case("bench/workloads.json", rows_json, "\"weight\": 2", "\"weight\": 0",
              "error bench/workloads.json: the weights of the production rows sum to 0\n");
    lint_case("bench/workloads.json", rows_json, ", \"profile\": true", "",
              "error bench/workloads.json: no production row has \"profile\": true, so there is no "
              "descriptor\n");
    lint_case("bench/workloads.json", rows_json, odd,
              "{\"M\": 1, \"N\": 1, \"eps\": 1.0}, \"seed\": 4, \"dtypes\": {\"in\": \"f32\"}",
              "error odd: has the same dims as row 'tiny' (quick): it is not held out\n");
    lint_case("bench/workloads.json", rows_json, odd,
              "{\"M\": 1, \"N\": 1, \"eps\": 1}, \"seed\": 4, \"dtypes\": {\"in\": \"bf16\"}", "");
    lint_case("bench/workloads.json", rows_json, odd,
              "{\"M\": 3, \"N\": 5, \"eps\": 1}, \"seed\": 4, \"profile\": true, \"dtypes\": "
              "{\"in\": \"f32\"}",
              "warning odd: only production rows are profiled; \"profile\" has no effect\n");
    lint_case("bench/workloads.json", rows_json, "{\"M\": 1, \"N\": 1, \"eps\": 1}",
              "{\"M\": 4096, \"N\": 1024, \"eps\": 1}",
              "warning tiny: a quick row of 24 MiB: the safety check will be slow\n");
    make_task();
    char *cut = replaced(rows_json, "\"held_out\": [", "\"held_out\": []}");
    strstr(cut, "\"held_out\": []}")[strlen("\"held_out\": []}")] = '\0';
    put("bench/workloads.json", cut);
    free(cut);
    char path[256];
    static const char *const seeds[] = {"a", "b"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/t/seeds/%s.cu", root, seeds[i]);
        assert_int_equal(unlink(path), 0);
    }
    snprintf(path, sizeof path, "%s/t/reference/kernel.cu", root);
    assert_int_equal(unlink(path), 0);
    char *got = lint_text();
    assert_string_equal(
        got,
        "warning reference/kernel.cu: there is no reference: errors are only known relative to the "
        "baseline\n"
        "warning seeds: there are no starting points besides the baseline\n"
        "error bench/workloads.json: there is no held_out row\n");
    free(got);
    make_task();
    assert_int_equal(unlink(path), 0);
    char *beside = replaced(task_json, "\"rtol\": 0.02",
                            "\"rtol\": 0.02, \"beside_baseline\": {\"atol\": 1, \"rtol\": 1}");
    put("task.json", beside);
    got = lint_text();
    assert_non_null(strstr(got, "error task.json: 'y' has a tolerance beside_baseline, but there"));
    free(got);
    free(beside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lint),
        cmocka_unit_test(test_moved),
        cmocka_unit_test(test_lint_rows),
    };
    return cmocka_run_group_tests_name("task_lint", tests, open_scratch, close_scratch);
}
