/* Philox against the known answers of Random123 (kat_vectors), and the streams drawn from it. The
 * streams are pure functions, so every bound below either always holds or never does. */
#include "search/base/random.h"
#include "tests/base/base_test.h"
#include <math.h>

static void gives_the_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } VECTORS[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof VECTORS / sizeof *VECTORS; i++) {
        uint32_t out[4];
        kds_philox(VECTORS[i].counter, VECTORS[i].key, out);
        assert_memory_equal(out, VECTORS[i].want, sizeof out);
    }
}

static void a_stream_is_a_function_of_its_key(void **state)
{
    (void)state;
    kds_random a = kds_random_stream(7, 3, "operator"), b = kds_random_stream(7, 3, "operator");
    kds_random others[] = {kds_random_stream(8, 3, "operator"), kds_random_stream(7, 4, "operator"),
                           kds_random_stream(7, 3, "parent"),
                           kds_random_stream(7 + (1ull << 32), 3, "operator")};
    uint64_t first = kds_random_u64(&a), second = kds_random_u64(&a);
    assert_true(first == kds_random_u64(&b));
    assert_true(second == kds_random_u64(&b));
    assert_true(first != second);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_true(kds_random_u64(&others[i]) != first);
    /* Any number of a stream can be drawn without those before it. */
    kds_random late = kds_random_stream(7, 3, "operator");
    late.next = 1;
    assert_true(kds_random_u64(&late) == second);
}

static void below_is_uniform(void **state)
{
    (void)state;
    kds_random r = kds_random_stream(1, 2, "test");
    int count[6] = {0};
    for (int i = 0; i < 60000; i++)
        count[kds_random_below(&r, 6)]++;
    double chi = 0;
    for (int i = 0; i < 6; i++)
        chi += (count[i] - 10000.0) * (count[i] - 10000.0) / 10000;
    assert_true(chi < 20.5); /* 0.999 quantile of chi-squared with 5 degrees of freedom */
    for (int i = 0; i < 10; i++)
        assert_true(kds_random_below(&r, 1) == 0);
    /* Nearly half of all values are rejected for this n; none may come out at or above it. */
    uint64_t n = (1ull << 63) + 1, before = r.next;
    for (int i = 0; i < 200; i++)
        assert_true(kds_random_below(&r, n) < n);
    assert_in_range(r.next - before, 300, 550);
}

static void unit_and_normal_have_their_moments(void **state)
{
    (void)state;
    enum { N = 40000 };
    kds_random r = kds_random_stream(5, 0, "moments");
    double sum = 0, square = 0;
    for (int i = 0; i < N; i++) {
        double u = kds_random_unit(&r);
        assert_true(u >= 0 && u < 1);
        sum += u;
        square += u * u;
    }
    assert_true(fabs(sum / N - 0.5) < 0.006);
    assert_true(fabs(square / N - 1.0 / 3) < 0.006);
    sum = square = 0;
    double fourth = 0;
    for (int i = 0; i < N; i++) {
        double x = kds_random_normal(&r);
        assert_true(isfinite(x));
        sum += x;
        square += x * x;
        fourth += x * x * x * x;
    }
    assert_true(fabs(sum / N) < 0.02);
    assert_true(fabs(square / N - 1) < 0.03);
    assert_true(fabs(fourth / N - 3) < 0.2);
}

static void weighted_follows_the_weights(void **state)
{
    (void)state;
    kds_random r = kds_random_stream(5, 0, "weights");
    const double weights[] = {1, 0, 3, 0, 4, 0};
    int count[6] = {0};
    for (int i = 0; i < 80000; i++)
        count[kds_random_weighted(&r, weights, 6)]++;
    assert_int_equal(count[1] + count[3] + count[5], 0);
    assert_in_range(count[0], 9600, 10400);
    assert_in_range(count[2], 29400, 30600);
    assert_in_range(count[4], 39400, 40600);
}

static void weighted_copes_with_odd_weights(void **state)
{
    (void)state;
    kds_random r = kds_random_stream(5, 0, "odd");
    const double zeros[] = {0, 0, 0}, one[] = {5}, huge[] = {1e308, 1e308, 1e308},
                 tiny[] = {5e-324, 0}, odd[] = {-1, (double)NAN, 2, (double)INFINITY};
    int seen_zero[3] = {0}, seen_huge[3] = {0};
    for (int i = 0; i < 300; i++) {
        seen_zero[kds_random_weighted(&r, zeros, 3)]++;
        seen_huge[kds_random_weighted(&r, huge, 3)]++;
        assert_int_equal(kds_random_weighted(&r, one, 1), 0);
        assert_int_equal(kds_random_weighted(&r, tiny, 2), 0);
        assert_int_equal(kds_random_weighted(&r, odd, 4), 2);
    }
    for (int i = 0; i < 3; i++) {
        assert_in_range(seen_zero[i], 70, 130);
        assert_in_range(seen_huge[i], 70, 130);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_known_answers),
        cmocka_unit_test(a_stream_is_a_function_of_its_key),
        cmocka_unit_test(below_is_uniform),
        cmocka_unit_test(unit_and_normal_have_their_moments),
        cmocka_unit_test(weighted_follows_the_weights),
        cmocka_unit_test(weighted_copes_with_odd_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
