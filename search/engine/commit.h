/* The acceptance rule: what becomes of a candidate whose verdict is known. A pure function of the
 * state and the record, used by the running campaign and by replay alike. */
#ifndef KDS_ENGINE_COMMIT_H
#define KDS_ENGINE_COMMIT_H

#include "search/engine/select.h"

/* True if the flight can be committed: it has a verdict, or its candidate repeats a committed one.
 */
bool kds_commit_ready(const kds_state *state, const kds_flight *f);
/* Decision of the committed twin (same source, same normalised text, same program); -1 if there is
 * none. */
int64_t kds_commit_twin(const kds_state *state, const kds_flight *f);
/* Gives the event: *kind is "ACCEPT" or "REJECT" (static), *body is owned by the caller. */
KDS_MUST_USE kds_code kds_commit(const kds_selector *s, const kds_state *state, const kds_flight *f,
                                 const char **kind, cJSON **body, kds_err *e);

#endif
