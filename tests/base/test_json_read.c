/* The strict reader: values, exact messages, and which of several errors is reported. */
#include "search/base/json.h"
#include "tests/base/base_test.h"
#include <math.h>

/* Parses `text` and starts a reader over its root. */
static kds_json_doc *doc;
static kds_err error;
static kds_json_reader reader;

static void begin(const char *text)
{
    kds_err_clear(&error);
    if (kds_json_parse(&doc, "t", text, strlen(text), true, &error) != KDS_OK)
        fail_msg("%s", error.message);
    kds_json_reader_init(&reader, doc, kds_json_root(doc), &error);
}

/* Ends it; NULL expects success, else the exact message. */
static void end(const char *want)
{
    kds_code code = kds_json_done(&reader);
    if (want == NULL) {
        assert_string_equal(error.message, "");
        assert_int_equal(code, KDS_OK);
    } else {
        assert_string_equal(error.message, want);
        assert_int_equal(code, KDS_INVALID);
        assert_int_equal(error.code, KDS_INVALID);
    }
    kds_json_free(doc);
}

static void reads_every_type(void **state)
{
    (void)state;
    begin("{\"s\": \"x\", \"i\": -3, \"f\": 1.0, \"e\": 1e3, \"big\": \"9007199254740992\", "
          "\"least\": \"-9223372036854775808\", \"safe\": 9007199254740991, \"d\": 2.5, "
          "\"a\": [1], \"o\": {}, \"t\": true, \"n\": false, \"any\": null}");
    assert_string_equal(kds_json_need_string(&reader, "s"), "x");
    assert_int_equal(kds_json_need_int(&reader, "i", -3, 5), -3);
    assert_int_equal(kds_json_opt_int(&reader, "f", 1, 1, 9), 1);
    assert_int_equal(kds_json_need_int(&reader, "e", 0, 1000), 1000);
    assert_true(kds_json_need_int(&reader, "big", 0, INT64_MAX) == 9007199254740992);
    assert_true(kds_json_need_int(&reader, "least", INT64_MIN, 0) == INT64_MIN);
    assert_true(kds_json_need_int(&reader, "safe", 0, INT64_MAX) == 9007199254740991);
    assert_true(kds_json_need_double(&reader, "d", 2.5, 3) == 2.5);
    assert_int_equal(cJSON_GetArraySize(kds_json_need_array(&reader, "a")), 1);
    assert_true(cJSON_IsObject(kds_json_need_object(&reader, "o")));
    assert_true(kds_json_opt_bool(&reader, "t", false));
    assert_false(kds_json_opt_bool(&reader, "n", true));
    assert_true(cJSON_IsNull(kds_json_opt_any(&reader, "any")));
    end(NULL);
}

static void gives_fallbacks_for_what_is_absent(void **state)
{
    (void)state;
    begin("{}");
    assert_string_equal(kds_json_opt_string(&reader, "s", "f"), "f");
    assert_null(kds_json_opt_string(&reader, "s2", NULL));
    assert_int_equal(kds_json_opt_int(&reader, "i", 0, 1, 77), 77);
    assert_true(kds_json_opt_double(&reader, "d", 0, 1, 7.5) == 7.5);
    assert_true(kds_json_opt_bool(&reader, "b", true));
    assert_null(kds_json_opt_array(&reader, "a"));
    assert_null(kds_json_opt_object(&reader, "o"));
    assert_null(kds_json_opt_any(&reader, "x"));
    end(NULL);
}

static void gives_defaults_after_an_error(void **state)
{
    (void)state;
    begin("{\"s\": 1, \"i\": 5, \"d\": 0.5, \"t\": true, \"a\": [], \"o\": {}}");
    assert_string_equal(kds_json_need_string(&reader, "s"), "");
    assert_int_equal(reader.bad, KDS_INVALID);
    assert_int_equal(kds_json_need_int(&reader, "i", 2, 9), 2);
    assert_int_equal(kds_json_need_int(&reader, "absent", -9, -2), -2);
    assert_int_equal(kds_json_need_int(&reader, "absent2", -9, 9), 0);
    assert_int_equal(kds_json_opt_int(&reader, "i", 2, 9, 4), 4);
    assert_true(kds_json_need_double(&reader, "d", 0.25, 1) == 0.25);
    assert_true(kds_json_need_double(&reader, "d2", -INFINITY, INFINITY) == 0);
    assert_true(kds_json_need_double(&reader, "d3", -3, -1) == -1);
    assert_false(kds_json_opt_bool(&reader, "t", false));
    assert_null(kds_json_need_array(&reader, "a"));
    assert_null(kds_json_need_object(&reader, "o"));
    assert_null(kds_json_opt_any(&reader, "o"));
    assert_string_equal(kds_json_opt_string(&reader, "s", "f"), "f");
    end("t:1: key 's': must be a string, found the number 1");
}

static void names_wrong_types(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        char getter;
        const char *want;
    } CASES[] = {
        {"[]", 's', "must be a string, found an array"},
        {"null", 's', "must be a string, found null"},
        {"{}", 'i', "must be an integer, found an object"},
        {"1.5", 'i', "must be an integer, found the number 1.5"},
        {"true", 'i', "must be an integer, found true"},
        {"\"x\"", 'i', "must be an integer, found the string \"x\""},
        {"\"64\"", 'i',
         "must be written as a number (only integers of 2^53 and above are strings), found the "
         "string \"64\""},
        {"9007199254740993", 'i',
         "must be written as a string, as integers of 2^53 and above are, found the number "
         "9.00719925474099e+15"},
        {"-1e300", 'i',
         "must be written as a string, as integers of 2^53 and above are, found the number "
         "-1e+300"},
        {"\"99999999999999999999\"", 'i',
         "must be an integer, found the string \"99999999999999999999\""},
        {"0", 'i', "must be from 1 to 64, is 0"},
        {"65", 'i', "must be from 1 to 64, is 65"},
        {"0", 'l', "must be at least 1, is 0"},
        {"2", 'm', "must be at most 1, is 2"},
        {"\"9223372036854775807\"", 'm', "must be at most 1, is 9223372036854775807"},
        {"\"1\"", 'd', "must be a number, found the string \"1\""},
        {"2", 'd', "must be from -0.5 to 1.5, is 2"},
        {"-1", 'D', "must be at least 0, is -1"},
        {"2.5", 'E', "must be at most 0, is 2.5"},
        {"false", 'a', "must be an array, found false"},
        {"[]", 'o', "must be an object, found an array"},
        {"1", 'b', "must be true or false, found the number 1"},
        {"\"true\"", 'b', "must be true or false, found the string \"true\""},
        {"\"\\u001b[31mrather long text that is not shown to its end, for it would flood\"", 'i',
         "must be an integer, found the string \"\\x1B[31mrather long text that is not shown "
         "t...\""},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char text[300], want[400];
        snprintf(text, sizeof text, "{\n\"k\": %s}", CASES[i].value);
        snprintf(want, sizeof want, "t:2: key 'k': %s", CASES[i].want);
        begin(text);
        switch (CASES[i].getter) {
        case 's':
            (void)kds_json_need_string(&reader, "k");
            break;
        case 'i':
            (void)kds_json_need_int(&reader, "k", 1, 64);
            break;
        case 'l':
            (void)kds_json_need_int(&reader, "k", 1, INT64_MAX);
            break;
        case 'm':
            (void)kds_json_opt_int(&reader, "k", INT64_MIN, 1, 0);
            break;
        case 'd':
            (void)kds_json_need_double(&reader, "k", -0.5, 1.5);
            break;
        case 'D':
            (void)kds_json_need_double(&reader, "k", 0, INFINITY);
            break;
        case 'E':
            (void)kds_json_opt_double(&reader, "k", -INFINITY, 0, 0);
            break;
        case 'a':
            (void)kds_json_opt_array(&reader, "k");
            break;
        case 'o':
            (void)kds_json_opt_object(&reader, "k");
            break;
        default:
            (void)kds_json_opt_bool(&reader, "k", false);
        }
        end(want);
    }
}

static void names_missing_keys(void **state)
{
    (void)state;
    begin("\n{\"inner\":\n {\"a\": 1}}");
    const cJSON *inner = kds_json_need_object(&reader, "inner");
    kds_json_reader r;
    kds_json_reader_init(&r, doc, inner, &error);
    (void)kds_json_need_int(&r, "a", 0, 9);
    (void)kds_json_need_string(&r, "name");
    (void)kds_json_need_string(&r, "other");
    assert_int_equal(kds_json_done(&r), KDS_INVALID);
    assert_string_equal(error.message, "t:2: key 'inner': the key 'name' is missing");
    kds_err_clear(&error);
    (void)kds_json_need_array(&reader, "rows");
    end("t:2: the key 'rows' is missing");
}

static void suggests_what_was_meant(void **state)
{
    (void)state;
    begin("{\"shpae\": [1],\n \"dtype\": \"f32\"}");
    (void)kds_json_need_array(&reader, "shape"); /* missing, but the typo says more */
    (void)kds_json_need_string(&reader, "dtype");
    end("t:1: key 'shpae': unknown key; did you mean 'shape'?");
    begin("{\"dtype\": \"f32\",\n \"qqq\": 1}");
    (void)kds_json_need_string(&reader, "dtype");
    end("t:2: key 'qqq': unknown key");
    begin("{\"Dtype\": \"f32\"}");
    (void)kds_json_opt_string(&reader, "dtype", "f32");
    end("t:1: key 'Dtype': unknown key; did you mean 'dtype'?");
}

static void reports_the_first_error_in_the_file(void **state)
{
    (void)state;
    const char text[] = "{\"a\": 1,\n \"b\": \"x\",\n \"bogus\": 1,\n \"c\": \"y\"}";
    begin(text); /* asked for in another order than written */
    (void)kds_json_need_int(&reader, "c", 0, 9);
    (void)kds_json_need_int(&reader, "b", 0, 9);
    (void)kds_json_need_int(&reader, "a", 0, 9);
    end("t:2: key 'b': must be an integer, found the string \"x\"");
    begin(text);
    (void)kds_json_need_int(&reader, "c", 0, 9);
    (void)kds_json_need_string(&reader, "b");
    (void)kds_json_need_int(&reader, "a", 0, 9);
    end("t:3: key 'bogus': unknown key");
    begin(text);
    (void)kds_json_need_string(&reader, "a");
    (void)kds_json_need_int(&reader, "b", 0, 9);
    end("t:1: key 'a': must be a string, found the number 1");
}

static void needs_an_object(void **state)
{
    (void)state;
    begin("[1]");
    assert_int_equal(kds_json_need_int(&reader, "a", 0, 9), 0);
    end("t:1: must be an object, found an array");
    kds_err e;
    kds_json_reader r;
    kds_json_reader_init(&r, NULL, NULL, &e);
    assert_string_equal(kds_json_need_string(&r, "a"), "");
    assert_int_equal(kds_json_done(&r), KDS_INVALID);
    kds_json_reader_init(&r, NULL, NULL, NULL);
    assert_int_equal(kds_json_done(&r), KDS_INVALID);
}

static void refuses_more_keys_than_it_can_know(void **state)
{
    (void)state;
    static char names[65][8];
    begin("{}");
    for (int i = 0; i < 65; i++) {
        snprintf(names[i], sizeof names[i], "k%d", i);
        (void)kds_json_opt_int(&reader, names[i], 0, 1, 0);
    }
    assert_int_equal(kds_json_done(&reader), KDS_FAILED);
    kds_json_free(doc);
}

static void lenient_access_never_fails(void **state)
{
    (void)state;
    const char text[] =
        "{\"s\":\"x\",\"n\":2.5,\"i\":-7,\"big\":\"9223372036854775807\",\"huge\":1e300,"
        "\"inf\":1e999,\"b\":true,\"z\":null,\"id\":\"0123456789abcdef00000000000000ff\"}";
    cJSON *o = kds_json_parse_record(text, sizeof text - 1);
    kds_id id;
    assert_non_null(o);
    assert_string_equal(kds_json_str(o, "s", "f"), "x");
    assert_string_equal(kds_json_str(o, "n", "f"), "f");
    assert_string_equal(kds_json_str(o, "S", "f"), "f");
    assert_null(kds_json_str(NULL, "s", NULL));
    assert_true(kds_json_num(o, "n", 1) == 2.5);
    assert_true(kds_json_num(o, "z", 1) == 1);
    assert_true(kds_json_num(o, "inf", 1) == 1);
    assert_true(kds_json_num(NULL, "n", 1) == 1);
    assert_true(kds_json_int(o, "i", 1) == -7);
    assert_true(kds_json_int(o, "big", 1) == INT64_MAX);
    assert_true(kds_json_int(o, "n", 1) == 1);
    assert_true(kds_json_int(o, "s", 1) == 1);
    assert_true(kds_json_int(o, "huge", 1) == 1);
    assert_true(kds_json_int(o, "absent", 1) == 1);
    assert_true(kds_json_bool(o, "b", false));
    assert_true(kds_json_bool(o, "s", true));
    assert_true(cJSON_IsNull(kds_json_at(o, "z")));
    assert_null(kds_json_at(kds_json_at(o, "s"), "x"));
    assert_true(kds_json_id(o, "id", &id));
    assert_true(id.high == 0x0123456789abcdefu && id.low == 0xff);
    assert_false(kds_json_id(o, "s", &id));
    assert_false(kds_json_id(o, "absent", &id));
    cJSON_Delete(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_type),
        cmocka_unit_test(gives_fallbacks_for_what_is_absent),
        cmocka_unit_test(gives_defaults_after_an_error),
        cmocka_unit_test(names_wrong_types),
        cmocka_unit_test(names_missing_keys),
        cmocka_unit_test(suggests_what_was_meant),
        cmocka_unit_test(reports_the_first_error_in_the_file),
        cmocka_unit_test(needs_an_object),
        cmocka_unit_test(refuses_more_keys_than_it_can_know),
        cmocka_unit_test(lenient_access_never_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
