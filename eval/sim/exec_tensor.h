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

/* The larger ones of two vectors that are not negative. */
static inline tensor_f32 larger(tensor_f32 x, tensor_f32 y)
{
#if defined(__AVX2__)
    return (tensor_f32)_mm256_max_ps((__m256)x, (__m256)y);
#elif defined(__SSE2__)
    return (tensor_f32)_mm_max_ps((__m128)x, (__m128)y);
#else
    tensor_s32 more = (tensor_s32)x > (tensor_s32)y;
    return (tensor_f32)(((tensor_s32)x & more) | ((tensor_s32)y & ~more));
#endif
}

/* A group's operands: a[m][k], b[k][n], and c and d[m][n], row after row; and the powers of two
 * that their exponents stand for, 0 for a zero. */
typedef struct tensor_tile {
    f32 a[16 * TENSOR_DEPTH] __attribute__((aligned(64))); /* rows of `depth` */
    f32 a_power[16 * TENSOR_DEPTH] __attribute__((aligned(64)));
    f32 b[TENSOR_DEPTH * 8] __attribute__((aligned(64)));
    f32 b_power[TENSOR_DEPTH * 8] __attribute__((aligned(64)));
    f32 c[16 * 8] __attribute__((aligned(64)));
    f32 c_power[16 * 8] __attribute__((aligned(64)));
    f32 d[16 * 8] __attribute__((aligned(64)));
    f32 least, least_c; /* normal number of the operands' format */
    int depth;          /* products of an element */
    bool half_d;
} tensor_tile;

/* The bits of a magnitude, of a finite number. */
static inline u32 magnitude(f32 x)
{
    return kds_f32_bits(x) & 0x7fffffffu;
}

/* Powers of `count` numbers. True if all are zero or their magnitude is at least `low` and below
 * `high`, given as bits. */
static inline bool tensor_powers(const f32 *x, f32 *power, int count, f32 least, u32 low, u32 high)
{
    s32 odd = 0;
    u32 floor = kds_f32_bits(least);
    for (int k = 0; k < count; k++) {
        s32 m = (s32)magnitude(x[k]);
        s32 p = m & 0x7f800000;
        p = p < (s32)floor ? (s32)floor : p;
        p = m == 0 ? 0 : p;
        power[k] = kds_bits_f32((u32)p);
        odd |= (m != 0 && m < (s32)low) | (m >= (s32)high);
    }
    return odd == 0;
}

/* The product of a tile whose numbers have exponents in the middle of the range, where single
 * precision can scale them. */
static inline void tensor_fast(tensor_tile *t, int depth)
{
    for (int m = 0; m < 16; m++) {
        const f32 *a = t->a + m * depth, *a_power = t->a_power + m * depth;
        for (int n = 0; n < 8; n += TENSOR_LANES) {
            tensor_f32 most = *(const tensor_f32 *)(const void *)(t->c_power + 8 * m + n);
            most = larger(most, (tensor_f32){0} + 0x1p-100f);
            for (int k = 0; k < depth; k++)
                most = larger(most, *(const tensor_f32 *)(const void *)(t->b_power + 8 * k + n) *
                                        a_power[k]);
            /* 2^25 / most and its inverse. */
            tensor_f32 scale = (tensor_f32)(((127 + 127 + 25) << 23) - (tensor_s32)most);
            tensor_f32 unit = (tensor_f32)((tensor_s32)most - (25 << 23));
            tensor_f32 c = *(const tensor_f32 *)(const void *)(t->c + 8 * m + n) * scale;
            /* Two sums of at most 8 products below 2^27, and one accumulator below 2^26. */
            tensor_s32 even = __builtin_convertvector(c, tensor_s32), odd = {0};
            for (int k = 0; k < depth; k += 2) {
                tensor_f32 x = *(const tensor_f32 *)(const void *)(t->b + 8 * k + n) * a[k];
                tensor_f32 y = *(const tensor_f32 *)(const void *)(t->b + 8 * k + 8 + n) * a[k + 1];
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

/* A number as an integer times 2^(exponent - 23). */
static inline s64 tensor_digits(f32 x, f32 power, int *exponent)
{
    u32 u = magnitude(x), own = u >> 23;
    s64 digits = own != 0 ? (s64)((u & 0x7fffffu) | 0x800000u) : (s64)u;
    int least = own != 0 ? (int)own - 127 : -126;
    *exponent = power != 0.0f ? (int)(kds_f32_bits(power) >> 23) - 127 : least;
    /* A subnormal of a half is a normal number here: its digits move to the exponent of its format.
     */
    digits >>= *exponent - least;
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
    const f32 *row = t->a + m * t->depth, *powers = t->a_power + m * t->depth;
    f64 special = t->c[8 * m + n];
    bool finite = fabs(special) < INFINITY;
    int exponents[TENSOR_DEPTH], most = -1000, c_exponent;
    s64 products[TENSOR_DEPTH],
        c = tensor_digits(t->c[8 * m + n], t->c_power[8 * m + n], &c_exponent);
    for (int k = 0; k < t->depth; k++) {
        f32 x = row[k], y = t->b[8 * k + n];
        finite = finite && fabsf(x) < INFINITY && fabsf(y) < INFINITY;
        special += (f64)x * (f64)y;
        int a_exponent, b_exponent;
        s64 a = tensor_digits(x, powers[k], &a_exponent);
        s64 b = tensor_digits(y, t->b_power[8 * k + n], &b_exponent);
        products[k] = a * b;
        exponents[k] = a_exponent + b_exponent;
        if (products[k] != 0 && exponents[k] > most)
            most = exponents[k];
    }
    if (!finite)
        return kds_canonical((f32)special);
    if (c != 0 && c_exponent > most)
        most = c_exponent;
    s64 sum = tensor_shift(c, most - c_exponent - 2);
    for (int k = 0; k < t->depth; k++)
        sum += tensor_shift(products[k], most - exponents[k] + 21);
    if (!t->half_d)
        return tensor_cut(sum, most - 25);
    return sum == 0 ? 0.0f : kds_odd_f32(ldexp((f64)sum, most - 25));
}

/* d = a * b + c. */
static void tensor_product(tensor_tile *t)
{
    const u32 low = kds_f32_bits(0x1p-45f), high = kds_f32_bits(0x1p45f);
    const u32 low_c = kds_f32_bits(0x1p-100f), high_c = kds_f32_bits(0x1p100f);
    bool fast = tensor_powers(t->a, t->a_power, 16 * t->depth, t->least, low, high);
    fast &= tensor_powers(t->b, t->b_power, t->depth * 8, t->least, low, high);
    fast &= tensor_powers(t->c, t->c_power, 16 * 8, t->least_c, low_c, high_c);
    if (fast && t->depth == TENSOR_DEPTH) {
        tensor_fast(t, TENSOR_DEPTH);
    } else if (fast) {
        tensor_fast(t, t->depth);
    } else {
        for (int m = 0; m < 16; m++)
            for (int n = 0; n < 8; n++)
                t->d[8 * m + n] = tensor_element(t, m, n);
    }
}

/* ---- Fragments ---- */

/* The two bytes at `part` of each of 32 registers, as numbers. e4m3 is a half with another bias. */
static inline void tensor_widen_fp8(const u8 *q, f32 *x, bool e5m2, int part)
{
    u16 h[64] __attribute__((aligned(64)));
    for (int k = 0; k < 64; k++) {
        u16 v = q[(k >> 1) * 4 + part + (k & 1)];
        h[k] = (u16)(e5m2 ? v << 8 : (v & 0x80) << 8 | (v & 0x7f) << 7);
    }
    widen_f16(h, x, 64);
    for (int k = 0; k < 64 && !e5m2; k++)
        x[k] = (h[k] & 0x3f80) == 0x3f80 ? NAN : x[k] * 256.0f;
}

/* A register of a or b, line after line: 8 numbers to a line, of tf32 4, which has 19 bits. */
static inline void tensor_block(const void *from, f32 *x, int type, int part)
{
    const u32 *v = from;
    switch (type) {
    case KDS_TENSOR_F16:
        widen_f16(from, x, 64);
        break;
    case KDS_TENSOR_BF16:
        widen_bf16(from, x, 64);
        break;
    case KDS_TENSOR_TF32:
        for (int l = 0; l < KDS_LANES; l++)
            x[l] = kds_bits_f32(v[l] & ~0x1fffu);
        break;
    default:
        tensor_widen_fp8(from, x, type == KDS_TENSOR_E5M2, part);
        break;
    }
}

/* a and b of a group: blocks [first, first + depth / each) along k of the registers at `list`. */
static inline void tensor_gather(const kds_warp *w, const kds_ins *i, const int32_t *list,
                                 int a_count, int first, int part, tensor_tile *t)
{
    f32 x[64] __attribute__((aligned(64)));
    int each = i->type == KDS_TENSOR_TF32 ? 4 : 8, blocks = t->depth / each;
    for (int r = 0; r < 2 * blocks; r++) {
        tensor_block(w->file + list[2 * first + r], x, i->type, part);
        for (int g = 0; g < 8; g++)
            memcpy(t->a + (g + 8 * (r & 1)) * t->depth + each * (r >> 1), x + g * each,
                   (size_t)each * sizeof *x);
    }
    for (int r = 0; r < blocks; r++) {
        tensor_block(w->file + list[a_count + first + r], x, i->type2, part);
        for (int k = 0; k < each; k++)
            for (int n = 0; n < 8; n++)
                t->b[8 * (r * each + k) + n] = x[n * each + k];
    }
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
    t.least = i->type == KDS_TENSOR_F16 || fp8 ? 0x1p-14f : 0x1p-126f;
    t.least_c = half_c ? 0x1p-14f : 0x1p-126f;
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
