/* Running a row on the simulator: all blocks of a small row, a sample of a large one's. The last
 * block of a sampled launch runs apart and counts once, because it is often not full; the others
 * stand for the rest of the grid. Outputs start undefined, so that what is never written, or read
 * before it is written, is known. */
#include "eval/launch_params.h"
#include "eval/sim/device_sim.h"
#include "eval/sim/memory.h"
#include "search/base/random.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS 6       /* of consecutive blocks in a sample */
#define GROUP_BLOCKS 4 /* in each, so that sharing between neighbours is counted */
#define ROUGH_GROUPS 3 /* the same of a guess at the time */
#define ROUGH_GROUP_BLOCKS 2
#define ROUGH_LEAST 8 /* blocks of a grid, fewer run all */
#define ROUGH_WORK 3e5
#define TENSOR_COST 20    /* of a matrix instruction, in other ones */
#define SAMPLE_WORK 3e6   /* warp instructions that a sampled launch aims at */
#define BLOCK_BUDGET 48e6 /* warp instructions of one sampled block */
#define DEFAULT_BUDGET 1000000000u
#define TRACED 32 /* blocks of a launch */
#define LINE 128
#define WRITTEN_ALL (1 - 1e-9)

static int64_t product(const int64_t v[3])
{
    return v[0] * v[1] * v[2];
}

/* Blocks of the launch that the GPU can hold at once. */
static uint64_t resident_blocks(const sim_launch *l)
{
    const kds_gpu *g = l->program->device->gpu;
    kds_sim_shape shape = {.blocks = l->grid * l->unit,
                           .threads = (int)product(l->launch->block),
                           .registers = l->kernel->registers,
                           .shared_bytes =
                               l->kernel->static_shared_bytes + (int)l->launch->shared_bytes};
    return (uint64_t)kds_gpu_resident_blocks(g, &shape) * (uint64_t)g->sms;
}

/* The cluster of the launch: what the plan says, else what the kernel was compiled for. */
static void choose_cluster(sim_launch *l)
{
    const kds_launch *x = l->launch;
    for (int d = 0; d < 3; d++)
        l->cluster[d] = (uint32_t)x->cluster[d];
    if (product(x->cluster) == 1 && l->kernel != NULL)
        kds_sim_module_cluster(l->program->modules[l->binding->group], l->kernel->lowered,
                               l->cluster);
    l->unit = l->cluster[0] * l->cluster[1] * l->cluster[2];
    l->grid = (uint64_t)product(x->grid) / l->unit;
}

/* What the hardware would refuse, before anything runs. */
kds_code sim_launch_prepare(sim_launch *l, kds_finding *f)
{
    const kds_launch *x = l->launch;
    int64_t threads = product(x->block);
    l->kernel = kds_module_kernel(&l->program->compiled->modules[l->binding->group], x->kernel);
    choose_cluster(l);
    if (l->kernel == NULL) {
        kds_finding_set(f, KDS_VERDICT_PLAN_INVALID, "plan", x->line, "the source has no kernel %s",
                        x->kernel);
    } else if (threads > l->kernel->max_threads) {
        kds_finding_set(f, KDS_VERDICT_LAUNCH_FAILED, "safety", x->line,
                        "%s is launched with %" PRId64 " threads per block, but it was compiled "
                        "for at most %d (__launch_bounds__)",
                        x->kernel, threads, l->kernel->max_threads);
    } else {
        uint64_t resident = resident_blocks(l);
        if (resident < 1)
            kds_finding_set(f, KDS_VERDICT_LAUNCH_FAILED, "safety", x->line,
                            "%s: a block of %" PRId64 " threads with %d registers each and %" PRId64
                            " bytes of shared memory does not fit on a multiprocessor",
                            x->kernel, threads, l->kernel->registers,
                            l->kernel->static_shared_bytes + x->shared_bytes);
        else if (x->cooperative && l->grid * l->unit > resident)
            kds_finding_set(f, KDS_VERDICT_LAUNCH_FAILED, "safety", x->line,
                            "%s: a cooperative launch of %" PRIu64 " blocks, of which %" PRIu64
                            " fit on the GPU at once",
                            x->kernel, l->grid * l->unit, resident);
    }
    return KDS_OK;
}

/* A warp's share of the L1 while its multiprocessor holds all the blocks that it can. */
static uint32_t l1_lines(const sim_launch *l)
{
    const kds_gpu *g = l->program->device->gpu;
    uint64_t blocks = (l->grid * l->unit + (uint64_t)g->sms - 1) / (uint64_t)g->sms;
    uint64_t room = resident_blocks(l) / (uint64_t)g->sms;
    blocks = blocks < room ? blocks : room;
    uint64_t warps = blocks * (((uint64_t)product(l->launch->block) + 31) / 32);
    int64_t shared =
        l->kernel->static_shared_bytes + l->launch->shared_bytes + g->shared_per_block_reserved;
    int64_t left = g->l1_bytes - (int64_t)blocks * shared;
    int64_t lines = left / LINE / (int64_t)(warps > 0 ? warps : 1);
    return lines > 1 ? (uint32_t)lines : 1;
}

static kds_verdict verdict_of(const kds_sim_result *r)
{
    switch (r->status) {
    case KDS_SIM_OK:
        return KDS_VERDICT_OK;
    case KDS_SIM_NOT_SIMULATED:
        return KDS_VERDICT_NOT_SIMULATED;
    case KDS_SIM_WROTE_INPUT:
        return KDS_VERDICT_CHANGED_INPUT;
    case KDS_SIM_TRAP:
    case KDS_SIM_BAD_LAUNCH:
        return KDS_VERDICT_LAUNCH_FAILED;
    case KDS_SIM_BUDGET:
    case KDS_SIM_DEADLOCK:
        return KDS_VERDICT_TIMEOUT;
    case KDS_SIM_OUT_OF_BOUNDS: /* of global memory: a store may have hit what is not its own */
        if (strstr(r->report, ": writes ") != NULL && strstr(r->report, " of shared ") == NULL &&
            strstr(r->report, " of local ") == NULL)
            return KDS_VERDICT_WROTE_OUTSIDE;
        break;
    case KDS_SIM_MISALIGNED:
    case KDS_SIM_UNINITIALISED:
    case KDS_SIM_BARRIER:
    case KDS_SIM_RACE:
    case KDS_SIM_ASYNC:
        break;
    }
    return KDS_VERDICT_UNSAFE;
}

/* The first block of a cluster, in the grid. */
static uint64_t first_block(const sim_launch *l, uint64_t cluster)
{
    const int64_t *grid = l->launch->grid;
    uint64_t at[3];
    for (int d = 0; d < 3; d++) {
        uint64_t clusters = (uint64_t)grid[d] / l->cluster[d];
        at[d] = cluster % clusters * l->cluster[d];
        cluster /= clusters;
    }
    return at[0] + (uint64_t)grid[0] * (at[1] + (uint64_t)grid[1] * at[2]);
}

kds_code sim_launch_blocks(const sim_launch *l, const uint64_t *blocks, uint64_t count,
                           uint64_t budget, bool trace, kds_sim_result *r, kds_finding *f,
                           kds_err *e)
{
    const kds_launch *x = l->launch;
    const uint32_t grid[3] = {(uint32_t)x->grid[0], (uint32_t)x->grid[1], (uint32_t)x->grid[2]};
    const uint32_t block[3] = {(uint32_t)x->block[0], (uint32_t)x->block[1], (uint32_t)x->block[2]};
    kds_sim_options o = {.budget = budget,
                         .blocks = blocks,
                         .block_count = count,
                         .cluster = {l->cluster[0], l->cluster[1], l->cluster[2]},
                         .cooperative = x->cooperative,
                         .resident = (uint32_t)resident_blocks(l),
                         .check_uninitialised = l->check_uninitialised,
                         .check_races = l->check_races,
                         .threads = l->program->device->base.threads,
                         .latency = trace ? &l->program->device->gpu->latency : NULL,
                         .trace_blocks = trace ? TRACED : 0,
                         .l1_lines = trace ? l1_lines(l) : 0,
                         .registers = (uint32_t)l->kernel->registers};
    kds_launch_params params;
    uint64_t *first = NULL;
    memset(r, 0, sizeof *r);
    if (!kds_launch_params_build(&params, x, l->kernel, l->at->buffers, l->at->scratch, f))
        return KDS_OK;
    if (blocks != NULL && l->unit > 1) {
        first = malloc((count + 1) * sizeof *first);
        if (first == NULL)
            return kds_fail(e, KDS_NO_MEMORY, "cannot run blocks: out of memory");
        for (uint64_t n = 0; n < count; n++)
            first[n] = first_block(l, blocks[n]);
        o.blocks = first;
    }
    kds_code code = kds_sim_launch(l->program->modules[l->binding->group], l->kernel->lowered, grid,
                                   block, (uint32_t)x->shared_bytes, params.bytes, params.len,
                                   l->at->memory, &o, r, e);
    free(first);
    if (code != KDS_OK)
        return code;
    if (r->status != KDS_SIM_OK)
        kds_finding_set(f, verdict_of(r), "safety", r->source_line, "%s", r->report);
    return KDS_OK;
}

/* The blocks of a sample but for the last of the grid: the first, and groups of consecutive ones,
 * one at a drawn place in each of `groups` equal stretches. Positions are drawn as shares of the
 * grid, so that different grids over one output are sampled at the same places. */
static uint64_t choose_blocks(const sim_bench *b, uint64_t grid, int groups, int in_group,
                              uint64_t *blocks)
{
    kds_random random =
        kds_random_stream(((const sim_device *)b->base.device)->seed, b->base.row->seed, "blocks");
    uint64_t count = 0, next = 1; /* lowest block not taken yet */
    blocks[count++] = 0;
    for (int g = 0; g < groups; g++) {
        double share = ((double)g + kds_random_unit(&random)) / groups;
        uint64_t first = (uint64_t)(share * (double)(grid - 1 - (uint64_t)in_group));
        first = first / (uint64_t)in_group * (uint64_t)in_group;
        if (first < next)
            first = next;
        for (int i = 0; i < in_group && first < grid - 1; i++)
            blocks[count++] = first++;
        next = first;
    }
    return count;
}

static void add_counters(sim_totals *t, const kds_sim_result *r, double scale)
{
    for (int i = 0; i < KDS_SIM_COUNTER_COUNT; i++)
        t->counters[i] += scale * r->counters[i];
}

static kds_sim_trace trace_of(const kds_sim_result *r)
{
    return (kds_sim_trace){.cycles = r->trace_cycles,
                           .longest = r->trace_longest,
                           .l1_misses = r->l1_loads > 0 ? r->l1_misses / r->l1_loads : 1,
                           .l1_again = r->l1_loads > 0 ? r->l1_again / r->l1_loads : 0,
                           .again_lines = r->again_lines};
}

/* Warp instructions by the time that they take here. */
static uint64_t cost_of(const kds_sim_result *r)
{
    return (uint64_t)(r->counters[KDS_SIM_COUNTER_WARP_INST] +
                      TENSOR_COST * r->counters[KDS_SIM_COUNTER_INST_TENSOR]);
}

static void subtract(sim_written *from, const sim_written *what)
{
    for (int i = 0; i < KDS_BUFFERS_MAX; i++)
        from->elements[i] -= what->elements[i];
}

static kds_code run_whole(const sim_launch *l, uint64_t budget, bool trace, sim_totals *t,
                          kds_finding *f, kds_err *e)
{
    kds_sim_result r;
    sim_written before;
    sim_written_count(l, l->at, &before);
    kds_code code = sim_launch_blocks(l, NULL, 0, budget, trace, &r, f, e);
    add_counters(t, &r, 1);
    t->trace = trace_of(&r);
    sim_written_count(l, l->at, &t->written);
    subtract(&t->written, &before);
    return code;
}

/* Warp instructions of the first block and what it writes, run in memory of its own so that nothing
 * is done twice. */
static kds_code probe(const sim_launch *l, double *work, sim_written *written, kds_finding *f,
                      kds_err *e)
{
    sim_memory scratch = {0};
    sim_launch first = *l;
    kds_sim_result r;
    const uint64_t zero = 0;
    first.at = &scratch;
    kds_code code = sim_memory_fill(&scratch, l->bench, l->binding, l->program->oracle, 0, e);
    if (code == KDS_OK)
        code = sim_launch_blocks(&first, &zero, 1, (uint64_t)BLOCK_BUDGET, false, &r, f, e);
    if (code == KDS_OK) {
        *work = r.counters[KDS_SIM_COUNTER_WARP_INST];
        sim_written_count(l, &scratch, written);
    }
    sim_memory_drop(&scratch);
    return code;
}

static kds_code run_sample(const sim_launch *l, bool trace, sim_totals *t, kds_finding *f,
                           kds_err *e)
{
    uint64_t blocks[1 + GROUPS * GROUP_BLOCKS];
    double work = 0;
    sim_written first, before, all, tail;
    kds_code code = probe(l, &work, &first, f, e);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
        return code;
    double most = SAMPLE_WORK / (work > 1 ? work : 1);
    int groups = most < 2 + GROUPS ? 3 : GROUPS, in_group = 1; /* neighbours matter for time only */
    if (trace && most >= 2 + 2 * GROUPS)
        in_group = most < 2 + GROUPS * GROUP_BLOCKS ? 2 : GROUP_BLOCKS;
    uint64_t count = choose_blocks(l->bench, l->grid, groups, in_group, blocks);
    uint64_t budget = (uint64_t)(BLOCK_BUDGET + 8 * work * (double)count);
    kds_sim_result r;
    sim_written_count(l, l->at, &before);
    code = sim_launch_blocks(l, blocks, count, budget, trace, &r, f, e);
    add_counters(t, &r, (double)(l->grid - 1) / (double)count);
    t->trace = trace_of(&r);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
        return code;
    const uint64_t last = l->grid - 1;
    sim_written_count(l, l->at, &all);
    code = sim_launch_blocks(l, &last, 1, budget, false, &r, f, e);
    add_counters(t, &r, 1);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK && trace)
        code = sim_far_bytes(l, &t->far_bytes, f, e);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
        return code;
    sim_written_count(l, l->at, &tail);
    subtract(&tail, &all);
    subtract(&all, &before);
    sim_written_scale(&first, &all, &tail, count, l->grid, &t->written);
    /* Blocks in order reach every quarter by at least one group of six. */
    bool spread_well = groups < GROUPS || sim_written_spread(l, l->at, 4) >= 1;
    double share =
        fmin(sim_written_share(l->bench, &t->written), sim_rewritten_share(l->bench, &t->written));
    if (l->binding->launch_count == 1 && (share < WRITTEN_ALL || !spread_well))
        code = sim_written_measure(l, work, &first, &tail, spread_well, &t->written, f, e);
    return code;
}

/* A guess at the time: the first block, which tells how heavy they are, and a few others stand for
 * all. */
static kds_code run_rough(const sim_launch *l, uint64_t budget, sim_totals *t, uint64_t *ran,
                          kds_finding *f, kds_err *e)
{
    uint64_t blocks[1 + ROUGH_GROUPS * ROUGH_GROUP_BLOCKS];
    const uint64_t zero = 0;
    kds_sim_result first, others;
    kds_code code = sim_launch_blocks(l, &zero, 1, budget, false, &first, f, e);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
        return code;
    double most = ROUGH_WORK / fmax(first.counters[KDS_SIM_COUNTER_WARP_INST], 1);
    int groups = most < 1 + ROUGH_GROUPS ? 1 : ROUGH_GROUPS;
    int in_group = most < 1 + ROUGH_GROUPS * ROUGH_GROUP_BLOCKS ? 1 : ROUGH_GROUP_BLOCKS;
    uint64_t count = choose_blocks(l->bench, l->grid, groups, in_group, blocks);
    code = sim_launch_blocks(l, blocks + 1, count - 1, budget, true, &others, f, e);
    double scale = (double)l->grid / (double)count;
    add_counters(t, &first, scale);
    add_counters(t, &others, scale);
    t->trace = trace_of(&others);
    *ran += cost_of(&first) + cost_of(&others);
    return code;
}

/* A block that depends on blocks outside the sample may wait for ever, or compute addresses from
 * what they never wrote: that is no fault of its own, but nothing is known of it either. */
static void excuse_dependence(const kds_run_result *run, const kds_binding *binding, int launch,
                              kds_finding *f)
{
    bool reads_others = run->partial && (launch > 0 || binding->scratch_count > 0);
    kds_finding inner = *f;
    if (!reads_others)
        return;
    if (f->verdict == KDS_VERDICT_TIMEOUT && binding->scratch_count > 0)
        kds_finding_set(f, KDS_VERDICT_NOT_SIMULATED, "safety", f->line,
                        "a sampled block did not end; it may wait for blocks outside the sample");
    if (f->verdict == KDS_VERDICT_UNSAFE || f->verdict == KDS_VERDICT_WROTE_OUTSIDE ||
        f->verdict == KDS_VERDICT_LAUNCH_FAILED)
        kds_finding_set(f, KDS_VERDICT_NOT_SIMULATED, "safety", f->line,
                        "a sampled block went wrong; it may depend on what blocks outside the "
                        "sample write: %s",
                        inner.text);
}

static void note_store(void *user, uint64_t first, uint64_t len)
{
    (void)first, (void)len;
    *(bool *)user = true;
}

/* A variable of the module outlives the launches, so that a run could find what an earlier one left
 * there: the timed work would not be all of the work. */
static void find_state(const sim_memory *at, kds_finding *f)
{
    for (uint32_t i = 0; i < at->memory->region_count && f->verdict == KDS_VERDICT_OK; i++) {
        const kds_region *r = at->memory->regions[i];
        bool stored = false;
        if (r->is_module)
            kds_sim_memory_each_written(at->memory, r->address, note_store, &stored);
        if (stored)
            kds_finding_set(f, KDS_VERDICT_STALE_OUTPUT, "safety", 0,
                            "a kernel writes the variable '%s' of the module, which keeps its "
                            "value from run to run; use '#pragma kda scratch' (or scratch zero)",
                            r->name);
    }
}

/* Does a launch run a sample of its blocks? The blocks of a cooperative one need each other. */
static bool is_sampled(const sim_bench *b, const kds_binding *binding, const kds_launch *x,
                       bool rough)
{
    int64_t grid = product(x->grid) / product(x->cluster);
    bool alone = binding->launch_count == 1 && binding->scratch_count == 0;
    if (rough)
        return (b->base.sampled || alone) && !x->cooperative && grid > ROUGH_LEAST;
    return b->base.sampled && !x->cooperative && grid > 2 + GROUPS * GROUP_BLOCKS;
}

/* One launch: all of its blocks, a sample, or a few. */
static kds_code run_launch(const sim_launch *l, const kds_run_options *o, kds_run_result *run,
                           bool *sampled, sim_totals *t, kds_finding *f, kds_err *e)
{
    uint64_t budget = o->budget > 0 && o->budget < DEFAULT_BUDGET ? o->budget : DEFAULT_BUDGET;
    *sampled = is_sampled(l->bench, l->binding, l->launch, o->rough) &&
               l->grid > (o->rough ? ROUGH_LEAST : 2 + GROUPS * GROUP_BLOCKS);
    if (*sampled && o->rough)
        return run_rough(l, budget, t, &run->ran, f, e);
    if (*sampled)
        return run_sample(l, o->timed, t, f, e);
    kds_code code = run_whole(l, budget, o->timed, t, f, e);
    run->ran += (uint64_t)t->counters[KDS_SIM_COUNTER_WARP_INST] +
                TENSOR_COST * (uint64_t)t->counters[KDS_SIM_COUNTER_INST_TENSOR];
    return code;
}

/* One pass over the launches of a plan in memory that is ready. */
static kds_code run_launches(sim_bench *b, kds_program *p, kds_binding *binding, sim_memory *at,
                             const kds_run_options *o, kds_run_result *run, kds_finding *f,
                             kds_err *e)
{
    sim_timing timing;
    sim_written written = {{0}, {0}};
    if (o->timed)
        sim_timing_begin(&timing, b, p, binding, run);
    for (int i = 0; i < binding->launch_count; i++)
        run->partial |= is_sampled(b, binding, &binding->launches[i], o->rough) &&
                        (binding->launch_count > 1 || binding->scratch_count > 0);
    for (int i = 0; i < binding->launch_count; i++) {
        sim_launch l = {.bench = b,
                        .program = p,
                        .binding = binding,
                        .launch = &binding->launches[i],
                        .at = at,
                        .check_uninitialised = !run->partial,
                        .check_races = o->races};
        sim_totals t = {.far_bytes = 0};
        kds_code code = sim_launch_prepare(&l, f);
        if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
            return code;
        bool sampled = false;
        code = run_launch(&l, o, run, &sampled, &t, f, e);
        run->work += (uint64_t)t.counters[KDS_SIM_COUNTER_WARP_INST];
        for (int k = 0; k < KDS_BUFFERS_MAX; k++)
            written.elements[k] += t.written.elements[k];
        if (sampled && code == KDS_OK)
            excuse_dependence(run, binding, i, f);
        if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
            return code;
        if (o->timed)
            sim_timing_launch(&timing, &l, &t, run);
    }
    if (o->timed)
        sim_timing_end(&timing, run);
    run->coverage = b->base.sampled ? sim_written_share(b, &written) : 1;
    run->rewritten = b->base.sampled ? sim_rewritten_share(b, &written) : 1;
    if (run->partial && binding->launch_count > 1) {
        sim_launch any = {.bench = b, .program = p};
        run->coverage *= sim_written_spread(&any, at, 4);
    }
    find_state(at, f);
    return KDS_OK;
}

kds_code sim_bench_run(kds_bench *base, kds_program *p, const kds_run_options *o,
                       kds_run_result *run, kds_outputs **out, kds_finding *f, kds_err *e)
{
    sim_bench *b = (sim_bench *)base;
    kds_binding *binding = NULL;
    sim_memory at = {0};
    kds_outputs *outputs = NULL;
    memset(run, 0, sizeof *run);
    if (out != NULL)
        *out = NULL;
    kds_code code = sim_program_binding(p, base->row_index, &binding, f, e);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
        return code;
    run->variant = binding->variant_name;
    run->launches = binding->launch_count;
    for (int pass = 0; pass < (o->repeat ? 2 : 1); pass++) {
        kds_run_options now = *o;
        now.timed = o->timed && pass == 0;
        code = sim_memory_fill(&at, b, binding, p->oracle, o->poison, e);
        if (code == KDS_OK)
            code = run_launches(b, p, binding, &at, &now, run, f, e);
        if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
            goto out;
    }
    if (out == NULL)
        goto out;
    code = sim_outputs_take(&outputs, b, p, &at, e);
    if (code != KDS_OK)
        goto out;
    *out = outputs;
out:
    sim_memory_drop(&at);
    return code;
}
