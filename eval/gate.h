/* The correctness gate: every check that stands between a program that runs and one whose time may
 * count. One call checks one row; what the candidate did wrong is a finding. What the candidate is
 * compared with (reference and baseline on the same inputs) is computed once and kept. */
#ifndef KDS_EVAL_GATE_H
#define KDS_EVAL_GATE_H

#include "eval/device.h"

typedef struct kds_gate kds_gate;

/* What the gate saw of one row. */
typedef struct kds_gate_row {
    kds_verdict verdict;
    const char *variant; /* lives as long as the candidate's plan */
    int launches;
    bool sampled;
    bool unchecked;      /* the outputs of a sampled row could not be compared */
    double us;           /* of production rows; else 0 */
    double baseline_us;  /* measured beside it; 0: not */
    const char *limiter; /* likewise; NULL */
    kds_measures counters;
    int error_count; /* against the reference, or the baseline if there is none; plain regime */
    struct {
        int buffer;
        double max_abs, rel_rmse, baseline_max_abs;
    } errors[KDS_BUFFERS_MAX];
} kds_gate_row;

/* Device, task and programs are borrowed until close. `reference` may be NULL. `seeds`: secret
 * seeds per row, derived from `seed`. */
KDS_MUST_USE kds_code kds_gate_open(kds_gate **out, kds_device *d, const kds_task *t, uint64_t seed,
                                    int seeds, kds_program *baseline, kds_program *reference,
                                    kds_err *e);
void kds_gate_close(kds_gate *g);

/* Checks a program on row `row`. Quick and held-out rows: every regime with the first seed, the
 * plain regime with the others, two runs with different poisons, the second on top of an earlier
 * one. Production rows: one timed run, then one in each other regime; where times are measured,
 * everything that the other rows go through as well. KDS_INVALID: the reference or the baseline
 * itself failed. */
KDS_MUST_USE kds_code kds_gate_check(kds_gate *g, kds_program *p, int row, kds_gate_row *out,
                                     kds_finding *f, kds_err *e);
#endif
