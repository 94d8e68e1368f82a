/* The task loader with wrong input: every case names file, line, key and what would be right. */
#include "tests/eval/task_test.h"

/* Loads root/t, which must fail; the message must be `want` behind the folder's path. */
static void load_fails(const char *want)
{
    char path[256], whole[1200];
    kds_err e = {0};
    kds_task *t = NULL;
    snprintf(path, sizeof path, "%s/t", root);
    kds_code code = kds_task_load(&t, path, &e);
    snprintf(whole, sizeof whole, "%s%s", path, want);
    if (code == KDS_OK)
        kds_task_free(t);
    assert_int_not_equal(code, KDS_OK);
    assert_string_equal(e.message, whole);
    assert_int_equal(code, KDS_INVALID);
    assert_null(t);
}

typedef struct wrong {
    const char *from, *to, *want;
} wrong;

static const wrong wrong_task[] = {
    {"\"format\": 1", "\"format\": 2", "/task.json:2: key 'format': must be from 1 to 1, is 2"},
    {"\"summary\"", "\"sumary\"",
     "/task.json:3: key 'sumary': unknown key; did you mean 'summary'?"},
    {"\"name\": \"small\"", "\"name\": \"Small\"",
     "/task.json:2: key 'name': must begin with a-z and hold only a-z, 0-9 and _ (at most 63)"},
    {"\"family\": \"tests\"", "\"family\": \"te-sts\"",
     "/task.json:2: key 'family': must begin with a-z and hold only a-z, 0-9 and _ (at most 63)"},
    {"\"dims\": [\"M\", \"N\", \"eps\"]", "\"dims\": []",
     "/task.json:4: key 'dims': must name 1 to 24 dims"},
    {"[\"M\", \"N\", \"eps\"]", "[\"M\", \"1N\", \"eps\"]",
     "/task.json:4: key 'dims[1]': must be a name of letters, digits and _ (at most 63)"},
    {"[\"M\", \"N\", \"eps\"]", "[\"M\", 3]",
     "/task.json:4: key 'dims[1]': must be a name of letters, digits and _ (at most 63)"},
    {"[\"M\", \"N\", \"eps\"]", "[\"M\", \"N\", \"M\"]",
     "/task.json:4: key 'dims[2]': the dim 'M' is named twice"},
    /* buffers */
    {"\"name\": \"x\", \"dtype_from\"", "\"name\": \"M\", \"dtype_from\"",
     "/task.json:6: key 'buffers[0].name': the name 'M' is used twice"},
    {"\"name\": \"index\"", "\"name\": \"x\"",
     "/task.json:8: key 'buffers[1].name': the name 'x' is used twice"},
    {"\"name\": \"index\"", "\"name\": \"a b\"",
     "/task.json:8: key 'buffers[1].name': must be a name of letters, digits and _ (at most 63)"},
    {"\"dtype\": \"bf16\"", "\"dtype\": \"bf61\"",
     "/task.json:10: key 'buffers[2].dtype': unknown dtype 'bf61'; did you mean 'bf16'?"},
    {"\"dtype\": \"bf16\"", "\"dtype\": \"quaternion\"",
     "/task.json:10: key 'buffers[2].dtype': unknown dtype 'quaternion' (known: f32, f16, bf16, "
     "i32, "
     "i64, u8, f64)"},
    {"\"dtype\": \"bf16\"", "\"dtype\": \"bf16\", \"dtype_from\": \"in\"",
     "/task.json:10: key 'buffers[2]': must have one of 'dtype' and 'dtype_from'"},
    {"\"dtype\": \"bf16\", ", "",
     "/task.json:10: key 'buffers[2]': must have one of 'dtype' and 'dtype_from'"},
    {"\"role\": \"out\"", "\"role\": \"outt\"",
     "/task.json:10: key 'buffers[2].role': unknown role 'outt'; did you mean 'out'?"},
    {"\"role\": \"out\"", "\"role\": 3",
     "/task.json:10: key 'buffers[2].role': must be a string, found the number 3"},
    {"\"role\": \"out\"", "\"role\": \"inout\"",
     "/task.json:10: key 'buffers[2]': the key 'fill' is missing (role inout)"},
    {"\"role\": \"out\"", "\"role\": \"in\"",
     "/task.json:10: key 'buffers[2]': the key 'fill' is missing (role in)"},
    {"\"fill\": {\"kind\": \"permutation\"}", "\"strides\": [1]",
     "/task.json:8: key 'buffers[1]': the key 'fill' is missing (role in)"},
    {"\"fill\": {\"kind\": \"permutation\"}",
     "\"fill\": {\"kind\": \"permutation\"}, \"tolerance\": {\"atol\": 1, \"rtol\": 1}",
     "/task.json:9: key 'buffers[1].tolerance': role in has no tolerance"},
    {"\"tolerance\": {", "\"fill\": {\"kind\": \"permutation\"}, \"tolerance\": {",
     "/task.json:12: key 'buffers[2].fill': role out has no fill"},
    {"\"shape\": [\"M\"]", "\"shape\": []",
     "/task.json:8: key 'buffers[1].shape': must have 1 to 6 extents"},
    {"\"shape\": [\"M\"]", "\"shape\": [\"M *\"]",
     "/task.json:8: key 'buffers[1].shape[0]': in the expression 'M *': "},
    {"\"shape\": [\"M\"]", "\"shape\": [\"pich\"]",
     "/task.json:8: key 'buffers[1].shape[0]': unknown name 'pich' in 'pich'; did you mean "
     "'pitch'?"},
    {"\"shape\": [\"M\"]", "\"shape\": [\"quaternion\"]",
     "/task.json:8: key 'buffers[1].shape[0]': unknown name 'quaternion' in 'quaternion'"},
    {"\"shape\": [\"M\"]", "\"shape\": [true]",
     "/task.json:8: key 'buffers[1].shape[0]': must be an expression (a string) or a number"},
    {"\"shape\": [\"M\"]", "\"shape\": [0]",
     "/task.json:8: key 'buffers[1].shape[0]': '0' for row 'big': extent 0 of buffer 'index' is 0; "
     "a "
     "buffer has at least one element"},
    {"\"shape\": [\"M\"]", "\"shape\": [\"M - 2\"]",
     "/task.json:8: key 'buffers[1].shape[0]': 'M - 2' for row 'tiny': extent 0 of buffer 'index' "
     "is "
     "-1; a buffer has at least one element"},
    {"\"shape\": [\"M\"]", "\"shape\": [5e9]",
     "/task.json:8: key 'buffers[1].shape[0]': '5000000000' for row 'big': buffer 'index' is "
     "larger "
     "than 16 GiB"},
    {"\"shape\": [\"M\"]", "\"shape\": [9e15, 9e15]",
     "/task.json:8: key 'buffers[1].shape[0]': '9000000000000000' for row 'big': buffer 'index' "
     "has "
     "more than 2^63 elements"},
    {"\"shape\": [\"M\"]", "\"shape\": [\"M\"], \"strides\": [9000000000000000]",
     "/task.json:8: key 'buffers[1].shape[0]': 'M' for row 'big': buffer 'index' is larger than 16 "
     "GiB"},
    {"\"strides\": [\"pitch\", 1]", "\"strides\": [\"pitch\"]",
     "/task.json:11: key 'buffers[2].strides': must have as many entries as 'shape': 2"},
    {"\"strides\": [\"pitch\", 1]", "\"strides\": [\"0 - pitch\", 1]",
     "/task.json:10: key 'buffers[2].shape[0]': 'M' for row 'big': stride 0 of buffer 'y' is -16; "
     "strides are >= 0"},
    {"\"strides\": [\"pitch\", 1]", "\"strides\": [\"N - 1\", 1]",
     "/task.json:10: key 'buffers[2].shape[0]': 'M' for row 'big': elements of the output 'y' "
     "overlap"},
    {"\"dtype\": \"i32\", \"shape\"", "\"dtype\": \"f32\", \"shape\"",
     "/task.json:8: key 'buffers[1].shape[0]': 'M' for row 'big': a permutation needs i32 or i64 "
     "and "
     "as many elements as it can count"},
    /* fills */
    {"\"kind\": \"normal\"", "\"kind\": \"norml\"",
     "/task.json:7: key 'buffers[0].fill.kind': unknown fill 'norml'; did you mean 'normal'?"},
    {"\"kind\": \"normal\", ", "",
     "/task.json:7: key 'buffers[0].fill': the key 'kind' is missing"},
    {"\"kind\": \"normal\"", "\"kind\": 1",
     "/task.json:7: key 'buffers[0].fill.kind': must be a string"},
    {"\"mean\": 0, \"std\": 1", "\"mean\": 0, \"sdt\": 1",
     "/task.json:7: key 'buffers[0].fill.sdt': unknown key; did you mean 'std'?"},
    {"\"std\": 1", "\"std\": -1", "/task.json:7: key 'buffers[0].fill.std': must not be negative"},
    {"\"kind\": \"normal\", \"mean\": 0, \"std\": 1",
     "\"kind\": \"uniform\", \"low\": 1, \"high\": 1",
     "/task.json:7: key 'buffers[0].fill': low must be below high"},
    {"\"std\": 1", "\"std\": \"M +\"",
     "/task.json:7: key 'buffers[0].fill.std': in the expression 'M +': expected a "
     "value at column 4, found the end"},
    {"\"std\": 1", "\"std\": \"4 - N\"",
     "/task.json:7: key 'buffers[0].fill.std': '4 - N' for row 'big': std must not be negative"},
    {"\"kind\": \"normal\", \"mean\": 0, \"std\": 1",
     "\"kind\": \"uniform\", \"low\": 0, \"high\": \"1 - M\"",
     "/task.json:7: key 'buffers[0].fill.high': '1 - M' for row 'big': low must be below high"},
    {"{\"kind\": \"permutation\"}", "{\"kind\": \"offsets\", \"total\": \"0 - M\"}",
     "/task.json:9: key 'buffers[1].fill.total': '0 - M' for row 'big': offsets need i32 or i64, "
     "at least 2 elements and a total that fits"},
    {"{\"kind\": \"permutation\"}", "{\"kind\": \"offsets\", \"total\": 5}",
     "/task.json:8: key 'buffers[1].shape[0]': 'M' for row 'tiny': offsets need i32 or i64, at "
     "least 2 elements and a total that fits"},
    {"{\"kind\": \"permutation\"}", "{\"kind\": \"permutation\", \"start\": 1}",
     "/task.json:9: key 'buffers[1].fill.start': unknown key"},
    /* tolerances */
    {"\"atol\": 0.01, ", "",
     "/task.json:12: key 'buffers[2].tolerance': the key 'atol' is missing"},
    {"\"rtol\": 0.02", "\"rtol\": -1",
     "/task.json:12: key 'buffers[2].tolerance.rtol': must be from 0 to 1e+30, is -1"},
    {"\"factor\": 2, ", "",
     "/task.json:13: key 'buffers[2].tolerance.worse_than_baseline': the key 'factor' is missing"},
    {"\"rtol\": 0.02", "\"rtol\": 0.02, \"beside_baseline\": {\"atol\": 1}",
     "/task.json:12: key 'buffers[2].tolerance.beside_baseline': the key 'rtol' is missing"},
    {"\"rtol\": 0.02",
     "\"rtol\": 0.02, \"beside_baseline\": {\"atol\": 1, \"rtol\": 1, \"beside_baseline\": {}}",
     "/task.json:12: key 'buffers[2].tolerance.beside_baseline.beside_baseline': unknown key"},
    {"\"bytes\":", "\"bitwise\": true, \"bytes\":",
     "/task.json:12: key 'buffers[2].tolerance': a task with \"bitwise\": true compares for "
     "equality; "
     "remove it"},
    /* scalars */
    {"\"name\": \"pitch\"", "\"name\": \"M\"",
     "/task.json:16: key 'scalars[1].name': the name 'M' is used twice"},
    {"\"name\": \"pitch\"", "\"name\": \"\"",
     "/task.json:16: key 'scalars[1].name': must be a name of letters, digits and _ (at most 63)"},
    {"\"dtype\": \"i64\"", "\"dtype\": \"int\"",
     "/task.json:16: key 'scalars[1].dtype': unknown dtype 'int' (known: f32, f16, bf16, i32, i64, "
     "u8, "
     "f64)"},
    {", \"value\": \"align_up(N, 8)\"", "",
     "/task.json:16: key 'scalars[1]': the key 'value' is missing"},
    {"\"align_up(N, 8)\"", "\"align_up(N, 0 * M)\"",
     "/task.json:16: key 'scalars[1].value': 'align_up(N, 0 * M)' for row 'big': "},
    {"\"value\": \"M\"", "\"value\": \"M + 1\"",
     "/task.json:15: key 'scalars[0].value': 'M + 1' for row 'big': the scalar 'M' has the name of "
     "a "
     "dim but not its value"},
    {"\"dtype\": \"i64\"", "\"dtype\": \"u8\"", NULL}, /* 16 and 8 fit */
    {"\"dtype\": \"i64\", \"value\": \"align_up(N, 8)\"",
     "\"dtype\": \"u8\", \"value\": \"align_up(N, 8) * 16\"",
     "/task.json:16: key 'scalars[1].value': 'align_up(N, 8) * 16' for row 'big': 256 does not fit "
     "u8"},
    {"\"dtype\": \"i64\", \"value\": \"align_up(N, 8)\"",
     "\"dtype\": \"i32\", \"value\": \"align_up(N, 8) << 28\"",
     "/task.json:16: key 'scalars[1].value': 'align_up(N, 8) << 28' for row 'big': 4294967296 does "
     "not "
     "fit i32"},
    {"\"dtype\": \"f32\"", "\"dtype\": \"i32\"",
     "/task.json:17: key 'scalars[2].value': 'eps' for row 'big': 1e-06 is not an integer, as i32 "
     "needs"},
    {"\"align_up(N, 8)\"", "1.5",
     "/task.json:16: key 'scalars[1].value': '1.5' for row 'big': 1.5 is not an integer, as i64 "
     "needs"},
    {"\"dtype\": \"i64\", \"value\": \"align_up(N, 8)\"",
     "\"dtype\": \"f16\", \"value\": \"N * 1e5\"",
     "/task.json:16: key 'scalars[1].value': 'N * 1e5' for row 'big': 1.2e+06 does not fit f16"},
    /* regimes */
    {"\"changes\": {\"x\"", "\"changes\": {\"w\"",
     "/task.json:18: key 'regimes[0].changes.w': unknown input 'w' (known: x)"},
    {"\"changes\": {\"x\"", "\"changes\": {\"y\"",
     "/task.json:18: key 'regimes[0].changes.y': unknown input 'y' (known: x)"},
    {"\"name\": \"large\"", "\"name\": \"plain\"",
     "/task.json:18: key 'regimes[0].name': the regime 'plain' is there twice (\"plain\" is always "
     "there)"},
    {"\"name\": \"large\"", "\"name\": \"large one\"",
     "/task.json:18: key 'regimes[0].name': must be a name of letters, digits and _ (at most 63)"},
    {"\"shift\": 1", "\"shfit\": 1",
     "/task.json:18: key 'regimes[0].changes.x.shfit': unknown key; did you mean 'shift'?"},
    {"\"regimes\": [", "\"regimes\": [7, ",
     "/task.json:18: key 'regimes[0]': must be an object, found the number 7"},
    /* formulas and bounds */
    {"\"bytes\": \"6 * M * N + 4 * M\", ", "", "/task.json:1: the key 'bytes' is missing"},
    {", \"flops\": \"M * N\"", "", "/task.json:1: the key 'flops' is missing"},
    {"\"6 * M * N + 4 * M\"", "\"6 * M * K\"",
     "/task.json:19: key 'bytes': unknown name 'K' in '6 * M * K'"},
    {"\"6 * M * N + 4 * M\"", "\"M / (N - 1)\"",
     "/task.json:19: key 'bytes': 'M / (N - 1)' for row 'tiny': "},
    {"\"6 * M * N + 4 * M\"", "\"M - 64\"",
     "/task.json:19: key 'bytes': 'M - 64' for row 'big': is 0, but must be above 0"},
    {"\"flops\": \"M * N\"", "\"flops\": 0, \"tensor_flops\": \"0 - M\"",
     "/task.json:19: key 'tensor_flops': '0 - M' for row 'big': is -64, but must be at least 0"},
    {"\"flops\": \"M * N\"", "\"flops\": \"M - 65\"",
     "/task.json:19: key 'flops': 'M - 65' for row 'big': is -1, but must be at least 0"},
    {"\"screen\": 0.2", "\"screen\": 0.2, \"share\": 0.1",
     "/task.json:20: key 'share': \"share\" (above 0, at most 1) and \"share_of\" (of what) go "
     "together"},
    {"\"screen\": 0.2", "\"screen\": 0.2, \"share\": 1.5, \"share_of\": \"m\"",
     "/task.json:20: key 'share': must be from 0 to 1, is 1.5"},
    {"\"screen\": 0.2", "\"screen\": 0.2, \"share_of\": \"m\"",
     "/task.json:20: key 'share_of': \"share\" (above 0, at most 1) and \"share_of\" (of what) go "
     "together"},
    {"\"screen\": 0.2", "\"screen\": 11",
     "/task.json:20: key 'screen': must be from 0 to 10, is 11"},
    /* descriptors */
    {"\"registers\"", "\"register\"",
     "/task.json:22: key 'descriptors.axes[0].value': unknown name 'register' in 'register'; did "
     "you "
     "mean 'registers'?"},
    {"\"registers\"", "\"l1tex__t_sectors_pipe_lsu_mem_global_op_lt.sum\"",
     "/task.json:22: key 'descriptors.axes[0].value': unknown name "
     "'l1tex__t_sectors_pipe_lsu_mem_global_op_lt.sum' in "
     "'l1tex__t_sectors_pipe_lsu_mem_global_op_lt.sum'; did you mean "
     "'l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum'?"},
    {"[32, 64]", "[64, 32]",
     "/task.json:22: key 'descriptors.axes[0].edges[1]': edges must ascend"},
    {"[32, 64]", "[32, 32]",
     "/task.json:22: key 'descriptors.axes[0].edges[1]': edges must ascend"},
    {"[32, 64]", "[]", "/task.json:22: key 'descriptors.axes[0].edges': must have 1 to 15 edges"},
    {"[32, 64]", "[\"a\"]", "/task.json:22: key 'descriptors.axes[0].edges[0]': must be a number"},
    {"\"name\": \"launches\"", "\"name\": \"regs\"",
     "/task.json:23: key 'descriptors.axes[1].name': the axis 'regs' is there twice"},
    {"\"name\": \"launches\"", "\"name\": \"-\"",
     "/task.json:23: key 'descriptors.axes[1].name': must be a name of letters, digits and _ (at "
     "most "
     "63)"},
    {"\"version\": 7", "\"version\": 0",
     "/task.json:21: key 'descriptors.version': must be from 1 to 1000000, is 0"},
    /* JSON itself */
    {"\"summary\": \"s\"", "\"summary\": \"s\", \"summary\": \"s\"",
     "/task.json:3: key 'summary': given twice, first on line 3"},
};

static const wrong wrong_rows[] = {
    {"\"quick\"", "\"quik\"",
     "/bench/workloads.json:5: key 'quik': unknown key; did you mean 'quick'?"},
    {"\"format\": 1", "\"format\": \"1\"",
     "/bench/workloads.json:1: key 'format': must be written as a number (only integers of 2^53 "
     "and "
     "above are strings), found the string \"1\""},
    {"\"id\": \"odd\"", "\"id\": \"big\"",
     "/bench/workloads.json:6: key 'held_out[0].id': the row 'big' is there twice (first in "
     "production)"},
    {"\"id\": \"odd\"", "\"id\": \"../odd\"",
     "/bench/workloads.json:6: key 'held_out[0].id': must be 1 to 63 letters, digits, '_', '-' or "
     "'.', "
     "not beginning with '-' or '.'"},
    {"\"id\": \"odd\"", "\"id\": \"od/d\"",
     "/bench/workloads.json:6: key 'held_out[0].id': must be 1 to 63 letters, digits, '_', '-' or "
     "'.', "
     "not beginning with '-' or '.'"},
    {"\"M\": 64, ", "",
     "/bench/workloads.json:2: key 'production[0].dims': the key 'M' is missing"},
    {"\"eps\": 1e-6", "\"esp\": 1e-6",
     "/bench/workloads.json:2: key 'production[0].dims.esp': unknown key; did you mean 'eps'?"},
    {"\"M\": 64", "\"M\": \"64\"",
     "/bench/workloads.json:2: key 'production[0].dims.M': must be a number, found the string "
     "\"64\""},
    {"\"M\": 64", "\"M\": 64.5",
     "/task.json:15: key 'scalars[0].value': 'M' for row 'big': 64.5 is not an integer, as i32 "
     "needs"},
    {"\"weight\": 2", "\"weight\": -1",
     "/bench/workloads.json:2: key 'production[0].weight': must be from 0 to 1000000, is -1"},
    {"\"profile\": true", "\"profile\": 1",
     "/bench/workloads.json:3: key 'production[0].profile': must be true or false, found the "
     "number "
     "1"},
    {"\"seed\": 3, ", "", "/bench/workloads.json:5: key 'quick[0]': the key 'seed' is missing"},
    {"\"seed\": 3", "\"seed\": 3.5",
     "/bench/workloads.json:5: key 'quick[0].seed': must be an integer from 0 to 2^53, or a "
     "decimal "
     "string below 2^64"},
    {"\"seed\": 3", "\"seed\": 1e17",
     "/bench/workloads.json:5: key 'quick[0].seed': must be an integer from 0 to 2^53, or a "
     "decimal "
     "string below 2^64"},
    {"\"seed\": 3", "\"seed\": \"18446744073709551616\"",
     "/bench/workloads.json:5: key 'quick[0].seed': must be an integer from 0 to 2^53, or a "
     "decimal "
     "string below 2^64"},
    {", \"dtypes\": {\"in\": \"f16\"}", "",
     "/bench/workloads.json:2: key 'production[0]': the key 'dtypes' is missing (task.json takes "
     "the "
     "type 'in' from it)"},
    {"{\"in\": \"f16\"}", "{\"in\": \"f17\"}",
     "/bench/workloads.json:3: key 'production[0].dtypes.in': unknown dtype 'f17'; did you mean "
     "'f16'?"},
    {"{\"in\": \"f16\"}", "{\"inn\": \"f16\"}",
     "/bench/workloads.json:3: key 'production[0].dtypes.inn': unknown key; did you mean 'in'?"},
    {"\"quick\": [", "\"quick\": [[], ",
     "/bench/workloads.json:5: key 'quick[0]': must be an object, found an array"},
};

static void check_wrong(const wrong *w, const char *file, const char *text)
{
    char *changed = replaced(text, w->from, w->to);
    put(file, changed);
    free(changed);
    if (!w->want) {
        kds_task_free(load_ok());
        return;
    }
    size_t n = strlen(w->want);
    if (n > 2 &&
        strcmp(w->want + n - 2, ": ") == 0) { /* the rest is the expression's own message */
        char path[256], whole[600];
        kds_err e = {0};
        kds_task *t = NULL;
        snprintf(path, sizeof path, "%s/t", root);
        assert_int_equal(kds_task_load(&t, path, &e), KDS_INVALID);
        snprintf(whole, sizeof whole, "%s%s", path, w->want);
        assert_memory_equal(e.message, whole, strlen(whole));
        assert_true(strlen(e.message) > strlen(whole) + 5);
        return;
    }
    load_fails(w->want);
}

static void test_wrong_task(void **state)
{
    (void)state;
    make_task();
    for (size_t i = 0; i < sizeof wrong_task / sizeof *wrong_task; i++)
        check_wrong(&wrong_task[i], "task.json", task_json);
}

static void test_wrong_rows(void **state)
{
    (void)state;
    make_task();
    for (size_t i = 0; i < sizeof wrong_rows / sizeof *wrong_rows; i++)
        check_wrong(&wrong_rows[i], "bench/workloads.json", rows_json);
}

static void test_root_is_no_object(void **state)
{
    (void)state;
    make_task();
    put("task.json", "[]\n");
    load_fails("/task.json:1: must be an object, found an array");
    put("task.json", task_json);
    put("bench/workloads.json", "3");
    load_fails("/bench/workloads.json:1: must be an object, found the number 3");
    put("bench/workloads.json",
        "{\"format\": 1, \"production\": [], \"quick\": [], \"held_out\": []}");
    load_fails("/bench/workloads.json:1: key 'production': must have at least one row");
}

/* A text of `n` copies of `item`, joined by commas, between `head` and `tail`; owned by the caller.
 */
static char *many(const char *head, const char *item, int n, const char *tail)
{
    kds_buf b;
    kds_buf_init(&b, 1 << 20);
    kds_buf_puts(&b, head);
    for (int i = 0; i < n; i++)
        kds_buf_printf(&b, "%s%.*s%d%s", i ? "," : "", (int)strcspn(item, "#"), item, i,
                       item + strcspn(item, "#") + 1);
    kds_buf_puts(&b, tail);
    char *out = kds_buf_take(&b);
    assert_non_null(out);
    return out;
}

static void test_too_many(void **state)
{
    (void)state;
    static const struct {
        const char *from, *item, *key, *want;
        int n;
    } cases[] = {
        {"\"dims\": [\"M\", \"N\", \"eps\"]", "\"D#\"", "\"dims\"",
         "/task.json:4: key 'dims': must name 1 to 24 dims", 25},
        {"\"regimes\": [{\"name\": \"large\", \"changes\": {\"x\": {\"scale\": 100, \"shift\": "
         "1}}}]",
         "{\"name\": \"r#\", \"changes\": {}}", "\"regimes\"",
         "/task.json:18: key 'regimes': more than 7 regimes", 8},
        {"\"edges\": [2]", "1#", "\"edges\"",
         "/task.json:23: key 'descriptors.axes[1].edges': must have 1 to 15 edges", 16},
        {"\"strides\": [\"pitch\", 1]", "1#", "\"strides\"",
         "/task.json:11: key 'buffers[2].strides': must have as many entries as 'shape': 2", 7},
        {"\"shape\": [\"M\"]", "1#", "\"shape\"",
         "/task.json:8: key 'buffers[1].shape': must have 1 to 6 extents", 7},
    };
    make_task();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char head[64];
        snprintf(head, sizeof head, "%s: [", cases[i].key);
        char *list = many(head, cases[i].item, cases[i].n, "]");
        char *text = replaced(task_json, cases[i].from, list);
        put("task.json", text);
        load_fails(cases[i].want);
        free(list);
        free(text);
    }
    put("task.json", "{\"format\":1,\"name\":\"a\",\"family\":\"a\",\"summary\":\"\",\"function\":"
                     "\"\",\"dims\":[\"M\"],"
                     "\"buffers\":[],\"bytes\":1,\"flops\":1}");
    load_fails("/task.json:1: key 'buffers': must have 1 to 24 buffers");
    put("task.json",
        "{\"format\":1,\"name\":\"a\",\"family\":\"a\",\"summary\":\"\",\"function\":\"\",\"dims\":"
        "[\"M\"],"
        "\"buffers\":[{\"name\":\"x\",\"dtype\":\"u8\",\"shape\":[1],\"role\":\"in\",\"fill\":"
        "{\"kind\":\"iota\",\"start\":0,\"step\":1}}],\"bytes\":1,\"flops\":1}");
    load_fails("/task.json:1: key 'buffers': no buffer has the role out or inout");
    char *rows = many("{\"format\": 1, \"production\": [",
                      "{\"id\": \"r#\", \"dims\": {\"M\": 1}, \"seed\": 1}", 257,
                      "], \"quick\": [], \"held_out\": []}");
    put("task.json", task_json);
    put("bench/workloads.json", rows);
    load_fails("/bench/workloads.json:1: 257 rows; at most 256");
    free(rows);
}

static void test_files(void **state)
{
    (void)state;
    static const char *const needed[] = {"task.json", "bench/workloads.json", "prompt.md",
                                         "baseline/kernel.cu"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        char path[256], want[400];
        make_task();
        snprintf(path, sizeof path, "%s/t/%s", root, needed[i]);
        assert_int_equal(unlink(path), 0);
        snprintf(want, sizeof want,
                 "/%s: no such file; a task folder must have it (see kernels/README.md)",
                 needed[i]);
        load_fails(want);
    }
    make_task();
    char path[256];
    snprintf(path, sizeof path, "%s/t/reference/kernel.cu", root);
    assert_int_equal(unlink(path), 0);
    kds_task *t = load_ok();
    assert_null(t->reference);
    kds_task_free(t);

    put("prompt.md", "caf\xe9\n");
    load_fails("/prompt.md: not UTF-8 text");
    make_task();
    char *big = malloc((256 << 10) + 2);
    assert_non_null(big);
    memset(big, ' ', (256 << 10) + 1);
    big[(256 << 10) + 1] = '\0';
    put("seeds/a.cu", big);
    load_fails("/seeds/a.cu: larger than 256 KiB");
    put("seeds/a.cu", "");
    free(big);
    for (int i = 0; i < 15; i++) {
        char name[40];
        snprintf(name, sizeof name, "seeds/s%02d.cu", i);
        put(name, "");
    }
    load_fails("/seeds: more than 16 sources");

    kds_err e = {0};
    assert_int_equal(kds_task_load(&t, "/nonexistent/task", &e), KDS_INVALID);
    assert_string_equal(e.message,
                        "/nonexistent/task: no such folder; a task is a folder with a task.json");
}

/* A listed fill with the production row's `values` as given (NULL: none). */
static void listed_fails(const char *values, const char *want)
{
    char to[200];
    make_task();
    char *a = replaced(task_json, "{\"kind\": \"permutation\"}", "{\"kind\": \"listed\"}");
    char *b = replaced(rows_json, "{\"M\": 64,", "{\"M\": 2,");
    snprintf(to, sizeof to, "%s \"note\"", values != NULL ? values : "");
    char *rows = replaced(b, "\"note\"", to);
    put("task.json", a);
    put("bench/workloads.json", rows);
    load_fails(want);
    free(a);
    free(b);
    free(rows);
}

static void test_lists(void **state)
{
    (void)state;
    listed_fails(NULL, "/bench/workloads.json:2: key 'production[0]': the key 'values' is missing "
                       "(task.json has fills of kind listed)");
    listed_fails("\"values\": {},", "/bench/workloads.json:4: key 'production[0].values': the key "
                                    "'index' is missing");
    listed_fails("\"values\": {\"index\": [1, 2], \"x\": [1]},",
                 "/bench/workloads.json:4: key 'production[0].values.x': unknown key");
    listed_fails("\"values\": {\"index\": []},",
                 "/bench/workloads.json:4: key 'production[0].values.index': must list 1 to 4096 "
                 "numbers");
    listed_fails("\"values\": {\"index\": [1, \"2\"]},",
                 "/bench/workloads.json:4: key 'production[0].values.index[1]': must be a number");
}

/* What only row and task together tell. */
static void test_lists_fit_their_buffer(void **state)
{
    (void)state;
    static const struct {
        const char *big, *want;
    } cases[] = {
        {"[1, 2, 3]", "the row lists 3 numbers for 2 elements"},
        {"[1, 2.5]", "2.5 does not fit i32"},
        {"[1, 3e9]", "3e+09 does not fit i32"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char values[120], want[300];
        make_task();
        char *a = replaced(task_json, "{\"kind\": \"permutation\"}", "{\"kind\": \"listed\"}");
        char *b = replaced(rows_json, "{\"M\": 64,", "{\"M\": 2,");
        char *c = replaced(b, "\"seed\": 3,", "\"seed\": 3, \"values\": {\"index\": [0]},");
        char *d = replaced(c, "\"seed\": 4,", "\"seed\": 4, \"values\": {\"index\": [0, 1, 2]},");
        snprintf(values, sizeof values, "\"values\": {\"index\": %s}, \"note\"", cases[i].big);
        char *rows = replaced(d, "\"note\"", values);
        put("task.json", a);
        put("bench/workloads.json", rows);
        snprintf(want, sizeof want,
                 "/task.json:8: key 'buffers[1].shape[0]': 'M' for row 'big': %s", cases[i].want);
        load_fails(want);
        free(a);
        free(b);
        free(c);
        free(d);
        free(rows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_task),
        cmocka_unit_test(test_wrong_rows),
        cmocka_unit_test(test_root_is_no_object),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_lists_fit_their_buffer),
    };
    return cmocka_run_group_tests_name("task_wrong", tests, open_scratch, close_scratch);
}
