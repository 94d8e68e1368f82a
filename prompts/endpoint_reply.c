/* Judging what a server sent: outcome, text, usage, and one line that says what went wrong and what
 * to do. Everything in an answer is hostile: sizes are capped before parsing, texts are scrubbed of
 * the key and escaped before they are shown. */
#include "prompts/endpoint_internal.h"
#include "search/base/clock.h"
#include "search/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VALUES_CAP 200000 /* JSON values in one reply; a parsed one takes 64 bytes */
#define WORDS_CAP 4096

/* Stands in where a reply is read without its endpoint. */
static char nobody_host[] = "the server", nobody_text[] = "";
static const struct kds_endpoint NOBODY = {
    .url = nobody_text, .host = nobody_host, .model = nobody_text, .key_env = nobody_text};

const char *kds_outcome_name(kds_outcome o)
{
    static const char *const NAMES[] = {"ok",        "length", "refused", "empty",
                                        "malformed", "retry",  "fatal",   "lost"};
    return (unsigned)o < sizeof NAMES / sizeof *NAMES ? NAMES[o] : "unknown";
}

/* Sets outcome and message. */
static void KDS_PRINTF(4, 5)
    say(const kds_endpoint *x, kds_completion *out, kds_outcome outcome, const char *fmt, ...)
{
    va_list ap;
    kds_buf b;
    kds_buf_init(&b, 4 * WORDS_CAP);
    va_start(ap, fmt);
    kds_buf_vprintf(&b, fmt, ap);
    va_end(ap);
    kds_secret_scrub(x->key, &b);
    kds_text_escape_into(out->message, sizeof out->message, b.data, b.len, false);
    kds_buf_free(&b);
    out->outcome = outcome;
}

/* Up to `most` characters of a text for a message: scrubbed before it is cut, white space folded.
 */
static const char *excerpt(const kds_endpoint *x, const char *s, size_t len, size_t most,
                           char out[321])
{
    kds_buf b;
    size_t n = 0;
    kds_buf_init(&b, WORDS_CAP);
    kds_buf_add(&b, s, len < WORDS_CAP ? len : WORDS_CAP);
    kds_secret_scrub(x->key, &b);
    for (size_t i = 0; i < b.len && n < most; i++) {
        bool blank = b.data[i] == ' ' || (b.data[i] >= '\t' && b.data[i] <= '\r');
        if (!blank)
            out[n++] = b.data[i];
        else if (n > 0 && out[n - 1] != ' ')
            out[n++] = ' ';
    }
    out[n] = '\0';
    n = kds_text_utf8_prefix(out, n) + 4 >= n ? kds_text_utf8_prefix(out, n) : n;
    out[n] = '\0';
    kds_buf_free(&b);
    return out;
}

/* A copy of the body that cJSON can read without losing text (a NUL, escaped or not, would end a
 * string) and without using much memory. NULL: too many values, or out of memory. */
static char *readable_copy(const char *body, size_t len)
{
    size_t values = 0;
    bool in_string = false;
    char *copy = malloc(len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, body, len);
    copy[len] = '\0';
    for (size_t i = 0; i < len; i++) {
        if (copy[i] == '\0') {
            copy[i] = '\x01';
        } else if (copy[i] == '\\' && in_string) {
            if (len - i >= 6 && memcmp(copy + i, "\\u0000", 6) == 0)
                memcpy(copy + i, "\\ufffd", 6);
            i++;
        } else if (copy[i] == '"') {
            in_string = !in_string;
        } else if (!in_string && strchr(",[{", copy[i]) && ++values > VALUES_CAP) {
            free(copy);
            return NULL;
        }
    }
    return copy;
}

static cJSON *parse_body(const char *body, size_t len)
{
    const char *end = NULL;
    char *copy = readable_copy(body, len);
    cJSON *root = copy ? cJSON_ParseWithLengthOpts(copy, len + 1, &end, true) : NULL;
    free(copy);
    return root;
}

/* The server's own words: error.message, error, message or detail; NULL if it has none. */
static const char *server_words(const cJSON *root)
{
    static const char *const KEYS[] = {"error", "message", "detail"};
    const cJSON *error = kds_json_at(root, "error");
    const char *words = kds_json_str(error, "message", NULL);
    for (size_t i = 0; !words && i < sizeof KEYS / sizeof *KEYS; i++)
        words = kds_json_str(root, KEYS[i], NULL);
    return words && *words ? words : NULL;
}

/* Whether error.code or error.type of the body is `what`. */
static bool error_is(const cJSON *root, const char *what)
{
    const cJSON *error = kds_json_at(root, "error");
    return strcmp(kds_json_str(error, "code", ""), what) == 0 ||
           strcmp(kds_json_str(error, "type", ""), what) == 0;
}

/* Servers say it by code or, with status 400, only in words. */
static bool quota_is_spent(const cJSON *root)
{
    const char *words = server_words(root);
    return error_is(root, "insufficient_quota") || error_is(root, "billing_hard_limit_reached") ||
           error_is(root, "insufficient_credits") || error_is(root, "billing_error") ||
           (words && (strcasestr(words, "credit balance is too low") ||
                      strcasestr(words, "exceeded your current quota")));
}

/* The prompt, with room for the reply, is longer than the model's context: llama.cpp, OpenAI and
 * vLLM, SGLang, Anthropic in their own words. */
static bool is_too_long(long status, const cJSON *root)
{
    static const char *const says[] = {"context length", "context size", "context window",
                                       "prompt is too long"};
    const char *words = server_words(root);
    bool found = error_is(root, "exceed_context_size_error") ||
                 error_is(root, "context_length_exceeded") || error_is(root, "request_too_large");
    for (size_t i = 0; words && i < sizeof says / sizeof *says; i++)
        found |= strcasestr(words, says[i]) != NULL;
    return (status == 400 || status == 413 || status == 422) && found;
}

/* Statuses that a later attempt may cure. */
static bool may_pass(long status)
{
    return status == 408 || status == 409 || status == 425 || status == 429 || status >= 500;
}

/* An HTTP status that is not a success. */
static void judge_status(const kds_endpoint *x, long status, const kds_answer *a, const cJSON *root,
                         kds_completion *out)
{
    char words[321], host[200];
    const char *said = server_words(root);
    said =
        said ? excerpt(x, said, strlen(said), 160, words) : excerpt(x, a->body, a->len, 80, words);
    const char *sep = *said ? ": " : "";
    const char *name = x->key_env && *x->key_env ? x->key_env : NULL;
    if (status >= 300 && status < 400) {
        if (a->location)
            kds_location_host(a->location, host, sizeof host);
        say(x, out, KDS_OUTCOME_FATAL,
            "%s redirects (HTTP %ld) to %s; redirects are not followed, give the final URL",
            x->host, status, a->location ? host : "nowhere");
    } else if ((status == 429 || status == 400 || status == 403) && quota_is_spent(root)) {
        say(x, out, KDS_OUTCOME_FATAL,
            "the account's quota is used up (HTTP %ld): top it up or raise its limit, then "
            "resume%s%s",
            status, sep, said);
        out->account = true;
    } else if (may_pass(status)) {
        say(x, out, KDS_OUTCOME_RETRY, "%s answered HTTP %ld%s%s", x->host, status, sep, said);
    } else if (is_too_long(status, root)) {
        say(x, out, KDS_OUTCOME_REFUSED,
            "the prompt is longer than the model's context: tell it with context-tokens, or keep "
            "prompts shorter with prompt-bytes%s%s",
            sep, said);
    } else if (error_is(root, "content_filter")) {
        say(x, out, KDS_OUTCOME_REFUSED, "the server's content filter refused the prompt%s%s", sep,
            said);
    } else if ((status == 401 || status == 403) && name) {
        say(x, out, KDS_OUTCOME_FATAL, "key refused: check $%s (HTTP %ld)%s%s", name, status, sep,
            said);
    } else if (status == 401 || status == 403) {
        say(x, out, KDS_OUTCOME_FATAL,
            "%s wants a key (HTTP %ld): name the variable that holds it with key-env%s%s", x->host,
            status, sep, said);
    } else if (status == 402) {
        say(x, out, KDS_OUTCOME_FATAL, "payment required (HTTP 402): top up the account%s%s", sep,
            said);
    } else if (status == 404) {
        say(x, out, KDS_OUTCOME_FATAL, "no such model or URL: %s, model '%s' (HTTP 404)%s%s",
            x->url, x->model, sep, said);
    } else if (status == 407) {
        say(x, out, KDS_OUTCOME_FATAL, "the proxy wants credentials (HTTP 407)");
    } else {
        say(x, out, KDS_OUTCOME_FATAL, "%s refused the request (HTTP %ld)%s%s", x->host, status,
            sep, said);
    }
    out->account |= status == 401 || status == 402 || status == 403 || status == 404;
}

/* libcurl could not finish the exchange. */
static void judge_transport(const kds_endpoint *x, const kds_answer *a, kds_completion *out)
{
    const char *why =
        a->curl_error && *a->curl_error ? a->curl_error : curl_easy_strerror(a->result);
    switch (a->result) {
    case CURLE_OPERATION_TIMEDOUT:
        if (a->silent)
            say(x, out, KDS_OUTCOME_RETRY, "%s went silent in the middle of its reply (%.4g s)",
                x->host, x->idle_timeout);
        else
            say(x, out, KDS_OUTCOME_RETRY, "no complete reply from %s within %.4g s: %s", x->host,
                a->seconds, why);
        return;
    case CURLE_COULDNT_CONNECT:
        say(x, out, KDS_OUTCOME_RETRY, "cannot connect to %s: %s; is the server running?", x->host,
            why);
        return;
    case CURLE_SSL_CONNECT_ERROR:
        if (strcasestr(why, "reset") || strcasestr(why, "SYSCALL") ||
            strcasestr(why, "timed out")) {
            say(x, out, KDS_OUTCOME_RETRY, "connection to %s lost: %s", x->host, why);
            return;
        }
        /* fallthrough */
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_ENGINE_INITFAILED:
        say(x, out, KDS_OUTCOME_FATAL,
            "no trusted TLS connection to %s: %s; check the URL's scheme and the certificate",
            x->host, why);
        return;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        say(x, out, KDS_OUTCOME_FATAL, "%s: %s", x->host, why);
        return;
    default:
        say(x, out, KDS_OUTCOME_RETRY, "exchange with %s failed: %s", x->host, why);
    }
}

/* A count of tokens that a server names; -1 if it is none. */
static int64_t token_count(const cJSON *usage, const char *key)
{
    double n = kds_json_num(usage, key, -1);
    return n >= 0 && n <= 1e12 ? (int64_t)n : -1;
}

static void take_usage(const kds_endpoint *x, const cJSON *root, kds_completion *out)
{
    static const char *const inputs[] = {"input_tokens", "cache_creation_input_tokens",
                                         "cache_read_input_tokens"};
    const cJSON *usage = kds_json_at(root, "usage");
    out->prompt_tokens = token_count(usage, "prompt_tokens");
    out->completion_tokens = token_count(usage, "completion_tokens");
    if (kds_json_at(usage, "output_tokens")) { /* the messages API */
        out->completion_tokens = token_count(usage, "output_tokens");
        for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
            if (token_count(usage, inputs[i]) >= 0)
                out->prompt_tokens = (out->prompt_tokens > 0 ? out->prompt_tokens : 0) +
                                     token_count(usage, inputs[i]);
    }
    if (out->prompt_tokens > 0)
        out->cost_usd += (double)out->prompt_tokens * x->usd_per_prompt;
    if (out->completion_tokens > 0)
        out->cost_usd += (double)out->completion_tokens * x->usd_per_completion;
}

/* The content: a string, or parts with texts. */
static void take_content(const cJSON *content, kds_buf *text)
{
    const cJSON *part;
    if (cJSON_IsString(content))
        kds_buf_puts(text, content->valuestring);
    else if (cJSON_IsArray(content))
        cJSON_ArrayForEach(part, content) kds_buf_puts(text, kds_json_str(part, "text", ""));
}

/* A reply of the expected form: its content and why it ended, in the words of chat completions. */
static void judge_content(const kds_endpoint *x, const cJSON *content, const char *why,
                          const char *refusal, kds_buf *text, kds_completion *out)
{
    char words[321];
    take_content(content, text);
    kds_secret_scrub(x->key, text);
    if (text->bad == KDS_TOO_LARGE) {
        say(x, out, KDS_OUTCOME_MALFORMED, "the reply's text is longer than %u bytes",
            KDS_REPLY_CAP);
    } else if (text->bad != KDS_OK) {
        say(x, out, KDS_OUTCOME_RETRY, "out of memory while reading a reply");
    } else if (strcmp(why, "content_filter") == 0) {
        say(x, out, KDS_OUTCOME_REFUSED, "the server's content filter stopped the reply");
    } else if (refusal && *refusal) {
        say(x, out, KDS_OUTCOME_REFUSED, "the model refused: %s",
            excerpt(x, refusal, strlen(refusal), 160, words));
    } else if (strcmp(why, "length") == 0) {
        say(x, out, KDS_OUTCOME_LENGTH,
            "the reply was cut off at %s = %lld; raise reply-tokens if this happens often",
            x->token_field && !x->messages ? x->token_field : "max_tokens",
            (long long)x->max_tokens);
    } else if (text->len == 0) {
        say(x, out, KDS_OUTCOME_EMPTY, "the reply has no content (finish_reason '%s')",
            excerpt(x, why, strlen(why), 40, words));
    } else {
        out->outcome = KDS_OUTCOME_OK;
    }
    if (out->outcome == KDS_OUTCOME_OK || out->outcome == KDS_OUTCOME_LENGTH) {
        out->text = text->data;
        out->text_len = text->len;
    }
}

static void judge_choice(const kds_endpoint *x, const cJSON *choice, kds_buf *text,
                         kds_completion *out)
{
    const cJSON *message = kds_json_at(choice, "message");
    judge_content(x, kds_json_at(message, "content"), kds_json_str(choice, "finish_reason", ""),
                  kds_json_str(message, "refusal", NULL), text, out);
}

/* A reply of the messages API. */
static bool is_message(const cJSON *root)
{
    return strcmp(kds_json_str(root, "type", ""), "message") == 0 &&
           cJSON_IsArray(kds_json_at(root, "content"));
}

static void judge_message(const kds_endpoint *x, const cJSON *root, kds_buf *text,
                          kds_completion *out)
{
    const char *why = kds_json_str(root, "stop_reason", "");
    bool refused = strcmp(why, "refusal") == 0;
    judge_content(x, kds_json_at(root, "content"), strcmp(why, "max_tokens") == 0 ? "length" : why,
                  refused ? "stop_reason refusal" : NULL, text, out);
}

/* application/json, text/json, anything/...+json, or nothing said. */
static bool type_is_json(const char *type)
{
    if (!type)
        return true;
    size_t n = strcspn(type, "; \t");
    return (n == 16 && strncasecmp(type, "application/json", 16) == 0) ||
           (n == 9 && strncasecmp(type, "text/json", 9) == 0) ||
           (n > 5 && strncasecmp(type + n - 5, "+json", 5) == 0);
}

/* A success without JSON: what came instead. */
static void judge_other(const kds_endpoint *x, const kds_answer *a, kds_completion *out)
{
    char words[321], type[100];
    const char *start = excerpt(x, a->body, a->len, 80, words);
    if (strcasestr(start, "<html") || strcasestr(start, "<!doctype html") ||
        (a->content_type && strncasecmp(a->content_type, "text/html", 9) == 0))
        say(x, out, KDS_OUTCOME_MALFORMED,
            "%s sent an HTML page, not JSON; is the URL the API's base? It begins: %s", x->host,
            start);
    else if (!type_is_json(a->content_type))
        say(x, out, KDS_OUTCOME_MALFORMED, "%s sent %s, not JSON. It begins: %s", x->host,
            (kds_text_escape_into(type, sizeof type, a->content_type, strlen(a->content_type),
                                  false),
             type),
            start);
    else
        say(x, out, KDS_OUTCOME_MALFORMED, "%s sent %zu bytes that are not the JSON expected: %s",
            x->host, a->len, start);
}

static void judge_success(const kds_endpoint *x, const kds_answer *a, const cJSON *root,
                          kds_buf *text, kds_completion *out)
{
    char words[321];
    const cJSON *error = kds_json_at(root, "error"), *choices = kds_json_at(root, "choices");
    if (!cJSON_IsObject(root) || !type_is_json(a->content_type)) {
        judge_other(x, a, out);
        return;
    }
    take_usage(x, root, out);
    if (cJSON_IsObject(error) || cJSON_IsString(error)) {
        int64_t status = kds_json_int(error, "code", 0);
        if (status >= 300 && status <= 599)
            judge_status(x, (long)status, a, root, out);
        else
            say(x, out, KDS_OUTCOME_MALFORMED, "%s sent an error with HTTP %ld: %s", x->host,
                a->status, excerpt(x, a->body, a->len, 160, words));
        return;
    }
    if (choices && !cJSON_IsArray(choices))
        choices = NULL;
    if (is_message(root))
        judge_message(x, root, text, out);
    else if (!choices)
        judge_other(x, a, out);
    else if (!cJSON_IsObject(choices->child))
        say(x, out, KDS_OUTCOME_EMPTY, "the reply has no choices");
    else
        judge_choice(x, choices->child, text, out);
}

void kds_answer_judge(const kds_endpoint *x, const kds_answer *a, kds_buf *text,
                      kds_completion *out)
{
    out->status = a->status;
    out->raw = a->body;
    out->raw_len = a->len;
    out->seconds = a->seconds;
    out->prompt_tokens = out->completion_tokens = -1;
    out->retry_after = kds_retry_after(a->retry_after, kds_clock_wall_ms() / 1000);
    if (a->too_large && a->status < 300) {
        say(x, out, KDS_OUTCOME_MALFORMED, "%s sent more than %u bytes", x->host, KDS_RAW_CAP);
        return;
    }
    if (a->result != CURLE_OK && a->status < 300) {
        judge_transport(x, a, out);
        return;
    }
    cJSON *root = parse_body(a->body, a->len);
    if (a->status >= 200 && a->status < 300)
        judge_success(x, a, root, text, out);
    else
        judge_status(x, a->status, a, root, out);
    cJSON_Delete(root);
}

void kds_endpoint_reread(const kds_endpoint *x, long status, const char *raw, size_t raw_len,
                         kds_buf *text, kds_completion *out)
{
    kds_answer a = {.result = CURLE_OK, .status = status, .body = raw, .len = raw_len};
    kds_completion c = {.request = 0};
    kds_buf_reset(text);
    kds_answer_judge(x ? x : &NOBODY, &a, text, &c);
    *out = c;
}
