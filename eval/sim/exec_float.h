/* Part of exec_body.h: single and double precision. NaN results of single precision are canonical.
 */

/* Loads and stores stay on their side of these calls, and with them the arithmetic in between. */
static inline void round_begin(const kds_ins *i)
{
    static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    if (i->rounding != KDS_RN)
        fesetround(modes[i->rounding]);
}

static inline void round_end(const kds_ins *i)
{
    if (i->rounding != KDS_RN)
        fesetround(FE_TONEAREST);
}

OP2(add_f32, f32, f32, f32, kds_canonical(x + y))
OP2(sub_f32, f32, f32, f32, kds_canonical(x - y))
OP2(mul_f32, f32, f32, f32, kds_canonical(x *y))
OP3(fma_f32, f32, f32, f32, f32, kds_canonical(kds_fma_f32(x, y, z)))
OP2(add_ftz_f32, f32, f32, f32, kds_flush(kds_canonical(kds_flush(x) + kds_flush(y))))
OP2(sub_ftz_f32, f32, f32, f32, kds_flush(kds_canonical(kds_flush(x) - kds_flush(y))))
OP2(mul_ftz_f32, f32, f32, f32, kds_flush(kds_canonical(kds_flush(x) * kds_flush(y))))
OP3(fma_ftz_f32, f32, f32, f32, f32,
    kds_flush(kds_canonical(kds_fma_f32(kds_flush(x), kds_flush(y), kds_flush(z)))))

/* The arguments flushed if .ftz, the result canonical, flushed, saturated. */
static inline f32 given(f32 x, bool ftz)
{
    return ftz ? kds_flush(x) : x;
}

static inline f32 finished(f32 r, bool ftz, bool sat)
{
    r = kds_canonical(r);
    r = ftz ? kds_flush(r) : r;
    return sat ? kds_saturate(r) : r;
}

#define MODS                                                                                       \
    bool ftz = (i->mods & KDS_MOD_FTZ) != 0, sat = (i->mods & KDS_MOD_SAT) != 0;                   \
    f32 *d = RESULT(f32);                                                                          \
    const f32 *a = REGISTER(f32, i->a)

/* With rounding mode, flushing and saturation as the instruction says. */
#define FLOAT1(name, expr)                                                                         \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        MODS;                                                                                      \
        round_begin(i);                                                                            \
        LANES                                                                                      \
        {                                                                                          \
            f32 x = given(a[l], ftz);                                                              \
            d[l] = finished(expr, ftz, sat);                                                       \
        }                                                                                          \
        round_end(i);                                                                              \
        return KDS_STEP_ON;                                                                        \
    }
#define FLOAT2(name, expr)                                                                         \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        MODS;                                                                                      \
        const f32 *b = REGISTER(f32, i->b);                                                        \
        round_begin(i);                                                                            \
        LANES                                                                                      \
        {                                                                                          \
            f32 x = given(a[l], ftz), y = given(b[l], ftz);                                        \
            d[l] = finished(expr, ftz, sat);                                                       \
        }                                                                                          \
        round_end(i);                                                                              \
        return KDS_STEP_ON;                                                                        \
    }

FLOAT2(add_any_f32, x + y)
FLOAT2(sub_any_f32, x - y)
FLOAT2(mul_any_f32, x *y)

HANDLER(fma_any_f32)
{
    MODS;
    const f32 *b = REGISTER(f32, i->b), *c = REGISTER(f32, i->c);
    round_begin(i);
    /* The software form of fusing works in one rounding mode only: the library's in all. */
    for (int l = 0; l < KDS_LANES; l++) {
        f32 x = given(a[l], ftz), y = given(b[l], ftz), z = given(c[l], ftz);
        f32 r = i->rounding == KDS_RN ? kds_fma_f32(x, y, z) : fmaf(x, y, z);
        d[l] = finished(r, ftz, sat);
    }
    round_end(i);
    return KDS_STEP_ON;
}

/* Two values a register: as many lanes of four bytes again. */
#define PAIRS(name, expr)                                                                          \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        bool ftz = (i->mods & KDS_MOD_FTZ) != 0;                                                   \
        f32 *d = RESULT(f32);                                                                      \
        const f32 *a = REGISTER(f32, i->a), *b = REGISTER(f32, i->b);                              \
        const f32 *c = i->c >= 0 ? REGISTER(f32, i->c) : a;                                        \
        round_begin(i);                                                                            \
        for (int l = 0; l < 2 * KDS_LANES; l++) {                                                  \
            f32 x = given(a[l], ftz), y = given(b[l], ftz), z = given(c[l], ftz);                  \
            d[l] = finished(expr, ftz, false);                                                     \
            (void)z;                                                                               \
        }                                                                                          \
        round_end(i);                                                                              \
        return KDS_STEP_ON;                                                                        \
    }
PAIRS(add_f32x2, x + y)
PAIRS(sub_f32x2, x - y)
PAIRS(mul_f32x2, x *y)
PAIRS(fma_f32x2, i->rounding == KDS_RN ? kds_fma_f32(x, y, z) : fmaf(x, y, z))

FLOAT2(div_f32, x / y)
FLOAT2(div_approx_f32, x / y)
FLOAT1(rcp_f32, 1.0f / x)
FLOAT1(rcp_approx_f32, 1.0f / x)
FLOAT1(sqrt_f32, sqrtf(x))
FLOAT1(sqrt_approx_f32, sqrtf(x))
FLOAT1(rsqrt_approx_f32, 1.0f / sqrtf(x))
FLOAT1(ex2_f32, kds_ex2(x))
FLOAT1(lg2_f32, kds_lg2(x))
FLOAT1(sin_f32, kds_sin(x))
FLOAT1(cos_f32, kds_cos(x))
FLOAT1(tanh_f32, kds_tanh(x))

/* -0 is less than +0; a NaN loses against a number unless .NaN. */
static inline f32 least(f32 x, f32 y, bool nan)
{
    f32 equal = kds_bits_f32(kds_f32_bits(x) | kds_f32_bits(y));
    f32 r = x < y ? x : y < x ? y : equal;
    f32 number = x != x ? y : x;
    bool unordered = x != x || y != y;
    return unordered ? (nan ? NAN : number) : r;
}

static inline f32 greatest(f32 x, f32 y, bool nan)
{
    f32 equal = kds_bits_f32(kds_f32_bits(x) & kds_f32_bits(y));
    f32 r = x > y ? x : y > x ? y : equal;
    f32 number = x != x ? y : x;
    bool unordered = x != x || y != y;
    return unordered ? (nan ? NAN : number) : r;
}
FLOAT2(min_f32, least(x, y, (i->mods & KDS_MOD_NAN) != 0))
FLOAT2(max_f32, greatest(x, y, (i->mods & KDS_MOD_NAN) != 0))

/* Bits alone: a NaN keeps its payload without .ftz, as a move would. */
HANDLER(abs_f32)
{
    bool ftz = (i->mods & KDS_MOD_FTZ) != 0;
    u32 *d = RESULT(u32);
    const f32 *a = REGISTER(f32, i->a);
    LANES d[l] = kds_f32_bits(given(a[l], ftz)) & 0x7fffffffu;
    return KDS_STEP_ON;
}

HANDLER(neg_f32)
{
    bool ftz = (i->mods & KDS_MOD_FTZ) != 0;
    u32 *d = RESULT(u32);
    const f32 *a = REGISTER(f32, i->a);
    LANES d[l] = kds_f32_bits(given(a[l], ftz)) ^ 0x80000000u;
    return KDS_STEP_ON;
}

/* copysign d, a, b: the magnitude of b with the sign of a. */
OP2(copysign_f32, u32, u32, u32, (x & 0x80000000u) | (y & 0x7fffffffu))
OP2(copysign_f64, u64, u64, u64, (x & ((u64)1 << 63)) | (y & ~((u64)1 << 63)))

static inline bool tested(u64 magnitude, u64 infinity, u64 least_normal, int property)
{
    switch (property) {
    case 0:
        return magnitude < infinity;
    case 1:
        return magnitude == infinity;
    case 2:
        return magnitude <= infinity;
    case 3:
        return magnitude > infinity;
    case 4:
        return magnitude >= least_normal && magnitude < infinity;
    default:
        return magnitude != 0 && magnitude < least_normal;
    }
}

HANDLER(testp_f32)
{
    (void)out;
    uint32_t bits = 0;
    for (int l = 0; l < KDS_LANES; l++)
        bits |= (uint32_t)tested(REGISTER(u32, i->a)[l] & 0x7fffffffu, 0x7f800000u, 0x00800000u,
                                 i->combine)
                << l;
    set_predicate(w, i->d, bits);
    return KDS_STEP_ON;
}

HANDLER(testp_f64)
{
    (void)out;
    uint32_t bits = 0;
    for (int l = 0; l < KDS_LANES; l++)
        bits |= (uint32_t)tested(REGISTER(u64, i->a)[l] & ~((u64)1 << 63), 0x7ff0000000000000u,
                                 0x0010000000000000u, i->combine)
                << l;
    set_predicate(w, i->d, bits);
    return KDS_STEP_ON;
}

#define DOUBLE2(name, expr)                                                                        \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        f64 *d = RESULT(f64);                                                                      \
        const f64 *a = REGISTER(f64, i->a), *b = REGISTER(f64, i->b);                              \
        round_begin(i);                                                                            \
        LANES                                                                                      \
        {                                                                                          \
            f64 x = a[l], y = b[l];                                                                \
            d[l] = (expr);                                                                         \
        }                                                                                          \
        round_end(i);                                                                              \
        return KDS_STEP_ON;                                                                        \
    }
#define DOUBLE1(name, expr)                                                                        \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        f64 *d = RESULT(f64);                                                                      \
        const f64 *a = REGISTER(f64, i->a);                                                        \
        round_begin(i);                                                                            \
        LANES                                                                                      \
        {                                                                                          \
            f64 x = a[l];                                                                          \
            d[l] = (expr);                                                                         \
        }                                                                                          \
        round_end(i);                                                                              \
        return KDS_STEP_ON;                                                                        \
    }
DOUBLE2(add_f64, x + y)
DOUBLE2(sub_f64, x - y)
DOUBLE2(mul_f64, x *y)
DOUBLE2(div_f64, x / y)
DOUBLE1(rcp_f64, 1.0 / x)
DOUBLE1(sqrt_f64, sqrt(x))

HANDLER(fma_f64)
{
    f64 *d = RESULT(f64);
    const f64 *a = REGISTER(f64, i->a), *b = REGISTER(f64, i->b), *c = REGISTER(f64, i->c);
    round_begin(i);
    LANES d[l] = kds_fma_f64(a[l], b[l], c[l]);
    round_end(i);
    return KDS_STEP_ON;
}

/* The approximations of double precision give the upper half of the result, subnormals flushed. */
static inline f64 upper_half(f64 x)
{
    u64 u = kds_f64_bits(x);
    if (x != x)
        return kds_bits_f64(0x7fffffff00000000u);
    return kds_bits_f64((u & 0x7ff0000000000000u) == 0 ? u & ((u64)1 << 63)
                                                       : u & 0xffffffff00000000u);
}

static inline f64 flush64(f64 x)
{
    u64 u = kds_f64_bits(x);
    return kds_bits_f64((u & 0x7ff0000000000000u) == 0 ? u & ((u64)1 << 63) : u);
}
OP1(rcp_approx_f64, f64, f64, upper_half(1.0 / flush64(x)))
OP1(rsqrt_approx_f64, f64, f64, upper_half(1.0 / sqrt(flush64(x))))

static inline f64 least64(f64 x, f64 y)
{
    f64 equal = kds_bits_f64(kds_f64_bits(x) | kds_f64_bits(y));
    return x != x ? y : y != y ? x : x < y ? x : y < x ? y : equal;
}

static inline f64 greatest64(f64 x, f64 y)
{
    f64 equal = kds_bits_f64(kds_f64_bits(x) & kds_f64_bits(y));
    return x != x ? y : y != y ? x : x > y ? x : y > x ? y : equal;
}
OP2(min_f64, f64, f64, f64, least64(x, y))
OP2(max_f64, f64, f64, f64, greatest64(x, y))
OP1(abs_f64, u64, u64, x & ~((u64)1 << 63))
OP1(neg_f64, u64, u64, x ^ ((u64)1 << 63))
