/* Matrix products: every form against a reference in C that is written from the PTX ISA, exactly
 * where small integers make all orders of summation exact, within the documented precision
 * elsewhere; special values; and bits that an H200 computed. */
#include "tests/eval/tensor_test.h"

#define MMA "mma.sync.aligned."
#define BLOCKS 4

/* clang-format off */
#define INTEGERS(a, A, b, B) \
    {MMA "m8n8k16.row.col.s32." a "." b ".s32", 1, 1, 2, 2, A, B, S32, M8N8K16_BYTE, 8, 16}, \
    {MMA "m16n8k16.row.col.s32." a "." b ".s32", 2, 1, 4, 4, A, B, S32, M16N8K16_BYTE, 16, 16}, \
    {MMA "m16n8k32.row.col.satfinite.s32." a "." b ".s32", 4, 2, 4, 4, A, B, S32, M16N8K32_BYTE, 16, 32}
/* clang-format on */

static const form forms[] = {
    {MMA "m16n8k8.row.col.f32.f16.f16.f32", 2, 1, 4, 4, F16, F16, F32, M16N8K8_HALF, 16, 8},
    {MMA "m16n8k8.row.col.f16.f16.f16.f16", 2, 1, 2, 2, F16, F16, F16, M16N8K8_HALF, 16, 8},
    {MMA "m16n8k16.row.col.f32.f16.f16.f32", 4, 2, 4, 4, F16, F16, F32, M16N8K16_HALF, 16, 16},
    {MMA "m16n8k16.row.col.f16.f16.f16.f16", 4, 2, 2, 2, F16, F16, F16, M16N8K16_HALF, 16, 16},
    {MMA "m16n8k8.row.col.f32.bf16.bf16.f32", 2, 1, 4, 4, BF16, BF16, F32, M16N8K8_HALF, 16, 8},
    {MMA "m16n8k16.row.col.f32.bf16.bf16.f32", 4, 2, 4, 4, BF16, BF16, F32, M16N8K16_HALF, 16, 16},
    {MMA "m16n8k4.row.col.f32.tf32.tf32.f32", 2, 1, 4, 4, TF32, TF32, F32, M16N8K4_TF32, 16, 4},
    {MMA "m16n8k8.row.col.f32.tf32.tf32.f32", 4, 2, 4, 4, TF32, TF32, F32, M16N8K8_TF32, 16, 8},
    {MMA "m16n8k32.row.col.f32.e4m3.e4m3.f32", 4, 2, 4, 4, E4M3, E4M3, F32, M16N8K32_BYTE, 16, 32},
    {MMA "m16n8k32.row.col.f32.e4m3.e5m2.f32", 4, 2, 4, 4, E4M3, E5M2, F32, M16N8K32_BYTE, 16, 32},
    {MMA "m16n8k32.row.col.f32.e5m2.e4m3.f32", 4, 2, 4, 4, E5M2, E4M3, F32, M16N8K32_BYTE, 16, 32},
    {MMA "m16n8k32.row.col.f32.e5m2.e5m2.f32", 4, 2, 4, 4, E5M2, E5M2, F32, M16N8K32_BYTE, 16, 32},
    {MMA "m8n8k4.row.col.f64.f64.f64.f64", 1, 1, 2, 2, F64, F64, F64, M8N8K4_F64, 8, 4},
    {MMA "m16n8k4.row.col.f64.f64.f64.f64", 2, 1, 4, 4, F64, F64, F64, M16N8K4_F64, 16, 4},
    {MMA "m16n8k8.row.col.f64.f64.f64.f64", 4, 2, 4, 4, F64, F64, F64, M16N8K8_F64, 16, 8},
    {MMA "m16n8k16.row.col.f64.f64.f64.f64", 8, 4, 4, 4, F64, F64, F64, M16N8K16_F64, 16, 16},
    INTEGERS("s8", S8, "s8", S8),
    INTEGERS("s8", S8, "u8", U8),
    INTEGERS("u8", U8, "s8", S8),
    INTEGERS("u8", U8, "u8", U8),
};

/* The matrices of a block. */
typedef struct matrices {
    double a[16][32], b[32][8], c[16][8], d[16][8];
} matrices;

static int elements(format f, int registers)
{
    return registers * (f == F64 ? 8 : 4) / format_bytes(f);
}

/* Where the fragments of operand 0 a, 1 b, 2 c of a lane begin in the input. */
static uint8_t *fragment(const form *f, uint8_t *in, int block, int lane, int operand)
{
    size_t wide = f->a_format == F64 ? 8 : 4;
    return in + (size_t)(block * 32 + lane) * lane_input(f) +
           (operand > 0 ? (size_t)f->a * wide : 0) + (operand > 1 ? (size_t)f->b * wide : 0);
}

static void read_matrices(const form *f, uint8_t *in, uint8_t *out, int block, matrices *m)
{
    int row, col;
    for (int lane = 0; lane < 32; lane++) {
        for (int i = 0; i < elements(f->a_format, f->a); i++) {
            place_a(f->shape, lane, i, &row, &col);
            m->a[row][col] = decode(f->a_format, fragment(f, in, block, lane, 0) +
                                                     i * format_bytes(f->a_format));
        }
        for (int i = 0; i < elements(f->b_format, f->b); i++) {
            place_b(f->shape, lane, i, &row, &col);
            m->b[row][col] = decode(f->b_format, fragment(f, in, block, lane, 1) +
                                                     i * format_bytes(f->b_format));
        }
        for (int i = 0; i < elements(f->sum, f->c); i++) {
            place_c(lane, i, &row, &col);
            int bytes = format_bytes(f->sum);
            m->c[row][col] = decode(f->sum, fragment(f, in, block, lane, 2) + i * bytes);
            m->d[row][col] = decode(f->sum, out + (size_t)(block * 32 + lane) * lane_output(f) +
                                                (size_t)(i * bytes));
        }
    }
}

/* How far a sum of `depth` products and an accumulator may be off, whose magnitudes add up to size:
 * each addition in at least the precision of the accumulator, cut or rounded. */
static double allowance(const form *f, double size, double result)
{
    if (f->sum == S32)
        return 0;
    if (f->sum == F64)
        return (f->depth + 1) * size * 0x1p-53;
    double single = (f->depth + 2) * size * 0x1p-23;
    return f->sum == F32 ? single : single + fabs(result) * 0x1p-11 + 0x1p-25;
}

static void check(const form *f, uint8_t *in, uint8_t *out, int blocks, bool exact)
{
    static matrices m;
    for (int block = 0; block < blocks; block++) {
        read_matrices(f, in, out, block, &m);
        for (int i = 0; i < f->rows; i++)
            for (int j = 0; j < 8; j++) {
                double sum = m.c[i][j], size = fabs(sum);
                for (int k = 0; k < f->depth; k++) {
                    sum += m.a[i][k] * m.b[k][j];
                    size += fabs(m.a[i][k] * m.b[k][j]);
                }
                if (!(fabs(m.d[i][j] - sum) <= (exact ? 0 : allowance(f, size, sum))))
                    fail_msg("%s: block %d, d[%d][%d] is %.17g, not %.17g", f->op, block, i, j,
                             m.d[i][j], sum);
            }
    }
}

static uint8_t input[BLOCKS * 32 * 160], output[2][BLOCKS * 32 * 32];

/* Runs it with both instruction sets, which must give the same bits. */
static void run_both(const form *f, int blocks)
{
    size_t len = lane_output(f) * 32 * (size_t)blocks;
    for (int isa = 0; isa < 2; isa++)
        run_form(f, blocks, input, output[isa], instruction_sets()[isa]);
    if (memcmp(output[0], output[1], len) != 0)
        fail_msg("%s: the instruction sets differ", f->op);
}

/* Fills all fragments with what `value` gives for number i. */
static void fill(const form *f, int blocks, double (*value)(format, uint32_t))
{
    uint32_t n = 0;
    for (int block = 0; block < blocks; block++)
        for (int lane = 0; lane < 32; lane++)
            for (int operand = 0; operand < 3; operand++) {
                format t = operand == 0 ? f->a_format : operand == 1 ? f->b_format : f->sum;
                int registers = operand == 0 ? f->a : operand == 1 ? f->b : f->c;
                for (int i = 0; i < elements(t, registers); i++)
                    encode(t, value(t, n++),
                           fragment(f, input, block, lane, operand) + i * format_bytes(t));
            }
}

static double small_integer(format f, uint32_t i)
{
    int v = (int)(noise_bits(i) % 9) - 4;
    return f == U8 ? abs(v) : v;
}

/* Distinct products at every place: an exchange of two elements is seen. */
static void small_integers_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        fill(&forms[i], BLOCKS, small_integer);
        run_both(&forms[i], BLOCKS);
        check(&forms[i], input, output[0], BLOCKS, true);
    }
}

/* Numbers over many binades that every format can hold, some of them zero. */
static double wide_number(format f, uint32_t i)
{
    uint32_t h = noise_bits(i ^ 0x5555);
    bool byte = f == S8 || f == U8;
    if (byte || f == S32)
        return f == U8 ? (int)(h & 255) : f == S8 ? (int8_t)h : (int32_t)h >> 4;
    double v = ldexp(4 + (int)(h & 3), (int)(h >> 8 & 15) % 9 - 6);
    return (h >> 16 & 15) == 0 ? 0 : (h >> 20 & 1) != 0 ? -v : v;
}

static void sums_keep_the_documented_precision(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        fill(&forms[i], BLOCKS, wide_number);
        run_both(&forms[i], BLOCKS);
        check(&forms[i], input, output[0], BLOCKS, false);
    }
}

/* ---- Special values: row 0 of a is {a0, a1, 0, ...}, column 0 of b {b0, b1, 0, ...} ---- */

typedef struct special {
    const char *op;
    double a0, a1, b0, b1, c;
    uint64_t want;
} special;

static const form *form_named(const char *op)
{
    for (size_t i = 0; i < COUNT(forms); i++)
        if (strcmp(forms[i].op + strlen(MMA), op) == 0)
            return &forms[i];
    fail_msg("no form %s", op);
    return NULL;
}

#define HALF "m16n8k16.row.col.f32.f16.f16.f32"
#define HALVES "m16n8k16.row.col.f16.f16.f16.f16"
#define BRAIN "m16n8k16.row.col.f32.bf16.bf16.f32"
#define TENSOR "m16n8k8.row.col.f32.tf32.tf32.f32"
#define FP8 "m16n8k32.row.col.f32.e5m2.e5m2.f32"
#define INF ((double)INFINITY)
#define MOST 0x1.fffffep127

static const special specials[] = {
    {HALF, INF, 0, 1, 0, 1, 0x7f800000},
    {HALF, INF, 0, -1, 0, 1, 0xff800000},
    {HALF, INF, 0, 0, 0, 1, 0x7fffffff},
    {HALF, INF, -INF, 1, 1, 1, 0x7fffffff},
    {HALF, INF, 0, 1, 0, -INF, 0x7fffffff},
    {HALF, 1, 0, 1, 0, -INF, 0xff800000},
    {HALF, 0x1p-24, 0, 0x1p-24, 0, 0, 0x27800000},
    {HALF, -0.0, -0.0, 1, 1, -0.0, 0},
    {HALF, 1, -1, 1, 1, -0.0, 0},
    {HALF, 0, 0, 1, 1, 0x1p-140, 0x200},
    {HALF, 1, 0, 1, 0, 0x1p-23, 0x3f800001},
    {HALF, 1, 0, -1, 0, -0x1.8p-23, 0xbf800001},
    {HALVES, 60000, 0, 1, 0, 10000, 0x7c00},
    {HALVES, 60000, 0, -1, 0, -10000, 0xfc00},
    {HALVES, INF, 0, 0, 0, 0, 0x7fff},
    {HALVES, 0x1p-24, 0, 1, 0, 0x1p-24, 0x0002},
    {HALVES, 0x1p-14, 0, -0x1p-14, 0, 0, 0},
    {HALVES, 2048, 1, 1, 1, 0, 0x6800}, /* to even */
    {HALVES, 2048, 3, 1, 1, 0, 0x6802},
    {BRAIN, 0x1p64, 0, 0x1p64, 0, 0, 0x7f800000},
    {BRAIN, -0x1p64, 0, 0x1p64, 0, 0, 0xff800000},
    {BRAIN, 0x1p104, 0, 1, 0, MOST, 0x7f800000},
    {BRAIN, 0x1p100, -0x1p100, 0x1p30, 0x1p30, 3, 0},
    {BRAIN, 0x1p-75, 0, 0x1p-74, 0, 0x1p-149, 2},
    {BRAIN, 0x1p-130, 0, 0x1p100, 0, 0, 0x30800000},
    {TENSOR, 1 + 0x1p-11, 0, 1, 0, 0, 0x3f800000},
    {TENSOR, 1 + 0x1p-10, 0, 1, 0, 0, 0x3f802000},
    {TENSOR, INF, 0, 0, 0, 0, 0x7fffffff},
    {FP8, INF, 0, 1, 0, 0, 0x7f800000},
    {FP8, INF, -INF, 1, 1, 0, 0x7fffffff},
    {FP8, 0x1p-16, 0, 0x1p-16, 0, 0, 0x2f800000},
};

static double nothing(format f, uint32_t i)
{
    (void)f;
    (void)i;
    return 0;
}

/* Sets the element at a place of a or b. */
static void set_element(const form *f, int operand, int row, int col, double x)
{
    format t = operand == 0 ? f->a_format : f->b_format;
    int count = elements(t, operand == 0 ? f->a : f->b);
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < count; i++) {
            int r, c;
            (operand == 0 ? place_a : place_b)(f->shape, lane, i, &r, &c);
            if (r == row && c == col)
                encode(t, x, fragment(f, input, 0, lane, operand) + i * format_bytes(t));
        }
}

static void special_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(specials); i++) {
        const special *s = &specials[i];
        const form *f = form_named(s->op);
        uint64_t got = 0;
        fill(f, 1, nothing);
        set_element(f, 0, 0, 0, s->a0);
        set_element(f, 0, 0, 1, s->a1);
        set_element(f, 1, 0, 0, s->b0);
        set_element(f, 1, 1, 0, s->b1);
        encode(f->sum, s->c, fragment(f, input, 0, 0, 2));
        run_both(f, 1);
        memcpy(&got, output[0], (size_t)format_bytes(f->sum));
        if (got != s->want)
            fail_msg("case %zu, %s: %g * %g + %g * %g + %g: 0x%llx, not 0x%llx", i, s->op, s->a0,
                     s->b0, s->a1, s->b1, s->c, (unsigned long long)got,
                     (unsigned long long)s->want);
    }
}

/* One odd value anywhere sends a tile on the way for any numbers: all others must not change. */
static void both_ways_agree(void **state)
{
    (void)state;
    static const char *const ops[] = {HALF, HALVES, BRAIN, TENSOR, FP8};
    static uint8_t before[sizeof output[0]];
    for (size_t k = 0; k < COUNT(ops); k++) {
        const form *f = form_named(ops[k]);
        size_t bytes = (size_t)format_bytes(f->sum);
        fill(f, 1, wide_number);
        run_both(f, 1);
        memcpy(before, output[0], sizeof before);
        encode(f->sum, INF, fragment(f, input, 0, 0, 2)); /* c[0][0] */
        run_both(f, 1);
        assert_memory_not_equal(before, output[0], bytes);
        assert_memory_equal(before + bytes, output[0] + bytes, lane_output(f) * 32 - bytes);
    }
}

static void integers_saturate_or_wrap(void **state)
{
    (void)state;
    static const char *const ops[] = {"m16n8k16.row.col.s32.s8.s8.s32",
                                      "m16n8k32.row.col.satfinite.s32.s8.s8.s32"};
    static const int32_t start[] = {INT32_MAX - 5, INT32_MIN + 5};
    for (int k = 0; k < 2; k++)
        for (int down = 0; down < 2; down++) {
            const form *f = form_named(ops[k]);
            int32_t got;
            fill(f, 1, nothing);
            set_element(f, 0, 0, 0, 100);
            set_element(f, 1, 0, 0, down ? -128 : 127);
            encode(S32, start[down], fragment(f, input, 0, 0, 2));
            run_both(f, 1);
            memcpy(&got, output[0], 4);
            int64_t sum = (int64_t)start[down] + 100 * (down ? -128 : 127);
            int32_t end = down ? INT32_MIN : INT32_MAX;
            assert_int_equal(got, k == 0 ? (int32_t)(uint32_t)sum : end);
        }
}

/* Everything else is named, with its line. */
static void other_forms_are_not_simulated(void **state)
{
    (void)state;
    static const form others[] = {
        {MMA "m8n8k4.row.col.f32.f16.f16.f32", 2, 2, 8, 8, F16, F16, F32, 0, 0, 0},
        {MMA "m16n8k32.row.col.s32.s4.s4.s32", 2, 1, 4, 4, S8, S8, S32, 0, 0, 0},
        {MMA "m16n8k16.row.col.f32.e4m3.e4m3.f32", 2, 1, 4, 4, E4M3, E4M3, F32, 0, 0, 0},
        {MMA "m16n8k32.row.col.f16.e4m3.e4m3.f16", 4, 2, 2, 2, E4M3, E4M3, F16, 0, 0, 0},
        {MMA "m16n8k256.row.col.s32.b1.b1.s32.xor.popc", 4, 2, 4, 4, S8, S8, S32, 0, 0, 0},
        {MMA "m16n8k16.col.col.f32.f16.f16.f32", 4, 2, 4, 4, F16, F16, F32, 0, 0, 0},
        {MMA "m16n8k16.row.col.f32.f16.bf16.f32", 4, 2, 4, 4, F16, F16, F32, 0, 0, 0},
        {MMA "m16n8k16.row.col.f32.f16.f16.f32", 2, 2, 4, 4, F16, F16, F32, 0, 0, 0},
        {"wmma.mma.sync.aligned.row.col.m8n8k32.s32.s4.s4.s32", 1, 1, 2, 2, S8, S8, S32, 0, 0, 0},
        {"mma.sp.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", 2, 2, 4, 4, F16, F16, F32, 0, 0,
         0},
    };
    static char text[16384];
    for (size_t i = 0; i < COUNT(others); i++) {
        instruction_ptx(&others[i], text, sizeof text);
        kds_sim_module *m = load(text);
        const char *missing = kds_sim_module_missing(m, "k");
        if (missing == NULL || strncmp(missing, others[i].op, strlen(others[i].op)) != 0)
            fail_msg("%s: %s", others[i].op, missing != NULL ? missing : "accepted");
        assert_non_null(strstr(missing, " at line "));
        kds_sim_module_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_integers_are_exact),
        cmocka_unit_test(sums_keep_the_documented_precision),
        cmocka_unit_test(special_values),
        cmocka_unit_test(both_ways_agree),
        cmocka_unit_test(integers_saturate_or_wrap),
        cmocka_unit_test(other_forms_are_not_simulated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
