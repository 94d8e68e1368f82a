/* The ledger as its writer sees it: what was written is read back, mistakes are refused without a
 * trace, the tables are the fold of the events, and readers work beside a writer. */
#include "search/base/clock.h"
#include "tests/archive/fixture.h"

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
static const struct {
    const char *kind, *body, *word;
} malformed[] = {
    {"DECISION", "{\"operator\":\"tune\"}", "'decision' is missing"},
    {"DECISION", "{\"decision\":1.5,\"operator\":\"tune\"}", "'decision'"},
    {"DECISION", "{\"decision\":\"x\",\"operator\":\"tune\"}", "'decision'"},
    {"DECISION", "{\"decision\":50}", "'operator' is missing"},
    {"DECISION", "{\"decision\":50,\"operator\":7}", "'operator' is not a text"},
    {"DECISION", "{\"decision\":50,\"operator\":\"t\",\"parents\":{}}", "'parents'"},
    {"DECISION", "{\"decision\":50,\"operator\":\"t\",\"parents\":[\"ab\"]}", "'parents'"},
    {"DECISION", "{\"decision\":50,\"operator\":\"t\",\"parents\":[3]}", "'parents'"},
    {"DECISION", "{\"decision\":50,\"operator\":\"t\",\"cell\":\"00\"}", "'cell'"},
    {"DECISION", "{\"decision\":50,\"operator\":\"t\",\"cell\":\"00000000000000A1\"}", "'cell'"},
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

static void test_malformed(void **state)
{
    kds_ledger *l = NULL;
    script_archive(*state, 2);
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_WRITE, e));
    script_run(l, SCRIPT_EVENTS(2) + 1); /* decision 2 is under way */
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        kds_err err;
        cJSON *body = cJSON_Parse(malformed[i].body);
        assert_non_null(body);
        expect(kds_ledger_append(l, malformed[i].kind, body, NULL, &err), KDS_PROTOCOL, &err,
               malformed[i].word);
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

/* ---- The fold ---- */

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

/* Readers in this process follow a writer in another one: what they see is whole at every moment
 * and never goes back. */
static void test_readers_beside_writer(void **state)
{
    kds_ledger *l = NULL;
    int64_t last = 0;
    int status = 0;
    script_archive(*state, 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (kds_ledger_open(&l, *state, KDS_LEDGER_WRITE, NULL) != KDS_OK)
            _exit(1);
        while (kds_ledger_last_seq(l) < SCRIPT_EVENTS(60))
            if (script_append(l, kds_ledger_last_seq(l) + 1, NULL) != KDS_OK)
                _exit(2);
        kds_ledger_close(l);
        _exit(0);
    }
    while (waitpid(pid, &status, WNOHANG) == 0) {
        assert_whole(*state);
        ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_READ, e));
        assert_true(kds_ledger_last_seq(l) >= last);
        last = kds_ledger_last_seq(l);
        kds_ledger_close(l);
    }
    assert_int_equal(status, 0);
    assert_whole(*state);
    ASSERT_OK(kds_ledger_open(&l, *state, KDS_LEDGER_READ, e));
    assert_int_equal(kds_ledger_last_seq(l), SCRIPT_EVENTS(60));
    kds_ledger_close(l);
}

/* A body has a cap; one above it is refused and nothing of its transaction stays. */
static void test_body_cap(void **state)
{
    kds_ledger *l = NULL;
    kds_err err;
    size_t len = 17u << 20;
    char *text = malloc(len + 1);
    cJSON *body = cJSON_CreateObject(), *good = cJSON_Parse("{\"epoch\":1}");
    (void)state;
    assert_non_null(text);
    memset(text, 'x', len);
    text[len] = '\0';
    assert_true(kds_json_add_str(body, "message", text));
    ASSERT_OK(kds_ledger_memory(&l, e));
    ASSERT_OK(kds_ledger_begin(l, e));
    ASSERT_OK(kds_ledger_append(l, "EPOCH", good, NULL, e));
    expect(kds_ledger_append(l, "NOTE", body, NULL, &err), KDS_TOO_LARGE, &err, "larger");
    assert_int_equal(kds_ledger_last_seq(l), 0);
    ASSERT_OK(kds_ledger_append(l, "EPOCH", good, NULL, e));
    kds_ledger_close(l);
    cJSON_Delete(body);
    cJSON_Delete(good);
    free(text);
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
        IN_FOLDER(test_fold_equals_incremental),
        IN_FOLDER(test_readers_beside_writer),
        cmocka_unit_test(test_body_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
