/* The capped byte buffer. Invariants: len <= cap; data[len] is NUL; room is the size of the
 * allocation, 0 while data is the shared empty string, which is never written to. Once `bad` is set
 * the content stays as it was and every append is a no-op. */
#include "search/base/buf.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char empty[1];

void kds_buf_init(kds_buf *b, size_t cap)
{
    /* Sizes are doubled below, so a cap near SIZE_MAX must not overflow. */
    *b = (kds_buf){.data = empty, .cap = cap < SIZE_MAX / 4 ? cap : SIZE_MAX / 4};
}

void kds_buf_free(kds_buf *b)
{
    if (b == NULL)
        return;
    if (b->room > 0)
        free(b->data);
    kds_buf_init(b, b->cap);
}

void kds_buf_reset(kds_buf *b)
{
    b->len = 0;
    b->bad = KDS_OK;
    if (b->room > 0)
        b->data[0] = '\0';
}

/* Makes room for `more` bytes and the NUL, or sets the sticky error. */
static bool reserve(kds_buf *b, size_t more)
{
    if (b->bad != KDS_OK)
        return false;
    if (more > b->cap - b->len) {
        b->bad = KDS_TOO_LARGE;
        return false;
    }
    size_t need = b->len + more + 1;
    if (need <= b->room)
        return true;
    size_t room = b->room < 32 ? 64 : b->room * 2;
    if (room > b->cap + 1)
        room = b->cap + 1;
    if (room < need)
        room = need;
    char *data = realloc(b->room > 0 ? b->data : NULL, room);
    if (data == NULL) {
        b->bad = KDS_NO_MEMORY;
        return false;
    }
    b->data = data;
    b->room = room;
    b->data[b->len] = '\0';
    return true;
}

void kds_buf_add(kds_buf *b, const void *data, size_t len)
{
    if (len == 0 || !reserve(b, len))
        return;
    memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void kds_buf_puts(kds_buf *b, const char *s)
{
    kds_buf_add(b, s, strlen(s));
}

void kds_buf_putc(kds_buf *b, char c)
{
    kds_buf_add(b, &c, 1);
}

void kds_buf_printf(kds_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    kds_buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void kds_buf_vprintf(kds_buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int need = vsnprintf(NULL, 0, fmt, ap);
    if (need > 0 && reserve(b, (size_t)need)) {
        vsnprintf(b->data + b->len, b->room - b->len, fmt, again);
        b->len += (size_t)need;
    }
    va_end(again);
}

void kds_buf_consume(kds_buf *b, size_t n)
{
    if (n >= b->len)
        n = b->len;
    if (n == 0)
        return;
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
    b->data[b->len] = '\0';
}

kds_code kds_buf_check(const kds_buf *b, const char *what, kds_err *e)
{
    if (b->bad == KDS_TOO_LARGE)
        return kds_fail(e, KDS_TOO_LARGE, "%s is larger than its cap of %zu bytes", what, b->cap);
    if (b->bad != KDS_OK)
        return kds_fail(e, b->bad, "%s: out of memory", what);
    return KDS_OK;
}

char *kds_buf_take(kds_buf *b)
{
    kds_code bad = b->bad;
    char *data = NULL;
    if (bad == KDS_OK && b->room > 0) {
        data = b->data;
        b->room = 0;
    } else if (bad == KDS_OK) {
        data = calloc(1, 1);
        bad = data == NULL ? KDS_NO_MEMORY : KDS_OK;
    }
    kds_buf_free(b);
    b->bad = bad;
    return data;
}
