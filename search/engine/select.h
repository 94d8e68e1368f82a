/* The next decision: which operator on which parents. A pure function of the state, the task and
 * the seed. */
#ifndef KDS_ENGINE_SELECT_H
#define KDS_ENGINE_SELECT_H

#include "archive/ledger.h"
#include "eval/task.h"
#include "search/engine/models.h"
#include "search/engine/state.h"

/* Where parents come from. */
typedef enum kds_parents {
    KDS_PARENTS_CURIOSITY,
    KDS_PARENTS_BEST,
    KDS_PARENTS_RANDOM,
    KDS_PARENTS_ISLANDS
} kds_parents;

#define KDS_REPORTS_KEPT 8

/* Reports that were read for decisions, the last ones: a child's is needed for each of its duels.
 */
typedef struct kds_kept_reports {
    struct {
        kds_id id;
        int64_t decision; /* whose report it is: its cell may have been settled by its parent's */
        cJSON *report;    /* owned; NULL: none */
        int64_t used;     /* when it was last: by number of uses */
    } items[KDS_REPORTS_KEPT];
    int64_t uses;
} kds_kept_reports;
void kds_kept_reports_free(kds_kept_reports *k);
/* Takes `report` over in the place of the one that was not used for longest. */
void kds_keep_report(kds_kept_reports *k, int64_t decision, kds_id id, cJSON *report);

/* What decisions are made with, beside the state. All borrowed. */
typedef struct kds_selector {
    const kds_task *task;     /* the frozen task */
    kds_ledger *ledger;       /* for sources and reports by id */
    bool endpoint;            /* a model proposes; else the built-in proposer alone */
    const char *proposer;     /* "builtin", "endpoint", "mailbox" */
    const char *model;        /* its name, or for the mailbox a hint; NULL without one */
    const kds_models *models; /* if several may be asked; NULL or one: `model` */
    int64_t guidance_every;   /* children of models between two edits of the guidance; 0: never */
    kds_parents parents;
    const char *operators;     /* that may be used, "tune,rewrite"; NULL or "": all */
    kds_kept_reports *reports; /* NULL: each report is read again */
} kds_selector;
/* Who proposes and how, as the settings in force say; borrows from them. KDS_USAGE: the operators
 * that are allowed are none of the proposer's. */
KDS_MUST_USE kds_code kds_selector_configure(kds_selector *s, const kds_settings *settings,
                                             const kds_models *models, kds_err *e);

/* A decision with what follows from it at once. */
typedef struct kds_choice {
    cJSON *decision;  /* body of the DECISION event */
    cJSON *candidate; /* body of the CANDIDATE event; NULL where a model is to be asked */
    cJSON *swept;     /* ids of the structures whose sweeps are over; moves into `decision` */
    kds_buf source;   /* of the candidate */
} kds_choice;
void kds_choice_free(kds_choice *c);

/* Number of decisions that the task itself makes: the baseline and its seeds. */
int64_t kds_selector_opening(const kds_selector *s);
/* Derives decision number state->decisions. *made is false if nothing is left to try. */
KDS_MUST_USE kds_code kds_select(const kds_selector *s, const kds_state *state, kds_choice *out,
                                 bool *made, kds_err *e);
/* The body of a CANDIDATE event for `source`; from rules 2 on it names the structure that its
 * tunables vary. NULL: out of memory. */
cJSON *kds_candidate_body(const kds_state *state, int64_t decision, const char *operator_name,
                          const char *model, const cJSON *parents, const char *source, size_t len,
                          const char *hypothesis);

#endif
