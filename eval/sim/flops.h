/* Operations on floating-point numbers that an instruction stands for: sums, products, quotients,
 * the smaller and the larger of two, roots and functions are one each, a fused multiplication and
 * addition two. Comparisons, conversions, signs and moves are none. */
#ifndef KDS_EVAL_SIM_FLOPS_H
#define KDS_EVAL_SIM_FLOPS_H

#include "eval/sim/code.h"

/* Of one lane. */
unsigned kds_ins_flops(const kds_ins *i);
/* Of a whole warp, in a matrix product of floating-point numbers. */
unsigned kds_ins_matrix_flops(const kds_ins *i);

#endif
