// Moves of data that change its order: transposes with padding and with swizzles, permutes,
// gathers and scatters, rotary embeddings of both layouts, bit reversal, im2col, pads.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cstdint>

template <typename T, int TILE, int PAD> __device__ void transpose_tile(const T *x, T *y, int rows, int cols)
{
    __shared__ T t[TILE][TILE + PAD];
    int c = blockIdx.x * TILE + threadIdx.x, r = blockIdx.y * TILE + threadIdx.y;
    for (int j = 0; j < TILE; j += blockDim.y)
        if (r + j < rows && c < cols)
            t[threadIdx.y + j][threadIdx.x] = x[(size_t)(r + j) * cols + c];
    __syncthreads();
    c = blockIdx.y * TILE + threadIdx.x;
    r = blockIdx.x * TILE + threadIdx.y;
    for (int j = 0; j < TILE; j += blockDim.y)
        if (r + j < cols && c < rows)
            y[(size_t)(r + j) * rows + c] = t[threadIdx.x][threadIdx.y + j];
}

extern "C" __global__ void transpose_padded(const float *x, float *y, int rows, int cols) { transpose_tile<float, 32, 1>(x, y, rows, cols); }
extern "C" __global__ void transpose_doubles(const double *x, double *y, int rows, int cols) { transpose_tile<double, 16, 1>(x, y, rows, cols); }

// No padding: the column is folded with the row, so that neither direction meets one bank twice.
extern "C" __global__ void transpose_swizzled(const uint32_t *x, uint32_t *y, int n)
{
    __shared__ uint32_t t[32 * 32];
    const int tx = threadIdx.x, ty = threadIdx.y;
    for (int j = ty; j < 32; j += 8)
        t[j * 32 + (tx ^ j)] = x[(blockIdx.y * 32 + j) * n + blockIdx.x * 32 + tx];
    __syncthreads();
    for (int j = ty; j < 32; j += 8)
        y[(blockIdx.x * 32 + j) * n + blockIdx.y * 32 + tx] = t[tx * 32 + (j ^ tx)];
}

// Pairs of halves are transposed in registers with byte permutes: 2 x 2 blocks.
extern "C" __global__ void transpose_half_pairs(const uint32_t *x, uint32_t *y, int rows, int pairs)
{
    const int p = blockIdx.x * blockDim.x + threadIdx.x, r = 2 * (blockIdx.y * blockDim.y + threadIdx.y);
    if (p >= pairs || r >= rows)
        return;
    const uint32_t a = x[r * pairs + p], b = x[(r + 1) * pairs + p];
    y[(2 * p) * (rows / 2) + r / 2] = __byte_perm(a, b, 0x5410);
    y[(2 * p + 1) * (rows / 2) + r / 2] = __byte_perm(a, b, 0x7632);
}

// [B, S, H, D] to [B, H, S, D], eight bytes a thread.
extern "C" __global__ void permute_heads(const uint2 *x, uint2 *y, int seq, int heads, int d4)
{
    const int b = blockIdx.z, s = blockIdx.x, h = blockIdx.y * blockDim.y + threadIdx.y;
    if (h < heads)
        for (int i = threadIdx.x; i < d4; i += blockDim.x)
            y[((b * heads + h) * seq + s) * d4 + i] = x[((b * seq + s) * heads + h) * d4 + i];
}

extern "C" __global__ void gather_rows(const __nv_bfloat162 *table, const long long *index, __nv_bfloat162 *out, int pairs, long long vocabulary)
{
    long long row = index[blockIdx.x];
    if (row < 0)
        row += vocabulary;
    for (int i = threadIdx.x; i < pairs; i += blockDim.x)
        out[blockIdx.x * pairs + i] = table[row * pairs + i];
}

extern "C" __global__ void scatter_add_rows(const float *x, const int *index, float *out, int n)
{
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        atomicAdd(out + index[blockIdx.x] * n + i, x[blockIdx.x * n + i]);
}

extern "C" __global__ void scatter_permuted(const unsigned char *x, const int *to, unsigned char *y, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        y[to[i]] = x[i];
}

// Interleaves three planes into pixels through shared memory, words out.
extern "C" __global__ void planes_to_pixels(const unsigned char *planes, uint32_t *pixels, int area)
{
    __shared__ __align__(4) unsigned char s[64 * 3];
    const int base = blockIdx.x * 64;
    for (int c = 0; c < 3; c++)
        s[threadIdx.x * 3 + c] = base + threadIdx.x < area ? planes[c * area + base + threadIdx.x] : 0;
    __syncthreads();
    if (threadIdx.x < 48)
        pixels[blockIdx.x * 48 + threadIdx.x] = reinterpret_cast<uint32_t *>(s)[threadIdx.x];
}

// Rotary embedding, pairs next to each other (GPT-J), angles computed with sincosf.
extern "C" __global__ void rope_interleaved(__half2 *x, const int *position, int heads, int pairs, float base)
{
    const int token = blockIdx.x;
    for (int i = threadIdx.x; i < heads * pairs; i += blockDim.x) {
        const int p = i % pairs;
        const float angle = position[token] * powf(base, -(float)p / pairs);
        float s, c;
        sincosf(angle, &s, &c);
        const float2 v = __half22float2(x[token * heads * pairs + i]);
        x[token * heads * pairs + i] = __floats2half2_rn(v.x * c - v.y * s, v.x * s + v.y * c);
    }
}

// Rotary embedding, halves apart (GPT-NeoX, Llama), a table of cosines and sines, queries and keys.
extern "C" __global__ void rope_halves(__nv_bfloat16 *q, __nv_bfloat16 *k, const float2 *table, int q_heads, int k_heads, int half)
{
    const int token = blockIdx.x, head = blockIdx.y;
    __nv_bfloat16 *row = head < q_heads ? q + (size_t)(token * q_heads + head) * 2 * half
                                        : k + (size_t)(token * k_heads + head - q_heads) * 2 * half;
    for (int i = threadIdx.x; i < half; i += blockDim.x) {
        const float2 cs = __ldg(table + token * half + i);
        const float a = __bfloat162float(row[i]), b = __bfloat162float(row[i + half]);
        row[i] = __float2bfloat16(a * cs.x - b * cs.y);
        row[i + half] = __float2bfloat16(fmaf(a, cs.y, b * cs.x));
    }
}

extern "C" __global__ void bit_reversed(const float2 *x, float2 *y, int bits)
{
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < 1u << bits)
        y[__brev(i) >> (32 - bits)] = x[i];
}

extern "C" __global__ void im2col(const float *x, float *col, int channels, int height, int width, int kernel, int pad, int stride, int oh, int ow)
{
    const int total = channels * oh * ow;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < total; i += gridDim.x * blockDim.x) {
        const int ox = i % ow, oy = i / ow % oh, c = i / (ow * oh);
        for (int ky = 0; ky < kernel; ky++)
            for (int kx = 0; kx < kernel; kx++) {
                const int y = oy * stride - pad + ky, xx = ox * stride - pad + kx;
                const bool inside = y >= 0 && y < height && xx >= 0 && xx < width;
                col[((c * kernel + ky) * kernel + kx) * oh * ow + oy * ow + ox] = inside ? x[(c * height + y) * width + xx] : 0.0f;
            }
    }
}

// Pages of a key cache: a block table says where the tokens of a sequence lie.
extern "C" __global__ void paged_gather(const uint4 *cache, const int *block_table, const int *lengths, uint4 *out, int page, int pages_max, int vectors, int longest)
{
    const int seq = blockIdx.y, token = blockIdx.x * blockDim.y + threadIdx.y;
    if (token >= longest)
        return;
    const bool valid = token < lengths[seq];
    const int physical = valid ? block_table[seq * pages_max + token / page] : 0;
    for (int i = threadIdx.x; i < vectors; i += blockDim.x)
        out[(seq * longest + token) * vectors + i] = valid ? __ldcg(cache + (physical * page + token % page) * vectors + i) : make_uint4(0, 0, 0, 0);
}
