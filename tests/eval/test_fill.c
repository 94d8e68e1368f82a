/* Fills: the documented method recomputed from Philox, the quality of the normal numbers out to the
 * tails, permutations, and that pieces join to the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eval/fill_table.h"
#include "eval/task.h"
#include "search/base/random.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static kds_filler filler(kds_fill_kind kind, double a, double b, kds_dtype t, int64_t span)
{
    return (kds_filler){.fill = {kind, a, b},
                        .dtype = t,
                        .scale = 1,
                        .seed = UINT64_C(0x123456789abcdef0),
                        .buffer = 3,
                        .span = span};
}

/* Word of element i as eval/fill.c documents it. */
static uint32_t word_of(const kds_filler *f, uint64_t i)
{
    uint32_t key[2] = {(uint32_t)f->seed, (uint32_t)(f->seed >> 32)}, out[4];
    uint32_t counter[4] = {(uint32_t)(i / 4), (uint32_t)(i / 4 >> 32), f->buffer, 1};
    kds_philox(counter, key, out);
    return out[i % 4];
}

static double upper_tail(double z)
{
    return 0.5 * erfc(z / sqrt(2));
}

static void test_uniform_is_documented(void **state)
{
    (void)state;
    kds_filler f = filler(KDS_FILL_UNIFORM, -1, 3, KDS_DTYPE_F64, 5000);
    double v[5000];
    kds_filler_write(&f, 0, 5000, v);
    for (uint64_t i = 0; i < 5000; i++)
        assert_true(v[i] == -1 + 4 * ldexp(word_of(&f, i), -32));
    /* Far elements need nothing before them. */
    int64_t far = (INT64_C(1) << 35) + 5;
    f.span = INT64_C(1) << 36;
    kds_filler_write(&f, far, 3, v);
    for (int i = 0; i < 3; i++)
        assert_true(v[i] == -1 + 4 * ldexp(word_of(&f, (uint64_t)(far + i)), -32));
}

static void test_uniform_integers_stay_below_the_bound(void **state)
{
    (void)state;
    kds_filler f = filler(KDS_FILL_UNIFORM, 0, 5, KDS_DTYPE_I32, 4000);
    int32_t v[4000];
    int seen[5] = {0};
    kds_filler_write(&f, 0, 4000, v);
    for (int i = 0; i < 4000; i++) {
        assert_in_range(v[i], 0, 4);
        seen[v[i]]++;
    }
    for (int i = 0; i < 5; i++)
        assert_in_range(seen[i], 700, 900);
}

/* Each octave's polynomial against erfc, at both ends and inside; neighbours meet. */
static void test_table_is_the_normal_quantile(void **state)
{
    (void)state;
    for (int k = 0; k < 32; k++) {
        double end = 0;
        for (int step = 0; step <= 16; step++) {
            double t = -0.5 + step / 16.0, z = 0;
            for (int i = KDS_FILL_DEGREE; i >= 0; i--)
                z = z * t + fill_normal_table[k][i];
            double p = ldexp(t + 1.5, k - 33);
            double density = exp(-z * z / 2) / sqrt(2 * acos(-1));
            assert_true(fabs(upper_tail(z) - p) < 1.1e-7 * density);
            end = z;
        }
        if (k < 31) {
            double next = 0;
            for (int i = KDS_FILL_DEGREE; i >= 0; i--)
                next = next * -0.5 + fill_normal_table[k + 1][i];
            assert_true(fabs(end - next) < 2.1e-7);
        }
    }
}

static void test_normal_is_documented(void **state)
{
    (void)state;
    kds_filler f = filler(KDS_FILL_NORMAL, 0, 1, KDS_DTYPE_F64, 1 << 16);
    double *v = malloc(sizeof *v << 16);
    assert_non_null(v);
    kds_filler_write(&f, 0, 1 << 16, v);
    for (uint64_t i = 0; i < 1 << 16; i++) {
        uint32_t w = word_of(&f, i);
        double p = ldexp(2.0 * (w & 0x7fffffff) + 1, -33);
        double z = w >> 31 ? -v[i] : v[i];
        double density = exp(-z * z / 2) / sqrt(2 * acos(-1));
        assert_true(z >= -1.1e-7);
        assert_true(fabs(upper_tail(z) - p) < 1.1e-7 * density);
    }
    f.fill = (kds_fill){KDS_FILL_NORMAL, 3, 0.5};
    double one;
    kds_filler_write(&f, 77, 1, &one);
    assert_true(one == 3 + 0.5 * v[77]);
    free(v);
}

/* Moments and tail frequencies of 8 M numbers, within 5 standard errors. */
static void test_normal_quality(void **state)
{
    (void)state;
    enum { CHUNK = 1 << 16, CHUNKS = 128 };
    const double n = (double)CHUNK * CHUNKS;
    kds_filler f = filler(KDS_FILL_NORMAL, 0, 1, KDS_DTYPE_F64, (int64_t)CHUNK * CHUNKS);
    double *v = malloc(CHUNK * sizeof *v);
    assert_non_null(v);
    double sum[5] = {0}, lag = 0, before = 0;
    double beyond[6] = {0};
    for (int c = 0; c < CHUNKS; c++) {
        kds_filler_write(&f, (int64_t)c * CHUNK, CHUNK, v);
        for (int i = 0; i < CHUNK; i++) {
            double z = v[i];
            sum[1] += z;
            sum[2] += z * z;
            sum[3] += z * z * z;
            sum[4] += z * z * z * z;
            lag += z * before;
            before = z;
            for (int k = 1; k <= 5 && fabs(z) > k; k++)
                beyond[k]++;
        }
    }
    free(v);
    assert_true(fabs(sum[1] / n) < 5 / sqrt(n));
    assert_true(fabs(sum[2] / n - 1) < 5 * sqrt(2 / n));
    assert_true(fabs(sum[3] / n) < 5 * sqrt(15 / n));
    assert_true(fabs(sum[4] / n - 3) < 5 * sqrt(96 / n));
    assert_true(fabs(lag / n) < 5 / sqrt(n));
    for (int k = 1; k <= 5; k++) {
        double want = 2 * n * upper_tail(k);
        assert_true(fabs(beyond[k] - want) < 5 * sqrt(want) + 1);
    }
    assert_true(beyond[5] > 0);
}

static void test_constant_and_iota(void **state)
{
    (void)state;
    kds_filler f = filler(KDS_FILL_CONSTANT, 2.5, 0, KDS_DTYPE_BF16, 10);
    uint16_t h[10];
    kds_filler_write(&f, 0, 10, h);
    for (int i = 0; i < 10; i++)
        assert_int_equal(h[i], 0x4020);
    f = filler(KDS_FILL_IOTA, 10, -2, KDS_DTYPE_I64, 2000);
    int64_t v[1500];
    kds_filler_write(&f, 3, 1500, v);
    for (int i = 0; i < 1500; i++)
        assert_true(v[i] == 10 - 2 * (i + 3));
    f.scale = 3;
    f.shift = 7;
    kds_filler_write(&f, 5, 1, v);
    assert_true(v[0] == 3 * (10 - 2 * 5) + 7);
}

static void test_permutations(void **state)
{
    (void)state;
    static const int64_t spans[] = {1, 2, 3, 5, 16, 17, 1000, 1024, 1025, 70000};
    for (size_t s = 0; s < sizeof spans / sizeof *spans; s++) {
        int64_t n = spans[s], fixed = 0, moved_by_seed = 0;
        kds_filler f = filler(KDS_FILL_PERMUTATION, 0, 0, KDS_DTYPE_I32, n);
        int32_t *v = malloc((size_t)n * sizeof *v), *other = malloc((size_t)n * sizeof *v);
        unsigned char *seen = calloc((size_t)n, 1);
        assert_true(v && other && seen);
        kds_filler_write(&f, 0, n, v);
        f.seed++;
        kds_filler_write(&f, 0, n, other);
        for (int64_t i = 0; i < n; i++) {
            assert_in_range(v[i], 0, n - 1);
            assert_int_equal(seen[v[i]], 0);
            seen[v[i]] = 1;
            fixed += v[i] == i;
            moved_by_seed += v[i] != other[i];
        }
        if (n >= 16) {
            assert_true(fixed < n / 2);
            assert_true(moved_by_seed > n / 2);
        }
        free(v);
        free(other);
        free(seen);
    }
}

/* Ascending from 0 to the total; lengths from 0 to several times the mean, which is kept. */
static void test_offsets(void **state)
{
    (void)state;
    static const int64_t sizes[] = {2, 3, 17, 33, 100, 4097};
    static const int64_t means[] = {0, 1, 20, 1000};
    static int32_t v[4097];
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (size_t m = 0; m < sizeof means / sizeof *means; m++) {
            int64_t n = sizes[s], total = means[m] * (n - 1);
            kds_filler f = filler(KDS_FILL_OFFSETS, (double)total,
                                  32.0 * (double)total / (double)(n - 1), KDS_DTYPE_I32, n);
            kds_filler_write(&f, 0, n, v);
            assert_true(v[0] == 0 && v[n - 1] == total);
            int64_t empty = 0, longest = 0;
            for (int64_t i = 1; i < n; i++) {
                int64_t length = v[i] - v[i - 1];
                assert_true(length >= 0);
                empty += length == 0;
                longest = length > longest ? length : longest;
            }
            if (n < 4097 || means[m] != 20)
                continue;
            assert_true(empty > n / 16 && empty < n / 2);
            assert_true(longest > 80 && longest < 200);
            double double_i = 64 * 20 * 32; /* every 64 * 32 segments hold their share */
            assert_true(fabs(v[2048] - double_i) < 64);
            f.seed++;
            int32_t other[64];
            kds_filler_write(&f, 0, 64, other);
            assert_memory_not_equal(v, other, sizeof other);
        }
    }
}

/* A wide filler: the value that the type holds, as a double. */
static void test_wide(void **state)
{
    (void)state;
    enum { N = 2500 };
    static unsigned char narrow[N * 8];
    static double wide[N];
    for (int t = KDS_DTYPE_F32; t <= KDS_DTYPE_F64; t++) {
        kds_filler f = filler(KDS_FILL_NORMAL, 1, 20, (kds_dtype)t, N);
        kds_filler_write(&f, 3, N - 3, narrow);
        f.wide = true;
        kds_filler_write(&f, 3, N - 3, wide);
        for (int i = 0; i < N - 3; i++)
            assert_true(wide[i] ==
                        kds_dtype_load(f.dtype, narrow + (size_t)i * kds_dtype_size(f.dtype)));
    }
}

static void test_pieces_join(void **state)
{
    (void)state;
    enum { N = 5003 };
    static const int64_t cuts[] = {0, 1, 2, 7, 1024, 1025, 2047, 3000, 3001, N};
    for (int kind = KDS_FILL_NORMAL; kind <= KDS_FILL_OFFSETS; kind++) {
        for (int t = KDS_DTYPE_F32; t <= KDS_DTYPE_F64; t++) {
            size_t size = kds_dtype_size((kds_dtype)t);
            kds_filler f = filler((kds_fill_kind)kind, 1, 2, (kds_dtype)t, N);
            if (kind == KDS_FILL_OFFSETS)
                f.fill = (kds_fill){KDS_FILL_OFFSETS, 6 * (N - 1), 6 * 32};
            unsigned char whole[N * 8], pieces[N * 8 + 1];
            pieces[N * size] = 0xab;
            kds_filler_write(&f, 0, N, whole);
            for (size_t c = 0; c + 1 < sizeof cuts / sizeof *cuts; c++)
                kds_filler_write(&f, cuts[c], cuts[c + 1] - cuts[c],
                                 pieces + (size_t)cuts[c] * size);
            assert_memory_equal(whole, pieces, N * size);
            assert_int_equal(pieces[N * size], 0xab);
            kds_filler_write(&f, 5, 0, NULL); /* nothing asked, nothing touched */
        }
    }
}

/* The bits themselves: a change here changes the inputs of every recorded result. */
static void test_bits_are_fixed(void **state)
{
    (void)state;
    static const struct {
        kds_fill_kind kind;
        kds_dtype t;
        uint64_t hash;
    } all[] = {
        {KDS_FILL_NORMAL, KDS_DTYPE_BF16, UINT64_C(0x248f680b7bff2b8e)},
        {KDS_FILL_NORMAL, KDS_DTYPE_F64, UINT64_C(0x0e0ef3b1e794d8fe)},
        {KDS_FILL_UNIFORM, KDS_DTYPE_F16, UINT64_C(0x7c8140aaa54a7b80)},
        {KDS_FILL_PERMUTATION, KDS_DTYPE_I32, UINT64_C(0xf01d0874a97fbfa5)},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        static unsigned char bytes[10000 * 8];
        kds_filler f = filler(all[i].kind, 0, 1, all[i].t, 10000);
        kds_filler_write(&f, 0, 10000, bytes);
        assert_true(kds_hash64(bytes, 10000 * kds_dtype_size(all[i].t), 0) == all[i].hash);
    }
}

static void test_task_filler(void **state)
{
    (void)state;
    kds_task *t = NULL;
    kds_err e = {0};
    assert_int_equal(kds_task_load(&t, KDS_SOURCE_DIR "/kernels/rms_norm", &e), KDS_OK);
    const kds_row *row = kds_task_row(t, "quick_67x128"), *other = kds_task_row(t, "quick_5x128");
    kds_extent x;
    assert_int_equal(kds_task_extent(t, row, 0, &x, &e), KDS_OK);
    kds_filler f = kds_task_filler(t, row, 0, &x, 1, 0);
    assert_int_equal(f.fill.kind, KDS_FILL_NORMAL);
    assert_true(f.scale == 1 && f.shift == 0 && f.span == 67 * 128 && f.buffer == 0);
    assert_true(f.seed == kds_task_filler(t, row, 0, &x, 1, 0).seed);
    assert_true(f.seed != kds_task_filler(t, row, 0, &x, 2, 0).seed);
    assert_true(f.seed != kds_task_filler(t, row, 0, &x, 1, 1).seed);
    assert_true(f.seed != kds_task_filler(t, other, 0, &x, 1, 0).seed);
    kds_filler large = kds_task_filler(t, row, 0, &x, 1, 1);
    assert_true(large.scale == 100 && large.shift == 0);
    assert_true(kds_task_filler(t, row, 1, &x, 1, 1).scale == 1); /* w is not changed */
    uint16_t a[64], b[64];
    kds_filler w = f;
    w.buffer = 1;
    kds_filler_write(&f, 0, 64, a);
    kds_filler_write(&w, 0, 64, b);
    assert_memory_not_equal(a, b, sizeof a);
    kds_filler out = kds_task_filler(t, row, 2, &x, 1, 0);
    kds_filler_write(&out, 0, 64, a);
    memset(b, 0, sizeof b);
    assert_memory_equal(a, b, sizeof a);
    kds_task_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uniform_is_documented),
        cmocka_unit_test(test_uniform_integers_stay_below_the_bound),
        cmocka_unit_test(test_table_is_the_normal_quantile),
        cmocka_unit_test(test_normal_is_documented),
        cmocka_unit_test(test_normal_quality),
        cmocka_unit_test(test_constant_and_iota),
        cmocka_unit_test(test_permutations),
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_wide),
        cmocka_unit_test(test_pieces_join),
        cmocka_unit_test(test_bits_are_fixed),
        cmocka_unit_test(test_task_filler),
    };
    return cmocka_run_group_tests_name("fill", tests, NULL, NULL);
}
