/* A campaign on one page: what it found, how it got there, and why one may believe it. The page is
 * one HTML file without scripts that loads nothing. */
#ifndef KDS_CLI_REPORT_H
#define KDS_CLI_REPORT_H

#include "search/cli/html.h"
#include "search/cli/status.h"

typedef struct kds_report {
    kds_status s;
    const char *origin; /* of times: "measured", "modelled" */
    cJSON *best;        /* report of the best; NULL */
    kds_buf b;
    kds_code code; /* of the first section that failed */
    kds_err err;
} kds_report;

/* Gives the page. KDS_NOT_FOUND: nothing has been judged yet. */
KDS_MUST_USE kds_code kds_report_make(const char *dir, kds_buf *out, kds_err *e);

/* ---- Parts; what fails is kept in `code`, and everything after it does nothing ---- */
/* Runs a SELECT of ours, unless something has failed. */
void kds_report_select(kds_report *r, const char *sql, kds_row_fn *fn, void *user);
void kds_report_style(kds_buf *b);
void kds_report_progress(kds_report *r); /* report_chart.c */
void kds_report_map(kds_report *r);      /* report_map.c */

#endif
