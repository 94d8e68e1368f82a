/* The clocks, and times as text. */
#include "search/base/clock.h"
#include "tests/base/base_test.h"
#include <time.h>

static void formats_utc(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *want;
    } CASES[] = {
        {0, "1970-01-01T00:00:00Z"},
        {1769847300000, "2026-01-31T08:15:00Z"},
        {1769847300999, "2026-01-31T08:15:00Z"},
        {951782400000, "2000-02-29T00:00:00Z"},
        {-1, "1969-12-31T23:59:59Z"},
        {INT64_MAX, "292278994-08-17T07:12:55Z"},
    };
    setenv("TZ", "Asia/Tokyo", 1);
    tzset();
    char out[40];
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        kds_clock_format(CASES[i].ms, out, sizeof out);
        assert_string_equal(out, CASES[i].want);
    }
    char small[5];
    kds_clock_format(0, small, sizeof small);
    assert_string_equal(small, "1970");
}

static void runs(void **state)
{
    (void)state;
    double before = kds_clock_monotonic();
    int64_t wall = kds_clock_wall_ms();
    struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);
    assert_true(kds_clock_monotonic() - before >= 0.02);
    assert_true(wall / 1000 >= (int64_t)time(NULL) - 60 && wall / 1000 <= (int64_t)time(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_utc),
        cmocka_unit_test(runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
