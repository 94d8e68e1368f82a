/* mov (with packing and unpacking), cvta, and cvt. */
#include "eval/sim/decode.h"
#include <string.h>

static bool base_is(const kds_decoder *d, const char *name)
{
    return d->segments[0].len == strlen(name) &&
           memcmp(d->segments[0].text, name, d->segments[0].len) == 0;
}

static bool name_is(const kds_ptx_operand *o, const char *name)
{
    return o->kind == KDS_OPERAND_NAME && o->name.len == strlen(name) &&
           memcmp(o->name.text, name, o->name.len) == 0;
}

static const kds_ptx_operand *element(const kds_decoder *d, const kds_ptx_operand *vector, int k)
{
    return &d->function->operands[vector->index + k];
}

/* mov.b32 %r, {%h0, %h1} */
static bool pack(kds_decoder *d, int bytes)
{
    const kds_ptx_operand *v = kds_operand(d, 1);
    int each = v->count > 0 ? bytes / v->count : 0;
    if ((each != 2 && each != 4) || each * v->count != bytes)
        return kds_why(d, "a vector of %d elements", v->count);
    kds_kind(d, each == 2 ? KDS_OP_pack_b16 : KDS_OP_pack_b32,
             each == 2 ? KDS_PIPE_ALU : KDS_PIPE_NONE, each == 2 ? v->count / 2 : 0, KDS_WAIT_ALU);
    int32_t refs[KDS_PTX_ELEMENTS];
    for (int k = 0; k < v->count; k++)
        if (!kds_use_operand(d, element(d, v, k), each, false, &refs[k]))
            return false;
    d->ins.elements = v->count;
    for (int k = 0; k < v->count; k++)
        if (!kds_list_add(d, refs[k]))
            return false;
    d->ins.result_bytes = (uint8_t)bytes;
    return kds_define(d, 0, bytes, &d->ins.d) && kds_emit(d);
}

/* mov.b32 {%h0, %h1}, %r */
static bool unpack(kds_decoder *d, int bytes)
{
    const kds_ptx_operand *v = kds_operand(d, 0);
    int each = v->count > 0 ? bytes / v->count : 0;
    if ((each != 2 && each != 4) || each * v->count != bytes)
        return kds_why(d, "a vector of %d elements", v->count);
    kds_kind(d, each == 2 ? KDS_OP_unpack_b16 : KDS_OP_unpack_b32, KDS_PIPE_NONE, 0, KDS_WAIT_ALU);
    d->ins.elements = v->count;
    d->ins.flags |= KDS_INS_OWN_MASK;
    for (int k = 0; k < v->count; k++) {
        int32_t ref;
        if (!kds_define_operand(d, element(d, v, k), each, &ref) || !kds_list_define(d, ref))
            return false;
    }
    return kds_use(d, 1, bytes, false, &d->ins.a) && kds_emit(d);
}

/* Registers that move while a block runs. */
static bool clocks(kds_decoder *d, int bytes)
{
    static const struct {
        const char *name;
        int bytes;
        uint8_t which; /* 1: nanoseconds, 2: high word */
    } names[] = {{"%clock", 4, 0},       {"%clock64", 8, 0},        {"%clock_hi", 4, 2},
                 {"%globaltimer", 8, 1}, {"%globaltimer_lo", 4, 1}, {"%globaltimer_hi", 4, 3}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (name_is(kds_operand(d, 1), names[i].name) && names[i].bytes == bytes) {
            kds_kind(d, bytes == 8 ? KDS_OP_clock64 : KDS_OP_clock32, KDS_PIPE_ALU, 2, KDS_WAIT_XU);
            d->ins.combine = names[i].which;
            d->ins.result_bytes = (uint8_t)bytes;
            return kds_define(d, 0, bytes, &d->ins.d) && kds_emit(d);
        }
    return false;
}

static bool decode_mov(kds_decoder *d)
{
    kds_ptx_type type = kds_accept_type(d);
    if (type == KDS_PTX_NO_TYPE || type == KDS_PTX_B128 || !kds_all_read(d) ||
        kds_operand_count(d) != 2)
        return false;
    int bytes = kds_ptx_type_size(type);
    if (type == KDS_PTX_PRED) {
        kds_kind(d, KDS_OP_mov_pred, KDS_PIPE_NONE, 0, KDS_WAIT_NONE);
        d->ins.flags |= KDS_INS_OWN_MASK;
        return kds_define(d, 0, 0, &d->ins.d) && kds_use(d, 1, 0, false, &d->ins.a) && kds_emit(d);
    }
    if (kds_operand(d, 1)->kind == KDS_OPERAND_VECTOR)
        return pack(d, bytes);
    if (kds_operand(d, 0)->kind == KDS_OPERAND_VECTOR)
        return unpack(d, bytes);
    if (kds_operand(d, 1)->kind == KDS_OPERAND_NAME && clocks(d, bytes))
        return true;
    kds_op op = bytes == 2 ? KDS_OP_mov_b16 : bytes == 4 ? KDS_OP_mov_b32 : KDS_OP_mov_b64;
    if (bytes < 2)
        return false;
    kds_kind(d, op, KDS_PIPE_NONE, 0, KDS_WAIT_NONE);
    d->ins.result_bytes = (uint8_t)bytes;
    return kds_define(d, 0, bytes, &d->ins.d) &&
           kds_use(d, 1, bytes, type == KDS_PTX_F32 || type == KDS_PTX_F64, &d->ins.a) &&
           kds_emit(d);
}

/* Global and constant addresses are the same in both numberings. */
static bool decode_cvta(kds_decoder *d)
{
    static const char *const spaces[] = {"global", "const", "shared",       "shared::cta",
                                         "local",  "param", "param::entry", NULL};
    static const uint64_t windows[] = {0,
                                       0,
                                       KDS_SHARED_WINDOW,
                                       KDS_SHARED_WINDOW,
                                       KDS_LOCAL_WINDOW,
                                       KDS_PARAM_WINDOW,
                                       KDS_PARAM_WINDOW};
    bool to = kds_accept(d, "to");
    int space = kds_accept_of(d, spaces);
    if (space < 0 || !kds_accept(d, "u64") || !kds_all_read(d) || kds_operand_count(d) != 2)
        return false;
    d->ins.result_bytes = 8;
    if (!kds_define(d, 0, 8, &d->ins.d) || !kds_use(d, 1, 8, false, &d->ins.a))
        return false;
    kds_kind(d, windows[space] == 0 ? KDS_OP_mov_b64 : KDS_OP_add_b64, KDS_PIPE_NONE, 0,
             KDS_WAIT_NONE);
    uint64_t add = to ? 0 - windows[space] : windows[space];
    if (add != 0 &&
        !kds_constant(d, (kds_const){.kind = KDS_CONST_BITS, .bytes = 8, .bits = add}, &d->ins.b))
        return false;
    return kds_emit(d);
}

bool kds_decode_move(kds_decoder *d)
{
    if (base_is(d, "mov"))
        return decode_mov(d);
    if (base_is(d, "cvta"))
        return decode_cvta(d);
    return false;
}

/* The fast handlers: exact opcodes without further modifiers. */
static bool quick_convert(kds_decoder *d, kds_ptx_type to, kds_ptx_type from)
{
    static const struct {
        kds_ptx_type to, from;
        uint8_t rounding, mods; /* as written in the opcode */
        uint16_t op;
        uint8_t pipe, weight, wait;
    } quick[] = {
        {KDS_PTX_F32, KDS_PTX_BF16, KDS_RN, 0, KDS_OP_cvt_f32_bf16, KDS_PIPE_ALU, 1, KDS_WAIT_ALU},
        {KDS_PTX_F32, KDS_PTX_F16, KDS_RN, 0, KDS_OP_cvt_f32_f16, KDS_PIPE_ALU, 1, KDS_WAIT_ALU},
        {KDS_PTX_BF16, KDS_PTX_F32, KDS_RN, 0, KDS_OP_cvt_bf16_f32, KDS_PIPE_ALU, 1, KDS_WAIT_ALU},
        {KDS_PTX_F16, KDS_PTX_F32, KDS_RN, 0, KDS_OP_cvt_f16_f32, KDS_PIPE_ALU, 1, KDS_WAIT_ALU},
        {KDS_PTX_F32, KDS_PTX_S32, KDS_RN, 0, KDS_OP_cvt_f32_s32, KDS_PIPE_XU, 1, KDS_WAIT_XU},
        {KDS_PTX_F32, KDS_PTX_U32, KDS_RN, 0, KDS_OP_cvt_f32_u32, KDS_PIPE_XU, 1, KDS_WAIT_XU},
        {KDS_PTX_S32, KDS_PTX_F32, KDS_RZ, 0, KDS_OP_cvt_rzi_s32_f32, KDS_PIPE_XU, 1, KDS_WAIT_XU},
        {KDS_PTX_F32, KDS_PTX_F32, KDS_RN, KDS_MOD_SAT, KDS_OP_cvt_sat_f32, KDS_PIPE_FP32, 1,
         KDS_WAIT_FP32},
        {KDS_PTX_F64, KDS_PTX_F32, KDS_RN, 0, KDS_OP_cvt_f64_f32, KDS_PIPE_XU, 1, KDS_WAIT_XU},
        {KDS_PTX_F32, KDS_PTX_F64, KDS_RN, 0, KDS_OP_cvt_f32_f64, KDS_PIPE_XU, 1, KDS_WAIT_XU},
    };
    uint8_t mods = d->ins.mods & (uint8_t)~KDS_MOD_ROUND_INTEGRAL;
    for (size_t i = 0; i < sizeof quick / sizeof quick[0]; i++)
        if (quick[i].to == to && quick[i].from == from && quick[i].rounding == d->ins.rounding &&
            quick[i].mods == mods &&
            ((d->ins.mods & KDS_MOD_ROUND_INTEGRAL) == 0 || to == KDS_PTX_S32)) {
            kds_kind(d, quick[i].op, quick[i].pipe, quick[i].weight, quick[i].wait);
            return true;
        }
    return false;
}

/* Integer conversions without saturation, by the sizes of the registers. */
static bool quick_integer(kds_decoder *d, int to, kds_ptx_type from, int register_bytes)
{
    int from_bytes = kds_ptx_type_size(from);
    bool sign = from == KDS_PTX_S8 || from == KDS_PTX_S16 || from == KDS_PTX_S32;
    if (d->ins.mods != 0 || register_bytes != from_bytes)
        return false;
    kds_op op = KDS_OP_nop;
    if (to == 8 && from_bytes == 4)
        op = sign ? KDS_OP_cvt_b64_s32 : KDS_OP_cvt_b64_u32;
    else if (to == 4 && from_bytes == 8)
        op = KDS_OP_cvt_b32_b64;
    else if (to == 4 && from_bytes == 2)
        op = sign ? KDS_OP_cvt_b32_s16 : KDS_OP_cvt_b32_u16;
    else if (to == 8 && from_bytes == 2)
        op = sign ? KDS_OP_cvt_b64_s16 : KDS_OP_cvt_b64_u16;
    else if (to == 2 && from_bytes == 4)
        op = KDS_OP_cvt_b16_b32;
    else if (to == from_bytes && to >= 2)
        op = to == 2 ? KDS_OP_mov_b16 : to == 4 ? KDS_OP_mov_b32 : KDS_OP_mov_b64;
    bool free = (to < from_bytes && from_bytes == 8) || to == from_bytes || !sign;
    if (op != KDS_OP_nop)
        kds_kind(d, op, free ? KDS_PIPE_NONE : KDS_PIPE_ALU, free ? 0 : 1, KDS_WAIT_ALU);
    return op != KDS_OP_nop;
}

/* Reads ".rn", ".rzi", ... ; false if the segment at hand is none. */
static bool rounding(kds_decoder *d)
{
    static const char *const names[] = {"rn", "rz", "rm", "rp", "rni", "rzi", "rmi", "rpi", NULL};
    if (kds_accept(d, "rna")) {
        d->ins.mods |= KDS_MOD_RNA;
        return true;
    }
    int i = kds_accept_of(d, names);
    if (i < 0)
        return false;
    d->ins.rounding = (uint8_t)(i & 3);
    if (i > 3)
        d->ins.mods |= KDS_MOD_ROUND_INTEGRAL;
    return true;
}

static bool modifiers(kds_decoder *d)
{
    bool rounded = rounding(d);
    for (;;) {
        if (kds_accept(d, "ftz"))
            d->ins.mods |= KDS_MOD_FTZ;
        else if (kds_accept(d, "satfinite"))
            d->ins.mods |= KDS_MOD_SATFINITE;
        else if (kds_accept(d, "sat"))
            d->ins.mods |= KDS_MOD_SAT;
        else if (kds_accept(d, "relu"))
            d->ins.mods |= KDS_MOD_RELU;
        else
            return rounded;
    }
}

static bool is_real(kds_ptx_type t)
{
    return t == KDS_PTX_F16 || t == KDS_PTX_BF16 || t == KDS_PTX_F32 || t == KDS_PTX_F64;
}

/* cvt.rn.bf16x2.f32 d, high, low; cvt.rn.satfinite.e4m3x2.f32; cvt.rn.f16x2.e4m3x2 */
static bool convert_packed(kds_decoder *d, bool rounded)
{
    static const char *const small[] = {"e4m3x2", "e5m2x2", NULL};
    if (!rounded || d->ins.rounding > KDS_RZ)
        return false;
    int fp8 = kds_accept_of(d, small);
    if (fp8 >= 0) {
        if (d->ins.rounding != KDS_RN || d->ins.mods != KDS_MOD_SATFINITE)
            return false;
        kds_kind(d, KDS_OP_cvt_fp8x2, KDS_PIPE_ALU, 2, KDS_WAIT_ALU);
        d->ins.combine = (uint8_t)fp8;
        d->ins.result_bytes = 2;
        if (kds_accept(d, "f16x2")) {
            d->ins.type2 = KDS_PTX_F16X2;
            return kds_all_read(d) && kds_operand_count(d) == 2 && kds_define(d, 0, 2, &d->ins.d) &&
                   kds_use(d, 1, 4, false, &d->ins.a) && kds_emit(d);
        }
        d->ins.type2 = KDS_PTX_F32;
        return kds_accept(d, "f32") && kds_all_read(d) && kds_operand_count(d) == 3 &&
               kds_define(d, 0, 2, &d->ins.d) && kds_use(d, 1, 4, true, &d->ins.a) &&
               kds_use(d, 2, 4, true, &d->ins.b) && kds_emit(d);
    }
    bool half = kds_accept(d, "f16x2");
    if (!half && !kds_accept(d, "bf16x2"))
        return false;
    d->ins.result_bytes = 4;
    fp8 = kds_accept_of(d, small);
    if (fp8 >= 0) {
        kds_kind(d, KDS_OP_cvt_from_fp8x2, KDS_PIPE_ALU, 2, KDS_WAIT_ALU);
        d->ins.combine = (uint8_t)fp8;
        return half && d->ins.rounding == KDS_RN && (d->ins.mods & ~KDS_MOD_RELU) == 0 &&
               d->ins.mods == 0 && kds_all_read(d) && kds_operand_count(d) == 2 &&
               kds_define(d, 0, 4, &d->ins.d) && kds_use(d, 1, 2, false, &d->ins.a) && kds_emit(d);
    }
    kds_kind(d, half ? KDS_OP_cvt_f16x2_f32 : KDS_OP_cvt_bf16x2_f32, KDS_PIPE_ALU, 1, KDS_WAIT_ALU);
    return (d->ins.mods & ~KDS_MOD_RELU) == 0 && kds_accept(d, "f32") && kds_all_read(d) &&
           kds_operand_count(d) == 3 && kds_define(d, 0, 4, &d->ins.d) &&
           kds_use(d, 1, 4, true, &d->ins.a) && kds_use(d, 2, 4, true, &d->ins.b) && kds_emit(d);
}

static bool convert_tf32(kds_decoder *d)
{
    bool fits = (d->ins.mods & ~(KDS_MOD_RNA | KDS_MOD_RELU)) == 0 && d->ins.rounding <= KDS_RZ;
    kds_kind(d, KDS_OP_cvt_tf32, KDS_PIPE_ALU, 1, KDS_WAIT_ALU);
    d->ins.result_bytes = 4;
    return fits && kds_accept(d, "f32") && kds_all_read(d) && kds_operand_count(d) == 2 &&
           kds_define(d, 0, 4, &d->ins.d) && kds_use(d, 1, 4, true, &d->ins.a) && kds_emit(d);
}

/* Which roundings PTX demands or forbids for a pair of types; false: not a conversion that exists.
 */
static bool rounding_fits(const kds_decoder *d, kds_ptx_type to, kds_ptx_type from, bool rounded)
{
    bool integral = (d->ins.mods & KDS_MOD_ROUND_INTEGRAL) != 0;
    if ((d->ins.mods & (KDS_MOD_SATFINITE | KDS_MOD_RNA)) != 0)
        return false;
    if (is_real(to) && is_real(from)) {
        int narrower = kds_ptx_type_size(to) - kds_ptx_type_size(from);
        if ((d->ins.mods & KDS_MOD_RELU) != 0 &&
            !(from == KDS_PTX_F32 && (to == KDS_PTX_F16 || to == KDS_PTX_BF16)))
            return false;
        if (to == from)
            return integral || !rounded;
        if (narrower == 0) /* f16 and bf16 */
            return rounded && !integral;
        return narrower < 0 ? rounded && !integral : !rounded;
    }
    if ((d->ins.mods & KDS_MOD_RELU) != 0)
        return false;
    if (is_real(to))
        return rounded && !integral;
    if (is_real(from))
        return integral;
    return !rounded && (d->ins.mods & KDS_MOD_FTZ) == 0;
}

static bool scalar_operand(kds_ptx_type t)
{
    return t != KDS_PTX_NO_TYPE && t != KDS_PTX_PRED && t != KDS_PTX_B128 && t != KDS_PTX_F16X2 &&
           t != KDS_PTX_BF16X2;
}

bool kds_decode_convert(kds_decoder *d)
{
    if (!base_is(d, "cvt"))
        return false;
    bool rounded = modifiers(d);
    int before = d->at;
    if (kds_accept(d, "tf32"))
        return convert_tf32(d);
    if (convert_packed(d, rounded))
        return true;
    if (d->why[0] != '\0' || d->at != before)
        return false;
    kds_ptx_type to = kds_accept_type(d), from = kds_accept_type(d);
    if (!scalar_operand(to) || !scalar_operand(from) || !kds_all_read(d) ||
        kds_operand_count(d) != 2 || !rounding_fits(d, to, from, rounded))
        return false;
    int to_bytes = kds_ptx_type_size(to), from_bytes = kds_ptx_type_size(from);
    int result = kds_register_bytes(d, kds_operand(d, 0));
    int given = kds_register_bytes(d, kds_operand(d, 1));
    if (given < 0)
        given = from_bytes < 2 ? 2 : from_bytes;
    /* Registers may be wider than the types, but not those of floating point. */
    if (result < to_bytes || given < from_bytes || (is_real(to) && result != to_bytes) ||
        (is_real(from) && given != from_bytes) || result > 8 || given > 8)
        return kds_why(d, "an operand of another size");
    d->ins.type = (uint8_t)to;
    d->ins.type2 = (uint8_t)from;
    d->ins.result_bytes = (uint8_t)result;
    d->ins.bytes = (uint8_t)given;
    bool quick = is_real(to) || is_real(from)
                     ? result == to_bytes && quick_convert(d, to, from)
                     : result == to_bytes && quick_integer(d, to_bytes, from, given);
    if (!quick) {
        bool wide = to_bytes == 8 || from_bytes == 8;
        bool real = is_real(to) || is_real(from);
        kds_kind(d, KDS_OP_cvt_any, real ? KDS_PIPE_XU : KDS_PIPE_ALU, wide ? 2 : 1, KDS_WAIT_XU);
    }
    return kds_define(d, 0, result, &d->ins.d) && kds_use(d, 1, given, is_real(from), &d->ins.a) &&
           kds_emit(d);
}
