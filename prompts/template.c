/* Filling templates in one pass: a section that is left out is read for its tags but not written,
 * so that mistakes in it are found all the same. */
#include "prompts/template.h"

#include <string.h>

#define DEPTH_CAP 4
#define NAME_CAP 64

typedef struct renderer {
    kds_buf *out;
    const char *name, *text;
    size_t len, at;
    const kds_field *fields;
    int field_count;
    const kds_field *open[DEPTH_CAP]; /* sections */
    int depth, hidden;                /* hidden: open sections whose field is empty */
    kds_err *e;
} renderer;

static const kds_template *find_in(const kds_template *t, const char *name)
{
    while (t && t->name && strcmp(t->name, name) != 0)
        t++;
    return t && t->name ? t : NULL;
}

const kds_template *kds_template_find(const kds_template *set, const char *name)
{
    const kds_template *own = find_in(set, name);
    return own ? own : find_in(kds_templates, name);
}

static int line_of(const renderer *r, size_t at)
{
    int line = 1;
    for (size_t i = 0; i < at; i++)
        line += r->text[i] == '\n';
    return line;
}

static void emit(renderer *r, const char *text, size_t len)
{
    if (r->hidden == 0)
        kds_buf_add(r->out, text, len);
}

/* After a section's tag: a line that holds nothing else disappears. */
static void skip_line_end(renderer *r, size_t tag)
{
    bool starts_line = tag == 0 || r->text[tag - 1] == '\n';
    if (starts_line && r->at < r->len && r->text[r->at] == '\n')
        r->at++;
}

static kds_code open_section(renderer *r, const kds_field *f, size_t tag)
{
    if (r->depth == DEPTH_CAP)
        return kds_fail(r->e, KDS_INVALID, "%s:%d: sections nested deeper than %d", r->name,
                        line_of(r, tag), DEPTH_CAP);
    r->open[r->depth++] = f;
    r->hidden += f->len == 0;
    skip_line_end(r, tag);
    return KDS_OK;
}

static kds_code close_section(renderer *r, const kds_field *f, size_t tag)
{
    if (r->depth == 0 || r->open[r->depth - 1] != f)
        return kds_fail(r->e, KDS_INVALID, "%s:%d: {{/%s}} closes a section that is not open",
                        r->name, line_of(r, tag), f->name);
    r->depth--;
    r->hidden -= f->len == 0;
    skip_line_end(r, tag);
    return KDS_OK;
}

/* Handles the tag at r->at. */
static kds_code tag(renderer *r)
{
    size_t start = r->at, from = start + 2;
    const char *end = memmem(r->text + from, r->len - from, "}}", 2);
    size_t n = end ? (size_t)(end - r->text) - from : 0;
    if (!end || n == 0 || n > NAME_CAP)
        return kds_fail(r->e, KDS_INVALID, "%s:%d: '{{' without a name and '}}'", r->name,
                        line_of(r, start));
    char kind = r->text[from] == '#' || r->text[from] == '/' ? r->text[from] : '\0';
    const char *name = r->text + from + (kind != '\0');
    n -= kind != '\0';
    r->at = (size_t)(end - r->text) + 2;
    for (int i = 0; i < r->field_count; i++) {
        const kds_field *f = &r->fields[i];
        if (strlen(f->name) != n || memcmp(f->name, name, n) != 0)
            continue;
        if (kind == '#')
            return open_section(r, f, start);
        if (kind == '/')
            return close_section(r, f, start);
        emit(r, f->text ? f->text : "", f->len);
        return KDS_OK;
    }
    return kds_fail(r->e, KDS_INVALID, "%s:%d: unknown placeholder {{%.*s}}", r->name,
                    line_of(r, start), (int)n, name);
}

kds_code kds_template_render(kds_buf *out, const char *name, const char *text, size_t len,
                             const kds_field *fields, int count, kds_err *e)
{
    renderer r = {.out = out,
                  .name = name,
                  .text = text,
                  .len = len,
                  .fields = fields,
                  .field_count = count,
                  .e = e};
    while (r.at < len) {
        const char *next = memmem(text + r.at, len - r.at, "{{", 2);
        size_t upto = next ? (size_t)(next - text) : len;
        emit(&r, text + r.at, upto - r.at);
        r.at = upto;
        if (next) {
            kds_code code = tag(&r);
            if (code != KDS_OK)
                return code;
        }
    }
    if (r.depth > 0)
        return kds_fail(e, KDS_INVALID, "%s: section {{#%s}} is never closed", name,
                        r.open[r.depth - 1]->name);
    return kds_buf_check(out, name, e);
}
