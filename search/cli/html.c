/* Escaping, and tables. */
#include "search/cli/html.h"

#include "search/base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TEXT_CAP (1u << 22)

void kds_html_text(kds_buf *b, const char *text)
{
    kds_buf safe;
    kds_buf_init(&safe, TEXT_CAP);
    kds_text_escape(&safe, text, strlen(text), true);
    if (safe.bad != KDS_OK && b->bad == KDS_OK)
        b->bad = safe.bad;
    for (const char *p = safe.data; *p;) {
        size_t plain = strcspn(p, "&<>\"'");
        kds_buf_add(b, p, plain);
        p += plain;
        if (*p)
            kds_buf_printf(b, "&#%d;", (unsigned char)*p++);
    }
    kds_buf_free(&safe);
}

static void add_formatted(kds_buf *b, const char *fmt, va_list ap)
{
    char text[2001];
    (void)vsnprintf(text, sizeof text, fmt, ap);
    kds_html_text(b, text);
}

void kds_html_printf(kds_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_formatted(b, fmt, ap);
    va_end(ap);
}

static bool is_number(const kds_html_table *t, int column)
{
    return t->columns[column][0] == '>';
}

void kds_html_table_begin(kds_html_table *t, kds_buf *b, const char *const *columns)
{
    *t = (kds_html_table){.b = b, .columns = columns};
    kds_buf_puts(b, "<div class=scroll><table><thead><tr>");
    for (; columns[t->count]; t->count++) {
        bool number = is_number(t, t->count);
        kds_buf_puts(b, number ? "<th class=n>" : "<th>");
        kds_html_text(b, columns[t->count] + number);
        kds_buf_puts(b, "</th>");
    }
    kds_buf_puts(b, "</tr></thead><tbody>");
}

static void open_cell(kds_html_table *t, const char *style)
{
    if (t->next == 0)
        kds_buf_puts(t->b, "<tr>");
    kds_buf_puts(t->b, is_number(t, t->next) ? "<td class=n" : "<td");
    kds_buf_puts(t->b, style);
    kds_buf_puts(t->b, ">");
}

static void close_cell(kds_html_table *t)
{
    kds_buf_puts(t->b, "</td>");
    t->next = (t->next + 1) % t->count;
    if (t->next == 0)
        kds_buf_puts(t->b, "</tr>\n");
}

void kds_html_cell(kds_html_table *t, const char *fmt, ...)
{
    va_list ap;
    open_cell(t, "");
    va_start(ap, fmt);
    add_formatted(t->b, fmt, ap);
    va_end(ap);
    close_cell(t);
}

void kds_html_bar(kds_html_table *t, double share, const char *fmt, ...)
{
    char style[60];
    va_list ap;
    double width = isfinite(share) ? fmin(fmax(share, 0), 1) : 0;
    (void)snprintf(style, sizeof style, " style=\"--w:%.1f%%\"", 100 * width);
    open_cell(t, style);
    va_start(ap, fmt);
    add_formatted(t->b, fmt, ap);
    va_end(ap);
    close_cell(t);
}

void kds_html_table_end(kds_html_table *t)
{
    kds_buf_puts(t->b, "</tbody></table></div>\n");
}
