/* What archives show of the guidance that models wrote. */
#ifndef KDS_CLI_VIEW_GUIDANCE_H
#define KDS_CLI_VIEW_GUIDANCE_H

#include "archive/ledger.h"
#include <stdio.h>

/* Every guidance of an archive as an array of {id, parent, model, decision, children, accepted,
 * state, text}; the first is none, with id null. Owned by the caller. */
KDS_MUST_USE kds_code kds_view_load_guidance(kds_ledger *l, cJSON **out, kds_err *e);
/* A table, then the texts. */
void kds_view_guidance(FILE *out, const cJSON *list);
/* How many are in a state ("in use", "retired", "replaced"), none left out. */
int kds_view_guidance_count(const cJSON *list, const char *state);

#endif
