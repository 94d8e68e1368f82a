/* A small scan of PTX text for what a launch needs to know of an entry: its parameters and the most
 * threads that it was compiled for. It reads tokens, so it does not depend on how the text is laid
 * out or in which order attributes come. */
#include "eval/compile_parts.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct scan {
    const char *at, *end;
    const char *word; /* the token read last */
    size_t len;
} scan;

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || c == '.' || c == '%';
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end) {
        if (isspace((unsigned char)*p)) {
            p++;
        } else if (end - p > 1 && p[0] == '/' && p[1] == '/') {
            const char *line = memchr(p, '\n', (size_t)(end - p));
            p = line ? line : end;
        } else if (end - p > 1 && p[0] == '/' && p[1] == '*') {
            const char *close = memmem(p + 2, (size_t)(end - p - 2), "*/", 2);
            p = close ? close + 2 : end;
        } else {
            break;
        }
    }
    return p;
}

/* A word (with its dots) or one other character. False at the end. */
static bool next(scan *s)
{
    s->word = s->at = skip_space(s->at, s->end);
    if (s->at >= s->end)
        return false;
    s->at++;
    while (word_char(*s->word) && s->at < s->end && word_char(*s->at))
        s->at++;
    s->len = (size_t)(s->at - s->word);
    return true;
}

static bool is(const scan *s, const char *text)
{
    return s->len == strlen(text) && memcmp(s->word, text, s->len) == 0;
}

static int number(const scan *s)
{
    long value = 0;
    for (size_t i = 0; i < s->len && isdigit((unsigned char)s->word[i]); i++) {
        value = value * 10 + (s->word[i] - '0');
        if (value > 1 << 24)
            return 1 << 24;
    }
    return (int)value;
}

/* Bytes of a PTX type such as ".u64"; 0 if the word is none. */
static int type_size(const scan *s)
{
    static const struct {
        const char *name;
        int size;
    } types[] = {{".u64", 8}, {".s64", 8},  {".b64", 8},   {".f64", 8},   {".u32", 4},
                 {".s32", 4}, {".b32", 4},  {".f32", 4},   {".f16x2", 4}, {".u16", 2},
                 {".s16", 2}, {".b16", 2},  {".f16", 2},   {".u8", 1},    {".s8", 1},
                 {".b8", 1},  {".pred", 1}, {".b128", 16}, {".bf16", 2}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (is(s, types[i].name))
            return types[i].size;
    }
    return 0;
}

/* Reads one parameter up to its comma or the closing bracket; false at the end of the text. */
static bool read_param(scan *s, kds_kernel_param *out, int *align)
{
    int count = 1;
    *out = (kds_kernel_param){.type = ""};
    *align = 0;
    do {
        int size = type_size(s);
        if (is(s, ",") || is(s, ")"))
            break;
        if (is(s, ".ptr")) { /* its own .align speaks of what it points to */
            while (next(s) && s->word[0] == '.') {
                if (is(s, ".align") && !next(s))
                    return false;
            }
            continue;
        }
        if (is(s, ".align") && next(s)) {
            *align = number(s);
        } else if (size) {
            out->size = size;
            memcpy(out->type, s->word + 1, s->len - 1);
            out->type[s->len - 1] = '\0';
        } else if (is(s, "[") && next(s)) {
            count = number(s);
        }
    } while (next(s));
    if (*align < out->size)
        *align = out->size;
    out->size *= count;
    return true;
}

/* Reads "( .param ..., .param ... )"; `s` is at the bracket. */
static bool read_params(scan *s, kds_kernel_facts *out)
{
    int offset = 0;
    out->param_count = 0;
    while (next(s) && !is(s, ")")) {
        kds_kernel_param param;
        int align;
        if (is(s, ","))
            continue;
        if (!read_param(s, &param, &align) || align <= 0 || (align & (align - 1)) != 0)
            return false;
        offset = (offset + align - 1) & ~(align - 1);
        param.offset = offset;
        offset += param.size;
        if (out->param_count < KDS_PLAN_ARGS)
            out->params[out->param_count] = param;
        out->param_count++;
        if (is(s, ")"))
            break;
    }
    return out->param_count <= KDS_PLAN_ARGS;
}

bool kds_ptx_facts(const char *ptx, size_t len, kds_kernel_facts *out)
{
    scan s = {.at = ptx, .end = ptx + len};
    while (next(&s)) {
        if (!is(&s, ".entry") || !next(&s) || !is(&s, out->lowered))
            continue;
        if (!next(&s))
            return false;
        out->param_count = 0;
        if (is(&s, "(") && !read_params(&s, out))
            return false;
        out->max_threads = 1024;
        while (next(&s) && !is(&s, "{") && !is(&s, ";")) {
            if (!is(&s, ".maxntid") && !is(&s, ".reqntid"))
                continue;
            int64_t threads = 1;
            do {
                if (!next(&s))
                    return false;
                threads *= number(&s);
                threads = threads < 1 << 20 ? threads : 1 << 20;
            } while (*skip_space(s.at, s.end) == ',' && next(&s));
            out->max_threads = threads < 1024 ? (int)threads : 1024;
        }
        return true;
    }
    return false;
}
