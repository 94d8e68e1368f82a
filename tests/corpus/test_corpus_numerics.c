/* Floating point: the device library, narrow formats, roundings. */
#include "tests/corpus/corpus.h"
#include <fenv.h>

static void want_single(double *const *v)
{
    for (int i = 0; i < N(2); i++) {
        double x = v[0][i], *o = v[1] + i * 20;
        float f = (float)x;
        o[0] = sin(x), o[1] = cos((double)(f * 100.0f)), o[2] = tan(x), o[3] = exp(x);
        o[4] = exp2(x), o[5] = log(fabs(x)), o[6] = log2((double)(fabsf(f) + 1.0f));
        o[7] = log1p((double)(f * f)), o[8] = expm1((double)(f * 0.01f)), o[9] = tanh(x);
        o[10] = erf(x), o[11] = erfc(x), o[12] = pow(fabs(x), (double)2.3f), o[13] = cbrt(x);
        o[14] = atan2(x, (double)0.7f), o[15] = asin((double)(f / 11.0f)), o[16] = sinh(x);
        o[17] = fmod((double)(f * 7.0f), 0.375), o[18] = hypot(x, 3), o[19] = 1 / sqrt(fabs(x));
    }
}

static void want_double(double *const *v)
{
    for (int i = 0; i < N(2); i++) {
        double x = v[0][i], *o = v[1] + i * 14;
        o[0] = sin(x * 1e4), o[1] = cos(x), o[2] = exp(x), o[3] = log(fabs(x)), o[4] = tanh(x);
        o[5] = erf(x), o[6] = pow(fabs(x), -1.7), o[7] = sqrt(fabs(x)), o[8] = 1 / x;
        o[9] = atan(x), o[10] = fma(x, x, -1.0), o[11] = lgamma(fabs(x) + 0.5), o[12] = rint(x * 3);
        o[13] = cbrt(x);
    }
}

static void want_fast(double *const *v)
{
    for (int i = 0; i < N(2); i++) {
        double x = v[0][i], *o = v[1] + i * 12;
        o[0] = sin(x), o[1] = cos(x), o[2] = exp(x), o[3] = log(x * x + 0.1);
        o[4] = pow(fabs(x) + 0.1, 1.5), o[5] = x / 3, o[6] = 1 / x, o[7] = sqrt(fabs(x));
        o[8] = pow(10, x * 0.5), o[9] = fmin(fmax(x, 0), 1), o[10] = x * x + 0.5, o[11] = tanh(x);
    }
}

/* A double to the float that a direction gives. */
static float to_float(double x, int mode)
{
    float f = (float)x;
    if (mode == FE_DOWNWARD || (mode == FE_TOWARDZERO && x > 0))
        return (double)f > x ? nextafterf(f, -INFINITY) : f;
    if (mode == FE_UPWARD || mode == FE_TOWARDZERO)
        return (double)f < x ? nextafterf(f, INFINITY) : f;
    return f;
}

/* Sums of floats of like size and all products are exact as doubles. */
static void want_directed(double *const *v)
{
    static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    for (int i = 0; i < N(4); i++) {
        double a = v[0][i], b = v[1][i], *o = v[2] + i * 12;
        for (int m = 0; m < 4; m++) {
            o[m] = to_float(a + b, modes[m]);
            o[4 + m] = to_float(a * b, modes[m]);
        }
        o[8] = to_float(a * 1.1, FE_TONEAREST);
        o[9] = to_float(a * 1.1, FE_DOWNWARD);
        o[10] = to_float(a * 1.1, FE_UPWARD);
        o[11] = to_float(16777217 + i, FE_TOWARDZERO);
        v[3][i] = a + b * 3;
    }
}

static double narrow(kds_dtype t, double x)
{
    uint16_t h;
    kds_dtype_store(t, &h, x);
    return kds_dtype_load(t, &h);
}

static void want_half(double *const *v)
{
    for (int i = 0; i < 2 * N(3); i++) {
        double a = v[0][i], b = v[1][i], *o = v[2] + i / 2 * 24 + i % 2;
        double low_a = v[0][i & ~1], high_a = v[0][i | 1], low_b = v[1][i & ~1],
               high_b = v[1][i | 1];
        o[0] = a + b, o[2] = a - b, o[4] = a * b, o[6] = a * b + a, o[8] = a / b;
        o[10] = fmax(a, b), o[12] = fmin(a, -b), o[14] = fabs(a);
        o[16] = fmin(fmax(a + b, 0), 1), o[18] = a > b, o[20] = v[0][i ^ 1];
        o[22] = i % 2 == 0 ? low_a * high_b : fmax(high_a * low_b + low_a, 0);
        for (int k = 0; k < 12; k++)
            o[2 * k] = narrow(KDS_DTYPE_F16, o[2 * k]);
    }
}

static void want_half_functions(double *const *v)
{
    for (int i = 0; i < 2 * N(2); i++) {
        double a = v[0][i], p = fabs(a), *o = v[1] + i / 2 * 16 + i % 2;
        o[0] = exp(a), o[2] = log(p), o[4] = sqrt(p), o[6] = 1 / sqrt(p), o[8] = sin(a);
        o[10] = exp2(a), o[12] = 1 / a, o[14] = rint(a);
    }
}

static void want_bfloat(double *const *v)
{
    for (int i = 0; i < 2 * N(3); i++) {
        double a = v[0][i], b = v[1][i], *o = v[2] + i / 2 * 16 + i % 2;
        o[0] = a + b, o[2] = a * b, o[4] = a * b + b, o[6] = fmax(a, b), o[8] = -a, o[10] = exp(a);
        o[12] = a < b;
        if (i % 2 == 0) {
            o[14] = (float)a + 0.0078125f;
        } else {
            float f = (float)b * 1.01f;
            uint32_t bits;
            memcpy(&bits, &f, 4);
            bits &= 0xffff0000u;
            memcpy(&f, &bits, 4);
            o[14] = f;
        }
        for (int k = 0; k < 8; k++)
            o[2 * k] = narrow(KDS_DTYPE_BF16, o[2 * k]);
    }
}

/* The value of an 8-bit float with `mantissa` bits. */
static double eight(int bits, int mantissa)
{
    int exponent = (bits & 127) >> mantissa, bias = mantissa == 3 ? 7 : 15;
    double fraction = (bits & ((1 << mantissa) - 1)) / (double)(1 << mantissa);
    double x = exponent == 0 ? ldexp(fraction, 1 - bias) : ldexp(1 + fraction, exponent - bias);
    return bits & 128 ? -x : x;
}

/* The nearest one by trying all that are finite, even fractions first. */
static int to_eight(double x, int mantissa)
{
    int top = mantissa == 3 ? 0x7e : 0x7b, best = 0;
    for (int bits = 1; bits <= top; bits++) {
        double now = fabs(eight(best, mantissa) - fabs(x)),
               other = fabs(eight(bits, mantissa) - fabs(x));
        if (other < now || (other == now && bits % 2 == 0))
            best = bits;
    }
    return best | (signbit(x) ? 128 : 0);
}

static void want_fp8(double *const *v)
{
    int n = N(5);
    for (int r = 0; r < 3; r++) {
        float most = 0;
        for (int i = 0; i < n; i++)
            most = fmaxf(most, fabsf((float)v[0][r * n + i]));
        float scale = most / 448.0f, inverse = 1.0f / scale;
        v[2][r] = scale;
        for (int i = r * n; i < r * n + n; i++) {
            v[1][i] = to_eight((float)v[0][i] * inverse, 3);
            v[3][i] = eight((int)v[1][i], 3);
            v[4][i] = to_eight(v[0][i], 2);
        }
    }
}

static void want_integers(double *const *v)
{
    for (int i = 0; i < N(3); i++) {
        double x = v[0][i], *o = v[1] + i * 8;
        o[0] = rint(x), o[1] = trunc(x), o[2] = ceil(x), o[3] = floor(x), o[4] = rint(fabs(x));
        o[5] = rint(fmin(fmax(x, -128), 127));
        o[6] = trunc(fabs(x));
        o[7] = rint(narrow(KDS_DTYPE_F16, (float)x * 0.01f));
        v[2][i] = rint((float)x * 1e6f);
    }
}

/* The inputs are -2, -1, 0, 1, ... */
static void want_special(double *const *v)
{
    for (int i = 0; i < 32; i++) {
        float x = (float)v[0][i];
        double *o = v[1] + i * 6, *q = v[2] + i * 4;
        o[0] = x == 0, o[1] = x == 0, o[2] = signbit(-x) != 0, o[3] = x == 0, o[4] = x != 0;
        o[5] = ilogbf(x * 8 + 1);
        q[0] = x, q[1] = copysignf(2, x);
        q[2] = truncf(x * 1.7f) + floorf(x) + ceilf(x) + roundf(x * 0.5f);
        q[3] = ldexpf(x, 3) + nextafterf(1, 2);
    }
}

/* clang-format off */
static const corpus_case numerics[] = {
    {.kernel = "library_single", GRID(3), BLOCK(64), .want = want_single, TOL(2e-7, 2e-6),
     ARGS(IN(F32, 150, NOISE, 10), OUT(F32, 3000), INT(150))},
    {.kernel = "library_double", GRID(2), BLOCK(64), .want = want_double, TOL(1e-14, 1e-14),
     ARGS(IN(F64, 100, NOISE, 12), OUT(F64, 1400), INT(100))},
    {.kernel = "fast_intrinsics", GRID(3), BLOCK(64), .want = want_fast, TOL(6e-4, 1e-5), .fast = 1,
     ARGS(IN(F32, 150, NOISE, 3), OUT(F32, 1800), INT(150))},
    {.kernel = "directed_rounding", BLOCK(96), .want = want_directed,
     ARGS(IN(F32, 90, NOISE, 10), IN(F32, 90, NOISE, 10), OUT(F32, 1080), OUT(F64, 90), INT(90))},
    {.kernel = "half_intrinsics", GRID(2), BLOCK(64), .want = want_half,
     ARGS(IN(F16, 200, NOISE, 4), IN(F16, 200, NOISE, 4), OUT(F16, 2400), INT(100))},
    {.kernel = "half_functions", GRID(2), BLOCK(64), .want = want_half_functions, TOL(6e-4, 0.0012),
     ARGS(IN(F16, 200, NOISE, 4), OUT(F16, 1600), INT(100))},
    {.kernel = "bfloat_intrinsics", GRID(2), BLOCK(64), .want = want_bfloat, TOL(0, 0.008),
     ARGS(IN(BF16, 200, NOISE, 4), IN(BF16, 200, NOISE, 4), OUT(BF16, 1600), INT(100))},
    {.kernel = "fp8_round_trip", GRID(3), BLOCK(32), .want = want_fp8,
     ARGS(IN(F32, 3 * 77, NOISE, 9), OUT(U8, 231), OUT(F32, 3), OUT(F16, 231), OUT(U8, 231), INT(77))},
    {.kernel = "float_to_integers", GRID(2), BLOCK(64), .want = want_integers,
     ARGS(IN(F32, 100, NOISE, 300), OUT(I32, 800), OUT(I64, 100), INT(100))},
    {.kernel = "special_values", BLOCK(32), .want = want_special,
     ARGS(IN(F32, 32, STEPS, 1), OUT(I32, 192), OUT(F32, 128))},
};
/* clang-format on */

static const corpus_file files[] = {
    CORPUS_FILE("numerics.cu", numerics, "90", "80", "100"),
};

int main(void)
{
    return corpus_main(files, sizeof files / sizeof files[0], 0);
}
