/* The kernels of the simulator benchmark, as lines of PTX ending with NULL. */
#ifndef KDS_EVAL_SIM_BENCH_PTX_H
#define KDS_EVAL_SIM_BENCH_PTX_H

#include <stddef.h>

extern const char *const kds_bench_rms_vec[],
    *const kds_bench_rms_naive[], *const kds_bench_scale_shift[], *const kds_bench_sgemm[],
                                                                      *const kds_bench_mma_gemm[];

#endif
