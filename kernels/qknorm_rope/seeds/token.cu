// One block per token: each group of D / 8 lanes loads the token's cos and sin once, keeps them in registers and walks the
// heads of q and of k, UNROLL at a time.
#include <cuda_bf16.h>

#pragma kda tune THREADS = 256, 128, 384, 512
#pragma kda tune UNROLL = 1, 2, 3
#pragma kda tune HINT = 0, 1
#pragma kda variant token when(D % 8 == 0 && D <= 256 && next_pow2(D) == D && R % 8 == 0)
#pragma kda define LANES = D / 8
#pragma kda launch token_rope(q, k, q_weight, k_weight, cache, positions, Hq, Hk, R, pos_bytes, eps) grid(T) block(THREADS)
#pragma kda variant any
#pragma kda define LANES = 32
#pragma kda launch any_rope(q, k, q_weight, k_weight, cache, positions, Hq, Hk, D, R, pos_bytes, eps) grid(T) block(THREADS)

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
    token_rope(__nv_bfloat16 *__restrict__ q, __nv_bfloat16 *__restrict__ k, const __nv_bfloat16 *__restrict__ q_weight,
               const __nv_bfloat16 *__restrict__ k_weight, const float *__restrict__ cache,
               const void *__restrict__ positions, int Hq, int Hk, int R, int pos_bytes, float eps)
{
    constexpr int SIDE = THREADS / LANES; // heads side by side
    const size_t token = blockIdx.x;
    const int lane = threadIdx.x % LANES, group = threadIdx.x / LANES;
    const bool rotated = lane * 8 < R;
    float4 c = make_float4(0.0f, 0.0f, 0.0f, 0.0f), s = c;
    if (rotated) {
        const float *row = cache + position_of(positions, token, pos_bytes) * R + lane * 4;
        c = *reinterpret_cast<const float4 *>(row);
        s = *reinterpret_cast<const float4 *>(row + R / 2);
    }
    for (int base = 0; base < Hq + Hk; base += SIDE * UNROLL) { // the same count for all lanes of a warp
        uint4 v[UNROLL];
        uint4 *at[UNROLL];
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            const int head = base + u * SIDE + group;
            at[u] = reinterpret_cast<uint4 *>(head < Hq ? q + (token * Hq + head) * (8 * LANES)
                                                        : k + (token * Hk + head - Hq) * (8 * LANES)) +
                    lane;
            v[u] = make_uint4(0, 0, 0, 0);
            if (head < Hq + Hk)
                v[u] = HINT ? __ldcs(at[u]) : *at[u];
        }
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            const int head = base + u * SIDE + group;
            const uint4 w = reinterpret_cast<const uint4 *>(head < Hq ? q_weight : k_weight)[lane];
            const unsigned int word[4] = {v[u].x, v[u].y, v[u].z, v[u].w};
            float sum = 0.0f;
#pragma unroll
            for (int i = 0; i < 4; i++)
                sum = fmaf(low(word[i]), low(word[i]), fmaf(high(word[i]), high(word[i]), sum));
            const float scale = rsqrtf(lane_sum(sum, LANES) * (1.0f / (8 * LANES)) + eps);
            if (head >= Hq + Hk)
                continue;
            const uint4 r = make_uint4(
                turned(v[u].x, scale, w.x, c.x, s.x, rotated), turned(v[u].y, scale, w.y, c.y, s.y, rotated),
                turned(v[u].z, scale, w.z, c.z, s.z, rotated), turned(v[u].w, scale, w.w, c.w, s.w, rotated));
            if (HINT)
                __stcs(at[u], r);
            else
                *at[u] = r;
        }
    }
}

// One block per token, one warp per head of any size.
__global__ void __launch_bounds__(THREADS)
    any_rope(__nv_bfloat16 *__restrict__ q, __nv_bfloat16 *__restrict__ k, const __nv_bfloat16 *__restrict__ q_weight,
             const __nv_bfloat16 *__restrict__ k_weight, const float *__restrict__ cache,
             const void *__restrict__ positions, int Hq, int Hk, int D, int R, int pos_bytes, float eps)
{
    const size_t token = blockIdx.x;
    const int lane = threadIdx.x % 32;
    const float *row = cache + position_of(positions, token, pos_bytes) * R;
    for (int head = threadIdx.x / 32; head < Hq + Hk; head += THREADS / 32) {
        const __nv_bfloat16 *weight = head < Hq ? q_weight : k_weight;
        __nv_bfloat16 *x = head < Hq ? q + (token * Hq + head) * D : k + (token * Hk + head - Hq) * D;
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
}
