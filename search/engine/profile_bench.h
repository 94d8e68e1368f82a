/* Counters of kernels of one task on a GPU, outside any campaign: what `kdasearch bench profile`
 * does. Compilation and the profiler run in processes of their own. */
#ifndef KDS_ENGINE_PROFILE_BENCH_H
#define KDS_ENGINE_PROFILE_BENCH_H

#include "eval/task.h"

/* What has just ended: a kernel that will not be profiled (row NULL), or one on one row. */
typedef struct kds_profile_note {
    const char *row, *file;
    kds_verdict verdict;
    const char *message; /* if not ok, or if there are no counters */
    bool no_counters;
    double seconds;
} kds_profile_note;
typedef void kds_profile_note_fn(void *user, const kds_profile_note *n);

typedef struct kds_profile_bench_options {
    const char *task_dir, *device; /* "cuda:0" */
    const char *const *files;
    int file_count;
    const char *rows;    /* comma-separated; NULL: those marked for profiling */
    const char *metrics; /* as in eval/cuda/profile_job.h */
    bool self_test;      /* refuse counters that are off on known kernels */
    bool compare_sim;    /* the simulator's counters of the same kernel and row beside them */
    const char *out;     /* file that is written after every row; NULL: none */
    kds_profile_note_fn *note;
    void *user;
} kds_profile_bench_options;

/* Gives {format, kind: "profiled", task, task_dir, task_hash, date, device{as of
 * gpu_bench.h, chip}, cupti, passes, missing[], self_test[], no_counters (why, or null),
 * kernels[]{file, id, verdict, stage, line, message, registers, rows[]}}; the entries of rows are
 * the profile worker's answers (eval/cuda/profile_job.h) with `row`, `sim` (counters) and
 * `sampled`. */
KDS_MUST_USE kds_code kds_profile_bench(const kds_profile_bench_options *o, cJSON **report,
                                        kds_err *e);

#endif
