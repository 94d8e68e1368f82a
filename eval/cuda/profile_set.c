/* Metric sets: which of CUPTI's metrics stand for the counters asked for on this chip, and how many
 * passes they take together. Only CUPTI knows what fits into a pass; it is asked. */
#include "eval/cuda/profile_set.h"

#include <stdlib.h>
#include <string.h>

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

kds_code kds_metric_host_open(const kds_profiler *p, kds_cupti_host *out, kds_err *e)
{
    kds_cupti_host_initialize_args a = KDS_CUPTI_ARGS(host_initialize);
    a.type = KDS_CUPTI_RANGE_PROFILER;
    a.chip = p->chip;
    a.availability = p->availability;
    kds_code code = KDS_CUPTI(p->cupti, host_initialize, &a, e);
    if (code == KDS_OK)
        *out = a.host;
    else
        code = kds_err_prefix(e, code, "chip %s", p->chip);
    return code;
}

void kds_metric_host_close(const kds_profiler *p, kds_cupti_host host)
{
    kds_cupti_host_end_args a = KDS_CUPTI_ARGS(host_end);
    a.host = host;
    if (host != NULL)
        (void)p->cupti->host_end(&a);
}

static bool known(const kds_profiler *p, const char *metric)
{
    kds_cupti_host_metric_args a = KDS_CUPTI_ARGS(host_metric);
    a.host = p->host;
    a.metric = metric;
    return p->cupti->host_metric(&a) == KDS_CUPTI_SUCCESS;
}

/* The parts of a counter that this chip has; 0: it has no such counter. */
static int resolve(const kds_profiler *p, const char *name, const char **parts)
{
    const kds_counter *c = kds_counter_find(name);
    parts[0] = name;
    if (c == NULL)
        return known(p, name);
    for (int k = 0; k < KDS_COUNTER_CHOICES; k++) {
        int count = 0;
        while (count < KDS_COUNTER_PARTS && c->choices[k][count] != NULL &&
               known(p, c->choices[k][count])) {
            parts[count] = c->choices[k][count];
            count++;
        }
        if (count > 0 && (count == KDS_COUNTER_PARTS || c->choices[k][count] == NULL))
            return count;
    }
    return 0;
}

/* Index of a metric in the set, added if it is new; -1: no memory or no room. */
static int take_metric(kds_metric_set *s, const char *metric)
{
    for (int i = 0; i < s->metric_count; i++)
        if (strcmp(s->metrics[i], metric) == 0)
            return i;
    if (s->metric_count == KDS_METRICS_MAX ||
        (s->metrics[s->metric_count] = strdup(metric)) == NULL)
        return -1;
    return s->metric_count++;
}

static void drop_metrics(kds_metric_set *s, int metrics, int counters)
{
    while (s->metric_count > metrics)
        free(s->metrics[--s->metric_count]);
    s->counter_count = counters;
}

/* Adds a counter; false if there is no memory or no room. */
static bool take_counter(kds_metric_set *s, const char *name, const char *const *parts, int count)
{
    for (int i = 0; i < s->counter_count; i++)
        if (strcmp(s->counters[i].name, name) == 0)
            return true;
    set_counter c = {.part_count = count};
    if (s->counter_count == KDS_METRICS_MAX || strlen(name) >= sizeof c.name)
        return false;
    memcpy(c.name, name, strlen(name) + 1);
    for (int k = 0; k < count; k++)
        if ((c.parts[k] = take_metric(s, parts[k])) < 0)
            return false;
    s->counters[s->counter_count++] = c;
    return true;
}

/* Replaces the host object and the configuration by those of the metrics in the set. */
static kds_code configure(kds_metric_set *s, kds_err *e)
{
    const kds_profiler *p = s->profiler;
    kds_cupti_host_add_args add = KDS_CUPTI_ARGS(host_add);
    kds_cupti_host_image_size_args size = KDS_CUPTI_ARGS(host_image_size);
    kds_cupti_host_image_args image = KDS_CUPTI_ARGS(host_image);
    kds_cupti_host_passes_args passes = KDS_CUPTI_ARGS(host_passes);
    kds_metric_host_close(p, s->host);
    free(s->image);
    s->host = NULL;
    s->image = NULL;
    kds_code code = kds_metric_host_open(p, &s->host, e);
    add.host = size.host = image.host = s->host;
    add.metrics = s->metrics;
    add.count = (size_t)s->metric_count;
    if (code == KDS_OK)
        code = KDS_CUPTI(p->cupti, host_add, &add, e);
    if (code == KDS_OK)
        code = KDS_CUPTI(p->cupti, host_image_size, &size, e);
    if (code == KDS_OK && (s->image = calloc(1, size.size + 1)) == NULL)
        code = no_memory(e);
    s->image_size = image.size = passes.size = size.size;
    image.image = passes.image = s->image;
    if (code == KDS_OK)
        code = KDS_CUPTI(p->cupti, host_image, &image, e);
    if (code == KDS_OK)
        code = KDS_CUPTI(p->cupti, host_passes, &passes, e);
    s->passes = (int)passes.passes;
    return code;
}

static kds_code note_missing(kds_metric_set *s, const char *name, kds_err *e)
{
    if (s->missing_count == KDS_METRICS_MAX ||
        (s->missing[s->missing_count] = strdup(name)) == NULL)
        return no_memory(e);
    s->missing_count++;
    return KDS_OK;
}

/* All counters of the list from `first` on that the chip has. */
static kds_code take_list(kds_metric_set *s, const char *const *names, int first, int end,
                          bool tell_missing, kds_err *e)
{
    kds_code code = KDS_OK;
    for (int i = first; code == KDS_OK && i < end; i++) {
        const char *parts[KDS_COUNTER_PARTS];
        int count = resolve(s->profiler, names[i], parts);
        if (count == 0 && tell_missing)
            code = note_missing(s, names[i], e);
        else if (count > 0 && !take_counter(s, names[i], parts, count))
            code = kds_fail(e, KDS_TOO_LARGE, "'%.100s': no room for so many or so long names",
                            names[i]);
    }
    return code;
}

/* One after the other, keeping what costs no pass too many. */
static kds_code take_what_fits(kds_metric_set *s, const char *const *names, int first, int end,
                               int passes, kds_err *e)
{
    kds_code code = KDS_OK;
    for (int i = first; code == KDS_OK && i < end; i++) {
        int metrics = s->metric_count, counters = s->counter_count;
        code = take_list(s, names, i, i + 1, false, e);
        if (code == KDS_OK && s->metric_count > metrics)
            code = configure(s, e);
        if (code == KDS_OK && s->metric_count > metrics && s->passes > passes)
            drop_metrics(s, metrics, counters);
    }
    return code;
}

kds_code kds_metric_set_make(kds_metric_set **out, const kds_profiler *p, const char *const *names,
                             int count, int required, int passes, kds_err *e)
{
    kds_metric_set *s = calloc(1, sizeof *s);
    if (s == NULL)
        return no_memory(e);
    s->profiler = p;
    kds_code code = take_list(s, names, 0, required, true, e);
    int metrics = s->metric_count, counters = s->counter_count;
    if (code == KDS_OK)
        code = take_list(s, names, required, count, false, e);
    if (code == KDS_OK && s->metric_count == 0)
        code = kds_fail(e, KDS_NOT_FOUND, "the %s has no counter of those asked for (%s%s)",
                        p->chip, count > 0 ? names[0] : "none", count > 1 ? ", ..." : "");
    if (code == KDS_OK)
        code = configure(s, e);
    if (code == KDS_OK && s->passes > passes && required < count) {
        drop_metrics(s, metrics, counters);
        code = take_what_fits(s, names, required, count, passes, e);
        if (code == KDS_OK)
            code = configure(s, e);
    }
    if (code == KDS_OK)
        *out = s;
    else
        kds_metric_set_free(s);
    return code;
}

kds_code kds_metric_set_standard(kds_metric_set **out, const kds_profiler *p,
                                 const char *const *required, int count, bool all, kds_err *e)
{
    const char *names[2 * KDS_METRICS_MAX];
    int n = 0;
    for (int i = 0; i < count && n < KDS_METRICS_MAX; i++)
        names[n++] = required[i];
    for (const kds_counter *c = kds_counters(); c->name != NULL; c++)
        if (all || !c->extra)
            names[n++] = c->name;
    return kds_metric_set_make(out, p, names, n, count < n ? count : n,
                               all ? KDS_METRICS_MAX : KDS_PROFILE_PASSES, e);
}

void kds_metric_set_free(kds_metric_set *s)
{
    if (s == NULL)
        return;
    kds_metric_host_close(s->profiler, s->host);
    drop_metrics(s, 0, 0);
    for (int i = 0; i < s->missing_count; i++)
        free(s->missing[i]);
    free(s->image);
    free(s);
}

int kds_metric_set_passes(const kds_metric_set *s)
{
    return s->passes;
}

const char *const *kds_metric_set_missing(const kds_metric_set *s)
{
    return (const char *const *)s->missing;
}
