/* The derived tables as their readers see them: sums, cells and candidates say what the events
 * said, and every way to ask for them answers or explains. */
#include "tests/archive/fixture.h"

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
    cJSON *rows = cJSON_CreateArray(), *args = cJSON_Parse("[\"ok\", 1.01, true, null]");
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

/* Texts longer than their field are cut between characters, never within one. */
static void test_long_texts(void **state)
{
    kds_ledger *l = NULL;
    kds_candidate_row row;
    char text[1200] = "x", hex[KDS_ID_HEX];
    cJSON *decision = cJSON_Parse("{\"decision\":0,\"operator\":\"tune\",\"target\":\"wide\"}");
    cJSON *body = cJSON_Parse("{\"decision\":0}");
    (void)state;
    for (int i = 0; i < 500; i++)
        memcpy(text + 1 + 2 * i, "\xc3\xa9", 3);
    kds_json_add_id(body, "candidate", script_id(0));
    kds_json_add_str(body, "hypothesis", text);
    ASSERT_OK(kds_ledger_memory(&l, e));
    ASSERT_OK(kds_ledger_append(l, "DECISION", decision, NULL, e));
    ASSERT_OK(kds_ledger_append(l, "CANDIDATE", body, NULL, e));
    kds_id_format(script_id(0), hex);
    ASSERT_OK(kds_ledger_find(l, hex, &row, e));
    assert_int_equal(strlen(row.hypothesis), 399); /* 400 with its NUL: "x" and 199 of two bytes */
    assert_memory_equal(row.hypothesis, text, 399);
    kds_ledger_close(l);
    cJSON_Delete(decision);
    cJSON_Delete(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_totals_and_cells),
        cmocka_unit_test(test_empty_cell),
        IN_FOLDER(test_candidates),
        IN_FOLDER(test_repeats),
        IN_FOLDER(test_find),
        IN_FOLDER(test_meta),
        IN_FOLDER(test_select),
        cmocka_unit_test(test_long_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
