/* Reading tunables and moving the chosen values to the front. */
#include "search/base/lex.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int find(const char *text, kds_tunable *u)
{
    int count = -1;
    kds_err e = {0};
    if (kds_tunables_find(u, &count, text, strlen(text), &e))
        fail_msg("%s", e.message);
    return count;
}

static void fails(const char *text, const char *message)
{
    kds_tunable u[KDS_TUNABLES];
    int count = -1;
    kds_err e = {0};
    assert_int_equal(kds_tunables_find(u, &count, text, strlen(text), &e), KDS_INVALID);
    assert_string_equal(e.message, message);
    assert_int_equal(count, -1);
}

static void test_find(void **state)
{
    (void)state;
    kds_tunable u[KDS_TUNABLES];
    assert_int_equal(find("int x;\n#pragma kda launch f()\n", u), 0);
    assert_int_equal(find("#pragma kda tune VEC = 4, 8\n\n  # pragma kda tune \\\n W_2= -1,/*c*/0,"
                          " - 3 , 9223372036854775807 // x\n//#pragma kda tune NO = 1\n",
                          u),
                     2);
    assert_string_equal(u[0].name, "VEC");
    assert_int_equal(u[0].count, 2);
    assert_int_equal(u[0].values[0], 4);
    assert_int_equal(u[0].values[1], 8);
    assert_int_equal(u[0].line, 1);
    assert_string_equal(u[1].name, "W_2");
    assert_int_equal(u[1].count, 4);
    assert_int_equal(u[1].values[0], -1);
    assert_int_equal(u[1].values[2], -3);
    assert_int_equal(u[1].values[3], INT64_MAX);
    assert_int_equal(u[1].line, 3);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    fails("\n#pragma kda tune", "line 2: tune: expected the name of a macro, found the end of the "
                                "line");
    fails("#pragma kda tune 4 = 4", "line 1: tune: expected the name of a macro, found '4'");
    fails("#pragma kda tune A", "line 1: tune: expected '=' after the name, found the end of the "
                                "line");
    fails("#pragma kda tune A : 4", "line 1: tune: expected '=' after the name, found ':'");
    fails("#pragma kda tune A =", "line 1: tune: expected an integer, found the end of the line");
    fails("#pragma kda tune A = 4,", "line 1: tune: expected an integer, found the end of the "
                                     "line");
    fails("#pragma kda tune A = x", "line 1: tune: expected an integer, found 'x'");
    fails("#pragma kda tune A = -", "line 1: tune: expected an integer, found the end of the line");
    fails("#pragma kda tune A = 1.5",
          "line 1: tune: expected a decimal integer of at most 64 bits, found '1.5'");
    fails("#pragma kda tune A = 9223372036854775808", "line 1: tune: expected a decimal integer of "
                                                      "at most 64 bits, found "
                                                      "'9223372036854775808'");
    fails("#pragma kda tune A = 00000000000000000000000000000000000000000000000001",
          "line 1: tune: expected a decimal integer of at most 64 bits, found "
          "'0000000000000000000000000000000000000000'");
    fails("#pragma kda tune A = 4 8", "line 1: tune: expected ',' or the end, found '8'");
    fails("#pragma kda tune A = 4, 8, 4", "line 1: tune A: the value 4 is listed twice");
    fails("#pragma kda tune A = 1\n#pragma kda tune B = 1\n#pragma kda tune A = 2\n",
          "line 3: tune A: already declared in line 1");
    fails("#pragma kda tune A = 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
          "line 1: tune A: more than 16 values");
    fails("#pragma kda tune a$b = 1", "line 1: tune: bad name 'a$b'; letters, digits and _ only");
    fails("#pragma kda tune "
          "a2345678901234567890123456789012345678901234567890123456789012345 = 1",
          "line 1: tune: bad name "
          "'a2345678901234567890123456789012345678901234567890123456789012345'; at most 63 "
          "letters, digits and _");
    char text[1024] = "";
    for (int i = 0; i < 17; i++)
        snprintf(text + strlen(text), 32, "#pragma kda tune A%d = 1\n", i);
    fails(text, "line 17: tune A16: more than 16 tunables");
}

/* Writing values into the normal form gives the normal form of the text with those values. */
static void normal_forms_agree(const char *text, const kds_tunable *u, int count, const char *want)
{
    kds_buf normal, written, expected;
    kds_tune_form f;
    kds_err e = {0};
    kds_buf_init(&normal, 10000);
    kds_buf_init(&written, 10000);
    kds_buf_init(&expected, 10000);
    kds_lex_normalize(&normal, text, strlen(text));
    kds_lex_normalize(&expected, want, strlen(want));
    if (kds_tune_form_read(&f, normal.data, normal.len, count, &e))
        fail_msg("%s", e.message);
    kds_tune_form_write(&written, &f, u, ",");
    assert_string_equal(written.data, expected.data);
    kds_buf_free(&normal);
    kds_buf_free(&written);
    kds_buf_free(&expected);
}

/* Writes the text with the tunable's value in force changed. */
static void writes(const char *text, int index, int64_t value, const char *want)
{
    kds_tunable u[KDS_TUNABLES];
    kds_err e = {0};
    kds_buf out;
    int count = find(text, u);
    assert_in_range(index, 0, count - 1);
    kds_tunable_choose(&u[index], value);
    kds_buf_init(&out, 10000);
    if (kds_tunables_write(&out, text, strlen(text), u, count, &e))
        fail_msg("%s", e.message);
    assert_string_equal(out.data, want);
    normal_forms_agree(text, u, count, want);
    kds_buf_free(&out);
}

static void test_write(void **state)
{
    (void)state;
    writes("#pragma kda tune A = 4, 8, 2 // why\nint x;\n", 0, 8,
           "#pragma kda tune A = 8, 2, 4 // why\nint x;\n");
    writes("#pragma kda tune A = 4, 8\n#pragma kda tune B=1,/* c */ -7\nA", 1, -7,
           "#pragma kda tune A = 4, 8\n#pragma kda tune B=-7, 1\nA");
    writes("// #pragma kda tune A = 1, 2\n#pragma kda tune A = \\\n 1, 2\n", 0, 2,
           "// #pragma kda tune A = 1, 2\n#pragma kda tune A = \\\n 2, 1\n");
    writes("#pragma kda tune A = 3, 1, 2\n", 0, 9, "#pragma kda tune A = 1, 2, 3\n");
    writes("  # pragma kda tune A = - 5 , 0, -9223372036854775808 // c\nint x = 1;\n"
           "#pragma kda tune B = 12/**/\n#pragma kda launch f()\n#pragma kda tune C=2,1",
           0, 0,
           "  # pragma kda tune A = 0, -9223372036854775808, -5 // c\nint x = 1;\n"
           "#pragma kda tune B = 12/**/\n#pragma kda launch f()\n#pragma kda tune C=2, 1");
    kds_tunable none[1];
    kds_buf small;
    kds_buf_init(&small, 4);
    assert_int_equal(kds_tunables_write(&small, "too long", 8, none, 0, NULL), KDS_TOO_LARGE);
    kds_buf_free(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
