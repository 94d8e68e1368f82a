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

/* Makes one child of ask->parent by ask->operator_name ("tune", "crossover", "rewrite"). A pure
 * function of ask, the random stream and what `known` answers. *made is false if nothing new is
 * left to try with this operator on this parent (a tune sweep is exhausted, no rewrite applies).
 * `hypothesis` gets one line: what was changed and what it should do. Cost is linear in the source
 * for each of at most 64 attempts. */
KDS_MUST_USE kds_code kds_builtin_propose(const kds_ask *ask, kds_random *random,
                                          kds_builtin_known *known, void *user, kds_buf *source,
                                          kds_buf *hypothesis, bool *made, kds_err *e);
/* Names and one-line descriptions of the rewrite catalogue, for docs and `config`; NULL at the end.
 */
const char *kds_builtin_rewrite_name(int i);
const char *kds_builtin_rewrite_text(int i);

#endif
