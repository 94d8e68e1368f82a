/* Forecasts: what they follow from, what they count, who is set aside by them, in which order
 * children are judged, and what is said of how right they have been. */
#include "search/engine/surrogate.h"

#include "search/engine/commit.h"
#include "search/engine/evaluate_internal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A "00000000000000000000000000000001"
#define CELL "00000000000000aa"

static void __attribute__((format(printf, 3, 4)))
apply(kds_state *s, const char *kind, const char *format, ...)
{
    char json[1000];
    kds_err e = {0};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(json, sizeof json, format, args);
    va_end(args);
    cJSON *body = kds_json_parse_record(json, strlen(json));
    assert_non_null(body);
    if (kds_state_apply(s, kind, body, &e) != KDS_OK)
        fail_msg("%s %s: %s", kind, json, e.message);
    cJSON_Delete(body);
}

/* A measured campaign whose baseline is the elite of CELL. */
static kds_state *begun(const char *cutoff)
{
    kds_state *s = kds_state_create();
    assert_non_null(s);
    apply(
        s, "CAMPAIGN",
        "{\"seed\":\"1\",\"rules\":2,\"measured\":true,\"settings\":{\"forecast-cutoff\":\"%s\"}}",
        cutoff);
    apply(s, "EPOCH", "{}");
    apply(s, "DECISION", "{\"decision\":0,\"operator\":\"baseline\",\"parents\":[],\"cell\":null}");
    apply(s, "CANDIDATE", "{\"decision\":0,\"candidate\":\"" A "\",\"norm\":\"" A "\"}");
    apply(s, "STAGE",
          "{\"decision\":0,\"stage\":\"safety\",\"verdict\":\"ok\",\"forecast\":{\"modelled\":0,"
          "\"simulator\":0,\"predicted\":null,\"expected\":0}}");
    apply(s, "STAGE", "{\"decision\":0,\"stage\":\"judge\",\"verdict\":\"ok\"}");
    apply(s, "ACCEPT",
          "{\"decision\":0,\"verdict\":\"ok\",\"cell\":\"" CELL
          "\",\"bins\":[1],\"fitness\":1,\"best\":true}");
    return s;
}

/* A child of a model, of the elite of CELL (which `parent` names), up to its forecast. A factor of
 * 0: its model said none. */
static kds_forecast child(kds_state *s, int parent, double factor, double modelled)
{
    kds_forecast x;
    int n = (int)s->decisions;
    apply(s, "DECISION",
          "{\"decision\":%d,\"operator\":\"mutate\",\"proposer\":\"endpoint\",\"parents\":[\"%032d"
          "\"],\"cell\":\"" CELL "\"}",
          n, parent);
    apply(s, "CANDIDATE", "{\"decision\":%d,\"candidate\":\"%032d\",\"norm\":\"%032d\"%s%g}", n,
          n + 1, n + 1,
          factor > 0 ? ",\"prediction\":\"p\",\"predicted\":" : ",\"ignored\":", factor);
    kds_forecast_derive(kds_state_flight(s, n), modelled, &x);
    cJSON *body = cJSON_CreateObject(), *forecast = NULL;
    kds_json_add_int(body, "decision", n);
    kds_json_add_str(body, "stage", "safety");
    kds_json_add_str(body, "verdict", "ok");
    assert_non_null(forecast = cJSON_AddObjectToObject(body, "forecast"));
    kds_json_add_num(forecast, "modelled", x.modelled);
    kds_json_add_num(forecast, "simulator", x.simulator);
    kds_json_add_num(forecast, "predicted", x.predicted);
    kds_json_add_num(forecast, "expected", x.expected);
    assert_int_equal(kds_state_apply(s, "STAGE", body, NULL), KDS_OK);
    cJSON_Delete(body);
    return x;
}

static void committed(kds_state *s, bool accepted, double fitness)
{
    int n = (int)s->flights[s->flight_count - 1].decision;
    apply(s, "STAGE", "{\"decision\":%d,\"stage\":\"judge\",\"verdict\":\"ok\"}", n);
    apply(s, accepted ? "ACCEPT" : "REJECT",
          "{\"decision\":%d,\"verdict\":\"ok\",\"cell\":\"" CELL
          "\",\"bins\":[1],\"fitness\":%.17g,\"best\":false}",
          n, fitness);
}

static void near(double a, double b)
{
    if (!(fabs(a - b) < 1e-9))
        fail_msg("%.12g is not %.12g", a, b);
}

/* Both forecasts are changes of the parent, put onto what it measured. */
static void test_what_follows(void **state)
{
    (void)state;
    kds_state *s = begun("0");
    kds_forecast x = child(s, 1, 1.25, -0.3);
    near(x.simulator, -0.3);
    near(x.predicted, -log(1.25));
    near(x.expected, -0.3); /* nothing is known of the model yet */
    committed(s, true, 1.5);
    x = child(s, 2, 2, -0.5); /* of that child: modelled as -0.3, measured as -log(1.5) */
    near(x.modelled, -0.5);
    near(x.simulator, -log(1.5) - 0.2);
    near(x.predicted, -log(1.5) - log(2));
    committed(s, false, 1.4);
    x = child(s, 2, 50, NAN); /* not simulated, and what its model says is not believed */
    assert_true(isnan(x.expected));
    near(kds_forecast_rank(kds_state_flight(s, 3)), -log(1.5)); /* taken for its parent */
    x = child(s, 9, 2, -0.7); /* of one that is no elite: the factor is over nothing known */
    assert_true(isnan(x.predicted));
    near(x.expected, -0.7);
    x = child(s, 2, 2, NAN);
    near(x.expected, x.predicted);
    kds_state_free(s);
}

/* Who was right counts more from then on; what was decided before keeps the weights of then. */
static void test_weights(void **state)
{
    (void)state;
    kds_state *s = begun("0");
    double w[KDS_FORECASTERS];
    kds_state_weights(s, w);
    near(w[KDS_FORECASTER_SIMULATOR], 1);
    near(w[KDS_FORECASTER_MODEL], 0);
    for (int i = 0; i < 30; i++) { /* the faster, the slower by the simulator */
        double fitness = 1 + 0.01 * (i * 7 % 31 + 1);
        (void)child(s, 1, fitness, log(fitness));
        committed(s, false, fitness);
    }
    kds_state_weights(s, w);
    near(w[KDS_FORECASTER_SIMULATOR], 0);
    assert_true(w[KDS_FORECASTER_MODEL] > 0.9);
    kds_forecast x = child(s, 1, 1.1, 0.3);
    near(x.expected, -log(1.1));
    /* Each is compared with the 15 before it; 20 pairs are given beforehand. */
    near(s->forecast_scores[KDS_FORECASTER_MODEL].right, 15 * 14 / 2.0 + 15 * 15);
    near(s->forecast_scores[KDS_FORECASTER_MODEL].wrong, 0);
    kds_state_free(s);
}

static kds_verdict verdict_of(kds_state *s)
{
    const kds_flight *f = &s->flights[s->flight_count - 1];
    return f->has_verdict ? f->verdict : KDS_VERDICT_OK;
}

/* Only what is clearly slower than a parent that was modelled too, and only where it was asked for.
 */
static void test_cutoff(void **state)
{
    (void)state;
    const char *kind = NULL;
    cJSON *body = NULL;
    kds_state *s = begun("0");
    (void)child(s, 1, 0, 3);
    assert_false(s->flights[0].has_verdict);
    kds_state_free(s);
    s = begun("0.2");
    (void)child(s, 1, 0, log(1.19));
    assert_int_equal(verdict_of(s), KDS_VERDICT_OK);
    (void)child(s, 1, 0.5, NAN); /* the model alone may not say so */
    assert_int_equal(verdict_of(s), KDS_VERDICT_OK);
    (void)child(s, 9, 0, 3); /* its parent is no elite */
    assert_int_equal(verdict_of(s), KDS_VERDICT_OK);
    (void)child(s, 1, 0, log(1.3));
    assert_int_equal(verdict_of(s), KDS_VERDICT_SET_ASIDE);
    kds_selector none = {.task = NULL};
    kds_flight f = s->flights[s->flight_count - 1];
    assert_int_equal(kds_commit(&none, s, &f, &kind, &body, NULL), KDS_OK);
    assert_string_equal(kind, "REJECT");
    assert_string_equal(kds_json_str(body, "verdict", ""), "set_aside");
    assert_non_null(strstr(kds_json_str(body, "why", ""), "set aside by forecast: 1.30x"));
    assert_int_equal(kds_state_apply(s, kind, body, NULL), KDS_OK);
    cJSON_Delete(body);
    assert_int_equal(s->repair_count, 0); /* nobody is asked to mend it */
    assert_int_equal(s->forecast_count, 1);
    kds_state_free(s);
}

/* ---- The queue ---- */

static gpu_job *wait_for_card(gpu_job **list, gpu_kind kind, uint64_t tag, double rank)
{
    gpu_job *j = calloc(1, sizeof *j);
    assert_non_null(j);
    *j = (gpu_job){.kind = kind, .tag = tag, .rank = rank};
    while (*list)
        list = &(*list)->next;
    *list = j;
    return j;
}

static uint64_t next(gpu_job **list)
{
    gpu_job *j = evaluator_take_job(list, "cuda:0", false);
    assert_non_null(j);
    uint64_t tag = j->tag;
    free(j);
    return tag;
}

static void test_order_of_judging(void **state)
{
    (void)state;
    gpu_job *list = NULL;
    wait_for_card(&list, GPU_JUDGE, 1, 0.5);
    wait_for_card(&list, GPU_JUDGE, 2, -0.5);
    wait_for_card(&list, GPU_JUDGE, 3, -INFINITY); /* the task's own */
    wait_for_card(&list, GPU_JUDGE, 4, -0.5);
    wait_for_card(&list, GPU_PROFILE, 5, 0);
    wait_for_card(&list, GPU_DUEL, 6, 0);
    const uint64_t expected[] = {6, 5, 3, 2, 4, 1};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(next(&list), expected[i]);
    assert_null(evaluator_take_job(&list, "cuda:0", false));
}

/* However much better ones come, none waits for more than eight that came later. */
static void test_nobody_starves(void **state)
{
    (void)state;
    gpu_job *list = NULL;
    uint64_t tag = 10;
    wait_for_card(&list, GPU_JUDGE, 1, 0.5);
    wait_for_card(&list, GPU_JUDGE, 2, 0.6);
    for (int i = 0; i < 8; i++) {
        wait_for_card(&list, GPU_JUDGE, tag + 1, -1 - i);
        assert_int_equal(next(&list), ++tag);
    }
    wait_for_card(&list, GPU_JUDGE, ++tag, -100);
    assert_int_equal(next(&list), 1);
    assert_int_equal(next(&list), 2);
    assert_int_equal(next(&list), tag);
    /* What fights meanwhile passes nobody over. */
    gpu_job *waiting = wait_for_card(&list, GPU_JUDGE, 1, 0.5);
    wait_for_card(&list, GPU_DUEL, 2, 0);
    assert_int_equal(next(&list), 2);
    assert_int_equal(waiting->passed_over, 0);
    assert_int_equal(next(&list), 1);
}

/* ---- What is said of them ---- */

static void test_scores(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    kds_surrogate_child children[COUNT];
    kds_surrogate s = {.measured = true, .children = children, .count = COUNT};
    kds_surrogate_score x;
    for (int i = 0; i < COUNT; i++)
        children[i] = (kds_surrogate_child){
            i, {0.01 * i + 0.1, i % 2 ? 0.02 * i : NAN, -0.01 * i, 7}, 0.01 * i};
    const int64_t pairs = 15 * 14 / 2 + 25 * 15;
    kds_surrogate_score_of(&s, KDS_SURROGATE_MODELLED, &x);
    assert_int_equal(x.children, COUNT);
    assert_int_equal(x.pairs, pairs);
    near(x.right, 1);
    near(x.tau, 1);
    near(x.bias, 0.1);
    near(x.error, 0.1);
    /* Wilson's interval of 20 of 20: 20 / (20 + z^2) to 1. */
    near(x.low, 20 / (20 + 1.959964 * 1.959964));
    near(x.high, 1);
    kds_surrogate_score_of(&s, KDS_SURROGATE_MODEL, &x);
    near(x.right, 0);
    near(x.tau, -1);
    near(x.low, 0);
    kds_surrogate_score_of(&s, KDS_SURROGATE_SIMULATOR, &x);
    assert_int_equal(x.children, COUNT / 2);
    near(x.right, 1);
    kds_surrogate_score_of(&s, KDS_SURROGATE_EXPECTED, &x);
    near(x.right, 0.5); /* a tie is no order */
    assert_true(isnan(x.tau));
    for (int i = 0; i < COUNT; i++)
        children[i].measured = 0.00001 * i; /* closer than anybody can tell */
    kds_surrogate_score_of(&s, KDS_SURROGATE_MODELLED, &x);
    assert_int_equal(x.pairs, 0);
    assert_true(isnan(x.right));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_follows),   cmocka_unit_test(test_weights),
        cmocka_unit_test(test_cutoff),         cmocka_unit_test(test_order_of_judging),
        cmocka_unit_test(test_nobody_starves), cmocka_unit_test(test_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
