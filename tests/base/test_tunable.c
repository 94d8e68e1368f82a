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

static void select_is(const char *text, int first, int second, const char *want)
{
    kds_tunable u[KDS_TUNABLES];
    int values[KDS_TUNABLES] = {first, second};
    int count = find(text, u);
    kds_buf out;
    kds_err e = {0};
    kds_buf_init(&out, 4096);
    if (kds_tunables_select(&out, text, strlen(text), u, count, values, &e))
        fail_msg("%s", e.message);
    assert_string_equal(out.data, want);
    kds_buf_free(&out);
}

static void test_select(void **state)
{
    (void)state;
    const char *text = "a; /* tune */\n#pragma kda tune V = 4, 8 ,-16\t, 32 // 8 first\n"
                       "#pragma kda tune W= 1,/*x*/ 22 \\\n , 3\nconst char *s = \"\\\n\";\n";
    select_is(text, 0, 0, text);
    select_is(text, -1, -1, text);
    select_is(text, 2, -1,
              "a; /* tune */\n#pragma kda tune V = -16, 4 ,8\t, 32 // 8 first\n"
              "#pragma kda tune W= 1,/*x*/ 22 \\\n , 3\nconst char *s = \"\\\n\";\n");
    select_is(text, 1, 2,
              "a; /* tune */\n#pragma kda tune V = 8, 4 ,-16\t, 32 // 8 first\n"
              "#pragma kda tune W= 3,/*x*/ 1 \\\n , 22\nconst char *s = \"\\\n\";\n");
    select_is("#pragma kda tune V = 1, 2", 1, -1, "#pragma kda tune V = 2, 1");
}

static void test_select_refuses(void **state)
{
    (void)state;
    const char *text = "#pragma kda tune V = 4, 8\n";
    kds_tunable u[2] = {{.name = "V", .values = {4, 16}, .count = 2},
                        {.name = "K", .values = {1}, .count = 1}};
    const struct {
        int values[2];
        const char *message;
    } cases[] = {{{2, -1}, "tune V: there is no value number 2"},
                 {{1, -1}, "line 1: tune V: the value 16 is not in the list"},
                 {{0, 0}, "the source has no tunable 'K'"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kds_buf out;
        kds_err e = {0};
        kds_buf_init(&out, 4096);
        assert_int_equal(kds_tunables_select(&out, text, strlen(text), u, 2, cases[i].values, &e),
                         KDS_INVALID);
        assert_string_equal(e.message, cases[i].message);
        kds_buf_free(&out);
    }
    kds_buf out;
    int values[] = {0};
    kds_buf_init(&out, 8);
    assert_int_equal(kds_tunables_select(&out, text, strlen(text), u, 1, values, NULL),
                     KDS_TOO_LARGE);
    kds_buf_free(&out);
    kds_buf_init(&out, 4096);
    assert_int_equal(kds_tunables_select(&out, "#pragma kda tune 5", 18, u, 1, values, NULL),
                     KDS_INVALID);
    /* tunables of another source are left alone */
    const char *other = "#pragma kda tune OTHER = 1, 2";
    values[0] = -1;
    kds_buf_reset(&out);
    assert_int_equal(kds_tunables_select(&out, other, strlen(other), u, 1, values, NULL), KDS_OK);
    assert_string_equal(out.data, other);
    kds_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_select),
        cmocka_unit_test(test_select_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
