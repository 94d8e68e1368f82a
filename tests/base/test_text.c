/* Escaping, UTF-8, suggestions and numbers. */
#include "search/base/text.h"
#include "tests/base/base_test.h"
#include <math.h>

static void expect_escape(const char *s, size_t len, bool keep_lines, const char *want)
{
    kds_buf b;
    kds_buf_init(&b, 4096);
    kds_text_escape(&b, s, len, keep_lines);
    assert_string_equal(b.data, want);
    kds_buf_free(&b);
}

static void escapes(void **state)
{
    (void)state;
    static const struct {
        const char *in, *lines, *line;
    } CASES[] = {
        {"plain text", "plain text", "plain text"},
        {"a\nb\tc", "a\nb\tc", "a\\x0Ab\\x09c"},
        {"\x1b[2J\x07\x7f\r", "\\x1B[2J\\x07\\x7F\\x0D", "\\x1B[2J\\x07\\x7F\\x0D"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
         "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc2\x9b"
         "31m", /* C1 control sequence introducer */
         "\\xC2\\x9B31m", "\\xC2\\x9B31m"},
        {"x\xe2\x80\xaey", "x\\xE2\\x80\\xAEy", "x\\xE2\\x80\\xAEy"}, /* right-to-left override */
        {"\xe2\x81\xa6\xe2\x80\x8f\xd8\x9c", "\\xE2\\x81\\xA6\\xE2\\x80\\x8F\\xD8\\x9C",
         "\\xE2\\x81\\xA6\\xE2\\x80\\x8F\\xD8\\x9C"},
        {"\xe2\x80\xa8|\xef\xbb\xbf|\xf3\xa0\x81\x81",
         "\\xE2\\x80\\xA8|\\xEF\\xBB\\xBF|\\xF3\\xA0\\x81\\x81",
         "\\xE2\\x80\\xA8|\\xEF\\xBB\\xBF|\\xF3\\xA0\\x81\\x81"},
        {"\xff\xc3", "\\xFF\\xC3", "\\xFF\\xC3"},
        {"\xc0\xaf", "\\xC0\\xAF", "\\xC0\\xAF"},               /* overlong slash */
        {"\xed\xa0\x80", "\\xED\\xA0\\x80", "\\xED\\xA0\\x80"}, /* surrogate */
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        expect_escape(CASES[i].in, strlen(CASES[i].in), true, CASES[i].lines);
        expect_escape(CASES[i].in, strlen(CASES[i].in), false, CASES[i].line);
    }
    expect_escape("a\0b", 3, true, "a\\x00b");
}

/* What would be spelled out is left out. */
static void strips(void **state)
{
    (void)state;
    static const char *const CASES[][2] = {
        {"", ""},
        {"plain\n\ttext \\x1b", "plain\n\ttext \\x1b"},
        {"\x1b[31mred\x07\x7f", "[31mred"},
        {"\xc2\x9b"
         "2J\xe2\x80\xae\xef\xbb\xbf\xe2\x82\xac",
         "2J\xe2\x82\xac"},
        {"\xf3\xa0\x81\x81"
         "a\r\n",
         "a\n"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        kds_buf b;
        kds_buf_init(&b, 100);
        kds_text_strip(&b, CASES[i][0], strlen(CASES[i][0]));
        assert_string_equal(b.data, CASES[i][1]);
        kds_buf_free(&b);
    }
}

static void escapes_into_any_size(void **state)
{
    (void)state;
    char out[16];
    static const char *const WANT[] = {
        NULL, "", ".", "..", "...", "a...", "a...", "a...", "a...", "a\\xFFbcd", "a\\xFFbcd",
    };
    for (size_t size = 1; size <= 10; size++) {
        memset(out, '#', sizeof out);
        size_t n = kds_text_escape_into(out, size,
                                        "a\xff"
                                        "bcd",
                                        5, true);
        assert_string_equal(out, WANT[size]);
        assert_int_equal(n, strlen(out));
        assert_int_equal(out[size], '#');
    }
    assert_int_equal(kds_text_escape_into(out, 4, "abc", 3, true), 3);
    assert_string_equal(out, "abc");
    assert_int_equal(kds_text_escape_into(out, 4, "", 0, true), 0);
    assert_string_equal(out, "");
}

static void sanitizes_utf8(void **state)
{
    (void)state;
    kds_buf b;
    kds_buf_init(&b, 4096);
    assert_int_equal(kds_text_sanitize_utf8(&b, "ok \xc3\xa9", 5), 0);
    assert_string_equal(b.data, "ok \xc3\xa9");
    kds_buf_reset(&b);
    assert_int_equal(kds_text_sanitize_utf8(&b,
                                            "\xff"
                                            "a\xe2\x82",
                                            4),
                     3);
    assert_string_equal(b.data, "\xef\xbf\xbd"
                                "a\xef\xbf\xbd\xef\xbf\xbd");
    kds_buf_reset(&b);
    assert_int_equal(kds_text_sanitize_utf8(&b, "", 0), 0);
    assert_string_equal(b.data, "");
    kds_buf_free(&b);
}

static void knows_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t prefix;
    } CASES[] = {
        {"", 0},
        {"abc", 3},
        {"\xc2\x80\xdf\xbf", 4},
        {"\xe0\xa0\x80\xef\xbf\xbf", 6},
        {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8},
        {"a\x80", 1},     /* a lone continuation */
        {"a\xc1\xbf", 1}, /* overlong forms */
        {"a\xe0\x9f\xbf", 1},
        {"a\xf0\x8f\xbf\xbf", 1},
        {"a\xed\xbf\xbf", 1},     /* surrogate */
        {"a\xf4\x90\x80\x80", 1}, /* above U+10FFFF */
        {"a\xf5\x80\x80\x80", 1},
        {"ab\xe2\x82", 2}, /* cut */
        {"ab\xe2\x28\xa1", 2},
        {"ab\xf0\x9f\x98\xc0", 2},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        size_t len = strlen(CASES[i].text);
        assert_int_equal(kds_text_utf8_prefix(CASES[i].text, len), CASES[i].prefix);
        assert_int_equal(kds_text_is_utf8(CASES[i].text, len), CASES[i].prefix == len);
    }
}

static void suggests(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"max-time", "max-evals", "seed", "device",
                                        "shape",    "dtype",     "M",    NULL};
    static const struct {
        const char *given, *want;
    } CASES[] = {
        {"shpae", "shape"},
        {"sahpe", "shape"},
        {"Shape", "shape"},
        {"max_time", "max-time"},
        {"max-tim", "max-time"},
        {"max-eval", "max-evals"},
        {"dev", "device"},
        {"seeds", "seed"},
        {"sed", "seed"},
        {"m", "M"},
        {"N", NULL},
        {"zzz", NULL},
        {"", NULL},
        {"de", NULL},
        {"completely-different", NULL},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const char *got = kds_text_suggest(CASES[i].given, NAMES);
        if (CASES[i].want == NULL)
            assert_null(got);
        else {
            assert_non_null(got);
            assert_string_equal(got, CASES[i].want);
        }
    }
    char lengthy[200];
    memset(lengthy, 'a', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    const char *const long_names[] = {lengthy, NULL};
    assert_null(kds_text_suggest(lengthy, NAMES));
    assert_null(kds_text_suggest("aaaa", long_names));
    const char *const none[] = {NULL};
    assert_null(kds_text_suggest("a", none));
}

static void parses_integers(void **state)
{
    (void)state;
    int64_t i = 7;
    uint64_t u = 7;
    static const char *const BAD[] = {"",     "-",   "+1",  " 1", "1 ",  "1.0",
                                      "0x10", "1e3", "--1", "a",  "1\n", "- 1"};
    for (size_t k = 0; k < sizeof BAD / sizeof *BAD; k++) {
        assert_false(kds_text_parse_i64(BAD[k], &i));
        assert_false(kds_text_parse_u64(BAD[k], &u));
    }
    assert_false(kds_text_parse_u64("-1", &u));
    assert_false(kds_text_parse_u64("18446744073709551616", &u));
    assert_false(kds_text_parse_u64("99999999999999999999999", &u));
    assert_false(kds_text_parse_i64("9223372036854775808", &i));
    assert_false(kds_text_parse_i64("-9223372036854775809", &i));
    assert_int_equal(i, 7);
    assert_int_equal(u, 7);
    assert_true(kds_text_parse_u64("18446744073709551615", &u) && u == UINT64_MAX);
    assert_true(kds_text_parse_i64("9223372036854775807", &i) && i == INT64_MAX);
    assert_true(kds_text_parse_i64("-9223372036854775808", &i) && i == INT64_MIN);
    assert_true(kds_text_parse_i64("-0", &i) && i == 0);
    assert_true(kds_text_parse_i64("-42", &i) && i == -42);
}

static void parses_doubles(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double want;
    } GOOD[] = {{"0", 0},       {"-1.5", -1.5}, {".5", 0.5},           {"5.", 5},
                {"1e3", 1000},  {"1E-2", 0.01}, {"2.5e+1", 25},        {"0.1", 0.1},
                {"1e-400", 0.}, {"007", 7},     {"4.9e-324", 4.9e-324}};
    static const char *const BAD[] = {"",      ".",   "-",  "e5", "1e", "1e+",   "nan",    "inf",
                                      "0x1p3", "1,5", " 1", "1 ", "+1", "1e999", "-1e999", "1.2.3"};
    double v = 7;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_false(kds_text_parse_double(BAD[i], &v));
    assert_true(v == 7);
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++)
        assert_true(kds_text_parse_double(GOOD[i].text, &v) && v == GOOD[i].want);
}

static void parses_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double want;
    } GOOD[] = {{"8h", 28800},  {"90m", 5400}, {"30s", 30},    {"2d", 172800},
                {"1.5h", 5400}, {"45", 45},    {"250ms", .25}, {"0", 0}};
    static const char *const BAD[] = {"",
                                      "h",
                                      "-1h",
                                      "8 h",
                                      "8hours",
                                      "1h30m",
                                      "inf",
                                      "1e308d",
                                      "nan",
                                      "-0",
                                      "1111111111111111111111111111111111111111111111111111111111"
                                      "11111111111"};
    double v = 7;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_false(kds_text_parse_duration(BAD[i], &v));
    assert_true(v == 7);
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++)
        assert_true(kds_text_parse_duration(GOOD[i].text, &v) && v == GOOD[i].want);
}

static void formats_durations(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *want;
    } CASES[] = {{0, "0s"},         {0.0001, "0s"},    {0.35, "350ms"},         {0.9999, "1s"},
                 {41.2, "41s"},     {59.7, "1m 00s"},  {125, "2m 05s"},         {3599.6, "1h 00m"},
                 {3725, "1h 02m"},  {86400, "1d 00h"}, {180000, "2d 02h"},      {-90, "-1m 30s"},
                 {-0.25, "-250ms"}, {-5, "-5s"},       {(double)INFINITY, "?"}, {(double)NAN, "?"}};
    char out[32];
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        kds_text_format_duration(out, sizeof out, CASES[i].seconds);
        assert_string_equal(out, CASES[i].want);
    }
}

static void compares_ends(void **state)
{
    (void)state;
    assert_true(kds_text_starts_with("kernel.cu", "kern"));
    assert_true(kds_text_starts_with("a", ""));
    assert_false(kds_text_starts_with("ke", "kern"));
    assert_true(kds_text_ends_with("kernel.cu", ".cu"));
    assert_true(kds_text_ends_with("a", ""));
    assert_false(kds_text_ends_with("u", ".cu"));
    assert_false(kds_text_ends_with("kernel.cuh", ".cu"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes),
        cmocka_unit_test(strips),
        cmocka_unit_test(escapes_into_any_size),
        cmocka_unit_test(sanitizes_utf8),
        cmocka_unit_test(knows_utf8),
        cmocka_unit_test(suggests),
        cmocka_unit_test(parses_integers),
        cmocka_unit_test(parses_doubles),
        cmocka_unit_test(parses_durations),
        cmocka_unit_test(formats_durations),
        cmocka_unit_test(compares_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
