// One warp per row, compiled for the row's length: a lane holds COLS / 32 elements of each of its ROWS rows.
#include <cuda_bf16.h>

#pragma kda tune VEC = 4, 2
#pragma kda tune WARPS = 4, 2, 8, 16
#pragma kda tune ROWS = 1, 2, 4
#pragma kda tune HINT = 0, 1, 2
#pragma kda variant columns when(N % (32 * VEC) == 0 && N <= 1024)
#pragma kda define COLS = N
#pragma kda launch rms_columns(x, w, y, M, eps) grid(ceil_div(M, WARPS * ROWS)) block(32 * WARPS)
#pragma kda variant any
#pragma kda launch rms_any(x, w, y, M, N, eps) grid(ceil_div(M, 4)) block(128)

#ifndef COLS
#define COLS 128
#endif

#if VEC == 8
typedef uint4 Vector;
#elif VEC == 4
typedef uint2 Vector;
#else
typedef unsigned int Vector;
#endif

// HINT 0: no hint. 1: x and y are evicted first. 2: only y is.
__device__ __forceinline__ Vector load(const Vector *p)
{
#if HINT == 1
    return __ldcs(p);
#else
    return *p;
#endif
}

__device__ __forceinline__ void store(Vector *p, Vector v)
{
#if HINT == 0
    *p = v;
#else
    __stcs(p, v);
#endif
}

__device__ __forceinline__ float low(unsigned int pair)
{
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high(unsigned int pair)
{
    return __uint_as_float(pair & 0xffff0000u);
}

__device__ __forceinline__ float squares(Vector v)
{
    const unsigned int *word = reinterpret_cast<const unsigned int *>(&v);
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < VEC / 2; i++) {
        sum = fmaf(low(word[i]), low(word[i]), sum);
        sum = fmaf(high(word[i]), high(word[i]), sum);
    }
    return sum;
}

__device__ __forceinline__ Vector scaled(Vector v, float scale, Vector weight)
{
    unsigned int *word = reinterpret_cast<unsigned int *>(&v);
    const unsigned int *w = reinterpret_cast<const unsigned int *>(&weight);
#pragma unroll
    for (int i = 0; i < VEC / 2; i++) {
        const __nv_bfloat162 r =
            __floats2bfloat162_rn(low(word[i]) * scale * low(w[i]), high(word[i]) * scale * high(w[i]));
        word[i] = *reinterpret_cast<const unsigned int *>(&r);
    }
    return v;
}

// The sum over LANES neighbouring lanes, in each of them.
template <int LANES> __device__ __forceinline__ float lane_sum(float value)
{
#pragma unroll
    for (int offset = LANES / 2; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

__global__ void __launch_bounds__(32 * WARPS)
    rms_columns(const __nv_bfloat16 *__restrict__ x, const __nv_bfloat16 *__restrict__ w,
                __nv_bfloat16 *__restrict__ y, int M, float eps)
{
    constexpr int CHUNKS = COLS / (32 * VEC);
    const int lane = threadIdx.x % 32;
    const int first = blockIdx.x * (WARPS * ROWS) + threadIdx.x / 32;
    Vector v[ROWS][CHUNKS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        const int row = first + r * WARPS;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            v[r][c] = Vector();
            if (row < M)
                v[r][c] = load(reinterpret_cast<const Vector *>(x) + (size_t)row * (COLS / VEC) + c * 32 + lane);
        }
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        const int row = first + r * WARPS;
        float sum = 0.0f;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
            sum += squares(v[r][c]);
        const float scale = rsqrtf(lane_sum<32>(sum) * (1.0f / COLS) + eps);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const Vector weight = reinterpret_cast<const Vector *>(w)[c * 32 + lane];
            if (row < M)
                store(reinterpret_cast<Vector *>(y) + (size_t)row * (COLS / VEC) + c * 32 + lane,
                      scaled(v[r][c], scale, weight));
        }
    }
}

// One warp per row of any length.
__global__ void __launch_bounds__(128)
    rms_any(const __nv_bfloat16 *__restrict__ x, const __nv_bfloat16 *__restrict__ w, __nv_bfloat16 *__restrict__ y,
            int M, int N, float eps)
{
    const size_t row = (size_t)blockIdx.x * 4 + threadIdx.x / 32;
    if (row >= M)
        return;
    float sum = 0.0f;
    for (int i = threadIdx.x % 32; i < N; i += 32) {
        const float v = __bfloat162float(x[row * N + i]);
        sum = fmaf(v, v, sum);
    }
    const float scale = rsqrtf(lane_sum<32>(sum) / N + eps);
    for (int i = threadIdx.x % 32; i < N; i += 32)
        y[row * N + i] = __float2bfloat16_rn(__bfloat162float(x[row * N + i]) * scale * __bfloat162float(w[i]));
}
