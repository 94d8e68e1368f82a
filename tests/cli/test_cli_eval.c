/* `eval` and `lint`: every way in which a kernel or a task can be wrong gets its verdict and a
 * message that helps, and the command stays whole. On the small task y = a * x. */
#include "tests/cli/cli_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAUNCH "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 128)) block(128)\n"
#define HEAD                                                                                       \
    LAUNCH "__global__ void f(const float *x, float *y, int n, float a)\n{\n"                      \
           "    int i = blockIdx.x * 128 + threadIdx.x;\n"
#define TAIL "}\n"
#define GOOD HEAD "    if (i < n)\n        y[i] = a * x[i];\n" TAIL

static const char *task(void)
{
    return cli_source("tests/tasks/scale");
}

static cJSON *eval(const char *source)
{
    cli_write("k.cu", source, strlen(source));
    return JSON("eval", task(), "k.cu", "--compile-timeout", "20s");
}

typedef struct wrong_kernel {
    const char *what, *verdict, *words, *source;
} wrong_kernel;

static const wrong_kernel kernels[] = {
    {"good", "ok", "", GOOD},
    {"empty", "source_rejected", "", ""},
    {"no kernel", "source_rejected", "__global__", "int f(int x) { return x; }\n"},
    {"a file of this machine", "source_rejected", "/etc/passwd", "#include \"/etc/passwd\"\n" GOOD},
    {"a header that is not allowed", "source_rejected", "vector", "#include <vector>\n" GOOD},
    {"a hidden include", "source_rejected", "", "#inc\\\nlude </etc/passwd>\n" GOOD},
    {"unknown buffer", "plan_invalid", "z",
     "#pragma kda launch f(x, z, n, a) grid(1) block(128)\n__global__ void f(const float *x, float "
     "*y, int n, float a) "
     "{}\n"},
    {"unknown keyword", "plan_invalid", "lunch", "#pragma kda lunch f(x) grid(1) block(1)\n" GOOD},
    {"bad expression", "plan_invalid", "",
     "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, )) block(128)\n__global__ void f() {}\n"},
    {"division by zero", "plan_invalid", "division by zero",
     "#pragma kda launch f(x, y, n, a) grid(n / (n - n)) block(128)\n__global__ void f() {}\n"},
    {"too many threads", "limits_exceeded", "1024",
     "#pragma kda launch f(x, y, n, a) grid(1) block(4096)\n__global__ void f() {}\n"},
    {"wrong argument count", "plan_invalid", "",
     "#pragma kda launch f(x, y) grid(ceil_div(n, 128)) block(128)\n__global__ void f(const float "
     "*x, float *y, int n, "
     "float a) {}\n"},
    {"does not compile", "compile_failed", "kernel.cu", HEAD "    y[i] = undeclared;\n" TAIL},
    {"an error without end", "compile_failed", "",
     HEAD "    #error one\n    #error two\n    y[i] = 1\n" TAIL},
    {"the wrong name", "compile_failed", "",
     "#pragma kda launch g(x, y, n, a) grid(1) block(128)\n__global__ void f() {}\n"},
    {"no plan of its own", "compile_failed", "no #pragma kda launch",
     "__global__ void other(const float *x, float *y, int n, float a) { y[0] = a * x[n - 1]; }\n"},
    {"too much shared memory", "limits_exceeded", "",
     HEAD "    __shared__ float s[20000];\n    s[threadIdx.x] = x[0];\n    __syncthreads();\n"
          "    if (i < n)\n        y[i] = a * x[i] + 0 * s[(i * 7) % 20000];\n" TAIL},
    {"writes past the end", "wrote_outside", "y", HEAD "    y[i] = a * x[i < n ? i : 0];\n" TAIL},
    {"reads past the end", "unsafe", "x",
     HEAD "    float v = *(volatile const float *)(x + i);\n    if (i < n)\n        y[i] = a * "
          "v;\n" TAIL},
    {"misaligned", "unsafe", "",
     HEAD "    if (i < n) {\n        y[i] = a * x[i];\n        if (i == 1 && n > 8)\n            "
          "*(float4 *)(y + 1) = "
          "*(const float4 *)(x + 1);\n    }\n" TAIL},
    {"writes its input", "changed_input", "x",
     HEAD "    if (i < n) {\n        y[i] = a * x[i];\n        "
          "((float *)x)[i] = 0;\n    }\n" TAIL},
    {"never writes one element", "wrong", "never written",
     HEAD "    if (i < n && i != 3)\n        y[i] = a * x[i];\n" TAIL},
    {"wrong sign", "wrong", "", HEAD "    if (i < n)\n        y[i] = -a * x[i];\n" TAIL},
    {"not a number", "wrong", "",
     HEAD "    if (i < n)\n        y[i] = i == 5 ? 0.0f / 0.0f * a : a * x[i];\n" TAIL},
    {"loops for ever", "timeout", "",
     HEAD "    while (a != 12345.0f)\n        __threadfence();\n    y[i] = 0;\n" TAIL},
    {"traps", "launch_failed", "",
     HEAD "    if (i == 2)\n        __trap();\n    if (i < n)\n        y[i] = a * x[i];\n" TAIL},
    {"right only on the rows it was shown", "wrong", "held-out",
     HEAD "    if (i < n)\n        y[i] = n == 777 ? 0.0f : a * x[i];\n" TAIL},
    {"wrong only on the large row", "wrong", "",
     HEAD "    if (i < n)\n        y[i] = n > 1000000 ? 1.0f : a * x[i];\n" TAIL},
    {"prints without end", "ok", "",
     HEAD
     "    if (i < n) {\n        printf(\"%d\\n\", i);\n        y[i] = a * x[i];\n    }\n" TAIL},
};

static void test_every_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        cJSON *report = eval(kernels[i].source);
        const char *verdict = kds_json_str(report, "verdict", "");
        const char *message = kds_json_str(report, "message", "");
        bool printing = strcmp(kernels[i].what, "prints without end") == 0 &&
                        strcmp(verdict, "not_simulated") == 0;
        if (strcmp(verdict, kernels[i].verdict) != 0 && !printing)
            fail_msg("%s: %s, expected %s (%s)", kernels[i].what, verdict, kernels[i].verdict,
                     message);
        const char *log = kds_json_str(report, "log", "");
        if (!strstr(message, kernels[i].words) && !strstr(log, kernels[i].words))
            fail_msg("%s: '%s' does not say '%s'", kernels[i].what, message, kernels[i].words);
        if (strcmp(verdict, "ok") != 0 && strlen(message) < 10)
            fail_msg("%s: '%s' helps nobody", kernels[i].what, message);
        cJSON_Delete(report);
    }
}

/* A good kernel's report has everything that the command promises. */
static void test_report_is_complete(void **state)
{
    (void)state;
    cJSON *report = eval(GOOD);
    int production = 0, quick = 0, held_out = 0;
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, kds_json_at(report, "rows"))
    {
        const char *set = kds_json_str(row, "set", "");
        production += strcmp(set, "production") == 0;
        quick += strcmp(set, "quick") == 0;
        held_out += strcmp(set, "held_out") == 0;
        if (strcmp(set, "production") == 0) {
            assert_true(kds_json_num(row, "time_us", 0) > 0 &&
                        kds_json_num(row, "baseline_us", 0) > 0);
            assert_true(kds_json_bool(row, "modelled", false));
        }
    }
    assert_int_equal(production, 2);
    assert_true(quick >= 2 && held_out >= 2);
    assert_true(cJSON_GetArraySize(kds_json_at(report, "counters")) > 10);
    assert_true(kds_json_num(kds_json_at(report, "facts"), "registers", 0) > 0);
    assert_int_equal(strlen(kds_json_str(kds_json_at(report, "descriptor"), "cell", "")), 16);
    assert_true(cJSON_GetArraySize(kds_json_at(kds_json_at(report, "compile"), "kernels")) >= 1);
    cJSON_Delete(report);
    cli_result text = CLI("eval", task(), "k.cu");
    assert_non_null(strstr(text.out, "(modelled)"));
    assert_non_null(strstr(text.out, "registers"));
    cli_free(&text);
}

/* A source above the cap, one that is not text, one that is not there. */
static void test_hostile_files(void **state)
{
    (void)state;
    size_t len = 300 << 10;
    char *large = malloc(len + 1);
    assert_non_null(large);
    memset(large, ' ', len);
    cli_write("large.cu", large, len);
    cJSON *too_large = JSON("eval", task(), "large.cu");
    assert_string_equal(kds_json_str(too_large, "verdict", ""), "source_rejected");
    assert_non_null(strstr(kds_json_str(too_large, "message", ""), "at most 262144"));
    cJSON_Delete(too_large);
    free(large);
    cli_write("binary.cu", "\xff\xfe\x00\x01__global__", 14);
    cJSON *report = JSON("eval", task(), "binary.cu");
    assert_string_equal(kds_json_str(report, "verdict", ""), "source_rejected");
    cJSON_Delete(report);
    REFUSES(1, "nothing-here.cu", "eval", task(), "nothing-here.cu");
    REFUSES(2, "no-such-device", "eval", task(), "k.cu", "--device", "no-such-device");
}

/* A template that never stops instantiating ends at the deadline. */
static void test_endless_compilation(void **state)
{
    (void)state;
    static const char source[] =
        "template <int A, int B> struct s { static constexpr int v = s<A - 1, 2 * B>::v + s<A - 1, "
        "2 * B + 1>::v; };\n"
        "template <int B> struct s<0, B> { static constexpr int v = 1; };\n" LAUNCH
        "__global__ void f(const float *x, float *y, int n, float a) { y[0] = s<26, 1>::v; }\n";
    cli_write("endless.cu", source, strlen(source));
    cJSON *report = JSON("eval", task(), "endless.cu", "--compile-timeout", "4s");
    const char *verdict = kds_json_str(report, "verdict", "");
    assert_true(strcmp(verdict, "compile_timeout") == 0 || strcmp(verdict, "compile_failed") == 0);
    cJSON_Delete(report);
}

static void test_lint(void **state)
{
    (void)state;
    cJSON *report = JSON("lint", task());
    assert_int_equal(kds_json_int(report, "errors", -1), 0);
    const cJSON *kernel = NULL;
    int kernels_ok = 0;
    cJSON_ArrayForEach(kernel, kds_json_at(report, "kernels")) kernels_ok +=
        strcmp(kds_json_str(kernel, "verdict", ""), "ok") == 0;
    assert_int_equal(kernels_ok, 3);
    cJSON_Delete(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_verdict), cmocka_unit_test(test_report_is_complete),
        cmocka_unit_test(test_hostile_files), cmocka_unit_test(test_endless_compilation),
        cmocka_unit_test(test_lint),
    };
    return cmocka_run_group_tests(tests, cli_set_up, cli_tear_down);
}
