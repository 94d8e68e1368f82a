/* Part of exec_body.h: f16 and bf16, single and packed: a packed register is 64 halves side by
 * side, a single one 32. Rounding is right: a sum or product of halves is exact enough in single
 * precision (24 >= 2 * 11 + 2 bits), fused operations go through a sum rounded to odd. */

#define HALVES (i->result_bytes == 4 ? 64 : 32)

static inline void widen_f16(const u16 *a, f32 *x, int count)
{
#if defined(__F16C__)
    for (int k = 0; k < count; k += 8)
        _mm256_store_ps((float *)(void *)(x + k),
                        _mm256_cvtph_ps(_mm_load_si128((const __m128i *)(const void *)(a + k))));
#else
    for (int k = 0; k < count; k++)
        x[k] = kds_f16_to_f32(a[k]);
#endif
}

static inline void narrow_f16(const f32 *x, u16 *d, int count)
{
    for (int k = 0; k < count; k++)
        d[k] = kds_f32_to_f16(x[k]);
}

static inline void widen_bf16(const u16 *a, f32 *x, int count)
{
    for (int k = 0; k < count; k++)
        x[k] = kds_bf16_to_f32(a[k]);
}

static inline void narrow_bf16(const f32 *x, u16 *d, int count)
{
    for (int k = 0; k < count; k++)
        d[k] = kds_f32_to_bf16(x[k]);
}

/* .ftz of f16: subnormal halves are flushed. */
static inline f32 flush_half(f32 x, bool ftz)
{
    return ftz && fabsf(x) < 6.103515625e-05f ? copysignf(0.0f, x) : x;
}

/* A sum of single precision rounded to odd, so that a half made of it is rounded once. */
static inline f32 add_odd(f32 p, f32 z)
{
    f32 s = p + z, t = s - p, error = (p - (s - t)) + (z - t);
    u32 u = kds_f32_bits(s);
    bool inexact = error != 0.0f && (u & 1) == 0 && (u & 0x7f800000u) != 0x7f800000u;
    u32 odd = (error > 0.0f) == (s > 0.0f) ? u + 1 : u - 1;
    return kds_bits_f32(inexact ? odd : u);
}

static inline f32 half_result(f32 r, uint8_t mods)
{
    if ((mods & KDS_MOD_SAT) != 0)
        r = kds_saturate(r);
    if ((mods & KDS_MOD_RELU) != 0)
        r = r != r ? r : r > 0.0f ? r : 0.0f;
    return r;
}

#define HALF_OP(name, kind, expr, sources)                                                         \
    HANDLER(name##_##kind)                                                                         \
    {                                                                                              \
        f32 a[64] __attribute__((aligned(64))), b[64] __attribute__((aligned(64))),                \
            c[64] __attribute__((aligned(64)));                                                    \
        int count = HALVES;                                                                        \
        uint8_t mods = i->mods;                                                                    \
        bool ftz = (mods & KDS_MOD_FTZ) != 0;                                                      \
        widen_##kind(REGISTER(u16, i->a), a, count);                                               \
        widen_##kind(REGISTER(u16, (sources) > 1 ? i->b : i->a), b, count);                        \
        widen_##kind(REGISTER(u16, (sources) > 2 ? i->c : i->a), c, count);                        \
        for (int k = 0; k < count; k++) {                                                          \
            f32 x = flush_half(a[k], ftz), y = flush_half(b[k], ftz), z = flush_half(c[k], ftz);   \
            (void)y;                                                                               \
            (void)z;                                                                               \
            a[k] = half_result(expr, mods);                                                        \
        }                                                                                          \
        u16 *d = RESULT(u16);                                                                      \
        narrow_##kind(a, d, count);                                                                \
        if (ftz) {                                                                                 \
            for (int k = 0; k < count; k++)                                                        \
                d[k] = (d[k] & 0x7c00) == 0 ? d[k] & 0x8000 : d[k];                                \
        }                                                                                          \
        return KDS_STEP_ON;                                                                        \
    }

HALF_OP(add, f16, x + y, 2)
HALF_OP(sub, f16, x - y, 2)
HALF_OP(mul, f16, x *y, 2)
HALF_OP(fma, f16, add_odd(x *y, z), 3)
HALF_OP(min, f16, least(x, y, (mods & KDS_MOD_NAN) != 0), 2)
HALF_OP(max, f16, greatest(x, y, (mods & KDS_MOD_NAN) != 0), 2)
HALF_OP(ex2, f16, kds_ex2(x), 1)
HALF_OP(tanh, f16, kds_tanh(x), 1)
HALF_OP(add, bf16, x + y, 2)
HALF_OP(sub, bf16, x - y, 2)

/* x * y + z, rounded once to bf16. A fused single-precision result may be rounded again unless it
 * lies halfway between two halves: then the whole register goes through the sum rounded to odd. */
static inline void fused_bf16(const f32 *x, const f32 *y, const f32 *z, f32 *r, int count,
                              uint8_t mods)
{
#if defined(__FMA__) || defined(__aarch64__)
    u32 ties = 0;
    for (int k = 0; k < count; k++) {
        f32 s = kds_fma_f32(x[k], y[k], z[k]);
        ties |= (kds_f32_bits(s) & 0xffffu) == 0x8000u;
        r[k] = s;
    }
    if (ties == 0) {
        for (int k = 0; mods != 0 && k < count; k++)
            r[k] = half_result(r[k], mods);
        return;
    }
#endif
    for (int k = 0; k < count; k++)
        r[k] = half_result(kds_odd_f32(kds_fma_odd(x[k], y[k], z[k])), mods);
}

HANDLER(fma_bf16)
{
    f32 a[64] __attribute__((aligned(64))), b[64] __attribute__((aligned(64))),
        c[64] __attribute__((aligned(64))), r[64] __attribute__((aligned(64)));
    int count = HALVES;
    widen_bf16(REGISTER(u16, i->a), a, count);
    widen_bf16(REGISTER(u16, i->b), b, count);
    widen_bf16(REGISTER(u16, i->c), c, count);
    fused_bf16(a, b, c, r, count, i->mods);
    narrow_bf16(r, RESULT(u16), count);
    return KDS_STEP_ON;
}

HANDLER(mul_bf16)
{
    f32 a[64] __attribute__((aligned(64))), b[64] __attribute__((aligned(64))),
        c[64] __attribute__((aligned(64))), r[64] __attribute__((aligned(64)));
    int count = HALVES;
    widen_bf16(REGISTER(u16, i->a), a, count);
    widen_bf16(REGISTER(u16, i->b), b, count);
    for (int k = 0; k < count; k++)
        c[k] = -0.0f;
    fused_bf16(a, b, c, r, count, i->mods);
    narrow_bf16(r, RESULT(u16), count);
    return KDS_STEP_ON;
}

HALF_OP(min, bf16, least(x, y, (mods & KDS_MOD_NAN) != 0), 2)
HALF_OP(max, bf16, greatest(x, y, (mods & KDS_MOD_NAN) != 0), 2)
HALF_OP(tanh, bf16, kds_tanh(x), 1)

/* Only flushes of single precision's own subnormals: bf16 has the same exponents. */
HANDLER(ex2_bf16)
{
    f32 a[64] __attribute__((aligned(64)));
    int count = HALVES;
    widen_bf16(REGISTER(u16, i->a), a, count);
    for (int k = 0; k < count; k++)
        a[k] = kds_flush(kds_ex2(kds_flush(a[k])));
    narrow_bf16(a, RESULT(u16), count);
    return KDS_STEP_ON;
}

HANDLER(abs_half)
{
    u16 *d = RESULT(u16);
    const u16 *a = REGISTER(u16, i->a);
    bool ftz = (i->mods & KDS_MOD_FTZ) != 0;
    int count = HALVES;
    for (int k = 0; k < count; k++)
        d[k] = ftz && (a[k] & 0x7c00) == 0 ? 0 : a[k] & 0x7fff;
    return KDS_STEP_ON;
}

HANDLER(neg_half)
{
    u16 *d = RESULT(u16);
    const u16 *a = REGISTER(u16, i->a);
    bool ftz = (i->mods & KDS_MOD_FTZ) != 0;
    int count = HALVES;
    for (int k = 0; k < count; k++)
        d[k] = (u16)((ftz && (a[k] & 0x7c00) == 0 ? a[k] & 0x8000 : a[k]) ^ 0x8000);
    return KDS_STEP_ON;
}
