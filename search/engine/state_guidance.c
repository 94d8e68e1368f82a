/* The guidance in use and how it does. A child counts for what its prompt told when it is
 * committed, if a model has answered at all: a guidance that makes answers unusable has earned it.
 *
 * Early in a campaign more children are accepted than late. What is believed of a guidance (to draw
 * one, to replace the worst) therefore forgets, as in discounted Thompson sampling (Raj, Kalyani:
 * "Taming non-stationary bandits: a Bayesian approach", 2017), and whether one hurts is judged
 * against the children that none had in the same time. */
#include "search/engine/state.h"
#include "search/engine/state_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One child of a model makes older ones count this much less: the last hundred have most weight. */
#define FADE 0.99
/* What is believed before the first child: as if one of four had been accepted. */
#define PRIOR_ACCEPTED 1
#define PRIOR_REFUSED 3
#define HURTS_CHILDREN 12     /* of either side, before one is judged against the other */
#define HURTS_PROBABILITY 0.9 /* that it is worse */

const char *kds_guidance_standing_name(kds_guidance_standing s)
{
    static const char *const names[] = {"in use", "retired", "replaced"};
    return names[s];
}

bool kds_guidances_init(kds_guidances *g)
{
    g->room = 1 + KDS_GUIDANCE_MAX;
    g->items = calloc((size_t)g->room, sizeof *g->items);
    if (!g->items)
        return false;
    g->items[0].decision = -1;
    g->count = 1;
    return true;
}

void kds_guidances_free(kds_guidances *g)
{
    free(g->items);
    memset(g, 0, sizeof *g);
}

static kds_guidance *find(const kds_guidances *g, kds_id id)
{
    for (int i = 0; i < g->count; i++)
        if (kds_id_equal(g->items[i].id, id))
            return &g->items[i];
    return NULL;
}

const kds_guidance *kds_guidance_find(const kds_guidances *g, kds_id id)
{
    return find(g, id);
}

int kds_guidances_in_use(const kds_guidances *g)
{
    int n = 0;
    for (int i = 1; i < g->count; i++)
        n += g->items[i].standing == KDS_GUIDANCE_IN_USE;
    return n;
}

kds_belief kds_guidance_belief(const kds_guidance *g)
{
    return (kds_belief){PRIOR_ACCEPTED + g->recent_accepted,
                        PRIOR_REFUSED + fmax(0, g->recent_children - g->recent_accepted)};
}

double kds_belief_mean(kds_belief b)
{
    return b.accepted / (b.accepted + b.refused);
}

/* The sum of Cook, "Exact calculation of beta inequalities" (2005), whose terms follow from each
 * other: the first is B(c, b + d) / B(c, d). In logarithms, as it may be very small. */
double kds_belief_above(int64_t a, int64_t b, int64_t c, int64_t d)
{
    double term = 0, sum = 0;
    for (int64_t k = 0; k < b; k++)
        term += log((double)(d + k) / (double)(c + d + k));
    for (int64_t i = 0; i < a; i++) {
        sum += exp(term);
        term +=
            log((double)(c + i) * (double)(b + i) / ((double)(c + d + b + i) * (double)(1 + i)));
    }
    return fmin(sum, 1);
}

bool kds_guidance_hurts(const kds_guidance *g, const kds_guidance *none)
{
    int64_t children = none->children - g->none_children,
            accepted = none->accepted - g->none_accepted;
    return g->children >= HURTS_CHILDREN && children >= HURTS_CHILDREN &&
           kds_belief_above(PRIOR_ACCEPTED + g->accepted, PRIOR_REFUSED + g->children - g->accepted,
                            PRIOR_ACCEPTED + accepted,
                            PRIOR_REFUSED + children - accepted) < 1 - HURTS_PROBABILITY;
}

void kds_guidances_hash(const kds_guidances *g, kds_hasher *h)
{
    for (int i = 0; i < g->count && g->count > 1; i++) {
        const kds_guidance *x = &g->items[i];
        int64_t numbers[] = {x->standing, x->children, x->accepted, g->since_asked};
        kds_hasher_add(h, &x->id, sizeof x->id);
        kds_hasher_add(h, numbers, sizeof numbers);
        kds_hasher_add(h, &x->recent_children, sizeof x->recent_children);
        kds_hasher_add(h, &x->recent_accepted, sizeof x->recent_accepted);
    }
}

kds_code kds_state_apply_guidance(kds_state *s, const cJSON *body, kds_err *e)
{
    kds_flight *f = kds_state_flight(s, kds_json_int(body, "decision", -1));
    kds_id id;
    if (!f || !kds_flight_guides(f) || f->has_verdict)
        return kds_fail(e, KDS_DAMAGED,
                        "a GUIDANCE event names decision %lld, which waits for none",
                        (long long)kds_json_int(body, "decision", -1));
    if (!kds_json_id(body, "guidance", &id) || kds_id_is_zero(id))
        return kds_fail(e, KDS_DAMAGED, "a GUIDANCE event has no id");
    f->guidance_made = id;
    snprintf(f->model, sizeof f->model, "%.63s", kds_json_str(body, "model", ""));
    snprintf(f->stage, sizeof f->stage, "guidance");
    f->has_verdict = true;
    f->verdict = KDS_VERDICT_OK;
    return KDS_OK;
}

/* Takes the one that is believed to be worst out of use; of equals the oldest. */
static void replace_worst(kds_guidances *g)
{
    kds_guidance *worst = NULL;
    for (int i = 1; i < g->count; i++) {
        kds_guidance *x = &g->items[i];
        if (x->standing == KDS_GUIDANCE_IN_USE &&
            (!worst ||
             kds_belief_mean(kds_guidance_belief(x)) < kds_belief_mean(kds_guidance_belief(worst))))
            worst = x;
    }
    if (worst)
        worst->standing = KDS_GUIDANCE_REPLACED;
}

/* Takes what a decision brought into use. */
static kds_code join(kds_guidances *g, const kds_flight *f, kds_err *e)
{
    if (find(g, f->guidance_made))
        return kds_fail(e, KDS_DAMAGED, "decision %lld brought a guidance that was there before",
                        (long long)f->decision);
    if (g->count == g->room) {
        kds_guidance *more = realloc(g->items, 2 * (size_t)g->room * sizeof *more);
        if (!more)
            return kds_fail(e, KDS_NO_MEMORY, "out of memory while reading the record");
        g->items = more;
        g->room *= 2;
    }
    if (kds_guidances_in_use(g) == KDS_GUIDANCE_MAX)
        replace_worst(g);
    kds_guidance *x = &g->items[g->count++];
    *x = (kds_guidance){.id = f->guidance_made,
                        .parent = f->guidance,
                        .decision = f->decision,
                        .none_children = g->items[0].children,
                        .none_accepted = g->items[0].accepted};
    snprintf(x->model, sizeof x->model, "%s", f->model);
    return KDS_OK;
}

/* Counts a child and takes out of use what it shows to hurt. */
static void count_child(kds_guidances *g, kds_id id, bool accepted)
{
    kds_guidance *told = find(g, id), *none = &g->items[0];
    g->since_asked++;
    for (int i = 0; i < g->count; i++) {
        g->items[i].recent_children *= FADE;
        g->items[i].recent_accepted *= FADE;
    }
    if (!told)
        return;
    told->children++;
    told->accepted += accepted;
    told->recent_children += 1;
    told->recent_accepted += accepted;
    for (int i = 1; i < g->count; i++) {
        kds_guidance *x = &g->items[i];
        if (x->standing == KDS_GUIDANCE_IN_USE && (x == told || told == none) &&
            kds_guidance_hurts(x, none))
            x->standing = KDS_GUIDANCE_RETIRED;
    }
}

kds_code kds_state_commit_guidance(kds_state *s, const kds_flight *f, kds_verdict verdict,
                                   bool accepted, kds_err *e)
{
    if (kds_flight_guides(f))
        return verdict == KDS_VERDICT_OK ? join(&s->guidances, f, e) : KDS_OK;
    if (kds_proposer_is_model(f->proposer) && (f->has_candidate || f->replies > 0))
        count_child(&s->guidances, f->guidance, accepted);
    return KDS_OK;
}
