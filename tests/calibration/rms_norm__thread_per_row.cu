// A thread per row, single elements: neighbouring lanes are a row apart.
#include <cuda_bf16.h>

#pragma kda launch rms_thread(x, w, y, M, N, eps) grid(ceil_div(M, 64)) block(64)

__global__ void rms_thread(const __nv_bfloat16 *x, const __nv_bfloat16 *w, __nv_bfloat16 *y, int M, int N, float eps)
{
    const size_t row = blockIdx.x * 64ull + threadIdx.x;
    if (row >= M)
        return;
    float sum = 0.0f;
    for (int i = 0; i < N; i++) {
        const float v = __bfloat162float(x[row * N + i]);
        sum = fmaf(v, v, sum);
    }
    const float scale = rsqrtf(sum / N + eps);
    for (int i = 0; i < N; i++)
        y[row * N + i] = __float2bfloat16_rn(__bfloat162float(x[row * N + i]) * scale * __bfloat162float(w[i]));
}
