// Cross-entropy in double precision: the oracle. Block b writes the loss of row b.
#include <cuda_bf16.h>

#pragma kda launch entropy_reference(x, target, loss, V) grid(M) block(256)

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

__global__ void entropy_reference(const __nv_bfloat16 *x, const long long *target, double *loss, int V)
{
    const size_t base = (size_t)blockIdx.x * V;
    const long long t = target[blockIdx.x];
    double most = -INFINITY, sum = 0.0;
    for (int i = threadIdx.x; i < V; i += 256)
        most = fmax(most, (double)__bfloat162float(x[base + i]));
    most = block_all(most, false);
    for (int i = threadIdx.x; i < V; i += 256)
        sum += exp(__bfloat162float(x[base + i]) - most);
    sum = block_all(sum, true);
    if (threadIdx.x == 0)
        loss[blockIdx.x] = t < 0 ? 0.0 : log(sum) + (most - (double)__bfloat162float(x[base + t]));
}
