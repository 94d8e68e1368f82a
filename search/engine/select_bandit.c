/* Who makes a child how: models x operators as the arms of a bandit, on improvement per cost.
 *
 * By rules 2 every arm has the books of state_arms.c. For each a rate of improvement is drawn from
 * a beta distribution (a prior and what it brought), divided by what a decision of it costs, and
 * the largest is taken: Thompson sampling for budgeted bandits (Xia, Li, Qin, Yu, Liu, IJCAI 2015)
 * with rewards between 0 and 1 counted as fractions of a success, and with old ones discounted
 * because rates change as a search goes on (Raj, Kalyani, "Taming non-stationary bandits: a
 * Bayesian approach", 2017). Costs are known, so their mean is used. Priors are in proportion to
 * the operator's weight and the model's. One draw in ten goes by these weights alone, so that no
 * arm is ever lost. */
#include "search/engine/select_internal.h"

#include <math.h>
#include <string.h>

#define ARMS_MAX 128
#define FLOOR 0.1
#define PRIOR_COUNT 3.0 /* decisions that the prior is worth */
#define PRIOR_RATE 0.25 /* of the weightiest arm */
#define PRIOR_COST 0.01
#define STALLED 40    /* decisions without an acceptance */
#define STALLED_AIM 3 /* how much more it then counts to aim at empty cells */

static double yield_weight(const kds_state *state, const kds_operator *op)
{
    for (int i = 0; i < state->operator_count; i++) {
        const kds_operator_score *o = &state->operators[i];
        if (strcmp(o->name, op->name) == 0)
            return op->weight * ((double)o->accepted + 1) / ((double)o->committed + 4) + 0.02;
    }
    return op->weight / 4 + 0.02;
}

/* By weight, from a stream of its own. */
static const char *any_model(const kds_selector *s, const kds_state *state)
{
    if (!s->models || s->models->count < 2)
        return s->model;
    kds_random r = kds_random_stream(state->seed, (uint64_t)state->decisions, "model");
    return kds_models_draw(s->models, kds_random_unit(&r))->name;
}

bool kds_select_by_yield(const kds_selector *s, const kds_state *state, kds_random *random,
                         kds_drawn *out)
{
    double weights[16];
    int count = 0;
    const kds_operator *table = kds_select_operators(s, &count);
    for (int i = 0; i < count; i++) {
        bool usable =
            kds_select_allows(s, table[i].name) && (!table[i].two || state->cell_count >= 2);
        weights[i] = usable ? yield_weight(state, &table[i]) : 0;
    }
    size_t drawn = kds_random_weighted(random, weights, (size_t)count);
    out->op = &table[drawn];
    out->model = out->op->model ? any_model(s, state) : NULL;
    return weights[drawn] > 0;
}

typedef struct arm {
    kds_drawn drawn;
    double weight, lift;
} arm;

typedef struct arms {
    arm items[ARMS_MAX];
    int count;
} arms;

static void add_arm(arms *a, const kds_operator *op, const char *model, double weight, double lift)
{
    if (a->count < ARMS_MAX)
        a->items[a->count++] = (arm){{op, model}, op->prior * weight * lift, lift};
}

/* An operator with each model that may be asked. */
static void add_operator(arms *a, const kds_selector *s, const kds_operator *op, double lift)
{
    double sum = 0;
    if (!op->model || !s->models || s->models->count < 2) {
        add_arm(a, op, op->model ? s->model : NULL, 1, lift);
        return;
    }
    for (int i = 0; i < s->models->count; i++)
        sum += s->models->items[i].weight;
    for (int i = 0; i < s->models->count; i++)
        add_arm(a, op, s->models->items[i].name, s->models->items[i].weight / sum, lift);
}

/* Gamma of any shape, scale 1 (Marsaglia, Tsang, "A simple method for generating gamma variables",
 * 2000). */
static double draw_gamma(kds_random *random, double shape)
{
    double boost = 1;
    if (shape < 1) {
        boost = pow(1 - kds_random_unit(random), 1 / shape);
        shape += 1;
    }
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = kds_random_normal(random), v = 1 + c * x;
        if (v <= 0)
            continue;
        v = v * v * v;
        if (log(1 - kds_random_unit(random)) < 0.5 * x * x + d - d * v + d * log(v))
            return boost * d * v;
    }
}

static const kds_arm *books_of(const kds_state *state, const arm *a)
{
    const char *model = a->drawn.model ? a->drawn.model : "";
    return kds_state_arm(state, a->drawn.op->name, a->drawn.op->model, model);
}

/* What a decision of an arm costs before it was tried: as much as others of its kind. */
static double usual_cost(const kds_state *state, bool model)
{
    double cost = PRIOR_COST, committed = 1;
    for (int i = 0; i < state->arm_count; i++) {
        const kds_arm *a = &state->arms[i];
        if (a->builtin == model)
            continue;
        cost += a->cost;
        committed += a->committed;
    }
    return cost / committed;
}

/* Improvement per cost, as drawn. */
static double draw_value(const kds_state *state, const arm *a, double heaviest, kds_random *random)
{
    const kds_arm *books = books_of(state, a);
    double tried = books ? books->committed : 0, reward = books ? books->reward : 0;
    double prior = PRIOR_COUNT * PRIOR_RATE * a->weight / heaviest;
    double won = draw_gamma(random, prior + reward),
           lost = draw_gamma(random, PRIOR_COUNT - prior + fmax(tried - reward, 0));
    double cost = (usual_cost(state, a->drawn.op->model) + (books ? books->cost : 0)) / (1 + tried);
    return a->lift * won / (won + lost) / cost;
}

static const arm *draw_arm(const kds_state *state, const arms *a, kds_random *random)
{
    double weights[ARMS_MAX], heaviest = 0, most = -1;
    const arm *best = NULL;
    for (int i = 0; i < a->count; i++) {
        weights[i] = a->items[i].weight;
        heaviest = fmax(heaviest, weights[i]);
    }
    if (a->count && kds_random_unit(random) < FLOOR)
        return &a->items[kds_random_weighted(random, weights, (size_t)a->count)];
    for (int i = 0; i < a->count; i++) {
        double value = draw_value(state, &a->items[i], heaviest, random);
        if (!best || value > most) {
            best = &a->items[i];
            most = value;
        }
    }
    return best;
}

bool kds_select_arm(const kds_selector *s, const kds_state *state, const kds_cell *cell,
                    kds_random *random, kds_drawn *out)
{
    arms a = {.count = 0};
    int count = 0;
    const kds_operator *table = kds_select_operators(s, &count);
    bool stalled = state->decisions - state->last_accept > STALLED;
    for (int i = 0; i < count; i++) {
        const kds_operator *op = &table[i];
        if (kds_select_allows(s, op->name) && (!op->two || state->cell_count >= 2) &&
            !(cell && kds_state_is_fruitless(state, cell, op->name)))
            add_operator(&a, s, op, stalled && op->aims ? STALLED_AIM : 1);
    }
    const arm *drawn = draw_arm(state, &a, random);
    if (drawn)
        *out = drawn->drawn;
    return drawn != NULL;
}

const char *kds_select_model(const kds_selector *s, const kds_state *state,
                             const char *operator_name)
{
    if (state->rules < 2)
        return any_model(s, state);
    arms a = {.count = 0};
    kds_operator op = {.name = operator_name, .prior = 1, .model = true};
    kds_random random = kds_random_stream(state->seed, (uint64_t)state->decisions, "model");
    add_operator(&a, s, &op, 1);
    return draw_arm(state, &a, &random)->drawn.model;
}
