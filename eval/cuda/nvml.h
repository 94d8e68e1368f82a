/* NVML, opened at run time: what the CUDA driver does not tell of a GPU (version of the driver,
 * clocks in force, who else uses it). Everything here is optional: a machine without it measures as
 * well, but knows less of its own state. */
#ifndef KDS_EVAL_CUDA_NVML_H
#define KDS_EVAL_CUDA_NVML_H

#include "search/base/err.h"

typedef struct kds_nvml kds_nvml;

/* KDS_NOT_FOUND: not here, or not usable; the message says why. */
KDS_MUST_USE kds_code kds_nvml_open(kds_nvml **out, kds_err *e);
void kds_nvml_close(kds_nvml *n);
/* "580.65.06"; "" if it is not told. */
const char *kds_nvml_driver(const kds_nvml *n);

/* The state of one GPU; -1 where it is not told. */
typedef struct kds_nvml_state {
    int sm_mhz, sm_max_mhz, memory_mhz, memory_max_mhz;
    int persistence;  /* 1: on */
    int processes;    /* that compute on it now */
    int temperature;  /* degrees Celsius */
    int64_t throttle; /* NVML's clocks event reasons, as bits */
} kds_nvml_state;
/* `pci` as the CUDA driver gives it ("0000:3B:00.0"). `n` may be NULL: nothing is told. */
void kds_nvml_look(const kds_nvml *n, const char *pci, kds_nvml_state *out);
/* What holds the clocks down, in words; "" if nothing does. Idle is no throttling. */
void kds_nvml_throttle_text(int64_t throttle, char *out, size_t size);

#endif
