/* Descriptors: bins, cell keys, axes over counters and facts. */
#include "eval/descriptor_facts.h"
#include "eval/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static kds_expr *expr(const char *text)
{
    kds_expr *x = NULL;
    assert_int_equal(kds_expr_parse(&x, text, strlen(text), NULL), KDS_OK);
    return x;
}

static void a_bin_is_the_number_of_edges_reached(void **state)
{
    (void)state;
    kds_axis a = {.edge_count = 3, .edges = {5, 9, 13}};
    assert_int_equal(kds_axis_bin(&a, -1), 0);
    assert_int_equal(kds_axis_bin(&a, 4.999), 0);
    assert_int_equal(kds_axis_bin(&a, 5), 1);
    assert_int_equal(kds_axis_bin(&a, 9), 2);
    assert_int_equal(kds_axis_bin(&a, 13), 3);
    assert_int_equal(kds_axis_bin(&a, 1e300), 3);
    a.edge_count = 0;
    assert_int_equal(kds_axis_bin(&a, 7), 0);
}

static void keys_differ_in_version_bins_and_order(void **state)
{
    (void)state;
    const int bins[] = {1, 2, 3}, swapped[] = {2, 1, 3};
    uint64_t key = kds_cell_key(1, bins, 3);
    assert_true(key == kds_cell_key(1, bins, 3));
    assert_true(key != kds_cell_key(2, bins, 3));
    assert_true(key != kds_cell_key(1, swapped, 3));
    assert_true(key != kds_cell_key(1, bins, 2));
    /* XXH3-64 of the little-endian numbers 1, 1, 2, 3: keys in archives stay what they are. */
    const unsigned char bytes[16] = {1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0};
    assert_true(key == kds_hash64(bytes, sizeof bytes, 0));
}

static void axes_see_counters_and_facts(void **state)
{
    (void)state;
    static kds_task t;
    static kds_measures counters, facts;
    cJSON *json = NULL;
    bool undefined = false;
    memset(&t, 0, sizeof t);
    t.descriptor_version = 3;
    t.axis_count = 3;
    t.axes[0] = (kds_axis){
        .name = "width", .value = expr("a.sum / b.sum"), .edge_count = 2, .edges = {2, 4}};
    t.axes[1] =
        (kds_axis){.name = "registers", .value = expr("registers"), .edge_count = 1, .edges = {32}};
    t.axes[2] = (kds_axis){
        .name = "empty", .value = expr("a.sum / nothing"), .edge_count = 1, .edges = {1}};
    assert_true(kds_measures_set(&counters, "a.sum", 12));
    assert_true(kds_measures_set(&counters, "b.sum", 3));
    assert_true(kds_measures_set(&counters, "nothing", 0));
    assert_true(kds_measures_set(&facts, "registers", 31));
    assert_int_equal(kds_descriptor_json(&t, &counters, &facts, &json, &undefined, NULL), KDS_OK);
    assert_true(undefined);
    char *text = kds_json_print(json);
    assert_non_null(strstr(text, "\"values\":[4,31,0]"));
    assert_non_null(strstr(text, "\"bins\":[2,0,0]"));
    assert_non_null(strstr(text, "\"version\":3"));
    assert_int_equal(strlen(kds_json_str(json, "cell", "")), 16);
    free(text);
    cJSON_Delete(json);

    kds_err e;
    kds_expr_free(t.axes[2].value);
    t.axes[2].value = expr("a.sum + typo.sum");
    assert_int_equal(kds_descriptor_json(&t, &counters, &facts, &json, &undefined, &e),
                     KDS_INVALID);
    assert_non_null(strstr(e.message, "typo.sum"));
    assert_non_null(strstr(e.message, "empty"));
    for (int i = 0; i < 3; i++)
        kds_expr_free(t.axes[i].value);
}

static void measures_are_set_replaced_and_bounded(void **state)
{
    (void)state;
    static kds_measures m;
    char name[16];
    assert_true(kds_measures_set(&m, "x", 1));
    assert_true(kds_measures_set(&m, "x", 2));
    assert_int_equal(m.count, 1);
    assert_float_equal(kds_measures_get(&m, "x", 0), 2, 0);
    assert_float_equal(kds_measures_get(&m, "y", 7), 7, 0);
    for (int i = 1; i < KDS_MEASURES_MAX; i++) {
        (void)snprintf(name, sizeof name, "m%d", i);
        assert_true(kds_measures_set(&m, name, i));
    }
    assert_false(kds_measures_set(&m, "one too many", 1));
    cJSON *json = kds_measures_json(&m);
    assert_int_equal(cJSON_GetArraySize(json), KDS_MEASURES_MAX);
    cJSON_Delete(json);
}

static void the_widest_access_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *ptx;
        int bytes;
    } cases[] = {
        {"", 0},
        {"\tld.param.u64 %rd1, [p];\n\tld.shared.v4.f32 {%f1}, [%r1];\n", 0},
        {"\tld.global.nc.u8 %rs1, [%rd1];\n", 1},
        {"\tld.global.f32 %f1, [%rd1];\n\tst.global.v2.b16 [%rd1], {%rs1, %rs2};\n", 4},
        {"ld.global.v4.u32 {%r1}, [%rd1];", 16},
        {"\t@%p1 st.global.v2.f64 [%rd1], {%fd1, %fd2};\n", 16},
        {"\t@!%p1 ld.global.v8.b32 {%r1}, [%rd1];\n", 32},
        {"\tcp.async.cg.shared.global [%r1], [%rd1], 16;\n", 16},
        {"\tcp.async.bulk.shared::cluster.global [%r1], [%rd1], %r2;\n", 32},
        {"\tadd.s64 %rd1, %rd2, 4; // ld.global.v4.u32\n", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(kds_ptx_access_bytes(cases[i].ptx), cases[i].bytes);
}

static void facts_make_a_descriptor(void **state)
{
    (void)state;
    char ptx[] = "\tld.global.v2.f32 {%f1, %f2}, [%rd1];\n";
    kds_compiled c = {.module_count = 1, .modules = {{.ptx = ptx, .ptx_len = strlen(ptx)}}};
    kds_measures facts = {.count = 0};
    cJSON *json = NULL;
    bool undefined = true;
    kds_err e = {0};
    assert_true(kds_measures_set(&facts, "registers", 64));
    assert_true(kds_measures_set(&facts, "static_shared", 0));
    assert_int_not_equal(kds_descriptor_facts_json(&facts, &c, &json, &undefined, &e), KDS_OK);
    assert_non_null(strstr(e.message, "dynamic_shared"));
    assert_true(kds_measures_set(&facts, "dynamic_shared", 65537));
    assert_int_equal(kds_descriptor_facts_json(&facts, &c, &json, &undefined, &e), KDS_OK);
    assert_false(undefined);
    static const int bins[] = {1, 3, 1};
    for (int i = 0; i < 3; i++)
        assert_int_equal(cJSON_GetArrayItem(kds_json_at(json, "bins"), i)->valueint, bins[i]);
    char cell[20];
    (void)snprintf(cell, sizeof cell, "%016llx",
                   (unsigned long long)kds_cell_key(KDS_FACTS_DESCRIPTOR_VERSION, bins, 3));
    assert_string_equal(kds_json_str(json, "cell", ""), cell);
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bin_is_the_number_of_edges_reached),
        cmocka_unit_test(keys_differ_in_version_bins_and_order),
        cmocka_unit_test(axes_see_counters_and_facts),
        cmocka_unit_test(measures_are_set_replaced_and_bounded),
        cmocka_unit_test(the_widest_access_is_told),
        cmocka_unit_test(facts_make_a_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
