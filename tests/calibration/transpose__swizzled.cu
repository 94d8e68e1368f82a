// 64 x 64 tiles: 16-byte reads, kept in shared memory with the eighths of a row exchanged by an xor of the row's number,
// 16-byte writes gathered from eight rows.
#include <cuda_bf16.h>

#pragma kda variant wide when(R % 8 == 0 && C % 8 == 0 && batch_stride % 8 == 0 && row_stride % 8 == 0)
#pragma kda launch transpose_swizzled(x, y, R, C, batch_stride, row_stride, ceil_div(R, 64), ceil_div(C, 64)) grid(ceil_div(R, 64) * ceil_div(C, 64) * B) block(256)
#pragma kda variant any
#pragma kda launch transpose_any(x, y, R, C, batch_stride, row_stride, ceil_div(R, 64), ceil_div(C, 64)) grid(ceil_div(R, 64) * ceil_div(C, 64) * B) block(256)

__global__ void __launch_bounds__(256)
    transpose_swizzled(const unsigned short *x, unsigned short *y, int R, int C, long long batch_stride,
                       long long row_stride, unsigned int tiles_r, unsigned int tiles_c)
{
    __shared__ __align__(16) unsigned short tile[64][64];
    const unsigned int batch = blockIdx.x / (tiles_r * tiles_c), at = blockIdx.x % (tiles_r * tiles_c);
    const int r0 = at % tiles_r * 64, c0 = at / tiles_r * 64;
#pragma unroll
    for (int k = 0; k < 2; k++) {
        const int i = threadIdx.x + k * 256, r = i / 8, eighth = i % 8;
        if (r0 + r < R && c0 + eighth * 8 < C)
            *reinterpret_cast<uint4 *>(&tile[r][(eighth ^ (r / 8)) * 8]) = *reinterpret_cast<const uint4 *>(
                x + batch * batch_stride + (r0 + r) * row_stride + c0 + eighth * 8);
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < 2; k++) {
        const int i = threadIdx.x + k * 256, c = i / 8, eighth = i % 8;
        if (c0 + c >= C || r0 + eighth * 8 >= R)
            continue;
        unsigned int w[4];
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const int r = eighth * 8 + 2 * e, column = ((c / 8) ^ eighth) * 8 + c % 8;
            w[e] = tile[r][column] | (unsigned int)tile[r + 1][column] << 16;
        }
        *reinterpret_cast<uint4 *>(y + ((size_t)batch * C + c0 + c) * R + r0 + eighth * 8) =
            make_uint4(w[0], w[1], w[2], w[3]);
    }
}

__global__ void __launch_bounds__(256)
    transpose_any(const unsigned short *x, unsigned short *y, int R, int C, long long batch_stride, long long row_stride,
                  unsigned int tiles_r, unsigned int tiles_c)
{
    __shared__ unsigned short tile[64][66];
    const unsigned int batch = blockIdx.x / (tiles_r * tiles_c), at = blockIdx.x % (tiles_r * tiles_c);
    const int r0 = at % tiles_r * 64, c0 = at / tiles_r * 64;
#pragma unroll 4
    for (int i = threadIdx.x; i < 4096; i += 256)
        if (r0 + i / 64 < R && c0 + i % 64 < C)
            tile[i / 64][i % 64] = x[batch * batch_stride + (r0 + i / 64) * row_stride + c0 + i % 64];
    __syncthreads();
#pragma unroll 4
    for (int i = threadIdx.x; i < 4096; i += 256)
        if (r0 + i % 64 < R && c0 + i / 64 < C)
            y[((size_t)batch * C + c0 + i / 64) * R + r0 + i % 64] = tile[i % 64][i / 64];
}
