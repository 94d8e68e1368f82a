/* A block: its warps in turn, each until it ends, waits or has had its share; barriers; what to do
 * when nobody can go on. Blocks run one after the other. */
#include "eval/sim/stack.h"
#include <string.h>

/* Branches that a warp may take before the next one gets its turn, so that a warp that waits in a
 * loop for another one does not starve it. */
#define QUANTUM 4096

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
static void try_open(kds_run *r, uint32_t id)
{
    kds_barrier *b = &r->barriers[id];
    uint32_t expected = b->expected;
    if (expected == 0)
        for (uint32_t k = 0; k < r->warp_count; k++)
            expected += r->warps[k].state != KDS_WARP_DONE;
    if (b->arrived == 0 || b->arrived < expected)
        return;
    kds_trace_barrier(r, b->waiting);
    for (uint32_t k = 0; k < r->warp_count; k++)
        if ((b->waiting >> k & 1) != 0) {
            reduction_result(&r->warps[k], b);
            r->warps[k].state = KDS_WARP_READY;
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
    kds_barrier *b = &r->barriers[id];
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
    }
    try_open(r, id);
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

/* Every living warp waits at a barrier that cannot open. */
static kds_step deadlock(kds_run *r)
{
    for (uint32_t k = 0; k < r->warp_count; k++) {
        const kds_warp *w = &r->warps[k];
        if (w->state != KDS_WARP_AT_BARRIER)
            continue;
        const kds_barrier *b = &r->barriers[w->barrier];
        uint32_t live = 0;
        for (uint32_t j = 0; j < r->warp_count; j++)
            live += r->warps[j].state != KDS_WARP_DONE;
        kds_step s = kds_fault_text(
            r, KDS_SIM_BARRIER, w->bar, w->live != 0 ? (uint32_t)__builtin_ctz(w->live) : 0,
            "barrier %u is never complete: %u warps arrived, %u expected, "
            "and none of the %u that live can go on",
            w->barrier, b->arrived, b->expected != 0 ? b->expected : live, live);
        r->warp_at = k;
        return s;
    }
    return KDS_STEP_ON;
}

static void begin_block(kds_run *r)
{
    r->block_budget = r->options->block_budget != 0 && r->options->block_budget < r->budget
                          ? r->options->block_budget
                          : r->budget;
    memset(r->shared, 0, r->shared_bytes);
    memset(r->shared_stored, 0, ((size_t)r->shared_bytes + 63) / 64 * 8);
    for (int b = 0; b < KDS_BARRIERS; b++)
        r->barriers[b] = (kds_barrier){.all = true};
    for (uint32_t k = 0; k < r->warp_count; k++) {
        kds_warp *w = &r->warps[k];
        uint32_t left = r->threads - k * KDS_LANES;
        w->live = left >= KDS_LANES ? KDS_FULL : (1u << left) - 1;
        w->splits[0] = (kds_split){.at = 0, .mask = w->live};
        w->split_count = 1;
        kds_stack_begin(w);
        w->carry = w->favoured = w->favour = 0;
        w->patience = 1;
        w->state = KDS_WARP_READY;
    }
    r->counts.blocks++;
    r->counts.warps += r->warp_count;
}

kds_step kds_run_block(kds_run *r)
{
    begin_block(r);
    for (;;) {
        bool ran = false, all_done = true;
        for (uint32_t k = 0; k < r->warp_count; k++) {
            kds_warp *w = &r->warps[k];
            if (w->state == KDS_WARP_READY) {
                ran = true;
                r->warp_at = k;
                kds_step s = r->run_warp(w, QUANTUM);
                if (s != KDS_STEP_ON)
                    return s;
                if (w->state == KDS_WARP_DONE)
                    for (uint32_t b = 0; b < KDS_BARRIERS; b++)
                        if (r->barriers[b].arrived > 0 && r->barriers[b].expected == 0)
                            try_open(r, b);
            }
            all_done &= w->state == KDS_WARP_DONE;
        }
        if (all_done)
            return KDS_STEP_ON;
        if (!ran)
            return deadlock(r);
    }
}
