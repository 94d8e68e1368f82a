/* A plan as a whole: finding its pragmas (its own or the parent's), checking them together, and
 * sorting the rows into compilations by the definitions that they need. */
#include "eval/plan.h"
#include "eval/plan_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_exprs(kds_expr *const x[3])
{
    for (int i = 0; i < 3; i++)
        kds_expr_free(x[i]);
}

void kds_plan_free(kds_plan *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->part_count; i++)
        kds_expr_free(p->parts[i].value);
    for (int i = 0; i < p->launch_count; i++) {
        kds_part_launch *l = &p->launches[i];
        free(l->kernel);
        for (int j = 0; j < l->arg_count; j++)
            kds_expr_free(l->args[j].value);
        free_exprs(l->grid);
        free_exprs(l->block);
        free_exprs(l->cluster);
        kds_expr_free(l->shared);
    }
    for (int i = 0; i < p->group_count; i++) {
        for (int j = 0; j < p->groups[i].define_count; j++)
            free((void *)(uintptr_t)p->groups[i].defines[j]);
    }
    free(p->launches);
    free(p->row_group);
    free(p);
}

int kds_plan_tunable_count(const kds_plan *p)
{
    return p->tunable_count;
}

const kds_tunable *kds_plan_tunable(const kds_plan *p, int i)
{
    return &p->tunables[i];
}

bool kds_plan_is_inherited(const kds_plan *p)
{
    return p->inherited;
}

int kds_plan_launch_count(const kds_plan *p)
{
    return p->launch_count;
}

int kds_plan_variant_count(const kds_plan *p)
{
    return p->variant_count;
}

int kds_plan_scratch_count(const kds_plan *p)
{
    return p->scratch_count;
}

int kds_plan_group_count(const kds_plan *p)
{
    return p->group_count;
}

const kds_compile_group *kds_plan_group(const kds_plan *p, int i)
{
    return &p->groups[i];
}

/* An error about a source's pragmas becomes a finding; "line N" in its words gives the line. */
static void pragma_finding(kds_finding *f, const kds_err *e)
{
    int line = 0;
    const char *at = strstr(e->message, "line ");
    if (at && sscanf(at, "line %d", &line) != 1)
        line = 0;
    kds_finding_set(f, KDS_VERDICT_PLAN_INVALID, "plan", line, "%s", e->message);
}

static kds_code find_pragmas(kds_pragmas *out, const char *text, size_t len, kds_finding *f,
                             kds_err *e)
{
    kds_err inner;
    kds_code bad = kds_pragmas_find(out, text, len, &inner);
    if (bad == KDS_TOO_LARGE || bad == KDS_INVALID) {
        pragma_finding(f, &inner);
        return KDS_OK;
    }
    return bad == KDS_OK ? KDS_OK : kds_fail(e, bad, "%s", inner.message);
}

static bool keyword_is(const kds_pragma *g, const char *word)
{
    return strlen(word) == g->keyword_len && memcmp(word, g->keyword, g->keyword_len) == 0;
}

static const kds_pragma *find_keyword(const kds_pragmas *g, const char *word)
{
    for (int i = 0; i < g->count; i++) {
        if (keyword_is(&g->items[i], word))
            return &g->items[i];
    }
    return NULL;
}

/* What a first launch line could look like: all buffers, then all scalars. */
static void no_launch(const kds_task *t, kds_finding *f)
{
    kds_buf args;
    kds_buf_init(&args, 2000);
    for (int i = 0; i < t->buffer_count; i++)
        kds_buf_printf(&args, "%s%s", i ? ", " : "", t->buffers[i].name);
    for (int i = 0; i < t->scalar_count; i++)
        kds_buf_printf(&args, "%s%s", i || t->buffer_count ? ", " : "", t->scalars[i].name);
    kds_finding_set(
        f, KDS_VERDICT_PLAN_INVALID, "plan", 0,
        "the source has no '#pragma kda launch' line, so nothing would run; write one such "
        "as '#pragma kda launch my_kernel(%s) grid(%s) block(256)'",
        args.data, t->dim_count ? t->dims[0] : "1");
    kds_buf_free(&args);
}

/* Reads the tunables and checks that their names are free. */
static bool read_tunables(kds_plan_parser *x, const char *source, size_t len)
{
    kds_err inner;
    kds_tunable found[KDS_TUNABLES];
    int count = 0;
    kds_code bad = kds_tunables_find(found, &count, source, len, &inner);
    if (bad == KDS_INVALID || bad == KDS_TOO_LARGE) {
        pragma_finding(x->f, &inner);
        return false;
    }
    if (bad != KDS_OK) {
        x->bad = kds_fail(x->e, bad, "%s", inner.message);
        return false;
    }
    for (int i = 0; i < count; i++) {
        kds_part part = {.line = found[i].line, .variant = KDS_PLAN_SHARED};
        x->part = &part;
        snprintf(x->shown, sizeof x->shown, "#pragma kda tune %.63s", found[i].name);
        if (!kds_plan_check_new_name(x, "tunable", found[i].name))
            return false;
        x->p->tunables[x->p->tunable_count++] = found[i];
    }
    return true;
}

/* Every variant must have something to run. */
static bool check_variants(kds_plan_parser *x)
{
    bool runs[KDS_PLAN_VARIANTS] = {false};
    for (int i = 0; i < x->p->part_count; i++) {
        const kds_part *part = &x->p->parts[i];
        if (part->kind == KDS_PART_LAUNCH && part->variant != KDS_PLAN_SHARED)
            runs[part->variant] = true;
    }
    for (int i = 0; i < x->p->part_count; i++) {
        x->part = &x->p->parts[i];
        if (x->part->kind != KDS_PART_VARIANT || runs[x->part->variant])
            continue;
        snprintf(x->shown, sizeof x->shown, "#pragma kda variant %s", x->part->name);
        return kds_plan_wrong(x, "this variant has no launch; a variant ends where the next one "
                                 "begins");
    }
    return true;
}

static bool read_parts(kds_plan_parser *x, const kds_pragmas *pragmas)
{
    for (int i = 0; i < pragmas->count; i++) {
        if (!keyword_is(&pragmas->items[i], "tune") && !kds_plan_read(x, &pragmas->items[i]))
            return false;
    }
    return check_variants(x);
}

/* The plan's lines: the source's own, or the parent's if the source has no launch. */
static kds_code read_plan(kds_plan_parser *x, const char *source, size_t len,
                          const char *parent_source)
{
    kds_pragmas own = {0}, inherited = {0};
    const kds_pragma *stray;
    bool wrong = false;
    x->bad = find_pragmas(&own, source, len, x->f, x->e);
    if (x->bad != KDS_OK || x->f->verdict != KDS_VERDICT_OK)
        goto out;
    if (!read_tunables(x, source, len))
        goto out;
    if (find_keyword(&own, "launch") || !parent_source) {
        if (read_parts(x, &own) && x->p->launch_count == 0)
            no_launch(x->p->task, x->f);
        goto out;
    }
    for (int i = 0; i < own.count && !wrong; i++) {
        stray = &own.items[i];
        wrong = !keyword_is(stray, "tune");
        if (wrong)
            kds_finding_set(
                x->f, KDS_VERDICT_PLAN_INVALID, "plan", stray->line,
                "'#pragma kda %.*s' without any '#pragma kda launch': a source that has "
                "no launch inherits its parent's whole plan; write the launch lines too",
                (int)stray->keyword_len, stray->keyword);
    }
    if (wrong)
        goto out;
    x->bad = find_pragmas(&inherited, parent_source, strlen(parent_source), x->f, x->e);
    if (x->bad != KDS_OK || x->f->verdict != KDS_VERDICT_OK)
        goto out;
    x->p->inherited = true;
    if (read_parts(x, &inherited) && x->p->launch_count == 0)
        no_launch(x->p->task, x->f);
out:
    kds_pragmas_free(&own);
    kds_pragmas_free(&inherited);
    return x->bad;
}

static bool same_defines(const kds_compile_group *g, const char *lines)
{
    for (int i = 0; i < g->define_count; i++) {
        size_t n = strlen(g->defines[i]);
        if (strncmp(lines, g->defines[i], n) != 0 || lines[n] != '\n')
            return false;
        lines += n + 1;
    }
    return *lines == '\0';
}

/* The group with these newline-separated defines, made if there is none. */
static kds_compile_group *find_group(kds_plan_parser *x, const char *lines)
{
    kds_plan *p = x->p;
    for (int i = 0; i < p->group_count; i++) {
        if (same_defines(&p->groups[i], lines))
            return &p->groups[i];
    }
    if (p->group_count == KDS_PLAN_GROUPS) {
        kds_finding_set(
            x->f, KDS_VERDICT_PLAN_INVALID, "plan", 0,
            "the rows need more than %d compilations, because a '#pragma kda define' has "
            "too many different values; define fewer values, or pass some as arguments",
            KDS_PLAN_GROUPS);
        return NULL;
    }
    kds_compile_group *g = &p->groups[p->group_count++];
    g->hidden = true;
    for (const char *end; (end = strchr(lines, '\n')); lines = end + 1) {
        char *define = strndup(lines, (size_t)(end - lines));
        if (!define) {
            x->bad = kds_fail(x->e, KDS_NO_MEMORY, "out of memory");
            return NULL;
        }
        g->defines[g->define_count++] = define;
    }
    return g;
}

static void add_name(kds_compile_group *g, const char *name)
{
    for (int i = 0; i < g->name_count; i++) {
        if (strcmp(g->names[i], name) == 0)
            return;
    }
    g->names[g->name_count++] = name;
}

/* Binds every row once: proves the plan and finds the compilations. */
static bool bind_rows(kds_plan_parser *x)
{
    const kds_task *t = x->p->task;
    kds_binding *binding = malloc(sizeof *binding);
    x->p->row_group = calloc((size_t)t->row_count + 1, sizeof(int));
    kds_buf defines;
    kds_buf_init(&defines, 64u << 10);
    bool good = binding && x->p->row_group;
    if (!good)
        x->bad = kds_fail(x->e, KDS_NO_MEMORY, "out of memory");
    for (int r = 0; good && r < t->row_count; r++) {
        kds_buf_reset(&defines);
        x->bad = kds_plan_bind_row(x->p, r, binding, &defines, x->f, x->e);
        if (x->bad == KDS_OK)
            x->bad = kds_buf_check(&defines, "the definitions of a row", x->e);
        kds_compile_group *g = NULL;
        if (x->bad == KDS_OK && x->f->verdict == KDS_VERDICT_OK)
            g = find_group(x, defines.data);
        good = g != NULL;
        if (g && t->rows[r].set != KDS_ROWS_HELD_OUT)
            g->hidden = false;
        for (int i = 0; g && i < binding->launch_count; i++)
            add_name(g, binding->launches[i].kernel);
        if (g)
            x->p->row_group[r] = (int)(g - x->p->groups);
    }
    kds_buf_free(&defines);
    free(binding);
    return good;
}

kds_code kds_plan_parse(kds_plan **out, const kds_task *t, const char *source, size_t len,
                        const char *parent_source, kds_finding *f, kds_err *e)
{
    kds_finding_clear(f);
    kds_plan *p = calloc(1, sizeof *p);
    kds_plan_parser x = {.p = p, .f = f, .e = e, .variant = KDS_PLAN_SHARED};
    if (p)
        p->launches = calloc(KDS_PLAN_LAUNCHES, sizeof *p->launches);
    if (!p || !p->launches) {
        kds_plan_free(p);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    p->task = t;
    kds_code bad = read_plan(&x, source, len, parent_source);
    if (bad == KDS_OK && f->verdict == KDS_VERDICT_OK && !bind_rows(&x))
        bad = x.bad;
    if (bad != KDS_OK || f->verdict != KDS_VERDICT_OK) {
        kds_plan_free(p);
        p = NULL;
    }
    if (bad == KDS_OK)
        *out = p;
    return bad;
}
