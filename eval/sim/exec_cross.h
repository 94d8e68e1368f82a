/* Part of exec_body.h: instructions across the lanes of a warp. Those with a member mask wait until
 * every living member has come to the same place; then they run once for all. */

/* Of the lanes in `left`, those that name the same mask as its first. */
static inline uint32_t with_same_members(const kds_warp *w, const kds_ins *i, uint32_t left)
{
    const u32 *members = REGISTER(u32, i->x);
    u32 same[KDS_LANES] __attribute__((aligned(64))), first = members[__builtin_ctz(left)];
    LANES same[l] = 0 - (u32)(members[l] == first);
    return bits_of(same) & left;
}

/* The members of each executing lane must be here, or have exited. */
static inline kds_step gathered(kds_warp *w, const kds_ins *i)
{
    for (uint32_t left = w->mask, group; left != 0; left &= ~group) {
        group = with_same_members(w, i, left);
        uint32_t members = REGISTER(u32, i->x)[__builtin_ctz(left)];
        if ((group & ~members) != 0)
            return kds_fault_text(
                w->run, KDS_SIM_BARRIER, i, (uint32_t)__builtin_ctz(group & ~members),
                "a lane executes it that is not in its member mask 0x%08x", members);
        if ((members & w->live & ~group) != 0)
            return KDS_STEP_WAIT;
    }
    return KDS_STEP_ON;
}

/* Lanes that stand together may name different masks (tiles of a warp, peers of a match): the body
 * runs once for each, with w->mask the lanes that name it. */
#define COLLECTIVE(name)                                                                           \
    static inline void name##_of_members(kds_warp *w, const kds_ins *i);                           \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        (void)out;                                                                                 \
        kds_step s = gathered(w, i);                                                               \
        if (s != KDS_STEP_ON)                                                                      \
            return s;                                                                              \
        uint32_t all = w->mask;                                                                    \
        for (uint32_t left = all; left != 0; left &= ~w->mask) {                                   \
            w->mask = with_same_members(w, i, left);                                               \
            name##_of_members(w, i);                                                               \
        }                                                                                          \
        w->mask = all;                                                                             \
        return KDS_STEP_ON;                                                                        \
    }                                                                                              \
    static inline void name##_of_members(kds_warp *w, const kds_ins *i)

COLLECTIVE(shfl)
{
    u32 t[KDS_LANES] __attribute__((aligned(64))), from[KDS_LANES] __attribute__((aligned(64)));
    u32 inside[KDS_LANES] __attribute__((aligned(64)));
    const u32 *a = REGISTER(u32, i->a), *b = REGISTER(u32, i->b), *c = REGISTER(u32, i->c);
    int mode = i->combine;
    for (int l = 0; l < KDS_LANES; l++) {
        u32 lane = (u32)l, by = b[l] & 31, clamp = c[l] & 31, segment = c[l] >> 8 & 31;
        u32 most = (lane & segment) | (clamp & ~segment), least = lane & segment;
        u32 j = mode == 0   ? lane - by
                : mode == 1 ? lane + by
                : mode == 2 ? lane ^ by
                            : least | (by & ~segment);
        bool in = mode == 0 ? (s32)j >= (s32)most : j <= most;
        from[l] = in ? j & 31 : lane;
        inside[l] = 0 - (u32)in;
    }
#if defined(__AVX2__)
    for (int l = 0; l < KDS_LANES; l += 8)
        _mm256_store_si256((__m256i *)(void *)(t + l),
                           _mm256_i32gather_epi32(
                               (const int *)(const void *)a,
                               _mm256_load_si256((const __m256i *)(const void *)(from + l)), 4));
#else
    for (int l = 0; l < KDS_LANES; l++)
        t[l] = a[from[l]];
#endif
    merge(w, i->d, 4, t);
    set_predicate(w, i->d2, bits_of(inside));
}

COLLECTIVE(vote)
{
    uint32_t yes = predicate(w, i->a) & w->mask, all = w->mask;
    if (i->combine == 3) {
        u32 t[KDS_LANES] __attribute__((aligned(64)));
        LANES t[l] = yes;
        merge(w, i->d, 4, t);
        return;
    }
    bool r = i->combine == 0 ? yes == all : i->combine == 1 ? yes != 0 : yes == all || yes == 0;
    set_predicate(w, i->d, r ? KDS_FULL : 0);
}

HANDLER(activemask)
{
    (void)out;
    u32 t[KDS_LANES] __attribute__((aligned(64)));
    uint32_t mask = w->mask;
    LANES t[l] = mask;
    merge(w, i->d, 4, t);
    return KDS_STEP_ON;
}

COLLECTIVE(match_any)
{
    u32 t[KDS_LANES] __attribute__((aligned(64))) = {0};
    for (int l = 0; l < KDS_LANES; l++)
        for (int k = 0; k < KDS_LANES; k++)
            if ((w->mask >> k & 1) != 0 &&
                lane_bits(w, i->a, i->bytes, l) == lane_bits(w, i->a, i->bytes, k))
                t[l] |= 1u << k;
    merge(w, i->d, 4, t);
}

COLLECTIVE(match_all)
{
    u64 first = lane_bits(w, i->a, i->bytes, __builtin_ctz(w->mask));
    bool same = true;
    for (uint32_t left = w->mask; left != 0; left &= left - 1)
        same &= lane_bits(w, i->a, i->bytes, __builtin_ctz(left)) == first;
    u32 t[KDS_LANES] __attribute__((aligned(64)));
    uint32_t mask = same ? w->mask : 0;
    LANES t[l] = mask;
    merge(w, i->d, 4, t);
    set_predicate(w, i->d2, same ? KDS_FULL : 0);
}

COLLECTIVE(redux)
{
    const u32 *a = REGISTER(u32, i->a);
    u32 r = a[__builtin_ctz(w->mask)];
    bool sign = i->type == KDS_PTX_S32;
    for (uint32_t left = w->mask & (w->mask - 1); left != 0; left &= left - 1) {
        u32 x = a[__builtin_ctz(left)];
        bool less = sign ? (s32)x < (s32)r : x < r;
        switch (i->compare) {
        case 0:
            r += x;
            break;
        case 1:
            r = less ? x : r;
            break;
        case 2:
            r = less ? r : x;
            break;
        case 3:
            r &= x;
            break;
        case 4:
            r |= x;
            break;
        default:
            r ^= x;
            break;
        }
    }
    u32 t[KDS_LANES] __attribute__((aligned(64)));
    LANES t[l] = r;
    merge(w, i->d, 4, t);
}

/* The members may wait at different places: kds_warp_stuck lets them go together. */
HANDLER(warpsync)
{
    (void)out;
    kds_step s = gathered(w, i);
    if (s != KDS_STEP_ON)
        return s;
    for (uint32_t left = w->mask, group; left != 0 && w->run->race != NULL; left &= ~group) {
        group = with_same_members(w, i, left);
        kds_race_warpsync(w, group);
    }
    return s;
}

COLLECTIVE(elect)
{
    u32 t[KDS_LANES] __attribute__((aligned(64)));
    u32 leader = (u32)__builtin_ctz(w->mask);
    LANES t[l] = leader;
    merge(w, i->d, 4, t);
    set_predicate(w, i->d2, 1u << leader);
}

/* Deterministic: one cycle per warp instruction of the launch, one nanosecond per cycle. */
static inline u64 clock_at(const kds_warp *w, const kds_ins *i)
{
    return w->run->clock + (u64)(i - w->run->kernel->code) - w->from;
}

HANDLER(clock32)
{
    u32 *d = RESULT(u32);
    u64 now = clock_at(w, i);
    LANES d[l] = (u32)(i->combine >= 2 ? now >> 32 : now);
    return KDS_STEP_ON;
}

HANDLER(clock64)
{
    u64 *d = RESULT(u64);
    u64 now = clock_at(w, i);
    LANES d[l] = now;
    return KDS_STEP_ON;
}
