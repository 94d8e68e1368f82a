// Integer tricks and generators: permutes, bit fields, three-input logic, funnel shifts, dot
// products, counts, wide products and divisions, saturation, Philox, LCGs, hashes, normal numbers.
#include <cstdint>

extern "C" __global__ void bit_tricks(const uint32_t *x, const uint32_t *y, uint32_t *out, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    const uint32_t a = x[i], b = y[i];
    uint32_t *o = out + i * 16;
    o[0] = __byte_perm(a, b, 0x3715), o[1] = __byte_perm(a, b, b & 0x7777), o[2] = __funnelshift_l(a, b, a & 63), o[3] = __funnelshift_rc(a, b, b & 63);
    o[4] = __clz(a >> (b & 31)), o[5] = __popc(a & b), o[6] = __brev(a), o[7] = __ffs(a & 0xfff0fff0u);
    asm("bfe.u32 %0, %1, %2, %3;" : "=r"(o[8]) : "r"(a), "r"(b & 31), "r"(b >> 8 & 15));
    asm("bfi.b32 %0, %1, %2, %3, %4;" : "=r"(o[9]) : "r"(b), "r"(a), "r"(a & 15), "r"(9));
    asm("lop3.b32 %0, %1, %2, %3, 0xE8;" : "=r"(o[10]) : "r"(a), "r"(b), "r"(a + b));
    o[11] = a << 7 | a >> 25, o[12] = __umulhi(a, b), o[13] = __mulhi((int)a, (int)b), o[14] = __usad(a, b, 5u), o[15] = __uhadd(a, b) + __urhadd(a, b);
}

extern "C" __global__ void dot_products(const int *x, const int *y, int *out, int n)
{
    const int i = threadIdx.x;
    if (i >= n)
        return;
    int *o = out + i * 4;
    o[0] = __dp4a(x[i], y[i], i), o[1] = (int)__dp4a((unsigned)x[i], (unsigned)y[i], 7u), o[2] = __dp2a_lo(x[i], y[i], -i), o[3] = __dp2a_hi(x[i], y[i], 1);
}

extern "C" __global__ void wide_arithmetic(const unsigned long long *x, const unsigned long long *y, unsigned long long *out, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    const unsigned long long a = x[i] * 0x9E3779B97F4A7C15ull, b = y[i] + 3;
    unsigned long long *o = out + i * 8;
    o[0] = (a / b) & 0xfffffffffffffull, o[1] = a % b, o[2] = __umul64hi(a, a) >> 12, o[3] = (unsigned long long)((long long)a / -(long long)b) >> 12;
    o[4] = (unsigned long long)((long long)a % 1000007) & 0xfffff, o[5] = (a >> (b & 63)) & 0xffffffff, o[6] = __popcll(a) * 100 + __clzll(a >> 20), o[7] = __brevll(a) >> 12;
}

// Division by what the compiler knows, and by what it does not.
extern "C" __global__ void small_divisions(const int *x, const int *y, int *out, int n)
{
    const int i = threadIdx.x + blockIdx.x * blockDim.x;
    if (i >= n)
        return;
    int *o = out + i * 6;
    o[0] = x[i] / 7, o[1] = x[i] % 641, o[2] = x[i] / y[i], o[3] = x[i] % y[i], o[4] = (int)((unsigned)x[i] / 12345u), o[5] = (short)x[i] / (short)(y[i] | 1);
}

extern "C" __global__ void saturating(const int *x, const int *y, int *out, int n)
{
    const int i = threadIdx.x;
    if (i >= n)
        return;
    int s, d, *o = out + i * 6;
    asm("add.sat.s32 %0, %1, %2;" : "=r"(s) : "r"(x[i]), "r"(y[i]));
    asm("sub.sat.s32 %0, %1, %2;" : "=r"(d) : "r"(x[i]), "r"(y[i]));
    o[0] = s, o[1] = d;
    unsigned char u8;
    asm("{ .reg .u8 t; cvt.sat.u8.s32 t, %1; cvt.u16.u8 %0, t; }" : "=h"(*(unsigned short *)&s) : "r"(x[i] >> 22));
    u8 = (unsigned char)s;
    o[2] = u8, o[3] = __vaddss2(x[i], y[i]), o[4] = __vcmpgts4(x[i], y[i]), o[5] = __vminu2(x[i], y[i]);
}

// 128-bit addition and multiplication by carries.
extern "C" __global__ void carries(const uint32_t *x, const uint32_t *y, uint32_t *sum, uint32_t *product)
{
    const uint32_t *a = x + threadIdx.x * 4, *b = y + threadIdx.x * 4;
    uint32_t *s = sum + threadIdx.x * 4, *p = product + threadIdx.x * 4;
    asm("add.cc.u32 %0, %4, %8;\n addc.cc.u32 %1, %5, %9;\n addc.cc.u32 %2, %6, %10;\n addc.u32 %3, %7, %11;"
        : "=r"(s[0]), "=r"(s[1]), "=r"(s[2]), "=r"(s[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]));
    const uint64_t u = (uint64_t)a[1] << 32 | a[0], v = (uint64_t)b[1] << 32 | b[0], low = u * v, high = __umul64hi(u, v);
    p[0] = (uint32_t)low, p[1] = (uint32_t)(low >> 32), p[2] = (uint32_t)high, p[3] = (uint32_t)(high >> 32);
}

__device__ __forceinline__ uint4 philox(uint4 c, uint2 k)
{
#pragma unroll
    for (int r = 0; r < 10; r++) {
        const uint32_t h0 = __umulhi(0xD2511F53u, c.x), l0 = 0xD2511F53u * c.x, h1 = __umulhi(0xCD9E8D57u, c.z), l1 = 0xCD9E8D57u * c.z;
        c = make_uint4(h1 ^ c.y ^ k.x, l1, h0 ^ c.w ^ k.y, l0);
        k.x += 0x9E3779B9u;
        k.y += 0xBB67AE85u;
    }
    return c;
}

// Dropout as frameworks do it: one counter per four elements, the mask beside the result.
extern "C" __global__ void philox_dropout(const float4 *x, float4 *y, uchar4 *mask, int n4, float keep, unsigned long long seed)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n4; i += gridDim.x * blockDim.x) {
        const uint4 r = philox(make_uint4(i, 0, 0, 0), make_uint2((uint32_t)seed, (uint32_t)(seed >> 32)));
        const float f = 1.0f / 4294967296.0f, s = 1.0f / keep;
        const float4 v = x[i];
        const bool a = r.x * f < keep, b = r.y * f < keep, c = r.z * f < keep, d = r.w * f < keep;
        y[i] = make_float4(a ? v.x * s : 0.0f, b ? v.y * s : 0.0f, c ? v.z * s : 0.0f, d ? v.w * s : 0.0f);
        mask[i] = make_uchar4(a, b, c, d);
    }
}

// Box-Muller from an LCG that jumps ahead to the thread's place.
extern "C" __global__ void lcg_normal(float2 *out, uint32_t seed, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    uint32_t a = 1664525u, c = 1013904223u, ja = 1, jc = 0;
    for (uint32_t k = 2 * i; k; k >>= 1) {
        if (k & 1) {
            ja *= a;
            jc = jc * a + c;
        }
        c *= a + 1;
        a *= a;
    }
    uint32_t s = ja * seed + jc;
    if (i >= n)
        return;
    s = s * 1664525u + 1013904223u;
    const float u = ((s >> 8) + 0.5f) * (1.0f / 16777216.0f);
    s = s * 1664525u + 1013904223u;
    const float v = (s >> 8) * (1.0f / 16777216.0f);
    float sine, cosine;
    sincospif(2.0f * v, &sine, &cosine);
    const float r = sqrtf(-2.0f * logf(u));
    out[i] = make_float2(r * cosine, r * sine);
}

// FNV over strings of bytes, murmur's finish, and an open-addressed table filled with compare-and-swap.
extern "C" __global__ void hash_table(const unsigned char *text, const int *start, uint32_t *hashes, int *slots, int words, int size)
{
    const int w = threadIdx.x + blockIdx.x * blockDim.x;
    if (w >= words)
        return;
    uint32_t h = 2166136261u;
    for (int i = start[w]; i < start[w + 1]; i++)
        h = (h ^ text[i]) * 16777619u;
    h ^= h >> 16, h *= 0x85ebca6bu, h ^= h >> 13, h *= 0xc2b2ae35u, h ^= h >> 16;
    hashes[w] = h;
    for (uint32_t at = h % size;; at = at + 1 == size ? 0 : at + 1)
        if (atomicCAS(slots + at, -1, 1) == -1)
            break;
}
