/* What the files of the judge share. */
#ifndef KDS_EVAL_JUDGE_INTERNAL_H
#define KDS_EVAL_JUDGE_INTERNAL_H

#include "eval/gate.h"
#include "eval/judge.h"

/* A device with the task's own kernels on it, and their gate. */
typedef struct kds_judge_bench {
    kds_device *device;
    kds_program *baseline, *reference;
    kds_gate *gate;
} kds_judge_bench;

struct kds_judge {
    const kds_task *task;
    kds_judge_bench main;
    kds_plan *baseline_plan, *reference_plan;
    bool only_safety;
    bool blind;          /* the simulator cannot run the task's own kernels: nothing can be told */
    double *baseline_us; /* by row; 0 until known */
    cJSON *baseline_report;
    bool forecasts;                /* asked for */
    struct kds_judge_ahead *ahead; /* what forecasts are made with; NULL until the first */
};

/* Everything about one candidate that a report is made of. */
typedef struct kds_judgement {
    const char *source;
    size_t len;
    const kds_plan *plan;
    const kds_compiled *compiled;
    kds_finding finding;
    kds_gate_row *rows; /* by row of the task */
    bool *checked;
    int *order; /* rows in the order of their checks */
    int order_count;
} kds_judgement;

/* Counters of the profiled rows as one. */
void kds_counters_sum(const kds_task *t, const double *us, const kds_measures *const *by_row,
                      kds_measures *out);

KDS_MUST_USE kds_code kds_judge_report(const kds_judge *j, const kds_judgement *x, cJSON **out,
                                       kds_err *e);

/* judge_forecast.c: adds "forecast" to a report, if one can be made. */
KDS_MUST_USE kds_code kds_judge_forecast(kds_judge *j, kds_program *p, cJSON *report, kds_err *e);
void kds_judge_ahead_close(kds_judge *j);

#endif
