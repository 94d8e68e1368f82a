/* A GPU as a device (eval/device.h), shared between its files. Nothing else includes this. */
#ifndef KDS_EVAL_CUDA_DEVICE_CUDA_H
#define KDS_EVAL_CUDA_DEVICE_CUDA_H

#include "eval/cuda/gpu_code.h"
#include "eval/cuda/gpu_duel.h"
#include "eval/cuda/helpers.h"
#include "eval/cuda/nvml.h"
#include "eval/device.h"

/* Before, between and behind the buffers of a run. The hardware reports only what leaves a page of
 * 2 MiB; these tell what does not, and a stray write does not land in the next buffer. */
#define CUDA_GUARD_BYTES ((UINT64_C(4) << 20) + 4096)
#define CUDA_ALIGN 256u
#define CUDA_PLACES (KDS_BUFFERS_MAX + KDS_PLAN_SCRATCH)
#define CUDA_POISON_NAN 0xff /* of kds_run_options: any other one asks for plausible values */

typedef struct cuda_bench {
    kds_bench base;
    uint64_t secret;
    int regime;
    kds_filler fillers[KDS_BUFFERS_MAX];
    uint64_t input_hash; /* once `hashed` */
    bool hashed;
    kds_outputs *kept; /* its outputs, newest first */
} cuda_bench;

typedef struct cuda_place {
    uint64_t first, bytes; /* in the arena */
    kds_dtype dtype;
} cuda_place;

/* The memory that a run works in: one arena, the buffers of one bench and a plan's scratch in it,
 * guards around all. What it holds is made when a run needs something else than what is there. */
typedef struct cuda_stage {
    kds_cuda_address arena;
    uint64_t arena_bytes;
    const cuda_bench *bench; /* whose inputs are in it; NULL: nobody's */
    int count, buffers;      /* places: buffers, then scratch */
    cuda_place places[CUDA_PLACES];
    uint64_t guard_seed;
} cuda_stage;

/* Memory that kept outputs have left, for the next ones of that size. */
#define CUDA_SPARES 8
typedef struct cuda_spare {
    kds_cuda_address at; /* 0: none */
    uint64_t bytes;
} cuda_spare;

typedef struct cuda_device {
    kds_device base;
    kds_nvrtc *nvrtc;
    kds_cuda *cuda;
    kds_nvml *nvml; /* NULL: not here */
    kds_card *card;
    kds_helpers *helpers;
    int lock; /* descriptor; -1: none */
    uint64_t seed, draws;
    cuda_stage stage;
    kds_gpu_duels *duels; /* NULL until the first duel */
    cuda_spare spares[CUDA_SPARES];
    int next_spare;
} cuda_device;

struct kds_program {
    cuda_device *device;
    const kds_plan *plan;
    const kds_compiled *compiled;
    bool oracle;
    int row; /* that `code` is loaded for; -1: none */
    kds_gpu_code code;
};

/* Outputs in an allocation of their own, with their checksum. */
struct kds_outputs {
    cuda_device *device;
    cuda_bench *bench;
    kds_cuda_address at;
    uint64_t bytes, hash;
    uint64_t offsets[KDS_BUFFERS_MAX];
    kds_dtype types[KDS_BUFFERS_MAX];
    bool is_nan;          /* the poison that the run began with; else plausible values */
    uint64_t poison_seed; /* of those */
    kds_outputs *next;
};

/* A number that nobody can foresee and that a rerun draws again. */
uint64_t cuda_draw(cuda_device *d);
bool cuda_is_output(const kds_task *t, int buffer);
/* Waits for our own work. */
kds_code cuda_settle(cuda_device *d, const char *what, kds_err *e);

/* cuda_stage.c: places, guards and inputs for a run. KDS_DEVICE_LOST: what is ours has changed. */
kds_code cuda_stage_set(cuda_device *d, cuda_bench *b, const kds_program *p, kds_err *e);
/* Poison in outputs and scratch, inputs in what is both; queued. */
kds_code cuda_stage_poison(cuda_device *d, bool is_nan, uint64_t seed, kds_err *e);
/* What plausible poison is in a place. */
kds_filler cuda_poison_filler(kds_dtype dtype, int place, int64_t count, uint64_t seed);
kds_code cuda_stage_intact(const kds_bench *b, kds_finding *f, kds_err *e);
void cuda_stage_drop(cuda_device *d);

/* cuda_run.c */
kds_code cuda_run(kds_bench *b, kds_program *p, const kds_run_options *o, kds_run_result *run,
                  kds_outputs **out, kds_finding *f, kds_err *e);
kds_code cuda_cover(kds_bench *b, kds_program *p, const kds_outputs *like, kds_outputs **out,
                    kds_finding *f, kds_err *e);

/* cuda_outputs.c */
kds_code cuda_outputs_take(cuda_device *d, bool is_nan, uint64_t poison_seed, kds_outputs **out,
                           kds_err *e);
/* True if what is kept of a bench is as it was. */
kds_code cuda_outputs_unchanged(const cuda_bench *b, bool *same, kds_err *e);
void cuda_outputs_free(kds_outputs *o);
void cuda_outputs_drop_spares(cuda_device *d);
size_t cuda_outputs_bytes(const kds_outputs *o);
kds_code cuda_outputs_compare(const kds_bench *b, int buffer, const kds_outputs *got,
                              const kds_outputs *want, const kds_tolerance *t, bool bitwise,
                              kds_errors *out, kds_err *e);
kds_code cuda_outputs_complete(const kds_bench *b, const kds_outputs *o, kds_finding *f,
                               kds_err *e);
kds_code cuda_outputs_same(const kds_bench *b, const kds_outputs *first, const kds_outputs *second,
                           kds_finding *f, kds_err *e);

/* cuda_duel.c */
kds_code cuda_duel(kds_device *base, const kds_frame *job, const kds_program *baseline,
                   cJSON *reply, kds_err *e);
/* Gives up what duels keep; true if that was anything. */
bool cuda_duels_drop(cuda_device *d);

/* cuda_time.c */
kds_code cuda_time(kds_bench *b, kds_program *p, kds_program *baseline, kds_run_result *run,
                   kds_finding *f, kds_err *e);

#endif
