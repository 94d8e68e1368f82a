/* Part of exec_body.h: lanes, masks and how a handler is written. A handler computes all 32 lanes
 * into `out`; if not all living lanes execute, `out` is a scratch slot that the loop merges. A
 * handler whose instruction has KDS_INS_OWN_MASK set heeds w->mask itself. */

typedef uint8_t u8;
typedef int8_t s8;
typedef uint16_t u16 __attribute__((may_alias));
typedef uint32_t u32 __attribute__((may_alias));
typedef uint64_t u64 __attribute__((may_alias));
typedef int16_t s16 __attribute__((may_alias));
typedef int32_t s32 __attribute__((may_alias));
typedef int64_t s64 __attribute__((may_alias));
typedef float f32 __attribute__((may_alias));
typedef double f64 __attribute__((may_alias));
__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 s128;

#if defined(__clang__)
#define KDS_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define KDS_IVDEP _Pragma("GCC ivdep")
#endif
#define LANES KDS_IVDEP for (int l = 0; l < KDS_LANES; l++)

#define HANDLER(name) static kds_step op_##name(kds_warp *w, const kds_ins *i, void *out)
#define REGISTER(T, offset) ((T *)__builtin_assume_aligned(w->file + (offset), 64))
#define RESULT(T) ((T *)__builtin_assume_aligned(out, 64))

#define OP1(name, D, A, expr)                                                                      \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        D *d = RESULT(D);                                                                          \
        const A *a = REGISTER(A, i->a);                                                            \
        LANES                                                                                      \
        {                                                                                          \
            A x = a[l];                                                                            \
            d[l] = (D)(expr);                                                                      \
        }                                                                                          \
        return KDS_STEP_ON;                                                                        \
    }

#define OP2(name, D, A, B, expr)                                                                   \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        D *d = RESULT(D);                                                                          \
        const A *a = REGISTER(A, i->a);                                                            \
        const B *b = REGISTER(B, i->b);                                                            \
        LANES                                                                                      \
        {                                                                                          \
            A x = a[l];                                                                            \
            B y = b[l];                                                                            \
            d[l] = (D)(expr);                                                                      \
        }                                                                                          \
        return KDS_STEP_ON;                                                                        \
    }

#define OP3(name, D, A, B, C, expr)                                                                \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        D *d = RESULT(D);                                                                          \
        const A *a = REGISTER(A, i->a);                                                            \
        const B *b = REGISTER(B, i->b);                                                            \
        const C *c = REGISTER(C, i->c);                                                            \
        LANES                                                                                      \
        {                                                                                          \
            A x = a[l];                                                                            \
            B y = b[l];                                                                            \
            C z = c[l];                                                                            \
            d[l] = (D)(expr);                                                                      \
        }                                                                                          \
        return KDS_STEP_ON;                                                                        \
    }

/* One bit per lane from lanes that are all ones or all zeros. */
static inline uint32_t bits_of(const u32 *t)
{
#if defined(__AVX2__)
    uint32_t r = 0;
    for (int k = 0; k < 4; k++)
        r |= (uint32_t)_mm256_movemask_ps(_mm256_load_ps((const float *)(const void *)(t + 8 * k)))
             << (8 * k);
    return r;
#elif defined(__SSE2__)
    uint32_t r = 0;
    for (int k = 0; k < 8; k++)
        r |= (uint32_t)_mm_movemask_ps(_mm_load_ps((const float *)(const void *)(t + 4 * k)))
             << (4 * k);
    return r;
#else
    uint32_t r = 0;
    for (int l = 0; l < KDS_LANES; l++)
        r |= (t[l] & 1u) << l;
    return r;
#endif
}

static inline uint32_t predicate(const kds_warp *w, int32_t offset)
{
    return *(const u32 *)(const void *)(w->file + offset);
}

static inline void set_predicate(kds_warp *w, int32_t offset, uint32_t bits)
{
    if (offset < 0)
        return;
    u32 *p = (u32 *)(void *)(w->file + offset);
    *p = (*p & ~w->mask) | (bits & w->mask);
}

static inline void merge16(u16 *d, const u16 *t, uint32_t mask)
{
    for (int l = 0; l < KDS_LANES; l++)
        d[l] = (mask >> l & 1) != 0 ? t[l] : d[l];
}

static inline void merge32(u32 *d, const u32 *t, uint32_t mask)
{
    for (int l = 0; l < KDS_LANES; l++)
        d[l] = (mask >> l & 1) != 0 ? t[l] : d[l];
}

static inline void merge64(u64 *d, const u64 *t, uint32_t mask)
{
    for (int l = 0; l < KDS_LANES; l++)
        d[l] = (mask >> l & 1) != 0 ? t[l] : d[l];
}

/* Stores a result of 2, 4 or 8 bytes per lane under w->mask. */
static inline void merge(kds_warp *w, int32_t offset, int bytes, const void *t)
{
    if (offset < 0)
        return;
    if (bytes == 4)
        merge32(REGISTER(u32, offset), t, w->mask);
    else if (bytes == 8)
        merge64(REGISTER(u64, offset), t, w->mask);
    else
        merge16(REGISTER(u16, offset), t, w->mask);
}
