/* The driver of the decoder: cuts opcodes, finds operands, lays out shared and local variables,
 * resolves branches. An instruction that is not known, or has a modifier or operand that its
 * decoder did not ask for, makes the whole kernel unrunnable: nothing is guessed. */
#include "eval/sim/decode.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONSTS_CAP 8192

static bool is(kds_ptx_name n, const char *s)
{
    return n.len == strlen(s) && memcmp(n.text, s, n.len) == 0;
}

bool kds_why(kds_decoder *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(d->why, sizeof d->why, fmt, ap);
    va_end(ap);
    return false;
}

bool kds_accept(kds_decoder *d, const char *segment)
{
    if (d->at >= d->segment_count || !is(d->segments[d->at], segment))
        return false;
    d->at++;
    return true;
}

bool kds_accept_prefix(kds_decoder *d, const char *prefix)
{
    size_t len = strlen(prefix);
    if (d->at >= d->segment_count || d->segments[d->at].len <= len ||
        memcmp(d->segments[d->at].text, prefix, len) != 0)
        return false;
    d->at++;
    return true;
}

int kds_accept_of(kds_decoder *d, const char *const *list)
{
    for (int i = 0; list[i] != NULL; i++)
        if (kds_accept(d, list[i]))
            return i;
    return -1;
}

kds_ptx_type kds_accept_type(kds_decoder *d)
{
    if (d->at >= d->segment_count)
        return KDS_PTX_NO_TYPE;
    kds_ptx_type t = kds_ptx_type_parse(d->segments[d->at].text, d->segments[d->at].len);
    if (t != KDS_PTX_NO_TYPE)
        d->at++;
    return t;
}

bool kds_all_read(const kds_decoder *d)
{
    return d->at == d->segment_count;
}

static bool cut_opcode(kds_decoder *d)
{
    kds_ptx_name n = d->source->opcode;
    d->segment_count = d->at = 0;
    for (uint32_t i = 0, start = 0; i <= n.len; i++) {
        if (i < n.len && n.text[i] != '.')
            continue;
        if (d->segment_count == KDS_SEGMENTS)
            return false;
        d->segments[d->segment_count++] = (kds_ptx_name){n.text + start, i - start};
        start = i + 1;
    }
    return true;
}

const kds_ptx_operand *kds_operand(const kds_decoder *d, int position)
{
    static const kds_ptx_operand none = {.kind = KDS_OPERAND_OTHER};
    return position < d->source->operand_count
               ? &d->function->operands[d->source->operands + (uint32_t)position]
               : &none;
}

int kds_operand_count(const kds_decoder *d)
{
    return d->source->operand_count;
}

/* The virtual register of an operand that is one: functions have theirs one after the other. */
static int32_t register_of(const kds_decoder *d, const kds_ptx_operand *o)
{
    return (int32_t)d->register_base + o->index;
}

static int bytes_of(const kds_decoder *d, const kds_ptx_operand *o)
{
    return d->registers[register_of(d, o)];
}

int kds_register_bytes(const kds_decoder *d, const kds_ptx_operand *o)
{
    return o->kind == KDS_OPERAND_REGISTER && o->value == 0 ? bytes_of(d, o) : -1;
}

bool kds_constant(kds_decoder *d, kds_const c, int32_t *ref)
{
    kds_kernel *k = d->kernel;
    uint64_t hash = (c.bits ^ (uint64_t)c.index * 31 ^ (uint64_t)c.kind << 7) + c.bytes;
    hash ^= hash >> 32;
    hash ^= hash >> 16;
    uint32_t *head = &d->const_heads[(hash ^ hash >> 8) & 255];
    for (uint32_t i = *head; i != 0; i = d->const_next[i - 1]) {
        const kds_const *have = &k->consts[i - 1];
        if (have->kind == c.kind && have->bytes == c.bytes && have->index == c.index &&
            have->bits == c.bits) {
            *ref = ~(int32_t)(i - 1);
            return true;
        }
    }
    if (k->const_count >= CONSTS_CAP)
        return kds_why(d, "more than %d constants", CONSTS_CAP);
    if (!kds_ptx_room(&k->consts, k->const_count, &k->const_room, sizeof *k->consts) ||
        !kds_ptx_room(&d->const_next, k->const_count, &d->const_next_room, sizeof(uint32_t))) {
        d->no_memory = true;
        return false;
    }
    k->consts[k->const_count] = c;
    d->const_next[k->const_count] = *head;
    *ref = ~(int32_t)k->const_count;
    *head = ++k->const_count;
    return true;
}

static const struct {
    const char *name;
    kds_special special;
} specials[] = {
    {"%tid.x", KDS_TID_X},
    {"%tid.y", KDS_TID_Y},
    {"%tid.z", KDS_TID_Z},
    {"%ntid.x", KDS_NTID_X},
    {"%ntid.y", KDS_NTID_Y},
    {"%ntid.z", KDS_NTID_Z},
    {"%ctaid.x", KDS_CTAID_X},
    {"%ctaid.y", KDS_CTAID_Y},
    {"%ctaid.z", KDS_CTAID_Z},
    {"%nctaid.x", KDS_NCTAID_X},
    {"%nctaid.y", KDS_NCTAID_Y},
    {"%nctaid.z", KDS_NCTAID_Z},
    {"%laneid", KDS_LANEID},
    {"%warpid", KDS_WARPID},
    {"%nwarpid", KDS_NWARPID},
    {"%smid", KDS_SMID},
    {"%nsmid", KDS_NSMID},
    {"%gridid", KDS_GRIDID},
    {"%lanemask_eq", KDS_LANEMASK_EQ},
    {"%lanemask_le", KDS_LANEMASK_LE},
    {"%lanemask_lt", KDS_LANEMASK_LT},
    {"%lanemask_ge", KDS_LANEMASK_GE},
    {"%lanemask_gt", KDS_LANEMASK_GT},
    {"%envreg1", KDS_WORKSPACE_HIGH},
    {"%envreg2", KDS_WORKSPACE_LOW},
    {"%cluster_ctaid.x", KDS_CLUSTER_CTAID_X},
    {"%cluster_ctaid.y", KDS_CLUSTER_CTAID_Y},
    {"%cluster_ctaid.z", KDS_CLUSTER_CTAID_Z},
    {"%cluster_nctaid.x", KDS_CLUSTER_NCTAID_X},
    {"%cluster_nctaid.y", KDS_CLUSTER_NCTAID_Y},
    {"%cluster_nctaid.z", KDS_CLUSTER_NCTAID_Z},
    {"%clusterid.x", KDS_CLUSTERID_X},
    {"%clusterid.y", KDS_CLUSTERID_Y},
    {"%clusterid.z", KDS_CLUSTERID_Z},
    {"%nclusterid.x", KDS_NCLUSTERID_X},
    {"%nclusterid.y", KDS_NCLUSTERID_Y},
    {"%nclusterid.z", KDS_NCLUSTERID_Z},
    {"%cluster_ctarank", KDS_CLUSTER_CTARANK},
    {"%cluster_nctarank", KDS_CLUSTER_NCTARANK},
    {"%is_explicit_cluster", KDS_IS_EXPLICIT_CLUSTER},
    {"%dynamic_smem_size", KDS_DYNAMIC_SMEM_SIZE},
    {"%total_smem_size", KDS_TOTAL_SMEM_SIZE},
};

static bool use_special(kds_decoder *d, const kds_ptx_operand *o, int bytes, int32_t *ref)
{
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++)
        if (is(o->name, specials[i].name)) {
            bool fits = specials[i].special == KDS_IS_EXPLICIT_CLUSTER ? bytes == 0
                                                                       : bytes == 4 || bytes == 2;
            if (!fits)
                return kds_why(d, "special register %s as an operand of %d bytes", specials[i].name,
                               bytes);
            return kds_constant(d,
                                (kds_const){.kind = KDS_CONST_SPECIAL,
                                            .bytes = (uint8_t)bytes,
                                            .index = (int32_t)specials[i].special},
                                ref);
        }
    return kds_why(d, "unknown name '%.*s'", o->name.len < 80 ? (int)o->name.len : 80,
                   o->name.text);
}

bool kds_place_variable(kds_decoder *d, const kds_ptx_symbol *s, uint32_t *offset)
{
    kds_kernel *k = d->kernel;
    if (*offset != UINT32_MAX)
        return true;
    if (s->space == KDS_SPACE_SHARED && s->bytes == 0) {
        k->dynamic_align = s->align > k->dynamic_align ? s->align : k->dynamic_align;
        *offset = UINT32_MAX - 1; /* known when all static variables are placed */
        return true;
    }
    uint32_t *used = s->space == KDS_SPACE_SHARED ? &k->shared_bytes
                                                  : &k->calls.functions[d->at_function].local_bytes;
    uint64_t cap = s->space == KDS_SPACE_SHARED ? KDS_SHARED_CAP : KDS_LOCAL_CAP;
    uint64_t at = ((uint64_t)*used + s->align - 1) / s->align * s->align;
    if (at + s->bytes > cap)
        return kds_why(d, "more than %llu KiB of %s memory", (unsigned long long)(cap >> 10),
                       s->space == KDS_SPACE_SHARED ? "shared" : "local");
    *offset = (uint32_t)at;
    *used = (uint32_t)(at + s->bytes);
    return s->space == KDS_SPACE_SHARED || kds_note_local(d, s, *offset);
}

static const kds_ptx_symbol *symbol_of(const kds_decoder *d, int32_t index)
{
    return index < 0 ? &d->function->symbols[~index] : &d->ptx->symbols[index];
}

bool kds_own_register(kds_decoder *d, uint8_t bytes, int32_t *ref)
{
    if (!kds_ptx_room(&d->registers, d->register_count, &d->register_room, 1)) {
        d->no_memory = true;
        return false;
    }
    *ref = (int32_t)d->register_count;
    d->registers[d->register_count++] = bytes;
    return true;
}

bool kds_emit_before(kds_decoder *d, kds_ins ins)
{
    kds_ins saved = d->ins;
    ins.guard = ins.d2 = ins.c = ins.x = KDS_NO_REF;
    ins.memo = -1;
    d->ins = ins;
    bool ok = kds_emit(d);
    d->ins = saved;
    return ok;
}

/* The address of a variable as a constant, in its own space's numbering. */
static bool use_symbol(kds_decoder *d, const kds_ptx_operand *o, int bytes, int32_t *ref)
{
    const kds_ptx_symbol *s = symbol_of(d, o->index);
    kds_const c = {.kind = KDS_CONST_BITS, .bytes = (uint8_t)bytes, .bits = (uint64_t)o->value};
    if (bytes != 4 && bytes != 8)
        return kds_why(d, "an address in a register of %d bytes", bytes);
    if (s->space == KDS_SPACE_LOCAL && d->at_function != 0)
        return kds_use_frame_address(d, o, bytes, ref);
    if (s->space == KDS_SPACE_SHARED || s->space == KDS_SPACE_LOCAL) {
        uint32_t *offset =
            o->index < 0 ? &d->function_offsets[~o->index] : &d->module_offsets[o->index];
        if (!kds_place_variable(d, s, offset))
            return false;
        if (*offset == UINT32_MAX - 1) { /* dynamic: patched by fix_dynamic */
            c.kind = KDS_CONST_SYMBOL;
            c.index = -1;
        } else {
            c.bits += *offset;
        }
    } else if (s->space == KDS_SPACE_PARAM && (s->for_call || d->at_function != 0)) {
        return kds_why(d, "the address of a parameter of a call");
    } else if (s->space == KDS_SPACE_PARAM) {
        c.bits += s->offset;
    } else if (o->index < 0) {
        return kds_why(d, "a global variable inside a function");
    } else {
        c.kind = KDS_CONST_SYMBOL;
        c.index = o->index;
    }
    if (bytes == 4)
        c.bits &= UINT32_MAX;
    return kds_constant(d, c, ref);
}

/* The bits of a literal in a register of `bytes`. */
static uint64_t literal_bits(const kds_ptx_operand *o, int bytes, bool real)
{
    double wide;
    float narrow;
    uint64_t bits = (uint64_t)o->value;
    uint32_t small = (uint32_t)o->value;
    if (o->kind == KDS_OPERAND_INT && !real)
        return bytes == 2 ? bits & UINT16_MAX : bytes == 4 ? bits & UINT32_MAX : bits;
    if (o->kind == KDS_OPERAND_F32) {
        memcpy(&narrow, &small, sizeof narrow);
        wide = narrow;
    } else if (o->kind == KDS_OPERAND_F64) {
        memcpy(&wide, &bits, sizeof wide);
    } else {
        wide = (double)o->value;
    }
    if (bytes == 4) {
        if (o->kind == KDS_OPERAND_F32)
            return small;
        narrow = (float)wide;
        memcpy(&small, &narrow, sizeof small);
        return small;
    }
    memcpy(&bits, &wide, sizeof bits);
    return bits;
}

/* "!p": a predicate of our own that is set just before. */
static bool use_negated(kds_decoder *d, int32_t p, int32_t *ref)
{
    return kds_own_register(d, 0, ref) && kds_emit_before(d, (kds_ins){.op = KDS_OP_not_pred,
                                                                       .flags = KDS_INS_OWN_MASK,
                                                                       .d = *ref,
                                                                       .a = p,
                                                                       .b = KDS_NO_REF});
}

bool kds_use_operand(kds_decoder *d, const kds_ptx_operand *o, int bytes, bool real, int32_t *ref)
{
    switch (o->kind) {
    case KDS_OPERAND_REGISTER:
        if (o->value != 0 || bytes_of(d, o) != bytes)
            return kds_why(d, "an operand of another size");
        if (bytes == 0 && o->negated)
            return use_negated(d, register_of(d, o), ref);
        *ref = register_of(d, o);
        return !o->negated || kds_why(d, "a negated operand");
    case KDS_OPERAND_INT:
    case KDS_OPERAND_F32:
    case KDS_OPERAND_F64: {
        uint64_t bits = bytes == 0 ? (o->value != 0 ? KDS_FULL : 0) : literal_bits(o, bytes, real);
        if (bytes == 2 && (real || o->kind != KDS_OPERAND_INT))
            return kds_why(d, "a floating-point literal of 16 bits");
        return kds_constant(
            d, (kds_const){.kind = KDS_CONST_BITS, .bytes = (uint8_t)bytes, .bits = bits}, ref);
    }
    case KDS_OPERAND_SYMBOL:
        return use_symbol(d, o, bytes, ref);
    case KDS_OPERAND_NAME:
        return use_special(d, o, bytes, ref);
    default:
        return kds_why(d, "an operand of an unknown form");
    }
}

bool kds_use(kds_decoder *d, int position, int bytes, bool real, int32_t *ref)
{
    if (position >= d->source->operand_count)
        return kds_why(d, "another number of operands");
    return kds_use_operand(d, kds_operand(d, position), bytes, real, ref);
}

bool kds_define_operand(kds_decoder *d, const kds_ptx_operand *o, int bytes, int32_t *ref)
{
    if (o->kind == KDS_OPERAND_SINK) {
        *ref = KDS_NO_REF;
        return true;
    }
    if (o->kind != KDS_OPERAND_REGISTER || o->value != 0 || o->negated)
        return kds_why(d, "a result that is no register");
    if (bytes_of(d, o) != bytes)
        return kds_why(d, "a result of another size");
    *ref = register_of(d, o);
    return true;
}

bool kds_define(kds_decoder *d, int position, int bytes, int32_t *ref)
{
    return kds_define_operand(d, kds_operand(d, position), bytes, ref);
}

bool kds_immediate(kds_decoder *d, int position, int64_t *value)
{
    const kds_ptx_operand *o = kds_operand(d, position);
    if (o->kind != KDS_OPERAND_INT)
        return kds_why(d, "operand %d is no literal", position + 1);
    *value = o->value;
    return true;
}

bool kds_address(kds_decoder *d, int position, kds_ptx_space *named)
{
    const kds_ptx_operand *o = kds_operand(d, position);
    *named = KDS_SPACE_GENERIC;
    if (o->kind != KDS_OPERAND_ADDRESS)
        return kds_why(d, "operand %d is no address", position + 1);
    const kds_ptx_operand *base = &d->function->operands[o->index];
    d->ins.imm = o->value;
    if (base->kind == KDS_OPERAND_SYMBOL)
        *named = symbol_of(d, base->index)->space;
    int bytes = base->kind == KDS_OPERAND_REGISTER ? bytes_of(d, base) : 8;
    if (bytes != 4 && bytes != 8)
        return kds_why(d, "an address in a register of %d bytes", bytes);
    d->ins.combine = (uint8_t)bytes;
    if (*named == KDS_SPACE_LOCAL && d->at_function != 0) {
        uint32_t *offset = &d->function_offsets[~base->index];
        if (!kds_place_variable(d, symbol_of(d, base->index), offset))
            return false;
        d->ins.imm += *offset;
        return kds_frame(d, KDS_FRAME_LOCAL, &d->ins.a);
    }
    return kds_use_operand(d, base, bytes, false, &d->ins.a);
}

bool kds_list_add(kds_decoder *d, int32_t ref)
{
    kds_kernel *k = d->kernel;
    if (d->ins.listed == UINT8_MAX)
        return kds_why(d, "more than %d registers", UINT8_MAX);
    if (!kds_ptx_room(&k->list, k->list_count, &k->list_room, sizeof *k->list)) {
        d->no_memory = true;
        return false;
    }
    if (d->ins.listed++ == 0)
        d->ins.list = k->list_count;
    k->list[k->list_count++] = ref;
    return true;
}

bool kds_list_define(kds_decoder *d, int32_t ref)
{
    d->ins.defined++;
    return kds_list_add(d, ref);
}

bool kds_emit(kds_decoder *d)
{
    kds_kernel *k = d->kernel;
    if (k->code_count >= 2 * KDS_PTX_INSTRUCTIONS_CAP)
        return kds_why(d, "too many instructions");
    if (!kds_ptx_room(&k->code, k->code_count, &k->code_room, sizeof *k->code)) {
        d->no_memory = true;
        return false;
    }
    if (d->ins.d == KDS_NO_REF && d->ins.result_bytes != 0 &&
        (d->ins.flags & KDS_INS_OWN_MASK) == 0) {
        d->ins.op = KDS_OP_nop; /* a result that goes nowhere */
        d->ins.flags |= KDS_INS_OWN_MASK;
    }
    d->ins.line = (uint32_t)d->source->line;
    d->ins.source_line = (uint32_t)d->source->source_line;
    d->ins.opcode = d->source->opcode;
    k->code[k->code_count++] = d->ins;
    k->talks |= (d->ins.flags & KDS_INS_POLLS) != 0 || d->ins.op == KDS_OP_clock32 ||
                d->ins.op == KDS_OP_clock64 ||
                (d->ins.op == KDS_OP_atom && d->ins.space != KDS_SPACE_SHARED);
    return true;
}

void kds_kind(kds_decoder *d, kds_op op, kds_pipe pipe, int weight, kds_wait wait)
{
    d->ins.op = (uint16_t)op;
    d->ins.pipe = (uint8_t)pipe;
    d->ins.weight = (uint8_t)weight;
    d->ins.wait = (uint8_t)wait;
}

bool kds_decode_instruction(kds_decoder *d)
{
    static bool (*const groups[])(kds_decoder *) = {
        kds_decode_call,    kds_decode_row,    kds_decode_move,
        kds_decode_convert, kds_decode_async,  kds_decode_memory,
        kds_decode_cross,   kds_decode_tensor, kds_decode_control};
    const kds_ptx_instruction *s = d->source;
    kds_kernel *k = d->kernel;
    d->why[0] = '\0';
    bool cut = cut_opcode(d);
    for (size_t g = 0; cut && g < sizeof groups / sizeof groups[0] && d->why[0] == '\0'; g++) {
        d->at = 1;
        d->ins =
            (kds_ins){.guard = s->guard >= 0 ? (int32_t)d->register_base + s->guard : KDS_NO_REF,
                      .d = KDS_NO_REF,
                      .d2 = KDS_NO_REF,
                      .a = KDS_NO_REF,
                      .b = KDS_NO_REF,
                      .c = KDS_NO_REF,
                      .x = KDS_NO_REF,
                      .memo = -1,
                      .used_bytes = s->used_bytes_mask};
        if (s->guard >= 0)
            d->ins.flags =
                (uint8_t)(KDS_INS_GUARDED | (s->guard_negated ? KDS_INS_GUARD_NEGATED : 0));
        if (groups[g](d))
            return true;
        if (d->no_memory)
            return false;
    }
    char text[600];
    int len = s->opcode.len < 200 ? (int)s->opcode.len : 200;
    if (d->why[0] != '\0')
        snprintf(text, sizeof text, "%.*s at line %d (%s)", len, s->opcode.text, s->line, d->why);
    else
        snprintf(text, sizeof text, "%.*s at line %d", len, s->opcode.text, s->line);
    k->missing = strdup(text);
    d->no_memory = k->missing == NULL;
    return false;
}

/* Dynamic shared memory begins where the static variables end. */
static void fix_dynamic(kds_kernel *k)
{
    if (k->dynamic_align == 0)
        return;
    uint32_t align = k->dynamic_align > 16 ? k->dynamic_align : 16;
    k->dynamic_align = align;
    uint32_t start = (k->shared_bytes + align - 1) / align * align;
    for (uint32_t i = 0; i < k->const_count; i++)
        if (k->consts[i].kind == KDS_CONST_SYMBOL && k->consts[i].index == -1) {
            k->consts[i].kind = KDS_CONST_BITS;
            k->consts[i].bits += start;
        }
}

/* Branch targets from PTX instructions to ours; leaders and ends of runs. */
static void resolve_flow(kds_decoder *d)
{
    kds_kernel *k = d->kernel;
    for (uint32_t n = 0; n < k->calls.function_count; n++)
        if (k->calls.functions[n].missing == NULL)
            k->code[k->calls.functions[n].first].flags |= KDS_INS_LEADER;
    for (uint32_t i = 0; i < k->jump_count; i++) {
        k->jumps[i] = d->starts[k->jumps[i]];
        k->code[k->jumps[i]].flags |= KDS_INS_LEADER;
    }
    for (uint32_t i = 0; i < k->code_count; i++) {
        kds_ins *ins = &k->code[i];
        if (ins->op == KDS_OP_bra) {
            ins->target = d->starts[ins->target];
            k->code[ins->target].flags |= KDS_INS_LEADER;
        }
        if ((ins->flags & KDS_INS_ENDS_RUN) != 0 && i + 1 < k->code_count)
            k->code[i + 1].flags |= KDS_INS_LEADER;
    }
    uint32_t run = k->code_count - 1, block = k->code_count - 1;
    for (uint32_t i = k->code_count; i-- > 0;) {
        if ((k->code[i].flags & KDS_INS_ENDS_RUN) != 0)
            run = block = i;
        k->code[i].run_end = run;
        k->code[i].block_end = block;
        if ((k->code[i].flags & KDS_INS_LEADER) != 0)
            block = i;
    }
}

kds_code kds_decode(kds_kernel *out, const kds_ptx *ptx, const kds_ptx_function *f, kds_err *e)
{
    kds_decoder d = {.ptx = ptx, .function = f, .kernel = out};
    kds_code code = KDS_OK;
    d.module_offsets = malloc((ptx->symbol_count + 1) * sizeof(uint32_t));
    out->name = strndup(f->name.text, f->name.len);
    out->param_bytes = f->param_bytes;
    out->max_threads = f->max_threads;
    memcpy(out->required, f->required, sizeof out->required);
    memcpy(out->cluster, f->cluster, sizeof out->cluster);
    bool ok = d.module_offsets != NULL && out->name != NULL;
    if (ok)
        memset(d.module_offsets, 0xff, ptx->symbol_count * sizeof(uint32_t));
    ok = ok && kds_decode_functions(&d);
    if (ok && !d.no_memory && out->missing == NULL) {
        fix_dynamic(out);
        resolve_flow(&d);
        ok = kds_allocate_registers(&d);
    }
    if (!ok || d.no_memory)
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory while decoding PTX");
    free(d.registers);
    free(d.mentions);
    free(d.starts);
    free(d.module_offsets);
    free(d.function_offsets);
    free(d.const_next);
    return code;
}

void kds_kernel_free(kds_kernel *k)
{
    free(k->name);
    free(k->missing);
    free(k->code);
    free(k->list);
    free(k->jumps);
    free(k->consts);
    kds_calls_free(&k->calls);
}
