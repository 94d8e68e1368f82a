/* When the guidance is to be edited, and which one a prompt tells. Pure functions of the state. */
#ifndef KDS_ENGINE_SELECT_GUIDANCE_H
#define KDS_ENGINE_SELECT_GUIDANCE_H

#include "search/engine/state.h"

/* Whether the next decision is to ask for an edit, where one is due after `every` children of
 * models (0: never). */
bool kds_guidance_due(const kds_state *state, int64_t every);
/* Adds `guidance` (an id or null) to the body of a DECISION of a model: what its prompt will tell,
 * or, of operator guide, what is to be edited. A repair is told what the failed decision was.
 * Nothing for other decisions. False: out of memory. */
bool kds_select_guidance(const kds_state *state, cJSON *decision);

#endif
