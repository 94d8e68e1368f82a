/* Reading a kernel's signature: every way of writing one, what its body does with buffers, what no
 * task can have, and text that is meant to confuse. */
#include "search/engine/kernel_signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static kds_signature *read_ok(const char *source, const char *wanted)
{
    static kds_signature s;
    kds_err e = {0};
    if (kds_signature_read(&s, source, strlen(source), wanted, &e) != KDS_OK)
        fail_msg("%s: %s", source, e.message);
    return &s;
}

static void refused(const char *source, const char *words)
{
    kds_signature s;
    kds_err e = {0};
    assert_int_equal(kds_signature_read(&s, source, strlen(source), NULL, &e), KDS_INVALID);
    if (!strstr(e.message, words))
        fail_msg("no '%s' in: %s", words, e.message);
}

static void check(const kds_signature *s, int i, const char *name, kds_param_kind kind,
                  kds_dtype dtype)
{
    assert_true(i < s->param_count);
    assert_string_equal(s->params[i].name, name);
    assert_int_equal(s->params[i].kind, kind);
    assert_int_equal(s->params[i].dtype, dtype);
}

static void test_plain(void **state)
{
    (void)state;
    kds_signature *s = read_ok("#include <cuda_bf16.h>\n"
                               "__device__ float helper(float *q) { return *q; }\n"
                               "extern \"C\" __global__ void __launch_bounds__(192, 2) f(\n"
                               "    const __nv_bfloat16* __restrict__ x, float const *w,\n"
                               "    float *__restrict__ y, unsigned char flags[], int M,\n"
                               "    unsigned long long N, const float eps)\n"
                               "{ y[0] = x[0]; }\n"
                               "__global__ void g(int n) {}\n",
                               NULL);
    assert_string_equal(s->name, "f");
    assert_int_equal(s->line, 3);
    assert_int_equal(s->max_threads, 192);
    assert_int_equal(s->param_count, 7);
    check(s, 0, "x", KDS_PARAM_BUFFER, KDS_DTYPE_BF16);
    check(s, 1, "w", KDS_PARAM_BUFFER, KDS_DTYPE_F32);
    check(s, 2, "y", KDS_PARAM_BUFFER, KDS_DTYPE_F32);
    check(s, 3, "flags", KDS_PARAM_BUFFER, KDS_DTYPE_U8);
    check(s, 4, "M", KDS_PARAM_INTEGER, KDS_DTYPE_I32);
    check(s, 5, "N", KDS_PARAM_INTEGER, KDS_DTYPE_I64);
    check(s, 6, "eps", KDS_PARAM_REAL, KDS_DTYPE_F32);
    assert_true(s->params[0].is_const && s->params[1].is_const && !s->params[2].is_const);
    assert_int_equal(s->other_count, 1);
    assert_string_equal(s->others[0], "g");
    s = read_ok("__global__ void f(int n) {}\n__global__ void g(double *p) {}\n", "g");
    assert_string_equal(s->name, "g");
    check(s, 0, "p", KDS_PARAM_BUFFER, KDS_DTYPE_F64);
}

static void test_templates_and_namespaces(void **state)
{
    (void)state;
    kds_signature *s = read_ok(
        "namespace a { namespace { int q; } namespace b {\n"
        "template <typename T, int VEC = 4, class A = thing<T, 2>, bool FAST>\n"
        "__global__ __attribute__((noinline)) void f(const T *x, const int4 *v, T alpha, long n)\n"
        "{ if (n < 1) return; } } }\n",
        NULL);
    assert_string_equal(s->name, "a::b::f");
    assert_int_equal(s->template_count, 4);
    assert_string_equal(s->templates[0].name, "T");
    assert_true(s->templates[0].is_type && !s->templates[1].is_type);
    assert_string_equal(s->templates[1].name, "VEC");
    assert_string_equal(s->templates[2].name, "A");
    assert_string_equal(s->templates[3].name, "FAST");
    check(s, 0, "x", KDS_PARAM_BUFFER, KDS_DTYPE_F32);
    assert_false(s->params[0].known);
    check(s, 1, "v", KDS_PARAM_BUFFER, KDS_DTYPE_I32);
    assert_int_equal(s->params[1].width, 4);
    check(s, 2, "alpha", KDS_PARAM_REAL, KDS_DTYPE_F32);
    check(s, 3, "n", KDS_PARAM_INTEGER, KDS_DTYPE_I64);
    s = read_ok("template <int A> struct s { static const int v = A; };\n"
                "__global__ void h(float *y) { y[0] = s<2>::v; }\n",
                NULL);
    assert_int_equal(s->template_count, 0);
}

static void test_uses(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool read, written, escapes;
    } uses[] = {
        {"", false, false, false},
        {"y[i] = 1;", false, true, false},
        {"y[i + z[2]].x = 1;", false, true, false},
        {"y[i] += 1;", true, true, false},
        {"y[i]++;", true, true, false},
        {"++y[i];", true, true, false},
        {"float a = y[i];", true, false, false},
        {"y[i] = y[i] * 2;", true, true, false},
        {"*y = 1;", false, true, false},
        {"a = 2 * y[0];", true, false, false},
        {"atomicAdd(&y[i], 1.0f);", true, true, false},
        {"g(&y[i]);", false, false, true},
        {"float4 *p = reinterpret_cast<float4 *>(y);", false, false, true},
        {"*(y + i) = 1;", false, false, true},
        {"// y[i] = 1\n/* y */ const char *c = \"y[0] = 1\";", false, false, false},
        {"q.y[0] = 1; q->y[0] = 1;", false, false, false},
        {"if (y[i] == 1) return;", true, false, false},
    };
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        char source[300];
        snprintf(source, sizeof source, "__global__ void f(float *y, int i) { %s }", uses[i].body);
        const kds_param *p = &read_ok(source, NULL)->params[0];
        if (p->read != uses[i].read || p->written != uses[i].written ||
            p->escapes != uses[i].escapes)
            fail_msg("%s: read %d, written %d, escapes %d", uses[i].body, p->read, p->written,
                     p->escapes);
    }
}

static void test_refused(void **state)
{
    (void)state;
    refused("", "no __global__ function");
    refused("// __global__ void f(int n) {}\n", "no __global__ function");
    refused("const char *s = \"__global__ void f(int n) {}\";", "no __global__ function");
    refused("#define K __global__ void f(int n) {}\n", "no __global__ function");
    refused("__global__ void f(int n);", "no __global__ function");
    refused("__global__ void f() {}", "no parameters");
    refused("__global__ void f(void) {}", "no parameters");
    refused("struct p { int a; };\n__global__ void f(p q) {}",
            "line 2: the parameter at 'q' is passed by value");
    refused("__global__ void f(float4 v) {}", "is passed by value");
    refused("__global__ void f(float **p) {}", "is a pointer to pointers");
    refused("__global__ void f(const float &x) {}", "is a reference");
    refused("template <class... T> __global__ void f(T... x) {}", "is a reference or a pack");
    refused("__global__ void f(int) {}", "has no name");
    refused("__global__ void f(const float *) {}", "has no name");
    refused("__global__ void f(int a, float a) {}", "has the name of another one");
}

/* Broken and hostile text ends, and ends fast. */
static void test_hostile(void **state)
{
    (void)state;
    static const char *const pieces[] = {"__global__ ",
                                         "__global__ f(",
                                         "__global__ void f(int a) {",
                                         "template <",
                                         "template <template <",
                                         "((((",
                                         "__global__ void f(float *x) { x[",
                                         "namespace a {",
                                         "<<<<",
                                         "[[",
                                         "/*",
                                         "R\"(",
                                         "\\\n",
                                         "}"};
    for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
        size_t one = strlen(pieces[k]), count = 250000 / one;
        char *source = malloc(count * one + 1);
        assert_non_null(source);
        for (size_t i = 0; i < count; i++)
            memcpy(source + i * one, pieces[k], one);
        source[count * one] = '\0';
        kds_signature s;
        kds_err e = {0};
        assert_int_equal(kds_signature_read(&s, source, count * one, NULL, &e), KDS_INVALID);
        free(source);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),   cmocka_unit_test(test_templates_and_namespaces),
        cmocka_unit_test(test_uses),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests_name("kernel_signature", tests, NULL, NULL);
}
