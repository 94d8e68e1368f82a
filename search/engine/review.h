/* Reviews: whether an elite is still faster than the one that it replaced, and the best kernel than
 * the best before it. Where times are measured a promotion may have been luck; who is found no
 * faster twice in a row, the second time in a fresh process, gives its place back. A pure function
 * of the state. On the simulator times are exact, and there is nothing to review. */
#ifndef KDS_ENGINE_REVIEW_H
#define KDS_ENGINE_REVIEW_H

#include "search/engine/state.h"

/* A duel that tests a claim. */
typedef struct kds_review {
    bool has_cell; /* the elite of `cell`; else the best */
    uint64_t cell;
    kds_id holder, former;
    bool fresh; /* the second in a row: in a process that has done nothing before */
} kds_review;

/* The claim that is to be tested next: one in doubt (unless nothing came of its last three
 * reviews), or, if `due`, the one that was tested least, the oldest of those. False if there is
 * none. */
bool kds_review_next(const kds_state *s, bool due, kds_review *out);
/* The body of the RETIRE event that is due, in *out; NULL if none is. Owned by the caller. */
KDS_MUST_USE kds_code kds_review_retire(const kds_state *s, cJSON **out, kds_err *e);

#endif
