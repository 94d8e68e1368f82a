// One block per token: a thread keeps cos and sin of its VEC elements in registers and walks the heads, UNROLL of them
// in flight.
#include <cuda_bf16.h>

#pragma kda tune VEC = 8, 4, 2
#pragma kda tune THREADS = 128, 64, 256, 512
#pragma kda tune UNROLL = 1, 2, 4
#pragma kda tune HINT = 0, 1, 2
#pragma kda variant vectors when(D % VEC == 0 && D / VEC <= THREADS)
#pragma kda launch token_vectors(x, cos, sin, y, H, D / VEC) grid(T) block(THREADS)
#pragma kda variant any
#pragma kda launch token_any(x, cos, sin, y, H, D) grid(T) block(THREADS)

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
    token_vectors(const __nv_bfloat16 *__restrict__ x, const float *__restrict__ cos, const float *__restrict__ sin,
                  __nv_bfloat16 *__restrict__ y, int H, int chunks)
{
    const int rows = THREADS / chunks; // heads side by side
    const int chunk = threadIdx.x % chunks;
    const int first = threadIdx.x / chunks;
    if (first >= rows)
        return;
    const Factors c = reinterpret_cast<const Factors *>(cos)[(size_t)blockIdx.x * chunks + chunk];
    const Factors s = reinterpret_cast<const Factors *>(sin)[(size_t)blockIdx.x * chunks + chunk];
    const size_t base = (size_t)blockIdx.x * H * chunks + chunk;
    const Vector *in = reinterpret_cast<const Vector *>(x) + base;
    Vector *out = reinterpret_cast<Vector *>(y) + base;
    for (int head = first; head < H; head += rows * UNROLL) {
        Vector v[UNROLL];
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            if (head + u * rows < H)
                v[u] = load(in + (size_t)(head + u * rows) * chunks);
        }
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            if (head + u * rows < H)
                store(out + (size_t)(head + u * rows) * chunks, rotate(v[u], c, s));
        }
    }
}

__global__ void __launch_bounds__(THREADS)
    token_any(const __nv_bfloat16 *__restrict__ x, const float *__restrict__ cos, const float *__restrict__ sin,
              __nv_bfloat16 *__restrict__ y, int H, int D)
{
    const long long half = D / 2;
    for (long long i = threadIdx.x; i < H * half; i += THREADS) {
        const size_t at = 2 * ((size_t)blockIdx.x * H * half + i);
        const float c = cos[blockIdx.x * half + i % half];
        const float s = sin[blockIdx.x * half + i % half];
        const float a = __bfloat162float(x[at]), b = __bfloat162float(x[at + 1]);
        y[at] = __float2bfloat16_rn(fmaf(-b, s, a * c));
        y[at + 1] = __float2bfloat16_rn(fmaf(a, s, b * c));
    }
}
