/* Shared by state*.c and map.c only. */
#ifndef KDS_ENGINE_STATE_INTERNAL_H
#define KDS_ENGINE_STATE_INTERNAL_H

#include "search/engine/state.h"

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
/* The cell of that key, made if needed; NULL if out of memory. */
kds_cell *kds_state_cell_add(kds_state *s, uint64_t key);

#endif
