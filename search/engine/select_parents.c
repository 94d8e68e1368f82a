/* Where parents come from. By curiosity: a tournament of cells by an upper confidence bound on
 * accepted children per visit, mixed with fitness. The other policies are what it is measured
 * against: the best candidate alone, any cell, or islands (state_islands.c).
 *
 * Cost per decision does not grow with the archive (but for the best, which looks at every cell): a
 * tournament looks at a fixed number of cells. */
#include "search/engine/select_internal.h"

#include <math.h>

#define TOURNAMENT 4

kds_population kds_select_any_population(const kds_selector *s, const kds_state *state, int i)
{
    if (s->parents != KDS_PARENTS_ISLANDS)
        return i == 0 ? (kds_population){state->cells, state->cell_count}
                      : (kds_population){NULL, 0};
    if (i >= KDS_ISLANDS)
        return (kds_population){NULL, 0};
    const kds_island *island = &state->islands[(state->decisions + i) % KDS_ISLANDS];
    return (kds_population){island->cells, island->count};
}

kds_population kds_select_population(const kds_selector *s, const kds_state *state)
{
    return kds_select_any_population(s, state, 0);
}

/* How promising a cell is as a source of parents (UCB1: Auer, Cesa-Bianchi, Fischer, "Finite-time
 * analysis of the multiarmed bandit problem", 2002), plus its fitness as a fraction of the best. */
static double curiosity(const kds_state *state, const kds_cell *c)
{
    double visits = (double)c->visits + 1;
    double rate = ((double)c->improvements + 0.5) / visits;
    double bonus = sqrt(0.5 * log1p((double)state->decisions) / visits);
    double fitness = state->best_fitness > 0 ? c->fitness / state->best_fitness : 0;
    return rate + bonus + 0.7 * fitness;
}

static double by_fitness(const kds_state *state, const kds_cell *c)
{
    (void)state;
    return c->fitness;
}

static const kds_cell *tournament(const kds_state *state, kds_population p, kds_random *random,
                                  const kds_cell *other_than,
                                  double (*score_of)(const kds_state *, const kds_cell *))
{
    const kds_cell *best = NULL;
    double best_score = 0;
    for (int i = 0; i < TOURNAMENT && p.count > 0; i++) {
        const kds_cell *c = &p.cells[kds_random_below(random, (uint64_t)p.count)];
        double score = score_of(state, c);
        if (c != other_than && (!best || score > best_score)) {
            best = c;
            best_score = score;
        }
    }
    return best;
}

/* Any cell but one. */
static const kds_cell *any_cell(kds_population p, kds_random *random, const kds_cell *other_than)
{
    if (p.count < (other_than ? 2 : 1))
        return NULL;
    const kds_cell *c =
        &p.cells[kds_random_below(random, (uint64_t)p.count - (other_than != NULL))];
    return other_than && c >= other_than ? c + 1 : c;
}

/* The cell of the best candidate; if it is no longer there, the one of the best elite. */
static const kds_cell *best_cell(const kds_state *state, kds_population p)
{
    const kds_cell *best = NULL;
    for (int i = 0; i < p.count; i++) {
        if (kds_id_equal(p.cells[i].elite, state->best))
            return &p.cells[i];
        if (!best || p.cells[i].fitness > best->fitness)
            best = &p.cells[i];
    }
    return best;
}

const kds_cell *kds_select_cell(const kds_selector *s, const kds_state *state, kds_random *random,
                                const kds_cell *first)
{
    kds_population p = kds_select_population(s, state);
    switch (s->parents) {
    case KDS_PARENTS_CURIOSITY:
        return tournament(state, p, random, first, curiosity);
    case KDS_PARENTS_BEST: /* whom the best is crossed with is chance */
        return first ? any_cell(p, random, first) : best_cell(state, p);
    case KDS_PARENTS_RANDOM:
        return any_cell(p, random, first);
    case KDS_PARENTS_ISLANDS:
        return tournament(state, p, random, first, by_fitness);
    }
    return NULL;
}
