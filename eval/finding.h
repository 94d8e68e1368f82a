/* A finding: why a candidate stopped, as data. What the model, the archive and the user read. */
#ifndef KDS_EVAL_FINDING_H
#define KDS_EVAL_FINDING_H

#include "search/base/json.h"

#define KDS_FINDING_TEXT 3000

typedef struct kds_finding {
    kds_verdict verdict; /* KDS_VERDICT_OK: nothing found */
    const char
        *stage; /* "lint", "plan", "compile", "safety", "correctness", "held_out", ...; static */
    int line;   /* in the candidate's source, 1-based; 0 if it has none */
    char text[KDS_FINDING_TEXT]; /* what is wrong and what would be right; escaped UTF-8 */
} kds_finding;

void kds_finding_clear(kds_finding *f);
/* Sets all fields; the text is escaped and cut to fit. */
void kds_finding_set(kds_finding *f, kds_verdict v, const char *stage, int line, const char *fmt,
                     ...) KDS_PRINTF(5, 6);

#endif
