/* Selection. The first decisions are the task's own: the baseline, then its seeds. After that every
 * decision draws an operator (by how often it was accepted), then a parent (a tournament of cells
 * by curiosity: an upper confidence bound on accepted children per visit, mixed with fitness), all
 * from streams keyed by (seed, decision, purpose). With the built-in proposer the child is made
 * here too, so that a decision and its child are one record.
 *
 * Cost per decision does not grow with the archive: a tournament looks at a fixed number of cells.
 */
#include "search/engine/select.h"

#include "eval/judge.h"
#include "eval/lint.h"
#include "prompts/builtin.h"
#include "search/base/random.h"
#include "search/engine/ask.h"
#include "search/engine/select_guidance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TOURNAMENT 4
#define TRIES 12

/* Operators with their weight before anything is known of them. */
typedef struct operator_entry {
    const char *name;
    double weight;
    bool model; /* asks a model */
    bool two;   /* needs two parents from different cells */
} operator_entry;

static const operator_entry builtin_operators[] = {
    {"tune", 3, false, false}, {"rewrite", 2, false, false}, {"crossover", 1, false, true}};
static const operator_entry endpoint_operators[] = {{"mutate", 4, true, false},
                                                    {"explore", 1, true, false},
                                                    {"crossover", 1, true, true},
                                                    {"simplify", 0.3, true, false},
                                                    {"tune", 2, false, false}};

void kds_selector_configure(kds_selector *s, const kds_settings *settings, const kds_models *models)
{
    s->proposer = kds_settings_text(settings, "proposer");
    s->endpoint = strcmp(s->proposer, "builtin") != 0;
    s->models = s->endpoint ? models : NULL;
    s->model = s->endpoint && *models->items[0].name ? models->items[0].name : NULL;
    s->guidance_every = kds_settings_int(settings, "guidance-every");
}

void kds_choice_free(kds_choice *c)
{
    cJSON_Delete(c->decision);
    cJSON_Delete(c->candidate);
    kds_buf_free(&c->source);
    c->decision = c->candidate = NULL;
}

int64_t kds_selector_opening(const kds_selector *s)
{
    return 1 + s->task->seed_count;
}

cJSON *kds_candidate_body(int64_t decision, const char *operator_name, const char *model,
                          const cJSON *parents, const char *source, size_t len,
                          const char *hypothesis)
{
    cJSON *body = cJSON_CreateObject();
    cJSON *copy = parents ? cJSON_Duplicate(parents, true) : cJSON_CreateArray();
    bool ok = body && copy && kds_json_add_int(body, "decision", decision) &&
              kds_json_add_id(body, "candidate", kds_id_of(source, len)) &&
              kds_json_add_id(body, "norm", kds_lint_norm_id(source, len)) &&
              cJSON_AddItemToObject(body, "parents", copy);
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

/* Starts the body of a DECISION event; the chain value is added by finish_decision. */
static cJSON *decision_body(const kds_state *state, const char *operator_name, const char *proposer,
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

static kds_code finish_decision(const kds_state *state, kds_choice *c, kds_err *e)
{
    if (!c->decision || !kds_select_guidance(state, c->decision) ||
        !kds_json_add_id(c->decision, "chain", kds_state_chain(state->chain, c->decision)))
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    return KDS_OK;
}

/* The baseline and the seeds. */
static kds_code select_opening(const kds_selector *s, const kds_state *state, kds_choice *out,
                               kds_err *e)
{
    int64_t n = state->decisions;
    const char *operator_name = n == 0 ? "baseline" : "seed";
    const char *source = n == 0 ? s->task->baseline : s->task->seeds[n - 1].source;
    const char *name = n == 0 ? "baseline" : s->task->seeds[n - 1].name;
    kds_id none = {0, 0};
    out->decision = decision_body(state, operator_name, "task", NULL, NULL, none, none);
    if (out->decision && !kds_json_add_str(out->decision, "target", name))
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_buf_puts(&out->source, source);
    out->candidate = kds_candidate_body(n, operator_name, NULL, NULL, source, strlen(source), name);
    if (!out->candidate)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    return finish_decision(state, out, e);
}

/* How promising a cell is as a source of parents (UCB1: Auer, Cesa-Bianchi, Fischer, "Finite-time
 * analysis of the multiarmed bandit problem", 2002), plus its fitness as a fraction of the best. */
static double cell_score(const kds_state *state, const kds_cell *c)
{
    double visits = (double)c->visits + 1;
    double rate = ((double)c->improvements + 0.5) / visits;
    double bonus = sqrt(0.5 * log1p((double)state->decisions) / visits);
    double fitness = state->best_fitness > 0 ? c->fitness / state->best_fitness : 0;
    return rate + bonus + 0.7 * fitness;
}

static const kds_cell *pick_cell(const kds_state *state, kds_random *random,
                                 const kds_cell *other_than)
{
    const kds_cell *best = NULL;
    double best_score = 0;
    for (int i = 0; i < TOURNAMENT; i++) {
        const kds_cell *c = &state->cells[kds_random_below(random, (uint64_t)state->cell_count)];
        double score = cell_score(state, c);
        if (c != other_than && (!best || score > best_score)) {
            best = c;
            best_score = score;
        }
    }
    return best;
}

static double operator_weight(const kds_state *state, const operator_entry *op)
{
    for (int i = 0; i < state->operator_count; i++) {
        const kds_operator_score *o = &state->operators[i];
        if (strcmp(o->name, op->name) == 0)
            return op->weight * ((double)o->accepted + 1) / ((double)o->committed + 4) + 0.02;
    }
    return op->weight / 4 + 0.02;
}

static const operator_entry *pick_operator(const kds_state *state, const operator_entry *table,
                                           int count, kds_random *random)
{
    double weights[16];
    for (int i = 0; i < count; i++)
        weights[i] = table[i].two && state->cell_count < 2 ? 0 : operator_weight(state, &table[i]);
    return &table[kds_random_weighted(random, weights, (size_t)count)];
}

static bool is_proposed(void *user, kds_id norm)
{
    const kds_state *state = user;
    return kds_map_get(state->proposed, norm) >= 0;
}

/* Lets the built-in proposer make a child of `cell`'s elite. */
static kds_code make_child(const kds_selector *s, const kds_state *state, const operator_entry *op,
                           const kds_cell *cell, const kds_cell *other, kds_random *random,
                           kds_choice *out, bool *made, kds_err *e)
{
    kds_gathered g = {0};
    kds_id none = {0, 0};
    kds_buf hypothesis;
    kds_buf_init(&hypothesis, 4096);
    kds_buf_reset(&out->source);
    kds_code code =
        kds_gather_sources(&g, s, state, op->name, cell->elite, other ? other->elite : none, e);
    if (code != KDS_OK)
        goto out;
    union {
        const void *in;
        void *out;
    } user = {.in = state}; /* the callback only reads */
    code = kds_builtin_propose(&g.ask, random, is_proposed, user.out, &out->source, &hypothesis,
                               made, e);
    if (code != KDS_OK || !*made)
        goto out;
    out->decision = decision_body(state, op->name, "builtin", NULL, cell, cell->elite,
                                  other ? other->elite : none);
    out->candidate =
        kds_candidate_body(state->decisions, op->name, NULL, kds_json_at(out->decision, "parents"),
                           out->source.data, out->source.len, hypothesis.data);
    code = finish_decision(state, out, e);
    if (code == KDS_OK && !out->candidate)
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
out:
    kds_gathered_free(&g);
    kds_buf_free(&hypothesis);
    return code;
}

/* After chance has found nothing: every cell and operator in turn, so that "nothing left" is the
 * truth. */
static kds_code exhaust(const kds_selector *s, const kds_state *state, kds_random *random,
                        kds_choice *out, bool *made, kds_err *e)
{
    for (int i = 0; i < state->cell_count; i++) {
        for (size_t k = 0; k < sizeof builtin_operators / sizeof *builtin_operators; k++) {
            const operator_entry *op = &builtin_operators[k];
            for (int j = 0; j < (op->two ? state->cell_count : 1); j++) {
                const kds_cell *other = op->two ? &state->cells[j] : NULL;
                if (other == &state->cells[i])
                    continue;
                kds_code code =
                    make_child(s, state, op, &state->cells[i], other, random, out, made, e);
                if (code != KDS_OK || *made)
                    return code;
            }
        }
    }
    return KDS_OK;
}

static kds_code select_builtin(const kds_selector *s, const kds_state *state, kds_choice *out,
                               bool *made, kds_err *e)
{
    kds_random random = kds_random_stream(state->seed, (uint64_t)state->decisions, "select");
    kds_random edit = kds_random_stream(state->seed, (uint64_t)state->decisions, "edit");
    int count = (int)(sizeof builtin_operators / sizeof *builtin_operators);
    for (int i = 0; i < TRIES; i++) {
        const operator_entry *op = pick_operator(state, builtin_operators, count, &random);
        const kds_cell *cell = pick_cell(state, &random, NULL);
        const kds_cell *other = op->two ? pick_cell(state, &random, cell) : NULL;
        if (op->two && !other)
            continue;
        kds_code code = make_child(s, state, op, cell, other, &edit, out, made, e);
        if (code != KDS_OK || *made)
            return code;
    }
    return exhaust(s, state, &edit, out, made, e);
}

/* An empty neighbour of the parent's cell to aim at: {axis, from, to}; NULL if all are taken. The
 * draw decides where the search among the neighbours begins. */
static cJSON *pick_target(const kds_selector *s, const kds_state *state, const kds_cell *cell,
                          kds_random *random)
{
    int count = 2 * s->task->axis_count, bins[KDS_STATE_BINS];
    if (!count || cell->bin_count != s->task->axis_count ||
        state->descriptor_version != s->task->descriptor_version) /* cells of facts have no aims */
        return NULL;
    int first = (int)kds_random_below(random, (uint64_t)count);
    for (int i = 0; i < count; i++) {
        int axis = (first + i) % count / 2, step = (first + i) % 2 ? 1 : -1;
        int to = cell->bins[axis] + step;
        memcpy(bins, cell->bins, sizeof bins);
        bins[axis] = to;
        if (to < 0 || to > s->task->axes[axis].edge_count ||
            kds_state_cell(state, kds_cell_key(state->descriptor_version, bins, cell->bin_count)))
            continue;
        cJSON *target = cJSON_CreateObject();
        if (target && kds_json_add_str(target, "axis", s->task->axes[axis].name) &&
            kds_json_add_int(target, "from", cell->bins[axis]) &&
            kds_json_add_int(target, "to", to))
            return target;
        cJSON_Delete(target);
        return NULL;
    }
    return NULL;
}

/* Which model is asked, by a stream of its own. */
static const char *pick_model(const kds_selector *s, const kds_state *state)
{
    if (!s->models || s->models->count < 2)
        return s->model;
    kds_random r = kds_random_stream(state->seed, (uint64_t)state->decisions, "model");
    return kds_models_draw(s->models, kds_random_unit(&r))->name;
}

/* The oldest failed child that waits to be mended. */
static kds_code select_repair(const kds_selector *s, const kds_state *state, kds_choice *out,
                              kds_err *e)
{
    kds_id none = {0, 0};
    out->decision = decision_body(state, "repair", s->proposer, pick_model(s, state), NULL,
                                  state->repairs[0].candidate, none);
    return finish_decision(state, out, e);
}

/* An edit of the guidance. */
static kds_code select_guide(const kds_selector *s, const kds_state *state, kds_choice *out,
                             kds_err *e)
{
    kds_id none = {0, 0};
    out->decision =
        decision_body(state, "guide", s->proposer, pick_model(s, state), NULL, none, none);
    return finish_decision(state, out, e);
}

static kds_code select_endpoint(const kds_selector *s, const kds_state *state, kds_choice *out,
                                bool *made, kds_err *e)
{
    kds_random random = kds_random_stream(state->seed, (uint64_t)state->decisions, "select");
    kds_random edit = kds_random_stream(state->seed, (uint64_t)state->decisions, "edit");
    int count = (int)(sizeof endpoint_operators / sizeof *endpoint_operators);
    if (kds_guidance_due(state, s->guidance_every)) {
        *made = true;
        return select_guide(s, state, out, e);
    }
    if (state->repair_count) {
        *made = true;
        return select_repair(s, state, out, e);
    }
    for (int i = 0;; i++) { /* ends: a model can always be asked for a mutation */
        const operator_entry *op = i < TRIES
                                       ? pick_operator(state, endpoint_operators, count, &random)
                                       : &endpoint_operators[0];
        const kds_cell *cell = pick_cell(state, &random, NULL);
        const kds_cell *other = op->two ? pick_cell(state, &random, cell) : NULL;
        if (op->two && !other)
            continue;
        if (!op->model) {
            kds_code code = make_child(s, state, op, cell, other, &edit, out, made, e);
            if (code != KDS_OK || *made)
                return code;
            continue;
        }
        bool explore = strcmp(op->name, "explore") == 0;
        cJSON *target = explore ? pick_target(s, state, cell, &random) : NULL;
        if (explore && !target)
            continue;
        kds_id none = {0, 0};
        out->decision = decision_body(state, op->name, s->proposer, pick_model(s, state), cell,
                                      cell->elite, other ? other->elite : none);
        if (target && (!out->decision || !cJSON_AddItemToObject(out->decision, "target", target)))
            cJSON_Delete(target);
        *made = true;
        return finish_decision(state, out, e);
    }
}

kds_code kds_select(const kds_selector *s, const kds_state *state, kds_choice *out, bool *made,
                    kds_err *e)
{
    kds_choice c = {NULL, NULL, {0}};
    kds_buf_init(&c.source, KDS_SOURCE_CAP);
    kds_code code = KDS_OK;
    *made = false;
    if (state->decisions < kds_selector_opening(s)) {
        *made = true;
        code = select_opening(s, state, &c, e);
    } else if (state->cell_count > 0)
        code = s->endpoint ? select_endpoint(s, state, &c, made, e)
                           : select_builtin(s, state, &c, made, e);
    if (code == KDS_OK && c.source.bad != KDS_OK)
        code = kds_buf_check(&c.source, "the child's source", e);
    if (code != KDS_OK || !*made) {
        kds_choice_free(&c);
        return code;
    }
    *out = c;
    return KDS_OK;
}
