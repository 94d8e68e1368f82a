/* Reading the list of models. Every entry becomes settings of its own, so that whatever asks for an
 * option of a model asks its settings, and bounds are checked by the one options table. */
#include "search/engine/models.h"

#include "search/base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_A_TOKEN 3 /* fewer than any tokeniser makes of code */
#define PROMPT_LEAST 4096

static const char *const own_options[] = {"url",
                                          "api",
                                          "model",
                                          "key-env",
                                          "temperature",
                                          "reasoning",
                                          "extra-json",
                                          "reply-tokens",
                                          "token-field",
                                          "prompt-bytes",
                                          "context-tokens",
                                          "price-prompt",
                                          "price-completion",
                                          "request-timeout",
                                          NULL};

static kds_code out_of_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

void kds_models_free(kds_models *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->count; i++)
        kds_settings_free(m->items[i].settings);
    free(m);
}

static bool is_own(const char *name)
{
    for (int i = 0; own_options[i]; i++)
        if (strcmp(own_options[i], name) == 0)
            return true;
    return false;
}

/* One key of an entry, as the text that the option would have on the command line. */
static kds_code take_key(kds_model *m, const kds_json_doc *doc, const cJSON *item, kds_err *e)
{
    char number[40];
    char *object = NULL;
    const char *value = NULL;
    const char *near = is_own(item->string) ? NULL : kds_text_suggest(item->string, own_options);
    if (!is_own(item->string))
        return kds_json_fail(doc, item, e, "is no option of a model%s%s%s",
                             near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    if (cJSON_IsString(item))
        value = item->valuestring;
    else if (cJSON_IsNumber(item)) {
        snprintf(number, sizeof number, "%.17g", item->valuedouble);
        value = number;
    } else if (cJSON_IsObject(item) && strcmp(item->string, "extra-json") == 0) {
        if (!(object = kds_json_print(item)))
            return out_of_memory(e);
        value = object;
    } else
        return kds_json_fail(doc, item, e, "must be a text or a number");
    kds_err why = {0};
    kds_code code = kds_settings_set_from(m->settings, item->string, value, KDS_FROM_ARCHIVE, &why);
    free(object);
    return code == KDS_OK ? KDS_OK : kds_json_fail(doc, item, e, "%s", why.message);
}

/* Name and sense of a model whose settings are complete. */
static kds_code finish_model(kds_models *all, kds_model *m, const char *name, kds_err *e)
{
    if (!name || !*name)
        name = kds_settings_text(m->settings, "model");
    if (strlen(name) >= sizeof m->name)
        return kds_fail(e, KDS_INVALID, "the model's name is longer than %zu characters: %.100s",
                        sizeof m->name - 1, name);
    snprintf(m->name, sizeof m->name, "%s", name);
    for (const kds_model *other = all->items; other < m; other++)
        if (strcmp(other->name, m->name) == 0)
            return kds_fail(e, KDS_INVALID, "two models are called '%s'; give them names", m->name);
    double context = kds_settings_double(m->settings, "context-tokens"),
           reply = kds_settings_double(m->settings, "reply-tokens");
    if (context > 0 && (context - reply) * BYTES_A_TOKEN < PROMPT_LEAST)
        return kds_fail(e, KDS_INVALID,
                        "model '%s': context-tokens (%.0f) leaves no room for a prompt beside "
                        "reply-tokens (%.0f)",
                        m->name, context, reply);
    return KDS_OK;
}

static kds_code read_entry(kds_models *all, const kds_settings *s, const kds_json_doc *doc,
                           const cJSON *entry, kds_err *e)
{
    const cJSON *item = NULL;
    if (!cJSON_IsObject(entry))
        return kds_json_fail(doc, entry, e, "must be an object");
    if (all->count == KDS_MODELS_MAX)
        return kds_json_fail(doc, entry, e, "more than %d models", KDS_MODELS_MAX);
    kds_model *m = &all->items[all->count];
    if (!(m->settings = kds_settings_copy(s)))
        return out_of_memory(e);
    all->count++;
    m->weight = 1;
    kds_code code = KDS_OK;
    cJSON_ArrayForEach(item, entry)
    {
        if (code != KDS_OK)
            break;
        if (strcmp(item->string, "weight") == 0) {
            m->weight = cJSON_IsNumber(item) ? item->valuedouble : -1;
            if (!(m->weight > 0 && m->weight <= 1e6))
                code = kds_json_fail(doc, item, e, "must be a number above 0");
        } else if (strcmp(item->string, "name") == 0) {
            if (!cJSON_IsString(item))
                code = kds_json_fail(doc, item, e, "must be a text");
        } else
            code = take_key(m, doc, item, e);
    }
    return code == KDS_OK ? finish_model(all, m, kds_json_str(entry, "name", NULL), e) : code;
}

static kds_code read_list(kds_models *m, const kds_settings *s, const char *text, kds_err *e)
{
    kds_json_doc *doc = NULL;
    const cJSON *entry = NULL;
    kds_code code = kds_json_parse(&doc, "models", text, strlen(text), true, e);
    const cJSON *root = code == KDS_OK ? kds_json_root(doc) : NULL;
    if (code == KDS_OK && (!cJSON_IsArray(root) || !root->child))
        code = kds_fail(e, KDS_INVALID, "models must be a list with at least one model");
    cJSON_ArrayForEach(entry, root)
    {
        if (code == KDS_OK)
            code = read_entry(m, s, doc, entry, e);
    }
    kds_json_free(doc);
    return code;
}

const char *kds_models_proposer(const kds_settings *s)
{
    const char *chosen = kds_settings_text(s, "proposer");
    if (strcmp(chosen, "auto") != 0)
        return chosen;
    return *kds_settings_text(s, "url") || *kds_settings_text(s, "models") ? "endpoint" : "builtin";
}

kds_code kds_models_read(kds_models **out, const kds_settings *s, kds_err *e)
{
    kds_models *m = calloc(1, sizeof *m);
    if (!m)
        return out_of_memory(e);
    const char *list = kds_settings_text(s, "models");
    kds_code code = KDS_OK;
    if (*list)
        code = read_list(m, s, list, e);
    else if (!(m->items[0].settings = kds_settings_copy(s)))
        code = out_of_memory(e);
    else {
        m->items[0].weight = 1;
        m->count = 1;
        code = finish_model(m, &m->items[0], NULL, e);
    }
    if (code != KDS_OK) {
        kds_models_free(m);
        return code;
    }
    *out = m;
    return KDS_OK;
}

const kds_model *kds_models_find(const kds_models *m, const char *name)
{
    for (int i = 0; i < m->count; i++)
        if (strcmp(m->items[i].name, name) == 0)
            return &m->items[i];
    return &m->items[0];
}

const kds_model *kds_models_draw(const kds_models *m, double unit)
{
    double sum = 0;
    for (int i = 0; i < m->count; i++)
        sum += m->items[i].weight;
    double at = unit * sum;
    for (int i = 0; i < m->count; i++) {
        if (at < m->items[i].weight)
            return &m->items[i];
        at -= m->items[i].weight;
    }
    return &m->items[m->count - 1];
}

static kds_code connect_one(const kds_model *m, kds_endpoint **out, kds_err *e)
{
    const kds_settings *s = m->settings;
    if (!*kds_settings_text(s, "url") || !*kds_settings_text(s, "model"))
        return kds_fail(
            e, KDS_USAGE,
            "a model is asked by --url and --model, or by models in the config file that "
            "have both");
    kds_endpoint_options o = {.url = kds_settings_text(s, "url"),
                              .api = kds_settings_text(s, "api"),
                              .model = kds_settings_text(s, "model"),
                              .reasoning = kds_settings_text(s, "reasoning"),
                              .extra = kds_settings_text(s, "extra-json"),
                              .key_env = kds_settings_text(s, "key-env"),
                              .temperature = kds_settings_double(s, "temperature"),
                              .max_tokens = kds_settings_int(s, "reply-tokens"),
                              .token_field = kds_settings_text(s, "token-field"),
                              .connect_timeout = 20,
                              .idle_timeout = kds_settings_double(s, "request-timeout"),
                              .total_timeout = kds_settings_double(s, "request-timeout"),
                              .usd_per_million_prompt = kds_settings_double(s, "price-prompt"),
                              .usd_per_million_completion =
                                  kds_settings_double(s, "price-completion")};
    if (kds_settings_double(s, "max-cost") > 0 && o.usd_per_million_prompt <= 0 &&
        o.usd_per_million_completion <= 0)
        return kds_fail(e, KDS_USAGE,
                        "--max-cost needs --price-prompt and --price-completion to count with");
    return kds_endpoint_create(out, &o, e);
}

kds_code kds_models_connect(const kds_models *m, kds_endpoint **out, kds_err *e)
{
    kds_endpoint *first = NULL;
    for (int i = 0; i < m->count; i++) {
        kds_endpoint *x = NULL;
        kds_code code = connect_one(&m->items[i], &x, e);
        if (code != KDS_OK) {
            kds_endpoint_free(first);
            return m->count > 1 ? kds_err_prefix(e, code, "model '%s'", m->items[i].name) : code;
        }
        if (first)
            kds_endpoint_join(first, x);
        else
            first = x;
    }
    *out = first;
    return KDS_OK;
}

kds_endpoint *kds_models_endpoint(const kds_models *m, kds_endpoint *first, const kds_model *model)
{
    return kds_endpoint_at(first, (int)(model - m->items));
}

size_t kds_model_prompt_cap(const kds_model *m)
{
    double cap = kds_settings_double(m->settings, "prompt-bytes"),
           context = kds_settings_double(m->settings, "context-tokens"),
           reply = kds_settings_double(m->settings, "reply-tokens");
    if (context > 0)
        cap = fmin(cap, (context - reply) * BYTES_A_TOKEN);
    return (size_t)cap;
}

double kds_model_reserve_usd(const kds_model *m, size_t prompt_bytes)
{
    return (double)prompt_bytes / BYTES_A_TOKEN * kds_settings_double(m->settings, "price-prompt") /
               1e6 +
           kds_settings_double(m->settings, "reply-tokens") *
               kds_settings_double(m->settings, "price-completion") / 1e6;
}

double kds_model_reserve_tokens(const kds_model *m, size_t prompt_bytes)
{
    return (double)prompt_bytes / BYTES_A_TOKEN + kds_settings_double(m->settings, "reply-tokens");
}
