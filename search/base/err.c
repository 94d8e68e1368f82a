/* Errors as plain values. The message is formatted first and escaped afterwards, so that an
 * argument may point into the very error that is being set, and nothing here allocates: running out
 * of memory must be reportable. A message that does not fit is cut between characters and ends in
 * "...". */
#include "search/base/err.h"
#include "search/base/text.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Longer than a message, so that what is cut off here would not have been shown anyway. */
#define RAW_SIZE 2048

static void fill(kds_err *e, kds_code code, int sys_errno, const char *origin)
{
    e->code = code;
    e->sys_errno = sys_errno;
    e->origin = origin;
}

kds_code kds_err_set(kds_err *e, kds_code code, int sys_errno, const char *origin, const char *fmt,
                     ...)
{
    if (e == NULL)
        return code;
    char raw[RAW_SIZE];
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(raw, sizeof raw, fmt, ap) < 0)
        raw[0] = '\0';
    va_end(ap);
    fill(e, code, sys_errno, origin);
    kds_text_escape_into(e->message, sizeof e->message, raw, strlen(raw), true);
    return code;
}

kds_code kds_err_set_errno(kds_err *e, kds_code code, const char *origin, const char *fmt, ...)
{
    int saved = errno;
    if (e == NULL)
        return code;
    char raw[RAW_SIZE], why[128];
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(raw, sizeof raw, fmt, ap) < 0)
        raw[0] = '\0';
    va_end(ap);
    const char *text = strerrordesc_np(saved);
    if (text != NULL)
        snprintf(why, sizeof why, ": %s", text);
    else
        snprintf(why, sizeof why, ": system error %d", saved);
    fill(e, code, saved, origin);
    /* The reason is kept whole; the text before it gives way. */
    size_t len =
        kds_text_escape_into(e->message, sizeof e->message - strlen(why), raw, strlen(raw), true);
    memcpy(e->message + len, why, strlen(why) + 1);
    errno = saved;
    return code;
}

kds_code kds_err_prefix(kds_err *e, kds_code code, const char *fmt, ...)
{
    if (e == NULL)
        return code;
    char raw[RAW_SIZE], old[sizeof e->message];
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(raw, sizeof raw, fmt, ap) < 0)
        raw[0] = '\0';
    va_end(ap);
    memcpy(old, e->message, sizeof old);
    old[sizeof old - 1] = '\0';
    /* At most half of the room, so that the cause can always be read. */
    size_t len = kds_text_escape_into(e->message, sizeof e->message / 2, raw, strlen(raw), true);
    memcpy(e->message + len, ": ", 2);
    len += 2;
    kds_text_escape_into(e->message + len, sizeof e->message - len, old, strlen(old), true);
    return e->code;
}

void kds_err_clear(kds_err *e)
{
    if (e != NULL)
        *e = (kds_err){.code = KDS_OK};
}
