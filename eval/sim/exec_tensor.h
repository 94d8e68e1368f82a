/* Part of exec_body.h: matrix products. A register of a fragment is a block of 8 lines, four lanes
 * to a line: block[8 * g + ...] is line g. Matrix a has blocks of rows, b of columns, d and c two
 * neighbours per lane.
 *
 * Floating point follows the tensor cores of Hopper, which were measured (README.md). The products
 * of a group and the accumulator are aligned to the largest exponent among them, cut off below the
 * 25th bit after its first, and summed exactly; the sum is cut to single precision or rounded to a
 * half. A product's exponent is the sum of its factors', an exponent of a subnormal the smallest
 * one. A sum that is zero is +0. */

#define TENSOR_DEPTH 16 /* of one group */

/* All 32 lanes of the warp must be here: lanes that have exited or never were are an error. */
static inline kds_step all_lanes(kds_warp *w, const kds_ins *i)
{
    if (w->mask == KDS_FULL)
        return KDS_STEP_ON;
    if (w->live != KDS_FULL)
        return kds_fault_text(w->run, KDS_SIM_BARRIER, i, (uint32_t)__builtin_ctz(w->mask),
                              "all 32 lanes of the warp must execute it, and lanes 0x%08x do not "
                              "exist or have exited",
                              ~w->live);
    return KDS_STEP_WAIT;
}

/* Vectors as wide as the machine's. */
#if defined(__AVX2__)
#define TENSOR_LANES 8
#else
#define TENSOR_LANES 4
#endif
typedef f32 tensor_f32 __attribute__((vector_size(4 * TENSOR_LANES)));
typedef s32 tensor_s32 __attribute__((vector_size(4 * TENSOR_LANES)));
typedef f64 tensor_f64 __attribute__((vector_size(8 * TENSOR_LANES)));
typedef s64 tensor_s64 __attribute__((vector_size(8 * TENSOR_LANES)));
typedef s16 tensor_short __attribute__((vector_size(2 * TENSOR_LANES)));
typedef s16 tensor_s16 __attribute__((vector_size(16)));
typedef s32 tensor_pairs __attribute__((vector_size(16)));
typedef s32 tensor_wide __attribute__((vector_size(32)));

#define TENSOR_LOAD(T, p) (*(const T *)(const void *)(p))
#define TENSOR_BIAS 127
/* Where single precision can scale operands, and sums: exponents in [low, high) or zero. */
#define TENSOR_LOW (TENSOR_BIAS - 45)
#define TENSOR_HIGH (TENSOR_BIAS + 45)
#define TENSOR_LOW_C (TENSOR_BIAS - 100)
#define TENSOR_HIGH_C (TENSOR_BIAS + 100)
#define TENSOR_FLOOR (short)(2 * TENSOR_BIAS - 100)
#define TENSOR_NONE 0xe000 /* the exponent of a zero, as 16 bits far below all others */

static inline tensor_s16 larger(tensor_s16 x, tensor_s16 y)
{
#if defined(__SSE2__)
    return (tensor_s16)_mm_max_epi16((__m128i)x, (__m128i)y);
#else
    tensor_s16 more = x > y;
    return (x & more) | (y & ~more);
#endif
}

/* The larger of words, or the smaller, that have 15 bits. */
static inline tensor_s32 larger_word(tensor_s32 x, tensor_s32 y)
{
#if defined(__AVX2__)
    return (tensor_s32)_mm256_max_epi16((__m256i)x, (__m256i)y);
#elif defined(__SSE2__)
    return (tensor_s32)_mm_max_epi16((__m128i)x, (__m128i)y);
#else
    tensor_s32 more = x > y;
    return (x & more) | (y & ~more);
#endif
}

static inline tensor_s32 smaller_word(tensor_s32 x, tensor_s32 y)
{
#if defined(__AVX2__)
    return (tensor_s32)_mm256_min_epi16((__m256i)x, (__m256i)y);
#elif defined(__SSE2__)
    return (tensor_s32)_mm_min_epi16((__m128i)x, (__m128i)y);
#else
    tensor_s32 less = x < y;
    return (x & less) | (y & ~less);
#endif
}

/* A group's operands: a in blocks of `each` columns, 16 rows in each; b[k][n]; c and d[m][n], row
 * after row. With their exponents, those of a twice in a word. */
typedef struct tensor_tile {
    f32 a[16 * TENSOR_DEPTH] __attribute__((aligned(64)));
    s32 a_exponent[16 * TENSOR_DEPTH] __attribute__((aligned(64)));
    f32 b[TENSOR_DEPTH * 8] __attribute__((aligned(64)));
    s16 b_exponent[TENSOR_DEPTH * 8] __attribute__((aligned(64)));
    f32 c[16 * 8] __attribute__((aligned(64)));
    s16 c_exponent[16 * 8] __attribute__((aligned(64)));
    f32 d[16 * 8] __attribute__((aligned(64)));
    int least, least_c; /* smallest exponents of the operands' formats */
    int depth, each;    /* products of an element; columns of a block */
    bool half_d;
} tensor_tile;

/* The bits of a magnitude, of a finite number. */
static inline u32 magnitude(f32 x)
{
    return kds_f32_bits(x) & 0x7fffffffu;
}

/* Exponents of `count` numbers, at least `least`: `twice` in both halves of a word each, else one
 * after the other with `more` added. True if all numbers are zero or have exponents in [low, high).
 */
static inline bool tensor_exponents(const f32 *x, void *to, int count, bool twice, s32 more,
                                    s32 least, s32 low, s32 high)
{
    tensor_s32 lowest = (tensor_s32){0} + 0x4000, highest = {0};
    for (int k = 0; k < count; k += TENSOR_LANES) {
        tensor_s32 m = TENSOR_LOAD(tensor_s32, x + k) & 0x7fffffff;
        tensor_s32 e = m >> 23, zero = m == 0;
        lowest = smaller_word(lowest, e | (zero & 0x4000));
        highest = larger_word(highest, e);
        e = larger_word(e, (tensor_s32){0} + least) + more;
        e |= zero & TENSOR_NONE;
        if (twice)
            *(tensor_s32 *)(void *)((s32 *)to + k) = e | e << 16;
        else
            *(tensor_short *)(void *)((s16 *)to + k) = __builtin_convertvector(e, tensor_short);
    }
    s32 ok = 1;
    for (int k = 0; k < TENSOR_LANES; k++)
        ok &= lowest[k] >= low && highest[k] < high;
    return ok != 0;
}

/* The largest exponent for each column of a row, without its bias. */
static inline void tensor_largest(const tensor_tile *t, int m, int blocks, int each, s32 *largest)
{
    tensor_s16 most =
        larger(TENSOR_LOAD(tensor_s16, t->c_exponent + 8 * m), (tensor_s16){0} + TENSOR_FLOOR);
    for (int k = 0; k < blocks * each; k++) {
        const s32 *own = t->a_exponent + (k / each * 16 + m) * each + k % each;
#if defined(__AVX2__) /* out of memory, where compilers take two instructions */
        tensor_s16 a = (tensor_s16)_mm_broadcast_ss((const float *)(const void *)own);
#else
        tensor_s16 a = (tensor_s16)((tensor_pairs){0} + *own);
#endif
        most = larger(most, TENSOR_LOAD(tensor_s16, t->b_exponent + 8 * k) + a);
    }
    *(tensor_wide *)(void *)largest = __builtin_convertvector(most, tensor_wide) - 2 * TENSOR_BIAS;
}

/* The product of a tile that single precision can scale. */
static inline void tensor_fast(tensor_tile *t, int blocks, int each)
{
    for (int m = 0; m < 16; m++) {
        const f32 *a = t->a + m * each;
        s32 largest[8] __attribute__((aligned(32)));
        tensor_largest(t, m, blocks, each, largest);
        for (int n = 0; n < 8; n += TENSOR_LANES) {
            /* 2^(25 - largest), and its inverse. */
            tensor_s32 up = (127 + 25) - TENSOR_LOAD(tensor_s32, largest + n);
            tensor_f32 scale = (tensor_f32)(up << 23), unit = (tensor_f32)((254 - up) << 23);
            tensor_f32 c = TENSOR_LOAD(tensor_f32, t->c + 8 * m + n) * scale;
            /* Two sums of at most 8 products below 2^27, and one accumulator below 2^26. */
            tensor_s32 even = __builtin_convertvector(c, tensor_s32), odd = {0};
            for (int k = 0; k < blocks * each; k += 2) {
                const f32 *own = a + k / each * 16 * each + k % each, *b = t->b + 8 * k + n;
                tensor_f32 x = TENSOR_LOAD(tensor_f32, b) * own[0];
                tensor_f32 y = TENSOR_LOAD(tensor_f32, b + 8) * own[1];
                even += __builtin_convertvector(x * scale, tensor_s32);
                odd += __builtin_convertvector(y * scale, tensor_s32);
            }
            tensor_f64 sum = __builtin_convertvector(even, tensor_f64) +
                             __builtin_convertvector(odd, tensor_f64);
            /* Cut to 24 bits; to odd if a half is to be made of it. */
            tensor_s64 bits = (tensor_s64)sum, cut = bits & ~(s64)0x1fffffff;
            if (t->half_d)
                cut |= ((bits & 0x1fffffff) != 0) & 0x20000000;
            tensor_f32 r = __builtin_convertvector((tensor_f64)cut, tensor_f32);
            *(tensor_f32 *)(void *)(t->d + 8 * m + n) = r * unit;
        }
    }
}

/* A number as an integer times 2^(exponent - 23): a subnormal of a half is a normal number here,
 * and has its digits moved to the exponent of its format. */
static inline s64 tensor_digits(f32 x, int exponent)
{
    u32 u = magnitude(x), own = u >> 23;
    if (u == 0)
        return 0;
    s64 digits = own != 0 ? (s64)((u & 0x7fffffu) | 0x800000u) : (s64)u;
    digits >>= exponent - (own != 0 ? (int)own - 127 : -126);
    return x < 0.0f ? -digits : digits;
}

/* x / 2^shift, cut; a negative shift multiplies. */
static inline s64 tensor_shift(s64 x, int shift)
{
    u64 m = (u64)(x < 0 ? -x : x);
    m = shift > 63 ? 0 : shift >= 0 ? m >> shift : m << -shift;
    return x < 0 ? -(s64)m : (s64)m;
}

/* sum * 2^exponent, cut to single precision; beyond its range infinity. */
static inline f32 tensor_cut(s64 sum, int exponent)
{
    if (sum == 0)
        return 0.0f;
    u64 m = (u64)(sum < 0 ? -sum : sum);
    int top = 63 - __builtin_clzll(m) + exponent, last = top - 23 > -149 ? top - 23 : -149;
    m = (u64)tensor_shift((s64)m, last - exponent);
    f32 r = top > 127 ? INFINITY : ldexpf((f32)m, last);
    return sum < 0 ? -r : r;
}

/* One element of a tile of any numbers, in integers. */
static f32 tensor_element(const tensor_tile *t, int m, int n)
{
    f64 special = t->c[8 * m + n];
    bool finite = fabs(special) < INFINITY;
    int exponents[TENSOR_DEPTH], c_exponent = t->c_exponent[8 * m + n] - 2 * TENSOR_BIAS;
    int most = c_exponent;
    s64 products[TENSOR_DEPTH], c = tensor_digits(t->c[8 * m + n], c_exponent);
    for (int k = 0; k < t->depth; k++) {
        int at = (k / t->each * 16 + m) * t->each + k % t->each;
        int a_exponent = (s16)t->a_exponent[at] - TENSOR_BIAS;
        int b_exponent = t->b_exponent[8 * k + n] - TENSOR_BIAS;
        f32 x = t->a[at], y = t->b[8 * k + n];
        finite = finite && fabsf(x) < INFINITY && fabsf(y) < INFINITY;
        special += (f64)x * (f64)y;
        products[k] = tensor_digits(x, a_exponent) * tensor_digits(y, b_exponent);
        exponents[k] = a_exponent + b_exponent;
        most = exponents[k] > most ? exponents[k] : most;
    }
    if (!finite)
        return kds_canonical((f32)special);
    s64 sum = c != 0 ? tensor_shift(c, most - c_exponent - 2) : 0;
    for (int k = 0; k < t->depth; k++)
        sum += products[k] != 0 ? tensor_shift(products[k], most - exponents[k] + 21) : 0;
    if (sum == 0)
        return 0.0f;
    return t->half_d ? kds_odd_f32(ldexp((f64)sum, most - 25)) : tensor_cut(sum, most - 25);
}

/* d = a * b + c. */
static void tensor_product(tensor_tile *t)
{
    bool fast = tensor_exponents(t->a, t->a_exponent, 16 * t->depth, true, 0, t->least, TENSOR_LOW,
                                 TENSOR_HIGH);
    fast &= tensor_exponents(t->b, t->b_exponent, 8 * t->depth, false, 0, t->least, TENSOR_LOW,
                             TENSOR_HIGH);
    fast &= tensor_exponents(t->c, t->c_exponent, 16 * 8, false, TENSOR_BIAS, t->least_c,
                             TENSOR_LOW_C, TENSOR_HIGH_C);
    if (fast && t->depth == 16 && t->each == 8) {
        tensor_fast(t, 2, 8);
    } else if (fast && t->each == 8) {
        tensor_fast(t, 1, 8);
    } else if (fast) {
        tensor_fast(t, t->depth / 4, 4);
    } else {
        for (int m = 0; m < 16; m++)
            for (int n = 0; n < 8; n++)
                t->d[8 * m + n] = tensor_element(t, m, n);
    }
}

/* ---- Fragments ---- */

/* Halves of a block, rows and columns exchanged. */
static inline void transpose(const void *from, void *to)
{
#if defined(__SSE2__)
    const __m128i *rows = from;
    __m128i x[8], y[8];
    for (int r = 0; r < 8; r++)
        x[r] = _mm_loadu_si128(rows + r);
    for (int r = 0; r < 4; r++) {
        y[2 * r] = _mm_unpacklo_epi16(x[2 * r], x[2 * r + 1]);
        y[2 * r + 1] = _mm_unpackhi_epi16(x[2 * r], x[2 * r + 1]);
    }
    for (int h = 0; h < 2; h++)
        for (int r = 0; r < 2; r++) {
            x[4 * h + 2 * r] = _mm_unpacklo_epi32(y[4 * h + r], y[4 * h + r + 2]);
            x[4 * h + 2 * r + 1] = _mm_unpackhi_epi32(y[4 * h + r], y[4 * h + r + 2]);
        }
    for (int r = 0; r < 4; r++) {
        _mm_storeu_si128((__m128i *)to + 2 * r, _mm_unpacklo_epi64(x[r], x[r + 4]));
        _mm_storeu_si128((__m128i *)to + 2 * r + 1, _mm_unpackhi_epi64(x[r], x[r + 4]));
    }
#else
    u16 rows[64], columns[64];
    memcpy(rows, from, sizeof rows);
    for (int r = 0; r < 8; r++)
        for (int c = 0; c < 8; c++)
            columns[8 * c + r] = rows[8 * r + c];
    memcpy(to, columns, sizeof columns);
#endif
}

/* The two bytes at `part` of each of 32 registers as halves; of e4m3, which has another bias, 256
 * times too small, and NaN a number. */
static inline void tensor_halves(const u8 *q, u16 *h, bool e5m2, int part)
{
    for (int k = 0; k < 64; k++) {
        u16 v = q[(k >> 1) * 4 + part + (k & 1)];
        h[k] = (u16)(e5m2 ? v << 8 : (v & 0x80) << 8 | (v & 0x7f) << 7);
    }
}

/* A register of a or b, line after line: 8 numbers to a line, of tf32 4, which has 19 bits; or
 * exchanged, so that lines run across. */
static inline void tensor_block(const void *from, f32 *x, int type, int part, bool exchange)
{
    u16 h[64] __attribute__((aligned(64))), turned[64] __attribute__((aligned(64)));
    if (type == KDS_TENSOR_TF32) {
        const u32 *v = from;
        for (int l = 0; l < KDS_LANES; l++)
            x[exchange ? l % 4 * 8 + l / 4 : l] = kds_bits_f32(v[l] & ~0x1fffu);
        return;
    }
    if (type == KDS_TENSOR_E4M3 || type == KDS_TENSOR_E5M2) {
        tensor_halves(from, h, type == KDS_TENSOR_E5M2, part);
        from = h;
    }
    if (exchange) {
        transpose(from, turned);
        from = turned;
    }
    if (type == KDS_TENSOR_BF16)
        widen_bf16(from, x, 64);
    else
        widen_f16(from, x, 64);
    for (int k = 0; type == KDS_TENSOR_E4M3 && k < 64; k++)
        x[k] = (kds_f32_bits(x[k]) & 0x7fffffffu) == 0x3ff00000u ? NAN : x[k] * 256.0f;
}

/* a and b of a group: blocks from `first` on along k of the registers at `list`. */
static inline void tensor_gather(const kds_warp *w, const kds_ins *i, const int32_t *list,
                                 int a_count, int first, int part, tensor_tile *t)
{
    int size = 8 * t->each, blocks = t->depth / t->each;
    for (int r = 0; r < 2 * blocks; r++)
        tensor_block(w->file + list[2 * first + r], t->a + r * size, i->type, part, false);
    for (int r = 0; r < blocks; r++)
        tensor_block(w->file + list[a_count + first + r], t->b + r * size, i->type2, part, true);
}

/* The accumulators of a tile. */
static inline void tensor_sums(const kds_warp *w, const int32_t *list, bool half, f32 *c)
{
    for (int h = 0; h < 2; h++) {
        if (half) {
            widen_f16(REGISTER(u16, list[h]), c + 64 * h, 64);
            continue;
        }
        const f32 *even = REGISTER(f32, list[2 * h]), *odd = REGISTER(f32, list[2 * h + 1]);
        f32 *to = c + 64 * h;
        LANES
        {
            to[2 * l] = even[l];
            to[2 * l + 1] = odd[l];
        }
    }
}

/* The results of a tile as registers. A half that is zero is +0 as well. */
static inline void tensor_results(const tensor_tile *t, u32 (*out)[KDS_LANES])
{
    for (int h = 0; h < 2; h++) {
        const f32 *d = t->d + 64 * h;
        if (t->half_d) {
            u16 *to = (u16 *)(void *)out[h];
            narrow_f16(d, to, 64);
            for (int k = 0; k < 64; k++)
                to[k] = (to[k] & 0x7fff) == 0 ? 0 : to[k];
            continue;
        }
        u32 *even = out[2 * h], *odd = out[2 * h + 1];
        LANES
        {
            even[l] = kds_f32_bits(d[2 * l]);
            odd[l] = kds_f32_bits(d[2 * l + 1]);
        }
    }
}

/* Writes what all tiles have computed, once all have read their operands. */
static inline void tensor_write(kds_warp *w, const kds_ins *i, const void *results, size_t bytes)
{
    for (int r = 0; r < i->defined; r++) {
        int32_t to = kds_ins_element(w->run->kernel, i, r);
        if (to >= 0)
            memcpy(w->file + to, (const u8 *)results + (size_t)r * bytes, bytes);
    }
}

HANDLER(mma)
{
    (void)out;
    kds_step s = all_lanes(w, i);
    if (s != KDS_STEP_ON)
        return s;
    u32 results[8][KDS_LANES] __attribute__((aligned(64)));
    tensor_tile t;
    bool half_c = (i->combine & KDS_TENSOR_HALF_C) != 0;
    bool fp8 = i->type == KDS_TENSOR_E4M3 || i->type == KDS_TENSOR_E5M2;
    int blocks = i->bytes / (i->type == KDS_TENSOR_TF32 ? 4 : fp8 ? 16 : 8);
    int groups = i->bytes / i->rounding, a_count = 2 * blocks, c_count = half_c ? 2 : 4;
    int d_count = i->defined / i->elements;
    t.half_d = (i->combine & KDS_TENSOR_HALF_D) != 0;
    t.depth = i->rounding;
    t.each = i->type == KDS_TENSOR_TF32 ? 4 : 8;
    t.least = TENSOR_BIAS - (i->type == KDS_TENSOR_F16 || fp8 ? 14 : 126);
    t.least_c = TENSOR_BIAS - (half_c ? 14 : 126);
    const int32_t *list = w->run->kernel->list + i->list + i->defined;
    for (int tile = 0; tile < i->elements; tile++) {
        tensor_sums(w, list + a_count + blocks, half_c, t.c);
        /* 8-bit numbers go as halves, the lower two of a register before the upper two, and the
         * accumulator is added at the end. */
        f32 kept[16 * 8];
        if (fp8) {
            memcpy(kept, t.c, sizeof kept);
            memset(t.c, 0, sizeof t.c);
        }
        for (int group = 0; group < groups; group++) {
            if (group > 0)
                memcpy(t.c, t.d, sizeof t.c);
            tensor_gather(w, i, list, a_count, fp8 ? 0 : group * blocks / groups, 2 * group, &t);
            tensor_product(&t);
        }
        for (int k = 0; fp8 && k < 16 * 8; k++)
            t.d[k] = kds_canonical(t.d[k] + kept[k]);
        tensor_results(&t, results + tile * d_count);
        list += a_count + blocks + c_count;
    }
    tensor_write(w, i, results, sizeof results[0]);
    return KDS_STEP_ON;
}

/* Double precision: fused, one product after the other, from the first. */
HANDLER(mma_f64)
{
    (void)out;
    kds_step s = all_lanes(w, i);
    if (s != KDS_STEP_ON)
        return s;
    f64 results[4][KDS_LANES] __attribute__((aligned(64)));
    int halves = i->compare / 8, blocks = i->bytes / 4;
    const int32_t *a = w->run->kernel->list + i->list + i->defined;
    const int32_t *b = a + halves * blocks, *c = b + blocks;
    for (int h = 0; h < halves; h++)
        for (int l = 0; l < KDS_LANES; l++)
            for (int j = 0; j < 2; j++) {
                int g = l / 4, n = 2 * (l % 4) + j;
                f64 sum = REGISTER(f64, c[2 * h + j])[l];
                for (int k = 0; k < i->bytes; k++)
                    sum = kds_fma_f64(REGISTER(f64, a[h + halves * (k / 4)])[4 * g + k % 4],
                                      REGISTER(f64, b[k / 4])[4 * n + k % 4], sum);
                results[2 * h + j][l] = sum;
            }
    tensor_write(w, i, results, sizeof results[0]);
    return KDS_STEP_ON;
}

/* Four bytes of each lane as 16 numbers to a line. */
static inline void tensor_bytes(const u8 *from, s32 *x, bool sign)
{
    for (int k = 0; k < 128; k++)
        x[k] = sign ? (s32)(s8)from[k] : (s32)from[k];
}

/* One tile of integers; rows of `halves` blocks. */
static inline void tensor_integers(const kds_warp *w, const kds_ins *i, const int32_t *list,
                                   u32 (*out)[KDS_LANES])
{
    s32 a[128], b[2][128], by_k[32][8];
    int halves = i->compare / 8, blocks = i->bytes / 16;
    const int32_t *c = list + (halves + 1) * blocks;
    for (int r = 0; r < blocks; r++) {
        tensor_bytes(w->file + list[halves * blocks + r], b[r], i->type2 == KDS_TENSOR_S8);
        for (int k = 0; k < 16; k++)
            for (int n = 0; n < 8; n++)
                by_k[16 * r + k][n] = b[r][16 * n + k];
    }
    for (int h = 0; h < halves; h++) {
        s32 sums[8][8] = {{0}};
        for (int r = 0; r < blocks; r++) {
            tensor_bytes(w->file + list[h + halves * r], a, i->type == KDS_TENSOR_S8);
            for (int g = 0; g < 8; g++)
                for (int k = 0; k < 16; k++)
                    for (int n = 0; n < 8; n++)
                        sums[g][n] += a[16 * g + k] * by_k[16 * r + k][n];
        }
        for (int j = 0; j < 2; j++) {
            const s32 *own = REGISTER(s32, c[2 * h + j]);
            for (int l = 0; l < KDS_LANES; l++) {
                s64 sum = (s64)own[l] + sums[l / 4][2 * (l % 4) + j];
                s64 limited = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
                out[2 * h + j][l] = (u32)((i->mods & KDS_MOD_SATFINITE) != 0 ? limited : sum);
            }
        }
    }
}

HANDLER(mma_int)
{
    (void)out;
    kds_step s = all_lanes(w, i);
    if (s != KDS_STEP_ON)
        return s;
    u32 results[8][KDS_LANES] __attribute__((aligned(64)));
    int d_count = i->defined / i->elements, each = (i->listed - i->defined) / i->elements;
    const int32_t *list = w->run->kernel->list + i->list + i->defined;
    for (int tile = 0; tile < i->elements; tile++)
        tensor_integers(w, i, list + tile * each, results + tile * d_count);
    tensor_write(w, i, results, sizeof results[0]);
    return KDS_STEP_ON;
}
