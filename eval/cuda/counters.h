/* Counters of a GPU under the names that tasks and prompts use for them (those of eval/sim/sim.h).
 * Most are CUPTI's own; where a chip has no metric of that name, sums of others that mean the same
 * or nearly the same stand for it. */
#ifndef KDS_EVAL_CUDA_COUNTERS_H
#define KDS_EVAL_CUDA_COUNTERS_H

#include <stdbool.h>

#define KDS_COUNTER_PARTS 2
#define KDS_COUNTER_CHOICES 2

typedef struct kds_counter {
    const char *name;
    bool extra;       /* not in the default set: it would cost a further pass */
    const char *near; /* what it counts differently from the simulator; NULL: the same */
    /* Sums of CUPTI's metrics, the first that the chip has; a lone name is the counter itself. */
    const char *choices[KDS_COUNTER_CHOICES][KDS_COUNTER_PARTS];
} kds_counter;

/* All, in the order of their importance: that in which they are taken into a set that may not have
 * more passes. Ends with name NULL. */
const kds_counter *kds_counters(void);
/* NULL if it is not in the table. */
const kds_counter *kds_counter_find(const char *name);

#endif
