/* A log of JSON lines, rotated: `path`, `path.1`, ... Never fails its caller: a log that cannot be
 * written is dropped. */
#ifndef KDS_BASE_LOG_H
#define KDS_BASE_LOG_H

#include "search/base/err.h"

typedef struct kds_log kds_log;

/* Opens for append; rotated when above `max_bytes`, keeping `keep` old files. NULL path: a log that
 * goes nowhere. */
KDS_MUST_USE kds_code kds_log_open(kds_log **out, const char *path, size_t max_bytes, int keep,
                                   kds_err *e);
void kds_log_close(kds_log *log);
/* {"time":"...","level":"...","text":"..."}; the text is escaped. level: debug, info, warning,
 * error. */
void kds_log_write(kds_log *log, const char *level, const char *fmt, ...) KDS_PRINTF(3, 4);

#endif
