/* The exact duel: which reports beat which. */
#include "eval/duel.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static cJSON *report(const char *fingerprint, double a, double b)
{
    char text[600];
    snprintf(text, sizeof text,
             "{\"fingerprint\":\"%s\",\"rows\":["
             "{\"row\":\"a\",\"set\":\"production\",\"weight\":1,\"time_us\":%.17g},"
             "{\"row\":\"q\",\"set\":\"quick\",\"time_us\":1},"
             "{\"row\":\"b\",\"set\":\"production\",\"weight\":3,\"time_us\":%.17g}]}",
             fingerprint, a, b);
    return kds_json_parse_record(text, strlen(text));
}

/* Duels child times against 100 us and 200 us. */
static kds_code duel(double a, double b, kds_duel *out, kds_err *e)
{
    cJSON *child = report("f", a, b), *incumbent = report("f", 100, 200);
    kds_code code = kds_duel_exact(child, incumbent, 0.0025, 0.02, out, e);
    cJSON_Delete(child);
    cJSON_Delete(incumbent);
    return code;
}

static void test_verdicts(void **state)
{
    (void)state;
    static const struct {
        double a, b;
        kds_duel_verdict verdict;
    } cases[] = {
        {100, 200, KDS_DUEL_NOT_FASTER},    /* itself */
        {99.9, 199.8, KDS_DUEL_NOT_FASTER}, /* 0.1 %: below the margin */
        {99, 198, KDS_DUEL_FASTER},
        {101.9, 190, KDS_DUEL_FASTER},     /* one row 1.9 % slower */
        {102.1, 190, KDS_DUEL_NOT_FASTER}, /* one row 2.1 % slower */
        {90, 201, KDS_DUEL_FASTER},        /* weights 1:3: -0.105 + 3 * 0.005 */
        {97, 202, KDS_DUEL_NOT_FASTER},    /* -0.030 + 3 * 0.00995: faster by 0.0002 only */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kds_duel d;
        assert_int_equal(duel(cases[i].a, cases[i].b, &d, NULL), KDS_OK);
        if (d.verdict != cases[i].verdict)
            fail_msg("case %zu: %s (%s)", i, kds_duel_verdict_name(d.verdict), d.why);
    }
}

static void test_gain_is_the_weighted_geometric_mean(void **state)
{
    (void)state;
    kds_duel d;
    assert_int_equal(duel(50, 180, &d, NULL), KDS_OK);
    double expected = pow(pow(100.0 / 50, 1) * pow(200.0 / 180, 3), 1.0 / 4) - 1;
    assert_true(fabs(d.gain - expected) < 1e-12);
    assert_string_equal(d.worst_row, "b");
}

static void test_refuses_what_cannot_be_compared(void **state)
{
    (void)state;
    kds_duel d;
    kds_err e = {0};
    cJSON *child = report("f", 1, 1), *other = report("g", 1, 1);
    assert_int_equal(kds_duel_exact(child, other, 0.01, 0.02, &d, &e), KDS_INVALID);
    assert_non_null(strstr(e.message, "fingerprints"));
    cJSON_Delete(other);
    cJSON_Delete(child);
    assert_int_equal(duel(0, 1, &d, &e), KDS_INVALID);
    assert_int_equal(duel(-1, 1, &d, &e), KDS_INVALID);
    assert_int_equal(duel(NAN, 1, &d, &e), KDS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_gain_is_the_weighted_geometric_mean),
        cmocka_unit_test(test_refuses_what_cannot_be_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
