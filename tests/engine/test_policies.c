/* The knobs of a campaign: where parents come from and which operators may be used. */
#include "tests/engine/made_up.h"

static world *opened_by(uint64_t seed, bool endpoint, kds_parents parents)
{
    static const char *const names[] = {"curiosity", "best", "random", "islands"};
    world *w = world_create_by(seed, endpoint, names[parents]);
    w->selector.parents = parents;
    while (w->state->decisions < kds_selector_opening(&w->selector))
        assert_true(one_step(w, false));
    return w;
}

/* The parent of the next decision if it were number `decision`. */
static kds_id parent_of(world *w, int64_t decision, const char *operator_name)
{
    kds_choice choice = {0};
    kds_id parent = {0, 0};
    int64_t kept = w->state->decisions;
    w->state->decisions = decision;
    free(choose(w, &choice));
    if (strcmp(kds_json_str(choice.decision, "operator", ""), operator_name) == 0)
        assert_true(kds_id_parse(
            cJSON_GetArrayItem(kds_json_at(choice.decision, "parents"), 0)->valuestring, &parent));
    kds_choice_free(&choice);
    w->state->decisions = kept;
    return parent;
}

static void test_the_best_alone(void **state)
{
    (void)state;
    world *w = opened_by(4, true, KDS_PARENTS_BEST);
    w->selector.operators = "mutate";
    for (int i = 0; i < 50; i++)
        assert_true(kds_id_equal(parent_of(w, w->state->decisions + i, "mutate"), w->state->best));
    /* whom it is crossed with is another one */
    w->selector.operators = "crossover";
    assert_true(kds_id_equal(parent_of(w, w->state->decisions, "crossover"), w->state->best));
    world_free(w);
}

/* However good or barren the cells are, each gives as many parents. */
static void test_any_cell(void **state)
{
    (void)state;
    world *w = opened_by(4, true, KDS_PARENTS_RANDOM);
    w->selector.operators = "mutate";
    int hits[3] = {0};
    w->state->cells[0].visits = 1000;
    w->state->cells[1].fitness = 1e-3;
    for (int i = 0; i < 600; i++) {
        kds_id parent = parent_of(w, w->state->decisions + i, "mutate");
        for (int k = 0; k < 3; k++)
            hits[k] += kds_id_equal(parent, w->state->cells[k].elite);
    }
    for (int k = 0; k < 3; k++)
        assert_in_range(hits[k], 150, 250);
    world_free(w);
}

static const kds_cell *member(const world *w, int island, kds_id candidate)
{
    const kds_island *x = &w->state->islands[island];
    for (int i = 0; i < x->count; i++)
        if (kds_id_equal(x->cells[i].elite, candidate))
            return &x->cells[i];
    return NULL;
}

/* A decision from now on, of which nothing came. */
static void pass(world *w)
{
    bool accepted = false;
    int64_t decision = propose(w, "mutate", "endpoint", NULL);
    no_child(w, decision);
    cJSON_Delete(commit(w, decision, &accepted));
}

/* The task's kernels settle everywhere; a child on its parents' island alone, also if the grid has
 * a faster one in that cell; the fittest move on at every 50th decision. */
static void test_islands(void **state)
{
    (void)state;
    world *w = opened_by(4, true, KDS_PARENTS_ISLANDS);
    for (int i = 0; i < KDS_ISLANDS; i++)
        assert_int_equal(w->state->islands[i].count, 3);
    static const struct {
        const char *source;
        double us;
        bool accepted;
    } children[] = {{"fast", 20, true}, {"slower", 30, false}, {"poor", 150, false}};
    kds_id ids[3];
    int home[3];
    for (int i = 0; i < 3; i++) {
        bool accepted = false;
        outcome o = {.large_us = children[i].us, .small_us = children[i].us, .bins = {3, 3, 3}};
        home[i] = (int)(w->state->decisions % KDS_ISLANDS);
        ids[i] = kds_id_of(children[i].source, strlen(children[i].source));
        int64_t decision = propose_from(w, "mutate", children[i].source, w->state->baseline);
        judge(w, decision, &o);
        cJSON_Delete(commit(w, decision, &accepted));
        assert_int_equal(accepted, children[i].accepted);
        for (int k = 0; k < KDS_ISLANDS; k++)
            assert_int_equal(member(w, k, ids[i]) != NULL, k == home[i]);
    }
    /* parents are of the island of the decision */
    w->selector.operators = "mutate";
    int fast = 0;
    for (int64_t d = w->state->decisions; d < 49; d++) {
        kds_id parent = parent_of(w, d, "mutate");
        assert_non_null(member(w, (int)(d % KDS_ISLANDS), parent));
        fast += kds_id_equal(parent, ids[0]);
    }
    assert_true(fast > 2);
    while (w->state->decisions < 50)
        pass(w);
    assert_null(member(w, (home[0] + 1) % KDS_ISLANDS, ids[0]));
    pass(w);
    assert_non_null(member(w, (home[0] + 1) % KDS_ISLANDS, ids[0]));
    assert_null(member(w, (home[0] + 2) % KDS_ISLANDS, ids[0]));
    /* all at once: "slower" has moved on, and "fast" has its place */
    assert_null(member(w, home[1], ids[1]));
    assert_non_null(member(w, (home[1] + 1) % KDS_ISLANDS, ids[1]));
    world_free(w);
}

/* What waits for review, or was screened out, joins no island. */
static void test_only_what_competed_settles(void **state)
{
    (void)state;
    static const char *const flags[] = {"beyond_roofline", "screened"};
    world *w = opened_by(4, true, KDS_PARENTS_ISLANDS);
    for (int i = 0; i < 2; i++) {
        bool accepted = true;
        outcome o = {.large_us = 5, .small_us = 5, .bins = {3, 3, 3}, .flag = flags[i]};
        int64_t decision = propose_from(w, "mutate", flags[i], w->state->baseline);
        judge(w, decision, &o);
        cJSON_Delete(commit(w, decision, &accepted));
        assert_false(accepted);
    }
    for (int i = 0; i < KDS_ISLANDS; i++)
        assert_int_equal(w->state->islands[i].count, 3);
    world_free(w);
}

/* Whole campaigns of the built-in proposer by every policy: they differ, and each ends only when
 * nothing is left. */
static void test_policies_go_on(void **state)
{
    (void)state;
    kds_id chains[4];
    for (int p = 0; p < 4; p++) {
        world *w = opened_by(4, false, (kds_parents)p);
        for (int i = 0; i < 120; i++)
            assert_true(one_step(w, i % 2));
        chains[p] = w->state->chain;
        for (int k = 0; k < p; k++)
            assert_false(kds_id_equal(chains[k], chains[p]));
        kds_state *folded = fold_again(w);
        assert_true(kds_id_equal(kds_state_hash(folded), kds_state_hash(w->state)));
        kds_state_free(folded);
        world_free(w);
    }
}

/* Only what is allowed is used; what needs more than there is ends the search instead. */
static void test_operators_that_may_be_used(void **state)
{
    (void)state;
    world *w = opened_by(4, true, KDS_PARENTS_CURIOSITY);
    kds_choice choice = {0};
    bool made = true;
    w->selector.operators = "explore,simplify";
    tally t = count_operators(w, 100);
    assert_int_equal(t.explore + t.simplify, 100);
    assert_true(t.explore > 0 && t.simplify > 0);
    w->selector.operators = "tune";
    assert_int_equal(count_operators(w, 20).tune, 20);
    /* repairs are made only if they may be */
    kds_id none = {0, 0};
    int64_t decision = propose(w, "mutate", "endpoint", "a failure");
    stage(w, decision, "compile", "compile_failed", "error", none, none);
    cJSON_Delete(commit(w, decision, &made));
    assert_int_equal(w->state->repair_count, 1);
    assert_int_equal(count_operators(w, 5).tune, 5);
    w->selector.operators = "tune,repair";
    assert_int_equal(count_operators(w, 5).others, 5);
    world_free(w);
    w = world_create(4, true);
    assert_true(one_step(w, false));
    w->state->decisions = 3;
    w->selector.operators = "crossover";
    ASSERT_OK(kds_select(&w->selector, w->state, &choice, &made, e));
    assert_false(made); /* one cell has no second parent */
    w->selector.operators = "crossover,mutate";
    assert_int_equal(count_operators(w, 20).mutate, 20);
    world_free(w);
}

static void test_nothing_to_make_children_with(void **state)
{
    (void)state;
    static const struct {
        const char *proposer, *operators, *names;
    } cases[] = {{"builtin", "mutate,repair", "tune, rewrite, crossover"},
                 {"mailbox", "repair", "mutate, explore, crossover, simplify, tune"}};
    for (int i = 0; i < 2; i++) {
        kds_err err = {0};
        kds_selector s = {0};
        kds_settings *settings = NULL;
        kds_models *models = NULL;
        ASSERT_OK(kds_settings_create(&settings, e));
        ASSERT_OK(kds_settings_set(settings, "proposer", cases[i].proposer, e));
        ASSERT_OK(kds_models_read(&models, settings, e));
        ASSERT_OK(kds_selector_configure(&s, settings, models, e));
        ASSERT_OK(kds_settings_set(settings, "operators", cases[i].operators, e));
        assert_int_equal(kds_selector_configure(&s, settings, models, &err), KDS_USAGE);
        assert_non_null(strstr(err.message, cases[i].names));
        kds_models_free(models);
        kds_settings_free(settings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_best_alone),
        cmocka_unit_test(test_any_cell),
        cmocka_unit_test(test_islands),
        cmocka_unit_test(test_only_what_competed_settles),
        cmocka_unit_test(test_policies_go_on),
        cmocka_unit_test(test_operators_that_may_be_used),
        cmocka_unit_test(test_nothing_to_make_children_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
