/* Guidance: when one is asked for, which one a prompt tells, how children count, and when it is
 * taken out of use; all a fold of the record. */
#include "search/engine/campaign.h"
#include "search/engine/select_guidance.h"
#include "tests/engine/world.h"

static const kds_id NONE = {0, 0};

/* A campaign with a model whose baseline is committed. */
static world *begun(uint64_t seed)
{
    bool accepted = false;
    world *w = world_create(seed, true);
    int64_t decision = propose(w, "baseline", "task", w->task->baseline);
    judge(w, decision, &(outcome){100, 100, {0, 0, 0}, NULL, NULL});
    cJSON_Delete(commit(w, decision, &accepted));
    assert_true(accepted);
    w->state->decisions = w->state->committed = kds_selector_opening(&w->selector);
    return w;
}

/* The choice of the next decision, recorded. */
static int64_t decide(world *w, const char *expected)
{
    kds_choice choice = {0};
    bool made = false;
    int64_t decision = w->state->decisions;
    ASSERT_OK(kds_select(&w->selector, w->state, &choice, &made, e));
    assert_true(made);
    if (expected)
        assert_string_equal(kds_json_str(choice.decision, "operator", ""), expected);
    record(w, "DECISION", cJSON_Duplicate(choice.decision, true));
    kds_choice_free(&choice);
    return decision;
}

/* A DECISION by hand that tells `guidance`, with a child of its own. */
static int64_t propose_told(world *w, const char *operator_name, kds_id guidance)
{
    char source[80];
    kds_id id;
    int64_t decision = w->state->decisions;
    cJSON *body = cJSON_CreateObject();
    kds_json_add_int(body, "decision", decision);
    kds_json_add_str(body, "operator", operator_name);
    kds_json_add_str(body, "proposer", "endpoint");
    kds_json_add_str(body, "model", "test-model");
    cJSON_AddArrayToObject(body, "parents");
    if (!kds_id_is_zero(guidance))
        kds_json_add_id(body, "guidance", guidance);
    record(w, "DECISION", body);
    snprintf(source, sizeof source, "child %lld", (long long)decision);
    ASSERT_OK(kds_ledger_put(w->ledger, "source", source, strlen(source), &id, e));
    body = kds_candidate_body(w->state, decision, operator_name, "test-model", NULL, source,
                              strlen(source), source);
    record(w, "CANDIDATE", body);
    return decision;
}

/* The end of a decision as it is recorded; of an accepted one in a cell of its own. */
static void end(world *w, int64_t decision, const char *verdict, bool accepted)
{
    char cell[17];
    const kds_flight *f = kds_state_flight(w->state, decision);
    cJSON *body = cJSON_CreateObject();
    kds_json_add_int(body, "decision", decision);
    kds_json_add_str(body, "operator", f->operator_name);
    if (f->has_candidate)
        kds_json_add_id(body, "candidate", f->candidate);
    kds_json_add_str(body, "verdict", verdict);
    kds_json_add_str(body, "why", "because");
    if (accepted) {
        kds_cell_format((uint64_t)decision + 1000, cell);
        kds_json_add_str(body, "cell", cell);
        cJSON_AddArrayToObject(body, "bins");
        kds_json_add_num(body, "fitness", 1.5);
    }
    record(w, accepted ? "ACCEPT" : "REJECT", body);
}

/* So many children under a guidance, the first `accepted` of them accepted. */
static void children(world *w, kds_id guidance, int count, int accepted)
{
    for (int i = 0; i < count; i++)
        end(w, propose_told(w, "mutate", guidance), "ok", i < accepted);
}

static void answer_guide(world *w, int64_t decision, const char *text)
{
    kds_id id;
    ASSERT_OK(kds_ledger_put(w->ledger, "guidance", text, strlen(text), &id, e));
    cJSON *body = cJSON_CreateObject();
    kds_json_add_int(body, "decision", decision);
    kds_json_add_id(body, "guidance", id);
    kds_json_add_str(body, "parent", NULL);
    kds_json_add_str(body, "model", "adviser");
    record(w, "GUIDANCE", body);
}

/* Asks for a guidance and takes it into use; its id. */
static kds_id guided(world *w, const char *text)
{
    bool accepted = true;
    w->selector.guidance_every = 1;
    w->state->guidances.since_asked = 1;
    int64_t decision = decide(w, "guide");
    answer_guide(w, decision, text);
    cJSON_Delete(commit(w, decision, &accepted));
    assert_false(accepted);
    w->selector.guidance_every = 0;
    return kds_id_of(text, strlen(text));
}

static const kds_guidance *of(const world *w, kds_id id)
{
    const kds_guidance *g = kds_guidance_find(&w->state->guidances, id);
    assert_non_null(g);
    return g;
}

static kds_id guidance_of(const cJSON *decision)
{
    kds_id id = {0, 0};
    assert_non_null(kds_json_at(decision, "guidance"));
    (void)kds_json_id(decision, "guidance", &id);
    return id;
}

/* By Simpson's rule: the density of the one times the distribution of the other. */
static double above_by_integration(double a, double b, double c, double d)
{
    double sum = 0, below = 0, n = 20000;
    double left = exp(lgamma(a + b) - lgamma(a) - lgamma(b)),
           right = exp(lgamma(c + d) - lgamma(c) - lgamma(d));
    for (int i = 0; i < n; i++) {
        double x = (i + 0.5) / n;
        double density = right * pow(x, c - 1) * pow(1 - x, d - 1) / n;
        sum += left * pow(x, a - 1) * pow(1 - x, b - 1) / n * (below + density / 2);
        below += density;
    }
    return sum;
}

static void test_probability(void **state)
{
    (void)state;
    static const int CASES[][4] = {{1, 1, 1, 1},  {1, 3, 1, 3},     {2, 9, 5, 6},
                                   {1, 15, 7, 9}, {30, 70, 25, 75}, {1, 40, 3, 10}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const int *c = CASES[i];
        double p = kds_belief_above(c[0], c[1], c[2], c[3]),
               want = above_by_integration(c[0], c[1], c[2], c[3]),
               rest = kds_belief_above(c[2], c[3], c[0], c[1]);
        if (fabs(p - want) > 1e-4 || fabs(p + rest - 1) > 1e-9)
            fail_msg("case %zu: %.6f, not %.6f; the other way %.6f", i, p, want, rest);
    }
    /* Where the terms are smaller than a double can be. */
    assert_true(fabs(kds_belief_above(5000, 45000, 5000, 45000) - 0.5) < 0.01);
    assert_true(kds_belief_above(5000, 45000, 4000, 46000) > 0.999);
    assert_true(kds_belief_above(4000, 46000, 5000, 45000) < 0.001);
}

/* After N children of models, one at a time, and never by the first rules. */
static void test_when_it_is_due(void **state)
{
    (void)state;
    bool accepted = false;
    world *w = begun(3);
    w->selector.guidance_every = 4;
    children(w, NONE, 3, 1);
    int64_t child = decide(w, NULL);
    assert_false(kds_guidance_due(w->state, 4));
    record(w, "STAGE", kds_campaign_no_child(child, "the server is gone"));
    cJSON_Delete(commit(w, child, &accepted));
    assert_int_equal(w->state->guidances.since_asked, 3); /* nobody answered: no child */
    children(w, NONE, 1, 0);
    assert_true(kds_guidance_due(w->state, 4));
    assert_false(kds_guidance_due(w->state, 5));
    assert_false(kds_guidance_due(w->state, 0));
    w->state->rules = 1;
    assert_false(kds_guidance_due(w->state, 4));
    w->state->rules = KDS_RULES;

    int64_t guide = decide(w, "guide"), evaluated = w->state->evaluated;
    w->state->barren = 7;
    children(w, NONE, 5, 0);
    assert_false(kds_guidance_due(w->state, 4)); /* one is under way */
    w->state->barren = 7;
    answer_guide(w, guide, "Wide loads.");
    assert_true(kds_commit_ready(w->state, kds_state_flight(w->state, guide)));
    cJSON *body = commit(w, guide, &accepted);
    assert_false(accepted);
    assert_string_equal(kds_json_str(body, "verdict", ""), "ok");
    assert_non_null(strstr(kds_json_str(body, "why", ""), "comes into use"));
    cJSON_Delete(body);
    /* It is no candidate, no evaluation, neither fruit nor barrenness. */
    assert_int_equal(w->state->barren, 7);
    assert_int_equal(w->state->evaluated, evaluated + 5);
    assert_int_equal(kds_guidances_in_use(&w->state->guidances), 1);
    const kds_guidance *g = of(w, kds_id_of("Wide loads.", 11));
    assert_string_equal(g->model, "adviser");
    assert_int_equal(g->decision, guide);
    assert_true(kds_guidance_due(w->state, 4)); /* five came meanwhile */
    world_free(w);
}

/* Children count for what they were told, repairs inherit it, and what a model never answered does
 * not count. */
static void test_children_count(void **state)
{
    (void)state;
    world *w = begun(3);
    kds_id a = guided(w, "Wide loads.");
    children(w, a, 5, 2);
    children(w, NONE, 4, 1);
    assert_int_equal(of(w, a)->children, 5);
    assert_int_equal(of(w, a)->accepted, 2);
    assert_int_equal(of(w, NONE)->children, 4);
    assert_int_equal(of(w, NONE)->accepted, 1);
    assert_true(of(w, a)->recent_children < 5 && of(w, a)->recent_children > 4.5);

    int64_t failed = propose_told(w, "mutate", a);
    end(w, failed, "compile_failed", false);
    assert_int_equal(w->state->repair_count, 1);
    int64_t repair = decide(w, "repair");
    assert_true(kds_id_equal(kds_state_flight(w->state, repair)->guidance, a));
    /* An unusable reply is an answer all the same. */
    cJSON *body = cJSON_CreateObject();
    kds_json_add_int(body, "request", 0);
    kds_json_add_int(body, "decision", repair);
    record(w, "REQUEST", cJSON_Duplicate(body, true));
    kds_json_add_str(body, "outcome", "ok");
    record(w, "RESPONSE", body);
    record(w, "STAGE", kds_campaign_no_child(repair, "no code"));
    bool accepted = true;
    cJSON_Delete(commit(w, repair, &accepted));
    assert_int_equal(of(w, a)->children, 7);
    assert_int_equal(of(w, a)->accepted, 2);
    world_free(w);
}

/* Twelve children of either side, and more than nine to one that it is worse. */
static void test_retired_when_it_hurts(void **state)
{
    (void)state;
    world *w = begun(3);
    children(w, NONE, 40, 20); /* before it came: they say nothing of it */
    kds_id a = guided(w, "Do nothing."), b = guided(w, "Wide loads.");
    children(w, a, 30, 0);
    assert_int_equal(of(w, a)->standing, KDS_GUIDANCE_IN_USE);
    children(w, NONE, 11, 5);
    assert_int_equal(of(w, a)->standing, KDS_GUIDANCE_IN_USE);
    children(w, NONE, 1, 0);
    assert_int_equal(of(w, a)->standing, KDS_GUIDANCE_RETIRED);
    children(w, b, 11, 0);
    assert_int_equal(of(w, b)->standing, KDS_GUIDANCE_IN_USE);
    assert_int_equal(kds_guidances_in_use(&w->state->guidances), 1);
    children(w, b, 1, 0);
    assert_int_equal(of(w, b)->standing, KDS_GUIDANCE_RETIRED);
    /* All are: the next edit begins with none, and what was retired does not come back. */
    assert_int_equal(kds_guidances_in_use(&w->state->guidances), 0);
    w->selector.guidance_every = 1;
    int64_t guide = decide(w, "guide");
    assert_true(kds_id_is_zero(kds_state_flight(w->state, guide)->guidance));
    answer_guide(w, guide, "Wide loads.");
    bool accepted = true;
    cJSON *body = commit(w, guide, &accepted);
    assert_string_equal(kds_json_str(body, "verdict", ""), "no_child");
    assert_non_null(strstr(kds_json_str(body, "why", ""), "the same guidance"));
    cJSON_Delete(body);
    assert_int_equal(kds_guidances_in_use(&w->state->guidances), 0);
    assert_int_equal(w->state->guidances.count, 3);
    world_free(w);
}

/* As good as none, or with too little to say: it stays. */
static void test_kept_when_it_does_not(void **state)
{
    (void)state;
    world *w = begun(3);
    kds_id a = guided(w, "Wide loads.");
    children(w, NONE, 40, 8);
    children(w, a, 40, 7);
    assert_int_equal(of(w, a)->standing, KDS_GUIDANCE_IN_USE);
    kds_guidance g = {.children = 12, .accepted = 0}, none = {.children = 12, .accepted = 3};
    assert_true(kds_guidance_hurts(&g, &none)); /* 0.92 */
    none.accepted = 2;
    assert_false(kds_guidance_hurts(&g, &none));
    none.accepted = 3;
    none.children = 11;
    assert_false(kds_guidance_hurts(&g, &none));
    none.children = 112; /* a hundred of them before it came */
    none.accepted = 53;
    g.none_children = 100;
    g.none_accepted = 50;
    assert_true(kds_guidance_hurts(&g, &none));
    g.none_accepted = 52;
    assert_false(kds_guidance_hurts(&g, &none));
    world_free(w);
}

/* Eight are in use; a ninth takes the place of the worst. */
static void test_the_worst_is_replaced(void **state)
{
    (void)state;
    world *w = begun(3);
    kds_id ids[9];
    char text[20];
    for (int i = 0; i < 8; i++) {
        snprintf(text, sizeof text, "idea %d", i);
        ids[i] = guided(w, text);
        children(w, ids[i], 5, i == 5 ? 0 : 2);
    }
    assert_int_equal(kds_guidances_in_use(&w->state->guidances), 8);
    ids[8] = guided(w, "idea 8");
    assert_int_equal(kds_guidances_in_use(&w->state->guidances), 8);
    for (int i = 0; i < 9; i++)
        assert_int_equal(of(w, ids[i])->standing,
                         i == 5 ? KDS_GUIDANCE_REPLACED : KDS_GUIDANCE_IN_USE);
    for (int i = 9; i < 30; i++) { /* however many come */
        snprintf(text, sizeof text, "idea %d", i);
        guided(w, text);
    }
    assert_int_equal(kds_guidances_in_use(&w->state->guidances), 8);
    assert_int_equal(w->state->guidances.count, 31);
    world_free(w);
}

/* How often each of two guidances and none is drawn, as if each decision were the next. */
static void draw_many(world *w, kds_id a, kds_id b, int counts[3])
{
    int64_t kept = w->state->decisions;
    memset(counts, 0, 3 * sizeof *counts);
    for (int i = 0; i < 600; i++) {
        cJSON *body = cJSON_CreateObject(), *again = cJSON_CreateObject();
        kds_json_add_str(body, "operator", "mutate");
        kds_json_add_str(body, "proposer", "endpoint");
        w->state->decisions = kept + i;
        assert_true(kds_select_guidance(w->state, body));
        kds_id id = guidance_of(body);
        counts[kds_id_equal(id, a) ? 0 : kds_id_equal(id, b) ? 1 : 2]++;
        kds_json_add_str(again, "operator", "mutate");
        kds_json_add_str(again, "proposer", "endpoint");
        assert_true(kds_select_guidance(w->state, again));
        assert_true(cJSON_Compare(body, again, true));
        cJSON_Delete(body);
        cJSON_Delete(again);
    }
    w->state->decisions = kept;
}

static void test_the_better_is_drawn(void **state)
{
    (void)state;
    int n[3];
    world *w = begun(11);
    draw_many(w, NONE, NONE, n);
    assert_int_equal(n[0], 600); /* nothing but none */
    kds_id a = guided(w, "Wide loads."), b = guided(w, "Do nothing.");
    draw_many(w, a, b, n);
    for (int i = 0; i < 3; i++) /* nothing is known: each alike */
        assert_in_range(n[i], 140, 260);
    children(w, a, 20, 10);
    children(w, NONE, 11, 2);
    children(w, b, 20, 1);
    draw_many(w, a, b, n);
    assert_true(n[0] > 480 && n[2] > n[1] && n[2] > 0);
    children(w, NONE, 1, 0);
    children(w, NONE, 20, 9);
    assert_int_equal(of(w, b)->standing, KDS_GUIDANCE_RETIRED);
    draw_many(w, a, b, n);
    assert_int_equal(n[1], 0);
    assert_true(n[2] > 60);
    /* What was long ago counts little: a guidance that no longer pays loses its lead. */
    children(w, a, 150, 5);
    children(w, NONE, 60, 20);
    draw_many(w, a, b, n);
    assert_true(n[2] > 2 * n[0]);
    world_free(w);
}

/* Who asks no model tells nothing; records of the first rules have no such field. */
static void test_only_models_are_told(void **state)
{
    (void)state;
    world *w = begun(3);
    guided(w, "Wide loads.");
    cJSON *body = cJSON_CreateObject();
    kds_json_add_str(body, "operator", "tune");
    kds_json_add_str(body, "proposer", "builtin");
    assert_true(kds_select_guidance(w->state, body));
    assert_null(kds_json_at(body, "guidance"));
    cJSON_ReplaceItemInObject(body, "proposer", cJSON_CreateString("mailbox"));
    w->state->rules = 1;
    assert_true(kds_select_guidance(w->state, body));
    assert_null(kds_json_at(body, "guidance"));
    kds_id without = kds_state_chain(NONE, body);
    w->state->rules = KDS_RULES;
    assert_true(kds_select_guidance(w->state, body));
    assert_non_null(kds_json_at(body, "guidance"));
    assert_false(kds_id_equal(without, kds_state_chain(NONE, body))); /* it is in the chain */
    cJSON_Delete(body);
    world_free(w);
}

static kds_code refuse(world *w, const char *json)
{
    cJSON *body = kds_json_parse_record(json, strlen(json));
    assert_non_null(body);
    kds_code code = kds_state_apply(w->state, "GUIDANCE", body, NULL);
    cJSON_Delete(body);
    return code;
}

static void test_events_that_cannot_follow(void **state)
{
    (void)state;
    char json[200];
    world *w = begun(3);
    kds_err err = {0};
    const char id[] = "00000000000000000000000000000007";
    int64_t child = propose_told(w, "mutate", NONE);
    snprintf(json, sizeof json, "{\"decision\":%lld,\"guidance\":\"%s\"}", (long long)child, id);
    assert_int_equal(refuse(w, json), KDS_DAMAGED); /* it asks for a child */
    snprintf(json, sizeof json, "{\"decision\":99,\"guidance\":\"%s\"}", id);
    assert_int_equal(refuse(w, json), KDS_DAMAGED);
    cJSON *body = kds_json_parse_record(json, strlen(json));
    assert_int_equal(kds_ledger_append(w->ledger, "GUIDANCE", body, NULL, &err), KDS_PROTOCOL);
    cJSON_Delete(body);
    w->selector.guidance_every = 1;
    w->state->guidances.since_asked = 1;
    int64_t guide = decide(w, "guide");
    snprintf(json, sizeof json, "{\"decision\":%lld}", (long long)guide);
    assert_int_equal(refuse(w, json), KDS_DAMAGED);
    answer_guide(w, guide, "Wide loads.");
    snprintf(json, sizeof json, "{\"decision\":%lld,\"guidance\":\"%s\"}", (long long)guide, id);
    assert_int_equal(refuse(w, json), KDS_DAMAGED); /* a second one */
    world_free(w);
}

static kds_code refold_event(void *user, const kds_ledger_event *event, kds_err *e)
{
    cJSON *body = kds_json_parse_record(event->body, event->body_len);
    kds_code code = kds_state_apply(user, event->kind, body, e);
    cJSON_Delete(body);
    return code;
}

/* The record gives the same population again; where times are measured, no duel is needed for it.
 */
static void test_folded_again(void **state)
{
    (void)state;
    bool needed = true;
    kds_bout_need need;
    world *w = world_create(5, true);
    kds_id ids[3] = {NONE};
    for (int i = 1; i < 3; i++) {
        w->selector.guidance_every = 1;
        int64_t guide = propose(w, "guide", "endpoint", NULL);
        w->state->measured = true;
        answer_guide(w, guide, i == 1 ? "one" : "two");
        const kds_flight *f = kds_state_flight(w->state, guide);
        ASSERT_OK(kds_commit_bout(&w->selector, w->state, f, &needed, &need, e));
        assert_false(needed);
        ids[i] = f->guidance_made;
        bool accepted = true;
        cJSON_Delete(commit(w, guide, &accepted));
        w->state->measured = false;
    }
    for (int i = 0; i < 60; i++)
        children(w, ids[i % 3], 1, i % 3 == 0 || i % 7 == 0);
    kds_state *folded = kds_state_create();
    ASSERT_OK(kds_ledger_each_event(w->ledger, 1, refold_event, folded, e));
    assert_int_equal(folded->guidances.count, 3);
    assert_true(kds_id_equal(kds_state_hash(w->state), kds_state_hash(folded)));
    folded->guidances.items[2].accepted++;
    assert_false(kds_id_equal(kds_state_hash(w->state), kds_state_hash(folded)));
    kds_state_free(folded);
    world_free(w);
}

/* What an edit is told: the text with its score, the others from the best on, what was tried. A
 * correction is told the text and what was wrong. */
static void test_gathered(void **state)
{
    (void)state;
    world *w = begun(3);
    kds_gathered g;
    kds_id ids[3];
    const char *const texts[] = {"first", "second", "third"};
    for (int i = 0; i < 3; i++)
        ids[i] = guided(w, texts[i]);
    children(w, ids[1], 6, 3);
    children(w, ids[2], 6, 0);
    children(w, NONE, 45, 9);
    end(w, propose_told(w, "mutate", NONE), "wrong", false);
    kds_id best = w->state->best;
    ASSERT_OK(kds_gather(&g, &w->selector, w->state, "guide", best, NONE, e));
    ASSERT_OK(kds_gather_guidance(&g, w->state, w->ledger, ids[0], e));
    assert_string_equal(g.ask.guidance.text, "first");
    assert_string_equal(g.ask.guidance.score, "0 children, 0 accepted");
    assert_string_equal(g.ask.unguided, "46 children, 9 accepted");
    assert_int_equal(g.ask.guidance_count, 2);
    assert_string_equal(g.ask.guidances[0].text, "second");
    assert_string_equal(g.ask.guidances[0].score, "6 children, 3 accepted");
    assert_string_equal(g.ask.guidances[1].text, "third");
    assert_int_equal(g.ask.note_count, KDS_GUIDE_NOTES);
    assert_string_equal(g.ask.notes[KDS_GUIDE_NOTES - 1].outcome, "wrong: because");
    char newest[40];
    snprintf(newest, sizeof newest, "child %lld", (long long)w->state->decisions - 1);
    assert_string_equal(g.ask.notes[KDS_GUIDE_NOTES - 1].hypothesis, newest);
    assert_string_equal(g.ask.notes[KDS_GUIDE_NOTES - 2].outcome, "ok: because");
    kds_gather_correction(&g, "it was too long");
    assert_string_equal(g.ask.failure, "it was too long");
    assert_string_equal(g.ask.guidance.text, "first");
    assert_true(!g.ask.note_count && !g.ask.guidance_count && !g.ask.unguided &&
                !g.ask.guidance.score && !g.ask.parent.source);
    g.ask.failure = NULL;
    kds_gathered_free(&g);

    ASSERT_OK(kds_gather(&g, &w->selector, w->state, "mutate", best, NONE, e));
    ASSERT_OK(kds_gather_guidance(&g, w->state, w->ledger, ids[1], e));
    assert_string_equal(g.ask.guidance.text, "second");
    assert_null(g.ask.guidance.score);
    assert_int_equal(g.ask.guidance_count, 0);
    assert_int_equal(g.ask.note_count, KDS_NOTES_MAX);
    kds_gathered_free(&g);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probability),
        cmocka_unit_test(test_when_it_is_due),
        cmocka_unit_test(test_children_count),
        cmocka_unit_test(test_retired_when_it_hurts),
        cmocka_unit_test(test_kept_when_it_does_not),
        cmocka_unit_test(test_the_worst_is_replaced),
        cmocka_unit_test(test_the_better_is_drawn),
        cmocka_unit_test(test_only_models_are_told),
        cmocka_unit_test(test_events_that_cannot_follow),
        cmocka_unit_test(test_folded_again),
        cmocka_unit_test(test_gathered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
