/* The endpoint client: OpenAI-compatible chat completions, or Anthropic's messages, over libcurl
 * multi, many requests in flight on one thread. One submit is one HTTP request; retrying is the
 * caller's (each attempt is recorded before it is sent). The key is read from the environment
 * variable named in the configuration, held in memory that is wiped, sent only to the configured
 * host, and never part of any text that this module returns. */
#ifndef KDS_PROMPTS_ENDPOINT_H
#define KDS_PROMPTS_ENDPOINT_H

#include "search/base/json.h"
#include <poll.h>

typedef struct kds_endpoint kds_endpoint;

typedef struct kds_endpoint_options {
    const char *url; /* base ("http://127.0.0.1:8000/v1"); "/chat/completions", or "/messages", is
                        appended */
    const char *api; /* "chat" or "messages"; NULL for chat */
    const char *model;
    const char *key_env; /* name of the variable; NULL or "" for no key */
    double temperature;  /* negative: not sent */
    int64_t max_tokens;
    const char *token_field; /* chat: "max_tokens" or "max_completion_tokens" */
    const char *reasoning;   /* chat: sent as "reasoning_effort"; NULL or "" not to */
    /* A JSON object whose keys are put into every request over ours, a null taking ours out; NULL
     * or
     * "" for none. */
    const char *extra;
    /* Seconds; 0 for 10, 60 and 600. Idle is the longest silence once the reply's body has begun: a
     * server that does not stream is silent while the model thinks, which only `total` bounds. */
    double connect_timeout, idle_timeout, total_timeout;
    double usd_per_million_prompt, usd_per_million_completion;
} kds_endpoint_options;

/* KDS_INVALID: not an http(s) URL, credentials or a query in the URL, no model, key variable unset
 * or empty (named), extra that is no object or changes model, prompt or streaming, messages without
 * max_tokens. What is appended to the URL is not appended twice. Proxy variables are honoured as
 * libcurl does, but never for a loopback host, nor for a key that would travel in plain http. */
KDS_MUST_USE kds_code kds_endpoint_create(kds_endpoint **out, const kds_endpoint_options *o,
                                          kds_err *e);
void kds_endpoint_free(kds_endpoint *x);

/* Puts `x` behind `first`: they are waited for, counted and freed together, through the first. Each
 * keeps its own URL, key and limits. Neither may have requests in flight. */
void kds_endpoint_join(kds_endpoint *first, kds_endpoint *x);
/* The i-th of those joined (0: the first itself); NULL beyond the last. */
kds_endpoint *kds_endpoint_at(kds_endpoint *first, int i);

/* "chat" or "messages": how its requests and replies are written. */
const char *kds_endpoint_api(const kds_endpoint *x);

/* The body that a request will carry: what is recorded (it holds no key). Owned by the caller
 * (free()). */
char *kds_endpoint_body(const kds_endpoint *x, const char *system, const char *user);

typedef enum kds_outcome {
    KDS_OUTCOME_OK,
    KDS_OUTCOME_LENGTH,    /* finish_reason=length: the text is cut off */
    KDS_OUTCOME_REFUSED,   /* content filter, refusal, prompt longer than the context */
    KDS_OUTCOME_EMPTY,     /* no choices or no content */
    KDS_OUTCOME_MALFORMED, /* not the JSON expected, HTML, too large */
    KDS_OUTCOME_RETRY,     /* 408, 409, 425, 429, 5xx, connection refused or reset, timeout */
    KDS_OUTCOME_FATAL, /* 400, 401, 402, 403, 404, exhausted quota, TLS failure, redirect: retrying
                          cannot help */
    KDS_OUTCOME_LOST /* nobody waits for it any more; the caller's own, the client never says so */
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
    double cost_usd; /* of the tokens that the server named; 0 if it named none */
    bool account;    /* FATAL: of the account or the key, not of this request */
    bool sent; /* it left this machine: the server may have worked on it, whatever came back */
    double seconds;
    double
        retry_after;   /* seconds from the Retry-After header (seconds or date); negative if none */
    char message[400]; /* what went wrong and what to do; free of secrets, escaped */
} kds_completion;
typedef void kds_completion_fn(void *user, const kds_completion *c);

/* Judges a recorded reply again, as it was judged when it came (HTTP status and raw body): for a
 * campaign that was interrupted between the record of a reply and its use. `text` gets the content;
 * out->raw and out->text are borrowed from `raw` and `text`. `x` may be NULL (then nothing is
 * scrubbed or priced). */
void kds_endpoint_reread(const kds_endpoint *x, long status, const char *raw, size_t raw_len,
                         kds_buf *text, kds_completion *out);

/* Starts request number `request` with a body from kds_endpoint_body. One submit is at most one
 * request on the wire: connections are not reused, so libcurl never sends a request a second time.
 */
KDS_MUST_USE kds_code kds_endpoint_submit(kds_endpoint *x, uint64_t request, const char *body,
                                          kds_err *e);
/* Of all that are joined. */
int kds_endpoint_in_flight(const kds_endpoint *x);
/* Drops all requests in flight, of all that are joined; their completions are never delivered. */
void kds_endpoint_cancel_all(kds_endpoint *x);
/* Waits at most timeout_ms for sockets or for any of `fds` (poll's format; revents are filled in),
 * then completes transfers, calling fn for each that ended. `x` may be NULL: then it is poll(). A
 * negative timeout_ms waits without limit. fn may submit and cancel, but not free `x`. */
KDS_MUST_USE kds_code kds_endpoint_wait(kds_endpoint *x, struct pollfd *fds, int count,
                                        int timeout_ms, kds_completion_fn *fn, void *user,
                                        kds_err *e);

#define KDS_RETRY_BASE 0.5        /* seconds */
#define KDS_RETRY_CAP 60.0        /* of our own delays */
#define KDS_RETRY_AFTER_CAP 600.0 /* of what a server may ask for */

/* Seconds that a Retry-After header asks for (a number, or an HTTP date compared with `now`,
 * seconds since 1970): a past date is 0, what is beyond KDS_RETRY_AFTER_CAP is cut to it; -1 for
 * NULL, negative or unreadable values. */
double kds_retry_after(const char *value, int64_t now);

/* Full-jitter delay before attempt `attempt` (1 = first retry): uniform in [0, min(KDS_RETRY_CAP,
 * KDS_RETRY_BASE * 2^attempt)) by `unit` in [0,1); or retry_after if that is not negative, plus up
 * to KDS_RETRY_BASE so that waiters do not all return at once, at most KDS_RETRY_AFTER_CAP. Source:
 * "Exponential Backoff And Jitter", AWS Architecture Blog. */
double kds_retry_delay(int attempt, double retry_after, double unit);

#endif
