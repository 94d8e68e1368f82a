/* Part of exec_body.h: local memory, parameters, generic addresses. Local memory keeps word k of
 * all lanes side by side, as the hardware does: lanes that use the same offset touch 128 bytes. */

static inline kds_step check_local(const kds_warp *w, const kds_ins *i, int lane, u64 address,
                                   unsigned bytes, bool store)
{
    u32 limit = w->run->kernel->local_bytes;
    bool inside = w->stack == NULL ? address < limit && bytes <= limit - address
                                   : kds_local_holds(w, (uint32_t)lane, address, bytes);
    if (inside && (address & (bytes - 1)) == 0)
        return KDS_STEP_ON;
    return kds_fault_at(w->run, inside ? KDS_SIM_MISALIGNED : KDS_SIM_OUT_OF_BOUNDS, i,
                        (uint32_t)lane, KDS_SPACE_LOCAL, address, bytes, store);
}

/* Copies `bytes` of one lane between its words and `other`. */
static inline void copy_local(u8 *local, int lane, u64 address, unsigned bytes, u8 *other,
                              bool store)
{
    while (bytes > 0) {
        unsigned n = bytes < 4 ? bytes : 4;
        u8 *word = local + ((address / 4) * 32 + (unsigned)lane) * 4 + address % 4;
        if (store)
            memcpy(word, other, n);
        else
            memcpy(other, word, n);
        other += n;
        address += n;
        bytes -= n;
    }
}

/* Bytes that a lane never stored hold all ones, whatever was there before. */
static inline void blank_unwritten(const kds_warp *w, int lane, u64 address, unsigned bytes,
                                   u8 *stage)
{
    for (unsigned k = 0; k < bytes; k++)
        if ((w->local_stored[address + k] >> lane & 1) == 0)
            stage[k] = 0xff;
}

/* All lanes of `mask` at one place, in whole words: what they touch lies side by side. Returns the
 * lanes that have written all of it. */
static inline uint32_t move_row(kds_warp *w, u64 address, unsigned bytes, uint32_t mask, u8 *stage,
                                bool store)
{
    uint32_t *stored = w->local_stored + address, written = mask;
    for (unsigned k = 0; k < bytes; k++) {
        stored[k] |= store ? mask : 0;
        written &= stored[k];
    }
    for (unsigned k = 0; k < bytes; k += 4) {
        u8 *row = w->local + (address + k) * KDS_LANES;
        for (uint32_t left = mask; left != 0; left &= left - 1) {
            unsigned l = (unsigned)__builtin_ctz(left);
            u8 *own = stage + l * bytes + k;
            memcpy(store ? row + 4 * l : own, store ? own : row + 4 * l, 4);
        }
    }
    return written;
}

/* Each lane at its own place; returns the same. */
static inline uint32_t move_lanes(kds_warp *w, const u64 *a, unsigned bytes, uint32_t mask,
                                  u8 *stage, bool store)
{
    uint32_t written = mask;
    for (uint32_t left = mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        uint32_t *stored = w->local_stored + a[l], all = 1u << l;
        copy_local(w->local, l, a[l], bytes, stage + (unsigned)l * bytes, store);
        for (unsigned k = 0; k < bytes; k++) {
            stored[k] |= store ? 1u << l : 0;
            all &= stored[k];
        }
        written &= all | ~(1u << l);
    }
    return written;
}

static inline kds_step access_local(kds_warp *w, const kds_ins *i, const u64 *a, uint32_t mask,
                                    u8 *stage, bool store)
{
    kds_run *run = w->run;
    unsigned bytes = (unsigned)i->bytes * i->elements;
    if (w->local_room < run->kernel->local_bytes && !kds_local_reserve(w, run->kernel->local_bytes))
        return KDS_STEP_NO_MEMORY;
    u64 where[KDS_LANES] __attribute__((aligned(64))), first = a[__builtin_ctz(mask)];
    LANES where[l] = (a[l] / 4 * 32 + (u64)l) * 4;
    uint32_t fresh;
    bool row = bytes % 4 == 0;
    for (uint32_t left = mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        kds_step s = check_local(w, i, l, a[l], bytes, store);
        if (s != KDS_STEP_ON)
            return s;
        row = row && a[l] == first;
    }
    uint32_t written = row ? move_row(w, first, bytes, mask, stage, store)
                           : move_lanes(w, a, bytes, mask, stage, store);
    run->counts.local_sectors += count_sectors(where, mask, &fresh) * (bytes < 4 ? 1 : bytes / 4);
    if (store && w->tainted)
        kds_taint_store(w, i, a, mask);
    if (written == mask)
        return KDS_STEP_ON;
    for (uint32_t left = mask & ~written; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        blank_unwritten(w, l, a[l], bytes, stage + (unsigned)l * bytes);
    }
    return run->check_uninitialised ? kds_taint_load(w, i, a, mask & ~written) : KDS_STEP_ON;
}

HANDLER(ld_local)
{
    (void)out;
    u64 a[KDS_LANES] __attribute__((aligned(64)));
    u8 stage[1024] __attribute__((aligned(64)));
    lane_addresses(w, i->a, i->combine, i->imm, a);
    kds_step s = access_local(w, i, a, w->mask, stage, false);
    if (s == KDS_STEP_ON)
        unpack(w, i, stage);
    return s;
}

HANDLER(st_local)
{
    (void)out;
    u64 a[KDS_LANES] __attribute__((aligned(64)));
    u8 stage[1024] __attribute__((aligned(64)));
    lane_addresses(w, i->a, i->combine, i->imm, a);
    pack(w, i, stage);
    return access_local(w, i, a, w->mask, stage, true);
}

static inline kds_step load_param(kds_warp *w, const kds_ins *i, const u64 *a, uint32_t mask,
                                  u8 *stage)
{
    kds_run *run = w->run;
    unsigned bytes = (unsigned)i->bytes * i->elements;
    u32 limit = run->kernel->param_bytes;
    if (evenly_spaced(a, 0) && a[0] < limit && bytes <= limit - a[0] && (a[0] & (bytes - 1)) == 0) {
        splat(stage, run->params + a[0], bytes);
        return KDS_STEP_ON;
    }
    for (uint32_t left = mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        bool inside = a[l] < limit && bytes <= limit - a[l];
        if (!inside || (a[l] & (bytes - 1)) != 0)
            return kds_fault_at(run, inside ? KDS_SIM_MISALIGNED : KDS_SIM_OUT_OF_BOUNDS, i,
                                (uint32_t)l, KDS_SPACE_PARAM, a[l], bytes, false);
        memcpy(stage + (unsigned)l * bytes, run->params + a[l], bytes);
    }
    return KDS_STEP_ON;
}

HANDLER(ld_param)
{
    (void)out;
    u64 a[KDS_LANES] __attribute__((aligned(64)));
    u8 stage[1024] __attribute__((aligned(64)));
    lane_addresses(w, i->a, i->combine, i->imm, a);
    kds_step s = load_param(w, i, a, w->mask, stage);
    if (s == KDS_STEP_ON)
        unpack(w, i, stage);
    return s;
}

/* Which state space a generic address lies in. */
static inline kds_ptx_space space_of(u64 address)
{
    switch (address >> 32) {
    case KDS_SHARED_WINDOW >> 32:
        return KDS_SPACE_SHARED;
    case KDS_LOCAL_WINDOW >> 32:
        return KDS_SPACE_LOCAL;
    case KDS_PARAM_WINDOW >> 32:
        return KDS_SPACE_PARAM;
    default:
        return KDS_SPACE_GLOBAL;
    }
}

/* The lanes of a generic access that are in `space`, with their addresses in its own numbering. */
static inline uint32_t lanes_in(const u64 *a, uint32_t mask, kds_ptx_space space, u64 *own)
{
    uint32_t in = 0;
    for (int l = 0; l < KDS_LANES; l++) {
        in |= (uint32_t)(space_of(a[l]) == space) << l;
        own[l] = space == KDS_SPACE_GLOBAL ? a[l] : a[l] & 0xffffffffu;
    }
    return in & mask;
}

static inline kds_step load_generic(kds_warp *w, const kds_ins *i, const u64 *a, u8 *stage)
{
    u64 own[KDS_LANES] __attribute__((aligned(64)));
    uint32_t mask = w->mask, in = lanes_in(a, mask, KDS_SPACE_GLOBAL, own);
    if (in == mask)
        return load_flat(w, i, own, mask, stage);
    kds_step s = in != 0 ? load_flat(w, i, own, in, stage) : KDS_STEP_ON;
    if (s == KDS_STEP_ON && (in = lanes_in(a, mask, KDS_SPACE_SHARED, own)) != 0) {
        s = load_shared(w, i, own, in, stage);
        if (in == mask)
            return s;
    }
    if (s == KDS_STEP_ON && (in = lanes_in(a, mask, KDS_SPACE_LOCAL, own)) != 0)
        s = access_local(w, i, own, in, stage, false);
    if (s == KDS_STEP_ON && (in = lanes_in(a, mask, KDS_SPACE_PARAM, own)) != 0)
        s = load_param(w, i, own, in, stage);
    if (s == KDS_STEP_ON)
        unpack(w, i, stage);
    return s;
}

static inline void race_ordered_generic(kds_warp *w, const kds_ins *i, const u64 *a,
                                        kds_race_kind kind)
{
    u64 own[KDS_LANES] __attribute__((aligned(64)));
    race_ordered(w, i, own, lanes_in(a, w->mask, KDS_SPACE_SHARED, own), KDS_SPACE_SHARED, kind);
    race_ordered(w, i, own, lanes_in(a, w->mask, KDS_SPACE_GLOBAL, own), KDS_SPACE_GLOBAL, kind);
}

HANDLER(ld_generic)
{
    (void)out;
    u64 a[KDS_LANES] __attribute__((aligned(64)));
    u8 stage[1024] __attribute__((aligned(64)));
    lane_addresses(w, i->a, i->combine, i->imm, a);
    kds_step s = load_generic(w, i, a, stage);
    if (s == KDS_STEP_ON && (i->flags & KDS_INS_POLLS) != 0)
        note_polled_load(w, i, a, w->mask, stage);
    if (s == KDS_STEP_ON && w->run->race != NULL && i->rounding != KDS_ORDER_WEAK)
        race_ordered_generic(w, i, a, KDS_RACE_READ);
    return s;
}

HANDLER(st_generic)
{
    (void)out;
    u64 a[KDS_LANES] __attribute__((aligned(64))), own[KDS_LANES] __attribute__((aligned(64)));
    u8 stage[1024] __attribute__((aligned(64)));
    lane_addresses(w, i->a, i->combine, i->imm, a);
    uint32_t mask = w->mask, in = lanes_in(a, mask, KDS_SPACE_GLOBAL, own);
    kds_step s = in != 0 ? store_flat(w, i, own, in, stage) : KDS_STEP_ON;
    if (s == KDS_STEP_ON && (in = lanes_in(a, mask, KDS_SPACE_SHARED, own)) != 0)
        s = store_shared(w, i, own, in, stage);
    if (s == KDS_STEP_ON && (in = lanes_in(a, mask, KDS_SPACE_LOCAL, own)) != 0) {
        pack(w, i, stage);
        s = access_local(w, i, own, in, stage, true);
    }
    if (s == KDS_STEP_ON && (in = lanes_in(a, mask, KDS_SPACE_PARAM, own)) != 0)
        s = kds_fault_at(w->run, KDS_SIM_OUT_OF_BOUNDS, i, (uint32_t)__builtin_ctz(in),
                         KDS_SPACE_PARAM, own[__builtin_ctz(in)], (unsigned)i->bytes * i->elements,
                         true);
    if (s == KDS_STEP_ON && w->run->race != NULL && i->rounding != KDS_ORDER_WEAK)
        race_ordered_generic(w, i, a, KDS_RACE_WRITE);
    return s;
}

/* The rank whose shared memory a shared address names; the block's own below the cluster's part. */
static inline u32 rank_of(const kds_warp *w, u64 address)
{
    u32 shared = (u32)address;
    return shared < KDS_CLUSTER_STEP ? w->block->rank : shared / KDS_CLUSTER_STEP - 1;
}

HANDLER(isspacep)
{
    (void)out;
    uint32_t bits = 0;
    bool cluster = (i->flags & KDS_INS_CLUSTER) != 0;
    for (int l = 0; l < KDS_LANES; l++) {
        u64 a = REGISTER(u64, i->a)[l];
        bool in = space_of(a) == (kds_ptx_space)i->space;
        if (in && i->space == KDS_SPACE_SHARED && !cluster)
            in = rank_of(w, a) == w->block->rank;
        bits |= (uint32_t)in << l;
    }
    set_predicate(w, i->d, bits);
    return KDS_STEP_ON;
}

/* The address of the same place in the shared memory of another block of the cluster. */
HANDLER(mapa)
{
    (void)out;
    u64 a[KDS_LANES] __attribute__((aligned(64))), t[KDS_LANES] __attribute__((aligned(64)));
    lane_addresses(w, i->a, i->bytes, 0, a);
    for (uint32_t left = w->mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        u32 rank = REGISTER(u32, i->b)[l];
        if (i->bytes == 8 && space_of(a[l]) != KDS_SPACE_SHARED)
            return kds_fault_text(w->run, KDS_SIM_OUT_OF_BOUNDS, i, (uint32_t)l,
                                  "0x%llx is no address of shared memory",
                                  (unsigned long long)a[l]);
        if (rank >= w->run->cluster_size)
            return kds_fault_text(w->run, KDS_SIM_OUT_OF_BOUNDS, i, (uint32_t)l,
                                  "block %u of a cluster of %u", rank, w->run->cluster_size);
        u64 to = (a[l] & ~(u64)UINT32_MAX) + (u64)(rank + 1) * KDS_CLUSTER_STEP +
                 (u32)a[l] % KDS_CLUSTER_STEP;
        if (i->bytes == 8)
            t[l] = to;
        else
            ((u32 *)(void *)t)[l] = (u32)to;
    }
    merge(w, i->d, i->bytes, t);
    return KDS_STEP_ON;
}

HANDLER(getctarank)
{
    (void)out;
    u64 a[KDS_LANES] __attribute__((aligned(64)));
    u32 t[KDS_LANES] __attribute__((aligned(64)));
    lane_addresses(w, i->a, i->bytes, 0, a);
    for (int l = 0; l < KDS_LANES; l++)
        t[l] = rank_of(w, a[l]);
    merge(w, i->d, 4, t);
    return KDS_STEP_ON;
}

/* Everything happens in order here; the order is only noted. */
HANDLER(fence)
{
    (void)out;
    if (w->run->race != NULL)
        kds_race_fence(w, i->type2);
    return KDS_STEP_ON;
}
