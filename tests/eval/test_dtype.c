/* Element types: f16 and bf16 exhaustively against the definition, stores against the nearest value
 * found by search. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eval/task.h"
#include "search/base/random.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct format {
    kds_dtype type;
    int mantissa, bias;
} format;

static const format formats[] = {{KDS_DTYPE_F16, 10, 15}, {KDS_DTYPE_BF16, 7, 127}};

/* The value of `bits` by IEEE 754's definition. */
static double value_of(const format *f, uint16_t bits)
{
    int exponent_max = (1 << (15 - f->mantissa)) - 1;
    int exponent = bits >> f->mantissa & exponent_max;
    double fraction = ldexp(bits & ((1 << f->mantissa) - 1), -f->mantissa);
    double magnitude = exponent == exponent_max ? (fraction == 0 ? INFINITY : NAN)
                       : exponent == 0          ? ldexp(fraction, 1 - f->bias)
                                                : ldexp(1 + fraction, exponent - f->bias);
    return bits >> 15 ? -magnitude : magnitude;
}

static uint16_t stored(kds_dtype t, double v)
{
    uint16_t bits = 0xdead;
    kds_dtype_store(t, &bits, v);
    return bits;
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        kds_dtype t;
        const char *name;
        size_t size;
    } all[] = {{KDS_DTYPE_F32, "f32", 4}, {KDS_DTYPE_F16, "f16", 2}, {KDS_DTYPE_BF16, "bf16", 2},
               {KDS_DTYPE_I32, "i32", 4}, {KDS_DTYPE_I64, "i64", 8}, {KDS_DTYPE_U8, "u8", 1},
               {KDS_DTYPE_F64, "f64", 8}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        kds_dtype t;
        assert_string_equal(kds_dtype_name(all[i].t), all[i].name);
        assert_int_equal(kds_dtype_size(all[i].t), all[i].size);
        assert_true(kds_dtype_parse(all[i].name, &t));
        assert_int_equal(t, all[i].t);
    }
    kds_dtype t = KDS_DTYPE_U8;
    assert_false(kds_dtype_parse("float", &t));
    assert_false(kds_dtype_parse("", &t));
    assert_int_equal(t, KDS_DTYPE_U8);
}

static void test_load_every_16_bit_value(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        for (uint32_t bits = 0; bits < 65536; bits++) {
            uint16_t b = (uint16_t)bits;
            double want = value_of(&formats[k], b), got = kds_dtype_load(formats[k].type, &b);
            if (isnan(want))
                assert_true(isnan(got));
            else
                assert_true(got == want);
            assert_true(!signbit(got) == !(b >> 15));
        }
    }
}

static void test_store_gives_every_value_back(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        for (uint32_t bits = 0; bits < 65536; bits++) {
            uint16_t b = (uint16_t)bits;
            uint16_t back = stored(formats[k].type, kds_dtype_load(formats[k].type, &b));
            if (isnan(value_of(&formats[k], b))) /* a signalling NaN comes back quiet */
                assert_int_equal(back, b | 1 << (formats[k].mantissa - 1));
            else
                assert_int_equal(back, b);
        }
    }
}

/* The nearest value of the format by search among the magnitudes 0 .. infinity; infinity counts as
 * the next value after the largest, as IEEE 754's overflow rule says. */
static uint16_t nearest(const format *f, double v)
{
    uint16_t sign = signbit(v) ? 0x8000 : 0;
    uint16_t infinity = (uint16_t)(((1 << (15 - f->mantissa)) - 1) << f->mantissa);
    double a = fabs(v);
    uint32_t low = 0, high = infinity;
    while (high - low > 1) {
        uint32_t mid = (low + high) / 2;
        if (value_of(f, (uint16_t)mid) <= a)
            low = mid;
        else
            high = mid;
    }
    double below = value_of(f, (uint16_t)low);
    double above = high == infinity ? 2 * value_of(f, (uint16_t)(infinity - (1 << f->mantissa)))
                                    : value_of(f, (uint16_t)high);
    double half = below + (above - below) / 2;
    bool up = a > half || (a == half && (low & 1));
    return (uint16_t)(sign | (up ? high : low));
}

static void test_store_rounds_to_nearest(void **state)
{
    (void)state;
    kds_random r = kds_random_stream(1, 2, "dtype");
    for (size_t k = 0; k < 2; k++) {
        const format *f = &formats[k];
        int low = 1 - f->bias - f->mantissa - 3, high = f->bias + 3;
        for (int i = 0; i < 300000; i++) {
            double unit = kds_random_unit(&r) + 1;
            int exponent = low + (int)kds_random_below(&r, (uint64_t)(high - low));
            double v = ldexp(kds_random_below(&r, 2) ? unit : -unit, exponent);
            assert_int_equal(stored(f->type, v), nearest(f, v));
        }
    }
}

static void test_store_ties_to_even(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        const format *f = &formats[k];
        uint32_t infinity = ((1u << (15 - f->mantissa)) - 1) << f->mantissa;
        for (uint32_t b = 0; b + 1 < infinity; b++) {
            double below = value_of(f, (uint16_t)b), above = value_of(f, (uint16_t)(b + 1));
            double tie = below + (above - below) / 2;
            assert_int_equal(stored(f->type, tie), b + (b & 1));
            assert_int_equal(stored(f->type, -tie), 0x8000 | (b + (b & 1)));
            assert_int_equal(stored(f->type, nextafter(tie, 0)), b);
            assert_int_equal(stored(f->type, nextafter(tie, INFINITY)), b + 1);
        }
    }
}

static void test_store_extremes(void **state)
{
    (void)state;
    assert_int_equal(stored(KDS_DTYPE_F16, 65504), 0x7bff);
    assert_int_equal(stored(KDS_DTYPE_F16, 65519.999), 0x7bff);
    assert_int_equal(stored(KDS_DTYPE_F16, 65520), 0x7c00);
    assert_int_equal(stored(KDS_DTYPE_F16, -1e300), 0xfc00);
    assert_int_equal(stored(KDS_DTYPE_BF16, 3.5e38), 0x7f80);
    assert_int_equal(stored(KDS_DTYPE_BF16, 1e-300), 0);
    assert_int_equal(stored(KDS_DTYPE_BF16, -4.9e-324), 0x8000);
    assert_int_equal(stored(KDS_DTYPE_BF16, INFINITY), 0x7f80);
    assert_int_equal(stored(KDS_DTYPE_BF16, NAN) & 0x7fff, 0x7fc0);
    float f = 1;
    kds_dtype_store(KDS_DTYPE_F32, &f, 1 + ldexp(1, -24));
    assert_true(f == 1.0f);
    kds_dtype_store(KDS_DTYPE_F32, &f, 1 + ldexp(3, -24));
    assert_true(f == 1.0f + ldexpf(1, -22));
    kds_dtype_store(KDS_DTYPE_F32, &f, 1e300);
    assert_true(isinf(f));
    kds_dtype_store(KDS_DTYPE_F32, &f, NAN);
    assert_true(isnan(f));
}

static void test_integers(void **state)
{
    (void)state;
    static const struct {
        kds_dtype t;
        double v, want;
    } cases[] = {
        {KDS_DTYPE_I32, 0.5, 0},          {KDS_DTYPE_I32, 1.5, 2},
        {KDS_DTYPE_I32, -2.5, -2},        {KDS_DTYPE_I32, 2147483646.6, 2147483647.0},
        {KDS_DTYPE_I32, 1e10, INT32_MAX}, {KDS_DTYPE_I32, -INFINITY, INT32_MIN},
        {KDS_DTYPE_I32, NAN, 0},          {KDS_DTYPE_U8, 254.5, 254},
        {KDS_DTYPE_U8, 256, 255},         {KDS_DTYPE_U8, -1, 0},
        {KDS_DTYPE_I64, -1e15, -1e15},    {KDS_DTYPE_I64, 1e19, 9223372036854775807.0},
        {KDS_DTYPE_I64, -1e19, -0x1p63},  {KDS_DTYPE_F64, 0.1, 0.1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char bytes[9];
        memset(bytes, 0xab, sizeof bytes);
        kds_dtype_store(cases[i].t, bytes, cases[i].v);
        assert_true(kds_dtype_load(cases[i].t, bytes) == cases[i].want);
        assert_int_equal(bytes[kds_dtype_size(cases[i].t)], 0xab); /* nothing beyond the element */
    }
    int64_t v;
    kds_dtype_store(KDS_DTYPE_I64, &v, 1e19);
    assert_true(v == INT64_MAX);
}

static void test_unaligned(void **state)
{
    (void)state;
    for (int t = KDS_DTYPE_F32; t <= KDS_DTYPE_F64; t++) {
        unsigned char bytes[16] = {0};
        kds_dtype_store((kds_dtype)t, bytes + 1, 3);
        assert_true(kds_dtype_load((kds_dtype)t, bytes + 1) == 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_load_every_16_bit_value),
        cmocka_unit_test(test_store_gives_every_value_back),
        cmocka_unit_test(test_store_rounds_to_nearest),
        cmocka_unit_test(test_store_ties_to_even),
        cmocka_unit_test(test_store_extremes),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_unaligned),
    };
    return cmocka_run_group_tests_name("dtype", tests, NULL, NULL);
}
