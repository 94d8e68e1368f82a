/* Made-up campaigns: what the tests of selection share. */
#ifndef KDS_TESTS_ENGINE_MADE_UP_H
#define KDS_TESTS_ENGINE_MADE_UP_H

#include "tests/engine/world.h"

/* A verdict that follows from the source alone, and differs from source to source. */
UNUSED static outcome judged_by_hash(const char *source, size_t len)
{
    uint64_t h = kds_hash64(source, len, 1);
    return (outcome){.large_us = 40 + (double)(h % 997) / 10,
                     .small_us = 40 + (double)(h % 997) / 10,
                     .bins = {(int)(h >> 20 & 3), (int)(h >> 30 & 3), (int)(h >> 40 & 3)}};
}

/* Records a choice, judges its child and commits it; false if there was nothing to choose. */
UNUSED static bool one_step(world *w, bool reject_children)
{
    kds_choice choice = {0};
    kds_id id, none = {0, 0};
    bool made = false, accepted = false;
    int64_t decision = w->state->decisions;
    ASSERT_OK(kds_select(&w->selector, w->state, &choice, &made, e));
    if (!made)
        return false;
    assert_non_null(choice.candidate);
    outcome o = judged_by_hash(choice.source.data, choice.source.len);
    ASSERT_OK(kds_ledger_put(w->ledger, "source", choice.source.data, choice.source.len, &id, e));
    record(w, "DECISION", cJSON_Duplicate(choice.decision, true));
    record(w, "CANDIDATE", cJSON_Duplicate(choice.candidate, true));
    kds_choice_free(&choice);
    if (decision <
        kds_selector_opening(&w->selector)) /* each into a cell of its own, seeds faster */
        o = (outcome){.large_us = 100 - 10 * (double)decision,
                      .small_us = 100 - 10 * (double)decision,
                      .bins = {(int)decision, 0, 0}};
    if (reject_children && decision >= kds_selector_opening(&w->selector))
        stage(w, decision, "judge", "wrong", "no", none, none);
    else
        judge(w, decision, &o);
    cJSON_Delete(commit(w, decision, &accepted));
    return true;
}

UNUSED static char *choose(const world *w, kds_choice *choice)
{
    bool made = false;
    ASSERT_OK(kds_select(&w->selector, w->state, choice, &made, e));
    assert_true(made);
    char *text = kds_json_print(choice->decision);
    assert_non_null(text);
    return text;
}

UNUSED static kds_code refold_event(void *user, const kds_ledger_event *event, kds_err *e)
{
    cJSON *body = kds_json_parse_record(event->body, event->body_len);
    assert_non_null(body);
    kds_code code = kds_state_apply(user, event->kind, body, e);
    cJSON_Delete(body);
    return code;
}

/* The state that the record folds to. */
UNUSED static kds_state *fold_again(const world *w)
{
    kds_state *folded = kds_state_create();
    assert_non_null(folded);
    ASSERT_OK(kds_ledger_each_event(w->ledger, 1, refold_event, folded, e));
    return folded;
}

UNUSED static bool is_sweep(const cJSON *decision)
{
    return kds_json_at(kds_json_at(decision, "target"), "sweep") != NULL;
}

/* Leaves the sweeps that wait out of it. */
UNUSED static void forget_sweeps(world *w)
{
    w->state->sweep_count = 0;
}

/* Operators of `count` decisions from the present state, as if each were the next. */
typedef struct tally {
    int mutate, explore, crossover, simplify, tune, rewrite, others;
} tally;

UNUSED static tally count_operators(world *w, int64_t count)
{
    static const struct {
        const char *name;
        size_t at;
    } names[] = {{"mutate", offsetof(tally, mutate)},       {"explore", offsetof(tally, explore)},
                 {"crossover", offsetof(tally, crossover)}, {"simplify", offsetof(tally, simplify)},
                 {"tune", offsetof(tally, tune)},           {"rewrite", offsetof(tally, rewrite)}};
    tally t = {0};
    int64_t kept = w->state->decisions;
    for (int64_t i = 0; i < count; i++) {
        kds_choice choice = {0};
        int *n = &t.others;
        w->state->decisions = kept + i;
        free(choose(w, &choice));
        for (size_t k = 0; k < sizeof names / sizeof *names; k++)
            if (strcmp(kds_json_str(choice.decision, "operator", ""), names[k].name) == 0)
                n = (int *)((char *)&t + names[k].at);
        ++*n;
        kds_choice_free(&choice);
    }
    w->state->decisions = kept;
    return t;
}

#endif
