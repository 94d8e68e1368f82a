/* Part of exec_body.h: bit fields, permutations and small dot products. */

static inline u64 extract(u64 x, u32 position, u32 length, int bits, bool sign)
{
    position &= 0xff;
    length &= 0xff;
    u64 all = bits == 64 ? ~(u64)0 : ((u64)1 << bits) - 1;
    u32 last = position + length - 1;
    u32 top = last > (u32)bits - 1 ? (u32)bits - 1 : last;
    u64 fill = sign && length != 0 && (x >> top & 1) != 0 ? all : 0;
    u64 field = position < (u32)bits ? x >> position : 0;
    /* Bits of the field that come from x: below both its length and the end of x. */
    u32 real = position < (u32)bits ? (u32)bits - position : 0;
    real = length < real ? length : real;
    u64 keep = real >= 64 ? ~(u64)0 : ((u64)1 << real) - 1;
    return ((field & keep) | (fill & ~keep)) & all;
}
OP3(bfe_u32, u32, u32, u32, u32, extract(x, y, z, 32, false))
OP3(bfe_s32, u32, u32, u32, u32, extract(x, y, z, 32, true))
OP3(bfe_u64, u64, u64, u32, u32, extract(x, y, z, 64, false))
OP3(bfe_s64, u64, u64, u32, u32, extract(x, y, z, 64, true))

static inline u64 insert(u64 field, u64 into, u32 position, u32 length, int bits)
{
    position &= 0xff;
    length &= 0xff;
    if (position >= (u32)bits)
        return into;
    u64 mask = length >= 64 ? ~(u64)0 : ((u64)1 << length) - 1;
    mask <<= position;
    return (into & ~mask) | ((field << position) & mask);
}

#define INSERT(bits, T)                                                                            \
    HANDLER(bfi_b##bits)                                                                           \
    {                                                                                              \
        T *d = RESULT(T);                                                                          \
        const T *a = REGISTER(T, i->a), *b = REGISTER(T, i->b);                                    \
        const u32 *c = REGISTER(u32, i->c), *e = REGISTER(u32, i->x);                              \
        LANES d[l] = (T)insert(a[l], b[l], c[l], e[l], bits);                                      \
        return KDS_STEP_ON;                                                                        \
    }
INSERT(32, u32)
INSERT(64, u64)

/* The highest bit that differs from the sign; all ones if there is none. */
static inline u32 find_top(u64 x, int bits, bool distance)
{
    if (x == 0)
        return 0xffffffffu;
    u32 top = 63 - (u32)__builtin_clzll(x);
    return distance ? (u32)bits - 1 - top : top;
}
OP1(bfind_u32, u32, u32, find_top(x, 32, i->combine != 0))
OP1(bfind_s32, u32, s32, find_top((u32)(x < 0 ? ~x : x), 32, i->combine != 0))
OP1(bfind_u64, u32, u64, find_top(x, 64, i->combine != 0))
OP1(bfind_s64, u32, s64, find_top((u64)(x < 0 ? ~x : x), 64, i->combine != 0))

static inline u64 reverse(u64 x)
{
    x = __builtin_bswap64(x);
    x = (x >> 4 & 0x0f0f0f0f0f0f0f0fu) | (x & 0x0f0f0f0f0f0f0f0fu) << 4;
    x = (x >> 2 & 0x3333333333333333u) | (x & 0x3333333333333333u) << 2;
    return (x >> 1 & 0x5555555555555555u) | (x & 0x5555555555555555u) << 1;
}
OP1(brev_b32, u32, u32, reverse(x) >> 32)
OP1(brev_b64, u64, u64, reverse(x))
OP1(clz_b32, u32, u32, x == 0 ? 32 : __builtin_clz(x))
OP1(clz_b64, u32, u64, x == 0 ? 64 : __builtin_clzll(x))
OP1(popc_b32, u32, u32, __builtin_popcount(x))
OP1(popc_b64, u32, u64, __builtin_popcountll(x))

/* Four selectors of 4 bits: a byte of the pair, or its sign replicated. */
static inline u32 permute(u32 x, u32 y, u32 selectors)
{
    u64 both = (u64)y << 32 | x;
    u32 r = 0;
    for (int k = 0; k < 4; k++) {
        u32 s = selectors >> (4 * k) & 0xf;
        u32 byte = (u32)(both >> (8 * (s & 7))) & 0xff;
        if ((s & 8) != 0)
            byte = (byte & 0x80) != 0 ? 0xff : 0;
        r |= byte << (8 * k);
    }
    return r;
}

static inline u32 prmt_selectors(u32 z, int mode)
{
    static const uint16_t table[7][4] = {
        {0, 0, 0, 0},
        {0x3210, 0x4321, 0x5432, 0x6543}, /* f4e */
        {0x5670, 0x6701, 0x7012, 0x0123}, /* b4e */
        {0x0000, 0x1111, 0x2222, 0x3333}, /* rc8 */
        {0x3210, 0x3211, 0x3222, 0x3333}, /* ecl */
        {0x0000, 0x1110, 0x2210, 0x3210}, /* ecr */
        {0x1010, 0x3232, 0x1010, 0x3232}, /* rc16 */
    };
    return mode == 0 ? z : table[mode][z & 3];
}
OP3(prmt_b32, u32, u32, u32, u32, permute(x, y, prmt_selectors(z, i->combine)))

HANDLER(lop3_b32)
{
    u32 *d = RESULT(u32);
    const u32 *a = REGISTER(u32, i->a), *b = REGISTER(u32, i->b), *c = REGISTER(u32, i->c);
    u32 t[KDS_LANES] __attribute__((aligned(64))) = {0};
    for (int k = 0; k < 8; k++) {
        if ((i->imm >> k & 1) == 0)
            continue;
        u32 p = (k & 4) != 0 ? 0 : ~(u32)0, q = (k & 2) != 0 ? 0 : ~(u32)0,
            r = (k & 1) != 0 ? 0 : ~(u32)0;
        LANES t[l] |= (a[l] ^ p) & (b[l] ^ q) & (c[l] ^ r);
    }
    LANES d[l] = t[l];
    return KDS_STEP_ON;
}

/* `compare` tells shf.r, `combine` clamping. */
static inline u32 funnel(u32 low, u32 high, u32 n, bool right, bool clamp)
{
    u64 v = (u64)high << 32 | low;
    n = clamp ? (n > 32 ? 32 : n) : n & 31;
    return right ? (u32)(v >> n) : (u32)(v << n >> 32);
}
OP3(shf_b32, u32, u32, u32, u32, funnel(x, y, z, i->compare != 0, i->combine != 0))

OP3(sad_s16, u16, s16, s16, u16, (u16)(x > y ? x - y : y - x) + z)
OP3(sad_u16, u16, u16, u16, u16, (u16)(x > y ? x - y : y - x) + z)
OP3(sad_s32, u32, s32, s32, u32, (x > y ? (u32)x - (u32)y : (u32)y - (u32)x) + z)
OP3(sad_u32, u32, u32, u32, u32, (x > y ? x - y : y - x) + z)

static inline s32 byte_of(u32 x, int k, bool sign)
{
    u32 byte = x >> (8 * k) & 0xff;
    return sign ? (s32)(int8_t)byte : (s32)byte;
}

static inline u32 dot4(u32 x, u32 y, u32 z, bool xs, bool ys)
{
    for (int k = 0; k < 4; k++)
        z += (u32)(byte_of(x, k, xs) * byte_of(y, k, ys));
    return z;
}
OP3(dp4a, u32, u32, u32, u32, dot4(x, y, z, i->type == KDS_PTX_S32, i->type2 == KDS_PTX_S32))

static inline u32 dot2(u32 x, u32 y, u32 z, bool xs, bool ys, bool high)
{
    for (int k = 0; k < 2; k++) {
        u32 half = x >> (16 * k) & 0xffff;
        s32 wide = xs ? (s32)(int16_t)half : (s32)half;
        z += (u32)(wide * byte_of(y, k + (high ? 2 : 0), ys));
    }
    return z;
}
OP3(dp2a, u32, u32, u32, u32,
    dot2(x, y, z, i->type == KDS_PTX_S32, i->type2 == KDS_PTX_S32, i->combine != 0))

#define PAIR(T, pick)                                                                              \
    (pick((T)(x & 0xffff), (T)(y & 0xffff)) & 0xffff) | (u32)pick((T)(x >> 16), (T)(y >> 16)) << 16
#define LESSER(p, q) ((p) < (q) ? (p) : (q))
#define GREATER(p, q) ((p) > (q) ? (p) : (q))
#define LESSER_RELU(p, q) GREATER(LESSER(p, q), 0)
#define GREATER_RELU(p, q) GREATER(GREATER(p, q), 0)
OP2(min_u16x2, u32, u32, u32, PAIR(u16, LESSER))
OP2(max_u16x2, u32, u32, u32, PAIR(u16, GREATER))
OP2(min_s16x2, u32, u32, u32, PAIR(int16_t, LESSER))
OP2(max_s16x2, u32, u32, u32, PAIR(int16_t, GREATER))
OP2(min_relu_s16x2, u32, u32, u32, PAIR(int16_t, LESSER_RELU))
OP2(max_relu_s16x2, u32, u32, u32, PAIR(int16_t, GREATER_RELU))
OP2(min_relu_s32, s32, s32, s32, LESSER_RELU(x, y))
OP2(max_relu_s32, s32, s32, s32, GREATER_RELU(x, y))

/* Saturated into the lowest parts, the second operand lowest; the third moves up. */
static inline u32 within(u32 x, s32 low, s32 high)
{
    return (u32)((s32)x < low ? low : (s32)x > high ? high : (s32)x);
}
OP3(cvt_pack_u8, u32, u32, u32, u32, z << 16 | within(x, 0, 255) << 8 | within(y, 0, 255))
OP3(cvt_pack_s8, u32, u32, u32, u32,
    z << 16 | (within(x, -128, 127) & 255) << 8 | (within(y, -128, 127) & 255))
OP2(cvt_pack_u16, u32, u32, u32, within(x, 0, 65535) << 16 | within(y, 0, 65535))
OP2(cvt_pack_s16, u32, u32, u32,
    within(x, -32768, 32767) << 16 | (within(y, -32768, 32767) & 65535))

/* Absolute differences of unsigned parts: packed (the third operand has no part in it), or added
 * to the third. */
static inline u32 differences(u32 x, u32 y, u32 z, u32 bits, bool sum)
{
    u32 r = sum ? z : 0, mask = (1u << bits) - 1;
    for (u32 at = 0; at < 32; at += bits) {
        u32 p = x >> at & mask, q = y >> at & mask, d = p > q ? p - q : q - p;
        r += sum ? d : d << at;
    }
    return r;
}
OP3(vabsdiff4, u32, u32, u32, u32, differences(x, y, z, 8, false))
OP3(vabsdiff4_add, u32, u32, u32, u32, differences(x, y, z, 8, true))
OP3(vabsdiff2, u32, u32, u32, u32, differences(x, y, z, 16, false))
OP3(vabsdiff2_add, u32, u32, u32, u32, differences(x, y, z, 16, true))

static inline u32 bit_mask(u32 from, u32 count, bool clamp)
{
    from = clamp ? (from > 32 ? 32 : from) : from & 31;
    count = clamp ? (count > 32 ? 32 : count) : count & 31;
    u64 mask = (((u64)1 << count) - 1) << from;
    return (u32)mask;
}
OP2(bmsk_b32, u32, u32, u32, bit_mask(x, y, i->combine != 0))

static inline u32 extend(u32 x, u32 bits, bool clamp, bool sign)
{
    bits = clamp ? (bits > 32 ? 32 : bits) : bits & 31;
    if (bits == 0)
        return 0;
    u32 shift = 32 - bits;
    return sign ? (u32)((s32)(x << shift) >> shift) : x << shift >> shift;
}
OP2(szext_b32, u32, u32, u32, extend(x, y, i->combine != 0, i->type == KDS_PTX_S32))

static inline u32 nth_set(u32 mask, u32 base, s32 offset)
{
    if (base > 31)
        return 0xffffffffu;
    if (offset == 0)
        return (mask >> base & 1) != 0 ? base : 0xffffffffu;
    s64 left = offset > 0 ? offset : -(s64)offset;
    for (s32 at = (s32)base; at >= 0 && at<32; at += offset> 0 ? 1 : -1)
        if ((mask >> at & 1) != 0 && --left == 0)
            return (u32)at;
    return 0xffffffffu;
}
OP3(fns_b32, u32, u32, u32, s32, nth_set(x, y, z))
