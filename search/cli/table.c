/* Cells are kept until printing, when the widths are known. */
#include "search/cli/table.h"

#include "search/base/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct kds_table {
    const char *titles[KDS_TABLE_COLUMNS];
    int columns;
    char **cells;
    size_t count, room;
};

kds_table *kds_table_create(const char *const *columns)
{
    kds_table *t = calloc(1, sizeof *t);
    for (int i = 0; t && columns[i] && i < KDS_TABLE_COLUMNS; i++)
        t->titles[t->columns++] = columns[i];
    return t;
}

void kds_table_free(kds_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i]);
    free(t->cells);
    free(t);
}

void kds_table_cell(kds_table *t, const char *fmt, ...)
{
    char text[400];
    kds_buf safe;
    va_list ap;
    if (!t)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    kds_buf_init(&safe, 4096);
    kds_text_escape(&safe, text, strlen(text), false);
    if (t->count == t->room) {
        size_t room = t->room ? t->room * 2 : 64;
        char **more = realloc(t->cells, room * sizeof *more);
        if (more) {
            t->cells = more;
            t->room = room;
        }
    }
    char *cell = kds_buf_take(&safe);
    if (cell && t->count < t->room)
        t->cells[t->count++] = cell;
    else
        free(cell);
    kds_buf_free(&safe);
}

void kds_table_text(kds_table *t, size_t most, const char *text)
{
    char cut[400];
    kds_text_escape_into(cut, most + 1 < sizeof cut ? most + 1 : sizeof cut, text, strlen(text),
                         false);
    kds_table_cell(t, "%s", cut);
}

/* Columns on the screen: characters, not bytes. */
static int width_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += (*text & 0xc0) != 0x80;
    return n;
}

/* *gap: blanks that are owed before the next visible text, so that no line ends with any. */
static void print_cell(FILE *out, const char *text, int width, bool right, int *gap)
{
    int own = width_of(text);
    *gap += right ? width - own : 0;
    if (own) {
        fprintf(out, "%*s%s", *gap, "", text);
        *gap = 0;
    }
    *gap += (right ? 0 : width - own) + 2;
}

void kds_table_print(const kds_table *t, FILE *out)
{
    int width[KDS_TABLE_COLUMNS] = {0}, gap = 0;
    if (!t)
        return;
    for (int c = 0; c < t->columns; c++)
        width[c] = width_of(t->titles[c]) - (t->titles[c][0] == '>');
    for (size_t i = 0; i < t->count; i++) {
        int w = width_of(t->cells[i]), c = (int)(i % (size_t)t->columns);
        width[c] = w > width[c] ? w : width[c];
    }
    for (int c = 0; c < t->columns; c++) {
        bool right = t->titles[c][0] == '>';
        print_cell(out, t->titles[c] + right, width[c], right, &gap);
    }
    fprintf(out, "\n");
    for (size_t i = 0; i < t->count; i++) {
        int c = (int)(i % (size_t)t->columns);
        gap = c ? gap : 0;
        print_cell(out, t->cells[i], width[c], t->titles[c][0] == '>', &gap);
        if (c + 1 == t->columns)
            fprintf(out, "\n");
    }
}
