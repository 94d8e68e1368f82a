/* The benchmark of the simulator. A kernel's parameters are pointers to its buffers, then 32-bit
 * words; its last buffer is the output. The best of several runs counts, since the machine may be
 * busy with something else. */
#include "eval/sim/bench.h"
#include "eval/sim/bench_ptx.h"
#include "eval/sim/numeric.h"
#include "eval/sim/sim.h"
#include "search/base/buf.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROWS 64
#define COLUMNS 4096
#define SIDE 256 /* of the matrices */
#define RUNS 7
#define BUFFERS 4
#define WORDS 3
#define EPS 1e-6f

typedef struct bench_kernel bench_kernel;

typedef struct bench_buffer {
    const char *name;
    uint64_t seed, elements;
} bench_buffer;

struct bench_kernel {
    const char *name, *entry, *description;
    const char *const *ptx;
    uint32_t grid[2], block;
    int buffer_count, word_count;
    uint32_t words[WORDS];
    bench_buffer buffers[BUFFERS];
    int bytes, result_bytes; /* of an element: 2 bf16, 4 f32 */
    /* The largest error of the output as a share of what it may be off; NaN counts as infinite. */
    double (*error)(const bench_kernel *k, const void *out);
};

/* Multiples of 1/256 in [-2, 2): exact in bf16 up to rounding of the lower bits. */
static float element(uint64_t seed, uint64_t i)
{
    uint64_t h = (i + seed * 1000003u) * 0x9e3779b97f4a7c15u;
    uint16_t v = kds_f32_to_bf16((float)((h >> 40) & 1023) / 256.0f - 2.0f);
    return kds_bf16_to_f32(v);
}

static void fill_bf16(void *user, uint64_t first, uint64_t len, void *out)
{
    uint16_t *to = out;
    for (uint64_t k = 0; k < len / 2; k++)
        to[k] = kds_f32_to_bf16(element(*(const uint64_t *)user, first / 2 + k));
}

static void fill_f32(void *user, uint64_t first, uint64_t len, void *out)
{
    float *to = out;
    for (uint64_t k = 0; k < len / 4; k++)
        to[k] = element(*(const uint64_t *)user, first / 4 + k);
}

static double worse(double worst, double error)
{
    if (error != error)
        return INFINITY;
    return error > worst ? error : worst;
}

/* In units of what bf16 can resolve at a result. */
static double bf16_error(float got, double want)
{
    return fabs((double)got - want) / (fabs(want) / 256 + 1e-6);
}

static double norm_error(const bench_kernel *k, const void *out)
{
    const uint16_t *y = out;
    double worst = 0;
    (void)k;
    for (uint64_t r = 0; r < ROWS; r++) {
        double sum = 0;
        for (uint64_t c = 0; c < COLUMNS; c++) {
            double x = element(1, r * COLUMNS + c);
            sum += x * x;
        }
        double scale = 1.0 / sqrt(sum / COLUMNS + (double)EPS);
        for (uint64_t c = 0; c < COLUMNS; c++) {
            double x = element(1, r * COLUMNS + c), w = element(2, c);
            worst = worse(worst, bf16_error(kds_bf16_to_f32(y[r * COLUMNS + c]), x * scale * w));
        }
    }
    return worst;
}

static double shift_error(const bench_kernel *k, const void *out)
{
    const uint16_t *y = out;
    double worst = 0;
    (void)k;
    for (uint64_t i = 0; i < (uint64_t)ROWS * COLUMNS; i++) {
        double x = element(1, i), w = element(2, i % COLUMNS), b = element(3, i % COLUMNS);
        worst = worse(worst, bf16_error(kds_bf16_to_f32(y[i]), x * w + b));
    }
    return worst;
}

/* A sum of n products in single precision may be off by n roundings of the sum of magnitudes. The
 * groups of a tensor core stay below that: 16 products are cut and summed as one. */
static double product_error(const bench_kernel *k, const void *out)
{
    const float *c = out;
    double worst = 0;
    (void)k;
    for (uint64_t i = 0; i < SIDE; i++) {
        double sum[SIDE] = {0}, size[SIDE] = {0};
        for (uint64_t j = 0; j < SIDE; j++) {
            double a = element(1, i * SIDE + j);
            for (uint64_t n = 0; n < SIDE; n++) {
                double p = a * element(2, j * SIDE + n);
                sum[n] += p;
                size[n] += fabs(p);
            }
        }
        for (uint64_t n = 0; n < SIDE; n++)
            worst =
                worse(worst, fabs((double)c[i * SIDE + n] - sum[n]) / (size[n] * SIDE * 0x1p-24));
    }
    return worst;
}

#define MATRIX ((uint64_t)ROWS * COLUMNS)
#define SQUARE ((uint64_t)SIDE * SIDE)

static const bench_kernel kernels[] = {
    {"rms_norm_vectorised",
     "rms_vec",
     "bf16 RMSNorm [64x4096], 16-byte loads",
     kds_bench_rms_vec,
     {ROWS, 1},
     256,
     3,
     3,
     {ROWS, COLUMNS, 0x358637bd}, /* EPS */
     {{"x", 1, MATRIX}, {"w", 2, COLUMNS}, {"y", 0, MATRIX}},
     2,
     2,
     norm_error},
    {"rms_norm_naive",
     "rms_naive",
     "bf16 RMSNorm [64x4096], 2-byte loads",
     kds_bench_rms_naive,
     {ROWS, 1},
     256,
     3,
     3,
     {ROWS, COLUMNS, 0x358637bd},
     {{"x", 1, MATRIX}, {"w", 2, COLUMNS}, {"y", 0, MATRIX}},
     2,
     2,
     norm_error},
    {"scale_shift",
     "scale_shift",
     "bf16x2 elementwise [64x4096]",
     kds_bench_scale_shift,
     {MATRIX / 2 / 256, 1},
     256,
     4,
     2,
     {MATRIX / 2, COLUMNS / 2},
     {{"x", 1, MATRIX}, {"a", 2, COLUMNS}, {"b", 3, COLUMNS}, {"y", 0, MATRIX}},
     2,
     2,
     shift_error},
    {"sgemm_tiled",
     "sgemm",
     "f32 matrix product 256^3, shared-memory tiles",
     kds_bench_sgemm,
     {SIDE / 128, SIDE / 128},
     256,
     3,
     1,
     {SIDE},
     {{"a", 1, SQUARE}, {"b", 2, SQUARE}, {"c", 0, SQUARE}},
     4,
     4,
     product_error},
    {"mma_bf16_gemm",
     "mma_gemm",
     "bf16 matrix product 256^3, ldmatrix and mma.sync",
     kds_bench_mma_gemm,
     {SIDE / 64, SIDE / 64},
     128,
     3,
     1,
     {SIDE},
     {{"a", 1, SQUARE}, {"b", 2, SQUARE}, {"c", 0, SQUARE}},
     2,
     4,
     product_error},
};

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Adds the buffers of a kernel; parameters of pointers and words. Returns their size, 0 if out of
 * memory. */
static size_t prepare(const bench_kernel *k, kds_sim_memory *memory, uint8_t *params,
                      uint64_t *output)
{
    for (int b = 0; b < k->buffer_count; b++) {
        bool result = b == k->buffer_count - 1;
        int bytes = result ? k->result_bytes : k->bytes;
        kds_sim_buffer buffer = {.name = k->buffers[b].name,
                                 .bytes = k->buffers[b].elements * (uint64_t)bytes,
                                 .read_only = !result,
                                 .content = result ? KDS_SIM_UNDEFINED : KDS_SIM_DEFINED,
                                 .fill = bytes == 2 ? fill_bf16 : fill_f32,
                                 .user = (void *)(uintptr_t)&k->buffers[b].seed,
                                 .poison = 0x7f};
        *output = kds_sim_memory_add(memory, &buffer);
        if (*output == 0)
            return 0;
        memcpy(params + 8 * b, output, 8);
    }
    size_t pointers = 8 * (size_t)k->buffer_count, words = 4 * (size_t)k->word_count;
    memcpy(params + pointers, k->words, words);
    return pointers + words;
}

/* Ways to run a kernel. */
enum { PLAIN, WITH_RACES, ALL_CORES, WAYS };

static int core_count(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : (int)n;
}

/* Runs the loaded kernel RUNS times in every way, by turns. best: of each. */
static kds_code measure(const bench_kernel *k, const kds_sim_module *m, kds_sim_result *r,
                        double best[WAYS], double *error, kds_err *e)
{
    const uint64_t all = k->buffers[k->buffer_count - 1].elements * (uint64_t)k->result_bytes;
    kds_sim_memory *memory = kds_sim_memory_create();
    void *y = malloc(all);
    kds_code code = KDS_OK;
    uint8_t params[8 * BUFFERS + 4 * WORDS];
    uint64_t output = 0;
    size_t len = memory != NULL && y != NULL ? prepare(k, memory, params, &output) : 0;
    if (len == 0) {
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory in the benchmark");
        goto out;
    }
    const uint32_t grid[3] = {k->grid[0], k->grid[1], 1}, block[3] = {k->block, 1, 1};
    for (int way = 0; way < WAYS; way++)
        best[way] = INFINITY;
    for (int run = 0; run < WAYS * RUNS; run++) {
        int way = run % WAYS;
        const kds_sim_options options = {.check_uninitialised = true,
                                         .check_races = way == WITH_RACES,
                                         .threads = way == ALL_CORES ? core_count() : 1};
        double start = seconds_now();
        code = kds_sim_launch(m, k->entry, grid, block, 0, params, len, memory, &options, r, e);
        double took = seconds_now() - start;
        best[way] = took < best[way] ? took : best[way];
        if (code != KDS_OK)
            goto out;
        if (r->status != KDS_SIM_OK) {
            code = kds_fail(e, KDS_SELF_TEST, "the benchmark failed: %s", r->report);
            goto out;
        }
    }
    kds_sim_memory_read(memory, output, all, y, NULL);
    *error = k->error(k, y);
out:
    kds_sim_memory_free(memory);
    free(y);
    return code;
}

static kds_code run_kernel(const bench_kernel *k, cJSON *list, kds_err *e)
{
    kds_buf text;
    kds_sim_module *m = NULL;
    kds_sim_result r;
    double best[WAYS] = {0}, error = 0;
    kds_buf_init(&text, 1u << 20);
    for (const char *const *line = k->ptx; *line != NULL; line++) {
        kds_buf_puts(&text, *line);
        kds_buf_putc(&text, '\n');
    }
    kds_code code = kds_buf_check(&text, "benchmark", e);
    if (code == KDS_OK)
        code = kds_sim_module_load(&m, text.data, text.len, e);
    if (code == KDS_OK)
        code = measure(k, m, &r, best, &error, e);
    /* A unit of bf16, and what single precision adds to it. */
    if (code == KDS_OK && !(error < 1.1))
        code = kds_fail(e, KDS_SELF_TEST,
                        "the benchmark '%s' computed a wrong result (%g of what it may be off)",
                        k->name, error);
    if (code == KDS_OK) {
        double warps = r.counters[KDS_SIM_COUNTER_WARP_INST];
        double threads = r.counters[KDS_SIM_COUNTER_THREAD_INST];
        cJSON *row = cJSON_CreateObject();
        if (!cJSON_AddItemToArray(list, row) || !kds_json_add_str(row, "name", k->name) ||
            !kds_json_add_str(row, "description", k->description) ||
            !kds_json_add_num(row, "warp_inst", warps) ||
            !kds_json_add_num(row, "thread_inst", threads) ||
            !kds_json_add_num(row, "seconds", best[PLAIN]) ||
            !kds_json_add_num(row, "million_thread_inst_per_second", threads / best[PLAIN] / 1e6) ||
            !kds_json_add_num(row, "seconds_with_races", best[WITH_RACES]) ||
            !kds_json_add_num(row, "seconds_on_all_cores", best[ALL_CORES]) ||
            !kds_json_add_num(row, "ns_per_warp_inst", best[PLAIN] * 1e9 / warps) ||
            !kds_json_add_num(row, "max_error", error))
            code = kds_fail(e, KDS_NO_MEMORY, "out of memory in the benchmark");
    }
    kds_sim_module_free(m);
    kds_buf_free(&text);
    return code;
}

kds_code kds_sim_bench(cJSON **report, kds_err *e)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(root, "kernels");
    kds_code code = KDS_OK;
    if (list == NULL || !kds_json_add_str(root, "isa", kds_sim_isa()) ||
        !kds_json_add_int(root, "cores", core_count()))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory in the benchmark");
    for (size_t i = 0; code == KDS_OK && i < sizeof kernels / sizeof kernels[0]; i++)
        code = run_kernel(&kernels[i], list, e);
    if (code == KDS_OK)
        *report = root;
    else
        cJSON_Delete(root);
    return code;
}
