/* The identity of a program: what the device would run, whatever the text. On the small task, with
 * made-up cubins. */
#include "search/engine/program_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BODY "__global__ void f(const float *x, float *y, int n, float a) {}\n"
#define PLAN "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 128)) block(128)\n"

static kds_task *task;

static int load_task(void **state)
{
    (void)state;
    return kds_task_load(&task, KDS_SOURCE_DIR "/tests/tasks/scale", NULL) != KDS_OK;
}

static int free_task(void **state)
{
    (void)state;
    kds_task_free(task);
    return 0;
}

static kds_id program_of(const char *source, uint64_t cubin)
{
    kds_plan *plan = NULL;
    kds_finding f;
    kds_err e = {0};
    kds_id id = {0, 0};
    kds_compiled compiled;
    memset(&compiled, 0, sizeof compiled);
    compiled.cubin_id = (kds_id){1, cubin};
    kds_finding_clear(&f);
    if (kds_plan_parse(&plan, task, source, strlen(source), NULL, &f, &e) != KDS_OK || !plan)
        fail_msg("%s\n%s%s", source, f.text, e.message);
    if (kds_program_id(plan, task, &compiled, &id, &e) != KDS_OK)
        fail_msg("%s", e.message);
    assert_false(kds_id_is_zero(id));
    kds_plan_free(plan);
    return id;
}

/* Layout, names of tunables that nothing reads, and how a number is written make no difference. */
static void test_the_same_program(void **state)
{
    (void)state;
    static const char *const same[] = {
        PLAN BODY,
        "// a comment\n\n" PLAN "\n" BODY,
        "#pragma kda launch f(x,y,n,a) grid(ceil_div(n,64+64)) block(2*64)\n" BODY,
        "#pragma kda launch f(x, y, n, a) grid((n + 127) / 128, 1, 1) block(128, 1) smem(0)\n" BODY,
        "#pragma kda tune UNREAD = 4, 8\n" PLAN BODY,
        "#pragma kda tune UNREAD = 8, 4\n" PLAN BODY,
        "#pragma kda tune T = 128\n#pragma kda launch f(x, y, n, a) grid(ceil_div(n, T)) "
        "block(T)\n" BODY,
        "#pragma kda variant any\n" PLAN BODY,
        "#pragma kda variant never when(n < 0)\n#pragma kda launch f(x, y, n, a) grid(1) "
        "block(32)\n#pragma kda variant any\n" PLAN BODY,
    };
    kds_id id = program_of(PLAN BODY, 7);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (!kds_id_equal(program_of(same[i], 7), id))
            fail_msg("another program: %s", same[i]);
}

/* Anything that the device would do otherwise. All differ from the plain one and from each other.
 */
static void test_other_programs(void **state)
{
    (void)state;
    static const char *const others[] = {
        PLAN BODY,
        "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 256)) block(256)\n" BODY,
        "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 128)) block(64)\n" BODY,
        "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 128)) block(64, 2)\n" BODY,
        "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 128)) block(128) smem(64)\n" BODY,
        "#pragma kda launch f(x, y, n, a) grid(align_up(ceil_div(n, 128), 2)) block(128) "
        "cluster(2)\n" BODY,
        "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 128)) block(128) cooperative\n" BODY,
        "#pragma kda launch f(y, x, n, a) grid(ceil_div(n, 128)) block(128)\n" BODY,
        "#pragma kda launch f(x, y, n - 1, a) grid(ceil_div(n, 128)) block(128)\n" BODY,
        "#pragma kda launch f(x, y, n, a * 2) grid(ceil_div(n, 128)) block(128)\n" BODY,
        PLAN PLAN BODY,
        "#pragma kda scratch s : f32[16]\n" PLAN BODY,
        "#pragma kda scratch s : f32[32]\n" PLAN BODY,
        "#pragma kda scratch s : f64[16]\n" PLAN BODY,
        "#pragma kda scratch zero s : f32[16]\n" PLAN BODY,
        "#pragma kda variant small when(n == 1000)\n#pragma kda launch f(x, y, n, a) grid(8) "
        "block(256)\n#pragma kda variant any\n" PLAN BODY,
    };
    enum { COUNT = sizeof others / sizeof *others };
    kds_id ids[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        ids[i] = program_of(others[i], 7);
        for (size_t k = 0; k < i; k++)
            if (kds_id_equal(ids[i], ids[k]))
                fail_msg("the same program: %s%s", others[i], others[k]);
    }
    assert_false(kds_id_equal(program_of(PLAN BODY, 8), ids[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_program),
        cmocka_unit_test(test_other_programs),
    };
    return cmocka_run_group_tests(tests, load_task, free_task);
}
