/* What a prompt tells of its parent is what the decision that was committed said, also where an
 * equal child of a later decision was recorded before it. */
#include "search/engine/ask.h"
#include "tests/engine/world.h"

#define CHILD "the child of two decisions"

/* A DECISION of a model with a parent; its reply has not come. */
static int64_t decide(world *w, const char *parent)
{
    char hex[KDS_ID_HEX];
    int64_t decision = w->state->decisions;
    cJSON *body = cJSON_CreateObject();
    kds_json_add_int(body, "decision", decision);
    kds_json_add_str(body, "operator", "mutate");
    kds_json_add_str(body, "proposer", "endpoint");
    cJSON *parents = cJSON_AddArrayToObject(body, "parents");
    kds_id_format(kds_id_of(parent, strlen(parent)), hex);
    cJSON_AddItemToArray(parents, cJSON_CreateString(hex));
    record(w, "DECISION", body);
    return decision;
}

/* The reply to it. */
static void reply(world *w, int64_t decision, const char *source, const char *hypothesis)
{
    kds_id id;
    ASSERT_OK(kds_ledger_put(w->ledger, "source", source, strlen(source), &id, e));
    record(w, "CANDIDATE",
           kds_candidate_body(w->state, decision, "mutate", NULL, NULL, source, strlen(source),
                              hypothesis));
}

/* The baseline and another elite; two decisions under way that get the same child, the later one's
 * first. */
static world *begun(int64_t decisions[2])
{
    bool accepted = false;
    world *w = world_create(1, true);
    int64_t baseline = propose(w, "baseline", "task", w->task->baseline);
    judge(w, baseline, &(outcome){.large_us = 100, .small_us = 100});
    cJSON_Delete(commit(w, baseline, &accepted));
    cJSON_Delete(child(w, "other", &(outcome){.large_us = 90, .small_us = 90, .bins = {1, 0, 0}},
                       &accepted));
    assert_true(accepted);
    decisions[0] = decide(w, w->task->baseline);
    decisions[1] = decide(w, "other");
    reply(w, decisions[1], CHILD, "the later idea");
    reply(w, decisions[0], CHILD, "the earlier idea");
    return w;
}

/* The same, the first of them judged, and both committed. */
static world *judged(int64_t decisions[2])
{
    bool accepted = false;
    world *w = begun(decisions);
    judge(w, decisions[0], &(outcome){.large_us = 50, .small_us = 50, .bins = {2, 0, 0}});
    for (int i = 0; i < 2; i++)
        cJSON_Delete(commit(w, decisions[i], &accepted));
    return w;
}

static void test_of_a_parent(void **state)
{
    (void)state;
    int64_t decisions[2];
    char hex[KDS_ID_HEX];
    kds_gathered g;
    const kds_id none = {0, 0};
    world *w = judged(decisions);
    ASSERT_OK(
        kds_gather(&g, &w->selector, w->state, "mutate", kds_id_of(CHILD, strlen(CHILD)), none, e));
    assert_string_equal(g.ask.parent.hypothesis, "the earlier idea");
    kds_id_format(kds_id_of(w->task->baseline, strlen(w->task->baseline)), hex);
    assert_string_equal(g.grandparent[0], hex);
    ASSERT_OK(kds_gather_past(&g, w->ledger, e));
    assert_non_null(g.ask.parent.before);
    kds_gathered_free(&g);
    world_free(w);
}

static void test_of_a_failure(void **state)
{
    (void)state;
    int64_t decisions[2];
    bool accepted = true;
    kds_gathered g;
    const kds_id none = {0, 0};
    world *w = begun(decisions);
    stage(w, decisions[0], "compile", "compile_failed", "a semicolon is missing", none, none);
    for (int i = 0; i < 2; i++)
        cJSON_Delete(commit(w, decisions[i], &accepted));
    assert_int_equal(w->state->repair_count, 1);
    kds_id failed = w->state->repairs[0].candidate;
    ASSERT_OK(kds_gather(&g, &w->selector, w->state, "repair", failed, none, e));
    ASSERT_OK(kds_gather_failure(&g, w->ledger, kds_map_get(w->state->ids, failed), e));
    assert_non_null(strstr(g.ask.failure, "a semicolon is missing"));
    kds_gathered_free(&g);
    world_free(w);
}

/* An edit of guidance is told every idea as its own decision had it. */
static void test_of_what_was_tried(void **state)
{
    (void)state;
    int64_t decisions[2];
    kds_gathered g;
    const kds_id none = {0, 0};
    world *w = judged(decisions);
    memset(&g, 0, sizeof g);
    g.ask.operator_name = "guide";
    ASSERT_OK(kds_gather_guidance(&g, w->state, w->ledger, none, e));
    assert_true(g.ask.note_count >= 2);
    const kds_ask_note *last = &g.notes[g.ask.note_count - 1];
    assert_string_equal(last[-1].hypothesis, "the earlier idea");
    assert_non_null(strstr(last[-1].outcome, "accepted"));
    assert_string_equal(last[0].hypothesis, "the later idea");
    assert_non_null(strstr(last[0].outcome, "duplicate"));
    kds_gathered_free(&g);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_a_parent),
        cmocka_unit_test(test_of_a_failure),
        cmocka_unit_test(test_of_what_was_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
