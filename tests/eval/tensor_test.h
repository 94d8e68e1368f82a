/* What the tests of matrix instructions share: number formats by their definition, fragments as the
 * PTX ISA lays them out, and running one instruction on the registers of a warp. None of it is
 * taken from the simulator. */
#ifndef KDS_TESTS_EVAL_TENSOR_TEST_H
#define KDS_TESTS_EVAL_TENSOR_TEST_H

#include "tests/eval/sim_test.h"

typedef enum format { F16, BF16, TF32, F32, F64, S8, U8, S32, E4M3, E5M2 } format;

static inline int format_bytes(format f)
{
    static const int bytes[] = {2, 2, 4, 4, 8, 1, 1, 4, 1, 1};
    return bytes[f];
}

/* A binary floating-point number of `exponent` and `mantissa` bits; e4m3 has no infinity. */
static inline double small_float(uint32_t bits, int exponent, int mantissa, bool infinity)
{
    int e = (int)(bits >> mantissa & ((1u << exponent) - 1)), bias = (1 << (exponent - 1)) - 1;
    uint32_t m = bits & ((1u << mantissa) - 1);
    double sign = (bits >> (exponent + mantissa) & 1) != 0 ? -1 : 1;
    if (infinity && e == (1 << exponent) - 1)
        return m != 0 ? (double)NAN : sign * (double)INFINITY;
    if (!infinity && e == (1 << exponent) - 1 && m == (1u << mantissa) - 1)
        return (double)NAN;
    return sign * (e == 0 ? ldexp(m, 1 - bias - mantissa)
                          : ldexp(m + (1u << mantissa), e - bias - mantissa));
}

static inline double decode(format f, const uint8_t *p)
{
    uint64_t bits = 0;
    double x;
    memcpy(&bits, p, (size_t)format_bytes(f));
    switch (f) {
    case F16:
        return small_float((uint32_t)bits, 5, 10, true);
    case BF16:
        return small_float((uint32_t)bits, 8, 7, true);
    case TF32: /* the upper 19 bits */
        return small_float((uint32_t)bits >> 13, 8, 10, true);
    case F32:
        return small_float((uint32_t)bits, 8, 23, true);
    case E4M3:
        return small_float((uint32_t)bits, 4, 3, false);
    case E5M2:
        return small_float((uint32_t)bits, 5, 2, true);
    case F64:
        memcpy(&x, &bits, sizeof x);
        return x;
    case S8:
        return (int8_t)bits;
    case U8:
        return (uint8_t)bits;
    default:
        return (int32_t)bits;
    }
}

/* The code of a number that the format has. */
static inline void encode(format f, double x, uint8_t *p)
{
    static struct {
        double x;
        uint32_t code;
        bool known;
    } memory[10][256]; /* what was looked for before */
    int32_t whole = (int32_t)x;
    float single = (float)x;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    __typeof__(&memory[0][0]) m = &memory[f][bits * UINT64_C(0x9e3779b97f4a7c15) >> 56];
    if (f == F64)
        memcpy(p, &x, 8);
    else if (f == F32 || f == TF32)
        memcpy(p, &single, 4);
    else if (f == S32)
        memcpy(p, &whole, 4);
    else if (f == S8 || f == U8)
        p[0] = (uint8_t)whole;
    else if (m->known && memcmp(&m->x, &x, sizeof x) == 0)
        memcpy(p, &m->code, (size_t)format_bytes(f));
    else
        for (uint32_t code = 0; code < 65536; code++) {
            memcpy(p, &code, (size_t)format_bytes(f));
            double back = decode(f, p);
            if (back == x && signbit(back) == signbit(x)) {
                m->x = x;
                m->code = code;
                m->known = true;
                return;
            }
        }
}

typedef enum shape {
    M16N8K4_TF32,
    M16N8K8_TF32,
    M16N8K8_HALF,
    M16N8K16_HALF,
    M8N8K16_BYTE,
    M16N8K16_BYTE,
    M16N8K32_BYTE,
    M8N8K4_F64,
    M16N8K4_F64,
    M16N8K8_F64,
    M16N8K16_F64
} shape;

/* Row and column of element i of a lane's fragment of a, as the ISA's chapter on mma gives them. */
static inline void place_a(shape s, int lane, int i, int *row, int *col)
{
    int group = lane >> 2, thread = lane % 4;
    switch (s) {
    case M16N8K4_TF32:
    case M16N8K4_F64:
        *row = i == 0 ? group : group + 8;
        *col = thread;
        return;
    case M16N8K8_TF32:
    case M16N8K8_F64:
        *row = i == 0 || i == 2 ? group : group + 8;
        *col = i == 0 || i == 1 ? thread : thread + 4;
        return;
    case M16N8K8_HALF:
        *row = i == 0 || i == 1 ? group : group + 8;
        *col = thread * 2 + (i & 1);
        return;
    case M16N8K16_HALF:
        *row = (0 <= i && i < 2) || (4 <= i && i < 6) ? group : group + 8;
        *col = i < 4 ? thread * 2 + (i & 1) : thread * 2 + (i & 1) + 8;
        return;
    case M8N8K16_BYTE:
        *row = group;
        *col = thread * 4 + i;
        return;
    case M16N8K16_BYTE:
        *row = i < 4 ? group : group + 8;
        *col = thread * 4 + (i & 3);
        return;
    case M16N8K32_BYTE:
        *row = (0 <= i && i < 4) || (8 <= i && i < 12) ? group : group + 8;
        *col = i < 8 ? thread * 4 + (i & 3) : thread * 4 + (i & 3) + 16;
        return;
    case M8N8K4_F64:
        *row = group;
        *col = thread;
        return;
    default: /* M16N8K16_F64 */
        *row = i % 2 == 0 ? group : group + 8;
        *col = i * 2 - (i % 2) * 2 + thread;
        return;
    }
}

static inline void place_b(shape s, int lane, int i, int *row, int *col)
{
    int group = lane >> 2, thread = lane % 4;
    *col = group;
    switch (s) {
    case M16N8K4_TF32:
    case M16N8K4_F64:
    case M8N8K4_F64:
        *row = thread;
        return;
    case M16N8K8_TF32:
    case M16N8K8_F64:
        *row = i == 0 ? thread : thread + 4;
        return;
    case M16N8K8_HALF:
        *row = thread * 2 + i;
        return;
    case M16N8K16_HALF:
        *row = i < 2 ? thread * 2 + (i & 1) : thread * 2 + (i & 1) + 8;
        return;
    case M8N8K16_BYTE:
    case M16N8K16_BYTE:
        *row = thread * 4 + i;
        return;
    case M16N8K32_BYTE:
        *row = i < 4 ? thread * 4 + (i & 3) : thread * 4 + (i & 3) + 16;
        return;
    default: /* M16N8K16_F64 */
        *row = thread + 4 * i;
        return;
    }
}

static inline void place_c(int lane, int i, int *row, int *col)
{
    *row = i == 0 || i == 1 ? lane >> 2 : (lane >> 2) + 8;
    *col = lane % 4 * 2 + (i & 1);
}

/* A matrix instruction: its registers and what they hold. */
typedef struct form {
    const char *op;
    int a, b, c, d; /* registers of an operand */
    format a_format, b_format, sum;
    shape shape;
    int rows, depth;
} form;

/* PTX that runs an instruction once per block, on the registers of each lane side by side. */
static inline void instruction_ptx(const form *f, char *text, size_t size)
{
    int wide = f->a_format == F64 ? 8 : 4, sum = f->sum == F64 ? 8 : 4;
    const char *in = wide == 8 ? "d" : "r", *acc = sum == 8 ? "d" : f->sum == F32 ? "f" : "r";
    const int counts[] = {f->d, f->a, f->b, f->c}, first[] = {40, 0, 10, 20};
    int load = (f->a + f->b) * wide + f->c * sum, at = 0;
    size_t n = (size_t)snprintf(
        text, size,
        HEADER ".visible .entry k(.param .u64 i, .param .u64 o)\n{\n.reg .b32 %%r<60>, %%t, %%c;\n"
               ".reg .f32 %%f<60>;\n.reg .f64 %%d<60>;\n.reg .b64 %%x<3>;\n"
               "ld.param.u64 %%x0, [i];\nld.param.u64 %%x1, [o];\nmov.u32 %%t, %%tid.x;\n"
               "mov.u32 %%c, %%ctaid.x;\nmad.lo.u32 %%t, %%c, 32, %%t;\n"
               "mad.wide.u32 %%x0, %%t, %d, %%x0;\nmad.wide.u32 %%x1, %%t, %d, %%x1;\n",
        load, f->d * sum);
    for (int o = 1; o < 4; o++)
        for (int k = 0; k < counts[o]; k++) {
            int bytes = o == 3 ? sum : wide;
            n += (size_t)snprintf(text + n, size - n, "ld.global.b%d %%%s%d, [%%x0+%d];\n",
                                  8 * bytes, o == 3 ? acc : in, first[o] + k, at);
            at += bytes;
        }
    n += (size_t)snprintf(text + n, size - n, "%s ", f->op);
    for (int o = 0; o < 4; o++) {
        for (int k = 0; k < counts[o]; k++)
            n += (size_t)snprintf(text + n, size - n, "%s%%%s%d", k == 0 ? "{" : ", ",
                                  o == 0 || o == 3 ? acc : in, first[o] + k);
        n += (size_t)snprintf(text + n, size - n, o < 3 ? "}, " : "};\n");
    }
    for (int k = 0; k < f->d; k++)
        n += (size_t)snprintf(text + n, size - n, "st.global.b%d [%%x1+%d], %%%s%d;\n", 8 * sum,
                              k * sum, acc, first[0] + k);
    snprintf(text + n, size - n, "ret;\n}\n");
}

static inline size_t lane_input(const form *f)
{
    return (size_t)(f->a + f->b) * (f->a_format == F64 ? 8 : 4) +
           (size_t)f->c * (f->sum == F64 ? 8 : 4);
}

static inline size_t lane_output(const form *f)
{
    return (size_t)f->d * (f->sum == F64 ? 8 : 4);
}

/* Runs `blocks` warps of the instruction. */
static inline void run_form(const form *f, int blocks, const uint8_t *in, uint8_t *out,
                            const char *isa)
{
    static char text[16384];
    instruction_ptx(f, text, sizeof text);
    kds_sim_module *m = load(text);
    if (kds_sim_module_missing(m, "k") != NULL)
        fail_msg("%s", kds_sim_module_missing(m, "k"));
    kds_sim_memory *memory = kds_sim_memory_create();
    uint64_t read = lane_input(f) * 32 * (uint64_t)blocks;
    uint64_t written = lane_output(f) * 32 * (uint64_t)blocks;
    const uint64_t p[2] = {add_buffer(memory, "in", read, KDS_SIM_DEFINED, true),
                           add_buffer(memory, "out", written, KDS_SIM_UNDEFINED, false)};
    assert_true(kds_sim_memory_write(memory, p[0], read, in));
    kds_sim_options o = {.check_uninitialised = true, .isa = isa};
    kds_sim_result r = launch(m, "k", (uint32_t)blocks, 32, 0, p, sizeof p, memory, &o);
    if (r.status != KDS_SIM_OK)
        fail_msg("%s: %s", f->op, r.report);
    assert_true(r.counters[KDS_SIM_COUNTER_INST_TENSOR] >= blocks);
    assert_true(kds_sim_memory_read(memory, p[1], written, out, NULL));
    kds_sim_memory_free(memory);
    kds_sim_module_free(m);
}

/* The same numbers on every machine: bits of number i. */
static inline uint32_t noise_bits(uint32_t i)
{
    uint64_t z = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(z >> 32);
}

#endif
