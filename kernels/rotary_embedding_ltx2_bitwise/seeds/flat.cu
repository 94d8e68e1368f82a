// Flat over all vectors of the first halves: a thread takes UNROLL of them, a block's width apart, each with its partner of
// the second half. Sizes are compiled in, so that token and head are found without a division at run time.
#include <cuda_bf16.h>

#pragma kda tune VEC = 8, 4, 2
#pragma kda tune THREADS = 256, 128, 64, 512
#pragma kda tune UNROLL = 1, 2, 4
#pragma kda tune HINT = 0, 1
#pragma kda variant flat when(half % VEC == 0 && head_stride == half && token_stride == H * half && \
        B * S * H * (half / VEC) < (1 << 31))
#pragma kda define CHUNKS = half / VEC
#pragma kda launch flat_vectors(x, cos, sin, y, B * S * H * (half / VEC)) \
        grid(ceil_div(B * S * H * (half / VEC), THREADS * UNROLL)) block(THREADS)
#pragma kda variant any
#pragma kda define CHUNKS = 1
#pragma kda launch flat_any(x, cos, sin, y, B * S * H * half, S, H, half, head_stride, token_stride) \
        grid(ceil_div(B * S * H * half, THREADS)) block(THREADS)

#if VEC == 8
typedef uint4 Vector;
#elif VEC == 4
typedef uint2 Vector;
#else
typedef unsigned int Vector;
#endif

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

__device__ __forceinline__ Vector load(const Vector *p)
{
    return HINT ? __ldcs(p) : *p;
}

__device__ __forceinline__ void store(Vector *p, Vector v)
{
    if (HINT)
        __stcs(p, v);
    else
        *p = v;
}

// own * cos, rounded, plus sign * other * sin.
__device__ __forceinline__ Vector turned(Vector own, Vector other, Vector cos, Vector sin, float sign)
{
    unsigned int *a = reinterpret_cast<unsigned int *>(&own);
    const unsigned int *b = reinterpret_cast<const unsigned int *>(&other);
    const unsigned int *c = reinterpret_cast<const unsigned int *>(&cos);
    const unsigned int *t = reinterpret_cast<const unsigned int *>(&sin);
#pragma unroll
    for (int k = 0; k < VEC / 2; k++) {
        const unsigned int r = pack(low(a[k]) * low(c[k]), high(a[k]) * high(c[k]));
        a[k] = pack(fmaf(sign * low(b[k]), low(t[k]), low(r)), fmaf(sign * high(b[k]), high(t[k]), high(r)));
    }
    return own;
}

__global__ void __launch_bounds__(THREADS)
    flat_vectors(const __nv_bfloat16 *__restrict__ x, const __nv_bfloat16 *__restrict__ cos,
                 const __nv_bfloat16 *__restrict__ sin, __nv_bfloat16 *__restrict__ y, int total)
{
    const unsigned int first = blockIdx.x * (THREADS * UNROLL) + threadIdx.x;
    const Vector *in = reinterpret_cast<const Vector *>(x);
    Vector *out = reinterpret_cast<Vector *>(y);
    Vector p[UNROLL], q[UNROLL], c[UNROLL], t[UNROLL];
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
        const unsigned int i = first + u * THREADS;
        if (i >= total)
            continue;
        const size_t at = (size_t)(i / CHUNKS) * (2 * CHUNKS) + i % CHUNKS;
        p[u] = load(in + at);
        q[u] = load(in + at + CHUNKS);
        c[u] = load(reinterpret_cast<const Vector *>(cos) + i);
        t[u] = load(reinterpret_cast<const Vector *>(sin) + i);
    }
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
        const unsigned int i = first + u * THREADS;
        if (i >= total)
            continue;
        const size_t at = (size_t)(i / CHUNKS) * (2 * CHUNKS) + i % CHUNKS;
        store(out + at, turned(p[u], q[u], c[u], t[u], -1.0f));
        store(out + at + CHUNKS, turned(q[u], p[u], c[u], t[u], 1.0f));
    }
}

__global__ void __launch_bounds__(THREADS)
    flat_any(const __nv_bfloat16 *__restrict__ x, const __nv_bfloat16 *__restrict__ cos,
             const __nv_bfloat16 *__restrict__ sin, __nv_bfloat16 *__restrict__ y, long long pairs, int S, int H,
             int half, int head_stride, int token_stride)
{
    const long long pair = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (pair >= pairs)
        return;
    const long long i = pair % half, head = pair / half % H, token = pair / half / H;
    const long long factor = token / S * S * H * half + head * head_stride + token % S * token_stride + i;
    const long long at = (token * H + head) * 2 * half + i;
    const float c = __bfloat162float(cos[factor]), t = __bfloat162float(sin[factor]);
    const float p = __bfloat162float(x[at]), q = __bfloat162float(x[at + half]);
    y[at] = __float2bfloat16_rn(fmaf(-q, t, __bfloat162float(__float2bfloat16_rn(p * c))));
    y[at + half] = __float2bfloat16_rn(fmaf(p, t, __bfloat162float(__float2bfloat16_rn(q * c))));
}
