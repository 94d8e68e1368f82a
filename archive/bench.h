/* `kdasearch bench archive`: how fast the ledger writes durably, and how fast a large archive
 * opens. */
#ifndef KDS_ARCHIVE_BENCH_H
#define KDS_ARCHIVE_BENCH_H

#include "search/base/json.h"

/* Makes an archive in the new or empty folder `dir`. First up to 2,000 candidates are recorded as a
 * campaign does it: DECISION, CANDIDATE (with a source of about 4 KiB), STAGE (with a report of
 * about 2 KiB), ACCEPT or REJECT, each in one durable transaction; then it is filled up to
 * `candidates` with large transactions; then a fresh process opens it for writing and reads what a
 * resume needs. *report (owned by the caller): inserts_per_second (events, each in a durable
 * transaction of its own with its object), transactions_per_second (the same number),
 * candidates_per_second, open_seconds, open_rss_mb (growth of the opening process), candidates,
 * db_mb. */
KDS_MUST_USE kds_code kds_archive_bench(const char *dir, int64_t candidates, cJSON **report,
                                        kds_err *e);

#endif
