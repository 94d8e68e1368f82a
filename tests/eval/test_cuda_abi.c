/* What eval/cuda/driver.h declares of the driver's ABI against cuda.h, where the toolkit's header
 * is there; and our kernels against the C code, on the simulator. */
#include "eval/cuda/helpers_internal.h"
#include "eval/sim/sim.h"

#include <math.h>
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
                struct fill_params {
                    uint64_t to;
                    int64_t first, count;
                    int kind, type;
                    double a, b, scale, shift;
                    uint64_t seed;
                    uint32_t buffer, pad;
                    int64_t span;
                    int wide;
                } p = {at,      first,   SPAN,   (int)f.fill.kind, type, f.fill.a, f.fill.b,
                       f.scale, f.shift, f.seed, f.buffer,         0,    f.span,   far};
                f.wide = far;
                kds_dtype written = f.wide ? KDS_DTYPE_F64 : f.dtype;
                size_t size = kds_dtype_size(written);
                run(b, "kds_fill", 2, &p, offsetof(struct fill_params, wide) + sizeof p.wide);
                assert_true(kds_sim_memory_read(b->memory, at, SPAN * size, got, NULL));
                kds_filler_write(&f, first, SPAN, want);
                for (size_t i = 0; i < SPAN; i++)
                    if (memcmp(got + i * size, want + i * size, size) != 0)
                        fail_msg("fill %d of %s%s, element %zu: %.17g, not %.17g", (int)f.fill.kind,
                                 kds_dtype_name(f.dtype), f.wide ? " as double" : "", i,
                                 kds_dtype_load(written, got + i * size),
                                 kds_dtype_load(written, want + i * size));
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

/* The parameter of kds_judge and kds_find (eval/cuda/helpers_judge.c), and what a block leaves. */
typedef struct comparison {
    uint64_t got, want;
    int32_t got_type, want_type, bitwise, contiguous;
    int64_t shape[KDS_RANK_MAX], strides[KDS_RANK_MAX];
    int64_t slices, length, parts;
    double atol, rtol;
} comparison;

static comparison compared(bench *b, const kds_extent *x, kds_dtype got_type, const void *got,
                           kds_dtype want_type, const void *want)
{
    size_t g = (size_t)x->span * kds_dtype_size(got_type);
    size_t w = (size_t)x->span * kds_dtype_size(want_type);
    comparison c = {.got = buffer(b, g),
                    .want = buffer(b, w),
                    .got_type = (int)got_type,
                    .want_type = (int)want_type,
                    .contiguous = x->span == x->numel,
                    .slices = 1,
                    .length = x->numel,
                    .parts = 1};
    for (int d = 0; d < KDS_RANK_MAX; d++) {
        int at = d - (KDS_RANK_MAX - x->rank);
        c.shape[d] = at < 0 ? 1 : x->shape[at];
        c.strides[d] = at < 0 ? 0 : x->strides[at];
    }
    assert_true(kds_sim_memory_write(b->memory, c.got, g, got));
    assert_true(kds_sim_memory_write(b->memory, c.want, w, want));
    return c;
}

static void judged(bench *b, const comparison *c, uint32_t blocks, kds_judged *out)
{
    struct {
        comparison c;
        uint64_t out;
    } p = {*c, buffer(b, blocks * sizeof *out)};
    run(b, "kds_judge", blocks, &p, sizeof p);
    assert_true(kds_sim_memory_read(b->memory, p.out, blocks * sizeof *out, out, NULL));
}

/* Strides with gaps, wide reference, slices short and long, every way to spread them. */
static void test_judging_is_that_of_the_host(void **state)
{
    bench *b = *state;
    static const struct {
        int64_t rows, columns, stride;
        int parts, blocks;
        bool slices;
    } cases[] = {{30, 41, 50, 0, 1, true},  {30, 41, 41, 0, 2, true},  {3, 300, 310, 1, 2, true},
                 {3, 300, 300, 1, 3, true}, {3, 300, 310, 2, 6, true}, {9, 100, 100, 4, 4, false}};
    static const kds_dtype types[] = {KDS_DTYPE_F32, KDS_DTYPE_BF16, KDS_DTYPE_F16, KDS_DTYPE_I32};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            static unsigned char got[2000 * 8], want[2000 * 8];
            kds_extent x = {.dtype = types[t],
                            .rank = 2,
                            .shape = {cases[k].rows, cases[k].columns},
                            .strides = {cases[k].stride, 1},
                            .numel = cases[k].rows * cases[k].columns,
                            .span = (cases[k].rows - 1) * cases[k].stride + cases[k].columns};
            const kds_tolerance tolerance = {.atol = 0.6, .rtol = 0.01, .slice_rel_rmse = 1};
            size_t size = kds_dtype_size(types[t]);
            for (int64_t i = 0; i < x.span; i++) {
                kds_dtype_store(types[t], got + (size_t)i * size,
                                (double)(i % 97) + (i % 11 == 5 ? (double)(i % 7) : 0));
                kds_dtype_store(KDS_DTYPE_F64, want + i * 8, (double)(i % 97) + 0.25);
            }
            kds_comparison h;
            kds_comparison_begin(&h, &x, types[t], KDS_DTYPE_F64, &tolerance, false);
            kds_comparison_add(&h, 0, x.span, got, want);
            kds_comparison_end(&h);
            comparison c = compared(b, &x, types[t], got, KDS_DTYPE_F64, want);
            c.atol = tolerance.atol;
            c.rtol = tolerance.rtol;
            c.parts = cases[k].parts;
            c.slices = cases[k].slices ? cases[k].rows : 1;
            c.length = x.numel / c.slices;
            kds_judged part[8], all = {.first = UINT64_MAX, .worst_at = -1};
            judged(b, &c, (uint32_t)cases[k].blocks, part);
            for (int i = 0; i < cases[k].blocks; i++) {
                all.wrong += part[i].wrong;
                all.first = part[i].first < all.first ? part[i].first : all.first;
                all.largest = part[i].largest > all.largest ? part[i].largest : all.largest;
                all.error += part[i].error;
                all.want += part[i].want;
                if (part[i].worst_at >= 0 && part[i].worst > all.worst) {
                    all.worst = part[i].worst;
                    all.worst_at = part[i].worst_at;
                }
            }
            double largest;
            memcpy(&largest, &all.largest, sizeof largest);
            assert_int_equal(all.wrong, h.errors.wrong);
            assert_int_equal(all.first, h.errors.first_wrong);
            assert_true(largest == h.errors.max_abs);
            assert_true(fabs(all.error - h.sum_error) <= 1e-12 * h.sum_error);
            assert_true(fabs(all.want - h.sum_want) <= 1e-12 * h.sum_want);
            if (cases[k].slices && cases[k].parts <= 1) {
                assert_int_equal(all.worst_at, h.errors.worst_slice_at);
                assert_true(fabs(all.worst - h.errors.worst_slice) <= 1e-12);
            }
        }
    }
}

static void test_judging_special_values(void **state)
{
    bench *b = *state;
    const float nan = __builtin_nanf(""), inf = __builtin_inff();
    const float got[] = {nan, nan, inf, inf, -inf, inf, 1, -0.0f};
    const double want[] = {nan, 1, 1, 1e300, inf, inf, nan, 0};
    const kds_extent x = {.rank = 1, .shape = {8}, .strides = {1}, .numel = 8, .span = 8};
    kds_judged out;
    kds_comparison h;
    const kds_tolerance tolerance = {.atol = 1e30, .rtol = 1};
    comparison c = compared(b, &x, KDS_DTYPE_F32, got, KDS_DTYPE_F64, want);
    c.atol = 1e30;
    c.rtol = 1;
    judged(b, &c, 1, &out);
    kds_comparison_begin(&h, &x, KDS_DTYPE_F32, KDS_DTYPE_F64, &tolerance, false);
    kds_comparison_add(&h, 0, 8, got, want);
    kds_comparison_end(&h);
    assert_int_equal(out.wrong, 4); /* 1, 2, 4 and 6; 3 is beyond the type on both sides */
    assert_int_equal(out.wrong, h.errors.wrong);
    assert_int_equal(out.first, 1);
    c = compared(b, &x, KDS_DTYPE_F32, got, KDS_DTYPE_F32, got);
    c.bitwise = 1;
    judged(b, &c, 1, &out);
    assert_int_equal(out.wrong, 0);
    float other[8];
    memcpy(other, got, sizeof other);
    other[7] = 0;
    c = compared(b, &x, KDS_DTYPE_F32, got, KDS_DTYPE_F32, other);
    c.bitwise = 1;
    judged(b, &c, 1, &out);
    assert_true(out.wrong == 1 && out.first == 7);
}

static void test_finding_a_pattern(void **state)
{
    bench *b = *state;
    uint16_t values[60 * 20];
    const kds_extent x = {
        .rank = 2, .shape = {60, 17}, .strides = {20, 1}, .numel = 1020, .span = 1197};
    memset(values, 0xff, sizeof values); /* the gaps too, which do not count */
    for (int r = 0; r < 60; r++)
        for (int i = 0; i < 17; i++)
            values[r * 20 + i] = r == 31 && i > 14 ? 0xffff : 0x3f80;
    struct {
        comparison c;
        uint64_t pattern, out;
    } p = {compared(b, &x, KDS_DTYPE_BF16, values, KDS_DTYPE_BF16, values), UINT64_MAX,
           buffer(b, 2 * sizeof(kds_judged))};
    kds_judged out[2];
    run(b, "kds_find", 2, &p, sizeof p);
    assert_true(kds_sim_memory_read(b->memory, p.out, sizeof out, out, NULL));
    assert_int_equal(out[0].wrong + out[1].wrong, 2);
    assert_int_equal(out[0].first < out[1].first ? out[0].first : out[1].first, 31 * 17 + 15);
}

/* Every byte of a guard counts, none beside it does; ends lie between words. */
static void test_guards_see_every_byte(void **state)
{
    bench *b = *state;
    enum { BYTES = 6000 };
    uint64_t arena = buffer(b, BYTES), found_at = buffer(b, sizeof(kds_guard_found));
    const kds_guard guards[2] = {{0, 1003}, {2050, 3947}};
    const struct {
        uint64_t arena, words, seed;
    } fill = {arena, BYTES / 4, 77};
    static const int places[] = {0, 1002, 1003, 2049, 2050, 5996, 5997};
    const bool inside[] = {true, true, false, false, true, true, false};
    for (size_t i = 0; i <= sizeof places / sizeof *places; i++) {
        unsigned char byte = 0;
        kds_guard_found f[2] = {{0}};
        bool none = i == sizeof places / sizeof *places;
        run(b, "kds_guard_fill", 3, &fill, sizeof fill);
        if (!none) {
            uint64_t at = arena + (uint64_t)places[i];
            assert_true(kds_sim_memory_read(b->memory, at, 1, &byte, NULL));
            byte ^= 1;
            assert_true(kds_sim_memory_write(b->memory, at, 1, &byte));
        }
        for (int g = 0; g < 2; g++) {
            const struct {
                uint64_t arena, first, bytes, seed, out;
            } check = {arena, guards[g].first, guards[g].bytes, 77, found_at};
            run(b, "kds_guard_check", 1, &check, sizeof check);
            assert_true(kds_sim_memory_read(b->memory, found_at, sizeof f[g], &f[g], NULL));
        }
        assert_int_equal(f[0].wrong + f[1].wrong, !none && inside[i]);
        const kds_guard_found *hit = &f[!none && places[i] >= 2050];
        if (!none && inside[i])
            assert_true(hit->first == (uint64_t)places[i] && hit->last == (uint64_t)places[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fills_are_those_of_the_host),
        cmocka_unit_test(test_comparison_is_that_of_the_host),
        cmocka_unit_test(test_special_values_are_wrong_unless_wanted),
        cmocka_unit_test(test_checksum_sees_every_bit_and_order),
        cmocka_unit_test(test_judging_is_that_of_the_host),
        cmocka_unit_test(test_judging_special_values),
        cmocka_unit_test(test_finding_a_pattern),
        cmocka_unit_test(test_guards_see_every_byte),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
