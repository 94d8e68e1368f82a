/* What the tests of the simulator share: running PTX snippets on edge values, in every instruction
 * set that is there. */
#ifndef KDS_TESTS_EVAL_SIM_TEST_H
#define KDS_TESTS_EVAL_SIM_TEST_H

#include "eval/sim/sim.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEADER ".version 8.7\n.target sm_90\n.address_size 64\n"

static inline kds_sim_module *load(const char *ptx)
{
    kds_sim_module *m = NULL;
    kds_err e = {0};
    if (kds_sim_module_load(&m, ptx, strlen(ptx), &e) != KDS_OK)
        fail_msg("%s in:\n%s", e.message, ptx);
    return m;
}

static inline uint64_t add_buffer(kds_sim_memory *memory, const char *name, uint64_t bytes,
                                  kds_sim_content content, bool read_only)
{
    kds_sim_buffer b = {
        .name = name, .bytes = bytes, .content = content, .read_only = read_only, .poison = 0xee};
    uint64_t address = kds_sim_memory_add(memory, &b);
    assert_true(address != 0);
    return address;
}

/* Launches and returns the result; only errors of ours fail the test. */
static inline kds_sim_result launch(const kds_sim_module *m, const char *kernel, uint32_t blocks,
                                    uint32_t threads, uint32_t shared, const void *params,
                                    size_t len, kds_sim_memory *memory, const kds_sim_options *o)
{
    const uint32_t grid[3] = {blocks, 1, 1}, block[3] = {threads, 1, 1};
    static const kds_sim_options plain = {.check_uninitialised = true, .budget = 100000000};
    kds_sim_result r;
    kds_err e = {0};
    if (kds_sim_launch(m, kernel, grid, block, shared, params, len, memory, o != NULL ? o : &plain,
                       &r, &e) != KDS_OK)
        fail_msg("%s", e.message);
    return r;
}

/* The instruction sets to test: the last one is "baseline". */
static inline const char *const *instruction_sets(void)
{
    static const char *const all[] = {NULL, "baseline"};
    return all;
}

#define SNIPPET_MAX 8192

/* Runs one snippet for `count` triples. In it %da %db %dc are the inputs, %ra.. their low 32, %ha..
 * their low 16 bits; the result is what it leaves in %d0 (result 'd'), %r0 ('r'), %h0 ('h') or %p0
 * ('p'). */
static inline void run_snippet(const char *snippet, char result, const uint64_t (*in)[3],
                               size_t count, uint64_t *out, const char *isa)
{
    static char text[SNIPPET_MAX];
    const char *take = result == 'd'   ? "mov.b64 %d9, %d0;"
                       : result == 'r' ? "cvt.u64.u32 %d9, %r0;"
                       : result == 'h' ? "cvt.u64.u16 %d9, %h0;"
                                       : "selp.b64 %d9, 1, 0, %p0;";
    snprintf(text, sizeof text,
             HEADER
             ".visible .entry k(.param .u64 in, .param .u64 out, .param .u32 n)\n{\n"
             ".reg .pred %%p<10>; .reg .b16 %%h<10>; .reg .b32 %%r<10>; .reg .b64 %%d<16>;\n"
             ".reg .pred %%q; .reg .b16 %%ha, %%hb, %%hc; .reg .b32 %%ra, %%rb, %%rc, %%n, %%i;\n"
             ".reg .b64 %%da, %%db, %%dc, %%a, %%o, %%x;\n"
             "ld.param.u64 %%a, [in]; ld.param.u64 %%o, [out]; ld.param.u32 %%n, [n];\n"
             "mov.u32 %%i, %%tid.x; mov.u32 %%r9, %%ctaid.x; mov.u32 %%r8, %%ntid.x;\n"
             "mad.lo.s32 %%i, %%r9, %%r8, %%i; setp.ge.u32 %%q, %%i, %%n; @%%q bra END;\n"
             "mul.wide.u32 %%x, %%i, 24; add.s64 %%a, %%a, %%x;\n"
             "mul.wide.u32 %%x, %%i, 8; add.s64 %%o, %%o, %%x;\n"
             "ld.global.b64 %%da, [%%a]; ld.global.b64 %%db, [%%a+8]; ld.global.b64 %%dc, "
             "[%%a+16];\n"
             "cvt.u32.u64 %%ra, %%da; cvt.u32.u64 %%rb, %%db; cvt.u32.u64 %%rc, %%dc;\n"
             "cvt.u16.u64 %%ha, %%da; cvt.u16.u64 %%hb, %%db; cvt.u16.u64 %%hc, %%dc;\n"
             "%s\n%s\nst.global.b64 [%%o], %%d9;\nEND: ret;\n}\n",
             snippet, take);
    kds_sim_module *m = load(text);
    const char *missing = kds_sim_module_missing(m, "k");
    if (missing != NULL)
        fail_msg("%s: %s", snippet, missing);
    kds_sim_memory *memory = kds_sim_memory_create();
    struct {
        uint64_t in, out;
        uint32_t n;
    } p = {add_buffer(memory, "in", count * 24, KDS_SIM_DEFINED, true),
           add_buffer(memory, "out", count * 8, KDS_SIM_UNDEFINED, false), (uint32_t)count};
    assert_true(kds_sim_memory_write(memory, p.in, count * 24, in));
    kds_sim_options o = {.check_uninitialised = true, .isa = isa};
    kds_sim_result r = launch(m, "k", (uint32_t)(count + 127) / 128, 128, 0, &p, 20, memory, &o);
    if (r.status != KDS_SIM_OK)
        fail_msg("%s: %s", snippet, r.report);
    assert_true(kds_sim_memory_read(memory, p.out, count * 8, out, NULL));
    kds_sim_memory_free(memory);
    kds_sim_module_free(m);
}

typedef uint64_t want_fn(uint64_t a, uint64_t b, uint64_t c);

typedef struct op_case {
    const char *snippet;
    char result;
    want_fn *want;
} op_case;

/* Fills triples with all combinations of `arity` values. Returns how many. */
static inline size_t combine(const uint64_t *values, size_t n, int arity, uint64_t (**out)[3])
{
    size_t count = n * (arity > 1 ? n : 1) * (arity > 2 ? n : 1);
    *out = calloc(count, sizeof **out);
    assert_non_null(*out);
    for (size_t i = 0; i < count; i++) {
        (*out)[i][0] = values[i % n];
        (*out)[i][1] = values[i / n % n];
        (*out)[i][2] = values[i / n / n % n];
    }
    return count;
}

/* Each case on all combinations of the values, against its reference, bit for bit. */
static inline void check_cases(const op_case *cases, size_t case_count, const uint64_t *values,
                               size_t n, int arity)
{
    uint64_t(*in)[3];
    size_t count = combine(values, n, arity, &in);
    uint64_t *out = calloc(count, sizeof *out);
    assert_non_null(out);
    for (size_t c = 0; c < case_count; c++)
        for (int isa = 0; isa < 2; isa++) {
            run_snippet(cases[c].snippet, cases[c].result, (const uint64_t(*)[3])in, count, out,
                        instruction_sets()[isa]);
            for (size_t i = 0; i < count; i++) {
                uint64_t want = cases[c].want(in[i][0], in[i][1], in[i][2]);
                if (out[i] != want)
                    fail_msg("%s of 0x%llx 0x%llx 0x%llx: 0x%llx, not 0x%llx (%s)",
                             cases[c].snippet, (unsigned long long)in[i][0],
                             (unsigned long long)in[i][1], (unsigned long long)in[i][2],
                             (unsigned long long)out[i], (unsigned long long)want,
                             isa == 0 ? kds_sim_isa() : "baseline");
            }
        }
    free(in);
    free(out);
}

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

#endif
