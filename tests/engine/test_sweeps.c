/* Sweeps: a new structure's tunables are tried, the better half goes on, and it ends. */
#include "tests/engine/made_up.h"

#include "search/base/lex.h"

#define STRUCTURE                                                                                  \
    "#pragma kda tune ROWS = 1, 2, 4, 8, 16\n"                                                     \
    "#pragma kda tune LANES = 32, 64, 128, 256\n"                                                  \
    "#pragma kda tune DEPTH = 1, 2, 3\n"                                                           \
    "int structure;\n"

static void value_of(const char *source, size_t len, const char *name, int64_t *out)
{
    kds_tunable tunables[KDS_TUNABLES];
    int count = 0;
    ASSERT_OK(kds_tunables_find(tunables, &count, source, len, e));
    for (int i = 0; i < count; i++)
        if (strcmp(tunables[i].name, name) == 0)
            *out = tunables[i].values[0];
}

/* Fastest at ROWS 8, LANES 128, DEPTH 2; slower with every step from there. */
static double time_of(const char *source, size_t len)
{
    int64_t rows = 1, lanes = 32, depth = 1;
    value_of(source, len, "ROWS", &rows);
    value_of(source, len, "LANES", &lanes);
    value_of(source, len, "DEPTH", &depth);
    double off =
        fabs(log2((double)rows) - 3) + fabs(log2((double)lanes) - 7) + fabs((double)depth - 2);
    return 50 * pow(1.1, off);
}

/* A child of a model, made by hand. */
static kds_id by_model(world *w, const char *source, double us, bool accepted)
{
    bool was = false;
    outcome o = {.large_us = us, .small_us = us, .bins = {3, 3, (int)(w->state->decisions & 1)}};
    int64_t decision = propose_from(w, "mutate", source, w->state->baseline);
    judge(w, decision, &o);
    cJSON_Delete(commit(w, decision, &was));
    assert_int_equal(was, accepted);
    return kds_id_of(source, strlen(source));
}

/* A campaign with one structure to sweep. */
static world *sweep_world(uint64_t seed, bool endpoint)
{
    world *w = world_create(seed, endpoint);
    while (w->state->decisions < kds_selector_opening(&w->selector))
        assert_true(one_step(w, false));
    forget_sweeps(w);
    by_model(w, STRUCTURE, time_of(STRUCTURE, strlen(STRUCTURE)), true);
    assert_int_equal(w->state->sweep_count, 1);
    return w;
}

/* Makes the next decision; true if it is a step of the sweep, with its source in `out`. */
static bool decide(world *w, kds_choice *out)
{
    kds_id id;
    free(choose(w, out));
    record(w, "DECISION", cJSON_Duplicate(out->decision, true));
    if (out->candidate) {
        ASSERT_OK(kds_ledger_put(w->ledger, "source", out->source.data, out->source.len, &id, e));
        record(w, "CANDIDATE", cJSON_Duplicate(out->candidate, true));
    }
    return is_sweep(out->decision);
}

/* The verdict of a decision; whatever is no step fails. */
static void settle(world *w, int64_t decision, const kds_choice *c)
{
    bool accepted = false;
    kds_id none = {0, 0};
    if (!c->candidate)
        no_child(w, decision);
    else if (is_sweep(c->decision)) {
        double us = time_of(c->source.data, c->source.len);
        outcome o = {.large_us = us, .small_us = us, .bins = {3, 3, 0}};
        judge(w, decision, &o);
    } else
        stage(w, decision, "compile", "compile_failed", "no", none, none);
    cJSON_Delete(commit(w, decision, &accepted));
    w->state->repair_count = 0;
}

typedef struct seen {
    kds_id id;
    double us;
    int rung;
} seen;

static int by_time(const void *a, const void *b)
{
    double x = ((const seen *)a)->us, y = ((const seen *)b)->us;
    return (x > y) - (x < y);
}

/* Every step's parent is among the better half of the better half ... of what earlier rungs saw. */
static void assert_parent_is_kept(const seen *all, int count, int rung, kds_id parent)
{
    seen earlier[64];
    int n = 0, kept = 8 >> rung ? 8 >> rung : 1;
    for (int i = 0; i < count; i++)
        if (all[i].rung < rung)
            earlier[n++] = all[i];
    qsort(earlier, (size_t)n, sizeof *earlier, by_time);
    for (int i = 0; i < n; i++)
        if (kds_id_equal(earlier[i].id, parent)) {
            assert_true(earlier[i].us <= earlier[kept - 1 < n ? kept - 1 : n - 1].us);
            return;
        }
    fail_msg("the parent of a step is none of those before it");
}

static void test_halving(void **state)
{
    (void)state;
    for (int endpoint = 0; endpoint < 2; endpoint++) {
        world *w = sweep_world(5, endpoint);
        seen all[64] = {
            {w->state->sweeps[0].members[0].candidate, time_of(STRUCTURE, strlen(STRUCTURE)), 0}};
        int count = 1, rows[17] = {0}, first = 0, last_rung = 0;
        bool before = true;
        while (w->state->sweep_count) {
            kds_choice c = {0};
            int64_t decision = w->state->decisions;
            bool step = decide(w, &c);
            if (step) {
                kds_id parent;
                int64_t value = 0;
                int rung = (int)kds_json_int(kds_json_at(c.decision, "target"), "rung", -1);
                assert_string_equal(kds_json_str(c.decision, "operator", ""), "tune");
                assert_string_equal(kds_json_str(c.decision, "proposer", ""), "builtin");
                assert_in_range(rung, last_rung, last_rung + 1);
                last_rung = rung;
                const cJSON *parents = kds_json_at(c.decision, "parents");
                assert_true(kds_id_parse(cJSON_GetArrayItem(parents, 0)->valuestring, &parent));
                if (rung)
                    assert_parent_is_kept(all, count, rung, parent);
                else
                    assert_true(kds_id_equal(parent, all[0].id));
                value_of(c.source.data, c.source.len, "ROWS", &value);
                rows[value] += rung == 0;
                first += rung == 0;
                all[count++] = (seen){kds_id_of(c.source.data, c.source.len),
                                      time_of(c.source.data, c.source.len), rung};
                /* no two in a row where a model waits for its turn */
                assert_true(!before || !endpoint || count == 2);
            }
            before = step;
            settle(w, decision, &c);
            kds_choice_free(&c);
            assert_true(w->state->decisions < 200);
        }
        assert_in_range(first, 6, 8);
        assert_true(rows[1] && rows[2] && rows[4] && rows[8] && rows[16]); /* spread */
        assert_in_range(last_rung, 2, 3); /* 3, unless all beside the best is known by then */
        assert_in_range(count - 1, 12, KDS_SWEEP_MAX);
        qsort(all, (size_t)count, sizeof *all, by_time);
        assert_true(all[0].us < 50 * pow(1.1, 2.01)); /* of 60 points, at most two steps off */
        kds_choice c = {0};
        assert_false(decide(w, &c)); /* and it does not begin anew */
        kds_choice_free(&c);
        world_free(w);
    }
}

/* A rung begins when the one before is known; until then others have their turn. */
static void test_a_rung_waits(void **state)
{
    (void)state;
    world *w = sweep_world(6, true);
    int64_t open[64];
    kds_choice made[64] = {{0}};
    int steps = 0;
    for (int i = 0; i < 30; i++) {
        open[i] = w->state->decisions;
        bool step = decide(w, &made[i]);
        assert_true(!step ||
                    kds_json_int(kds_json_at(made[i].decision, "target"), "rung", -1) == 0);
        steps += step;
    }
    assert_in_range(steps, 6, 8);
    for (int i = 29; i >= 0; i--) /* in any order */
        if (is_sweep(made[i].decision)) {
            kds_choice c = {0};
            assert_true(steps-- > 0);
            free(choose(w, &c));
            assert_false(is_sweep(c.decision));
            kds_choice_free(&c);
            settle(w, open[i], &made[i]);
        }
    kds_choice c = {0};
    if (!decide(w, &c)) { /* a turn of others may come first */
        kds_choice_free(&c);
        assert_true(decide(w, &c));
    }
    assert_int_equal(kds_json_int(kds_json_at(c.decision, "target"), "rung", -1), 1);
    kds_choice_free(&c);
    for (int i = 0; i < 30; i++)
        kds_choice_free(&made[i]);
    world_free(w);
}

/* Only what is new, accepted, and has a choice is swept. */
static void test_what_is_swept(void **state)
{
    (void)state;
    world *w = sweep_world(7, true);
    /* other values in force: the structure is known */
    by_model(w,
             "#pragma kda tune ROWS = 2, 1, 4, 8, 16\n#pragma kda tune LANES = 32, 64, 128, 256\n"
             "#pragma kda tune DEPTH = 1, 2, 3\nint structure;\n",
             40, true);
    assert_int_equal(w->state->sweep_count, 1);
    by_model(w, "#pragma kda tune ROWS = 2\nint one_point;\n", 30, true);
    by_model(w, "int none;\n", 29, true);
    by_model(w, "#pragma kda tune ROWS = 2, 2\nint unreadable;\n", 20, true);
    assert_int_equal(w->state->sweep_count, 1);
    by_model(w, "#pragma kda tune ROWS = 2, 4\nint slow;\n", 90, false);
    assert_int_equal(w->state->sweep_count, 1);
    by_model(w, "#pragma kda tune ROWS = 2, 4\nint fast;\n", 10, true);
    assert_int_equal(w->state->sweep_count, 2);
    w->selector.operators = "mutate";
    kds_choice c = {0};
    assert_false(decide(w, &c));
    kds_choice_free(&c);
    world_free(w);
}

/* What stays far behind the best kernel is given up after rung 0. */
static void test_what_is_given_up(void **state)
{
    (void)state;
    world *w = sweep_world(5, false);
    int steps = 0;
    by_model(w, "int champion;\n", 5, true);
    while (w->state->sweep_count) {
        kds_choice c = {0};
        int64_t decision = w->state->decisions;
        bool step = decide(w, &c);
        assert_true(!step || kds_json_int(kds_json_at(c.decision, "target"), "rung", -1) == 0);
        steps += step;
        settle(w, decision, &c);
        kds_choice_free(&c);
    }
    assert_in_range(steps, 6, 8);
    world_free(w);
}

/* By rules 1 nothing is swept, and no structure is recorded. */
static void test_rules_1(void **state)
{
    (void)state;
    world *w = world_create(8, true);
    while (w->state->decisions < kds_selector_opening(&w->selector))
        assert_true(one_step(w, false));
    forget_sweeps(w);
    w->state->rules = 1;
    cJSON *body =
        kds_candidate_body(w->state, 3, "mutate", NULL, NULL, STRUCTURE, strlen(STRUCTURE), "h");
    assert_null(kds_json_at(body, "structure"));
    cJSON_Delete(body);
    by_model(w, STRUCTURE, 20, true);
    assert_int_equal(w->state->sweep_count, 0);
    world_free(w);
}

/* A state folded in the middle of sweeps goes on as the one that lived. */
static void test_folded_in_the_middle(void **state)
{
    (void)state;
    world *w = world_create(9, false);
    int steps = 0;
    for (int i = 0; i < 100; i++) {
        kds_choice x = {0}, y = {0};
        assert_true(one_step(w, i % 3 == 0));
        if (w->state->decisions < kds_selector_opening(&w->selector))
            continue;
        kds_state *live = w->state;
        char *one = choose(w, &x);
        steps += is_sweep(x.decision);
        w->state = fold_again(w);
        assert_true(kds_id_equal(kds_state_hash(live), kds_state_hash(w->state)));
        char *two = choose(w, &y);
        assert_string_equal(one, two);
        free(one), free(two);
        kds_choice_free(&x), kds_choice_free(&y);
        kds_state_free(w->state);
        w->state = live;
    }
    assert_true(steps > 20);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_halving),          cmocka_unit_test(test_a_rung_waits),
        cmocka_unit_test(test_what_is_swept),    cmocka_unit_test(test_rules_1),
        cmocka_unit_test(test_what_is_given_up), cmocka_unit_test(test_folded_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
