/* Reading PTX and logs as text: the spellings of several toolkits, and text that was made to
 * mislead. */
#include "eval/compile_parts.h"
#include "eval/judge.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static bool read_ptx(const char *ptx, kds_kernel_facts *k)
{
    memset(k, 0, sizeof *k);
    k->lowered = (char[]){"k"};
    return kds_ptx_facts(ptx, strlen(ptx), k);
}

static void test_parameters(void **state)
{
    (void)state;
    kds_kernel_facts k;
    assert_true(read_ptx(".visible .entry other(.param .u64 a){}\n.visible .entry k(\n"
                         "\t.param .u64 .ptr .global .align 16 k_param_0,\n"
                         "\t.param .u64 .ptr .align 1 k_param_1, // , .param .u8 no\n"
                         "\t.param .f32 k_param_2,\n\t.param .align 8 .b8 k_param_3[20], /* ) */\n"
                         "\t.param .u8 k_param_4,\n\t.param .f64 k_param_5\n)\n{ ret; }\n",
                         &k));
    static const int sizes[] = {8, 8, 4, 20, 1, 8}, offsets[] = {0, 8, 16, 24, 44, 48};
    static const char *const types[] = {"u64", "u64", "f32", "b8", "u8", "f64"};
    assert_int_equal(k.param_count, 6);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(k.params[i].size, sizes[i]);
        assert_int_equal(k.params[i].offset, offsets[i]);
        assert_string_equal(k.params[i].type, types[i]);
    }
    assert_int_equal(k.max_threads, 1024);
    assert_true(read_ptx(".entry k\n{ ret; }", &k));
    assert_int_equal(k.param_count, 0);
    assert_true(read_ptx(".entry k()\n.maxntid 64\n{", &k));
    assert_int_equal(k.param_count, 0);
}

static void test_thread_limits(void **state)
{
    (void)state;
    static const struct {
        const char *directives;
        int threads;
    } cases[] = {{".maxntid 256, 1, 1", 256},
                 {".maxntid 256", 256},
                 {".minnctapersm 2 .maxntid 16, 8, 2 .pragma \"x\";", 256},
                 {".reqntid 96,1,1", 96},
                 {".maxntid 4000000000, 4000000000", 1024},
                 {".minnctapersm 2", 1024}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char ptx[200];
        kds_kernel_facts k;
        snprintf(ptx, sizeof ptx, ".entry k(.param .u32 a)\n%s\n{ ret; }", cases[i].directives);
        assert_true(read_ptx(ptx, &k));
        assert_int_equal(k.max_threads, cases[i].threads);
    }
}

static void test_no_entry(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        ".func k(.param .u64 a) { ret; }",
                                        ".entry kk(.param .u64 a) { ret; }",
                                        "// .entry k(.param .u64 a) {",
                                        ".entry",
                                        ".entry k",
                                        ".entry k(.param .align 3 .b8 a[4]) {",
                                        ".entry k(.param .mystery a) {",
                                        ".entry k(.param .u64 .ptr .align",
                                        ".entry k(.param .u64 a) .maxntid"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        kds_kernel_facts k;
        if (read_ptx(texts[i], &k))
            fail_msg("%s", texts[i]);
    }
    kds_buf b;
    kds_kernel_facts k;
    kds_buf_init(&b, 10000);
    kds_buf_puts(&b, ".entry k(");
    for (int i = 0; i < KDS_PLAN_ARGS + 1; i++)
        kds_buf_printf(&b, "%s.param .u64 p%d", i ? ", " : "", i);
    kds_buf_puts(&b, ") { ret; }");
    assert_false(read_ptx(b.data, &k));
    assert_int_equal(k.param_count, KDS_PLAN_ARGS + 1);
    kds_buf_free(&b);
}

static void test_ptxas_lines(void **state)
{
    (void)state;
    static const char log[] =
        "ptxas info    : 0 bytes gmem\n"
        "ptxas info    : Compiling entry function 'k1' for 'sm_90'\n"
        "ptxas info    : Function properties for k1\n"
        "    16 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads\n"
        "ptxas info    : Function properties for helper\n"
        "    999 bytes stack frame, 999 bytes spill stores, 999 bytes spill loads\n"
        "ptxas info    : Used 30 registers, used 2 barriers, 96 bytes cumulative stack size, 1152 "
        "bytes smem, 400 bytes cmem[0]\n"
        "ptxas info    : Compiling entry function 'k' for 'sm_90'\n"
        "ptxas info    : Function properties for k\n"
        "ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
        "ptxas info    : Used 8 registers, used 0 barriers\n";
    kds_kernel_facts k = {0};
    kds_ptxas_facts(log, "k1", &k);
    assert_int_equal(k.registers, 30);
    assert_int_equal(k.barriers, 2);
    assert_int_equal(k.static_shared_bytes, 1152);
    assert_int_equal(k.stack_bytes, 96);
    assert_int_equal(k.spill_store_bytes, 4);
    assert_int_equal(k.spill_load_bytes, 8);
    memset(&k, 0, sizeof k);
    kds_ptxas_facts(log, "k", &k);
    assert_int_equal(k.registers, 8);
    assert_int_equal(k.static_shared_bytes + k.stack_bytes + k.spill_store_bytes, 0);
    memset(&k, 0, sizeof k);
    kds_ptxas_facts(log, "k12", &k);
    assert_int_equal(k.registers, 0);
    kds_ptxas_facts(
        "Compiling entry function 'k'\nUsed many registers\nUsed 99999999999999999 registers"
        "\nUsed  registers\n registers Used \n",
        "k", &k);
    assert_int_equal(k.registers, 0);
}

static kds_nvrtc fake = {
    .path = (char[]){"/opt/nv/lib/libnvrtc.so.13"},
    .include_count = 2,
    .includes = {(char[]){"/opt/nv/include"}, (char[]){"/opt/nv/include/cccl"}}};

static void clean(const char *raw, size_t len, kds_buf *out)
{
    kds_buf_init(out, KDS_LOG_CAP);
    assert_int_equal(kds_log_clean(&fake, raw, len, out, NULL), KDS_OK);
    assert_int_equal(kds_buf_check(out, "log", NULL), KDS_OK);
}

static void test_clean_log(void **state)
{
    (void)state;
    kds_buf out;
    char raw[2000], here[1000];
    assert_non_null(getcwd(here, sizeof here));
    int n =
        snprintf(raw, sizeof raw,
                 "/opt/nv/include/cuda_bf16.h(12): error: a\n/opt/nv/include/cccl/cuda/x(1): b\n"
                 "/opt/nv/include2/c /opt/nv/lib/x.so\n%s/kernel.cu(3): error\n\n\n\n"
                 "ptxas info    : Compile time = 3.1 ms\n\xff%cend",
                 here, 0);
    clean(raw, (size_t)n, &out);
    assert_string_equal(
        out.data, "<toolkit>/cuda_bf16.h(12): error: a\n<toolkit>/cuda/x(1): b\n"
                  "/opt/nv/include2/c <toolkit>/x.so\nkernel.cu(3): error\n\n\xef\xbf\xbd\nend\n");
    kds_buf_free(&out);
    clean("", 0, &out);
    assert_string_equal(out.data, "");
    kds_buf_free(&out);
}

static void test_long_log(void **state)
{
    (void)state;
    size_t sizes[] = {KDS_LOG_CAP, KDS_LOG_CAP * 20};
    for (int i = 0; i < 2; i++) {
        char *raw = malloc(sizes[i]), words[40];
        kds_buf out;
        memset(raw, 'x', sizes[i]);
        for (size_t at = 0; at + 2 < sizes[i]; at += 2)
            memcpy(raw + at, "\xc3\xa4", 2); /* a cut may not halve a character */
        clean(raw, sizes[i], &out);
        snprintf(words, sizeof words, "[log cut here: %zu bytes in all]\n", sizes[i]);
        assert_true(out.len < KDS_LOG_CAP);
        assert_non_null(strstr(out.data, words));
        assert_null(strstr(out.data, "\xc3\n"));
        kds_buf_free(&out);
        free(raw);
    }
}

static void check_finding(const char *log, const char *with, kds_verdict v, int line,
                          const char *text)
{
    kds_finding f;
    kds_log_finding(log, with, &f);
    assert_string_equal(f.text, text);
    assert_int_equal(f.verdict, v);
    assert_int_equal(f.line, line);
}

static void test_findings(void **state)
{
    (void)state;
    check_finding(
        "kernel.cu(9): warning #1-D: w\n  text\n\nkernel.cu(12): error: bad\n  text\n    ^\n\n"
        "1 error detected in the compilation of \"kernel.cu\".\n",
        "", KDS_VERDICT_COMPILE_FAILED, 12,
        "kernel.cu(12): error: bad\n  text\n    ^\n"
        "1 error detected in the compilation of \"kernel.cu\".\n");
    check_finding("something else\n", "A=1 B=2", KDS_VERDICT_COMPILE_FAILED, 0,
                  "With A=1 B=2:\nsomething else\n");
    check_finding(
        "ptxas info    : x\nptxas         .  y\nptxas error   : Entry function 'k' uses too "
        "much shared data (0x13880 bytes, 0xc000 max)\n",
        "", KDS_VERDICT_LIMITS_EXCEEDED, 0,
        "Static shared memory is limited to 48 KiB (49152 bytes) a block. Use less, or "
        "'extern __shared__' with smem(bytes) in the launch, up to 227 KiB.\n"
        "ptxas error   : Entry function 'k' uses too much shared data (0x13880 bytes, "
        "0xc000 max)\n");
    check_finding("ptxas error : Formal parameter space overflowed\n", "",
                  KDS_VERDICT_LIMITS_EXCEEDED, 0,
                  "ptxas error : Formal parameter space overflowed\n");
}

/* Compiled code goes to workers and back; what comes may be anything. */
static void test_unpack_refuses_nonsense(void **state)
{
    (void)state;
    kds_compiled c = {.cubin_id = {1, 2}, .log = (char[]){""}, .module_count = 1};
    c.modules[0] = (kds_module){
        .ptx = (char[]){"ptx"}, .ptx_len = 3, .cubin = (char[]){"ELF"}, .cubin_len = 3};
    c.modules[0].kernel_count = 1;
    c.modules[0].kernels[0] = (kds_kernel_facts){.name = (char[]){"k"},
                                                 .lowered = (char[]){"_Z1kPfi"},
                                                 .registers = 8,
                                                 .max_threads = 256,
                                                 .params = {{"u64", 8, 0}, {"u32", 4, 8}},
                                                 .param_count = 2};
    kds_frame f;
    kds_frame_init(&f);
    assert_int_equal(kds_compiled_pack(&f, "it", &c, NULL), KDS_OK);
    kds_compiled *back = NULL;
    assert_int_equal(kds_compiled_unpack(&f, "it", &back, NULL), KDS_OK);
    assert_true(kds_id_equal(back->cubin_id, c.cubin_id));
    assert_string_equal(back->modules[0].ptx, "ptx");
    const kds_kernel_facts *k = &back->modules[0].kernels[0];
    assert_string_equal(k->name, "k");
    assert_string_equal(k->lowered, "_Z1kPfi");
    assert_int_equal(k->registers, 8);
    assert_int_equal(k->max_threads, 256);
    assert_int_equal(k->param_count, 2);
    assert_memory_equal(k->params, c.modules[0].kernels[0].params, sizeof k->params);
    kds_compiled_free(back);
    /* registers, barriers, max_threads; size and offset of the second parameter */
    static const struct {
        int at;
        double value;
    } changes[] = {{2, -1}, {7, 1e12}, {8, -5}, {13, 0}, {14, -1}, {14, 1e6}};
    assert_int_equal(kds_compiled_unpack(&f, "other", &back, NULL), KDS_PROTOCOL);
    cJSON *module =
        cJSON_GetArrayItem(cJSON_GetObjectItem(cJSON_GetObjectItem(f.header, "it"), "modules"), 0);
    cJSON *kernel = cJSON_GetArrayItem(cJSON_GetObjectItem(module, "kernels"), 0);
    assert_int_equal(cJSON_GetArraySize(kernel), 2 + 7 + 2 * 3);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        cJSON *item = cJSON_GetArrayItem(kernel, changes[i].at);
        double was = item->valuedouble;
        cJSON_SetNumberValue(item, changes[i].value);
        assert_int_equal(kds_compiled_unpack(&f, "it", &back, NULL), KDS_PROTOCOL);
        cJSON_SetNumberValue(item, was);
    }
    for (int i = 0; i < 15; i++) { /* each item of another kind, and a list that ends there */
        cJSON *rest = cJSON_Duplicate(kernel, true);
        cJSON_ReplaceItemInArray(kernel, i, cJSON_CreateTrue());
        assert_int_equal(kds_compiled_unpack(&f, "it", &back, NULL), KDS_PROTOCOL);
        while (cJSON_GetArraySize(kernel) > i)
            cJSON_DeleteItemFromArray(kernel, i);
        bool whole = i >= 9 && (i - 9) % 3 == 0; /* with fewer parameters */
        assert_int_equal(kds_compiled_unpack(&f, "it", &back, NULL), whole ? KDS_OK : KDS_PROTOCOL);
        if (whole)
            kds_compiled_free(back);
        cJSON_ReplaceItemInArray(cJSON_GetObjectItem(module, "kernels"), 0, rest);
        kernel = rest;
    }
    for (int i = 2; i <= KDS_PLAN_ARGS; i++) { /* one parameter more than there may be */
        cJSON_AddItemToArray(kernel, cJSON_CreateString("u32"));
        cJSON_AddItemToArray(kernel, cJSON_CreateNumber(4));
        cJSON_AddItemToArray(kernel, cJSON_CreateNumber(4 * i));
    }
    assert_int_equal(kds_compiled_unpack(&f, "it", &back, NULL), KDS_PROTOCOL);
    cJSON_SetNumberValue(cJSON_GetObjectItem(module, "ptx"), 7);
    assert_int_equal(kds_compiled_unpack(&f, "it", &back, NULL), KDS_PROTOCOL);
    kds_frame_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_thread_limits),
        cmocka_unit_test(test_no_entry),
        cmocka_unit_test(test_ptxas_lines),
        cmocka_unit_test(test_unpack_refuses_nonsense),
        cmocka_unit_test(test_clean_log),
        cmocka_unit_test(test_long_log),
        cmocka_unit_test(test_findings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
