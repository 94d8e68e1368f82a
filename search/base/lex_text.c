/* Texts derived from the token stream: the mask, in which patterns can be matched without meeting
 * comments or literals, and the normal form, by which layout-only twins are found. The normal form
 * maps different token sequences to different texts: a space stands wherever two tokens would read
 * as something else when joined, directives keep lines of their own, and `#define F(` stays apart
 * from `#define F (`. */
#include "search/base/lex_inner.h"
#include <string.h>

static void blank_out(kds_buf *out, size_t base, size_t start, size_t end)
{
    for (size_t i = start; i < end && base + i < out->len; i++) {
        if (out->data[base + i] != '\n')
            out->data[base + i] = ' ';
    }
}

/* Blanks a comment or the inside of a literal. */
static void mask_token(kds_buf *out, size_t base, const char *text, kds_token t, bool unterminated)
{
    size_t start = t.offset, end = t.offset + t.len;
    char quote = t.kind == KDS_TOKEN_STRING ? '"' : '\'';
    if (t.kind != KDS_TOKEN_COMMENT) {
        while (start < end && text[start] != quote)
            start++;
        start++;
        while (!unterminated && end > start && text[end - 1] != quote)
            end--;
        if (!unterminated && end > start)
            end--;
    }
    blank_out(out, base, start, end);
}

static bool is_hidden(kds_token t)
{
    return t.kind == KDS_TOKEN_COMMENT || t.kind == KDS_TOKEN_STRING || t.kind == KDS_TOKEN_CHAR;
}

static void mask_directive(kds_buf *out, size_t base, const char *text, kds_token directive)
{
    kds_inner in;
    kds_token t;
    kds_inner_init(&in, text, directive);
    while ((t = kds_inner_next(&in)).kind != KDS_TOKEN_END) {
        if (is_hidden(t) && !in.header)
            mask_token(out, base, text, t, in.x.unterminated);
        in.x.unterminated = false;
    }
}

void kds_lex_mask(kds_buf *out, const char *text, size_t len)
{
    size_t base = out->len;
    kds_lexer x;
    kds_token t;
    kds_buf_add(out, text, len);
    if (out->bad)
        return;
    kds_lexer_init(&x, text, len);
    while ((t = kds_lexer_next(&x)).kind != KDS_TOKEN_END) {
        if (t.kind == KDS_TOKEN_DIRECTIVE)
            mask_directive(out, base, text, t);
        else if (is_hidden(t))
            mask_token(out, base, text, t, x.unterminated);
        x.unterminated = false;
    }
}

/* True for R"...": the last letter of the prefix is R. */
static bool is_raw(const char *text, kds_token t)
{
    const char *quote = t.kind == KDS_TOKEN_STRING ? memchr(text + t.offset, '"', t.len) : NULL;
    return quote && quote > text + t.offset && quote[-1] == 'R';
}

void kds_lex_append(kds_buf *out, const char *text, kds_token t)
{
    const char *p = text + t.offset, *end = p + t.len;
    if (is_raw(text, t)) {
        kds_buf_add(out, p, t.len);
        return;
    }
    while (p < end) {
        const char *splice = memchr(p, '\\', (size_t)(end - p));
        const char *stop = splice ? splice : end;
        size_t n = 0;
        kds_buf_add(out, p, (size_t)(stop - p));
        if (splice && end - splice > 1 && splice[1] == '\n')
            n = 2;
        else if (splice && end - splice > 2 && splice[1] == '\r' && splice[2] == '\n')
            n = 3;
        else if (splice)
            kds_buf_putc(out, '\\');
        p = stop + (splice ? (n ? n : 1) : 0);
    }
}

typedef struct writer {
    kds_buf *out;
    const char *text;
    kds_token_kind last; /* KDS_TOKEN_END: nothing that a token could merge with */
    size_t last_start;   /* of the last token in `out` */
} writer;

static bool is_wordy(kds_token_kind k)
{
    return k == KDS_TOKEN_IDENTIFIER || k == KDS_TOKEN_NUMBER || k == KDS_TOKEN_STRING ||
           k == KDS_TOKEN_CHAR;
}

/* True if two operators read differently when joined. */
static bool operators_merge(const char *a, size_t a_len, const char *b, size_t b_len)
{
    char joined[8];
    kds_lexer x;
    if (!strchr("=<>-+*/:.&|#", b[0]) && !(a[0] == '%' && a[a_len - 1] == ':'))
        return false; /* no operator goes on with it; a `%:` is one at the start of a line only */
    if (a_len + b_len > sizeof joined)
        return true;
    memcpy(joined, a, a_len);
    memcpy(joined + a_len, b, b_len);
    kds_lexer_init(&x, joined, a_len + b_len);
    x.line_start = false;
    kds_token t = kds_lexer_next(&x);
    return t.kind != KDS_TOKEN_PUNCT || t.len != a_len || (a[0] == '.' && b[0] == '.') ||
           (a[0] == '%' && b[0] == ':');
}

/* Whether the token at `start` of the output, the last one in it, must be kept apart from the one
 * before it. */
static bool needs_space(const writer *w, kds_token_kind kind, size_t start)
{
    const char *last = w->out->data + w->last_start, *s = w->out->data + start;
    size_t last_len = start - w->last_start;
    if (w->last == KDS_TOKEN_END)
        return false;
    if (is_wordy(w->last) && is_wordy(kind))
        return true;
    if (w->last == KDS_TOKEN_NUMBER)
        return s[0] == '.' || s[0] == '+' || s[0] == '-';
    if (kind == KDS_TOKEN_NUMBER)
        return last[last_len - 1] == '.';
    return w->last == KDS_TOKEN_PUNCT && kind == KDS_TOKEN_PUNCT &&
           operators_merge(last, last_len, s, w->out->len - start);
}

/* Appends a token, a space before it where it needs one or `gap` demands it. */
static void write_token(writer *w, kds_token t, bool gap)
{
    kds_buf *out = w->out;
    size_t start = out->len;
    kds_lex_append(out, w->text, t);
    if (out->bad || out->len == start)
        return;
    if (gap || needs_space(w, t.kind, start)) {
        size_t len = out->len - start;
        kds_buf_putc(out, ' ');
        if (out->bad)
            return;
        memmove(out->data + start + 1, out->data + start, len);
        out->data[start++] = ' ';
    }
    w->last = t.kind;
    w->last_start = start;
    if (out->data[start] == '\\') { /* a stray one must not come to stand before a newline */
        kds_buf_putc(out, ' ');
        w->last = KDS_TOKEN_END;
    }
}

/* A directive on a line of its own. The gap between the name of a macro and a parenthesis counts.
 */
static void write_directive(writer *w, kds_token directive)
{
    kds_inner in;
    kds_token t;
    size_t end = 0;
    bool define = false;
    kds_inner_init(&in, w->text, directive);
    if (w->out->len && w->out->data[w->out->len - 1] != '\n')
        kds_buf_putc(w->out, '\n');
    w->last = KDS_TOKEN_END;
    for (int i = 0; (t = kds_inner_next_code(&in)).kind != KDS_TOKEN_END; i++) {
        bool apart = false;
        for (size_t at = end; at < t.offset; at++)
            apart = apart || !strchr("\\\r\n", w->text[at]) || w->text[at] == '\0';
        if (i == 1)
            define = kds_token_is(&in.x, t, "define");
        else if (i == 2)
            define = define && t.kind == KDS_TOKEN_IDENTIFIER;
        write_token(w, t, define && i == 3 && apart && kds_token_is(&in.x, t, "("));
        end = t.offset + t.len;
    }
    kds_buf_putc(w->out, '\n');
    w->last = KDS_TOKEN_END;
}

void kds_lex_normalize(kds_buf *out, const char *text, size_t len)
{
    writer w = {.out = out, .text = text, .last = KDS_TOKEN_END};
    kds_lexer x;
    kds_token t;
    kds_lexer_init(&x, text, len);
    while ((t = kds_lexer_next(&x)).kind != KDS_TOKEN_END && !out->bad) {
        if (t.kind == KDS_TOKEN_DIRECTIVE)
            write_directive(&w, t);
        else if (t.kind != KDS_TOKEN_COMMENT)
            write_token(&w, t, false);
    }
}
