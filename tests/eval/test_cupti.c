/* What eval/cuda/cupti.h declares of CUPTI's ABI against its headers, where they are there; and the
 * counters against the real library, which knows all chips without having any. */
#include "eval/cuda/profile_set.h"
#include "eval/sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#if __has_include(<cuda.h>) && __has_include(<cupti_range_profiler.h>)
#include <cuda.h>
#include <cupti_profiler_host.h>
#include <cupti_profiler_target.h>
#include <cupti_range_profiler.h>
#include <cupti_target.h>
#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #ours)
#define SIZE(ours, theirs)                                                                         \
    SAME(KDS_CUPTI_SIZE_##ours, theirs##_STRUCT_SIZE);                                             \
    SAME(sizeof(kds_cupti_##ours##_args), sizeof(theirs))
#define PLACE(ours, field, theirs, their_field)                                                    \
    SAME(offsetof(kds_cupti_##ours##_args, field), offsetof(theirs, their_field))
SIZE(initialize, CUpti_Profiler_Initialize_Params);
SIZE(chip_name, CUpti_Device_GetChipName_Params);
PLACE(chip_name, device, CUpti_Device_GetChipName_Params, deviceIndex);
SIZE(availability, CUpti_Profiler_GetCounterAvailability_Params);
PLACE(availability, context, CUpti_Profiler_GetCounterAvailability_Params, ctx);
PLACE(availability, size, CUpti_Profiler_GetCounterAvailability_Params,
      counterAvailabilityImageSize);
PLACE(availability, image, CUpti_Profiler_GetCounterAvailability_Params, pCounterAvailabilityImage);
SIZE(host_initialize, CUpti_Profiler_Host_Initialize_Params);
PLACE(host_initialize, type, CUpti_Profiler_Host_Initialize_Params, profilerType);
PLACE(host_initialize, chip, CUpti_Profiler_Host_Initialize_Params, pChipName);
PLACE(host_initialize, availability, CUpti_Profiler_Host_Initialize_Params,
      pCounterAvailabilityImage);
PLACE(host_initialize, host, CUpti_Profiler_Host_Initialize_Params, pHostObject);
SIZE(host_end, CUpti_Profiler_Host_Deinitialize_Params);
SIZE(host_metric, CUpti_Profiler_Host_GetMetricProperties_Params);
PLACE(host_metric, metric, CUpti_Profiler_Host_GetMetricProperties_Params, pMetricName);
PLACE(host_metric, type, CUpti_Profiler_Host_GetMetricProperties_Params, metricType);
SIZE(host_add, CUpti_Profiler_Host_ConfigAddMetrics_Params);
PLACE(host_add, host, CUpti_Profiler_Host_ConfigAddMetrics_Params, pHostObject);
PLACE(host_add, metrics, CUpti_Profiler_Host_ConfigAddMetrics_Params, ppMetricNames);
PLACE(host_add, count, CUpti_Profiler_Host_ConfigAddMetrics_Params, numMetrics);
SIZE(host_image_size, CUpti_Profiler_Host_GetConfigImageSize_Params);
PLACE(host_image_size, size, CUpti_Profiler_Host_GetConfigImageSize_Params, configImageSize);
SIZE(host_image, CUpti_Profiler_Host_GetConfigImage_Params);
PLACE(host_image, size, CUpti_Profiler_Host_GetConfigImage_Params, configImageSize);
PLACE(host_image, image, CUpti_Profiler_Host_GetConfigImage_Params, pConfigImage);
SIZE(host_passes, CUpti_Profiler_Host_GetNumOfPasses_Params);
PLACE(host_passes, size, CUpti_Profiler_Host_GetNumOfPasses_Params, configImageSize);
PLACE(host_passes, image, CUpti_Profiler_Host_GetNumOfPasses_Params, pConfigImage);
PLACE(host_passes, passes, CUpti_Profiler_Host_GetNumOfPasses_Params, numOfPasses);
SIZE(host_evaluate, CUpti_Profiler_Host_EvaluateToGpuValues_Params);
PLACE(host_evaluate, data, CUpti_Profiler_Host_EvaluateToGpuValues_Params, pCounterDataImage);
PLACE(host_evaluate, size, CUpti_Profiler_Host_EvaluateToGpuValues_Params, counterDataImageSize);
PLACE(host_evaluate, range, CUpti_Profiler_Host_EvaluateToGpuValues_Params, rangeIndex);
PLACE(host_evaluate, metrics, CUpti_Profiler_Host_EvaluateToGpuValues_Params, ppMetricNames);
PLACE(host_evaluate, count, CUpti_Profiler_Host_EvaluateToGpuValues_Params, numMetrics);
PLACE(host_evaluate, values, CUpti_Profiler_Host_EvaluateToGpuValues_Params, pMetricValues);
SIZE(enable, CUpti_RangeProfiler_Enable_Params);
PLACE(enable, context, CUpti_RangeProfiler_Enable_Params, ctx);
PLACE(enable, range, CUpti_RangeProfiler_Enable_Params, pRangeProfilerObject);
SIZE(disable, CUpti_RangeProfiler_Disable_Params);
SIZE(data_size, CUpti_RangeProfiler_GetCounterDataSize_Params);
PLACE(data_size, metrics, CUpti_RangeProfiler_GetCounterDataSize_Params, pMetricNames);
PLACE(data_size, count, CUpti_RangeProfiler_GetCounterDataSize_Params, numMetrics);
PLACE(data_size, ranges, CUpti_RangeProfiler_GetCounterDataSize_Params, maxNumOfRanges);
PLACE(data_size, nodes, CUpti_RangeProfiler_GetCounterDataSize_Params, maxNumRangeTreeNodes);
PLACE(data_size, size, CUpti_RangeProfiler_GetCounterDataSize_Params, counterDataSize);
SIZE(data_begin, CUpti_RangeProfiler_CounterDataImage_Initialize_Params);
PLACE(data_begin, size, CUpti_RangeProfiler_CounterDataImage_Initialize_Params, counterDataSize);
PLACE(data_begin, data, CUpti_RangeProfiler_CounterDataImage_Initialize_Params, pCounterData);
SIZE(configure, CUpti_RangeProfiler_SetConfig_Params);
PLACE(configure, range, CUpti_RangeProfiler_SetConfig_Params, pRangeProfilerObject);
PLACE(configure, image_size, CUpti_RangeProfiler_SetConfig_Params, configSize);
PLACE(configure, image, CUpti_RangeProfiler_SetConfig_Params, pConfig);
PLACE(configure, data_size, CUpti_RangeProfiler_SetConfig_Params, counterDataImageSize);
PLACE(configure, data, CUpti_RangeProfiler_SetConfig_Params, pCounterDataImage);
PLACE(configure, range_mode, CUpti_RangeProfiler_SetConfig_Params, range);
PLACE(configure, replay_mode, CUpti_RangeProfiler_SetConfig_Params, replayMode);
PLACE(configure, ranges, CUpti_RangeProfiler_SetConfig_Params, maxRangesPerPass);
PLACE(configure, levels, CUpti_RangeProfiler_SetConfig_Params, numNestingLevels);
PLACE(configure, first_level, CUpti_RangeProfiler_SetConfig_Params, minNestingLevel);
PLACE(configure, pass, CUpti_RangeProfiler_SetConfig_Params, passIndex);
PLACE(configure, target_level, CUpti_RangeProfiler_SetConfig_Params, targetNestingLevel);
SIZE(start, CUpti_RangeProfiler_Start_Params);
SIZE(stop, CUpti_RangeProfiler_Stop_Params);
PLACE(stop, all_submitted, CUpti_RangeProfiler_Stop_Params, isAllPassSubmitted);
SIZE(push, CUpti_RangeProfiler_PushRange_Params);
PLACE(push, name, CUpti_RangeProfiler_PushRange_Params, pRangeName);
SIZE(pop, CUpti_RangeProfiler_PopRange_Params);
SIZE(decode, CUpti_RangeProfiler_DecodeData_Params);
PLACE(decode, dropped, CUpti_RangeProfiler_DecodeData_Params, numOfRangeDropped);
SIZE(data_info, CUpti_RangeProfiler_GetCounterDataInfo_Params);
PLACE(data_info, data, CUpti_RangeProfiler_GetCounterDataInfo_Params, pCounterDataImage);
PLACE(data_info, size, CUpti_RangeProfiler_GetCounterDataInfo_Params, counterDataImageSize);
PLACE(data_info, ranges, CUpti_RangeProfiler_GetCounterDataInfo_Params, numTotalRanges);
SAME(KDS_CUPTI_SUCCESS, CUPTI_SUCCESS);
SAME(KDS_CUPTI_INVALID_PARAMETER, CUPTI_ERROR_INVALID_PARAMETER);
SAME(KDS_CUPTI_INVALID_METRIC_NAME, CUPTI_ERROR_INVALID_METRIC_NAME);
SAME(KDS_CUPTI_HARDWARE_BUSY, CUPTI_ERROR_HARDWARE_BUSY);
SAME(KDS_CUPTI_INSUFFICIENT_PRIVILEGES, CUPTI_ERROR_INSUFFICIENT_PRIVILEGES);
SAME(KDS_CUPTI_RANGE_PROFILER, CUPTI_PROFILER_TYPE_RANGE_PROFILER);
SAME(KDS_CUPTI_USER_RANGE, CUPTI_UserRange);
SAME(KDS_CUPTI_USER_REPLAY, CUPTI_UserReplay);
#endif

#ifdef __has_feature
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define USABLE                                                                                     \
    0 /* CUPTI opens its host library in a way that AddressSanitizer ends the process for */
#else
#define USABLE 1
#endif

/* Set-up of all: the real library; NULL if it is not here. */
static kds_cupti *cupti;

static int open_cupti(void **state)
{
    (void)state;
    if (!USABLE || kds_cupti_open(&cupti, NULL, NULL) != KDS_OK)
        cupti = NULL;
    return 0;
}

static int close_cupti(void **state)
{
    (void)state;
    kds_cupti_close(cupti);
    return 0;
}

/* A profiler of a chip that is not here: good for sets, not for running anything. */
static kds_profiler pretend(const char *chip)
{
    kds_profiler p = {.cupti = cupti};
    kds_err e = {0};
    if (cupti == NULL)
        skip();
    snprintf(p.chip, sizeof p.chip, "%s", chip);
    if (kds_metric_host_open(&p, &p.host, &e) != KDS_OK)
        fail_msg("%s", e.message);
    return p;
}

static bool has(const kds_metric_set *s, const char *name)
{
    for (int i = 0; i < s->counter_count; i++)
        if (strcmp(s->counters[i].name, name) == 0)
            return true;
    return false;
}

static const char *const descriptor[] = {
    "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum",
    "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum",
    "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum",
    "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_ld.sum",
    "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_st.sum",
    "sm__warps_active.avg.pct_of_peak_sustained_active",
};
#define DESCRIPTOR ((int)(sizeof descriptor / sizeof descriptor[0]))

/* On every chip that we support: within its passes, with everything that the standard descriptor
 * needs, and DRAM's bytes under whatever name. */
static void test_the_default_set_fits(void **state)
{
    static const char *const chips[] = {"TU102", "GA100", "GA102", "AD102",
                                        "GH100", "GB100", "GB202"};
    (void)state;
    for (size_t c = 0; c < sizeof chips / sizeof chips[0]; c++) {
        kds_profiler p = pretend(chips[c]);
        kds_metric_set *s = NULL;
        kds_err e = {0};
        if (kds_metric_set_standard(&s, &p, NULL, 0, false, &e) != KDS_OK)
            fail_msg("%s: %s", chips[c], e.message);
        if (s->passes < 1 || s->passes > KDS_PROFILE_PASSES)
            fail_msg("%s: %d passes", chips[c], s->passes);
        for (int i = 0; i < DESCRIPTOR; i++)
            if (!has(s, descriptor[i]))
                fail_msg("%s: no %s", chips[c], descriptor[i]);
        assert_true(has(s, "dram__bytes_read.sum"));
        assert_true(has(s, "dram__bytes.sum"));
        assert_true(has(s, "smsp__inst_executed_pipe_tensor.sum"));
        kds_metric_set_free(s);
        kds_metric_host_close(&p, p.host);
    }
}

/* On the chip that the table was made for, nothing of the default set is left out; and there is a
 * counterpart for everything that the simulator counts, but for what is its own. */
static void test_everything_on_gh100(void **state)
{
    (void)state;
    kds_profiler p = pretend("GH100");
    kds_metric_set *usual = NULL, *all = NULL;
    assert_int_equal(kds_metric_set_standard(&usual, &p, NULL, 0, false, NULL), KDS_OK);
    assert_int_equal(usual->passes, KDS_PROFILE_PASSES);
    for (const kds_counter *c = kds_counters(); c->name != NULL; c++)
        if (!c->extra && !has(usual, c->name))
            fail_msg("%s is left out", c->name);
    assert_int_equal(kds_metric_set_standard(&all, &p, NULL, 0, true, NULL), KDS_OK);
    for (int i = 0; i < KDS_SIM_COUNTER_COUNT; i++) {
        const char *name = kds_sim_counter_name((kds_sim_counter)i);
        if (strncmp(name, "sim__", 5) != 0 && !has(all, name))
            fail_msg("no counterpart of %s", name);
    }
    assert_true(all->passes <= 8);
    kds_metric_set_free(usual);
    kds_metric_set_free(all);
    kds_metric_host_close(&p, p.host);
}

static void test_what_is_asked_for_comes_first(void **state)
{
    (void)state;
    kds_profiler p = pretend("GH100");
    static const char *const names[] = {"smsp__sass_branch_targets.sum",
                                        "l1tex__t_sectors_pipe_lsu_mem_local.sum",
                                        "sm__no_such_metric.sum"};
    kds_metric_set *s = NULL;
    kds_err e = {0};
    assert_int_equal(kds_metric_set_standard(&s, &p, names, 3, false, NULL), KDS_OK);
    assert_true(has(s, names[0]) && has(s, names[1]));
    assert_true(s->passes <= KDS_PROFILE_PASSES);
    assert_string_equal(kds_metric_set_missing(s)[0], names[2]);
    assert_null(kds_metric_set_missing(s)[1]);
    kds_metric_set_free(s);
    /* Whatever they cost. */
    assert_int_equal(kds_metric_set_make(&s, &p, descriptor, DESCRIPTOR, DESCRIPTOR, 1, NULL),
                     KDS_OK);
    assert_int_equal(s->counter_count, DESCRIPTOR);
    assert_true(s->passes > 1);
    kds_metric_set_free(s);
    assert_int_equal(kds_metric_set_make(&s, &p, &names[2], 1, 1, 3, &e), KDS_NOT_FOUND);
    assert_non_null(strstr(e.message, "sm__no_such_metric.sum"));
    kds_metric_host_close(&p, p.host);
}

static void test_a_sum_has_parts(void **state)
{
    (void)state;
    kds_profiler p = pretend("GB202"); /* names DRAM's bytes otherwise */
    static const char *const name[] = {"dram__bytes.sum"};
    kds_metric_set *s = NULL;
    assert_int_equal(kds_metric_set_make(&s, &p, name, 1, 1, 3, NULL), KDS_OK);
    assert_int_equal(s->counters[0].part_count, 2);
    assert_string_equal(s->metrics[s->counters[0].parts[0]], "dram__bytes_op_read.sum");
    assert_string_equal(s->metrics[s->counters[0].parts[1]], "dram__bytes_op_write.sum");
    kds_metric_set_free(s);
    kds_metric_host_close(&p, p.host);
}

static void test_errors_in_words(void **state)
{
    (void)state;
    kds_profiler p = {.cupti = cupti, .chip = "XY999"};
    kds_err e = {0};
    if (cupti == NULL)
        skip();
    assert_int_not_equal(kds_metric_host_open(&p, &p.host, &e), KDS_OK);
    assert_non_null(strstr(e.message, "XY999"));
    assert_non_null(strstr(e.message, "cuptiProfilerHostInitialize"));
    assert_int_equal(kds_cupti_check(cupti, KDS_CUPTI_INSUFFICIENT_PRIVILEGES, "cuptiX", &e),
                     KDS_NOT_FOUND);
    assert_non_null(strstr(e.message, "cuptiX gave CUPTI_ERROR_INSUFFICIENT_PRIVILEGES"));
    assert_non_null(strstr(e.message, "NVreg_RestrictProfilingToAdminUsers=0"));
    assert_int_equal(kds_cupti_check(cupti, KDS_CUPTI_HARDWARE_BUSY, "cuptiX", &e), KDS_LOCKED);
    assert_non_null(strstr(e.message, "another profiler"));
    assert_int_equal(kds_cupti_check(cupti, 12345, "cuptiX", &e), KDS_FAILED);
    assert_non_null(strstr(e.message, "12345"));
    assert_int_equal(kds_cupti_check(cupti, 0, "cuptiX", &e), KDS_OK);
}

static void test_permission(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int permitted;
    } files[] = {{"Mobile: 4294967295\nRmProfilingAdminOnly: 0\nX: 1\n", 1},
                 {"RmProfilingAdminOnly: 1\n", 0},
                 {"Mobile: 1\n", -1},
                 {"RmProfilingAdminOnly:\nX: 1\n", -1}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[] = "params-XXXXXX";
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_true(write(fd, files[i].text, strlen(files[i].text)) > 0);
        close(fd);
        assert_int_equal(kds_counters_permitted(path), files[i].permitted);
        unlink(path);
    }
    assert_int_equal(kds_counters_permitted("/nonexistent"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_default_set_fits),
        cmocka_unit_test(test_everything_on_gh100),
        cmocka_unit_test(test_what_is_asked_for_comes_first),
        cmocka_unit_test(test_a_sum_has_parts),
        cmocka_unit_test(test_errors_in_words),
        cmocka_unit_test(test_permission),
    };
    return cmocka_run_group_tests(tests, open_cupti, close_cupti);
}
