/* What the files behind profile_bench.h share. */
#ifndef KDS_ENGINE_PROFILE_BENCH_INTERNAL_H
#define KDS_ENGINE_PROFILE_BENCH_INTERNAL_H

#include "eval/device.h"
#include "search/engine/gpu_bench_internal.h"
#include "search/engine/profile_bench.h"

typedef struct profile_bench {
    gpu_bench b; /* its GPU worker is the profiler's */
    const kds_profile_bench_options *o;
    kds_device *sim; /* to compare with; NULL: not asked for */
    bool started;    /* a worker has greeted */
    bool start_failed;
} profile_bench;

/* ---- profile_bench_sim.c ---- */
/* Adds `sim` and `sampled`, or `sim_message` where the simulator has none, to an entry. */
kds_code profile_simulate(profile_bench *x, int kernel, int row, cJSON *entry, kds_err *e);

#endif
