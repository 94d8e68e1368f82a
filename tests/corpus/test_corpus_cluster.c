/* Blocks that work together. */
#include "tests/corpus/corpus.h"

static void want_histogram(double *const *v)
{
    for (int i = 0; i < N(2); i++)
        v[1][(int)v[0][i]]++;
}

static void want_rms(double *const *v)
{
    int n = N(2);
    for (int i = 0; i < 3 * n; i++) {
        double s = 0;
        for (int k = 0; k < n; k++)
            s += v[0][i / n * n + k] * v[0][i / n * n + k];
        v[1][i] = v[0][i] / sqrt(s / n + v[3][0]);
    }
}

static void want_ring(double *const *v)
{
    for (int i = 0; i < 6 * 64; i++) {
        int block = i / 64, next = block / 3 * 3 + (block + 1) % 3;
        v[1][i] = v[0][i] * 2 + v[0][next * 64 + 63 - i % 64] + 3000000;
    }
}

static void want_exchange(double *const *v)
{
    for (int b = 0; b < 8; b++) {
        int bx = b % 4, by = b / 4, cx = bx % 2, cy = by % 2;
        int other = (by - cy + 1 - cy) * 4 + bx - cx + 1 - cx;
        for (int i = 0; i < 32; i++)
            v[1][b * 32 + i] = v[0][other * 32 + i];
        v[2][b] = cx + 10 * cy + 100 * (cx + 2 * cy) + 4000;
    }
}

static void want_inbox(double *const *v)
{
    for (int i = 0; i < 256; i++)
        v[1][i] = (float)v[0][(i / 64 ^ 1) * 64 + 63 - i % 64] + 1.0f;
}

static void want_jacobi(double *const *v)
{
    int n = N(2);
    for (int s = 0; s < N(3); s++)
        for (int i = 0; i < n; i++) {
            const double *from = v[s % 2];
            v[1 - s % 2][i] =
                i == 0 || i == n - 1 ? from[i] : 0.5 * from[i] + 0.25 * (from[i - 1] + from[i + 1]);
        }
}

static void want_unit(double *const *v)
{
    double s = 0;
    for (int i = 0; i < N(3); i++)
        s += v[0][i] * v[0][i];
    for (int i = 0; i < N(3); i++)
        v[2][i] = v[0][i] / sqrt(s);
}

static void want_software_barrier(double *const *v)
{
    enum { COUNT = 4 * 64 };
    for (int r = 0; r < N(3); r++) {
        for (int i = 0; i < COUNT; i++)
            v[1][i] = v[0][(i + 33) % COUNT] + r;
        for (int i = 0; i < COUNT; i++)
            v[0][i] = (int)v[1][COUNT - 1 - i] * 2 % 1000003;
    }
}

static void want_prefix(double *const *v)
{
    double s = 0;
    for (int i = 0; i < N(4); i++)
        v[1][i] = s += v[0][i];
}

static void want_successor(double *const *v)
{
    for (int i = 0; i < 5 * 32; i++)
        v[2][i] = v[0][i] + (i / 32 < 4 ? i / 32 + 2 : 0);
    for (int b = 0; b < 5; b++)
        v[1][b] = b + 1;
}

static void want_collatz(double *const *v)
{
    for (int i = 0; i < 64 * N(3); i++) {
        uint32_t x = (uint32_t)v[0][i];
        int n = 0;
        for (; x > 1; n++)
            x = x & 1 ? 3 * x + 1 : x / 2;
        v[1][i] = n;
    }
}

static void want_record(double *const *v)
{
    for (int i = 0; i < N(3); i++) {
        v[2][0]++;
        v[2][1] += v[0][i];
        v[2][2] = fmax(v[2][2], v[0][i]);
    }
}

static void want_ordered(double *const *v)
{
    for (int i = 0; i < 7 * 32; i++)
        v[1][0] += v[0][i];
    v[2][0] = 7;
}

/* clang-format off */
static const corpus_case cluster[] = {
    {.kernel = "cluster_histogram", GRID(8), BLOCK(64), .want = want_histogram,
     ARGS(IN(U8, 2 * 501, BITS, 0), INOUT(I32, 256, VALUE, 0), INT(1002))},
    {.kernel = "cluster_rms_norm", GRID(6), BLOCK(96), .want = want_rms, TOL(1e-6, 1e-5),
     ARGS(IN(F32, 3 * 446, NOISE, 2), OUT(F32, 3 * 446), INT(446), FLOAT(1e-5))},
    {.kernel = "cluster_ring", GRID(6), BLOCK(64), CLUSTER(3, 1, 1), .want = want_ring,
     ARGS(IN(I32, 384, INDEX, 1000), OUT(I32, 384))},
    {.kernel = "cluster_exchange", GRID(4, 2), BLOCK(32), .want = want_exchange,
     ARGS(IN(F64, 256, NOISE, 1), OUT(F64, 256), OUT(I32, 8))},
    {.kernel = "cluster_mbarrier", GRID(4), BLOCK(64), .want = want_inbox, ARGS(IN(F32, 256, NOISE, 1), OUT(F32, 256))},
};

static const corpus_case grid[] = {
    {.kernel = "grid_sync_jacobi", GRID(3), BLOCK(64), .cooperative = true, .want = want_jacobi, TOL(1e-6, 1e-6),
     ARGS(INOUT(F32, 301, NOISE, 1), INOUT(F32, 301, VALUE, 0), INT(301), INT(5))},
    {.kernel = "grid_sync_norm", GRID(4), BLOCK(64), .cooperative = true, .want = want_unit, TOL(1e-7, 1e-5),
     ARGS(IN(F32, 701, NOISE, 1), WORK(F32, 4, VALUE, 0), OUT(F32, 701), INT(701))},
    {.kernel = "software_barrier", GRID(4), BLOCK(64), .want = want_software_barrier,
     ARGS(INOUT(I32, 256, INDEX, 1e6), INOUT(I32, 256, VALUE, 0), WORK(U32, 2, VALUE, 0), INT(3))},
    {.kernel = "decoupled_look_back", GRID(9), BLOCK(128), .want = want_prefix,
     ARGS(IN(I32, 1101, INDEX, 1000), OUT(I32, 1101), WORK(I64, 9, VALUE, 0), WORK(I32, 1, VALUE, 0), INT(1101))},
    {.kernel = "waits_for_successor", GRID(5), BLOCK(32), .want = want_successor,
     ARGS(IN(I32, 160, INDEX, 1000), INOUT(I32, 5, VALUE, 0), OUT(I32, 160))},
    {.kernel = "work_queue", GRID(3), BLOCK(64), .want = want_collatz,
     ARGS(IN(I32, 64 * 7, INDEX, 1000), OUT(I32, 64 * 7), WORK(I32, 1, VALUE, 0), INT(7))},
    {.kernel = "spin_lock", GRID(3), BLOCK(8), .want = want_record,
     ARGS(IN(I32, 23, INDEX, 1000), INOUT(I32, 1, VALUE, 0), INOUT(I32, 3, VALUE, 0), INT(23))},
    {.kernel = "ordered_sum", GRID(7), BLOCK(32), .want = want_ordered, TOL(1e-4, 1e-5),
     ARGS(IN(F32, 224, NOISE, 1), INOUT(F32, 1, VALUE, 0), INOUT(I32, 1, VALUE, 0))},
};
/* clang-format on */

static const corpus_file files[] = {
    CORPUS_FILE("cluster.cu", cluster, "90a", "100"),
    CORPUS_FILE("grid.cu", grid, "80", "100"),
};

int main(void)
{
    return corpus_main(files, sizeof files / sizeof files[0], 0);
}
