/* One event being applied to the derived tables: for apply.c only. */
#ifndef KDS_ARCHIVE_FOLD_H
#define KDS_ARCHIVE_FOLD_H

#include "archive/sql.h"

typedef struct kds_fold_event {
    kds_ledger *ledger;
    const kds_ledger_event *event;
    cJSON *body;
    kds_err *e;
    kds_code code;  /* the first error; KDS_PROTOCOL if the event is malformed */
    char *texts[4]; /* printed values, freed at the end */
    int text_count;
} kds_fold_event;

/* Reports what is wrong with the value of `key`. */
void kds_fold_malformed(kds_fold_event *f, const char *key, const char *why);
/* Values of the body. A null is an absent value; an absent one is an error if `need`. */
int64_t kds_fold_int(kds_fold_event *f, const char *key, bool need, int64_t fallback);
double kds_fold_real(kds_fold_event *f, const char *key, bool need); /* NaN if absent */
double kds_fold_sum(kds_fold_event *f, const char *key);             /* 0 if absent */
const char *kds_fold_text(kds_fold_event *f, const char *key, bool need, const char *fallback);
/* An id (32 digits) or a cell (16); NULL if absent. */
const char *kds_fold_hex(kds_fold_event *f, const char *key, bool need, size_t digits);
/* Any value as text: strings as they are, other values as JSON; NULL if absent. At most four. */
const char *kds_fold_any(kds_fold_event *f, const char *key);
/* Parent number `at` of the body; NULL if there is none. */
const char *kds_fold_parent(kds_fold_event *f, int at);

/* A kept statement to bind and run; run gives the number of rows changed. */
kds_query kds_fold_use(kds_fold_event *f, kds_statement which);
int kds_fold_run(kds_fold_event *f, kds_query *q);
/* Binds ?1 (and ?2) and runs. */
void kds_fold_run_plain(kds_fold_event *f, kds_statement which);
void kds_fold_run_decision(kds_fold_event *f, kds_statement which, int64_t decision);
void kds_fold_run_cost(kds_fold_event *f, kds_statement which, int64_t decision, double cost_usd);
void kds_fold_run_text(kds_fold_event *f, kds_statement which, const char *a, const char *b);

#endif
