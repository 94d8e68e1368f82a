/* From a source to a verdict: lint and plan here, everything else in worker processes. One
 * evaluator serves a campaign or a single `eval`; it knows nothing of archives.
 *
 * On the simulator a candidate is compiled and judged. On GPUs it is compiled, its quick rows run
 * on the simulator with every check (safety), it is judged on a card, and profiled there by another
 * process; duels are fought there too. One thing at a time happens on a card, so that nothing
 * disturbs what is timed. Infrastructure faults are retried once; a candidate whose workers die
 * twice is given a verdict of its own, and the program goes on. */
#ifndef KDS_ENGINE_EVALUATE_H
#define KDS_ENGINE_EVALUATE_H

#include "eval/compile.h"
#include "eval/cuda/gpu_job.h"
#include "eval/judge.h"
#include "search/engine/settings.h"
#include <poll.h>

#define KDS_CARDS_MAX 16 /* GPUs of one campaign */

typedef struct kds_evaluator kds_evaluator;

/* What one stage found. All borrowed for the call. */
typedef struct kds_stage {
    uint64_t tag;
    const char *stage;   /* lint, plan, compile, safety, judge, profile */
    kds_verdict verdict; /* OK: go on */
    int line;
    const char *message;
    kds_id program;      /* compile: identity of cubins and launches; else zero */
    const cJSON *report; /* judge, and what safety refused; else NULL. A GPU's is complete: counters
                            are in it, or "no_counters", or "screened" */
    cJSON **kept;        /* where the report lies, and whoever wants to own it may take it, leaving
                            NULL; NULL: it is only shown */
    const char *log;     /* compile: what NVRTC said, "" if nothing */
    const kds_compiled *compiled; /* compile, when OK */
    const kds_plan *plan;         /* from plan on */
    double seconds;
    const cJSON *forecast; /* safety, when OK: {ratio, device} of eval/judge.h; NULL if none */
} kds_stage;

/* Called at the end of each stage; false stops this candidate here (a duplicate, say). */
typedef bool kds_stage_fn(void *user, const kds_stage *stage);

/* How a duel ended. All borrowed for the call. */
typedef struct kds_fought {
    uint64_t tag;
    cJSON *record;                    /* of eval/cuda/gpu_duel.h; NULL: none came of it */
    const char *why;                  /* without a record: what failed */
    const char *device, *fingerprint; /* of the card; "" if it did not get there */
    double seconds;
} kds_fought;
typedef void kds_fought_fn(void *user, const kds_fought *f);

typedef struct kds_evaluator_options {
    const kds_task *task; /* borrowed until close */
    const kds_settings *settings;
    uint64_t gate_seed;
    bool one_by_one;  /* candidates come one after the other: each may use every core */
    bool only_safety; /* judge on the quick rows only */
    bool forecast;    /* before GPUs: what passes the safety check gets a forecast */
    kds_stage_fn *stage;
    kds_fought_fn *fought; /* NULL: no duels */
    void *user;
} kds_evaluator_options;

KDS_MUST_USE kds_code kds_evaluator_create(kds_evaluator **out, const kds_evaluator_options *o,
                                           kds_err *e);
void kds_evaluator_close(kds_evaluator *x);
/* Compiles baseline and reference and proves the baseline on every device; blocks. The task is
 * wrong: KDS_INVALID. */
KDS_MUST_USE kds_code kds_evaluator_prepare(kds_evaluator *x, kds_err *e);
/* From now on `task` (the same task in another folder) is what new workers load; the old one may be
 * freed. */
KDS_MUST_USE kds_code kds_evaluator_move(kds_evaluator *x, const kds_task *task, kds_err *e);

/* ---- After prepare ---- */
/* "sim:h200", "cuda:0,cuda:1". */
const char *kds_evaluator_device(const kds_evaluator *x);
/* Hash of what results depend on; of several cards, over all of theirs. */
const char *kds_evaluator_fingerprint(const kds_evaluator *x);
/* The same without the cards themselves: where it is equal, a campaign may go on. */
const char *kds_evaluator_kind(const kds_evaluator *x);
const char *kds_evaluator_model(const kds_evaluator *x); /* "NVIDIA H200"; "" on the simulator */
bool kds_evaluator_measures(const kds_evaluator *x);     /* times are measured: duels decide */
/* Counters are to be had; else why not, in words. */
bool kds_evaluator_counts(const kds_evaluator *x, const char **why_not);

/* A campaign that began without them goes on so. */
void kds_evaluator_forget_counters(kds_evaluator *x);

/* Starts a candidate; lint and plan end (and are told) before this returns. `parent_source` may be
 * NULL. */
KDS_MUST_USE kds_code kds_evaluator_submit(kds_evaluator *x, uint64_t tag, const char *source,
                                           size_t len, const char *parent_source, kds_err *e);

/* Which of the candidates that wait for a card is judged first: that of the lowest rank, but none
 * is passed over more than eight times. To be told at the end of the safety check; the task's own
 * kernels come first without. */
void kds_evaluator_rank(kds_evaluator *x, uint64_t tag, double rank);

/* Profiles a candidate again that has passed the gate, with every counter that there is. The end is
 * told as a stage "profile" with its report (taken), which has those counters beside what it had;
 * or with a verdict that is not OK, if nothing came of it. */
KDS_MUST_USE kds_code kds_evaluator_profile_again(kds_evaluator *x, uint64_t tag,
                                                  const char *source, size_t len,
                                                  const char *parent_source, cJSON *report,
                                                  kds_err *e);

/* Two programs that have passed the gate. sides[0] is the incumbent; `compiled` of the sides is not
 * looked at. `fresh`: in a process that has done nothing before; `not_on` (may be NULL): a card
 * that it had better not be, if there is another. */
KDS_MUST_USE kds_code kds_evaluator_fight(kds_evaluator *x, uint64_t tag,
                                          const kds_gpu_duel_side sides[2],
                                          const kds_gpu_duel_options *o, bool fresh,
                                          const char *not_on, kds_err *e);

int kds_evaluator_cards(const kds_evaluator *x);   /* that work */
int kds_evaluator_in_hand(const kds_evaluator *x); /* candidates and duels */
int kds_evaluator_poll_set(const kds_evaluator *x, struct pollfd *fds, int room);
int kds_evaluator_timeout_ms(const kds_evaluator *x);
KDS_MUST_USE kds_code kds_evaluator_step(kds_evaluator *x, kds_err *e);

/* Steps and waits until nothing is in hand. */
KDS_MUST_USE kds_code kds_evaluator_finish(kds_evaluator *x, kds_err *e);

/* Seconds that the cards have been at work since the start, of several their sum: judging, duels,
 * profiling, of jobs that have ended. 0 on the simulator. */
double kds_evaluator_gpu_seconds(const kds_evaluator *x);

/* Where the workers' time went: {compile{workers, jobs, seconds}, safety, judge, profile, duel};
 * seconds are summed over the workers of a kind. `recovery`, if there were any: from a fault on a
 * card to the next process that is ready there. NULL: out of memory. Owned by the caller. */
cJSON *kds_evaluator_stats(const kds_evaluator *x);

#endif
