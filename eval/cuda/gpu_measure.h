/* One candidate on one row of a GPU: right, and how fast. */
#ifndef KDS_EVAL_CUDA_GPU_MEASURE_H
#define KDS_EVAL_CUDA_GPU_MEASURE_H

#include "eval/cuda/gpu_row.h"
#include "search/base/random.h"

#define KDS_GPU_VISITS 25

/* What was measured. A visit is a graph of `launches` runs of the plan, one after the other, over
 * `sets` sets of buffers in turn; its time is divided by their number. */
typedef struct kds_gpu_timing {
    double us;     /* median over visits */
    double spread; /* between the quartiles of the visits, over the median */
    int visits, launches, sets;
    double samples[KDS_GPU_VISITS]; /* us, in order */
    bool cold;                      /* the sets together exceed twice the L2 */
    const char *variant;            /* of the plan; borrowed */
    int plan_launches;
} kds_gpu_timing;

/* The row has been reset and its expectation taken. A failure of the candidate is a finding.
 * *spoilt: the process cannot be trusted with another candidate (a fault, a hang, a foreign write).
 */
KDS_MUST_USE kds_code kds_gpu_measure(kds_gpu_row *r, const kds_plan *plan, const kds_compiled *c,
                                      kds_gpu_timing *out, bool *spoilt, kds_finding *f,
                                      kds_err *e);

/* Times two programs of one row in turn, four visits in all; us: per run of the plan, the
 * candidate's and the baseline's. The row has been reset and its expectation taken. Outputs of
 * timed launches are drawn and checked. */
KDS_MUST_USE kds_code kds_gpu_measure_pair(kds_gpu_program *candidate, kds_gpu_program *baseline,
                                           kds_random *draw, double us[2], kds_finding *f,
                                           kds_err *e);

#endif
