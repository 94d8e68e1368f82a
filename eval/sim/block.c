/* A block: its warps in turn, each until it ends, waits or has had its share; barriers of the block
 * and of its cluster; what to say when nobody can go on. */
#include "eval/sim/async.h"
#include "eval/sim/race.h"
#include "eval/sim/stack.h"
#include <string.h>

/* Branches that a warp may take before the next one gets its turn, so that a warp that waits in a
 * loop for another one does not starve it. */
#define QUANTUM 4096
/* Rounds over its warps that a block gets while other blocks are resident. */
#define ROUNDS 16

static uint32_t lane_value(const kds_warp *w, int32_t offset, uint32_t mask)
{
    uint32_t v;
    memcpy(&v, w->file + offset + 4 * __builtin_ctz(mask), sizeof v);
    return v;
}

void kds_warp_exited(kds_warp *w)
{
    for (int s = 0; s < w->split_count; s++)
        w->splits[s].waits = false;
}

/* Writes the result of bar.red for one warp. */
static void reduction_result(kds_warp *w, const kds_barrier *b)
{
    const kds_ins *i = w->bar;
    if (i->combine < 2 || i->d < 0)
        return;
    if (i->combine == 2) {
        for (int l = 0; l < KDS_LANES; l++)
            if ((w->live >> l & 1) != 0)
                memcpy(w->file + i->d + 4 * l, &b->count, sizeof b->count);
        return;
    }
    uint32_t old, yes = (i->combine == 3 ? b->all : b->any) ? w->live : 0;
    memcpy(&old, w->file + i->d, sizeof old);
    old = (old & ~w->live) | yes;
    memcpy(w->file + i->d, &old, sizeof old);
}

/* Opens the barrier if all that it expects are there. */
static void try_open(kds_block *block, uint32_t id)
{
    kds_barrier *b = &block->barriers[id];
    uint32_t expected = b->expected, count = block->run->warp_count;
    if (expected == 0)
        for (uint32_t k = 0; k < count; k++)
            expected += block->warps[k].state != KDS_WARP_DONE;
    if (b->arrived == 0 || b->arrived < expected)
        return;
    kds_trace_barrier(block, b->waiting);
    if (block->run->race != NULL)
        kds_race_opens(block, id, b->waiting, b->expected != 0);
    for (uint32_t k = 0; k < count; k++)
        if ((b->waiting >> k & 1) != 0) {
            reduction_result(&block->warps[k], b);
            block->warps[k].state = KDS_WARP_READY;
        }
    *b = (kds_barrier){.all = true};
}

/* The warp has arrived: it waits unless it only signals. */
static kds_step arrive(kds_warp *w, const kds_ins *i, uint32_t mask)
{
    kds_run *r = w->run;
    uint32_t id = lane_value(w, i->a, mask), lane = (uint32_t)__builtin_ctz(mask);
    uint32_t threads = i->b >= 0 ? lane_value(w, i->b, mask) : 0;
    if (id >= KDS_BARRIERS)
        return kds_fault_text(r, KDS_SIM_BARRIER, i, lane, "there is no barrier %u", id);
    if (i->b >= 0 && (threads == 0 || threads % 32 != 0 || threads > 1024))
        return kds_fault_text(r, KDS_SIM_BARRIER, i, lane,
                              "a barrier of %u threads: not a multiple of 32 up to 1024", threads);
    kds_barrier *b = &w->block->barriers[id];
    if (b->arrived > 0 && b->expected != threads / 32)
        return kds_fault_text(r, KDS_SIM_BARRIER, i, lane,
                              "barrier %u expects %u threads here, but others came for %u", id,
                              threads != 0 ? threads : r->threads,
                              b->expected != 0 ? b->expected * 32 : r->threads);
    b->expected = threads / 32;
    b->arrived++;
    r->counts.barriers++;
    if (i->combine >= 2) {
        uint32_t p;
        memcpy(&p, w->file + i->c, sizeof p);
        p &= mask;
        b->count += (uint32_t)__builtin_popcount(p);
        b->all = b->all && p == mask;
        b->any = b->any || p != 0;
    }
    if (i->combine != 1) {
        w->state = KDS_WARP_AT_BARRIER;
        w->barrier = id;
        w->bar = i;
        b->waiting |= 1u << w->index;
    } else if (r->race != NULL) {
        kds_race_arrive(w, id);
    }
    try_open(w->block, id);
    return KDS_STEP_ON;
}

/* Opens the cluster's barrier if every warp of the cluster has arrived or ended. */
static void try_open_cluster(kds_block *any)
{
    const kds_run *r = any->run;
    kds_group *g = any->group;
    for (uint32_t n = 0; n < r->cluster_size; n++)
        for (uint32_t k = 0; k < r->warp_count; k++) {
            const kds_warp *w = &g->blocks[n]->warps[k];
            if (!w->at_cluster && w->state != KDS_WARP_DONE)
                return;
        }
    if (r->race != NULL)
        kds_race_cluster_opens(g);
    for (uint32_t n = 0; n < r->cluster_size; n++) {
        uint32_t woken = 0;
        for (uint32_t k = 0; k < r->warp_count; k++) {
            kds_warp *w = &g->blocks[n]->warps[k];
            w->at_cluster = false;
            woken |= (uint32_t)(w->state == KDS_WARP_AT_CLUSTER) << k;
            if (w->state == KDS_WARP_AT_CLUSTER) {
                w->state = KDS_WARP_READY;
                if (r->race != NULL)
                    kds_race_cluster_left(w);
            }
        }
        kds_trace_barrier(g->blocks[n], woken);
    }
}

/* ins->combine: 0 arrive, 1 wait. A wait whose phase is complete goes on: `at_cluster` is still set
 * only if it is not. */
kds_step kds_warp_cluster(kds_warp *w, const kds_ins *i, uint32_t mask)
{
    w->splits[0].at++;
    if (i->combine == 0) {
        if (w->owes_wait)
            return kds_fault_text(w->run, KDS_SIM_BARRIER, i, (uint32_t)__builtin_ctz(mask),
                                  "arrives twice at the cluster's barrier without a wait between");
        w->at_cluster = w->owes_wait = true;
        w->run->counts.barriers++;
        if (w->run->race != NULL)
            kds_race_cluster_arrive(w, i->rounding != KDS_ORDER_RELAXED);
        try_open_cluster(w->block);
        return KDS_STEP_ON;
    }
    if (!w->owes_wait)
        return kds_fault_text(w->run, KDS_SIM_BARRIER, i, (uint32_t)__builtin_ctz(mask),
                              "waits at the cluster's barrier without having arrived");
    w->owes_wait = false;
    if (w->at_cluster) {
        w->state = KDS_WARP_AT_CLUSTER;
        w->bar = i;
    } else if (w->run->race != NULL) {
        kds_race_cluster_left(w);
    }
    return KDS_STEP_ON;
}

kds_step kds_warp_barrier(kds_warp *w, const kds_ins *i, uint32_t mask)
{
    w->splits[0].at++;
    return arrive(w, i, mask);
}

/* Splits that wait at bar.warp.sync with one member mask and make it up together go on. */
static bool release_warpsync(kds_warp *w)
{
    const kds_ins *code = w->run->kernel->code;
    for (int s = 0; s < w->split_count; s++) {
        const kds_ins *i = &code[w->splits[s].at];
        if (i->op != KDS_OP_warpsync)
            continue;
        uint32_t members = lane_value(w, i->x, w->splits[s].mask), here = 0, group = 0;
        for (int k = 0; k < w->split_count; k++) {
            const kds_ins *other = &code[w->splits[k].at];
            if (other->op == KDS_OP_warpsync &&
                lane_value(w, other->x, w->splits[k].mask) == members) {
                here |= w->splits[k].mask;
                group |= 1u << k;
            }
        }
        if ((members & w->live & ~here) != 0)
            continue;
        if (w->run->race != NULL)
            kds_race_warpsync(w, here);
        for (int k = 0; k < w->split_count; k++)
            if ((group >> k & 1) != 0) {
                w->splits[k].at++;
                w->splits[k].waits = false;
            }
        return true;
    }
    return false;
}

/* All lanes at barrier.sync (without .aligned) of one barrier, at several places: they arrive as
 * one. */
static bool all_at_one_barrier(const kds_warp *w, uint32_t *mask)
{
    const kds_ins *code = w->run->kernel->code;
    uint32_t id = 0;
    *mask = 0;
    for (int s = 0; s < w->split_count; s++) {
        const kds_ins *i = &code[w->splits[s].at];
        if (i->op != KDS_OP_bar || i->compare != 0 || i->combine != 0)
            return false;
        uint32_t own = lane_value(w, i->a, w->splits[s].mask);
        if (s > 0 && own != id)
            return false;
        id = own;
        *mask |= w->splits[s].mask;
    }
    return true;
}

kds_step kds_warp_stuck(kds_warp *w)
{
    const kds_ins *code = w->run->kernel->code;
    if (kds_stack_join(w) || release_warpsync(w))
        return KDS_STEP_ON;
    uint32_t mask;
    const kds_ins *first = &code[w->splits[0].at];
    if (all_at_one_barrier(w, &mask)) {
        for (int s = 0; s < w->split_count; s++) {
            w->splits[s].at++;
            w->splits[s].waits = false;
        }
        return arrive(w, first, mask);
    }
    uint32_t lane = (uint32_t)__builtin_ctz(w->splits[0].mask);
    if (w->split_count == 1)
        return kds_fault_text(
            w->run, KDS_SIM_BARRIER, first, lane,
            "lanes of its member mask do not take part (present: 0x%08x of 0x%08x)", w->mask,
            w->live);
    const kds_ins *other = &code[w->splits[1].at];
    return kds_fault_text(w->run, KDS_SIM_BARRIER, first, lane,
                          "lanes 0x%08x of the warp wait here, lanes 0x%08x at line %u (%.*s): "
                          "they never meet",
                          w->splits[0].mask, w->splits[1].mask, other->line,
                          other->opcode.len < 60 ? (int)other->opcode.len : 60, other->opcode.text);
}

/* Why a warp does not go on, as a fault of it. */
static kds_step accuse(kds_warp *w)
{
    kds_run *r = w->run;
    uint32_t lane = w->live != 0 ? (uint32_t)__builtin_ctz(w->live) : 0, live = 0;
    r->warp = w;
    for (uint32_t j = 0; j < r->warp_count; j++)
        live += w->block->warps[j].state != KDS_WARP_DONE;
    if (w->state == KDS_WARP_AT_CLUSTER)
        return kds_fault_text(r, KDS_SIM_DEADLOCK, w->bar, lane,
                              "the barrier of the cluster is never complete: other warps neither "
                              "arrive nor end");
    if (w->state == KDS_WARP_AT_BARRIER) {
        const kds_barrier *b = &w->block->barriers[w->barrier];
        return kds_fault_text(r, KDS_SIM_BARRIER, w->bar, lane,
                              "barrier %u is never complete: %u warps arrived, %u expected, "
                              "and none of the %u that live can go on",
                              w->barrier, b->arrived, b->expected != 0 ? b->expected : live, live);
    }
    const kds_ins *at = NULL;
    for (int k = 0; k < KDS_POLLS; k++)
        at = w->poll[k].ins != NULL ? w->poll[k].ins : at;
    if (at != NULL && at->op == KDS_OP_mbarrier_wait)
        return kds_mbarrier_deadlock(w, at);
    if (at == NULL)
        at = &r->kernel->code[w->splits[0].at];
    return kds_fault_text(r, KDS_SIM_DEADLOCK, at, lane,
                          "waits in a loop for a value that no running thread changes any more");
}

/* A warp that waits for a value says more than one at a barrier that it would have come to. */
kds_step kds_block_deadlock(kds_run *r)
{
    kds_warp *waiting = NULL, *spinning = NULL;
    for (uint32_t g = 0; g < r->resident; g++)
        for (uint32_t n = 0; n < r->cluster_size; n++)
            for (uint32_t k = 0; k < r->warp_count; k++) {
                kds_warp *w = &r->groups[g]->blocks[n]->warps[k];
                if (w->state == KDS_WARP_READY && spinning == NULL)
                    spinning = w;
                else if (w->state != KDS_WARP_READY && w->state != KDS_WARP_DONE && waiting == NULL)
                    waiting = w;
            }
    return accuse(spinning != NULL ? spinning : waiting);
}

/* A warp that has ended makes barriers complete that count the living. */
static void warp_ended(kds_block *b)
{
    for (uint32_t id = 0; id < KDS_BARRIERS; id++)
        if (b->barriers[id].arrived > 0 && b->barriers[id].expected == 0)
            try_open(b, id);
    if (b->run->cluster_size > 1)
        try_open_cluster(b);
}

/* One turn for each warp that can run. */
static kds_step run_round(kds_block *b, bool *moved, bool *done)
{
    kds_run *r = b->run;
    *moved = false;
    *done = true;
    for (uint32_t k = 0; k < r->warp_count; k++) {
        kds_warp *w = &b->warps[k];
        if (w->state == KDS_WARP_READY) {
            r->warp = w;
            w->polls = 0;
            w->news = false;
            kds_step s = r->run_warp(w, QUANTUM);
            if (s != KDS_STEP_ON)
                return s;
            bool spins = w->state == KDS_WARP_READY && w->polls >= KDS_SPIN;
            *moved |= !spins || w->news;
            r->polls += spins ? w->polls : 0;
            if (w->state == KDS_WARP_DONE)
                warp_ended(b);
        }
        *done &= w->state == KDS_WARP_DONE;
    }
    return KDS_STEP_ON;
}

kds_step kds_block_run(kds_block *b, bool alone, kds_turn *how)
{
    bool moved = true, done = false;
    if (b->run->race != NULL)
        kds_race_turn(b);
    *how = KDS_TURN_STUCK;
    for (int n = 0; moved && !done && (alone || n < ROUNDS); n++) {
        kds_step s = run_round(b, &moved, &done);
        if (s != KDS_STEP_ON)
            return s;
        if (moved)
            *how = KDS_TURN_MOVED;
    }
    if (done)
        *how = KDS_TURN_DONE;
    if (b->run->race != NULL && b->run->race->no_memory)
        return KDS_STEP_NO_MEMORY;
    return KDS_STEP_ON;
}
