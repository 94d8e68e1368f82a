/* Profiling a range by user replay: for each pass the state is made again, the caches are emptied,
 * and the work runs between PushRange and PopRange. Each run has a range-profiler object of its
 * own: re-arming one with another configuration has crashed. */
#include "eval/cuda/profile_set.h"
#include "search/base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FLUSH_FACTOR 2 /* times the L2 that is read to empty it */
#define PASSES_MAX 256
#define BUSY_SECONDS 2.0

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

/* A process that died holds the counters until the driver has buried it. */
static double patience(void)
{
    return kds_clock_monotonic() + BUSY_SECONDS;
}

static bool wait_a_little(double until)
{
    const struct timespec pause = {.tv_nsec = 50000000};
    nanosleep(&pause, NULL);
    return kds_clock_monotonic() < until;
}

/* Which counters the machine lets this context see. */
static kds_code ask_availability(kds_profiler *p, kds_err *e)
{
    kds_cupti_availability_args a = KDS_CUPTI_ARGS(availability);
    int result;
    a.context = p->card->context;
    for (double until = patience();
         (result = p->cupti->availability(&a)) == KDS_CUPTI_HARDWARE_BUSY;)
        if (!wait_a_little(until))
            break;
    kds_code code = kds_cupti_check(p->cupti, result, kds_cupti_symbol_availability(), e);
    if (code != KDS_OK)
        return code;
    if ((p->availability = calloc(1, a.size + 1)) == NULL)
        return no_memory(e);
    a.image = p->availability;
    return KDS_CUPTI(p->cupti, availability, &a, e);
}

static kds_code name_chip(kds_profiler *p, kds_err *e)
{
    kds_cupti_chip_name_args a = KDS_CUPTI_ARGS(chip_name);
    a.device = (size_t)p->card->info.ordinal;
    kds_code code = KDS_CUPTI(p->cupti, chip_name, &a, e);
    if (code == KDS_OK)
        (void)snprintf(p->chip, sizeof p->chip, "%s", a.chip != NULL ? a.chip : "");
    return code;
}

static kds_code make_flush(kds_profiler *p, kds_err *e)
{
    const kds_cuda *c = p->card->cuda;
    p->flush_bytes = FLUSH_FACTOR * (uint64_t)p->card->info.l2_bytes;
    if (p->flush_bytes == 0)
        return KDS_OK;
    kds_code code = kds_card_alloc(p->card, p->flush_bytes, "emptying the L2", &p->flush, e);
    if (code == KDS_OK)
        code = kds_cuda_check(c, c->set(p->flush, 0, p->flush_bytes, p->card->stream), e,
                              "filling what empties the L2");
    return code;
}

kds_code kds_profiler_open(kds_profiler **out, const kds_cupti *cupti, kds_card *card,
                           kds_helpers *h, kds_err *e)
{
    kds_cupti_initialize_args a = KDS_CUPTI_ARGS(initialize);
    kds_profiler *p = calloc(1, sizeof *p);
    if (p == NULL)
        return no_memory(e);
    p->cupti = cupti;
    p->card = card;
    p->helpers = h;
    kds_code code = KDS_CUPTI(cupti, initialize, &a, e);
    if (code == KDS_OK)
        code = name_chip(p, e);
    if (code == KDS_OK)
        code = ask_availability(p, e);
    if (code == KDS_OK)
        code = kds_metric_host_open(p, &p->host, e);
    if (code == KDS_OK)
        code = make_flush(p, e);
    if (code == KDS_OK)
        *out = p;
    else
        kds_profiler_close(p);
    return code;
}

void kds_profiler_close(kds_profiler *p)
{
    if (p == NULL)
        return;
    kds_metric_host_close(p, p->host);
    kds_card_free(p->card, p->flush);
    free(p->availability);
    free(p);
}

const char *kds_profiler_chip(const kds_profiler *p)
{
    return p->chip;
}

kds_card *kds_profiler_card(const kds_profiler *p)
{
    return p->card;
}

kds_helpers *kds_profiler_helpers(const kds_profiler *p)
{
    return p->helpers;
}

/* One run of the works: the range profiler's object and the image that it decodes into. */
typedef struct session {
    kds_profiler *p;
    const kds_metric_set *set;
    const kds_profile_work *works;
    size_t count;
    kds_cupti_range range;
    uint8_t *data;
    size_t size;
} session;

/* The object, on the card's context, with room for a range for each work, and what it is to
 * collect. */
static kds_code arm(session *s, kds_err *e)
{
    const kds_cupti *c = s->p->cupti;
    kds_cupti_enable_args enable = KDS_CUPTI_ARGS(enable);
    kds_cupti_data_size_args size = KDS_CUPTI_ARGS(data_size);
    kds_cupti_data_begin_args begin = KDS_CUPTI_ARGS(data_begin);
    kds_cupti_configure_args configure = KDS_CUPTI_ARGS(configure);
    int result;
    enable.context = s->p->card->context;
    for (double until = patience(); (result = c->enable(&enable)) == KDS_CUPTI_HARDWARE_BUSY;)
        if (!wait_a_little(until))
            break;
    kds_code code = kds_cupti_check(c, result, kds_cupti_symbol_enable(), e);
    if (code != KDS_OK)
        return code;
    s->range = size.range = begin.range = configure.range = enable.range;
    size.metrics = s->set->metrics;
    size.count = (size_t)s->set->metric_count;
    size.ranges = s->count;
    size.nodes = (uint32_t)s->count;
    code = KDS_CUPTI(c, data_size, &size, e);
    if (code == KDS_OK && (s->data = calloc(1, size.size + 1)) == NULL)
        code = no_memory(e);
    s->size = begin.size = configure.data_size = size.size;
    begin.data = configure.data = s->data;
    if (code == KDS_OK)
        code = KDS_CUPTI(c, data_begin, &begin, e);
    configure.image = s->set->image;
    configure.image_size = s->set->image_size;
    configure.range_mode = KDS_CUPTI_USER_RANGE;
    configure.replay_mode = KDS_CUPTI_USER_REPLAY;
    configure.ranges = s->count;
    configure.levels = configure.first_level = configure.target_level = 1;
    return code == KDS_OK ? KDS_CUPTI(c, configure, &configure, e) : code;
}

/* The state that every pass starts from, with nothing of it in the caches. */
static kds_code prepare(session *s, const kds_profile_work *work, kds_err *e)
{
    uint64_t ignored;
    kds_code code = work->prepare(work->user, e);
    if (code == KDS_OK && s->p->flush != 0)
        code = kds_helpers_hash(s->p->helpers, s->p->flush, s->p->flush_bytes, &ignored, e);
    return code;
}

/* What lies between push and pop is counted. */
static kds_code run_range(session *s, const kds_profile_work *work, const char *name, bool *failed,
                          kds_err *e)
{
    const kds_cupti *c = s->p->cupti;
    kds_cupti_push_args push = KDS_CUPTI_ARGS(push);
    kds_cupti_pop_args pop = KDS_CUPTI_ARGS(pop);
    push.range = pop.range = s->range;
    push.name = name;
    kds_code code = prepare(s, work, e);
    if (code == KDS_OK)
        code = KDS_CUPTI(c, push, &push, e);
    if (code == KDS_OK)
        code = work->run(work->user, failed, e);
    return code == KDS_OK && !*failed ? KDS_CUPTI(c, pop, &pop, e) : code;
}

/* *last: all passes have been submitted. */
static kds_code run_pass(session *s, bool *failed, bool *last, kds_err *e)
{
    static const char *const names[KDS_PROFILE_WORKS] = {"work 0", "work 1", "work 2", "work 3"};
    const kds_cupti *c = s->p->cupti;
    kds_cupti_start_args start = KDS_CUPTI_ARGS(start);
    kds_cupti_stop_args stop = KDS_CUPTI_ARGS(stop);
    start.range = stop.range = s->range;
    kds_code code = KDS_CUPTI(c, start, &start, e);
    for (size_t i = 0; code == KDS_OK && !*failed && i < s->count; i++)
        code = run_range(s, &s->works[i], names[i], failed, e);
    if (code == KDS_OK && !*failed)
        code = KDS_CUPTI(c, stop, &stop, e);
    *last = stop.all_submitted != 0;
    return code;
}

static kds_code run_passes(session *s, bool *failed, kds_err *e)
{
    bool last = false;
    kds_code code = KDS_OK;
    for (int pass = 0; code == KDS_OK && !*failed && !last; pass++) {
        if (pass == PASSES_MAX)
            return kds_fail(e, KDS_FAILED, "CUPTI wants more than %d passes for a set of %d",
                            PASSES_MAX, s->set->passes);
        code = run_pass(s, failed, &last, e);
    }
    return code;
}

static kds_code decode_all(session *s, kds_err *e)
{
    const kds_cupti *c = s->p->cupti;
    kds_cupti_decode_args decode = KDS_CUPTI_ARGS(decode);
    kds_cupti_data_info_args info = KDS_CUPTI_ARGS(data_info);
    decode.range = s->range;
    info.data = s->data;
    info.size = s->size;
    kds_code code = KDS_CUPTI(c, decode, &decode, e);
    if (code == KDS_OK)
        code = KDS_CUPTI(c, data_info, &info, e);
    if (code == KDS_OK && (info.ranges != s->count || decode.dropped != 0))
        code =
            kds_fail(e, KDS_FAILED, "CUPTI has %zu ranges and dropped %zu where %zu were profiled",
                     info.ranges, decode.dropped, s->count);
    return code;
}

/* The values of CUPTI's metrics of one work, in the order of the set. */
static kds_code evaluate(session *s, size_t work, double *values, kds_err *e)
{
    kds_cupti_host_evaluate_args a = KDS_CUPTI_ARGS(host_evaluate);
    a.host = s->set->host;
    a.data = s->data;
    a.size = s->size;
    a.range = work;
    a.metrics = s->set->metrics;
    a.count = (size_t)s->set->metric_count;
    a.values = values;
    return KDS_CUPTI(s->p->cupti, host_evaluate, &a, e);
}

static bool collect(const kds_metric_set *s, const double *values, kds_measures *out)
{
    out->count = 0;
    for (int i = 0; i < s->counter_count; i++) {
        double sum = 0;
        for (int k = 0; k < s->counters[i].part_count; k++)
            sum += values[s->counters[i].parts[k]];
        if (isfinite(sum) && !kds_measures_set(out, s->counters[i].name, sum))
            return false;
    }
    return true;
}

static kds_code take_values(session *s, kds_measures *out, kds_err *e)
{
    kds_code code = decode_all(s, e);
    for (size_t i = 0; code == KDS_OK && i < s->count; i++) {
        double values[KDS_METRICS_MAX] = {0};
        code = evaluate(s, i, values, e);
        if (code == KDS_OK && !collect(s->set, values, &out[i]))
            code = kds_fail(e, KDS_TOO_LARGE, "more than %d counters", KDS_MEASURES_MAX);
    }
    return code;
}

kds_code kds_profiler_run(kds_profiler *p, const kds_metric_set *set, const kds_profile_work *works,
                          int count, kds_measures *out, bool *failed, kds_err *e)
{
    session s = {.p = p, .set = set, .works = works, .count = (size_t)count};
    kds_cupti_disable_args disable = KDS_CUPTI_ARGS(disable);
    *failed = false;
    kds_code code = arm(&s, e);
    if (code == KDS_OK)
        code = run_passes(&s, failed, e);
    if (code == KDS_OK && !*failed)
        code = take_values(&s, out, e);
    disable.range = s.range;
    /* After a fault or a hang the card answers nothing: the process ends without tidying up. */
    if (s.range != NULL && !*failed && code != KDS_DEVICE_LOST) {
        kds_code ended = KDS_CUPTI(p->cupti, disable, &disable, code == KDS_OK ? e : NULL);
        code = code == KDS_OK ? ended : code;
    }
    free(s.data);
    return code;
}
