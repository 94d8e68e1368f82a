// One warp per row: no barrier, the row packed in the lanes' registers, ITEMS vectors of eight each; mean and variance by
// shuffles.
#include <cuda_bf16.h>

#pragma kda tune WARPS = 4, 2, 1, 8
#pragma kda tune HINT = 0, 1, 2
#pragma kda variant bf16_warp when(mod_bytes == 2 && N % 8 == 0 && N <= 5120)
#pragma kda define ITEMS = ceil_div(N, 256)
#pragma kda launch norm_warp<__nv_bfloat16>(x, scale, shift, y, M, N, mod_stride, eps) \
        grid(ceil_div(M, WARPS)) block(32 * WARPS)
#pragma kda variant f32_warp when(N % 8 == 0 && N <= 5120)
#pragma kda define ITEMS = ceil_div(N, 256)
#pragma kda launch norm_warp<float>(x, scale, shift, y, M, N, mod_stride, eps) \
        grid(ceil_div(M, WARPS)) block(32 * WARPS)
#pragma kda variant bf16_any when(mod_bytes == 2)
#pragma kda define ITEMS = 1
#pragma kda launch norm_any<__nv_bfloat16>(x, scale, shift, y, M, N, mod_stride, eps) \
        grid(ceil_div(M, WARPS)) block(32 * WARPS)
#pragma kda variant f32_any
#pragma kda define ITEMS = 1
#pragma kda launch norm_any<float>(x, scale, shift, y, M, N, mod_stride, eps) grid(ceil_div(M, WARPS)) block(32 * WARPS)

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

__device__ __forceinline__ float widen(__nv_bfloat16 v)
{
    return __bfloat162float(v);
}

__device__ __forceinline__ float widen(float v)
{
    return v;
}

__device__ __forceinline__ void widen8(uint4 v, float *out)
{
    out[0] = low(v.x), out[1] = high(v.x), out[2] = low(v.y), out[3] = high(v.y);
    out[4] = low(v.z), out[5] = high(v.z), out[6] = low(v.w), out[7] = high(v.w);
}

__device__ __forceinline__ void load8(const __nv_bfloat16 *p, float *out)
{
    widen8(*reinterpret_cast<const uint4 *>(p), out);
}

__device__ __forceinline__ void load8(const float *p, float *out)
{
    *reinterpret_cast<float4 *>(out) = reinterpret_cast<const float4 *>(p)[0];
    *reinterpret_cast<float4 *>(out + 4) = reinterpret_cast<const float4 *>(p)[1];
}

__device__ __forceinline__ float warp_sum(float value)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

__device__ __forceinline__ float sum8(const float *v)
{
    return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
}

__device__ __forceinline__ float squares8(const float *v, float mean)
{
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < 8; k++)
        sum = fmaf(v[k] - mean, v[k] - mean, sum);
    return sum;
}

// Eight elements: the norm is rounded to bf16, then scaled and shifted.
__device__ __forceinline__ uint4 modulated8(const float *v, float mean, float rstd, const float *scale,
                                            const float *shift)
{
    unsigned int out[4];
#pragma unroll
    for (int k = 0; k < 4; k++) {
        const unsigned int n = pack((v[2 * k] - mean) * rstd, (v[2 * k + 1] - mean) * rstd);
        out[k] = pack(fmaf(low(n), 1.0f + scale[2 * k], shift[2 * k]),
                      fmaf(high(n), 1.0f + scale[2 * k + 1], shift[2 * k + 1]));
    }
    return make_uint4(out[0], out[1], out[2], out[3]);
}

// HINT 0: no hint. 1: x and y are evicted first. 2: only y is.
template <typename Mod>
__global__ void __launch_bounds__(32 * WARPS)
    norm_warp(const __nv_bfloat16 *__restrict__ x, const void *__restrict__ scale, const void *__restrict__ shift,
              __nv_bfloat16 *__restrict__ y, int M, int N, int mod_stride, float eps)
{
    const size_t row = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    if (row >= M)
        return;
    const uint4 *in = reinterpret_cast<const uint4 *>(x + row * N);
    uint4 *out = reinterpret_cast<uint4 *>(y + row * N);
    uint4 v[ITEMS];
    float f[8], sum = 0.0f, square = 0.0f;
#pragma unroll
    for (int c = 0; c < ITEMS; c++) {
        v[c] = make_uint4(0, 0, 0, 0);
        if (c * 32 + lane < N / 8)
            v[c] = HINT == 1 ? __ldcs(in + c * 32 + lane) : in[c * 32 + lane];
    }
#pragma unroll
    for (int c = 0; c < ITEMS; c++) {
        widen8(v[c], f);
        sum += sum8(f);
    }
    const float mean = warp_sum(sum) / N;
#pragma unroll
    for (int c = 0; c < ITEMS; c++) {
        widen8(v[c], f);
        square += c * 32 + lane < N / 8 ? squares8(f, mean) : 0.0f;
    }
    const float rstd = rsqrtf(warp_sum(square) / N + eps);
#pragma unroll
    for (int c = 0; c < ITEMS; c++) {
        const int i = c * 32 + lane;
        if (i >= N / 8)
            continue;
        float s[8], t[8];
        widen8(v[c], f);
        load8(static_cast<const Mod *>(scale) + row * mod_stride + 8 * i, s);
        load8(static_cast<const Mod *>(shift) + row * mod_stride + 8 * i, t);
        if (HINT)
            __stcs(out + i, modulated8(f, mean, rstd, s, t));
        else
            out[i] = modulated8(f, mean, rstd, s, t);
    }
}

// One warp per row of any length, read three times.
template <typename Mod>
__global__ void __launch_bounds__(32 * WARPS)
    norm_any(const __nv_bfloat16 *__restrict__ x, const void *__restrict__ scale, const void *__restrict__ shift,
             __nv_bfloat16 *__restrict__ y, int M, int N, int mod_stride, float eps)
{
    const size_t row = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    if (row >= M)
        return;
    float sum = 0.0f, square = 0.0f;
    for (int i = threadIdx.x % 32; i < N; i += 32)
        sum += widen(x[row * N + i]);
    const float mean = warp_sum(sum) / N;
    for (int i = threadIdx.x % 32; i < N; i += 32)
        square = fmaf(widen(x[row * N + i]) - mean, widen(x[row * N + i]) - mean, square);
    const float rstd = rsqrtf(warp_sum(square) / N + eps);
    for (int i = threadIdx.x % 32; i < N; i += 32) {
        const float n = widen(__float2bfloat16_rn((widen(x[row * N + i]) - mean) * rstd));
        const float s = widen(static_cast<const Mod *>(scale)[row * mod_stride + i]);
        y[row * N + i] =
            __float2bfloat16_rn(fmaf(n, 1.0f + s, widen(static_cast<const Mod *>(shift)[row * mod_stride + i])));
    }
}
