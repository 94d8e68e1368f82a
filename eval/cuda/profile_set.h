/* What the files behind profile.h share. */
#ifndef KDS_EVAL_CUDA_PROFILE_SET_H
#define KDS_EVAL_CUDA_PROFILE_SET_H

#include "eval/cuda/profile.h"

struct kds_profiler {
    const kds_cupti *cupti;
    kds_card *card;
    kds_helpers *helpers;
    char chip[32];
    uint8_t *availability; /* image; NULL: not known */
    kds_cupti_host host;   /* answers questions about metrics */
    kds_cuda_address flush;
    uint64_t flush_bytes;
};

typedef struct set_counter {
    char name[80];
    int parts[KDS_COUNTER_PARTS], part_count; /* indices of metrics, to be added up */
} set_counter;

struct kds_metric_set {
    const kds_profiler *profiler;
    kds_cupti_host host; /* with the metrics added */
    char *metrics[KDS_METRICS_MAX];
    int metric_count;
    set_counter counters[KDS_METRICS_MAX];
    int counter_count;
    char *missing[KDS_METRICS_MAX + 1];
    int missing_count;
    uint8_t *image; /* of the configuration */
    size_t image_size;
    int passes;
};

/* An object that knows the chip's metrics; needs no GPU, only the chip's name and, where it is
 * known, the availability. */
kds_code kds_metric_host_open(const kds_profiler *p, kds_cupti_host *out, kds_err *e);
void kds_metric_host_close(const kds_profiler *p, kds_cupti_host host);

#endif
