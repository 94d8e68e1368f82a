/* The GPUs that the time model knows. Each value stands with its source:
 *   [m] measured on one such GPU: copies, graphs of empty kernels, and the small kernels that
 *       MODEL.md describes,
 *   [w] the vendor's architecture white paper or data sheet,
 *   [g] CUDA C++ Programming Guide: table of compute capabilities, table of arithmetic throughput,
 *   [o] cuda_occupancy.h of the CUDA Toolkit,
 *   [l] W. Luo et al., "Benchmarking and Dissecting the Nvidia Hopper GPU Architecture", 2024,
 *   [c] Chips and Cheese, "Nvidia's H100: Funny L2, and Tons of Bandwidth", 2023,
 *   [f] fitted to the measured kernels of tests/calibration/h200 (27 November 2026, see MODEL.md),
 *   [e] our estimate: no source found.
 * A value is changed when a better source is found, never to make a kernel look better. */
#include "eval/sim/model.h"

#include <string.h>

static const kds_gpu gpus[] = {
    {
        .name = "h200",
        .arch = "sm_90",
        .sms = 132,                          /* [m] */
        .clock_hz = 1.98e9,                  /* [m] boost clock, held in memory-bound kernels */
        .dram_bytes_per_second = 4.25e12,    /* [m] vectorised copy, read + write */
        .l2_bytes = 60.0 * (1 << 20),        /* [m] */
        .l2_bytes_per_second = 8.3e12,       /* [m] 16-byte loads, 4 to 32 MB, 8 blocks per SM */
        .l2_write_bytes_per_second = 4.5e12, /* [m] 16-byte stores, 32 MB */
        .l2_write_sectors_per_second =
            3.25e12 / 16,                    /* [m] 2 bytes at a stride of 4: half sectors */
        .l2_write_lines_per_second = 6.7e10, /* [m] 2 bytes in each line: 34 per cycle */
        .one_wave_share = 0.92, /* [m] copy by a persistent grid: 3.918 of 4.256 TB/s */
        .issue_per_cycle = 4,   /* [w] four schedulers, one instruction each */
        .fp32_per_cycle = 4,    /* [g] 128 lanes */
        .alu_per_cycle = 3,  /* [f] [g] 64 lanes, and ptxas gives a part to the FMA pipe as IMAD */
        .fp16_per_cycle = 4, /* [g] 256 halves as 128 lanes of pairs */
        .fp64_per_cycle = 2, /* [g] 64 lanes */
        .xu_per_cycle = 0.5, /* [g] 16 lanes: rcp, rsqrt, sin, ex2 */
        .lsu_per_cycle = 1,  /* [g] 32 lanes */
        .tensor_per_cycle =
            0.63, /* [w] m16n8k16 of 2048 FMA on 4 x 512; [l] mma.sync reaches 63 % */
        .tensor_flops_per_cycle = 4096,   /* [w] 512 FMA in each of four tensor cores */
        .l1_lines_per_cycle = 1,          /* [m] 128 bytes, or a part of them */
        .shared_wavefronts_per_cycle = 1, /* [g] 128 bytes */
        .launch_us = 0.66,                /* [m] a node in a graph of 20 */
        .first_launch_us = 2.2,           /* [m] a graph of one node, less the events around it */
        .block_launch_cycles = 280, /* [m] empty blocks, one per SM: 293 with the block itself */
        .store_drain_cycles = 300, /* [m] blocks that copy less blocks that load, 1 of 256 per SM */
        .blocks_per_cycle = 0.828, /* [m] 2^20 empty blocks of 32 to 512 threads: 0.61 ns each */
        .soft_max = 6,             /* [f] two equal throughputs cost 12 % more than one */
        .soft_latency = 2.5,       /* [f] memory answers later the busier it is */
        .max_threads_per_sm = 2048,        /* [g] */
        .max_blocks_per_sm = 32,           /* [g] */
        .max_warps_per_sm = 64,            /* [g] */
        .registers_per_sm = 65536,         /* [g] */
        .l1_bytes = 256 << 10,             /* [g] */
        .shared_per_sm = 228 << 10,        /* [g] */
        .shared_per_block_reserved = 1024, /* [g] */
        .register_granularity = 256,       /* [o] */
        .shared_granularity = 128,         /* [o] */
        .latency =
            {
                .alu = 4.5,       /* [l] 4 to 5 for dependent integer operations */
                .fp32 = 4,        /* [l] */
                .fp64 = 8,        /* [l] 8 to 16 */
                .xu = 17,         /* [m] */
                .shared = 29,     /* [l], [m] */
                .global_l1 = 41,  /* [l] */
                .global_l2 = 282, /* [m]; [l] 263 */
                .global_dram =
                    860,       /* [m] slowest line of a block of 256 threads; one line alone: 678 */
                .barrier = 20, /* [m] 128 threads; 28 with 256, 77 with 1024 */
                .atomic = 328, /* [m] */
                .shuffle = 25, /* [m] */
                .tensor = 33,  /* [l] mma.sync m16n8k16 */
            },
    },
    {
        .name = "h100",
        .arch = "sm_90",
        .sms = 132,                          /* [w] SXM5 */
        .clock_hz = 1.83e9,                  /* [w] typical boost, SXM5 */
        .dram_bytes_per_second = 3.02e12,    /* [w] 3.35 TB/s, of which a copy reaches 90 % [e] */
        .l2_bytes = 50.0 * (1 << 20),        /* [w] */
        .l2_bytes_per_second = 7.7e12,       /* as h200 per cycle; [c] 5.5 to 6 on the PCIe card */
        .l2_write_bytes_per_second = 4.2e12, /* as h200 per cycle */
        .l2_write_sectors_per_second = 3.0e12 / 16, /* as h200 per cycle */
        .l2_write_lines_per_second = 6.2e10,        /* as h200 per cycle */
        .one_wave_share = 0.92,                     /* as h200 */
        .issue_per_cycle = 4,                       /* as h200: the same SM */
        .fp32_per_cycle = 4,
        .alu_per_cycle = 3,
        .fp16_per_cycle = 4,
        .fp64_per_cycle = 2,
        .xu_per_cycle = 0.5,
        .lsu_per_cycle = 1,
        .tensor_per_cycle = 0.63,
        .tensor_flops_per_cycle = 4096, /* [w] 512 FMA in each of four tensor cores */
        .l1_lines_per_cycle = 1,
        .shared_wavefronts_per_cycle = 1,
        .launch_us = 0.66,      /* as h200 */
        .first_launch_us = 2.2, /* as h200 */
        .block_launch_cycles = 280,
        .store_drain_cycles = 300,
        .blocks_per_cycle = 0.828,
        .soft_max = 6,       /* [f] two equal throughputs cost 12 % more than one */
        .soft_latency = 2.5, /* [f] memory answers later the busier it is */
        .max_threads_per_sm = 2048,
        .max_blocks_per_sm = 32,
        .max_warps_per_sm = 64,
        .registers_per_sm = 65536,
        .l1_bytes = 256 << 10,
        .shared_per_sm = 228 << 10,
        .shared_per_block_reserved = 1024,
        .register_granularity = 256,
        .shared_granularity = 128,
        .latency = {.alu = 4.5,
                    .fp32 = 4,
                    .fp64 = 8,
                    .xu = 17,
                    .shared = 29,
                    .global_l1 = 41,
                    .global_l2 = 282,
                    .global_dram = 795, /* as h200 in nanoseconds, at this clock */
                    .barrier = 20,
                    .atomic = 328,
                    .shuffle = 25,
                    .tensor = 33},
    },
    {
        .name = "a100",
        .arch = "sm_80",
        .sms = 108,                       /* [w] */
        .clock_hz = 1.41e9,               /* [w] */
        .dram_bytes_per_second = 1.77e12, /* [w] 2.04 TB/s (80 GB), a copy reaches 87 % [e] */
        .l2_bytes = 40.0 * (1 << 20),     /* [w] */
        .l2_bytes_per_second = 4.0e12,    /* [w] 5120 B/cycle is 7.2 TB/s; [c] about 4 achieved */
        .l2_write_bytes_per_second = 2.6e12,        /* [e] h200's share of the read rate */
        .l2_write_sectors_per_second = 1.9e12 / 16, /* [e] likewise */
        .l2_write_lines_per_second = 3.9e10,        /* [e] h200's share of the read rate */
        .one_wave_share = 0.92,                     /* [e] as h200 */
        .issue_per_cycle = 4,                       /* [w] */
        .fp32_per_cycle = 2,                        /* [g] 64 lanes */
        .alu_per_cycle = 3,                         /* [f] as h200 */
        .fp16_per_cycle = 4,                        /* [g] 256 halves */
        .fp64_per_cycle = 1,                        /* [g] 32 lanes */
        .xu_per_cycle = 0.5,                        /* [g] */
        .lsu_per_cycle = 1,                         /* [g] */
        .tensor_per_cycle = 0.5,                    /* [w] half of Hopper's rate */
        .tensor_flops_per_cycle = 2048,             /* [w] half of Hopper's */
        .l1_lines_per_cycle = 1,                    /* [g] */
        .shared_wavefronts_per_cycle = 1,           /* [g] */
        .launch_us = 0.9,                           /* [e] as h200, at the lower clock */
        .first_launch_us = 3.0,                     /* [e] */
        .block_launch_cycles = 280,                 /* [e] as h200 */
        .store_drain_cycles = 300,                  /* [e] as h200 */
        .blocks_per_cycle = 0.828,                  /* [e] as h200 */
        .soft_max = 6,                     /* [f] two equal throughputs cost 12 % more than one */
        .soft_latency = 2.5,               /* [f] memory answers later the busier it is */
        .max_threads_per_sm = 2048,        /* [g] */
        .max_blocks_per_sm = 32,           /* [g] */
        .max_warps_per_sm = 64,            /* [g] */
        .registers_per_sm = 65536,         /* [g] */
        .l1_bytes = 192 << 10,             /* [g] */
        .shared_per_sm = 164 << 10,        /* [g] */
        .shared_per_block_reserved = 1024, /* [g] */
        .register_granularity = 256,       /* [o] */
        .shared_granularity = 128,         /* [o] */
        .latency = {.alu = 4.5,            /* [l] all of these but those marked [e] above */
                    .fp32 = 4,
                    .fp64 = 8,
                    .xu = 18,
                    .shared = 29,
                    .global_l1 = 38,
                    .global_l2 = 262,
                    .global_dram = 590, /* [l] 466 for one line; the slowest as on h200 [e] */
                    .barrier = 20,
                    .atomic = 300,
                    .shuffle = 23,
                    .tensor = 25},
    },
};

#define GPU_COUNT (sizeof gpus / sizeof gpus[0])

const kds_gpu *kds_gpu_find(const char *name)
{
    for (size_t i = 0; i < GPU_COUNT; i++)
        if (strcmp(gpus[i].name, name) == 0)
            return &gpus[i];
    return NULL;
}

const char *const *kds_gpu_names(void)
{
    static const char *const names[] = {"h200", "h100", "a100", NULL};
    return names;
}
