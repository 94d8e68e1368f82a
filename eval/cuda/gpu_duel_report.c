/* The record of a duel: everything that its verdict was derived from. */
#include "eval/cuda/gpu_duel_internal.h"

#include <math.h>

static kds_code no_memory(duel *d)
{
    return kds_fail(d->e, KDS_NO_MEMORY, "cannot build a record: out of memory");
}

static bool add_numbers(cJSON *o, const char *key, const double *values, int count)
{
    cJSON *list = cJSON_AddArrayToObject(o, key);
    bool good = list != NULL;
    for (int i = 0; good && i < count; i++)
        good = cJSON_AddItemToArray(list, cJSON_CreateNumber(values[i]));
    return good;
}

static bool add_sample(cJSON *o, const char *key, const kds_duel_sample *s)
{
    cJSON *to = cJSON_AddObjectToObject(o, key);
    return to != NULL && kds_json_add_int(to, "sm_mhz", s->sm_mhz) &&
           kds_json_add_int(to, "memory_mhz", s->memory_mhz) &&
           kds_json_add_int(to, "temperature", s->temperature) &&
           kds_json_add_int(to, "processes", s->processes) &&
           kds_json_add_int(to, "throttle", s->throttle);
}

static bool add_row_round(cJSON *list, const duel_row_round *r)
{
    cJSON *o = cJSON_CreateObject();
    return o != NULL && cJSON_AddItemToArray(list, o) &&
           kds_json_add_str(o, "order", kds_duel_visit_order(&r->draw)) &&
           kds_json_add_int(o, "offset", r->draw.offset) &&
           add_numbers(o, "incumbent_us", r->us[0], DUEL_PAIRS) &&
           add_numbers(o, "child_us", r->us[1], DUEL_PAIRS) &&
           kds_json_add_num(o, "value", r->value);
}

kds_code duel_report_round(duel *d, const duel_row_round *rows, kds_duel_disturbance disturbed)
{
    cJSON *o = cJSON_CreateObject(), *list = NULL;
    bool good = o != NULL && cJSON_AddItemToArray(d->record, o) &&
                kds_json_add_int(o, "attempt", d->attempts) &&
                kds_json_add_str(o, "disturbed",
                                 disturbed != KDS_DUEL_CALM ? kds_duel_disturbance_name(disturbed)
                                                            : NULL) &&
                (list = cJSON_AddArrayToObject(o, "rows")) != NULL &&
                add_sample(o, "sample", &d->watch.samples[d->watch.count - 1]);
    for (int i = 0; good && i < d->o->row_count; i++)
        good = add_row_round(list, &rows[i]);
    return good ? KDS_OK : no_memory(d);
}

static bool add_mode(cJSON *arm, const char *key, const duel_times *t, bool warm)
{
    cJSON *o = cJSON_AddObjectToObject(arm, key);
    return o != NULL && kds_json_add_num(o, "device_us", t->device[warm]) &&
           kds_json_add_num(o, "wall_us", t->wall[warm]);
}

static bool add_arm(cJSON *row, const char *key, const duel_times *t, bool warm)
{
    cJSON *o = cJSON_AddObjectToObject(row, key);
    return o != NULL && kds_json_add_num(o, "us", t->device[warm]) &&
           add_mode(o, "cold", t, false) && add_mode(o, "warm", t, true);
}

static bool add_slowdown(cJSON *row, const duel_row *x)
{
    cJSON *o = x->pad_ns > 0 ? cJSON_AddObjectToObject(row, "slowdown") : NULL;
    return x->pad_ns == 0 || (o != NULL && kds_json_add_num(o, "added_us", x->pad_added_us) &&
                              kds_json_add_num(o, "visit_us", x->pad_visit_us) &&
                              kds_json_add_int(o, "delay_ns", x->pad_ns));
}

static bool add_row(duel *d, cJSON *list, int i)
{
    const duel_row *x = &d->rows[i];
    cJSON *o = cJSON_CreateObject();
    const char *cold = d->o->warm ? "no" : x->flushed ? "flush" : "rotation";
    return o != NULL && cJSON_AddItemToArray(list, o) && kds_json_add_str(o, "row", d->names[i]) &&
           kds_json_add_int(o, "index", x->index) &&
           kds_json_add_num(o, "weight", d->rounds.weights[i]) &&
           kds_json_add_int(o, "launches", x->launches) && kds_json_add_int(o, "sets", x->sets) &&
           kds_json_add_str(o, "cold", cold) && kds_json_add_int(o, "checked", x->checked) &&
           kds_json_add_int(o, "late", x->late) &&
           (duel_stopped(d) || (add_arm(o, "incumbent", &x->times[0], d->o->warm) &&
                                add_arm(o, "child", &x->times[1], d->o->warm))) &&
           add_slowdown(o, x);
}

static bool add_finding(duel *d)
{
    cJSON *o = cJSON_AddObjectToObject(d->out, "finding");
    return o != NULL && kds_json_add_str(d->out, "verdict", NULL) &&
           kds_json_add_str(o, "arm", d->guilty == 0 ? "incumbent" : "child") &&
           kds_json_add_str(o, "verdict", kds_verdict_name(d->f.verdict)) &&
           kds_json_add_str(o, "stage", d->f.stage) && kds_json_add_int(o, "line", d->f.line) &&
           kds_json_add_str(o, "message", d->f.text);
}

static bool add_verdict(duel *d)
{
    const kds_duel *r = &d->result;
    return kds_json_add_str(d->out, "verdict", kds_duel_verdict_name(r->verdict)) &&
           kds_json_add_num(d->out, "estimate", -log1p(r->gain)) &&
           kds_json_add_num(d->out, "gain", r->gain) && kds_json_add_num(d->out, "low", r->low) &&
           kds_json_add_num(d->out, "high", r->high) && kds_json_add_num(d->out, "p", r->p) &&
           kds_json_add_num(d->out, "worst", r->worst) &&
           kds_json_add_str(d->out, "worst_row", r->worst_row) &&
           kds_json_add_str(d->out, "why", r->why);
}

static bool add_flags(duel *d)
{
    cJSON *list = cJSON_AddArrayToObject(d->out, "flags");
    bool good = list != NULL;
    for (int i = KDS_DUEL_CLOCK_MOVED; good && i <= KDS_DUEL_FOREIGN_PROCESS; i++)
        if (d->flags[i])
            good = cJSON_AddItemToArray(
                list, cJSON_CreateString(kds_duel_disturbance_name((kds_duel_disturbance)i)));
    if (good && d->watch.samples[0].processes > 1)
        good = cJSON_AddItemToArray(list, cJSON_CreateString("shared_gpu"));
    return good && kds_json_add_int(d->out, "repeats", d->repeats) &&
           kds_json_add_str(d->out, "ended_by",
                            d->ended_by != KDS_DUEL_CALM ? kds_duel_disturbance_name(d->ended_by)
                                                         : NULL);
}

static bool add_rule(duel *d)
{
    cJSON *o = cJSON_AddObjectToObject(d->out, "rule");
    return o != NULL && kds_json_add_num(o, "margin", d->rule.margin) &&
           kds_json_add_num(o, "max_regress", d->rule.max_regress) &&
           kds_json_add_num(o, "hopeless", d->rule.hopeless) &&
           kds_json_add_bool(o, "to_the_look", d->rule.to_the_look) &&
           kds_json_add_num(d->out, "floor", d->o->floor) &&
           kds_json_add_num(d->out, "slowdown", d->o->slowdown);
}

kds_code duel_report(duel *d, double seconds)
{
    cJSON *out = d->out, *rows = NULL;
    bool good = (duel_stopped(d) ? add_finding(d) : add_verdict(d)) &&
                kds_json_add_int(out, "counted", d->rounds.count) && add_flags(d) &&
                kds_json_add_int(out, "seed", (int64_t)d->o->seed) &&
                kds_json_add_str(out, "mode", d->o->warm ? "warm" : "cold") && add_rule(d) &&
                add_sample(out, "opening", &d->watch.samples[0]) &&
                (rows = cJSON_AddArrayToObject(out, "rows")) != NULL;
    for (int i = 0; good && i < d->o->row_count; i++)
        good = add_row(d, rows, i);
    if (!good || !cJSON_AddItemToObject(out, "rounds", d->record))
        return no_memory(d);
    d->record = NULL;
    return kds_json_add_num(out, "seconds", seconds) &&
                   kds_json_add_num(out, "watch_seconds", d->watch_seconds)
               ? KDS_OK
               : no_memory(d);
}
