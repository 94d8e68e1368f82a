/* Control flow. */
#include "tests/corpus/corpus.h"

static void want_nested(double *const *v)
{
    for (int i = 0; i < N(2); i++) {
        int x = (int)v[0][i], r = 0;
        for (int d = 0; d < 6; d++, x >>= 2) {
            if ((x & 3) == 3) {
                r += x % 7;
                r = x & 4 ? r : r ^ d;
                if (x & 4) /* the loop goes on without the shift */
                    x *= 4;
            } else if (x & 1) {
                for (int k = x & 7; k > 0; k--) {
                    r += k;
                    if (r % 5 == 3)
                        break;
                }
            } else {
                r -= x & 15;
                if (r < -40) {
                    r = -r;
                    break;
                }
            }
        }
        v[1][i] = r;
    }
}

static void want_machine(double *const *v)
{
    for (int t = 0; t < 64; t++) {
        int32_t a = (int32_t)v[1][t], b = t, swap;
        int pc = 0, length = N(3);
        for (int fuel = 200; pc < length && fuel > 0; fuel--, pc++) {
            int op = (int)v[0][(pc + t % 3) % length] % 11;
            uint32_t ua = (uint32_t)a, ub = (uint32_t)b;
            if (op == 0)
                a = (int32_t)(ua + ub);
            else if (op == 1)
                b = (int32_t)(ua - ub);
            else if (op == 2)
                a = (int32_t)(ua ^ ub << 3);
            else if (op == 3)
                b = (int32_t)(ub * 5 + 1);
            else if (op == 4)
                a = a < b ? b : a;
            else if (op == 5)
                pc += a & 1;
            else if (op == 6)
                swap = a, a = b, b = swap;
            else if (op == 7)
                a = (int32_t)(ua >> 1);
            else if (op == 8)
                b = __builtin_popcount(ua);
            else if (op == 9)
                pc += (b & 7) == 7 ? 2 : 0;
            else
                a = (int32_t)(ua - 3);
        }
        v[2][t] = a ^ b;
    }
}

static void want_found(double *const *v)
{
    for (int b = 0; b < 6; b++) {
        v[1][b] = -1;
        for (int i = N(2) - 1; i >= 0; i--)
            if (v[0][b * N(2) + i] == v[3][0])
                v[1][b] = i;
    }
}

static void want_gcd(double *const *v)
{
    for (int i = 0; i < N(3); i++) {
        uint32_t a = (uint32_t)v[0][i], b = (uint32_t)v[1][i], t;
        for (; b != 0; a = b, b = t)
            t = a % b;
        v[2][i] = a;
    }
}

static double horner(const double *c, int n, double x)
{
    double r = c[n - 1];
    for (int i = n - 2; i >= 0; i--)
        r = r * x + c[i];
    return r;
}

static void want_calls(double *const *v)
{
    for (int i = 0; i < N(4); i++) {
        double x = v[1][i], y = horner(v[0], 5, x);
        y += i % 3 == 0 ? horner(v[0] + 2, 3, y) : 0;
        double d = x * x - 4 * ((double)-0.2f + 0.1 * (i % 4));
        int count = d < 0 ? 0 : 2;
        double s = count > 0 ? sqrt(d) : 0;
        v[2][i] = y + (count > 0 ? (-x - s) + (-x + s) / 2 : 0);
        v[3][i] = count;
    }
}

static int ackermann(int m, int n)
{
    return m == 0 ? n + 1 : ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

static void want_ackermann(double *const *v)
{
    for (int i = 0; i < 64; i++)
        v[0][i] = ackermann(i % 3, i % 5);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void want_sorted(double *const *v)
{
    memcpy(v[1], v[0], 64 * 24 * sizeof(double));
    for (int i = 0; i < 64; i++)
        qsort(v[1] + i * 24, 24, sizeof(double), ascending);
}

static double unary(int which, double x)
{
    return which == 0 ? x * x : which == 1 ? x / 2 : x + 3;
}

static void want_table(double *const *v)
{
    for (int i = 0; i < N(3); i++)
        v[2][i] = unary((int)v[1][i] / 3 % 3, unary((int)v[1][i] % 3, v[0][i]));
}

static void want_masks(double *const *v)
{
    for (int w = 0; w < 2; w++) {
        int x[32], first = -1, last = -1, sum = 0, odds = 0;
        for (int l = 0; l < 32; l++) {
            x[l] = (int)v[0][w * 32 + l];
            odds += x[l] & 1;
            sum += x[l] & 1 ? 0 : x[l];
            first = first < 0 && (x[l] & 1) ? l : first;
            last = x[l] & 1 ? last : l;
        }
        int start = x[first];
        for (int k = 0; k < (start & 7); k++)
            start = start * 3 + 1;
        int r[32], any[2] = {0, 0};
        for (int l = 0; l < 32; l++) {
            r[l] = x[l] & 1 ? start + odds : sum + x[last];
            any[l / 16] |= r[l] > 100;
        }
        for (int l = 0; l < 32; l++)
            v[1][w * 32 + l] = r[l] + any[l / 16] * 7;
    }
}

static void want_named(double *const *v)
{
    for (int i = 0; i < 64; i++) {
        v[1][i] = 0;
        for (int r = 0; r < N(2); r++)
            v[1][i] += v[0][r * 64 + 63 - i] * 2 * (r + 1);
    }
}

static void want_pairs(double *const *v)
{
    for (int i = 0; i < 160; i++) {
        int pair = i / 64, swaps = pair + 1, other = pair * 64 + (i + 32) % 64;
        v[1][i] = i >= 128        ? v[0][159 - i % 32]
                  : swaps % 2 > 0 ? v[0][other] + swaps * (swaps - 1) / 2.0
                                  : v[0][i] + swaps * (swaps - 1) / 2.0;
    }
}

static void want_flag(double *const *v)
{
    double most = 0;
    for (int i = 32; i < 64; i++)
        most = fmax(most, v[0][i]);
    for (int i = 0; i < 32; i++)
        v[1][i] = v[0][i] + most;
}

/* clang-format off */
static const corpus_case control[] = {
    {.kernel = "nested_divergence", GRID(4), BLOCK(96), .want = want_nested,
     ARGS(IN(I32, 333, INDEX, 65536), OUT(I32, 333), INT(333))},
    {.kernel = "byte_machine", BLOCK(64), .want = want_machine,
     ARGS(IN(U8, 61, BITS, 0), IN(I32, 64, BITS, 0), OUT(I32, 64), INT(61))},
    {.kernel = "early_exits", GRID(6), BLOCK(64), .want = want_found,
     ARGS(IN(I32, 6 * 301, INDEX, 200), OUT(I32, 6), INT(301), INT(77))},
    {.kernel = "goto_euclid", GRID(3), BLOCK(64), .want = want_gcd,
     ARGS(IN(U32, 150, INDEX, 5000), IN(U32, 150, INDEX, 300), OUT(U32, 150), INT(150))},
    {.kernel = "noinline_calls", GRID(3), BLOCK(64), .want = want_calls, TOL(1e-5, 1e-5),
     ARGS(IN(F32, 5, NOISE, 1), IN(F32, 151, NOISE, 1), OUT(F32, 151), OUT(I32, 151), INT(151))},
    {.kernel = "recursion_ackermann", BLOCK(64), .want = want_ackermann, ARGS(OUT(I32, 64))},
    {.kernel = "recursion_quicksort", GRID(2), BLOCK(32), .want = want_sorted,
     ARGS(IN(I32, 64 * 24, INDEX, 500), OUT(I32, 64 * 24))},
    {.kernel = "function_table", GRID(3), BLOCK(64), .want = want_table, TOL(1e-6, 1e-6),
     ARGS(IN(F32, 151, NOISE, 3), IN(I32, 151, INDEX, 9), OUT(F32, 151), INT(151))},
    {.kernel = "masks_of_warps", BLOCK(64), .want = want_masks, ARGS(IN(I32, 64, INDEX, 100), OUT(I32, 64))},
    {.kernel = "named_barriers", BLOCK(128), .want = want_named, TOL(1e-5, 1e-5),
     ARGS(IN(F32, 7 * 64, NOISE, 1), OUT(F32, 64), INT(7))},
    {.kernel = "barriers_of_pairs", BLOCK(160), .want = want_pairs, ARGS(IN(I32, 160, INDEX, 1000), OUT(I32, 160))},
    {.kernel = "flag_between_warps", BLOCK(64), .want = want_flag, ARGS(IN(I32, 64, INDEX, 1000), OUT(I32, 32))},
};
/* clang-format on */

static const corpus_file files[] = {
    CORPUS_FILE("control.cu", control, "90", "80", "100"),
};

int main(void)
{
    return corpus_main(files, sizeof files / sizeof files[0], 0);
}
