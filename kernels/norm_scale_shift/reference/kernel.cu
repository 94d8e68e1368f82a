// LayerNorm, scale and shift in double precision: the oracle. Block b writes row b, unrounded.
#include <cuda_bf16.h>

#pragma kda variant bf16 when(mod_bytes == 2)
#pragma kda launch norm_reference<__nv_bfloat16>(x, scale, shift, y, N, mod_stride, eps) grid(M) block(128)
#pragma kda variant f32
#pragma kda launch norm_reference<float>(x, scale, shift, y, N, mod_stride, eps) grid(M) block(128)

__device__ double widen(__nv_bfloat16 v)
{
    return __bfloat162float(v);
}

__device__ double widen(float v)
{
    return v;
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

template <typename Mod>
__global__ void norm_reference(const __nv_bfloat16 *x, const void *scale, const void *shift, double *y, int N,
                               int mod_stride, float eps)
{
    const size_t row = blockIdx.x;
    double sum = 0.0, square = 0.0;
    for (int i = threadIdx.x; i < N; i += 128)
        sum += widen(x[row * N + i]);
    const double mean = block_sum(sum) / N;
    for (int i = threadIdx.x; i < N; i += 128) {
        const double v = widen(x[row * N + i]) - mean;
        square += v * v;
    }
    const double rstd = 1.0 / sqrt(block_sum(square) / N + (double)eps);
    for (int i = threadIdx.x; i < N; i += 128)
        y[row * N + i] = (widen(x[row * N + i]) - mean) * rstd *
                             (1.0 + widen(static_cast<const Mod *>(scale)[row * mod_stride + i])) +
                         widen(static_cast<const Mod *>(shift)[row * mod_stride + i]);
}
