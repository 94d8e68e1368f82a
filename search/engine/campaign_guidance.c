/* Guidance in a running campaign: from the reply to its record. Nothing of it is told before the
 * decision is committed. */
#include "search/engine/campaign.h"

#include <string.h>

static bool tells_guidance(const kds_template *t)
{
    return !t || memmem(t->text, t->len, "{{guidance}}", strlen("{{guidance}}"));
}

kds_code kds_campaign_check_guidance(const kds_campaign *c, kds_err *e)
{
    if (kds_settings_int(c->settings, "guidance-every") == 0 ||
        !kds_proposer_is_model(kds_models_proposer(c->settings)) ||
        tells_guidance(kds_template_find(c->templates, "user.md")))
        return KDS_OK;
    return kds_fail(e, KDS_INVALID,
                    "%s/user.md: there is no {{guidance}}, so that what is learned is never told; "
                    "put it in, or take --guidance-every 0",
                    kds_settings_text(c->settings, "templates"));
}

cJSON *kds_campaign_guidance_body(const kds_flight *f, kds_id guidance, const char *model)
{
    cJSON *o = cJSON_CreateObject();
    if (o && kds_json_add_int(o, "decision", f->decision) &&
        kds_json_add_id(o, "guidance", guidance) &&
        (kds_id_is_zero(f->guidance) ? kds_json_add_str(o, "parent", NULL)
                                     : kds_json_add_id(o, "parent", f->guidance)) &&
        kds_json_add_str(o, "model", *model ? model : f->model))
        return o;
    cJSON_Delete(o);
    return NULL;
}

kds_code kds_campaign_take_guidance(kds_campaign *c, const kds_flight *f, const kds_buf *text,
                                    const char *model, kds_reply *reply, kds_err *e)
{
    kds_id id;
    cJSON *body = NULL;
    kds_buf guidance;
    kds_buf_init(&guidance, KDS_GUIDANCE_CAP + 1);
    kds_code code = kds_reply_parse_guidance(text->data, text->len, &guidance, reply, e);
    if (code != KDS_OK || reply->problem != KDS_REPLY_OK)
        goto out;
    code = kds_campaign_put(c, "guidance", guidance.data, guidance.len, &id, e);
    if (code == KDS_OK && !(body = kds_campaign_guidance_body(f, id, model)))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK)
        code = kds_campaign_record(c, &(kds_record){"GUIDANCE", body}, 1, e);
out:
    cJSON_Delete(body);
    kds_buf_free(&guidance);
    return code;
}
