/* Integer and bit instructions of the simulator, each against an independent computation in C over
 * edge values. */
#include "tests/eval/sim_test.h"

__extension__ typedef unsigned __int128 u128;
typedef uint64_t u64;
typedef int64_t s64;
typedef uint32_t u32;
typedef int32_t s32;

static const uint64_t words[] = {
    0,          1,          2,          3,          31,         32,        33,     63,
    64,         0x80,       0xff,       0x100,      0x7fff,     0x8000,    0xffff, 0x12345678,
    0x9abcdef0, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff};
static const uint64_t longs[] = {0,
                                 1,
                                 2,
                                 5,
                                 63,
                                 64,
                                 65,
                                 0xffffffff,
                                 0x100000000,
                                 0x123456789abcdef0,
                                 0x7fffffffffffffff,
                                 0x8000000000000000,
                                 0x8000000000000001,
                                 0xffffffffffffffff};

#define WANT(name, expr)                                                                           \
    static uint64_t name(uint64_t a, uint64_t b, uint64_t c)                                       \
    {                                                                                              \
        (void)a;                                                                                   \
        (void)b;                                                                                   \
        (void)c;                                                                                   \
        return (uint64_t)(expr);                                                                   \
    }
#define S(x) ((s32)(u32)(x))
#define H(x) ((int16_t)(uint16_t)(x))

WANT(add32, (u32)(a + b))
WANT(sub32, (u32)(a - b))
WANT(add16, (uint16_t)(a + b))
WANT(mul32, (u32)(a *b))
WANT(mulhi_s, (u32)((u64)((s64)S(a) * S(b)) >> 32))
WANT(mulhi_u, (u32)(((u64)(u32)a * (u32)b) >> 32))
WANT(wide_s, (s64)S(a) * S(b))
WANT(wide_u, (u64)(u32)a *(u32)b)
WANT(wide16_s, (u32)((s32)H(a) * H(b)))
WANT(wide16_u, (u32)((uint16_t)a *(u32)(uint16_t)b))
WANT(mad32, (u32)(a *b + c))
WANT(madwide_s, (u64)((s64)S(a) * S(b)) + (u64)(s64)S(c))
WANT(madhi_s, (u32)((u32)((u64)((s64)S(a) * S(b)) >> 32) + (u32)c))
WANT(min_s, (u32)(S(a) < S(b) ? a : b))
WANT(max_s, (u32)(S(a) > S(b) ? a : b))
WANT(min_u, (u32)a < (u32)b ? (u32)a : (u32)b)
WANT(max_u, (u32)a > (u32)b ? (u32)a : (u32)b)
WANT(min_h, (uint16_t)(H(a) < H(b) ? a : b))
WANT(neg32, (u32)(0 - a))
WANT(abs32, (u32)(S(a) < 0 ? 0 - a : a))
WANT(and32, (u32)(a &b))
WANT(or32, (u32)(a | b))
WANT(xor32, (u32)(a ^ b))
WANT(not32, (u32)~a)
WANT(cnot32, (u32)a == 0)
WANT(shl32, (u32)b > 31 ? 0 : (u32)((u32)a << (u32)b))
WANT(shr_u, (u32)b > 31 ? 0 : (u32)a >> (u32)b)
WANT(shr_s, (u32)(S(a) >> ((u32)b > 31 ? 31 : (u32)b)))
WANT(shl16, (u32)b > 15 ? 0 : (uint16_t)((uint16_t)a << (u32)b))
WANT(shr16_s, (uint16_t)(H(a) >> ((u32)b > 15 ? 15 : (u32)b)))
WANT(div_u, (u32)b == 0 ? 0xffffffffu : (u32)a / (u32)b)
WANT(rem_u, (u32)b == 0 ? (u32)a : (u32)a % (u32)b)
WANT(div_s, (u32)b == 0 ? 0xffffffffu : (u32)((s64)S(a) / S(b)))
WANT(rem_s, (u32)b == 0 ? (u32)a : (u32)((s64)S(a) % S(b)))
WANT(addsat, (u32)((s64)S(a) + S(b) > INT32_MAX   ? INT32_MAX
                   : (s64)S(a) + S(b) < INT32_MIN ? INT32_MIN
                                                  : S(a) + (s64)S(b)))
WANT(sad_s, (u32)((S(a) > S(b) ? (u32)a - (u32)b : (u32)b - (u32)a) + (u32)c))
WANT(slct, (u32)(S(c) >= 0 ? a : b))
WANT(mul24, (u32)((a & 0xffffff) * (b & 0xffffff)))
WANT(carry, ((u32)a + (u64)(u32)b) >> 32)
WANT(borrow, (u32)((u32)a < (u32)b ? 0xffffffffu : 0))
WANT(u16x2, ((a + b) & 0xffff) | (u64)((u32)((a >> 16) + (b >> 16)) & 0xffff) << 16)

static u64 pair_of(int64_t low, int64_t high)
{
    return (u64)(low & 0xffff) | (u64)(high & 0xffff) << 16;
}
#define HALF(x, at) ((int64_t)(int16_t)((x) >> (at)))
#define UHALF(x, at) ((int64_t)((x) >> (at)&0xffff))
static int64_t least(int64_t x, int64_t y)
{
    return x < y ? x : y;
}
static int64_t most(int64_t x, int64_t y)
{
    return x < y ? y : x;
}
WANT(min_ux2, pair_of(least(UHALF(a, 0), UHALF(b, 0)), least(UHALF(a, 16), UHALF(b, 16))))
WANT(max_ux2, pair_of(most(UHALF(a, 0), UHALF(b, 0)), most(UHALF(a, 16), UHALF(b, 16))))
WANT(min_sx2, pair_of(least(HALF(a, 0), HALF(b, 0)), least(HALF(a, 16), HALF(b, 16))))
WANT(max_sx2, pair_of(most(HALF(a, 0), HALF(b, 0)), most(HALF(a, 16), HALF(b, 16))))
WANT(min_relu_sx2,
     pair_of(most(least(HALF(a, 0), HALF(b, 0)), 0), most(least(HALF(a, 16), HALF(b, 16)), 0)))
WANT(max_relu_sx2,
     pair_of(most(most(HALF(a, 0), HALF(b, 0)), 0), most(most(HALF(a, 16), HALF(b, 16)), 0)))
WANT(min_relu_s, (u64)most(least(S(a), S(b)), 0))
WANT(max_relu_s, (u64)most(most(S(a), S(b)), 0))

static u64 packed(u64 high, u64 low, u64 c, int64_t from, int64_t to, int bits)
{
    u64 mask = (UINT64_C(1) << bits) - 1;
    u64 r = ((u64)most(least(S(high), to), from) & mask) << bits;
    return (u32)(r | ((u64)most(least(S(low), to), from) & mask) | c << (2 * bits));
}
WANT(pack_u8, packed(a, b, c, 0, 255, 8))
WANT(pack_s8, packed(a, b, c, -128, 127, 8))
WANT(pack_u16, packed(a, b, 0, 0, 65535, 16))
WANT(pack_s16, packed(a, b, 0, -32768, 32767, 16))

/* Of parts of `bits`; packed, or summed onto c. */
static u64 differ(u64 a, u64 b, u64 c, int bits, bool sum)
{
    u64 r = sum ? c : 0, mask = (UINT64_C(1) << bits) - 1;
    for (int at = 0; at < 32; at += bits) {
        int64_t d = llabs((int64_t)(a >> at & mask) - (int64_t)(b >> at & mask));
        r += sum ? (u64)d : (u64)d << at;
    }
    return (u32)r;
}
WANT(absdiff4, differ(a, b, c, 8, false))
WANT(absdiff4_add, differ(a, b, c, 8, true))
WANT(absdiff2, differ(a, b, c, 16, false))
WANT(absdiff2_add, differ(a, b, c, 16, true))

static u64 bfe(u64 a, u32 pos, u32 len, int bits, bool sign)
{
    pos &= 255;
    len &= 255;
    u64 r = 0;
    u32 top = pos + len - 1 > (u32)bits - 1 ? (u32)bits - 1 : pos + len - 1;
    u64 fill = sign && len != 0 ? a >> top & 1 : 0;
    for (u32 i = 0; i < (u32)bits; i++) {
        u64 bit = i < len && pos + i < (u32)bits ? a >> (pos + i) & 1 : fill;
        r |= bit << i;
    }
    return r;
}
WANT(bfe_u, bfe((u32)a, (u32)b, (u32)c, 32, false))
WANT(bfe_s, bfe((u32)a, (u32)b, (u32)c, 32, true))
WANT(bfe_u64, bfe(a, (u32)b, (u32)c, 64, false))
WANT(bfe_s64, bfe(a, (u32)b, (u32)c, 64, true))

static u64 bfi_reference(u32 a, u32 b, u32 pos, u32 len)
{
    pos &= 255;
    len &= 255;
    for (u32 i = 0; i < len && pos + i < 32; i++)
        b = (b & ~(1u << (pos + i))) | (a >> i & 1) << (pos + i);
    return b;
}
WANT(bfi, bfi_reference((u32)a, 0x5a5a5a5a, (u32)b, (u32)c))

static u32 top_bit(u64 x, int bits)
{
    for (int i = bits - 1; i >= 0; i--)
        if ((x >> i & 1) != 0)
            return (u32)i;
    return 0xffffffffu;
}
WANT(bfind_u, top_bit((u32)a, 32))
WANT(bfind_s, top_bit((u32)(S(a) < 0 ? ~a : a), 32))
WANT(bfind_shift, (u32)a == 0 ? 0xffffffffu : 31 - top_bit((u32)a, 32))
WANT(bfind_64, top_bit(a, 64))
WANT(clz, (u32)a == 0 ? 32 : 31 - top_bit((u32)a, 32))
WANT(clz64, a == 0 ? 64 : 63 - top_bit(a, 64))

static u32 ones(u64 x)
{
    u32 n = 0;
    for (int i = 0; i < 64; i++)
        n += (u32)(x >> i & 1);
    return n;
}
WANT(popc, ones((u32)a))
WANT(popc64, ones(a))

static u64 reversed(u64 x, int bits)
{
    u64 r = 0;
    for (int i = 0; i < bits; i++)
        r |= (x >> i & 1) << (bits - 1 - i);
    return r;
}
WANT(brev, reversed((u32)a, 32))
WANT(brev64, reversed(a, 64))

static u64 prmt_reference(u32 a, u32 b, u32 c)
{
    u32 r = 0;
    uint8_t bytes[8];
    memcpy(bytes, &a, 4);
    memcpy(bytes + 4, &b, 4);
    for (int i = 0; i < 4; i++) {
        u32 s = c >> (4 * i) & 15;
        uint8_t v = bytes[s & 7];
        r |= (u32)(s & 8 ? (v & 0x80 ? 0xff : 0) : v) << (8 * i);
    }
    return r;
}
WANT(prmt, prmt_reference((u32)a, (u32)b, (u32)c))
WANT(prmt_rc16, (c & 3) % 2 == 0 ? (a & 0xffff) * 0x10001 : (a >> 16 & 0xffff) * 0x10001)
WANT(prmt_b4e,
     (c & 3) == 3
         ? (u32)(a >> 24 & 255) | (a >> 16 & 255) << 8 | (a >> 8 & 255) << 16 | (a & 255) << 24
     : (c & 3) == 0
         ? (a & 255) | (b >> 24 & 255) << 8 | (b >> 16 & 255) << 16 | (b >> 8 & 255) << 24
     : (c & 3) == 1
         ? (a >> 8 & 255) | (a & 255) << 8 | (b >> 24 & 255) << 16 | (b >> 16 & 255) << 24
         : (a >> 16 & 255) | (a >> 8 & 255) << 8 | (a & 255) << 16 | (b >> 24 & 255) << 24)
WANT(lop3, (u32)((a & b) | (~a & c)))
WANT(lop3_odd, (u32)(~(a | b | c) | (a & b & ~c)))
WANT(shf_l, (u32)((((u64)(u32)b << 32 | (u32)a) << (c & 31)) >> 32))
WANT(shf_r, (u32)(((u64)(u32)b << 32 | (u32)a) >> ((u32)c > 32 ? 32 : (u32)c)))
WANT(dp4a, (u32)((u32)c + (u32)((int8_t)a * (int)(uint8_t)b) +
                 (u32)((int8_t)(a >> 8) * (int)(uint8_t)(b >> 8)) +
                 (u32)((int8_t)(a >> 16) * (int)(uint8_t)(b >> 16)) +
                 (u32)((int8_t)(a >> 24) * (int)(uint8_t)(b >> 24))))
WANT(dp2a_hi, (u32)((u32)c + (u32)(H(a) * (int)(int8_t)(b >> 16)) +
                    (u32)(H(a >> 16) * (int)(int8_t)(b >> 24))))
WANT(ltu, (u32)a < (u32)b)
WANT(lts, S(a) < S(b))
WANT(ge_and, S(a) >= S(b) && S(c) != 0)
WANT(ne_or_inverse, !(S(a) != S(b)) || S(c) == 1)
WANT(set_u, (u32)a <= (u32)b ? 0xffffffffu : 0)
WANT(eq16, (uint16_t)a == (uint16_t)b)
WANT(lt16, H(a) < H(b))

static void words_are_computed_right(void **state)
{
    (void)state;
    static const op_case two[] = {
        {"add.s32 %r0, %ra, %rb;", 'r', add32},
        {"sub.u32 %r0, %ra, %rb;", 'r', sub32},
        {"add.u16 %h0, %ha, %hb;", 'h', add16},
        {"mul.lo.s32 %r0, %ra, %rb;", 'r', mul32},
        {"mul.hi.s32 %r0, %ra, %rb;", 'r', mulhi_s},
        {"mul.hi.u32 %r0, %ra, %rb;", 'r', mulhi_u},
        {"mul.wide.s32 %d0, %ra, %rb;", 'd', wide_s},
        {"mul.wide.u32 %d0, %ra, %rb;", 'd', wide_u},
        {"mul.wide.s16 %r0, %ha, %hb;", 'r', wide16_s},
        {"mul.wide.u16 %r0, %ha, %hb;", 'r', wide16_u},
        {"mul24.lo.u32 %r0, %ra, %rb;", 'r', mul24},
        {"min.s32 %r0, %ra, %rb;", 'r', min_s},
        {"max.s32 %r0, %ra, %rb;", 'r', max_s},
        {"min.u32 %r0, %ra, %rb;", 'r', min_u},
        {"max.u32 %r0, %ra, %rb;", 'r', max_u},
        {"min.s16 %h0, %ha, %hb;", 'h', min_h},
        {"neg.s32 %r0, %ra;", 'r', neg32},
        {"abs.s32 %r0, %ra;", 'r', abs32},
        {"and.b32 %r0, %ra, %rb;", 'r', and32},
        {"or.b32 %r0, %ra, %rb;", 'r', or32},
        {"xor.b32 %r0, %ra, %rb;", 'r', xor32},
        {"not.b32 %r0, %ra;", 'r', not32},
        {"cnot.b32 %r0, %ra;", 'r', cnot32},
        {"shl.b32 %r0, %ra, %rb;", 'r', shl32},
        {"shr.u32 %r0, %ra, %rb;", 'r', shr_u},
        {"shr.s32 %r0, %ra, %rb;", 'r', shr_s},
        {"shl.b16 %h0, %ha, %rb;", 'h', shl16},
        {"shr.s16 %h0, %ha, %rb;", 'h', shr16_s},
        {"div.u32 %r0, %ra, %rb;", 'r', div_u},
        {"rem.u32 %r0, %ra, %rb;", 'r', rem_u},
        {"div.s32 %r0, %ra, %rb;", 'r', div_s},
        {"rem.s32 %r0, %ra, %rb;", 'r', rem_s},
        {"add.sat.s32 %r0, %ra, %rb;", 'r', addsat},
        {"add.u16x2 %r0, %ra, %rb;", 'r', u16x2},
        {"min.u16x2 %r0, %ra, %rb;", 'r', min_ux2},
        {"max.u16x2 %r0, %ra, %rb;", 'r', max_ux2},
        {"min.s16x2 %r0, %ra, %rb;", 'r', min_sx2},
        {"max.s16x2 %r0, %ra, %rb;", 'r', max_sx2},
        {"min.relu.s16x2 %r0, %ra, %rb;", 'r', min_relu_sx2},
        {"max.s16x2.relu %r0, %ra, %rb;", 'r', max_relu_sx2},
        {"min.s32.relu %r0, %ra, %rb;", 'r', min_relu_s},
        {"max.relu.s32 %r0, %ra, %rb;", 'r', max_relu_s},
        {"add.cc.u32 %r1, %ra, %rb; addc.u32 %r0, 0, 0;", 'r', carry},
        {"sub.cc.u32 %r1, %ra, %rb; subc.u32 %r0, 0, 0;", 'r', borrow},
        {"{ .reg .b64 %t; mov.b64 %t, {%ra, %rb}; mov.b64 {%r1, %r2}, %t; sub.u32 %r0, %r1, %r2; }",
         'r', sub32},
        {"mov.b32 {%h1, %h2}, %ra; mov.b32 {_, %h3}, %rb; mov.b32 %r1, {%h1, %h2};"
         "mov.b32 %r2, {%h1, %h2}; sub.u32 %r1, %r1, %r2; add.u32 %r0, %ra, %rb;",
         'r', add32},
        {"bfind.u32 %r0, %ra;", 'r', bfind_u},
        {"bfind.s32 %r0, %ra;", 'r', bfind_s},
        {"bfind.shiftamt.u32 %r0, %ra;", 'r', bfind_shift},
        {"clz.b32 %r0, %ra;", 'r', clz},
        {"popc.b32 %r0, %ra;", 'r', popc},
        {"brev.b32 %r0, %ra;", 'r', brev},
        {"setp.lt.u32 %p0, %ra, %rb;", 'p', ltu},
        {"setp.lo.u32 %p0, %ra, %rb;", 'p', ltu},
        {"setp.lt.s32 %p0, %ra, %rb;", 'p', lts},
        {"setp.eq.s16 %p0, %ha, %hb;", 'p', eq16},
        {"setp.lt.s16 %p0, %ha, %hb;", 'p', lt16},
        {"set.le.u32.u32 %r0, %ra, %rb;", 'r', set_u},
    };
    check_cases(two, COUNT(two), words, COUNT(words), 2);
}

static void three_operands_are_computed_right(void **state)
{
    (void)state;
    static const op_case three[] = {
        {"mad.lo.s32 %r0, %ra, %rb, %rc;", 'r', mad32},
        {"cvt.s64.s32 %d1, %rc; mad.wide.s32 %d0, %ra, %rb, %d1;", 'd', madwide_s},
        {"mad.hi.s32 %r0, %ra, %rb, %rc;", 'r', madhi_s},
        {"sad.s32 %r0, %ra, %rb, %rc;", 'r', sad_s},
        {"cvt.pack.sat.u8.s32.b32 %r0, %ra, %rb, %rc;", 'r', pack_u8},
        {"cvt.pack.sat.s8.s32.b32 %r0, %ra, %rb, %rc;", 'r', pack_s8},
        {"cvt.pack.sat.u16.s32 %r0, %ra, %rb;", 'r', pack_u16},
        {"cvt.pack.sat.s16.s32 %r0, %ra, %rb;", 'r', pack_s16},
        {"vabsdiff4.u32.u32.u32 %r0, %ra, %rb, %rc;", 'r', absdiff4},
        {"vabsdiff4.u32.u32.u32.add %r0, %ra, %rb, %rc;", 'r', absdiff4_add},
        {"vabsdiff2.u32.u32.u32 %r0, %ra, %rb, %rc;", 'r', absdiff2},
        {"vabsdiff2.u32.u32.u32.add %r0, %ra, %rb, %rc;", 'r', absdiff2_add},
        {"slct.b32.s32 %r0, %ra, %rb, %rc;", 'r', slct},
        {"bfe.u32 %r0, %ra, %rb, %rc;", 'r', bfe_u},
        {"bfe.s32 %r0, %ra, %rb, %rc;", 'r', bfe_s},
        {"bfi.b32 %r0, %ra, 0x5a5a5a5a, %rb, %rc;", 'r', bfi},
        {"prmt.b32 %r0, %ra, %rb, %rc;", 'r', prmt},
        {"prmt.b32.rc16 %r0, %ra, %rb, %rc;", 'r', prmt_rc16},
        {"prmt.b32.b4e %r0, %ra, %rb, %rc;", 'r', prmt_b4e},
        {"lop3.b32 %r0, %ra, %rb, %rc, 0xca;", 'r', lop3},
        {"lop3.b32 %r0, %ra, %rb, %rc, 0x41;", 'r', lop3_odd},
        {"shf.l.wrap.b32 %r0, %ra, %rb, %rc;", 'r', shf_l},
        {"shf.r.clamp.b32 %r0, %ra, %rb, %rc;", 'r', shf_r},
        {"dp4a.s32.u32 %r0, %ra, %rb, %rc;", 'r', dp4a},
        {"dp2a.hi.s32.s32 %r0, %ra, %rb, %rc;", 'r', dp2a_hi},
        {"setp.ne.s32 %p1, %rc, 0; setp.ge.and.s32 %p0, %ra, %rb, %p1;", 'p', ge_and},
        {"setp.ne.s32 %p1, %rc, 1; setp.ne.or.s32 %p2|%p0, %ra, %rb, !%p1;", 'p', ne_or_inverse},
    };
    check_cases(three, COUNT(three), words, COUNT(words), 3);
}

WANT(add64, a + b)
WANT(mul64, a *b)
WANT(mulhi64_u, ((u128)a * b) >> 64)
WANT(min64_s, (s64)a < (s64)b ? a : b)
WANT(max64_u, a > b ? a : b)
WANT(shl64, (u32)b > 63 ? 0 : a << (u32)b)
WANT(shr64_s, (s64)a >> ((u32)b > 63 ? 63 : (u32)b))
WANT(shr64_u, (u32)b > 63 ? 0 : a >> (u32)b)
WANT(div64_u, b == 0 ? ~(u64)0 : a / b)
WANT(rem64_s, b == 0 ? a : (s64)b == -1 ? 0 : (u64)((s64)a % (s64)b))
WANT(div64_s, b == 0 ? ~(u64)0 : (s64)b == -1 ? 0 - a : (u64)((s64)a / (s64)b))
WANT(xor64, a ^ b)
WANT(lt64_s, (s64)a < (s64)b)
WANT(gt64_u, a > b)
WANT(carry64, (u64)(((u128)a + b) >> 64))
WANT(abs64, (s64)a < 0 ? 0 - a : a)

static void longs_are_computed_right(void **state)
{
    (void)state;
    static const op_case two[] = {
        {"add.s64 %d0, %da, %db;", 'd', add64},
        {"mul.lo.s64 %d0, %da, %db;", 'd', mul64},
        {"mul.hi.u64 %d0, %da, %db;", 'd', mulhi64_u},
        {"min.s64 %d0, %da, %db;", 'd', min64_s},
        {"max.u64 %d0, %da, %db;", 'd', max64_u},
        {"shl.b64 %d0, %da, %rb;", 'd', shl64},
        {"shr.s64 %d0, %da, %rb;", 'd', shr64_s},
        {"shr.u64 %d0, %da, %rb;", 'd', shr64_u},
        {"div.u64 %d0, %da, %db;", 'd', div64_u},
        {"div.s64 %d0, %da, %db;", 'd', div64_s},
        {"rem.s64 %d0, %da, %db;", 'd', rem64_s},
        {"xor.b64 %d0, %da, %db;", 'd', xor64},
        {"abs.s64 %d0, %da;", 'd', abs64},
        {"setp.lt.s64 %p0, %da, %db;", 'p', lt64_s},
        {"setp.gt.u64 %p0, %da, %db;", 'p', gt64_u},
        {"add.cc.u64 %d1, %da, %db; addc.u64 %d0, 0, 0;", 'd', carry64},
        {"bfind.u64 %r0, %da;", 'r', bfind_64},
        {"clz.b64 %r0, %da;", 'r', clz64},
        {"popc.b64 %r0, %da;", 'r', popc64},
        {"brev.b64 %d0, %da;", 'd', brev64},
    };
    static const op_case three[] = {
        {"bfe.u64 %d0, %da, %rb, %rc;", 'd', bfe_u64},
        {"bfe.s64 %d0, %da, %rb, %rc;", 'd', bfe_s64},
    };
    check_cases(two, COUNT(two), longs, COUNT(longs), 2);
    check_cases(three, COUNT(three), longs, COUNT(longs), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_computed_right),
        cmocka_unit_test(three_operands_are_computed_right),
        cmocka_unit_test(longs_are_computed_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
