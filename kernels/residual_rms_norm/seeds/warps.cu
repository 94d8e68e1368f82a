// One warp per row, compiled for its length: no barrier, the whole row in the lanes' registers (ITEMS vectors each).
#include <cuda_bf16.h>

#pragma kda tune WARPS = 4, 2, 8
#pragma kda tune HINT = 0, 1
#pragma kda variant row when(N % 8 == 0 && N <= 4096)
#pragma kda define ITEMS = ceil_div(N, 256)
#pragma kda launch add_norm_warp(x, h, w, y, M, N, eps) grid(ceil_div(M, WARPS)) block(32 * WARPS)
#pragma kda variant any
#pragma kda launch add_norm_any(x, h, w, y, M, N, eps) grid(ceil_div(M, WARPS)) block(32 * WARPS)

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

__global__ void __launch_bounds__(32 * WARPS)
    add_norm_warp(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *__restrict__ h,
                  const __nv_bfloat16 *__restrict__ w, __nv_bfloat16 *__restrict__ y, int M, int N, float eps)
{
    const int row = blockIdx.x * WARPS + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= M)
        return;
    const uint4 *in = reinterpret_cast<const uint4 *>(x + (size_t)row * N);
    uint4 *stream = reinterpret_cast<uint4 *>(h + (size_t)row * N), *out = reinterpret_cast<uint4 *>(y + (size_t)row * N);
    unsigned int v[ITEMS][4];
    float sum = 0.0f;
#pragma unroll
    for (int c = 0; c < ITEMS; c++) {
        const int i = c * 32 + lane;
        uint4 a = make_uint4(0, 0, 0, 0), b = a;
        if (i < N / 8) {
            a = HINT ? __ldcs(in + i) : in[i];
            b = stream[i];
        }
        v[c][0] = pack(low(a.x) + low(b.x), high(a.x) + high(b.x));
        v[c][1] = pack(low(a.y) + low(b.y), high(a.y) + high(b.y));
        v[c][2] = pack(low(a.z) + low(b.z), high(a.z) + high(b.z));
        v[c][3] = pack(low(a.w) + low(b.w), high(a.w) + high(b.w));
        if (i < N / 8)
            stream[i] = make_uint4(v[c][0], v[c][1], v[c][2], v[c][3]);
#pragma unroll
        for (int k = 0; k < 4; k++)
            sum = fmaf(low(v[c][k]), low(v[c][k]), fmaf(high(v[c][k]), high(v[c][k]), sum));
    }
    const float scale = rsqrtf(warp_sum(sum) / N + eps);
#pragma unroll
    for (int c = 0; c < ITEMS; c++) {
        const int i = c * 32 + lane;
        if (i >= N / 8)
            continue;
        const uint4 g = reinterpret_cast<const uint4 *>(w)[i];
        const unsigned int weight[4] = {g.x, g.y, g.z, g.w};
        unsigned int r[4];
#pragma unroll
        for (int k = 0; k < 4; k++)
            r[k] = pack(low(v[c][k]) * scale * low(weight[k]), high(v[c][k]) * scale * high(weight[k]));
        out[i] = make_uint4(r[0], r[1], r[2], r[3]);
    }
}

__global__ void __launch_bounds__(32 * WARPS)
    add_norm_any(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *h, const __nv_bfloat16 *__restrict__ w,
                 __nv_bfloat16 *__restrict__ y, int M, int N, float eps)
{
    const size_t row = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    if (row >= M)
        return;
    float sum = 0.0f;
    for (int i = threadIdx.x % 32; i < N; i += 32) {
        const __nv_bfloat16 v =
            __float2bfloat16_rn(__bfloat162float(h[row * N + i]) + __bfloat162float(x[row * N + i]));
        h[row * N + i] = v;
        sum = fmaf(__bfloat162float(v), __bfloat162float(v), sum);
    }
    const float scale = rsqrtf(warp_sum(sum) / N + eps);
    for (int i = threadIdx.x % 32; i < N; i += 32)
        y[row * N + i] = __float2bfloat16_rn(__bfloat162float(h[row * N + i]) * scale * __bfloat162float(w[i]));
}
