// Transposition through tiles of 64 x 64 in shared memory, 32 x 8 threads. Where strides and sizes are even, pairs of
// neighbours are read and written, so that a warp's request covers 128 bytes on both sides; else single elements.
#include <cuda_bf16.h>

#pragma kda variant pairs when(R % 2 == 0 && C % 2 == 0 && batch_stride % 2 == 0 && row_stride % 2 == 0 && B <= 65535 && ceil_div(C, 64) <= 65535)
#pragma kda launch transpose_pairs(x, y, R, C, batch_stride, row_stride) grid(ceil_div(R, 64), ceil_div(C, 64), B) block(32, 8)
#pragma kda variant any
#pragma kda launch transpose_any(x, y, R, C, batch_stride, row_stride, ceil_div(R, 64), ceil_div(C, 64)) grid(ceil_div(R, 64) * ceil_div(C, 64) * B) block(32, 8)

__global__ void __launch_bounds__(256)
    transpose_pairs(const __nv_bfloat16 *x, __nv_bfloat16 *y, int R, int C, long long batch_stride, long long row_stride)
{
    __shared__ unsigned int tile[64][33]; // [row][pair of columns]
    const int r0 = blockIdx.x * 64, c0 = blockIdx.y * 64;
    const __nv_bfloat16 *in = x + blockIdx.z * batch_stride;
    __nv_bfloat16 *out = y + (size_t)blockIdx.z * R * C;
#pragma unroll
    for (int i = threadIdx.y; i < 64; i += 8)
        if (r0 + i < R && c0 + 2 * threadIdx.x < C)
            tile[i][threadIdx.x] =
                *reinterpret_cast<const unsigned int *>(in + (r0 + i) * row_stride + c0 + 2 * threadIdx.x);
    __syncthreads();
    // A thread turns 2 x 2 elements: two rows of the tile, one pair of columns.
    const int r = r0 + 2 * threadIdx.x;
#pragma unroll
    for (int i = threadIdx.y; i < 32; i += 8) {
        const int c = c0 + 2 * i;
        if (r >= R || c >= C)
            continue;
        const unsigned int a = tile[2 * threadIdx.x][i], b = tile[2 * threadIdx.x + 1][i];
        *reinterpret_cast<unsigned int *>(out + (size_t)c * R + r) = __byte_perm(a, b, 0x5410);
        *reinterpret_cast<unsigned int *>(out + (size_t)(c + 1) * R + r) = __byte_perm(a, b, 0x7632);
    }
}

__global__ void __launch_bounds__(256)
    transpose_any(const __nv_bfloat16 *x, __nv_bfloat16 *y, int R, int C, long long batch_stride, long long row_stride,
                  unsigned int tiles_r, unsigned int tiles_c)
{
    __shared__ unsigned short tile[64][66];
    const unsigned int batch = blockIdx.x / (tiles_r * tiles_c), at = blockIdx.x % (tiles_r * tiles_c);
    const int r0 = at % tiles_r * 64, c0 = at / tiles_r * 64;
    const unsigned short *in = reinterpret_cast<const unsigned short *>(x) + batch * batch_stride;
    unsigned short *out = reinterpret_cast<unsigned short *>(y) + (size_t)batch * R * C;
#pragma unroll
    for (int i = threadIdx.y; i < 64; i += 8)
#pragma unroll
        for (int j = threadIdx.x; j < 64; j += 32)
            if (r0 + i < R && c0 + j < C)
                tile[i][j] = in[(r0 + i) * row_stride + c0 + j];
    __syncthreads();
#pragma unroll
    for (int i = threadIdx.y; i < 64; i += 8)
#pragma unroll
        for (int j = threadIdx.x; j < 64; j += 32)
            if (r0 + j < R && c0 + i < C)
                out[(size_t)(c0 + i) * R + r0 + j] = tile[j][i];
}
