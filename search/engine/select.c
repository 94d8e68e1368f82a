/* Selection. The first decisions are the task's own: the baseline, then its seeds. After that every
 * decision draws an operator (by how often it was accepted), then a parent (select_parents.c), all
 * from streams keyed by (seed, decision, purpose). With the built-in proposer the child is made
 * here too, so that a decision and its child are one record. */
#include "search/engine/select_internal.h"

#include "eval/judge.h"
#include "eval/lint.h"
#include "prompts/builtin.h"
#include "search/base/text.h"
#include "search/engine/ask.h"

#include <stdlib.h>
#include <string.h>

#define TRIES 12

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))
static const kds_operator builtin_operators[] = {{.name = "tune", .weight = 3},
                                                 {.name = "rewrite", .weight = 2},
                                                 {.name = "crossover", .weight = 1, .two = true}};
static const kds_operator endpoint_operators[] = {
    {.name = "mutate", .weight = 4, .model = true}, /* first: it can always be asked for */
    {.name = "explore", .weight = 1, .model = true, .aims = true},
    {.name = "crossover", .weight = 1, .model = true, .two = true},
    {.name = "simplify", .weight = 0.3, .model = true},
    {.name = "tune", .weight = 2}};

static const kds_operator *operators_of(const kds_selector *s, int *count)
{
    *count = s->endpoint ? COUNT(endpoint_operators) : COUNT(builtin_operators);
    return s->endpoint ? endpoint_operators : builtin_operators;
}

static bool is_allowed(const kds_selector *s, const char *operator_name)
{
    return !s->operators || !*s->operators || kds_text_list_has(s->operators, ',', operator_name);
}

kds_code kds_selector_configure(kds_selector *s, const kds_settings *settings,
                                const kds_models *models, kds_err *e)
{
    static const char *const policies[] = {"curiosity", "best", "random", "islands"};
    const char *policy = kds_settings_text(settings, "parents");
    s->proposer = kds_settings_text(settings, "proposer");
    s->endpoint = strcmp(s->proposer, "builtin") != 0;
    s->models = s->endpoint ? models : NULL;
    s->model = s->endpoint && *models->items[0].name ? models->items[0].name : NULL;
    s->operators = kds_settings_text(settings, "operators");
    for (int i = 0; i < COUNT(policies); i++)
        if (strcmp(policies[i], policy) == 0)
            s->parents = (kds_parents)i;
    char names[120] = "";
    int count = 0;
    const kds_operator *table = operators_of(s, &count);
    for (int i = 0; i < count; i++) {
        if (is_allowed(s, table[i].name))
            return KDS_OK;
        size_t len = strlen(names);
        snprintf(names + len, sizeof names - len, "%s%s", i ? ", " : "", table[i].name);
    }
    return kds_fail(e, KDS_USAGE,
                    "--operators %s leaves nothing to make children with; with --proposer %s at "
                    "least one of %s must be among them",
                    s->operators, s->proposer, names);
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
    if (!c->decision ||
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

static double operator_weight(const kds_state *state, const kds_operator *op)
{
    for (int i = 0; i < state->operator_count; i++) {
        const kds_operator_score *o = &state->operators[i];
        if (strcmp(o->name, op->name) == 0)
            return op->weight * ((double)o->accepted + 1) / ((double)o->committed + 4) + 0.02;
    }
    return op->weight / 4 + 0.02;
}

/* NULL if none of those that are allowed can be used. */
static const kds_operator *pick_operator(const kds_selector *s, const kds_state *state,
                                         kds_random *random)
{
    double weights[16];
    int count = 0;
    const kds_operator *table = operators_of(s, &count);
    for (int i = 0; i < count; i++) {
        bool usable = is_allowed(s, table[i].name) && (!table[i].two || state->cell_count >= 2);
        weights[i] = usable ? operator_weight(state, &table[i]) : 0;
    }
    size_t drawn = kds_random_weighted(random, weights, (size_t)count);
    return weights[drawn] > 0 ? &table[drawn] : NULL;
}

static bool is_proposed(void *user, kds_id norm)
{
    const kds_state *state = user;
    return kds_map_get(state->proposed, norm) >= 0;
}

/* Lets the built-in proposer make a child of `cell`'s elite. */
static kds_code make_child(const kds_selector *s, const kds_state *state, const kds_operator *op,
                           const kds_cell *cell, const kds_cell *other, kds_random *random,
                           kds_choice *out, bool *made, kds_err *e)
{
    kds_gathered g = {0};
    kds_id none = {0, 0};
    kds_buf hypothesis;
    kds_buf_init(&hypothesis, 4096);
    kds_buf_reset(&out->source);
    kds_code code = kds_gather(&g, s, state, op->name, cell->elite, other ? other->elite : none, e);
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

/* A model is asked for a child of `cell`; *made is false if an exploration finds no aim. */
static kds_code ask_model(const kds_selector *s, const kds_state *state, const kds_operator *op,
                          const kds_cell *cell, const kds_cell *other, kds_random *random,
                          kds_choice *out, bool *made, kds_err *e)
{
    cJSON *target = op->aims ? pick_target(s, state, cell, random) : NULL;
    if (op->aims && !target)
        return KDS_OK;
    kds_id none = {0, 0};
    out->decision = decision_body(state, op->name, s->proposer, pick_model(s, state), cell,
                                  cell->elite, other ? other->elite : none);
    if (target && (!out->decision || !cJSON_AddItemToObject(out->decision, "target", target)))
        cJSON_Delete(target);
    *made = true;
    return finish_decision(state, out, e);
}

/* The streams of one decision. */
typedef struct streams {
    kds_random select, edit;
} streams;

/* A child of `cell`, or the asking for one; *made is false if the operator finds nothing there. */
static kds_code use_operator(const kds_selector *s, const kds_state *state, const kds_operator *op,
                             const kds_cell *cell, const kds_cell *other, streams *r,
                             kds_choice *out, bool *made, kds_err *e)
{
    return op->model ? ask_model(s, state, op, cell, other, &r->select, out, made, e)
                     : make_child(s, state, op, cell, other, &r->edit, out, made, e);
}

/* Every operator on one cell. */
static kds_code exhaust_cell(const kds_selector *s, const kds_state *state, kds_population p,
                             const kds_cell *cell, streams *r, kds_choice *out, bool *made,
                             kds_err *e)
{
    int count = 0;
    const kds_operator *table = operators_of(s, &count);
    for (int k = 0; k < count; k++) {
        const kds_operator *op = &table[k];
        if (!is_allowed(s, op->name))
            continue;
        for (int j = 0; j < (op->two ? p.count : 1); j++) {
            const kds_cell *other = op->two ? &p.cells[j] : NULL;
            if (other == cell)
                continue;
            kds_code code = use_operator(s, state, op, cell, other, r, out, made, e);
            if (code != KDS_OK || *made)
                return code;
        }
    }
    return KDS_OK;
}

/* After chance has found nothing: a model can always be asked for a mutation, if it may. Else every
 * cell and operator in turn, so that "nothing left" is the truth. */
static kds_code exhaust(const kds_selector *s, const kds_state *state, streams *r, kds_choice *out,
                        bool *made, kds_err *e)
{
    kds_population p;
    if (s->endpoint && is_allowed(s, endpoint_operators[0].name)) {
        const kds_cell *cell = kds_select_cell(s, state, &r->select, NULL);
        return use_operator(s, state, &endpoint_operators[0], cell, NULL, r, out, made, e);
    }
    for (int n = 0; (p = kds_select_any_population(s, state, n)).count > 0; n++) {
        for (int i = 0; i < p.count; i++) {
            kds_code code = exhaust_cell(s, state, p, &p.cells[i], r, out, made, e);
            if (code != KDS_OK || *made)
                return code;
        }
    }
    return KDS_OK;
}

static kds_code select_next(const kds_selector *s, const kds_state *state, kds_choice *out,
                            bool *made, kds_err *e)
{
    streams r = {kds_random_stream(state->seed, (uint64_t)state->decisions, "select"),
                 kds_random_stream(state->seed, (uint64_t)state->decisions, "edit")};
    if (s->endpoint && state->repair_count && is_allowed(s, "repair")) {
        *made = true;
        return select_repair(s, state, out, e);
    }
    for (int i = 0; i < TRIES; i++) {
        const kds_operator *op = pick_operator(s, state, &r.select);
        const kds_cell *cell = op ? kds_select_cell(s, state, &r.select, NULL) : NULL;
        const kds_cell *other = cell && op->two ? kds_select_cell(s, state, &r.select, cell) : NULL;
        if (!cell || (op->two && !other))
            continue;
        kds_code code = use_operator(s, state, op, cell, other, &r, out, made, e);
        if (code != KDS_OK || *made)
            return code;
    }
    return exhaust(s, state, &r, out, made, e);
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
        code = select_next(s, state, &c, made, e);
    if (code == KDS_OK && c.source.bad != KDS_OK)
        code = kds_buf_check(&c.source, "the child's source", e);
    if (code != KDS_OK || !*made) {
        kds_choice_free(&c);
        return code;
    }
    *out = c;
    return KDS_OK;
}
