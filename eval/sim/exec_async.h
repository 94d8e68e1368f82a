/* Part of exec_body.h: asynchronous copies and mbarriers, lane by lane; async.c, mbarrier.c and
 * bulk.c keep what is under way. */

/* From global to shared memory. The bytes come at once, and are watched until the thread waits.
 * Those beyond the source size are zero. */
static inline kds_step copy_lane_async(kds_warp *w, const kds_ins *i, int l, u64 to, u64 from,
                                       bool reads)
{
    kds_run *run = w->run;
    unsigned bytes = i->bytes;
    u8 data[16] = {0};
    kds_page *p = NULL;
    u64 inside = 0;
    shared_place place = {NULL, 0};
    kds_step s = place_shared(w, i, l, to, bytes, true, &place);
    u32 n = !reads ? 0 : i->c >= 0 ? REGISTER(u32, i->c)[l] : bytes;
    if (s == KDS_STEP_ON && n > 0) {
        if (n > bytes)
            return kds_fault_text(run, KDS_SIM_OUT_OF_BOUNDS, i, (uint32_t)l,
                                  "the source size %u is above the copy size %u", n, bytes);
        if ((from & (bytes - 1)) != 0)
            return kds_fault_at(run, KDS_SIM_MISALIGNED, i, (uint32_t)l, KDS_SPACE_GLOBAL, from,
                                bytes, false);
        /* Byte by byte where the size is no power of two: only what is read is checked. */
        unsigned step = (n & (n - 1)) == 0 ? n : 1;
        for (unsigned k = 0; s == KDS_STEP_ON && k < n; k += step) {
            s = locate(w, i, l, from + k, step, false, &p, &inside);
            if (s == KDS_STEP_ON && run->race != NULL && !p->read_only)
                s = race_lane_global(w, i, l, p, from + k, step, false, NULL);
            if (s == KDS_STEP_ON)
                memcpy(data + k, p->data + inside, step);
        }
        if (s == KDS_STEP_ON)
            run->counts.unique_loads += new_sectors(run, p->loaded, inside / 32, 1);
    }
    if (s != KDS_STEP_ON)
        return s;
    u8 *target = place.block->shared + place.at;
    if (kds_async_pending(place.block, place.at, bytes, true) &&
        !(memcmp(target, data, bytes) == 0 && kds_async_same(place.block, place.at, bytes)))
        return kds_async_fault(w, i, (uint32_t)l, place.block, place.at, bytes, true);
    if (run->race != NULL)
        s = race_lane_shared(w, i, l, place.block, place.at, bytes, true, data);
    if (s != KDS_STEP_ON)
        return s;
    memcpy(target, data, bytes);
    kds_bits_set(place.block->shared_stored, place.at, bytes);
    if (run->kernel->reads_async)
        kds_bulk_stored(w, place.block, place.at, bytes);
    return kds_async_copy(w, i, (uint32_t)l, place.at, bytes) ? KDS_STEP_ON : KDS_STEP_NO_MEMORY;
}

HANDLER(cp_async)
{
    (void)out;
    kds_run *run = w->run;
    u64 to[KDS_LANES] __attribute__((aligned(64))), from[KDS_LANES] __attribute__((aligned(64)));
    if (kds_async_of(w->block) == NULL)
        return KDS_STEP_NO_MEMORY;
    lane_addresses(w, i->a, i->combine, (int32_t)(uint32_t)i->imm, to);
    lane_addresses(w, i->b, 8, i->imm >> 32, from);
    uint32_t reads = w->mask;
    u64 unique = run->counts.unique_loads;
    for (int l = 0; i->c >= 0 && l < KDS_LANES; l++)
        if (REGISTER(u32, i->c)[l] == 0)
            reads &= ~(1u << l);
    if (i->x >= 0)
        reads &= ~predicate(w, i->x);
    for (uint32_t left = w->mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        kds_step s = copy_lane_async(w, i, l, to[l], from[l], (reads >> l & 1) != 0);
        if (s != KDS_STEP_ON)
            return s;
    }
    uint32_t fresh;
    unsigned ideal, wavefronts = count_wavefronts(to, w->mask, i->bytes, &ideal);
    count_shared(run, wavefronts, ideal, true);
    run->counts.load_requests++;
    run->counts.load_sectors += count_sectors(from, reads, &fresh);
    count_lane_lines(w, from, fresh, false);
    if (w->traced)
        kds_trace_copy(w, run->counts.unique_loads == unique);
    return KDS_STEP_ON;
}

HANDLER(cp_commit)
{
    (void)out;
    (void)i;
    if (kds_async_of(w->block) == NULL)
        return KDS_STEP_NO_MEMORY;
    kds_async_commit(w, w->mask);
    return KDS_STEP_ON;
}

/* ins->imm: how many groups may be left; ins->combine: all copies. */
HANDLER(cp_wait)
{
    (void)out;
    bool all = i->combine != 0;
    if (w->block->async == NULL)
        return KDS_STEP_ON;
    if (w->traced)
        kds_trace_groups(w, (uint32_t)i->imm, all);
    kds_async_wait(w, w->mask, (uint32_t)i->imm, all);
    return KDS_STEP_ON;
}

/* The shared address of a lane's mbarrier, which may be given as a generic one. */
static inline kds_step shared_address(kds_warp *w, const kds_ins *i, int l, u64 *a)
{
    if (i->space != KDS_SPACE_GENERIC)
        return KDS_STEP_ON;
    if (space_of(*a) != KDS_SPACE_SHARED)
        return kds_fault_text(w->run, KDS_SIM_OUT_OF_BOUNDS, i, (uint32_t)l,
                              "0x%llx is no address of shared memory", (unsigned long long)*a);
    *a &= UINT32_MAX;
    return KDS_STEP_ON;
}

HANDLER(mbarrier)
{
    (void)out;
    u64 a[KDS_LANES] __attribute__((aligned(64))), t[KDS_LANES] __attribute__((aligned(64)));
    lane_addresses(w, i->a, i->combine, i->imm, a);
    for (uint32_t left = w->mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        uint64_t state = 0;
        u32 count = i->b >= 0 ? REGISTER(u32, i->b)[l] : 1;
        kds_step s = shared_address(w, i, l, &a[l]);
        if (s == KDS_STEP_ON)
            s = kds_mbarrier_do(w, i, (uint32_t)l, a[l], count, &state);
        if (s != KDS_STEP_ON)
            return s;
        t[l] = state;
    }
    merge(w, i->d, 8, t);
    return KDS_STEP_ON;
}

/* A poll. A warp that can do nothing but ask again lets others run at once. */
HANDLER(mbarrier_wait)
{
    (void)out;
    u64 a[KDS_LANES] __attribute__((aligned(64)));
    uint32_t yes = 0;
    u64 seen = w->mask;
    double ready = 0;
    bool parity = (i->mods & KDS_MBARRIER_PARITY) != 0;
    lane_addresses(w, i->a, i->combine, i->imm, a);
    for (uint32_t left = w->mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        u64 state = parity ? REGISTER(u32, i->b)[l] : REGISTER(u64, i->b)[l];
        kds_answer answer = {false, 0, 0};
        kds_step s = shared_address(w, i, l, &a[l]);
        if (s == KDS_STEP_ON)
            s = kds_mbarrier_test(w, i, (uint32_t)l, a[l], state, &answer);
        if (s != KDS_STEP_ON)
            return s;
        seen = (seen ^ answer.seen ^ state) * 0x9e3779b97f4a7c15u;
        ready = answer.ready > ready ? answer.ready : ready;
        yes |= (uint32_t)answer.done << l;
    }
    if (w->traced)
        kds_trace_poll(w, yes == w->mask, ready);
    note_poll(w, i, seen, yes == w->mask);
    if (w->polls > 0 && w->split_count == 1)
        w->polls = KDS_SPIN;
    set_predicate(w, i->d, yes);
    return KDS_STEP_ON;
}

HANDLER(pending_count)
{
    (void)out;
    u32 t[KDS_LANES] __attribute__((aligned(64)));
    LANES t[l] = (u32)(REGISTER(u64, i->a)[l] & ((1u << KDS_TOKEN_BITS) - 1));
    merge(w, i->d, 4, t);
    return KDS_STEP_ON;
}

/* An operand of a copy: element `k` of the list is its base, the next one its offset. */
static inline u64 list_address(const kds_warp *w, const kds_ins *i, int k, int l)
{
    const int32_t *list = w->run->kernel->list + i->list;
    if (list[k] < 0)
        return 0;
    u64 offset = REGISTER(u64, list[k + 1])[l];
    bool wide = (i->mods >> (k / 2) & 1) != 0;
    return wide ? REGISTER(u64, list[k])[l] + offset
                : (u32)(REGISTER(u32, list[k])[l] + (u32)offset);
}

static uint64_t combine_elements(const kds_ins *i, uint64_t old, uint64_t value)
{
    return atomic_result(i, old, value, 0, true);
}

/* The list: target, source and mbarrier with their offsets, size, blocks of a multicast. */
HANDLER(bulk)
{
    (void)out;
    const int32_t *list = w->run->kernel->list + i->list;
    for (uint32_t left = w->mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        kds_bulk_operands o = {.to = list_address(w, i, 0, l),
                               .from = list_address(w, i, 2, l),
                               .barrier = list_address(w, i, 4, l),
                               .size = REGISTER(u32, list[6])[l],
                               .ranks = list[7] >= 0 ? REGISTER(u16, list[7])[l] : 0};
        if (list[7] >= 0 && o.ranks == 0)
            continue;
        kds_step s = kds_bulk_copy(w, i, (uint32_t)l, &o, i->bytes != 0 ? combine_elements : NULL);
        if (s != KDS_STEP_ON)
            return s;
    }
    return KDS_STEP_ON;
}

HANDLER(bulk_commit)
{
    (void)out;
    (void)i;
    if (kds_async_of(w->block) == NULL)
        return KDS_STEP_NO_MEMORY;
    kds_bulk_commit(w, w->mask);
    return KDS_STEP_ON;
}

HANDLER(bulk_wait)
{
    (void)out;
    if (w->block->async == NULL)
        return KDS_STEP_ON;
    if (w->traced)
        kds_trace_bulk_groups(w, (uint32_t)i->imm);
    kds_bulk_wait(w, w->mask, (uint32_t)i->imm);
    return KDS_STEP_ON;
}

/* The list: target and mbarrier with their offsets, then the elements. */
HANDLER(st_async)
{
    (void)out;
    const int32_t *list = w->run->kernel->list + i->list;
    unsigned count = i->listed - 4u;
    u64 a[KDS_LANES] __attribute__((aligned(64)));
    unsigned ideal;
    for (uint32_t left = w->mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        u8 data[16];
        a[l] = list_address(w, i, 0, l);
        u64 barrier = list_address(w, i, 2, l);
        for (unsigned k = 0; k < count; k++) {
            u64 v = lane_bits(w, list[4 + k], i->bytes, l);
            memcpy(data + k * i->bytes, &v, i->bytes);
        }
        kds_step s = kds_bulk_store_async(w, i, (uint32_t)l, a[l], barrier, data, count * i->bytes);
        if (s != KDS_STEP_ON)
            return s;
    }
    unsigned wavefronts = count_wavefronts(a, w->mask, count * i->bytes, &ideal);
    count_shared(w->run, wavefronts, ideal, true);
    return KDS_STEP_ON;
}

HANDLER(proxy_fence)
{
    (void)out;
    (void)i;
    return kds_bulk_fence(w);
}
