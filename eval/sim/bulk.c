/* Bulk copies, and their reductions: one thread moves a run of bytes between global memory and
 * shared memory of the cluster. An mbarrier hears of those that arrive in shared memory; those that
 * leave it are waited for by groups. They are made through another proxy, which sees what threads
 * have stored only after a fence.proxy.async. */
#include "eval/sim/async.h"
#include "eval/sim/race.h"
#include <string.h>

/* A stamp of a store: time in fences of the cluster (from 1), rank and warp. Beyond the last time
 * nothing is stamped any more. */
#define STAMP_WARP 5
#define STAMP_RANK 4
#define STAMP_TIMES ((1u << (32 - STAMP_WARP - STAMP_RANK)) - 2)

/* The cluster's clock, in its first block. */
static uint32_t *clock_of(const kds_block *b)
{
    kds_async *first = kds_async_of(b->group->blocks[0]);
    return first != NULL ? &first->fence_count : NULL;
}

kds_step kds_bulk_fence(kds_warp *w)
{
    if (!w->run->kernel->reads_async)
        return KDS_STEP_ON;
    uint32_t *now = clock_of(w->block);
    kds_async *a = kds_async_of(w->block);
    if (now == NULL || a == NULL)
        return KDS_STEP_NO_MEMORY;
    if (*now < STAMP_TIMES)
        ++*now;
    a->fences[w->index] = *now;
    return KDS_STEP_ON;
}

void kds_bulk_stored(const kds_warp *w, kds_block *b, uint32_t at, uint32_t len)
{
    const uint32_t *now = clock_of(b);
    uint32_t stamp = 0;
    if (now == NULL || kds_async_of(b) == NULL)
        return; /* the copies that ask for this find no memory either */
    if (*now < STAMP_TIMES)
        stamp = ((*now + 1) << STAMP_RANK | w->block->rank) << STAMP_WARP | w->index;
    for (uint32_t word = at / 4; word < (at + len + 3) / 4; word++)
        b->async->stores[word] = stamp;
}

static void forget_stores(kds_block *b, uint32_t at, uint32_t len)
{
    if (b->async->stores != NULL)
        memset(b->async->stores + at / 4, 0, len);
}

/* Has the warp that stored these bytes, or the one that copies them, fenced since? */
static kds_step check_fenced(kds_warp *w, const kds_ins *i, uint32_t lane, uint32_t at,
                             uint32_t len)
{
    const kds_async *a = w->block->async;
    for (uint32_t word = at / 4; word < (at + len) / 4; word++) {
        uint32_t stamp = a->stores[word];
        if (stamp == 0)
            continue;
        uint32_t time = stamp >> (STAMP_RANK + STAMP_WARP), warp = stamp % (1u << STAMP_WARP);
        uint32_t rank = stamp >> STAMP_WARP & ((1u << STAMP_RANK) - 1);
        const kds_async *by = w->block->group->blocks[rank]->async;
        if ((by != NULL && by->fences[warp] >= time) || a->fences[w->index] >= time)
            continue;
        return kds_fault_text(w->run, KDS_SIM_ASYNC, i, lane,
                              "copies byte %u of shared memory, which warp %u stored with no "
                              "fence.proxy.async since: the copy may not see it",
                              word * 4, warp);
    }
    return KDS_STEP_ON;
}

/* ---- Places ---- */

/* A run of shared memory of the own block, or, for a target, of the cluster. */
static kds_step find_shared(kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t address,
                            uint32_t len, uint32_t align, bool store, kds_block **b, uint32_t *at)
{
    kds_run *r = w->run;
    uint64_t inside = address;
    *b = w->block;
    if (address >= KDS_CLUSTER_STEP &&
        address < (uint64_t)KDS_CLUSTER_STEP * (r->cluster_size + 1)) {
        *b = w->block->group->blocks[address / KDS_CLUSTER_STEP - 1];
        inside = address % KDS_CLUSTER_STEP;
    }
    if ((*b)->done)
        return kds_fault_text(r, KDS_SIM_OUT_OF_BOUNDS, i, lane,
                              "shared memory of block %u of the cluster, which has ended",
                              (*b)->rank);
    if (inside >= r->shared_bytes || len > r->shared_bytes - inside || (!store && *b != w->block))
        return kds_fault_at(r, KDS_SIM_OUT_OF_BOUNDS, i, lane, KDS_SPACE_SHARED, address, len,
                            store);
    if (inside % align != 0)
        return kds_fault_text(
            r, KDS_SIM_MISALIGNED, i, lane,
            "byte %llu of shared memory as the %s of a copy: not a multiple of %u",
            (unsigned long long)inside, store ? "target" : "source", align);
    *at = (uint32_t)inside;
    if (kds_async_pending(*b, *at, len, store))
        return kds_async_fault(w, i, lane, *b, *at, len, store);
    return KDS_STEP_ON;
}

/* A copy writes as if its thread did so when it issues it; whoever sees it complete knows of it. */
static kds_step find_target(kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t address,
                            uint32_t len, uint32_t align, const uint8_t *data, kds_block **b,
                            uint32_t *at)
{
    kds_step s = find_shared(w, i, lane, address, len, align, true, b, at);
    if (s == KDS_STEP_ON && w->run->race != NULL)
        s = kds_race_shared(w, i, lane, *b, *at, len, KDS_RACE_WRITE, data);
    return s;
}

static kds_step find_source(kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t address,
                            uint32_t len, uint32_t *at)
{
    kds_block *b;
    kds_step s = find_shared(w, i, lane, address, len, 16, false, &b, at);
    if (s == KDS_STEP_ON && w->run->check_uninitialised &&
        !kds_bits_all(b->shared_stored, *at, len)) {
        kds_fault_at(w->run, KDS_SIM_UNINITIALISED, i, lane, KDS_SPACE_SHARED, address, len, false);
        s = kds_race_unwritten(w);
    }
    if (s == KDS_STEP_ON && w->run->race != NULL)
        s = kds_race_shared(w, i, lane, b, *at, len, KDS_RACE_READ, NULL);
    return s == KDS_STEP_ON ? check_fenced(w, i, lane, *at, len) : s;
}

/* A run of global memory, which lies in one buffer. */
static kds_step find_global(kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t address,
                            uint32_t len, bool store, kds_region **region)
{
    kds_run *r = w->run;
    kds_region *g = kds_memory_region(r->memory, address);
    if (g == NULL || address - g->address >= g->bytes || len > g->bytes - (address - g->address))
        return kds_fault_at(r, KDS_SIM_OUT_OF_BOUNDS, i, lane, KDS_SPACE_GLOBAL, address, len,
                            store);
    if (address % 16 != 0)
        return kds_fault_at(r, KDS_SIM_MISALIGNED, i, lane, KDS_SPACE_GLOBAL, address, 16, store);
    if (store && g->read_only)
        return kds_fault_at(r, KDS_SIM_WROTE_INPUT, i, lane, KDS_SPACE_GLOBAL, address, len, true);
    *region = g;
    return KDS_STEP_ON;
}

static bool initialised(const kds_page *p, uint64_t inside, uint64_t len)
{
    if (p->host == NULL)
        return kds_bits_all(p->stored, inside, len);
    for (uint64_t k = inside; k < inside + len; k++)
        if (((p->stored[k / 64] | p->host[k / 64]) >> (k % 64) & 1) == 0)
            return false;
    return true;
}

static uint64_t count_new(const kds_run *r, uint64_t *bits, uint64_t inside, uint64_t len)
{
    uint64_t fresh = 0;
    for (uint64_t sector = inside / 32; sector <= (inside + len - 1) / 32; sector++)
        fresh += r->parallel ? kds_bits_new_atomic(bits, sector, 1) : kds_bits_new(bits, sector, 1);
    return fresh;
}

/* Combines elements at `to` with those at `from`, or copies. */
static void put(const kds_ins *i, uint8_t *to, const uint8_t *from, uint64_t len,
                kds_bulk_combine *combine)
{
    if (combine == NULL) {
        memcpy(to, from, len);
        return;
    }
    for (uint64_t k = 0; k < len; k += i->bytes) {
        uint64_t old = 0, value = 0;
        memcpy(&old, to + k, i->bytes);
        memcpy(&value, from + k, i->bytes);
        old = combine(i, old, value);
        memcpy(to + k, &old, i->bytes);
    }
}

/* Moves bytes between global memory and `data`, page by page, and counts them. */
static kds_step move_global(kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t address,
                            uint32_t len, uint8_t *data, bool store, kds_bulk_combine *combine)
{
    kds_run *r = w->run;
    kds_region *g = NULL;
    kds_step s = find_global(w, i, lane, address, len, store, &g);
    if (s != KDS_STEP_ON)
        return s;
    for (uint32_t done = 0; done < len;) {
        uint64_t offset = address + done - g->address, inside = offset % KDS_PAGE_BYTES;
        uint64_t n = KDS_PAGE_BYTES - inside < len - done ? KDS_PAGE_BYTES - inside : len - done;
        kds_page *p = kds_memory_page(g, offset / KDS_PAGE_BYTES);
        if (p == NULL)
            return KDS_STEP_NO_MEMORY;
        if ((!store || combine != NULL) && g->undefined && r->check_uninitialised &&
            !initialised(p, inside, n)) {
            kds_fault_at(r, KDS_SIM_UNINITIALISED, i, lane, KDS_SPACE_GLOBAL, address, len, false);
            s = kds_race_unwritten(w);
        }
        if (s == KDS_STEP_ON && r->race != NULL && !p->read_only)
            s = kds_race_global(w, i, lane, p, address + done, (uint32_t)n,
                                !store            ? KDS_RACE_READ
                                : combine != NULL ? KDS_RACE_ATOMIC
                                                  : KDS_RACE_WRITE,
                                store && combine == NULL ? data + done : NULL);
        if (s != KDS_STEP_ON)
            return s;
        kds_memory_freshen(r->memory, p);
        if (store) {
            put(i, p->data + inside, data + done, n, combine);
            (r->parallel ? kds_bits_set_atomic : kds_bits_set)(p->stored, inside, n);
            r->counts.unique_stores += count_new(r, p->changed, inside, n);
        } else {
            memcpy(data + done, p->data + inside, n);
            r->counts.unique_loads += count_new(r, p->loaded, inside, n);
        }
        done += (uint32_t)n;
    }
    uint64_t sectors = (address % 32 + len + 31) / 32;
    *(store ? combine != NULL ? &r->counts.red_requests : &r->counts.store_requests
            : &r->counts.load_requests) += 1;
    *(store ? combine != NULL ? &r->counts.red_sectors : &r->counts.store_sectors
            : &r->counts.load_sectors) += sectors;
    r->counts.lines += (address % 128 + len + 127) / 128;
    if (store)
        r->counts.store_lines += (address % 128 + len + 127) / 128;
    else if (w->traced)
        kds_trace_sectors(w, address / 32, (unsigned)sectors);
    return KDS_STEP_ON;
}

/* ---- Copies ---- */

/* The mbarrier at `address` is to hear of bytes that a lane's copy writes at [at, at + len) of b.
 */
static kds_step tie(kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t address, kds_block *b,
                    const kds_tie *what)
{
    kds_block *home;
    kds_mbarrier *m;
    kds_step s = kds_mbarrier_find(w, i, lane, address, &home, &m);
    if (s != KDS_STEP_ON)
        return s;
    if (home != b)
        return kds_fault_text(w->run, KDS_SIM_BARRIER, i, lane,
                              "the copy goes to block %u of the cluster, but its mbarrier is in "
                              "block %u",
                              b->rank, home->rank);
    const kds_sim_latency *l = w->run->options->latency;
    kds_tie t = *what;
    t.barrier = kds_mbarrier_index(b, m);
    t.phase = KDS_NOT_DELIVERED;
    t.ins = i;
    t.issuer = w->block;
    t.thread = w->index * KDS_LANES + lane;
    t.ready = w->traced ? w->now + (t.from_len > 0 ? l->shared : l->global_dram) : 0;
    if (!kds_mbarrier_tie(b, &t))
        return KDS_STEP_NO_MEMORY;
    if (w->run->race != NULL)
        kds_race_release(w, b, kds_race_object_at(m->at), KDS_SCOPE_CLUSTER);
    kds_async_mark(b, t.at, t.len, true);
    if (t.from_len > 0)
        kds_async_mark(w->block, t.from, t.from_len, false);
    kds_bits_set(b->shared_stored, t.at, t.len);
    forget_stores(b, t.at, t.len);
    return KDS_STEP_ON;
}

static void count_shared(kds_run *r, uint32_t bytes, bool store)
{
    *(store ? &r->counts.shared_stores : &r->counts.shared_loads) += (bytes + 127) / 128;
}

/* From global memory to one block of the cluster, or to the same place of several. */
static kds_step load(kds_warp *w, const kds_ins *i, uint32_t lane, const kds_bulk_operands *o)
{
    kds_run *r = w->run;
    kds_block *b = NULL, *source = NULL;
    uint64_t to = o->to, barrier = o->barrier;
    uint32_t ranks = o->ranks;
    if (ranks >> r->cluster_size != 0)
        return kds_fault_text(r, KDS_SIM_OUT_OF_BOUNDS, i, lane,
                              "a multicast to blocks 0x%x of a cluster of %u", ranks,
                              r->cluster_size);
    do {
        kds_tie t = {.len = o->size};
        if (ranks != 0) {
            uint64_t base = (uint64_t)(__builtin_ctz(ranks) + 1) * KDS_CLUSTER_STEP;
            to = base + o->to % KDS_CLUSTER_STEP;
            barrier = base + o->barrier % KDS_CLUSTER_STEP;
            ranks &= ranks - 1;
        }
        kds_step s = find_target(w, i, lane, to, o->size, 16, NULL, &b, &t.at);
        if (s == KDS_STEP_ON && source == NULL) {
            s = move_global(w, i, lane, o->from, o->size, b->shared + t.at, false, NULL);
            source = b;
        } else if (s == KDS_STEP_ON) {
            memcpy(b->shared + t.at, source->shared + t.at, o->size);
        }
        if (s == KDS_STEP_ON)
            s = tie(w, i, lane, barrier, b, &t);
        if (s != KDS_STEP_ON)
            return s;
        count_shared(r, o->size, true);
    } while (ranks != 0);
    return KDS_STEP_ON;
}

/* From the own shared memory to that of a block of the cluster. */
static kds_step exchange(kds_warp *w, const kds_ins *i, uint32_t lane, const kds_bulk_operands *o)
{
    kds_block *b = NULL;
    kds_tie t = {.len = o->size, .from_len = o->size};
    kds_step s = find_source(w, i, lane, o->from, o->size, &t.from);
    if (s == KDS_STEP_ON)
        s = find_target(w, i, lane, o->to, o->size, 16, w->block->shared + t.from, &b, &t.at);
    if (s != KDS_STEP_ON)
        return s;
    if (b == w->block && t.at < t.from + o->size && t.from < t.at + o->size)
        return kds_fault_text(w->run, KDS_SIM_ASYNC, i, lane,
                              "copies bytes %u to %u of shared memory over themselves", t.from,
                              t.from + o->size - 1);
    memcpy(b->shared + t.at, w->block->shared + t.from, o->size);
    count_shared(w->run, o->size, false);
    count_shared(w->run, o->size, true);
    return tie(w, i, lane, o->barrier, b, &t);
}

/* From the own shared memory to global memory. */
static kds_step store(kds_warp *w, const kds_ins *i, uint32_t lane, const kds_bulk_operands *o,
                      kds_bulk_combine *combine)
{
    uint32_t at = 0;
    kds_warp_async *a = &w->block->async->warps[w->index];
    kds_step s = find_source(w, i, lane, o->from, o->size, &at);
    if (s == KDS_STEP_ON)
        s = move_global(w, i, lane, o->to, o->size, w->block->shared + at, true, combine);
    if (s != KDS_STEP_ON)
        return s;
    count_shared(w->run, o->size, false);
    if (!kds_ptx_room(&a->bulks, a->bulk_count, &a->bulk_room, sizeof *a->bulks))
        return KDS_STEP_NO_MEMORY;
    a->bulks[a->bulk_count++] = (kds_bulk){
        .ins = i, .from = at, .len = o->size, .group = a->bulk_groups[lane], .lane = (uint8_t)lane};
    kds_async_mark(w->block, at, o->size, false);
    w->block->watched++;
    if (w->traced)
        a->bulks_ready = w->now + w->run->options->latency->shared;
    return KDS_STEP_ON;
}

kds_step kds_bulk_copy(kds_warp *w, const kds_ins *i, uint32_t lane, const kds_bulk_operands *o,
                       kds_bulk_combine *combine)
{
    if (kds_async_of(w->block) == NULL)
        return KDS_STEP_NO_MEMORY;
    if (o->size % 16 != 0)
        return kds_fault_text(w->run, KDS_SIM_MISALIGNED, i, lane,
                              "a bulk copy of %u bytes: not a multiple of 16", o->size);
    if (o->size == 0)
        return KDS_STEP_ON;
    switch (i->combine) {
    case KDS_BULK_LOAD:
        return load(w, i, lane, o);
    case KDS_BULK_EXCHANGE:
        return exchange(w, i, lane, o);
    default:
        return store(w, i, lane, o, combine);
    }
}

kds_step kds_bulk_store_async(kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t to,
                              uint64_t barrier, const uint8_t *data, uint32_t len)
{
    kds_block *b = NULL;
    kds_tie t = {.len = len};
    if (kds_async_of(w->block) == NULL)
        return KDS_STEP_NO_MEMORY;
    kds_step s = find_target(w, i, lane, to, len, len, data, &b, &t.at);
    if (s != KDS_STEP_ON)
        return s;
    memcpy(b->shared + t.at, data, len);
    return tie(w, i, lane, barrier, b, &t);
}

void kds_bulk_commit(kds_warp *w, uint32_t mask)
{
    kds_warp_async *a = &w->block->async->warps[w->index];
    for (uint32_t left = mask; left != 0; left &= left - 1)
        a->bulk_groups[__builtin_ctz(left)]++;
    a->bulk_groups_ready[a->timed_bulk_groups++ % KDS_TIMED_GROUPS] = a->bulks_ready;
}

/* With or without .read: what is watched of these copies is what they read. */
void kds_bulk_wait(kds_warp *w, uint32_t mask, uint32_t left)
{
    kds_warp_async *a = &w->block->async->warps[w->index];
    for (uint32_t n = 0; n < a->bulk_count;) {
        kds_bulk c = a->bulks[n];
        if ((mask >> c.lane & 1) == 0 || a->bulk_groups[c.lane] - c.group <= left) {
            n++;
            continue;
        }
        memmove(&a->bulks[n], &a->bulks[n + 1], (a->bulk_count - n - 1) * sizeof c);
        a->bulk_count--;
        w->block->watched--;
        kds_async_unmark_read(w->block, c.from, c.len);
    }
}
