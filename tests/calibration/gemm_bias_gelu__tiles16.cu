// The tile of 16 x 16 outputs that introductions show: one output per thread, two shared loads per multiplication.
#include <cuda_bf16.h>

#pragma kda launch gemm_tiles16(a, w, bias, y, M, N, K) grid(ceil_div(N, 16), ceil_div(M, 16)) block(16, 16)

__device__ __forceinline__ float gelu(float x)
{
    return x / (1.0f + __expf(-1.5957691216f * (x + 0.044715f * x * x * x)));
}

__global__ void __launch_bounds__(256)
    gemm_tiles16(const __nv_bfloat16 *a, const __nv_bfloat16 *w, const __nv_bfloat16 *bias, __nv_bfloat16 *y, int M,
                 int N, int K)
{
    __shared__ float tile_a[16][16], tile_w[16][16]; // w without padding: its columns conflict
    const int m = blockIdx.y * 16 + threadIdx.y, n = blockIdx.x * 16 + threadIdx.x, nw = blockIdx.x * 16 + threadIdx.y;
    float sum = 0.0f;
    for (int k0 = 0; k0 < K; k0 += 16) {
        const int k = k0 + threadIdx.x;
        tile_a[threadIdx.y][threadIdx.x] = m < M && k < K ? __bfloat162float(a[(size_t)m * K + k]) : 0.0f;
        tile_w[threadIdx.y][threadIdx.x] = nw < N && k < K ? __bfloat162float(w[(size_t)nw * K + k]) : 0.0f;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 16; i++)
            sum = fmaf(tile_a[threadIdx.y][i], tile_w[threadIdx.x][i], sum);
        __syncthreads();
    }
    if (m < M && n < N)
        y[(size_t)m * N + n] = __float2bfloat16_rn(gelu(sum + __bfloat162float(bias[n])));
}
