/* What models and operators bring and cost: the books of the bandit (select_bandit.c), a fold of
 * decisions, replies and commits. And of each elite's line, which operators bring nothing.
 *
 * A commit is worth how much the search moved on by it, between 0 and 1:
 *  - the best kernel made faster: the logarithm of the gain, where FULL_GAIN counts as 1, so that
 *    two steps of 2 % are worth one of 4 %;
 *  - another cell's elite made faster: half of that, as only what comes of it later counts;
 *  - an empty cell filled: as much as a gain of 1 % of the best.
 * It costs what was paid for its answers, in USD (what faults on the way to them cost is no
 * reason to ask another model); or, where no price is known, tokens at what a
 * small open model costs; and the judging of the child as if on a rented GPU, so that what costs no
 * tokens is not free. The time that a judge took is not asked: two runs of one seed must agree.
 *
 * Times change: every commit lets what came before count DISCOUNT of what it did. */
#include "search/engine/state_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define FULL_GAIN 0.1 /* ln of 1.105 */
#define ELITE_SHARE 0.5
#define NEW_CELL 0.1
#define DISCOUNT 0.995 /* half after 138 commits */
#define USD_A_TOKEN 2e-7
#define USD_A_DECISION 0.0005

static int operator_index(const kds_state *s, const char *name)
{
    for (int i = 0; i < s->operator_count; i++)
        if (strcmp(s->operators[i].name, name) == 0)
            return i;
    return -1;
}

static double share(double faster, double slower)
{
    double gain = faster > 0 && slower > 0 ? log(faster / slower) / FULL_GAIN : 0;
    return round(fmin(fmax(gain, 0), 1) * 1e6) / 1e6; /* the same on any machine */
}

double kds_state_reward(const kds_state *s, const cJSON *body, bool accepted)
{
    uint64_t key = 0;
    if (!accepted || !kds_cell_parse(kds_json_str(body, "cell", NULL), &key))
        return 0;
    const kds_cell *cell = kds_state_cell(s, key);
    double fitness = kds_json_num(body, "fitness", 0);
    double reward = cell ? ELITE_SHARE * share(fitness, cell->fitness) : NEW_CELL;
    if (kds_json_bool(body, "best", false))
        reward = fmax(reward, share(kds_json_num(body, "speedup", fitness), s->best_fitness));
    return reward;
}

const kds_arm *kds_state_arm(const kds_state *s, const char *operator_name, bool by_model,
                             const char *model)
{
    for (int i = 0; i < s->arm_count; i++)
        if (s->arms[i].builtin == !by_model &&
            strcmp(s->arms[i].operator_name, operator_name) == 0 &&
            strcmp(s->arms[i].model, model) == 0)
            return &s->arms[i];
    return NULL;
}

/* NULL if there is no room for another: then it is as if nothing were known of it. */
static kds_arm *arm_of(kds_state *s, const kds_flight *f)
{
    bool builtin = !kds_proposer_is_model(f->proposer);
    const char *model = builtin ? "" : f->model;
    const kds_arm *found = kds_state_arm(s, f->operator_name, !builtin, model);
    if (found)
        return &s->arms[found - s->arms];
    if (s->arm_count == KDS_STATE_ARMS)
        return NULL;
    kds_arm *a = &s->arms[s->arm_count++];
    *a = (kds_arm){.builtin = builtin};
    snprintf(a->operator_name, sizeof a->operator_name, "%s", f->operator_name);
    snprintf(a->model, sizeof a->model, "%s", model);
    return a;
}

void kds_state_credit(kds_state *s, const kds_flight *f, double reward, bool judged)
{
    kds_arm *a = arm_of(s, f);
    for (int i = 0; i < s->arm_count; i++) {
        s->arms[i].committed *= DISCOUNT;
        s->arms[i].reward *= DISCOUNT;
        s->arms[i].cost *= DISCOUNT;
    }
    if (!a)
        return;
    a->committed += 1;
    a->reward += reward;
    a->cost += (f->usd > 0 ? f->usd : f->tokens * USD_A_TOKEN) + USD_A_DECISION +
               (judged ? KDS_USD_A_JUDGE : 0);
}

void kds_state_count_line(kds_state *s, const kds_flight *f, bool accepted)
{
    kds_cell *cell = f->has_cell && f->parent_count ? kds_state_cell(s, f->cell) : NULL;
    int at = operator_index(s, f->operator_name);
    if (!cell || at < 0 || !kds_id_equal(cell->elite, f->parents[0]))
        return;
    if (accepted)
        memset(cell->fruitless, 0, sizeof cell->fruitless);
    else if (cell->fruitless[at] < KDS_FRUITLESS_MAX)
        cell->fruitless[at]++;
}

bool kds_state_is_fruitless(const kds_state *s, const kds_cell *cell, const char *operator_name)
{
    const kds_cell *line = kds_state_cell(s, cell->key); /* an island's cell keeps no count */
    int at = operator_index(s, operator_name);
    return line && at >= 0 && kds_id_equal(line->elite, cell->elite) &&
           line->fruitless[at] >= KDS_FRUITLESS_MAX;
}

const kds_cell *kds_state_profile_due(const kds_state *s)
{
    for (int i = 0; i < s->cell_count; i++)
        for (int at = 0; at < s->operator_count && !s->cells[i].profiled_again; at++)
            if (s->cells[i].fruitless[at] >= KDS_FRUITLESS_MAX)
                return &s->cells[i];
    return NULL;
}

kds_code kds_state_apply_profile(kds_state *s, const cJSON *body, kds_err *e)
{
    uint64_t key = 0;
    kds_id id;
    kds_cell *cell =
        kds_cell_parse(kds_json_str(body, "cell", NULL), &key) ? kds_state_cell(s, key) : NULL;
    if (!cell || !kds_json_id(body, "candidate", &id) || !kds_id_equal(id, cell->elite))
        return kds_fail(e, KDS_DAMAGED, "a PROFILE event names no elite of a cell");
    cell->profiled_again = true;
    return KDS_OK;
}
