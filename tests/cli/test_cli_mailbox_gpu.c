/* A campaign by mail on a GPU (the fake driver, whose times are exact): replies are judged and
 * fight their duels after a resume, also in a copy of the archive, and the record can be replayed.
 */
#include "tests/cli/fake_gpu.h"

#include "search/base/file.h"

#define ROWS                                                                                       \
    "{\"format\": 1, \"production\": ["                                                            \
    "{\"id\": \"large\", \"dims\": {\"n\": 12800, \"a\": 0.5}, \"weight\": 1, \"seed\": 1,"        \
    " \"profile\": true}],"                                                                        \
    "\"quick\": [{\"id\": \"quick\", \"dims\": {\"n\": 1000, \"a\": 2.0}, \"seed\": 3}],"          \
    "\"held_out\": [{\"id\": \"held\", \"dims\": {\"n\": 777, \"a\": 0.25}, \"seed\": 4}]}"

/* A kernel with blocks of `threads`: larger blocks are fewer, and faster here. */
static void reply(const char *archive, const char *id, int threads)
{
    char text[1200], name[200];
    int n =
        snprintf(text, sizeof text,
                 "Hypothesis: fewer blocks.\nPrediction: blocks of %d threads, 1.2x\n\n```cuda\n"
                 "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, %d)) block(%d)\n"
                 "__global__ void f(const float *x, float *y, int n, float a)\n{\n"
                 "    int i = blockIdx.x * %d + threadIdx.x;\n"
                 "    if (i < n)\n        y[i] = a * x[i];\n}\n```\n",
                 threads, threads, threads, threads);
    snprintf(name, sizeof name, "%s.md", id);
    cli_write(name, text, (size_t)n);
    EXPECT(0, "mailbox", archive, name, "--model", "person");
}

/* Answers what waits; how many prompts did. */
static int answer_all(const char *archive, int threads)
{
    int n = 0;
    cJSON *o = JSON("mailbox", archive);
    const cJSON *p = NULL;
    cJSON_ArrayForEach(p, kds_json_at(o, "pending"))
        reply(archive, kds_json_str(p, "id", ""), threads << n++);
    cJSON_Delete(o);
    return n;
}

static void test_mail_on_a_gpu(void **state)
{
    (void)state;
    kds_err e = {0};
    EXPECT(31, "run", "scale", "-o", "gpu", "--device", "cuda:0", "--proposer", "mailbox",
           "--mailbox-out", "2", "--in-flight", "2");
    assert_int_equal(answer_all("gpu", 256), 2);
    /* There and back again, under another name. */
    if (kds_dir_copy(cli_path("gpu"), cli_path("back"), &e) != KDS_OK)
        fail_msg("%s", e.message);
    EXPECT(31, "resume", "back");
    cJSON *status = JSON("status", "back");
    assert_int_equal(kds_json_int(status, "responses", -1), 2);
    cJSON_Delete(status);
    cJSON *best = JSON("show", "back", "best");
    assert_string_equal(kds_json_str(best, "model", ""), "person");
    assert_true(kds_json_num(best, "predicted", 0) == 1.2);
    cJSON_Delete(best);
    cJSON *replay = JSON("replay", "back");
    assert_true(kds_json_bool(replay, "agrees", false));
    assert_int_equal(kds_json_int(replay, "replies", 0), 2);
    assert_true(kds_json_int(replay, "duels", 0) >= 1);
    cJSON_Delete(replay);
    EXPECT(0, "check", "back");
    /* What no GPU counts is taken from the simulator, and says so. */
    cli_result told = CLI("knowledge", "back", "best");
    assert_int_equal(told.status, 0);
    assert_non_null(strstr(told.out, "lines_per_request = 1 (simulated)"));
    cli_free(&told);
}

#define BRANCHES "smsp__sass_branch_targets.sum"

/* Three of a model's children of one elite lose: it is profiled again, with every counter, and
 * prompts tell them. */
static void test_a_fruitless_line_is_profiled_again(void **state)
{
    (void)state;
    char ids[8][KDS_MAIL_ID], path[200];
    EXPECT(31, "run", "scale", "-o", "line", "--device", "cuda:0", "--proposer", "mailbox",
           "--mailbox-out", "3", "--in-flight", "3", "--operators", "mutate");
    cJSON *before = JSON("show", "line", "best");
    assert_null(kds_json_at(kds_json_at(kds_json_at(before, "report"), "counters"), BRANCHES));
    assert_int_equal(answer_all("line", 16), 3); /* 16, 32 and 64 threads: all slower */
    cli_result r = CLI("resume", "line");
    assert_int_equal(r.status, 31);
    assert_non_null(strstr(r.err, "is profiled again"));
    cli_free(&r);
    cJSON *after = JSON("show", "line", "best");
    const cJSON *counters = kds_json_at(kds_json_at(after, "report"), "counters");
    assert_string_equal(kds_json_str(after, "id", "a"), kds_json_str(before, "id", "b"));
    assert_non_null(kds_json_at(counters, BRANCHES));
    assert_true(cJSON_Compare(kds_json_at(kds_json_at(after, "report"), "descriptor"),
                              kds_json_at(kds_json_at(before, "report"), "descriptor"), true));
    /* The prompts of now were made while it was profiled; those after them are the next. */
    assert_int_equal(answer_all("line", 16), 3);
    EXPECT(31, "resume", "line");
    assert_int_equal(cli_pending("line", ids, 8), 3);
    (void)snprintf(path, sizeof path, "line/mailbox/out/%s.json", ids[0]);
    char *prompt = cli_read(cli_path(path), NULL);
    assert_non_null(prompt);
    assert_non_null(strstr(prompt, BRANCHES));
    free(prompt);
    EXPECT(0, "check", "line");
    EXPECT(0, "replay", "line");
    cJSON_Delete(before);
    cJSON_Delete(after);
}

static int set_up(void **state)
{
    int failed = fake_gpu_set_up(state);
    fake_gpu_task("tests/tasks/scale", "scale", ROWS);
    return failed;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail_on_a_gpu),
        cmocka_unit_test(test_a_fruitless_line_is_profiled_again),
    };
    return cmocka_run_group_tests(tests, set_up, fake_gpu_tear_down);
}
