/* The tables of campaign.db. What the columns mean is said in schema.c. */
#ifndef KDS_ARCHIVE_SCHEMA_H
#define KDS_ARCHIVE_SCHEMA_H

#include "archive/sql.h"

/* Creates every table and index in an empty database. */
KDS_MUST_USE kds_code kds_schema_create(kds_ledger *l, kds_err *e);

/* A table that the fold computes. `key` lists its primary key in order, separated by ", ". */
typedef struct kds_derived_table {
    const char *name, *key;
    int key_columns; /* they are the first columns of the table */
} kds_derived_table;
/* Ends with name NULL. */
const kds_derived_table *kds_schema_derived(void);

#endif
