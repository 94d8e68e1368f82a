/* What the files of the proof share; nobody else includes this. */
#ifndef KDS_ENGINE_PROVE_INTERNAL_H
#define KDS_ENGINE_PROVE_INTERNAL_H

#include "eval/task_mutations.h"
#include "search/engine/evaluate.h"
#include "search/engine/pool.h"
#include "search/engine/prove_task.h"

typedef struct kds_proof {
    const kds_task *task;
    const kds_settings *settings;
    kds_proof_options o;
    kds_evaluator *evaluator;
    kds_pool *pool; /* of prove workers */
    char *program;
    const char *sim; /* the simulated device that rows are proven on */
    char arch[16];
    kds_mutations *mutations; /* NULL: the file is wrong */
    cJSON *report, *findings, *kernels, *refusals, *rows, *inputs, *seed_work;
    /* What workers have told, by the task's order, until all is there. */
    cJSON *kernel_at[17], *mutation_at[KDS_MUTATIONS_MAX], *row_at[KDS_ROWS_MAX];
    kds_compiled *baseline; /* a copy, for the jobs that are made later */
    int next_row;           /* the quick row on which inputs without an effect are tried next */
    kds_err error;          /* what ended the work */
} kds_proof;

/* Adds a finding; `level` is "error" or "warning". */
void kds_proof_add(kds_proof *p, const char *level, const char *where, const char *fmt, ...)
    KDS_PRINTF(4, 5);
/* prove_rules.c: adds the effects that a row has shown to `inputs`. */
KDS_MUST_USE kds_code kds_proof_join(kds_proof *p, const cJSON *row, kds_err *e);
/* prove_rules.c: turns what was gathered into findings. */
KDS_MUST_USE kds_code kds_proof_judge(kds_proof *p, kds_err *e);

#endif
