/* Declarations of variables and parameters, with initial data: scalars, vectors, arrays, nested
 * braces, and addresses of other variables. */
#include "eval/sim/ptx_parse.h"
#include <stdlib.h>
#include <string.h>

typedef struct declaration {
    kds_ptx_space space;
    kds_ptx_type type;
    uint32_t align, lanes;
} declaration;

static uint64_t align_up(uint64_t n, uint64_t align)
{
    return (n + align - 1) / align * align;
}

/* Attributes, alignment, vector length and type before the name. */
static bool declared_type(kds_ptx_parser *p, declaration *d)
{
    static const char *const ignored[] = {".ptr",   ".global",  ".shared", ".const",
                                          ".local", ".generic", ".unified"};
    d->type = KDS_PTX_NO_TYPE;
    d->lanes = 1;
    while (p->t.kind == KDS_PTX_WORD && p->t.text[0] == '.') {
        int64_t n;
        kds_ptx_type type = kds_ptx_type_parse(p->t.text, p->t.len);
        bool skip = false;
        for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
            skip |= kds_ptx_is(p->t, ignored[i]);
        if (kds_ptx_is(p->t, ".align")) {
            bool pointee = d->type != KDS_PTX_NO_TYPE; /* ".ptr .align 16": of what it points to */
            kds_ptx_advance(p);
            if (!kds_ptx_integer(p, &n))
                return false;
            if (n < 1 || n > 65536 || (n & (n - 1)) != 0)
                return kds_ptx_fail(p, KDS_INVALID, "not an alignment");
            if (!pointee)
                d->align = (uint32_t)n;
            continue;
        }
        if (kds_ptx_is(p->t, ".attribute")) {
            kds_ptx_advance(p);
            if (!kds_ptx_skip_bracket(p))
                return false;
            continue;
        }
        if (type != KDS_PTX_NO_TYPE)
            d->type = type;
        else if (kds_ptx_is(p->t, ".v2") || kds_ptx_is(p->t, ".v4"))
            d->lanes = (uint32_t)(p->t.text[2] - '0');
        else if (!skip)
            return kds_ptx_fail(p, KDS_INVALID, "unknown attribute of a variable");
        kds_ptx_advance(p);
    }
    if (d->type == KDS_PTX_NO_TYPE)
        return kds_ptx_fail(p, KDS_INVALID, "a variable without a type");
    return true;
}

/* "[4][8]": the product; 0 for "[]". */
static bool dimensions(kds_ptx_parser *p, uint64_t *elements)
{
    *elements = 1;
    while (kds_ptx_accept(p, '[')) {
        if (kds_ptx_accept(p, ']')) {
            *elements = 0;
            continue;
        }
        int64_t n;
        if (!kds_ptx_integer(p, &n))
            return false;
        if (n < 0 || n > UINT32_MAX || *elements * (uint64_t)n > UINT32_MAX)
            return kds_ptx_fail(p, KDS_TOO_LARGE, "an array of more than 4 GiB");
        *elements *= (uint64_t)n;
        if (!kds_ptx_expect(p, ']'))
            return false;
    }
    return true;
}

static bool add_reloc(kds_ptx_parser *p, kds_ptx_symbol *s, uint64_t offset, uint32_t bytes)
{
    if (!kds_ptx_room(&s->relocs, s->reloc_count, &s->reloc_room, sizeof *s->relocs))
        return kds_ptx_no_memory(p);
    bool generic = kds_ptx_is(p->t, "generic");
    if (generic) {
        kds_ptx_advance(p);
        if (!kds_ptx_expect(p, '('))
            return false;
    }
    if (p->t.kind != KDS_PTX_WORD)
        return kds_ptx_fail(p, KDS_INVALID, "expected a name");
    kds_ptx_reloc r = {.offset = offset, .bytes = bytes, .symbol = kds_ptx_token_name(p->t)};
    kds_ptx_advance(p);
    if (generic && !kds_ptx_expect(p, ')'))
        return false;
    if (kds_ptx_accept(p, '+') && !kds_ptx_integer(p, &r.add))
        return false;
    s->relocs[s->reloc_count++] = r;
    return true;
}

/* One value of an initialiser at `offset`. */
static bool initial_value(kds_ptx_parser *p, kds_ptx_symbol *s, kds_ptx_type type, uint64_t offset)
{
    uint32_t size = (uint32_t)kds_ptx_type_size(type);
    if (size == 0 || offset + size > s->bytes)
        return kds_ptx_fail(p, KDS_INVALID, "more initial values than the variable has elements");
    if (p->t.kind == KDS_PTX_WORD)
        return add_reloc(p, s, offset, size);
    kds_ptx_operand number = {0};
    if (!kds_ptx_number(p, &number))
        return false;
    if (kds_ptx_at(p, '(')) /* 0xFF00(name): a byte of an address */
        return kds_ptx_fail(p, KDS_INVALID, "masked addresses in initial data are not read");
    if (type == KDS_PTX_F32 && number.kind == KDS_OPERAND_F64) {
        double wide;
        memcpy(&wide, &number.value, sizeof wide);
        float narrow = (float)wide;
        uint32_t bits;
        memcpy(&bits, &narrow, sizeof bits);
        number.value = bits;
    }
    memcpy(s->data + offset, &number.value, size < 8 ? size : 8);
    return true;
}

/* Braces may nest any way: the values are laid down in order, as NVRTC writes whole rows. */
static bool initial_data(kds_ptx_parser *p, kds_ptx_symbol *s, kds_ptx_type type)
{
    if (s->bytes > KDS_PTX_DATA_CAP || p->ptx->data_bytes + s->bytes > KDS_PTX_DATA_CAP)
        return kds_ptx_fail(p, KDS_TOO_LARGE, "too much initial data");
    p->ptx->data_bytes += s->bytes;
    s->data = calloc(1, s->bytes + 1);
    if (s->data == NULL)
        return kds_ptx_no_memory(p);
    s->has_data = true;
    int depth = 0;
    uint64_t offset = 0;
    do {
        if (kds_ptx_accept(p, '{')) {
            depth++;
        } else if (kds_ptx_at(p, '}')) {
            kds_ptx_advance(p);
            depth--;
        } else if (depth > 0 && kds_ptx_accept(p, ',')) {
            continue;
        } else {
            if (!initial_value(p, s, type, offset))
                return false;
            offset += (uint64_t)kds_ptx_type_size(type);
        }
        if (p->t.kind == KDS_PTX_END)
            return kds_ptx_fail(p, KDS_INVALID, "initial data without an end");
    } while (depth > 0);
    return true;
}

/* Enters the symbol into the function or the module. */
static kds_ptx_symbol *add_symbol(kds_ptx_parser *p, kds_ptx_symbol s)
{
    kds_ptx_function *f = p->function;
    kds_ptx_symbol **array = f != NULL ? &f->symbols : &p->ptx->symbols;
    uint32_t *count = f != NULL ? &f->symbol_count : &p->ptx->symbol_count;
    uint32_t *room = f != NULL ? &f->symbol_room : &p->ptx->symbol_room;
    if (*count >= KDS_PTX_SYMBOLS_CAP) {
        kds_ptx_fail(p, KDS_TOO_LARGE, "more than %d variables", KDS_PTX_SYMBOLS_CAP);
        return NULL;
    }
    kds_ptx_entry entry = {.name = s.name,
                           .meaning = KDS_MEANS_SYMBOL,
                           .scope = f != NULL ? p->scope : 0,
                           .value = *count};
    if (!kds_ptx_room(array, *count, room, sizeof **array) ||
        !kds_ptx_names_add(f != NULL ? &p->local_names : &p->module_names, entry)) {
        kds_ptx_no_memory(p);
        return NULL;
    }
    (*array)[*count] = s;
    return &(*array)[(*count)++];
}

/* A .param variable of a body. Those of scopes that do not overlap share their place. */
static bool place_for_call(kds_ptx_parser *p, kds_ptx_symbol *s)
{
    kds_ptx_function *f = p->function;
    if (f == NULL)
        return kds_ptx_fail(p, KDS_INVALID, "a parameter outside a function");
    if (s->bytes > 65536 || f->call_at > 65536)
        return kds_ptx_fail(p, KDS_TOO_LARGE, "parameters of more than 64 KiB");
    s->for_call = true;
    s->offset = align_up(f->call_at, s->align);
    f->call_at = (uint32_t)(s->offset + s->bytes);
    if (f->call_at > f->call_bytes)
        f->call_bytes = f->call_at;
    return true;
}

bool kds_ptx_variable(kds_ptx_parser *p, kds_ptx_space space, bool parameter)
{
    declaration d = {.space = space};
    if (!declared_type(p, &d))
        return false;
    do {
        kds_ptx_symbol s = {.space = space};
        if (p->t.kind != KDS_PTX_WORD)
            return kds_ptx_fail(p, KDS_INVALID, "expected the name of a variable");
        s.name = kds_ptx_token_name(p->t);
        kds_ptx_advance(p);
        uint64_t elements, size = (uint64_t)kds_ptx_type_size(d.type) * d.lanes;
        if (!dimensions(p, &elements))
            return false;
        s.align = d.align != 0 ? d.align : size != 0 ? (uint32_t)size : 1;
        s.bytes = elements * size;
        if (parameter && p->function != NULL) {
            kds_ptx_function *f = p->function;
            if (s.bytes > 65536 || f->param_bytes > 65536)
                return kds_ptx_fail(p, KDS_TOO_LARGE, "parameters of more than 64 KiB");
            s.offset = align_up(f->param_bytes, s.align);
            f->param_bytes = (uint32_t)(s.offset + s.bytes);
        } else if (space == KDS_SPACE_PARAM && !place_for_call(p, &s)) {
            return false;
        }
        kds_ptx_symbol *kept = add_symbol(p, s);
        if (kept == NULL)
            return false;
        if (parameter)
            return true;
        if (kds_ptx_accept(p, '=') && !initial_data(p, kept, d.type))
            return false;
    } while (kds_ptx_accept(p, ','));
    return kds_ptx_expect(p, ';');
}
