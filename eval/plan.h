/* How a candidate is launched: its #pragma kda lines, parsed against a task and bound to a row. */
#ifndef KDS_EVAL_PLAN_H
#define KDS_EVAL_PLAN_H

#include "eval/finding.h"
#include "eval/task.h"
#include "search/base/lex.h"

#define KDS_PLAN_VARIANTS 16
#define KDS_PLAN_LAUNCHES 32 /* over all variants */
#define KDS_PLAN_ARGS 32
#define KDS_PLAN_SCRATCH 16
#define KDS_PLAN_GROUPS 16 /* compilations of one candidate */

typedef struct kds_plan kds_plan;

/* Parses and checks every pragma: known keyword, names, arguments, expressions (all names resolve
 * for every row), variants, sizes. A source without any launch inherits the plan pragmas (launch,
 * variant, define, scratch) of `parent_source` if that is not NULL. A wrong plan is a finding
 * (plan_invalid with its line), not an error: KDS_OK and *out = NULL. */
KDS_MUST_USE kds_code kds_plan_parse(kds_plan **out, const kds_task *t, const char *source,
                                     size_t len, const char *parent_source, kds_finding *f,
                                     kds_err *e);
void kds_plan_free(kds_plan *p);

int kds_plan_tunable_count(const kds_plan *p);
const kds_tunable *kds_plan_tunable(const kds_plan *p, int i); /* value in force: values[0] */
/* True if the source has no launch of its own and runs by its parent's plan. */
bool kds_plan_is_inherited(const kds_plan *p);
int kds_plan_launch_count(const kds_plan *p);
int kds_plan_variant_count(const kds_plan *p);
int kds_plan_scratch_count(const kds_plan *p); /* declared; a row has those of its variant */

typedef enum kds_arg_kind { KDS_ARG_BUFFER, KDS_ARG_SCRATCH, KDS_ARG_VALUE } kds_arg_kind;
typedef struct kds_arg {
    kds_arg_kind kind;
    int index;       /* of the task's buffer, or into the binding's scratch */
    kds_value value; /* of a scalar, dim, tunable or expression */
} kds_arg;

/* One launch of a row. The kernel is named by an NVRTC name expression with tunables and defines
 * substituted by the compiler, e.g. "rms_rows<VEC, WARPS>". */
typedef struct kds_launch {
    const char *kernel; /* name expression; also the key into kds_compiled */
    int line;
    int64_t grid[3], block[3], cluster[3]; /* cluster all 1 if none */
    int64_t shared_bytes;                  /* dynamic */
    bool cooperative;
    int arg_count;
    kds_arg args[KDS_PLAN_ARGS];
} kds_launch;

typedef struct kds_scratch {
    const char *name;
    kds_dtype dtype;
    int64_t numel; /* at least 1 */
    bool zero;
} kds_scratch;

/* What one row runs. Borrowed strings live as long as the plan. */
typedef struct kds_binding {
    int variant;              /* index, or -1 for the unnamed one */
    const char *variant_name; /* "any"; "" for the unnamed one */
    int group;                /* index of the compilation */
    int launch_count;
    kds_launch launches[KDS_PLAN_LAUNCHES];
    int scratch_count;
    kds_scratch scratch[KDS_PLAN_SCRATCH];
} kds_binding;

/* Binds the plan to row `row` (index into t->rows). A row for which no variant holds, or whose
 * grid, block, cluster or shared memory is out of CUDA's bounds (1..2^31-1 x 65535 x 65535; 1..1024
 * threads; cluster <= 8; 227 KiB) is a finding: KDS_OK with f->verdict set. */
KDS_MUST_USE kds_code kds_plan_bind(const kds_plan *p, int row, kds_binding *out, kds_finding *f,
                                    kds_err *e);

/* One compilation: -D definitions ("VEC=8", "COLS=128"; tunables first) and the name expressions
 * wanted. */
typedef struct kds_compile_group {
    int define_count;
    const char *defines[KDS_TUNABLES + 32];
    int name_count;
    const char *names[KDS_PLAN_LAUNCHES];
    bool hidden; /* only held-out rows need it: what goes wrong in it must not be told */
} kds_compile_group;
int kds_plan_group_count(const kds_plan *p);
const kds_compile_group *kds_plan_group(const kds_plan *p, int i);

#endif
