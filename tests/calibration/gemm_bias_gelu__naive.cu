// A thread per output, no shared memory: neighbouring lanes read rows of w that are K apart.
#include <cuda_bf16.h>

#pragma kda launch gemm_naive(a, w, bias, y, M, N, K) grid(ceil_div(N, 32), ceil_div(M, 8)) block(32, 8)

__device__ __forceinline__ float gelu(float x)
{
    return x / (1.0f + __expf(-1.5957691216f * (x + 0.044715f * x * x * x)));
}

__global__ void __launch_bounds__(256)
    gemm_naive(const __nv_bfloat16 *a, const __nv_bfloat16 *w, const __nv_bfloat16 *bias, __nv_bfloat16 *y, int M,
               int N, int K)
{
    const int n = blockIdx.x * 32 + threadIdx.x, m = blockIdx.y * 8 + threadIdx.y;
    if (m >= M || n >= N)
        return;
    float sum = __bfloat162float(bias[n]);
    for (int k = 0; k < K; k++)
        sum = fmaf(__bfloat162float(a[(size_t)m * K + k]), __bfloat162float(w[(size_t)n * K + k]), sum);
    y[(size_t)m * N + n] = __float2bfloat16_rn(gelu(sum));
}
