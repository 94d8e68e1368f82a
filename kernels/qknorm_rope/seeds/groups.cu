// D / 8 lanes per head with 128-bit vectors, so that a warp holds several heads; a group of lanes takes HEADS of them with
// all their loads under way, and the grid is passed once.
#include <cuda_bf16.h>

#pragma kda tune THREADS = 256, 128, 512
#pragma kda tune HEADS = 1, 2, 4
#pragma kda tune HINT = 0, 1
#pragma kda variant groups when(D % 8 == 0 && D <= 256 && next_pow2(D) == D && R % 8 == 0 && T * (Hq + Hk) < (1 << 30))
#pragma kda define LANES = D / 8
#pragma kda launch group_rope(q, k, q_weight, k_weight, cache, positions, T * Hq, T * (Hq + Hk), Hq, Hk, R, pos_bytes, eps) \
        grid(ceil_div(T * (Hq + Hk), THREADS / (D / 8) * HEADS)) block(THREADS)
#pragma kda variant any
#pragma kda define LANES = 32
#pragma kda launch any_rope(q, k, q_weight, k_weight, cache, positions, T, Hq, Hk, D, R, pos_bytes, eps) \
        grid(ceil_div(T * (Hq + Hk), THREADS / 32)) block(THREADS)

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

__device__ __forceinline__ long long position_of(const void *positions, long long token, int bytes)
{
    return bytes == 8 ? static_cast<const long long *>(positions)[token] : static_cast<const int *>(positions)[token];
}

// The sum over `lanes` neighbouring lanes, in each of them.
__device__ __forceinline__ float lane_sum(float value, int lanes)
{
#pragma unroll
    for (int offset = lanes / 2; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

__device__ __forceinline__ unsigned int turned(unsigned int v, float scale, unsigned int w, float c, float s,
                                               bool rotated)
{
    const float a = low(v) * (scale * low(w)), b = high(v) * (scale * high(w));
    return rotated ? pack(a * c - b * s, b * c + a * s) : pack(a, b);
}

__global__ void __launch_bounds__(THREADS)
    group_rope(__nv_bfloat16 *__restrict__ q, __nv_bfloat16 *__restrict__ k, const __nv_bfloat16 *__restrict__ q_weight,
               const __nv_bfloat16 *__restrict__ k_weight, const float *__restrict__ cache,
               const void *__restrict__ positions, int queries, int heads, int Hq, int Hk, int R, int pos_bytes,
               float eps)
{
    constexpr int SIDE = THREADS / LANES; // heads side by side
    const int lane = threadIdx.x % LANES, first = blockIdx.x * (SIDE * HEADS) + threadIdx.x / LANES;
    const bool rotated = lane * 8 < R;
    uint4 v[HEADS];
    float4 c[HEADS], s[HEADS];
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
        const int unit = first + h * SIDE;
        v[h] = make_uint4(0, 0, 0, 0);
        c[h] = s[h] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (unit >= heads)
            continue;
        const bool is_query = unit < queries;
        const int head = is_query ? unit : unit - queries;
        const uint4 *x = reinterpret_cast<const uint4 *>(is_query ? q : k) + (size_t)head * LANES + lane;
        v[h] = HINT ? __ldcs(x) : *x;
        if (rotated) {
            const float *row = cache + position_of(positions, head / (is_query ? Hq : Hk), pos_bytes) * R + lane * 4;
            c[h] = *reinterpret_cast<const float4 *>(row);
            s[h] = *reinterpret_cast<const float4 *>(row + R / 2);
        }
    }
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
        const int unit = first + h * SIDE;
        const bool is_query = unit < queries;
        const int head = is_query ? unit : unit - queries;
        const uint4 w = reinterpret_cast<const uint4 *>(is_query ? q_weight : k_weight)[lane];
        const unsigned int word[4] = {v[h].x, v[h].y, v[h].z, v[h].w};
        float sum = 0.0f;
#pragma unroll
        for (int i = 0; i < 4; i++)
            sum = fmaf(low(word[i]), low(word[i]), fmaf(high(word[i]), high(word[i]), sum));
        const float scale = rsqrtf(lane_sum(sum, LANES) * (1.0f / (8 * LANES)) + eps);
        if (unit >= heads)
            continue;
        uint4 *x = reinterpret_cast<uint4 *>(is_query ? q : k) + (size_t)head * LANES + lane;
        const uint4 r = make_uint4(
            turned(v[h].x, scale, w.x, c[h].x, s[h].x, rotated), turned(v[h].y, scale, w.y, c[h].y, s[h].y, rotated),
            turned(v[h].z, scale, w.z, c[h].z, s[h].z, rotated), turned(v[h].w, scale, w.w, c[h].w, s[h].w, rotated));
        if (HINT)
            __stcs(x, r);
        else
            *x = r;
    }
}

// One warp per head of any size.
__global__ void __launch_bounds__(THREADS)
    any_rope(__nv_bfloat16 *__restrict__ q, __nv_bfloat16 *__restrict__ k, const __nv_bfloat16 *__restrict__ q_weight,
             const __nv_bfloat16 *__restrict__ k_weight, const float *__restrict__ cache,
             const void *__restrict__ positions, int T, int Hq, int Hk, int D, int R, int pos_bytes, float eps)
{
    const int lane = threadIdx.x % 32;
    const long long unit = (long long)blockIdx.x * (THREADS / 32) + threadIdx.x / 32, queries = (long long)T * Hq;
    if (unit >= (long long)T * (Hq + Hk))
        return;
    const bool is_query = unit < queries;
    const long long head = is_query ? unit : unit - queries;
    const float *row = cache + position_of(positions, head / (is_query ? Hq : Hk), pos_bytes) * R;
    const __nv_bfloat16 *weight = is_query ? q_weight : k_weight;
    __nv_bfloat16 *x = (is_query ? q : k) + head * D;
    float sum = 0.0f;
    for (int i = lane; i < D; i += 32)
        sum = fmaf(__bfloat162float(x[i]), __bfloat162float(x[i]), sum);
    const float scale = rsqrtf(lane_sum(sum, 32) / D + eps);
    for (int i = 2 * lane; i < D; i += 64) {
        const float a = __bfloat162float(x[i]) * (scale * __bfloat162float(weight[i]));
        const bool pair = i + 1 < D, rotated = i < R;
        const float b = pair ? __bfloat162float(x[i + 1]) * (scale * __bfloat162float(weight[i + 1])) : 0.0f;
        const float c = rotated ? row[i / 2] : 1.0f, s = rotated ? row[R / 2 + i / 2] : 0.0f;
        x[i] = __float2bfloat16_rn(a * c - b * s);
        if (pair)
            x[i + 1] = __float2bfloat16_rn(b * c + a * s);
    }
}
