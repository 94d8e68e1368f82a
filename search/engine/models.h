/* The models that a campaign asks: one, by the options, or several, by the list `models`, each with
 * options of its own over the campaign's. */
#ifndef KDS_ENGINE_MODELS_H
#define KDS_ENGINE_MODELS_H

#include "prompts/endpoint.h"
#include "search/engine/settings.h"

#define KDS_MODELS_MAX 16

typedef struct kds_model {
    char name[64]; /* in the record; of one model by the options, the model's own name */
    double weight; /* how often it is asked, against the others */
    kds_settings *settings;
} kds_model;

typedef struct kds_models {
    kds_model items[KDS_MODELS_MAX];
    int count; /* at least 1 */
} kds_models;

/* Who proposes: option `proposer`, where `auto` is endpoint if there is a model to ask (option
 * `url` or `models`), else builtin. */
const char *kds_models_proposer(const kds_settings *s);
/* Reads option `models`: a JSON array of objects with name (default: model), weight (1), and any of
 * the options that are a model's: url, api, model, key-env, temperature, reasoning, extra-json
 * (also as an object), reply-tokens, token-field, prompt-bytes, context-tokens, price-prompt,
 * price-completion, request-timeout. KDS_INVALID names what is wrong. */
KDS_MUST_USE kds_code kds_models_read(kds_models **out, const kds_settings *s, kds_err *e);
void kds_models_free(kds_models *m);
/* By name; the first if none has it (it may have been taken out of the list). */
const kds_model *kds_models_find(const kds_models *m, const char *name);
/* One of them by weight, by a number in [0, 1). */
const kds_model *kds_models_draw(const kds_models *m, double unit);
/* Clients of all of them, joined: free the first. Nothing is sent. */
KDS_MUST_USE kds_code kds_models_connect(const kds_models *m, kds_endpoint **out, kds_err *e);
/* The client of one of them. */
kds_endpoint *kds_models_endpoint(const kds_models *m, kds_endpoint *first, const kds_model *model);

/* Most bytes of a prompt: prompt-bytes, and what the context leaves beside the longest reply, as if
 * three bytes made a token. */
size_t kds_model_prompt_cap(const kds_model *m);
/* Most that a request with a prompt of so many bytes may cost and use. */
double kds_model_reserve_usd(const kds_model *m, size_t prompt_bytes);
double kds_model_reserve_tokens(const kds_model *m, size_t prompt_bytes);

#endif
