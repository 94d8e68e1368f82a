/* Templates: text with placeholders, embedded at build from prompts/templates/. {{name}} is
 * replaced by a field; {{#name}} ... {{/name}} is kept only if the field is not empty (not nested
 * in itself; a tag alone on its line takes the line with it). Everything is strict: an unknown
 * name, a tag that is not closed, a section that does not match is an error with template and line.
 * Inserted text is never scanned. */
#ifndef KDS_PROMPTS_TEMPLATE_H
#define KDS_PROMPTS_TEMPLATE_H

#include "search/base/buf.h"
#include "search/base/id.h"

typedef struct kds_template {
    const char *name; /* "mutate.md" */
    const unsigned char *text;
    size_t len;
} kds_template;

/* All of them; ends with name NULL. */
extern const kds_template kds_templates[];
/* The template of that name in `set` (ends with name NULL; NULL: none), else the embedded one; NULL
 * if there is neither. */
const kds_template *kds_template_find(const kds_template *set, const char *name);

/* Reads the files of a folder, each of which takes the place of the embedded template of its name.
 * A file of another name, more than 64 KiB, text that is not UTF-8, a wrong placeholder, a user.md
 * without instruction, source or card, a guide.md without card or guidance, an empty folder:
 * KDS_INVALID or KDS_TOO_LARGE with file and line. Freed with kds_template_set_free(). */
KDS_MUST_USE kds_code kds_template_set_load(kds_template **out, const char *dir, kds_err *e);
void kds_template_set_free(kds_template *set); /* NULL is allowed */
/* A hash over names and texts; zero if out of memory. */
kds_id kds_template_set_hash(const kds_template *set);

typedef struct kds_field {
    const char *name;
    const char *text; /* NULL: empty */
    size_t len;
} kds_field;

/* Appends the template with its placeholders filled. `name` is for errors (KDS_INVALID). */
KDS_MUST_USE kds_code kds_template_render(kds_buf *out, const char *name, const char *text,
                                          size_t len, const kds_field *fields, int count,
                                          kds_err *e);

#endif
