/* Element types: sizes, names, exact loads and correctly rounded stores. Everything is integer
 * arithmetic on the bits of a double (f32 uses the hardware's conversion, which IEEE 754 fixes), so
 * that any device can do the same bit for bit. */
#include "eval/task_internal.h"
#include <math.h>
#include <string.h>

const char *const kds_dtype_names[] = {"f32", "f16", "bf16", "i32", "i64", "u8", "f64", NULL};

size_t kds_dtype_size(kds_dtype t)
{
    static const size_t sizes[] = {4, 2, 2, 4, 8, 1, 8};
    return sizes[t];
}

const char *kds_dtype_name(kds_dtype t)
{
    return kds_dtype_names[t];
}

bool kds_dtype_parse(const char *name, kds_dtype *out)
{
    for (int i = 0; kds_dtype_names[i]; i++) {
        if (strcmp(name, kds_dtype_names[i]) == 0) {
            *out = (kds_dtype)i;
            return true;
        }
    }
    return false;
}

static double bits_to_double(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

/* A 16-bit float with `mantissa` stored bits and 15 - mantissa exponent bits, as a double: exact.
 */
static inline double widen(uint16_t bits, int mantissa)
{
    int exponent_bits = 15 - mantissa;
    int bias = (1 << (exponent_bits - 1)) - 1;
    uint64_t sign = (uint64_t)(bits >> 15) << 63;
    int exponent = (bits >> mantissa) & ((1 << exponent_bits) - 1);
    uint64_t fraction = bits & ((1u << mantissa) - 1);
    if (exponent == (1 << exponent_bits) - 1)
        return bits_to_double(sign | UINT64_C(0x7ff) << 52 | fraction << (52 - mantissa));
    if (exponent == 0) {
        if (fraction == 0)
            return bits_to_double(sign);
        exponent = 1; /* subnormal: bring the leading one to the hidden place */
        while (!(fraction >> mantissa)) {
            fraction <<= 1;
            exponent--;
        }
        fraction &= (1u << mantissa) - 1;
    }
    return bits_to_double(sign | (uint64_t)(exponent - bias + 1023) << 52 |
                          fraction << (52 - mantissa));
}

/* The nearest 16-bit float, ties to even, in one rounding. Overflow gives infinity; a NaN keeps its
 * sign and the top of its payload and becomes quiet. */
static inline uint16_t narrow(double value, int mantissa)
{
    int exponent_bits = 15 - mantissa;
    int bias = (1 << (exponent_bits - 1)) - 1;
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = (uint32_t)(bits >> 63) << 15;
    uint32_t infinity = (uint32_t)((1 << exponent_bits) - 1) << mantissa;
    int exponent = (int)(bits >> 52 & 0x7ff);
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    if (exponent == 0x7ff) {
        if (fraction == 0)
            return (uint16_t)(sign | infinity);
        uint32_t payload = (uint32_t)(fraction >> (52 - mantissa)) | 1u << (mantissa - 1);
        return (uint16_t)(sign | infinity | payload);
    }
    int to = exponent - 1023 + bias; /* exponent field in the target, if it is normal there */
    if (exponent == 0 || to < -mantissa)
        return (uint16_t)sign; /* below half of the smallest subnormal */
    fraction |= UINT64_C(1) << 52;
    int drop = 52 - mantissa + (to < 1 ? 1 - to : 0);
    uint64_t kept = fraction >> drop;
    uint64_t rest = fraction & ((UINT64_C(1) << drop) - 1);
    uint64_t half = UINT64_C(1) << (drop - 1);
    kept +=
        (uint64_t)(rest > half) | ((uint64_t)(rest == half) & kept & 1); /* no branch on noise */
    /* `kept` carries the hidden one, so a carry out of the fraction moves into the exponent. */
    uint64_t out = kept + ((uint64_t)(to < 1 ? 0 : to - 1) << mantissa);
    return (uint16_t)(sign | (out > infinity ? infinity : (uint32_t)out));
}

double kds_dtype_load(kds_dtype t, const void *p)
{
    union {
        float f;
        double d;
        int32_t i;
        int64_t l;
        uint16_t h;
    } v;
    switch (t) {
    case KDS_DTYPE_F32:
        memcpy(&v.f, p, sizeof v.f);
        return v.f;
    case KDS_DTYPE_F16:
        memcpy(&v.h, p, sizeof v.h);
        return widen(v.h, 10);
    case KDS_DTYPE_BF16:
        memcpy(&v.h, p, sizeof v.h);
        return widen(v.h, 7);
    case KDS_DTYPE_I32:
        memcpy(&v.i, p, sizeof v.i);
        return v.i;
    case KDS_DTYPE_I64:
        memcpy(&v.l, p, sizeof v.l);
        return (double)v.l;
    case KDS_DTYPE_U8:
        return *(const uint8_t *)p;
    case KDS_DTYPE_F64:
        break;
    }
    memcpy(&v.d, p, sizeof v.d);
    return v.d;
}

/* The nearest integer, ties to even, within [low, high]; NaN gives 0. */
static int64_t to_integer(double value, int64_t low, int64_t high)
{
    if (value != value)
        return 0;
    double r = rint(value);
    if (r <= (double)low)
        return low;
    if (r >= (double)high)
        return high;
    return (int64_t)r;
}

void kds_dtype_store(kds_dtype t, void *p, double value)
{
    union {
        float f;
        int32_t i;
        int64_t l;
        uint16_t h;
    } v;
    switch (t) {
    case KDS_DTYPE_F32:
        v.f = (float)value;
        memcpy(p, &v.f, sizeof v.f);
        break;
    case KDS_DTYPE_F16:
        v.h = narrow(value, 10);
        memcpy(p, &v.h, sizeof v.h);
        break;
    case KDS_DTYPE_BF16:
        v.h = narrow(value, 7);
        memcpy(p, &v.h, sizeof v.h);
        break;
    case KDS_DTYPE_I32:
        v.i = (int32_t)to_integer(value, INT32_MIN, INT32_MAX);
        memcpy(p, &v.i, sizeof v.i);
        break;
    case KDS_DTYPE_I64:
        v.l = to_integer(value, INT64_MIN, INT64_MAX);
        memcpy(p, &v.l, sizeof v.l);
        break;
    case KDS_DTYPE_U8:
        *(uint8_t *)p = (uint8_t)to_integer(value, 0, UINT8_MAX);
        break;
    case KDS_DTYPE_F64:
        memcpy(p, &value, sizeof value);
        break;
    }
}
