/* The ledger as its users see it: what was written is read back, sums and tables say what the
 * events said, mistakes are refused without a trace, and readers work beside a writer. */
#include "search/base/clock.h"
#include "tests/archive/fixture.h"
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>

static void expect(kds_code got, kds_code want, const kds_err *err, const char *word)
{
    if (got != want || (word != NULL && strstr(err->message, word) == NULL))
        fail_msg("got %s (%s), expected %s with \"%s\"", kds_code_name(got), err->message,
                 kds_code_name(want), word == NULL ? "" : word);
}

/* ---- Objects ---- */

static void test_objects(void **state)
{
    kds_ledger *l = NULL;
    kds_err err;
    char *data = NULL, *big = malloc(3 << 20);
    size_t len = 0;
    kds_id id, again, empty, raw;
    assert_non_null(big);
    memset(big, 'x', 3 << 20);
    ASSERT_OK(kds_ledger_create(&l, *state, e));
    ASSERT_OK(kds_ledger_put(l, "source", big, 3 << 20, &id, e));
    ASSERT_OK(kds_ledger_put(l, "log", big, 3 << 20, &again, e));
    assert_true(kds_id_equal(id, again));
    assert_true(kds_id_equal(id, kds_id_of(big, 3 << 20)));
    ASSERT_OK(kds_ledger_put(l, "log", NULL, 0, &empty, e));
    ASSERT_OK(kds_ledger_put(l, "log", "a\0b", 3, &raw, e));
    kds_ledger_close(l);
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_READ, e));
    ASSERT_OK(kds_ledger_get(l, id, &data, &len, e));
    assert_int_equal(len, 3 << 20);
    assert_memory_equal(data, big, len);
    assert_int_equal(data[len], 0);
    free(data);
    ASSERT_OK(kds_ledger_get(l, empty, &data, &len, e));
    assert_int_equal(len, 0);
    assert_string_equal(data, "");
    free(data);
    ASSERT_OK(kds_ledger_get(l, raw, &data, &len, e));
    assert_int_equal(len, 3);
    assert_memory_equal(data, "a\0b", 4);
    free(data);
    expect(kds_ledger_get(l, kds_id_of("?", 1), &data, &len, &err), KDS_NOT_FOUND, &err, "object");
    expect(kds_ledger_put(l, "log", "x", 1, &id, &err), KDS_FAILED, &err, "reading");
    kds_ledger_close(l);
    struct stat st;
    char path[512];
    path_in(path, *state, "campaign.db");
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size < 1 << 20); /* 3 MiB of one letter are stored compressed, and once */
    free(big);
}

static void test_object_cap(void **state)
{
    kds_ledger *l = NULL;
    kds_err err;
    kds_id id;
    size_t cap = 64u << 20;
    char *huge = calloc(1, cap + 1), *data = NULL;
    (void)state;
    assert_non_null(huge);
    ASSERT_OK(kds_ledger_memory(&l, e));
    expect(kds_ledger_put(l, "log", huge, cap + 1, &id, &err), KDS_TOO_LARGE, &err, "larger");
    ASSERT_OK(kds_ledger_put(l, "log", huge, cap, &id, e));
    size_t len = 0;
    ASSERT_OK(kds_ledger_get(l, id, &data, &len, e));
    assert_int_equal(len, cap);
    free(data);
    free(huge);
    kds_ledger_close(l);
}

/* ---- Events ---- */

typedef struct seen {
    int64_t count, last;
    char kind[40], body[400];
    int64_t stop_at;
} seen;

static kds_code see_event(void *user, const kds_ledger_event *event, kds_err *e)
{
    seen *s = user;
    assert_int_equal(event->body_len, strlen(event->body));
    assert_true(event->time_ms > 0 && event->time_ms <= kds_clock_wall_ms());
    s->count++;
    s->last = event->seq;
    snprintf(s->kind, sizeof s->kind, "%s", event->kind);
    snprintf(s->body, sizeof s->body, "%s", event->body);
    return event->seq == s->stop_at ? kds_fail(e, KDS_DIVERGED, "enough") : KDS_OK;
}

static void test_events(void **state)
{
    kds_ledger *l = NULL;
    kds_err err;
    int64_t seq = 0;
    seen s = {0};
    cJSON *body = cJSON_Parse("{\"why\":\"caf\xc3\xa9 \\\"x\\\"\",\"seconds\":0.1}");
    ASSERT_OK(kds_ledger_create(&l, *state, e));
    assert_int_equal(kds_ledger_last_seq(l), 0);
    ASSERT_OK(kds_ledger_each_event(l, 1, see_event, &s, e));
    assert_int_equal(s.count, 0);
    script_run(l, 10);
    ASSERT_OK(kds_ledger_append(l, "STOP", body, &seq, e));
    assert_int_equal(seq, 11);
    kds_ledger_close(l);
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_READ, e));
    assert_int_equal(kds_ledger_last_seq(l), 11);
    ASSERT_OK(kds_ledger_each_event(l, 0, see_event, &s, e));
    assert_int_equal(s.count, 11);
    assert_string_equal(s.kind, "STOP");
    cJSON *back = cJSON_Parse(s.body);
    assert_true(cJSON_Compare(back, body, true));
    cJSON_Delete(back);
    s = (seen){.stop_at = 5};
    expect(kds_ledger_each_event(l, 4, see_event, &s, &err), KDS_DIVERGED, &err, "enough");
    assert_int_equal(s.count, 2);
    s = (seen){0};
    ASSERT_OK(kds_ledger_each_event(l, 12, see_event, &s, e));
    assert_int_equal(s.count, 0);
    expect(kds_ledger_append(l, "STOP", body, NULL, &err), KDS_FAILED, &err, "reading");
    kds_ledger_close(l);
    cJSON_Delete(body);
    assert_whole(*state);
}

/* A kind from a later version of the program is kept and changes no table. */
static void test_unknown_kind(void **state)
{
    kds_ledger *l = NULL;
    cJSON *body = cJSON_Parse("{\"decision\":99}");
    kds_ledger_totals before, after;
    script_archive(*state, 2);
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_WRITE, e));
    ASSERT_OK(kds_ledger_totals_get(l, &before, e));
    ASSERT_OK(kds_ledger_append(l, "RECALIBRATE", body, NULL, e));
    ASSERT_OK(kds_ledger_totals_get(l, &after, e));
    assert_memory_equal(&before, &after, sizeof before);
    kds_ledger_close(l);
    cJSON_Delete(body);
    assert_whole(*state);
}

/* Each of these is refused, names its key, and leaves nothing behind. */
static void test_malformed(void **state)
{
    static const struct {
        const char *kind, *body, *word;
    } cases[] = {
        {"DECISION", "{\"operator\":\"tune\"}", "'decision' is missing"},
        {"DECISION", "{\"decision\":1.5,\"operator\":\"tune\"}", "'decision'"},
        {"DECISION", "{\"decision\":\"x\",\"operator\":\"tune\"}", "'decision'"},
        {"DECISION", "{\"decision\":50}", "'operator' is missing"},
        {"DECISION", "{\"decision\":50,\"operator\":7}", "'operator' is not a text"},
        {"DECISION", "{\"decision\":50,\"operator\":\"t\",\"parents\":{}}", "'parents'"},
        {"DECISION", "{\"decision\":50,\"operator\":\"t\",\"parents\":[\"ab\"]}", "'parents'"},
        {"DECISION", "{\"decision\":50,\"operator\":\"t\",\"parents\":[3]}", "'parents'"},
        {"DECISION", "{\"decision\":50,\"operator\":\"t\",\"cell\":\"00\"}", "'cell'"},
        {"DECISION", "{\"decision\":50,\"operator\":\"t\",\"cell\":\"00000000000000A1\"}",
         "'cell'"},
        {"DECISION", "{\"decision\":0,\"operator\":\"t\"}", "UNIQUE"},
        {"REQUEST", "{\"request\":900,\"decision\":0}", "not under way"},
        {"REQUEST", "{\"request\":900,\"decision\":77}", "not under way"},
        {"REQUEST", "{\"request\":0,\"decision\":2}", "UNIQUE"},
        {"RESPONSE", "{\"request\":900,\"decision\":2,\"outcome\":\"ok\"}", "'request'"},
        {"RESPONSE", "{\"request\":0,\"decision\":0}", "'outcome' is missing"},
        {"RESPONSE", "{\"request\":0,\"decision\":0,\"outcome\":\"ok\",\"cost_usd\":\"1\"}",
         "'cost_usd' is not a number"},
        {"CANDIDATE", "{\"decision\":2,\"candidate\":null}", "'candidate' is missing"},
        {"CANDIDATE", "{\"decision\":2,\"candidate\":\"0123\"}", "32 hex digits"},
        {"CANDIDATE", "{\"decision\":0,\"candidate\":\"0123456789abcdef0123456789abcdef\"}",
         "not under way"},
        {"STAGE",
         "{\"decision\":2,\"candidate\":\"0123456789abcdef0123456789abcdef\",\"stage\":\"lint\","
         "\"verdict\":\"ok\"}",
         "not under way"},
        {"ACCEPT", "{\"decision\":0,\"verdict\":\"ok\"}", "'candidate' is missing"},
        {"ACCEPT",
         "{\"decision\":0,\"verdict\":\"ok\",\"candidate\":\"0123456789abcdef0123456789abcdef\","
         "\"cell\":\"00000000000000a1\"}",
         "'fitness' is missing"},
        {"REJECT", "{\"decision\":0,\"verdict\":\"wrong\"}", "not under way"},
        {"REJECT", "{\"decision\":55,\"verdict\":\"wrong\"}", "not under way"},
        {"REJECT", "{\"decision\":2}", "'verdict' is missing"},
        {"EPOCH", "{\"epoch\":1}", "UNIQUE"},
        {"EPOCH", "{}", "'epoch' is missing"},
        {"CAMPAIGN", "{\"task\":\"again\"}", "UNIQUE"},
        {"STOP", "{\"seconds\":\"long\"}", "'seconds'"},
        {"STOP", "[]", "object"},
        {"stop", "{}", "capitals"},
        {"", "{}", "capitals"},
    };
    kds_ledger *l = NULL;
    script_archive(*state, 2);
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_WRITE, e));
    script_run(l, SCRIPT_EVENTS(2) + 1); /* decision 2 is under way */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kds_err err;
        cJSON *body = cJSON_Parse(cases[i].body);
        assert_non_null(body);
        expect(kds_ledger_append(l, cases[i].kind, body, NULL, &err), KDS_PROTOCOL, &err,
               cases[i].word);
        assert_int_equal(kds_ledger_last_seq(l), SCRIPT_EVENTS(2) + 1);
        cJSON_Delete(body);
    }
    script_run(l, SCRIPT_EVENTS(3));
    kds_ledger_close(l);
    assert_whole(*state);
}

/* Read from a record instead of written, the same is damage. */
static void test_apply_is_strict(void **state)
{
    kds_ledger *l = NULL;
    kds_err err;
    kds_ledger_event bad = {1, 1, "EPOCH", "{\"epoch\":", 9},
                     good = {1, 1, "EPOCH", "{\"epoch\":4}", 11};
    kds_ledger_totals totals;
    (void)state;
    ASSERT_OK(kds_ledger_memory(&l, e));
    expect(kds_ledger_apply(l, &bad, &err), KDS_DAMAGED, &err, "not a JSON object");
    ASSERT_OK(kds_ledger_apply(l, &good, e));
    expect(kds_ledger_apply(l, &good, &err), KDS_DAMAGED, &err, "UNIQUE");
    ASSERT_OK(kds_ledger_totals_get(l, &totals, e));
    assert_int_equal(totals.epochs, 1);
    kds_ledger_close(l);
}

/* ---- Transactions ---- */

static void test_transactions(void **state)
{
    kds_ledger *l = NULL, *reader = NULL;
    kds_err err;
    kds_id id;
    char *data = NULL;
    cJSON *bad = cJSON_Parse("{}"), *good = cJSON_Parse("{\"epoch\":1}");
    ASSERT_OK(kds_ledger_create(&l, *state, e));
    ASSERT_OK(kds_ledger_open(&reader, *state, KDS_LEDGER_READ, e));
    ASSERT_OK(kds_ledger_begin(l, e));
    expect(kds_ledger_begin(l, &err), KDS_FAILED, &err, "open already");
    ASSERT_OK(kds_ledger_put(l, "log", "text", 4, &id, e));
    ASSERT_OK(kds_ledger_append(l, "EPOCH", good, NULL, e));
    assert_int_equal(kds_ledger_last_seq(l), 1);
    assert_int_equal(kds_ledger_last_seq(reader), 0); /* not before it is committed */
    kds_ledger_rollback(l);
    assert_int_equal(kds_ledger_last_seq(l), 0);
    expect(kds_ledger_get(l, id, &data, NULL, &err), KDS_NOT_FOUND, &err, "object");
    expect(kds_ledger_commit(l, &err), KDS_FAILED, &err, "no transaction");
    ASSERT_OK(kds_ledger_begin(l, e));
    ASSERT_OK(kds_ledger_append(l, "EPOCH", good, NULL, e));
    expect(kds_ledger_append(l, "EPOCH", bad, NULL, &err), KDS_PROTOCOL, &err, "epoch");
    assert_int_equal(kds_ledger_last_seq(l), 0); /* a failure takes all of it back */
    expect(kds_ledger_commit(l, &err), KDS_FAILED, &err, "no transaction");
    ASSERT_OK(kds_ledger_append(l, "EPOCH", good, NULL, e));
    assert_int_equal(kds_ledger_last_seq(reader), 1);
    ASSERT_OK(kds_ledger_begin(reader, e)); /* one moment */
    assert_int_equal(kds_ledger_last_seq(reader), 1);
    cJSON_SetNumberValue(cJSON_GetObjectItem(good, "epoch"), 2);
    ASSERT_OK(kds_ledger_append(l, "EPOCH", good, NULL, e));
    assert_int_equal(kds_ledger_last_seq(reader), 1);
    ASSERT_OK(kds_ledger_commit(reader, e));
    assert_int_equal(kds_ledger_last_seq(reader), 2);
    kds_ledger_close(reader);
    kds_ledger_close(l);
    cJSON_Delete(bad);
    cJSON_Delete(good);
    assert_whole(*state);
}

/* ---- Derived tables ---- */

typedef struct tally {
    int64_t rows, flying, with_norm, with_cubin, last_decision;
    double best;
    kds_candidate_row first, last;
} tally;

static kds_code tally_candidate(void *user, const kds_candidate_row *row, kds_err *e)
{
    tally *t = user;
    (void)e;
    if (t->rows++ == 0)
        t->first = *row;
    t->last = *row;
    return KDS_OK;
}

static void tally_ids(void *user, int64_t decision, const kds_id *id, const kds_id *norm,
                      const kds_id *cubin, const char *verdict)
{
    tally *t = user;
    assert_true(t->rows == 0 || decision > t->last_decision);
    assert_true(kds_id_equal(*id, script_id(decision)));
    t->rows++;
    t->last_decision = decision;
    t->flying += verdict[0] == '\0';
    t->with_norm += !kds_id_is_zero(*norm);
    t->with_cubin += !kds_id_is_zero(*cubin);
}

static kds_code tally_cell(void *user, const kds_cell_row *row, kds_err *e)
{
    kds_cell_row *cells = user;
    (void)e;
    for (int i = 0; i < 3; i++)
        if (strcmp(row->key, script_cell(i * 3)) == 0)
            cells[i] = *row;
    return KDS_OK;
}

static void test_totals_and_cells(void **state)
{
    kds_ledger *l = NULL;
    kds_ledger_totals t;
    kds_cell_row cells[3];
    cJSON *stop = cJSON_Parse("{\"why\":\"budget\",\"code\":0,\"seconds\":12.5}");
    script_archive(*state, 21);
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_WRITE, e));
    ASSERT_OK(kds_ledger_append(l, "STOP", stop, NULL, e));
    ASSERT_OK(kds_ledger_totals_get(l, &t, e));
    assert_int_equal(t.decisions, 21);
    assert_int_equal(t.committed, 21);
    assert_int_equal(t.candidates, 18); /* 6, 13 and 20 repeat the one before */
    assert_int_equal(t.accepted, 7);
    assert_int_equal(t.duplicates, 2); /* 13 and 20; 6 was accepted */
    assert_int_equal(t.requests, 42);
    assert_int_equal(t.responses, 42);
    assert_int_equal(t.failed_calls, 21);
    assert_int_equal(t.prompt_tokens, 21 * 1000 + 210);
    assert_int_equal(t.completion_tokens, 21 * 50);
    assert_int_equal(t.epochs, 1);
    assert_true(fabs(t.cost_usd - 21 * 0.101) < 1e-9);
    assert_true(t.run_seconds == 12.5);
    ASSERT_OK(kds_ledger_each_cell(l, tally_cell, cells, e));
    /* Accepted: 0 3 6 9 12 15 18, into cells a1 b2 c3 a1 b2 c3 a1. */
    char hex[KDS_ID_HEX];
    kds_id_format(script_id(18), hex);
    assert_string_equal(cells[0].elite, hex);
    assert_int_equal(cells[0].filled_by, 18);
    assert_true(cells[0].fitness == 1 + 18.0 / 64);
    assert_string_equal(cells[0].bins, "[0,2,3]");
    /* A decision's cell is that of decision - 1: b2 for 4 and 13, c3 for 7 and 16, a1 else (not 0).
     */
    assert_int_equal(cells[1].visits, 2);
    assert_int_equal(cells[2].visits, 2);
    assert_int_equal(cells[0].visits, 20 - 4);
    assert_int_equal(cells[0].improvements, 6); /* all accepted ones but 0, which has no cell */
    assert_int_equal(cells[1].improvements, 0);
    kds_ledger_close(l);
    cJSON_Delete(stop);
}

/* A cell that is visited before anything was put there is empty. */
static void test_empty_cell(void **state)
{
    kds_ledger *l = NULL;
    kds_cell_row cells[3];
    cJSON *body =
        cJSON_Parse("{\"decision\":0,\"operator\":\"tune\",\"cell\":\"00000000000000b2\"}");
    (void)state;
    memset(cells, 0, sizeof cells);
    ASSERT_OK(kds_ledger_memory(&l, e));
    ASSERT_OK(kds_ledger_append(l, "DECISION", body, NULL, e));
    ASSERT_OK(kds_ledger_each_cell(l, tally_cell, cells, e));
    assert_string_equal(cells[1].key, "00000000000000b2");
    assert_string_equal(cells[1].elite, "");
    assert_true(isnan(cells[1].fitness));
    assert_int_equal(cells[1].visits, 1);
    assert_int_equal(cells[1].filled_by, -1);
    kds_ledger_close(l);
    cJSON_Delete(body);
}

static void test_candidates(void **state)
{
    kds_ledger *l = NULL;
    kds_err err;
    tally t = {0};
    char hex[KDS_ID_HEX];
    kds_candidate_row r;
    script_archive(*state, 14);
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_WRITE, e));
    script_run(l, SCRIPT_EVENTS(14) + 6); /* decision 14 has its candidate and is under way */
    ASSERT_OK(kds_ledger_each_candidate(l, "decision", NULL, NULL, 0, tally_candidate, &t, e));
    assert_int_equal(t.rows, 13);
    r = t.first;
    kds_id_format(script_id(0), hex);
    assert_string_equal(r.id, hex);
    assert_string_equal(r.parent, "");
    assert_string_equal(r.operator_name, "repair");
    assert_string_equal(r.model, "m1");
    assert_string_equal(r.verdict, "ok");
    assert_string_equal(r.stage, "judge");
    assert_string_equal(r.cell, script_cell(0));
    assert_string_equal(r.hypothesis, "wider loads \xc3\xa9");
    assert_string_equal(r.why, "faster");
    assert_true(r.accepted && r.fitness == 1 && r.decision == 0 && r.time_ms > 0);
    assert_int_equal(strlen(r.report), 32);
    assert_int_equal(strlen(r.cubin), 32);
    assert_int_equal(t.last.decision, 14);
    assert_string_equal(t.last.verdict, "");
    assert_true(isnan(t.last.fitness) && !t.last.accepted);
    t = (tally){0};
    ASSERT_OK(kds_ledger_each_candidate(l, "fitness", NULL, NULL, 3, tally_candidate, &t, e));
    assert_int_equal(t.rows, 3);
    assert_int_equal(t.first.decision, 12);
    assert_int_equal(t.last.decision, 9);
    t = (tally){0};
    ASSERT_OK(kds_ledger_each_candidate(l, "fitness", "wrong", NULL, 0, tally_candidate, &t, e));
    assert_int_equal(t.rows, 4); /* 1 4 7 10; 13 repeats 12 */
    t = (tally){0};
    ASSERT_OK(
        kds_ledger_each_candidate(l, "decision", "ok", script_cell(3), 0, tally_candidate, &t, e));
    assert_int_equal(t.rows, 2); /* 3 and 12 */
    expect(kds_ledger_each_candidate(l, "size", NULL, NULL, 0, tally_candidate, &t, &err),
           KDS_USAGE, &err, "order");
    t = (tally){0};
    ASSERT_OK(kds_ledger_each_ids(l, tally_ids, &t, e));
    assert_int_equal(t.rows, 13);
    assert_int_equal(t.flying, 1);
    assert_int_equal(t.with_norm, 13);
    assert_int_equal(t.with_cubin, 6); /* even decisions but 6, which repeats 5, and 14 */
    kds_ledger_close(l);
    assert_whole(*state);
}

/* The first decision of an id is its own; a repeat changes only the decision, unless it is
 * accepted. */
static void test_repeats(void **state)
{
    kds_ledger *l = NULL;
    kds_candidate_row r;
    script_archive(*state, 14);
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_READ, e));
    ASSERT_OK(kds_ledger_find(l, "#13", &r, e)); /* repeats 12 and is rejected as its duplicate */
    assert_int_equal(r.decision, 12);
    assert_string_equal(r.verdict, "ok");
    assert_true(r.accepted);
    ASSERT_OK(kds_ledger_find(l, "#6", &r, e)); /* repeats 5 and is accepted */
    assert_int_equal(r.decision, 5);
    assert_true(r.accepted);
    assert_string_equal(r.cell, script_cell(6));
    kds_ledger_close(l);
}

static void test_find(void **state)
{
    kds_ledger *l = NULL;
    kds_err err;
    kds_candidate_row r;
    char hex[KDS_ID_HEX], upper[KDS_ID_HEX], prefix[2] = "0";
    script_archive(*state, 40);
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_READ, e));
    kds_id_format(script_id(8), hex);
    ASSERT_OK(kds_ledger_find(l, hex, &r, e));
    assert_int_equal(r.decision, 8);
    for (int i = 0; i < KDS_ID_HEX; i++)
        upper[i] = hex[i] >= 'a' ? (char)(hex[i] - 'a' + 'A') : hex[i];
    upper[12] = '\0';
    ASSERT_OK(kds_ledger_find(l, upper, &r, e));
    assert_int_equal(r.decision, 8);
    ASSERT_OK(kds_ledger_find(l, "best", &r, e));
    assert_int_equal(r.decision, 36); /* the last even multiple of three */
    bool ambiguous = false;           /* 35 ids and 16 digits: some digit begins several */
    for (int d = 0; d < 16 && !ambiguous; d++) {
        prefix[0] = "0123456789abcdef"[d];
        ambiguous = kds_ledger_find(l, prefix, &r, &err) == KDS_USAGE;
    }
    assert_true(ambiguous);
    assert_non_null(strstr(err.message, "several"));
    expect(kds_ledger_find(l, "", &r, &err), KDS_USAGE, &err, "named");
    expect(kds_ledger_find(l, "zz", &r, &err), KDS_NOT_FOUND, &err, "no candidate 'zz'");
    expect(kds_ledger_find(l, "00000000000000000000000000000000", &r, &err), KDS_NOT_FOUND, &err,
           "kdasearch list");
    expect(kds_ledger_find(l, "000000000000000000000000000000000", &r, &err), KDS_NOT_FOUND, &err,
           NULL);
    expect(kds_ledger_find(l, "#400", &r, &err), KDS_NOT_FOUND, &err, "400");
    expect(kds_ledger_find(l, "#x", &r, &err), KDS_USAGE, &err, "#N");
    kds_ledger_close(l);
    ASSERT_OK(kds_ledger_memory(&l, e));
    expect(kds_ledger_find(l, "best", &r, &err), KDS_NOT_FOUND, &err, "no best");
    kds_ledger_close(l);
}

static void test_meta(void **state)
{
    kds_ledger *l = NULL;
    script_archive(*state, 1);
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_READ, e));
    static const char *const pairs[][2] = {{"format", "1"},
                                           {"task", "rotary_embedding"},
                                           {"seed", "9007199254740993"},
                                           {"settings", "{\"max-evals\":\"100\"}"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *value = kds_ledger_meta(l, pairs[i][0]);
        assert_non_null(value);
        assert_string_equal(value, pairs[i][1]);
        free(value);
    }
    assert_null(kds_ledger_meta(l, "nothing"));
    kds_ledger_close(l);
}

static kds_code keep_row(void *user, const cJSON *row, kds_err *e)
{
    cJSON **rows = user;
    (void)e;
    cJSON_AddItemToArray(*rows, cJSON_Duplicate(row, 1));
    return KDS_OK;
}

static void test_select(void **state)
{
    kds_ledger *l = NULL;
    kds_err err;
    cJSON *rows = cJSON_CreateArray(), *args = cJSON_Parse("[\"ok\", 1.0, true, null]");
    script_archive(*state, 4);
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_READ, e));
    ASSERT_OK(kds_ledger_select(l,
                                "SELECT decision, verdict, fitness, cell, x'00ff' AS bytes,"
                                " 9007199254740993 AS big, ?3 + 1 AS two, ?4 AS nil FROM decisions"
                                " WHERE verdict = ?1 AND fitness > ?2 ORDER BY decision",
                                args, keep_row, &rows, e));
    assert_int_equal(cJSON_GetArraySize(rows), 2); /* 2 and 3 */
    char *text = cJSON_PrintUnformatted(cJSON_GetArrayItem(rows, 1));
    assert_string_equal(text, "{\"decision\":3,\"verdict\":\"ok\",\"fitness\":1.046875,"
                              "\"cell\":\"00000000000000a1\",\"bytes\":\"00ff\","
                              "\"big\":\"9007199254740993\",\"two\":2,\"nil\":null}");
    free(text);
    static const char *const refused[] = {"DELETE FROM events",
                                          "SELECT 1; DELETE FROM events",
                                          "PRAGMA user_version",
                                          "",
                                          "  ",
                                          "WITH x AS (SELECT 1) DELETE FROM events",
                                          "ATTACH 'x' AS y",
                                          "VACUUM"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        expect(kds_ledger_select(l, refused[i], NULL, keep_row, &rows, &err), KDS_USAGE, &err,
               "single SELECT");
    assert_int_not_equal(kds_ledger_select(l, "SELECT nonsense", NULL, keep_row, &rows, &err),
                         KDS_OK);
    kds_ledger_close(l);
    cJSON_Delete(rows);
    cJSON_Delete(args);
}

/* The incremental tables are the fold of the events, at every length of the record. */
static void test_fold_equals_incremental(void **state)
{
    kds_ledger *l = NULL;
    ASSERT_OK(kds_ledger_create(&l, *state, e));
    for (int64_t n = 1; n <= SCRIPT_EVENTS(8); n++) {
        script_run(l, n);
        assert_whole(*state); /* a reader beside the writer */
    }
    kds_ledger_close(l);
    assert_whole(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_objects),
        cmocka_unit_test(test_object_cap),
        IN_FOLDER(test_events),
        IN_FOLDER(test_unknown_kind),
        IN_FOLDER(test_malformed),
        cmocka_unit_test(test_apply_is_strict),
        IN_FOLDER(test_transactions),
        IN_FOLDER(test_totals_and_cells),
        cmocka_unit_test(test_empty_cell),
        IN_FOLDER(test_candidates),
        IN_FOLDER(test_repeats),
        IN_FOLDER(test_find),
        IN_FOLDER(test_meta),
        IN_FOLDER(test_select),
        IN_FOLDER(test_fold_equals_incremental),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
