/* Finding the `#pragma kda` lines of a source: those that the preprocessor would see, so none in a
 * comment or a literal. Their bodies are joined into one line. */
#include "search/base/lex_inner.h"
#include <stdlib.h>
#include <string.h>

#define PRAGMAS 256

bool kds_inner_pragma(kds_inner *in, kds_token *keyword)
{
    static const char *const words[] = {"pragma", "kda", NULL};
    if (!kds_token_is(&in->x, kds_inner_next_code(in), "#"))
        return false;
    for (int i = 0; words[i]; i++) {
        if (!kds_token_is(&in->x, kds_inner_next_code(in), words[i]))
            return false;
    }
    kds_inner before = *in;
    *keyword = kds_inner_next_code(in);
    if (keyword->kind != KDS_TOKEN_IDENTIFIER) {
        *in = before;
        keyword->len = 0;
    }
    return true;
}

/* Appends what is left of the directive: tokens as they are, one blank for each comment, white
 * space between tokens kept but for backslash-newlines. */
static void write_body(kds_buf *out, kds_inner *in)
{
    const char *text = in->x.text;
    size_t end = in->x.at;
    for (;;) {
        kds_token t = kds_inner_next(in);
        for (; end < t.offset; end++) {
            if (text[end] == ' ' || text[end] == '\t')
                kds_buf_putc(out, text[end]);
        }
        if (t.kind == KDS_TOKEN_END)
            return;
        if (t.kind == KDS_TOKEN_COMMENT)
            kds_buf_putc(out, ' ');
        else
            kds_lex_append(out, text, t);
        end = t.offset + t.len;
    }
}

/* The body and, behind its NUL, the keyword: one block, so that both live as long as the pragma. */
static kds_code take_body(kds_pragma *p, kds_buf *body, kds_buf *keyword, kds_err *e)
{
    size_t start = 0, end = body->len;
    while (start < end && strchr(" \t", body->data[start]))
        start++;
    while (end > start && strchr(" \t", body->data[end - 1]))
        end--;
    size_t len = end - start;
    p->body = malloc(len + 1 + keyword->len + 1);
    if (!p->body)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    memcpy(p->body, body->data + start, len);
    p->body[len] = '\0';
    memcpy(p->body + len + 1, keyword->data, keyword->len + 1);
    p->keyword = p->body + len + 1;
    p->keyword_len = keyword->len;
    return KDS_OK;
}

static kds_code add_pragma(kds_pragmas *found, kds_inner *in, kds_token directive,
                           kds_token keyword, kds_err *e)
{
    kds_buf body, word;
    kds_code code;
    kds_buf_init(&body, KDS_SOURCE_CAP);
    kds_buf_init(&word, KDS_SOURCE_CAP);
    kds_pragma *p = &found->items[found->count];
    *p = (kds_pragma){.offset = directive.offset, .len = directive.len, .line = directive.line};
    kds_lex_append(&word, in->x.text, keyword);
    write_body(&body, in);
    code = kds_buf_check(&body, "#pragma kda", e);
    if (!code)
        code = kds_buf_check(&word, "#pragma kda", e);
    if (!code)
        code = take_body(p, &body, &word, e);
    if (!code)
        found->count++;
    kds_buf_free(&body);
    kds_buf_free(&word);
    return code;
}

kds_code kds_pragmas_find(kds_pragmas *out, const char *text, size_t len, kds_err *e)
{
    kds_pragmas found = {.items = calloc(PRAGMAS, sizeof *found.items)};
    kds_code code = KDS_OK;
    kds_lexer x;
    kds_token t, keyword;
    if (!found.items)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_lexer_init(&x, text, len);
    while (!code && (t = kds_lexer_next_directive(&x)).kind != KDS_TOKEN_END) {
        kds_inner in;
        kds_inner_init(&in, text, t);
        if (!kds_inner_pragma(&in, &keyword))
            continue;
        if (found.count == PRAGMAS)
            code = kds_fail(e, KDS_TOO_LARGE, "line %d: more than %d lines of #pragma kda", t.line,
                            PRAGMAS);
        else
            code = add_pragma(&found, &in, t, keyword, e);
    }
    if (code) {
        kds_pragmas_free(&found);
        return code;
    }
    *out = found;
    return KDS_OK;
}

void kds_pragmas_free(kds_pragmas *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->count; i++)
        free(p->items[i].body);
    free(p->items);
    *p = (kds_pragmas){0};
}
