// Residual add and RMSNorm in double precision, in place: the oracle. The sum is rounded to bf16, as the function demands, and
// nothing after it. Block b takes row b. h comes as doubles with the values of the input.
#include <cuda_bf16.h>

#pragma kda launch residual_rms_norm_reference(x, h, w, y, N, eps) grid(M) block(256)

__global__ void residual_rms_norm_reference(const __nv_bfloat16 *x, double *h, const __nv_bfloat16 *w, double *y, int N,
                                            float eps)
{
    __shared__ double part[256];
    const size_t base = (size_t)blockIdx.x * N;
    double sum = 0.0;
    for (int i = threadIdx.x; i < N; i += 256) {
        const float added = (float)h[base + i] + __bfloat162float(x[base + i]);
        const double v = (double)__bfloat162float(__float2bfloat16_rn(added));
        h[base + i] = v;
        sum += v * v;
    }
    part[threadIdx.x] = sum;
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    const double scale = 1.0 / sqrt(part[0] / N + (double)eps);
    for (int i = threadIdx.x; i < N; i += 256)
        y[base + i] = h[base + i] * scale * (double)__bfloat162float(w[i]);
}
