/* Scans, sorting, grids and particles. */
#include "tests/corpus/corpus.h"

static void want_exclusive(double *const *v)
{
    double s = 0;
    for (int i = 0; i < N(2); s += v[0][i++])
        v[1][i] = s;
}

static void prefix(const double *x, double *y, int n)
{
    double s = 0;
    for (int i = 0; i < n; i++)
        y[i] = s += x[i];
}

static void want_block_prefix(double *const *v)
{
    for (int i = 0; i < N(2); i += 96)
        prefix(v[0] + i, v[1] + i, N(2) - i < 96 ? N(2) - i : 96);
}

static void want_items(double *const *v)
{
    prefix(v[0], v[1], 512);
    prefix(v[0] + 512, v[1] + 512, 512);
}

static void want_private(double *const *v)
{
    for (int i = 0; i < N(2); i++)
        for (int k = 0; k < 4; k++)
            v[1][(uint32_t)v[0][i] >> (8 * k + 2) & 63]++;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void want_sorted(double *const *v)
{
    int n = N(2);
    memcpy(v[1], v[0], (size_t)(3 * n) * sizeof(double));
    for (int r = 0; r < 3; r++)
        qsort(v[1] + r * n, (size_t)n, sizeof(double), ascending);
}

/* The keys of a warp are different, so the order of the values is given. */
static void want_pairs(double *const *v)
{
    for (int i = 0; i < 128; i++) {
        int place = i / 32 * 32;
        for (int k = i / 32 * 32; k < i / 32 * 32 + 32; k++)
            place += v[0][k] < v[0][i];
        v[2][place] = v[0][i];
        v[3][place] = v[1][i];
    }
}

static void want_radix(double *const *v)
{
    int to = 0;
    for (int digit = 0; digit < 16; digit++)
        for (int i = 0; i < N(2); i++)
            if (((uint32_t)v[0][i] >> N(3) & 15) == (uint32_t)digit)
                v[1][to++] = v[0][i];
}

static void want_top(double *const *v)
{
    for (int r = 0; r < 3; r++)
        for (int k = 0; k < 4; k++) {
            int best = -1;
            for (int i = 0; i < N(3); i++) {
                bool taken = false;
                for (int p = 0; p < k; p++)
                    taken |= v[2][r * 4 + p] == i;
                if (!taken && (best < 0 || v[0][r * N(3) + i] > v[0][r * N(3) + best]))
                    best = i;
            }
            v[1][r * 4 + k] = v[0][r * N(3) + best];
            v[2][r * 4 + k] = best;
        }
}

static void want_merge(double *const *v)
{
    memcpy(v[2], v[0], (size_t)N(3) * sizeof(double));
    memcpy(v[2] + N(3), v[1], (size_t)N(4) * sizeof(double));
    qsort(v[2], (size_t)(N(3) + N(4)), sizeof(double), ascending);
}

static int within(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

static void want_stencil(double *const *v)
{
    int h = N(2), w = N(3);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double around = v[0][within(y - 1, h) * w + x] + v[0][within(y + 1, h) * w + x] +
                            v[0][y * w + within(x - 1, w)] + v[0][y * w + within(x + 1, w)];
            v[1][y * w + x] = 0.5 * v[0][y * w + x] + 0.125 * around;
        }
}

static void want_separable(double *const *v)
{
    static const double taps[] = {0.0625, 0.25, 0.375, 0.25, 0.0625};
    int h = N(2), w = N(3);
    for (int i = 0; i < h * w; i++) {
        double s = 0;
        for (int k = 0; k < 25; k++) {
            int y = i / w + k / 5 - 2, x = i % w + k % 5 - 2;
            if (y >= 0 && y < h && x >= 0 && x < w)
                s += taps[k / 5] * taps[k % 5] * v[0][y * w + x];
        }
        v[1][i] = rint(s);
    }
}

static void want_causal(double *const *v)
{
    int n = N(4);
    for (int i = 0; i < 5 * n; i++) {
        double s = v[2][i / n];
        for (int k = 0; k < 4; k++)
            s += i % n + k - 3 >= 0 ? v[1][i / n * 4 + k] * v[0][i + k - 3] : 0;
        v[3][i] = s / (1 + exp(-s));
    }
}

static void want_heat(double *const *v)
{
    int nx = N(2), ny = N(3), nz = N(4), area = nx * ny;
    for (int i = 0; i < area * nz; i++) {
        int x = i % nx, y = i / nx % ny, z = i / area;
        double here = v[0][i], s = (z > 0 ? v[0][i - area] : here);
        s += z + 1 < nz ? v[0][i + area] : here;
        s += x > 0 ? v[0][i - 1] : here;
        s += x + 1 < nx ? v[0][i + 1] : here;
        s += y > 0 ? v[0][i - nx] : here;
        s += y + 1 < ny ? v[0][i + nx] : here;
        v[1][i] = here + 0.1 * (s - 6 * here);
    }
}

static void want_fft(double *const *v)
{
    for (int i = 0; i < 2 * 256; i++) {
        const double *x = v[0] + i / 256 * 512;
        double re = 0, im = 0;
        for (int t = 0; t < 256; t++) {
            double angle = -2 * 3.14159265358979323846 * (i % 256 * t % 256) / 256;
            re += x[2 * t] * cos(angle) - x[2 * t + 1] * sin(angle);
            im += x[2 * t] * sin(angle) + x[2 * t + 1] * cos(angle);
        }
        v[1][2 * i] = re;
        v[1][2 * i + 1] = im;
    }
}

static void want_mandelbrot(double *const *v)
{
    for (int i = 0; i < N(1) * N(2); i++) {
        volatile double product = i % N(1) * v[5][0], other = i / N(1) * v[5][0];
        double cx = v[3][0] + product, cy = v[4][0] + other, zx = 0, zy = 0;
        int n = 0;
        for (; n < N(6); n++) {
            volatile double xx = zx * zx, yy = zy * zy, xy = 2 * zx * zy;
            if (xx + yy > 4)
                break;
            zx = xx - yy + cx;
            zy = xy + cy;
        }
        v[0][i] = n;
    }
}

static void want_bodies(double *const *v)
{
    for (int i = 0; i < N(2); i++) {
        double *f = v[1] + 3 * i;
        f[0] = f[1] = f[2] = 0;
        for (int j = 0; j < N(2); j++) {
            double d[3], r = 0.01;
            for (int k = 0; k < 3; k++) {
                d[k] = v[0][4 * j + k] - v[0][4 * i + k];
                r += d[k] * d[k];
            }
            for (int k = 0; k < 3; k++)
                f[k] += d[k] * v[0][4 * j + 3] / (r * sqrt(r));
        }
    }
}

static int cell(const double *x, int words, int rows, int r, int c)
{
    int width = 32 * words;
    c = (c + width) % width;
    return (int)((uint32_t)x[(r + rows) % rows * words + c / 32] >> (c % 32) & 1);
}

static void want_life(double *const *v)
{
    int words = N(2), rows = N(3);
    for (int i = 0; i < words * rows; i++) {
        uint32_t word = 0;
        for (int b = 0; b < 32; b++) {
            int r = i / words, c = i % words * 32 + b, n = 0;
            for (int k = 0; k < 9; k++)
                n += k != 4 ? cell(v[0], words, rows, r + k / 3 - 1, c + k % 3 - 1) : 0;
            word |= (uint32_t)(n == 3 || (n == 2 && cell(v[0], words, rows, r, c))) << b;
        }
        v[1][i] = word;
    }
}

/* clang-format off */
static const corpus_case scan_sort[] = {
    {.kernel = "scan_blelloch", BLOCK(128), .shared = 1024, .want = want_exclusive,
     ARGS(IN(I32, 233, INDEX, 1000), OUT(I32, 233), INT(233))},
    {.kernel = "scan_kogge_stone", GRID(3), BLOCK(96), .want = want_block_prefix, TOL(1e-13, 1e-13),
     ARGS(IN(F64, 250, NOISE, 1), OUT(F64, 250), INT(250))},
    {.kernel = "scan_items", GRID(2), BLOCK(128), .want = want_items, ARGS(IN(I32, 1024, INDEX, 1000), OUT(I32, 1024))},
    {.kernel = "histogram_private", GRID(3), BLOCK(128), .want = want_private,
     ARGS(IN(U32, 1001, BITS, 0), INOUT(I32, 64, IOTA, 1), INT(1001))},
    {.kernel = "sort_bitonic", GRID(3), BLOCK(256), .want = want_sorted,
     ARGS(IN(F32, 3 * 201, NOISE, 9), OUT(F32, 3 * 201), INT(201))},
    {.kernel = "sort_pairs_warp", GRID(2), BLOCK(64), .want = want_pairs,
     ARGS(IN(I32, 128, SHUFFLE, 0), IN(F32, 128, NOISE, 1), OUT(I32, 128), OUT(F32, 128))},
    {.kernel = "radix_step", BLOCK(128), .want = want_radix,
     ARGS(IN(U32, 107, BITS, 0), OUT(U32, 107), INT(107), INT(8))},
    {.kernel = "top_k", GRID(3), BLOCK(64), .want = want_top,
     ARGS(IN(F16, 3 * 301, NOISE, 2), OUT(F32, 12), OUT(I32, 12), INT(301))},
    {.kernel = "merge_path", GRID(4), BLOCK(64), .want = want_merge,
     ARGS(IN(I32, 101, IOTA, 7), IN(I32, 133, IOTA, 5), OUT(I32, 234), INT(101), INT(133))},
};

static const corpus_case physics[] = {
    {.kernel = "stencil_halo", GRID(3, 3), BLOCK(32, 8), .want = want_stencil, TOL(1e-6, 1e-6),
     ARGS(IN(F32, 21 * 75, NOISE, 1), OUT(F32, 21 * 75), INT(21), INT(75))},
    {.kernel = "convolution_separable", GRID(3, 3), BLOCK(16, 8), .want = want_separable,
     ARGS(IN(U8, 19 * 41, BITS, 0), OUT(U8, 19 * 41), INT(19), INT(41))},
    {.kernel = "convolution_causal", GRID(2, 5), BLOCK(64), .want = want_causal, TOL(1e-5, 0.001), .fast = 2,
     ARGS(IN(F16, 5 * 111, NOISE, 1), IN(F32, 20, NOISE, 1), IN(F32, 5, NOISE, 1), OUT(F16, 5 * 111), INT(111))},
    {.kernel = "heat_3d", GRID(2, 3), BLOCK(16, 4), .want = want_heat, TOL(1e-14, 1e-14),
     ARGS(IN(F64, 19 * 11 * 6, NOISE, 1), OUT(F64, 19 * 11 * 6), INT(19), INT(11), INT(6))},
    {.kernel = "fft_radix2", GRID(2), BLOCK(128), .want = want_fft, TOL(2e-5, 1e-5),
     ARGS(IN(F32, 1024, NOISE, 1), OUT(F32, 1024))},
    {.kernel = "mandelbrot", GRID(3, 5), BLOCK(16, 4), .want = want_mandelbrot,
     ARGS(OUT(I32, 37 * 19), INT(37), INT(19), DOUBLE(-2.1), DOUBLE(-1.2), DOUBLE(0.07), INT(100))},
    {.kernel = "bodies_tiled", GRID(3), BLOCK(64), .want = want_bodies, TOL(1e-3, 1e-4), .fast = 2,
     ARGS(IN(F32, 4 * 133, NOISE, 1), OUT(F32, 3 * 133), INT(133))},
    {.kernel = "life_bits", GRID(4), BLOCK(5, 6), .want = want_life,
     ARGS(IN(U32, 110, BITS, 0), OUT(U32, 110), INT(5), INT(22))},
};
/* clang-format on */

static const corpus_file files[] = {
    CORPUS_FILE("scan_sort.cu", scan_sort, "90", "80", "100"),
    CORPUS_FILE("physics.cu", physics, "90", "80", "100"),
};

int main(void)
{
    return corpus_main(files, sizeof files / sizeof files[0], 0);
}
