// A group of half / 8 lanes per head, several heads per warp; a thread walks HEADS heads of its token with all their loads
// under way. Any layout of cos and sin whose strides are multiples of eight.
#include <cuda_bf16.h>

#pragma kda tune WARPS = 4, 2, 8
#pragma kda tune HEADS = 1, 2, 4
#pragma kda tune HINT = 0, 1
#pragma kda variant heads when(half % 8 == 0 && half <= 256 && next_pow2(half) == half && head_stride % 8 == 0 && \
        token_stride % 8 == 0 && B * S * H < (1 << 31))
#pragma kda define LANES = half / 8
#pragma kda launch head_groups(x, cos, sin, y, S, H, B * S * ceil_div(H, HEADS), head_stride / 8, token_stride / 8) \
        grid(ceil_div(B * S * ceil_div(H, HEADS), WARPS * (32 / (half / 8)))) block(32 * WARPS)
#pragma kda variant any
#pragma kda define LANES = 32
#pragma kda launch head_any(x, cos, sin, y, S, H, half, head_stride, token_stride) grid(B * S) block(32 * WARPS)

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

__device__ __forceinline__ unsigned int turned2(unsigned int a, unsigned int b, unsigned int c, unsigned int t,
                                                float sign)
{
    const unsigned int r = pack(low(a) * low(c), high(a) * high(c));
    return pack(fmaf(sign * low(b), low(t), low(r)), fmaf(sign * high(b), high(t), high(r)));
}

__device__ __forceinline__ uint4 turned(uint4 a, uint4 b, uint4 c, uint4 t, float sign)
{
    return make_uint4(turned2(a.x, b.x, c.x, t.x, sign), turned2(a.y, b.y, c.y, t.y, sign),
                      turned2(a.z, b.z, c.z, t.z, sign), turned2(a.w, b.w, c.w, t.w, sign));
}

__device__ __forceinline__ uint4 load(const uint4 *p)
{
    return HINT ? __ldcs(p) : *p;
}

__global__ void __launch_bounds__(32 * WARPS)
    head_groups(const __nv_bfloat16 *__restrict__ x, const __nv_bfloat16 *__restrict__ cos,
                const __nv_bfloat16 *__restrict__ sin, __nv_bfloat16 *__restrict__ y, int S, int H, int units,
                int head_stride, int token_stride)
{
    const int groups = (H + HEADS - 1) / HEADS; // of a token
    const int unit = blockIdx.x * (WARPS * 32 / LANES) + threadIdx.x / LANES, lane = threadIdx.x % LANES;
    if (unit >= units)
        return;
    const int token = unit / groups, first = (unit - token * groups) * HEADS;
    const uint4 *in = reinterpret_cast<const uint4 *>(x) + (size_t)token * H * 2 * LANES + lane;
    uint4 *out = reinterpret_cast<uint4 *>(y) + (size_t)token * H * 2 * LANES + lane;
    const size_t factor =
        (size_t)(token / S) * S * H * LANES + (size_t)(token % S) * token_stride + lane;
    uint4 p[HEADS], q[HEADS], c[HEADS], t[HEADS];
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
        if (first + h >= H)
            continue;
        p[h] = load(in + (first + h) * 2 * LANES);
        q[h] = load(in + (first + h) * 2 * LANES + LANES);
        c[h] = load(reinterpret_cast<const uint4 *>(cos) + factor + (size_t)(first + h) * head_stride);
        t[h] = load(reinterpret_cast<const uint4 *>(sin) + factor + (size_t)(first + h) * head_stride);
    }
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
        if (first + h >= H)
            continue;
        out[(first + h) * 2 * LANES] = turned(p[h], q[h], c[h], t[h], -1.0f);
        out[(first + h) * 2 * LANES + LANES] = turned(q[h], p[h], c[h], t[h], 1.0f);
    }
}

// One block per token, one thread per pair.
__global__ void __launch_bounds__(32 * WARPS)
    head_any(const __nv_bfloat16 *__restrict__ x, const __nv_bfloat16 *__restrict__ cos,
             const __nv_bfloat16 *__restrict__ sin, __nv_bfloat16 *__restrict__ y, int S, int H, int half,
             int head_stride, int token_stride)
{
    const size_t token = blockIdx.x;
    const size_t factors = token / S * S * H * half + token % S * token_stride;
    for (int pair = threadIdx.x; pair < H * half; pair += 32 * WARPS) {
        const int head = pair / half, i = pair % half;
        const size_t at = (token * H + head) * 2 * half + i;
        const float c = __bfloat162float(cos[factors + (size_t)head * head_stride + i]);
        const float t = __bfloat162float(sin[factors + (size_t)head * head_stride + i]);
        const float p = __bfloat162float(x[at]), q = __bfloat162float(x[at + half]);
        y[at] = __float2bfloat16_rn(fmaf(-q, t, __bfloat162float(__float2bfloat16_rn(p * c))));
        y[at + half] = __float2bfloat16_rn(fmaf(p, t, __bfloat162float(__float2bfloat16_rn(q * c))));
    }
}
