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
/* A duel that has to be fought before a flight can be committed. */
typedef struct kds_bout_need {
    kds_bout_purpose purpose;
    kds_id incumbent;
    bool fresh;      /* in a process that has done nothing before */
    char not_on[32]; /* better not on this card; "" any */
} kds_bout_need;
/* Of a flight that is ready, where times are measured: the duel that is to come next. *needed is
 * false if it can be committed. */
KDS_MUST_USE kds_code kds_commit_bout(const kds_selector *s, const kds_state *state,
                                      const kds_flight *f, bool *needed, kds_bout_need *out,
                                      kds_err *e);
/* The smallest gain that counts in a duel now, and the floor in it. */
double kds_commit_margin(const kds_task *t, const kds_state *state);
/* Why a report must be looked at by a person first; NULL if it need not. */
const char *kds_commit_quarantine(const cJSON *report);
/* Gives the event: *kind is "ACCEPT" or "REJECT" (static), *body is owned by the caller. */
KDS_MUST_USE kds_code kds_commit(const kds_selector *s, const kds_state *state, const kds_flight *f,
                                 const char **kind, cJSON **body, kds_err *e);

#endif
