/* Where times are measured: which duels a candidate has to fight, and what their outcomes make of
 * it. The duels are made up. */
#include "tests/engine/measured.h"

/* An empty cell takes whoever passed; a slow one is not tried against the best. */
static void test_an_empty_cell(void **state)
{
    (void)state;
    world *w = begun();
    int64_t d = judged(w, "slow", 105, 0, 2);
    expect_need(w, d, KDS_BOUT_BASELINE, w->state->baseline, false);
    fought(w, d, -0.05);
    cJSON *body = end(w, d, true);
    assert_false(kds_json_bool(body, "best", true));
    cJSON_Delete(body);
    world_free(w);
}

/* What the report says of times decides nothing: the duel does. */
static void test_only_a_duel_takes_a_cell(void **state)
{
    (void)state;
    world *w = begun();
    int64_t d = judged(w, "looks fast", 50, 1, 1);
    expect_need(w, d, KDS_BOUT_CELL, w->state->baseline, false);
    fought(w, d, 0.001);
    cJSON *body = end(w, d, false);
    assert_string_equal(kds_json_str(body, "verdict", ""), "ok");
    cJSON_Delete(body);
    assert_true(kds_id_equal(w->state->best, w->state->baseline));
    world_free(w);
}

/* Against the baseline first, then once more in a fresh process; both must be won. */
static void test_the_first_best(void **state)
{
    (void)state;
    for (int confirmed = 0; confirmed < 2; confirmed++) {
        world *w = begun();
        int64_t d = judged(w, "fast", 80, 1, 1);
        fought(w, d, 0.25);
        expect_need(w, d, KDS_BOUT_CONFIRM, w->state->baseline, true);
        kds_bout_need n;
        assert_true(needs(w, d, &n));
        assert_string_equal(n.not_on, "cuda:3"); /* another card is a better witness */
        fought(w, d, confirmed ? 0.24 : 0.0);
        cJSON *body = end(w, d, true);
        assert_int_equal(kds_json_bool(body, "best", false), confirmed);
        assert_int_equal(kds_id_equal(w->state->best, id("fast")), confirmed);
        if (confirmed) { /* the confirming duel is what is told, not the first */
            assert_true(fabs(kds_json_num(body, "speedup", 0) - 1.24) < 1e-12);
            assert_true(fabs(w->state->best_fitness - 1.24) < 1e-12);
            assert_true(fabs(w->state->best_low - 1.239) < 1e-12);
        }
        cJSON_Delete(body);
        world_free(w);
    }
}

/* A second best beats the elite of its cell, then the best, confirms that, and is told by a duel
 * with the baseline. */
static void test_the_next_best(void **state)
{
    (void)state;
    world *w = begun();
    int64_t d = judged(w, "first", 80, 2, 2);
    fought(w, d, 0.25);
    fought(w, d, 0.25);
    cJSON_Delete(end(w, d, true));
    kds_id best = id("first");
    assert_true(kds_id_equal(w->state->best, best));
    d = judged(w, "second", 70, 1, 1);
    expect_need(w, d, KDS_BOUT_CELL, w->state->baseline, false);
    fought(w, d, 0.4);
    expect_need(w, d, KDS_BOUT_BEST, best, false);
    fought(w, d, 0.1);
    expect_need(w, d, KDS_BOUT_CONFIRM, best, true);
    fought(w, d, 0.1);
    expect_need(w, d, KDS_BOUT_REPORT, w->state->baseline, false);
    fought(w, d, 0.39);
    cJSON *body = end(w, d, true);
    assert_true(kds_json_bool(body, "best", false));
    assert_true(fabs(kds_json_num(body, "speedup", 0) - 1.39) < 1e-12);
    cJSON_Delete(body);
    world_free(w);
}

/* A rule broken in any duel is the end of the candidate. */
static void test_a_failure_in_a_duel(void **state)
{
    (void)state;
    for (int won = 0; won < 2; won++) {
        world *w = begun();
        int64_t d = judged(w, "cheats", 60, 1, 1);
        for (int i = 0; i < won; i++)
            fought(w, d, 0.5);
        fought(w, d, NAN);
        cJSON *body = end(w, d, false);
        assert_string_equal(kds_json_str(body, "verdict", ""), "stale_output");
        assert_non_null(strstr(kds_json_str(body, "why", ""), "y[3] was not written"));
        cJSON_Delete(body);
        world_free(w);
    }
}

/* A disturbed duel is fought again, three times in all; then the child has proved nothing. */
static void test_disturbed(void **state)
{
    (void)state;
    world *w = begun();
    int64_t d = judged(w, "unlucky", 90, 1, 1);
    for (int i = 0; i < 3; i++)
        fought(w, d, INFINITY);
    cJSON *body = end(w, d, false);
    assert_string_equal(kds_json_str(body, "verdict", ""), "ok");
    assert_non_null(strstr(kds_json_str(body, "why", ""), "no duel was decided"));
    cJSON_Delete(body);
    d = judged(w, "patient", 90, 1, 1);
    fought(w, d, INFINITY);
    fought(w, d, 0.1);
    fought(w, d, 0.1);
    cJSON_Delete(end(w, d, true));
    world_free(w);
}

/* An elite that has changed meanwhile has to be beaten itself. */
static void test_another_incumbent(void **state)
{
    (void)state;
    world *w = begun();
    int64_t early = judged(w, "early", 98, 1, 1), late = judged(w, "late", 97, 1, 1);
    fought(w, late, 0.02);
    fought(w, late, 0.02);
    fought(w, early, 0.03);
    fought(w, early, 0.03);
    cJSON_Delete(end(w, early, true));
    expect_need(w, late, KDS_BOUT_CELL, id("early"), false);
    fought(w, late, -0.01);
    cJSON_Delete(end(w, late, false));
    world_free(w);
}

/* What is not worth a duel. */
static void test_set_aside(void **state)
{
    (void)state;
    static const struct {
        const char *flag, *why;
    } cases[] = {{"screened", "screened"},
                 {"beyond_roofline", "kept for review: beyond_roofline"},
                 {"above_10x", "kept for review: above_10x"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world *w = begun();
        int64_t d = propose(w, "mutate", "endpoint", "odd");
        judge(w, d,
              &(outcome){.large_us = 50, .small_us = 50, .bins = {1, 1}, .flag = cases[i].flag});
        cJSON *body = end(w, d, false);
        assert_non_null(strstr(kds_json_str(body, "why", ""), cases[i].why));
        cJSON_Delete(body);
        world_free(w);
    }
}

/* Noise: the largest of the last duels of equals, once an epoch has had two. */
static void test_noise(void **state)
{
    (void)state;
    world *w = begun();
    static const double gains[] = {0.001, -0.004, 0.002, 0.001, 0.0005, 0.0005};
    static const double floors[] = {0.001, 0.004, 0.004, 0.004, 0.004, 0.002};
    for (size_t i = 0; i < 6; i++) {
        cJSON *body = cJSON_CreateObject();
        kds_json_add_id(body, "candidate", id("a copy"));
        kds_json_add_str(body, "purpose", "floor");
        kds_json_add_id(body, "incumbent", w->state->baseline);
        kds_json_add_str(body, "verdict", "not_faster");
        kds_json_add_num(body, "gain", gains[i]);
        record(w, "DUEL", body);
        assert_true(fabs(kds_state_floor(w->state) - floors[i]) < 1e-5);
        assert_int_equal(w->state->floor_epoch, (int)i + 1);
    }
    double margin = kds_commit_margin(w->task, w->state);
    assert_true(margin >= 0.0025 && margin >= kds_state_floor(w->state));
    assert_true(kds_id_is_zero(w->state->best) == false && w->state->bouts == 6);
    world_free(w);
}

/* A judged candidate with these values of its axes, the third one the occupancy. */
static int64_t valued(world *w, const char *source, double occupancy)
{
    int64_t d = propose(w, "mutate", "endpoint", source);
    int bin = occupancy < 50 ? 1 : occupancy < 75 ? 2 : 3;
    double values[3] = {6, 0.05, occupancy};
    cJSON *report = make_report(&(outcome){.large_us = 105, .small_us = 105, .bins = {1, 1, bin}});
    cJSON_AddItemToObject(cJSON_GetObjectItemCaseSensitive(report, "descriptor"), "values",
                          cJSON_CreateDoubleArray(values, 3));
    stage(w, d, "judge", "ok", "", (kds_id){0, 0}, put_json(w, report));
    return d;
}

/* A value that is only noise away from an edge stays in its parent's bin, where it has to beat the
 * parent; a clear step does not. */
static void test_bin_edges(void **state)
{
    (void)state;
    static const struct {
        double value;
        int bin; /* of the occupancy: edges 25, 50, 75; the parent has 49.8 */
    } cases[] = {{50.6, 1}, {49.9, 1}, {52, 2}, {74.9, 2}, {80, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world *w = begun();
        kds_bout_need n;
        int64_t d = valued(w, "parent", 49.8);
        fought(w, d, -0.05);
        cJSON_Delete(end(w, d, true));
        d = valued(w, "child", cases[i].value);
        kds_flight *f = kds_state_flight(w->state, d);
        f->parents[0] = id("parent"); /* as if the decision had named it */
        f->parent_count = 1;
        assert_true(needs(w, d, &n));
        bool same_cell = cases[i].bin == 1;
        assert_string_equal(kds_bout_purpose_name(n.purpose), same_cell ? "cell" : "baseline");
        fought(w, d, -0.05);
        cJSON *body = end(w, d, !same_cell);
        if (!same_cell)
            assert_int_equal(cJSON_GetArrayItem(kds_json_at(body, "bins"), 2)->valueint,
                             cases[i].bin);
        cJSON_Delete(body);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_cell),
        cmocka_unit_test(test_only_a_duel_takes_a_cell),
        cmocka_unit_test(test_the_first_best),
        cmocka_unit_test(test_the_next_best),
        cmocka_unit_test(test_a_failure_in_a_duel),
        cmocka_unit_test(test_disturbed),
        cmocka_unit_test(test_another_incumbent),
        cmocka_unit_test(test_set_aside),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_bin_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
