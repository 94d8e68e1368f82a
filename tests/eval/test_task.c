/* The task loader with right input: the shipped tasks, fields, rows, extents, defaults, the hash.
 */
#include "tests/eval/task_test.h"

#include "eval/descriptor_names.h"
#include "eval/device.h"
#include "eval/task_lint.h"

static kds_id hash_now(void)
{
    kds_task *t = load_ok();
    kds_id id = t->hash;
    kds_task_free(t);
    return id;
}

static void test_fields(void **state)
{
    (void)state;
    make_task();
    kds_task *t = load_ok();
    assert_string_equal(t->name, "small");
    assert_string_equal(t->family, "tests");
    assert_string_equal(t->function, "f(x, index, y)");
    assert_int_equal(t->dim_count, 3);
    assert_int_equal(t->buffer_count, 3);
    assert_int_equal(kds_task_buffer(t, "y"), 2);
    assert_int_equal(kds_task_buffer(t, "z"), -1);
    assert_int_equal(kds_task_scalar(t, "eps"), 2);
    assert_int_equal(kds_task_scalar(t, "x"), -1);
    const kds_tolerance *tol = &t->buffers[2].tolerance;
    assert_true(tol->atol == 0.01 && tol->rtol == 0.02 && tol->rel_rmse == 0.03 &&
                tol->slice_rel_rmse == 0.04 && tol->worse_factor == 2 && tol->worse_floor == 0.5);
    assert_int_equal(t->buffers[1].fill.kind, KDS_FILL_PERMUTATION);
    assert_int_equal(t->buffers[1].role, KDS_ROLE_IN);
    assert_int_equal(t->regime_count, 2);
    assert_string_equal(t->regimes[0].name, "plain");
    assert_int_equal(t->regimes[0].count, 0);
    assert_int_equal(t->regimes[1].changes[0].buffer, 0);
    assert_true(t->regimes[1].changes[0].scale == 100 && t->regimes[1].changes[0].shift == 1);
    assert_true(t->max_regress == 0.05 && t->screen == 0.2 && t->margin == 0.01);
    assert_int_equal(t->descriptor_version, 7);
    assert_int_equal(t->axis_count, 2);
    assert_int_equal(t->axes[0].edge_count, 2);
    assert_true(t->axes[0].edges[1] == 64);
    assert_string_equal(t->axes[1].unit, "");
    assert_string_equal(t->card, "the card\n");
    assert_string_equal(t->baseline, "// baseline\n");
    assert_string_equal(t->reference, "// reference\n");
    assert_int_equal(t->seed_count, 2);
    assert_string_equal(t->seeds[0].name, "a");
    assert_string_equal(t->seeds[1].source, "// b\n");
    kds_task_free(t);
    kds_task_free(NULL);
}

static void test_rows(void **state)
{
    (void)state;
    make_task();
    kds_task *t = load_ok();
    assert_int_equal(t->row_count, 3);
    const kds_row *row = kds_task_row(t, "big");
    assert_non_null(row);
    assert_null(kds_task_row(t, "small"));
    assert_int_equal(row->set, KDS_ROWS_PRODUCTION);
    assert_string_equal(kds_row_set_name(t->rows[2].set), "held_out");
    assert_true(row->seed == UINT64_MAX && row->weight == 2 && row->profile);
    assert_true(!t->rows[1].profile && t->rows[1].weight == 1);
    kds_value v;
    kds_scope scope = row->scope;
    assert_true(kds_scope_lookup(&scope, "N", &v) && !v.is_double && v.i == 12);
    assert_true(kds_scope_lookup(&scope, "eps", &v) && v.is_double && v.d == 1e-6);
    assert_true(kds_scope_lookup(&scope, "pitch", &v) && v.i == 16);
    kds_err e = {0};
    assert_int_equal(kds_task_scalar_value(t, row, 1, &v, &e), KDS_OK);
    assert_int_equal(v.i, 16);
    kds_task_free(t);
}

static void test_extents(void **state)
{
    (void)state;
    make_task();
    kds_task *t = load_ok();
    const kds_row *row = kds_task_row(t, "big");
    kds_extent x;
    kds_err e = {0};
    assert_int_equal(kds_task_extent(t, row, 0, &x, &e), KDS_OK);
    assert_int_equal(x.dtype, KDS_DTYPE_F16); /* named by the row */
    assert_true(x.numel == 64 * 12 && x.span == 64 * 12 && x.strides[0] == 12 && x.strides[1] == 1);
    assert_int_equal(kds_task_extent(t, row, 2, &x, &e), KDS_OK);
    assert_true(x.numel == 64 * 12 && x.span == 63 * 16 + 12 && x.strides[0] == 16);
    assert_int_equal(kds_extent_offset(&x, 0), 0);
    assert_int_equal(kds_extent_offset(&x, 11), 11);
    assert_int_equal(kds_extent_offset(&x, 12), 16);
    assert_int_equal(kds_extent_offset(&x, 64 * 12 - 1), x.span - 1);
    kds_task_free(t);
}

static void test_defaults(void **state)
{
    (void)state;
    make_task();
    char *a =
        replaced(task_json, "  \"max_regress\": 0.05, \"screen\": 0.2, \"margin\": 0.01,\n", "");
    char *b = strstr(a, ",\n  \"descriptors\"");
    assert_non_null(b);
    memcpy(b, "}\n", 3);
    put("task.json", a);
    free(a);
    kds_task *t = load_ok();
    assert_true(t->max_regress == 0.02 && t->screen == 0.1 && t->margin == 0.0025);
    assert_int_equal(t->descriptor_version, 1);
    assert_int_equal(t->axis_count, 3);
    assert_string_equal(t->axes[0].name, "access_width");
    assert_true(t->axes[0].edges[0] == 5 && t->axes[0].edges[2] == 13);
    assert_true(t->axes[1].edges[0] == 0.02 && t->axes[2].edges[1] == 50);
    for (int i = 0; i < t->axis_count; i++) {
        for (int k = 0; k < kds_expr_name_count(t->axes[i].value); k++)
            assert_true(kds_descriptor_name_known(kds_expr_name(t->axes[i].value, k)));
    }
    kds_task_free(t);
}

/* Fills whose numbers the rows give: each row its own, in any piece. */
static void test_listed(void **state)
{
    (void)state;
    make_task();
    char *a = replaced(task_json, "{\"kind\": \"permutation\"}", "{\"kind\": \"listed\"}");
    char *b = replaced(rows_json, "\"seed\": 3,", "\"seed\": 3, \"values\": {\"index\": [-7]},");
    char *c = replaced(b, "\"seed\": 4,", "\"seed\": 4, \"values\": {\"index\": [0, 130, 194]},");
    char *d = replaced(c, "{\"M\": 64,", "{\"M\": 2,");
    char *rows = replaced(d, "\"note\"", "\"values\": {\"index\": [5, 2147483647]}, \"note\"");
    put("task.json", a);
    put("bench/workloads.json", rows);
    kds_task *t = load_ok();
    const kds_row *odd = kds_task_row(t, "odd");
    kds_extent x;
    kds_err e;
    int32_t v[3] = {0};
    assert_int_equal(kds_task_extent(t, odd, 1, &x, &e), KDS_OK);
    kds_filler f = kds_task_filler(t, odd, 1, &x, 9, 0);
    kds_filler_write(&f, 0, 3, v);
    assert_true(v[0] == 0 && v[1] == 130 && v[2] == 194);
    kds_filler_write(&f, 2, 1, v);
    assert_true(v[0] == 194 && v[1] == 130);
    f = kds_task_filler(t, kds_task_row(t, "big"), 1, &x, 9, 1);
    kds_filler_write(&f, 0, 2, v);
    assert_true(v[0] == 5 && v[1] == INT32_MAX);
    kds_task_free(t);
    free(a);
    free(b);
    free(c);
    free(d);
    free(rows);
}

static bool counter(void *user, const char *name, kds_value *out)
{
    (void)user;
    /* Integers on purpose: the quotient must not be an integer division. */
    *out = kds_value_int(strstr(name, "sectors") ? 9 : strstr(name, "requests") ? 2 : 1);
    return true;
}

static void test_standard_axes_divide_as_doubles(void **state)
{
    (void)state;
    kds_err e = {0};
    kds_task *t = NULL;
    assert_int_equal(kds_task_load(&t, KDS_SOURCE_DIR "/kernels/rms_norm", &e), KDS_OK);
    double v = 0;
    assert_int_equal(kds_expr_eval_double(t->axes[0].value, counter, NULL, &v, &e), KDS_OK);
    assert_true(v == 4.5);
    assert_int_equal(kds_expr_eval_double(t->axes[1].value, counter, NULL, &v, &e), KDS_OK);
    assert_true(v == 2.0 / 18.0);
    kds_task_free(t);
}

static void test_shipped(void **state)
{
    (void)state;
    static const char *const dirs[] = {KDS_SOURCE_DIR "/kernels/rms_norm",
                                       KDS_SOURCE_DIR "/kernels/rotary_embedding"};
    for (int i = 0; i < 2; i++) {
        kds_task *t = NULL;
        kds_err e = {0};
        if (kds_task_load(&t, dirs[i], &e) != KDS_OK)
            fail_msg("%s", e.message);
        assert_int_equal(t->seed_count, 3);
        assert_non_null(t->reference);
        cJSON *findings = NULL;
        assert_int_equal(kds_task_lint(t, &findings, &e), KDS_OK);
        char *text = kds_json_print(findings);
        assert_string_equal(text, "[]");
        free(text);
        cJSON_Delete(findings);
        kds_task_free(t);
    }
}

/* Which shipped tasks the simulator cannot compare large rows of, and why; a GPU can. */
static void test_shipped_unchecked(void **state)
{
    (void)state;
    static const struct {
        const char *name, *why;
    } tasks[] = {
        {"rms_norm", NULL},
        {"qknorm_rope", NULL},
        {"residual_rms_norm", NULL},
        {"segment_sum", NULL},
        {"kda_decode", NULL},
        {"group_norm_silu", "the reference takes 2 launches on row hunyuan_512x5x32x32"},
        {"kda_state_scan", "the reference keeps what it computes in scratch on row h32_8192"},
        {"kda_prefill", "on 5 of 5 production rows"}};
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        char dir[300], why[400] = "unset";
        kds_task *t = NULL;
        kds_err e = {0};
        snprintf(dir, sizeof dir, KDS_SOURCE_DIR "/kernels/%s", tasks[i].name);
        assert_int_equal(kds_task_load(&t, dir, &e), KDS_OK);
        assert_int_equal(kds_device_unchecked("sim", t, why, sizeof why, &e), KDS_OK);
        if (tasks[i].why == NULL)
            assert_string_equal(why, "");
        else
            assert_non_null(strstr(why, tasks[i].why));
        assert_int_equal(kds_device_unchecked("cuda:0", t, why, sizeof why, &e), KDS_OK);
        assert_string_equal(why, "");
        kds_task_free(t);
    }
}

/* The production rows are the captured ones; the bytes formula gives the published logical bytes.
 */
static void test_shipped_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *dir, *row;
        double bytes;
    } rows[] = {{"rms_norm", "hunyuan_648720", 332144896},
                {"rms_norm", "hunyuan_1320", 676096},
                {"rms_norm", "hunyuan_650040", 332820736},
                {"rms_norm", "zimage_16384", 8388864},
                {"rms_norm", "zimage_4096", 2097408},
                {"rotary_embedding", "hunyuan_27030", 345984000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[400];
        kds_task *t = NULL;
        kds_err e = {0};
        snprintf(path, sizeof path, "%s/kernels/%s", KDS_SOURCE_DIR, rows[i].dir);
        assert_int_equal(kds_task_load(&t, path, &e), KDS_OK);
        const kds_row *row = kds_task_row(t, rows[i].row);
        assert_non_null(row);
        kds_scope scope = row->scope;
        double bytes = 0;
        assert_int_equal(kds_expr_eval_double(t->bytes, kds_scope_lookup, &scope, &bytes, &e),
                         KDS_OK);
        assert_true(bytes == rows[i].bytes);
        kds_task_free(t);
    }
}

static void test_hash(void **state)
{
    (void)state;
    make_task();
    kds_id first = hash_now();
    put("docs/notes.md", "notes\n");
    put("solution/h200.cu", "// best\n");
    put("bench/mutations.json", "{ not even JSON\n");
    assert_true(kds_id_equal(hash_now(), first));
    static const char *const files[] = {"task.json",          "bench/workloads.json", "prompt.md",
                                        "baseline/kernel.cu", "reference/kernel.cu",  "seeds/a.cu",
                                        "seeds/README.md"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[256];
        kds_buf b;
        kds_err e = {0};
        snprintf(path, sizeof path, "%s/t/%s", root, files[i]);
        kds_buf_init(&b, 1 << 20);
        assert_int_equal(kds_file_read(path, &b, &e), KDS_OK);
        kds_buf_putc(&b, '\n');
        put(files[i], b.data);
        kds_buf_free(&b);
        assert_false(kds_id_equal(hash_now(), first));
        make_task();
        assert_true(kds_id_equal(hash_now(), first));
    }
    put("docs_too.md", "");
    assert_false(kds_id_equal(hash_now(), first));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_extents),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_listed),
        cmocka_unit_test(test_standard_axes_divide_as_doubles),
        cmocka_unit_test(test_shipped),
        cmocka_unit_test(test_shipped_unchecked),
        cmocka_unit_test(test_shipped_bytes),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests_name("task", tests, open_scratch, close_scratch);
}
