/* `run --dry-run`: what a campaign with a model would ask first, and what it would cost. */
#ifndef KDS_CLI_DRY_RUN_H
#define KDS_CLI_DRY_RUN_H

#include "search/engine/settings.h"

/* Judges baseline and seeds in a temporary archive, prints the first prompt and the estimate, and
 * leaves nothing behind. No request is sent; that the endpoint could be spoken to (URL, key) is
 * checked. */
KDS_MUST_USE kds_code kds_dry_run(const char *task_dir, const kds_settings *settings, bool json,
                                  kds_err *e);

#endif
