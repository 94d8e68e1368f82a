/* The grammar of one pragma: from the text behind its keyword to a part of the plan. The text comes
 * with comments removed and continuations joined. */
#include "eval/plan_parts.h"
#include "search/base/text.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *skip(const char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    return s;
}

/* What stands at `s`, for messages; "the end of the line" if nothing does. */
static const char *found(const char *s, char out[48])
{
    if (!*s)
        snprintf(out, 48, "the end of the line");
    else
        snprintf(out, 48, "'%.30s'%s", s, strlen(s) > 30 ? "..." : "");
    return out;
}

/* Reads the name that a pragma declares into the part; returns what follows, NULL if it is wrong.
 */
static const char *read_name(kds_plan_parser *x, const char *what, const char *s)
{
    char text[48];
    size_t n = kds_plan_identifier(s);
    if (n == 0) {
        kds_plan_wrong(x, "expected the name of the %s, found %s", what, found(s, text));
        return NULL;
    }
    if (n >= sizeof x->part->name) {
        kds_plan_wrong(x, "the name of the %s is longer than 63 characters", what);
        return NULL;
    }
    char name[sizeof x->part->name];
    memcpy(name, s, n);
    name[n] = '\0';
    if (x->part->kind != KDS_PART_VARIANT && !kds_plan_check_new_name(x, what, name))
        return NULL;
    memcpy(x->part->name, name, n + 1);
    return skip(s + n);
}

static bool expect_end(kds_plan_parser *x, const char *s, const char *after)
{
    char text[48];
    s = skip(s);
    return !*s || kds_plan_wrong(x, "unexpected %s after %s", found(s, text), after);
}

/* define NAME = expr */
static bool read_define(kds_plan_parser *x, const char *s)
{
    char text[48];
    if (x->p->define_count == KDS_PLAN_DEFINES)
        return kds_plan_wrong(x, "more than %d defines", KDS_PLAN_DEFINES);
    if (!(s = read_name(x, "define", s)))
        return false;
    if (*s != '=')
        return kds_plan_wrong(x, "expected '= expression' after the name, found %s",
                              found(s, text));
    s = skip(s + 1);
    x->p->define_count++;
    return kds_plan_expr(x, "the value", s, strlen(s), &x->part->value);
}

/* scratch [zero] NAME : dtype[expr] */
static bool read_scratch(kds_plan_parser *x, const char *s)
{
    static const char *const types[] = {"f32", "f16", "bf16", "i32", "i64", "u8", "f64", NULL};
    char text[48], type[16];
    if (x->p->scratch_count == KDS_PLAN_SCRATCH)
        return kds_plan_wrong(x, "more than %d scratch buffers", KDS_PLAN_SCRATCH);
    size_t n = kds_plan_identifier(s);
    if (n == 4 && memcmp(s, "zero", 4) == 0 && kds_plan_identifier(skip(s + 4))) {
        x->part->zero = true;
        s = skip(s + 4);
    }
    if (!(s = read_name(x, "scratch", s)))
        return false;
    if (*s != ':')
        return kds_plan_wrong(x, "expected ': type[count]' after the name, found %s",
                              found(s, text));
    s = skip(s + 1);
    n = kds_plan_identifier(s);
    snprintf(type, sizeof type, "%.*s", (int)(n < 15 ? n : 15), s);
    if (!kds_dtype_parse(type, &x->part->dtype)) {
        const char *near = kds_text_suggest(type, types);
        return kds_plan_wrong(
            x, "unknown element type '%s'%s%s%s; one of f32 f16 bf16 i32 i64 u8 f64", type,
            near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    s = skip(s + n);
    const char *end = *s == '[' ? kds_plan_closing(s) : NULL;
    if (!end)
        return kds_plan_wrong(x, "expected '[number of elements]' after %s, found %s", type,
                              found(s, text));
    x->p->scratch_count++;
    return kds_plan_expr(x, "the number of elements", s + 1, (size_t)(end - s - 1),
                         &x->part->value) &&
           expect_end(x, end + 1, "the scratch");
}

/* variant NAME [when(expr)] */
static bool read_variant(kds_plan_parser *x, const char *s)
{
    char text[48];
    if (x->p->variant_count == KDS_PLAN_VARIANTS)
        return kds_plan_wrong(x, "more than %d variants", KDS_PLAN_VARIANTS);
    if (x->variant == KDS_PLAN_SHARED && x->p->launch_count > 0)
        return kds_plan_wrong(x,
                              "launches stand before the first variant: they would always run, and "
                              "this variant never; put them behind a 'variant' line of their own, "
                              "after the variants with a condition");
    if (!(s = read_name(x, "variant", s)))
        return false;
    for (const kds_part *other = x->p->parts; other < x->part; other++) {
        if (other->kind != KDS_PART_VARIANT)
            continue;
        if (strcmp(other->name, x->part->name) == 0)
            return kds_plan_wrong(x, "there is a variant '%s' already, at line %d", other->name,
                                  other->line);
        if (!other->value)
            return kds_plan_wrong(
                x,
                "the variant '%s' before it has no when(...) and always holds, so "
                "this one would never run; put the unconditional variant last",
                other->name);
    }
    x->variant = KDS_PLAN_SHARED; /* its condition sees what is common to all */
    if (*s) {
        const char *open = skip(s + 4), *end;
        if (kds_plan_identifier(s) != 4 || memcmp(s, "when", 4) != 0 || *open != '(' ||
            !(end = kds_plan_closing(open)))
            return kds_plan_wrong(x, "expected 'when(condition)' after the name, found %s",
                                  found(s, text));
        if (!kds_plan_expr(x, "when(...)", open + 1, (size_t)(end - open - 1), &x->part->value) ||
            !expect_end(x, end + 1, "when(...)"))
            return false;
    }
    x->variant = x->part->variant = x->p->variant_count++;
    return true;
}

static bool known_keyword(const kds_pragma *g, kds_part_kind *kind)
{
    static const struct {
        const char *word;
        kds_part_kind kind;
    } words[] = {{"variant", KDS_PART_VARIANT},
                 {"define", KDS_PART_DEFINE},
                 {"scratch", KDS_PART_SCRATCH},
                 {"launch", KDS_PART_LAUNCH}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i].word) == g->keyword_len &&
            memcmp(words[i].word, g->keyword, g->keyword_len) == 0) {
            *kind = words[i].kind;
            return true;
        }
    }
    return false;
}

bool kds_plan_read(kds_plan_parser *x, const kds_pragma *pragma)
{
    static const char *const keywords[] = {"tune", "scratch", "variant", "define", "launch", NULL};
    kds_part overflow = {.line = pragma->line};
    bool full = x->p->part_count == KDS_PLAN_ITEMS;
    x->part = full ? &overflow : &x->p->parts[x->p->part_count];
    *x->part = (kds_part){.line = pragma->line, .variant = x->variant};
    snprintf(x->shown, sizeof x->shown, "#pragma kda %.*s %.*s%s", (int)pragma->keyword_len,
             pragma->keyword, 60, pragma->body, strlen(pragma->body) > 60 ? "..." : "");
    if (!known_keyword(pragma, &x->part->kind)) {
        char word[32];
        snprintf(word, sizeof word, "%.*s", (int)pragma->keyword_len, pragma->keyword);
        const char *near = kds_text_suggest(word, keywords);
        return kds_plan_wrong(x,
                              "unknown keyword '%s'%s%s%s; one of tune, scratch, variant, define, "
                              "launch",
                              word, near ? "; did you mean '" : "", near ? near : "",
                              near ? "'?" : "");
    }
    if (full)
        return kds_plan_wrong(x, "more than %d lines of plan", KDS_PLAN_ITEMS);
    x->p->part_count++;
    const char *body = skip(pragma->body);
    switch (x->part->kind) {
    case KDS_PART_VARIANT:
        return read_variant(x, body);
    case KDS_PART_DEFINE:
        return read_define(x, body);
    case KDS_PART_SCRATCH:
        return read_scratch(x, body);
    case KDS_PART_LAUNCH:
        return kds_plan_read_launch(x, body);
    }
    return false;
}
