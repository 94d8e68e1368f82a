/* The strict reader over one object of a document, and the lenient access to our own records. The
 * reader keeps the error that comes first in the text; a missing key comes last, since the unknown
 * key that was meant says more. */
#include "search/base/json_doc.h"
#include "search/base/text.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define KNOWN_MAX (sizeof((kds_json_reader *)0)->known / sizeof(char *))

/* True if an error at `node` (NULL: a missing key) comes before the one already kept; it is then
 * the one to report. */
static bool goes_first(kds_json_reader *r, const cJSON *node)
{
    const kds_json_entry *x = kds_json_find(r->doc, node);
    size_t order = x == NULL ? SIZE_MAX : x->order;
    if (r->bad != KDS_OK && order >= r->bad_order)
        return false;
    r->bad = KDS_INVALID;
    r->bad_order = order;
    return true;
}

/* "a string", "the number 3", for messages about wrong types. */
static const char *describe(const cJSON *node, char *out, size_t size)
{
    if (cJSON_IsString(node)) {
        char text[48];
        kds_text_escape_into(text, sizeof text, node->valuestring, strlen(node->valuestring),
                             false);
        snprintf(out, size, "the string \"%s\"", text);
    } else if (cJSON_IsNumber(node))
        snprintf(out, size, "the number %.15g", node->valuedouble);
    else
        snprintf(out, size, "%s",
                 cJSON_IsArray(node)    ? "an array"
                 : cJSON_IsObject(node) ? "an object"
                 : cJSON_IsTrue(node)   ? "true"
                 : cJSON_IsFalse(node)  ? "false"
                                        : "null");
    return out;
}

static void wrong_type(kds_json_reader *r, const cJSON *node, const char *wanted)
{
    char found[80];
    if (goes_first(r, node))
        kds_json_fail(r->doc, node, r->e, "must be %s, found %s", wanted,
                      describe(node, found, sizeof found));
}

void kds_json_reader_init(kds_json_reader *r, const kds_json_doc *doc, const cJSON *object,
                          kds_err *e)
{
    *r = (kds_json_reader){.doc = doc, .object = object, .e = e};
    if (!cJSON_IsObject(object))
        wrong_type(r, object, "an object");
}

/* Takes a key: notes it as known and gives its value, or NULL. */
static const cJSON *take(kds_json_reader *r, const char *key, bool required)
{
    if (r->known_count == (int)KNOWN_MAX) {
        r->bad = kds_fail(r->e, KDS_FAILED, "a JSON reader knows at most %zu keys", KNOWN_MAX);
        r->bad_order = 0;
        return NULL;
    }
    r->known[r->known_count++] = key;
    if (!cJSON_IsObject(r->object))
        return NULL;
    const cJSON *node = cJSON_GetObjectItemCaseSensitive(r->object, key);
    if (node == NULL && required && goes_first(r, NULL))
        kds_json_fail(r->doc, r->object, r->e, "the key '%s' is missing", key);
    return node;
}

static const char *get_string(kds_json_reader *r, const char *key, bool required,
                              const char *fallback)
{
    const cJSON *node = take(r, key, required);
    if (node != NULL && !cJSON_IsString(node))
        wrong_type(r, node, "a string");
    return r->bad == KDS_OK && node != NULL ? node->valuestring : fallback;
}

/* An integer of at most 53 bits as a number, or a larger one as a string. */
static bool integer_of(const cJSON *node, int64_t *out)
{
    if (cJSON_IsNumber(node) && fabs(node->valuedouble) <= (double)KDS_JSON_SAFE &&
        node->valuedouble == floor(node->valuedouble)) {
        *out = (int64_t)node->valuedouble;
        return true;
    }
    return cJSON_IsString(node) && kds_text_parse_i64(node->valuestring, out) &&
           (*out > KDS_JSON_SAFE || *out < -KDS_JSON_SAFE);
}

static void wrong_integer(kds_json_reader *r, const cJSON *node)
{
    int64_t small;
    if (cJSON_IsNumber(node) && fabs(node->valuedouble) > (double)KDS_JSON_SAFE)
        wrong_type(r, node, "written as a string, as integers of 2^53 and above are");
    else if (cJSON_IsString(node) && kds_text_parse_i64(node->valuestring, &small))
        wrong_type(r, node, "written as a number (only integers of 2^53 and above are strings)");
    else
        wrong_type(r, node, "an integer");
}

/* Reports a value out of [min, max]; the bounds and the value are given as texts, "" for none. */
static void out_of_range(kds_json_reader *r, const cJSON *node, const char *min, const char *max,
                         const char *value)
{
    if (!goes_first(r, node))
        return;
    if (*min != '\0' && *max != '\0')
        kds_json_fail(r->doc, node, r->e, "must be from %s to %s, is %s", min, max, value);
    else
        kds_json_fail(r->doc, node, r->e, "must be at %s %s, is %s",
                      *min != '\0' ? "least" : "most", *min != '\0' ? min : max, value);
}

static int64_t get_int(kds_json_reader *r, const char *key, bool required, int64_t min, int64_t max,
                       int64_t fallback)
{
    const cJSON *node = take(r, key, required);
    int64_t v = 0;
    if (node == NULL)
        return fallback;
    if (!integer_of(node, &v)) {
        wrong_integer(r, node);
    } else if (v < min || v > max) {
        char low[24] = "", high[24] = "", is[24];
        if (min != INT64_MIN)
            snprintf(low, sizeof low, "%" PRId64, min);
        if (max != INT64_MAX)
            snprintf(high, sizeof high, "%" PRId64, max);
        snprintf(is, sizeof is, "%" PRId64, v);
        out_of_range(r, node, low, high, is);
    }
    return r->bad == KDS_OK ? v : fallback;
}

static double get_double(kds_json_reader *r, const char *key, bool required, double min, double max,
                         double fallback)
{
    const cJSON *node = take(r, key, required);
    if (node == NULL)
        return fallback;
    if (!cJSON_IsNumber(node)) {
        wrong_type(r, node, "a number");
    } else if (!(node->valuedouble >= min && node->valuedouble <= max)) {
        char low[32] = "", high[32] = "", is[32];
        if (isfinite(min))
            snprintf(low, sizeof low, "%.15g", min);
        if (isfinite(max))
            snprintf(high, sizeof high, "%.15g", max);
        snprintf(is, sizeof is, "%.15g", node->valuedouble);
        out_of_range(r, node, low, high, is);
    }
    return r->bad == KDS_OK ? node->valuedouble : fallback;
}

static const cJSON *get_array(kds_json_reader *r, const char *key, bool required)
{
    const cJSON *node = take(r, key, required);
    if (node != NULL && !cJSON_IsArray(node))
        wrong_type(r, node, "an array");
    return r->bad == KDS_OK ? node : NULL;
}

static const cJSON *get_object(kds_json_reader *r, const char *key, bool required)
{
    const cJSON *node = take(r, key, required);
    if (node != NULL && !cJSON_IsObject(node))
        wrong_type(r, node, "an object");
    return r->bad == KDS_OK ? node : NULL;
}

const char *kds_json_need_string(kds_json_reader *r, const char *key)
{
    return get_string(r, key, true, "");
}

int64_t kds_json_need_int(kds_json_reader *r, const char *key, int64_t min, int64_t max)
{
    return get_int(r, key, true, min, max, min > 0 ? min : max < 0 ? max : 0);
}

double kds_json_need_double(kds_json_reader *r, const char *key, double min, double max)
{
    return get_double(r, key, true, min, max, min > 0 ? min : max < 0 ? max : 0);
}

const cJSON *kds_json_need_array(kds_json_reader *r, const char *key)
{
    return get_array(r, key, true);
}

const cJSON *kds_json_need_object(kds_json_reader *r, const char *key)
{
    return get_object(r, key, true);
}

const char *kds_json_opt_string(kds_json_reader *r, const char *key, const char *fallback)
{
    return get_string(r, key, false, fallback);
}

int64_t kds_json_opt_int(kds_json_reader *r, const char *key, int64_t min, int64_t max,
                         int64_t fallback)
{
    return get_int(r, key, false, min, max, fallback);
}

double kds_json_opt_double(kds_json_reader *r, const char *key, double min, double max,
                           double fallback)
{
    return get_double(r, key, false, min, max, fallback);
}

bool kds_json_opt_bool(kds_json_reader *r, const char *key, bool fallback)
{
    const cJSON *node = take(r, key, false);
    if (node != NULL && !cJSON_IsBool(node))
        wrong_type(r, node, "true or false");
    return r->bad == KDS_OK && node != NULL ? (bool)cJSON_IsTrue(node) : fallback;
}

const cJSON *kds_json_opt_array(kds_json_reader *r, const char *key)
{
    return get_array(r, key, false);
}

const cJSON *kds_json_opt_object(kds_json_reader *r, const char *key)
{
    return get_object(r, key, false);
}

const cJSON *kds_json_opt_any(kds_json_reader *r, const char *key)
{
    const cJSON *node = take(r, key, false);
    return r->bad == KDS_OK ? node : NULL;
}

static bool is_known(const kds_json_reader *r, const char *key)
{
    for (int i = 0; i < r->known_count; i++) {
        if (strcmp(r->known[i], key) == 0)
            return true;
    }
    return false;
}

kds_code kds_json_done(kds_json_reader *r)
{
    if (!cJSON_IsObject(r->object))
        return r->bad;
    for (const cJSON *child = r->object->child; child != NULL; child = child->next) {
        const char *names[KNOWN_MAX + 1];
        if (is_known(r, child->string))
            continue;
        if (!goes_first(r, child))
            break;
        memcpy(names, r->known, sizeof r->known);
        names[r->known_count] = NULL;
        const char *meant = kds_text_suggest(child->string, names);
        if (meant != NULL)
            kds_json_fail(r->doc, child, r->e, "unknown key; did you mean '%s'?", meant);
        else
            kds_json_fail(r->doc, child, r->e, "unknown key");
        break;
    }
    return r->bad;
}

const cJSON *kds_json_at(const cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

const char *kds_json_str(const cJSON *object, const char *key, const char *fallback)
{
    const cJSON *node = kds_json_at(object, key);
    return cJSON_IsString(node) ? node->valuestring : fallback;
}

double kds_json_num(const cJSON *object, const char *key, double fallback)
{
    const cJSON *node = kds_json_at(object, key);
    return cJSON_IsNumber(node) && isfinite(node->valuedouble) ? node->valuedouble : fallback;
}

int64_t kds_json_int(const cJSON *object, const char *key, int64_t fallback)
{
    const cJSON *node = kds_json_at(object, key);
    int64_t v;
    if (cJSON_IsString(node) && kds_text_parse_i64(node->valuestring, &v))
        return v;
    if (!cJSON_IsNumber(node) || !(fabs(node->valuedouble) < 0x1p63) ||
        node->valuedouble != floor(node->valuedouble))
        return fallback;
    return (int64_t)node->valuedouble;
}

bool kds_json_bool(const cJSON *object, const char *key, bool fallback)
{
    const cJSON *node = kds_json_at(object, key);
    return cJSON_IsBool(node) ? (bool)cJSON_IsTrue(node) : fallback;
}

bool kds_json_id(const cJSON *object, const char *key, kds_id *out)
{
    return kds_id_parse(kds_json_str(object, key, NULL), out);
}
