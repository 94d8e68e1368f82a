/* The names that a descriptor's expressions may use: counters and facts of a judged candidate. The
 * judge must supply every one of them. */
#ifndef KDS_EVAL_DESCRIPTOR_NAMES_H
#define KDS_EVAL_DESCRIPTOR_NAMES_H

#include "search/base/err.h"

/* All of them, NULL-terminated, counters first. */
const char *const *kds_descriptor_names(void);
bool kds_descriptor_name_known(const char *name);

#endif
