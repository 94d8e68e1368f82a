/* Loading the notes and choosing among them. Loading is strict, because a rule with a wrong name
 * would silently never show its note; a test loads the embedded ones. */
#include "prompts/knowledge.h"
#include "search/base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One file while it is read. */
typedef struct reader {
    const char *file;
    const char *at, *end;
    int line;
    kds_err *e;
} reader;

static kds_code KDS_PRINTF(2, 3) fail(const reader *r, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return kds_fail(r->e, KDS_INVALID, "knowledge/%s:%d: %s", r->file, r->line, text);
}

/* The next line without its end; false at the end of the file. */
static bool next_line(reader *r, const char **line, size_t *len)
{
    if (r->at == r->end)
        return false;
    const char *end = memchr(r->at, '\n', (size_t)(r->end - r->at));
    *line = r->at;
    *len = (size_t)((end ? end : r->end) - r->at);
    r->at = end ? end + 1 : r->end;
    r->line++;
    return true;
}

/* Starts the value of a key, or goes on with the last one (an indented line). */
static kds_code take_line(reader *r, kds_buf *const values[3], int *key, const char *line,
                          size_t len)
{
    static const char *const keys[3] = {"title: ", "when: ", "evidence: "};
    if (len > 0 && line[0] == ' ' && *key >= 0) {
        size_t skip = strspn(line, " ");
        kds_buf_putc(values[*key], ' ');
        kds_buf_add(values[*key], line + skip, len > skip ? len - skip : 0);
        return KDS_OK;
    }
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(keys[i]);
        if (len <= n || memcmp(line, keys[i], n) != 0)
            continue;
        if (values[i]->len)
            return fail(r, "'%.*s' is there twice", (int)n - 2, keys[i]);
        kds_buf_add(values[i], line + n, len - n);
        *key = i;
        return KDS_OK;
    }
    return fail(r, "'%.*s' is no key of a note; title, when and evidence are",
                (int)(len < 40 ? len : 40), line);
}

/* Everything between the two lines of dashes. */
static kds_code read_front(reader *r, kds_buf *const values[3])
{
    const char *line;
    size_t len;
    int key = -1;
    kds_code code = KDS_OK;
    if (!next_line(r, &line, &len) || len != 3 || memcmp(line, "---", 3) != 0)
        return fail(r, "a note begins with a line of ---");
    while (code == KDS_OK) {
        if (!next_line(r, &line, &len))
            return fail(r, "the second line of --- is missing");
        if (len == 3 && memcmp(line, "---", 3) == 0)
            break;
        code = take_line(r, values, &key, line, len);
    }
    static const char *const names[3] = {"title", "when", "evidence"};
    for (int i = 0; i < 3 && code == KDS_OK; i++) {
        code = kds_buf_check(values[i], names[i], NULL) == KDS_OK
                   ? KDS_OK
                   : fail(r, "'%s' is longer than %zu bytes", names[i], values[i]->cap);
        if (code == KDS_OK && !values[i]->len)
            code = fail(r, "'%s' is missing", names[i]);
    }
    return code;
}

static bool is_derived(const char *name)
{
    const kds_knowledge_name *n = NULL;
    for (int i = 0; (n = kds_knowledge_name_at(i)) != NULL && strcmp(n->name, name) != 0;)
        i++;
    return n != NULL;
}

static kds_code read_rule(reader *r, kds_knowledge_note *n, const kds_buf *text,
                          bool (*known)(const char *))
{
    kds_err why = {0};
    if (kds_expr_parse(&n->when, text->data, text->len, &why) != KDS_OK)
        return fail(r, "the rule: %s", why.message);
    n->names = kds_expr_name_count(n->when);
    for (int i = 0; i < n->names; i++) {
        const char *name = kds_expr_name(n->when, i);
        if (!is_derived(name) && !known(name))
            return fail(r, "the rule uses '%s', which no report has", name);
    }
    return KDS_OK;
}

/* The body without blank lines around it. */
static kds_code read_body(reader *r, kds_knowledge_note *n)
{
    while (r->at < r->end && *r->at == '\n')
        r->at++;
    while (r->end > r->at && r->end[-1] == '\n')
        r->end--;
    size_t len = (size_t)(r->end - r->at);
    if (len == 0)
        return fail(r, "the note says nothing");
    if (len > KDS_KNOWLEDGE_BODY)
        return fail(r, "the note has %zu bytes; at most %d are shown", len, KDS_KNOWLEDGE_BODY);
    n->body = strndup(r->at, len);
    return n->body ? KDS_OK : kds_fail(r->e, KDS_NO_MEMORY, "out of memory");
}

static kds_code read_note(kds_knowledge *k, const kds_template *file, bool (*known)(const char *),
                          kds_err *e)
{
    const char *text = (const char *)file->text;
    reader r = {.file = file->name, .at = text, .end = text + file->len, .e = e};
    kds_buf title, when, evidence;
    kds_buf_init(&title, KDS_KNOWLEDGE_TITLE);
    kds_buf_init(&when, KDS_EXPR_TEXT_CAP);
    kds_buf_init(&evidence, KDS_KNOWLEDGE_EVIDENCE);
    kds_knowledge_note *n = &k->notes[k->count];
    kds_code code = KDS_OK;
    if (!kds_text_is_utf8(text, file->len) || memchr(text, '\0', file->len))
        code = fail(&r, "not UTF-8");
    if (code == KDS_OK)
        code = read_front(&r, (kds_buf *const[]){&title, &when, &evidence});
    for (int i = 0; i < k->count && code == KDS_OK; i++)
        if (strcmp(k->notes[i].title, title.data) == 0)
            code = fail(&r, "'%s' is the title of %s too", title.data, k->notes[i].name);
    k->count++; /* what is filled in from here on is freed with the others */
    if (code == KDS_OK)
        code = read_rule(&r, n, &when, known);
    if (code == KDS_OK)
        code = read_body(&r, n);
    n->name = strndup(file->name, strcspn(file->name, "."));
    n->title = strdup(title.data);
    n->evidence = strdup(evidence.data);
    if (code == KDS_OK && (!n->name || !n->title || !n->evidence))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_buf_free(&title);
    kds_buf_free(&when);
    kds_buf_free(&evidence);
    return code;
}

static int more_specific(const void *a, const void *b)
{
    const kds_knowledge_note *x = a, *y = b;
    return x->names != y->names ? y->names - x->names : strcmp(x->name, y->name);
}

kds_code kds_knowledge_load(kds_knowledge **out, const kds_template *files,
                            bool (*known)(const char *name), kds_err *e)
{
    kds_knowledge *k = calloc(1, sizeof *k);
    if (!k)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_code code = KDS_OK;
    for (int i = 0; files[i].name && code == KDS_OK; i++)
        code = i < KDS_KNOWLEDGE_NOTES
                   ? read_note(k, &files[i], known, e)
                   : kds_fail(e, KDS_INVALID, "more than %d notes", KDS_KNOWLEDGE_NOTES);
    if (code != KDS_OK) {
        kds_knowledge_free(k);
        return code;
    }
    qsort(k->notes, (size_t)k->count, sizeof *k->notes, more_specific);
    *out = k;
    return KDS_OK;
}

void kds_knowledge_free(kds_knowledge *k)
{
    if (!k)
        return;
    for (int i = 0; i < k->count; i++) {
        free(k->notes[i].name);
        free(k->notes[i].title);
        free(k->notes[i].evidence);
        free(k->notes[i].body);
        kds_expr_free(k->notes[i].when);
    }
    free(k);
}

/* What a rule is evaluated with; keeps a text of the values that it asked for. */
typedef struct lookup {
    const cJSON *report;
    int capability;
    kds_buf used;
    char missing[100];
} lookup;

static bool look_up(void *user, const char *name, kds_value *out)
{
    lookup *l = user;
    double value = 0;
    if (!kds_knowledge_value(l->report, l->capability, name, &value)) {
        snprintf(l->missing, sizeof l->missing, "%s", name);
        return false;
    }
    kds_buf_printf(&l->used, "%s%s = %.4g%s", l->used.len ? ", " : "", name, value,
                   kds_knowledge_is_simulated(l->report, name) ? " (simulated)" : "");
    *out = kds_value_double(value);
    return true;
}

bool kds_knowledge_fits(const kds_knowledge_note *n, const cJSON *report, int capability, char *why,
                        size_t size)
{
    lookup l = {.report = report, .capability = capability};
    kds_err err = {0};
    bool fits = false;
    kds_buf_init(&l.used, 4096);
    kds_code code = kds_expr_eval_bool(n->when, look_up, &l, &fits, &err);
    if (code == KDS_OK)
        snprintf(why, size, "%s", l.used.data);
    else if (l.missing[0])
        snprintf(why, size, "%s is not known", l.missing);
    else
        snprintf(why, size, "%s", err.message);
    kds_buf_free(&l.used);
    return code == KDS_OK && fits;
}

int kds_knowledge_render(const kds_knowledge *k, const cJSON *report, int capability, size_t cap,
                         uint64_t draw, kds_buf *out)
{
    char why[400];
    kds_buf text;
    int fit[KDS_KNOWLEDGE_NOTES], count = 0;
    kds_buf_init(&text, cap);
    for (int i = 0; i < k->count; i++) {
        const kds_knowledge_note *n = &k->notes[i];
        if (!kds_knowledge_fits(n, report, capability, why, sizeof why))
            continue;
        size_t before = text.len;
        kds_buf_printf(&text, "%s## %s\n\n%s\n\nSeen: %s", before ? "\n\n" : "", n->title, n->body,
                       n->evidence);
        if (text.bad != KDS_OK) { /* a shorter one may still fit */
            kds_buf keep;
            kds_buf_init(&keep, cap);
            kds_buf_add(&keep, text.data, before);
            kds_buf_free(&text);
            text = keep;
            continue;
        }
        fit[count++] = i;
    }
    kds_buf_add(out, text.data, text.len);
    if (count > 1)
        kds_buf_printf(out, "\n\nOther answers to this are under way; begin with: %s.",
                       k->notes[fit[draw % (uint64_t)count]].title);
    kds_buf_free(&text);
    return count;
}
