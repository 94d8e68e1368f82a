/* What the fold reads events with and writes rows with. The first error sticks to the event:
 * getters after it give defaults and statements are not run, so that an effect is written without a
 * check after every line. */
#include "archive/fold.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WHAT "apply an event"

void kds_fold_malformed(kds_fold_event *f, const char *key, const char *why)
{
    if (f->code == KDS_OK)
        f->code = kds_fail(f->e, KDS_PROTOCOL, "event %lld (%s): '%s' %s", (long long)f->event->seq,
                           f->event->kind, key, why);
}

static bool is_absent(const cJSON *node)
{
    return node == NULL || cJSON_IsNull(node);
}

int64_t kds_fold_int(kds_fold_event *f, const char *key, bool need, int64_t fallback)
{
    const cJSON *node = kds_json_at(f->body, key);
    if (is_absent(node)) {
        if (need)
            kds_fold_malformed(f, key, "is missing");
        return fallback;
    }
    int64_t value = kds_json_int(f->body, key, INT64_MIN);
    if (value == INT64_MIN)
        kds_fold_malformed(f, key, "is not an integer");
    return value;
}

double kds_fold_real(kds_fold_event *f, const char *key, bool need)
{
    const cJSON *node = kds_json_at(f->body, key);
    if (cJSON_IsNumber(node) && isfinite(node->valuedouble))
        return node->valuedouble;
    if (!is_absent(node))
        kds_fold_malformed(f, key, "is not a number");
    else if (need)
        kds_fold_malformed(f, key, "is missing");
    return (double)NAN;
}

double kds_fold_sum(kds_fold_event *f, const char *key)
{
    double value = kds_fold_real(f, key, false);
    return isnan(value) ? 0 : value;
}

const char *kds_fold_text(kds_fold_event *f, const char *key, bool need, const char *fallback)
{
    const cJSON *node = kds_json_at(f->body, key);
    if (cJSON_IsString(node))
        return node->valuestring;
    if (!is_absent(node))
        kds_fold_malformed(f, key, "is not a text");
    else if (need)
        kds_fold_malformed(f, key, "is missing");
    return fallback;
}

static bool is_hex(const char *s, size_t digits)
{
    return strlen(s) == digits && strspn(s, "0123456789abcdef") == digits;
}

const char *kds_fold_hex(kds_fold_event *f, const char *key, bool need, size_t digits)
{
    const char *text = kds_fold_text(f, key, need, NULL);
    if (text != NULL && !is_hex(text, digits)) {
        kds_fold_malformed(f, key,
                           digits == 16 ? "is not a cell of 16 hex digits"
                                        : "is not an id of 32 hex digits");
        return NULL;
    }
    return text;
}

const char *kds_fold_any(kds_fold_event *f, const char *key)
{
    const cJSON *node = kds_json_at(f->body, key);
    if (is_absent(node))
        return NULL;
    if (cJSON_IsString(node))
        return node->valuestring;
    char *text = kds_json_print(node);
    if (text == NULL || f->text_count == (int)(sizeof f->texts / sizeof *f->texts)) {
        free(text);
        f->code = kds_fail(f->e, KDS_NO_MEMORY, "out of memory while applying an event");
        return NULL;
    }
    return f->texts[f->text_count++] = text;
}

const char *kds_fold_parent(kds_fold_event *f, int at)
{
    const cJSON *parents = kds_json_at(f->body, "parents");
    const cJSON *node = cJSON_IsArray(parents) ? cJSON_GetArrayItem(parents, at) : NULL;
    if (!is_absent(parents) && !cJSON_IsArray(parents))
        kds_fold_malformed(f, "parents", "is not an array");
    if (is_absent(node))
        return NULL;
    if (!cJSON_IsString(node) || !is_hex(node->valuestring, 32)) {
        kds_fold_malformed(f, "parents", "holds what is not an id of 32 hex digits");
        return NULL;
    }
    return node->valuestring;
}

kds_query kds_fold_use(kds_fold_event *f, kds_statement which)
{
    return kds_sql_kept(f->ledger, which);
}

int kds_fold_run(kds_fold_event *f, kds_query *q)
{
    int changed = 0;
    if (f->code == KDS_OK) {
        f->code = kds_sql_run(q, &changed, WHAT, f->e);
        return changed;
    }
    kds_code ignored = kds_sql_end(q, WHAT, NULL);
    (void)ignored;
    return 0;
}

void kds_fold_run_plain(kds_fold_event *f, kds_statement which)
{
    kds_query q = kds_fold_use(f, which);
    kds_fold_run(f, &q);
}

void kds_fold_run_decision(kds_fold_event *f, kds_statement which, int64_t decision)
{
    kds_query q = kds_fold_use(f, which);
    kds_sql_int(&q, 1, decision);
    kds_fold_run(f, &q);
}

void kds_fold_run_cost(kds_fold_event *f, kds_statement which, int64_t decision, double value)
{
    kds_query q = kds_fold_use(f, which);
    kds_sql_int(&q, 1, decision);
    kds_sql_real(&q, 2, value);
    kds_fold_run(f, &q);
}

void kds_fold_run_text(kds_fold_event *f, kds_statement which, const char *a, const char *b)
{
    kds_query q = kds_fold_use(f, which);
    kds_sql_text(&q, 1, a);
    kds_sql_text(&q, 2, b);
    kds_fold_run(f, &q);
}
