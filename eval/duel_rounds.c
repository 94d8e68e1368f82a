/* Planned looks spend the error of one test: .004 + .003 + .003 bounds the chance that a child that
 * is not faster by the margin is called faster, however the looks depend on each other. Looking
 * after every round instead would triple it. Stopping for want of hope can only lose gains. */
#include "eval/duel_rounds.h"

#include "eval/signed_rank.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const int looks[KDS_DUEL_LOOKS] = {8, 16, KDS_DUEL_ROUNDS};
static const double alphas[KDS_DUEL_LOOKS] = {.004, .003, .003};
#define CONFIDENCE .98

#define HOPELESS_LEAST 0.02
#define HOPELESS_MARGINS 4

double kds_duel_hopeless(double margin, double floor)
{
    return fmin(1, fmax(HOPELESS_LEAST, HOPELESS_MARGINS * fmax(margin, floor)));
}

#define LEAST_MARGIN 0.0025

double kds_duel_margin(double of_task, double floor)
{
    return fmax(fmax(of_task, LEAST_MARGIN), floor);
}

double kds_duel_round_value(const kds_duel_rounds *d, int round)
{
    double sum = 0, weights = 0;
    for (int i = 0; i < d->row_count; i++) {
        sum += d->weights[i] * d->rows[round][i];
        weights += d->weights[i];
    }
    return weights > 0 ? sum / weights : NAN;
}

/* The row with the largest estimate. */
static void worst_row(const kds_duel_rounds *d, kds_duel *out)
{
    out->worst = -INFINITY;
    for (int i = 0; i < d->row_count; i++) {
        double values[KDS_DUEL_ROUNDS];
        for (int k = 0; k < d->count; k++)
            values[k] = d->rows[k][i];
        double estimate = kds_signed_rank_centre(values, d->count, CONFIDENCE).estimate;
        if (estimate > out->worst) {
            out->worst = estimate;
            snprintf(out->worst_row, sizeof out->worst_row, "%s", d->row_names[i]);
        }
    }
}

static bool conclude(kds_duel *out, kds_duel_verdict v)
{
    out->verdict = v;
    return true;
}

bool kds_duel_over(const kds_duel_rule *r, const kds_duel_rounds *d, kds_duel *out)
{
    double values[KDS_DUEL_ROUNDS], best = INFINITY, needed = -log1p(r->margin);
    int look = -1;
    *out = (kds_duel){.verdict = KDS_DUEL_UNRESOLVED, .rounds = d->count, .p = 1};
    if (d->count < 1)
        return false;
    for (int k = 0; k < d->count; k++) {
        values[k] = kds_duel_round_value(d, k);
        best = values[k] < best ? values[k] : best;
    }
    for (int k = 0; k < KDS_DUEL_LOOKS; k++)
        look = d->count == looks[k] ? k : look;
    bool futile = d->count == KDS_DUEL_FUTILE && !r->to_the_look && best > needed;
    if (look < 0 && d->count != KDS_DUEL_SCREEN && !futile)
        return false;
    kds_centre c = kds_signed_rank_centre(values, d->count, CONFIDENCE);
    out->gain = expm1(-c.estimate);
    out->low = expm1(-c.high);
    out->high = expm1(-c.low);
    worst_row(d, out);
    if (d->count == KDS_DUEL_SCREEN && best > log1p(r->hopeless)) {
        snprintf(out->why, sizeof out->why, "%+.1f %% against the incumbent in %d rounds: hopeless",
                 100 * out->gain, d->count);
        return conclude(out, KDS_DUEL_NOT_FASTER);
    }
    if (futile) {
        snprintf(out->why, sizeof out->why,
                 "%+.2f %% against the incumbent, in none of %d rounds the %.2f %% needed",
                 100 * out->gain, d->count, 100 * r->margin);
        return conclude(out, KDS_DUEL_NOT_FASTER);
    }
    if (look < 0)
        return false;
    out->p = kds_signed_rank_below(values, d->count, needed);
    if (out->p <= alphas[look] && out->worst > log1p(r->max_regress)) {
        snprintf(out->why, sizeof out->why, "row %.60s is %.1f %% slower, at most %.1f %% allowed",
                 out->worst_row, 100 * expm1(out->worst), 100 * r->max_regress);
        return conclude(out, KDS_DUEL_NOT_FASTER);
    }
    snprintf(out->why, sizeof out->why,
             "%+.2f %% against the incumbent (%+.2f to %+.2f), %.2f %% needed, p %.2g, %d rounds",
             100 * out->gain, 100 * out->low, 100 * out->high, 100 * r->margin, out->p, d->count);
    if (out->p <= alphas[look])
        return conclude(out, KDS_DUEL_FASTER);
    if (c.bounded && c.low > needed)
        return conclude(out, KDS_DUEL_NOT_FASTER);
    return look == KDS_DUEL_LOOKS - 1;
}
