/* A renamed copy of a kernel, for duels of a kernel with itself. */
#include "search/engine/duel_bench.h"

#include "search/base/lex.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NAMES 64
#define SUFFIX "_copy"
#define NOTE "// a renamed copy\n"

typedef struct name {
    const char *text;
    size_t len;
} name;

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* "ns::f<8>(x)" to f. */
static name launched(const char *body)
{
    size_t end = strcspn(body, "<(");
    while (end > 0 && !is_name_char(body[end - 1]))
        end--;
    size_t begin = end;
    while (begin > 0 && is_name_char(body[begin - 1]))
        begin--;
    return (name){body + begin, end - begin};
}

static int collect(const kds_pragmas *p, name *names)
{
    int count = 0;
    for (int i = 0; i < p->count && count < NAMES; i++) {
        const kds_pragma *x = &p->items[i];
        if (x->keyword_len != strlen("launch") || memcmp(x->keyword, "launch", x->keyword_len) != 0)
            continue;
        name n = launched(x->body);
        if (n.len > 0)
            names[count++] = n;
    }
    return count;
}

static bool is_one_of(const name *names, int count, const char *at, size_t len)
{
    for (int i = 0; i < count; i++)
        if (names[i].len == len && memcmp(names[i].text, at, len) == 0)
            return true;
    return false;
}

kds_code kds_duel_rename(const char *source, size_t len, char **out, size_t *out_len, kds_err *e)
{
    kds_pragmas pragmas = {0};
    name names[NAMES];
    kds_buf text;
    kds_code code = kds_pragmas_find(&pragmas, source, len, e);
    if (code != KDS_OK)
        return code;
    int count = collect(&pragmas, names);
    kds_buf_init(&text, KDS_SOURCE_CAP);
    kds_buf_puts(&text, NOTE);
    for (size_t at = 0; at < len;) {
        size_t n = 0;
        while (at + n < len && is_name_char(source[at + n]))
            n++;
        kds_buf_add(&text, source + at, n > 0 ? n : 1);
        if (n > 0 && is_one_of(names, count, source + at, n))
            kds_buf_puts(&text, SUFFIX);
        at += n > 0 ? n : 1;
    }
    code = count > 0 ? kds_buf_check(&text, "a renamed copy", e)
                     : kds_fail(e, KDS_INVALID,
                                "it has no launch line whose kernel could be "
                                "renamed; give a second file");
    if (code == KDS_OK) {
        *out_len = text.len;
        *out = kds_buf_take(&text);
        code = *out != NULL ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    kds_buf_free(&text);
    kds_pragmas_free(&pragmas);
    return code;
}
