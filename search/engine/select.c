/* Selection. The first decisions are the task's own: the baseline, then its seeds. After that every
 * decision has the guidance edited, or mends a failed child, or goes on with a sweep
 * (select_sweep.c), or draws a parent (select_parents.c) and who makes a child of it how
 * (select_bandit.c), all from streams keyed by (seed, decision, purpose). With the built-in
 * proposer the child is made at once, so that a decision and its child are one record. */
#include "search/engine/select_internal.h"

#include "eval/judge.h"
#include "search/base/text.h"
#include "search/engine/select_guidance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 12

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))
static const kds_operator builtin_operators[] = {
    {.name = "tune", .weight = 3, .prior = 1},
    {.name = "rewrite", .weight = 2, .prior = 2},
    {.name = "crossover", .weight = 1, .prior = 1, .two = true}};
static const kds_operator endpoint_operators[] = {
    {.name = "mutate",
     .weight = 4,
     .prior = 4,
     .model = true}, /* first: it can always be asked for */
    {.name = "explore", .weight = 1, .prior = 1, .model = true, .aims = true},
    {.name = "crossover", .weight = 1, .prior = 0.3, .model = true, .two = true},
    {.name = "simplify", .weight = 0.3, .prior = 0.3, .model = true},
    {.name = "tune", .weight = 2, .prior = 1}};

const kds_operator *kds_select_operators(const kds_selector *s, int *count)
{
    *count = s->endpoint ? COUNT(endpoint_operators) : COUNT(builtin_operators);
    return s->endpoint ? endpoint_operators : builtin_operators;
}

bool kds_select_allows(const kds_selector *s, const char *operator_name)
{
    return !s->operators || !*s->operators || kds_text_list_has(s->operators, ',', operator_name);
}

kds_code kds_selector_configure(kds_selector *s, const kds_settings *settings,
                                const kds_models *models, kds_err *e)
{
    static const char *const policies[] = {"curiosity", "best", "random", "islands"};
    const char *policy = kds_settings_text(settings, "parents");
    s->proposer = kds_models_proposer(settings);
    s->endpoint = strcmp(s->proposer, "builtin") != 0;
    s->models = s->endpoint ? models : NULL;
    s->model = s->endpoint && *models->items[0].name ? models->items[0].name : NULL;
    s->guidance_every = kds_settings_int(settings, "guidance-every");
    s->operators = kds_settings_text(settings, "operators");
    for (int i = 0; i < COUNT(policies); i++)
        if (strcmp(policies[i], policy) == 0)
            s->parents = (kds_parents)i;
    char names[120] = "";
    int count = 0;
    const kds_operator *table = kds_select_operators(s, &count);
    for (int i = 0; i < count; i++) {
        if (kds_select_allows(s, table[i].name))
            return KDS_OK;
        size_t len = strlen(names);
        snprintf(names + len, sizeof names - len, "%s%s", i ? ", " : "", table[i].name);
    }
    return kds_fail(e, KDS_USAGE,
                    "--operators %s leaves nothing to make children with; with --proposer %s at "
                    "least one of %s must be among them",
                    s->operators, s->proposer, names);
}

int64_t kds_selector_opening(const kds_selector *s)
{
    return 1 + s->task->seed_count;
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
    out->decision = kds_select_body(state, operator_name, "task", NULL, NULL, none, none);
    if (out->decision && !kds_json_add_str(out->decision, "target", name))
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_buf_puts(&out->source, source);
    out->candidate =
        kds_candidate_body(state, n, operator_name, NULL, NULL, source, strlen(source), name);
    if (!out->candidate)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    return kds_select_finish(state, out, e);
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

/* The oldest failed child that waits to be mended. */
static kds_code select_repair(const kds_selector *s, const kds_state *state, kds_choice *out,
                              kds_err *e)
{
    kds_id none = {0, 0};
    const char *model = kds_select_model(s, state, "repair");
    out->decision = kds_select_body(state, "repair", s->proposer, model, NULL,
                                    state->repairs[0].candidate, none);
    return kds_select_finish(state, out, e);
}

/* An edit of the guidance. */
static kds_code select_guide(const kds_selector *s, const kds_state *state, kds_choice *out,
                             kds_err *e)
{
    kds_id none = {0, 0};
    const char *model = kds_select_model(s, state, "guide");
    out->decision = kds_select_body(state, "guide", s->proposer, model, NULL, none, none);
    return kds_select_finish(state, out, e);
}

/* A model is asked for a child of `cell`; *made is false if an exploration finds no aim. */
static kds_code ask_model(const kds_selector *s, const kds_state *state, const kds_drawn *d,
                          const kds_cell *cell, kds_id other, kds_random *random, kds_choice *out,
                          bool *made, kds_err *e)
{
    cJSON *target = d->op->aims ? pick_target(s, state, cell, random) : NULL;
    if (d->op->aims && !target)
        return KDS_OK;
    out->decision =
        kds_select_body(state, d->op->name, s->proposer, d->model, cell, cell->elite, other);
    if (target && (!out->decision || !cJSON_AddItemToObject(out->decision, "target", target)))
        cJSON_Delete(target);
    *made = true;
    return kds_select_finish(state, out, e);
}

/* The streams of one decision. */
typedef struct streams {
    kds_random select, edit;
} streams;

/* A child of `cell`, or the asking for one; *made is false if the operator finds nothing there. */
static kds_code use_operator(const kds_selector *s, const kds_state *state, const kds_drawn *d,
                             const kds_cell *cell, const kds_cell *other, streams *r,
                             kds_choice *out, bool *made, kds_err *e)
{
    kds_id second = other ? other->elite : (kds_id){0, 0};
    if (d->op->model)
        return ask_model(s, state, d, cell, second, &r->select, out, made, e);
    return kds_select_child(s, state, d->op->name, cell, cell->elite, second, NULL, &r->edit, out,
                            made, e);
}

/* Every operator on one cell. */
static kds_code exhaust_cell(const kds_selector *s, const kds_state *state, kds_population p,
                             const kds_cell *cell, streams *r, kds_choice *out, bool *made,
                             kds_err *e)
{
    int count = 0;
    const kds_operator *table = kds_select_operators(s, &count);
    for (int k = 0; k < count; k++) {
        const kds_operator *op = &table[k];
        if (!kds_select_allows(s, op->name))
            continue;
        kds_drawn d = {op, op->model ? kds_select_model(s, state, op->name) : NULL};
        for (int j = 0; j < (op->two ? p.count : 1); j++) {
            const kds_cell *other = op->two ? &p.cells[j] : NULL;
            if (other == cell)
                continue;
            kds_code code = use_operator(s, state, &d, cell, other, r, out, made, e);
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
    const kds_operator *first = &endpoint_operators[0];
    if (s->endpoint && kds_select_allows(s, first->name)) {
        kds_drawn d = {first, kds_select_model(s, state, first->name)};
        const kds_cell *cell = kds_select_cell(s, state, &r->select, NULL);
        return use_operator(s, state, &d, cell, NULL, r, out, made, e);
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

/* One draw of operator and parents. By rules 1 the operator is drawn first; later the parent, as
 * what may be used depends on it. `tired`: also operators that bring nothing there. False:
 * something was drawn that cannot be. */
static bool draw(const kds_selector *s, const kds_state *state, bool tired, kds_random *random,
                 kds_drawn *d, const kds_cell **cell, const kds_cell **other)
{
    if (state->rules < 2 && !kds_select_by_yield(s, state, random, d))
        return false;
    *cell = kds_select_cell(s, state, random, NULL);
    if (!*cell || (state->rules >= 2 && !kds_select_arm(s, state, tired ? NULL : *cell, random, d)))
        return false;
    *other = d->op->two ? kds_select_cell(s, state, random, *cell) : NULL;
    return !d->op->two || *other;
}

static kds_code select_next(const kds_selector *s, const kds_state *state, kds_choice *out,
                            bool *made, kds_err *e)
{
    streams r = {kds_random_stream(state->seed, (uint64_t)state->decisions, "select"),
                 kds_random_stream(state->seed, (uint64_t)state->decisions, "edit")};
    if (s->endpoint && kds_guidance_due(state, s->guidance_every)) {
        *made = true;
        return select_guide(s, state, out, e);
    }
    if (s->endpoint && state->repair_count && kds_select_allows(s, "repair")) {
        *made = true;
        return select_repair(s, state, out, e);
    }
    kds_code code = kds_select_sweep(s, state, out, made, e);
    int tries = state->rules < 2 ? TRIES : 2 * TRIES;
    for (int i = 0; i < tries && code == KDS_OK && !*made; i++) {
        kds_drawn d;
        const kds_cell *cell = NULL, *other = NULL;
        if (draw(s, state, i >= TRIES, &r.select, &d, &cell, &other))
            code = use_operator(s, state, &d, cell, other, &r, out, made, e);
    }
    return code != KDS_OK || *made ? code : exhaust(s, state, &r, out, made, e);
}

kds_code kds_select(const kds_selector *s, const kds_state *state, kds_choice *out, bool *made,
                    kds_err *e)
{
    kds_choice c = {0};
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
