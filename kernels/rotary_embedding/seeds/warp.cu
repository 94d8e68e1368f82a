// One warp per HEADS heads of a token: cos and sin of a lane's VEC elements stay in registers across them. Where a head
// needs fewer than 32 lanes, several heads lie side by side.
#include <cuda_bf16.h>

#pragma kda tune VEC = 4, 8, 2
#pragma kda tune WARPS = 4, 2, 8
#pragma kda tune HEADS = 8, 4, 2, 24
#pragma kda tune HINT = 0, 1, 2
#pragma kda variant vectors when(D % VEC == 0 && (D / VEC >= 32 || 32 % (D / VEC) == 0) && T * H < (1 << 31))
#pragma kda launch warp_vectors(x, cos, sin, y, T, H, D / VEC) \
        grid(ceil_div(T * ceil_div(H, HEADS), WARPS)) block(32 * WARPS)
#pragma kda variant any
#pragma kda launch warp_any(x, cos, sin, y, H, D) grid(T) block(32 * WARPS)

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

__global__ void __launch_bounds__(32 * WARPS)
    warp_vectors(const __nv_bfloat16 *__restrict__ x, const float *__restrict__ cos, const float *__restrict__ sin,
                 __nv_bfloat16 *__restrict__ y, int T, int H, int chunks)
{
    const unsigned int groups = (H + HEADS - 1) / HEADS; // of a token
    const unsigned int unit = blockIdx.x * WARPS + threadIdx.x / 32;
    const unsigned int token = unit / groups;
    if (token >= T)
        return;
    const int lanes = chunks < 32 ? chunks : 32; // of a head
    const int side = 32 / lanes;                 // heads side by side
    const int lane = threadIdx.x % 32;
    const int begin = (unit - token * groups) * HEADS;
    const int end = begin + HEADS < H ? begin + HEADS : H;
    const Vector *in = reinterpret_cast<const Vector *>(x) + (size_t)token * H * chunks;
    Vector *out = reinterpret_cast<Vector *>(y) + (size_t)token * H * chunks;
    for (int chunk = lane % lanes; chunk < chunks; chunk += 32) {
        const Factors c = reinterpret_cast<const Factors *>(cos)[(size_t)token * chunks + chunk];
        const Factors s = reinterpret_cast<const Factors *>(sin)[(size_t)token * chunks + chunk];
#pragma unroll 4
        for (int head = begin + lane / lanes; head < end; head += side)
            store(out + (size_t)head * chunks + chunk, rotate(load(in + (size_t)head * chunks + chunk), c, s));
    }
}

__global__ void __launch_bounds__(32 * WARPS)
    warp_any(const __nv_bfloat16 *__restrict__ x, const float *__restrict__ cos, const float *__restrict__ sin,
             __nv_bfloat16 *__restrict__ y, int H, int D)
{
    const long long half = D / 2;
    for (long long i = threadIdx.x; i < H * half; i += 32 * WARPS) {
        const size_t at = 2 * ((size_t)blockIdx.x * H * half + i);
        const float c = cos[blockIdx.x * half + i % half];
        const float s = sin[blockIdx.x * half + i % half];
        const float a = __bfloat162float(x[at]), b = __bfloat162float(x[at + 1]);
        y[at] = __float2bfloat16_rn(fmaf(-b, s, a * c));
        y[at + 1] = __float2bfloat16_rn(fmaf(a, s, b * c));
    }
}
