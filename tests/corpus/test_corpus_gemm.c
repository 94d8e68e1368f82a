/* Matrix products on ordinary and tensor pipes. */
#include "tests/corpus/corpus.h"

/* c[m][n] = sum over k of a[m][k] b[k][n]; `column` has b as [n][k]. */
static void product(const double *a, const double *b, double *c, int m, int n, int k, bool column)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double s = 0;
            for (int l = 0; l < k; l++)
                s += a[i * k + l] * (column ? b[j * k + l] : b[l * n + j]);
            c[i * n + j] = s;
        }
}

static void want_naive(double *const *v)
{
    int m = N(3), n = N(4), k = N(5);
    static double c[64 * 64];
    product(v[0], v[1], c, m, n, k, false);
    for (int i = 0; i < m * n; i++)
        v[2][i] = v[6][0] * c[i] + v[7][0] * v[2][i];
}

static void want_product(double *const *v)
{
    product(v[0], v[1], v[2], N(3), N(4), N(5), false);
}

static void want_blocked(double *const *v)
{
    product(v[0], v[1], v[2], 64, N(3), N(4), false);
}

static void want_relu(double *const *v)
{
    want_product(v);
    for (int i = 0; i < N(3) * N(4); i++)
        v[2][i] = fmax(v[2][i], 0);
}

static void want_split(double *const *v)
{
    static double c[64 * 64];
    product(v[0], v[1], c, N(3), N(4), N(5), false);
    for (int i = 0; i < N(3) * N(4); i++)
        v[2][i] += c[i];
}

static void want_linear(double *const *v)
{
    int m = N(4), n = N(5), k = N(6);
    for (int batch = 0; batch < 3; batch++) {
        double *y = v[3] + batch * m * n;
        product(v[0] + batch * m * k, v[1] + batch * n * k, y, m, n, k, true);
        for (int i = 0; i < m * n && batch > 0; i++)
            y[i] += v[2][i % n];
        for (int i = 0; i < m * n && batch > 1; i++)
            y[i] /= 1 + exp(-y[i]);
    }
}

static int signed_byte(const double *words, int at)
{
    return (int8_t)((uint32_t)(int64_t)words[at / 4] >> (at % 4 * 8) & 255);
}

static void want_int8(double *const *v)
{
    int n = N(5), k = 4 * N(6);
    for (int i = 0; i < 12 * n; i++) {
        int s = 0;
        for (int l = 0; l < k; l++)
            s += signed_byte(v[0], i / n * k + l) * signed_byte(v[1], i % n * k + l);
        v[4][i] = s * v[2][i / n] * v[3][i % n];
    }
}

static void want_int4(double *const *v)
{
    int k = N(5);
    for (int r = 0; r < N(4); r++) {
        v[3][r] = 0;
        for (int l = 0; l < k; l++) {
            uint32_t word = (uint32_t)v[0][(r * k + l) / 8];
            int q = (int)(word >> (l % 8 * 4) & 15) - 8;
            v[3][r] += q * v[1][(r * k + l) / 32] * v[2][l];
        }
    }
}

static void want_gemv(double *const *v)
{
    product(v[0], v[1], v[2], 10, 1, 4 * N(3), false);
}

/* Rounded to half after every step, as the kernel accumulates. */
static void want_half2(double *const *v)
{
    int n = 2 * N(3), k = N(4);
    for (int i = 0; i < 6 * n; i++) {
        double s = 0;
        for (int l = 0; l < k; l++) {
            uint16_t h;
            kds_dtype_store(KDS_DTYPE_F16, &h, s + v[0][i / n * k + l] * v[1][l * n + i % n]);
            s = kds_dtype_load(KDS_DTYPE_F16, &h);
        }
        v[2][i] = s;
    }
}

static void want_by_hand(double *const *v)
{
    product(v[0], v[1], v[2], 16, 8, 16, true);
}

static void want_ldmatrix(double *const *v)
{
    int n = N(4);
    product(v[0], v[1], v[3], 64, n, N(5), false);
    for (int i = 0; i < 64 * n; i++)
        v[3][i] += v[2][i % n];
}

static void want_mma_tf32(double *const *v)
{
    product(v[0], v[1], v[2], 16, 8, N(3), false);
    for (int i = 0; i < 128; i++)
        v[2][i] += 1;
}

static void want_f16_accumulators(double *const *v)
{
    product(v[0], v[1], v[2], 16, 8, 8, true);
}

static void want_mma_int8(double *const *v)
{
    for (int i = 0; i < 128; i++) {
        v[2][i] = 0;
        for (int l = 0; l < 32; l++)
            v[2][i] += signed_byte(v[0], i / 8 * 32 + l) * signed_byte(v[1], i % 8 * 32 + l);
    }
}

static void want_matrices(double *const *v)
{
    for (int i = 0; i < 256; i++)
        v[1][i / 64 * 64 + i % 8 * 8 + i % 64 / 8] = v[0][i];
}

static void want_wmma(double *const *v)
{
    product(v[0], v[1], v[2], N(3), N(4), N(5), true);
}

static void want_wmma_shared(double *const *v)
{
    product(v[0], v[1], v[2], 32, N(3), N(4), false);
    for (int i = 0; i < 32 * N(3); i++)
        v[2][i] = fmax(v[2][i] + v[5][0], 0);
}

static void want_wmma_half(double *const *v)
{
    for (int i = 0; i < 32; i++)
        for (int j = 0; j < 8; j++) {
            double s = 0;
            for (int l = 0; l < 16; l++)
                s += v[0][l * 32 + i] * v[1][l * 8 + j];
            v[3][i * 8 + j] = v[4][0] * s + v[5][0] * v[2][j * 32 + i];
        }
}

static void want_wmma_tf32(double *const *v)
{
    product(v[0], v[1], v[2], 16, 16, N(3), false);
}

/* clang-format off */
static const corpus_case gemm[] = {
    {.kernel = "gemm_naive", GRID(3, 5), BLOCK(16, 8), .want = want_naive, TOL(1e-5, 1e-5), .fast = 1,
     ARGS(IN(F32, 35 * 53, NOISE, 1), IN(F32, 53 * 41, NOISE, 1), INOUT(F32, 35 * 41, NOISE, 1), INT(35), INT(41), INT(53),
          FLOAT(1.5), FLOAT(0.5))},
    {.kernel = "gemm_tiled", GRID(4, 3), BLOCK(8, 8), .want = want_product, TOL(1e-13, 1e-13),
     ARGS(IN(F64, 21 * 19, NOISE, 1), IN(F64, 19 * 27, NOISE, 1), OUT(F64, 21 * 27), INT(21), INT(27), INT(19))},
    {.kernel = "gemm_register_blocked", GRID(2, 2), BLOCK(64), .want = want_blocked, TOL(1e-5, 1e-5), .fast = 1,
     ARGS(IN(F32, 64 * 48, NOISE, 1), IN(F32, 48 * 64, NOISE, 1), OUT(F32, 64 * 64), INT(64), INT(48))},
    {.kernel = "gemm_double_buffered", GRID(3, 2), BLOCK(256), .want = want_relu, TOL(1e-5, 0.001),
     ARGS(IN(F16, 30 * 37, NOISE, 1), IN(F16, 37 * 43, NOISE, 1), OUT(F16, 30 * 43), INT(30), INT(43), INT(37))},
    {.kernel = "gemm_split_k", GRID(2, 9, 3), BLOCK(32), .want = want_split, TOL(1e-5, 1e-5),
     ARGS(IN(F32, 9 * 100, NOISE, 1), IN(F32, 100 * 45, NOISE, 1), INOUT(F32, 9 * 45, VALUE, 2), INT(9), INT(45), INT(100))},
    {.kernel = "linear_batched", GRID(2, 5, 3), BLOCK(32), .want = want_linear, TOL(1e-5, 1e-5), .fast = 4,
     ARGS(IN(BF16, 3 * 5 * 46, NOISE, 1), IN(BF16, 3 * 39 * 46, NOISE, 1), IN(F32, 39, NOISE, 1), OUT(F32, 3 * 5 * 39),
          INT(5), INT(39), INT(46))},
    {.kernel = "gemm_int8", GRID(2, 3), BLOCK(16, 4), .want = want_int8, TOL(1e-6, 1e-6),
     ARGS(IN(I32, 12 * 11, BITS, 0), IN(I32, 32 * 11, BITS, 0), IN(F32, 12, ABOVE, 0.1), IN(F32, 32, ABOVE, 0.1), OUT(F32, 12 * 32),
          INT(32), INT(11))},
    {.kernel = "gemv_int4", GRID(4), BLOCK(64), .want = want_int4, TOL(1e-3, 1e-4),
     ARGS(IN(U32, 7 * 40, BITS, 0), IN(F16, 7 * 10, ABOVE, 0.1), IN(F16, 320, NOISE, 1), OUT(F32, 7), INT(7), INT(320))},
    {.kernel = "gemv_block", GRID(3), BLOCK(128), .shared = 161 * 16, .want = want_gemv, TOL(1e-4, 1e-5),
     ARGS(IN(F32, 10 * 644, NOISE, 1), IN(F32, 644, NOISE, 1), OUT(F32, 10), INT(161))},
    {.kernel = "gemm_half2", GRID(1, 6), BLOCK(32), .want = want_half2,
     ARGS(IN(F16, 6 * 33, NOISE, 1), IN(F16, 33 * 46, NOISE, 1), OUT(F16, 6 * 46), INT(23), INT(33))},
};

static const corpus_case mma[] = {
    {.kernel = "mma_by_hand", BLOCK(32), .want = want_by_hand, TOL(1e-5, 1e-5),
     ARGS(IN(BF16, 256, NOISE, 2), IN(BF16, 128, NOISE, 2), OUT(F32, 128))},
    {.kernel = "mma_ldmatrix_f16", GRID(3, 2), BLOCK(128), .want = want_ldmatrix, TOL(1e-4, 0.001),
     ARGS(IN(F16, 64 * 64, NOISE, 1), IN(F16, 64 * 96, NOISE, 1), IN(F16, 96, NOISE, 1), OUT(F16, 64 * 96), INT(96), INT(64))},
    {.kernel = "mma_tf32", BLOCK(32), .want = want_mma_tf32, TOL(0.005, 0.001),
     ARGS(IN(F32, 16 * 24, NOISE, 1), IN(F32, 24 * 8, NOISE, 1), OUT(F32, 128), INT(24))},
    {.kernel = "mma_f16_accumulators", BLOCK(32), .want = want_f16_accumulators, TOL(0.004, 0.002),
     ARGS(IN(F16, 128, NOISE, 1), IN(F16, 64, NOISE, 1), OUT(F16, 128))},
    {.kernel = "mma_int8", BLOCK(32), .want = want_mma_int8,
     ARGS(IN(I32, 128, BITS, 0), IN(I32, 64, BITS, 0), OUT(I32, 128))},
    {.kernel = "matrices_transposed", BLOCK(32), .want = want_matrices, ARGS(IN(F16, 256, NOISE, 1), OUT(F16, 256))},
};

static const corpus_case wmma[] = {
    {.kernel = "wmma_naive", GRID(3, 2), BLOCK(32), .want = want_wmma, TOL(1e-5, 1e-5),
     ARGS(IN(F16, 32 * 48, NOISE, 1), IN(F16, 48 * 48, NOISE, 1), OUT(F32, 32 * 48), INT(32), INT(48), INT(48))},
    {.kernel = "wmma_shared_bf16", GRID(2), BLOCK(128), .want = want_wmma_shared, TOL(1e-4, 0.004),
     ARGS(IN(BF16, 32 * 48, NOISE, 1), IN(BF16, 48 * 64, NOISE, 1), OUT(BF16, 32 * 64), INT(64), INT(48), FLOAT(0.25))},
    {.kernel = "wmma_half_accumulate", BLOCK(32), .want = want_wmma_half, TOL(0.008, 0.004),
     ARGS(IN(F16, 32 * 16, NOISE, 1), IN(F16, 16 * 8, NOISE, 1), IN(F16, 32 * 8, NOISE, 1), OUT(F16, 32 * 8), FLOAT(2), FLOAT(-0.5))},
    {.kernel = "wmma_tf32", BLOCK(32), .want = want_wmma_tf32, TOL(0.005, 0.001),
     ARGS(IN(F32, 16 * 32, NOISE, 1), IN(F32, 32 * 16, NOISE, 1), OUT(F32, 256), INT(32))},
};
/* clang-format on */

static const corpus_file files[] = {
    CORPUS_FILE("gemm.cu", gemm, "90", "80", "100"),
    CORPUS_FILE("gemm_mma.cu", mma, "90", "80", "100"),
    CORPUS_FILE("wmma.cu", wmma, "90", "80", "100"),
};

int main(void)
{
    return corpus_main(files, sizeof files / sizeof files[0], 0);
}
