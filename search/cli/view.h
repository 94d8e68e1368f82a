/* Showing reports and archives: shared by several commands. Every simulated time says that it is
 * modelled. */
#ifndef KDS_CLI_VIEW_H
#define KDS_CLI_VIEW_H

#include "archive/ledger.h"
#include <stdio.h>

/* Rows of a report: times, speed-up, roofline, errors. The production rows and a count of the
 * others, or every row if `all` or if one is not ok. */
void kds_view_rows(FILE *out, const cJSON *report, bool all);
/* Verdict, message, descriptor, rows, facts, counters. `axes`: the descriptor's, NULL if not known.
 */
void kds_view_report(FILE *out, const cJSON *report, const cJSON *axes, bool all_rows);
/* "modelled" where the report's times are, else "measured". */
const char *kds_view_origin(const cJSON *report);
/* The same for a device's name ("sim:h200") or an archive's. */
const char *kds_view_device_origin(const char *device);
const char *kds_view_archive_origin(kds_ledger *l);
/* The report of a candidate; *report stays NULL if it has none. Owned by the caller. */
KDS_MUST_USE kds_code kds_view_load_report(kds_ledger *l, const kds_candidate_row *row,
                                           cJSON **report, kds_err *e);
/* Body of the CAMPAIGN event, and of the last STOP (NULL if none); owned by the caller. */
KDS_MUST_USE kds_code kds_view_load_campaign(kds_ledger *l, cJSON **campaign, cJSON **stop,
                                             kds_err *e);
/* Prints JSON and a newline on stdout. */
KDS_MUST_USE kds_code kds_view_json(const cJSON *value, kds_err *e);
/* A candidate as a JSON object; NULL: out of memory. */
cJSON *kds_view_candidate_json(const kds_candidate_row *row);

#endif
