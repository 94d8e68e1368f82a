/* Newer and rarer features of the language and the machine. */
#include "tests/corpus/corpus.h"

static void want_vector_atomics(double *const *v)
{
    for (int i = 0; i < N(3); i++) {
        for (int k = 0; k < 4; k++)
            v[1][i % 3 * 4 + k] += v[0][4 * i + k];
        v[2][i % 5 * 2] += v[0][4 * i];
        v[2][i % 5 * 2 + 1] += v[0][4 * i + 3];
    }
}

static void want_struct(double *const *v)
{
    for (int i = 0; i < N(2) * N(3); i++) {
        int r = i / N(3), c = i % N(3);
        v[1][r * N(6) + c] = v[0][r * N(5) + c] * v[4][0];
    }
}

static void want_generic(double *const *v)
{
    static const int weights[2][4] = {{1, -2, 3, -4}, {5, 6, 7, 8}};
    for (int t = 0; t < 64; t++) {
        int kind = (int)v[0][t] & 3, s = 0;
        for (int k = 0; k < 4; k++)
            s = s * 3 + (kind == 0   ? k * 100
                         : kind == 1 ? ((k - t) & 3) * 1000 + t
                         : kind == 2 ? weights[t & 1][k]
                                     : 10 * (k + 1));
        v[1][t] = s + (kind == 0 ? 7 : 0);
    }
}

static void want_local(double *const *v)
{
    int n = N(2);
    for (int t = 0; t < 64; t++) {
        int stack[32], top = 0, small[16] = {0};
        uint32_t s = 0;
        for (int i = 0; i < n; i++) {
            int e = (int)v[0][t * n + i];
            if (e % 4 == 3 && top >= 2) {
                int b = stack[--top], a = stack[--top];
                stack[top++] = e & 8 ? a - b : a + 2 * b;
            } else if (top < 32) {
                stack[top++] = e;
            }
            small[e & 15] += e & 7;
        }
        for (int k = 0; k < top; k++)
            s = s * 7 + (uint32_t)stack[k];
        for (int k = 0; k < 16; k++)
            s ^= (uint32_t)small[k] << k;
        v[1][t] = (int32_t)s;
    }
}

static void want_doubled(double *const *v)
{
    for (int i = 0; i < N(2); i++)
        v[1][i] = v[0][i] * 2;
}

static void want_timers(double *const *v)
{
    for (int i = 0; i < 64; i++) {
        uint32_t x = (uint32_t)(int32_t)v[0][i];
        for (int k = 0; k < 20; k++)
            x = x * 1103515245u + 12345u;
        v[1][2 * i] = (int32_t)x;
        v[1][2 * i + 1] = 63;
    }
}

static void want_packed(double *const *v)
{
    for (int i = 0; i < 2 * N(3); i++) {
        v[2][i] = i % 2 ? -0.5 : 0.5;
        for (int k = 0; k < 8; k++)
            v[2][i] += v[0][i / 2 * 16 + 2 * k + i % 2] * v[1][2 * k + i % 2];
    }
}

static void want_reversed(double *const *v)
{
    for (int i = 0; i < 8 * N(2); i++)
        v[1][i / 8 * 8 + 7 - i % 8] = v[0][i] + i % 8;
}

static void want_rare(double *const *v)
{
    uint32_t bits[3] = {(uint32_t)(int32_t)v[4][0], (uint32_t)(int32_t)v[4][1],
                        (uint32_t)(int32_t)v[4][2]};
    uint32_t cell = (uint32_t)v[1][0];
    for (int i = 0; i < N(5); i++) {
        int x = (int)v[0][i];
        cell += x & 3;
        v[2][0] = v[2][0] >= 9 ? 0 : v[2][0] + 1;
        v[2][1] = v[2][1] == 0 || v[2][1] > 12 ? 12 : v[2][1] - 1;
        v[3][0] = fmax(v[3][0], (double)x * 1048576);
        v[3][1] = fmin(v[3][1], -(double)x);
        bits[0] &= ~(1u << (x & 31));
        bits[1] |= 1u << (x & 31);
        bits[2] ^= (uint32_t)x;
        v[4][3] += 1;
        v[4][4] += x & 7;
    }
    for (int k = 0; k < 3; k++)
        v[4][k] = (int32_t)bits[k];
    v[1][0] = cell;
}

static void want_uniform(double *const *v)
{
    for (int r = 0; r < N(3); r++) {
        v[2][r] = 0;
        for (int i = 0; i < 64; i++)
            v[2][r] = v[2][r] > 0 || v[0][r * 64 + i] > 0.96;
        for (int i = 0; i < 64; i++)
            v[1][r * 64 + i] = v[2][r] > 0 ? 0 : -v[0][r * 64 + i];
    }
}

/* clang-format off */
static const corpus_case modern[] = {
    {.kernel = "vector_atomics", GRID(3), BLOCK(64), .want = want_vector_atomics, TOL(1e-4, 1e-5),
     ARGS(IN(F32, 600, NOISE, 1), INOUT(F32, 12, NOISE, 1), INOUT(F32, 10, NOISE, 1), INT(150))},
    {.kernel = "struct_parameter", GRID(2), BLOCK(64), .want = want_struct, TOL(1e-7, 1e-7),
     ARGS(IN(F32, 13 * 31, NOISE, 1), OUT(F32, 13 * 29), INT(13), INT(27), FLOAT(1.75), INT(31), INT(29))},
    {.kernel = "generic_pointers", BLOCK(64), .want = want_generic, ARGS(IN(I32, 64, INDEX, 100), OUT(I32, 64))},
    {.kernel = "local_arrays", BLOCK(64), .want = want_local, ARGS(IN(I32, 64 * 40, INDEX, 100), OUT(I32, 64), INT(40))},
    {.kernel = "prints_and_asserts", GRID(3), BLOCK(64), .want = want_doubled,
     ARGS(IN(F32, 170, NOISE, 1), OUT(F32, 170), INT(170))},
    {.kernel = "timers", BLOCK(64), .want = want_timers, ARGS(IN(I32, 64, BITS, 0), OUT(I32, 128))},
    {.kernel = "packed_single", GRID(2), BLOCK(64), .want = want_packed, TOL(1e-6, 1e-6),
     ARGS(IN(F32, 100 * 16, NOISE, 1), IN(F32, 16, NOISE, 1), OUT(F32, 200), INT(100))},
    {.kernel = "loads_of_32_bytes", GRID(2), BLOCK(64), .want = want_reversed, TOL(1e-6, 1e-6),
     ARGS(IN(F32, 800, NOISE, 1), OUT(F32, 800), INT(100))},
    {.kernel = "rare_atomics", GRID(2), BLOCK(64), .want = want_rare,
     ARGS(IN(I32, 100, INDEX, 5000), INOUT(U16, 1, VALUE, 5), INOUT(U32, 2, VALUE, 3), INOUT(I64, 2, VALUE, 7), INOUT(I32, 5, VALUE, -1), INT(100))},
    {.kernel = "uniform_branches", GRID(3), BLOCK(64), .want = want_uniform,
     ARGS(IN(BF16, 10 * 64, NOISE, 1), OUT(BF16, 10 * 64), OUT(I32, 10), INT(10))},
};
/* clang-format on */

static const corpus_file files[] = {
    CORPUS_FILE("modern.cu", modern, "90", "80", "100"),
};

int main(void)
{
    return corpus_main(files, sizeof files / sizeof files[0], 0);
}
