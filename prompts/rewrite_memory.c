/* Rewrites of how global memory is reached: aliasing promises and cache hints. Only pointers that
 * are parameters of a kernel, or locals made from one without taking an address, are known to be
 * global; all else is left alone. */
#include "prompts/rewrite.h"
#include <string.h>

#define POINTERS 64

/* A pointer to global memory and the tokens among which its name means it. */
typedef struct pointer {
    int name;
    bool is_const, restricted, parameter;
    int type, type_end; /* tokens of the pointed-to type */
    int from, to;
} pointer;

/* A load or store: [start, end) are tokens. A dereference starts at its '*'. For a store, `equals`
 * is its '=' and `end` its ';'. */
typedef struct access {
    int start, end, equals;
    bool dereference;
    int name; /* of the pointer */
} access;

static bool same_name(const kds_rewriter *r, int a, int b)
{
    kds_token x = r->tokens[a], y = r->tokens[b];
    const char *text = r->lexer.text;
    return x.len == y.len && memcmp(text + x.offset, text + y.offset, x.len) == 0;
}

static bool is_identifier(const kds_rewriter *r, int i)
{
    return i >= 0 && i < r->count && r->tokens[i].kind == KDS_TOKEN_IDENTIFIER;
}

/* True if a hinted load or store of this type exists. Names that the source defines are taken on
 * trust. */
static bool is_loadable(const kds_rewriter *r, int type, int end)
{
    static const char *const types[] = {
        "float",   "float2",     "float4",        "double",         "double2",  "int",
        "int2",    "int4",       "unsigned",      "uint2",          "uint4",    "short",
        "short2",  "short4",     "half",          "half2",          "__half",   "char",
        "char4",   "uchar4",     "long",          "uint",           "uint32_t", "longlong2",
        "__half2", "ulonglong2", "__nv_bfloat16", "__nv_bfloat162", NULL};
    if (type >= end)
        return false;
    if (kds_rewriter_in(r, type, types))
        return true;
    for (int i = 0; i < r->count; i++) {
        if (!same_name(r, i, type))
            continue;
        bool named = kds_rewriter_is(r, i + 1, ";") &&
                     (kds_rewriter_is(r, i - 2, "typedef") || kds_rewriter_is(r, i - 3, "typedef"));
        if (named || kds_rewriter_is(r, i - 1, "using"))
            return true;
    }
    return false;
}

/* Reads `[const] type * [const] [__restrict__] name` in the tokens [from, to), the name last. */
static bool read_declarator(const kds_rewriter *r, int from, int to, pointer *p)
{
    static const char *const restricts[] = {"__restrict__", "__restrict", NULL};
    int at = from;
    *p = (pointer){.name = to - 1};
    p->is_const = kds_rewriter_is(r, at, "const");
    at += p->is_const;
    p->type = at;
    while (at < to && is_identifier(r, at) && at - p->type < 3)
        at++;
    p->type_end = at;
    if (at == p->type || at >= to || !kds_rewriter_is(r, at, "*"))
        return false;
    for (at++; at < to - 1; at++) {
        if (kds_rewriter_in(r, at, restricts))
            p->restricted = true;
        else if (!kds_rewriter_is(r, at, "const"))
            return false;
    }
    return at == to - 1 && is_identifier(r, at) && !kds_rewriter_in(r, at, restricts);
}

static int read_parameters(const kds_rewriter *r, const kds_kernel_site *k, pointer *out, int room)
{
    int from = k->open + 1, depth = 0, n = 0;
    for (int i = k->open + 1; i <= k->close && n < room; i++) {
        depth += kds_rewriter_is(r, i, "(") || kds_rewriter_is(r, i, "<");
        depth -= i < k->close && (kds_rewriter_is(r, i, ")") || kds_rewriter_is(r, i, ">"));
        if (i < k->close && (depth > 0 || !kds_rewriter_is(r, i, ",")))
            continue;
        if (read_declarator(r, from, i, &out[n])) {
            out[n].parameter = true;
            out[n].from = k->body;
            out[n].to = k->body_end;
            n++;
        }
        from = i + 1;
    }
    return n;
}

/* True if [from, to) names one of the pointers and takes no address. */
static bool is_global(const kds_rewriter *r, int from, int to, const pointer *pointers, int count)
{
    bool found = false;
    for (int i = from; i < to; i++) {
        if (kds_rewriter_is(r, i, "&"))
            return false;
        for (int k = 0; k < count && !found; k++)
            found = i > pointers[k].from && i < pointers[k].to && same_name(r, i, pointers[k].name);
    }
    return found;
}

static int find_semicolon(const kds_rewriter *r, int i, int to)
{
    while (i < to && !kds_rewriter_is(r, i, ";"))
        i++;
    return i;
}

/* Adds the locals of a kernel that are made from its pointers. */
static int read_locals(const kds_rewriter *r, const kds_kernel_site *k, pointer *out, int n)
{
    static const char *const before[] = {";", "{", "}", ")", NULL};
    for (int i = k->body + 1; i < k->body_end && n < POINTERS; i++) {
        if (!kds_rewriter_in(r, i - 1, before) && r->tokens[i - 1].kind != KDS_TOKEN_DIRECTIVE)
            continue;
        int equals = i;
        while (equals < k->body_end && equals - i < 8 && !kds_rewriter_is(r, equals, "=") &&
               !kds_rewriter_is(r, equals, ";"))
            equals++;
        if (!kds_rewriter_is(r, equals, "=") || !read_declarator(r, i, equals, &out[n]))
            continue;
        int end = find_semicolon(r, equals, k->body_end);
        if (is_global(r, equals + 1, end, out, n)) {
            out[n].from = end;
            out[n].to = k->body_end;
            n++;
        }
    }
    return n;
}

static int read_pointers(const kds_rewriter *r, pointer out[POINTERS])
{
    kds_kernel_site kernels[KDS_REWRITE_KERNELS];
    int count = kds_rewriter_kernels(r, kernels), n = 0;
    for (int i = 0; i < count; i++) {
        pointer own[POINTERS];
        int m = read_parameters(r, &kernels[i], own, POINTERS);
        m = read_locals(r, &kernels[i], own, m);
        for (int k = 0; k < m && n < POINTERS; k++)
            out[n++] = own[k];
    }
    return n;
}

/* Reads an access at token `i`: NAME[...], cast(...)[...] or *cast(...). *is_const is that of the
 * type reached. */
static bool read_access(const kds_rewriter *r, int i, const pointer *pointers, int count, access *a,
                        bool *is_const)
{
    *a = (access){.start = i, .dereference = kds_rewriter_is(r, i, "*"), .name = -1};
    int cast = i + a->dereference;
    if (kds_rewriter_is(r, cast, "reinterpret_cast") && kds_rewriter_is(r, cast + 1, "<")) {
        *is_const = kds_rewriter_is(r, cast + 2, "const");
        int type = cast + 2 + *is_const, star = type;
        while (is_identifier(r, star) && star - type < 3)
            star++;
        if (!kds_rewriter_is(r, star, "*") || !kds_rewriter_is(r, star + 1, ">") ||
            !kds_rewriter_is(r, star + 2, "(") || !is_loadable(r, type, star))
            return false;
        int close = kds_rewriter_close(r, star + 2);
        if (close < 0 || !is_global(r, star + 3, close, pointers, count))
            return false;
        a->end = close + 1;
    } else {
        if (a->dereference)
            return false;
        for (int k = count - 1; k >= 0 && a->name < 0; k--) {
            const pointer *p = &pointers[k];
            if (i > p->from && i < p->to && same_name(r, i, p->name) &&
                is_loadable(r, p->type, p->type_end)) {
                a->name = p->name;
                *is_const = p->is_const;
            }
        }
        if (a->name < 0)
            return false;
        a->end = i + 1;
    }
    if (a->dereference)
        return !kds_rewriter_is(r, a->end, "[");
    if (!kds_rewriter_is(r, a->end, "["))
        return false;
    a->end = kds_rewriter_close(r, a->end) + 1;
    return a->end > 0;
}

static int find_loads(const kds_rewriter *r, const pointer *pointers, int count, access *out)
{
    static const char *const not_before[] = {"&", ".", "->", "::", NULL};
    static const char *const before_star[] = {"=", "(", ",", "return", "?", ":", "{", NULL};
    static const char *const not_after[] = {"=", "[", "++", "--", NULL};
    int n = 0;
    for (int i = 1; i < r->count && n < KDS_REWRITE_SITES; i++) {
        bool is_const;
        if (!read_access(r, i, pointers, count, &out[n], &is_const) || !is_const)
            continue;
        bool fits = out[n].dereference
                        ? kds_rewriter_in(r, i - 1, before_star)
                        : !kds_rewriter_in(r, i - 1, not_before) && !is_identifier(r, i - 1);
        fits = fits || (!out[n].dereference && kds_rewriter_is(r, i - 1, "return"));
        if (fits && !kds_rewriter_in(r, out[n].end, not_after))
            n++;
    }
    return n;
}

static void wrap_load(kds_rewriter *r, const access *a, const char *hint)
{
    kds_token first = r->tokens[a->start];
    kds_rewriter_edit(r, first.offset, a->dereference ? first.len : 0, "%s(%s", hint,
                      a->dereference ? "" : "&");
    kds_rewriter_edit(r, kds_token_end(r->tokens[a->end - 1]), 0, ")");
}

static const char *load_effect(const char *hint)
{
    if (strcmp(hint, "__ldg") == 0)
        return "the read-only path, kept in L1";
    return strcmp(hint, "__ldcs") == 0 ? "a streaming read, evicted first" : "cached in L2 only";
}

bool kds_rewrite_load_hint(kds_rewriter *r)
{
    enum { MOST = KDS_REWRITE_EDITS / 2 };
    static const char *const hints[] = {"__ldg", "__ldcs", "__ldcg"};
    pointer pointers[POINTERS];
    access sites[KDS_REWRITE_SITES];
    int count = read_pointers(r, pointers), n = find_loads(r, pointers, count, sites);
    if (n == 0)
        return false;
    const access *a = &sites[kds_rewriter_pick(r, n)];
    const char *hint = hints[kds_rewriter_pick(r, 3)];
    bool all = kds_rewriter_pick(r, 2) == 0 && a->name >= 0;
    int changed = 0;
    for (int i = 0; i < n && changed < MOST; i++) {
        if (&sites[i] == a || (all && sites[i].name == a->name)) {
            wrap_load(r, &sites[i], hint);
            changed++;
        }
    }
    kds_buf_printf(r->hypothesis, "%s for the load in line %d", hint, r->tokens[a->start].line);
    if (changed > 1)
        kds_buf_printf(r->hypothesis, " and %d more of its pointer", changed - 1);
    kds_buf_printf(r->hypothesis, ": %s", load_effect(hint));
    return true;
}

/* Completes a store: `= value ;` after the access, the value being one plain expression. */
static bool read_store(const kds_rewriter *r, access *a)
{
    static const char *const openers[] = {"(", "[", "{", NULL};
    if (!kds_rewriter_is(r, a->end, "=") || kds_rewriter_is(r, a->end + 1, "{"))
        return false;
    a->equals = a->end;
    for (int i = a->equals + 1; i < r->count; i++) {
        if (kds_rewriter_in(r, i, openers)) {
            i = kds_rewriter_close(r, i);
            if (i < 0)
                return false;
        } else if (kds_rewriter_is(r, i, ";")) {
            a->end = i;
            return true;
        } else if (kds_rewriter_is(r, i, ",") || kds_rewriter_is(r, i, "=") ||
                   r->tokens[i].kind == KDS_TOKEN_DIRECTIVE) {
            return false;
        }
    }
    return false;
}

static bool starts_statement(const kds_rewriter *r, int i)
{
    static const char *const before[] = {";", "{", "}", ")", "else", NULL};
    return kds_rewriter_in(r, i - 1, before) ||
           (i > 0 && r->tokens[i - 1].kind == KDS_TOKEN_DIRECTIVE);
}

bool kds_rewrite_store_hint(kds_rewriter *r)
{
    static const char *const hints[] = {"__stcs", "__stcg"};
    pointer pointers[POINTERS];
    access sites[KDS_REWRITE_SITES];
    int count = read_pointers(r, pointers), n = 0;
    for (int i = 1; i < r->count && n < KDS_REWRITE_SITES; i++) {
        bool is_const = true;
        if (starts_statement(r, i) && read_access(r, i, pointers, count, &sites[n], &is_const) &&
            !is_const && read_store(r, &sites[n]))
            n++;
    }
    if (n == 0)
        return false;
    const access *a = &sites[kds_rewriter_pick(r, n)];
    int drawn = kds_rewriter_pick(r, 2);
    kds_token first = r->tokens[a->start];
    size_t target_end = kds_token_end(r->tokens[a->equals - 1]);
    kds_rewriter_edit(r, first.offset, a->dereference ? first.len : 0, "%s(%s", hints[drawn],
                      a->dereference ? "" : "&");
    kds_rewriter_edit(r, target_end, kds_token_end(r->tokens[a->equals]) - target_end, ",");
    kds_rewriter_edit(r, r->tokens[a->end].offset, 0, ")");
    kds_buf_printf(r->hypothesis, "%s for the store in line %d: %s", hints[drawn], first.line,
                   drawn == 0 ? "written once, so evicted first" : "kept in L2 only");
    return true;
}

/* The comma that parts the two arguments of a call; -1 if there are not two. */
static int argument_comma(const kds_rewriter *r, int open, int close)
{
    int depth = 0, comma = -1;
    for (int i = open; i < close; i++) {
        depth +=
            kds_rewriter_is(r, i, "(") || kds_rewriter_is(r, i, "[") || kds_rewriter_is(r, i, "{");
        depth -=
            kds_rewriter_is(r, i, ")") || kds_rewriter_is(r, i, "]") || kds_rewriter_is(r, i, "}");
        if (depth != 1 || !kds_rewriter_is(r, i, ","))
            continue;
        if (comma >= 0)
            return -1;
        comma = i;
    }
    return comma;
}

/* Turns a hinted access at token `i` into a plain one; false if that cannot be written. */
static bool drop_hint(kds_rewriter *r, int i, bool load)
{
    int close = kds_rewriter_close(r, i + 1);
    size_t open_end = kds_token_end(r->tokens[i + 1]), start = r->tokens[i].offset;
    if (close < 0)
        return false;
    if (load) {
        kds_rewriter_edit(r, start, open_end - start, "(*(");
        kds_rewriter_edit(r, kds_token_end(r->tokens[close]), 0, ")");
        return true;
    }
    int comma = argument_comma(r, i + 1, close);
    if (comma < 0 || !starts_statement(r, i) || !kds_rewriter_is(r, close + 1, ";"))
        return false;
    kds_rewriter_edit(r, start, open_end - start, "*(");
    kds_rewriter_edit(r, r->tokens[comma].offset, r->tokens[comma].len, ") =");
    kds_rewriter_edit(r, r->tokens[close].offset, r->tokens[close].len, "%s", "");
    return true;
}

bool kds_rewrite_cache_hint(kds_rewriter *r)
{
    static const char *const loads[] = {"__ldg", "__ldcs", "__ldcg", "__ldca", NULL};
    static const char *const stores[] = {"__stcs", "__stcg", NULL};
    int sites[KDS_REWRITE_SITES], n = 0;
    for (int i = 0; i < r->count && n < KDS_REWRITE_SITES; i++) {
        if (kds_rewriter_is(r, i + 1, "(") &&
            (kds_rewriter_in(r, i, loads) || kds_rewriter_in(r, i, stores)))
            sites[n++] = i;
    }
    if (n == 0)
        return false;
    int site = sites[kds_rewriter_pick(r, n)];
    bool load = kds_rewriter_in(r, site, loads);
    kds_token t = r->tokens[site];
    const char *const *names = load ? loads : stores;
    int choices = (load ? 4 : 2) + 1, drawn;
    do /* the last choice is a plain access */
        drawn = kds_rewriter_pick(r, choices);
    while (drawn < choices - 1 && kds_rewriter_is(r, site, names[drawn]));
    if (drawn == choices - 1) {
        kds_buf_printf(r->hypothesis, "no cache hint for the %s in line %d",
                       load ? "load" : "store", t.line);
        return drop_hint(r, site, load);
    }
    kds_rewriter_edit(r, t.offset, t.len, "%s", names[drawn]);
    kds_buf_printf(r->hypothesis, "%s for %.*s in line %d: another use of the caches", names[drawn],
                   (int)t.len, r->lexer.text + t.offset, t.line);
    return true;
}

bool kds_rewrite_restrict(kds_rewriter *r)
{
    pointer pointers[POINTERS];
    int count = read_pointers(r, pointers), sites[POINTERS], n = 0;
    for (int i = 0; i < count; i++) {
        if (pointers[i].parameter && !pointers[i].restricted)
            sites[n++] = i;
    }
    if (n == 0)
        return false;
    int body = pointers[sites[kds_rewriter_pick(r, n)]].from, changed = 0;
    for (int i = 0; i < n && changed < KDS_REWRITE_EDITS; i++) {
        if (pointers[sites[i]].from != body)
            continue;
        kds_rewriter_edit(r, r->tokens[pointers[sites[i]].name].offset, 0, "__restrict__ ");
        changed++;
    }
    kds_buf_printf(r->hypothesis,
                   "__restrict__ on %d pointer%s of the kernel before line %d: loads may be moved "
                   "and cached as read-only",
                   changed, changed == 1 ? "" : "s", r->tokens[body].line);
    return true;
}
