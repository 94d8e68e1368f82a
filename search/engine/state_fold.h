/* Folding a whole record into a state. */
#ifndef KDS_ENGINE_STATE_FOLD_H
#define KDS_ENGINE_STATE_FOLD_H

#include "archive/ledger.h"
#include "search/engine/state.h"

/* Applies every event to a fresh state. *campaign: body of the CAMPAIGN event; *settings: of the
 * last EPOCH (both cJSON, owned by the caller). KDS_DAMAGED if the record does not begin with a
 * campaign or does not fold. */
KDS_MUST_USE kds_code kds_state_fold(kds_ledger *ledger, kds_state *state, cJSON **campaign,
                                     cJSON **settings, kds_err *e);

#endif
