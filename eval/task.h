/* A task: one function with one C signature, its buffers and scalars, its workload rows, its
 * tolerances. Loaded from a folder (see kernels/README.md for the files and the JSON), immutable
 * afterwards. */
#ifndef KDS_EVAL_TASK_H
#define KDS_EVAL_TASK_H

#include "search/base/expr.h"
#include "search/base/json.h"

typedef enum kds_dtype {
    KDS_DTYPE_F32,
    KDS_DTYPE_F16,
    KDS_DTYPE_BF16,
    KDS_DTYPE_I32,
    KDS_DTYPE_I64,
    KDS_DTYPE_U8,
    KDS_DTYPE_F64
} kds_dtype;

size_t kds_dtype_size(kds_dtype t);
const char *kds_dtype_name(kds_dtype t); /* "bf16" */
bool kds_dtype_parse(const char *name, kds_dtype *out);
/* One element at `p` (aligned or not) as a double, and back with round to nearest even; what is
 * beyond the range becomes infinite, in integer types the nearest limit (NaN: 0). i64 beyond 2^53
 * loses digits. */
double kds_dtype_load(kds_dtype t, const void *p);
void kds_dtype_store(kds_dtype t, void *p, double value);

typedef enum kds_role { KDS_ROLE_IN, KDS_ROLE_OUT, KDS_ROLE_INOUT } kds_role;

typedef enum kds_fill_kind {
    KDS_FILL_NORMAL,      /* a = mean, b = standard deviation */
    KDS_FILL_UNIFORM,     /* in [a, b) before rounding; integer types take the floor */
    KDS_FILL_CONSTANT,    /* a */
    KDS_FILL_IOTA,        /* a + b * index */
    KDS_FILL_PERMUTATION, /* a bijection of 0..numel-1 */
    KDS_FILL_OFFSETS,     /* ascending from 0 to a: ends of segments, some empty, some long */
    KDS_FILL_LISTED       /* the numbers that the row lists */
} kds_fill_kind;

typedef struct kds_fill {
    kds_fill_kind kind;
    double a, b;
} kds_fill;

#define KDS_RANK_MAX 6
#define KDS_BUFFERS_MAX 24
#define KDS_SCALARS_MAX 24
#define KDS_DIMS_MAX 24
#define KDS_ROWS_MAX 256
#define KDS_AXES_MAX 6
#define KDS_EDGES_MAX 15
#define KDS_LISTED_MAX 4096 /* numbers of one buffer in a row */

typedef struct kds_tolerance {
    double atol, rtol;     /* every element: |got - want| <= atol + rtol * |want| */
    double rel_rmse;       /* sqrt(sum (got-want)^2 / sum want^2) over the buffer; 0: not checked */
    double slice_rel_rmse; /* the same per slice of the leading dimension; 0: not checked */
    double worse_factor; /* child's max error against the reference <= factor * baseline's + floor;
                            0: off */
    double worse_floor;
} kds_tolerance;

typedef struct kds_buffer_spec {
    const char *name;
    kds_role role;
    kds_dtype dtype;       /* if dtype_key is NULL */
    const char *dtype_key; /* the row's "dtypes" names the type under this key */
    int rank;
    kds_expr *shape[KDS_RANK_MAX];
    kds_expr *strides[KDS_RANK_MAX]; /* in elements; all NULL: contiguous row-major */
    kds_fill fill;                   /* of an input */
    kds_expr *fill_values[2];        /* instead of fill.a and fill.b; NULL: the number there */
    kds_tolerance tolerance;         /* of an output */
    kds_tolerance beside_baseline;   /* the same beside the baseline, where there is a reference */
    bool has_beside_baseline;        /* it is one of its own, whose norms count in the gate too */
} kds_buffer_spec;

typedef struct kds_scalar_spec {
    const char *name;
    kds_dtype dtype;
    kds_expr *value;
} kds_scalar_spec;

typedef enum kds_row_set { KDS_ROWS_PRODUCTION, KDS_ROWS_QUICK, KDS_ROWS_HELD_OUT } kds_row_set;
const char *kds_row_set_name(kds_row_set s); /* "production" */

typedef struct kds_row {
    const char *id;
    kds_row_set set;
    double weight; /* in the fitness; production rows */
    bool profile;  /* counters of this row go into the descriptor */
    uint64_t seed;
    int dim_count;
    /* The row's names: dim_count dims (integers and doubles) in the task's order, then the scalars
     * that have no dim's name. */
    kds_scope_entry dims[KDS_DIMS_MAX + KDS_SCALARS_MAX];
    kds_scope scope; /* over all of dims: what expressions of this row see */
    int dtype_count;
    struct {
        const char *key;
        kds_dtype dtype;
    } dtypes[KDS_BUFFERS_MAX];
    /* By buffer; NULL but for those whose fill is "listed". Owned by the task. */
    struct {
        double *values;
        int count;
    } lists[KDS_BUFFERS_MAX];
} kds_row;

/* A value regime of the gate: the fills of some inputs are scaled and shifted, so that a kernel
 * that is only right for one spread of values is found. The first regime is the plain one. */
typedef struct kds_regime {
    const char *name;
    int count;
    struct {
        int buffer;
        double scale, shift; /* value * scale + shift */
    } changes[KDS_BUFFERS_MAX];
} kds_regime;
#define KDS_REGIMES_MAX 8

/* One axis of the descriptor: an expression over counters and facts, cut by fixed edges into
 * edge_count + 1 bins. */
typedef struct kds_axis {
    const char *name, *unit;
    kds_expr *value;
    int edge_count;
    double edges[KDS_EDGES_MAX];
} kds_axis;

typedef struct kds_task {
    char *dir;
    const char *name, *family, *summary,
        *function; /* function: the C signature, for people and models */
    int dim_count;
    const char *dims[KDS_DIMS_MAX]; /* what every row must give */
    int buffer_count;
    kds_buffer_spec buffers[KDS_BUFFERS_MAX];
    int scalar_count;
    kds_scalar_spec scalars[KDS_SCALARS_MAX];
    int row_count;
    kds_row *rows; /* production, then quick, then held_out */
    int regime_count;
    kds_regime regimes[KDS_REGIMES_MAX];
    bool bitwise;
    kds_expr *bytes, *flops; /* compulsory traffic and work of a row */
    kds_expr *tensor_flops;  /* work that tensor cores can do on 16-bit numbers; NULL: none */
    double max_regress;      /* no production row slower than this fraction; default 0.02 */
    double screen;        /* slower than the baseline by more than this stops early; default 0.10 */
    double margin;        /* smallest gain that counts; default 0.0025 */
    double share;         /* of a model's GPU time, in (0, 1]; 0: not stated */
    const char *share_of; /* of what; NULL if not stated */
    int descriptor_version;
    int axis_count;
    kds_axis axes[KDS_AXES_MAX];
    char *card;      /* prompt.md */
    char *baseline;  /* baseline/kernel.cu */
    char *reference; /* reference/kernel.cu; NULL if there is none */
    int seed_count;
    struct {
        char *name; /* file name without .cu */
        char *source;
    } seeds[16];
    kds_id hash; /* over all files of the folder but docs/, solution/ and bench/mutations.json:
                    relative path and content, in order */
    struct kds_task_private *own;
} kds_task;

/* Loads and checks everything: JSON, expressions (every name known, evaluated for every row), rows,
 * sources' presence. KDS_INVALID with file, line and key. */
KDS_MUST_USE kds_code kds_task_load(kds_task **out, const char *dir, kds_err *e);
void kds_task_free(kds_task *t);

const kds_row *kds_task_row(const kds_task *t, const char *id); /* NULL if there is none */
int kds_task_buffer(const kds_task *t, const char *name);       /* index, or -1 */
int kds_task_scalar(const kds_task *t, const char *name);

/* A buffer as one row has it. Bytes = numel over strides' span * element size; at least 1 element.
 */
typedef struct kds_extent {
    kds_dtype dtype;
    int rank;
    int64_t shape[KDS_RANK_MAX], strides[KDS_RANK_MAX]; /* elements */
    int64_t numel;                                      /* product of the shape */
    int64_t span; /* elements from the first to one past the last: what is allocated */
} kds_extent;
KDS_MUST_USE kds_code kds_task_extent(const kds_task *t, const kds_row *row, int buffer,
                                      kds_extent *out, kds_err *e);
KDS_MUST_USE kds_code kds_task_scalar_value(const kds_task *t, const kds_row *row, int scalar,
                                            kds_value *out, kds_err *e);
/* Elements that are different places in memory: a dimension with stride 0 counts once. */
int64_t kds_extent_distinct(const kds_extent *x);
/* Offset in elements of the i-th element in row-major order of the shape. */
int64_t kds_extent_offset(const kds_extent *x, int64_t i);

/* Fill: element i (by offset in the span) of a buffer is a pure function of (seed, buffer index,
 * i). */
typedef struct kds_filler {
    kds_fill fill;
    kds_dtype dtype;
    double scale, shift; /* of the regime; 1 and 0 */
    uint64_t seed;       /* of row, regime and secret, already mixed */
    uint32_t buffer;
    int64_t span;
    const double *list; /* of a listed fill: the span's numbers, borrowed from the row */
    bool wide; /* written as doubles that hold the values of `dtype`: what a reference finds in a
                  buffer that it also writes */
} kds_filler;
/* The fill of an input with its values for the row; of offsets b is 32 * a / (elements - 1). */
KDS_MUST_USE kds_code kds_task_fill(const kds_task *t, const kds_row *row, int buffer,
                                    const kds_extent *x, kds_fill *out, kds_err *e);
kds_filler kds_task_filler(const kds_task *t, const kds_row *row, int buffer, const kds_extent *x,
                           uint64_t secret, int regime);
/* Writes elements [first, first + count) at `out`, bit for bit as any other device does. */
void kds_filler_write(const kds_filler *f, int64_t first, int64_t count, void *out);

#endif
