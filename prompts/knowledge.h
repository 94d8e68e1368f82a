/* Knowledge: short notes of ours on what makes kernels fast, each with a rule that decides from a
 * candidate's numbers whether a model is shown it. Notes live in prompts/knowledge/ (its README has
 * the form) and are embedded at build. */
#ifndef KDS_PROMPTS_KNOWLEDGE_H
#define KDS_PROMPTS_KNOWLEDGE_H

#include "prompts/template.h"
#include "search/base/expr.h"
#include "search/base/json.h"

#define KDS_KNOWLEDGE_TITLE 100 /* most bytes of each part */
#define KDS_KNOWLEDGE_EVIDENCE 700
#define KDS_KNOWLEDGE_BODY 1600
#define KDS_KNOWLEDGE_NOTES 128

typedef struct kds_knowledge_note {
    char *name; /* of the file, without .md */
    char *title, *evidence, *body;
    kds_expr *when;
    int names; /* that the rule uses: how specific it is */
} kds_knowledge_note;

typedef struct kds_knowledge {
    kds_knowledge_note notes[KDS_KNOWLEDGE_NOTES]; /* most specific first, then by name */
    int count;
} kds_knowledge;

/* The embedded files; ends with name NULL. */
extern const kds_template kds_knowledge_files[];

/* Reads notes; KDS_INVALID names file and line: no front matter, an unknown or missing key, a part
 * that is empty or too long, two notes of one title, a rule that cannot be read or uses a name that
 * is neither derived (kds_knowledge_name_at) nor `known` (a counter or a fact). */
KDS_MUST_USE kds_code kds_knowledge_load(kds_knowledge **out, const kds_template *files,
                                         bool (*known)(const char *name), kds_err *e);
void kds_knowledge_free(kds_knowledge *k);

/* Names derived from a report, beside its counters and facts. */
typedef struct kds_knowledge_name {
    const char *name, *meaning;
} kds_knowledge_name;
/* The i-th; NULL beyond the last. */
const kds_knowledge_name *kds_knowledge_name_at(int i);
/* The value of a derived name, a counter or a fact in a judge's report; false if the report does
 * not tell. `capability`: of the device, 90 for 9.0; 0 if not known. */
bool kds_knowledge_value(const cJSON *report, int capability, const char *name, double *out);
/* True if a report of a GPU has that value from the simulator ("simulated" of eval/judge.h). */
bool kds_knowledge_is_simulated(const cJSON *report, const char *name);

/* Whether a note's rule holds for a report; `why` gets the values that it used ("sectors_per_load =
 * 4") or what is not known. */
bool kds_knowledge_fits(const kds_knowledge_note *n, const cJSON *report, int capability, char *why,
                        size_t size);
/* Appends the notes that fit as Markdown, most specific first, as many as fit into `cap` bytes.
 * `draw` names one of them as the one to begin with, so that equal questions are not answered
 * equally. Returns how many were written. */
int kds_knowledge_render(const kds_knowledge *k, const cJSON *report, int capability, size_t cap,
                         uint64_t draw, kds_buf *out);

#endif
