/* Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random
 * numbers: as easy as 1, 2, 3", SC 2011). A stream is a pure function of its key, so a decision can
 * be drawn again at replay, and element i of a buffer can be generated anywhere without the
 * elements before it. */
#ifndef KDS_BASE_RANDOM_H
#define KDS_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* One Philox4x32-10 block. */
void kds_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* A stream keyed by (seed, decision number, purpose). `purpose` is a short constant name such as
 * "operator". */
typedef struct kds_random {
    uint32_t key[2];
    uint64_t stream; /* hash of decision and purpose */
    uint64_t next;   /* numbers drawn so far */
} kds_random;

kds_random kds_random_stream(uint64_t seed, uint64_t decision, const char *purpose);
uint64_t kds_random_u64(kds_random *r);
/* Uniform in [0, n), without modulo bias; n > 0. */
uint64_t kds_random_below(kds_random *r, uint64_t n);
/* Uniform in [0, 1), 53 bits. */
double kds_random_unit(kds_random *r);
/* Standard normal (Box-Muller). */
double kds_random_normal(kds_random *r);
/* Index drawn with probability proportional to weights[i] >= 0; n > 0; uniform if all are zero. */
size_t kds_random_weighted(kds_random *r, const double *weights, size_t n);

#endif
