/* Rendering an ask into the text that a model reads. Templates live in prompts/templates/ and are
 * embedded at build; an ask may bring others. */
#ifndef KDS_PROMPTS_PROMPT_H
#define KDS_PROMPTS_PROMPT_H

#include "prompts/ask.h"

/* Renders the system and the user text (buffers initialised by the caller, emptied first) for
 * operator mutate, repair (needs a failure), crossover (a second parent), explore (a target),
 * simplify or guide (no parent is needed); anything else, or a wrong template, is KDS_INVALID with
 * template and line. Inserted text is never scanned for placeholders. To keep both together within
 * `cap` bytes, notes are left out from the oldest on, then knowledge from the least specific on,
 * then guidance (of guide: the others from the worst on, never the one to edit), then the card is
 * cut, then the failure; sources and numbers are never cut: KDS_TOO_LARGE if that is not enough. */
KDS_MUST_USE kds_code kds_prompt_render(const kds_ask *ask, size_t cap, kds_buf *system,
                                        kds_buf *user, kds_err *e);

#endif
