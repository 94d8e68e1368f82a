/* Fuzzes the scanner and what is built on it. Tokens must tile the text in order, the mask must
 * keep length and newlines, the normal form must be a fixed point, and selecting the values in
 * force must give the text back. */
#include "search/base/lex.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* False if a literal or comment has no end: its text then reaches over what follows. */
static bool check_tokens(const char *text, size_t size)
{
    kds_lexer x;
    kds_token t;
    size_t end = 0;
    kds_lexer_init(&x, text, size);
    while ((t = kds_lexer_next(&x)).kind != KDS_TOKEN_END) {
        if (t.len == 0 || t.offset < end || t.offset + t.len > size || t.line < 1)
            abort();
        end = t.offset + t.len;
    }
    return !x.unterminated;
}

static void check_texts(const char *text, size_t size, bool whole)
{
    kds_buf mask, form, again;
    kds_buf_init(&mask, size);
    kds_buf_init(&form, 2 * size + 16);
    kds_buf_init(&again, 4 * size + 64);
    kds_lex_mask(&mask, text, size);
    kds_lex_normalize(&form, text, size);
    kds_lex_normalize(&again, form.data, form.len);
    if (mask.bad || form.bad || mask.len != size)
        abort();
    for (size_t i = 0; i < size; i++) {
        if ((mask.data[i] == '\n') != (text[i] == '\n'))
            abort();
    }
    bool same = again.len == form.len && memcmp(again.data, form.data, form.len) == 0;
    /* a file name without its closing bracket reads on differently once comments are gone */
    bool named =
        strstr(form.data, "include") || strstr(form.data, "import") || strstr(form.data, "embed");
    if (again.bad || (whole && !named && !same))
        abort();
    kds_buf_free(&mask);
    kds_buf_free(&form);
    kds_buf_free(&again);
}

static void check_pragmas(const char *text, size_t size)
{
    kds_pragmas p = {0};
    kds_tunable u[KDS_TUNABLES];
    int count = 0;
    if (kds_pragmas_find(&p, text, size, NULL) == KDS_OK) {
        for (int i = 0; i < p.count; i++) {
            if (p.items[i].offset + p.items[i].len > size)
                abort();
        }
    }
    kds_pragmas_free(&p);
    if (kds_tunables_find(u, &count, text, size, NULL) == KDS_OK && count > KDS_TUNABLES)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    if (size == 0 || size > KDS_SOURCE_CAP)
        return 0;
    check_texts(text, size, check_tokens(text, size));
    check_pragmas(text, size);
    return 0;
}
