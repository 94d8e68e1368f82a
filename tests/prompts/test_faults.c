/* Each fault that a server can have, as the client tells it. */
#include "tests/prompts/inbox.h"

static const struct fault {
    chat_step step;
    kds_outcome outcome;
    long status;
    const char *says[3];
    double after_least, after_most; /* Retry-After */
} FAULTS[] = {
#define STATUS(n) .answer = CHAT_STATUS, .status = n
    {{STATUS(429), .retry_after = "3"},
     KDS_OUTCOME_RETRY,
     429,
     {"HTTP 429", "as the script"},
     3,
     3},
    {{STATUS(429), .retry_after = "date+100"}, KDS_OUTCOME_RETRY, 429, {"HTTP 429"}, 90, 101},
    {{STATUS(429), .retry_after = "date-100"}, KDS_OUTCOME_RETRY, 429, {"HTTP 429"}, 0, 0},
    {{STATUS(429), .retry_after = "-5"}, KDS_OUTCOME_RETRY, 429, {"HTTP 429"}, -1, -1},
    {{STATUS(429), .retry_after = "99999999"}, KDS_OUTCOME_RETRY, 429, {"HTTP 429"}, 600, 600},
    {{STATUS(429), .text = "{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"pay\"}}"},
     KDS_OUTCOME_FATAL,
     429,
     {"quota", "pay"},
     -1,
     -1},
    {{STATUS(400), .text = "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
                           "\"message\":\"Your credit balance is too low to use the API\"}}"},
     KDS_OUTCOME_FATAL,
     400,
     {"quota is used up", "top it up"},
     -1,
     -1},
    {{STATUS(529), .text = "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                           "\"message\":\"Overloaded\"}}"},
     KDS_OUTCOME_RETRY,
     529,
     {"HTTP 529", "Overloaded"},
     -1,
     -1},
    {{STATUS(408)}, KDS_OUTCOME_RETRY, 408, {"HTTP 408"}, -1, -1},
    {{STATUS(409)}, KDS_OUTCOME_RETRY, 409, {"HTTP 409"}, -1, -1},
    {{STATUS(425)}, KDS_OUTCOME_RETRY, 425, {"HTTP 425"}, -1, -1},
    {{STATUS(500)}, KDS_OUTCOME_RETRY, 500, {"HTTP 500"}, -1, -1},
    {{STATUS(502), .text = "<html>bad\x1b[31m gateway</html>"},
     KDS_OUTCOME_RETRY,
     502,
     {"HTTP 502", "bad\\x1B[31m gateway"},
     -1,
     -1},
    {{STATUS(503), .retry_after = "0"}, KDS_OUTCOME_RETRY, 503, {"HTTP 503"}, 0, 0},
    {{STATUS(400)}, KDS_OUTCOME_FATAL, 400, {"refused the request", "as the script"}, -1, -1},
    {{STATUS(400), .text = "{\"error\":{\"code\":\"content_filter\",\"message\":\"no\"}}"},
     KDS_OUTCOME_REFUSED,
     400,
     {"content filter"},
     -1,
     -1},
    /* Too long a prompt, in the words of llama.cpp, vLLM and OpenAI, SGLang, Anthropic. */
    {{STATUS(400), .text = "{\"error\":{\"code\":400,\"message\":\"request (13112 tokens) exceeds "
                           "the available context size (8192 tokens), try increasing it\","
                           "\"type\":\"exceed_context_size_error\"}}"},
     KDS_OUTCOME_REFUSED,
     400,
     {"longer than the model's context", "context-tokens", "13112 tokens"},
     -1,
     -1},
    {{STATUS(400), .text =
                       "{\"object\":\"error\",\"message\":\"This model's maximum context length "
                       "is 4096 tokens. However, you requested 5000 tokens\","
                       "\"type\":\"BadRequestError\",\"code\":400}"},
     KDS_OUTCOME_REFUSED,
     400,
     {"context-tokens", "4096 tokens"},
     -1,
     -1},
    {{STATUS(400), .text = "{\"error\":{\"code\":\"context_length_exceeded\",\"message\":\"no\"}}"},
     KDS_OUTCOME_REFUSED,
     400,
     {"context-tokens"},
     -1,
     -1},
    {{STATUS(400), .text = "{\"error\":{\"message\":\"The input (9000 tokens) is longer than the "
                           "model's context length (8192 tokens).\"}}"},
     KDS_OUTCOME_REFUSED,
     400,
     {"context-tokens", "9000 tokens"},
     -1,
     -1},
    {{STATUS(413), .text = "{\"type\":\"error\",\"error\":{\"type\":\"request_too_large\","
                           "\"message\":\"prompt is too long: 210000 tokens > 200000 maximum\"}}"},
     KDS_OUTCOME_REFUSED,
     413,
     {"context-tokens", "210000 tokens"},
     -1,
     -1},
    {{STATUS(401)}, KDS_OUTCOME_FATAL, 401, {"key refused: check $" KEY_ENV}, -1, -1},
    {{STATUS(402)}, KDS_OUTCOME_FATAL, 402, {"payment"}, -1, -1},
    {{STATUS(403)}, KDS_OUTCOME_FATAL, 403, {"key refused: check $" KEY_ENV}, -1, -1},
    {{STATUS(404)},
     KDS_OUTCOME_FATAL,
     404,
     {"no such model or URL", "/v1/", "'test-model'"},
     -1,
     -1},
    {{STATUS(407)}, KDS_OUTCOME_FATAL, 407, {"proxy"}, -1, -1},
    {{STATUS(418), .text = "short and stout"}, KDS_OUTCOME_FATAL, 418, {"short and stout"}, -1, -1},
    {{.answer = CHAT_MALFORMED}, KDS_OUTCOME_MALFORMED, 200, {"not the JSON expected"}, -1, -1},
    {{.answer = CHAT_HTML},
     KDS_OUTCOME_MALFORMED,
     200,
     {"HTML page", "<title>Welcome", "API's base"},
     -1,
     -1},
    {{.answer = CHAT_NO_CHOICES}, KDS_OUTCOME_EMPTY, 200, {"no choices|no content"}, -1, -1},
    {{.answer = CHAT_NO_CONTENT}, KDS_OUTCOME_EMPTY, 200, {"no content"}, -1, -1},
    {{.answer = CHAT_LENGTH}, KDS_OUTCOME_LENGTH, 200, {"cut off at max_tokens = 1234"}, -1, -1},
    {{.answer = CHAT_CONTENT_FILTER}, KDS_OUTCOME_REFUSED, 200, {"refus|content filter"}, -1, -1},
    {{.answer = CHAT_REFUSAL}, KDS_OUTCOME_REFUSED, 200, {"I cannot help|refusal"}, -1, -1},
    {{.answer = CHAT_CLOSE_BEFORE}, KDS_OUTCOME_RETRY, 0, {"failed"}, -1, -1},
    {{.answer = CHAT_CLOSE_MIDDLE}, KDS_OUTCOME_RETRY, 200, {"failed"}, -1, -1},
    {{.answer = CHAT_RESET_BEFORE}, KDS_OUTCOME_RETRY, 0, {"failed", "reset"}, -1, -1},
    {{.answer = CHAT_RESET_MIDDLE}, KDS_OUTCOME_RETRY, 200, {"failed", "reset"}, -1, -1},
    {{.answer = CHAT_STALL}, KDS_OUTCOME_RETRY, 200, {"went silent"}, -1, -1},
    {{.answer = CHAT_HUGE}, KDS_OUTCOME_MALFORMED, 200, {"longer than 1048576 bytes"}, -1, -1},
    {{.answer = CHAT_HUGE, .bytes = 17 << 20},
     KDS_OUTCOME_MALFORMED,
     200,
     {"16777216 bytes"},
     -1,
     -1},
    {{.answer = CHAT_OK, .type = "text/event-stream"},
     KDS_OUTCOME_MALFORMED,
     200,
     {"sent text/event-stream, not JSON", "choices|content"},
     -1,
     -1},
    {{.answer = CHAT_OK, .type = "text/html"}, KDS_OUTCOME_MALFORMED, 200, {"HTML page"}, -1, -1},
    {{.answer = CHAT_OK, .type = "text/plain; x=application/json"},
     KDS_OUTCOME_MALFORMED,
     200,
     {"not JSON"},
     -1,
     -1},
    {{.answer = CHAT_OK, .type = "Application/JSON; charset=utf-8"},
     KDS_OUTCOME_OK,
     200,
     {""},
     -1,
     -1},
    {{.answer = CHAT_OK, .type = "application/problem+json"}, KDS_OUTCOME_OK, 200, {""}, -1, -1},
    {{.answer = CHAT_BAD_UTF8}, KDS_OUTCOME_OK, 200, {""}, -1, -1},
};

/* Whether one of the words between bars is in a message. */
static bool says(const char *message, const char *words)
{
    char copy[200];
    const char *bar = strchr(words, '|');
    if (!bar)
        return strstr(message, words) != NULL;
    snprintf(copy, sizeof copy, "%.*s", (int)(bar - words), words);
    return strstr(message, copy) || says(message, bar + 1);
}

/* What the account or the key is to blame for ends a run; nothing else of one request does. */
static bool is_of_account(const struct fault *f)
{
    return (f->status >= 401 && f->status <= 404) ||
           (f->outcome == KDS_OUTCOME_FATAL && f->says[0] && strstr(f->says[0], "quota"));
}

/* Every fault through one of the APIs. */
static void check_faults(const char *api)
{
    for (size_t i = 0; i < sizeof FAULTS / sizeof *FAULTS; i++) {
        const struct fault *f = &FAULTS[i];
        inbox in = {.count = 0};
        one_api(&f->step, &in, api);
        const result *r = &in.results[0];
        if (r->outcome != f->outcome || r->status != f->status)
            fail_msg("fault %zu: %s, HTTP %ld: %s", i, kds_outcome_name(r->outcome), r->status,
                     r->message);
        for (size_t k = 0; k < 3 && f->says[k]; k++)
            if (!says(r->message, f->says[k]))
                fail_msg("fault %zu: '%s' is not in: %s", i, f->says[k], r->message);
        if (r->retry_after < f->after_least || r->retry_after > f->after_most)
            fail_msg("fault %zu: retry after %g", i, r->retry_after);
        if (r->account != is_of_account(f))
            fail_msg("fault %zu: of the account: %d", i, r->account);
        assert_true(r->sent);
        assert_string_not_equal(kds_outcome_name(r->outcome), "unknown");
        assert_true(r->raw_len <= 16u << 20);
        for (const char *p = r->message; *p; p++)
            assert_true((unsigned char)*p >= ' ');
        empty(&in);
    }
}

static void test_faults(void **state)
{
    (void)state;
    check_faults("chat");
}

static void test_faults_of_messages(void **state)
{
    (void)state;
    check_faults("messages");
}

/* Usage is charged also where the text cannot be used. */
static void test_usage_of_failures(void **state)
{
    (void)state;
    const chat_step steps[] = {{.answer = CHAT_LENGTH, .mode = CHAT_MODE_FIXED, .text = "cut here"},
                               {.answer = CHAT_REFUSAL},
                               {.answer = CHAT_NO_CHOICES},
                               {.answer = CHAT_HUGE}};
    for (size_t i = 0; i < 8; i++) {
        inbox in = {.count = 0};
        one_api(&steps[i % 4], &in, i < 4 ? "chat" : "messages");
        assert_true(in.results[0].prompt_tokens > 0);
        assert_true(in.results[0].completion_tokens > 0);
        assert_true(in.results[0].cost > 0);
        if (i % 4 == 0)
            assert_string_equal(in.results[0].text, "cut ");
        empty(&in);
    }
}

static void test_echoed_key(void **state)
{
    (void)state;
    const chat_step steps[] = {{.answer = CHAT_ECHO_KEY}, {.answer = CHAT_ECHO_KEY, .status = 401}};
    for (size_t i = 0; i < 4; i++) {
        inbox in = {.count = 0};
        one_api(&steps[i % 2], &in, i < 2 ? "chat" : "messages");
        const result *r = &in.results[0];
        assert_int_equal(r->outcome, i % 2 == 0 ? KDS_OUTCOME_OK : KDS_OUTCOME_FATAL);
        assert_null(strstr(r->raw, KEY));
        assert_non_null(strstr(r->raw, "[key]"));
        assert_null(strstr(r->raw, "\\u0073\\u006b\\u002d")); /* "sk-" spelled as escapes */
        assert_non_null(strstr(i % 2 == 0 ? r->text : r->message, "[key]"));
        empty(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_faults_of_messages),
        cmocka_unit_test(test_usage_of_failures),
        cmocka_unit_test(test_echoed_key),
        cmocka_unit_test(test_nothing_leaked),
    };
    inbox_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
