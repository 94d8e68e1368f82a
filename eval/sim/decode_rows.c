/* Arithmetic, logic and comparison as one table: the opcode as a pattern, the operands as a
 * signature, the handler, and the SASS instructions that it stands for.
 *
 * Pattern: segments between spaces; "?x" may be absent; "{a|b}" one of; %cmp a comparison; %bool a
 * combination. Signature: results '=' sources, each p (predicate), h, w, d (2, 4, 8 bytes), f, g
 * (4, 8 bytes with floating-point literals), i (a literal, into imm); P (a predicate, perhaps two
 * with
 * '|'); a trailing ?p is there if %bool is. */
#include "eval/sim/decode.h"
#include <string.h>

typedef struct row {
    const char *pattern, *operands;
    uint16_t op, ftz, any; /* with .ftz; with another rounding or .sat. KDS_OP_nop: the same */
    uint8_t pipe, weight, xu, wait;
} row;

#define R(pattern, operands, op, pipe, weight)                                                     \
    {                                                                                              \
        pattern, operands, KDS_OP_##op, 0, 0, KDS_PIPE_##pipe, weight, 0, KDS_WAIT_ALU             \
    }
#define F(pattern, operands, op, ftz, any)                                                         \
    {                                                                                              \
        pattern, operands, KDS_OP_##op, KDS_OP_##ftz, KDS_OP_##any, KDS_PIPE_FP32, 1, 0,           \
            KDS_WAIT_FP32                                                                          \
    }
#define W(pattern, operands, op, pipe, weight, xu, wait)                                           \
    {                                                                                              \
        pattern, operands, KDS_OP_##op, 0, 0, KDS_PIPE_##pipe, weight, xu, KDS_WAIT_##wait         \
    }

static const row int_rows[] = {
    R("add {s16|u16}", "h=hh", add_b16, ALU, 1),
    R("add {s32|u32}", "w=ww", add_b32, ALU, 1),
    R("add {s64|u64}", "d=dd", add_b64, ALU, 2),
    R("add {u16x2|s16x2}", "w=ww", add_u16x2, ALU, 1),
    R("add sat s32", "w=ww", add_sat_s32, ALU, 2),
    R("sub {s16|u16}", "h=hh", sub_b16, ALU, 1),
    R("sub {s32|u32}", "w=ww", sub_b32, ALU, 1),
    R("sub {s64|u64}", "d=dd", sub_b64, ALU, 2),
    R("sub sat s32", "w=ww", sub_sat_s32, ALU, 2),
    R("add cc {s32|u32}", "w=ww", add_cc_b32, ALU, 1),
    R("addc ?cc {s32|u32}", "w=ww", addc_b32, ALU, 1),
    R("sub cc {s32|u32}", "w=ww", sub_cc_b32, ALU, 1),
    R("subc ?cc {s32|u32}", "w=ww", subc_b32, ALU, 1),
    R("add cc {s64|u64}", "d=dd", add_cc_b64, ALU, 2),
    R("addc ?cc {s64|u64}", "d=dd", addc_b64, ALU, 2),
    R("sub cc {s64|u64}", "d=dd", sub_cc_b64, ALU, 2),
    R("subc ?cc {s64|u64}", "d=dd", subc_b64, ALU, 2),
    R("mad {lo|hi} cc u32", "w=www", mad_cc_u32, FP32, 2),
    R("madc {lo|hi} ?cc u32", "w=www", mad_cc_u32, FP32, 2),
    R("mul lo {s16|u16}", "h=hh", mul_lo_b16, FP32, 1),
    R("mul lo {s32|u32}", "w=ww", mul_lo_b32, FP32, 1),
    R("mul lo {s64|u64}", "d=dd", mul_lo_b64, FP32, 4),
    R("mul hi s16", "h=hh", mul_hi_s16, FP32, 2),
    R("mul hi u16", "h=hh", mul_hi_u16, FP32, 2),
    R("mul hi s32", "w=ww", mul_hi_s32, FP32, 1),
    R("mul hi u32", "w=ww", mul_hi_u32, FP32, 1),
    R("mul hi s64", "d=dd", mul_hi_s64, FP32, 10),
    R("mul hi u64", "d=dd", mul_hi_u64, FP32, 8),
    R("mul wide s16", "w=hh", mul_wide_s16, FP32, 1),
    R("mul wide u16", "w=hh", mul_wide_u16, FP32, 1),
    R("mul wide s32", "d=ww", mul_wide_s32, FP32, 1),
    R("mul wide u32", "d=ww", mul_wide_u32, FP32, 1),
    R("mul24 lo s32", "w=ww", mul24_s32, FP32, 3),
    R("mul24 lo u32", "w=ww", mul24_u32, FP32, 3),
    R("mad24 lo s32", "w=www", mad24_s32, FP32, 3),
    R("mad24 lo u32", "w=www", mad24_u32, FP32, 3),
    R("mad lo {s16|u16}", "h=hhh", mad_lo_b16, FP32, 1),
    R("mad lo {s32|u32}", "w=www", mad_lo_b32, FP32, 1),
    R("mad lo {s64|u64}", "d=ddd", mad_lo_b64, FP32, 4),
    R("mad hi s32", "w=www", mad_hi_s32, FP32, 2),
    R("mad hi u32", "w=www", mad_hi_u32, FP32, 2),
    R("mad hi s64", "d=ddd", mad_hi_s64, FP32, 12),
    R("mad hi u64", "d=ddd", mad_hi_u64, FP32, 10),
    R("mad wide s16", "w=hhw", mad_wide_s16, FP32, 1),
    R("mad wide u16", "w=hhw", mad_wide_u16, FP32, 1),
    R("mad wide s32", "d=wwd", mad_wide_s32, FP32, 1),
    R("mad wide u32", "d=wwd", mad_wide_u32, FP32, 1),
    R("min s16", "h=hh", min_s16, ALU, 1),
    R("min u16", "h=hh", min_u16, ALU, 1),
    R("min s32", "w=ww", min_s32, ALU, 1),
    R("min u32", "w=ww", min_u32, ALU, 1),
    R("min s64", "d=dd", min_s64, ALU, 4),
    R("min u64", "d=dd", min_u64, ALU, 4),
    R("max s16", "h=hh", max_s16, ALU, 1),
    R("max u16", "h=hh", max_u16, ALU, 1),
    R("max s32", "w=ww", max_s32, ALU, 1),
    R("max u32", "w=ww", max_u32, ALU, 1),
    R("max s64", "d=dd", max_s64, ALU, 4),
    R("max u64", "d=dd", max_u64, ALU, 4),
    R("neg s16", "h=h", neg_b16, ALU, 1),
    R("neg s32", "w=w", neg_b32, ALU, 1),
    R("neg s64", "d=d", neg_b64, ALU, 2),
    R("abs s16", "h=h", abs_s16, ALU, 1),
    R("abs s32", "w=w", abs_s32, ALU, 1),
    R("abs s64", "d=d", abs_s64, ALU, 4),
    R("and b16", "h=hh", and_b16, ALU, 1),
    R("and b32", "w=ww", and_b32, ALU, 1),
    R("and b64", "d=dd", and_b64, ALU, 2),
    R("or b16", "h=hh", or_b16, ALU, 1),
    R("or b32", "w=ww", or_b32, ALU, 1),
    R("or b64", "d=dd", or_b64, ALU, 2),
    R("xor b16", "h=hh", xor_b16, ALU, 1),
    R("xor b32", "w=ww", xor_b32, ALU, 1),
    R("xor b64", "d=dd", xor_b64, ALU, 2),
    R("not b16", "h=h", not_b16, ALU, 1),
    R("not b32", "w=w", not_b32, ALU, 1),
    R("not b64", "d=d", not_b64, ALU, 2),
    R("cnot b16", "h=h", cnot_b16, ALU, 2),
    R("cnot b32", "w=w", cnot_b32, ALU, 2),
    R("cnot b64", "d=d", cnot_b64, ALU, 4),
    R("and pred", "p=pp", and_pred, ALU, 1),
    R("or pred", "p=pp", or_pred, ALU, 1),
    R("xor pred", "p=pp", xor_pred, ALU, 1),
    R("not pred", "p=p", not_pred, NONE, 0),
    R("shl b16", "h=hw", shl_b16, ALU, 1),
    R("shl b32", "w=ww", shl_b32, ALU, 1),
    R("shl b64", "d=dw", shl_b64, ALU, 2),
    R("shr {u16|b16}", "h=hw", shr_u16, ALU, 1),
    R("shr s16", "h=hw", shr_s16, ALU, 1),
    R("shr {u32|b32}", "w=ww", shr_u32, ALU, 1),
    R("shr s32", "w=ww", shr_s32, ALU, 1),
    R("shr {u64|b64}", "d=dw", shr_u64, ALU, 2),
    R("shr s64", "d=dw", shr_s64, ALU, 2),
    W("div s16", "h=hh", div_s16, ALU, 12, 2, XU),
    W("div u16", "h=hh", div_u16, ALU, 8, 2, XU),
    W("div s32", "w=ww", div_s32, ALU, 18, 2, XU),
    W("div u32", "w=ww", div_u32, ALU, 14, 2, XU),
    W("div s64", "d=dd", div_s64, ALU, 70, 3, XU),
    W("div u64", "d=dd", div_u64, ALU, 60, 3, XU),
    W("rem s16", "h=hh", rem_s16, ALU, 12, 2, XU),
    W("rem u16", "h=hh", rem_u16, ALU, 8, 2, XU),
    W("rem s32", "w=ww", rem_s32, ALU, 18, 2, XU),
    W("rem u32", "w=ww", rem_u32, ALU, 14, 2, XU),
    W("rem s64", "d=dd", rem_s64, ALU, 70, 3, XU),
    W("rem u64", "d=dd", rem_u64, ALU, 60, 3, XU),
    R("selp {b16|u16|s16}", "h=hhp", selp_b16, ALU, 1),
    R("selp {b32|u32|s32}", "w=wwp", selp_b32, ALU, 1),
    R("selp f32", "w=ffp", selp_b32, ALU, 1),
    R("selp {b64|u64|s64}", "d=ddp", selp_b64, ALU, 2),
    R("selp f64", "d=ggp", selp_b64, ALU, 2),
    R("slct {b32|u32|s32} s32", "w=www", slct_b32_s32, ALU, 2),
    R("slct f32 s32", "w=ffw", slct_b32_s32, ALU, 2),
    R("slct {b64|u64|s64} s32", "d=ddw", slct_b64_s32, ALU, 3),
    R("slct f64 s32", "d=ggw", slct_b64_s32, ALU, 3),
    R("slct ?ftz {b32|u32|s32} f32", "w=wwf", slct_b32_f32, ALU, 2),
    R("slct ?ftz f32 f32", "w=fff", slct_b32_f32, ALU, 2),
    R("slct ?ftz {b64|u64|s64} f32", "d=ddf", slct_b64_f32, ALU, 3),
    R("bfe u32", "w=www", bfe_u32, ALU, 2),
    R("bfe s32", "w=www", bfe_s32, ALU, 2),
    R("bfe u64", "d=dww", bfe_u64, ALU, 5),
    R("bfe s64", "d=dww", bfe_s64, ALU, 5),
    R("bfi b32", "w=wwww", bfi_b32, ALU, 3),
    R("bfi b64", "d=ddww", bfi_b64, ALU, 6),
    W("bfind ?shiftamt u32", "w=w", bfind_u32, XU, 1, 0, XU),
    W("bfind ?shiftamt s32", "w=w", bfind_s32, XU, 1, 0, XU),
    W("bfind ?shiftamt u64", "w=d", bfind_u64, XU, 2, 0, XU),
    W("bfind ?shiftamt s64", "w=d", bfind_s64, XU, 2, 0, XU),
    W("brev b32", "w=w", brev_b32, XU, 1, 0, XU),
    W("brev b64", "d=d", brev_b64, XU, 2, 0, XU),
    W("clz b32", "w=w", clz_b32, XU, 1, 0, XU),
    W("clz b64", "w=d", clz_b64, XU, 2, 0, XU),
    W("popc b32", "w=w", popc_b32, XU, 1, 0, XU),
    W("popc b64", "w=d", popc_b64, XU, 2, 0, XU),
    R("prmt b32 ?{f4e|b4e|rc8|ecl|ecr|rc16}", "w=www", prmt_b32, ALU, 1),
    R("lop3 b32", "w=wwwi", lop3_b32, ALU, 1),
    R("shf {l|r} {wrap|clamp} b32", "w=www", shf_b32, ALU, 1),
    R("sad s16", "h=hhh", sad_s16, ALU, 2),
    R("sad u16", "h=hhh", sad_u16, ALU, 2),
    R("sad s32", "w=www", sad_s32, ALU, 2),
    R("sad u32", "w=www", sad_u32, ALU, 2),
    R("cvt pack sat u8 s32 b32", "w=www", cvt_pack_u8, ALU, 2),
    R("cvt pack sat s8 s32 b32", "w=www", cvt_pack_s8, ALU, 2),
    R("cvt pack sat u16 s32", "w=ww", cvt_pack_u16, ALU, 2),
    R("cvt pack sat s16 s32", "w=ww", cvt_pack_s16, ALU, 2),
    R("min u16x2", "w=ww", min_u16x2, ALU, 1),
    R("max u16x2", "w=ww", max_u16x2, ALU, 1),
    R("min s16x2", "w=ww", min_s16x2, ALU, 1),
    R("max s16x2", "w=ww", max_s16x2, ALU, 1),
    R("min relu s16x2", "w=ww", min_relu_s16x2, ALU, 1),
    R("min s16x2 relu", "w=ww", min_relu_s16x2, ALU, 1),
    R("max relu s16x2", "w=ww", max_relu_s16x2, ALU, 1),
    R("max s16x2 relu", "w=ww", max_relu_s16x2, ALU, 1),
    R("min relu s32", "w=ww", min_relu_s32, ALU, 1),
    R("min s32 relu", "w=ww", min_relu_s32, ALU, 1),
    R("max relu s32", "w=ww", max_relu_s32, ALU, 1),
    R("max s32 relu", "w=ww", max_relu_s32, ALU, 1),
    R("vabsdiff4 u32 u32 u32", "w=www", vabsdiff4, ALU, 4),
    R("vabsdiff4 u32 u32 u32 add", "w=www", vabsdiff4_add, ALU, 5),
    R("vabsdiff2 u32 u32 u32", "w=www", vabsdiff2, ALU, 4),
    R("vabsdiff2 u32 u32 u32 add", "w=www", vabsdiff2_add, ALU, 5),
    R("dp4a {s32|u32} {s32|u32}", "w=www", dp4a, FP32, 1),
    R("dp2a {lo|hi} {s32|u32} {s32|u32}", "w=www", dp2a, FP32, 1),
    R("bmsk {clamp|wrap} b32", "w=ww", bmsk_b32, ALU, 1),
    R("szext {clamp|wrap} {s32|u32}", "w=ww", szext_b32, ALU, 1),
    R("fns b32", "w=www", fns_b32, ALU, 20),
};

static const row float_rows[] = {
    F("add ?{rn|rz|rm|rp} ?ftz ?sat f32", "w=ff", add_f32, add_ftz_f32, add_any_f32),
    F("sub ?{rn|rz|rm|rp} ?ftz ?sat f32", "w=ff", sub_f32, sub_ftz_f32, sub_any_f32),
    F("mul ?{rn|rz|rm|rp} ?ftz ?sat f32", "w=ff", mul_f32, mul_ftz_f32, mul_any_f32),
    W("add ?{rn|rz|rm|rp} ?ftz f32x2", "d=dd", add_f32x2, FP32, 2, 0, FP32),
    W("sub ?{rn|rz|rm|rp} ?ftz f32x2", "d=dd", sub_f32x2, FP32, 2, 0, FP32),
    W("mul ?{rn|rz|rm|rp} ?ftz f32x2", "d=dd", mul_f32x2, FP32, 2, 0, FP32),
    W("fma {rn|rz|rm|rp} ?ftz f32x2", "d=ddd", fma_f32x2, FP32, 2, 0, FP32),
    F("fma {rn|rz|rm|rp} ?ftz ?sat f32", "w=fff", fma_f32, fma_ftz_f32, fma_any_f32),
    F("mad {rn|rz|rm|rp} ?ftz ?sat f32", "w=fff", fma_f32, fma_ftz_f32, fma_any_f32),
    W("div {rn|rz|rm|rp} ?ftz f32", "w=ff", div_f32, FP32, 8, 1, XU),
    W("div {approx|full} ?ftz f32", "w=ff", div_approx_f32, FP32, 2, 1, XU),
    W("rcp {rn|rz|rm|rp} ?ftz f32", "w=f", rcp_f32, FP32, 6, 1, XU),
    W("rcp approx ?ftz f32", "w=f", rcp_approx_f32, XU, 1, 0, XU),
    W("sqrt {rn|rz|rm|rp} ?ftz f32", "w=f", sqrt_f32, FP32, 8, 1, XU),
    W("sqrt approx ?ftz f32", "w=f", sqrt_approx_f32, XU, 1, 0, XU),
    W("rsqrt approx ?ftz f32", "w=f", rsqrt_approx_f32, XU, 1, 0, XU),
    R("min ?ftz ?NaN f32", "w=ff", min_f32, ALU, 1),
    R("max ?ftz ?NaN f32", "w=ff", max_f32, ALU, 1),
    R("abs ?ftz f32", "w=f", abs_f32, ALU, 1),
    R("neg ?ftz f32", "w=f", neg_f32, ALU, 1),
    W("ex2 approx ?ftz f32", "w=f", ex2_f32, XU, 1, 0, XU),
    W("lg2 approx ?ftz f32", "w=f", lg2_f32, XU, 1, 0, XU),
    W("sin approx ?ftz f32", "w=f", sin_f32, XU, 1, 0, XU),
    W("cos approx ?ftz f32", "w=f", cos_f32, XU, 1, 0, XU),
    W("tanh approx f32", "w=f", tanh_f32, XU, 1, 0, XU),
    R("copysign f32", "w=ff", copysign_f32, ALU, 1),
    R("testp {finite|infinite|number|notanumber|normal|subnormal} f32", "p=f", testp_f32, ALU, 1),
    W("add ?{rn|rz|rm|rp} f64", "d=gg", add_f64, FP64, 1, 0, FP64),
    W("sub ?{rn|rz|rm|rp} f64", "d=gg", sub_f64, FP64, 1, 0, FP64),
    W("mul ?{rn|rz|rm|rp} f64", "d=gg", mul_f64, FP64, 1, 0, FP64),
    W("fma {rn|rz|rm|rp} f64", "d=ggg", fma_f64, FP64, 1, 0, FP64),
    W("mad {rn|rz|rm|rp} f64", "d=ggg", fma_f64, FP64, 1, 0, FP64),
    W("div {rn|rz|rm|rp} f64", "d=gg", div_f64, FP64, 9, 1, FP64),
    W("rcp {rn|rz|rm|rp} f64", "d=g", rcp_f64, FP64, 7, 1, FP64),
    W("sqrt {rn|rz|rm|rp} f64", "d=g", sqrt_f64, FP64, 9, 1, FP64),
    W("rcp approx ftz f64", "d=g", rcp_approx_f64, XU, 1, 0, XU),
    W("rsqrt approx ?ftz f64", "d=g", rsqrt_approx_f64, XU, 1, 0, XU),
    W("min f64", "d=gg", min_f64, FP64, 2, 0, FP64),
    W("max f64", "d=gg", max_f64, FP64, 2, 0, FP64),
    R("abs f64", "d=g", abs_f64, ALU, 1),
    R("neg f64", "d=g", neg_f64, ALU, 1),
    R("copysign f64", "d=gg", copysign_f64, ALU, 1),
    R("testp {finite|infinite|number|notanumber|normal|subnormal} f64", "p=g", testp_f64, ALU, 2),
};

static const row half_rows[] = {
    W("add ?rn ?ftz ?sat f16", "h=hh", add_f16, FP16, 1, 0, FP32),
    W("add ?rn ?ftz ?sat f16x2", "w=ww", add_f16, FP16, 1, 0, FP32),
    W("add ?rn bf16", "h=hh", add_bf16, FP16, 1, 0, FP32),
    W("add ?rn bf16x2", "w=ww", add_bf16, FP16, 1, 0, FP32),
    W("sub ?rn ?ftz ?sat f16", "h=hh", sub_f16, FP16, 1, 0, FP32),
    W("sub ?rn ?ftz ?sat f16x2", "w=ww", sub_f16, FP16, 1, 0, FP32),
    W("sub ?rn bf16", "h=hh", sub_bf16, FP16, 1, 0, FP32),
    W("sub ?rn bf16x2", "w=ww", sub_bf16, FP16, 1, 0, FP32),
    W("mul ?rn ?ftz ?sat f16", "h=hh", mul_f16, FP16, 1, 0, FP32),
    W("mul ?rn ?ftz ?sat f16x2", "w=ww", mul_f16, FP16, 1, 0, FP32),
    W("mul ?rn bf16", "h=hh", mul_bf16, FP16, 1, 0, FP32),
    W("mul ?rn bf16x2", "w=ww", mul_bf16, FP16, 1, 0, FP32),
    W("fma rn ?ftz ?{sat|relu} f16", "h=hhh", fma_f16, FP16, 1, 0, FP32),
    W("fma rn ?ftz ?{sat|relu} f16x2", "w=www", fma_f16, FP16, 1, 0, FP32),
    W("fma rn ?relu bf16", "h=hhh", fma_bf16, FP16, 1, 0, FP32),
    W("fma rn ?relu bf16x2", "w=www", fma_bf16, FP16, 1, 0, FP32),
    W("min ?ftz ?NaN f16", "h=hh", min_f16, ALU, 1, 0, ALU),
    W("min ?ftz ?NaN f16x2", "w=ww", min_f16, ALU, 1, 0, ALU),
    W("min ?NaN bf16", "h=hh", min_bf16, ALU, 1, 0, ALU),
    W("min ?NaN bf16x2", "w=ww", min_bf16, ALU, 1, 0, ALU),
    W("max ?ftz ?NaN f16", "h=hh", max_f16, ALU, 1, 0, ALU),
    W("max ?ftz ?NaN f16x2", "w=ww", max_f16, ALU, 1, 0, ALU),
    W("max ?NaN bf16", "h=hh", max_bf16, ALU, 1, 0, ALU),
    W("max ?NaN bf16x2", "w=ww", max_bf16, ALU, 1, 0, ALU),
    R("abs ?ftz f16", "h=h", abs_half, ALU, 1),
    R("abs ?ftz f16x2", "w=w", abs_half, ALU, 1),
    R("abs bf16", "h=h", abs_half, ALU, 1),
    R("abs bf16x2", "w=w", abs_half, ALU, 1),
    R("neg ?ftz f16", "h=h", neg_half, ALU, 1),
    R("neg ?ftz f16x2", "w=w", neg_half, ALU, 1),
    R("neg bf16", "h=h", neg_half, ALU, 1),
    R("neg bf16x2", "w=w", neg_half, ALU, 1),
    W("ex2 approx f16", "h=h", ex2_f16, XU, 1, 0, XU),
    W("ex2 approx f16x2", "w=w", ex2_f16, XU, 2, 0, XU),
    W("ex2 approx ftz bf16", "h=h", ex2_bf16, XU, 1, 0, XU),
    W("ex2 approx ftz bf16x2", "w=w", ex2_bf16, XU, 2, 0, XU),
    W("tanh approx f16", "h=h", tanh_f16, XU, 1, 0, XU),
    W("tanh approx f16x2", "w=w", tanh_f16, XU, 1, 0, XU),
    W("tanh approx bf16", "h=h", tanh_bf16, XU, 1, 0, XU),
    W("tanh approx bf16x2", "w=w", tanh_bf16, XU, 1, 0, XU),
};

static const row compare_rows[] = {
    R("setp %cmp ?%bool {s16|b16}", "P=hh?p", setp_s16, ALU, 1),
    R("setp %cmp ?%bool u16", "P=hh?p", setp_u16, ALU, 1),
    R("setp %cmp ?%bool {s32|b32}", "P=ww?p", setp_s32, ALU, 1),
    R("setp %cmp ?%bool u32", "P=ww?p", setp_u32, ALU, 1),
    R("setp %cmp ?%bool {s64|b64}", "P=dd?p", setp_s64, ALU, 2),
    R("setp %cmp ?%bool u64", "P=dd?p", setp_u64, ALU, 2),
    R("setp %cmp ?%bool ?ftz f32", "P=ff?p", setp_f32, ALU, 1),
    W("setp %cmp ?%bool f64", "P=gg?p", setp_f64, FP64, 1, 0, FP64),
    R("setp %cmp ?%bool ?ftz f16", "P=hh?p", setp_f16, ALU, 1),
    R("setp %cmp ?%bool bf16", "P=hh?p", setp_bf16, ALU, 1),
    R("setp %cmp ?%bool ?ftz f16x2", "P=ww?p", setp_half2, ALU, 1),
    R("setp %cmp ?%bool bf16x2", "P=ww?p", setp_half2, ALU, 1),
    R("set %cmp ?%bool {u32|s32|f32} {s16|b16}", "w=hh?p", set_s16, ALU, 1),
    R("set %cmp ?%bool {u32|s32|f32} u16", "w=hh?p", set_u16, ALU, 1),
    R("set %cmp ?%bool {u32|s32|f32} {s32|b32}", "w=ww?p", set_s32, ALU, 1),
    R("set %cmp ?%bool {u32|s32|f32} u32", "w=ww?p", set_u32, ALU, 1),
    R("set %cmp ?%bool {u32|s32|f32} {s64|b64}", "w=dd?p", set_s64, ALU, 2),
    R("set %cmp ?%bool {u32|s32|f32} u64", "w=dd?p", set_u64, ALU, 2),
    R("set %cmp ?%bool ?ftz {u32|s32|f32} f32", "w=ff?p", set_f32, ALU, 1),
    R("set %cmp ?%bool {u32|s32|f32} f64", "w=gg?p", set_f64, ALU, 2),
    R("set %cmp ?%bool ?ftz f16 f16", "h=hh?p", set_f16, ALU, 1),
    R("set %cmp ?%bool ?ftz {u16|s16} f16", "h=hh?p", set_f16, ALU, 1),
    R("set %cmp ?%bool ?ftz {u32|s32} f16", "w=hh?p", set_f16, ALU, 1),
    R("set %cmp ?%bool bf16 bf16", "h=hh?p", set_bf16, ALU, 1),
    R("set %cmp ?%bool {u16|s16} bf16", "h=hh?p", set_bf16, ALU, 1),
    R("set %cmp ?%bool {u32|s32} bf16", "w=hh?p", set_bf16, ALU, 1),
    R("set %cmp ?%bool ?ftz f16x2 f16x2", "w=ww", set_half2, ALU, 1),
    R("set %cmp ?%bool ?ftz {u32|s32} f16x2", "w=ww", set_half2, ALU, 1),
    R("set %cmp bf16x2 bf16x2", "w=ww", set_half2, ALU, 1),
    R("set %cmp {u32|s32} bf16x2", "w=ww", set_half2, ALU, 1),
};

static const struct {
    const row *rows;
    size_t count;
} tables[] = {
    {int_rows, sizeof int_rows / sizeof int_rows[0]},
    {float_rows, sizeof float_rows / sizeof float_rows[0]},
    {half_rows, sizeof half_rows / sizeof half_rows[0]},
    {compare_rows, sizeof compare_rows / sizeof compare_rows[0]},
};

/* What a matched segment sets in the instruction. */
static void note_segment(kds_decoder *d, const char *text, size_t len)
{
    static const struct {
        const char *name;
        uint8_t mods;
    } mods[] = {
        {"ftz", KDS_MOD_FTZ}, {"sat", KDS_MOD_SAT}, {"relu", KDS_MOD_RELU}, {"NaN", KDS_MOD_NAN}};
    static const char *const rounding[] = {"rn", "rz", "rm", "rp"};
    /* Choices that a handler reads from `combine`. */
    static const struct {
        const char *name;
        uint8_t value;
    } choices[] = {{"finite", 0}, {"infinite", 1},  {"number", 2},  {"notanumber", 3},
                   {"normal", 4}, {"subnormal", 5}, {"f4e", 1},     {"b4e", 2},
                   {"rc8", 3},    {"ecl", 4},       {"ecr", 5},     {"rc16", 6},
                   {"hi", 1},     {"clamp", 1},     {"shiftamt", 1}};
    for (size_t i = 0; i < sizeof mods / sizeof mods[0]; i++)
        if (strlen(mods[i].name) == len && memcmp(mods[i].name, text, len) == 0)
            d->ins.mods |= mods[i].mods;
    for (size_t i = 0; i < 4; i++)
        if (len == 2 && memcmp(rounding[i], text, 2) == 0)
            d->ins.rounding = (uint8_t)i;
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++)
        if (strlen(choices[i].name) == len && memcmp(choices[i].name, text, len) == 0)
            d->ins.combine = choices[i].value;
    if (len == 1 && text[0] == 'r')
        d->ins.compare = 1; /* shf.r */
    if (len == 2 && memcmp(text, "cc", 2) == 0)
        d->ins.compare = 1; /* writes the carry */
    kds_ptx_type t = kds_ptx_type_parse(text, len);
    if (t != KDS_PTX_NO_TYPE) {
        if (d->ins.type == KDS_PTX_NO_TYPE)
            d->ins.type = (uint8_t)t;
        d->ins.type2 = (uint8_t)t;
    }
}

/* Matches one alternative of "a|b|c" (or a lone word) at the segment at hand. */
static bool match_alternative(kds_decoder *d, const char *from, const char *end)
{
    if (d->at >= d->segment_count)
        return false;
    kds_ptx_name have = d->segments[d->at];
    while (from < end) {
        const char *bar = memchr(from, '|', (size_t)(end - from));
        size_t len = (size_t)((bar != NULL ? bar : end) - from);
        if (len == have.len && memcmp(from, have.text, len) == 0) {
            note_segment(d, from, len);
            d->at++;
            return true;
        }
        from += len + 1;
    }
    return false;
}

/* %cmp and %bool. "lo ls hi hs" are the unsigned spellings. */
static bool match_class(kds_decoder *d, const char *from)
{
    static const char *const compares[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                           "neu", "ltu", "leu", "gtu", "geu", "num", "nan",
                                           "lo",  "ls",  "hi",  "hs",  NULL};
    static const char *const combines[] = {"", "and", "or", "xor", NULL};
    if (from[1] == 'b') {
        int i = kds_accept_of(d, combines);
        if (i > 0)
            d->ins.combine = (uint8_t)i;
        return i > 0;
    }
    int i = kds_accept_of(d, compares);
    if (i < 0)
        return false;
    d->ins.compare = (uint8_t)(i > KDS_NAN ? KDS_LT + (i - KDS_NAN - 1) : i);
    return true;
}

static bool match_pattern(kds_decoder *d, const char *pattern)
{
    const char *s = strchr(pattern, ' ');
    kds_ptx_name base = d->segments[0];
    size_t base_len = s != NULL ? (size_t)(s - pattern) : strlen(pattern);
    if (base.len != base_len || memcmp(base.text, pattern, base_len) != 0)
        return false;
    d->at = 1;
    while (s != NULL) {
        const char *from = s + 1;
        s = strchr(from, ' ');
        const char *end = s != NULL ? s : from + strlen(from);
        bool optional = *from == '?';
        from += optional;
        bool matched;
        if (*from == '%')
            matched = match_class(d, from);
        else if (*from == '{')
            matched = match_alternative(d, from + 1, end - 1);
        else
            matched = match_alternative(d, from, end);
        if (!matched && !optional)
            return false;
    }
    return kds_all_read(d);
}

static int size_of_letter(char c)
{
    return c == 'h' ? 2 : c == 'w' || c == 'f' ? 4 : c == 'd' || c == 'g' ? 8 : 0;
}

static bool row_operands(kds_decoder *d, const char *signature)
{
    int at = 0, source = 0;
    int32_t *const sources[] = {&d->ins.a, &d->ins.b, &d->ins.c, &d->ins.x};
    bool results = true;
    for (const char *s = signature; *s != '\0'; s++) {
        if (*s == '=') {
            results = false;
        } else if (results) {
            if (!kds_define(d, at, size_of_letter(*s), &d->ins.d))
                return false;
            d->ins.result_bytes = (uint8_t)size_of_letter(*s);
            if (kds_operand(d, at)->piped) {
                if (*s != 'P' || !kds_define(d, ++at, 0, &d->ins.d2))
                    return kds_why(d, "a second result");
            }
            at++;
        } else if (*s == 'i') {
            if (!kds_immediate(d, at++, &d->ins.imm))
                return false;
        } else {
            if (*s == '?' && d->ins.combine == KDS_COMBINE_NONE)
                break;
            s += *s == '?';
            if (!kds_use(d, at++, size_of_letter(*s), *s == 'f' || *s == 'g', sources[source++]))
                return false;
        }
    }
    return at == kds_operand_count(d) || kds_why(d, "another number of operands");
}

/* Comparisons that a type does not have. */
static bool compare_fits(const kds_decoder *d)
{
    bool real = d->ins.type2 == KDS_PTX_F16 || d->ins.type2 == KDS_PTX_BF16 ||
                d->ins.type2 == KDS_PTX_F32 || d->ins.type2 == KDS_PTX_F64 ||
                d->ins.type2 == KDS_PTX_F16X2 || d->ins.type2 == KDS_PTX_BF16X2;
    bool bits =
        d->ins.type2 == KDS_PTX_B16 || d->ins.type2 == KDS_PTX_B32 || d->ins.type2 == KDS_PTX_B64;
    return real || d->ins.compare <= (bits ? KDS_NE : KDS_GE);
}

bool kds_decode_row(kds_decoder *d)
{
    const kds_ins blank = d->ins;
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            const row *r = &tables[t].rows[i];
            if (r->pattern[0] != d->segments[0].text[0])
                continue;
            d->ins = blank;
            if (!match_pattern(d, r->pattern))
                continue;
            if (tables[t].rows == compare_rows && !compare_fits(d))
                return false;
            kds_op op = r->op;
            if (r->any != KDS_OP_nop &&
                (d->ins.rounding != KDS_RN || (d->ins.mods & KDS_MOD_SAT) != 0))
                op = r->any;
            else if (r->ftz != KDS_OP_nop && (d->ins.mods & KDS_MOD_FTZ) != 0)
                op = r->ftz;
            kds_kind(d, op, r->pipe, r->weight, r->wait);
            d->ins.xu = r->xu;
            if (!row_operands(d, r->operands))
                return false;
            if (d->segments[0].len == 4 && memcmp(d->segments[0].text, "madc", 4) == 0)
                d->ins.rounding = 1; /* reads the carry */
            if (d->ins.result_bytes == 0 || r->op == KDS_OP_mad_cc_u32 ||
                (r->op >= KDS_OP_add_cc_b32 && r->op <= KDS_OP_subc_b64))
                d->ins.flags |= KDS_INS_OWN_MASK;
            return kds_emit(d);
        }
    return false;
}
