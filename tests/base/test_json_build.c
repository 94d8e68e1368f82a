/* Building and printing records: exact text, and that it reads back as what was put in. */
#include "search/base/json.h"
#include "search/base/random.h"
#include "tests/base/base_test.h"
#include <math.h>

static void expect_print(const cJSON *value, const char *want)
{
    char *text = kds_json_print(value);
    assert_non_null(text);
    assert_string_equal(text, want);
    free(text);
}

static void prints_compactly(void **state)
{
    (void)state;
    cJSON *o = cJSON_CreateObject();
    assert_true(kds_json_add_str(o, "s", "a\"b\\c\n\t\r\b\f\x01/\x7f"));
    assert_true(kds_json_add_str(o, "null", NULL));
    assert_true(kds_json_add_num(o, "x", 0.1));
    assert_true(kds_json_add_num(o, "inf", (double)INFINITY));
    assert_true(kds_json_add_num(o, "nan", (double)NAN));
    assert_true(kds_json_add_int(o, "i", -42));
    assert_true(kds_json_add_int(o, "safe", 9007199254740991));
    assert_true(kds_json_add_int(o, "big", 9007199254740992));
    assert_true(kds_json_add_int(o, "least", INT64_MIN));
    assert_true(kds_json_add_bool(o, "t", true));
    assert_true(kds_json_add_bool(o, "f", false));
    assert_true(kds_json_add_id(o, "id", (kds_id){1, 255}));
    cJSON *a = cJSON_AddArrayToObject(o, "a");
    cJSON_AddItemToArray(a, cJSON_CreateNumber(1));
    cJSON_AddItemToArray(a, cJSON_CreateObject());
    cJSON_AddItemToArray(a, cJSON_CreateArray());
    expect_print(o, "{\"s\":\"a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001/\x7f\",\"null\":null,\"x\":0.1,"
                    "\"inf\":null,\"nan\":null,\"i\":-42,\"safe\":9007199254740991,"
                    "\"big\":\"9007199254740992\",\"least\":\"-9223372036854775808\",\"t\":true,"
                    "\"f\":false,\"id\":\"000000000000000100000000000000ff\",\"a\":[1,{},[]]}");
    assert_true(kds_json_int(o, "big", 0) == 9007199254740992);
    assert_true(kds_json_int(o, "least", 0) == INT64_MIN);
    cJSON_Delete(o);
    cJSON *infinite = cJSON_CreateNumber((double)INFINITY);
    expect_print(infinite, "null");
    cJSON_Delete(infinite);
}

static void prints_prettily(void **state)
{
    (void)state;
    const char compact[] = "{\"a\":[1,{\"b\":[]}],\"c\":{}}";
    cJSON *o = kds_json_parse_record(compact, sizeof compact - 1);
    char *text = kds_json_print_pretty(o);
    assert_string_equal(text, "{\n"
                              "  \"a\": [\n"
                              "    1,\n"
                              "    {\n"
                              "      \"b\": []\n"
                              "    }\n"
                              "  ],\n"
                              "  \"c\": {}\n"
                              "}");
    free(text);
    cJSON_Delete(o);
}

static void doubles_round_trip(void **state)
{
    (void)state;
    static const double SPECIAL[] = {0.1,
                                     1.0 / 3,
                                     5e-324,
                                     1.7976931348623157e308,
                                     2.2250738585072014e-308,
                                     -0.0,
                                     9007199254740993.0,
                                     1e21,
                                     123456789012345680,
                                     0.30000000000000004,
                                     1 + 0x1p-52,
                                     1 - 0x1p-53};
    kds_random r = kds_random_stream(1, 1, "doubles");
    for (int i = 0; i < 20000; i++) {
        double v, back;
        uint64_t bits = kds_random_u64(&r);
        if (i < (int)(sizeof SPECIAL / sizeof *SPECIAL))
            v = SPECIAL[i];
        else
            memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        cJSON *n = cJSON_CreateNumber(v);
        char *text = kds_json_print(n);
        cJSON *again = kds_json_parse_record(text, strlen(text));
        assert_non_null(again);
        back = again->valuedouble;
        assert_memory_equal(&v, &back, sizeof v);
        cJSON_Delete(again);
        free(text);
        cJSON_Delete(n);
    }
}

/* Numbers of few places take a way of their own to the same text: the fewest of 15, 16 or 17 digits
 * that read back. */
static void few_places_print_as_printf_does(void **state)
{
    (void)state;
    kds_random r = kds_random_stream(2, 1, "decimals");
    for (int i = 0; i < 200000; i++) {
        char want[40];
        double power = 1;
        for (uint64_t k = kds_random_below(&r, 14); k > 0; k--)
            power *= 10;
        double v =
            (double)kds_random_below(&r, UINT64_C(1) << (1 + kds_random_below(&r, 56))) / power;
        v = i % 2 ? -v : v;
        v = i % 5 ? v : nextafter(v, INFINITY); /* and what is all but such a number */
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(want, sizeof want, "%.*g", digits, v);
            if (strtod(want, NULL) == v)
                break;
        }
        cJSON *n = cJSON_CreateNumber(v);
        if (v != floor(v)) /* whole ones are never printed with an exponent */
            expect_print(n, want);
        cJSON_Delete(n);
    }
}

static void output_is_utf8_whatever_goes_in(void **state)
{
    (void)state;
    cJSON *o = cJSON_CreateObject();
    assert_true(kds_json_add_str(o, "a", "\xc3\xa9\xff\n\xe2\x82"));
    expect_print(o, "{\"a\":\"\xc3\xa9\xef\xbf\xbd\\n\xef\xbf\xbd\xef\xbf\xbd\"}");
    cJSON_Delete(o);
}

static void prints_the_same_in_any_locale(void **state)
{
    (void)state;
    if (!use_comma_locale())
        skip();
    cJSON *n = cJSON_CreateNumber(1.5);
    expect_print(n, "1.5");
    char text[16];
    snprintf(text, sizeof text, "%.1f", 1.5);
    assert_string_equal(text, "1,5"); /* the program's own locale is untouched */
    cJSON_Delete(n);
    setlocale(LC_NUMERIC, "C");
}

static void parses_records(void **state)
{
    (void)state;
    static const char *const BAD[] = {"", "{", "{} x", "{}{}", "nope", "[1,]", "{\"a\"}"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_null(kds_json_parse_record(BAD[i], strlen(BAD[i])));
    cJSON *value = kds_json_parse_record(" {\"a\": 1}\r\n\t ", 13);
    assert_int_equal(kds_json_int(value, "a", 0), 1);
    cJSON_Delete(value);
    /* Only `len` bytes count. */
    value = kds_json_parse_record("[1]garbage", 3);
    assert_non_null(value);
    cJSON_Delete(value);
    assert_null(kds_json_parse_record("[1]\0", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_compactly),
        cmocka_unit_test(prints_prettily),
        cmocka_unit_test(doubles_round_trip),
        cmocka_unit_test(few_places_print_as_printf_does),
        cmocka_unit_test(output_is_utf8_whatever_goes_in),
        cmocka_unit_test(prints_the_same_in_any_locale),
        cmocka_unit_test(parses_records),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
