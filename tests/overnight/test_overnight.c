/* A night in miniature, or whole: one campaign with a model whose server has every fault there is,
 * killed again and again, and the same campaign undisturbed. No reply is lost, the accounts of both
 * sides agree to the token, and what came of it is the same.
 *
 *     test_overnight [--candidates N] [--kills N] [--faults PERCENT] [--seed N]
 */
#include "tests/cli/cli_test.h"
#include "tests/overnight/account.h"
#include "tests/overnight/compare.h"
#include "tests/tools/chat_server.h"

#include "search/base/clock.h"
#include "search/base/random.h"
#include "search/base/text.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define KEY "sk-test-0123456789abcdef-never-shown"
#define IN_FLIGHT 8
#define MODEL_MS 60 /* that an answer takes */
#define ARGS_MAX 48

static int64_t candidates = 30, kills = 3, faults = 45, seed = 1;

/* What the server answers. Those that pass are gone at the next attempt; the others are what the
 * model says to this prompt, however often it is asked. */
typedef struct step {
    const char *name;
    chat_step answer;
} step;
#define PASSES .passing = true
static step script[] = {
    {"a reply", {.answer = CHAT_OK, .mode = CHAT_MODE_MODEL}},
    {"429, Retry-After in seconds", {.answer = CHAT_STATUS, .status = 429, .retry_after = "1"}},
    {"429, Retry-After as a date", {.answer = CHAT_STATUS, .status = 429, .retry_after = "date+1"}},
    {"500", {.answer = CHAT_STATUS, .status = 500}},
    {"502 with a page", {.answer = CHAT_STATUS, .status = 502, .text = "<html>bad gateway</html>"}},
    {"503", {.answer = CHAT_STATUS, .status = 503, .retry_after = "0"}},
    {"closed before the body", {.answer = CHAT_CLOSE_BEFORE}},
    {"closed in the body", {.answer = CHAT_CLOSE_MIDDLE, .mode = CHAT_MODE_MODEL}},
    {"reset before the body", {.answer = CHAT_RESET_BEFORE, .mode = CHAT_MODE_MODEL}},
    {"reset in the body", {.answer = CHAT_RESET_MIDDLE, .mode = CHAT_MODE_MODEL}},
    {"slow drip", {.answer = CHAT_DRIP, .mode = CHAT_MODE_MODEL, .delay_ms = 3}},
    {"silence in the body", {.answer = CHAT_STALL, .mode = CHAT_MODE_MODEL}},
    {"malformed JSON", {.answer = CHAT_MALFORMED, .mode = CHAT_MODE_MODEL, PASSES}},
    {"HTML page", {.answer = CHAT_HTML, PASSES}},
    {"wrong content type",
     {.answer = CHAT_OK, .mode = CHAT_MODE_MODEL, .type = "text/event-stream", PASSES}},
    {"no usage", {.answer = CHAT_NO_USAGE, .mode = CHAT_MODE_MODEL}},
    {"redirect to another host", {.answer = CHAT_REDIRECT, .status = 307, PASSES}},
    {"no choices", {.answer = CHAT_NO_CHOICES}},
    {"no content", {.answer = CHAT_NO_CONTENT}},
    {"cut off at max_tokens", {.answer = CHAT_LENGTH, .mode = CHAT_MODE_MODEL}},
    {"refusal", {.answer = CHAT_REFUSAL}},
    {"content filter", {.answer = CHAT_CONTENT_FILTER}},
};
#define STEPS ((int)(sizeof script / sizeof *script))

/* One campaign and its server. */
typedef struct night {
    const char *name;
    bool passing, final; /* which faults there are */
    int64_t kills;
    char journal[600], replies[600], url[64];
    chat_step steps[STEPS];
    chat_script script;
    chat_server *server;
    int64_t killed, ended; /* how often it was killed; ended by itself before it was done */
    int64_t ends[2000];    /* when, in milliseconds since 1970 */
    double seconds;
} night;

static void sleep_ms(int64_t ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* Faults share the percentage that was asked for, by equal parts. */
static void start_server(night *n, const char *elsewhere)
{
    kds_err e = {0};
    for (int i = 0; i < STEPS; i++) {
        n->steps[i] = script[i].answer;
        if (n->steps[i].answer != CHAT_DRIP)
            n->steps[i].delay_ms = MODEL_MS;
        bool passing = chat_answer_is_transient(&n->steps[i]);
        bool wanted = passing ? n->passing : n->final;
        n->steps[i].weight = i == 0   ? (double)(100 - faults)
                             : wanted ? (double)faults / (STEPS - 1)
                                      : 0;
        if (n->steps[i].answer == CHAT_REDIRECT)
            n->steps[i].text = elsewhere;
    }
    snprintf(n->journal, sizeof n->journal, "%s.journal", cli_path(n->name));
    snprintf(n->replies, sizeof n->replies, "%s.replies", cli_path(n->name));
    n->script = (chat_script){.seed = (uint64_t)seed,
                              .by_body = true,
                              .odds = true,
                              .steps = n->steps,
                              .step_count = STEPS,
                              .journal = n->journal,
                              .replies = n->replies,
                              .key = KEY};
    if (chat_server_start(&n->server, &n->script, &e) != KDS_OK)
        fail_msg("%s", e.message);
    snprintf(n->url, sizeof n->url, "http://127.0.0.1:%d/v1", chat_server_port(n->server));
}

static pid_t begin(const night *n)
{
    char evals[24], number[24], in_flight[24];
    snprintf(evals, sizeof evals, "%lld", (long long)candidates);
    snprintf(number, sizeof number, "%lld", (long long)seed);
    snprintf(in_flight, sizeof in_flight, "%d", IN_FLIGHT);
    const char *const args[] = {"run",
                                cli_source("tests/tasks/scale"),
                                "-o",
                                n->name,
                                "--seed",
                                number,
                                "--max-evals",
                                evals,
                                "--operators",
                                "mutate,explore,crossover,simplify,repair",
                                "--order",
                                "strict",
                                "--in-flight",
                                in_flight,
                                "--proposer",
                                "endpoint",
                                "--url",
                                n->url,
                                "--model",
                                "scripted",
                                "--key-env",
                                "TEST_CHAT_KEY",
                                "--price-prompt",
                                "1",
                                "--price-completion",
                                "2",
                                "--attempts",
                                "100",
                                "--request-timeout",
                                "2s",
                                "--compile-timeout",
                                "10m",
                                "--judge-timeout",
                                "30m",
                                NULL};
    return cli_start(n->name, args);
}

static pid_t resume(const night *n)
{
    const char *const args[] = {"resume", n->name, NULL};
    return cli_start(n->name, args);
}

/* The exit status if it has ended; -1 while it runs. */
static int ended(pid_t pid)
{
    int status = 0;
    pid_t got = waitpid(pid, &status, WNOHANG);
    assert_true(got >= 0 || errno == EINTR);
    return got != pid ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* After how many requests the next kill is due: they are spread over the campaign, which has at
 * least two requests for three candidates. */
static int64_t next_kill(const night *n, kds_random *r)
{
    if (n->killed == n->kills)
        return INT64_MAX;
    double part = ((double)n->killed + kds_random_unit(r)) / (double)n->kills;
    return 1 + (int64_t)(part * (double)candidates * 2 / 3);
}

static void note_end(night *n)
{
    int64_t count = n->killed + n->ended;
    assert_in_range(count, 1, sizeof n->ends / sizeof *n->ends);
    n->ends[count - 1] = kds_clock_wall_ms();
}

static void show_output(const night *n)
{
    char path[600];
    snprintf(path, sizeof path, "%s.err", cli_path(n->name));
    char *text = cli_read(path, NULL);
    size_t len = text ? strlen(text) : 0;
    fprintf(stderr, "%s\n", len > 2000 ? text + len - 2000 : text ? text : "");
    free(text);
}

/* Runs it to its end, through all kills, and through the ends that a redirect is: there it stops
 * and says that it can be resumed. */
static void run_night(night *n)
{
    kds_random random = kds_random_stream((uint64_t)seed, 0, "kills");
    double from = kds_clock_monotonic();
    pid_t pid = begin(n);
    int64_t due = next_kill(n, &random);
    for (;;) {
        int status = ended(pid);
        if (status < 0 && (int64_t)chat_server_counts(n->server).requests < due) {
            sleep_ms(10);
            continue;
        }
        if (status < 0) {
            uint64_t most = kds_random_below(&random, 3) ? MODEL_MS * 3 / 2 : 1500;
            sleep_ms((int64_t)kds_random_below(&random, most));
            (void)kill(-pid, SIGKILL);
            status = cli_wait(pid);
        }
        if (status == 0)
            break;
        if (status == 128 + SIGKILL) {
            n->killed++;
            due = next_kill(n, &random);
        } else if (status == 30 && n->passing) {
            n->ended++;
        } else {
            show_output(n);
            fail_msg("%s ended with %d", n->name, status);
        }
        note_end(n);
        EXPECT(0, "check", n->name);
        pid = resume(n);
    }
    n->seconds = kds_clock_monotonic() - from;
    if (n->killed != n->kills)
        fail_msg("%s was killed %lld times, not %lld", n->name, (long long)n->killed,
                 (long long)n->kills);
}

static void assert_replays(const char *archive)
{
    EXPECT(0, "check", archive);
    cJSON *replay = JSON("replay", archive);
    assert_true(kds_json_bool(replay, "agrees", false));
    cJSON_Delete(replay);
}

static void select_rows(const char *archive, const char *sql, kds_row_fn *fn, void *user)
{
    kds_ledger *ledger = NULL;
    assert_int_equal(kds_ledger_open(&ledger, cli_path(archive), KDS_LEDGER_READ, NULL), KDS_OK);
    assert_int_equal(kds_ledger_select(ledger, sql, NULL, fn, user, NULL), KDS_OK);
    kds_ledger_close(ledger);
}

static kds_code keep_count(void *user, const cJSON *row, kds_err *e)
{
    (void)e;
    *(int64_t *)user = kds_json_int(row, "n", -1);
    return KDS_OK;
}

static kds_code fail_row(void *user, const cJSON *row, kds_err *e)
{
    (void)user, (void)e;
    fail_msg("request %lld was paid for and asked again",
             (long long)kds_json_int(row, "request", -1));
    return KDS_FAILED;
}

static void show_account(const night *n, const account *a, const cJSON *status, int64_t distinct)
{
    printf("%s: %.0f s, %lld kills, %lld ends for a redirect\n", n->name, n->seconds,
           (long long)n->killed, (long long)n->ended);
    printf("  decisions  %lld, %lld distinct candidates, %lld duplicates, %lld cells\n",
           (long long)kds_json_int(status, "decisions", -1), (long long)distinct,
           (long long)kds_json_int(status, "duplicates", -1),
           (long long)kds_json_int(status, "cells", -1));
    printf("  requests   %lld in the archive, %lld at the server, %lld failed\n",
           (long long)a->requests, (long long)a->received, (long long)a->failed);
    printf("  settled    %lld: %lld + %lld tokens, %.6f USD in both accounts\n",
           (long long)a->ends[ACCOUNT_SETTLED], (long long)a->prompt, (long long)a->completion,
           a->cost);
    printf(
        "  as reserved %.6f USD (the server charged %lld + %lld tokens for them): %lld broken off "
        "or without usage, %lld under way at an end (%lld of them sent whole, "
        "at most %lld ms before), %lld not yet sent\n",
        a->reserved, (long long)a->unsettled_prompt, (long long)a->unsettled_completion,
        (long long)a->ends[ACCOUNT_UNKNOWN], (long long)a->ends[ACCOUNT_LOST],
        (long long)a->whole_lost, (long long)a->longest_ms, (long long)a->ends[ACCOUNT_UNSENT]);
    for (int i = 0; i < STEPS; i++)
        if (a->steps[i])
            printf("  %6lld %s\n", (long long)a->steps[i], script[i].name);
    fflush(stdout);
}

/* The totals of the archive are the sums of the accounts, and a question whose reply was recorded
 * was not asked again. */
static void check_account(const night *n, account *a)
{
    account_settle(a, n->journal, n->replies, cli_path(n->name), n->ends, n->killed + n->ended);
    cJSON *status = JSON("status", n->name);
    int64_t distinct = 0;
    select_rows(n->name, "SELECT count(*) AS n FROM candidates WHERE verdict <> 'duplicate'",
                keep_count, &distinct);
    show_account(n, a, status, distinct);
    assert_int_equal(kds_json_int(status, "requests", -1), a->requests);
    assert_int_equal(kds_json_int(status, "responses", -1), a->requests);
    assert_int_equal(kds_json_int(status, "failed_calls", -1), a->failed);
    assert_int_equal(kds_json_int(status, "prompt_tokens", -1), a->prompt);
    assert_int_equal(kds_json_int(status, "completion_tokens", -1), a->completion);
    double cost = kds_json_num(status, "cost_usd", -1), sum = a->cost + a->reserved;
    assert_true(cost > 0.999999999 * sum && cost < 1.000000001 * sum);
    assert_true(distinct >= candidates);
    assert_int_equal(a->received, chat_server_counts(n->server).requests);
    /* Each end leaves at most what was under way then. */
    assert_true(a->ends[ACCOUNT_LOST] + a->ends[ACCOUNT_UNSENT] <=
                IN_FLIGHT * (n->killed + n->ended));
    assert_true(n->passing || a->ends[ACCOUNT_SETTLED] + a->ends[ACCOUNT_UNKNOWN] == a->requests);
    cJSON_Delete(status);
}

/* Runs a campaign and proves what can be proven of it alone. */
static void spend_night(night *n, account *a)
{
    char elsewhere[80];
    chat_server *other = NULL;
    const chat_script nobody = {.seed = 1};
    assert_int_equal(chat_server_start(&other, &nobody, NULL), KDS_OK);
    snprintf(elsewhere, sizeof elsewhere, "http://localhost:%d/v1/chat/completions",
             chat_server_port(other));
    start_server(n, elsewhere);
    run_night(n);
    assert_replays(n->name);
    check_account(n, a);
    /* No question was sent again after its reply had been recorded. */
    select_rows(n->name,
                "SELECT a.request FROM calls a JOIN calls b ON a.decision = b.decision AND "
                "a.prompt = b.prompt AND a.request < b.request WHERE a.outcome = 'ok'",
                fail_row, NULL);
    assert_int_equal(chat_server_counts(other).requests, 0);
    chat_server_stop(other);
    chat_server_stop(n->server);
}

static void test_overnight(void **state)
{
    (void)state;
    night bad = {.name = "bad", .passing = true, .final = true, .kills = kills};
    night calm = {.name = "calm", .final = true};
    night good = {.name = "good"};
    account a;
    comparison c;
    setenv("TEST_CHAT_KEY", KEY, 1);
    spend_night(&bad, &a);
    /* The same model, but nothing fails and nobody kills: what a model says (also no) is the same,
     * so all of it is. */
    spend_night(&calm, &a);
    assert_same_campaign("bad", "calm");
    /* A model that never says no: the same until it did. */
    spend_night(&good, &a);
    compare_campaigns(&c, "bad", "good");
    printf(
        "bad and calm are the same\nbad and good: %lld decisions and %lld outcomes from the first "
        "on, %lld candidates, %lld of %lld cells' elites are the same\n",
        (long long)c.decisions, (long long)c.commits, (long long)c.candidates,
        (long long)c.equal_cells, (long long)c.cells);
    assert_true(c.decisions > IN_FLIGHT);
}

int main(int argc, char **argv)
{
    const struct {
        const char *name;
        int64_t *value, most;
    } options[] = {{"--candidates", &candidates, 100000},
                   {"--kills", &kills, 1000},
                   {"--faults", &faults, 90},
                   {"--seed", &seed, 1000000}};
    for (int i = 1; i < argc; i += 2) {
        bool known = false;
        for (size_t k = 0; k < sizeof options / sizeof *options && i + 1 < argc; k++)
            if (strcmp(argv[i], options[k].name) == 0)
                known = kds_text_parse_i64(argv[i + 1], options[k].value) &&
                        *options[k].value >= 0 && *options[k].value <= options[k].most;
        if (!known) {
            fprintf(stderr, "usage: test_overnight [--candidates N] [--kills N] [--faults PERCENT] "
                            "[--seed N]\n");
            return 2;
        }
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_overnight)};
    return cmocka_run_group_tests(tests, cli_set_up, cli_tear_down);
}
