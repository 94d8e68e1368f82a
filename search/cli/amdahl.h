/* What a kernel's speed-up means for the whole that it is part of: Amdahl's law on the share that
 * the task states. Derived, never measured, and shown so. */
#ifndef KDS_CLI_AMDAHL_H
#define KDS_CLI_AMDAHL_H

#include "search/base/json.h"
#include <stdio.h>

/* 1 / ((1 - share) + share / speedup). */
double kds_amdahl(double share, double speedup);
/* Adds "end_to_end" {share, share_of, task_speedup, speedup, derived: true} to the report of a
 * candidate of the archive; nothing if its task states no share, or there is no speed-up. False:
 * out of memory. */
bool kds_amdahl_add(cJSON *report, const char *archive, double speedup);
/* The same as a line; nothing if the report (may be NULL) has none. */
void kds_amdahl_print(FILE *out, const cJSON *report);

#endif
