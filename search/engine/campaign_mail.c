/* Asking by mail. A prompt is recorded before its file is written, and a reply is recorded, byte
 * for byte, before it is read or its file is moved: whatever is interrupted, the record says what
 * was asked and what was answered, and files are made and moved again from it. A campaign that has
 * nothing left to do but wait for mail ends with a code of its own. */
#include "search/engine/campaign.h"

#include "search/base/clock.h"
#include "search/base/text.h"
#include "search/engine/commit.h"
#include "search/engine/mailbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCAN_SECONDS 0.5
#define API "mail"

static bool is_pending(void *user, const char *id)
{
    kds_mail_entry entry;
    kds_err ignored = {0};
    return kds_mail_find(user, id, &entry, &ignored) != KDS_OK || entry.state == KDS_MAIL_PENDING;
}

static bool never(void *user, const char *id)
{
    (void)user, (void)id;
    return false;
}

kds_code kds_campaign_mail_begin(kds_campaign *c, kds_err *e)
{
    bool wanted = strcmp(c->selector.proposer, "mailbox") == 0;
    kds_err none = {0};
    c->mail_idle_since = 0;
    kds_code code = c->mail ? KDS_OK : kds_mailbox_open(&c->mail, c->dir, wanted, &none);
    if (code == KDS_NOT_FOUND && !wanted)
        return KDS_OK;
    if (code == KDS_OK)
        code = kds_mailbox_tidy(c->mail, wanted ? is_pending : never, c->ledger, &none);
    if (!wanted) { /* nobody takes replies: what was out is asked elsewhere */
        kds_mailbox_close(c->mail);
        c->mail = NULL;
    }
    if (code != KDS_OK && e)
        *e = none;
    return code;
}

int kds_campaign_mail_out(const kds_campaign *c)
{
    int n = 0;
    for (int i = 0; i < c->state->flight_count; i++)
        n += c->state->flights[i].awaiting && strcmp(c->state->flights[i].api, API) == 0;
    return n;
}

/* In strict order decisions must not depend on when replies come: there --in-flight is the bound.
 */
bool kds_campaign_mail_full(const kds_campaign *c)
{
    int n = 0;
    for (int i = 0; i < c->state->flight_count; i++) { /* a reply not read yet may be wrong */
        const kds_flight *f = &c->state->flights[i];
        n += strcmp(f->api, API) == 0 && !f->has_candidate && !f->has_verdict;
    }
    return c->mail && !c->strict && n >= (int)kds_settings_int(c->settings, "mailbox-out");
}

kds_code kds_campaign_mail_post(kds_campaign *c, const char *text, size_t len, kds_err *e)
{
    kds_code code = kds_mailbox_post(c->mail, text, len, e);
    return code == KDS_OK ? KDS_OK : kds_err_prefix(e, code, "writing a prompt");
}

/* The RESPONSE event of a reply. */
static kds_code record_reply(kds_campaign *c, const kds_mail_entry *entry, const kds_mail_file *f,
                             kds_err *e)
{
    const kds_mail_reply *r = f->reply;
    double price_in = kds_settings_double(c->settings, "price-prompt") / 1e6;
    double price_out = kds_settings_double(c->settings, "price-completion") / 1e6;
    double cost = r->cost_usd;
    if (cost <= 0)
        cost = (r->prompt_tokens > 0 ? (double)r->prompt_tokens * price_in : 0) +
               (r->completion_tokens > 0 ? (double)r->completion_tokens * price_out : 0);
    kds_id reply;
    kds_code code = kds_campaign_put(c, "reply", f->raw, f->len, &reply, e);
    if (code != KDS_OK)
        return code;
    cJSON *o = cJSON_CreateObject();
    bool ok =
        o && kds_json_add_int(o, "request", entry->request) &&
        kds_json_add_int(o, "decision", entry->decision) && kds_json_add_int(o, "status", 0) &&
        kds_json_add_str(o, "outcome", kds_outcome_name(KDS_OUTCOME_OK)) &&
        kds_json_add_id(o, "reply", reply) &&
        kds_json_add_int(o, "prompt_tokens", r->prompt_tokens) &&
        kds_json_add_int(o, "completion_tokens", r->completion_tokens) &&
        kds_json_add_num(o, "cost_usd", cost) &&
        kds_json_add_num(o, "seconds", (double)(kds_clock_wall_ms() - entry->time_ms) / 1000) &&
        kds_json_add_str(o, "model", r->model[0] ? r->model : NULL) &&
        kds_json_add_str(o, "message", "");
    code = ok ? kds_campaign_record(c, &(kds_record){"RESPONSE", o}, 1, e)
              : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    cJSON_Delete(o);
    return code;
}

static kds_code refuse(kds_campaign *c, const kds_mail_file *f, const char *why, kds_err *e)
{
    char shown[200];
    kds_text_escape_into(shown, sizeof shown, f->name, strlen(f->name), false);
    kds_code code = kds_mailbox_refuse(c->mail, f, why, e);
    if (code == KDS_OK)
        kds_campaign_tell(c, "warning", "the reply %s was refused (moved to %s/in/refused): %s",
                          shown, kds_mailbox_path(c->mail), why);
    return code;
}

/* Takes one file of in/. */
static kds_code take_file(void *campaign, const kds_mail_file *f, kds_err *e)
{
    kds_campaign *c = campaign;
    kds_mail_entry entry = {.state = KDS_MAIL_UNKNOWN};
    if (f->fresh) {
        c->mail_fresh = true;
        return KDS_OK;
    }
    if (f->problem[0])
        return refuse(c, f, f->problem, e);
    kds_code code = kds_mail_find(c->ledger, f->id, &entry, e);
    if (code != KDS_OK)
        return code;
    /* Recorded by an epoch that was interrupted before it moved the file. */
    bool again =
        entry.state == KDS_MAIL_ANSWERED && kds_id_equal(entry.reply, kds_id_of(f->raw, f->len));
    if (entry.state != KDS_MAIL_PENDING && !again)
        return refuse(c, f, kds_mail_state_text(entry.state), e);
    if (!again) {
        if ((code = record_reply(c, &entry, f, e)) != KDS_OK)
            return code;
        kds_lane *lane = kds_campaign_lane(c, entry.decision);
        if (!lane)
            return kds_fail(e, KDS_NO_MEMORY, "out of memory");
        lane->asking = false;
        c->mail_idle_since = 0;
    }
    kds_mailbox_unpost(c->mail, f->id);
    return kds_mailbox_done(c->mail, f, e);
}

kds_code kds_campaign_mail_step(kds_campaign *c, bool now, kds_err *e)
{
    double clock = kds_clock_monotonic();
    if (!c->mail || (!now && clock - c->mail_scanned < SCAN_SECONDS))
        return KDS_OK;
    c->mail_scanned = clock;
    c->mail_fresh = false;
    return kds_mailbox_each(c->mail, take_file, c, e);
}

/* True if flight i stands still until mail comes: it waits for mail itself, or, in strict order, is
 * through and waits for its turn, as it is or as the twin of one that is. */
static bool is_behind_mail(const kds_state *s, int i)
{
    const kds_flight *f = &s->flights[i];
    bool still = f->awaiting || kds_commit_ready(s, f);
    for (int k = 0; k < i && f->has_candidate && !still; k++)
        still = s->flights[k].has_candidate && kds_id_equal(s->flights[k].norm, f->norm);
    return still;
}

/* True if nothing can happen but that mail comes: the caller has committed and decided all that can
 * be, and no worker is busy. */
static bool only_mail_left(const kds_campaign *c)
{
    bool only = c->mail && kds_campaign_mail_out(c) > 0 && kds_evaluator_in_hand(c->evaluator) == 0;
    for (int i = 0; i < c->state->flight_count && only; i++)
        only = is_behind_mail(c->state, i);
    return only;
}

kds_code kds_campaign_mail_drain(kds_campaign *c, kds_err *e)
{
    if (!only_mail_left(c)) {
        c->mail_idle_since = 0;
        return KDS_OK;
    }
    kds_code code = kds_campaign_mail_step(c, true, e);
    if (code != KDS_OK || !only_mail_left(c) || c->mail_fresh)
        return code;
    double clock = kds_clock_monotonic();
    if (c->mail_idle_since == 0)
        c->mail_idle_since = clock;
    if (clock - c->mail_idle_since < kds_settings_double(c->settings, "mailbox-wait"))
        return KDS_OK;
    c->why = "waiting for replies by mail";
    return kds_fail(e, KDS_PENDING_MAIL,
                    "%d prompt%s in %s/out; put the replies into %s/in (`kdasearch mailbox %s` "
                    "lists and checks), then `kdasearch resume %s` continues",
                    kds_campaign_mail_out(c), kds_campaign_mail_out(c) == 1 ? " waits" : "s wait",
                    kds_mailbox_path(c->mail), kds_mailbox_path(c->mail), c->dir, c->dir);
}

void kds_campaign_mail_end(kds_campaign *c)
{
    kds_mailbox_close(c->mail);
    c->mail = NULL;
}
