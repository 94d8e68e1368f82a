// A block per row, single elements, three passes over global memory with expf and an IEEE division per element.
#include <cuda_bf16.h>

#pragma kda launch softmax_three(x, y, N, scale) grid(M) block(256)

__global__ void __launch_bounds__(256) softmax_three(const __nv_bfloat16 *x, __nv_bfloat16 *y, int N, float scale)
{
    __shared__ float part[256];
    const size_t base = (size_t)blockIdx.x * N;
    float most = -INFINITY, sum = 0.0f;
    for (int i = threadIdx.x; i < N; i += 256)
        most = fmaxf(most, __bfloat162float(x[base + i]));
    part[threadIdx.x] = most;
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half)
            part[threadIdx.x] = fmaxf(part[threadIdx.x], part[threadIdx.x + half]);
        __syncthreads();
    }
    most = part[0];
    __syncthreads();
    for (int i = threadIdx.x; i < N; i += 256)
        sum += expf((__bfloat162float(x[base + i]) - most) * scale);
    part[threadIdx.x] = sum;
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    for (int i = threadIdx.x; i < N; i += 256)
        y[base + i] = __float2bfloat16_rn(expf((__bfloat162float(x[base + i]) - most) * scale) / part[0]);
}
