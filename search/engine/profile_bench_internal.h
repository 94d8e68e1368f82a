/* What the files behind profile_bench.h share. */
#ifndef KDS_ENGINE_PROFILE_BENCH_INTERNAL_H
#define KDS_ENGINE_PROFILE_BENCH_INTERNAL_H

#include "eval/cuda/card.h"
#include "eval/device.h"
#include "search/engine/gpu_bench.h"
#include "search/engine/pool.h"
#include "search/engine/profile_bench.h"

typedef struct profile_entry {
    kds_plan *plan;
    kds_compiled *compiled;
    kds_finding f;
    int deaths;
    cJSON *rows; /* in the report */
} profile_entry;

typedef struct profile_bench {
    const kds_profile_bench_options *o;
    kds_task *task;
    kds_cuda_info info;
    int cuda_version;
    char *program;
    kds_gpu_kernels kernels;
    profile_entry *entries;
    kds_pool *compile, *profile;
    kds_device *sim; /* to compare with; NULL: not asked for */
    cJSON *report, *device;
    bool started;    /* a worker has greeted */
    bool answered;   /* the job has ended */
    kds_job_end end; /* how */
    cJSON *answer;   /* if it was a reply */
    char why[1000];  /* what went wrong last: of the worker's start, or of the job */
    bool start_failed;
    bool ending;   /* the worker has said, with its last answer, that it would end */
    kds_err error; /* what ended everything */
} profile_bench;

/* ---- profile_bench_sim.c ---- */
/* Adds `sim` and `sampled`, or `sim_message` where the simulator has none, to an entry. */
kds_code profile_simulate(profile_bench *b, int kernel, int row, cJSON *entry, kds_err *e);

#endif
