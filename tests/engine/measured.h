/* A campaign whose times are measured, with made-up duels. */
#ifndef KDS_TESTS_ENGINE_MEASURED_H
#define KDS_TESTS_ENGINE_MEASURED_H

#include "tests/engine/world.h"

/* A campaign whose times are measured. */
UNUSED static world *measured(void)
{
    world *w = world_create(1, true);
    kds_state_free(w->state);
    assert_non_null(w->state = kds_state_create());
    cJSON *body = cJSON_CreateObject();
    kds_json_add_int(body, "rules", KDS_RULES);
    kds_json_add_str(body, "seed", "1");
    kds_json_add_bool(body, "measured", true);
    ASSERT_OK(kds_state_apply(w->state, "CAMPAIGN", body, e));
    cJSON_Delete(body);
    body = cJSON_CreateObject();
    kds_json_add_int(body, "epoch", 0);
    ASSERT_OK(kds_state_apply(w->state, "EPOCH", body, e));
    cJSON_Delete(body);
    return w;
}

UNUSED static bool needs(world *w, int64_t decision, kds_bout_need *n)
{
    bool needed = false;
    const kds_flight *f = kds_state_flight(w->state, decision);
    assert_non_null(f);
    ASSERT_OK(kds_commit_bout(&w->selector, w->state, f, &needed, n, e));
    return needed;
}

/* The duel that is needed next must be this one. */
UNUSED static void expect_need(world *w, int64_t decision, kds_bout_purpose purpose,
                               kds_id incumbent, bool fresh)
{
    kds_bout_need n;
    assert_true(needs(w, decision, &n));
    assert_string_equal(kds_bout_purpose_name(n.purpose), kds_bout_purpose_name(purpose));
    assert_true(kds_id_equal(n.incumbent, incumbent));
    assert_int_equal(n.fresh, fresh);
}

/* The outcome of a duel: NaN: the child failed in it, INFINITY: it was disturbed. */
UNUSED static void add_outcome(cJSON *body, double gain)
{
    kds_json_add_str(body, "device", "cuda:3");
    if (isnan(gain)) {
        kds_json_add_str(body, "failed", "child");
        kds_json_add_str(body, "failure", "stale_output");
        kds_json_add_str(body, "why", "y[3] was not written");
    } else if (isinf(gain)) {
        kds_json_add_str(body, "verdict", "unresolved");
        kds_json_add_str(body, "ended_by", "clock_moved");
        kds_json_add_str(body, "why", "disturbed");
    } else {
        kds_json_add_str(body, "verdict", gain > 0.0025 ? "faster" : "not_faster");
        kds_json_add_num(body, "gain", gain);
        kds_json_add_num(body, "low", gain - 0.001);
        kds_json_add_num(body, "high", gain + 0.001);
        kds_json_add_str(body, "why", gain > 0.0025 ? "won" : "lost");
    }
}

/* The fields that tell a duel; decision -1: of none; cell NULL: none. */
UNUSED static cJSON *duel_event(int64_t decision, kds_bout_purpose purpose, const char *cell,
                                kds_id candidate, kds_id incumbent)
{
    cJSON *body = cJSON_CreateObject();
    if (decision >= 0)
        kds_json_add_int(body, "decision", decision);
    if (cell)
        kds_json_add_str(body, "cell", cell);
    kds_json_add_id(body, "candidate", candidate);
    kds_json_add_str(body, "purpose", kds_bout_purpose_name(purpose));
    kds_json_add_id(body, "incumbent", incumbent);
    return body;
}

/* The duel that a decision needs next. */
UNUSED static void fought(world *w, int64_t decision, double gain)
{
    kds_bout_need n;
    assert_true(needs(w, decision, &n));
    const kds_flight *f = kds_state_flight(w->state, decision);
    cJSON *body = duel_event(decision, n.purpose, NULL, f->candidate, n.incumbent);
    add_outcome(body, gain);
    record(w, "DUEL", body);
}

/* Announces a duel and gives its number. */
UNUSED static int64_t announced(world *w, int64_t decision, kds_bout_purpose purpose,
                                const char *cell, kds_id candidate, kds_id incumbent)
{
    int64_t number = w->state->challenged;
    cJSON *body = duel_event(decision, purpose, cell, candidate, incumbent);
    kds_json_add_int(body, "challenge", number);
    kds_json_add_int(body, "seed", (int64_t)kds_state_bout_seed(w->state));
    kds_json_add_num(body, "margin", kds_commit_margin(w->task, w->state));
    record(w, "CHALLENGE", body);
    return number;
}

/* Ends an announced duel. */
UNUSED static void answered(world *w, int64_t number, double gain)
{
    const kds_challenge *c = kds_state_challenge(w->state, number);
    assert_non_null(c);
    cJSON *body = duel_event(c->decision, c->purpose, NULL, c->candidate, c->incumbent);
    kds_json_add_int(body, "challenge", number);
    add_outcome(body, gain);
    record(w, "DUEL", body);
}

UNUSED static int64_t judged(world *w, const char *source, double us, int a, int b)
{
    int64_t decision = propose(w, "mutate", "endpoint", source);
    judge(w, decision, &(outcome){.large_us = us, .small_us = us, .bins = {a, b}});
    return decision;
}

UNUSED static cJSON *end(world *w, int64_t decision, bool want)
{
    bool accepted = false;
    kds_bout_need n;
    assert_false(needs(w, decision, &n));
    cJSON *body = commit(w, decision, &accepted);
    if (accepted != want)
        fail_msg("%s", kds_json_str(body, "why", ""));
    return body;
}

UNUSED static world *begun(void)
{
    world *w = measured();
    int64_t decision = propose(w, "baseline", "task", w->task->baseline);
    judge(w, decision, &(outcome){.large_us = 100, .small_us = 100, .bins = {1, 1}});
    cJSON *body = end(w, decision, true);
    assert_true(kds_json_bool(body, "best", false));
    cJSON_Delete(body);
    return w;
}

UNUSED static kds_id id(const char *source)
{
    return kds_id_of(source, strlen(source));
}

#endif
