// RMSNorm, tanh gate and shift in double precision: the oracle. Block b writes row b, unrounded.
#include <cuda_bf16.h>

#pragma kda launch gate_reference(x, w, scale, shift, y, N, scale_stride, shift_stride, eps) grid(M) block(128)

__global__ void gate_reference(const __nv_bfloat16 *x, const __nv_bfloat16 *w, const __nv_bfloat16 *scale,
                               const __nv_bfloat16 *shift, double *y, int N, int scale_stride, int shift_stride,
                               float eps)
{
    __shared__ double part[128];
    const size_t row = blockIdx.x;
    double sum = 0.0;
    for (int i = threadIdx.x; i < N; i += 128) {
        const double v = __bfloat162float(x[row * N + i]);
        sum += v * v;
    }
    part[threadIdx.x] = sum;
    __syncthreads();
    for (int half = 64; half > 0; half /= 2) {
        if (threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    const double rstd = 1.0 / sqrt(part[0] / N + (double)eps);
    for (int i = threadIdx.x; i < N; i += 128) {
        const double n = (double)__bfloat162float(x[row * N + i]) * rstd * (double)__bfloat162float(w[i]);
        y[row * N + i] = n * tanh((double)__bfloat162float(scale[row * scale_stride + i])) +
                         (double)__bfloat162float(shift[row * shift_stride + i]);
    }
}
