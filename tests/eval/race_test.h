/* What the tests of race detection share: small CUDA kernels and PTX bodies, each clean or racy,
 * run in every instruction set. */
#ifndef KDS_TESTS_EVAL_RACE_TEST_H
#define KDS_TESTS_EVAL_RACE_TEST_H

#include "tests/eval/sim_nvrtc.h"

/* Kernels are k(const float *x, float *y, unsigned *u, int n): x is read-only, y and u are defined,
 * all of 64 KiB. */
#define RACE_BYTES 65536u

typedef struct race_case {
    const char *name;
    const char *source;  /* of CUDA, or the body of a PTX kernel */
    const char *want[4]; /* parts of the report; none: no race */
    uint32_t blocks, threads;
    uint32_t cluster;
    bool cooperative;
} race_case;

/* With source lines. */
static inline kds_sim_module *race_compile(const compiler *c, const char *source)
{
    program p = NULL;
    size_t n = 0;
    static char more[640];
    snprintf(more, sizeof more, "%s/cccl", c->include);
    const char *options[] = {"--gpu-architecture=compute_90", "--generate-line-info", c->include,
                             more};
    assert_int_equal(c->create(&p, source, "kernel.cu", 0, NULL, NULL), 0);
    if (c->compile(p, 4, options) != 0) {
        static char log[8192];
        if (c->log_size(p, &n) == 0 && n < sizeof log)
            c->get_log(p, log);
        fail_msg("%s\n%s", source, log);
    }
    assert_int_equal(c->size(p, &n), 0);
    char *ptx = malloc(n);
    assert_non_null(ptx);
    assert_int_equal(c->get(p, ptx), 0);
    c->destroy(&p);
    kds_sim_module *m = NULL;
    kds_err e = {0};
    if (kds_sim_module_load(&m, ptx, n, &e) != KDS_OK)
        fail_msg("%s", e.message);
    free(ptx);
    return m;
}

static inline kds_sim_result race_launch(const race_case *t, const kds_sim_module *m,
                                         kds_sim_memory *memory, const uint64_t address[3],
                                         const char *isa)
{
    struct {
        uint64_t x, y, u;
        int32_t n;
    } p = {address[0], address[1], address[2], (int32_t)(t->blocks * t->threads)};
    kds_sim_options o = {.check_uninitialised = true,
                         .check_races = true,
                         .budget = 20000000,
                         .isa = isa,
                         .cooperative = t->cooperative,
                         .cluster = {t->cluster, 1, 1}};
    if (t->cluster == 0)
        o.cluster[1] = o.cluster[2] = 0;
    const char *missing = kds_sim_module_missing(m, "k");
    if (missing != NULL)
        fail_msg("%s: %s", t->name, missing);
    return launch(m, "k", t->blocks, t->threads, 0, &p, 28, memory, &o);
}

/* Runs a module twice in one memory: a second launch is ordered after the first. */
static inline void race_check(const race_case *t, const kds_sim_module *m)
{
    for (int isa = 0; isa < 2; isa++) {
        kds_sim_memory *memory = kds_sim_memory_create();
        float x[1024];
        for (int k = 0; k < 1024; k++)
            x[k] = (float)(k * 7 % 101) + 1;
        uint64_t address[3] = {add_buffer(memory, "x", RACE_BYTES, KDS_SIM_DEFINED, true),
                               add_buffer(memory, "y", RACE_BYTES, KDS_SIM_DEFINED, false),
                               add_buffer(memory, "u", RACE_BYTES, KDS_SIM_DEFINED, false)};
        for (uint64_t k = 0; k < RACE_BYTES; k += sizeof x)
            assert_true(kds_sim_memory_write(memory, address[0] + k, sizeof x, x));
        for (int run = 0; run < 2; run++) {
            kds_sim_result r = race_launch(t, m, memory, address, instruction_sets()[isa]);
            bool racy = t->want[0] != NULL;
            if (r.status != (racy ? KDS_SIM_RACE : KDS_SIM_OK))
                fail_msg("%s: %s instead of %s: %s", t->name, kds_sim_status_name(r.status),
                         racy ? "race" : "ok", r.report);
            for (int k = 0; k < 4 && t->want[k] != NULL; k++)
                if (strstr(r.report, t->want[k]) == NULL)
                    fail_msg("%s: no '%s' in: %s", t->name, t->want[k], r.report);
            if (racy)
                break;
        }
        kds_sim_memory_free(memory);
    }
}

#define CUDA_HEAD "extern \"C\" __global__ void k(const float *x, float *y, unsigned *u, int n) {\n"

static inline void race_check_cuda(const compiler *c, const race_case *cases, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        kds_sim_module *m = race_compile(c, cases[k].source);
        race_check(&cases[k], m);
        kds_sim_module_free(m);
    }
}

/* %x %y %u the buffers, %t the thread, %b the block, %l the lane, %w the warp; sm: 4 KiB. */
static inline void race_check_ptx(const race_case *cases, size_t count)
{
    static char text[16384];
    for (size_t k = 0; k < count; k++) {
        snprintf(text, sizeof text,
                 HEADER
                 ".visible .entry k(.param .u64 x, .param .u64 y, .param .u64 u, .param .u32 n)\n"
                 "{\n.reg .pred %%p<10>; .reg .b16 %%h<10>; .reg .b32 %%r<30>;\n"
                 ".reg .b64 %%d<20>; .reg .b32 %%t, %%b, %%l, %%w, %%a, %%i;\n"
                 ".reg .b64 %%x, %%y, %%u; .shared .align 16 .b8 sm[4096];\n"
                 "ld.param.u64 %%x, [x]; ld.param.u64 %%y, [y]; ld.param.u64 %%u, [u];\n"
                 "mov.u32 %%t, %%tid.x; mov.u32 %%b, %%ctaid.x; and.b32 %%l, %%t, 31;\n"
                 "shr.u32 %%w, %%t, 5; mov.u32 %%a, sm; shl.b32 %%i, %%t, 2;\n"
                 "add.s32 %%a, %%a, %%i; mov.u32 %%r0, %%t;\n%s\nret;\n}\n",
                 cases[k].source);
        kds_sim_module *m = load(text);
        race_check(&cases[k], m);
        kds_sim_module_free(m);
    }
}

#endif
