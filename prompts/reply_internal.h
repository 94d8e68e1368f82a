/* What the files of the reply parser share. */
#ifndef KDS_PROMPTS_REPLY_INTERNAL_H
#define KDS_PROMPTS_REPLY_INTERNAL_H

#include "prompts/reply.h"

/* A piece of a text that somebody else owns. */
typedef struct kds_span {
    const char *at;
    size_t len;
} kds_span;

typedef struct kds_reply_edit {
    kds_span search, replace; /* whole lines, each with its newline */
} kds_reply_edit;

typedef struct kds_reply_block {
    kds_span text, info;
    size_t indent; /* of the fence: taken off the lines where they have it */
} kds_reply_block;

#define KDS_REPLY_KERNELS 16

/* What a scan finds. Spans point into the scanned text. */
typedef struct kds_reply_parts {
    kds_reply_edit edits[KDS_REPLY_EDITS];
    int edit_count;                             /* may exceed the array: then there were too many */
    kds_reply_block kernels[KDS_REPLY_KERNELS]; /* blocks with __global__ */
    int kernel_count;                           /* may exceed the array */
    kds_reply_block plain; /* the last block that is neither blank nor a kernel */
    int plain_count;
    kds_span hypothesis, prediction;
    const char *broken; /* what never ends; static; NULL if all is whole */
} kds_reply_parts;

/* Scans `text` (LF line ends). KDS_NO_MEMORY is the only failure. */
KDS_MUST_USE kds_code kds_reply_scan(kds_reply_parts *out, kds_span text, kds_err *e);

/* Applies edits to `source` (the parent at first, ending in a newline). On a problem `source` is
 * half done, `*which` the number of the edit that failed (from 0), and `hint` says more. */
KDS_MUST_USE kds_code kds_reply_apply(kds_buf *source, const kds_reply_edit *edits, int count,
                                      kds_reply_problem *problem, int *which, char *hint,
                                      size_t hint_size, kds_err *e);

/* Sets problem and message. */
void kds_reply_tell(kds_reply *out, kds_reply_problem problem, const char *fmt, ...)
    KDS_PRINTF(3, 4);
/* Clears `out` and gives what is to be read of a reply: in `clean` (initialised by the caller) with
 * LF line ends, without thoughts at its beginning. *body is empty if the problem is set. `expected`
 * is what an empty reply should have been. */
KDS_MUST_USE kds_code kds_reply_open(const char *text, size_t len, const char *expected,
                                     kds_buf *clean, kds_span *body, kds_reply *out, kds_err *e);

/* Takes the next line off `rest`, without its newline. False at the end. */
bool kds_span_line(kds_span *rest, kds_span *line);
/* Without blanks at both ends. */
kds_span kds_span_trim(kds_span s);
/* Appends the lines of `s` without white space at their ends. */
void kds_span_strip_ends(kds_buf *out, kds_span s);

#endif
