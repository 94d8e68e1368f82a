/* Delays before another attempt. */
#include "prompts/endpoint.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1700000000 /* Tue, 14 Nov 2023 22:13:20 GMT */

static void check_after(const char *value, double want)
{
    double got = kds_retry_after(value, NOW);
    if (got != want)
        fail_msg("Retry-After '%s': got %g, want %g", value ? value : "(none)", got, want);
}

static void test_retry_after(void **state)
{
    (void)state;
    check_after(NULL, -1);
    check_after("", -1);
    check_after("   ", -1);
    check_after("0", 0);
    check_after("7", 7);
    check_after(" 7\r\n", 7);
    check_after("1.5", 1.5);
    check_after("-1", -1);
    check_after("-0.5", -1);
    check_after("1e", -1);
    check_after("1..5", -1);
    check_after("soon", -1);
    check_after("600", 600);
    check_after("601", KDS_RETRY_AFTER_CAP);
    check_after("1e300", KDS_RETRY_AFTER_CAP);
    check_after("99999999999999999999999999999", KDS_RETRY_AFTER_CAP);
    check_after("Tue, 14 Nov 2023 22:13:50 GMT", 30);
    check_after("Tue, 14 Nov 2023 22:13:20 GMT", 0);
    check_after("Tue, 14 Nov 2023 22:00:00 GMT", 0);
    check_after("Sun, 06 Nov 1994 08:49:37 GMT", 0);
    check_after("Tuesday, 14-Nov-23 22:13:50 GMT", 30);
    check_after("Sat, 14 Nov 2043 22:13:20 GMT", KDS_RETRY_AFTER_CAP);
    check_after("Tue, 99 Nov 2023 22:13:50 GMT", -1);
    char endless[2000];
    memset(endless, '1', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    check_after(endless, -1);
}

static void test_jitter(void **state)
{
    (void)state;
    assert_true(kds_retry_delay(1, -1, 0) == 0);
    assert_true(kds_retry_delay(1, -1, 0.5) == 0.5 * 2 * KDS_RETRY_BASE);
    assert_true(kds_retry_delay(3, -1, 0.5) == 0.5 * 8 * KDS_RETRY_BASE);
    /* Below the cap whatever is asked. */
    for (int attempt = -5; attempt < 2000; attempt += 7)
        for (int u = -1; u <= 12; u++) {
            double d = kds_retry_delay(attempt, -1, u / 10.0);
            assert_true(d >= 0 && d < KDS_RETRY_CAP);
        }
    assert_true(kds_retry_delay(40, -1, 0.5) == 0.5 * KDS_RETRY_CAP);
    assert_true(kds_retry_delay(2, -1, NAN) == 0);
}

static void test_server_is_obeyed(void **state)
{
    (void)state;
    for (int u = 0; u < 10; u++) {
        double d = kds_retry_delay(1, 20, u / 10.0);
        assert_true(d >= 20 && d < 20 + KDS_RETRY_BASE);
    }
    assert_true(kds_retry_delay(1, 0, 0) == 0);
    assert_true(kds_retry_delay(1, 1e9, 0.5) == KDS_RETRY_AFTER_CAP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_server_is_obeyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
