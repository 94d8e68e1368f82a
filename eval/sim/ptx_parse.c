/* The module level of PTX: directives, variables with their initial data, function headers. Accepts
 * what NVRTC 12.8 to 13 writes for compute_80 to compute_100 without depending on its layout. */
#include "eval/sim/ptx_parse.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void kds_ptx_advance(kds_ptx_parser *p)
{
    p->t = kds_ptx_next(&p->lexer);
}

bool kds_ptx_fail(kds_ptx_parser *p, kds_code code, const char *fmt, ...)
{
    if (p->bad != KDS_OK)
        return false;
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    int shown = p->t.len < 40 ? (int)p->t.len : 40;
    p->bad = p->t.kind == KDS_PTX_END
                 ? kds_fail(p->e, code, "PTX line %d: %s (at the end of the text)", p->t.line, text)
                 : kds_fail(p->e, code, "PTX line %d: %s (at '%.*s')", p->t.line, text, shown,
                            p->t.text);
    return false;
}

bool kds_ptx_no_memory(kds_ptx_parser *p)
{
    return kds_ptx_fail(p, KDS_NO_MEMORY, "out of memory while reading PTX");
}

bool kds_ptx_at(const kds_ptx_parser *p, char punct)
{
    return p->t.kind == KDS_PTX_PUNCT && p->t.punct == punct;
}

bool kds_ptx_accept(kds_ptx_parser *p, char punct)
{
    if (!kds_ptx_at(p, punct))
        return false;
    kds_ptx_advance(p);
    return true;
}

bool kds_ptx_expect(kds_ptx_parser *p, char punct)
{
    if (kds_ptx_accept(p, punct))
        return true;
    return kds_ptx_fail(p, KDS_INVALID, "expected '%c'", punct);
}

kds_ptx_name kds_ptx_token_name(kds_ptx_token t)
{
    return (kds_ptx_name){.text = t.text, .len = t.len};
}

bool kds_ptx_skip_bracket(kds_ptx_parser *p)
{
    int depth = 0;
    do {
        if (p->t.kind == KDS_PTX_END)
            return kds_ptx_fail(p, KDS_INVALID, "a bracket is not closed");
        if (kds_ptx_at(p, '{') || kds_ptx_at(p, '(') || kds_ptx_at(p, '['))
            depth++;
        else if (kds_ptx_at(p, '}') || kds_ptx_at(p, ')') || kds_ptx_at(p, ']'))
            depth--;
        kds_ptx_advance(p);
    } while (depth > 0);
    return true;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

/* The digits of a token from `at` in that base; false if there is anything else but a U suffix. */
static bool digits(kds_ptx_token t, uint32_t at, int base, uint64_t *out)
{
    uint64_t value = 0;
    uint32_t end = t.len;
    if (end > at + 1 && t.text[end - 1] == 'U')
        end--;
    if (at >= end)
        return false;
    for (; at < end; at++) {
        int d = digit_of(t.text[at]);
        if (d >= base)
            return false;
        value = value * (uint64_t)base + (uint64_t)d;
    }
    *out = value;
    return true;
}

static bool decimal_float(kds_ptx_token t, double *out)
{
    char text[64], *end;
    if (t.len >= sizeof text || memchr(t.text, '.', t.len) == NULL)
        return false;
    memcpy(text, t.text, t.len);
    text[t.len] = '\0';
    *out = strtod(text, &end);
    return *end == '\0' && end != text;
}

bool kds_ptx_number(kds_ptx_parser *p, kds_ptx_operand *out)
{
    bool minus = kds_ptx_accept(p, '-');
    kds_ptx_token t = p->t;
    uint64_t value;
    double real;
    if (t.kind != KDS_PTX_NUMBER)
        return kds_ptx_fail(p, KDS_INVALID, "expected a number");
    char mark = t.len > 1 && t.text[0] == '0' ? t.text[1] : '\0';
    if ((mark == 'f' || mark == 'F') && t.len == 10 && digits(t, 2, 16, &value)) {
        out->kind = KDS_OPERAND_F32;
        value ^= minus ? 0x80000000u : 0;
    } else if ((mark == 'd' || mark == 'D') && t.len == 18 && digits(t, 2, 16, &value)) {
        out->kind = KDS_OPERAND_F64;
        value ^= minus ? UINT64_C(1) << 63 : 0;
    } else if (((mark == 'x' || mark == 'X') && digits(t, 2, 16, &value)) ||
               ((mark == 'b' || mark == 'B') && digits(t, 2, 2, &value)) ||
               digits(t, 0, t.text[0] == '0' && t.len > 1 && mark != 'U' ? 8 : 10, &value)) {
        out->kind = KDS_OPERAND_INT;
        value = minus ? 0 - value : value;
    } else if (decimal_float(t, &real)) {
        out->kind = KDS_OPERAND_F64;
        real = minus ? -real : real;
        memcpy(&value, &real, sizeof value);
    } else {
        return kds_ptx_fail(p, KDS_INVALID, "not a number");
    }
    out->value = (int64_t)value;
    kds_ptx_advance(p);
    return true;
}

bool kds_ptx_integer(kds_ptx_parser *p, int64_t *out)
{
    kds_ptx_operand number = {0};
    if (!kds_ptx_number(p, &number))
        return false;
    if (number.kind != KDS_OPERAND_INT)
        return kds_ptx_fail(p, KDS_INVALID, "expected a whole number");
    *out = number.value;
    return true;
}

bool kds_ptx_skip_pragma(kds_ptx_parser *p)
{
    kds_ptx_advance(p);
    while (p->t.kind == KDS_PTX_STRING) {
        static const char mask[] = "\"used_bytes_mask ";
        if (p->t.len > sizeof mask && memcmp(p->t.text, mask, sizeof mask - 1) == 0) {
            kds_ptx_lexer inner;
            kds_ptx_lexer_init(&inner, p->t.text + sizeof mask - 1,
                               p->t.len - (uint32_t)sizeof mask);
            kds_ptx_token t = kds_ptx_next(&inner);
            uint64_t value;
            bool hex = t.len > 2 && (t.text[1] == 'x' || t.text[1] == 'X');
            if (t.kind == KDS_PTX_NUMBER && digits(t, hex ? 2 : 0, hex ? 16 : 10, &value))
                p->used_bytes_mask = (uint32_t)value;
        }
        kds_ptx_advance(p);
        if (!kds_ptx_accept(p, ','))
            break;
    }
    return kds_ptx_expect(p, ';');
}

/* ".maxntid 256, 1, 1" and the like: the numbers after the word. */
static bool numbers(kds_ptx_parser *p, int64_t out[3], int *count)
{
    out[0] = out[1] = out[2] = 1;
    *count = 0;
    kds_ptx_advance(p);
    do {
        int64_t n = 0;
        if (*count == 3 || !kds_ptx_integer(p, &n))
            return kds_ptx_fail(p, KDS_INVALID, "expected one to three numbers");
        if (n < 0 || n > UINT32_MAX)
            return kds_ptx_fail(p, KDS_INVALID, "number out of range");
        out[(*count)++] = n;
    } while (kds_ptx_accept(p, ','));
    return true;
}

/* The directives between a function's parameters and its body. */
static bool function_directives(kds_ptx_parser *p, kds_ptx_function *f)
{
    static const char *const numbered[] = {".minnctapersm", ".maxnctapersm",
                                           ".maxnreg",      ".maxclusterrank",
                                           ".abi_preserve", ".abi_preserve_control"};
    while (p->t.kind == KDS_PTX_WORD) {
        int64_t n[3];
        int count;
        bool known = false;
        if (kds_ptx_is(p->t, ".maxntid") || kds_ptx_is(p->t, ".reqntid")) {
            bool exact = kds_ptx_is(p->t, ".reqntid");
            if (!numbers(p, n, &count))
                return false;
            if (n[0] > 1024 || n[1] > 1024 || n[2] > 1024)
                return kds_ptx_fail(p, KDS_INVALID, "more than 1024 threads in a block");
            f->max_threads = (uint32_t)(n[0] * n[1] * n[2]);
            for (int i = 0; exact && i < 3; i++)
                f->required[i] = (uint32_t)n[i];
            continue;
        }
        if (kds_ptx_is(p->t, ".reqnctapercluster")) {
            if (!numbers(p, n, &count))
                return false;
            for (int i = 0; i < 3; i++)
                f->cluster[i] = n[i] >= 0 && n[i] <= UINT16_MAX ? (uint32_t)n[i] : UINT16_MAX;
            continue;
        }
        if (kds_ptx_is(p->t, ".explicitcluster") || kds_ptx_is(p->t, ".noreturn")) {
            kds_ptx_advance(p);
            continue;
        }
        if (kds_ptx_is(p->t, ".pragma")) {
            if (!kds_ptx_skip_pragma(p))
                return false;
            continue;
        }
        for (size_t i = 0; i < sizeof numbered / sizeof numbered[0]; i++)
            known |= kds_ptx_is(p->t, numbered[i]);
        if (!known)
            return kds_ptx_fail(p, KDS_INVALID, "unknown directive of a function");
        if (!numbers(p, n, &count))
            return false;
    }
    return true;
}

/* "( .param .u64 a, .param .b8 b[16] )" */
static bool parameters(kds_ptx_parser *p)
{
    if (!kds_ptx_expect(p, '('))
        return false;
    while (!kds_ptx_at(p, ')')) {
        bool param = kds_ptx_is(p->t, ".param");
        if (!param && !kds_ptx_is(p->t, ".reg"))
            return kds_ptx_fail(p, KDS_INVALID, "expected a parameter");
        p->function->register_formals |= !param;
        kds_ptx_advance(p);
        if (!kds_ptx_variable(p, KDS_SPACE_PARAM, true))
            return false;
        if (!kds_ptx_accept(p, ','))
            break;
    }
    return kds_ptx_expect(p, ')');
}

/* Enters the name of a function, once for its declarations and its definition. */
static bool enter_function(kds_ptx_parser *p, kds_ptx_name name, uint32_t index)
{
    kds_ptx *ptx = p->ptx;
    const kds_ptx_entry *e = kds_ptx_names_find(&p->module_names, name, 0);
    if (e != NULL && ptx->symbols[e->value].is_function) {
        kds_ptx_symbol *s = &ptx->symbols[e->value];
        if (!ptx->functions[s->function].has_body)
            s->function = index;
        return true;
    }
    if (!kds_ptx_room(&ptx->symbols, ptx->symbol_count, &ptx->symbol_room, sizeof *ptx->symbols))
        return kds_ptx_no_memory(p);
    kds_ptx_entry entry = {.name = name, .meaning = KDS_MEANS_SYMBOL, .value = ptx->symbol_count};
    ptx->symbols[ptx->symbol_count++] =
        (kds_ptx_symbol){.name = name, .is_function = true, .function = index};
    return kds_ptx_names_add(&p->module_names, entry) || kds_ptx_no_memory(p);
}

/* After ".entry" or ".func". */
static bool function(kds_ptx_parser *p, bool is_entry)
{
    kds_ptx *ptx = p->ptx;
    if (!kds_ptx_room(&ptx->functions, ptx->function_count, &ptx->function_room,
                      sizeof *ptx->functions))
        return kds_ptx_no_memory(p);
    kds_ptx_function *f = &ptx->functions[ptx->function_count++];
    *f = (kds_ptx_function){.is_entry = is_entry, .line = p->t.line};
    p->function = f;
    p->scope_count = 1;
    p->scope = 0;
    p->source_line = 0;
    p->used_bytes_mask = 0;
    kds_ptx_names_clear(&p->local_names);
    if (!is_entry && kds_ptx_at(p, '(') && !parameters(p))
        return false;
    f->return_count = f->symbol_count;
    if (p->t.kind != KDS_PTX_WORD)
        return kds_ptx_fail(p, KDS_INVALID, "expected the name of a function");
    f->name = kds_ptx_token_name(p->t);
    if (!enter_function(p, f->name, ptx->function_count - 1))
        return false;
    kds_ptx_advance(p);
    if (kds_ptx_at(p, '(') && !parameters(p))
        return false;
    f->formal_count = f->symbol_count;
    if (!function_directives(p, f))
        return false;
    if (kds_ptx_accept(p, ';')) {
        p->function = NULL;
        return true;
    }
    f->has_body = true;
    bool ok = kds_ptx_body(p);
    p->function = NULL;
    return ok;
}

static bool version(kds_ptx_parser *p)
{
    kds_ptx_advance(p);
    char text[16], *dot;
    if (p->t.kind != KDS_PTX_NUMBER || p->t.len >= sizeof text)
        return kds_ptx_fail(p, KDS_INVALID, "expected a version");
    memcpy(text, p->t.text, p->t.len);
    text[p->t.len] = '\0';
    p->ptx->version_major = (int)strtol(text, &dot, 10);
    p->ptx->version_minor = *dot == '.' ? (int)strtol(dot + 1, NULL, 10) : 0;
    kds_ptx_advance(p);
    return true;
}

static bool target(kds_ptx_parser *p)
{
    kds_ptx_advance(p);
    if (p->t.kind != KDS_PTX_WORD)
        return kds_ptx_fail(p, KDS_INVALID, "expected a target");
    snprintf(p->ptx->target, sizeof p->ptx->target, "%.*s", (int)p->t.len, p->t.text);
    do
        kds_ptx_advance(p);
    while (p->t.kind == KDS_PTX_WORD && p->t.text[0] != '.');
    while (kds_ptx_accept(p, ','))
        kds_ptx_advance(p);
    return true;
}

/* ".file 1 "name"" with what may follow; ".section .x { ... }". */
static bool file_or_section(kds_ptx_parser *p)
{
    if (kds_ptx_is(p->t, ".section")) {
        kds_ptx_advance(p);
        kds_ptx_advance(p);
        return kds_ptx_at(p, '{') ? kds_ptx_skip_bracket(p)
                                  : kds_ptx_fail(p, KDS_INVALID, "expected '{'");
    }
    kds_ptx_advance(p);
    while (p->t.kind == KDS_PTX_NUMBER || p->t.kind == KDS_PTX_STRING || kds_ptx_at(p, ','))
        kds_ptx_advance(p);
    return true;
}

static bool statement(kds_ptx_parser *p)
{
    static const char *const linkage[] = {".extern", ".visible", ".weak", ".common"};
    static const struct {
        const char *word;
        kds_ptx_space space;
    } spaces[] = {
        {".global", KDS_SPACE_GLOBAL}, {".const", KDS_SPACE_CONST}, {".shared", KDS_SPACE_SHARED}};
    for (size_t i = 0; i < sizeof linkage / sizeof linkage[0]; i++)
        if (kds_ptx_is(p->t, linkage[i])) {
            kds_ptx_advance(p);
            return true;
        }
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++)
        if (kds_ptx_is(p->t, spaces[i].word)) {
            kds_ptx_advance(p);
            return kds_ptx_variable(p, spaces[i].space, false);
        }
    if (kds_ptx_is(p->t, ".entry") || kds_ptx_is(p->t, ".func")) {
        bool entry = kds_ptx_is(p->t, ".entry");
        kds_ptx_advance(p);
        while (kds_ptx_is(p->t, ".attribute")) {
            kds_ptx_advance(p);
            if (!kds_ptx_skip_bracket(p))
                return false;
        }
        return function(p, entry);
    }
    if (kds_ptx_is(p->t, ".version"))
        return version(p);
    if (kds_ptx_is(p->t, ".target"))
        return target(p);
    if (kds_ptx_is(p->t, ".address_size")) {
        int64_t bits = 0;
        kds_ptx_advance(p);
        if (!kds_ptx_integer(p, &bits))
            return false;
        return bits == 64 || kds_ptx_fail(p, KDS_INVALID, "only 64-bit PTX is read");
    }
    if (kds_ptx_is(p->t, ".file") || kds_ptx_is(p->t, ".section"))
        return file_or_section(p);
    if (kds_ptx_is(p->t, ".pragma"))
        return kds_ptx_skip_pragma(p);
    if (kds_ptx_is(p->t, ".alias")) {
        while (p->t.kind != KDS_PTX_END && !kds_ptx_at(p, ';'))
            kds_ptx_advance(p);
        return kds_ptx_expect(p, ';');
    }
    return kds_ptx_fail(p, KDS_INVALID, "unexpected text at module level");
}

static void free_symbols(kds_ptx_symbol *symbols, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        free(symbols[i].data);
        free(symbols[i].relocs);
    }
    free(symbols);
}

void kds_ptx_free(kds_ptx *p)
{
    if (p == NULL)
        return;
    for (uint32_t i = 0; i < p->function_count; i++) {
        kds_ptx_function *f = &p->functions[i];
        free_symbols(f->symbols, f->symbol_count);
        free(f->registers);
        free(f->code);
        free(f->operands);
        free(f->targets);
    }
    free(p->functions);
    free_symbols(p->symbols, p->symbol_count);
    free(p);
}

/* Functions that initial data names may be called by their addresses. */
static void note_addresses(kds_ptx_parser *p)
{
    kds_ptx *ptx = p->ptx;
    for (uint32_t i = 0; i < ptx->symbol_count; i++)
        for (uint32_t r = 0; r < ptx->symbols[i].reloc_count; r++) {
            const kds_ptx_entry *e =
                kds_ptx_names_find(&p->module_names, ptx->symbols[i].relocs[r].symbol, 0);
            if (e != NULL && ptx->symbols[e->value].is_function)
                ptx->symbols[e->value].address_taken = true;
        }
}

kds_code kds_ptx_parse(kds_ptx **out, const char *text, size_t len, kds_err *e)
{
    if (len > KDS_PTX_TEXT_CAP)
        return kds_fail(e, KDS_TOO_LARGE, "PTX of %zu bytes is above the cap of %u", len,
                        KDS_PTX_TEXT_CAP);
    kds_ptx_parser *p = calloc(1, sizeof *p);
    kds_ptx *ptx = calloc(1, sizeof *ptx);
    kds_code code = KDS_OK;
    if (p == NULL || ptx == NULL) {
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory while reading PTX");
        goto out;
    }
    p->ptx = ptx;
    p->e = e;
    kds_ptx_lexer_init(&p->lexer, text, len);
    kds_ptx_advance(p);
    if (!kds_ptx_is(p->t, ".version"))
        kds_ptx_fail(p, KDS_INVALID, "PTX starts with .version");
    while (p->bad == KDS_OK && p->t.kind != KDS_PTX_END)
        if (!statement(p))
            break;
    if (p->bad == KDS_OK)
        note_addresses(p);
    code = p->bad;
out:
    if (p != NULL) {
        free(p->module_names.entries);
        free(p->local_names.entries);
        free(p->scope_parent);
        free(p->scope_call_at);
    }
    free(p);
    if (code == KDS_OK)
        *out = ptx;
    else
        kds_ptx_free(ptx);
    return code;
}
