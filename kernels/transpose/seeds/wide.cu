// 16-byte accesses on both sides: a thread holds 8 x 8 elements, reads eight rows of 16 bytes, turns them in registers
// and writes eight columns of 16 bytes. Tiles of 8 * LANES_R rows by 8 * LANES_C columns.
#include <cuda_bf16.h>

#pragma kda tune LANES_R = 8, 4, 16
#pragma kda tune LANES_C = 8, 4, 16
#pragma kda tune R_FIRST = 1, 0
#pragma kda variant wide when(R % 8 == 0 && C % 8 == 0 && batch_stride % 8 == 0 && row_stride % 8 == 0)
#pragma kda launch transpose_wide(x, y, R, C, batch_stride, row_stride, ceil_div(R, 8 * LANES_R), \
        ceil_div(C, 8 * LANES_C)) grid(ceil_div(R, 8 * LANES_R) * ceil_div(C, 8 * LANES_C) * B) block(LANES_R * LANES_C)
#pragma kda variant any
#pragma kda launch transpose_any(x, y, R, C, batch_stride, row_stride, ceil_div(R, 32), ceil_div(C, 32)) \
        grid(ceil_div(R, 32) * ceil_div(C, 32) * B) block(32, 8)

__global__ void __launch_bounds__(LANES_R *LANES_C)
    transpose_wide(const unsigned short *__restrict__ x, unsigned short *__restrict__ y, int R, int C,
                   long long batch_stride, long long row_stride, unsigned int tiles_r, unsigned int tiles_c)
{
    const unsigned int batch = blockIdx.x / (tiles_r * tiles_c), at = blockIdx.x % (tiles_r * tiles_c);
    const int lane_r = R_FIRST ? threadIdx.x % LANES_R : threadIdx.x / LANES_C;
    const int lane_c = R_FIRST ? threadIdx.x / LANES_R : threadIdx.x % LANES_C;
    const int r = (at % tiles_r * LANES_R + lane_r) * 8, c = (at / tiles_r * LANES_C + lane_c) * 8;
    if (r >= R || c >= C)
        return;
    const unsigned short *in = x + batch * batch_stride + r * row_stride + c;
    unsigned short *out = y + (size_t)batch * R * C + (size_t)c * R + r;
    unsigned int v[8][4];
#pragma unroll
    for (int i = 0; i < 8; i++)
        *reinterpret_cast<uint4 *>(v[i]) = *reinterpret_cast<const uint4 *>(in + i * row_stride);
#pragma unroll
    for (int j = 0; j < 8; j++) {
        const unsigned int half = j % 2 ? 0x7632 : 0x5410;
        uint4 w;
        w.x = __byte_perm(v[0][j / 2], v[1][j / 2], half);
        w.y = __byte_perm(v[2][j / 2], v[3][j / 2], half);
        w.z = __byte_perm(v[4][j / 2], v[5][j / 2], half);
        w.w = __byte_perm(v[6][j / 2], v[7][j / 2], half);
        *reinterpret_cast<uint4 *>(out + (size_t)j * R) = w;
    }
}

__global__ void __launch_bounds__(256)
    transpose_any(const unsigned short *__restrict__ x, unsigned short *__restrict__ y, int R, int C,
                  long long batch_stride, long long row_stride, unsigned int tiles_r, unsigned int tiles_c)
{
    __shared__ unsigned short tile[32][34];
    const unsigned int batch = blockIdx.x / (tiles_r * tiles_c), at = blockIdx.x % (tiles_r * tiles_c);
    const int r0 = at % tiles_r * 32, c0 = at / tiles_r * 32;
    for (int i = threadIdx.y; i < 32; i += 8)
        if (r0 + i < R && c0 + threadIdx.x < C)
            tile[i][threadIdx.x] = x[batch * batch_stride + (r0 + i) * row_stride + c0 + threadIdx.x];
    __syncthreads();
    for (int i = threadIdx.y; i < 32; i += 8)
        if (r0 + threadIdx.x < R && c0 + i < C)
            y[(size_t)batch * R * C + (size_t)(c0 + i) * R + r0 + threadIdx.x] = tile[threadIdx.x][i];
}
