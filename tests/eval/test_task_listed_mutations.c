/* The mutations that tasks list in bench/mutations.json: each stands in the baseline exactly once,
 * compiles, and is refused by the task's gate on the quick rows. A mutation that passes means that
 * rows, regimes or tolerances of the task are too weak. Tasks are found by the file. */
#include "judge_fixture.h"

#include "search/base/file.h"

#include <glob.h>

#define LEAST 6 /* mutations of a task */
#define TASKS_MOST 64

/* `text` with the only occurrence of `from` replaced; owned by the caller. */
static char *mutated(const char *text, const char *what, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    if (at == NULL || strstr(at + 1, from) != NULL)
        fail_msg("%s: found %s: %s", what, at == NULL ? "nowhere" : "twice", from);
    size_t size = strlen(text) + strlen(to) + 1;
    char *out = malloc(size);
    assert_non_null(out);
    (void)snprintf(out, size, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

static cJSON *read_list(const char *path)
{
    kds_err e;
    kds_buf text;
    kds_buf_init(&text, 1 << 18);
    check(kds_file_read(path, &text, &e), &e);
    cJSON *root = cJSON_ParseWithLength(text.data, text.len);
    kds_buf_free(&text);
    if (root == NULL)
        fail_msg("%s is no JSON", path);
    return root;
}

static void test_refused(void **state)
{
    const char *path = *state;
    const kds_judge_options o = {.device = "sim", .gate_seed = 5, .only_safety = true};
    const char *end = strstr(path, "/bench/mutations.json"), *name = end;
    while (name[-1] != '/')
        name--;
    char task[64];
    (void)snprintf(task, sizeof task, "%.*s", (int)(end - name), name);
    cJSON *root = read_list(path);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "mutations"), *m;
    assert_true(cJSON_GetArraySize(list) >= LEAST);
    bench_task b;
    int passed = 0;
    task_open_with(&b, task, &o);
    cJSON_ArrayForEach(m, list)
    {
        const char *what = kds_json_str(m, "what", "");
        char *source =
            mutated(b.task->baseline, what, kds_json_str(m, "from", ""), kds_json_str(m, "to", ""));
        cJSON *report = judge(&b, source);
        if (strcmp(kds_json_str(report, "verdict", ""), "ok") == 0) {
            print_error("%s: %s: not refused\n", task, what);
            passed++;
        }
        cJSON_Delete(report);
        free(source);
    }
    task_close(&b);
    cJSON_Delete(root);
    assert_int_equal(passed, 0);
}

int main(void)
{
    struct CMUnitTest tests[TASKS_MOST];
    glob_t found;
    if (glob(KDS_SOURCE_DIR "/kernels/*/bench/mutations.json", 0, NULL, &found) != 0 ||
        found.gl_pathc > TASKS_MOST)
        return 1;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        tests[i] = (struct CMUnitTest){.name = found.gl_pathv[i] + sizeof KDS_SOURCE_DIR "/kernels",
                                       .test_func = test_refused,
                                       .initial_state = found.gl_pathv[i]};
    }
    int failed =
        _cmocka_run_group_tests("task_listed_mutations", tests, found.gl_pathc, NULL, NULL);
    globfree(&found);
    return failed;
}
