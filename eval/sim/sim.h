/* The simulator: a functional PTX interpreter with exact memory checks, counters named like
 * CUPTI's, and per-warp dependency timing. It knows nothing of tasks. It never guesses: an
 * instruction that it does not have makes the launch end with KDS_SIM_NOT_SIMULATED naming it. */
#ifndef KDS_EVAL_SIM_H
#define KDS_EVAL_SIM_H

#include "search/base/json.h"

/* ---- Memory: buffers in one flat global address space, each between guard zones, filled on
 * demand. ---- */
typedef struct kds_sim_memory kds_sim_memory;

typedef enum kds_sim_content {
    KDS_SIM_UNDEFINED, /* reading it before writing is reported; bytes hold `poison` */
    KDS_SIM_DEFINED,   /* filled by `fill`, or zero if that is NULL */
} kds_sim_content;

/* Writes bytes [first, first + len) of the buffer; first and len are multiples of 16 (or end at the
 * buffer's end). */
typedef void kds_sim_fill(void *user, uint64_t first, uint64_t len, void *out);

typedef struct kds_sim_buffer {
    const char *name; /* copied */
    uint64_t bytes;
    bool read_only; /* a store is reported as KDS_SIM_WROTE_INPUT */
    kds_sim_content content;
    kds_sim_fill *fill;
    void *user;
    uint8_t poison; /* byte pattern of undefined content */
} kds_sim_buffer;

kds_sim_memory *kds_sim_memory_create(void);
void kds_sim_memory_free(kds_sim_memory *m);
/* Returns the device address (256-byte aligned) of a new buffer, 0 if out of memory. Pages are
 * materialised when first touched, so a 2 GB buffer of which 1 MB is used costs about 1 MB. */
uint64_t kds_sim_memory_add(kds_sim_memory *m, const kds_sim_buffer *b);
/* Host access through the same pages. Reading: `written` (may be NULL) gets 1 for each byte that a
 * kernel or kds_sim_memory_write stored. False: outside the buffer. */
bool kds_sim_memory_read(kds_sim_memory *m, uint64_t address, uint64_t len, void *out,
                         uint8_t *written);
bool kds_sim_memory_write(kds_sim_memory *m, uint64_t address, uint64_t len, const void *data);
/* Calls fn for each maximal range of bytes of the buffer at `address` that kernels stored to, in
 * order. */
void kds_sim_memory_each_written(kds_sim_memory *m, uint64_t address,
                                 void (*fn)(void *user, uint64_t first, uint64_t len), void *user);

/* ---- Modules ---- */
typedef struct kds_sim_module kds_sim_module;
/* Parses and decodes PTX. KDS_INVALID: not PTX that we can read at all (line and reason). An
 * instruction that is not known only makes the kernels that contain it unrunnable. */
KDS_MUST_USE kds_code kds_sim_module_load(kds_sim_module **out, const char *ptx, size_t len,
                                          kds_err *e);
void kds_sim_module_free(kds_sim_module *m);
/* NULL if kernel `name` can run; else what is not simulated, "opcode at line N". "no such kernel"
 * if there is none. */
const char *kds_sim_module_missing(const kds_sim_module *m, const char *kernel);

/* The cluster that a kernel was compiled for; all 1 if none. */
void kds_sim_module_cluster(const kds_sim_module *m, const char *kernel, uint32_t cluster[3]);

/* ---- Launching ---- */
typedef enum kds_sim_status {
    KDS_SIM_OK,
    KDS_SIM_NOT_SIMULATED,
    KDS_SIM_OUT_OF_BOUNDS,
    KDS_SIM_MISALIGNED,
    KDS_SIM_UNINITIALISED,
    KDS_SIM_WROTE_INPUT,
    KDS_SIM_BARRIER, /* divergent or never-reached barrier */
    KDS_SIM_TRAP,
    KDS_SIM_BUDGET,     /* instruction budget used up: endless loop */
    KDS_SIM_BAD_LAUNCH, /* parameters, block size, shared memory, cluster */
    KDS_SIM_DEADLOCK,   /* every resident block waits for a value that nobody changes any more */
    KDS_SIM_RACE,       /* accesses of one place that nothing orders, at least one a store */
    KDS_SIM_ASYNC       /* use of memory that an asynchronous copy may still read or write */
} kds_sim_status;
const char *kds_sim_status_name(kds_sim_status s);

/* Additive counts of one launch over the blocks that ran. Names in kds_sim_counter_name; the ones
 * that mean the same as CUPTI's have CUPTI's names. */
#define KDS_SIM_COUNTERS(X)                                                                        \
    X(THREAD_INST, "smsp__thread_inst_executed.sum")                                               \
    X(WARP_INST, "smsp__inst_executed.sum")                                                        \
    X(INST_FP32, "smsp__inst_executed_pipe_fp32.sum")                                              \
    X(INST_ALU, "smsp__inst_executed_pipe_alu.sum")                                                \
    X(INST_FP16, "smsp__inst_executed_pipe_fp16.sum")                                              \
    X(INST_FP64, "smsp__inst_executed_pipe_fp64.sum")                                              \
    X(INST_XU, "smsp__inst_executed_pipe_xu.sum")                                                  \
    X(INST_LSU, "smsp__inst_executed_pipe_lsu.sum")                                                \
    X(INST_TENSOR, "smsp__inst_executed_pipe_tensor.sum")                                          \
    X(INST_CONTROL, "smsp__inst_executed_pipe_cbu.sum")                                            \
    X(GLOBAL_LD_REQUESTS, "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum")                       \
    X(GLOBAL_LD_SECTORS, "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum")                         \
    X(GLOBAL_ST_REQUESTS, "l1tex__t_requests_pipe_lsu_mem_global_op_st.sum")                       \
    X(GLOBAL_ST_SECTORS, "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum")                         \
    X(GLOBAL_RED_REQUESTS, "l1tex__t_requests_pipe_lsu_mem_global_op_red.sum")                     \
    X(GLOBAL_RED_SECTORS, "l1tex__t_sectors_pipe_lsu_mem_global_op_red.sum")                       \
    X(SHARED_LD_WAVEFRONTS, "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_ld.sum")                \
    X(SHARED_ST_WAVEFRONTS, "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_st.sum")                \
    X(SHARED_LD_CONFLICTS, "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld.sum")             \
    X(SHARED_ST_CONFLICTS, "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_st.sum")             \
    X(LOCAL_SECTORS, "l1tex__t_sectors_pipe_lsu_mem_local.sum")                                    \
    X(LINES, "sim__global_lines.sum")       /* of 128 bytes, per request: what the L1 looks up */  \
    X(ST_LINES, "sim__global_lines_st.sum") /* those of stores and reductions */                   \
    X(BRANCHES, "smsp__sass_branch_targets.sum")                                                   \
    X(BRANCHES_DIVERGENT, "smsp__sass_branch_targets_threads_divergent.sum")                       \
    X(BARRIERS, "sim__barriers.sum")                                                               \
    X(WARPS, "sm__warps_launched.sum")                                                             \
    X(BLOCKS, "sm__ctas_launched.sum")                                                             \
    X(UNIQUE_LD_SECTORS,                                                                           \
      "sim__unique_sectors_ld.sum") /* distinct 32-byte sectors read, per block group */           \
    X(UNIQUE_ST_SECTORS, "sim__unique_sectors_st.sum")

typedef enum kds_sim_counter {
#define KDS_X(name, text) KDS_SIM_COUNTER_##name,
    KDS_SIM_COUNTERS(KDS_X)
#undef KDS_X
        KDS_SIM_COUNTER_COUNT
} kds_sim_counter;
const char *kds_sim_counter_name(kds_sim_counter c);

/* Latencies in cycles for the dependency timing of traced warps. */
typedef struct kds_sim_latency {
    double alu, fp32, fp64, xu, shared, global_l1, global_l2, global_dram, barrier, atomic, shuffle,
        tensor;
} kds_sim_latency;

typedef struct kds_sim_options {
    uint64_t budget;       /* warp instructions over the launch; 0: 2^40 */
    uint64_t block_budget; /* warp instructions of one block; 0: budget */
    /* Linear block numbers to run, ascending; NULL: all. A cluster runs whole if one of its blocks
     * is among them. */
    const uint64_t *blocks;
    uint64_t block_count;
    uint32_t cluster[3]; /* blocks per cluster; 0: what the kernel was compiled for, or 1 */
    bool cooperative;    /* all blocks resident; grid synchronisation has its workspace */
    uint32_t resident;   /* blocks that can be resident at once; 0: 4096 */
    bool check_uninitialised;
    bool check_races; /* of shared memory within a block or cluster, of global between blocks */
    int threads; /* cores that blocks may run on; 0: 1. Results do not depend on it; kernels whose
                    blocks may talk to each other run on one. */
    const kds_sim_latency *latency; /* NULL: no dependency timing */
    int trace_blocks;   /* how many of the blocks are traced (spread evenly); 0 with latency: 2 */
    uint32_t l1_lines;  /* of 128 bytes, a traced warp's share of the L1; 0: all that it reads */
    uint32_t registers; /* of a thread: bounds what its loads in flight may fill; 0: no bound */
    const char *isa;    /* NULL: the best one here; "baseline": the one of the whole program */
} kds_sim_options;

typedef struct kds_sim_result {
    kds_sim_status status;
    char report[2000]; /* for status != OK: what, kernel, block, thread, PTX line, address relative
                          to the nearest buffer ("4 bytes past the end of y (bf16 ...)"), opcode */
    int source_line;   /* from .loc if there is one, else 0 */
    double counters[KDS_SIM_COUNTER_COUNT];
    double flops, matrix_flops; /* operations on floating-point numbers (flops.h) by all threads;
                                   in matrix products */
    double trace_cycles;  /* mean over traced blocks: cycles from start to end of a block running
                             alone, every access at its latency, instructions issued in order as
                             their operands become ready; 0 if not traced */
    double trace_longest; /* the longest of these blocks */
    double l1_loads, l1_misses; /* sectors that traced blocks loaded; those not in the L1 */
    double l1_again;            /* of these, those that their block had loaded before */
    double again_lines;         /* of 128 bytes, that a warp had loaded since, on average */
} kds_sim_result;

/* Runs kernel `kernel` (lowered name). `params` is the parameter block laid out as PTX declares it.
 * KDS_OK whatever the kernel did; the status is in the result. Errors are ours only (out of
 * memory). */
KDS_MUST_USE kds_code kds_sim_launch(const kds_sim_module *m, const char *kernel,
                                     const uint32_t grid[3], const uint32_t block[3],
                                     uint32_t dynamic_shared, const void *params, size_t params_len,
                                     kds_sim_memory *memory, const kds_sim_options *o,
                                     kds_sim_result *out, kds_err *e);
/* "avx2" or "baseline": the instruction set in use here. */
const char *kds_sim_isa(void);

#endif
