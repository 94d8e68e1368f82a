/* The descriptor: how a kernel works, as bin numbers over counters and facts. kds_axis_bin and
 * kds_cell_key are declared in eval/judge.h. */
#ifndef KDS_EVAL_DESCRIPTOR_H
#define KDS_EVAL_DESCRIPTOR_H

#include "eval/task.h"

/* Named numbers: counters by CUPTI's names, facts by theirs. */
#define KDS_MEASURES_MAX 96
typedef struct kds_measure {
    char name[80];
    double value;
} kds_measure;
typedef struct kds_measures {
    kds_measure items[KDS_MEASURES_MAX];
    int count;
} kds_measures;

/* Sets or replaces a value; false if there is no room. Names are copied, cut to fit. */
bool kds_measures_set(kds_measures *m, const char *name, double value);
/* The value, or `fallback`. */
double kds_measures_get(const kds_measures *m, const char *name, double fallback);
/* {"name": value, ...} in order; NULL if out of memory. */
cJSON *kds_measures_json(const kds_measures *m);

/* {"version", "values", "bins", "cell"} of a task's axes. An axis whose expression has no value
 * here (nothing to divide by) has the value 0 and sets *undefined. A name that is neither a counter
 * nor a fact is KDS_INVALID, naming the axis. */
KDS_MUST_USE kds_code kds_descriptor_json(const kds_task *t, const kds_measures *counters,
                                          const kds_measures *facts, cJSON **out, bool *undefined,
                                          kds_err *e);
/* The same of any axes. */
KDS_MUST_USE kds_code kds_descriptor_axes_json(int version, const kds_axis *axes, int count,
                                               const kds_measures *counters,
                                               const kds_measures *facts, cJSON **out,
                                               bool *undefined, kds_err *e);

#endif
