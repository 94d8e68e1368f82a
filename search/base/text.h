/* Small text helpers: making untrusted text safe to show, suggestions, UTF-8. */
#ifndef KDS_BASE_TEXT_H
#define KDS_BASE_TEXT_H

#include "search/base/buf.h"

/* Appends `s` with control characters (but \n and \t if keep_lines), escape sequences, bidi
 * overrides and invalid UTF-8 written as \xNN, so that it is safe for a terminal or a log. */
void kds_text_escape(kds_buf *out, const char *s, size_t len, bool keep_lines);
/* The same into an array of `size` bytes, without allocating: what does not fit is cut between
 * characters and marked with "...". Always NUL-terminated (size > 0); returns the length written.
 */
size_t kds_text_escape_into(char *out, size_t size, const char *s, size_t len, bool keep_lines);
/* Copies valid UTF-8 without the characters that kds_text_escape would spell out (keep_lines). */
void kds_text_strip(kds_buf *out, const char *s, size_t len);
/* Copies `s` with every invalid UTF-8 byte replaced by U+FFFD; returns the number of replacements.
 */
size_t kds_text_sanitize_utf8(kds_buf *out, const char *s, size_t len);
bool kds_text_is_utf8(const char *s, size_t len);
/* Length of the longest prefix that is valid UTF-8: where to cut, or where the first bad byte is.
 */
size_t kds_text_utf8_prefix(const char *s, size_t len);
/* The nearest of `names` (NULL-terminated) by edit distance if it is near enough to be meant, else
 * NULL. */
const char *kds_text_suggest(const char *given, const char *const *names);
/* True if `word` is one of the words of `list`, "a|b|c". */
bool kds_text_list_has(const char *list, char separator, const char *word);
/* Strict number parsing of a whole string. False: not a number, trailing text, or out of range. */
bool kds_text_parse_i64(const char *s, int64_t *out);
bool kds_text_parse_u64(const char *s, uint64_t *out);
bool kds_text_parse_double(const char *s, double *out); /* finite only */
/* "8h", "90m", "30s", "2d", "1.5h", plain seconds; to seconds. */
bool kds_text_parse_duration(const char *s, double *seconds);
/* "1h 02m", "41s", "350ms". */
void kds_text_format_duration(char *out, size_t size, double seconds);
bool kds_text_starts_with(const char *s, const char *prefix);
bool kds_text_ends_with(const char *s, const char *suffix);

#endif
