/* Matrices between memory and registers: ldmatrix, stmatrix, movmatrix as the PTX ISA lays them
 * out; wmma.load and wmma.store in the layout that an H200 was seen to use; what they report;
 * counters. */
#include "tests/eval/sim_test.h"

static char text[32768];

/* Runs a kernel k(x, o) on a block of `threads`, x holding 16-bit words 0, 1, 2, ... */
static kds_sim_result run_text(uint32_t threads, uint64_t x_bytes, uint8_t *out, uint64_t o_bytes,
                               uint8_t *written, const char *isa)
{
    kds_sim_module *m = load(text);
    if (kds_sim_module_missing(m, "k") != NULL)
        fail_msg("%s in:\n%s", kds_sim_module_missing(m, "k"), text);
    kds_sim_memory *memory = kds_sim_memory_create();
    const uint64_t p[2] = {add_buffer(memory, "x", x_bytes, KDS_SIM_UNDEFINED, true),
                           add_buffer(memory, "o", o_bytes, KDS_SIM_UNDEFINED, false)};
    uint16_t *words = calloc(x_bytes + 2, 1);
    assert_non_null(words);
    for (uint64_t k = 0; k < x_bytes / 2; k++)
        words[k] = (uint16_t)k;
    assert_true(kds_sim_memory_write(memory, p[0], x_bytes, words));
    kds_sim_options o = {.check_uninitialised = true, .budget = 1000000, .isa = isa};
    kds_sim_result r = launch(m, "k", 1, threads, 0, p, sizeof p, memory, &o);
    if (out != NULL)
        assert_true(kds_sim_memory_read(memory, p[1], o_bytes, out, written));
    free(words);
    kds_sim_memory_free(memory);
    kds_sim_module_free(m);
    return r;
}

/* The first `bytes` of x into shared memory `s`. %x0 is x, %x1 o, %t the thread, %s address of s.
 */
#define BEGIN                                                                                      \
    HEADER                                                                                         \
    ".visible .entry k(.param .u64 x, .param .u64 o)\n{\n.reg .b32 %%r<60>, %%t, %%s, %%n;"        \
    "\n.reg .f32 %%f<60>;\n.reg .f64 %%d<60>;\n.reg .b64 %%x<9>, %%g;\n.reg .pred %%p<4>;\n"       \
    ".shared .align 128 .b8 s[%d];\nld.param.u64 %%x0, [x];\nld.param.u64 %%x1, [o];\n"            \
    "mov.u32 %%t, %%tid.x;\nmov.u32 %%s, s;\ncvt.u64.u32 %%g, %%s;\n"                              \
    "cvta.shared.u64 %%g, %%g;\nshl.b32 %%n, %%t, 2;\nsetp.ge.u32 %%p0, %%n, %d;\n"                \
    "@%%p0 bra DONE;\nLOOP:\ncvt.u64.u32 %%x3, %%n;\nadd.u64 %%x4, %%x0, %%x3;\n"                  \
    "ld.global.b32 %%r0, [%%x4];\nadd.u32 %%r1, %%s, %%n;\nst.shared.b32 [%%r1], %%r0;\n"          \
    "add.u32 %%n, %%n, 128;\nsetp.lt.u32 %%p0, %%n, %d;\n@%%p0 bra LOOP;\nDONE:\n"                 \
    "bar.warp.sync -1;\n"

/* ---- ldmatrix, stmatrix, movmatrix ---- */

static const char *const spaces[] = {".shared", ".shared::cta", ""};

/* Lane l names line 31 - l of 32 in shared memory, `stride` bytes apart. */
static size_t begin_matrices(int stride)
{
    int n = snprintf(text, sizeof text,
                     BEGIN "sub.u32 %%r2, 31, %%t;\nmul.lo.u32 %%r2, %%r2, %d;\n"
                           "add.u32 %%r3, %%s, %%r2;\ncvt.u64.u32 %%x5, %%r2;\n"
                           "add.u64 %%x5, %%g, %%x5;\n",
                     32 * stride, 32 * stride, 32 * stride, stride);
    return (size_t)n;
}

KDS_PRINTF(2, 3) static void append(size_t *n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    *n += (size_t)vsnprintf(text + *n, sizeof text - *n, fmt, ap);
    va_end(ap);
    assert_true(*n < sizeof text);
}

static void register_list(size_t *n, char kind, int first, int count)
{
    for (int k = 0; k < count; k++)
        append(n, "%s%%%c%d", k == 0 ? "{" : ", ", kind, first + k);
    append(n, "}");
}

static void ldmatrix_gives_each_lane_its_elements(void **state)
{
    static uint8_t out[32 * 16];
    (void)state;
    for (int form = 0; form < 3 * 2 * 3 * 2; form++) {
        int count = 1 << form % 3, trans = form / 3 % 2, space = form / 6 % 3, wide = form / 18;
        int stride = wide ? 128 : 16;
        size_t n = begin_matrices(stride);
        append(&n, "ldmatrix.sync.aligned.m8n8.x%d%s%s.b16 ", count, trans ? ".trans" : "",
               spaces[space]);
        register_list(&n, 'r', 10, count);
        append(&n, ", [%s];\nmad.wide.u32 %%x6, %%t, %d, %%x1;\n", space == 2 ? "%x5" : "%r3",
               4 * count);
        for (int k = 0; k < count; k++)
            append(&n, "st.global.b32 [%%x6+%d], %%r%d;\n", 4 * k, 10 + k);
        append(&n, "ret;\n}\n");
        for (int isa = 0; isa < 2; isa++) {
            kds_sim_result r = run_text(32, (uint64_t)(32 * stride), out, (uint64_t)(128 * count),
                                        NULL, instruction_sets()[isa]);
            if (r.status != KDS_SIM_OK)
                fail_msg("%s", r.report);
            for (int lane = 0; lane < 32; lane++)
                for (int k = 0; k < count; k++)
                    for (int j = 0; j < 2; j++) {
                        int row = trans ? lane % 4 * 2 + j : lane / 4;
                        int col = trans ? lane / 4 : lane % 4 * 2 + j;
                        uint16_t got;
                        memcpy(&got, out + (lane * count + k) * 4 + 2 * j, 2);
                        assert_int_equal(got, (31 - (8 * k + row)) * stride / 2 + col);
                    }
            assert_true(r.counters[KDS_SIM_COUNTER_SHARED_LD_WAVEFRONTS] ==
                        (wide ? 8 * count : count));
            assert_true(r.counters[KDS_SIM_COUNTER_SHARED_LD_CONFLICTS] == (wide ? 7 * count : 0));
        }
    }
}

static void stmatrix_puts_each_element_in_its_place(void **state)
{
    static uint8_t out[32 * 16];
    (void)state;
    for (int form = 0; form < 3 * 2 * 3; form++) {
        int count = 1 << form % 3, trans = form / 3 % 2, space = form / 6;
        size_t n = begin_matrices(16);
        /* Register k of lane l holds 256 k + 2 l and the number after it. */
        for (int k = 0; k < count; k++)
            append(&n, "mul.lo.u32 %%r%d, %%t, 0x20002;\nadd.u32 %%r%d, %%r%d, %d;\n", 10 + k,
                   10 + k, 10 + k, 0x10000 + 0x1000100 * k);
        append(&n, "stmatrix.sync.aligned.m8n8.x%d%s%s.b16 [%s], ", count, trans ? ".trans" : "",
               spaces[space], space == 2 ? "%x5" : "%r3");
        register_list(&n, 'r', 10, count);
        append(&n, ";\nbar.warp.sync -1;\nshl.b32 %%r2, %%t, 4;\nadd.u32 %%r3, %%s, %%r2;\n"
                   "ld.shared.v4.b32 {%%r4, %%r5, %%r6, %%r7}, [%%r3];\ncvt.u64.u32 %%x5, %%r2;\n"
                   "add.u64 %%x5, %%x1, %%x5;\nst.global.v4.b32 [%%x5], {%%r4, %%r5, %%r6, %%r7};\n"
                   "ret;\n}\n");
        for (int isa = 0; isa < 2; isa++) {
            kds_sim_result r = run_text(32, 512, out, 512, NULL, instruction_sets()[isa]);
            if (r.status != KDS_SIM_OK)
                fail_msg("%s", r.report);
            for (int line = 0; line < 32; line++)
                for (int col = 0; col < 8; col++) {
                    int k = line / 8, row = line % 8, at = (31 - line) * 8 + col;
                    int lane = trans ? col * 4 + row / 2 : row * 4 + col / 2;
                    int want = 256 * k + 2 * lane + (trans ? row : col) % 2;
                    uint16_t got;
                    memcpy(&got, out + 2 * at, 2);
                    assert_int_equal(got, k < count ? want : at);
                }
            assert_true(r.counters[KDS_SIM_COUNTER_SHARED_ST_CONFLICTS] == 0);
        }
    }
}

static void movmatrix_transposes(void **state)
{
    static uint8_t out[128];
    (void)state;
    size_t n = begin_matrices(16);
    append(&n, "mul.lo.u32 %%r10, %%t, 0x20002;\nadd.u32 %%r10, %%r10, 0x10000;\n"
               "movmatrix.sync.aligned.m8n8.trans.b16 %%r11, %%r10;\n"
               "mad.wide.u32 %%x6, %%t, 4, %%x1;\nst.global.b32 [%%x6], %%r11;\nret;\n}\n");
    for (int isa = 0; isa < 2; isa++) {
        kds_sim_result r = run_text(32, 512, out, 128, NULL, instruction_sets()[isa]);
        if (r.status != KDS_SIM_OK)
            fail_msg("%s", r.report);
        for (int row = 0; row < 8; row++)
            for (int col = 0; col < 8; col++) {
                uint16_t got;
                memcpy(&got, out + (8 * row + col) * 2, 2);
                assert_int_equal(got, 8 * col + row);
            }
    }
}

/* ---- wmma.load and wmma.store ---- */

/* A fragment: row and column of the elements of lane 0, in register order, as read off an H200; how
 * far on they are in a lane with one more in its number within a group of four, and in the next
 * group. */
typedef struct fragment {
    const char *matrix, *shape, *type;
    int registers, bytes, rows, columns;
    int places[16][2];
    int thread[2], group[2];
} fragment;

/* clang-format off */
#define A16 {{0, 0}, {0, 1}, {8, 0}, {8, 1}, {0, 8}, {0, 9}, {8, 8}, {8, 9}, {0, 0}, {0, 1}, \
    {8, 0}, {8, 1}, {0, 8}, {0, 9}, {8, 8}, {8, 9}}
#define B16 {{0, 0}, {1, 0}, {8, 0}, {9, 0}, {0, 8}, {1, 8}, {8, 8}, {9, 8}, {0, 0}, {1, 0}, \
    {8, 0}, {9, 0}, {0, 8}, {1, 8}, {8, 8}, {9, 8}}
#define A32 {{0, 0}, {0, 1}, {8, 0}, {8, 1}, {0, 8}, {0, 9}, {8, 8}, {8, 9}, {16, 0}, {16, 1}, \
    {24, 0}, {24, 1}, {16, 8}, {16, 9}, {24, 8}, {24, 9}}
#define B8 {{0, 0}, {1, 0}, {8, 0}, {9, 0}, {0, 0}, {1, 0}, {8, 0}, {9, 0}, {0, 0}, {1, 0}, \
    {8, 0}, {9, 0}, {0, 0}, {1, 0}, {8, 0}, {9, 0}}
#define A8 {{0, 0}, {0, 1}, {0, 8}, {0, 9}, {0, 0}, {0, 1}, {0, 8}, {0, 9}, {0, 0}, {0, 1}, \
    {0, 8}, {0, 9}, {0, 0}, {0, 1}, {0, 8}, {0, 9}}
#define B32 {{0, 0}, {1, 0}, {0, 8}, {1, 8}, {8, 0}, {9, 0}, {8, 8}, {9, 8}, {0, 16}, {1, 16}, \
    {0, 24}, {1, 24}, {8, 16}, {9, 16}, {8, 24}, {9, 24}}
#define C16 {{0, 0}, {0, 1}, {8, 0}, {8, 1}, {0, 8}, {0, 9}, {8, 8}, {8, 9}}
#define C32 {{0, 0}, {0, 1}, {8, 0}, {8, 1}, {16, 0}, {16, 1}, {24, 0}, {24, 1}}
#define C8 {{0, 0}, {1, 0}, {0, 8}, {1, 8}, {0, 16}, {1, 16}, {0, 24}, {1, 24}}
#define Q16A {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {8, 0}, {8, 1}, {8, 2}, {8, 3}}
#define Q16B {{0, 0}, {1, 0}, {2, 0}, {3, 0}, {0, 8}, {1, 8}, {2, 8}, {3, 8}}
#define Q32A {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {8, 0}, {8, 1}, {8, 2}, {8, 3}, {16, 0}, {16, 1}, \
    {16, 2}, {16, 3}, {24, 0}, {24, 1}, {24, 2}, {24, 3}}
#define Q32B {{0, 0}, {1, 0}, {2, 0}, {3, 0}, {0, 8}, {1, 8}, {2, 8}, {3, 8}, {0, 16}, {1, 16}, \
    {2, 16}, {3, 16}, {0, 24}, {1, 24}, {2, 24}, {3, 24}}
/* clang-format on */
#define ACROSS                                                                                     \
    {0, 2},                                                                                        \
    {                                                                                              \
        1, 0                                                                                       \
    }
#define DOWN                                                                                       \
    {2, 0},                                                                                        \
    {                                                                                              \
        0, 1                                                                                       \
    }

static const fragment fragments[] = {
    {"a", "m16n16k16", "f16", 8, 2, 16, 16, A16, ACROSS},
    {"b", "m16n16k16", "f16", 8, 2, 16, 16, B16, DOWN},
    {"a", "m16n16k16", "bf16", 4, 2, 16, 16, A16, ACROSS},
    {"b", "m16n16k16", "bf16", 4, 2, 16, 16, B16, DOWN},
    {"a", "m16n16k16", "s8", 2, 1, 16, 16, Q16A, {0, 4}, {1, 0}},
    {"b", "m16n16k16", "u8", 2, 1, 16, 16, Q16B, {4, 0}, {0, 1}},
    {"c", "m16n16k16", "f32", 8, 4, 16, 16, C16, ACROSS},
    {"c", "m16n16k16", "s32", 8, 4, 16, 16, C16, ACROSS},
    {"c", "m16n16k16", "f16", 4, 2, 16, 16, C16, ACROSS},
    {"a", "m32n8k16", "f16", 8, 2, 32, 16, A32, ACROSS},
    {"b", "m32n8k16", "f16", 8, 2, 16, 8, B8, DOWN},
    {"a", "m32n8k16", "bf16", 8, 2, 32, 16, A32, ACROSS},
    {"b", "m32n8k16", "bf16", 2, 2, 16, 8, B8, DOWN},
    {"a", "m32n8k16", "u8", 4, 1, 32, 16, Q32A, {0, 4}, {1, 0}},
    {"b", "m32n8k16", "s8", 1, 1, 16, 8, Q16B, {4, 0}, {0, 1}},
    {"c", "m32n8k16", "f32", 8, 4, 32, 8, C32, ACROSS},
    {"c", "m32n8k16", "f16", 4, 2, 32, 8, C32, ACROSS},
    {"a", "m8n32k16", "f16", 8, 2, 8, 16, A8, ACROSS},
    {"b", "m8n32k16", "f16", 8, 2, 16, 32, B32, DOWN},
    {"a", "m8n32k16", "bf16", 2, 2, 8, 16, A8, ACROSS},
    {"b", "m8n32k16", "bf16", 8, 2, 16, 32, B32, DOWN},
    {"a", "m8n32k16", "s8", 1, 1, 8, 16, Q16A, {0, 4}, {1, 0}},
    {"b", "m8n32k16", "s8", 4, 1, 16, 32, Q32B, {4, 0}, {0, 1}},
    {"c", "m8n32k16", "f32", 8, 4, 8, 32, C8, DOWN},
    {"c", "m8n32k16", "s32", 8, 4, 8, 32, C8, DOWN},
    {"c", "m8n32k16", "f16", 4, 2, 8, 32, C8, DOWN},
    {"a", "m16n16k8", "tf32", 4, 4, 16, 8, {{0, 0}, {8, 0}, {0, 4}, {8, 4}}, {0, 1}, {1, 0}},
    {"b", "m16n16k8", "tf32", 4, 4, 8, 16, {{0, 0}, {4, 0}, {0, 8}, {4, 8}}, {1, 0}, {0, 1}},
    {"c", "m16n16k8", "f32", 8, 4, 16, 16, C16, ACROSS},
    {"a", "m8n8k4", "f64", 1, 8, 8, 4, {{0, 0}}, {0, 1}, {1, 0}},
    {"b", "m8n8k4", "f64", 1, 8, 4, 8, {{0, 0}}, {1, 0}, {0, 1}},
    {"c", "m8n8k4", "f64", 2, 8, 8, 8, {{0, 0}, {0, 1}}, ACROSS},
};

/* The byte of memory where element e of a lane lies. */
static size_t place_of(const fragment *f, bool column_major, size_t stride, int lane, int e)
{
    int thread = lane % 4, group = lane / 4;
    int row = f->places[e][0] + thread * f->thread[0] + group * f->group[0];
    int column = f->places[e][1] + thread * f->thread[1] + group * f->group[1];
    return (column_major ? (size_t)column * stride + (size_t)row
                         : (size_t)row * stride + (size_t)column) *
           (size_t)f->bytes;
}

static char register_kind(const fragment *f)
{
    return f->bytes == 8 ? 'd' : strcmp(f->type, "f32") == 0 ? 'f' : 'r';
}

/* Elements between the starts of lines: the length of a line and 16 bytes more. */
static size_t stride_of(const fragment *f, bool column_major)
{
    return (size_t)(column_major ? f->rows : f->columns) + 16 / (size_t)f->bytes;
}

static size_t size_of(const fragment *f, bool column_major)
{
    return stride_of(f, column_major) * (size_t)(column_major ? f->columns : f->rows) *
           (size_t)f->bytes;
}

static void check_load(const fragment *f, bool column_major, int space, const char *isa)
{
    static const char *const names[] = {".global", ".shared", "", ""};
    static const char *const bases[] = {"%x0", "%r2", "%x0", "%g"};
    static uint8_t out[32 * 32];
    size_t stride = stride_of(f, column_major), bytes = size_of(f, column_major), n = 0;
    int width = f->bytes == 8 ? 8 : 4;
    char kind = register_kind(f);
    append(&n, BEGIN, (int)bytes, (int)bytes, (int)bytes);
    append(&n, "mov.u32 %%r2, %%s;\nmov.u32 %%r3, %d;\nwmma.load.%s.sync.aligned.%s.%s%s.%s ",
           (int)stride, f->matrix, column_major ? "col" : "row", f->shape, names[space], f->type);
    register_list(&n, kind, 10, f->registers);
    append(&n, ", [%s], %%r3;\nmad.wide.u32 %%x6, %%t, %d, %%x1;\n", bases[space],
           width * f->registers);
    for (int k = 0; k < f->registers; k++)
        append(&n, "st.global.b%d [%%x6+%d], %%%c%d;\n", 8 * width, width * k, kind, 10 + k);
    append(&n, "ret;\n}\n");
    kds_sim_result r = run_text(32, bytes, out, (uint64_t)(32 * width * f->registers), NULL, isa);
    if (r.status != KDS_SIM_OK)
        fail_msg("%s", r.report);
    uint8_t memory[8192];
    for (size_t k = 0; k < bytes / 2; k++)
        memcpy(memory + 2 * k, &(uint16_t){(uint16_t)k}, 2);
    int elements = f->registers * width / f->bytes;
    for (int lane = 0; lane < 32; lane++)
        for (int e = 0; e < elements; e++)
            if (memcmp(out + (lane * elements + e) * f->bytes,
                       memory + place_of(f, column_major, stride, lane, e), (size_t)f->bytes) != 0)
                fail_msg("%s %s %s %s: element %d of lane %d is another one", f->matrix, f->shape,
                         f->type, column_major ? "col" : "row", e, lane);
}

static void wmma_loads_lie_as_on_the_hardware(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(fragments); i++)
        for (int form = 0; form < 16; form++)
            check_load(&fragments[i], form % 2 != 0, form / 2 % 4, instruction_sets()[form / 8]);
}

/* Element e of a lane gets the number lane * elements + e. */
static void check_store(const fragment *f, bool column_major, bool shared, const char *isa)
{
    static uint8_t out[8192], written[8192];
    size_t stride = stride_of(f, column_major), bytes = size_of(f, column_major), n = 0;
    int width = f->bytes == 8 ? 8 : 4, elements = f->registers * width / f->bytes;
    char kind = register_kind(f);
    append(&n, BEGIN, (int)bytes, (int)bytes, (int)bytes);
    append(&n, "mul.lo.u32 %%r2, %%t, %d;\n", elements);
    for (int k = 0; k < f->registers; k++) {
        append(&n, "add.u32 %%r3, %%r2, %d;\n", k * elements / f->registers);
        if (f->bytes == 2)
            append(&n, "mad.lo.u32 %%r10, %%r3, 0x10001, 0x10000;\nmov.b32 %%r%d, %%r10;\n",
                   20 + k);
        else if (f->bytes == 8)
            append(&n, "cvt.u64.u32 %%x3, %%r3;\nmov.b64 %%d%d, %%x3;\n", 20 + k);
        else
            append(&n, "mov.b32 %%%c%d, %%r3;\n", kind, 20 + k);
    }
    append(&n, "wmma.store.d.sync.aligned.%s.%s%s.%s [%s], ", column_major ? "col" : "row",
           f->shape, shared ? ".shared" : ".global", f->type, shared ? "%s" : "%x1");
    register_list(&n, kind, 20, f->registers);
    append(&n, ", %d;\n", (int)stride);
    if (shared) /* copied out again, with what lay there before */
        append(&n,
               "bar.warp.sync -1;\nshl.b32 %%n, %%t, 2;\nOUT:\nadd.u32 %%r1, %%s, %%n;\n"
               "ld.shared.b32 %%r0, [%%r1];\ncvt.u64.u32 %%x3, %%n;\nadd.u64 %%x4, %%x1, %%x3;\n"
               "st.global.b32 [%%x4], %%r0;\nadd.u32 %%n, %%n, 128;\n"
               "setp.lt.u32 %%p0, %%n, %d;\n@%%p0 bra OUT;\n",
               (int)bytes);
    append(&n, "ret;\n}\n");
    kds_sim_result r = run_text(32, bytes, out, bytes, written, isa);
    if (r.status != KDS_SIM_OK)
        fail_msg("%s", r.report);
    size_t count = 0;
    for (size_t k = 0; k < bytes; k++)
        count += written[k];
    assert_int_equal(count, shared ? (int)bytes : 32 * elements * f->bytes);
    for (int lane = 0; lane < 32; lane++)
        for (int e = 0; e < elements; e++) {
            uint64_t want = (uint64_t)(lane * elements + e);
            if (memcmp(out + place_of(f, column_major, stride, lane, e), &want, (size_t)f->bytes) !=
                0)
                fail_msg("store %s %s %s: element %d of lane %d is elsewhere", f->shape, f->type,
                         column_major ? "col" : "row", e, lane);
        }
}

static void wmma_stores_lie_as_the_loads(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(fragments); i++)
        for (int form = 0; fragments[i].matrix[0] == 'c' && form < 8; form++)
            check_store(&fragments[i], form % 2 != 0, form / 2 % 2 != 0,
                        instruction_sets()[form / 4]);
}

/* ---- Reports and counters ---- */

typedef struct fault {
    const char *code; /* after the beginning: s is filled up to `filled` bytes of 1024 */
    int filled;
    uint32_t threads;
    kds_sim_status status;
    const char *says;
} fault;

#define LDMATRIX "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r10, %r11, %r12, %r13}, "
#define LINES "shl.b32 %r2, %t, 4;\nadd.u32 %r2, %r2, %s;\n"
#define LOAD_A                                                                                     \
    "wmma.load.a.sync.aligned.row.m16n16k16.global.f16 {%r10, %r11, %r12, %r13, %r14, %r15, "      \
    "%r16, %r17}, "
#define LOAD_S "wmma.load.b.sync.aligned.col.m16n16k16.shared.bf16 {%r10, %r11, %r12, %r13}, "
#define STORE "wmma.store.d.sync.aligned.row.m16n16k16.f16 "
#define HALVES "{%r10, %r11, %r12, %r13}"
#define MOVE "movmatrix.sync.aligned.m8n8.trans.b16 %r11, %r10;\n"

static const fault faults[] = {
    {LINES LDMATRIX "[%r2];\n", 512, 32, KDS_SIM_OK, ""},
    {LINES LDMATRIX "[%r2+8];\n", 1024, 32, KDS_SIM_MISALIGNED,
     "thread (0, 0, 0): ldmatrix.sync.aligned.m8n8.x4.shared.b16 at PTX line"},
    {LINES LDMATRIX "[%r2+8];\n", 1024, 32, KDS_SIM_MISALIGNED,
     "reads 16 bytes at byte 8 of shared memory (1024 bytes): not a multiple of 16"},
    {LINES LDMATRIX "[%r2+528];\n", 1024, 32, KDS_SIM_OUT_OF_BOUNDS, "thread (31, 0, 0)"},
    {LINES LDMATRIX "[%r2+528];\n", 1024, 32, KDS_SIM_OUT_OF_BOUNDS,
     "reads 16 bytes at byte 1024 of shared memory (1024 bytes)"},
    {LINES LDMATRIX "[%r2];\n", 508, 32, KDS_SIM_UNINITIALISED,
     "reads 16 bytes at byte 496 of shared memory (1024 bytes)"},
    {"ldmatrix.sync.aligned.m8n8.x1.b16 {%r10}, [%x0];\n", 4, 32, KDS_SIM_OUT_OF_BOUNDS,
     "is not in shared memory"},
    {LINES "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%r2+1008], " HALVES ";\n", 4, 32,
     KDS_SIM_OUT_OF_BOUNDS, "writes 16 bytes at byte 1024 of shared memory"},
    {LOAD_A "[%x0], 32;\n", 4, 32, KDS_SIM_OK, ""},
    {LOAD_A "[%x0+48], 32;\n", 4, 32, KDS_SIM_OUT_OF_BOUNDS,
     "thread (28, 0, 0): wmma.load.a.sync.aligned.row.m16n16k16.global.f16"},
    {LOAD_A "[%x0+48], 32;\n", 4, 32, KDS_SIM_OUT_OF_BOUNDS,
     "reads 4 bytes at the end of x (1024 bytes)"},
    {LOAD_A "[%x0+4], 32;\n", 4, 32, KDS_SIM_MISALIGNED,
     "reads 16 bytes at byte 4 of x (1024 bytes): not a multiple of 16"},
    {LOAD_A "[%x0], 28;\n", 4, 32, KDS_SIM_MISALIGNED,
     "a stride of 28 elements is 56 bytes: not a multiple of 16"},
    {"wmma.load.b.sync.aligned.row.m32n8k16.global.s8 {%r10}, [%x0+4], 12;\n", 4, 32, KDS_SIM_OK,
     ""},
    {"wmma.load.b.sync.aligned.row.m32n8k16.global.s8 {%r10}, [%x0+2], 12;\n", 4, 32,
     KDS_SIM_MISALIGNED, "reads 4 bytes at byte 2 of x (1024 bytes): not a multiple of 4"},
    {LOAD_A "[%x1], 16;\n", 4, 32, KDS_SIM_UNINITIALISED, "reads 4 bytes at byte 0 of o"},
    {"mad.wide.u32 %x3, %t, 32, %x0;\n" LOAD_A "[%x3], 16;\n", 4, 32, KDS_SIM_BARRIER,
     "lanes 0 and 1 give different addresses"},
    {LOAD_A "[%x0], %t;\n", 4, 32, KDS_SIM_BARRIER, "lanes 0 and 1 give different strides"},
    {LOAD_S "[%s], 32;\n", 992, 32, KDS_SIM_OK, ""},
    {LOAD_S "[%s], 32;\n", 980, 32, KDS_SIM_UNINITIALISED,
     "thread (29, 0, 0): wmma.load.b.sync.aligned.col.m16n16k16.shared.bf16"},
    {LOAD_S "[%s], 32;\n", 980, 32, KDS_SIM_UNINITIALISED,
     "reads 4 bytes at byte 980 of shared memory"},
    {LOAD_S "[%s+16], 32;\n", 1024, 32, KDS_SIM_OK, ""},
    {LOAD_S "[%s+32], 32;\n", 1024, 32, KDS_SIM_OK, ""},
    {LOAD_S "[%s+48], 32;\n", 1024, 32, KDS_SIM_OUT_OF_BOUNDS,
     "reads 4 bytes at byte 1024 of shared memory (1024 bytes)"},
    {STORE "[%x0], " HALVES ", 16;\n", 4, 32, KDS_SIM_WROTE_INPUT, "writes 4 bytes at byte 0 of x"},
    {STORE "[%x1], " HALVES ", 24;\n", 4, 32, KDS_SIM_OUT_OF_BOUNDS, "of o (512 bytes)"},
    {STORE "[%g], " HALVES ", 16;\n", 4, 32, KDS_SIM_OK, ""},
    {"mov.u64 %x3, 0x200000000;\n" STORE "[%x3], " HALVES ", 16;\n", 4, 32, KDS_SIM_OUT_OF_BOUNDS,
     "a matrix in local memory: it can only lie in global or shared memory"},
    {MOVE, 4, 16, KDS_SIM_BARRIER,
     "all 32 lanes of the warp must execute it, and lanes 0xffff0000 do not exist or have exited"},
    {"setp.eq.u32 %p1, %t, 3;\n@%p1 exit;\n" MOVE, 4, 32, KDS_SIM_BARRIER,
     "lanes 0x00000008 do not"},
    {"setp.eq.u32 %p1, %t, 3;\n@%p1 " MOVE, 4, 32, KDS_SIM_BARRIER, "present: 0x00000008"},
    {"setp.lt.u32 %p1, %t, 3;\n@%p1 bra A;\n" MOVE "bra B;\nA:\n" MOVE "B:\n", 4, 32,
     KDS_SIM_BARRIER, "they never meet"},
};

static void faults_are_reported_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(faults); i++)
        for (int isa = 0; isa < 2; isa++) {
            const fault *f = &faults[i];
            size_t n = 0;
            append(&n, BEGIN, 1024, f->filled, f->filled);
            append(&n,
                   "mov.u32 %%r10, 1;\nmov.u32 %%r11, 2;\nmov.u32 %%r12, 3;\n"
                   "mov.u32 %%r13, 4;\n%sret;\n}\n",
                   f->code);
            if (f->threads < 32) /* the beginning is for a whole warp */
                memcpy(strstr(text, "bar.warp.sync -1;"), "                 ", 17);
            kds_sim_result r = run_text(f->threads, 1024, NULL, 512, NULL, instruction_sets()[isa]);
            if (r.status != f->status || (f->status != KDS_SIM_OK && !strstr(r.report, f->says)))
                fail_msg("case %zu: %s: '%s' does not say '%s'", i, kds_sim_status_name(r.status),
                         r.report, f->says);
        }
}

typedef struct count_case {
    const char *code;
    int sectors, requests, wavefronts, conflicts, pipe;
} count_case;

/* Requests and sectors of global loads, wavefronts and conflicts of shared ones, instructions on
 * the load pipe: a line of a block is 16 bytes, in 32-byte sectors or four banks. */
static void accesses_are_counted(void **state)
{
    (void)state;
#define LOAD(m, layout, space, type, regs)                                                         \
    "wmma.load." m ".sync.aligned." layout ".m16n16k16." space "." type " {" regs "}, "
#define R4 "%r10, %r11, %r12, %r13"
#define F8 "%f10, %f11, %f12, %f13, %f14, %f15, %f16, %f17"
    static const count_case cases[] = {
        {LOAD("a", "row", "global", "bf16", R4) "[%x0], 16;\n", 32, 4, 0, 0, 4},
        {LOAD("a", "col", "global", "bf16", R4) "[%x0], 16;\n", 32, 4, 0, 0, 4},
        {LOAD("a", "row", "global", "s8", "%r10, %r11") "[%x0], 16;\n", 8, 2, 0, 0, 2},
        {LOAD("a", "col", "global", "s8", "%r10, %r11") "[%x0], 16;\n", 32, 8, 0, 0, 8},
        {LOAD("c", "row", "global", "f32", F8) "[%x0], 16;\n", 32, 4, 0, 0, 4},
        {LOAD("c", "col", "global", "f32", F8) "[%x0], 16;\n", 32, 8, 0, 0, 8},
        {LOAD("a", "row", "shared", "bf16", R4) "[%s], 16;\n", 0, 0, 8, 4, 1},
        {LOAD("a", "row", "shared", "bf16", R4) "[%s], 24;\n", 0, 0, 4, 0, 1},
        {LOAD("a", "col", "shared", "bf16", R4) "[%s], 24;\n", 0, 0, 4, 0, 1},
        {LOAD("c", "row", "shared", "f32", F8) "[%s], 16;\n", 0, 0, 16, 8, 4},
        {LOAD("c", "col", "shared", "f32", F8) "[%s], 16;\n", 0, 0, 32, 24, 8},
        {LOAD("c", "col", "shared", "f32", F8) "[%s], 12;\n", 0, 0, 8, 0, 8},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        for (int isa = 0; isa < 2; isa++) {
            const count_case *c = &cases[i];
            double counters[2][5];
            for (int with = 0; with < 2; with++) {
                size_t n = 0;
                append(&n, BEGIN, 1024, 1024, 1024);
                append(&n, "%sret;\n}\n", with ? c->code : "");
                kds_sim_result r = run_text(32, 1024, NULL, 512, NULL, instruction_sets()[isa]);
                assert_int_equal(r.status, KDS_SIM_OK);
                static const kds_sim_counter which[5] = {
                    KDS_SIM_COUNTER_GLOBAL_LD_SECTORS, KDS_SIM_COUNTER_GLOBAL_LD_REQUESTS,
                    KDS_SIM_COUNTER_SHARED_LD_WAVEFRONTS, KDS_SIM_COUNTER_SHARED_LD_CONFLICTS,
                    KDS_SIM_COUNTER_INST_LSU};
                for (int k = 0; k < 5; k++)
                    counters[with][k] = r.counters[which[k]];
            }
            const int want[5] = {c->sectors, c->requests, c->wavefronts, c->conflicts, c->pipe};
            for (int k = 0; k < 5; k++)
                if (counters[1][k] - counters[0][k] != want[k])
                    fail_msg("case %zu, counter %d: %g, not %d", i, k,
                             counters[1][k] - counters[0][k], want[k]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ldmatrix_gives_each_lane_its_elements),
        cmocka_unit_test(stmatrix_puts_each_element_in_its_place),
        cmocka_unit_test(movmatrix_transposes),
        cmocka_unit_test(wmma_loads_lie_as_on_the_hardware),
        cmocka_unit_test(wmma_stores_lie_as_the_loads),
        cmocka_unit_test(faults_are_reported_with_their_place),
        cmocka_unit_test(accesses_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
