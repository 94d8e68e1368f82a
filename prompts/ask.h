/* What the engine asks a proposer for: one child, by one operator, from one or two parents, or
 * (operator guide) an edit of the guidance that prompts for children carry. Plain borrowed values;
 * the same ask is rendered for a model or answered by the built-in proposer. */
#ifndef KDS_PROMPTS_ASK_H
#define KDS_PROMPTS_ASK_H

#include "search/base/json.h"
#include "search/base/lex.h"

typedef struct kds_ask_parent {
    const char *id; /* 32 digits */
    const char *source;
    size_t source_len;
    const cJSON *report;    /* the judge's report (eval/judge.h); NULL if there is none */
    const cJSON *before;    /* the report of its own parent; NULL if there is none */
    const char *hypothesis; /* of the edit that made it; may be NULL */
} kds_ask_parent;

typedef struct kds_ask_note {
    const char *hypothesis, *outcome; /* "vectorise the stores", "1.31x, accepted" */
} kds_ask_note;

typedef struct kds_ask_guidance {
    const char *text, *score; /* "12 children, 3 accepted" */
} kds_ask_guidance;

typedef struct kds_ask {
    uint64_t decision;
    const char *operator_name; /* mutate, repair, crossover, explore, simplify, tune, rewrite,
                                  guide */
    const char *task_name, *task_function, *task_card;
    const char *device; /* "sim:h200 (modelled times)" */
    kds_ask_parent parent;
    kds_ask_parent other;      /* crossover; source NULL if none */
    const char *failure;       /* repair, and a reply that could not be used: what was wrong */
    const char *target;        /* explore: the cell in words */
    const kds_ask_note *notes; /* oldest first */
    int note_count;
    kds_ask_guidance guidance;         /* told, or of guide to be edited; text NULL: none */
    const kds_ask_guidance *guidances; /* of guide: the others in use, best first */
    int guidance_count;
    const char *unguided; /* of guide: the score of prompts without any; may be NULL */
    const struct kds_knowledge *knowledge; /* what may be told; NULL for nothing */
    size_t knowledge_bytes;
    const struct kds_template *templates; /* that take the place of embedded ones; NULL for none */
    int capability;                       /* of the device, 90 for 9.0; 0 if not known */
} kds_ask;

#endif
