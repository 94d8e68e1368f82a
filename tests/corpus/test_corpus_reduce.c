/* Reductions, votes, scans of a warp, groups. */
#include "tests/corpus/corpus.h"

static void want_row_sums(double *const *v)
{
    for (int r = 0; r < 5; r++) {
        v[1][r] = 0;
        for (int i = 0; i < N(2); i++)
            v[1][r] += v[0][r * N(2) + i];
    }
}

static void want_max_min(double *const *v)
{
    for (int i = 0; i < N(3); i++) {
        v[1][0] = fmax(v[1][0], v[0][i]);
        v[2][0] = fmin(v[2][0], v[0][i]);
    }
}

static void want_dot(double *const *v)
{
    v[3][0] = 0;
    for (int i = 0; i < N(4); i++)
        v[3][0] += v[0][i] * v[1][i];
}

static void want_atomic_sums(double *const *v)
{
    for (int i = 0; i < N(6); i++) {
        int k = (int)v[1][i];
        v[2][k] += v[0][i];
        v[3][k] += v[0][i];
        v[4][k] += 1;
        v[5][k] += 3e9;
    }
}

static void want_packed(double *const *v)
{
    int bins = N(6);
    for (int i = 0; i < 2 * N(5); i++) {
        int k = i / 2 % bins * 2 + i % 2;
        v[2][k] += v[0][i];
        v[3][k] += v[1][i];
        if (i % 2 == 0)
            v[4][i / 2 % bins] += v[0][i];
    }
}

static void want_float_max(double *const *v)
{
    for (int i = 0; i < N(3); i++)
        v[1][0] = fmax(v[1][0], v[0][i]);
    float most = (float)v[1][0];
    int32_t bits;
    memcpy(&bits, &most, 4);
    v[2][0] = bits;
}

static void want_warp_scan(double *const *v)
{
    double s = 0;
    for (int i = 0; i < N(3); i++) {
        s = i % 32 == 0 ? 0 : s;
        v[2][i] = s;
        v[1][i] = s += v[0][i];
    }
}

static void want_segmented(double *const *v)
{
    for (int i = 0; i < 96; i++) {
        v[2][i] = v[0][i] + (i % 32 == 0 || v[1][i] != 0 ? 0 : v[2][i - 1]);
        v[3][i] = 0;
        for (int k = i / 8 * 8; k < i / 8 * 8 + 8; k++)
            v[3][i] += v[0][k];
    }
}

static void want_redux(double *const *v)
{
    for (int w = 0; w < 3; w++) {
        uint32_t sum = 0, all = UINT32_MAX, any = 0, odd = 0;
        double least = INFINITY, most = -INFINITY;
        for (int i = 0; i < 32; i++) {
            uint32_t u = (uint32_t)(int32_t)v[0][w * 32 + i];
            sum += u, all &= u, any |= u, odd ^= u;
            least = fmin(least, v[0][w * 32 + i]);
            most = fmax(most, v[0][w * 32 + i]);
        }
        double *o = v[1] + w * 6;
        o[0] = (int32_t)sum, o[1] = least, o[2] = most;
        o[3] = (int32_t)all, o[4] = (int32_t)any, o[5] = (int32_t)odd;
    }
}

/* Ranks are dealt out in order of blocks, warps and lanes: the simulator's order is fixed. */
static void want_ranks(double *const *v)
{
    for (int i = 0; i < N(3); i++)
        v[2][i] = v[1][(int)v[0][i]]++;
}

static void want_compact(double *const *v)
{
    int kept = 0;
    for (int i = 0; i < N(3); i++)
        if (v[0][i] > 0)
            v[1][kept++] = v[0][i];
    v[2][0] = kept;
}

static void want_votes(double *const *v)
{
    for (int b = 0; b < 3; b++) {
        double *o = v[1] + b * 6;
        o[0] = 0, o[1] = 1, o[2] = 0, o[3] = 1, o[4] = 0, o[5] = 1;
        for (int i = 0; i < 96; i++) {
            double x = v[0][b * 96 + i];
            o[0] += x > 10;
            o[1] *= x > 0;
            o[2] = o[2] != 0 || x > 95;
            o[4] = o[4] != 0 || (i < 32 && x == 7);
        }
    }
}

static void want_argmax(double *const *v)
{
    for (int r = 0; r < 4; r++) {
        int best = 0;
        for (int i = 1; i < N(3); i++)
            if (v[0][r * N(3) + i] > v[0][r * N(3) + best])
                best = i;
        v[1][r] = best;
        v[2][r] = v[0][r * N(3) + best];
    }
}

static void want_tile_scan(double *const *v)
{
    for (int i = 0; i < 192; i++) {
        v[2][i] = i % 16 == 0 ? 0 : v[1][i - 1];
        v[1][i] = v[2][i] + v[0][i];
        v[3][i] = v[0][i];
        for (int k = i / 16 * 16; k < i / 16 * 16 + 16; k++)
            v[3][i] = fmax(v[3][i], v[0][k]);
    }
}

static void want_small_tiles(double *const *v)
{
    for (int i = 0; i < 192; i++) {
        int sum = 0, odd = 0, any = 0, all = 1;
        for (int k = 0; k < 4; k++) {
            int x = (int)v[0][i / 4 * 4 + k];
            sum += x, odd |= (x & 1) << k, any |= x > 90, all &= x > 20;
        }
        v[1][i] = sum * 16 + odd + any * 1000000 + all * 2000000;
    }
}

static void want_coalesced(double *const *v)
{
    int kept = 0;
    for (int i = 0; i < N(3); i++)
        if ((int)v[0][i] % 3 == 0)
            v[1][kept++] = v[0][i];
    v[2][0] = kept;
}

static void want_labelled(double *const *v)
{
    for (int i = 0; i < 192; i++) {
        v[1][i] = v[2][i] = 0;
        for (int k = i / 32 * 32; k < i / 32 * 32 + 32; k++) {
            v[1][i] += (int)v[0][k] % 5 == (int)v[0][i] % 5 ? v[0][k] : 0;
            v[2][i] += (v[0][k] > 50) == (v[0][i] > 50);
        }
    }
}

static void want_three_d(double *const *v)
{
    for (int i = 0; i < 2 * 2 * 60; i++)
        v[1][i] = v[0][i] + i % 60;
}

/* clang-format off */
static const corpus_case reduce[] = {
    {.kernel = "sum_rows_shuffle", GRID(5), BLOCK(192), .want = want_row_sums, TOL(1e-4, 1e-5), .fast = 1,
     ARGS(IN(F32, 5 * 1003, NOISE, 3), OUT(F32, 5), INT(1003))},
    {.kernel = "tree_max_min", GRID(3), BLOCK(128), .shared = 1024, .want = want_max_min,
     ARGS(IN(I32, 3001, BITS, 0), INOUT(I32, 1, VALUE, -2147483648.0), INOUT(I32, 1, VALUE, 2147483647), INT(3001))},
    {.kernel = "dot_last_block", GRID(7), BLOCK(128), .want = want_dot, TOL(1e-12, 1e-12),
     ARGS(IN(F64, 5001, NOISE, 1), IN(F64, 5001, NOISE, 1), WORK(F64, 7, VALUE, 0), OUT(F64, 1), INT(5001))},
    {.kernel = "atomic_sums", GRID(5), BLOCK(96), .want = want_atomic_sums, TOL(1e-4, 1e-5),
     ARGS(IN(F32, 450, NOISE, 3), IN(I32, 450, INDEX, 7), INOUT(F32, 7, NOISE, 1), INOUT(F64, 7, NOISE, 1),
          INOUT(I32, 7, IOTA, 5), INOUT(I64, 7, IOTA, 1), INT(450))},
    {.kernel = "atomic_packed", GRID(1), BLOCK(96), .want = want_packed, TOL(0.25, 0),
     ARGS(IN(F16, 600, NOISE, 1), IN(BF16, 600, NOISE, 1), INOUT(F16, 20, VALUE, 0), INOUT(BF16, 20, VALUE, 0),
          INOUT(F16, 10, VALUE, 0), INT(300), INT(10))},
    {.kernel = "atomic_float_max", GRID(5), BLOCK(128), .want = want_float_max,
     ARGS(IN(F32, 601, NOISE, 9), INOUT(F32, 1, VALUE, -100), INOUT(I32, 1, VALUE, -2147483648.0), INT(601))},
    {.kernel = "warp_scan_up", GRID(3), BLOCK(64), .want = want_warp_scan,
     ARGS(IN(I32, 187, INDEX, 1000), OUT(I32, 187), OUT(I32, 187), INT(187))},
    {.kernel = "segmented_sums", GRID(3), BLOCK(32), .want = want_segmented, TOL(1e-5, 1e-6),
     ARGS(IN(F32, 96, NOISE, 1), IN(U8, 96, INDEX, 2), OUT(F32, 96), OUT(F32, 96))},
    {.kernel = "redux_words", GRID(3), BLOCK(32), .want = want_redux, ARGS(IN(I32, 96, BITS, 0), OUT(I32, 18))},
    {.kernel = "match_aggregated", GRID(3), BLOCK(128), .want = want_ranks,
     ARGS(IN(I32, 333, INDEX, 6), INOUT(I32, 6, VALUE, 0), OUT(I32, 333), INT(333))},
    {.kernel = "compact_ballot", GRID(4), BLOCK(128), .want = want_compact,
     ARGS(IN(F32, 491, NOISE, 1), OUT(F32, 491), INOUT(I32, 1, VALUE, 0), INT(491))},
    {.kernel = "votes_of_blocks", GRID(3), BLOCK(96), .want = want_votes, ARGS(IN(I32, 288, INDEX, 97), OUT(I32, 18))},
    {.kernel = "argmax_rows", GRID(4), BLOCK(32), .want = want_argmax,
     ARGS(IN(F16, 4 * 157, NOISE, 4), OUT(I32, 4), OUT(F32, 4), INT(157))},
};

static const corpus_case groups[] = {
    {.kernel = "tile_reduce", GRID(5), BLOCK(256), .want = want_row_sums, TOL(1e-4, 1e-5),
     ARGS(IN(F32, 5 * 401, NOISE, 3), OUT(F32, 5), INT(401))},
    {.kernel = "tile_scan", GRID(2), BLOCK(96), .want = want_tile_scan,
     ARGS(IN(I32, 192, INDEX, 1000), OUT(I32, 192), OUT(I32, 192), OUT(I32, 192))},
    {.kernel = "small_tiles", GRID(2), BLOCK(96), .want = want_small_tiles, ARGS(IN(I32, 192, INDEX, 100), OUT(I32, 192))},
    {.kernel = "coalesced_filter", GRID(3), BLOCK(128), .want = want_coalesced,
     ARGS(IN(I32, 333, INDEX, 1000), OUT(I32, 333), INOUT(I32, 1, VALUE, 0), INT(333))},
    {.kernel = "labelled_groups", GRID(2), BLOCK(96), .want = want_labelled,
     ARGS(IN(I32, 192, INDEX, 100), OUT(I32, 192), OUT(I32, 192))},
    {.kernel = "three_d_block", GRID(2, 2), BLOCK(5, 4, 3), .want = want_three_d, TOL(1e-6, 1e-6),
     ARGS(IN(F32, 240, NOISE, 1), OUT(F32, 240))},
};
/* clang-format on */

static const corpus_file files[] = {
    CORPUS_FILE("reduce.cu", reduce, "80", "90", "100"),
    CORPUS_FILE("groups.cu", groups, "90", "100"),
};

int main(void)
{
    return corpus_main(files, sizeof files / sizeof files[0], 0);
}
