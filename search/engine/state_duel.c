/* What a duel changes in the state: the flight that it was for knows its outcome, duels of equals
 * tell what is noise, and reviews whether a holder is faster than the one before it. A duel is
 * announced before it is fought (CHALLENGE), by the state of that moment; records without
 * announcements have one duel at a time. */
#include "search/engine/state_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool parse_purpose(const char *name, kds_bout_purpose *out)
{
    for (int i = 0; i < KDS_BOUT_PURPOSES; i++)
        if (strcmp(name, kds_bout_purpose_name((kds_bout_purpose)i)) == 0) {
            *out = (kds_bout_purpose)i;
            return true;
        }
    return false;
}

static bool parse_end(const cJSON *body, kds_bout *b)
{
    const char *verdict = kds_json_str(body, "verdict", ""),
               *failed = kds_json_str(body, "failed", "");
    if (strcmp(failed, "child") == 0) {
        b->end = KDS_BOUT_CHILD_FAILED;
        return kds_verdict_parse(kds_json_str(body, "failure", ""), &b->verdict);
    }
    if (strcmp(failed, "incumbent") == 0)
        b->end = KDS_BOUT_INCUMBENT_FAILED;
    else if (*failed)
        b->end = KDS_BOUT_NOT_FOUGHT;
    else if (*kds_json_str(body, "ended_by", ""))
        b->end = KDS_BOUT_DISTURBED;
    else if (strcmp(verdict, "faster") == 0 || strcmp(verdict, "not_faster") == 0 ||
             strcmp(verdict, "unresolved") == 0) {
        b->end = KDS_BOUT_DECIDED;
        b->faster = strcmp(verdict, "faster") == 0;
        b->gain = kds_json_num(body, "gain", NAN);
        b->low = kds_json_num(body, "low", NAN);
        b->high = kds_json_num(body, "high", NAN);
        return isfinite(b->gain) && b->gain > -1;
    } else
        return false;
    return true;
}

static void count_equals(kds_state *s, const kds_bout *b)
{
    if (b->end != KDS_BOUT_DECIDED)
        return;
    s->floors[s->floor_count++ % KDS_FLOOR_BOUTS] = fabs(log1p(b->gain));
    s->floor_epoch++;
}

/* ---- Challenges ---- */

const kds_challenge *kds_state_challenge(const kds_state *s, int64_t number)
{
    for (int i = 0; i < s->challenge_count; i++)
        if (s->challenges[i].number == number)
            return &s->challenges[i];
    return NULL;
}

kds_code kds_state_apply_challenge(kds_state *s, const cJSON *body, kds_err *e)
{
    kds_challenge c = {.number = kds_json_int(body, "challenge", -1),
                       .decision = kds_json_int(body, "decision", -1),
                       .seed = (uint64_t)kds_json_int(body, "seed", 0),
                       .margin = kds_json_num(body, "margin", NAN)};
    const char *cell = kds_json_str(body, "cell", NULL);
    c.has_cell = cell != NULL;
    if (c.number != s->challenged || s->challenge_count == KDS_CHALLENGES ||
        !parse_purpose(kds_json_str(body, "purpose", ""), &c.purpose) ||
        !kds_json_id(body, "candidate", &c.candidate) ||
        !kds_json_id(body, "incumbent", &c.incumbent) || !(c.margin >= 0) ||
        (cell && !kds_cell_parse(cell, &c.cell)) ||
        (c.decision >= 0 && !kds_state_flight(s, c.decision)))
        return kds_fail(e, KDS_DAMAGED, "a CHALLENGE event cannot follow the %lld before it",
                        (long long)s->challenged);
    s->challenges[s->challenge_count++] = c;
    s->challenged++;
    return KDS_OK;
}

/* Takes the challenge that this duel answers. *found is false in records that announce none. */
static kds_code answer_challenge(kds_state *s, const cJSON *body, const kds_bout *b,
                                 kds_challenge *out, bool *found, kds_err *e)
{
    kds_id candidate;
    const cJSON *number = kds_json_at(body, "challenge");
    *found = number != NULL;
    if (!number) {
        s->challenged++;
        return KDS_OK;
    }
    const kds_challenge *c = kds_state_challenge(s, kds_json_int(body, "challenge", -1));
    if (!c || c->purpose != b->purpose || !kds_id_equal(c->incumbent, b->incumbent) ||
        c->decision != kds_json_int(body, "decision", -1) ||
        !kds_json_id(body, "candidate", &candidate) || !kds_id_equal(candidate, c->candidate))
        return kds_fail(e, KDS_DAMAGED, "a DUEL event is not the duel that was announced");
    *out = *c;
    s->challenges[c - s->challenges] = s->challenges[--s->challenge_count];
    return KDS_OK;
}

/* ---- Reviews ---- */

void kds_claim_pass(kds_claim *c, kds_holder former)
{
    if (c->former_count == KDS_FORMER_MAX)
        memmove(&c->former[0], &c->former[1], sizeof c->former[0] * (size_t)--c->former_count);
    c->former[c->former_count++] = former;
    c->reviews = 0;
    c->doubts = c->undecided = 0;
}

/* Nothing follows from a duel that was disturbed, or in which the other side failed. */
static void count_review(kds_state *s, const kds_challenge *c, const kds_bout *b)
{
    kds_cell *cell = c->has_cell ? kds_state_cell(s, c->cell) : NULL;
    kds_claim *claim = c->has_cell ? (cell ? &cell->claim : NULL) : &s->best_claim;
    kds_id holder = c->has_cell && cell ? cell->elite : s->best;
    s->since_review = 0;
    if (!claim || !kds_id_equal(holder, c->candidate)) /* it was replaced meanwhile */
        return;
    claim->reviews++;
    bool decided = b->end == KDS_BOUT_CHILD_FAILED || b->end == KDS_BOUT_DECIDED;
    claim->undecided = decided ? 0 : claim->undecided + 1;
    if (b->end == KDS_BOUT_CHILD_FAILED || (b->end == KDS_BOUT_DECIDED && b->gain <= 0))
        claim->doubts++;
    else if (b->end == KDS_BOUT_DECIDED)
        claim->doubts = 0;
}

kds_code kds_state_apply_retire(kds_state *s, const cJSON *body, kds_err *e)
{
    uint64_t key = 0;
    kds_id gone, back;
    const char *hex = kds_json_str(body, "cell", NULL);
    kds_cell *cell = kds_cell_parse(hex, &key) ? kds_state_cell(s, key) : NULL;
    kds_claim *claim = hex ? (cell ? &cell->claim : NULL) : &s->best_claim;
    if (!claim || !claim->former_count || !kds_json_id(body, "candidate", &gone) ||
        !kds_json_id(body, "back_to", &back) || !kds_id_equal(gone, hex ? cell->elite : s->best) ||
        !kds_id_equal(back, claim->former[claim->former_count - 1].id))
        return kds_fail(e, KDS_DAMAGED, "a RETIRE event names no holder with one before it");
    kds_holder h = claim->former[--claim->former_count];
    claim->reviews = 0;
    claim->doubts = claim->undecided = 0;
    s->retired++;
    if (hex) {
        cell->elite = h.id;
        cell->fitness = h.fitness;
        cell->elite_decision = h.decision;
        cell->modelled = h.modelled;
        memset(cell->fruitless, 0, sizeof cell->fruitless);
        cell->profiled_again = false;
    } else {
        s->best = h.id;
        s->best_fitness = h.fitness;
        s->best_low = h.low;
        s->best_high = h.high;
        s->best_decision = h.decision;
    }
    return KDS_OK;
}

/* ---- Outcomes ---- */

kds_code kds_state_apply_duel(kds_state *s, const cJSON *body, kds_err *e)
{
    kds_bout b = {0};
    kds_challenge c = {0};
    bool found = false;
    int64_t decision = kds_json_int(body, "decision", -1);
    if (!parse_purpose(kds_json_str(body, "purpose", ""), &b.purpose) ||
        !kds_json_id(body, "incumbent", &b.incumbent) || !parse_end(body, &b))
        return kds_fail(e, KDS_DAMAGED, "a DUEL event has no purpose, incumbent or outcome");
    snprintf(b.device, sizeof b.device, "%s", kds_json_str(body, "device", ""));
    snprintf(b.why, sizeof b.why, "%.*s", (int)sizeof b.why - 1, kds_json_str(body, "why", ""));
    kds_code code = answer_challenge(s, body, &b, &c, &found, e);
    if (code != KDS_OK)
        return code;
    s->bouts++;
    s->since_hidden++;
    s->since_review++;
    if (b.purpose == KDS_BOUT_REVIEW) {
        if (!found)
            return kds_fail(e, KDS_DAMAGED, "a review was not announced");
        count_review(s, &c, &b);
        return KDS_OK;
    }
    if (b.purpose == KDS_BOUT_FLOOR) {
        count_equals(s, &b);
        return KDS_OK;
    }
    if (b.purpose == KDS_BOUT_HIDDEN) {
        s->since_hidden = 0;
        s->hidden++;
        s->hidden_faster += b.end == KDS_BOUT_DECIDED && b.faster;
        return KDS_OK;
    }
    kds_flight *f = kds_state_flight(s, decision);
    if (!f)
        return kds_fail(e, KDS_DAMAGED, "a duel names decision %lld, which is not under way",
                        (long long)decision);
    if (f->bout_count == KDS_FLIGHT_BOUTS)
        return kds_fail(e, KDS_DAMAGED, "decision %lld has more than %d duels", (long long)decision,
                        KDS_FLIGHT_BOUTS);
    f->bouts[f->bout_count++] = b;
    return KDS_OK;
}
