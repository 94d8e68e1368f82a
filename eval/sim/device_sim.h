/* The simulated device, shared between its files. Nothing else includes this. */
#ifndef KDS_EVAL_SIM_DEVICE_SIM_H
#define KDS_EVAL_SIM_DEVICE_SIM_H

#include "eval/device.h"
#include "eval/sim/observe.h"

/* A row whose buffers together are at most this runs whole, else a sample of its blocks. */
#define SIM_WHOLE_BYTES (8u << 20)
#define SIM_INPUT_CACHE (192u << 20) /* generated inputs kept, all benches together */
#define SIM_CHUNK 4096               /* bytes of input generated at a time */

typedef struct sim_device {
    kds_device base;
    const kds_gpu *gpu;
    uint64_t seed;
    size_t cached;              /* bytes of inputs kept */
    kds_sim_observed *observed; /* NULL: nobody looks */
} sim_device;

struct kds_program {
    sim_device *device;
    const kds_plan *plan;
    const kds_compiled *compiled;
    bool oracle;
    kds_sim_module *modules[KDS_PLAN_GROUPS];
    kds_binding **bindings; /* by row; NULL until first used */
};

/* One input as its bench makes it, chunk by chunk, when it is touched. */
typedef struct sim_input {
    sim_device *device;
    kds_filler filler;
    uint64_t bytes;
    unsigned char **chunks;
    size_t chunk_count;
} sim_input;

/* The memory of one run: addresses of the task's buffers and of scratch. */
typedef struct sim_memory {
    kds_sim_memory *memory;
    uint64_t buffers[KDS_BUFFERS_MAX], scratch[KDS_PLAN_SCRATCH];
} sim_memory;

/* An oracle that runs block by block as its outputs are asked for: blocks that ran, in the memory
 * that holds what they wrote. */
typedef struct sim_cover {
    const kds_program *program;
    sim_memory at;
    uint64_t *ran; /* ascending */
    size_t ran_count, ran_room;
    int64_t per_block[KDS_BUFFERS_MAX]; /* elements that one block writes; 0: not known */
} sim_cover;

#define SIM_COVERS 2 /* reference and baseline */
typedef struct sim_bench {
    kds_bench base;
    uint64_t secret;
    int regime;
    sim_input inputs[KDS_BUFFERS_MAX];
    sim_cover covers[SIM_COVERS];
} sim_bench;

typedef struct sim_range {
    int64_t first, count; /* elements of the span */
    size_t at;            /* of their bytes in the data */
} sim_range;
typedef struct sim_part {
    int buffer; /* -1: not an output */
    kds_dtype dtype;
    sim_range *ranges;
    size_t range_count, range_room;
    unsigned char *data;
    size_t len;
} sim_part;
struct kds_outputs {
    sim_part parts[KDS_BUFFERS_MAX]; /* by buffer */
};

/* device_sim.c: the binding of a program to a row. NULL with KDS_OK: a finding. */
kds_code sim_program_binding(kds_program *p, int row, kds_binding **out, kds_finding *f,
                             kds_err *e);
/* Memory with all buffers and scratch of a run in place; or those of a further run in the memory
 * already there. */
kds_code sim_memory_fill(sim_memory *m, sim_bench *b, const kds_binding *binding, bool oracle,
                         uint8_t poison, kds_err *e);
void sim_memory_drop(sim_memory *m);
kds_dtype sim_output_type(const sim_bench *b, const kds_program *p, int buffer);
bool sim_is_output(const kds_task *t, int buffer);

/* sim_run.c: one launch over some blocks. A status other than OK becomes a finding. */
typedef struct sim_launch {
    sim_bench *bench;
    kds_program *program;
    const kds_binding *binding;
    const kds_launch *launch;
    const kds_kernel_facts *kernel;
    sim_memory *at;
    uint64_t grid;             /* units in all: blocks, or clusters of a launch in clusters */
    uint32_t cluster[3], unit; /* blocks of a unit */
    bool check_uninitialised, check_races;
} sim_launch;
kds_code sim_launch_prepare(sim_launch *l, kds_finding *f);
/* `blocks` are units. */
kds_code sim_launch_blocks(const sim_launch *l, const uint64_t *blocks, uint64_t count,
                           uint64_t budget, bool trace, kds_sim_result *r, kds_finding *f,
                           kds_err *e);
kds_code sim_bench_run(kds_bench *b, kds_program *p, const kds_run_options *o, kds_run_result *run,
                       kds_outputs **out, kds_finding *f, kds_err *e);

/* sim_coverage.c: what launches write of each output, in elements. */
typedef struct sim_written {
    double elements[KDS_BUFFERS_MAX];
    double ranges[KDS_BUFFERS_MAX]; /* unbroken stretches, where counted in a memory */
} sim_written;
void sim_written_count(const sim_launch *l, const sim_memory *at, sim_written *out);
/* Of the whole grid, from `seen` blocks that wrote `all`, the first block among them wrote `first`;
 * the last block, which is not among them, wrote `tail`. */
void sim_written_scale(const sim_written *first, const sim_written *all, const sim_written *tail,
                       uint64_t seen, uint64_t grid, sim_written *out);
/* From more blocks, of `work` warp instructions each: the most that it may be. `out` comes with a
 * first estimate. */
kds_code sim_written_measure(const sim_launch *l, double work, const sim_written *first,
                             const sim_written *tail, bool spread_well, sim_written *out,
                             kds_finding *f, kds_err *e);
/* The share of `count` (at most 8) equal parts of an output in which something is written. */
double sim_written_spread(const sim_launch *l, const sim_memory *at, int count);
/* The share of the output of which the least is written; the same of what is read and written, 1 if
 * nothing is. */
double sim_written_share(const sim_bench *b, const sim_written *w);
double sim_rewritten_share(const sim_bench *b, const sim_written *w);

/* Counts of one launch over the whole grid, from a sample or exactly. */
typedef struct sim_totals {
    double counters[KDS_SIM_COUNTER_COUNT];
    kds_sim_trace trace;
    double far_bytes;
    sim_written written; /* elements that no earlier launch had written */
} sim_totals;

/* sim_time.c: from the counts of a plan's launches to its modelled time and counters. */
typedef struct sim_timing {
    bool buffers[KDS_BUFFERS_MAX], scratch[KDS_PLAN_SCRATCH]; /* that launches have touched */
    bool kept; /* all buffers of the plan fit in the L2 together */
    /* Sums over the launches. */
    double counters[KDS_SIM_COUNTER_COUNT];
    double dram_read, dram_write, l2_reads, l2_sectors, l2_hits;
    double occupancy, us; /* occupancy weighted by time */
    double longest;
} sim_timing;
void sim_timing_begin(sim_timing *t, const sim_bench *b, const kds_program *p,
                      const kds_binding *binding, kds_run_result *run);
void sim_timing_launch(sim_timing *t, const sim_launch *l, const sim_totals *totals,
                       kds_run_result *run);
void sim_timing_end(const sim_timing *t, kds_run_result *run);

/* sim_reuse.c: bytes that blocks far apart in a sampled grid read again after the L2 has dropped
 * them. */
kds_code sim_far_bytes(const sim_launch *l, double *bytes, kds_finding *f, kds_err *e);

/* sim_outputs.c */
kds_code sim_outputs_take(kds_outputs **out, const sim_bench *b, const kds_program *p,
                          const sim_memory *m, kds_err *e);
/* Adds elements [first, first + count) of a buffer, read from `m`, to the outputs. */
kds_code sim_outputs_add(kds_outputs *o, int buffer, kds_dtype dtype, int64_t first, int64_t count,
                         const sim_memory *m, kds_err *e);
kds_outputs *sim_outputs_create(void);
void sim_outputs_free(kds_outputs *o);
size_t sim_outputs_bytes(const kds_outputs *o);
kds_code sim_outputs_compare(const kds_bench *b, int buffer, const kds_outputs *got,
                             const kds_outputs *want, const kds_tolerance *t, bool bitwise,
                             kds_errors *out, kds_err *e);
kds_code sim_outputs_complete(const kds_bench *b, const kds_outputs *o, kds_finding *f, kds_err *e);
kds_code sim_outputs_same(const kds_bench *b, const kds_outputs *first, const kds_outputs *second,
                          kds_finding *f, kds_err *e);

/* sim_cover.c */
kds_code sim_bench_cover(kds_bench *b, kds_program *p, const kds_outputs *like, kds_outputs **out,
                         kds_finding *f, kds_err *e);
void sim_cover_drop(sim_cover *c);

#endif
