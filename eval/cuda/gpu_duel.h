/* A measured duel on a GPU: incumbent and child of one task in turn, in one process. Rounds of ABBA
 * or BAAB by coin; each loads both modules afresh and draws where code and buffers lie; a visit is
 * a graph of launches behind a delay, cold by rotating over sets of buffers; rounds go on until
 * kds_duel_over says so. The record holds what the verdict was derived from (eval/duel_replay.h).
 */
#ifndef KDS_EVAL_CUDA_GPU_DUEL_H
#define KDS_EVAL_CUDA_GPU_DUEL_H

#include "eval/cuda/gpu_row.h"
#include "eval/cuda/nvml.h"

#include <cjson/cJSON.h>

#define KDS_GPU_DUEL_ROWS 64

typedef struct kds_gpu_duel_arm {
    const kds_plan *plan;
    const kds_compiled *compiled;
} kds_gpu_duel_arm;

typedef struct kds_gpu_duel_options {
    uint64_t seed;
    int rows[KDS_GPU_DUEL_ROWS], row_count; /* of the task */
    double margin;      /* smallest gain that counts; `floor` counts if it is larger */
    double floor;       /* the measured A/A floor of this GPU; 0 if it is not known */
    double max_regress; /* how much slower one row may be */
    double hopeless;    /* let go after two rounds if slower by that much in both */
    bool to_the_look;   /* the estimate is wanted, whatever the first rounds say */
    bool warm;          /* visits stay on one set */
    /* The incumbent's visits are made longer by that share: one kernel that idles on one thread
     * lies in the middle of each, its length calibrated before the first round. 0: none. */
    double slowdown;
} kds_gpu_duel_options;

/* What stays between duels: rows with their buffers, as far as memory goes. All is borrowed; `nvml`
 * may be NULL. */
typedef struct kds_gpu_duels kds_gpu_duels;
KDS_MUST_USE kds_code kds_gpu_duels_open(kds_gpu_duels **out, kds_card *c, kds_helpers *h,
                                         const kds_nvml *nvml, const kds_task *t,
                                         const kds_plan *baseline_plan,
                                         const kds_compiled *baseline, kds_err *e);
void kds_gpu_duels_close(kds_gpu_duels *g);

/* Fights one duel; arms[0] is the incumbent. Adds to `out`:
 * - verdict ("faster", "not_faster", "unresolved"; null with a finding), estimate (of
 *   ln(child/incumbent)), gain, low, high (98 %), p, counted (rounds), why, worst, worst_row;
 * - finding{arm, verdict, stage, line, message} if an arm failed: then *spoilt, and the process has
 *   to end;
 * - flags[] (clock_moved, throttled, foreign_process, shared_gpu), repeats, ended_by (a flag, or
 *   null), seed, mode ("cold", "warm"), rule{margin, max_regress, hopeless, to_the_look}, floor,
 *   slowdown;
 * - rows[]{row, index, weight, launches, sets, cold ("rotation", "flush"; "no" if warm), checked
 *   (outputs of timed launches compared), late (visits taken again, for the host was late),
 *   incumbent{us, cold{device_us, wall_us}, warm{...}}, child{...}, slowdown{added_us, visit_us,
 *   delay_ns}};
 * - rounds[]{attempt, disturbed (null, or a flag), rows[]{order, offset, incumbent_us[],
 *   child_us[], value}, sample{sm_mhz, memory_mhz, temperature, processes, throttle}}, and
 *   `opening`, the sample before the first round;
 * - seconds, and of these watch_seconds (NVML).
 * Times are microseconds a run. Those in the other mode, and wall times, are told where the child
 * is faster or the estimate was wanted; else they are null. An error is
 * the machine's fault; then *spoilt too. */
KDS_MUST_USE kds_code kds_gpu_duel(kds_gpu_duels *g, const kds_gpu_duel_arm arms[2],
                                   const kds_gpu_duel_options *o, cJSON *out, bool *spoilt,
                                   kds_err *e);

#endif
