/* The modelled time of a plan: what each launch can find in the L2 and must bring from DRAM, the
 * time model on its counts, and the sums over the launches as counters of the run. */
#include "eval/sim/device_sim.h"

#include <string.h>

/* Share of the L2 in which buffers of earlier launches of a plan are taken to be still there. */
#define L2_KEEPS 0.75

static double buffer_bytes(const sim_bench *b, int buffer)
{
    const kds_extent *x = &b->base.extents[buffer];
    return (double)x->span * (double)kds_dtype_size(x->dtype);
}

static double scratch_bytes(const kds_scratch *s)
{
    return (double)s->numel * (double)kds_dtype_size(s->dtype);
}

static bool all_kept(const sim_bench *b, const kds_binding *binding, const kds_gpu *g)
{
    double all = 0;
    for (int i = 0; i < b->base.device->task->buffer_count; i++)
        all += buffer_bytes(b, i);
    for (int i = 0; i < binding->scratch_count; i++)
        all += scratch_bytes(&binding->scratch[i]);
    return all <= L2_KEEPS * g->l2_bytes;
}

/* Bytes that the launch can bring from DRAM and those that it can write there. What it is not given
 * it could still reach through a neighbour's address. */
static void footprints(const sim_launch *l, sim_timing *t, kds_sim_shape *shape)
{
    bool seen[KDS_BUFFERS_MAX] = {false}, seen_scratch[KDS_PLAN_SCRATCH] = {false};
    const kds_task *task = l->bench->base.device->task;
    shape->read_footprint = shape->write_footprint = 1;
    for (int i = 0; i < l->launch->arg_count; i++) {
        const kds_arg *a = &l->launch->args[i];
        if (a->kind == KDS_ARG_VALUE)
            continue;
        bool *once = a->kind == KDS_ARG_BUFFER ? &seen[a->index] : &seen_scratch[a->index];
        bool *earlier = a->kind == KDS_ARG_BUFFER ? &t->buffers[a->index] : &t->scratch[a->index];
        if (*once)
            continue;
        *once = true;
        kds_role role = a->kind == KDS_ARG_BUFFER ? task->buffers[a->index].role : KDS_ROLE_INOUT;
        double bytes = a->kind == KDS_ARG_BUFFER ? buffer_bytes(l->bench, a->index)
                                                 : scratch_bytes(&l->binding->scratch[a->index]);
        bool filled = a->kind == KDS_ARG_BUFFER && role != KDS_ROLE_OUT;
        if (*earlier ? !t->kept : filled)
            shape->read_footprint += bytes;
        if (role != KDS_ROLE_IN)
            shape->write_footprint += bytes;
        *earlier = true;
    }
    for (int i = 0; i < task->buffer_count; i++) {
        if (seen[i])
            continue;
        if (task->buffers[i].role != KDS_ROLE_OUT)
            shape->read_footprint += buffer_bytes(l->bench, i);
        if (task->buffers[i].role != KDS_ROLE_IN)
            shape->write_footprint += buffer_bytes(l->bench, i);
    }
}

/* Zeroed scratch is zeroed inside the timed work: one memset launch for each. */
static void add_zeroing(const kds_binding *binding, const kds_gpu *g, kds_sim_observed *observed,
                        kds_run_result *run, double *dram)
{
    for (int i = 0; i < binding->scratch_count; i++) {
        if (!binding->scratch[i].zero)
            continue;
        double bytes = scratch_bytes(&binding->scratch[i]);
        run->us += (run->us > 0 ? g->launch_us : g->first_launch_us) +
                   1e6 * bytes / g->dram_bytes_per_second;
        *dram += bytes;
        if (observed != NULL)
            observed->zeroed[observed->zeroed_count++] = bytes;
    }
}

void sim_timing_begin(sim_timing *t, const sim_bench *b, const kds_program *p,
                      const kds_binding *binding, kds_run_result *run)
{
    memset(t, 0, sizeof *t);
    t->kept = all_kept(b, binding, p->device->gpu);
    add_zeroing(binding, p->device->gpu, p->device->observed, run, &t->dram_write);
}

void sim_timing_launch(sim_timing *t, const sim_launch *l, const sim_totals *totals,
                       kds_run_result *run)
{
    const kds_gpu *g = l->program->device->gpu;
    const kds_launch *x = l->launch;
    const double *c = totals->counters;
    kds_sim_shape shape = {.blocks = l->grid * l->unit,
                           .threads = (int)(x->block[0] * x->block[1] * x->block[2]),
                           .registers = l->kernel->registers,
                           .shared_bytes = l->kernel->static_shared_bytes + (int)x->shared_bytes};
    kds_sim_time time;
    footprints(l, t, &shape);
    shape.far_bytes = totals->far_bytes;
    kds_sim_model(g, &shape, c, &totals->trace, &time);
    if (l->program->device->observed != NULL)
        kds_sim_observed_add(l->program->device->observed, &shape, c, &totals->trace);
    run->us += time.us + (run->us > 0 ? g->launch_us : g->first_launch_us);
    for (int i = 0; i < KDS_SIM_COUNTER_COUNT; i++)
        t->counters[i] += c[i];
    if (time.us > t->longest) {
        t->longest = time.us;
        run->limiter = time.limiter;
    }
    t->dram_read += time.dram_read_bytes;
    t->dram_write += time.dram_write_bytes;
    t->l2_reads += time.l2_read_sectors;
    double sectors = time.l2_read_sectors + c[KDS_SIM_COUNTER_GLOBAL_ST_SECTORS] +
                     c[KDS_SIM_COUNTER_GLOBAL_RED_SECTORS];
    t->l2_sectors += sectors;
    t->l2_hits += time.l2_hit_pct / 100 * sectors;
    t->occupancy += time.occupancy_pct * time.us;
    t->us += time.us;
}

static double percent(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

void sim_timing_end(const sim_timing *t, kds_run_result *run)
{
    for (int i = 0; i < KDS_SIM_COUNTER_COUNT; i++)
        (void)kds_measures_set(&run->counters, kds_sim_counter_name((kds_sim_counter)i),
                               t->counters[i]);
    const double *c = t->counters;
    double branches = c[KDS_SIM_COUNTER_BRANCHES];
    const struct {
        const char *name;
        double value;
    } modelled[] = {
        {"dram__bytes.sum", t->dram_read + t->dram_write},
        {"dram__bytes_read.sum", t->dram_read},
        {"dram__bytes_write.sum", t->dram_write},
        {"sim__l2_sectors_read.sum", t->l2_reads},
        {"lts__t_sector_hit_rate.pct", percent(t->l2_hits, t->l2_sectors)},
        {"smsp__sass_average_branch_targets_threads_uniform.pct",
         percent(branches - c[KDS_SIM_COUNTER_BRANCHES_DIVERGENT], branches)},
        {"sm__warps_active.avg.pct_of_peak_sustained_active", t->us > 0 ? t->occupancy / t->us : 0},
    };
    for (size_t i = 0; i < sizeof modelled / sizeof modelled[0]; i++)
        (void)kds_measures_set(&run->counters, modelled[i].name, modelled[i].value);
}
