/* Text tables for people: columns as wide as their widest cell, numbers to the right. */
#ifndef KDS_CLI_TABLE_H
#define KDS_CLI_TABLE_H

#include "search/base/json.h"
#include <stdio.h>

#define KDS_TABLE_COLUMNS 12

typedef struct kds_table kds_table;

/* `columns`: titles, NULL-terminated; a title that begins with '>' is right-aligned. NULL: out of
 * memory. */
kds_table *kds_table_create(const char *const *columns);
void kds_table_free(kds_table *t);
/* Adds the next cell; text is escaped for terminals. Rows fill up column by column. */
void kds_table_cell(kds_table *t, const char *fmt, ...) KDS_PRINTF(2, 3);
/* The same with text that is cut to `most` bytes and then ends with "...". */
void kds_table_text(kds_table *t, size_t most, const char *text);
void kds_table_print(const kds_table *t, FILE *out);

#endif
