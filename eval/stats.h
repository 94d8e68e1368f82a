/* Statistics of samples: order statistics and rank correlation. Pure functions; what is not a
 * number must not come in. */
#ifndef KDS_EVAL_STATS_H
#define KDS_EVAL_STATS_H

#include <stdbool.h>
#include <stddef.h>

/* Sorts ascending. */
void kds_stats_sort(double *values, size_t n);
/* Quantile of a sorted sample, 0 <= q <= 1, by linear interpolation between order statistics (type
 * 7 of Hyndman and Fan, "Sample quantiles in statistical packages", 1996). n > 0. */
double kds_stats_quantile(const double *sorted, size_t n, double q);
/* A measured time in microseconds, as it is recorded and reckoned with: to the picosecond, which is
 * finer than any clock here and leaves no digits that say nothing. */
double kds_stats_picoseconds(double us);
/* Ranks from 1 on; equal values share the mean of their ranks. False: out of memory. */
bool kds_stats_ranks(const double *values, size_t n, double *ranks);
/* Spearman's rank correlation: Pearson's correlation of the ranks, ties included. NaN if n < 2, if
 * all values of one side are equal, or out of memory. */
double kds_stats_spearman(const double *x, const double *y, size_t n);
/* Kendall's tau-b: pairs in the same order less those in the other, ties in either left out and
 * allowed for. NaN if n < 2 or if all values of one side are equal. Time grows with n squared. */
double kds_stats_kendall(const double *x, const double *y, size_t n);

#endif
