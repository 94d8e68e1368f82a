/* Benchmark of the search itself: whole campaigns in this process, with a scripted stochastic
 * proposer in a model's place, on catalogues of real kernels of which every one has been judged, so
 * that the best is known. Decisions, state and commits are the engine's own. */
#ifndef KDS_ENGINE_SEARCH_BENCH_H
#define KDS_ENGINE_SEARCH_BENCH_H

#include "search/base/json.h"

typedef struct kds_search_bench_options {
    const char *const *catalogues; /* folders, each with catalogue.json and kernel.template */
    int catalogue_count;
    const char *verdicts; /* folder where verdicts are kept, TASK.json each; made if it is not
                             there; NULL: they are kept nowhere */
    const char *arms;     /* names, comma-separated; NULL: all */
    const kds_settings *settings; /* of the device and the workers that judge; borrowed */
    int64_t seed, seeds;          /* first one, and how many */
    int64_t cap;                  /* decisions after which a campaign is given up */
    int64_t in_flight;
    double share; /* of the optimum that is to be reached: 0.95 */
    /* Told now and then; may be NULL. */
    void (*tell)(void *user, const char *text);
    void *user;
} kds_search_bench_options;

/* Gives {seed, seeds, cap, in_flight, share, device, tasks[]{task, points, programs, flawed, ok,
 * enough (points at or above the share), optimum, optimum_point, judge_seconds, arms[]{arm,
 * parents, operators, reached, decisions, calls, cost}}, together[]}, where the last three (cost:
 * USD, a cent for each call and half a cent for each kernel judged) are {median, mean, low, high
 * (95 %, bootstrap over seeds), ratio, ratio_low, ratio_high, p} of budgets that are cut at the
 * cap; the ratio is the mean's to that of the first arm on the same seeds and p of a two-sided
 * signed-rank test of the pairs (null for the first arm). `together` has the same over all tasks,
 * each task's budgets divided by the first arm's mean there. Owned by the caller. */
KDS_MUST_USE kds_code kds_search_bench(const kds_search_bench_options *o, cJSON **report,
                                       kds_err *e);

#endif
