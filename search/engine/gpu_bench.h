/* Measuring many kernels of one task on a GPU, outside any campaign: what `kdasearch bench gpu`
 * does. Compilation runs in worker processes, the GPU in one worker that is replaced when a kernel
 * spoils it. */
#ifndef KDS_ENGINE_GPU_BENCH_H
#define KDS_ENGINE_GPU_BENCH_H

#include "eval/task.h"

/* What has just ended: a kernel that will not be measured (row NULL), or one on one row. */
typedef struct kds_gpu_bench_note {
    int done, total; /* kernels times rows */
    const char *row, *file, *tune;
    kds_verdict verdict;
    const char *message; /* if not ok */
    double us, spread;   /* if ok, on a row */
} kds_gpu_bench_note;
typedef void kds_gpu_bench_fn(void *user, const kds_gpu_bench_note *n);

typedef struct kds_gpu_bench_options {
    const char *task_dir, *device; /* "cuda:0" */
    const char *const *files;
    int file_count;
    int sweep;        /* variants of each file by its tune lines, at most; 0: as it stands */
    uint64_t seed;    /* draws the variants if there are more */
    double seconds;   /* nothing is begun after that; 0: no limit */
    const char *rows; /* comma-separated; NULL: the production rows */
    const char *out;  /* file that is written after every row; NULL: none */
    kds_gpu_bench_fn *note;
    void *user;
} kds_gpu_bench_options;

/* Gives {format, kind: "measured", task, task_dir, task_hash, date, device{name, arch, uuid,
 * driver, cuda, sms, memory_bytes, l2_bytes, clock_mhz, memory_clock_mhz}, nvrtc, method, seed,
 * stopped (what ended it early), rows_skipped[]{row, message}, kernels[]{file, tune{}, id, source,
 * verdict, stage, line, message, registers, rows[]}}; the entries of rows are the GPU worker's
 * answers (eval/cuda/gpu_job.h) with `row`. Owned by the caller. */
KDS_MUST_USE kds_code kds_gpu_bench(const kds_gpu_bench_options *o, cJSON **report, kds_err *e);

/* ---- gpu_bench_list.c: the kernels ---- */
typedef struct kds_gpu_kernel {
    const char *file;
    char *tune; /* "VEC=8 WARPS=4"; "" if there are no tunables */
    char *source;
    size_t len;
    cJSON *tune_json;
} kds_gpu_kernel;
typedef struct kds_gpu_kernels {
    kds_gpu_kernel *items;
    int count, room;
} kds_gpu_kernels;
/* Appends a file, or its variants: the file as it stands first, then distinct points of the product
 * of its tune lists, all of them if they are at most `sweep`, else drawn. */
KDS_MUST_USE kds_code kds_gpu_kernels_add(kds_gpu_kernels *list, const char *file, int sweep,
                                          uint64_t seed, kds_err *e);
void kds_gpu_kernels_free(kds_gpu_kernels *list);

#endif
