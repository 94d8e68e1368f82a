/* Part of exec_body.h: addresses of the lanes, their patterns, sectors and banks, and moving data
 * between lane-major bytes and registers. */

static inline void lane_addresses(const kds_warp *w, int32_t base, int width, int64_t offset,
                                  u64 *a)
{
    if (width == 8) {
        const u64 *b = REGISTER(u64, base);
        LANES a[l] = b[l] + (u64)offset;
    } else {
        const u32 *b = REGISTER(u32, base);
        LANES a[l] = (u32)(b[l] + (u32)offset);
    }
}

/* Lane l is `step` times l after lane 0. */
static inline bool evenly_spaced(const u64 *a, u64 step)
{
    u64 first = a[0], difference = 0;
    for (int l = 0; l < KDS_LANES; l++)
        difference |= a[l] ^ (first + (u64)l * step);
    return difference == 0;
}

/* Distinct pieces of 2^shift bytes among the lanes of a mask; `fresh` collects the lanes that bring
 * a new one. */
static inline unsigned count_distinct(const u64 *a, uint32_t mask, unsigned shift, uint32_t *fresh)
{
    u64 table[64];
    uint64_t used = 0, last = UINT64_MAX;
    unsigned count = 0;
    *fresh = 0;
    for (uint32_t left = mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        uint64_t piece = a[l] >> shift;
        if (piece == last)
            continue;
        last = piece;
        unsigned h = (unsigned)((piece * 0x9e3779b97f4a7c15u) >> 58);
        while ((used >> h & 1) != 0 && table[h] != piece)
            h = (h + 1) & 63;
        if ((used >> h & 1) != 0)
            continue;
        used |= UINT64_C(1) << h;
        table[h] = piece;
        *fresh |= 1u << l;
        count++;
    }
    return count;
}

static inline unsigned count_sectors(const u64 *a, uint32_t mask, uint32_t *fresh)
{
    return count_distinct(a, mask, 5, fresh);
}

/* The most distinct words that lanes [first, first + lanes) want of one of 32 banks. */
static inline unsigned bank_words(const u64 *a, uint32_t mask, unsigned first, unsigned lanes,
                                  unsigned words)
{
    uint32_t banked[32][8];
    uint8_t filled[32] = {0};
    unsigned most = 0;
    for (unsigned l = first; l < first + lanes; l++) {
        if ((mask >> l & 1) == 0)
            continue;
        for (unsigned k = 0; k < words; k++) {
            uint32_t word = (uint32_t)(a[l] / 4) + k;
            unsigned bank = word & 31, at = 0;
            while (at < filled[bank] && at < 8 && banked[bank][at] != word)
                at++;
            /* Beyond 8 words per bank each is taken for a new one, unless it repeats the last. */
            if (at < 8 && at < filled[bank])
                continue;
            if (at < 8)
                banked[bank][at] = word;
            filled[bank]++;
            most = filled[bank] > most ? filled[bank] : most;
        }
    }
    return most;
}

/* Wavefronts of a shared access: 32 banks of 4 bytes; accesses of 8 and 16 bytes go in halves and
 * quarters of the warp, unless all of it fits in one; lanes that want the same word share it.
 * `ideal` is the number without conflicts. */
static inline unsigned count_wavefronts(const u64 *a, uint32_t mask, unsigned bytes,
                                        unsigned *ideal)
{
    unsigned words = bytes < 4 ? 1 : bytes / 4, lanes = 32 / words, total = 0;
    *ideal = words > 1 ? bank_words(a, mask, 0, 32, words) : 2;
    if (*ideal <= 1)
        return *ideal;
    *ideal = 0;
    for (unsigned first = 0; first < 32; first += lanes) {
        unsigned most = bank_words(a, mask, first, lanes, words);
        total += most;
        *ideal += most > 0;
    }
    return total;
}

static inline void copy_lane(u8 *to, const u8 *from, unsigned bytes)
{
    switch (bytes) {
    case 1:
        *to = *from;
        break;
    case 2:
        memcpy(to, from, 2);
        break;
    case 4:
        memcpy(to, from, 4);
        break;
    case 8:
        memcpy(to, from, 8);
        break;
    case 16:
        memcpy(to, from, 16);
        break;
    default:
        memcpy(to, from, 32);
        break;
    }
}

/* The same bytes for every lane. */
static inline void splat(u8 *stage, const u8 *from, unsigned bytes)
{
    if (bytes == 4) {
        u32 v;
        memcpy(&v, from, 4);
        LANES((u32 *)(void *)stage)[l] = v;
    } else if (bytes == 8) {
        u64 v;
        memcpy(&v, from, 8);
        LANES((u64 *)(void *)stage)[l] = v;
    } else {
        for (unsigned l = 0; l < KDS_LANES; l++)
            copy_lane(stage + l * bytes, from, bytes);
    }
}

/* One element of each lane: from memory of type T to a register of type D. */
#define SPREAD(T, D)                                                                               \
    do {                                                                                           \
        const T *s = (const T *)(const void *)p;                                                   \
        D *d = (D *)__builtin_assume_aligned(to, 64);                                              \
        if (n == 1) {                                                                              \
            LANES d[l] = (D)s[l];                                                                  \
        } else if (n == 2) {                                                                       \
            LANES d[l] = (D)s[2 * l + e];                                                          \
        } else {                                                                                   \
            LANES d[l] = (D)s[n * l + e];                                                          \
        }                                                                                          \
    } while (0)

static inline void spread_element(const kds_ins *i, const u8 *p, int e, void *to)
{
    int n = i->elements;
    bool sign = i->type == KDS_PTX_S8 || i->type == KDS_PTX_S16 || i->type == KDS_PTX_S32;
    switch (i->bytes << 4 | i->result_bytes) {
    case 0x44:
        SPREAD(u32, u32);
        break;
    case 0x22:
        SPREAD(u16, u16);
        break;
    case 0x88:
        SPREAD(u64, u64);
        break;
    case 0x12:
        if (sign)
            SPREAD(s8, u16);
        else
            SPREAD(u8, u16);
        break;
    case 0x14:
        if (sign)
            SPREAD(s8, u32);
        else
            SPREAD(u8, u32);
        break;
    case 0x18:
        if (sign)
            SPREAD(s8, u64);
        else
            SPREAD(u8, u64);
        break;
    case 0x24:
        if (sign)
            SPREAD(s16, u32);
        else
            SPREAD(u16, u32);
        break;
    case 0x28:
        if (sign)
            SPREAD(s16, u64);
        else
            SPREAD(u16, u64);
        break;
    default:
        if (sign)
            SPREAD(s32, u64);
        else
            SPREAD(u32, u64);
        break;
    }
}

/* Lane-major bytes at p (bytes * elements per lane) into the registers of a load. */
static inline void unpack(kds_warp *w, const kds_ins *i, const u8 *p)
{
    const int32_t *list = w->run->kernel->list + i->list;
    bool all = w->mask == w->live;
    if (all && i->elements == 4 && i->bytes == 4 && i->result_bytes == 4 &&
        (list[0] | list[1] | list[2] | list[3]) >= 0) {
        const u32 *s = (const u32 *)(const void *)p;
        u32 *d0 = REGISTER(u32, list[0]), *d1 = REGISTER(u32, list[1]);
        u32 *d2 = REGISTER(u32, list[2]), *d3 = REGISTER(u32, list[3]);
        LANES
        {
            d0[l] = s[4 * l];
            d1[l] = s[4 * l + 1];
            d2[l] = s[4 * l + 2];
            d3[l] = s[4 * l + 3];
        }
        return;
    }
    for (int e = 0; e < i->elements; e++) {
        if (list[e] < 0)
            continue;
        spread_element(i, p, e, all ? w->file + list[e] : w->scratch);
        if (!all)
            merge(w, list[e], i->result_bytes, w->scratch);
    }
}

#define GATHER(T, D)                                                                               \
    do {                                                                                           \
        const D *s = REGISTER(D, list[e]);                                                         \
        T *d = (T *)(void *)p;                                                                     \
        if (n == 1) {                                                                              \
            LANES d[l] = (T)s[l];                                                                  \
        } else {                                                                                   \
            LANES d[n * l + e] = (T)s[l];                                                          \
        }                                                                                          \
    } while (0)

/* The registers of a store into lane-major bytes at p. */
static inline void pack(const kds_warp *w, const kds_ins *i, u8 *p)
{
    const int32_t *list = w->run->kernel->list + i->list;
    int n = i->elements;
    if (n == 4 && i->bytes == 4 && i->result_bytes == 4) {
        u32 *d = (u32 *)(void *)p;
        const u32 *s0 = REGISTER(u32, list[0]), *s1 = REGISTER(u32, list[1]);
        const u32 *s2 = REGISTER(u32, list[2]), *s3 = REGISTER(u32, list[3]);
        LANES
        {
            d[4 * l] = s0[l];
            d[4 * l + 1] = s1[l];
            d[4 * l + 2] = s2[l];
            d[4 * l + 3] = s3[l];
        }
        return;
    }
    for (int e = 0; e < n; e++) {
        switch (i->bytes << 4 | i->result_bytes) {
        case 0x44:
            GATHER(u32, u32);
            break;
        case 0x22:
            GATHER(u16, u16);
            break;
        case 0x88:
            GATHER(u64, u64);
            break;
        case 0x12:
            GATHER(u8, u16);
            break;
        case 0x14:
            GATHER(u8, u32);
            break;
        case 0x18:
            GATHER(u8, u64);
            break;
        case 0x24:
            GATHER(u16, u32);
            break;
        case 0x28:
            GATHER(u16, u64);
            break;
        default:
            GATHER(u32, u64);
            break;
        }
    }
}

/* The bits of a bitmap that a load's mask of used bytes asks for. */
static inline bool used_bytes_set(const uint64_t *bits, uint64_t first, unsigned bytes,
                                  uint32_t used)
{
    if (used == 0)
        return kds_bits_all(bits, first, bytes);
    for (unsigned k = 0; k < bytes; k++)
        if ((used >> k & 1) != 0 && (bits[(first + k) / 64] >> ((first + k) % 64) & 1) == 0)
            return false;
    return true;
}
