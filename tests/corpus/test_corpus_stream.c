/* Streaming kernels and moves of data. */
#include "tests/corpus/corpus.h"

static void want_axpy(double *const *v)
{
    for (int i = 0; i < N(3); i++)
        v[1][i] += v[2][0] * v[0][i];
}

static void want_scale(double *const *v)
{
    for (int i = 0; i < N(3); i++)
        v[2][i] = v[0][i] * v[1][0];
}

static void want_silu(double *const *v)
{
    int width = 2 * N(3);
    for (int r = 0; r < N(2); r++)
        for (int i = 0; i < width; i++) {
            double g = v[0][r * 2 * width + i], u = v[0][r * 2 * width + width + i];
            v[1][r * width + i] = g / (1 + exp(-g)) * u;
        }
}

static void want_threshold(double *const *v)
{
    for (int i = 0; i < 4 * N(3); i++)
        v[1][i] = v[0][i] > v[2][0] ? 255 : floor(v[0][i] / 2);
}

static void want_sum(double *const *v)
{
    for (int i = 0; i < 4 * N(3); i++)
        v[2][i] = v[0][i] + v[1][i];
}

static void want_hinted(double *const *v)
{
    for (int i = 0; i < N(3); i++)
        v[2][i] = (int)v[0][i] ^ (int)v[1][(int)v[0][i] & 63];
}

static void want_volume(double *const *v)
{
    for (int z = 0, i = 0; z < N(3); z++)
        for (int y = 0; y < N(2); y++)
            for (int x = 0; x < N(1); x++)
                v[0][i++] = x + 100 * y + 10000 * z;
}

static void want_bytes(double *const *v)
{
    for (int i = 0; i < 2 * N(3); i++)
        v[1][i] = rint(fmin(fmax(v[0][i] * v[2][0], 0), 255));
}

static void want_gelu(double *const *v)
{
    for (int i = 0; i < N(2); i++) {
        double x = v[0][i];
        v[1][i] = 0.5 * x * (1 + tanh(0.7978845608 * (x + 0.044715 * x * x * x)));
    }
}

static void want_blend(double *const *v)
{
    for (int i = 0; i < 16 * N(4); i++) {
        int a = (int)v[0][i], b = (int)v[1][i], word = i / 4 % 4;
        v[2][i] = (a + b + 1) / 2;
        v[3][i] = word < 2 ? abs(a - b) : word == 2 ? (a > b ? a - b : 0) : (a > b ? a : b);
    }
}

static void want_negated(double *const *v)
{
    for (int i = 0; i < N(3); i++)
        v[1][N(2) + i] = -v[0][N(2) + i];
}

static const corpus_case stream[] = {
    {.kernel = "axpy_vec4",
     GRID(9),
     BLOCK(64),
     .want = want_axpy,
     TOL(1e-6, 1e-6),
     ARGS(IN(F32, 2047, NOISE, 10), INOUT(F32, 2047, NOISE, 10), FLOAT(1.5), INT(2047))},
    {.kernel = "bf16_scale_uint4",
     GRID(2),
     BLOCK(96),
     .want = want_scale,
     TOL(0, 0.004),
     ARGS(IN(BF16, 3005, NOISE, 4), IN(BF16, 1, VALUE, 0.7), OUT(BF16, 3005), INT(3005))},
    {.kernel = "silu_mul_half2",
     GRID(2, 3),
     BLOCK(64),
     .want = want_silu,
     TOL(1e-5, 0.001),
     .fast = 2,
     ARGS(IN(F16, 5 * 4 * 77, NOISE, 6), OUT(F16, 5 * 2 * 77), INT(5), INT(77))},
    {.kernel = "threshold_bytes_streaming",
     GRID(3),
     BLOCK(128),
     .want = want_threshold,
     ARGS(IN(U8, 4 * 501, BITS, 0), OUT(U8, 4 * 501), BYTE(100), INT(501))},
    {.kernel = "residual_no_allocate",
     GRID(3),
     BLOCK(96),
     .want = want_sum,
     TOL(1e-7, 1e-7),
     ARGS(IN(F32, 4 * 500, NOISE, 1), IN(F32, 4 * 500, NOISE, 1), OUT(F32, 4 * 500), INT(500))},
    {.kernel = "hinted_policies",
     GRID(4),
     BLOCK(160),
     .want = want_hinted,
     ARGS(IN(I32, 603, BITS, 0), IN(I32, 64, BITS, 0), OUT(I32, 603), INT(603))},
    {.kernel = "volume_index",
     GRID(3, 2, 3),
     BLOCK(8, 4, 2),
     .want = want_volume,
     ARGS(OUT(I32, 19 * 7 * 5), INT(19), INT(7), INT(5))},
    {.kernel = "doubles_to_bytes",
     GRID(4),
     BLOCK(96),
     .want = want_bytes,
     ARGS(IN(F64, 2 * 333, NOISE, 2), OUT(U8, 2 * 333), DOUBLE(150), INT(333))},
    {.kernel = "gelu_persistent",
     GRID(3),
     BLOCK(128),
     .want = want_gelu,
     TOL(1e-5, 0.004),
     .fast = 2,
     ARGS(IN(F32, 4099, NOISE, 5), OUT(BF16, 4099), INT(4099))},
    {.kernel = "blend_bytes_simd",
     GRID(2),
     BLOCK(64),
     .want = want_blend,
     ARGS(IN(U8, 1600, BITS, 0), IN(U8, 1600, BITS, 0), OUT(U8, 1600), OUT(U8, 1600), INT(100))},
    {.kernel = "misaligned_head_body_tail",
     GRID(3),
     BLOCK(64),
     .want = want_negated,
     ARGS(IN(F32, 620, NOISE, 1), OUT(F32, 620), INT(3), INT(601))},
};

static const corpus_file files[] = {
    CORPUS_FILE("stream.cu", stream, "80", "90", "100"),
};

int main(void)
{
    return corpus_main(files, sizeof files / sizeof files[0], 0);
}
