/* Shared by commit.c and commit_bouts.c only. */
#ifndef KDS_ENGINE_COMMIT_INTERNAL_H
#define KDS_ENGINE_COMMIT_INTERNAL_H

#include "search/engine/commit.h"

/* Where a candidate's duels have led so far. */
typedef struct kds_bout_outcome {
    bool needed; /* not yet to an end: `need` comes next */
    kds_bout_need need;
    bool accepted;       /* into its cell */
    bool best;           /* and confirmed as the best so far */
    kds_verdict verdict; /* of one that is not accepted */
    const kds_bout
        *shown; /* of the best: its duel with the baseline; NULL for the baseline itself */
    char why[440];
} kds_bout_outcome;
void kds_bouts_walk(const kds_state *state, const kds_flight *f, uint64_t cell, double fitness,
                    kds_bout_outcome *out);

#endif
