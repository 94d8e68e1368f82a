/* The lint: what passes, what is refused and in which words, and that tricks of spelling do not
 * help. */
#include "eval/lint.h"
#include "search/base/buf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ENTRY "\n__global__ void k(float *x) { x[0] = 1; }\n"

static kds_finding lint_bytes(const char *source, size_t len)
{
    kds_finding f;
    kds_err e;
    if (kds_lint_source(source, len, &f, &e) != KDS_OK)
        fail_msg("%s", e.message);
    return f;
}

static void good(const char *source)
{
    kds_finding f = lint_bytes(source, strlen(source));
    if (f.verdict != KDS_VERDICT_OK)
        fail_msg("%s\n  line %d: %s", source, f.line, f.text);
}

static void bad(const char *source, int line, const char *words)
{
    kds_finding f = lint_bytes(source, strlen(source));
    if (f.verdict != KDS_VERDICT_SOURCE_REJECTED || f.line != line || !strstr(f.text, words))
        fail_msg("%s\n  got %s, line %d: %s\n  wanted line %d: %s", source,
                 kds_verdict_name(f.verdict), f.line, f.text, line, words);
    assert_string_equal(f.stage, "lint");
}

static void test_good_sources(void **state)
{
    (void)state;
    good(ENTRY);
    good("#include <cuda_bf16.h>\n#include \"cooperative_groups.h\"\n#include "
         "<cuda/std/cstdint>" ENTRY);
    good("# include /* why */ <mma.h> // fragments" ENTRY);
    good("#inc\\\nlude <cuda_fp16.h>" ENTRY);
    good("#define KERNEL __global__\nKERNEL void k() {}");
    good("// #include \"/etc/passwd\", main(), __DATE__ and <<< in a comment" ENTRY);
    good("/*\n#include </etc/passwd>\n*/" ENTRY);
    good("#if 0\nthis doesn't parse\n#endif" ENTRY);
    good("#ifdef X\n#elif defined(Y)\n#else\n#undef X\n#error no\n#endif\n#\n#pragma unroll" ENTRY);
    good("__device__ void f() { asm volatile(\"mov.u32 %0, %1;\" : : ); }" ENTRY);
    good("__device__ int domain(int main_) { return main_ << 2 >> 1; }" ENTRY);
    good("__device__ const char *s = \"a #include <x> in a string\";" ENTRY);
    good("#define N 4\r\n__global__ void k() {}\r\n");
}

static void test_includes(void **state)
{
    (void)state;
    bad("#include \"/etc/passwd\"" ENTRY, 1, "is a path");
    bad("#include <../secret.h>" ENTRY, 1, "is a path");
    bad("\n\n#include <cuda_bf61.h>" ENTRY, 3, "did you mean 'cuda_bf16.h'?");
    bad("#include <torch/extension.h>" ENTRY, 1, "'torch/extension.h' is not allowed");
    bad("#include HEADER" ENTRY, 1, "a macro is not allowed");
    bad("#include" ENTRY, 1, "a macro is not allowed");
    bad("#include <cuda_bf16.h" ENTRY, 1, "no readable header name");
    bad("#include <>" ENTRY, 1, "no readable header name");
    bad("#include <cuda_bf16.h> \"x\"" ENTRY, 1, "text after #include");
    bad("#include_next <cuda_bf16.h>" ENTRY, 1, "#include_next is not allowed");
    bad("#import <cuda_bf16.h>" ENTRY, 1, "#import is not allowed");
    bad("#embed \"/etc/passwd\"" ENTRY, 1, "may not read files");
    bad("#line 7 \"x\"" ENTRY, 1, "#line is not allowed");
    bad("# 33 \"x.h\"" ENTRY, 1, "unknown directive '#33'");
    bad("#inclde <mma.h>" ENTRY, 1, "unknown directive '#inclde'");
}

/* The same include in every spelling that a compiler would still follow. */
static void test_hidden_includes(void **state)
{
    (void)state;
    bad("#inc\\\nlude \"/etc/passwd\"" ENTRY, 1, "is a path");
    bad("#/* */include/**/\"/etc/passwd\"" ENTRY, 1, "is a path");
    bad("/* x */ #include \"/etc/passwd\"" ENTRY, 1, "is a path");
    bad("/* x\n */ #include \"/etc/passwd\"" ENTRY, 2, "is a path");
    bad("%:include \"/etc/passwd\"" ENTRY, 1, "digraph");
    bad("?\?=include \"/etc/passwd\"" ENTRY, 1, "trigraph");
    bad("// ?\?/\n#include \"/etc/passwd\"" ENTRY, 1, "trigraph");
    bad("#define A \\ \n#include \"/etc/passwd\"" ENTRY, 1, "white space after a backslash");
    bad("#if 0\n\"\n#endif\n#include \"/etc/passwd\"\n#if 0\n\"\n#endif" ENTRY, 4, "is a path");
    bad("#if 0\nR\"(\n#endif\n#include \"/etc/passwd\"\n)\"\n#endif" ENTRY, 2, "raw string");
    bad("const char *s = R\"(a\n # include <x>)\";" ENTRY, 1, "raw string");
    bad("#include <mma.h>\x0b" ENTRY, 1, "control character 0x0B");
}

static void test_words(void **state)
{
    (void)state;
    bad("#if __has_include(<x>)\n#endif" ENTRY, 1, "'__has_include' is not allowed");
    bad("\n#define HAS __has_embed" ENTRY, 2, "'__has_embed'");
    bad("const char *t = __TIME__;" ENTRY, 1, "could not be replayed");
    bad("const char *t = __DA\\\nTE__;" ENTRY, 1, "'__DATE__'");
    bad("const char *t = __FILE__;" ENTRY, 1, "'__FILE__'");
    bad("void f() { asm(\".include \\\"x\\\"\"); }" ENTRY, 1, "'.include'");
    bad("#define S \".include\"" ENTRY, 1, "'.include'");
    bad("void f() { cudaMalloc(0, 4); }" ENTRY, 1, "host code");
    bad("\nint main() { return 0; }" ENTRY, 2, "'main' is host code");
    bad("int main /* x */ () { return 0; }" ENTRY, 1, "'main' is host code");
    bad("void f() { k<<<1, 2>>>(0); }" ENTRY, 1, "#pragma kda launch");
    bad("__device__ void f() {}\n", 0, "no __global__ function");
    bad("// __global__ only here\n", 0, "no __global__ function");
    bad("int a = # 3;" ENTRY, 1, "a stray '#'");
    bad("int a %: 3;" ENTRY, 1, "digraph");
}

static void test_broken_text(void **state)
{
    (void)state;
    bad("", 0, "empty");
    bad("__global__ void k() {}\n/* never", 2, "never ends");
    bad("__global__ void k() {}\nconst char *s = R\"(x", 2, "never ends");
    bad("__global__ void k() {}\n\xff", 0, "UTF-8");
    bad("__global__ void k() {}\n// \xe2\x80\xae x", 2, "bidirectional");
    bad("__global__ void k() {}\n// \x1b[31m", 2, "0x1B");
    kds_finding f = lint_bytes("__global__ void k() {}\n\0\n", 25);
    assert_int_equal(f.verdict, KDS_VERDICT_SOURCE_REJECTED);
    assert_int_equal(f.line, 2);
    char *big = malloc(KDS_SOURCE_CAP + 1);
    memset(big, ' ', KDS_SOURCE_CAP + 1);
    memcpy(big, ENTRY, strlen(ENTRY));
    assert_int_equal(lint_bytes(big, KDS_SOURCE_CAP).verdict, KDS_VERDICT_OK);
    assert_non_null(strstr(lint_bytes(big, KDS_SOURCE_CAP + 1).text, "at most 262144"));
    free(big);
}

/* Text made to be slow must not be: a quadratic scan of these would take minutes. */
static void test_hostile_sizes(void **state)
{
    (void)state;
    static const char *const units[] = {"/*", "\\ ",  "#", "R\"(", "\"",
                                        "'",  "\\\n", "<", "??",   "/"};
    char *big = malloc(KDS_SOURCE_CAP + 1);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t n = strlen(units[i]);
        for (int in_directive = 0; in_directive < 2; in_directive++) {
            size_t at = 0;
            if (in_directive) {
                at = 11;
                memcpy(big, "#define A \"", at);
            }
            for (; at + n <= KDS_SOURCE_CAP; at += n)
                memcpy(big + at, units[i], n);
            lint_bytes(big, KDS_SOURCE_CAP);
        }
    }
    free(big);
}

static void test_identity(void **state)
{
    (void)state;
    static const char a[] = "__global__ void k( ) { }  // one\n", b[] = "__global__ void k() {}\n",
                      c[] = "__global__ void kk() {}\n";
    assert_true(kds_id_equal(kds_lint_norm_id(a, strlen(a)), kds_lint_norm_id(b, strlen(b))));
    assert_false(kds_id_equal(kds_lint_norm_id(b, strlen(b)), kds_lint_norm_id(c, strlen(c))));
}

static void test_header_list(void **state)
{
    (void)state;
    for (const char *const *h = kds_lint_headers(); *h; h++) {
        char source[200];
        snprintf(source, sizeof source, "#include <%s>" ENTRY, *h);
        good(source);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_sources),    cmocka_unit_test(test_includes),
        cmocka_unit_test(test_hidden_includes), cmocka_unit_test(test_words),
        cmocka_unit_test(test_broken_text),     cmocka_unit_test(test_hostile_sizes),
        cmocka_unit_test(test_identity),        cmocka_unit_test(test_header_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
