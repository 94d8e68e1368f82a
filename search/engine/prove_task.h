/* The proof of a task: its own kernels through the gate, every listed mistake refused by it, every
 * input of an effect, outputs that a tolerance can tell apart, formulas that agree with what the
 * baseline moves. `kdasearch lint`. */
#ifndef KDS_ENGINE_PROVE_TASK_H
#define KDS_ENGINE_PROVE_TASK_H

#include "eval/task.h"
#include "search/engine/settings.h"

typedef struct kds_proof_options {
    bool quick;          /* judge on the quick rows only */
    bool skip_mutations; /* leave these parts out */
    bool skip_inputs;
} kds_proof_options;

/* Proves a loaded task on the device of the settings, with all workers side by side. *out, owned by
 * the caller, whatever was found:
 * - task, device, quick, errors, warnings;
 * - findings[]: level ("error", "warning"), where, text: everything that is wrong;
 * - kernels[]: the reports of the baseline and the seeds (eval/judge.h, and file);
 * - mutations[]: what, verdict, stage, message, refused;
 * - inputs[]: name, kind, effect, change, seen, row (eval/prove.h, joined over the rows);
 * - rows[]: what a prove worker found (eval/prove.h), and in traffic `judged`: by the 2 % rule.
 * KDS_INVALID: baseline or reference do not compile or do not pass their own gate. */
KDS_MUST_USE kds_code kds_prove_task(const kds_task *t, const kds_settings *s,
                                     const kds_proof_options *o, cJSON **out, kds_err *e);

#endif
