/* How right forecasts have been, from a campaign's record: what was expected of each child before
 * it was judged beside what came of it. */
#ifndef KDS_ENGINE_SURROGATE_H
#define KDS_ENGINE_SURROGATE_H

#include "archive/ledger.h"
#include "search/engine/state.h"

typedef struct kds_surrogate_child {
    int64_t decision;
    kds_forecast said;
    double measured; /* as in kds_forecast; on the simulator modelled */
} kds_surrogate_child;

typedef struct kds_surrogate {
    bool measured;                 /* a GPU's times */
    kds_surrogate_child *children; /* with a forecast and a time, in the order of their commits */
    int count, room;
    int set_aside;
    double weights[KDS_FORECASTERS]; /* that forecasts have now */
} kds_surrogate;

KDS_MUST_USE kds_code kds_surrogate_read(kds_surrogate *out, kds_ledger *ledger, kds_err *e);
void kds_surrogate_free(kds_surrogate *s);

typedef enum kds_surrogate_forecast {
    KDS_SURROGATE_MODELLED,
    KDS_SURROGATE_SIMULATOR,
    KDS_SURROGATE_MODEL,
    KDS_SURROGATE_EXPECTED,
    KDS_SURROGATE_FORECASTS
} kds_surrogate_forecast;

typedef struct kds_surrogate_score {
    int children;  /* that had this forecast */
    int64_t pairs; /* of them, at most KDS_FORECAST_WINDOW - 1 apart, that have an order */
    double right, low, high; /* share of the pairs whose order was right, with its 95 % interval;
                                NAN without a pair */
    double tau;              /* Kendall's tau-b over all of the children */
    double error, bias;      /* of the logarithm: mean of its size, mean (above 0: too slow) */
} kds_surrogate_score;

void kds_surrogate_score_of(const kds_surrogate *s, kds_surrogate_forecast which,
                            kds_surrogate_score *out);

#endif
