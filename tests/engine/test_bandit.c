/* Models x operators on improvement per cost, and lines that bring nothing. */
#include "tests/engine/made_up.h"

/* A world with two models, "one" and "two", and whoever else is in the settings. */
typedef struct asked_world {
    world *w;
    kds_settings *settings;
    kds_models *models;
    double us; /* of the best so far, in cell 3 3 3 */
    int made;
} asked_world;

static asked_world asked_create(const char *weights)
{
    asked_world a = {.w = world_create(11, true), .us = 60};
    while (a.w->state->decisions < kds_selector_opening(&a.w->selector))
        assert_true(one_step(a.w, false));
    forget_sweeps(a.w);
    ASSERT_OK(kds_settings_create(&a.settings, e));
    ASSERT_OK(kds_settings_set(a.settings, "models", weights, e));
    ASSERT_OK(kds_models_read(&a.models, a.settings, e));
    a.w->selector.models = a.models;
    return a;
}

static void asked_free(asked_world *a)
{
    kds_models_free(a->models);
    kds_settings_free(a->settings);
    world_free(a->w);
}

#define EQUAL_MODELS "[{\"name\":\"one\",\"model\":\"a\"},{\"name\":\"two\",\"model\":\"b\"}]"

/* A call of a model from the request to the answer. */
static void answer(world *w, int64_t decision, double usd, int64_t tokens)
{
    cJSON *body = cJSON_CreateObject();
    int64_t request = w->state->requests;
    kds_json_add_int(body, "request", request);
    kds_json_add_int(body, "decision", decision);
    kds_json_add_int(body, "attempt", 1);
    kds_json_add_int(body, "max_tokens", 100);
    kds_json_add_num(body, "reserved_usd", 0);
    kds_json_add_num(body, "reserved_tokens", 0);
    record(w, "REQUEST", body);
    body = cJSON_CreateObject();
    kds_json_add_int(body, "request", request);
    kds_json_add_int(body, "decision", decision);
    kds_json_add_int(body, "status", 200);
    kds_json_add_str(body, "outcome", "ok");
    kds_json_add_int(body, "prompt_tokens", tokens);
    kds_json_add_int(body, "completion_tokens", tokens);
    kds_json_add_num(body, "cost_usd", usd);
    kds_json_add_num(body, "seconds", 1);
    record(w, "RESPONSE", body);
}

/* A child of the baseline by an operator and a model (NULL: without one), which the judge finds to
 * take `factor` of the best one's time; 0: it does not compile. */
static bool bring(asked_world *a, const char *operator_name, const char *model, double usd,
                  int64_t tokens, double factor)
{
    char source[60];
    kds_id id, none = {0, 0};
    bool accepted = false;
    world *w = a->w;
    int64_t decision = propose_as(w, operator_name, model ? "endpoint" : "builtin", model, NULL,
                                  w->state->baseline);
    if (model)
        answer(w, decision, usd, tokens);
    snprintf(source, sizeof source, "child %d", a->made++);
    ASSERT_OK(kds_ledger_put(w->ledger, "source", source, strlen(source), &id, e));
    record(w, "CANDIDATE",
           kds_candidate_body(w->state, decision, operator_name, model, NULL, source,
                              strlen(source), "h"));
    if (factor > 0) {
        outcome o = {.large_us = a->us * factor, .small_us = a->us * factor, .bins = {3, 3, 3}};
        judge(w, decision, &o);
    } else
        stage(w, decision, "compile", "compile_failed", "no", none, none);
    cJSON_Delete(commit(w, decision, &accepted));
    a->us *= accepted ? factor : 1;
    w->state->repair_count = 0;
    memset(w->state->cells[0].fruitless, 0, sizeof w->state->cells[0].fruitless);
    return accepted;
}

/* How often model "two" is asked in a hundred questions. */
static double share_of_two(asked_world *a)
{
    int two = 0, asked = 0;
    int64_t kept = a->w->state->decisions;
    for (int i = 0; i < 500; i++) {
        kds_choice choice = {0};
        a->w->state->decisions = kept + i;
        free(choose(a->w, &choice));
        const char *model = kds_json_str(choice.decision, "model", NULL);
        asked += model != NULL;
        two += model && strcmp(model, "two") == 0;
        kds_choice_free(&choice);
    }
    a->w->state->decisions = kept;
    assert_true(asked > 100);
    return 100.0 * two / asked;
}

static void test_the_cheaper_of_equals(void **state)
{
    (void)state;
    asked_world a = asked_create(EQUAL_MODELS);
    double before = share_of_two(&a);
    assert_true(before > 40 && before < 60);
    for (int i = 0; i < 40; i++) {
        assert_true(bring(&a, "mutate", "one", 0.05, 5000, 0.99));
        assert_true(bring(&a, "mutate", "two", 0.005, 5000, 0.99));
    }
    a.w->selector.operators = "mutate";
    double after = share_of_two(&a);
    assert_true(after > 75 && after < 100);
    asked_free(&a);
}

/* Where no price is known, tokens are what a model costs. */
static void test_tokens_are_a_cost(void **state)
{
    (void)state;
    asked_world a = asked_create(EQUAL_MODELS);
    for (int i = 0; i < 40; i++) {
        assert_true(bring(&a, "mutate", "one", 0, 100000, 0.99));
        assert_true(bring(&a, "mutate", "two", 0, 2000, 0.99));
    }
    a.w->selector.operators = "mutate";
    assert_true(share_of_two(&a) > 75);
    asked_free(&a);
}

/* A model whose children do not compile is asked seldom, but is asked; when it brings something
 * again, it is asked more. */
static void test_a_failing_model(void **state)
{
    (void)state;
    asked_world a = asked_create(EQUAL_MODELS);
    for (int i = 0; i < 40; i++) {
        assert_true(bring(&a, "mutate", "one", 0.01, 5000, 0.99));
        assert_false(bring(&a, "mutate", "two", 0.01, 5000, 0));
    }
    a.w->selector.operators = "mutate";
    double failing = share_of_two(&a);
    assert_true(failing > 1 && failing < 15);
    for (int i = 0; i < 40; i++)
        assert_true(bring(&a, "mutate", "two", 0.01, 5000, 0.97));
    assert_true(share_of_two(&a) > 50);
    asked_free(&a);
}

/* What asks no model costs its judge: it is not preferred for being free. */
static void test_nothing_is_free(void **state)
{
    (void)state;
    asked_world a = asked_create(EQUAL_MODELS);
    for (int i = 0; i < 40; i++) {
        assert_true(bring(&a, "mutate", "one", 0.005, 5000, 0.98));
        bring(&a, "tune", NULL, 0, 0, i % 10 ? 1.2 : 0.995);
    }
    tally t = count_operators(a.w, 400);
    assert_true(t.tune > 0 && 2 * t.tune < t.mutate);
    asked_free(&a);
}

static void test_weights_of_models(void **state)
{
    (void)state;
    asked_world a = asked_create("[{\"name\":\"one\",\"model\":\"a\",\"weight\":5},"
                                 "{\"name\":\"two\",\"model\":\"b\"}]");
    double two = share_of_two(&a);
    assert_true(two > 2 && two < 30);
    asked_free(&a);
}

/* What a child is worth, and that old ones count less. */
static void test_the_books(void **state)
{
    (void)state;
    asked_world a = asked_create(EQUAL_MODELS);
    assert_true(bring(&a, "mutate", "one", 0.02, 5000, 1)); /* an empty cell, and no best */
    const kds_arm *one = kds_state_arm(a.w->state, "mutate", true, "one");
    assert_non_null(one);
    assert_true(a.w->state->best_fitness < 100 / a.us + 1e-9);
    assert_true(fabs(one->cost - 0.0255) < 1e-9);
    double before = one->reward;
    assert_true(bring(&a, "mutate", "two", 0, 0, 0.96));
    const kds_arm *two = kds_state_arm(a.w->state, "mutate", true, "two");
    assert_true(fabs(two->reward - log(1 / 0.96) / 0.1) < 1e-5);
    assert_true(one->reward < before && one->reward > 0.99 * before);
    assert_null(kds_state_arm(a.w->state, "mutate", false, "one"));
    asked_free(&a);
}

/* ---- Lines ---- */

/* A child of cell `at`'s elite that is slower (or in an empty cell). */
static void child_of(world *w, int at, const char *operator_name, int n, bool accepted)
{
    char source[60];
    bool was = false;
    int cell = n % 4;
    snprintf(source, sizeof source, "line %s %d", operator_name, n);
    outcome o = {.large_us = 900, .small_us = 900, .bins = {3, accepted ? cell : 3, 2}};
    int64_t decision = propose_from(w, operator_name, source, w->state->cells[at].elite);
    judge(w, decision, &o);
    cJSON_Delete(commit(w, decision, &was));
    assert_int_equal(was, accepted);
}

/* How often `operator_name` is drawn for cell `at`, and how often that cell is drawn. */
static int drawn_for(world *w, int at, const char *operator_name, int *all)
{
    int hits = 0;
    int64_t kept = w->state->decisions;
    *all = 0;
    for (int i = 0; i < 300; i++) {
        kds_choice choice = {0};
        uint64_t key = 0;
        w->state->decisions = kept + i;
        free(choose(w, &choice));
        if (kds_cell_parse(kds_json_str(choice.decision, "cell", ""), &key) &&
            key == w->state->cells[at].key) {
            ++*all;
            hits += strcmp(kds_json_str(choice.decision, "operator", ""), operator_name) == 0;
        }
        kds_choice_free(&choice);
    }
    w->state->decisions = kept;
    return hits;
}

static world *line_world(void)
{
    world *w = world_create(12, true);
    while (w->state->decisions < kds_selector_opening(&w->selector))
        assert_true(one_step(w, false));
    forget_sweeps(w);
    w->selector.parents = KDS_PARENTS_RANDOM;
    child_of(w, 0, "simplify", 3, true); /* so that cell 3 3 2 is not empty */
    memset(w->state->cells[0].fruitless, 0, sizeof w->state->cells[0].fruitless);
    return w;
}

/* Three fruitless children by one operator: another one has its turn, until a child of the elite is
 * accepted. */
static void test_a_fruitless_line(void **state)
{
    (void)state;
    int all = 0;
    world *w = line_world();
    child_of(w, 1, "mutate", 7, false);
    child_of(w, 1, "mutate", 11, false);
    child_of(w, 1, "explore", 7, false);
    assert_true(drawn_for(w, 1, "mutate", &all) > 10);
    child_of(w, 1, "mutate", 15, false);
    assert_int_equal(drawn_for(w, 1, "mutate", &all), 0);
    assert_true(all > 10);
    assert_true(drawn_for(w, 1, "explore", &all) > 0);
    assert_true(drawn_for(w, 2, "mutate", &all) > 0); /* other lines do as they did */
    kds_state *folded = fold_again(w);
    for (int i = 0; i < 2; i++)
        assert_true(kds_state_is_fruitless(i ? w->state : folded, &w->state->cells[1], "mutate"));
    kds_state_free(folded);
    child_of(w, 1, "explore", 4, true);
    assert_true(drawn_for(w, 1, "mutate", &all) > 0);
    world_free(w);
}

/* An elite on which everything was in vain is left alone while others are not. */
static void test_another_cell(void **state)
{
    (void)state;
    static const char *const names[] = {"mutate", "explore", "crossover", "simplify", "tune"};
    int all = 0;
    world *w = line_world();
    for (int k = 0; k < 5; k++)
        for (int i = 0; i < 3; i++)
            child_of(w, 1, names[k], 3 + 4 * (3 * k + i), false);
    (void)drawn_for(w, 1, "mutate", &all);
    assert_int_equal(all, 0);
    /* with nothing else left, it is better than nothing */
    for (int c = 0; c < w->state->cell_count; c++)
        memset(w->state->cells[c].fruitless, 3, sizeof w->state->cells[c].fruitless);
    (void)drawn_for(w, 1, "mutate", &all);
    assert_true(all > 0);
    world_free(w);
}

/* When nothing was accepted for long, empty cells are aimed at more often. */
static void test_a_stalled_campaign(void **state)
{
    (void)state;
    world *w = line_world();
    int often[2] = {0, 0};
    for (int stalled = 0; stalled < 2; stalled++)
        for (int64_t n = 1000; n < 1400; n += 40) {
            w->state->decisions = n;
            w->state->last_accept = stalled ? 0 : n;
            often[stalled] += count_operators(w, 40).explore;
        }
    assert_true(often[0] > 0 && 2 * often[1] > 3 * often[0]);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_cheaper_of_equals), cmocka_unit_test(test_tokens_are_a_cost),
        cmocka_unit_test(test_a_failing_model),       cmocka_unit_test(test_nothing_is_free),
        cmocka_unit_test(test_weights_of_models),     cmocka_unit_test(test_the_books),
        cmocka_unit_test(test_a_fruitless_line),      cmocka_unit_test(test_another_cell),
        cmocka_unit_test(test_a_stalled_campaign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
