/* Wilcoxon's signed-rank statistics of one sample, exact for any sample size in use here: the
 * one-sided p-value, and the Hodges-Lehmann estimate of the centre with its interval. They assume
 * that the values are independent and symmetric about their centre, and nothing of their spread.
 * Sources: F. Wilcoxon, Individual comparisons by ranking methods, 1945; J. L. Hodges and E. L.
 * Lehmann, Estimates of location based on rank tests, 1963; M. Hollander, D. A. Wolfe and E.
 * Chicken, Nonparametric Statistical Methods, chapter 3. */
#ifndef KDS_EVAL_SIGNED_RANK_H
#define KDS_EVAL_SIGNED_RANK_H

#include <stdbool.h>

#define KDS_SIGNED_RANK_MAX 128 /* values */

/* P(W+ <= the W+ of the values - centre) if their centre is `centre`: small if it lies below. Equal
 * magnitudes share the mean of their ranks and the distribution is the conditional one; a value
 * equal to the centre counts against (as positive). 1 if count is 0; count is at most
 * KDS_SIGNED_RANK_MAX.
 */
double kds_signed_rank_below(const double *values, int count, double centre);

typedef struct kds_centre {
    double estimate;  /* median of the means of all pairs, a value with itself included */
    double low, high; /* the interval, of at least the confidence asked for if `bounded` */
    bool bounded;     /* false: too few values for that; low and high are the extremes */
} kds_centre;

/* `confidence` is two-sided: 0.95. NaN everywhere if count is 0. */
kds_centre kds_signed_rank_centre(const double *values, int count, double confidence);

#endif
