/* Part of exec_body.h: moves and integer arithmetic. */

HANDLER(nop)
{
    (void)w;
    (void)i;
    (void)out;
    return KDS_STEP_ON;
}

OP1(mov_b16, u16, u16, x)
OP1(mov_b32, u32, u32, x)
OP1(mov_b64, u64, u64, x)

HANDLER(mov_pred)
{
    (void)out;
    set_predicate(w, i->d, predicate(w, i->a));
    return KDS_STEP_ON;
}

/* Elements side by side in each lane. */
HANDLER(pack_b16)
{
    const int32_t *list = w->run->kernel->list + i->list;
    if (i->elements == 2) {
        u32 *d = RESULT(u32);
        const u16 *a = REGISTER(u16, list[0]), *b = REGISTER(u16, list[1]);
        LANES d[l] = (u32)a[l] | (u32)b[l] << 16;
        return KDS_STEP_ON;
    }
    u64 *d = RESULT(u64);
    const u16 *a = REGISTER(u16, list[0]), *b = REGISTER(u16, list[1]);
    const u16 *c = REGISTER(u16, list[2]), *e = REGISTER(u16, list[3]);
    LANES d[l] = (u64)a[l] | (u64)b[l] << 16 | (u64)c[l] << 32 | (u64)e[l] << 48;
    return KDS_STEP_ON;
}

HANDLER(pack_b32)
{
    const int32_t *list = w->run->kernel->list + i->list;
    u64 *d = RESULT(u64);
    const u32 *a = REGISTER(u32, list[0]), *b = REGISTER(u32, list[1]);
    LANES d[l] = (u64)a[l] | (u64)b[l] << 32;
    return KDS_STEP_ON;
}

HANDLER(unpack_b16)
{
    (void)out;
    const int32_t *list = w->run->kernel->list + i->list;
    bool all = w->mask == w->live;
    for (int k = 0; k < i->elements; k++) {
        if (list[k] < 0)
            continue;
        u16 *d = all ? REGISTER(u16, list[k]) : (u16 *)(void *)w->scratch;
        if (i->elements == 2) {
            const u32 *a = REGISTER(u32, i->a);
            int shift = 16 * k;
            LANES d[l] = (u16)(a[l] >> shift);
        } else {
            const u64 *a = REGISTER(u64, i->a);
            int shift = 16 * k;
            LANES d[l] = (u16)(a[l] >> shift);
        }
        if (!all)
            merge(w, list[k], 2, d);
    }
    return KDS_STEP_ON;
}

HANDLER(unpack_b32)
{
    (void)out;
    const int32_t *list = w->run->kernel->list + i->list;
    bool all = w->mask == w->live;
    const u64 *a = REGISTER(u64, i->a);
    for (int k = 0; k < 2; k++) {
        if (list[k] < 0)
            continue;
        u32 *d = all ? REGISTER(u32, list[k]) : (u32 *)(void *)w->scratch;
        int shift = 32 * k;
        LANES d[l] = (u32)(a[l] >> shift);
        if (!all)
            merge(w, list[k], 4, d);
    }
    return KDS_STEP_ON;
}

OP2(add_b16, u16, u16, u16, x + y)
OP2(add_b32, u32, u32, u32, x + y)
OP2(add_b64, u64, u64, u64, x + y)
OP2(add_u16x2, u32, u32, u32, ((x + y) & 0xffffu) | (((x >> 16) + (y >> 16)) << 16))
OP2(sub_b16, u16, u16, u16, x - y)
OP2(sub_b32, u32, u32, u32, x - y)
OP2(sub_b64, u64, u64, u64, x - y)

static inline s32 clamp_s32(s64 v)
{
    return (s32)(v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v);
}
OP2(add_sat_s32, s32, s32, s32, clamp_s32((s64)x + y))
OP2(sub_sat_s32, s32, s32, s32, clamp_s32((s64)x - y))

/* x + y + carry in, or x + ~y + carry in: subtraction shows a borrow as a clear carry. */
static inline void add_carry(kds_warp *w, const kds_ins *i, int bytes, bool subtract, bool with)
{
    u64 t[KDS_LANES] __attribute__((aligned(64)));
    u32 *t32 = (u32 *)(void *)t;
    uint32_t carry = 0;
    for (int l = 0; l < KDS_LANES; l++) {
        u64 in = with ? (w->carry >> l & 1) : subtract;
        if (bytes == 4) {
            u64 y = REGISTER(u32, i->b)[l];
            u64 sum = (u64)REGISTER(u32, i->a)[l] + (subtract ? (u32)~y : y) + in;
            t32[l] = (u32)sum;
            carry |= (uint32_t)(sum >> 32) << l;
        } else {
            u64 y = REGISTER(u64, i->b)[l];
            u128 sum = (u128)REGISTER(u64, i->a)[l] + (subtract ? ~y : y) + in;
            t[l] = (u64)sum;
            carry |= (uint32_t)(sum >> 64) << l;
        }
    }
    merge(w, i->d, bytes, t);
    if (i->compare != 0) /* .cc */
        w->carry = (w->carry & ~w->mask) | (carry & w->mask);
}

#define CARRY(name, bytes, subtract, with)                                                         \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        (void)out;                                                                                 \
        add_carry(w, i, bytes, subtract, with);                                                    \
        return KDS_STEP_ON;                                                                        \
    }
CARRY(add_cc_b32, 4, false, false)
CARRY(addc_b32, 4, false, true)
CARRY(sub_cc_b32, 4, true, false)
CARRY(subc_b32, 4, true, true)
CARRY(add_cc_b64, 8, false, false)
CARRY(addc_b64, 8, false, true)
CARRY(sub_cc_b64, 8, true, false)
CARRY(subc_b64, 8, true, true)

/* mad{c}.{lo,hi}{.cc}.u32; `rounding` tells madc. */
HANDLER(mad_cc_u32)
{
    (void)out;
    u32 t[KDS_LANES] __attribute__((aligned(64)));
    uint32_t carry = 0;
    for (int l = 0; l < KDS_LANES; l++) {
        u64 product = (u64)REGISTER(u32, i->a)[l] * REGISTER(u32, i->b)[l];
        u64 sum = (i->combine != 0 ? product >> 32 : (u32)product) + REGISTER(u32, i->c)[l];
        sum += i->rounding != 0 ? w->carry >> l & 1 : 0;
        t[l] = (u32)sum;
        carry |= (uint32_t)(sum >> 32) << l;
    }
    merge(w, i->d, 4, t);
    if (i->compare != 0)
        w->carry = (w->carry & ~w->mask) | (carry & w->mask);
    return KDS_STEP_ON;
}

OP2(mul_lo_b16, u16, u16, u16, (u32)x *y)
OP2(mul_lo_b32, u32, u32, u32, x *y)
OP2(mul_lo_b64, u64, u64, u64, x *y)
OP2(mul_hi_s16, s16, s16, s16, ((s32)x * y) >> 16)
OP2(mul_hi_u16, u16, u16, u16, ((u32)x * y) >> 16)
OP2(mul_hi_s32, s32, s32, s32, ((s64)x * y) >> 32)
OP2(mul_hi_u32, u32, u32, u32, ((u64)x * y) >> 32)
OP2(mul_hi_s64, s64, s64, s64, ((s128)x * y) >> 64)
OP2(mul_hi_u64, u64, u64, u64, ((u128)x * y) >> 64)
OP2(mul_wide_s16, s32, s16, s16, (s32)x *y)
OP2(mul_wide_u16, u32, u16, u16, (u32)x *y)
OP2(mul_wide_s32, s64, s32, s32, (s64)x *y)
OP2(mul_wide_u32, u64, u32, u32, (u64)x *y)

static inline s32 low24(s32 x)
{
    return (s32)((u32)x << 8) >> 8;
}
OP2(mul24_s32, u32, s32, s32, (u64)((s64)low24(x) * low24(y)))
OP2(mul24_u32, u32, u32, u32, (u64)(x & 0xffffffu) * (y & 0xffffffu))
OP3(mad24_s32, u32, s32, s32, u32, (u64)((s64)low24(x) * low24(y)) + z)
OP3(mad24_u32, u32, u32, u32, u32, (u64)(x & 0xffffffu) * (y & 0xffffffu) + z)

OP3(mad_lo_b16, u16, u16, u16, u16, (u32)x *y + z)
OP3(mad_lo_b32, u32, u32, u32, u32, x *y + z)
OP3(mad_lo_b64, u64, u64, u64, u64, x *y + z)
OP3(mad_hi_s32, u32, s32, s32, u32, (u32)(((s64)x * y) >> 32) + z)
OP3(mad_hi_u32, u32, u32, u32, u32, (u32)(((u64)x * y) >> 32) + z)
OP3(mad_hi_s64, u64, s64, s64, u64, (u64)(((s128)x * y) >> 64) + z)
OP3(mad_hi_u64, u64, u64, u64, u64, (u64)(((u128)x * y) >> 64) + z)
OP3(mad_wide_s16, u32, s16, s16, u32, (u32)((s32)x *y) + z)
OP3(mad_wide_u16, u32, u16, u16, u32, (u32)x *y + z)
OP3(mad_wide_s32, u64, s32, s32, u64, (u64)((s64)x *y) + z)
OP3(mad_wide_u32, u64, u32, u32, u64, (u64)x *y + z)

#define MINMAX(suffix, T)                                                                          \
    OP2(min_##suffix, T, T, T, x < y ? x : y)                                                      \
    OP2(max_##suffix, T, T, T, x > y ? x : y)
MINMAX(s16, s16)
MINMAX(u16, u16)
MINMAX(s32, s32)
MINMAX(u32, u32)
MINMAX(s64, s64)
MINMAX(u64, u64)

OP1(neg_b16, u16, u16, 0 - x)
OP1(neg_b32, u32, u32, 0 - x)
OP1(neg_b64, u64, u64, 0 - x)
OP1(abs_s16, u16, s16, x < 0 ? 0 - (u16)x : (u16)x)
OP1(abs_s32, u32, s32, x < 0 ? 0 - (u32)x : (u32)x)
OP1(abs_s64, u64, s64, x < 0 ? 0 - (u64)x : (u64)x)

#define LOGIC(bits, T)                                                                             \
    OP2(and_b##bits, T, T, T, x &y)                                                                \
    OP2(or_b##bits, T, T, T, x | y)                                                                \
    OP2(xor_b##bits, T, T, T, x ^ y)                                                               \
    OP1(not_b##bits, T, T, ~x)                                                                     \
    OP1(cnot_b##bits, T, T, x == 0)
LOGIC(16, u16)
LOGIC(32, u32)
LOGIC(64, u64)

#define LOGIC_PRED(name, expr)                                                                     \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        (void)out;                                                                                 \
        uint32_t x = predicate(w, i->a), y = i->b >= 0 ? predicate(w, i->b) : 0;                   \
        (void)y;                                                                                   \
        set_predicate(w, i->d, expr);                                                              \
        return KDS_STEP_ON;                                                                        \
    }
LOGIC_PRED(and_pred, x &y)
LOGIC_PRED(or_pred, x | y)
LOGIC_PRED(xor_pred, x ^ y)
LOGIC_PRED(not_pred, ~x)

OP2(shl_b16, u16, u16, u32, y > 15 ? 0 : (u32)x << (y & 15))
OP2(shl_b32, u32, u32, u32, y > 31 ? 0 : x << (y & 31))
OP2(shl_b64, u64, u64, u32, y > 63 ? 0 : x << (y & 63))
OP2(shr_u16, u16, u16, u32, y > 15 ? 0 : x >> (y & 15))
OP2(shr_s16, s16, s16, u32, x >> (y > 15 ? 15 : y))
OP2(shr_u32, u32, u32, u32, y > 31 ? 0 : x >> (y & 31))
OP2(shr_s32, s32, s32, u32, x >> (y > 31 ? 31 : y))
OP2(shr_u64, u64, u64, u32, y > 63 ? 0 : x >> (y & 63))
OP2(shr_s64, s64, s64, u32, x >> (y > 63 ? 63 : y))

/* Division by zero is not defined by PTX; here all ones, and the dividend as the remainder. */
#define DIVIDE_U(suffix, T)                                                                        \
    OP2(div_##suffix, T, T, T, y == 0 ? (T) ~(T)0 : (T)(x / y))                                    \
    OP2(rem_##suffix, T, T, T, y == 0 ? x : (T)(x % y))
DIVIDE_U(u16, u16)
DIVIDE_U(u32, u32)
DIVIDE_U(u64, u64)
/* The least number by -1 wraps around. */
#define DIVIDE_S(suffix, T, U)                                                                     \
    OP2(div_##suffix, T, T, T, y == 0 ? (T)-1 : y == -1 ? (T)(0 - (U)x) : (T)(x / y))              \
    OP2(rem_##suffix, T, T, T, y == 0 ? x : y == -1 ? (T)0 : (T)(x % y))
DIVIDE_S(s16, s16, u16)
DIVIDE_S(s32, s32, u32)
DIVIDE_S(s64, s64, u64)

#define SELECT(bits, T)                                                                            \
    HANDLER(selp_b##bits)                                                                          \
    {                                                                                              \
        T *d = RESULT(T);                                                                          \
        const T *a = REGISTER(T, i->a), *b = REGISTER(T, i->b);                                    \
        uint32_t p = predicate(w, i->c);                                                           \
        LANES d[l] = (p >> l & 1) != 0 ? a[l] : b[l];                                              \
        return KDS_STEP_ON;                                                                        \
    }
SELECT(16, u16)
SELECT(32, u32)
SELECT(64, u64)

OP3(slct_b32_s32, u32, u32, u32, s32, z >= 0 ? x : y)
OP3(slct_b64_s32, u64, u64, u64, s32, z >= 0 ? x : y)
OP3(slct_b32_f32, u32, u32, u32, f32,
    z >= 0.0f || (i->mods & KDS_MOD_FTZ && kds_flush(z) == 0.0f) ? x : y)
OP3(slct_b64_f32, u64, u64, u64, f32,
    z >= 0.0f || (i->mods & KDS_MOD_FTZ && kds_flush(z) == 0.0f) ? x : y)
