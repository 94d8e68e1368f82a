/* A loaded module: the text, its tree (for the variables) and its decoded kernels. */
#ifndef KDS_EVAL_SIM_MODULE_H
#define KDS_EVAL_SIM_MODULE_H

#include "eval/sim/code.h"
#include "eval/sim/memory.h"

struct kds_sim_module {
    char *text;
    kds_ptx *ptx;
    kds_kernel *kernels;
    uint32_t kernel_count;
    uint64_t serial; /* of the text: equal texts share their variables within one memory */
};

const kds_kernel *kds_module_find(const kds_sim_module *m, const char *name);
/* The address of a global or constant variable of the module in this memory, made on first use.
 * 0: `why` says what is wrong, or memory is out (why is ""). */
uint64_t kds_module_variable(const kds_sim_module *m, kds_sim_memory *memory, uint32_t symbol,
                             char *why, size_t size);

#endif
