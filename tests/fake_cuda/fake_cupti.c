/* CUPTI's Range Profiler over the fake driver: it counts what the simulator counted between
 * PushRange and PopRange. It is strict about sizes, handles and the order of calls; a metric of a
 * pass that was not run has no value. A file `fake_cupti` in $HOME makes it fail as the real one
 * does. */
#include "eval/cuda/cupti.h"
#include "eval/sim/sim.h"

#include <dlfcn.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRY(declaration)                                                                         \
    __attribute__((visibility("default"))) declaration;                                            \
    declaration
#define METRICS 128
#define RANGES 4
#define CHIP "GH100"

enum { INVALID = 1, INVALID_OPERATION = 7, NOT_INITIALISED = 15 };

struct kds_cupti_host_st {
    int metrics[METRICS], count;
};
struct kds_cupti_range_st {
    int configured, running, pushed, pass, passes, per_pass, count;
    int metrics[METRICS];
    uint8_t *data;
    double before[METRICS], values[RANGES][METRICS];
    int ranges, range; /* in all; popped in this pass */
};

static int initialised, enabled, enables;

/* Metrics of this chip and the simulator's counters that make them up. */
static const struct {
    const char *name;
    int counter; /* -1: none */
    double factor;
} metrics[] = {
#define KDS_X(name, text) {text, KDS_SIM_COUNTER_##name, 1},
    KDS_SIM_COUNTERS(KDS_X)
#undef KDS_X
        {"smsp__inst_executed_pipe_fma.sum", KDS_SIM_COUNTER_INST_FP32, 1},
    {"smsp__inst_executed_pipe_fma_type_fp16.sum", KDS_SIM_COUNTER_INST_FP16, 1},
    {"l1tex__t_sectors_pipe_lsu_mem_local_op_ld.sum", KDS_SIM_COUNTER_LOCAL_SECTORS, 1},
    {"l1tex__t_sectors_pipe_lsu_mem_local_op_st.sum", KDS_SIM_COUNTER_LOCAL_SECTORS, 0},
    {"dram__bytes_read.sum", KDS_SIM_COUNTER_UNIQUE_LD_SECTORS, 32},
    {"dram__bytes_write.sum", KDS_SIM_COUNTER_UNIQUE_ST_SECTORS, 32},
    {"sm__warps_active.avg.pct_of_peak_sustained_active", KDS_SIM_COUNTER_WARPS, 1},
    {"lts__t_sector_hit_rate.pct", -1, 0}};
#define KNOWN ((int)(sizeof metrics / sizeof metrics[0]))

/* What only the simulator counts, and what this chip calls otherwise. */
static int is_absent(const char *name)
{
    return strncmp(name, "sim__", 5) == 0 ||
           strcmp(name, "smsp__inst_executed_pipe_fp32.sum") == 0 ||
           strcmp(name, "smsp__inst_executed_pipe_fp16.sum") == 0 ||
           strcmp(name, "l1tex__t_sectors_pipe_lsu_mem_local.sum") == 0;
}

static int find(const char *name)
{
    for (int i = 0; i < KNOWN; i++)
        if (strcmp(metrics[i].name, name) == 0)
            return is_absent(name) ? -1 : i;
    return -1;
}

/* True if the script says so; `next`: what it says from then on ("": nothing), NULL: the same. */
static int scripted(const char *word, const char *next)
{
    char path[4000], text[64] = "";
    const char *home = getenv("HOME");
    (void)snprintf(path, sizeof path, "%s/fake_cupti", home != NULL ? home : "");
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return 0;
    if (fgets(text, sizeof text, f) == NULL)
        text[0] = '\0';
    (void)fclose(f);
    int yes = strcmp(text, word) == 0;
    if (yes && next != NULL && (f = fopen(path, "w")) != NULL) {
        (void)fputs(next, f);
        (void)fclose(f);
    }
    return yes;
}

static double counted(int metric)
{
    const double *(*counters)(void) = NULL;
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD),
         *symbol = library != NULL ? dlsym(library, "fake_cuda_counters") : NULL;
    if (symbol == NULL) {
        fprintf(stderr, "fake_cupti: the driver is not the fake one\n");
        abort();
    }
    memcpy(&counters, &symbol, sizeof counters);
    if (metrics[metric].counter < 0)
        return NAN; /* nothing to divide by */
    double off = strcmp(metrics[metric].name, "dram__bytes_read.sum") == 0 && scripted("off", NULL)
                     ? 0.9
                     : 1;
    return off * metrics[metric].factor * counters()[metrics[metric].counter];
}

#define CHECK_SIZE(name)                                                                           \
    do {                                                                                           \
        if (a == NULL || a->struct_size != KDS_CUPTI_SIZE_##name || a->priv != NULL) {             \
            fprintf(stderr, "fake_cupti: wrong size of " #name "\n");                              \
            return INVALID;                                                                        \
        }                                                                                          \
    } while (0)
#define CHECK_ENABLED()                                                                            \
    do {                                                                                           \
        if (!initialised || !enabled || a->range == NULL)                                          \
            return INVALID_OPERATION;                                                              \
    } while (0)

/* ---- Messages ---- */

ENTRY(int cuptiGetVersion(uint32_t *version))
{
    *version = 130000;
    return 0;
}

ENTRY(int cuptiGetResultString(int result, const char **out))
{
    *out = result == KDS_CUPTI_INSUFFICIENT_PRIVILEGES ? "CUPTI_ERROR_INSUFFICIENT_PRIVILEGES"
           : result == KDS_CUPTI_HARDWARE_BUSY         ? "CUPTI_ERROR_HARDWARE_BUSY"
           : result == INVALID                         ? "CUPTI_ERROR_INVALID_PARAMETER"
                                                       : "CUPTI_ERROR_OTHER";
    return 0;
}

ENTRY(int cuptiGetErrorMessage(int result, const char **out))
{
    *out = "in words";
    return result > 0 ? 0 : INVALID;
}

/* ---- The machine ---- */

ENTRY(int cuptiProfilerInitialize(kds_cupti_initialize_args *a))
{
    CHECK_SIZE(initialize);
    if (dlopen("libnvperf_host.so", RTLD_NOW | RTLD_NOLOAD) == NULL)
        return NOT_INITIALISED;
    initialised = 1;
    return 0;
}

ENTRY(int cuptiDeviceGetChipName(kds_cupti_chip_name_args *a))
{
    CHECK_SIZE(chip_name);
    a->chip = CHIP;
    return !initialised ? NOT_INITIALISED : a->device == 0 ? 0 : 2;
}

ENTRY(int cuptiProfilerGetCounterAvailability(kds_cupti_availability_args *a))
{
    CHECK_SIZE(availability);
    if (!initialised || a->context == NULL || enabled)
        return INVALID_OPERATION;
    if (scripted("forbidden", NULL))
        return KDS_CUPTI_INSUFFICIENT_PRIVILEGES;
    if (a->image == NULL)
        a->size = 16;
    else if (a->size == 16)
        memset(a->image, 0x77, 16);
    else
        return INVALID;
    return 0;
}

/* ---- Metrics ---- */

ENTRY(int cuptiProfilerHostInitialize(kds_cupti_host_initialize_args *a))
{
    CHECK_SIZE(host_initialize);
    if (a->type != KDS_CUPTI_RANGE_PROFILER || a->chip == NULL || strcmp(a->chip, CHIP) != 0)
        return 46;
    if (a->availability == NULL || a->availability[15] != 0x77)
        return INVALID;
    a->host = calloc(1, sizeof *a->host);
    return a->host != NULL ? 0 : 8;
}

ENTRY(int cuptiProfilerHostDeinitialize(kds_cupti_host_end_args *a))
{
    CHECK_SIZE(host_end);
    free(a->host);
    return 0;
}

ENTRY(int cuptiProfilerHostGetMetricProperties(kds_cupti_host_metric_args *a))
{
    CHECK_SIZE(host_metric);
    return find(a->metric) >= 0 ? 0 : KDS_CUPTI_INVALID_METRIC_NAME;
}

/* One wrong name fails the whole set. */
ENTRY(int cuptiProfilerHostConfigAddMetrics(kds_cupti_host_add_args *a))
{
    CHECK_SIZE(host_add);
    if (a->count == 0 || a->count > METRICS)
        return INVALID;
    for (size_t i = 0; i < a->count; i++)
        if ((a->host->metrics[i] = find(a->metrics[i])) < 0)
            return INVALID;
    a->host->count = (int)a->count;
    return 0;
}

/* The image: how many metrics a pass has, how many there are, which. */
ENTRY(int cuptiProfilerHostGetConfigImageSize(kds_cupti_host_image_size_args *a))
{
    CHECK_SIZE(host_image_size);
    a->size = (size_t)(a->host->count + 2) * sizeof(int);
    return a->host->count > 0 ? 0 : INVALID_OPERATION;
}

ENTRY(int cuptiProfilerHostGetConfigImage(kds_cupti_host_image_args *a))
{
    CHECK_SIZE(host_image);
    const int head[2] = {scripted("narrow", NULL) ? 4 : 10, a->host->count};
    if (a->size != (size_t)(a->host->count + 2) * sizeof(int))
        return INVALID;
    memcpy(a->image, head, sizeof head);
    memcpy(a->image + sizeof head, a->host->metrics, (size_t)a->host->count * sizeof(int));
    return 0;
}

static int passes_of(const int *head)
{
    return (head[1] + head[0] - 1) / head[0];
}

ENTRY(int cuptiProfilerHostGetNumOfPasses(kds_cupti_host_passes_args *a))
{
    CHECK_SIZE(host_passes);
    int head[2];
    memcpy(head, a->image, sizeof head);
    a->passes = (size_t)passes_of(head);
    return a->size == (size_t)(head[1] + 2) * sizeof(int) ? 0 : INVALID;
}

/* ---- Ranges ---- */

ENTRY(int cuptiRangeProfilerEnable(kds_cupti_enable_args *a))
{
    CHECK_SIZE(enable);
    if (!initialised || enabled || a->context == NULL)
        return INVALID_OPERATION;
    if (scripted("busy", NULL) || scripted("busy-once", "") || scripted("busy-twice", "busy-once"))
        return KDS_CUPTI_HARDWARE_BUSY;
    enables++;
    if (scripted("crash", NULL) || (enables == 2 && scripted("crash-second", NULL))) {
        (void)signal(SIGSEGV, SIG_DFL);
        (void)raise(SIGSEGV);
    }
    enabled = 1;
    a->range = calloc(1, sizeof *a->range);
    return a->range != NULL ? 0 : 8;
}

ENTRY(int cuptiRangeProfilerDisable(kds_cupti_disable_args *a))
{
    CHECK_SIZE(disable);
    CHECK_ENABLED();
    if (a->range->running || a->range->pushed)
        fprintf(stderr, "fake_cupti: disabled in the middle of a pass\n");
    free(a->range);
    enabled = 0;
    return 0;
}

ENTRY(int cuptiRangeProfilerGetCounterDataSize(kds_cupti_data_size_args *a))
{
    CHECK_SIZE(data_size);
    CHECK_ENABLED();
    if (a->count == 0 || a->ranges < 1 || a->ranges > RANGES || a->nodes < a->ranges)
        return INVALID;
    a->size = a->ranges * (size_t)KNOWN * sizeof(double);
    return 0;
}

ENTRY(int cuptiRangeProfilerCounterDataImageInitialize(kds_cupti_data_begin_args *a))
{
    CHECK_SIZE(data_begin);
    CHECK_ENABLED();
    if (a->size % ((size_t)KNOWN * sizeof(double)) != 0 || a->data == NULL)
        return INVALID;
    memset(a->data, 0, a->size);
    return 0;
}

ENTRY(int cuptiRangeProfilerSetConfig(kds_cupti_configure_args *a))
{
    CHECK_SIZE(configure);
    CHECK_ENABLED();
    int head[2];
    memcpy(head, a->image, sizeof head);
    if (a->range_mode != KDS_CUPTI_USER_RANGE || a->replay_mode != KDS_CUPTI_USER_REPLAY ||
        a->ranges < 1 || a->ranges > RANGES || a->levels != 1 || a->first_level != 1 ||
        a->target_level != 1 || a->pass != 0 ||
        a->data_size != a->ranges * (size_t)KNOWN * sizeof(double) ||
        a->image_size != (size_t)(head[1] + 2) * sizeof(int) || a->range->configured)
        return INVALID;
    a->range->configured = 1;
    a->range->ranges = (int)a->ranges;
    a->range->per_pass = head[0];
    a->range->count = head[1];
    a->range->passes = passes_of(head);
    memcpy(a->range->metrics, a->image + sizeof head, (size_t)head[1] * sizeof(int));
    a->range->data = a->data;
    return 0;
}

ENTRY(int cuptiRangeProfilerStart(kds_cupti_start_args *a))
{
    CHECK_SIZE(start);
    CHECK_ENABLED();
    if (!a->range->configured || a->range->running || a->range->pass == a->range->passes)
        return INVALID_OPERATION;
    a->range->running = 1;
    a->range->range = 0;
    return 0;
}

ENTRY(int cuptiRangeProfilerPushRange(kds_cupti_push_args *a))
{
    CHECK_SIZE(push);
    CHECK_ENABLED();
    if (!a->range->running || a->range->pushed || a->name == NULL ||
        a->range->range == a->range->ranges)
        return INVALID_OPERATION;
    for (int i = 0; i < KNOWN; i++)
        a->range->before[i] = counted(i);
    a->range->pushed = 1;
    return 0;
}

ENTRY(int cuptiRangeProfilerPopRange(kds_cupti_pop_args *a))
{
    CHECK_SIZE(pop);
    CHECK_ENABLED();
    kds_cupti_range r = a->range;
    if (!r->pushed)
        return INVALID_OPERATION;
    for (int i = r->pass * r->per_pass; i < r->count && i < (r->pass + 1) * r->per_pass; i++)
        r->values[r->range][r->metrics[i]] = counted(r->metrics[i]) - r->before[r->metrics[i]];
    r->range++;
    r->pushed = 0;
    return 0;
}

ENTRY(int cuptiRangeProfilerStop(kds_cupti_stop_args *a))
{
    CHECK_SIZE(stop);
    CHECK_ENABLED();
    if (!a->range->running || a->range->pushed || a->range->range != a->range->ranges)
        return INVALID_OPERATION;
    a->range->running = 0;
    a->range->pass++;
    a->pass = (size_t)a->range->pass;
    a->all_submitted = a->range->pass == a->range->passes;
    return 0;
}

ENTRY(int cuptiRangeProfilerDecodeData(kds_cupti_decode_args *a))
{
    CHECK_SIZE(decode);
    CHECK_ENABLED();
    if (a->range->running || a->range->pass != a->range->passes)
        return INVALID_OPERATION;
    for (int i = 0; i < a->range->ranges; i++)
        memcpy(a->range->data + (size_t)(i * KNOWN) * sizeof(double), a->range->values[i],
               (size_t)KNOWN * sizeof(double));
    a->dropped = 0;
    return 0;
}

ENTRY(int cuptiRangeProfilerGetCounterDataInfo(kds_cupti_data_info_args *a))
{
    CHECK_SIZE(data_info);
    a->ranges = a->data != NULL ? a->size / ((size_t)KNOWN * sizeof(double)) : 0;
    return 0;
}

ENTRY(int cuptiProfilerHostEvaluateToGpuValues(kds_cupti_host_evaluate_args *a))
{
    CHECK_SIZE(host_evaluate);
    if (a->range >= RANGES || a->host == NULL || (int)a->count != a->host->count)
        return INVALID;
    for (size_t i = 0; i < a->count; i++) {
        int metric = find(a->metrics[i]);
        if (metric < 0)
            return KDS_CUPTI_INVALID_METRIC_NAME;
        memcpy(&a->values[i], a->data + (a->range * KNOWN + (size_t)metric) * sizeof(double),
               sizeof(double));
    }
    return 0;
}
