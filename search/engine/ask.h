/* Gathering what a proposer needs to know from the record: the parents' sources, reports and hopes.
 */
#ifndef KDS_ENGINE_ASK_H
#define KDS_ENGINE_ASK_H

#include "prompts/ask.h"
#include "search/engine/select.h"

/* An ask with the memory that it borrows. */
typedef struct kds_gathered {
    kds_ask ask;
    char *source[2];
    cJSON *report[2];
    cJSON *before[2]; /* of the parents' own parents */
    char hypothesis[2][400];
    char hex[2][KDS_ID_HEX];
    kds_ask_note notes[KDS_NOTES_MAX];
    char *failure;
    char target[300];
    char device[160];
} kds_gathered;

/* Fills `g` for an operator on one or two parents (`other` zero for one). Notes come from the
 * state. */
KDS_MUST_USE kds_code kds_gather(kds_gathered *g, const kds_selector *s, const kds_state *state,
                                 const char *operator_name, kds_id parent, kds_id other,
                                 kds_err *e);
/* The same without reports, hypotheses and notes: all that the built-in proposer looks at. */
KDS_MUST_USE kds_code kds_gather_sources(kds_gathered *g, const kds_selector *s,
                                         const kds_state *state, const char *operator_name,
                                         kds_id parent, kds_id other, kds_err *e);
/* For a prompt: what the parents' own parents were. */
KDS_MUST_USE kds_code kds_gather_past(kds_gathered *g, kds_ledger *ledger, kds_err *e);
/* For a repair: what was wrong with the parent, from its record. */
KDS_MUST_USE kds_code kds_gather_failure(kds_gathered *g, kds_ledger *ledger, kds_id candidate,
                                         kds_err *e);
/* For an exploration: the DECISION's target in words. */
void kds_gather_target(kds_gathered *g, const kds_task *task, const cJSON *target);
/* "sm_90" to 90; 0 for anything else. */
int kds_capability_of(const char *arch);
void kds_gathered_free(kds_gathered *g);

#endif
