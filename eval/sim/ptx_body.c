/* The body of a function: registers, variables, labels and instructions in nested scopes (inline
 * assembly opens its own). Registers and variables resolve where they are met, labels at the end of
 * the function, since they may come later. */
#include "eval/sim/ptx_parse.h"
#include <string.h>

static bool same_name(kds_ptx_name a, const char *b)
{
    return a.len == strlen(b) && memcmp(a.text, b, a.len) == 0;
}

/* A register named in a range ("%r<100>" declares %r0 to %r99), from its prefix and number. */
static int32_t register_of_range(const kds_ptx_parser *p, kds_ptx_name name, uint32_t scope)
{
    uint32_t digits = 0;
    while (digits < name.len && digits < 7 && name.text[name.len - 1 - digits] >= '0' &&
           name.text[name.len - 1 - digits] <= '9')
        digits++;
    uint32_t number = 0, scale = 1;
    for (uint32_t d = 1; d <= digits && d < name.len; d++, scale *= 10) {
        number += (uint32_t)(name.text[name.len - d] - '0') * scale;
        if (d > 1 && name.text[name.len - d] == '0')
            continue; /* no such number is written with a leading zero */
        kds_ptx_name prefix = {name.text, name.len - d};
        const kds_ptx_entry *e = kds_ptx_names_find(&p->local_names, prefix, scope);
        if (e != NULL && e->meaning == KDS_MEANS_REGISTER && number < e->count)
            return (int32_t)(e->value + number);
    }
    return -1;
}

/* What a name means here: registers and variables of the scopes inside out, then the module. */
static void resolve(const kds_ptx_parser *p, kds_ptx_operand *o)
{
    for (uint32_t scope = o->scope;; scope = p->scope_parent[scope]) {
        const kds_ptx_entry *e = kds_ptx_names_find(&p->local_names, o->name, scope);
        int32_t in_range = e == NULL ? register_of_range(p, o->name, scope) : -1;
        if (in_range >= 0) {
            o->kind = KDS_OPERAND_REGISTER;
            o->index = in_range;
            return;
        }
        if (e != NULL && e->meaning == KDS_MEANS_REGISTER && e->count > 0)
            e = NULL; /* the bare prefix of a range is no register */
        if (e != NULL) {
            o->kind = e->meaning == KDS_MEANS_REGISTER ? KDS_OPERAND_REGISTER
                      : e->meaning == KDS_MEANS_LABEL  ? KDS_OPERAND_LABEL
                                                       : KDS_OPERAND_SYMBOL;
            o->index = e->meaning == KDS_MEANS_SYMBOL ? ~(int32_t)e->value : (int32_t)e->value;
            return;
        }
        if (scope == 0)
            break;
    }
    const kds_ptx_entry *e = kds_ptx_names_find(&p->module_names, o->name, 0);
    if (e != NULL) {
        o->kind = KDS_OPERAND_SYMBOL;
        o->index = (int32_t)e->value;
    }
}

/* ".reg .b32 %r<100>, %x;" */
static bool registers(kds_ptx_parser *p)
{
    kds_ptx_function *f = p->function;
    kds_ptx_advance(p);
    kds_ptx_type type =
        p->t.kind == KDS_PTX_WORD ? kds_ptx_type_parse(p->t.text, p->t.len) : KDS_PTX_NO_TYPE;
    if (type == KDS_PTX_NO_TYPE)
        return kds_ptx_fail(p, KDS_INVALID, "unknown type of register");
    kds_ptx_advance(p);
    do {
        if (p->t.kind != KDS_PTX_WORD)
            return kds_ptx_fail(p, KDS_INVALID, "expected the name of a register");
        kds_ptx_entry entry = {.name = kds_ptx_token_name(p->t),
                               .meaning = KDS_MEANS_REGISTER,
                               .scope = p->scope,
                               .value = f->register_count};
        kds_ptx_advance(p);
        int64_t count = 1;
        if (kds_ptx_accept(p, '<')) {
            if (!kds_ptx_integer(p, &count) || !kds_ptx_expect(p, '>'))
                return false;
            entry.count = (uint32_t)count;
        }
        if (count < 0 || count > KDS_PTX_REGISTERS_CAP - (int64_t)f->register_count)
            return kds_ptx_fail(p, KDS_TOO_LARGE, "more than %d registers", KDS_PTX_REGISTERS_CAP);
        for (int64_t i = 0; i < count; i++) {
            if (!kds_ptx_room(&f->registers, f->register_count, &f->register_room, 1))
                return kds_ptx_no_memory(p);
            f->registers[f->register_count++] = (uint8_t)type;
        }
        if (!kds_ptx_names_add(&p->local_names, entry))
            return kds_ptx_no_memory(p);
    } while (kds_ptx_accept(p, ','));
    return kds_ptx_expect(p, ';');
}

static bool pool_add(kds_ptx_parser *p, kds_ptx_operand o, uint32_t *index)
{
    kds_ptx_function *f = p->function;
    if (f->operand_count >= KDS_PTX_OPERANDS_CAP)
        return kds_ptx_fail(p, KDS_TOO_LARGE, "more than %d operands", KDS_PTX_OPERANDS_CAP);
    if (!kds_ptx_room(&f->operands, f->operand_count, &f->operand_room, sizeof *f->operands))
        return kds_ptx_no_memory(p);
    *index = f->operand_count;
    f->operands[f->operand_count++] = o;
    return true;
}

/* A register, variable (+ offset), number or "_". */
static bool simple_operand(kds_ptx_parser *p, kds_ptx_operand *o)
{
    *o = (kds_ptx_operand){.scope = p->scope};
    if (kds_ptx_accept(p, '!'))
        o->negated = true;
    if (kds_ptx_at(p, '-') || p->t.kind == KDS_PTX_NUMBER)
        return kds_ptx_number(p, o);
    if (p->t.kind != KDS_PTX_WORD)
        return kds_ptx_fail(p, KDS_INVALID, "expected an operand");
    o->kind = KDS_OPERAND_NAME;
    o->name = kds_ptx_token_name(p->t);
    if (same_name(o->name, "_"))
        o->kind = KDS_OPERAND_SINK;
    else if (same_name(o->name, "WARP_SZ"))
        *o = (kds_ptx_operand){.kind = KDS_OPERAND_INT, .value = 32};
    else
        resolve(p, o);
    kds_ptx_advance(p);
    if (kds_ptx_at(p, '+') || kds_ptx_at(p, '-')) {
        kds_ptx_accept(p, '+');
        if (!kds_ptx_integer(p, &o->value))
            return false;
        if (o->kind != KDS_OPERAND_SYMBOL && o->kind != KDS_OPERAND_REGISTER)
            o->kind = KDS_OPERAND_OTHER;
    }
    return true;
}

/* "[base + offset]"; a form with more inside is kept as KDS_OPERAND_OTHER. */
static bool address_operand(kds_ptx_parser *p, kds_ptx_operand *o)
{
    kds_ptx_parser saved = *p;
    kds_ptx_operand base;
    kds_ptx_advance(p);
    if (!simple_operand(p, &base))
        return false;
    if (!kds_ptx_accept(p, ']')) {
        p->lexer = saved.lexer;
        p->t = saved.t;
        *o = (kds_ptx_operand){.kind = KDS_OPERAND_OTHER, .scope = p->scope};
        return kds_ptx_skip_bracket(p);
    }
    uint32_t index = 0;
    int64_t offset = base.value;
    if (base.kind == KDS_OPERAND_INT)
        offset = 0;
    else
        base.value = 0;
    if (!pool_add(p, base, &index))
        return false;
    *o = (kds_ptx_operand){.kind = KDS_OPERAND_ADDRESS, .index = (int32_t)index, .value = offset};
    return true;
}

static bool vector_operand(kds_ptx_parser *p, kds_ptx_operand *o)
{
    kds_ptx_operand elements[KDS_PTX_ELEMENTS];
    uint8_t count = 0;
    kds_ptx_advance(p);
    do {
        if (count == KDS_PTX_ELEMENTS)
            break;
        if (!simple_operand(p, &elements[count++]))
            return false;
    } while (kds_ptx_accept(p, ','));
    uint32_t first = p->function->operand_count, index;
    for (uint8_t i = 0; i < count; i++)
        if (!pool_add(p, elements[i], &index))
            return false;
    *o = (kds_ptx_operand){.kind = KDS_OPERAND_VECTOR, .index = (int32_t)first, .count = count};
    if (count == KDS_PTX_ELEMENTS && !kds_ptx_at(p, '}')) { /* a longer one, as wgmma has */
        o->kind = KDS_OPERAND_OTHER;
        while (p->t.kind != KDS_PTX_END && !kds_ptx_at(p, '}') && !kds_ptx_at(p, ';'))
            kds_ptx_advance(p);
    }
    return kds_ptx_expect(p, '}');
}

/* "(a, b)": the results or arguments of a call. */
static bool list_operand(kds_ptx_parser *p, kds_ptx_operand *o)
{
    uint32_t first = p->function->operand_count, index, count = 0;
    kds_ptx_advance(p);
    while (!kds_ptx_at(p, ')')) {
        kds_ptx_operand element;
        if (!simple_operand(p, &element) || !pool_add(p, element, &index))
            return false;
        count++;
        if (!kds_ptx_accept(p, ','))
            break;
    }
    *o = (kds_ptx_operand){.kind = count <= UINT8_MAX ? KDS_OPERAND_LIST : KDS_OPERAND_OTHER,
                           .index = (int32_t)first,
                           .count = (uint8_t)count};
    return kds_ptx_expect(p, ')');
}

static bool operand(kds_ptx_parser *p, kds_ptx_operand *o)
{
    if (kds_ptx_at(p, '['))
        return address_operand(p, o);
    if (kds_ptx_at(p, '{'))
        return vector_operand(p, o);
    if (kds_ptx_at(p, '('))
        return list_operand(p, o);
    return simple_operand(p, o);
}

/* The operands up to the ';', which is taken. They are gathered first, since the elements of
 * vectors and addresses go into the pool before them. */
static bool operands(kds_ptx_parser *p, kds_ptx_instruction *ins)
{
    kds_ptx_operand list[24];
    uint8_t count = 0;
    while (!kds_ptx_at(p, ';')) {
        if (count == sizeof list / sizeof list[0])
            return kds_ptx_fail(p, KDS_INVALID, "too many operands");
        if (!operand(p, &list[count++]))
            return false;
        if (kds_ptx_accept(p, '|'))
            list[count - 1].piped = true;
        else if (!kds_ptx_accept(p, ','))
            break;
    }
    uint32_t index;
    ins->operands = p->function->operand_count;
    ins->operand_count = count;
    for (uint8_t i = 0; i < count; i++)
        if (!pool_add(p, list[i], &index))
            return false;
    return kds_ptx_expect(p, ';');
}

/* A function named by anything but a call may be called by its address. */
static void note_addresses(kds_ptx_parser *p, const kds_ptx_instruction *ins, uint32_t first)
{
    kds_ptx_function *f = p->function;
    if (ins->opcode.len >= 4 && memcmp(ins->opcode.text, "call", 4) == 0)
        return;
    for (uint32_t i = first; i < f->operand_count; i++)
        if (f->operands[i].kind == KDS_OPERAND_SYMBOL && f->operands[i].index >= 0)
            p->ptx->symbols[f->operands[i].index].address_taken = true;
}

static bool instruction(kds_ptx_parser *p)
{
    kds_ptx_function *f = p->function;
    kds_ptx_instruction ins = {
        .guard = -1, .source_line = p->source_line, .used_bytes_mask = p->used_bytes_mask};
    p->used_bytes_mask = 0;
    if (kds_ptx_accept(p, '@')) {
        kds_ptx_operand guard;
        ins.guard_negated = kds_ptx_accept(p, '!');
        if (!simple_operand(p, &guard))
            return false;
        if (guard.kind != KDS_OPERAND_REGISTER || f->registers[guard.index] != KDS_PTX_PRED)
            return kds_ptx_fail(p, KDS_INVALID, "the guard is no predicate register");
        ins.guard = guard.index;
    }
    if (p->t.kind != KDS_PTX_WORD || p->t.text[0] < 'a' || p->t.text[0] > 'z')
        return kds_ptx_fail(p, KDS_INVALID, "expected an instruction");
    ins.opcode = kds_ptx_token_name(p->t);
    ins.line = p->t.line;
    kds_ptx_advance(p);
    uint32_t first = f->operand_count;
    if (!operands(p, &ins))
        return false;
    note_addresses(p, &ins, first);
    if (f->code_count >= KDS_PTX_INSTRUCTIONS_CAP)
        return kds_ptx_fail(p, KDS_TOO_LARGE, "more than %d instructions",
                            KDS_PTX_INSTRUCTIONS_CAP);
    if (!kds_ptx_room(&f->code, f->code_count, &f->code_room, sizeof *f->code))
        return kds_ptx_no_memory(p);
    f->code[f->code_count++] = ins;
    return true;
}

/* ".loc 1 12 5, function_name x, inlined_at 1 4 5". Lines of other files than the first are not
 * the candidate's: the line before is kept then. */
static bool location(kds_ptx_parser *p)
{
    int64_t file, line, column;
    int at = p->t.line;
    kds_ptx_advance(p);
    if (!kds_ptx_integer(p, &file) || !kds_ptx_integer(p, &line) || !kds_ptx_integer(p, &column))
        return false;
    if (p->main_file == 0)
        p->main_file = (int)file;
    if (file == p->main_file && line > 0 && line < INT32_MAX)
        p->source_line = (int)line;
    while (p->t.line == at && p->t.kind != KDS_PTX_END && !kds_ptx_at(p, '}'))
        kds_ptx_advance(p);
    return true;
}

/* ".branchtargets a, b;" after its label. */
static bool branch_targets(kds_ptx_parser *p, kds_ptx_name name)
{
    kds_ptx_function *f = p->function;
    kds_ptx_targets t = {.name = name, .scope = p->scope, .first = f->operand_count};
    kds_ptx_advance(p);
    do {
        kds_ptx_operand o;
        uint32_t index;
        if (!simple_operand(p, &o) || !pool_add(p, o, &index))
            return false;
        t.count++;
    } while (kds_ptx_accept(p, ','));
    if (!kds_ptx_room(&f->targets, f->target_count, &f->target_room, sizeof *f->targets))
        return kds_ptx_no_memory(p);
    f->targets[f->target_count++] = t;
    return kds_ptx_expect(p, ';');
}

/* After a label and its ':'. */
static bool label(kds_ptx_parser *p, kds_ptx_name name)
{
    kds_ptx_function *f = p->function;
    if (kds_ptx_is(p->t, ".branchtargets"))
        return branch_targets(p, name);
    if (kds_ptx_is(p->t, ".callprototype") || kds_ptx_is(p->t, ".calltargets")) {
        while (p->t.kind != KDS_PTX_END && !kds_ptx_at(p, ';'))
            kds_ptx_advance(p);
        return kds_ptx_expect(p, ';');
    }
    kds_ptx_entry entry = {
        .name = name, .meaning = KDS_MEANS_LABEL, .scope = p->scope, .value = f->code_count};
    if (kds_ptx_names_find(&p->local_names, name, p->scope) != NULL)
        return kds_ptx_fail(p, KDS_INVALID, "label '%.*s' is defined twice", (int)name.len,
                            name.text);
    return kds_ptx_names_add(&p->local_names, entry) || kds_ptx_no_memory(p);
}

static bool open_scope(kds_ptx_parser *p)
{
    if (p->scope_count >= KDS_PTX_SCOPES_CAP)
        return kds_ptx_fail(p, KDS_TOO_LARGE, "more than %d scopes", KDS_PTX_SCOPES_CAP);
    if (!kds_ptx_room(&p->scope_parent, p->scope_count, &p->scope_room, sizeof *p->scope_parent))
        return kds_ptx_no_memory(p);
    if (!kds_ptx_room(&p->scope_call_at, p->scope_count, &p->scope_call_room,
                      sizeof *p->scope_call_at))
        return kds_ptx_no_memory(p);
    p->scope_call_at[p->scope_count] = p->function->call_at;
    p->scope_parent[p->scope_count] = p->scope;
    p->scope = p->scope_count++;
    return true;
}

static bool body_statement(kds_ptx_parser *p)
{
    static const struct {
        const char *word;
        kds_ptx_space space;
    } spaces[] = {{".shared", KDS_SPACE_SHARED},
                  {".local", KDS_SPACE_LOCAL},
                  {".param", KDS_SPACE_PARAM},
                  {".global", KDS_SPACE_GLOBAL},
                  {".const", KDS_SPACE_CONST}};
    if (kds_ptx_accept(p, ';'))
        return true;
    if (kds_ptx_is(p->t, ".reg"))
        return registers(p);
    if (kds_ptx_is(p->t, ".loc"))
        return location(p);
    if (kds_ptx_is(p->t, ".pragma"))
        return kds_ptx_skip_pragma(p);
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++)
        if (kds_ptx_is(p->t, spaces[i].word)) {
            kds_ptx_advance(p);
            return kds_ptx_variable(p, spaces[i].space, false);
        }
    if (p->t.kind == KDS_PTX_WORD && p->t.text[0] != '.') {
        kds_ptx_lexer after = p->lexer;
        kds_ptx_token next = kds_ptx_next(&after);
        if (next.kind == KDS_PTX_PUNCT && next.punct == ':') {
            kds_ptx_name name = kds_ptx_token_name(p->t);
            kds_ptx_advance(p);
            kds_ptx_advance(p);
            return label(p, name);
        }
    }
    return instruction(p);
}

bool kds_ptx_body(kds_ptx_parser *p)
{
    kds_ptx_function *f = p->function;
    if (!kds_ptx_room(&p->scope_parent, 0, &p->scope_room, sizeof *p->scope_parent))
        return kds_ptx_no_memory(p);
    p->scope_parent[0] = 0;
    if (!kds_ptx_expect(p, '{'))
        return false;
    int depth = 1;
    while (depth > 0) {
        if (p->t.kind == KDS_PTX_END)
            return kds_ptx_fail(p, KDS_INVALID, "the body of '%.*s' does not end",
                                f->name.len < 200 ? (int)f->name.len : 200, f->name.text);
        if (kds_ptx_accept(p, '{')) {
            if (!open_scope(p))
                return false;
            depth++;
        } else if (kds_ptx_accept(p, '}')) {
            if (p->scope != 0)
                f->call_at = p->scope_call_at[p->scope];
            p->scope = p->scope_parent[p->scope];
            depth--;
        } else if (!body_statement(p)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < f->operand_count; i++)
        if (f->operands[i].kind == KDS_OPERAND_NAME)
            resolve(p, &f->operands[i]);
    return true;
}
