/* Race detection where it takes a closer look: one lane's access against the cells of its place,
 * and what is said when two accesses race. race_order.c knows what orders. */
#include "eval/sim/race.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An access that is being checked. */
typedef struct access {
    kds_race *q;
    kds_warp *w;
    const kds_ins *i;
    uint32_t lane;
    uint64_t address; /* as its space numbers it, for reports */
    uint32_t bytes;
    kds_race_kind kind;
    bool strong, shared;
    bool same_value; /* a store that changes nothing */
    uint32_t stale;  /* cells up to this tick are of earlier launches or blocks */
} access;

static uint32_t cell_tick(kds_cell c)
{
    return (uint32_t)((uint64_t)c >> 32);
}

static uint32_t cell_warp(kds_cell c)
{
    return (uint32_t)c >> 26 & 31;
}

/* The block that ran at a tick. */
static uint32_t serial_at(const kds_race *q, uint32_t tick)
{
    uint32_t low = 0, high = q->slice_count;
    if (tick >= q->slice)
        return q->running;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (q->slices[middle].tick <= tick)
            low = middle;
        else
            high = middle;
    }
    return q->slices[low].serial;
}

static bool lanes_ordered(const access *a, kds_cell c, uint32_t lane)
{
    const kds_race_block *b = a->w->block->race;
    const kds_race_warp *v = &b->warps[a->w->index];
    uint32_t tick = cell_tick(c);
    return lane == a->lane || tick <= b->base || tick <= v->synced ||
           (v->lanes != NULL && tick <= v->lanes[lane][a->lane]);
}

/* Did what the cell says happen before this access? *lane gets the other's. */
static bool ordered(const access *a, kds_cell c, uint32_t *serial, uint32_t *lane)
{
    const kds_run *r = a->w->run;
    const kds_race_block *b = a->w->block->race;
    const kds_race_warp *v = &b->warps[a->w->index];
    uint32_t tick = cell_tick(c), warp = cell_warp(c), known = 0;
    uint32_t first = (uint32_t)c >> KDS_CELL_FIRST_SHIFT & 31,
             last = (uint32_t)c >> KDS_CELL_LAST_SHIFT & 31;
    *serial = serial_at(a->q, tick);
    *lane = first;
    const kds_race_origin *o = &a->q->origins[*serial];
    if (*serial == b->serial) {
        if (warp == a->w->index) {
            if (!lanes_ordered(a, c, first))
                return false;
            *lane = last;
            return lanes_ordered(a, c, last);
        }
        known = b->base;
    }
    if (o->group == a->q->origins[b->serial].group) {
        uint32_t more = v->known[o->rank * r->warp_count + warp];
        known = more > known ? more : known;
    }
    uint32_t outer = v->outer > b->outer ? v->outer : b->outer;
    return tick <= known || kds_race_published(a->q, *serial, warp, tick, outer);
}

static void thread_name(const kds_run *r, uint32_t warp, uint32_t lane, char *out, size_t size)
{
    uint32_t t = warp * KDS_LANES + lane;
    snprintf(out, size, "thread (%u, %u, %u)", t % r->block[0], t / r->block[0] % r->block[1],
             t / r->block[0] / r->block[1]);
}

static bool copies(const kds_ins *i)
{
    return i != NULL && (i->op == KDS_OP_bulk || i->op == KDS_OP_st_async);
}

/* What would have ordered them; `other` is the instruction of the other side. */
static const char *missing(const access *a, kds_cell c, uint32_t serial, const kds_ins *other)
{
    const kds_race_origin *o = a->q->origins;
    uint32_t own = a->w->block->race->serial;
    if (copies(a->i) || copies(other))
        return "no wait for the copy's mbarrier, and no barrier or mbarrier before the copy, "
               "orders "
               "them";
    if (serial == own && cell_warp(c) == a->w->index)
        return "no __syncwarp() or __syncthreads() between them";
    if (serial == own)
        return "no barrier (__syncthreads()) between them";
    if (o[serial].group == o[own].group)
        return "no barrier of the cluster (barrier.cluster, cluster.sync()) between them";
    return "blocks are not ordered: use atomics, or __threadfence() and then an atomic or volatile "
           "flag that the other block reads first, or another launch";
}

/* The other side of a race: thread, block, line. */
static kds_step report(const access *a, kds_cell c, uint32_t serial, uint32_t lane, bool wrote)
{
    kds_run *r = a->w->run;
    const kds_kernel *k = r->kernel;
    uint32_t at = (uint32_t)c & KDS_CELL_INS;
    const kds_ins *i = at < k->code_count && at < KDS_CELL_INS ? &k->code[at] : NULL;
    char place[400], other[64], block[96] = "of the same block", line[200] = "", source[40] = "";
    kds_fault_place(r, a->shared ? KDS_SPACE_SHARED : KDS_SPACE_GLOBAL, a->address, a->bytes, place,
                    sizeof place);
    thread_name(r, cell_warp(c), lane, other, sizeof other);
    if (serial != a->w->block->race->serial) {
        uint64_t n = a->q->origins[serial].number;
        snprintf(block, sizeof block, "of block (%u, %u, %u)", (uint32_t)(n % r->grid[0]),
                 (uint32_t)(n / r->grid[0] % r->grid[1]), (uint32_t)(n / r->grid[0] / r->grid[1]));
    }
    if (i != NULL && i->source_line != 0)
        snprintf(source, sizeof source, ", source line %u", i->source_line);
    if (i != NULL)
        snprintf(line, sizeof line, " at PTX line %u (%.*s%s)", i->line,
                 i->opcode.len < 60 ? (int)i->opcode.len : 60, i->opcode.text, source);
    bool one = i == a->i && cell_tick(c) == a->q->tick && a->kind == KDS_RACE_WRITE && wrote &&
               serial == a->w->block->race->serial && cell_warp(c) == a->w->index;
    if (one)
        return kds_fault_text(r, KDS_SIM_RACE, a->i, a->lane,
                              "writes %u bytes %s, where %s of the same warp writes another value "
                              "with the same instruction: which one stays is undefined",
                              a->bytes, place, other);
    bool half = a->strong != ((uint64_t)c & KDS_CELL_STRONG ? true : false);
    return kds_fault_text(
        r, KDS_SIM_RACE, a->i, a->lane, "%s %u byte%s %s, which %s %s %s%s: %s%s",
        a->kind == KDS_RACE_READ    ? "reads"
        : a->kind == KDS_RACE_WRITE ? "writes"
                                    : "changes",
        a->bytes, a->bytes == 1 ? "" : "s", place, other, block, wrote ? "wrote" : "read", line,
        missing(a, c, serial, i),
        half ? "; one of the two is atomic, volatile or ordered and the other is not" : "");
}

/* Is the access of a reader's cell a store after all? See keeps_plain. */
static bool is_plain_store(const access *a, kds_cell c)
{
    const kds_kernel *k = a->w->run->kernel;
    uint32_t at = (uint32_t)c & KDS_CELL_INS;
    if (at == KDS_CELL_INS || at >= k->code_count)
        return false;
    int op = k->code[at].op;
    return op == KDS_OP_st_global || op == KDS_OP_st_shared || op == KDS_OP_st_generic;
}

/* KDS_STEP_FAULT if the access races with that of a cell. */
static kds_step against(const access *a, kds_cell c, bool wrote)
{
    uint32_t serial, lane;
    wrote = wrote || (c != 0 && is_plain_store(a, c));
    if (cell_tick(c) <= a->stale || (a->strong && ((uint64_t)c & KDS_CELL_STRONG) != 0))
        return KDS_STEP_ON;
    if ((wrote && a->same_value) || ordered(a, c, &serial, &lane))
        return KDS_STEP_ON;
    return report(a, c, serial, lane, wrote);
}

/* Notes a read: the last of two different warps are kept. Lanes of one instruction become one. */
static void note_read(const access *a, const kds_cells *c, uint64_t k, uint64_t mine)
{
    uint64_t old = (uint64_t)c->read[k], other = old ^ mine;
    bool same_block = cell_tick(c->read[k]) >= a->q->slice;
    const uint64_t lanes = UINT64_C(31) << KDS_CELL_FIRST_SHIFT | UINT64_C(31)
                                                                      << KDS_CELL_LAST_SHIFT;
    if (same_block && (other & ~lanes) == 0)
        mine = (mine & ~(UINT64_C(31) << KDS_CELL_FIRST_SHIFT)) |
               (old & UINT64_C(31) << KDS_CELL_FIRST_SHIFT);
    else if ((other & KDS_CELL_WARP) != 0 || !same_block)
        c->read_before[k] = c->read[k];
    c->read[k] = (kds_cell)mine;
}

/* An atomic or ordered store must not hide the plain one before it from those who do not know of
 * that one. True: the warps of the block do not all know of it yet, and it stays. Else, if others
 * may be there who do not, it takes the place of a reader. */
static bool keeps_plain(const access *a, const kds_cells *c, uint64_t k)
{
    const kds_race_block *b = a->w->block->race;
    kds_cell plain = c->written[k];
    uint32_t tick = cell_tick(plain), known = b->base;
    if (tick <= a->stale || ((uint64_t)plain & KDS_CELL_STRONG) != 0)
        return false;
    if (tick >= a->q->slice && cell_warp(plain) == a->w->index &&
        b->warps[a->w->index].synced > known)
        known = b->warps[a->w->index].synced;
    if (tick > known)
        return true;
    if (!a->shared || a->w->run->cluster_size > 1)
        c->read_before[k] = plain;
    return false;
}

static kds_step touch(const access *a, const kds_cells *c, uint64_t first, uint64_t count,
                      uint32_t shift)
{
    uint64_t at = (uint64_t)(a->i - a->w->run->kernel->code);
    uint64_t mine = (uint64_t)a->q->tick << 32 | (a->strong ? KDS_CELL_STRONG : 0) |
                    (uint64_t)a->w->index << 26 | a->lane * KDS_CELL_LANE |
                    (at < KDS_CELL_INS ? at : KDS_CELL_INS);
    uint32_t used = a->kind == KDS_RACE_READ ? a->i->used_bytes : 0;
    for (uint64_t k = first; k < first + count; k++) {
        uint32_t part = (UINT32_C(1) << (1u << shift)) - 1;
        if (used != 0 && (used >> ((k - first) << shift) & part) == 0)
            continue;
        kds_step s = against(a, c->written[k], true);
        if (s == KDS_STEP_ON && a->kind != KDS_RACE_READ)
            s = against(a, c->read[k], false);
        if (s == KDS_STEP_ON && a->kind != KDS_RACE_READ)
            s = against(a, c->read_before[k], false);
        if (s != KDS_STEP_ON)
            return s;
        if (a->kind == KDS_RACE_READ)
            note_read(a, c, k, mine);
        else if (!a->strong || !keeps_plain(a, c, k))
            c->written[k] = (kds_cell)mine;
    }
    return KDS_STEP_ON;
}

/* Loads and stores with an order; other instructions have other things in that field. */
static bool has_order(const kds_ins *i)
{
    return (i->op == KDS_OP_ld_global || i->op == KDS_OP_ld_shared || i->op == KDS_OP_ld_generic ||
            i->op == KDS_OP_st_global || i->op == KDS_OP_st_shared || i->op == KDS_OP_st_generic) &&
           i->rounding != KDS_ORDER_WEAK;
}

static access make_access(kds_warp *w, const kds_ins *i, uint32_t lane, uint32_t bytes,
                          kds_race_kind kind)
{
    kds_race *q = w->run->race;
    return (access){.q = q,
                    .w = w,
                    .i = i,
                    .lane = lane,
                    .bytes = bytes,
                    .kind = kind,
                    .strong = kind == KDS_RACE_ATOMIC || has_order(i) ||
                              (q->strong != NULL && q->strong[i - w->run->kernel->code] != 0)};
}

kds_step kds_race_shared(kds_warp *w, const kds_ins *i, uint32_t lane, kds_block *owner,
                         uint32_t at, uint32_t bytes, kds_race_kind kind, const void *data)
{
    access a = make_access(w, i, lane, bytes, kind);
    kds_race_block *b = owner->race;
    uint32_t shift = a.q->shared_shift;
    a.shared = true;
    a.address = at;
    a.stale = b->start;
    if (owner != w->block) {
        b->remote = true;
        a.address += (uint64_t)(owner->rank + 1) * KDS_CLUSTER_STEP;
    }
    a.same_value = data != NULL && memcmp(owner->shared + at, data, bytes) == 0;
    if (kind == KDS_RACE_READ)
        b->read_tick = a.q->tick;
    uint64_t first = at >> shift;
    return touch(&a, &b->shared, first, ((at + bytes - 1) >> shift) - first + 1, shift);
}

kds_race_page *kds_race_page_cells(kds_race *q, kds_page *p)
{
    kds_sim_memory *m = q->run->memory;
    size_t cells = 3 * (size_t)(KDS_PAGE_BYTES >> q->global_shift);
    kds_race_page *r = p->race;
    if (r != NULL && r->shift == q->global_shift && r->generation == m->race_generation)
        return r;
    free(r);
    p->race = r = calloc(1, sizeof *r + cells * sizeof(kds_cell));
    if (r != NULL) {
        r->shift = q->global_shift;
        r->generation = m->race_generation;
    }
    return r;
}

kds_step kds_race_global(kds_warp *w, const kds_ins *i, uint32_t lane, kds_page *p,
                         uint64_t address, uint32_t bytes, kds_race_kind kind, const void *data)
{
    access a = make_access(w, i, lane, bytes, kind);
    kds_race_page *r = kds_race_page_cells(a.q, p);
    uint32_t shift = a.q->global_shift;
    uint64_t inside = address % KDS_PAGE_BYTES, first = inside >> shift;
    uint64_t cells = KDS_PAGE_BYTES >> shift;
    if (r == NULL)
        return KDS_STEP_NO_MEMORY;
    a.address = address;
    a.stale = a.q->start;
    a.same_value = data != NULL && memcmp(p->data + inside, data, bytes) == 0;
    if (kind == KDS_RACE_READ)
        r->read_tick = a.q->tick;
    kds_cells c = {r->cells, r->cells + cells, r->cells + 2 * cells};
    return touch(&a, &c, first, ((inside + bytes - 1) >> shift) - first + 1, shift);
}

kds_step kds_race_defer(kds_warp *w)
{
    kds_race *q = w->run->race;
    if (q->deferred != NULL)
        return KDS_STEP_ON;
    q->deferred = calloc(1, sizeof *q->deferred);
    if (q->deferred == NULL)
        return KDS_STEP_NO_MEMORY;
    kds_report(w->run, w, q->deferred);
    return KDS_STEP_ON;
}

void kds_race_settle(kds_run *r, kds_step *s, kds_sim_result *out)
{
    const kds_race *q = r->race_state;
    if (q == NULL || q->deferred == NULL || out->status == KDS_SIM_RACE || *s == KDS_STEP_NO_MEMORY)
        return;
    *s = KDS_STEP_FAULT;
    out->status = q->deferred->status;
    out->source_line = q->deferred->source_line;
    memcpy(out->report, q->deferred->report, sizeof out->report);
}

/* ---- The launch and its blocks ---- */

/* The smallest access of shared and of global memory by any instruction. */
static void choose_cells(kds_race *q, const kds_kernel *k)
{
    uint32_t shared = 16, global = 16;
    for (uint32_t n = 0; n < k->code_count; n++) {
        const kds_ins *i = &k->code[n];
        uint32_t bytes = (uint32_t)i->bytes * (i->elements > 0 ? i->elements : 1);
        bool neither = i->op == KDS_OP_ld_local || i->op == KDS_OP_st_local ||
                       i->op == KDS_OP_ld_param || i->space == KDS_SPACE_CONST;
        if (i->pipe != KDS_PIPE_LSU || bytes == 0 || neither || i->op == KDS_OP_shfl)
            continue;
        bool only_global = i->space == KDS_SPACE_GLOBAL && i->op != KDS_OP_cp_async;
        bool only_shared = i->space == KDS_SPACE_SHARED;
        bytes = i->op == KDS_OP_cp_async && i->c >= 0                     ? 1
                : i->op == KDS_OP_ldmatrix || i->op == KDS_OP_stmatrix    ? 16
                : i->op == KDS_OP_wmma_load || i->op == KDS_OP_wmma_store ? i->bytes
                                                                          : bytes;
        if (!only_global && bytes < shared)
            shared = bytes;
        if (!only_shared && bytes < global)
            global = bytes;
    }
    q->shared_shift = (uint32_t)__builtin_ctz(shared);
    q->global_shift = (uint32_t)__builtin_ctz(global);
}

/* How many instructions before a compare-and-swap its first look at the place can be. */
#define LOOK 64

/* The plain load of the usual loop `old = *p; do old = atomicCAS(p, seen = old, ...)` is harmless:
 * a stale value only makes the swap fail. */
static bool find_first_looks(kds_race *q, const kds_kernel *k)
{
    for (uint32_t n = 0; n < k->code_count; n++) {
        const kds_ins *cas = &k->code[n];
        if (cas->op != KDS_OP_atom || cas->compare != KDS_ATOM_CAS)
            continue;
        for (uint32_t m = n > LOOK ? n - LOOK : 0; m < n; m++) {
            const kds_ins *i = &k->code[m];
            bool load = i->op == KDS_OP_ld_global || i->op == KDS_OP_ld_shared ||
                        i->op == KDS_OP_ld_generic;
            if (!load || i->bytes != cas->bytes || i->elements != 1 || i->space != cas->space)
                continue;
            /* From the same address, or into the register that is compared. */
            if ((i->a != cas->a || i->imm != cas->imm) && kds_ins_element(k, i, 0) != cas->b)
                continue;
            if (q->strong == NULL)
                q->strong = calloc(k->code_count, 1);
            if (q->strong == NULL)
                return false;
            q->strong[m] = 1;
        }
    }
    return true;
}

bool kds_race_open(kds_run *r)
{
    kds_race *q = calloc(1, sizeof *q);
    if (q == NULL)
        return false;
    r->race = r->race_state = q;
    q->run = r;
    if (r->memory->race_tick > KDS_RACE_TICKS / 2) {
        r->memory->race_tick = 0;
        r->memory->race_generation++;
    }
    q->tick = q->start = r->memory->race_tick + 1;
    q->slice = q->tick + 1;
    q->running = UINT32_MAX;
    choose_cells(q, r->kernel);
    return find_first_looks(q, r->kernel);
}

void kds_race_close(kds_run *r)
{
    kds_race *q = r->race_state;
    if (q == NULL)
        return;
    r->memory->race_tick = q->tick;
    kds_race_objects_clear(&q->objects);
    free(q->objects.slots);
    free(q->strong);
    free(q->deferred);
    free(q->origins);
    free(q->records);
    free(q->slices);
    free(q);
    r->race = r->race_state = NULL;
}
