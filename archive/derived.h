/* Files beside campaign.db that can be made again from it, each replaced atomically. */
#ifndef KDS_ARCHIVE_DERIVED_H
#define KDS_ARCHIVE_DERIVED_H

#include "search/base/json.h"

/* Replaces champion/kernel.cu and champion/provenance.json. A "kernel" is added to the provenance:
 * the id of the source, by which a reader sees that the two files belong together. */
KDS_MUST_USE kds_code kds_archive_write_champion(const char *dir, const char *source, size_t len,
                                                 const cJSON *provenance, kds_err *e);
/* Replaces status.json. */
KDS_MUST_USE kds_code kds_archive_write_status(const char *dir, const cJSON *status, kds_err *e);

#endif
