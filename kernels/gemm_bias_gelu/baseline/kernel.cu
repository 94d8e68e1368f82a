// GEMM with bias and GELU on tensor cores through wmma: a block of (BM / 32) x (BN / WN) warps computes BM x BN outputs in
// steps of 32 of K; tiles come by cp.async into two stages of padded shared memory. Where K is no multiple of 8, rows
// are not aligned for that: 64 x 64 tiles on CUDA cores.
#include <cuda_bf16.h>
#include <mma.h>

#pragma kda variant large when(K % 8 == 0 && ceil_div(M, 128) * ceil_div(N, 128) >= 96)
#pragma kda launch gemm_wmma<128, 128, 64>(a, w, bias, y, M, N, K) grid(ceil_div(N, 128), ceil_div(M, 128)) block(256)
#pragma kda variant small when(K % 8 == 0)
#pragma kda launch gemm_wmma<64, 64, 32>(a, w, bias, y, M, N, K) grid(ceil_div(N, 64), ceil_div(M, 64)) block(128)
#pragma kda variant any
#pragma kda launch gemm_any(a, w, bias, y, M, N, K) grid(ceil_div(N, 64), ceil_div(M, 64)) block(256)

using namespace nvcuda;

__device__ __forceinline__ float gelu(float x)
{
    return x / (1.0f + __expf(-1.5957691216f * (x + 0.044715f * x * x * x)));
}

__device__ __forceinline__ void copy_async(void *to, const void *from)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((unsigned int)__cvta_generic_to_shared(to)),
                 "l"(from)
                 : "memory");
}

// ROWS rows of 32 elements from `first` on, columns from k0 on; zeros where the matrix ends.
template <int ROWS, int THREADS>
__device__ __forceinline__ void load_tile(__nv_bfloat16 (*tile)[40], const __nv_bfloat16 *from, int first, int rows,
                                          int k0, int K)
{
#pragma unroll
    for (int i = threadIdx.x; i < ROWS * 4; i += THREADS) {
        const int row = i / 4, k = i % 4 * 8;
        if (first + row < rows && k0 + k < K)
            copy_async(&tile[row][k], from + (size_t)(first + row) * K + k0 + k);
        else
            *reinterpret_cast<uint4 *>(&tile[row][k]) = make_uint4(0, 0, 0, 0);
    }
}

template <int BM, int BN, int WN>
__global__ void __launch_bounds__(BM / 32 * (BN / WN) * 32)
    gemm_wmma(const __nv_bfloat16 *__restrict__ a, const __nv_bfloat16 *__restrict__ w,
              const __nv_bfloat16 *__restrict__ bias, __nv_bfloat16 *__restrict__ y, int M, int N, int K)
{
    constexpr int THREADS = BM / 32 * (BN / WN) * 32;
    constexpr int FN = WN / 16;
    // Rows of 40 elements: 80 bytes, so that eight rows of a fragment lie in different banks.
    __shared__ __align__(128) __nv_bfloat16 tile_a[2][BM][40];
    __shared__ __align__(128) __nv_bfloat16 tile_w[2][BN][40];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int wm = warp % (BM / 32) * 32, wn = warp / (BM / 32) * WN;
    const int m0 = blockIdx.y * BM, n0 = blockIdx.x * BN;
    const int steps = (K + 31) / 32;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum[2][FN];
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < FN; j++)
            wmma::fill_fragment(sum[i][j], 0.0f);
    load_tile<BM, THREADS>(tile_a[0], a, m0, M, 0, K);
    load_tile<BN, THREADS>(tile_w[0], w, n0, N, 0, K);
    asm volatile("cp.async.commit_group;" ::: "memory");
    for (int step = 0; step < steps; step++) {
        const int stage = step % 2;
        if (step + 1 < steps) {
            load_tile<BM, THREADS>(tile_a[stage ^ 1], a, m0, M, (step + 1) * 32, K);
            load_tile<BN, THREADS>(tile_w[stage ^ 1], w, n0, N, (step + 1) * 32, K);
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
        asm volatile("cp.async.wait_group 1;" ::: "memory");
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 32; k += 16) {
            wmma::fragment<wmma::matrix_a, 16, 16, 16, __nv_bfloat16, wmma::row_major> fa[2];
            wmma::fragment<wmma::matrix_b, 16, 16, 16, __nv_bfloat16, wmma::col_major> fw[FN];
#pragma unroll
            for (int i = 0; i < 2; i++)
                wmma::load_matrix_sync(fa[i], &tile_a[stage][wm + 16 * i][k], 40);
#pragma unroll
            for (int j = 0; j < FN; j++)
                wmma::load_matrix_sync(fw[j], &tile_w[stage][wn + 16 * j][k], 40);
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int j = 0; j < FN; j++)
                    wmma::mma_sync(sum[i][j], fa[i], fw[j], sum[i][j]);
        }
        __syncthreads();
    }
    // The tiles are no longer needed: each warp turns its fragments over in 16 x 16 floats of them.
    float *turn = reinterpret_cast<float *>(tile_a) + warp * 256;
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < FN; j++) {
            wmma::store_matrix_sync(turn, sum[i][j], 16, wmma::mem_row_major);
            __syncwarp();
            const int n = n0 + wn + 16 * j + lane % 16;
            const float b = n < N ? __bfloat162float(bias[n]) : 0.0f;
#pragma unroll
            for (int r = lane / 16; r < 16; r += 2) {
                const int m = m0 + wm + 16 * i + r;
                if (m < M && n < N)
                    y[(size_t)m * N + n] = __float2bfloat16_rn(gelu(turn[r * 16 + lane % 16] + b));
            }
            __syncwarp();
        }
}

// 64 x 64 outputs on CUDA cores, 4 x 4 per thread.
__global__ void __launch_bounds__(256)
    gemm_any(const __nv_bfloat16 *__restrict__ a, const __nv_bfloat16 *__restrict__ w,
             const __nv_bfloat16 *__restrict__ bias, __nv_bfloat16 *__restrict__ y, int M, int N, int K)
{
    __shared__ float tile_a[16][65], tile_w[16][65];
    const int m0 = blockIdx.y * 64, n0 = blockIdx.x * 64, tm = threadIdx.x / 16, tn = threadIdx.x % 16;
    float sum[4][4] = {};
    for (int k0 = 0; k0 < K; k0 += 16) {
        for (int i = threadIdx.x; i < 1024; i += 256) {
            const int row = i / 16, k = i % 16;
            const bool in = k0 + k < K;
            tile_a[k][row] = in && m0 + row < M ? __bfloat162float(a[(size_t)(m0 + row) * K + k0 + k]) : 0.0f;
            tile_w[k][row] = in && n0 + row < N ? __bfloat162float(w[(size_t)(n0 + row) * K + k0 + k]) : 0.0f;
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 16; k++)
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++)
                    sum[i][j] = fmaf(tile_a[k][tm + 16 * i], tile_w[k][tn + 16 * j], sum[i][j]);
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int m = m0 + tm + 16 * i, n = n0 + tn + 16 * j;
            if (m < M && n < N)
                y[(size_t)m * N + n] = __float2bfloat16_rn(gelu(sum[i][j] + __bfloat162float(bias[n])));
        }
}
