/* The HTTP side of the scripted chat endpoint: one thread per connection, every wait interruptible,
 * the account written to the journal before an answer is sent. */
#include "tests/tools/chat_server.h"
#include "search/base/clock.h"
#include "search/base/json.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BODY_CAP (8u << 20)
#define STALL_MS 60000

typedef struct seen_body {
    kds_id id;
    uint64_t count; /* 0: free slot */
} seen_body;

struct chat_server {
    chat_script script;
    struct MHD_Daemon *daemon;
    int port, journal, replies;
    int64_t replies_len;
    pthread_mutex_t lock;
    pthread_cond_t stop_signal;
    bool stopping;
    chat_counts counts;
    int at_once;
    seen_body *seen; /* open addressing, a power of two */
    size_t seen_room, seen_used;
    kds_buf last_body, last_headers;
};

/* One request while it is received and answered. */
typedef struct exchange {
    chat_server *server;
    kds_buf body, headers;
    const char *authorization; /* or of /v1/messages the key */
    bool messages;
    uint64_t number;
    int64_t sent; /* bytes of the answer's body */
} exchange;

/* A body that is sent in pieces. */
typedef struct stream {
    chat_server *server;
    kds_buf data;
    int64_t *sent;  /* of its exchange */
    size_t stop_at; /* where something goes wrong */
    bool stall;
    int reset;    /* the socket whose connection is reset there; -1: it is closed */
    int delay_ms; /* between bytes, 0 for none */
} stream;

/* Waits, but no longer than the server runs. */
static void wait_ms(chat_server *s, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&s->lock);
    while (!s->stopping &&
           pthread_cond_clockwait(&s->stop_signal, &s->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
    pthread_mutex_unlock(&s->lock);
}

static bool grow_seen(chat_server *s)
{
    size_t room = s->seen_room ? 2 * s->seen_room : 1024;
    seen_body *bigger = calloc(room, sizeof *bigger);
    if (!bigger)
        return false;
    for (size_t i = 0; i < s->seen_room; i++) {
        if (s->seen[i].count == 0)
            continue;
        size_t at = s->seen[i].id.low & (room - 1);
        while (bigger[at].count > 0)
            at = (at + 1) & (room - 1);
        bigger[at] = s->seen[i];
    }
    free(s->seen);
    s->seen = bigger;
    s->seen_room = room;
    return true;
}

/* How often this body has come, this time included. */
static uint64_t count_body(chat_server *s, kds_id id)
{
    if (2 * s->seen_used >= s->seen_room && !grow_seen(s))
        return 1;
    size_t at = id.low & (s->seen_room - 1);
    while (s->seen[at].count > 0 && !kds_id_equal(s->seen[at].id, id))
        at = (at + 1) & (s->seen_room - 1);
    s->seen_used += s->seen[at].count == 0;
    s->seen[at].id = id;
    return ++s->seen[at].count;
}

static void write_line(int fd, const char *line, int len)
{
    if (write(fd, line, (size_t)len) != len)
        abort();
}

/* What is about to be sent, by which step of the script, and what it costs. */
static void write_journal(chat_server *s, uint64_t number, kds_id body, uint64_t seen,
                          const chat_step *step, int status, int64_t prompt, int64_t completion,
                          const kds_buf *reply)
{
    char line[400], hex[KDS_ID_HEX];
    if (s->journal < 0)
        return;
    kds_id_format(body, hex);
    int at = -1;
    for (int i = 0; i < s->script.step_count; i++)
        at = step == &s->script.steps[i] ? i : at;
    int n = snprintf(line, sizeof line,
                     "{\"request\":%llu,\"body\":\"%s\",\"seen\":%llu,\"step\":%d,"
                     "\"answer\":\"%s\",\"status\":%d,\"prompt_tokens\":%lld,"
                     "\"completion_tokens\":%lld,\"at\":%lld,\"bytes\":%zu}\n",
                     (unsigned long long)number, hex, (unsigned long long)seen, at,
                     chat_answer_name(step->answer), status, (long long)prompt,
                     (long long)completion, (long long)s->replies_len, reply->len);
    if (s->replies >= 0) {
        write_line(s->replies, reply->data, (int)reply->len);
        s->replies_len += (int64_t)reply->len;
    }
    write_line(s->journal, line, n);
}

/* How it went. */
static void write_end(chat_server *s, const exchange *x, bool whole)
{
    char line[120];
    if (s->journal < 0 || s->replies < 0 || x->number == 0)
        return;
    int n = snprintf(line, sizeof line,
                     "{\"ended\":%llu,\"whole\":%s,\"sent\":%lld,\"time_ms\":%lld}\n",
                     (unsigned long long)x->number, whole ? "true" : "false", (long long)x->sent,
                     (long long)kds_clock_wall_ms());
    write_line(s->journal, line, n);
}

/* Ends a connection as a machine does that went away: with a reset. */
static void reset_connection(int fd)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    (void)connect(fd, &none, sizeof none);
}

static int socket_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

/* Sends the next piece; the place where something goes wrong comes before the end. */
static ssize_t next_piece(void *user, uint64_t at, char *out, size_t max)
{
    stream *t = user;
    if (at >= t->stop_at && t->stop_at < t->data.len) {
        if (t->stall)
            wait_ms(t->server, STALL_MS);
        if (t->reset >= 0) {
            wait_ms(t->server, 20); /* for what was sent to get there */
            reset_connection(t->reset);
        }
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (t->delay_ms > 0)
        wait_ms(t->server, t->delay_ms);
    size_t n = t->delay_ms > 0 ? 1 : t->stop_at - (size_t)at;
    n = n < max ? n : max;
    memcpy(out, t->data.data + at, n);
    *t->sent = (int64_t)(at + n);
    return (ssize_t)n;
}

static void free_stream(void *user)
{
    stream *t = user;
    kds_buf_free(&t->data);
    free(t);
}

/* Takes the body's memory. */
static struct MHD_Response *make_response(exchange *x, struct MHD_Connection *c, kds_buf *body,
                                          const chat_step *step)
{
    stream *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->server = x->server;
    t->sent = &x->sent;
    t->data = *body;
    kds_buf_init(body, BODY_CAP);
    t->stop_at = t->data.len;
    if (step->answer == CHAT_CLOSE_MIDDLE || step->answer == CHAT_STALL ||
        step->answer == CHAT_RESET_MIDDLE)
        t->stop_at /= 2;
    t->reset = step->answer == CHAT_RESET_MIDDLE ? socket_of(c) : -1;
    t->stall = step->answer == CHAT_STALL;
    t->delay_ms = step->answer == CHAT_DRIP ? step->delay_ms : 0;
    size_t len = t->data.len;
    return MHD_create_response_from_callback(len, 16384, next_piece, t, free_stream);
}

/* "date+5", "date-60": an HTTP date that many seconds from now; anything else stays as it is. */
static void add_retry_after(struct MHD_Response *r, const char *value)
{
    char date[64];
    if (strncmp(value, "date", 4) == 0) {
        time_t when = time(NULL) + strtol(value + 4, NULL, 10);
        struct tm tm;
        gmtime_r(&when, &tm);
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        value = date;
    }
    MHD_add_response_header(r, "Retry-After", value);
}

static enum MHD_Result send_body(exchange *x, struct MHD_Connection *c, const chat_step *step,
                                 int status, kds_buf *body)
{
    bool html = step->answer == CHAT_HTML || (step->text && body->data[0] == '<');
    const char *type = html ? "text/html; charset=utf-8" : "application/json";
    if (step->type)
        type = step->type;
    struct MHD_Response *r = make_response(x, c, body, step);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Type", type);
    if (step->retry_after)
        add_retry_after(r, step->retry_after);
    if (step->answer == CHAT_REDIRECT && step->text)
        MHD_add_response_header(r, "Location", step->text);
    enum MHD_Result ok = MHD_queue_response(c, (unsigned)status, r);
    MHD_destroy_response(r);
    return ok;
}

/* Whether a request may pass; sets the status and the error body if it may not. */
static int refuse(const exchange *x, const char *method, const char *url, kds_buf *body)
{
    char want[600];
    const char *key = x->server->script.key;
    snprintf(want, sizeof want, "%s%s", x->messages ? "" : "Bearer ", key ? key : "");
    if (strcmp(method, "POST") != 0 || (strcmp(url, "/v1/chat/completions") != 0 && !x->messages)) {
        chat_error_body(body, x->number, 404, "there is only POST /v1/chat/completions");
        return 404;
    }
    if (x->body.bad != KDS_OK) {
        chat_error_body(body, x->number, 413, "the request is too large");
        return 413;
    }
    if (key && (!x->authorization || strcmp(x->authorization, want) != 0)) {
        chat_error_body(body, x->number, 401, "wrong key");
        return 401;
    }
    return 0;
}

/* Counts the request, chooses its answer and writes it down; the answer itself goes out
 * afterwards. */
static enum MHD_Result answer(exchange *x, struct MHD_Connection *c, const char *method,
                              const char *url)
{
    static const chat_step REFUSED = {.answer = CHAT_STATUS};
    chat_server *s = x->server;
    const chat_step *step = &REFUSED;
    int64_t prompt = 0, completion = 0;
    kds_buf body;
    kds_buf_init(&body, 96u << 20);
    kds_id id = kds_id_of(x->body.data, x->body.len);
    pthread_mutex_lock(&s->lock);
    x->number = ++s->counts.requests;
    uint64_t seen = count_body(s, id);
    int status = refuse(x, method, url, &body);
    s->counts.unauthorised += status == 401;
    s->at_once++;
    if (s->at_once > s->counts.most_at_once)
        s->counts.most_at_once = s->at_once;
    kds_buf_reset(&s->last_body);
    kds_buf_add(&s->last_body, x->body.data, x->body.len);
    kds_buf_reset(&s->last_headers);
    kds_buf_add(&s->last_headers, x->headers.data, x->headers.len);
    if (status == 0) {
        uint64_t hash = kds_hash64(x->body.data, x->body.len, s->script.seed);
        step = chat_script_choose(&s->script, x->number, hash, seen);
    }
    pthread_mutex_unlock(&s->lock);
    const chat_request request = {.number = x->number,
                                  .body = x->body.data,
                                  .len = x->body.len,
                                  .authorization = x->authorization,
                                  .messages = x->messages,
                                  .seed = s->script.seed};
    if (status == 0)
        status = chat_body(&body, &request, step, &prompt, &completion);
    pthread_mutex_lock(&s->lock);
    s->counts.ok += step->answer == CHAT_OK;
    s->counts.faults += step->answer != CHAT_OK;
    s->counts.prompt_tokens += prompt;
    s->counts.completion_tokens += completion;
    write_journal(s, x->number, id, seen, step, status, prompt, completion, &body);
    pthread_mutex_unlock(&s->lock);
    if (step->delay_ms > 0 && step->answer != CHAT_DRIP)
        wait_ms(s, step->delay_ms);
    bool none = step->answer == CHAT_CLOSE_BEFORE || step->answer == CHAT_RESET_BEFORE;
    if (step->answer == CHAT_RESET_BEFORE)
        reset_connection(socket_of(c));
    enum MHD_Result ok = none ? MHD_NO : send_body(x, c, step, status, &body);
    pthread_mutex_lock(&s->lock);
    s->at_once--;
    pthread_mutex_unlock(&s->lock);
    kds_buf_free(&body);
    return ok;
}

static enum MHD_Result keep_header(void *user, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    (void)kind;
    kds_buf_printf(user, "%s: %s\n", name, value ? value : "");
    return MHD_YES;
}

static enum MHD_Result handle(void *user, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state)
{
    exchange *x = *state;
    (void)version;
    if (!x) {
        x = calloc(1, sizeof *x);
        if (!x)
            return MHD_NO;
        x->server = user;
        kds_buf_init(&x->body, BODY_CAP);
        kds_buf_init(&x->headers, 1u << 16);
        MHD_get_connection_values(c, MHD_HEADER_KIND, keep_header, &x->headers);
        x->messages = strcmp(url, "/v1/messages") == 0;
        x->authorization = MHD_lookup_connection_value(c, MHD_HEADER_KIND,
                                                       x->messages ? "x-api-key" : "Authorization");
        *state = x;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        kds_buf_add(&x->body, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    return answer(x, c, method, url);
}

static void ended(void *user, struct MHD_Connection *c, void **state,
                  enum MHD_RequestTerminationCode why)
{
    exchange *x = *state;
    chat_server *s = user;
    (void)c;
    if (!x)
        return;
    pthread_mutex_lock(&s->lock);
    write_end(s, x, why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    pthread_mutex_unlock(&s->lock);
    kds_buf_free(&x->body);
    kds_buf_free(&x->headers);
    free(x);
    *state = NULL;
}

/* Opens a file of the account; none if `path` is NULL. */
static kds_code open_account(int *fd, const char *path, kds_err *e)
{
    *fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    if (path && *fd < 0)
        return kds_fail_errno(e, KDS_IO, "cannot open the journal %s", path);
    return KDS_OK;
}

kds_code chat_server_start(chat_server **out, const chat_script *script, kds_err *e)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)script->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    chat_server *s = calloc(1, sizeof *s);
    if (!s)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    s->script = *script;
    s->journal = s->replies = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->stop_signal, NULL);
    kds_buf_init(&s->last_body, BODY_CAP);
    kds_buf_init(&s->last_headers, 1u << 16);
    kds_code code = open_account(&s->journal, script->journal, e);
    if (code == KDS_OK)
        code = open_account(&s->replies, script->replies, e);
    if (code != KDS_OK)
        goto out;
    s->daemon = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                                     MHD_USE_POLL,
                                 0, NULL, NULL, handle, s, MHD_OPTION_SOCK_ADDR, &address,
                                 MHD_OPTION_NOTIFY_COMPLETED, ended, s, MHD_OPTION_END);
    if (!s->daemon) {
        code = kds_fail_errno(e, KDS_FAILED, "cannot listen on 127.0.0.1:%d", script->port);
        goto out;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
    s->port = info ? info->port : 0;
    *out = s;
    s = NULL;
out:
    chat_server_stop(s);
    return code;
}

int chat_server_port(const chat_server *s)
{
    return s->port;
}

chat_counts chat_server_counts(chat_server *s)
{
    pthread_mutex_lock(&s->lock);
    chat_counts c = s->counts;
    pthread_mutex_unlock(&s->lock);
    return c;
}

void chat_server_last(chat_server *s, kds_buf *body, kds_buf *headers)
{
    pthread_mutex_lock(&s->lock);
    kds_buf_reset(body);
    kds_buf_add(body, s->last_body.data, s->last_body.len);
    kds_buf_reset(headers);
    kds_buf_add(headers, s->last_headers.data, s->last_headers.len);
    pthread_mutex_unlock(&s->lock);
}

void chat_server_stop(chat_server *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->stop_signal);
    pthread_mutex_unlock(&s->lock);
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    if (s->journal >= 0)
        close(s->journal);
    if (s->replies >= 0)
        close(s->replies);
    pthread_cond_destroy(&s->stop_signal);
    pthread_mutex_destroy(&s->lock);
    kds_buf_free(&s->last_body);
    kds_buf_free(&s->last_headers);
    free(s->seen);
    free(s);
}
