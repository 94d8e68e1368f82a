/* From a source to a verdict: lint and plan here, compilation and judging in worker processes. One
 * evaluator serves a campaign or a single `eval`; it knows nothing of archives. Infrastructure
 * faults are retried once; a candidate whose workers die twice is given a verdict of its own, and
 * the program goes on. */
#ifndef KDS_ENGINE_EVALUATE_H
#define KDS_ENGINE_EVALUATE_H

#include "eval/compile.h"
#include "eval/judge.h"
#include "search/engine/settings.h"
#include <poll.h>

typedef struct kds_evaluator kds_evaluator;

/* What one stage found. All borrowed for the call. */
typedef struct kds_stage {
    uint64_t tag;
    const char *stage;   /* lint, plan, compile, judge */
    kds_verdict verdict; /* OK: go on */
    int line;
    const char *message;
    kds_id program;               /* compile: identity of cubins and launches; else zero */
    const cJSON *report;          /* judge; else NULL */
    const char *log;              /* compile: what NVRTC said, "" if nothing */
    const kds_compiled *compiled; /* compile, when OK */
    const kds_plan *plan;         /* from plan on */
    double seconds;
} kds_stage;

/* Called at the end of each stage; false stops this candidate here (a duplicate, say). */
typedef bool kds_stage_fn(void *user, const kds_stage *stage);

typedef struct kds_evaluator_options {
    const kds_task *task; /* borrowed until close */
    const kds_settings *settings;
    uint64_t gate_seed;
    bool one_by_one;  /* candidates come one after the other: each may use every core */
    bool only_safety; /* judge on the quick rows only */
    kds_stage_fn *stage;
    void *user;
} kds_evaluator_options;

KDS_MUST_USE kds_code kds_evaluator_create(kds_evaluator **out, const kds_evaluator_options *o,
                                           kds_err *e);
void kds_evaluator_close(kds_evaluator *x);
/* Compiles baseline and reference and proves the baseline on the device; blocks. The task is wrong:
 * KDS_INVALID. */
KDS_MUST_USE kds_code kds_evaluator_prepare(kds_evaluator *x, kds_err *e);
/* From now on `task` (the same task in another folder) is what new workers load; the old one may be
 * freed. */
KDS_MUST_USE kds_code kds_evaluator_move(kds_evaluator *x, const kds_task *task, kds_err *e);
/* After prepare: "sim:h200" and the hash of what results depend on. */
const char *kds_evaluator_device(const kds_evaluator *x);
const char *kds_evaluator_fingerprint(const kds_evaluator *x);
/* Starts a candidate; lint and plan end (and are told) before this returns. `parent_source` may be
 * NULL. */
KDS_MUST_USE kds_code kds_evaluator_submit(kds_evaluator *x, uint64_t tag, const char *source,
                                           size_t len, const char *parent_source, kds_err *e);
int kds_evaluator_in_hand(const kds_evaluator *x);
int kds_evaluator_poll_set(const kds_evaluator *x, struct pollfd *fds, int room);
int kds_evaluator_timeout_ms(const kds_evaluator *x);
KDS_MUST_USE kds_code kds_evaluator_step(kds_evaluator *x, kds_err *e);

#endif
