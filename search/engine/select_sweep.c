/* Sweeps of tunables where a new structure appears, by successive halving (Jamieson, Talwalkar,
 * "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016): rung 0
 * spreads configurations over the product of the tunables, each rung keeps half as many as the one
 * before, and every rung after the first has the same budget. It differs in what a rung spends it
 * on. There arms are pulled again, to know them better. Here one look is enough (it is exact, or a
 * duel decides in the end), and new configurations are looked at instead: neighbours of those that
 * were kept, one step in one tunable, round and round. So the kept are the better half of all that
 * the sweep has seen, and the last rung climbs from the best one alone. A structure that comes
 * nowhere near the best kernel is given up after rung 0.
 *
 * A rung begins when all results of the one before are in. Sweeps take turns with other decisions,
 * and of those that do not wait, the one with the fastest configuration is served. */
#include "search/engine/select_internal.h"

#include <string.h>

#define KEPT_MAX (KDS_SWEEP_SPREAD / 2)
#define WORTH 0.8 /* of the best fitness: below it a structure is not swept beyond rung 0 */

/* What can be done with a sweep now. */
typedef enum sweep_state { SWEEP_MADE, SWEEP_WAITS, SWEEP_OVER } sweep_state;

static int kept_of(int rung)
{
    int kept = KDS_SWEEP_SPREAD >> rung;
    return kept > 1 ? kept : 1;
}

static bool is_better(const kds_sweep_member *a, const kds_sweep_member *b)
{
    return a->fitness > b->fitness || (a->fitness == b->fitness && a->decision < b->decision);
}

/* The best of the rungs before `rung`, best first. */
static int keep_best(const kds_sweep *x, int rung, const kds_sweep_member *kept[KEPT_MAX])
{
    int count = 0, most = kept_of(rung);
    for (int i = 0; i < x->count; i++) {
        const kds_sweep_member *m = &x->members[i];
        if (m->rung >= rung || !m->judged || !(m->fitness > 0))
            continue;
        int at = count < most ? count++ : most;
        for (; at > 0 && is_better(m, kept[at - 1]); at--)
            if (at < most)
                kept[at] = kept[at - 1];
        if (at < most)
            kept[at] = m;
    }
    return count;
}

/* A new configuration of a rung in which `done` were proposed already. */
static kds_code propose(const kds_selector *s, const kds_state *state, const kds_sweep *x, int rung,
                        int done, kds_choice *out, bool *made, kds_err *e)
{
    const kds_sweep_member *kept[KEPT_MAX] = {&x->members[0]};
    kds_sweep_step step = {.structure = x->structure, .rung = rung};
    kds_random random = kds_random_stream(state->seed, x->structure.low, "sweep");
    int count = 1;
    kds_id none = {0, 0};
    kds_code code = KDS_OK;
    if (rung == 0)
        step.spread = KDS_SWEEP_SPREAD;
    else {
        count = keep_best(x, rung, kept);
        random = kds_random_stream(state->seed, (uint64_t)state->decisions, "sweep");
    }
    for (int i = 0; i < count && code == KDS_OK && !*made; i++)
        code = kds_select_child(s, state, "tune", NULL, kept[(done + i) % count]->candidate, none,
                                &step, &random, out, made, e);
    return code;
}

/* New configurations of a rung at most. */
static int budget_of(int rung)
{
    return rung ? KDS_SWEEP_RUNG : KDS_SWEEP_SPREAD;
}

static double best_of(const kds_sweep *x)
{
    double most = 0;
    for (int i = 0; i < x->count; i++)
        most = x->members[i].fitness > most ? x->members[i].fitness : most;
    return most;
}

static kds_code advance(const kds_selector *s, const kds_state *state, const kds_sweep *x,
                        kds_choice *out, sweep_state *now, kds_err *e)
{
    int rung = 0, done = 0, open = 0;
    bool made = false;
    for (int i = 1; i < x->count; i++)
        rung = x->members[i].rung > rung ? x->members[i].rung : rung;
    for (int i = 1; i < x->count; i++) {
        done += x->members[i].rung == rung;
        open += !x->members[i].judged;
    }
    for (bool first = true;; first = false) {
        kds_code code = KDS_OK;
        if (done < budget_of(rung) && x->count <= KDS_SWEEP_MAX)
            code = propose(s, state, x, rung, done, out, &made, e);
        *now = made ? SWEEP_MADE : open ? SWEEP_WAITS : SWEEP_OVER;
        if (code != KDS_OK || made || open || (rung > 0 && kept_of(rung) == 1) || !first ||
            best_of(x) < WORTH * state->best_fitness)
            return code;
        rung++;
        done = 0;
    }
}

static bool add_swept(kds_choice *out, kds_id structure)
{
    char hex[KDS_ID_HEX];
    if (!out->swept && !(out->swept = cJSON_CreateArray()))
        return false;
    kds_id_format(structure, hex);
    return cJSON_AddItemToArray(out->swept, cJSON_CreateString(hex));
}

/* The sweep that comes after `last` (NULL: the first): the faster its best, the sooner. */
static const kds_sweep *next_sweep(const kds_state *state, const kds_sweep *last)
{
    const kds_sweep *next = NULL;
    for (int i = 0; i < state->sweep_count; i++) {
        const kds_sweep *x = &state->sweeps[i];
        bool later =
            !last || best_of(x) < best_of(last) || (best_of(x) == best_of(last) && x > last);
        if (later && (!next || best_of(x) > best_of(next)))
            next = x;
    }
    return next;
}

kds_code kds_select_sweep(const kds_selector *s, const kds_state *state, kds_choice *out,
                          bool *made, kds_err *e)
{
    kds_code code = KDS_OK;
    if (!kds_select_allows(s, "tune") || state->last_sweep == state->decisions - 1)
        return KDS_OK;
    const kds_sweep *x = NULL;
    while (code == KDS_OK && !*made && (x = next_sweep(state, x))) {
        sweep_state now = SWEEP_WAITS;
        code = advance(s, state, x, out, &now, e);
        *made = now == SWEEP_MADE;
        if (code == KDS_OK && now == SWEEP_OVER && !add_swept(out, x->structure))
            code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    return code;
}
