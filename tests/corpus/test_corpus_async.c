/* Copies that run on their own, and what is waited for. */
#include "tests/corpus/corpus.h"

static void want_two_stages(double *const *v)
{
    for (int t = 0; t < N(2); t++)
        for (int i = 0; i < 256; i++)
            v[1][t * 256 + i] = (double)((float)v[0][t * 256 + i] + (float)v[0][t * 256 + 255 - i]);
}

static void want_zero_fill(double *const *v)
{
    for (int b = 0; b < 3; b++) {
        v[1][b] = 0;
        for (int i = b * 512; i < b * 512 + 512 && i < N(2); i++)
            v[1][b] += v[0][i];
    }
}

static void want_product(double *const *v)
{
    int m = N(3), n = N(4), k = N(5);
    for (int i = 0; i < m * n; i++) {
        v[2][i] = 0;
        for (int l = 0; l < k; l++)
            v[2][i] += v[0][i / n * k + l] * v[1][l * n + i % n];
    }
}

static void want_gathered(double *const *v)
{
    for (int i = 0; i < N(3); i++)
        v[2][i] = (uint32_t)v[0][(int)v[1][i]] + 1u;
}

static void want_window(double *const *v)
{
    for (int i = 0; i < 2 * N(2); i++)
        v[1][i] = 0.5 * (v[0][i] + (i % N(2) > 0 ? v[0][i - 1] : 0));
}

static void want_reversed_tiles(double *const *v)
{
    int width = 128, n = N(2);
    for (int first = 0; first < n; first += width) {
        int count = n - first < width ? n - first : width;
        for (int i = 0; i < count; i++)
            v[1][first + i] = v[0][first + count - 1 - i] * 3;
    }
}

static void want_differences(double *const *v)
{
    for (int i = 0; i < 384; i++)
        v[1][i] = (float)v[0][i] - (float)v[0][i / 128 * 128 + (i + 1) % 128];
}

static void want_weighted(double *const *v)
{
    for (int i = 0; i < 192; i++) {
        v[1][i] = 0;
        for (int k = 0; k < N(2); k++)
            v[1][i] += v[0][(i / 64 * N(2) + k) * 64 + i % 64] * (k + 1);
    }
}

static void want_warp_max(double *const *v)
{
    for (int b = 0; b < 2; b++)
        for (int w = 0; w < 3; w++) {
            v[1][b * 3 + w] = -INFINITY;
            for (int i = 0; i < N(2); i++)
                if (i % 96 / 32 == w)
                    v[1][b * 3 + w] = fmax(v[1][b * 3 + w], v[0][b * N(2) + i]);
        }
}

static void want_split_arrival(double *const *v)
{
    for (int i = 0; i < 64; i++) {
        int own = 0;
        for (int r = 0; r < N(2); r++)
            own += ((int)v[0][(i + r) % 64] + r) % 7;
        v[1][i] = ((int)v[0][(i + N(2)) % 64] + N(2)) * 1000 + own;
    }
}

static void want_scaled(double *const *v)
{
    for (int i = 0; i < 3 * N(2); i++)
        v[1][i] = v[0][i] * v[3][0];
}

static void want_ring(double *const *v)
{
    for (int i = 0; i < 2 * 192; i++) {
        v[1][i] = 0;
        for (int t = 0; t < N(2); t++)
            v[1][i] += v[0][(i / 192 * N(2) + t) * 192 + i % 192];
    }
}

static void want_stored_groups(double *const *v)
{
    for (int i = 0; i < 2 * N(1) * 64; i++)
        v[0][i] = i / 64 / N(1) * 100000 + i / 64 % N(1) * 100 + i % 64;
}

static void want_bulk_sum(double *const *v)
{
    for (int i = 0; i < 5 * 64; i++)
        v[1][i % 64] += v[0][i];
}

static void want_phases(double *const *v)
{
    int rounds = N(2);
    for (int i = 0; i < 128; i++)
        v[1][i] = v[0][i / 64 * 64 + 63 - (i + rounds) % 64] + rounds * (rounds - 1) / 2.0;
}

/* clang-format off */
static const corpus_case async[] = {
    {.kernel = "pipeline_two_stages", GRID(3), BLOCK(64), .want = want_two_stages,
     ARGS(IN(F32, 7 * 256, NOISE, 1), OUT(F32, 7 * 256), INT(7))},
    {.kernel = "pipeline_zero_fill", GRID(3), BLOCK(128), .want = want_zero_fill, TOL(1e-5, 1e-5),
     ARGS(IN(F32, 1131, NOISE, 1), OUT(F32, 3), INT(1131))},
    {.kernel = "gemm_cp_async", GRID(2, 3), BLOCK(128), .want = want_product, TOL(1e-5, 1e-5),
     ARGS(IN(F16, 37 * 72, NOISE, 1), IN(F16, 72 * 56, NOISE, 1), OUT(F32, 37 * 56), INT(37), INT(56), INT(72))},
    {.kernel = "gather_cp_async", GRID(5), BLOCK(96), .shared = 384, .want = want_gathered,
     ARGS(IN(U32, 100, BITS, 0), IN(I32, 433, INDEX, 100), OUT(U32, 433), INT(433))},
    {.kernel = "stream_window", GRID(2), BLOCK(32), .want = want_window,
     ARGS(IN(F64, 2 * 576, NOISE, 1), OUT(F64, 2 * 576), INT(576))},
};

static const corpus_case async_cxx[] = {
    {.kernel = "groups_memcpy_async", GRID(2), BLOCK(64), .shared = 512, .want = want_reversed_tiles,
     ARGS(IN(I32, 603, INDEX, 1e6), OUT(I32, 603), INT(603))},
    {.kernel = "barrier_memcpy_async", GRID(3), BLOCK(128), .want = want_differences, TOL(1e-7, 1e-7),
     ARGS(IN(F32, 384, NOISE, 1), OUT(F32, 384))},
    {.kernel = "pipeline_shared_state", GRID(3), BLOCK(64), .want = want_weighted, TOL(1e-5, 1e-5),
     ARGS(IN(F32, 3 * 5 * 64, NOISE, 1), OUT(F32, 192), INT(5))},
    {.kernel = "pipeline_of_a_thread", GRID(2), BLOCK(96), .want = want_warp_max,
     ARGS(IN(F32, 2 * 501, NOISE, 1), OUT(F32, 6), INT(501))},
    {.kernel = "barrier_split_arrival", BLOCK(64), .want = want_split_arrival,
     ARGS(IN(I32, 64, INDEX, 1000), OUT(I32, 64), INT(6))},
};

static const corpus_case bulk[] = {
    {.kernel = "bulk_row_scale", GRID(3), BLOCK(96), .shared = 404 * 4, .want = want_scaled, TOL(1e-7, 1e-7),
     ARGS(IN(F32, 3 * 404, NOISE, 1), OUT(F32, 3 * 404), INT(404), FLOAT(1.25))},
    {.kernel = "bulk_producer_consumer", GRID(2), BLOCK(128), .want = want_ring, TOL(1e-5, 1e-5),
     ARGS(IN(BF16, 2 * 8 * 192, NOISE, 1), OUT(F32, 2 * 192), INT(8))},
    {.kernel = "bulk_store_groups", GRID(2), BLOCK(64), .want = want_stored_groups, ARGS(OUT(I32, 2 * 5 * 64), INT(5))},
    {.kernel = "bulk_reduce_add", GRID(5), BLOCK(64), .want = want_bulk_sum, TOL(1e-6, 1e-6),
     ARGS(IN(F32, 320, NOISE, 1), INOUT(F32, 64, NOISE, 1))},
    {.kernel = "mbarrier_phases", GRID(2), BLOCK(64), .want = want_phases,
     ARGS(IN(I32, 128, INDEX, 1000), OUT(I32, 128), INT(4))},
};
/* clang-format on */

static const corpus_file files[] = {
    CORPUS_FILE("async.cu", async, "80", "90", "100"),
    CORPUS_FILE("async_cxx.cu", async_cxx, "90", "80"),
    CORPUS_FILE("bulk.cu", bulk, "90", "90a", "100"),
};

int main(void)
{
    return corpus_main(files, sizeof files / sizeof files[0], 0);
}
