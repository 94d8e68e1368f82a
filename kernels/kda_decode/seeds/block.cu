// WARPS warps share a head of a sequence, ROWS value columns each at a time; norms, gate and decays are worked out once per
// block and wait in shared memory while the state is on its way.
#include <cuda_bf16.h>

#pragma kda tune WARPS = 4, 2, 8
#pragma kda tune ROWS = 8, 4, 16
#pragma kda tune SPLIT = 2, 1, 4
#pragma kda launch decode_block(q, k, v, raw, beta, A_log, dt_bias, S_in, o, S_out, H, mode, lower_bound, scale) \
        grid(SPLIT, N * H) block(32 * WARPS)

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

__device__ __forceinline__ float decay(float x, int mode, float a, float lower_bound)
{
    if (mode == 1)
        return __expf(lower_bound / (1.0f + __expf(-a * x)));
    return __expf(-a * (x > 20.0f ? x : __logf(1.0f + __expf(x))));
}

__global__ void __launch_bounds__(32 * WARPS)
    decode_block(const __nv_bfloat16 *__restrict__ q, const __nv_bfloat16 *__restrict__ k,
                 const __nv_bfloat16 *__restrict__ v, const __nv_bfloat16 *__restrict__ raw,
                 const float *__restrict__ beta, const float *__restrict__ A_log, const float *__restrict__ dt_bias,
                 const float *__restrict__ S_in, __nv_bfloat16 *__restrict__ o, float *__restrict__ S_out, int H, int mode,
                 float lower_bound, float scale)
{
    __shared__ float4 query[32], key[32], alpha[32];
    const int pair = blockIdx.y, head = pair % H, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const size_t at = (size_t)pair * 32 + lane;
    if (warp == 0) { // the other warps' loads of the state are not held up
        const float4 x = widen(reinterpret_cast<const uint2 *>(k)[at]);
        const float r = rsqrtf(warp_sum(dot(x, x)) + 1e-6f);
        key[lane] = times(x, make_float4(r, r, r, r));
    }
    if (warp == 1 % WARPS) {
        const float4 x = widen(reinterpret_cast<const uint2 *>(q)[at]);
        const float r = rsqrtf(warp_sum(dot(x, x)) + 1e-6f);
        query[lane] = times(x, make_float4(r, r, r, r));
        const float4 y = widen(reinterpret_cast<const uint2 *>(raw)[at]);
        const float4 bias = reinterpret_cast<const float4 *>(dt_bias)[head * 32 + lane];
        const float a = __expf(A_log[head]);
        alpha[lane] = make_float4(decay(y.x + bias.x, mode, a, lower_bound), decay(y.y + bias.y, mode, a, lower_bound),
                                  decay(y.z + bias.z, mode, a, lower_bound), decay(y.w + bias.w, mode, a, lower_bound));
    }
    const float b = beta[pair];
    bool ready = false;
    float4 kk, qq, aa;
    for (int first = (blockIdx.x * WARPS + warp) * ROWS; first < 128; first += SPLIT * WARPS * ROWS) {
        const size_t state = ((size_t)pair * 128 + first) * 32 + lane;
        float4 S[ROWS];
#pragma unroll
        for (int j = 0; j < ROWS; j++)
            S[j] = reinterpret_cast<const float4 *>(S_in)[state + j * 32];
        const float mine = __bfloat162float(v[(size_t)pair * 128 + first + lane % ROWS]);
        if (!ready) {
            __syncthreads();
            kk = key[lane];
            qq = query[lane];
            aa = alpha[lane];
            ready = true;
        }
        float out = 0.0f;
#pragma unroll
        for (int j = 0; j < ROWS; j++) {
            S[j] = times(S[j], aa);
            const float e = b * (__shfl_sync(0xffffffffu, mine, j) - warp_sum(dot(kk, S[j])));
            S[j] = make_float4(fmaf(kk.x, e, S[j].x), fmaf(kk.y, e, S[j].y), fmaf(kk.z, e, S[j].z), fmaf(kk.w, e, S[j].w));
            const float sum = warp_sum(dot(qq, S[j]));
            out = lane == j ? sum : out;
            reinterpret_cast<float4 *>(S_out)[state + j * 32] = S[j];
        }
        if (lane < ROWS)
            o[(size_t)pair * 128 + first + lane] = __float2bfloat16_rn(scale * out);
    }
    if (!ready) // every thread meets the barrier once
        __syncthreads();
}
