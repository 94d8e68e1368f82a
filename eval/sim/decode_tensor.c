/* Matrix instructions: mma.sync, wmma, ldmatrix, stmatrix, movmatrix. Shapes and types that are not
 * in the tables (sparse, 4-bit and 1-bit, block-scaled, m8n8k4 of halves) are not simulated. */
#include "eval/sim/decode.h"
#include "eval/sim/tensor.h"
#include <string.h>

#define FRAGMENT 8 /* registers of one matrix operand, at most */

typedef struct tensor_type {
    const char *name;
    uint8_t bytes;    /* of an element */
    uint8_t together; /* elements that a lane holds side by side */
} tensor_type;

static const tensor_type types[] = {
    [KDS_TENSOR_F16] = {"f16", 2, 2},   [KDS_TENSOR_BF16] = {"bf16", 2, 2},
    [KDS_TENSOR_TF32] = {"tf32", 4, 1}, [KDS_TENSOR_E4M3] = {"e4m3", 1, 4},
    [KDS_TENSOR_E5M2] = {"e5m2", 1, 4}, [KDS_TENSOR_S8] = {"s8", 1, 4},
    [KDS_TENSOR_U8] = {"u8", 1, 4},     [KDS_TENSOR_F64] = {"f64", 8, 1},
};

static int accept_tensor_type(kds_decoder *d)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (kds_accept(d, types[i].name))
            return (int)i;
    return -1;
}

static bool is_integer(int type)
{
    return type == KDS_TENSOR_S8 || type == KDS_TENSOR_U8;
}

static bool is_fp8(int type)
{
    return type == KDS_TENSOR_E4M3 || type == KDS_TENSOR_E5M2;
}

static bool base_is(const kds_decoder *d, const char *name)
{
    return d->segments[0].len == strlen(name) &&
           memcmp(d->segments[0].text, name, d->segments[0].len) == 0;
}

/* The registers of one operand: a vector, or a register alone. */
static bool registers(kds_decoder *d, int position, int count, int bytes, bool real, bool results,
                      int32_t *refs)
{
    const kds_ptx_operand *o = kds_operand(d, position);
    bool vector = o->kind == KDS_OPERAND_VECTOR;
    if ((vector ? o->count : 1) != count)
        return kds_why(d, "another number of registers");
    for (int k = 0; k < count; k++) {
        const kds_ptx_operand *e = vector ? &d->function->operands[o->index + k] : o;
        if (!(results ? kds_define_operand(d, e, bytes, &refs[k])
                      : kds_use_operand(d, e, bytes, real, &refs[k])))
            return false;
    }
    return true;
}

static bool add_all(kds_decoder *d, const int32_t *refs, int count)
{
    for (int k = 0; k < count; k++)
        if (!kds_list_add(d, refs[k]))
            return false;
    return true;
}

static bool define_all(kds_decoder *d, const int32_t *refs, int count)
{
    for (int k = 0; k < count; k++)
        if (!kds_list_define(d, refs[k]))
            return false;
    return true;
}

/* The tile that an instruction consists of. */
typedef struct tile {
    int rows, depth, a_type, b_type;
    bool half_c, half_d;
    int tiles;
} tile;

static int a_registers(const tile *t)
{
    return t->rows / 8 * t->depth / (4 * types[t->a_type].together);
}

static int b_registers(const tile *t)
{
    return t->depth / (4 * types[t->b_type].together);
}

static int sum_registers(const tile *t, bool half)
{
    return t->rows / 8 * (half ? 1 : 2);
}

/* Emits the matrix product; the operands are d, a, b, c in the registers of `refs`, with what a
 * tile needs of each side by side, and `step` registers from one tile to the next (0: both use the
 * same).
 */
static bool emit_product(kds_decoder *d, const tile *t, int32_t refs[4][FRAGMENT],
                         const int step[2], int weight)
{
    int type = t->a_type, a = a_registers(t), b = b_registers(t), c = sum_registers(t, t->half_c);
    kds_op op = type == KDS_TENSOR_F64 ? KDS_OP_mma_f64
                : is_integer(type)     ? KDS_OP_mma_int
                                       : KDS_OP_mma;
    kds_kind(d, op, KDS_PIPE_TENSOR, weight, KDS_WAIT_TENSOR);
    d->ins.flags |= KDS_INS_OWN_MASK;
    d->ins.type = (uint8_t)type;
    d->ins.type2 = (uint8_t)t->b_type;
    d->ins.compare = (uint8_t)t->rows;
    d->ins.bytes = (uint8_t)t->depth;
    d->ins.elements = (uint8_t)t->tiles;
    d->ins.combine =
        (uint8_t)((t->half_c ? KDS_TENSOR_HALF_C : 0) | (t->half_d ? KDS_TENSOR_HALF_D : 0));
    if (!define_all(d, refs[0], sum_registers(t, t->half_d) * t->tiles))
        return false;
    for (int k = 0; k < t->tiles; k++)
        if (!add_all(d, refs[1] + k * step[0], a) || !add_all(d, refs[2] + k * step[1], b) ||
            !add_all(d, refs[3] + k * c, c))
            return false;
    return kds_emit(d);
}

/* ---- mma.sync ---- */

typedef struct mma_shape {
    const char *name;
    uint8_t rows, depth, type;
} mma_shape;

static const mma_shape mma_shapes[] = {
    {"m16n8k8", 16, 8, KDS_TENSOR_F16},    {"m16n8k16", 16, 16, KDS_TENSOR_F16},
    {"m16n8k8", 16, 8, KDS_TENSOR_BF16},   {"m16n8k16", 16, 16, KDS_TENSOR_BF16},
    {"m16n8k4", 16, 4, KDS_TENSOR_TF32},   {"m16n8k8", 16, 8, KDS_TENSOR_TF32},
    {"m16n8k32", 16, 32, KDS_TENSOR_E4M3}, {"m16n8k32", 16, 32, KDS_TENSOR_E5M2},
    {"m8n8k16", 8, 16, KDS_TENSOR_S8},     {"m16n8k16", 16, 16, KDS_TENSOR_S8},
    {"m16n8k32", 16, 32, KDS_TENSOR_S8},   {"m8n8k16", 8, 16, KDS_TENSOR_U8},
    {"m16n8k16", 16, 16, KDS_TENSOR_U8},   {"m16n8k32", 16, 32, KDS_TENSOR_U8},
    {"m8n8k4", 8, 4, KDS_TENSOR_F64},      {"m16n8k4", 16, 4, KDS_TENSOR_F64},
    {"m16n8k8", 16, 8, KDS_TENSOR_F64},    {"m16n8k16", 16, 16, KDS_TENSOR_F64},
};

/* The type of the sums: 0 f32, 1 f16, 2 s32, 3 f64. */
static const char *const sums[] = {"f32", "f16", "s32", "f64", NULL};

static bool sum_fits(int type, int sum)
{
    if (is_integer(type))
        return sum == 2;
    if (type == KDS_TENSOR_F64)
        return sum == 3;
    return sum == 0 || (sum == 1 && type == KDS_TENSOR_F16);
}

static bool types_fit(int a, int b)
{
    return a == b || (is_integer(a) && is_integer(b)) || (is_fp8(a) && is_fp8(b));
}

/* Products that are summed together, with the accumulator. */
static int group_of(int type, int depth)
{
    return is_fp8(type) ? 16 : depth;
}

static bool decode_mma(kds_decoder *d)
{
    if (!kds_accept(d, "sync") || !kds_accept(d, "aligned") || d->at >= d->segment_count)
        return false;
    kds_ptx_name shape = d->segments[d->at++];
    if (!kds_accept(d, "row") || !kds_accept(d, "col"))
        return false;
    bool finite = kds_accept(d, "satfinite");
    int result = kds_accept_of(d, sums), a = accept_tensor_type(d), b = accept_tensor_type(d);
    int sum = kds_accept_of(d, sums);
    if (!kds_all_read(d) || kds_operand_count(d) != 4 || a < 0 || b < 0 || !types_fit(a, b) ||
        sum != result || !sum_fits(a, sum) || (finite && !is_integer(a)))
        return false;
    for (size_t i = 0; i < sizeof mma_shapes / sizeof mma_shapes[0]; i++) {
        const mma_shape *s = &mma_shapes[i];
        if (s->type != a || strlen(s->name) != shape.len ||
            memcmp(s->name, shape.text, shape.len) != 0)
            continue;
        tile t = {s->rows, s->depth, a, b, sum == 1, sum == 1, 1};
        int bytes = a == KDS_TENSOR_F64 ? 8 : 4, none[2] = {0, 0};
        bool real_sum = sum == 0 || sum == 3, real = a == KDS_TENSOR_F64;
        int32_t refs[4][FRAGMENT];
        d->ins.mods = finite ? KDS_MOD_SATFINITE : 0;
        d->ins.rounding = (uint8_t)group_of(a, s->depth);
        return registers(d, 0, sum_registers(&t, sum == 1), bytes, false, true, refs[0]) &&
               registers(d, 1, a_registers(&t), bytes, real, false, refs[1]) &&
               registers(d, 2, b_registers(&t), bytes, real, false, refs[2]) &&
               registers(d, 3, sum_registers(&t, sum == 1), bytes, real_sum, false, refs[3]) &&
               emit_product(d, &t, refs, none, is_fp8(a) ? 2 : 1);
    }
    return false;
}

/* ---- wmma ---- */

typedef enum wmma_kind { SQUARE, TALL, WIDE, SMALL } wmma_kind;

typedef struct wmma_shape {
    const char *name;
    wmma_kind kind;
    int rows, columns, depth;
} wmma_shape;

static const wmma_shape wmma_shapes[] = {
    {"m16n16k16", SQUARE, 16, 16, 16}, {"m32n8k16", TALL, 32, 8, 16}, {"m8n32k16", WIDE, 8, 32, 16},
    {"m16n16k8", SQUARE, 16, 16, 8},   {"m8n8k4", SMALL, 8, 8, 4},
};

static const wmma_shape *accept_shape(kds_decoder *d)
{
    for (size_t i = 0; i < sizeof wmma_shapes / sizeof wmma_shapes[0]; i++)
        if (kds_accept(d, wmma_shapes[i].name))
            return &wmma_shapes[i];
    return NULL;
}

/* Depth 8 is tf32's, depth 4 that of double precision. */
static bool shape_fits(const wmma_shape *s, int type)
{
    return s->depth == (type == KDS_TENSOR_TF32  ? 8
                        : type == KDS_TENSOR_F64 ? 4
                                                 : 16) &&
           !is_fp8(type);
}

/* Registers of a or b: f16 fragments have 8, whatever they hold. */
static int fragment_registers(const wmma_shape *s, bool is_a, int type)
{
    int lines = is_a ? s->rows : s->columns;
    return type == KDS_TENSOR_F16 ? 8 : lines / 8 * s->depth / (4 * types[type].together);
}

static int accept_layout(kds_decoder *d)
{
    static const char *const layouts[] = {"row", "col", NULL};
    return kds_accept_of(d, layouts);
}

/* In how many instructions of the tensor pipe it becomes. */
static int wmma_weight(const wmma_shape *s, int type)
{
    return s->kind == SMALL ? 1 : type == KDS_TENSOR_TF32 ? 4 : 2;
}

/* The two tiles of a product: m16n16 shares a, m32n8 shares b, and m8n32 is the transposed product,
 * of b by a. */
static bool emit_wmma(kds_decoder *d, const wmma_shape *s, tile *t, int32_t refs[4][FRAGMENT])
{
    int step[2] = {0, 0};
    t->rows = s->kind == SMALL ? 8 : 16;
    t->depth = s->depth;
    t->tiles = s->kind == SMALL ? 1 : 2;
    if (s->kind == WIDE) {
        int32_t a[FRAGMENT];
        int type = t->a_type;
        memcpy(a, refs[1], sizeof a);
        memcpy(refs[1], refs[2], sizeof a);
        memcpy(refs[2], a, sizeof a);
        t->a_type = t->b_type;
        t->b_type = type;
    }
    if (s->kind == SQUARE)
        step[1] = b_registers(t);
    else
        step[0] = a_registers(t);
    d->ins.rounding = (uint8_t)(t->a_type == KDS_TENSOR_TF32 ? 4 : s->depth);
    return emit_product(d, t, refs, step, wmma_weight(s, t->a_type));
}

static bool decode_wmma_mma(kds_decoder *d)
{
    if (!kds_accept(d, "sync") || !kds_accept(d, "aligned") || accept_layout(d) < 0 ||
        accept_layout(d) < 0)
        return false;
    const wmma_shape *s = accept_shape(d);
    int result = kds_accept_of(d, sums), a = KDS_TENSOR_F16, b = KDS_TENSOR_F16;
    /* Of halves only the types of d and c are given. */
    int sum = kds_accept_of(d, sums);
    if (sum < 0 || sum == 3) {
        d->at -= sum == 3;
        a = accept_tensor_type(d);
        b = accept_tensor_type(d);
        sum = kds_accept_of(d, sums);
        if (sum != result || a == KDS_TENSOR_F16)
            return false;
    }
    bool finite = kds_accept(d, "satfinite");
    if (a == KDS_TENSOR_F64)
        kds_accept(d, "rn");
    if (s == NULL || !kds_all_read(d) || kds_operand_count(d) != 4 || a < 0 || a != b ||
        !shape_fits(s, a) || !sum_fits(a, sum) || !sum_fits(a, result) ||
        (finite && !is_integer(a)))
        return false;
    tile t = {.a_type = a, .b_type = b, .half_c = sum == 1, .half_d = result == 1};
    int bytes = a == KDS_TENSOR_F64 ? 8 : 4;
    int all = s->kind == SMALL ? 2 : 8;
    bool real = a == KDS_TENSOR_F64, real_sum = sum == 0 || sum == 3;
    int32_t refs[4][FRAGMENT];
    d->ins.mods = finite ? KDS_MOD_SATFINITE : 0;
    return registers(d, 0, result == 1 ? 4 : all, bytes, false, true, refs[0]) &&
           registers(d, 1, fragment_registers(s, true, a), bytes, real, false, refs[1]) &&
           registers(d, 2, fragment_registers(s, false, b), bytes, real, false, refs[2]) &&
           registers(d, 3, sum == 1 ? 4 : all, bytes, real_sum, false, refs[3]) &&
           emit_wmma(d, s, &t, refs);
}

static bool accept_memory(kds_decoder *d, kds_ptx_space *space)
{
    *space = KDS_SPACE_GENERIC;
    if (kds_accept(d, "global"))
        *space = KDS_SPACE_GLOBAL;
    else if (kds_accept(d, "shared") || kds_accept(d, "shared::cta"))
        *space = KDS_SPACE_SHARED;
    return true;
}

/* The address operand, which may name a variable of the space of the opcode. */
static bool matrix_address(kds_decoder *d, int position, kds_ptx_space space)
{
    kds_ptx_space named;
    if (!kds_address(d, position, &named))
        return false;
    d->ins.space = (uint8_t)space;
    return named == KDS_SPACE_GENERIC || named == space ||
           (space == KDS_SPACE_GENERIC && named == KDS_SPACE_GLOBAL) ||
           kds_why(d, "a variable of another state space");
}

/* What the blocks of a fragment are; matrix: 0 a, 1 b, 2 c or d. */
static void set_blocks(kds_decoder *d, const wmma_shape *s, int matrix, int layout, int bytes,
                       int together)
{
    int deep = s->depth / (4 * together);
    bool rows =
        (matrix == 0 && (s->kind == SQUARE || s->kind == TALL)) || (matrix == 1 && s->kind == WIDE);
    if (matrix == 2) {
        d->ins.type = s->kind == SQUARE ? KDS_TENSOR_SUM_WIDE : KDS_TENSOR_SUM_LONG;
        d->ins.elements = s->kind == SMALL ? 1 : 4;
        d->ins.compare = (layout == 1) != (s->kind == WIDE);
    } else {
        int lines = matrix == 0 ? s->rows : s->columns;
        d->ins.type = rows ? KDS_TENSOR_ROWS : KDS_TENSOR_COLUMNS;
        d->ins.elements = (uint8_t)(lines / 8 * deep);
        d->ins.compare = layout != matrix;
    }
    d->ins.bytes = (uint8_t)bytes;
    d->ins.type2 = (uint8_t)together;
    d->ins.rounding = (uint8_t)deep;
}

/* The stride in elements: how far one row (or column) lies from the next. */
static bool stride_operand(kds_decoder *d, int position, const wmma_shape *s, int matrix,
                           int layout)
{
    if (position < kds_operand_count(d))
        return kds_use(d, position, 4, false, &d->ins.b);
    int rows = matrix == 1 ? s->depth : s->rows, columns = matrix == 0 ? s->depth : s->columns;
    return kds_constant(d,
                        (kds_const){.kind = KDS_CONST_BITS,
                                    .bytes = 4,
                                    .bits = (uint64_t)(layout == 0 ? columns : rows)},
                        &d->ins.b);
}

/* Loads and stores of the pipe: one per block, except that ldmatrix takes four, and that elements
 * across the lanes' order go one by one unless they are halves, which are exchanged afterwards. */
static int memory_weight(const kds_decoder *d)
{
    int each = d->ins.compare != 0 && d->ins.bytes != 2 ? d->ins.type2 : 1;
    bool by_matrix = d->ins.space == KDS_SPACE_SHARED && d->ins.bytes == 2;
    return by_matrix ? (d->ins.elements + 3) / 4 : d->ins.elements * each;
}

static bool decode_wmma_memory(kds_decoder *d, bool load)
{
    static const char *const sources[] = {"a", "b", "c", NULL};
    int matrix = load ? kds_accept_of(d, sources) : kds_accept(d, "d") ? 2 : -1;
    if (matrix < 0 || !kds_accept(d, "sync") || !kds_accept(d, "aligned"))
        return false;
    int layout = accept_layout(d);
    const wmma_shape *s = accept_shape(d);
    kds_ptx_space space;
    accept_memory(d, &space);
    int type = -1, sum = -1;
    if (matrix == 2)
        sum = kds_accept_of(d, sums);
    else
        type = accept_tensor_type(d);
    int operands = kds_operand_count(d);
    if (layout < 0 || s == NULL || (type < 0 && sum < 0) || !kds_all_read(d) ||
        (operands != 2 && operands != 3))
        return false;
    if (matrix != 2 && !shape_fits(s, type))
        return false;
    if (matrix == 2 && ((sum == 3) != (s->kind == SMALL) || (s->depth == 8 && sum != 0)))
        return false;
    int bytes = matrix != 2 ? types[type].bytes : sum == 1 ? 2 : sum == 3 ? 8 : 4;
    int count = matrix != 2 ? fragment_registers(s, matrix == 0, type)
                            : (s->kind == SMALL ? 2
                               : sum == 1       ? 4
                                                : 8);
    set_blocks(d, s, matrix, layout, bytes, matrix != 2 ? types[type].together : 2);
    int width = bytes == 8 ? 8 : 4, at = load ? 1 : 0;
    int32_t refs[FRAGMENT];
    if (!matrix_address(d, at, space) || !stride_operand(d, 2, s, matrix, layout) ||
        !registers(d, 1 - at, count, width, sum == 0 || bytes == 8, load, refs) ||
        !(load ? define_all(d, refs, count) : add_all(d, refs, count)))
        return false;
    d->ins.flags |= KDS_INS_OWN_MASK;
    kds_kind(d, load ? KDS_OP_wmma_load : KDS_OP_wmma_store, KDS_PIPE_LSU, memory_weight(d),
             !load                       ? KDS_WAIT_NONE
             : space == KDS_SPACE_SHARED ? KDS_WAIT_SHARED
                                         : KDS_WAIT_GLOBAL);
    return kds_emit(d);
}

static bool decode_wmma(kds_decoder *d)
{
    if (kds_accept(d, "mma"))
        return decode_wmma_mma(d);
    if (kds_accept(d, "load"))
        return decode_wmma_memory(d, true);
    return kds_accept(d, "store") && decode_wmma_memory(d, false);
}

/* ---- ldmatrix, stmatrix, movmatrix ---- */

static bool decode_matrices(kds_decoder *d, bool load)
{
    static const char *const numbers[] = {"x1", "x2", "x4", NULL};
    if (!kds_accept(d, "sync") || !kds_accept(d, "aligned") || !kds_accept(d, "m8n8"))
        return false;
    int number = kds_accept_of(d, numbers), count = 1 << (number < 0 ? 0 : number);
    bool transposed = kds_accept(d, "trans");
    kds_ptx_space space;
    accept_memory(d, &space);
    if (number < 0 || space == KDS_SPACE_GLOBAL || !kds_accept(d, "b16") || !kds_all_read(d) ||
        kds_operand_count(d) != 2)
        return false;
    kds_kind(d, load ? KDS_OP_ldmatrix : KDS_OP_stmatrix, KDS_PIPE_LSU, 1,
             load ? KDS_WAIT_SHARED : KDS_WAIT_NONE);
    d->ins.flags |= KDS_INS_OWN_MASK;
    d->ins.elements = (uint8_t)count;
    d->ins.compare = transposed;
    d->ins.bytes = 2;
    int32_t refs[4];
    return matrix_address(d, load ? 1 : 0, space) &&
           registers(d, load ? 0 : 1, count, 4, false, load, refs) &&
           (load ? define_all(d, refs, count) : add_all(d, refs, count)) && kds_emit(d);
}

static bool decode_movmatrix(kds_decoder *d)
{
    static const char *const segments[] = {"sync", "aligned", "m8n8", "trans", "b16"};
    for (size_t i = 0; i < sizeof segments / sizeof segments[0]; i++)
        if (!kds_accept(d, segments[i]))
            return false;
    if (!kds_all_read(d) || kds_operand_count(d) != 2)
        return false;
    kds_kind(d, KDS_OP_movmatrix, KDS_PIPE_ALU, 1, KDS_WAIT_SHUFFLE);
    d->ins.flags |= KDS_INS_OWN_MASK;
    return kds_define(d, 0, 4, &d->ins.d) && kds_use(d, 1, 4, false, &d->ins.a) && kds_emit(d);
}

bool kds_decode_tensor(kds_decoder *d)
{
    if (base_is(d, "mma"))
        return decode_mma(d);
    if (base_is(d, "wmma"))
        return decode_wmma(d);
    if (base_is(d, "ldmatrix"))
        return decode_matrices(d, true);
    if (base_is(d, "stmatrix"))
        return decode_matrices(d, false);
    return base_is(d, "movmatrix") && decode_movmatrix(d);
}
