/* Gathering what a proposer needs to know from the record: the parents' sources, reports and hopes.
 */
#ifndef KDS_ENGINE_ASK_H
#define KDS_ENGINE_ASK_H

#include "prompts/ask.h"
#include "search/engine/select.h"

#define KDS_GUIDE_NOTES 40 /* ideas with outcomes that an edit of the guidance is told */

/* An ask with the memory that it borrows. */
typedef struct kds_gathered {
    kds_ask ask;
    char *source[2];
    cJSON *report[2];
    cJSON *before[2]; /* of the parents' own parents */
    char hypothesis[2][400];
    char hex[2][KDS_ID_HEX];
    char grandparent[2][KDS_ID_HEX]; /* "" if none */
    kds_ask_note notes[KDS_GUIDE_NOTES];
    kds_note *tried;                        /* of guide: what the notes show */
    char *guidance;                         /* text of the one that is told or to be edited */
    char *guidance_texts[KDS_GUIDANCE_MAX]; /* of guide: of the others */
    char guidance_scores[KDS_GUIDANCE_MAX][80];
    char guidance_score[80], unguided[80]; /* of the edited one, and without any */
    kds_ask_guidance guidances[KDS_GUIDANCE_MAX];
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
/* For a repair: what was wrong with the child of that decision, from its record. */
KDS_MUST_USE kds_code kds_gather_failure(kds_gathered *g, kds_ledger *ledger, int64_t decision,
                                         kds_err *e);
/* What the prompt of a decision tells as guidance (zero: nothing), and for operator guide how all
 * in use did and what was tried lately. */
KDS_MUST_USE kds_code kds_gather_guidance(kds_gathered *g, const kds_state *state,
                                          kds_ledger *ledger, kds_id id, kds_err *e);
/* What was wrong with a reply. Such a prompt depends on the decision and on the reply alone, not on
 * what has been committed since. */
void kds_gather_correction(kds_gathered *g, const char *problem);
/* For an exploration: the DECISION's target in words. */
void kds_gather_target(kds_gathered *g, const kds_task *task, const cJSON *target);
/* "sm_90" to 90; 0 for anything else. */
int kds_capability_of(const char *arch);
void kds_gathered_free(kds_gathered *g);

#endif
