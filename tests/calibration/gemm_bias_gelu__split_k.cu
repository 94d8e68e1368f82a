// K is split over four blocks, wmma on 32 x 32 tiles, partial sums in scratch, a second launch adds them with bias and
// GELU.
#include <cuda_bf16.h>
#include <mma.h>

#pragma kda scratch part : f32[4 * align_up(M, 32) * align_up(N, 32)]
#pragma kda variant split when(K % 8 == 0)
#pragma kda launch gemm_part(a, w, part, M, N, K, align_up(N, 32), align_up(M, 32)) grid(ceil_div(N, 32), ceil_div(M, 32), 4) block(128)
#pragma kda launch gemm_join(part, bias, y, M, N, align_up(N, 32), align_up(M, 32)) grid(ceil_div(M * N, 256)) block(256)
#pragma kda variant any
#pragma kda launch gemm_plain(a, w, bias, y, M, N, K) grid(ceil_div(N, 32), ceil_div(M, 8)) block(32, 8)

using namespace nvcuda;

__device__ __forceinline__ float gelu(float x)
{
    return x / (1.0f + __expf(-1.5957691216f * (x + 0.044715f * x * x * x)));
}

__global__ void __launch_bounds__(128)
    gemm_part(const __nv_bfloat16 *a, const __nv_bfloat16 *w, float *part, int M, int N, int K, int across, int down)
{
    __shared__ __align__(128) __nv_bfloat16 tile_a[32][40], tile_w[32][40];
    const int warp = threadIdx.x / 32, m0 = blockIdx.y * 32, n0 = blockIdx.x * 32;
    const int share = (K + 127) / 128 * 32, begin = blockIdx.z * share, end = min(K, begin + share);
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
    wmma::fill_fragment(sum, 0.0f);
    const int row = threadIdx.x / 4, k = threadIdx.x % 4 * 8;
    for (int k0 = begin; k0 < end; k0 += 32) {
        uint4 va = {}, vw = {};
        if (m0 + row < M && k0 + k < end)
            va = *reinterpret_cast<const uint4 *>(a + (size_t)(m0 + row) * K + k0 + k);
        if (n0 + row < N && k0 + k < end)
            vw = *reinterpret_cast<const uint4 *>(w + (size_t)(n0 + row) * K + k0 + k);
        *reinterpret_cast<uint4 *>(&tile_a[row][k]) = va;
        *reinterpret_cast<uint4 *>(&tile_w[row][k]) = vw;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 32; i += 16) {
            wmma::fragment<wmma::matrix_a, 16, 16, 16, __nv_bfloat16, wmma::row_major> fa;
            wmma::fragment<wmma::matrix_b, 16, 16, 16, __nv_bfloat16, wmma::col_major> fw;
            wmma::load_matrix_sync(fa, &tile_a[warp / 2 * 16][i], 40);
            wmma::load_matrix_sync(fw, &tile_w[warp % 2 * 16][i], 40);
            wmma::mma_sync(sum, fa, fw, sum);
        }
        __syncthreads();
    }
    wmma::store_matrix_sync(part + ((size_t)blockIdx.z * down + m0 + warp / 2 * 16) * across + n0 + warp % 2 * 16, sum,
                            across, wmma::mem_row_major);
}

__global__ void __launch_bounds__(256)
    gemm_join(const float *part, const __nv_bfloat16 *bias, __nv_bfloat16 *y, int M, int N, int across, int down)
{
    const long long i = blockIdx.x * 256ll + threadIdx.x;
    if (i >= (long long)M * N)
        return;
    const long long m = i / N, n = i % N;
    float sum = __bfloat162float(bias[n]);
    for (int s = 0; s < 4; s++)
        sum += part[((long long)s * down + m) * across + n];
    y[i] = __float2bfloat16_rn(gelu(sum));
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
