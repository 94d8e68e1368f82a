/* Which duels a candidate has to fight, and what they make of it, where times are measured. A pure
 * function of the state: each duel that is needed is asked for in turn, and once it is recorded the
 * walk gets one step further. A duel counts only against the incumbent of now.
 *
 *   cell empty?  a duel with the baseline, for the record; accepted whatever it says
 *   else         a duel with the elite; accepted if faster
 *   near the best so far?  a duel with it (unless that was the one before), then one more in a
 * fresh process: only what wins both is the best, and what is told of it is a duel with the
 *                baseline in that process
 *
 * Times of other sessions decide nothing: the fitness, measured beside the baseline when the
 * candidate was judged, only decides whether a duel with the best is worth its cost. */
#include "search/engine/commit_internal.h"

#include "eval/duel_rounds.h"

#include <stdio.h>
#include <string.h>

#define CHALLENGE 0.97 /* of the best's speed-up: slower ones are not tried against it */
#define TRIES_DISTURBED 3
#define TRIES_FAILED 2

typedef struct walk {
    const kds_state *state;
    const kds_flight *f;
    kds_bout_outcome *out;
} walk;

double kds_commit_margin(const kds_task *t, const kds_state *state)
{
    return kds_duel_margin(t->margin, kds_state_floor(state));
}

/* The last duel of a purpose with that incumbent; *count: of those that ended like it. */
static const kds_bout *find(const walk *w, kds_bout_purpose purpose, kds_id incumbent, int *count)
{
    const kds_bout *last = NULL;
    *count = 0;
    for (int i = 0; i < w->f->bout_count; i++) {
        const kds_bout *b = &w->f->bouts[i];
        if (b->purpose != purpose || !kds_id_equal(b->incumbent, incumbent))
            continue;
        *count = last && last->end == b->end ? *count + 1 : 1;
        last = b;
    }
    return last;
}

static const char *last_device(const kds_flight *f)
{
    return f->bout_count ? f->bouts[f->bout_count - 1].device : "";
}

/* True with the duel if it was decided. Otherwise the walk ends here: with a need, or with a
 * candidate that is not accepted. */
static bool decided(walk *w, kds_bout_purpose purpose, kds_id incumbent, const kds_bout **out)
{
    int count = 0;
    const kds_bout *b = find(w, purpose, incumbent, &count);
    bool room = w->f->bout_count < KDS_FLIGHT_BOUTS;
    bool again = !b || (b->end == KDS_BOUT_DISTURBED && count < TRIES_DISTURBED) ||
                 (b->end == KDS_BOUT_INCUMBENT_FAILED && count < TRIES_FAILED) ||
                 (b->end == KDS_BOUT_NOT_FOUGHT && count < TRIES_FAILED);
    *out = b;
    if (b && b->end == KDS_BOUT_DECIDED)
        return true;
    w->out->accepted = w->out->best = false;
    if (again && room) {
        bool confirm = purpose == KDS_BOUT_CONFIRM;
        w->out->needed = true;
        w->out->need = (kds_bout_need){
            .purpose = purpose, .incumbent = incumbent, .fresh = confirm || b != NULL};
        if (confirm) /* another card is a better witness */
            (void)snprintf(w->out->need.not_on, sizeof w->out->need.not_on, "%s",
                           last_device(w->f));
        return false;
    }
    w->out->verdict = b && b->end == KDS_BOUT_CHILD_FAILED ? b->verdict : w->f->verdict;
    (void)snprintf(w->out->why, sizeof w->out->why, "%s%.220s",
                   b && b->end == KDS_BOUT_CHILD_FAILED ? "in a duel: " : "no duel was decided: ",
                   b ? b->why : "there were too many");
    return false;
}

/* A further duel of one that is accepted whatever comes of it, unless it fails there. True if it
 * was decided. */
static bool further(walk *w, kds_bout_purpose purpose, kds_id incumbent, const char *base,
                    const kds_bout **out)
{
    kds_bout_outcome *o = w->out;
    if (decided(w, purpose, incumbent, out))
        return true;
    if (o->needed || (*out && (*out)->end == KDS_BOUT_CHILD_FAILED))
        return false;
    o->accepted = true;
    (void)snprintf(o->why, sizeof o->why, "%s; not tried as the best: %.100s", base,
                   *out ? (*out)->why : "too many duels");
    return false;
}

/* Accepted: is it the best as well? */
static void try_best(walk *w, const kds_bout *first, double fitness)
{
    const kds_state *s = w->state;
    kds_bout_outcome *o = w->out;
    const kds_bout *b = first;
    char base[160];
    if (fitness < CHALLENGE * s->best_fitness)
        return;
    (void)snprintf(base, sizeof base, "%.150s", o->why);
    if (!kds_id_equal(first->incumbent, s->best) && !further(w, KDS_BOUT_BEST, s->best, base, &b))
        return;
    if (!b->faster || !further(w, KDS_BOUT_CONFIRM, s->best, base, &b))
        return;
    if (!b->faster) {
        (void)snprintf(o->why, sizeof o->why, "%s; best in one duel, not confirmed by another",
                       base);
        return;
    }
    if (!kds_id_equal(s->best, s->baseline) && !further(w, KDS_BOUT_REPORT, s->baseline, base, &b))
        return;
    o->best = true;
    o->shown = b;
    (void)snprintf(o->why, sizeof o->why, "%s; best, confirmed: %.3fx the baseline [%.3f, %.3f]",
                   base, 1 + b->gain, 1 + b->low, 1 + b->high);
}

void kds_bouts_walk(const kds_state *state, const kds_flight *f, uint64_t cell, double fitness,
                    kds_bout_outcome *out)
{
    walk w = {state, f, out};
    const kds_cell *c = kds_state_cell(state, cell);
    const kds_bout *b = NULL;
    bool empty = !c || kds_id_is_zero(c->elite);
    memset(out, 0, sizeof *out);
    out->verdict = f->verdict;
    if (f->decision == 0) {
        out->accepted = out->best = true;
        (void)snprintf(out->why, sizeof out->why, "the baseline");
        return;
    }
    if (!decided(&w, empty ? KDS_BOUT_BASELINE : KDS_BOUT_CELL, empty ? state->baseline : c->elite,
                 &b))
        return;
    (void)snprintf(out->why, sizeof out->why, "%s%.200s", empty ? "first in its cell; " : "",
                   b->why);
    out->accepted = empty || b->faster;
    if (out->accepted)
        try_best(&w, b, fitness);
}
