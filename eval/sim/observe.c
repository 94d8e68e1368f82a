/* Evaluating the time model on what was observed. */
#include "eval/sim/observe.h"

#include <string.h>

void kds_sim_observed_add(kds_sim_observed *o, const kds_sim_shape *s,
                          const double counters[KDS_SIM_COUNTER_COUNT], const kds_sim_trace *trace)
{
    if (o->launch_count == KDS_PLAN_LAUNCHES)
        return;
    o->launches[o->launch_count].shape = *s;
    memcpy(o->launches[o->launch_count].counters, counters,
           sizeof o->launches[o->launch_count].counters);
    o->launches[o->launch_count++].trace = *trace;
}

double kds_sim_observed_us(const kds_gpu *g, const kds_sim_observed *o, const char **limiter)
{
    double us = 0, longest = 0;
    for (int i = 0; i < o->zeroed_count; i++)
        us += g->launch_us + 1e6 * o->zeroed[i] / g->dram_bytes_per_second;
    for (int i = 0; i < o->launch_count; i++) {
        kds_sim_time time;
        kds_sim_model(g, &o->launches[i].shape, o->launches[i].counters, &o->launches[i].trace,
                      &time);
        us += time.us + g->launch_us;
        if (limiter != NULL && time.us > longest) {
            longest = time.us;
            *limiter = time.limiter;
        }
    }
    return us;
}
