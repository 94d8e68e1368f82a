/* Bringing the accounts together. A reply carries the number of its request, so a recorded reply is
 * matched by its own bytes; where none was recorded, the prompt tells which requests may be it. */
#include "tests/overnight/account.h"

#include "search/base/file.h"
#include "tests/cli/cli_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_CAP (1u << 30)
#define LOST_MS 10000   /* a campaign that has little of the machine takes a reply late */
#define NOTICED_MS 1000 /* an end is noticed late */

/* One request as the server saw it. */
typedef struct served {
    int64_t number;
    kds_id prompt;
    int step, status;
    int64_t prompt_tokens, completion_tokens, at, bytes;
    bool whole; /* all of the answer was handed to the kernel */
    int64_t ended_ms;
    bool taken;
} served;

/* One request as the archive has it. */
typedef struct call {
    int64_t request;
    kds_id prompt, reply;
    bool has_reply;
    int status;
    char outcome[16];
    int64_t prompt_tokens, completion_tokens;
    double cost, reserved;
    const served *match;
} call;

typedef struct books {
    served *served;
    call *calls;
    int64_t served_count, served_room, call_count, call_room;
    char *replies;
    size_t replies_len;
    kds_ledger *ledger;
} books;

static void *grown(void *items, int64_t count, int64_t *room, size_t size)
{
    if (count < *room)
        return items;
    *room = *room ? 2 * *room : 1024;
    void *more = realloc(items, (size_t)*room * size);
    assert_non_null(more);
    return more;
}

static served *served_by_number(books *b, int64_t number)
{
    /* They are written in their order, nearly. */
    for (int64_t i = 0; i < b->served_count; i++)
        if (b->served[i].number == number)
            return &b->served[i];
    return NULL;
}

static void read_line(books *b, const cJSON *line)
{
    int64_t ended = kds_json_int(line, "ended", -1);
    if (ended >= 0) {
        served *s = served_by_number(b, ended);
        assert_non_null(s);
        s->whole =
            kds_json_bool(line, "whole", false) && kds_json_int(line, "sent", -1) == s->bytes;
        s->ended_ms = kds_json_int(line, "time_ms", 0);
        return;
    }
    b->served = grown(b->served, b->served_count, &b->served_room, sizeof *b->served);
    served *s = &b->served[b->served_count++];
    *s = (served){.number = kds_json_int(line, "request", -1),
                  .step = (int)kds_json_int(line, "step", -1),
                  .status = (int)kds_json_int(line, "status", -1),
                  .prompt_tokens = kds_json_int(line, "prompt_tokens", -1),
                  .completion_tokens = kds_json_int(line, "completion_tokens", -1),
                  .at = kds_json_int(line, "at", -1),
                  .bytes = kds_json_int(line, "bytes", -1)};
    assert_true(kds_json_id(line, "body", &s->prompt));
    assert_in_range(s->step, 0, ACCOUNT_STEPS - 1);
    assert_true(s->at >= 0 && s->bytes >= 0 && (size_t)(s->at + s->bytes) <= b->replies_len);
}

static void read_journal(books *b, const char *journal, const char *replies)
{
    kds_buf text;
    kds_buf_init(&text, FILE_CAP);
    b->replies = cli_read(replies, &b->replies_len);
    assert_non_null(b->replies);
    assert_int_equal(kds_file_read(journal, &text, NULL), KDS_OK);
    for (char *p = text.data, *end; (end = strchr(p, '\n')); p = end + 1) {
        cJSON *line = kds_json_parse_record(p, (size_t)(end - p));
        assert_non_null(line);
        read_line(b, line);
        cJSON_Delete(line);
    }
    kds_buf_free(&text);
}

static kds_code read_call(void *user, const cJSON *row, kds_err *e)
{
    books *b = user;
    (void)e;
    b->calls = grown(b->calls, b->call_count, &b->call_room, sizeof *b->calls);
    call *c = &b->calls[b->call_count++];
    *c = (call){.request = kds_json_int(row, "request", -1),
                .status = (int)kds_json_int(row, "status", -1),
                .prompt_tokens = kds_json_int(row, "prompt_tokens", -1),
                .completion_tokens = kds_json_int(row, "completion_tokens", -1),
                .cost = kds_json_num(row, "cost_usd", NAN),
                .reserved = kds_json_num(row, "reserved_usd", NAN)};
    snprintf(c->outcome, sizeof c->outcome, "%s", kds_json_str(row, "outcome", ""));
    c->has_reply = kds_json_id(row, "reply", &c->reply);
    if (!kds_json_id(row, "prompt", &c->prompt) || !c->outcome[0])
        fail_msg("request %lld has no prompt or no end", (long long)c->request);
    return KDS_OK;
}

static void read_archive(books *b, const char *archive)
{
    kds_err e = {0};
    if (kds_ledger_open(&b->ledger, archive, KDS_LEDGER_READ, &e) != KDS_OK ||
        kds_ledger_select(b->ledger, "SELECT * FROM calls ORDER BY request", NULL, read_call, b,
                          &e) != KDS_OK)
        fail_msg("%s", e.message);
}

/* The number that a reply carries; -1 if it broke off before, or has none. */
static int64_t number_in(const char *raw, size_t len)
{
    static const char *const MARKS[] = {"\"id\":\"chat-", "<!-- "};
    for (int i = 0; i < 2; i++) {
        const char *at = memmem(raw, len, MARKS[i], strlen(MARKS[i]));
        char *end = NULL;
        if (!at)
            continue;
        long long number = strtoll(at + strlen(MARKS[i]), &end, 10);
        if (end < raw + len && (*end == '"' || *end == ' '))
            return number;
    }
    return -1;
}

static bool begins_with(const books *b, const served *s, const char *raw, size_t len)
{
    return (int64_t)len <= s->bytes && memcmp(b->replies + s->at, raw, len) == 0;
}

/* Finds whose answer a recorded reply is, byte for byte. */
static void match_reply(books *b, call *c)
{
    char *raw = NULL;
    size_t len = 0;
    assert_int_equal(kds_ledger_get(b->ledger, c->reply, &raw, &len, NULL), KDS_OK);
    int64_t number = number_in(raw, len);
    served *found = number >= 0 ? served_by_number(b, number) : NULL;
    for (int64_t i = 0; number < 0 && !found && i < b->served_count; i++) {
        served *s = &b->served[i];
        if (!s->taken && kds_id_equal(s->prompt, c->prompt) && s->status == c->status &&
            begins_with(b, s, raw, len))
            found = s;
    }
    if (!found || !kds_id_equal(found->prompt, c->prompt))
        fail_msg("request %lld has a reply that the server did not give", (long long)c->request);
    if (found->taken)
        fail_msg("the server's answer %lld counts twice, at last for request %lld",
                 (long long)found->number, (long long)c->request);
    if (!begins_with(b, found, raw, len))
        fail_msg("the reply of request %lld is not the server's answer %lld", (long long)c->request,
                 (long long)found->number);
    if ((int64_t)len != found->bytes && strcmp(c->outcome, "retry") != 0)
        fail_msg("request %lld ended '%s' with a part of its reply", (long long)c->request,
                 c->outcome);
    found->taken = true;
    c->match = found;
    free(raw);
}

/* What the server answered without a reply in the archive: a call of the same prompt that failed
 * with this status, or one that was lost. */
static call *find_call(books *b, const served *s)
{
    call *lost = NULL;
    for (int64_t i = 0; i < b->call_count; i++) {
        call *c = &b->calls[i];
        if (c->match || c->has_reply || !kds_id_equal(c->prompt, s->prompt))
            continue;
        bool is_lost = strcmp(c->outcome, "lost") == 0;
        if (!is_lost && (c->status == s->status || c->status == 0))
            return c;
        if (is_lost && !lost)
            lost = c;
    }
    return lost;
}

static void match_all(books *b)
{
    for (int64_t i = 0; i < b->call_count; i++)
        if (b->calls[i].has_reply)
            match_reply(b, &b->calls[i]);
    for (int64_t i = 0; i < b->served_count; i++) {
        served *s = &b->served[i];
        if (s->taken)
            continue;
        call *c = find_call(b, s);
        if (!c)
            fail_msg(
                "the server's answer %lld (step %d, status %d, %lld bytes) is lost: no call of "
                "the archive can have got it",
                (long long)s->number, s->step, s->status, (long long)s->bytes);
        s->taken = true;
        c->match = s;
    }
}

static double price(int64_t prompt, int64_t completion)
{
    return ((double)prompt * PRICE_PROMPT + (double)completion * PRICE_COMPLETION) / 1e6;
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * (1 + fabs(b));
}

/* One call in both accounts. */
static account_end settle(account *a, const call *c)
{
    const served *s = c->match;
    bool lost = strcmp(c->outcome, "lost") == 0;
    double charged = s ? price(s->prompt_tokens, s->completion_tokens) : 0;
    a->failed += strcmp(c->outcome, "ok") != 0 && strcmp(c->outcome, "length") != 0;
    if (c->cost + 1e-12 < charged)
        fail_msg("request %lld may have cost %.6f USD, the archive says %.6f",
                 (long long)c->request, charged, c->cost);
    if (!s && !lost && c->status != 0)
        fail_msg("request %lld was answered with %d, but the server did not see it",
                 (long long)c->request, c->status);
    bool errors = c->status >= 300; /* nothing was done and nothing is charged */
    if (c->prompt_tokens >= 0 || errors) {
        a->prompt += c->prompt_tokens > 0 ? c->prompt_tokens : 0;
        a->completion += c->completion_tokens > 0 ? c->completion_tokens : 0;
        a->cost += c->cost;
        if (!s || !near(c->cost, charged) ||
            (!errors && (c->prompt_tokens != s->prompt_tokens ||
                         c->completion_tokens != s->completion_tokens)))
            fail_msg("request %lld: the server charged %lld + %lld tokens, the archive counts %lld "
                     "+ %lld",
                     (long long)c->request, s ? (long long)s->prompt_tokens : -1,
                     s ? (long long)s->completion_tokens : -1, (long long)c->prompt_tokens,
                     (long long)c->completion_tokens);
        return ACCOUNT_SETTLED;
    }
    a->reserved += c->cost;
    a->unsettled_prompt += s ? s->prompt_tokens : 0;
    a->unsettled_completion += s ? s->completion_tokens : 0;
    if (!near(c->cost, c->reserved))
        fail_msg("request %lld is not known to have cost less than was reserved (%.6f USD), but "
                 "counts as %.6f",
                 (long long)c->request, c->reserved, c->cost);
    return !s ? ACCOUNT_UNSENT : lost ? ACCOUNT_LOST : ACCOUNT_UNKNOWN;
}

/* How long before the next end of a process a reply that is lost had been sent. */
static void check_lost(account *a, const call *c, const int64_t *ends, int64_t end_count)
{
    int64_t least = INT64_MAX;
    if (strcmp(c->outcome, "lost") != 0 || !c->match || !c->match->whole)
        return;
    for (int64_t i = 0; i < end_count; i++) {
        int64_t ms = ends[i] - c->match->ended_ms;
        least = ms >= -NOTICED_MS && ms < least ? ms : least;
    }
    a->whole_lost++;
    a->longest_ms = least > a->longest_ms ? least : a->longest_ms;
    if (least > LOST_MS)
        fail_msg(
            "the reply of request %lld was there %lld ms before the campaign ended, but is lost",
            (long long)c->request, (long long)least);
}

void account_settle(account *out, const char *journal, const char *replies, const char *archive,
                    const int64_t *ends, int64_t end_count)
{
    books b = {0};
    account a = {0};
    read_journal(&b, journal, replies);
    read_archive(&b, archive);
    match_all(&b);
    a.received = b.served_count;
    a.requests = b.call_count;
    for (int64_t i = 0; i < b.call_count; i++) {
        a.ends[settle(&a, &b.calls[i])]++;
        check_lost(&a, &b.calls[i], ends, end_count);
    }
    for (int64_t i = 0; i < b.served_count; i++)
        a.steps[b.served[i].step]++;
    kds_ledger_close(b.ledger);
    free(b.served);
    free(b.calls);
    free(b.replies);
    *out = a;
}
