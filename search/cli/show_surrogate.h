/* `show --surrogate`: how right forecasts have been. */
#ifndef KDS_CLI_SHOW_SURROGATE_H
#define KDS_CLI_SHOW_SURROGATE_H

#include "archive/ledger.h"

KDS_MUST_USE kds_code kds_show_surrogate(kds_ledger *l, bool json, kds_err *e);

#endif
