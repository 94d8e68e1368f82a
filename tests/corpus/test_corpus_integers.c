/* Integers: bits, wide and packed arithmetic, generators, hashes. */
#include "tests/corpus/corpus.h"

static uint32_t permuted(uint32_t a, uint32_t b, uint32_t selector)
{
    uint64_t all = (uint64_t)b << 32 | a;
    uint32_t r = 0;
    for (int k = 0; k < 4; k++)
        r |= (uint32_t)(all >> ((selector >> (4 * k) & 7) * 8) & 255) << (8 * k);
    return r;
}

static uint32_t reversed(uint32_t x)
{
    uint32_t r = 0;
    for (int k = 0; k < 32; k++)
        r |= (x >> k & 1) << (31 - k);
    return r;
}

static void want_bits(double *const *v)
{
    for (int i = 0; i < N(3); i++) {
        uint32_t a = (uint32_t)v[0][i], b = (uint32_t)v[1][i], c = a + b;
        uint64_t ba = (uint64_t)b << 32 | a;
        uint32_t low = a & 0xfff0fff0u, right = b & 63 ? (b & 63) : 0, len = b >> 8 & 15,
                 pos = a & 15;
        double *o = v[2] + i * 16;
        o[0] = permuted(a, b, 0x3715), o[1] = permuted(a, b, b & 0x7777);
        o[2] = (uint32_t)(ba << (a & 31) >> 32);
        o[3] = (uint32_t)(ba >> (right > 32 ? 32 : right));
        o[4] = a >> (b & 31) ? __builtin_clz(a >> (b & 31)) : 32;
        o[5] = __builtin_popcount(a & b), o[6] = reversed(a), o[7] = __builtin_ffs((int)low);
        o[8] = a >> (b & 31) & ((1u << len) - 1);
        o[9] = (a & ~(511u << pos)) | (b & 511) << pos;
        o[10] = (a & b) | (a & c) | (b & c);
        o[11] = a << 7 | a >> 25, o[12] = (uint64_t)a * b >> 32;
        o[13] = (uint32_t)((int64_t)(int32_t)a * (int32_t)b >> 32);
        o[14] = (a > b ? a - b : b - a) + 5;
        o[15] =
            (uint32_t)((uint32_t)(((uint64_t)a + b) >> 1) + (uint32_t)(((uint64_t)a + b + 1) >> 1));
    }
}

static int byte_at(uint32_t x, int k)
{
    return (int8_t)(x >> (8 * k));
}

static void want_dots(double *const *v)
{
    for (int i = 0; i < N(3); i++) {
        uint32_t a = (uint32_t)(int32_t)v[0][i], b = (uint32_t)(int32_t)v[1][i], u = 7;
        int s = i, low = -i, high = 1;
        for (int k = 0; k < 4; k++) {
            s += byte_at(a, k) * byte_at(b, k);
            u += (a >> (8 * k) & 255) * (b >> (8 * k) & 255);
        }
        for (int k = 0; k < 2; k++) {
            low += (int16_t)(a >> (16 * k)) * byte_at(b, k);
            high += (int16_t)(a >> (16 * k)) * byte_at(b, k + 2);
        }
        double *o = v[2] + i * 4;
        o[0] = s, o[1] = (int32_t)u, o[2] = low, o[3] = high;
    }
}

__extension__ typedef unsigned __int128 wide;

static void want_wide(double *const *v)
{
    for (int i = 0; i < N(3); i++) {
        uint64_t a = (uint64_t)v[0][i] * 0x9E3779B97F4A7C15ull, b = (uint64_t)v[1][i] + 3, r = 0;
        double *o = v[2] + i * 8;
        o[0] = (double)((a / b) & 0xfffffffffffffull), o[1] = (double)(a % b);
        o[2] = (double)(uint64_t)((wide)a * a >> 76);
        o[3] = (double)((uint64_t)((int64_t)a / -(int64_t)b) >> 12);
        o[4] = (double)((uint64_t)((int64_t)a % 1000007) & 0xfffff);
        o[5] = (double)((a >> (b & 63)) & 0xffffffff);
        o[6] = __builtin_popcountll(a) * 100 + (a >> 20 ? __builtin_clzll(a >> 20) : 64);
        for (int k = 0; k < 64; k++)
            r |= (a >> k & 1) << (63 - k);
        o[7] = (double)(r >> 12);
    }
}

static void want_divisions(double *const *v)
{
    for (int i = 0; i < N(3); i++) {
        int a = (int)v[0][i], b = (int)v[1][i];
        double *o = v[2] + i * 6;
        o[0] = a / 7, o[1] = a % 641, o[2] = a / b, o[3] = a % b, o[4] = (uint32_t)a / 12345u;
        o[5] = (int16_t)a / (int16_t)(b | 1);
    }
}

static int clamp(int64_t x, int64_t low, int64_t high)
{
    return (int)(x < low ? low : x > high ? high : x);
}

static void want_saturated(double *const *v)
{
    for (int i = 0; i < N(3); i++) {
        int64_t a = (int64_t)v[0][i], b = (int64_t)v[1][i];
        uint32_t ua = (uint32_t)a, ub = (uint32_t)b, sum = 0, greater = 0, least = 0;
        for (int k = 0; k < 2; k++) {
            int x = (int16_t)(ua >> (16 * k)), y = (int16_t)(ub >> (16 * k));
            uint32_t p = ua >> (16 * k) & 65535, q = ub >> (16 * k) & 65535;
            sum |= (uint32_t)(clamp(x + y, -32768, 32767) & 65535) << (16 * k);
            least |= (p < q ? p : q) << (16 * k);
        }
        for (int k = 0; k < 4; k++)
            greater |= byte_at(ua, k) > byte_at(ub, k) ? 255u << (8 * k) : 0;
        double *o = v[2] + i * 6;
        o[0] = clamp(a + b, INT32_MIN, INT32_MAX), o[1] = clamp(a - b, INT32_MIN, INT32_MAX);
        o[2] = clamp(a >> 22, 0, 255);
        o[3] = (int32_t)sum, o[4] = (int32_t)greater, o[5] = (int32_t)least;
    }
}

static void want_carries(double *const *v)
{
    for (int i = 0; i < 64; i++) {
        wide a = 0, b = 0, sum, product;
        for (int k = 3; k >= 0; k--) {
            a = a << 32 | (uint32_t)v[0][i * 4 + k];
            b = b << 32 | (uint32_t)v[1][i * 4 + k];
        }
        sum = a + b;
        product = (wide)(uint64_t)a * (uint64_t)b;
        for (int k = 0; k < 4; k++) {
            v[2][i * 4 + k] = (uint32_t)(sum >> (32 * k));
            v[3][i * 4 + k] = (uint32_t)(product >> (32 * k));
        }
    }
}

static void philox(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    for (int r = 0; r < 10; r++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        uint64_t p = (uint64_t)0xD2511F53u * c[0], q = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t next[4] = {(uint32_t)(q >> 32) ^ c[1] ^ k0, (uint32_t)q,
                            (uint32_t)(p >> 32) ^ c[3] ^ k1, (uint32_t)p};
        memcpy(c, next, sizeof next);
    }
}

static void want_dropout(double *const *v)
{
    float keep = (float)v[4][0], scale = 1.0f / keep;
    uint64_t seed = (uint64_t)v[5][0];
    for (int i = 0; i < N(3); i++) {
        uint32_t c[4] = {(uint32_t)i, 0, 0, 0};
        philox(c, (uint32_t)seed, (uint32_t)(seed >> 32));
        for (int k = 0; k < 4; k++) {
            bool kept = (float)c[k] * (1.0f / 4294967296.0f) < keep;
            v[1][i * 4 + k] = kept ? (float)v[0][i * 4 + k] * scale : 0;
            v[2][i * 4 + k] = kept;
        }
    }
}

static void want_normal(double *const *v)
{
    uint32_t s = (uint32_t)v[1][0];
    for (int i = 0; i < N(2); i++) {
        s = s * 1664525u + 1013904223u;
        double u = ((s >> 8) + 0.5) / 16777216;
        s = s * 1664525u + 1013904223u;
        double angle = 2 * 3.14159265358979323846 * (s >> 8) / 16777216, r = sqrt(-2 * log(u));
        v[0][2 * i] = r * cos(angle);
        v[0][2 * i + 1] = r * sin(angle);
    }
}

/* Whatever the order, linear probing fills the same slots. */
static void want_hashes(double *const *v)
{
    int size = N(5);
    for (int w = 0; w < N(4); w++) {
        uint32_t h = 2166136261u;
        for (int i = (int)v[1][w]; i < (int)v[1][w + 1]; i++)
            h = (h ^ (uint32_t)v[0][i]) * 16777619u;
        h = (h ^ h >> 16) * 0x85ebca6bu;
        h = (h ^ h >> 13) * 0xc2b2ae35u;
        h ^= h >> 16;
        v[2][w] = h;
        int at = (int)(h % (uint32_t)size);
        while (v[3][at] >= 0)
            at = (at + 1) % size;
        v[3][at] = 1;
    }
}

/* clang-format off */
static const corpus_case integers[] = {
    {.kernel = "bit_tricks", GRID(3), BLOCK(64), .want = want_bits,
     ARGS(IN(U32, 150, BITS, 0), IN(U32, 150, BITS, 0), OUT(U32, 2400), INT(150))},
    {.kernel = "dot_products", BLOCK(64), .want = want_dots,
     ARGS(IN(I32, 61, BITS, 0), IN(I32, 61, BITS, 0), OUT(I32, 244), INT(61))},
    {.kernel = "wide_arithmetic", GRID(2), BLOCK(64), .want = want_wide,
     ARGS(IN(I64, 100, BITS, 0), IN(I64, 100, BITS, 0), OUT(I64, 800), INT(100))},
    {.kernel = "small_divisions", GRID(2), BLOCK(64), .want = want_divisions,
     ARGS(IN(I32, 100, BITS, 0), IN(I32, 100, BITS, 0), OUT(I32, 600), INT(100))},
    {.kernel = "saturating", BLOCK(96), .want = want_saturated,
     ARGS(IN(I32, 90, BITS, 0), IN(I32, 90, BITS, 0), OUT(I32, 540), INT(90))},
    {.kernel = "carries", BLOCK(64), .want = want_carries,
     ARGS(IN(U32, 256, BITS, 0), IN(U32, 256, BITS, 0), OUT(U32, 256), OUT(U32, 256))},
    {.kernel = "philox_dropout", GRID(2), BLOCK(64), .want = want_dropout,
     ARGS(IN(F32, 800, NOISE, 1), OUT(F32, 800), OUT(U8, 800), INT(200), FLOAT(0.8), LONG(123456789012345.0))},
    {.kernel = "lcg_normal", GRID(3), BLOCK(64), .want = want_normal, TOL(2e-6, 2e-6),
     ARGS(OUT(F32, 300), UINT(2463534242.0), INT(150))},
    {.kernel = "hash_table", GRID(2), BLOCK(32), .want = want_hashes,
     ARGS(IN(U8, 300, BITS, 0), IN(I32, 51, IOTA, 5), OUT(U32, 50), INOUT(I32, 67, VALUE, -1), INT(50), INT(67))},
};
/* clang-format on */

static const corpus_file files[] = {
    CORPUS_FILE("integers.cu", integers, "90", "80", "100"),
};

int main(void)
{
    return corpus_main(files, sizeof files / sizeof files[0], 0);
}
