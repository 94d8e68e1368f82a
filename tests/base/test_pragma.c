/* Finding #pragma kda lines. */
#include "search/base/lex.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* "keyword|body|line" for each, joined with '~'. */
static void pragmas_are(const char *text, const char *want)
{
    kds_pragmas p;
    kds_buf got;
    kds_buf_init(&got, 65536);
    assert_int_equal(kds_pragmas_find(&p, text, strlen(text), NULL), KDS_OK);
    for (int i = 0; i < p.count; i++) {
        const kds_pragma *q = &p.items[i];
        assert_true(text[q->offset] == '#' && q->offset + q->len <= strlen(text));
        kds_buf_printf(&got, "%s%.*s|%s|%d", i ? "~" : "", (int)q->keyword_len, q->keyword, q->body,
                       q->line);
    }
    assert_string_equal(got.data, want);
    kds_buf_free(&got);
    kds_pragmas_free(&p);
    assert_int_equal(p.count, 0);
    kds_pragmas_free(&p);
}

static void test_bodies(void **state)
{
    (void)state;
    pragmas_are("", "");
    pragmas_are("#pragma kda tune VEC = 4, 8\n", "tune|VEC = 4, 8|1");
    pragmas_are("int x;\n  #  pragma\tkda   launch f(x) grid(1)  \nint y;",
                "launch|f(x) grid(1)|2");
    pragmas_are("#pragma kda launch f(x) \\\n    grid(1) \\\r\n block(2)\nint;",
                "launch|f(x)     grid(1)  block(2)|1");
    pragmas_are("#pragma kda variant any // otherwise\n#pragma kda define A /* b\n */ = N\n",
                "variant|any|1~define|A   = N|2");
    pragmas_are("#pragma kda x \"a // b\" 'c'\n", "x|\"a // b\" 'c'|1");
    pragmas_are("#pragma kda la\\\nunch f\\\noo\n", "launch|foo|1");
    pragmas_are("#pragma kda\n#pragma kda = 3\n", "||1~|= 3|2");
    pragmas_are("#pragma kda variant when(a>b)", "variant|when(a>b)|1");
    pragmas_are("/* c */ #pragma kda a\n", "a||1");
}

static void test_what_does_not_count(void **state)
{
    (void)state;
    pragmas_are("// #pragma kda a\n/*\n#pragma kda b\n*/\n", "");
    pragmas_are("// \\\n#pragma kda a\n", "");
    pragmas_are("const char *s = \"\\\n#pragma kda a\\\n\";", "");
    pragmas_are("const char *s = R\"(\n#pragma kda a\n)\";", "");
    pragmas_are("_Pragma(\"kda a\")\n", "");
    pragmas_are("#pragma once\n#pragma kdab c\n#pragma unroll\n#define pragma kda\n#x\n", "");
    pragmas_are("int x; #pragma kda a\n", "");
    pragmas_are("#define X \\\n#pragma kda a\n", "");
    pragmas_are("#define X /*\n*/ #pragma kda a\n", "");
}

static void test_cap(void **state)
{
    (void)state;
    kds_buf text;
    kds_pragmas p = {NULL, 7};
    kds_err e = {0};
    kds_buf_init(&text, 65536);
    for (int i = 0; i < 256; i++)
        kds_buf_printf(&text, "#pragma kda define A%d = %d\n", i, i);
    assert_int_equal(kds_pragmas_find(&p, text.data, text.len, &e), KDS_OK);
    assert_int_equal(p.count, 256);
    assert_string_equal(p.items[255].body, "A255 = 255");
    kds_pragmas_free(&p);
    kds_buf_puts(&text, "#pragma kda one more\n");
    p.count = 7;
    assert_int_equal(kds_pragmas_find(&p, text.data, text.len, &e), KDS_TOO_LARGE);
    assert_string_equal(e.message, "line 257: more than 256 lines of #pragma kda");
    assert_int_equal(p.count, 7);
    kds_buf_free(&text);
    kds_pragmas_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_what_does_not_count),
        cmocka_unit_test(test_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
