/* What a campaign has done so far, read from its archive at one moment: for `status` and `report`.
 */
#ifndef KDS_CLI_STATUS_H
#define KDS_CLI_STATUS_H

#include "search/cli/view.h"
#include "search/cli/view_duel.h"

typedef struct kds_status {
    kds_ledger *ledger;     /* open, in one moment */
    cJSON *campaign, *stop; /* stop: the last STOP, or the last EPOCH if that epoch has not ended */
    kds_ledger_totals totals; /* running time up to now, if the campaign runs */
    char phase[200];          /* "running (pid 12)", "ended: max-evals", "interrupted ..." */
    kds_candidate_row best;
    bool has_best;
    int64_t cells;
    double gpu_seconds; /* that cards were at work */
    cJSON *noise;       /* of a measured campaign; NULL */
    cJSON *guidance;    /* of a campaign that has asked for some; NULL */
    kds_confirmed confirmed;
    cJSON *operators;
    cJSON *settings;           /* of the last epoch, by name as text; NULL if unknown */
    int64_t began_ms, last_ms; /* of the last epoch, of the last event */
} kds_status;

/* Begins zeroed; to be freed also after a failure. */
KDS_MUST_USE kds_code kds_status_load(kds_status *s, const char *dir, kds_err *e);
void kds_status_free(kds_status *s);
/* The same as JSON, owned by the caller; NULL: out of memory. */
cJSON *kds_status_json(const kds_status *s, const char *dir);

#endif
