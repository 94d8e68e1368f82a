/* Damage is found and named, and never a crash: planted rows, flipped bytes, lost pages, files cut
 * short, and seeded random destruction. */
#include "tests/archive/fixture.h"
#include <sqlite3.h>

#define DECISIONS 12

/* Runs SQL on the database beside the program. */
static void vandalise(const char *dir, const char *sql)
{
    char path[512], *message = NULL;
    sqlite3 *db = NULL;
    path_in(path, dir, "campaign.db");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    sqlite3_close(db);
}

static void expect_problem(const char *dir, const char *word)
{
    kds_err err;
    cJSON *report = NULL;
    kds_code code = kds_ledger_check(dir, &report, &err);
    if (code != KDS_DAMAGED)
        fail_msg("check gave %s (expected \"%s\")", kds_code_name(code), word);
    const cJSON *problems = kds_json_at(report, "problems"), *p = NULL;
    bool found = false;
    cJSON_ArrayForEach(p, problems) found = found || strstr(p->valuestring, word) != NULL;
    if (!found) {
        char *text = cJSON_Print(report);
        fail_msg("no problem says \"%s\": %s", word, text);
        free(text);
    }
    assert_non_null(strstr(err.message, "kdasearch check"));
    assert_non_null(strstr(err.message, dir));
    cJSON_Delete(report);
}

/* ---- Planted ---- */

/* Each of these is made in a fresh archive, and check must name it. */
static const struct {
    const char *sql, *word;
} planted[] = {
    {"UPDATE events SET body = replace(body, 'mutate', 'mutatf') WHERE seq = 11",
     "event 11 (DECISION) does not have its hash"},
    {"UPDATE events SET kind = 'REJECT' WHERE seq = 10", "event 10 (REJECT) does not have"},
    {"UPDATE events SET time = time + 1 WHERE seq = 10", "event 10 (ACCEPT) does not have"},
    {"UPDATE events SET hash = zeroblob(16) WHERE seq = 10", "event 10 (ACCEPT) does not have"},
    {"UPDATE events SET hash = x'00' WHERE seq = 10", "event 10 cannot be read"},
    {"UPDATE events SET body = '{' WHERE seq = 10", "is not a JSON object"},
    {"DELETE FROM events WHERE seq BETWEEN 20 AND 22", "events 20 to 22 are missing"},
    {"DELETE FROM events WHERE seq = 1", "events 1 to 1 are missing"},
    {"DELETE FROM events WHERE seq > 90", "the row has no event behind it"},
    {"DELETE FROM events", "the row has no event behind it"},
    {"UPDATE candidates SET fitness = 9.5 WHERE decision = 3",
     "candidates 3: fitness is '9.5', but the events give '1.046875'"},
    {"UPDATE candidates SET hypothesis = 'x' WHERE decision = 3", "candidates 3: hypothesis"},
    {"UPDATE candidates SET cell = NULL WHERE decision = 3", "candidates 3: cell is 'NULL'"},
    {"DELETE FROM candidates WHERE decision = 4", "candidates 4: the row is missing"},
    {"DELETE FROM candidates WHERE decision = 0", "candidates 0: the row is missing"},
    {"UPDATE decisions SET accepted = 1 WHERE decision = 4", "decisions 4: accepted"},
    {"UPDATE cells SET visits = visits + 1 WHERE key = '00000000000000a1'",
     "cells 00000000000000a1: visits"},
    {"DELETE FROM cells WHERE key = '00000000000000c3'",
     "cells 00000000000000c3: the row is missing"},
    {"INSERT INTO cells VALUES('ffff', '', NULL, NULL, 0, 0, NULL)",
     "cells ffff: the row has no event behind it"},
    {"UPDATE cell_history SET best = 1 - best", "cell_history 10: best"},
    {"UPDATE calls SET cost_usd = 0 WHERE request = 3", "calls 3: cost_usd"},
    {"UPDATE operators SET accepted = 0 WHERE operator = 'repair'", "operators repair/m1"},
    {"UPDATE budget SET cost_usd = cost_usd - 0.001", "budget 1: cost_usd"},
    {"UPDATE epochs SET host = 'x'", "epochs 1: host"},
    {"UPDATE evaluations SET verdict = 'ok' WHERE decision = 1", "evaluations 17: verdict"},
    {"UPDATE meta SET value = '8' WHERE key = 'seed'", "meta seed: value is '8'"},
    {"DELETE FROM meta WHERE key = 'best'", "meta best: the row is missing"},
    {"INSERT INTO meta VALUES('zzz', 'x')", "meta zzz: the row has no event"},
    {"UPDATE objects SET data = zeroblob(length(data)) WHERE kind = 'prompt'", "object "},
    {"UPDATE objects SET data = x'' WHERE kind = 'reply'", "has an impossible size"},
    {"UPDATE objects SET encoding = 7 WHERE kind = 'prompt'", "cannot be decompressed"},
    {"UPDATE objects SET size = 1e12 WHERE kind = 'source'", "has an impossible size"},
    {"UPDATE objects SET size = size + 1 WHERE encoding = 1", "cannot be decompressed"},
    {"UPDATE objects SET id = x'0102' WHERE kind = 'prompt'", "no proper id"},
    {"DELETE FROM objects WHERE kind = 'prompt'", "its prompt, object "},
    {"DELETE FROM objects WHERE kind = 'reply'", "its reply, object "},
    {"DELETE FROM objects WHERE kind = 'source'", "its candidate, object "},
    {"DELETE FROM objects WHERE kind = 'report'", "its report, object "},
    {"DROP TABLE cell_history", "no such table: cell_history"},
    {"DROP TABLE events", "no such table: events"},
    {"ALTER TABLE epochs DROP COLUMN seconds", "table epochs does not have its columns"},
    {"DROP TABLE epochs; CREATE VIEW epochs AS SELECT 1", "read a derived table"},
};

static void test_planted(void **state)
{
    char sound[512], dir[512];
    path_in(sound, *state, "sound");
    path_in(dir, *state, "damaged");
    assert_int_equal(mkdir(sound, 0777), 0);
    script_archive(sound, DECISIONS);
    assert_whole(sound);
    for (size_t i = 0; i < sizeof planted / sizeof *planted; i++) {
        assert_int_equal(mkdir(dir, 0777), 0);
        copy_file(sound, dir, "campaign.db");
        vandalise(dir, planted[i].sql);
        expect_problem(dir, planted[i].word);
        remove_tree(dir);
    }
}

/* A hundred problems are enough, and one bad table does not hide the next. */
static void test_many_problems(void **state)
{
    kds_err err;
    cJSON *report = NULL;
    script_archive(*state, 40);
    vandalise(*state, "UPDATE events SET time = 5; UPDATE cells SET visits = 99");
    assert_int_equal(kds_ledger_check(*state, &report, &err), KDS_DAMAGED);
    assert_int_equal(cJSON_GetArraySize(kds_json_at(report, "problems")), 100);
    assert_non_null(strstr(err.message, "(3"));
    cJSON_Delete(report);
    vandalise(*state, "DELETE FROM events; UPDATE epochs SET host = 'y'");
    assert_int_equal(kds_ledger_check(*state, &report, &err), KDS_DAMAGED);
    const cJSON *p = NULL;
    bool cells = false, budget = false;
    cJSON_ArrayForEach(p, kds_json_at(report, "problems"))
    {
        cells = cells || strncmp(p->valuestring, "cells ", 6) == 0;
        budget = budget || strncmp(p->valuestring, "budget ", 7) == 0;
    }
    assert_true(cells && budget);
    cJSON_Delete(report);
}

/* Damage that check is not asked about is met where it lies, in the same words. */
static kds_code take_event(void *user, const kds_ledger_event *event, kds_err *e)
{
    (void)event, (void)e;
    ++*(int *)user;
    return KDS_OK;
}

static void assert_damaged(kds_code code, const kds_err *err)
{
    if (code != KDS_DAMAGED || strstr(err->message, "kdasearch check") == NULL)
        fail_msg("%s: %s", kds_code_name(code), err->message);
}

static void test_readers_notice(void **state)
{
    kds_ledger *l = NULL;
    kds_err err;
    int count = 0;
    char *data = NULL;
    script_archive(*state, DECISIONS);
    vandalise(*state, "UPDATE events SET body = replace(body, '0', '1') WHERE seq = 30");
    vandalise(*state, "UPDATE objects SET data = zeroblob(length(data)) WHERE kind = 'source'");
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_READ, e));
    assert_damaged(kds_ledger_each_event(l, 1, take_event, &count, &err), &err);
    assert_int_equal(count, 29);
    assert_damaged(kds_ledger_get(l, script_id(3), &data, NULL, &err), &err);
    kds_ledger_close(l);
    vandalise(*state, "DELETE FROM events WHERE seq = 29");
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_READ, e));
    assert_damaged(kds_ledger_each_event(l, 30, take_event, &count, &err), &err);
    assert_non_null(strstr(err.message, "event 29 is missing"));
    kds_ledger_close(l);
    vandalise(*state, "DELETE FROM events WHERE seq = 5; DELETE FROM budget");
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_READ, e));
    kds_ledger_totals totals;
    assert_damaged(kds_ledger_each_event(l, 1, take_event, &count, &err), &err);
    assert_non_null(strstr(err.message, "event 5 is missing"));
    assert_damaged(kds_ledger_totals_get(l, &totals, &err), &err);
    kds_ledger_close(l);
    vandalise(*state, "UPDATE events SET time = 0 WHERE seq = (SELECT max(seq) FROM events)");
    assert_damaged(kds_ledger_open(&l, *state, KDS_LEDGER_READ, &err), &err);
    assert_damaged(kds_ledger_open(&l, *state, KDS_LEDGER_WRITE, &err), &err);
    vandalise(*state, "DELETE FROM events WHERE seq < (SELECT max(seq) FROM events)");
    assert_damaged(kds_ledger_open(&l, *state, KDS_LEDGER_WRITE, &err), &err);
    vandalise(*state, "DROP TABLE events");
    assert_damaged(kds_ledger_open(&l, *state, KDS_LEDGER_READ, &err), &err);
    expect_problem(*state, "events");
}

/* ---- Destroyed ---- */

static long size_of(const char *dir, const char *name)
{
    char path[512];
    struct stat st;
    path_in(path, dir, name);
    assert_int_equal(stat(path, &st), 0);
    return (long)st.st_size;
}

static kds_code ignore_candidate(void *user, const kds_candidate_row *row, kds_err *e)
{
    (void)user, (void)row, (void)e;
    return KDS_OK;
}

static void ignore_ids(void *user, int64_t decision, const kds_id *id, const kds_id *norm,
                       const kds_id *cubin, const char *verdict)
{
    (void)user, (void)decision, (void)id, (void)norm, (void)cubin, (void)verdict;
}

/* Uses everything that reads; whatever fails must say that it is damage. */
static void read_everything(const char *dir)
{
    kds_err err;
    kds_ledger *l = NULL;
    kds_ledger_totals totals;
    kds_candidate_row row;
    int count = 0;
    kds_code code = kds_ledger_open(&l, dir, KDS_LEDGER_READ, &err);
    if (code != KDS_OK) {
        assert_damaged(code, &err);
        return;
    }
    const kds_code codes[] = {
        kds_ledger_each_event(l, 1, take_event, &count, &err),
        kds_ledger_each_candidate(l, "fitness", NULL, NULL, 0, ignore_candidate, NULL, &err),
        kds_ledger_each_ids(l, ignore_ids, NULL, &err),
        kds_ledger_totals_get(l, &totals, &err),
        kds_ledger_find(l, "#3", &row, &err),
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i] != KDS_OK && codes[i] != KDS_DAMAGED && codes[i] != KDS_NOT_FOUND)
            fail_msg("reading %zu gave %s: %s", i, kds_code_name(codes[i]), err.message);
    for (int64_t d = 0; d < DECISIONS; d++) {
        char *data = NULL;
        code = kds_ledger_get(l, script_id(d), &data, NULL, &err);
        assert_true(code == KDS_OK || code == KDS_DAMAGED || code == KDS_NOT_FOUND);
        free(data);
        data = NULL;
    }
    kds_ledger_close(l);
}

static void test_truncated(void **state)
{
    char sound[512], dir[512], path[512];
    path_in(sound, *state, "sound");
    path_in(dir, *state, "damaged");
    assert_int_equal(mkdir(sound, 0777), 0);
    assert_int_equal(mkdir(dir, 0777), 0);
    script_archive(sound, DECISIONS);
    copy_file(sound, dir, "lock");
    path_in(path, dir, "campaign.db");
    long size = size_of(sound, "campaign.db");
    const long lengths[] = {0, 1, 50, 100, 512, 4095, 4096, size / 2, size - 4096, size - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        kds_err err;
        kds_ledger *l = NULL;
        copy_file(sound, dir, "campaign.db");
        assert_int_equal(truncate(path, lengths[i]), 0);
        read_everything(dir);
        assert_int_equal(run_check(dir, NULL, 0), KDS_DAMAGED);
        kds_code code = kds_ledger_open(&l, dir, KDS_LEDGER_WRITE, &err);
        if (code != KDS_OK)
            assert_damaged(code, &err);
        kds_ledger_close(l);
    }
}

/* Every page of the file in turn is lost. */
static void test_zeroed_pages(void **state)
{
    static const char zeroes[4096];
    char sound[512], dir[512];
    path_in(sound, *state, "sound");
    path_in(dir, *state, "damaged");
    assert_int_equal(mkdir(sound, 0777), 0);
    assert_int_equal(mkdir(dir, 0777), 0);
    script_archive(sound, DECISIONS);
    copy_file(sound, dir, "lock");
    long pages = size_of(sound, "campaign.db") / 4096;
    for (long i = 0; i < pages; i++) {
        copy_file(sound, dir, "campaign.db");
        poke_file(dir, "campaign.db", i * 4096, zeroes, sizeof zeroes);
        read_everything(dir);
        if (run_check(dir, NULL, 0) != KDS_DAMAGED)
            fail_msg("a zeroed page %ld went unnoticed", i + 1);
    }
}

/* Random bytes anywhere. A byte that is used by nothing may be whatever it is, but most are
 * noticed. */
static void test_random_damage(void **state)
{
    char sound[512], dir[512];
    int noticed = 0;
    path_in(sound, *state, "sound");
    path_in(dir, *state, "damaged");
    assert_int_equal(mkdir(sound, 0777), 0);
    assert_int_equal(mkdir(dir, 0777), 0);
    script_archive(sound, DECISIONS);
    copy_file(sound, dir, "lock");
    uint64_t size = (uint64_t)size_of(sound, "campaign.db");
    for (uint64_t i = 0; i < 150; i++) {
        kds_random r = kds_random_stream(3, i, "damage");
        copy_file(sound, dir, "campaign.db");
        for (uint64_t n = 1 + kds_random_below(&r, 20); n > 0; n--) {
            uint64_t noise = kds_random_u64(&r);
            poke_file(dir, "campaign.db", 100 + (long)kds_random_below(&r, size - 110), &noise,
                      1 + (size_t)kds_random_below(&r, 8));
        }
        read_everything(dir);
        kds_code code = run_check(dir, NULL, 0);
        assert_true(code == KDS_OK || code == KDS_DAMAGED);
        noticed += code == KDS_DAMAGED;
    }
    print_message("%d of 150 noticed\n", noticed);
    assert_true(noticed > 100);
}

/* A log with rubbish at its end, or nothing but rubbish, is a log that a kill cut off. */
static void test_torn_log(void **state)
{
    char dir[512], path[512], rubbish[9000];
    kds_ledger *l = NULL;
    memset(rubbish, 0x5a, sizeof rubbish);
    path_in(dir, *state, "copy");
    assert_int_equal(mkdir(dir, 0777), 0);
    ASSERT_OK(kds_ledger_create(&l, *state, e));
    script_run(l, SCRIPT_EVENTS(2));
    copy_file(*state, dir, "campaign.db");
    copy_file(*state, dir, "campaign.db-wal");
    kds_ledger_close(l);
    long size = size_of(dir, "campaign.db-wal");
    assert_true(size > 4096);
    path_in(path, dir, "campaign.db-wal");
    assert_int_equal(truncate(path, size - 100), 0); /* the last transaction is torn */
    ASSERT_OK(kds_ledger_open(&l, dir, KDS_LEDGER_WRITE, e));
    assert_int_equal(kds_ledger_last_seq(l), SCRIPT_EVENTS(2) - 1);
    script_run(l, SCRIPT_EVENTS(3));
    kds_ledger_close(l);
    assert_whole(dir);
    write_file(dir, "campaign.db-wal", rubbish, sizeof rubbish);
    assert_whole(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_planted),   IN_FOLDER(test_many_problems), IN_FOLDER(test_readers_notice),
        IN_FOLDER(test_truncated), IN_FOLDER(test_zeroed_pages),  IN_FOLDER(test_random_damage),
        IN_FOLDER(test_torn_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
