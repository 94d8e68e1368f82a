/* What the loader accepts but a good task would not have: for `kdasearch lint TASK`. */
#ifndef KDS_EVAL_TASK_LINT_H
#define KDS_EVAL_TASK_LINT_H

#include "eval/task.h"

/* Static checks of a loaded task. *findings is an array of objects {"level": "error" | "warning",
 * "where": file or row, "text"}, owned by the caller (cJSON_Delete); empty if all is well. With an
 * error a campaign should not be started. */
KDS_MUST_USE kds_code kds_task_lint(const kds_task *t, cJSON **findings, kds_err *e);

/* The share of each buffer that is read. */
typedef struct kds_moved {
    double read[KDS_BUFFERS_MAX];
} kds_moved;
/* Bytes that a row moves: its inputs as far as they are read (`shares` NULL: whole) and its
 * outputs, each element once. */
KDS_MUST_USE kds_code kds_task_moved(const kds_task *t, int row, const kds_moved *shares,
                                     double *moved, kds_err *e);

#endif
