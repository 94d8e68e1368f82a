/* Events: appending one (with its effect, in one transaction) and reading them back. Each row's
 * hash is the XXH3-128 of the previous row's hash, seq, time (both 8 bytes, little-endian), the
 * kind with its NUL and the body; the first has sixteen zero bytes before it. The effect is always
 * computed from the text that is stored, never from the caller's tree, so that a later fold sees
 * exactly what this one saw. */
#include "archive/sql.h"
#include "search/base/clock.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static void add_little_endian(kds_buf *b, int64_t value)
{
    for (int i = 0; i < 8; i++)
        kds_buf_putc(b, (char)((uint64_t)value >> (8 * i)));
}

kds_code kds_event_hash(kds_ledger *l, const unsigned char previous[KDS_HASH_SIZE],
                        const kds_ledger_event *event, unsigned char out[KDS_HASH_SIZE], kds_err *e)
{
    kds_buf *b = &l->scratch;
    kds_buf_reset(b);
    kds_buf_add(b, previous, KDS_HASH_SIZE);
    add_little_endian(b, event->seq);
    add_little_endian(b, event->time_ms);
    kds_buf_add(b, event->kind, strlen(event->kind) + 1);
    kds_buf_add(b, event->body, event->body_len);
    kds_code code = kds_buf_check(b, "an event", e);
    if (code == KDS_OK)
        kds_id_bytes(kds_id_of(b->data, b->len), out);
    return code;
}

kds_code kds_event_read(kds_query *q, kds_ledger_event *out, unsigned char hash[KDS_HASH_SIZE],
                        kds_err *e)
{
    sqlite3_stmt *s = q->statement;
    int64_t seq = sqlite3_column_int64(s, 0);
    const char *kind = (const char *)sqlite3_column_text(s, 2);
    const char *body = (const char *)sqlite3_column_text(s, 3);
    const void *stored = sqlite3_column_blob(s, 4);
    if (kind == NULL || body == NULL || stored == NULL ||
        sqlite3_column_bytes(s, 4) != KDS_HASH_SIZE ||
        (size_t)sqlite3_column_bytes(s, 2) != strlen(kind) ||
        sqlite3_column_bytes(s, 3) > (int)KDS_BODY_CAP)
        return kds_ledger_damaged(q->ledger, e, "event %lld cannot be read", (long long)seq);
    memcpy(hash, stored, KDS_HASH_SIZE);
    *out = (kds_ledger_event){.seq = seq,
                              .time_ms = sqlite3_column_int64(s, 1),
                              .kind = kind,
                              .body = body,
                              .body_len = (size_t)sqlite3_column_bytes(s, 3)};
    return KDS_OK;
}

static bool is_kind(const char *kind)
{
    size_t len = strlen(kind);
    for (size_t i = 0; i < len; i++)
        if (!isupper((unsigned char)kind[i]) && kind[i] != '_')
            return false;
    return len > 0 && len <= 32;
}

static kds_code write_event(kds_ledger *l, const kds_ledger_event *event, kds_err *e)
{
    unsigned char hash[KDS_HASH_SIZE];
    kds_code code = kds_event_hash(l, l->last_hash, event, hash, e);
    if (code != KDS_OK)
        return code;
    kds_query q = kds_sql_kept(l, KDS_SQL_EVENT_ADD);
    kds_sql_int(&q, 1, event->seq);
    kds_sql_int(&q, 2, event->time_ms);
    kds_sql_text(&q, 3, event->kind);
    kds_sql_text(&q, 4, event->body);
    kds_sql_bytes(&q, 5, hash, sizeof hash);
    code = kds_sql_run(&q, NULL, "append an event", e);
    if (code != KDS_OK)
        return code;
    l->last_seq = event->seq;
    memcpy(l->last_hash, hash, sizeof hash);
    return kds_fold(l, event, e);
}

kds_code kds_ledger_append_text(kds_ledger *l, const char *kind, const char *body, size_t len,
                                int64_t *seq, kds_err *e)
{
    bool own = false;
    if (!l->may_write)
        return kds_fail(e, KDS_FAILED, "%s was opened for reading only", l->dir);
    kds_code code = KDS_OK;
    if (!is_kind(kind))
        code = kds_fail(e, KDS_PROTOCOL, "an event (%s) needs a kind in capitals", kind);
    else if (len > KDS_BODY_CAP)
        code = kds_fail(e, KDS_TOO_LARGE, "an event (%s) of %zu bytes is larger than %u", kind, len,
                        KDS_BODY_CAP);
    if (code != KDS_OK) {
        kds_ledger_rollback(l);
        return code;
    }
    code = kds_step_begin(l, &own, e);
    if (code != KDS_OK)
        return code;
    kds_ledger_event event = {.seq = l->last_seq + 1,
                              .time_ms = kds_clock_wall_ms(),
                              .kind = kind,
                              .body = body,
                              .body_len = len};
    code = write_event(l, &event, e);
    code = kds_step_end(l, own, code, e);
    if (code == KDS_OK && seq != NULL)
        *seq = event.seq;
    return code;
}

kds_code kds_ledger_append(kds_ledger *l, const char *kind, const cJSON *body, int64_t *seq,
                           kds_err *e)
{
    if (!l->may_write)
        return kds_fail(e, KDS_FAILED, "%s was opened for reading only", l->dir);
    if (!is_kind(kind) || !cJSON_IsObject(body)) {
        kds_ledger_rollback(l);
        return kds_fail(e, KDS_PROTOCOL, "an event (%s) needs a kind in capitals and an object",
                        kind);
    }
    char *text = kds_json_print(body);
    if (text == NULL) {
        kds_ledger_rollback(l);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory for an event");
    }
    kds_code code = kds_ledger_append_text(l, kind, text, strlen(text), seq, e);
    free(text);
    return code;
}

/* The hash of event `seq`; zeroes for seq 0. */
static kds_code hash_of(kds_ledger *l, int64_t seq, unsigned char out[KDS_HASH_SIZE], kds_err *e)
{
    memset(out, 0, KDS_HASH_SIZE);
    if (seq == 0)
        return KDS_OK;
    kds_query q = kds_sql_fresh(l, "SELECT seq, time, kind, body, hash FROM events WHERE seq = ?1");
    kds_ledger_event event;
    kds_code code = KDS_OK;
    kds_sql_int(&q, 1, seq);
    if (kds_sql_next(&q))
        code = kds_event_read(&q, &event, out, e);
    else if (q.rc == SQLITE_DONE)
        code = kds_ledger_damaged(l, e, "event %lld is missing", (long long)seq);
    kds_code ended = kds_sql_end(&q, "read an event", code == KDS_OK ? e : NULL);
    return code == KDS_OK ? ended : code;
}

/* Verifies the chain on the way, so that nobody acts on an event that is not what was written. */
kds_code kds_ledger_each_event(kds_ledger *l, int64_t from, kds_ledger_event_fn *fn, void *user,
                               kds_err *e)
{
    unsigned char previous[KDS_HASH_SIZE], hash[KDS_HASH_SIZE], computed[KDS_HASH_SIZE];
    int64_t expected = from < 1 ? 1 : from;
    if (expected > kds_ledger_last_seq(l))
        return KDS_OK;
    kds_code code = hash_of(l, expected - 1, previous, e);
    if (code != KDS_OK)
        return code;
    kds_query q = kds_sql_fresh(
        l, "SELECT seq, time, kind, body, hash FROM events WHERE seq >= ?1 ORDER BY seq");
    kds_sql_int(&q, 1, expected);
    while (code == KDS_OK && kds_sql_next(&q)) {
        kds_ledger_event event;
        code = kds_event_read(&q, &event, hash, e);
        if (code == KDS_OK && event.seq != expected)
            code = kds_ledger_damaged(l, e, "event %lld is missing", (long long)expected);
        if (code == KDS_OK)
            code = kds_event_hash(l, previous, &event, computed, e);
        if (code == KDS_OK && memcmp(hash, computed, sizeof hash) != 0)
            code =
                kds_ledger_damaged(l, e, "event %lld does not have its hash", (long long)event.seq);
        if (code == KDS_OK)
            code = fn(user, &event, e);
        memcpy(previous, hash, sizeof previous);
        expected++;
    }
    kds_code ended = kds_sql_end(&q, "read the events", code == KDS_OK ? e : NULL);
    return code == KDS_OK ? ended : code;
}

int64_t kds_ledger_last_seq(kds_ledger *l)
{
    if (l->may_write)
        return l->last_seq;
    kds_query q = kds_sql_fresh(l, "SELECT max(seq) FROM events");
    int64_t seq = kds_sql_next(&q) ? sqlite3_column_int64(q.statement, 0) : 0;
    kds_code ignored = kds_sql_end(&q, "read the events", NULL);
    (void)ignored;
    return seq;
}
