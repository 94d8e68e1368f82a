/* NVRTC compilation of a candidate: run inside a compile worker process, its result sent to the
 * parent as a frame. */
#ifndef KDS_EVAL_COMPILE_H
#define KDS_EVAL_COMPILE_H

#include "eval/finding.h"
#include "eval/plan.h"
#include "search/base/frame.h"

typedef struct kds_kernel_param {
    char type[8]; /* as PTX declares it: "u64", "u32", "f32", "b8" (then size > 1: a struct by
                     value) */
    int size;     /* bytes */
    int offset;   /* in the parameter block */
} kds_kernel_param;

typedef struct kds_kernel_facts {
    char *name;    /* the name expression asked for */
    char *lowered; /* the symbol in PTX and cubin */
    int registers, spill_store_bytes, spill_load_bytes, stack_bytes, static_shared_bytes, barriers;
    int max_threads; /* of __launch_bounds__ / .maxntid; 1024 if none */
    int param_count;
    kds_kernel_param params[KDS_PLAN_ARGS];
} kds_kernel_facts;

typedef struct kds_module {
    char *ptx; /* NUL-terminated */
    size_t ptx_len;
    char *cubin;
    size_t cubin_len;
    int kernel_count;
    kds_kernel_facts kernels[KDS_PLAN_LAUNCHES];
} kds_module;

/* All groups of one candidate. */
typedef struct kds_compiled {
    int module_count;
    kds_module modules[KDS_PLAN_GROUPS];
    kds_id cubin_id; /* over the cubins of all groups in order: equal for renamed twins */
    char *log;       /* NVRTC's and ptxas' words, scrubbed of paths, capped at KDS_LOG_CAP */
    double seconds;
} kds_compiled;
void kds_compiled_free(kds_compiled *c);
/* NULL if that group has no kernel of that name expression. */
const kds_kernel_facts *kds_module_kernel(const kds_module *m, const char *name);

/* The job: source, architecture ("sm_90"), groups. Encodes into a frame for the worker and decodes
 * there. */
KDS_MUST_USE kds_code kds_compile_job(kds_frame *out, const char *source, size_t len,
                                      const char *arch, const kds_plan *plan, kds_err *e);
/* Reads a worker's reply. A candidate's failure is a finding (compile_failed, limits_exceeded) with
 * *out = NULL; KDS_PROTOCOL if the frame is not a reply. */
KDS_MUST_USE kds_code kds_compile_reply(kds_compiled **out, const kds_frame *reply, kds_finding *f,
                                        kds_err *e);

/* NVRTC itself, by dlopen. */
typedef struct kds_nvrtc kds_nvrtc;
/* Looks in CUDA_PATH, CUDA_HOME, /usr/local/cuda, /usr/local/cuda-*, the loader's path, pip layouts
 * (site-packages/nvidia/{cuda_nvrtc,cu13}/lib). KDS_NOT_FOUND says what to install and where it
 * looked. */
KDS_MUST_USE kds_code kds_nvrtc_open(kds_nvrtc **out, kds_err *e);
void kds_nvrtc_close(kds_nvrtc *n);
const char *kds_nvrtc_path(const kds_nvrtc *n);        /* of the library */
const char *kds_nvrtc_include_dir(const kds_nvrtc *n); /* toolkit headers; NULL if not found */
void kds_nvrtc_version(const kds_nvrtc *n, int *major, int *minor);
/* Compiles a job in this process and fills a reply frame; for the worker. */
KDS_MUST_USE kds_code kds_compile_run(kds_nvrtc *n, const kds_frame *job, kds_frame *reply,
                                      kds_err *e);

#endif
