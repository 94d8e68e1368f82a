/* The time model: each resource's time is its demand over its rate on the busiest SM (or on the
 * whole chip for L2 and DRAM); the latency time is what a traced block takes times the number of
 * waves. The times are joined by a p-norm, a soft maximum: ranking stays smooth where two resources
 * are nearly equal. Pure arithmetic; nothing here knows of tasks. */
#include "eval/sim/model.h"

#include <math.h>

#define SECTOR 32.0
#define LINE 128.0
#define WARP 32
#define SUB_PARTITIONS 4
/* Steepness of the change from hit to miss as what passes through the L2 exceeds its size. */
#define STEEPNESS 4.0

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

static double resident_warps(const kds_gpu *g, const kds_sim_shape *s, double slots)
{
    double per_sm = ceil((double)s->blocks / g->sms);
    return g->sms * (per_sm < slots ? per_sm : slots) * divide_up(s->threads, WARP);
}

/* Sectors that reach the L2: what a block has not in its L1. Every block brings its own, so that
 * this is at least what is read at all. */
static double l2_reads(const double *c, const kds_sim_trace *trace)
{
    double sectors = c[KDS_SIM_COUNTER_GLOBAL_LD_SECTORS] * trace->l1_misses;
    double unique = c[KDS_SIM_COUNTER_UNIQUE_LD_SECTORS];
    return sectors > unique ? sectors : unique;
}

/* Bytes that blocks read again after the L2 has dropped them: all that are resident have moved
 * their lines through it in between. */
static double dropped_bytes(const kds_gpu *g, const double *c, const kds_sim_trace *trace,
                            double warps)
{
    double loaded = c[KDS_SIM_COUNTER_LINES] - c[KDS_SIM_COUNTER_ST_LINES];
    if (!(trace->l1_again > 0) || !(loaded > 0))
        return 0;
    double lines = trace->again_lines * c[KDS_SIM_COUNTER_LINES] / loaded;
    double between = lines * LINE * warps;
    double dropped = 1 / (1 + pow(g->l2_bytes / between, STEEPNESS));
    return c[KDS_SIM_COUNTER_GLOBAL_LD_SECTORS] * trace->l1_again * SECTOR * dropped;
}

static void memory_traffic(const kds_gpu *g, const kds_sim_shape *s, const double *c,
                           const kds_sim_trace *trace, double warps, kds_sim_time *out)
{
    double reads = c[KDS_SIM_COUNTER_UNIQUE_LD_SECTORS] * SECTOR;
    double writes = c[KDS_SIM_COUNTER_UNIQUE_ST_SECTORS] * SECTOR;
    if (s->read_footprint > 0 && reads > s->read_footprint + s->far_bytes)
        reads = s->read_footprint + s->far_bytes;
    if (s->write_footprint > 0 && writes > s->write_footprint)
        writes = s->write_footprint;
    out->l2_read_sectors = l2_reads(c, trace);
    reads += dropped_bytes(g, c, trace, warps);
    if (reads > out->l2_read_sectors * SECTOR)
        reads = out->l2_read_sectors * SECTOR;
    out->dram_read_bytes = reads;
    out->dram_write_bytes = writes;
    double stores = c[KDS_SIM_COUNTER_GLOBAL_ST_SECTORS] + c[KDS_SIM_COUNTER_GLOBAL_RED_SECTORS];
    double all = out->l2_read_sectors + stores;
    out->l2_hit_pct = all > 0 ? 100 * (all - reads / SECTOR) / all : 0;
}

/* The L1 is write-through: every sector of a store request travels, full or not. */
static double l2_seconds(const kds_gpu *g, const double *c, double reads)
{
    double writes = c[KDS_SIM_COUNTER_UNIQUE_ST_SECTORS] * SECTOR / g->l2_write_bytes_per_second;
    double sectors =
        (c[KDS_SIM_COUNTER_GLOBAL_ST_SECTORS] + c[KDS_SIM_COUNTER_GLOBAL_RED_SECTORS]) /
        g->l2_write_sectors_per_second;
    double lines = c[KDS_SIM_COUNTER_ST_LINES] / g->l2_write_lines_per_second;
    double requests = sectors > lines ? sectors : lines;
    return reads * SECTOR / g->l2_bytes_per_second + (writes > requests ? writes : requests);
}

/* Every resource that is shared by the warps of a multiprocessor, or by all of them. */
static void take_throughputs(soft_max *m, const kds_gpu *g, const double *counters, double blocks)
{
#define COUNT(name) counters[KDS_SIM_COUNTER_##name]
    /* Share of the whole work that the busiest SM does, and the seconds of one cycle of it all. */
    double share = ceil(blocks / g->sms) / blocks / g->clock_hz;
    take(m, "dispatch", blocks / g->blocks_per_cycle / g->clock_hz);
    take(m, "issue", COUNT(WARP_INST) * share / g->issue_per_cycle);
    take(m, "fp32", COUNT(INST_FP32) * share / g->fp32_per_cycle);
    take(m, "alu", COUNT(INST_ALU) * share / g->alu_per_cycle);
    take(m, "fp16", COUNT(INST_FP16) * share / g->fp16_per_cycle);
    take(m, "fp64", COUNT(INST_FP64) * share / g->fp64_per_cycle);
    take(m, "xu", COUNT(INST_XU) * share / g->xu_per_cycle);
    take(m, "lsu", COUNT(INST_LSU) * share / g->lsu_per_cycle);
    take(m, "tensor", COUNT(INST_TENSOR) * share / g->tensor_per_cycle);
    double lines = COUNT(LINES) + COUNT(LOCAL_SECTORS) * SECTOR / LINE;
    take(m, "l1", lines * share / g->l1_lines_per_cycle);
    double wavefronts = COUNT(SHARED_LD_WAVEFRONTS) + COUNT(SHARED_ST_WAVEFRONTS);
    take(m, "shared", wavefronts * share / g->shared_wavefronts_per_cycle);
#undef COUNT
}

static double seconds_of(const soft_max *m)
{
    return m->largest > 0 ? m->largest * pow(m->sum, 1 / m->exponent) : 0;
}

void kds_sim_model(const kds_gpu *g, const kds_sim_shape *s,
                   const double counters[KDS_SIM_COUNTER_COUNT], const kds_sim_trace *trace,
                   kds_sim_time *out)
{
    soft_max rates = {g->soft_max, 0, 0, ""}, both = {g->soft_latency, 0, 0, "latency"};
    int resident = kds_gpu_resident_blocks(g, s);
    double blocks = s->blocks > 0 ? (double)s->blocks : 1;
    double slots = (double)(resident > 0 ? resident : 1);
    double waves = blocks / (g->sms * slots), paid = waves_paid(waves);

    memory_traffic(g, s, counters, trace, resident_warps(g, s, slots), out);
    double copy_rate = g->dram_bytes_per_second * (waves <= 1 ? g->one_wave_share : 1);
    take(&rates, "memory", (out->dram_read_bytes + out->dram_write_bytes) / copy_rate);
    take(&rates, "l2", l2_seconds(g, counters, out->l2_read_sectors));
    take_throughputs(&rates, g, counters, blocks);

    /* Before the first data arrives, and after the last was sent, nothing is at its rate. */
    double drain = counters[KDS_SIM_COUNTER_GLOBAL_ST_REQUESTS] > 0 ? g->store_drain_cycles : 0;
    double fixed = g->block_launch_cycles + drain;
    double cycles = (trace->cycles + fixed) * paid + trace->longest - trace->cycles;
    double fill = g->latency.global_dram + fixed;
    fill = fill < cycles ? fill : cycles;
    take(&both, rates.limiter, seconds_of(&rates));
    take(&both, "latency", (cycles - fill) / g->clock_hz);
    double filling = fill / g->clock_hz, running = seconds_of(&both);
    out->us = 1e6 * (filling + running);
    out->limiter = filling > running ? "latency" : both.limiter;

    /* Warps active while an SM is active at all: full slots, thinned by the last wave. */
    double per_sm = blocks / (blocks < g->sms ? blocks : g->sms);
    double active = per_sm < slots ? per_sm : slots * waves / paid;
    double warps = active * divide_up(s->threads, WARP);
    out->occupancy_pct = 100 * warps / g->max_warps_per_sm;
}
