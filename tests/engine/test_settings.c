/* The options table and its precedence: flag over environment over file over default; bad values
 * named. */
#include "search/engine/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static kds_settings *new_settings(void)
{
    kds_settings *s = NULL;
    assert_int_equal(kds_settings_create(&s, NULL), KDS_OK);
    return s;
}

/* Every default passes its own check, and every option says what it is. */
static void test_table_is_sound(void **state)
{
    (void)state;
    kds_settings *s = new_settings();
    int count = 0;
    for (const kds_option *o = kds_options(); o->name; o++, count++) {
        kds_err e = {0};
        if (*o->fallback && kds_settings_set(s, o->name, o->fallback, &e) != KDS_OK)
            fail_msg("--%s: %s", o->name, e.message);
        assert_true(strlen(o->help) > 8);
        assert_true(o->commands != 0);
        assert_ptr_equal(kds_option_find(o->name), o);
    }
    assert_true(count > 20 && count < 64);
    kds_settings_free(s);
}

static void test_bad_values_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *message;
    } cases[] = {
        {"max-evals", "many", "option --max-evals: 'many' is not a whole number"},
        {"max-evals", "-1", "option --max-evals: -1 is outside 0 to 1000000000000"},
        {"max-time", "8 parsecs",
         "option --max-time: '8 parsecs' is not a time such as 90s, 30m or 8h"},
        {"target", "fast", "option --target: 'fast' is not a number"},
        {"temperature", "11", "option --temperature: 11 is outside -1 to 10"},
        {"proposer", "oracle",
         "option --proposer: 'oracle' is none of auto|builtin|endpoint|mailbox"},
        {"parents", "worst", "option --parents: 'worst' is none of curiosity|best|random|islands"},
        {"operators", "tune,tun",
         "option --operators: 'tun' is none of "
         "mutate|explore|crossover|simplify|repair|tune|rewrite"},
        {"operators", "tune,",
         "option --operators: '' is none of "
         "mutate|explore|crossover|simplify|repair|tune|rewrite"},
        {"max-evls", "1", "no option 'max-evls'; did you mean 'max-evals'?"},
        {"qqqqqqqq", "1", "no option 'qqqqqqqq'; `kdasearch config` lists them all"},
    };
    kds_settings *s = new_settings();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kds_err e = {0};
        assert_int_equal(kds_settings_set(s, cases[i].name, cases[i].value, &e), KDS_USAGE);
        assert_string_equal(e.message, cases[i].message);
    }
    assert_int_equal(kds_settings_int(s, "max-evals"), 0);
    kds_settings_free(s);
}

static void test_types(void **state)
{
    (void)state;
    kds_settings *s = new_settings();
    assert_int_equal(kds_settings_set(s, "max-time", "1.5h", NULL), KDS_OK);
    assert_int_equal(kds_settings_set(s, "target", "1.25", NULL), KDS_OK);
    assert_int_equal(kds_settings_set(s, "seed", "9007199254740991", NULL), KDS_OK);
    assert_true(kds_settings_double(s, "max-time") == 5400);
    assert_true(kds_settings_double(s, "target") == 1.25);
    assert_true(kds_settings_int(s, "seed") == 9007199254740991);
    assert_null(kds_settings_get(s, "no-such"));
    assert_string_equal(kds_settings_text(s, "device"), "sim");
    kds_settings_free(s);
}

/* The four sources, in every order of setting. */
static void test_precedence(void **state)
{
    (void)state;
    char path[] = "/tmp/kds-settings-XXXXXX";
    int fd = mkstemp(path);
    const char *text =
        "{ // a comment\n \"seed\": 5, \"in-flight\": 3, \"device\": \"sim:h200\" }\n";
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    setenv("KDASEARCH_CONFIG", path, 1);
    setenv("KDASEARCH_SEED", "6", 1);
    kds_settings *s = new_settings();
    assert_int_equal(kds_settings_set(s, "device", "sim", NULL), KDS_OK);
    assert_int_equal(kds_settings_load_environment(s, NULL), KDS_OK);
    assert_string_equal(kds_settings_text(s, "seed"), "6");
    assert_int_equal(kds_settings_source(s, "seed"), KDS_FROM_ENVIRONMENT);
    assert_string_equal(kds_settings_text(s, "in-flight"), "3");
    assert_int_equal(kds_settings_source(s, "in-flight"), KDS_FROM_FILE);
    assert_string_equal(kds_settings_text(s, "device"), "sim");
    assert_int_equal(kds_settings_source(s, "device"), KDS_FROM_FLAG);
    assert_int_equal(kds_settings_source(s, "grace"), KDS_FROM_DEFAULT);
    kds_settings_free(s);
    unsetenv("KDASEARCH_SEED");
    unsetenv("KDASEARCH_CONFIG");
    unlink(path);
}

static void test_bad_environment(void **state)
{
    (void)state;
    kds_err e = {0};
    kds_settings *s = new_settings();
    setenv("KDASEARCH_CONFIG", "/nonexistent/config.json", 1);
    assert_int_not_equal(kds_settings_load_environment(s, &e), KDS_OK);
    assert_non_null(strstr(e.message, "/nonexistent/config.json"));
    setenv("KDASEARCH_CONFIG", "", 1);
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
    setenv("KDASEARCH_MAX_EVALZ", "1", 1);
    assert_int_equal(kds_settings_load_environment(s, &e), KDS_USAGE);
    assert_string_equal(e.message, "no option 'KDASEARCH_MAX_EVALZ'; did you mean 'max-evals'?");
    unsetenv("KDASEARCH_MAX_EVALZ");
    setenv("KDASEARCH_MAX_EVALS", "lots", 1);
    assert_int_equal(kds_settings_load_environment(s, &e), KDS_USAGE);
    assert_non_null(strstr(e.message, "KDASEARCH_MAX_EVALS in the environment: "));
    unsetenv("KDASEARCH_MAX_EVALS");
    unsetenv("KDASEARCH_CONFIG");
    kds_settings_free(s);
}

/* What a campaign records about its settings gives the same settings again. */
static void test_record_round_trip(void **state)
{
    (void)state;
    kds_settings *a = new_settings(), *b = new_settings();
    assert_int_equal(kds_settings_set(a, "max-cost", "12.5", NULL), KDS_OK);
    assert_int_equal(kds_settings_set(a, "model", "m\"x", NULL), KDS_OK);
    cJSON *json = kds_settings_json(a);
    assert_non_null(json);
    cJSON_AddStringToObject(json, "an-option-of-tomorrow", "1");
    assert_int_equal(kds_settings_from_json(b, json, NULL), KDS_OK);
    for (const kds_option *o = kds_options(); o->name; o++)
        assert_string_equal(kds_settings_text(a, o->name), kds_settings_text(b, o->name));
    cJSON_Delete(json);
    kds_settings_free(a);
    kds_settings_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_sound),  cmocka_unit_test(test_bad_values_are_named),
        cmocka_unit_test(test_types),           cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_bad_environment), cmocka_unit_test(test_record_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
