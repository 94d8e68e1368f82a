/* Shared by state*.c and map.c only. */
#ifndef KDS_ENGINE_STATE_INTERNAL_H
#define KDS_ENGINE_STATE_INTERNAL_H

#include "search/engine/state.h"

/* What judging a kernel counts: five seconds of a GPU at 3.6 USD an hour. */
#define KDS_USD_A_JUDGE 0.005

struct kds_map {
    struct {
        kds_id id;
        int64_t decision; /* -1: free */
    } * items;
    size_t size, count; /* size: a power of two, or 0 */
};

kds_map *kds_map_create(void);
void kds_map_free(kds_map *m);
/* Keeps the first decision of an id. False: out of memory. */
bool kds_map_put(kds_map *m, kds_id id, int64_t decision);
/* state_duel.c: a duel begins, a duel ends, a holder is not borne out. */
KDS_MUST_USE kds_code kds_state_apply_challenge(kds_state *s, const cJSON *body, kds_err *e);
KDS_MUST_USE kds_code kds_state_apply_duel(kds_state *s, const cJSON *body, kds_err *e);
KDS_MUST_USE kds_code kds_state_apply_retire(kds_state *s, const cJSON *body, kds_err *e);
/* state_arms.c: an elite was profiled again. */
KDS_MUST_USE kds_code kds_state_apply_profile(kds_state *s, const cJSON *body, kds_err *e);
/* A new holder is in the place of `former`. */
void kds_claim_pass(kds_claim *c, kds_holder former);
/* The event of a guidance, and a commit's part in it (state_guidance.c). */
KDS_MUST_USE kds_code kds_state_apply_guidance(kds_state *s, const cJSON *body, kds_err *e);
KDS_MUST_USE kds_code kds_state_commit_guidance(kds_state *s, const kds_flight *f,
                                                kds_verdict verdict, bool accepted, kds_err *e);
/* Forecasts (state_forecast.c): the campaign's settings; what is known when a child is decided; the
 * forecast of a STAGE event, by which the flight may be set aside; what came of it. */
void kds_state_forecast_settings(kds_state *s, const cJSON *settings);
void kds_state_begin_forecast(const kds_state *s, kds_flight *f);
void kds_state_apply_forecast(const kds_state *s, kds_flight *f, const cJSON *forecast);
void kds_state_end_forecast(kds_state *s, const kds_flight *f, double fitness);
/* Islands (state_islands.c). A candidate that competed for its cell settles: `newcomer` is it as an
 * elite. And before a decision is applied, the fittest may move. */
KDS_MUST_USE kds_code kds_state_settle(kds_state *s, const kds_flight *f, const kds_cell *newcomer,
                                       kds_err *e);
KDS_MUST_USE kds_code kds_state_migrate(kds_state *s, int64_t decision, kds_err *e);
/* Arms (state_arms.c): what a commit brought, before it is applied; and its place in the books. */
double kds_state_reward(const kds_state *s, const cJSON *body, bool accepted);
void kds_state_credit(kds_state *s, const kds_flight *f, double reward, bool judged);
/* The line of the parent's cell: a child of its elite was committed. */
void kds_state_count_line(kds_state *s, const kds_flight *f, bool accepted);
/* Sweeps (state_sweep.c): of a DECISION, its CANDIDATE, and its commit. */
void kds_state_sweep_decided(kds_state *s, kds_flight *f, const cJSON *body);
void kds_state_sweep_proposed(kds_state *s, const kds_flight *f);
KDS_MUST_USE kds_code kds_state_sweep_committed(kds_state *s, const kds_flight *f,
                                                const cJSON *body, bool accepted, kds_err *e);
/* The cell of that key, made if needed; NULL if out of memory. */
kds_cell *kds_state_cell_add(kds_state *s, uint64_t key);

#endif
