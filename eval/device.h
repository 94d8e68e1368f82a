/* A device: where candidates run. One table of operations, implemented by the simulator (`sim`) and
 * by GPUs (`cuda:N`). It speaks of operations, not of memory: inputs are made, outputs kept and
 * compared where they are, and what crosses this interface is findings, statistics and numbers.
 * A fault of the machine is an error; what a candidate did wrong is a finding. */
#ifndef KDS_EVAL_DEVICE_H
#define KDS_EVAL_DEVICE_H

#include "eval/compare.h"
#include "eval/compile.h"
#include "eval/descriptor.h"
#include "eval/plan.h"
#include "search/base/frame.h"

/* Version of what is measured and how: a new one makes results incomparable with older ones. */
#define KDS_MEASURE_VERSION 4

typedef struct kds_device kds_device;
typedef struct kds_program kds_program; /* a plan with its compiled modules, ready to run */
typedef struct kds_bench kds_bench;     /* the inputs of one row, secret and regime */
typedef struct kds_outputs kds_outputs; /* what one run left in the output buffers */

typedef struct kds_run_options {
    uint8_t poison;  /* byte that outputs and undefined scratch hold before the run */
    bool timed;      /* give time and counters */
    bool races;      /* look for data races as well, where the device can */
    bool rough;      /* give no more than a guess at the time, at little cost, where the device can:
                        the outputs mean nothing */
    bool repeat;     /* then run all again in the same process, on new outputs: what is kept is the
                        second run's */
    uint64_t budget; /* work (kds_run_result.work) after which the run ends as a timeout; 0: the
                        device's */
} kds_run_options;

typedef struct kds_run_result {
    const char *variant; /* of the plan; lives as long as the plan */
    int launches;
    uint64_t work;       /* in the device's unit, over the whole row */
    uint64_t ran;        /* of a rough run: what it took, in that unit, as long as others take */
    double us;           /* of the whole plan; 0 if not timed */
    double baseline_us;  /* measured beside it (`time`); 0: not */
    bool partial;        /* sampled, and blocks depend on blocks that did not run: the outputs mean
                            nothing */
    double coverage;     /* estimated share of the outputs' bytes that the whole row writes */
    double rewritten;    /* the same of buffers that are read and written; 1 if there are none */
    const char *limiter; /* what bounds the longest launch: "memory", "issue", ...; static */
    kds_measures counters; /* sums over the launches; "...pct..." are means by time */
} kds_run_result;

typedef struct kds_device_ops {
    void (*close)(kds_device *d);

    /* An oracle program has f64 output buffers, with the inputs' values in those that are both.
     * *out is NULL if there is a finding. */
    kds_code (*load)(kds_device *d, const kds_plan *plan, const kds_compiled *c, bool oracle,
                     kds_program **out, kds_finding *f, kds_err *e);
    void (*unload)(kds_program *p);

    kds_code (*setup)(kds_device *d, int row, uint64_t secret, int regime, kds_bench **out,
                      kds_err *e);
    void (*teardown)(kds_bench *b);

    /* Runs all launches of the row in order, with all checks. *out is NULL if there is a finding;
     * `out` may be NULL if the outputs are of no interest. */
    kds_code (*run)(kds_bench *b, kds_program *p, const kds_run_options *o, kds_run_result *run,
                    kds_outputs **out, kds_finding *f, kds_err *e);
    /* The outputs of `p` where `like` has some: all of them, or on a sampled row those of a spread
     * of blocks. *out is NULL, without a finding, if `p` does not map blocks to outputs linearly.
     */
    kds_code (*cover)(kds_bench *b, kds_program *p, const kds_outputs *like, kds_outputs **out,
                      kds_finding *f, kds_err *e);
    void (*outputs_free)(kds_outputs *o);
    size_t (*outputs_bytes)(const kds_outputs *o);

    /* Compares one output buffer where both have elements; `t` as for kds_comparison_begin. */
    kds_code (*compare)(const kds_bench *b, int buffer, const kds_outputs *got,
                        const kds_outputs *want, const kds_tolerance *t, bool bitwise,
                        kds_errors *out, kds_err *e);
    /* A finding (wrong) if an element of an output was never written. */
    kds_code (*complete)(const kds_bench *b, const kds_outputs *o, kds_finding *f, kds_err *e);
    /* A finding (nondeterministic) if two runs left different bytes. */
    kds_code (*same)(const kds_bench *b, const kds_outputs *first, const kds_outputs *second,
                     kds_finding *f, kds_err *e);
    /* Findings wrote_outside and changed_input by guard bands and hashes; where every access is
     * checked as it is made, there is nothing left to find. */
    kds_code (*intact)(const kds_bench *b, kds_finding *f, kds_err *e);
    /* Times a program that has passed against the baseline, in turn in one session, on other
     * inputs, and proves the outputs of the timed launches (a finding, stale_output). Gives us and
     * baseline_us. NULL: a timed run has given the time. */
    kds_code (*time)(kds_bench *b, kds_program *p, kds_program *baseline, kds_run_result *run,
                     kds_finding *f, kds_err *e);
    /* Fights the duel that a message asks for (eval/cuda/gpu_job.h) and adds its record to `reply`.
     * NULL: times are exact here, and a duel compares two reports. */
    kds_code (*duel)(kds_device *d, const kds_frame *job, const kds_program *baseline, cJSON *reply,
                     kds_err *e);
} kds_device_ops;

/* The first member of every device. */
struct kds_device {
    const kds_device_ops *ops;
    const kds_task *task;
    char name[32];                /* "sim:h200", "cuda:0" */
    char model[128];              /* "NVIDIA H200"; "" if the name tells */
    char fingerprint[KDS_ID_HEX]; /* equal fingerprints: comparable results */
    char kind[KDS_ID_HEX]; /* the same without the one card: a campaign may go on where it is equal
                            */
    bool modelled;         /* times are modelled */
    int threads; /* cores that one run may use; 0: 1. Set by the caller; results do not depend on it
                  */
    bool spoilt; /* by a fault, a hang or a stray write: this process must answer and end */
    size_t kept_bytes; /* of outputs that may be kept; 0: the gate's own limit */
    double bytes_per_second, flops_per_second; /* the roofline */
    double tensor_flops_per_second;            /* on 16-bit numbers; 0: not known */
};

/* The first member of every bench. */
struct kds_bench {
    kds_device *device;
    const kds_row *row;
    int row_index;
    bool sampled; /* only some of the blocks run */
    kds_extent extents[KDS_BUFFERS_MAX];
};

/* Opens "sim", "sim:h200" or "cuda:0". `toolchain` names the compiler, for the fingerprint; `seed`
 * draws what is sampled. KDS_USAGE: no such device, with the ones there are; KDS_NO_DEVICE: not on
 * this machine. */
KDS_MUST_USE kds_code kds_device_open(kds_device **out, const char *spec, const kds_task *t,
                                      uint64_t seed, const char *toolchain, kds_err *e);
void kds_device_close(kds_device *d);
/* What to compile for ("sm_90"); makes no context on a GPU. */
KDS_MUST_USE kds_code kds_device_arch(const char *spec, char *out, size_t size, kds_err *e);
/* True for "cuda:0" and its like, and for lists of them. */
bool kds_device_is_gpu(const char *spec);
/* The simulated GPU that quick rows run on before one of that model ("NVIDIA H100 PCIe"; "" if not
 * known yet) and architecture ("sm_90a") does: the same, or the nearest that there is. */
const char *kds_device_safety(const char *model, const char *arch);

/* Why that device cannot compare the outputs of production rows of this task; "" if it can, as far
 * as is known before anything runs. */
KDS_MUST_USE kds_code kds_device_unchecked(const char *spec, const kds_task *t, char *why,
                                           size_t size, kds_err *e);

/* A GPU (eval/cuda/device_cuda.c); it is this process's alone until close. */
KDS_MUST_USE kds_code kds_device_cuda_open(kds_device **out, const char *spec, const kds_task *t,
                                           uint64_t seed, const char *toolchain, kds_err *e);
KDS_MUST_USE kds_code kds_device_cuda_arch(const char *spec, char *out, size_t size, kds_err *e);
/* The simulated device (eval/sim/device_sim.c); `gpu` is "h200", ... */
KDS_MUST_USE kds_code kds_device_sim_open(kds_device **out, const char *gpu, const kds_task *t,
                                          uint64_t seed, const char *toolchain, kds_err *e);

#endif
