/* Shared by the files of commit only. */
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
/* Where times and counters are measured: changes the bins and the cell of the flight's report where
 * only noise separates it from its parent (commit_edges.c). */
KDS_MUST_USE kds_code kds_commit_settle(const kds_selector *s, const kds_state *state,
                                        const kds_flight *f, cJSON *report, kds_err *e);
void kds_bouts_walk(const kds_state *state, const kds_flight *f, uint64_t cell, double fitness,
                    kds_bout_outcome *out);

#endif
