/* Numeric comparison of an output with what it should be: element by element, by error norms over
 * the whole and over slices, written so that NaN fails. Knows nothing of devices. */
#ifndef KDS_EVAL_COMPARE_H
#define KDS_EVAL_COMPARE_H

#include "eval/finding.h"
#include "eval/task.h"

/* What one comparison of one buffer found. */
typedef struct kds_errors {
    int64_t checked, wrong;
    int64_t first_wrong; /* index in row-major order of the shape; -1 if none */
    double got, want, allowed;
    double max_abs;     /* over elements where both are finite */
    double rel_rmse;    /* sqrt(sum (got-want)^2 / sum want^2); INFINITY if only want is zero */
    double worst_slice; /* largest rel_rmse of a slice of the leading dimension */
    int64_t worst_slice_at;
} kds_errors;

/* A comparison in progress. Elements are given in ascending order of their index. */
typedef struct kds_comparison {
    const kds_extent *extent; /* shape and strides of both sides; their types are given apart */
    kds_dtype got, want;
    double atol, rtol;
    bool bitwise; /* bytes must be equal; types must be too */
    kds_errors errors;
    double sum_error, sum_want; /* squares */
    int64_t slice, slice_len;   /* current slice, elements in one */
    double slice_error, slice_want;
} kds_comparison;

/* `t` may be NULL: no element tolerance, only norms are taken. */
void kds_comparison_begin(kds_comparison *c, const kds_extent *x, kds_dtype got, kds_dtype want,
                          const kds_tolerance *t, bool bitwise);
/* Compares `count` elements of the span from element offset `first` on; `got` and `want` point at
 * them. Offsets that no index has (gaps between strides) are skipped. */
void kds_comparison_add(kds_comparison *c, int64_t first, int64_t count, const void *got,
                        const void *want);
void kds_comparison_end(kds_comparison *c);

/* The index of the element at `offset` of the span, -1 if there is none. */
int64_t kds_extent_index(const kds_extent *x, int64_t offset);
/* "y[5, 3]". */
void kds_extent_name(const kds_extent *x, const char *buffer, int64_t index, char *out,
                     size_t size);

/* Judges the errors of an output: elements, norms of the tolerance (if `norms`), and, if
 * `baseline` is not NULL, how much worse than the baseline's own errors they are. `against` is
 * "reference" or "baseline". True if all is well; else the finding is set. */
bool kds_errors_judge(const kds_errors *x, const kds_errors *baseline, const kds_tolerance *t,
                      const kds_extent *extent, const char *buffer, const char *against, bool norms,
                      bool bitwise, kds_finding *f);

#endif
