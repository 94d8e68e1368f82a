// Transposition through shared memory. Where all is aligned to eight elements, in tiles of 64 x 64 of which a thread turns
// 8 x 8 in registers. Where only rows of x are, and rows of y are short, a block turns 32 columns as a whole: what it
// writes is one piece of y, and aligned. Pieces of 32 to 48 KB are loaded ahead: three blocks on each of 132 SMs take piece
// after piece, and load the next into registers while they write one. Else in tiles of 64 x 64 by pairs of neighbours, or by
// single elements.
#include <cuda_bf16.h>

#pragma kda variant squares when(R % 8 == 0 && C % 8 == 0 && batch_stride % 8 == 0 && row_stride % 8 == 0)
#pragma kda launch transpose_squares(x, y, R, C, batch_stride, row_stride, ceil_div(R, 64), ceil_div(C, 64)) grid(ceil_div(R, 64) * ceil_div(C, 64) * B) block(8, 8)
#pragma kda variant ahead when(R > 512 && R <= 768 && C % 8 == 0 && batch_stride % 8 == 0 && row_stride % 8 == 0)
#pragma kda define ROWS = R
#pragma kda launch transpose_ahead(x, y, C, ceil_div(C, 32) * B, batch_stride, row_stride) grid(min(ceil_div(C, 32) * B, 396)) block(4, 64) smem(64 * R)
#pragma kda variant columns when(R <= 1024 && C % 8 == 0 && batch_stride % 8 == 0 && row_stride % 8 == 0 && B <= 65535)
#pragma kda launch transpose_columns(x, y, R, C, batch_stride, row_stride) grid(ceil_div(C, 32), B) block(4, 64) smem(64 * R)
#pragma kda variant pairs when(R % 2 == 0 && C % 2 == 0 && batch_stride % 2 == 0 && row_stride % 2 == 0 && B <= 65535 && ceil_div(C, 64) <= 65535)
#pragma kda launch transpose_pairs(x, y, R, C, batch_stride, row_stride) grid(ceil_div(R, 64), ceil_div(C, 64), B) block(32, 8)
#pragma kda variant any
#pragma kda launch transpose_any(x, y, R, C, batch_stride, row_stride, ceil_div(R, 64), ceil_div(C, 64)) grid(ceil_div(R, 64) * ceil_div(C, 64) * B) block(32, 8)

__global__ void __launch_bounds__(64)
    transpose_squares(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *__restrict__ y, int R, int C,
                      long long batch_stride, long long row_stride, unsigned int tiles_r, unsigned int tiles_c)
{
    const unsigned int batch = blockIdx.x / (tiles_r * tiles_c), at = blockIdx.x % (tiles_r * tiles_c);
    const int r = (at % tiles_r * 8 + threadIdx.y) * 8, c = (at / tiles_r * 8 + threadIdx.x) * 8;
    if (r >= R || c >= C)
        return;
    const __nv_bfloat16 *in = x + batch * batch_stride + r * row_stride + c;
    __nv_bfloat16 *out = y + (size_t)batch * R * C + (size_t)c * R + r;
    uint4 row[8];
#pragma unroll
    for (int i = 0; i < 8; i++)
        row[i] = *reinterpret_cast<const uint4 *>(in + i * row_stride);
#pragma unroll
    for (int j = 0; j < 8; j++) {
        unsigned int column[4];
#pragma unroll
        for (int i = 0; i < 4; i++)
            column[i] = __byte_perm(reinterpret_cast<const unsigned int *>(&row[2 * i])[j / 2],
                                    reinterpret_cast<const unsigned int *>(&row[2 * i + 1])[j / 2],
                                    j % 2 ? 0x7632 : 0x5410);
        *reinterpret_cast<uint4 *>(out + (size_t)j * R) = make_uint4(column[0], column[1], column[2], column[3]);
    }
}

__global__ void __launch_bounds__(256)
    transpose_columns(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *__restrict__ y, int R, int C,
                      long long batch_stride, long long row_stride)
{
    extern __shared__ uint4 piece[]; // as in y: 32 columns of R elements
    unsigned short *turned = reinterpret_cast<unsigned short *>(piece);
    const int c0 = blockIdx.x * 32, columns = min(32, C - c0), c = 8 * threadIdx.x;
    const __nv_bfloat16 *in = x + blockIdx.y * batch_stride + c0 + c;
    uint4 *out = reinterpret_cast<uint4 *>(y + ((size_t)blockIdx.y * C + c0) * R);
    if (c < columns) {
#pragma unroll 6
        for (int r = threadIdx.y; r < R; r += 64) {
            const uint4 v = *reinterpret_cast<const uint4 *>(in + r * row_stride);
            const unsigned int word[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
            for (int k = 0; k < 8; k++)
                turned[(c + k) * R + r] = word[k / 2] >> k % 2 * 16;
        }
    }
    __syncthreads();
    for (int i = threadIdx.y * 4 + threadIdx.x; i < columns * R / 8; i += 256)
        out[i] = piece[i];
}

#ifndef ROWS // of x, a constant where pieces are loaded ahead
#define ROWS 1
#endif
#define LOADS ((ROWS + 63) / 64) // of a thread for a piece

// 16 bytes. A piece takes 64 bytes of a row of x: the L2 fetches what lies beside them too, which another block wants.
__device__ __forceinline__ uint4 load_hinted(const __nv_bfloat16 *p)
{
    uint4 v;
    asm("ld.global.nc.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
    return v;
}

// As transpose_columns, piece after piece: registers hold the next one, on its way from memory while this one is written.
__global__ void __launch_bounds__(256, 3)
    transpose_ahead(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *__restrict__ y, int C, int pieces,
                    long long batch_stride, long long row_stride)
{
    extern __shared__ uint4 piece[]; // as in y: 32 columns of ROWS elements
    unsigned short *turned = reinterpret_cast<unsigned short *>(piece);
    const int c = 8 * threadIdx.x, strips = (C + 31) / 32, r0 = threadIdx.y;
    uint4 v[LOADS];
    const auto load = [&](int at) {
        const int c0 = at % strips * 32;
        const __nv_bfloat16 *in = x + at / strips * batch_stride + c0 + c + r0 * row_stride;
        const long long step = 64 * row_stride;
#pragma unroll
        for (int e = 0; e < LOADS; e++) {
            if (c0 + c < C && (e < LOADS - 1 || r0 + 64 * e < ROWS))
                v[e] = load_hinted(in);
            in += step;
        }
    };
    load(blockIdx.x);
    for (int at = blockIdx.x; at < pieces; at += gridDim.x) {
        const int c0 = at % strips * 32, columns = min(32, C - c0);
#pragma unroll
        for (int e = 0; e < LOADS; e++) {
            const unsigned int word[4] = {v[e].x, v[e].y, v[e].z, v[e].w};
            if (c < columns && (e < LOADS - 1 || r0 + 64 * e < ROWS))
#pragma unroll
                for (int k = 0; k < 8; k++)
                    turned[(c + k) * ROWS + r0 + 64 * e] = word[k / 2] >> k % 2 * 16;
        }
        __syncthreads();
        const int next = at + gridDim.x;
        if (next < pieces)
            load(next);
        uint4 *out = reinterpret_cast<uint4 *>(y + ((size_t)(at / strips) * C + c0) * ROWS);
#pragma unroll 2
        for (int i = threadIdx.y * 4 + threadIdx.x; i < columns * ROWS / 8; i += 256)
            __stcs(out + i, piece[i]);
        __syncthreads(); // before the next piece takes its place
    }
}

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
