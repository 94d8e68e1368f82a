/* Calls: which functions a kernel may reach, each decoded behind it into the same code; the places
 * that call; the .param variables that carry arguments and results. A function that can only be
 * reached by its address and cannot be decoded does not make the kernel unrunnable (virtual
 * destructors call free): the launch ends where it is called. */
#include "eval/sim/decode.h"
#include <stdlib.h>
#include <string.h>

#define LOCAL_GAP 16u   /* bytes that belong to nobody behind the local variables of a frame */
#define PARAM_ALIGN 32u /* the widest access */
#define FRAME_ALIGN 16u

static bool base_is(const kds_decoder *d, const char *name)
{
    return d->segments[0].len == strlen(name) &&
           memcmp(d->segments[0].text, name, d->segments[0].len) == 0;
}

static uint32_t align_up(uint64_t n, uint32_t align)
{
    return (uint32_t)((n + align - 1) / align * align);
}

static bool no_memory(kds_decoder *d)
{
    d->no_memory = true;
    return false;
}

bool kds_frame(kds_decoder *d, kds_frame_kind kind, int32_t *ref)
{
    return kds_constant(d, (kds_const){.kind = KDS_CONST_FRAME, .bytes = 8, .index = (int32_t)kind},
                        ref);
}

bool kds_note_local(kds_decoder *d, const kds_ptx_symbol *s, uint32_t offset)
{
    kds_calls *c = &d->kernel->calls;
    if (!kds_ptx_room(&c->locals, c->local_count, &c->local_room, sizeof *c->locals))
        return no_memory(d);
    c->locals[c->local_count++] = (kds_local){
        .name = s->name, .function = d->at_function, .offset = offset, .bytes = (uint32_t)s->bytes};
    c->local_align = s->align > c->local_align ? s->align : c->local_align;
    return true;
}

bool kds_use_frame_address(kds_decoder *d, const kds_ptx_operand *o, int bytes, int32_t *ref)
{
    uint32_t *offset = &d->function_offsets[~o->index];
    int32_t base, add;
    if (bytes != 8)
        return kds_why(d, "a local address of %d bytes", bytes);
    if (!kds_place_variable(d, &d->function->symbols[~o->index], offset))
        return false;
    kds_const c = {
        .kind = KDS_CONST_BITS, .bytes = 8, .bits = (uint64_t)o->value + (uint64_t)*offset};
    return kds_frame(d, KDS_FRAME_LOCAL, &base) && kds_constant(d, c, &add) &&
           kds_own_register(d, 8, ref) &&
           kds_emit_before(
               d,
               (kds_ins){.op = KDS_OP_add_b64, .result_bytes = 8, .d = *ref, .a = base, .b = add});
}

/* Warps of this kernel have a stack, and the beginnings of their frames in their files. */
static bool needs_stack(kds_decoder *d)
{
    int32_t ignored;
    d->kernel->calls.used = true;
    return kds_frame(d, KDS_FRAME_LOCAL, &ignored) && kds_frame(d, KDS_FRAME_PARAMS, &ignored);
}

static bool add_slice(kds_decoder *d, uint32_t offset, uint64_t bytes)
{
    kds_calls *c = &d->kernel->calls;
    if (!kds_ptx_room(&c->slices, c->slice_count, &c->slice_room, sizeof *c->slices))
        return no_memory(d);
    c->slices[c->slice_count++] = (kds_slice){.offset = offset, .bytes = (uint32_t)bytes};
    return true;
}

/* ---- Parameters ---- */

/* Where the .param variables of calls begin in the frame of the function at hand. */
static uint32_t call_area(const kds_decoder *d)
{
    return d->at_function == 0 ? 0 : align_up(d->function->param_bytes, PARAM_ALIGN);
}

/* The place in the frame of a variable of a call, or of a parameter of a function that is called;
 * false if it is neither. */
static bool in_frame(const kds_decoder *d, const kds_ptx_operand *o, const kds_ptx_symbol **symbol,
                     uint32_t *offset)
{
    if (o->kind != KDS_OPERAND_SYMBOL || o->index >= 0)
        return false;
    const kds_ptx_symbol *s = &d->function->symbols[~o->index];
    if (s->space != KDS_SPACE_PARAM || (!s->for_call && d->at_function == 0))
        return false;
    *symbol = s;
    *offset = (uint32_t)s->offset + (s->for_call ? call_area(d) : 0);
    return true;
}

/* ld.param and st.param of what lies in the frame. */
static bool decode_parameter(kds_decoder *d, bool load)
{
    const kds_ptx_operand *o = kds_operand(d, load ? 1 : 0);
    const kds_ptx_symbol *s;
    uint32_t offset;
    if (o->kind != KDS_OPERAND_ADDRESS ||
        !in_frame(d, &d->function->operands[o->index], &s, &offset))
        return d->at_function != 0 && kds_why(d, "a parameter by its address");
    d->at = 2;
    d->ins.elements = kds_accept(d, "v2")   ? 2
                      : kds_accept(d, "v4") ? 4
                      : kds_accept(d, "v8") ? 8
                                            : 1;
    kds_ptx_type type = kds_accept_type(d);
    if (!kds_plain_type(type) || !kds_all_read(d) || kds_operand_count(d) != 2)
        return false;
    unsigned bytes = (unsigned)kds_ptx_type_size(type), all = bytes * d->ins.elements;
    if (all > 32)
        return kds_why(d, "more than 32 bytes");
    if (o->value < 0 || (uint64_t)o->value > s->bytes || all > s->bytes - (uint64_t)o->value)
        return kds_why(d, "a place outside the parameter");
    if ((uint64_t)o->value % bytes != 0 || (offset + (uint64_t)o->value) % (all < 4 ? all : 4) != 0)
        return kds_why(d, "a misaligned place in a parameter");
    d->ins.type = (uint8_t)type;
    d->ins.bytes = (uint8_t)bytes;
    d->ins.space = KDS_SPACE_PARAM;
    d->ins.imm = (int64_t)offset + o->value;
    /* The binary interface passes them in registers: an argument is moved into its place. */
    kds_kind(d, load ? KDS_OP_ld_call : KDS_OP_st_call, load ? KDS_PIPE_NONE : KDS_PIPE_ALU,
             load ? 0 : (int)(all + 3) / 4, KDS_WAIT_NONE);
    d->ins.flags |= KDS_INS_OWN_MASK;
    return needs_stack(d) && (d->at_function == 0 || kds_frame(d, KDS_FRAME_PARAMS, &d->ins.a)) &&
           kds_data_operands(d, load ? 0 : 1, load, type) && kds_emit(d);
}

/* ---- Calls ---- */

/* The number of a function in the kernel, which it becomes a part of now if it was not. */
static bool function_number(kds_decoder *d, uint32_t symbol, bool by_address, uint32_t *number)
{
    kds_calls *c = &d->kernel->calls;
    if (c->by_symbol[symbol] == KDS_BY_ADDRESS) {
        const kds_ptx_function *f = &d->ptx->functions[d->ptx->symbols[symbol].function];
        if (c->function_count >= KDS_CALL_FUNCTIONS)
            return kds_why(d, "more than %d functions", KDS_CALL_FUNCTIONS);
        if (!kds_ptx_room(&c->functions, c->function_count, &c->function_room,
                          sizeof *c->functions))
            return no_memory(d);
        c->functions[c->function_count] =
            (kds_function){.source = f, .by_address = by_address, .formals = c->slice_count};
        c->by_symbol[symbol] = c->function_count++;
        for (uint32_t i = 0; i < f->formal_count; i++)
            if (!add_slice(d, (uint32_t)f->symbols[i].offset, f->symbols[i].bytes))
                return false;
    }
    *number = c->by_symbol[symbol];
    return true;
}

/* The results or arguments of a call, as slices of the frame. */
static bool actuals(kds_decoder *d, const kds_ptx_operand *list)
{
    for (int i = 0; list != NULL && i < list->count; i++) {
        const kds_ptx_symbol *s;
        uint32_t offset;
        if (!in_frame(d, &d->function->operands[list->index + i], &s, &offset))
            return kds_why(d, "an argument that is no .param variable");
        if (!add_slice(d, offset, s->bytes))
            return false;
    }
    return true;
}

static bool sizes_are(const kds_decoder *d, const kds_call *site, const uint8_t *bytes,
                      size_t count)
{
    if (site->formal_count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (d->kernel->calls.slices[site->actuals + i].bytes != bytes[i])
            return false;
    return true;
}

/* A function without a body here: those of the device's run time that are known. */
static bool builtin(kds_decoder *d, kds_ptx_name name, kds_call *site)
{
    static const struct {
        const char *name;
        kds_builtin which;
        uint8_t returns, formals, bytes[5];
    } known[] = {{"vprintf", KDS_BUILTIN_PRINT, 1, 3, {4, 8, 8}},
                 {"__assertfail", KDS_BUILTIN_ASSERT, 0, 5, {8, 8, 4, 8, 8}}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (name.len == strlen(known[i].name) && memcmp(name.text, known[i].name, name.len) == 0 &&
            site->return_count == known[i].returns &&
            sizes_are(d, site, known[i].bytes, known[i].formals)) {
            site->builtin = known[i].which;
            return true;
        }
    return kds_why(d, "a call of %.*s, which has no body", name.len < 100 ? (int)name.len : 100,
                   name.text);
}

/* A call of a function by its name: its parameters must be of the sizes of the arguments. */
static bool direct(kds_decoder *d, const kds_ptx_operand *o, kds_call *site)
{
    const kds_ptx_symbol *s = o->kind == KDS_OPERAND_SYMBOL && o->index >= 0 && o->value == 0
                                  ? &d->ptx->symbols[o->index]
                                  : NULL;
    if (s == NULL || !s->is_function)
        return kds_why(d, "no such function '%.*s'", o->name.len < 100 ? (int)o->name.len : 100,
                       o->name.text);
    const kds_ptx_function *f = &d->ptx->functions[s->function];
    if (!f->has_body)
        return builtin(d, s->name, site);
    if (f->is_entry)
        return kds_why(d, "a call of a kernel");
    if (f->register_formals)
        return kds_why(d, "a call of %.*s, whose parameters are registers",
                       s->name.len < 100 ? (int)s->name.len : 100, s->name.text);
    if (f->return_count != site->return_count || f->formal_count != site->formal_count)
        return kds_why(d, "another number of arguments");
    for (uint32_t i = 0; i < f->formal_count; i++)
        if (f->symbols[i].bytes != d->kernel->calls.slices[site->actuals + i].bytes)
            return kds_why(d, "an argument of another size");
    return function_number(d, (uint32_t)o->index,
                           d->kernel->calls.functions[d->at_function].by_address, &site->function);
}

/* call{.uni} (results), function, (arguments), prototype; each but the function may be absent. A
 * prototype says nothing that is not checked when the call happens. */
static bool decode_call(kds_decoder *d)
{
    kds_calls *c = &d->kernel->calls;
    int at = 0, count = kds_operand_count(d);
    const kds_ptx_operand *returns = NULL, *arguments = NULL;
    kds_accept(d, "uni");
    if (!kds_all_read(d))
        return false;
    if (kds_operand(d, at)->kind == KDS_OPERAND_LIST)
        returns = kds_operand(d, at++);
    int target = at++;
    if (kds_operand(d, at)->kind == KDS_OPERAND_LIST)
        arguments = kds_operand(d, at++);
    bool by_address = kds_operand(d, target)->kind == KDS_OPERAND_REGISTER;
    if (by_address && kds_operand(d, at)->kind == KDS_OPERAND_NAME)
        at++;
    if (at != count)
        return kds_why(d, "a call of an unknown form");
    kds_call site = {.function = KDS_BY_ADDRESS, .actuals = c->slice_count};
    if (!actuals(d, returns))
        return false;
    site.return_count = c->slice_count - site.actuals;
    if (!actuals(d, arguments))
        return false;
    site.formal_count = c->slice_count - site.actuals;
    if (by_address ? !kds_use(d, target, 8, false, &d->ins.a)
                   : !direct(d, kds_operand(d, target), &site))
        return false;
    d->calls_by_address |= by_address;
    if (!needs_stack(d))
        return false;
    if (!kds_ptx_room(&c->sites, c->site_count, &c->site_room, sizeof *c->sites))
        return no_memory(d);
    kds_kind(d, KDS_OP_call, KDS_PIPE_CONTROL, 1, KDS_WAIT_NONE);
    d->ins.flags |= KDS_INS_ENDS_RUN;
    d->ins.target = c->site_count;
    c->sites[c->site_count++] = site;
    return kds_emit(d);
}

bool kds_decode_call(kds_decoder *d)
{
    static const char *const parameters[] = {"param", "param::func", NULL};
    if (base_is(d, "call"))
        return decode_call(d);
    if (base_is(d, "ret") && d->at_function != 0) {
        kds_accept(d, "uni");
        if (!kds_all_read(d) || kds_operand_count(d) != 0)
            return false;
        kds_kind(d, KDS_OP_ret, KDS_PIPE_CONTROL, 1, KDS_WAIT_NONE);
        d->ins.flags |= KDS_INS_ENDS_RUN;
        return kds_emit(d);
    }
    bool load = base_is(d, "ld");
    return (load || base_is(d, "st")) && kds_accept_of(d, parameters) >= 0 &&
           decode_parameter(d, load);
}

/* ---- Functions ---- */

/* How often the operands of the function at hand name each of its registers. */
static bool count_mentions(kds_decoder *d)
{
    const kds_ptx_function *f = d->function;
    free(d->mentions);
    d->mentions = calloc(f->register_count + 1, 1);
    for (uint32_t i = 0; d->mentions != NULL && i < f->operand_count; i++)
        if (f->operands[i].kind == KDS_OPERAND_REGISTER && d->mentions[f->operands[i].index] < 2)
            d->mentions[f->operands[i].index]++;
    return d->mentions != NULL;
}

/* Registers, labels and variables of the function at hand. */
static bool prepare(kds_decoder *d)
{
    const kds_ptx_function *f = d->function;
    d->register_base = d->register_count;
    d->start_base = d->start_count;
    for (uint32_t i = 0; i < f->register_count; i++) {
        if (!kds_ptx_room(&d->registers, d->register_count, &d->register_room, 1))
            return false;
        int bytes = kds_ptx_type_size((kds_ptx_type)f->registers[i]);
        d->registers[d->register_count++] = (uint8_t)(bytes == 1 ? 2 : bytes);
    }
    if (!kds_ptx_room(&d->registers, d->register_count, &d->register_room, 1))
        return false;
    free(d->function_offsets);
    d->function_offsets = malloc((f->symbol_count + 1) * sizeof(uint32_t));
    if (d->function_offsets == NULL)
        return false;
    memset(d->function_offsets, 0xff, f->symbol_count * sizeof(uint32_t));
    return count_mentions(d);
}

/* The function lacks something, but may never be called: it goes, the kernel stays. */
static void drop_function(kds_decoder *d, uint32_t jumps)
{
    kds_kernel *k = d->kernel;
    kds_function *own = &k->calls.functions[d->at_function];
    own->missing = k->missing;
    k->missing = NULL;
    k->code_count = own->end = own->first;
    k->jump_count = jumps;
}

/* False: out of memory. */
static bool decode_function(kds_decoder *d, uint32_t number)
{
    kds_kernel *k = d->kernel;
    const kds_ptx_function *f = k->calls.functions[number].source;
    kds_ptx_instruction last = {.opcode = {"ret", 3}, .line = f->line, .guard = -1};
    uint32_t jumps = k->jump_count;
    d->at_function = number;
    d->function = f;
    if (!prepare(d))
        return false;
    k->calls.functions[number].first = k->code_count;
    for (uint32_t i = 0; i <= f->code_count && k->missing == NULL; i++) {
        if (!kds_ptx_room(&d->starts, d->start_count, &d->start_room, sizeof *d->starts))
            return false;
        d->source = i < f->code_count ? &f->code[i] : &last;
        d->starts[d->start_count++] = k->code_count;
        if (!kds_decode_instruction(d) && d->no_memory)
            return false;
    }
    kds_function *own = &k->calls.functions[number];
    own->end = k->code_count;
    own->param_bytes = call_area(d) + f->call_bytes;
    own->param_stride = align_up(own->param_bytes, PARAM_ALIGN);
    if (k->missing != NULL && own->by_address)
        drop_function(d, jumps);
    return true;
}

/* Whatever may be called by an address becomes a part of the kernel. */
static bool add_addressed(kds_decoder *d)
{
    for (uint32_t i = 0; i < d->ptx->symbol_count; i++) {
        const kds_ptx_symbol *s = &d->ptx->symbols[i];
        uint32_t ignored;
        if (!s->is_function || !s->address_taken)
            continue;
        const kds_ptx_function *f = &d->ptx->functions[s->function];
        if (f->has_body && !f->is_entry && !f->register_formals &&
            !function_number(d, i, true, &ignored)) {
            if (d->no_memory)
                return false;
            d->kernel->missing = strdup(d->why);
            return d->kernel->missing != NULL;
        }
    }
    return true;
}

bool kds_decode_functions(kds_decoder *d)
{
    kds_kernel *k = d->kernel;
    kds_calls *c = &k->calls;
    bool added = false;
    c->symbol_count = d->ptx->symbol_count;
    c->by_symbol = malloc((c->symbol_count + 1) * sizeof *c->by_symbol);
    if (c->by_symbol == NULL ||
        !kds_ptx_room(&c->functions, 0, &c->function_room, sizeof *c->functions))
        return false;
    memset(c->by_symbol, 0xff, c->symbol_count * sizeof *c->by_symbol);
    c->functions[c->function_count++] = (kds_function){.source = d->function};
    for (uint32_t n = 0; k->missing == NULL; n++) {
        if (n == c->function_count && d->calls_by_address && !added) {
            added = true;
            if (!add_addressed(d))
                return false;
        }
        if (n == c->function_count || k->missing != NULL)
            break;
        if (!decode_function(d, n))
            return false;
    }
    uint32_t align = c->local_align > FRAME_ALIGN ? c->local_align : FRAME_ALIGN;
    for (uint32_t n = 0; n < c->function_count; n++)
        c->functions[n].local_stride =
            align_up((uint64_t)c->functions[n].local_bytes + LOCAL_GAP, align);
    k->local_bytes = c->functions[0].local_bytes;
    return true;
}

void kds_calls_free(kds_calls *c)
{
    for (uint32_t n = 0; n < c->function_count; n++)
        free(c->functions[n].missing);
    free(c->functions);
    free(c->sites);
    free(c->slices);
    free(c->locals);
    free(c->by_symbol);
}
