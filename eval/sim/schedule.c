/* Which blocks run when. One group of blocks runs to its end before the next one starts, as long as
 * it gets on by itself. When all that are resident wait for others (a look-back, a barrier over the
 * grid made of atomics), one more is let in; a cooperative launch has all of them in from the
 * start. If nobody can be let in and nobody gets on, that is a deadlock. */
#include "eval/sim/machine.h"
#include <math.h>
#include <stdlib.h>

/* A deadlock is called when nobody has moved for so many rounds and so many polls together. */
#define IDLE_ROUNDS 64
#define IDLE_POLLS 4000000u

/* The groups to be run, in order. */
typedef struct queue {
    uint64_t *numbers; /* NULL: all from 0 */
    uint64_t count, next;
} queue;

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The groups of the blocks asked for, each once. */
static bool make_queue(const kds_run *r, queue *q)
{
    const kds_sim_options *o = r->options;
    uint64_t all = (uint64_t)r->grid[0] * r->grid[1] * r->grid[2];
    *q = (queue){.count = all / r->cluster_size};
    if (o->blocks == NULL)
        return true;
    q->numbers = malloc((o->block_count + 1) * sizeof *q->numbers);
    if (q->numbers == NULL)
        return false;
    q->count = 0;
    for (uint64_t n = 0; n < o->block_count; n++) {
        uint64_t left = o->blocks[n], group = 0, step = 1;
        for (int d = 0; d < 3; d++) {
            group += left % r->grid[d] / r->cluster[d] * step;
            step *= r->grid[d] / r->cluster[d];
            left /= r->grid[d];
        }
        q->numbers[q->count++] = group;
    }
    if (r->cluster_size == 1)
        return true;
    qsort(q->numbers, q->count, sizeof *q->numbers, ascending);
    uint64_t kept = 0;
    for (uint64_t n = 0; n < q->count; n++)
        if (n == 0 || q->numbers[n] != q->numbers[kept - 1])
            q->numbers[kept++] = q->numbers[n];
    q->count = kept;
    return true;
}

/* Is the n-th group one of the traced ones, which are spread evenly? */
static bool is_traced(const kds_sim_options *o, uint64_t n, uint64_t count)
{
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
static kds_step admit(kds_run *r, queue *q)
{
    uint64_t n = q->next++;
    kds_group *g = kds_group_start(r, q->numbers != NULL ? q->numbers[n] : n);
    if (g == NULL)
        return KDS_STEP_NO_MEMORY;
    g->traced = is_traced(r->options, n, q->count);
    for (uint32_t k = 0; g->traced && k < r->cluster_size; k++)
        if (!kds_trace_begin(g->blocks[k]))
            return KDS_STEP_NO_MEMORY;
    return KDS_STEP_ON;
}

typedef struct tracing {
    double cycles;
    uint64_t blocks;
} tracing;

/* Gives every block of a resident group its turn. */
static kds_step run_group(kds_run *r, uint32_t index, tracing *t, kds_slice *how)
{
    kds_group *g = r->groups[index];
    bool alone = r->resident == 1 && r->cluster_size == 1, all_done = true;
    *how = KDS_SLICE_STUCK;
    for (uint32_t k = 0; k < r->cluster_size; k++) {
        kds_block *b = g->blocks[k];
        kds_slice one = KDS_SLICE_DONE;
        if (b->done)
            continue;
        kds_step s = kds_block_run(b, alone, &one);
        if (s != KDS_STEP_ON)
            return s;
        b->done = one == KDS_SLICE_DONE;
        all_done &= b->done;
        if (one != KDS_SLICE_STUCK)
            *how = KDS_SLICE_MOVED;
    }
    if (!all_done)
        return KDS_STEP_ON;
    *how = KDS_SLICE_DONE;
    for (uint32_t k = 0; g->traced && k < r->cluster_size; k++, t->blocks++)
        t->cycles += kds_trace_end(g->blocks[k]);
    kds_group_end(r, index);
    return KDS_STEP_ON;
}

/* Every resident block once. */
static kds_step run_round(kds_run *r, tracing *t, bool *moved)
{
    *moved = false;
    for (uint32_t i = 0; i < r->resident;) {
        kds_slice how;
        kds_step s = run_group(r, i, t, &how);
        if (s != KDS_STEP_ON)
            return s;
        *moved |= how != KDS_SLICE_STUCK;
        i += how != KDS_SLICE_DONE;
    }
    return KDS_STEP_ON;
}

static kds_step run_queue(kds_run *r, queue *q, tracing *t)
{
    uint64_t room = r->options->resident != 0 ? r->options->resident : KDS_RESIDENT_DEFAULT;
    uint64_t wanted = 1;
    uint32_t idle = 0;
    room = room / r->cluster_size > 0 ? room / r->cluster_size : 1;
    if (r->options->cooperative)
        wanted = q->count;
    while (q->next < q->count || r->resident > 0) {
        bool moved;
        while (q->next < q->count && r->resident < wanted) {
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
            wanted = r->options->cooperative ? q->count : 1;
        } else if (q->next < q->count && r->resident < room) {
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
    queue q;
    tracing t = {0, 0};
    if (!make_queue(r, &q))
        return KDS_STEP_NO_MEMORY;
    kds_step s = run_queue(r, &q, &t);
    free(q.numbers);
    out->trace_cycles = t.blocks > 0 ? t.cycles / (double)t.blocks : 0;
    return s;
}
