/* Selection: the next decision as a pure function of state and seed, over whole made-up campaigns
 * and over states set by hand. */
#include "tests/engine/made_up.h"

/* The baseline and the seeds have been committed, each into a cell. */
static world *opened(uint64_t seed, bool endpoint)
{
    world *w = world_create(seed, endpoint);
    while (w->state->decisions < kds_selector_opening(&w->selector))
        assert_true(one_step(w, false));
    assert_int_equal(w->state->cell_count, 3);
    return w;
}

static void test_opening(void **state)
{
    (void)state;
    world *w = world_create(1, false);
    assert_int_equal(kds_selector_opening(&w->selector), 3);
    for (int64_t n = 0; n < 3; n++) {
        kds_choice choice = {0};
        const char *source = n ? w->task->seeds[n - 1].source : w->task->baseline;
        kds_id id;
        free(choose(w, &choice));
        assert_int_equal(kds_json_int(choice.decision, "decision", -1), n);
        assert_string_equal(kds_json_str(choice.decision, "operator", ""), n ? "seed" : "baseline");
        assert_string_equal(kds_json_str(choice.decision, "proposer", ""), "task");
        assert_string_equal(kds_json_str(choice.decision, "target", ""),
                            n ? w->task->seeds[n - 1].name : "baseline");
        assert_true(cJSON_IsNull(kds_json_at(choice.decision, "cell")));
        assert_int_equal(cJSON_GetArraySize(kds_json_at(choice.decision, "parents")), 0);
        assert_true(kds_json_id(choice.candidate, "candidate", &id));
        assert_true(kds_id_equal(id, kds_id_of(source, strlen(source))));
        assert_string_equal(choice.source.data, source);
        kds_choice_free(&choice);
        assert_true(one_step(w, false));
    }
    world_free(w);
}

/* Before anything is in the grid there is nothing to choose from. */
static void test_an_empty_grid(void **state)
{
    (void)state;
    for (int endpoint = 0; endpoint < 2; endpoint++) {
        kds_choice choice = {0};
        bool made = true;
        world *w = world_create(1, endpoint);
        w->state->decisions = 3;
        ASSERT_OK(kds_select(&w->selector, w->state, &choice, &made, e));
        assert_false(made);
        assert_null(choice.decision);
        world_free(w);
    }
}

/* Asked twice, or asked in another process that folded the same events: the same decision. */
static void test_a_function_of_state_and_seed(void **state)
{
    (void)state;
    world *a = opened(5, false), *b = opened(5, false), *c = opened(6, false);
    int differ = 0;
    for (int i = 0; i < 40; i++) {
        kds_choice x = {0}, again = {0}, y = {0}, z = {0};
        char *one = choose(a, &x), *two = choose(a, &again), *three = choose(b, &y),
             *other = choose(c, &z);
        assert_string_equal(one, two);
        assert_string_equal(one, three);
        assert_true(cJSON_Compare(x.candidate, y.candidate, true));
        assert_string_equal(x.source.data, y.source.data);
        differ += strcmp(x.source.data, z.source.data) != 0;
        free(one), free(two), free(three), free(other);
        kds_choice_free(&x), kds_choice_free(&again), kds_choice_free(&y), kds_choice_free(&z);
        assert_true(one_step(a, false) && one_step(b, false) && one_step(c, false));
    }
    assert_true(kds_id_equal(a->state->chain, b->state->chain));
    assert_true(kds_id_equal(kds_state_hash(a->state), kds_state_hash(b->state)));
    assert_false(kds_id_equal(a->state->chain, c->state->chain));
    assert_true(differ > 20);
    world_free(a), world_free(b), world_free(c);
}

/* The state folded from the record makes the decision that the running campaign would make. */
static void test_a_folded_state_decides_alike(void **state)
{
    (void)state;
    world *w = opened(9, false);
    for (int i = 0; i < 60; i++)
        assert_true(one_step(w, i % 3 == 0));
    kds_state *live = w->state, *folded = fold_again(w);
    assert_true(kds_id_equal(kds_state_hash(live), kds_state_hash(folded)));
    kds_choice x = {0}, y = {0};
    char *one = choose(w, &x);
    w->state = folded;
    char *two = choose(w, &y);
    assert_string_equal(one, two);
    assert_string_equal(x.source.data, y.source.data);
    free(one), free(two);
    kds_choice_free(&x), kds_choice_free(&y);
    kds_state_free(live);
    world_free(w);
}

/* Every parent is the elite of the cell that is named, and a child differs from all before it. */
static void test_parents_are_elites(void **state)
{
    (void)state;
    world *w = opened(3, false);
    int crossovers = 0;
    for (int i = 0; i < 150; i++) {
        kds_choice choice = {0};
        uint64_t key = 0;
        kds_id parent[2], norm;
        free(choose(w, &choice));
        const cJSON *parents = kds_json_at(choice.decision, "parents");
        int count = cJSON_GetArraySize(parents);
        for (int k = 0; k < count; k++)
            assert_true(kds_id_parse(cJSON_GetArrayItem(parents, k)->valuestring, &parent[k]));
        if (is_sweep(choice.decision)) /* of which the parent is a part, elite or not */
            assert_true(kds_map_get(w->state->ids, parent[0]) >= 0);
        else {
            assert_true(kds_cell_parse(kds_json_str(choice.decision, "cell", ""), &key));
            const kds_cell *cell = kds_state_cell(w->state, key);
            assert_non_null(cell);
            assert_true(kds_id_equal(parent[0], cell->elite));
        }
        bool crossover = strcmp(kds_json_str(choice.decision, "operator", ""), "crossover") == 0;
        assert_int_equal(count, crossover ? 2 : 1);
        assert_true(!crossover || !kds_id_equal(parent[0], parent[1]));
        crossovers += crossover;
        assert_true(cJSON_Compare(parents, kds_json_at(choice.candidate, "parents"), true));
        assert_true(kds_json_id(choice.candidate, "norm", &norm));
        assert_int_equal(kds_map_get(w->state->proposed, norm), -1);
        assert_true(strlen(kds_json_str(choice.candidate, "hypothesis", "")) > 3);
        kds_choice_free(&choice);
        assert_true(one_step(w, false));
    }
    assert_true(w->state->cell_count > 4 && crossovers > 0);
    world_free(w);
}

/* Two cells are what a crossover needs. */
static void test_crossover_needs_two_cells(void **state)
{
    (void)state;
    for (int endpoint = 0; endpoint < 2; endpoint++) {
        world *w = world_create(4, false);
        assert_true(one_step(w, false));
        w->selector.endpoint = endpoint;
        w->selector.proposer = endpoint ? "endpoint" : "builtin";
        w->selector.model = "test-model";
        assert_int_equal(w->state->cell_count, 1);
        w->state->decisions = 3;
        tally t = count_operators(w, 200);
        assert_int_equal(t.crossover, 0);
        assert_int_equal(t.others, 0);
        world_free(w);
    }
    world *w = opened(4, true);
    forget_sweeps(w);
    assert_true(count_operators(w, 200).crossover > 0);
    world_free(w);
    w = opened(4, false);
    int crossovers = 0;
    for (int i = 0; i < 60; i++) { /* tunables must differ before they can be crossed */
        assert_true(one_step(w, false));
    }
    for (int i = 0; i < w->state->operator_count; i++)
        if (strcmp(w->state->operators[i].name, "crossover") == 0)
            crossovers = (int)w->state->operators[i].tried;
    assert_true(crossovers > 0);
    world_free(w);
}

static void score(world *w, const char *name, int64_t committed, int64_t accepted)
{
    kds_operator_score *o = &w->state->operators[w->state->operator_count++];
    *o = (kds_operator_score){.tried = committed, .committed = committed, .accepted = accepted};
    snprintf(o->name, sizeof o->name, "%s", name);
}

/* By rules 1, operators whose children are accepted are chosen more often, in the proportions that
 * the rule gives; none dies out. */
static void test_operators_follow_their_yield(void **state)
{
    (void)state;
    world *w = opened(8, true);
    forget_sweeps(w);
    w->state->rules = 1;
    w->state->operator_count = 0;
    tally before = count_operators(w, 2000);
    assert_true(before.mutate > before.tune && before.tune > before.explore);
    score(w, "mutate", 400, 0);
    score(w, "explore", 400, 200);
    score(w, "simplify", 400, 0);
    tally after = count_operators(w, 2000);
    assert_true(after.explore > 3 * before.explore);
    assert_true(3 * after.mutate < before.mutate);
    assert_true(after.mutate > 0 && after.simplify > 0);
    /* weights: (accepted + 1) / (committed + 4) of the first weight, and a little */
    double weights[] = {4.0 / 404 + .02, 201.0 / 404 + .02, 1.0 / 4 + .02, .3 / 404 + .02,
                        2.0 / 4 + .02};
    double sum = 0, share[5];
    int seen[] = {after.mutate, after.explore, after.crossover, after.simplify, after.tune};
    for (int i = 0; i < 5; i++)
        sum += weights[i];
    for (int i = 0; i < 5; i++) {
        share[i] = weights[i] / sum;
        if (fabs(seen[i] - 2000 * share[i]) > 5 * sqrt(2000 * share[i] * (1 - share[i])) + 2)
            fail_msg("operator %d: %d of 2000, expected about %.0f", i, seen[i], 2000 * share[i]);
    }
    world_free(w);
}

/* A cell that is worth it is looked at more often than one that never gave anything. */
static void test_curiosity(void **state)
{
    (void)state;
    world *w = opened(2, true);
    assert_true(w->state->cell_count >= 2);
    for (int i = 0; i < w->state->cell_count; i++) {
        w->state->cells[i].visits = 300;
        w->state->cells[i].improvements = 0;
        w->state->cells[i].fitness = 1;
    }
    w->state->best_fitness = 1;
    w->selector.operators = "mutate";
    kds_cell *good = &w->state->cells[1];
    good->improvements = 150;
    int64_t kept = w->state->decisions;
    int hits = 0, all = 0;
    for (int64_t i = 0; i < 400; i++) {
        kds_choice choice = {0};
        uint64_t key = 0;
        w->state->decisions = kept + i;
        free(choose(w, &choice));
        if (strcmp(kds_json_str(choice.decision, "operator", ""), "mutate") == 0) {
            assert_true(kds_cell_parse(kds_json_str(choice.decision, "cell", ""), &key));
            hits += key == good->key;
            all++;
        }
        kds_choice_free(&choice);
    }
    assert_true(all > 100 && hits > all / 2 + all / 10 && hits < all);
    world_free(w);
}

/* The target is a cell beside the parent's, along one axis, and nobody is there. */
static void assert_empty_neighbour(const world *w, const cJSON *decision)
{
    const cJSON *target = kds_json_at(decision, "target");
    uint64_t key = 0;
    int bins[3], axis = 0;
    assert_true(kds_cell_parse(kds_json_str(decision, "cell", ""), &key));
    memcpy(bins, kds_state_cell(w->state, key)->bins, sizeof bins);
    while (strcmp(w->task->axes[axis].name, kds_json_str(target, "axis", "")) != 0)
        assert_true(++axis < w->task->axis_count);
    int to = (int)kds_json_int(target, "to", -1);
    assert_int_equal(kds_json_int(target, "from", -1), bins[axis]);
    assert_in_range(to, 0, w->task->axes[axis].edge_count);
    assert_int_equal(abs(to - bins[axis]), 1);
    bins[axis] = to;
    assert_null(kds_state_cell(w->state, kds_cell_key(1, bins, 3)));
}

/* Asking a model: no child yet, the model is named; an exploration names where to go. */
static void test_endpoint_decisions(void **state)
{
    (void)state;
    world *w = opened(8, true);
    forget_sweeps(w);
    int64_t kept = w->state->decisions;
    int asked = 0, explored = 0, tuned = 0;
    for (int64_t i = 0; i < 200; i++) {
        kds_choice choice = {0};
        w->state->decisions = kept + i;
        free(choose(w, &choice));
        const char *operator_name = kds_json_str(choice.decision, "operator", "");
        if (strcmp(operator_name, "tune") == 0) {
            assert_string_equal(kds_json_str(choice.decision, "proposer", ""), "builtin");
            assert_true(cJSON_IsNull(kds_json_at(choice.decision, "model")));
            assert_non_null(choice.candidate);
            tuned++;
        } else {
            assert_string_equal(kds_json_str(choice.decision, "proposer", ""), "endpoint");
            assert_string_equal(kds_json_str(choice.decision, "model", ""), "test-model");
            assert_null(choice.candidate);
            assert_int_equal(choice.source.len, 0);
            asked++;
        }
        const cJSON *target = kds_json_at(choice.decision, "target");
        assert_int_equal(target != NULL, strcmp(operator_name, "explore") == 0);
        if (target) {
            assert_empty_neighbour(w, choice.decision);
            explored++;
        }
        kds_choice_free(&choice);
    }
    assert_true(asked > 50 && tuned > 10 && explored > 10);
    world_free(w);
}

/* A child that failed is mended before anything else is tried, the oldest first. */
static void test_repairs_come_first(void **state)
{
    (void)state;
    bool accepted = true;
    kds_id none = {0, 0};
    world *w = opened(8, true);
    static const char *const sources[] = {"first failure", "second failure"};
    for (int i = 0; i < 2; i++) {
        int64_t decision = propose(w, "mutate", "endpoint", sources[i]);
        stage(w, decision, "compile", "compile_failed", "error", none, none);
        cJSON_Delete(commit(w, decision, &accepted));
        assert_false(accepted);
    }
    for (int i = 0; i < 2; i++) {
        kds_choice choice = {0};
        char hex[KDS_ID_HEX];
        free(choose(w, &choice));
        assert_string_equal(kds_json_str(choice.decision, "operator", ""), "repair");
        assert_string_equal(kds_json_str(choice.decision, "proposer", ""), "endpoint");
        assert_true(cJSON_IsNull(kds_json_at(choice.decision, "cell")));
        kds_id_format(kds_id_of(sources[i], strlen(sources[i])), hex);
        const cJSON *parents = kds_json_at(choice.decision, "parents");
        assert_int_equal(cJSON_GetArraySize(parents), 1);
        assert_string_equal(cJSON_GetArrayItem(parents, 0)->valuestring, hex);
        record(w, "DECISION", cJSON_Duplicate(choice.decision, true));
        kds_choice_free(&choice);
    }
    kds_choice choice = {0};
    free(choose(w, &choice));
    assert_string_not_equal(kds_json_str(choice.decision, "operator", ""), "repair");
    kds_choice_free(&choice);
    /* without a model there is nobody to ask */
    w->selector.endpoint = false;
    int64_t decision = propose(w, "mutate", "endpoint", "third failure");
    stage(w, decision, "compile", "compile_failed", "error", none, none);
    cJSON_Delete(commit(w, decision, &accepted));
    assert_int_equal(w->state->repair_count, 1);
    free(choose(w, &choice));
    assert_string_equal(kds_json_str(choice.decision, "proposer", ""), "builtin");
    kds_choice_free(&choice);
    world_free(w);
}

/* Children that are all wrong leave the parents as they are, and what can be made of these ends:
 * then every setting of every tunable has been tried, each once. */
static void test_exhaustion(void **state)
{
    (void)state;
    kds_choice choice = {0};
    bool made = true;
    world *w = opened(7, false);
    int points[2] = {0, 0};
    while (w->state->decisions < 1000 && one_step(w, true))
        ;
    assert_true(w->state->decisions < 1000);
    ASSERT_OK(kds_select(&w->selector, w->state, &choice, &made, e));
    assert_false(made);
    assert_null(choice.decision);
    assert_null(choice.candidate);
    for (int i = 0; i < 2; i++) {
        kds_tunable tunables[KDS_TUNABLES];
        const char *source = w->task->seeds[i].source;
        int count = 0;
        points[i] = 1;
        ASSERT_OK(kds_tunables_find(tunables, &count, source, strlen(source), e));
        for (int k = 0; k < count; k++)
            points[i] *= tunables[k].count;
    }
    int64_t tuned = 0;
    for (int i = 0; i < w->state->operator_count; i++)
        if (strcmp(w->state->operators[i].name, "tune") == 0)
            tuned = w->state->operators[i].tried;
    /* each seed's own point is not proposed again; written in sorted order it may be once */
    assert_in_range(tuned, points[0] + points[1] - 2, points[0] + points[1]);
    assert_int_equal(w->state->evaluated, w->state->decisions);
    /* a model can always be asked, also when tuning paid best */
    w->state->rules = 1;
    w->selector.endpoint = true;
    w->selector.model = "test-model";
    w->state->operator_count = 0;
    score(w, "tune", 400, 300);
    score(w, "mutate", 400, 0);
    score(w, "explore", 400, 0);
    score(w, "crossover", 400, 0);
    score(w, "simplify", 400, 0);
    tally t = count_operators(w, 60);
    assert_int_equal(t.tune + t.others, 0);
    assert_true(t.mutate > 10);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opening),
        cmocka_unit_test(test_an_empty_grid),
        cmocka_unit_test(test_a_function_of_state_and_seed),
        cmocka_unit_test(test_a_folded_state_decides_alike),
        cmocka_unit_test(test_parents_are_elites),
        cmocka_unit_test(test_crossover_needs_two_cells),
        cmocka_unit_test(test_operators_follow_their_yield),
        cmocka_unit_test(test_curiosity),
        cmocka_unit_test(test_endpoint_decisions),
        cmocka_unit_test(test_repairs_come_first),
        cmocka_unit_test(test_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
