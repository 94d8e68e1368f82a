/* The median is the upper one of an even number: a GPU that is held down has lower clocks. */
#include "eval/duel_watch.h"

#include "eval/stats.h"

#include <math.h>

/* Idle, clocks set by an application or for a display: states that do not come and go by
 * themselves. */
#define HARMLESS (INT64_C(0x1) | 0x2 | 0x100)

const char *kds_duel_disturbance_name(kds_duel_disturbance d)
{
    static const char *const names[] = {"calm", "clock_moved", "throttled", "foreign_process"};
    return names[d];
}

void kds_duel_watch_begin(kds_duel_watch *w, const kds_duel_sample *s)
{
    w->samples[0] = *s;
    w->count = 1;
}

static double clock_of(const kds_duel_sample *s, bool memory)
{
    return memory ? s->memory_mhz : s->sm_mhz;
}

static double median_clock(const kds_duel_watch *w, bool memory)
{
    double known[KDS_DUEL_ATTEMPTS + 1];
    size_t n = 0;
    for (int i = 0; i < w->count; i++)
        if (clock_of(&w->samples[i], memory) > 0)
            known[n++] = clock_of(&w->samples[i], memory);
    kds_stats_sort(known, n);
    return n > 0 ? known[n / 2] : -1;
}

static bool moved(const kds_duel_watch *w, const kds_duel_sample *s, bool memory)
{
    double median = median_clock(w, memory), clock = clock_of(s, memory);
    return clock > 0 && median > 0 && fabs(clock - median) > KDS_DUEL_CLOCK_SHARE * median;
}

static kds_duel_disturbance judge(const kds_duel_watch *w, const kds_duel_sample *s)
{
    if (w->samples[0].processes >= 0 && s->processes > w->samples[0].processes)
        return KDS_DUEL_FOREIGN_PROCESS;
    if (s->throttle > 0 && (s->throttle & ~HARMLESS) != 0)
        return KDS_DUEL_THROTTLED;
    return moved(w, s, false) || moved(w, s, true) ? KDS_DUEL_CLOCK_MOVED : KDS_DUEL_CALM;
}

kds_duel_disturbance kds_duel_watch_end(kds_duel_watch *w, const kds_duel_sample *s)
{
    if (w->count < KDS_DUEL_ATTEMPTS + 1)
        w->samples[w->count++] = *s;
    kds_duel_disturbance after = judge(w, s);
    return after != KDS_DUEL_CALM || w->count < 2 ? after : judge(w, &w->samples[w->count - 2]);
}

bool kds_duel_watch_gives_up(int counted, int repeats)
{
    return repeats > counted && repeats > KDS_DUEL_REPEATS;
}
