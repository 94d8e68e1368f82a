// One decode step of Kimi Delta Attention with the mapping of the upstream Triton kernel (docs/README.md): a program of one
// warp takes 8 value columns of one head of one sequence, all 128 key channels, 4 in each lane.
#include <cuda_bf16.h>

#pragma kda launch decode(q, k, v, raw, beta, A_log, dt_bias, S_in, o, S_out, H, mode, lower_bound, scale) \
        grid(16, N * H) block(32)

#define COLUMNS 8

__device__ __forceinline__ float4 widen(uint2 v)
{
    return make_float4(__uint_as_float(v.x << 16), __uint_as_float(v.x & 0xffff0000u), __uint_as_float(v.y << 16),
                       __uint_as_float(v.y & 0xffff0000u));
}

__device__ __forceinline__ float warp_sum(float value)
{
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

__device__ __forceinline__ float dot(float4 a, float4 b)
{
    return fmaf(a.x, b.x, fmaf(a.y, b.y, fmaf(a.z, b.z, a.w * b.w)));
}

__device__ __forceinline__ float4 times(float4 a, float4 b)
{
    return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w);
}

__device__ __forceinline__ float4 normalised(float4 x)
{
    const float r = rsqrtf(warp_sum(dot(x, x)) + 1e-6f);
    return times(x, make_float4(r, r, r, r));
}

// The factor by which a channel of the state decays.
__device__ __forceinline__ float decay(float x, int mode, float a, float lower_bound)
{
    if (mode == 1)
        return __expf(lower_bound / (1.0f + __expf(-a * x)));
    return __expf(-a * (x > 20.0f ? x : __logf(1.0f + __expf(x))));
}

__global__ void __launch_bounds__(32)
    decode(const __nv_bfloat16 *q, const __nv_bfloat16 *k, const __nv_bfloat16 *v, const __nv_bfloat16 *raw,
           const float *beta, const float *A_log, const float *dt_bias, const float *S_in, __nv_bfloat16 *o, float *S_out,
           int H, int mode, float lower_bound, float scale)
{
    const int pair = blockIdx.y, head = pair % H, first = blockIdx.x * COLUMNS, lane = threadIdx.x;
    const size_t at = (size_t)pair * 32 + lane; // of four channels
    const size_t state = ((size_t)pair * 128 + first) * 32 + lane;
    float4 S[COLUMNS];
#pragma unroll
    for (int j = 0; j < COLUMNS; j++)
        S[j] = reinterpret_cast<const float4 *>(S_in)[state + j * 32];
    const float4 key = normalised(widen(reinterpret_cast<const uint2 *>(k)[at]));
    const float4 query = normalised(widen(reinterpret_cast<const uint2 *>(q)[at]));
    const float4 x = widen(reinterpret_cast<const uint2 *>(raw)[at]);
    const float4 bias = reinterpret_cast<const float4 *>(dt_bias)[head * 32 + lane];
    const float a = __expf(A_log[head]), b = beta[pair];
    const float4 alpha = make_float4(decay(x.x + bias.x, mode, a, lower_bound), decay(x.y + bias.y, mode, a, lower_bound),
                                     decay(x.z + bias.z, mode, a, lower_bound), decay(x.w + bias.w, mode, a, lower_bound));
    float out[COLUMNS];
#pragma unroll
    for (int j = 0; j < COLUMNS; j++) {
        S[j] = times(S[j], alpha);
        const float e = b * (__bfloat162float(v[(size_t)pair * 128 + first + j]) - warp_sum(dot(key, S[j])));
        S[j].x = fmaf(key.x, e, S[j].x);
        S[j].y = fmaf(key.y, e, S[j].y);
        S[j].z = fmaf(key.z, e, S[j].z);
        S[j].w = fmaf(key.w, e, S[j].w);
        out[j] = warp_sum(dot(query, S[j]));
        reinterpret_cast<float4 *>(S_out)[state + j * 32] = S[j];
    }
#pragma unroll
    for (int j = 0; j < COLUMNS; j++)
        if (lane == j)
            o[(size_t)pair * 128 + first + j] = __float2bfloat16_rn(scale * out[j]);
}
