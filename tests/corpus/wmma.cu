// Matrix products through nvcuda::wmma: every fragment shape in one form or another, layouts, an
// epilogue over the elements of a fragment, a blocked product with shared memory.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>
using namespace nvcuda;

extern "C" __global__ void wmma_naive(const __half *a, const __half *b, float *c, int m, int n, int k)
{
    const int tm = blockIdx.y, tn = blockIdx.x;
    wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> fa;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::col_major> fb;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> acc;
    wmma::fill_fragment(acc, 0.0f);
    for (int i = 0; i < k; i += 16) {
        wmma::load_matrix_sync(fa, a + tm * 16 * k + i, k);
        wmma::load_matrix_sync(fb, b + tn * 16 * k + i, k);
        wmma::mma_sync(acc, fa, fb, acc);
    }
    wmma::store_matrix_sync(c + tm * 16 * n + tn * 16, acc, n, wmma::mem_row_major);
}

// 32 x 32 by four warps, tiles in shared memory, bias and ReLU on the elements, result as bf16.
extern "C" __global__ __launch_bounds__(128) void wmma_shared_bf16(const __nv_bfloat16 *a, const __nv_bfloat16 *b, __nv_bfloat16 *c, int n, int k, float bias)
{
    __shared__ __align__(32) __nv_bfloat16 as[32][24], bs[16][40];
    __shared__ __align__(32) float out[4][16 * 16];
    const int tid = threadIdx.x, warp = tid / 32, lane = tid % 32, wr = warp / 2, wc = warp % 2;
    wmma::fragment<wmma::matrix_a, 16, 16, 16, __nv_bfloat16, wmma::row_major> fa;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, __nv_bfloat16, wmma::row_major> fb;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> acc;
    wmma::fill_fragment(acc, 0.0f);
    for (int k0 = 0; k0 < k; k0 += 16) {
        for (int i = tid; i < 32 * 16; i += 128) {
            as[i / 16][i % 16] = a[(blockIdx.y * 32 + i / 16) * k + k0 + i % 16];
            bs[i / 32][i % 32] = b[(k0 + i / 32) * n + blockIdx.x * 32 + i % 32];
        }
        __syncthreads();
        wmma::load_matrix_sync(fa, &as[wr * 16][0], 24);
        wmma::load_matrix_sync(fb, &bs[0][wc * 16], 40);
        wmma::mma_sync(acc, fa, fb, acc);
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < acc.num_elements; i++)
        acc.x[i] = fmaxf(acc.x[i] + bias, 0.0f);
    wmma::store_matrix_sync(out[warp], acc, 16, wmma::mem_row_major);
    __syncwarp();
    for (int i = lane; i < 256; i += 32)
        c[(blockIdx.y * 32 + wr * 16 + i / 16) * n + blockIdx.x * 32 + wc * 16 + i % 16] = __float2bfloat16(out[warp][i]);
}

// D = alpha A B + beta C with half accumulators, A column-major, C loaded column-major.
extern "C" __global__ void wmma_half_accumulate(const __half *a, const __half *b, const __half *c, __half *d, float alpha, float beta)
{
    wmma::fragment<wmma::matrix_a, 32, 8, 16, __half, wmma::col_major> fa;
    wmma::fragment<wmma::matrix_b, 32, 8, 16, __half, wmma::row_major> fb;
    wmma::fragment<wmma::accumulator, 32, 8, 16, __half> acc, fc;
    wmma::load_matrix_sync(fa, a, 32);
    wmma::load_matrix_sync(fb, b, 8);
    wmma::load_matrix_sync(fc, c, 32, wmma::mem_col_major);
    wmma::fill_fragment(acc, __float2half(0.0f));
    wmma::mma_sync(acc, fa, fb, acc);
    for (int i = 0; i < acc.num_elements; i++)
        acc.x[i] = __hfma(__float2half(alpha), acc.x[i], __hmul(__float2half(beta), fc.x[i]));
    wmma::store_matrix_sync(d, acc, 8, wmma::mem_row_major);
}

extern "C" __global__ void wmma_tf32(const float *a, const float *b, float *c, int k)
{
    wmma::fragment<wmma::matrix_a, 16, 16, 8, wmma::precision::tf32, wmma::row_major> fa;
    wmma::fragment<wmma::matrix_b, 16, 16, 8, wmma::precision::tf32, wmma::row_major> fb;
    wmma::fragment<wmma::accumulator, 16, 16, 8, float> acc;
    wmma::fill_fragment(acc, 0.0f);
    for (int i = 0; i < k; i += 8) {
        wmma::load_matrix_sync(fa, a + i, k);
        wmma::load_matrix_sync(fb, b + i * 16, 16);
        for (int e = 0; e < fa.num_elements; e++)
            fa.x[e] = wmma::__float_to_tf32(fa.x[e]);
        for (int e = 0; e < fb.num_elements; e++)
            fb.x[e] = wmma::__float_to_tf32(fb.x[e]);
        wmma::mma_sync(acc, fa, fb, acc);
    }
    wmma::store_matrix_sync(c, acc, 16, wmma::mem_row_major);
}
