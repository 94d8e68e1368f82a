/* mbarriers: arrivals and bytes of transactions that are still to come, by phases. Their state is
 * kept beside shared memory, whose bytes nothing else may touch while the object lives. */
#include "eval/sim/async.h"
#include "eval/sim/race.h"
#include <string.h>

uint32_t kds_mbarrier_index(const kds_block *b, const kds_mbarrier *m)
{
    return (uint32_t)(m - b->async->barriers);
}

/* Whose shared memory an address names, and where in it an object of 8 bytes lies. */
static kds_step locate(kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t address,
                       kds_block **b, uint32_t *at)
{
    kds_run *r = w->run;
    uint64_t inside = address;
    *b = w->block;
    if (address >= KDS_CLUSTER_STEP &&
        address < (uint64_t)KDS_CLUSTER_STEP * (r->cluster_size + 1)) {
        *b = w->block->group->blocks[address / KDS_CLUSTER_STEP - 1];
        inside = address % KDS_CLUSTER_STEP;
        if (*b != w->block && (i->flags & KDS_INS_CLUSTER) == 0)
            return kds_fault_text(r, KDS_SIM_BARRIER, i, lane,
                                  "the mbarrier is in the shared memory of block %u of the "
                                  "cluster: this form may only use its own",
                                  (*b)->rank);
        if ((*b)->done)
            return kds_fault_text(r, KDS_SIM_OUT_OF_BOUNDS, i, lane,
                                  "shared memory of block %u of the cluster, which has ended",
                                  (*b)->rank);
    }
    if (inside >= r->shared_bytes || r->shared_bytes - inside < 8)
        return kds_fault_at(r, KDS_SIM_OUT_OF_BOUNDS, i, lane, KDS_SPACE_SHARED, address, 8, true);
    if (inside % 8 != 0)
        return kds_fault_at(r, KDS_SIM_MISALIGNED, i, lane, KDS_SPACE_SHARED, address, 8, true);
    *at = (uint32_t)inside;
    return KDS_STEP_ON;
}

kds_step kds_mbarrier_find(kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t address,
                           kds_block **b, kds_mbarrier **m)
{
    uint32_t at = 0;
    kds_step s = locate(w, i, lane, address, b, &at);
    if (s != KDS_STEP_ON)
        return s;
    uint32_t slot = (*b)->async != NULL ? (*b)->async->slots[at / 8] : 0;
    if (slot == 0 || !(*b)->async->barriers[slot - 1].live)
        return kds_fault_text(w->run, KDS_SIM_BARRIER, i, lane,
                              "there is no mbarrier at byte %u of shared memory: %s", at,
                              slot == 0 ? "it was never initialised" : "it was invalidated");
    *m = &(*b)->async->barriers[slot - 1];
    return KDS_STEP_ON;
}

static kds_step initialise(kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t address,
                           uint32_t count)
{
    kds_block *b;
    uint32_t at = 0;
    kds_step s = locate(w, i, lane, address, &b, &at);
    if (s != KDS_STEP_ON)
        return s;
    if (count == 0 || count > KDS_MBARRIER_CAP)
        return kds_fault_text(w->run, KDS_SIM_BARRIER, i, lane,
                              "an mbarrier of %u arrivals: not 1 to %u", count, KDS_MBARRIER_CAP);
    kds_async *a = kds_async_of(b);
    if (a == NULL)
        return KDS_STEP_NO_MEMORY;
    uint32_t slot = a->slots[at / 8];
    if (slot != 0 && a->barriers[slot - 1].live)
        return kds_fault_text(
            w->run, KDS_SIM_BARRIER, i, lane,
            "initialises the mbarrier at byte %u again, which lives since line %u "
            "(mbarrier.inval first)",
            at, a->barriers[slot - 1].ins->line);
    if (kds_async_pending(b, at, 8, true))
        return kds_async_fault(w, i, lane, b, at, 8, true);
    if (slot == 0) {
        if (!kds_ptx_room(&a->barriers, a->barrier_count, &a->barrier_room, sizeof *a->barriers))
            return KDS_STEP_NO_MEMORY;
        slot = ++a->barrier_count;
        a->slots[at / 8] = (uint16_t)slot;
    }
    a->barriers[slot - 1] =
        (kds_mbarrier){.at = at, .ins = i, .expected = count, .pending = count, .live = true};
    kds_async_mark(b, at, 8, true);
    kds_bits_set(b->shared_stored, at, 8);
    b->watched++;
    return KDS_STEP_ON;
}

static void try_complete(kds_mbarrier *m)
{
    if (m->pending != 0 || m->tx != 0)
        return;
    m->phase++;
    m->pending = m->expected;
    m->complete = m->ready;
}

static kds_step arrive(kds_warp *w, const kds_ins *i, uint32_t lane, kds_mbarrier *m,
                       uint32_t count)
{
    if (count == 0 || count > KDS_MBARRIER_CAP)
        return kds_fault_text(w->run, KDS_SIM_BARRIER, i, lane, "%u arrivals: not 1 to %u", count,
                              KDS_MBARRIER_CAP);
    if (count > m->pending)
        return kds_fault_text(w->run, KDS_SIM_BARRIER, i, lane,
                              "arrives %u time%s at the mbarrier at byte %u, but its phase %llu "
                              "expects only %u more of %u",
                              count, count == 1 ? "" : "s", m->at, (unsigned long long)m->phase,
                              m->pending, m->expected);
    m->pending -= count;
    if (w->traced && w->now > m->ready)
        m->ready = w->now;
    return KDS_STEP_ON;
}

static kds_step transact(kds_warp *w, const kds_ins *i, uint32_t lane, kds_mbarrier *m,
                         int64_t bytes)
{
    m->tx += bytes;
    if (m->tx >= -(int64_t)KDS_MBARRIER_CAP && m->tx <= (int64_t)KDS_MBARRIER_CAP)
        return KDS_STEP_ON;
    return kds_fault_text(w->run, KDS_SIM_BARRIER, i, lane,
                          "the mbarrier at byte %u would have %lld bytes to come: at most %u",
                          m->at, (long long)m->tx, KDS_MBARRIER_CAP);
}

/* cp.async.mbarrier.arrive: the arrival is heard when somebody asks. */
static kds_step arrive_with_copies(kds_warp *w, const kds_ins *i, uint32_t lane, kds_block *b,
                                   kds_mbarrier *m)
{
    kds_async *own = kds_async_of(w->block);
    if (own == NULL)
        return KDS_STEP_NO_MEMORY;
    if ((i->mods & KDS_MBARRIER_NO_INC) == 0) {
        if (m->pending == KDS_MBARRIER_CAP)
            return kds_fault_text(w->run, KDS_SIM_BARRIER, i, lane,
                                  "the mbarrier at byte %u expects %u arrivals already", m->at,
                                  m->pending);
        m->pending++;
    }
    kds_tie t = {.barrier = kds_mbarrier_index(b, m),
                 .phase = KDS_NOT_DELIVERED,
                 .ins = i,
                 .issuer = w->block,
                 .thread = w->index * KDS_LANES + lane,
                 .upto = own->warps[w->index].issued[lane],
                 .arrives = true,
                 .ready = own->warps[w->index].copies_ready};
    return kds_mbarrier_tie(b, &t) ? KDS_STEP_ON : KDS_STEP_NO_MEMORY;
}

bool kds_mbarrier_tie(kds_block *b, const kds_tie *t)
{
    kds_async *a = b->async;
    if (!kds_ptx_room(&a->ties, a->tie_count, &a->tie_room, sizeof *a->ties))
        return false;
    a->ties[a->tie_count++] = *t;
    a->barriers[t->barrier].undelivered++;
    if (t->len > 0 || t->from_len > 0)
        b->watched++;
    if (t->from_len > 0 && t->issuer != b)
        t->issuer->watched++;
    return true;
}

/* The mbarrier hears of everything that is to be heard. */
static kds_step deliver(kds_warp *w, kds_block *b, kds_mbarrier *m)
{
    kds_async *a = b->async;
    uint32_t index = kds_mbarrier_index(b, m);
    for (uint32_t n = 0; m->undelivered > 0 && n < a->tie_count; n++) {
        kds_tie *t = &a->ties[n];
        if (t->barrier != index || t->phase != KDS_NOT_DELIVERED)
            continue;
        uint32_t lane = t->thread % KDS_LANES;
        t->phase = m->phase;
        m->undelivered--;
        m->unseen++;
        m->ready = t->ready > m->ready ? t->ready : m->ready;
        kds_warp *by = &t->issuer->warps[t->thread / KDS_LANES];
        kds_step s = t->arrives ? arrive(by, t->ins, lane, m, 1)
                                : transact(by, t->ins, lane, m, -(int64_t)t->len);
        if (s != KDS_STEP_ON) {
            w->run->warp = by;
            return s;
        }
        try_complete(m);
    }
    return KDS_STEP_ON;
}

/* Somebody has seen all phases before the present one complete: what they stand for is there. */
static void see(kds_block *b, kds_mbarrier *m)
{
    kds_async *a = b->async;
    uint32_t index = kds_mbarrier_index(b, m), kept = 0, count = a->tie_count;
    if (m->unseen == 0)
        return;
    for (uint32_t n = 0; n < count; n++) {
        kds_tie t = a->ties[n];
        if (t.barrier != index || t.phase >= m->phase) {
            a->ties[kept++] = t;
            continue;
        }
        m->unseen--;
        if (t.arrives)
            kds_async_complete(t.issuer, t.thread, t.upto);
        /* The range is let go after this pass, when the list is whole again. */
        else
            a->ties[kept++] = t;
    }
    a->tie_count = kept;
    for (uint32_t n = 0; n < a->tie_count;) {
        kds_tie t = a->ties[n];
        if (t.barrier != index || t.phase >= m->phase) {
            n++;
            continue;
        }
        memmove(&a->ties[n], &a->ties[n + 1], (a->tie_count - n - 1) * sizeof t);
        a->tie_count--;
        if (t.len > 0 || t.from_len > 0)
            b->watched--;
        for (uint32_t word = t.at / 4; word < (t.at + t.len) / 4; word++)
            a->busy[word / 64] &= ~(UINT64_C(1) << word % 64);
        if (t.from_len > 0) {
            if (t.issuer != b)
                t.issuer->watched--;
            kds_async_unmark_read(t.issuer, t.from, t.from_len);
        }
    }
}

/* The memory is anybody's again, with nothing in it that could be read. */
static kds_step invalidate(kds_warp *w, const kds_ins *i, uint32_t lane, kds_block *b,
                           kds_mbarrier *m)
{
    kds_async *a = b->async;
    uint32_t word = m->at / 4;
    if (m->undelivered > 0)
        return kds_fault_text(w->run, KDS_SIM_ASYNC, i, lane,
                              "invalidates the mbarrier at byte %u, at which %u copies still have "
                              "to arrive",
                              m->at, m->undelivered);
    m->phase = KDS_NOT_DELIVERED; /* later than any: what it stood for is there */
    see(b, m);
    m->live = false;
    b->watched--;
    a->busy[word / 64] &= ~(UINT64_C(3) << word % 64);
    b->shared_stored[m->at / 64] &= ~(UINT64_C(0xff) << m->at % 64);
    return KDS_STEP_ON;
}

/* Whoever sees the phase complete knows what the warp did before. */
static void note_release(kds_warp *w, kds_block *b, const kds_mbarrier *m)
{
    if (w->run->race != NULL)
        kds_race_release(w, b, kds_race_object_at(m->at), KDS_SCOPE_CLUSTER);
}

kds_step kds_mbarrier_do(kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t address,
                         uint32_t count, uint64_t *state)
{
    kds_block *b;
    kds_mbarrier *m;
    uint32_t arrivals = (i->mods & KDS_MBARRIER_TX) != 0 ? 1 : count;
    if (i->compare == KDS_MBARRIER_INIT)
        return initialise(w, i, lane, address, count);
    kds_step s = kds_mbarrier_find(w, i, lane, address, &b, &m);
    if (s != KDS_STEP_ON)
        return s;
    *state = m->phase << KDS_TOKEN_BITS | m->pending;
    switch (i->compare) {
    case KDS_MBARRIER_INVAL:
        return invalidate(w, i, lane, b, m);
    case KDS_MBARRIER_COPIES:
        note_release(w, b, m);
        return arrive_with_copies(w, i, lane, b, m);
    case KDS_MBARRIER_EXPECT:
        s = transact(w, i, lane, m, count);
        break;
    case KDS_MBARRIER_COMPLETE:
        s = transact(w, i, lane, m, -(int64_t)count);
        break;
    default:
        if ((i->mods & KDS_MBARRIER_TX) != 0)
            s = transact(w, i, lane, m, count);
        if (s == KDS_STEP_ON && i->compare == KDS_MBARRIER_DROP && arrivals <= m->expected)
            m->expected -= arrivals;
        if (s == KDS_STEP_ON)
            s = arrive(w, i, lane, m, arrivals);
        note_release(w, b, m);
        if (s == KDS_STEP_ON && (i->mods & KDS_MBARRIER_NO_COMPLETE) != 0 && m->pending == 0 &&
            m->tx == 0)
            return kds_fault_text(w->run, KDS_SIM_BARRIER, i, lane,
                                  "completes phase %llu of the mbarrier at byte %u in spite of "
                                  ".noComplete",
                                  (unsigned long long)m->phase, m->at);
    }
    if (s == KDS_STEP_ON)
        try_complete(m);
    return s;
}

kds_step kds_mbarrier_test(kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t address,
                           uint64_t state, kds_answer *out)
{
    kds_block *b = NULL;
    kds_mbarrier *m = NULL;
    bool parity = (i->mods & KDS_MBARRIER_PARITY) != 0;
    kds_step s = kds_mbarrier_find(w, i, lane, address, &b, &m);
    if (s != KDS_STEP_ON)
        return s;
    if (parity && state > 1)
        return kds_fault_text(w->run, KDS_SIM_BARRIER, i, lane, "phase parity %llu: not 0 or 1",
                              (unsigned long long)state);
    uint64_t asked = parity ? m->phase - ((m->phase & 1) != state) : state >> KDS_TOKEN_BITS;
    if (asked == m->phase && m->undelivered > 0)
        s = deliver(w, b, m);
    if (s != KDS_STEP_ON)
        return s;
    if (asked != m->phase && asked + 1 != m->phase)
        return kds_fault_text(w->run, KDS_SIM_BARRIER, i, lane,
                              "asks for phase %llu of the mbarrier at byte %u, which is in phase "
                              "%llu: only this one and the one before can be asked for",
                              (unsigned long long)asked, m->at, (unsigned long long)m->phase);
    out->done = asked != m->phase;
    out->seen = m->phase ^ (uint64_t)m->pending << 40 ^ (uint64_t)m->tx << 12;
    out->ready = m->complete;
    if (out->done) {
        see(b, m);
        if (w->run->race != NULL)
            kds_race_acquire(w, b, kds_race_object_at(m->at), 1u << lane);
    } else {
        w->awaited = m->at;
    }
    return KDS_STEP_ON;
}

kds_step kds_mbarrier_deadlock(kds_warp *w, const kds_ins *i)
{
    const kds_async *a = w->block->async;
    uint32_t lane = w->live != 0 ? (uint32_t)__builtin_ctz(w->live) : 0;
    const kds_mbarrier *m = &a->barriers[a->slots[w->awaited / 8] - 1];
    return kds_fault_text(w->run, KDS_SIM_DEADLOCK, i, lane,
                          "waits for ever for phase %llu of the mbarrier at byte %u of shared "
                          "memory: %u of %u arrivals and %lld bytes of copies are missing",
                          (unsigned long long)m->phase, m->at, m->pending, m->expected,
                          (long long)m->tx);
}
