/* The benchmark of the simulator. Each kernel runs on [64 x 4096] bf16; the best of several runs
 * counts, since the machine may be busy with something else. */
#include "eval/sim/bench.h"
#include "eval/sim/bench_ptx.h"
#include "eval/sim/numeric.h"
#include "eval/sim/sim.h"
#include "search/base/buf.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROWS 64
#define COLUMNS 4096
#define RUNS 7
#define BLOCK 256
#define EPS 1e-6f

typedef struct bench_kernel {
    const char *name, *entry, *description;
    const char *const *ptx;
    bool elementwise;
} bench_kernel;

static const bench_kernel kernels[] = {
    {"rms_norm_vectorised", "rms_vec", "bf16 RMSNorm [64x4096], 16-byte loads", kds_bench_rms_vec,
     false},
    {"rms_norm_naive", "rms_naive", "bf16 RMSNorm [64x4096], 2-byte loads", kds_bench_rms_naive,
     false},
    {"scale_shift", "scale_shift", "bf16x2 elementwise [64x4096]", kds_bench_scale_shift, true},
};

/* Multiples of 1/256 in [-2, 2): exact in bf16 up to rounding of the lower bits. */
static float element(uint64_t seed, uint64_t i)
{
    uint64_t h = (i + seed * 1000003u) * 0x9e3779b97f4a7c15u;
    uint16_t v = kds_f32_to_bf16((float)((h >> 40) & 1023) / 256.0f - 2.0f);
    return kds_bf16_to_f32(v);
}

static void fill(void *user, uint64_t first, uint64_t len, void *out)
{
    uint16_t *to = out;
    for (uint64_t k = 0; k < len / 2; k++)
        to[k] = kds_f32_to_bf16(element(*(const uint64_t *)user, first / 2 + k));
}

/* The largest error of the output in units of what bf16 can resolve there; NaN counts as infinite.
 */
static double largest_error(const uint16_t *y, bool elementwise)
{
    double worst = 0;
    for (uint64_t r = 0; r < ROWS; r++) {
        double sum = 0;
        for (uint64_t c = 0; c < COLUMNS; c++) {
            double x = element(1, r * COLUMNS + c);
            sum += x * x;
        }
        double scale = 1.0 / sqrt(sum / COLUMNS + (double)EPS);
        for (uint64_t c = 0; c < COLUMNS; c++) {
            double x = element(1, r * COLUMNS + c), w = element(2, c), b = element(3, c);
            double want = elementwise ? x * w + b : x * scale * w;
            double error =
                fabs(kds_bf16_to_f32(y[r * COLUMNS + c]) - want) / (fabs(want) / 256 + 1e-6);
            worst = error > worst || error != error ? (error != error ? INFINITY : error) : worst;
        }
    }
    return worst;
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Runs the loaded kernel RUNS times. */
static kds_code measure(const bench_kernel *k, const kds_sim_module *m, kds_sim_result *r,
                        double *best, double *error, kds_err *e)
{
    static const uint64_t seeds[] = {1, 2, 3};
    const uint64_t all = (uint64_t)ROWS * COLUMNS * 2;
    kds_sim_memory *memory = kds_sim_memory_create();
    uint16_t *y = malloc(all);
    kds_code code = KDS_OK;
    if (memory == NULL || y == NULL) {
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory in the benchmark");
        goto out;
    }
    uint64_t address[4];
    for (int b = 0; b < 4; b++) {
        static const char *const names[] = {"x", "w", "b", "y"};
        uint64_t seed_index = b < 3 ? (uint64_t)b : 0;
        kds_sim_buffer buffer = {.name = names[b],
                                 .bytes = b == 0 || b == 3 ? all : COLUMNS * 2,
                                 .read_only = b < 3,
                                 .content = b < 3 ? KDS_SIM_DEFINED : KDS_SIM_UNDEFINED,
                                 .fill = fill,
                                 .user = (void *)(uintptr_t)&seeds[seed_index],
                                 .poison = 0x7f};
        address[b] = kds_sim_memory_add(memory, &buffer);
    }
    struct {
        uint64_t x, w, y;
        int32_t rows, columns;
        float eps;
    } norm = {address[0], address[1], address[3], ROWS, COLUMNS, EPS};
    struct {
        uint64_t x, a, b, y;
        int32_t n, columns;
    } shift = {address[0], address[1], address[2], address[3], ROWS * COLUMNS / 2, COLUMNS / 2};
    const uint32_t grid[3] = {k->elementwise ? ROWS * COLUMNS / 2 / BLOCK : ROWS, 1, 1};
    const uint32_t block[3] = {BLOCK, 1, 1};
    const kds_sim_options options = {.check_uninitialised = true};
    const void *params = k->elementwise ? (const void *)&shift : (const void *)&norm;
    size_t params_len = k->elementwise ? sizeof shift : offsetof(__typeof__(norm), eps) + 4;
    *best = INFINITY;
    for (int run = 0; run < RUNS; run++) {
        double start = seconds_now();
        code =
            kds_sim_launch(m, k->entry, grid, block, 0, params, params_len, memory, &options, r, e);
        double took = seconds_now() - start;
        *best = took < *best ? took : *best;
        if (code != KDS_OK)
            goto out;
        if (r->status != KDS_SIM_OK) {
            code = kds_fail(e, KDS_SELF_TEST, "the benchmark failed: %s", r->report);
            goto out;
        }
    }
    kds_sim_memory_read(memory, address[3], all, y, NULL);
    *error = largest_error(y, k->elementwise);
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
    double best = 0, error = 0;
    kds_buf_init(&text, 1u << 20);
    for (const char *const *line = k->ptx; *line != NULL; line++) {
        kds_buf_puts(&text, *line);
        kds_buf_putc(&text, '\n');
    }
    kds_code code = kds_buf_check(&text, "benchmark", e);
    if (code == KDS_OK)
        code = kds_sim_module_load(&m, text.data, text.len, e);
    if (code == KDS_OK)
        code = measure(k, m, &r, &best, &error, e);
    /* Half a unit of rounding, and what single precision adds to it. */
    if (code == KDS_OK && !(error < 1.1))
        code = kds_fail(e, KDS_SELF_TEST, "the benchmark '%s' computed a wrong result (%g units)",
                        k->name, error);
    if (code == KDS_OK) {
        double warps = r.counters[KDS_SIM_COUNTER_WARP_INST];
        double threads = r.counters[KDS_SIM_COUNTER_THREAD_INST];
        cJSON *row = cJSON_CreateObject();
        if (!cJSON_AddItemToArray(list, row) || !kds_json_add_str(row, "name", k->name) ||
            !kds_json_add_str(row, "description", k->description) ||
            !kds_json_add_num(row, "warp_inst", warps) ||
            !kds_json_add_num(row, "thread_inst", threads) ||
            !kds_json_add_num(row, "seconds", best) ||
            !kds_json_add_num(row, "million_thread_inst_per_second", threads / best / 1e6) ||
            !kds_json_add_num(row, "ns_per_warp_inst", best * 1e9 / warps) ||
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
    if (list == NULL || !kds_json_add_str(root, "isa", kds_sim_isa()))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory in the benchmark");
    for (size_t i = 0; code == KDS_OK && i < sizeof kernels / sizeof kernels[0]; i++)
        code = run_kernel(&kernels[i], list, e);
    if (code == KDS_OK)
        *report = root;
    else
        cJSON_Delete(root);
    return code;
}
