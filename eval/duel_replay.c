/* The duel is fought again with the times of the record, by the same rules in the same order. */
#include "eval/duel_replay.h"

#include "eval/duel_schedule.h"
#include "eval/duel_watch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS (KDS_DUEL_VISITS / 2)
#define CLOSE 1e-9

typedef struct replay {
    const cJSON *record;
    uint64_t seed;
    kds_duel_rule rule;
    kds_duel_rounds rounds;
    char (*names)[64];
    int indices[KDS_DUEL_ROWS];
    kds_duel_watch watch;
    kds_duel_disturbance last; /* disturbance of the last round */
    int repeats;
    bool over, gave_up;
    kds_duel result;
    kds_err *e;
} replay;

static kds_code differs(replay *r, const char *what, double recorded, double derived)
{
    return kds_fail(r->e, KDS_INVALID, "the record says %s %.12g, its rounds give %.12g", what,
                    recorded, derived);
}

static bool same(double a, double b)
{
    return fabs(a - b) <= CLOSE * (1 + fabs(b));
}

static kds_duel_sample sample_of(const cJSON *o)
{
    return (kds_duel_sample){.sm_mhz = (int)kds_json_int(o, "sm_mhz", -1),
                             .memory_mhz = (int)kds_json_int(o, "memory_mhz", -1),
                             .temperature = (int)kds_json_int(o, "temperature", -1),
                             .processes = (int)kds_json_int(o, "processes", -1),
                             .throttle = kds_json_int(o, "throttle", -1)};
}

static kds_code read_head(replay *r)
{
    const cJSON *rule = kds_json_at(r->record, "rule"), *rows = kds_json_at(r->record, "rows");
    int64_t seed = kds_json_int(r->record, "seed", -1);
    int count = cJSON_IsArray(rows) ? cJSON_GetArraySize(rows) : 0;
    r->rule = (kds_duel_rule){.margin = kds_json_num(rule, "margin", NAN),
                              .max_regress = kds_json_num(rule, "max_regress", NAN),
                              .hopeless = kds_json_num(rule, "hopeless", NAN),
                              .to_the_look = kds_json_bool(rule, "to_the_look", true)};
    if (seed < 0 || count < 1 || count > KDS_DUEL_ROWS || !(r->rule.margin >= 0) ||
        !(r->rule.max_regress >= 0) || !(r->rule.hopeless >= 0))
        return kds_fail(r->e, KDS_INVALID, "the record of a duel has no seed, rule or rows");
    r->seed = (uint64_t)seed;
    r->names = calloc((size_t)count, sizeof *r->names);
    if (r->names == NULL)
        return kds_fail(r->e, KDS_NO_MEMORY, "out of memory");
    r->rounds.row_count = count;
    r->rounds.row_names = r->names;
    for (int i = 0; i < count; i++) {
        const cJSON *row = cJSON_GetArrayItem(rows, i);
        r->rounds.weights[i] = kds_json_num(row, "weight", -1);
        r->indices[i] = (int)kds_json_int(row, "index", -1);
        (void)snprintf(r->names[i], sizeof r->names[i], "%s", kds_json_str(row, "row", ""));
        if (!(r->rounds.weights[i] > 0) || r->indices[i] < 0)
            return kds_fail(r->e, KDS_INVALID, "row %d of the record has no weight or index", i);
    }
    kds_duel_sample opening = sample_of(kds_json_at(r->record, "opening"));
    kds_duel_watch_begin(&r->watch, &opening);
    return KDS_OK;
}

static bool read_pairs(const cJSON *row, const char *key, double *us)
{
    const cJSON *list = kds_json_at(row, key);
    bool good = cJSON_IsArray(list) && cJSON_GetArraySize(list) == PAIRS;
    for (int k = 0; good && k < PAIRS; k++) {
        const cJSON *item = cJSON_GetArrayItem(list, k);
        good = cJSON_IsNumber(item) && item->valuedouble > 0 && isfinite(item->valuedouble);
        us[k] = good ? item->valuedouble : 0;
    }
    return good;
}

static kds_code replay_row(replay *r, const cJSON *row, int attempt, int i, double *value)
{
    double us[2][PAIRS];
    kds_duel_draw draw = kds_duel_schedule(r->seed, attempt, r->indices[i]);
    if (!read_pairs(row, "incumbent_us", us[0]) || !read_pairs(row, "child_us", us[1]))
        return kds_fail(r->e, KDS_INVALID, "round %d has no times of row %s", attempt, r->names[i]);
    if (strcmp(kds_json_str(row, "order", ""), kds_duel_visit_order(&draw)) != 0 ||
        kds_json_int(row, "offset", -1) != draw.offset)
        return kds_fail(r->e, KDS_INVALID,
                        "round %d of row %s was not fought as its seed draws (%s at %lld)", attempt,
                        r->names[i], kds_duel_visit_order(&draw), (long long)draw.offset);
    *value = 0;
    for (int k = 0; k < PAIRS; k++)
        *value += log(us[1][k] / us[0][k]) / PAIRS;
    double recorded = kds_json_num(row, "value", NAN);
    return same(recorded, *value) ? KDS_OK : differs(r, "a round's value is", recorded, *value);
}

static kds_code replay_round(replay *r, const cJSON *round, int attempt)
{
    const cJSON *rows = kds_json_at(round, "rows");
    double values[KDS_DUEL_ROWS];
    if (r->over || r->gave_up)
        return kds_fail(r->e, KDS_INVALID, "the record has round %d, but the duel was over before",
                        attempt);
    if (kds_json_int(round, "attempt", -1) != attempt ||
        cJSON_GetArraySize(rows) != r->rounds.row_count)
        return kds_fail(r->e, KDS_INVALID, "round %d of the record is not whole", attempt);
    for (int i = 0; i < r->rounds.row_count; i++) {
        kds_code code = replay_row(r, cJSON_GetArrayItem(rows, i), attempt, i, &values[i]);
        if (code != KDS_OK)
            return code;
    }
    kds_duel_sample s = sample_of(kds_json_at(round, "sample"));
    r->last = kds_duel_watch_end(&r->watch, &s);
    const char *recorded = kds_json_str(round, "disturbed", "calm");
    if (strcmp(recorded, kds_duel_disturbance_name(r->last)) != 0)
        return kds_fail(r->e, KDS_INVALID, "round %d is recorded as %s, its samples say %s",
                        attempt, recorded, kds_duel_disturbance_name(r->last));
    if (r->last != KDS_DUEL_CALM) {
        r->gave_up = kds_duel_watch_gives_up(r->rounds.count, ++r->repeats);
        return KDS_OK;
    }
    memcpy(r->rounds.rows[r->rounds.count++], values, sizeof values);
    r->over = kds_duel_over(&r->rule, &r->rounds, &r->result);
    return KDS_OK;
}

static kds_code compare_number(replay *r, const char *key, double derived)
{
    double recorded = kds_json_num(r->record, key, NAN);
    return same(recorded, derived) ? KDS_OK : differs(r, key, recorded, derived);
}

static kds_code compare(replay *r)
{
    const char *verdict = kds_json_str(r->record, "verdict", ""),
               *ended_by = kds_json_str(r->record, "ended_by", "calm");
    if (!r->over && !r->gave_up)
        return kds_fail(r->e, KDS_INVALID, "the record ends after %d rounds, the duel does not",
                        r->rounds.count);
    if (r->gave_up)
        r->result = (kds_duel){.verdict = KDS_DUEL_UNRESOLVED, .rounds = r->rounds.count};
    if (strcmp(verdict, kds_duel_verdict_name(r->result.verdict)) != 0)
        return kds_fail(r->e, KDS_INVALID, "the record says %s, its rounds give %s (%s)",
                        *verdict ? verdict : "nothing", kds_duel_verdict_name(r->result.verdict),
                        r->result.why);
    if (strcmp(ended_by, kds_duel_disturbance_name(r->gave_up ? r->last : KDS_DUEL_CALM)) != 0)
        return kds_fail(r->e, KDS_INVALID,
                        "the record says that the duel was ended by %s, which "
                        "its rounds do not show",
                        ended_by);
    kds_code code = compare_number(r, "repeats", r->repeats);
    if (code == KDS_OK)
        code = compare_number(r, "counted", r->rounds.count);
    if (code != KDS_OK || r->gave_up)
        return code;
    const kds_duel *d = &r->result;
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"estimate", -log1p(d->gain)},
                   {"gain", d->gain},
                   {"low", d->low},
                   {"high", d->high},
                   {"p", d->p},
                   {"worst", d->worst}};
    for (size_t i = 0; code == KDS_OK && i < sizeof numbers / sizeof numbers[0]; i++)
        code = compare_number(r, numbers[i].key, numbers[i].value);
    return code;
}

kds_code kds_duel_replay(const cJSON *record, kds_duel *out, kds_err *e)
{
    replay *r = calloc(1, sizeof *r);
    const cJSON *round = NULL;
    int attempt = 0;
    if (r == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    r->record = record;
    r->e = e;
    r->result.verdict = KDS_DUEL_UNRESOLVED;
    kds_code code = read_head(r);
    const cJSON *rounds = kds_json_at(record, "rounds");
    if (code == KDS_OK &&
        (!cJSON_IsArray(rounds) || cJSON_GetArraySize(rounds) > KDS_DUEL_ATTEMPTS))
        code = kds_fail(e, KDS_INVALID, "the record of a duel has no rounds, or too many");
    if (code == KDS_OK)
        cJSON_ArrayForEach(round, rounds)
        {
            if (code == KDS_OK)
                code = replay_round(r, round, attempt++);
        }
    if (code == KDS_OK && kds_json_at(record, "finding") == NULL)
        code = compare(r);
    if (code == KDS_OK)
        *out = r->result;
    free(r->names);
    free(r);
    return code;
}
