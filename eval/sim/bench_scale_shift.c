/* PTX of the simulator benchmark: bf16x2 y = x * a + b over columns. What NVRTC makes of it for
 * compute_90, white space folded. */
#include "eval/sim/bench_ptx.h"

const char *const kds_bench_scale_shift[] = {
    ".version 9.0 .target sm_90 .address_size 64 .visible .entry scale_shift(",
    ".param .u64 p0, .param .u64 p1, .param .u64 p2, .param .u64 p3, .param .u32 p4,",
    ".param .u32 p5 ) { .reg .pred %p<2>; .reg .b32 %r<12>; .reg .b64 %rd<15>;",
    "ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1]; ld.param.u64 %rd3, [p2];",
    "ld.param.u64 %rd4, [p3]; ld.param.u32 %r3, [p4]; ld.param.u32 %r2, [p5];",
    "mov.u32 %r4, %ctaid.x; mov.u32 %r5, %ntid.x; mov.u32 %r6, %tid.x;",
    "mad.lo.s32 %r1, %r4, %r5, %r6; setp.ge.s32 %p1, %r1, %r3; @%p1 bra $L_2;",
    "cvta.to.global.u64 %rd5, %rd1; mul.wide.s32 %rd6, %r1, 4; add.s64 %rd7, %rd5, %rd6;",
    "ld.global.nc.u32 %r8, [%rd7]; rem.s32 %r11, %r1, %r2; cvta.to.global.u64 %rd8, %rd2;",
    "mul.wide.s32 %rd9, %r11, 4; add.s64 %rd10, %rd8, %rd9;",
    "ld.global.nc.u32 %r9, [%rd10]; cvta.to.global.u64 %rd11, %rd3;",
    "add.s64 %rd12, %rd11, %rd9; ld.global.nc.u32 %r10, [%rd12];",
    "{fma.rn.bf16x2 %r7,%r8,%r9,%r10; } cvta.to.global.u64 %rd13, %rd4;",
    "add.s64 %rd14, %rd13, %rd6; st.global.u32 [%rd14], %r7; $L_2: ret; }",
    NULL,
};
