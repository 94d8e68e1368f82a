// A grid of a few blocks per SM walks the rows of 128; with PREFETCH the next row is loaded before this one is reduced.
#include <cuda_bf16.h>

#pragma kda tune BLOCKS = 8, 4, 16
#pragma kda tune THREADS = 256, 128, 512
#pragma kda tune PREFETCH = 0, 1
#pragma kda tune HINT = 0, 1, 2
#pragma kda variant rows128 when(N == 128)
#pragma kda launch rms_walk(x, w, y, M, eps) grid(min(132 * BLOCKS, ceil_div(M, THREADS / 16))) block(THREADS)
#pragma kda variant any
#pragma kda launch rms_any(x, w, y, M, N, eps) grid(ceil_div(M, 4)) block(128)

#define VEC 8
typedef uint4 Vector;

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

__device__ __forceinline__ Vector row_part(const __nv_bfloat16 *x, int row, int M, int lane)
{
    Vector v = Vector();
    if (row < M)
        v = load(reinterpret_cast<const Vector *>(x) + (size_t)row * 16 + lane);
    return v;
}

__global__ void __launch_bounds__(THREADS)
    rms_walk(const __nv_bfloat16 *__restrict__ x, const __nv_bfloat16 *__restrict__ w,
             __nv_bfloat16 *__restrict__ y, int M, float eps)
{
    constexpr int GROUPS = THREADS / 16; // rows side by side
    const int lane = threadIdx.x % 16;
    const int group = threadIdx.x / 16;
    const int step = gridDim.x * GROUPS;
    const Vector weight = reinterpret_cast<const Vector *>(w)[lane];
    Vector next = Vector();
    if (PREFETCH)
        next = row_part(x, blockIdx.x * GROUPS + group, M, lane);
    for (long long base = (long long)blockIdx.x * GROUPS; base < M; base += step) { // the same for all of a block
        const int row = (int)base + group;
        const Vector v = PREFETCH ? next : row_part(x, row, M, lane);
        if (PREFETCH && base + step < M)
            next = row_part(x, row + step, M, lane);
        const float scale = rsqrtf(lane_sum<16>(squares(v)) * (1.0f / 128) + eps);
        if (row < M)
            store(reinterpret_cast<Vector *>(y) + (size_t)row * 16 + lane, scaled(v, scale, weight));
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
