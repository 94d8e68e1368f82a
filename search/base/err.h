/* Setting and prefixing errors. Inner layers set, outer layers prefix with what they were doing. */
#ifndef KDS_BASE_ERR_H
#define KDS_BASE_ERR_H

#include "search/kdasearch.h"

#define KDS_STR2(x) #x
#define KDS_STR(x) KDS_STR2(x)
#define KDS_HERE __FILE__ ":" KDS_STR(__LINE__)

/* Fills `e` (may be NULL) and returns `code`, so that a failure is one line: `return kds_fail(e,
 * KDS_IO, "...")`. The message is escaped: control characters and invalid UTF-8 in the arguments
 * cannot reach a terminal. */
#define kds_fail(e, code, ...) kds_err_set((e), (code), 0, KDS_HERE, __VA_ARGS__)
/* The same with errno recorded and its text appended after ": ". */
#define kds_fail_errno(e, code, ...) kds_err_set_errno((e), (code), KDS_HERE, __VA_ARGS__)

kds_code kds_err_set(kds_err *e, kds_code code, int sys_errno, const char *origin, const char *fmt,
                     ...) KDS_PRINTF(5, 6);
kds_code kds_err_set_errno(kds_err *e, kds_code code, const char *origin, const char *fmt, ...)
    KDS_PRINTF(4, 5);
/* Puts "text: " before the message already there and returns e->code (`code` if e is NULL). */
kds_code kds_err_prefix(kds_err *e, kds_code code, const char *fmt, ...) KDS_PRINTF(3, 4);
void kds_err_clear(kds_err *e);

#endif
