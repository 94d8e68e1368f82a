/* JSON over cJSON, for two kinds of text: files that people write (comments allowed, every error
 * names file, line and key, with a suggestion) and records that we write ourselves. Parsing is
 * strict: unknown or duplicate keys, wrong types and missing fields are errors. Integers above 2^53
 * travel as strings. */
#ifndef KDS_BASE_JSON_H
#define KDS_BASE_JSON_H

#include "search/base/buf.h"
#include "search/base/id.h"
#include <cjson/cJSON.h>

/* A parsed document with the positions of its values. */
typedef struct kds_json_doc kds_json_doc;

/* Parses `text` of `len` bytes; `name` is shown in errors ("kernels/x/task.json"). Duplicate keys
 * anywhere, nesting deeper than 64, invalid UTF-8, text after the value, NUL bytes: KDS_INVALID
 * with name:line. Comments are allowed if `comments`. */
KDS_MUST_USE kds_code kds_json_parse(kds_json_doc **out, const char *name, const char *text,
                                     size_t len, bool comments, kds_err *e);
/* Reads and parses a file, comments allowed, at most `cap` bytes. */
KDS_MUST_USE kds_code kds_json_load(kds_json_doc **out, const char *path, size_t cap, kds_err *e);
void kds_json_free(kds_json_doc *doc);
const cJSON *kds_json_root(const kds_json_doc *doc);
/* 1-based line of a value in the text; 0 if it is not of this document. */
int kds_json_line(const kds_json_doc *doc, const cJSON *node);
/* Fails with "name:line: key 'a.b[2]': " and the text. Returns KDS_INVALID. */
kds_code kds_json_fail(const kds_json_doc *doc, const cJSON *node, kds_err *e, const char *fmt, ...)
    KDS_PRINTF(4, 5);

/* A reader over one object with a sticky error: take every known key, then kds_json_done, which
 * reports the first error (wrong type, unknown key with "did you mean") in file order, else what is
 * missing. Getters give the default after an error: 0 (or the nearest bound), "", false, NULL.
 * `bad` may be looked at before that; then `e` holds what was found so far. */
typedef struct kds_json_reader {
    const kds_json_doc *doc;
    const cJSON *object;
    kds_err *e;
    kds_code bad;
    size_t bad_order; /* where in the text the error in `e` belongs */
    const char *known[64];
    int known_count;
} kds_json_reader;

void kds_json_reader_init(kds_json_reader *r, const kds_json_doc *doc, const cJSON *object,
                          kds_err *e);
/* Required: an absent key is an error. Strings are borrowed from the document. */
const char *kds_json_need_string(kds_json_reader *r, const char *key);
int64_t kds_json_need_int(kds_json_reader *r, const char *key, int64_t min, int64_t max);
double kds_json_need_double(kds_json_reader *r, const char *key, double min, double max);
const cJSON *kds_json_need_array(kds_json_reader *r, const char *key);
const cJSON *kds_json_need_object(kds_json_reader *r, const char *key);
/* Optional: the default if absent. */
const char *kds_json_opt_string(kds_json_reader *r, const char *key, const char *fallback);
int64_t kds_json_opt_int(kds_json_reader *r, const char *key, int64_t min, int64_t max,
                         int64_t fallback);
double kds_json_opt_double(kds_json_reader *r, const char *key, double min, double max,
                           double fallback);
bool kds_json_opt_bool(kds_json_reader *r, const char *key, bool fallback);
const cJSON *kds_json_opt_array(kds_json_reader *r, const char *key);
const cJSON *kds_json_opt_object(kds_json_reader *r, const char *key);
const cJSON *kds_json_opt_any(kds_json_reader *r, const char *key);
/* Ends reading: KDS_OK, or KDS_INVALID with the first error. */
KDS_MUST_USE kds_code kds_json_done(kds_json_reader *r);

/* Lenient access to our own records: NULL-safe, default on absence or wrong type. */
const char *kds_json_str(const cJSON *object, const char *key, const char *fallback);
double kds_json_num(const cJSON *object, const char *key, double fallback);
int64_t kds_json_int(const cJSON *object, const char *key,
                     int64_t fallback); /* number or decimal string */
bool kds_json_bool(const cJSON *object, const char *key, bool fallback);
const cJSON *kds_json_at(const cJSON *object, const char *key); /* NULL if absent */
bool kds_json_id(const cJSON *object, const char *key, kds_id *out);

/* Building: like cJSON_Add*ToObject, returning false when out of memory. */
bool kds_json_add_str(cJSON *object, const char *key,
                      const char *value); /* NULL is stored as null */
bool kds_json_add_num(cJSON *object, const char *key,
                      double value); /* not finite: stored as null */
bool kds_json_add_int(cJSON *object, const char *key, int64_t value); /* above 2^53: as a string */
bool kds_json_add_bool(cJSON *object, const char *key, bool value);
bool kds_json_add_id(cJSON *object, const char *key, kds_id value);
/* Compact text, owned by the caller (free()); NULL if out of memory. Doubles round-trip. */
char *kds_json_print(const cJSON *value);
char *kds_json_print_pretty(const cJSON *value);
/* Parses our own record text, no positions; NULL if it is not JSON. Free with cJSON_Delete. */
cJSON *kds_json_parse_record(const char *text, size_t len);

#endif
