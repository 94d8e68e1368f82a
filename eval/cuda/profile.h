/* Counters of what runs on a card, by CUPTI's Range Profiler. A metric set is what is collected
 * together, in as many passes as the hardware needs; each pass runs the work again, from the same
 * state. For a process of its own: see cupti.h. */
#ifndef KDS_EVAL_CUDA_PROFILE_H
#define KDS_EVAL_CUDA_PROFILE_H

#include "eval/cuda/counters.h"
#include "eval/cuda/cupti.h"
#include "eval/cuda/gpu_row.h"
#include "eval/descriptor.h"

#define KDS_PROFILE_PASSES 3 /* of the default set */
#define KDS_METRICS_MAX 128

typedef struct kds_profiler kds_profiler;
typedef struct kds_metric_set kds_metric_set;

/* Initialises CUPTI on the card's context; about 0.6 s. All is borrowed; CUPTI was best opened
 * before the driver. KDS_NOT_FOUND: there are no counters here, with the reason and what to do.
 * KDS_LOCKED: another profiler has them. */
KDS_MUST_USE kds_code kds_profiler_open(kds_profiler **out, const kds_cupti *cupti, kds_card *card,
                                        kds_helpers *h, kds_err *e);
void kds_profiler_close(kds_profiler *p);
const char *kds_profiler_chip(const kds_profiler *p); /* "GH100" */

/* A set of counters by our names (eval/cuda/counters.h) or CUPTI's own: the first `required` of
 * them whatever they cost, the others as long as there are no more than `passes`. What the chip
 * does not have is left out. KDS_NOT_FOUND: it has none of them. */
KDS_MUST_USE kds_code kds_metric_set_make(kds_metric_set **out, const kds_profiler *p,
                                          const char *const *names, int count, int required,
                                          int passes, kds_err *e);
/* The default set, after the `required` names that come first; or, if `all`, everything there is.
 */
KDS_MUST_USE kds_code kds_metric_set_standard(kds_metric_set **out, const kds_profiler *p,
                                              const char *const *required, int count, bool all,
                                              kds_err *e);
void kds_metric_set_free(kds_metric_set *s);
int kds_metric_set_passes(const kds_metric_set *s);
/* Names that were asked for (required) and that the chip does not have; NULL at the end. */
const char *const *kds_metric_set_missing(const kds_metric_set *s);

/* What is profiled. `prepare` makes the state from which every pass starts; `run` does the work and
 * waits for it. If it fails by its own fault it sets *failed, and nothing is collected. */
typedef struct kds_profile_work {
    kds_code (*prepare)(void *user, kds_err *e);
    kds_code (*run)(void *user, bool *failed, kds_err *e);
    void *user;
} kds_profile_work;
#define KDS_PROFILE_WORKS 4
/* Counters of each of at most KDS_PROFILE_WORKS works, over all of its launches; those without a
 * value (nothing to divide by) are left out. All are run in every pass, because what a pass costs
 * hardly depends on what runs in it. Caches hold none of a work's data when it begins. */
KDS_MUST_USE kds_code kds_profiler_run(kds_profiler *p, const kds_metric_set *s,
                                       const kds_profile_work *works, int count, kds_measures *out,
                                       bool *failed, kds_err *e);

/* ---- profile_row.c ---- */
/* A candidate on at most KDS_PROFILE_WORKS rows: run once without counters, then profiled; `out`
 * has one entry a row. A failure of the candidate is a finding; *spoilt as in gpu_measure.h. */
KDS_MUST_USE kds_code kds_profile_rows(kds_profiler *p, const kds_metric_set *s,
                                       kds_gpu_row *const *rows, int count, const kds_plan *plan,
                                       const kds_compiled *c, kds_measures *out, bool *spoilt,
                                       kds_finding *f, kds_err *e);

/* ---- profile_test.c ---- */
#define KDS_SELF_TEST_CHECKS 12
typedef struct kds_profile_check {
    const char *counter;
    double got, want, allowed; /* allowed: relative */
} kds_profile_check;
/* Counters of two kernels of ours (a copy, bank conflicts) against what they must be.
 * KDS_SELF_TEST: they are off, and no counter is to be believed; `checks` says by how much,
 * whatever comes out. */
KDS_MUST_USE kds_code kds_profile_self_test(kds_profiler *p, const kds_metric_set *s,
                                            kds_profile_check *checks, int *count, kds_err *e);

/* Shared by the two above and profile.c. */
kds_card *kds_profiler_card(const kds_profiler *p);
kds_helpers *kds_profiler_helpers(const kds_profiler *p);

#endif
