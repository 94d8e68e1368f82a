/* Part of exec_body.h: setp and set. A comparison gives one bit per lane. */

#define COMPARE_CASE(code, expr)                                                                   \
    case code:                                                                                     \
        LANES t[l] = 0 - (u32)(expr);                                                              \
        break;

#define COMPARE_INT(suffix, T)                                                                     \
    static inline uint32_t compare_##suffix(const kds_warp *w, const kds_ins *i)                   \
    {                                                                                              \
        u32 t[KDS_LANES] __attribute__((aligned(64)));                                             \
        const T *a = REGISTER(T, i->a), *b = REGISTER(T, i->b);                                    \
        switch (i->compare) {                                                                      \
            COMPARE_CASE(KDS_EQ, a[l] == b[l])                                                     \
            COMPARE_CASE(KDS_NE, a[l] != b[l])                                                     \
            COMPARE_CASE(KDS_LT, a[l] < b[l])                                                      \
            COMPARE_CASE(KDS_LE, a[l] <= b[l])                                                     \
            COMPARE_CASE(KDS_GT, a[l] > b[l])                                                      \
        default:                                                                                   \
            COMPARE_CASE(KDS_GE, a[l] >= b[l])                                                     \
        }                                                                                          \
        return bits_of(t);                                                                         \
    }
COMPARE_INT(s16, s16)
COMPARE_INT(u16, u16)
COMPARE_INT(s32, s32)
COMPARE_INT(u32, u32)
COMPARE_INT(s64, s64)
COMPARE_INT(u64, u64)

/* The unordered forms are the negations of the opposite ordered ones. */
#define COMPARE_REAL(name, T)                                                                      \
    static inline uint32_t name(const T *a, const T *b, int compare)                               \
    {                                                                                              \
        u32 t[KDS_LANES] __attribute__((aligned(64)));                                             \
        switch (compare) {                                                                         \
            COMPARE_CASE(KDS_EQ, a[l] == b[l])                                                     \
            COMPARE_CASE(KDS_NE, a[l]<b[l] || a[l]> b[l])                                          \
            COMPARE_CASE(KDS_LT, a[l] < b[l])                                                      \
            COMPARE_CASE(KDS_LE, a[l] <= b[l])                                                     \
            COMPARE_CASE(KDS_GT, a[l] > b[l])                                                      \
            COMPARE_CASE(KDS_GE, a[l] >= b[l])                                                     \
            COMPARE_CASE(KDS_EQU, !(a[l] < b[l] || a[l] > b[l]))                                   \
            COMPARE_CASE(KDS_NEU, a[l] != b[l])                                                    \
            COMPARE_CASE(KDS_LTU, !(a[l] >= b[l]))                                                 \
            COMPARE_CASE(KDS_LEU, !(a[l] > b[l]))                                                  \
            COMPARE_CASE(KDS_GTU, !(a[l] <= b[l]))                                                 \
            COMPARE_CASE(KDS_GEU, !(a[l] < b[l]))                                                  \
            COMPARE_CASE(KDS_NUM, a[l] == a[l] && b[l] == b[l])                                    \
        default:                                                                                   \
            COMPARE_CASE(KDS_NAN, a[l] != a[l] || b[l] != b[l])                                    \
        }                                                                                          \
        return bits_of(t);                                                                         \
    }
COMPARE_REAL(compare_floats, f32)
COMPARE_REAL(compare_doubles, f64)

static inline uint32_t compare_f32(const kds_warp *w, const kds_ins *i)
{
    const f32 *a = REGISTER(f32, i->a), *b = REGISTER(f32, i->b);
    if ((i->mods & KDS_MOD_FTZ) == 0)
        return compare_floats(a, b, i->compare);
    f32 x[KDS_LANES] __attribute__((aligned(64))), y[KDS_LANES] __attribute__((aligned(64)));
    LANES x[l] = kds_flush(a[l]);
    LANES y[l] = kds_flush(b[l]);
    return compare_floats(x, y, i->compare);
}

static inline uint32_t compare_f64(const kds_warp *w, const kds_ins *i)
{
    return compare_doubles(REGISTER(f64, i->a), REGISTER(f64, i->b), i->compare);
}

/* Halves that lie `step` apart from the first one of each register. */
static inline uint32_t compare_halves(const kds_warp *w, const kds_ins *i, int first, int step,
                                      bool brain)
{
    f32 x[KDS_LANES] __attribute__((aligned(64))), y[KDS_LANES] __attribute__((aligned(64)));
    bool ftz = (i->mods & KDS_MOD_FTZ) != 0;
    for (int l = 0; l < KDS_LANES; l++) {
        u16 a = REGISTER(u16, i->a)[l * step + first], b = REGISTER(u16, i->b)[l * step + first];
        x[l] = brain ? kds_bf16_to_f32(a) : flush_half(kds_f16_to_f32(a), ftz);
        y[l] = brain ? kds_bf16_to_f32(b) : flush_half(kds_f16_to_f32(b), ftz);
    }
    return compare_floats(x, y, i->compare);
}

static inline uint32_t compare_f16(const kds_warp *w, const kds_ins *i)
{
    return compare_halves(w, i, 0, 1, false);
}

static inline uint32_t compare_bf16(const kds_warp *w, const kds_ins *i)
{
    return compare_halves(w, i, 0, 1, true);
}

static inline uint32_t combined(const kds_warp *w, const kds_ins *i, uint32_t bits)
{
    uint32_t c = i->c >= 0 ? predicate(w, i->c) : 0;
    switch (i->combine) {
    case KDS_COMBINE_AND:
        return bits & c;
    case KDS_COMBINE_OR:
        return bits | c;
    case KDS_COMBINE_XOR:
        return bits ^ c;
    default:
        return bits;
    }
}

#define SETP(suffix)                                                                               \
    HANDLER(setp_##suffix)                                                                         \
    {                                                                                              \
        (void)out;                                                                                 \
        uint32_t bits = compare_##suffix(w, i), p = combined(w, i, bits), q = 0;                   \
        if (i->d2 >= 0)                                                                            \
            q = combined(w, i, ~bits);                                                             \
        set_predicate(w, i->d, p);                                                                 \
        set_predicate(w, i->d2, q);                                                                \
        return KDS_STEP_ON;                                                                        \
    }

/* All ones or one, in the type of the result. */
#define SET(suffix)                                                                                \
    HANDLER(set_##suffix)                                                                          \
    {                                                                                              \
        uint32_t p = combined(w, i, compare_##suffix(w, i));                                       \
        u32 yes = i->type == KDS_PTX_F32    ? 0x3f800000u                                          \
                  : i->type == KDS_PTX_F16  ? 0x3c00u                                              \
                  : i->type == KDS_PTX_BF16 ? 0x3f80u                                              \
                                            : 0xffffffffu;                                         \
        if (i->result_bytes == 2) {                                                                \
            u16 *d = RESULT(u16);                                                                  \
            LANES d[l] = (u16)((p >> l & 1) != 0 ? yes : 0);                                       \
        } else {                                                                                   \
            u32 *d = RESULT(u32);                                                                  \
            LANES d[l] = (p >> l & 1) != 0 ? yes : 0;                                              \
        }                                                                                          \
        return KDS_STEP_ON;                                                                        \
    }
#define SETP_AND_SET(suffix) SETP(suffix) SET(suffix)
SETP_AND_SET(s16)
SETP_AND_SET(u16)
SETP_AND_SET(s32)
SETP_AND_SET(u32)
SETP_AND_SET(s64)
SETP_AND_SET(u64)
SETP_AND_SET(f32)
SETP_AND_SET(f64)
SETP_AND_SET(f16)
SETP_AND_SET(bf16)

/* The two halves of a packed register go to two predicates. */
HANDLER(setp_half2)
{
    (void)out;
    bool brain = i->type2 == KDS_PTX_BF16X2;
    uint32_t low = combined(w, i, compare_halves(w, i, 0, 2, brain));
    uint32_t high = combined(w, i, compare_halves(w, i, 1, 2, brain));
    set_predicate(w, i->d, low);
    set_predicate(w, i->d2, high);
    return KDS_STEP_ON;
}

HANDLER(set_half2)
{
    bool brain = i->type2 == KDS_PTX_BF16X2;
    uint32_t low = compare_halves(w, i, 0, 2, brain), high = compare_halves(w, i, 1, 2, brain);
    u32 yes = i->type == KDS_PTX_F16X2 ? 0x3c00u : i->type == KDS_PTX_BF16X2 ? 0x3f80u : 0xffffu;
    u32 *d = RESULT(u32);
    LANES d[l] = ((low >> l & 1) != 0 ? yes : 0) | ((high >> l & 1) != 0 ? yes << 16 : 0);
    return KDS_STEP_ON;
}
