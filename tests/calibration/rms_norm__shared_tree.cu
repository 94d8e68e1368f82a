// A block of 128 threads per row, single elements, a tree with a barrier per level in shared memory.
#include <cuda_bf16.h>

#pragma kda launch rms_tree(x, w, y, N, eps) grid(M) block(128)

__global__ void __launch_bounds__(128)
    rms_tree(const __nv_bfloat16 *x, const __nv_bfloat16 *w, __nv_bfloat16 *y, int N, float eps)
{
    __shared__ float part[128];
    const size_t base = (size_t)blockIdx.x * N;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < N; i += 128) {
        const float v = __bfloat162float(x[base + i]);
        sum = fmaf(v, v, sum);
    }
    part[threadIdx.x] = sum;
    __syncthreads();
    for (int half = 64; half > 0; half /= 2) {
        if (threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    const float scale = rsqrtf(part[0] / N + eps);
    for (int i = threadIdx.x; i < N; i += 128)
        y[base + i] = __float2bfloat16_rn(__bfloat162float(x[base + i]) * scale * __bfloat162float(w[i]));
}
