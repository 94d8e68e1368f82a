/* Untrusted text made safe, and suggestions. Everything is written against explicit lengths; the
 * one decoder accepts exactly the UTF-8 of RFC 3629 (no surrogates, no overlong forms). */
#include "search/base/text.h"
#include <string.h>

/* Decodes one character: its length, or 0 if the bytes are not valid UTF-8. len > 0. */
static size_t decode(const char *s, size_t len, uint32_t *out)
{
    const unsigned char *p = (const unsigned char *)s;
    static const uint32_t LEAST[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n;
    uint32_t c;
    if (p[0] < 0x80) {
        *out = p[0];
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        n = 2;
        c = p[0] & 0x1fu;
    } else if ((p[0] & 0xf0u) == 0xe0) {
        n = 3;
        c = p[0] & 0x0fu;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        n = 4;
        c = p[0] & 0x07u;
    } else {
        return 0;
    }
    if (n > len)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0u) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < LEAST[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *out = c;
    return n;
}

/* Characters that act on a terminal or hide what is written: controls, bidirectional marks and
 * overrides, line separators, invisible tags. */
static bool dangerous(uint32_t c, bool keep_lines)
{
    if (c == '\n' || c == '\t')
        return !keep_lines;
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff ||
           (c >= 0xe0000 && c <= 0xe007f);
}

/* Escapes the first character of `s` into `out` (NUL-terminated; at most 16 bytes) and returns how
 * many bytes of `s` it took. */
static size_t escape_one(const char *s, size_t len, bool keep_lines, char out[17])
{
    static const char HEX[] = "0123456789ABCDEF";
    uint32_t c = 0;
    size_t n = decode(s, len, &c), k = 0;
    if (n > 0 && !dangerous(c, keep_lines)) {
        memcpy(out, s, n);
        out[n] = '\0';
        return n;
    }
    if (n == 0)
        n = 1;
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)s[i];
        out[k++] = '\\';
        out[k++] = 'x';
        out[k++] = HEX[byte >> 4];
        out[k++] = HEX[byte & 15];
    }
    out[k] = '\0';
    return n;
}

void kds_text_escape(kds_buf *out, const char *s, size_t len, bool keep_lines)
{
    char one[17];
    for (size_t i = 0; i < len;) {
        i += escape_one(s + i, len - i, keep_lines, one);
        kds_buf_puts(out, one);
    }
}

void kds_text_strip(kds_buf *out, const char *s, size_t len)
{
    char one[17];
    for (size_t i = 0; i < len;) {
        size_t n = escape_one(s + i, len - i, true, one);
        if (strncmp(one, s + i, n) == 0 && strlen(one) == n)
            kds_buf_add(out, s + i, n);
        i += n;
    }
}

size_t kds_text_escape_into(char *out, size_t size, const char *s, size_t len, bool keep_lines)
{
    static const char MARK[] = "...";
    char one[17];
    size_t used = 0, cut = 0; /* cut: the last place where the mark still fits */
    for (size_t i = 0; i < len;) {
        i += escape_one(s + i, len - i, keep_lines, one);
        size_t n = strlen(one);
        if (used + n >= size) {
            size_t mark = size - 1 - cut < 3 ? size - 1 - cut : 3;
            memcpy(out + cut, MARK, mark);
            out[cut + mark] = '\0';
            return cut + mark;
        }
        memcpy(out + used, one, n);
        used += n;
        if (used + sizeof MARK <= size)
            cut = used;
    }
    out[used] = '\0';
    return used;
}

size_t kds_text_sanitize_utf8(kds_buf *out, const char *s, size_t len)
{
    size_t replaced = 0;
    while (len > 0) {
        size_t good = kds_text_utf8_prefix(s, len);
        kds_buf_add(out, s, good);
        if (good == len)
            break;
        kds_buf_puts(out, "\xef\xbf\xbd");
        replaced++;
        s += good + 1;
        len -= good + 1;
    }
    return replaced;
}

size_t kds_text_utf8_prefix(const char *s, size_t len)
{
    size_t i = 0;
    while (i < len) {
        uint64_t eight;
        uint32_t c;
        while (len - i >= sizeof eight) { /* nearly all texts are ASCII */
            memcpy(&eight, s + i, sizeof eight);
            if (eight & UINT64_C(0x8080808080808080))
                break;
            i += sizeof eight;
        }
        size_t n = i < len ? decode(s + i, len - i, &c) : 0;
        if (n == 0)
            break;
        i += n;
    }
    return i;
}

bool kds_text_is_utf8(const char *s, size_t len)
{
    return kds_text_utf8_prefix(s, len) == len;
}

#define SUGGEST_MAX 64

/* For comparing names: case and the kind of dash do not matter. */
static char fold(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c == '_' ? '-' : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edit distance with transpositions of neighbours (optimal string alignment). */
static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t rows[3][SUGGEST_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= nb; j++)
        above[j] = j;
    for (size_t i = 1; i <= na; i++) {
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            char x = fold(a[i - 1]), y = fold(b[j - 1]);
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == fold(b[j - 2]) && fold(a[i - 2]) == y)
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *next = before;
        before = above;
        above = row;
        row = next;
    }
    return above[nb];
}

/* A name is near enough if at most a third of the given letters is wrong, or if what was given is
 * its beginning. */
const char *kds_text_suggest(const char *given, const char *const *names)
{
    size_t len = strlen(given), best = SIZE_MAX;
    const char *found = NULL;
    if (len == 0 || len > SUGGEST_MAX)
        return NULL;
    for (; *names != NULL; names++) {
        size_t n = strlen(*names);
        if (n > SUGGEST_MAX)
            continue;
        size_t d = distance(given, len, *names, n);
        bool near = d <= (len + 1) / 3 || (len >= 3 && kds_text_starts_with(*names, given));
        if (near && d < best) {
            best = d;
            found = *names;
        }
    }
    return found;
}

bool kds_text_list_has(const char *list, char separator, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; at;) {
        const char *end = strchr(at, separator);
        size_t len = end ? (size_t)(end - at) : strlen(at);
        if (len == n && memcmp(at, word, n) == 0)
            return true;
        at = end ? end + 1 : NULL;
    }
    return false;
}

bool kds_text_starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool kds_text_ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s), k = strlen(suffix);
    return n >= k && memcmp(s + n - k, suffix, k) == 0;
}
