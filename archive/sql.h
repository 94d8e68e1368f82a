/* Shared by the files of archive/ only: the ledger's inside, and queries as a builder with a sticky
 * error that is checked once, at the end. */
#ifndef KDS_ARCHIVE_SQL_H
#define KDS_ARCHIVE_SQL_H

#include "archive/ledger.h"
#include "archive/lock.h"
#include "archive/statements.h"
#include <sqlite3.h>

#define KDS_APPLICATION_ID 0x4b445341 /* "KDSA" */
#define KDS_OBJECT_CAP (64u << 20)    /* bytes of one object */
#define KDS_BODY_CAP (16u << 20)      /* bytes of one event body */
#define KDS_HASH_SIZE 16

#define KDS_OBJECTS_KEPT 64          /* of a writer's last ones, one for each end of an id */
#define KDS_OBJECT_KEPT (256u << 10) /* bytes; larger ones are read again */

/* An object as it was stored or read. */
typedef struct kds_kept_object {
    kds_id id;
    char *data; /* NULL: none */
    size_t len;
} kds_kept_object;

struct kds_ledger {
    sqlite3 *db;
    char *dir;      /* as given, for messages; NULL in memory */
    kds_lock *lock; /* NULL unless opened for writing */
    bool may_write; /* a writer, or in memory */
    bool checking;  /* read by `check`: damage is described, not referred to it */
    /* Writers only: the newest event and its hash, and both as of the last commit. */
    int64_t last_seq, durable_seq;
    unsigned char last_hash[KDS_HASH_SIZE], durable_hash[KDS_HASH_SIZE];
    sqlite3_stmt *kept[KDS_SQL_COUNT];
    struct ZSTD_CCtx_s *compressor; /* made on first use */
    struct ZSTD_DCtx_s *decompressor;
    kds_kept_object objects[KDS_OBJECTS_KEPT];
    kds_buf scratch;
};

typedef struct kds_query {
    kds_ledger *ledger;
    sqlite3_stmt *statement;
    int rc;
    bool kept; /* else finalised at the end */
} kds_query;

/* A kept statement, or a fresh one where a callback may come back into the ledger. */
kds_query kds_sql_kept(kds_ledger *l, kds_statement which);
kds_query kds_sql_fresh(kds_ledger *l, const char *sql);
/* Values are borrowed until kds_sql_end. NULL text, NULL bytes and NaN are bound as NULL. */
void kds_sql_int(kds_query *q, int at, int64_t value);
void kds_sql_real(kds_query *q, int at, double value);
void kds_sql_text(kds_query *q, int at, const char *value);
void kds_sql_bytes(kds_query *q, int at, const void *data, size_t len);
/* True while there is a row; also runs what has no rows. */
bool kds_sql_next(kds_query *q);
/* Ends the query: KDS_OK, or what went wrong while trying to `what` ("append an event"). */
KDS_MUST_USE kds_code kds_sql_end(kds_query *q, const char *what, kds_err *e);
/* Runs to the end and ends; *changed (may be NULL) gets the number of rows changed. */
KDS_MUST_USE kds_code kds_sql_run(kds_query *q, int *changed, const char *what, kds_err *e);
KDS_MUST_USE kds_code kds_sql_exec(kds_ledger *l, const char *sql, const char *what, kds_err *e);
/* A column as text; "" for NULL. Valid until the next step. */
const char *kds_sql_column(kds_query *q, int at);

/* Opens for reading without looking at any event. */
KDS_MUST_USE kds_code kds_ledger_open_to_check(kds_ledger **out, const char *dir, kds_err *e);

/* The error of a SQLite result code: full disk and I/O errors are KDS_IO, corruption is
 * KDS_DAMAGED, a row that contradicts an earlier one KDS_PROTOCOL. */
kds_code kds_sql_fail(kds_ledger *l, int rc, const char *what, kds_err *e);
/* KDS_DAMAGED with the text and the command to run next. */
kds_code kds_ledger_damaged(const kds_ledger *l, kds_err *e, const char *fmt, ...) KDS_PRINTF(3, 4);

/* Brackets one write: joins the transaction that is open or makes its own. A write that failed
 * rolls the whole transaction back, whoever began it, so that nothing is ever half done. */
KDS_MUST_USE kds_code kds_step_begin(kds_ledger *l, bool *own, kds_err *e);
KDS_MUST_USE kds_code kds_step_end(kds_ledger *l, bool own, kds_code code, kds_err *e);

/* Canonical bytes of an id, as in the objects table and the hash chain. */
void kds_id_bytes(kds_id id, unsigned char out[KDS_HASH_SIZE]);
/* The link of the chain: hash of the previous link and an event. Needs memory for a copy. */
KDS_MUST_USE kds_code kds_event_hash(kds_ledger *l, const unsigned char previous[KDS_HASH_SIZE],
                                     const kds_ledger_event *event,
                                     unsigned char out[KDS_HASH_SIZE], kds_err *e);
/* Reads an event from the columns seq, time, kind, body, hash (0 to 4) of a row. */
KDS_MUST_USE kds_code kds_event_read(kds_query *q, kds_ledger_event *out,
                                     unsigned char hash[KDS_HASH_SIZE], kds_err *e);
/* Applies an event to the derived tables inside the transaction that is open. KDS_PROTOCOL: it is
 * malformed, or cannot follow the events before it. */
KDS_MUST_USE kds_code kds_fold(kds_ledger *l, const kds_ledger_event *event, kds_err *e);
/* What is not stored after all must not be read either. */
void kds_objects_forget(kds_ledger *l);
/* Checks an object's stored form; *data (owned by the caller) has a NUL beyond its end. */
KDS_MUST_USE kds_code kds_object_open(kds_ledger *l, kds_id id, int64_t size, int64_t encoding,
                                      const void *stored, size_t stored_len, char **data,
                                      kds_err *e);

#endif
