/* Duels in a campaign. What is to be fought follows from the state (commit.h); here it is announced
 * and begun, one on each card, and its outcome recorded. Before anything else is fought in an
 * epoch, and once an hour, a kernel fights a copy of itself: what such duels show is noise, and no
 * gain below it counts. One in fifty duels is such a one, too, and looks like any other to the
 * process that fights it. */
#include "search/engine/campaign.h"

#include "eval/duel_replay.h"
#include "search/base/clock.h"
#include "search/engine/commit.h"
#include "search/engine/duel_bench.h"
#include "search/engine/review.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAG_BOUTS (UINT64_C(1) << 61) /* duels; candidates have their decision's number */
#define FLOOR_SECONDS 3600.0
#define FLOOR_FAILURES 3 /* in a row */
#define FLOOR_MOST 0.05  /* equals that differ by more: nothing can be measured here */

static kds_code out_of_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

void kds_recorded_free(kds_recorded *k)
{
    free(k->source);
    free(k->parent);
}

kds_code kds_recorded_load(kds_ledger *l, kds_id id, kds_recorded *k, kds_err *e)
{
    char hex[KDS_ID_HEX];
    kds_id parent;
    size_t ignored = 0;
    kds_id_format(id, hex);
    kds_code code = kds_ledger_get(l, id, &k->source, &k->len, e);
    if (code == KDS_OK)
        code = kds_ledger_find(l, hex, &k->row, e);
    if (code == KDS_OK && kds_id_parse(k->row.parent, &parent))
        code = kds_ledger_get(l, parent, &k->parent, &ignored, e);
    return code;
}

/* The kernel's copy, under other names. One that launches by its parent's plan has none. */
static kds_code copy_side(const kds_recorded *from, kds_recorded *to, kds_err *e)
{
    kds_code code = kds_duel_rename(from->source, from->len, &to->source, &to->len, e);
    if (code == KDS_OK && from->parent && !(to->parent = strdup(from->parent)))
        code = out_of_memory(e);
    return code;
}

/* Where noise is measured, and where a speed-up will be told, the estimate is what is wanted. */
static bool wants_estimate(kds_bout_purpose p)
{
    return p == KDS_BOUT_FLOOR || p == KDS_BOUT_CONFIRM || p == KDS_BOUT_REPORT ||
           p == KDS_BOUT_REVIEW;
}

static void choose_options(const kds_campaign *c, kds_bout_purpose p, kds_gpu_duel_options *o)
{
    const kds_task *t = c->task;
    memset(o, 0, sizeof *o);
    o->seed = kds_state_bout_seed(c->state);
    o->margin = kds_commit_margin(t, c->state);
    o->floor = kds_state_floor(c->state);
    o->max_regress = t->max_regress;
    o->hopeless = kds_duel_hopeless(o->margin, o->floor);
    o->to_the_look = wants_estimate(p);
    for (int i = 0; i < t->row_count && o->row_count < KDS_GPU_DUEL_ROWS; i++)
        if (t->rows[i].set == KDS_ROWS_PRODUCTION)
            o->rows[o->row_count++] = i;
}

kds_code kds_campaign_check_rows(const kds_task *t, kds_err *e)
{
    int rows = 0;
    for (int i = 0; i < t->row_count; i++)
        rows += t->rows[i].set == KDS_ROWS_PRODUCTION;
    if (rows <= KDS_GPU_DUEL_ROWS)
        return KDS_OK;
    return kds_fail(e, KDS_INVALID,
                    "%s has %d production rows; on a GPU at most %d can be fought "
                    "over: make it two tasks of one family",
                    t->name, rows, KDS_GPU_DUEL_ROWS);
}

/* Announces a duel: how it is fought follows from the state of now. */
static kds_code announce(kds_campaign *c, const kds_challenge *x, kds_err *e)
{
    char key[17];
    cJSON *o = cJSON_CreateObject();
    kds_cell_format(x->cell, key);
    bool ok = o && kds_json_add_int(o, "challenge", c->state->challenged);
    if (ok && x->decision >= 0)
        ok = kds_json_add_int(o, "decision", x->decision);
    if (ok && x->has_cell)
        ok = kds_json_add_str(o, "cell", key);
    ok = ok && kds_json_add_str(o, "purpose", kds_bout_purpose_name(x->purpose)) &&
         kds_json_add_id(o, "candidate", x->candidate) &&
         kds_json_add_id(o, "incumbent", x->incumbent) &&
         kds_json_add_int(o, "seed", (int64_t)kds_state_bout_seed(c->state)) &&
         kds_json_add_num(o, "margin", kds_commit_margin(c->task, c->state));
    kds_code code =
        ok ? kds_campaign_record_later(c, &(kds_record){"CHALLENGE", o}, 1, e) : out_of_memory(e);
    cJSON_Delete(o);
    return code;
}

static kds_code begin(kds_campaign *c, const kds_challenge *x, const kds_recorded sides[2],
                      bool fresh, const char *not_on, kds_err *e)
{
    kds_gpu_duel_options o;
    kds_gpu_duel_side s[2];
    if (c->duel_count == KDS_CARDS_MAX)
        return kds_fail(e, KDS_FAILED, "more than %d duels at once", KDS_CARDS_MAX);
    choose_options(c, x->purpose, &o);
    for (int i = 0; i < 2; i++)
        s[i] = (kds_gpu_duel_side){
            .source = sides[i].source, .len = sides[i].len, .parent = sides[i].parent};
    kds_duel_lane *lane = &c->duels[c->duel_count];
    *lane = (kds_duel_lane){TAG_BOUTS + c->duel_tags++, c->state->challenged};
    kds_code code = announce(c, x, e);
    if (code != KDS_OK)
        return code;
    c->duel_count++;
    return kds_evaluator_fight(c->evaluator, lane->tag, s, &o, fresh, not_on, e);
}

/* A kernel against its copy; the baseline's if it has none. */
static kds_code begin_equals(kds_campaign *c, kds_bout_purpose purpose, kds_id id, kds_err *e)
{
    kds_recorded sides[2] = {{.source = NULL}, {.source = NULL}};
    kds_err err = {0};
    kds_code code = kds_recorded_load(c->ledger, id, &sides[0], &err);
    if (code == KDS_OK)
        code = copy_side(&sides[0], &sides[1], &err);
    if (code == KDS_INVALID && !kds_id_equal(id, c->state->baseline)) {
        kds_recorded_free(&sides[0]);
        kds_recorded_free(&sides[1]);
        return begin_equals(c, purpose, c->state->baseline, e);
    }
    if (code == KDS_OK) {
        kds_challenge x = {.decision = -1,
                           .purpose = purpose,
                           .candidate = kds_id_of(sides[1].source, sides[1].len),
                           .incumbent = id};
        code = begin(c, &x, sides, false, NULL, &err);
    }
    if (code != KDS_OK && e)
        *e = err;
    kds_recorded_free(&sides[0]);
    kds_recorded_free(&sides[1]);
    return code;
}

/* Two kernels of the record. */
static kds_code begin_bout(kds_campaign *c, const kds_challenge *x, bool fresh, const char *not_on,
                           kds_err *e)
{
    kds_recorded sides[2] = {{.source = NULL}, {.source = NULL}};
    kds_code code = kds_recorded_load(c->ledger, x->incumbent, &sides[0], e);
    if (code == KDS_OK)
        code = kds_recorded_load(c->ledger, x->candidate, &sides[1], e);
    if (code == KDS_OK)
        code = begin(c, x, sides, fresh, not_on && *not_on ? not_on : NULL, e);
    kds_recorded_free(&sides[0]);
    kds_recorded_free(&sides[1]);
    return code;
}

static bool is_fighting(const kds_campaign *c, int64_t decision)
{
    for (int i = 0; i < c->state->challenge_count; i++)
        if (c->state->challenges[i].decision == decision)
            return true;
    return false;
}

static bool is_under_way(const kds_campaign *c, kds_bout_purpose p)
{
    for (int i = 0; i < c->state->challenge_count; i++)
        if (c->state->challenges[i].purpose == p)
            return true;
    return false;
}

/* In an epoch's beginning, and every hour. */
static bool floor_due(const kds_campaign *c)
{
    return c->state->floor_epoch < KDS_FLOOR_NEEDED ||
           kds_clock_monotonic() - c->last_floor >= FLOOR_SECONDS;
}

int kds_campaign_duels_most(const kds_campaign *c)
{
    return kds_evaluator_cards(c->evaluator);
}

/* The duel that a flight needs next, if any. It changes only with what `news` counts. */
static kds_code next_need(kds_campaign *c, kds_lane *lane, const kds_flight *f, bool *needed,
                          kds_err *e)
{
    const kds_state *s = c->state;
    int64_t news = s->accepted + s->retired + s->bouts + s->committed;
    kds_code code = KDS_OK;
    if (lane->news != news)
        code = kds_commit_bout(&c->selector, s, f, &lane->needs_bout, &lane->need, e);
    if (code == KDS_OK) {
        lane->news = news;
        *needed = lane->needs_bout;
    }
    return code;
}

kds_code kds_campaign_fight(kds_campaign *c, const kds_flight *f, bool *ready, kds_err *e)
{
    bool needed = false;
    kds_lane *lane = kds_campaign_lane(c, f->decision);
    *ready = false;
    if (!lane)
        return out_of_memory(e);
    if (is_fighting(c, f->decision))
        return KDS_OK;
    bool full = c->duel_count >= kds_campaign_duels_most(c);
    if (full && lane->news >= 0 && lane->needs_bout)
        return KDS_OK;
    kds_code code = next_need(c, lane, f, &needed, e);
    if (code != KDS_OK || !needed) {
        *ready = code == KDS_OK;
        return code;
    }
    /* The margin of all others follows from the noise, which is therefore measured alone. */
    if (full || is_under_way(c, KDS_BOUT_FLOOR) || (floor_due(c) && c->duel_count))
        return KDS_OK;
    if (floor_due(c))
        return begin_equals(c, KDS_BOUT_FLOOR, c->state->best, e);
    const kds_bout_need *n = &lane->need;
    if (c->state->since_hidden >= KDS_HIDDEN_EVERY - 1 && !is_under_way(c, KDS_BOUT_HIDDEN))
        return begin_equals(c, KDS_BOUT_HIDDEN, n->incumbent, e);
    kds_challenge x = {.decision = f->decision,
                       .purpose = n->purpose,
                       .candidate = f->candidate,
                       .incumbent = n->incumbent};
    lane->news = -1;
    return begin_bout(c, &x, n->fresh, n->not_on, e);
}

/* Gives back the places of those that reviews did not bear out. */
static kds_code retire(kds_campaign *c, kds_err *e)
{
    cJSON *body = NULL;
    kds_code code = kds_review_retire(c->state, &body, e);
    if (code != KDS_OK || !body)
        return code;
    code = kds_campaign_record(c, &(kds_record){"RETIRE", body}, 1, e);
    if (code == KDS_OK && !kds_json_str(body, "cell", NULL))
        kds_campaign_write_champion(c);
    cJSON_Delete(body);
    return code;
}

/* The review that has its turn; false if there is none. */
static bool next_review(const kds_campaign *c, kds_review *out)
{
    int64_t every = kds_settings_int(c->settings, "review-every");
    bool due = c->state->since_review >= every && !c->closing;
    return every > 0 && !is_under_way(c, KDS_BOUT_REVIEW) && kds_review_next(c->state, due, out);
}

static kds_code begin_review(kds_campaign *c, kds_err *e)
{
    kds_review r;
    if (is_under_way(c, KDS_BOUT_FLOOR) || floor_due(c) ||
        c->duel_count >= kds_campaign_duels_most(c) || !next_review(c, &r))
        return KDS_OK;
    kds_challenge x = {.decision = -1,
                       .purpose = KDS_BOUT_REVIEW,
                       .has_cell = r.has_cell,
                       .cell = r.cell,
                       .candidate = r.holder,
                       .incumbent = r.former};
    return begin_bout(c, &x, r.fresh, r.fresh ? c->reviewed_on : NULL, e);
}

bool kds_campaign_reviewing(const kds_campaign *c)
{
    kds_review r;
    return is_under_way(c, KDS_BOUT_REVIEW) ||
           (c->state->measured && c->state->floor_epoch >= KDS_FLOOR_NEEDED &&
            kds_settings_int(c->settings, "review-every") > 0 &&
            kds_review_next(c->state, false, &r));
}

kds_code kds_campaign_watch_duels(kds_campaign *c, kds_err *e)
{
    if (!c->state->measured || kds_id_is_zero(c->state->best))
        return KDS_OK;
    kds_review r;
    kds_code code = retire(c, e);
    if (code != KDS_OK || (c->state->floor_epoch < KDS_FLOOR_NEEDED && !next_review(c, &r)))
        return code; /* the first duel that is needed measures the noise before */
    if (floor_due(c) && !c->duel_count)
        return begin_equals(c, KDS_BOUT_FLOOR, c->state->best, e);
    return begin_review(c, e);
}

/* ---- Outcomes ---- */

/* What the record says in short; false: out of memory. */
static bool add_outcome(cJSON *o, const cJSON *record, const char *why)
{
    static const char *const copied[] = {"verdict", "gain",      "low",   "high",    "p",
                                         "worst",   "worst_row", "floor", "ended_by"};
    const cJSON *finding = kds_json_at(record, "finding");
    bool ok = true;
    if (!record)
        return kds_json_add_str(o, "failed", "workers") && kds_json_add_str(o, "why", why);
    if (finding)
        return kds_json_add_str(o, "failed", kds_json_str(finding, "arm", "child")) &&
               kds_json_add_str(o, "failure", kds_json_str(finding, "verdict", "")) &&
               kds_json_add_str(o, "why", kds_json_str(finding, "message", ""));
    for (size_t i = 0; ok && i < sizeof copied / sizeof *copied; i++) {
        cJSON *value = cJSON_Duplicate(kds_json_at(record, copied[i]), true);
        ok = value && cJSON_AddItemToObject(o, copied[i], value);
    }
    return ok && kds_json_add_int(o, "rounds", kds_json_int(record, "counted", 0)) &&
           kds_json_add_num(o, "margin",
                            kds_json_num(kds_json_at(record, "rule"), "margin", NAN)) &&
           kds_json_add_str(o, "why", kds_json_str(record, "why", ""));
}

static cJSON *duel_body(const kds_campaign *c, const kds_challenge *x, const kds_fought *f,
                        const cJSON *record, kds_id record_id, const char *why)
{
    cJSON *o = cJSON_CreateObject();
    bool ok = o && kds_json_add_int(o, "duel", c->state->bouts) &&
              kds_json_add_int(o, "challenge", x->number);
    if (ok && x->decision >= 0)
        ok = kds_json_add_int(o, "decision", x->decision);
    ok = ok && kds_json_add_id(o, "candidate", x->candidate) &&
         kds_json_add_str(o, "purpose", kds_bout_purpose_name(x->purpose)) &&
         kds_json_add_id(o, "incumbent", x->incumbent) && add_outcome(o, record, why) &&
         kds_json_add_str(o, "device", f->device) &&
         kds_json_add_str(o, "fingerprint", f->fingerprint) &&
         (!record || kds_json_add_id(o, "record", record_id)) &&
         kds_json_add_num(o, "seconds", f->seconds);
    if (ok)
        return o;
    cJSON_Delete(o);
    return NULL;
}

/* The verdict must follow from the rounds, or nothing came of the duel. */
static const cJSON *believe(const kds_fought *f, char *why, size_t size)
{
    kds_duel replayed;
    kds_err err = {0};
    snprintf(why, size, "%s", f->why);
    if (!f->record || kds_duel_replay(f->record, &replayed, &err) == KDS_OK)
        return f->record;
    snprintf(why, size, "its record does not hold: %.600s", err.message);
    return NULL;
}

/* Equals that cannot be fought, or that differ by too much, end the campaign. */
static kds_code look_at_floor(kds_campaign *c, int64_t before, const char *why, kds_err *e)
{
    const kds_state *s = c->state;
    if (s->floor_count == before) {
        if (++c->floor_failures < FLOOR_FAILURES)
            return KDS_OK;
        return kds_fail(e, *why ? KDS_DEVICE_LOST : KDS_TOO_NOISY,
                        "%d duels of a kernel with its copy came to nothing%s%.600s; `kdasearch "
                        "resume %s` continues",
                        FLOOR_FAILURES, *why ? ": " : ", disturbed by clocks or other processes",
                        why, c->dir);
    }
    c->floor_failures = 0;
    c->last_floor = kds_clock_monotonic();
    double floor = kds_state_floor(s);
    if (s->floor_epoch >= KDS_FLOOR_NEEDED && floor > FLOOR_MOST)
        return kds_fail(e, KDS_TOO_NOISY,
                        "a kernel and its copy differ by up to %.1f %% here: too much to tell what "
                        "is faster. Other work on this GPU, or its clocks? `kdasearch resume %s` "
                        "continues",
                        100 * expm1(floor), c->dir);
    if (s->floor_epoch == KDS_FLOOR_NEEDED)
        kds_campaign_tell(c, "notice", "equal kernels differ by up to %.2f %% here (measured)",
                          100 * expm1(floor));
    return KDS_OK;
}

static kds_code record_duel(kds_campaign *c, const kds_challenge *x, const kds_fought *f,
                            kds_err *e)
{
    char why[800];
    kds_id id = {0, 0};
    const cJSON *record = believe(f, why, sizeof why);
    int64_t floors = c->state->floor_count;
    char *text = record ? kds_json_print(record) : NULL;
    kds_code code = record && !text ? out_of_memory(e) : KDS_OK;
    if (code == KDS_OK && text)
        code = kds_campaign_put(c, "duel", text, strlen(text), &id, e);
    free(text);
    cJSON *body = code == KDS_OK ? duel_body(c, x, f, record, id, why) : NULL;
    if (code == KDS_OK)
        code = body ? kds_campaign_record_later(c, &(kds_record){"DUEL", body}, 1, e)
                    : out_of_memory(e);
    cJSON_Delete(body);
    if (code == KDS_OK && x->purpose == KDS_BOUT_FLOOR)
        code = look_at_floor(c, floors, record ? "" : why, e);
    if (code == KDS_OK && x->purpose == KDS_BOUT_HIDDEN && record &&
        strcmp(kds_json_str(record, "verdict", ""), "faster") == 0)
        kds_campaign_tell(c, "warning",
                          "a kernel was taken for faster than its copy (%lld of %lld such duels)",
                          (long long)c->state->hidden_faster, (long long)c->state->hidden);
    return code;
}

void kds_campaign_fought(void *campaign, const kds_fought *f)
{
    kds_campaign *c = campaign;
    kds_err err = {0};
    int i = 0;
    while (i < c->duel_count && c->duels[i].tag != f->tag)
        i++;
    if (i == c->duel_count)
        return;
    const kds_challenge *begun = kds_state_challenge(c->state, c->duels[i].challenge);
    c->duels[i] = c->duels[--c->duel_count];
    if (!begun)
        return;
    kds_challenge x = *begun; /* the state forgets it with the record */
    if (x.purpose == KDS_BOUT_REVIEW)
        snprintf(c->reviewed_on, sizeof c->reviewed_on, "%s", f->device);
    kds_code code = record_duel(c, &x, f, &err);
    if (code != KDS_OK)
        kds_campaign_fail(c, code, err.message);
}
