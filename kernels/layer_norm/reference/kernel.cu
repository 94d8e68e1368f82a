// LayerNorm in double precision: the oracle. Block b writes row b, unrounded.
#include <cuda_runtime.h>

#pragma kda launch norm_reference(x, w, b, y, N, eps) grid(M) block(128)

__device__ double block_sum(double value)
{
    __shared__ double part[128];
    __syncthreads();
    part[threadIdx.x] = value;
    __syncthreads();
    for (int half = 64; half > 0; half /= 2) {
        if (threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    return part[0];
}

__global__ void norm_reference(const float *x, const float *w, const float *b, double *y, int N, float eps)
{
    const size_t base = (size_t)blockIdx.x * N;
    double sum = 0.0, square = 0.0;
    for (int i = threadIdx.x; i < N; i += 128)
        sum += x[base + i];
    const double mean = block_sum(sum) / N;
    for (int i = threadIdx.x; i < N; i += 128)
        square += (x[base + i] - mean) * (x[base + i] - mean);
    const double rstd = 1.0 / sqrt(block_sum(square) / N + (double)eps);
    for (int i = threadIdx.x; i < N; i += 128)
        y[base + i] = (x[base + i] - mean) * rstd * w[i] + b[i];
}
