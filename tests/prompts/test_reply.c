/* Replies: what is understood, what is told back, and that nothing hostile costs more than time. */
#include "prompts/reply.h"
#include "search/base/text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PARENT                                                                                     \
    "#pragma kda tune VEC = 4, 8\n"                                                                \
    "__global__ void k(float *x)\n"                                                                \
    "{\n"                                                                                          \
    "    int i = threadIdx.x;  \n"                                                                 \
    "    x[i] = 1;\n"                                                                              \
    "    __syncthreads();\n"                                                                       \
    "    x[i] += 2;\n"                                                                             \
    "    __syncthreads();\n"                                                                       \
    "}\n"
#define EDIT(old, new) "<<<<<<< SEARCH\n" old "=======\n" new ">>>>>>> REPLACE\n"
#define CHILD "__global__ void c() {}\n"

static const struct reply_case {
    const char *text;
    kds_reply_problem problem;
    const char *want; /* the source, or what the message says */
    const char *hypothesis;
    int edits;
} CASES[] = {
    /* Full sources. */
    {"```cuda\n" CHILD "```\n", KDS_REPLY_OK, CHILD, "", 0},
    {"Hypothesis: wider loads\n```c++\n" CHILD "```", KDS_REPLY_OK, CHILD, "wider loads", 0},
    {"```\n" CHILD "```   \nThat is it.", KDS_REPLY_OK, CHILD, "", 0},
    {"~~~ cuda `x`\n" CHILD "```\n~~~~\n", KDS_REPLY_OK, CHILD "```\n", "", 0},
    {"````cuda\n" CHILD "```\n`````\n", KDS_REPLY_OK, CHILD "```\n", "", 0},
    {"```cuda\n" CHILD "~~~\n```\n", KDS_REPLY_OK, CHILD "~~~\n", "", 0},
    {"```cuda\n" CHILD "``` x\n```\n", KDS_REPLY_OK, CHILD "``` x\n", "", 0},
    {"1. so:\n   ```cuda\n   " CHILD "     int y;\n z\n   ```\n", KDS_REPLY_OK,
     CHILD "  int y;\nz\n", "", 0},
    {"\xef\xbb\xbf```cuda\r\n__global__ void c() {}\r\n```\r\n", KDS_REPLY_OK, CHILD, "", 0},
    {"````markdown\n```cuda\n" CHILD "```\n````\n", KDS_REPLY_OK, CHILD, "", 0},
    {"```sh\nnvcc k.cu\n```\n```cuda\n" CHILD "```\n", KDS_REPLY_OK, CHILD, "", 0},
    {"```\nint helper;\n```\n", KDS_REPLY_OK, "int helper;\n", "", 0},
    {"``` \n\n```\n```cuda\n" CHILD "```\n", KDS_REPLY_OK, CHILD, "", 0},
    {"```cuda\n" CHILD "```\nonce more:\n```cuda\n\n" CHILD "```\n", KDS_REPLY_OK, CHILD, "", 0},
    {"It was\n```cuda\n" PARENT "```\nbecomes\n```cuda\n" CHILD "```\n", KDS_REPLY_OK, CHILD, "",
     0},
    {"```cuda\n" CHILD "```\n```\n", KDS_REPLY_OK, CHILD, "", 0},
    {"inline ```code``` and\n```cuda\n" CHILD "```\n", KDS_REPLY_OK, CHILD, "", 0},
    {"``` a`b\n```cuda\n" CHILD "```\n", KDS_REPLY_OK, CHILD, "", 0},
    /* Both: the full source is the child. */
    {"```cuda\n" CHILD "```\n" EDIT("    x[i] = 1;\n", "    x[i] = 3;\n"), KDS_REPLY_OK, CHILD, "",
     0},
    /* Thoughts. */
    {"<think>\n```cuda\n__global__ bad\n```\n</think>\n```cuda\n" CHILD "```\n", KDS_REPLY_OK,
     CHILD, "", 0},
    {" \n<THINK>Hypothesis: no</think>Hypothesis: yes\n```cuda\n" CHILD "```\n", KDS_REPLY_OK,
     CHILD, "yes", 0},
    {"<thinking>a</thinking>\n```cuda\n" CHILD "```\n", KDS_REPLY_OK, CHILD, "", 0},
    {"so I think ```cuda\n__global__ bad\n</think>\n```cuda\n" CHILD "```\n", KDS_REPLY_OK, CHILD,
     "", 0},
    {"```cuda\n" CHILD "// not </think> alone\n```\n", KDS_REPLY_OK,
     CHILD "// not </think> alone\n", "", 0},
    {"<think>for ever\n```cuda\n" CHILD "```\n", KDS_REPLY_TRUNCATED, "inside its thoughts", "", 0},
    {"<thinking>for ever", KDS_REPLY_TRUNCATED, "inside its thoughts", "", 0},
    /* Hypotheses. */
    {"**Hypothesis**: *bold* idea\n```cuda\n" CHILD "```\n", KDS_REPLY_OK, CHILD, "bold* idea", 0},
    {"**Hypothesis:** idea \n```cuda\n" CHILD "```\n", KDS_REPLY_OK, CHILD, "idea", 0},
    {"## HYPOTHESIS:\n\n  next line  \n```cuda\n" CHILD "```\n", KDS_REPLY_OK, CHILD, "next line",
     0},
    {"> hypothesis : a\nHypothesis: b\n```cuda\n" CHILD "```\n", KDS_REPLY_OK, CHILD, "a", 0},
    {"**Hypothesis: idea**\n```cuda\n" CHILD "```\n", KDS_REPLY_OK, CHILD, "idea", 0},
    {"Hypothesis:\n**idea**\n```cuda\n" CHILD "```\n", KDS_REPLY_OK, CHILD, "idea", 0},
    {"My hypothesis: no\n```cuda\n" CHILD "Hypothesis: in code\n```\n", KDS_REPLY_OK,
     CHILD "Hypothesis: in code\n", "", 0},
    {"Hypothesis: \x1b[31mred\xe2\x80\xae\n```cuda\n" CHILD "```\n", KDS_REPLY_OK, CHILD,
     "\\x1B[31mred\\xE2\\x80\\xAE", 0},
    {"Hypothesis: lost\n", KDS_REPLY_NO_CODE, "neither", "lost", 0},
    /* No code. */
    {"I cannot.", KDS_REPLY_NO_CODE, "neither", "", 0},
    {"```\n```\n", KDS_REPLY_NO_CODE, "neither", "", 0},
    {"```diff\n-a\n+b\n```\n", KDS_REPLY_NO_CODE, "Diffs", "", 0},
    {"```Patch\n-a\n+b\n```\n", KDS_REPLY_NO_CODE, "Diffs", "", 0},
    {"```\na\n```\n```\nb\n```\n", KDS_REPLY_NO_CODE, "None of the 2", "", 0},
    {"=======\n>>>>>>> REPLACE\n", KDS_REPLY_NO_CODE, "neither", "", 0},
    {"", KDS_REPLY_EMPTY, "empty", "", 0},
    {" \r\n\t\n", KDS_REPLY_EMPTY, "empty", "", 0},
    /* Cut off. */
    {"```cuda\n" CHILD, KDS_REPLY_TRUNCATED, "never closed", "", 0},
    {"````cuda\n" CHILD "```\n", KDS_REPLY_TRUNCATED, "never closed", "", 0},
    {"```cuda\n" CHILD "```\n```\nmore", KDS_REPLY_TRUNCATED, "never closed", "", 0},
    {"```", KDS_REPLY_TRUNCATED, "never closed", "", 0},
    {"<<<<<<< SEARCH\na\n", KDS_REPLY_TRUNCATED, "no >>>>>>> REPLACE", "", 0},
    {"<<<<<<< SEARCH\na\n=======\nb\n", KDS_REPLY_TRUNCATED, "no >>>>>>> REPLACE", "", 0},
    {"<<<<<<< SEARCH\na\n<<<<<<< SEARCH\n", KDS_REPLY_TRUNCATED, "inside another", "", 0},
    {"<<<<<<< SEARCH\na\n=======\n<<<<<<< SEARCH\n", KDS_REPLY_TRUNCATED, "inside another", "", 0},
    {"<<<<<<< SEARCH\na\n>>>>>>> REPLACE\n", KDS_REPLY_TRUNCATED, "no =======", "", 0},
    {"```\n<<<<<<< SEARCH\na\n```\n", KDS_REPLY_TRUNCATED, "no >>>>>>> REPLACE", "", 0},
    /* Several. */
    {"```cuda\n" CHILD "```\n```cuda\n__global__ void d() {}\n```\n", KDS_REPLY_SEVERAL,
     "2 different", "", 0},
    /* The parent again. */
    {"```cuda\n" PARENT "```\n", KDS_REPLY_NO_CHANGE, "same as the parent", "", 0},
    {EDIT("    x[i] = 1;\n", "    x[i] = 1;   \n"), KDS_REPLY_NO_CHANGE, "same as the parent", "",
     0},
};

static void check(const struct reply_case *c, size_t len)
{
    kds_reply r;
    kds_buf source;
    kds_err e;
    kds_buf_init(&source, KDS_SOURCE_CAP);
    kds_buf_puts(&source, "left over");
    if (kds_reply_parse(c->text, len, PARENT, strlen(PARENT), &source, &r, &e) != KDS_OK)
        fail_msg("%s", e.message);
    if (r.problem != c->problem)
        fail_msg("%.80s:\n%s (%s), not %s", c->text, kds_reply_problem_name(r.problem), r.message,
                 kds_reply_problem_name(c->problem));
    if (r.problem == KDS_REPLY_OK) {
        assert_string_equal(source.data, c->want);
        assert_string_equal(r.message, "");
    } else {
        assert_int_equal(source.len, 0);
        if (!strstr(r.message, c->want))
            fail_msg("%.80s:\n%s", c->text, r.message);
    }
    assert_string_equal(r.hypothesis, c->hypothesis);
    assert_int_equal(r.edits, c->edits);
    kds_buf_free(&source);
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        check(&CASES[i], strlen(CASES[i].text));
}

/* PARENT with one line changed, for comparison. */
static const char *replaced(const char *old, const char *new)
{
    static char out[1000];
    const char *at = strstr(PARENT, old);
    assert_non_null(at);
    snprintf(out, sizeof out, "%.*s%s%s", (int)(at - PARENT), PARENT, new, at + strlen(old));
    return out;
}

static void edit_ok(const char *text, const char *want, int edits)
{
    struct reply_case c = {text, KDS_REPLY_OK, want, "", edits};
    check(&c, strlen(text));
}

static void edit_bad(const char *text, kds_reply_problem problem, const char *says)
{
    struct reply_case c = {text, problem, says, "", 0};
    check(&c, strlen(text));
}

static void test_edits(void **state)
{
    (void)state;
    char one[1000];
    snprintf(one, sizeof one, "%s", replaced("x[i] = 1;", "x[i] = 7;"));
    edit_ok(EDIT("    x[i] = 1;\n", "    x[i] = 7;\n"), one, 1);
    edit_ok("```cuda\n" EDIT("    x[i] = 1;\n", "    x[i] = 7;\n") "```\n", one, 1);
    edit_ok("So:\n```\n" EDIT("    x[i] = 1;\n", "    x[i] = 7;\n") "```\nand the old one was\n"
                                                                    "```cuda\n" PARENT "```\n",
            one, 1);
    edit_ok("The kernel starts with\n```\n__global__ void k(float *x)\n{\n```\n" EDIT(
                "    x[i] = 1;\n", "    x[i] = 7;\n"),
            one, 1);
    edit_ok("<<<<< SEARCH>\n    x[i] = 1;\n=====\n    x[i] = 7;\n>>>>> REPLACE  ", one, 1);
    edit_ok("<<<<<<< SEARCH\r\n    x[i] = 1;\r\n=======\r\n    x[i] = 7;\r\n>>>>>>> REPLACE\r\n",
            one, 1);
    /* White space at the ends of lines, on either side. */
    edit_ok(EDIT("    x[i] = 1; \t\n", "    x[i] = 7;\n"), one, 1);
    edit_ok(EDIT("    int i = threadIdx.x;\n    x[i] = 1;\n", "    int i = 0;\n"),
            replaced("    int i = threadIdx.x;  \n    x[i] = 1;\n", "    int i = 0;\n"), 1);
    /* Each applies to what the one before made. */
    edit_ok(EDIT("    x[i] = 1;\n", "    a();\n") "then\n" EDIT("    a();\n", "    x[i] = 7;\n"),
            one, 2);
    /* First and last line, deletion, insertion. */
    edit_ok(EDIT("#pragma kda tune VEC = 4, 8\n", "#pragma kda tune VEC = 8, 4\n"),
            replaced("4, 8", "8, 4"), 1);
    edit_ok(EDIT("    __syncthreads();\n}\n", "}\n"), replaced("    __syncthreads();\n}\n", "}\n"),
            1);
    edit_ok(EDIT("    x[i] = 1;\n", ""), replaced("    x[i] = 1;\n", ""), 1);
    edit_ok(EDIT("    x[i] = 1;\n", "    x[i] = 1;\n=======\n```\n"),
            replaced("    x[i] = 1;\n", "    x[i] = 1;\n=======\n```\n"), 1);

    edit_bad(EDIT("    x[i] = 2;\n", "a\n"), KDS_REPLY_NO_MATCH, "no line \"x[i] = 2;\"");
    edit_bad(EDIT("\nx[i] = 1;\n", "a\n"), KDS_REPLY_NO_MATCH, "like line 5");
    edit_bad(EDIT("[i] = 1;\n", "a\n"), KDS_REPLY_NO_MATCH, "edit 1");
    edit_bad(EDIT("    x[i] = 1\n", "a\n"), KDS_REPLY_NO_MATCH, "edit 1");
    edit_bad(EDIT("", "a\n"), KDS_REPLY_NO_MATCH, "it is empty");
    edit_bad(EDIT("  \n\n", "a\n"), KDS_REPLY_NO_MATCH, "it is empty");
    edit_bad(EDIT("    x[i] = 1;\n", "b\n") EDIT("    x[i] = 1;\n", "a\n"), KDS_REPLY_NO_MATCH,
             "edit 2");
    edit_bad(EDIT("    __syncthreads();\n", "a\n"), KDS_REPLY_MANY_MATCHES, "more than once");
    edit_bad(EDIT("    __syncthreads();  \n", "a\n"), KDS_REPLY_MANY_MATCHES, "more than once");
}

/* Matches that overlap are two; a parent may lack its last newline. */
static void test_matching(void **state)
{
    (void)state;
    kds_reply r;
    kds_buf source;
    kds_buf_init(&source, KDS_SOURCE_CAP);
    const char *text = EDIT("a\na\n", "b\n");
    assert_int_equal(kds_reply_parse(text, strlen(text), "a\na\na\n", 6, &source, &r, NULL),
                     KDS_OK);
    assert_int_equal(r.problem, KDS_REPLY_MANY_MATCHES);
    assert_int_equal(kds_reply_parse(text, strlen(text), "x\na\na", 5, &source, &r, NULL), KDS_OK);
    assert_int_equal(r.problem, KDS_REPLY_OK);
    assert_string_equal(source.data, "x\nb\n");
    assert_int_equal(kds_reply_parse(text, strlen(text), "a\r\na\r\nz\r\n", 9, &source, &r, NULL),
                     KDS_OK);
    assert_string_equal(source.data, "b\nz\r\n");
    assert_int_equal(kds_reply_parse(text, strlen(text), "", 0, &source, &r, NULL), KDS_OK);
    assert_int_equal(r.problem, KDS_REPLY_NO_MATCH);
    kds_buf_free(&source);
}

static void test_encoding(void **state)
{
    (void)state;
    static const char NUL[] = "```cuda\n__global__ \0x\n```\n";
    struct reply_case c = {NUL, KDS_REPLY_NOT_UTF8, "NUL byte at position 20", "", 0};
    check(&c, sizeof NUL - 1);
    static const char *const BAD[] = {"\xff", "```cuda\n__global__ \xc3(\n```\n", "\xed\xa0\x80",
                                      "\xc0\x80", "abc\xe2\x82"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        edit_bad(BAD[i], KDS_REPLY_NOT_UTF8, "not UTF-8 from byte");
    for (int i = 0; i <= KDS_REPLY_MUCH_CODE; i++)
        assert_string_not_equal(kds_reply_problem_name((kds_reply_problem)i), "unknown");
    assert_string_equal(kds_reply_problem_name((kds_reply_problem)99), "unknown");
}

/* `unit` repeated to `len` bytes, with `head` in front and `tail` behind. */
static char *repeat(const char *head, const char *unit, size_t len, const char *tail)
{
    size_t h = strlen(head), u = strlen(unit), t = strlen(tail), n = h;
    char *s = malloc(h + len + u + t + 1);
    assert_non_null(s);
    memcpy(s, head, h);
    for (; n < h + len; n += u)
        memcpy(s + n, unit, u);
    memcpy(s + n, tail, t + 1);
    return s;
}

static kds_reply parse_with(const char *text, const char *parent)
{
    kds_reply r;
    kds_buf source;
    kds_buf_init(&source, KDS_SOURCE_CAP);
    assert_int_equal(kds_reply_parse(text, strlen(text), parent, strlen(parent), &source, &r, NULL),
                     KDS_OK);
    assert_true(kds_text_is_utf8(r.message, strlen(r.message)));
    assert_true(kds_text_is_utf8(r.hypothesis, strlen(r.hypothesis)));
    kds_buf_free(&source);
    return r;
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *head, *unit;
        size_t len;
        const char *tail;
        kds_reply_problem problem;
    } SIZES[] = {
        {"", "all work and no play\n", 10 << 20, "", KDS_REPLY_TOO_LARGE},
        {"```cuda\n__global__\n", "int x;\n", KDS_SOURCE_CAP, "```\n", KDS_REPLY_TOO_LARGE},
        {"```cuda\n__global__\n", "int x;\n", KDS_SOURCE_CAP - 100, "```\n", KDS_REPLY_OK},
        {"<<<<<<< SEARCH\n    x[i] = 1;\n=======\n", "int x;\n", KDS_SOURCE_CAP,
         ">>>>>>> REPLACE\n", KDS_REPLY_TOO_LARGE},
        {"<<<<<<< SEARCH\n", "int x;\n", KDS_SOURCE_CAP, "=======\n>>>>>>> REPLACE\n",
         KDS_REPLY_NO_MATCH},
        {"", EDIT("    x[i] = 1;\n", "    x[i] = 1;\n"), 64 * 60, "", KDS_REPLY_NO_CHANGE},
        {"", EDIT("    x[i] = 1;\n", "    x[i] = 1;\n"), 65 * 68, "", KDS_REPLY_TOO_LARGE},
        {"", "```cuda\n__global__\n```\n", 300, "", KDS_REPLY_OK},
        {"", "```cuda\n__global__\n```\n", 1000, "", KDS_REPLY_SEVERAL},
        {"Hypothesis: ", "\xe2\x82\xac", 5000, "\n```cuda\n__global__\n```\n", KDS_REPLY_OK},
    };
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        char *text = repeat(SIZES[i].head, SIZES[i].unit, SIZES[i].len, SIZES[i].tail);
        kds_reply r = parse_with(text, PARENT);
        if (r.problem != SIZES[i].problem)
            fail_msg("size %zu: %s: %s", i, kds_reply_problem_name(r.problem), r.message);
        free(text);
    }
}

/* A megabyte of each kind of trouble: only that it ends, soon, and without a complaint from the
 * sanitizers. */
static void test_hostile(void **state)
{
    (void)state;
    static const struct {
        const char *head, *unit, *tail;
    } BAD[] = {
        {"", "<", ""},
        {"", "<<<<<<< SEARCH", ""},
        {"", "`", "\n"},
        {"", "```\n", ""},
        {"", "````\n```\n", ""},
        {"", "~~~", "\n"},
        {"", "```a\n```a\n", ""},
        {"", "\n", "x"},
        {"", " ", "x"},
        {"", "#>*_- ", "hypothesi"},
        {"Hypothesis:", "*_ ", "\n"},
        {"", "Hypothesis:\n", ""},
        {"```\n", "=======\n", "```\n"},
        {"<<<<<<< SEARCH\n", "=======\n", ">>>>>>> REPLACE\n"},
        {"<<<<<<< SEARCH\n", "\n", "=======\n>>>>>>> REPLACE\n"},
        {"<<<<<<< SEARCH\n", "a\n", "=======\n>>>>>>> REPLACE\n"},
        {"<<<<<<< SEARCH\na\n=======\n", "a\n", ">>>>>>> REPLACE\n"},
        {"", "```cuda\n__global__ 1\n```\n```cuda\n__global__ 2\n```\n", ""},
        {"<think>", "<think>", ""},
        {"", "</think>", ""},
        {"", "\r\n", "x"},
        {"", "\r", "x"},
        {"", EDIT("a\n", "a\na\n"), ""},
        {"", "\xf0\x9f\x98\x80", "\n"},
    };
    char *lines = repeat("", "a\n", 250000, ""), *blank = repeat("", " \n", 250000, "");
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char *text = repeat(BAD[i].head, BAD[i].unit, KDS_REPLY_CAP - 200, BAD[i].tail);
        const char *parents[] = {PARENT, lines, blank};
        for (size_t p = 0; p < 3; p++)
            assert_int_not_equal(parse_with(text, parents[p]).problem, KDS_REPLY_OK);
        free(text);
    }
    /* The most edits, each searched for in vain in the longest parent. */
    char *text = repeat("", EDIT("a\na\na\nb\n", "c\n"), 64 * 40, "");
    assert_int_equal(parse_with(text, lines).problem, KDS_REPLY_NO_MATCH);
    free(text);
    free(lines);
    free(blank);
}

/* The prediction is a line of its own; the first speed-up in it is what is compared later. */
static void test_prediction(void **state)
{
    (void)state;
    static const struct {
        const char *line, *text;
        double factor;
    } PREDICTIONS[] = {
        {"Prediction: sectors per load 4 -> 16, 1.15x", "sectors per load 4 -> 16, 1.15x", 1.15},
        {"**Prediction:** 2 x", "2 x", 2},
        {"prediction : about 1.5 times as fast", "about 1.5 times as fast", 1.5},
        {"- Prediction: 1.2\xc3\x97", "1.2\xc3\x97", 1.2},
        {"Prediction: 16x16 tiles, 1.3x", "16x16 tiles, 1.3x", 1.3},
        {"Prediction: 0x10 and 0x", "0x10 and 0x", 0},
        {"Prediction: 10 % faster", "10 % faster", 1.1},
        {"Prediction: 1..2x", "1..2x", 0},
        {"Prediction:", "", 0},
        {"My prediction: 2x", "", 0},
    };
    for (size_t i = 0; i < sizeof PREDICTIONS / sizeof *PREDICTIONS; i++) {
        char text[400];
        kds_reply r;
        kds_buf source;
        kds_buf_init(&source, KDS_SOURCE_CAP);
        snprintf(text, sizeof text, "Hypothesis: h\n%s\n```cuda\n__global__ void z() {}\n```\n",
                 PREDICTIONS[i].line);
        assert_int_equal(kds_reply_parse(text, strlen(text), "x", 1, &source, &r, NULL), KDS_OK);
        assert_int_equal(r.problem, KDS_REPLY_OK);
        assert_string_equal(r.hypothesis, "h");
        assert_string_equal(r.prediction, PREDICTIONS[i].text);
        if (!(fabs(r.predicted - PREDICTIONS[i].factor) < 1e-12))
            fail_msg("%s: %g", PREDICTIONS[i].line, r.predicted);
        kds_buf_free(&source);
    }
}

/* People write speed-ups in many ways; what is not clearly one is none. */
static void test_factors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double factor;
    } STATED[] = {
        {"1.2x", 1.2},
        {"1.2x faster than the parent", 1.2},
        {"2x slower", 0.5},
        {"2x fewer loads, 1.1x", 1.1},
        {"2x the registers, but 1.3 times as fast", 1.3},
        {"1.05X overall", 1.05},
        {"15 % faster", 1.15},
        {"15% faster", 1.15},
        {"+15 % speed", 1.15},
        {"a speed-up of 20 %", 1.2},
        {"faster by 5 %", 1.05},
        {"25 % slower", 0.8},
        {"-10 % time", 1 / 0.9},
        {"10 % less time", 1 / 0.9},
        {"20% lower latency", 1.25},
        {"runtime drops by 50 %", 2},
        {"time +25 %", 0.8},
        {"bandwidth 60 % -> 75 % of peak", 0},
        {"occupancy 50 %, 12 % faster", 1.12},
        {"10 % fewer instructions", 0},
        {"-100 % time", 0},
        {"0x", 0},
        {"1000x", 0},
        {"1e400x", 0},
        {"99999999999999999999999999999999999999999x", 0},
        {"........x", 0},
        {"% % % x times -", 0},
        {"5 %", 0},
        {"\xc3", 0},
        {"", 0},
    };
    for (size_t i = 0; i < sizeof STATED / sizeof *STATED; i++) {
        double got = kds_prediction_factor(STATED[i].text);
        if (!(fabs(got - STATED[i].factor) < 1e-12))
            fail_msg("%s: %g", STATED[i].text, got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),      cmocka_unit_test(test_edits),
        cmocka_unit_test(test_matching),   cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_prediction), cmocka_unit_test(test_factors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
