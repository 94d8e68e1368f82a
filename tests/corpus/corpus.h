/* Kernels written as people and models write them, each compiled with NVRTC, run on the simulator
 * and compared with a reference in C. A test program is a table: files, their kernels, launches,
 * arguments, references. */
#ifndef KDS_TESTS_CORPUS_H
#define KDS_TESTS_CORPUS_H

#include "eval/task.h"
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CORPUS_ARGS 12

/* Element types: those of tasks, and two more. */
enum {
    F32 = KDS_DTYPE_F32,
    F16 = KDS_DTYPE_F16,
    BF16 = KDS_DTYPE_BF16,
    I32 = KDS_DTYPE_I32,
    I64 = KDS_DTYPE_I64,
    U8 = KDS_DTYPE_U8,
    F64 = KDS_DTYPE_F64,
    U32,
    U16
};

typedef enum corpus_role {
    CORPUS_END,
    CORPUS_IN,     /* read-only */
    CORPUS_INOUT,  /* filled, compared afterwards */
    CORPUS_OUT,    /* undefined before, compared afterwards */
    CORPUS_WORK,   /* filled, not compared */
    CORPUS_SCALAR, /* passed by value */
} corpus_role;

typedef enum corpus_fill {
    FILL_NOISE,   /* within (-p, p) */
    FILL_ABOVE,   /* within (0, p) */
    FILL_INDEX,   /* integers within [0, p) */
    FILL_BITS,    /* any bits of an integer type */
    FILL_IOTA,    /* 0, 1, 2, ... times p */
    FILL_STEPS,   /* -1, p - 1, 2 p - 1, ... */
    FILL_SHUFFLE, /* a permutation of 0, 1, 2, ... */
    FILL_VALUE    /* p everywhere */
} corpus_fill;

typedef struct corpus_arg {
    corpus_role role;
    int dtype;
    uint32_t count;
    corpus_fill fill;
    double p;
} corpus_arg;

#define IN(dtype, count, fill, p)                                                                  \
    {                                                                                              \
        CORPUS_IN, dtype, count, FILL_##fill, p                                                    \
    }
#define INOUT(dtype, count, fill, p)                                                               \
    {                                                                                              \
        CORPUS_INOUT, dtype, count, FILL_##fill, p                                                 \
    }
#define OUT(dtype, count)                                                                          \
    {                                                                                              \
        CORPUS_OUT, dtype, count, FILL_VALUE, 0                                                    \
    }
#define WORK(dtype, count, fill, p)                                                                \
    {                                                                                              \
        CORPUS_WORK, dtype, count, FILL_##fill, p                                                  \
    }
#define INT(value)                                                                                 \
    {                                                                                              \
        CORPUS_SCALAR, I32, 1, FILL_VALUE, value                                                   \
    }
#define LONG(value)                                                                                \
    {                                                                                              \
        CORPUS_SCALAR, I64, 1, FILL_VALUE, value                                                   \
    }
#define BYTE(value)                                                                                \
    {                                                                                              \
        CORPUS_SCALAR, U8, 1, FILL_VALUE, value                                                    \
    }
#define UINT(value)                                                                                \
    {                                                                                              \
        CORPUS_SCALAR, U32, 1, FILL_VALUE, value                                                   \
    }
#define FLOAT(value)                                                                               \
    {                                                                                              \
        CORPUS_SCALAR, F32, 1, FILL_VALUE, value                                                   \
    }
#define DOUBLE(value)                                                                              \
    {                                                                                              \
        CORPUS_SCALAR, F64, 1, FILL_VALUE, value                                                   \
    }

/* Fields of a case. A line of a table: {.kernel = "axpy", GRID(9), BLOCK(64), .want = ..., ...} */
#define GRID(...) .grid = {__VA_ARGS__}
#define BLOCK(...) .block = {__VA_ARGS__}
#define CLUSTER(...) .cluster = {__VA_ARGS__}
#define ARGS(...) .args = {__VA_ARGS__}
#define TOL(absolute, relative) .atol = absolute, .rtol = relative
/* In a reference: the value of integer scalar k. */
#define N(k) ((int)v[k][0])

/* What a kernel should leave behind: v[k][i] is element i of argument k, as a double. Those of
 * OUT start as NaN. An element that the reference leaves alone must not be touched. */
typedef void corpus_reference(double *const *v);

typedef struct corpus_case {
    const char *kernel;
    uint32_t grid[3], block[3]; /* zeros after the first are ones */
    uint32_t shared;            /* dynamic */
    corpus_arg args[CORPUS_ARGS];
    corpus_reference *want;
    double atol, rtol; /* both 0: equal bits of value */
    double fast;       /* also with fast math, with tolerances that many times as wide; 0: not */
    uint32_t cluster[3];
    bool cooperative;
} corpus_case;

typedef struct corpus_file {
    const char *name;     /* "stream.cu", in tests/corpus */
    const char *archs[4]; /* "80", "90a", ... */
    const corpus_case *cases;
    size_t count;
} corpus_file;

#define CORPUS_FILE(name, cases, ...)                                                              \
    {                                                                                              \
        name, {__VA_ARGS__}, cases, sizeof(cases) / sizeof(cases)[0]                               \
    }

/* Runs a program's tables, one test per file; at most `missing` kernels may be not simulated. */
int corpus_main(const corpus_file *files, size_t count, int missing);

#endif
