// Kernels of ours on the GPU (eval/cuda/helpers.h): fills, comparison, checksums, a delay. The build embeds this file
// behind a declaration of `table`, the inverse normal distribution of eval/fill_table.h. Arithmetic that must give the
// bits of the C code uses intrinsics that the compiler never contracts.

// Philox and the element types: the counterpart of search/base/random.c and eval/dtype.c.
typedef unsigned long long u64;
typedef long long s64;
typedef unsigned int u32;
typedef unsigned short u16;
enum { F32, F16, BF16, I32, I64, U8, F64 };
enum { NORMAL, UNIFORM, CONSTANT, IOTA, PERMUTATION, OFFSETS };

__device__ void philox(u32 c0, u32 c1, u32 c2, u32 c3, u32 k0, u32 k1, u32 *out)
{
    for (int round = 0; round < 10; round++) {
        const u64 p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
        c0 = (u32)(p1 >> 32) ^ c1 ^ k0;
        c1 = (u32)p1;
        c2 = (u32)(p0 >> 32) ^ c3 ^ k1;
        c3 = (u32)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

__device__ double widen(u32 bits, int mantissa)
{
    const int exponent_bits = 15 - mantissa, bias = (1 << (exponent_bits - 1)) - 1;
    const u64 sign = (u64)(bits >> 15) << 63;
    int exponent = (bits >> mantissa) & ((1 << exponent_bits) - 1);
    u64 fraction = bits & ((1u << mantissa) - 1);
    if (exponent == (1 << exponent_bits) - 1)
        return __longlong_as_double(sign | 0x7ffull << 52 | fraction << (52 - mantissa));
    if (exponent == 0) {
        if (fraction == 0)
            return __longlong_as_double(sign);
        exponent = 1;
        while (!(fraction >> mantissa)) {
            fraction <<= 1;
            exponent--;
        }
        fraction &= (1u << mantissa) - 1;
    }
    return __longlong_as_double(sign | (u64)(exponent - bias + 1023) << 52 |
                                fraction << (52 - mantissa));
}

__device__ u16 narrow(double value, int mantissa)
{
    const int exponent_bits = 15 - mantissa, bias = (1 << (exponent_bits - 1)) - 1;
    const u64 bits = (u64)__double_as_longlong(value);
    const u32 sign = (u32)(bits >> 63) << 15;
    const u32 infinity = (u32)((1 << exponent_bits) - 1) << mantissa;
    const int exponent = (int)(bits >> 52 & 0x7ff);
    u64 fraction = bits & ((1ull << 52) - 1);
    if (exponent == 0x7ff) {
        if (fraction == 0)
            return (u16)(sign | infinity);
        return (u16)(sign | infinity | (u32)(fraction >> (52 - mantissa)) |
                     1u << (mantissa - 1));
    }
    const int to = exponent - 1023 + bias;
    if (exponent == 0 || to < -mantissa)
        return (u16)sign;
    fraction |= 1ull << 52;
    const int drop = 52 - mantissa + (to < 1 ? 1 - to : 0);
    u64 kept = fraction >> drop;
    const u64 rest = fraction & ((1ull << drop) - 1), half = 1ull << (drop - 1);
    kept += (u64)(rest > half) | ((u64)(rest == half) & kept & 1);
    const u64 out = kept + ((u64)(to < 1 ? 0 : to - 1) << mantissa);
    return (u16)(sign | (out > infinity ? infinity : (u32)out));
}

__device__ s64 to_integer(double value, s64 low, s64 high)
{
    if (value != value)
        return 0;
    const double r = rint(value);
    if (r <= (double)low)
        return low;
    if (r >= (double)high)
        return high;
    return (s64)r;
}

__device__ void store(int type, void *to, s64 i, double v)
{
    switch (type) {
    case F32: ((float *)to)[i] = __double2float_rn(v); break;
    case F16: ((u16 *)to)[i] = narrow(v, 10); break;
    case BF16: ((u16 *)to)[i] = narrow(v, 7); break;
    case I32: ((int *)to)[i] = (int)to_integer(v, -2147483647 - 1, 2147483647); break;
    case I64:
        ((s64 *)to)[i] = to_integer(v, -9223372036854775807ll - 1, 9223372036854775807ll);
        break;
    case U8: ((unsigned char *)to)[i] = (unsigned char)to_integer(v, 0, 255); break;
    default: ((double *)to)[i] = v;
    }
}

__device__ u64 load_bits(int type, const void *from, s64 i)
{
    switch (type) {
    case F16: case BF16: return ((const u16 *)from)[i];
    case F32: case I32: return ((const u32 *)from)[i];
    case U8: return ((const unsigned char *)from)[i];
    default: return ((const u64 *)from)[i];
    }
}

__device__ double value_of(int type, u64 bits)
{
    switch (type) {
    case F32: return __uint_as_float((u32)bits);
    case F16: return widen((u32)bits, 10);
    case BF16: return widen((u32)bits, 7);
    case I32: return (int)(u32)bits;
    case I64: return (double)(s64)bits;
    case U8: return (double)(u32)bits;
    default: return __longlong_as_double((s64)bits);
    }
}

__device__ double rounded(int type, double v)
{
    u64 narrow = 0;
    store(type, &narrow, 0, v);
    return value_of(type, load_bits(type, &narrow, 0));
}

// The counterpart of eval/fill.c; four elements a step, as one Philox block gives them.
__device__ double quantile(u32 word)
{
    const u32 h = word << 1 | 1u;
    const int leading = __clz(h);
    const double t = __dadd_rn(__dmul_rn((double)(h << leading), 0x1p-31), -1.5);
    const double *c = table[31 - leading];
    double z = c[7];
    for (int i = 6; i >= 0; i--)
        z = __dadd_rn(__dmul_rn(z, t), c[i]);
    return __dmul_rn(z, word >> 31 ? -1.0 : 1.0);
}

__device__ u64 permuted(u64 v, u64 span, u64 seed, u32 buffer)
{
    int half_bits = 1;
    while (half_bits < 31 && (1ll << (2 * half_bits)) < (s64)span)
        half_bits++;
    const u64 mask = (1ull << half_bits) - 1;
    do {
        u64 left = v >> half_bits, right = v & mask;
        for (u32 round = 0; round < 4; round++) {
            u32 out[4];
            philox((u32)right, (u32)(right >> 32), buffer, 2u | round << 16, (u32)seed,
                   (u32)(seed >> 32), out);
            const u64 next = left ^ ((out[0] | (u64)out[1] << 32) & mask);
            left = right;
            right = next;
        }
        v = left << half_bits | right;
    } while (v >= span);
    return v;
}

__device__ double offset_at(s64 i, u32 word, s64 span, double total, double b)
{
    if (i == 0 || i >= span - 1)
        return i == 0 ? 0.0 : total;
    const double t = __dmul_rn(__dadd_rn((double)(i % 32), __dmul_rn((double)word, 0x1p-32)), 0x1p-5);
    const double square = __dmul_rn(t, t);
    const double v = floor(__dmul_rn(__dadd_rn((double)(i / 32), __dmul_rn(square, square)), b));
    return v < total ? v : total;
}

extern "C" __global__ void kds_fill(void *to, s64 first, s64 count, int kind, int type,
                                    double a, double b, double scale, double shift,
                                    u64 seed, u32 buffer, s64 span, int wide)
{
    const s64 step = 4ll * blockDim.x * gridDim.x;
    for (s64 at = 4ll * (blockIdx.x * (s64)blockDim.x + threadIdx.x); at < count; at += step) {
        const u64 block = (u64)(first + at) / 4;
        u32 words[4] = {0, 0, 0, 0};
        if (kind == NORMAL || kind == UNIFORM || kind == OFFSETS)
            philox((u32)block, (u32)(block >> 32), buffer, 1u, (u32)seed, (u32)(seed >> 32),
                   words);
        for (int k = 0; k < 4 && at + k < count; k++) {
            double v = a;
            if (kind == NORMAL)
                v = __dadd_rn(a, __dmul_rn(b, quantile(words[k])));
            else if (kind == UNIFORM) {
                v = __dmul_rn(__dadd_rn(b, -a), __dmul_rn((double)words[k], 0x1p-32));
                v = __dadd_rn(a, v);
                if (type == I32 || type == I64 || type == U8)
                    v = floor(v);
            } else if (kind == IOTA)
                v = __dadd_rn(a, __dmul_rn(b, (double)(first + at + k)));
            else if (kind == PERMUTATION)
                v = (double)permuted((u64)(first + at + k), (u64)span, seed, buffer);
            else if (kind == OFFSETS)
                v = offset_at(first + at + k, words[k], span, a, b);
            v = __dadd_rn(__dmul_rn(v, scale), shift);
            if (wide)
                ((double *)to)[at + k] = rounded(type, v);
            else
                store(type, to, at + k, v);
        }
    }
}

// Each block leaves what it found; the host adds it up in order, so that sums repeat exactly.
struct found {
    u64 wrong, first, largest, nans;
    double error, want;
};

__device__ void join(found *a, const found *b)
{
    a->wrong += b->wrong;
    a->first = b->first < a->first ? b->first : a->first;
    a->largest = b->largest > a->largest ? b->largest : a->largest;
    a->nans += b->nans;
    a->error += b->error;
    a->want += b->want;
}

extern "C" __global__ void __launch_bounds__(256)
    kds_compare(const void *got, const void *want, int type, s64 span, double atol,
                double rtol, int bitwise, found *out)
{
    __shared__ found part[256];
    found mine = {0, ~0ull, 0, 0, 0.0, 0.0};
    const s64 step = (s64)blockDim.x * gridDim.x;
    for (s64 i = blockIdx.x * (s64)blockDim.x + threadIdx.x; i < span; i += step) {
        const u64 g = load_bits(type, got, i), w = load_bits(type, want, i);
        const double gv = value_of(type, g), wv = value_of(type, w);
        const double difference = fabs(gv - wv);
        bool right = g == w;
        mine.nans += wv != wv;
        if (fabs(wv) < __longlong_as_double(0x7ff0000000000000ll))
            mine.want += wv * wv;
        if (!right && !bitwise)
            right = difference <= atol + rtol * fabs(wv) &&
                    fabs(wv) < __longlong_as_double(0x7ff0000000000000ll);
        if (!right && !bitwise)
            right = gv != gv && wv != wv;
        if (!right) {
            mine.wrong++;
            mine.first = (u64)i < mine.first ? (u64)i : mine.first;
        }
        if (g != w && difference < __longlong_as_double(0x7ff0000000000000ll)) {
            const u64 size = (u64)__double_as_longlong(difference);
            mine.largest = size > mine.largest ? size : mine.largest;
            mine.error += difference * difference;
        }
    }
    part[threadIdx.x] = mine;
    __syncthreads();
    for (int n = 128; n > 0; n /= 2) {
        if (threadIdx.x < n)
            join(&part[threadIdx.x], &part[threadIdx.x + n]);
        __syncthreads();
    }
    if (threadIdx.x == 0)
        out[blockIdx.x] = part[0];
}

extern "C" __global__ void __launch_bounds__(256)
    kds_hash(const u32 *at, s64 words, u64 *out)
{
    __shared__ u64 part[256];
    u64 sum = 0;
    const s64 step = (s64)blockDim.x * gridDim.x;
    for (s64 i = blockIdx.x * (s64)blockDim.x + threadIdx.x; i < words; i += step) {
        u64 x = at[i] ^ (u64)i * 0x9E3779B97F4A7C15ull;
        x = (x ^ x >> 32) * 0xD6E8FEB86659FD93ull;
        sum += x ^ x >> 29;
    }
    part[threadIdx.x] = sum;
    __syncthreads();
    for (int n = 128; n > 0; n /= 2) {
        if (threadIdx.x < n)
            part[threadIdx.x] += part[threadIdx.x + n];
        __syncthreads();
    }
    if (threadIdx.x == 0)
        out[blockIdx.x] = part[0];
}

// The counterpart of eval/compare.c. A unit is a slice of the leading dimension or a part of one; where slices are
// short, each thread takes whole ones.
struct comparison {
    const void *got, *want;
    int got_type, want_type, bitwise, contiguous;
    s64 shape[6], strides[6], slices, length, parts;
    double atol, rtol;
};
struct judged {
    u64 wrong, first, largest;
    double error, want, worst;
    s64 worst_at;
};

__device__ judged nothing()
{
    const judged none = {0, ~0ull, 0, 0.0, 0.0, 0.0, -1};
    return none;
}

__device__ void join(judged *a, const judged *b)
{
    a->wrong += b->wrong;
    a->first = b->first < a->first ? b->first : a->first;
    a->largest = b->largest > a->largest ? b->largest : a->largest;
    a->error += b->error;
    a->want += b->want;
    if (b->worst_at >= 0 && (a->worst_at < 0 || b->worst > a->worst ||
                             (b->worst == a->worst && b->worst_at < a->worst_at))) {
        a->worst = b->worst;
        a->worst_at = b->worst_at;
    }
}

__device__ bool is_finite(double v)
{
    return fabs(v) < __longlong_as_double(0x7ff0000000000000ll);
}

// An infinity or NaN on either side: equal after rounding to the output's type, or wrong.
__device__ bool same_special(int type, double got, double want)
{
    u64 bits = 0;
    if (got != got || want != want)
        return got != got && want != want;
    store(type, &bits, 0, want);
    return value_of(type, load_bits(type, &bits, 0)) == got;
}

__device__ s64 offset_of(const comparison &c, s64 index)
{
    s64 at = 0;
    if (c.contiguous)
        return index;
#pragma unroll
    for (int d = 5; d >= 0; d--) {
        at += index % c.shape[d] * c.strides[d];
        index /= c.shape[d];
    }
    return at;
}

__device__ void judge_element(const comparison &c, s64 index, judged *out)
{
    const s64 at = offset_of(c, index);
    const u64 g = load_bits(c.got_type, c.got, at), w = load_bits(c.want_type, c.want, at);
    const double got = value_of(c.got_type, g), want = value_of(c.want_type, w);
    const double difference = fabs(got - want);
    bool right;
    if (is_finite(got) && is_finite(want)) {
        const u64 size = (u64)__double_as_longlong(difference);
        right = c.bitwise || difference <= c.atol + c.rtol * fabs(want);
        out->largest = size > out->largest ? size : out->largest;
        out->error += difference * difference;
        out->want += want * want;
    } else
        right = same_special(c.got_type, got, want);
    if (c.bitwise)
        right = g == w;
    if (!right) {
        out->wrong++;
        out->first = (u64)index < out->first ? (u64)index : out->first;
    }
}

__device__ void end_slice(judged *s, s64 slice)
{
    s->worst = s->want > 0.0 ? sqrt(s->error / s->want)
                             : (s->error > 0.0 ? __longlong_as_double(0x7ff0000000000000ll) : 0.0);
    s->worst_at = slice;
}

// The sum of a block's threads, in part[0].
__device__ void join_block(judged *part, const judged &mine)
{
    part[threadIdx.x] = mine;
    __syncthreads();
    for (int n = 128; n > 0; n /= 2) {
        if (threadIdx.x < n)
            join(&part[threadIdx.x], &part[threadIdx.x + n]);
        __syncthreads();
    }
}

extern "C" __global__ void __launch_bounds__(256) kds_judge(const comparison c, judged *out)
{
    __shared__ judged part[256];
    judged all = nothing();
    if (c.parts == 0) {
        const s64 step = (s64)blockDim.x * gridDim.x;
        for (s64 s = blockIdx.x * (s64)blockDim.x + threadIdx.x; s < c.slices; s += step) {
            judged one = nothing();
            for (s64 i = 0; i < c.length; i++)
                judge_element(c, s * c.length + i, &one);
            end_slice(&one, s);
            join(&all, &one);
        }
        join_block(part, all);
        if (threadIdx.x == 0)
            out[blockIdx.x] = part[0];
        return;
    }
    for (s64 unit = blockIdx.x; unit < c.slices * c.parts; unit += gridDim.x) {
        const s64 slice = unit / c.parts, p = unit % c.parts, base = slice * c.length;
        const s64 end = base + c.length * (p + 1) / c.parts;
        judged one = nothing();
        for (s64 i = base + c.length * p / c.parts + threadIdx.x; i < end; i += blockDim.x)
            judge_element(c, i, &one);
        join_block(part, one);
        if (threadIdx.x == 0) {
            end_slice(&part[0], slice);
            join(&all, &part[0]);
        }
        __syncthreads();
    }
    if (threadIdx.x == 0)
        out[blockIdx.x] = all;
}

// The elements whose bits are those of `pattern`, as far as they have bits.
extern "C" __global__ void __launch_bounds__(256) kds_find(const comparison c, u64 pattern, judged *out)
{
    __shared__ judged part[256];
    judged mine = nothing();
    const s64 step = (s64)blockDim.x * gridDim.x;
    pattern = load_bits(c.got_type, &pattern, 0);
    for (s64 i = blockIdx.x * (s64)blockDim.x + threadIdx.x; i < c.length; i += step) {
        if (load_bits(c.got_type, c.got, offset_of(c, i)) != pattern)
            continue;
        mine.wrong++;
        mine.first = (u64)i < mine.first ? (u64)i : mine.first;
    }
    join_block(part, mine);
    if (threadIdx.x == 0)
        out[blockIdx.x] = part[0];
}

// What guards hold: each word is a function of its place and the seed.
__device__ u32 guard_word(u64 word, u64 seed)
{
    u64 x = (word ^ seed) * 0x9E3779B97F4A7C15ull;
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93ull;
    return (u32)(x >> 32);
}

extern "C" __global__ void __launch_bounds__(256) kds_guard_fill(u32 *arena, u64 words, u64 seed)
{
    const u64 step = (u64)blockDim.x * gridDim.x;
    for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < words; i += step)
        arena[i] = guard_word(i, seed);
}

struct guard_found {
    u64 wrong, first, last;
};

// Bytes [begin, begin + bytes) of the arena; neither end need lie between words.
extern "C" __global__ void __launch_bounds__(256)
    kds_guard_check(const u32 *arena, u64 begin, u64 bytes, u64 seed, guard_found *out)
{
    __shared__ guard_found part[256];
    guard_found mine = {0, ~0ull, 0};
    const u64 end = begin + bytes, words = (end + 3) / 4;
    const u64 step = (u64)blockDim.x * gridDim.x;
    for (u64 i = begin / 4 + blockIdx.x * (u64)blockDim.x + threadIdx.x; i < words; i += step) {
        const u32 differs = arena[i] ^ guard_word(i, seed);
        if (differs == 0)
            continue;
        for (u64 k = 0; k < 4; k++) {
            const u64 at = 4 * i + k;
            if (at < begin || at >= end || (differs >> (8 * k) & 0xff) == 0)
                continue;
            mine.wrong++;
            mine.first = at < mine.first ? at : mine.first;
            mine.last = at > mine.last ? at : mine.last;
        }
    }
    part[threadIdx.x] = mine;
    __syncthreads();
    for (int n = 128; n > 0; n /= 2) {
        if (threadIdx.x < n) {
            guard_found *a = &part[threadIdx.x];
            const guard_found *b = &part[threadIdx.x + n];
            a->wrong += b->wrong;
            a->first = b->first < a->first ? b->first : a->first;
            a->last = b->last > a->last ? b->last : a->last;
        }
        __syncthreads();
    }
    if (threadIdx.x == 0)
        out[blockIdx.x] = part[0];
}

extern "C" __global__ void kds_delay(u64 ns)
{
    u64 start, now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(start));
    do
        asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    while (now - start < ns);
}

// Known work for the self-test of counters: 16 bytes a thread; and 32 lanes on one bank, once stored and once loaded
// in each round.
extern "C" __global__ void kds_copy(const uint4 *from, uint4 *to)
{
    const s64 i = blockIdx.x * (s64)blockDim.x + threadIdx.x;
    to[i] = from[i];
}

extern "C" __global__ void __launch_bounds__(32)
    kds_conflicts(u32 *out, int rounds)
{
    __shared__ volatile u32 bank[32 * 32];
    u32 sum = 0;
    for (int i = 0; i < rounds; i++) {
        bank[32 * threadIdx.x] = i;
        __syncwarp();
        sum += bank[32 * (31 - threadIdx.x)];
        __syncwarp();
    }
    out[blockIdx.x * 32 + threadIdx.x] = sum;
}
