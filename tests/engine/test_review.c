/* Reviews of what duels have promoted, and duels that are fought side by side. The duels are made
 * up. */
#include "tests/engine/measured.h"

#include "search/engine/review.h"

/* A campaign in which "first" has taken the baseline's cell and is the best. */
static world *promoted(void)
{
    world *w = begun();
    int64_t d = judged(w, "first", 80, 1, 1);
    fought(w, d, 0.25);
    fought(w, d, 0.24);
    cJSON_Delete(end(w, d, true));
    assert_true(kds_id_equal(w->state->best, id("first")));
    return w;
}

static kds_review expect_review(world *w, bool due, bool of_best, const char *holder, bool fresh)
{
    kds_review r;
    assert_true(kds_review_next(w->state, due, &r));
    assert_int_equal(r.has_cell, !of_best);
    assert_true(kds_id_equal(r.holder, id(holder)));
    assert_int_equal(r.fresh, fresh);
    return r;
}

static void reviewed(world *w, const kds_review *r, double gain)
{
    char key[17];
    kds_cell_format(r->cell, key);
    answered(w, announced(w, -1, KDS_BOUT_REVIEW, r->has_cell ? key : NULL, r->holder, r->former),
             gain);
}

/* The event that is due; false if none is. */
static bool retired(world *w)
{
    cJSON *body = NULL;
    ASSERT_OK(kds_review_retire(w->state, &body, e));
    if (body)
        record(w, "RETIRE", body);
    return body != NULL;
}

/* Who has replaced nobody claims nothing. */
static void test_nothing_to_review(void **state)
{
    (void)state;
    kds_review r;
    world *w = begun();
    assert_false(kds_review_next(w->state, true, &r));
    int64_t d = judged(w, "slow", 105, 0, 2); /* the first in its cell */
    fought(w, d, -0.05);
    cJSON_Delete(end(w, d, true));
    assert_false(kds_review_next(w->state, true, &r));
    assert_false(retired(w));
    world_free(w);
}

/* Who holds what it claims is left alone; the claims take turns. */
static void test_claims_take_turns(void **state)
{
    (void)state;
    kds_review r;
    world *w = promoted();
    assert_false(kds_review_next(w->state, false, &r));
    for (int i = 0; i < 3; i++) {
        for (int of_best = 1; of_best >= 0; of_best--) {
            r = expect_review(w, true, of_best, "first", false);
            assert_true(kds_id_equal(r.former, w->state->baseline));
            reviewed(w, &r, 0.2);
            assert_int_equal(w->state->since_review, 0);
        }
    }
    assert_false(retired(w));
    world_free(w);
}

/* Once is chance; twice in a row, and the place goes back. */
static void test_a_place_goes_back(void **state)
{
    (void)state;
    world *w = promoted();
    kds_id baseline = w->state->baseline;
    kds_review r = expect_review(w, true, true, "first", false);
    reviewed(w, &r, -0.001);
    assert_false(retired(w));
    r = expect_review(w, false, true, "first", true); /* at once, and afresh */
    reviewed(w, &r, 0.1);                             /* it is faster after all */
    assert_false(kds_review_next(w->state, false, &r));
    r = expect_review(w, true, false, "first", false);
    reviewed(w, &r, -0.001);
    r = expect_review(w, false, false, "first", true);
    reviewed(w, &r, INFINITY); /* disturbed: it says nothing */
    assert_false(retired(w));
    r = expect_review(w, false, false, "first", true);
    reviewed(w, &r, NAN); /* it broke a rule: worse than slow */
    assert_true(retired(w));
    assert_false(retired(w));
    kds_cell *cell = kds_state_cell(w->state, r.cell);
    assert_true(kds_id_equal(cell->elite, baseline));
    assert_int_equal(cell->elite_decision, 0);
    assert_true(cell->fitness == 1);
    assert_true(kds_id_equal(w->state->best, id("first"))); /* a claim of its own */
    for (int i = 0; i < 2; i++) {
        r = expect_review(w, true, true, "first", i > 0);
        reviewed(w, &r, 0.0);
    }
    assert_true(retired(w));
    assert_true(kds_id_equal(w->state->best, baseline));
    assert_true(w->state->best_fitness == 1);
    assert_int_equal(w->state->retired, 2);
    assert_false(kds_review_next(w->state, true, &r));
    /* The next one has to beat who is back. */
    int64_t d = judged(w, "second", 90, 1, 1);
    expect_need(w, d, KDS_BOUT_CELL, baseline, false);
    world_free(w);
}

/* A place goes back step by step, and the record of it is the tables'. */
static void test_step_by_step(void **state)
{
    (void)state;
    world *w = promoted();
    int64_t d = judged(w, "second", 70, 1, 1);
    while (!kds_id_equal(w->state->best, id("second"))) {
        kds_bout_need n;
        while (needs(w, d, &n))
            fought(w, d, 0.1);
        cJSON_Delete(end(w, d, true));
    }
    static const char *const back[] = {"second", "first"};
    for (int of_best = 1; of_best >= 0; of_best--)
        for (int i = 0; i < 2; i++) {
            for (int again = 0; again < 2; again++) {
                kds_review r = expect_review(w, true, of_best, back[i], again);
                reviewed(w, &r, -0.01);
            }
            assert_true(retired(w));
        }
    assert_true(kds_id_equal(w->state->best, w->state->baseline));
    world_free(w);
}

/* A review of one that was replaced while it was fought says nothing of its successor. */
static void test_replaced_meanwhile(void **state)
{
    (void)state;
    char key[17];
    world *w = promoted();
    kds_review r = expect_review(w, true, true, "first", false);
    reviewed(w, &r, 0.2);
    r = expect_review(w, true, false, "first", false);
    kds_cell_format(r.cell, key);
    int64_t number = announced(w, -1, KDS_BOUT_REVIEW, key, r.holder, r.former);
    int64_t d = judged(w, "second", 79, 1, 1);
    fought(w, d, 0.01);
    fought(w, d, 0.0);
    cJSON_Delete(end(w, d, true));
    answered(w, number, -0.5);
    const kds_cell *cell = kds_state_cell(w->state, r.cell);
    assert_true(kds_id_equal(cell->elite, id("second")));
    assert_int_equal(cell->claim.doubts, 0);
    assert_int_equal(cell->claim.reviews, 0);
    world_free(w);
}

static kds_code apply_changed(world *w, const char *kind, cJSON *body)
{
    kds_err err = {0};
    kds_code code = kds_state_apply(w->state, kind, body, &err);
    cJSON_Delete(body);
    return code;
}

/* Duels of several decisions at once end in any order, each as it was announced. */
static void test_side_by_side(void **state)
{
    (void)state;
    world *w = promoted();
    kds_id first = id("first");
    int64_t a = judged(w, "a", 85, 1, 1), b = judged(w, "b", 86, 1, 1);
    uint64_t seed = kds_state_bout_seed(w->state);
    int64_t one = announced(w, a, KDS_BOUT_CELL, NULL, id("a"), first);
    assert_true(kds_state_bout_seed(w->state) != seed);
    int64_t two = announced(w, b, KDS_BOUT_CELL, NULL, id("b"), first);
    assert_int_equal(w->state->challenge_count, 2);
    /* What was not announced is damage. */
    cJSON *body = duel_event(b, KDS_BOUT_BEST, NULL, id("b"), first);
    kds_json_add_int(body, "challenge", two);
    add_outcome(body, 0.1);
    assert_int_equal(apply_changed(w, "DUEL", body), KDS_DAMAGED);
    body = duel_event(b, KDS_BOUT_CELL, NULL, id("b"), first);
    kds_json_add_int(body, "challenge", two + 1);
    add_outcome(body, 0.1);
    assert_int_equal(apply_changed(w, "DUEL", body), KDS_DAMAGED);
    body = duel_event(-1, KDS_BOUT_REVIEW, NULL, first, w->state->baseline);
    add_outcome(body, 0.1);
    assert_int_equal(apply_changed(w, "DUEL", body), KDS_DAMAGED);
    answered(w, two, -0.1);
    answered(w, one, -0.1);
    assert_int_equal(w->state->challenge_count, 0);
    cJSON_Delete(end(w, b, false));
    cJSON_Delete(end(w, a, false));
    /* What a kill has cut off is announced again. */
    int64_t d = judged(w, "c", 85, 1, 1);
    (void)announced(w, d, KDS_BOUT_CELL, NULL, id("c"), first);
    body = cJSON_CreateObject();
    kds_json_add_int(body, "epoch", 1);
    assert_int_equal(apply_changed(w, "EPOCH", body), KDS_OK);
    assert_int_equal(w->state->challenge_count, 0);
    int64_t again = announced(w, d, KDS_BOUT_CELL, NULL, id("c"), first);
    answered(w, again, -0.1);
    cJSON_Delete(end(w, d, false));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_to_review),  cmocka_unit_test(test_claims_take_turns),
        cmocka_unit_test(test_a_place_goes_back),  cmocka_unit_test(test_step_by_step),
        cmocka_unit_test(test_replaced_meanwhile), cmocka_unit_test(test_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
