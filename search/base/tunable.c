/* Tunables: reading the `#pragma kda tune` lines of a source, and writing them with other values in
 * force. */
#include "search/base/lex_inner.h"
#include "search/base/text.h"
#include <string.h>

/* Fails with the line and the token that was not expected. */
static kds_code refuse_token(const kds_inner *in, kds_token t, int line, const char *expected,
                             kds_err *e)
{
    int shown = t.len > 40 ? 40 : (int)t.len;
    if (t.kind == KDS_TOKEN_END)
        return kds_fail(e, KDS_INVALID, "line %d: tune: expected %s, found the end of the line",
                        line, expected);
    return kds_fail(e, KDS_INVALID, "line %d: tune: expected %s, found '%.*s'", line, expected,
                    shown, in->x.text + t.offset);
}

static kds_code read_name(kds_inner *in, kds_tunable *u, kds_err *e)
{
    kds_token t = kds_inner_next_code(in);
    if (t.kind != KDS_TOKEN_IDENTIFIER)
        return refuse_token(in, t, u->line, "the name of a macro", e);
    if (t.len >= sizeof u->name || memchr(in->x.text + t.offset, '\\', t.len))
        return kds_fail(
            e, KDS_INVALID, "line %d: tune: bad name '%.*s'; at most %zu letters, digits and _",
            u->line, t.len > 80 ? 80 : (int)t.len, in->x.text + t.offset, sizeof u->name - 1);
    memcpy(u->name, in->x.text + t.offset, t.len);
    u->name[t.len] = '\0';
    for (size_t i = 0; i < t.len; i++) {
        if (u->name[i] == '$' || (unsigned char)u->name[i] >= 0x80)
            return kds_fail(e, KDS_INVALID,
                            "line %d: tune: bad name '%s'; letters, digits and _ only", u->line,
                            u->name);
    }
    return KDS_OK;
}

/* One value at `t`: an integer with or without a minus. */
static kds_code read_value(kds_inner *in, kds_tunable *line, kds_err *e)
{
    kds_tunable *u = line;
    kds_token t = kds_inner_next_code(in);
    char digits[40];
    int64_t value;
    bool minus = kds_token_is(&in->x, t, "-");
    if (minus)
        t = kds_inner_next_code(in);
    if (t.kind != KDS_TOKEN_NUMBER)
        return refuse_token(in, t, u->line, "an integer", e);
    digits[0] = '-';
    if (t.len < sizeof digits - 1) {
        memcpy(digits + 1, in->x.text + t.offset, t.len);
        digits[t.len + 1] = '\0';
    }
    if (t.len >= sizeof digits - 1 || !kds_text_parse_i64(minus ? digits : digits + 1, &value))
        return refuse_token(in, t, u->line, "a decimal integer of at most 64 bits", e);
    for (int i = 0; i < u->count; i++) {
        if (u->values[i] == value)
            return kds_fail(e, KDS_INVALID, "line %d: tune %s: the value %lld is listed twice",
                            u->line, u->name, (long long)value);
    }
    if (u->count == KDS_TUNE_VALUES)
        return kds_fail(e, KDS_INVALID, "line %d: tune %s: more than %d values", u->line, u->name,
                        KDS_TUNE_VALUES);
    u->values[u->count++] = value;
    return KDS_OK;
}

/* Reads the rest of a tune directive: NAME = value, value, ... */
static kds_code read_line(kds_inner *in, int number, kds_tunable *line, kds_err *e)
{
    *line = (kds_tunable){.line = number};
    kds_code code = read_name(in, line, e);
    if (code)
        return code;
    kds_token t = kds_inner_next_code(in);
    if (!kds_token_is(&in->x, t, "="))
        return refuse_token(in, t, number, "'=' after the name", e);
    do {
        code = read_value(in, line, e);
        if (code)
            return code;
        t = kds_inner_next_code(in);
    } while (kds_token_is(&in->x, t, ","));
    return t.kind == KDS_TOKEN_END ? KDS_OK : refuse_token(in, t, number, "',' or the end", e);
}

/* Moves to the next tune line. *found is false at the end of the text. */
static kds_code next_line(kds_lexer *x, kds_tunable *line, bool *found, kds_err *e)
{
    kds_token t, keyword;
    *found = false;
    while ((t = kds_lexer_next_directive(x)).kind != KDS_TOKEN_END) {
        kds_inner in;
        kds_inner_init(&in, x->text, t);
        if (!kds_inner_pragma(&in, &keyword) || keyword.len == 0 ||
            !kds_token_is(&in.x, keyword, "tune"))
            continue;
        *found = true;
        return read_line(&in, t.line, line, e);
    }
    return KDS_OK;
}

static int find_name(const kds_tunable *tunables, int count, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(tunables[i].name, name) == 0)
            return i;
    }
    return -1;
}

kds_code kds_tunables_find(kds_tunable out[KDS_TUNABLES], int *count, const char *text, size_t len,
                           kds_err *e)
{
    kds_lexer x;
    kds_tunable line;
    kds_tunable read[KDS_TUNABLES];
    bool found;
    int n = 0;
    kds_lexer_init(&x, text, len);
    for (;;) {
        kds_code code = next_line(&x, &line, &found, e);
        if (code)
            return code;
        if (!found)
            break;
        int twin = find_name(read, n, line.name);
        if (twin >= 0)
            return kds_fail(e, KDS_INVALID, "line %d: tune %s: already declared in line %d",
                            line.line, line.name, read[twin].line);
        if (n == KDS_TUNABLES)
            return kds_fail(e, KDS_INVALID, "line %d: tune %s: more than %d tunables", line.line,
                            line.name, KDS_TUNABLES);
        read[n++] = line;
    }
    memcpy(out, read, (size_t)n * sizeof *read);
    *count = n;
    return KDS_OK;
}

/* The bytes of a tune directive from its first value to its last. */
static void values_place(const char *text, const kds_pragma *p, size_t *start, size_t *end)
{
    kds_lexer x;
    kds_token t;
    bool after = false;
    kds_lexer_init(&x, text, p->offset + p->len);
    x.at = p->offset;
    x.line_start = false;
    *start = *end = p->offset + p->len;
    while ((t = kds_lexer_next(&x)).kind != KDS_TOKEN_END) {
        x.line_start = false;
        if (t.kind == KDS_TOKEN_COMMENT)
            continue;
        if (after && *start == p->offset + p->len)
            *start = t.offset;
        if (after)
            *end = t.offset + t.len;
        after = after || kds_token_is(&x, t, "=");
    }
}

kds_code kds_tune_form_read(kds_tune_form *out, const char *text, size_t len, int count, kds_err *e)
{
    kds_pragmas pragmas = {0};
    kds_tune_form f = {.text = text, .len = len};
    kds_code code = kds_pragmas_find(&pragmas, text, len, e);
    if (code)
        return code;
    for (int i = 0; i < pragmas.count && f.count < count && f.count < KDS_TUNABLES; i++) {
        const kds_pragma *p = &pragmas.items[i];
        if (p->keyword_len != 4 || memcmp(p->keyword, "tune", 4) != 0)
            continue;
        values_place(text, p, &f.holes[f.count].start, &f.holes[f.count].end);
        f.count++;
    }
    kds_pragmas_free(&pragmas);
    *out = f;
    return KDS_OK;
}

/* As "%lld" would; values are written for every point that is looked at. */
static void add_value(kds_buf *out, int64_t value)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do
        digits[--at] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        digits[--at] = '-';
    kds_buf_add(out, digits + at, sizeof digits - at);
}

void kds_tune_form_write(kds_buf *out, const kds_tune_form *f, const kds_tunable *tunables,
                         const char *between)
{
    size_t done = 0;
    for (int i = 0; i < f->count; i++) {
        kds_buf_add(out, f->text + done, f->holes[i].start - done);
        for (int v = 0; v < tunables[i].count; v++) {
            if (v)
                kds_buf_puts(out, between);
            add_value(out, tunables[i].values[v]);
        }
        done = f->holes[i].end;
    }
    kds_buf_add(out, f->text + done, f->len - done);
}

kds_code kds_tunables_write(kds_buf *out, const char *text, size_t len, const kds_tunable *tunables,
                            int count, kds_err *e)
{
    kds_tune_form f;
    kds_code code = kds_tune_form_read(&f, text, len, count, e);
    if (code)
        return code;
    kds_tune_form_write(out, &f, tunables, ", ");
    return kds_buf_check(out, "the source", e);
}

/* Insertion sort by (not the value, value). */
void kds_tunable_choose(kds_tunable *u, int64_t value)
{
    for (int i = 1; i < u->count; i++) {
        int64_t v = u->values[i];
        int k = i;
        for (; k > 0 && u->values[k - 1] != value && (v == value || u->values[k - 1] > v); k--)
            u->values[k] = u->values[k - 1];
        u->values[k] = v;
    }
}
