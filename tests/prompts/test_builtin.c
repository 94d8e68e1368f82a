/* The built-in proposer: its sweeps reach every point once, its crossover takes what differs, and
 * each rewrite makes exactly the texts that it should from small sources and leaves alone what it
 * must not touch. */
#include "prompts/builtin.h"
#include "prompts/rewrite.h"
#include "search/base/file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- What was proposed so far, by normal form. */
typedef struct memory {
    kds_id ids[8192];
    int count;
    bool all; /* answer that everything is known */
} memory;

static bool recall(void *user, kds_id norm)
{
    const memory *m = user;
    for (int i = 0; i < m->count; i++) {
        if (kds_id_equal(m->ids[i], norm))
            return true;
    }
    return m->all;
}

static void remember(memory *m, const char *text, size_t len)
{
    kds_buf norm;
    kds_buf_init(&norm, 2 * KDS_SOURCE_CAP);
    kds_lex_normalize(&norm, text, len);
    assert_true(m->count < 8192);
    m->ids[m->count++] = kds_id_of(norm.data, norm.len);
    kds_buf_free(&norm);
}

static kds_ask ask_for(const char *operator_name, const char *parent, const char *other)
{
    kds_ask ask = {.operator_name = operator_name};
    ask.parent.source = parent;
    ask.parent.source_len = strlen(parent);
    ask.other.source = other;
    ask.other.source_len = other ? strlen(other) : 0;
    return ask;
}

/* Proposes with stream `seed`; the child's text (owned by the caller), or NULL if none was made. */
static char *propose(const kds_ask *ask, uint64_t seed, memory *m, char hypothesis[400])
{
    kds_random random = kds_random_stream(seed, 3, "child");
    kds_buf source, words;
    kds_err e;
    bool made = false;
    kds_buf_init(&source, KDS_SOURCE_CAP);
    kds_buf_init(&words, 4096);
    if (kds_builtin_propose(ask, &random, m ? recall : NULL, m, &source, &words, &made, &e))
        fail_msg("%s", e.message);
    assert_true(made == (source.len > 0) && made == (words.len > 0));
    assert_null(strchr(words.data, '\n'));
    if (hypothesis)
        snprintf(hypothesis, 400, "%s", words.data);
    char *text = made ? kds_buf_take(&source) : NULL;
    kds_buf_free(&source);
    kds_buf_free(&words);
    return text;
}

/* ---- tune */
static const char tuned[] = "#pragma kda tune V = 8, 2, 4 // widths\n#pragma kda tune ONE = 1\n"
                            "#pragma kda tune W = 16, 4\nint x; // V = 3\n";

static void test_tune_reaches_every_point_once(void **state)
{
    (void)state;
    kds_ask ask = ask_for("tune", tuned, NULL);
    memory *m = calloc(1, sizeof *m);
    bool seen[3][2] = {{false}};
    char *child, hypothesis[400];
    for (uint64_t seed = 0; (child = propose(&ask, seed, m, hypothesis)); seed++) {
        kds_tunable u[KDS_TUNABLES];
        int count;
        assert_int_equal(kds_tunables_find(u, &count, child, strlen(child), NULL), KDS_OK);
        assert_int_equal(count, 3);
        int v = u[0].values[0] == 2 ? 0 : u[0].values[0] == 4 ? 1 : 2;
        int w = u[2].values[0] == 16;
        assert_false(seen[v][w]); /* no point twice */
        seen[v][w] = true;
        assert_non_null(strstr(hypothesis, "->"));
        assert_non_null(strstr(child, " // widths\n#pragma kda tune ONE = 1\n"));
        assert_non_null(strstr(child, "\nint x; // V = 3\n"));
        remember(m, child, strlen(child));
        free(child);
    }
    assert_int_equal(m->count, 5); /* 3 x 1 x 2 without the parent's own */
    assert_false(seen[2][1]);
    free(m);
}

static void test_tune_writes_a_point_in_one_way(void **state)
{
    (void)state;
    /* the same point from two parents in which it was reached differently */
    kds_ask a = ask_for("tune", "#pragma kda tune V = 8, 2, /* c */ 4\n", NULL);
    kds_ask b = ask_for("tune", "#pragma kda tune V = 2, 8, 4\n", NULL);
    char *wanted = NULL;
    for (uint64_t seed = 0; seed < 40; seed++) {
        char *x = propose(seed % 2 ? &a : &b, seed, NULL, NULL);
        if (strstr(x, "V = 4")) {
            assert_string_equal(x, "#pragma kda tune V = 4, 2, 8\n");
            wanted = x;
        }
        free(x);
    }
    assert_non_null(wanted);
}

static void test_tune_prefers_neighbours(void **state)
{
    (void)state;
    kds_ask ask = ask_for("tune", "#pragma kda tune V = 8, 1, 2, 4, 16, 32, 64, 128\n", NULL);
    int near = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        char *x = propose(&ask, seed, NULL, NULL);
        near += strstr(x, "V = 4,") || strstr(x, "V = 16,");
        free(x);
    }
    assert_true(near > 140 && near < 200);
}

static void test_tune_without_anything_to_turn(void **state)
{
    (void)state;
    const char *const sources[] = {"int x;", "#pragma kda tune A = 4\n",
                                   "#pragma kda tune A = 4, 4\n", "#pragma kda tune A = x\n"};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        kds_ask ask = ask_for("tune", sources[i], NULL);
        assert_null(propose(&ask, 1, NULL, NULL));
    }
    /* a huge space in which everything is known is given up */
    char wide[4096] = "";
    memory *m = calloc(1, sizeof *m);
    m->all = true;
    for (int i = 0; i < 12; i++)
        snprintf(wide + strlen(wide), 128,
                 "#pragma kda tune T%d = 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16\n", i);
    kds_ask ask = ask_for("tune", wide, NULL);
    assert_null(propose(&ask, 1, m, NULL));
    free(m);
}

/* ---- crossover */
static void test_crossover(void **state)
{
    (void)state;
    const char *parent = "#pragma kda tune A = 1, 2\n#pragma kda tune B = 4, 8\n"
                         "#pragma kda tune C = 3, 5\nint parent;\n";
    const char *other = "#pragma kda tune B = 16, 4\n#pragma kda tune A = 2, 1\n"
                        "#pragma kda tune C = 3, 7\n#pragma kda tune D = 9, 1\nint other;\n";
    kds_ask ask = ask_for("crossover", parent, other);
    memory *m = calloc(1, sizeof *m);
    char *child, hypothesis[400];
    bool only_a = false, only_b = false, both = false;
    for (uint64_t seed = 0; (child = propose(&ask, seed, m, hypothesis)); seed++) {
        bool a = strstr(child, "A = 2, 1\n"), b = strstr(child, "B = 16, 4, 8\n");
        only_a = only_a || (a && !b && strstr(child, "B = 4, 8\n"));
        only_b = only_b || (b && !a && strstr(child, "A = 1, 2\n"));
        both = both || (a && b);
        assert_non_null(strstr(child, "C = 3, 5\nint parent;\n"));
        assert_non_null(strstr(hypothesis, "as in the other parent"));
        remember(m, child, strlen(child));
        free(child);
    }
    assert_true(only_a && only_b && both);
    assert_int_equal(m->count, 3);
    const char *const fruitless[] = {NULL, "int x;", "#pragma kda tune A = 1, 9\n", parent};
    for (size_t i = 0; i < 4; i++) {
        ask = ask_for("crossover", parent, fruitless[i]);
        assert_null(propose(&ask, 1, NULL, NULL));
    }
    /* no room for one more value */
    ask = ask_for("crossover", "#pragma kda tune A = 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16\n",
                  "#pragma kda tune A = 99\n");
    assert_null(propose(&ask, 1, NULL, NULL));
    free(m);
}

/* ---- rewrites */
typedef struct outcomes {
    char *texts[64];
    int count;
} outcomes;

static const kds_rewrite *rewrite_named(const char *name)
{
    const kds_rewrite *w = kds_rewrites;
    while (w->name && strcmp(w->name, name) != 0)
        w++;
    assert_non_null(w->name);
    return w;
}

/* All texts that a rewrite makes of `source` over many streams. */
static void collect(outcomes *o, const char *name, const char *source)
{
    kds_rewriter r;
    o->count = 0;
    assert_int_equal(kds_rewriter_init(&r, source, strlen(source), NULL), KDS_OK);
    for (uint64_t seed = 0; seed < 300; seed++) {
        kds_random random = kds_random_stream(seed, 1, name);
        kds_buf out, words;
        bool made, known = false;
        kds_buf_init(&out, KDS_SOURCE_CAP);
        kds_buf_init(&words, 4096);
        assert_int_equal(
            kds_rewriter_apply(&r, rewrite_named(name), &random, &out, &words, &made, NULL),
            KDS_OK);
        for (int i = 0; i < o->count && made; i++)
            known = known || strcmp(o->texts[i], out.data) == 0;
        if (made && !known) {
            assert_true(o->count < 64 && words.len > 0);
            o->texts[o->count++] = kds_buf_take(&out);
        }
        kds_buf_free(&out);
        kds_buf_free(&words);
    }
    kds_rewriter_free(&r);
}

/* The rewrite makes these texts of `source` and no others; the list ends with NULL. */
static void makes(const char *name, const char *source, ...)
{
    outcomes o;
    va_list ap;
    int wanted = 0;
    collect(&o, name, source);
    va_start(ap, source);
    for (const char *text; (text = va_arg(ap, const char *)); wanted++) {
        bool found = false;
        for (int i = 0; i < o.count; i++)
            found = found || strcmp(o.texts[i], text) == 0;
        if (!found)
            fail_msg("%s does not make\n%s\nbut e.g.\n%s", name, text, o.count ? o.texts[0] : "");
    }
    va_end(ap);
    if (o.count != wanted) {
        for (int i = 0; i < o.count; i++)
            print_message("%s\n", o.texts[i]);
        fail_msg("%s makes %d texts, not %d", name, o.count, wanted);
    }
    for (int i = 0; i < o.count; i++)
        free(o.texts[i]);
}

static void test_block_size(void **state)
{
    (void)state;
#define KERNEL(bounds, use)                                                                        \
    "__global__ void " bounds "k(float *y) { int i = " use ".x; y[i] = 128; }\n"
    makes("block_size",
          "#pragma kda launch k(y) grid(ceil_div(N, 128)) block(128)\n" KERNEL("", "blockDim"),
          "#pragma kda launch k(y) grid(ceil_div(N, 256)) block(256)\n" KERNEL("", "blockDim"),
          "#pragma kda launch k(y) grid(ceil_div(N, 64)) block(64)\n" KERNEL("", "blockDim"), NULL);
    makes("block_size",
          "#pragma kda launch k(y) grid(1) \\\n block( 1024 )\n" KERNEL("__launch_bounds__(1024) ",
                                                                        "blockDim"),
          "#pragma kda launch k(y) grid(1) \\\n block( 512 )\n" KERNEL("__launch_bounds__(512) ",
                                                                       "blockDim"),
          NULL);
    makes("block_size", "#pragma kda launch k(y) grid(1) block(32)\n" KERNEL("", "blockDim"),
          "#pragma kda launch k(y) grid(1) block(64)\n" KERNEL("", "blockDim"), NULL);
    /* the mapping is fixed in the kernel, or the block is no single literal, or it is a comment */
    makes("block_size", "#pragma kda launch k(y) grid(1) block(128)\n" KERNEL("", "threadIdx"),
          NULL);
    makes("block_size", "#pragma kda launch k(y) grid(1) block(W)\n" KERNEL("", "blockDim"), NULL);
    makes("block_size", "#pragma kda launch k(y) grid(1) block(32, 4)\n" KERNEL("", "blockDim"),
          NULL);
    makes("block_size", "#pragma kda launch k(y) grid(1) block(16)\n" KERNEL("", "blockDim"), NULL);
    makes("block_size", "// #pragma kda launch k(y) grid(1) block(64)\n" KERNEL("", "blockDim"),
          NULL);
    makes("block_size", "#pragma kda launch other(y) grid(1) block(64)\n" KERNEL("", "blockDim"),
          NULL);
    makes("block_size", "#pragma kda launch k(y) grid(1)\n" KERNEL("", "blockDim"), NULL);
#undef KERNEL
}

static void test_launch_bounds(void **state)
{
    (void)state;
    makes("launch_bounds", "__global__ void __launch_bounds__(128, 2) k() {}",
          "__global__ void __launch_bounds__(128) k() {}",
          "__global__ void __launch_bounds__(128, 1) k() {}",
          "__global__ void __launch_bounds__(128, 4) k() {}",
          "__global__ void __launch_bounds__(128, 8) k() {}", NULL);
    makes("launch_bounds", "__global__ void __launch_bounds__(32 * (W)) k() {}",
          "__global__ void __launch_bounds__(32 * (W), 1) k() {}",
          "__global__ void __launch_bounds__(32 * (W), 2) k() {}",
          "__global__ void __launch_bounds__(32 * (W), 4) k() {}",
          "__global__ void __launch_bounds__(32 * (W), 8) k() {}", NULL);
#define HEAD "#pragma kda tune W = 4\n#pragma kda launch k<W>() grid(1) block(32 * W)\n"
    makes("launch_bounds", HEAD "template <int N> __global__ void k() {}",
          HEAD "template <int N> __global__ __launch_bounds__(32 * W) void k() {}",
          HEAD "template <int N> __global__ __launch_bounds__(32 * W, 1) void k() {}",
          HEAD "template <int N> __global__ __launch_bounds__(32 * W, 2) void k() {}",
          HEAD "template <int N> __global__ __launch_bounds__(32 * W, 4) void k() {}",
          HEAD "template <int N> __global__ __launch_bounds__(32 * W, 8) void k() {}", NULL);
#undef HEAD
    /* the block is not known when it is compiled, or differs between launches */
    makes("launch_bounds", "#pragma kda launch k() grid(1) block(M)\n__global__ void k() {}", NULL);
    makes("launch_bounds",
          "#pragma kda launch k() grid(1) block(32)\n#pragma kda launch k() grid(1) block(64)\n"
          "__global__ void k() {}",
          NULL);
    makes("launch_bounds", "__global__ void k();", NULL);
    makes("launch_bounds", "__global__ void __launch_bounds__(1, 2, 3) k() {}", NULL);
    makes("launch_bounds", "__global__ void k(int", NULL);
}

static void test_unroll(void **state)
{
    (void)state;
    makes("unroll", "{\n    for (;;) ;\n}", "{\n#pragma unroll\n    for (;;) ;\n}",
          "{\n#pragma unroll 1\n    for (;;) ;\n}", "{\n#pragma unroll 2\n    for (;;) ;\n}",
          "{\n#pragma unroll 4\n    for (;;) ;\n}", "{\n#pragma unroll 8\n    for (;;) ;\n}", NULL);
    makes("unroll", "{\n  #pragma unroll 4 // c\n  for (;;) ;\n}", "{\n  for (;;) ;\n}",
          "{\n  #pragma unroll\n  for (;;) ;\n}", "{\n  #pragma unroll 1\n  for (;;) ;\n}",
          "{\n  #pragma unroll 2\n  for (;;) ;\n}", "{\n  #pragma unroll 8\n  for (;;) ;\n}", NULL);
    makes("unroll", "if (x) for (;;) ;", "if (x) \n#pragma unroll\nfor (;;) ;",
          "if (x) \n#pragma unroll 1\nfor (;;) ;", "if (x) \n#pragma unroll 2\nfor (;;) ;",
          "if (x) \n#pragma unroll 4\nfor (;;) ;", "if (x) \n#pragma unroll 8\nfor (;;) ;", NULL);
    makes("unroll", "// for (;;)\n\"for (;;)\"; x = for_each;", NULL);
    makes("unroll", "#define LOOP for (;;)\n", NULL);
    outcomes o;
    collect(&o, "unroll", "{\n#pragma unroll (2)\nfor (;;) ;\n#pragma unroll N\nfor (;;) ;\n}");
    assert_int_equal(o.count, 5 + 6); /* the factor N is none of the choices */
    while (o.count > 0)
        free(o.texts[--o.count]);
}

static void test_restrict(void **state)
{
    (void)state;
    makes("restrict",
          "__global__ void k(const float *x, unsigned int * y, int n, float *const z) {}",
          "__global__ void k(const float *__restrict__ x, unsigned int * __restrict__ y, int n, "
          "float *const __restrict__ z) {}",
          NULL);
    makes("restrict", "__global__ void k(const float *__restrict__ x, float **y, float &z) {}",
          NULL);
    makes("restrict", "__device__ void k(float *x) {}", NULL);
    makes("restrict", "__global__ void a(float *x) {}\n__global__ void b(int *p) {}",
          "__global__ void a(float *__restrict__ x) {}\n__global__ void b(int *p) {}",
          "__global__ void a(float *x) {}\n__global__ void b(int *__restrict__ p) {}", NULL);
}

static void test_load_hint(void **state)
{
    (void)state;
    makes("load_hint", "__global__ void k(const float *x, float *y) { y[0] = x[i + 1] * x[2]; }",
          "__global__ void k(const float *x, float *y) { y[0] = __ldg(&x[i + 1]) * x[2]; }",
          "__global__ void k(const float *x, float *y) { y[0] = __ldcs(&x[i + 1]) * x[2]; }",
          "__global__ void k(const float *x, float *y) { y[0] = __ldcg(&x[i + 1]) * x[2]; }",
          "__global__ void k(const float *x, float *y) { y[0] = x[i + 1] * __ldg(&x[2]); }",
          "__global__ void k(const float *x, float *y) { y[0] = x[i + 1] * __ldcs(&x[2]); }",
          "__global__ void k(const float *x, float *y) { y[0] = x[i + 1] * __ldcg(&x[2]); }",
          "__global__ void k(const float *x, float *y) { y[0] = __ldg(&x[i + 1]) * __ldg(&x[2]); }",
          "__global__ void k(const float *x, float *y) { y[0] = __ldcs(&x[i + 1]) * __ldcs(&x[2]); "
          "}",
          "__global__ void k(const float *x, float *y) { y[0] = __ldcg(&x[i + 1]) * __ldcg(&x[2]); "
          "}",
          NULL);
#define IN(load) "using V = uint4;\n__global__ void k(const half *x) { V v = " load "; }"
    makes("load_hint", IN("*reinterpret_cast<const V *>(x + 8 * i)"),
          IN("__ldg(reinterpret_cast<const V *>(x + 8 * i))"),
          IN("__ldcs(reinterpret_cast<const V *>(x + 8 * i))"),
          IN("__ldcg(reinterpret_cast<const V *>(x + 8 * i))"), NULL);
    makes("load_hint", IN("reinterpret_cast<const V *>(x)[i]"),
          IN("__ldg(&reinterpret_cast<const V *>(x)[i])"),
          IN("__ldcs(&reinterpret_cast<const V *>(x)[i])"),
          IN("__ldcg(&reinterpret_cast<const V *>(x)[i])"), NULL);
#undef IN
#define IN(load)                                                                                   \
    "__global__ void k(const half *x) { const uint4 *in = reinterpret_cast<const uint4 *>(x) + 1;" \
    " uint4 v = " load "; }"
    makes("load_hint", IN("in[j]"), IN("__ldg(&in[j])"), IN("__ldcs(&in[j])"), IN("__ldcg(&in[j])"),
          NULL);
#undef IN
    /* not const, not global, an address, a write, an unknown type, another function */
    const char *const none[] = {
        "__global__ void k(float *x) { float v = x[0]; }",
        "__global__ void k(const float *x) { float w[4]; const float *p = &w[0]; float v = p[1]; }",
        "__global__ void k(const float *x) { float v = *(&x[1]); f(&x[2]); }",
        "__global__ void k(const Strange *x) { Strange v = x[0]; }",
        "__global__ void k(const float *x) { }\n__device__ void f(const float *x) { g(x[0]); }",
        "__global__ void k(const float *x) { s.x[0]; p->x[1]; /* x[2] */ \"x[3]\"; }",
        "__global__ void k(const float *x) { float v = __ldg(&x[0]); }",
        "__global__ void k(const float *x) { float v = a * *reinterpret_cast<const V *>(x); }",
        "__global__ void k(const uint4 *x) { auto v = *reinterpret_cast<const uint4 *>(&local); }",
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        makes("load_hint", none[i], NULL);
}

static void test_store_hint(void **state)
{
    (void)state;
#define IN(store) "__global__ void k(float *y) { if (a) " store "; }"
    makes("store_hint", IN("y[i + 1] = f(a, b) * c"), IN("__stcs(&y[i + 1], f(a, b) * c)"),
          IN("__stcg(&y[i + 1], f(a, b) * c)"), NULL);
    makes("store_hint", IN("*reinterpret_cast<float4 *>(y + i) = v"),
          IN("__stcs(reinterpret_cast<float4 *>(y + i), v)"),
          IN("__stcg(reinterpret_cast<float4 *>(y + i), v)"), NULL);
    makes("store_hint", IN("reinterpret_cast<float4 *>(y)[i] = v"),
          IN("__stcs(&reinterpret_cast<float4 *>(y)[i], v)"),
          IN("__stcg(&reinterpret_cast<float4 *>(y)[i], v)"), NULL);
    makes("store_hint", IN("y[i] += v"), NULL);
    makes("store_hint", IN("y[i] = z = v"), NULL);
    makes("store_hint", IN("y[i] = v, w = 1"), NULL);
    makes("store_hint", IN("y[i] = {}"), NULL);
    makes("store_hint", IN("y[i].x = 1"), NULL);
    makes("store_hint", IN("w = y[i]"), NULL);
    makes("store_hint", IN("local[i] = 1"), NULL);
    makes("store_hint", "__global__ void k(float *y) { y[i] = 1", NULL);
#undef IN
}

static void test_cache_hint(void **state)
{
    (void)state;
    makes("cache_hint", "v = __ldg(x + i);", "v = __ldcs(x + i);", "v = __ldcg(x + i);",
          "v = __ldca(x + i);", "v = (*(x + i));", NULL);
    makes("cache_hint", "{ __stcs(&y[f(a, b)], v + 1); }", "{ __stcg(&y[f(a, b)], v + 1); }",
          "{ *(&y[f(a, b)]) = v + 1; }", NULL);
    makes("cache_hint", "x = g(__stcs(p, v));", "x = g(__stcg(p, v));", NULL);
    makes("cache_hint", "// __ldg(x)\n#define L __ldg(x)\n\"__ldg(x)\"", NULL);
}

static void test_extend_tunable(void **state)
{
    (void)state;
    makes("extend_tunable", "#pragma kda tune V = 4, 8\n", "#pragma kda tune V = 2, 4, 8\n",
          "#pragma kda tune V = 16, 4, 8\n", NULL);
    makes("extend_tunable", "#pragma kda \\\n tune V=1, 3\n", "#pragma kda \\\n tune V=2, 1, 3\n",
          NULL);
    makes("extend_tunable", "#pragma kda tune V = 1024\n", "#pragma kda tune V = 512, 1024\n",
          NULL);
    makes("extend_tunable", "#pragma kda tune HINT = 0, 1, 2\n", NULL); /* a switch */
    makes("extend_tunable", "#pragma kda tune V = 3, 5\n", NULL);
    makes("extend_tunable", "#pragma kda tune V = 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,20\n", NULL);
    makes("extend_tunable", "// #pragma kda tune V = 4\n", NULL);
}

static void test_small_edits(void **state)
{
    (void)state;
    makes("intrinsic", "a = expf(x) + s.expf(y); // expf(z)",
          "a = __expf(x) + s.expf(y); // expf(z)", NULL);
    makes("intrinsic", "a = __logf(x);", "a = logf(x);", NULL);
    makes("intrinsic", "a = expf; b = exp(x);", NULL);
    makes("rsqrt", "a = 1.0f / sqrtf(x + y) * z;", "a = rsqrtf(x + y) * z;", NULL);
    makes("rsqrt", "a = b * rsqrtf(x + f(y));", "a = b * (1.0f / sqrtf(x + f(y)));", NULL);
    makes("rsqrt", "a = b / 1.0f / sqrtf(x); c = 2.0f / sqrtf(x); rsqrtf(", NULL);
#define LONG                                                                                       \
    "{ x = a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7] + a[8] + a[9] + a[10] + "         \
    "a[11] + a[12] + a[13]; }"
    makes("inline", "__device__ __forceinline__ void f() " LONG,
          "__device__ __noinline__ void f() " LONG, NULL);
    makes("inline", "__noinline__ __device__ void f() {}", "__forceinline__ __device__ void f() {}",
          NULL);
    makes("inline", "__device__ __forceinline__ void f() {}", NULL); /* too small for a call */
    makes("inline", "__device__ __forceinline__ void f();", NULL);
    makes("inline", "__forceinline__ void f() " LONG, NULL);
#undef LONG
    makes("constant", "constexpr int TILE = 8; float a[2 * TILE];",
          "constexpr int TILE = 16; float a[2 * TILE];",
          "constexpr int TILE = 4; float a[2 * TILE];", NULL);
    makes("constant", "constexpr int T = 1; float a[T];", "constexpr int T = 2; float a[T];", NULL);
    makes("constant", "constexpr int TILE = 8; x = TILE;", NULL);
    makes("constant", "constexpr int tile = 8; float a[tile];", NULL);
    makes("constant", "constexpr int TILE = 8 * 2; float a[TILE];", NULL);
    makes("constant", "constexpr float TILE = 8; float a[TILE];", NULL);
    makes("constant", "constexpr int TILE = 0x8; float a[TILE];", NULL);
}

static void test_catalogue_is_described(void **state)
{
    (void)state;
    int n = 0;
    for (; kds_builtin_rewrite_name(n); n++) {
        assert_non_null(kds_builtin_rewrite_text(n));
        for (int i = 0; i < n; i++)
            assert_string_not_equal(kds_builtin_rewrite_name(i), kds_builtin_rewrite_name(n));
    }
    assert_true(n >= 10);
    assert_null(kds_builtin_rewrite_text(n));
    assert_null(kds_builtin_rewrite_name(-1));
}

/* ---- the rewrite operator on the sources of the tasks */
static void check_child(const char *parent, const char *child)
{
    kds_pragmas before, after;
    kds_lexer x;
    assert_string_not_equal(parent, child);
    kds_lexer_init(&x, child, strlen(child));
    while (kds_lexer_next(&x).kind != KDS_TOKEN_END)
        ;
    assert_false(x.unterminated);
    assert_int_equal(kds_pragmas_find(&before, parent, strlen(parent), NULL), KDS_OK);
    assert_int_equal(kds_pragmas_find(&after, child, strlen(child), NULL), KDS_OK);
    assert_int_equal(before.count, after.count);
    kds_pragmas_free(&before);
    kds_pragmas_free(&after);
}

static void test_rewrites_of_real_kernels(void **state)
{
    (void)state;
    const char *const paths[] = {"rms_norm/baseline/kernel.cu", "rms_norm/seeds/lanes.cu",
                                 "rotary_embedding/baseline/kernel.cu",
                                 "rotary_embedding/seeds/token.cu"};
    for (size_t p = 0; p < sizeof paths / sizeof *paths; p++) {
        char path[1024];
        kds_buf source;
        kds_err e;
        kds_buf_init(&source, KDS_SOURCE_CAP);
        snprintf(path, sizeof path, "%s/kernels/%s", KDS_SOURCE_DIR, paths[p]);
        if (kds_file_read(path, &source, &e))
            fail_msg("%s", e.message);
        kds_ask ask = ask_for("rewrite", source.data, NULL);
        memory *m = calloc(1, sizeof *m);
        int made = 0;
        for (uint64_t seed = 0; seed < 30; seed++) {
            char first[400], second[400];
            char *child = propose(&ask, seed, m, first);
            char *again = propose(&ask, seed, m, second);
            if (!child)
                break;
            assert_string_equal(child, again); /* a pure function of its arguments */
            assert_string_equal(first, second);
            check_child(source.data, child);
            remember(m, child, strlen(child));
            made++;
            free(child);
            free(again);
        }
        assert_true(made >= 25);
        free(m);
        kds_buf_free(&source);
    }
}

static void test_rewrite_gives_up(void **state)
{
    (void)state;
    memory *m = calloc(1, sizeof *m);
    kds_ask ask = ask_for("rewrite", "int x;", NULL);
    assert_null(propose(&ask, 1, NULL, NULL));
    ask = ask_for("rewrite", "", NULL);
    assert_null(propose(&ask, 1, NULL, NULL));
    m->all = true;
    ask = ask_for("rewrite", "void f() { for (;;) ; a = expf(b); }", NULL);
    assert_null(propose(&ask, 1, m, NULL));
    m->all = false;
    char *child, hypothesis[400];
    for (uint64_t seed = 0; (child = propose(&ask, seed, m, hypothesis)); seed++) {
        assert_true(strncmp(hypothesis, "unroll: ", 8) == 0 ||
                    strncmp(hypothesis, "intrinsic: ", 11) == 0);
        remember(m, child, strlen(child));
        free(child);
    }
    assert_int_equal(m->count, 6); /* five ways to unroll, one intrinsic */
    free(m);
}

static void test_hostile_sources(void **state)
{
    (void)state;
    const char *const sources[] = {
        "__global__",
        "__global__ (",
        "__global__ void k(",
        "__global__ void k() {",
        "__global__ void __launch_bounds__( k() {}",
        "#pragma kda launch",
        "#pragma kda launch k(",
        "#pragma kda launch k() grid( block(32",
        "#pragma unroll",
        "for",
        "constexpr int",
        "__ldg(",
        "__stcs(,",
        "rsqrtf((",
        "1.0f / sqrtf(",
        "expf(",
        "__device__ __noinline__",
        "#pragma kda tune",
        "#pragma kda tune V = 4 8",
        "/* ",
        "R\"(",
        "\"",
        "__global__ void k(const float *x) { x[",
        "__global__ void k(float *y) { y[0] =",
        "__global__ void k(const float *x) { = *reinterpret_cast<const float *>(x",
        ") ] } ( [ {",
        "typedef V; using"};
    const char *const operators[] = {"rewrite", "tune", "crossover"};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        for (uint64_t seed = 0; seed < 12; seed++) {
            kds_ask ask = ask_for(operators[seed % 3], sources[i], sources[(i + seed) % 20]);
            free(propose(&ask, seed, NULL, NULL));
        }
    }
}

static void test_wrong_use(void **state)
{
    (void)state;
    kds_random random = kds_random_stream(1, 1, "child");
    kds_buf source, words;
    kds_err e;
    bool made = true;
    kds_buf_init(&source, 8);
    kds_buf_init(&words, 400);
    kds_ask ask = ask_for("mutate", "int x;", NULL);
    assert_int_equal(kds_builtin_propose(&ask, &random, NULL, NULL, &source, &words, &made, &e),
                     KDS_USAGE);
    assert_non_null(strstr(e.message, "'mutate'"));
    ask = ask_for("tune", "", NULL);
    ask.parent.source = NULL;
    assert_int_equal(kds_builtin_propose(&ask, &random, NULL, NULL, &source, &words, &made, &e),
                     KDS_TOO_LARGE);
    ask = ask_for("tune", "#pragma kda tune V = 4, 8\n", NULL);
    assert_int_equal(kds_builtin_propose(&ask, &random, NULL, NULL, &source, &words, &made, &e),
                     KDS_TOO_LARGE); /* the caller's buffer */
    assert_true(made);
    kds_buf_free(&source);
    kds_buf_free(&words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tune_reaches_every_point_once),
        cmocka_unit_test(test_tune_writes_a_point_in_one_way),
        cmocka_unit_test(test_tune_prefers_neighbours),
        cmocka_unit_test(test_tune_without_anything_to_turn),
        cmocka_unit_test(test_crossover),
        cmocka_unit_test(test_block_size),
        cmocka_unit_test(test_launch_bounds),
        cmocka_unit_test(test_unroll),
        cmocka_unit_test(test_restrict),
        cmocka_unit_test(test_load_hint),
        cmocka_unit_test(test_store_hint),
        cmocka_unit_test(test_cache_hint),
        cmocka_unit_test(test_extend_tunable),
        cmocka_unit_test(test_small_edits),
        cmocka_unit_test(test_catalogue_is_described),
        cmocka_unit_test(test_rewrites_of_real_kernels),
        cmocka_unit_test(test_rewrite_gives_up),
        cmocka_unit_test(test_hostile_sources),
        cmocka_unit_test(test_wrong_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
