// Softmax in double precision: the oracle. Block b writes row b, unrounded.
#include <cuda_bf16.h>

#pragma kda launch softmax_reference(x, y, N, scale) grid(M) block(256)

// The larger (sum: the total) of all threads' values, in every thread.
__device__ double block_all(double value, bool sum)
{
    __shared__ double part[256];
    __syncthreads();
    part[threadIdx.x] = value;
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half)
            part[threadIdx.x] = sum ? part[threadIdx.x] + part[threadIdx.x + half]
                                    : fmax(part[threadIdx.x], part[threadIdx.x + half]);
        __syncthreads();
    }
    return part[0];
}

__global__ void softmax_reference(const __nv_bfloat16 *x, double *y, int N, float scale)
{
    const size_t base = (size_t)blockIdx.x * N;
    double most = -INFINITY, sum = 0.0;
    for (int i = threadIdx.x; i < N; i += 256)
        most = fmax(most, (double)__bfloat162float(x[base + i]));
    most = block_all(most, false);
    for (int i = threadIdx.x; i < N; i += 256)
        sum += exp((double)scale * (__bfloat162float(x[base + i]) - most));
    sum = block_all(sum, true);
    for (int i = threadIdx.x; i < N; i += 256)
        y[base + i] = exp((double)scale * (__bfloat162float(x[base + i]) - most)) / sum;
}
