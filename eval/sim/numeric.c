/* The approximate functions of the special function unit, and fp8. The hardware's results are not
 * documented to the bit; these are within the documented errors of PTX and the same on every
 * machine, since they use nothing but IEEE addition, multiplication and division in double. */
#include "eval/sim/numeric.h"

/* A polynomial with coefficients from the highest power down. */
static double polynomial(const double *c, int count, double x)
{
    double sum = c[0];
    for (int k = 1; k < count; k++)
        sum = sum * x + c[k];
    return sum;
}

/* 2^f for f in [-0.5, 0.5]: the Taylor series of exp(f ln 2). */
static double exp2_fraction(double f)
{
    static const double c[] = {1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                               1.0 / 5040,     1.0 / 720,     1.0 / 120,    1.0 / 24,
                               1.0 / 6,        0.5,           1.0,          1.0};
    return polynomial(c, 12, f * 0.69314718055994530942);
}

static double exp2_wide(double x)
{
    if (!(x > -1000.0))
        return x == x ? 0.0 : x;
    if (x > 1000.0)
        return INFINITY;
    double n = floor(x + 0.5);
    return exp2_fraction(x - n) * kds_bits_f64((uint64_t)(int64_t)(n + 1023.0) << 52);
}

/* log2 of a positive finite double: 2 atanh((m - 1) / (m + 1)) / ln 2 plus the exponent. */
static double log2_wide(double x)
{
    uint64_t u = kds_f64_bits(x);
    int exponent = (int)(u >> 52) - 1023;
    double m = kds_bits_f64((u & 0xfffffffffffffu) | 0x3ff0000000000000u);
    if (m > 1.41421356237309504880) {
        m = m * 0.5;
        exponent++;
    }
    static const double c[] = {1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11,
                               1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3,  1.0};
    double s = (m - 1.0) / (m + 1.0);
    return exponent + s * polynomial(c, 10, s * s) * 2.8853900817779268147;
}

float kds_lg2(float x)
{
    if (x != x || x < 0.0f)
        return kds_bits_f32(0x7fffffffu);
    if (x == 0.0f)
        return -INFINITY;
    return x == INFINITY ? INFINITY : (float)log2_wide((double)x);
}

/* sin (phase 0) or cos (phase 1) of a finite angle, by quarter turns. */
static float sine(float x, int phase)
{
    if (!(fabsf(x) < INFINITY))
        return kds_bits_f32(0x7fffffffu);
    double q = floor((double)x * 0.63661977236758134308 + 0.5);
    /* Three parts of pi/2: exact products for angles up to about 2^27. */
    double r = (double)x - q * 1.57079632673412561417;
    r = r - q * 6.07710050630396597660e-11;
    r = r - q * 2.02226624879595063154e-21;
    int64_t quarter = (int64_t)fmod(q, 4.0) + phase;
    static const double odd[] = {
        -1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800, 1.0 / 362880,
        -1.0 / 5040,          1.0 / 120,        -1.0 / 6,        1.0};
    static const double even[] = {1.0 / 20922789888000,
                                  -1.0 / 87178291200,
                                  1.0 / 479001600,
                                  -1.0 / 3628800,
                                  1.0 / 40320,
                                  -1.0 / 720,
                                  1.0 / 24,
                                  -0.5,
                                  1.0};
    double r2 = r * r;
    double sum = (quarter & 1) != 0 ? polynomial(even, 9, r2) : r * polynomial(odd, 8, r2);
    return (float)((quarter & 2) != 0 ? -sum : sum);
}

float kds_sin(float x)
{
    return x == 0.0f ? x : sine(x, 0);
}

float kds_cos(float x)
{
    return sine(x, 1);
}

float kds_tanh(float x)
{
    if (x != x)
        return kds_bits_f32(0x7fffffffu);
    double a = fabs((double)x);
    double r;
    if (a < 0.02) {
        double a2 = a * a;
        r = a * (1.0 - a2 * (1.0 / 3.0 - a2 * (2.0 / 15.0 - a2 * (17.0 / 315.0))));
    } else {
        double e = exp2_wide(-2.0 * 1.44269504088896340736 * a);
        r = (1.0 - e) / (1.0 + e);
    }
    return copysignf((float)r, x);
}

uint8_t kds_f32_to_fp8(float x, bool e5m2)
{
    int mantissa = e5m2 ? 2 : 3, bias = e5m2 ? 15 : 7;
    uint8_t largest = e5m2 ? 0x7b : 0x7e, sign = kds_f32_bits(x) >> 31 ? 0x80 : 0;
    if (x != x)
        return 0x7f;
    double a = fabs((double)x);
    double limit = kds_fp8_to_f32(largest, e5m2);
    if (a >= limit)
        return sign | largest;
    /* The spacing of the numbers around a. */
    int exponent = 1 - bias;
    if (a > 0.0) {
        int e = (int)(kds_f64_bits(a) >> 52) - 1023;
        exponent = e > exponent ? e : exponent;
    }
    double steps = ldexp(a, mantissa - exponent);
    double whole = floor(steps), rest = steps - whole;
    if (rest > 0.5 || (rest == 0.5 && fmod(whole, 2.0) != 0.0))
        whole = whole + 1.0;
    /* Steps below 2^mantissa are subnormal: their exponent field is 0, as the sum shows. */
    int code = ((exponent - (1 - bias)) << mantissa) + (int)whole;
    return (uint8_t)(sign | (code > largest ? largest : code));
}

float kds_fp8_to_f32(uint8_t v, bool e5m2)
{
    int mantissa = e5m2 ? 2 : 3, bias = e5m2 ? 15 : 7;
    int magnitude = v & 0x7f, exponent = magnitude >> mantissa,
        fraction = magnitude & ((1 << mantissa) - 1);
    float sign = (v & 0x80) != 0 ? -1.0f : 1.0f;
    if (e5m2 && exponent == 31)
        return fraction != 0 ? kds_bits_f32(0x7fffffffu) : sign * INFINITY;
    if (!e5m2 && magnitude == 0x7f)
        return kds_bits_f32(0x7fffffffu);
    if (exponent == 0)
        return sign * ldexpf((float)fraction, 1 - bias - mantissa);
    return sign * ldexpf((float)(fraction + (1 << mantissa)), exponent - bias - mantissa);
}

uint32_t kds_f32_to_tf32(float x, bool away, bool truncate)
{
    uint32_t u = kds_f32_bits(x);
    if (x != x)
        return 0x7fffffffu;
    if (fabsf(x) < INFINITY && !truncate)
        u += away ? 0x1000u : 0xfffu + (u >> 13 & 1);
    return u & ~0x1fffu;
}
