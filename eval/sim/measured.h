/* Times that `kdasearch bench gpu` measured, and the same kernels on the simulated device. */
#ifndef KDS_EVAL_SIM_MEASURED_H
#define KDS_EVAL_SIM_MEASURED_H

#include "eval/sim/calibrate.h"

/* A kernel that was measured but has no modelled time, and why. */
typedef struct kds_measured_left {
    char *kernel, *row, *why;
} kds_measured_left;

typedef struct kds_measured {
    kds_sample *samples;
    size_t count, room;
    kds_measured_left *left;
    size_t left_count, left_room;
    char device[128], driver[80]; /* of the first file */
    char **names;                 /* owned texts that the samples point at */
    size_t name_count, name_room;
    int task_count, row_count;
} kds_measured;

/* Progress: one kernel has been simulated on its rows. */
typedef void kds_measured_fn(void *user, const char *file, int done, int total);

typedef struct kds_measured_options {
    const char *gpu;       /* "h200" */
    const char *tasks_dir; /* where tasks lie under their names; NULL: where each file says */
    kds_nvrtc *nvrtc;
    kds_measured_fn *note; /* may be NULL */
    void *user;
} kds_measured_options;

/* Reads a file, compiles its kernels and simulates them on the rows on which they were measured, as
 * the judge does. Samples are added. KDS_INVALID: not a file of `bench gpu`, or one whose task is
 * another by now; the message names the file and what to do. */
KDS_MUST_USE kds_code kds_measured_add(kds_measured *m, const char *path,
                                       const kds_measured_options *o, kds_err *e);
/* The same for several files, in processes that run side by side. */
KDS_MUST_USE kds_code kds_measured_add_all(kds_measured *m, const char *const *paths, int count,
                                           const kds_measured_options *o, kds_err *e);
/* Takes a text, which lives as long as the samples; NULL: out of memory. */
const char *kds_measured_keep(kds_measured *m, char *text);
KDS_MUST_USE kds_code kds_measured_put(kds_measured *m, const kds_sample *s, kds_err *e);
KDS_MUST_USE kds_code kds_measured_leave(kds_measured *m, const char *kernel, const char *row,
                                         const char *why, kds_err *e);
void kds_measured_free(kds_measured *m);

#endif
