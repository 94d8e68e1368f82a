/* One pass over the events. */
#include "search/engine/state_fold.h"

#include <string.h>

typedef struct folding {
    kds_state *state;
    cJSON *campaign, *settings;
} folding;

static kds_code fold_event(void *user, const kds_ledger_event *event, kds_err *e)
{
    folding *f = user;
    cJSON *body = kds_json_parse_record(event->body, event->body_len);
    if (!body)
        return kds_fail(e, KDS_DAMAGED, "event %lld is not JSON; `kdasearch check` tells more",
                        (long long)event->seq);
    kds_code code = kds_state_apply(f->state, event->kind, body, e);
    if (code != KDS_OK)
        code = kds_err_prefix(e, code, "event %lld", (long long)event->seq);
    if (code == KDS_OK && strcmp(event->kind, "CAMPAIGN") == 0 && !f->campaign) {
        f->campaign = body;
        return KDS_OK;
    }
    if (code == KDS_OK && strcmp(event->kind, "EPOCH") == 0) {
        cJSON_Delete(f->settings);
        f->settings = cJSON_DetachItemFromObject(body, "settings");
    }
    cJSON_Delete(body);
    return code;
}

kds_code kds_state_fold(kds_ledger *ledger, kds_state *state, cJSON **campaign, cJSON **settings,
                        kds_err *e)
{
    folding f = {.state = state};
    kds_code code = kds_ledger_each_event(ledger, 1, fold_event, &f, e);
    if (code == KDS_OK && (!f.campaign || !f.settings))
        code = kds_ledger_no_campaign(ledger, e);
    if (code != KDS_OK) {
        cJSON_Delete(f.campaign);
        cJSON_Delete(f.settings);
        return code;
    }
    *campaign = f.campaign;
    *settings = f.settings;
    return KDS_OK;
}
