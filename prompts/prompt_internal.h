/* What the files of prompt rendering share. */
#ifndef KDS_PROMPTS_PROMPT_INTERNAL_H
#define KDS_PROMPTS_PROMPT_INTERNAL_H

#include "prompts/knowledge.h"
#include "prompts/prompt.h"
#include "prompts/template.h"

/* Appends what a judge's report says in numbers, as Markdown: verdict, fitness, rows with their
 * bound, how it works (and how it was before its last edit, if `before` is not NULL), facts,
 * counters. Held-out rows are told as passed or failed only. Nothing for NULL. */
void kds_prompt_numbers(kds_buf *out, const cJSON *report, const cJSON *before);

/* Whether all placeholders and sections of a template are right. `name` is for errors. */
KDS_MUST_USE kds_code kds_prompt_check_template(const char *name, const char *text, size_t len,
                                                kds_err *e);

#endif
