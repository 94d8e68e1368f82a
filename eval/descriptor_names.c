/* The list that descriptor expressions are checked against when a task is loaded, so that a typo is
 * found before a campaign starts. Counters come from the simulator's table (CUPTI's names where
 * they mean the same), so the list cannot drift from what is counted. */
#include "eval/descriptor_names.h"
#include "eval/sim/sim.h"
#include <string.h>

static const char *const names[] = {
#define KDS_X(name, text) text,
    KDS_SIM_COUNTERS(KDS_X)
#undef KDS_X
        "sm__warps_active.avg.pct_of_peak_sustained_active",
    "dram__bytes.sum",
    "dram__bytes_read.sum",
    "dram__bytes_write.sum",
    "sim__l2_sectors_read.sum",
    "lts__t_sector_hit_rate.pct",
    "smsp__sass_average_branch_targets_threads_uniform.pct",
    "registers",
    "spill_bytes",
    "static_shared",
    "dynamic_shared",
    "launches",
    "variants",
    "threads",
    "source_bytes",
    "tokens",
    NULL};

const char *const *kds_descriptor_names(void)
{
    return names;
}

bool kds_descriptor_name_known(const char *name)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}
