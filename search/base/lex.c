/* The scanner. Every look at the text goes through `look`, because a backslash-newline may stand
 * between any two characters but those of a raw string. Time is linear in the text: a run of
 * splices is crossed by the few characters of look-ahead before it, and no more. */
#include "search/base/lex_inner.h"
#include <ctype.h>
#include <stdint.h>
#include <string.h>

/* Longest first. <<< and >>> are left out: device code has closing template brackets instead. */
static const char *const puncts[] = {
    "<=>", "->*", "...", "<<=", ">>=", "::", "->", ".*", "++", "--", "<<", ">>", "<=", ">=",
    "==",  "!=",  "&&",  "||",  "+=",  "-=", "*=", "/=", "%=", "&=", "|=", "^=", "##", NULL};

/* Offset of the first byte at or after `at` that does not belong to a backslash-newline. As for
 * NVRTC, blanks between the two make it none. */
static size_t skip_splices(const kds_lexer *x, size_t at)
{
    while (at + 1 < x->len && x->text[at] == '\\') {
        size_t end = at + 1;
        if (end < x->len && x->text[end] == '\r')
            end++;
        if (end >= x->len || x->text[end] != '\n')
            break;
        at = end + 1;
    }
    return at;
}

/* The logical character at `*at` (moved past splices), or 0 at the end. A NUL byte reads as blank.
 */
static inline unsigned char look(const kds_lexer *x, size_t *at)
{
    if (*at < x->len && x->text[*at] == '\\')
        *at = skip_splices(x, *at);
    if (*at >= x->len)
        return 0;
    unsigned char c = (unsigned char)x->text[*at];
    return c ? c : ' ';
}

/* A bit for every character of which words are made, the digits among them: every character of
 * every source passes here, several times. */
static const uint32_t words[8] = {0, 0x03ff0010, 0x87fffffe, 0x07fffffe, ~0u, ~0u, ~0u, ~0u};

static inline bool word(unsigned char c)
{
    return words[c >> 5] >> (c & 31) & 1;
}

static inline bool digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static inline bool word_start(unsigned char c)
{
    return word(c) && !digit(c);
}

static inline bool blank(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

static size_t scan_word(const kds_lexer *x, size_t at)
{
    while (at < x->len && word((unsigned char)x->text[at]))
        at++;
    size_t next = at;
    while (word(look(x, &next))) /* beyond a splice */
        at = ++next;
    return at;
}

/* A preprocessing number: digits, letters, points, digit separators, signs after an exponent. */
static size_t scan_number(const kds_lexer *x, size_t at)
{
    unsigned char before = 0;
    for (size_t next = at;;) {
        unsigned char c = look(x, &next);
        size_t after = next + 1;
        bool sign = (c == '+' || c == '-') && before && strchr("eEpP", before);
        bool separator = c == '\'' && word(look(x, &after));
        if (!word(c) && c != '.' && !sign && !separator)
            return at;
        before = c;
        at = ++next;
    }
}

/* From the byte after the opening quote to past the closing one, or to the end of the line. */
static size_t scan_quoted(kds_lexer *x, size_t at, unsigned char quote)
{
    for (size_t next = at;;) {
        unsigned char c = look(x, &next);
        if (c == 0 || c == '\n') {
            x->unterminated = true;
            return at;
        }
        at = ++next;
        if (c == quote)
            return at;
        if (c != '\\')
            continue;
        c = look(x, &next);
        if (c && c != '\n')
            at = ++next;
    }
}

/* From the byte after the opening quote of a raw string; 0 if its delimiter is malformed. */
static size_t scan_raw(kds_lexer *x, size_t at)
{
    const char *delimiter = x->text + at;
    size_t n = 0;
    while (at + n < x->len && n <= 16 && delimiter[n] != '(') {
        if (delimiter[n] == '"' || delimiter[n] == ')' || delimiter[n] == '\\' ||
            isspace((unsigned char)delimiter[n]))
            return 0;
        n++;
    }
    if (at + n >= x->len || n > 16)
        return 0;
    for (const char *p = delimiter + n; (p = memchr(p, ')', (size_t)(x->text + x->len - p)));) {
        p++;
        if ((size_t)(x->text + x->len - p) > n && memcmp(p, delimiter, n) == 0 && p[n] == '"')
            return (size_t)(p - x->text) + n + 1;
    }
    x->unterminated = true;
    return x->len;
}

/* The offset of the next `c` at or after `at`; the end if there is none. */
static size_t find(const kds_lexer *x, size_t at, char c)
{
    const char *p = at < x->len ? memchr(x->text + at, c, x->len - at) : NULL;
    return p ? (size_t)(p - x->text) : x->len;
}

/* From behind the mark to before the newline, or the splices before it. */
static size_t scan_line_comment(const kds_lexer *x, size_t at)
{
    for (; at < x->len && x->text[at] != '\n'; at++) {
        size_t next = x->text[at] == '\\' ? skip_splices(x, at) : at;
        if (next == at)
            continue;
        if (next >= x->len || x->text[next] == '\n')
            break;
        at = next - 1;
    }
    return at;
}

/* `at` is at the slash. A line comment ends before its newline; a block comment after its slash. */
static size_t scan_comment(kds_lexer *x, size_t at, bool block)
{
    size_t next = at + 1;
    look(x, &next);
    at = next + 1;
    if (!block)
        return scan_line_comment(x, at);
    while ((at = find(x, at, '*')) < x->len) {
        next = ++at;
        if (look(x, &next) == '/')
            return next + 1;
    }
    x->unterminated = true;
    return x->len;
}

/* Whether an operator of several characters begins, or goes on, with `c`. */
static bool begins_punct(unsigned char c)
{
    switch (c) {
    case '<':
    case '>':
    case '-':
    case '.':
    case ':':
    case '+':
    case '=':
    case '!':
    case '&':
    case '|':
    case '*':
    case '/':
    case '%':
    case '^':
    case '#':
        return true;
    default:
        return false;
    }
}

static bool continues_punct(unsigned char c)
{
    return begins_punct(c) && c != '!' && c != '/' && c != '%' && c != '^';
}

static size_t scan_punct(const kds_lexer *x, size_t at)
{
    unsigned char seen[3] = {0};
    size_t ends[3];
    size_t next = at;
    for (int i = 0; i < 3; i++) {
        seen[i] = look(x, &next);
        ends[i] = next + 1;
        if (i ? !continues_punct(seen[i]) : !begins_punct(seen[i]))
            break;
        next++;
    }
    if (!begins_punct(seen[0]) || !continues_punct(seen[1]))
        return ends[0];
    for (const char *const *p = puncts; *p; p++) {
        const char *s = *p;
        if ((unsigned char)s[0] == seen[0] && (unsigned char)s[1] == seen[1] &&
            (!s[2] || (unsigned char)s[2] == seen[2]))
            return ends[s[2] ? 2 : 1];
    }
    return ends[0];
}

/* True if the word [start, end) is one of the NULL-terminated list. */
static bool word_in(const kds_lexer *x, size_t start, size_t end, const char *const *list)
{
    kds_token t = {.kind = KDS_TOKEN_IDENTIFIER, .offset = start, .len = end - start};
    for (; *list; list++) {
        if (kds_token_is(x, t, *list))
            return true;
    }
    return false;
}

/* A word, or the literal that it is the prefix of. A suffix of a literal belongs to it. */
static size_t scan_word_or_literal(kds_lexer *x, size_t at, kds_token_kind *kind)
{
    static const char *const raw[] = {"R", "u8R", "uR", "UR", "LR", NULL};
    static const char *const plain[] = {"u8", "u", "U", "L", NULL};
    size_t end = scan_word(x, at), quote = end, done;
    unsigned char c = look(x, &quote);
    *kind = KDS_TOKEN_IDENTIFIER;
    if (end - at > 64 || (c != '"' && c != '\''))
        return end;
    if (c == '"' && word_in(x, at, end, raw) && (done = scan_raw(x, quote + 1))) {
        *kind = KDS_TOKEN_STRING;
        return scan_word(x, done);
    }
    if (!word_in(x, at, end, plain))
        return end;
    *kind = c == '"' ? KDS_TOKEN_STRING : KDS_TOKEN_CHAR;
    return scan_word(x, scan_quoted(x, quote + 1, c));
}

/* One token that is no directive; `at` is at its first byte. Returns its end. */
static size_t scan_token(kds_lexer *x, size_t at, kds_token_kind *kind)
{
    size_t next = at, after;
    unsigned char c = look(x, &next), d;
    after = next + 1;
    d = look(x, &after);
    if (word_start(c))
        return scan_word_or_literal(x, at, kind);
    if (digit(c) || (c == '.' && digit(d))) {
        *kind = KDS_TOKEN_NUMBER;
        return scan_number(x, at);
    }
    if (c == '"' || c == '\'') {
        *kind = c == '"' ? KDS_TOKEN_STRING : KDS_TOKEN_CHAR;
        return scan_word(x, scan_quoted(x, next + 1, c));
    }
    if (c == '/' && (d == '/' || d == '*')) {
        *kind = KDS_TOKEN_COMMENT;
        return scan_comment(x, next, d == '*');
    }
    *kind = KDS_TOKEN_PUNCT;
    return scan_punct(x, at);
}

static size_t skip_blanks(const kds_lexer *x, size_t at)
{
    size_t next = at;
    while (blank(look(x, &next)))
        at = ++next;
    return next;
}

/* End of the file name of an #include that starts at or after `at`; `at` itself if there is none.
 * Quotes and slashes in it mean nothing. */
static size_t scan_header_name(const kds_lexer *x, size_t at, size_t *start)
{
    size_t next = skip_blanks(x, at);
    unsigned char c = look(x, &next), close = c == '<' ? '>' : '"';
    *start = next;
    if (c != '<' && c != '"')
        return at;
    for (next++;;) {
        c = look(x, &next);
        if (c == 0 || c == '\n')
            return at;
        next++;
        if (c == close)
            return next;
    }
}

static bool names_header(const kds_lexer *x, size_t start, size_t end)
{
    static const char *const includes[] = {"include", "include_next", "import", "embed", NULL};
    return word_in(x, start, end, includes);
}

/* Past the '#' or '%:' that starts a directive. */
static size_t scan_mark(const kds_lexer *x, size_t at)
{
    size_t end = at + 1;
    if (x->text[at] == '%') {
        look(x, &end);
        end++;
    }
    return end;
}

/* A directive from its '#': to the first newline that is outside comments and raw strings. */
static size_t scan_directive(kds_lexer *x, size_t at)
{
    kds_token_kind kind;
    size_t end = scan_mark(x, at), header;
    for (bool first = true;;) {
        size_t next = skip_blanks(x, end);
        unsigned char c = look(x, &next);
        if (c == 0 || c == '\n')
            return end;
        end = scan_token(x, next, &kind);
        if (first && kind == KDS_TOKEN_IDENTIFIER && names_header(x, next, end))
            end = scan_header_name(x, end, &header);
        first = first && kind == KDS_TOKEN_COMMENT;
    }
}

void kds_lexer_init(kds_lexer *x, const char *text, size_t len)
{
    *x = (kds_lexer){.text = text, .len = len, .line = 1, .line_start = true};
}

static void count_lines(kds_lexer *x, size_t end)
{
    const char *p = x->text + x->at, *to = x->text + end;
    x->at = end;
    if (to - p == 1) {
        x->line += *p == '\n';
        return;
    }
    if (to - p > 16) {
        while ((p = memchr(p, '\n', (size_t)(to - p)))) {
            x->line++;
            p++;
        }
        return;
    }
    for (; p < to; p++)
        x->line += *p == '\n';
}

kds_token kds_lexer_next(kds_lexer *x)
{
    size_t at = x->at;
    unsigned char c;
    while ((c = look(x, &at)) && (blank(c) || c == '\n')) {
        x->line_start = x->line_start || c == '\n';
        at++;
    }
    count_lines(x, at);
    kds_token t = {.kind = KDS_TOKEN_END, .offset = at, .line = x->line};
    if (!c)
        return t;
    size_t after = at + 1, end;
    if (x->line_start && (c == '#' || (c == '%' && look(x, &after) == ':'))) {
        t.kind = KDS_TOKEN_DIRECTIVE;
        end = scan_directive(x, at);
    } else {
        end = scan_token(x, at, &t.kind);
        x->line_start = x->line_start && t.kind == KDS_TOKEN_COMMENT;
    }
    t.len = end - at;
    count_lines(x, end);
    return t;
}

/* Crosses text that holds no directive, up to a place between two tokens. Gives where it met what
 * only tokens can tell: a quote, a backslash, a comment, what may be a directive. */
static size_t skip_code(kds_lexer *x)
{
    static const bool told[256] = {
        ['\0'] = true, ['\t'] = true, ['\n'] = true, ['\v'] = true, ['\f'] = true,
        ['\r'] = true, [' '] = true,  ['"'] = true,  ['#'] = true,  ['%'] = true,
        ['\''] = true, ['/'] = true,  ['\\'] = true};
    const unsigned char *text = (const unsigned char *)x->text;
    size_t at = x->at;
    bool line_start = x->line_start;
    while (at < x->len) {
        unsigned char c = text[at], next = at + 1 < x->len ? text[at + 1] : '\0';
        if (!told[c]) {
            for (line_start = false; at < x->len && !told[text[at]]; at++)
                ;
            continue;
        }
        if (c == '\n' || c == ' ') {
            line_start = line_start || c == '\n';
            x->line += c == '\n';
            x->line_start = line_start;
            x->at = at + 1;
        } else if (c == '"' || c == '\'' || c == '\\' ||
                   (c == '/' && (next == '/' || next == '*' || next == '\\')) ||
                   ((c == '#' || c == '%') && line_start))
            return at;
        else
            line_start = line_start && (blank(c) || c == 0);
        at++;
    }
    return at;
}

kds_token kds_lexer_next_directive(kds_lexer *x)
{
    for (;;) {
        size_t until = skip_code(x);
        kds_token t;
        do
            t = kds_lexer_next(x);
        while (t.kind != KDS_TOKEN_END && t.kind != KDS_TOKEN_DIRECTIVE && x->at <= until);
        if (t.kind == KDS_TOKEN_END || t.kind == KDS_TOKEN_DIRECTIVE)
            return t;
    }
}

bool kds_token_is(const kds_lexer *x, kds_token t, const char *s)
{
    kds_lexer part = {.text = x->text, .len = t.offset + t.len};
    size_t at = t.offset;
    while (at < part.len && x->text[at] == *s && *s != '\\' && *s != '\0') {
        at++;
        s++;
    }
    at = skip_splices(&part, at);
    for (; *s; s++) {
        if (at >= part.len || x->text[at] != *s)
            return false;
        at = skip_splices(&part, at + 1);
    }
    return at >= part.len;
}

enum { BEFORE_MARK, BEFORE_WORD, BEFORE_HEADER, IN_REST };

void kds_inner_init(kds_inner *in, const char *text, kds_token directive)
{
    *in = (kds_inner){.x = {.text = text,
                            .len = directive.offset + directive.len,
                            .at = directive.offset,
                            .line = directive.line}};
}

kds_token kds_inner_next(kds_inner *in)
{
    size_t start, end;
    in->header = false;
    if (in->state == BEFORE_HEADER) {
        in->state = IN_REST;
        end = scan_header_name(&in->x, in->x.at, &start);
        if (end != in->x.at) {
            kds_token name = {KDS_TOKEN_STRING, start, end - start, in->x.line};
            in->header = true;
            count_lines(&in->x, end);
            return name;
        }
    }
    if (in->state == BEFORE_MARK) {
        kds_token mark = {KDS_TOKEN_PUNCT, in->x.at, 0, in->x.line};
        in->state = BEFORE_WORD;
        end = scan_mark(&in->x, in->x.at);
        mark.len = end - mark.offset;
        count_lines(&in->x, end);
        return mark;
    }
    kds_token t = kds_lexer_next(&in->x);
    if (in->state == BEFORE_WORD && t.kind != KDS_TOKEN_COMMENT)
        in->state =
            t.kind == KDS_TOKEN_IDENTIFIER && names_header(&in->x, t.offset, t.offset + t.len)
                ? BEFORE_HEADER
                : IN_REST;
    return t;
}

kds_token kds_inner_next_code(kds_inner *in)
{
    kds_token t;
    do
        t = kds_inner_next(in);
    while (t.kind == KDS_TOKEN_COMMENT);
    return t;
}
