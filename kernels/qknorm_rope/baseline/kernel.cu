// RMSNorm and rotary embedding of the heads of q and k after the upstream CUDA kernel (docs/README.md): one warp per head,
// D / 32 neighbouring elements per lane. A block takes one token, so that block b writes the token's elements of q and of
// k and no others; with few tokens `splits` blocks of eight warps share one. Other sizes: the same with
// one pair per lane and step.
#include <cuda_bf16.h>

#pragma kda variant warp128 when(D == 128 && R % 4 == 0)
#pragma kda launch norm_rope<4>(q, k, q_weight, k_weight, cache, positions, Hq, Hk, R, pos_bytes, \
        T < 256 ? ceil_div(Hq + Hk, 8) : 1, eps) \
        grid(T < 256 ? T * ceil_div(Hq + Hk, 8) : T) block(T < 256 ? 256 : min(512, 32 * (Hq + Hk)))
#pragma kda variant warp64 when(D == 64)
#pragma kda launch norm_rope<2>(q, k, q_weight, k_weight, cache, positions, Hq, Hk, R, pos_bytes, \
        T < 256 ? ceil_div(Hq + Hk, 8) : 1, eps) \
        grid(T < 256 ? T * ceil_div(Hq + Hk, 8) : T) block(T < 256 ? 256 : min(512, 32 * (Hq + Hk)))
#pragma kda variant warp256 when(D == 256 && R % 8 == 0)
#pragma kda launch norm_rope<8>(q, k, q_weight, k_weight, cache, positions, Hq, Hk, R, pos_bytes, \
        T < 256 ? ceil_div(Hq + Hk, 8) : 1, eps) \
        grid(T < 256 ? T * ceil_div(Hq + Hk, 8) : T) block(T < 256 ? 256 : min(512, 32 * (Hq + Hk)))
#pragma kda variant any
#pragma kda launch norm_rope_any(q, k, q_weight, k_weight, cache, positions, Hq, Hk, D, R, pos_bytes, \
        T < 256 ? ceil_div(Hq + Hk, 8) : 1, eps) \
        grid(T < 256 ? T * ceil_div(Hq + Hk, 8) : T) block(T < 256 ? 256 : min(512, 32 * (Hq + Hk)))

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

__device__ __forceinline__ float warp_sum(float value)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

__device__ __forceinline__ long long position_of(const void *positions, long long token, int bytes)
{
    return bytes == 8 ? static_cast<const long long *>(positions)[token] : static_cast<const int *>(positions)[token];
}

template <int VEC>
__global__ void __launch_bounds__(512)
    norm_rope(__nv_bfloat16 *__restrict__ q, __nv_bfloat16 *__restrict__ k, const __nv_bfloat16 *__restrict__ q_weight,
              const __nv_bfloat16 *__restrict__ k_weight, const float *__restrict__ cache,
              const void *__restrict__ positions, int Hq, int Hk, int R, int pos_bytes, int splits,
              float eps)
{
    using Load = typename Vector<2 * VEC>::type;
    using Factors = typename Vector<2 * VEC>::type; // VEC / 2 floats
    const int lane = threadIdx.x % 32;
    const int warps = blockDim.x / 32;
    const long long token = blockIdx.x / splits;
    for (int unit = blockIdx.x % splits * warps + threadIdx.x / 32; unit < Hq + Hk; unit += splits * warps) {
        const bool is_query = unit < Hq;
        const long long head = is_query ? token * Hq + unit : token * Hk + unit - Hq;
        Load *x = reinterpret_cast<Load *>(is_query ? q : k) + head * 32 + lane;
        unsigned int v[VEC / 2], weight[VEC / 2];
        *reinterpret_cast<Load *>(v) = *x;
        *reinterpret_cast<Load *>(weight) = reinterpret_cast<const Load *>(is_query ? q_weight : k_weight)[lane];
        float sum = 0.0f;
#pragma unroll
        for (int i = 0; i < VEC / 2; i++)
            sum = fmaf(low(v[i]), low(v[i]), fmaf(high(v[i]), high(v[i]), sum));
        const float scale = rsqrtf(warp_sum(sum) * (1.0f / (32 * VEC)) + eps);
        float cos[VEC / 2], sin[VEC / 2];
        const bool rotated = lane * VEC < R;
        if (rotated) {
            const float *row = cache + position_of(positions, token, pos_bytes) * R + lane * (VEC / 2);
            *reinterpret_cast<Factors *>(cos) = *reinterpret_cast<const Factors *>(row);
            *reinterpret_cast<Factors *>(sin) = *reinterpret_cast<const Factors *>(row + R / 2);
        }
#pragma unroll
        for (int i = 0; i < VEC / 2; i++) {
            const float a = low(v[i]) * (scale * low(weight[i])), b = high(v[i]) * (scale * high(weight[i]));
            v[i] = rotated ? pack(a * cos[i] - b * sin[i], b * cos[i] + a * sin[i]) : pack(a, b);
        }
        *x = *reinterpret_cast<const Load *>(v);
    }
}

__global__ void __launch_bounds__(512)
    norm_rope_any(__nv_bfloat16 *__restrict__ q, __nv_bfloat16 *__restrict__ k,
                  const __nv_bfloat16 *__restrict__ q_weight, const __nv_bfloat16 *__restrict__ k_weight,
                  const float *__restrict__ cache, const void *__restrict__ positions, int Hq, int Hk, int D,
                  int R, int pos_bytes, int splits,
              float eps)
{
    const int lane = threadIdx.x % 32;
    const int warps = blockDim.x / 32;
    const long long token = blockIdx.x / splits;
    for (int unit = blockIdx.x % splits * warps + threadIdx.x / 32; unit < Hq + Hk; unit += splits * warps) {
        const bool is_query = unit < Hq;
        const long long head = is_query ? token * Hq + unit : token * Hk + unit - Hq;
        const float *row = cache + position_of(positions, token, pos_bytes) * R;
        const __nv_bfloat16 *weight = is_query ? q_weight : k_weight;
        __nv_bfloat16 *x = (is_query ? q : k) + head * D;
        float sum = 0.0f;
        for (int i = lane; i < D; i += 32)
            sum = fmaf(__bfloat162float(x[i]), __bfloat162float(x[i]), sum);
        const float scale = rsqrtf(warp_sum(sum) / D + eps);
        for (int m = lane; m < R / 2; m += 32) {
            const float a = __bfloat162float(x[2 * m]) * (scale * __bfloat162float(weight[2 * m]));
            const float b = __bfloat162float(x[2 * m + 1]) * (scale * __bfloat162float(weight[2 * m + 1]));
            x[2 * m] = __float2bfloat16_rn(a * row[m] - b * row[R / 2 + m]);
            x[2 * m + 1] = __float2bfloat16_rn(b * row[m] + a * row[R / 2 + m]);
        }
        for (int i = R + lane; i < D; i += 32)
            x[i] = __float2bfloat16_rn(__bfloat162float(x[i]) * (scale * __bfloat162float(weight[i])));
    }
}
