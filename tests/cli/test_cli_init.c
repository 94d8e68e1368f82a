/* `init`: a scaffold loads and says what to confirm, nothing is overwritten, hostile input makes no
 * folder; rows map or the reason is named; the finished example is proven and can be searched. */
#include "tests/cli/cli_test.h"

#include "search/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define EXAMPLE "examples/your-own-task"

static void put(const char *name, const char *text)
{
    cli_write(name, text, strlen(text));
}

static bool holds(const char *file, const char *text)
{
    char *content = cli_read(cli_path(file), NULL);
    assert_non_null(content);
    bool found = strstr(content, text) != NULL;
    free(content);
    return found;
}

static const cJSON *param(const cJSON *report, int i)
{
    return cJSON_GetArrayItem(kds_json_at(report, "params"), i);
}

static void test_example_scaffold(void **state)
{
    (void)state;
    cJSON *report = JSON("init", "adamw", "--from", cli_source(EXAMPLE "/adamw.cu"), "--rows",
                         cli_source(EXAMPLE "/rows.json"));
    assert_string_equal(kds_json_str(report, "kernel", ""), "adamw_step");
    assert_string_equal(kds_json_str(param(report, 0), "taken_as", ""), "inout, f32");
    assert_string_equal(kds_json_str(param(report, 3), "taken_as", ""), "in, f32");
    assert_string_equal(kds_json_str(param(report, 4), "taken_as", ""), "size, i64");
    assert_string_equal(kds_json_str(param(report, 5), "taken_as", ""), "value, f32");
    assert_int_equal(cJSON_GetArraySize(kds_json_at(report, "rows")), 4);
    const cJSON *skipped = kds_json_at(report, "skipped");
    assert_int_equal(cJSON_GetArraySize(skipped), 1);
    assert_string_equal(kds_json_str(cJSON_GetArrayItem(skipped, 0), "why", ""),
                        "'param' is bf16 there and f32 here");
    cJSON_Delete(report);
    assert_true(holds("adamw/task.json", "// confirm the role: read and written"));
    assert_true(holds("adamw/task.json", "// confirm every shape"));
    assert_true(holds("adamw/baseline/kernel.cu", "// Confirm the launch"));
    assert_true(holds("adamw/baseline/kernel.cu", "grid(ceil_div(n, 256)) block(256)"));
    assert_true(holds("adamw/bench/workloads.json", "\"n\":38597376"));
    assert_true(holds("adamw/prompt.md", "Confirm"));
    /* the scaffold is a task whose kernel runs: what is wrong is what the README says */
    cli_result r = CLI("lint", "adamw", "--quick");
    assert_int_equal(r.status, 3);
    assert_non_null(strstr(r.out, "elements of 'param' are not finite on plain inputs"));
    assert_non_null(strstr(r.out, "0 mutations: at least 6"));
    cli_free(&r);
}

static void test_nothing_is_overwritten(void **state)
{
    (void)state;
    put("k.cu", "__global__ void k(const float *x, float *y, int n) { y[0] = x[n - 1]; }\n");
    assert_int_equal(mkdir(cli_path("full"), 0777), 0);
    put("full/mine.txt", "precious");
    REFUSES(2, "full is not empty; nothing was written", "init", "full", "--from", "k.cu");
    assert_true(holds("full/mine.txt", "precious"));
    assert_false(kds_path_exists(cli_path("full/task.json")));
    put("file", "precious");
    REFUSES(2, "file is a file", "init", "file", "--from", "k.cu");
    assert_true(holds("file", "precious"));
    assert_int_equal(mkdir(cli_path("empty"), 0777), 0);
    EXPECT(0, "init", "empty", "--from", "k.cu");
    REFUSES(2, "is not empty", "init", "empty", "--from", "k.cu");
    REFUSES(2, "needs --from KERNEL.cu", "init", "other");
    REFUSES(1, "missing.cu", "init", "other", "--from", "missing.cu");
    assert_false(kds_path_exists(cli_path("other")));
}

static void test_wrong_sources_leave_nothing(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"int main() { return 0; }\n", "no __global__ function"},
        {"// __global__ void k(float *y)\n", "no __global__ function"},
        {"__global__ void k(const float *x, int n) {}\n", "a task needs an output"},
        {"struct p { int a; };\n__global__ void k(p q, float *y) {}\n", "wrong.cu: line 2"},
        {"__global__ void k(float *y, int min) { y[0] = 1; }\n",
         "what was guessed from 'k' is no task"},
        {"__global__ void k(float **y) {}\n", "pointer to pointers"},
        {"__global__ void k(", "no __global__ function"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put("wrong.cu", wrong[i][0]);
        cli_result r = CLI("init", "gone", "--from", "wrong.cu");
        assert_int_equal(r.status, 3);
        if (!strstr(r.err, wrong[i][1]))
            fail_msg("no '%s' in: %s", wrong[i][1], r.err);
        assert_false(kds_path_exists(cli_path("gone")));
        cli_free(&r);
    }
}

/* A template in a namespace, shapes of two dims, weights, a stride, and a type that is not known.
 */
static void test_guesses(void **state)
{
    (void)state;
    put("t.cu", "#include <cuda_fp16.h>\n"
                "namespace mine {\n"
                "template <typename T, int VEC>\n"
                "__global__ void __launch_bounds__(128) norm(const T *x, const half *weight,\n"
                "    const int *index, half2 *y, int M, int N, long long row_stride, float eps)\n"
                "{ half2 *out = y + blockIdx.x; out[0] = half2(); }\n"
                "}\n"
                "__global__ void second(int *p) { p[0] = 1; }\n");
    cJSON *report = JSON("init", "T-1.norm", "--from", "t.cu");
    assert_string_equal(kds_json_str(report, "kernel", ""), "mine::norm");
    assert_string_equal(kds_json_str(param(report, 0), "taken_as", ""), "in, f32 (a guess)");
    assert_string_equal(kds_json_str(param(report, 3), "taken_as", ""), "out, f16");
    assert_non_null(strstr(kds_json_str(param(report, 3), "confirm", ""), "inout"));
    assert_string_equal(kds_json_str(param(report, 6), "taken_as", ""), "value, i64");
    cJSON_Delete(report);
    assert_true(holds("T-1.norm/task.json", "\"name\": \"t_1_norm\""));
    assert_true(holds("T-1.norm/task.json", "\"name\": \"weight\", \"role\": \"in\", \"dtype\": "
                                            "\"f16\", \"shape\": [\"N\"]"));
    assert_true(holds("T-1.norm/task.json", "confirm the dtype: the type of 'x'"));
    assert_true(holds("T-1.norm/task.json", "the kernel takes it 2 elements at a time"));
    assert_true(holds("T-1.norm/baseline/kernel.cu",
                      "#pragma kda launch mine::norm<float, 4>(x, weight, index, y, M, N, "
                      "row_stride, eps) grid(ceil_div(M * N, 128)) block(128)"));
    EXPECT(0, "init", "second", "--from", "t.cu", "--kernel", "second");
    assert_true(holds("second/task.json", "\"dims\": [\"n\"]"));
    REFUSES(3, "there is no kernel 'third'; the first one is 'norm'", "init", "third", "--from",
            "t.cu", "--kernel", "third");
}

static void test_rows(void **state)
{
    (void)state;
    const char *task = cli_source("kernels/rms_norm");
    put("rows.json", "{\"tasks\": {\"norm\": {\"rows\": [\n"
                     "  {\"name\": \"a b\", \"x_shape\": [2, 3, 128], \"dtype\": \"bfloat16\", "
                     "\"eps\": 1e-5, \"preset\": \"p\", \"seed\": 7},\n"
                     "  {\"name\": \"a b\", \"shapes\": {\"x\": {\"shape\": [9, 64], \"dtype\": "
                     "\"bf16\"}, \"w\": {\"shape\": [64]}}, \"eps\": 1e-6},\n"
                     "  {\"name\": \"no_eps\", \"x_shape\": [2, 128]},\n"
                     "  {\"name\": \"other_type\", \"x_shape\": [2, 128], \"dtype\": \"fp16\", "
                     "\"eps\": 1},\n"
                     "  {\"name\": \"clash\", \"x_shape\": [2, 128], \"w\": [64], \"eps\": 1},\n"
                     "  {\"name\": \"small\", \"x_shape\": [128], \"eps\": 1},\n"
                     "  {\"name\": \"lab\", \"x_shape\": [2, 128], \"eps\": 1, \"production\": "
                     "false}]}}}\n");
    cJSON *r = JSON("init", task, "--rows", "rows.json#norm");
    const cJSON *rows = kds_json_at(r, "rows"), *first = cJSON_GetArrayItem(rows, 0);
    assert_int_equal(cJSON_GetArraySize(rows), 2);
    assert_string_equal(kds_json_str(first, "id", ""), "a_b");
    assert_true(kds_json_num(kds_json_at(first, "dims"), "M", 0) == 6);
    assert_true(kds_json_num(kds_json_at(first, "dims"), "N", 0) == 128);
    assert_true(kds_json_num(kds_json_at(first, "dims"), "eps", 0) == 1e-5);
    assert_true(kds_json_num(first, "seed", 0) == 7);
    assert_true(kds_json_bool(first, "profile", false));
    assert_string_equal(kds_json_str(cJSON_GetArrayItem(rows, 1), "id", ""), "a_b_2");
    static const char *const why[][2] = {
        {"no_eps", "nothing in it gives 'eps'"},
        {"other_type", "'x' is f16 there and bf16 here"},
        {"clash", "'N' would be 64 by the shape of w and 128 before"},
        {"small", "'x' has 1 dimensions there and 2 here"},
        {"lab", "it says that it is not from production"}};
    const cJSON *skipped = kds_json_at(r, "skipped");
    assert_int_equal(cJSON_GetArraySize(skipped), 5);
    for (int i = 0; i < 5; i++) {
        const cJSON *s = cJSON_GetArrayItem(skipped, i);
        assert_string_equal(kds_json_str(s, "row", ""), why[i][0]);
        if (!strstr(kds_json_str(s, "why", ""), why[i][1]))
            fail_msg("%s: %s", why[i][0], kds_json_str(s, "why", ""));
    }
    cJSON_Delete(r);
    REFUSES(3, "rows of several tasks; choose one with rows.json#norm", "init", task, "--rows",
            "rows.json");
    REFUSES(3, "has no task 'x'", "init", task, "--rows", "rows.json#x");
    put("none.json", "[{\"id\": \"r\", \"eps\": 1}]");
    REFUSES(3, "none of its 1 rows can be a row of 'rms_norm'; of 'r': nothing in it gives 'M'",
            "init", task, "--rows", "none.json");
    put("empty.json", "{\"a\": 1}");
    REFUSES(3, "has no array of rows", "init", task, "--rows", "empty.json");
    put("k.cu", "__global__ void k(const float *x, float *y, int n) { y[0] = x[n - 1]; }\n");
    REFUSES(3, "none of its 1 rows", "init", "unmapped", "--from", "k.cu", "--rows", "none.json");
    assert_false(kds_path_exists(cli_path("unmapped")));
}

/* The finished example: nothing wrong, and a short campaign ends with what it means end to end. */
static void test_finished_example(void **state)
{
    (void)state;
    const char *task = cli_source(EXAMPLE "/adamw");
    cJSON *report = JSON("lint", task, "--quick");
    assert_int_equal(kds_json_int(report, "errors", -1), 0);
    assert_int_equal(cJSON_GetArraySize(kds_json_at(report, "mutations")), 10);
    cJSON_Delete(report);
    cJSON *outcome = JSON("run", task, "-o", "night", "--max-evals", "4");
    double speedup = kds_json_num(kds_json_at(outcome, "best"), "fitness", 0);
    const cJSON *end = kds_json_at(kds_json_at(outcome, "report"), "end_to_end");
    assert_true(speedup >= 1);
    assert_true(kds_json_num(end, "share", 0) == 0.06);
    assert_true(kds_json_bool(end, "derived", false));
    double want = 1 / (0.94 + 0.06 / speedup), got = kds_json_num(end, "speedup", 0);
    assert_true(got > want - 1e-12 && got < want + 1e-12);
    cJSON_Delete(outcome);
    cli_result r = CLI("show", "night", "best");
    assert_non_null(strstr(r.out, "derived: 6 % of a training step of GPT-2 small"));
    assert_non_null(strstr(r.out, "by the modelled"));
    cli_free(&r);
    /* a task that states no share says nothing of it */
    EXPECT(0, "run", cli_source("tests/tasks/scale"), "-o", "plain", "--max-evals", "2");
    r = CLI("show", "plain", "best");
    assert_null(strstr(r.out, "end to end"));
    cli_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_scaffold),
        cmocka_unit_test(test_nothing_is_overwritten),
        cmocka_unit_test(test_wrong_sources_leave_nothing),
        cmocka_unit_test(test_guesses),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_finished_example),
    };
    return cmocka_run_group_tests(tests, cli_set_up, cli_tear_down);
}
