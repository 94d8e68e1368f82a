/* The acceptance rule, branch by branch: who becomes the elite of a cell, who does not and why, and
 * what is no outcome at all but a damaged record. */
#include "tests/engine/world.h"

static const outcome as_baseline = {100, 100, {1, 1, 0}, NULL, NULL};

static void assert_field(const cJSON *body, const char *key, const char *want)
{
    const char *got = kds_json_str(body, key, NULL);
    if (!want)
        assert_null(got);
    else if (!got || strcmp(got, want) != 0)
        fail_msg("%s is %s, not %s", key, got ? got : "null", want);
}

static void assert_why(const cJSON *body, const char *words)
{
    const char *why = kds_json_str(body, "why", "");
    if (!strstr(why, words))
        fail_msg("'%s' does not say '%s'", why, words);
}

static char *hex_of(const char *source)
{
    static char hex[KDS_ID_HEX];
    kds_id_format(kds_id_of(source, strlen(source)), hex);
    return hex;
}

/* A campaign whose baseline is the elite of cell [1,1]. */
static world *begun(void)
{
    bool accepted = false;
    world *w = world_create(1, true);
    int64_t decision = propose(w, "baseline", "task", w->task->baseline);
    judge(w, decision, &as_baseline);
    cJSON *body = commit(w, decision, &accepted);
    assert_true(accepted);
    assert_true(kds_json_bool(body, "best", false));
    assert_field(body, "why", "first in its cell");
    assert_field(body, "replaced", NULL);
    cJSON_Delete(body);
    return w;
}

static const kds_cell *cell_at(const world *w, int a, int b)
{
    const int bins[] = {a, b, 0};
    return kds_state_cell(w->state, kds_cell_key(1, bins, 3));
}

/* An empty cell takes whoever passed, and only what is faster than the best is the best. */
static void test_an_empty_cell(void **state)
{
    (void)state;
    bool accepted = false;
    world *w = begun();
    cJSON *slow =
        child(w, "slow", &(outcome){.large_us = 300, .small_us = 300, .bins = {0, 2}}, &accepted);
    assert_true(accepted);
    assert_false(kds_json_bool(slow, "best", true));
    assert_field(slow, "candidate", hex_of("slow"));
    assert_field(slow, "verdict", "ok");
    assert_field(slow, "replaced", NULL);
    assert_true(fabs(kds_json_num(slow, "fitness", 0) - 1.0 / 3) < 1e-12);
    const cJSON *bins = kds_json_at(slow, "bins");
    assert_int_equal(cJSON_GetArraySize(bins), 3);
    assert_int_equal(cJSON_GetArrayItem(bins, 1)->valueint, 2);
    cJSON_Delete(slow);
    cJSON_Delete(
        child(w, "fast", &(outcome){.large_us = 50, .small_us = 50, .bins = {3, 0}}, &accepted));
    assert_true(accepted);
    assert_true(kds_id_equal(w->state->best, kds_id_of("fast", 4)));
    assert_true(w->state->best_fitness == 2);
    assert_int_equal(w->state->cell_count, 3);
    assert_true(kds_id_equal(cell_at(w, 0, 2)->elite, kds_id_of("slow", 4)));
    world_free(w);
}

/* A gain within the margin makes an elite of an empty cell, but no new best. */
static void test_a_tiny_gain_is_no_best(void **state)
{
    (void)state;
    bool accepted = false;
    world *w = begun();
    double us = 100 / (1 + 0.5 * w->task->margin);
    cJSON_Delete(
        child(w, "tiny", &(outcome){.large_us = us, .small_us = us, .bins = {2, 2}}, &accepted));
    assert_true(accepted);
    assert_true(kds_id_equal(w->state->best, w->state->baseline));
    world_free(w);
}

static void test_a_taken_cell(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        double large_us, small_us; /* the elite has 100 and 100 */
        bool accepted;
        const char *why;
    } cases[] = {
        {"the same times", 100, 100, false, "against the incumbent"},
        {"slower", 120, 120, false, "against the incumbent"},
        {"faster by less than the margin", 99.9, 99.9, false, "needed"},
        {"faster, one row much slower", 50, 103, false, "row small is 3.0 % slower"},
        {"faster, one row a little slower", 80, 101, true, "faster than the incumbent"},
        {"faster", 90, 90, true, "11.11 % faster"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool accepted = false;
        world *w = begun();
        char baseline[KDS_ID_HEX];
        kds_id_format(w->state->baseline, baseline);
        cJSON *body =
            child(w, cases[i].source,
                  &(outcome){
                      .large_us = cases[i].large_us, .small_us = cases[i].small_us, .bins = {1, 1}},
                  &accepted);
        if (accepted != cases[i].accepted)
            fail_msg("%s: %s", cases[i].source, kds_json_str(body, "why", ""));
        assert_why(body, cases[i].why);
        assert_field(body, "verdict", "ok");
        assert_int_equal(strlen(kds_json_str(body, "cell", "")), 16);
        assert_true(kds_json_num(body, "fitness", 0) > 0);
        assert_field(body, "replaced", accepted ? baseline : NULL);
        assert_int_equal(kds_json_bool(body, "best", false), accepted);
        const kds_id *elite = &cell_at(w, 1, 1)->elite;
        assert_int_equal(kds_id_equal(*elite, w->state->baseline), !accepted);
        assert_int_equal(w->state->cell_count, 1);
        cJSON_Delete(body);
        world_free(w);
    }
}

/* What is too good to be true waits for a person, also in an empty cell; other flags do not. */
static void test_quarantine(void **state)
{
    (void)state;
    static const char *const flags[] = {"beyond_roofline", "above_10x", "production_unchecked",
                                        "sampled"};
    for (int i = 0; i < 4; i++) {
        for (int empty = 0; empty < 2; empty++) {
            bool accepted = false;
            world *w = begun();
            cJSON *body = child(
                w, "good",
                &(outcome){.large_us = 5, .small_us = 5, .bins = {1, 1 + empty}, .flag = flags[i]},
                &accepted);
            assert_int_equal(accepted, i == 3);
            if (!accepted) {
                assert_why(body, "kept for review");
                assert_why(body, flags[i]);
                assert_field(body, "verdict", "ok");
                assert_true(kds_json_num(body, "fitness", 0) == 20);
                assert_int_equal(strlen(kds_json_str(body, "cell", "")), 16);
                assert_true(kds_id_equal(w->state->best, w->state->baseline));
            }
            cJSON_Delete(body);
            world_free(w);
        }
    }
}

/* What failed keeps its verdict and says why. */
static void test_failures(void **state)
{
    (void)state;
    static const char *const verdicts[] = {"source_rejected", "compile_failed", "wrong",
                                           "timeout",         "device_fault",   "not_simulated"};
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
        bool accepted = true;
        world *w = begun();
        int64_t decision = propose(w, "tune", "builtin", "bad");
        stage(w, decision, "judge", verdicts[i], "the reason", (kds_id){0, 0},
              i == 2 ? put_json(w, make_report(&as_baseline)) : (kds_id){0, 0});
        cJSON *body = commit(w, decision, &accepted);
        assert_false(accepted);
        assert_field(body, "verdict", verdicts[i]);
        assert_field(body, "why", "the reason");
        assert_field(body, "candidate", hex_of("bad"));
        assert_field(body, "cell", NULL);
        assert_true(cJSON_IsNull(kds_json_at(body, "fitness")));
        assert_int_equal(w->state->evaluated, 2);
        cJSON_Delete(body);
        world_free(w);
    }
}

/* A proposer that made nothing ends its decision like any other failure. */
static void test_no_child(void **state)
{
    (void)state;
    bool accepted = true;
    world *w = begun();
    int64_t decision = propose(w, "mutate", "endpoint", NULL);
    cJSON *body = cJSON_CreateObject();
    kds_json_add_int(body, "decision", decision);
    kds_json_add_str(body, "candidate", NULL);
    kds_json_add_str(body, "stage", "propose");
    kds_json_add_str(body, "verdict", "no_child");
    kds_json_add_str(body, "message", "no code in the reply");
    record(w, "STAGE", body);
    body = commit(w, decision, &accepted);
    assert_false(accepted);
    assert_field(body, "verdict", "no_child");
    assert_field(body, "candidate", NULL);
    assert_field(body, "why", "no code in the reply");
    assert_int_equal(w->state->evaluated, 1);
    assert_int_equal(w->state->repair_count, 0);
    cJSON_Delete(body);
    world_free(w);
}

/* A failed stage is an outcome at once, a passed one only at the end. */
static void test_ready(void **state)
{
    (void)state;
    world *w = begun();
    kds_id none = {0, 0}, program = {7, 8};
    int64_t decision = propose(w, "tune", "builtin", "fresh");
    assert_false(kds_commit_ready(w->state, kds_state_flight(w->state, decision)));
    stage(w, decision, "compile", "ok", "", program, none);
    assert_false(kds_commit_ready(w->state, kds_state_flight(w->state, decision)));
    stage(w, decision, "judge", "wrong", "w", none, none);
    assert_true(kds_commit_ready(w->state, kds_state_flight(w->state, decision)));
    decision = propose(w, "mutate", "endpoint", NULL);
    assert_false(kds_commit_ready(w->state, kds_state_flight(w->state, decision)));
    world_free(w);
}

static void assert_duplicate(world *w, int64_t decision, const char *twin)
{
    bool accepted = true;
    const kds_cell *cell = cell_at(w, 2, 3);
    char key[17];
    kds_cell_format(cell->key, key);
    cJSON *body = commit(w, decision, &accepted);
    assert_false(accepted);
    assert_field(body, "verdict", "duplicate");
    assert_field(body, "duplicate_of", hex_of(twin));
    assert_field(body, "cell", key);
    assert_true(kds_json_num(body, "fitness", 0) == 2);
    assert_why(body, "the same as #1");
    cJSON_Delete(body);
}

/* The same source, the same text but for its layout, the same program: each inherits what the twin
 * got, none needs its own verdict. */
static void test_duplicates(void **state)
{
    (void)state;
    static const char source[] = "__global__ void k(float *x) { x[0] = 1; }\n";
    static const char layout[] = "__global__ void k(float *x)\n{\n    x[0] = 1; // one\n}\n";
    bool accepted = false;
    kds_id none = {0, 0}, program = {7, 8};
    world *w = begun();
    int64_t first = propose(w, "mutate", "endpoint", source);
    stage(w, first, "compile", "ok", "", program, none);
    int64_t other_flight = propose(w, "mutate", "endpoint", layout);
    assert_int_equal(kds_commit_twin(w->state, kds_state_flight(w->state, other_flight)), -1);
    judge(w, first, &(outcome){.large_us = 50, .small_us = 50, .bins = {2, 3}});
    assert_false(kds_commit_ready(w->state, kds_state_flight(w->state, other_flight)));
    cJSON_Delete(commit(w, first, &accepted));
    assert_true(accepted);

    int64_t evaluated = w->state->evaluated;
    assert_duplicate(w, other_flight, source);
    assert_duplicate(w, propose(w, "mutate", "endpoint", source), source);
    int64_t same_program = propose(w, "tune", "builtin", "renamed");
    assert_false(kds_commit_ready(w->state, kds_state_flight(w->state, same_program)));
    stage(w, same_program, "compile", "ok", "", program, none);
    assert_duplicate(w, same_program, source);
    /* even if it was judged meanwhile, and differently */
    int64_t judged = propose(w, "tune", "builtin", "renamed again");
    stage(w, judged, "compile", "ok", "", program, none);
    judge(w, judged, &(outcome){.large_us = 10, .small_us = 10, .bins = {0, 0}});
    assert_duplicate(w, judged, source);
    assert_int_equal(w->state->evaluated, evaluated);
    assert_null(cell_at(w, 0, 0));
    world_free(w);
}

/* A twin that failed lends its failure, which has neither cell nor fitness. */
static void test_a_twin_that_failed(void **state)
{
    (void)state;
    bool accepted = true;
    world *w = begun();
    int64_t decision = propose(w, "tune", "builtin", "bad");
    stage(w, decision, "compile", "compile_failed", "the reason", (kds_id){0, 0}, (kds_id){0, 0});
    cJSON_Delete(commit(w, decision, &accepted));
    cJSON *body = commit(w, propose(w, "mutate", "endpoint", "bad"), &accepted);
    assert_false(accepted);
    assert_field(body, "verdict", "duplicate");
    assert_field(body, "duplicate_of", hex_of("bad"));
    assert_field(body, "cell", NULL);
    assert_true(cJSON_IsNull(kds_json_at(body, "fitness")));
    assert_int_equal(w->state->repair_count, 0);
    cJSON_Delete(body);
    world_free(w);
}

/* Which program a duplicate had depends on how far it came before its twin was committed; what is
 * known afterwards must not. */
static void test_a_duplicate_teaches_no_program(void **state)
{
    (void)state;
    kds_id none = {0, 0}, first = {1, 1}, second = {2, 2};
    for (int compiled = 0; compiled < 2; compiled++) {
        bool accepted = false;
        world *w = begun();
        int64_t one = propose(w, "mutate", "endpoint", "int a;");
        int64_t two = propose(w, "mutate", "endpoint", "int  a;");
        stage(w, one, "compile", "ok", "", first, none);
        if (compiled)
            stage(w, two, "compile", "ok", "", second, none);
        judge(w, one, &(outcome){.large_us = 50, .small_us = 50, .bins = {2, 3}});
        cJSON_Delete(commit(w, one, &accepted));
        cJSON_Delete(commit(w, two, &accepted));
        assert_false(accepted);
        assert_int_equal(kds_map_get(w->state->programs, first), one);
        assert_int_equal(kds_map_get(w->state->programs, second), -1);
        world_free(w);
    }
}

/* In order of arrival the second of two equal children may be committed first. The cell's elite can
 * still be challenged, and the first is a duplicate. */
static void test_the_later_twin_comes_first(void **state)
{
    (void)state;
    bool accepted = false;
    char hex[KDS_ID_HEX];
    kds_candidate_row row;
    world *w = begun();
    int64_t first = propose(w, "mutate", "endpoint", "twins");
    int64_t second = propose(w, "mutate", "endpoint", "twins");
    judge(w, second, &(outcome){.large_us = 50, .small_us = 50, .bins = {2, 3}});
    cJSON_Delete(commit(w, second, &accepted));
    assert_true(accepted);
    cJSON *body = commit(w, first, &accepted);
    assert_false(accepted);
    assert_field(body, "verdict", "duplicate");
    assert_true(kds_json_num(body, "fitness", 0) == 2);
    cJSON_Delete(body);
    body =
        child(w, "better", &(outcome){.large_us = 40, .small_us = 40, .bins = {2, 3}}, &accepted);
    assert_true(accepted);
    kds_id_format(kds_id_of("twins", 5), hex);
    assert_field(body, "replaced", hex);
    cJSON_Delete(body);
    ASSERT_OK(kds_ledger_find(w->ledger, hex, &row, e));
    assert_true(row.accepted);
    assert_string_equal(row.verdict, "ok");
    assert_int_equal(strlen(row.report), 32);
    world_free(w);
}

/* A flight that says "ok" with nothing behind it, or with a report that cannot be right, is a
 * damaged record and no outcome. */
static void test_damaged_reports(void **state)
{
    (void)state;
    for (int i = 0; i < 7; i++) {
        const char *kind = NULL;
        cJSON *body = NULL, *report = make_report(&as_baseline);
        cJSON *descriptor = cJSON_GetObjectItem(report, "descriptor");
        kds_err err = {0};
        kds_id id = {3, 4}, none = {0, 0};
        world *w = begun();
        int64_t decision = propose(w, "tune", "builtin", "candidate");
        if (i == 2)
            cJSON_DeleteItemFromObject(report, "descriptor");
        else if (i == 3)
            cJSON_ReplaceItemInObject(descriptor, "cell", cJSON_CreateString("not a cell"));
        else if (i == 4)
            cJSON_DeleteItemFromObject(report, "fitness");
        else if (i == 5)
            cJSON_ReplaceItemInObject(report, "fitness", cJSON_CreateNumber(INFINITY));
        if (i == 6)
            ASSERT_OK(kds_ledger_put(w->ledger, "report", "{\"verdict\":", 11, &id, e));
        if (i >= 2 && i < 6)
            id = put_json(w, report);
        else
            cJSON_Delete(report);
        stage(w, decision, "judge", "ok", "", none, i == 0 ? none : id);
        const kds_flight *f = kds_state_flight(w->state, decision);
        assert_int_equal(kds_commit(&w->selector, w->state, f, &kind, &body, &err), KDS_DAMAGED);
        assert_null(body);
        assert_non_null(strstr(err.message, "decision 1"));
        world_free(w);
    }
}

/* Reports that are kept make room for others, but never one that a commit is at work with: here the
 * child's is the first of as many as are kept, and the elite's is read beside it. */
static void test_kept_reports(void **state)
{
    (void)state;
    const char *kind = NULL;
    cJSON *body = NULL;
    kds_kept_reports kept = {.uses = 0};
    const outcome faster = {.large_us = 90, .small_us = 90, .bins = {1, 1}};
    world *w = begun();
    int64_t decision = propose(w, "tune", "builtin", "candidate");
    judge(w, decision, &faster);
    const kds_flight *f = kds_state_flight(w->state, decision);
    for (int64_t i = 0; i < KDS_REPORTS_KEPT; i++)
        kds_keep_report(&kept, decision + i, f->report, make_report(&faster));
    w->selector.reports = &kept;
    ASSERT_OK(kds_commit(&w->selector, w->state, f, &kind, &body, e));
    assert_string_equal(kind, "ACCEPT");
    assert_why(body, "11.11 % faster");
    cJSON_Delete(body);
    w->selector.reports = NULL;
    kds_kept_reports_free(&kept);
    world_free(w);
}

/* Results of another device or another simulator are never compared. */
static void test_another_fingerprint(void **state)
{
    (void)state;
    const char *kind = NULL;
    cJSON *body = NULL;
    kds_err e = {0};
    world *w = begun();
    int64_t decision = propose(w, "tune", "builtin", "candidate");
    judge(w, decision,
          &(outcome){.large_us = 10, .small_us = 10, .bins = {1, 1}, .fingerprint = "another"});
    assert_int_not_equal(
        kds_commit(&w->selector, w->state, kds_state_flight(w->state, decision), &kind, &body, &e),
        KDS_OK);
    assert_null(body);
    assert_non_null(strstr(e.message, "fingerprint"));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_cell),
        cmocka_unit_test(test_a_tiny_gain_is_no_best),
        cmocka_unit_test(test_a_taken_cell),
        cmocka_unit_test(test_quarantine),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_no_child),
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_a_twin_that_failed),
        cmocka_unit_test(test_a_duplicate_teaches_no_program),
        cmocka_unit_test(test_the_later_twin_comes_first),
        cmocka_unit_test(test_damaged_reports),
        cmocka_unit_test(test_kept_reports),
        cmocka_unit_test(test_another_fingerprint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
