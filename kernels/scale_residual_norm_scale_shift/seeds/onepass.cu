// THREADS * ITEMS vectors of eight cover a row, whose sum stays packed in registers. Sum and squared distance to the row's
// first element come from one pass (the shifted form) and are reduced together: one barrier. LATE: res_out is stored with
// y, after the reduction, and not before it.
#include <cuda_bf16.h>

#pragma kda tune THREADS = 256, 128, 384, 512
#pragma kda tune LATE = 0, 1
#pragma kda tune HINT = 0, 1
#pragma kda variant block when(N % 8 == 0 && N <= 8192)
#pragma kda define ITEMS = ceil_div(N / 8, THREADS)
#pragma kda define GATE = gate_bytes
#pragma kda define AFFINE = affine
#pragma kda define MOD = mod_bytes
#pragma kda define COLUMN = mod_column
#pragma kda launch norm_block(residual, x, gate, w, b, scale, shift, y, res_out, N, gate_stride, mod_stride, eps) \
        grid(M) block(THREADS)
#pragma kda variant any
#pragma kda launch norm_any(residual, x, gate, w, b, scale, shift, y, res_out, M, N, gate_bytes, gate_stride, affine, \
        mod_bytes, mod_stride, mod_column, eps) grid(ceil_div(M, 4)) block(128)

#ifndef GATE
#define GATE 0
#define AFFINE 0
#define MOD 2
#define COLUMN 1
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

__device__ __forceinline__ void widen8(uint4 v, float *out)
{
    out[0] = low(v.x), out[1] = high(v.x), out[2] = low(v.y), out[3] = high(v.y);
    out[4] = low(v.z), out[5] = high(v.z), out[6] = low(v.w), out[7] = high(v.w);
}

// Eight elements from number i on, aligned; of a type of `bytes` bytes.
__device__ __forceinline__ void load8(const void *p, size_t i, int bytes, float *out)
{
    if (bytes == 2) {
        widen8(*reinterpret_cast<const uint4 *>(static_cast<const __nv_bfloat16 *>(p) + i), out);
    } else {
        const float4 *at = reinterpret_cast<const float4 *>(static_cast<const float *>(p) + i);
        *reinterpret_cast<float4 *>(out) = at[0];
        *reinterpret_cast<float4 *>(out + 4) = at[1];
    }
}

__device__ __forceinline__ float load1(const void *p, size_t i, int bytes)
{
    return bytes == 2 ? __bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i]) : static_cast<const float *>(p)[i];
}

__device__ __forceinline__ float warp_sum(float value)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

// The eight elements from `at` on of the residual plus the gated ones of x, rounded to bf16.
__device__ __forceinline__ uint4 gated8(const __nv_bfloat16 *residual, const __nv_bfloat16 *x, const void *gate,
                                        size_t at, size_t gate_at)
{
    float r[8], f[8], g[8];
    load8(residual, at, 2, r);
    load8(x, at, 2, f);
    if (GATE)
        load8(gate, gate_at, GATE, g);
#pragma unroll
    for (int k = 0; k < 8; k++)
        r[k] = GATE ? fmaf(g[k], f[k], r[k]) : r[k] + f[k];
    return make_uint4(pack(r[0], r[1]), pack(r[2], r[3]), pack(r[4], r[5]), pack(r[6], r[7]));
}

// Norm, affine and modulation of eight elements; `at` is their place in a row, `mod_at` in the modulation.
__device__ __forceinline__ uint4 finished8(const float *v, float mean, float rstd, const float *w, const float *b,
                                           const void *scale, const void *shift, int at, size_t mod_at)
{
    float s[8], t[8];
    unsigned int n[4], out[4];
    if (AFFINE) {
        load8(w, at, 4, s);
        load8(b, at, 4, t);
    }
#pragma unroll
    for (int k = 0; k < 4; k++) {
        const float one = (v[2 * k] - mean) * rstd, two = (v[2 * k + 1] - mean) * rstd;
        n[k] = AFFINE ? pack(fmaf(one, s[2 * k], t[2 * k]), fmaf(two, s[2 * k + 1], t[2 * k + 1])) : pack(one, two);
    }
    if (COLUMN) {
        load8(scale, mod_at, MOD, s);
        load8(shift, mod_at, MOD, t);
    } else {
        s[0] = load1(scale, 0, MOD);
        t[0] = load1(shift, 0, MOD);
    }
#pragma unroll
    for (int k = 0; k < 4; k++) {
        const int one = COLUMN ? 2 * k : 0, two = COLUMN ? 2 * k + 1 : 0;
        out[k] = pack(fmaf(low(n[k]), 1.0f + s[one], t[one]), fmaf(high(n[k]), 1.0f + s[two], t[two]));
    }
    return make_uint4(out[0], out[1], out[2], out[3]);
}

__device__ __forceinline__ void store(__nv_bfloat16 *p, uint4 v)
{
    if (HINT)
        __stcs(reinterpret_cast<uint4 *>(p), v);
    else
        *reinterpret_cast<uint4 *>(p) = v;
}

__global__ void __launch_bounds__(THREADS)
    norm_block(const __nv_bfloat16 *__restrict__ residual, const __nv_bfloat16 *__restrict__ x,
               const void *__restrict__ gate, const float *__restrict__ w, const float *__restrict__ b,
               const void *__restrict__ scale, const void *__restrict__ shift, __nv_bfloat16 *__restrict__ y,
               __nv_bfloat16 *__restrict__ res_out, int N, int gate_stride, int mod_stride, float eps)
{
    __shared__ float2 part[32];
    const size_t row = blockIdx.x;
    const float first = GATE ? load1(gate, row * gate_stride, GATE) : 1.0f;
    const float origin = fmaf(first, load1(x, row * N, 2), load1(residual, row * N, 2)); // near the mean is enough
    uint4 v[ITEMS];
    float f[8], sum = 0.0f, square = 0.0f;
#pragma unroll
    for (int c = 0; c < ITEMS; c++) {
        const int i = 8 * (c * THREADS + threadIdx.x);
        if (i < N)
            v[c] = gated8(residual, x, gate, row * N + i, row * gate_stride + i);
    }
#pragma unroll
    for (int c = 0; c < ITEMS; c++) {
        const int i = 8 * (c * THREADS + threadIdx.x);
        if (i >= N)
            continue;
        if (!LATE)
            store(res_out + row * N + i, v[c]);
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
        part[threadIdx.x / 32] = make_float2(sum, square);
    __syncthreads();
    const float2 got = threadIdx.x % 32 < THREADS / 32 ? part[threadIdx.x % 32] : make_float2(0.0f, 0.0f);
    const float about = warp_sum(got.x) / N;
    const float mean = origin + about, rstd = rsqrtf(fmaxf(warp_sum(got.y) / N - about * about, 0.0f) + eps);
#pragma unroll
    for (int c = 0; c < ITEMS; c++) {
        const int i = 8 * (c * THREADS + threadIdx.x);
        if (i >= N)
            continue;
        if (LATE)
            store(res_out + row * N + i, v[c]);
        widen8(v[c], f);
        store(y + row * N + i, finished8(f, mean, rstd, w, b, scale, shift, i, row * mod_stride + i));
    }
}

// One warp per row of any length and layout; each lane reads again what it stored.
__global__ void __launch_bounds__(128)
    norm_any(const __nv_bfloat16 *residual, const __nv_bfloat16 *x, const void *gate, const float *w, const float *b,
             const void *scale, const void *shift, __nv_bfloat16 *y, __nv_bfloat16 *res_out, int M, int N,
             int gate_bytes, int gate_stride, int affine, int mod_bytes, int mod_stride, int mod_column, float eps)
{
    const size_t row = (size_t)blockIdx.x * 4 + threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    if (row >= M)
        return;
    float sum = 0.0f, square = 0.0f;
    for (int i = lane; i < N; i += 32) {
        const float g = gate_bytes ? load1(gate, row * gate_stride + i, gate_bytes) : 1.0f;
        const float r = fmaf(g, load1(x, row * N + i, 2), load1(residual, row * N + i, 2));
        res_out[row * N + i] = __float2bfloat16_rn(r);
        sum += load1(res_out, row * N + i, 2);
    }
    const float mean = warp_sum(sum) / N;
    for (int i = lane; i < N; i += 32) {
        const float v = load1(res_out, row * N + i, 2) - mean;
        square = fmaf(v, v, square);
    }
    const float rstd = rsqrtf(warp_sum(square) / N + eps);
    for (int i = lane; i < N; i += 32) {
        float n = (load1(res_out, row * N + i, 2) - mean) * rstd;
        if (affine)
            n = fmaf(n, w[i], b[i]);
        n = __bfloat162float(__float2bfloat16_rn(n));
        const size_t at = row * mod_stride + (size_t)i * mod_column;
        y[row * N + i] = __float2bfloat16_rn(fmaf(n, 1.0f + load1(scale, at, mod_bytes), load1(shift, at, mod_bytes)));
    }
}
