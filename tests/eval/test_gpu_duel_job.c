/* The duel's message: what is malformed is refused before anything touches a GPU. */
#include "eval/cuda/gpu_job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static kds_task *task;
static kds_compiled compiled = {.module_count = 1};

static void make(kds_frame *f)
{
    kds_gpu_duel_side sides[2];
    kds_gpu_duel_options o = {.seed = 3,
                              .rows = {0, 2},
                              .row_count = 2,
                              .margin = 0.0025,
                              .max_regress = 0.02,
                              .hopeless = 0.05};
    kds_err err = {0};
    for (int i = 0; i < 2; i++)
        sides[i] = (kds_gpu_duel_side){
            .source = task->baseline, .len = strlen(task->baseline), .compiled = &compiled};
    if (kds_gpu_duel_job(f, sides, &o, &err) != KDS_OK)
        fail_msg("%s", err.message);
}

static void refuses(const kds_frame *f, const char *words)
{
    kds_err err = {0};
    bool spoilt = false;
    cJSON *reply = cJSON_CreateObject();
    assert_int_equal(kds_gpu_duel_answer(NULL, f, task, reply, &spoilt, &err), KDS_PROTOCOL);
    if (strstr(err.message, words) == NULL)
        fail_msg("'%s' does not say '%s'", err.message, words);
    assert_false(spoilt);
    cJSON_Delete(reply);
}

/* A key of the header replaced by what that text says; "" removes it. */
static void refuses_with(const char *key, const char *value, const char *words)
{
    kds_frame f;
    make(&f);
    if (*value == '\0')
        cJSON_DeleteItemFromObject(f.header, key);
    else
        assert_true(cJSON_ReplaceItemInObject(f.header, key, cJSON_Parse(value)));
    refuses(&f, words);
    kds_frame_free(&f);
}

static void malformed_jobs(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *words;
    } cases[] = {
        {"seed", "", "without a seed"},
        {"seed", "-1", "without a seed"},
        {"seed", "\"x\"", "without a seed"},
        {"rows", "", "with 0 rows"},
        {"rows", "[]", "with 0 rows"},
        {"rows", "{}", "with 0 rows"},
        {"rows", "[0, 999]", "a row that the task does not have"},
        {"rows", "[0, -1]", "a row that the task does not have"},
        {"rows", "[0, 0.5]", "a row that the task does not have"},
        {"rows", "[\"large\"]", "a row that the task does not have"},
        {"rows", "[1, 1]", "row 1 twice"},
        {"margin", "-0.1", "share"},
        {"floor", "2", "share"},
        {"max_regress", "null", "share"},
        {"hopeless", "\"\"", "share"},
        {"slowdown", "", "share"},
        {"incumbent", "", "the incumbent: a job without a source"},
        {"child", "{\"source\": 99}", "the child: a job without a source"},
        {"child", "{\"source\": 0, \"parent\": 99}", "the child: a job without a source"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuses_with(cases[i].key, cases[i].value, cases[i].words);
    char many[1000] = "[0";
    for (int i = 0; i < KDS_GPU_DUEL_ROWS; i++)
        strncat(many, ",0", sizeof many - strlen(many) - 1);
    strncat(many, "]", sizeof many - strlen(many) - 1);
    refuses_with("rows", many, "with 65 rows");
}

static void a_wrong_plan_and_code_are_refused(void **state)
{
    (void)state;
    kds_frame f;
    make(&f);
    int at = kds_frame_add(&f, "int x;", 6);
    cJSON *child = cJSON_GetObjectItem(f.header, "child");
    cJSON_SetNumberValue(cJSON_GetObjectItem(child, "source"), at);
    refuses(&f, "the child: a plan is wrong");
    kds_frame_free(&f);
    make(&f);
    cJSON_DeleteItemFromObject(f.header, "child_code");
    refuses(&f, "");
    kds_frame_free(&f);
}

static int set_up(void **state)
{
    (void)state;
    kds_err err = {0};
    if (kds_task_load(&task, KDS_SOURCE_DIR "/tests/tasks/scale", &err) != KDS_OK)
        fail_msg("%s", err.message);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kds_task_free(task);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_jobs),
        cmocka_unit_test(a_wrong_plan_and_code_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
