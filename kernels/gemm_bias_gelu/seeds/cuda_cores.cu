// No tensor cores: tiles of BM x BN outputs in shared memory as fp32, TM x TN outputs per thread, steps of BK.
#include <cuda_bf16.h>

#pragma kda tune BM = 64, 128, 32
#pragma kda tune BN = 64, 128, 32
#pragma kda tune TM = 4, 8, 2
#pragma kda tune TN = 4, 8, 2
#pragma kda tune BK = 16, 8, 32
#pragma kda launch gemm_cores(a, w, bias, y, M, N, K) grid(ceil_div(N, BN), ceil_div(M, BM)) \
        block((BM / TM) * (BN / TN))

__device__ __forceinline__ float gelu(float x)
{
    return x / (1.0f + __expf(-1.5957691216f * (x + 0.044715f * x * x * x)));
}

__global__ void __launch_bounds__((BM / TM) * (BN / TN))
    gemm_cores(const __nv_bfloat16 *__restrict__ a, const __nv_bfloat16 *__restrict__ w,
               const __nv_bfloat16 *__restrict__ bias, __nv_bfloat16 *__restrict__ y, int M, int N, int K)
{
    constexpr int THREADS = (BM / TM) * (BN / TN), ACROSS = BN / TN;
    __shared__ float tile_a[BK][BM + 1], tile_w[BK][BN + 1];
    const int m0 = blockIdx.y * BM, n0 = blockIdx.x * BN;
    const int tm = threadIdx.x / ACROSS, tn = threadIdx.x % ACROSS;
    float sum[TM][TN] = {};
    for (int k0 = 0; k0 < K; k0 += BK) {
#pragma unroll 4
        for (int i = threadIdx.x; i < BM * BK; i += THREADS) {
            const int row = i / BK, k = i % BK;
            tile_a[k][row] =
                k0 + k < K && m0 + row < M ? __bfloat162float(a[(size_t)(m0 + row) * K + k0 + k]) : 0.0f;
        }
#pragma unroll 4
        for (int i = threadIdx.x; i < BN * BK; i += THREADS) {
            const int row = i / BK, k = i % BK;
            tile_w[k][row] =
                k0 + k < K && n0 + row < N ? __bfloat162float(w[(size_t)(n0 + row) * K + k0 + k]) : 0.0f;
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < BK; k++) {
            float fa[TM], fw[TN];
#pragma unroll
            for (int i = 0; i < TM; i++)
                fa[i] = tile_a[k][tm + BM / TM * i];
#pragma unroll
            for (int j = 0; j < TN; j++)
                fw[j] = tile_w[k][tn + ACROSS * j];
#pragma unroll
            for (int i = 0; i < TM; i++)
#pragma unroll
                for (int j = 0; j < TN; j++)
                    sum[i][j] = fmaf(fa[i], fw[j], sum[i][j]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) {
            const int m = m0 + tm + BM / TM * i, n = n0 + tn + ACROSS * j;
            if (m < M && n < N)
                y[(size_t)m * N + n] = __float2bfloat16_rn(gelu(sum[i][j] + __bfloat162float(bias[n])));
        }
}
