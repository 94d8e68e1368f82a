/* Asking a model. Every request is recorded before it is sent and every reply before it is read. A
 * reply that cannot be used is answered once with what was wrong; a server that is busy is asked
 * again later; a server that says no ends the run, with the decision still open, so that a resume
 * asks again. */
#include "search/engine/campaign.h"

#include "eval/descriptor_names.h"
#include "eval/device.h"
#include "prompts/mail.h"
#include "prompts/prompt.h"
#include "prompts/reply.h"
#include "search/base/clock.h"
#include "search/base/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

kds_code kds_campaign_open_endpoint(kds_campaign *c, kds_err *e)
{
    return kds_models_connect(c->models, &c->endpoint, e);
}

/* The client of a model; NULL by mail. */
static kds_endpoint *endpoint_of(const kds_campaign *c, const kds_model *m)
{
    return c->endpoint ? kds_models_endpoint(c->models, c->endpoint, m) : NULL;
}

/* How requests to a model are sent now. */
static const char *api_now(const kds_campaign *c, const kds_model *m)
{
    return c->endpoint ? kds_endpoint_api(endpoint_of(c, m)) : "mail";
}

/* The body of a REQUEST event for a prompt that is stored. Nothing is reserved for mail: what its
 * model costs is known only if a reply says so. */
static cJSON *request_body(const kds_campaign *c, const kds_model *m, int64_t decision, int attempt,
                           kds_id prompt, size_t bytes)
{
    cJSON *o = cJSON_CreateObject();
    if (o && kds_json_add_int(o, "request", c->state->requests) &&
        kds_json_add_int(o, "decision", decision) && kds_json_add_int(o, "attempt", attempt) &&
        kds_json_add_str(o, "api", api_now(c, m)) &&
        kds_json_add_str(o, "model", *m->name ? m->name : NULL) &&
        kds_json_add_id(o, "prompt", prompt) &&
        kds_json_add_int(o, "prompt_bytes", (int64_t)bytes) &&
        kds_json_add_int(o, "max_tokens", kds_settings_int(m->settings, "reply-tokens")) &&
        kds_json_add_num(o, "reserved_usd", c->endpoint ? kds_model_reserve_usd(m, bytes) : 0) &&
        kds_json_add_num(o, "reserved_tokens",
                         c->endpoint ? kds_model_reserve_tokens(m, bytes) : 0))
        return o;
    cJSON_Delete(o);
    return NULL;
}

bool kds_campaign_can_pay(kds_campaign *c, const cJSON *request)
{
    double cost = kds_settings_double(c->settings, "max-cost");
    double tokens = kds_settings_double(c->settings, "max-tokens");
    int64_t requests = kds_settings_int(c->settings, "max-requests");
    int waiting = 1;
    for (int i = 0; i < c->state->flight_count; i++)
        waiting += c->state->flights[i].awaiting;
    double one = kds_json_num(request, "reserved_usd", 0);
    double most = kds_json_num(request, "reserved_tokens", 0);
    double used = kds_state_tokens(c->state);
    /* What is under way may have gone to a dearer model. */
    size_t bytes = (size_t)kds_json_num(request, "prompt_bytes", 0);
    for (int i = 0; i < c->models->count && c->endpoint; i++) {
        one = fmax(one, kds_model_reserve_usd(&c->models->items[i], bytes));
        most = fmax(most, kds_model_reserve_tokens(&c->models->items[i], bytes));
    }
    if ((cost <= 0 || c->state->cost_usd + waiting * one <= cost) &&
        (tokens <= 0 || used + waiting * most <= tokens) &&
        (requests <= 0 || c->state->requests < requests))
        return true;
    c->closing = true;
    c->why = "the rest of the budget could not pay for another request";
    kds_campaign_drop(c);
    return false;
}

/* What models may be told, and of which architecture the device is. */
static kds_code open_knowledge(kds_campaign *c, kds_err *e)
{
    char arch[16], first[80]; /* several GPUs of a campaign are of one model */
    const char *device = kds_evaluator_device(c->evaluator);
    kds_err none = {0};
    if (c->knowledge)
        return KDS_OK;
    snprintf(first, sizeof first, "%.*s", (int)strcspn(device, ","), device);
    if (kds_device_arch(first, arch, sizeof arch, &none) == KDS_OK)
        c->capability = kds_capability_of(arch);
    return kds_knowledge_load(&c->knowledge, kds_knowledge_files, kds_descriptor_name_known, e);
}

/* Gathers the ask of a decision, new (its body) or under way (its flight). An edit of the guidance
 * has no parent: it is shown the best kernel. */
static kds_code gather(kds_campaign *c, kds_gathered *g, const cJSON *decision, const kds_flight *f,
                       kds_err *e)
{
    kds_id parents[2] = {{0, 0}, {0, 0}}, guidance = {0, 0};
    const char *operator_name = f ? f->operator_name : kds_json_str(decision, "operator", "");
    if (strcmp(operator_name, "guide") == 0)
        parents[0] = c->state->best;
    else if (f)
        memcpy(parents, f->parents, sizeof parents);
    if (f)
        guidance = f->guidance;
    else
        (void)kds_json_id(decision, "guidance", &guidance);
    const cJSON *list = kds_json_at(decision, "parents");
    for (int i = 0; !f && i < cJSON_GetArraySize(list) && i < 2; i++)
        (void)kds_id_parse(cJSON_GetArrayItem(list, i)->valuestring, &parents[i]);
    kds_code code = kds_gather(g, &c->selector, c->state, operator_name, parents[0], parents[1], e);
    if (code == KDS_OK)
        code = kds_gather_past(g, c->ledger, e);
    if (code == KDS_OK)
        code = kds_gather_guidance(g, c->state, c->ledger, guidance, e);
    if (code == KDS_OK)
        code = open_knowledge(c, e);
    g->ask.knowledge = c->knowledge;
    g->ask.knowledge_bytes = (size_t)kds_settings_int(c->settings, "knowledge-bytes");
    g->ask.capability = c->capability;
    g->ask.templates = c->templates;
    if (code == KDS_OK && strcmp(operator_name, "repair") == 0)
        code = kds_gather_failure(g, c->ledger, kds_map_get(c->state->ids, parents[0]), e);
    if (code == KDS_OK && decision)
        kds_gather_target(g, c->task, kds_json_at(decision, "target"));
    else if (code == KDS_OK && f->target[0]) {
        cJSON *target = kds_json_parse_record(f->target, strlen(f->target));
        kds_gather_target(g, c->task, target);
        cJSON_Delete(target);
    }
    return code;
}

/* The text that is recorded and sent; NULL: out of memory. */
static char *prompt_text(const kds_campaign *c, const kds_model *m, const kds_ask *ask,
                         int64_t decision, const char *system, const char *user)
{
    if (c->endpoint)
        return kds_endpoint_body(endpoint_of(c, m), system, user);
    return kds_mail_prompt_text(
        &(kds_mail_prompt){.request = c->state->requests,
                           .decision = decision,
                           .operator_name = ask->operator_name,
                           .task = ask->task_name,
                           .device = ask->device,
                           .model = m->name,
                           .max_tokens = kds_settings_int(m->settings, "reply-tokens"),
                           .system = system,
                           .user = user});
}

kds_code kds_campaign_request(kds_campaign *c, const cJSON *decision, const kds_flight *f,
                              const char *problem, cJSON **request, char **body, kds_err *e)
{
    kds_gathered g;
    kds_buf system, user;
    kds_id prompt;
    const kds_model *m =
        kds_models_find(c->models, f ? f->model : kds_json_str(decision, "model", ""));
    size_t cap = kds_model_prompt_cap(m);
    kds_buf_init(&system, cap);
    kds_buf_init(&user, cap);
    memset(&g, 0, sizeof g);
    char *text = NULL;
    int64_t number = f ? f->decision : c->state->decisions;
    kds_code code = gather(c, &g, decision, f, e);
    if (code != KDS_OK)
        goto out;
    if (problem)
        kds_gather_correction(&g, problem);
    if ((code = kds_prompt_render(&g.ask, cap, &system, &user, e)) != KDS_OK)
        goto out;
    if (!(text = prompt_text(c, m, &g.ask, number, system.data, user.data))) {
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
        goto out;
    }
    if ((code = kds_campaign_put(c, "prompt", text, strlen(text), &prompt, e)) != KDS_OK)
        goto out;
    if (!(*request = request_body(c, m, number, f ? f->attempts + 1 : 1, prompt, strlen(text))))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    else {
        *body = text;
        text = NULL;
    }
out:
    free(text);
    kds_gathered_free(&g);
    kds_buf_free(&system);
    kds_buf_free(&user);
    return code;
}

cJSON *kds_campaign_no_child(int64_t decision, const char *why)
{
    cJSON *o = cJSON_CreateObject();
    if (o && kds_json_add_int(o, "decision", decision) && kds_json_add_str(o, "candidate", NULL) &&
        kds_json_add_str(o, "stage", "propose") &&
        kds_json_add_str(o, "verdict", kds_verdict_name(KDS_VERDICT_NO_CHILD)) &&
        kds_json_add_str(o, "message", why))
        return o;
    cJSON_Delete(o);
    return NULL;
}

/* Ends a decision without a child. */
static kds_code no_child(kds_campaign *c, int64_t decision, const char *why, kds_err *e)
{
    cJSON *o = kds_campaign_no_child(decision, why);
    kds_code code = o ? kds_campaign_record(c, &(kds_record){"STAGE", o}, 1, e)
                      : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    cJSON_Delete(o);
    return code;
}

kds_code kds_campaign_send(kds_campaign *c, kds_lane *lane, uint64_t request, const char *body,
                           kds_err *e)
{
    const kds_flight *f = kds_state_flight(c->state, lane->decision);
    const kds_model *m = kds_models_find(c->models, f ? f->model : "");
    kds_code code = c->endpoint ? kds_endpoint_submit(endpoint_of(c, m), request, body, e)
                                : kds_campaign_mail_post(c, body, strlen(body), e);
    if (code == KDS_OK)
        lane->asking = true;
    return code;
}

/* Records a request and sends it. */
static kds_code send_request(kds_campaign *c, kds_lane *lane, cJSON *request, const char *body,
                             kds_err *e)
{
    uint64_t number = (uint64_t)c->state->requests;
    if (!kds_campaign_can_pay(c, request))
        return no_child(c, lane->decision, c->why, e);
    kds_code code = kds_campaign_record(c, &(kds_record){"REQUEST", request}, 1, e);
    if (code == KDS_OK)
        code = kds_campaign_send(c, lane, number, body, e);
    if (code == KDS_OK) {
        lane->retry_at = 0;
        lane->tries++;
    }
    return code;
}

/* Sends the last prompt again. */
static kds_code send_again(kds_campaign *c, kds_lane *lane, const kds_flight *f, kds_err *e)
{
    char *body = NULL;
    size_t len = 0;
    kds_code code = kds_ledger_get(c->ledger, f->prompt, &body, &len, e);
    if (code != KDS_OK)
        return code;
    cJSON *request = request_body(c, kds_models_find(c->models, f->model), f->decision,
                                  f->attempts + 1, f->prompt, len);
    code = request ? send_request(c, lane, request, body, e)
                   : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    cJSON_Delete(request);
    free(body);
    return code;
}

static kds_code send_new(kds_campaign *c, kds_lane *lane, const kds_flight *f, const char *problem,
                         kds_err *e)
{
    cJSON *request = NULL;
    char *body = NULL;
    kds_err err = {0};
    int64_t decision = f->decision;
    kds_code code = kds_campaign_request(c, NULL, f, problem, &request, &body, &err);
    lane->tries = 0; /* a new question has all its tries */
    if (code == KDS_OK)
        code = send_request(c, lane, request, body, e);
    else if (code == KDS_TOO_LARGE || code == KDS_INVALID)
        code = no_child(c, decision, err.message, e); /* a question that cannot be asked */
    else if (e)
        *e = err;
    cJSON_Delete(request);
    free(body);
    return code;
}

kds_code kds_campaign_reread(const kds_endpoint *x, const char *api, const char *raw, size_t len,
                             kds_buf *text, char model[64], kds_err *e)
{
    kds_completion reread;
    kds_mail_reply mail;
    model[0] = '\0';
    if (strcmp(api, "mail") != 0) {
        kds_endpoint_reread(x, 200, raw, len, text, &reread);
        return kds_buf_check(text, "the text of a reply", e);
    }
    kds_code code = kds_mail_read(raw, len, false, text, &mail, e);
    if (code == KDS_OK)
        memcpy(model, mail.model, sizeof mail.model);
    return code;
}

static kds_code reply_text(kds_campaign *c, const kds_flight *f, kds_buf *text, char model[64],
                           kds_err *e)
{
    char *raw = NULL;
    size_t len = 0;
    kds_code code = kds_ledger_get(c->ledger, f->reply, &raw, &len, e);
    if (code == KDS_OK)
        code = kds_campaign_reread(endpoint_of(c, kds_models_find(c->models, f->model)), f->api,
                                   raw, len, text, model, e);
    free(raw);
    return code;
}

/* Records the candidate that a reply gives, unless there is a problem with it. */
static kds_code take_child(kds_campaign *c, const kds_flight *f, const kds_buf *text,
                           const char *model, kds_reply *reply, kds_err *e)
{
    char *parent = NULL;
    size_t parent_len = 0;
    kds_buf source;
    kds_buf_init(&source, KDS_SOURCE_CAP);
    kds_code code = kds_ledger_get(c->ledger, f->parents[0], &parent, &parent_len, e);
    if (code == KDS_OK)
        code = kds_reply_parse(text->data, text->len, parent, parent_len, &source, reply, e);
    if (code != KDS_OK || reply->problem != KDS_REPLY_OK)
        goto out;
    cJSON *parents = cJSON_CreateArray();
    for (int i = 0; i < f->parent_count; i++) {
        char hex[KDS_ID_HEX];
        kds_id_format(f->parents[i], hex);
        cJSON_AddItemToArray(parents, cJSON_CreateString(hex));
    }
    cJSON *body =
        kds_candidate_body(c->state, f->decision, f->operator_name, model[0] ? model : f->model,
                           parents, source.data, source.len, reply->hypothesis);
    if (body && reply->prediction[0] &&
        !(kds_json_add_str(body, "prediction", reply->prediction) &&
          kds_json_add_num(body, "predicted", reply->predicted > 0 ? reply->predicted : NAN))) {
        cJSON_Delete(body);
        body = NULL;
    }
    kds_id id;
    code = body ? kds_campaign_put(c, "source", source.data, source.len, &id, e)
                : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK)
        code = kds_campaign_record(c, &(kds_record){"CANDIDATE", body}, 1, e);
    cJSON_Delete(body);
    cJSON_Delete(parents);
out:
    kds_buf_free(&source);
    free(parent);
    return code;
}

/* Reads the recorded reply of a flight: what it gives is recorded; what cannot be used is answered
 * once with what was wrong, and then given up. */
static kds_code use_reply(kds_campaign *c, kds_lane *lane, const kds_flight *f, kds_err *e)
{
    char model[64];
    kds_reply reply = {0};
    kds_buf text;
    kds_buf_init(&text, KDS_REPLY_CAP);
    kds_code code = reply_text(c, f, &text, model, e);
    if (code == KDS_OK)
        code = kds_flight_guides(f) ? kds_campaign_take_guidance(c, f, &text, model, &reply, e)
                                    : take_child(c, f, &text, model, &reply, e);
    kds_buf_free(&text);
    if (code != KDS_OK || reply.problem == KDS_REPLY_OK)
        return code;
    return f->replies < 2 ? send_new(c, lane, f, reply.message, e)
                          : no_child(c, f->decision, reply.message, e);
}

/* Puts the prompt of a flight that waits for mail into the folder again. */
static kds_code post_again(kds_campaign *c, kds_lane *lane, const kds_flight *f, kds_err *e)
{
    char *text = NULL;
    size_t len = 0;
    kds_code code = kds_ledger_get(c->ledger, f->prompt, &text, &len, e);
    if (code == KDS_OK)
        code = kds_campaign_mail_post(c, text, len, e);
    lane->asking = code == KDS_OK;
    free(text);
    return code;
}

kds_code kds_campaign_pursue(kds_campaign *c, kds_lane *lane, kds_err *e)
{
    const kds_flight *f = kds_state_flight(c->state, lane->decision);
    if (!f || f->has_candidate || f->has_verdict || lane->asking ||
        (lane->retry_at > 0 && kds_clock_monotonic() < lane->retry_at))
        return KDS_OK;
    if (!c->endpoint && !c->mail)
        return no_child(c, f->decision, "the campaign was resumed without its model", e);
    bool again = f->awaiting || strcmp(f->outcome, "retry") == 0 ||
                 strcmp(f->outcome, "fatal") == 0 || strcmp(f->outcome, "malformed") == 0 ||
                 strcmp(f->outcome, "lost") == 0;
    const char *api = f->api[0] ? f->api : "chat"; /* early records do not say */
    const kds_model *m = kds_models_find(c->models, f->model);
    bool mailed = strcmp(api, "mail") == 0;
    if (again && c->mail && mailed)
        return post_again(c, lane, f, e);
    /* Not asked yet, or now in another way, or of another model. */
    if (f->attempts == 0 ||
        (again && (strcmp(api, api_now(c, m)) != 0 || strcmp(m->name, f->model) != 0)))
        return send_new(c, lane, f, NULL, e);
    if (again)
        return send_again(c, lane, f, e);
    if (strcmp(f->outcome, "ok") == 0)
        return use_reply(c, lane, f, e);
    char why[120];
    snprintf(why, sizeof why, "the reply could not be used: %s", f->outcome);
    return no_child(c, f->decision, why, e);
}

/* Whether the server may have worked on a call and did not say what it used. Such a call is taken
 * to have used what was reserved for it. */
static bool is_usage_unknown(const kds_completion *done)
{
    return done->prompt_tokens < 0 && (done->status == 200 || (done->status == 0 && done->sent));
}

static kds_code record_response(kds_campaign *c, const kds_flight *f, const kds_completion *done,
                                kds_err *e)
{
    cJSON *o = cJSON_CreateObject();
    kds_id reply = {0, 0};
    kds_code code = KDS_OK;
    bool unknown = is_usage_unknown(done);
    if (done->raw_len)
        code = kds_campaign_put(c, "reply", done->raw, done->raw_len, &reply, e);
    if (code != KDS_OK) {
        cJSON_Delete(o);
        return code;
    }
    bool ok =
        o && kds_json_add_int(o, "request", (int64_t)done->request) &&
        kds_json_add_int(o, "decision", f->decision) &&
        kds_json_add_int(o, "status", done->status) &&
        kds_json_add_str(o, "outcome", kds_outcome_name(done->outcome)) &&
        (done->raw_len ? kds_json_add_id(o, "reply", reply) : kds_json_add_str(o, "reply", NULL)) &&
        kds_json_add_int(o, "prompt_tokens", done->prompt_tokens) &&
        kds_json_add_int(o, "completion_tokens", done->completion_tokens) &&
        kds_json_add_num(o, "cost_usd", unknown ? f->reserved_usd : done->cost_usd) &&
        (!unknown || kds_json_add_num(o, "assumed_tokens", f->reserved_tokens)) &&
        kds_json_add_num(o, "seconds", done->seconds) &&
        kds_json_add_str(o, "message", done->message);
    code = ok ? kds_campaign_record(c, &(kds_record){"RESPONSE", o}, 1, e)
              : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    cJSON_Delete(o);
    return code;
}

kds_code kds_campaign_settle_lost(kds_campaign *c, kds_err *e)
{
    kds_code code = KDS_OK;
    for (int i = 0; i < c->state->flight_count && code == KDS_OK; i++) {
        const kds_flight *f = &c->state->flights[i];
        kds_completion lost = {.request = (uint64_t)f->last_request,
                               .outcome = KDS_OUTCOME_LOST,
                               .prompt_tokens = -1,
                               .completion_tokens = -1,
                               .sent = true,
                               .message = "the campaign was interrupted before the reply came"};
        if (f->awaiting && strcmp(f->api, "mail") != 0)
            code = record_response(c, f, &lost, e);
    }
    return code;
}

/* Plans the next try of a busy or broken server, or gives the decision (or the run) up. */
static kds_code plan_retry(kds_campaign *c, kds_lane *lane, const kds_completion *done, kds_err *e)
{
    if (lane->tries >= (int)kds_settings_int(c->settings, "attempts")) {
        if (!c->heard)
            return kds_fail(e, KDS_UNREACHABLE,
                            "the endpoint gave no usable answer in %d tries: %s", lane->tries,
                            done->message);
        return no_child(c, lane->decision, done->message, e);
    }
    kds_random r = kds_random_stream(c->state->seed, done->request, "retry");
    lane->retry_at = kds_clock_monotonic() +
                     kds_retry_delay(lane->tries, done->retry_after, kds_random_unit(&r));
    kds_campaign_tell(c, "warning", "request %llu: %s; trying again in %.1f s",
                      (unsigned long long)done->request, done->message,
                      lane->retry_at - kds_clock_monotonic());
    return KDS_OK;
}

void kds_campaign_completed(void *campaign, const kds_completion *done)
{
    kds_campaign *c = campaign;
    const kds_flight *f = NULL;
    kds_err err = {0};
    for (int i = 0; i < c->state->flight_count; i++)
        if (c->state->flights[i].awaiting &&
            (uint64_t)c->state->flights[i].last_request == done->request)
            f = &c->state->flights[i];
    kds_lane *lane = f ? kds_campaign_lane(c, f->decision) : NULL;
    if (!lane)
        return;
    lane->asking = false;
    kds_code code = record_response(c, f, done, &err);
    if (code == KDS_OK && (done->outcome == KDS_OUTCOME_OK || done->outcome == KDS_OUTCOME_LENGTH))
        c->heard = true;
    if (code == KDS_OK &&
        (done->outcome == KDS_OUTCOME_RETRY || done->outcome == KDS_OUTCOME_MALFORMED))
        code = plan_retry(c, lane, done, &err);
    else if (code == KDS_OK && done->outcome == KDS_OUTCOME_FATAL && c->heard && !done->account &&
             (done->status == 400 || done->status == 413 || done->status == 422))
        code = no_child(c, lane->decision, done->message, &err); /* this question, not the server */
    else if (code == KDS_OK && done->outcome == KDS_OUTCOME_FATAL)
        code = kds_fail(&err, KDS_UNREACHABLE, "%s", done->message);
    if (code != KDS_OK)
        kds_campaign_fail(c, code, err.message);
}
