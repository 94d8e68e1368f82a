// RMSNorm, tanh gate and shift, RMSNorm and scale in double precision: the oracle. Nothing is rounded, y neither before the
// second norm. Block b writes row b of both outputs.
#include <cuda_bf16.h>

#pragma kda launch gate_reference(x, w, scale, shift, w2, scale2, y, y2, N, scale_stride, shift_stride, scale2_stride, \
        eps) grid(M) block(128)

__device__ double widen(__nv_bfloat16 v)
{
    return __bfloat162float(v);
}

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

__global__ void gate_reference(const __nv_bfloat16 *x, const __nv_bfloat16 *w, const __nv_bfloat16 *scale,
                               const __nv_bfloat16 *shift, const __nv_bfloat16 *w2, const __nv_bfloat16 *scale2,
                               double *y, double *y2, int N, int scale_stride, int shift_stride, int scale2_stride,
                               float eps)
{
    const size_t row = blockIdx.x;
    double sum = 0.0;
    for (int i = threadIdx.x; i < N; i += 128)
        sum += widen(x[row * N + i]) * widen(x[row * N + i]);
    const double rstd = 1.0 / sqrt(block_sum(sum) / N + (double)eps);
    sum = 0.0;
    for (int i = threadIdx.x; i < N; i += 128) {
        const double n = widen(x[row * N + i]) * rstd * widen(w[i]);
        const double v = n * tanh(widen(scale[row * scale_stride + i])) + widen(shift[row * shift_stride + i]);
        y[row * N + i] = v;
        sum += v * v;
    }
    const double rstd2 = 1.0 / sqrt(block_sum(sum) / N + (double)eps);
    for (int i = threadIdx.x; i < N; i += 128)
        y2[row * N + i] =
            y[row * N + i] * rstd2 * widen(w2[i]) * (1.0 + widen(scale2[row * scale2_stride + i]));
}
