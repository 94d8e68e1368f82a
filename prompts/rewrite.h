/* The rewrite catalogue of the built-in proposer: small source-to-source edits that keep what a
 * kernel computes (the gate judges whether they did). Private to prompts. */
#ifndef KDS_PROMPTS_REWRITE_H
#define KDS_PROMPTS_REWRITE_H

#include "search/base/lex.h"
#include "search/base/random.h"

#define KDS_REWRITE_EDITS 32
#define KDS_REWRITE_KERNELS 32
#define KDS_REWRITE_SITES 256
#define KDS_REWRITE_DIRECTIVE 512 /* tokens of one directive */

/* Replaces [offset, offset + len) by text. */
typedef struct kds_edit {
    size_t offset, len;
    char text[240];
} kds_edit;

/* A source under edit. Tokens are without comments; the last one is KDS_TOKEN_END. */
typedef struct kds_rewriter {
    kds_lexer lexer; /* of the text, for kds_token_is */
    kds_token *tokens;
    int count; /* without the END */
    kds_random *random;
    kds_buf *hypothesis;
    kds_edit edits[KDS_REWRITE_EDITS];
    int edit_count;
    bool bad; /* an edit did not fit: nothing is made */
} kds_rewriter;

/* Adds edits and writes the hypothesis; false if there is nothing to do in this source. Draws from
 * the random stream; the text is not changed. */
typedef bool kds_rewrite_fn(kds_rewriter *r);
typedef struct kds_rewrite {
    const char *name, *text;
    kds_rewrite_fn *apply;
} kds_rewrite;
extern const kds_rewrite kds_rewrites[]; /* ends with name NULL */

KDS_MUST_USE kds_code kds_rewriter_init(kds_rewriter *r, const char *text, size_t len, kds_err *e);
void kds_rewriter_free(kds_rewriter *r);
/* Applies one rewrite. *made is false if it found nothing to do. */
KDS_MUST_USE kds_code kds_rewriter_apply(kds_rewriter *r, const kds_rewrite *rewrite,
                                         kds_random *random, kds_buf *out, kds_buf *hypothesis,
                                         bool *made, kds_err *e);

/* For the rewrites. */
bool kds_rewriter_is(const kds_rewriter *r, int i, const char *s); /* false outside the tokens */
bool kds_rewriter_in(const kds_rewriter *r, int i, const char *const *names);
/* The bracket that closes the one at `i`; -1 if there is none. */
int kds_rewriter_close(const kds_rewriter *r, int i);
void kds_rewriter_edit(kds_rewriter *r, size_t offset, size_t len, const char *fmt, ...)
    KDS_PRINTF(4, 5);
/* Uniform in [0, n). */
int kds_rewriter_pick(kds_rewriter *r, int n);
/* Value of a plain decimal integer literal (suffixes u and U allowed), or -1. */
int64_t kds_rewriter_integer(const kds_rewriter *r, kds_token t);
/* Tokens of a directive without comments; offsets are those of the text. Returns their number. */
int kds_rewriter_directive(const kds_rewriter *r, kds_token directive,
                           kds_token out[KDS_REWRITE_DIRECTIVE]);
/* True if the directive starts with '#', then these words. */
bool kds_rewriter_starts(const kds_rewriter *r, const kds_token *tokens, int count,
                         const char *const *words);
size_t kds_token_end(kds_token t);

/* A __global__ function: indices of its tokens. */
typedef struct kds_kernel_site {
    int global, name;
    int open, close;             /* parentheses of the parameters */
    int body, body_end;          /* braces */
    int bounds;                  /* __launch_bounds__, or -1 */
    int bounds_open, bounds_end; /* its parentheses */
} kds_kernel_site;
int kds_rewriter_kernels(const kds_rewriter *r, kds_kernel_site out[KDS_REWRITE_KERNELS]);

/* The catalogue. */
kds_rewrite_fn kds_rewrite_block_size, kds_rewrite_launch_bounds, kds_rewrite_unroll,
    kds_rewrite_restrict, kds_rewrite_load_hint, kds_rewrite_store_hint, kds_rewrite_cache_hint,
    kds_rewrite_extend_tunable, kds_rewrite_intrinsic, kds_rewrite_rsqrt, kds_rewrite_inline,
    kds_rewrite_constant;

#endif
