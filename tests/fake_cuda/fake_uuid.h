/* The UUID of the simulated GPU: one for each folder that programs run in, so that tests that run
 * at the same time have GPUs, and locks, of their own. */
#ifndef KDS_TESTS_FAKE_UUID_H
#define KDS_TESTS_FAKE_UUID_H

#include "eval/cuda/driver.h"

static inline void fake_uuid(const char *folder, kds_cuda_uuid *out)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (const char *p = folder; *p != '\0'; p++)
        hash = (hash ^ (unsigned char)*p) * UINT64_C(1099511628211);
    for (int i = 0; i < 16; i++)
        out->bytes[i] = (unsigned char)(hash >> (i % 8 * 8)) ^ (unsigned char)(i / 8 * 0xff);
}

#endif
