/* The table of counters. Passes were counted with CUPTI 13.0 for GH100: everything that is not
 * `extra` fits into three. */
#include "eval/cuda/counters.h"

#include <stddef.h>
#include <string.h>

#define SAME(name)                                                                                 \
    {                                                                                              \
        {                                                                                          \
            name                                                                                   \
        }                                                                                          \
    }

static const kds_counter counters[] = {
    /* The descriptor's. */
    {"l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum", false, NULL,
     SAME("l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum")},
    {"l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum", false, NULL,
     SAME("l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum")},
    {"l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum", false, NULL,
     SAME("l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum")},
    {"l1tex__data_pipe_lsu_wavefronts_mem_shared_op_ld.sum", false, NULL,
     SAME("l1tex__data_pipe_lsu_wavefronts_mem_shared_op_ld.sum")},
    {"l1tex__data_pipe_lsu_wavefronts_mem_shared_op_st.sum", false, NULL,
     SAME("l1tex__data_pipe_lsu_wavefronts_mem_shared_op_st.sum")},
    {"sm__warps_active.avg.pct_of_peak_sustained_active", false, "the simulator's is modelled",
     SAME("sm__warps_active.avg.pct_of_peak_sustained_active")},
    /* What everything else is measured against. */
    {"dram__bytes_read.sum",
     false,
     "the simulator's is modelled",
     {{"dram__bytes_read.sum"}, {"dram__bytes_op_read.sum"}}},
    {"dram__bytes_write.sum",
     false,
     "lines left in the L2 are not written",
     {{"dram__bytes_write.sum"}, {"dram__bytes_op_write.sum"}}},
    {"dram__bytes.sum",
     false,
     "the simulator's is modelled",
     {{"dram__bytes_read.sum", "dram__bytes_write.sum"},
      {"dram__bytes_op_read.sum", "dram__bytes_op_write.sum"}}},
    {"smsp__inst_executed.sum", false, "PTX and machine instructions differ",
     SAME("smsp__inst_executed.sum")},
    {"sm__warps_launched.sum", false, NULL, SAME("sm__warps_launched.sum")},
    {"smsp__inst_executed_pipe_tensor.sum", false, "one wmma may be several machine instructions",
     SAME("smsp__inst_executed_pipe_tensor.sum")},
    {"l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld.sum", false, NULL,
     SAME("l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld.sum")},
    {"l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_st.sum", false, NULL,
     SAME("l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_st.sum")},
    {"sm__ctas_launched.sum", false, NULL, SAME("sm__ctas_launched.sum")},
    {"smsp__thread_inst_executed.sum", false, "PTX and machine instructions differ",
     SAME("smsp__thread_inst_executed.sum")},
    {"smsp__inst_executed_pipe_fp32.sum",
     false,
     "integer multiplications use this pipe too",
     {{"smsp__inst_executed_pipe_fp32.sum"}, {"smsp__inst_executed_pipe_fma.sum"}}},
    {"smsp__inst_executed_pipe_alu.sum", false, "PTX and machine instructions differ",
     SAME("smsp__inst_executed_pipe_alu.sum")},
    {"smsp__inst_executed_pipe_fp16.sum",
     false,
     NULL,
     {{"smsp__inst_executed_pipe_fma_type_fp16.sum"}, {"smsp__inst_executed_pipe_fp16.sum"}}},
    {"smsp__inst_executed_pipe_fp64.sum", false, NULL, SAME("smsp__inst_executed_pipe_fp64.sum")},
    {"smsp__inst_executed_pipe_xu.sum", false, "PTX and machine instructions differ",
     SAME("smsp__inst_executed_pipe_xu.sum")},
    {"smsp__inst_executed_pipe_lsu.sum", false, "constants and shuffles use this pipe too",
     SAME("smsp__inst_executed_pipe_lsu.sum")},
    {"l1tex__t_requests_pipe_lsu_mem_global_op_red.sum", false, NULL,
     SAME("l1tex__t_requests_pipe_lsu_mem_global_op_red.sum")},
    /* For a price. */
    {"l1tex__t_requests_pipe_lsu_mem_global_op_st.sum", true, NULL,
     SAME("l1tex__t_requests_pipe_lsu_mem_global_op_st.sum")},
    {"l1tex__t_sectors_pipe_lsu_mem_global_op_red.sum", true, NULL,
     SAME("l1tex__t_sectors_pipe_lsu_mem_global_op_red.sum")},
    {"l1tex__t_sectors_pipe_lsu_mem_local.sum",
     true,
     "spills are the machine code's",
     {{"l1tex__t_sectors_pipe_lsu_mem_local_op_ld.sum",
       "l1tex__t_sectors_pipe_lsu_mem_local_op_st.sum"}}},
    {"smsp__inst_executed_pipe_cbu.sum", true, "PTX and machine instructions differ",
     SAME("smsp__inst_executed_pipe_cbu.sum")},
    {"smsp__sass_branch_targets.sum", true, "PTX and machine instructions differ",
     SAME("smsp__sass_branch_targets.sum")},
    {"smsp__sass_branch_targets_threads_divergent.sum", true, "PTX and machine instructions differ",
     SAME("smsp__sass_branch_targets_threads_divergent.sum")},
    {"lts__t_sector_hit_rate.pct", true, "the simulator's is modelled",
     SAME("lts__t_sector_hit_rate.pct")},
    {.name = NULL}};

const kds_counter *kds_counters(void)
{
    return counters;
}

const kds_counter *kds_counter_find(const char *name)
{
    for (const kds_counter *c = counters; c->name != NULL; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}
