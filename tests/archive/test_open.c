/* Opening what is, is not, is no longer, or is not yet an archive that this version can read. */
#include "tests/archive/fixture.h"
#include <dirent.h>
#include <sqlite3.h>

static void refuse(const char *dir, kds_code want, const char *word)
{
    for (int mode = 0; mode < 2; mode++) {
        kds_err err;
        kds_ledger *l = NULL;
        kds_code code =
            kds_ledger_open(&l, dir, mode == 0 ? KDS_LEDGER_READ : KDS_LEDGER_WRITE, &err);
        if (code != want || strstr(err.message, word) == NULL)
            fail_msg("%s: %s (expected %s with \"%s\")", kds_code_name(code), err.message,
                     kds_code_name(want), word);
        assert_null(l);
    }
}

static int count_entries(const char *dir)
{
    int count = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    while (readdir(d) != NULL)
        count++;
    closedir(d);
    return count;
}

static void test_not_archive(void **state)
{
    char path[512];
    path_in(path, *state, "missing");
    refuse(path, KDS_NOT_ARCHIVE, "missing");
    refuse(*state, KDS_NOT_ARCHIVE, "kdasearch run"); /* an empty folder */
    write_file(*state, "main.c", "int main;", 9);
    refuse(*state, KDS_NOT_ARCHIVE, "holds no campaign.db");
    path_in(path, *state, "main.c");
    refuse(path, KDS_NOT_ARCHIVE, "main.c"); /* a file */
    path_in(path, *state, "campaign.db");
    assert_int_equal(mkdir(path, 0777), 0);
    refuse(*state, KDS_NOT_ARCHIVE, "holds no campaign.db");
    assert_int_equal(rmdir(path), 0);
    write_file(*state, "campaign.db", "", 0);
    refuse(*state, KDS_NOT_ARCHIVE, "empty");
    write_file(*state, "campaign.db", "short", 5);
    refuse(*state, KDS_NOT_ARCHIVE, "cut short");
    char garbage[5000];
    memset(garbage, 'g', sizeof garbage);
    write_file(*state, "campaign.db", garbage, sizeof garbage);
    refuse(*state, KDS_NOT_ARCHIVE, "not a SQLite database");
    assert_int_equal(count_entries(*state), 2 + 2); /* nothing was left there: no lock, no log */
    cJSON *report = NULL;
    assert_int_equal(kds_ledger_check(*state, &report, NULL), KDS_NOT_ARCHIVE);
    assert_null(report);
}

/* A database of another program is left exactly as it is, even if it has a log to be recovered. */
static void test_foreign_database(void **state)
{
    char path[512];
    sqlite3 *db = NULL;
    path_in(path, *state, "campaign.db");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "PRAGMA journal_mode=WAL; CREATE TABLE events(x)", NULL, NULL, NULL),
        SQLITE_OK);
    refuse(*state, KDS_NOT_ARCHIVE, "another program");
    sqlite3_close(db);
    refuse(*state, KDS_NOT_ARCHIVE, "another program");
    assert_int_equal(count_entries(*state), 2 + 1);
}

static void set_version(const char *dir, int version)
{
    char path[512], sql[64];
    sqlite3 *db = NULL;
    path_in(path, dir, "campaign.db");
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d", version);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_formats(void **state)
{
    script_archive(*state, 1);
    set_version(*state, KDS_ARCHIVE_FORMAT + 6);
    refuse(*state, KDS_NEWER_FORMAT, "format 7");
    refuse(*state, KDS_NEWER_FORMAT, "up to format 1");
    refuse(*state, KDS_NEWER_FORMAT, "update kdasearch");
    cJSON *report = NULL;
    assert_int_equal(kds_ledger_check(*state, &report, NULL), KDS_NEWER_FORMAT);
    set_version(*state, 0);
    refuse(*state, KDS_DAMAGED, "format 0");
    set_version(*state, KDS_ARCHIVE_FORMAT);
    assert_whole(*state);
}

/* The newer version may still be in the log only, as a program that was killed leaves it. */
static void test_newer_format_in_log(void **state)
{
    char path[512], copy[512];
    sqlite3 *db = NULL;
    script_archive(*state, 1);
    path_in(path, *state, "campaign.db");
    path_in(copy, *state, "copy");
    assert_int_equal(mkdir(copy, 0777), 0);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 7", NULL, NULL, NULL), SQLITE_OK);
    copy_file(*state, copy, "campaign.db");
    copy_file(*state, copy, "campaign.db-wal");
    sqlite3_close(db);
    refuse(copy, KDS_NEWER_FORMAT, "format 7");
}

/* A copy of the database alone is an archive: neither lock nor log nor shared memory are needed. */
static void test_database_alone(void **state)
{
    char copy[512];
    script_archive(*state, 3);
    path_in(copy, *state, "copy ?x=%41#y"); /* what must not be read as a URI */
    assert_int_equal(mkdir(copy, 0777), 0);
    copy_file(*state, copy, "campaign.db");
    assert_whole(copy);
    kds_ledger *l = NULL;
    ASSERT_OK(kds_ledger_open(&l, copy, KDS_LEDGER_WRITE, e));
    script_run(l, SCRIPT_EVENTS(4));
    kds_ledger_close(l);
    assert_whole(copy);
}

/* Runs `body` in a process that may not write to `dir`; gives its exit status. */
static int as_stranger(const char *dir, int (*body)(const char *dir))
{
    int status = 0;
    assert_int_equal(chmod(dir, 0555), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(99);
        _exit(access(dir, W_OK) == 0 ? 98 : body(dir));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(chmod(dir, 0777), 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}

static int read_all(const char *dir)
{
    kds_err err;
    kds_ledger *l = NULL;
    if (kds_ledger_open(&l, dir, KDS_LEDGER_READ, &err) != KDS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return strstr(err.message, "copy the folder") != NULL ? 2 : 3;
    }
    int64_t last = kds_ledger_last_seq(l);
    kds_ledger_close(l);
    cJSON *report = NULL;
    kds_code code = kds_ledger_check(dir, &report, &err);
    cJSON_Delete(report);
    return code == KDS_OK && last == SCRIPT_EVENTS(3) ? 0 : 4;
}

static int write_all(const char *dir)
{
    kds_err err;
    kds_ledger *l = NULL;
    kds_code code = kds_ledger_open(&l, dir, KDS_LEDGER_WRITE, &err);
    return code == KDS_IO && strstr(err.message, "cannot be written") != NULL ? 0 : 1;
}

/* Its name has what must not be read as a part of a URI. */
static char *public_folder(void)
{
    char *dir = strdup("/tmp/kdasearch test ?x=%41#XXXXXX");
    assert_non_null(dir);
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chmod(dir, 0755), 0);
    return dir;
}

static void test_read_only_folder(void **state)
{
    char *dir = public_folder(), path[512];
    (void)state;
    script_archive(dir, 3);
    path_in(path, dir, "campaign.db");
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(as_stranger(dir, read_all), 0);
    assert_int_equal(as_stranger(dir, write_all), 0);
    assert_int_equal(chmod(path, 0644), 0);
    remove_tree(dir);
    free(dir);
}

/* Read-only, but a writer lives: its shared memory is used. */
static void test_read_only_beside_writer(void **state)
{
    char *dir = public_folder();
    kds_ledger *l = NULL;
    (void)state;
    ASSERT_OK(kds_ledger_create(&l, dir, e));
    script_run(l, SCRIPT_EVENTS(3));
    assert_int_equal(as_stranger(dir, read_all), 0);
    kds_ledger_close(l);
    remove_tree(dir);
    free(dir);
}

/* Read-only with the log of a killed writer: it says what to do. */
static void test_read_only_with_log(void **state)
{
    char *dir = public_folder(), copy[512];
    kds_ledger *l = NULL;
    (void)state;
    path_in(copy, dir, "copy");
    ASSERT_OK(kds_ledger_create(&l, dir, e));
    script_run(l, SCRIPT_EVENTS(3));
    assert_int_equal(mkdir(copy, 0777), 0);
    copy_file(dir, copy, "campaign.db");
    copy_file(dir, copy, "campaign.db-wal");
    kds_ledger_close(l);
    assert_int_equal(as_stranger(copy, read_all), 2);
    assert_whole(copy); /* and whoever may write recovers it */
    remove_tree(dir);
    free(dir);
}

/* The record is where it was opened, whatever the process's folder becomes. */
static void test_relative_path(void **state)
{
    char old[512];
    kds_ledger *l = NULL;
    assert_non_null(getcwd(old, sizeof old));
    assert_int_equal(chdir(*state), 0);
    assert_int_equal(mkdir("archive", 0777), 0);
    ASSERT_OK(kds_ledger_create(&l, "archive///", e));
    assert_int_equal(chdir("/"), 0);
    script_run(l, SCRIPT_EVENTS(1));
    kds_ledger_close(l);
    assert_int_equal(chdir(*state), 0);
    assert_whole("archive");
    assert_int_equal(chdir(old), 0);
}

static void test_create_refusals(void **state)
{
    char path[512];
    kds_ledger *l = NULL;
    kds_err err;
    path_in(path, *state, "missing");
    assert_int_equal(kds_ledger_create(&l, path, &err), KDS_NOT_FOUND);
    assert_null(l);
    write_file(*state, "campaign.db.new", "left by a kill", 14);
    ASSERT_OK(kds_ledger_create(&l, *state, e));
    kds_ledger_close(l);
    path_in(path, *state, "campaign.db.new");
    assert_int_not_equal(access(path, F_OK), 0);
    assert_whole(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_not_archive),
        IN_FOLDER(test_foreign_database),
        IN_FOLDER(test_formats),
        IN_FOLDER(test_newer_format_in_log),
        IN_FOLDER(test_database_alone),
        cmocka_unit_test(test_read_only_folder),
        cmocka_unit_test(test_read_only_beside_writer),
        cmocka_unit_test(test_read_only_with_log),
        IN_FOLDER(test_relative_path),
        IN_FOLDER(test_create_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
