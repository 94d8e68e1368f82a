/* Frames. A reader believes nothing: every length is checked against its cap before anything is
 * allocated for it, and memory grows only with the bytes that have really arrived. */
#include "search/base/frame.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAGIC "KDS1"
#define PREFIX 12 /* magic, header length, blob count */
#define TOTAL_CAP (4u * (size_t)KDS_FRAME_CAP)
#define WIRE_CAP (PREFIX + 4u * KDS_FRAME_BLOBS + TOTAL_CAP)

void kds_frame_init(kds_frame *f)
{
    f->header = NULL;
    f->blob_count = 0;
}

void kds_frame_free(kds_frame *f)
{
    if (f == NULL)
        return;
    cJSON_Delete(f->header);
    for (int i = 0; i < f->blob_count; i++)
        free(f->blobs[i].data);
    kds_frame_init(f);
}

int kds_frame_add(kds_frame *f, const void *data, size_t len)
{
    if (f->blob_count == KDS_FRAME_BLOBS || len > KDS_FRAME_CAP)
        return -1;
    char *copy = malloc(len + 1);
    if (copy == NULL)
        return -1;
    if (len > 0)
        memcpy(copy, data, len);
    copy[len] = '\0';
    f->blobs[f->blob_count].data = copy;
    f->blobs[f->blob_count].len = len;
    return f->blob_count++;
}

static void add_u32(kds_buf *out, size_t v)
{
    unsigned char b[4] = {(unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16),
                          (unsigned char)(v >> 24)};
    kds_buf_add(out, b, sizeof b);
}

static size_t get_u32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (size_t)b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16 | (size_t)b[3] << 24;
}

kds_code kds_frame_encode(const kds_frame *f, kds_buf *out, kds_err *e)
{
    if (!cJSON_IsObject(f->header))
        return kds_fail(e, KDS_FAILED, "a frame needs a JSON object as its header");
    char *header = kds_json_print(f->header);
    if (header == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "building a frame: out of memory");
    size_t len = strlen(header), total = len;
    for (int i = 0; i < f->blob_count; i++)
        total += f->blobs[i].len;
    if (len > KDS_FRAME_CAP || total > TOTAL_CAP) {
        free(header);
        return kds_fail(e, KDS_TOO_LARGE,
                        "a frame of %zu bytes (header %zu); at most %zu (header %u) are allowed",
                        total, len, TOTAL_CAP, KDS_FRAME_CAP);
    }
    kds_buf_add(out, MAGIC, 4);
    add_u32(out, len);
    add_u32(out, (size_t)f->blob_count);
    for (int i = 0; i < f->blob_count; i++)
        add_u32(out, f->blobs[i].len);
    kds_buf_add(out, header, len);
    for (int i = 0; i < f->blob_count; i++)
        kds_buf_add(out, f->blobs[i].data, f->blobs[i].len);
    free(header);
    return kds_buf_check(out, "an outgoing frame", e);
}

/* How many bytes the frame at the front of `data` needs, as far as can be told from the `len` bytes
 * that are there: first the prefix, then the lengths, then all of it. */
static kds_code needed(const char *data, size_t len, size_t *need, kds_err *e)
{
    size_t seen = len < 4 ? len : 4;
    if (memcmp(data, MAGIC, seen) != 0)
        return kds_fail(e, KDS_PROTOCOL, "not a frame: it begins with '%.*s' instead of " MAGIC,
                        (int)seen, data);
    *need = PREFIX;
    if (len < PREFIX)
        return KDS_OK;
    size_t total = get_u32(data + 4), blobs = get_u32(data + 8);
    if (total > KDS_FRAME_CAP)
        return kds_fail(e, KDS_PROTOCOL, "a frame with a header of %zu bytes; at most %u", total,
                        KDS_FRAME_CAP);
    if (blobs > KDS_FRAME_BLOBS)
        return kds_fail(e, KDS_PROTOCOL, "a frame with %zu blobs; at most %d", blobs,
                        KDS_FRAME_BLOBS);
    *need += 4 * blobs;
    if (len < *need)
        return KDS_OK;
    for (size_t i = 0; i < blobs; i++) {
        size_t n = get_u32(data + PREFIX + 4 * i);
        if (n > KDS_FRAME_CAP)
            return kds_fail(e, KDS_PROTOCOL, "a frame with a blob of %zu bytes; at most %u", n,
                            KDS_FRAME_CAP);
        total += n;
    }
    if (total > TOTAL_CAP)
        return kds_fail(e, KDS_PROTOCOL, "a frame of %zu bytes; at most %zu", total, TOTAL_CAP);
    *need += total;
    return KDS_OK;
}

/* Takes apart the whole frame at `data`. */
static kds_code unpack(const char *data, kds_frame *out, kds_err *e)
{
    kds_frame f;
    kds_frame_init(&f);
    size_t len = get_u32(data + 4), blobs = get_u32(data + 8);
    const char *at = data + PREFIX + 4 * blobs;
    f.header = kds_json_parse_record(at, len);
    if (!cJSON_IsObject(f.header)) {
        kds_frame_free(&f);
        return kds_fail(e, KDS_PROTOCOL, "a frame whose header is not a JSON object");
    }
    at += len;
    for (size_t i = 0; i < blobs; i++) {
        size_t n = get_u32(data + PREFIX + 4 * i);
        if (kds_frame_add(&f, at, n) < 0) {
            kds_frame_free(&f);
            return kds_fail(e, KDS_NO_MEMORY, "reading a frame: out of memory");
        }
        at += n;
    }
    *out = f;
    return KDS_OK;
}

kds_code kds_frame_decode(kds_buf *in, kds_frame *out, bool *got, kds_err *e)
{
    size_t need = PREFIX;
    kds_code code = needed(in->data, in->len, &need, e);
    if (code != KDS_OK)
        return code;
    if (need > in->cap)
        return kds_fail(e, KDS_TOO_LARGE, "a frame of %zu bytes does not fit a buffer of %zu", need,
                        in->cap);
    if (in->len < need) {
        *got = false;
        return KDS_OK;
    }
    code = unpack(in->data, out, e);
    if (code != KDS_OK)
        return code;
    kds_buf_consume(in, need);
    *got = true;
    return KDS_OK;
}

/* Waits until a non-blocking descriptor is ready again; false if the error was another one. */
static bool wait_ready(int fd, short events)
{
    if (errno == EINTR)
        return true;
    if (errno != EAGAIN)
        return false;
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, -1) >= 0 || errno == EINTR;
}

kds_code kds_frame_write(int fd, const kds_frame *f, kds_err *e)
{
    kds_buf wire;
    kds_buf_init(&wire, WIRE_CAP);
    kds_code code = kds_frame_encode(f, &wire, e);
    for (size_t done = 0; code == KDS_OK && done < wire.len;) {
        /* No SIGPIPE from a socket whose other end is gone. */
        ssize_t n = send(fd, wire.data + done, wire.len - done, MSG_NOSIGNAL);
        if (n < 0 && errno == ENOTSOCK)
            n = write(fd, wire.data + done, wire.len - done);
        if (n >= 0)
            done += (size_t)n;
        else if (!wait_ready(fd, POLLOUT))
            code = kds_fail_errno(e, KDS_IO, "cannot send a frame");
    }
    kds_buf_free(&wire);
    return code;
}

kds_code kds_frame_read(int fd, kds_frame *out, kds_err *e)
{
    char chunk[32768];
    size_t need = PREFIX;
    kds_buf in;
    kds_buf_init(&in, WIRE_CAP);
    kds_code code = KDS_OK;
    /* Never asks for more than this frame: what follows belongs to the next call. */
    while (code == KDS_OK && in.len < need) {
        size_t want = need - in.len < sizeof chunk ? need - in.len : sizeof chunk;
        ssize_t n = read(fd, chunk, want);
        if (n < 0) {
            if (!wait_ready(fd, POLLIN))
                code = kds_fail_errno(e, KDS_IO, "cannot read a frame");
        } else if (n == 0) {
            code = in.len == 0 ? kds_fail(e, KDS_NOT_FOUND, "the stream has ended")
                               : kds_fail(e, KDS_PROTOCOL,
                                          "the stream ended after %zu bytes of a frame of %zu",
                                          in.len, need);
        } else {
            kds_buf_add(&in, chunk, (size_t)n);
            code = kds_buf_check(&in, "an incoming frame", e);
            if (code == KDS_OK)
                code = needed(in.data, in.len, &need, e);
        }
    }
    if (code == KDS_OK)
        code = unpack(in.data, out, e);
    kds_buf_free(&in);
    return code;
}
