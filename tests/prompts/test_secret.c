/* Keys: never left in a text, in any spelling. */
#include "prompts/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static kds_secret *secret(const char *value)
{
    kds_secret *s = NULL;
    setenv("KDS_TEST_SECRET", value, 1);
    assert_int_equal(kds_secret_from_env(&s, "KDS_TEST_SECRET", NULL), KDS_OK);
    return s;
}

static void scrubs(const char *key, const char *text, const char *want, size_t count)
{
    kds_secret *s = secret(key);
    kds_buf b;
    kds_buf_init(&b, 10000);
    kds_buf_puts(&b, text);
    assert_int_equal(kds_secret_scrub(s, &b), count);
    assert_string_equal(b.data, want);
    assert_int_equal(b.len, strlen(want));
    kds_buf_free(&b);
    kds_secret_free(s);
}

static void test_scrub(void **state)
{
    (void)state;
    scrubs("sk-12/ab", "", "", 0);
    scrubs("sk-12/ab", "sk-12/a", "sk-12/a", 0);
    scrubs("sk-12/ab", "sk-12/ab", "[key]", 1);
    scrubs("sk-12/ab", "<sk-12/ab> sk-12/absk-12/ab.", "<[key]> [key][key].", 3);
    scrubs("sk-12/ab", "ssk-12/abb", "s[key]b", 1);
    scrubs("sk-12/ab", "sk-12\\/ab", "[key]", 1);
    scrubs("sk-12/ab", "sk-12%2Fab sk-12%2fab", "[key] [key]", 2);
    scrubs("sk-12/ab", "\\u0073k\\u002D12\\u002F\\u0061b", "[key]", 1);
    scrubs("sk-12/ab", "\\u0073k\\u002D12\\u012F\\u0061b", "\\u0073k\\u002D12\\u012F\\u0061b", 0);
    scrubs("sk-12/ab", "sk-12%2Gab sk-12%G2ab", "sk-12%2Gab sk-12%G2ab", 0);
    scrubs("sk-12/ab", "sk-12\\u00", "sk-12\\u00", 0);
    scrubs("sk-12/ab", "SK-12/AB", "SK-12/AB", 0);
    /* A key with a backslash or a quote, as it is and as JSON writes it. */
    scrubs("a\\b\"cdefg", "a\\b\"cdefg a\\\\b\\\"cdefg", "[key] [key]", 2);
    scrubs("aaaaaaaa", "aaaaaaaaaaaaaaaaa", "[key][key]a", 2);
    /* Dummies for local servers are not scrubbed from ordinary text. */
    scrubs("EMPTY", "EMPTY words", "EMPTY words", 0);
    kds_buf b;
    kds_buf_init(&b, 100);
    kds_buf_puts(&b, "as it is");
    assert_int_equal(kds_secret_scrub(NULL, &b), 0);
    assert_string_equal(b.data, "as it is");
    kds_buf_free(&b);
}

static void test_header(void **state)
{
    (void)state;
    kds_secret *s = secret("sk-12/ab");
    char *line = kds_secret_header(s, "Authorization: Bearer ");
    assert_string_equal(line, "Authorization: Bearer sk-12/ab");
    size_t len = strlen(line);
    kds_secret_wipe(line);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(line[i], 0);
    free(line);
    kds_secret_wipe(NULL);
    kds_secret_free(s);
    kds_secret_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scrub),
        cmocka_unit_test(test_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
