// A tile of 32 x 32 words without padding: each column of it lies in one bank, 32 accesses in a row.
#include <cuda_bf16.h>

#pragma kda launch transpose_words(x, y, R, C, batch_stride, row_stride, ceil_div(R, 32), ceil_div(C, 32)) grid(ceil_div(R, 32) * ceil_div(C, 32) * B) block(32, 8)

__global__ void __launch_bounds__(256)
    transpose_words(const unsigned short *x, unsigned short *y, int R, int C, long long batch_stride,
                    long long row_stride, unsigned int tiles_r, unsigned int tiles_c)
{
    __shared__ unsigned int tile[32][32];
    const unsigned int batch = blockIdx.x / (tiles_r * tiles_c), at = blockIdx.x % (tiles_r * tiles_c);
    const int r0 = at % tiles_r * 32, c0 = at / tiles_r * 32;
    for (int i = threadIdx.y; i < 32; i += 8)
        if (r0 + i < R && c0 + threadIdx.x < C)
            tile[i][threadIdx.x] = x[batch * batch_stride + (r0 + i) * row_stride + c0 + threadIdx.x];
    __syncthreads();
    for (int i = threadIdx.y; i < 32; i += 8)
        if (r0 + threadIdx.x < R && c0 + i < C)
            y[((size_t)batch * C + c0 + i) * R + r0 + threadIdx.x] = tile[threadIdx.x][i];
}
