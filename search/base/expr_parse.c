/* A Pratt parser from expression text to stack code. Recursion is bounded: parentheses, arguments,
 * prefix operators and the branches of ?: count against KDS_EXPR_DEPTH_CAP, and between two of them
 * there is at most one call for each level of precedence. Every step remembers the text that it
 * came from, so that an evaluation error can quote it. */
#include "search/base/expr_code.h"
#include "search/base/text.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum token_kind {
    TOKEN_INT,
    TOKEN_INT_MIN, /* 9223372036854775808, good only after a minus */
    TOKEN_DOUBLE,
    TOKEN_NAME,
    TOKEN_OPERATOR,
    TOKEN_END
} token_kind;

typedef struct token {
    token_kind kind;
    size_t start, end;
    kds_value value;
} token;

typedef struct parser {
    kds_expr *x;
    size_t len;
    token now;       /* the token to be read next */
    size_t last_end; /* of the token read last */
    int depth;       /* nesting */
    int step_room, name_room;
    kds_code bad;
    kds_err *e;
} parser;

typedef struct operator_entry {
    const char *text;
    int precedence;
    kds_expr_op op;
} operator_entry;

/* Longer spellings before their prefixes. */
static const operator_entry operators[] = {
    {"||", 1, KDS_EXPR_OR},         {"&&", 2, KDS_EXPR_AND},
    {"==", 5, KDS_EXPR_EQUAL},      {"!=", 5, KDS_EXPR_NOT_EQUAL},
    {"<=", 6, KDS_EXPR_LESS_EQUAL}, {">=", 6, KDS_EXPR_GREATER_EQUAL},
    {"<<", 7, KDS_EXPR_SHIFT_LEFT}, {">>", 7, KDS_EXPR_SHIFT_RIGHT},
    {"|", 3, KDS_EXPR_BIT_OR},      {"&", 4, KDS_EXPR_BIT_AND},
    {"<", 6, KDS_EXPR_LESS},        {">", 6, KDS_EXPR_GREATER},
    {"+", 8, KDS_EXPR_ADD},         {"-", 8, KDS_EXPR_SUBTRACT},
    {"*", 9, KDS_EXPR_MULTIPLY},    {"/", 9, KDS_EXPR_DIVIDE},
    {"%", 9, KDS_EXPR_REMAINDER},   {NULL, 0, KDS_EXPR_PUSH},
};

typedef struct function_entry {
    const char *name;
    int arguments; /* 1, 2, or -2 for two or more */
    kds_expr_op op;
} function_entry;

static const function_entry functions[] = {
    {"min", -2, KDS_EXPR_MIN},          {"max", -2, KDS_EXPR_MAX},
    {"abs", 1, KDS_EXPR_ABS},           {"ceil_div", 2, KDS_EXPR_CEIL_DIV},
    {"align_up", 2, KDS_EXPR_ALIGN_UP}, {"next_pow2", 1, KDS_EXPR_NEXT_POW2},
    {"log2", 1, KDS_EXPR_LOG2},         {NULL, 0, KDS_EXPR_PUSH},
};

static size_t parse_expression(parser *p);

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name(char c)
{
    return is_name_start(c) || is_digit(c) || c == '.';
}

/* Records the first error; what follows it is ignored. */
#define refuse(p, ...)                                                                             \
    do {                                                                                           \
        if (!(p)->bad)                                                                             \
            (p)->bad = kds_fail((p)->e, KDS_INVALID, __VA_ARGS__);                                 \
        (p)->now.kind = TOKEN_END;                                                                 \
    } while (0)

/* Reads digits from `at`; the value is put into the token. Text is NUL-terminated, so peeking one
 * byte past what was seen is safe. */
static void read_number(parser *p, size_t at)
{
    const char *s = p->x->text + at;
    size_t n = 0;
    bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X'), real = false;
    if (hex) {
        n = 2 + strspn(s + 2, "0123456789abcdefABCDEF");
    } else {
        n = strspn(s, "0123456789");
        if (s[n] == '.') {
            real = true;
            n++;
            n += strspn(s + n, "0123456789");
        }
        if (s[n] == 'e' || s[n] == 'E') {
            size_t sign = s[n + 1] == '+' || s[n + 1] == '-';
            real = true;
            if (is_digit(s[n + 1 + sign]))
                n += 1 + sign + strspn(s + n + 1 + sign, "0123456789");
        }
    }
    p->now.end = at + n;
    if (is_name(s[n]) || (hex && n == 2)) {
        refuse(p, "malformed number '%.*s' at column %zu", (int)n + 1, s, at + 1);
        return;
    }
    if (!hex && !real && n > 1 && s[0] == '0') {
        refuse(p, "number '%.*s' at column %zu starts with 0; there is no octal", (int)n, s,
               at + 1);
        return;
    }
    errno = 0;
    char *end;
    if (real) {
        double d = strtod(s, &end);
        p->now.kind = TOKEN_DOUBLE;
        p->now.value = kds_value_double(d);
        if (!isfinite(d) || end != s + n)
            refuse(p, "number '%.*s' at column %zu is out of range", (int)n, s, at + 1);
        return;
    }
    unsigned long long u = strtoull(s, &end, hex ? 16 : 10);
    p->now.kind = TOKEN_INT;
    p->now.value = kds_value_int((int64_t)u);
    if (errno == 0 && u == UINT64_C(1) << 63 && !hex)
        p->now.kind = TOKEN_INT_MIN;
    else if (errno != 0 || u > INT64_MAX)
        refuse(p, "number '%.*s' at column %zu does not fit 64 bits", (int)n, s, at + 1);
}

static void advance(parser *p)
{
    const char *text = p->x->text;
    size_t at = p->now.end;
    p->last_end = at;
    while (at < p->len && strchr(" \t\r\n", text[at]) && text[at] != '\0')
        at++;
    p->now = (token){.kind = TOKEN_OPERATOR, .start = at, .end = at + 1};
    if (p->bad || at >= p->len) {
        p->now.kind = TOKEN_END;
        p->now.end = at;
    } else if (is_digit(text[at]) || (text[at] == '.' && is_digit(text[at + 1]))) {
        read_number(p, at);
    } else if (is_name_start(text[at])) {
        while (is_name(text[p->now.end]))
            p->now.end++;
        p->now.kind = TOKEN_NAME;
    } else {
        for (const operator_entry *o = operators; o->text; o++) {
            if (strncmp(text + at, o->text, strlen(o->text)) == 0) {
                p->now.end = at + strlen(o->text);
                return;
            }
        }
        if (text[at] <= ' ' || text[at] > '~')
            refuse(p, "unexpected byte 0x%02x at column %zu", (unsigned char)text[at], at + 1);
        else if (!strchr("!?:(),", text[at]))
            refuse(p, "unexpected character '%c' at column %zu", text[at], at + 1);
    }
}

static bool now_is(const parser *p, const char *s)
{
    return p->now.kind == TOKEN_OPERATOR && p->now.end - p->now.start == strlen(s) &&
           memcmp(p->x->text + p->now.start, s, strlen(s)) == 0;
}

static void expected(parser *p, const char *what)
{
    int len = (int)(p->now.end - p->now.start);
    if (p->now.kind == TOKEN_END)
        refuse(p, "expected %s at column %zu, found the end", what, p->now.start + 1);
    else
        refuse(p, "expected %s at column %zu, found '%.*s'", what, p->now.start + 1,
               len > 60 ? 60 : len, p->x->text + p->now.start);
}

static void expect(parser *p, const char *s)
{
    char what[8] = {'\'', s[0], '\'', '\0'};
    if (now_is(p, s))
        advance(p);
    else
        expected(p, what);
}

static bool enter(parser *p)
{
    if (++p->depth > KDS_EXPR_DEPTH_CAP)
        refuse(p, "nested deeper than %d at column %zu", KDS_EXPR_DEPTH_CAP, p->now.start + 1);
    return !p->bad;
}

static void *grow(parser *p, void *items, int count, int *room, size_t size)
{
    if (count < *room)
        return items;
    int wider = *room ? *room * 2 : 16;
    void *moved = realloc(items, (size_t)wider * size);
    if (!moved) {
        if (!p->bad)
            p->bad = kds_fail(p->e, KDS_NO_MEMORY, "out of memory");
        p->now.kind = TOKEN_END;
        return NULL;
    }
    *room = wider;
    return moved;
}

/* Appends a step for the subexpression [start, last_end); returns its index. After an error nothing
 * is appended and the index is 0. */
static int emit(parser *p, kds_expr_op op, size_t column, size_t start)
{
    kds_expr *x = p->x;
    if (p->bad)
        return 0;
    kds_expr_step *steps = grow(p, x->steps, x->step_count, &p->step_room, sizeof *steps);
    if (!steps)
        return 0;
    x->steps = steps;
    steps[x->step_count] = (kds_expr_step){.op = op,
                                           .column = (uint16_t)column,
                                           .start = (uint16_t)start,
                                           .end = (uint16_t)p->last_end};
    return x->step_count++;
}

static void land(parser *p, int step)
{
    if (!p->bad)
        p->x->steps[step].target = p->x->step_count;
}

static int intern(parser *p, size_t start, size_t end)
{
    kds_expr *x = p->x;
    size_t len = end - start;
    for (int i = 0; i < x->name_count; i++) {
        if (strlen(x->names[i]) == len && memcmp(x->names[i], x->text + start, len) == 0)
            return i;
    }
    char **names = grow(p, x->names, x->name_count, &p->name_room, sizeof *names);
    if (!names)
        return 0;
    x->names = names;
    names[x->name_count] = strndup(x->text + start, len);
    if (!names[x->name_count]) {
        if (!p->bad)
            p->bad = kds_fail(p->e, KDS_NO_MEMORY, "out of memory");
        return 0;
    }
    return x->name_count++;
}

static const function_entry *find_function(const char *name, size_t len)
{
    for (const function_entry *f = functions; f->name; f++) {
        if (strlen(f->name) == len && memcmp(f->name, name, len) == 0)
            return f;
    }
    return NULL;
}

static void unknown_function(parser *p, size_t start, size_t end)
{
    char name[64];
    const char *known[sizeof functions / sizeof *functions];
    int len = (int)(end - start < sizeof name - 1 ? end - start : sizeof name - 1);
    memcpy(name, p->x->text + start, (size_t)len);
    name[len] = '\0';
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        known[i] = functions[i].name;
    const char *near = kds_text_suggest(name, known);
    if (near)
        refuse(p, "unknown function '%s' at column %zu; did you mean '%s'?", name, start + 1, near);
    else
        refuse(p,
               "unknown function '%s' at column %zu; there are min, max, abs, ceil_div, align_up, "
               "next_pow2, log2",
               name, start + 1);
}

/* Arguments of two-operand functions are folded pairwise, so min and max take any number. */
static void parse_call(parser *p, const function_entry *f, size_t start)
{
    int count = 0;
    expect(p, "(");
    if (!enter(p))
        return;
    do {
        parse_expression(p);
        if (++count > 1 && f->arguments != 1)
            emit(p, f->op, start, start);
    } while (now_is(p, ",") && (advance(p), !p->bad));
    expect(p, ")");
    p->depth--;
    if (f->arguments > 0 ? count != f->arguments : count < -f->arguments)
        refuse(p, "%s at column %zu takes %d argument%s%s, not %d", f->name, start + 1,
               abs(f->arguments), f->arguments == 1 ? "" : "s", f->arguments < 0 ? " or more" : "",
               count);
    if (f->arguments == 1)
        emit(p, f->op, start, start);
    else if (!p->bad)
        p->x->steps[p->x->step_count - 1].end = (uint16_t)p->last_end;
}

static void parse_name(parser *p)
{
    size_t start = p->now.start, end = p->now.end;
    const function_entry *f = find_function(p->x->text + start, end - start);
    advance(p);
    if (f) {
        parse_call(p, f, start);
        return;
    }
    if (now_is(p, "(")) {
        unknown_function(p, start, end);
        return;
    }
    int index = intern(p, start, end);
    int step = emit(p, KDS_EXPR_NAME, start, start);
    if (!p->bad)
        p->x->steps[step].target = index;
}

/* An operand with its prefix operators. Returns where it starts. */
static size_t parse_operand(parser *p)
{
    size_t start = p->now.start;
    token t = p->now;
    if (now_is(p, "-") || now_is(p, "!")) {
        kds_expr_op op = now_is(p, "-") ? KDS_EXPR_NEGATE : KDS_EXPR_NOT;
        advance(p);
        if (op == KDS_EXPR_NEGATE && p->now.kind == TOKEN_INT_MIN) {
            advance(p);
            int step = emit(p, KDS_EXPR_PUSH, start, start);
            if (!p->bad)
                p->x->steps[step].value = kds_value_int(INT64_MIN);
            return start;
        }
        if (enter(p)) {
            parse_operand(p);
            emit(p, op, start, start);
        }
        p->depth--;
    } else if (now_is(p, "(")) {
        advance(p);
        if (enter(p)) {
            parse_expression(p);
            expect(p, ")");
        }
        p->depth--;
    } else if (t.kind == TOKEN_INT || t.kind == TOKEN_DOUBLE) {
        advance(p);
        int step = emit(p, KDS_EXPR_PUSH, start, start);
        if (!p->bad)
            p->x->steps[step].value = t.value;
    } else if (t.kind == TOKEN_NAME) {
        parse_name(p);
    } else if (t.kind == TOKEN_INT_MIN) {
        refuse(p, "number '9223372036854775808' at column %zu does not fit 64 bits", start + 1);
    } else {
        expected(p, "a value");
    }
    return start;
}

static const operator_entry *infix(const parser *p)
{
    for (const operator_entry *o = operators; o->text; o++) {
        if (now_is(p, o->text))
            return o;
    }
    return NULL;
}

static size_t parse_binary(parser *p, int precedence)
{
    size_t start = parse_operand(p);
    const operator_entry *o;
    while (!p->bad && (o = infix(p)) && o->precedence >= precedence) {
        size_t column = p->now.start;
        bool lazy = o->op == KDS_EXPR_AND || o->op == KDS_EXPR_OR;
        int jump = lazy ? emit(p, o->op, column, start) : 0;
        advance(p);
        parse_binary(p, o->precedence + 1);
        emit(p, lazy ? KDS_EXPR_TRUTH : o->op, column, start);
        if (lazy)
            land(p, jump);
    }
    return start;
}

/* A whole expression: ?: binds weakest and to the right. */
static size_t parse_expression(parser *p)
{
    size_t start = parse_binary(p, 1);
    if (p->bad || !now_is(p, "?"))
        return start;
    size_t column = p->now.start;
    advance(p);
    if (enter(p)) {
        int otherwise = emit(p, KDS_EXPR_BRANCH_FALSE, column, start);
        parse_expression(p);
        expect(p, ":");
        int end = emit(p, KDS_EXPR_JUMP, column, start);
        land(p, otherwise);
        parse_expression(p);
        land(p, end);
    }
    p->depth--;
    return start;
}

kds_code kds_expr_parse(kds_expr **out, const char *text, size_t len, kds_err *e)
{
    if (len > KDS_EXPR_TEXT_CAP)
        return kds_fail(e, KDS_INVALID, "an expression of %zu bytes; at most %d are allowed", len,
                        KDS_EXPR_TEXT_CAP);
    kds_expr *x = calloc(1, sizeof *x);
    if (!x || !(x->text = malloc(len + 1))) {
        kds_expr_free(x);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    memcpy(x->text, text, len);
    x->text[len] = '\0';
    parser p = {.x = x, .len = len, .e = e};
    advance(&p);
    if (!p.bad && p.now.kind == TOKEN_END)
        refuse(&p, "empty expression");
    parse_expression(&p);
    if (!p.bad && p.now.kind != TOKEN_END)
        expected(&p, "an operator or the end");
    if (p.bad) {
        kds_expr_free(x);
        return p.bad;
    }
    *out = x;
    return KDS_OK;
}

void kds_expr_free(kds_expr *x)
{
    if (!x)
        return;
    for (int i = 0; i < x->name_count; i++)
        free(x->names[i]);
    free(x->names);
    free(x->steps);
    free(x->text);
    free(x);
}

const char *kds_expr_text(const kds_expr *x)
{
    return x->text;
}

int kds_expr_name_count(const kds_expr *x)
{
    return x->name_count;
}

const char *kds_expr_name(const kds_expr *x, int i)
{
    return x->names[i];
}
