/* A scanner over CUDA C++ source: comments, string and character literals (raw strings too),
 * preprocessor lines with continuations, identifiers, numbers, punctuation. Backslash-newline is
 * dropped wherever the language drops it, so no comment or directive can hide behind one. It never
 * fails: what it cannot read is punctuation; an unterminated comment or raw string ends at the end
 * of the text, an unterminated string or character at the end of its line, and either sets
 * `unterminated`. */
#ifndef KDS_BASE_LEX_H
#define KDS_BASE_LEX_H

#include "search/base/buf.h"

typedef enum kds_token_kind {
    KDS_TOKEN_IDENTIFIER,
    KDS_TOKEN_NUMBER,
    KDS_TOKEN_STRING, /* with quotes and prefix */
    KDS_TOKEN_CHAR,
    KDS_TOKEN_PUNCT,     /* one operator, longest match */
    KDS_TOKEN_DIRECTIVE, /* a whole preprocessor line from '#' up to, not including, its newline;
                            continuations inside */
    KDS_TOKEN_COMMENT,
    KDS_TOKEN_END
} kds_token_kind;

typedef struct kds_token {
    kds_token_kind kind;
    size_t offset, len; /* in the text */
    int line;           /* 1-based, of the first byte */
} kds_token;

typedef struct kds_lexer {
    const char *text;
    size_t len, at;
    int line;
    bool line_start; /* only white space since the last newline */
    bool unterminated;
} kds_lexer;

void kds_lexer_init(kds_lexer *x, const char *text, size_t len);
/* The next token; KDS_TOKEN_END at the end, for ever. White space is skipped, comments are
 * returned. */
kds_token kds_lexer_next(kds_lexer *x);
/* The next directive or the end, without looking at every token before it. */
kds_token kds_lexer_next_directive(kds_lexer *x);
/* True if the token's text, without backslash-newlines, equals `s`. */
bool kds_token_is(const kds_lexer *x, kds_token t, const char *s);

/* A copy of the text of equal length in which comments and the insides of literals are blanks
 * (newlines kept; the file name of an #include is no literal), so that offsets and lines still
 * hold: what patterns may be matched against. A backslash-newline inside a name stays. */
void kds_lex_mask(kds_buf *out, const char *text, size_t len);
/* The token-normalised text: comments and white space removed, one space between tokens that need
 * one, directives on lines of their own with inner white space collapsed. Two texts with equal
 * results differ in layout only. */
void kds_lex_normalize(kds_buf *out, const char *text, size_t len);

/* One `#pragma kda` line outside comments and strings. */
typedef struct kds_pragma {
    const char *keyword; /* "tune", "launch", ...; not NUL-terminated */
    size_t keyword_len;
    char *
        body; /* what follows the keyword, continuations joined, comments removed, trimmed; owned */
    size_t offset, len; /* the whole directive in the text, without its newline */
    int line;
} kds_pragma;
typedef struct kds_pragmas {
    kds_pragma *items;
    int count;
} kds_pragmas;
/* Finds them all in order, at most 256 (KDS_TOO_LARGE). */
KDS_MUST_USE kds_code kds_pragmas_find(kds_pragmas *out, const char *text, size_t len, kds_err *e);
void kds_pragmas_free(kds_pragmas *p);

/* A tunable: `tune NAME = v1, v2, ...`. The first value listed is the one in force; a sweep
 * reorders the list, so that the file alone says what was compiled. Values are integers, at most 16
 * of them. */
#define KDS_TUNE_VALUES 16
typedef struct kds_tunable {
    char name[64];
    int64_t values[KDS_TUNE_VALUES];
    int count;
    int line;
} kds_tunable;
#define KDS_TUNABLES 16
/* Reads all tunables of a source. KDS_INVALID names line and reason (bad name, no value, repeated
 * value, twice the same name, more than KDS_TUNABLES). */
KDS_MUST_USE kds_code kds_tunables_find(kds_tunable out[KDS_TUNABLES], int *count, const char *text,
                                        size_t len, kds_err *e);
/* Puts `value` first, so that it is in force, and the others behind it in ascending order: a point
 * in the space of the tunables is written in one way only. */
void kds_tunable_choose(kds_tunable *u, int64_t value);
/* A text with holes where the values of its tune lines stand, the first line's first. */
typedef struct kds_tune_form {
    const char *text; /* borrowed */
    size_t len;
    struct {
        size_t start, end;
    } holes[KDS_TUNABLES];
    int count;
} kds_tune_form;
/* Finds the holes for the first `count` tune lines. */
KDS_MUST_USE kds_code kds_tune_form_read(kds_tune_form *out, const char *text, size_t len,
                                         int count, kds_err *e);
/* Appends the text with the values of `tunables` (as kds_tunables_find has them in order),
 * `between` each two of them: ", ", or "," where the text is a normal form (kds_lex_normalize) and
 * is to remain one. */
void kds_tune_form_write(kds_buf *out, const kds_tune_form *f, const kds_tunable *tunables,
                         const char *between);
/* Both in one: appends the text with the values of its tune lines as they stand in `tunables` (read
 * from it by kds_tunables_find). */
KDS_MUST_USE kds_code kds_tunables_write(kds_buf *out, const char *text, size_t len,
                                         const kds_tunable *tunables, int count, kds_err *e);

#endif
