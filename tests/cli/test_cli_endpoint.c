/* Campaigns with a model: a loopback server that answers as a chat endpoint, well and badly. What
 * was paid for is never asked for again, the two accounts agree, and the key is nowhere. */
#include "tests/cli/served.h"

#include "search/base/random.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY "sk-test-0123456789abcdef-never-shown"

#define MODEL                                                                                      \
    "--proposer", "endpoint", "--url", url, "--model", "test-model", "--key-env", "TEST_CHAT_KEY"
#define PRICES "--price-prompt", "1", "--price-completion", "2"

static const char *task(void)
{
    return cli_source("tests/tasks/scale");
}

/* Tokens and money of the archive are those of the server's own account. */
static void assert_accounts_agree(const char *archive, chat_server *server)
{
    cJSON *status = JSON("status", archive);
    chat_counts counts = chat_server_counts(server);
    assert_int_equal(kds_json_int(status, "prompt_tokens", -1), counts.prompt_tokens);
    assert_int_equal(kds_json_int(status, "completion_tokens", -1), counts.completion_tokens);
    assert_true(counts.requests > 0);
    cJSON_Delete(status);
}

static const char *secret_found;

static int look_for_key(const char *path, const struct stat *st, int type, struct FTW *where)
{
    size_t len = 0;
    (void)st, (void)where;
    if (type != FTW_F)
        return 0;
    char *data = cli_read(path, &len);
    if (data && memmem(data, len, KEY, strlen(KEY)))
        secret_found = "the key is in the archive or in the output";
    free(data);
    return 0;
}

static void assert_key_nowhere(void)
{
    secret_found = NULL;
    assert_int_equal(nftw(cli_path(""), look_for_key, 16, FTW_PHYS), 0);
    assert_null(secret_found);
}

static void test_a_model_proposes(void **state)
{
    (void)state;
    const chat_script script = {.seed = 1, .by_body = true, .key = KEY};
    chat_server *server = serve(&script);
    EXPECT(0, "run", task(), "-o", "model", "--max-evals", "14", MODEL, PRICES);
    assert_accounts_agree("model", server);
    cJSON *list = JSON("list", "model", "--limit", "0");
    int mutated = 0;
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, list) mutated +=
        strcmp(kds_json_str(item, "model", ""), "test-model") == 0;
    assert_true(mutated >= 3);
    cJSON_Delete(list);
    EXPECT(0, "check", "model");
    EXPECT(0, "replay", "model");
    assert_key_nowhere();
    chat_server_stop(server);
}

/* Anthropic's API, and a campaign that goes on with the other one. */
static void test_messages_api(void **state)
{
    (void)state;
    const chat_script script = {.seed = 1, .by_body = true, .key = KEY};
    chat_server *server = serve(&script);
    EXPECT(0, "run", task(), "-o", "messages", "--max-evals", "8", MODEL, PRICES, "--api",
           "messages", "--extra-json", "{\"top_k\": 5}");
    assert_accounts_agree("messages", server);
    EXPECT(0, "resume", "messages", "--api", "chat", "--max-evals", "12", "--extra-json", "");
    assert_accounts_agree("messages", server);
    EXPECT(0, "check", "messages");
    EXPECT(0, "replay", "messages");
    cJSON *replay = JSON("replay", "messages");
    assert_true(kds_json_int(replay, "replies", 0) >= 4);
    cJSON_Delete(replay);
    assert_key_nowhere();
    chat_server_stop(server);
}

/* Two models on two servers with two keys, from the config file: each is asked by its weight, in
 * its own API, with its own key alone; the accounts add up, and the record can be replayed. */
static void test_several_models(void **state)
{
    (void)state;
    char urls[2][64], config[1200];
    const chat_script scripts[2] = {{.seed = 1, .by_body = true, .key = KEY},
                                    {.seed = 2, .by_body = true, .key = "sk-another-key-456789"}};
    chat_server *servers[2];
    for (int i = 0; i < 2; i++) {
        servers[i] = serve(&scripts[i]);
        snprintf(urls[i], sizeof urls[i], "%s", url);
    }
    setenv("TEST_OTHER_KEY", "sk-another-key-456789", 1);
    snprintf(config, sizeof config,
             "{ \"proposer\": \"endpoint\", // two of them\n  \"models\": [\n"
             "  {\"name\": \"small\", \"model\": \"s\", \"url\": \"%s\", \"weight\": 2,"
             "   \"key-env\": \"TEST_CHAT_KEY\", \"price-prompt\": 1},\n"
             "  {\"name\": \"big\", \"model\": \"b\", \"url\": \"%s\", \"api\": \"messages\","
             "   \"key-env\": \"TEST_OTHER_KEY\", \"price-prompt\": 10}\n] }\n",
             urls[0], urls[1]);
    cli_write("config.json", config, strlen(config));
    setenv("KDASEARCH_CONFIG", cli_path("config.json"), 1);
    EXPECT(0, "run", task(), "-o", "several", "--max-evals", "16", "--seed", "5");
    unsetenv("KDASEARCH_CONFIG");
    int64_t prompt = 0, completion = 0;
    double cost = 0;
    for (int i = 0; i < 2; i++) {
        chat_counts counts = chat_server_counts(servers[i]);
        assert_true(counts.requests > 0);
        assert_int_equal(counts.unauthorised, 0);
        prompt += counts.prompt_tokens;
        completion += counts.completion_tokens;
        cost += (double)counts.prompt_tokens * (i ? 10 : 1) / 1e6;
    }
    cJSON *status = JSON("status", "several");
    assert_int_equal(kds_json_int(status, "prompt_tokens", -1), prompt);
    assert_int_equal(kds_json_int(status, "completion_tokens", -1), completion);
    assert_true(kds_json_num(status, "cost_usd", 0) > 0.999 * cost &&
                kds_json_num(status, "cost_usd", 0) < 1.001 * cost);
    cJSON_Delete(status);
    EXPECT(0, "check", "several");
    EXPECT(0, "replay", "several");
    /* The list is part of the record: a resume needs no config file. */
    EXPECT(0, "resume", "several", "--max-evals", "18");
    EXPECT(0, "replay", "several");
    REFUSES(3, "did you mean 'model'", "run", task(), "-o", "none", "--proposer", "endpoint",
            "--models", "[{\"modle\": \"x\"}]");
    assert_key_nowhere();
    unsetenv("TEST_OTHER_KEY");
    for (int i = 0; i < 2; i++)
        chat_server_stop(servers[i]);
}

/* An account that runs dry ends the run at once, whatever was heard before and however the server
 * says it, and the decision is asked again at resume. */
static void test_breaker(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *text, *says;
    } ends[] = {
        {429, "{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"pay\"}}", "top it up"},
        {400, "{\"error\":{\"message\":\"Your credit balance is too low\"}}", "top it up"},
        {402, "{\"error\":{\"message\":\"broke\"}}", "top up the account"},
        {403, "{\"error\":{\"message\":\"no\"}}", "check $TEST_CHAT_KEY"},
        {404, "{\"error\":{\"message\":\"gone\"}}", "no such model"},
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char name[30];
        const chat_step steps[] = {
            {.answer = CHAT_OK, .mode = CHAT_MODE_EDIT, .repeat = 2},
            {.answer = CHAT_STATUS, .status = ends[i].status, .text = ends[i].text}};
        const chat_script script = {.seed = 1, .steps = steps, .step_count = 2, .key = KEY};
        chat_server *server = serve(&script);
        snprintf(name, sizeof name, "dry%zu", i);
        REFUSES(30, ends[i].says, "run", task(), "-o", name, "--max-evals", "14", "--in-flight",
                "1", MODEL);
        assert_int_equal(chat_server_counts(server).requests, 3);
        chat_server_stop(server);
        const chat_script good = {.seed = 1, .by_body = true, .key = KEY};
        server = serve(&good);
        EXPECT(0, "resume", name, "--url", url, "--max-evals", "5");
        EXPECT(0, "replay", name);
        chat_server_stop(server);
    }
}

/* What is taken out of an archive for other tools: every call, with the child of the one that made
 * it and of no other. */
static void assert_calls_exported(const char *archive)
{
    char folder[60], path[80];
    int calls = 0, children = 0, twice = 0;
    snprintf(folder, sizeof folder, "%s-out", archive);
    EXPECT(0, "export", archive, "-o", folder);
    snprintf(path, sizeof path, "%s/calls.jsonl", folder);
    char *text = cli_read(cli_path(path), NULL);
    assert_non_null(text);
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1, calls++) {
        cJSON *o = kds_json_parse_record(line, (size_t)(end - line));
        const char *child = kds_json_str(o, "candidate", NULL);
        assert_non_null(o);
        children += child != NULL;
        if (child)
            assert_string_equal(kds_json_str(o, "outcome", ""), "ok");
        twice += kds_json_int(o, "attempt", 0) > 0;
        cJSON_Delete(o);
    }
    free(text);
    assert_int_equal(calls, cli_query(archive, "SELECT count(*) FROM calls"));
    assert_int_equal(children,
                     cli_query(archive, "SELECT count(*) FROM decisions WHERE candidate IS "
                                        "NOT NULL AND proposer = 'endpoint'"));
    assert_true(twice > 0);
}

/* Busy and broken answers are retried, and every one of them is in the record. */
static void test_faults_are_survived(void **state)
{
    (void)state;
    static const chat_step odds[] = {
        {.answer = CHAT_OK, .mode = CHAT_MODE_EDIT, .weight = 6},
        {.answer = CHAT_OK, .mode = CHAT_MODE_SOURCE, .weight = 2},
        {.answer = CHAT_OK,
         .mode = CHAT_MODE_FIXED,
         .text = "I cannot think of anything.",
         .weight = 1},
        {.answer = CHAT_OK,
         .mode = CHAT_MODE_FIXED,
         .text = "```cuda\n__global__ void f(",
         .weight = 1},
        {.answer = CHAT_STATUS, .status = 429, .retry_after = "0", .weight = 1},
        {.answer = CHAT_STATUS, .status = 503, .retry_after = "0", .weight = 1},
        {.answer = CHAT_LENGTH, .weight = 1},
        {.answer = CHAT_NO_CHOICES, .weight = 1},
        {.answer = CHAT_CONTENT_FILTER, .weight = 1},
        {.answer = CHAT_CLOSE_BEFORE, .weight = 1},
        {.answer = CHAT_BAD_UTF8, .weight = 1},
        {.answer = CHAT_ECHO_KEY, .weight = 1},
    };
    const chat_script script = {.seed = 7,
                                .by_body = true,
                                .odds = true,
                                .steps = odds,
                                .step_count = sizeof odds / sizeof *odds,
                                .key = KEY};
    chat_server *server = serve(&script);
    EXPECT(0, "run", task(), "-o", "faults", "--max-evals", "12", "--seed", "3", "--operators",
           "mutate,explore,crossover,simplify,repair", MODEL, PRICES);
    assert_accounts_agree("faults", server);
    cJSON *status = JSON("status", "faults");
    chat_counts counts = chat_server_counts(server);
    assert_int_equal(kds_json_int(status, "requests", 0), (int64_t)counts.requests);
    assert_int_equal(kds_json_int(status, "responses", 0), (int64_t)counts.requests);
    assert_true(kds_json_int(status, "failed_calls", 0) > 0);
    cJSON_Delete(status);
    EXPECT(0, "check", "faults");
    EXPECT(0, "replay", "faults");
    assert_calls_exported("faults");
    assert_key_nowhere();
    chat_server_stop(server);
}

/* No question was sent again after its reply had been recorded, and the server saw nothing that is
 * not in the record. */
static void assert_no_reply_paid_twice(const char *archive, chat_server *server)
{
    assert_int_equal(
        cli_query(archive,
                  "SELECT count(*) FROM calls a JOIN calls b ON a.decision = b.decision AND "
                  "a.prompt = b.prompt AND a.request < b.request WHERE a.outcome = 'ok'"),
        0);
    assert_true(cli_query(archive, "SELECT count(*) FROM calls") >=
                (int64_t)chat_server_counts(server).requests);
}

/* Killed again and again in strict order, a campaign with a model ends as the uninterrupted one
 * does, and no request is sent for a reply that is in the record. */
static void test_kills_lose_no_reply(void **state)
{
    (void)state;
    char hex[64];
    static const chat_step slow[] = {
        {.answer = CHAT_OK, .mode = CHAT_MODE_EDIT, .delay_ms = 30, .repeat = 1}};
    const chat_script script = {
        .seed = 2, .by_body = true, .steps = slow, .step_count = 1, .key = KEY};
    chat_server *server = serve(&script);
    kds_random random = kds_random_stream(5, 0, "kills");
    const char *const start[] = {"run", task(),    "-o",     "killed",      "--max-evals",
                                 "16",  "--order", "strict", "--in-flight", "4",
                                 MODEL, PRICES,    NULL};
    const char *const again[] = {"resume", "killed", NULL};
    pid_t pid = cli_start("run", start);
    while (access(cli_path("killed/status.json"), F_OK) != 0 && kill(pid, 0) == 0)
        cli_sleep_ms(5);
    int64_t kills = 0;
    for (; kills < 8; kills++) {
        cli_sleep_ms((int64_t)kds_random_below(&random, 300));
        kill(pid, SIGKILL);
        if (cli_wait(pid) == 0)
            break;
        chat_counts counts = chat_server_counts(server);
        assert_true(cli_query("killed", "SELECT count(*) FROM calls WHERE reply IS NOT NULL") <=
                    (int64_t)counts.requests);
        EXPECT(0, "check", "killed");
        pid = cli_start("resume", again);
        cli_sleep_ms((int64_t)kds_random_below(&random, 1500));
    }
    if (kills == 8)
        assert_int_equal(cli_wait(pid), 0);
    assert_no_reply_paid_twice("killed", server);
    cJSON *killed = JSON("replay", "killed");
    snprintf(hex, sizeof hex, "%s", kds_json_str(killed, "chain", ""));
    cJSON_Delete(killed);
    EXPECT(0, "run", task(), "-o", "uninterrupted", "--max-evals", "16", "--order", "strict",
           "--in-flight", "4", MODEL, PRICES);
    cJSON *whole = JSON("replay", "uninterrupted");
    assert_string_equal(kds_json_str(whole, "chain", "-"), hex);
    cJSON_Delete(whole);
    assert_key_nowhere();
    chat_server_stop(server);
}

/* What was under way when a campaign was killed, or ended without waiting, is closed as lost and
 * counts as reserved: the server may have worked on it. So does what broke off. */
static void test_lost_calls_count_as_reserved(void **state)
{
    (void)state;
    static const char LOST[] = "SELECT count(*) FROM calls WHERE outcome = 'lost' AND "
                               "cost_usd = reserved_usd AND cost_usd > 0 AND prompt_tokens = -1";
    static const char OPEN[] = "SELECT count(*) FROM calls WHERE outcome IS NULL";
    static const chat_step steps[] = {{.answer = CHAT_OK, .delay_ms = 60000, .repeat = 2},
                                      {.answer = CHAT_CLOSE_BEFORE},
                                      {.answer = CHAT_OK, .mode = CHAT_MODE_EDIT}};
    const chat_script script = {.seed = 1, .steps = steps, .step_count = 3, .key = KEY};
    chat_server *server = serve(&script);
    const char *const start[] = {"run", task(),    "-o", "lost", "--max-evals", "6", "--in-flight",
                                 "1",   "--grace", "0",  MODEL,  PRICES,        NULL};
    const char *const again[] = {"resume", "lost", NULL};
    for (uint64_t i = 1; i <= 2; i++) {
        pid_t pid = i == 1 ? cli_start("lost1", start) : cli_start("lost2", again);
        while (chat_server_counts(server).requests < i && kill(pid, 0) == 0)
            cli_sleep_ms(5);
        assert_int_equal(cli_query("lost", OPEN), 1);
        assert_int_equal(cli_query("lost", LOST), i - 1);
        kill(pid, i == 1 ? SIGKILL : SIGTERM);
        assert_int_equal(cli_wait(pid), i == 1 ? 128 + SIGKILL : 143);
    }
    assert_int_equal(cli_query("lost", OPEN), 0);
    assert_int_equal(cli_query("lost", LOST), 2);
    EXPECT(0, "resume", "lost");
    assert_int_equal(cli_query("lost", LOST), 2);
    assert_int_equal(cli_query("lost", "SELECT count(*) FROM calls WHERE outcome = 'retry' AND "
                                       "status = 0 AND cost_usd = reserved_usd"),
                     1);
    cJSON *status = JSON("status", "lost");
    assert_int_equal(kds_json_int(status, "failed_calls", 0), 3);
    assert_int_equal(kds_json_int(status, "responses", 0), kds_json_int(status, "requests", -1));
    cJSON_Delete(status);
    assert_int_equal(cli_query("lost", "SELECT abs(sum(cost_usd) - (SELECT cost_usd FROM budget)) "
                                       "< 1e-9 FROM calls"),
                     1);
    EXPECT(0, "check", "lost");
    EXPECT(0, "replay", "lost");
    chat_server_stop(server);
}

static void test_refused_key(void **state)
{
    (void)state;
    const chat_script script = {.seed = 1, .key = "another"};
    chat_server *server = serve(&script);
    REFUSES(30, "TEST_CHAT_KEY", "run", task(), "-o", "refused", "--max-evals", "14", MODEL);
    unsetenv("TEST_CHAT_KEY");
    REFUSES(3, "TEST_CHAT_KEY", "run", task(), "-o", "unset", "--max-evals", "14", MODEL);
    assert_int_not_equal(access(cli_path("unset"), F_OK), 0);
    setenv("TEST_CHAT_KEY", KEY, 1);
    REFUSES(2, "--url and --model", "run", task(), "-o", "unset", "--proposer", "endpoint");
    chat_server_stop(server);
}

/* Nobody listens: the campaign says so and can be resumed. */
static void test_unreachable(void **state)
{
    (void)state;
    snprintf(url, sizeof url, "http://127.0.0.1:9/v1");
    REFUSES(30, "127.0.0.1", "run", task(), "-o", "unreachable", "--attempts", "2", "--max-evals",
            "14", MODEL);
    EXPECT(0, "check", "unreachable");
    assert_key_nowhere();
}

/* How often a text is in another one. */
static int times_in(const char *text, const char *what)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

/* Half and four fifths of a budget are told of, once each, and not again at resume. */
static void test_budgets_are_told(void **state)
{
    (void)state;
    cli_result r = CLI("run", task(), "-o", "told", "--max-evals", "10");
    assert_int_equal(r.status, 0);
    /* Several commits may fall into one turn: then only the higher of two levels is told. */
    assert_in_range(times_in(r.err, "of --max-evals used"), 1, 2);
    assert_int_equal(times_in(r.err, "warning: 80 % of --max-evals used: 8 of 10") +
                         times_in(r.err, "warning: 90 % of --max-evals used: 9 of 10") +
                         times_in(r.err, "warning: 100 % of --max-evals used: 10 of 10"),
                     1);
    cli_free(&r);
    r = CLI("resume", "told", "--max-evals", "15");
    assert_int_equal(times_in(r.err, "of --max-evals used"), 1); /* ten were 67 % already */
    assert_int_equal(times_in(r.err, "warning: "), 1);
    cli_free(&r);
    const chat_script script = {.seed = 1, .by_body = true, .key = KEY};
    chat_server *server = serve(&script);
    r = CLI("run", task(), "-o", "told2", "--max-cost", "0.05", "--reply-tokens", "100",
            "--max-tokens", "1000000", "--max-evals", "14", "--in-flight", "2", "--operators",
            "mutate,explore,crossover,simplify,repair", MODEL, PRICES);
    assert_int_equal(r.status, 0);
    assert_true(times_in(r.err, "of --max-cost used: ") >= 1);
    assert_int_equal(times_in(r.err, "of --max-tokens used: "), 0);
    cli_free(&r);
    chat_server_stop(server);
}

/* The money that is left decides whether another request is sent. */
static void test_cost_is_capped(void **state)
{
    (void)state;
    const chat_script script = {.seed = 1, .by_body = true, .key = KEY};
    chat_server *server = serve(&script);
    EXPECT(0, "run", task(), "-o", "capped", "--max-cost", "0.05", "--reply-tokens", "4000", MODEL,
           PRICES);
    cJSON *status = JSON("status", "capped");
    double cost = kds_json_num(status, "cost_usd", 1);
    assert_true(cost > 0 && cost <= 0.05);
    assert_accounts_agree("capped", server);
    cJSON_Delete(status);
    chat_server_stop(server);
}

/* A server that does not say what it used is taken to have used what was reserved. */
static void test_tokens_are_capped(void **state)
{
    (void)state;
    static const chat_step mute = {.answer = CHAT_NO_USAGE, .mode = CHAT_MODE_EDIT};
    const chat_script script = {
        .seed = 1, .by_body = true, .steps = &mute, .step_count = 1, .key = KEY};
    chat_server *server = serve(&script);
    EXPECT(0, "run", task(), "-o", "mute", "--max-tokens", "30000", "--reply-tokens", "1000",
           MODEL);
    chat_counts counts = chat_server_counts(server);
    assert_true(counts.requests > 1);
    assert_true(counts.prompt_tokens + counts.completion_tokens <= 30000);
    EXPECT(0, "resume", "mute");
    assert_int_equal(chat_server_counts(server).requests, counts.requests);
    chat_server_stop(server);
}

/* No more requests than were allowed, however many of them failed, and none more at resume. */
static void test_requests_are_capped(void **state)
{
    (void)state;
    static const chat_step steps[] = {
        {.answer = CHAT_STATUS, .status = 503, .retry_after = "0"},
        {.answer = CHAT_OK, .mode = CHAT_MODE_EDIT},
    };
    const chat_script script = {
        .seed = 5, .by_body = true, .key = KEY, .steps = steps, .step_count = 2};
    chat_server *server = serve(&script);
    EXPECT(0, "run", task(), "-o", "counted", "--max-requests", "9", MODEL, PRICES);
    assert_int_equal(chat_server_counts(server).requests, 9);
    assert_accounts_agree("counted", server);
    EXPECT(0, "resume", "counted");
    assert_int_equal(chat_server_counts(server).requests, 9);
    EXPECT(0, "resume", "counted", "--max-requests", "11");
    assert_int_equal(chat_server_counts(server).requests, 11);
    EXPECT(0, "replay", "counted");
    chat_server_stop(server);
}

static int set_up(void **state)
{
    setenv("TEST_CHAT_KEY", KEY, 1);
    return cli_set_up(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_api),
        cmocka_unit_test(test_breaker),
        cmocka_unit_test(test_several_models),
        cmocka_unit_test(test_a_model_proposes),
        cmocka_unit_test(test_faults_are_survived),
        cmocka_unit_test(test_kills_lose_no_reply),
        cmocka_unit_test(test_lost_calls_count_as_reserved),
        cmocka_unit_test(test_refused_key),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_cost_is_capped),
        cmocka_unit_test(test_budgets_are_told),
        cmocka_unit_test(test_requests_are_capped),
        cmocka_unit_test(test_tokens_are_capped),
    };
    return cmocka_run_group_tests(tests, set_up, cli_tear_down);
}
