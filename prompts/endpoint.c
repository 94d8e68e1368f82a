/* The transfers: requests in flight on one curl multi handle. Nothing here looks into a reply;
 * endpoint_reply.c judges it. Invariants: a transfer is in the list exactly while its easy handle
 * is in the multi handle; the raw body is scrubbed of the key before anything else reads it. */
#include "prompts/endpoint_internal.h"
#include "search/base/clock.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool add_header(kds_endpoint *x, const char *line)
{
    struct curl_slist *longer = curl_slist_append(x->headers, line);
    if (!longer)
        return false;
    x->headers = longer;
    return true;
}

/* The headers of every request. "Expect:" takes out libcurl's wait for 100 Continue. */
static bool make_headers(kds_endpoint *x)
{
    bool ok = add_header(x, "Content-Type: application/json") &&
              add_header(x, "Accept: application/json") && add_header(x, "Expect:") &&
              (!x->messages || add_header(x, "anthropic-version: 2023-06-01"));
    if (ok && x->key) {
        char *line =
            kds_secret_header(x->key, x->messages ? "x-api-key: " : "Authorization: Bearer ");
        ok = line && add_header(x, line);
        kds_secret_wipe(line);
        free(line);
    }
    return ok;
}

/* Text options copied, numbers checked. */
static kds_code take_options(kds_endpoint *x, const kds_endpoint_options *o, kds_err *e)
{
    const char *field = o->token_field ? o->token_field : "max_tokens";
    if (!o->model || !*o->model)
        return kds_fail(e, KDS_INVALID, "no model named for the endpoint; set model");
    if (strcmp(field, "max_tokens") != 0 && strcmp(field, "max_completion_tokens") != 0)
        return kds_fail(e, KDS_INVALID,
                        "token-field is '%s'; it may be max_tokens or max_completion_tokens",
                        field);
    if (x->messages && o->max_tokens <= 0)
        return kds_fail(e, KDS_INVALID, "the messages API needs a limit on reply tokens");
    if (x->messages && o->reasoning && *o->reasoning)
        return kds_fail(e, KDS_INVALID,
                        "the messages API has no reasoning effort; give its thinking budget with "
                        "extra-json, such as {\"thinking\": {\"type\": \"enabled\", "
                        "\"budget_tokens\": 4000}, \"temperature\": null}");
    x->model = strdup(o->model);
    x->token_field = strdup(field);
    x->key_env = strdup(o->key_env ? o->key_env : "");
    x->reasoning = strdup(o->reasoning ? o->reasoning : "");
    if (!x->model || !x->token_field || !x->key_env || !x->reasoning)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    x->temperature = o->temperature;
    x->max_tokens = o->max_tokens;
    x->connect_timeout = o->connect_timeout > 0 ? o->connect_timeout : 10;
    x->idle_timeout = o->idle_timeout > 0 ? o->idle_timeout : 60;
    x->total_timeout = o->total_timeout > 0 ? o->total_timeout : 600;
    x->usd_per_prompt = o->usd_per_million_prompt / 1e6;
    x->usd_per_completion = o->usd_per_million_completion / 1e6;
    return KDS_OK;
}

/* What the user adds to every request, checked. */
static kds_code take_extra(kds_endpoint *x, const char *text, kds_err *e)
{
    static const char *const ours[] = {"model", "messages", "system", "stream"};
    kds_json_doc *doc = NULL;
    if (!text || !*text)
        return KDS_OK;
    kds_code code = kds_json_parse(&doc, "extra-json", text, strlen(text), false, e);
    const cJSON *root = code == KDS_OK ? kds_json_root(doc) : NULL;
    if (code == KDS_OK && !cJSON_IsObject(root))
        code = kds_fail(e, KDS_INVALID, "extra-json must be a JSON object");
    for (size_t i = 0; i < sizeof ours / sizeof *ours && code == KDS_OK; i++)
        if (kds_json_at(root, ours[i]))
            code = kds_fail(e, KDS_INVALID, "extra-json may not set \"%s\"", ours[i]);
    if (code == KDS_OK && !(x->extra = cJSON_Duplicate(root, true)))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_json_free(doc);
    return code;
}

static kds_code take_api(kds_endpoint *x, const char *api, kds_err *e)
{
    x->messages = api && strcmp(api, "messages") == 0;
    return !api || x->messages || strcmp(api, "chat") == 0
               ? KDS_OK
               : kds_fail(e, KDS_INVALID, "api is '%s'; it may be chat or messages", api);
}

kds_code kds_endpoint_create(kds_endpoint **out, const kds_endpoint_options *o, kds_err *e)
{
    kds_endpoint_url url = {NULL, NULL, false, false};
    kds_endpoint *x = calloc(1, sizeof *x);
    kds_code code = KDS_OK;
    if (!x)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    x->curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    if (!x->curl_ready) {
        code = kds_fail(e, KDS_FAILED, "libcurl cannot be started");
        goto out;
    }
    if ((code = take_api(x, o->api, e)) != KDS_OK ||
        (code = kds_endpoint_url_read(&url, o->url, x->messages, e)) != KDS_OK ||
        (code = take_options(x, o, e)) != KDS_OK || (code = take_extra(x, o->extra, e)) != KDS_OK)
        goto out;
    x->url = url.full;
    x->host = url.host;
    url.full = url.host = NULL;
    if (*x->key_env && (code = kds_secret_from_env(&x->key, x->key_env, e)) != KDS_OK)
        goto out;
    x->direct = url.loopback || (x->key && !url.secure);
    x->multi = curl_multi_init();
    if (!x->multi || !make_headers(x)) {
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
        goto out;
    }
    *out = x;
    x = NULL;
out:
    free(url.full);
    free(url.host);
    kds_endpoint_free(x);
    return code;
}

static void transfer_free(kds_transfer *t)
{
    kds_transfer **link = &t->owner->transfers;
    while (*link && *link != t)
        link = &(*link)->next;
    if (*link) {
        *link = t->next;
        t->owner->in_flight--;
        curl_multi_remove_handle(t->owner->multi, t->easy);
    }
    if (t->easy)
        curl_easy_cleanup(t->easy);
    explicit_bzero(t->raw.data, t->raw.len);
    kds_buf_free(&t->raw);
    free(t);
}

void kds_endpoint_cancel_all(kds_endpoint *x)
{
    for (; x; x = x->next)
        while (x->transfers)
            transfer_free(x->transfers);
}

void kds_endpoint_free(kds_endpoint *x)
{
    if (!x)
        return;
    kds_endpoint_cancel_all(x);
    kds_endpoint_free(x->next);
    for (struct curl_slist *h = x->headers; h; h = h->next)
        kds_secret_wipe(h->data);
    curl_slist_free_all(x->headers);
    if (x->multi && !x->joined)
        curl_multi_cleanup(x->multi);
    kds_secret_free(x->key);
    free(x->url);
    free(x->host);
    free(x->model);
    free(x->key_env);
    free(x->token_field);
    free(x->reasoning);
    cJSON_Delete(x->extra);
    if (x->curl_ready)
        curl_global_cleanup();
    free(x);
}

const char *kds_endpoint_api(const kds_endpoint *x)
{
    return x->messages ? "messages" : "chat";
}

int kds_endpoint_in_flight(const kds_endpoint *x)
{
    int n = 0;
    for (; x; x = x->next)
        n += x->in_flight;
    return n;
}

void kds_endpoint_join(kds_endpoint *first, kds_endpoint *x)
{
    curl_multi_cleanup(x->multi);
    x->multi = first->multi;
    x->joined = true;
    while (first->next)
        first = first->next;
    first->next = x;
}

kds_endpoint *kds_endpoint_at(kds_endpoint *first, int i)
{
    while (first && i-- > 0)
        first = first->next;
    return first;
}

/* Takes a piece of the body; refusing it (too large, out of memory) ends the transfer. */
static size_t take_piece(char *data, size_t size, size_t count, void *user)
{
    kds_transfer *t = user;
    size_t n = size * count;
    kds_buf_add(&t->raw, data, n);
    t->last_byte = kds_clock_monotonic();
    return t->raw.bad == KDS_OK ? n : 0;
}

static long milliseconds(double seconds)
{
    return (long)fmin(ceil(seconds * 1000), 1e9);
}

#define SET(option, value) ok = ok && curl_easy_setopt(h, option, value) == CURLE_OK

/* Where and how a transfer may go. */
static bool set_transport(const kds_endpoint *x, CURL *h)
{
    bool ok = true;
    SET(CURLOPT_URL, x->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    if (x->direct)
        SET(CURLOPT_PROXY, "");
    SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_VERBOSE, 0L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(x->connect_timeout));
    SET(CURLOPT_TIMEOUT_MS, milliseconds(x->total_timeout));
    return ok;
}

static bool set_request(kds_endpoint *x, kds_transfer *t, const char *body)
{
    CURL *h = t->easy;
    bool ok = set_transport(x, h);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    SET(CURLOPT_COPYPOSTFIELDS, body);
    SET(CURLOPT_HTTPHEADER, x->headers);
    SET(CURLOPT_USERAGENT, "kdasearch/" KDS_VERSION_STRING);
    SET(CURLOPT_WRITEFUNCTION, take_piece);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_ERRORBUFFER, t->error);
    return ok;
}

kds_code kds_endpoint_submit(kds_endpoint *x, uint64_t request, const char *body, kds_err *e)
{
    kds_transfer *t = calloc(1, sizeof *t);
    if (!t)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    t->owner = x;
    t->request = request;
    t->started = kds_clock_monotonic();
    kds_buf_init(&t->raw, KDS_RAW_CAP);
    t->easy = curl_easy_init();
    if (!t->easy || !set_request(x, t, body)) {
        transfer_free(t);
        return kds_fail(e, KDS_NO_MEMORY, "libcurl cannot prepare request %llu",
                        (unsigned long long)request);
    }
    CURLMcode bad = curl_multi_add_handle(x->multi, t->easy);
    if (bad != CURLM_OK) {
        transfer_free(t);
        return kds_fail(e, KDS_FAILED, "libcurl refuses request %llu: %s",
                        (unsigned long long)request, curl_multi_strerror(bad));
    }
    t->next = x->transfers;
    x->transfers = t;
    x->in_flight++;
    return KDS_OK;
}

/* Hands a finished transfer to the caller and frees it. */
static void finish(kds_transfer *t, CURLcode result, kds_completion_fn *fn, void *user)
{
    kds_endpoint *x = t->owner;
    struct curl_header *h = NULL;
    kds_answer a = {.result = result, .curl_error = t->error, .silent = t->silent};
    kds_completion c = {.request = t->request};
    kds_buf text;
    long request_bytes = 0;
    kds_buf_init(&text, KDS_REPLY_CAP);
    kds_secret_scrub(x->key, &t->raw);
    a.body = t->raw.data;
    a.len = t->raw.len;
    a.too_large = t->raw.bad == KDS_TOO_LARGE;
    a.seconds = kds_clock_monotonic() - t->started;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &a.status);
    curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    c.sent = request_bytes > 0;
    if (curl_easy_header(t->easy, "Content-Type", 0, CURLH_HEADER, -1, &h) == CURLHE_OK)
        a.content_type = h->value;
    if (curl_easy_header(t->easy, "Location", 0, CURLH_HEADER, -1, &h) == CURLHE_OK)
        a.location = h->value;
    if (curl_easy_header(t->easy, "Retry-After", 0, CURLH_HEADER, -1, &h) == CURLHE_OK)
        a.retry_after = h->value;
    kds_answer_judge(x, &a, &text, &c);
    kds_transfer **link = &x->transfers;
    while (*link != t)
        link = &(*link)->next;
    *link = t->next;
    x->in_flight--;
    curl_multi_remove_handle(x->multi, t->easy);
    fn(user, &c);
    transfer_free(t);
    kds_buf_free(&text);
}

/* Milliseconds until the first transfer has been silent for too long; at most `timeout_ms`. */
static int clip_timeout(const kds_endpoint *x, int timeout_ms)
{
    double now = kds_clock_monotonic(), wait = timeout_ms < 0 ? INT_MAX : timeout_ms;
    for (; x; x = x->next)
        for (const kds_transfer *t = x->transfers; t; t = t->next)
            if (t->last_byte > 0)
                wait = fmin(wait, ceil(fmax(t->last_byte + x->idle_timeout - now, 0) * 1000));
    return (int)wait;
}

static void end_silent(kds_endpoint *x, kds_completion_fn *fn, void *user)
{
    double now = kds_clock_monotonic();
    for (;;) {
        kds_transfer *t = x->transfers;
        while (t && (t->last_byte == 0 || now - t->last_byte < x->idle_timeout))
            t = t->next;
        if (!t)
            return;
        t->silent = true;
        finish(t, CURLE_OPERATION_TIMEDOUT, fn, user);
    }
}

/* curl_multi_poll reports less than poll() (no POLLHUP), so the caller's descriptors are asked
 * again. */
static kds_code ask_descriptors(struct pollfd *fds, int count, int timeout_ms, kds_err *e)
{
    for (int i = 0; i < count; i++)
        fds[i].revents = 0;
    if (poll(fds, (nfds_t)count, timeout_ms) < 0 && errno != EINTR)
        return kds_fail_errno(e, KDS_FAILED, "waiting for %d descriptors", count);
    return KDS_OK;
}

static kds_code wait_sockets(kds_endpoint *x, const struct pollfd *fds, int count, int timeout_ms,
                             kds_err *e)
{
    struct curl_waitfd *extra = calloc((size_t)count + 1, sizeof *extra);
    if (!extra)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    for (int i = 0; i < count; i++) {
        extra[i].fd = fds[i].fd;
        extra[i].events = (short)((fds[i].events & POLLIN ? CURL_WAIT_POLLIN : 0) |
                                  (fds[i].events & POLLPRI ? CURL_WAIT_POLLPRI : 0) |
                                  (fds[i].events & POLLOUT ? CURL_WAIT_POLLOUT : 0));
    }
    CURLMcode bad =
        curl_multi_poll(x->multi, extra, (unsigned)count, clip_timeout(x, timeout_ms), NULL);
    free(extra);
    return bad == CURLM_OK
               ? KDS_OK
               : kds_fail(e, KDS_FAILED, "waiting for replies: %s", curl_multi_strerror(bad));
}

kds_code kds_endpoint_wait(kds_endpoint *x, struct pollfd *fds, int count, int timeout_ms,
                           kds_completion_fn *fn, void *user, kds_err *e)
{
    int left;
    CURLMsg *m;
    if (!x || kds_endpoint_in_flight(x) == 0)
        return ask_descriptors(fds, count, timeout_ms, e);
    kds_code code = wait_sockets(x, fds, count, timeout_ms, e);
    if (code == KDS_OK)
        code = ask_descriptors(fds, count, 0, e);
    if (code != KDS_OK)
        return code;
    CURLMcode bad = curl_multi_perform(x->multi, &left);
    if (bad != CURLM_OK)
        return kds_fail(e, KDS_FAILED, "libcurl: %s", curl_multi_strerror(bad));
    while ((m = curl_multi_info_read(x->multi, &left))) {
        if (m->msg != CURLMSG_DONE)
            continue;
        char *mine = NULL;
        CURLcode result = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &mine);
        finish((kds_transfer *)(void *)mine, result, fn, user);
    }
    for (; x; x = x->next)
        end_silent(x, fn, user);
    return KDS_OK;
}
