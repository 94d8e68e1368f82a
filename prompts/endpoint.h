/* The endpoint client: OpenAI-compatible chat completions over libcurl multi, many requests in
 * flight on one thread. One submit is one HTTP request; retrying is the caller's (each attempt is
 * recorded before it is sent). The key is read from the environment variable named in the
 * configuration, held in memory that is wiped, sent only to the configured host, and never part of
 * any text that this module returns. */
#ifndef KDS_PROMPTS_ENDPOINT_H
#define KDS_PROMPTS_ENDPOINT_H

#include "search/base/json.h"
#include <poll.h>

typedef struct kds_endpoint kds_endpoint;

typedef struct kds_endpoint_options {
    const char *url; /* base ("http://127.0.0.1:8000/v1"); "/chat/completions" is appended */
    const char *model;
    const char *key_env; /* name of the variable; NULL or "" for no key */
    double temperature;  /* negative: not sent */
    int64_t max_tokens;
    const char *token_field; /* "max_tokens" or "max_completion_tokens" */
    double connect_timeout, idle_timeout, total_timeout; /* seconds */
    double usd_per_million_prompt, usd_per_million_completion;
} kds_endpoint_options;

/* KDS_INVALID: not an http(s) URL, credentials in the URL, key variable unset or empty (named). */
KDS_MUST_USE kds_code kds_endpoint_create(kds_endpoint **out, const kds_endpoint_options *o,
                                          kds_err *e);
void kds_endpoint_free(kds_endpoint *x);

/* The body that a request will carry: what is recorded (it holds no key). Owned by the caller
 * (free()). */
char *kds_endpoint_body(const kds_endpoint *x, const char *system, const char *user);

typedef enum kds_outcome {
    KDS_OUTCOME_OK,
    KDS_OUTCOME_LENGTH,    /* finish_reason=length: the text is cut off */
    KDS_OUTCOME_REFUSED,   /* content filter, refusal */
    KDS_OUTCOME_EMPTY,     /* no choices or no content */
    KDS_OUTCOME_MALFORMED, /* not the JSON expected, HTML, too large */
    KDS_OUTCOME_RETRY,     /* 408, 409, 425, 429, 5xx, connection refused or reset, timeout */
    KDS_OUTCOME_FATAL /* 400, 401, 402, 403, 404, exhausted quota, TLS failure, redirect: retrying
                         cannot help */
} kds_outcome;
const char *kds_outcome_name(kds_outcome o);

typedef struct kds_completion {
    uint64_t request;
    kds_outcome outcome;
    long status; /* HTTP; 0 if none arrived */
    const char
        *raw; /* the raw body as received, capped at 16 MiB; record it before anything else */
    size_t raw_len;
    const char *text; /* the content; NULL unless OK or LENGTH */
    size_t text_len;
    int64_t prompt_tokens, completion_tokens; /* as the server says; -1 if it does not */
    double cost_usd;
    double seconds;
    double
        retry_after;   /* seconds from the Retry-After header (seconds or date); negative if none */
    char message[400]; /* what went wrong and what to do; free of secrets, escaped */
} kds_completion;
typedef void kds_completion_fn(void *user, const kds_completion *c);

/* Starts request number `request` with a body from kds_endpoint_body. */
KDS_MUST_USE kds_code kds_endpoint_submit(kds_endpoint *x, uint64_t request, const char *body,
                                          kds_err *e);
int kds_endpoint_in_flight(const kds_endpoint *x);
void kds_endpoint_cancel_all(kds_endpoint *x);
/* Waits at most timeout_ms for sockets or for any of `fds` (poll's format; revents are filled in),
 * then completes transfers, calling fn for each that ended. `x` may be NULL: then it is poll(). */
KDS_MUST_USE kds_code kds_endpoint_wait(kds_endpoint *x, struct pollfd *fds, int count,
                                        int timeout_ms, kds_completion_fn *fn, void *user,
                                        kds_err *e);

/* Full-jitter delay before attempt `attempt` (1 = first retry): uniform in [0, min(cap, base *
 * 2^attempt)) by `unit` in [0,1), or Retry-After if that is given (at most `cap`, at least as long
 * as the server said). Source: "Exponential Backoff And Jitter", AWS Architecture Blog. */
double kds_retry_delay(int attempt, double retry_after, double unit);

#endif
