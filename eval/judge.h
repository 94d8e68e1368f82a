/* From a compiled candidate to a verdict: safety, correctness, held-out rows, times, counters,
 * descriptor, on one device. Runs inside a judge worker (one per core on the simulator). */
#ifndef KDS_EVAL_JUDGE_H
#define KDS_EVAL_JUDGE_H

#include "eval/compile.h"
#include "eval/device.h"
#include "eval/plan.h"

typedef struct kds_judge kds_judge;

typedef struct kds_judge_options {
    const char *device; /* "sim", "sim:h200", "cuda:0" */
    uint64_t gate_seed; /* secret: inputs of the gate derive from it */
    int seeds;          /* secret seeds per row and regime; default 2 */
    bool only_safety;   /* stop after the quick rows; where the simulator cannot run the task's own
                           kernels, every candidate is "not_simulated" */
    bool forecast;      /* with only_safety: what passes gets a forecast of its time */
    bool proven;  /* another judge like this one has judged the baseline: it is not judged again */
    int threads;  /* cores that one candidate may use; 0: 1 */
    bool confine; /* once the device is open, give up what this process does not need */
} kds_judge_options;

/* Opens the device and prepares the baseline (judged by the same gate: a baseline that fails is
 * KDS_INVALID with the finding in the message) and the reference. Everything is borrowed until
 * close. */
KDS_MUST_USE kds_code kds_judge_open(kds_judge **out, const kds_task *t, const kds_judge_options *o,
                                     const kds_compiled *baseline, const kds_compiled *reference,
                                     kds_err *e);
void kds_judge_close(kds_judge *j);
/* Hash of everything that results depend on: device, its parameters, version of the measuring code,
 * NVRTC. */
const char *kds_judge_fingerprint(const kds_judge *j);
/* The device: its name, kind, model. */
const kds_device *kds_judge_device(const kds_judge *j);
/* True once a candidate has left the device in a state that nothing may run on: this process must
 * answer and end. */
bool kds_judge_spoilt(const kds_judge *j);
/* The baseline's own report: candidate 0, fitness 1; NULL if it was proven before. Borrowed until
 * close. */
const cJSON *kds_judge_baseline(const kds_judge *j);

/* Judges one candidate and gives a report (cJSON, owned by the caller): a pure function of source,
 * task, gate seed and device on the simulator. A fault of the machine is an error, never a verdict.
 * Fields; those marked * are there only if the verdict is "ok":
 * - verdict, stage, message, line: the finding; "ok" if everything passed.
 * - device, fingerprint; model of a GPU.
 * - flags[]: "modelled", "sampled", "production_unchecked" (a large row's outputs could not be
 *   compared), "beyond_roofline", "above_10x", "safety_only", "descriptor_undefined";
 *   "no_counters" (none of this device; the descriptor is of facts alone, with a version of its
 *   own). Who has them measured elsewhere completes the report (kds_report_counters).
 * - rows[], in the order of the checks: row, set, verdict, variant, launches, sampled, errors[]
 *   {buffer, max_abs, rel_rmse, baseline_max_abs}; production rows also weight, time_us,
 *   baseline_us, bound_us, modelled, limiter; held_out rows carry row, set and verdict only.
 * - fitness*: weighted geometric mean over production rows of baseline_us / time_us.
 * - counters*, {name: value}: weighted sums over the profile rows, by CUPTI's names.
 * - facts: registers, spill_bytes, static_shared, dynamic_shared, launches, variants, threads,
 *   source_bytes, tokens, tunable.NAME: the largest over the profile rows.
 * - forecast {ratio, device, counters}, where asked for and possible: the logarithm of time over
 *   the baseline's, weighted over production rows, modelled from a few blocks of them; and what the
 *   simulator counted there that GPUs do not count, with what that is set against.
 * - simulated {name: value}, of a GPU's report: those counters.
 * - descriptor*: version, values[], bins[], cell (16 hex digits). */
KDS_MUST_USE kds_code kds_judge_run(kds_judge *j, const char *source, size_t len,
                                    const kds_plan *plan, const kds_compiled *compiled,
                                    cJSON **report, kds_err *e);

/* Production rows whose counters make the descriptor: those marked; all of them if none is. */
bool kds_row_is_profiled(const kds_task *t, int row);
/* Puts counters into a report that has none, and the descriptor that follows from them: by row of
 * the task, those of a row that is not profiled are not looked at. */
KDS_MUST_USE kds_code kds_report_counters(cJSON *report, const kds_task *t,
                                          const kds_measures *by_row, kds_err *e);
/* Adds the counters that a report does not have yet; those that it has, and its descriptor, stay.
 */
KDS_MUST_USE kds_code kds_report_more_counters(cJSON *report, const kds_task *t,
                                               const kds_measures *by_row, kds_err *e);
/* Adds a flag to a report, once; false: out of memory. */
bool kds_report_flag(cJSON *report, const char *flag);
bool kds_report_has_flag(const cJSON *report, const char *flag);

/* Frames for the judge worker. `prepare` once per worker, then `candidate` any number of times, and
 * on a GPU duels (eval/cuda/gpu_job.h). */
KDS_MUST_USE kds_code kds_judge_prepare_job(kds_frame *out, const char *task_dir,
                                            const kds_judge_options *o,
                                            const kds_compiled *baseline,
                                            const kds_compiled *reference, kds_err *e);
KDS_MUST_USE kds_code kds_judge_candidate_job(kds_frame *out, const char *source, size_t len,
                                              const char *parent_source,
                                              const kds_compiled *compiled, kds_err *e);
/* A kds_compiled as part of a frame: appends blobs and puts the description under `key` of the
 * header; and back. */
KDS_MUST_USE kds_code kds_compiled_pack(kds_frame *f, const char *key, const kds_compiled *c,
                                        kds_err *e);
KDS_MUST_USE kds_code kds_compiled_unpack(const kds_frame *f, const char *key, kds_compiled **out,
                                          kds_err *e);
/* A whole program: its numbers among the frame's blobs go into the object `to`, the compiled code
 * under `key` of the header. `parent_source` may be NULL. */
KDS_MUST_USE kds_code kds_program_pack(kds_frame *f, cJSON *to, const char *key, const char *source,
                                       size_t len, const char *parent_source,
                                       const kds_compiled *compiled, kds_err *e);
/* One that has been planned before: that its plan is wrong is KDS_PROTOCOL. */
KDS_MUST_USE kds_code kds_program_unpack(const kds_frame *f, const cJSON *from, const char *key,
                                         const kds_task *t, kds_plan **plan,
                                         kds_compiled **compiled, kds_err *e);

/* The cell of a descriptor: XXH3-64 over the descriptor-set version and the bin numbers. */
uint64_t kds_cell_key(int descriptor_version, const int *bins, int count);
/* Bin of a value: number of edges <= value. */
int kds_axis_bin(const kds_axis *a, double value);

#endif
