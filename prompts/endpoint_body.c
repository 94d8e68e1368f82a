/* The body of a request: one JSON object, the same bytes for the same prompt, since it is recorded
 * before it is sent and its hash tells the requests of a campaign apart. */
#include "prompts/endpoint_internal.h"
#include "search/base/text.h"

#include <stdlib.h>
#include <string.h>

/* Adds {"role": role, "content": text}, the text made valid UTF-8 and free of the key. */
static bool add_message(const kds_endpoint *x, cJSON *messages, const char *role, const char *text)
{
    kds_buf clean;
    size_t len = strlen(text);
    kds_buf_init(&clean, 3 * len + 1);
    kds_text_sanitize_utf8(&clean, text, len);
    kds_secret_scrub(x->key, &clean);
    cJSON *m = cJSON_CreateObject();
    bool ok = clean.bad == KDS_OK && m && kds_json_add_str(m, "role", role) &&
              kds_json_add_str(m, "content", clean.data) && cJSON_AddItemToArray(messages, m);
    if (!ok)
        cJSON_Delete(m);
    kds_buf_free(&clean);
    return ok;
}

/* The text of `system` in the form of the messages API. */
static bool add_system(const kds_endpoint *x, cJSON *body, const char *text)
{
    kds_buf clean;
    size_t len = strlen(text);
    kds_buf_init(&clean, 3 * len + 1);
    kds_text_sanitize_utf8(&clean, text, len);
    kds_secret_scrub(x->key, &clean);
    bool ok = clean.bad == KDS_OK && kds_json_add_str(body, "system", clean.data);
    kds_buf_free(&clean);
    return ok;
}

/* The user's own keys over ours; a null takes ours out. */
static bool add_extra(cJSON *body, const cJSON *extra)
{
    const cJSON *item = NULL;
    bool ok = true;
    cJSON_ArrayForEach(item, extra)
    {
        cJSON_DeleteItemFromObjectCaseSensitive(body, item->string);
        if (cJSON_IsNull(item))
            continue;
        cJSON *copy = cJSON_Duplicate(item, true);
        if (!copy || !cJSON_AddItemToObject(body, item->string, copy)) {
            cJSON_Delete(copy);
            ok = false;
        }
    }
    return ok;
}

char *kds_endpoint_body(const kds_endpoint *x, const char *system, const char *user)
{
    char *text = NULL;
    cJSON *body = cJSON_CreateObject();
    cJSON *messages = cJSON_CreateArray();
    bool ok = body && messages && kds_json_add_str(body, "model", x->model);
    if (!ok || !cJSON_AddItemToObject(body, "messages", messages)) {
        cJSON_Delete(messages);
        ok = false;
    }
    if (ok && system && *system)
        ok = x->messages ? add_system(x, body, system) : add_message(x, messages, "system", system);
    ok = ok && add_message(x, messages, "user", user);
    if (ok && x->temperature >= 0)
        ok = kds_json_add_num(body, "temperature", x->temperature);
    if (ok && x->max_tokens > 0)
        ok = kds_json_add_int(body, x->messages ? "max_tokens" : x->token_field, x->max_tokens);
    if (ok && *x->reasoning)
        ok = kds_json_add_str(body, "reasoning_effort", x->reasoning);
    ok = ok && kds_json_add_bool(body, "stream", false) && add_extra(body, x->extra);
    if (ok)
        text = kds_json_print(body);
    cJSON_Delete(body);
    return text;
}
