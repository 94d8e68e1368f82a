/* The pure parts of a measured duel: its schedule, its watch over the GPU, and the replay of a
 * record, which must notice every change that matters. */
#include "eval/duel_replay.h"
#include "eval/duel_schedule.h"
#include "eval/duel_watch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEED 42
#define TIME 5.0 /* us */

static void a_schedule_is_fair_and_repeats(void **state)
{
    (void)state;
    int child_first = 0, loads_first = 0, spacers[3] = {0}, visits[2] = {0};
    int64_t least = INT64_MAX, most = -1;
    for (int i = 0; i < 2000; i++) {
        kds_duel_draw d = kds_duel_schedule(SEED, i / 2, i % 2),
                      again = kds_duel_schedule(SEED, i / 2, i % 2);
        assert_memory_equal(&d.offset, &again.offset, sizeof d.offset);
        assert_int_equal(d.child_first, again.child_first);
        assert_int_equal(d.offset % KDS_DUEL_OFFSET_STEP, 0);
        assert_true(d.offset >= 0 && d.offset < KDS_DUEL_OFFSET_MOST);
        assert_true(d.checked >= 0 && d.checked < 1 && d.window >= 0 && d.window < 1);
        assert_true(d.turn >= 0 && d.turn < 1);
        least = d.offset < least ? d.offset : least;
        most = d.offset > most ? d.offset : most;
        child_first += d.child_first;
        loads_first += d.child_loads_first;
        spacers[d.spacers[0]]++;
        for (int v = 0; v < KDS_DUEL_VISITS; v++)
            visits[kds_duel_visit_arm(&d, v)]++;
        /* Outer visits are of one arm, inner ones of the other. */
        assert_int_equal(kds_duel_visit_arm(&d, 0), d.child_first);
        assert_int_equal(kds_duel_visit_arm(&d, 3), d.child_first);
        assert_int_equal(kds_duel_visit_arm(&d, 1), !d.child_first);
        assert_string_equal(kds_duel_visit_order(&d), d.child_first ? "BAAB" : "ABBA");
    }
    assert_int_equal(visits[0], visits[1]);
    assert_true(child_first > 900 && child_first < 1100);
    assert_true(loads_first > 900 && loads_first < 1100);
    for (int i = 0; i < 3; i++)
        assert_true(spacers[i] > 550 && spacers[i] < 790);
    assert_true(least < 100000 && most > KDS_DUEL_OFFSET_MOST - 100000);
}

static void orders_are_permutations(void **state)
{
    (void)state;
    int order[100], other[100], seen[100] = {0}, same = 0;
    kds_duel_order(SEED, 3, 1, order, 100);
    kds_duel_order(SEED, 4, 1, other, 100);
    for (int i = 0; i < 100; i++) {
        assert_true(order[i] >= 0 && order[i] < 100);
        seen[order[i]]++;
        same += order[i] == other[i];
    }
    for (int i = 0; i < 100; i++)
        assert_int_equal(seen[i], 1);
    assert_true(same < 10);
}

static kds_duel_sample sample(int mhz, int64_t throttle, int processes)
{
    return (kds_duel_sample){mhz, 3000, 40, processes, throttle};
}

static kds_duel_disturbance watch(kds_duel_watch *w, int mhz, int64_t throttle, int processes)
{
    kds_duel_sample s = sample(mhz, throttle, processes);
    return kds_duel_watch_end(w, &s);
}

static void the_watch(void **state)
{
    (void)state;
    kds_duel_watch w;
    kds_duel_sample s = sample(1980, 0, 1);
    kds_duel_watch_begin(&w, &s);
    assert_int_equal(watch(&w, 1980, 0, 1), KDS_DUEL_CALM);
    assert_int_equal(watch(&w, 1950, 0, 1), KDS_DUEL_CALM); /* 1.5 % */
    assert_int_equal(watch(&w, 1930, 0, 1), KDS_DUEL_CLOCK_MOVED);
    assert_int_equal(watch(&w, 1980, 0, 1), KDS_DUEL_CLOCK_MOVED); /* it began at 1930 */
    assert_int_equal(watch(&w, 1980, 0x103, 1), KDS_DUEL_CALM);    /* idle, settings */
    assert_int_equal(watch(&w, 1980, 0x20, 1), KDS_DUEL_THROTTLED);
    assert_int_equal(watch(&w, 1980, 0, 1), KDS_DUEL_THROTTLED);
    assert_int_equal(watch(&w, 1980, 0, 2), KDS_DUEL_FOREIGN_PROCESS);
    assert_int_equal(watch(&w, 1980, 0, 1), KDS_DUEL_FOREIGN_PROCESS);
    assert_int_equal(watch(&w, 1980, 0, 0), KDS_DUEL_CALM);
    /* Nothing is told: nothing is wrong. */
    s = (kds_duel_sample){-1, -1, -1, -1, -1};
    kds_duel_watch_begin(&w, &s);
    assert_int_equal(kds_duel_watch_end(&w, &s), KDS_DUEL_CALM);
    /* The memory's clock counts as well. */
    s = sample(1980, 0, 1);
    kds_duel_watch_begin(&w, &s);
    s.memory_mhz = 2000;
    assert_int_equal(kds_duel_watch_end(&w, &s), KDS_DUEL_CLOCK_MOVED);
}

static void patience_ends(void **state)
{
    (void)state;
    assert_false(kds_duel_watch_gives_up(0, KDS_DUEL_REPEATS));
    assert_true(kds_duel_watch_gives_up(0, KDS_DUEL_REPEATS + 1));
    assert_false(kds_duel_watch_gives_up(20, 20));
    assert_true(kds_duel_watch_gives_up(20, 21));
}

/* ---- Records ---- */

static cJSON *sample_json(const kds_duel_sample *s)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "sm_mhz", s->sm_mhz);
    cJSON_AddNumberToObject(o, "memory_mhz", s->memory_mhz);
    cJSON_AddNumberToObject(o, "temperature", s->temperature);
    cJSON_AddNumberToObject(o, "processes", s->processes);
    cJSON_AddNumberToObject(o, "throttle", (double)s->throttle);
    return o;
}

static void add_round(cJSON *rounds, int attempt, double value, const kds_duel_sample *s,
                      const char *disturbed)
{
    kds_duel_draw draw = kds_duel_schedule(SEED, attempt, 3);
    const double incumbent[2] = {TIME, TIME}, child[2] = {TIME * exp(value), TIME * exp(value)};
    cJSON *round = cJSON_CreateObject(), *rows = cJSON_AddArrayToObject(round, "rows"),
          *row = cJSON_CreateObject();
    cJSON_AddNumberToObject(round, "attempt", attempt);
    if (disturbed != NULL)
        cJSON_AddStringToObject(round, "disturbed", disturbed);
    cJSON_AddItemToArray(rows, row);
    cJSON_AddStringToObject(row, "order", kds_duel_visit_order(&draw));
    cJSON_AddNumberToObject(row, "offset", (double)draw.offset);
    cJSON_AddItemToObject(row, "incumbent_us", cJSON_CreateDoubleArray(incumbent, 2));
    cJSON_AddItemToObject(row, "child_us", cJSON_CreateDoubleArray(child, 2));
    cJSON_AddNumberToObject(row, "value", value);
    cJSON_AddItemToObject(round, "sample", sample_json(s));
    cJSON_AddItemToArray(rounds, round);
}

/* A duel of `rounds` rounds, each about `value`, the third disturbed if `disturbed`. */
static cJSON *record(double value, int rounds, bool disturbed)
{
    static char names[1][64] = {"a row"};
    kds_duel_rule rule = {.margin = 0.0025, .max_regress = 0.02, .hopeless = 0.05};
    kds_duel_rounds d = {.row_count = 1, .weights = {2}, .row_names = names};
    kds_duel_sample calm = sample(1980, 0, 1), moved = sample(1500, 0, 1);
    kds_duel duel = {0};
    cJSON *o = cJSON_CreateObject(), *r = cJSON_AddObjectToObject(o, "rule"),
          *rows = cJSON_AddArrayToObject(o, "rows"), *row = cJSON_CreateObject(),
          *list = cJSON_AddArrayToObject(o, "rounds");
    int repeats = 0;
    for (int attempt = 0; d.count < rounds; attempt++) {
        double v = value + 0.0001 * (attempt % 5);
        bool bad = disturbed && (attempt == 2 || attempt == 3);
        add_round(list, attempt, v, disturbed && attempt == 2 ? &moved : &calm,
                  bad ? "clock_moved" : NULL);
        repeats += bad;
        if (!bad)
            d.rows[d.count++][0] = v;
    }
    (void)kds_duel_over(&rule, &d, &duel);
    cJSON_AddNumberToObject(o, "seed", SEED);
    cJSON_AddNumberToObject(r, "margin", rule.margin);
    cJSON_AddNumberToObject(r, "max_regress", rule.max_regress);
    cJSON_AddNumberToObject(r, "hopeless", rule.hopeless);
    cJSON_AddItemToArray(rows, row);
    cJSON_AddStringToObject(row, "row", names[0]);
    cJSON_AddNumberToObject(row, "index", 3);
    cJSON_AddNumberToObject(row, "weight", 2);
    cJSON_AddItemToObject(o, "opening", sample_json(&calm));
    cJSON_AddStringToObject(o, "verdict", kds_duel_verdict_name(duel.verdict));
    cJSON_AddNumberToObject(o, "estimate", -log1p(duel.gain));
    cJSON_AddNumberToObject(o, "gain", duel.gain);
    cJSON_AddNumberToObject(o, "low", duel.low);
    cJSON_AddNumberToObject(o, "high", duel.high);
    cJSON_AddNumberToObject(o, "p", duel.p);
    cJSON_AddNumberToObject(o, "worst", duel.worst);
    cJSON_AddNumberToObject(o, "counted", d.count);
    cJSON_AddNumberToObject(o, "repeats", repeats);
    return o;
}

static kds_duel replays(const cJSON *o)
{
    kds_duel out;
    kds_err err = {0};
    if (kds_duel_replay(o, &out, &err) != KDS_OK)
        fail_msg("%s", err.message);
    return out;
}

static void refuses(const cJSON *o, const char *words)
{
    kds_duel out;
    kds_err err = {0};
    assert_int_equal(kds_duel_replay(o, &out, &err), KDS_INVALID);
    if (strstr(err.message, words) == NULL)
        fail_msg("'%s' does not say '%s'", err.message, words);
}

static void records_replay(void **state)
{
    (void)state;
    static const struct {
        double value;
        int rounds;
        kds_duel_verdict verdict;
    } cases[] = {{-0.03, 8, KDS_DUEL_FASTER},
                 {0.01, 8, KDS_DUEL_NOT_FASTER},
                 {0.10, 2, KDS_DUEL_NOT_FASTER}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int disturbed = 0; disturbed < 2; disturbed++) {
            cJSON *o = record(cases[i].value, cases[i].rounds, disturbed);
            kds_duel d = replays(o);
            assert_int_equal(d.verdict, cases[i].verdict);
            assert_int_equal(d.rounds, cases[i].rounds);
            cJSON_Delete(o);
        }
}

static cJSON *first_row(cJSON *o, int round)
{
    cJSON *rounds = cJSON_GetObjectItem(o, "rounds");
    return cJSON_GetArrayItem(cJSON_GetObjectItem(cJSON_GetArrayItem(rounds, round), "rows"), 0);
}

static void changes_are_noticed(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        double value;
        const char *words;
    } numbers[] = {{"gain", 0.5, "gain"},
                   {"estimate", 0, "estimate"},
                   {"low", 0, "low"},
                   {"high", 0, "high"},
                   {"p", 0.5, "p"},
                   {"worst", 0, "worst"},
                   {"counted", 9, "counted"},
                   {"repeats", 1, "repeats"},
                   {"seed", 43, "seed draws"},
                   {"seed", -1, "no seed"}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        cJSON *o = record(-0.03, 8, false);
        cJSON_SetNumberValue(cJSON_GetObjectItem(o, numbers[i].key), numbers[i].value);
        refuses(o, numbers[i].words);
        cJSON_Delete(o);
    }
    cJSON *o = record(-0.03, 8, false);
    cJSON_SetValuestring(cJSON_GetObjectItem(o, "verdict"), "slow");
    refuses(o, "the record says slow, its rounds give faster");
    cJSON_Delete(o);
    o = record(-0.03, 8, false);
    cJSON_SetNumberValue(cJSON_GetObjectItem(first_row(o, 5), "value"), -0.01);
    refuses(o, "a round's value");
    cJSON_Delete(o);
    o = record(-0.03, 8, false);
    cJSON_SetNumberValue(cJSON_GetArrayItem(cJSON_GetObjectItem(first_row(o, 5), "child_us"), 1),
                         -1);
    refuses(o, "no times");
    cJSON_Delete(o);
    o = record(-0.03, 8, false);
    cJSON_SetNumberValue(cJSON_GetObjectItem(first_row(o, 5), "offset"), 1);
    refuses(o, "as its seed draws");
    cJSON_Delete(o);
    o = record(-0.03, 8, false);
    cJSON *rounds = cJSON_GetObjectItem(o, "rounds");
    cJSON_SetNumberValue(
        cJSON_GetObjectItem(cJSON_GetObjectItem(cJSON_GetArrayItem(rounds, 4), "sample"), "sm_mhz"),
        1000);
    refuses(o, "recorded as calm, its samples say clock_moved");
    cJSON_Delete(o);
}

/* Rounds left out, or added after the end. */
static void the_end_is_noticed(void **state)
{
    (void)state;
    cJSON *o = record(-0.03, 8, false);
    cJSON_DeleteItemFromArray(cJSON_GetObjectItem(o, "rounds"), 7);
    refuses(o, "the record ends after 7 rounds");
    cJSON_DeleteItemFromArray(cJSON_GetObjectItem(o, "rounds"), 3);
    refuses(o, "not whole");
    cJSON_Delete(o);
    o = record(-0.03, 9, false);
    refuses(o, "the duel was over before");
    cJSON_Delete(o);
    o = cJSON_CreateObject();
    refuses(o, "no seed, rule or rows");
    cJSON_Delete(o);
    refuses(NULL, "no seed, rule or rows");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schedule_is_fair_and_repeats),
        cmocka_unit_test(orders_are_permutations),
        cmocka_unit_test(the_watch),
        cmocka_unit_test(patience_ends),
        cmocka_unit_test(records_replay),
        cmocka_unit_test(changes_are_noticed),
        cmocka_unit_test(the_end_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
