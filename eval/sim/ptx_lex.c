/* Tokens of PTX text. Words keep their dots and "::", since an opcode with its modifiers is one
 * unit to everybody else. It never fails: a byte that fits nowhere is punctuation. */
#include "eval/sim/ptx.h"
#include <string.h>

void kds_ptx_lexer_init(kds_ptx_lexer *x, const char *text, size_t len)
{
    *x = (kds_ptx_lexer){.at = text, .end = text + len, .line = 1};
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' ||
           c == '$' || c == '%' || c == '.';
}

/* Skips white space and comments. */
static void skip_blank(kds_ptx_lexer *x)
{
    while (x->at < x->end) {
        char c = *x->at;
        if (c == '\n') {
            x->line++;
            x->at++;
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
            x->at++;
        } else if (c == '/' && x->end - x->at > 1 && x->at[1] == '/') {
            while (x->at < x->end && *x->at != '\n')
                x->at++;
        } else if (c == '/' && x->end - x->at > 1 && x->at[1] == '*') {
            x->at += 2;
            while (x->at < x->end && !(*x->at == '*' && x->end - x->at > 1 && x->at[1] == '/')) {
                if (*x->at == '\n')
                    x->line++;
                x->at++;
            }
            x->at += x->end - x->at > 1 ? 2 : x->end - x->at;
        } else {
            return;
        }
    }
}

static void take_number(kds_ptx_lexer *x)
{
    bool hex = x->end - x->at > 1 && x->at[0] == '0' &&
               (x->at[1] == 'x' || x->at[1] == 'X' || x->at[1] == 'f' || x->at[1] == 'F' ||
                x->at[1] == 'd' || x->at[1] == 'D');
    while (x->at < x->end && is_word(*x->at) && *x->at != '%' && *x->at != '$') {
        bool exponent = !hex && (*x->at == 'e' || *x->at == 'E');
        x->at++;
        if (exponent && x->at < x->end && (*x->at == '-' || *x->at == '+'))
            x->at++;
    }
}

/* A directive ends at the next dot (".reg.b16"), every other word takes its dots along. */
static void take_word(kds_ptx_lexer *x)
{
    const char *start = x->at;
    while (x->at < x->end) {
        if (*x->at == '.' && *start == '.' && x->at != start)
            return;
        if (is_word(*x->at))
            x->at++;
        else if (x->end - x->at > 2 && x->at[0] == ':' && x->at[1] == ':' && is_word(x->at[2]))
            x->at += 2;
        else
            return;
    }
}

kds_ptx_token kds_ptx_next(kds_ptx_lexer *x)
{
    skip_blank(x);
    kds_ptx_token t = {.kind = KDS_PTX_END, .text = x->at, .line = x->line};
    if (x->at == x->end)
        return t;
    char c = *x->at;
    if (is_digit(c)) {
        t.kind = KDS_PTX_NUMBER;
        take_number(x);
    } else if (is_word(c)) {
        t.kind = KDS_PTX_WORD;
        take_word(x);
    } else if (c == '"') {
        t.kind = KDS_PTX_STRING;
        x->at++;
        while (x->at < x->end && *x->at != '"' && *x->at != '\n')
            x->at++;
        if (x->at < x->end && *x->at == '"')
            x->at++;
    } else {
        t.kind = KDS_PTX_PUNCT;
        t.punct = c;
        x->at++;
    }
    t.len = (uint32_t)(x->at - t.text);
    return t;
}

bool kds_ptx_is(kds_ptx_token t, const char *word)
{
    return t.kind == KDS_PTX_WORD && t.len == strlen(word) && memcmp(t.text, word, t.len) == 0;
}

static const struct {
    const char name[8];
    kds_ptx_type type;
    int size;
} types[] = {
    {"pred", KDS_PTX_PRED, 0}, {"b8", KDS_PTX_B8, 1},       {"u8", KDS_PTX_U8, 1},
    {"s8", KDS_PTX_S8, 1},     {"b16", KDS_PTX_B16, 2},     {"u16", KDS_PTX_U16, 2},
    {"s16", KDS_PTX_S16, 2},   {"f16", KDS_PTX_F16, 2},     {"bf16", KDS_PTX_BF16, 2},
    {"b32", KDS_PTX_B32, 4},   {"u32", KDS_PTX_U32, 4},     {"s32", KDS_PTX_S32, 4},
    {"f32", KDS_PTX_F32, 4},   {"f16x2", KDS_PTX_F16X2, 4}, {"bf16x2", KDS_PTX_BF16X2, 4},
    {"b64", KDS_PTX_B64, 8},   {"u64", KDS_PTX_U64, 8},     {"s64", KDS_PTX_S64, 8},
    {"f64", KDS_PTX_F64, 8},   {"b128", KDS_PTX_B128, 16},
};

kds_ptx_type kds_ptx_type_parse(const char *text, size_t len)
{
    if (len > 0 && text[0] == '.') {
        text++;
        len--;
    }
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strlen(types[i].name) == len && memcmp(types[i].name, text, len) == 0)
            return types[i].type;
    return KDS_PTX_NO_TYPE;
}

int kds_ptx_type_size(kds_ptx_type t)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].type == t)
            return types[i].size;
    return 0;
}
