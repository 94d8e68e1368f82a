/* Two campaigns of one seed beside each other. */
#ifndef KDS_TESTS_OVERNIGHT_COMPARE_H
#define KDS_TESTS_OVERNIGHT_COMPARE_H

#include <stdint.h>

typedef struct comparison {
    int64_t decisions;          /* from the first on that are the same */
    int64_t commits;            /* from the first on that have the same outcome */
    int64_t candidates;         /* that both have judged, each with the same merit */
    int64_t cells, equal_cells; /* that both have filled; with the same elite */
} comparison;

/* Compares a campaign whose model said no at times with one where it never did. The test fails
 * where outcomes part for another reason, and where a candidate that both judged has two merits
 * (verdict, fitness, cell). */
void compare_campaigns(comparison *out, const char *disturbed, const char *whole);

/* Everything that a campaign decided and found is the same: decisions, verdicts, elites, the best
 * kernel. */
void assert_same_campaign(const char *a, const char *b);

#endif
