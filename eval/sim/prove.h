/* What the files of the proof share; nobody else includes this. */
#ifndef KDS_EVAL_SIM_PROVE_H
#define KDS_EVAL_SIM_PROVE_H

#include "eval/prove.h"
#include "eval/sim/device_sim.h"

/* What one run touched, over all of its launches. */
typedef struct sim_touched {
    uint64_t *loaded[KDS_BUFFERS_MAX]; /* one bit per sector; NULL: nothing was read */
    double written[KDS_BUFFERS_MAX];   /* bytes */
    double flops, matrix_flops;
} sim_touched;

#define SIM_SECTOR 32u

/* prove_count.c */
KDS_MUST_USE kds_code sim_touched_add(sim_touched *t, const sim_bench *b, const sim_memory *at,
                                      kds_err *e);
void sim_touched_drop(sim_touched *t);
/* Adds "outputs", "traffic" and "work" to `json`. */
KDS_MUST_USE kds_code sim_prove_outputs(cJSON *json, const sim_bench *b, const kds_outputs *got,
                                        kds_err *e);
KDS_MUST_USE kds_code sim_prove_traffic(cJSON *json, const sim_bench *b, const sim_touched *t,
                                        kds_err *e);
/* Adds "varies" to the traffic of `json`, from a run on other values. */
KDS_MUST_USE kds_code sim_prove_again(cJSON *json, const sim_bench *b, const sim_touched *t,
                                      kds_err *e);
KDS_MUST_USE kds_code sim_prove_work(cJSON *json, const sim_bench *b, const sim_touched *t,
                                     kds_err *e);

#endif
