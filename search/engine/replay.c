/* Replaying decisions: the record is walked once; before each recorded decision, child of the
 * built-in proposer, reply that was read, and commit is applied, it is derived again from the state
 * and compared. Nothing is compiled, run or sent. */
#include "search/engine/campaign.h"

#include "eval/duel_replay.h"
#include "prompts/reply.h"
#include "search/base/file.h"
#include "search/engine/commit.h"

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

/* What a model's recorded reply says, read again. */
static kds_code replay_reply(replay *r, const kds_flight *f, const cJSON *body, kds_err *e)
{
    char *raw = NULL, *parent = NULL;
    size_t raw_len = 0, parent_len = 0;
    char model[64];
    kds_reply reply = {0};
    kds_buf source, text;
    char hex[KDS_ID_HEX];
    kds_buf_init(&source, KDS_SOURCE_CAP);
    kds_buf_init(&text, KDS_REPLY_CAP);
    kds_code code = kds_ledger_get(r->ledger, f->reply, &raw, &raw_len, e);
    if (code == KDS_OK)
        code = kds_campaign_reread(NULL, f->api, raw, raw_len, &text, model, e);
    if (code == KDS_OK)
        code = kds_ledger_get(r->ledger, f->parents[0], &parent, &parent_len, e);
    if (code == KDS_OK)
        code = kds_reply_parse(text.data, text.len, parent, parent_len, &source, &reply, e);
    kds_id_format(kds_id_of(source.data, source.len), hex);
    r->replies++;
    if (code == KDS_OK &&
        (reply.problem != KDS_REPLY_OK || strcmp(kds_json_str(body, "candidate", ""), hex) != 0))
        code = diverged(r, body,
                        cJSON_CreateString(reply.problem == KDS_REPLY_OK ? hex : reply.message), e,
                        "the recorded reply does not give the recorded child");
    kds_buf_free(&source);
    kds_buf_free(&text);
    free(raw);
    free(parent);
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

/* A duel's own record: fought by the rule, and what the event says of it. */
static kds_code replay_rounds(replay *r, const cJSON *body, kds_id id, kds_err *e)
{
    char *text = NULL;
    size_t len = 0;
    kds_duel d;
    kds_err err = {0};
    kds_code code = kds_ledger_get(r->ledger, id, &text, &len, e);
    if (code != KDS_OK)
        return code;
    cJSON *record = kds_json_parse_record(text, len);
    free(text);
    double margin = kds_json_num(kds_json_at(record, "rule"), "margin", NAN);
    const char *what = NULL;
    if (!record || kds_duel_replay(record, &d, &err) != KDS_OK)
        what = err.message[0] ? err.message : "the record of a duel is not JSON";
    else if (kds_json_int(record, "seed", -1) != (int64_t)kds_state_bout_seed(r->state))
        what = "a duel was not fought with the seed that follows from what came before";
    else if (!close_to(margin, kds_commit_margin(r->task, r->state)))
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

/* The duel is the one that was needed then, by the margin and the seed of then, and its verdict
 * follows from its rounds. */
static kds_code replay_duel(replay *r, const cJSON *body, kds_err *e)
{
    const kds_flight *f = kds_state_flight(r->state, kds_json_int(body, "decision", -1));
    const char *purpose = kds_json_str(body, "purpose", "");
    kds_id record, incumbent;
    kds_bout_need need;
    bool needed = false;
    if (f) {
        kds_code code = kds_commit_bout(&r->selector, r->state, f, &needed, &need, e);
        if (code != KDS_OK)
            return code;
        if (!needed || strcmp(kds_bout_purpose_name(need.purpose), purpose) != 0 ||
            !kds_json_id(body, "incumbent", &incumbent) || !kds_id_equal(incumbent, need.incumbent))
            return diverged(r, body,
                            needed ? cJSON_CreateString(kds_bout_purpose_name(need.purpose)) : NULL,
                            e, "another duel was to be fought than the recorded one");
    }
    r->duels++;
    return kds_json_id(body, "record", &record) ? replay_rounds(r, body, record, e) : KDS_OK;
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
    else if (code == KDS_OK && strcmp(event->kind, "DUEL") == 0)
        code = replay_duel(r, body, e);
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
