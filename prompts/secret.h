/* A secret that cannot be printed: opaque, read from an environment variable, wiped when freed, and
 * removable from any text that it may have got into. */
#ifndef KDS_PROMPTS_SECRET_H
#define KDS_PROMPTS_SECRET_H

#include "search/base/buf.h"

typedef struct kds_secret kds_secret;

/* Shorter values ("EMPTY", "x": what local servers take) are sent but not scrubbed: they are no
 * secrets, and scrubbing them would eat ordinary words. */
#define KDS_SECRET_LEAST 8
#define KDS_SECRET_CAP 4096

/* Reads variable `name`. KDS_INVALID: not a variable's name (then it is not shown: it may be the
 * key itself), unset, empty, too long, or holding anything but printable ASCII without blanks. */
KDS_MUST_USE kds_code kds_secret_from_env(kds_secret **out, const char *name, kds_err *e);
void kds_secret_free(kds_secret *s);
/* Replaces every occurrence by "[key]", in place, also where characters of it are written as JSON
 * or URL escapes; returns how many there were. `s` may be NULL. */
size_t kds_secret_scrub(const kds_secret *s, kds_buf *text);
/* The key after `prefix` ("Authorization: Bearer "), for libcurl. The caller wipes it with
 * kds_secret_wipe and frees it. NULL if out of memory. */
char *kds_secret_header(const kds_secret *s, const char *prefix);
void kds_secret_wipe(char *text);

#endif
