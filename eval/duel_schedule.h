/* What chance decides in a duel, drawn by counter from its seed: the order of the visits, where
 * code and buffers lie, which outputs are looked at. A pure function of (seed, attempt, row), so
 * that the whole schedule can be drawn again from a record. */
#ifndef KDS_EVAL_DUEL_SCHEDULE_H
#define KDS_EVAL_DUEL_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#define KDS_DUEL_VISITS 4                       /* of a round on a row: ABBA or BAAB */
#define KDS_DUEL_OFFSET_STEP 256                /* bytes */
#define KDS_DUEL_OFFSET_MOST (INT64_C(4) << 20) /* bytes: a row's arena is that much larger */
#define KDS_DUEL_SPACERS 2                      /* most modules loaded ahead of an arm's own */

typedef struct kds_duel_draw {
    bool child_first;       /* BAAB */
    bool child_loads_first; /* its module before the incumbent's */
    int spacers[2];         /* modules loaded ahead of the incumbent's and the child's */
    int64_t offset;         /* of the first set within the arena */
    double checked;         /* [0, 1): which of the sets in use is looked at */
    double turn;            /* [0, 1): after which of its runs in a visit */
    double window;          /* [0, 1): which part of its outputs is poisoned once more */
} kds_duel_draw;

/* `attempt` counts rounds from 0, repeated ones included; `row` is the task's row number. */
kds_duel_draw kds_duel_schedule(uint64_t seed, int attempt, int row);
/* The arm of each visit, 0 incumbent, 1 child; "ABBA" or "BAAB". */
int kds_duel_visit_arm(const kds_duel_draw *d, int visit);
const char *kds_duel_visit_order(const kds_duel_draw *d);
/* A random order of 0 to count - 1. */
void kds_duel_order(uint64_t seed, int attempt, int row, int *order, int count);

#endif
