// Single elements through a tile of TILE x TILE in shared memory with PAD extra elements a row (PAD 0: the columns of a
// tile fall into few banks), ROWS rows of threads.
#include <cuda_bf16.h>

#pragma kda tune TILE = 32, 64
#pragma kda tune ROWS = 8, 4, 16, 32
#pragma kda tune PAD = 2, 0, 1
#pragma kda launch transpose_tiles(x, y, R, C, batch_stride, row_stride, ceil_div(R, TILE), ceil_div(C, TILE)) \
        grid(ceil_div(R, TILE) * ceil_div(C, TILE) * B) block(32, ROWS)

__global__ void __launch_bounds__(32 * ROWS)
    transpose_tiles(const unsigned short *__restrict__ x, unsigned short *__restrict__ y, int R, int C,
                    long long batch_stride, long long row_stride, unsigned int tiles_r, unsigned int tiles_c)
{
    __shared__ unsigned short tile[TILE][TILE + PAD];
    const unsigned int batch = blockIdx.x / (tiles_r * tiles_c), at = blockIdx.x % (tiles_r * tiles_c);
    const int r0 = at % tiles_r * TILE, c0 = at / tiles_r * TILE;
    const unsigned short *in = x + batch * batch_stride;
    unsigned short *out = y + (size_t)batch * R * C;
#pragma unroll
    for (int i = threadIdx.y; i < TILE; i += ROWS)
#pragma unroll
        for (int j = threadIdx.x; j < TILE; j += 32)
            if (r0 + i < R && c0 + j < C)
                tile[i][j] = in[(r0 + i) * row_stride + c0 + j];
    __syncthreads();
#pragma unroll
    for (int i = threadIdx.y; i < TILE; i += ROWS)
#pragma unroll
        for (int j = threadIdx.x; j < TILE; j += 32)
            if (r0 + j < R && c0 + i < C)
                out[(size_t)(c0 + i) * R + r0 + j] = tile[j][i];
}
