/* Which blocks run when. One group of blocks runs to its end before the next one starts, as long as
 * it gets on by itself. When all that are resident wait for others (a look-back, a barrier over the
 * grid made of atomics), one more is let in; a cooperative launch has all of them in from the
 * start. If nobody can be let in and nobody gets on, that is a deadlock. */
#include "eval/sim/race.h"
#include <math.h>
#include <stdlib.h>

/* A deadlock is called when nobody has moved for so many rounds and so many polls together. */
#define IDLE_ROUNDS 64
#define IDLE_POLLS 1000000u

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The groups of the blocks asked for, each once; `numbers` owns their numbers. */
static bool make_queue(const kds_run *r, kds_queue *q, uint64_t **numbers)
{
    const kds_sim_options *o = r->options;
    *q = (kds_queue){.end = (uint64_t)r->grid[0] * r->grid[1] * r->grid[2] / r->cluster_size};
    *numbers = NULL;
    if (o->blocks != NULL) {
        uint64_t *list = malloc((o->block_count + 1) * sizeof *list), kept = 0;
        if (list == NULL)
            return false;
        for (uint64_t n = 0; n < o->block_count; n++) {
            uint64_t left = o->blocks[n], step = 1;
            list[n] = 0;
            for (int d = 0; d < 3; d++) {
                list[n] += left % r->grid[d] / r->cluster[d] * step;
                step *= r->grid[d] / r->cluster[d];
                left /= r->grid[d];
            }
        }
        if (r->cluster_size > 1)
            qsort(list, o->block_count, sizeof *list, ascending);
        for (uint64_t n = 0; n < o->block_count; n++)
            if (n == 0 || r->cluster_size == 1 || list[n] != list[kept - 1])
                list[kept++] = list[n];
        q->end = kept;
        q->numbers = *numbers = list;
    }
    q->all = q->end;
    return true;
}

/* Is the n-th group one of the traced ones, which are spread evenly? */
bool kds_queue_traces(const kds_queue *q, const kds_sim_options *o, uint64_t n)
{
    uint64_t count = q->all;
    if (o->latency == NULL)
        return false;
    uint64_t want = o->trace_blocks > 0 ? (uint64_t)o->trace_blocks : 2;
    if (want >= count)
        return true;
    double k = floor(((double)n * (double)want) / (double)count);
    double middle = floor((k + 0.5) * (double)count / (double)want);
    return (double)n == middle;
}

/* Lets the next group in. */
static kds_step admit(kds_run *r, kds_queue *q)
{
    uint64_t n = q->next++;
    kds_group *g = kds_group_start(r, q->numbers != NULL ? q->numbers[n] : n);
    if (g == NULL)
        return KDS_STEP_NO_MEMORY;
    g->traced = kds_queue_traces(q, r->options, n);
    for (uint32_t k = 0; g->traced && k < r->cluster_size; k++)
        if (!kds_trace_begin(g->blocks[k]))
            return KDS_STEP_NO_MEMORY;
    return KDS_STEP_ON;
}

/* Gives every block of a resident group its turn. */
static kds_step run_group(kds_run *r, uint32_t index, kds_tracing *t, kds_turn *how)
{
    kds_group *g = r->groups[index];
    bool alone = r->resident == 1 && r->cluster_size == 1, all_done = true;
    *how = KDS_TURN_STUCK;
    for (uint32_t k = 0; k < r->cluster_size; k++) {
        kds_block *b = g->blocks[k];
        kds_turn one = KDS_TURN_DONE;
        if (b->done)
            continue;
        kds_step s = kds_block_run(b, alone, &one);
        if (s != KDS_STEP_ON)
            return s;
        b->done = one == KDS_TURN_DONE;
        all_done &= b->done;
        if (one != KDS_TURN_STUCK)
            *how = KDS_TURN_MOVED;
    }
    if (!all_done)
        return KDS_STEP_ON;
    *how = KDS_TURN_DONE;
    for (uint32_t k = 0; g->traced && k < r->cluster_size; k++)
        kds_trace_end(g->blocks[k], t);
    kds_group_end(r, index);
    return KDS_STEP_ON;
}

/* Every resident block once. */
static kds_step run_round(kds_run *r, kds_tracing *t, bool *moved)
{
    *moved = false;
    for (uint32_t i = 0; i < r->resident;) {
        kds_turn how;
        kds_step s = run_group(r, i, t, &how);
        if (s != KDS_STEP_ON)
            return s;
        *moved |= how != KDS_TURN_STUCK;
        i += how != KDS_TURN_DONE;
    }
    return KDS_STEP_ON;
}

kds_step kds_run_queue(kds_run *r, kds_queue *q, kds_tracing *t)
{
    uint64_t room = r->options->resident != 0 ? r->options->resident : KDS_RESIDENT_DEFAULT;
    uint64_t wanted = 1;
    uint32_t idle = 0;
    room = room / r->cluster_size > 0 ? room / r->cluster_size : 1;
    if (r->options->cooperative)
        wanted = q->end - q->next;
    while (q->next < q->end || r->resident > 0) {
        bool moved;
        while (q->next < q->end && r->resident < wanted) {
            kds_step s = admit(r, q);
            if (s != KDS_STEP_ON)
                return s;
        }
        kds_step s = run_round(r, t, &moved);
        if (s != KDS_STEP_ON)
            return s;
        if (moved) {
            idle = 0;
            r->polls = 0;
            wanted = r->options->cooperative ? q->end : 1;
        } else if (q->next < q->end && r->resident < room) {
            wanted = r->resident + 1 + r->resident / 4;
            wanted = wanted < room ? wanted : room;
        } else if (r->polls == 0 || (++idle >= IDLE_ROUNDS && r->polls >= IDLE_POLLS)) {
            return kds_block_deadlock(r);
        }
    }
    return KDS_STEP_ON;
}

kds_step kds_run_blocks(kds_run *r, kds_sim_result *out)
{
    kds_queue q;
    kds_tracing t = {0};
    uint64_t *numbers;
    if (!make_queue(r, &q, &numbers))
        return KDS_STEP_NO_MEMORY;
    kds_step s;
    if (kds_run_can_split(r)) {
        s = kds_run_split(r, &q, &t, out);
    } else {
        s = kds_run_queue(r, &q, &t);
        if (s == KDS_STEP_FAULT)
            kds_report(r, r->warp, out);
        kds_race_settle(r, &s, out);
    }
    free(numbers);
    out->trace_cycles = t.blocks > 0 ? t.cycles / (double)t.blocks : 0;
    out->trace_longest = t.longest;
    out->l1_loads = (double)t.l1_loads;
    out->l1_misses = (double)t.l1_misses;
    out->l1_again = (double)t.l1_again;
    out->again_lines = t.l1_again > 0 ? t.again_lines / (double)t.l1_again : 0;
    return s;
}
