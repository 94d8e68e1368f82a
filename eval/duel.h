/* Incumbent against child. On the simulator a visit is exact, so a duel is one comparison of two
 * reports of the same fingerprint. */
#ifndef KDS_EVAL_DUEL_H
#define KDS_EVAL_DUEL_H

#include "search/base/json.h"

typedef enum kds_duel_verdict {
    KDS_DUEL_FASTER,
    KDS_DUEL_NOT_FASTER,
    KDS_DUEL_UNRESOLVED
} kds_duel_verdict;
const char *kds_duel_verdict_name(kds_duel_verdict v); /* "faster" */

typedef struct kds_duel {
    kds_duel_verdict verdict;
    double gain;      /* exp(-estimate) - 1: 0.10 is 10 % faster; estimate = weighted mean of
                         ln(child/incumbent) */
    double low, high; /* interval of the gain (98 %); both `gain` where one comparison is exact */
    double p;         /* of the test against the margin; 0 or 1 where exact */
    int rounds;
    double worst; /* largest ln(child/incumbent) over the rows */
    char worst_row[64];
    char why[160]; /* one line */
} kds_duel;

/* Compares the production rows of two reports (eval/judge.h). `margin`: smallest gain that counts;
 * `max_regress`: how much slower one row may be. KDS_INVALID: different fingerprints or rows, or a
 * time that is no positive number. */
KDS_MUST_USE kds_code kds_duel_exact(const cJSON *child, const cJSON *incumbent, double margin,
                                     double max_regress, kds_duel *out, kds_err *e);

#endif
