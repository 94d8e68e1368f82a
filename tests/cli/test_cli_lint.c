/* `lint`: a task that is wrong in one way is refused with words that say how. The wrong ones are
 * copies of the small task y = a * x. The shipped tasks are tests of their own (CMakeLists.txt). */
#include "tests/cli/cli_test.h"

#include "search/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A fresh copy of the small task in the scratch folder. */
static const char *fresh(void)
{
    static char name[32];
    static int count;
    kds_err e = {0};
    snprintf(name, sizeof name, "task%d", count++);
    if (kds_dir_copy(cli_source("tests/tasks/scale"), cli_path(name), &e) != KDS_OK)
        fail_msg("%s", e.message);
    return name;
}

/* Replaces the only occurrence of `from` in a file of a task. */
static void change(const char *task, const char *file, const char *from, const char *to)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", task, file);
    char *text = cli_read(cli_path(path), NULL);
    assert_non_null(text);
    const char *at = strstr(text, from);
    if (!at || strstr(at + 1, from))
        fail_msg("%s: '%s' is not there once", path, from);
    size_t size = strlen(text) + strlen(to) + 1;
    char *out = malloc(size);
    assert_non_null(out);
    snprintf(out, size, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    cli_write(path, out, strlen(out));
    free(out);
    free(text);
}

static void mutate(const char *task, const char *from, const char *to)
{
    char path[128], text[1024];
    snprintf(path, sizeof path, "%s/bench/mutations.json", task);
    snprintf(text, sizeof text,
             "{\"format\": 1, \"mutations\": [{\"what\": \"planted\", \"from\": \"%s\", \"to\": "
             "\"%s\"}]}\n",
             from, to);
    cli_write(path, text, strlen(text));
}

/* Lints with --quick and gives the report, whatever the outcome. */
static cJSON *lint(const char *task, int *status)
{
    cli_result r = CLI("lint", task, "--quick", "--json");
    cJSON *report = kds_json_parse_record(r.out, strlen(r.out));
    if (!report)
        fail_msg("%s: %s", task, r.err);
    *status = r.status;
    cli_free(&r);
    return report;
}

/* The report has a finding of this level at this place with these words; errors end with 3. */
static void finds(const char *task, const char *level, const char *where, const char *words)
{
    int status = -1;
    bool found = false;
    cJSON *report = lint(task, &status);
    const cJSON *f = NULL;
    cJSON_ArrayForEach(f, kds_json_at(report, "findings")) found |=
        strcmp(kds_json_str(f, "level", ""), level) == 0 &&
        strcmp(kds_json_str(f, "where", ""), where) == 0 &&
        strstr(kds_json_str(f, "text", ""), words) != NULL;
    if (!found) {
        char *text = cJSON_Print(kds_json_at(report, "findings"));
        fail_msg("%s: no %s at %s with '%s' in %s", task, level, where, words, text);
    }
    assert_int_equal(status, kds_json_int(report, "errors", 0) ? 3 : 0);
    if (strcmp(level, "error") == 0)
        assert_int_equal(status, 3);
    cJSON_Delete(report);
}

static void test_good_task(void **state)
{
    (void)state;
    int status = -1;
    const char *task = fresh();
    mutate(task, "a * x[i]", "a + x[i]");
    cJSON *report = lint(task, &status);
    assert_int_equal(status, 0);
    assert_int_equal(cJSON_GetArraySize(kds_json_at(report, "kernels")), 3);
    const cJSON *inputs = kds_json_at(report, "inputs"), *m;
    assert_int_equal(cJSON_GetArraySize(inputs), 3);
    assert_true(kds_json_bool(cJSON_GetArrayItem(inputs, 0), "effect", false));      /* x */
    assert_true(cJSON_IsNull(kds_json_at(cJSON_GetArrayItem(inputs, 1), "effect"))); /* n */
    assert_true(kds_json_bool(cJSON_GetArrayItem(inputs, 2), "effect", false));      /* a */
    m = cJSON_GetArrayItem(kds_json_at(report, "mutations"), 0);
    assert_string_equal(kds_json_str(m, "verdict", ""), "wrong");
    assert_true(kds_json_bool(m, "refused", false));
    cJSON_Delete(report);
    finds(task, "warning", "bench/mutations.json", "1 mutation: at least 6");
    cli_result text = CLI("lint", task, "--quick", "--skip", "inputs,mutations");
    assert_int_equal(text.status, 0);
    assert_null(strstr(text.out, "planted"));
    assert_non_null(strstr(text.out, "scale: 0 errors, 0 warnings"));
    cli_free(&text);
    REFUSES(2, "the parts are", "lint", task, "--skip", "outputs");
}

static void test_mutations(void **state)
{
    (void)state;
    static const char *const file = "bench/mutations.json";
    const char *task = fresh();
    mutate(task, "a * x[i]", "1.0000001f * a * x[i]");
    finds(task, "error", file, "'planted' (number 1) passes the gate");
    mutate(task, "a * x[i]", "a * z[i]");
    finds(task, "error", file, "'planted' (number 1) never reached the gate: compile_failed");
    mutate(task, "block(128)", "block(2048)");
    finds(task, "error", file, "never reached the gate: limits_exceeded");
    mutate(task, "nothing", "something");
    finds(task, "error", file, "mutations.json:1: key 'mutations[0].from': does not stand in");
}

static void test_tolerance_too_loose(void **state)
{
    (void)state;
    const char *task = fresh();
    mutate(task, "a * x[i]", "a * x[i] + 0.5f");
    finds(task, "warning", "bench/mutations.json", "1 mutation");
    change(task, "task.json", "\"atol\": 1e-6, \"rtol\": 1e-6, \"rel_rmse\": 1e-6",
           "\"atol\": 1, \"rtol\": 1e-6");
    finds(task, "error", "bench/mutations.json", "passes the gate");
    change(task, "task.json", "\"atol\": 1,", "\"atol\": 100,");
    finds(task, "error", "task.json", "output 'y' is nearly constant");
}

static void test_inputs_without_effect(void **state)
{
    (void)state;
    const char *task = fresh();
    change(task, "task.json", "{ \"name\": \"y\"",
           "{ \"name\": \"z\", \"dtype\": \"f32\", \"shape\": [\"n\"], \"role\": \"in\", \"fill\": "
           "{ \"kind\": \"normal\", \"mean\": 0, \"std\": 1 } },\n    { \"name\": \"y\"");
    finds(task, "error", "task.json", "buffer 'z' has no effect");
    task = fresh();
    change(task, "task.json", "{ \"name\": \"a\", \"dtype\": \"f32\", \"value\": \"a\" }",
           "{ \"name\": \"a\", \"dtype\": \"f32\", \"value\": \"a\" },\n    { \"name\": \"bias\", "
           "\"dtype\": \"f32\", \"value\": 2 }");
    finds(task, "error", "task.json", "scalar 'bias' has no effect: with 3 instead of 2");
}

/* A scalar that is compiled in, and an input of which there is only one: both have an effect. */
static void test_effects_seen(void **state)
{
    (void)state;
    int status = -1;
    const char *task = fresh();
    change(task, "baseline/kernel.cu", "#pragma kda launch",
           "#pragma kda define A = a * 4\n#pragma kda launch");
    change(task, "baseline/kernel.cu", "a * x[i]", "(A * 0.25f) * x[i]");
    change(task, "task.json", "\"kind\": \"normal\", \"mean\": 0, \"std\": 1",
           "\"kind\": \"iota\", \"start\": 1, \"step\": 1");
    cJSON *report = lint(task, &status);
    assert_int_equal(status, 0);
    const cJSON *inputs = kds_json_at(report, "inputs");
    assert_true(kds_json_bool(cJSON_GetArrayItem(inputs, 0), "effect", false));
    assert_true(kds_json_bool(cJSON_GetArrayItem(inputs, 2), "effect", false));
    assert_string_equal(kds_json_str(cJSON_GetArrayItem(inputs, 2), "change", ""),
                        "3 instead of 2");
    cJSON_Delete(report);
    /* more blocks than needed change nothing, fewer do */
    task = fresh();
    change(task, "task.json", "\"value\": \"a\" }",
           "\"value\": \"a\" },\n    { \"name\": \"layers\", \"dtype\": \"i32\", \"value\": 1 }");
    change(task, "baseline/kernel.cu", "grid(ceil_div(n, 128))",
           "grid(ceil_div(n, 128) + (layers - 1) * 2)");
    report = lint(task, &status);
    assert_int_equal(status, 0);
    const cJSON *layers = cJSON_GetArrayItem(kds_json_at(report, "inputs"), 3);
    assert_true(kds_json_bool(layers, "effect", false));
    assert_string_equal(kds_json_str(layers, "change", ""), "0 instead of 1");
    assert_string_equal(kds_json_str(layers, "seen", ""), "an output is not written whole");
    cJSON_Delete(report);
}

static void test_formulas(void **state)
{
    (void)state;
    const char *task = fresh();
    change(task, "task.json", "\"8 * n\"", "\"8.2 * n\"");
    finds(task, "error", "quick_4096", "\"bytes\" gives 33587, the baseline touches 32768");
    change(task, "task.json", "\"8.2 * n\"", "\"8.1 * n\"");
    change(task, "task.json", "\"flops\": \"n\"", "\"flops\": \"2 * n\"");
    finds(task, "error", "quick_1000", "\"flops\" gives 2000, but a kernel of this task does with");
    change(task, "task.json", "\"flops\": \"2 * n\"", "\"flops\": \"n / 2\"");
    finds(task, "error", "quick_1000", "but no kernel of this task does with less than");
    change(task, "task.json", "\"n / 2\"", "\"n\"");
    int status = -1;
    cJSON *report = lint(task, &status);
    assert_int_equal(status, 0); /* 1.2 % is allowed */
    cJSON_Delete(report);
}

/* Rows that are not counted are judged by what the buffers hold, as far as the counted rows read
 * them. */
static void test_rows_that_are_not_counted(void **state)
{
    (void)state;
    int status = -1;
    const char *task = fresh();
    change(task, "task.json", "\"8 * n\"", "\"n > 60000 ? 7 * n : 8 * n\"");
    finds(task, "warning", "large", "gives 29360128, but 33554432 of the buffers' bytes");
    change(task, "task.json", "\"shape\": [\"n\"], \"role\": \"in\"",
           "\"shape\": [\"2 * n\"], \"role\": \"in\"");
    finds(task, "warning", "large", "gives 29360128, but 33554432 of the buffers' bytes");
    change(task, "task.json", "\"n > 60000 ? 7 * n : 8 * n\"", "\"8 * n\"");
    cJSON *report = lint(task, &status);
    assert_int_equal(kds_json_int(report, "warnings", -1), 1); /* mutations are missing */
    assert_int_equal(status, 0);
    cJSON_Delete(report);
}

/* A stride of 0 repeats an element: it moves once. */
static void test_repeated_input(void **state)
{
    (void)state;
    int status = -1;
    const char *task = fresh();
    char path[64];
    change(task, "task.json", "\"shape\": [\"n\"], \"role\": \"in\"",
           "\"shape\": [\"n\"], \"strides\": [0], \"role\": \"in\"");
    change(task, "task.json", "\"8 * n\"", "\"4 * n + 4\"");
    change(task, "baseline/kernel.cu", "a * x[i]", "a * x[0]");
    change(task, "reference/kernel.cu", "(double)x[i]", "(double)x[0]");
    snprintf(path, sizeof path, "%s/seeds/items.cu", task);
    assert_int_equal(unlink(cli_path(path)), 0);
    snprintf(path, sizeof path, "%s/seeds/vector.cu", task);
    assert_int_equal(unlink(cli_path(path)), 0);
    cJSON *report = lint(task, &status);
    const cJSON *row = cJSON_GetArrayItem(kds_json_at(report, "rows"), 1);
    assert_true(kds_json_num(kds_json_at(row, "traffic"), "counted", 0) == 4 * 4096 + 4);
    /* all elements of y are one number, which is a mistake of its own */
    assert_int_equal(status, 3);
    assert_int_equal(kds_json_int(report, "errors", 0), 1);
    cJSON_Delete(report);
    finds(task, "error", "task.json", "output 'y' is nearly constant");
}

static void test_broken_kernels(void **state)
{
    (void)state;
    const char *task = fresh();
    change(task, "seeds/items.cu", "a * (HINT", "2 * a * (HINT");
    finds(task, "error", "seeds/items.cu", "wrong at correctness");
    change(task, "baseline/kernel.cu", "i < n", "i < n - 1");
    REFUSES(3, "never written", "lint", task, "--quick");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_task),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_tolerance_too_loose),
        cmocka_unit_test(test_inputs_without_effect),
        cmocka_unit_test(test_effects_seen),
        cmocka_unit_test(test_formulas),
        cmocka_unit_test(test_rows_that_are_not_counted),
        cmocka_unit_test(test_repeated_input),
        cmocka_unit_test(test_broken_kernels),
    };
    return cmocka_run_group_tests(tests, cli_set_up, cli_tear_down);
}
