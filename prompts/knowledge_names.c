/* What rules speak of: ratios and sums that say how a kernel works, derived from a judge's report
 * (eval/judge.h), so that a rule reads as a sentence. What a report does not tell (no counters, a
 * device that is not known) has no value, and a rule that needs it does not hold. */
#include "prompts/knowledge.h"

#include <math.h>
#include <string.h>

#define LD "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum"
#define LD_SECTORS "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum"
#define ST "l1tex__t_requests_pipe_lsu_mem_global_op_st.sum"
#define ST_SECTORS "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum"
#define SHARED_LD "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_ld.sum"
#define SHARED_ST "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_st.sum"
#define CONFLICTS_LD "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld.sum"
#define CONFLICTS_ST "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_st.sum"
#define INST "smsp__inst_executed.sum"
#define THREAD_INST "smsp__thread_inst_executed.sum"
#define PIPE(name) "smsp__inst_executed_pipe_" name ".sum"
#define BRANCHES "smsp__sass_branch_targets.sum"
#define DIVERGENT "smsp__sass_branch_targets_threads_divergent.sum"
#define WARPS "sm__warps_launched.sum"
#define BLOCKS "sm__ctas_launched.sum"

/* A name that is one counter or a ratio of sums of up to two counters. */
typedef struct entry {
    kds_knowledge_name name;
    const char *over[2], *under[2];
} entry;

static const entry entries[] = {
    {{"sectors_per_load", "32-byte sectors per global load request; 16 is the most coalesced"},
     {LD_SECTORS, NULL},
     {LD, NULL}},
    {{"sectors_per_store", "the same of stores"}, {ST_SECTORS, NULL}, {ST, NULL}},
    {{"loads_per_sector", "times that a sector is loaded; 1 is the least"},
     {LD_SECTORS, NULL},
     {"sim__unique_sectors_ld.sum", NULL}},
    {{"lines_per_request", "128-byte lines per global request"},
     {"sim__global_lines.sum", NULL},
     {LD, ST}},
    {{"shared_per_sector", "shared-memory wavefronts per global sector"},
     {SHARED_LD, SHARED_ST},
     {LD_SECTORS, ST_SECTORS}},
    {{"conflicts_per_wavefront", "share of shared-memory wavefronts that are bank conflicts"},
     {CONFLICTS_LD, CONFLICTS_ST},
     {SHARED_LD, SHARED_ST}},
    {{"barriers_per_warp", "block-wide barriers that a warp passes"},
     {"sim__barriers.sum", NULL},
     {WARPS, NULL}},
    {{"warps_per_block", ""}, {WARPS, NULL}, {BLOCKS, NULL}},
    {{"instructions_per_warp", ""}, {INST, NULL}, {WARPS, NULL}},
    {{"instructions_per_sector", "warp instructions per global sector"},
     {INST, NULL},
     {LD_SECTORS, ST_SECTORS}},
    {{"lanes_active", "lanes per warp instruction; 32 is the most"},
     {THREAD_INST, NULL},
     {INST, NULL}},
    {{"branches_divergent", "share of branches at which the lanes of a warp part"},
     {DIVERGENT, NULL},
     {BRANCHES, NULL}},
    {{"fp32_share", "share of all instructions"}, {PIPE("fp32"), NULL}, {INST, NULL}},
    {{"alu_share", "integer and logic, share of all instructions"},
     {PIPE("alu"), NULL},
     {INST, NULL}},
    {{"xu_share", "exponentials, roots, conversions, share of all instructions"},
     {PIPE("xu"), NULL},
     {INST, NULL}},
    {{"tensor_share", "share of all instructions"}, {PIPE("tensor"), NULL}, {INST, NULL}},
    {{"fp64_share", "share of all instructions"}, {PIPE("fp64"), NULL}, {INST, NULL}},
    {{"reductions_per_block", "global atomic requests"},
     {"l1tex__t_requests_pipe_lsu_mem_global_op_red.sum", NULL},
     {BLOCKS, NULL}},
    {{"blocks", "of all launches, weighted over the profiled rows"}, {BLOCKS, NULL}, {NULL, NULL}},
    {{"warps", "the same"}, {WARPS, NULL}, {NULL, NULL}},
    {{"occupancy", "warps active, percent of the most"},
     {"sm__warps_active.avg.pct_of_peak_sustained_active", NULL},
     {NULL, NULL}},
    {{"l2_hit", "percent of sectors that the L2 has"},
     {"lts__t_sector_hit_rate.pct", NULL},
     {NULL, NULL}},
};

/* Those that are made of rows or come from outside, and the table above. */
enum { CC, OF_BOUND, LONGEST, SHORTEST, SHARED_BYTES, OWN_COUNT };
#define ENTRY_COUNT (sizeof entries / sizeof *entries)

static const kds_knowledge_name own[OWN_COUNT] = {
    {"cc", "compute capability: 80 Ampere, 90 Hopper, 100 and 120 Blackwell"},
    {"of_bound", "bound / time, mean over the production rows; 1 is the roofline"},
    {"longest_us", "time of the longest production row"},
    {"shortest_us", "time of the shortest production row"},
    {"shared_bytes", "static and dynamic shared memory of a block"}};

const kds_knowledge_name *kds_knowledge_name_at(int i)
{
    if (i >= 0 && i < OWN_COUNT)
        return &own[i];
    size_t k = (size_t)i - OWN_COUNT;
    return i >= OWN_COUNT && k < ENTRY_COUNT ? &entries[k].name : NULL;
}

/* Sum of up to two counters; NaN if one is missing. */
static double sum(const cJSON *counters, const char *const names[2])
{
    double a = kds_json_num(counters, names[0], NAN);
    return names[1] ? a + kds_json_num(counters, names[1], NAN) : a;
}

/* Over the production rows: mean of bound / time by weight, longest and shortest time. */
static double of_rows(const cJSON *report, int which)
{
    const cJSON *row;
    double share = 0, weights = 0, longest = NAN, shortest = NAN;
    cJSON_ArrayForEach(row, kds_json_at(report, "rows"))
    {
        double time = kds_json_num(row, "time_us", 0), weight = kds_json_num(row, "weight", 1);
        if (strcmp(kds_json_str(row, "set", ""), "production") != 0 || !(time > 0))
            continue;
        share += weight * kds_json_num(row, "bound_us", 0) / time;
        weights += weight;
        longest = fmax(longest, time); /* fmax and fmin pass over NaN */
        shortest = fmin(shortest, time);
    }
    if (which == OF_BOUND)
        return weights > 0 ? share / weights : NAN;
    return which == LONGEST ? longest : shortest;
}

static double own_value(const cJSON *report, int capability, int which)
{
    const cJSON *facts = kds_json_at(report, "facts");
    if (which == CC)
        return capability > 0 ? capability : NAN;
    if (which == SHARED_BYTES)
        return kds_json_num(facts, "static_shared", NAN) +
               kds_json_num(facts, "dynamic_shared", NAN);
    return of_rows(report, which);
}

static double ratio(const cJSON *counters, const entry *x)
{
    return x->under[0] ? sum(counters, x->over) / sum(counters, x->under) : sum(counters, x->over);
}

/* Where the device's counters do not tell a ratio, what the simulator counted may. */
static double derived(const cJSON *report, const entry *x, bool *simulated)
{
    double value = ratio(kds_json_at(report, "counters"), x);
    *simulated = !isfinite(value) && x->under[0];
    return *simulated ? ratio(kds_json_at(report, "simulated"), x) : value;
}

bool kds_knowledge_is_simulated(const cJSON *report, const char *name)
{
    bool simulated = false;
    for (size_t i = 0; i < ENTRY_COUNT; i++)
        if (strcmp(name, entries[i].name.name) == 0)
            (void)derived(report, &entries[i], &simulated);
    return simulated;
}

bool kds_knowledge_value(const cJSON *report, int capability, const char *name, double *out)
{
    const cJSON *counters = kds_json_at(report, "counters");
    bool simulated = false;
    double value =
        kds_json_num(counters, name, kds_json_num(kds_json_at(report, "facts"), name, NAN));
    for (int i = 0; i < OWN_COUNT; i++)
        if (strcmp(name, own[i].name) == 0)
            value = own_value(report, capability, i);
    for (size_t i = 0; i < ENTRY_COUNT; i++)
        if (strcmp(name, entries[i].name.name) == 0)
            value = derived(report, &entries[i], &simulated);
    if (!isfinite(value))
        return false;
    *out = value;
    return true;
}
