/* What a decision is recorded as, and the child that the built-in proposer makes with it. */
#include "search/engine/select_internal.h"

#include "prompts/builtin.h"
#include "search/base/lex.h"
#include "search/engine/ask.h"
#include "search/engine/select_guidance.h"

#include <string.h>

#define NORMAL_CAP ((size_t)KDS_SOURCE_CAP * 4)

void kds_choice_free(kds_choice *c)
{
    cJSON_Delete(c->decision);
    cJSON_Delete(c->candidate);
    cJSON_Delete(c->swept);
    kds_buf_free(&c->source);
    c->decision = c->candidate = c->swept = NULL;
}

/* What is known of a source by its normal form. Only one with something to sweep has a structure.
 */
static bool add_normal(cJSON *body, const kds_state *state, const kds_buf *normal)
{
    kds_id structure;
    int64_t points = 1;
    kds_err none = {0};
    bool ok = kds_json_add_id(body, "norm", kds_id_of(normal->data, normal->len));
    if (ok && state->rules >= 2)
        ok = kds_builtin_structure(normal->data, normal->len, &structure, &points, &none) ==
                 KDS_OK &&
             (points < 2 || kds_json_add_id(body, "structure", structure));
    return ok;
}

static cJSON *candidate_body(const kds_state *state, int64_t decision, const char *operator_name,
                             const char *model, const cJSON *parents, const char *source,
                             size_t len, const kds_buf *normal, const char *hypothesis)
{
    cJSON *body = cJSON_CreateObject();
    cJSON *copy = parents ? cJSON_Duplicate(parents, true) : cJSON_CreateArray();
    bool ok = body && copy && kds_json_add_int(body, "decision", decision) &&
              kds_json_add_id(body, "candidate", kds_id_of(source, len)) &&
              add_normal(body, state, normal) && cJSON_AddItemToObject(body, "parents", copy);
    if (!ok) {
        cJSON_Delete(copy);
        cJSON_Delete(body);
        return NULL;
    }
    ok = kds_json_add_str(body, "operator", operator_name) &&
         kds_json_add_str(body, "model", model) && kds_json_add_str(body, "hypothesis", hypothesis);
    if (!ok) {
        cJSON_Delete(body);
        return NULL;
    }
    return body;
}

cJSON *kds_candidate_body(const kds_state *state, int64_t decision, const char *operator_name,
                          const char *model, const cJSON *parents, const char *source, size_t len,
                          const char *hypothesis)
{
    kds_buf normal;
    kds_buf_init(&normal, NORMAL_CAP + len);
    kds_lex_normalize(&normal, source, len);
    cJSON *body = candidate_body(state, decision, operator_name, model, parents, source, len,
                                 &normal, hypothesis);
    kds_buf_free(&normal);
    return body;
}

cJSON *kds_select_body(const kds_state *state, const char *operator_name, const char *proposer,
                       const char *model, const kds_cell *cell, kds_id parent, kds_id other)
{
    char hex[KDS_ID_HEX], key[17];
    cJSON *body = cJSON_CreateObject();
    cJSON *parents = body ? cJSON_AddArrayToObject(body, "parents") : NULL;
    bool ok = parents && kds_json_add_int(body, "decision", state->decisions) &&
              kds_json_add_str(body, "operator", operator_name) &&
              kds_json_add_str(body, "proposer", proposer) &&
              kds_json_add_str(body, "model", model);
    kds_id ids[2] = {parent, other};
    for (int i = 0; i < 2 && ok; i++) {
        if (kds_id_is_zero(ids[i]))
            continue;
        kds_id_format(ids[i], hex);
        ok = cJSON_AddItemToArray(parents, cJSON_CreateString(hex));
    }
    if (ok && cell) {
        kds_cell_format(cell->key, key);
        ok = kds_json_add_str(body, "cell", key);
    } else if (ok)
        ok = kds_json_add_str(body, "cell", NULL);
    if (!ok) {
        cJSON_Delete(body);
        return NULL;
    }
    return body;
}

kds_code kds_select_finish(const kds_state *state, kds_choice *c, kds_err *e)
{
    if (c->decision && c->swept && cJSON_AddItemToObject(c->decision, "swept", c->swept))
        c->swept = NULL;
    if (!c->decision || c->swept || !kds_select_guidance(state, c->decision) ||
        !kds_json_add_id(c->decision, "chain", kds_state_chain(state->chain, c->decision)))
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    return KDS_OK;
}

static bool is_proposed(void *user, kds_id norm)
{
    const kds_state *state = user;
    return kds_map_get(state->proposed, norm) >= 0;
}

/* Lets the built-in proposer make a child. `how` NULL: by the decision's operator; else a step of a
 * sweep. */
static kds_code propose(const kds_gathered *g, const kds_state *state, const kds_sweep_step *how,
                        kds_random *random, const kds_proposal *out, bool *made, kds_err *e)
{
    union {
        const void *in;
        void *out;
    } user = {.in = state}; /* the callback only reads */
    if (!how)
        return kds_builtin_propose(&g->ask, random, is_proposed, user.out, out, made, e);
    return kds_builtin_sweep(&g->ask, how->spread, random, is_proposed, user.out, out, made, e);
}

/* {"sweep": structure, "rung": 1} */
static bool add_step(cJSON *decision, const kds_sweep_step *how)
{
    cJSON *target = decision ? cJSON_AddObjectToObject(decision, "target") : NULL;
    return target && kds_json_add_id(target, "sweep", how->structure) &&
           kds_json_add_int(target, "rung", how->rung);
}

kds_code kds_select_child(const kds_selector *s, const kds_state *state, const char *operator_name,
                          const kds_cell *cell, kds_id parent, kds_id other,
                          const kds_sweep_step *how, kds_random *random, kds_choice *out,
                          bool *made, kds_err *e)
{
    kds_gathered g = {0};
    kds_buf hypothesis, normal;
    const kds_proposal child = {&out->source, &hypothesis, &normal};
    kds_buf_init(&hypothesis, 4096);
    kds_buf_init(&normal, NORMAL_CAP);
    kds_buf_reset(&out->source);
    kds_code code = kds_gather_sources(&g, s, state, operator_name, parent, other, e);
    if (code == KDS_OK)
        code = propose(&g, state, how, random, &child, made, e);
    if (code != KDS_OK || !*made)
        goto out;
    out->decision = kds_select_body(state, operator_name, "builtin", NULL, cell, parent, other);
    if (how && !add_step(out->decision, how)) {
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
        goto out;
    }
    out->candidate = candidate_body(state, state->decisions, operator_name, NULL,
                                    kds_json_at(out->decision, "parents"), out->source.data,
                                    out->source.len, &normal, hypothesis.data);
    code = kds_select_finish(state, out, e);
    if (code == KDS_OK && !out->candidate)
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
out:
    kds_gathered_free(&g);
    kds_buf_free(&hypothesis);
    kds_buf_free(&normal);
    return code;
}
