/* Inputs as a pure function of (seed, buffer, element): generated where they are used, the same
 * bits on every device. Only integer arithmetic and the IEEE 754 operations + - * on doubles are
 * used, in a fixed order and never contracted into fma (CMakeLists.txt compiles this file with
 * -ffp-contract=off), and no library function whose result may differ between platforms.
 *
 * Random words: element i takes word i % 4 of the Philox4x32-10 block with counter (i / 4 low, i /
 * 4 high, buffer, stream) and key (seed low, seed high). Uniform: low + (high - low) * (word *
 * 2^-32); floor of that in integer types. Normal: by inversion. The top bit of the word is the
 * sign, the other 31 give an upper tail probability p = h * 2^-33 with h = 2 * bits + 1 odd; the
 * leading one of h selects an octave and the rest a point in it, where a polynomial gives the
 * quantile (fill_table.h; the segmentation follows Cheung, Lee, Luk and Villasenor, "Hardware
 * generation of arbitrary random number distributions from uniform distributions via the inversion
 * method", IEEE Trans. VLSI 2007). Values reach +-6.34 standard deviations with the right frequency
 * of the tails; at most 1.0e-7 off. Permutation: a 4-round Feistel network over the smallest even
 * number of bits that holds the buffer, with Philox as its round function, walked until the value
 * is inside (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). Offsets: 0
 * first, the total last; between them floor((q + t^4) * b) with i = 32 q + r, t = (r + word *
 * 2^-32) / 32 and b = 32 * total / (elements - 1), which ascends by itself and lets the mean length
 * of the segments rise from 0 to four times the overall mean within every 32 of them. Listed: the
 * numbers that the row gives. At last every value becomes value * scale + shift (the regime) and is
 * rounded once to the type; a wide filler writes the rounded value as a double. */
#include "eval/fill_table.h"
#include "eval/task.h"
#include "search/base/random.h"
#include <assert.h>
#include <math.h>
#include <string.h>

#define STREAM_WORDS 1u   /* counter word 3: what a Philox block is for */
#define STREAM_FEISTEL 2u /* + round number in the high half */
#define FEISTEL_ROUNDS 4
#define CHUNK 1024 /* elements generated at once, a multiple of 4 */

static double normal_quantile(uint32_t word)
{
    uint32_t h = word << 1 | 1u; /* without the sign bit, which is shifted out */
    int leading = __builtin_clz(h);
    double t = (double)(h << leading) * 0x1p-31 - 1.5;
    const double *c = fill_normal_table[31 - leading];
    double z = c[KDS_FILL_DEGREE];
    for (int i = KDS_FILL_DEGREE - 1; i >= 0; i--)
        z = z * t + c[i];
    return z * (1.0 - 2.0 * (double)(word >> 31)); /* the sign, without a branch on noise */
}

/* Words of elements [first, first + count); first is a multiple of 4, `out` has room for count
 * rounded up to 4. */
static void draw_words(const kds_filler *f, int64_t first, int64_t count, uint32_t *out)
{
    uint32_t key[2] = {(uint32_t)f->seed, (uint32_t)(f->seed >> 32)};
    uint64_t block = (uint64_t)first / 4;
    for (int64_t i = 0; i < count; i += 4, block++) {
        uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), f->buffer, STREAM_WORDS};
        kds_philox(counter, key, out + i);
    }
}

static uint64_t feistel(const kds_filler *f, int half_bits, uint64_t value)
{
    uint32_t key[2] = {(uint32_t)f->seed, (uint32_t)(f->seed >> 32)};
    uint64_t mask = (UINT64_C(1) << half_bits) - 1;
    uint64_t left = value >> half_bits, right = value & mask;
    for (uint32_t round = 0; round < FEISTEL_ROUNDS; round++) {
        uint32_t counter[4] = {(uint32_t)right, (uint32_t)(right >> 32), f->buffer,
                               STREAM_FEISTEL | round << 16};
        uint32_t out[4];
        kds_philox(counter, key, out);
        uint64_t next = left ^ ((out[0] | (uint64_t)out[1] << 32) & mask);
        left = right;
        right = next;
    }
    return left << half_bits | right;
}

static int64_t permuted(const kds_filler *f, int64_t i)
{
    int half_bits = 1;
    while (half_bits < 31 && (INT64_C(1) << (2 * half_bits)) < f->span)
        half_bits++;
    uint64_t v = (uint64_t)i;
    do
        v = feistel(f, half_bits, v);
    while (v >= (uint64_t)f->span);
    return (int64_t)v;
}

static double offset_at(const kds_filler *f, int64_t i, uint32_t word)
{
    if (i == 0 || i >= f->span - 1)
        return i == 0 ? 0 : f->fill.a;
    double t = ((double)(i % 32) + (double)word * 0x1p-32) * 0x1p-5;
    double v = floor(((double)(i / 32) + t * t * (t * t)) * f->fill.b);
    return v < f->fill.a ? v : f->fill.a;
}

static bool is_integer(kds_dtype t)
{
    return t == KDS_DTYPE_I32 || t == KDS_DTYPE_I64 || t == KDS_DTYPE_U8;
}

/* Values of elements [first, first + count) before the regime; first is a multiple of 4. */
static void draw_values(const kds_filler *f, int64_t first, int64_t count, double *out)
{
    uint32_t words[CHUNK];
    double a = f->fill.a, b = f->fill.b;
    switch (f->fill.kind) {
    case KDS_FILL_NORMAL:
        draw_words(f, first, count, words);
        for (int64_t i = 0; i < count; i++)
            out[i] = a + b * normal_quantile(words[i]);
        break;
    case KDS_FILL_UNIFORM:
        draw_words(f, first, count, words);
        for (int64_t i = 0; i < count; i++)
            out[i] = a + (b - a) * ((double)words[i] * 0x1p-32);
        if (is_integer(f->dtype)) {
            for (int64_t i = 0; i < count; i++)
                out[i] = floor(out[i]);
        }
        break;
    case KDS_FILL_CONSTANT:
        for (int64_t i = 0; i < count; i++)
            out[i] = a;
        break;
    case KDS_FILL_IOTA:
        for (int64_t i = 0; i < count; i++)
            out[i] = a + b * (double)(first + i);
        break;
    case KDS_FILL_PERMUTATION:
        for (int64_t i = 0; i < count; i++)
            out[i] = (double)permuted(f, first + i);
        break;
    case KDS_FILL_OFFSETS:
        draw_words(f, first, count, words);
        for (int64_t i = 0; i < count; i++)
            out[i] = offset_at(f, first + i, words[i]);
        break;
    case KDS_FILL_LISTED:
        for (int64_t i = 0; i < count; i++)
            out[i] = f->list[first + i];
        break;
    }
}

kds_filler kds_task_filler(const kds_task *t, const kds_row *row, int buffer, const kds_extent *x,
                           uint64_t secret, int regime)
{
    const struct {
        uint64_t row, secret, regime;
    } mix = {row->seed, secret, (uint64_t)regime};
    kds_filler f = {.fill = t->buffers[buffer].fill,
                    .dtype = x->dtype,
                    .scale = 1,
                    .shift = 0,
                    .seed = kds_hash64(&mix, sizeof mix, 0),
                    .buffer = (uint32_t)buffer,
                    .span = x->span,
                    .list = row->lists[buffer].values};
    kds_err e;
    if (t->buffers[buffer].role == KDS_ROLE_OUT)
        f.fill = (kds_fill){.kind = KDS_FILL_CONSTANT};
    else if (kds_task_fill(t, row, buffer, x, &f.fill, &e) != KDS_OK)
        assert(!"the loader evaluates every fill");
    const kds_regime *r = &t->regimes[regime];
    for (int i = 0; i < r->count; i++) {
        if (r->changes[i].buffer == buffer) {
            f.scale = r->changes[i].scale;
            f.shift = r->changes[i].shift;
        }
    }
    return f;
}

void kds_filler_write(const kds_filler *f, int64_t first, int64_t count, void *out)
{
    size_t size = kds_dtype_size(f->wide ? KDS_DTYPE_F64 : f->dtype);
    unsigned char *to = out, narrow[8];
    double values[CHUNK];
    while (count > 0) {
        int64_t skip = first % 4; /* only in the first chunk */
        int64_t n = count + skip < CHUNK ? count + skip : CHUNK;
        draw_values(f, first - skip, n, values);
        for (int64_t i = skip; i < n; i++, to += size) {
            kds_dtype_store(f->dtype, f->wide ? narrow : to, values[i] * f->scale + f->shift);
            if (f->wide)
                kds_dtype_store(KDS_DTYPE_F64, to, kds_dtype_load(f->dtype, narrow));
        }
        first += n - skip;
        count -= n - skip;
    }
}
