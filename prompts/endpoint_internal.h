/* What the files of the endpoint client share. */
#ifndef KDS_PROMPTS_ENDPOINT_INTERNAL_H
#define KDS_PROMPTS_ENDPOINT_INTERNAL_H

#include "prompts/endpoint.h"
#include "prompts/secret.h"
#include <curl/curl.h>

#define KDS_RAW_CAP (16u << 20)

/* One request in flight. */
typedef struct kds_transfer {
    kds_endpoint *owner;
    uint64_t request;
    CURL *easy;
    kds_buf raw;
    double started, last_byte; /* last_byte: 0 until the body has begun */
    bool silent;               /* ended by us: the idle timeout */
    char error[CURL_ERROR_SIZE];
    struct kds_transfer *next;
} kds_transfer;

struct kds_endpoint {
    bool curl_ready; /* curl_global_init is counted by libcurl; each endpoint holds one count */
    CURLM *multi;
    char *url;     /* with /chat/completions; no credentials */
    char *host;    /* with port, for messages */
    bool messages; /* Anthropic's API */
    char *model, *key_env, *token_field, *reasoning;
    cJSON *extra; /* NULL for none */
    bool direct;  /* no proxy: a loopback host, or a key over plain http */
    kds_secret *key;
    struct curl_slist *headers;
    double temperature;
    int64_t max_tokens;
    double connect_timeout, idle_timeout, total_timeout;
    double usd_per_prompt, usd_per_completion; /* of one token */
    kds_transfer *transfers;
    int in_flight;
    kds_endpoint *next; /* joined behind this one */
    bool joined;        /* the multi handle is the first one's */
};

/* What came back, before it is judged. Strings may be NULL. */
typedef struct kds_answer {
    CURLcode result;
    const char *curl_error;
    bool silent;
    double seconds;
    long status;
    const char *content_type, *location, *retry_after;
    const char *body; /* scrubbed; NUL-terminated */
    size_t len;
    bool too_large;
} kds_answer;

/* Judges an answer: fills everything of `out` but request and seconds; `text` gets the content. */
void kds_answer_judge(const kds_endpoint *x, const kds_answer *a, kds_buf *text,
                      kds_completion *out);

typedef struct kds_endpoint_url {
    char *full, *host; /* owned by the caller */
    bool loopback, secure;
} kds_endpoint_url;
KDS_MUST_USE kds_code kds_endpoint_url_read(kds_endpoint_url *out, const char *base, bool messages,
                                            kds_err *e);
/* The host that a Location header points to; "the same host" if it is relative. */
void kds_location_host(const char *location, char *out, size_t size);

#endif
