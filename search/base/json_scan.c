/* The strict JSON scanner. It accepts exactly RFC 8259 (and comments where they are allowed), with
 * the nesting bounded before anything recurses, so that what it passes holds no surprise for
 * cJSON: no NUL inside strings, no number that is not finite, no lone surrogate. */
#include "search/base/json_doc.h"
#include "search/base/text.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct scanner {
    kds_json_scan *out;
    kds_err *e;
    const char *text;
    size_t at, len;
    size_t line_start;
    int line, depth;
    size_t room;
} scanner;

/* Fails at `at`, which lies on the current line. */
static kds_code fail_at(const scanner *s, size_t at, const char *text)
{
    int column = 1;
    for (size_t i = s->line_start; i < at; i++)
        column += ((unsigned char)s->text[i] & 0xc0u) != 0x80;
    return kds_fail(s->e, KDS_INVALID, "%s:%d:%d: %s", s->out->name, s->line, column, text);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '+' || c == '-' || c == '.';
}

/* Fails where the scanner stands with "expected ..., found ...". */
static kds_code expected(const scanner *s, const char *what)
{
    char text[200];
    size_t n = 0;
    if (s->at == s->len) {
        snprintf(text, sizeof text, "expected %s, found the end of the text", what);
        return fail_at(s, s->at, text);
    }
    while (s->at + n < s->len && n < 24 && is_word(s->text[s->at + n]))
        n++;
    for (size_t k = 1; n == 0 && k <= 4 && s->at + k <= s->len; k++) {
        if (kds_text_is_utf8(s->text + s->at, k))
            n = k;
    }
    snprintf(text, sizeof text, "expected %s, found '%.*s'", what, (int)n, s->text + s->at);
    return fail_at(s, s->at, text);
}

static void new_line(scanner *s)
{
    s->line++;
    s->line_start = s->at + 1;
}

/* Blanks one comment; the scanner stands on its '/'. */
static kds_code skip_comment(scanner *s)
{
    size_t start = s->at;
    char kind = start + 1 < s->len ? s->text[start + 1] : '\0';
    if (kind != '/' && kind != '*')
        return expected(s, "a value or punctuation");
    if (!s->out->comments)
        return fail_at(s, start, "comments are not allowed here");
    size_t end = start + 2;
    if (kind == '/') {
        while (end < s->len && s->text[end] != '\n')
            end++;
    } else {
        while (end + 1 < s->len && (s->text[end] != '*' || s->text[end + 1] != '/'))
            end++;
        if (end + 1 >= s->len)
            return fail_at(s, start, "the comment that begins here never ends");
        end += 2;
    }
    for (; s->at < end; s->at++) {
        if (s->text[s->at] == '\n')
            new_line(s);
        else
            s->out->text[s->at] = ' ';
    }
    return KDS_OK;
}

static kds_code skip_space(scanner *s)
{
    while (s->at < s->len) {
        char c = s->text[s->at];
        if (c == '/') {
            kds_code code = skip_comment(s);
            if (code != KDS_OK)
                return code;
            continue;
        }
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            break;
        if (c == '\n')
            new_line(s);
        s->at++;
    }
    return KDS_OK;
}

/* Value of four hexadecimal digits at `at`, or -1. */
static int hex4(const scanner *s, size_t at)
{
    int v = 0;
    if (at + 4 > s->len)
        return -1;
    for (size_t i = at; i < at + 4; i++) {
        char c = s->text[i];
        if (c >= '0' && c <= '9')
            v = v * 16 + (c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v * 16 + (c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            v = v * 16 + (c - 'A' + 10);
        else
            return -1;
    }
    return v;
}

/* One escape of a string; the scanner stands on the backslash. */
static kds_code scan_escape(scanner *s)
{
    char c = s->at + 1 < s->len ? s->text[s->at + 1] : '\0';
    if (c != 'u') {
        if (c == '\0' || strchr("\"\\/bfnrt", c) == NULL)
            return fail_at(s, s->at, "unknown escape in a string");
        s->at += 2;
        return KDS_OK;
    }
    int v = hex4(s, s->at + 2);
    if (v < 0)
        return fail_at(s, s->at, "\\u must be followed by four hexadecimal digits");
    if (v == 0)
        return fail_at(s, s->at, "\\u0000 is not allowed in a string");
    size_t len = 6;
    if (v >= 0xd800 && v <= 0xdfff) {
        bool pair = v <= 0xdbff && s->at + 8 <= s->len && s->text[s->at + 6] == '\\' &&
                    s->text[s->at + 7] == 'u';
        int low = pair ? hex4(s, s->at + 8) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return fail_at(s, s->at, "half of a surrogate pair in a string");
        len = 12;
    }
    s->at += len;
    return KDS_OK;
}

/* The scanner stands on the opening quote. */
static kds_code scan_string(scanner *s)
{
    size_t start = s->at++;
    for (;;) {
        if (s->at == s->len || s->text[s->at] == '\n')
            return fail_at(s, start, "the string that begins here is not closed on its line");
        char c = s->text[s->at];
        if (c == '"')
            break;
        if ((unsigned char)c < 0x20)
            return fail_at(s, s->at, "a control character in a string must be written as \\u00XX");
        if (c == '\\') {
            kds_code code = scan_escape(s);
            if (code != KDS_OK)
                return code;
        } else {
            s->at++;
        }
    }
    s->at++;
    return KDS_OK;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* True if `n` (NUL-terminated) is a number of RFC 8259. */
static bool number_grammar(const char *n)
{
    n += *n == '-';
    if (*n == '0')
        n++;
    else if (is_digit(*n))
        while (is_digit(*n))
            n++;
    else
        return false;
    if (*n == '.') {
        if (!is_digit(*++n))
            return false;
        while (is_digit(*n))
            n++;
    }
    if (*n == 'e' || *n == 'E') {
        n++;
        n += *n == '+' || *n == '-';
        if (!is_digit(*n))
            return false;
        while (is_digit(*n))
            n++;
    }
    return *n == '\0';
}

static kds_code scan_number(scanner *s)
{
    char number[KDS_JSON_NUMBER + 1], text[160];
    size_t n = 0;
    double v;
    while (s->at + n < s->len && is_word(s->text[s->at + n]))
        n++;
    if (n > KDS_JSON_NUMBER)
        return fail_at(s, s->at, "a number of more than 60 characters");
    memcpy(number, s->text + s->at, n);
    number[n] = '\0';
    if (!number_grammar(number))
        snprintf(text, sizeof text, "'%s' is not a number as JSON writes it", number);
    else if (!kds_text_parse_double(number, &v))
        snprintf(text, sizeof text, "the number '%s' is too large", number);
    else {
        s->at += n;
        return KDS_OK;
    }
    return fail_at(s, s->at, text);
}

static kds_code scan_literal(scanner *s)
{
    static const char *const WORDS[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        size_t n = strlen(WORDS[i]);
        if (s->len - s->at >= n && memcmp(s->text + s->at, WORDS[i], n) == 0 &&
            (s->at + n == s->len || !is_word(s->text[s->at + n]))) {
            s->at += n;
            return KDS_OK;
        }
    }
    return expected(s, "a value");
}

static kds_code add_place(scanner *s, int key_line)
{
    kds_json_scan *out = s->out;
    if (out->count == s->room) {
        size_t room = s->room == 0 ? 256 : s->room * 2;
        kds_json_place *places = realloc(out->places, room * sizeof *places);
        if (places == NULL)
            return kds_fail(s->e, KDS_NO_MEMORY, "reading %s: out of memory", out->name);
        out->places = places;
        s->room = room;
    }
    out->places[out->count++] =
        (kds_json_place){.line = s->line, .key_line = key_line > 0 ? key_line : s->line};
    return KDS_OK;
}

static kds_code scan_value(scanner *s, int key_line);

/* The part of an object's member before its value: key and colon. */
static kds_code scan_key(scanner *s, bool first, int *key_line)
{
    kds_code code;
    if (s->at == s->len || s->text[s->at] != '"')
        return expected(s, first ? "a key in double quotes or '}'"
                                 : "a key in double quotes after the comma");
    *key_line = s->line;
    if ((code = scan_string(s)) != KDS_OK || (code = skip_space(s)) != KDS_OK)
        return code;
    if (s->at == s->len || s->text[s->at] != ':')
        return expected(s, "':' after the key");
    s->at++;
    return skip_space(s);
}

/* An object or array; the scanner stands on the opening bracket. */
static kds_code scan_container(scanner *s)
{
    kds_code code;
    bool object = s->text[s->at] == '{';
    char close = object ? '}' : ']';
    if (s->depth == KDS_JSON_DEPTH)
        return fail_at(s, s->at, "nested deeper than 64 levels");
    s->depth++;
    s->at++;
    if ((code = skip_space(s)) != KDS_OK)
        return code;
    for (bool first = true; !first || s->at == s->len || s->text[s->at] != close; first = false) {
        int key_line = 0;
        if (object && (code = scan_key(s, first, &key_line)) != KDS_OK)
            return code;
        if (!object && !first && s->at < s->len && s->text[s->at] == close)
            return expected(s, "a value after the comma");
        if ((code = scan_value(s, key_line)) != KDS_OK || (code = skip_space(s)) != KDS_OK)
            return code;
        if (s->at < s->len && s->text[s->at] == close)
            break;
        if (s->at == s->len || s->text[s->at] != ',')
            return expected(s,
                            object ? "',' or '}' after the value" : "',' or ']' after the value");
        s->at++;
        if ((code = skip_space(s)) != KDS_OK)
            return code;
    }
    s->at++;
    s->depth--;
    return KDS_OK;
}

static kds_code scan_value(scanner *s, int key_line)
{
    kds_code code = add_place(s, key_line);
    if (code != KDS_OK)
        return code;
    char c = s->at < s->len ? s->text[s->at] : '\0';
    if (c == '{' || c == '[')
        return scan_container(s);
    if (c == '"')
        return scan_string(s);
    if (is_digit(c) || c == '-')
        return scan_number(s);
    return scan_literal(s);
}

/* Finds the first byte that no JSON text may hold. */
static kds_code check_bytes(scanner *s)
{
    size_t good = kds_text_utf8_prefix(s->text, s->len);
    const char *nul = memchr(s->text, '\0', good);
    size_t bad = nul != NULL ? (size_t)(nul - s->text) : good;
    if (bad == s->len)
        return KDS_OK;
    for (; s->at < bad; s->at++) {
        if (s->text[s->at] == '\n')
            new_line(s);
    }
    return fail_at(s, bad, nul != NULL ? "a NUL byte" : "not valid UTF-8");
}

kds_code kds_json_scan_text(kds_json_scan *out, kds_err *e)
{
    scanner s = {.out = out, .e = e, .text = out->text, .len = out->len, .line = 1};
    kds_code code;
    out->places = NULL;
    out->count = 0;
    if (out->len > INT_MAX)
        return kds_fail(e, KDS_TOO_LARGE, "%s is too large for a JSON text", out->name);
    if ((code = check_bytes(&s)) != KDS_OK)
        return code;
    /* Editors on some systems begin a file with a byte order mark. */
    if (out->comments && out->len >= 3 && memcmp(out->text, "\xef\xbb\xbf", 3) == 0)
        memcpy(out->text, "   ", 3);
    if ((code = skip_space(&s)) != KDS_OK || (code = scan_value(&s, 0)) != KDS_OK ||
        (code = skip_space(&s)) != KDS_OK)
        return code;
    return s.at == s.len ? KDS_OK : expected(&s, "the end of the text after the value");
}
