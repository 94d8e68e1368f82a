/* Each rewrite of the catalogue makes exactly the texts that it should from small sources and
 * leaves alone what it must not touch. */
#include "prompts/rewrite.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block_size),  cmocka_unit_test(test_launch_bounds),
        cmocka_unit_test(test_unroll),      cmocka_unit_test(test_restrict),
        cmocka_unit_test(test_load_hint),   cmocka_unit_test(test_store_hint),
        cmocka_unit_test(test_cache_hint),  cmocka_unit_test(test_extend_tunable),
        cmocka_unit_test(test_small_edits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
