/* The endpoint client against a real server on the loopback interface: exchanges, limits in time,
 * descriptors, and what it must not do with the key. */
#include "search/base/file.h"
#include "tests/prompts/inbox.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_ok(void **state)
{
    (void)state;
    const chat_step step = {
        .answer = CHAT_OK, .mode = CHAT_MODE_FIXED, .text = "h\xc3\xa9llo \"w\"\n"};
    chat_script script = {.steps = &step, .step_count = 1, .key = KEY};
    chat_server *s = serve(&script);
    kds_endpoint *x = client_of(chat_server_port(s), KEY_ENV);
    char *body = kds_endpoint_body(x, "be brief", "broken \xff byte, and " KEY);
    char *same = kds_endpoint_body(x, "be brief", "broken \xff byte, and " KEY);
    assert_string_equal(body, same);
    assert_string_equal(
        body,
        "{\"model\":\"test-model\",\"messages\":[{\"role\":\"system\",\"content\":\"be brief\"},"
        "{\"role\":\"user\",\"content\":\"broken \xef\xbf\xbd byte, and [key]\"}],"
        "\"temperature\":0.5,\"max_tokens\":1234,\"stream\":false}");
    inbox in = {.count = 0};
    assert_int_equal(kds_endpoint_submit(x, 7, body, NULL), KDS_OK);
    assert_int_equal(kds_endpoint_in_flight(x), 1);
    drain(x, &in);
    const result *r = &in.results[7];
    assert_int_equal(r->outcome, KDS_OUTCOME_OK);
    assert_int_equal(r->status, 200);
    assert_string_equal(r->text, step.text);
    assert_string_equal(r->message, "");
    assert_int_equal(r->prompt_tokens, strlen(body) / 4 + 1);
    assert_int_equal(r->completion_tokens, strlen(step.text) / 4 + 1);
    double cost = ((double)r->prompt_tokens * 2 + (double)r->completion_tokens * 10) / 1e6;
    assert_true(r->cost > cost * 0.999 && r->cost < cost * 1.001);
    assert_true(r->retry_after < 0);

    kds_buf sent, headers;
    kds_buf_init(&sent, 1 << 20);
    kds_buf_init(&headers, 1 << 20);
    chat_server_last(s, &sent, &headers);
    assert_string_equal(sent.data, body);
    assert_non_null(strstr(headers.data, "Authorization: Bearer " KEY "\n"));
    assert_non_null(strstr(headers.data, "User-Agent: kdasearch/" KDS_VERSION_STRING "\n"));
    assert_non_null(strstr(headers.data, "Content-Type: application/json\n"));
    assert_null(strstr(headers.data, "Expect:"));

    /* A recorded reply reads the same again. */
    kds_completion c;
    kds_buf text;
    kds_buf_init(&text, KDS_REPLY_CAP);
    kds_endpoint_reread(x, 200, r->raw, r->raw_len, &text, &c);
    assert_int_equal(c.outcome, KDS_OUTCOME_OK);
    assert_string_equal(c.text, step.text);
    assert_int_equal(c.completion_tokens, r->completion_tokens);
    assert_true(c.cost_usd == r->cost);
    kds_buf_free(&text);
    kds_buf_free(&sent);
    kds_buf_free(&headers);
    free(body);
    free(same);
    empty(&in);
    kds_endpoint_free(x);
    chat_server_stop(s);
}

/* The messages API: its own path, headers, body and usage. */
static void test_messages(void **state)
{
    (void)state;
    const chat_step step = {.answer = CHAT_OK, .mode = CHAT_MODE_FIXED, .text = "answer"};
    chat_script script = {.steps = &step, .step_count = 1, .key = KEY};
    chat_server *s = serve(&script);
    kds_endpoint *x = client_api(chat_server_port(s), KEY_ENV, "messages");
    kds_buf sent, headers, text;
    kds_buf_init(&sent, 1 << 20);
    kds_buf_init(&headers, 1 << 20);
    kds_buf_init(&text, KDS_REPLY_CAP);
    assert_string_equal(kds_endpoint_api(x), "messages");
    char *body = kds_endpoint_body(x, "be brief, " KEY, "broken \xff byte");
    assert_string_equal(
        body, "{\"model\":\"test-model\",\"messages\":[{\"role\":\"user\",\"content\":"
              "\"broken \xef\xbf\xbd byte\"}],\"system\":\"be brief, [key]\",\"temperature\":0.5,"
              "\"max_tokens\":1234,\"stream\":false}");
    inbox in = {.count = 0};
    assert_int_equal(kds_endpoint_submit(x, 1, body, NULL), KDS_OK);
    drain(x, &in);
    const result *r = &in.results[1];
    assert_int_equal(r->outcome, KDS_OUTCOME_OK);
    assert_string_equal(r->text, "answer");
    assert_int_equal(r->prompt_tokens, strlen(body) / 4 + 1); /* read from the cache or not */
    assert_int_equal(r->completion_tokens, strlen("answer") / 4 + 1);
    chat_server_last(s, &sent, &headers);
    assert_non_null(strstr(headers.data, "x-api-key: " KEY "\n"));
    assert_non_null(strstr(headers.data, "anthropic-version: 20"));
    assert_null(strstr(headers.data, "Authorization"));
    /* A recorded reply says by itself of which API it is. */
    kds_completion c;
    kds_endpoint_reread(NULL, 200, r->raw, r->raw_len, &text, &c);
    assert_int_equal(c.outcome, KDS_OUTCOME_OK);
    assert_string_equal(c.text, "answer");
    kds_buf_free(&sent);
    kds_buf_free(&headers);
    kds_buf_free(&text);
    free(body);
    empty(&in);
    kds_endpoint_free(x);
    chat_server_stop(s);
}

static void test_redirect(void **state)
{
    (void)state;
    char where[100];
    chat_script plain = {.seed = 0};
    chat_server *other = serve(&plain);
    snprintf(where, sizeof where, "http://localhost:%d/v1/chat/completions?k=secret",
             chat_server_port(other));
    const chat_step steps[] = {{.answer = CHAT_REDIRECT, .text = where},
                               {.answer = CHAT_REDIRECT, .status = 307, .text = where},
                               {.answer = CHAT_REDIRECT, .status = 308, .text = "/v2/chat"}};
    for (size_t i = 0; i < 3; i++) {
        inbox in = {.count = 0};
        one(&steps[i], &in);
        assert_int_equal(in.results[0].outcome, KDS_OUTCOME_FATAL);
        assert_non_null(strstr(in.results[0].message, i < 2 ? "to localhost;" : "the same host"));
        assert_null(strstr(in.results[0].message, "secret"));
        empty(&in);
    }
    assert_int_equal(chat_server_counts(other).requests, 0);
    chat_server_stop(other);
}

static void test_timeouts(void **state)
{
    (void)state;
    const chat_step slow[] = {{.answer = CHAT_DRIP, .delay_ms = 100},
                              {.answer = CHAT_OK, .delay_ms = 30000}};
    for (size_t i = 0; i < 2; i++) {
        chat_script script = {.steps = &slow[i], .step_count = 1};
        chat_server *s = serve(&script);
        char url[100];
        snprintf(url, sizeof url, "http://127.0.0.1:%d/v1/", chat_server_port(s));
        kds_endpoint_options o = {
            .url = url, .model = "m", .temperature = -1, .total_timeout = 0.7};
        kds_endpoint *x = NULL;
        inbox in = {.count = 0};
        assert_int_equal(kds_endpoint_create(&x, &o, NULL), KDS_OK);
        char *body = kds_endpoint_body(x, "", "u");
        assert_null(strstr(body, "temperature"));
        assert_null(strstr(body, "system"));
        assert_int_equal(kds_endpoint_submit(x, 0, body, NULL), KDS_OK);
        drain(x, &in);
        assert_int_equal(in.results[0].outcome, KDS_OUTCOME_RETRY);
        assert_non_null(strstr(in.results[0].message, "no complete reply"));
        free(body);
        empty(&in);
        kds_endpoint_free(x);
        chat_server_stop(s);
    }
}

/* A thinking server that is silent for longer than the idle timeout is waited for. */
static void test_silence_before_the_reply(void **state)
{
    (void)state;
    const chat_step step = {
        .answer = CHAT_OK, .mode = CHAT_MODE_FIXED, .text = "at last", .delay_ms = 1500};
    inbox in = {.count = 0};
    one(&step, &in);
    assert_int_equal(in.results[0].outcome, KDS_OUTCOME_OK);
    empty(&in);
}

/* Answers whatever it reads in plain text, and closes when the other side has. (A web server may
 * reset the connection before its answer is read, which is another failure.) */
static void *answer_plainly(void *listener)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    char sink[4096];
    int fd = accept(*(int *)listener, NULL, NULL);
    if (fd >= 0 && read(fd, sink, sizeof sink) > 0 && write(fd, text, sizeof text - 1) > 0)
        while (read(fd, sink, sizeof sink) > 0)
            ;
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void test_unreachable(void **state)
{
    (void)state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    pthread_t answering;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    assert_int_equal(pthread_create(&answering, NULL, answer_plainly, &listener), 0);
    int port = ntohs(at.sin_port);
    char url[100];

    /* TLS to a port that does not speak it. */
    snprintf(url, sizeof url, "https://127.0.0.1:%d", port);
    kds_endpoint_options o = {.url = url, .model = "m", .key_env = KEY_ENV};
    kds_endpoint *x = NULL;
    inbox in = {.count = 0};
    assert_int_equal(kds_endpoint_create(&x, &o, NULL), KDS_OK);
    assert_int_equal(kds_endpoint_submit(x, 0, "{}", NULL), KDS_OK);
    drain(x, &in);
    assert_int_equal(in.results[0].outcome, KDS_OUTCOME_FATAL);
    assert_non_null(strstr(in.results[0].message, "TLS"));
    assert_false(in.results[0].sent);
    kds_endpoint_free(x);

    /* Nobody listens. */
    assert_int_equal(pthread_join(answering, NULL), 0);
    close(listener);
    x = client_of(port, NULL);
    assert_int_equal(kds_endpoint_submit(x, 1, "{}", NULL), KDS_OK);
    drain(x, &in);
    assert_int_equal(in.results[1].outcome, KDS_OUTCOME_RETRY);
    assert_int_equal(in.results[1].status, 0);
    assert_non_null(strstr(in.results[1].message, "cannot connect to 127.0.0.1:"));
    assert_int_equal(in.results[1].prompt_tokens, -1);
    kds_endpoint_free(x);
    empty(&in);
}

static void test_many_at_once(void **state)
{
    (void)state;
    const chat_step step = {
        .answer = CHAT_OK, .mode = CHAT_MODE_FIXED, .text = "x", .delay_ms = 150};
    chat_script script = {.steps = &step, .step_count = 1};
    chat_server *s = serve(&script);
    kds_endpoint *x = client_of(chat_server_port(s), KEY_ENV);
    inbox in = {.count = 0};
    for (uint64_t i = 0; i < MANY; i++)
        assert_int_equal(kds_endpoint_submit(x, i, "{\"a\":1}", NULL), KDS_OK);
    assert_int_equal(kds_endpoint_in_flight(x), MANY);
    drain(x, &in);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(in.results[i].outcome, KDS_OUTCOME_OK);
    assert_int_equal(in.count, MANY);
    assert_int_equal(chat_server_counts(s).requests, MANY);
    assert_true(chat_server_counts(s).most_at_once > 1);
    empty(&in);
    kds_endpoint_free(x);
    chat_server_stop(s);
}

static void test_cancel(void **state)
{
    (void)state;
    const chat_step steps[] = {{.answer = CHAT_OK, .delay_ms = 30000, .repeat = 2},
                               {.answer = CHAT_OK, .mode = CHAT_MODE_FIXED, .text = "x"}};
    chat_script script = {.steps = steps, .step_count = 2};
    chat_server *s = serve(&script);
    kds_endpoint *x = client_of(chat_server_port(s), KEY_ENV);
    inbox in = {.count = 0};
    for (uint64_t i = 0; i < 2; i++)
        assert_int_equal(kds_endpoint_submit(x, i, "{}", NULL), KDS_OK);
    while (chat_server_counts(s).requests < 2)
        assert_int_equal(kds_endpoint_wait(x, NULL, 0, 10, take, &in, NULL), KDS_OK);
    kds_endpoint_cancel_all(x);
    assert_int_equal(kds_endpoint_in_flight(x), 0);
    assert_int_equal(kds_endpoint_submit(x, 2, "{}", NULL), KDS_OK);
    drain(x, &in);
    assert_int_equal(in.count, 1);
    assert_int_equal(in.results[2].outcome, KDS_OUTCOME_OK);
    /* Freeing with requests in flight. */
    assert_int_equal(kds_endpoint_submit(x, 3, "{}", NULL), KDS_OK);
    kds_endpoint_free(x);
    empty(&in);
    chat_server_stop(s);
}

static void test_descriptors(void **state)
{
    (void)state;
    const chat_step step = {.answer = CHAT_OK, .delay_ms = 30000};
    chat_script script = {.steps = &step, .step_count = 1};
    chat_server *s = serve(&script);
    kds_endpoint *x = client_of(chat_server_port(s), KEY_ENV);
    inbox in = {.count = 0};
    int full[2], closed[2], quiet[2];
    assert_int_equal(pipe(full) | pipe(closed) | pipe(quiet), 0);
    assert_int_equal(write(full[1], "x", 1), 1);
    close(closed[1]);
    assert_int_equal(kds_endpoint_submit(x, 0, "{}", NULL), KDS_OK);
    for (int i = 0; i < 2; i++) {
        struct pollfd fds[] = {{.fd = full[0], .events = POLLIN},
                               {.fd = closed[0], .events = POLLIN},
                               {.fd = quiet[0], .events = POLLIN},
                               {.fd = quiet[1], .events = POLLOUT},
                               {.fd = -1, .events = POLLIN}};
        /* With a request in flight (i = 0), and as plain poll(). No limit: it must return by the
         * descriptors alone. */
        assert_int_equal(kds_endpoint_wait(i == 0 ? x : NULL, fds, 5, -1, take, &in, NULL), KDS_OK);
        assert_int_equal(fds[0].revents, POLLIN);
        assert_int_equal(fds[1].revents, POLLHUP);
        assert_int_equal(fds[2].revents, 0);
        assert_int_equal(fds[3].revents, POLLOUT);
        assert_int_equal(fds[4].revents, 0);
    }
    close(full[0]);
    close(full[1]);
    close(closed[0]);
    close(quiet[0]);
    close(quiet[1]);
    kds_endpoint_free(x);
    chat_server_stop(s);
}

static void test_environment_is_not_trusted(void **state)
{
    (void)state;
    const char *home = KDS_BINARY_DIR "/test_endpoint_home";
    const chat_step step = {.answer = CHAT_OK, .mode = CHAT_MODE_FIXED, .text = "x"};
    chat_script script = {.steps = &step, .step_count = 1};
    chat_server *s = serve(&script), *proxy = serve(&script);
    char url[100];
    kds_buf body, headers;
    kds_buf_init(&body, 1 << 20);
    kds_buf_init(&headers, 1 << 20);
    mkdir(home, 0700);
    assert_int_equal(kds_file_write_atomic(KDS_BINARY_DIR "/test_endpoint_home/.netrc",
                                           "machine 127.0.0.1 login a password b\n", 37, NULL),
                     KDS_OK);
    setenv("HOME", home, 1);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", chat_server_port(proxy));
    setenv("http_proxy", url, 1);
    setenv("ALL_PROXY", url, 1);
    kds_endpoint *x = client_of(chat_server_port(s), "");
    inbox in = {.count = 0};
    assert_int_equal(kds_endpoint_submit(x, 0, "{}", NULL), KDS_OK);
    drain(x, &in);
    assert_int_equal(in.results[0].outcome, KDS_OUTCOME_OK);
    chat_server_last(s, &body, &headers);
    assert_null(strstr(headers.data, "Authorization"));
    assert_int_equal(chat_server_counts(proxy).requests, 0);
    kds_endpoint_free(x);

    /* Another host goes through the proxy, which is why nothing leaves this machine here. */
    kds_endpoint_options o = {.url = "http://models.invalid/v1", .model = "m"};
    assert_int_equal(kds_endpoint_create(&x, &o, NULL), KDS_OK);
    assert_int_equal(kds_endpoint_submit(x, 1, "{}", NULL), KDS_OK);
    drain(x, &in);
    assert_int_equal(chat_server_counts(proxy).requests, 1);
    kds_endpoint_free(x);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    kds_buf_free(&body);
    kds_buf_free(&headers);
    empty(&in);
    chat_server_stop(proxy);
    chat_server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ok),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_redirect),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_silence_before_the_reply),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_environment_is_not_trusted),
        cmocka_unit_test(test_nothing_leaked),
    };
    inbox_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
