/* Kernels with one planted bug each. Compiled as it is, a kernel must end with the status and the
 * words of its case; compiled with -DFIXED, the same kernel must run clean and be right. */
#ifndef KDS_TESTS_BUGS_H
#define KDS_TESTS_BUGS_H

#include "eval/sim/sim.h"
#include "eval/task.h"

#define BUG_ARGS 8
#define BUG_SAYS 4

enum {
    F32 = KDS_DTYPE_F32,
    BF16 = KDS_DTYPE_BF16,
    F64 = KDS_DTYPE_F64,
    I32 = KDS_DTYPE_I32,
    I64 = KDS_DTYPE_I64,
    U8 = KDS_DTYPE_U8
};

/* The value of an element. */
typedef double bug_value(uint64_t i);

typedef enum bug_role {
    BUG_END,
    BUG_IN,    /* read-only */
    BUG_INOUT, /* filled, may be written */
    BUG_OUT,   /* undefined before */
    BUG_SCALAR
} bug_role;

typedef struct bug_arg {
    bug_role role;
    const char *name;
    int dtype;
    uint64_t count;
    bug_value *fill;
    double value; /* of a scalar */
} bug_arg;

#define IN(name, dtype, count, fill)                                                               \
    {                                                                                              \
        BUG_IN, #name, dtype, count, fill, 0                                                       \
    }
#define INOUT(name, dtype, count, fill)                                                            \
    {                                                                                              \
        BUG_INOUT, #name, dtype, count, fill, 0                                                    \
    }
#define OUT(name, dtype, count)                                                                    \
    {                                                                                              \
        BUG_OUT, #name, dtype, count, NULL, 0                                                      \
    }
#define INT(number)                                                                                \
    {                                                                                              \
        BUG_SCALAR, "", I32, 1, NULL, number                                                       \
    }
#define NULL_POINTER                                                                               \
    {                                                                                              \
        BUG_SCALAR, "", I64, 1, NULL, 0                                                            \
    }

/* Fields of a case. A line of a table:
 * {"copy", GRID(4), BLOCK(64), ARGS(...), .want = w, FINDS(RACE, "shared memory")} */
#define GRID(...) .grid = {__VA_ARGS__}
#define BLOCK(...) .block = {__VA_ARGS__}
#define ARGS(...) .args = {__VA_ARGS__}
#define OR(what) (1u << KDS_SIM_##what)
#define FINDS(what, ...) .status = KDS_SIM_##what, .says = {__VA_ARGS__}

typedef struct bug_case {
    const char *kernel;
    uint32_t grid[3], block[3]; /* zeros after the first are ones */
    uint32_t shared;            /* dynamic */
    bug_arg args[BUG_ARGS];
    /* Of the mended kernel: every element of argument `result` (the first one that is written, if
     * 0). */
    bug_value *want;
    int result;
    kds_sim_status status;      /* of the planted bug; KDS_SIM_OK: this launch does not show it */
    uint32_t also;              /* OR(...) of others that are as true */
    const char *says[BUG_SAYS]; /* what its report must contain, beside the kernel's name */
    uint32_t cluster;
    bool cooperative;
    uint32_t resident;
    uint32_t fixed_shared, fixed_grid; /* if the mended launch differs; 0: as above */
    uint64_t budget;
} bug_case;

typedef struct bug_file {
    const char *name; /* "bounds.cu", in tests/bugs */
    const bug_case *cases;
    size_t count;
} bug_file;

#define BUG_FILE(name, cases)                                                                      \
    {                                                                                              \
        name, cases, sizeof(cases) / sizeof(cases)[0]                                              \
    }

/* Small integers, exact in every type; a second series; indices; zeros; ones. */
bug_value noise, other, iota, zero, one;

/* Runs a program's tables, one test per file. A line of a kernel that ends in "// BUG" is where its
 * report must point; of several, to any. */
int bugs_main(const bug_file *files, size_t count);

#endif
