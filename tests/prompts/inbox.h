/* Shared by the tests of the endpoint client: a scripted server, a client of it, and an inbox that
 * copies every completion and keeps all that the module returned. */
#ifndef KDS_TESTS_INBOX_H
#define KDS_TESTS_INBOX_H

#include "prompts/endpoint.h"
#include "tests/tools/chat_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEY "sk-test/0123456789+abcdef~XYZ"
#define KEY_ENV "KDS_TEST_KEY"
#define MANY 64

static kds_buf everything; /* all that came out of the module */

/* What a completion said, copied. */
typedef struct result {
    bool done;
    kds_outcome outcome;
    long status;
    char *raw, *text;
    size_t raw_len, text_len;
    int64_t prompt_tokens, completion_tokens;
    double cost, seconds, retry_after;
    bool account, sent;
    char message[400];
} result;

typedef struct inbox {
    result results[MANY];
    int count;
    kds_endpoint *again; /* where retries are sent, or NULL */
    const char *body;
} inbox;

static inline char *copy(const char *s, size_t len)
{
    char *c = malloc(len + 1);
    assert_non_null(c);
    if (len > 0)
        memcpy(c, s, len);
    c[len] = '\0';
    return c;
}

static inline void take(void *user, const kds_completion *c)
{
    inbox *in = user;
    assert_true(c->request < MANY);
    result *r = &in->results[c->request];
    if (r->done) {
        free(r->raw);
        free(r->text);
    }
    *r = (result){.done = true,
                  .outcome = c->outcome,
                  .status = c->status,
                  .raw = copy(c->raw, c->raw_len),
                  .text = c->text ? copy(c->text, c->text_len) : NULL,
                  .raw_len = c->raw_len,
                  .text_len = c->text_len,
                  .prompt_tokens = c->prompt_tokens,
                  .completion_tokens = c->completion_tokens,
                  .cost = c->cost_usd,
                  .seconds = c->seconds,
                  .retry_after = c->retry_after,
                  .account = c->account,
                  .sent = c->sent};
    memcpy(r->message, c->message, sizeof r->message);
    in->count++;
    kds_buf_add(&everything, c->raw, c->raw_len < 100000 ? c->raw_len : 100000);
    if (c->text)
        kds_buf_add(&everything, c->text, c->text_len);
    kds_buf_puts(&everything, c->message);
    assert_true(c->text == NULL || c->outcome == KDS_OUTCOME_OK ||
                c->outcome == KDS_OUTCOME_LENGTH);
    if (in->again && c->outcome == KDS_OUTCOME_RETRY)
        assert_int_equal(kds_endpoint_submit(in->again, c->request, in->body, NULL), KDS_OK);
}

static inline void empty(inbox *in)
{
    for (int i = 0; i < MANY; i++) {
        free(in->results[i].raw);
        free(in->results[i].text);
    }
    memset(in, 0, sizeof *in);
}

static inline void drain(kds_endpoint *x, inbox *in)
{
    kds_err e;
    while (kds_endpoint_in_flight(x) > 0)
        if (kds_endpoint_wait(x, NULL, 0, 2000, take, in, &e) != KDS_OK)
            fail_msg("wait: %s", e.message);
}

static inline chat_server *serve(const chat_script *script)
{
    kds_err e;
    chat_server *s = NULL;
    if (chat_server_start(&s, script, &e) != KDS_OK)
        fail_msg("%s", e.message);
    return s;
}

/* A client of either API ("chat", "messages"). */
static inline kds_endpoint *client_api(int port, const char *key_env, const char *api)
{
    char url[100];
    kds_err e;
    kds_endpoint *x = NULL;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/v1", port);
    kds_endpoint_options o = {.url = url,
                              .api = api,
                              .model = "test-model",
                              .key_env = key_env,
                              .temperature = 0.5,
                              .max_tokens = 1234,
                              .connect_timeout = 20,
                              .idle_timeout = 1,
                              .total_timeout = 60,
                              .usd_per_million_prompt = 2,
                              .usd_per_million_completion = 10};
    if (kds_endpoint_create(&x, &o, &e) != KDS_OK)
        fail_msg("%s", e.message);
    return x;
}

static inline kds_endpoint *client_of(int port, const char *key_env)
{
    return client_api(port, key_env, "chat");
}

/* One request answered by one step. */
static inline void one_api(const chat_step *step, inbox *in, const char *api)
{
    chat_script script = {.steps = step, .step_count = 1};
    chat_server *s = serve(&script);
    kds_endpoint *x = client_api(chat_server_port(s), KEY_ENV, api);
    char *body = kds_endpoint_body(x, "be brief", "write a kernel");
    assert_int_equal(kds_endpoint_submit(x, 0, body, NULL), KDS_OK);
    drain(x, in);
    assert_int_equal(in->count, 1);
    assert_int_equal(chat_server_counts(s).requests, 1);
    free(body);
    kds_endpoint_free(x);
    chat_server_stop(s);
}

static inline void one(const chat_step *step, inbox *in)
{
    one_api(step, in, "chat");
}

/* Last: what all of the above returned holds no key, in no spelling that is tried here. */
static inline void test_nothing_leaked(void **state)
{
    (void)state;
    assert_true(everything.len > 500);
    assert_int_equal(everything.bad, KDS_OK);
    assert_null(memmem(everything.data, everything.len, KEY, strlen(KEY)));
    assert_null(memmem(everything.data, everything.len, &KEY[8], strlen(KEY) - 8));
    assert_null(memmem(everything.data, everything.len, "sk-test", 7));
    assert_null(memmem(everything.data, everything.len, "sk-test\\/", 9));
    assert_null(memmem(everything.data, everything.len, "\\u0073\\u006b\\u002d", 18));
    kds_buf_free(&everything);
}

static inline void inbox_begin(void)
{
    setenv(KEY_ENV, KEY, 1);
    kds_buf_init(&everything, 256u << 20);
}

#endif
