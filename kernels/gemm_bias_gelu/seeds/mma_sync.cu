// mma.sync.m16n8k16 with ldmatrix: a warp computes 32 x WN outputs, tiles of 64 x BN in steps of 32 come by cp.async into
// STAGES stages; bias, GELU and stores straight from the accumulators, whose pairs are neighbours.
#include <cuda_bf16.h>

#pragma kda tune BN = 128, 64
#pragma kda tune WN = 32, 64
#pragma kda tune STAGES = 3, 2, 4
#pragma kda variant mma when(K % 8 == 0)
#pragma kda launch gemm_mma(a, w, bias, y, M, N, K) grid(ceil_div(N, BN), ceil_div(M, 64)) block((BN / WN) * 64) \
        smem(STAGES * (64 + BN) * 80)
#pragma kda variant any
#pragma kda launch gemm_any(a, w, bias, y, M, N, K) grid(M, ceil_div(N, 32)) block(32, 4)

#define THREADS ((BN / WN) * 64)

__device__ __forceinline__ float gelu(float x)
{
    return x / (1.0f + __expf(-1.5957691216f * (x + 0.044715f * x * x * x)));
}

__device__ __forceinline__ unsigned int shared_address(const void *p)
{
    return (unsigned int)__cvta_generic_to_shared(p);
}

template <int ROWS>
__device__ __forceinline__ void load_tile(__nv_bfloat16 *tile, const __nv_bfloat16 *from, int first, int rows, int k0,
                                          int K)
{
#pragma unroll
    for (int i = threadIdx.x; i < ROWS * 4; i += THREADS) {
        const int row = i / 4, k = i % 4 * 8;
        __nv_bfloat16 *to = tile + row * 40 + k;
        if (first + row < rows && k0 + k < K)
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)),
                         "l"(from + (size_t)(first + row) * K + k0 + k)
                         : "memory");
        else
            *reinterpret_cast<uint4 *>(to) = make_uint4(0, 0, 0, 0);
    }
}

// Four 8 x 8 matrices; lane i gives the address of a row.
__device__ __forceinline__ void load_matrices(unsigned int *r, const __nv_bfloat16 *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

__device__ __forceinline__ void multiply(float *d, const unsigned int *a, unsigned int b0, unsigned int b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__global__ void __launch_bounds__(THREADS)
    gemm_mma(const __nv_bfloat16 *__restrict__ a, const __nv_bfloat16 *__restrict__ w,
             const __nv_bfloat16 *__restrict__ bias, __nv_bfloat16 *__restrict__ y, int M, int N, int K)
{
    extern __shared__ uint4 memory[];
    __nv_bfloat16 *stages = reinterpret_cast<__nv_bfloat16 *>(memory);
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int wm = warp % 2 * 32, wn = warp / 2 * WN, m0 = blockIdx.y * 64, n0 = blockIdx.x * BN;
    const int steps = (K + 31) / 32;
    float sum[2][WN / 8][4] = {};
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        __nv_bfloat16 *tile = stages + s * (64 + BN) * 40;
        if (s < steps) {
            load_tile<64>(tile, a, m0, M, s * 32, K);
            load_tile<BN>(tile + 64 * 40, w, n0, N, s * 32, K);
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
    }
    for (int step = 0; step < steps; step++) {
        asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
        __syncthreads(); // the tile of this step is there, and the one before is free
        const int ahead = step + STAGES - 1;
        if (ahead < steps) {
            __nv_bfloat16 *tile = stages + ahead % STAGES * (64 + BN) * 40;
            load_tile<64>(tile, a, m0, M, ahead * 32, K);
            load_tile<BN>(tile + 64 * 40, w, n0, N, ahead * 32, K);
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
        const __nv_bfloat16 *tile_a = stages + step % STAGES * (64 + BN) * 40, *tile_w = tile_a + 64 * 40;
#pragma unroll
        for (int k = 0; k < 32; k += 16) {
            unsigned int fa[2][4];
#pragma unroll
            for (int i = 0; i < 2; i++)
                load_matrices(fa[i], tile_a + (wm + 16 * i + lane % 16) * 40 + k + lane / 16 * 8);
#pragma unroll
            for (int j = 0; j < WN / 16; j++) {
                unsigned int fw[4]; // k 0-7 and 8-15 of outputs 0-7, then of outputs 8-15
                load_matrices(fw, tile_w + (wn + 16 * j + lane % 8 + lane / 16 * 8) * 40 + k + lane / 8 % 2 * 8);
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    multiply(sum[i][2 * j], fa[i], fw[0], fw[1]);
                    multiply(sum[i][2 * j + 1], fa[i], fw[2], fw[3]);
                }
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < WN / 8; j++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const int m = m0 + wm + 16 * i + lane / 4 + e / 2 * 8, n = n0 + wn + 8 * j + lane % 4 * 2 + e % 2;
                if (m < M && n < N)
                    y[(size_t)m * N + n] = __float2bfloat16_rn(gelu(sum[i][j][e] + __bfloat162float(bias[n])));
            }
}

// A quarter of K per row of threads; w is read with a stride.
__global__ void __launch_bounds__(128)
    gemm_any(const __nv_bfloat16 *__restrict__ a, const __nv_bfloat16 *__restrict__ w,
             const __nv_bfloat16 *__restrict__ bias, __nv_bfloat16 *__restrict__ y, int M, int N, int K)
{
    __shared__ float part[4][32];
    const int m = blockIdx.x, n = blockIdx.y * 32 + threadIdx.x;
    float sum = 0.0f;
    for (int k = threadIdx.y; k < K && n < N; k += 4)
        sum = fmaf(__bfloat162float(a[(size_t)m * K + k]), __bfloat162float(w[(size_t)n * K + k]), sum);
    part[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && n < N) {
        sum = part[0][threadIdx.x] + part[1][threadIdx.x] + part[2][threadIdx.x] + part[3][threadIdx.x];
        y[(size_t)m * N + n] = __float2bfloat16_rn(gelu(sum + __bfloat162float(bias[n])));
    }
}
