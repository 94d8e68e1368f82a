// One warp per row: no barrier, the row in the lanes' registers, ITEMS vectors of eight each. FAST: tanh by the hardware's
// approximation (tanh.approx.f32, 2^-11 relative).
#include <cuda_bf16.h>

#pragma kda tune WARPS = 4, 2, 8
#pragma kda tune FAST = 0, 1
#pragma kda tune HINT = 0, 1
#pragma kda variant row when(N % 8 == 0 && N <= 4096)
#pragma kda define ITEMS = ceil_div(N, 256)
#pragma kda launch gate_warp(x, w, scale, shift, y, M, N, scale_stride, shift_stride, eps) \
        grid(ceil_div(M, WARPS)) block(32 * WARPS)
#pragma kda variant any
#pragma kda launch gate_any(x, w, scale, shift, y, M, N, scale_stride, shift_stride, eps) \
        grid(ceil_div(M, WARPS)) block(32 * WARPS)

#ifndef ITEMS
#define ITEMS 1
#endif

__device__ __forceinline__ float low(unsigned int pair)
{
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high(unsigned int pair)
{
    return __uint_as_float(pair & 0xffff0000u);
}

__device__ __forceinline__ unsigned int pack(float a, float b)
{
    const __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
    return *reinterpret_cast<const unsigned int *>(&pair);
}

__device__ __forceinline__ float warp_sum(float value)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

__device__ __forceinline__ float squares(unsigned int v, float sum)
{
    return fmaf(low(v), low(v), fmaf(high(v), high(v), sum));
}

__device__ __forceinline__ float gate_of(float scale)
{
#if FAST
    float gate;
    asm("tanh.approx.f32 %0, %1;" : "=f"(gate) : "f"(scale));
    return gate;
#else
    return tanhf(scale);
#endif
}

__device__ __forceinline__ unsigned int gated(unsigned int v, float rstd, unsigned int w, unsigned int scale,
                                              unsigned int shift)
{
    const unsigned int n = pack(low(v) * rstd * low(w), high(v) * rstd * high(w));
    return pack(fmaf(low(n), gate_of(low(scale)), low(shift)), fmaf(high(n), gate_of(high(scale)), high(shift)));
}

__global__ void __launch_bounds__(32 * WARPS)
    gate_warp(const __nv_bfloat16 *__restrict__ x, const __nv_bfloat16 *__restrict__ w,
              const __nv_bfloat16 *__restrict__ scale, const __nv_bfloat16 *__restrict__ shift,
              __nv_bfloat16 *__restrict__ y, int M, int N, int scale_stride, int shift_stride, float eps)
{
    const size_t row = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    if (row >= M)
        return;
    const uint4 *in = reinterpret_cast<const uint4 *>(x + row * N);
    const uint4 *s = reinterpret_cast<const uint4 *>(scale + row * scale_stride);
    const uint4 *t = reinterpret_cast<const uint4 *>(shift + row * shift_stride);
    uint4 *out = reinterpret_cast<uint4 *>(y + row * N);
    uint4 v[ITEMS];
    float sum = 0.0f;
#pragma unroll
    for (int c = 0; c < ITEMS; c++) {
        const int i = c * 32 + lane;
        v[c] = make_uint4(0, 0, 0, 0);
        if (i < N / 8)
            v[c] = HINT ? __ldcs(in + i) : in[i];
    }
#pragma unroll
    for (int c = 0; c < ITEMS; c++)
        sum = squares(v[c].x, squares(v[c].y, squares(v[c].z, squares(v[c].w, sum))));
    const float rstd = rsqrtf(warp_sum(sum) / N + eps);
#pragma unroll
    for (int c = 0; c < ITEMS; c++) {
        const int i = c * 32 + lane;
        if (i >= N / 8)
            continue;
        const uint4 g = reinterpret_cast<const uint4 *>(w)[i], a = s[i], b = HINT ? __ldcs(t + i) : t[i];
        const uint4 o = make_uint4(gated(v[c].x, rstd, g.x, a.x, b.x), gated(v[c].y, rstd, g.y, a.y, b.y),
                                   gated(v[c].z, rstd, g.z, a.z, b.z), gated(v[c].w, rstd, g.w, a.w, b.w));
        if (HINT)
            __stcs(out + i, o);
        else
            out[i] = o;
    }
}

// One warp per row of any length.
__global__ void __launch_bounds__(32 * WARPS)
    gate_any(const __nv_bfloat16 *__restrict__ x, const __nv_bfloat16 *__restrict__ w,
             const __nv_bfloat16 *__restrict__ scale, const __nv_bfloat16 *__restrict__ shift,
             __nv_bfloat16 *__restrict__ y, int M, int N, int scale_stride, int shift_stride, float eps)
{
    const size_t row = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    if (row >= M)
        return;
    float sum = 0.0f;
    for (int i = threadIdx.x % 32; i < N; i += 32) {
        const float v = __bfloat162float(x[row * N + i]);
        sum = fmaf(v, v, sum);
    }
    const float rstd = rsqrtf(warp_sum(sum) / N + eps);
    for (int i = threadIdx.x % 32; i < N; i += 32) {
        const __nv_bfloat16 n =
            __float2bfloat16_rn(__bfloat162float(x[row * N + i]) * rstd * __bfloat162float(w[i]));
        y[row * N + i] =
            __float2bfloat16_rn(fmaf(__bfloat162float(n), gate_of(__bfloat162float(scale[row * scale_stride + i])),
                                     __bfloat162float(shift[row * shift_stride + i])));
    }
}
