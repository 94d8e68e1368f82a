// LANES lanes share a value column, 128 / LANES key channels each: fewer shuffles, more registers. The output is joined from
// q S' and q k, so that both sums of a column are reduced at once.
#include <cuda_bf16.h>

#pragma kda tune LANES = 8, 16, 4
#pragma kda tune THREADS = 128, 64, 256
#pragma kda tune COLUMNS = 2, 1, 4
#pragma kda launch decode_lanes(q, k, v, raw, beta, A_log, dt_bias, S_in, o, S_out, H, mode, lower_bound, scale) \
        grid(ceil_div(128 * LANES, THREADS * COLUMNS), N * H) block(THREADS)

#define QUADS (32 / LANES) // quads of channels of a lane: lane, lane + LANES, ...

__device__ __forceinline__ float4 widen(uint2 v)
{
    return make_float4(__uint_as_float(v.x << 16), __uint_as_float(v.x & 0xffff0000u), __uint_as_float(v.y << 16),
                       __uint_as_float(v.y & 0xffff0000u));
}

__device__ __forceinline__ float lane_sum(float value)
{
#pragma unroll
    for (int offset = LANES / 2; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

__device__ __forceinline__ float dot(float4 a, float4 b, float sum)
{
    return fmaf(a.x, b.x, fmaf(a.y, b.y, fmaf(a.z, b.z, fmaf(a.w, b.w, sum))));
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

__global__ void __launch_bounds__(THREADS)
    decode_lanes(const __nv_bfloat16 *__restrict__ q, const __nv_bfloat16 *__restrict__ k,
                 const __nv_bfloat16 *__restrict__ v, const __nv_bfloat16 *__restrict__ raw,
                 const float *__restrict__ beta, const float *__restrict__ A_log, const float *__restrict__ dt_bias,
                 const float *__restrict__ S_in, __nv_bfloat16 *__restrict__ o, float *__restrict__ S_out, int H, int mode,
                 float lower_bound, float scale)
{
    __shared__ float4 alpha[32];
    const int pair = blockIdx.y, head = pair % H, lane = threadIdx.x % LANES;
    const size_t at = (size_t)pair * 32;
    if (threadIdx.x < 32) {
        const float4 y = widen(reinterpret_cast<const uint2 *>(raw)[at + threadIdx.x]);
        const float4 bias = reinterpret_cast<const float4 *>(dt_bias)[head * 32 + threadIdx.x];
        const float a = __expf(A_log[head]);
        alpha[threadIdx.x] =
            make_float4(decay(y.x + bias.x, mode, a, lower_bound), decay(y.y + bias.y, mode, a, lower_bound),
                        decay(y.z + bias.z, mode, a, lower_bound), decay(y.w + bias.w, mode, a, lower_bound));
    }
    float4 kk[QUADS], qq[QUADS];
    float k2 = 0.0f, q2 = 0.0f, qk = 0.0f;
#pragma unroll
    for (int i = 0; i < QUADS; i++) {
        kk[i] = widen(reinterpret_cast<const uint2 *>(k)[at + lane + i * LANES]);
        qq[i] = widen(reinterpret_cast<const uint2 *>(q)[at + lane + i * LANES]);
        k2 = dot(kk[i], kk[i], k2);
        q2 = dot(qq[i], qq[i], q2);
        qk = dot(qq[i], kk[i], qk);
    }
    const float rk = rsqrtf(lane_sum(k2) + 1e-6f), rq = rsqrtf(lane_sum(q2) + 1e-6f);
    qk = lane_sum(qk) * rk * rq;
    const float b = beta[pair];
    const int first = (blockIdx.x * THREADS + threadIdx.x) / LANES * COLUMNS;
    __syncthreads();
    if (first >= 128)
        return;
#pragma unroll
    for (int c = 0; c < COLUMNS; c++) {
        const int j = first + c;
        const size_t state = ((size_t)pair * 128 + j) * 32 + lane;
        float4 S[QUADS];
        float p = 0.0f, r = 0.0f;
#pragma unroll
        for (int i = 0; i < QUADS; i++)
            S[i] = reinterpret_cast<const float4 *>(S_in)[state + i * LANES];
#pragma unroll
        for (int i = 0; i < QUADS; i++) {
            S[i] = times(S[i], alpha[lane + i * LANES]);
            p = dot(kk[i], S[i], p);
            r = dot(qq[i], S[i], r);
        }
        p = lane_sum(p) * rk;
        r = lane_sum(r) * rq;
        const float e = b * (__bfloat162float(v[(size_t)pair * 128 + j]) - p), f = e * rk;
#pragma unroll
        for (int i = 0; i < QUADS; i++)
            reinterpret_cast<float4 *>(S_out)[state + i * LANES] =
                make_float4(fmaf(kk[i].x, f, S[i].x), fmaf(kk[i].y, f, S[i].y), fmaf(kk[i].z, f, S[i].z),
                            fmaf(kk[i].w, f, S[i].w));
        if (lane == 0)
            o[(size_t)pair * 128 + j] = __float2bfloat16_rn(scale * fmaf(qk, e, r));
    }
}
