/* Part of exec_body.h: loads and stores. A warp whose lanes lie side by side, or all at one place,
 * is checked once and moved at once; every other way goes lane by lane. All checks are exact to the
 * byte on every way. */

/* Bytes of a page were stored. */
static inline void mark_stored(const kds_run *run, kds_page *p, u64 first, u64 count)
{
    if (run->parallel)
        kds_bits_set_atomic(p->stored, first, count);
    else
        kds_bits_set(p->stored, first, count);
}

/* How many of the sectors are new to the set. */
static inline unsigned new_sectors(const kds_run *run, uint64_t *set, u64 first, unsigned count)
{
    return run->parallel ? kds_bits_new_atomic(set, first, count) : kds_bits_new(set, first, count);
}

/* A polling instruction gave `value`: is that news? What changes memory always is. */
static inline void note_poll(kds_warp *w, const kds_ins *i, u64 value, bool changed)
{
    kds_poll *p = &w->poll[i->line % KDS_POLLS];
    if (p->ins == i && p->value == value && !changed) {
        w->polls++;
        return;
    }
    *p = (kds_poll){.ins = i, .value = value};
    w->polls = 0;
    w->news = true;
}

/* What a load of `mask` from addresses `a` gave, in one number. */
static inline void note_polled_load(kds_warp *w, const kds_ins *i, const u64 *a, uint32_t mask,
                                    const u8 *stage)
{
    unsigned bytes = (unsigned)i->bytes * i->elements;
    u64 value = mask;
    for (uint32_t left = mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        value = value * 0x9e3779b97f4a7c15u ^ a[l];
        for (unsigned k = 0; k < bytes; k++)
            value = (value ^ stage[(unsigned)l * bytes + k]) * 0x100000001b3u;
    }
    note_poll(w, i, value, false);
}

/* Has anybody written what a load uses of these bytes? */
static inline bool written(const kds_page *p, const kds_ins *i, u64 inside, unsigned bytes)
{
    if (p->host == NULL)
        return used_bytes_set(p->stored, inside, bytes, i->used_bytes);
    for (unsigned k = 0; k < bytes; k++) {
        u64 at = inside + k, both = p->stored[at / 64] | p->host[at / 64];
        bool used = i->used_bytes == 0 || (i->used_bytes >> k & 1) != 0;
        if (used && (both >> (at % 64) & 1) == 0)
            return false;
    }
    return true;
}

/* Nobody has written what is read. Where races are looked for, somebody may yet be found to write
 * it without order; then that is what is reported. */
static inline kds_step uninitialised(kds_warp *w, const kds_ins *i, int lane, kds_ptx_space space,
                                     u64 address, unsigned bytes)
{
    kds_fault_at(w->run, KDS_SIM_UNINITIALISED, i, (uint32_t)lane, space, address, bytes, false);
    return kds_race_unwritten(w);
}

/* The page and place of an access of one lane in global memory, or the fault. */
static inline kds_step locate(kds_warp *w, const kds_ins *i, int lane, u64 address, unsigned bytes,
                              bool store, kds_page **page, u64 *inside)
{
    kds_run *run = w->run;
    kds_region *r = kds_memory_region(run->memory, address);
    if (r == NULL || address - r->address >= r->bytes || bytes > r->bytes - (address - r->address))
        return kds_fault_at(run, KDS_SIM_OUT_OF_BOUNDS, i, (uint32_t)lane, KDS_SPACE_GLOBAL,
                            address, bytes, store);
    if ((address & (bytes - 1)) != 0)
        return kds_fault_at(run, KDS_SIM_MISALIGNED, i, (uint32_t)lane, KDS_SPACE_GLOBAL, address,
                            bytes, store);
    if (store && r->read_only)
        return kds_fault_at(run, KDS_SIM_WROTE_INPUT, i, (uint32_t)lane, KDS_SPACE_GLOBAL, address,
                            bytes, store);
    u64 offset = address - r->address;
    kds_page *p = kds_memory_page(r, offset / KDS_PAGE_BYTES);
    if (p == NULL)
        return KDS_STEP_NO_MEMORY;
    *inside = offset % KDS_PAGE_BYTES;
    *page = p;
    kds_memory_freshen(run->memory, p);
    if (!store && r->undefined && run->check_uninitialised && !written(p, i, *inside, bytes))
        return uninitialised(w, i, lane, KDS_SPACE_GLOBAL, address, bytes);
    return KDS_STEP_ON;
}

/* The lines of an access of one piece, and what of it a traced warp's L1 has. */
static inline void count_lines(kds_warp *w, u64 address, u64 len, bool store)
{
    u64 lines = (address + len - 1) / 128 - address / 128 + 1;
    w->run->counts.lines += lines;
    if (store)
        w->run->counts.store_lines += lines;
    else if (w->traced)
        kds_trace_sectors(w, address / 32, (unsigned)((address + len - 1) / 32 - address / 32 + 1));
}

/* The same of lanes that lie anywhere; `fresh`: those that bring a sector. */
static inline void count_lane_lines(kds_warp *w, const u64 *a, uint32_t fresh, bool store)
{
    uint32_t heads;
    unsigned lines = count_distinct(a, fresh, 7, &heads);
    w->run->counts.lines += lines;
    if (store)
        w->run->counts.store_lines += lines;
    for (uint32_t left = !store && w->traced ? fresh : 0; left != 0; left &= left - 1)
        kds_trace_sectors(w, a[__builtin_ctz(left)] / 32, 1);
}

/* Counts an access of the sectors of [address, address + len), which lie in one page. */
static inline void count_run(kds_warp *w, const kds_ins *i, kds_page *p, u64 address, u64 len,
                             bool store)
{
    kds_run *run = w->run;
    if (i->space == KDS_SPACE_CONST)
        return;
    u64 inside = address % KDS_PAGE_BYTES;
    unsigned first = (unsigned)(inside / 32),
             count = (unsigned)((inside + len - 1) / 32) - first + 1;
    kds_memory_freshen(run->memory, p);
    count_lines(w, address, len, store);
    if (store) {
        run->counts.store_requests++;
        run->counts.store_sectors += count;
        run->counts.unique_stores += new_sectors(run, p->changed, first, count);
    } else {
        run->counts.load_requests++;
        run->counts.load_sectors += count;
        run->counts.unique_loads += new_sectors(run, p->loaded, first, count);
    }
}

/* The bytes of 32 lanes side by side if they can be had at once: in one page, within bounds,
 * aligned, and initialised or writable. NULL: go lane by lane. */
static inline u8 *whole_warp(kds_run *run, const kds_ins *i, u64 address, unsigned bytes, u64 total,
                             bool store, kds_page **page, u64 *at)
{
    kds_region *r = kds_memory_region(run->memory, address);
    if (r == NULL)
        return NULL;
    u64 offset = address - r->address, inside = offset % KDS_PAGE_BYTES;
    if (offset >= r->bytes || total > r->bytes - offset || inside + total > KDS_PAGE_BYTES ||
        (address & (bytes - 1)) != 0 || (store && r->read_only))
        return NULL;
    kds_page *p = kds_memory_page(r, offset / KDS_PAGE_BYTES);
    if (p == NULL)
        return NULL;
    if (!store && r->undefined && run->check_uninitialised &&
        (i->used_bytes != 0 || p->host != NULL || !kds_bits_all(p->stored, inside, total)))
        return NULL;
    *page = p;
    *at = inside;
    return p->data + inside;
}

/* No race can be here; true where races are not looked for. */
static inline bool page_clear(kds_warp *w, const kds_ins *i, kds_page *p, u64 at, unsigned bytes,
                              bool store, bool one_place)
{
    return w->run->race == NULL || p->read_only ||
           race_page_clear(w, i, p, at, bytes, store, one_place);
}

/* One lane's load (data NULL) or store in a page. */
static inline kds_step race_lane_flat(kds_warp *w, const kds_ins *i, int l, kds_page *p,
                                      u64 address, unsigned bytes, const u8 *data)
{
    if (race_plain(w->run->race, w, i) && (data != NULL || i->used_bytes == 0))
        return race_lane_global(w, i, l, p, address, bytes, data != NULL, data);
    return kds_race_global(w, i, (uint32_t)l, p, address, bytes,
                           data != NULL ? KDS_RACE_WRITE : KDS_RACE_READ, data);
}

/* Lane by lane. For a load into `stage`, for a store from it. */
static inline kds_step each_lane_flat(kds_warp *w, const kds_ins *i, const u64 *a, uint32_t mask,
                                      u8 *stage, bool store)
{
    kds_run *run = w->run;
    unsigned bytes = (unsigned)i->bytes * i->elements;
    uint32_t fresh = 0;
    unsigned sectors = count_sectors(a, mask, &fresh);
    bool counted = i->space != KDS_SPACE_CONST;
    if (counted)
        count_lane_lines(w, a, fresh, store);
    for (uint32_t left = mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        kds_page *p = NULL;
        u64 inside = 0;
        kds_step s = locate(w, i, l, a[l], bytes, store, &p, &inside);
        if (s == KDS_STEP_ON && run->race != NULL && !p->read_only)
            s = race_lane_flat(w, i, l, p, a[l], bytes, store ? stage + (unsigned)l * bytes : NULL);
        if (s != KDS_STEP_ON)
            return s;
        if (store) {
            copy_lane(p->data + inside, stage + (unsigned)l * bytes, bytes);
            mark_stored(run, p, inside, bytes);
        } else {
            copy_lane(stage + (unsigned)l * bytes, p->data + inside, bytes);
        }
        if (counted && (fresh >> l & 1) != 0) {
            if (store)
                run->counts.unique_stores += new_sectors(run, p->changed, inside / 32, 1);
            else
                run->counts.unique_loads += new_sectors(run, p->loaded, inside / 32, 1);
        }
    }
    if (counted && store) {
        run->counts.store_requests++;
        run->counts.store_sectors += sectors;
    } else if (counted) {
        run->counts.load_requests++;
        run->counts.load_sectors += sectors;
    }
    return KDS_STEP_ON;
}

static inline kds_step load_flat(kds_warp *w, const kds_ins *i, const u64 *a, uint32_t mask,
                                 u8 *stage)
{
    unsigned bytes = (unsigned)i->bytes * i->elements;
    kds_page *p;
    u64 at;
    if (mask == KDS_FULL && evenly_spaced(a, bytes) && (i->flags & KDS_INS_POLLS) == 0) {
        u8 *from = whole_warp(w->run, i, a[0], bytes, bytes * 32, false, &p, &at);
        if (from != NULL && page_clear(w, i, p, at, bytes, false, false)) {
            count_run(w, i, p, a[0], bytes * 32, false);
            if (w->mask == mask)
                unpack(w, i, from);
            else
                memcpy(stage, from, bytes * 32);
            return KDS_STEP_ON;
        }
    } else if (mask == KDS_FULL && evenly_spaced(a, 0)) {
        u8 *from = whole_warp(w->run, i, a[0], bytes, bytes, false, &p, &at);
        if (from != NULL && page_clear(w, i, p, at, bytes, false, true)) {
            count_run(w, i, p, a[0], bytes, false);
            splat(stage, from, bytes);
            if (w->mask == mask)
                unpack(w, i, stage);
            return KDS_STEP_ON;
        }
    }
    kds_step s = each_lane_flat(w, i, a, mask, stage, false);
    if (s == KDS_STEP_ON && w->mask == mask)
        unpack(w, i, stage);
    return s;
}

HANDLER(ld_global)
{
    (void)out;
    u64 a[KDS_LANES] __attribute__((aligned(64)));
    u8 stage[1024] __attribute__((aligned(64)));
    lane_addresses(w, i->a, i->combine, i->imm, a);
    kds_step s = load_flat(w, i, a, w->mask, stage);
    if (s == KDS_STEP_ON && (i->flags & KDS_INS_POLLS) != 0)
        note_polled_load(w, i, a, w->mask, stage);
    if (w->run->race != NULL && i->rounding != KDS_ORDER_WEAK)
        race_ordered(w, i, a, w->mask, KDS_SPACE_GLOBAL, KDS_RACE_READ);
    return s;
}

static inline kds_step store_flat(kds_warp *w, const kds_ins *i, const u64 *a, uint32_t mask,
                                  u8 *stage)
{
    unsigned bytes = (unsigned)i->bytes * i->elements;
    kds_page *p;
    u64 at;
    if (mask == KDS_FULL && evenly_spaced(a, bytes)) {
        u8 *to = whole_warp(w->run, i, a[0], bytes, bytes * 32, true, &p, &at);
        if (to != NULL && page_clear(w, i, p, at, bytes, true, false)) {
            count_run(w, i, p, a[0], bytes * 32, true);
            mark_stored(w->run, p, at, bytes * 32);
            pack(w, i, to);
            return KDS_STEP_ON;
        }
    }
    pack(w, i, stage);
    return each_lane_flat(w, i, a, mask, stage, true);
}

HANDLER(st_global)
{
    (void)out;
    u64 a[KDS_LANES] __attribute__((aligned(64)));
    u8 stage[1024] __attribute__((aligned(64)));
    lane_addresses(w, i->a, i->combine, i->imm, a);
    kds_step s = store_flat(w, i, a, w->mask, stage);
    if (w->run->race != NULL && i->rounding != KDS_ORDER_WEAK)
        race_ordered(w, i, a, w->mask, KDS_SPACE_GLOBAL, KDS_RACE_WRITE);
    return s;
}

/* ---- Shared memory ---- */

static inline void count_shared(kds_run *run, unsigned wavefronts, unsigned ideal, bool store)
{
    if (store) {
        run->counts.shared_stores += wavefronts;
        run->counts.shared_store_conflicts += wavefronts - ideal;
    } else {
        run->counts.shared_loads += wavefronts;
        run->counts.shared_load_conflicts += wavefronts - ideal;
    }
}

/* A place in the shared memory of a block. */
typedef struct shared_place {
    kds_block *block;
    u32 at;
} shared_place;

/* One lane's load (data NULL) or store in shared memory. */
static inline kds_step race_lane_own(kds_warp *w, const kds_ins *i, int l, const shared_place *p,
                                     unsigned bytes, const u8 *data)
{
    if (race_plain(w->run->race, w, i) && (data != NULL || i->used_bytes == 0))
        return race_lane_shared(w, i, l, p->block, p->at, bytes, data != NULL, data);
    return kds_race_shared(w, i, (uint32_t)l, p->block, p->at, bytes,
                           data != NULL ? KDS_RACE_WRITE : KDS_RACE_READ, data);
}

/* Bounds, alignment and initialisation of one lane; `p` gets whose memory it is. */
static inline kds_step place_shared(kds_warp *w, const kds_ins *i, int lane, u64 address,
                                    unsigned bytes, bool store, shared_place *p)
{
    kds_run *run = w->run;
    kds_sim_status s = KDS_SIM_OK;
    u64 inside = address;
    p->block = w->block;
    if (address >= KDS_CLUSTER_STEP && address < (u64)KDS_CLUSTER_STEP * (run->cluster_size + 1) &&
        (i->flags & KDS_INS_CLUSTER) != 0) {
        p->block = w->block->group->blocks[address / KDS_CLUSTER_STEP - 1];
        inside = address % KDS_CLUSTER_STEP;
        if (p->block->done)
            return kds_fault_text(run, KDS_SIM_OUT_OF_BOUNDS, i, (uint32_t)lane,
                                  "shared memory of block %u of the cluster, which has ended",
                                  p->block->rank);
    }
    p->at = (u32)inside;
    if (inside >= run->shared_bytes || bytes > run->shared_bytes - inside)
        s = KDS_SIM_OUT_OF_BOUNDS;
    else if ((inside & (bytes - 1)) != 0)
        s = KDS_SIM_MISALIGNED;
    else if (!store && run->check_uninitialised &&
             !used_bytes_set(p->block->shared_stored, inside, bytes, i->used_bytes))
        s = KDS_SIM_UNINITIALISED;
    if (s == KDS_SIM_UNINITIALISED)
        return uninitialised(w, i, lane, KDS_SPACE_SHARED, address, bytes);
    if (s != KDS_SIM_OK)
        return kds_fault_at(run, s, i, (uint32_t)lane, KDS_SPACE_SHARED, address, bytes, store);
    return KDS_STEP_ON;
}

/* And nothing asynchronous is in the way. */
static inline kds_step check_shared(kds_warp *w, const kds_ins *i, int lane, u64 address,
                                    unsigned bytes, bool store, shared_place *p)
{
    kds_step s = place_shared(w, i, lane, address, bytes, store, p);
    if (s == KDS_STEP_ON && kds_async_pending(p->block, p->at, bytes, store))
        return kds_async_fault(w, i, (uint32_t)lane, p->block, p->at, bytes, store);
    return s;
}

/* True if this full-warp pattern was met before at this instruction and all of it is in bounds and
 * aligned. Otherwise the pattern is learnt, if it can be. */
static inline bool known_pattern(kds_run *run, const kds_ins *i, const u64 *a, unsigned bytes,
                                 kds_memo **memo)
{
    kds_memo *m = &run->memos[i->memo];
    u32 low = (u32)a[0] & 3u, different = 0;
    u64 high = 0;
    *memo = m;
    LANES different |= m->delta[l] ^ (u32)(a[l] - a[0]);
    LANES high |= a[l] >> 32;
    if (high != 0)
        return false;
    if (!m->used || different != 0 || low != m->low) {
        s32 smallest = 0, largest = 0;
        u32 crooked = 0;
        for (int l = 0; l < KDS_LANES; l++) {
            u32 delta = (u32)(a[l] - a[0]);
            m->delta[l] = delta;
            crooked |= delta & (bytes - 1);
            smallest = (s32)delta < smallest ? (s32)delta : smallest;
            largest = (s32)delta > largest ? (s32)delta : largest;
        }
        unsigned ideal;
        m->distinct = 0;
        m->used = crooked == 0;
        m->low = low;
        m->smallest = (u32)smallest;
        m->largest = (u32)largest;
        m->wavefronts = (uint16_t)count_wavefronts(a, KDS_FULL, bytes, &ideal);
        m->ideal = (uint16_t)ideal;
        if (!m->used)
            return false;
    }
    s64 first = (s64)a[0] + (s32)m->smallest, end = (s64)a[0] + (s32)m->largest + bytes;
    return (a[0] & (bytes - 1)) == 0 && first >= 0 && end <= (s64)run->shared_bytes;
}

/* Nothing between the first and the last lane's bytes is in the way of an asynchronous copy. */
static inline bool hull_free(const kds_warp *w, const u64 *a, const kds_memo *m, unsigned bytes,
                             bool store)
{
    u64 first = a[0] + (u64)(s64)(s32)m->smallest,
        len = (u64)((s32)m->largest - (s32)m->smallest) + bytes;
    return !kds_async_pending(w->block, (u32)first, (u32)len, store);
}

/* All bytes between the first and the last lane's are initialised (a cheap test that mostly holds).
 */
static inline bool hull_stored(const kds_warp *w, const u64 *a, const kds_memo *m, unsigned bytes)
{
    u64 first = a[0] + (u64)(s64)(s32)m->smallest,
        len = (u64)((s32)m->largest - (s32)m->smallest) + bytes;
    return len <= 8192 && kds_bits_all(w->block->shared_stored, first, len);
}

static inline kds_step load_shared(kds_warp *w, const kds_ins *i, const u64 *a, uint32_t mask,
                                   u8 *stage)
{
    kds_run *run = w->run;
    unsigned bytes = (unsigned)i->bytes * i->elements, ideal;
    kds_memo *m;
    const u8 *shared = w->block->shared;
    if (mask == KDS_FULL && i->used_bytes == 0 && known_pattern(run, i, a, bytes, &m) &&
        (!run->check_uninitialised || hull_stored(w, a, m, bytes)) &&
        hull_free(w, a, m, bytes, false) &&
        (run->race == NULL || race_shared_clear(w, i, a, m, bytes, false))) {
        count_shared(run, m->wavefronts, m->ideal, false);
        if (m->largest == 31 * bytes && evenly_spaced(a, bytes)) {
            memcpy(stage, shared + a[0], bytes * 32);
        } else {
            for (unsigned l = 0; l < 32; l++)
                copy_lane(stage + l * bytes, shared + a[l], bytes);
        }
    } else {
        for (uint32_t left = mask; left != 0; left &= left - 1) {
            int l = __builtin_ctz(left);
            shared_place p = {NULL, 0};
            kds_step s = check_shared(w, i, l, a[l], bytes, false, &p);
            if (s == KDS_STEP_ON && run->race != NULL)
                s = race_lane_own(w, i, l, &p, bytes, NULL);
            if (s != KDS_STEP_ON)
                return s;
            copy_lane(stage + (unsigned)l * bytes, p.block->shared + p.at, bytes);
        }
        unsigned wavefronts = count_wavefronts(a, mask, bytes, &ideal);
        count_shared(run, wavefronts, ideal, false);
    }
    if (w->mask == mask)
        unpack(w, i, stage);
    return KDS_STEP_ON;
}

HANDLER(ld_shared)
{
    (void)out;
    u64 a[KDS_LANES] __attribute__((aligned(64)));
    u8 stage[1024] __attribute__((aligned(64)));
    lane_addresses(w, i->a, i->combine, i->imm, a);
    kds_step s = load_shared(w, i, a, w->mask, stage);
    if (s == KDS_STEP_ON && (i->flags & KDS_INS_POLLS) != 0)
        note_polled_load(w, i, a, w->mask, stage);
    if (w->run->race != NULL && i->rounding != KDS_ORDER_WEAK)
        race_ordered(w, i, a, w->mask, KDS_SPACE_SHARED, KDS_RACE_READ);
    return s;
}

static inline kds_step store_shared(kds_warp *w, const kds_ins *i, const u64 *a, uint32_t mask,
                                    u8 *stage)
{
    kds_run *run = w->run;
    unsigned bytes = (unsigned)i->bytes * i->elements, ideal;
    kds_memo *m;
    pack(w, i, stage);
    if (mask == KDS_FULL && !run->kernel->reads_async && known_pattern(run, i, a, bytes, &m) &&
        hull_free(w, a, m, bytes, true) &&
        (run->race == NULL || race_shared_clear(w, i, a, m, bytes, true))) {
        count_shared(run, m->wavefronts, m->ideal, true);
        if (m->largest == 31 * bytes && evenly_spaced(a, bytes)) {
            memcpy(w->block->shared + a[0], stage, bytes * 32);
            kds_bits_set(w->block->shared_stored, a[0], bytes * 32);
        } else {
            for (unsigned l = 0; l < 32; l++) {
                copy_lane(w->block->shared + a[l], stage + l * bytes, bytes);
                kds_bits_set(w->block->shared_stored, a[l], bytes);
            }
        }
        return KDS_STEP_ON;
    }
    for (uint32_t left = mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        shared_place p = {NULL, 0};
        kds_step s = check_shared(w, i, l, a[l], bytes, true, &p);
        if (s == KDS_STEP_ON && run->race != NULL)
            s = race_lane_own(w, i, l, &p, bytes, stage + (unsigned)l * bytes);
        if (s != KDS_STEP_ON)
            return s;
        copy_lane(p.block->shared + p.at, stage + (unsigned)l * bytes, bytes);
        kds_bits_set(p.block->shared_stored, p.at, bytes);
        if (run->kernel->reads_async)
            kds_bulk_stored(w, p.block, p.at, bytes);
    }
    unsigned wavefronts = count_wavefronts(a, mask, bytes, &ideal);
    count_shared(run, wavefronts, ideal, true);
    return KDS_STEP_ON;
}

HANDLER(st_shared)
{
    (void)out;
    u64 a[KDS_LANES] __attribute__((aligned(64)));
    u8 stage[1024] __attribute__((aligned(64)));
    lane_addresses(w, i->a, i->combine, i->imm, a);
    kds_step s = store_shared(w, i, a, w->mask, stage);
    if (w->run->race != NULL && i->rounding != KDS_ORDER_WEAK)
        race_ordered(w, i, a, w->mask, KDS_SPACE_SHARED, KDS_RACE_WRITE);
    return s;
}
