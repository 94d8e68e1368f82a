/* From a model's reply to a source: a fenced full source, or SEARCH/REPLACE edits of the parent;
 * and to a guidance. Nothing in a reply is ever executed; everything is untrusted. */
#ifndef KDS_PROMPTS_REPLY_H
#define KDS_PROMPTS_REPLY_H

#include "search/base/buf.h"

#define KDS_REPLY_EDITS 64

typedef enum kds_reply_problem {
    KDS_REPLY_OK,
    KDS_REPLY_EMPTY,
    KDS_REPLY_TOO_LARGE, /* above KDS_REPLY_CAP, the source above KDS_SOURCE_CAP, too many edits */
    KDS_REPLY_NOT_UTF8,  /* or a NUL byte */
    KDS_REPLY_NO_CODE,   /* neither a fenced block nor edits */
    KDS_REPLY_TRUNCATED, /* a fence or an edit that never ends */
    KDS_REPLY_SEVERAL,   /* several full sources */
    KDS_REPLY_NO_MATCH,  /* a SEARCH text that is empty or not in the parent */
    KDS_REPLY_MANY_MATCHES, /* a SEARCH text that is there more than once */
    KDS_REPLY_NO_CHANGE,    /* the same as the parent */
    KDS_REPLY_NO_GUIDANCE,  /* neither <guidance> lines nor one fenced block */
    KDS_REPLY_MUCH_CODE     /* a guidance with more code than advice may have */
} kds_reply_problem;
const char *kds_reply_problem_name(kds_reply_problem p); /* "no_match" */

typedef struct kds_reply {
    kds_reply_problem problem;
    char message[600];    /* for the model: what was wrong and what is expected; escaped */
    char hypothesis[400]; /* the text after "Hypothesis:", one line, escaped; "" if none */
    char prediction[200]; /* the same after "Prediction:" */
    double predicted;     /* the speed-up in it as a factor; 0 if none */
    int edits;            /* SEARCH/REPLACE blocks applied; 0 for a full source */
} kds_reply;

/* The speed-up that a prediction states, as a factor over the parent; 0 if it states none. The
 * first that is understood counts: "1.15x", "1.15 times", "2x slower" (0.5), "15 % faster" (1.15),
 * "15 % slower", "10 % less time", "time -10 %" (1 / 0.9). What is said of other things ("2x fewer
 * loads", "60 % of the bandwidth") is passed over. From 0.01 to 100; any text may come. */
double kds_prediction_factor(const char *text);

/* Parses `text`; on KDS_REPLY_OK `source` (initialised by the caller, emptied first) holds the
 * child.
 *
 * What is understood, after <think>...</think> at the beginning has been skipped:
 *  - A full source: the one fenced block (``` or ~~~, closed as in Markdown by a fence at least as
 *    long) that contains __global__, or else the only fenced block. A block that only quotes the
 *    parent does not count where there is anything else.
 *  - Edits, inside or outside fences, applied in order, each to the result of the one before:
 *        <<<<<<< SEARCH / old lines / ======= / new lines / >>>>>>> REPLACE
 *    SEARCH is whole lines that occur exactly once: compared exactly, and if that finds nothing
 * with white space at the ends of lines ignored. At most KDS_REPLY_EDITS. With both, the full
 * source is taken: it says by itself what the child is.
 *
 * PCRE2 runs with match limits, on single lines; the cost is linear in the reply. KDS_OK whatever
 * the reply contains; errors are ours only. */
KDS_MUST_USE kds_code kds_reply_parse(const char *text, size_t len, const char *parent,
                                      size_t parent_len, kds_buf *source, kds_reply *out,
                                      kds_err *e);

#define KDS_GUIDANCE_CAP 2000     /* bytes of a guidance */
#define KDS_GUIDANCE_CODE_LINES 8 /* of code in it: in a fence, or ending as statements do */

/* The same for an answer to operator guide: what stands between a line that begins with <guidance>
 * and the next </guidance>, or without such lines in the only fenced block. `guidance` gets plain
 * text of 1 to KDS_GUIDANCE_CAP bytes, without control characters other than newline and tab and
 * without blanks around it; one that is longer or has more code is a problem. */
KDS_MUST_USE kds_code kds_reply_parse_guidance(const char *text, size_t len, kds_buf *guidance,
                                               kds_reply *out, kds_err *e);

#endif
