/* Values of the options, each with where it came from. A value is checked when it is set and kept
 * as the text that was given, so that the record in the archive reads as the user wrote it. A
 * weaker source never replaces a stronger one. */
#include "search/engine/settings.h"

#include "search/base/file.h"
#include "search/base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 64
#define PREFIX "KDASEARCH_"

/* What a text says as a number; 0 if it says none. Asked for in every turn of a campaign's loop. */
typedef struct numeric {
    int64_t integer;
    double real; /* durations in seconds */
} numeric;

struct kds_settings {
    char *text[OPTIONS_MAX]; /* NULL: the default */
    numeric number[OPTIONS_MAX];
    kds_setting_source source[OPTIONS_MAX];
};

extern char **environ;

static int option_index(const char *name)
{
    const kds_option *o = kds_option_find(name);
    return o ? (int)(o - kds_options()) : -1;
}

const char *kds_setting_source_name(kds_setting_source s)
{
    static const char *const names[] = {"default", "config file", "environment", "flag", "archive"};
    return names[s];
}

static numeric read_number(const kds_option *o, const char *text)
{
    numeric n = {0, 0};
    if (o->type == KDS_OPTION_INT)
        (void)kds_text_parse_i64(text, &n.integer);
    if (o->type == KDS_OPTION_DURATION)
        (void)kds_text_parse_duration(text, &n.real);
    else
        (void)kds_text_parse_double(text, &n.real);
    return n;
}

kds_code kds_settings_create(kds_settings **out, kds_err *e)
{
    kds_settings *s = calloc(1, sizeof *s);
    if (!s)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    for (int i = 0; kds_options()[i].name; i++)
        s->number[i] = read_number(&kds_options()[i], kds_options()[i].fallback);
    *out = s;
    return KDS_OK;
}

void kds_settings_free(kds_settings *s)
{
    if (!s)
        return;
    for (int i = 0; i < OPTIONS_MAX; i++)
        free(s->text[i]);
    free(s);
}

kds_settings *kds_settings_copy(const kds_settings *from)
{
    kds_settings *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    for (int i = 0; i < OPTIONS_MAX; i++) {
        s->source[i] = from->source[i];
        s->number[i] = from->number[i];
        if (from->text[i] && !(s->text[i] = strdup(from->text[i]))) {
            kds_settings_free(s);
            return NULL;
        }
    }
    return s;
}

static kds_code check_choice(const kds_option *o, const char *value, kds_err *e)
{
    if (kds_text_list_has(o->choices, '|', value))
        return KDS_OK;
    return kds_fail(e, KDS_USAGE, "option --%s: '%s' is none of %s", o->name, value, o->choices);
}

static kds_code check_set(const kds_option *o, const char *value, kds_err *e)
{
    char item[100];
    kds_code code = KDS_OK;
    for (const char *at = value; *value && at && code == KDS_OK;) {
        size_t len = strcspn(at, ",");
        snprintf(item, sizeof item, "%.*s", (int)(len < sizeof item ? len : sizeof item - 1), at);
        code = check_choice(o, item, e);
        at = at[len] ? at + len + 1 : NULL;
    }
    return code;
}

static kds_code check_value(const kds_option *o, const char *value, kds_err *e)
{
    double number = 0;
    int64_t integer = 0;
    bool fits = true;
    switch (o->type) {
    case KDS_OPTION_TEXT:
        number = o->max > 0 ? o->max : 2000;
        if ((double)strlen(value) > number)
            return kds_fail(e, KDS_USAGE, "option --%s: longer than %.0f characters", o->name,
                            number);
        return KDS_OK;
    case KDS_OPTION_CHOICE:
        return check_choice(o, value, e);
    case KDS_OPTION_SET:
        return check_set(o, value, e);
    case KDS_OPTION_BOOL:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return kds_fail(e, KDS_USAGE, "option --%s: '%s' is neither true nor false", o->name,
                            value);
        return KDS_OK;
    case KDS_OPTION_INT:
        fits = kds_text_parse_i64(value, &integer);
        number = (double)integer;
        break;
    case KDS_OPTION_DOUBLE:
        fits = kds_text_parse_double(value, &number);
        break;
    case KDS_OPTION_DURATION:
        fits = kds_text_parse_duration(value, &number);
        break;
    }
    const char *kind = o->type == KDS_OPTION_INT      ? "a whole number"
                       : o->type == KDS_OPTION_DOUBLE ? "a number"
                                                      : "a time such as 90s, 30m or 8h";
    if (!fits)
        return kds_fail(e, KDS_USAGE, "option --%s: '%s' is not %s", o->name, value, kind);
    if (!(number >= o->min && number <= o->max))
        return kds_fail(e, KDS_USAGE, "option --%s: %s is outside %.15g to %.15g", o->name, value,
                        o->min, o->max);
    return KDS_OK;
}

static kds_code unknown_option(const char *name, const char *shown, kds_err *e)
{
    const char *names[OPTIONS_MAX + 1];
    int n = 0;
    for (const kds_option *o = kds_options(); o->name; o++)
        names[n++] = o->name;
    names[n] = NULL;
    const char *near = kds_text_suggest(name, names);
    if (near)
        return kds_fail(e, KDS_USAGE, "no option '%s'; did you mean '%s'?", shown, near);
    return kds_fail(e, KDS_USAGE, "no option '%s'; `kdasearch config` lists them all", shown);
}

kds_code kds_settings_set_from(kds_settings *s, const char *name, const char *value,
                               kds_setting_source source, kds_err *e)
{
    int i = option_index(name);
    if (i < 0)
        return unknown_option(name, name, e);
    const kds_option *o = &kds_options()[i];
    kds_code code = check_value(o, value, e);
    if (code != KDS_OK)
        return code;
    if (s->text[i] && s->source[i] > source)
        return KDS_OK;
    char *copy = strdup(value);
    if (!copy)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    free(s->text[i]);
    s->text[i] = copy;
    s->number[i] = read_number(o, copy);
    s->source[i] = source;
    return KDS_OK;
}

kds_code kds_settings_set(kds_settings *s, const char *name, const char *value, kds_err *e)
{
    return kds_settings_set_from(s, name, value, KDS_FROM_FLAG, e);
}

const char *kds_settings_get(const kds_settings *s, const char *name)
{
    int i = option_index(name);
    if (i < 0)
        return NULL;
    return s->text[i] ? s->text[i] : kds_options()[i].fallback;
}

kds_setting_source kds_settings_source(const kds_settings *s, const char *name)
{
    int i = option_index(name);
    return i >= 0 && s->text[i] ? s->source[i] : KDS_FROM_DEFAULT;
}

const char *kds_settings_text(const kds_settings *s, const char *name)
{
    const char *value = kds_settings_get(s, name);
    return value ? value : "";
}

int64_t kds_settings_int(const kds_settings *s, const char *name)
{
    int i = option_index(name);
    return i >= 0 ? s->number[i].integer : 0;
}

double kds_settings_double(const kds_settings *s, const char *name)
{
    int i = option_index(name);
    return i >= 0 ? s->number[i].real : 0;
}

cJSON *kds_settings_json(const kds_settings *s)
{
    cJSON *object = cJSON_CreateObject();
    for (const kds_option *o = kds_options(); object && o->name; o++)
        if (!kds_json_add_str(object, o->name, kds_settings_text(s, o->name))) {
            cJSON_Delete(object);
            object = NULL;
        }
    return object;
}

kds_code kds_settings_from_json(kds_settings *s, const cJSON *json, kds_err *e)
{
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, json)
    {
        if (!item->string || !cJSON_IsString(item) || !kds_option_find(item->string))
            continue;
        kds_code code =
            kds_settings_set_from(s, item->string, item->valuestring, KDS_FROM_ARCHIVE, e);
        if (code != KDS_OK)
            return kds_err_prefix(e, code, "settings in the archive");
    }
    return KDS_OK;
}

char *kds_settings_config_path(void)
{
    const char *path = getenv(PREFIX "CONFIG");
    if (path && *path)
        return strdup(path);
    const char *xdg = getenv("XDG_CONFIG_HOME");
    if (xdg && *xdg)
        return kds_path_join(xdg, "kdasearch/config.json");
    const char *home = getenv("HOME");
    return home && *home ? kds_path_join(home, ".config/kdasearch/config.json") : NULL;
}

/* One key of the config file: text, number or boolean. */
static kds_code set_from_file(kds_settings *s, const kds_json_doc *doc, const cJSON *item,
                              kds_err *e)
{
    char number[40];
    char *list = NULL;
    const char *value = NULL;
    if (cJSON_IsArray(item) && strcmp(item->string, "models") == 0) {
        if (!(list = kds_json_print(item)))
            return kds_fail(e, KDS_NO_MEMORY, "out of memory");
        value = list;
    } else if (cJSON_IsString(item))
        value = item->valuestring;
    else if (cJSON_IsBool(item))
        value = cJSON_IsTrue(item) ? "true" : "false";
    else if (cJSON_IsNumber(item)) {
        snprintf(number, sizeof number, "%.17g", item->valuedouble);
        value = number;
    } else
        return kds_json_fail(doc, item, e, "must be a text, a number, true or false");
    kds_err why = {0};
    kds_code code = kds_settings_set_from(s, item->string, value, KDS_FROM_FILE, &why);
    free(list);
    if (code != KDS_OK)
        return kds_json_fail(doc, item, e, "%s", why.message);
    return KDS_OK;
}

static kds_code load_file(kds_settings *s, kds_err *e)
{
    char *path = kds_settings_config_path();
    kds_json_doc *doc = NULL;
    kds_code code = KDS_OK;
    const char *named = getenv(PREFIX "CONFIG");
    if (!path || (!kds_path_exists(path) && !(named && *named)))
        goto out;
    if ((code = kds_json_load(&doc, path, 256 << 10, e)) != KDS_OK)
        goto out;
    if (!cJSON_IsObject(kds_json_root(doc))) {
        code = kds_json_fail(doc, kds_json_root(doc), e, "must be an object of options");
        goto out;
    }
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, kds_json_root(doc)) if ((code = set_from_file(s, doc, item, e)) !=
                                                     KDS_OK) break;
out:
    kds_json_free(doc);
    free(path);
    return code;
}

/* KDASEARCH_MAX_TIME -> max-time. */
static void option_name_of_variable(const char *variable, size_t len, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = strlen(PREFIX); i < len && n + 1 < size; i++)
        out[n++] = variable[i] == '_' ? '-' : (char)tolower((unsigned char)variable[i]);
    out[n] = '\0';
}

/* Variables that are not options: the config file's path, and the binary that tests start workers
 * from. */
static bool is_other_variable(const char *entry, size_t len)
{
    static const char *const others[] = {PREFIX "CONFIG", PREFIX "BINARY", PREFIX "SANITIZER",
                                         NULL};
    for (int i = 0; others[i]; i++)
        if (strlen(others[i]) == len && strncmp(entry, others[i], len) == 0)
            return true;
    return false;
}

kds_code kds_settings_load_environment(kds_settings *s, kds_err *e)
{
    kds_code code = load_file(s, e);
    for (char **v = environ; code == KDS_OK && v && *v; v++) {
        if (strncmp(*v, PREFIX, strlen(PREFIX)) != 0)
            continue;
        const char *equals = strchr(*v, '=');
        if (!equals || is_other_variable(*v, (size_t)(equals - *v)))
            continue;
        char name[100], shown[120];
        option_name_of_variable(*v, (size_t)(equals - *v), name, sizeof name);
        snprintf(shown, sizeof shown, "%.*s", (int)(equals - *v), *v);
        if (!kds_option_find(name))
            code = unknown_option(name, shown, e);
        else if ((code = kds_settings_set_from(s, name, equals + 1, KDS_FROM_ENVIRONMENT, e)) !=
                 KDS_OK)
            code = kds_err_prefix(e, code, "%s in the environment", shown);
    }
    return code;
}
