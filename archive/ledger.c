/* Opening, creating and closing a ledger, and its transactions. A campaign.db comes into being
 * under another name and is renamed when it is whole, so a kill while creating leaves no archive at
 * all. The database is never opened or read beside SQLite: closing such a descriptor would drop the
 * locks that this process holds on the file through other ledgers. */
#include "archive/schema.h"
#include "search/base/file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define HEADER_SIZE 100 /* of a SQLite database file */

static kds_code new_ledger(kds_ledger **out, const char *dir, kds_err *e)
{
    kds_ledger *l = calloc(1, sizeof *l);
    if (l == NULL || (dir != NULL && (l->dir = strdup(dir)) == NULL)) {
        free(l);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory for a ledger");
    }
    /* Shown in commands to type: "archive", not "archive///". */
    for (size_t n = dir == NULL ? 0 : strlen(dir); n > 1 && l->dir[n - 1] == '/'; n--)
        l->dir[n - 1] = '\0';
    kds_buf_init(&l->scratch, KDS_OBJECT_CAP * 2);
    *out = l;
    return KDS_OK;
}

static void close_database(kds_ledger *l)
{
    for (int i = 0; i < KDS_SQL_COUNT; i++) {
        sqlite3_finalize(l->kept[i]);
        l->kept[i] = NULL;
    }
    sqlite3_close(l->db);
    l->db = NULL;
}

void kds_ledger_close(kds_ledger *l)
{
    if (l == NULL)
        return;
    kds_ledger_rollback(l);
    close_database(l);
    kds_lock_release(l->lock);
    ZSTD_freeCCtx(l->compressor);
    ZSTD_freeDCtx(l->decompressor);
    kds_objects_forget(l);
    kds_buf_free(&l->scratch);
    free(l->dir);
    free(l);
}

/* Settings of the connection. The schema of a file that comes from elsewhere is not trusted. */
static kds_code configure(kds_ledger *l, kds_err *e)
{
    static const char *const pragmas[] = {
        "PRAGMA synchronous = FULL",   "PRAGMA trusted_schema = OFF",
        "PRAGMA cell_size_check = ON", "PRAGMA cache_size = -16384",
        "PRAGMA temp_store = MEMORY",  "PRAGMA journal_size_limit = 67108864",
    };
    sqlite3_extended_result_codes(l->db, 1);
    sqlite3_busy_timeout(l->db, 10000);
    sqlite3_db_config(l->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(l->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(l->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_limit(l->db, SQLITE_LIMIT_LENGTH, (int)KDS_OBJECT_CAP + (16 << 20));
    sqlite3_limit(l->db, SQLITE_LIMIT_ATTACHED, 0);
    for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++) {
        kds_code code = kds_sql_exec(l, pragmas[i], "open campaign.db", e);
        if (code != KDS_OK)
            return code;
    }
    return KDS_OK;
}

static kds_code open_sqlite(kds_ledger *l, const char *path, int flags, kds_err *e)
{
    errno = 0;
    int rc = sqlite3_open_v2(path, &l->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        return KDS_OK;
    kds_code code = kds_sql_fail(l, rc, "open campaign.db", e);
    close_database(l);
    return code;
}

/* ---- Creating ---- */

static kds_code fill_new(kds_ledger *l, kds_err *e)
{
    char identity[128];
    snprintf(identity, sizeof identity, "PRAGMA user_version = %d", KDS_ARCHIVE_FORMAT);
    kds_code code = configure(l, e);
    if (code == KDS_OK)
        code = kds_sql_exec(l, "BEGIN", "create campaign.db", e);
    if (code == KDS_OK)
        code = kds_schema_create(l, e);
    if (code == KDS_OK)
        code = kds_sql_exec(l, identity, "create campaign.db", e);
    snprintf(identity, sizeof identity, "PRAGMA application_id = %d", KDS_APPLICATION_ID);
    if (code == KDS_OK)
        code = kds_sql_exec(l, identity, "create campaign.db", e);
    if (code == KDS_OK)
        code = kds_sql_exec(l, "COMMIT", "create campaign.db", e);
    return code;
}

static void remove_new(const char *path)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    char name[4200];
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (snprintf(name, sizeof name, "%s%s", path, tails[i]) < (int)sizeof name)
            unlink(name);
}

/* Makes the database under `fresh` and renames it to `path`. */
static kds_code create_file(kds_ledger *l, const char *dir, const char *fresh, const char *path,
                            kds_err *e)
{
    remove_new(fresh);
    kds_code code = open_sqlite(l, fresh, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, e);
    if (code != KDS_OK)
        return code;
    code = fill_new(l, e);
    if (code == KDS_OK)
        code = kds_sql_exec(l, "PRAGMA journal_mode = WAL", "create campaign.db", e);
    close_database(l);
    if (code == KDS_OK && rename(fresh, path) != 0)
        code = kds_fail_errno(e, KDS_IO, "%s: cannot create", path);
    if (code == KDS_OK)
        return kds_dir_sync(dir, e);
    remove_new(fresh);
    return code;
}

kds_code kds_ledger_create(kds_ledger **out, const char *dir, kds_err *e)
{
    kds_ledger *l = NULL;
    kds_lock *lock = NULL;
    char *absolute = NULL, *path = NULL, *fresh = NULL;
    kds_code code = new_ledger(&l, dir, e);
    if (code != KDS_OK)
        return code;
    if ((absolute = realpath(dir, NULL)) == NULL) {
        code = kds_fail_errno(e, errno == ENOENT ? KDS_NOT_FOUND : KDS_IO,
                              "%s: cannot use the folder", dir);
        goto out;
    }
    path = kds_path_join(absolute, "campaign.db");
    fresh = kds_path_join(absolute, "campaign.db.new");
    if (path == NULL || fresh == NULL) {
        code = kds_fail(e, KDS_NO_MEMORY, "%s: out of memory", dir);
        goto out;
    }
    if (kds_path_exists(path)) {
        code = kds_fail(e, KDS_USAGE,
                        "%s already holds a campaign: continue it with `kdasearch resume %s`", dir,
                        dir);
        goto out;
    }
    code = kds_lock_take(&lock, l->dir, e);
    if (code == KDS_OK && kds_path_exists(path)) /* another process was faster */
        code = kds_fail(e, KDS_LOCKED, "%s: another process has just created a campaign here", dir);
    else if (code == KDS_OK && (code = create_file(l, absolute, fresh, path, e)) != KDS_OK) {
        kds_lock_remove(lock);
        lock = NULL;
    }
out:
    kds_lock_release(lock);
    kds_ledger_close(l);
    free(absolute);
    free(path);
    free(fresh);
    return code == KDS_OK ? kds_ledger_open(out, dir, KDS_LEDGER_WRITE, e) : code;
}

/* ---- Opening ---- */

/* What a campaign.db that is not a database of ours is called: beside a lock of ours it was one. */
static kds_code not_ours(const kds_ledger *l, const char *absolute, const char *why, kds_err *e)
{
    char lock[4200];
    if (snprintf(lock, sizeof lock, "%s/lock", absolute) < (int)sizeof lock &&
        kds_path_exists(lock))
        return kds_ledger_damaged(l, e, "campaign.db %s", why);
    return kds_fail(e, KDS_NOT_ARCHIVE, "%s is not an archive of kdasearch: its campaign.db %s",
                    l->dir, why);
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static kds_code check_version(const kds_ledger *l, uint32_t version, kds_err *e)
{
    if (version > KDS_ARCHIVE_FORMAT)
        return kds_fail(e, KDS_NEWER_FORMAT,
                        "%s has archive format %u, and this kdasearch (%s) reads up to format %d: "
                        "update kdasearch",
                        l->dir, version, KDS_VERSION_STRING, KDS_ARCHIVE_FORMAT);
    if (version < KDS_ARCHIVE_FORMAT)
        return kds_ledger_damaged(l, e, "campaign.db says that it has format %u, which never was",
                                  version);
    return KDS_OK;
}

/* Reads the file's header through SQLite's own descriptor, before SQLite itself looks at the
 * content, so that a foreign database is left entirely alone. */
static kds_code check_header(kds_ledger *l, const char *absolute, kds_err *e)
{
    unsigned char header[HEADER_SIZE] = {0};
    sqlite3_file *file = NULL;
    int rc = sqlite3_file_control(l->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (rc == SQLITE_OK)
        rc = file->pMethods->xRead(file, header, sizeof header, 0);
    if (rc == SQLITE_IOERR_SHORT_READ)
        return not_ours(l, absolute, "is cut short or empty", e);
    if (rc != SQLITE_OK)
        return kds_sql_fail(l, rc, "read campaign.db", e);
    if (memcmp(header, "SQLite format 3", 16) != 0)
        return not_ours(l, absolute, "is not a SQLite database", e);
    if (big_endian(header + 68) != KDS_APPLICATION_ID)
        return kds_fail(
            e, KDS_NOT_ARCHIVE,
            "%s is not an archive of kdasearch: its campaign.db is a database of another "
            "program",
            l->dir);
    return check_version(l, big_endian(header + 60), e);
}

/* Reads the newest events, which proves that the file can be read at all, and verifies the last
 * link of the chain. */
static kds_code read_tail(kds_ledger *l, kds_err *e)
{
    unsigned char previous[KDS_HASH_SIZE] = {0}, hash[KDS_HASH_SIZE], computed[KDS_HASH_SIZE];
    kds_ledger_event event = {0};
    kds_query q = kds_sql_fresh(l, "SELECT * FROM (SELECT seq, time, kind, body, hash FROM events"
                                   " ORDER BY seq DESC LIMIT 2) ORDER BY seq");
    kds_code code = KDS_OK;
    int rows = 0;
    while (code == KDS_OK && kds_sql_next(&q)) {
        code = kds_event_read(&q, &event, hash, e);
        /* Of two rows the first only gives the link before the last. */
        if (code == KDS_OK && (rows > 0 || event.seq == 1)) {
            code = kds_event_hash(l, previous, &event, computed, e);
            if (code == KDS_OK && memcmp(hash, computed, sizeof hash) != 0)
                code = kds_ledger_damaged(l, e, "event %lld does not have its hash",
                                          (long long)event.seq);
        }
        memcpy(previous, hash, sizeof previous);
        rows++;
    }
    kds_code ended = kds_sql_end(&q, "read the events", code == KDS_OK ? e : NULL);
    if (code == KDS_OK)
        code = ended;
    if (code == KDS_OK && rows == 1 && event.seq != 1)
        code = kds_ledger_damaged(l, e, "the events before %lld are missing", (long long)event.seq);
    if (code == KDS_OK && rows > 0) {
        l->last_seq = l->durable_seq = event.seq;
        memcpy(l->last_hash, previous, sizeof l->last_hash);
        memcpy(l->durable_hash, previous, sizeof l->durable_hash);
    }
    return code;
}

/* The first real look into the file: settings, version as the log has it, and the newest events. */
static kds_code look_inside(kds_ledger *l, kds_err *e)
{
    kds_code code = configure(l, e);
    if (code != KDS_OK)
        return code;
    kds_query q = kds_sql_fresh(l, "PRAGMA user_version");
    uint32_t version = 0;
    if (kds_sql_next(&q))
        version = (uint32_t)sqlite3_column_int64(q.statement, 0);
    code = kds_sql_end(&q, "read campaign.db", e);
    if (code == KDS_OK)
        code = check_version(l, version, e);
    return code == KDS_OK && !l->checking ? read_tail(l, e) : code;
}

/* True if a write-ahead log with content lies beside the database. */
static bool has_log(const char *path)
{
    char name[4200];
    struct stat st;
    return snprintf(name, sizeof name, "%s-wal", path) >= (int)sizeof name ||
           (stat(name, &st) == 0 && st.st_size > 0);
}

/* A reader in a folder where it may not write: SQLite cannot make its shared-memory file there.
 * With no log beside it the database is whole by itself and is read as a file that does not change.
 */
static kds_code open_unwritable(kds_ledger *l, const char *path, kds_err *e)
{
    if (has_log(path))
        return kds_fail(
            e, KDS_IO,
            "%s: the folder cannot be written to and holds an unfinished log "
            "(campaign.db-wal), which a reader has to recover first: copy the folder to "
            "where you may write and use the copy",
            l->dir);
    kds_buf uri;
    kds_buf_init(&uri, 3 * 4200);
    kds_buf_puts(&uri, "file:");
    for (const char *p = path; *p != '\0'; p++) {
        if (*p == '%' || *p == '?' || *p == '#')
            kds_buf_printf(&uri, "%%%02X", (unsigned)(unsigned char)*p);
        else
            kds_buf_putc(&uri, *p);
    }
    kds_buf_puts(&uri, "?immutable=1");
    kds_code code = kds_buf_check(&uri, "the path of the archive", e);
    if (code == KDS_OK)
        code = open_sqlite(l, uri.data, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, e);
    kds_buf_free(&uri);
    return code == KDS_OK ? look_inside(l, e) : code;
}

static kds_code open_reader(kds_ledger *l, const char *absolute, const char *path, kds_err *e)
{
    kds_code code = open_sqlite(l, path, SQLITE_OPEN_READONLY, e);
    if (code == KDS_OK)
        code = check_header(l, absolute, e);
    if (code != KDS_OK)
        return code;
    code = look_inside(l, e);
    if (code != KDS_IO || access(absolute, W_OK) == 0)
        return code;
    close_database(l);
    return open_unwritable(l, path, e);
}

static kds_code open_writer(kds_ledger *l, const char *absolute, const char *path, kds_err *e)
{
    kds_code code = open_sqlite(l, path, SQLITE_OPEN_READWRITE, e);
    if (code == KDS_OK)
        code = check_header(l, absolute, e);
    if (code == KDS_OK && sqlite3_db_readonly(l->db, "main") == 1)
        code = kds_fail(e, KDS_IO, "%s: campaign.db cannot be written to by this user", l->dir);
    if (code == KDS_OK)
        code = kds_lock_take(&l->lock, l->dir, e);
    if (code == KDS_OK)
        code = look_inside(l, e);
    if (code == KDS_OK)
        code = kds_sql_exec(l, "PRAGMA journal_mode = WAL", "open the write-ahead log", e);
    l->may_write = code == KDS_OK;
    return code;
}

static kds_code open_ledger(kds_ledger **out, const char *dir, kds_ledger_mode mode, bool checking,
                            kds_err *e)
{
    struct stat st;
    kds_ledger *l = NULL;
    char *absolute = NULL, *path = NULL;
    kds_code code = new_ledger(&l, dir, e);
    if (code != KDS_OK)
        return code;
    l->checking = checking;
    if ((absolute = realpath(dir, NULL)) == NULL) {
        code = kds_fail_errno(e, errno == ENOENT || errno == ENOTDIR ? KDS_NOT_ARCHIVE : KDS_IO,
                              "%s: cannot open the archive", dir);
        goto out;
    }
    path = kds_path_join(absolute, "campaign.db");
    if (path == NULL)
        code = kds_fail(e, KDS_NO_MEMORY, "%s: out of memory", dir);
    else if (lstat(path, &st) != 0 && errno != ENOENT && errno != ENOTDIR)
        code = kds_fail_errno(e, KDS_IO, "%s: cannot look at campaign.db", dir);
    else if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
        code = kds_fail(e, KDS_NOT_ARCHIVE,
                        "%s is not an archive: it holds no campaign.db; a campaign is started with "
                        "`kdasearch run TASK -o DIR`",
                        dir);
    else if (st.st_size == 0)
        code = not_ours(l, absolute, "is empty", e);
    else if (mode == KDS_LEDGER_WRITE)
        code = open_writer(l, absolute, path, e);
    else
        code = open_reader(l, absolute, path, e);
out:
    free(absolute);
    free(path);
    if (code != KDS_OK)
        kds_ledger_close(l);
    else
        *out = l;
    return code;
}

kds_code kds_ledger_open(kds_ledger **out, const char *dir, kds_ledger_mode mode, kds_err *e)
{
    return open_ledger(out, dir, mode, false, e);
}

kds_code kds_ledger_open_to_check(kds_ledger **out, const char *dir, kds_err *e)
{
    return open_ledger(out, dir, KDS_LEDGER_READ, true, e);
}

kds_code kds_ledger_memory(kds_ledger **out, kds_err *e)
{
    kds_ledger *l = NULL;
    kds_code code = new_ledger(&l, NULL, e);
    if (code != KDS_OK)
        return code;
    code = open_sqlite(l, ":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, e);
    if (code == KDS_OK)
        code = configure(l, e);
    if (code == KDS_OK)
        code = kds_schema_create(l, e);
    l->may_write = true;
    if (code != KDS_OK)
        kds_ledger_close(l);
    else
        *out = l;
    return code;
}
