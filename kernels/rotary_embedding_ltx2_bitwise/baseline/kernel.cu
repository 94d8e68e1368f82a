// Rotary embedding of split halves: one program per token, which walks the token's heads with 128-bit vectors of eight
// elements of each half (docs/README.md). Other sizes: one thread per pair.
#include <cuda_bf16.h>

#pragma kda variant vec8 when(half % 8 == 0 && head_stride % 8 == 0 && token_stride % 8 == 0 && B <= 65535)
#pragma kda launch rope_vec8(x, cos, sin, y, S, H, half / 8, head_stride / 8, token_stride / 8) \
        grid(S, B) block(min(256, align_up(H * (half / 8), 32)))
#pragma kda variant any
#pragma kda launch rope_any(x, cos, sin, y, B * S * H * half, S, H, half, head_stride, token_stride) \
        grid(ceil_div(B * S * H * half, 256)) block(256)

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

// Two neighbours of the first half: the product with cos is rounded, then the one with sin is taken off.
__device__ __forceinline__ unsigned int first_of(unsigned int p, unsigned int q, unsigned int c, unsigned int t)
{
    const unsigned int r = pack(low(p) * low(c), high(p) * high(c));
    return pack(fmaf(-low(q), low(t), low(r)), fmaf(-high(q), high(t), high(r)));
}

__device__ __forceinline__ unsigned int second_of(unsigned int p, unsigned int q, unsigned int c, unsigned int t)
{
    const unsigned int r = pack(low(q) * low(c), high(q) * high(c));
    return pack(fmaf(low(p), low(t), low(r)), fmaf(high(p), high(t), high(r)));
}

// `chunks`: vectors of a half; the strides count vectors too.
__global__ void __launch_bounds__(256)
    rope_vec8(const __nv_bfloat16 *__restrict__ x, const __nv_bfloat16 *__restrict__ cos,
              const __nv_bfloat16 *__restrict__ sin, __nv_bfloat16 *__restrict__ y, int S, int H, int chunks,
              int head_stride, int token_stride)
{
    const size_t token = (size_t)blockIdx.y * S + blockIdx.x;
    const size_t factors = (size_t)blockIdx.y * S * H * chunks + (size_t)blockIdx.x * token_stride;
    const uint4 *in = reinterpret_cast<const uint4 *>(x) + token * H * 2 * chunks;
    uint4 *out = reinterpret_cast<uint4 *>(y) + token * H * 2 * chunks;
    for (int i = threadIdx.x; i < H * chunks; i += blockDim.x) {
        const int head = i / chunks, chunk = i - head * chunks;
        const int at = head * 2 * chunks + chunk;
        const size_t factor = factors + (size_t)head * head_stride + chunk;
        const uint4 p = in[at], q = in[at + chunks];
        const uint4 c = reinterpret_cast<const uint4 *>(cos)[factor];
        const uint4 t = reinterpret_cast<const uint4 *>(sin)[factor];
        out[at] = make_uint4(first_of(p.x, q.x, c.x, t.x), first_of(p.y, q.y, c.y, t.y),
                             first_of(p.z, q.z, c.z, t.z), first_of(p.w, q.w, c.w, t.w));
        out[at + chunks] = make_uint4(second_of(p.x, q.x, c.x, t.x), second_of(p.y, q.y, c.y, t.y),
                                      second_of(p.z, q.z, c.z, t.z), second_of(p.w, q.w, c.w, t.w));
    }
}

__global__ void __launch_bounds__(256)
    rope_any(const __nv_bfloat16 *__restrict__ x, const __nv_bfloat16 *__restrict__ cos,
             const __nv_bfloat16 *__restrict__ sin, __nv_bfloat16 *__restrict__ y, long long pairs, int S, int H,
             int half, int head_stride, int token_stride)
{
    const long long pair = (long long)blockIdx.x * 256 + threadIdx.x;
    if (pair >= pairs)
        return;
    const long long i = pair % half, head = pair / half % H, token = pair / half / H;
    const long long factor =
        token / S * S * H * half + head * head_stride + token % S * token_stride + i;
    const long long at = (token * H + head) * 2 * half + i;
    const float c = __bfloat162float(cos[factor]), t = __bfloat162float(sin[factor]);
    const float p = __bfloat162float(x[at]), q = __bfloat162float(x[at + half]);
    const float pc = __bfloat162float(__float2bfloat16_rn(p * c));
    const float qc = __bfloat162float(__float2bfloat16_rn(q * c));
    y[at] = __float2bfloat16_rn(fmaf(-q, t, pc));
    y[at + half] = __float2bfloat16_rn(fmaf(p, t, qc));
}
