/* Part of exec_body.h: conversions. The frequent ones have their own loops; cvt_any does the rest
 * through the widest type, lane by lane. */

OP1(cvt_f32_bf16, f32, u16, kds_bf16_to_f32(x))

HANDLER(cvt_f32_f16)
{
    widen_f16(REGISTER(u16, i->a), RESULT(f32), KDS_LANES);
    return KDS_STEP_ON;
}

/* A negative number and -0 become +0 with .relu; NaN stays. */
static inline f32 relu(f32 x, bool on)
{
    return on && x <= 0.0f ? 0.0f : x;
}

HANDLER(cvt_bf16_f32)
{
    u16 *d = RESULT(u16);
    const f32 *a = REGISTER(f32, i->a);
    LANES d[l] = kds_f32_to_bf16(a[l]);
    return KDS_STEP_ON;
}

HANDLER(cvt_f16_f32)
{
    u16 *d = RESULT(u16);
    const f32 *a = REGISTER(f32, i->a);
    LANES d[l] = kds_f32_to_f16(a[l]);
    return KDS_STEP_ON;
}

static inline u16 narrow_rz(f32 x, bool brain)
{
    if (brain)
        return x != x ? 0x7fff : (u16)(kds_f32_bits(x) >> 16);
    u16 h = kds_f32_to_f16(x);
    f32 back = kds_f16_to_f32(h);
    return fabsf(back) > fabsf(x) ? (u16)(h - 1) : h;
}

/* The first source goes to the upper half. */
#define PACKED(name, convert, brain)                                                               \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        u32 *d = RESULT(u32);                                                                      \
        const f32 *a = REGISTER(f32, i->a), *b = REGISTER(f32, i->b);                              \
        bool on = (i->mods & KDS_MOD_RELU) != 0;                                                   \
        if (i->rounding == KDS_RN) {                                                               \
            LANES d[l] = (u32)convert(relu(a[l], on)) << 16 | convert(relu(b[l], on));             \
        } else {                                                                                   \
            for (int l = 0; l < KDS_LANES; l++)                                                    \
                d[l] = (u32)narrow_rz(relu(a[l], on), brain) << 16 |                               \
                       narrow_rz(relu(b[l], on), brain);                                           \
        }                                                                                          \
        return KDS_STEP_ON;                                                                        \
    }
PACKED(cvt_bf16x2_f32, kds_f32_to_bf16, true)
PACKED(cvt_f16x2_f32, kds_f32_to_f16, false)

OP1(cvt_f32_s32, f32, s32, (f32)x)
OP1(cvt_f32_u32, f32, u32, (f32)x)
OP1(cvt_sat_f32, f32, f32, kds_saturate(x))
OP1(cvt_f64_f32, f64, f32, (f64)x)
OP1(cvt_f32_f64, f32, f64, kds_canonical((f32)x))

/* Truncation with saturation; NaN becomes 0. */
static inline s32 truncated(f32 x)
{
    f32 c = x < -2147483648.0f ? -2147483648.0f : x;
    c = c >= 2147483648.0f || !(c == c) ? 0.0f : c;
    s32 r = (s32)c;
    return x >= 2147483648.0f ? INT32_MAX : r;
}
OP1(cvt_rzi_s32_f32, s32, f32, truncated(x))

OP1(cvt_b64_s32, s64, s32, (s64)x)
OP1(cvt_b64_u32, u64, u32, x)
OP1(cvt_b32_b64, u32, u64, x)
OP1(cvt_b32_u16, u32, u16, x)
OP1(cvt_b32_s16, s32, s16, x)
OP1(cvt_b64_u16, u64, u16, x)
OP1(cvt_b64_s16, s64, s16, x)
OP1(cvt_b16_b32, u16, u32, x)

OP1(cvt_tf32, u32, f32,
    kds_f32_to_tf32(relu(x, (i->mods & KDS_MOD_RELU) != 0), (i->mods & KDS_MOD_RNA) != 0,
                    i->rounding == KDS_RZ))

HANDLER(cvt_fp8x2)
{
    u16 *d = RESULT(u16);
    for (int l = 0; l < KDS_LANES; l++) {
        f32 high, low;
        if (i->type2 == KDS_PTX_F32) {
            high = REGISTER(f32, i->a)[l];
            low = REGISTER(f32, i->b)[l];
        } else {
            u32 both = REGISTER(u32, i->a)[l];
            high = kds_f16_to_f32((u16)(both >> 16));
            low = kds_f16_to_f32((u16)both);
        }
        d[l] = (u16)(kds_f32_to_fp8(high, i->combine != 0) << 8 |
                     kds_f32_to_fp8(low, i->combine != 0));
    }
    return KDS_STEP_ON;
}

HANDLER(cvt_from_fp8x2)
{
    u32 *d = RESULT(u32);
    const u16 *a = REGISTER(u16, i->a);
    for (int l = 0; l < KDS_LANES; l++)
        d[l] = (u32)kds_f32_to_f16(kds_fp8_to_f32((u8)(a[l] >> 8), i->combine != 0)) << 16 |
               kds_f32_to_f16(kds_fp8_to_f32((u8)a[l], i->combine != 0));
    return KDS_STEP_ON;
}

/* ---- Any scalar conversion ---- */

static inline bool is_real(int t)
{
    return t == KDS_PTX_F16 || t == KDS_PTX_BF16 || t == KDS_PTX_F32 || t == KDS_PTX_F64;
}

static inline bool is_signed(int t)
{
    return t == KDS_PTX_S8 || t == KDS_PTX_S16 || t == KDS_PTX_S32 || t == KDS_PTX_S64;
}

/* The register's bits, which may be wider than the type. */
static inline u64 lane_bits(const kds_warp *w, int32_t offset, int bytes, int l)
{
    return bytes == 8   ? REGISTER(u64, offset)[l]
           : bytes == 4 ? REGISTER(u32, offset)[l]
                        : REGISTER(u16, offset)[l];
}

static inline f64 real_of(u64 bits, int type, bool ftz)
{
    switch (type) {
    case KDS_PTX_F16:
        return kds_f16_to_f32((u16)bits);
    case KDS_PTX_BF16:
        return kds_bf16_to_f32((u16)bits);
    case KDS_PTX_F32:
        return ftz ? kds_flush(kds_bits_f32((u32)bits)) : kds_bits_f32((u32)bits);
    default:
        return kds_bits_f64(bits);
    }
}

/* A whole number of the type's width, sign- or zero-extended. */
static inline u64 whole_of(u64 bits, int bytes, bool sign)
{
    int shift = 64 - 8 * bytes;
    return sign ? (u64)((s64)(bits << shift) >> shift) : bits << shift >> shift;
}

static inline f64 rounded(f64 x, int mode)
{
    if (!(fabs(x) < 4503599627370496.0))
        return x;
    f64 down = floor(x), rest = x - down;
    switch (mode) {
    case KDS_RM:
        return down;
    case KDS_RP:
        return copysign(rest > 0.0 ? down + 1.0 : down, x);
    case KDS_RZ:
        return copysign(x < 0.0 && rest > 0.0 ? down + 1.0 : down, x);
    default: {
        bool up = rest > 0.5 || (rest == 0.5 && fmod(down, 2.0) != 0.0);
        return copysign(up ? down + 1.0 : down, x);
    }
    }
}

/* Whole number to an integer type, saturating; NaN becomes 0 (all ones in the sign's place for 64
 * bits, as the hardware gives 0x8000000000000000). */
static inline u64 to_integer(f64 x, int bytes, bool sign)
{
    f64 top = ldexp(1.0, 8 * bytes - (sign ? 1 : 0));
    if (x != x)
        return bytes == 8 ? (u64)1 << 63 : 0;
    if (sign) {
        u64 most = ((u64)1 << (8 * bytes - 1)) - 1;
        return x >= top ? most : x < -top ? ~most : (u64)(s64)x;
    }
    u64 most = bytes == 8 ? ~(u64)0 : ((u64)1 << (8 * bytes)) - 1;
    return x >= top ? most : x <= 0.0 ? 0 : (u64)x;
}

/* Integer to integer with .sat, limited to what the result type holds. */
static inline u64 limited(u64 v, bool from_sign, int bytes, bool to_sign)
{
    u64 most = to_sign      ? ((u64)1 << (8 * bytes - 1)) - 1
               : bytes == 8 ? ~(u64)0
                            : ((u64)1 << (8 * bytes)) - 1;
    if (from_sign && (s64)v < 0) {
        if (!to_sign)
            return 0;
        return (s64)v < -(s64)most - 1 ? ~most : v;
    }
    return v > most ? most : v;
}

/* Rounds a double to single in the current mode, then on to the half types; f16 and bf16 of exact
 * sources only, or through a single rounded to odd. */
static inline u64 real_bits(f64 x, int type, int mode, uint8_t mods)
{
    bool ftz = (mods & KDS_MOD_FTZ) != 0;
    if (type == KDS_PTX_F64)
        return kds_f64_bits(x);
    if (type == KDS_PTX_F32)
        return kds_f32_bits(finished((f32)x, ftz, (mods & KDS_MOD_SAT) != 0));
    f32 odd = kds_odd_f32(x);
    if ((mods & KDS_MOD_SAT) != 0)
        odd = kds_saturate(odd);
    odd = relu(odd, (mods & KDS_MOD_RELU) != 0);
    bool brain = type == KDS_PTX_BF16;
    if (mode == KDS_RN)
        return brain ? kds_f32_to_bf16(odd) : kds_f32_to_f16(odd);
    u16 h = narrow_rz(odd, brain);
    f32 back = brain ? kds_bf16_to_f32(h) : kds_f16_to_f32(h);
    bool away = (mode == KDS_RP && odd > back) || (mode == KDS_RM && odd < back);
    return away ? (u16)(back == 0.0f ? (odd < 0.0f ? 0x8001 : 1) : h + 1) : h;
}

static inline u64 convert_lane(const kds_ins *i, u64 bits)
{
    int to = i->type, from = i->type2, bytes = kds_type_bytes(to);
    bool ftz = (i->mods & KDS_MOD_FTZ) != 0, integral = (i->mods & KDS_MOD_ROUND_INTEGRAL) != 0;
    if (is_real(from)) {
        f64 x = real_of(bits, from, ftz);
        if (integral)
            x = rounded(x, i->rounding);
        if (is_real(to))
            return real_bits(x, to, integral ? KDS_RN : i->rounding, i->mods);
        return to_integer(x, bytes, is_signed(to));
    }
    u64 v = whole_of(bits, kds_type_bytes(from), is_signed(from));
    if (!is_real(to))
        return (i->mods & KDS_MOD_SAT) != 0 ? limited(v, is_signed(from), bytes, is_signed(to)) : v;
    if (to == KDS_PTX_F32)
        return kds_f32_bits(
            finished(is_signed(from) ? (f32)(s64)v : (f32)v, false, (i->mods & KDS_MOD_SAT) != 0));
    /* 64-bit integers are beyond every half, so what double loses does not matter to them. */
    return real_bits(is_signed(from) ? (f64)(s64)v : (f64)v, to, i->rounding, i->mods);
}

HANDLER(cvt_any)
{
    u64 t[KDS_LANES];
    /* Halves are rounded by hand, so the mode is only set for the types that the machine rounds. */
    bool mode = (i->type == KDS_PTX_F32 || i->type == KDS_PTX_F64) &&
                (i->mods & KDS_MOD_ROUND_INTEGRAL) == 0;
    if (mode)
        round_begin(i);
    for (int l = 0; l < KDS_LANES; l++)
        t[l] = convert_lane(i, lane_bits(w, i->a, i->bytes, l));
    if (mode)
        round_end(i);
    int bytes = kds_type_bytes(i->type);
    for (int l = 0; l < KDS_LANES; l++) {
        u64 v = whole_of(t[l], bytes, is_signed(i->type));
        if (i->result_bytes == 8)
            RESULT(u64)[l] = v;
        else if (i->result_bytes == 4)
            RESULT(u32)[l] = (u32)v;
        else
            RESULT(u16)[l] = (u16)v;
    }
    return KDS_STEP_ON;
}
