/* The fold: what each event does to the search state, and which events cannot follow. */
#include "search/engine/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A "00000000000000000000000000000001"
#define B "00000000000000000000000000000002"
#define C "00000000000000000000000000000003"
#define P "000000000000000000000000000000ff"
#define CELL "00000000000000aa"

static kds_code apply(kds_state *s, const char *kind, const char *json)
{
    cJSON *body = kds_json_parse_record(json, strlen(json));
    assert_non_null(body);
    kds_code code = kds_state_apply(s, kind, body, NULL);
    cJSON_Delete(body);
    return code;
}

#define OK(kind, json) assert_int_equal(apply(s, kind, json), KDS_OK)

/* A campaign whose baseline (A) is the elite of CELL. */
static kds_state *begun(void)
{
    kds_state *s = kds_state_create();
    assert_non_null(s);
    OK("CAMPAIGN", "{\"seed\":\"42\",\"rules\":2,\"descriptors\":{\"version\":3}}");
    OK("EPOCH", "{}");
    OK("DECISION", "{\"decision\":0,\"operator\":\"baseline\",\"proposer\":\"task\",\"parents\":[],"
                   "\"cell\":null}");
    OK("CANDIDATE", "{\"decision\":0,\"candidate\":\"" A "\",\"norm\":\"" A "\"}");
    OK("STAGE", "{\"decision\":0,\"stage\":\"compile\",\"verdict\":\"ok\",\"cubin\":\"" P "\"}");
    OK("STAGE", "{\"decision\":0,\"stage\":\"judge\",\"verdict\":\"ok\",\"report\":\"" B "\"}");
    OK("ACCEPT", "{\"decision\":0,\"verdict\":\"ok\",\"cell\":\"" CELL
                 "\",\"bins\":[1,2],\"fitness\":1,\"best\":true}");
    return s;
}

/* A child of the baseline by a model. */
static void propose(kds_state *s, int decision, const char *operator_name, const char *parent,
                    const char *child)
{
    char json[400];
    snprintf(json, sizeof json,
             "{\"decision\":%d,\"operator\":\"%s\",\"proposer\":\"endpoint\",\"model\":\"m\","
             "\"parents\":[\"%s\"],"
             "\"cell\":\"" CELL "\"}",
             decision, operator_name, parent);
    OK("DECISION", json);
    snprintf(json, sizeof json,
             "{\"decision\":%d,\"candidate\":\"%s\",\"norm\":\"%s\",\"hypothesis\":\"h\"}",
             decision, child, child);
    OK("CANDIDATE", json);
}

static void test_a_campaign_begins(void **state)
{
    (void)state;
    kds_state *s = begun();
    assert_int_equal(s->seed, 42);
    assert_int_equal(s->descriptor_version, 3);
    assert_int_equal(s->decisions, 1);
    assert_int_equal(s->committed, 1);
    assert_int_equal(s->flight_count, 0);
    assert_int_equal(s->cell_count, 1);
    assert_int_equal(s->cells[0].bin_count, 2);
    assert_true(s->best_fitness == 1);
    kds_id a = {0, 0}, p = {0, 0};
    assert_true(kds_id_parse(A, &a) && kds_id_parse(P, &p));
    assert_true(kds_id_equal(s->best, a) && kds_id_equal(s->baseline, a));
    assert_int_equal(kds_map_get(s->ids, a), 0);
    assert_int_equal(kds_map_get(s->programs, p), 0);
    assert_int_equal(kds_map_get(s->programs, a), -1);
    kds_state_free(s);
}

/* A campaign keeps the rules of search that it began with; those of a newer program are refused. */
static void test_rules(void **state)
{
    (void)state;
    kds_state *s = kds_state_create();
    assert_non_null(s);
    OK("CAMPAIGN", "{\"seed\":\"42\"}");
    assert_int_equal(s->rules, 1);
    OK("CAMPAIGN", "{\"seed\":\"42\",\"rules\":2}");
    assert_int_equal(s->rules, 2);
    assert_int_equal(apply(s, "CAMPAIGN", "{\"seed\":\"42\",\"rules\":1000}"), KDS_NEWER_FORMAT);
    kds_state_free(s);
}

/* Visits are counted when a parent is chosen, improvements when its child is accepted, wherever
 * that goes. */
static void test_credit_goes_to_the_parents_cell(void **state)
{
    (void)state;
    kds_state *s = begun();
    propose(s, 1, "mutate", A, B);
    assert_int_equal(s->cells[0].visits, 1);
    assert_int_equal(s->cells[0].improvements, 0);
    OK("STAGE", "{\"decision\":1,\"stage\":\"judge\",\"verdict\":\"ok\",\"report\":\"" B "\"}");
    OK("ACCEPT", "{\"decision\":1,\"verdict\":\"ok\",\"cell\":\"00000000000000bb\",\"bins\":[0,0],"
                 "\"fitness\":1.5,"
                 "\"best\":true}");
    uint64_t key = 0;
    assert_true(kds_cell_parse(CELL, &key));
    assert_int_equal(kds_state_cell(s, key)->improvements, 1);
    assert_int_equal(s->cell_count, 2);
    assert_int_equal(kds_state_cell(s, 0xbb)->improvements, 0);
    assert_int_equal(s->note_count, 1);
    assert_string_equal(s->notes[0].outcome, "ok, 1.500x the baseline, accepted");
    kds_state_free(s);
}

/* A model's failed child waits for repair, a repaired one at most once more, a built-in one never.
 */
static void test_repairs(void **state)
{
    (void)state;
    kds_state *s = begun();
    propose(s, 1, "mutate", A, B);
    OK("STAGE", "{\"decision\":1,\"stage\":\"compile\",\"verdict\":\"compile_failed\"}");
    OK("REJECT", "{\"decision\":1,\"verdict\":\"compile_failed\"}");
    assert_int_equal(s->repair_count, 1);
    assert_int_equal(s->repairs[0].depth, 1);
    propose(s, 2, "repair", B, C);
    assert_int_equal(s->repair_count, 0);
    OK("STAGE", "{\"decision\":2,\"stage\":\"judge\",\"verdict\":\"wrong\",\"report\":\"" B "\"}");
    OK("REJECT", "{\"decision\":2,\"verdict\":\"wrong\"}");
    assert_int_equal(s->repair_count, 1);
    assert_int_equal(s->repairs[0].depth, 2);
    propose(s, 3, "repair", C, "00000000000000000000000000000004");
    OK("STAGE", "{\"decision\":3,\"stage\":\"lint\",\"verdict\":\"source_rejected\"}");
    OK("REJECT", "{\"decision\":3,\"verdict\":\"source_rejected\"}");
    assert_int_equal(s->repair_count, 0);
    kds_state_free(s);
}

/* Spend is summed whatever became of the call; an answer closes what was awaited. */
static void test_calls(void **state)
{
    (void)state;
    kds_state *s = begun();
    OK("DECISION",
       "{\"decision\":1,\"operator\":\"mutate\",\"proposer\":\"endpoint\",\"parents\":[\"" A
       "\"]}");
    OK("REQUEST", "{\"request\":0,\"decision\":1,\"prompt\":\"" B "\"}");
    assert_true(kds_state_flight(s, 1)->awaiting);
    OK("RESPONSE", "{\"request\":0,\"decision\":1,\"outcome\":\"retry\",\"prompt_tokens\":-1,"
                   "\"completion_tokens\":-1,"
                   "\"cost_usd\":0}");
    OK("REQUEST", "{\"request\":1,\"decision\":1,\"prompt\":\"" B "\"}");
    OK("RESPONSE", "{\"request\":1,\"decision\":1,\"outcome\":\"ok\",\"reply\":\"" C
                   "\",\"prompt_tokens\":100,\"completion_tokens\":20,\"cost_usd\":0.5}");
    const kds_flight *f = kds_state_flight(s, 1);
    assert_false(f->awaiting);
    assert_int_equal(f->attempts, 2);
    assert_int_equal(f->replies, 1);
    assert_int_equal(s->requests, 2);
    assert_int_equal(s->failed_calls, 1);
    assert_int_equal(s->prompt_tokens + s->completion_tokens, 120);
    assert_true(s->cost_usd == 0.5);
    kds_state_free(s);
}

/* What a model proposes is known only once committed, what the built-in proposer makes at once. */
static void test_known_proposals(void **state)
{
    (void)state;
    kds_id b = {0, 0}, c = {0, 0};
    kds_state *s = begun();
    assert_true(kds_id_parse(B, &b) && kds_id_parse(C, &c));
    propose(s, 1, "mutate", A, B);
    assert_int_equal(kds_map_get(s->proposed, b), -1);
    OK("DECISION",
       "{\"decision\":2,\"operator\":\"tune\",\"proposer\":\"builtin\",\"parents\":[\"" A "\"]}");
    OK("CANDIDATE", "{\"decision\":2,\"candidate\":\"" C "\",\"norm\":\"" C "\"}");
    assert_int_equal(kds_map_get(s->proposed, c), 2);
    OK("STAGE", "{\"decision\":1,\"stage\":\"judge\",\"verdict\":\"wrong\"}");
    OK("REJECT", "{\"decision\":1,\"verdict\":\"wrong\"}");
    assert_int_equal(kds_map_get(s->proposed, b), 1);
    kds_state_free(s);
}

static void test_impossible_events(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *json;
    } cases[] = {
        {"DECISION", "{\"decision\":7,\"operator\":\"tune\"}"},
        {"DECISION", "{\"operator\":\"tune\"}"},
        {"CANDIDATE", "{\"decision\":5,\"candidate\":\"" A "\",\"norm\":\"" A "\"}"},
        {"ACCEPT", "{\"decision\":0,\"verdict\":\"ok\",\"cell\":\"" CELL "\"}"},
        {"REJECT", "{\"decision\":9,\"verdict\":\"ok\"}"},
        {"STAGE", "{\"decision\":9,\"verdict\":\"ok\"}"},
        {"REQUEST", "{\"decision\":9}"},
        {"REQUEST", "{\"decision\":0,\"request\":0}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kds_state *s = begun();
        if (apply(s, cases[i].kind, cases[i].json) != KDS_DAMAGED)
            fail_msg("%s %s was taken", cases[i].kind, cases[i].json);
        kds_state_free(s);
    }
    kds_state *s = begun();
    OK("DECISION",
       "{\"decision\":1,\"operator\":\"tune\",\"proposer\":\"builtin\",\"parents\":[]}");
    assert_int_equal(apply(s, "CANDIDATE", "{\"decision\":1,\"candidate\":\"zz\"}"), KDS_DAMAGED);
    assert_int_equal(apply(s, "STAGE", "{\"decision\":1,\"verdict\":\"splendid\"}"), KDS_DAMAGED);
    assert_int_equal(
        apply(s, "ACCEPT", "{\"decision\":1,\"verdict\":\"ok\",\"cell\":\"" CELL "\"}"),
        KDS_DAMAGED);
    assert_int_equal(apply(s, "A_KIND_OF_TOMORROW", "{}"), KDS_OK);
    kds_state_free(s);
}

/* Numbers that nobody counted to, and texts longer than their field. */
static void test_hostile_values(void **state)
{
    (void)state;
    static const char *const requests[] = {"{\"decision\":1}", "{\"decision\":1,\"request\":-1}",
                                           "{\"decision\":1,\"request\":\"9223372036854775807\"}"};
    static const char *const bins[] = {"[-1]", "[1e300]", "[0,0,0,0,0,0,0]"};
    kds_state *s = begun();
    propose(s, 1, "mutate", A, B);
    for (int i = 0; i < 3; i++)
        assert_int_equal(apply(s, "REQUEST", requests[i]), KDS_DAMAGED);
    OK("REQUEST", "{\"decision\":1,\"request\":0}");
    for (int i = 0; i < 2; i++)
        OK("RESPONSE", "{\"request\":0,\"decision\":1,\"outcome\":\"ok\","
                       "\"prompt_tokens\":\"9223372036854775807\","
                       "\"completion_tokens\":\"-9223372036854775808\"}");
    assert_true(s->prompt_tokens > 0);
    assert_int_equal(s->completion_tokens, 0);
    /* 399 bytes end in the middle of the 200th letter */
    char json[1200], letters[601] = "";
    for (int i = 0; i < 300; i++)
        memcpy(letters + 2 * i, "\xc3\xa9", 2);
    snprintf(json, sizeof json,
             "{\"decision\":1,\"stage\":\"judge\",\"verdict\":\"ok\",\"message\":\"%s\"}", letters);
    OK("STAGE", json);
    assert_int_equal(strlen(kds_state_flight(s, 1)->message), 398);
    for (int i = 0; i < 3; i++) {
        snprintf(json, sizeof json,
                 "{\"decision\":1,\"verdict\":\"ok\",\"cell\":\"" CELL "\",\"bins\":%s}", bins[i]);
        assert_int_equal(apply(s, "ACCEPT", json), KDS_DAMAGED);
    }
    kds_state_free(s);
}

/* The hash tells states apart and calls equal ones equal. */
static void test_hash(void **state)
{
    (void)state;
    kds_state *a = begun(), *s = begun();
    assert_true(kds_id_equal(kds_state_hash(a), kds_state_hash(s)));
    propose(s, 1, "mutate", A, B);
    assert_false(kds_id_equal(kds_state_hash(a), kds_state_hash(s)));
    kds_state_free(a);
    kds_state_free(s);
}

/* Tables grow and keep the first decision of an id. */
static void test_many_ids(void **state)
{
    (void)state;
    kds_state *s = begun();
    char json[200];
    for (int i = 1; i < 3000; i++) {
        snprintf(json, sizeof json,
                 "{\"decision\":%d,\"operator\":\"tune\",\"proposer\":\"builtin\",\"parents\":[]}",
                 i);
        OK("DECISION", json);
        snprintf(json, sizeof json, "{\"decision\":%d,\"candidate\":\"%032x\",\"norm\":\"%032x\"}",
                 i, i % 1000 + 10, i % 1000 + 10);
        OK("CANDIDATE", json);
        snprintf(json, sizeof json, "{\"decision\":%d,\"verdict\":\"wrong\"}", i);
        OK("REJECT", json);
    }
    for (int i = 1; i < 1000; i++)
        assert_int_equal(kds_map_get(s->ids, (kds_id){0, (uint64_t)i + 10}), i);
    assert_int_equal(kds_map_get(s->ids, (kds_id){0, 5000}), -1);
    kds_state_free(s);
}

/* The cards' time is summed over all events that tell some; what is no time counts nothing. */
static void test_gpu_seconds(void **state)
{
    (void)state;
    kds_state *s = begun();
    propose(s, 1, "mutate", A, B);
    OK("STAGE", "{\"decision\":1,\"stage\":\"safety\",\"verdict\":\"ok\"}");
    assert_true(s->gpu_seconds == 0);
    OK("STAGE", "{\"decision\":1,\"stage\":\"judge\",\"verdict\":\"ok\",\"gpu_seconds\":1.5}");
    OK("STOP", "{\"why\":\"stopped\",\"seconds\":9,\"gpu_seconds\":0.25}");
    OK("EPOCH", "{}");
    OK("STOP", "{\"why\":\"stopped\",\"seconds\":9,\"gpu_seconds\":-4}");
    OK("STOP", "{\"why\":\"stopped\",\"seconds\":9,\"gpu_seconds\":\"4\"}");
    assert_true(s->gpu_seconds == 1.75);
    kds_state_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_campaign_begins),
        cmocka_unit_test(test_gpu_seconds),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_credit_goes_to_the_parents_cell),
        cmocka_unit_test(test_repairs),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_known_proposals),
        cmocka_unit_test(test_impossible_events),
        cmocka_unit_test(test_hostile_values),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_many_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
