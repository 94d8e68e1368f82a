/* Bits that an H200 computed: products of pseudorandom numbers (all exponents of the small formats,
 * subnormals among them), four warps of each form, hashed. PTX leaves the order and the precision
 * of the sums open; this is what README.md of the simulator says they are. */
#include "tests/eval/tensor_test.h"

#define MMA "mma.sync.aligned."
#define WMMA "wmma.mma.sync.aligned.row.col."
#define BLOCKS 4

typedef struct recorded {
    uint64_t hash; /* FNV-1a of the results, lane after lane */
    form form;
} recorded;

static const recorded forms[] = {
    {UINT64_C(0x17b75f295d676279),
     {MMA "m16n8k8.row.col.f32.f16.f16.f32", 2, 1, 4, 4, F16, F16, F32, 0, 0, 0}},
    {UINT64_C(0x595e7fc027746155),
     {MMA "m16n8k8.row.col.f16.f16.f16.f16", 2, 1, 2, 2, F16, F16, F16, 0, 0, 0}},
    {UINT64_C(0x4a9adb1d164cee94),
     {MMA "m16n8k16.row.col.f32.f16.f16.f32", 4, 2, 4, 4, F16, F16, F32, 0, 0, 0}},
    {UINT64_C(0x855e099e2c14a686),
     {MMA "m16n8k16.row.col.f16.f16.f16.f16", 4, 2, 2, 2, F16, F16, F16, 0, 0, 0}},
    {UINT64_C(0xec61cd492555f847),
     {MMA "m16n8k8.row.col.f32.bf16.bf16.f32", 2, 1, 4, 4, BF16, BF16, F32, 0, 0, 0}},
    {UINT64_C(0x2db55472b68afde0),
     {MMA "m16n8k16.row.col.f32.bf16.bf16.f32", 4, 2, 4, 4, BF16, BF16, F32, 0, 0, 0}},
    {UINT64_C(0x325aba38fb76a826),
     {MMA "m16n8k4.row.col.f32.tf32.tf32.f32", 2, 1, 4, 4, TF32, TF32, F32, 0, 0, 0}},
    {UINT64_C(0xa051cde440dad7c5),
     {MMA "m16n8k8.row.col.f32.tf32.tf32.f32", 4, 2, 4, 4, TF32, TF32, F32, 0, 0, 0}},
    {UINT64_C(0x3ba10916417eb2ee),
     {MMA "m16n8k32.row.col.f32.e4m3.e4m3.f32", 4, 2, 4, 4, E4M3, E4M3, F32, 0, 0, 0}},
    {UINT64_C(0x486c5fc17b068eb9),
     {MMA "m16n8k32.row.col.f32.e4m3.e5m2.f32", 4, 2, 4, 4, E4M3, E5M2, F32, 0, 0, 0}},
    {UINT64_C(0x8955212d285a3221),
     {MMA "m16n8k32.row.col.f32.e5m2.e4m3.f32", 4, 2, 4, 4, E5M2, E4M3, F32, 0, 0, 0}},
    {UINT64_C(0x3430909b2170aafd),
     {MMA "m16n8k32.row.col.f32.e5m2.e5m2.f32", 4, 2, 4, 4, E5M2, E5M2, F32, 0, 0, 0}},
    {UINT64_C(0x3bee8029df7cef6c),
     {MMA "m8n8k4.row.col.f64.f64.f64.f64", 1, 1, 2, 2, F64, F64, F64, 0, 0, 0}},
    {UINT64_C(0xea5295d02329807d),
     {MMA "m16n8k4.row.col.f64.f64.f64.f64", 2, 1, 4, 4, F64, F64, F64, 0, 0, 0}},
    {UINT64_C(0x4eead31b98feed2d),
     {MMA "m16n8k8.row.col.f64.f64.f64.f64", 4, 2, 4, 4, F64, F64, F64, 0, 0, 0}},
    {UINT64_C(0x1bd6b9b3e41a0b90),
     {MMA "m16n8k16.row.col.f64.f64.f64.f64", 8, 4, 4, 4, F64, F64, F64, 0, 0, 0}},
    {UINT64_C(0x48b4aa93a64f7985),
     {MMA "m8n8k16.row.col.s32.s8.s8.s32", 1, 1, 2, 2, S8, S8, S32, 0, 0, 0}},
    {UINT64_C(0xa09943cd4df2d08b),
     {MMA "m16n8k16.row.col.s32.s8.s8.s32", 2, 1, 4, 4, S8, S8, S32, 0, 0, 0}},
    {UINT64_C(0x89b79a9caa84a31f),
     {MMA "m16n8k32.row.col.satfinite.s32.s8.s8.s32", 4, 2, 4, 4, S8, S8, S32, 0, 0, 0}},
    {UINT64_C(0x1da0a442b73c42e7),
     {MMA "m8n8k16.row.col.s32.s8.u8.s32", 1, 1, 2, 2, S8, U8, S32, 0, 0, 0}},
    {UINT64_C(0x0c6c6a340c0b38f6),
     {MMA "m16n8k16.row.col.s32.s8.u8.s32", 2, 1, 4, 4, S8, U8, S32, 0, 0, 0}},
    {UINT64_C(0x6398dcb1c2c6bb83),
     {MMA "m16n8k32.row.col.satfinite.s32.s8.u8.s32", 4, 2, 4, 4, S8, U8, S32, 0, 0, 0}},
    {UINT64_C(0xd96d126aa870f67a),
     {MMA "m8n8k16.row.col.s32.u8.s8.s32", 1, 1, 2, 2, U8, S8, S32, 0, 0, 0}},
    {UINT64_C(0xa3d6cb8f0cf65344),
     {MMA "m16n8k16.row.col.s32.u8.s8.s32", 2, 1, 4, 4, U8, S8, S32, 0, 0, 0}},
    {UINT64_C(0x89351d547c92f6d5),
     {MMA "m16n8k32.row.col.satfinite.s32.u8.s8.s32", 4, 2, 4, 4, U8, S8, S32, 0, 0, 0}},
    {UINT64_C(0xc1a6d0aaadfa626c),
     {MMA "m8n8k16.row.col.s32.u8.u8.s32", 1, 1, 2, 2, U8, U8, S32, 0, 0, 0}},
    {UINT64_C(0xaf77e143133803fa),
     {MMA "m16n8k16.row.col.s32.u8.u8.s32", 2, 1, 4, 4, U8, U8, S32, 0, 0, 0}},
    {UINT64_C(0x8d6b1bb3e7caacc6),
     {MMA "m16n8k32.row.col.satfinite.s32.u8.u8.s32", 4, 2, 4, 4, U8, U8, S32, 0, 0, 0}},
    {UINT64_C(0x3f4938fa1a373054), {WMMA "m16n16k16.f32.f32", 8, 8, 8, 8, F16, F16, F32, 0, 0, 0}},
    {UINT64_C(0xb74119372cb18e30), {WMMA "m16n16k16.f16.f16", 8, 8, 4, 4, F16, F16, F16, 0, 0, 0}},
    {UINT64_C(0x4d5cd22729b41d19), {WMMA "m32n8k16.f32.f32", 8, 8, 8, 8, F16, F16, F32, 0, 0, 0}},
    {UINT64_C(0x6470b42d97fa2c95), {WMMA "m32n8k16.f16.f16", 8, 8, 4, 4, F16, F16, F16, 0, 0, 0}},
    {UINT64_C(0x6d48f953589f3487), {WMMA "m8n32k16.f32.f32", 8, 8, 8, 8, F16, F16, F32, 0, 0, 0}},
    {UINT64_C(0x9dc773d8b45d90fb), {WMMA "m8n32k16.f16.f16", 8, 8, 4, 4, F16, F16, F16, 0, 0, 0}},
    {UINT64_C(0x8939c7c03ae300b4),
     {WMMA "m16n16k16.f32.bf16.bf16.f32", 4, 4, 8, 8, BF16, BF16, F32, 0, 0, 0}},
    {UINT64_C(0xb8a97e9066de87ef),
     {WMMA "m32n8k16.f32.bf16.bf16.f32", 8, 2, 8, 8, BF16, BF16, F32, 0, 0, 0}},
    {UINT64_C(0x91c1ea48a81bc9e0),
     {WMMA "m8n32k16.f32.bf16.bf16.f32", 2, 8, 8, 8, BF16, BF16, F32, 0, 0, 0}},
    {UINT64_C(0xec5d1e6814b136a8),
     {WMMA "m16n16k8.f32.tf32.tf32.f32", 4, 4, 8, 8, TF32, TF32, F32, 0, 0, 0}},
    {UINT64_C(0x428e9b7d3ee2ff7c),
     {WMMA "m8n8k4.f64.f64.f64.f64", 1, 1, 2, 2, F64, F64, F64, 0, 0, 0}},
    {UINT64_C(0x9a565d80cd5d15e7),
     {WMMA "m16n16k16.s32.s8.s8.s32", 2, 2, 8, 8, S8, S8, S32, 0, 0, 0}},
    {UINT64_C(0x790a0755a9b5ce42),
     {WMMA "m32n8k16.s32.u8.u8.s32", 4, 1, 8, 8, U8, U8, S32, 0, 0, 0}},
    {UINT64_C(0xd425b500d854f73d),
     {WMMA "m8n32k16.s32.s8.s8.s32", 1, 4, 8, 8, S8, S8, S32, 0, 0, 0}},
};

/* Word n of an input of a format: any bits that are no infinity and no NaN; of the wide formats
 * exponents near one. */
static uint32_t word(format f, uint32_t n)
{
    uint32_t v = noise_bits(n);
    switch (f) {
    case F16:
        for (int s = 0; s < 32; s += 16)
            if ((v >> s & 0x7c00) == 0x7c00)
                v &= ~(0x4000u << s);
        return v;
    case BF16:
        return (v & 0x87ff87ffu) | 0x38003800u;
    case TF32:
    case F32:
        return (v & 0x87ffffffu) | 0x38000000u;
    case F64:
        return (n & 1) != 0 ? (v & 0x807fffffu) | 0x3f800000u : v;
    case E4M3:
        for (int s = 0; s < 32; s += 8)
            if ((v >> s & 127) == 127)
                v ^= 1u << s;
        return v;
    case E5M2:
        for (int s = 0; s < 32; s += 8)
            if ((v >> s & 0x7c) == 0x7c)
                v &= ~(0x40u << s);
        return v;
    default:
        return v;
    }
}

static void same_bits_as_hardware(void **state)
{
    static uint8_t in[BLOCKS * 32 * 160], out[BLOCKS * 32 * 64];
    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        const form *f = &forms[i].form;
        uint32_t n = (uint32_t)i * 100000;
        int wide = f->a_format == F64 ? 2 : 1, counts[3] = {f->a * wide, f->b * wide, f->c * wide};
        const format formats[3] = {f->a_format, f->b_format, f->sum};
        uint8_t *at = in;
        for (int lane = 0; lane < 32 * BLOCKS; lane++)
            for (int o = 0; o < 3; o++)
                for (int k = 0; k < counts[o]; k++) {
                    uint32_t v = word(formats[o], n++);
                    memcpy(at, &v, sizeof v);
                    at += sizeof v;
                }
        for (int isa = 0; isa < 2; isa++) {
            uint64_t hash = UINT64_C(0xcbf29ce484222325);
            run_form(f, BLOCKS, in, out, instruction_sets()[isa]);
            for (size_t k = 0; k < 32 * BLOCKS * lane_output(f); k++)
                hash = (hash ^ out[k]) * UINT64_C(0x100000001b3);
            if (hash != forms[i].hash)
                fail_msg("%s (%s): the results differ from those of an H200", f->op,
                         isa == 0 ? kds_sim_isa() : "baseline");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits_as_hardware)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
