/* The parameter block of a launch, for every device. */
#ifndef KDS_EVAL_LAUNCH_PARAMS_H
#define KDS_EVAL_LAUNCH_PARAMS_H

#include "eval/compile.h"
#include "eval/plan.h"

#define KDS_LAUNCH_PARAMS_MAX 4096
typedef struct kds_launch_params {
    unsigned char bytes[KDS_LAUNCH_PARAMS_MAX];
    size_t len;
} kds_launch_params;

/* `buffers` and `scratch` are addresses, by the indices of the launch's arguments. False with a
 * finding (plan_invalid) if an argument does not fit its parameter. */
bool kds_launch_params_build(kds_launch_params *out, const kds_launch *l, const kds_kernel_facts *k,
                             const uint64_t *buffers, const uint64_t *scratch, kds_finding *f);

#endif
