/* The time model: each resource's time is its demand over its rate on the busiest SM (or on the
 * whole chip for L2 and DRAM); the latency time is what a traced block takes times the number of
 * waves. The times are joined by a p-norm, a soft maximum: ranking stays smooth where two resources
 * are nearly equal. Pure arithmetic; nothing here knows of tasks. */
#include "eval/sim/model.h"

#include <math.h>

#define SECTOR 32.0
#define WARP 32
#define SUB_PARTITIONS 4

static int divide_up(int a, int b)
{
    return (a + b - 1) / b;
}

static int round_up(int a, int b)
{
    return divide_up(a, b) * b;
}

static int at_most(int a, int b)
{
    return a < b ? a : b;
}

int kds_gpu_resident_blocks(const kds_gpu *g, const kds_sim_shape *s)
{
    if (s->threads < 1 || s->threads > 1024 || s->registers > 255 || s->shared_bytes < 0)
        return 0;
    int warps = divide_up(s->threads, WARP);
    int blocks = at_most(g->max_blocks_per_sm, g->max_warps_per_sm / warps);
    blocks = at_most(blocks, g->max_threads_per_sm / (warps * WARP));

    /* Registers are given out per warp and sub-partition; the launch check assumes that a block
     * takes all four evenly (cuda_occupancy.h). */
    int registers = s->registers < 1 ? 1 : s->registers;
    int per_warp = round_up(registers * WARP, g->register_granularity);
    if (per_warp * round_up(warps, SUB_PARTITIONS) > g->registers_per_sm)
        return 0;
    int warps_by_registers = g->registers_per_sm / SUB_PARTITIONS / per_warp * SUB_PARTITIONS;
    blocks = at_most(blocks, warps_by_registers / warps);

    if (s->shared_bytes > g->shared_per_sm - g->shared_per_block_reserved)
        return 0;
    int shared = round_up(s->shared_bytes + g->shared_per_block_reserved, g->shared_granularity);
    return at_most(blocks, g->shared_per_sm / shared);
}

double kds_gpu_flops(const kds_gpu *g)
{
    return g->fp32_per_cycle * WARP * 2 * g->sms * g->clock_hz;
}

double kds_gpu_tensor_flops(const kds_gpu *g)
{
    return g->tensor_flops_per_cycle * g->sms * g->clock_hz;
}

/* The soft maximum of the times so far, and which of them is the largest. */
typedef struct soft_max {
    double exponent;
    double sum; /* of (t / largest)^p, rescaled as the largest changes */
    double largest;
    const char *limiter;
} soft_max;

static void take(soft_max *m, const char *name, double seconds)
{
    if (!(seconds > 0))
        return;
    if (seconds > m->largest) {
        m->sum = m->sum * pow(m->largest / seconds, m->exponent) + 1;
        m->largest = seconds;
        m->limiter = name;
    } else {
        m->sum += pow(seconds / m->largest, m->exponent);
    }
}

/* Waves of blocks that the latency is paid for. A wave that is not full still takes its time, but
 * blocks of earlier waves end at different moments, so that on average half of the gap is filled.
 */
static double waves_paid(double waves)
{
    if (waves <= 1)
        return 1;
    return waves + 0.5 * (ceil(waves) - waves);
}

static double dram_bytes(const kds_sim_shape *s, const double *c)
{
    double reads = c[KDS_SIM_COUNTER_UNIQUE_LD_SECTORS] * SECTOR;
    double writes = c[KDS_SIM_COUNTER_UNIQUE_ST_SECTORS] * SECTOR;
    if (s->read_footprint > 0 && reads > s->read_footprint + s->far_bytes)
        reads = s->read_footprint + s->far_bytes;
    if (s->write_footprint > 0 && writes > s->write_footprint)
        writes = s->write_footprint;
    return reads + writes;
}

/* The L1 is write-through: every sector of a store request travels, full or not. Reads are those
 * that missed the L1. */
static double l2_seconds(const kds_gpu *g, const double *c)
{
    double reads = c[KDS_SIM_COUNTER_UNIQUE_LD_SECTORS] * SECTOR;
    double writes = c[KDS_SIM_COUNTER_UNIQUE_ST_SECTORS] * SECTOR / g->l2_write_bytes_per_second;
    double requests =
        (c[KDS_SIM_COUNTER_GLOBAL_ST_SECTORS] + c[KDS_SIM_COUNTER_GLOBAL_RED_SECTORS]) /
        g->l2_write_sectors_per_second;
    return reads / g->l2_bytes_per_second + (writes > requests ? writes : requests);
}

void kds_sim_model(const kds_gpu *g, const kds_sim_shape *s,
                   const double counters[KDS_SIM_COUNTER_COUNT], double trace_cycles,
                   kds_sim_time *out)
{
#define COUNT(name) counters[KDS_SIM_COUNTER_##name]
    soft_max m = {g->soft_max, 0, 0, "latency"};
    int resident = kds_gpu_resident_blocks(g, s);
    double blocks = s->blocks > 0 ? (double)s->blocks : 1;
    double slots = (double)(resident > 0 ? resident : 1);
    /* Share of the whole work that the busiest SM does, and the seconds of one cycle of it all. */
    double share = ceil(blocks / g->sms) / blocks / g->clock_hz;

    out->dram_bytes = dram_bytes(s, counters);
    take(&m, "memory", out->dram_bytes / g->dram_bytes_per_second);
    take(&m, "l2", l2_seconds(g, counters));
    take(&m, "dispatch", blocks / g->blocks_per_cycle / g->clock_hz);

    take(&m, "issue", COUNT(WARP_INST) * share / g->issue_per_cycle);
    take(&m, "fp32", COUNT(INST_FP32) * share / g->fp32_per_cycle);
    take(&m, "alu", COUNT(INST_ALU) * share / g->alu_per_cycle);
    take(&m, "fp16", COUNT(INST_FP16) * share / g->fp16_per_cycle);
    take(&m, "fp64", COUNT(INST_FP64) * share / g->fp64_per_cycle);
    take(&m, "xu", COUNT(INST_XU) * share / g->xu_per_cycle);
    take(&m, "lsu", COUNT(INST_LSU) * share / g->lsu_per_cycle);
    take(&m, "tensor", COUNT(INST_TENSOR) * share / g->tensor_per_cycle);
    double l1_sectors = COUNT(GLOBAL_LD_SECTORS) + COUNT(GLOBAL_ST_SECTORS) +
                        COUNT(GLOBAL_RED_SECTORS) + COUNT(LOCAL_SECTORS);
    take(&m, "l1", l1_sectors * share / g->l1_sectors_per_cycle);
    double wavefronts = COUNT(SHARED_LD_WAVEFRONTS) + COUNT(SHARED_ST_WAVEFRONTS);
    take(&m, "shared", wavefronts * share / g->shared_wavefronts_per_cycle);

    double waves = blocks / (g->sms * slots);
    double paid = waves_paid(waves);
    double drain = COUNT(GLOBAL_ST_REQUESTS) > 0 ? g->store_drain_cycles : 0;
    double block_cycles = trace_cycles + g->block_launch_cycles + drain;
    take(&m, "latency", block_cycles * paid / g->clock_hz);

    out->us = 1e6 * m.largest * pow(m.sum, 1 / m.exponent);
    out->limiter = m.limiter;

    /* Warps active while an SM is active at all: full slots, thinned by the last wave. */
    double per_sm = blocks / (blocks < g->sms ? blocks : g->sms);
    double active = per_sm < slots ? per_sm : slots * waves / paid;
    double warps = active * divide_up(s->threads, WARP);
    out->occupancy_pct = 100 * warps / g->max_warps_per_sm;
#undef COUNT
}
