/* Order statistics and ranks. */
#include "eval/stats.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

void kds_stats_sort(double *values, size_t n)
{
    if (n > 1)
        qsort(values, n, sizeof *values, compare);
}

double kds_stats_quantile(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t below = (size_t)at;
    if (below >= n - 1)
        return sorted[n - 1];
    double part = at - (double)below;
    return sorted[below] + part * (sorted[below + 1] - sorted[below]);
}

typedef struct ranked {
    double value;
    size_t index;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->value < y->value ? -1 : x->value > y->value;
}

double kds_stats_picoseconds(double us)
{
    return nearbyint(us * 1e6) / 1e6;
}

bool kds_stats_ranks(const double *values, size_t n, double *ranks)
{
    if (n == 0)
        return true;
    ranked *order = calloc(n, sizeof *order);
    if (order == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        order[i] = (ranked){values[i], i};
    qsort(order, n, sizeof *order, compare_ranked);
    for (size_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && order[end].value == order[first].value; end++)
            ;
        for (size_t i = first; i < end; i++)
            ranks[order[i].index] = ((double)first + (double)end + 1) / 2;
    }
    free(order);
    return true;
}

static double pearson(const double *x, const double *y, size_t n)
{
    double mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;
    for (size_t i = 0; i < n; i++) {
        mean_x += x[i] / (double)n;
        mean_y += y[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        xx += (x[i] - mean_x) * (x[i] - mean_x);
        yy += (y[i] - mean_y) * (y[i] - mean_y);
        xy += (x[i] - mean_x) * (y[i] - mean_y);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}

double kds_stats_spearman(const double *x, const double *y, size_t n)
{
    if (n < 2)
        return NAN;
    double *ranks = calloc(2 * n, sizeof *ranks);
    double result = NAN;
    if (ranks != NULL && kds_stats_ranks(x, n, ranks) && kds_stats_ranks(y, n, ranks + n))
        result = pearson(ranks, ranks + n, n);
    free(ranks);
    return result;
}

double kds_stats_kendall(const double *x, const double *y, size_t n)
{
    double balance = 0, in_x = 0, in_y = 0; /* pairs that are no tie there */
    for (size_t i = 1; i < n; i++)
        for (size_t k = 0; k < i; k++) {
            int a = (x[i] > x[k]) - (x[i] < x[k]), b = (y[i] > y[k]) - (y[i] < y[k]);
            balance += a * b;
            in_x += a != 0;
            in_y += b != 0;
        }
    return in_x > 0 && in_y > 0 ? balance / sqrt(in_x * in_y) : NAN;
}
