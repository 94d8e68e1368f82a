/* kds_sim_launch: checks the launch, builds the machine, runs the blocks asked for, and turns what
 * was counted into counters. */
#include "eval/sim/flops.h"
#include "eval/sim/machine.h"
#include "eval/sim/module.h"
#include "eval/sim/race.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARED_PER_BLOCK 232448u /* 227 KiB: the most of any GPU known here */
#define DEFAULT_BUDGET (UINT64_C(1) << 40)

const char *kds_sim_isa(void)
{
#if defined(__x86_64__)
    /* Every processor with AVX2 has F16C. */
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return "avx2";
#endif
    return "baseline";
}

static kds_run_warp *interpreter(const char *isa)
{
#if defined(__x86_64__)
    if (strcmp(kds_sim_isa(), "avx2") == 0 && (isa == NULL || strcmp(isa, "baseline") != 0))
        return kds_run_warp_avx2;
#else
    (void)isa;
#endif
    return kds_run_warp_baseline;
}

KDS_PRINTF(3, 4)
static bool refuse(kds_sim_result *out, kds_sim_status s, const char *fmt, ...)
{
    out->status = s;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out->report, sizeof out->report, fmt, ap);
    va_end(ap);
    return false;
}

/* True if the launch may go ahead; else the result says why not. */
static bool check_launch(const kds_kernel *k, const char *name, const uint32_t grid[3],
                         const uint32_t block[3], uint32_t dynamic_shared, size_t params_len,
                         kds_sim_result *out)
{
    if (k == NULL)
        return refuse(out, KDS_SIM_BAD_LAUNCH, "bad launch: no kernel '%.300s' in the module",
                      name);
    if (k->missing != NULL)
        return refuse(out, KDS_SIM_NOT_SIMULATED, "not simulated: kernel %.300s: %s", name,
                      k->missing);
    uint64_t threads = (uint64_t)block[0] * block[1] * block[2];
    if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0 || grid[0] > INT32_MAX || grid[1] > 65535 ||
        grid[2] > 65535)
        return refuse(out, KDS_SIM_BAD_LAUNCH, "bad launch: kernel %.300s: grid (%u, %u, %u)", name,
                      grid[0], grid[1], grid[2]);
    if (block[0] == 0 || block[1] == 0 || block[2] == 0 || block[0] > 1024 || block[1] > 1024 ||
        block[2] > 64 || threads > 1024)
        return refuse(out, KDS_SIM_BAD_LAUNCH,
                      "bad launch: kernel %.300s: block (%u, %u, %u) is not between 1 and 1024 "
                      "threads",
                      name, block[0], block[1], block[2]);
    if (k->max_threads != 0 && threads > k->max_threads)
        return refuse(out, KDS_SIM_BAD_LAUNCH,
                      "bad launch: kernel %.300s: %llu threads, but it was compiled for at most %u",
                      name, (unsigned long long)threads, k->max_threads);
    if (k->required[0] != 0 &&
        (block[0] != k->required[0] || block[1] != k->required[1] || block[2] != k->required[2]))
        return refuse(out, KDS_SIM_BAD_LAUNCH,
                      "bad launch: kernel %.300s requires a block of (%u, %u, %u)", name,
                      k->required[0], k->required[1], k->required[2]);
    if ((uint64_t)k->shared_bytes + dynamic_shared > SHARED_PER_BLOCK)
        return refuse(out, KDS_SIM_BAD_LAUNCH,
                      "bad launch: kernel %.300s: %llu bytes of shared memory, the most is %u",
                      name, (unsigned long long)k->shared_bytes + dynamic_shared, SHARED_PER_BLOCK);
    if (params_len != k->param_bytes)
        return refuse(out, KDS_SIM_BAD_LAUNCH,
                      "bad launch: kernel %.300s takes %u bytes of parameters, not %zu", name,
                      k->param_bytes, params_len);
    return true;
}

static bool allocate(kds_run *r)
{
    const kds_kernel *k = r->kernel;
    size_t memos = ((size_t)k->memo_count + 1) * sizeof(kds_memo);
    r->memos = aligned_alloc(64, (memos + 63) / 64 * 64);
    r->warp_runs = calloc((size_t)k->code_count + 1, sizeof *r->warp_runs);
    r->thread_runs = calloc((size_t)k->code_count + 1, sizeof *r->thread_runs);
    if (r->memos == NULL || r->warp_runs == NULL || r->thread_runs == NULL)
        return false;
    memset(r->memos, 0, memos);
    return true;
}

void kds_run_free(kds_run *r)
{
    if (r == NULL)
        return;
    kds_groups_free(r);
    kds_race_close(r);
    free(r->const_bits);
    free(r->memos);
    free(r->warp_runs);
    free(r->thread_runs);
    free(r);
}

/* Instructions by pipe and the counts of memory, as counters. */
static void collect(const kds_run *r, kds_sim_result *out)
{
    double *counters = out->counters;
    static const kds_sim_counter pipes[KDS_PIPE_COUNT] = {
        KDS_SIM_COUNTER_COUNT,     KDS_SIM_COUNTER_INST_FP32,   KDS_SIM_COUNTER_INST_ALU,
        KDS_SIM_COUNTER_INST_FP16, KDS_SIM_COUNTER_INST_FP64,   KDS_SIM_COUNTER_INST_XU,
        KDS_SIM_COUNTER_INST_LSU,  KDS_SIM_COUNTER_INST_TENSOR, KDS_SIM_COUNTER_INST_CONTROL};
    int64_t warps = 0, threads = 0;
    for (uint32_t i = 0; i < r->kernel->code_count; i++) {
        const kds_ins *ins = &r->kernel->code[i];
        warps += r->warp_runs[i];
        threads += r->thread_runs[i];
        counters[KDS_SIM_COUNTER_WARP_INST] += (double)warps;
        counters[KDS_SIM_COUNTER_THREAD_INST] += (double)threads;
        if (ins->pipe != KDS_PIPE_NONE)
            counters[pipes[ins->pipe]] += (double)warps * ins->weight;
        counters[KDS_SIM_COUNTER_INST_XU] += (double)warps * ins->xu;
        out->flops += (double)threads * kds_ins_flops(ins);
        out->matrix_flops += (double)warps * kds_ins_matrix_flops(ins);
    }
    const kds_counts *c = &r->counts;
    counters[KDS_SIM_COUNTER_GLOBAL_LD_REQUESTS] = (double)c->load_requests;
    counters[KDS_SIM_COUNTER_GLOBAL_LD_SECTORS] = (double)c->load_sectors;
    counters[KDS_SIM_COUNTER_GLOBAL_ST_REQUESTS] = (double)c->store_requests;
    counters[KDS_SIM_COUNTER_GLOBAL_ST_SECTORS] = (double)c->store_sectors;
    counters[KDS_SIM_COUNTER_GLOBAL_RED_REQUESTS] = (double)c->red_requests;
    counters[KDS_SIM_COUNTER_GLOBAL_RED_SECTORS] = (double)c->red_sectors;
    counters[KDS_SIM_COUNTER_SHARED_LD_WAVEFRONTS] = (double)c->shared_loads;
    counters[KDS_SIM_COUNTER_SHARED_ST_WAVEFRONTS] = (double)c->shared_stores;
    counters[KDS_SIM_COUNTER_SHARED_LD_CONFLICTS] = (double)c->shared_load_conflicts;
    counters[KDS_SIM_COUNTER_SHARED_ST_CONFLICTS] = (double)c->shared_store_conflicts;
    counters[KDS_SIM_COUNTER_LOCAL_SECTORS] = (double)c->local_sectors;
    counters[KDS_SIM_COUNTER_LINES] = (double)c->lines;
    counters[KDS_SIM_COUNTER_ST_LINES] = (double)c->store_lines;
    counters[KDS_SIM_COUNTER_BRANCHES] = (double)c->branches;
    counters[KDS_SIM_COUNTER_BRANCHES_DIVERGENT] = (double)c->divergent;
    counters[KDS_SIM_COUNTER_BARRIERS] = (double)c->barriers;
    counters[KDS_SIM_COUNTER_WARPS] = (double)c->warps;
    counters[KDS_SIM_COUNTER_BLOCKS] = (double)c->blocks;
    counters[KDS_SIM_COUNTER_UNIQUE_LD_SECTORS] = (double)c->unique_loads;
    counters[KDS_SIM_COUNTER_UNIQUE_ST_SECTORS] = (double)c->unique_stores;
}

/* The cluster of a launch: what it asks for, else what the kernel was compiled for. */
static void choose_cluster(const kds_kernel *k, const kds_sim_options *o, uint32_t cluster[3])
{
    for (int d = 0; d < 3; d++) {
        cluster[d] = o->cluster[0] != 0 ? o->cluster[d] : k->cluster[d];
        cluster[d] = cluster[d] != 0 ? cluster[d] : 1;
    }
}

static bool check_cluster(const kds_kernel *k, const char *name, const uint32_t grid[3],
                          const kds_sim_options *o, kds_sim_result *out)
{
    uint32_t c[3];
    choose_cluster(k, o, c);
    if (k->cluster[0] != 0 && memcmp(c, k->cluster, sizeof c) != 0)
        return refuse(out, KDS_SIM_BAD_LAUNCH,
                      "bad launch: kernel %.300s was compiled for clusters of (%u, %u, %u)", name,
                      k->cluster[0], k->cluster[1], k->cluster[2]);
    if ((uint64_t)c[0] * c[1] * c[2] > KDS_CLUSTER_BLOCKS || c[0] > KDS_CLUSTER_BLOCKS ||
        c[1] > KDS_CLUSTER_BLOCKS || c[2] > KDS_CLUSTER_BLOCKS)
        return refuse(out, KDS_SIM_BAD_LAUNCH,
                      "bad launch: kernel %.300s: a cluster of (%u, %u, %u) is above %d blocks",
                      name, c[0], c[1], c[2], KDS_CLUSTER_BLOCKS);
    if (grid[0] % c[0] != 0 || grid[1] % c[1] != 0 || grid[2] % c[2] != 0)
        return refuse(out, KDS_SIM_BAD_LAUNCH,
                      "bad launch: kernel %.300s: the grid (%u, %u, %u) is no multiple of the "
                      "cluster (%u, %u, %u)",
                      name, grid[0], grid[1], grid[2], c[0], c[1], c[2]);
    return true;
}

/* Blocks asked for must be in the grid; a cooperative launch has all of them. */
static bool check_blocks(const char *name, const uint32_t grid[3], const kds_sim_options *o,
                         kds_sim_result *out)
{
    uint64_t all = (uint64_t)grid[0] * grid[1] * grid[2];
    for (uint64_t n = 0; o->blocks != NULL && n < o->block_count; n++)
        if (o->blocks[n] >= all)
            return refuse(out, KDS_SIM_BAD_LAUNCH,
                          "bad launch: kernel %.300s: a block beyond "
                          "the grid",
                          name);
    if (!o->cooperative)
        return true;
    if (o->blocks != NULL)
        return refuse(out, KDS_SIM_BAD_LAUNCH,
                      "bad launch: kernel %.300s: some blocks of a cooperative launch", name);
    uint64_t room = o->resident != 0 ? o->resident : KDS_RESIDENT_DEFAULT;
    if (all > room)
        return refuse(out, KDS_SIM_BAD_LAUNCH,
                      "bad launch: kernel %.300s: a cooperative launch of %llu blocks, of which "
                      "at most %llu can be resident",
                      name, (unsigned long long)all, (unsigned long long)room);
    return true;
}

static kds_run *make_run(const kds_kernel *k, const uint32_t grid[3], const uint32_t block[3],
                         uint32_t dynamic_shared, const kds_sim_options *o)
{
    kds_run *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->kernel = k;
    r->options = o;
    memcpy(r->grid, grid, sizeof r->grid);
    memcpy(r->block, block, sizeof r->block);
    choose_cluster(k, o, r->cluster);
    r->cluster_size = r->cluster[0] * r->cluster[1] * r->cluster[2];
    r->threads = block[0] * block[1] * block[2];
    r->warp_count = (r->threads + KDS_LANES - 1) / KDS_LANES;
    r->budget = o->budget != 0 ? o->budget : DEFAULT_BUDGET;
    r->dynamic_shared = dynamic_shared;
    uint32_t align = k->dynamic_align != 0 ? k->dynamic_align : 1;
    r->shared_bytes = (k->shared_bytes + align - 1) / align * align + dynamic_shared;
    r->check_uninitialised = o->check_uninitialised;
    r->run_warp = interpreter(o->isa);
    if (allocate(r))
        return r;
    kds_run_free(r);
    return NULL;
}

kds_run *kds_run_clone(const kds_run *r)
{
    kds_run *c = make_run(r->kernel, r->grid, r->block, r->dynamic_shared, r->options);
    size_t consts = (size_t)r->kernel->const_count + 1;
    if (c == NULL)
        return NULL;
    c->memory = r->memory;
    c->params = r->params;
    c->const_bits = malloc(consts * sizeof *c->const_bits);
    if (c->const_bits == NULL) {
        kds_run_free(c);
        return NULL;
    }
    memcpy(c->const_bits, r->const_bits, consts * sizeof *c->const_bits);
    memcpy(c->block_consts, r->block_consts, sizeof c->block_consts);
    c->block_const_count = r->block_const_count;
    return c;
}

void kds_run_merge(kds_run *to, const kds_run *from)
{
    uint64_t *sum = (uint64_t *)&to->counts;
    const uint64_t *more = (const uint64_t *)&from->counts;
    for (size_t i = 0; i < sizeof to->counts / sizeof *sum; i++)
        sum[i] += more[i];
    for (uint32_t i = 0; i <= to->kernel->code_count; i++) {
        to->warp_runs[i] += from->warp_runs[i];
        to->thread_runs[i] += from->thread_runs[i];
    }
}

/* What a grid's barrier keeps in memory of the driver: its size, and the word that blocks count in.
 */
static bool give_workspace(kds_run *r)
{
    uint32_t content[64] = {sizeof content};
    if (!r->options->cooperative)
        return true;
    r->workspace = kds_memory_workspace(r->memory, sizeof content);
    return r->workspace != 0 &&
           kds_sim_memory_write(r->memory, r->workspace, sizeof content, content);
}

kds_code kds_sim_launch(const kds_sim_module *m, const char *kernel, const uint32_t grid[3],
                        const uint32_t block[3], uint32_t dynamic_shared, const void *params,
                        size_t params_len, kds_sim_memory *memory, const kds_sim_options *o,
                        kds_sim_result *out, kds_err *e)
{
    static const kds_sim_options plain = {.check_uninitialised = true};
    const kds_kernel *k = kds_module_find(m, kernel);
    *out = (kds_sim_result){.status = KDS_SIM_OK};
    o = o != NULL ? o : &plain;
    if (!check_launch(k, kernel, grid, block, dynamic_shared, params_len, out) ||
        !check_cluster(k, kernel, grid, o, out) || !check_blocks(kernel, grid, o, out))
        return KDS_OK;
    kds_step s = KDS_STEP_NO_MEMORY;
    char why[160] = "";
    kds_run *r = make_run(k, grid, block, dynamic_shared, o);
    if (r == NULL)
        goto out;
    r->memory = memory;
    r->params = params;
    memory->epoch++;
    if (!give_workspace(r) || (o->check_races && !kds_race_open(r)))
        goto out;
    if (kds_run_resolve(r, m, why, sizeof why))
        s = kds_run_blocks(r, out);
    else if (why[0] != '\0')
        s = KDS_STEP_ON;
    if (why[0] != '\0')
        refuse(out, KDS_SIM_NOT_SIMULATED, "not simulated: kernel %.300s: %s", kernel, why);
    if (s != KDS_STEP_NO_MEMORY)
        collect(r, out);
out:
    kds_run_free(r);
    return s != KDS_STEP_NO_MEMORY
               ? KDS_OK
               : kds_fail(e, KDS_NO_MEMORY, "out of memory while simulating %.300s", kernel);
}
