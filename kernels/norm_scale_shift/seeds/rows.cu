// THREADS * ITEMS vectors of eight cover a row, which stays packed in registers; a block takes ROWS rows in turn. Sum and
// squared distance to the row's first element come from one pass (the shifted form) and are reduced together: one barrier.
// EARLY: a per-token modulation is loaded before the reduction.
#include <cuda_bf16.h>

#pragma kda tune THREADS = 256, 128, 384, 512
#pragma kda tune ROWS = 1, 2, 4
#pragma kda tune EARLY = 0, 1
#pragma kda tune HINT = 0, 1
#pragma kda variant bf16_rows when(mod_bytes == 2 && N % 8 == 0 && N <= 8192)
#pragma kda define ITEMS = ceil_div(N / 8, THREADS)
#pragma kda launch norm_rows<__nv_bfloat16>(x, scale, shift, y, M, N, mod_stride, eps) \
        grid(ceil_div(M, ROWS)) block(THREADS)
#pragma kda variant f32_rows when(N % 8 == 0 && N <= 8192)
#pragma kda define ITEMS = ceil_div(N / 8, THREADS)
#pragma kda launch norm_rows<float>(x, scale, shift, y, M, N, mod_stride, eps) grid(ceil_div(M, ROWS)) block(THREADS)
#pragma kda variant bf16_any when(mod_bytes == 2)
#pragma kda define ITEMS = 1
#pragma kda launch norm_any<__nv_bfloat16>(x, scale, shift, y, M, N, mod_stride, eps) grid(ceil_div(M, 4)) block(128)
#pragma kda variant f32_any
#pragma kda define ITEMS = 1
#pragma kda launch norm_any<float>(x, scale, shift, y, M, N, mod_stride, eps) grid(ceil_div(M, 4)) block(128)

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

template <typename Mod>
__global__ void __launch_bounds__(THREADS)
    norm_rows(const __nv_bfloat16 *__restrict__ x, const void *__restrict__ scale, const void *__restrict__ shift,
              __nv_bfloat16 *__restrict__ y, int M, int N, int mod_stride, float eps)
{
    constexpr bool HELD = EARLY && sizeof(Mod) == 2;
    __shared__ float2 part[2][32];
    for (int r = 0; r < ROWS && blockIdx.x * ROWS + r < M; r++) {
        const size_t row = (size_t)blockIdx.x * ROWS + r;
        const float origin = widen(x[row * N]);
        const Mod *mods = static_cast<const Mod *>(scale) + row * mod_stride;
        const Mod *adds = static_cast<const Mod *>(shift) + row * mod_stride;
        uint4 v[ITEMS], s[ITEMS], t[ITEMS];
        float sum = 0.0f, square = 0.0f;
#pragma unroll
        for (int c = 0; c < ITEMS; c++) {
            const int i = 8 * (c * THREADS + threadIdx.x);
            if (i >= N)
                continue;
            const uint4 *in = reinterpret_cast<const uint4 *>(x + row * N + i);
            v[c] = HINT ? __ldcs(in) : *in;
            if (HELD) {
                s[c] = *reinterpret_cast<const uint4 *>(mods + i);
                t[c] = *reinterpret_cast<const uint4 *>(adds + i);
            }
        }
#pragma unroll
        for (int c = 0; c < ITEMS; c++) {
            if (8 * (c * THREADS + threadIdx.x) >= N)
                continue;
            float f[8];
            widen8(v[c], f);
#pragma unroll
            for (int k = 0; k < 8; k++) {
                sum += f[k] - origin;
                square = fmaf(f[k] - origin, f[k] - origin, square);
            }
        }
        sum = warp_sum(sum);
        square = warp_sum(square);
        if (threadIdx.x % 32 == 0)
            part[r % 2][threadIdx.x / 32] = make_float2(sum, square);
        __syncthreads(); // two parts in turn: no second barrier
        const float2 got = threadIdx.x % 32 < THREADS / 32 ? part[r % 2][threadIdx.x % 32] : make_float2(0.0f, 0.0f);
        const float about = warp_sum(got.x) / N;
        const float variance = fmaxf(warp_sum(got.y) / N - about * about, 0.0f);
        const float mean = origin + about, rstd = rsqrtf(variance + eps);
#pragma unroll
        for (int c = 0; c < ITEMS; c++) {
            const int i = 8 * (c * THREADS + threadIdx.x);
            if (i >= N)
                continue;
            float f[8], a[8], b[8];
            widen8(v[c], f);
            if (HELD) {
                widen8(s[c], a);
                widen8(t[c], b);
            } else {
                load8(mods + i, a);
                load8(adds + i, b);
            }
            uint4 *out = reinterpret_cast<uint4 *>(y + row * N + i);
            if (HINT)
                __stcs(out, modulated8(f, mean, rstd, a, b));
            else
                *out = modulated8(f, mean, rstd, a, b);
        }
    }
}

// One warp per row of any length, read three times.
template <typename Mod>
__global__ void __launch_bounds__(128)
    norm_any(const __nv_bfloat16 *__restrict__ x, const void *__restrict__ scale, const void *__restrict__ shift,
             __nv_bfloat16 *__restrict__ y, int M, int N, int mod_stride, float eps)
{
    const size_t row = (size_t)blockIdx.x * (128 / 32) + threadIdx.x / 32;
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
