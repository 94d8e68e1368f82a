/* Queries over SQLite. A query remembers its first bad result code; later steps are no-ops, and
 * kds_sql_end reports it once. Kept statements are reset there, so that none holds a read
 * transaction open. */
#include "archive/sql.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const texts[] = {
#define KDS_X(name, sql) sql,
    KDS_STATEMENTS(KDS_X)
#undef KDS_X
};

kds_query kds_sql_fresh(kds_ledger *l, const char *sql)
{
    kds_query q = {.ledger = l};
    q.rc = sqlite3_prepare_v2(l->db, sql, -1, &q.statement, NULL);
    return q;
}

kds_query kds_sql_kept(kds_ledger *l, kds_statement which)
{
    kds_query q = {.ledger = l, .kept = true};
    if (l->kept[which] == NULL)
        q.rc = sqlite3_prepare_v3(l->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT,
                                  &l->kept[which], NULL);
    q.statement = l->kept[which];
    return q;
}

void kds_sql_int(kds_query *q, int at, int64_t value)
{
    if (q->rc == SQLITE_OK)
        q->rc = sqlite3_bind_int64(q->statement, at, value);
}

void kds_sql_real(kds_query *q, int at, double value)
{
    if (q->rc == SQLITE_OK)
        q->rc = isfinite(value) ? sqlite3_bind_double(q->statement, at, value)
                                : sqlite3_bind_null(q->statement, at);
}

void kds_sql_text(kds_query *q, int at, const char *value)
{
    if (q->rc == SQLITE_OK)
        q->rc = sqlite3_bind_text64(q->statement, at, value, value == NULL ? 0 : strlen(value),
                                    SQLITE_STATIC, SQLITE_UTF8);
}

void kds_sql_bytes(kds_query *q, int at, const void *data, size_t len)
{
    if (q->rc == SQLITE_OK)
        q->rc = sqlite3_bind_blob64(q->statement, at, data, len, SQLITE_STATIC);
}

bool kds_sql_next(kds_query *q)
{
    if (q->rc != SQLITE_OK && q->rc != SQLITE_ROW)
        return false;
    errno = 0; /* a failing COMMIT tells its reason nowhere else */
    q->rc = sqlite3_step(q->statement);
    return q->rc == SQLITE_ROW;
}

kds_code kds_sql_end(kds_query *q, const char *what, kds_err *e)
{
    kds_code code = KDS_OK;
    if (q->rc != SQLITE_OK && q->rc != SQLITE_ROW && q->rc != SQLITE_DONE)
        code = kds_sql_fail(q->ledger, q->rc, what, e);
    if (q->kept && q->statement != NULL) { /* NULL: it could not be prepared, for damage */
        sqlite3_reset(q->statement);
        sqlite3_clear_bindings(q->statement);
    } else {
        sqlite3_finalize(q->statement);
    }
    q->statement = NULL;
    return code;
}

kds_code kds_sql_run(kds_query *q, int *changed, const char *what, kds_err *e)
{
    while (kds_sql_next(q)) {
    }
    if (changed != NULL)
        *changed = sqlite3_changes(q->ledger->db);
    return kds_sql_end(q, what, e);
}

kds_code kds_sql_exec(kds_ledger *l, const char *sql, const char *what, kds_err *e)
{
    kds_query q = kds_sql_fresh(l, sql);
    return kds_sql_run(&q, NULL, what, e);
}

const char *kds_sql_column(kds_query *q, int at)
{
    const unsigned char *text = sqlite3_column_text(q->statement, at);
    return text == NULL ? "" : (const char *)text;
}

kds_code kds_ledger_damaged(const kds_ledger *l, kds_err *e, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (l->dir == NULL || l->checking)
        return kds_fail(e, KDS_DAMAGED, "%s", text);
    return kds_fail(e, KDS_DAMAGED,
                    "%s: the archive is damaged: %s; `kdasearch check %s` lists what is affected",
                    l->dir, text, l->dir);
}

kds_code kds_sql_fail(kds_ledger *l, int rc, const char *what, kds_err *e)
{
    int saved = errno;
    const char *dir = l->dir == NULL ? "ledger in memory" : l->dir;
    const char *why = l->db == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(l->db);
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return kds_fail(
            e, KDS_IO, "%s: cannot %s: the disk is full; nothing was lost: make room and try again",
            dir, what);
    case SQLITE_NOMEM:
        return kds_fail(e, KDS_NO_MEMORY, "%s: cannot %s: out of memory", dir, what);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return kds_fail(e, KDS_LOCKED, "%s: cannot %s: another process holds the database (%s)",
                        dir, what, why);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
    case SQLITE_FORMAT:
    case SQLITE_ERROR: /* of statements that are right: the tables are not ours */
        return kds_ledger_damaged(l, e, "cannot %s: %s", what, why);
    case SQLITE_CONSTRAINT: /* an event contradicts an earlier one */
        return kds_fail(e, KDS_PROTOCOL, "cannot %s: %s", what, why);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL: {
        /* ENOENT is left by SQLite's looking for files that need not be there. */
        int number = l->db == NULL ? 0 : sqlite3_system_errno(l->db);
        if (saved != 0 && saved != ENOENT)
            number = saved;
        const char *system = number > 0 ? strerrordesc_np(number) : NULL;
        return kds_err_set(e, KDS_IO, number, KDS_HERE, "%s: cannot %s: %s%s%s", dir, what, why,
                           system == NULL ? "" : ": ", system == NULL ? "" : system);
    }
    default:
        return kds_fail(e, KDS_FAILED, "%s: cannot %s: %s (SQLite code %d)", dir, what, why, rc);
    }
}
