/* What eval/cuda/driver.h declares of the driver's ABI against cuda.h, where the toolkit's header
 * is there; and our kernels against the C code, on the simulator. */
#include "eval/cuda/helpers.h"
#include "eval/sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if __has_include(<cuda.h>)
#include <cuda.h>
#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #ours)
SAME(KDS_CUDA_LAUNCH_COOPERATIVE, CU_LAUNCH_ATTRIBUTE_COOPERATIVE);
SAME(KDS_CUDA_LAUNCH_CLUSTER, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
SAME(KDS_CUDA_DEVICE_CLOCK_KHZ, CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
SAME(KDS_CUDA_DEVICE_SMS, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
SAME(KDS_CUDA_DEVICE_COMPUTE_MODE, CU_DEVICE_ATTRIBUTE_COMPUTE_MODE);
SAME(KDS_CUDA_DEVICE_MEMORY_CLOCK_KHZ, CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
SAME(KDS_CUDA_DEVICE_MEMORY_BUS_BITS, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
SAME(KDS_CUDA_DEVICE_L2_BYTES, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
SAME(KDS_CUDA_DEVICE_THREADS_PER_SM, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
SAME(KDS_CUDA_DEVICE_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
SAME(KDS_CUDA_DEVICE_MINOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
SAME(KDS_CUDA_DEVICE_SHARED_OPTIN, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
SAME(KDS_CUDA_FUNCTION_SHARED_BYTES, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
SAME(KDS_CUDA_FUNCTION_LOCAL_BYTES, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES);
SAME(KDS_CUDA_FUNCTION_REGISTERS, CU_FUNC_ATTRIBUTE_NUM_REGS);
SAME(KDS_CUDA_FUNCTION_MAX_DYNAMIC_SHARED, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
SAME(KDS_CUDA_STREAM_NON_BLOCKING, CU_STREAM_NON_BLOCKING);
SAME(KDS_CUDA_CAPTURE_THREAD_LOCAL, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
SAME(KDS_CUDA_LIMIT_MALLOC_HEAP, CU_LIMIT_MALLOC_HEAP_SIZE);
SAME(KDS_CUDA_SUCCESS, CUDA_SUCCESS);
SAME(KDS_CUDA_OUT_OF_MEMORY, CUDA_ERROR_OUT_OF_MEMORY);
SAME(KDS_CUDA_NOT_READY, CUDA_ERROR_NOT_READY);
SAME(sizeof(kds_cuda_address), sizeof(CUdeviceptr));
SAME(sizeof(kds_cuda_uuid), sizeof(CUuuid));
SAME(sizeof(kds_cuda_launch_attribute), sizeof(CUlaunchAttribute));
SAME(offsetof(kds_cuda_launch_attribute, value), offsetof(CUlaunchAttribute, value));
SAME(offsetof(kds_cuda_launch_attribute, value.cooperative),
     offsetof(CUlaunchAttribute, value.cooperative));
SAME(offsetof(kds_cuda_launch_attribute, value.cluster),
     offsetof(CUlaunchAttribute, value.clusterDim));
SAME(sizeof(kds_cuda_launch_config), sizeof(CUlaunchConfig));
SAME(offsetof(kds_cuda_launch_config, grid), offsetof(CUlaunchConfig, gridDimX));
SAME(offsetof(kds_cuda_launch_config, block), offsetof(CUlaunchConfig, blockDimX));
SAME(offsetof(kds_cuda_launch_config, shared_bytes), offsetof(CUlaunchConfig, sharedMemBytes));
SAME(offsetof(kds_cuda_launch_config, stream), offsetof(CUlaunchConfig, hStream));
SAME(offsetof(kds_cuda_launch_config, attributes), offsetof(CUlaunchConfig, attrs));
SAME(offsetof(kds_cuda_launch_config, attribute_count), offsetof(CUlaunchConfig, numAttrs));
#endif

#define SPAN 3001

typedef struct bench {
    kds_sim_module *module;
    kds_sim_memory *memory;
} bench;

static int set_up(void **state)
{
    static bench b;
    kds_nvrtc *n = NULL;
    kds_err e = {0};
    char *ptx = NULL;
    size_t len = 0;
    if (kds_nvrtc_open(&n, &e) != KDS_OK ||
        kds_helpers_compile(n, "sm_90", true, &ptx, &len, &e) != KDS_OK ||
        kds_sim_module_load(&b.module, ptx, strlen(ptx), &e) != KDS_OK)
        fail_msg("%s", e.message);
    b.memory = kds_sim_memory_create();
    free(ptx);
    kds_nvrtc_close(n);
    *state = &b;
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;
    kds_sim_module_free(b->module);
    kds_sim_memory_free(b->memory);
    return 0;
}

static uint64_t buffer(bench *b, uint64_t bytes)
{
    kds_sim_buffer x = {.name = "buffer", .bytes = bytes, .content = KDS_SIM_DEFINED};
    uint64_t at = kds_sim_memory_add(b->memory, &x);
    assert_true(at != 0);
    return at;
}

static void run(bench *b, const char *kernel, uint32_t blocks, const void *params, size_t len)
{
    const uint32_t grid[3] = {blocks, 1, 1}, block[3] = {256, 1, 1};
    const kds_sim_options o = {.budget = 400000000};
    kds_sim_result r;
    kds_err e = {0};
    if (kds_sim_launch(b->module, kernel, grid, block, 0, params, len, b->memory, &o, &r, &e) !=
        KDS_OK)
        fail_msg("%s", e.message);
    if (r.status != KDS_SIM_OK)
        fail_msg("%s: %s", kernel, r.report);
}

/* Every kind of fill of every type, from the start and from far on. */
static void test_fills_are_those_of_the_host(void **state)
{
    bench *b = *state;
    static const kds_fill fills[] = {
        {KDS_FILL_NORMAL, 0.5, 100},  {KDS_FILL_UNIFORM, -3, 300},
        {KDS_FILL_CONSTANT, 0.1, 0},  {KDS_FILL_IOTA, -5, 0.25},
        {KDS_FILL_PERMUTATION, 0, 0}, {KDS_FILL_OFFSETS, 70000, 32.0 * 70000 / (SPAN - 1)}};
    unsigned char got[SPAN * 8], want[SPAN * 8];
    uint64_t at = buffer(b, sizeof got);
    for (size_t k = 0; k < sizeof fills / sizeof *fills; k++)
        for (int type = 0; type <= (int)KDS_DTYPE_F64; type++)
            for (int far = 0; far < 2; far++) {
                bool whole =
                    fills[k].kind == KDS_FILL_PERMUTATION || fills[k].kind == KDS_FILL_OFFSETS;
                int64_t first = far && !whole ? (INT64_C(1) << 35) + 8 : 0;
                kds_filler f = {.fill = fills[k],
                                .dtype = (kds_dtype)type,
                                .scale = far ? 1 : 0.001,
                                .shift = far ? 0 : 0.3,
                                .seed = UINT64_C(0x123456789abcdef0) + k,
                                .buffer = (uint32_t)type + 1,
                                .span = whole ? SPAN : INT64_C(1) << 40};
                struct {
                    uint64_t to;
                    int64_t first, count;
                    int kind, type;
                    double a, b, scale, shift;
                    uint64_t seed;
                    uint32_t buffer, pad;
                    int64_t span;
                } p = {at,      first,   SPAN,   (int)f.fill.kind, type, f.fill.a, f.fill.b,
                       f.scale, f.shift, f.seed, f.buffer,         0,    f.span};
                size_t size = kds_dtype_size(f.dtype);
                run(b, "kds_fill", 2, &p, sizeof p);
                assert_true(kds_sim_memory_read(b->memory, at, SPAN * size, got, NULL));
                kds_filler_write(&f, first, SPAN, want);
                for (size_t i = 0; i < SPAN; i++)
                    if (memcmp(got + i * size, want + i * size, size) != 0)
                        fail_msg("fill %d of %s, element %zu: %.17g, not %.17g", (int)f.fill.kind,
                                 kds_dtype_name(f.dtype), i,
                                 kds_dtype_load(f.dtype, got + i * size),
                                 kds_dtype_load(f.dtype, want + i * size));
            }
}

typedef struct found {
    uint64_t wrong, first, largest, nans;
    double error, want;
} found;

static found compare(bench *b, kds_dtype type, const void *got, const void *want, int64_t n,
                     double atol, double rtol, bool bitwise)
{
    size_t bytes = (size_t)n * kds_dtype_size(type);
    uint64_t g = buffer(b, bytes), w = buffer(b, bytes), out = buffer(b, sizeof(found));
    found f;
    assert_true(kds_sim_memory_write(b->memory, g, bytes, got));
    assert_true(kds_sim_memory_write(b->memory, w, bytes, want));
    struct {
        uint64_t got, want;
        int type, pad;
        int64_t span;
        double atol, rtol;
        int bitwise, pad2;
        uint64_t out;
    } p = {g, w, (int)type, 0, n, atol, rtol, bitwise, 0, out};
    run(b, "kds_compare", 1, &p, sizeof p);
    assert_true(kds_sim_memory_read(b->memory, out, sizeof f, &f, NULL));
    return f;
}

/* The GPU's comparison finds what the host's finds, for all types. */
static void test_comparison_is_that_of_the_host(void **state)
{
    bench *b = *state;
    for (int type = 0; type <= (int)KDS_DTYPE_F64; type++) {
        unsigned char got[500 * 8], want[500 * 8];
        kds_dtype t = (kds_dtype)type;
        size_t size = kds_dtype_size(t);
        const kds_extent x = {
            .dtype = t, .rank = 1, .shape = {500}, .strides = {1}, .numel = 500, .span = 500};
        const kds_tolerance tolerance = {.atol = 0.5, .rtol = 0.01};
        for (int i = 0; i < 500; i++) {
            kds_dtype_store(t, want + (size_t)i * size, i % 200);
            kds_dtype_store(t, got + (size_t)i * size, i % 200 + (i % 7 == 3 ? 2 : 0));
        }
        kds_comparison c;
        kds_comparison_begin(&c, &x, t, t, &tolerance, false);
        kds_comparison_add(&c, 0, 500, got, want);
        kds_comparison_end(&c);
        found f = compare(b, t, got, want, 500, 0.5, 0.01, false);
        double largest;
        memcpy(&largest, &f.largest, sizeof largest);
        assert_int_equal(f.wrong, c.errors.wrong);
        assert_int_equal(f.first, c.errors.first_wrong);
        assert_true(largest == c.errors.max_abs);
        assert_true(f.error == c.sum_error && f.want == c.sum_want);
        assert_int_equal(compare(b, t, want, want, 500, 0, 0, true).wrong, 0);
        f = compare(b, t, got, want, 500, 1e9, 1e9, true);
        assert_int_equal(f.first, 3);
        assert_int_equal(f.wrong, (500 - 3 + 6) / 7);
    }
}

static void test_special_values_are_wrong_unless_wanted(void **state)
{
    bench *b = *state;
    const float nan = __builtin_nanf(""), inf = __builtin_inff();
    const float want[] = {nan, 1, 1, inf, inf, -inf, 0, nan};
    const float got[] = {nan, nan, inf, inf, 1, inf, -0.0f, 5};
    found f = compare(b, KDS_DTYPE_F32, got, want, 8, 1e30, 1, false);
    assert_int_equal(f.wrong, 5); /* 1, 2, 4, 5 and 7; -0 is within the tolerance of 0 */
    assert_int_equal(f.first, 1);
    assert_int_equal(f.nans, 2);
}

static uint64_t hash(bench *b, uint64_t at, int64_t words)
{
    uint64_t out = buffer(b, 8), sum = 0;
    struct {
        uint64_t at;
        int64_t words;
        uint64_t out;
    } p = {at, words, out};
    run(b, "kds_hash", 1, &p, sizeof p);
    assert_true(kds_sim_memory_read(b->memory, out, 8, &sum, NULL));
    return sum;
}

static void test_checksum_sees_every_bit_and_order(void **state)
{
    bench *b = *state;
    uint32_t words[1000];
    uint64_t at = buffer(b, sizeof words);
    for (uint32_t i = 0; i < 1000; i++)
        words[i] = i * 2654435761u;
    assert_true(kds_sim_memory_write(b->memory, at, sizeof words, words));
    uint64_t before = hash(b, at, 1000);
    assert_true(hash(b, at, 1000) == before);
    assert_true(hash(b, at, 999) != before);
    for (int bit = 0; bit < 32; bit += 5) {
        words[bit * 30] ^= 1u << bit;
        assert_true(kds_sim_memory_write(b->memory, at, sizeof words, words));
        assert_true(hash(b, at, 1000) != before);
        words[bit * 30] ^= 1u << bit;
    }
    uint32_t swap = words[1];
    words[1] = words[2];
    words[2] = swap;
    assert_true(kds_sim_memory_write(b->memory, at, sizeof words, words));
    assert_true(hash(b, at, 1000) != before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fills_are_those_of_the_host),
        cmocka_unit_test(test_comparison_is_that_of_the_host),
        cmocka_unit_test(test_special_values_are_wrong_unless_wanted),
        cmocka_unit_test(test_checksum_sees_every_bit_and_order),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
