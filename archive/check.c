/* The proof that an archive is whole. Four passes over one snapshot, opened for reading: SQLite's
 * own structure, the chain of events (which are folded into a ledger in memory on the way), the
 * bytes of every object, and the derived tables against the fold. Damage is collected and the walk
 * goes on wherever it can; only a failure of the machine ends it early. */
#include "archive/schema.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBLEMS_MAX 100
#define PROBLEMS_PER_TABLE 10

typedef struct check {
    kds_ledger *file, *memory;
    cJSON *problems;
    int count; /* found, also beyond PROBLEMS_MAX */
    int64_t events, objects, rows;
    bool folded; /* every event so far has been applied */
} check;

static void problem(check *c, const char *fmt, ...) KDS_PRINTF(2, 3);

static void problem(check *c, const char *fmt, ...)
{
    char raw[700];
    kds_err safe;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    if (c->count++ >= PROBLEMS_MAX)
        return;
    kds_code escaped = kds_fail(&safe, KDS_DAMAGED, "%s", raw);
    (void)escaped;
    cJSON_AddItemToArray(c->problems, cJSON_CreateString(safe.message));
}

/* Turns damage into a problem; other failures stay failures. */
static kds_code absorb(check *c, kds_code code, kds_err *from, kds_err *e)
{
    if (code == KDS_DAMAGED || code == KDS_PROTOCOL) {
        problem(c, "%s", from->message);
        return KDS_OK;
    }
    if (code != KDS_OK && e != NULL)
        *e = *from;
    return code;
}

static kds_code check_structure(check *c, kds_err *e)
{
    kds_err err;
    kds_query q = kds_sql_fresh(c->file, "PRAGMA integrity_check(20)");
    while (kds_sql_next(&q)) {
        const char *text = kds_sql_column(&q, 0);
        if (strcmp(text, "ok") != 0)
            problem(c, "campaign.db: %s", text);
    }
    return absorb(c, kds_sql_end(&q, "check campaign.db", &err), &err, e);
}

/* ---- Events ---- */

/* True if the object is there; *code is set if that cannot be found out. */
static bool has_object(check *c, kds_id id, kds_code *code, kds_err *e)
{
    kds_err err;
    unsigned char key[KDS_HASH_SIZE];
    kds_id_bytes(id, key);
    kds_query q = kds_sql_kept(c->file, KDS_SQL_OBJECT_HAS);
    kds_sql_bytes(&q, 1, key, sizeof key);
    bool has = kds_sql_next(&q);
    *code = absorb(c, kds_sql_end(&q, "look for an object", &err), &err, e);
    return has;
}

static kds_code check_references(check *c, const kds_ledger_event *event, kds_err *e)
{
    static const struct {
        const char *kind, *key;
    } references[] = {{"REQUEST", "prompt"}, {"RESPONSE", "reply"}, {"CANDIDATE", "candidate"},
                      {"STAGE", "report"},   {"STAGE", "log"},      {"GUIDANCE", "guidance"}};
    cJSON *body = NULL;
    kds_code code = KDS_OK;
    for (size_t i = 0; code == KDS_OK && i < sizeof references / sizeof *references; i++) {
        kds_id id;
        if (strcmp(event->kind, references[i].kind) != 0)
            continue;
        if (body == NULL && (body = kds_json_parse_record(event->body, event->body_len)) == NULL)
            break; /* the fold has reported it */
        if (!kds_json_id(body, references[i].key, &id) || has_object(c, id, &code, e))
            continue;
        char hex[KDS_ID_HEX];
        kds_id_format(id, hex);
        problem(c, "event %lld (%s): its %s, object %s, is missing", (long long)event->seq,
                event->kind, references[i].key, hex);
    }
    cJSON_Delete(body);
    return code;
}

static kds_code fold_event(check *c, const kds_ledger_event *event, kds_err *e)
{
    kds_err err;
    if (!c->folded)
        return KDS_OK;
    kds_code code = kds_fold(c->memory, event, &err);
    if (code == KDS_OK)
        return KDS_OK;
    c->folded = false;
    return absorb(c, code, &err, e);
}

/* Walks the chain. After a break it goes on from the hash that is stored, so that one changed event
 * is one problem. */
static kds_code check_events(check *c, kds_err *e)
{
    unsigned char previous[KDS_HASH_SIZE] = {0}, hash[KDS_HASH_SIZE], computed[KDS_HASH_SIZE];
    kds_err err;
    kds_code code = KDS_OK;
    kds_query q =
        kds_sql_fresh(c->file, "SELECT seq, time, kind, body, hash FROM events ORDER BY seq");
    for (int64_t expected = 1; code == KDS_OK && kds_sql_next(&q); expected++) {
        kds_ledger_event event;
        code = kds_event_read(&q, &event, hash, &err);
        if (code != KDS_OK) {
            code = absorb(c, code, &err, e);
            c->folded = false;
            continue;
        }
        c->events++;
        if (event.seq != expected) {
            problem(c, "events %lld to %lld are missing", (long long)expected,
                    (long long)event.seq - 1);
            expected = event.seq;
        }
        code = kds_event_hash(c->file, previous, &event, computed, e);
        if (code == KDS_OK && memcmp(hash, computed, sizeof hash) != 0)
            problem(c,
                    "event %lld (%s) does not have its hash: it or the one before it was changed",
                    (long long)event.seq, event.kind);
        memcpy(previous, hash, sizeof previous);
        if (code == KDS_OK)
            code = fold_event(c, &event, e);
        if (code == KDS_OK)
            code = check_references(c, &event, e);
    }
    kds_code ended = kds_sql_end(&q, "read the events", &err);
    if (ended != KDS_OK)
        c->folded = false;
    return code == KDS_OK ? absorb(c, ended, &err, e) : code;
}

/* ---- Objects ---- */

static kds_id id_of_bytes(const unsigned char *p)
{
    kds_id id = {0, 0};
    for (int i = 0; i < 8; i++) {
        id.high = id.high << 8 | p[i];
        id.low = id.low << 8 | p[8 + i];
    }
    return id;
}

static kds_code check_objects(check *c, kds_err *e)
{
    kds_err err;
    kds_code code = KDS_OK;
    kds_query q = kds_sql_fresh(c->file, "SELECT id, size, encoding, data FROM objects");
    while (code == KDS_OK && kds_sql_next(&q)) {
        c->objects++;
        const unsigned char *key = sqlite3_column_blob(q.statement, 0);
        if (key == NULL || sqlite3_column_bytes(q.statement, 0) != KDS_HASH_SIZE) {
            problem(c, "an object has no proper id");
            continue;
        }
        kds_id id = id_of_bytes(key);
        char *data = NULL;
        const void *stored = sqlite3_column_blob(q.statement, 3);
        size_t stored_len = (size_t)sqlite3_column_bytes(q.statement, 3);
        code = absorb(c,
                      kds_object_open(c->file, id, sqlite3_column_int64(q.statement, 1),
                                      sqlite3_column_int64(q.statement, 2), stored, stored_len,
                                      &data, &err),
                      &err, e);
        free(data);
    }
    kds_code ended = kds_sql_end(&q, "read the objects", &err);
    return code == KDS_OK ? absorb(c, ended, &err, e) : code;
}

/* ---- Derived tables ---- */

/* <0, 0, >0 by the order of the key columns, which are integers or texts. */
static int compare_keys(sqlite3_stmt *a, sqlite3_stmt *b, int columns)
{
    for (int i = 0; i < columns; i++) {
        int order = 0;
        if (sqlite3_column_type(a, i) == SQLITE_INTEGER) {
            int64_t x = sqlite3_column_int64(a, i), y = sqlite3_column_int64(b, i);
            order = (x > y) - (x < y);
        } else {
            const unsigned char *x = sqlite3_column_text(a, i), *y = sqlite3_column_text(b, i);
            if (x != NULL && y != NULL)
                order = strcmp((const char *)x, (const char *)y);
        }
        if (order != 0)
            return order;
    }
    return 0;
}

static bool equal_values(sqlite3_stmt *a, sqlite3_stmt *b, int at)
{
    int type = sqlite3_column_type(a, at);
    if (type != sqlite3_column_type(b, at))
        return false;
    if (type == SQLITE_INTEGER)
        return sqlite3_column_int64(a, at) == sqlite3_column_int64(b, at);
    if (type == SQLITE_FLOAT) {
        double x = sqlite3_column_double(a, at), y = sqlite3_column_double(b, at);
        return memcmp(&x, &y, sizeof x) == 0;
    }
    if (type == SQLITE_NULL)
        return true;
    const void *x = sqlite3_column_blob(a, at), *y = sqlite3_column_blob(b, at);
    int len = sqlite3_column_bytes(a, at);
    return len == sqlite3_column_bytes(b, at) && (len == 0 || memcmp(x, y, (size_t)len) == 0);
}

/* "decisions 12", "operators tune/". */
static void describe_row(char *out, size_t size, const kds_derived_table *t, sqlite3_stmt *s)
{
    int at = snprintf(out, size, "%s", t->name);
    for (int i = 0; i < t->key_columns && at > 0 && (size_t)at < size; i++) {
        const unsigned char *text = sqlite3_column_text(s, i);
        at += snprintf(out + at, size - (size_t)at, "%c%.40s", i == 0 ? ' ' : '/',
                       text == NULL ? "NULL" : (const char *)text);
    }
}

static const char *shown(sqlite3_stmt *s, int at)
{
    const unsigned char *text = sqlite3_column_text(s, at);
    return text == NULL ? "NULL" : (const char *)text;
}

/* Reports the first column in which two rows of one key differ. */
static void compare_rows(check *c, const kds_derived_table *t, sqlite3_stmt *stored,
                         sqlite3_stmt *folded)
{
    char row[160];
    for (int i = t->key_columns; i < sqlite3_column_count(folded); i++) {
        if (equal_values(stored, folded, i))
            continue;
        describe_row(row, sizeof row, t, folded);
        problem(c, "%s: %s is '%.60s', but the events give '%.60s'", row,
                sqlite3_column_name(folded, i), shown(stored, i), shown(folded, i));
        return;
    }
}

/* Reports a row that only one side has. */
static void lone_row(check *c, const kds_derived_table *t, sqlite3_stmt *s, bool stored)
{
    char row[160];
    describe_row(row, sizeof row, t, s);
    problem(c, stored ? "%s: the row has no event behind it" : "%s: the row is missing", row);
}

static kds_code compare_table(check *c, const kds_derived_table *t, kds_err *e)
{
    char sql[160];
    kds_err err;
    snprintf(sql, sizeof sql, "SELECT * FROM %s ORDER BY %s", t->name, t->key);
    kds_query stored = kds_sql_fresh(c->file, sql), folded = kds_sql_fresh(c->memory, sql);
    bool a = kds_sql_next(&stored), b = kds_sql_next(&folded);
    int before = c->count;
    if (a && b &&
        sqlite3_column_count(stored.statement) != sqlite3_column_count(folded.statement)) {
        problem(c, "table %s does not have its columns", t->name);
        a = b = false;
    }
    /* Where reading the stored side fails, its rows are not missing: the failure is reported. */
    while ((a || (b && stored.rc == SQLITE_DONE)) && c->count - before < PROBLEMS_PER_TABLE) {
        int order = !a   ? 1
                    : !b ? -1
                         : compare_keys(stored.statement, folded.statement, t->key_columns);
        if (order == 0)
            compare_rows(c, t, stored.statement, folded.statement);
        else
            lone_row(c, t, order < 0 ? stored.statement : folded.statement, order < 0);
        c->rows += order <= 0;
        if (order <= 0)
            a = kds_sql_next(&stored);
        if (order >= 0)
            b = kds_sql_next(&folded);
    }
    kds_code code = absorb(c, kds_sql_end(&stored, "read a derived table", &err), &err, e);
    kds_code ended = kds_sql_end(&folded, "read a folded table", code == KDS_OK ? e : NULL);
    return code == KDS_OK ? ended : code;
}

static kds_code check_tables(check *c, kds_err *e)
{
    kds_code code = KDS_OK;
    if (!c->folded) {
        problem(c, "the derived tables cannot be compared, because not every event can be applied");
        return KDS_OK;
    }
    for (const kds_derived_table *t = kds_schema_derived(); code == KDS_OK && t->name != NULL; t++)
        code = compare_table(c, t, e);
    return code;
}

/* All passes, over one snapshot. */
static kds_code check_all(check *c, kds_err *e)
{
    kds_code code = kds_ledger_memory(&c->memory, e);
    if (code == KDS_OK)
        code = kds_ledger_begin(c->memory, e);
    if (code == KDS_OK)
        code = kds_ledger_begin(c->file, e);
    if (code == KDS_OK)
        code = check_structure(c, e);
    if (code == KDS_OK)
        code = check_events(c, e);
    if (code == KDS_OK)
        code = check_objects(c, e);
    if (code == KDS_OK)
        code = check_tables(c, e);
    return code;
}

kds_code kds_ledger_check(const char *dir, cJSON **report, kds_err *e)
{
    check c = {.folded = true};
    kds_err err;
    cJSON *out = cJSON_CreateObject();
    c.problems = cJSON_AddArrayToObject(out, "problems");
    kds_code code = KDS_OK;
    if (c.problems == NULL) {
        code = kds_fail(e, KDS_NO_MEMORY, "%s: out of memory for a report", dir);
        goto out;
    }
    code = kds_ledger_open_to_check(&c.file, dir, &err);
    code = code == KDS_OK ? check_all(&c, e) : absorb(&c, code, &err, e);
    if (code != KDS_OK)
        goto out;
    if (!kds_json_add_int(out, "events", c.events) ||
        !kds_json_add_int(out, "objects", c.objects) || !kds_json_add_int(out, "rows", c.rows)) {
        code = kds_fail(e, KDS_NO_MEMORY, "%s: out of memory for a report", dir);
        goto out;
    }
    if (c.count > 0) {
        const char *first = cJSON_GetStringValue(cJSON_GetArrayItem(c.problems, 0));
        code =
            kds_fail(e, KDS_DAMAGED,
                     "%s is damaged (%d problem%s): %s. What can be read is still there: copy the "
                     "folder before anything else writes to it (`kdasearch check %s --json` lists "
                     "every problem)",
                     dir, c.count, c.count == 1 ? "" : "s", first == NULL ? "" : first, dir);
    }
    *report = out;
    out = NULL;
out:
    kds_ledger_close(c.file);
    kds_ledger_close(c.memory);
    cJSON_Delete(out);
    return code;
}
