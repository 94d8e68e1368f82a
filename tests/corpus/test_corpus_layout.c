/* Changes of order. */
#include "tests/corpus/corpus.h"

static void want_transposed(double *const *v)
{
    for (int r = 0; r < N(2); r++)
        for (int c = 0; c < N(3); c++)
            v[1][c * N(2) + r] = v[0][r * N(3) + c];
}

static void want_square(double *const *v)
{
    for (int i = 0; i < N(2) * N(2); i++)
        v[1][i % N(2) * N(2) + i / N(2)] = v[0][i];
}

static void want_half_pairs(double *const *v)
{
    int rows = N(2), cols = 2 * N(3);
    for (int i = 0; i < rows * cols; i++)
        v[1][i % cols * rows + i / cols] = v[0][i];
}

static void want_heads(double *const *v)
{
    int seq = N(2), heads = N(3), d = 2 * N(4);
    for (int b = 0; b < 2; b++)
        for (int s = 0; s < seq; s++)
            for (int h = 0; h < heads; h++)
                for (int i = 0; i < d; i++)
                    v[1][((b * heads + h) * seq + s) * d + i] =
                        v[0][((b * seq + s) * heads + h) * d + i];
}

static void want_gathered(double *const *v)
{
    int n = 2 * N(3);
    for (int r = 0; r < 9; r++)
        for (int i = 0; i < n; i++) {
            int row = (int)v[1][r] < 0 ? (int)v[1][r] + N(4) : (int)v[1][r];
            v[2][r * n + i] = v[0][row * n + i];
        }
}

static void want_scattered(double *const *v)
{
    for (int r = 0; r < 12; r++)
        for (int i = 0; i < N(3); i++)
            v[2][(int)v[1][r] * N(3) + i] += v[0][r * N(3) + i];
}

static void want_permuted(double *const *v)
{
    for (int i = 0; i < N(3); i++)
        v[2][(int)v[1][i]] = v[0][i];
}

static void want_pixels(double *const *v)
{
    int area = N(2), padded = (area + 63) / 64 * 64;
    for (int i = 0; i < 3 * padded; i++)
        v[1][i] = i / 3 < area ? v[0][i % 3 * area + i / 3] : 0;
}

static void want_rope_interleaved(double *const *v)
{
    int heads = N(2), pairs = N(3);
    for (int i = 0; i < 5 * heads * pairs; i++) {
        double angle = v[1][i / (heads * pairs)] * pow(v[4][0], -(double)(i % pairs) / pairs);
        double a = v[0][2 * i], b = v[0][2 * i + 1];
        v[0][2 * i] = a * cos(angle) - b * sin(angle);
        v[0][2 * i + 1] = a * sin(angle) + b * cos(angle);
    }
}

static void want_rope_halves(double *const *v)
{
    int half = N(5);
    for (int part = 0; part < 2; part++)
        for (int row = 0; row < 4 * N(3 + part); row++)
            for (int i = 0; i < half; i++) {
                const double *cs = v[2] + (row / N(3 + part) * half + i) * 2;
                double *x = v[part] + row * 2 * half + i, a = x[0], b = x[half];
                x[0] = a * cs[0] - b * cs[1];
                x[half] = a * cs[1] + b * cs[0];
            }
}

static void want_reversed(double *const *v)
{
    for (int i = 0; i < 1 << N(2); i++) {
        int r = 0;
        for (int b = 0; b < N(2); b++)
            r |= (i >> b & 1) << (N(2) - 1 - b);
        v[1][2 * r] = v[0][2 * i];
        v[1][2 * r + 1] = v[0][2 * i + 1];
    }
}

static void want_im2col(double *const *v)
{
    int channels = N(2), height = N(3), width = N(4), k = N(5), pad = N(6), stride = N(7);
    int oh = N(8), ow = N(9), at = 0;
    for (int row = 0; row < channels * k * k; row++)
        for (int o = 0; o < oh * ow; o++) {
            int y = o / ow * stride - pad + row / k % k, x = o % ow * stride - pad + row % k;
            bool in = y >= 0 && y < height && x >= 0 && x < width;
            v[1][at++] = in ? v[0][(row / (k * k) * height + y) * width + x] : 0;
        }
}

static void want_paged(double *const *v)
{
    int page = N(4), most = N(5), n = 4 * N(6), longest = N(7);
    for (int i = 0; i < 3 * longest * n; i++) {
        int token = i / n % longest, seq = i / n / longest;
        int physical = (int)v[1][seq * most + token / page];
        v[3][i] = token < v[2][seq] ? v[0][(physical * page + token % page) * n + i % n] : 0;
    }
}

/* clang-format off */
static const corpus_case layout[] = {
    {.kernel = "transpose_padded", GRID(3, 2), BLOCK(32, 8), .want = want_transposed,
     ARGS(IN(F32, 45 * 77, NOISE, 1), OUT(F32, 45 * 77), INT(45), INT(77))},
    {.kernel = "transpose_doubles", GRID(3, 2), BLOCK(16, 16), .want = want_transposed,
     ARGS(IN(F64, 29 * 41, NOISE, 1), OUT(F64, 29 * 41), INT(29), INT(41))},
    {.kernel = "transpose_swizzled", GRID(2, 2), BLOCK(32, 8), .want = want_square,
     ARGS(IN(U32, 64 * 64, BITS, 0), OUT(U32, 64 * 64), INT(64))},
    {.kernel = "transpose_half_pairs", GRID(2, 3), BLOCK(16, 4), .want = want_half_pairs,
     ARGS(IN(F16, 22 * 42, NOISE, 1), OUT(F16, 22 * 42), INT(22), INT(21))},
    {.kernel = "permute_heads", GRID(7, 2, 2), BLOCK(8, 3), .want = want_heads,
     ARGS(IN(U32, 2 * 7 * 5 * 36, BITS, 0), OUT(U32, 2 * 7 * 5 * 36), INT(7), INT(5), INT(18))},
    {.kernel = "gather_rows", GRID(9), BLOCK(32), .want = want_gathered,
     ARGS(IN(BF16, 120 * 90, NOISE, 1), IN(I64, 9, STEPS, 13), OUT(BF16, 9 * 90), INT(45), LONG(120))},
    {.kernel = "scatter_add_rows", GRID(12), BLOCK(32), .want = want_scattered, TOL(1e-6, 1e-6),
     ARGS(IN(F32, 12 * 51, NOISE, 1), IN(I32, 12, INDEX, 5), INOUT(F32, 5 * 51, NOISE, 1), INT(51))},
    {.kernel = "scatter_permuted", GRID(6), BLOCK(64), .want = want_permuted,
     ARGS(IN(U8, 350, BITS, 0), IN(I32, 350, SHUFFLE, 0), OUT(U8, 350), INT(350))},
    {.kernel = "planes_to_pixels", GRID(4), BLOCK(64), .want = want_pixels,
     ARGS(IN(U8, 3 * 205, BITS, 0), OUT(U8, 3 * 256), INT(205))},
    {.kernel = "rope_interleaved", GRID(5), BLOCK(64), .want = want_rope_interleaved, TOL(0.0005, 0.001),
     ARGS(INOUT(F16, 5 * 3 * 2 * 24, NOISE, 2), IN(I32, 5, IOTA, 7), INT(3), INT(24), FLOAT(10000))},
    {.kernel = "rope_halves", GRID(4, 5), BLOCK(32), .want = want_rope_halves, TOL(1e-6, 0.004),
     ARGS(INOUT(BF16, 4 * 3 * 80, NOISE, 2), INOUT(BF16, 4 * 2 * 80, NOISE, 2), IN(F32, 4 * 80, NOISE, 1), INT(3), INT(2), INT(40))},
    {.kernel = "bit_reversed", GRID(6), BLOCK(96), .want = want_reversed,
     ARGS(IN(F32, 1024, NOISE, 1), OUT(F32, 1024), INT(9))},
    {.kernel = "im2col", GRID(2), BLOCK(64), .want = want_im2col,
     ARGS(IN(F32, 3 * 11 * 9, NOISE, 1), OUT(F32, 27 * 6 * 5), INT(3), INT(11), INT(9), INT(3), INT(1), INT(2), INT(6), INT(5))},
    {.kernel = "paged_gather", GRID(4, 3), BLOCK(8, 8), .want = want_paged,
     ARGS(IN(U32, 16 * 4 * 12, BITS, 0), IN(I32, 24, INDEX, 16), IN(I32, 3, IOTA, 11), OUT(U32, 3 * 27 * 12),
          INT(4), INT(8), INT(3), INT(27))},
};
/* clang-format on */

static const corpus_file files[] = {
    CORPUS_FILE("layout.cu", layout, "90", "80", "100"),
};

int main(void)
{
    return corpus_main(files, sizeof files / sizeof files[0], 0);
}
