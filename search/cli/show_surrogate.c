/* How right forecasts have been, as a table or as JSON. */
#include "search/cli/show_surrogate.h"

#include "search/cli/table.h"
#include "search/cli/view.h"
#include "search/engine/surrogate.h"

#include <math.h>

static const struct {
    const char *key, *name;
    int forecaster; /* whose weight it has; -1: none */
} FORECASTS[KDS_SURROGATE_FORECASTS] = {
    {"modelled", "simulator alone", -1},
    {"simulator", "simulator, from the parent", KDS_FORECASTER_SIMULATOR},
    {"model", "the model's own", KDS_FORECASTER_MODEL},
    {"together", "together", -1}};

/* On the simulator the outcome is modelled itself. */
static bool is_shown(const kds_surrogate *s, int i)
{
    return s->measured || i == KDS_SURROGATE_MODEL;
}

static void number(kds_table *t, int digits, double value)
{
    if (isfinite(value))
        kds_table_cell(t, "%.*f", digits, value);
    else
        kds_table_cell(t, "-");
}

static void show_table(const kds_surrogate *s)
{
    const char *columns[] = {"forecast", ">children", ">pairs",  ">right %", ">from %", ">to %",
                             ">tau",     ">off by %", ">bias %", ">weight",  NULL};
    kds_table *t = kds_table_create(columns);
    for (int i = 0; i < KDS_SURROGATE_FORECASTS; i++) {
        kds_surrogate_score x;
        if (!is_shown(s, i))
            continue;
        kds_surrogate_score_of(s, (kds_surrogate_forecast)i, &x);
        kds_table_cell(t, "%s", FORECASTS[i].name);
        kds_table_cell(t, "%d", x.children);
        kds_table_cell(t, "%lld", (long long)x.pairs);
        number(t, 1, 100 * x.right);
        number(t, 1, 100 * x.low);
        number(t, 1, 100 * x.high);
        number(t, 2, x.tau);
        number(t, 1, 100 * x.error);
        number(t, 1, 100 * x.bias);
        number(t, 2,
               s->measured && FORECASTS[i].forecaster >= 0 ? s->weights[FORECASTS[i].forecaster]
                                                           : NAN);
    }
    kds_table_print(t, stdout);
    kds_table_free(t);
}

static void show_text(const kds_surrogate *s)
{
    printf("children    %d with a forecast and a %s time", s->count,
           s->measured ? "measured" : "modelled");
    if (s->set_aside)
        printf("; %d set aside by their forecast and not measured", s->set_aside);
    printf(
        "\npairs       of children committed at most %d of these apart, whose times differ by at "
        "least %.2f %%\n",
        KDS_FORECAST_WINDOW - 1, 100 * KDS_FORECAST_EQUAL);
    if (!s->measured)
        printf("            on the simulator the outcome is modelled itself: only what models said "
               "can be told wrong\n");
    printf("\n");
    show_table(s);
    printf("\nright: the order of a pair, with its interval of 95 %%. tau: Kendall's rank "
           "correlation over all children.\noff by, bias: of the logarithm of the time, its size "
           "and its mean (above 0: expected too slow).\n");
    if (s->measured)
        printf("weight: what the forecast counts in \"together\", by which children that wait for "
               "a GPU are ordered.\n");
}

static cJSON *score_json(const kds_surrogate *s, int i)
{
    kds_surrogate_score x;
    cJSON *o = cJSON_CreateObject();
    bool weighted = s->measured && FORECASTS[i].forecaster >= 0;
    kds_surrogate_score_of(s, (kds_surrogate_forecast)i, &x);
    if (o && kds_json_add_str(o, "forecast", FORECASTS[i].key) &&
        kds_json_add_int(o, "children", x.children) && kds_json_add_int(o, "pairs", x.pairs) &&
        kds_json_add_num(o, "right", x.right) && kds_json_add_num(o, "low", x.low) &&
        kds_json_add_num(o, "high", x.high) && kds_json_add_num(o, "tau", x.tau) &&
        kds_json_add_num(o, "error", x.error) && kds_json_add_num(o, "bias", x.bias) &&
        kds_json_add_num(o, "weight", weighted ? s->weights[FORECASTS[i].forecaster] : NAN))
        return o;
    cJSON_Delete(o);
    return NULL;
}

static kds_code show_json(const kds_surrogate *s, kds_err *e)
{
    cJSON *o = cJSON_CreateObject();
    bool ok = o && kds_json_add_bool(o, "modelled", !s->measured) &&
              kds_json_add_int(o, "children", s->count) &&
              kds_json_add_int(o, "set_aside", s->set_aside) &&
              kds_json_add_int(o, "pairs_within", KDS_FORECAST_WINDOW) &&
              kds_json_add_num(o, "equal_below", KDS_FORECAST_EQUAL);
    cJSON *list = ok ? cJSON_AddArrayToObject(o, "forecasts") : NULL;
    for (int i = 0; list && ok && i < KDS_SURROGATE_FORECASTS; i++)
        ok = !is_shown(s, i) || cJSON_AddItemToArray(list, score_json(s, i));
    kds_code code = list && ok ? kds_view_json(o, e) : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    cJSON_Delete(o);
    return code;
}

kds_code kds_show_surrogate(kds_ledger *l, bool json, kds_err *e)
{
    kds_surrogate s;
    kds_code code = kds_surrogate_read(&s, l, e);
    if (code != KDS_OK)
        return code;
    if (json)
        code = show_json(&s, e);
    else
        show_text(&s);
    kds_surrogate_free(&s);
    return code;
}
