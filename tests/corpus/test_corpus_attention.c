/* Attention and recurrences over time. */
#include "tests/corpus/corpus.h"

/* One query over `keys` keys of `dim` values; returns the log-sum-exp. */
static double attend(const double *q, const double *k, const double *v, double *o, int keys,
                     int dim, double scale)
{
    double score[256], most = -INFINITY, sum = 0;
    for (int j = 0; j < keys; j++) {
        score[j] = 0;
        for (int d = 0; d < dim; d++)
            score[j] += q[d] * k[j * dim + d] * scale;
        most = fmax(most, score[j]);
    }
    for (int j = 0; j < keys; j++)
        sum += exp(score[j] - most);
    for (int d = 0; d < dim; d++) {
        o[d] = 0;
        for (int j = 0; j < keys; j++)
            o[d] += exp(score[j] - most) / sum * v[j * dim + d];
    }
    return most + log(sum);
}

static void flash(double *const *v, int heads, int dim, bool causal)
{
    int length = N(5);
    for (int h = 0; h < heads; h++)
        for (int r = 0; r < length; r++) {
            size_t head = (size_t)(h * length * dim), at = head + (size_t)(r * dim);
            v[4][h * length + r] = attend(v[0] + at, v[1] + head, v[2] + head, v[3] + at,
                                          causal ? r + 1 : length, dim, v[6][0]);
        }
}

static void want_flash(double *const *v)
{
    flash(v, 1, 64, false);
}

static void want_flash_causal(double *const *v)
{
    flash(v, 2, 32, true);
}

static void want_decode(double *const *v)
{
    int page = N(6), pages = N(7);
    static double k[64 * 64], values[64 * 64];
    for (int s = 0; s < 3; s++) {
        int length = (int)v[4][s] + 1;
        for (int t = 0; t < length; t++) {
            int at = ((int)v[3][s * pages + t / page] * page + t % page) * 64;
            memcpy(k + t * 64, v[1] + at, 64 * sizeof *k);
            memcpy(values + t * 64, v[2] + at, 64 * sizeof *k);
        }
        attend(v[0] + s * 64, k, values, v[5] + s * 64, length, 64, v[8][0]);
    }
}

static void want_linear(double *const *v)
{
    for (int b = 0; b < 2; b++) {
        double s[16][16] = {{0}};
        for (int t = 0; t < N(4); t++) {
            size_t at = (size_t)((b * N(4) + t) * 16);
            for (int j = 0; j < 16; j++) {
                v[3][at + (size_t)j] = 0;
                for (int i = 0; i < 16; i++) {
                    s[i][j] += v[1][at + (size_t)i] * v[2][at + (size_t)j];
                    v[3][at + (size_t)j] += v[0][at + (size_t)i] * s[i][j];
                }
            }
        }
    }
}

static void want_delta(double *const *v)
{
    int columns = N(7);
    for (int c = 0; c < columns; c++) {
        double s[32] = {0};
        for (int t = 0; t < N(6); t++) {
            const double *q = v[0] + t * 32, *k = v[1] + t * 32;
            double inner = 0, r = 0;
            for (int d = 0; d < 32; d++)
                inner += k[d] * (s[d] *= v[3][t]);
            for (int d = 0; d < 32; d++) {
                s[d] += k[d] * v[4][t] * (v[2][t * columns + c] - inner);
                r += q[d] * s[d];
            }
            v[5][t * columns + c] = r;
        }
    }
}

static void want_selective(double *const *v)
{
    int n = N(5);
    for (int c = 0; c < 3; c++) {
        double h = 0;
        for (int t = 0; t < n; t++) {
            double d = v[1][c * n + t];
            v[4][c * n + t] = h = exp(d * v[3][c]) * h + d * v[2][t] * v[0][c * n + t];
        }
    }
}

/* clang-format off */
static const corpus_case attention[] = {
    {.kernel = "flash_attention", GRID(3, 1), BLOCK(32, 4), .want = want_flash, TOL(2e-5, 0.001), .fast = 2,
     ARGS(IN(F16, 37 * 64, NOISE, 2), IN(F16, 37 * 64, NOISE, 2), IN(F16, 37 * 64, NOISE, 2), OUT(F16, 37 * 64), OUT(F32, 37),
          INT(37), FLOAT(0.125))},
    {.kernel = "flash_attention_causal", GRID(3, 2), BLOCK(32, 4), .want = want_flash_causal, TOL(2e-5, 0.001), .fast = 2,
     ARGS(IN(F16, 2 * 45 * 32, NOISE, 3), IN(F16, 2 * 45 * 32, NOISE, 3), IN(F16, 2 * 45 * 32, NOISE, 2), OUT(F16, 2 * 45 * 32),
          OUT(F32, 90), INT(45), FLOAT(0.2))},
    {.kernel = "decode_paged", GRID(3), BLOCK(128), .want = want_decode, TOL(1e-5, 1e-4), .fast = 2,
     ARGS(IN(F32, 192, NOISE, 2), IN(BF16, 12 * 8 * 64, NOISE, 2), IN(BF16, 12 * 8 * 64, NOISE, 2), IN(I32, 24, INDEX, 12),
          IN(I32, 3, IOTA, 19), OUT(F32, 192), INT(8), INT(8), FLOAT(0.125))},
    {.kernel = "linear_attention_chunks", GRID(2), BLOCK(256), .want = want_linear, TOL(1e-4, 1e-5),
     ARGS(IN(F32, 2 * 45 * 16, NOISE, 1), IN(F32, 2 * 45 * 16, NOISE, 1), IN(F32, 2 * 45 * 16, NOISE, 1), OUT(F32, 2 * 45 * 16), INT(45))},
    {.kernel = "delta_rule", GRID(2), BLOCK(32, 4), .want = want_delta, TOL(1e-5, 1e-5),
     ARGS(IN(F32, 20 * 32, NOISE, 0.4), IN(F32, 20 * 32, NOISE, 0.25), IN(F32, 20 * 7, NOISE, 1), IN(F32, 20, ABOVE, 1),
          IN(F32, 20, ABOVE, 1), OUT(F32, 20 * 7), INT(20), INT(7))},
    {.kernel = "selective_scan", GRID(3), BLOCK(128), .want = want_selective, TOL(1e-5, 1e-5), .fast = 4,
     ARGS(IN(F32, 3 * 301, NOISE, 1), IN(F32, 3 * 301, ABOVE, 0.5), IN(F32, 301, NOISE, 1), IN(F32, 3, NOISE, 1), OUT(F32, 3 * 301), INT(301))},
};
/* clang-format on */

static const corpus_file files[] = {
    CORPUS_FILE("attention.cu", attention, "90", "80", "100"),
};

int main(void)
{
    return corpus_main(files, sizeof files / sizeof files[0], 0);
}
