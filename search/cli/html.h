/* Writing HTML: markup is written by us, every text goes through here. */
#ifndef KDS_CLI_HTML_H
#define KDS_CLI_HTML_H

#include "search/base/buf.h"

/* Adds text, safe inside elements and quoted attributes. Control characters but \n and \t, bidi
 * overrides and invalid UTF-8 are spelled out, as for a terminal. */
void kds_html_text(kds_buf *b, const char *text);
/* The same of formatted text, at most 2,000 bytes. */
void kds_html_printf(kds_buf *b, const char *fmt, ...) KDS_PRINTF(2, 3);

/* A table: begin with the titles (NULL-terminated; one that begins with '>' is of numbers), cells
 * from left to right, end. */
typedef struct kds_html_table {
    kds_buf *b;
    const char *const *columns;
    int count, next;
} kds_html_table;
void kds_html_table_begin(kds_html_table *t, kds_buf *b, const char *const *columns);
void kds_html_cell(kds_html_table *t, const char *fmt, ...) KDS_PRINTF(2, 3);
/* A cell with a number and a bar of that share of the cell, from 0 to 1. */
void kds_html_bar(kds_html_table *t, double share, const char *fmt, ...) KDS_PRINTF(3, 4);
void kds_html_table_end(kds_html_table *t);

#endif
