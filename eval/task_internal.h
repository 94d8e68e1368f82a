/* What the files of the task loader share; nobody else includes this. */
#ifndef KDS_EVAL_TASK_INTERNAL_H
#define KDS_EVAL_TASK_INTERNAL_H

#include "eval/task.h"

#define KDS_TASK_JSON_CAP (1u << 20)
#define KDS_TASK_BYTES_CAP (INT64_C(16) << 30) /* of one buffer */
#define KDS_TASK_EXPRS                                                                             \
    (KDS_BUFFERS_MAX * (2 * KDS_RANK_MAX + 2) + KDS_SCALARS_MAX + KDS_AXES_MAX + 3)

/* Names and texts of a task are borrowed from its two documents, which live as long as the task. */
struct kds_task_private {
    kds_json_doc *task_doc, *rows_doc;
    int expr_count;
    struct {
        kds_expr *x;
        const cJSON *node; /* where it stands in task.json */
    } exprs[KDS_TASK_EXPRS];
};

/* A load in progress. `names` is what expressions may use so far, NULL-terminated. */
typedef struct kds_task_loader {
    kds_task *t;
    const kds_json_doc *doc; /* being read */
    kds_err *e;
    int name_count;
    const char *names[KDS_DIMS_MAX + KDS_SCALARS_MAX + 1];
} kds_task_loader;

/* task_load.c: JSON helpers that name file, line and key. */
bool kds_task_is_identifier(const char *s);
/* Index of `text` in `names`, or -1 with the error set ("unknown role 'inn'; did you mean 'in'?").
 */
int kds_task_choose(kds_task_loader *l, const cJSON *node, const char *what, const char *text,
                    const char *const *names);
/* Compiles a string or a number; every name must be one of `names`. The task owns the result. */
kds_code kds_task_read_expr(kds_task_loader *l, const cJSON *node, const char *const *names,
                            kds_expr **out);

void kds_task_free_lists(kds_row *row);

/* The steps of a load, in this order. */
kds_code kds_task_read_buffers(kds_task_loader *l, const cJSON *array); /* task_buffers.c */
kds_code kds_task_read_regimes(kds_task_loader *l, const cJSON *array); /* may be NULL */
kds_code kds_task_read_axes(kds_task_loader *l,
                            const cJSON *object);      /* task_axes.c; NULL: default */
kds_code kds_task_read_rows(kds_task_loader *l);       /* task_rows.c */
kds_code kds_task_check_rows(kds_task_loader *l);      /* task_check.c */
kds_code kds_task_read_files(kds_task *t, kds_err *e); /* task_files.c */

extern const char *const kds_dtype_names[]; /* NULL-terminated, in the order of kds_dtype */

#endif
