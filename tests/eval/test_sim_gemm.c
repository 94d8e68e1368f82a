/* Matrix products that NVRTC compiled, for several architectures: through wmma in all its shapes
 * and types, and through ldmatrix and mma.sync, against a reference in double precision. */
#include "tests/eval/sim_nvrtc.h"

enum { M = 64, N = 96, K = 80 };

/* Fragments from global and from padded shared memory, accumulators scaled by position-free code,
 * and stored both ways. The shape is TM x TN x TK; T and ACC the types. */
static const char *const wmma_source =
    "#include <mma.h>\n#include <cuda_fp16.h>\n#include <cuda_bf16.h>\nusing namespace nvcuda;\n"
    "template <int TM, int TN, int TK, class T, class S, class ACC, class LA, class LB>\n"
    "__device__ void product(const S *a, const S *b, const ACC *c, ACC *d, int m, int n, int k,\n"
    "                        bool a_row, bool b_row) {\n"
    "  extern __shared__ __align__(128) char memory[]; S *sa = (S *)memory; const int LD = TK + "
    "16;\n"
    "  int warp = threadIdx.x / 32, tiles = n / TN, tile = blockIdx.x * 2 + warp;\n"
    "  if (tile >= m / TM * tiles) return;\n"
    "  int i = tile / tiles * TM, j = tile % tiles * TN, lane = threadIdx.x % 32;\n"
    "  sa += warp * TM * LD;\n"
    "  wmma::fragment<wmma::matrix_a, TM, TN, TK, T, LA> fa;\n"
    "  wmma::fragment<wmma::matrix_b, TM, TN, TK, T, LB> fb;\n"
    "  wmma::fragment<wmma::accumulator, TM, TN, TK, ACC> fc;\n"
    "  wmma::load_matrix_sync(fc, c + i * n + j, n, wmma::mem_row_major);\n"
    "  for (int q = 0; q < k; q += TK) {\n"
    "    if (a_row) {\n"
    "      for (int e = lane; e < TM * TK; e += 32)\n"
    "        sa[e / TK * LD + e % TK] = a[(i + e / TK) * k + q + e % TK];\n"
    "      __syncwarp(); wmma::load_matrix_sync(fa, sa, LD); __syncwarp();\n"
    "    } else wmma::load_matrix_sync(fa, a + q * m + i, m);\n"
    "    wmma::load_matrix_sync(fb, b_row ? b + q * n + j : b + j * k + q, b_row ? n : k);\n"
    "    wmma::mma_sync(fc, fa, fb, fc);\n"
    "  }\n"
    "  for (int e = 0; e < fc.num_elements; e++) fc.x[e] = fc.x[e] + fc.x[e];\n"
    "  wmma::store_matrix_sync(d + i * n + j, fc, n, wmma::mem_row_major);\n"
    "  wmma::store_matrix_sync(d + m * n + j * m + i, fc, m, wmma::mem_col_major);\n"
    "}\n"
    "#define KERNEL(name, TM, TN, TK, T, S, ACC, LA, LB) extern \"C\" __global__ void name(\\\n"
    "    const S *a, const S *b, const ACC *c, ACC *d, int m, int n, int k) {\\\n"
    "  product<TM, TN, TK, T, S, ACC, wmma::LA, wmma::LB>(a, b, c, d, m, n, k,\\\n"
    "    #LA[0] == 'r', #LB[0] == 'r'); }\n"
    "typedef __nv_bfloat16 bf16; typedef signed char s8; typedef unsigned char u8;\n"
    "KERNEL(h16rr, 16, 16, 16, half, half, float, row_major, row_major)\n"
    "KERNEL(h16cc, 16, 16, 16, half, half, float, col_major, col_major)\n"
    "KERNEL(h16rc, 16, 16, 16, half, half, half, row_major, col_major)\n"
    "KERNEL(h32rc, 32, 8, 16, half, half, float, row_major, col_major)\n"
    "KERNEL(h32cr, 32, 8, 16, half, half, half, col_major, row_major)\n"
    "KERNEL(h8rc, 8, 32, 16, half, half, float, row_major, col_major)\n"
    "KERNEL(h8cr, 8, 32, 16, half, half, half, col_major, row_major)\n"
    "KERNEL(b16rr, 16, 16, 16, bf16, bf16, float, row_major, row_major)\n"
    "KERNEL(b32cc, 32, 8, 16, bf16, bf16, float, col_major, col_major)\n"
    "KERNEL(b8rr, 8, 32, 16, bf16, bf16, float, row_major, row_major)\n"
    "KERNEL(t16rc, 16, 16, 8, wmma::precision::tf32, float, float, row_major, col_major)\n"
    "KERNEL(t16cr, 16, 16, 8, wmma::precision::tf32, float, float, col_major, row_major)\n"
    "KERNEL(s16rr, 16, 16, 16, s8, s8, int, row_major, row_major)\n"
    "KERNEL(s32cc, 32, 8, 16, s8, s8, int, col_major, col_major)\n"
    "KERNEL(u8rc, 8, 32, 16, u8, u8, int, row_major, col_major)\n"
    "KERNEL(d8rr, 8, 8, 4, double, double, double, row_major, row_major)\n"
    "KERNEL(d8cc, 8, 8, 4, double, double, double, col_major, col_major)\n";

typedef enum number { HALF, BRAIN, SINGLE, DOUBLE, S8, U8, INT } number;

static const int number_bytes[] = {2, 2, 4, 8, 1, 1, 4};

typedef struct product {
    const char *name;
    number type, sum;
    bool a_columns, b_columns;
    int rows, columns; /* of a tile */
    double error;      /* of the sums: of one step, relative to the magnitudes added up */
} product;

static const product products[] = {
    {"h16rr", HALF, SINGLE, false, false, 16, 16, 0x1p-22},
    {"h16cc", HALF, SINGLE, true, true, 16, 16, 0x1p-22},
    {"h16rc", HALF, HALF, false, true, 16, 16, 0x1p-11},
    {"h32rc", HALF, SINGLE, false, true, 32, 8, 0x1p-22},
    {"h32cr", HALF, HALF, true, false, 32, 8, 0x1p-11},
    {"h8rc", HALF, SINGLE, false, true, 8, 32, 0x1p-22},
    {"h8cr", HALF, HALF, true, false, 8, 32, 0x1p-11},
    {"b16rr", BRAIN, SINGLE, false, false, 16, 16, 0x1p-22},
    {"b32cc", BRAIN, SINGLE, true, true, 32, 8, 0x1p-22},
    {"b8rr", BRAIN, SINGLE, false, false, 8, 32, 0x1p-22},
    {"t16rc", SINGLE, SINGLE, false, true, 16, 16, 0x1p-22},
    {"t16cr", SINGLE, SINGLE, true, false, 16, 16, 0x1p-22},
    {"s16rr", S8, INT, false, false, 16, 16, 0},
    {"s32cc", S8, INT, true, true, 32, 8, 0},
    {"u8rc", U8, INT, false, true, 8, 32, 0},
    {"d8rr", DOUBLE, DOUBLE, false, false, 8, 8, 0x1p-53},
    {"d8cc", DOUBLE, DOUBLE, true, true, 8, 8, 0x1p-53},
};

/* Multiples of 1/64 in [-1, 1): every floating-point type here has them. */
static double fraction(uint32_t i)
{
    i = (i ^ 61) ^ (i >> 16);
    i *= 9;
    i ^= i >> 4;
    i *= 0x27d4eb2d;
    i ^= i >> 15;
    return (double)(int)(i & 127) / 64.0 - 1.0;
}

static double value(number t, uint32_t i)
{
    return t == S8 ? 64 * fraction(i) : t == U8 || t == INT ? 64 * fraction(i) + 64 : fraction(i);
}

static void put(number t, double x, uint8_t *p)
{
    float single = (float)x;
    uint32_t u;
    int32_t whole = (int32_t)x;
    uint16_t h;
    memcpy(&u, &single, 4);
    switch (t) {
    case HALF: /* of multiples of 1/64 below 1: normal numbers without rounding */
        h = x == 0 ? 0 : (uint16_t)((u >> 16 & 0x8000) | ((u & 0x7fffffff) - 0x38000000) >> 13);
        memcpy(p, &h, 2);
        break;
    case BRAIN:
        memcpy(p, (uint8_t *)&u + 2, 2);
        break;
    case SINGLE:
        memcpy(p, &single, 4);
        break;
    case DOUBLE:
        memcpy(p, &x, 8);
        break;
    default:
        memcpy(p, &whole, (size_t)number_bytes[t]);
        break;
    }
}

static double get(number t, const uint8_t *p)
{
    float single;
    double wide;
    int32_t whole;
    uint16_t h;
    if (t == SINGLE) {
        memcpy(&single, p, 4);
        return (double)single;
    }
    if (t == DOUBLE) {
        memcpy(&wide, p, 8);
        return wide;
    }
    if (t == INT) {
        memcpy(&whole, p, 4);
        return whole;
    }
    memcpy(&h, p, 2);
    int e = h >> 10 & 31, m = h & 1023;
    double magnitude = e == 0 ? ldexp(m, -24) : ldexp(m + 1024, e - 25);
    return h >> 15 ? -magnitude : magnitude;
}

static uint8_t matrices[3][K * N * 8], result[2 * M * N * 8]; /* K * N is the largest */

/* Launches a product of three inputs and an output; the result is in `result`. */
static kds_sim_result run_product(const kds_sim_module *m, const char *kernel, uint32_t blocks,
                                  uint32_t threads, uint32_t shared, const uint64_t bytes[4],
                                  const char *isa)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    kds_sim_memory *memory = kds_sim_memory_create();
    struct {
        uint64_t at[4];
        int32_t m, n, k;
    } p = {.m = M, .n = N, .k = K};
    for (int i = 0; i < 4; i++) {
        p.at[i] = add_buffer(memory, names[i], bytes[i], KDS_SIM_UNDEFINED, i < 3);
        assert_true(i == 3 || kds_sim_memory_write(memory, p.at[i], bytes[i], matrices[i]));
    }
    if (kds_sim_module_missing(m, kernel) != NULL)
        fail_msg("%s: %s", kernel, kds_sim_module_missing(m, kernel));
    kds_sim_options o = {.check_uninitialised = true, .isa = isa};
    kds_sim_result r = launch(m, kernel, blocks, threads, shared, &p, 44, memory, &o);
    if (r.status != KDS_SIM_OK)
        fail_msg("%s", r.report);
    assert_true(kds_sim_memory_read(memory, p.at[3], bytes[3], result, NULL));
    kds_sim_memory_free(memory);
    return r;
}

static void fill_product(const product *p)
{
    size_t bytes = (size_t)number_bytes[p->type], sum = (size_t)number_bytes[p->sum];
    for (uint32_t i = 0; i < M; i++)
        for (uint32_t k = 0; k < K; k++)
            put(p->type, value(p->type, i * K + k),
                matrices[0] + (p->a_columns ? k * M + i : i * K + k) * bytes);
    for (uint32_t k = 0; k < K; k++)
        for (uint32_t j = 0; j < N; j++)
            put(p->type, value(p->type, 10000 + k * N + j),
                matrices[1] + (p->b_columns ? j * K + k : k * N + j) * bytes);
    for (uint32_t i = 0; i < M * N; i++)
        put(p->sum, value(p->sum, 30000 + i), matrices[2] + i * sum);
}

/* Twice the product, row by row and, behind it, column by column. */
static void check_product(const product *p, bool twice)
{
    size_t bytes = (size_t)number_bytes[p->sum];
    for (uint32_t i = 0; i < M; i++)
        for (uint32_t j = 0; j < N; j++) {
            double sum = value(p->sum, 30000 + i * N + j), size = fabs(sum);
            for (uint32_t k = 0; k < K; k++) {
                double x = value(p->type, i * K + k) * value(p->type, 10000 + k * N + j);
                sum += x;
                size += fabs(x);
            }
            double want = twice ? 2 * sum : sum, off = 2 * K * p->error * size;
            double row = get(p->sum, result + (i * N + j) * bytes);
            double column = twice ? get(p->sum, result + (M * N + j * M + i) * bytes) : row;
            if (!(fabs(row - want) <= off) || row != column)
                fail_msg("%s: d[%u][%u] is %g and %g, not %g", p->name, i, j, row, column, want);
        }
}

static void wmma_products(void **state)
{
    for (size_t a = 0; a < COUNT(archs); a++) {
        kds_sim_module *m = compile(*state, wmma_source, archs[a]);
        for (size_t k = 0; k < COUNT(products); k++)
            for (int isa = 0; isa < 2; isa++) {
                const product *p = &products[k];
                uint64_t bytes = (uint64_t)number_bytes[p->type];
                uint64_t sum = (uint64_t)number_bytes[p->sum];
                const uint64_t sizes[4] = {M * K * bytes, K * N * bytes, M * N * sum,
                                           2 * M * N * sum};
                uint32_t tiles = (uint32_t)(M / p->rows * (N / p->columns));
                fill_product(p);
                run_product(m, p->name, (tiles + 1) / 2, 64, 8192, sizes, instruction_sets()[isa]);
                check_product(p, true);
            }
        kds_sim_module_free(m);
    }
}

/* 32 x 32 tiles, two warps of 16 x 32, k by 16: ldmatrix for both operands. */
static const char *const mma_source =
    "typedef unsigned short u16; typedef unsigned u32;\n"
    "extern \"C\" __global__ void gemm(const u16 *a, const u16 *b, const float *c, float *d, int "
    "m,\n"
    "                                  int n, int k) {\n"
    "  __shared__ __align__(16) u16 as[32][24], bs[16][40];\n"
    "  int t = threadIdx.x, lane = t % 32, warp = t / 32;\n"
    "  int i0 = blockIdx.x / (n / 32) * 32, j0 = blockIdx.x % (n / 32) * 32;\n"
    "  u32 sa = __cvta_generic_to_shared(&as[warp * 16 + lane % 16][lane / 16 * 8]);\n"
    "  u32 sb = __cvta_generic_to_shared(&bs[lane % 16][lane / 16 * 8]);\n"
    "  float s[4][4];\n"
    "  int row = i0 + warp * 16 + lane / 4, col = j0 + lane % 4 * 2;\n"
    "  for (int j = 0; j < 4; j++) for (int e = 0; e < 4; e++)\n"
    "    s[j][e] = c[(row + e / 2 * 8) * n + col + j * 8 + e % 2];\n"
    "  for (int q = 0; q < k; q += 16) {\n"
    "    *(uint4 *)&as[t / 2][t % 2 * 8] = *(const uint4 *)&a[(i0 + t / 2) * k + q + t % 2 * 8];\n"
    "    *(uint4 *)&bs[t / 4][t % 4 * 8] = *(const uint4 *)&b[(q + t / 4) * n + j0 + t % 4 * 8];\n"
    "    __syncthreads();\n"
    "    u32 x[4], y[4][2];\n"
    "    asm volatile(\"ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\"\n"
    "      : \"=r\"(x[0]), \"=r\"(x[1]), \"=r\"(x[2]), \"=r\"(x[3]) : \"r\"(sa));\n"
    "    for (int j = 0; j < 4; j += 2)\n"
    "      asm volatile(\"ldmatrix.sync.aligned.m8n8.x4.trans.shared::cta.b16 {%0,%1,%2,%3}, "
    "[%4];\"\n"
    "        : \"=r\"(y[j][0]), \"=r\"(y[j][1]), \"=r\"(y[j + 1][0]), \"=r\"(y[j + 1][1])\n"
    "        : \"r\"(sb + j * 16));\n"
    "    for (int j = 0; j < 4; j++)\n"
    "      asm volatile(\"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},\"\n"
    "        \" {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\"\n"
    "        : \"+f\"(s[j][0]), \"+f\"(s[j][1]), \"+f\"(s[j][2]), \"+f\"(s[j][3])\n"
    "        : \"r\"(x[0]), \"r\"(x[1]), \"r\"(x[2]), \"r\"(x[3]), \"r\"(y[j][0]), "
    "\"r\"(y[j][1]));\n"
    "    __syncthreads();\n"
    "  }\n"
    "  for (int j = 0; j < 4; j++) for (int e = 0; e < 4; e++)\n"
    "    d[(row + e / 2 * 8) * n + col + j * 8 + e % 2] = s[j][e];\n"
    "}\n";

static void mma_product(void **state)
{
    static const product p = {"gemm", BRAIN, SINGLE, false, false, 32, 32, 0x1p-22};
    const uint64_t sizes[4] = {M * K * 2, K * N * 2, M * N * 4, M * N * 4};
    static const char *const all[] = {"compute_80", "compute_90", "compute_90a", "compute_100"};
    for (size_t a = 0; a < COUNT(all); a++) {
        kds_sim_module *m = compile(*state, mma_source, all[a]);
        for (int isa = 0; isa < 2; isa++) {
            fill_product(&p);
            kds_sim_result r =
                run_product(m, "gemm", M / 32 * (N / 32), 64, 0, sizes, instruction_sets()[isa]);
            check_product(&p, false);
            double tiles = M / 16 * (N / 32) * (K / 16);
            assert_true(r.counters[KDS_SIM_COUNTER_INST_TENSOR] == 4 * tiles);
            /* Padded lines: no conflicts. 4 wavefronts for each ldmatrix, three per tile. */
            assert_true(r.counters[KDS_SIM_COUNTER_SHARED_LD_WAVEFRONTS] == 12 * tiles);
            assert_true(r.counters[KDS_SIM_COUNTER_SHARED_LD_CONFLICTS] == 0);
        }
        kds_sim_module_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wmma_products),
        cmocka_unit_test(mma_product),
    };
    return cmocka_run_group_tests(tests, open_compiler, NULL);
}
