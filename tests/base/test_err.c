/* Errors, codes and verdicts as a user of the library sees them. */
#include "search/base/err.h"
#include "search/base/text.h"
#include "tests/base/base_test.h"
#include <errno.h>

static void sets_every_field(void **state)
{
    (void)state;
    kds_err e;
    assert_int_equal(kds_fail(&e, KDS_INVALID, "row '%s': %d", "a", 3), KDS_INVALID);
    assert_int_equal(e.code, KDS_INVALID);
    assert_int_equal(e.sys_errno, 0);
    assert_string_equal(e.message, "row 'a': 3");
    assert_non_null(strstr(e.origin, "test_err.c:"));
    kds_err_clear(&e);
    assert_int_equal(e.code, KDS_OK);
    assert_string_equal(e.message, "");
    assert_null(e.origin);
}

static void accepts_no_error(void **state)
{
    (void)state;
    assert_int_equal(kds_fail(NULL, KDS_IO, "x"), KDS_IO);
    errno = EACCES;
    assert_int_equal(kds_fail_errno(NULL, KDS_LOCKED, "x"), KDS_LOCKED);
    assert_int_equal(kds_err_prefix(NULL, KDS_DAMAGED, "x"), KDS_DAMAGED);
    kds_err_clear(NULL);
}

static void tells_errno(void **state)
{
    (void)state;
    kds_err e;
    errno = ENOSPC;
    assert_int_equal(kds_fail_errno(&e, KDS_IO, "cannot write '%s'", "f"), KDS_IO);
    assert_int_equal(e.sys_errno, ENOSPC);
    assert_int_equal(errno, ENOSPC);
    assert_string_equal(e.message, "cannot write 'f': No space left on device");
    errno = 98765;
    assert_int_equal(kds_fail_errno(&e, KDS_IO, "x"), KDS_IO);
    assert_string_equal(e.message, "x: system error 98765");
}

static void escapes_what_could_act_on_a_terminal(void **state)
{
    (void)state;
    kds_err e;
    (void)kds_fail(&e, KDS_INVALID, "a\x1b[31m\r\xff\n\tb");
    assert_string_equal(e.message, "a\\x1B[31m\\x0D\\xFF\n\tb");
}

static void cuts_between_characters(void **state)
{
    (void)state;
    kds_err e;
    char text[3001];
    for (int pad = 0; pad < 3; pad++) {
        /* Three-byte characters, so that the cap falls into the middle of one for some padding. */
        size_t n = 0;
        for (int i = 0; i < pad; i++)
            text[n++] = 'x';
        while (n + 3 < sizeof text) {
            memcpy(text + n, "\xe2\x82\xac", 3);
            n += 3;
        }
        text[n] = '\0';
        (void)kds_fail(&e, KDS_INVALID, "%s", text);
        size_t len = strlen(e.message);
        assert_in_range(len, sizeof e.message - 4, sizeof e.message - 1);
        assert_true(kds_text_is_utf8(e.message, len));
        assert_true(kds_text_ends_with(e.message, "\xe2\x82\xac..."));
        /* The system's reason stays readable behind a text of any length. */
        errno = ENOENT;
        (void)kds_fail_errno(&e, KDS_IO, "%s", text);
        assert_true(kds_text_ends_with(e.message, "...: No such file or directory"));
        assert_true(kds_text_is_utf8(e.message, strlen(e.message)));
    }
}

static void prefixes(void **state)
{
    (void)state;
    kds_err e;
    (void)kds_fail(&e, KDS_INVALID, "key 'M' is missing");
    assert_int_equal(kds_err_prefix(&e, KDS_FAILED, "loading %s", "task\x07"), KDS_INVALID);
    assert_string_equal(e.message, "loading task\\x07: key 'M' is missing");
    assert_int_equal(e.code, KDS_INVALID);

    char text[3000];
    memset(text, 'p', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)kds_err_prefix(&e, KDS_FAILED, "%s", text);
    assert_true(kds_text_ends_with(e.message, "ppp...: loading task\\x07: key 'M' is missing"));
}

static void may_quote_itself(void **state)
{
    (void)state;
    kds_err e;
    (void)kds_fail(&e, KDS_INVALID, "inner");
    (void)kds_fail(&e, KDS_WORKER, "outer (%s)", e.message);
    assert_string_equal(e.message, "outer (inner)");
    (void)kds_err_prefix(&e, KDS_WORKER, "%s", e.message);
    assert_string_equal(e.message, "outer (inner): outer (inner)");
}

static void names_codes(void **state)
{
    (void)state;
    assert_string_equal(kds_code_name(KDS_OK), "OK");
    assert_string_equal(kds_code_name(KDS_NEWER_FORMAT), "NEWER_FORMAT");
    assert_string_equal(kds_code_text(KDS_INVALID), "invalid task or configuration");
    const int statuses[][2] = {{KDS_OK, 0},        {KDS_FAILED, 1},       {KDS_USAGE, 2},
                               {KDS_INVALID, 3},   {KDS_NOT_ARCHIVE, 10}, {KDS_LOCKED, 11},
                               {KDS_DAMAGED, 12},  {KDS_NO_DEVICE, 20},   {KDS_UNREACHABLE, 30},
                               {KDS_DIVERGED, 40}, {KDS_STOPPED, 130}};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        assert_int_equal(kds_code_exit_status((kds_code)statuses[i][0]), statuses[i][1]);
    assert_string_equal(kds_code_name(KDS_CODE_COUNT), "UNKNOWN");
    assert_string_equal(kds_code_text((kds_code)-1), "unknown code");
    assert_int_equal(kds_code_exit_status((kds_code)1000), 1);
}

static void names_verdicts(void **state)
{
    (void)state;
    assert_string_equal(kds_verdict_name(KDS_VERDICT_COMPILE_FAILED), "compile_failed");
    assert_string_equal(kds_verdict_text(KDS_VERDICT_CHANGED_INPUT), "changed a read-only input");
    assert_string_equal(kds_verdict_name(KDS_VERDICT_COUNT), "unknown");
    assert_string_equal(kds_verdict_text((kds_verdict)-1), "unknown verdict");
    for (int i = 0; i < KDS_VERDICT_COUNT; i++) {
        kds_verdict v;
        assert_true(kds_verdict_parse(kds_verdict_name((kds_verdict)i), &v));
        assert_int_equal(v, i);
    }
    kds_verdict untouched = KDS_VERDICT_WRONG;
    assert_false(kds_verdict_parse("WRONG", &untouched));
    assert_false(kds_verdict_parse("", &untouched));
    assert_false(kds_verdict_parse(NULL, &untouched));
    assert_int_equal(untouched, KDS_VERDICT_WRONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_every_field),
        cmocka_unit_test(accepts_no_error),
        cmocka_unit_test(tells_errno),
        cmocka_unit_test(escapes_what_could_act_on_a_terminal),
        cmocka_unit_test(cuts_between_characters),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(may_quote_itself),
        cmocka_unit_test(names_codes),
        cmocka_unit_test(names_verdicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
