/* A growable byte buffer that states its maximum. The error is sticky: after a failed append every
 * later one is a no-op, and kds_buf_check reports it once. `data` is always NUL-terminated (the NUL
 * does not count in `len`). */
#ifndef KDS_BASE_BUF_H
#define KDS_BASE_BUF_H

#include "search/base/err.h"
#include <stdarg.h>

#define KDS_REPLY_CAP (1u << 20)    /* a model's reply */
#define KDS_SOURCE_CAP (256u << 10) /* a kernel source */
#define KDS_LOG_CAP (64u << 10)     /* a compiler log */
#define KDS_FRAME_CAP (16u << 20)   /* one blob or header between processes */

typedef struct kds_buf {
    char *data; /* never NULL after kds_buf_init; "" while empty */
    size_t len;
    size_t room;
    size_t cap;   /* most bytes it may hold */
    kds_code bad; /* KDS_OK, KDS_TOO_LARGE or KDS_NO_MEMORY */
} kds_buf;

void kds_buf_init(kds_buf *b, size_t cap);
void kds_buf_free(kds_buf *b);
void kds_buf_reset(kds_buf *b); /* empties, clears the sticky error, keeps the memory */
void kds_buf_add(kds_buf *b, const void *data, size_t len);
void kds_buf_puts(kds_buf *b, const char *s);
void kds_buf_putc(kds_buf *b, char c);
void kds_buf_printf(kds_buf *b, const char *fmt, ...) KDS_PRINTF(2, 3);
void kds_buf_vprintf(kds_buf *b, const char *fmt, va_list ap) KDS_PRINTF(2, 0);
/* Removes the first n bytes. */
void kds_buf_consume(kds_buf *b, size_t n);
/* KDS_OK, or the sticky error put into `e` with `what` named. */
KDS_MUST_USE kds_code kds_buf_check(const kds_buf *b, const char *what, kds_err *e);
/* Gives the memory to the caller (free()), leaves the buffer empty. NULL if the buffer is bad: then
 * nothing is left to free either, and kds_buf_check still tells why. */
char *kds_buf_take(kds_buf *b);

#endif
