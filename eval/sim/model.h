/* The analytical time model: counts of a launch and the shape of the GPU to modelled microseconds.
 * Its purpose is ranking. Every number that it gives is modelled and must be called so. MODEL.md
 * has the formulas, the sources and what is not modelled. */
#ifndef KDS_EVAL_SIM_MODEL_H
#define KDS_EVAL_SIM_MODEL_H

#include "eval/sim/sim.h"

/* A GPU as the model sees it. All rates are per second or per SM and cycle; the source of each
 * value is in gpus.c. */
typedef struct kds_gpu {
    const char *name; /* "h200" */
    const char *arch; /* "sm_90" */
    int sms;
    double clock_hz;
    double dram_bytes_per_second;         /* achieved by a copy */
    double l2_bytes, l2_bytes_per_second; /* read */
    double l2_write_bytes_per_second;     /* of whole sectors */
    double l2_write_sectors_per_second;   /* of requests: each sector of a line */
    double l2_write_lines_per_second;     /* of requests: lines of 128 bytes, however full */
    double one_wave_share;  /* of the copy rate that a grid gets whose blocks all run at once */
    double issue_per_cycle; /* warp instructions per SM and cycle */
    double fp32_per_cycle, alu_per_cycle, fp16_per_cycle, fp64_per_cycle, xu_per_cycle,
        lsu_per_cycle, tensor_per_cycle;
    double tensor_flops_per_cycle; /* of an SM, 16-bit dense: for the roofline */
    double l1_lines_per_cycle, shared_wavefronts_per_cycle;
    double launch_us, first_launch_us; /* each further launch of a plan; a plan's first */
    double block_launch_cycles;        /* of a slot, from one block's end to the next one's start */
    double store_drain_cycles;         /* from a block's last store until its slot is free */
    double blocks_per_cycle;           /* that the whole GPU can start */
    double soft_max;                   /* exponent of the soft maximum over the throughputs */
    double soft_latency;               /* the same of these together and the latency */
    int max_threads_per_sm, max_blocks_per_sm, max_warps_per_sm, registers_per_sm;
    int l1_bytes; /* of an SM, shared memory included */
    int shared_per_sm, shared_per_block_reserved, register_granularity, shared_granularity;
    kds_sim_latency latency;
} kds_gpu;

/* NULL if there is no such GPU. */
const kds_gpu *kds_gpu_find(const char *name);
/* NULL-terminated; the first is the default. */
const char *const *kds_gpu_names(void);

typedef struct kds_sim_shape {
    uint64_t blocks;
    int threads;                 /* per block */
    int registers, shared_bytes; /* per thread; static + dynamic, per block */
    /* Bytes of the buffers that the launch can read from DRAM and that it can write: reads and
     * writes beyond them hit the L2. 0: no bound known. */
    double read_footprint, write_footprint;
    double far_bytes; /* read again so late that the L2 has dropped them */
} kds_sim_shape;

/* What tracing a launch's blocks showed. */
typedef struct kds_sim_trace {
    double cycles, longest; /* of a block alone: the mean, the longest */
    double l1_misses;       /* share of the sectors loaded that do not come from the L1 */
    double l1_again;        /* share that does not although the block had loaded it before */
    double again_lines;     /* of 128 bytes, that a warp loaded in between, on average */
} kds_sim_trace;

/* Resident blocks per SM by threads, registers, shared memory (CUDA's occupancy rules; CUDA C++
 * Programming Guide, "Multiprocessor level"). 0: cannot launch. */
int kds_gpu_resident_blocks(const kds_gpu *g, const kds_sim_shape *s);

typedef struct kds_sim_time {
    double us;            /* modelled; without the launch itself (launch_us, first_launch_us) */
    double occupancy_pct; /* warps active, % of peak, averaged over the launch (waves included) */
    double dram_read_bytes, dram_write_bytes; /* modelled */
    double l2_read_sectors, l2_hit_pct;       /* modelled; hits of reads and writes together */
    const char
        *limiter; /* "memory", "l2", "dispatch", "issue", "latency", "l1", "shared", "fp64", ... */
} kds_sim_time;

/* Modelled time of one launch from counts already scaled to the whole grid. */
void kds_sim_model(const kds_gpu *g, const kds_sim_shape *s,
                   const double counters[KDS_SIM_COUNTER_COUNT], const kds_sim_trace *trace,
                   kds_sim_time *out);

/* Highest rate of single-precision operations (a fused multiply-add is two), per second. */
double kds_gpu_flops(const kds_gpu *g);
/* The same of tensor cores on f16 and bf16 with f32 sums. */
double kds_gpu_tensor_flops(const kds_gpu *g);

#endif
