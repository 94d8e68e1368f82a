/* Rewrites of single tokens and lines: unroll pragmas, inlining, tunable lists, constants,
 * intrinsics. */
#include "prompts/rewrite.h"
#include <stdio.h>
#include <string.h>

/* Start of the line that `offset` is on, if only blanks lie between; else `offset` itself. */
static size_t line_start(const kds_rewriter *r, size_t offset)
{
    size_t at = offset;
    while (at > 0 && (r->lexer.text[at - 1] == ' ' || r->lexer.text[at - 1] == '\t'))
        at--;
    return at == 0 || r->lexer.text[at - 1] == '\n' ? at : offset;
}

/* The factor of an unroll pragma: 0 if it names none; -1 if the token is no unroll pragma, -2 if
 * its factor is more than a literal. */
static int64_t unroll_factor(const kds_rewriter *r, int i)
{
    static const char *const words[] = {"pragma", "unroll", NULL};
    kds_token tokens[KDS_REWRITE_DIRECTIVE];
    if (i < 0 || r->tokens[i].kind != KDS_TOKEN_DIRECTIVE)
        return -1;
    int count = kds_rewriter_directive(r, r->tokens[i], tokens);
    if (!kds_rewriter_starts(r, tokens, count, words))
        return -1;
    if (count == 3)
        return 0;
    if (count == 6 && kds_token_is(&r->lexer, tokens[3], "("))
        tokens[3] = tokens[4];
    else if (count != 4)
        return -2;
    int64_t factor = kds_rewriter_integer(r, tokens[3]);
    return factor < 0 ? -2 : factor;
}

static void write_unroll(kds_rewriter *r, int loop, int64_t now, int wanted)
{
    kds_token t = r->tokens[loop];
    char text[32] = "";
    if (wanted == 0)
        snprintf(text, sizeof text, "#pragma unroll");
    else if (wanted > 0)
        snprintf(text, sizeof text, "#pragma unroll %d", wanted);
    if (now == -1) {
        size_t start = line_start(r, t.offset);
        bool alone = start != t.offset || start == 0 || r->lexer.text[start - 1] == '\n';
        kds_rewriter_edit(r, start, 0, "%s%s\n", alone ? "" : "\n", text);
    } else if (wanted >= 0) {
        kds_token old = r->tokens[loop - 1];
        kds_rewriter_edit(r, old.offset, old.len, "%s", text);
    } else {
        size_t start = line_start(r, r->tokens[loop - 1].offset);
        size_t end = kds_token_end(r->tokens[loop - 1]);
        while (end < t.offset && r->lexer.text[end] != '\n')
            end++;
        kds_rewriter_edit(r, start, end < t.offset ? end + 1 - start : end - start, "%s", "");
    }
    if (wanted < 0)
        kds_buf_printf(r->hypothesis, "no unroll pragma for the loop in line %d: less code",
                       t.line);
    else if (wanted == 0)
        kds_buf_printf(r->hypothesis,
                       "the loop in line %d unrolled whole: independent loads come first", t.line);
    else
        kds_buf_printf(r->hypothesis, "the loop in line %d unrolled by %d: %s", t.line, wanted,
                       wanted == 1 ? "fewer registers" : "more loads in flight");
}

bool kds_rewrite_unroll(kds_rewriter *r)
{
    static const char *const before[] = {";", "{", "}", ")", ":", "else", NULL};
    static const int choices[] = {-1, 0, 1, 2, 4, 8};
    int sites[KDS_REWRITE_SITES], n = 0, rest[6], m = 0;
    for (int i = 1; i < r->count && n < KDS_REWRITE_SITES; i++) {
        bool follows = r->tokens[i - 1].kind == KDS_TOKEN_DIRECTIVE;
        if (kds_rewriter_is(r, i, "for") && (follows || kds_rewriter_in(r, i - 1, before)))
            sites[n++] = i;
    }
    if (n == 0)
        return false;
    int loop = sites[kds_rewriter_pick(r, n)];
    int64_t now = unroll_factor(r, loop - 1);
    for (int i = 0; i < 6; i++) {
        if (choices[i] != now)
            rest[m++] = choices[i];
    }
    write_unroll(r, loop, now, rest[kds_rewriter_pick(r, m)]);
    return true;
}

/* Tokens of the body of the function that follows the specifier at `i`; 0 if it has none. */
static int body_tokens(const kds_rewriter *r, int i)
{
    for (; i < r->count && !kds_rewriter_is(r, i, ";"); i++) {
        if (kds_rewriter_is(r, i, "{")) {
            int end = kds_rewriter_close(r, i);
            return end < 0 ? 0 : end - i;
        }
    }
    return 0;
}

bool kds_rewrite_inline(kds_rewriter *r)
{
    enum { WORTH_A_CALL = 60 };
    int sites[KDS_REWRITE_SITES], n = 0;
    for (int i = 0; i < r->count && n < KDS_REWRITE_SITES; i++) {
        bool device =
            kds_rewriter_is(r, i - 1, "__device__") || kds_rewriter_is(r, i + 1, "__device__");
        if (device &&
            (kds_rewriter_is(r, i, "__noinline__") ||
             (kds_rewriter_is(r, i, "__forceinline__") && body_tokens(r, i) >= WORTH_A_CALL)))
            sites[n++] = i;
    }
    if (n == 0)
        return false;
    int site = sites[kds_rewriter_pick(r, n)];
    bool forced = kds_rewriter_is(r, site, "__forceinline__");
    kds_rewriter_edit(r, r->tokens[site].offset, r->tokens[site].len, "%s",
                      forced ? "__noinline__" : "__forceinline__");
    kds_buf_printf(r->hypothesis, "the function in line %d %s", r->tokens[site].line,
                   forced ? "not inlined: less code, fewer registers held over it"
                          : "inlined: no call, values stay in registers");
    return true;
}

static bool is_power_of_two(int64_t v)
{
    return v > 0 && (v & (v - 1)) == 0;
}

/* Powers of two next to a listed one that are not listed. */
static int neighbours(const kds_tunable *u, int64_t out[2 * KDS_TUNE_VALUES])
{
    int n = 0;
    if (u->count >= KDS_TUNE_VALUES)
        return 0;
    for (int i = 0; i < u->count; i++) {
        if (u->values[i] < 1)
            return 0; /* a switch or an offset, no size */
    }
    for (int i = 0; i < 2 * u->count; i++) {
        int64_t v = u->values[i / 2], next = i % 2 ? v / 2 : v * 2;
        bool known = !is_power_of_two(v) || next < 1 || next > 1024;
        for (int k = 0; k < u->count; k++)
            known = known || u->values[k] == next;
        if (!known)
            out[n++] = next;
    }
    return n;
}

/* Offset of the first value of the tune pragma in `line`. */
static bool first_value(const kds_rewriter *r, int line, size_t *offset)
{
    kds_token tokens[KDS_REWRITE_DIRECTIVE];
    for (int i = 0; i < r->count; i++) {
        if (r->tokens[i].kind != KDS_TOKEN_DIRECTIVE || r->tokens[i].line != line)
            continue;
        int count = kds_rewriter_directive(r, r->tokens[i], tokens);
        for (int k = 0; k + 1 < count; k++) {
            if (kds_token_is(&r->lexer, tokens[k], "=")) {
                *offset = tokens[k + 1].offset;
                return true;
            }
        }
    }
    return false;
}

bool kds_rewrite_extend_tunable(kds_rewriter *r)
{
    kds_tunable tunables[KDS_TUNABLES];
    int64_t values[2 * KDS_TUNE_VALUES];
    int count = 0, sites[KDS_TUNABLES], n = 0;
    size_t offset;
    if (kds_tunables_find(tunables, &count, r->lexer.text, r->lexer.len, NULL))
        return false;
    for (int i = 0; i < count; i++) {
        if (neighbours(&tunables[i], values) > 0)
            sites[n++] = i;
    }
    if (n == 0)
        return false;
    const kds_tunable *u = &tunables[sites[kds_rewriter_pick(r, n)]];
    int64_t value = values[kds_rewriter_pick(r, neighbours(u, values))];
    if (!first_value(r, u->line, &offset))
        return false;
    kds_rewriter_edit(r, offset, 0, "%lld, ", (long long)value);
    kds_buf_printf(r->hypothesis, "%s %lld -> %lld, beyond the values listed so far", u->name,
                   (long long)u->values[0], (long long)value);
    return true;
}

static bool is_all_caps(const kds_rewriter *r, kds_token t)
{
    bool letter = false;
    for (size_t i = 0; i < t.len; i++) {
        char c = r->lexer.text[t.offset + i];
        if (c >= 'A' && c <= 'Z')
            letter = true;
        else if (c != '_' && (c < '0' || c > '9'))
            return false;
    }
    return letter && t.kind == KDS_TOKEN_IDENTIFIER;
}

/* True if the name at token `name` stands in brackets somewhere. */
static bool sizes_array(const kds_rewriter *r, int name)
{
    kds_token n = r->tokens[name];
    int depth = 0;
    for (int i = 0; i < r->count; i++) {
        kds_token t = r->tokens[i];
        depth += kds_rewriter_is(r, i, "[");
        depth -= kds_rewriter_is(r, i, "]");
        if (depth > 0 && t.len == n.len &&
            memcmp(r->lexer.text + t.offset, r->lexer.text + n.offset, n.len) == 0)
            return true;
    }
    return false;
}

/* `constexpr int NAME = literal ;` at token `i`: the literal's value, or 0. */
static int64_t sized_constant(const kds_rewriter *r, int i)
{
    static const char *const types[] = {"int", "unsigned", "size_t", NULL};
    if (!kds_rewriter_is(r, i, "constexpr") || !kds_rewriter_in(r, i + 1, types) ||
        !kds_rewriter_is(r, i + 3, "=") || !kds_rewriter_is(r, i + 5, ";") ||
        !is_all_caps(r, r->tokens[i + 2]) || !sizes_array(r, i + 2))
        return 0;
    int64_t value = kds_rewriter_integer(r, r->tokens[i + 4]);
    return value >= 1 && value <= 65536 ? value : 0;
}

bool kds_rewrite_constant(kds_rewriter *r)
{
    int sites[KDS_REWRITE_SITES], n = 0;
    for (int i = 0; i < r->count && n < KDS_REWRITE_SITES; i++) {
        if (sized_constant(r, i))
            sites[n++] = i;
    }
    if (n == 0)
        return false;
    int site = sites[kds_rewriter_pick(r, n)];
    int64_t value = sized_constant(r, site);
    int64_t next = value % 2 != 0 || kds_rewriter_pick(r, 2) == 0 ? value * 2 : value / 2;
    kds_token name = r->tokens[site + 2], literal = r->tokens[site + 4];
    kds_rewriter_edit(r, literal.offset, literal.len, "%lld", (long long)next);
    kds_buf_printf(r->hypothesis, "%.*s %lld -> %lld: another amount of work in flight",
                   (int)name.len, r->lexer.text + name.offset, (long long)value, (long long)next);
    return true;
}

bool kds_rewrite_intrinsic(kds_rewriter *r)
{
    static const char *const pairs[][2] = {
        {"expf", "__expf"}, {"logf", "__logf"}, {"log2f", "__log2f"}, {"log10f", "__log10f"},
        {"sinf", "__sinf"}, {"cosf", "__cosf"}, {"powf", "__powf"},   {"exp10f", "__exp10f"}};
    enum { PAIRS = sizeof pairs / sizeof *pairs };
    static const char *const member[] = {".", "->", NULL};
    int sites[KDS_REWRITE_SITES], wanted[KDS_REWRITE_SITES], n = 0;
    for (int i = 0; i < r->count && n < KDS_REWRITE_SITES; i++) {
        if (!kds_rewriter_is(r, i + 1, "(") || kds_rewriter_in(r, i - 1, member))
            continue;
        for (int k = 0; k < 2 * PAIRS; k++) {
            if (kds_rewriter_is(r, i, pairs[k / 2][k % 2])) {
                wanted[n] = k ^ 1;
                sites[n++] = i;
                break;
            }
        }
    }
    if (n == 0)
        return false;
    int drawn = kds_rewriter_pick(r, n), k = wanted[drawn];
    kds_token t = r->tokens[sites[drawn]];
    kds_rewriter_edit(r, t.offset, t.len, "%s", pairs[k / 2][k % 2]);
    kds_buf_printf(r->hypothesis, "%s for %s in line %d: %s", pairs[k / 2][k % 2],
                   pairs[k / 2][(k ^ 1) % 2], t.line,
                   k % 2 ? "fewer instructions" : "more exact, so that the gate has room");
    return true;
}

/* `1.0f / sqrtf ( ... )` starting at `i`. */
static bool is_reciprocal_root(const kds_rewriter *r, int i)
{
    static const char *const ones[] = {"1.0f", "1.f", "1", "1.0F", NULL};
    static const char *const roots[] = {"sqrtf", "__fsqrt_rn", NULL};
    static const char *const tighter[] = {"/", "%", ".", "->", NULL};
    return kds_rewriter_in(r, i, ones) && kds_rewriter_is(r, i + 1, "/") &&
           kds_rewriter_in(r, i + 2, roots) && kds_rewriter_is(r, i + 3, "(") &&
           !kds_rewriter_in(r, i - 1, tighter);
}

bool kds_rewrite_rsqrt(kds_rewriter *r)
{
    int sites[KDS_REWRITE_SITES], n = 0;
    for (int i = 0; i < r->count && n < KDS_REWRITE_SITES; i++) {
        bool root = kds_rewriter_is(r, i, "rsqrtf") && kds_rewriter_is(r, i + 1, "(") &&
                    kds_rewriter_close(r, i + 1) > 0;
        if (root || is_reciprocal_root(r, i))
            sites[n++] = i;
    }
    if (n == 0)
        return false;
    int site = sites[kds_rewriter_pick(r, n)];
    kds_token t = r->tokens[site];
    if (kds_rewriter_is(r, site, "rsqrtf")) {
        kds_token end = r->tokens[kds_rewriter_close(r, site + 1)];
        kds_rewriter_edit(r, t.offset, t.len, "(1.0f / sqrtf");
        kds_rewriter_edit(r, kds_token_end(end), 0, ")");
        kds_buf_printf(r->hypothesis, "1 / sqrtf in line %d: correctly rounded, slower", t.line);
        return true;
    }
    size_t end = kds_token_end(r->tokens[site + 2]);
    kds_rewriter_edit(r, t.offset, end - t.offset, "rsqrtf");
    kds_buf_printf(r->hypothesis, "rsqrtf in line %d: one instruction for a division and a root",
                   t.line);
    return true;
}
