// RMSNorm of the heads of q and k and rotary embedding in double precision, in place: the oracle. Block b takes token b, one
// warp per head. q and k come as doubles with the values of the inputs, and nothing is rounded.
#include <cuda_bf16.h>

#pragma kda launch qknorm_rope_reference(q, k, q_weight, k_weight, cache, positions, Hq, Hk, D, R, pos_bytes, eps) \
        grid(T) block(256)

__global__ void qknorm_rope_reference(double *q, double *k, const __nv_bfloat16 *q_weight, const __nv_bfloat16 *k_weight,
                                      const float *cache, const void *positions, int Hq, int Hk, int D, int R,
                                      int pos_bytes, float eps)
{
    const int lane = threadIdx.x % 32;
    const long long token = blockIdx.x;
    const long long position = pos_bytes == 8 ? static_cast<const long long *>(positions)[token]
                                              : static_cast<const int *>(positions)[token];
    const float *cos = cache + position * R, *sin = cos + R / 2;
    for (int unit = threadIdx.x / 32; unit < Hq + Hk; unit += 8) {
        const bool is_query = unit < Hq;
        const __nv_bfloat16 *weight = is_query ? q_weight : k_weight;
        double *x = is_query ? q + (token * Hq + unit) * D : k + (token * Hk + unit - Hq) * D;
        double sum = 0.0;
        for (int i = lane; i < D; i += 32)
            sum += x[i] * x[i];
        for (int offset = 16; offset > 0; offset /= 2)
            sum += __shfl_xor_sync(0xffffffffu, sum, offset);
        const double scale = 1.0 / sqrt(sum / D + (double)eps);
        __syncwarp();
        for (int m = lane; m < R / 2; m += 32) {
            const double a = x[2 * m] * scale * (double)__bfloat162float(weight[2 * m]);
            const double b = x[2 * m + 1] * scale * (double)__bfloat162float(weight[2 * m + 1]);
            x[2 * m] = a * cos[m] - b * sin[m];
            x[2 * m + 1] = b * cos[m] + a * sin[m];
        }
        for (int i = R + lane; i < D; i += 32)
            x[i] = x[i] * scale * (double)__bfloat162float(weight[i]);
    }
}
