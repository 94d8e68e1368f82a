/* Messages between processes: one JSON header and any number of binary blobs. On the wire: magic
 * "KDS1", u32 header length, u32 blob count, u32 length of each blob (little-endian), header text,
 * blobs. Each length is capped at KDS_FRAME_CAP, all together at four times that. */
#ifndef KDS_BASE_FRAME_H
#define KDS_BASE_FRAME_H

#include "search/base/json.h"

#define KDS_FRAME_BLOBS 64

typedef struct kds_frame {
    cJSON *header; /* owned */
    struct {
        char *data; /* owned, NUL-terminated beyond len */
        size_t len;
    } blobs[KDS_FRAME_BLOBS];
    int blob_count;
} kds_frame;

void kds_frame_init(kds_frame *f);
void kds_frame_free(kds_frame *f); /* leaves it initialised */
/* Copies a blob in and returns its index, or -1 (too many, too large, out of memory). */
int kds_frame_add(kds_frame *f, const void *data, size_t len);
/* Appends the wire form to `out`. */
KDS_MUST_USE kds_code kds_frame_encode(const kds_frame *f, kds_buf *out, kds_err *e);
/* Takes one whole frame off the front of `in`. *got is false if more bytes are needed.
 * KDS_PROTOCOL: not a frame; KDS_TOO_LARGE: it would not fit under the cap of `in`. `out` is only
 * written when *got; it is overwritten, not freed. */
KDS_MUST_USE kds_code kds_frame_decode(kds_buf *in, kds_frame *out, bool *got, kds_err *e);
/* Blocking forms for workers. Reading: KDS_NOT_FOUND at a clean end of the stream. */
KDS_MUST_USE kds_code kds_frame_write(int fd, const kds_frame *f, kds_err *e);
KDS_MUST_USE kds_code kds_frame_read(int fd, kds_frame *out, kds_err *e);

#endif
