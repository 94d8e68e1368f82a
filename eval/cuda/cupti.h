/* CUPTI's Range Profiler, opened at run time: the calls in use, their structs, errors in words.
 * cupti_profiler_host.h is C++ and needs the toolkit, so what is used of the ABI is declared here
 * (a test compares it with the headers). Initialising the profiler changes the times of everything
 * that the process runs afterwards: only a process that measures no time may do it. */
#ifndef KDS_EVAL_CUDA_CUPTI_H
#define KDS_EVAL_CUDA_CUPTI_H

#include "eval/cuda/driver.h"

#include <stddef.h>
#include <stdint.h>

typedef struct kds_cupti_host_st *kds_cupti_host;   /* knows metrics; needs no GPU */
typedef struct kds_cupti_range_st *kds_cupti_range; /* collects on a context */

/* Every call takes a struct that begins with its own size. X(name, fields, last field); the size
 * that CUPTI wants ends with the last field, not with the padding behind it. */
#define KDS_CUPTI_STRUCTS(X)                                                                       \
    X(initialize, , priv)                                                                          \
    X(chip_name, size_t device; const char *chip;, chip)                                           \
    X(availability, kds_cuda_context context; size_t size; uint8_t * image;, image)                \
    X(host_initialize, int type; const char *chip; const uint8_t *availability;                    \
      kds_cupti_host host;, host)                                                                  \
    X(host_end, kds_cupti_host host;, host)                                                        \
    X(host_metric, kds_cupti_host host; const char *metric; const char *description;               \
      const char *unit; const char *dimension; int type;, type)                                    \
    X(host_add, kds_cupti_host host; char *const *metrics; size_t count;, count)                   \
    X(host_image_size, kds_cupti_host host; size_t size;, size)                                    \
    X(host_image, kds_cupti_host host; size_t size; uint8_t * image;, image)                       \
    X(host_passes, size_t size; uint8_t * image; size_t passes;, passes)                           \
    X(host_evaluate, kds_cupti_host host; const uint8_t *data; size_t size; size_t range;          \
      char *const *metrics; size_t count; double *values;, values)                                 \
    X(enable, kds_cuda_context context; kds_cupti_range range;, range)                             \
    X(disable, kds_cupti_range range;, range)                                                      \
    X(data_size, kds_cupti_range range; char *const *metrics; size_t count; size_t ranges;         \
      uint32_t nodes; size_t size;, size)                                                          \
    X(data_begin, kds_cupti_range range; size_t size; uint8_t * data;, data)                       \
    X(configure, kds_cupti_range range; size_t image_size; const uint8_t *image; size_t data_size; \
      uint8_t * data; int range_mode; int replay_mode; size_t ranges; uint16_t levels;             \
      uint16_t first_level; size_t pass; uint16_t target_level;, target_level)                     \
    X(start, kds_cupti_range range;, range)                                                        \
    X(stop, kds_cupti_range range; size_t pass; size_t target_level; uint8_t all_submitted;        \
      , all_submitted)                                                                             \
    X(push, kds_cupti_range range; const char *name;, name)                                        \
    X(pop, kds_cupti_range range;, range)                                                          \
    X(decode, kds_cupti_range range; size_t dropped;, dropped)                                     \
    X(data_info, const uint8_t *data; size_t size; size_t ranges;, ranges)

#define KDS_X(name, fields, last)                                                                  \
    typedef struct kds_cupti_##name##_args {                                                       \
        size_t struct_size;                                                                        \
        void *priv; /* NULL */                                                                     \
        fields                                                                                     \
    } kds_cupti_##name##_args;                                                                     \
    enum {                                                                                         \
        KDS_CUPTI_SIZE_##name =                                                                    \
            offsetof(kds_cupti_##name##_args, last) + sizeof(((kds_cupti_##name##_args *)0)->last) \
    };
KDS_CUPTI_STRUCTS(KDS_X)
#undef KDS_X

/* X(name of its struct, symbol); all return CUptiResult. */
#define KDS_CUPTI_CALLS(X)                                                                         \
    X(initialize, "cuptiProfilerInitialize")                                                       \
    X(chip_name, "cuptiDeviceGetChipName")                                                         \
    X(availability, "cuptiProfilerGetCounterAvailability")                                         \
    X(host_initialize, "cuptiProfilerHostInitialize")                                              \
    X(host_end, "cuptiProfilerHostDeinitialize")                                                   \
    X(host_metric, "cuptiProfilerHostGetMetricProperties")                                         \
    X(host_add, "cuptiProfilerHostConfigAddMetrics")                                               \
    X(host_image_size, "cuptiProfilerHostGetConfigImageSize")                                      \
    X(host_image, "cuptiProfilerHostGetConfigImage")                                               \
    X(host_passes, "cuptiProfilerHostGetNumOfPasses")                                              \
    X(host_evaluate, "cuptiProfilerHostEvaluateToGpuValues")                                       \
    X(enable, "cuptiRangeProfilerEnable")                                                          \
    X(disable, "cuptiRangeProfilerDisable")                                                        \
    X(data_size, "cuptiRangeProfilerGetCounterDataSize")                                           \
    X(data_begin, "cuptiRangeProfilerCounterDataImageInitialize")                                  \
    X(configure, "cuptiRangeProfilerSetConfig")                                                    \
    X(start, "cuptiRangeProfilerStart")                                                            \
    X(stop, "cuptiRangeProfilerStop")                                                              \
    X(push, "cuptiRangeProfilerPushRange")                                                         \
    X(pop, "cuptiRangeProfilerPopRange")                                                           \
    X(decode, "cuptiRangeProfilerDecodeData")                                                      \
    X(data_info, "cuptiRangeProfilerGetCounterDataInfo")

/* Values of CUPTI's headers that are in use. */
enum {
    KDS_CUPTI_SUCCESS = 0,
    KDS_CUPTI_INVALID_PARAMETER = 1,
    KDS_CUPTI_INVALID_METRIC_NAME = 17,
    KDS_CUPTI_HARDWARE_BUSY = 26,
    KDS_CUPTI_INSUFFICIENT_PRIVILEGES = 35,
    KDS_CUPTI_RANGE_PROFILER = 0, /* CUPTI_PROFILER_TYPE_RANGE_PROFILER */
    KDS_CUPTI_USER_RANGE = 2,     /* CUPTI_UserRange */
    KDS_CUPTI_USER_REPLAY = 3     /* CUPTI_UserReplay */
};

typedef struct kds_cupti {
    void *library;
    char *path;
    uint32_t version; /* 130001 for CUDA 13.0; below 100 for CUDA 12 */
    int (*get_version)(uint32_t *version);
    int (*result_name)(int result, const char **out);
    int (*result_text)(int result, const char **out);
#define KDS_X(name, symbol) int (*name)(kds_cupti_##name##_args * args);
    KDS_CUPTI_CALLS(KDS_X)
#undef KDS_X
} kds_cupti;

/* Looks beside NVRTC (its path; may be NULL), in the toolkits and their extras/CUPTI, on the
 * loader's path, in pip's packages. Nothing is initialised. KDS_NOT_FOUND says where it looked. */
KDS_MUST_USE kds_code kds_cupti_open(kds_cupti **out, const char *nvrtc_path, kds_err *e);
void kds_cupti_close(kds_cupti *c);

/* KDS_OK if `result` is success. Else the call, CUPTI's name for the error, its words, and what to
 * do: KDS_NOT_FOUND (there are no counters for this process), KDS_LOCKED (another profiler has
 * them), KDS_NO_MEMORY or KDS_FAILED. */
kds_code kds_cupti_check(const kds_cupti *c, int result, const char *call, kds_err *e);

/* Calls by name: `kds_cupti_##name##_args args = KDS_CUPTI_ARGS(name); ... KDS_CUPTI(c, name,
 * &args, e)`. */
#define KDS_CUPTI_ARGS(name)                                                                       \
    {                                                                                              \
        .struct_size = KDS_CUPTI_SIZE_##name                                                       \
    }
#define KDS_CUPTI(c, name, args, e)                                                                \
    kds_cupti_check((c), (c)->name(args), kds_cupti_symbol_##name(), (e))
#define KDS_X(name, symbol)                                                                        \
    static inline const char *kds_cupti_symbol_##name(void)                                        \
    {                                                                                              \
        return symbol;                                                                             \
    }
KDS_CUPTI_CALLS(KDS_X)
#undef KDS_X

/* What the driver says of counters: 1 for everyone, 0 for root only, -1 not told. `path` is that of
 * its parameters, /proc/driver/nvidia/params. */
int kds_counters_permitted(const char *path);
#define KDS_COUNTERS_PARAMS "/proc/driver/nvidia/params"
/* What makes counters permitted, in words. */
#define KDS_COUNTERS_ADVICE                                                                        \
    "counters need root or CAP_SYS_ADMIN, or the driver's option "                                 \
    "NVreg_RestrictProfilingToAdminUsers=0 (options nvidia ... in /etc/modprobe.d, then load the " \
    "driver again)"

#endif
