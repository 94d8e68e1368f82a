// A warp per four outputs of a column: lanes along K with pairs, reduced by shuffles. For few rows no bad choice.
#include <cuda_bf16.h>

#pragma kda variant pairs when(K % 2 == 0)
#pragma kda launch gemm_dots<2>(a, w, bias, y, M, N, K / 2) grid(ceil_div(M, 4), ceil_div(N, 8)) block(32, 8)
#pragma kda variant any
#pragma kda launch gemm_dots<1>(a, w, bias, y, M, N, K) grid(ceil_div(M, 4), ceil_div(N, 8)) block(32, 8)

__device__ __forceinline__ float gelu(float x)
{
    return x / (1.0f + __expf(-1.5957691216f * (x + 0.044715f * x * x * x)));
}

template <int VEC> struct __align__(2 * VEC) Item {
    __nv_bfloat16 v[VEC];
};

template <int VEC>
__global__ void __launch_bounds__(256)
    gemm_dots(const Item<VEC> *a, const Item<VEC> *w, const __nv_bfloat16 *bias, __nv_bfloat16 *y, int M, int N,
              int width)
{
    const int m0 = blockIdx.x * 4, n = blockIdx.y * 8 + threadIdx.y;
    if (n >= N)
        return;
    float sum[4] = {};
    for (int i = threadIdx.x; i < width; i += 32) {
        const Item<VEC> right = w[(size_t)n * width + i];
#pragma unroll
        for (int r = 0; r < 4; r++) {
            if (m0 + r >= M)
                break;
            const Item<VEC> left = a[(size_t)(m0 + r) * width + i];
#pragma unroll
            for (int k = 0; k < VEC; k++)
                sum[r] = fmaf(__bfloat162float(left.v[k]), __bfloat162float(right.v[k]), sum[r]);
        }
    }
#pragma unroll
    for (int r = 0; r < 4; r++) {
        for (int offset = 16; offset > 0; offset /= 2)
            sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], offset);
        if (threadIdx.x == 0 && m0 + r < M)
            y[(size_t)(m0 + r) * N + n] = __float2bfloat16_rn(gelu(sum[r] + __bfloat162float(bias[n])));
    }
}
