/* Thompson sampling (Thompson, "On the likelihood that one unknown probability exceeds another",
 * 1933): from what is believed of each guidance a share of accepted children is drawn, and the
 * highest draw wins. It needs no outcome of what is still under way (Chapelle, Li, "An empirical
 * evaluation of Thompson sampling", 2011). */
#include "search/engine/select_guidance.h"

#include "search/base/random.h"

#include <math.h>
#include <string.h>

#define FIRST_RULES 2

bool kds_guidance_due(const kds_state *state, int64_t every)
{
    if (state->rules < FIRST_RULES || every <= 0 || state->guidances.since_asked < every)
        return false;
    for (int i = 0; i < state->flight_count; i++)
        if (kds_flight_guides(&state->flights[i]))
            return false; /* one at a time */
    return true;
}

/* Gamma distributed, shape >= 1 (Marsaglia, Tsang, "A simple method for generating gamma
 * variables", 2000). */
static double draw_gamma(kds_random *r, double shape)
{
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = kds_random_normal(r), v = 1 + c * x, u = kds_random_unit(r);
        if (v <= 0)
            continue;
        v = v * v * v;
        if (log(1 - u) < x * x / 2 + d - d * v + d * log(v))
            return d * v;
    }
}

static double draw_share(kds_random *r, kds_belief b)
{
    double accepted = draw_gamma(r, b.accepted), refused = draw_gamma(r, b.refused);
    return accepted / (accepted + refused);
}

/* One in use; `from`: 0 with none among them, 1 without. Zero: none. */
static kds_id draw(const kds_state *state, int from)
{
    kds_id best = {0, 0};
    double most = -1;
    kds_random r = kds_random_stream(state->seed, (uint64_t)state->decisions, "guidance");
    for (int i = from; i < state->guidances.count; i++) {
        const kds_guidance *g = &state->guidances.items[i];
        double share =
            g->standing == KDS_GUIDANCE_IN_USE ? draw_share(&r, kds_guidance_belief(g)) : -1;
        if (share > most) {
            most = share;
            best = g->id;
        }
    }
    return best;
}

/* What the decision that a repair follows was told. */
static kds_id inherited(const kds_state *state, const cJSON *decision)
{
    kds_id parent;
    const cJSON *first = cJSON_GetArrayItem(kds_json_at(decision, "parents"), 0);
    for (int i = 0; i < state->repair_count; i++)
        if (cJSON_IsString(first) && kds_id_parse(first->valuestring, &parent) &&
            kds_id_equal(state->repairs[i].candidate, parent))
            return state->repairs[i].guidance;
    return (kds_id){0, 0};
}

bool kds_select_guidance(const kds_state *state, cJSON *decision)
{
    const char *operator_name = kds_json_str(decision, "operator", "");
    if (state->rules < FIRST_RULES ||
        !kds_proposer_is_model(kds_json_str(decision, "proposer", "")))
        return true;
    bool guide = strcmp(operator_name, "guide") == 0;
    kds_id id = strcmp(operator_name, "repair") == 0 ? inherited(state, decision)
                                                     : draw(state, guide ? 1 : 0);
    return kds_id_is_zero(id) ? kds_json_add_str(decision, "guidance", NULL)
                              : kds_json_add_id(decision, "guidance", id);
}
