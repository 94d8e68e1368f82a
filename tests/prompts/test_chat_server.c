/* The scripted server itself: its accounts, its useful replies, the program. */
#include "prompts/prompt.h"
#include "prompts/reply.h"
#include "search/base/file.h"
#include "tests/prompts/inbox.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Retries from inside the callback, and accounts that agree to the token. */
static void test_accounts(void **state)
{
    (void)state;
    const char *journal = KDS_BINARY_DIR "/test_endpoint_journal.jsonl";
    const chat_step odds[] = {
        {.answer = CHAT_OK, .mode = CHAT_MODE_FIXED, .text = "good", .weight = 5},
        {.answer = CHAT_LENGTH, .mode = CHAT_MODE_FIXED, .text = "too long", .weight = 1},
        {.answer = CHAT_STATUS, .status = 429, .weight = 2},
        {.answer = CHAT_CLOSE_BEFORE, .weight = 1},
        {.answer = CHAT_CLOSE_MIDDLE, .weight = 1}};
    kds_outcome outcomes[2][30];
    unlink(journal);
    for (int run = 0; run < 2; run++) {
        chat_script script = {.seed = 11,
                              .by_body = true,
                              .odds = true,
                              .steps = odds,
                              .step_count = 5,
                              .journal = run == 0 ? journal : NULL};
        chat_server *s = serve(&script);
        kds_endpoint *x = client_of(chat_server_port(s), KEY_ENV);
        inbox in = {.again = x};
        int64_t prompt = 0, completion = 0;
        int order[2] = {0, 29};
        for (int i = 0; i < 30; i++) {
            int n = run == 0 ? order[0]++ : order[1]--;
            char text[40];
            snprintf(text, sizeof text, "question %d", n);
            char *body = kds_endpoint_body(x, "", text);
            in.body = body;
            assert_int_equal(kds_endpoint_submit(x, (uint64_t)n, body, NULL), KDS_OK);
            drain(x, &in);
            free(body);
            outcomes[run][n] = in.results[n].outcome;
            prompt += in.results[n].prompt_tokens;
            completion += in.results[n].completion_tokens;
        }
        chat_counts c = chat_server_counts(s);
        assert_int_equal(c.requests, in.count);
        assert_true(in.count > 35); /* there were retries */
        if (run == 0) {
            /* The server charged for replies that broke off on the way; those are all of the
             * difference. */
            kds_buf lines;
            kds_buf_init(&lines, 1 << 20);
            assert_int_equal(kds_file_read(journal, &lines, NULL), KDS_OK);
            int64_t lost_prompt = 0, lost_completion = 0, count = 0;
            for (char *p = lines.data, *end; (end = strchr(p, '\n')); p = end + 1, count++) {
                cJSON *line = kds_json_parse_record(p, (size_t)(end - p));
                assert_non_null(line);
                if (strcmp(kds_json_str(line, "answer", ""), "close_middle") == 0) {
                    lost_prompt += kds_json_int(line, "prompt_tokens", 0);
                    lost_completion += kds_json_int(line, "completion_tokens", 0);
                }
                cJSON_Delete(line);
            }
            assert_null(strstr(lines.data, "sk-test"));
            assert_int_equal(count, in.count);
            assert_int_equal(c.prompt_tokens, prompt + lost_prompt);
            assert_int_equal(c.completion_tokens, completion + lost_completion);
            kds_buf_free(&lines);
        }
        empty(&in);
        kds_endpoint_free(x);
        chat_server_stop(s);
    }
    /* Asked in another order, each question ends the same way, well or badly. */
    int lengths = 0;
    for (int n = 0; n < 30; n++) {
        assert_int_equal(outcomes[0][n], outcomes[1][n]);
        lengths += outcomes[0][n] == KDS_OUTCOME_LENGTH;
    }
    assert_in_range(lengths, 1, 29);
}

/* The server's own part: useful kernels from a prompt. */
static void test_server_edits(void **state)
{
    (void)state;
    static const char PROMPT[] =
        "# Task\n```\n__global__ void not_this();\n```\n\n## Parent source (abc)\n\n````cuda\n"
        "#pragma kda tune VEC = 4, 8\n#pragma kda tune ONE = 3\n// ```\n"
        "__global__ void k() {}\n````\n\nmore\n";
    const chat_step steps[] = {{.answer = CHAT_OK}, {.answer = CHAT_OK, .mode = CHAT_MODE_SOURCE}};
    chat_script script = {.steps = steps, .step_count = 2};
    chat_server *s = serve(&script);
    kds_endpoint *x = client_of(chat_server_port(s), KEY_ENV);
    char *body = kds_endpoint_body(x, "sys", PROMPT);
    inbox in = {.count = 0};
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(kds_endpoint_submit(x, i, body, NULL), KDS_OK);
        drain(x, &in);
    }
    assert_non_null(strstr(in.results[0].text,
                           "<<<<<<< SEARCH\n#pragma kda tune VEC = 4, 8\n=======\n"
                           "#pragma kda tune VEC = 8, 4\n>>>>>>> REPLACE\n"));
    assert_null(strstr(in.results[0].text, "ONE"));
    assert_non_null(
        strstr(in.results[1].text, "#pragma kda tune VEC = 4, 8\n#pragma kda tune ONE"));
    assert_null(strstr(in.results[1].text, "not_this"));
    free(body);
    empty(&in);
    kds_endpoint_free(x);
    chat_server_stop(s);
}

/* Prompt, server, reply: a child that differs from its parent in its tunables only. */
static void test_round_trip(void **state)
{
    (void)state;
    static const char PARENT[] = "#pragma kda tune VEC = 4, 8\n#pragma kda tune WARPS = 1, 2, 4\n"
                                 "__global__ void k(float *x) { x[threadIdx.x * VEC] = WARPS; }\n";
    const chat_step step = {.answer = CHAT_OK};
    chat_script script = {.seed = 5, .by_body = true, .steps = &step, .step_count = 1};
    chat_server *s = serve(&script);
    kds_endpoint *x = client_of(chat_server_port(s), KEY_ENV);
    kds_ask ask = {
        .operator_name = "mutate",
        .task_card = "# t\n\n```\n__global__ void baseline();\n```\n",
        .parent = {.id = "0123456789", .source = PARENT, .source_len = sizeof PARENT - 1}};
    kds_buf system, user, source;
    kds_reply r;
    inbox in = {.count = 0};
    kds_buf_init(&system, 1 << 20);
    kds_buf_init(&user, 1 << 20);
    kds_buf_init(&source, KDS_SOURCE_CAP);
    assert_int_equal(kds_prompt_render(&ask, 100000, &system, &user, NULL), KDS_OK);
    char *body = kds_endpoint_body(x, system.data, user.data);
    assert_int_equal(kds_endpoint_submit(x, 0, body, NULL), KDS_OK);
    drain(x, &in);
    assert_int_equal(in.results[0].outcome, KDS_OUTCOME_OK);
    assert_int_equal(kds_reply_parse(in.results[0].text, in.results[0].text_len, PARENT,
                                     sizeof PARENT - 1, &source, &r, NULL),
                     KDS_OK);
    if (r.problem != KDS_REPLY_OK)
        fail_msg("%s:\n%s", r.message, in.results[0].text);
    assert_true(r.edits > 0);
    assert_non_null(strstr(source.data, "x[threadIdx.x * VEC] = WARPS"));
    kds_tunable before[KDS_TUNABLES], after[KDS_TUNABLES];
    int count[2];
    assert_int_equal(kds_tunables_find(before, &count[0], PARENT, sizeof PARENT - 1, NULL), KDS_OK);
    assert_int_equal(kds_tunables_find(after, &count[1], source.data, source.len, NULL), KDS_OK);
    assert_int_equal(count[0], count[1]);
    assert_true(before[0].values[0] != after[0].values[0] ||
                before[1].values[0] != after[1].values[0]);
    free(body);
    kds_buf_free(&system);
    kds_buf_free(&user);
    kds_buf_free(&source);
    empty(&in);
    kds_endpoint_free(x);
    chat_server_stop(s);
}

static void test_server_program(void **state)
{
    (void)state;
    const char *path = KDS_BINARY_DIR "/test_endpoint_script.json";
    static const char SCRIPT[] = "{ \"seed\": 3, \"reply_by\": \"body\", // a comment\n"
                                 "  \"steps\": [ {\"answer\": \"429\", \"retry_after\": \"2\"},\n"
                                 "    {\"answer\": \"ok\", \"text\": \"fine\"} ] }\n";
    int out[2], port = 0, status;
    assert_int_equal(kds_file_write_atomic(path, SCRIPT, strlen(SCRIPT), NULL), KDS_OK);
    assert_int_equal(pipe(out), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(out[1], 1);
        close(out[0]);
        execl(KDS_BINARY_DIR "/tests/chat_server", "chat_server", path, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    FILE *lines = fdopen(out[0], "r");
    char line[300];
    assert_non_null(fgets(line, sizeof line, lines));
    port = (int)strtol(line, NULL, 10);
    assert_in_range(port, 1, 65535);
    kds_endpoint *x = client_of(port, KEY_ENV);
    inbox in = {.again = x, .body = "{}"};
    assert_int_equal(kds_endpoint_submit(x, 0, "{}", NULL), KDS_OK);
    drain(x, &in);
    assert_int_equal(in.count, 2);
    assert_string_equal(in.results[0].text, "fine");
    kill(child, SIGTERM);
    assert_non_null(fgets(line, sizeof line, lines));
    assert_non_null(strstr(line, "\"requests\":2,\"ok\":1,\"faults\":1"));
    fclose(lines);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    empty(&in);
    kds_endpoint_free(x);

    /* Mistakes in a script. */
    static const char *const BAD[] = {"{\"steps\":[{\"answer\":\"oops\"}]}", "{\"step\":[]}",
                                      "{\"steps\":[],\"odds\":[]}", "{\"steps\":[{\"answr\":1}]}",
                                      "{\"steps\":[{\"file\":\"/nonexistent/x\"}]}"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        chat_script_file *f = NULL;
        assert_int_equal(kds_file_write_atomic(path, BAD[i], strlen(BAD[i]), NULL), KDS_OK);
        assert_int_not_equal(chat_script_load(&f, path, NULL), KDS_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accounts),       cmocka_unit_test(test_server_edits),
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_server_program),
        cmocka_unit_test(test_nothing_leaked),
    };
    inbox_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
