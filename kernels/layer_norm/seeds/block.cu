// One block of THREADS per row, the row in registers. EARLY: weight and bias are loaded with the row, before the
// reductions, and held.
#include <cuda_runtime.h>

#pragma kda tune THREADS = 512, 256, 640, 1024
#pragma kda tune EARLY = 0, 1
#pragma kda tune HINT = 0, 1, 2
#pragma kda variant row4 when(N % 4 == 0 && N <= 16384)
#pragma kda define CHUNKS = ceil_div(N / 4, THREADS)
#pragma kda launch norm_block(x, w, b, y, N, eps) grid(M) block(THREADS)
#pragma kda variant any
#pragma kda define CHUNKS = 1
#pragma kda launch norm_any(x, w, b, y, N, eps) grid(M) block(THREADS)

// HINT 0: no hint. 1: x and y are evicted first. 2: only y is.
__device__ __forceinline__ float4 load(const float4 *p)
{
    return HINT == 1 ? __ldcs(p) : *p;
}

__device__ __forceinline__ float warp_sum(float value)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

__device__ __forceinline__ float block_sum(float value, float *part)
{
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = value;
    __syncthreads();
    return warp_sum(threadIdx.x % 32 < THREADS / 32 ? part[threadIdx.x % 32] : 0.0f);
}

__device__ __forceinline__ float affine(float v, float mean, float rstd, float w, float b)
{
    return fmaf((v - mean) * rstd, w, b);
}

__global__ void __launch_bounds__(THREADS)
    norm_block(const float *__restrict__ x, const float *__restrict__ w, const float *__restrict__ b,
               float *__restrict__ y, int N, float eps)
{
    __shared__ float part[2][32];
    const float4 *in = reinterpret_cast<const float4 *>(x + (size_t)blockIdx.x * N);
    const float4 *weight = reinterpret_cast<const float4 *>(w), *bias = reinterpret_cast<const float4 *>(b);
    float4 *out = reinterpret_cast<float4 *>(y + (size_t)blockIdx.x * N);
    float4 v[CHUNKS], g[CHUNKS], s[CHUNKS];
    float sum = 0.0f;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const int i = c * THREADS + threadIdx.x;
        v[c] = g[c] = s[c] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (i < N / 4) {
            v[c] = load(in + i);
            if (EARLY) {
                g[c] = weight[i];
                s[c] = bias[i];
            }
        }
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        sum += (v[c].x + v[c].y) + (v[c].z + v[c].w);
    const float mean = block_sum(sum, part[0]) / N;
    sum = 0.0f;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        if (c * THREADS + threadIdx.x >= N / 4)
            continue;
        sum = fmaf(v[c].x - mean, v[c].x - mean, sum);
        sum = fmaf(v[c].y - mean, v[c].y - mean, sum);
        sum = fmaf(v[c].z - mean, v[c].z - mean, sum);
        sum = fmaf(v[c].w - mean, v[c].w - mean, sum);
    }
    const float rstd = rsqrtf(block_sum(sum, part[1]) / N + eps);
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const int i = c * THREADS + threadIdx.x;
        if (i >= N / 4)
            continue;
        if (!EARLY) {
            g[c] = weight[i];
            s[c] = bias[i];
        }
        const float4 r = make_float4(
            affine(v[c].x, mean, rstd, g[c].x, s[c].x), affine(v[c].y, mean, rstd, g[c].y, s[c].y),
            affine(v[c].z, mean, rstd, g[c].z, s[c].z), affine(v[c].w, mean, rstd, g[c].w, s[c].w));
        if (HINT == 0)
            out[i] = r;
        else
            __stcs(out + i, r);
    }
}

// A row of any length, read three times.
__global__ void __launch_bounds__(THREADS)
    norm_any(const float *__restrict__ x, const float *__restrict__ w, const float *__restrict__ b,
             float *__restrict__ y, int N, float eps)
{
    __shared__ float part[2][32];
    const size_t base = (size_t)blockIdx.x * N;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < N; i += THREADS)
        sum += x[base + i];
    const float mean = block_sum(sum, part[0]) / N;
    sum = 0.0f;
    for (int i = threadIdx.x; i < N; i += THREADS)
        sum = fmaf(x[base + i] - mean, x[base + i] - mean, sum);
    const float rstd = rsqrtf(block_sum(sum, part[1]) / N + eps);
    for (int i = threadIdx.x; i < N; i += THREADS)
        y[base + i] = affine(x[base + i], mean, rstd, w[i], b[i]);
}
