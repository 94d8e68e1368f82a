/* The null distribution by convolution: every rank is positive or negative with probability one
 * half. Ranks are counted in halves, so that those of ties are whole numbers. */
#include "eval/signed_rank.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define MOST KDS_SIGNED_RANK_MAX
#define SUMS (MOST * (MOST + 1) + 1) /* of twice the ranks */
#define PAIRS (MOST * (MOST + 1) / 2)

typedef struct ranked {
    double magnitude;
    bool positive;
    int twice; /* the rank, in halves */
} ranked;

static int by_magnitude(const void *a, const void *b)
{
    double x = ((const ranked *)a)->magnitude, y = ((const ranked *)b)->magnitude;
    return (x > y) - (x < y);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* p[s] = P(sum of the positive ranks = s), all in halves; returns the largest s. */
static int distribution(const int *twice, int count, double *p)
{
    int largest = 0;
    p[0] = 1;
    for (int i = 0; i < count; i++) {
        int rank = twice[i];
        for (int s = largest + 1; s <= largest + rank; s++)
            p[s] = 0;
        largest += rank;
        for (int s = largest; s >= 0; s--)
            p[s] = 0.5 * (p[s] + (s >= rank ? p[s - rank] : 0));
    }
    return largest;
}

double kds_signed_rank_below(const double *values, int count, double centre)
{
    static _Thread_local double p[SUMS];
    ranked r[MOST];
    int twice[MOST], positive = 0;
    assert(count >= 0 && count <= MOST);
    for (int i = 0; i < count; i++) {
        double x = values[i] - centre;
        r[i] = (ranked){fabs(x), !(x < 0), 0};
    }
    qsort(r, (size_t)count, sizeof *r, by_magnitude);
    for (int first = 0, end; first < count; first = end) {
        for (end = first + 1; end < count && r[end].magnitude == r[first].magnitude; end++)
            continue;
        for (int i = first; i < end; i++)
            r[i].twice = first + 1 + end; /* twice the mean of first + 1 .. end */
    }
    for (int i = 0; i < count; i++) {
        twice[i] = r[i].twice;
        positive += r[i].positive ? r[i].twice : 0;
    }
    double total = 0;
    int largest = distribution(twice, count, p);
    for (int k = 0; k <= positive && k <= largest; k++)
        total += p[k];
    return total < 1 ? total : 1;
}

kds_centre kds_signed_rank_centre(const double *values, int count, double confidence)
{
    static _Thread_local double means[PAIRS], p[SUMS];
    int n = 0, twice[MOST], cut = -1;
    assert(count >= 0 && count <= MOST);
    if (count == 0)
        return (kds_centre){NAN, NAN, NAN, false};
    for (int i = 0; i < count; i++) {
        twice[i] = 2 * (i + 1);
        for (int k = i; k < count; k++)
            means[n++] = 0.5 * (values[i] + values[k]);
    }
    qsort(means, (size_t)n, sizeof *means, ascending);
    /* The largest `cut` with P(W+ <= cut) <= alpha / 2 leaves as many means outside at each end. */
    double below = 0;
    (void)distribution(twice, count, p);
    while ((below += p[2 * (cut + 1)]) <= 0.5 * (1 - confidence))
        cut++;
    kds_centre c = {.estimate = n % 2 == 1 ? means[n / 2] : 0.5 * (means[n / 2 - 1] + means[n / 2]),
                    .low = means[cut < 0 ? 0 : cut],
                    .high = means[cut < 0 ? n - 1 : n - 1 - cut],
                    .bounded = cut >= 0};
    return c;
}
