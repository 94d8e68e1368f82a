/* Replaying decisions: the record is walked once; before each recorded decision, child of the
 * built-in proposer, reply that was read, and commit is applied, it is derived again from the state
 * and compared. Nothing is compiled, run or sent. */
#include "search/engine/campaign.h"

#include "eval/duel_replay.h"
#include "prompts/reply.h"
#include "search/base/file.h"
#include "search/engine/commit.h"
#include "search/engine/review.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct replay {
    kds_ledger *ledger;
    kds_state *state;
    kds_task *task;
    kds_settings *settings;
    kds_models *models;
    kds_selector selector;
    kds_choice choice; /* derived for the last DECISION; its candidate is compared with the
                          CANDIDATE that follows */
    bool chosen;
    int64_t decisions, children, replies, duels, commits;
    int64_t seq;
    cJSON *recorded, *derived; /* where it diverged */
} replay;

static kds_code diverged(replay *r, const cJSON *recorded, cJSON *derived, kds_err *e,
                         const char *what)
{
    r->recorded = cJSON_Duplicate(recorded, true);
    r->derived = derived ? derived : cJSON_CreateNull();
    return kds_fail(e, KDS_DIVERGED, "event %lld (decision %lld): %s", (long long)r->seq,
                    (long long)kds_json_int(recorded, "decision", -1), what);
}

static kds_code replay_decision(replay *r, const cJSON *body, kds_err *e)
{
    bool made = false;
    if (r->chosen)
        kds_choice_free(&r->choice);
    r->chosen = false;
    kds_code code = kds_select(&r->selector, r->state, &r->choice, &made, e);
    if (code != KDS_OK)
        return code;
    if (!made)
        return diverged(r, body, NULL, e, "a decision is recorded where none can be derived");
    r->chosen = true;
    r->decisions++;
    if (strcmp(kds_json_str(body, "chain", ""), kds_json_str(r->choice.decision, "chain", "-")) !=
        0)
        return diverged(r, body, cJSON_Duplicate(r->choice.decision, true), e,
                        "the recorded decision is not the one that follows from what came before");
    return KDS_OK;
}

/* The text of a model's recorded reply, and which model it says it is of. */
static kds_code reread(replay *r, const kds_flight *f, kds_buf *text, char model[64], kds_err *e)
{
    char *raw = NULL;
    size_t len = 0;
    kds_code code = kds_ledger_get(r->ledger, f->reply, &raw, &len, e);
    if (code == KDS_OK)
        code = kds_campaign_reread(NULL, f->api, raw, len, text, model, e);
    free(raw);
    r->replies++;
    return code;
}

/* What a reply says, read again. */
static kds_code replay_reply(replay *r, const kds_flight *f, const cJSON *body, kds_err *e)
{
    char *parent = NULL, model[64];
    size_t parent_len = 0;
    kds_reply reply = {0};
    kds_buf source, text;
    char hex[KDS_ID_HEX];
    kds_buf_init(&source, KDS_SOURCE_CAP);
    kds_buf_init(&text, KDS_REPLY_CAP);
    kds_code code = reread(r, f, &text, model, e);
    if (code == KDS_OK)
        code = kds_ledger_get(r->ledger, f->parents[0], &parent, &parent_len, e);
    if (code == KDS_OK)
        code = kds_reply_parse(text.data, text.len, parent, parent_len, &source, &reply, e);
    kds_id_format(kds_id_of(source.data, source.len), hex);
    if (code == KDS_OK &&
        (reply.problem != KDS_REPLY_OK || strcmp(kds_json_str(body, "candidate", ""), hex) != 0))
        code = diverged(r, body,
                        cJSON_CreateString(reply.problem == KDS_REPLY_OK ? hex : reply.message), e,
                        "the recorded reply does not give the recorded child");
    kds_buf_free(&source);
    kds_buf_free(&text);
    free(parent);
    return code;
}

/* The same for a guidance: its text, what it was made from, and by which model. */
static kds_code replay_guidance(replay *r, const cJSON *body, kds_err *e)
{
    const kds_flight *f = kds_state_flight(r->state, kds_json_int(body, "decision", -1));
    char model[64];
    kds_reply reply = {0};
    kds_buf guidance, text;
    if (!f)
        return KDS_OK; /* kds_state_apply says what is wrong */
    kds_buf_init(&guidance, KDS_GUIDANCE_CAP + 1);
    kds_buf_init(&text, KDS_REPLY_CAP);
    kds_code code = reread(r, f, &text, model, e);
    if (code == KDS_OK)
        code = kds_reply_parse_guidance(text.data, text.len, &guidance, &reply, e);
    if (code == KDS_OK) {
        cJSON *derived =
            reply.problem == KDS_REPLY_OK
                ? kds_campaign_guidance_body(f, kds_id_of(guidance.data, guidance.len), model)
                : cJSON_CreateString(reply.message);
        if (cJSON_Compare(derived, body, true))
            cJSON_Delete(derived);
        else
            code = diverged(r, body, derived, e,
                            "the recorded reply does not give the recorded guidance");
    }
    kds_buf_free(&guidance);
    kds_buf_free(&text);
    return code;
}

static kds_code replay_candidate(replay *r, const cJSON *body, kds_err *e)
{
    const kds_flight *f = kds_state_flight(r->state, kds_json_int(body, "decision", -1));
    if (!f)
        return KDS_OK; /* kds_state_apply says what is wrong */
    if (kds_proposer_is_model(f->proposer))
        return replay_reply(r, f, body, e);
    r->children++;
    if (!r->chosen || !r->choice.candidate || !cJSON_Compare(r->choice.candidate, body, true))
        return diverged(r, body, r->chosen ? cJSON_Duplicate(r->choice.candidate, true) : NULL, e,
                        "the proposer makes another child than the recorded one");
    return KDS_OK;
}

static bool close_to(double a, double b)
{
    return fabs(a - b) <= 1e-9 * (1 + fabs(b));
}

/* A duel's own record: fought by the rule, with this seed and margin, and what the event says of
 * it.
 */
static kds_code replay_rounds(replay *r, const cJSON *body, kds_id id, uint64_t seed, double margin,
                              kds_err *e)
{
    cJSON *record = NULL;
    kds_duel d;
    kds_err err = {0};
    kds_code code = kds_ledger_get_json(r->ledger, id, &record, e);
    if (code != KDS_OK)
        return code;
    const char *what = NULL;
    if (kds_duel_replay(record, &d, &err) != KDS_OK)
        what = err.message;
    else if (kds_json_int(record, "seed", -1) != (int64_t)seed)
        what = "a duel was not fought with the seed that follows from what came before";
    else if (!close_to(kds_json_num(kds_json_at(record, "rule"), "margin", NAN), margin))
        what = "a duel was fought by another margin than the one that held";
    else if (!kds_json_at(record, "finding") &&
             (strcmp(kds_json_str(body, "verdict", ""), kds_duel_verdict_name(d.verdict)) != 0 ||
              (!*kds_json_str(record, "ended_by", "") &&
               !close_to(kds_json_num(body, "gain", NAN), d.gain))))
        what = "the verdict of a duel is not the one of its rounds";
    cJSON_Delete(record);
    return what ? diverged(r, body, NULL, e, what) : KDS_OK;
}

static kds_code replay_commit(replay *r, const char *kind, const cJSON *body, kds_err *e)
{
    const kds_flight *f = kds_state_flight(r->state, kds_json_int(body, "decision", -1));
    const char *derived_kind = NULL;
    cJSON *derived = NULL;
    if (!f)
        return KDS_OK;
    kds_bout_need need;
    bool needed = false;
    if (!kds_commit_ready(r->state, f))
        return diverged(r, body, NULL, e, "a commit is recorded before its verdict");
    kds_code code = kds_commit_bout(&r->selector, r->state, f, &needed, &need, e);
    if (code == KDS_OK && needed)
        return diverged(r, body, cJSON_CreateString(kds_bout_purpose_name(need.purpose)), e,
                        "a commit is recorded before its duels");
    if (code == KDS_OK)
        code = kds_commit(&r->selector, r->state, f, &derived_kind, &derived, e);
    if (code != KDS_OK)
        return code;
    r->commits++;
    if (strcmp(kind, derived_kind) != 0 || !cJSON_Compare(derived, body, true))
        return diverged(r, body, derived, e,
                        "the acceptance rule gives another outcome than the recorded one");
    cJSON_Delete(derived);
    return KDS_OK;
}

/* The duel that the state asks for: of a decision under way, or a review. Duels of equals are due
 * by the clock, which no record repeats. */
static kds_code replay_need(replay *r, const cJSON *body, kds_err *e)
{
    const kds_flight *f = kds_state_flight(r->state, kds_json_int(body, "decision", -1));
    const char *purpose = kds_json_str(body, "purpose", ""),
               *review = kds_bout_purpose_name(KDS_BOUT_REVIEW);
    kds_id incumbent, candidate;
    kds_bout_need need = {.purpose = KDS_BOUT_REVIEW};
    kds_review due;
    bool needed = false;
    if (!kds_json_id(body, "incumbent", &incumbent) || !kds_json_id(body, "candidate", &candidate))
        return KDS_OK; /* kds_state_apply says what is wrong */
    if (f) {
        kds_code code = kds_commit_bout(&r->selector, r->state, f, &needed, &need, e);
        if (code != KDS_OK)
            return code;
    } else if (strcmp(purpose, review) == 0) {
        needed = kds_review_next(r->state, true, &due) && kds_id_equal(due.holder, candidate);
        need.incumbent = due.former;
    } else
        return KDS_OK;
    if (needed && strcmp(kds_bout_purpose_name(need.purpose), purpose) == 0 &&
        kds_id_equal(incumbent, need.incumbent))
        return KDS_OK;
    return diverged(r, body,
                    needed ? cJSON_CreateString(kds_bout_purpose_name(need.purpose)) : NULL, e,
                    "another duel was to be fought than the recorded one");
}

/* The duel is the one that was needed then, by the margin and the seed of then. */
static kds_code replay_challenge(replay *r, const cJSON *body, kds_err *e)
{
    if (kds_json_int(body, "seed", -1) != (int64_t)kds_state_bout_seed(r->state))
        return diverged(r, body, NULL, e, "another seed follows for this duel");
    if (!close_to(kds_json_num(body, "margin", NAN), kds_commit_margin(r->task, r->state)))
        return diverged(r, body, NULL, e, "another margin holds for this duel");
    return replay_need(r, body, e);
}

/* The verdict follows from the rounds, which were fought as announced; or, where nothing was
 * announced, as it follows from the state of now. */
static kds_code replay_duel(replay *r, const cJSON *body, kds_err *e)
{
    const kds_challenge *c = kds_state_challenge(r->state, kds_json_int(body, "challenge", -1));
    kds_id record;
    kds_code code = c ? KDS_OK : replay_need(r, body, e);
    if (code != KDS_OK)
        return code;
    r->duels++;
    if (!kds_json_id(body, "record", &record))
        return KDS_OK;
    return c ? replay_rounds(r, body, record, c->seed, c->margin, e)
             : replay_rounds(r, body, record, kds_state_bout_seed(r->state),
                             kds_commit_margin(r->task, r->state), e);
}

/* Who gives a place back follows from the reviews. */
static kds_code replay_retire(replay *r, const cJSON *body, kds_err *e)
{
    cJSON *derived = NULL;
    kds_code code = kds_review_retire(r->state, &derived, e);
    if (code == KDS_OK && (!derived || !cJSON_Compare(derived, body, true)))
        return diverged(r, body, derived, e, "another one was to give its place back, or none");
    cJSON_Delete(derived);
    return code;
}

/* A forecast follows from what the simulator said and from what was known then. */
static kds_code replay_forecast(replay *r, const cJSON *body, kds_err *e)
{
    static const char *const keys[] = {"simulator", "predicted", "expected"};
    const cJSON *forecast = kds_json_at(body, "forecast");
    const kds_flight *f = kds_state_flight(r->state, kds_json_int(body, "decision", -1));
    kds_forecast x;
    if (!forecast || !f)
        return KDS_OK;
    kds_forecast_derive(f, kds_json_num(forecast, "modelled", NAN), &x);
    const double derived[] = {x.simulator, x.predicted, x.expected};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        double recorded = kds_json_num(forecast, keys[i], NAN);
        if (isfinite(derived[i]) != isfinite(recorded) ||
            (isfinite(recorded) && !close_to(recorded, derived[i])))
            return diverged(r, body, cJSON_CreateNumber(derived[i]), e,
                            "a forecast is not the one that follows from what came before");
    }
    return KDS_OK;
}

/* The settings in force from this epoch on decide who proposes. */
static kds_code replay_epoch(replay *r, const cJSON *body, kds_err *e)
{
    kds_models_free(r->models);
    kds_settings_free(r->settings);
    r->models = NULL;
    r->settings = NULL;
    kds_code code = kds_settings_create(&r->settings, e);
    if (code == KDS_OK)
        code = kds_settings_from_json(r->settings, kds_json_at(body, "settings"), e);
    if (code == KDS_OK)
        code = kds_models_read(&r->models, r->settings, e);
    if (code != KDS_OK)
        return code;
    return kds_selector_configure(&r->selector, r->settings, r->models, e);
}

static kds_code replay_event(void *user, const kds_ledger_event *event, kds_err *e)
{
    replay *r = user;
    cJSON *body = kds_json_parse_record(event->body, event->body_len);
    kds_code code =
        body ? KDS_OK : kds_fail(e, KDS_DAMAGED, "event %lld is not JSON", (long long)event->seq);
    r->seq = event->seq;
    if (code == KDS_OK && strcmp(event->kind, "EPOCH") == 0)
        code = replay_epoch(r, body, e);
    else if (code == KDS_OK && strcmp(event->kind, "DECISION") == 0)
        code = replay_decision(r, body, e);
    else if (code == KDS_OK && strcmp(event->kind, "CHALLENGE") == 0)
        code = replay_challenge(r, body, e);
    else if (code == KDS_OK && strcmp(event->kind, "DUEL") == 0)
        code = replay_duel(r, body, e);
    else if (code == KDS_OK && strcmp(event->kind, "RETIRE") == 0)
        code = replay_retire(r, body, e);
    else if (code == KDS_OK && strcmp(event->kind, "GUIDANCE") == 0)
        code = replay_guidance(r, body, e);
    else if (code == KDS_OK && strcmp(event->kind, "STAGE") == 0)
        code = replay_forecast(r, body, e);
    else if (code == KDS_OK && strcmp(event->kind, "CANDIDATE") == 0)
        code = replay_candidate(r, body, e);
    else if (code == KDS_OK &&
             (strcmp(event->kind, "ACCEPT") == 0 || strcmp(event->kind, "REJECT") == 0))
        code = replay_commit(r, event->kind, body, e);
    if (code == KDS_OK)
        code = kds_state_apply(r->state, event->kind, body, e);
    cJSON_Delete(body);
    return code;
}

static char *replay_report(const replay *r, kds_code code, const kds_err *err)
{
    cJSON *o = cJSON_CreateObject();
    bool ok = o && kds_json_add_bool(o, "agrees", code == KDS_OK) &&
              kds_json_add_int(o, "decisions", r->decisions) &&
              kds_json_add_int(o, "children", r->children) &&
              kds_json_add_int(o, "replies", r->replies) &&
              kds_json_add_int(o, "duels", r->duels) &&
              kds_json_add_int(o, "commits", r->commits) &&
              kds_json_add_id(o, "chain", r->state->chain) &&
              kds_json_add_id(o, "state", kds_state_hash(r->state));
    if (ok && code != KDS_OK) {
        ok = kds_json_add_int(o, "event", r->seq) && kds_json_add_str(o, "message", err->message);
        cJSON_AddItemToObject(o, "recorded", cJSON_Duplicate(r->recorded, true));
        cJSON_AddItemToObject(o, "derived", cJSON_Duplicate(r->derived, true));
    }
    char *text = ok ? kds_json_print(o) : NULL;
    cJSON_Delete(o);
    return text;
}

kds_code kds_replay_decisions(const char *archive_dir, char **json, kds_err *e)
{
    replay r = {0};
    kds_err err = {0};
    char *frozen = kds_path_join(archive_dir, "task");
    kds_code code = kds_ledger_open(&r.ledger, archive_dir, KDS_LEDGER_READ, &err);
    if (code == KDS_OK)
        code = frozen ? kds_task_load(&r.task, frozen, &err)
                      : kds_fail(&err, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK && !(r.state = kds_state_create()))
        code = kds_fail(&err, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK) {
        r.selector = (kds_selector){.task = r.task, .ledger = r.ledger};
        code = kds_ledger_each_event(r.ledger, 1, replay_event, &r, &err);
    }
    char *text = code == KDS_OK || code == KDS_DIVERGED ? replay_report(&r, code, &err) : NULL;
    if ((code == KDS_OK || code == KDS_DIVERGED) && !text)
        code = kds_fail(&err, KDS_NO_MEMORY, "out of memory");
    if (text)
        *json = text;
    if (code != KDS_OK && e)
        *e = err;
    if (r.chosen)
        kds_choice_free(&r.choice);
    cJSON_Delete(r.recorded);
    cJSON_Delete(r.derived);
    kds_models_free(r.models);
    kds_settings_free(r.settings);
    kds_state_free(r.state);
    kds_task_free(r.task);
    kds_ledger_close(r.ledger);
    free(frozen);
    return code;
}
