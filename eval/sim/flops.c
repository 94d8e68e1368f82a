/* Counting operations by opcode. */
#include "eval/sim/flops.h"

/* Of an atomic sum. */
static unsigned atomic(const kds_ins *i)
{
    if (i->compare != KDS_ATOM_ADD)
        return 0;
    switch ((kds_ptx_type)i->type) {
    case KDS_PTX_F16:
    case KDS_PTX_BF16:
    case KDS_PTX_F32:
    case KDS_PTX_F64:
        return 1;
    case KDS_PTX_F16X2:
    case KDS_PTX_BF16X2:
        return 2;
    default:
        return 0;
    }
}

static unsigned scalar(kds_op op)
{
    switch (op) {
    case KDS_OP_add_f32:
    case KDS_OP_add_ftz_f32:
    case KDS_OP_add_any_f32:
    case KDS_OP_sub_f32:
    case KDS_OP_sub_ftz_f32:
    case KDS_OP_sub_any_f32:
    case KDS_OP_mul_f32:
    case KDS_OP_mul_ftz_f32:
    case KDS_OP_mul_any_f32:
    case KDS_OP_div_f32:
    case KDS_OP_div_approx_f32:
    case KDS_OP_rcp_f32:
    case KDS_OP_rcp_approx_f32:
    case KDS_OP_sqrt_f32:
    case KDS_OP_sqrt_approx_f32:
    case KDS_OP_rsqrt_approx_f32:
    case KDS_OP_min_f32:
    case KDS_OP_max_f32:
    case KDS_OP_ex2_f32:
    case KDS_OP_lg2_f32:
    case KDS_OP_sin_f32:
    case KDS_OP_cos_f32:
    case KDS_OP_tanh_f32:
    case KDS_OP_add_f64:
    case KDS_OP_sub_f64:
    case KDS_OP_mul_f64:
    case KDS_OP_div_f64:
    case KDS_OP_rcp_f64:
    case KDS_OP_sqrt_f64:
    case KDS_OP_rcp_approx_f64:
    case KDS_OP_rsqrt_approx_f64:
    case KDS_OP_min_f64:
    case KDS_OP_max_f64:
        return 1;
    case KDS_OP_fma_f32:
    case KDS_OP_fma_ftz_f32:
    case KDS_OP_fma_any_f32:
    case KDS_OP_fma_f64:
    case KDS_OP_add_f32x2:
    case KDS_OP_sub_f32x2:
    case KDS_OP_mul_f32x2:
        return 2;
    case KDS_OP_fma_f32x2:
        return 4;
    default:
        return 0;
    }
}

/* Of halves, of which a register holds one or two. */
static unsigned half(kds_op op)
{
    switch (op) {
    case KDS_OP_add_f16:
    case KDS_OP_sub_f16:
    case KDS_OP_mul_f16:
    case KDS_OP_min_f16:
    case KDS_OP_max_f16:
    case KDS_OP_ex2_f16:
    case KDS_OP_tanh_f16:
    case KDS_OP_add_bf16:
    case KDS_OP_sub_bf16:
    case KDS_OP_mul_bf16:
    case KDS_OP_min_bf16:
    case KDS_OP_max_bf16:
    case KDS_OP_ex2_bf16:
    case KDS_OP_tanh_bf16:
        return 1;
    case KDS_OP_fma_f16:
    case KDS_OP_fma_bf16:
        return 2;
    default:
        return 0;
    }
}

unsigned kds_ins_flops(const kds_ins *i)
{
    kds_op op = (kds_op)i->op;
    return op == KDS_OP_atom ? atomic(i) : scalar(op) + half(op) * (i->result_bytes / 2u);
}

unsigned kds_ins_matrix_flops(const kds_ins *i)
{
    bool product = i->op == KDS_OP_mma || i->op == KDS_OP_mma_f64;
    return product ? 2u * i->compare * 8u * i->bytes * i->elements : 0;
}
