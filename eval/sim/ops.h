/* Every operation of the interpreter, one handler each. A handler is generic over nothing that
 * matters to its speed; rarer modifiers are fields of the instruction. X(name). */
#ifndef KDS_EVAL_SIM_OPS_H
#define KDS_EVAL_SIM_OPS_H

/* clang-format off */
#define KDS_OPS_INT(X) \
    X(nop) X(mov_b16) X(mov_b32) X(mov_b64) X(mov_pred) X(pack_b16) X(pack_b32) X(unpack_b16) \
    X(unpack_b32) X(add_b16) X(add_b32) X(add_b64) X(add_u16x2) X(sub_b16) X(sub_b32) \
    X(sub_b64) X(add_sat_s32) X(sub_sat_s32) X(add_cc_b32) X(addc_b32) X(sub_cc_b32) \
    X(subc_b32) X(add_cc_b64) X(addc_b64) X(sub_cc_b64) X(subc_b64) X(mad_cc_u32) \
    X(mul_lo_b16) X(mul_lo_b32) X(mul_lo_b64) X(mul_hi_s16) X(mul_hi_u16) X(mul_hi_s32) \
    X(mul_hi_u32) X(mul_hi_s64) X(mul_hi_u64) X(mul_wide_s16) X(mul_wide_u16) X(mul_wide_s32) \
    X(mul_wide_u32) X(mul24_s32) X(mul24_u32) X(mad24_s32) X(mad24_u32) X(mad_lo_b16) \
    X(mad_lo_b32) X(mad_lo_b64) X(mad_hi_s32) X(mad_hi_u32) X(mad_hi_s64) X(mad_hi_u64) \
    X(mad_wide_s16) X(mad_wide_u16) X(mad_wide_s32) X(mad_wide_u32) X(min_s16) X(min_u16) \
    X(min_s32) X(min_u32) X(min_s64) X(min_u64) X(max_s16) X(max_u16) X(max_s32) X(max_u32) \
    X(max_s64) X(max_u64) X(neg_b16) X(neg_b32) X(neg_b64) X(abs_s16) X(abs_s32) X(abs_s64) \
    X(and_b16) X(and_b32) X(and_b64) X(or_b16) X(or_b32) X(or_b64) X(xor_b16) X(xor_b32) \
    X(xor_b64) X(not_b16) X(not_b32) X(not_b64) X(cnot_b16) X(cnot_b32) X(cnot_b64) \
    X(and_pred) X(or_pred) X(xor_pred) X(not_pred) X(shl_b16) X(shl_b32) X(shl_b64) X(shr_u16) \
    X(shr_s16) X(shr_u32) X(shr_s32) X(shr_u64) X(shr_s64) X(div_s16) X(div_u16) X(div_s32) \
    X(div_u32) X(div_s64) X(div_u64) X(rem_s16) X(rem_u16) X(rem_s32) X(rem_u32) X(rem_s64) \
    X(rem_u64) X(selp_b16) X(selp_b32) X(selp_b64) X(slct_b32_s32) X(slct_b64_s32) \
    X(slct_b32_f32) X(slct_b64_f32)

#define KDS_OPS_BITS(X) \
    X(bfe_u32) X(bfe_s32) X(bfe_u64) X(bfe_s64) X(bfi_b32) X(bfi_b64) X(bfind_u32) \
    X(bfind_s32) X(bfind_u64) X(bfind_s64) X(brev_b32) X(brev_b64) X(clz_b32) X(clz_b64) \
    X(popc_b32) X(popc_b64) X(prmt_b32) X(lop3_b32) X(shf_b32) X(sad_s16) X(sad_u16) \
    X(sad_s32) X(sad_u32) X(dp4a) X(dp2a) X(bmsk_b32) X(szext_b32) X(fns_b32) X(min_u16x2) \
    X(max_u16x2) X(min_s16x2) X(max_s16x2) X(min_relu_s16x2) X(max_relu_s16x2) X(min_relu_s32) \
    X(max_relu_s32) X(cvt_pack_u8) X(cvt_pack_s8) X(cvt_pack_u16) X(cvt_pack_s16) X(vabsdiff4) X(vabsdiff4_add) X(vabsdiff2) X(vabsdiff2_add)

#define KDS_OPS_FLOAT(X) \
    X(add_f32) X(add_ftz_f32) X(add_any_f32) X(sub_f32) X(sub_ftz_f32) X(sub_any_f32) \
    X(mul_f32) X(mul_ftz_f32) X(mul_any_f32) X(fma_f32) X(fma_ftz_f32) X(fma_any_f32) \
    X(div_f32) X(div_approx_f32) X(rcp_f32) X(rcp_approx_f32) X(sqrt_f32) X(sqrt_approx_f32) \
    X(rsqrt_approx_f32) X(min_f32) X(max_f32) X(abs_f32) X(neg_f32) X(ex2_f32) X(lg2_f32) \
    X(sin_f32) X(cos_f32) X(tanh_f32) X(copysign_f32) X(testp_f32) X(add_f32x2) X(sub_f32x2) X(mul_f32x2) X(fma_f32x2) X(add_f64) X(sub_f64) \
    X(mul_f64) X(fma_f64) X(div_f64) X(rcp_f64) X(sqrt_f64) X(rcp_approx_f64) \
    X(rsqrt_approx_f64) X(min_f64) X(max_f64) X(abs_f64) X(neg_f64) X(copysign_f64) \
    X(testp_f64)

#define KDS_OPS_HALF(X) \
    X(add_f16) X(sub_f16) X(mul_f16) X(fma_f16) X(min_f16) X(max_f16) X(ex2_f16) X(tanh_f16) \
    X(add_bf16) X(sub_bf16) X(mul_bf16) X(fma_bf16) X(min_bf16) X(max_bf16) X(ex2_bf16) \
    X(tanh_bf16) X(abs_half) X(neg_half)

#define KDS_OPS_COMPARE(X) \
    X(setp_s16) X(setp_u16) X(setp_s32) X(setp_u32) X(setp_s64) X(setp_u64) X(setp_f32) \
    X(setp_f64) X(setp_f16) X(setp_bf16) X(setp_half2) X(set_s16) X(set_u16) X(set_s32) \
    X(set_u32) X(set_s64) X(set_u64) X(set_f32) X(set_f64) X(set_f16) X(set_bf16) X(set_half2)

#define KDS_OPS_CONVERT(X) \
    X(cvt_any) X(cvt_f32_bf16) X(cvt_f32_f16) X(cvt_bf16_f32) X(cvt_f16_f32) X(cvt_bf16x2_f32) \
    X(cvt_f16x2_f32) X(cvt_f32_s32) X(cvt_f32_u32) X(cvt_rzi_s32_f32) X(cvt_sat_f32) \
    X(cvt_f64_f32) X(cvt_f32_f64) X(cvt_b64_s32) X(cvt_b64_u32) X(cvt_b32_b64) X(cvt_b32_u16) \
    X(cvt_b32_s16) X(cvt_b16_b32) X(cvt_b64_u16) X(cvt_b64_s16) X(cvt_tf32) X(cvt_fp8x2) \
    X(cvt_from_fp8x2)

#define KDS_OPS_MEMORY(X) \
    X(ld_global) X(ld_shared) X(ld_local) X(ld_param) X(ld_generic) X(st_global) X(st_shared) \
    X(st_local) X(st_generic) X(atom) X(isspacep) X(aligned) X(mapa) \
    X(getctarank) X(fence)

#define KDS_OPS_ASYNC(X) \
    X(cp_async) X(cp_commit) X(cp_wait) X(mbarrier) X(mbarrier_wait) X(pending_count) \
    X(bulk) X(bulk_commit) X(bulk_wait) X(st_async) X(proxy_fence)

#define KDS_OPS_CROSS(X) \
    X(shfl) X(vote) X(activemask) X(match_any) X(match_all) X(redux) X(warpsync) X(elect) \
    X(clock32) X(clock64)

#define KDS_OPS_TENSOR(X) \
    X(mma) X(mma_f64) X(mma_int) X(wmma_load) X(wmma_store) X(ldmatrix) X(stmatrix) X(movmatrix)

/* The .param variables of calls. */
#define KDS_OPS_CALL(X) X(ld_call) X(st_call)

/* These end a run of instructions; the warp loop does them itself. */
#define KDS_OPS_CONTROL(X) \
    X(bra) X(brx) X(exit) X(trap) X(bar) X(cluster_bar) X(call) X(ret)
/* clang-format on */

#define KDS_OPS(X)                                                                                 \
    KDS_OPS_INT(X)                                                                                 \
    KDS_OPS_BITS(X)                                                                                \
    KDS_OPS_FLOAT(X)                                                                               \
    KDS_OPS_HALF(X)                                                                                \
    KDS_OPS_COMPARE(X)                                                                             \
    KDS_OPS_CONVERT(X)                                                                             \
    KDS_OPS_MEMORY(X)                                                                              \
    KDS_OPS_ASYNC(X) KDS_OPS_CALL(X) KDS_OPS_CROSS(X) KDS_OPS_TENSOR(X) KDS_OPS_CONTROL(X)

typedef enum kds_op {
#define KDS_X(name) KDS_OP_##name,
    KDS_OPS(KDS_X)
#undef KDS_X
        KDS_OP_COUNT
} kds_op;

#endif
