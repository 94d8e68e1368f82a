/* What the tests of asynchronous copies and mbarriers share: a kernel around a body, run in both
 * instruction sets. */
#ifndef KDS_TESTS_EVAL_ASYNC_TEST_H
#define KDS_TESTS_EVAL_ASYNC_TEST_H

#include "tests/eval/sim_test.h"

#define ASYNC_INPUTS 8192
#define ASYNC_THREADS 128

/* The input at index i. */
static inline uint32_t async_input(uint32_t i)
{
    return i * 2654435761u + 12345u;
}

/* Runs `body` with %i the input (ASYNC_INPUTS words), %o the output, %t the thread, %b the block,
 * sm 16 KiB of shared memory, m0 to m3 mbarriers behind it, %w the warp; it leaves in %r0 what the
 * thread stores at its place of the output. `out` may be NULL. */
static inline kds_sim_result run_async(const char *body, uint32_t blocks, uint32_t cluster,
                                       uint32_t *out)
{
    static char text[32768];
    static uint32_t in[ASYNC_INPUTS], other[16 * ASYNC_THREADS];
    kds_sim_result r[2];
    assert_true(blocks <= 16);
    for (uint32_t k = 0; k < ASYNC_INPUTS; k++)
        in[k] = async_input(k);
    snprintf(text, sizeof text,
             HEADER
             ".visible .entry k(.param .u64 in, .param .u64 out)\n{\n"
             ".reg .pred %%p<10>; .reg .b16 %%h<4>; .reg .b32 %%r<40>; .reg .b64 %%d<20>;\n"
             ".reg .b32 %%t, %%b, %%w; .reg .b64 %%i, %%o, %%x;\n"
             ".shared .align 128 .b8 sm[16384]; .shared .align 8 .b64 m0, m1, m2, m3;\n"
             "ld.param.u64 %%i, [in]; ld.param.u64 %%o, [out]; mov.u32 %%t, %%tid.x;\n"
             "mov.u32 %%b, %%ctaid.x; shr.u32 %%w, %%t, 5; mov.u32 %%r0, sm;\n"
             "mov.u32 %%r0, m0; mov.u32 %%r0, m1; mov.u32 %%r0, m2; mov.u32 %%r0, m3;\n"
             "mov.u32 %%r0, 0;\n"
             "%s\n"
             "mad.lo.s32 %%t, %%b, 128, %%t; mul.wide.u32 %%x, %%t, 4; add.s64 %%o, %%o, %%x;\n"
             "st.global.u32 [%%o], %%r0; ret;\n}\n",
             body);
    kds_sim_module *m = load(text);
    const char *missing = kds_sim_module_missing(m, "k");
    if (missing != NULL)
        fail_msg("%s", missing);
    for (int isa = 0; isa < 2; isa++) {
        kds_sim_memory *memory = kds_sim_memory_create();
        uint64_t bytes = (uint64_t)blocks * ASYNC_THREADS * 4;
        uint64_t params[2] = {add_buffer(memory, "in", sizeof in, KDS_SIM_DEFINED, true),
                              add_buffer(memory, "out", bytes, KDS_SIM_DEFINED, false)};
        kds_sim_options o = {.check_uninitialised = true,
                             .budget = 50000000,
                             .cluster = {cluster, 1, 1},
                             .isa = instruction_sets()[isa]};
        assert_true(kds_sim_memory_write(memory, params[0], sizeof in, in));
        r[isa] = launch(m, "k", blocks, ASYNC_THREADS, 0, params, sizeof params, memory, &o);
        assert_true(kds_sim_memory_read(memory, params[1], bytes,
                                        isa == 0 && out != NULL ? out : other, NULL));
        if (isa == 1 && out != NULL)
            assert_memory_equal(out, other, bytes);
        kds_sim_memory_free(memory);
    }
    kds_sim_module_free(m);
    assert_int_equal(r[0].status, r[1].status);
    assert_string_equal(r[0].report, r[1].report);
    assert_memory_equal(r[0].counters, r[1].counters, sizeof r[0].counters);
    return r[0];
}

/* One misuse, or correct code (status KDS_SIM_OK, text ""). */
typedef struct async_case {
    const char *body;
    kds_sim_status status;
    const char *text;
} async_case;

static inline void check_async(const async_case *cases, size_t count, uint32_t blocks,
                               uint32_t cluster)
{
    for (size_t c = 0; c < count; c++) {
        kds_sim_result r = run_async(cases[c].body, blocks, cluster, NULL);
        if (r.status != cases[c].status || strstr(r.report, cases[c].text) == NULL ||
            (cases[c].text[0] == '\0') != (r.report[0] == '\0'))
            fail_msg("%s\n%s: %s\nnot %s with '%s'", cases[c].body, kds_sim_status_name(r.status),
                     r.report, kds_sim_status_name(cases[c].status), cases[c].text);
    }
}

#endif
