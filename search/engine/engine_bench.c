/* A real campaign, looked at from the inside when it has ended. */
#include "search/engine/engine_bench.h"

#include "search/base/clock.h"
#include "search/engine/campaign.h"

#include <stdio.h>
#include <sys/resource.h>

static kds_code set_number(kds_settings *s, const char *name, int64_t value, kds_err *e)
{
    char text[32];
    if (value <= 0)
        return KDS_OK;
    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    return kds_settings_set_from(s, name, text, KDS_FROM_FLAG, e);
}

static kds_code choose(const kds_engine_bench_options *o, kds_settings **out, kds_err *e)
{
    kds_code code = kds_settings_create(out, e);
    if (code == KDS_OK)
        code = kds_settings_set_from(*out, "device", o->device, KDS_FROM_FLAG, e);
    if (code == KDS_OK)
        code = set_number(*out, "max-evals", o->candidates, e);
    if (code == KDS_OK)
        code = set_number(*out, "in-flight", o->in_flight, e);
    return code == KDS_OK ? set_number(*out, "workers", o->workers, e) : code;
}

/* Processor time of this process, without its workers. */
static double own_seconds(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static cJSON *describe(const kds_campaign *c, double prepared, double seconds, double processor)
{
    const kds_state *s = c->state;
    cJSON *o = cJSON_CreateObject(), *stages = kds_evaluator_stats(c->evaluator);
    double each = s->evaluated > 0 ? (double)s->evaluated : 1;
    bool ok = o && stages && kds_json_add_str(o, "task", c->task->name) &&
              kds_json_add_str(o, "device", kds_evaluator_device(c->evaluator)) &&
              kds_json_add_str(o, "model", kds_evaluator_model(c->evaluator)) &&
              kds_json_add_bool(o, "measured", s->measured) &&
              kds_json_add_int(o, "candidates", s->evaluated) &&
              kds_json_add_int(o, "accepted", s->accepted) &&
              kds_json_add_int(o, "duels", s->bouts) &&
              kds_json_add_num(o, "best", s->best_fitness) &&
              kds_json_add_num(o, "prepare_seconds", prepared) &&
              kds_json_add_num(o, "seconds", seconds) &&
              kds_json_add_num(o, "per_hour", 3600 * each / seconds) &&
              kds_json_add_num(o, "engine_ms", 1e3 * c->busy / each) &&
              kds_json_add_num(o, "engine_cpu_ms", 1e3 * processor / each) &&
              cJSON_AddItemToObject(o, "stages", stages);
    if (ok)
        return o;
    cJSON_Delete(stages);
    cJSON_Delete(o);
    return NULL;
}

kds_code kds_engine_bench(const kds_engine_bench_options *o, cJSON **report, kds_err *e)
{
    kds_settings *settings = NULL;
    kds_campaign *c = NULL;
    double begun = kds_clock_monotonic();
    kds_code code = choose(o, &settings, e);
    if (code == KDS_OK)
        code = kds_campaign_create(&c, o->task_dir, o->folder, settings, e);
    double prepared = kds_clock_monotonic() - begun, processor = own_seconds();
    if (code == KDS_OK)
        code = kds_campaign_run(c, o->fn, o->user, e);
    if (code == KDS_OK && !(*report = describe(c, prepared, kds_clock_monotonic() - c->started,
                                               own_seconds() - processor)))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_campaign_close(c);
    kds_settings_free(settings);
    return code;
}
