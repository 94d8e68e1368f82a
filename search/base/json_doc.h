/* Inside of the JSON modules only: the strict scanner and what a document knows of its values. */
#ifndef KDS_BASE_JSON_DOC_H
#define KDS_BASE_JSON_DOC_H

#include "search/base/json.h"

#define KDS_JSON_DEPTH 64
#define KDS_JSON_NUMBER 60 /* most characters of a number; cJSON reads no more than 63 */
#define KDS_JSON_SAFE 9007199254740991LL /* 2^53 - 1: above it doubles skip integers */

/* Where a value stands: its own line, and its key's line (its own if it has no key). */
typedef struct kds_json_place {
    int line, key_line;
} kds_json_place;

typedef struct kds_json_scan {
    const char *name;
    char *text; /* comments are overwritten by blanks, newlines kept */
    size_t len;
    bool comments;
    kds_json_place *places; /* one per value, in the order of the text; owned by the caller */
    size_t count;
} kds_json_scan;

/* Checks the whole text against RFC 8259 and finds its values. KDS_INVALID names line and column.
 * `places` is to be freed by the caller in any case. */
KDS_MUST_USE kds_code kds_json_scan_text(kds_json_scan *s, kds_err *e);

typedef struct kds_json_entry {
    const cJSON *node, *parent;
    int line, key_line;
    int index;    /* in the parent */
    size_t order; /* in the text */
} kds_json_entry;

struct kds_json_doc {
    char *name;
    cJSON *root;
    kds_json_entry *entries; /* sorted by address of the node */
    size_t count;
};

/* NULL if the node is not of this document (or doc is NULL). */
const kds_json_entry *kds_json_find(const kds_json_doc *doc, const cJSON *node);

#endif
