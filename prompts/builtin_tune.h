/* Operators over tunables: tune and crossover. Private to prompts. */
#ifndef KDS_PROMPTS_BUILTIN_TUNE_H
#define KDS_PROMPTS_BUILTIN_TUNE_H

#include "prompts/builtin.h"

#define KDS_CHILD_TRIED 64

/* Takes over a child if it is new: true (and *made) if it was. */
typedef struct kds_child {
    const char *parent;
    size_t parent_len;
    kds_builtin_known *known;
    void *user;
    const kds_proposal *out;
    kds_buf candidate, words, norm; /* scratch: the child under trial, its hypothesis */
    kds_id tried[KDS_CHILD_TRIED];  /* texts that were not new; the first so many */
    int tried_count;
    bool made;
} kds_child;
/* True if a text with this normal form is new. */
bool kds_child_is_new(const kds_child *c, const char *norm, size_t len);
/* Tries `candidate` with `words`: accepted into source and hypothesis if it differs from the parent
 * and is not known. Empties both. */
KDS_MUST_USE kds_code kds_child_try(kds_child *c, kds_err *e);

KDS_MUST_USE kds_code kds_builtin_tune(const kds_ask *ask, kds_random *random, kds_child *c,
                                       kds_err *e);
KDS_MUST_USE kds_code kds_builtin_crossover(const kds_ask *ask, kds_random *random, kds_child *c,
                                            kds_err *e);
KDS_MUST_USE kds_code kds_builtin_spread(const kds_ask *ask, int samples, kds_random *random,
                                         kds_child *c, kds_err *e);
KDS_MUST_USE kds_code kds_builtin_neighbour(const kds_ask *ask, kds_random *random, kds_child *c,
                                            kds_err *e);

#endif
