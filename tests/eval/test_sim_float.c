/* Floating point of the simulator: every rounding mode, flushing, saturation and NaN rule against
 * the C library (in the machine's own rounding modes) or against exact arithmetic that is rounded
 * by hand. */
#include "tests/eval/sim_test.h"
#include <fenv.h>
#include <float.h>

#if defined(__x86_64__)
__extension__ typedef __float128 wide;
#else
typedef long double wide;
#endif

#define CANONICAL 0x7fffffffu

static const uint64_t singles[] = {
    0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x3f000000, 0x3fc00000, 0x40200000, 0xc0200000,
    0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffc12345, 0x00000001, 0x807fffff, 0x00400000,
    0x00800000, 0x80800001, 0x7f7fffff, 0xff7fffff, 0x4f000000, 0xcf000000, 0x4f7fffff, 0x3f7fffff,
    0x3f800001, 0x33800000, 0x4b000001, 0xcb800001, 0x3eaaaaab, 0x42f70000, 0x477fe000, 0x47800000,
    0x38800000, 0x387fe000, 0x33000001, 0x477ff000};
static const uint64_t doubles[] = {
    0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff8000000000000,
    0x7ff0000000000000, 0xfff0000000000000, 0x0000000000000001, 0x7fefffffffffffff,
    0x41e0000000000000, 0xc1e0000000200000, 0x3fd5555555555555, 0x4340000000000001,
    0x43e0000000000000, 0xc3e0000000000001, 0x36a0000000000000, 0x47efffffe0000001,
    0x3ff0000010000001, 0x4004000000000000, 0xbfe0000000000001};
static const uint64_t halves[] = {0x0000, 0x8000, 0x3c00, 0xbc00, 0x3555, 0x7bff, 0xfbff,
                                  0x7c00, 0xfc00, 0x7e00, 0x0001, 0x83ff, 0x0400, 0x3c01,
                                  0x1401, 0x5640, 0xd640, 0x7001, 0x2e66, 0x68b3};

static float f(uint64_t a)
{
    uint32_t u = (uint32_t)a;
    float x;
    memcpy(&x, &u, 4);
    return x;
}

static double g(uint64_t a)
{
    double x;
    memcpy(&x, &a, 8);
    return x;
}

static uint64_t bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    return isnan(x) ? CANONICAL : u;
}

static uint64_t bits64(double x)
{
    uint64_t u;
    memcpy(&u, &x, 8);
    return u;
}

static float flushed(float x)
{
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

static float saturated(float x)
{
    return x > 1 ? 1 : x > 0 ? x : 0;
}

#define WANT(name, expr)                                                                           \
    static uint64_t name(uint64_t a, uint64_t b, uint64_t c)                                       \
    {                                                                                              \
        (void)a;                                                                                   \
        (void)b;                                                                                   \
        (void)c;                                                                                   \
        return (uint64_t)(expr);                                                                   \
    }

/* One operation in a rounding mode of the machine; volatile keeps it between the two calls. */
static float in_mode(int mode, char op, float x, float y, float z)
{
    volatile float p = x, q = y, r = z, s;
    fesetround(mode);
    s = op == '+'   ? p + q
        : op == '*' ? p * q
        : op == '/' ? p / q
        : op == 's' ? sqrtf(p)
                    : fmaf(p, q, r);
    fesetround(FE_TONEAREST);
    return s;
}

WANT(add, bits(f(a) + f(b)))
WANT(sub, bits(f(a) - f(b)))
WANT(mul, bits(f(a) * f(b)))
WANT(add_ftz, bits(flushed(flushed(f(a)) + flushed(f(b)))))
WANT(mul_ftz, bits(flushed(flushed(f(a)) * flushed(f(b)))))
WANT(add_rz, bits(in_mode(FE_TOWARDZERO, '+', f(a), f(b), 0)))
WANT(add_rm, bits(in_mode(FE_DOWNWARD, '+', f(a), f(b), 0)))
WANT(mul_rp, bits(in_mode(FE_UPWARD, '*', f(a), f(b), 0)))
WANT(add_sat, bits(saturated(f(a) + f(b))))
WANT(div_rn, bits(f(a) / f(b)))
WANT(div_rz, bits(in_mode(FE_TOWARDZERO, '/', f(a), f(b), 0)))
WANT(rcp_rp, bits(in_mode(FE_UPWARD, '/', 1, f(a), 0)))
WANT(sqrt_rn, bits(sqrtf(f(a))))
WANT(sqrt_rm, bits(in_mode(FE_DOWNWARD, 's', f(a), 0, 0)))
WANT(fma_rn, bits(fmaf(f(a), f(b), f(c))))
WANT(fma_rz, bits(in_mode(FE_TOWARDZERO, 'f', f(a), f(b), f(c))))
WANT(fma_rm, bits(in_mode(FE_DOWNWARD, 'f', f(a), f(b), f(c))))
WANT(fma_rp_sat, bits(saturated(in_mode(FE_UPWARD, 'f', f(a), f(b), f(c)))))
WANT(fma_ftz, bits(flushed(fmaf(flushed(f(a)), flushed(f(b)), flushed(f(c))))))
WANT(neg, (uint32_t)a ^ 0x80000000u)
WANT(magnitude, (uint32_t)a & 0x7fffffffu)
WANT(copysigned, ((uint32_t)a & 0x80000000u) | ((uint32_t)b & 0x7fffffffu))

#define PAIR(low, high) (bits(low) | (uint64_t)bits(high) << 32)
WANT(add_pair, PAIR(f(a) + f(b), f(b) + f(c)))
WANT(sub_pair_rp,
     PAIR(in_mode(FE_UPWARD, '+', f(a), -f(b), 0), in_mode(FE_UPWARD, '+', f(b), -f(c), 0)))
WANT(mul_pair_ftz,
     PAIR(flushed(flushed(f(a)) * flushed(f(b))), flushed(flushed(f(b)) * flushed(f(c)))))
WANT(fma_pair, PAIR(fmaf(f(a), f(b), f(c)), fmaf(f(b), f(c), f(a))))
WANT(fma_pair_rz, PAIR(in_mode(FE_TOWARDZERO, 'f', f(a), f(b), f(c)),
                       in_mode(FE_TOWARDZERO, 'f', f(b), f(c), f(a))))

/* The lesser of two: numbers before NaN, -0 before +0. */
static float lesser(float x, float y)
{
    if (isnan(x))
        return y;
    if (isnan(y))
        return x;
    if (x == y)
        return signbit(x) ? x : y;
    return x < y ? x : y;
}
WANT(min, bits(lesser(f(a), f(b))))
WANT(max, bits(isnan(f(a)) ? f(b) : isnan(f(b)) ? f(a) : -lesser(-f(a), -f(b))))
WANT(min_nan, bits(isnan(f(a)) || isnan(f(b)) ? NAN : lesser(f(a), f(b))))
WANT(lt, f(a) < f(b))
WANT(ltu, !(f(a) >= f(b)))
WANT(ne, f(a) < f(b) || f(a) > f(b))
WANT(neu, f(a) != f(b))
WANT(equ, !(f(a) < f(b) || f(a) > f(b)))
WANT(num, !isnan(f(a)) && !isnan(f(b)))
WANT(nan_either, isnan(f(a)) || isnan(f(b)))
WANT(eq_ftz, flushed(f(a)) == flushed(f(b)))
WANT(set_f32, f(a) >= f(b) ? 0x3f800000u : 0)
WANT(is_normal, isnormal(f(a)))
WANT(is_subnormal, fpclassify(f(a)) == FP_SUBNORMAL)
WANT(is_infinite, isinf(f(a)) != 0)

static void singles_are_computed_right(void **state)
{
    (void)state;
    static const op_case two[] = {
        {"add.f32 %r0, %ra, %rb;", 'r', add},
        {"add.rn.f32 %r0, %ra, %rb;", 'r', add},
        {"sub.f32 %r0, %ra, %rb;", 'r', sub},
        {"mul.f32 %r0, %ra, %rb;", 'r', mul},
        {"add.ftz.f32 %r0, %ra, %rb;", 'r', add_ftz},
        {"mul.rn.ftz.f32 %r0, %ra, %rb;", 'r', mul_ftz},
        {"add.rz.f32 %r0, %ra, %rb;", 'r', add_rz},
        {"add.rm.f32 %r0, %ra, %rb;", 'r', add_rm},
        {"mul.rp.f32 %r0, %ra, %rb;", 'r', mul_rp},
        {"add.sat.f32 %r0, %ra, %rb;", 'r', add_sat},
        {"div.rn.f32 %r0, %ra, %rb;", 'r', div_rn},
        {"div.rz.f32 %r0, %ra, %rb;", 'r', div_rz},
        {"rcp.rp.f32 %r0, %ra;", 'r', rcp_rp},
        {"sqrt.rn.f32 %r0, %ra;", 'r', sqrt_rn},
        {"sqrt.rm.f32 %r0, %ra;", 'r', sqrt_rm},
        {"neg.f32 %r0, %ra;", 'r', neg},
        {"abs.f32 %r0, %ra;", 'r', magnitude},
        {"copysign.f32 %r0, %ra, %rb;", 'r', copysigned},
        {"min.f32 %r0, %ra, %rb;", 'r', min},
        {"max.f32 %r0, %ra, %rb;", 'r', max},
        {"min.NaN.f32 %r0, %ra, %rb;", 'r', min_nan},
        {"setp.lt.f32 %p0, %ra, %rb;", 'p', lt},
        {"setp.ltu.f32 %p0, %ra, %rb;", 'p', ltu},
        {"setp.ne.f32 %p0, %ra, %rb;", 'p', ne},
        {"setp.neu.f32 %p0, %ra, %rb;", 'p', neu},
        {"setp.equ.f32 %p0, %ra, %rb;", 'p', equ},
        {"setp.num.f32 %p0, %ra, %rb;", 'p', num},
        {"setp.nan.f32 %p0, %ra, %rb;", 'p', nan_either},
        {"setp.eq.ftz.f32 %p0, %ra, %rb;", 'p', eq_ftz},
        {"set.ge.f32.f32 %r0, %ra, %rb;", 'r', set_f32},
        {"testp.normal.f32 %p0, %ra;", 'p', is_normal},
        {"testp.subnormal.f32 %p0, %ra;", 'p', is_subnormal},
        {"testp.infinite.f32 %p0, %ra;", 'p', is_infinite},
    };
    static const op_case three[] = {
        {"fma.rn.f32 %r0, %ra, %rb, %rc;", 'r', fma_rn},
        {"mad.rn.f32 %r0, %ra, %rb, %rc;", 'r', fma_rn},
        {"fma.rz.f32 %r0, %ra, %rb, %rc;", 'r', fma_rz},
        {"fma.rm.f32 %r0, %ra, %rb, %rc;", 'r', fma_rm},
        {"fma.rp.sat.f32 %r0, %ra, %rb, %rc;", 'r', fma_rp_sat},
        {"fma.rn.ftz.f32 %r0, %ra, %rb, %rc;", 'r', fma_ftz},
#define PAIRS "mov.b64 %d1, {%ra, %rb}; mov.b64 %d2, {%rb, %rc}; mov.b64 %d3, {%rc, %ra}; "
        {PAIRS "add.f32x2 %d0, %d1, %d2;", 'd', add_pair},
        {PAIRS "sub.rp.f32x2 %d0, %d1, %d2;", 'd', sub_pair_rp},
        {PAIRS "mul.rn.ftz.f32x2 %d0, %d1, %d2;", 'd', mul_pair_ftz},
        {PAIRS "fma.rn.f32x2 %d0, %d1, %d2, %d3;", 'd', fma_pair},
        {PAIRS "fma.rz.f32x2 %d0, %d1, %d2, %d3;", 'd', fma_pair_rz},
    };
    check_cases(two, COUNT(two), singles, COUNT(singles), 2);
    check_cases(three, COUNT(three), singles, COUNT(singles), 3);
}

WANT(add64, bits64(g(a) + g(b)))
WANT(mul64, bits64(g(a) * g(b)))
WANT(div64, bits64(g(a) / g(b)))
WANT(fma64, bits64(fma(g(a), g(b), g(c))))
WANT(max64, bits64(g(a) == g(b) ? (signbit(g(a)) ? g(b) : g(a)) : g(a) > g(b) ? g(a) : g(b)))
WANT(gt64, g(a) > g(b))

/* Both NaN: x86 and the reference agree on which one only by luck, so no such inputs here. */
static void doubles_are_computed_right(void **state)
{
    (void)state;
    static const op_case two[] = {
        {"add.f64 %d0, %da, %db;", 'd', add64},    {"mul.rn.f64 %d0, %da, %db;", 'd', mul64},
        {"div.rn.f64 %d0, %da, %db;", 'd', div64}, {"max.f64 %d0, %da, %db;", 'd', max64},
        {"setp.gt.f64 %p0, %da, %db;", 'p', gt64},
    };
    static const op_case three[] = {{"fma.rn.f64 %d0, %da, %db, %dc;", 'd', fma64}};
    check_cases(two, COUNT(two), doubles, COUNT(doubles), 2);
    check_cases(three, COUNT(three), doubles, COUNT(doubles), 3);
}

/* ---- Halves: exact arithmetic, rounded by hand ---- */

typedef struct format {
    int mantissa, least, most; /* stored bits; exponents of the least and the largest normal */
} format;
static const format half = {10, -14, 15}, brain = {7, -126, 127};

static double widened(uint64_t h, format t)
{
    int exponent_bits = 15 - t.mantissa;
    int exponent = (int)(h >> t.mantissa) & ((1 << exponent_bits) - 1);
    double fraction = (double)(h & ((1u << t.mantissa) - 1));
    double sign = (h & 0x8000) != 0 ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1)
        return fraction != 0 ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexp(fraction, t.least - t.mantissa);
    return sign * ldexp(fraction + ldexp(1, t.mantissa), exponent - 1 + t.least - t.mantissa);
}

/* Nearest even of x + tail, where the tail is too small to show in x but decides a tie. */
static uint64_t narrowed_sum(wide x, wide tail, format t, bool negative_zero)
{
    double rough = (double)x;
    int e = 0;
    uint64_t sign = x < 0 || (x == 0 && negative_zero) ? 0x8000 : 0;
    if (isnan(rough))
        return 0x7fff;
    uint64_t infinity = (uint64_t)(t.most - t.least + 2) << t.mantissa;
    if (isinf(rough))
        return sign | infinity;
    tail = x < 0 ? -tail : tail;
    x = x < 0 ? -x : x;
    frexp(fabs(rough), &e);
    e = rough == 0 || e - 1 < t.least ? t.least : e - 1;
    wide steps = x;
    for (int k = 0; k < t.mantissa - e; k++)
        steps *= 2;
    for (int k = 0; k < e - t.mantissa; k++)
        steps /= 2;
    uint64_t whole = (uint64_t)steps;
    wide rest = steps - (wide)whole;
    if (rest > 0.5 || (rest == 0.5 && (tail > 0 || (tail == 0 && whole % 2 == 1))))
        whole++;
    uint64_t code = ((uint64_t)(e - t.least) << t.mantissa) + whole;
    return sign | (code > infinity ? infinity : code);
}

static bool negative_sum(double x, double y)
{
    return x == 0 && y == 0 ? signbit(x) && signbit(y) : x + y == 0 ? false : x + y < 0;
}

static uint64_t narrowed(wide x, format t, bool negative_zero)
{
    return narrowed_sum(x, 0, t, negative_zero);
}

static uint64_t fused(double x, double y, double z, format t)
{
    double p = x * y; /* exact: the product of two halves fits */
    wide sum = (wide)p + (wide)z, tail = 0;
    if (isfinite(p) && isfinite(z))
        tail = fabs(p) >= fabs(z) ? (wide)z - (sum - (wide)p) : (wide)p - (sum - (wide)z);
    return narrowed_sum(sum, tail, t, negative_sum(p, z));
}

#define HALF_WANTS(suffix, t)                                                                      \
    WANT(add_##suffix, narrowed((wide)widened(a, t) + (wide)widened(b, t), t,                      \
                                negative_sum(widened(a, t), widened(b, t))))                       \
    WANT(mul_##suffix, narrowed((wide)widened(a, t) * (wide)widened(b, t), t,                      \
                                signbit(widened(a, t)) != signbit(widened(b, t))))                 \
    WANT(fma_##suffix, fused(widened(a, t), widened(b, t), widened(c, t), t))                      \
    WANT(to_##suffix, narrowed((wide)f(a), t, signbit(f(a)) != 0))                                 \
    WANT(from_##suffix, isnan(widened(a, t)) ? 1 : bits((float)widened(a, t)))                     \
    WANT(max_##suffix, isnan(widened(a, t)) && isnan(widened(b, t)) ? 0x7fff                       \
                       : isnan(widened(a, t))                       ? (b & 0xffff)                 \
                       : isnan(widened(b, t))                       ? (a & 0xffff)                 \
                       : widened(a, t) == widened(b, t)             ? (a & b & 0xffff)             \
                       : widened(a, t) > widened(b, t)              ? (a & 0xffff)                 \
                                                                    : (b & 0xffff))
HALF_WANTS(f16, half)
HALF_WANTS(bf16, brain)
WANT(packed_fma, fma_f16(a, b, c) | fma_f16(b, c, a) << 16)
WANT(relu_fma, (fma_bf16(a, b, c) & 0x8000) != 0 ? 0 : fma_bf16(a, b, c))
WANT(lt_f16, widened(a, half) < widened(b, half))
WANT(set_halves, (widened(a, half) == widened(b, half) ? 0x3c00u : 0) |
                     (widened(b, half) == widened(a, half) ? 0x3c000000u : 0))

static void halves_are_computed_right(void **state)
{
    (void)state;
    static const op_case two[] = {
        {"add.f16 %h0, %ha, %hb;", 'h', add_f16},
        {"mul.f16 %h0, %ha, %hb;", 'h', mul_f16},
        {"max.f16 %h0, %ha, %hb;", 'h', max_f16},
        {"add.bf16 %h0, %ha, %hb;", 'h', add_bf16},
        {"mul.bf16 %h0, %ha, %hb;", 'h', mul_bf16},
        {"max.bf16 %h0, %ha, %hb;", 'h', max_bf16},
        {"setp.lt.f16 %p0, %ha, %hb;", 'p', lt_f16},
        {"mov.b32 %r1, {%ha, %hb}; mov.b32 %r2, {%hb, %ha}; set.eq.f16x2.f16x2 %r0, %r1, %r2;", 'r',
         set_halves},
        {"cvt.f32.f16 %r1, %ha; setp.nan.f32 %p1, %r1, %r1; selp.b32 %r0, 1, %r1, %p1;", 'r',
         from_f16},
        {"cvt.f32.bf16 %r1, %ha; setp.nan.f32 %p1, %r1, %r1; selp.b32 %r0, 1, %r1, %p1;", 'r',
         from_bf16},
    };
    static const op_case three[] = {
        {"fma.rn.f16 %h0, %ha, %hb, %hc;", 'h', fma_f16},
        {"fma.rn.bf16 %h0, %ha, %hb, %hc;", 'h', fma_bf16},
        {"fma.rn.relu.bf16 %h0, %ha, %hb, %hc;", 'h', relu_fma},
        {"mov.b32 %r1, {%ha, %hb}; mov.b32 %r2, {%hb, %hc}; mov.b32 %r3, {%hc, %ha};"
         "fma.rn.f16x2 %r0, %r1, %r2, %r3;",
         'r', packed_fma},
    };
    check_cases(two, COUNT(two), halves, COUNT(halves), 2);
    check_cases(three, COUNT(three), halves, COUNT(halves), 3);
}

/* ---- Conversions ---- */

static uint64_t to_int(double x, int mode, double low, double high)
{
    if (isnan(x))
        return 0;
    fesetround(mode);
    volatile double v = x;
    double r = nearbyint(v);
    fesetround(FE_TONEAREST);
    r = r < low ? low : r > high ? high : r;
    return low < 0 ? (uint64_t)(int64_t)r : (uint64_t)r;
}
WANT(rzi_s32, (uint32_t)to_int(f(a), FE_TOWARDZERO, INT32_MIN, INT32_MAX))
WANT(rni_s32, (uint32_t)to_int(f(a), FE_TONEAREST, INT32_MIN, INT32_MAX))
WANT(rmi_s32, (uint32_t)to_int(f(a), FE_DOWNWARD, INT32_MIN, INT32_MAX))
WANT(rpi_u32, (uint32_t)to_int(f(a), FE_UPWARD, 0, UINT32_MAX))
WANT(rzi_u8, to_int(f(a), FE_TOWARDZERO, 0, 255))
WANT(rzi_s16, (uint16_t)to_int(f(a), FE_TOWARDZERO, -32768, 32767))
WANT(from_s32, bits((float)(int32_t)a))
WANT(from_u32, bits((float)(uint32_t)a))
WANT(s32_to_f64, bits64((double)(int32_t)a))
WANT(s8_extends, (uint32_t)(int8_t)a)
WANT(u8_in_half, (uint8_t)a)
WANT(s32_to_s64, (int64_t)(int32_t)a)
WANT(sat_u8, (int32_t)a<0 ? 0 : (int32_t)a> 255 ? 255 : a)
WANT(sat_s16, (uint16_t)((int32_t)a<-32768 ? -32768 : (int32_t)a> 32767 ? 32767 : (int32_t)a))
WANT(sat_f32, bits(saturated(f(a))))
WANT(packed_bf16, to_bf16(a, 0, 0) << 16 | to_bf16(b, 0, 0))
WANT(packed_f16, to_f16(a, 0, 0) << 16 | to_f16(b, 0, 0))
WANT(relu_bf16, f(a) < 0 ? 0 : to_bf16((uint32_t)a == 0x80000000u ? 0 : a, 0, 0))
WANT(integral_f32, isnan(f(a)) ? CANONICAL : bits(rintf(f(a))))
WANT(floor_f32, isnan(f(a)) ? CANONICAL : bits(floorf(f(a))))

/* Truncated to bf16. */
WANT(rz_bf16, isnan(f(a)) ? 0x7fff : (uint32_t)a >> 16)

static void conversions_are_right(void **state)
{
    (void)state;
    static const op_case cases[] = {
        {"cvt.rzi.s32.f32 %r0, %ra;", 'r', rzi_s32},
        {"cvt.rni.s32.f32 %r0, %ra;", 'r', rni_s32},
        {"cvt.rmi.s32.f32 %r0, %ra;", 'r', rmi_s32},
        {"cvt.rpi.u32.f32 %r0, %ra;", 'r', rpi_u32},
        {"cvt.rzi.u8.f32 %r1, %ra; cvt.u16.u32 %h0, %r1;", 'h', rzi_u8},
        {"cvt.rzi.s16.f32 %h0, %ra;", 'h', rzi_s16},
        {"cvt.rn.f32.s32 %r0, %ra;", 'r', from_s32},
        {"cvt.rn.f32.u32 %r0, %ra;", 'r', from_u32},
        {"cvt.rn.f64.s32 %d0, %ra;", 'd', s32_to_f64},
        {"cvt.s32.s8 %r0, %ra;", 'r', s8_extends},
        {"cvt.u8.u32 %h0, %ra;", 'h', u8_in_half},
        {"cvt.s64.s32 %d0, %ra;", 'd', s32_to_s64},
        {"cvt.sat.u8.s32 %h0, %ra;", 'h', sat_u8},
        {"cvt.sat.s16.s32 %h0, %ra;", 'h', sat_s16},
        {"cvt.sat.f32.f32 %r0, %ra;", 'r', sat_f32},
        {"cvt.rn.f16.f32 %h0, %ra;", 'h', to_f16},
        {"cvt.rn.bf16.f32 %h0, %ra;", 'h', to_bf16},
        {"cvt.rz.bf16.f32 %h0, %ra;", 'h', rz_bf16},
        {"cvt.rn.bf16x2.f32 %r0, %ra, %rb;", 'r', packed_bf16},
        {"cvt.rn.f16x2.f32 %r0, %ra, %rb;", 'r', packed_f16},
        {"cvt.rn.relu.bf16x2.f32 %r1, %ra, %rb; mov.b32 {_, %h0}, %r1;", 'h', relu_bf16},
        {"cvt.rni.f32.f32 %r0, %ra;", 'r', integral_f32},
        {"cvt.rmi.f32.f32 %r0, %ra;", 'r', floor_f32},
    };
    check_cases(cases, COUNT(cases), singles, COUNT(singles), 2);
}

WANT(f64_to_f32, bits((float)g(a)))

static uint64_t narrowed_in_mode(double x, int mode)
{
    volatile double v = x;
    volatile float r;
    fesetround(mode);
    r = (float)v;
    fesetround(FE_TONEAREST);
    return bits(r);
}
WANT(f64_to_f32_rp, narrowed_in_mode(g(a), FE_UPWARD))
WANT(f64_to_s32, (uint32_t)to_int(g(a), FE_TOWARDZERO, INT32_MIN, INT32_MAX))
WANT(f64_to_u64, isnan(g(a)) ? 0 : g(a) <= 0 ? 0 : g(a) >= 0x1p64 ? UINT64_MAX : (uint64_t)g(a))
WANT(s64_to_f32, bits((float)(int64_t)a))
WANT(u64_to_f64, bits64((double)a))

static void wide_conversions_are_right(void **state)
{
    (void)state;
    static const op_case cases[] = {
        {"cvt.rn.f32.f64 %r0, %da;", 'r', f64_to_f32},
        {"cvt.rp.f32.f64 %r0, %da;", 'r', f64_to_f32_rp},
        {"cvt.rzi.s32.f64 %r0, %da;", 'r', f64_to_s32},
        {"cvt.rzi.u64.f64 %d0, %da;", 'd', f64_to_u64},
        {"cvt.rn.f32.s64 %r0, %da;", 'r', s64_to_f32},
        {"cvt.rn.f64.u64 %d0, %da;", 'd', u64_to_f64},
    };
    check_cases(cases, COUNT(cases), doubles, COUNT(doubles), 1);
}

/* Every fp8 value goes to f16 and back unchanged; rounding of what lies between two is to the
 * nearest one. */
static void fp8_round_trips(void **state)
{
    (void)state;
    uint64_t in[256][3], out[256];
    for (unsigned k = 0; k < 256; k++) {
        in[k][0] = k | (255 - k) << 8;
        in[k][1] = in[k][2] = 0;
    }
    static const char *const snippets[] = {
        "cvt.rn.f16x2.e4m3x2 %r0, %ha; cvt.rn.satfinite.e4m3x2.f16x2 %h0, %r0;",
        "cvt.rn.f16x2.e5m2x2 %r0, %ha; cvt.rn.satfinite.e5m2x2.f16x2 %h0, %r0;"};
    for (int kind = 0; kind < 2; kind++) {
        run_snippet(snippets[kind], 'h', (const uint64_t(*)[3])in, 256, out, NULL);
        for (unsigned k = 0; k < 256; k++)
            for (int byte = 0; byte < 2; byte++) {
                unsigned v = (unsigned)(in[k][0] >> (8 * byte)) & 255;
                unsigned got = (unsigned)(out[k] >> (8 * byte)) & 255, want = v, m = v & 127;
                if (kind == 0 ? m == 127 : m > 124)
                    want = 0x7f; /* NaN */
                if (kind == 1 && m == 124)
                    want = (v & 128) | 0x7b; /* infinity saturates */
                assert_int_equal(got, want);
            }
    }
    static const float given[][2] = {{448, 0x7e},   {1000, 0x7e}, {1.0625f, 0x38}, {1.1875f, 0x3a},
                                     {1.07f, 0x39}, {0x1p-9f, 1}, {0x1p-10f, 0},   {0x1.8p-9f, 2}};
    for (size_t k = 0; k < COUNT(given); k++) {
        in[0][0] = bits(given[k][0]);
        run_snippet("cvt.rn.satfinite.e4m3x2.f32 %h0, 0f00000000, %ra;", 'h',
                    (const uint64_t(*)[3])in, 1, out, NULL);
        assert_int_equal(out[0], (unsigned)given[k][1]);
    }
}

/* Approximate functions stay within what PTX allows. */
static void approximations_are_close(void **state)
{
    (void)state;
    enum { N = 4000 };
    static const struct {
        const char *snippet;
        double (*exact)(double);
        double from, to, relative, absolute;
    } cases[] = {
        {"ex2.approx.f32 %r0, %ra;", exp2, -125, 127, 0x1p-22, 0},
        {"ex2.approx.ftz.f32 %r0, %ra;", exp2, -1, 1, 0x1p-22, 0},
        {"lg2.approx.f32 %r0, %ra;", log2, 0.0001, 100, 0x1p-22, 0x1p-22},
        {"sin.approx.f32 %r0, %ra;", sin, -3.14, 3.14, 0, 0x1p-20},
        {"cos.approx.f32 %r0, %ra;", cos, -3.14, 3.14, 0, 0x1p-20},
        {"sin.approx.f32 %r0, %ra;", sin, 1e4, 1e5, 0, 0x1p-20},
        {"tanh.approx.f32 %r0, %ra;", tanh, -12, 12, 0x1p-11, 0},
        {"rsqrt.approx.f32 %r1, %ra; rcp.approx.f32 %r0, %r1;", sqrt, 1e-20, 1e20, 0x1p-21, 0},
    };
    static uint64_t in[N][3], out[N];
    for (size_t k = 0; k < COUNT(cases); k++) {
        for (int i = 0; i < N; i++)
            in[i][0] = bits((float)(cases[k].from + (cases[k].to - cases[k].from) * i / N));
        for (int isa = 0; isa < 2; isa++) {
            run_snippet(cases[k].snippet, 'r', (const uint64_t(*)[3])in, N, out,
                        instruction_sets()[isa]);
            for (int i = 0; i < N; i++) {
                double want = cases[k].exact(f(in[i][0]));
                double error = fabs(f(out[i]) - want);
                if (!(error <= cases[k].relative * fabs(want) + cases[k].absolute))
                    fail_msg("%s of %g is %g, not %g", cases[k].snippet, f(in[i][0]), f(out[i]),
                             want);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(singles_are_computed_right), cmocka_unit_test(doubles_are_computed_right),
        cmocka_unit_test(halves_are_computed_right),  cmocka_unit_test(conversions_are_right),
        cmocka_unit_test(wide_conversions_are_right), cmocka_unit_test(fp8_round_trips),
        cmocka_unit_test(approximations_are_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
