/* Time: monotonic seconds for durations, wall-clock milliseconds for the record. */
#ifndef KDS_BASE_CLOCK_H
#define KDS_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

double kds_clock_monotonic(void); /* seconds */
int64_t kds_clock_wall_ms(void);  /* milliseconds since 1970, UTC */
/* "2026-01-31T08:15:00Z" */
void kds_clock_format(int64_t wall_ms, char *out, size_t size);

#endif
