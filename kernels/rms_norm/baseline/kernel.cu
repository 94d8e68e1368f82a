// RMSNorm of bf16 rows with the mapping of the upstream Triton kernel (docs/README.md): 128 threads hold a tile of
// TILE rows x 128 columns, TILE = min(16, next_pow2(M / 512)), read with the widest vectors that the tile allows; a row
// is reduced by shuffles, across warps through shared memory. Other row lengths: one block per row.
#include <cuda_bf16.h>

#pragma kda variant tile16 when(N == 128 && M / 512 > 8)
#pragma kda launch rms_tile<16>(x, w, y, M, eps) grid(ceil_div(M, 16)) block(128)
#pragma kda variant tile8 when(N == 128 && M / 512 > 4)
#pragma kda launch rms_tile<8>(x, w, y, M, eps) grid(ceil_div(M, 8)) block(128)
#pragma kda variant tile4 when(N == 128 && M / 512 > 2)
#pragma kda launch rms_tile<4>(x, w, y, M, eps) grid(ceil_div(M, 4)) block(128)
#pragma kda variant tile2 when(N == 128 && M / 512 > 1)
#pragma kda launch rms_tile<2>(x, w, y, M, eps) grid(ceil_div(M, 2)) block(128)
#pragma kda variant row8 when(N % 8 == 0 && N != 128)
#pragma kda launch rms_row8(x, w, y, N, eps) grid(M) block(min(256, align_up(N / 8, 32)))
#pragma kda variant any
#pragma kda launch rms_any(x, w, y, N, eps) grid(M) block(min(256, align_up(N, 32)))

template <int BYTES> struct Vector;
template <> struct Vector<16> { using type = uint4; };
template <> struct Vector<8> { using type = uint2; };
template <> struct Vector<4> { using type = unsigned int; };

__device__ __forceinline__ float low(unsigned int pair)
{
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high(unsigned int pair)
{
    return __uint_as_float(pair & 0xffff0000u);
}

__device__ __forceinline__ unsigned int pack(float a, float b)
{
    const __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
    return *reinterpret_cast<const unsigned int *>(&pair);
}

// The sum over a block, in every thread; blockDim.x is a multiple of 32.
__device__ __forceinline__ float block_sum(float value)
{
    __shared__ float part[32];
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = value;
    __syncthreads();
    value = 0.0f;
    for (int i = 0; i < (int)blockDim.x / 32; i++)
        value += part[i];
    return value;
}

template <int TILE>
__global__ void __launch_bounds__(128)
    rms_tile(const __nv_bfloat16 *x, const __nv_bfloat16 *w, __nv_bfloat16 *y, int M, float eps)
{
    constexpr int COLS = 128;
    constexpr int VEC = TILE < 8 ? TILE : 8;  // elements that a thread reads at once
    constexpr int WORDS = VEC / 2;
    constexpr int LANES = COLS / VEC;         // threads that share a row
    constexpr int ROWS = 128 / LANES;         // rows of one pass
    constexpr int PASSES = TILE / ROWS;
    using Load = typename Vector<2 * VEC>::type;
    __shared__ float part[4];

    const int lane = threadIdx.x % LANES;
    const int first = blockIdx.x * TILE + threadIdx.x / LANES;
    unsigned int in[PASSES][WORDS], weight[WORDS];
    float sum[PASSES];
#pragma unroll
    for (int p = 0; p < PASSES; p++) {
        const int row = first + p * ROWS;
        Load value = {};
        if (row < M)
            value = *reinterpret_cast<const Load *>(x + (size_t)row * COLS + lane * VEC);
        *reinterpret_cast<Load *>(in[p]) = value;
    }
    *reinterpret_cast<Load *>(weight) = *reinterpret_cast<const Load *>(w + lane * VEC);
#pragma unroll
    for (int p = 0; p < PASSES; p++) {
        sum[p] = 0.0f;
#pragma unroll
        for (int i = 0; i < WORDS; i++) {
            sum[p] = fmaf(low(in[p][i]), low(in[p][i]), sum[p]);
            sum[p] = fmaf(high(in[p][i]), high(in[p][i]), sum[p]);
        }
#pragma unroll
        for (int offset = (LANES < 32 ? LANES : 32) / 2; offset > 0; offset /= 2)
            sum[p] += __shfl_xor_sync(0xffffffffu, sum[p], offset);
    }
    if (LANES > 32) { // a row spans two warps; there is one pass
        if (threadIdx.x % 32 == 0)
            part[threadIdx.x / 32] = sum[0];
        __syncthreads();
        sum[0] = part[threadIdx.x / 64 * 2] + part[threadIdx.x / 64 * 2 + 1];
    }
#pragma unroll
    for (int p = 0; p < PASSES; p++) {
        const int row = first + p * ROWS;
        const float scale = rsqrtf(sum[p] * (1.0f / COLS) + eps);
        unsigned int out[WORDS];
#pragma unroll
        for (int i = 0; i < WORDS; i++)
            out[i] = pack(low(in[p][i]) * scale * low(weight[i]), high(in[p][i]) * scale * high(weight[i]));
        if (row < M)
            *reinterpret_cast<Load *>(y + (size_t)row * COLS + lane * VEC) =
                *reinterpret_cast<const Load *>(out);
    }
}

__global__ void __launch_bounds__(256)
    rms_row8(const __nv_bfloat16 *x, const __nv_bfloat16 *w, __nv_bfloat16 *y, int N, float eps)
{
    const uint4 *in = reinterpret_cast<const uint4 *>(x + (size_t)blockIdx.x * N);
    const uint4 *weight = reinterpret_cast<const uint4 *>(w);
    uint4 *out = reinterpret_cast<uint4 *>(y + (size_t)blockIdx.x * N);
    float sum = 0.0f;
    for (int i = threadIdx.x; i < N / 8; i += blockDim.x) {
        const uint4 v = in[i];
        sum = fmaf(low(v.x), low(v.x), fmaf(high(v.x), high(v.x), sum));
        sum = fmaf(low(v.y), low(v.y), fmaf(high(v.y), high(v.y), sum));
        sum = fmaf(low(v.z), low(v.z), fmaf(high(v.z), high(v.z), sum));
        sum = fmaf(low(v.w), low(v.w), fmaf(high(v.w), high(v.w), sum));
    }
    const float scale = rsqrtf(block_sum(sum) / N + eps);
    for (int i = threadIdx.x; i < N / 8; i += blockDim.x) {
        const uint4 v = in[i], g = weight[i];
        uint4 r;
        r.x = pack(low(v.x) * scale * low(g.x), high(v.x) * scale * high(g.x));
        r.y = pack(low(v.y) * scale * low(g.y), high(v.y) * scale * high(g.y));
        r.z = pack(low(v.z) * scale * low(g.z), high(v.z) * scale * high(g.z));
        r.w = pack(low(v.w) * scale * low(g.w), high(v.w) * scale * high(g.w));
        out[i] = r;
    }
}

__global__ void __launch_bounds__(256)
    rms_any(const __nv_bfloat16 *x, const __nv_bfloat16 *w, __nv_bfloat16 *y, int N, float eps)
{
    const size_t base = (size_t)blockIdx.x * N;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < N; i += blockDim.x) {
        const float v = __bfloat162float(x[base + i]);
        sum = fmaf(v, v, sum);
    }
    const float scale = rsqrtf(block_sum(sum) / N + eps);
    for (int i = threadIdx.x; i < N; i += blockDim.x)
        y[base + i] = __float2bfloat16_rn(__bfloat162float(x[base + i]) * scale * __bfloat162float(w[i]));
}
