/* How much of the outputs a sampled launch writes in all. Time is scaled from the blocks that ran
 * to the grid, so the elements that they wrote, scaled the same way, must account for every
 * element: else a plan that leaves work undone would look fast. The first and the last block are
 * sampled always, which a candidate may know, so each of them counts once and stands for no other.
 * What a first estimate does not settle is measured on more blocks. */
#include "eval/sim/device_sim.h"
#include "search/base/random.h"

#include <math.h>
#include <string.h>

#define MORE_GROUPS 128 /* of consecutive blocks, so that neighbours that write the same show */
#define MORE_BLOCKS 4   /* in each */
#define GROUPS_LEAST 6
#define MORE_WORK 3e6 /* warp instructions that the further blocks aim at */
#define BLOCK_BUDGET 48000000u
/* The first and the last block are where a repeating pattern of full and cut blocks is broken off:
 * they may have less than the mean, each at least this share of it, and this much of an output. */
#define EDGE_LEAST 0.25
#define EDGE_MOST 1e-4
/* Standard errors that the estimate is given before it counts as less than all. */
#define ERRORS_GIVEN 4.5
/* Below this number of groups, the share that blocks may differ by without having shown it. */
#define FEW_GROUPS 16
#define FEW_GIVEN 0.02
/* Steps of a block from which on blocks may differ by one of them, and the most that this makes. */
#define PARTS_MOST 8
#define PART_LEAST 65536 /* bytes */
#define STEPS_LEAST 16
#define STEP_MOST 0.01

typedef struct stretches {
    double bytes, count;
} stretches;

static void add_stretch(void *user, uint64_t first, uint64_t len)
{
    stretches *s = user;
    (void)first;
    s->bytes += (double)len;
    s->count++;
}

void sim_written_count(const sim_launch *l, const sim_memory *at, sim_written *out)
{
    const kds_task *t = l->bench->base.device->task;
    memset(out, 0, sizeof *out);
    for (int i = 0; i < t->buffer_count; i++) {
        stretches s = {0, 0};
        if (!sim_is_output(t, i))
            continue;
        kds_sim_memory_each_written(at->memory, at->buffers[i], add_stretch, &s);
        out->elements[i] =
            s.bytes / (double)kds_dtype_size(sim_output_type(l->bench, l->program, i));
        out->ranges[i] = s.count;
    }
}

/* Where stretches lie in an output, in equal parts of it. */
typedef struct parts {
    double bytes; /* of one part */
    int count;
    bool filled[PARTS_MOST];
} parts;

static void fill_parts(void *user, uint64_t first, uint64_t len)
{
    parts *p = user;
    int from = (int)((double)first / p->bytes), to = (int)((double)(first + len - 1) / p->bytes);
    for (int i = from; i <= to && i < p->count; i++)
        p->filled[i] = true;
}

double sim_written_spread(const sim_launch *l, const sim_memory *at, int count)
{
    const kds_task *t = l->bench->base.device->task;
    double least = 1;
    for (int i = 0; i < t->buffer_count; i++) {
        size_t size = kds_dtype_size(sim_output_type(l->bench, l->program, i));
        parts p = {.bytes = (double)l->bench->base.extents[i].span * (double)size / count,
                   .count = count};
        double filled = 0;
        if (t->buffers[i].role != KDS_ROLE_OUT || p.bytes < PART_LEAST)
            continue;
        kds_sim_memory_each_written(at->memory, at->buffers[i], fill_parts, &p);
        for (int k = 0; k < count; k++)
            filled += p.filled[k];
        least = filled / count < least ? filled / count : least;
    }
    return least;
}

/* Blocks that stride over the grid's work differ by one step: allowed where a step is little. True
 * if that explains what seems to be missing. */
static bool explained_by_steps(const sim_bench *b, const sim_written *first, sim_written *out)
{
    sim_written most = *out;
    for (int i = 0; i < KDS_BUFFERS_MAX; i++)
        if (first->ranges[i] >= STEPS_LEAST)
            most.elements[i] *= 1 + fmin(1 / first->ranges[i], STEP_MOST);
    if (sim_written_share(b, &most) < 1 || sim_rewritten_share(b, &most) < 1)
        return false;
    *out = most;
    return true;
}

/* The rest of the grid after `seen` blocks, the first among them, wrote `all` elements. */
static double estimate(double all, double first, double tail, double seen, double grid)
{
    first = first < all ? first : all;
    return first + (seen > 1 ? (all - first) / (seen - 1) * (grid - 2) : 0) + tail;
}

void sim_written_scale(const sim_written *first, const sim_written *all, const sim_written *tail,
                       uint64_t seen, uint64_t grid, sim_written *out)
{
    for (int i = 0; i < KDS_BUFFERS_MAX; i++)
        out->elements[i] = estimate(all->elements[i], first->elements[i], tail->elements[i],
                                    (double)seen, (double)grid);
}

double sim_written_share(const sim_bench *b, const sim_written *w)
{
    const kds_task *t = b->base.device->task;
    double least = INFINITY, any = 0;
    for (int i = 0; i < t->buffer_count; i++) {
        double share = w->elements[i] / (double)b->base.extents[i].numel;
        if (t->buffers[i].role == KDS_ROLE_OUT && share < least)
            least = share;
        any += sim_is_output(t, i) ? w->elements[i] : 0;
    }
    return isinf(least) ? any > 0 : least; /* in-out elements need not be written */
}

double sim_rewritten_share(const sim_bench *b, const sim_written *w)
{
    const kds_task *t = b->base.device->task;
    double least = 1;
    for (int i = 0; i < t->buffer_count; i++)
        if (t->buffers[i].role == KDS_ROLE_INOUT)
            least = fmin(least, w->elements[i] / (double)b->base.extents[i].numel);
    return least;
}

/* Elements of one output in each of the further groups, and what follows from them. */
typedef struct spread {
    double sum, squares;
} spread;

static double upper(const spread *s, double groups, double blocks, double grid)
{
    double mean = s->sum / groups;
    double variance = s->squares / groups - mean * mean;
    double error = sqrt((variance > 0 ? variance : 0) / groups);
    double per_block = (mean + ERRORS_GIVEN * error) / blocks;
    return per_block * (grid - 2) * (groups < FEW_GROUPS ? 1 + FEW_GIVEN : 1);
}

/* What the first and the last block have less than two others, as far as that is the pattern's
 * doing. A block that leaves its work undone is none. */
static double edge(const spread *s, double groups, double blocks, double first, double tail,
                   double numel)
{
    double mean = s->sum / groups / blocks, less = 2 * mean - first - tail;
    bool plausible = fmin(first, tail) >= EDGE_LEAST * mean && less <= EDGE_MOST * numel;
    return plausible && less > 0 ? less : 0;
}

/* Runs groups of blocks one after another, one at a drawn place in each of equal stretches. */
static kds_code run_groups(const sim_launch *l, int groups, uint64_t in_group,
                           spread out[KDS_BUFFERS_MAX], kds_finding *f, kds_err *e)
{
    const sim_bench *b = l->bench;
    kds_random random =
        kds_random_stream(((const sim_device *)b->base.device)->seed, b->base.row->seed, "more");
    uint64_t places = (l->grid - 1) / in_group - 1;
    sim_written before, after;
    sim_written_count(l, l->at, &before);
    for (int g = 0; g < groups; g++) {
        uint64_t from = places * (uint64_t)g / (uint64_t)groups;
        uint64_t to = places * ((uint64_t)g + 1) / (uint64_t)groups;
        uint64_t at = from + kds_random_below(&random, to - from);
        uint64_t blocks[MORE_BLOCKS];
        kds_sim_result r;
        for (uint64_t i = 0; i < in_group; i++)
            blocks[i] = (at + 1) * in_group + i;
        kds_code code = sim_launch_blocks(l, blocks, in_group, (uint64_t)in_group * BLOCK_BUDGET,
                                          false, &r, f, e);
        if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
            return code;
        sim_written_count(l, l->at, &after);
        for (int i = 0; i < KDS_BUFFERS_MAX; i++) {
            double n = after.elements[i] - before.elements[i];
            out[i].sum += n;
            out[i].squares += n * n;
        }
        before = after;
    }
    return KDS_OK;
}

static double numel_of(const sim_bench *b, int buffer)
{
    return (double)b->base.extents[buffer].numel;
}

kds_code sim_written_measure(const sim_launch *l, double work, const sim_written *first,
                             const sim_written *tail, bool spread_well, sim_written *out,
                             kds_finding *f, kds_err *e)
{
    sim_memory fresh = {0};
    sim_launch more = *l;
    spread seen[KDS_BUFFERS_MAX] = {{0, 0}};
    if (explained_by_steps(l->bench, first, out) && spread_well)
        return KDS_OK;
    double most = MORE_WORK / (work > 1 ? work : 1);
    uint64_t in_group = most < (double)MORE_BLOCKS * FEW_GROUPS ? 1 : MORE_BLOCKS;
    uint64_t places = (l->grid - 1) / in_group - 1;
    int groups =
        most / (double)in_group < MORE_GROUPS ? (int)(most / (double)in_group) : MORE_GROUPS;
    groups = groups < GROUPS_LEAST ? GROUPS_LEAST : groups;
    if ((uint64_t)groups > places)
        groups = (int)places;
    more.at = &fresh;
    kds_code code = sim_memory_fill(&fresh, l->bench, l->binding, l->program->oracle, 0xff, e);
    if (code == KDS_OK)
        code = run_groups(&more, groups, in_group, seen, f, e);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK)
        for (int i = 0; i < KDS_BUFFERS_MAX; i++)
            out->elements[i] = first->elements[i] + tail->elements[i] +
                               upper(&seen[i], groups, (double)in_group, (double)l->grid) +
                               edge(&seen[i], groups, (double)in_group, first->elements[i],
                                    tail->elements[i], numel_of(l->bench, i));
    /* With so many groups no part of an output is missed by chance. */
    double filled = 1;
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK && groups >= MORE_GROUPS / 2)
        filled = sim_written_spread(&more, &fresh, PARTS_MOST);
    for (int i = 0; i < KDS_BUFFERS_MAX && filled < 1; i++)
        out->elements[i] = fmin(out->elements[i], filled * numel_of(l->bench, i));
    sim_memory_drop(&fresh);
    return code;
}
