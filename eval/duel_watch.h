/* Whether the GPU was left alone during a round: clocks, throttling and other processes, as sampled
 * between rounds. A disturbed round is repeated. Pure: a record's samples give the same answers. */
#ifndef KDS_EVAL_DUEL_WATCH_H
#define KDS_EVAL_DUEL_WATCH_H

#include "eval/duel_rounds.h"

#define KDS_DUEL_CLOCK_SHARE 0.02 /* further from the duel's median than that: the clock moved */
#define KDS_DUEL_REPEATS 8        /* may be needed whatever the number of rounds that counted */
#define KDS_DUEL_ATTEMPTS (2 * KDS_DUEL_ROUNDS + 1)

typedef struct kds_duel_sample {
    int sm_mhz, memory_mhz, temperature, processes; /* -1: not told */
    int64_t throttle;                               /* NVML's bits; -1: not told */
} kds_duel_sample;

typedef enum kds_duel_disturbance {
    KDS_DUEL_CALM,
    KDS_DUEL_CLOCK_MOVED,
    KDS_DUEL_THROTTLED,
    KDS_DUEL_FOREIGN_PROCESS
} kds_duel_disturbance;
const char *kds_duel_disturbance_name(kds_duel_disturbance d); /* "clock_moved" */

typedef struct kds_duel_watch {
    kds_duel_sample samples[KDS_DUEL_ATTEMPTS + 1];
    int count;
} kds_duel_watch;

/* The first sample, before the first round. */
void kds_duel_watch_begin(kds_duel_watch *w, const kds_duel_sample *s);
/* The sample after a round; tells how the round was disturbed by this sample and the one before it:
 * a clock further than 2 % from the median of all samples so far, a reason that holds the clocks
 * down other than idleness and settings, more processes than at the beginning. */
kds_duel_disturbance kds_duel_watch_end(kds_duel_watch *w, const kds_duel_sample *s);
/* True if there were so many repeats that the duel has to end: more than rounds that counted, and
 * more than KDS_DUEL_REPEATS. */
bool kds_duel_watch_gives_up(int counted, int repeats);

#endif
