/* Many duels of two kernels of one task on a GPU: what `kdasearch bench duel` does. With a kernel
 * and a renamed copy of itself they measure how often chance is called a gain (A/A), with an
 * incumbent that is slowed by a known share how often a gain is found. */
#ifndef KDS_ENGINE_DUEL_BENCH_H
#define KDS_ENGINE_DUEL_BENCH_H

#include "eval/task.h"

/* A duel that has just ended. */
typedef struct kds_duel_bench_note {
    int done, total;
    const cJSON *duel; /* its record */
} kds_duel_bench_note;
typedef void kds_duel_bench_fn(void *user, const kds_duel_bench_note *n);

typedef struct kds_duel_bench_options {
    const char *task_dir, *device; /* "cuda:0" */
    const char *incumbent;         /* file */
    const char *child;             /* file; NULL: a renamed copy of the incumbent */
    const char *rows;              /* comma-separated; NULL: the production rows */
    int duels;
    bool warm;
    bool fresh;      /* each duel in a GPU worker of its own */
    double slowdown; /* of the incumbent (eval/cuda/gpu_duel.h); 0: none */
    double floor;    /* of the margin */
    uint64_t seed;   /* of the first duel; the next ones count up */
    double seconds;  /* no duel is begun after that; 0: no limit */
    const char *out; /* file; NULL: none */
    kds_duel_bench_fn *note;
    void *user;
} kds_duel_bench_options;

/* Gives {format, kind: "duels", task, task_dir, task_hash, date, device, nvrtc, method, renamed,
 * fresh, stopped, incumbent{file, id, registers, cubin_bytes}, child{...}, duels[] (the records of
 * eval/cuda/gpu_duel.h; each has been replayed), summary}. Owned by the caller. */
KDS_MUST_USE kds_code kds_duel_bench(const kds_duel_bench_options *o, cJSON **report, kds_err *e);

/* Of a report's duels: {duels, faster, not_faster, unresolved, failed, disturbed (ended so),
 * repeats, rounds (mean), seconds (mean), estimates{count, mean, sd, p1, p50, p99, floor}}; the
 * estimates are of ln(child/incumbent), floor is the 99th percentile of their magnitude. NULL: out
 * of memory. Owned by the caller. */
cJSON *kds_duel_bench_summary(const cJSON *duels);

/* ---- duel_bench_rename.c ---- */
/* The source with "_copy" behind the name of every kernel that its plan launches, and a comment:
 * the same program under other names. KDS_INVALID: it launches none by a plan of its own. */
KDS_MUST_USE kds_code kds_duel_rename(const char *source, size_t len, char **out, size_t *out_len,
                                      kds_err *e);

#endif
