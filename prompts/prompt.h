/* Rendering an ask into the text that a model reads. Templates live in prompts/templates/ and are
 * embedded at build. */
#ifndef KDS_PROMPTS_PROMPT_H
#define KDS_PROMPTS_PROMPT_H

#include "prompts/ask.h"

/* Renders the system and the user text. Placeholders are {{name}}; an unknown one is KDS_INVALID
 * with template and line. Inserted text is never scanned for placeholders. Long parts are cut in a
 * fixed order to stay below `cap` bytes; the parent's source is never cut. */
KDS_MUST_USE kds_code kds_prompt_render(const kds_ask *ask, size_t cap, kds_buf *system,
                                        kds_buf *user, kds_err *e);

#endif
