/* The signature of a __global__ function, read from CUDA C++ source of any kind with our lexer:
 * enough to guess a task from it. It never runs or trusts the source; what it cannot read is an
 * error with a line. */
#ifndef KDS_ENGINE_KERNEL_SIGNATURE_H
#define KDS_ENGINE_KERNEL_SIGNATURE_H

#include "eval/task.h"

#define KDS_SIGNATURE_PARAMS 32
#define KDS_SIGNATURE_TEMPLATES 8
#define KDS_SIGNATURE_OTHERS 8

typedef enum kds_param_kind { KDS_PARAM_BUFFER, KDS_PARAM_INTEGER, KDS_PARAM_REAL } kds_param_kind;

typedef struct kds_param {
    char name[64];
    char type[96]; /* as written, without const and __restrict__: "float4 *" */
    kds_param_kind kind;
    kds_dtype dtype; /* of an element, or of the value */
    bool known;      /* the type is one that we know; else dtype is a guess */
    int width;       /* elements in one value of the type: 4 of a float4 */
    bool is_const;   /* what it points at */
    /* What the function's own body does with a buffer, as far as its text tells. */
    bool read, written, escapes; /* escapes: used in a way that is not followed */
    int line;
} kds_param;

typedef struct kds_signature {
    char name[160];  /* with its namespaces: "detail::f" */
    char text[1200]; /* "f(const float *x, float *y, int n)" */
    int line;
    int max_threads; /* of __launch_bounds__ where that is a number; else 0 */
    int param_count;
    kds_param params[KDS_SIGNATURE_PARAMS];
    int template_count;
    struct {
        char name[64];
        bool is_type; /* typename T; else a value */
    } templates[KDS_SIGNATURE_TEMPLATES];
    int other_count; /* further kernels of the source */
    char others[KDS_SIGNATURE_OTHERS][64];
} kds_signature;

/* Reads the kernel called `wanted`, or the first one if that is NULL. KDS_INVALID: there is none,
 * or a parameter cannot be part of a task, with its line. */
KDS_MUST_USE kds_code kds_signature_read(kds_signature *out, const char *source, size_t len,
                                         const char *wanted, kds_err *e);

#endif
