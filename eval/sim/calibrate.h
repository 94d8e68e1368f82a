/* Calibration of the time model: how well modelled times rank and match measured ones, and which
 * rates would match better. Pure: samples in, numbers out. */
#ifndef KDS_EVAL_SIM_CALIBRATE_H
#define KDS_EVAL_SIM_CALIBRATE_H

#include "eval/sim/observe.h"

/* One kernel on one row. Samples of one task and row have equal numbers. */
typedef struct kds_sample {
    int task, row; /* numbers from 0 on; a row's is its own among all tasks */
    const char *task_name, *row_name, *kernel; /* borrowed */
    double measured_us;
    kds_sim_observed *inputs;
} kds_sample;

/* How a GPU's numbers do on samples. Ratios are modelled / measured. */
typedef struct kds_agreement {
    size_t count;
    double spearman; /* over all; NaN if it is not defined */
    double within;   /* mean over rows of at least three kernels, weighted by their number; NaN */
    size_t rows;     /* of that mean */
    size_t pairs,
        ordered; /* pairs of one row that differ by more than 1 % as measured; ordered right */
    double p10, median, p90, worst; /* of the ratio; worst: furthest from 1 */
    double rms_log;                 /* root of the mean square of ln(ratio) */
} kds_agreement;
/* Of the samples of task number `task`; -1: of all. False: out of memory. `count` may be 0. */
bool kds_calibrate_agreement(const kds_gpu *g, const kds_sample *samples, size_t n, int task,
                             kds_agreement *out);

/* The parameters that are fitted. */
int kds_calibrate_parameter_count(void);
const char *kds_calibrate_parameter_name(int i);
double kds_calibrate_parameter(const kds_gpu *g, int i);
void kds_calibrate_set_parameter(kds_gpu *g, int i, double value);

/* Fits them to all samples but those of task number `left_out` (-1: to all): minimises the sum over
 * samples of a Huber-like loss of ln(modelled / measured), every task having the same weight, each
 * parameter between half and twice its value in `start`. A parameter on which nothing depends stays
 * where it is. */
void kds_calibrate_fit(const kds_gpu *start, const kds_sample *samples, size_t n, int left_out,
                       kds_gpu *out);
/* What is minimised. */
double kds_calibrate_loss(const kds_gpu *g, const kds_gpu *start, const kds_sample *samples,
                          size_t n, int left_out);

#endif
