// Flat over all vectors of x: a thread takes UNROLL of them, a block's width apart, and finds token and chunk by
// multiplication with a reciprocal and by a mask instead of a division.
#include <cuda_bf16.h>

#pragma kda tune VEC = 8, 4, 2
#pragma kda tune THREADS = 256, 64, 128, 512
#pragma kda tune UNROLL = 1, 2, 4
#pragma kda tune HINT = 0, 1, 2
// D / VEC is a power of two and every vector has a number below 2^31. With P = H * D / VEC and 2^S >= P,
// i / P = i * ceil(2^(31 + S) / P) >> (31 + S) for every i below 2^31.
#pragma kda variant flat when(D % VEC == 0 && next_pow2(D / VEC) == D / VEC && T * H * (D / VEC) < (1 << 31))
#pragma kda launch flat_vectors(x, cos, sin, y, T * H * (D / VEC), D / VEC, \
        ceil_div(1 << (31 + log2(next_pow2(H * (D / VEC)))), H * (D / VEC)), 31 + log2(next_pow2(H * (D / VEC)))) \
        grid(ceil_div(T * H * (D / VEC), THREADS * UNROLL)) block(THREADS)
#pragma kda variant any
#pragma kda launch flat_any(x, cos, sin, y, T, H, D) grid(ceil_div(T * H * (D / 2), THREADS)) block(THREADS)

#if VEC == 8
typedef uint4 Vector;
typedef float4 Factors;
#elif VEC == 4
typedef uint2 Vector;
typedef float2 Factors;
#else
typedef unsigned int Vector;
typedef float Factors;
#endif

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

__device__ __forceinline__ Vector rotate(Vector v, Factors cos, Factors sin)
{
    unsigned int *word = reinterpret_cast<unsigned int *>(&v);
    const float *c = reinterpret_cast<const float *>(&cos);
    const float *s = reinterpret_cast<const float *>(&sin);
#pragma unroll
    for (int i = 0; i < VEC / 2; i++) {
        const float a = __uint_as_float(word[i] << 16);
        const float b = __uint_as_float(word[i] & 0xffff0000u);
        const __nv_bfloat162 r = __floats2bfloat162_rn(fmaf(-b, s[i], a * c[i]), fmaf(a, s[i], b * c[i]));
        word[i] = *reinterpret_cast<const unsigned int *>(&r);
    }
    return v;
}

__global__ void __launch_bounds__(THREADS)
    flat_vectors(const __nv_bfloat16 *__restrict__ x, const float *__restrict__ cos, const float *__restrict__ sin,
                 __nv_bfloat16 *__restrict__ y, int total, int chunks, unsigned long long reciprocal, int shift)
{
    const unsigned int first = blockIdx.x * (THREADS * UNROLL) + threadIdx.x;
    Vector v[UNROLL];
    Factors c[UNROLL], s[UNROLL];
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
        const unsigned int i = first + u * THREADS;
        if (i < total) {
            const unsigned int token = (unsigned int)(i * reciprocal >> shift);
            const size_t at = (size_t)token * chunks + (i & (chunks - 1));
            v[u] = load(reinterpret_cast<const Vector *>(x) + i);
            c[u] = reinterpret_cast<const Factors *>(cos)[at];
            s[u] = reinterpret_cast<const Factors *>(sin)[at];
        }
    }
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
        const unsigned int i = first + u * THREADS;
        if (i < total)
            store(reinterpret_cast<Vector *>(y) + i, rotate(v[u], c[u], s[u]));
    }
}

__global__ void __launch_bounds__(THREADS)
    flat_any(const __nv_bfloat16 *__restrict__ x, const float *__restrict__ cos, const float *__restrict__ sin,
             __nv_bfloat16 *__restrict__ y, int T, int H, int D)
{
    const size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; // the pair, over all heads of all tokens
    const size_t half = D / 2;
    if (i >= (size_t)T * H * half)
        return;
    const size_t at = i / (H * half) * half + i % half;
    const float c = cos[at], s = sin[at];
    const float a = __bfloat162float(x[2 * i]), b = __bfloat162float(x[2 * i + 1]);
    y[2 * i] = __float2bfloat16_rn(fmaf(-b, s, a * c));
    y[2 * i + 1] = __float2bfloat16_rn(fmaf(a, s, b * c));
}
