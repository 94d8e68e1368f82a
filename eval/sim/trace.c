/* Dependency timing of a block that runs alone. The compiler schedules: it hoists loads and turns
 * short forward branches into predicates. So between barriers, calls and backward branches an
 * instruction issues when its sources are there, whatever stands before it, one per cycle; nothing
 * issues before the predicate of a forward branch is known; and nothing crosses a barrier, a
 * backward branch, a call or a return. A load of sectors that this launch has read before hits the
 * L2. Warps of a block share four schedulers (warp number modulo 4), which is taken into account as
 * a lower bound by issue slots.
 */
#include "eval/sim/async.h"
#include <stdlib.h>
#include <string.h>

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

/* The last load has been executed meanwhile: if it read nothing new, its result is there sooner. */
static void settle_load(kds_warp *w)
{
    if (w->load != NULL && w->run->counts.unique_loads == w->load_unique)
        set_results(w, w->load, w->load_issue + w->run->options->latency->global_l2);
    w->load = NULL;
}

static void begin_region(kds_warp *w, double floor)
{
    w->floor = floor;
    w->slots = 0;
}

static void trace_branch(kds_warp *w, const kds_ins *i, uint32_t taken)
{
    double known = ready_at(w, i->guard);
    bool backward = i->target <= (uint32_t)(i - w->run->kernel->code);
    if (backward && taken != 0)
        begin_region(w, w->now + 1);
    else if (known > w->floor + w->slots)
        begin_region(w, known);
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
    double issue = sources_ready(w, i, w->floor + w->slots), end = issue + slots - 1;
    set_results(w, i, end + latency_of(w->run->options->latency, i));
    w->now = end > w->now ? end : w->now;
    w->issued += slots;
    w->slots += slots;
    if (i->op == KDS_OP_bra) {
        trace_branch(w, i, mask);
    } else if (i->op == KDS_OP_call || i->op == KDS_OP_ret) {
        begin_region(w, w->now + 1);
    } else if (i->wait == KDS_WAIT_GLOBAL && i->space != KDS_SPACE_LOCAL) {
        w->load = i;
        w->load_issue = issue;
        w->load_unique = w->run->counts.unique_loads;
    }
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
    for (uint32_t k = 0; k < b->run->warp_count; k++) {
        kds_warp *w = &b->warps[k];
        if (w->ready == NULL)
            w->ready = malloc(slots * sizeof *w->ready);
        if (w->ready == NULL)
            return false;
        for (size_t s = 0; s < slots; s++)
            w->ready[s] = 0;
        w->now = w->issued = 0;
        w->load = NULL;
        begin_region(w, 0);
        w->traced = true;
    }
    return true;
}

double kds_trace_end(kds_block *b)
{
    double cycles = 0, scheduler[4] = {0};
    for (uint32_t k = 0; k < b->run->warp_count; k++) {
        kds_warp *w = &b->warps[k];
        cycles = w->now > cycles ? w->now : cycles;
        scheduler[k % 4] += w->issued;
        w->traced = false;
    }
    for (int s = 0; s < 4; s++)
        cycles = scheduler[s] > cycles ? scheduler[s] : cycles;
    return cycles;
}
