/* The proposer without a model: tunable sweeps, crossover of tunables, and a catalogue of source
 * rewrites. The default when no endpoint is configured, and the control that a model has to beat.
 */
#ifndef KDS_PROMPTS_BUILTIN_H
#define KDS_PROMPTS_BUILTIN_H

#include "prompts/ask.h"
#include "search/base/random.h"

/* True if a source has been proposed before; the built-in proposer then looks further. `norm` is
 * the id of the token-normalised text. */
typedef bool kds_builtin_known(void *user, kds_id norm);

/* Where a child is put: its source; one line of what was changed and what it should do; and, unless
 * it is NULL, the source's normal form (kds_lex_normalize). Nothing is written if none is made. */
typedef struct kds_proposal {
    kds_buf *source, *hypothesis, *normal;
} kds_proposal;

/* Makes one child of ask->parent by ask->operator_name ("tune", "crossover", "rewrite"). A pure
 * function of ask, the random stream and what `known` answers. *made is false if nothing new is
 * left to try with this operator on this parent (a tune sweep is exhausted, no rewrite applies).
 * Cost is linear in the source for each of at most 64 attempts. */
KDS_MUST_USE kds_code kds_builtin_propose(const kds_ask *ask, kds_random *random,
                                          kds_builtin_known *known, void *user,
                                          const kds_proposal *out, bool *made, kds_err *e);
/* One configuration of the tunables of ask->parent, for a sweep. With `spread` points: the next new
 * one of so many that are spread over the space by `random`, which must be the same stream every
 * time; all points if there are no more. With 0: a new neighbour of the parent's point, one step in
 * one tunable. *made is false if there is none. */
KDS_MUST_USE kds_code kds_builtin_sweep(const kds_ask *ask, int spread, kds_random *random,
                                        kds_builtin_known *known, void *user,
                                        const kds_proposal *out, bool *made, kds_err *e);
/* What a source is whatever values of its tunables are in force: the id of its normal form
 * (kds_lex_normalize) with the least of each. *points: of its space, capped at INT32_MAX; 1 if it
 * has no tunables, or they cannot be read. */
KDS_MUST_USE kds_code kds_builtin_structure(const char *normal, size_t len, kds_id *structure,
                                            int64_t *points, kds_err *e);
/* Names and one-line descriptions of the rewrite catalogue, for docs and `config`; NULL at the end.
 */
const char *kds_builtin_rewrite_name(int i);
const char *kds_builtin_rewrite_text(int i);

#endif
