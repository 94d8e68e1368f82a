/* What a plan is made of, shared by the files that parse it, check it and bind it; private to them.
 */
#ifndef KDS_EVAL_PLAN_PARTS_H
#define KDS_EVAL_PLAN_PARTS_H

#include "eval/plan.h"

#define KDS_PLAN_DEFINES 32
#define KDS_PLAN_ITEMS (KDS_PLAN_VARIANTS + KDS_PLAN_LAUNCHES + KDS_PLAN_SCRATCH + KDS_PLAN_DEFINES)
#define KDS_PLAN_SHARED (-1) /* variant of what stands before the first `variant` line */
#define KDS_PLAN_SCRATCH_BYTES (INT64_C(16) << 30) /* of one row */

typedef enum kds_part_kind {
    KDS_PART_VARIANT,
    KDS_PART_DEFINE,
    KDS_PART_SCRATCH,
    KDS_PART_LAUNCH
} kds_part_kind;

typedef struct kds_part_arg {
    kds_arg_kind kind;
    int index;       /* buffer of the task, or scratch part of the plan */
    kds_expr *value; /* KDS_ARG_VALUE */
} kds_part_arg;

typedef struct kds_part_launch {
    char *kernel;
    int arg_count;
    kds_part_arg args[KDS_PLAN_ARGS];
    kds_expr *grid[3], *block[3], *cluster[3]; /* absent ones are NULL: 1 */
    kds_expr *shared;                          /* NULL: 0 */
    bool cooperative;
} kds_part_launch;

/* One pragma of the plan, in the order of the text. */
typedef struct kds_part {
    kds_part_kind kind;
    int line;        /* 0 if inherited */
    int variant;     /* that it belongs to, or KDS_PLAN_SHARED; of a variant: its own number */
    char name[64];   /* of variant, define, scratch */
    kds_expr *value; /* when (NULL: always), define's value, scratch's size */
    kds_dtype dtype; /* scratch */
    bool zero;       /* scratch */
    int launch;      /* index into launches */
} kds_part;

struct kds_plan {
    const kds_task *task; /* borrowed */
    bool inherited;       /* the parts come from the parent's source */
    int tunable_count;
    kds_tunable tunables[KDS_TUNABLES];
    int part_count;
    kds_part parts[KDS_PLAN_ITEMS];
    int variant_count, scratch_count, define_count, launch_count;
    kds_part_launch *launches; /* KDS_PLAN_LAUNCHES of them */
    int group_count;
    kds_compile_group
        groups[KDS_PLAN_GROUPS]; /* `defines` are owned, `names` borrow from launches */
    int *row_group;              /* per row of the task */
};

/* A parse under way. Functions that take one return false once the plan is found wrong (f is set)
 * or the program failed (bad is set). */
typedef struct kds_plan_parser {
    kds_plan *p;
    kds_finding *f;
    kds_err *e;
    kds_code bad;
    int variant; /* that parts belong to now */
    kds_part *part;
    char shown[120]; /* the pragma that is being read, for messages */
} kds_plan_parser;

/* Sets the finding with the pragma quoted; returns false. */
bool kds_plan_wrong(kds_plan_parser *x, const char *fmt, ...) KDS_PRINTF(2, 3);
/* Reads one pragma of the plan (not `tune`) into the next part. */
bool kds_plan_read(kds_plan_parser *x, const kds_pragma *pragma);
bool kds_plan_read_launch(kds_plan_parser *x, const char *body);

/* A value as it stands in -D: integers as they are, negative ones in parentheses, doubles as double
 * literals. */
void kds_plan_format_define(kds_buf *out, const char *name, kds_value value);

/* Binds a row and gives the defines that its compilation needs, newline-separated; `defines` may be
 * NULL. */
KDS_MUST_USE kds_code kds_plan_bind_row(const kds_plan *p, int row, kds_binding *out,
                                        kds_buf *defines, kds_finding *f, kds_err *e);

/* ---- Names and text (plan_names.c) ---- */
/* Finds a scratch part that the current variant can see; -1 if there is none. */
int kds_plan_find_scratch(const kds_plan_parser *x, const char *name);
/* Reads a new name for a part or tunable: an identifier that clashes with nothing. */
bool kds_plan_check_new_name(kds_plan_parser *x, const char *what, const char *name);
/* Compiles an expression and checks that every name in it is known where it stands. */
bool kds_plan_expr(kds_plan_parser *x, const char *what, const char *text, size_t len,
                   kds_expr **out);
/* Length of an identifier at `s`, 0 if there is none. */
size_t kds_plan_identifier(const char *s);
/* The bracket that closes the one at `s` ("(" or "["), NULL if none does. */
const char *kds_plan_closing(const char *s);

#endif
