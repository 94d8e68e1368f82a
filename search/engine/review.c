/* Claims are the cells' elites and the best kernel, each with those that held its place before. */
#include "search/engine/review.h"

#define DOUBTS_MAX 2    /* in a row: the claim is given up */
#define UNDECIDED_MAX 3 /* in a row: one in doubt waits for its turn again */

/* A claim with who makes it. */
typedef struct place {
    const kds_claim *claim;
    bool has_cell;
    uint64_t cell;
    kds_id holder;
    int64_t decision;
} place;

/* Place i of the best (0) and the cells (from 1 on). False if nobody held it before. */
static bool place_at(const kds_state *s, int i, place *out)
{
    const kds_cell *c = i > 0 ? &s->cells[i - 1] : NULL;
    if (c)
        *out = (place){&c->claim, true, c->key, c->elite, c->elite_decision};
    else
        *out = (place){&s->best_claim, false, 0, s->best, s->best_decision};
    return out->claim->former_count > 0;
}

static bool in_doubt(const place *p)
{
    return p->claim->doubts > 0 && p->claim->undecided < UNDECIDED_MAX;
}

static const kds_holder *former_of(const place *p)
{
    return &p->claim->former[p->claim->former_count - 1];
}

/* True if `a` is tested before `b`. */
static bool goes_before(const place *a, const place *b)
{
    if (in_doubt(a) != in_doubt(b))
        return in_doubt(a);
    if (a->claim->reviews != b->claim->reviews)
        return a->claim->reviews < b->claim->reviews;
    return a->decision < b->decision;
}

bool kds_review_next(const kds_state *s, bool due, kds_review *out)
{
    place best = {0}, p;
    bool found = false;
    for (int i = 0; i <= s->cell_count; i++)
        if (place_at(s, i, &p) && (due || in_doubt(&p)) && (!found || goes_before(&p, &best))) {
            best = p;
            found = true;
        }
    if (!found)
        return false;
    *out = (kds_review){.has_cell = best.has_cell,
                        .cell = best.cell,
                        .holder = best.holder,
                        .former = former_of(&best)->id,
                        .fresh = best.claim->doubts > 0};
    return true;
}

static cJSON *retire_body(const place *p)
{
    char key[17];
    const kds_holder *back = former_of(p);
    cJSON *o = cJSON_CreateObject();
    kds_cell_format(p->cell, key);
    if (o && kds_json_add_str(o, "cell", p->has_cell ? key : NULL) &&
        kds_json_add_id(o, "candidate", p->holder) && kds_json_add_id(o, "back_to", back->id) &&
        kds_json_add_int(o, "decision", back->decision) &&
        kds_json_add_num(o, "fitness", back->fitness) &&
        kds_json_add_str(o, "why", "found no faster than the one before it in two duels in a row"))
        return o;
    cJSON_Delete(o);
    return NULL;
}

kds_code kds_review_retire(const kds_state *s, cJSON **out, kds_err *e)
{
    place p;
    *out = NULL;
    for (int i = 0; i <= s->cell_count; i++) {
        if (!place_at(s, i, &p) || p.claim->doubts < DOUBTS_MAX)
            continue;
        *out = retire_body(&p);
        return *out ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    return KDS_OK;
}
