/* Benchmark of the whole engine: a campaign of the built-in proposer, and where its time went. */
#ifndef KDS_ENGINE_ENGINE_BENCH_H
#define KDS_ENGINE_ENGINE_BENCH_H

#include "search/base/json.h"

typedef struct kds_engine_bench_options {
    const char *task_dir;
    const char *device; /* "cuda:0", "sim" */
    const char *folder; /* empty or new; the archive is left there */
    int64_t candidates; /* distinct ones */
    int64_t in_flight;  /* 0: the campaign's own default */
    int64_t workers;    /* 0: likewise */
    kds_event_fn *fn;   /* as of a campaign; may be NULL */
    void *user;
} kds_engine_bench_options;

/* Gives {task, device, model, measured, candidates (judged, no duplicates), accepted, duels,
 * prepare_seconds (until the first candidate), seconds (from then on), per_hour, engine_ms and
 * engine_cpu_ms (of the engine's own process for each candidate: everything but waiting, and its
 * processor time), stages (kds_evaluator_stats)}.
 * Owned by the caller. */
KDS_MUST_USE kds_code kds_engine_bench(const kds_engine_bench_options *o, cJSON **report,
                                       kds_err *e);

#endif
