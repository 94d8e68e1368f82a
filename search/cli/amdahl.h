/* What a kernel's speed-up means for the whole that it is part of: Amdahl's law on the share that
 * the task states. Derived, never measured, and shown so. */
#ifndef KDS_CLI_AMDAHL_H
#define KDS_CLI_AMDAHL_H

#include "search/base/json.h"
#include <stdio.h>

/* 1 / ((1 - share) + share / speedup). */
double kds_amdahl(double share, double speedup);
/* A line for the archive's task; nothing if the task states no share, or there is no speed-up.
 * `origin`: of the speed-up, "modelled" or "measured". */
void kds_amdahl_print(FILE *out, const char *archive, double speedup, const char *origin);
/* The same as "end_to_end" {share, share_of, speedup, derived: true}; false: out of memory. */
bool kds_amdahl_add(cJSON *to, const char *archive, double speedup);

#endif
