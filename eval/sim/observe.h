/* What the simulator gave to the time model in one run: with it the model can be evaluated again,
 * with other numbers for the GPU, without simulating again. Latencies are part of the traced cycles
 * and stay those of the GPU that was simulated. */
#ifndef KDS_EVAL_SIM_OBSERVE_H
#define KDS_EVAL_SIM_OBSERVE_H

#include "eval/device.h"
#include "eval/sim/model.h"

typedef struct kds_sim_observed {
    int launch_count;
    struct {
        kds_sim_shape shape;
        double counters[KDS_SIM_COUNTER_COUNT];
        kds_sim_trace trace;
    } launches[KDS_PLAN_LAUNCHES];
    int zeroed_count;
    double zeroed[KDS_PLAN_SCRATCH]; /* bytes of scratch that are set to zero */
} kds_sim_observed;

/* Timed runs on a simulated device add to `o` from now on; NULL: no more. */
void kds_device_sim_observe(kds_device *d, kds_sim_observed *o);
void kds_sim_observed_add(kds_sim_observed *o, const kds_sim_shape *s,
                          const double counters[KDS_SIM_COUNTER_COUNT], const kds_sim_trace *trace);
/* Microseconds of the whole plan as one of many in a graph: every launch costs launch_us. `limiter`
 * (may be NULL) gets what bounds the longest launch. */
double kds_sim_observed_us(const kds_gpu *g, const kds_sim_observed *o, const char **limiter);

#endif
