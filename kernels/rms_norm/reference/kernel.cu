// RMSNorm in double precision: the oracle. Block b writes row b, unrounded.
#include <cuda_bf16.h>

#pragma kda launch rms_reference(x, w, y, N, eps) grid(M) block(128)

__global__ void rms_reference(const __nv_bfloat16 *x, const __nv_bfloat16 *w, double *y, int N, float eps)
{
    __shared__ double part[128];
    const size_t base = (size_t)blockIdx.x * N;
    double sum = 0.0;
    for (int i = threadIdx.x; i < N; i += 128) {
        const double v = __bfloat162float(x[base + i]);
        sum += v * v;
    }
    part[threadIdx.x] = sum;
    __syncthreads();
    for (int half = 64; half > 0; half /= 2) {
        if (threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    const double scale = 1.0 / sqrt(part[0] / N + (double)eps);
    for (int i = threadIdx.x; i < N; i += 128)
        y[base + i] = (double)__bfloat162float(x[base + i]) * scale * (double)__bfloat162float(w[i]);
}
