/* Plans: what the grammar takes, what a row gets from it, and how each mistake is explained. The
 * task is built here, so that its rows are known; the plans of the real tasks are checked at the
 * end. */
#include "eval/plan.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS 4

typedef struct world {
    kds_task task;
    kds_row rows[ROWS];
} world;

static world w;

static kds_expr *expr(const char *text)
{
    kds_expr *x = NULL;
    assert_int_equal(kds_expr_parse(&x, text, strlen(text), NULL), KDS_OK);
    return x;
}

/* x[M,N], w[N], y[M,N], scalars M, N, eps; production 4096x128, 64x4096, quick 3x7, held-out 5x96.
 */
static int set_up(void **state)
{
    static const struct {
        const char *id;
        kds_row_set set;
        int64_t m, n;
    } sizes[ROWS] = {{"tall", KDS_ROWS_PRODUCTION, 4096, 128},
                     {"wide", KDS_ROWS_PRODUCTION, 64, 4096},
                     {"small", KDS_ROWS_QUICK, 3, 7},
                     {"secret", KDS_ROWS_HELD_OUT, 5, 96}};
    static const char *const buffers[] = {"x", "w", "y"};
    kds_task *t = &w.task;
    (void)state;
    memset(&w, 0, sizeof w);
    t->dims[0] = "M";
    t->dims[1] = "N";
    t->dims[2] = "eps";
    t->dim_count = 3;
    for (int i = 0; i < 3; i++) {
        t->buffers[i].name = buffers[i];
        t->scalars[i].name = t->dims[i];
        t->scalars[i].dtype = i < 2 ? KDS_DTYPE_I32 : KDS_DTYPE_F32;
        t->scalars[i].value = expr(t->dims[i]);
    }
    t->buffer_count = t->scalar_count = 3;
    t->rows = w.rows;
    t->row_count = ROWS;
    for (int i = 0; i < ROWS; i++) {
        kds_row *r = &w.rows[i];
        r->id = sizes[i].id;
        r->set = sizes[i].set;
        r->dim_count = 3;
        r->dims[0] = (kds_scope_entry){"M", kds_value_int(sizes[i].m)};
        r->dims[1] = (kds_scope_entry){"N", kds_value_int(sizes[i].n)};
        r->dims[2] = (kds_scope_entry){"eps", kds_value_double(1e-6)};
        r->scope = (kds_scope){r->dims, 3, NULL};
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        kds_expr_free(w.task.scalars[i].value);
    return 0;
}

static kds_plan *parse_child(const char *source, const char *parent, kds_finding *f)
{
    kds_plan *p = NULL;
    kds_err e = {0};
    kds_code bad = kds_plan_parse(&p, &w.task, source, strlen(source), parent, f, &e);
    if (bad != KDS_OK)
        fail_msg("%s", e.message);
    assert_true((p != NULL) == (f->verdict == KDS_VERDICT_OK));
    return p;
}

static kds_plan *parse(const char *source)
{
    kds_finding f;
    kds_plan *p = parse_child(source, NULL, &f);
    if (!p)
        fail_msg("%s", f.text);
    return p;
}

static void bind(const kds_plan *p, int row, kds_binding *b)
{
    kds_finding f;
    assert_int_equal(kds_plan_bind(p, row, b, &f, NULL), KDS_OK);
    if (f.verdict != KDS_VERDICT_OK)
        fail_msg("%s", f.text);
}

/* The plan is wrong, at that line, and the text says `words`. */
static void wrong_as(const char *source, kds_verdict v, int line, const char *words)
{
    kds_finding f;
    kds_plan *p = parse_child(source, NULL, &f);
    if (p)
        fail_msg("accepted: %s", source);
    if (f.verdict != v || f.line != line || !strstr(f.text, words))
        fail_msg("%s\n  got %s line %d: %s\n  wanted %s", source, kds_verdict_name(f.verdict),
                 f.line, f.text, words);
    assert_string_equal(f.stage, "plan");
    kds_plan_free(p);
}

static void wrong(const char *source, int line, const char *words)
{
    wrong_as(source, KDS_VERDICT_PLAN_INVALID, line, words);
}

static void test_one_launch(void **state)
{
    (void)state;
    kds_binding *b = malloc(sizeof *b);
    kds_plan *p = parse("#pragma kda launch rows(x, w, y, M, N, eps, 3 * N) grid(ceil_div(M, 2)) "
                        "block(32, 2)\n");
    assert_int_equal(kds_plan_launch_count(p), 1);
    assert_int_equal(kds_plan_variant_count(p), 0);
    assert_int_equal(kds_plan_group_count(p), 1);
    bind(p, 2, b);
    assert_int_equal(b->variant, -1);
    assert_string_equal(b->variant_name, "");
    assert_int_equal(b->launch_count, 1);
    const kds_launch *l = &b->launches[0];
    assert_string_equal(l->kernel, "rows");
    assert_int_equal(l->line, 1);
    assert_int_equal(l->grid[0], 2);
    assert_int_equal(l->grid[1], 1);
    assert_int_equal(l->block[0], 32);
    assert_int_equal(l->block[1], 2);
    assert_int_equal(l->block[2], 1);
    assert_int_equal(l->cluster[0], 1);
    assert_int_equal(l->shared_bytes, 0);
    assert_false(l->cooperative);
    assert_int_equal(l->arg_count, 7);
    assert_int_equal(l->args[2].kind, KDS_ARG_BUFFER);
    assert_int_equal(l->args[2].index, 2);
    assert_int_equal(l->args[3].value.i, 3);
    assert_true(l->args[5].value.is_double);
    assert_true(l->args[5].value.d == 1e-6);
    assert_int_equal(l->args[6].value.i, 21);
    kds_plan_free(p);
    free(b);
}

static void test_everything_at_once(void **state)
{
    (void)state;
    static const char source[] =
        "#pragma kda tune VEC = 8, 4\n"
        "#pragma kda tune WARPS = 2\n"
        "#pragma kda define HALF = 0.5\n"
        "#pragma kda scratch zero part : f32[ceil_div(M, WARPS) * 2]\n"
        "#pragma kda variant wide when(N % (32 * VEC) == 0)\n"
        "#pragma kda define COLS = N\n"
        "#pragma kda scratch only_wide : bf16[N]\n"
        "#pragma kda launch ns::rows < VEC ,WARPS>( x, part, only_wide ) \\\n"
        "    cooperative cluster(2) smem(COLS * 4) block(WARPS * 32) \\\n"
        "    grid(align_up(M, 2)) /* a comment */\n"
        "#pragma kda variant any\n"
        "#pragma kda define COLS = -N\n"
        "#pragma kda launch first(y) grid(1) block(1)\n"
        "#pragma kda launch second((M + 1), min(M, N)) grid(1,2,3) block(1)\n";
    kds_binding *b = malloc(sizeof *b);
    kds_plan *p = parse(source);
    assert_int_equal(kds_plan_tunable_count(p), 2);
    assert_string_equal(kds_plan_tunable(p, 0)->name, "VEC");
    assert_int_equal(kds_plan_variant_count(p), 2);
    assert_int_equal(kds_plan_scratch_count(p), 2);
    bind(p, 1, b);
    assert_string_equal(b->variant_name, "wide");
    assert_int_equal(b->variant, 0);
    assert_int_equal(b->scratch_count, 2);
    assert_int_equal(b->scratch[0].numel, 64);
    assert_true(b->scratch[0].zero);
    assert_string_equal(b->scratch[1].name, "only_wide");
    assert_int_equal(b->scratch[1].dtype, KDS_DTYPE_BF16);
    assert_string_equal(b->launches[0].kernel, "ns::rows<VEC, WARPS>");
    assert_int_equal(b->launches[0].line, 8);
    assert_true(b->launches[0].cooperative);
    assert_int_equal(b->launches[0].cluster[0], 2);
    assert_int_equal(b->launches[0].shared_bytes, 4096 * 4);
    assert_int_equal(b->launches[0].args[1].kind, KDS_ARG_SCRATCH);
    assert_int_equal(b->launches[0].args[1].index, 0);
    assert_int_equal(b->launches[0].args[2].index, 1);
    const kds_compile_group *g = kds_plan_group(p, b->group);
    assert_int_equal(g->define_count, 4);
    assert_string_equal(g->defines[0], "VEC=8");
    assert_string_equal(g->defines[1], "WARPS=2");
    assert_string_equal(g->defines[2], "HALF=0.5");
    assert_string_equal(g->defines[3], "COLS=4096");
    bind(p, 0, b);
    assert_string_equal(b->variant_name, "any");
    assert_int_equal(b->scratch_count, 1);
    assert_int_equal(b->launch_count, 2);
    assert_int_equal(b->launches[1].grid[2], 3);
    assert_int_equal(b->launches[1].args[0].value.i, 4097);
    assert_int_equal(b->launches[1].args[1].value.i, 128);
    assert_string_equal(kds_plan_group(p, b->group)->defines[3], "COLS=(-128)");
    kds_plan_free(p);
    free(b);
}

/* Rows with equal definitions share a compilation, which has the kernels of all of them. */
static void test_groups(void **state)
{
    (void)state;
    kds_binding *b = malloc(sizeof *b);
    kds_plan *p = parse("#pragma kda define BIG = N > 100\n"
                        "#pragma kda variant a when(M > 1000)\n"
                        "#pragma kda launch ka(x) grid(1) block(1)\n"
                        "#pragma kda launch shared(x) grid(1) block(1)\n"
                        "#pragma kda variant b\n"
                        "#pragma kda launch shared(x) grid(1) block(1)\n"
                        "#pragma kda launch kb(x) grid(1) block(1)\n");
    assert_int_equal(kds_plan_group_count(p), 2);
    bind(p, 0, b);
    int big = b->group;
    bind(p, 1, b);
    assert_int_equal(b->group, big);
    bind(p, 2, b);
    assert_int_not_equal(b->group, big);
    bind(p, 3, b);
    assert_int_not_equal(b->group, big);
    const kds_compile_group *g = kds_plan_group(p, big);
    assert_int_equal(g->name_count, 3);
    assert_string_equal(g->names[0], "ka");
    assert_string_equal(g->names[1], "shared");
    assert_string_equal(g->names[2], "kb");
    assert_string_equal(g->defines[0], "BIG=1");
    assert_int_equal(kds_plan_bind(p, ROWS, b, NULL, NULL), KDS_USAGE);
    kds_plan_free(p);
    free(b);
}

static void test_double_defines(void **state)
{
    (void)state;
    kds_plan *p = parse("#pragma kda define A = eps\n#pragma kda define B = 2.0\n"
                        "#pragma kda define C = -1.5\n#pragma kda define D = A * 2\n"
                        "#pragma kda launch k(x) grid(1) block(1)\n");
    const kds_compile_group *g = kds_plan_group(p, 0);
    assert_string_equal(g->defines[0], "A=9.9999999999999995e-07");
    assert_string_equal(g->defines[1], "B=2.0");
    assert_string_equal(g->defines[2], "C=(-1.5)");
    assert_string_equal(g->defines[3], "D=1.9999999999999999e-06");
    kds_plan_free(p);
}

static void test_kernel_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *written, *kept;
    } cases[] = {
        {"k ", "k"},
        {" a :: b :: c ", "a::b::c"},
        {"k<1,2 ,  3 >", "k<1, 2, 3>"},
        {"k<unsigned   int, (4>3)>", "k<unsigned int, (4>3)>"},
        {"k<A<B>, C<D<E>>>", "k<A<B>, C<D<E>>>"},
        {"k<1 - -1>", "k<1 - -1>"},
    };
    kds_binding *b = malloc(sizeof *b);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char source[200];
        snprintf(source, sizeof source, "#pragma kda launch %s() grid(1) block(1)",
                 cases[i].written);
        kds_plan *p = parse(source);
        bind(p, 0, b);
        assert_string_equal(b->launches[0].kernel, cases[i].kept);
        assert_int_equal(b->launches[0].arg_count, 0);
        kds_plan_free(p);
    }
    free(b);
}

static void test_inheritance(void **state)
{
    (void)state;
    static const char parent[] = "#pragma kda tune WARPS = 4\n"
                                 "#pragma kda launch rows(x, y, M) grid(M) block(WARPS * 32)\n";
    kds_finding f;
    kds_binding *b = malloc(sizeof *b);
    kds_plan *p = parse_child("#pragma kda tune WARPS = 8\n__global__ void rows();", parent, &f);
    bind(p, 0, b);
    assert_int_equal(b->launches[0].block[0], 256); /* the child's own tunable */
    assert_int_equal(b->launches[0].line, 0);
    kds_plan_free(p);
    p = parse_child("__global__ void rows();", parent, &f);
    assert_null(p);
    assert_non_null(strstr(f.text, "inherited"));
    assert_non_null(strstr(f.text, "'WARPS'"));
    assert_int_equal(f.line, 0);
    p = parse_child("\n#pragma kda define A = 1\n__global__ void rows();", parent, &f);
    assert_null(p);
    assert_int_equal(f.line, 2);
    assert_non_null(strstr(f.text, "write the launch lines too"));
    p = parse_child("void f();", "void g();", &f);
    assert_null(p);
    assert_non_null(strstr(f.text, "my_kernel(x, w, y, M, N, eps) grid(M) block(256)"));
    kds_buf many;
    kds_buf_init(&many, 100000);
    for (int i = 0; i < 300; i++)
        kds_buf_puts(&many, "#pragma kda launch k(x) grid(1) block(1)\n");
    assert_null(parse_child("void f();", many.data, &f));
    assert_int_equal(f.verdict, KDS_VERDICT_PLAN_INVALID);
    kds_buf_free(&many);
    p = parse_child("#pragma kda launch mine(x) grid(1) block(1)", parent, &f);
    bind(p, 0, b);
    assert_string_equal(b->launches[0].kernel, "mine");
    kds_plan_free(p);
    free(b);
}

#define K "#pragma kda launch k(x) grid(1) block(1)\n"

static void test_wrong_lines(void **state)
{
    (void)state;
    wrong("__global__ void k();", 0, "no '#pragma kda launch' line");
    wrong("\n#pragma kda lunch k(x) grid(1) block(1)\n", 2, "did you mean 'launch'?");
    wrong("#pragma kda gizmo\n" K, 1, "one of tune, scratch, variant, define, launch");
    wrong("#pragma kda tune VEC\n" K, 1, "expected '='");
    wrong("#pragma kda tune M = 4\n" K, 1, "a scalar of the task");
    wrong("#pragma kda tune x = 4\n" K, 1, "a buffer of the task");
    wrong("#pragma kda define = 4\n" K, 1, "expected the name of the define, found '= 4'");
    wrong("#pragma kda define\n" K, 1, "found the end of the line");
    wrong("#pragma kda define A 4\n" K, 1, "expected '= expression'");
    wrong("#pragma kda define A =\n" K, 1, "the value");
    wrong("#pragma kda define A = 4 +\n" K, 1, "4 +");
    wrong("#pragma kda define A = M\n#pragma kda define A = N\n" K, 2, "already defined");
    wrong("#pragma kda define __A = 1\n" K, 1, "two underscores");
    wrong("#pragma kda tune T = 1\n#pragma kda define T = 1\n" K, 2, "a tunable");
    wrong("#pragma kda define A = B\n#pragma kda define B = 1\n" K, 1, "unknown name 'B'");
    wrong("#pragma kda define AA = x\n" K, 1, "'x' is a buffer");
    wrong("#pragma kda scratch part\n" K, 1, "expected ': type[count]'");
    wrong("#pragma kda scratch part : bf61[4]\n" K, 1, "did you mean 'bf16'?");
    wrong("#pragma kda scratch part : f32\n" K, 1, "expected '[number of elements]'");
    wrong("#pragma kda scratch part : f32[4\n" K, 1, "expected '[number of elements]'");
    wrong("#pragma kda scratch part : f32[4] x\n" K, 1, "unexpected 'x' after the scratch");
    wrong("#pragma kda scratch zero : f32[4]\n" K, 1, "a word of the grammar");
    wrong("#pragma kda scratch y : f32[4]\n" K, 1, "a buffer of the task");
    wrong("#pragma kda scratch a : f32[4]\n#pragma kda scratch a : f32[4]\n" K, 2,
          "already a scratch");
    wrong("#pragma kda scratch a : f32[0]\n" K, 1, "less than one element: for row 'tall' (M=4096");
    wrong_as("#pragma kda scratch a : f32[1 << 40]\n" K, KDS_VERDICT_LIMITS_EXCEEDED, 1, "16 GiB");
}

#define LONG "a123456789a123456789a123456789a123456789a123456789a123456789abcde"

static void test_wrong_values(void **state)
{
    (void)state;
    wrong("#pragma kda define A = 1 / (M - 3)\n" K, 1, "the define '1 / (M - 3)' has no value");
    wrong("#pragma kda scratch a : f32[4 + 1 / (M - 3)]\n" K, 1, "the number of elements");
    wrong("#pragma kda launch k(x) grid(1) block(1) smem(1 / (M - 3))\n", 1, "smem");
    wrong("#pragma kda launch k(x) grid(1) block(1 / (M - 3))\n", 1, "block");
    wrong("#pragma kda define " LONG " = 1\n" K, 1, "longer than 63 characters");
    wrong("#pragma kda launch k<" LONG LONG LONG LONG LONG LONG LONG LONG ">(x) grid(1) block(1)\n",
          1, "longer than 512 characters");
    wrong("#pragma kda tune VEC = 4\n#pragma kda scratch part : f32[VEC]\n#pragma kda define COLS "
          "= 4\n"
          "#pragma kda launch k(something) grid(1) block(1)\n",
          4, "known here: x w y M N eps VEC part COLS");
    wrong("#pragma kda launch k(x) grid(something) block(1)\n", 1, "known here: M N eps");
}

static void test_wrong_variants(void **state)
{
    (void)state;
    wrong(K "#pragma kda variant a\n" K, 2, "they would always run");
    wrong("#pragma kda variant\n" K, 1, "expected the name of the variant");
    wrong("#pragma kda variant a when M\n" K, 1, "expected 'when(condition)'");
    wrong("#pragma kda variant a if(M > 2)\n" K, 1, "expected 'when(condition)'");
    wrong("#pragma kda variant a when(M > 2\n" K, 1, "expected 'when(condition)'");
    wrong("#pragma kda variant a when(M > 2) grid\n" K, 1, "unexpected 'grid'");
    wrong("#pragma kda variant a when(Q)\n" K, 1, "unknown name 'Q' in when(...)");
    wrong("#pragma kda variant a\n" K "#pragma kda variant b\n" K, 3, "always holds");
    wrong("#pragma kda variant a when(M)\n" K "#pragma kda variant a\n" K, 3,
          "a variant 'a' already, at line 1");
    wrong("#pragma kda variant a when(M)\n#pragma kda variant b\n" K, 1, "has no launch");
    wrong("#pragma kda variant a when(M > 10)\n" K, 0,
          "no variant holds; add a last '#pragma kda variant any' without when(...): for row "
          "'small'");
    wrong("#pragma kda variant a when(M > 4)\n#pragma kda define A = N\n" K
          "#pragma kda variant b\n#pragma kda launch k(x) grid(A) block(1)\n",
          5, "belongs to another variant");
    wrong("#pragma kda variant a when(1 / (M - 3))\n" K "#pragma kda variant b\n" K, 1,
          "has no value");
}

static void test_wrong_launches(void **state)
{
    (void)state;
    wrong("#pragma kda launch\n", 1, "expected the name of a __global__ function");
    wrong("#pragma kda launch k grid(1) block(1)\n", 1, "expected '(arguments)'");
    wrong("#pragma kda launch k(x grid(1) block(1\n", 1, "never closed");
    wrong("#pragma kda launch k<1(x) grid(1) block(1)\n", 1, "not closed by '>'");
    wrong("#pragma kda launch k<\"a\">(x) grid(1) block(1)\n", 1, "not closed by '>'");
    wrong("#pragma kda launch k<1)>(x) grid(1) block(1)\n", 1, "not closed by '>'");
    wrong("#pragma kda launch k<<<1, 2>>>(x)\n", 1, "'<<<' is not used here");
    wrong("#pragma kda launch a::(x) grid(1) block(1)\n", 1, "expected the name of a __global__");
    wrong("#pragma kda launch k(x, , y) grid(1) block(1)\n", 1, "argument 2 is empty");
    wrong("#pragma kda launch k(x,) grid(1) block(1)\n", 1, "argument 2 is empty");
    wrong("#pragma kda launch k(xx) grid(1) block(1)\n", 1, "did you mean 'x'?");
    wrong("#pragma kda launch k(output) grid(1) block(1)\n", 1, "known here: x w y M N eps");
    wrong("#pragma kda launch k(x + 1) grid(1) block(1)\n", 1, "'x' is a buffer");
    wrong("#pragma kda launch k(x) block(1)\n", 1, "grid(...) is missing");
    wrong("#pragma kda launch k(x) grid(1)\n", 1, "block(...) is missing");
    wrong("#pragma kda launch k(x) grid() block(1)\n", 1, "one to three expressions, found 0");
    wrong("#pragma kda launch k(x) grid(1,2,3,4) block(1)\n", 1, "found 4");
    wrong("#pragma kda launch k(x) grid(1,,3) block(1)\n", 1, "expression 2 of grid(...) is empty");
    wrong("#pragma kda launch k(x) grid(1) grid(1) block(1)\n", 1, "twice");
    wrong("#pragma kda launch k(x) grid(1) block(1) cooperative cooperative\n", 1, "twice");
    wrong("#pragma kda launch k(x) grid(1) block(1) smem(1, 2)\n", 1, "one expression, found 2");
    wrong("#pragma kda launch k(x) grid(1) block(1) smem 4\n", 1,
          "expected '(' and ')' after 'smem'");
    wrong("#pragma kda launch k(x) grid(1) blok(1)\n", 1, "did you mean 'block'?");
    wrong("#pragma kda launch k(x) grid(1) block(1) ; k2\n", 1, "unexpected '; k2'");
    wrong("#pragma kda launch k(x) grid(M - 3) block(1)\n", 1,
          "is outside 1..2147483647: for row 'small'");
    wrong("#pragma kda launch k(x) grid(1, 70000) block(1)\n", 1, "grid.y '70000' = 70000");
    wrong("#pragma kda launch k(x) grid(1.5) block(1)\n", 1, "1.5");
    wrong("#pragma kda launch k(x) grid(3) block(1) cluster(2)\n", 1,
          "not a multiple of cluster.x");
    wrong("#pragma kda launch k(x) grid(1) block(1) smem(-4)\n", 1, "negative");
    wrong("#pragma kda launch k(x, 1 / (M - 3)) grid(1) block(1)\n", 1, "division by zero");
    wrong_as("#pragma kda launch k(x) grid(1) block(2000)\n", KDS_VERDICT_LIMITS_EXCEEDED, 1,
             "outside 1..1024");
    wrong_as("#pragma kda launch k(x) grid(1) block(64, 32)\n", KDS_VERDICT_LIMITS_EXCEEDED, 1,
             "more than 1024 threads");
    wrong_as("#pragma kda launch k(x) grid(8,8) block(1) cluster(4,4)\n",
             KDS_VERDICT_LIMITS_EXCEEDED, 1, "more than 8 blocks");
    wrong_as("#pragma kda launch k(x) grid(1) block(1) smem(300000)\n", KDS_VERDICT_LIMITS_EXCEEDED,
             1, "227 KiB");
}

/* The line `times` times, with '@' replaced by a running number. */
static void repeat(kds_buf *b, int times, const char *line)
{
    const char *at = strchr(line, '@');
    for (int i = 0; i < times; i++)
        kds_buf_printf(b, "%.*s%d%s", (int)(at - line), line, i, at + 1);
}

static void test_too_many(void **state)
{
    (void)state;
    static const struct {
        int times;
        const char *line, *words;
    } cases[] = {
        {17, "#pragma kda variant v@ when(M == 0)\n" K, "more than 16 variants"},
        {33, "#pragma kda launch k@(x) grid(1) block(1)\n", "more than 32 launches"},
        {17, "#pragma kda scratch s@ : f32[4]\n", "more than 16 scratch"},
        {33, "#pragma kda define D@ = 1\n", "more than 32 defines"},
        {300, "#pragma kda define D@ = 1\n", "256"},
        {17, "#pragma kda tune T@ = 1\n", "16"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kds_buf b;
        kds_finding f;
        kds_buf_init(&b, 1 << 20);
        repeat(&b, cases[i].times, cases[i].line);
        assert_null(parse_child(b.data, NULL, &f));
        assert_int_equal(f.verdict, KDS_VERDICT_PLAN_INVALID);
        if (!strstr(f.text, cases[i].words))
            fail_msg("%s: %s", cases[i].words, f.text);
        kds_buf_free(&b);
    }
    kds_buf b;
    kds_finding f;
    kds_buf_init(&b, 10000);
    kds_buf_puts(&b, "#pragma kda launch k(x");
    for (int i = 0; i < KDS_PLAN_ARGS; i++)
        kds_buf_puts(&b, ", 1");
    kds_buf_puts(&b, ") grid(1) block(1)");
    assert_null(parse_child(b.data, NULL, &f));
    assert_non_null(strstr(f.text, "more than 32 arguments"));
    kds_buf_free(&b);
}

/* A row that no one may see is not told about either. */
static void test_held_out_numbers_stay_hidden(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "#pragma kda launch k(x) grid(M == 5 ? 0 - N : 1) block(1)\n",
        "#pragma kda launch k(x, 1 / (M - 5)) grid(1) block(1)\n",
        "#pragma kda variant a when(M != 5)\n" K,
    };
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        kds_finding f;
        assert_null(parse_child(sources[i], NULL, &f));
        assert_non_null(strstr(f.text, "held-out row"));
        assert_null(strstr(f.text, "secret"));
        assert_null(strstr(f.text, "96"));
        assert_null(strstr(f.text, "M=5"));
    }
}

/* More rows than compilations: every row wants its own value. */
static void test_too_many_compilations(void **state)
{
    (void)state;
    kds_task many = w.task;
    kds_row *rows = calloc(20, sizeof *rows);
    for (int i = 0; i < 20; i++) {
        rows[i] = w.rows[0];
        rows[i].dims[0].value = kds_value_int(i + 1);
        rows[i].scope.entries = rows[i].dims;
    }
    many.rows = rows;
    many.row_count = 20;
    kds_plan *p = NULL;
    kds_finding f;
    static const char each[] = "#pragma kda define ROWS = M\n" K;
    assert_int_equal(kds_plan_parse(&p, &many, each, strlen(each), NULL, &f, NULL), KDS_OK);
    assert_null(p);
    assert_non_null(strstr(f.text, "more than 16 compilations"));
    static const char few[] = "#pragma kda define ROWS = M % 4\n" K;
    assert_int_equal(kds_plan_parse(&p, &many, few, strlen(few), NULL, &f, NULL), KDS_OK);
    assert_int_equal(kds_plan_group_count(p), 4);
    kds_plan_free(p);
    free(rows);
}

static void check_source(const kds_task *t, const char *name, const char *source)
{
    kds_plan *p = NULL;
    kds_finding f;
    kds_err e;
    if (kds_plan_parse(&p, t, source, strlen(source), NULL, &f, &e) != KDS_OK)
        fail_msg("%s: %s", name, e.message);
    if (!p)
        fail_msg("%s, %s, line %d: %s", t->name, name, f.line, f.text);
    kds_plan_free(p);
}

static void test_real_tasks(void **state)
{
    (void)state;
    static const char *const names[] = {"rms_norm", "rotary_embedding"};
    for (int i = 0; i < 2; i++) {
        char dir[500];
        kds_task *t = NULL;
        kds_err e;
        snprintf(dir, sizeof dir, "%s/kernels/%s", KDS_SOURCE_DIR, names[i]);
        if (kds_task_load(&t, dir, &e) != KDS_OK)
            fail_msg("%s", e.message);
        check_source(t, "baseline", t->baseline);
        if (t->reference)
            check_source(t, "reference", t->reference);
        for (int s = 0; s < t->seed_count; s++)
            check_source(t, t->seeds[s].name, t->seeds[s].source);
        kds_task_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_launch),
        cmocka_unit_test(test_everything_at_once),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_double_defines),
        cmocka_unit_test(test_kernel_spelling),
        cmocka_unit_test(test_inheritance),
        cmocka_unit_test(test_wrong_lines),
        cmocka_unit_test(test_wrong_values),
        cmocka_unit_test(test_wrong_variants),
        cmocka_unit_test(test_wrong_launches),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_held_out_numbers_stay_hidden),
        cmocka_unit_test(test_too_many_compilations),
        cmocka_unit_test(test_real_tasks),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
