/* From a reply to a child's source: checks, what a scan found, and the choice among it. The reply
 * is hostile: nothing here is recursive in it, every count has a cap, and all that is told back is
 * escaped. */
#include "prompts/reply_internal.h"
#include "search/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *kds_reply_problem_name(kds_reply_problem p)
{
    static const char *const NAMES[] = {"ok",           "empty",     "too_large",   "not_utf8",
                                        "no_code",      "truncated", "several",     "no_match",
                                        "many_matches", "no_change", "no_guidance", "much_code"};
    return (unsigned)p < sizeof NAMES / sizeof *NAMES ? NAMES[p] : "unknown";
}

void kds_reply_tell(kds_reply *out, kds_reply_problem problem, const char *fmt, ...)
{
    char text[1200];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    kds_text_escape_into(out->message, sizeof out->message, text, len, false);
    out->problem = problem;
}

/* What is wrong with the text as a whole; false if it has to be looked at. */
static bool check_text(const char *text, size_t len, const char *expected, kds_reply *out)
{
    const char *nul = memchr(text, '\0', len);
    kds_span all = {text, len};
    if (len > KDS_REPLY_CAP) {
        kds_reply_tell(out, KDS_REPLY_TOO_LARGE, "The reply has %zu bytes; at most %u are read.",
                       len, KDS_REPLY_CAP);
    } else if (nul) {
        kds_reply_tell(out, KDS_REPLY_NOT_UTF8,
                       "The reply has a NUL byte at position %td; send plain text.",
                       nul - text + 1);
    } else if (!kds_text_is_utf8(text, len)) {
        kds_reply_tell(out, KDS_REPLY_NOT_UTF8, "The reply is not UTF-8 from byte %zu on.",
                       kds_text_utf8_prefix(text, len) + 1);
    } else if (kds_span_trim(all).len == 0) {
        kds_reply_tell(out, KDS_REPLY_EMPTY, "The reply is empty; answer with %s.", expected);
    } else {
        return false;
    }
    return true;
}

/* A copy with LF line ends, without a byte order mark. */
static void normalise(kds_buf *out, const char *text, size_t len)
{
    size_t from = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    for (size_t i = from; i < len; i++)
        if (text[i] == '\r' && i + 1 < len && text[i + 1] == '\n') {
            kds_buf_add(out, text + from, i - from);
            from = i + 1;
        }
    kds_buf_add(out, text + from, len - from);
}

/* Skips thoughts at the beginning; false if they never end. A reply may also begin in the middle of
 * a thought (the opening tag was part of the prompt): then </think> stands alone on a line. */
static bool skip_thoughts(kds_span *text)
{
    static const char *const TAGS[][2] = {{"<think>", "</think>"}, {"<thinking>", "</thinking>"}};
    const char *end = text->at + text->len;
    kds_span body = kds_span_trim(*text);
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(TAGS[i][0]);
        const char *close = NULL;
        if (body.len >= n && strncasecmp(body.at, TAGS[i][0], n) == 0) {
            close = memmem(body.at, body.len, TAGS[i][1], n + 1);
            if (!close)
                return false;
        } else if ((close = memmem(text->at, text->len, TAGS[i][1], n + 1)) != NULL) {
            bool alone = (close == text->at || close[-1] == '\n') &&
                         (close + n + 1 == end || close[n + 1] == '\n');
            close = alone ? close : NULL;
        }
        if (close) {
            text->at = close + n + 1;
            text->len = (size_t)(end - text->at);
            return true;
        }
    }
    return true;
}

kds_code kds_reply_open(const char *text, size_t len, const char *expected, kds_buf *clean,
                        kds_span *body, kds_reply *out, kds_err *e)
{
    memset(out, 0, sizeof *out);
    kds_buf_reset(clean);
    *body = (kds_span){"", 0};
    if (check_text(text, len, expected, out))
        return KDS_OK;
    normalise(clean, text, len);
    kds_code code = kds_buf_check(clean, "the reply", e);
    if (code != KDS_OK)
        return code;
    *body = (kds_span){clean->data, clean->len};
    if (!skip_thoughts(body)) {
        kds_reply_tell(out, KDS_REPLY_TRUNCATED,
                       "The reply ends inside its thoughts; answer more briefly.");
        *body = (kds_span){"", 0};
    }
    return KDS_OK;
}

/* One line, without the emphasis around it. */
static void keep_line(kds_span h, char *out, size_t size)
{
    while (h.len > 0 && strchr("*_ ", h.at[h.len - 1]))
        h.len--;
    while (h.len > 0 && strchr("*_ ", h.at[0])) {
        h.at++;
        h.len--;
    }
    kds_text_escape_into(out, size, h.at, h.len, false);
}

/* Takes kernels out that only quote the parent, and repetitions. */
static void drop_quotes(kds_reply_parts *p, kds_span parent, bool quotes)
{
    int kept = 0;
    for (int i = 0; i < p->kernel_count; i++) {
        kds_span t = kds_span_trim(p->kernels[i].text);
        bool drop = quotes && memmem(parent.at, parent.len, t.at, t.len);
        for (int k = 0; k < kept && !drop; k++) {
            kds_span o = kds_span_trim(p->kernels[k].text);
            drop = o.len == t.len && memcmp(o.at, t.at, t.len) == 0;
        }
        if (!drop)
            p->kernels[kept++] = p->kernels[i];
    }
    p->kernel_count = kept;
}

/* The lines of a block, without the indentation of its fence. */
static void take_block(kds_buf *source, const kds_reply_block *b)
{
    kds_span line, rest = b->text;
    while (kds_span_line(&rest, &line)) {
        size_t skip = 0;
        while (skip < b->indent && skip < line.len &&
               (line.at[skip] == ' ' || line.at[skip] == '\t'))
            skip++;
        kds_buf_add(source, line.at + skip, line.len - skip);
        kds_buf_putc(source, '\n');
    }
}

static bool is_diff(kds_span info)
{
    return (info.len >= 4 && strncasecmp(info.at, "diff", 4) == 0) ||
           (info.len >= 5 && strncasecmp(info.at, "patch", 5) == 0);
}

static kds_code take_edits(kds_buf *source, const kds_reply_parts *p, kds_span parent,
                           kds_reply *out, kds_err *e)
{
    char hint[400];
    int which = 0;
    kds_reply_problem problem;
    kds_buf_add(source, parent.at, parent.len);
    if (parent.len > 0 && parent.at[parent.len - 1] != '\n')
        kds_buf_putc(source, '\n');
    kds_code code =
        kds_reply_apply(source, p->edits, p->edit_count, &problem, &which, hint, sizeof hint, e);
    if (code != KDS_OK)
        return code;
    if (problem == KDS_REPLY_NO_MATCH)
        kds_reply_tell(out, problem, "The SEARCH text of edit %d is not in the source: %s.",
                       which + 1, hint);
    else if (problem == KDS_REPLY_MANY_MATCHES)
        kds_reply_tell(
            out, problem,
            "The SEARCH text of edit %d is in the source more than once; add lines around it until "
            "it is unique.",
            which + 1);
    out->problem = problem;
    out->edits = p->edit_count;
    return KDS_OK;
}

/* Chooses among what the scan found and makes the source. */
static kds_code make_source(kds_reply_parts *p, kds_span parent, kds_buf *source, kds_reply *out,
                            kds_err *e)
{
    if (p->kernel_count <= KDS_REPLY_KERNELS) {
        drop_quotes(p, parent, false);
        if (p->kernel_count + p->edit_count > 1)
            drop_quotes(p, parent, true);
    }
    if (p->broken)
        kds_reply_tell(out, KDS_REPLY_TRUNCATED, "The reply is cut off or malformed: %s.",
                       p->broken);
    else if (p->kernel_count > 1)
        kds_reply_tell(
            out, KDS_REPLY_SEVERAL,
            "The reply has %d different blocks with kernels; send one full source or edits.",
            p->kernel_count);
    else if (p->kernel_count == 1)
        take_block(source, &p->kernels[0]);
    else if (p->edit_count > KDS_REPLY_EDITS)
        kds_reply_tell(out, KDS_REPLY_TOO_LARGE,
                       "The reply has %d edits; at most %d are read. Send the full source instead.",
                       p->edit_count, KDS_REPLY_EDITS);
    else if (p->edit_count > 0)
        return take_edits(source, p, parent, out, e);
    else if (p->plain_count == 1 && is_diff(p->plain.info))
        kds_reply_tell(out, KDS_REPLY_NO_CODE,
                       "Diffs are not read; send SEARCH/REPLACE edits or the full source.");
    else if (p->plain_count == 1)
        take_block(source, &p->plain);
    else if (p->plain_count > 1)
        kds_reply_tell(
            out, KDS_REPLY_NO_CODE,
            "None of the %d fenced blocks holds a __global__ function, and there are no edits.",
            p->plain_count);
    else
        kds_reply_tell(out, KDS_REPLY_NO_CODE,
                       "The reply has neither a fenced source nor SEARCH/REPLACE edits.");
    return KDS_OK;
}

/* Whether child and parent differ in more than white space at the ends of lines. 1, 0, or -1 if out
 * of memory. */
static int differs(const kds_buf *source, kds_span parent)
{
    kds_buf a, b;
    kds_buf_init(&a, 2 * (size_t)KDS_REPLY_CAP);
    kds_buf_init(&b, parent.len + 2);
    kds_span_strip_ends(&a, kds_span_trim((kds_span){source->data, source->len}));
    kds_span_strip_ends(&b, kds_span_trim(parent));
    int answer = a.bad != KDS_OK || b.bad != KDS_OK
                     ? -1
                     : a.len != b.len || memcmp(a.data, b.data, a.len) != 0;
    kds_buf_free(&a);
    kds_buf_free(&b);
    return answer;
}

kds_code kds_reply_parse(const char *text, size_t len, const char *parent, size_t parent_len,
                         kds_buf *source, kds_reply *out, kds_err *e)
{
    kds_reply_parts parts;
    kds_span old = {parent, parent_len}, body;
    kds_buf clean;
    kds_buf child;
    kds_buf_reset(source);
    kds_buf_init(&clean, KDS_REPLY_CAP);
    kds_buf_init(&child, KDS_SOURCE_CAP);
    kds_code code = kds_reply_open(text, len, "a Hypothesis line and edits or a full source",
                                   &clean, &body, out, e);
    if (code != KDS_OK || out->problem != KDS_REPLY_OK ||
        (code = kds_reply_scan(&parts, body, e)) != KDS_OK)
        goto out;
    keep_line(parts.hypothesis, out->hypothesis, sizeof out->hypothesis);
    keep_line(parts.prediction, out->prediction, sizeof out->prediction);
    out->predicted = kds_prediction_factor(out->prediction);
    if ((code = make_source(&parts, old, &child, out, e)) != KDS_OK)
        goto out;
    if (out->problem == KDS_REPLY_TOO_LARGE || child.bad == KDS_TOO_LARGE)
        kds_reply_tell(out, KDS_REPLY_TOO_LARGE, "%s",
                       *out->message ? out->message : "The source is larger than 256 KiB.");
    if (out->problem != KDS_REPLY_OK)
        goto out;
    if ((code = kds_buf_check(&child, "the child's source", e)) != KDS_OK)
        goto out;
    int change = differs(&child, old);
    if (change < 0)
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    else if (change == 0)
        kds_reply_tell(out, KDS_REPLY_NO_CHANGE, "The source is the same as the parent's.");
    else
        kds_buf_add(source, child.data, child.len);
    if (code == KDS_OK)
        code = kds_buf_check(source, "the child's source", e);
out:
    if (code != KDS_OK || out->problem != KDS_REPLY_OK)
        out->edits = 0;
    kds_buf_free(&clean);
    kds_buf_free(&child);
    return code;
}
