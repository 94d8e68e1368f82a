/* The scanner, the mask and the normal form. */
#include "search/base/lex.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Tokens as "K:text" separated by '~', with K one of I N S C P D c. */
static void tokens_are(const char *text, const char *want)
{
    static const char letters[] = "INSCPDc";
    kds_lexer x;
    kds_token t;
    kds_buf got;
    size_t end = 0;
    kds_buf_init(&got, 65536);
    kds_lexer_init(&x, text, strlen(text));
    while ((t = kds_lexer_next(&x)).kind != KDS_TOKEN_END) {
        assert_true(t.len > 0 && t.offset >= end && t.offset + t.len <= strlen(text));
        end = t.offset + t.len;
        kds_buf_printf(&got, "%s%c:%.*s", got.len ? "~" : "", letters[t.kind], (int)t.len,
                       text + t.offset);
    }
    assert_int_equal(kds_lexer_next(&x).kind, KDS_TOKEN_END);
    assert_string_equal(got.data, want);
    kds_buf_free(&got);
}

static void test_tokens(void **state)
{
    (void)state;
    tokens_are("", "");
    tokens_are(" \t\n\v\f\r", "");
    tokens_are("int x_1 = a$b;", "I:int~I:x_1~P:=~I:a$b~P:;");
    tokens_are("1'000 0x1Fp-3f .5e+3 1.f 0b1", "N:1'000~N:0x1Fp-3f~N:.5e+3~N:1.f~N:0b1");
    tokens_are("1+2 1.+2 x.y 3-4", "N:1~P:+~N:2~N:1.~P:+~N:2~I:x~P:.~I:y~N:3~P:-~N:4");
    tokens_are("1'", "N:1~C:'");
    tokens_are("a<<=b>>c<=>d->*e...f::g", "I:a~P:<<=~I:b~P:>>~I:c~P:<=>~I:d~P:->*~I:e~P:...~I:f~P:"
                                          "::~I:g");
    tokens_are("a<b<c>>>d", "I:a~P:<~I:b~P:<~I:c~P:>>~P:>~I:d");
    tokens_are("x++ +y--", "I:x~P:++~P:+~I:y~P:--");
    tokens_are("a / b /c*/d", "I:a~P:/~I:b~P:/~I:c~P:*~P:/~I:d");
    tokens_are("@ `", "P:@~P:`");
    tokens_are("\xc3\xa9t\xc3\xa9 x", "I:\xc3\xa9t\xc3\xa9~I:x");
}

static void test_comments(void **state)
{
    (void)state;
    tokens_are("a // b\nc", "I:a~c:// b~I:c");
    tokens_are("a /* b\n // */ c", "I:a~c:/* b\n // */~I:c");
    tokens_are("a // b \\\n c\nd", "I:a~c:// b \\\n c~I:d");
    tokens_are("a // b \\\r\n c\nd", "I:a~c:// b \\\r\n c~I:d");
    tokens_are("a // b \\ \n c", "I:a~c:// b \\ ~I:c"); /* a blank after it: no continuation */
    tokens_are("a /\\\n/ b\nc", "I:a~c:/\\\n/ b~I:c");
    tokens_are("a /\\\n* b *\\\n/ c", "I:a~c:/\\\n* b *\\\n/~I:c");
    tokens_are("/*/ a */ b", "c:/*/ a */~I:b");
    tokens_are("/**/a/***/b", "c:/**/~I:a~c:/***/~I:b");
    tokens_are("a /* never", "I:a~c:/* never");
    tokens_are("a // end", "I:a~c:// end");
    tokens_are("a // lone \r int", "I:a~c:// lone \r int");
}

static void test_literals(void **state)
{
    (void)state;
    tokens_are("\"a \\\" // b\" c", "S:\"a \\\" // b\"~I:c");
    tokens_are("'\"' '\\'' L'x'", "C:'\"'~C:'\\''~C:L'x'");
    tokens_are("u8\"x\" U\"y\" L\"z\" v\"w\"", "S:u8\"x\"~S:U\"y\"~S:L\"z\"~I:v~S:\"w\"");
    tokens_are("\"a\"_km 'b'_x", "S:\"a\"_km~C:'b'_x");
    tokens_are("R\"(a\n\"b)\" c", "S:R\"(a\n\"b)\"~I:c");
    tokens_are("u8R\"x(a)\"y)x\" c", "S:u8R\"x(a)\"y)x\"~I:c");
    tokens_are("LR\"-(\\\n)-\" c", "S:LR\"-(\\\n)-\"~I:c");
    tokens_are("XR\"(a)\"", "I:XR~S:\"(a)\"");
    tokens_are("R\"a b(c)\" d", "I:R~S:\"a b(c)\"~I:d");
    tokens_are("R\"12345678901234567(c)\" d", "I:R~S:\"12345678901234567(c)\"~I:d");
    tokens_are("R\"", "I:R~S:\"");
    tokens_are("R\"(never )x\"", "S:R\"(never )x\"");
    tokens_are("\"ends with the line\nint", "S:\"ends with the line~I:int");
    tokens_are("\"goes on \\\n here\" x", "S:\"goes on \\\n here\"~I:x");
    tokens_are("\"a\\", "S:\"a\\");
    tokens_are("'a\\\nb' R\\\n\"(x)\"", "C:'a\\\nb'~S:R\\\n\"(x)\"");
}

static void test_directives(void **state)
{
    (void)state;
    tokens_are("#pragma once\nint", "D:#pragma once~I:int");
    tokens_are("  # define X \\\n 1 // c\nint", "D:# define X \\\n 1 // c~I:int");
    tokens_are("#define X /* a\n b */ 1\nint", "D:#define X /* a\n b */ 1~I:int");
    tokens_are("/* a */ #x\n/* a\n*/ #y", "c:/* a */~D:#x~c:/* a\n*/~D:#y");
    tokens_are("a #x", "I:a~P:#~I:x");
    tokens_are("%:define X\n% :y", "D:%:define X~P:%~P::~I:y");
    tokens_are("#define S \"/*\"\nint", "D:#define S \"/*\"~I:int");
    tokens_are("#define S R\"(\n#x)\" 1\nint", "D:#define S R\"(\n#x)\" 1~I:int");
    tokens_are("#include <a/*b>\nint", "D:#include <a/*b>~I:int");
    tokens_are("#include \"a//b\" // c\nint", "D:#include \"a//b\" // c~I:int");
    tokens_are("# /**/ inc\\\nlude <a//b>\nint", "D:# /**/ inc\\\nlude <a//b>~I:int");
    tokens_are("#include <a /* b\nint", "D:#include <a /* b\nint");
    tokens_are("#error don't /* x\nint", "D:#error don't /* x~I:int");
    tokens_are("#\nint", "D:#~I:int");
    tokens_are("#", "D:#");
    tokens_are("\f\v#x \t\nint", "D:#x~I:int");
}

static void test_lines_and_state(void **state)
{
    (void)state;
    const char *text = "a\n/* x\ny */ b \\\n c\n#d \\\n e\nR\"(\n\n)\" f";
    const int lines[] = {1, 2, 3, 4, 5, 7, 9};
    kds_lexer x;
    kds_lexer_init(&x, text, strlen(text));
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_int_equal(kds_lexer_next(&x).line, lines[i]);
    assert_int_equal(kds_lexer_next(&x).kind, KDS_TOKEN_END);
    assert_false(x.unterminated);
    const char *const broken[] = {"\"a", "'a\n", "/* a", "R\"(a", "#define \"a\nint", "#x /* a"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        kds_lexer_init(&x, broken[i], strlen(broken[i]));
        while (kds_lexer_next(&x).kind != KDS_TOKEN_END)
            ;
        assert_true(x.unterminated);
    }
    kds_lexer_init(&x, "ab\\\ncd ab", 9);
    kds_token t = kds_lexer_next(&x);
    assert_true(kds_token_is(&x, t, "abcd"));
    assert_false(kds_token_is(&x, t, "abc"));
    assert_false(kds_token_is(&x, t, "abcde"));
    assert_false(kds_token_is(&x, t, "abxd"));
    t = kds_lexer_next(&x);
    assert_true(kds_token_is(&x, t, "ab"));
    /* a NUL byte is blank, not an end */
    kds_lexer_init(&x, "a\0b", 3);
    assert_true(kds_token_is(&x, kds_lexer_next(&x), "a"));
    assert_true(kds_token_is(&x, kds_lexer_next(&x), "b"));
}

static void mask_is(const char *text, const char *want)
{
    kds_buf out;
    kds_buf_init(&out, 65536);
    kds_buf_puts(&out, "kept");
    kds_lex_mask(&out, text, strlen(text));
    assert_int_equal(out.len, strlen(text) + 4);
    assert_string_equal(out.data + 4, want);
    assert_memory_equal(out.data, "kept", 4);
    kds_buf_free(&out);
}

static void test_mask(void **state)
{
    (void)state;
    mask_is("a /* b\nc */ d // e\nf", "a     \n     d     \nf");
    mask_is("x(\"a\\\"b\", 'c')", "x(\"    \", ' ')");
    mask_is("R\"x(a\n)x\"_k L\"ab\" ''", "R\"   \n  \"_k L\"  \" ''");
    mask_is("#include <a//b> // c\nd", "#include <a//b>     \nd");
    mask_is("#include \"a.h\"\n#define S \"asm\" 'x'", "#include \"a.h\"\n#define S \"   \" ' '");
    mask_is("#if 0\ndon't asm\n#endif asm", "#if 0\ndon'     \n#endif asm");
    mask_is("\"ab\\\" c", "\"      ");
    mask_is("#pragma kda x \"y", "#pragma kda x \" ");
    mask_is("'", "'");
    mask_is("a // b\\\nc\nd", "a      \n \nd");
    kds_buf small;
    kds_buf_init(&small, 4);
    kds_lex_mask(&small, "12345", 5);
    assert_int_equal(small.bad, KDS_TOO_LARGE);
    kds_buf_free(&small);
}

static char *normal(const char *text)
{
    kds_buf out;
    kds_buf_init(&out, 65536);
    kds_lex_normalize(&out, text, strlen(text));
    return kds_buf_take(&out);
}

static void normal_is(const char *text, const char *want)
{
    char *got = normal(text);
    assert_string_equal(got, want);
    free(got);
}

static void test_normal_form(void **state)
{
    (void)state;
    normal_is("int  x =\n 1 ; // one", "int x=1;");
    normal_is("a + +b - -c -> d", "a+ +b- -c->d");
    normal_is("# include  <a.h>\nint", "#include <a.h>\nint");
    normal_is("x #y\n#  pragma  kda tune A = 1 , 2", "x#y\n#pragma kda tune A=1,2\n");
    normal_is("", "");
    normal_is("\"a\\n\\\r\nb\" x", "\"a\\nb\" x");
    normal_is("a \\ \n#x", "a\\ \n#x\n"); /* no continuation, so none in the result */
    normal_is("a \\ b", "a\\ b");
    normal_is("%: define F (x)\n% :", "%:define F (x)\n% :");
}

static void test_layout_twins(void **state)
{
    (void)state;
    const char *const twins[][2] = {
        {"int a;int b;", "int a; /* x */\n\n int/**/b; // y"},
        {"a=b+c;", "a = b +\t c ;"},
        {"#define F(x) x+1\nint y;", "  #  define F( x )  x + 1 // c\n\n\nint y;"},
        {"#define A 1 \\\n +2\n", "#define A 1 + 2\n"},
        {"#define F(x) x\n", "#define F\\\n(x) x\n"},
        {"\"ab\"", "\"a\\\nb\""},
        {"ab", "a\\\nb"},
        {"#pragma kda tune A = 1, 2\n", "#pragma kda  tune A=1 , /* 2 */ 2\n"},
        {"x\n#if A\ny\n#endif", "x // c\n#if /* d\n */ A\n\n y\n#endif\n"},
    };
    for (size_t i = 0; i < sizeof twins / sizeof *twins; i++) {
        char *a = normal(twins[i][0]), *b = normal(twins[i][1]);
        assert_string_equal(a, b);
        /* and the form is a fixed point */
        normal_is(a, b);
        free(a);
        free(b);
    }
}

static void test_differences_are_kept(void **state)
{
    (void)state;
    const char *const pairs[][2] = {
        {"\"a b\"", "\"a  b\""},
        {"\"a//b\"", "\"a\""},
        {"R\"(a\nb)\"", "R\"(a b)\""},
        {"R\"(a\\\nb)\"", "R\"(ab)\""},
        {"' '", "'  '"},
        {"#define F(x) x\n", "#define F (x) x\n"},
        {"#define F(x) x\n", "#define F/**/(x) x\n"},
        {"#define A 1\nint x;", "#define A 1 int x;"},
        {"#define A\nB", "#define A B"},
        {"#define A B\n", "#define AB\n"},
        {"a\n#b", "a #b"},
        {"intx", "int x"},
        {"a++ + b", "a + ++b"},
        {"a+ +b", "a++b"},
        {"x- -y", "x--y"},
        {"a / *b", "a /*b"},
        {"a . . . b", "a ... b"},
        {"1 .x", "1.x"},
        {"1 .5", "1.5"},
        {". 5", ".5"},
        {"1e +2", "1e+2"},
        {"a - > b", "a -> b"},
        {"a < < = b", "a <<= b"},
        {"A<B<C> >", "A<B<C>>"},
        {"L \"a\"", "L\"a\""},
        {"\"a\" _k", "\"a\"_k"},
        {"\"a\" \"b\"", "\"ab\""},
        {"1 'a'", "1'a"},
        {"#include <a b>", "#include <ab>"},
        {"% :x", "%:x"},
        {"#pragma unroll\nfor", "#pragma unroll for"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *a = normal(pairs[i][0]), *b = normal(pairs[i][1]);
        if (strcmp(a, b) == 0)
            fail_msg("'%s' and '%s' both became '%s'", pairs[i][0], pairs[i][1], a);
        free(a);
        free(b);
    }
    kds_buf small;
    kds_buf_init(&small, 4);
    kds_lex_normalize(&small, "a b c d e", 9);
    assert_int_equal(small.bad, KDS_TOO_LARGE);
    kds_buf_reset(&small);
    kds_lex_normalize(&small, "abc d", 5); /* the space is what does not fit */
    assert_int_equal(small.bad, KDS_TOO_LARGE);
    kds_buf_free(&small);
}

/* Reading a normal form again gives the same tokens, so no two token sequences share one. */
static void test_normal_form_keeps_tokens(void **state)
{
    (void)state;
    static const char *const pieces[] = {"+", "-", "/",   "*",     "<", ">",  "=",
                                         ".", ":", "%",   "&",     "|", "#",  "1",
                                         "e", "x", "'a'", "\"s\"", "L", "->", "..."};
    const size_t n = sizeof pieces / sizeof *pieces;
    for (size_t i = 0; i < n * n * n; i++) {
        char text[64];
        kds_lexer x, y;
        kds_token s, t;
        snprintf(text, sizeof text, "a %s %s %s", pieces[i % n], pieces[i / n % n],
                 pieces[i / n / n]);
        char *form = normal(text);
        kds_lexer_init(&x, text, strlen(text));
        kds_lexer_init(&y, form, strlen(form));
        do {
            s = kds_lexer_next(&x);
            t = kds_lexer_next(&y);
            if (s.kind != t.kind || s.len != t.len ||
                memcmp(text + s.offset, form + t.offset, s.len) != 0)
                fail_msg("'%s' became '%s'", text, form);
        } while (s.kind != KDS_TOKEN_END);
        free(form);
    }
}

/* Looking for directives alone finds those that are among all tokens, and stops in the same state.
 */
static void test_directives_alone(void **state)
{
    (void)state;
    static const char *const pieces[] = {"#",  "a",  " ",    "\n",   "\"", "'", "/", "*",
                                         "//", "/*", "\\\n", "\\",   "%:", "%", "R", "(",
                                         ")",  "1",  "u8",   "\r\n", "\f", ";", "\t"};
    const size_t n = sizeof pieces / sizeof *pieces;
    uint32_t random = 1;
    for (int i = 0; i < 100000; i++) {
        char text[64] = "";
        kds_lexer x, y;
        kds_token s, t;
        for (int k = 0; k < 14; k++) {
            random = random * 1664525 + 1013904223;
            size_t len = strlen(text);
            snprintf(text + len, sizeof text - len, "%s", pieces[(random >> 16) % n]);
        }
        kds_lexer_init(&x, text, strlen(text));
        kds_lexer_init(&y, text, strlen(text));
        do {
            s = kds_lexer_next_directive(&x);
            do
                t = kds_lexer_next(&y);
            while (t.kind != KDS_TOKEN_END && t.kind != KDS_TOKEN_DIRECTIVE);
            if (s.kind != t.kind || s.offset != t.offset || s.len != t.len || s.line != t.line ||
                x.at != y.at || x.line != y.line || x.line_start != y.line_start)
                fail_msg("'%s': at %zu, not at %zu", text, s.offset, t.offset);
        } while (s.kind != KDS_TOKEN_END);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_comments),
        cmocka_unit_test(test_literals),
        cmocka_unit_test(test_directives),
        cmocka_unit_test(test_directives_alone),
        cmocka_unit_test(test_lines_and_state),
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_normal_form),
        cmocka_unit_test(test_layout_twins),
        cmocka_unit_test(test_differences_are_kept),
        cmocka_unit_test(test_normal_form_keeps_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
