/* The list of models: what each entry becomes, what is refused, how one is drawn. */
#include "search/engine/models.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static kds_settings *settings_with(const char *models)
{
    kds_settings *s = NULL;
    assert_int_equal(kds_settings_create(&s, NULL), KDS_OK);
    assert_int_equal(kds_settings_set(s, "url", "http://127.0.0.1:1/v1", NULL), KDS_OK);
    assert_int_equal(kds_settings_set(s, "reply-tokens", "1000", NULL), KDS_OK);
    /* As at resume: what is recorded must not be stronger than the entry's own. */
    assert_int_equal(kds_settings_set_from(s, "price-prompt", "7", KDS_FROM_ARCHIVE, NULL), KDS_OK);
    assert_int_equal(kds_settings_set(s, "models", models, NULL), KDS_OK);
    return s;
}

static void test_one_by_the_options(void **state)
{
    (void)state;
    kds_settings *s = settings_with("");
    kds_models *m = NULL;
    assert_int_equal(kds_settings_set(s, "model", "big", NULL), KDS_OK);
    assert_int_equal(kds_models_read(&m, s, NULL), KDS_OK);
    assert_int_equal(m->count, 1);
    assert_string_equal(m->items[0].name, "big");
    assert_ptr_equal(kds_models_find(m, "another"), &m->items[0]);
    assert_ptr_equal(kds_models_draw(m, 0.99), &m->items[0]);
    assert_int_equal(kds_model_prompt_cap(&m->items[0]), 120000);
    assert_true(kds_model_reserve_tokens(&m->items[0], 3000) == 2000);
    assert_true(kds_model_reserve_usd(&m->items[0], 3000000) == 7);
    kds_models_free(m);
    kds_settings_free(s);
}

static void test_several(void **state)
{
    (void)state;
    kds_settings *s = settings_with(
        "[{\"model\": \"small\", \"weight\": 3, \"price-prompt\": 1, \"price-completion\": "
        "\"2\"},\n"
        " {\"name\": \"clever\", \"model\": \"big\", \"api\": \"messages\", \"url\": "
        "\"http://h/v1\","
        "  \"context-tokens\": 11000, \"extra-json\": {\"top_k\": 5}} // the dear one\n]");
    kds_models *m = NULL;
    kds_endpoint *first = NULL;
    kds_err e = {0};
    if (kds_models_read(&m, s, &e) != KDS_OK)
        fail_msg("%s", e.message);
    assert_int_equal(m->count, 2);
    const kds_model *small = &m->items[0], *clever = &m->items[1];
    assert_string_equal(small->name, "small");
    assert_string_equal(clever->name, "clever");
    assert_ptr_equal(kds_models_find(m, "clever"), clever);
    assert_ptr_equal(kds_models_find(m, "gone"), small);
    assert_ptr_equal(kds_models_draw(m, 0), small);
    assert_ptr_equal(kds_models_draw(m, 0.74), small);
    assert_ptr_equal(kds_models_draw(m, 0.76), clever);
    assert_true(kds_model_reserve_usd(small, 3000000) == 1 + 0.002);
    assert_true(kds_model_reserve_usd(clever, 3000000) == 7);
    assert_int_equal(kds_model_prompt_cap(small), 120000);
    assert_int_equal(kds_model_prompt_cap(clever), 30000);
    if (kds_models_connect(m, &first, &e) != KDS_OK)
        fail_msg("%s", e.message);
    assert_string_equal(kds_endpoint_api(kds_models_endpoint(m, first, small)), "chat");
    assert_string_equal(kds_endpoint_api(kds_models_endpoint(m, first, clever)), "messages");
    char *body = kds_endpoint_body(kds_models_endpoint(m, first, clever), "", "u");
    assert_non_null(strstr(body, "\"model\":\"big\""));
    assert_non_null(strstr(body, "\"top_k\":5"));
    free(body);
    assert_null(kds_endpoint_at(first, 2));
    kds_endpoint_free(first);
    kds_models_free(m);
    kds_settings_free(s);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"{}", "must be a list"},
        {"[]", "at least one"},
        {"[1]", "must be an object"},
        {"[{]", "models:1"},
        {"[{\"model\": \"a\",\n \"modle\": \"b\"}]", "did you mean 'model'"},
        {"[{\"max-cost\": 5}]", "is no option of a model"},
        {"[{\"model\": true}]", "must be a text or a number"},
        {"[{\"model\": \"a\", \"weight\": 0}]", "must be a number above 0"},
        {"[{\"model\": \"a\", \"weight\": \"x\"}]", "must be a number above 0"},
        {"[{\"model\": \"a\", \"name\": 4}]", "must be a text"},
        {"[{\"model\": \"a\", \"temperature\": 99}]", "outside"},
        {"[{\"model\": \"a\"}, {\"model\": \"a\"}]", "two models are called 'a'"},
        {"[{\"model\": \"a\", \"context-tokens\": 2000}]", "leaves no room"},
        {"[{\"name\": \"0123456789012345678901234567890123456789012345678901234567890123\"}]",
         "longer than 63"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        kds_settings *s = settings_with(bad[i][0]);
        kds_models *m = NULL;
        kds_err e = {0};
        kds_code code = kds_models_read(&m, s, &e);
        if (code != KDS_INVALID || !strstr(e.message, bad[i][1]))
            fail_msg("%s: %s", bad[i][0], code == KDS_OK ? "accepted" : e.message);
        kds_settings_free(s);
    }
    /* An entry without what an endpoint needs is named. */
    kds_settings *s = settings_with("[{\"model\": \"a\"}, {\"name\": \"b\"}]");
    kds_models *m = NULL;
    kds_endpoint *x = NULL;
    kds_err e = {0};
    assert_int_equal(kds_models_read(&m, s, &e), KDS_OK);
    assert_int_equal(kds_models_connect(m, &x, &e), KDS_USAGE);
    assert_non_null(strstr(e.message, "model 'b'"));
    kds_models_free(m);
    kds_settings_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_by_the_options),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
