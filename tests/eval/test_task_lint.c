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
    lint_case(
        "task.json", task_json, "6 * M * N + 4 * M", "2 * M * N",
        "warning task.json: \"bytes\" gives 1536 for row 'big', whose buffers hold 3328: the bound "
        "would be below what must be moved\n");
    /* One row for all: what a stride of 0 reads again need not be moved again. */
    char *broadcast = replaced(task_json, "\"shape\": [\"M\", \"N\"], \"role\": \"in\",",
                               "\"shape\": [\"M\", \"N\"], \"strides\": [0, 1], \"role\": \"in\",");
    lint_case("task.json", broadcast, "6 * M * N + 4 * M", "2 * M * N + 4 * M + 4 * N", "");
    lint_case(
        "task.json", broadcast, "6 * M * N + 4 * M", "2 * M * N + 4 * M + N",
        "warning task.json: \"bytes\" gives 1804 for row 'big', whose buffers hold 1816: the bound "
        "would be below what must be moved\n");
    free(broadcast);
    lint_case("task.json", task_json, "\"role\": \"out\"",
              "\"role\": \"inout\", \"fill\": {\"kind\": \"uniform\", \"low\": 0, \"high\": 1}",
              "error task.json: buffer 'y' is inout, but a reference writes its outputs as double\n"
              "warning task.json: \"bytes\" gives 10 for row 'tiny', whose buffers hold 12: the "
              "bound would "
              "be below what must be moved\n");
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
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lint),
        cmocka_unit_test(test_lint_rows),
    };
    return cmocka_run_group_tests_name("task_lint", tests, open_scratch, close_scratch);
}
