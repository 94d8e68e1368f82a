/* The grammar of `launch`: KERNEL(arguments) and then grid, block, smem, cluster, cooperative in
 * any order. */
#include "eval/plan_parts.h"
#include "search/base/text.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_MAX (KDS_PLAN_ARGS + 1)
#define KERNEL_CAP 512

typedef struct piece {
    const char *text;
    size_t len; /* 0: nothing between two commas */
} piece;

static const char *skip(const char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    return s;
}

/* Cuts [s, end) at its outer commas. Returns the number of pieces, PIECES_MAX if there are more
 * than fit. */
static int split(const char *s, const char *end, piece out[PIECES_MAX])
{
    int count = 0, depth = 0;
    s = skip(s);
    if (s >= end)
        return 0;
    for (const char *start = s;; s++) {
        if (s < end && (*s == '(' || *s == '['))
            depth++;
        else if (s < end && (*s == ')' || *s == ']'))
            depth--;
        if (s < end && (*s != ',' || depth > 0))
            continue;
        if (count == PIECES_MAX)
            return count;
        const char *from = start, *to = s;
        while (from < to && isspace((unsigned char)*from))
            from++;
        while (to > from && isspace((unsigned char)to[-1]))
            to--;
        out[count++] = (piece){from, (size_t)(to - from)};
        if (s >= end)
            return count;
        start = s + 1;
    }
}

static bool tight(char c)
{
    return strchr("<>(),:", c) != NULL;
}

/* Copies a name expression with white space normalised: none beside brackets, commas and colons but
 * one blank after a comma, so that one kernel has one spelling. */
static char *normalize_kernel(const char *s, size_t len)
{
    kds_buf b;
    kds_buf_init(&b, KERNEL_CAP * 2);
    for (size_t i = 0; i < len; i++) {
        char last = b.len ? b.data[b.len - 1] : '(';
        if (isspace((unsigned char)s[i])) {
            size_t next = i;
            while (next < len && isspace((unsigned char)s[next]))
                next++;
            if (last != ' ' && !tight(last) && next < len && !tight(s[next]))
                kds_buf_putc(&b, ' ');
            i = next - 1;
            continue;
        }
        kds_buf_putc(&b, s[i]);
        if (s[i] == ',')
            kds_buf_putc(&b, ' ');
        if (s[i] == ',')
            while (i + 1 < len && isspace((unsigned char)s[i + 1]))
                i++;
    }
    char *text = kds_buf_take(&b);
    kds_buf_free(&b);
    return text;
}

/* End of the template arguments that open at `s`; NULL if they never close or hold what no name
 * has. */
static const char *template_end(const char *s)
{
    int angles = 0, depth = 0;
    for (; *s; s++) {
        if (!isalnum((unsigned char)*s) && !isspace((unsigned char)*s) &&
            !strchr("_<>(),:+-*/%&|!~=?.'", *s))
            return NULL;
        depth += *s == '(';
        depth -= *s == ')';
        if (depth < 0)
            return NULL;
        if (depth > 0)
            continue;
        angles += *s == '<';
        angles -= *s == '>';
        if (angles == 0)
            return s + 1;
    }
    return NULL;
}

/* Reads the name expression; returns what follows it. */
static const char *read_kernel(kds_plan_parser *x, kds_part_launch *l, const char *s)
{
    const char *start = s, *end;
    for (;;) {
        size_t n = kds_plan_identifier(s);
        if (n == 0) {
            kds_plan_wrong(x, "expected the name of a __global__ function, as in "
                              "'launch rows<VEC>(x, y, M) grid(M) block(256)'");
            return NULL;
        }
        s = end = s + n;
        s = skip(s);
        if (s[0] != ':' || s[1] != ':')
            break;
        s = skip(s + 2);
    }
    if (*s == '<') {
        if (s[1] == '<' && s[2] == '<') {
            kds_plan_wrong(
                x, "'<<<' is not used here; write grid(...) block(...) after the arguments");
            return NULL;
        }
        if (!(end = template_end(s))) {
            kds_plan_wrong(
                x, "the template arguments that open with '<' are not closed by '>' or hold "
                   "a character that has no place there; comparisons need parentheses");
            return NULL;
        }
        s = skip(end);
    }
    if ((size_t)(end - start) > KERNEL_CAP) {
        kds_plan_wrong(x, "the kernel's name is longer than %d characters", KERNEL_CAP);
        return NULL;
    }
    if (!(l->kernel = normalize_kernel(start, (size_t)(end - start)))) {
        x->bad = kds_fail(x->e, KDS_NO_MEMORY, "out of memory");
        return NULL;
    }
    return s;
}

static bool read_arg(kds_plan_parser *x, kds_part_arg *arg, piece text)
{
    char name[64];
    arg->kind = KDS_ARG_VALUE;
    if (text.len < sizeof name && kds_plan_identifier(text.text) == text.len) {
        memcpy(name, text.text, text.len);
        name[text.len] = '\0';
        if ((arg->index = kds_task_buffer(x->p->task, name)) >= 0) {
            arg->kind = KDS_ARG_BUFFER;
            return true;
        }
        if ((arg->index = kds_plan_find_scratch(x, name)) >= 0) {
            arg->kind = KDS_ARG_SCRATCH;
            return true;
        }
        arg->index = 0;
    }
    return kds_plan_expr(x, "an argument", text.text, text.len, &arg->value);
}

/* Reads "(a, b, ...)" at *s and moves past it. */
static bool read_args(kds_plan_parser *x, kds_part_launch *l, const char **s)
{
    piece pieces[PIECES_MAX];
    const char *end = **s == '(' ? kds_plan_closing(*s) : NULL;
    if (!end)
        return kds_plan_wrong(x, **s == '(' ? "the '(' after the kernel's name is never closed"
                                            : "expected '(arguments)' after the kernel's name");
    int count = split(*s + 1, end, pieces);
    if (count > KDS_PLAN_ARGS)
        return kds_plan_wrong(x, "more than %d arguments", KDS_PLAN_ARGS);
    for (int i = 0; i < count; i++) {
        if (pieces[i].len == 0)
            return kds_plan_wrong(x, "argument %d is empty", i + 1);
        l->arg_count = i + 1;
        if (!read_arg(x, &l->args[i], pieces[i]))
            return false;
    }
    *s = skip(end + 1);
    return true;
}

/* One clause with one to `most` expressions, such as grid(a, b). */
static bool read_clause(kds_plan_parser *x, const char *word, const char **s, kds_expr **out,
                        int most)
{
    piece pieces[PIECES_MAX];
    char what[24];
    snprintf(what, sizeof what, "%s(...)", word);
    if (out[0])
        return kds_plan_wrong(x, "%s stands there twice", what);
    const char *end = **s == '(' ? kds_plan_closing(*s) : NULL;
    if (!end)
        return kds_plan_wrong(x, "expected '(' and ')' after '%s'", word);
    int count = split(*s + 1, end, pieces);
    if (count < 1 || count > most)
        return kds_plan_wrong(x, "%s takes %s, found %d", what,
                              most == 1 ? "one expression" : "one to three expressions", count);
    for (int i = 0; i < count; i++) {
        if (pieces[i].len == 0)
            return kds_plan_wrong(x, "expression %d of %s is empty", i + 1, what);
        if (!kds_plan_expr(x, what, pieces[i].text, pieces[i].len, &out[i]))
            return false;
    }
    *s = skip(end + 1);
    return true;
}

static bool read_clauses(kds_plan_parser *x, kds_part_launch *l, const char *s)
{
    static const char *const words[] = {"grid", "block", "smem", "cluster", "cooperative", NULL};
    while (*s) {
        char word[32];
        size_t n = kds_plan_identifier(s);
        snprintf(word, sizeof word, "%.*s", (int)(n < 31 ? n : 31), s);
        const char *after = skip(s + n);
        bool good;
        if (strcmp(word, "grid") == 0) {
            good = read_clause(x, word, &after, l->grid, 3);
        } else if (strcmp(word, "block") == 0) {
            good = read_clause(x, word, &after, l->block, 3);
        } else if (strcmp(word, "cluster") == 0) {
            good = read_clause(x, word, &after, l->cluster, 3);
        } else if (strcmp(word, "smem") == 0) {
            good = read_clause(x, word, &after, &l->shared, 1);
        } else if (strcmp(word, "cooperative") == 0) {
            good = !l->cooperative || kds_plan_wrong(x, "cooperative stands there twice");
            l->cooperative = true;
        } else {
            const char *near = kds_text_suggest(word, words);
            return kds_plan_wrong(x,
                                  "unexpected '%.20s' after the arguments%s%s%s; grid(...) "
                                  "block(...) smem(...) cluster(...) cooperative may stand there",
                                  n ? word : s, near ? "; did you mean '" : "", near ? near : "",
                                  near ? "'?" : "");
        }
        if (!good)
            return false;
        s = after;
    }
    if (!l->grid[0])
        return kds_plan_wrong(
            x, "grid(...) is missing: the number of blocks, as in grid(ceil_div(M, 4))");
    if (!l->block[0])
        return kds_plan_wrong(x, "block(...) is missing: the number of threads, as in block(256)");
    return true;
}

bool kds_plan_read_launch(kds_plan_parser *x, const char *body)
{
    if (x->p->launch_count == KDS_PLAN_LAUNCHES)
        return kds_plan_wrong(x, "more than %d launches", KDS_PLAN_LAUNCHES);
    x->part->launch = x->p->launch_count;
    kds_part_launch *l = &x->p->launches[x->p->launch_count++];
    const char *s = read_kernel(x, l, body);
    return s && read_args(x, l, &s) && read_clauses(x, l, s);
}
