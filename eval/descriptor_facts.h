/* The descriptor where counters cannot be had: facts of the compiled code and the plan alone. Its
 * version is its own, so that its cells are never taken for those of counters. */
#ifndef KDS_EVAL_DESCRIPTOR_FACTS_H
#define KDS_EVAL_DESCRIPTOR_FACTS_H

#include "eval/compile.h"
#include "eval/descriptor.h"

#define KDS_FACTS_DESCRIPTOR_VERSION 1001

/* Bytes of the widest access to global memory that a thread makes at once, as its PTX tells; copies
 * that the hardware makes on its own count as 32. 0: none. */
int kds_ptx_access_bytes(const char *ptx);
/* The axes as JSON: [{name, unit, value, edges[]}]; NULL: out of memory. */
cJSON *kds_descriptor_facts_axes(void);
/* Axes: registers, shared memory (static and dynamic), width of access; 4 bins each. */
KDS_MUST_USE kds_code kds_descriptor_facts_json(const kds_measures *facts, const kds_compiled *c,
                                                cJSON **out, bool *undefined, kds_err *e);

#endif
