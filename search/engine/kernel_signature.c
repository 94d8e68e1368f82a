/* Finding a kernel in a source and reading its parameters. The tokens without comments and
 * directives are walked once; every step looks at most to the end of them, so that no text, however
 * broken, is read twice or for ever. */
#include "search/engine/kernel_signature.h"

#include "search/base/lex.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_MOST 512 /* tokens of an index that are looked through */
#define SPACES_MAX 16  /* nested namespaces and other braces that are told apart */

typedef struct tokens {
    const char *text;
    kds_lexer lexer;
    kds_token *at;
    size_t count, room;
} tokens;

static bool is(const tokens *t, size_t i, const char *s)
{
    return i < t->count && kds_token_is(&t->lexer, t->at[i], s);
}

static bool is_name(const tokens *t, size_t i)
{
    return i < t->count && t->at[i].kind == KDS_TOKEN_IDENTIFIER;
}

/* A name as tasks have them. */
static bool is_plain(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    return s[0] && !(s[0] >= '0' && s[0] <= '9') && strspn(s, letters) == strlen(s);
}

static bool is_any(const tokens *t, size_t i, const char *const *words)
{
    for (; *words; words++)
        if (is(t, i, *words))
            return true;
    return false;
}

static kds_code read_tokens(tokens *t, const char *source, size_t len, kds_err *e)
{
    t->text = source;
    kds_lexer_init(&t->lexer, source, len);
    for (;;) {
        kds_token token = kds_lexer_next(&t->lexer);
        if (token.kind == KDS_TOKEN_END)
            return KDS_OK;
        if (token.kind == KDS_TOKEN_COMMENT || token.kind == KDS_TOKEN_DIRECTIVE)
            continue;
        if (t->count == t->room) {
            size_t room = t->room ? 2 * t->room : 1024;
            kds_token *more = realloc(t->at, room * sizeof *more);
            if (!more)
                return kds_fail(e, KDS_NO_MEMORY, "out of memory");
            t->at = more;
            t->room = room;
        }
        t->at[t->count++] = token;
    }
}

/* Index behind the bracket that closes the one at `i`, looking at `most` tokens; the number of
 * tokens if none does. */
static size_t behind_within(const tokens *t, size_t i, size_t most, const char *open,
                            const char *close)
{
    int depth = 0;
    for (size_t end = most < t->count - i ? i + most : t->count; i < end; i++) {
        if (is(t, i, open))
            depth++;
        else if (is(t, i, close) && --depth == 0)
            return i + 1;
    }
    return t->count;
}

static size_t behind(const tokens *t, size_t i, const char *open, const char *close)
{
    return behind_within(t, i, t->count, open, close);
}

/* The same for the angle brackets of a template, where ">>" closes two. */
static size_t behind_angle(const tokens *t, size_t i)
{
    int depth = 0;
    for (; i < t->count && !is(t, i, ";") && !is(t, i, "{"); i++) {
        if (is(t, i, "("))
            i = behind(t, i, "(", ")") - 1;
        else if (is(t, i, "<"))
            depth++;
        else if (is(t, i, ">"))
            depth--;
        else if (is(t, i, ">>"))
            depth -= 2;
        if (depth <= 0)
            return i + 1;
    }
    return i;
}

static void copy_token(const tokens *t, size_t i, char *out, size_t size)
{
    (void)snprintf(out, size, "%.*s", (int)t->at[i].len, t->text + t->at[i].offset);
}

/* Appends tokens [from, to) with the spaces that a reader expects. */
static void join(const tokens *t, size_t from, size_t to, char *out, size_t size)
{
    size_t used = strlen(out);
    for (size_t i = from; i < to && used + 1 < size; i++) {
        bool tight = i == from || is(t, i, ",") || is(t, i, ")") || is(t, i, "(") ||
                     is(t, i, "::") || is(t, i, "[") || is(t, i, "]") || is(t, i - 1, "(") ||
                     is(t, i - 1, "*") || is(t, i - 1, "::");
        int n = snprintf(out + used, size - used, "%s%.*s", tight ? "" : " ", (int)t->at[i].len,
                         t->text + t->at[i].offset);
        used += n > 0 ? (size_t)n : 0;
    }
}

/* ---- Types ---- */

typedef struct known_type {
    const char *name;
    kds_dtype dtype;
    int width;
    bool real;
} known_type;

static const known_type types[] = {
    {"float", KDS_DTYPE_F32, 1, true},         {"float2", KDS_DTYPE_F32, 2, true},
    {"float4", KDS_DTYPE_F32, 4, true},        {"double", KDS_DTYPE_F64, 1, true},
    {"double2", KDS_DTYPE_F64, 2, true},       {"half", KDS_DTYPE_F16, 1, true},
    {"__half", KDS_DTYPE_F16, 1, true},        {"half2", KDS_DTYPE_F16, 2, true},
    {"__half2", KDS_DTYPE_F16, 2, true},       {"__nv_bfloat16", KDS_DTYPE_BF16, 1, true},
    {"nv_bfloat16", KDS_DTYPE_BF16, 1, true},  {"__nv_bfloat162", KDS_DTYPE_BF16, 2, true},
    {"nv_bfloat162", KDS_DTYPE_BF16, 2, true}, {"int", KDS_DTYPE_I32, 1, false},
    {"unsigned", KDS_DTYPE_I32, 1, false},     {"int32_t", KDS_DTYPE_I32, 1, false},
    {"uint32_t", KDS_DTYPE_I32, 1, false},     {"int2", KDS_DTYPE_I32, 2, false},
    {"int4", KDS_DTYPE_I32, 4, false},         {"uint2", KDS_DTYPE_I32, 2, false},
    {"uint4", KDS_DTYPE_I32, 4, false},        {"long", KDS_DTYPE_I64, 1, false},
    {"int64_t", KDS_DTYPE_I64, 1, false},      {"uint64_t", KDS_DTYPE_I64, 1, false},
    {"size_t", KDS_DTYPE_I64, 1, false},       {"ptrdiff_t", KDS_DTYPE_I64, 1, false},
    {"char", KDS_DTYPE_U8, 1, false},          {"uint8_t", KDS_DTYPE_U8, 1, false},
    {"int8_t", KDS_DTYPE_U8, 1, false},        {"bool", KDS_DTYPE_U8, 1, false},
    {"uchar4", KDS_DTYPE_U8, 4, false}};

/* The first word of the type that we know; NULL: none. "unsigned char" is a char. */
static const known_type *find_type(const tokens *t, size_t from, size_t to)
{
    const known_type *found = NULL;
    for (size_t i = from; i < to; i++) {
        for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
            bool sharper = !found || strcmp(found->name, "unsigned") == 0 ||
                           strcmp(types[k].name, "long") == 0;
            if (is(t, i, types[k].name) && sharper)
                found = &types[k];
        }
        if (is(t, i, "short"))
            return NULL;
    }
    return found;
}

static bool is_template_type(const kds_signature *s, const tokens *t, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        for (int k = 0; k < s->template_count; k++)
            if (s->templates[k].is_type && is(t, i, s->templates[k].name))
                return true;
    return false;
}

static kds_code bad_param(const tokens *t, size_t i, const char *what, kds_err *e)
{
    size_t at = i < t->count ? i : t->count - 1;
    return kds_fail(e, KDS_INVALID, "line %d: the parameter at '%.*s' %s", t->at[at].line,
                    (int)t->at[at].len < 60 ? (int)t->at[at].len : 60, t->text + t->at[at].offset,
                    what);
}

/* Where in [from, to) the parameter's name stands, and how it is declared; 0 if nowhere. */
static size_t find_declarator(const tokens *t, size_t from, size_t to, int *pointers, size_t *first)
{
    size_t name = 0;
    *pointers = 0;
    *first = to;
    for (size_t i = from; i < to; i++) {
        if (is(t, i, "<")) {
            i = behind_angle(t, i) - 1;
        } else if (is(t, i, "*")) {
            *first = *pointers == 0 ? i : *first;
            (*pointers)++;
        } else if (is(t, i, "[") && is(t, i + 1, "[")) {
            i = behind(t, i, "[", "]") - 1;
        } else if (is(t, i, "[")) {
            *first = *pointers == 0 ? name : *first;
            (*pointers)++;
            break;
        } else if (is_name(t, i)) {
            name = i;
        }
    }
    return name;
}

static kds_code read_param(kds_signature *s, const tokens *t, size_t from, size_t to, kds_err *e)
{
    static const char *const qualifiers[] = {"const",    "__restrict__",      "__restrict",
                                             "restrict", "volatile",          "struct",
                                             "typename", "__grid_constant__", NULL};
    size_t first, name = 0;
    int pointers;
    if (s->param_count == KDS_SIGNATURE_PARAMS)
        return kds_fail(e, KDS_INVALID, "line %d: more than %d parameters", t->at[from].line,
                        KDS_SIGNATURE_PARAMS);
    kds_param p = {.line = t->at[from].line, .width = 1};
    name = find_declarator(t, from, to, &pointers, &first);
    if (name <= from || (pointers && name < first) || find_type(t, name, name + 1) ||
        is_any(t, name, qualifiers))
        return bad_param(t, from, "has no name; give it one", e);
    size_t type_end = first < name ? first : name;
    for (size_t i = from; i < to; i++) {
        if (is(t, i, "&") || is(t, i, "&&") || is(t, i, "..."))
            return bad_param(t, name, "is a reference or a pack: a task passes buffers and numbers",
                             e);
        if (is(t, i, "const") && i <= type_end)
            p.is_const = true;
        if (i < type_end && !is_any(t, i, qualifiers))
            join(t, i, i + 1, p.type + strlen(p.type), sizeof p.type - strlen(p.type));
        if (i + 1 < type_end && p.type[0] && is_name(t, i) && is_name(t, i + 1) &&
            !is_any(t, i, qualifiers) && strlen(p.type) + 1 < sizeof p.type)
            (void)snprintf(p.type + strlen(p.type), sizeof p.type - strlen(p.type), " ");
    }
    if (pointers > 1)
        return bad_param(t, name, "is a pointer to pointers: a task passes buffers and numbers", e);
    const known_type *type = find_type(t, from, type_end);
    copy_token(t, name, p.name, sizeof p.name);
    if (t->at[name].len >= sizeof p.name || !is_plain(p.name))
        return bad_param(t, name, "has a name that is too long or no plain identifier", e);
    p.known = type != NULL;
    p.dtype = type ? type->dtype : KDS_DTYPE_F32;
    p.width = type ? type->width : 1;
    if (pointers) {
        p.kind = KDS_PARAM_BUFFER;
        join(t, first, first + 1, p.type, sizeof p.type - 2);
    } else if (type && type->width == 1) {
        p.kind = type->real ? KDS_PARAM_REAL : KDS_PARAM_INTEGER;
    } else if (is_template_type(s, t, from, type_end)) {
        p.kind = KDS_PARAM_REAL;
    } else {
        return bad_param(t, name,
                         "is passed by value and no number: a task passes buffers and numbers", e);
    }
    for (int i = 0; i < s->param_count; i++)
        if (strcmp(s->params[i].name, p.name) == 0)
            return bad_param(t, name, "has the name of another one", e);
    s->params[s->param_count++] = p;
    return KDS_OK;
}

/* The parameters between the parentheses at `open` and before `end`. */
static kds_code read_params(kds_signature *s, const tokens *t, size_t open, size_t end, kds_err *e)
{
    size_t from = open + 1;
    kds_code code = KDS_OK;
    for (size_t i = open + 1; i < end && code == KDS_OK; i++) {
        if (is(t, i, "("))
            i = behind(t, i, "(", ")") - 1;
        else if (is(t, i, "<"))
            i = behind_angle(t, i) - 1;
        else if (is(t, i, ",") || i + 1 == end) {
            bool empty = from == i || (from + 1 == i && is(t, from, "void"));
            if (!empty)
                code = read_param(s, t, from, i, e);
            from = i + 1;
        }
    }
    return code;
}

/* ---- What the body does ---- */

static bool assigns(const tokens *t, size_t i)
{
    static const char *const both[] = {
        "+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "<<=", ">>=", "++", "--", NULL};
    return is_any(t, i, both);
}

/* One use of a buffer at `i`. */
static void note_use(kds_param *p, const tokens *t, size_t i)
{
    size_t next = i + 1;
    bool element = is(t, i + 1, "[");
    bool pointed = is(t, i - 1, "*") && !is_name(t, i - 2) && !is(t, i - 2, ")") &&
                   !is(t, i - 2, "]") && t->at[i - 2].kind != KDS_TOKEN_NUMBER;
    if (element)
        next = behind_within(t, i + 1, INDEX_MOST, "[", "]");
    if ((!element && !pointed) || next >= t->count) {
        p->escapes = true;
        return;
    }
    while (is(t, next, ".") && is_name(t, next + 1))
        next += 2;
    if (is(t, next, "=")) {
        p->written = true;
    } else if (assigns(t, next) || is(t, i - 1, "++") || is(t, i - 1, "--")) {
        p->read = p->written = true;
    } else if (is(t, i - 1, "&")) {
        bool atomic = is(t, i - 2, "(") && is_name(t, i - 3) && t->at[i - 3].len > 6 &&
                      memcmp(t->text + t->at[i - 3].offset, "atomic", 6) == 0;
        p->read |= atomic;
        p->written |= atomic;
        p->escapes |= !atomic;
    } else {
        p->read = true;
    }
}

static void read_body(kds_signature *s, const tokens *t, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (!is_name(t, i) || is(t, i - 1, ".") || is(t, i - 1, "->") || is(t, i - 1, "::"))
            continue;
        for (int k = 0; k < s->param_count; k++)
            if (s->params[k].kind == KDS_PARAM_BUFFER && is(t, i, s->params[k].name))
                note_use(&s->params[k], t, i);
    }
}

/* ---- Finding the kernel ---- */

typedef struct place {
    size_t name, open, close; /* tokens: the name, "(", behind ")" */
    size_t body, end;         /* "{", behind "}" */
    size_t head;              /* "<" of its template; 0: none */
} place;

/* From the __global__ at `i` to the body; false if this is no definition. */
static bool find_function(const tokens *t, size_t i, place *p, int *max_threads)
{
    static const char *const attributes[] = {
        "__launch_bounds__", "__cluster_dims__", "__block_size__", "__maxnreg__",
        "__attribute__",     "__declspec",       "alignas",        NULL};
    *max_threads = 0;
    for (i++; i < t->count; i++) {
        if (is(t, i, ";") || is(t, i, "{") || is(t, i, "}") || is(t, i, "__global__"))
            return false;
        if (!is_name(t, i))
            continue;
        if (is_any(t, i, attributes)) {
            if (is(t, i, "__launch_bounds__") && i + 2 < t->count &&
                t->at[i + 2].kind == KDS_TOKEN_NUMBER)
                *max_threads = (int)strtol(t->text + t->at[i + 2].offset, NULL, 0);
            i = is(t, i + 1, "(") ? behind(t, i + 1, "(", ")") - 1 : i;
            continue;
        }
        size_t open = is(t, i + 1, "<") ? behind_angle(t, i + 1) : i + 1;
        if (!is(t, open, "("))
            continue;
        *p = (place){.name = i, .open = open, .close = behind(t, open, "(", ")"), .head = p->head};
        p->body = p->close;
        if (!is(t, p->body, "{"))
            return false;
        p->end = behind(t, p->body, "{", "}");
        return is(t, p->end - 1, "}");
    }
    return false;
}

static void read_templates(kds_signature *s, const tokens *t, size_t open)
{
    size_t end = behind_angle(t, open);
    bool is_type = false, named = false;
    for (size_t i = open + 1; i < end && s->template_count < KDS_SIGNATURE_TEMPLATES; i++) {
        if (is(t, i, "typename") || is(t, i, "class")) {
            is_type = true;
        } else if (is_name(t, i) && (is(t, i + 1, ",") || is(t, i + 1, "=") || i + 2 == end) &&
                   !named) {
            copy_token(t, i, s->templates[s->template_count].name, sizeof s->templates[0].name);
            s->templates[s->template_count++].is_type = is_type;
            named = true;
        } else if (is(t, i, ",")) {
            is_type = named = false;
        }
    }
}

/* Namespaces that are open where the walk is; other braces have no name. */
typedef struct spaces {
    size_t names[SPACES_MAX]; /* tokens; 0: no namespace */
    int depth;
} spaces;

static void qualify(const spaces *open, const tokens *t, size_t name, char *out, size_t size)
{
    out[0] = '\0';
    for (int i = 0; i < open->depth && i < SPACES_MAX; i++) {
        size_t used = strlen(out);
        if (open->names[i])
            (void)snprintf(out + used, size - used, "%.*s::", (int)t->at[open->names[i]].len,
                           t->text + t->at[open->names[i]].offset);
    }
    size_t used = strlen(out);
    (void)snprintf(out + used, size - used, "%.*s", (int)t->at[name].len,
                   t->text + t->at[name].offset);
}

static kds_code take(kds_signature *s, const tokens *t, const place *p, const spaces *open,
                     int max_threads, kds_err *e)
{
    qualify(open, t, p->name, s->name, sizeof s->name);
    s->line = t->at[p->name].line;
    s->max_threads = max_threads > 0 && max_threads <= 1024 ? max_threads : 0;
    if (p->head)
        read_templates(s, t, p->head);
    kds_code code = read_params(s, t, p->open, p->close, e);
    if (code != KDS_OK)
        return code;
    copy_token(t, p->name, s->text, 64);
    join(t, p->open, p->close, s->text, sizeof s->text);
    read_body(s, t, p->body, p->end);
    return KDS_OK;
}

static kds_code search_kernels(kds_signature *s, const tokens *t, const char *wanted, kds_err *e)
{
    spaces open = {.depth = 0};
    size_t head = 0;
    bool found = false;
    for (size_t i = 0; i < t->count; i++) {
        int max_threads = 0;
        place p = {.head = head};
        if (is(t, i, "{")) {
            bool space = i >= 2 && is_name(t, i - 1) && is(t, i - 2, "namespace");
            if (open.depth < SPACES_MAX)
                open.names[open.depth] = space ? i - 1 : 0;
            open.depth++;
        } else if (is(t, i, "}")) {
            open.depth -= open.depth > 0;
        } else if (is(t, i, "template") && is(t, i + 1, "<")) {
            head = i + 1;
            i = behind_angle(t, i + 1) - 1;
            continue;
        } else if (is(t, i, "__global__") && !find_function(t, i, &p, &max_threads)) {
            if (p.open && (p.close == t->count || p.end == t->count)) /* nothing closes any more */
                break;
        } else if (is(t, i, "__global__")) {
            char name[64];
            copy_token(t, p.name, name, sizeof name);
            if (!found && (!wanted || strcmp(name, wanted) == 0)) {
                kds_code code = take(s, t, &p, &open, max_threads, e);
                if (code != KDS_OK)
                    return code;
                found = true;
            } else if (s->other_count < KDS_SIGNATURE_OTHERS) {
                (void)snprintf(s->others[s->other_count++], sizeof s->others[0], "%s", name);
            }
            i = p.end - 1;
        }
        if (is(t, i, "{") || is(t, i, "}") || is(t, i, ";"))
            head = 0;
    }
    if (found)
        return KDS_OK;
    if (wanted && s->other_count)
        return kds_fail(e, KDS_INVALID, "there is no kernel '%s'; the first one is '%s'", wanted,
                        s->others[0]);
    return kds_fail(e, KDS_INVALID, "there is no __global__ function with a body");
}

kds_code kds_signature_read(kds_signature *out, const char *source, size_t len, const char *wanted,
                            kds_err *e)
{
    tokens t = {0};
    kds_signature *s = calloc(1, sizeof *s);
    kds_code code =
        s ? read_tokens(&t, source, len, e) : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK)
        code = search_kernels(s, &t, wanted, e);
    if (code == KDS_OK && s->param_count == 0)
        code = kds_fail(e, KDS_INVALID, "line %d: the kernel '%s' has no parameters", s->line,
                        s->name);
    if (code == KDS_OK)
        *out = *s;
    free(s);
    free(t.at);
    return code;
}
