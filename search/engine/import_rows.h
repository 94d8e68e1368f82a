/* Rows of another project as rows of a task. Understood are files with an array of rows at the top,
 * under "rows" or "workloads", or of one task of several ("file.json#task" takes tasks.task.rows).
 * Of a row are used: id or name; a dim's own name (also within "dims" or "scalars"); a buffer's
 * shape as NAME_shape, shapes.NAME, NAME.shape or an array NAME, whose elements are matched with
 * the dims of the task's shape; dtypes likewise; seed; rows with "production": false are left out.
 */
#ifndef KDS_ENGINE_IMPORT_ROWS_H
#define KDS_ENGINE_IMPORT_ROWS_H

#include "eval/task.h"

/* *out, owned by the caller: rows[] as bench/workloads.json has them, the first one profiled;
 * skipped[] {row, why}. KDS_INVALID: no row can be mapped; the message says why for the
 * first. */
KDS_MUST_USE kds_code kds_import_rows(const kds_task *t, const char *path, cJSON **out, kds_err *e);

#endif
