/* Applying SEARCH/REPLACE edits to a source. Both are compared as whole lines: with a newline put
 * before them, every match of the bytes begins and ends at a line, so finding, and finding out that
 * there is a second one, takes two linear searches. */
#include "prompts/reply_internal.h"

#include <stdio.h>
#include <string.h>

/* Offsets of the lines to be replaced. */
typedef struct place {
    size_t from, to;
} place;

/* Number of matches, at most 2; `*at` is the first. `text` and `search` begin and end with a
 * newline. */
static int count_matches(const kds_buf *text, const kds_buf *search, size_t *at)
{
    const char *first = memmem(text->data, text->len, search->data, search->len);
    if (!first)
        return 0;
    *at = (size_t)(first - text->data);
    const char *from = first + 1;
    size_t left = text->len - *at - 1;
    return memmem(from, left, search->data, search->len) ? 2 : 1;
}

/* Start of line number `n` (from 0). */
static size_t line_offset(kds_span text, size_t n)
{
    const char *start = text.at;
    kds_span line;
    while (n-- > 0 && kds_span_line(&text, &line))
        ;
    return (size_t)(text.at - start);
}

static size_t count_newlines(const char *s, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += s[i] == '\n';
    return n;
}

/* Finds the lines: exactly, then with white space at the ends of lines ignored. Returns the number
 * of places, at most 2, or -1 if out of memory. */
static int find_place(const kds_buf *source, kds_span search, place *out)
{
    int found = -1;
    size_t at = 0;
    kds_buf text, want;
    kds_span whole = {source->data, source->len};
    kds_buf_init(&text, 2 * (size_t)KDS_REPLY_CAP);
    kds_buf_init(&want, 2 * (size_t)KDS_REPLY_CAP);
    kds_buf_putc(&text, '\n');
    kds_buf_add(&text, source->data, source->len);
    kds_buf_putc(&want, '\n');
    kds_buf_add(&want, search.at, search.len);
    if (text.bad != KDS_OK || want.bad != KDS_OK)
        goto out;
    found = count_matches(&text, &want, &at);
    *out = (place){at, at + search.len};
    if (found > 0)
        goto out;
    found = -1;
    kds_buf_reset(&text);
    kds_buf_reset(&want);
    kds_buf_putc(&text, '\n');
    kds_span_strip_ends(&text, whole);
    kds_buf_putc(&want, '\n');
    kds_span_strip_ends(&want, search);
    if (text.bad != KDS_OK || want.bad != KDS_OK)
        goto out;
    found = count_matches(&text, &want, &at);
    if (found > 0) {
        size_t line = count_newlines(text.data, at);
        size_t lines = count_newlines(search.at, search.len);
        *out = (place){line_offset(whole, line), line_offset(whole, line + lines)};
    }
out:
    kds_buf_free(&text);
    kds_buf_free(&want);
    return found;
}

/* Where the first line of a SEARCH that does not match would be. */
static void explain(const kds_buf *source, kds_span search, char *hint, size_t size)
{
    kds_span line, first = {NULL, 0}, rest = {source->data, source->len};
    while (first.len == 0 && kds_span_line(&search, &line))
        first = kds_span_trim(line);
    int shown = first.len < 80 ? (int)first.len : 80;
    for (int number = 1; kds_span_line(&rest, &line); number++) {
        line = kds_span_trim(line);
        if (line.len == first.len && memcmp(line.at, first.at, line.len) == 0) {
            snprintf(hint, size,
                     "its first line, \"%.*s\", is like line %d, but the indentation or the lines "
                     "after it differ",
                     shown, first.at, number);
            return;
        }
    }
    snprintf(hint, size, "there is no line \"%.*s\"", shown, first.at);
}

/* Replaces one place. */
static void splice(kds_buf *source, place p, kds_span with)
{
    kds_buf result;
    kds_buf_init(&result, source->cap);
    kds_buf_add(&result, source->data, p.from);
    kds_buf_add(&result, with.at, with.len);
    kds_buf_add(&result, source->data + p.to, source->len - p.to);
    kds_buf_free(source);
    *source = result;
}

kds_code kds_reply_apply(kds_buf *source, const kds_reply_edit *edits, int count,
                         kds_reply_problem *problem, int *which, char *hint, size_t hint_size,
                         kds_err *e)
{
    *problem = KDS_REPLY_OK;
    hint[0] = '\0';
    for (int i = 0; i < count && *problem == KDS_REPLY_OK; i++) {
        place p = {0, 0};
        *which = i;
        if (kds_span_trim(edits[i].search).len == 0) {
            *problem = KDS_REPLY_NO_MATCH;
            snprintf(hint, hint_size, "it is empty; name the lines to replace");
            continue;
        }
        int found = find_place(source, edits[i].search, &p);
        if (found < 0)
            return kds_fail(e, KDS_NO_MEMORY, "out of memory");
        if (found == 1)
            splice(source, p, edits[i].replace);
        else
            *problem = found == 0 ? KDS_REPLY_NO_MATCH : KDS_REPLY_MANY_MATCHES;
        if (found == 0)
            explain(source, edits[i].search, hint, hint_size);
        if (source->bad == KDS_TOO_LARGE)
            *problem = KDS_REPLY_TOO_LARGE;
        else if (source->bad != KDS_OK)
            return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    return KDS_OK;
}
