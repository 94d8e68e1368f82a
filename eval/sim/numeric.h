/* Number formats by bits: f16, bf16, fp8, rounding, and the approximate functions. Plain IEEE
 * arithmetic without contraction, so that every machine gives the same bits. Written to be
 * vectorised: no branches where a selection does. */
#ifndef KDS_EVAL_SIM_NUMERIC_H
#define KDS_EVAL_SIM_NUMERIC_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t kds_f32_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float kds_bits_f32(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline uint64_t kds_f64_bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline double kds_bits_f64(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* NVIDIA's canonical NaN for single precision. */
static inline float kds_canonical(float x)
{
    return x == x ? x : kds_bits_f32(0x7fffffffu);
}

/* Subnormals to zero of the same sign. */
static inline float kds_flush(float x)
{
    uint32_t u = kds_f32_bits(x);
    return kds_bits_f32((u & 0x7f800000u) == 0 ? u & 0x80000000u : u);
}

static inline float kds_saturate(float x)
{
    return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; /* NaN becomes 0 */
}

static inline float kds_bf16_to_f32(uint16_t h)
{
    return kds_bits_f32((uint32_t)h << 16);
}

/* Round to nearest even. */
static inline uint16_t kds_f32_to_bf16(float x)
{
    uint32_t u = kds_f32_bits(x);
    uint32_t rounded = (u + 0x7fffu + (u >> 16 & 1)) >> 16;
    return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : rounded);
}

static inline float kds_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, u = (uint32_t)(h & 0x7fffu) << 13;
    uint32_t exponent = u & 0x0f800000u;
    uint32_t normal = u + 0x38000000u;
    uint32_t special = u + 0x70000000u; /* infinity and NaN */
    float tiny = kds_bits_f32(u + 0x38800000u) - kds_bits_f32(0x38800000u);
    uint32_t magnitude = exponent == 0x0f800000u ? special
                         : exponent == 0         ? kds_f32_bits(tiny)
                                                 : normal;
    return kds_bits_f32(magnitude | sign);
}

/* Round to nearest even; NaN becomes 0x7fff. */
static inline uint16_t kds_f32_to_f16(float x)
{
    uint32_t u = kds_f32_bits(x), sign = u >> 16 & 0x8000u, m = u & 0x7fffffffu;
    uint32_t normal = (m - 0x38000000u + 0xfffu + (m >> 13 & 1)) >> 13;
    /* Adding 0.5 aligns the last bit of a subnormal half with that of the sum. */
    uint32_t small = kds_f32_bits(kds_bits_f32(m < 0x38800000u ? m : 0) + 0.5f) - 0x3f000000u;
    uint32_t r = m < 0x38800000u ? small : m >= 0x47800000u ? 0x7c00u : normal;
    return (uint16_t)(m > 0x7f800000u ? 0x7fffu : (r | sign));
}

/* a * b + c rounded to odd in double: rounding it again to f32 or less gives the right result. */
static inline double kds_fma_odd(float a, float b, float c)
{
    double p = (double)a * (double)b, z = c, s = p + z;
    double t = s - p, error = (p - (s - t)) + (z - t);
    uint64_t u = kds_f64_bits(s);
    bool inexact = error != 0.0 && (u & 1) == 0 && (u & 0x7ff0000000000000u) != 0x7ff0000000000000u;
    /* Away from zero if the error has the sign of the sum, else towards it. */
    bool outward = (error > 0.0) == (s > 0.0);
    uint64_t odd = outward ? u + 1 : u - 1;
    return kds_bits_f64(inexact ? odd : u);
}

/* Fused, whatever the machine has. */
static inline float kds_fma_f32(float a, float b, float c)
{
#if defined(__FMA__) || defined(__aarch64__)
    return __builtin_fmaf(a, b, c);
#else
    return (float)kds_fma_odd(a, b, c);
#endif
}

static inline double kds_fma_f64(double a, double b, double c)
{
    return fma(a, b, c);
}

/* Double to single, rounded to odd. */
static inline float kds_odd_f32(double x)
{
    float f = (float)x;
    uint32_t u = kds_f32_bits(f);
    double back = f;
    bool inexact = back != x && x == x;
    /* Take the neighbour towards zero if rounding went outward, then make it odd. */
    bool outward = fabs(back) > fabs(x);
    u = inexact && outward ? u - 1 : u;
    return kds_bits_f32(inexact ? u | 1 : u);
}

/* 2^x in single precision, error below one unit in the last place; PTX allows 2^-22 relative. */
static inline float kds_ex2(float x)
{
    float c = x > -160.0f ? x : -160.0f; /* NaN goes low, and is put back below */
    c = c < 129.0f ? c : 129.0f;
    float n = (c + 12582912.0f) - 12582912.0f, f = c - n;
    float p = 1.5252733804e-5f;
    p = p * f + 1.5403530394e-4f;
    p = p * f + 1.3333558147e-3f;
    p = p * f + 9.6181291076e-3f;
    p = p * f + 5.5504108665e-2f;
    p = p * f + 2.4022650696e-1f;
    p = p * f + 6.9314718056e-1f;
    p = p * f + 1.0f;
    int32_t whole = (int32_t)n, half = whole / 2;
    float low = kds_bits_f32((uint32_t)(half + 127) << 23);
    float high = kds_bits_f32((uint32_t)(whole - half + 127) << 23);
    return x == x ? p * low * high : kds_bits_f32(0x7fffffffu);
}

/* ---- numeric.c ---- */

float kds_lg2(float x);
float kds_sin(float x);
float kds_cos(float x);
float kds_tanh(float x);
/* fp8: e4m3 (no infinity, NaN 0x7f) or e5m2, saturating to the largest finite value. */
uint8_t kds_f32_to_fp8(float x, bool e5m2);
float kds_fp8_to_f32(uint8_t v, bool e5m2);
/* f32 to tf32: low 13 bits cleared; nearest even, nearest away or truncated. */
uint32_t kds_f32_to_tf32(float x, bool away, bool truncate);

#endif
