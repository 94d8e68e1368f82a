/* Normalisations and softmaxes. */
#include "tests/corpus/corpus.h"

static double mean_of(const double *x, int n)
{
    double s = 0;
    for (int i = 0; i < n; i++)
        s += x[i];
    return s / n;
}

static double variance_of(const double *x, int n)
{
    double m = mean_of(x, n), s = 0;
    for (int i = 0; i < n; i++)
        s += (x[i] - m) * (x[i] - m);
    return s / n;
}

static double most_of(const double *x, int n)
{
    double m = -INFINITY;
    for (int i = 0; i < n; i++)
        m = fmax(m, x[i]);
    return m;
}

static double log_sum_exp(const double *x, int n)
{
    double m = most_of(x, n), s = 0;
    for (int i = 0; i < n; i++)
        s += exp(x[i] - m);
    return m + log(s);
}

static void rms(const double *x, const double *w, double *y, int n, double eps)
{
    double s = 0;
    for (int i = 0; i < n; i++)
        s += x[i] * x[i];
    for (int i = 0; i < n; i++)
        y[i] = x[i] / sqrt(s / n + eps) * w[i];
}

static void want_rms(double *const *v)
{
    for (int r = 0; r < 5; r++)
        rms(v[0] + r * N(3), v[1], v[2] + r * N(3), N(3), v[4][0]);
}

static void want_fused_rms(double *const *v)
{
    for (int r = 0; r < 4; r++) {
        double *x = v[0] + r * N(3), *residual = v[1] + r * N(3);
        for (int i = 0; i < N(3); i++) {
            uint16_t h;
            kds_dtype_store(KDS_DTYPE_F16, &h, x[i] + residual[i]);
            residual[i] = kds_dtype_load(KDS_DTYPE_F16, &h);
        }
        rms(residual, v[2], x, N(3), v[4][0]);
    }
}

static void want_layer(double *const *v)
{
    int n = N(4);
    for (int r = 0; r < 4; r++) {
        const double *x = v[0] + r * n;
        double m = mean_of(x, n), d = sqrt(variance_of(x, n) + v[5][0]);
        for (int i = 0; i < n; i++)
            v[3][r * n + i] = (x[i] - m) / d * v[1][i] + v[2][i];
    }
}

static void want_welford(double *const *v)
{
    int n = N(4);
    for (int r = 0; r < N(3); r++) {
        const double *x = v[0] + r * n;
        double m = mean_of(x, n), inverse = 1 / sqrt(variance_of(x, n) + v[5][0]);
        for (int i = 0; i < n; i++)
            v[1][r * n + i] = (x[i] - m) * inverse;
        v[2][2 * r] = m;
        v[2][2 * r + 1] = inverse;
    }
}

static void want_group(double *const *v)
{
    int channels = N(4), per = channels / N(5), area = N(6), n = per * area;
    for (int g = 0; g < 2 * N(5); g++) {
        const double *x = v[0] + g * n;
        double m = mean_of(x, n), d = sqrt(variance_of(x, n) + v[7][0]);
        for (int i = 0; i < n; i++) {
            int c = (g * per + i / area) % channels;
            v[3][g * n + i] = (x[i] - m) / d * v[1][c] + v[2][c];
        }
    }
}

static void want_scale_shift(double *const *v)
{
    int n = 4 * N(4);
    for (int t = 0; t < 6; t++) {
        const double *x = v[0] + t * n;
        double m = mean_of(x, n), d = sqrt(variance_of(x, n) + v[6][0]);
        for (int i = 0; i < n; i++) {
            int k = t / N(5) * n + i;
            v[3][t * n + i] = (x[i] - m) / d * (1 + v[1][k]) + v[2][k];
        }
    }
}

static void softmax_row(const double *x, double *y, int n)
{
    double l = log_sum_exp(x, n);
    for (int i = 0; i < n; i++)
        y[i] = exp(x[i] - l);
}

static void want_softmax(double *const *v)
{
    for (int r = 0; r < N(2); r++)
        softmax_row(v[0] + r * N(3), v[1] + r * N(3), N(3));
}

static void want_softmax_block(double *const *v)
{
    for (int r = 0; r < 4; r++)
        softmax_row(v[0] + r * N(2), v[1] + r * N(2), N(2));
}

static void want_causal(double *const *v)
{
    int n = N(2);
    for (int r = 0; r < n; r++) {
        double *y = v[1] + r * n;
        for (int i = 0; i < n; i++)
            y[i] = i > r ? -INFINITY : v[0][r * n + i] * v[3][0];
        softmax_row(y, y, n);
    }
}

static void want_log_softmax(double *const *v)
{
    for (int r = 0; r < 3; r++) {
        const double *x = v[0] + r * N(2);
        double l = log_sum_exp(x, N(2));
        for (int i = 0; i < N(2); i++)
            v[1][r * N(2) + i] = x[i] - l;
    }
}

static void want_cross_entropy(double *const *v)
{
    int n = 2 * N(4);
    for (int r = 0; r < 6; r++) {
        const double *x = v[0] + r * n;
        double l = log_sum_exp(x, n);
        int target = (int)v[1][r];
        v[2][r] = target < 0 ? 0 : l - x[target];
        for (int i = 0; i < n; i++)
            v[3][r * n + i] = target < 0 ? 0 : exp(x[i] - l) - (i == target);
    }
}

static void want_merged(double *const *v)
{
    int splits = N(4), dim = N(5), rows = 3;
    for (int r = 0; r < rows; r++) {
        double l[8];
        for (int s = 0; s < splits; s++)
            l[s] = v[1][s * rows + r];
        v[3][r] = log_sum_exp(l, splits);
        for (int d = 0; d < dim; d++) {
            v[2][r * dim + d] = 0;
            for (int s = 0; s < splits; s++)
                v[2][r * dim + d] += exp(l[s] - v[3][r]) * v[0][(s * rows + r) * dim + d];
        }
    }
}

/* clang-format off */
static const corpus_case norm[] = {
    {.kernel = "rms_norm_bf16", GRID(5), BLOCK(128), .want = want_rms, TOL(1e-5, 0.004), .fast = 1.5,
     ARGS(IN(BF16, 5 * 808, NOISE, 3), IN(BF16, 808, NOISE, 2), OUT(BF16, 5 * 808), INT(808), FLOAT(1e-5))},
    {.kernel = "fused_add_rms_norm", GRID(4), BLOCK(160), .shared = 333 * 4, .want = want_fused_rms, TOL(1e-4, 0.0006), .fast = 1.5,
     ARGS(INOUT(F16, 4 * 333, NOISE, 2), INOUT(F16, 4 * 333, NOISE, 2), IN(F16, 333, NOISE, 1), INT(333), FLOAT(1e-6))},
    {.kernel = "layer_norm_two_pass", GRID(4), BLOCK(64), .want = want_layer, TOL(1e-5, 1e-5), .fast = 4,
     ARGS(IN(F32, 4 * 301, NOISE, 2), IN(F32, 301, NOISE, 2), IN(F32, 301, NOISE, 2), OUT(F32, 4 * 301), INT(301), FLOAT(1e-5))},
    {.kernel = "layer_norm_welford", GRID(2), BLOCK(32, 4), .want = want_welford, TOL(1e-4, 0.0006), .fast = 2,
     ARGS(IN(F16, 7 * 203, NOISE, 2), OUT(F16, 7 * 203), OUT(F32, 14), INT(7), INT(203), FLOAT(1e-5))},
    {.kernel = "group_norm", GRID(3, 2), BLOCK(96), .want = want_group, TOL(1e-5, 1e-5),
     ARGS(IN(F32, 2 * 12 * 35, NOISE, 2), IN(F32, 12, NOISE, 2), IN(F32, 12, NOISE, 2), OUT(F32, 2 * 12 * 35),
          INT(12), INT(3), INT(35), FLOAT(1e-5))},
    {.kernel = "layer_norm_scale_shift", GRID(6), BLOCK(32), .want = want_scale_shift, TOL(2e-5, 1e-5), .fast = 4,
     ARGS(IN(F32, 6 * 188, NOISE, 2), IN(F32, 2 * 188, NOISE, 1), IN(F32, 2 * 188, NOISE, 1), OUT(F32, 6 * 188),
          INT(47), INT(3), FLOAT(1e-5))},
};

static const corpus_case softmax[] = {
    {.kernel = "softmax_warp_rows", GRID(3), BLOCK(64), .want = want_softmax, TOL(1e-6, 0.001), .fast = 2,
     ARGS(IN(F16, 5 * 101, NOISE, 6), OUT(F16, 5 * 101), INT(5), INT(101))},
    {.kernel = "softmax_online", GRID(4), BLOCK(96), .want = want_softmax_block, TOL(1e-8, 3e-6), .fast = 8,
     ARGS(IN(F32, 4 * 259, NOISE, 12), OUT(F32, 4 * 259), INT(259))},
    {.kernel = "softmax_causal", GRID(41), BLOCK(32), .want = want_causal, TOL(1e-6, 0.004), .fast = 2,
     ARGS(IN(BF16, 41 * 41, NOISE, 20), OUT(BF16, 41 * 41), INT(41), FLOAT(0.125))},
    {.kernel = "log_softmax_rows", GRID(3), BLOCK(64), .want = want_log_softmax, TOL(1e-12, 1e-13),
     ARGS(IN(F64, 3 * 141, NOISE, 20), OUT(F64, 3 * 141), INT(141))},
    {.kernel = "cross_entropy", GRID(6), BLOCK(128), .want = want_cross_entropy, TOL(2e-6, 0.004), .fast = 2,
     ARGS(IN(BF16, 6 * 602, NOISE, 8), IN(I32, 6, STEPS, 113), OUT(F32, 6), OUT(BF16, 6 * 602), INT(301))},
    {.kernel = "merge_splits", GRID(3), BLOCK(32), .want = want_merged, TOL(1e-4, 0.001), .fast = 2,
     ARGS(IN(F32, 5 * 3 * 72, NOISE, 2), IN(F32, 15, NOISE, 4), OUT(F16, 3 * 72), OUT(F32, 3), INT(5), INT(72))},
};
/* clang-format on */

static const corpus_file files[] = {
    CORPUS_FILE("norm.cu", norm, "90", "80", "100"),
    CORPUS_FILE("softmax.cu", softmax, "90", "80", "100"),
};

int main(void)
{
    return corpus_main(files, sizeof files / sizeof files[0], 0);
}
