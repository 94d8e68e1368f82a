/* A visit: a CUDA graph of launches, timed between events behind a delay kernel that hides the cost
 * of submitting it. */
#ifndef KDS_EVAL_CUDA_GPU_VISIT_H
#define KDS_EVAL_CUDA_GPU_VISIT_H

#include "eval/cuda/gpu_row.h"

#define KDS_GPU_DELAY_NS 50000    /* the least delay */
#define KDS_GPU_VISIT_US 1000.0   /* least work of a visit */
#define KDS_GPU_VISIT_NODES 40000 /* most nodes of its graph */

typedef struct kds_gpu_visit {
    kds_card *card;
    kds_helpers *helpers;
    kds_cuda_exec exec;
    int64_t delay_ns; /* adapts, so that the host is always ahead of the card */
    bool late;        /* it was not in the last visit: its time may be too long */
} kds_gpu_visit;

/* What is queued between begin and end becomes the graph. If `whole` is false (queueing failed) the
 * capture ends and there is no graph. */
KDS_MUST_USE kds_code kds_gpu_visit_begin(kds_gpu_visit *v, kds_err *e);
KDS_MUST_USE kds_code kds_gpu_visit_end(kds_gpu_visit *v, bool whole, kds_err *e);
void kds_gpu_visit_drop(kds_gpu_visit *v);
/* Runs the graph of that program's launches and waits. A fault or a hang is a finding. */
KDS_MUST_USE kds_code kds_gpu_visit_run(kds_gpu_visit *v, kds_gpu_program *p, double *us,
                                        kds_finding *f, kds_err *e);
/* The same for one run of the plan on a set, without a graph. */
KDS_MUST_USE kds_code kds_gpu_visit_single(kds_gpu_visit *v, kds_gpu_program *p, int set,
                                           double *us, kds_finding *f, kds_err *e);
/* Waits by asking all the time, so that the host knows the end within a microsecond; after a while
 * as kds_gpu_program_wait. */
bool kds_gpu_visit_spin(kds_gpu_program *p, kds_finding *f);
/* Nodes that one run of the program adds to a graph. */
int kds_gpu_visit_nodes(const kds_gpu_program *p);

#endif
