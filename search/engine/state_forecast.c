/* Forecasts of a child's time, and how right they have been. The simulator's is a change of its
 * parent's, put onto what the parent measured, because what the model gets wrong of both cancels;
 * that of the model which wrote the child is a factor over its parent. Each counts as much as its
 * order of pairs of children was right so far, more than it was wrong, with PRIOR pairs given
 * beforehand: right ones to the simulator, none to the other. A pair is two children of which one
 * was committed at most KDS_FORECAST_WINDOW - 1 measured ones after the other. */
#include "search/engine/state_internal.h"

#include "search/base/text.h"

#include <math.h>
#include <stdio.h>

#define PRIOR 20.0
#define FACTOR_MOST 10.0 /* beyond that a model's forecast is none */

/* Logarithm of the time over the baseline's; NAN if the fitness is none. */
static double ln_time(double fitness)
{
    return isfinite(fitness) && fitness > 0 ? -log(fitness) : NAN;
}

bool kds_forecast_differ(double a, double b)
{
    return fabs(a - b) >= KDS_FORECAST_EQUAL;
}

void kds_state_weights(const kds_state *s, double out[KDS_FORECASTERS])
{
    for (int i = 0; i < KDS_FORECASTERS; i++) {
        const kds_forecast_score *x = &s->forecast_scores[i];
        double prior = i == KDS_FORECASTER_SIMULATOR ? PRIOR : 0;
        double weight = (x->right - x->wrong + prior) / (x->right + x->wrong + PRIOR);
        out[i] = weight > 0 ? weight : 0;
    }
}

void kds_state_begin_forecast(const kds_state *s, kds_flight *f)
{
    const kds_cell *c = f->has_cell ? kds_state_cell(s, f->cell) : NULL;
    bool known = c && f->parent_count > 0 && kds_id_equal(c->elite, f->parents[0]);
    f->forecast = (kds_forecast){NAN, NAN, NAN, NAN};
    f->parent_ln = known ? ln_time(c->fitness) : NAN;
    f->parent_modelled = known ? c->modelled : NAN;
    f->factor = NAN;
    kds_state_weights(s, f->weights);
}

void kds_forecast_derive(const kds_flight *f, double modelled, kds_forecast *out)
{
    bool anchored = isfinite(f->parent_ln) && isfinite(f->parent_modelled);
    bool believed = f->factor >= 1 / FACTOR_MOST && f->factor <= FACTOR_MOST;
    double sum = 0, weights = 0;
    out->modelled = modelled;
    out->simulator = anchored ? f->parent_ln + modelled - f->parent_modelled : modelled;
    out->predicted = believed ? f->parent_ln - log(f->factor) : NAN;
    const double said[KDS_FORECASTERS] = {out->simulator, out->predicted};
    for (int i = 0; i < KDS_FORECASTERS; i++)
        if (isfinite(said[i])) {
            sum += f->weights[i] * said[i];
            weights += f->weights[i];
        }
    if (weights > 0)
        out->expected = sum / weights;
    else
        out->expected = isfinite(out->simulator) ? out->simulator : out->predicted;
}

double kds_forecast_rank(const kds_flight *f)
{
    if (isfinite(f->forecast.expected))
        return f->forecast.expected;
    return isfinite(f->parent_ln) ? f->parent_ln : 0;
}

/* Slower than its parent by more than the campaign allows. Only the simulator, which has seen both,
 * may say so. */
static bool is_hopeless(const kds_state *s, const kds_flight *f, double *times)
{
    *times = exp(f->forecast.expected - f->parent_ln);
    return s->forecast_cutoff > 0 && isfinite(f->parent_modelled) &&
           isfinite(f->forecast.modelled) && *times > 1 + s->forecast_cutoff;
}

void kds_state_apply_forecast(const kds_state *s, kds_flight *f, const cJSON *forecast)
{
    double times = 0;
    f->forecast = (kds_forecast){
        kds_json_num(forecast, "modelled", NAN), kds_json_num(forecast, "simulator", NAN),
        kds_json_num(forecast, "predicted", NAN), kds_json_num(forecast, "expected", NAN)};
    if (!is_hopeless(s, f, &times))
        return;
    f->verdict = KDS_VERDICT_SET_ASIDE;
    f->has_verdict = true;
    (void)snprintf(f->message, sizeof f->message,
                   "set aside by forecast: %.2fx its parent's time is expected, %.2fx allowed; it "
                   "was not judged",
                   times, 1 + s->forecast_cutoff);
}

/* One pair of children more, as a forecast had it. */
static void count_pair(kds_forecast_score *score, double said, double other_said, double measured,
                       double other_measured)
{
    if (!isfinite(said) || !isfinite(other_said))
        return;
    double right = kds_forecast_right(said - other_said, measured - other_measured);
    score->right += right;
    score->wrong += 1 - right;
}

double kds_forecast_right(double said, double measured)
{
    if (said == 0)
        return 0.5;
    return (said > 0) == (measured > 0) ? 1 : 0;
}

void kds_state_end_forecast(kds_state *s, const kds_flight *f, double fitness)
{
    kds_forecast_outcome now = {{f->forecast.simulator, f->forecast.predicted}, ln_time(fitness)};
    if (!isfinite(now.measured) || !isfinite(f->forecast.expected))
        return;
    for (int64_t i = 1; i < KDS_FORECAST_WINDOW && i <= s->forecast_count; i++) {
        const kds_forecast_outcome *then =
            &s->forecast_outcomes[(s->forecast_count - i) % KDS_FORECAST_WINDOW];
        for (int k = 0; k < KDS_FORECASTERS && kds_forecast_differ(now.measured, then->measured);
             k++)
            count_pair(&s->forecast_scores[k], now.said[k], then->said[k], now.measured,
                       then->measured);
    }
    s->forecast_outcomes[s->forecast_count++ % KDS_FORECAST_WINDOW] = now;
}

void kds_state_forecast_settings(kds_state *s, const cJSON *settings)
{
    double cutoff = 0;
    if (kds_text_parse_double(kds_json_str(settings, "forecast-cutoff", "0"), &cutoff) &&
        isfinite(cutoff) && cutoff > 0)
        s->forecast_cutoff = cutoff;
}
