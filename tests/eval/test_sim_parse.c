/* Reading PTX: what is not known makes a kernel unrunnable and is named; what is not PTX is refused
 * with its line; and no damage to a text crashes anything. */
#include "tests/eval/sim_test.h"

static const char *missing_of(const char *body, kds_sim_module **m)
{
    static char text[8192];
    snprintf(text, sizeof text,
             HEADER ".global .align 4 .b8 g[8];\n.visible .entry k(.param .u64 a)\n{\n.reg .pred "
                    "%%p<4>; .reg .b16 %%h<4>; .reg .b32 %%r<9>; .reg .f32 %%f<9>; .reg .b64 "
                    "%%d<9>; .reg .f64 %%g<4>;\n%s\nret;\n}\n",
             body);
    *m = load(text);
    return kds_sim_module_missing(*m, "k");
}

static void unknown_instructions_are_named(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"frobnicate.u32 %r1, %r2;", "frobnicate.u32 at line 8"},
        {"\nadd.quick.s32 %r1, %r2, %r3;", "add.quick.s32 at line 9"},
        {"add.sat.u32 %r1, %r2, %r3;", "add.sat.u32"},
        {"add.f32.rn %f1, %f2, %f3;", "add.f32.rn"},
        {"fma.f32 %f1, %f2, %f3, %f4;", "fma.f32"},
        {"fma.rn.f32 %f1, %f2, %f3;", "another number of operands"},
        {"add.s32 %r1, %r2, %d1;", "an operand of another size"},
        {"add.s32 %d1, %r2, %r3;", "a result of another size"},
        {"add.s32 %r1, %r2, %unknown;", "unknown name '%unknown'"},
        {"mov.u32 %r1, %pm0;", "unknown name '%pm0'"},
        {"setp.lt.b32 %p1, %r1, %r2;", "setp.lt.b32"},
        {"setp.ltu.s32 %p1, %r1, %r2;", "setp.ltu.s32"},
        {"cvt.f32.s32 %f1, %r1;", "cvt.f32.s32"},
        {"cvt.rn.s32.s16 %r1, %h1;", "cvt.rn.s32.s16"},
        {"cvt.rni.f32.s32 %f1, %r1;", "cvt.rni.f32.s32"},
        {"ld.global.fancy.u32 %r1, [%d1];", "ld.global.fancy.u32"},
        {"ld.global::cluster.u32 %r1, [%d2];", "ld.global::cluster.u32"},
        {"ld.global.v4.f64 {%g1, %g1, %g1}, [%d1];", "another number of elements"},
        {"ld.global.u32 %r1, [%h1];", "an address in a register of 2 bytes"},
        {"ld.shared.u32 %r1, [g];", "a variable of another state space"},
        {"st.const.u32 [%d1], %r1;", "st.const.u32"},
        {"atom.global.mul.u32 %r1, [%d1], %r2;", "atom.global.mul.u32"},
        {"atom.global.inc.s32 %r1, [%d1], %r2;", "atom.global.inc.s32"},
        {"atom.add.f16x2 %r1, [%d1], %r2;", "atom.add.f16x2"},
        {"red.cas.b32 [%d1], %r1, %r2;", "red.cas.b32"},
        {"shfl.bfly.b32 %r1, %r2, 1, 31;", "shfl.bfly.b32"},
        {"bra NOWHERE;", "no such label"},
        {"bar.red.xor.pred %p1, 0, %p2;", "bar.red.xor.pred"},
        {"cp.async.ca.shared.global [%r1], [%d1], 12;", "a copy of 12 bytes"},
        {"wgmma.commit_group.sync.aligned;", "wgmma.commit_group"},
        {"mma.sync.aligned.m16n8k64.row.col.f32.bf16.bf16.f32 {%f1,%f2,%f3,%f4}, "
         "{%r1,%r2,%r3,%r4}, {%r5,%r6}, {%f1,%f2,%f3,%f4};",
         "mma.sync.aligned.m16n8k64.row.col.f32.bf16.bf16.f32 at line 8"},
        {"{ .param .b32 q; st.param.b32 [q], %r1; call.uni f, (q); }", "no such function 'f'"},
        {"cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r1], "
         "[%d1, {%r2, %r3}], [%r4];",
         "cp.async.bulk.tensor.2d"},
        {"cp.reduce.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes.add.u32 "
         "[%r1], "
         "[%r2], 16, [%r3];",
         "cp.reduce.async.bulk.shared::cluster"},
        {"mbarrier.try_wait.shared::cluster.b64 %p1, [%r1], %d1;",
         "an mbarrier in shared::cluster"},
        {"setmaxnreg.inc.sync.aligned.u32 100;", "100 registers"},
    };
    for (size_t k = 0; k < COUNT(cases); k++) {
        kds_sim_module *m = NULL;
        const char *missing = missing_of(cases[k][0], &m);
        if (missing == NULL || strstr(missing, cases[k][1]) == NULL)
            fail_msg("%s\n%s", cases[k][0], missing != NULL ? missing : "runs");
        kds_sim_memory *memory = kds_sim_memory_create();
        uint64_t a = 0;
        kds_sim_result r = launch(m, "k", 1, 32, 0, &a, 8, memory, NULL);
        assert_int_equal(r.status, KDS_SIM_NOT_SIMULATED);
        assert_non_null(strstr(r.report, cases[k][1]));
        kds_sim_memory_free(memory);
        kds_sim_module_free(m);
    }
}

static void known_forms_are_accepted(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "mov.b64 %d1, {%r1, %r2}; mov.b64 {%r1, %r2}, %d1; mov.b64 %d2, {%h1, %h2, %h3, %h1};",
        "mov.u64 %d1, g; mov.u64 %d1, g+4; ld.global.u32 %r1, [g+4]; ld.u32 %r1, [g];",
        "mov.f32 %f1, 0f3F800000; mov.f64 %g1, 0d3FF0000000000000; add.f32 %f1, %f1, 1.5;",
        "mov.u32 %r1, -1; mov.u32 %r1, 0xFFFFFFFF; mov.u32 %r1, 010; mov.u32 %r1, 4294967295U;",
        "mov.pred %p1, 1; not.pred %p2, %p1; selp.f32 %f1, 0f00000000, %f2, %p1;",
        "mov.u32 %r1, WARP_SZ; mov.u64 %d1, %clock64; mov.u32 %r1, %clock; mov.u64 %d1, "
        "%globaltimer;",
        "add.f32 _, %f1, %f2; ld.global.v2.u32 {_, %r1}, [%d1];",
        ".loc 1 12 3, function_name $L__info_string0, inlined_at 1 4 5\nadd.s32 %r1, %r1, 1;",
        "griddepcontrol.wait; griddepcontrol.launch_dependents; exit;",
        "barrier.cta.sync.aligned 0; barrier.sync.aligned 1, 64; bar.cta.sync 0;",
    };
    for (size_t k = 0; k < COUNT(cases); k++) {
        kds_sim_module *m = NULL;
        const char *missing = missing_of(cases[k], &m);
        if (missing != NULL)
            fail_msg("%s\n%s", cases[k], missing);
        kds_sim_module_free(m);
    }
    kds_sim_module *m = NULL;
    missing_of("", &m);
    assert_string_equal(kds_sim_module_missing(m, "other"), "no such kernel");
    kds_sim_module_free(m);
}

static void what_is_not_ptx_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "PTX line 1: PTX starts with .version (at the end of the text)"},
        {"hello", "PTX line 1: PTX starts with .version (at 'hello')"},
        {".version 8.0\n.address_size 32", "only 64-bit PTX"},
        {HEADER "\n.entry k( { ret; }", "line 5: expected a parameter"},
        {HEADER ".entry k() { ret; ", "the body of 'k' does not end"},
        {HEADER ".entry k() { add.s32 ; }", ""},
        {HEADER ".entry k() { .reg .b32 %r<999999>; }", "more than 200000 registers"},
        {HEADER ".entry k() { .reg .b99 %r; }", "unknown type of register"},
        {HEADER ".entry k() { @1 bra L; }", "the guard is no predicate"},
        {HEADER ".entry k() { L: L: ret; }", "label 'L' is defined twice"},
        {HEADER ".global .u32 x[2] = {1, 2, 3};", "more initial values than"},
        {HEADER ".global .u32 x[4294967295][4294967295];", "an array of more than 4 GiB"},
        {HEADER ".global .b8 x[400000000] = {1};", "too much initial data"},
        {HEADER ".entry k() .maxntid 99999999, 2 { }", "more than 1024 threads"},
        {HEADER ".bogus 1", "unexpected text at module level"},
        {HEADER "/* no end", ""},
    };
    for (size_t k = 0; k < COUNT(cases); k++) {
        kds_sim_module *m = NULL;
        kds_err e = {0};
        kds_code code = kds_sim_module_load(&m, cases[k][0], strlen(cases[k][0]), &e);
        if (cases[k][1][0] == '\0') { /* only must not crash */
            if (code == KDS_OK)
                kds_sim_module_free(m);
            continue;
        }
        if (code == KDS_OK || strstr(e.message, cases[k][1]) == NULL)
            fail_msg("%s\n%s", cases[k][0], code == KDS_OK ? "loaded" : e.message);
    }
}

/* A kernel with a bit of everything, to be damaged. */
static const char *const whole = HEADER
    ".global .align 8 .b8 table[16] = {1, 2, 3, 0xff, 5};\n.const .f32 c = 0f3F800000;\n"
    ".extern .shared .align 16 .b8 dyn[];\n"
    ".visible .entry k(\n.param .u64 .ptr .global .align 16 a,\n.param .align 8 .b8 b[16]\n)\n"
    ".maxntid 128, 1, 1\n{\n.reg .pred %p<5>;\n.reg .b16 %h<4>;\n.reg .f32 %f<8>;\n.reg .b32 %r<9>;"
    "\n.reg .b64 %d<9>;\n.shared .align 4 .b8 s[512];\n.local .align 8 .b8 depot[32];\n"
    "ld.param.u64 %d1, [a];\nld.param.u32 %r1, [b+4];\ncvta.to.global.u64 %d2, %d1;\n"
    "mov.u32 %r2, %tid.x;\nmul.wide.u32 %d3, %r2, 4;\nadd.s64 %d4, %d2, %d3;\n"
    "mov.u64 %d5, depot;\nst.local.v2.u32 [%d5+8], {%r1, %r2};\n"
    "$L_1:\n.loc 1 5 3\nld.global.nc.v2.f32 {%f1, %f2}, [%d2+8];\nfma.rn.ftz.f32 %f3, %f1, %f2, "
    "0f3F800000;\n"
    "shfl.sync.bfly.b32 %r3|%p1, %r2, 1, 31, -1;\nsetp.lt.and.s32 %p2|%p3, %r3, %r1, !%p1;\n"
    "mov.u32 %r4, s;\nshl.b32 %r5, %r2, 2;\nadd.s32 %r4, %r4, %r5;\nst.shared.f32 [%r4], %f3;\n"
    "bar.sync 0;\nld.shared.f32 %f4, [%r4];\n{ .reg .pred P; LOOP: setp.ne.u32 P, %r1, 0; @P bra "
    "OUT; bra.uni LOOP; OUT: }\n"
    "atom.global.add.f32 %f5, [%d4], %f4;\ncvt.rn.bf16x2.f32 %r6, %f4, %f5;\nmov.b32 {%h1, %h2}, "
    "%r6;\n"
    "prmt.b32 %r7, %r6, %r5, 0x5410U;\nts: .branchtargets $L_1, $L_2;\n@%p2 brx.idx %r1, ts;\n"
    "$L_2:\nred.global.max.s32 [%d4+64], %r7;\nst.global.u16 [%d4], %h2;\nret;\n}\n";

/* Loads a text and, if it loads, runs its first kernel with little budget. */
static void try_text(const char *text, size_t len)
{
    kds_sim_module *m = NULL;
    kds_err e;
    if (kds_sim_module_load(&m, text, len, &e) != KDS_OK)
        return;
    if (kds_sim_module_missing(m, "k") == NULL) {
        kds_sim_memory *memory = kds_sim_memory_create();
        struct {
            uint64_t a, b[2];
        } p = {add_buffer(memory, "a", 256, KDS_SIM_DEFINED, false), {UINT64_C(7) << 32, 5}};
        kds_sim_options o = {.check_uninitialised = true, .budget = 2000};
        for (size_t n = 0; n <= 24; n += 8)
            launch(m, "k", 1, 40, 128, &p, n, memory, &o);
        kds_sim_memory_free(memory);
    }
    kds_sim_module_free(m);
}

static void damage_does_no_harm(void **state)
{
    (void)state;
    size_t len = strlen(whole);
    kds_sim_module *m = load(whole);
    assert_null(kds_sim_module_missing(m, "k"));
    kds_sim_module_free(m);
    char *copy = malloc(len + 1);
    assert_non_null(copy);
    for (size_t n = 0; n <= len; n += 7) { /* cut off */
        memcpy(copy, whole, len + 1);
        try_text(copy, n);
    }
    static const char bytes[] = "\0\n{}[](),;:.@!%|<>+-=_$ 09afxZ\"\\/*\xff";
    uint64_t random = 88172645463325252u;
    for (int k = 0; k < 4000; k++) { /* bytes replaced, sometimes pieces moved */
        memcpy(copy, whole, len + 1);
        for (int times = 0; times < 1 + k % 3; times++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            size_t at = random % len, from = (random >> 24) % len, n = (random >> 48) % 24;
            if (k % 5 == 0 && at + n < len && from + n < len)
                memmove(copy + at, copy + from, n);
            else
                copy[at] = bytes[(random >> 32) % (sizeof bytes - 1)];
        }
        try_text(copy, len);
    }
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_instructions_are_named),
        cmocka_unit_test(known_forms_are_accepted),
        cmocka_unit_test(what_is_not_ptx_is_refused),
        cmocka_unit_test(damage_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
