// Blocks of 1024 threads per row, single elements, the stream read again after it was stored.
#include <cuda_bf16.h>

#pragma kda launch add_norm_large(x, h, w, y, N, eps) grid(M) block(1024)

__global__ void __launch_bounds__(1024)
    add_norm_large(const __nv_bfloat16 *x, __nv_bfloat16 *h, const __nv_bfloat16 *w, __nv_bfloat16 *y, int N, float eps)
{
    __shared__ float part[1024];
    const size_t base = (size_t)blockIdx.x * N;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < N; i += 1024) {
        const __nv_bfloat16 v = __float2bfloat16_rn(__bfloat162float(h[base + i]) + __bfloat162float(x[base + i]));
        h[base + i] = v;
        sum = fmaf(__bfloat162float(v), __bfloat162float(v), sum);
    }
    part[threadIdx.x] = sum;
    __syncthreads();
    for (int half = 512; half > 0; half /= 2) {
        if (threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    const float scale = rsqrtf(part[0] / N + eps);
    for (int i = threadIdx.x; i < N; i += 1024)
        y[base + i] = __float2bfloat16_rn(__bfloat162float(h[base + i]) * scale * __bfloat162float(w[i]));
}
