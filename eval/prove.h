/* What a task's own baseline tells about the task, row by row on the simulator, whatever device the
 * task is judged on: which inputs and scalars its outputs depend on, whether the outputs have
 * values that a tolerance can tell apart, and what it must move and compute, against the task's
 * formulas. For `kdasearch lint`; runs inside a prove worker. */
#ifndef KDS_EVAL_PROVE_H
#define KDS_EVAL_PROVE_H

#include "eval/compile.h"

typedef struct kds_prove_options {
    const char *device; /* "sim", "sim:h200" */
    const char *arch;   /* what the kernel was compiled for */
    int row;
    int kernel; /* 0: the baseline; k: seed k - 1, of which only the work is looked at */
    /* Run with these inputs and scalars changed (names, a comma between; "*": all). NULL: look at
     * outputs, traffic and work instead. */
    const char *inputs;
} kds_prove_options;

/* One row as a job for the worker. */
KDS_MUST_USE kds_code kds_prove_job(kds_frame *out, const char *task_dir,
                                    const kds_prove_options *o, const kds_compiled *kernel,
                                    kds_err *e);

/* Rows that are small enough to be run whole, many times over with changed inputs, or once to
 * count. */
#define KDS_PROVE_INPUTS_MOST (UINT64_C(8) << 20) /* bytes of its buffers */
#define KDS_PROVE_COUNT_MOST (UINT64_C(128) << 20)
KDS_MUST_USE kds_code kds_prove_bytes(const kds_task *t, int row, uint64_t *bytes, kds_err *e);

#define KDS_PROVE_ALL "*"

/* Proves one row. `spare` is the same task loaded once more: it is changed and restored. `n` (may
 * be NULL) compiles what a changed scalar changes. *out, owned by the caller:
 * - row, set, verdict ("ok", or what the baseline ended in), message;
 * - outputs[], of the plain inputs: name, elements, finite, min, max, mean, std, and `apart`: the
 *   share of elements that a constant of the mean would get wrong by the tolerance;
 * - effects[], where inputs were asked for, and then nothing else: name, kind ("buffer", "scalar"
 * or "size": it shapes the buffers and is not changed), effect (false: no output changed beyond
 * tolerance; null: not changed), change, seen (where it showed);
 * - traffic: formula, counted (bytes), buffers[] {name, read, written}: the shares of the sectors
 *   of each buffer that were touched; varies: other values of the inputs touch another amount
 *   (looked at on rows that are not production);
 * - work: formula, counted: operations on floating-point numbers (sim/flops.h) outside of matrix
 *   products; tensor_formula, tensor_counted: in them. */
KDS_MUST_USE kds_code kds_prove_row(const kds_task *t, kds_task *spare, const kds_prove_options *o,
                                    const kds_compiled *kernel, kds_nvrtc *n, cJSON **out,
                                    kds_err *e);

#endif
