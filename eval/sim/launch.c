/* kds_sim_launch: checks the launch, builds the machine, runs the blocks asked for, and turns what
 * was counted into counters. */
#include "eval/sim/machine.h"
#include "eval/sim/module.h"
#include "eval/sim/stack.h"
#include <math.h>
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

static uint32_t special_value(const kds_run *r, const kds_warp *w, kds_special s, uint32_t lane)
{
    uint32_t t = w->index * KDS_LANES + lane;
    switch (s) {
    case KDS_TID_X:
        return t % r->block[0];
    case KDS_TID_Y:
        return t / r->block[0] % r->block[1];
    case KDS_TID_Z:
        return t / r->block[0] / r->block[1];
    case KDS_NTID_X:
    case KDS_NTID_Y:
    case KDS_NTID_Z:
        return r->block[s - KDS_NTID_X];
    case KDS_CTAID_X:
    case KDS_CTAID_Y:
    case KDS_CTAID_Z:
        return r->block_at[s - KDS_CTAID_X];
    case KDS_NCTAID_X:
    case KDS_NCTAID_Y:
    case KDS_NCTAID_Z:
        return r->grid[s - KDS_NCTAID_X];
    case KDS_LANEID:
        return lane;
    case KDS_WARPID:
        return w->index;
    case KDS_NWARPID:
        return 64;
    case KDS_LANEMASK_EQ:
        return 1u << lane;
    case KDS_LANEMASK_LE:
        return (2u << lane) - 1;
    case KDS_LANEMASK_LT:
        return (1u << lane) - 1;
    case KDS_LANEMASK_GE:
        return ~((1u << lane) - 1);
    case KDS_LANEMASK_GT:
        return ~((2u << lane) - 1);
    case KDS_NSMID:
    case KDS_ONE:
        return 1;
    case KDS_DYNAMIC_SMEM_SIZE:
        return r->dynamic_shared;
    case KDS_TOTAL_SMEM_SIZE:
        return r->shared_bytes;
    default:
        return 0;
    }
}

static void fill_const(kds_warp *w, const kds_const *c, uint64_t bits)
{
    if (c->bytes == 0) {
        uint32_t p = bits != 0 ? KDS_FULL : 0;
        memcpy(w->file + c->offset, &p, sizeof p);
    }
    uint32_t small = (uint32_t)bits;
    for (uint32_t l = 0; l < KDS_LANES; l++)
        if (c->bytes == 4)
            memcpy(w->file + c->offset + l * 4, &small, 4);
        else
            memcpy(w->file + c->offset + l * c->bytes, &bits, c->bytes);
}

static void fill_special(const kds_run *r, kds_warp *w, const kds_const *c)
{
    for (uint32_t l = 0; l < KDS_LANES; l++) {
        uint32_t v = special_value(r, w, (kds_special)c->index, l);
        memcpy(w->file + c->offset + l * c->bytes, &v, c->bytes);
    }
}

/* Constants and special registers into every warp's file, once per launch. False: the result says
 * what is wrong. */
static bool fill_constants(kds_run *r, const kds_sim_module *m, kds_sim_result *out,
                           bool *no_memory)
{
    for (uint32_t i = 0; i < r->kernel->const_count; i++) {
        const kds_const *c = &r->kernel->consts[i];
        uint64_t bits = c->bits;
        if (c->kind == KDS_CONST_SYMBOL) {
            char why[160];
            uint64_t address =
                kds_module_variable(m, r->memory, (uint32_t)c->index, why, sizeof why);
            *no_memory = address == 0 && why[0] == '\0';
            if (address == 0)
                return refuse(out, KDS_SIM_NOT_SIMULATED, "not simulated: kernel %.300s: %s",
                              r->kernel->name, why);
            bits += address;
        }
        for (uint32_t k = 0; k < r->warp_count; k++)
            if (c->kind == KDS_CONST_SPECIAL)
                fill_special(r, &r->warps[k], c);
            else
                fill_const(&r->warps[k], c, bits);
    }
    return true;
}

/* The block number changes, everything else stays. */
static void place_block(kds_run *r, uint64_t number)
{
    r->block_at[0] = (uint32_t)(number % r->grid[0]);
    r->block_at[1] = (uint32_t)(number / r->grid[0] % r->grid[1]);
    r->block_at[2] = (uint32_t)(number / r->grid[0] / r->grid[1]);
    for (uint32_t i = 0; i < r->kernel->const_count; i++) {
        const kds_const *c = &r->kernel->consts[i];
        if (c->kind == KDS_CONST_SPECIAL && c->index >= KDS_CTAID_X && c->index <= KDS_CTAID_Z)
            for (uint32_t k = 0; k < r->warp_count; k++)
                fill_const(&r->warps[k], c, r->block_at[c->index - KDS_CTAID_X]);
    }
}

static bool allocate(kds_run *r)
{
    const kds_kernel *k = r->kernel;
    size_t file = ((size_t)k->file_bytes + 255) / 64 * 64;
    for (uint32_t i = 0; i < r->warp_count; i++) {
        kds_warp *w = &r->warps[i];
        w->run = r;
        w->index = i;
        w->file = aligned_alloc(64, file);
        if (w->file == NULL)
            return false;
        memset(w->file, 0, file);
        if (!kds_stack_create(w))
            return false;
    }
    r->shared = aligned_alloc(64, ((size_t)r->shared_bytes + 127) / 64 * 64);
    r->shared_stored = calloc((size_t)r->shared_bytes / 64 + 2, sizeof *r->shared_stored);
    size_t memos = ((size_t)k->memo_count + 1) * sizeof(kds_memo);
    r->memos = aligned_alloc(64, (memos + 63) / 64 * 64);
    r->warp_runs = calloc((size_t)k->code_count + 1, sizeof *r->warp_runs);
    r->thread_runs = calloc((size_t)k->code_count + 1, sizeof *r->thread_runs);
    if (r->shared == NULL || r->shared_stored == NULL || r->memos == NULL || r->warp_runs == NULL ||
        r->thread_runs == NULL)
        return false;
    memset(r->memos, 0, memos);
    return true;
}

static void release(kds_run *r)
{
    for (uint32_t i = 0; i < KDS_WARPS; i++) {
        free(r->warps[i].file);
        kds_stack_free(&r->warps[i]);
        free(r->warps[i].ready);
    }
    free(r->shared);
    free(r->shared_stored);
    free(r->memos);
    free(r->warp_runs);
    free(r->thread_runs);
    free(r);
}

/* Instructions by pipe and the counts of memory, as counters. */
static void collect(const kds_run *r, double counters[KDS_SIM_COUNTER_COUNT])
{
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
    counters[KDS_SIM_COUNTER_BRANCHES] = (double)c->branches;
    counters[KDS_SIM_COUNTER_BRANCHES_DIVERGENT] = (double)c->divergent;
    counters[KDS_SIM_COUNTER_BARRIERS] = (double)c->barriers;
    counters[KDS_SIM_COUNTER_WARPS] = (double)c->warps;
    counters[KDS_SIM_COUNTER_BLOCKS] = (double)c->blocks;
    counters[KDS_SIM_COUNTER_UNIQUE_LD_SECTORS] = (double)c->unique_loads;
    counters[KDS_SIM_COUNTER_UNIQUE_ST_SECTORS] = (double)c->unique_stores;
}

/* Is the n-th of `count` blocks one of the traced ones, which are spread evenly? */
static bool is_traced(const kds_sim_options *o, uint64_t n, uint64_t count)
{
    if (o->latency == NULL)
        return false;
    uint64_t want = o->trace_blocks > 0 ? (uint64_t)o->trace_blocks : 2;
    if (want >= count)
        return true;
    double k = floor(((double)n * (double)want) / (double)count);
    double middle = floor((k + 0.5) * (double)count / (double)want);
    return (double)n == middle;
}

static kds_step run_blocks(kds_run *r, kds_sim_result *out, bool *bad_block)
{
    const kds_sim_options *o = r->options;
    uint64_t all = (uint64_t)r->grid[0] * r->grid[1] * r->grid[2];
    uint64_t count = o->blocks != NULL ? o->block_count : all, traced = 0;
    double cycles = 0;
    for (uint64_t n = 0; n < count; n++) {
        uint64_t number = o->blocks != NULL ? o->blocks[n] : n;
        if (number >= all) {
            *bad_block = true;
            return KDS_STEP_ON;
        }
        place_block(r, number);
        bool trace = is_traced(o, n, count);
        if (trace && !kds_trace_begin(r))
            return KDS_STEP_NO_MEMORY;
        kds_step s = kds_run_block(r);
        if (trace) {
            cycles += kds_trace_end(r);
            traced++;
        }
        if (s != KDS_STEP_ON)
            return s;
    }
    out->trace_cycles = traced > 0 ? cycles / (double)traced : 0;
    return KDS_STEP_ON;
}

kds_code kds_sim_launch(const kds_sim_module *m, const char *kernel, const uint32_t grid[3],
                        const uint32_t block[3], uint32_t dynamic_shared, const void *params,
                        size_t params_len, kds_sim_memory *memory, const kds_sim_options *o,
                        kds_sim_result *out, kds_err *e)
{
    static const kds_sim_options plain = {.check_uninitialised = true};
    const kds_kernel *k = kds_module_find(m, kernel);
    *out = (kds_sim_result){.status = KDS_SIM_OK};
    if (!check_launch(k, kernel, grid, block, dynamic_shared, params_len, out))
        return KDS_OK;
    kds_run *r = aligned_alloc(64, (sizeof *r + 63) / 64 * 64);
    if (r == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory while launching %.300s", kernel);
    memset(r, 0, sizeof *r);
    r->kernel = k;
    r->memory = memory;
    r->options = o != NULL ? o : &plain;
    memcpy(r->grid, grid, sizeof r->grid);
    memcpy(r->block, block, sizeof r->block);
    r->threads = block[0] * block[1] * block[2];
    r->warp_count = (r->threads + KDS_LANES - 1) / KDS_LANES;
    r->budget = r->options->budget != 0 ? r->options->budget : DEFAULT_BUDGET;
    r->params = params;
    r->dynamic_shared = dynamic_shared;
    uint32_t align = k->dynamic_align != 0 ? k->dynamic_align : 1;
    r->shared_bytes = (k->shared_bytes + align - 1) / align * align + dynamic_shared;
    r->check_uninitialised = r->options->check_uninitialised;
    r->run_warp = interpreter(r->options->isa);
    memory->epoch++;
    bool no_memory = !allocate(r), bad_block = false;
    kds_step s = KDS_STEP_ON;
    if (!no_memory && fill_constants(r, m, out, &no_memory))
        s = run_blocks(r, out, &bad_block);
    if (s == KDS_STEP_FAULT)
        kds_report(r, &r->warps[r->warp_at], out);
    else if (bad_block)
        refuse(out, KDS_SIM_BAD_LAUNCH, "bad launch: kernel %.300s: a block beyond the grid",
               kernel);
    no_memory |= s == KDS_STEP_NO_MEMORY;
    if (!no_memory)
        collect(r, out->counters);
    release(r);
    return no_memory ? kds_fail(e, KDS_NO_MEMORY, "out of memory while simulating %.300s", kernel)
                     : KDS_OK;
}
