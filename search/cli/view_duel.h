/* What measured campaigns show: the duels by which the best kernel was confirmed. */
#ifndef KDS_CLI_VIEW_DUEL_H
#define KDS_CLI_VIEW_DUEL_H

#include "archive/ledger.h"
#include <stdio.h>

/* What is told of the best kernel of a measured campaign. */
typedef struct kds_confirmed {
    bool known;                /* false: modelled, or the baseline is still the best */
    double speedup, low, high; /* over the baseline, weighted over the rows; interval of 98 % */
    cJSON *record;             /* of the duel with the baseline; owned */
} kds_confirmed;
KDS_MUST_USE kds_code kds_view_load_confirmed(kds_ledger *l, int64_t decision, kds_confirmed *out,
                                              kds_err *e);
void kds_confirmed_free(kds_confirmed *c);
/* "1.316x the baseline [1.312, 1.321], confirmed by a duel of its own". */
void kds_view_confirmed(FILE *out, const kds_confirmed *c);
/* Row by row: baseline and kernel, cold, warm and as the host sees them. */
void kds_view_confirmed_rows(FILE *out, const kds_confirmed *c);
/* Noise and duels of equals, of a measured campaign: {floor, duels, hidden, hidden_faster}; NULL if
 * there were none. Owned by the caller. */
KDS_MUST_USE kds_code kds_view_load_noise(kds_ledger *l, cJSON **out, kds_err *e);

#endif
