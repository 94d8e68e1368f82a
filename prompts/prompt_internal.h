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

/* Appends a text in a fence that nothing in it can close, without a newline behind. */
void kds_prompt_fence(kds_buf *out, const char *info, const char *s, size_t len);
/* Appends untrusted text as one line, escaped and shortened. */
void kds_prompt_line(kds_buf *out, const char *s);
/* Appends the first `count` guidances, each with its score. */
void kds_prompt_guidances(kds_buf *out, const kds_ask_guidance *list, int count);

/* Whether all placeholders and sections of a template are right. `name` is for errors. */
KDS_MUST_USE kds_code kds_prompt_check_template(const char *name, const char *text, size_t len,
                                                kds_err *e);

#endif
