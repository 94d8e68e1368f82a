/* The capped buffer: content, cap, sticky error, ownership. */
#include "search/base/buf.h"
#include "tests/base/base_test.h"

static void starts_as_the_empty_text(void **state)
{
    (void)state;
    kds_buf b;
    kds_buf_init(&b, 10);
    assert_string_equal(b.data, "");
    assert_int_equal(b.len, 0);
    kds_buf_reset(&b);
    kds_buf_consume(&b, 5);
    kds_buf_add(&b, NULL, 0);
    assert_int_equal(kds_buf_check(&b, "x", NULL), KDS_OK);
    kds_buf_free(&b);
    kds_buf_free(&b);
    kds_buf_free(NULL);
}

static void appends(void **state)
{
    (void)state;
    kds_buf b;
    kds_buf_init(&b, 100000);
    kds_buf_puts(&b, "abc");
    kds_buf_putc(&b, '-');
    kds_buf_add(&b, "x\0y", 3);
    kds_buf_printf(&b, "%d%s", 42, "");
    kds_buf_printf(&b, "%s", "");
    assert_int_equal(b.len, 9);
    assert_memory_equal(b.data, "abc-x\0y42", 10);
    kds_buf_consume(&b, 4);
    assert_memory_equal(b.data, "x\0y42", 6);
    kds_buf_consume(&b, 99);
    assert_int_equal(b.len, 0);
    for (int i = 0; i < 10000; i++)
        kds_buf_printf(&b, "%05d", i);
    assert_int_equal(b.len, 50000);
    assert_memory_equal(b.data + 5 * 7777, "07777", 5);
    assert_int_equal(strlen(b.data), b.len);
    kds_buf_free(&b);
    assert_string_equal(b.data, "");
}

static void holds_exactly_its_cap(void **state)
{
    (void)state;
    kds_buf b;
    kds_err e;
    kds_buf_init(&b, 5);
    kds_buf_puts(&b, "12345");
    assert_int_equal(kds_buf_check(&b, "x", &e), KDS_OK);
    kds_buf_putc(&b, '6');
    assert_int_equal(kds_buf_check(&b, "the reply", &e), KDS_TOO_LARGE);
    assert_string_equal(e.message, "the reply is larger than its cap of 5 bytes");
    assert_string_equal(b.data, "12345");
    kds_buf_free(&b);

    kds_buf_init(&b, 0);
    kds_buf_printf(&b, "%s", "");
    assert_int_equal(b.bad, KDS_OK);
    kds_buf_printf(&b, "%d", 1);
    assert_int_equal(b.bad, KDS_TOO_LARGE);
    kds_buf_free(&b);
}

static void error_is_sticky_until_reset(void **state)
{
    (void)state;
    kds_buf b;
    kds_buf_init(&b, 8);
    kds_buf_puts(&b, "abc");
    kds_buf_puts(&b, "too long for it");
    kds_buf_puts(&b, "d"); /* would fit */
    kds_buf_printf(&b, "e");
    assert_string_equal(b.data, "abc");
    assert_int_equal(kds_buf_check(&b, "x", NULL), KDS_TOO_LARGE);
    kds_buf_reset(&b);
    assert_string_equal(b.data, "");
    kds_buf_puts(&b, "again");
    assert_int_equal(kds_buf_check(&b, "x", NULL), KDS_OK);
    assert_string_equal(b.data, "again");
    kds_buf_free(&b);
}

static void reports_lack_of_memory(void **state)
{
    (void)state;
    kds_buf b;
    kds_err e;
    kds_buf_init(&b, SIZE_MAX);
    b.bad = KDS_NO_MEMORY;
    assert_int_equal(kds_buf_check(&b, "a list", &e), KDS_NO_MEMORY);
    assert_string_equal(e.message, "a list: out of memory");
    kds_buf_free(&b);
}

static void gives_its_memory_away(void **state)
{
    (void)state;
    kds_buf b;
    kds_buf_init(&b, 10);
    char *text = kds_buf_take(&b);
    assert_string_equal(text, "");
    free(text);
    kds_buf_puts(&b, "abc");
    text = kds_buf_take(&b);
    assert_string_equal(text, "abc");
    assert_string_equal(b.data, "");
    assert_int_equal(b.len, 0);
    kds_buf_puts(&b, "def");
    assert_string_equal(text, "abc");
    assert_string_equal(b.data, "def");
    free(text);
    kds_buf_puts(&b, "more than ten");
    assert_null(kds_buf_take(&b)); /* nothing leaks: the sanitizer build watches */
    assert_int_equal(kds_buf_check(&b, "x", NULL), KDS_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_as_the_empty_text), cmocka_unit_test(appends),
        cmocka_unit_test(holds_exactly_its_cap),    cmocka_unit_test(error_is_sticky_until_reset),
        cmocka_unit_test(reports_lack_of_memory),   cmocka_unit_test(gives_its_memory_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
