/* Mistakes that a task's gate must refuse: bench/mutations.json, small changes of the baseline.
 * Only `kdasearch lint` reads it; it is no part of the task's hash and no campaign depends on it.
 */
#ifndef KDS_EVAL_TASK_MUTATIONS_H
#define KDS_EVAL_TASK_MUTATIONS_H

#include "eval/task.h"

#define KDS_MUTATIONS_MAX 64
#define KDS_MUTATIONS_LEAST 6 /* fewer prove little */
#define KDS_MUTATIONS_FILE "bench/mutations.json"

typedef struct kds_mutation {
    const char *what;      /* the mistake, for people: "eps dropped" */
    const char *from, *to; /* `from` stands in the baseline exactly once */
} kds_mutation;

typedef struct kds_mutations {
    int count; /* 0 also where there is no file */
    kds_mutation items[KDS_MUTATIONS_MAX];
    kds_json_doc *doc; /* the texts are borrowed from it */
} kds_mutations;

/* Reads and checks the file of a loaded task. No file: none. KDS_INVALID with file, line and key.
 */
KDS_MUST_USE kds_code kds_mutations_load(kds_mutations **out, const kds_task *t, kds_err *e);
void kds_mutations_free(kds_mutations *m);
/* The baseline with the change made, owned by the caller; NULL: out of memory. */
char *kds_mutation_apply(const kds_task *t, const kds_mutation *m);

#endif
