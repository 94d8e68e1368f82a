/* The exact duel of the simulator. The round value is the weighted mean over production rows of
 * ln(t_child / t_incumbent); there is one round, because the modelled time of a program does not
 * vary. */
#include "eval/duel.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *kds_duel_verdict_name(kds_duel_verdict v)
{
    static const char *const names[] = {"faster", "not_faster", "unresolved"};
    return names[v];
}

static const cJSON *find_row(const cJSON *report, const char *id)
{
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, kds_json_at(report, "rows"))
    {
        if (strcmp(kds_json_str(row, "set", ""), "production") == 0 &&
            strcmp(kds_json_str(row, "row", ""), id) == 0)
            return row;
    }
    return NULL;
}

/* Accumulates one production row; false if it cannot be compared. */
static bool add_row(const cJSON *row, const cJSON *incumbent, kds_duel *d, double *sum,
                    double *weights)
{
    const char *id = kds_json_str(row, "row", "");
    const cJSON *other = find_row(incumbent, id);
    double mine = kds_json_num(row, "time_us", 0), theirs = kds_json_num(other, "time_us", 0);
    double weight = kds_json_num(row, "weight", 1);
    if (!other || !(mine > 0) || !(theirs > 0) || !isfinite(mine) || !isfinite(theirs))
        return false;
    double ratio = log(mine / theirs);
    *sum += weight * ratio;
    *weights += weight;
    if (ratio > d->worst) {
        d->worst = ratio;
        snprintf(d->worst_row, sizeof d->worst_row, "%s", id);
    }
    return true;
}

kds_code kds_duel_exact(const cJSON *child, const cJSON *incumbent, double margin,
                        double max_regress, kds_duel *out, kds_err *e)
{
    kds_duel d = {.verdict = KDS_DUEL_NOT_FASTER, .worst = -INFINITY};
    double sum = 0, weights = 0;
    if (strcmp(kds_json_str(child, "fingerprint", "a"),
               kds_json_str(incumbent, "fingerprint", "b")) != 0)
        return kds_fail(e, KDS_INVALID, "two results of different fingerprints cannot be compared");
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, kds_json_at(child, "rows"))
    {
        if (strcmp(kds_json_str(row, "set", ""), "production") != 0)
            continue;
        if (!add_row(row, incumbent, &d, &sum, &weights))
            return kds_fail(e, KDS_INVALID, "row %s has no time to compare",
                            kds_json_str(row, "row", "?"));
    }
    if (!(weights > 0))
        return kds_fail(e, KDS_INVALID, "no production row to compare");
    double estimate = sum / weights;
    d.gain = d.low = d.high = expm1(-estimate);
    d.rounds = 1;
    d.p = 1;
    if (-estimate < log1p(margin))
        snprintf(d.why, sizeof d.why, "%+.2f %% against the incumbent, %.2f %% needed",
                 100 * d.gain, 100 * margin);
    else if (d.worst > log1p(max_regress))
        snprintf(d.why, sizeof d.why, "row %.60s is %.1f %% slower, at most %.1f %% allowed",
                 d.worst_row, 100 * expm1(d.worst), 100 * max_regress);
    else {
        d.verdict = KDS_DUEL_FASTER;
        d.p = 0;
        snprintf(d.why, sizeof d.why, "%.2f %% faster than the incumbent", 100 * d.gain);
    }
    *out = d;
    return KDS_OK;
}
