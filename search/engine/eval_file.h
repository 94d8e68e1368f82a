/* Judging sources outside any campaign. */
#ifndef KDS_ENGINE_EVAL_FILE_H
#define KDS_ENGINE_EVAL_FILE_H

#include "search/engine/evaluate.h"

typedef struct kds_eval_source {
    const char *name; /* shown in the report */
    const char *source;
    size_t len;
} kds_eval_source;

/* Gets each report in turn (eval/judge.h, plus file, task, candidate, compile{}); it lives during
 * the call. */
typedef kds_code kds_eval_fn(void *user, const kds_eval_source *source, const cJSON *report,
                             kds_err *e);
/* Judges them one after another on one device. KDS_INVALID if the task's own kernels do not pass.
 */
KDS_MUST_USE kds_code kds_eval_sources(const kds_task *task, const kds_settings *s,
                                       const kds_eval_source *sources, int count, kds_eval_fn *fn,
                                       void *user, kds_err *e);

#endif
