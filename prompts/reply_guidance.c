/* From a model's reply to a guidance. It will stand in later prompts, so it is made plain text
 * here, short and without anything that could act on a terminal; that it cannot pose as another
 * part of a prompt is the fence's work (prompt.c). */
#include "prompts/reply_internal.h"
#include "search/base/text.h"

#include <string.h>
#include <strings.h>

#define OPEN "<guidance>"
#define CLOSE "</guidance>"

/* Whether a line begins with the tag, behind blanks; *behind is what follows it. */
static bool opens(kds_span line, kds_span *behind)
{
    kds_span s = kds_span_trim(line);
    size_t n = strlen(OPEN);
    if (s.len < n || strncasecmp(s.at, OPEN, n) != 0)
        return false;
    *behind = (kds_span){s.at + n, (size_t)(line.at + line.len - s.at) - n};
    return true;
}

static const char *find_close(kds_span text)
{
    size_t n = strlen(CLOSE);
    for (size_t i = 0; i + n <= text.len; i++)
        if (text.at[i] == '<' && strncasecmp(text.at + i, CLOSE, n) == 0)
            return text.at + i;
    return NULL;
}

/* What stands between the tags: their number, or -1 if they are not closed. */
static int find_tagged(kds_span rest, kds_span *out)
{
    kds_span line, behind;
    const char *end = rest.at + rest.len;
    int found = 0;
    while (kds_span_line(&rest, &line)) {
        if (!opens(line, &behind))
            continue;
        kds_span after = {behind.at, (size_t)(end - behind.at)};
        const char *close = find_close(after);
        if (!close)
            return -1;
        *out = (kds_span){behind.at, (size_t)(close - behind.at)};
        rest.at = close + strlen(CLOSE);
        rest.len = (size_t)(end - rest.at);
        found++;
    }
    return found;
}

/* Lines that are code: in a fence, or ending as statements and blocks of C do. */
static int code_lines(kds_span rest)
{
    kds_span line;
    int n = 0;
    char fence = '\0';
    while (kds_span_line(&rest, &line)) {
        kds_span s = kds_span_trim(line);
        bool mark = s.len >= 3 && (s.at[0] == '`' || s.at[0] == '~') && s.at[1] == s.at[0] &&
                    s.at[2] == s.at[0];
        if (mark && (!fence || fence == s.at[0]))
            fence = fence ? '\0' : s.at[0];
        else if (s.len > 0)
            n += fence || strchr(";{}", s.at[s.len - 1]) != NULL;
    }
    return n;
}

/* The text that a reply gives, or the problem. */
static kds_code find_text(kds_span body, kds_span *out, kds_reply *reply, kds_err *e)
{
    kds_reply_parts parts;
    int tagged = find_tagged(body, out);
    if (tagged < 0)
        kds_reply_tell(reply, KDS_REPLY_TRUNCATED,
                       "The reply is cut off or malformed: there is no " CLOSE " behind " OPEN ".");
    else if (tagged > 1)
        kds_reply_tell(reply, KDS_REPLY_SEVERAL,
                       "The reply has %d guidances between " OPEN " and " CLOSE "; send one.",
                       tagged);
    if (tagged != 0)
        return KDS_OK;
    kds_code code = kds_reply_scan(&parts, body, e);
    if (code != KDS_OK)
        return code;
    if (!parts.broken && parts.plain_count == 1 && parts.kernel_count + parts.edit_count == 0)
        *out = parts.plain.text;
    else
        kds_reply_tell(reply, KDS_REPLY_NO_GUIDANCE,
                       "The reply has no text between a line " OPEN " and a line " CLOSE ".");
    return KDS_OK;
}

kds_code kds_reply_parse_guidance(const char *text, size_t len, kds_buf *guidance, kds_reply *out,
                                  kds_err *e)
{
    kds_buf clean, plain;
    kds_span body, found = {"", 0};
    kds_buf_reset(guidance);
    kds_buf_init(&clean, KDS_REPLY_CAP);
    kds_buf_init(&plain, KDS_REPLY_CAP);
    kds_code code = kds_reply_open(text, len, "the guidance between " OPEN " and " CLOSE, &clean,
                                   &body, out, e);
    if (code == KDS_OK && out->problem == KDS_REPLY_OK)
        code = find_text(body, &found, out, e);
    if (code == KDS_OK) {
        kds_text_strip(&plain, found.at, found.len);
        code = kds_buf_check(&plain, "a guidance", e);
    }
    if (code != KDS_OK || out->problem != KDS_REPLY_OK)
        goto out;
    found = kds_span_trim((kds_span){plain.data, plain.len});
    int lines = code_lines(found);
    if (found.len == 0)
        kds_reply_tell(out, KDS_REPLY_EMPTY, "There is nothing between " OPEN " and " CLOSE ".");
    else if (found.len > KDS_GUIDANCE_CAP)
        kds_reply_tell(out, KDS_REPLY_TOO_LARGE,
                       "The guidance has %zu bytes; at most %d are taken: say less.", found.len,
                       KDS_GUIDANCE_CAP);
    else if (lines > KDS_GUIDANCE_CODE_LINES)
        kds_reply_tell(out, KDS_REPLY_MUCH_CODE,
                       "The guidance has %d lines of code; at most %d are taken: say it in words.",
                       lines, KDS_GUIDANCE_CODE_LINES);
    else
        kds_buf_add(guidance, found.at, found.len);
    code = kds_buf_check(guidance, "a guidance", e);
out:
    kds_buf_free(&clean);
    kds_buf_free(&plain);
    return code;
}
