/* Finding fences, edits, hypothesis and prediction in a reply: one pass over its lines. PCRE2
 * recognises a marker, always on one line and with limits on its work, so that the whole is linear
 * whatever the reply holds. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "prompts/reply_internal.h"

#include <pcre2.h>
#include <string.h>

#define LINE_CAP 4096 /* no marker is longer */
#define NESTING 3     /* fences whose content begins with a fence are looked into */

enum { FENCE, SEARCH, DIVIDER, REPLACE, HYPOTHESIS, PREDICTION, PATTERN_COUNT };

static const char *const PATTERNS[PATTERN_COUNT] = {
    [FENCE] = "^([ \\t]*)(`{3,}|~{3,})[ \\t]*(.*)$",
    [SEARCH] = "^ {0,3}<{5,9} ?SEARCH>?[ \\t]*$",
    [DIVIDER] = "^ {0,3}={5,9}[ \\t]*$",
    [REPLACE] = "^ {0,3}>{5,9} ?REPLACE[ \\t]*$",
    [HYPOTHESIS] = "^[\\s#>*_\\-]*(?i:hypothesis)[*_]*\\s*:[*_\\s]*(.*)$",
    [PREDICTION] = "^[\\s#>*_\\-]*(?i:prediction)[*_]*\\s*:[*_\\s]*(.*)$",
};

/* The first character of a marker behind blanks; NULL: any. */
static const char *const STARTS[PATTERN_COUNT] = {"`~", "<", "=", ">", NULL, NULL};

typedef struct matcher {
    pcre2_code *codes[PATTERN_COUNT];
    pcre2_match_data *data;
    pcre2_match_context *context;
} matcher;

typedef struct scanner {
    matcher *m;
    kds_reply_parts *out;
    int depth;
    bool wants_hypothesis; /* its line was empty: the next line with text is it */
    kds_span marker;       /* characters of the open fence; len 0 outside */
    kds_reply_block block; /* being read */
    bool block_has_edits;
    kds_reply_edit edit; /* being read */
    kds_span *edit_part; /* the part of `edit` that lines go to; NULL outside an edit */
} scanner;

bool kds_span_line(kds_span *rest, kds_span *line)
{
    if (rest->len == 0)
        return false;
    const char *end = memchr(rest->at, '\n', rest->len);
    size_t used = end ? (size_t)(end - rest->at) + 1 : rest->len;
    line->at = rest->at;
    line->len = end ? used - 1 : used;
    rest->at += used;
    rest->len -= used;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

kds_span kds_span_trim(kds_span s)
{
    while (s.len > 0 && is_blank(s.at[0])) {
        s.at++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.at[s.len - 1]))
        s.len--;
    return s;
}

void kds_span_strip_ends(kds_buf *out, kds_span s)
{
    kds_span line;
    while (kds_span_line(&s, &line)) {
        while (line.len > 0 && is_blank(line.at[line.len - 1]))
            line.len--;
        kds_buf_add(out, line.at, line.len);
        kds_buf_putc(out, '\n');
    }
}

static void matcher_free(matcher *m)
{
    for (int i = 0; i < PATTERN_COUNT; i++)
        pcre2_code_free(m->codes[i]);
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
}

static bool matcher_init(matcher *m)
{
    int number;
    PCRE2_SIZE offset;
    memset(m, 0, sizeof *m);
    m->data = pcre2_match_data_create(8, NULL);
    m->context = pcre2_match_context_create(NULL);
    bool ok = m->data && m->context;
    for (int i = 0; ok && i < PATTERN_COUNT; i++) {
        m->codes[i] = pcre2_compile((PCRE2_SPTR)PATTERNS[i], PCRE2_ZERO_TERMINATED, PCRE2_ANCHORED,
                                    &number, &offset, NULL);
        ok = m->codes[i] != NULL;
    }
    if (!ok) {
        matcher_free(m);
        return false;
    }
    pcre2_set_match_limit(m->context, 100000);
    pcre2_set_heap_limit(m->context, 1024);
    return true;
}

/* Whether the line is a marker; groups from 1 go to `groups`. */
static bool matches(const matcher *m, int pattern, kds_span line, kds_span *groups, int group_count)
{
    size_t blanks = 0;
    if (line.len > LINE_CAP)
        line.len = LINE_CAP;
    while (blanks < line.len && (line.at[blanks] == ' ' || line.at[blanks] == '\t'))
        blanks++;
    if (STARTS[pattern] && (blanks == line.len || !strchr(STARTS[pattern], line.at[blanks])))
        return false;
    int n =
        pcre2_match(m->codes[pattern], (PCRE2_SPTR)line.at, line.len, 0, 0, m->data, m->context);
    if (n <= group_count)
        return false;
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m->data);
    for (int i = 0; i < group_count; i++)
        groups[i] = (kds_span){line.at + at[2 * i + 2], at[2 * i + 3] - at[2 * i + 2]};
    return true;
}

/* An opening fence. The info string of a fence of backticks has none in it (CommonMark 4.5). */
static bool opens(const matcher *m, kds_span line, kds_span *marker, kds_reply_block *block)
{
    kds_span g[3];
    if (!matches(m, FENCE, line, g, 3))
        return false;
    if (g[1].at[0] == '`' && memchr(g[2].at, '`', g[2].len))
        return false;
    *marker = g[1];
    block->info = kds_span_trim(g[2]);
    block->indent = g[0].len;
    return true;
}

/* A fence of the same kind, at least as long, with nothing behind it. */
static bool closes(const scanner *s, kds_span line)
{
    kds_span g[3];
    return matches(s->m, FENCE, line, g, 3) && g[1].at[0] == s->marker.at[0] &&
           g[1].len >= s->marker.len && kds_span_trim(g[2]).len == 0;
}

static void scan_lines(scanner *s, kds_span rest);

/* The block between two fences is complete. */
static void end_block(scanner *s)
{
    kds_span marker, line, rest = kds_span_trim(s->block.text);
    kds_reply_block inner;
    kds_reply_parts *out = s->out;
    s->marker.len = 0;
    if (s->block_has_edits || rest.len == 0)
        return;
    if (s->depth < NESTING && kds_span_line(&rest, &line) && opens(s->m, line, &marker, &inner)) {
        scanner within = {.m = s->m, .out = out, .depth = s->depth + 1};
        scan_lines(&within, s->block.text);
    } else if (memmem(s->block.text.at, s->block.text.len, "__global__", 10)) {
        if (out->kernel_count < KDS_REPLY_KERNELS)
            out->kernels[out->kernel_count] = s->block;
        out->kernel_count++;
    } else {
        out->plain = s->block;
        out->plain_count++;
    }
}

/* A line inside an edit. */
static void edit_line(scanner *s, kds_span line, const char *next)
{
    if (matches(s->m, SEARCH, line, NULL, 0)) {
        s->out->broken = "an edit begins inside another one; each ends with >>>>>>> REPLACE";
    } else if (s->edit_part == &s->edit.search && matches(s->m, DIVIDER, line, NULL, 0)) {
        s->edit_part = &s->edit.replace;
        *s->edit_part = (kds_span){next, 0};
    } else if (!matches(s->m, REPLACE, line, NULL, 0)) {
        s->edit_part->len = (size_t)(next - s->edit_part->at);
    } else if (s->edit_part == &s->edit.search) {
        s->out->broken = "an edit has no ======= line between SEARCH and REPLACE";
    } else {
        if (s->out->edit_count < KDS_REPLY_EDITS)
            s->out->edits[s->out->edit_count] = s->edit;
        s->out->edit_count++;
        s->edit_part = NULL;
    }
}

static void begin_edit(scanner *s, const char *next)
{
    memset(&s->edit, 0, sizeof s->edit);
    s->edit_part = &s->edit.search;
    *s->edit_part = (kds_span){next, 0};
    s->block_has_edits = true;
}

/* A line outside fences and edits. */
static void prose_line(scanner *s, kds_span line, const char *next)
{
    kds_span rest;
    if (opens(s->m, line, &s->marker, &s->block)) {
        s->block.text = (kds_span){next, 0};
        s->block_has_edits = false;
    } else if (s->out->hypothesis.len == 0 && matches(s->m, HYPOTHESIS, line, &rest, 1)) {
        s->out->hypothesis = kds_span_trim(rest);
        s->wants_hypothesis = s->out->hypothesis.len == 0;
    } else if (s->out->prediction.len == 0 && matches(s->m, PREDICTION, line, &rest, 1)) {
        s->out->prediction = kds_span_trim(rest);
    } else if (s->wants_hypothesis) {
        s->out->hypothesis = kds_span_trim(line);
        s->wants_hypothesis = s->out->hypothesis.len == 0;
    }
}

static void scan_lines(scanner *s, kds_span rest)
{
    kds_span line;
    while (!s->out->broken && kds_span_line(&rest, &line)) {
        const char *next = rest.at;
        if (s->edit_part) {
            edit_line(s, line, next);
        } else if (matches(s->m, SEARCH, line, NULL, 0)) {
            begin_edit(s, next);
        } else if (s->marker.len == 0) {
            prose_line(s, line, next);
        } else if (closes(s, line)) {
            end_block(s);
        } else {
            s->block.text.len = (size_t)(next - s->block.text.at);
        }
    }
    const kds_reply_parts *out = s->out;
    bool something = out->edit_count + out->kernel_count + out->plain_count > 0;
    if (out->broken)
        return;
    if (s->edit_part)
        s->out->broken = "the last edit has no >>>>>>> REPLACE line";
    else if (s->marker.len > 0 && !(something && kds_span_trim(s->block.text).len == 0))
        s->out->broken = "the last fenced block is never closed";
}

kds_code kds_reply_scan(kds_reply_parts *out, kds_span text, kds_err *e)
{
    matcher m;
    memset(out, 0, sizeof *out);
    if (!matcher_init(&m))
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    scanner s = {.m = &m, .out = out};
    scan_lines(&s, text);
    matcher_free(&m);
    return KDS_OK;
}
