/* What the files behind gpu_bench.h share. */
#ifndef KDS_ENGINE_GPU_BENCH_INTERNAL_H
#define KDS_ENGINE_GPU_BENCH_INTERNAL_H

#include "eval/cuda/gpu_job.h"
#include "search/engine/gpu_bench.h"
#include "search/engine/pool.h"

/* A kernel of the list on its way. */
typedef struct gpu_entry {
    kds_plan *plan;
    kds_compiled *compiled;
    kds_id program;
    kds_finding f;
    int deaths;
    cJSON *json, *rows; /* in the report */
} gpu_entry;

typedef struct gpu_bench {
    const kds_gpu_bench_options *o;
    kds_task *task;
    kds_cuda_info info;
    char *program;
    kds_gpu_kernels kernels;
    gpu_entry *entries; /* one more than kernels: the baseline is the last */
    /* Another worker on the GPU than worker-gpu, and who takes its answers; NULL: none. */
    const char *command;
    kds_job_fn *taker;
    void *taker_user;
    kds_pool *compile, *gpu;
    cJSON *report, *list, *skipped;
    double deadline, job_seconds; /* of a job on the GPU */
    int done, total;
    bool answered;   /* the job on the GPU has ended */
    kds_job_end end; /* how */
    cJSON *answer;   /* if it was a reply */
    bool ending,
        was_ending; /* the worker said that it would end, with this answer, the one before */
    char why[1000]; /* if not */
    int faults;     /* kernels in a row that failed by no verdict of their own */
    kds_err error;  /* what ended everything */
} gpu_bench;

/* ---- gpu_bench.c: what every benchmark on a GPU is made of, in this order ---- */
/* Row numbers, in the task's order: those of --rows, else those of production. */
kds_code gpu_bench_rows(gpu_bench *b, bool *chosen, kds_err *e);
/* The GPU's facts; no context is made in this process. */
kds_code gpu_bench_look(gpu_bench *b, int *version, kds_err *e);
kds_code gpu_bench_pools(gpu_bench *b, kds_err *e);
/* Lints, plans and compiles all kernels; what stops one is in its entry. */
kds_code gpu_bench_compile(gpu_bench *b, kds_err *e);
/* The task and its baseline, for every GPU worker. */
kds_code gpu_bench_greet(gpu_bench *b, kds_err *e);
/* Sends one job and waits for its end, which is in `end`, `answer` and `why`. */
kds_code gpu_bench_ask(gpu_bench *b, const kds_frame *job, kds_err *e);
/* Ends the GPU worker; the next job gets a fresh one, once greeted. */
kds_code gpu_bench_renew(gpu_bench *b, kds_err *e);
/* Waits for either pool and lets both do what they can. */
kds_code gpu_bench_step(gpu_bench *b, kds_err *e);
/* Ends everything; the first reason counts. */
void gpu_bench_fail(gpu_bench *b, kds_code code, const char *message);
bool gpu_bench_budget_is_out(const gpu_bench *b);
kds_code gpu_bench_code(const char *name);
void gpu_bench_free(gpu_bench *b);

/* ---- gpu_bench_report.c ---- */
int gpu_report_registers(const kds_compiled *c); /* most of any kernel */
/* What every report of a benchmark begins with: task, date, GPU. */
bool gpu_report_head(gpu_bench *b, const char *kind, int driver_version);
kds_code gpu_report_begin(gpu_bench *b, int driver_version, kds_err *e);
/* The entry of every kernel, once all are compiled or refused. */
kds_code gpu_report_kernels(gpu_bench *b, kds_err *e);
bool gpu_report_finding(cJSON *o, const kds_finding *f);
/* To the file that was asked for, if any. */
kds_code gpu_report_write(const gpu_bench *b, kds_err *e);
/* Tells the owner what has just ended; `row` may be NULL. */
void gpu_report_tell(gpu_bench *b, int i, const char *row, const cJSON *o);

#endif
