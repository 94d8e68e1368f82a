// LayerNorm of fp32 rows with the mapping of the upstream Triton kernel (docs/README.md): one program of 256 threads per
// row, which stays in registers between the passes for mean, variance and result; 128-bit accesses.
#include <cuda_runtime.h>

#pragma kda variant row4 when(N % 4 == 0 && N <= 16384)
#pragma kda define CHUNKS = ceil_div(N, 1024)
#pragma kda launch norm_row4(x, w, b, y, N, eps) grid(M) block(256)
#pragma kda variant any
#pragma kda define CHUNKS = 1
#pragma kda launch norm_any(x, w, b, y, N, eps) grid(M) block(512)

// The sum over a block, in every thread. `part` has room for 32; one barrier, so that two calls need two parts.
__device__ __forceinline__ float block_sum(float value, float *part)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = value;
    __syncthreads();
    value = threadIdx.x % 32 < blockDim.x / 32 ? part[threadIdx.x % 32] : 0.0f;
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

__device__ __forceinline__ float square(float v)
{
    return v * v;
}

__device__ __forceinline__ float affine(float v, float mean, float rstd, float w, float b)
{
    return fmaf((v - mean) * rstd, w, b);
}

__global__ void __launch_bounds__(256)
    norm_row4(const float *x, const float *w, const float *b, float *y, int N, float eps)
{
    __shared__ float part[2][32];
    const float4 *in = reinterpret_cast<const float4 *>(x + (size_t)blockIdx.x * N);
    float4 *out = reinterpret_cast<float4 *>(y + (size_t)blockIdx.x * N);
    float4 v[CHUNKS];
    float sum = 0.0f;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const int i = c * 256 + threadIdx.x;
        v[c] = i < N / 4 ? in[i] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        sum += (v[c].x + v[c].y) + (v[c].z + v[c].w);
    const float mean = block_sum(sum, part[0]) / N;
    sum = 0.0f;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const float4 d = make_float4(v[c].x - mean, v[c].y - mean, v[c].z - mean, v[c].w - mean);
        if (c * 256 + threadIdx.x < N / 4)
            sum += (square(d.x) + square(d.y)) + (square(d.z) + square(d.w));
    }
    const float rstd = 1.0f / sqrtf(block_sum(sum, part[1]) / N + eps);
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const int i = c * 256 + threadIdx.x;
        if (i >= N / 4)
            continue;
        const float4 g = reinterpret_cast<const float4 *>(w)[i], s = reinterpret_cast<const float4 *>(b)[i];
        out[i] = make_float4(affine(v[c].x, mean, rstd, g.x, s.x), affine(v[c].y, mean, rstd, g.y, s.y),
                             affine(v[c].z, mean, rstd, g.z, s.z), affine(v[c].w, mean, rstd, g.w, s.w));
    }
}

__global__ void __launch_bounds__(512)
    norm_any(const float *x, const float *w, const float *b, float *y, int N, float eps)
{
    __shared__ float part[2][32];
    const size_t base = (size_t)blockIdx.x * N;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < N; i += 512)
        sum += x[base + i];
    const float mean = block_sum(sum, part[0]) / N;
    sum = 0.0f;
    for (int i = threadIdx.x; i < N; i += 512)
        sum += square(x[base + i] - mean);
    const float rstd = 1.0f / sqrtf(block_sum(sum, part[1]) / N + eps);
    for (int i = threadIdx.x; i < N; i += 512)
        y[base + i] = affine(x[base + i], mean, rstd, w[i], b[i]);
}
