/* A chat endpoint on the loopback interface for tests: answers POST /v1/chat/completions and
 * /v1/messages as a script says, well or badly, and keeps an account of what it was asked and what
 * it charged. In process (this header) or as the program `chat_server` (chat_server_main.c). */
#ifndef KDS_TESTS_CHAT_SERVER_H
#define KDS_TESTS_CHAT_SERVER_H

#include "search/base/buf.h"
#include "search/base/id.h"

/* X(name in scripts and journal, transient): a transient fault may be gone at the next attempt. */
#define CHAT_ANSWERS(X)                                                                            \
    X(OK, ok, false)                                                                               \
    X(STATUS, status, true)          /* `status`, `retry_after`, body `text` */                    \
    X(REDIRECT, redirect, false)     /* `status` (302), Location `text` */                         \
    X(MALFORMED, malformed, false)   /* JSON that breaks off, with a right length */               \
    X(HTML, html, false)             /* a page with status 200 */                                  \
    X(NO_CHOICES, no_choices, false) /* "choices": [] */                                           \
    X(NO_CONTENT, no_content, false) /* "content": null */                                         \
    X(LENGTH, length, false)         /* half of the text, finish_reason length */                  \
    X(CONTENT_FILTER, content_filter, false)                                                       \
    X(REFUSAL, refusal, false)                                                                     \
    X(CLOSE_BEFORE, close_before, true) /* the connection closed without an answer */              \
    X(CLOSE_MIDDLE, close_middle, true) /* closed after half of the body */                        \
    X(DRIP, drip, true)                 /* one byte every `delay_ms` */                            \
    X(STALL, stall, true)               /* half of the body, then silence */                       \
    X(HUGE, huge, false)                /* `bytes` of text, default 10 MB */                       \
    X(BAD_UTF8, bad_utf8, false)        /* raw bytes that are no UTF-8 in the content */           \
    X(ECHO_KEY, echo_key, false)        /* the Authorization header repeated everywhere */         \
    X(RESET_BEFORE, reset_before, true) /* the connection reset when the work was done */          \
    X(RESET_MIDDLE, reset_middle, true) /* reset after half of the body */                         \
    X(NO_USAGE, no_usage, false)        /* a good answer that names no tokens (chat) */

typedef enum chat_answer {
#define CHAT_X(upper, lower, transient) CHAT_##upper,
    CHAT_ANSWERS(CHAT_X)
#undef CHAT_X
        CHAT_ANSWER_COUNT
} chat_answer;

const char *chat_answer_name(chat_answer a);

/* What a good text is made of. */
typedef enum chat_mode {
    CHAT_MODE_EDIT,   /* SEARCH/REPLACE edits that rotate the values of tunables of the parent */
    CHAT_MODE_SOURCE, /* the parent's source in a fence, with a comment put first */
    CHAT_MODE_FIXED,  /* `text` */
    CHAT_MODE_MODEL   /* what a model might say: mostly real edits, some of no use */
} chat_mode;

typedef struct chat_step {
    chat_answer answer;
    chat_mode mode;
    int status;              /* STATUS, REDIRECT; ECHO_KEY: 0 for 200 */
    const char *retry_after; /* header as it is, or "date+5", "date-60": an HTTP date from now */
    const char *text;        /* FIXED: the reply; else the first answer where guidance is asked for;
                                STATUS: the body; REDIRECT: the Location */
    const char *type;        /* Content-Type; NULL: the right one */
    int delay_ms;            /* before the answer; DRIP: between bytes */
    int64_t bytes;
    double weight; /* in odds */
    int repeat;    /* in steps; 0 is 1 */
    bool passing;  /* a transient fault, whatever the answer */
} chat_step;

/* Borrowed while the server runs. */
typedef struct chat_script {
    uint64_t seed;
    /* False: the n-th request gets the n-th step (the last one for ever), or draws from the odds by
     * n. True: the answer depends only on seed, body and how often this body was seen: the k-th
     * time, the k-th step; with odds, whether it is a transient fault depends on k, which final
     * answer it gets at last does not. */
    bool by_body;
    bool odds; /* `steps` are weighted alternatives */
    const chat_step *steps;
    int step_count;      /* 0: ok, mode edit */
    const char *journal; /* appended to; NULL for none */
    /* Every body is appended to this file; the journal says where it is, and by one more line for
     * each request how much of it was sent. NULL for none. */
    const char *replies;
    const char *key; /* requests without it get 401; NULL: any */
    int port;        /* 0: a free one */
} chat_script;

typedef struct chat_counts {
    uint64_t requests, ok, faults, unauthorised;
    int64_t prompt_tokens, completion_tokens; /* charged */
    int most_at_once;
} chat_counts;

typedef struct chat_server chat_server;
KDS_MUST_USE kds_code chat_server_start(chat_server **out, const chat_script *script, kds_err *e);
int chat_server_port(const chat_server *s);
chat_counts chat_server_counts(chat_server *s);
/* Copies the last request as it came: body, and the headers as "Name: value" lines. */
void chat_server_last(chat_server *s, kds_buf *body, kds_buf *headers);
/* Ends all connections, also those that wait. NULL is accepted. */
void chat_server_stop(chat_server *s);

/* A script from a JSON file: seed, reply_by ("order", "body"), journal, key, port, and steps[] or
 * odds[] of {answer, mode, status, retry_after, text, file (text from a file), type, delay_ms,
 * bytes, weight, repeat, passing}; an answer may also be a status ("429"). */
typedef struct chat_script_file chat_script_file;
KDS_MUST_USE kds_code chat_script_load(chat_script_file **out, const char *path, kds_err *e);
chat_script *chat_script_get(chat_script_file *f);
void chat_script_free(chat_script_file *f);

/* The parts below are shared by the server's own files. */

/* The step for a request. `hash` is of the body, `seen` counts from 1. */
const chat_step *chat_script_choose(const chat_script *s, uint64_t number, uint64_t hash,
                                    uint64_t seen);
bool chat_answer_is_transient(const chat_step *step);
/* A request that is to be answered. */
typedef struct chat_request {
    uint64_t number;
    const char *body;
    size_t len;
    const char *authorization;
    bool messages; /* of /v1/messages */
    uint64_t seed;
} chat_request;
/* Writes the body of an answer and what it charges; returns the HTTP status, 0 if there is none. */
int chat_body(kds_buf *out, const chat_request *r, const chat_step *step, int64_t *prompt,
              int64_t *completion);
void chat_error_body(kds_buf *out, uint64_t number, int status, const char *message);
/* The text that a model would give to the request `body`, a pure function of seed and body. */
void chat_text(kds_buf *out, const chat_step *step, const char *body, size_t len, uint64_t seed);
/* The same of CHAT_MODE_MODEL: edits of `source`, drawn by `hash`. */
void chat_model_text(kds_buf *out, const char *source, size_t len, uint64_t seed, uint64_t hash);

#endif
