/* The client without a server: options that are refused, and replies of every form. */
#include "tests/prompts/inbox.h"

static void refused(kds_endpoint_options o, const char *says)
{
    kds_err e;
    kds_endpoint *x = NULL;
    if (!o.model)
        o.model = "m";
    kds_code code = kds_endpoint_create(&x, &o, &e);
    if (code != KDS_INVALID || !strstr(e.message, says))
        fail_msg("%s: %s, not '%s'", o.url ? o.url : "(null)",
                 code == KDS_OK ? "accepted" : e.message, says);
    kds_buf_puts(&everything, e.message);
    assert_null(x);
    assert_null(strstr(e.message, "hunter2"));
}

static void test_refused_options(void **state)
{
    (void)state;
#define URL .url = "http://127.0.0.1:1/v1"
    refused((kds_endpoint_options){.url = NULL}, "no URL");
    refused((kds_endpoint_options){.url = ""}, "no URL");
    refused((kds_endpoint_options){.url = "127.0.0.1:8000"}, "http:// or https://");
    refused((kds_endpoint_options){.url = "http://"}, "cannot be read");
    refused((kds_endpoint_options){.url = "http://a b/"}, "cannot be read");
    refused((kds_endpoint_options){.url = "ftp://h/v1"}, "not http or https");
    refused((kds_endpoint_options){.url = "gopher9://h/v1"}, "http:// or https://");
    refused((kds_endpoint_options){.url = "file:///etc/passwd"}, "not http or https");
    refused((kds_endpoint_options){.url = "http://me:hunter2@h/v1"}, "credentials");
    refused((kds_endpoint_options){.url = "http://me:hunter2@h:x/v1"}, "cannot be read");
    refused((kds_endpoint_options){.url = "http://h/v1?key=hunter2"}, "query");
    refused((kds_endpoint_options){.url = "http://h/v1#x"}, "fragment");
    refused((kds_endpoint_options){URL, .model = ""}, "no model");
    refused((kds_endpoint_options){URL, .token_field = "tokens"}, "max_completion_tokens");
    refused((kds_endpoint_options){URL, .key_env = "KDS_TEST_UNSET"},
            "KDS_TEST_UNSET, which should");
    refused((kds_endpoint_options){URL, .key_env = "sk-hunter2"}, "not the key itself");
    refused((kds_endpoint_options){URL, .key_env = "hf_hunter2"}, "looks like a key");
    refused((kds_endpoint_options){URL, .api = "grpc"}, "chat or messages");
    refused((kds_endpoint_options){URL, .api = "messages"}, "limit on reply tokens");
    refused((kds_endpoint_options){URL, .api = "messages", .max_tokens = 9, .reasoning = "high"},
            "extra-json");
    refused((kds_endpoint_options){URL, .extra = "[1]"}, "must be a JSON object");
    refused((kds_endpoint_options){URL, .extra = "{\"a\":"}, "extra-json:1");
    refused((kds_endpoint_options){URL, .extra = "{\"stream\":true}"}, "may not set \"stream\"");
    refused((kds_endpoint_options){URL, .extra = "{\"model\":\"x\"}"}, "may not set \"model\"");
    setenv("KDS_TEST_BAD", "", 1);
    refused((kds_endpoint_options){URL, .key_env = "KDS_TEST_BAD"}, "is empty");
    setenv("KDS_TEST_BAD", "hunter2\r\nX-Evil: 1", 1);
    refused((kds_endpoint_options){URL, .key_env = "KDS_TEST_BAD"}, "at position 8");
    char *huge = malloc(6000);
    memset(huge, 'k', 5999);
    huge[5999] = '\0';
    setenv("KDS_TEST_BAD", huge, 1);
    free(huge);
    refused((kds_endpoint_options){URL, .key_env = "KDS_TEST_BAD"}, "longer than 4096");
}

/* What a model wants beside the usual: effort, keys of its own, keys taken out. */
static void test_extra(void **state)
{
    (void)state;
    kds_endpoint_options o = {URL,
                              .model = "m",
                              .temperature = 1,
                              .max_tokens = 5,
                              .reasoning = "high",
                              .extra = "{\"temperature\":null,\"top_p\":0.5,\"max_tokens\":7,"
                                       "\"provider\":{\"only\":[\"a\"]}}"};
    kds_endpoint *x = NULL;
    assert_int_equal(kds_endpoint_create(&x, &o, NULL), KDS_OK);
    char *body = kds_endpoint_body(x, "", "u");
    assert_string_equal(
        body, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"u\"}],"
              "\"reasoning_effort\":\"high\",\"stream\":false,\"top_p\":0.5,\"max_tokens\":7,"
              "\"provider\":{\"only\":[\"a\"]}}");
    free(body);
    kds_endpoint_free(x);
}

/* The URL that is asked, as the 404 message shows it. */
static void test_url_forms(void **state)
{
    (void)state;
    static const char *const FORMS[][2] = {
        {"http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1/chat/completions,"},
        {"http://127.0.0.1:1/v1///", "http://127.0.0.1:1/v1/chat/completions,"},
        {"HTTP://localhost", "http://localhost/chat/completions,"},
        {"https://[::1]:2/a/b/", "https://[::1]:2/a/b/chat/completions,"},
        {"http://127.0.0.1:1/v1/chat/completions", "http://127.0.0.1:1/v1/chat/completions,"},
    };
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
        kds_endpoint_options o = {.url = FORMS[i][0], .model = "m"};
        kds_endpoint *x = NULL;
        kds_completion c;
        kds_buf text;
        kds_buf_init(&text, 1000);
        assert_int_equal(kds_endpoint_create(&x, &o, NULL), KDS_OK);
        kds_endpoint_reread(x, 404, "", 0, &text, &c);
        if (!strstr(c.message, FORMS[i][1]))
            fail_msg("%s: %s", FORMS[i][0], c.message);
        kds_endpoint_free(x);
        kds_buf_free(&text);
    }
}

static const struct body_case {
    const char *body;
    kds_outcome outcome;
    const char *text, *says;
} BODIES[] = {
#define CHOICE(message) "{\"choices\":[{\"finish_reason\":\"stop\",\"message\":" message "}]}"
    {CHOICE("{\"content\":\"a\"}"), KDS_OUTCOME_OK, "a", ""},
    {"\xef\xbb\xbf \n" CHOICE("{\"content\":\"a\"}") "\n ", KDS_OUTCOME_OK, "a", ""},
    {CHOICE("{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"x\"},{\"text\":\"b\"}]}"),
     KDS_OUTCOME_OK, "ab", ""},
    {CHOICE("{\"content\":\"a\\u0000b\"}"), KDS_OUTCOME_OK,
     "a\xef\xbf\xbd"
     "b",
     ""},
    {CHOICE("{\"content\":\"a\\\\u0000b\"}"), KDS_OUTCOME_OK, "a\\u0000b", ""},
    {CHOICE("{\"content\":\"\"}"), KDS_OUTCOME_EMPTY, NULL, "no content"},
    {CHOICE("{\"content\":null}"), KDS_OUTCOME_EMPTY, NULL, "no content"},
    {CHOICE("{\"content\":5}"), KDS_OUTCOME_EMPTY, NULL, "no content"},
    {CHOICE("{\"content\":\"a\",\"refusal\":\"no, never\"}"), KDS_OUTCOME_REFUSED, NULL,
     "no, never"},
    {CHOICE("{\"content\":\"a\",\"refusal\":null}"), KDS_OUTCOME_OK, "a", ""},
    {CHOICE("7"), KDS_OUTCOME_EMPTY, NULL, "no content"},
    {"{\"choices\":[{\"finish_reason\":\"length\",\"message\":{\"content\":\"\"}}]}",
     KDS_OUTCOME_LENGTH, "", "cut off"},
    {"{\"type\":\"message\",\"stop_reason\":\"end_turn\",\"content\":[{\"type\":\"thinking\","
     "\"thinking\":\"hm\"},{\"type\":\"text\",\"text\":\"a\"}]}",
     KDS_OUTCOME_OK, "a", ""},
    {"{\"type\":\"message\",\"stop_reason\":\"max_tokens\",\"content\":[]}", KDS_OUTCOME_LENGTH, "",
     "cut off at max_tokens"},
    {"{\"type\":\"message\",\"stop_reason\":\"end_turn\",\"content\":[]}", KDS_OUTCOME_EMPTY, NULL,
     "no content"},
    {"{\"type\":\"message\",\"content\":\"a\"}", KDS_OUTCOME_MALFORMED, NULL,
     "not the JSON expected"},
    {"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}",
     KDS_OUTCOME_MALFORMED, NULL, "busy"},
    {"{\"choices\":[]}", KDS_OUTCOME_EMPTY, NULL, "no choices"},
    {"{\"choices\":[null]}", KDS_OUTCOME_EMPTY, NULL, "no choices"},
    {"{\"choices\":{\"a\":1}}", KDS_OUTCOME_MALFORMED, NULL, "not the JSON expected"},
    {"{}", KDS_OUTCOME_MALFORMED, NULL, "not the JSON expected"},
    {"[]", KDS_OUTCOME_MALFORMED, NULL, "not the JSON expected"},
    {"null", KDS_OUTCOME_MALFORMED, NULL, "not the JSON expected"},
    {"", KDS_OUTCOME_MALFORMED, NULL, "0 bytes"},
    {CHOICE("{\"content\":\"a\"}") " {}", KDS_OUTCOME_MALFORMED, NULL, "not the JSON expected"},
    {CHOICE("{\"content\":\"\\ud800\"}"), KDS_OUTCOME_MALFORMED, NULL, "not the JSON expected"},
    {"data: {\"choices\":[]}\n\n", KDS_OUTCOME_MALFORMED, NULL, "data: {"},
    {"  <HTML><body>", KDS_OUTCOME_MALFORMED, NULL, "HTML page"},
    {"{\"error\":{\"code\":429,\"message\":\"slow down\"}}", KDS_OUTCOME_RETRY, NULL, "slow down"},
    {"{\"error\":{\"code\":401,\"message\":\"who\"}}", KDS_OUTCOME_FATAL, NULL, "who"},
    {"{\"error\":\"out of order\"}", KDS_OUTCOME_MALFORMED, NULL, "out of order"},
};

static void check_body(const char *body, size_t len, kds_outcome outcome, const char *text,
                       const char *says)
{
    kds_completion c;
    kds_buf b;
    kds_buf_init(&b, KDS_REPLY_CAP);
    kds_endpoint_reread(NULL, 200, body, len, &b, &c);
    if (c.outcome != outcome || !strstr(c.message, says))
        fail_msg("%.60s: %s: %s", body, kds_outcome_name(c.outcome), c.message);
    if (text)
        assert_string_equal(c.text, text);
    else
        assert_null(c.text);
    kds_buf_free(&b);
}

static void test_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BODIES / sizeof *BODIES; i++)
        check_body(BODIES[i].body, strlen(BODIES[i].body), BODIES[i].outcome, BODIES[i].text,
                   BODIES[i].says);
    /* Bytes that would cost memory or a stack. */
    size_t n = 8u << 20;
    char *big = malloc(n + 1);
    assert_non_null(big);
    memset(big, '[', n);
    check_body(big, n, KDS_OUTCOME_MALFORMED, NULL, "not the JSON");
    for (size_t i = 1; i + 1 < n; i += 2)
        memcpy(big + i, "0,", 2);
    check_body(big, n, KDS_OUTCOME_MALFORMED, NULL, "not the JSON");
    memset(big, '\0', n);
    check_body(big, n, KDS_OUTCOME_MALFORMED, NULL, "not the JSON");
    memset(big, '\\', n);
    big[0] = '"';
    check_body(big, n, KDS_OUTCOME_MALFORMED, NULL, "not the JSON");
    free(big);
    static const char NUL[] = "{\"choices\":[{\"message\":{\"content\":\"a\0b\"}}]}";
    check_body(NUL, sizeof NUL - 1, KDS_OUTCOME_OK,
               "a\x01"
               "b",
               "");
}

static void test_usage_values(void **state)
{
    (void)state;
    static const struct {
        const char *usage;
        int64_t prompt, completion;
    } CASES[] = {{"{\"prompt_tokens\":5,\"completion_tokens\":6}", 5, 6},
                 {"{\"prompt_tokens\":0}", 0, -1},
                 {"{\"prompt_tokens\":-5,\"completion_tokens\":\"x\"}", -1, -1},
                 {"{\"prompt_tokens\":1e300}", -1, -1},
                 {"null", -1, -1}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char body[300];
        kds_completion c;
        kds_buf b;
        kds_buf_init(&b, KDS_REPLY_CAP);
        snprintf(body, sizeof body, "{\"choices\":[],\"usage\":%s}", CASES[i].usage);
        kds_endpoint_reread(NULL, 200, body, strlen(body), &b, &c);
        assert_int_equal(c.prompt_tokens, CASES[i].prompt);
        assert_int_equal(c.completion_tokens, CASES[i].completion);
        kds_buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_options), cmocka_unit_test(test_url_forms),
        cmocka_unit_test(test_extra),           cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_usage_values),    cmocka_unit_test(test_nothing_leaked),
    };
    inbox_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
