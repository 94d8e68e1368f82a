/* The rule of a measured duel: when enough rounds have been seen, and what they say. A round is one
 * paired measurement of incumbent and child; its value is the weighted mean over rows of
 * ln(t_child / t_incumbent). Pure arithmetic over the rounds so far: the same rounds always give
 * the same answer, which is what lets a record be replayed. */
#ifndef KDS_EVAL_DUEL_ROUNDS_H
#define KDS_EVAL_DUEL_ROUNDS_H

#include "eval/duel.h"

#define KDS_DUEL_LOOKS 3
#define KDS_DUEL_ROUNDS 24 /* the most */
#define KDS_DUEL_SCREEN 2  /* rounds after which a clear loser is let go */
#define KDS_DUEL_FUTILE 3  /* rounds after which one is that has not shown a gain */
#define KDS_DUEL_ROWS 256

typedef struct kds_duel_rule {
    double margin;      /* smallest gain that counts: 0.0025 */
    double max_regress; /* how much slower one row may be: 0.02 */
    double hopeless;    /* slower than the incumbent by this much in every screening round; see
                           kds_duel_hopeless */
    bool to_the_look;   /* do not stop before the first look for want of a gain: what is wanted is
                           the estimate */
} kds_duel_rule;

typedef struct kds_duel_rounds {
    int row_count;
    double weights[KDS_DUEL_ROWS];
    char (*row_names)[64];                       /* row_count; borrowed */
    int count;                                   /* rounds so far */
    double rows[KDS_DUEL_ROUNDS][KDS_DUEL_ROWS]; /* ln(t_child / t_incumbent) */
} kds_duel_rounds;

/* How much slower than the incumbent a child must be in both screening rounds to be let go: four
 * times what a gain must have (`floor`: the measured floor, which counts if it is larger than the
 * margin), and at least 2 %. The floor is the largest of four estimates of equals over eight rounds
 * or more, about half a round's standard deviation, so that four floors are two of them: where
 * rounds scatter so much that 2 % are within reach, (2.3 %)^2 of equals are let go, and fewer of
 * those that are faster. 2 % are three standard deviations of the most scattered rounds that were
 * measured (0.6 %; tests/gpu/RESULTS.md: those of equals scatter by less than 0.2 %). */
double kds_duel_hopeless(double margin, double floor);
/* The smallest gain that counts: 0.25 %, or the task's own margin, or the measured floor (0: not
 * known), whichever is the largest. */
double kds_duel_margin(double of_task, double floor);
/* Value of a round: the weighted mean of its rows. */
double kds_duel_round_value(const kds_duel_rounds *d, int round);
/* True if no further round is needed; then *out holds the verdict. Faster: the exact one-sided
 * signed-rank test of the round values against a gain of `margin` is passed at a planned look
 * (after 8, 16 and 24 rounds, at .004, .003 and .003), and no row's estimate is slower than
 * `max_regress`. Not faster: hopeless after the screening rounds, or none of the first three rounds
 * has shown a gain of `margin` (one with twice that gain shows it in nearly every round), or at a
 * look the interval (98 %) holds no gain above the margin, or a row is slower. Unresolved: neither
 * after the last look. */
bool kds_duel_over(const kds_duel_rule *r, const kds_duel_rounds *d, kds_duel *out);

#endif
