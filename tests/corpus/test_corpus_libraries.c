/* The toolkit's libraries. */
#include "tests/corpus/corpus.h"

static void want_references(double *const *v)
{
    uint64_t seen = 0;
    for (int i = 0; i < 128; i++) {
        v[1][0] += v[0][i];
        v[1][1] = fmax(v[1][1], v[0][i]);
        seen |= UINT64_C(1) << ((int)v[0][i] & 63);
        v[3][0] += 0.25;
        v[5][i] = i % 64 == 40 ? 17 : i % 64 < 32 ? 17 + i % 64 : 100;
    }
    v[2][0] = (double)seen;
    v[4][0] = v[4][1] = 1;
}

static void want_reduce_scan(double *const *v)
{
    for (int b = 0; b < 2; b++) {
        double *x = v[0] + b * 96, total = 0;
        for (int i = 0; i < 96; i++)
            total += x[i];
        v[1][b] = total;
        for (int i = 0; i < 96; total += x[i++])
            v[2][b * 96 + i] = total;
    }
    for (int w = 0; w < 6; w++) {
        v[3][w] = INFINITY;
        for (int i = 0; i < 32; i++)
            v[3][w] = fmin(v[3][w], v[0][w * 32 + i]);
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void want_sorted(double *const *v)
{
    memcpy(v[1], v[0], 512 * sizeof(double));
    qsort(v[1], 256, sizeof(double), ascending);
    qsort(v[1] + 256, 256, sizeof(double), ascending);
}

static void want_powers(double *const *v)
{
    static const int a[] = {1, 20, 300};
    for (int i = 0; i < N(3); i++) {
        double x = v[0][2 * i], y = v[0][2 * i + 1], d = (x + 3) * (x + 3) + y * y;
        v[1][2 * i] = x * x * x - 3 * x * y * y - (x + 3) / d;
        v[1][2 * i + 1] = 3 * x * x * y - y * y * y + y / d;
        float f = (float)x;
        uint32_t bits;
        memcpy(&bits, &f, 4);
        v[2][i] = __builtin_popcount(bits) + a[i % 3];
    }
}

/* A float of a sign, two bits of exponent with bias 1 and `mantissa` bits. */
static double small(int code, int mantissa)
{
    int exponent = code >> mantissa & 3;
    double fraction = (code & ((1 << mantissa) - 1)) / (double)(1 << mantissa);
    double x = exponent == 0 ? fraction : ldexp(1 + fraction, exponent - 1);
    return code >> (mantissa + 2) ? -x : x;
}

static int to_four(double x)
{
    int best = 0;
    for (int code = 1; code < 8; code++) {
        double now = fabs(small(best, 1) - fabs(x)), other = fabs(small(code, 1) - fabs(x));
        if (other < now || (other == now && code % 2 == 0))
            best = code;
    }
    return best | (signbit(x) ? 8 : 0);
}

static void want_small(double *const *v)
{
    for (int i = 0; i < N(4); i++)
        v[1][i] = to_four(v[0][2 * i]) | to_four(v[0][2 * i + 1]) << 4;
    for (int i = 0; i < 16; i++)
        v[2][i] = small(i, 1);
    for (int i = 0; i < 64; i++)
        v[3][i] = small(i, 3);
}

/* clang-format off */
static const corpus_case libraries[] = {
    {.kernel = "atomic_references", GRID(2), BLOCK(64), .want = want_references,
     ARGS(IN(I32, 128, INDEX, 50), INOUT(I32, 2, VALUE, -3), INOUT(I64, 1, VALUE, 0), INOUT(F32, 1, VALUE, 1),
          INOUT(I32, 2, VALUE, 0), OUT(I32, 128))},
    {.kernel = "cub_reduce_scan", GRID(2), BLOCK(96), .want = want_reduce_scan,
     ARGS(IN(I32, 192, INDEX, 1000), OUT(I32, 2), OUT(I32, 192), OUT(I32, 6))},
    {.kernel = "cub_radix_sort", GRID(2), BLOCK(64), .want = want_sorted, ARGS(IN(U32, 512, BITS, 0), OUT(U32, 512))},
    {.kernel = "complex_powers", GRID(2), BLOCK(64), .want = want_powers, TOL(1e-5, 1e-5),
     ARGS(IN(F32, 200, NOISE, 2), OUT(F32, 200), OUT(I32, 100), INT(100))},
    {.kernel = "small_floats", BLOCK(96), .want = want_small,
     ARGS(IN(F32, 180, NOISE, 7), OUT(U8, 90), OUT(F16, 16), OUT(F16, 64), INT(90))},
};
/* clang-format on */

static const corpus_file files[] = {
    CORPUS_FILE("libraries.cu", libraries, "90", "80"),
};

int main(void)
{
    return corpus_main(files, sizeof files / sizeof files[0], 0);
}
