/* Whole kernels through NVRTC, for several architectures (their PTX is spelled differently),
 * against references in C; and counters of patterns that are known beforehand. */
#include "tests/eval/sim_nvrtc.h"

/* A small machine: buffers by address, parameters packed in order with natural alignment. */
typedef struct bench {
    kds_sim_memory *memory;
    uint8_t params[128];
    size_t len;
} bench;

static void put(bench *b, const void *value, size_t size)
{
    b->len = (b->len + size - 1) / size * size;
    memcpy(b->params + b->len, value, size);
    b->len += size;
}

static uint64_t input(bench *b, const char *name, const void *data, uint64_t bytes)
{
    uint64_t a = add_buffer(b->memory, name, bytes, KDS_SIM_UNDEFINED, true);
    assert_true(kds_sim_memory_write(b->memory, a, bytes, data));
    put(b, &a, 8);
    return a;
}

static uint64_t output(bench *b, const char *name, uint64_t bytes)
{
    uint64_t a = add_buffer(b->memory, name, bytes, KDS_SIM_UNDEFINED, false);
    put(b, &a, 8);
    return a;
}

static void put_int(bench *b, int32_t v)
{
    put(b, &v, 4);
}

static kds_sim_result run3(const kds_sim_module *m, const char *kernel, const uint32_t grid[3],
                           const uint32_t block[3], uint32_t shared, bench *b, const char *isa)
{
    kds_sim_options o = {.check_uninitialised = true, .check_races = true, .isa = isa};
    kds_sim_result r;
    kds_err e = {0};
    const char *missing = kds_sim_module_missing(m, kernel);
    if (missing != NULL)
        fail_msg("%s: %s", kernel, missing);
    if (kds_sim_launch(m, kernel, grid, block, shared, b->params, b->len, b->memory, &o, &r, &e) !=
        KDS_OK)
        fail_msg("%s", e.message);
    if (r.status != KDS_SIM_OK)
        fail_msg("%s", r.report);
    return r;
}

static float brain(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float x;
    memcpy(&x, &u, 4);
    return x;
}

static uint16_t to_brain(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static float noise(uint32_t i)
{
    i = (i ^ 61) ^ (i >> 16);
    i *= 9;
    i ^= i >> 4;
    i *= 0x27d4eb2d;
    i ^= i >> 15;
    return (float)(int32_t)(i & 0xffff) / 32768.0f - 1.0f;
}

static const char *const rotary_source =
    "#include <cuda_bf16.h>\n"
    "extern \"C\" __global__ void rotary(const __nv_bfloat16 *x, const float *cs, const float "
    "*sn,\n"
    "    __nv_bfloat16 *y, int tokens, int heads, int dim) {\n"
    "  int half = dim / 2, n = tokens * heads * half;\n"
    "  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {\n"
    "    int t = i / (heads * half), p = i % half;\n"
    "    __nv_bfloat162 v = reinterpret_cast<const __nv_bfloat162 *>(x)[i];\n"
    "    float a = __low2float(v), b = __high2float(v);\n"
    "    float c = cs[t * half + p], s = sn[t * half + p];\n"
    "    reinterpret_cast<__nv_bfloat162 *>(y)[i] =\n"
    "        __floats2bfloat162_rn(a * c - b * s, a * s + b * c);\n"
    "  }\n}\n";

static void rotary_matches(void **state)
{
    enum { TOKENS = 7, HEADS = 3, DIM = 64, N = TOKENS * HEADS * DIM };
    static uint16_t x[N], y[N];
    static float cs[TOKENS * DIM / 2], sn[TOKENS * DIM / 2];
    for (uint32_t i = 0; i < N; i++)
        x[i] = to_brain(noise(i) * 3);
    for (uint32_t i = 0; i < TOKENS * DIM / 2; i++) {
        cs[i] = cosf((float)i);
        sn[i] = sinf((float)i);
    }
    for (size_t a = 0; a < COUNT(archs); a++) {
        kds_sim_module *m = compile(*state, rotary_source, archs[a]);
        for (int isa = 0; isa < 2; isa++) {
            bench b = {.memory = kds_sim_memory_create()};
            input(&b, "x", x, sizeof x);
            input(&b, "cos", cs, sizeof cs);
            input(&b, "sin", sn, sizeof sn);
            uint64_t out = output(&b, "y", sizeof y);
            put_int(&b, TOKENS);
            put_int(&b, HEADS);
            put_int(&b, DIM);
            const uint32_t grid[3] = {3, 1, 1}, block[3] = {96, 1, 1};
            run3(m, "rotary", grid, block, 0, &b, instruction_sets()[isa]);
            assert_true(kds_sim_memory_read(b.memory, out, sizeof y, y, NULL));
            for (int i = 0; i < N / 2; i++) {
                int k = i / (HEADS * DIM / 2) * DIM / 2 + i % (DIM / 2);
                float p = brain(x[2 * i]), q = brain(x[2 * i + 1]);
                float low = p * cs[k] - q * sn[k], high = p * sn[k] + q * cs[k];
                assert_true(fabsf(brain(y[2 * i]) - low) <= fabsf(low) / 128 + 1e-5f);
                assert_true(fabsf(brain(y[2 * i + 1]) - high) <= fabsf(high) / 128 + 1e-5f);
            }
            kds_sim_memory_free(b.memory);
        }
        kds_sim_module_free(m);
    }
}

static const char *const softmax_source =
    "extern \"C\" __global__ void softmax(const float *x, float *y, int n) {\n"
    "  extern __shared__ float s[];\n"
    "  const float *row = x + (long long)blockIdx.x * n; float m = -__int_as_float(0x7f800000);\n"
    "  for (int i = threadIdx.x; i < n; i += blockDim.x) m = fmaxf(m, row[i]);\n"
    "  s[threadIdx.x] = m; __syncthreads();\n"
    "  for (int o = blockDim.x / 2; o; o >>= 1) {\n"
    "    if (threadIdx.x < o) s[threadIdx.x] = fmaxf(s[threadIdx.x], s[threadIdx.x + o]);\n"
    "    __syncthreads(); }\n"
    "  m = s[0]; __syncthreads(); float sum = 0;\n"
    "  for (int i = threadIdx.x; i < n; i += blockDim.x) sum += expf(row[i] - m);\n"
    "  for (int o = 16; o; o >>= 1) sum += __shfl_down_sync(~0u, sum, o);\n"
    "  if (threadIdx.x % 32 == 0) s[threadIdx.x / 32] = sum; __syncthreads();\n"
    "  sum = 0; for (int w = 0; w < blockDim.x / 32; w++) sum += s[w];\n"
    "  for (int i = threadIdx.x; i < n; i += blockDim.x)\n"
    "    y[(long long)blockIdx.x * n + i] = expf(row[i] - m) / sum;\n}\n";

static void softmax_matches(void **state)
{
    enum { ROWS = 4, N = 333 };
    static float x[ROWS * N], y[ROWS * N];
    for (uint32_t i = 0; i < ROWS * N; i++)
        x[i] = noise(i) * 20;
    for (size_t a = 0; a < COUNT(archs); a++) {
        kds_sim_module *m = compile(*state, softmax_source, archs[a]);
        bench b = {.memory = kds_sim_memory_create()};
        input(&b, "x", x, sizeof x);
        uint64_t out = output(&b, "y", sizeof y);
        put_int(&b, N);
        const uint32_t grid[3] = {ROWS, 1, 1}, block[3] = {128, 1, 1};
        run3(m, "softmax", grid, block, 128 * 4, &b, NULL);
        assert_true(kds_sim_memory_read(b.memory, out, sizeof y, y, NULL));
        for (int r = 0; r < ROWS; r++) {
            double most = -INFINITY, sum = 0;
            for (int i = 0; i < N; i++)
                most = fmax(most, (double)x[r * N + i]);
            for (int i = 0; i < N; i++)
                sum += exp((double)x[r * N + i] - most);
            for (int i = 0; i < N; i++) {
                double want = exp((double)x[r * N + i] - most) / sum;
                assert_true(fabs((double)y[r * N + i] - want) <= 2e-6 * want + 1e-12);
            }
        }
        kds_sim_memory_free(b.memory);
        kds_sim_module_free(m);
    }
}

static const char *const transpose_source =
    "template <int PAD> __device__ void move(const float *x, float *y, int rows, int cols) {\n"
    "  __shared__ float t[32][32 + PAD];\n"
    "  int c = blockIdx.x * 32 + threadIdx.x, r = blockIdx.y * 32 + threadIdx.y;\n"
    "  for (int j = 0; j < 32; j += 8) t[threadIdx.y + j][threadIdx.x] = x[(r + j) * cols + c];\n"
    "  __syncthreads(); c = blockIdx.y * 32 + threadIdx.x; r = blockIdx.x * 32 + threadIdx.y;\n"
    "  for (int j = 0; j < 32; j += 8) y[(r + j) * rows + c] = t[threadIdx.x][threadIdx.y + "
    "j];\n}\n"
    "extern \"C\" __global__ void padded(const float *x, float *y, int r, int c) { move<1>(x, y, "
    "r, "
    "c); }\n"
    "extern \"C\" __global__ void plain(const float *x, float *y, int r, int c) { move<0>(x, y, r, "
    "c); }\n";

static void transposes_count_their_banks(void **state)
{
    enum { ROWS = 64, COLS = 96 };
    static float x[ROWS * COLS], y[ROWS * COLS];
    for (uint32_t i = 0; i < ROWS * COLS; i++)
        x[i] = noise(i);
    for (size_t a = 0; a < COUNT(archs); a++) {
        kds_sim_module *m = compile(*state, transpose_source, archs[a]);
        for (int padded = 0; padded < 2; padded++) {
            bench b = {.memory = kds_sim_memory_create()};
            input(&b, "x", x, sizeof x);
            uint64_t out = output(&b, "y", sizeof y);
            put_int(&b, ROWS);
            put_int(&b, COLS);
            const uint32_t grid[3] = {COLS / 32, ROWS / 32, 1}, block[3] = {32, 8, 1};
            kds_sim_result r = run3(m, padded ? "padded" : "plain", grid, block, 0, &b, NULL);
            assert_true(kds_sim_memory_read(b.memory, out, sizeof y, y, NULL));
            for (int i = 0; i < ROWS; i++)
                for (int j = 0; j < COLS; j++)
                    assert_true(y[j * ROWS + i] == x[i * COLS + j]);
            double accesses = ROWS * COLS / 32;
            assert_true(r.counters[KDS_SIM_COUNTER_SHARED_ST_WAVEFRONTS] == accesses);
            assert_true(r.counters[KDS_SIM_COUNTER_SHARED_LD_WAVEFRONTS] ==
                        (padded ? accesses : 32 * accesses));
            assert_true(r.counters[KDS_SIM_COUNTER_SHARED_LD_CONFLICTS] ==
                        (padded ? 0 : 31 * accesses));
            assert_true(r.counters[KDS_SIM_COUNTER_GLOBAL_LD_REQUESTS] == accesses);
            assert_true(r.counters[KDS_SIM_COUNTER_GLOBAL_LD_SECTORS] == 4 * accesses);
            assert_true(r.counters[KDS_SIM_COUNTER_GLOBAL_ST_SECTORS] == 4 * accesses);
            kds_sim_memory_free(b.memory);
        }
        kds_sim_module_free(m);
    }
}

static const char *const histogram_source =
    "__device__ unsigned done = 0;\n"
    "extern \"C\" __global__ void histogram(const unsigned char *x, unsigned *part, unsigned *h, "
    "int "
    "n) {\n"
    "  __shared__ unsigned s[256]; __shared__ bool last;\n"
    "  s[threadIdx.x] = 0; __syncthreads();\n"
    "  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)\n"
    "    atomicAdd(&s[x[i]], 1u);\n"
    "  __syncthreads(); part[blockIdx.x * 256 + threadIdx.x] = s[threadIdx.x]; __threadfence();\n"
    "  __syncthreads();\n"
    "  if (threadIdx.x == 0) last = atomicAdd(&done, 1u) == gridDim.x - 1; __syncthreads();\n"
    "  if (!last) return;\n"
    "  unsigned sum = 0; for (int b = 0; b < gridDim.x; b++) sum += __ldcg(&part[b * 256 + "
    "threadIdx.x]);\n"
    "  h[threadIdx.x] = sum; if (threadIdx.x == 0) done = 0;\n}\n";

static void histogram_matches(void **state)
{
    enum { N = 5000, BLOCKS = 5 };
    static uint8_t x[N];
    uint32_t want[256] = {0}, got[256];
    for (uint32_t i = 0; i < N; i++) {
        x[i] = (uint8_t)(noise(i) * 60 + 128);
        want[x[i]]++;
    }
    for (size_t a = 0; a < COUNT(archs); a++) {
        kds_sim_module *m = compile(*state, histogram_source, archs[a]);
        bench b = {.memory = kds_sim_memory_create()};
        input(&b, "x", x, sizeof x);
        output(&b, "part", BLOCKS * 1024);
        uint64_t out = output(&b, "h", sizeof got);
        put_int(&b, N);
        const uint32_t grid[3] = {BLOCKS, 1, 1}, block[3] = {256, 1, 1};
        for (int twice = 0; twice < 2; twice++) {
            run3(m, "histogram", grid, block, 0, &b, NULL);
            assert_true(kds_sim_memory_read(b.memory, out, sizeof got, got, NULL));
            assert_memory_equal(got, want, sizeof got);
        }
        kds_sim_memory_free(b.memory);
        kds_sim_module_free(m);
    }
}

static const char *const library_source =
    "extern \"C\" __global__ void library(const float *x, double *y) {\n"
    "  int i = threadIdx.x; float v = x[i]; float a[8];\n"
    "  for (int k = 0; k < 8; k++) a[(k * 3 + i) & 7] = v * k;\n"
    "  y[i * 8] = sinf(v * 1000.f); y[i * 8 + 1] = powf(fabsf(v), 1.7f); y[i * 8 + 2] = tanhf(v);\n"
    "  y[i * 8 + 3] = erff(v); y[i * 8 + 4] = exp((double)v * 10); y[i * 8 + 5] = log1pf(v * v);\n"
    "  y[i * 8 + 6] = a[i & 7]; y[i * 8 + 7] = sqrt((double)v * v + 2) / 3;\n}\n";

/* The device library: sine with large arguments goes through local memory and wide multiplication.
 */
static void device_library_matches(void **state)
{
    float x[64];
    double y[64 * 8];
    for (uint32_t i = 0; i < 64; i++)
        x[i] = noise(i) * (i < 32 ? 1.0f : 300.0f);
    for (size_t a = 0; a < COUNT(archs); a++) {
        kds_sim_module *m = compile(*state, library_source, archs[a]);
        for (int isa = 0; isa < 2; isa++) {
            bench b = {.memory = kds_sim_memory_create()};
            input(&b, "x", x, sizeof x);
            uint64_t out = output(&b, "y", sizeof y);
            const uint32_t grid[3] = {1, 1, 1}, block[3] = {64, 1, 1};
            run3(m, "library", grid, block, 0, &b, instruction_sets()[isa]);
            assert_true(kds_sim_memory_read(b.memory, out, sizeof y, y, NULL));
            for (int i = 0; i < 64; i++) {
                double v = x[i], want[8];
                float angle = x[i] * 1000.f;
                want[0] = sin((double)angle);
                want[1] = pow(fabs(v), (double)1.7f);
                want[2] = tanh(v);
                want[3] = erf(v);
                want[4] = exp(v * 10);
                want[5] = log1p(v * v);
                want[6] = 0;
                for (int k = 0; k < 8; k++)
                    if (((k * 3 + i) & 7) == (i & 7))
                        want[6] = x[i] * (float)k;
                want[7] = sqrt(v * v + 2) / 3;
                for (int k = 0; k < 8; k++)
                    if (!(fabs(y[i * 8 + k] - want[k]) <= 2e-6 * fabs(want[k]) + 1e-6) &&
                        !(isinf(want[k]) && want[k] == y[i * 8 + k]))
                        fail_msg("%s: function %d of %g: %g, not %g", archs[a], k, v, y[i * 8 + k],
                                 want[k]);
            }
            kds_sim_memory_free(b.memory);
        }
        kds_sim_module_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rotary_matches),
        cmocka_unit_test(softmax_matches),
        cmocka_unit_test(transposes_count_their_banks),
        cmocka_unit_test(histogram_matches),
        cmocka_unit_test(device_library_matches),
    };
    return cmocka_run_group_tests(tests, open_compiler, NULL);
}
