/* The one options table: names, types, bounds, defaults and help, from which the command line, the
 * environment, the config file, `--help`, `config` and the record in the archive all derive.
 * Precedence: flag > environment > config file > default. */
#ifndef KDS_ENGINE_SETTINGS_H
#define KDS_ENGINE_SETTINGS_H

#include "search/base/json.h"

typedef enum kds_option_type {
    KDS_OPTION_TEXT,
    KDS_OPTION_INT,
    KDS_OPTION_DOUBLE,
    KDS_OPTION_DURATION, /* "8h"; kept as seconds */
    KDS_OPTION_BOOL,
    KDS_OPTION_CHOICE, /* one of `choices` */
    KDS_OPTION_SET     /* some of `choices`, separated by commas; or "" */
} kds_option_type;

/* Which commands take an option (bits), for help and refusal. */
#define KDS_FOR_RUN 1u
#define KDS_FOR_RESUME 2u /* may change at resume */
#define KDS_FOR_EVAL 4u
#define KDS_FOR_BENCH 8u

typedef struct kds_option {
    const char *name; /* "max-time"; environment KDASEARCH_MAX_TIME; config key "max-time" */
    kds_option_type type;
    const char *fallback; /* default as text; "" for none */
    double min, max;      /* numbers */
    const char *choices;  /* "endpoint|mailbox|builtin" */
    unsigned commands;
    const char *value_name; /* "SECONDS" in help */
    const char *help;
} kds_option;

/* The table; ends with name NULL. */
const kds_option *kds_options(void);
const kds_option *kds_option_find(const char *name);

typedef enum kds_setting_source {
    KDS_FROM_DEFAULT,
    KDS_FROM_FILE,
    KDS_FROM_ENVIRONMENT,
    KDS_FROM_FLAG,
    KDS_FROM_ARCHIVE
} kds_setting_source;
const char *kds_setting_source_name(kds_setting_source s);

KDS_MUST_USE kds_code kds_settings_set_from(kds_settings *s, const char *name, const char *value,
                                            kds_setting_source source, kds_err *e);
kds_setting_source kds_settings_source(const kds_settings *s, const char *name);
/* Reads KDASEARCH_* variables (an unknown one is KDS_USAGE with a suggestion) and the config file
 * ($KDASEARCH_CONFIG, else $XDG_CONFIG_HOME/kdasearch/config.json, else
 * ~/.config/kdasearch/config.json; JSON object of option names, comments allowed). */
KDS_MUST_USE kds_code kds_settings_load_environment(kds_settings *s, kds_err *e);
/* The path of the config file that would be read; owned by the caller. */
char *kds_settings_config_path(void);

const char *kds_settings_text(const kds_settings *s, const char *name); /* "" if unset */
int64_t kds_settings_int(const kds_settings *s, const char *name);
double kds_settings_double(const kds_settings *s, const char *name); /* durations in seconds */
/* All options as a JSON object of texts, for the record; and back (unknown names of a newer version
 * are ignored). */
cJSON *kds_settings_json(const kds_settings *s);
KDS_MUST_USE kds_code kds_settings_from_json(kds_settings *s, const cJSON *json, kds_err *e);
kds_settings *kds_settings_copy(const kds_settings *s); /* NULL if out of memory */

#endif
