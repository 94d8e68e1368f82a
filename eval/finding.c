/* Findings: plain values whose text is always safe to show. Formatting is cut, never refused,
 * because a finding reports somebody else's mistake and must not fail itself. */
#include "eval/finding.h"
#include "search/base/text.h"
#include <stdio.h>
#include <string.h>

void kds_finding_clear(kds_finding *f)
{
    f->verdict = KDS_VERDICT_OK;
    f->stage = "";
    f->line = 0;
    f->text[0] = '\0';
}

/* Copies at most size - 1 bytes, ending at a whole UTF-8 character and with "..." where text is
 * lost. */
static void copy_cut(char *out, size_t size, const char *text, size_t len)
{
    if (len < size) {
        memcpy(out, text, len);
        out[len] = '\0';
        return;
    }
    size_t keep = size - 4;
    while (keep > 0 && ((unsigned char)text[keep] & 0xC0) == 0x80)
        keep--;
    memcpy(out, text, keep);
    memcpy(out + keep, "...", 4);
}

void kds_finding_set(kds_finding *f, kds_verdict v, const char *stage, int line, const char *fmt,
                     ...)
{
    char raw[KDS_FINDING_TEXT * 2];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof raw ? (size_t)n : sizeof raw - 1;
    while (len > 0 && len == sizeof raw - 1 && ((unsigned char)raw[len - 1] & 0x80))
        len--; /* do not end inside a character that vsnprintf cut */

    kds_buf safe;
    kds_buf_init(&safe, sizeof raw * 4 + 16);
    kds_text_escape(&safe, raw, len, true);
    f->verdict = v;
    f->stage = stage;
    f->line = line;
    copy_cut(f->text, sizeof f->text, safe.data, safe.len);
    kds_buf_free(&safe);
}
