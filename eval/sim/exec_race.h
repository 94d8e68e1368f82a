/* Part of exec_body.h: the common cases of race detection, a warp at a time. Each function either
 * finds nothing that could be a race and notes the access, or changes nothing and returns false;
 * then the lanes go one by one through race.c. */

static inline u64 race_mark(const kds_race *q, const kds_warp *w, const kds_ins *i)
{
    u64 at = (u64)(i - w->run->kernel->code);
    return (u64)q->tick << 32 | (u64)w->index << 26 | (at < KDS_CELL_INS ? at : KDS_CELL_INS);
}

/* Neither ordered nor taken for it. */
static inline bool race_plain(const kds_race *q, const kds_warp *w, const kds_ins *i)
{
    return i->rounding == KDS_ORDER_WEAK &&
           (q->strong == NULL || q->strong[i - w->run->kernel->code] == 0);
}

/* Cells up to `old` are ordered. Those beyond `from` are of this block, and those of these up to
 * `to` ordered, or, if of the own warp, up to `own`. */
typedef struct race_window {
    s64 old, from, to, own;
} race_window;

/* All ones if the cell is not ordered by that alone. */
static inline u64 race_later(s64 cell, const race_window *v)
{
    return (u64) - (s64)((cell > v->old) & ((cell <= v->from) | (cell > v->to)));
}

/* All ones if the cell may be of another block. */
static inline u64 race_foreign(s64 cell, const race_window *v)
{
    return (u64) - (s64)(cell <= v->from);
}

/* True if a cell is neither ordered nor of the same lane. */
static inline bool race_suspect(s64 cell, u64 mine, const race_window *v)
{
    u64 other = (u64)cell ^ mine;
    if (race_later(cell, v) == 0)
        return false;
    if (cell <= v->from)
        return true;
    return (other & KDS_CELL_WHO) != 0 && ((other & KDS_CELL_WARP) != 0 || cell > v->own);
}

/* Lane l at the cells [l * each, l * each + each) of a row: is one of them suspect? */
static inline bool race_row_clear(const s64 *cells, u64 mark, const race_window *v, unsigned each)
{
    u64 bad = 0;
    for (unsigned l = 0; l < KDS_LANES; l++)
        for (unsigned j = 0; j < each; j++) {
            s64 cell = cells[l * each + j];
            u64 other = ((u64)cell ^ (mark + l * KDS_CELL_LANE)) & KDS_CELL_WHO;
            bad |= race_later(cell, v) & (other | race_foreign(cell, v));
        }
    if (bad == 0)
        return true;
    for (unsigned k = 0; k < KDS_LANES * each; k++)
        if (race_suspect(cells[k], mark + k / each * KDS_CELL_LANE, v))
            return false;
    return true;
}

/* Notes the reads of a row. */
static inline void race_row_read(s64 *read, s64 *before, u64 mark, const race_window *v,
                                 unsigned each)
{
    u64 other = 0;
    for (unsigned k = 0; k < KDS_LANES * each; k++)
        other |= race_later(read[k], v) &
                 ((((u64)read[k] ^ mark) & KDS_CELL_WARP) | race_foreign(read[k], v));
    if (other != 0)
        for (unsigned k = 0; k < KDS_LANES * each; k++) {
            u64 t = (((u64)read[k] ^ mark) & KDS_CELL_WARP) | race_foreign(read[k], v);
            bool displaced = (t != 0) & (read[k] > v->old);
            before[k] = displaced ? read[k] : before[k];
        }
    for (unsigned l = 0; l < KDS_LANES; l++)
        for (unsigned j = 0; j < each; j++)
            read[l * each + j] = (s64)(mark + l * KDS_CELL_LANE);
}

static inline bool race_row(const kds_cells *c, u64 mark, const race_window *v, unsigned each,
                            bool store, bool reads)
{
    if (!race_row_clear(c->written, mark, v, each))
        return false;
    if (!store) {
        race_row_read(c->read, c->read_before, mark, v, each);
        return true;
    }
    if (reads &&
        (!race_row_clear(c->read, mark, v, each) || !race_row_clear(c->read_before, mark, v, each)))
        return false;
    for (unsigned l = 0; l < KDS_LANES; l++)
        for (unsigned j = 0; j < each; j++)
            c->written[l * each + j] = (s64)(mark + l * KDS_CELL_LANE);
    return true;
}

/* The same with the number of cells per lane known to the compiler. */
static inline bool race_row_of(const kds_cells *c, u64 mark, const race_window *v, unsigned each,
                               bool store, bool reads)
{
    switch (each) {
    case 1:
        return race_row(c, mark, v, 1, store, reads);
    case 2:
        return race_row(c, mark, v, 2, store, reads);
    case 4:
        return race_row(c, mark, v, 4, store, reads);
    case 8:
        return race_row(c, mark, v, 8, store, reads);
    default:
        return race_row(c, mark, v, each, store, reads);
    }
}

/* The lanes of a pattern that have an address that no lower one has, and the last lane of each. */
static inline void race_learn(kds_memo *m)
{
    m->distinct = 0;
    for (unsigned l = 0; l < KDS_LANES; l++) {
        unsigned k = 0;
        while (k < m->distinct && m->delta[m->first[k]] != m->delta[l])
            k++;
        if (k == m->distinct) {
            m->first[k] = (u8)l;
            m->distinct++;
        }
        m->last[k] = (u8)l;
    }
}

/* All lanes at one place each, wherever that is. A store to one place by several lanes is left to
 * race.c, which looks at the values. */
static inline bool race_pattern(const kds_cells *c, const u64 *a, kds_memo *m, unsigned shift,
                                u64 mark, const race_window *v, unsigned each, bool store)
{
    if (m->distinct == 0)
        race_learn(m);
    if (store && m->distinct != KDS_LANES)
        return false;
    for (unsigned d = 0; d < m->distinct; d++) {
        u64 at = a[m->first[d]] >> shift;
        u64 mine = mark + ((u64)m->first[d] << KDS_CELL_FIRST_SHIFT) +
                   ((u64)m->last[d] << KDS_CELL_LAST_SHIFT);
        for (unsigned j = 0; j < each; j++)
            if (race_suspect(c->written[at + j], mine, v) ||
                (store && (race_suspect(c->read[at + j], mine, v) ||
                           race_suspect(c->read_before[at + j], mine, v))))
                return false;
    }
    for (unsigned d = 0; d < m->distinct; d++) {
        u64 at = a[m->first[d]] >> shift;
        u64 mine = mark + ((u64)m->first[d] << KDS_CELL_FIRST_SHIFT) +
                   ((u64)m->last[d] << KDS_CELL_LAST_SHIFT);
        for (unsigned j = 0; j < each; j++) {
            s64 *cell = store ? c->written + at + j : c->read + at + j;
            if (!store && *cell > v->old && (((u64)*cell ^ mine) & KDS_CELL_WARP) != 0)
                c->read_before[at + j] = *cell;
            *cell = (s64)mine;
        }
    }
    return true;
}

/* What an atomic or ordered access of lanes in a space orders, after it was done: addresses are in
 * bounds. */
static inline void race_ordered(kds_warp *w, const kds_ins *i, const u64 *a, uint32_t mask,
                                kds_ptx_space space, kds_race_kind kind)
{
    for (uint32_t left = mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        bool shared = space == KDS_SPACE_SHARED;
        u64 at = shared ? (u32)a[l] : a[l];
        kds_block *owner = shared ? w->block : NULL;
        if (shared && at >= KDS_CLUSTER_STEP && at / KDS_CLUSTER_STEP <= w->run->cluster_size)
            owner = w->block->group->blocks[at / KDS_CLUSTER_STEP - 1];
        at = shared ? at % KDS_CLUSTER_STEP : at;
        if (w->run->race != NULL)
            kds_race_ordered(w, i, owner, kds_race_object_at(at), 1u << l, kind);
    }
}

/* A whole warp at a known pattern in its block's own shared memory. */
static inline bool race_shared_clear(kds_warp *w, const kds_ins *i, const u64 *a, kds_memo *m,
                                     unsigned bytes, bool store)
{
    kds_race *q = w->run->race;
    kds_race_block *b = w->block->race;
    if (b->remote || !race_plain(q, w, i))
        return false;
    unsigned shift = q->shared_shift, each = bytes >> shift;
    race_window v = {b->limit, -1, -1, kds_cell_limit(b->warps[w->index].synced)};
    u64 mark = race_mark(q, w, i);
    if (!store)
        b->read_tick = q->tick;
    if (m->largest != 31 * bytes || !evenly_spaced(a, bytes))
        return race_pattern(&b->shared, a, m, shift, mark, &v, each, store);
    u64 at = a[0] >> shift;
    kds_cells row = {b->shared.written + at, b->shared.read + at, b->shared.read_before + at};
    return race_row_of(&row, mark, &v, each, store, b->read_tick > b->base);
}

static inline race_window race_page_window(const kds_race *q, const kds_warp *w,
                                           const kds_race_block *b)
{
    return (race_window){kds_cell_limit(q->start), kds_cell_limit(q->slice - 1),
                         kds_cell_limit(b->base), kds_cell_limit(b->warps[w->index].synced)};
}

/* The same for 32 lanes side by side (bytes per lane), or all at one place, in a page. */
static inline bool race_page_clear(kds_warp *w, const kds_ins *i, kds_page *p, u64 at,
                                   unsigned bytes, bool store, bool one_place)
{
    kds_race *q = w->run->race;
    kds_race_block *b = w->block->race;
    kds_race_page *r = p->race;
    if (!race_plain(q, w, i) || (i->used_bytes != 0 && !store) || r == NULL ||
        r->shift != q->global_shift || r->generation != w->run->memory->race_generation)
        return false;
    unsigned shift = q->global_shift, each = bytes >> shift;
    race_window v = race_page_window(q, w, b);
    u64 mark = race_mark(q, w, i), cells = KDS_PAGE_BYTES >> shift;
    kds_cell *c = r->cells + (at >> shift);
    kds_cells row = {c, c + cells, c + 2 * cells};
    if (!store)
        r->read_tick = q->tick;
    if (!one_place)
        return race_row_of(&row, mark, &v, each, store, r->read_tick > q->start);
    mark += UINT64_C(31) << KDS_CELL_LAST_SHIFT;
    for (unsigned j = 0; j < each; j++)
        if (race_suspect(row.written[j], mark, &v))
            return false;
    for (unsigned j = 0; j < each; j++) {
        if (row.read[j] > v.old && ((((u64)row.read[j] ^ mark) & KDS_CELL_WARP) != 0 ||
                                    race_foreign(row.read[j], &v) != 0))
            row.read_before[j] = row.read[j];
        row.read[j] = (s64)mark;
    }
    return true;
}

/* ---- One lane at a time ---- */

/* `count` cells from `at`; `mine` is of one lane. Reads by lanes of one instruction become one. */
static inline bool race_cells_clear(const kds_cells *c, u64 at, u64 count, u64 mine,
                                    const race_window *v, bool store)
{
    const u64 lanes = 31 * KDS_CELL_LANE, first = UINT64_C(31) << KDS_CELL_FIRST_SHIFT;
    for (u64 k = at; k < at + count; k++)
        if (race_suspect(c->written[k], mine, v) ||
            (store &&
             (race_suspect(c->read[k], mine, v) || race_suspect(c->read_before[k], mine, v))))
            return false;
    for (u64 k = at; k < at + count; k++) {
        u64 old = (u64)c->read[k], other = old ^ mine;
        if (store) {
            c->written[k] = (s64)mine;
        } else if ((other & ~lanes) == 0 && c->read[k] > v->from) {
            c->read[k] = (s64)((mine & ~first) | (old & first));
        } else {
            if (c->read[k] > v->old &&
                ((other & KDS_CELL_WARP) != 0 || race_foreign(c->read[k], v) != 0))
                c->read_before[k] = c->read[k];
            c->read[k] = (s64)mine;
        }
    }
    return true;
}

/* An access of one lane that has no order, in bounds, before memory changes; `data`: what is
 * stored.
 */
static inline kds_step race_lane_shared(kds_warp *w, const kds_ins *i, int lane, kds_block *owner,
                                        u32 at, unsigned bytes, bool store, const u8 *data)
{
    kds_race *q = w->run->race;
    kds_race_block *b = w->block->race;
    unsigned shift = q->shared_shift;
    if (owner == w->block && !b->remote) {
        race_window v = {b->limit, -1, -1, kds_cell_limit(b->warps[w->index].synced)};
        u64 mine = race_mark(q, w, i) + (u64)lane * KDS_CELL_LANE;
        if (!store)
            b->read_tick = q->tick;
        if (race_cells_clear(&b->shared, at >> shift, bytes >> shift, mine, &v, store))
            return KDS_STEP_ON;
    }
    return kds_race_shared(w, i, (uint32_t)lane, owner, at, bytes,
                           store ? KDS_RACE_WRITE : KDS_RACE_READ, data);
}

static inline kds_step race_lane_global(kds_warp *w, const kds_ins *i, int lane, kds_page *p,
                                        u64 address, unsigned bytes, bool store, const u8 *data)
{
    kds_race *q = w->run->race;
    kds_race_page *r = kds_race_page_cells(q, p);
    if (r == NULL)
        return KDS_STEP_NO_MEMORY;
    const kds_race_block *b = w->block->race;
    u64 mine = race_mark(q, w, i) + (u64)lane * KDS_CELL_LANE;
    u64 cells = KDS_PAGE_BYTES >> q->global_shift;
    kds_cells c = {r->cells, r->cells + cells, r->cells + 2 * cells};
    race_window v = race_page_window(q, w, b);
    if (!store)
        r->read_tick = q->tick;
    if (race_cells_clear(&c, address % KDS_PAGE_BYTES >> q->global_shift, bytes >> q->global_shift,
                         mine, &v, store))
        return KDS_STEP_ON;
    return kds_race_global(w, i, (uint32_t)lane, p, address, bytes,
                           store ? KDS_RACE_WRITE : KDS_RACE_READ, data);
}
