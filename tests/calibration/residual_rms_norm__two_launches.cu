// The addition and the norm as two launches of plain kernels: the stream is read again from memory.
#include <cuda_bf16.h>

#pragma kda variant pairs when(M * N % 2 == 0)
#pragma kda launch add_pairs(x, h, M * N / 2) grid(ceil_div(M * N / 2, 256)) block(256)
#pragma kda launch norm_rows(h, w, y, N, eps) grid(M) block(256)
#pragma kda variant any
#pragma kda launch add_single(x, h, M * N) grid(ceil_div(M * N, 256)) block(256)
#pragma kda launch norm_rows(h, w, y, N, eps) grid(M) block(256)

__global__ void __launch_bounds__(256) add_pairs(const __nv_bfloat162 *x, __nv_bfloat162 *h, long long total)
{
    const long long i = blockIdx.x * 256ll + threadIdx.x;
    if (i >= total)
        return;
    const float2 a = __bfloat1622float2(x[i]), b = __bfloat1622float2(h[i]);
    h[i] = __floats2bfloat162_rn(a.x + b.x, a.y + b.y);
}

__global__ void __launch_bounds__(256) add_single(const __nv_bfloat16 *x, __nv_bfloat16 *h, long long total)
{
    const long long i = blockIdx.x * 256ll + threadIdx.x;
    if (i < total)
        h[i] = __float2bfloat16_rn(__bfloat162float(x[i]) + __bfloat162float(h[i]));
}

__global__ void __launch_bounds__(256)
    norm_rows(const __nv_bfloat16 *h, const __nv_bfloat16 *w, __nv_bfloat16 *y, int N, float eps)
{
    __shared__ float part[8];
    const size_t base = (size_t)blockIdx.x * N;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < N; i += 256) {
        const float v = __bfloat162float(h[base + i]);
        sum = fmaf(v, v, sum);
    }
    for (int offset = 16; offset > 0; offset /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = 0.0f;
    for (int i = 0; i < 8; i++)
        sum += part[i];
    const float scale = rsqrtf(sum / N + eps);
    for (int i = threadIdx.x; i < N; i += 256)
        y[base + i] = __float2bfloat16_rn(__bfloat162float(h[base + i]) * scale * __bfloat162float(w[i]));
}
