// wmma with everything to choose: tiles of BM x BN, WM x WN outputs per warp, steps of BK. The next tile waits in registers
// while this one is multiplied; one stage of shared memory, rows padded by PAD elements.
#include <cuda_bf16.h>
#include <mma.h>

#pragma kda tune BM = 64, 32, 128
#pragma kda tune BN = 64, 32, 128
#pragma kda tune WM = 32, 16
#pragma kda tune WN = 32, 16
#pragma kda tune BK = 32, 64, 16
#pragma kda tune PAD = 8, 0
#pragma kda variant tiles when(K % 8 == 0)
#pragma kda launch gemm_tiles(a, w, bias, y, M, N, K) grid(ceil_div(N, BN), ceil_div(M, BM)) \
        block((BM / WM) * (BN / WN) * 32)
#pragma kda variant any
#pragma kda launch gemm_any(a, w, bias, y, M, N, K) grid(ceil_div(N, 16), ceil_div(M, 16)) block(16, 16)

using namespace nvcuda;

__device__ __forceinline__ float gelu(float x)
{
    return x / (1.0f + __expf(-1.5957691216f * (x + 0.044715f * x * x * x)));
}

#define THREADS ((BM / WM) * (BN / WN) * 32)
#define LD (BK + PAD)

// A tile of ROWS rows of BK elements, in registers on its way from global to shared memory.
template <int ROWS> struct Staged {
    static constexpr int EACH = (ROWS * BK / 8 + THREADS - 1) / THREADS;
    uint4 v[EACH];

    __device__ __forceinline__ void load(const __nv_bfloat16 *from, int first, int rows, int k0, int K)
    {
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            const int i = threadIdx.x + e * THREADS, row = i / (BK / 8), k = i % (BK / 8) * 8;
            v[e] = make_uint4(0, 0, 0, 0);
            if (row < ROWS && first + row < rows && k0 + k < K)
                v[e] = *reinterpret_cast<const uint4 *>(from + (size_t)(first + row) * K + k0 + k);
        }
    }

    __device__ __forceinline__ void store(__nv_bfloat16 (*tile)[LD]) const
    {
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            const int i = threadIdx.x + e * THREADS, row = i / (BK / 8), k = i % (BK / 8) * 8;
            if (row < ROWS)
                *reinterpret_cast<uint4 *>(&tile[row][k]) = v[e];
        }
    }
};

__global__ void __launch_bounds__(THREADS)
    gemm_tiles(const __nv_bfloat16 *__restrict__ a, const __nv_bfloat16 *__restrict__ w,
               const __nv_bfloat16 *__restrict__ bias, __nv_bfloat16 *__restrict__ y, int M, int N, int K)
{
    constexpr int FM = WM / 16, FN = WN / 16;
    __shared__ __align__(128) __nv_bfloat16 tile_a[BM][LD], tile_w[BN][LD];
    __shared__ __align__(128) float turned[THREADS / 32][16][16];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int wm = warp % (BM / WM) * WM, wn = warp / (BM / WM) * WN;
    const int m0 = blockIdx.y * BM, n0 = blockIdx.x * BN;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum[FM][FN];
#pragma unroll
    for (int i = 0; i < FM; i++)
#pragma unroll
        for (int j = 0; j < FN; j++)
            wmma::fill_fragment(sum[i][j], 0.0f);
    Staged<BM> next_a;
    Staged<BN> next_w;
    next_a.load(a, m0, M, 0, K);
    next_w.load(w, n0, N, 0, K);
    for (int k0 = 0; k0 < K; k0 += BK) {
        next_a.store(tile_a);
        next_w.store(tile_w);
        __syncthreads();
        if (k0 + BK < K) {
            next_a.load(a, m0, M, k0 + BK, K);
            next_w.load(w, n0, N, k0 + BK, K);
        }
#pragma unroll
        for (int k = 0; k < BK; k += 16) {
            wmma::fragment<wmma::matrix_a, 16, 16, 16, __nv_bfloat16, wmma::row_major> fa[FM];
            wmma::fragment<wmma::matrix_b, 16, 16, 16, __nv_bfloat16, wmma::col_major> fw[FN];
#pragma unroll
            for (int i = 0; i < FM; i++)
                wmma::load_matrix_sync(fa[i], &tile_a[wm + 16 * i][k], LD);
#pragma unroll
            for (int j = 0; j < FN; j++)
                wmma::load_matrix_sync(fw[j], &tile_w[wn + 16 * j][k], LD);
#pragma unroll
            for (int i = 0; i < FM; i++)
#pragma unroll
                for (int j = 0; j < FN; j++)
                    wmma::mma_sync(sum[i][j], fa[i], fw[j], sum[i][j]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < FM; i++)
#pragma unroll
        for (int j = 0; j < FN; j++) {
            wmma::store_matrix_sync(&turned[warp][0][0], sum[i][j], 16, wmma::mem_row_major);
            __syncwarp();
            for (int e = lane; e < 256; e += 32) {
                const int m = m0 + wm + 16 * i + e / 16, n = n0 + wn + 16 * j + e % 16;
                if (m < M && n < N)
                    y[(size_t)m * N + n] =
                        __float2bfloat16_rn(gelu(turned[warp][e / 16][e % 16] + __bfloat162float(bias[n])));
            }
            __syncwarp();
        }
}

// One output per thread, tiles of 16 x 16.
__global__ void __launch_bounds__(256)
    gemm_any(const __nv_bfloat16 *__restrict__ a, const __nv_bfloat16 *__restrict__ w,
             const __nv_bfloat16 *__restrict__ bias, __nv_bfloat16 *__restrict__ y, int M, int N, int K)
{
    __shared__ float part_a[16][17], part_w[16][17];
    const int m = blockIdx.y * 16 + threadIdx.y, n = blockIdx.x * 16 + threadIdx.x, nw = blockIdx.x * 16 + threadIdx.y;
    float sum = 0.0f;
    for (int k0 = 0; k0 < K; k0 += 16) {
        const int k = k0 + threadIdx.x;
        part_a[threadIdx.y][threadIdx.x] = m < M && k < K ? __bfloat162float(a[(size_t)m * K + k]) : 0.0f;
        part_w[threadIdx.y][threadIdx.x] = nw < N && k < K ? __bfloat162float(w[(size_t)nw * K + k]) : 0.0f;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 16; i++)
            sum = fmaf(part_a[threadIdx.y][i], part_w[threadIdx.x][i], sum);
        __syncthreads();
    }
    if (m < M && n < N)
        y[(size_t)m * N + n] = __float2bfloat16_rn(gelu(sum + __bfloat162float(bias[n])));
}
