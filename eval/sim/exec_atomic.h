/* Part of exec_body.h: atomics. Lanes go one after the other, lowest first; so does everything else
 * here, which makes every order a legal one. */

/* Sums of single precision in global memory flush subnormals, in shared memory they do not. */
static inline f32 atomic_add_f32(f32 x, f32 y, bool flush)
{
    return flush ? kds_flush(kds_canonical(kds_flush(x) + kds_flush(y))) : kds_canonical(x + y);
}

static inline u32 add_packed(u32 x, u32 y, bool brain)
{
    u32 r = 0;
    for (int k = 0; k < 32; k += 16) {
        u16 p = (u16)(x >> k), q = (u16)(y >> k);
        u16 s = brain ? kds_f32_to_bf16(kds_bf16_to_f32(p) + kds_bf16_to_f32(q))
                      : kds_f32_to_f16(kds_f16_to_f32(p) + kds_f16_to_f32(q));
        r |= (u32)s << k;
    }
    return r;
}

static inline u64 atomic_add(u64 old, u64 value, int type, bool global)
{
    switch (type) {
    case KDS_PTX_F32:
        return kds_f32_bits(
            atomic_add_f32(kds_bits_f32((u32)old), kds_bits_f32((u32)value), global));
    case KDS_PTX_F64:
        return kds_f64_bits(kds_bits_f64(old) + kds_bits_f64(value));
    case KDS_PTX_F16:
    case KDS_PTX_F16X2:
        return add_packed((u32)old, (u32)value, false);
    case KDS_PTX_BF16:
    case KDS_PTX_BF16X2:
        return add_packed((u32)old, (u32)value, true);
    default:
        return old + value;
    }
}

static inline bool atomic_less(u64 x, u64 y, int type)
{
    return type == KDS_PTX_S32 ? (s32)x < (s32)y : type == KDS_PTX_S64 ? (s64)x < (s64)y : x < y;
}

static inline u64 atomic_result(const kds_ins *i, u64 old, u64 value, u64 other, bool global)
{
    switch (i->compare) {
    case KDS_ATOM_ADD:
        return atomic_add(old, value, i->type, global);
    case KDS_ATOM_MIN:
        return atomic_less(value, old, i->type) ? value : old;
    case KDS_ATOM_MAX:
        return atomic_less(old, value, i->type) ? value : old;
    case KDS_ATOM_AND:
        return old & value;
    case KDS_ATOM_OR:
        return old | value;
    case KDS_ATOM_XOR:
        return old ^ value;
    case KDS_ATOM_EXCH:
        return value;
    case KDS_ATOM_CAS:
        return old == value ? other : old;
    case KDS_ATOM_INC:
        return (u32)old >= (u32)value ? 0 : old + 1;
    default:
        return old == 0 || (u32)old > (u32)value ? value : old - 1;
    }
}

/* The memory of one lane's operand. */
static inline kds_step atomic_place(kds_warp *w, const kds_ins *i, int l, u64 address, u8 **at,
                                    bool *global)
{
    kds_run *run = w->run;
    kds_ptx_space space =
        i->space == KDS_SPACE_GENERIC ? space_of(address) : (kds_ptx_space)i->space;
    *global = space == KDS_SPACE_GLOBAL;
    if (space == KDS_SPACE_SHARED) {
        if (i->space == KDS_SPACE_GENERIC)
            address &= 0xffffffffu;
        shared_place p = {NULL, 0};
        kds_step s = check_shared(w, i, l, address, i->bytes, i->compare == KDS_ATOM_EXCH, &p);
        if (s != KDS_STEP_ON)
            return s;
        *at = p.block->shared + p.at;
        kds_bits_set(p.block->shared_stored, p.at, i->bytes);
        if (run->kernel->reads_async)
            kds_bulk_stored(w, p.block, p.at, i->bytes);
        return run->race == NULL ? s
                                 : kds_race_shared(w, i, (uint32_t)l, p.block, p.at, i->bytes,
                                                   KDS_RACE_ATOMIC, NULL);
    }
    if (space != KDS_SPACE_GLOBAL)
        return kds_fault_at(run, KDS_SIM_OUT_OF_BOUNDS, i, (uint32_t)l, space,
                            address & 0xffffffffu, i->bytes, true);
    kds_page *p = NULL;
    u64 inside = 0;
    kds_step s = locate(w, i, l, address, i->bytes, true, &p, &inside);
    if (s == KDS_STEP_ON && i->compare != KDS_ATOM_EXCH)
        s = locate(w, i, l, address, i->bytes, false, &p, &inside);
    if (s != KDS_STEP_ON)
        return s;
    *at = p->data + inside;
    mark_stored(run, p, inside, i->bytes);
    run->counts.unique_stores += new_sectors(run, p->changed, inside / 32, 1);
    return run->race == NULL
               ? s
               : kds_race_global(w, i, (uint32_t)l, p, address, i->bytes, KDS_RACE_ATOMIC, NULL);
}

HANDLER(atom)
{
    (void)out;
    kds_run *run = w->run;
    u64 a[KDS_LANES] __attribute__((aligned(64))), t[KDS_LANES] __attribute__((aligned(64)));
    lane_addresses(w, i->a, i->combine, i->imm, a);
    uint32_t in_global = 0;
    u64 seen = w->mask;
    bool changed = false;
    for (uint32_t left = w->mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        u8 *at = NULL;
        bool global = false;
        kds_step s = atomic_place(w, i, l, a[l], &at, &global);
        if (s != KDS_STEP_ON)
            return s;
        in_global |= (uint32_t)global << l;
        u64 old = 0;
        memcpy(&old, at, i->bytes);
        u64 value = lane_bits(w, i->b, i->bytes, l);
        u64 other = i->c >= 0 ? lane_bits(w, i->c, i->bytes, l) : 0;
        u64 fresh = atomic_result(i, old, value, other, global);
        memcpy(at, &fresh, i->bytes);
        seen = (seen ^ old ^ a[l]) * 0x9e3779b97f4a7c15u;
        changed |= fresh != old;
        if (i->bytes == 8)
            t[l] = old;
        else if (i->bytes == 4)
            ((u32 *)(void *)t)[l] = (u32)old;
        else
            ((u16 *)(void *)t)[l] = (u16)old;
    }
    uint32_t fresh, in_shared = w->mask & ~in_global;
    if (run->race != NULL) {
        race_ordered(w, i, a, in_global, KDS_SPACE_GLOBAL, KDS_RACE_ATOMIC);
        race_ordered(w, i, a, in_shared, KDS_SPACE_SHARED, KDS_RACE_ATOMIC);
    }
    if (in_global != 0) {
        run->counts.red_requests++;
        run->counts.red_sectors += count_sectors(a, in_global, &fresh);
        count_lane_lines(w, a, fresh, true);
    }
    if (in_shared != 0) {
        unsigned ideal, wavefronts = count_wavefronts(a, in_shared, i->bytes, &ideal);
        count_shared(run, wavefronts, ideal, true);
    }
    note_poll(w, i, seen, changed);
    merge(w, i->d, i->bytes, t);
    return KDS_STEP_ON;
}

/* Before a vector atomic in global memory: the address is a multiple of the whole vector. */
HANDLER(aligned)
{
    (void)out;
    u64 a[KDS_LANES] __attribute__((aligned(64)));
    lane_addresses(w, i->a, i->combine, i->imm, a);
    for (uint32_t left = w->mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        kds_ptx_space space =
            i->space == KDS_SPACE_GENERIC ? space_of(a[l]) : (kds_ptx_space)i->space;
        if (space != KDS_SPACE_GLOBAL)
            return kds_fault_at(w->run, KDS_SIM_OUT_OF_BOUNDS, i, (uint32_t)l, space,
                                a[l] & 0xffffffffu, i->bytes, true);
        if (a[l] % i->bytes != 0)
            return kds_fault_at(w->run, KDS_SIM_MISALIGNED, i, (uint32_t)l, space, a[l], i->bytes,
                                true);
    }
    return KDS_STEP_ON;
}
