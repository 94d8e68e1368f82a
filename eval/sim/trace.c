/* Dependency timing of a block that runs alone. The compiler schedules: it hoists loads and turns
 * short forward branches into predicates. So between barriers, calls and backward branches an
 * instruction issues when its sources are there, whatever stands before it, one per cycle; nothing
 * issues before the predicate of a forward branch is known; and nothing crosses a barrier, a
 * backward branch, a call or a return. A load of sectors that this launch has read before hits the
 * L2. Warps of a block share four schedulers (warp number modulo 4), which is taken into account as
 * a lower bound by issue slots.
 */
#include "eval/sim/async.h"
#include "eval/sim/l1.h"
#include <stdlib.h>
#include <string.h>

#define SCHEDULERS 4
/* For which an instruction keeps its scheduler's share of a pipe busy: see gpus.c. */
#define ALU_CYCLES (4 / 3.0)
#define XU_CYCLES 8.0
#define LSU_CYCLES 4.0
/* Instructions that a branch may skip and become predicates. */
#define PREDICATED 24
/* Registers that a thread needs beside what its loads bring. */
#define ADDRESSING 12

static double latency_of(const kds_sim_latency *l, const kds_ins *i)
{
    switch (i->wait) {
    case KDS_WAIT_ALU:
        return l->alu;
    case KDS_WAIT_FP32:
        return l->fp32;
    case KDS_WAIT_FP64:
        return l->fp64;
    case KDS_WAIT_XU:
        return l->xu + (i->weight > 1 ? l->alu : 0);
    case KDS_WAIT_SHARED:
        return l->shared;
    case KDS_WAIT_GLOBAL:
        return i->space == KDS_SPACE_LOCAL ? l->global_l1 : l->global_dram;
    case KDS_WAIT_ATOMIC:
        return i->space == KDS_SPACE_SHARED ? l->shared : l->atomic;
    case KDS_WAIT_SHUFFLE:
        return l->shuffle;
    case KDS_WAIT_TENSOR:
        return l->tensor;
    default:
        return 0;
    }
}

static double ready_at(const kds_warp *w, int32_t offset)
{
    return offset >= 0 ? w->ready[offset / 4] : 0;
}

static void set_ready(kds_warp *w, int32_t offset, double when)
{
    if (offset >= 0)
        w->ready[offset / 4] = when;
}

static void set_results(kds_warp *w, const kds_ins *i, double when)
{
    set_ready(w, i->d, when);
    set_ready(w, i->d2, when);
    for (int e = 0; e < i->defined; e++)
        set_ready(w, kds_ins_element(w->run->kernel, i, e), when);
}

/* When all sources of an instruction are there; `from` at the earliest. */
static double sources_ready(const kds_warp *w, const kds_ins *i, double from)
{
    const int32_t sources[] = {i->guard, i->a, i->b, i->c, i->x};
    for (size_t s = 0; s < sizeof sources / sizeof sources[0]; s++) {
        double r = ready_at(w, sources[s]);
        from = r > from ? r : from;
    }
    for (int e = i->defined; e < i->listed; e++) {
        double r = ready_at(w, kds_ins_element(w->run->kernel, i, e));
        from = r > from ? r : from;
    }
    return from;
}

/* 32-bit registers of a thread that a load fills. */
static uint32_t filled(const kds_ins *i)
{
    uint32_t bytes = (uint32_t)i->bytes * i->elements;
    return bytes > 4 * i->elements ? (bytes + 3) / 4 : i->elements;
}

/* The last load has been executed meanwhile: what it found decides when its result is there. */
static void settle_load(kds_warp *w)
{
    const kds_sim_latency *l = w->run->options->latency;
    if (w->load == NULL)
        return;
    double arrives = w->load_issue + l->global_dram;
    if (w->block->l1->misses == w->load_missed)
        arrives = w->load_issue + l->global_l1;
    else if (w->run->counts.unique_loads == w->load_unique)
        arrives = w->load_issue + l->global_l2;
    if (w->load->wait == KDS_WAIT_GLOBAL)
        set_results(w, w->load, arrives);
    kds_flight_add(w->flight, arrives, filled(w->load));
    w->load = NULL;
}

static void begin_region(kds_warp *w, double floor)
{
    w->floor = floor;
    w->slots = 0;
    w->predicated = NULL;
}

static bool stores(const kds_ins *i)
{
    return i->op == KDS_OP_st_global || i->op == KDS_OP_st_generic;
}

/* Does the compiler turn what a forward branch skips into predicated instructions, among which it
 * can move others? Not if it is long, or stores. The jump over an else part is no obstacle. */
static bool becomes_predicate(const kds_ins *code, const kds_ins *branch)
{
    const kds_ins *end = code + branch->target;
    for (const kds_ins *i = branch + 1; i < end; i++) {
        bool jump = i->op == KDS_OP_bra && (i->flags & KDS_INS_GUARDED) == 0 && i + 1 == end;
        if (i - branch > PREDICATED || stores(i) || (i->pipe == KDS_PIPE_CONTROL && !jump))
            return false;
    }
    return true;
}

static void trace_branch(kds_warp *w, const kds_ins *i, uint32_t taken)
{
    const kds_ins *code = w->run->kernel->code;
    double known = ready_at(w, i->guard);
    bool backward = i->target <= (uint32_t)(i - code);
    if (backward ? taken != 0 : !becomes_predicate(code, i)) {
        begin_region(w, w->now + 1);
    } else if (!backward) {
        known = i < w->predicated && w->predicate > known ? w->predicate : known;
        w->predicate = known;
        w->predicated = code + i->target;
    }
}

/* Registers for loads under way: what a thread has but for addresses, counters and sums. */
static uint32_t room_of(const kds_sim_options *o)
{
    if (o->registers == 0)
        return UINT32_MAX;
    return o->registers > ADDRESSING ? o->registers - ADDRESSING : 1;
}

static void note_busy(kds_warp *w, const kds_ins *i, double slots)
{
    w->phase_busy[KDS_BUSY_ISSUE] += slots;
    if (i->pipe == KDS_PIPE_ALU)
        w->phase_busy[KDS_BUSY_ALU] += ALU_CYCLES * i->weight;
    w->phase_busy[KDS_BUSY_XU] += XU_CYCLES * i->xu;
    if (i->pipe == KDS_PIPE_LSU)
        w->phase_busy[KDS_BUSY_LSU] += LSU_CYCLES * i->weight;
}

void kds_trace_step(kds_warp *w, const kds_ins *i, uint32_t mask)
{
    double slots = i->weight + i->xu;
    settle_load(w);
    if (slots == 0) {
        /* Renamed away by the compiler: the result is there when the source is. */
        set_results(w, i, sources_ready(w, i, 0));
        return;
    }
    bool loads = i->wait == KDS_WAIT_GLOBAL && i->space != KDS_SPACE_LOCAL;
    double issue = sources_ready(w, i, w->floor + w->slots);
    if (i < w->predicated && w->predicate > issue)
        issue = w->predicate;
    if (loads && (i->flags & KDS_INS_CONSTANT) == 0 && w->stored > issue)
        issue = w->stored;
    if (loads)
        issue = kds_flight_issue(w->flight, issue, filled(i), room_of(w->run->options));
    double end = issue + slots - 1;
    note_busy(w, i, slots);
    set_results(w, i, end + latency_of(w->run->options->latency, i));
    w->now = end > w->now ? end : w->now;
    w->issued += slots;
    if (stores(i))
        w->stored = end;
    w->slots += slots;
    if (i->op == KDS_OP_bra) {
        trace_branch(w, i, mask);
    } else if (i->op == KDS_OP_call || i->op == KDS_OP_ret) {
        begin_region(w, w->now + 1);
    } else if (loads) {
        w->load = i;
        w->load_issue = issue;
        w->load_missed = w->block->l1->misses;
        w->load_unique = w->run->counts.unique_loads;
    }
}

/* Warps that wait for each other have done the same work side by side: what the others of a
 * scheduler kept its pipes busy with stood before the last one's. */
static double end_phase(kds_block *b, uint32_t mask)
{
    double most = 0;
    for (uint32_t s = 0; s < SCHEDULERS; s++)
        for (int pipe = 0; pipe < KDS_BUSY_COUNT; pipe++) {
            double sum = 0, own = 0;
            for (uint32_t k = s; k < b->run->warp_count; k += SCHEDULERS) {
                if ((mask >> k & 1) == 0)
                    continue;
                double busy = b->warps[k].phase_busy[pipe];
                sum += busy;
                own = busy > own ? busy : own;
            }
            most = sum - own > most ? sum - own : most;
        }
    for (uint32_t k = 0; k < b->run->warp_count; k++)
        for (int pipe = 0; (mask >> k & 1) != 0 && pipe < KDS_BUSY_COUNT; pipe++)
            b->warps[k].phase_busy[pipe] = 0;
    return most;
}

void kds_trace_barrier(kds_block *b, uint32_t mask)
{
    const kds_run *r = b->run;
    double latest = 0;
    if (!b->warps[0].traced)
        return;
    for (uint32_t k = 0; k < r->warp_count; k++)
        if ((mask >> k & 1) != 0 && b->warps[k].now > latest)
            latest = b->warps[k].now;
    latest += end_phase(b, mask);
    for (uint32_t k = 0; k < r->warp_count; k++)
        if ((mask >> k & 1) != 0) {
            b->warps[k].now = latest + r->options->latency->barrier;
            begin_region(&b->warps[k], b->warps[k].now);
        }
}

/* Nothing issues before `ready`. */
static void wait_until(kds_warp *w, double ready)
{
    if (ready > w->floor + w->slots)
        begin_region(w, ready);
    w->now = ready > w->now ? ready : w->now;
}

void kds_trace_copy(kds_warp *w, bool hit)
{
    const kds_sim_latency *l = w->run->options->latency;
    kds_warp_async *a = &w->block->async->warps[w->index];
    double ready = w->now + (hit ? l->global_l2 : l->global_dram);
    a->copies_ready = ready > a->copies_ready ? ready : a->copies_ready;
}

/* When the groups before the last `left` of `count` were there. */
static double groups_ready(const double *ready, uint32_t count, uint32_t left)
{
    return left < count && left < KDS_TIMED_GROUPS ? ready[(count - 1 - left) % KDS_TIMED_GROUPS]
                                                   : 0;
}

void kds_trace_groups(kds_warp *w, uint32_t left, bool all)
{
    const kds_warp_async *a = &w->block->async->warps[w->index];
    wait_until(w, all ? a->copies_ready : groups_ready(a->groups_ready, a->timed_groups, left));
}

void kds_trace_bulk_groups(kds_warp *w, uint32_t left)
{
    const kds_warp_async *a = &w->block->async->warps[w->index];
    wait_until(w, groups_ready(a->bulk_groups_ready, a->timed_bulk_groups, left));
}

/* How often a warp asks in vain says something about the order in which warps are simulated, not
 * about the hardware: failed polls cost nothing, and the wait ends when the phase did. */
void kds_trace_poll(kds_warp *w, bool done, double ready)
{
    kds_warp_async *a = &w->block->async->warps[w->index];
    if (!done && !a->polling) {
        a->polling = true;
        a->now = w->now;
        a->slots_issued = w->issued;
        a->floor = w->floor;
        a->slots = w->slots;
    } else if (done && a->polling) {
        a->polling = false;
        w->now = a->now;
        w->issued = a->slots_issued;
        w->floor = a->floor;
        w->slots = a->slots;
    }
    if (done)
        wait_until(w, ready);
}

bool kds_trace_begin(kds_block *b)
{
    size_t slots = b->run->kernel->file_bytes / 4 + 1;
    if (b->l1 == NULL)
        b->l1 = malloc(sizeof *b->l1);
    if (b->l1 == NULL)
        return false;
    kds_l1_clear(b->l1);
    for (uint32_t k = 0; k < b->run->warp_count; k++) {
        kds_warp *w = &b->warps[k];
        if (w->ready == NULL)
            w->ready = malloc(slots * sizeof *w->ready);
        if (w->flight == NULL)
            w->flight = malloc(sizeof *w->flight);
        if (w->ready == NULL || w->flight == NULL)
            return false;
        w->flight->first = w->flight->count = w->flight->held = 0;
        w->l1_clock = 0;
        w->stored = w->predicate = 0;
        w->predicated = NULL;
        memset(w->phase_busy, 0, sizeof w->phase_busy);
        for (size_t s = 0; s < slots; s++)
            w->ready[s] = 0;
        w->now = w->issued = 0;
        w->load = NULL;
        begin_region(w, 0);
        w->traced = true;
    }
    return true;
}

void kds_trace_sectors(kds_warp *w, uint64_t sector, unsigned count)
{
    uint32_t share = w->run->options->l1_lines != 0 ? w->run->options->l1_lines : UINT32_MAX;
    for (unsigned k = 0; k < count; k++) {
        if (k == 0 || (sector + k) % 4 == 0)
            w->l1_clock++;
        (void)kds_l1_load(w->block->l1, sector + k, w->l1_clock, share);
    }
}

void kds_trace_end(kds_block *b, kds_tracing *t)
{
    double cycles = 0, scheduler[SCHEDULERS] = {0};
    for (uint32_t k = 0; k < b->run->warp_count; k++) {
        kds_warp *w = &b->warps[k];
        cycles = w->now > cycles ? w->now : cycles;
        scheduler[k % SCHEDULERS] += w->issued;
        w->traced = false;
    }
    cycles += end_phase(b, UINT32_MAX);
    for (int s = 0; s < SCHEDULERS; s++)
        cycles = scheduler[s] > cycles ? scheduler[s] : cycles;
    t->cycles += cycles;
    t->longest = cycles > t->longest ? cycles : t->longest;
    t->l1_loads += b->l1->loads;
    t->l1_misses += b->l1->misses;
    t->l1_again += b->l1->again;
    t->again_lines += b->l1->again_lines;
    t->blocks++;
}
