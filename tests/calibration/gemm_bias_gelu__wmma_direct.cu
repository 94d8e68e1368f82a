// wmma with fragments straight from global memory, a warp per 32 x 32 outputs. The last tile of a side begins earlier and
// computes some outputs a second time.
#include <cuda_bf16.h>
#include <mma.h>

#pragma kda variant direct when(M >= 32 && N >= 32 && K % 16 == 0)
#pragma kda launch gemm_direct(a, w, bias, y, M, N, K) grid(ceil_div(N, 64), ceil_div(M, 64)) block(128)
#pragma kda variant any
#pragma kda launch gemm_plain(a, w, bias, y, M, N, K) grid(ceil_div(N, 32), ceil_div(M, 8)) block(32, 8)

using namespace nvcuda;

__device__ __forceinline__ float gelu(float x)
{
    return x / (1.0f + __expf(-1.5957691216f * (x + 0.044715f * x * x * x)));
}

__global__ void __launch_bounds__(128)
    gemm_direct(const __nv_bfloat16 *a, const __nv_bfloat16 *w, const __nv_bfloat16 *bias, __nv_bfloat16 *y, int M,
                int N, int K)
{
    __shared__ __align__(128) float turned[4][16][16];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int m0 = min((int)blockIdx.y * 64 + warp / 2 * 32, M - 32);
    const int n0 = min((int)blockIdx.x * 64 + warp % 2 * 32, N - 32);
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum[2][2];
    for (int i = 0; i < 4; i++)
        wmma::fill_fragment(sum[i / 2][i % 2], 0.0f);
    for (int k = 0; k < K; k += 16) {
        wmma::fragment<wmma::matrix_a, 16, 16, 16, __nv_bfloat16, wmma::row_major> fa[2];
        wmma::fragment<wmma::matrix_b, 16, 16, 16, __nv_bfloat16, wmma::col_major> fw[2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            wmma::load_matrix_sync(fa[i], a + (size_t)(m0 + 16 * i) * K + k, K);
            wmma::load_matrix_sync(fw[i], w + (size_t)(n0 + 16 * i) * K + k, K);
        }
#pragma unroll
        for (int i = 0; i < 4; i++)
            wmma::mma_sync(sum[i / 2][i % 2], fa[i / 2], fw[i % 2], sum[i / 2][i % 2]);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        wmma::store_matrix_sync(&turned[warp][0][0], sum[i / 2][i % 2], 16, wmma::mem_row_major);
        __syncwarp();
        for (int e = lane; e < 256; e += 32) {
            const int m = m0 + i / 2 * 16 + e / 16, n = n0 + i % 2 * 16 + e % 16;
            y[(size_t)m * N + n] =
                __float2bfloat16_rn(gelu(turned[warp][e / 16][e % 16] + __bfloat162float(bias[n])));
        }
        __syncwarp();
    }
}

__global__ void __launch_bounds__(256)
    gemm_plain(const __nv_bfloat16 *a, const __nv_bfloat16 *w, const __nv_bfloat16 *bias, __nv_bfloat16 *y, int M,
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
